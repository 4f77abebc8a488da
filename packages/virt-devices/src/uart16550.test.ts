import { expect, test } from "vitest";
import {
  UART_FCR,
  UART_IER,
  UART_IIR,
  UART_IIR_NO_INT,
  UART_IIR_RDI,
  UART_IIR_RLSI,
  UART_IIR_THRI,
  UART_IIR_TIMEOUT,
  UART_LCR,
  UART_LSR,
  UART_LSR_DR,
  UART_LSR_OE,
  UART_LSR_THRE,
  UART_MCR,
  UART_MSR,
  UART_RBR,
  UART_SCR,
  UART_THR,
  Uart16550,
  type Uart16550Options,
} from "./uart16550.ts";

function createUart(options: Partial<Uart16550Options> = {}) {
  const irq = {
    high: false,
    raise(): void {
      this.high = true;
    },
    lower(): void {
      this.high = false;
    },
  };
  const batches: string[] = [];
  const uart = new Uart16550({ irq, onOutput: (bytes) => batches.push(String.fromCharCode(...bytes)), ...options });
  const type = (text: string): number => uart.input(Uint8Array.from(text, (c) => c.charCodeAt(0)));
  const print = (text: string): void => {
    for (const c of text) uart.write(UART_THR, 1, c.charCodeAt(0));
  };
  return { irq, batches, uart, type, print };
}

test("output is handed over in batches: when full and on flush", () => {
  const { uart, batches, print } = createUart({ outputBatch: 4 });
  print("abcdef");
  expect(batches).toEqual(["abcd"]);
  uart.flush();
  uart.flush();
  expect(batches).toEqual(["abcd", "ef"]);
});

test("input is read byte by byte; the data-ready bit and the interrupt follow", () => {
  const { uart, irq, type } = createUart();
  uart.write(UART_IER, 1, 1);
  expect(uart.read(UART_LSR, 1) & UART_LSR_DR).toBe(0);
  type("hi");
  expect(irq.high).toBe(true);
  expect(uart.read(UART_IIR, 1)).toBe(UART_IIR_RDI);
  expect(uart.read(UART_RBR, 1)).toBe(0x68);
  expect(irq.high).toBe(true);
  expect(uart.read(UART_RBR, 1)).toBe(0x69);
  expect(irq.high).toBe(false);
  expect(uart.read(UART_LSR, 1) & UART_LSR_DR).toBe(0);
  expect(uart.read(UART_RBR, 1)).toBe(0);
});

test("with the FIFO on, fewer bytes than the trigger level are a time-out", () => {
  const { uart, type } = createUart();
  uart.write(UART_FCR, 1, 0xc1); // enable, trigger at 14
  uart.write(UART_IER, 1, 1);
  expect(uart.read(UART_IIR, 1)).toBe(0xc0 | UART_IIR_NO_INT);
  type("x".repeat(13));
  expect(uart.read(UART_IIR, 1)).toBe(0xc0 | UART_IIR_TIMEOUT);
  type("x");
  expect(uart.read(UART_IIR, 1)).toBe(0xc0 | UART_IIR_RDI);
});

test("the transmitter interrupt comes when enabled and after each byte, and ends when its cause is read", () => {
  const { uart, irq, print } = createUart();
  expect(uart.read(UART_LSR, 1) & UART_LSR_THRE).toBe(UART_LSR_THRE);
  uart.write(UART_IER, 1, 2);
  expect(irq.high).toBe(true);
  expect(uart.read(UART_IIR, 1)).toBe(UART_IIR_THRI);
  expect(irq.high).toBe(false);
  expect(uart.read(UART_IIR, 1)).toBe(UART_IIR_NO_INT);
  print("a");
  expect(irq.high).toBe(true);
  uart.write(UART_IER, 1, 0);
  expect(irq.high).toBe(false);
});

test("the divisor latch hides behind DLAB", () => {
  const { uart, batches } = createUart();
  uart.write(UART_LCR, 1, 0x83);
  uart.write(0, 1, 0x0c);
  uart.write(1, 1, 0x01);
  expect([uart.read(0, 1), uart.read(1, 1)]).toEqual([0x0c, 0x01]);
  uart.write(UART_LCR, 1, 0x03);
  expect([uart.read(0, 1), uart.read(1, 1)]).toEqual([0, 0]);
  uart.flush();
  expect(batches).toEqual([]);
});

test("loopback: bytes come back, modem outputs become inputs (the test that Linux's 8250 driver makes)", () => {
  const { uart, batches, print } = createUart();
  uart.write(UART_MCR, 1, 0x1a); // LOOP, OUT2, RTS
  expect(uart.read(UART_MSR, 1) & 0xf0).toBe(0x90);
  uart.write(UART_MCR, 1, 0x10);
  print("z");
  expect(uart.read(UART_RBR, 1)).toBe(0x7a);
  uart.flush();
  expect(batches).toEqual([]);
  uart.write(UART_SCR, 1, 0x5a);
  expect(uart.read(UART_SCR, 1)).toBe(0x5a);
});

test("input beyond the limit is refused; in loopback it is an overrun", () => {
  const { uart, irq, type, print } = createUart({ inputLimit: 4 });
  expect(type("abcdef")).toBe(4);
  uart.write(UART_IER, 1, 4);
  uart.write(UART_MCR, 1, 0x10);
  print("g");
  expect(irq.high).toBe(true);
  expect(uart.read(UART_IIR, 1)).toBe(UART_IIR_RLSI);
  expect(uart.read(UART_LSR, 1) & UART_LSR_OE).toBe(UART_LSR_OE);
  expect(irq.high).toBe(false);
  expect(uart.read(UART_LSR, 1) & UART_LSR_OE).toBe(0);
});

test("clearing the FIFO drops waiting input", () => {
  const { uart, type } = createUart();
  uart.write(UART_FCR, 1, 1);
  type("abc");
  uart.write(UART_FCR, 1, 3);
  expect(uart.pendingInput).toBe(0);
  expect(uart.read(UART_LSR, 1) & UART_LSR_DR).toBe(0);
});

test("a snapshot keeps registers and unread input", () => {
  const { uart, type } = createUart();
  uart.write(UART_IER, 1, 1);
  type("later");
  const other = createUart();
  other.uart.restore(uart.save());
  expect(other.irq.high).toBe(true);
  expect(String.fromCharCode(...Array.from({ length: 5 }, () => other.uart.read(UART_RBR, 1)))).toBe("later");
});

test("accesses that the device does not define read as zero", () => {
  const { uart } = createUart();
  expect(uart.read(8, 1)).toBe(0);
  expect(uart.read(0, 8)).toBe(0);
  uart.write(8, 1, 1);
  uart.write(UART_LSR, 1, 0xff);
  uart.write(0, 8, 1);
});

test("a sender that was refused hears when there is room again", () => {
  let waiting = "defgh";
  const { uart, type } = createUart({
    inputLimit: 4,
    onInputRoom: () => {
      waiting = waiting.slice(type(waiting));
    },
  });
  expect(type("abc")).toBe(3);
  waiting = waiting.slice(type(waiting));
  let read = "";
  for (let byte = uart.read(UART_RBR, 1); byte !== 0; byte = uart.read(UART_RBR, 1)) read += String.fromCharCode(byte);
  expect([read, waiting]).toEqual(["abcdefgh", ""]);
});
