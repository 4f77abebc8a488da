import { expect, test } from "vitest";
import { type Board, type BoardOptions, createBoard } from "./board.ts";
import { hostClock, VirtualClock } from "./clock.ts";
import {
  CLINT_BASE,
  MEMORY_MAP,
  PLIC_BASE,
  RTC_BASE,
  TEST_FINISHER_BASE,
  UART0_BASE,
  UART0_IRQ,
  VIRTIO_BASE,
} from "./memory-map.ts";

function memoryDisk(sectors: number) {
  const bytes = new Uint8Array(sectors * 512);
  return {
    size: bytes.length,
    blockSize: 512,
    readOnly: false,
    readBlock(id: number, buf: Uint8Array): number {
      buf.set(bytes.subarray(id * 512, id * 512 + buf.length));
      return 0;
    },
    writeBlock(id: number, buf: Uint8Array): number {
      bytes.set(buf, id * 512);
      return 0;
    },
    flush: () => 0,
  };
}

function create(options: Partial<BoardOptions> = {}): Board & { output: string } {
  const board = createBoard({
    memorySize: 1 << 20,
    onOutput: (bytes) => {
      board.output += String.fromCharCode(...bytes);
    },
    clock: new VirtualClock(),
    fillRandom: (target) => void target.fill(0x42),
    ...options,
  }) as Board & { output: string };
  board.output = "";
  return board;
}

test("the memory map is ascending and does not overlap", () => {
  for (let i = 1; i < MEMORY_MAP.length; i++) {
    expect(MEMORY_MAP[i].base).toBeGreaterThanOrEqual(MEMORY_MAP[i - 1].base + MEMORY_MAP[i - 1].size);
  }
});

test("virtio slots hold disks first, then entropy and console; the others are empty", () => {
  const board = create({
    disks: [{ backend: memoryDisk(8) }, { backend: memoryDisk(8) }],
    virtioConsole: { onOutput: () => {} },
  });
  const ids = Array.from({ length: 8 }, (_, slot) => {
    const window = board.platform().mmio(VIRTIO_BASE + slot * 0x1000, 0x1000);
    expect([window.read32(0), window.read32(4)]).toEqual([0x7472_6976, 2]);
    return window.read32(8);
  });
  expect(ids).toEqual([2, 2, 4, 3, 0, 0, 0, 0]);
  expect(() => create({ disks: Array.from({ length: 8 }, () => ({ backend: memoryDisk(8) })) })).toThrow(RangeError);
});

test("typed input raises the hart's external interrupt through the PLIC and wakes the loop", () => {
  const board = create();
  const platform = board.platform();
  const plic = platform.mmio(PLIC_BASE, 0x60_0000);
  const uart = platform.mmio(UART0_BASE, 0x100);
  let wakes = 0;
  board.onInterrupt = () => wakes++;
  plic.write32(4 * UART0_IRQ, 1);
  plic.write32(0x2080, 1 << UART0_IRQ); // S context
  uart.write8(1, 1);
  expect(platform.irqPending()).toBe(false);
  board.input(Uint8Array.of(0x41));
  expect(platform.irqPending()).toBe(true);
  expect(wakes).toBe(1);
  expect(plic.read32(0x20_1004)).toBe(UART0_IRQ);
  expect(uart.read8(0)).toBe(0x41);
  plic.write32(0x20_1004, UART0_IRQ);
  expect(platform.irqPending()).toBe(false);
});

test("console output arrives at the next poll", () => {
  const board = create();
  const uart = board.platform().mmio(UART0_BASE, 0x100);
  for (const c of "ok\n") uart.write8(0, c.charCodeAt(0));
  expect(board.output).toBe("");
  board.poll();
  expect(board.output).toBe("ok\n");
});

test("the timer pin follows the clock", () => {
  const clock = new VirtualClock();
  const board = create({ clock });
  const clint = board.platform().mmio(CLINT_BASE, 0x1_0000);
  clint.write32(0x4004, 0);
  clint.write32(0x4000, 10);
  expect(board.pins).toBe(0);
  clock.skip(1000);
  board.poll();
  expect(board.pins).toBe(1 << 7);
  expect(board.platform().mmio(RTC_BASE, 0x1000).read32(0)).toBe((1_767_225_600e9 + 1000) % 2 ** 32);
});

test("the test finisher ends the machine", () => {
  const board = create();
  const { isHalted } = board.loopOptions();
  expect(isHalted!()).toBe(false);
  board.platform().mmio(TEST_FINISHER_BASE, 0x1000).write32(0, 0x0003_3333);
  expect(board.finish).toEqual({ kind: "poweroff", code: 3 });
  expect(isHalted!()).toBe(true);
});

test("virtual time passes with retired instructions", () => {
  const clock = new VirtualClock({ nsPerInstruction: 2.5, startRealtimeNs: 1e18 });
  const board = create({ clock });
  board.ram.view.setUint32(0, 0x0000_006f, true); // j .
  // An identity mapping of the first gigabyte page of RAM for user mode: root entry 2.
  board.ram.view.setUint32(0x1000 + 8 * 2, ((0x8000_0000 / 4096) << 10) | 0xdf, true);
  board.hart.setAddressSpace(0x8000_1000 / 4096, 1);
  board.hart.pc = 0x8000_0000;
  board.hart.run(1000);
  expect(board.hart.instret).toBe(1000);
  expect(clock.monotonicNs()).toBe(2500);
  expect(clock.realtimeNs()).toBe(1e18 + 2500);
  expect(() => new VirtualClock({ nsPerInstruction: 0 })).toThrow(RangeError);
});

test("the host's clock does not go back", () => {
  const clock = hostClock(globalThis as never);
  const first = clock.monotonicNs();
  expect(Number.isInteger(first)).toBe(true);
  expect(clock.monotonicNs()).toBeGreaterThanOrEqual(first);
  expect(clock.realtimeNs()).toBeGreaterThan(1.7e18);
  expect(clock.skip(1)).toBe(false);
});

test("a snapshot restores RAM, registers and devices on another board", () => {
  const board = create({ disks: [{ backend: memoryDisk(8) }] });
  board.ram.bytes.set([1, 2, 3], 0x5000);
  board.hart.x[20] = 77;
  board.hart.pc = 0x8000_0123;
  board.hart.fcsr = 0x61;
  const uart = board.platform().mmio(UART0_BASE, 0x100);
  uart.write8(1, 1);
  board.input(Uint8Array.of(9));
  const bytes = board.snapshot();
  expect(bytes.length).toBeLessThan(16_384);
  const other = create({ disks: [{ backend: memoryDisk(8) }] });
  other.ram.bytes.fill(0xff, 0x7000, 0x8000);
  other.restore(bytes);
  expect(Array.from(other.ram.bytes.subarray(0x5000, 0x5004))).toEqual([1, 2, 3, 0]);
  expect(other.ram.bytes[0x7000]).toBe(0);
  expect([other.hart.x[20], other.hart.pc, other.hart.fcsr]).toEqual([77, 0x8000_0123, 0x61]);
  expect(other.platform().mmio(UART0_BASE, 0x100).read8(0)).toBe(9);
  expect(other.snapshot().length).toBeLessThan(16_384);
});

test("a damaged or foreign snapshot is refused before anything changes", () => {
  const board = create();
  const bytes = board.snapshot();
  board.ram.bytes[0] = 5;
  for (const bad of [
    new Uint8Array(0),
    bytes.subarray(0, bytes.length - 1),
    create({ memorySize: 2 << 20 }).snapshot(),
    create({ disks: [{ backend: memoryDisk(8) }] }).snapshot(),
  ]) {
    expect(() => board.restore(bad)).toThrow(RangeError);
  }
  expect(board.ram.bytes[0]).toBe(5);
});
