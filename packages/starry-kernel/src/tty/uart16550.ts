/**
 * UART 16550A driver: the terminal ttyS0.
 *
 *   receive   interrupt (or the reader's return) → read RBR while LSR says data → tty.receive; a full terminal leaves the bytes in
 *             the device and masks the interrupt until `unthrottle`
 *   transmit  while LSR says the holding register is empty: up to a FIFO's worth of bytes; a busy device interrupts when it
 *             has room again (IER.THRI)
 *
 * Spec: National Semiconductor PC16550D, §8 "Registers".
 */
import { makedev } from "linux-abi";
import type { Kernel } from "../kernel.ts";
import type { MmioRegion } from "../platform.ts";
import { Termios } from "./termios.ts";
import { Tty, TtyDriver } from "./tty.ts";

/** QEMU `virt`. */
export const UART_BASE = 0x1000_0000;
export const UART_BYTES = 0x100;
export const UART_IRQ = 10;
export const TTY_MAJOR = 4;
/** Minor of ttyS0. */
export const TTY_SERIAL_MINOR = 64;

// §8.0 register map
const RBR_THR = 0;
const IER = 1;
const IIR_FCR = 2;
const LCR = 3;
const MCR = 4;
const LSR = 5;

const IER_RECEIVED = 1 << 0;
const IER_THR_EMPTY = 1 << 1;
const FCR_ENABLE = 1 << 0;
const FCR_CLEAR = (1 << 1) | (1 << 2);
const LCR_8N1 = 3;
const MCR_DTR_RTS_OUT2 = (1 << 0) | (1 << 1) | (1 << 3);
const LSR_DATA_READY = 1 << 0;
const LSR_THR_EMPTY = 1 << 5;

/** A 16550A's transmit FIFO. */
const FIFO_BYTES = 16;
const CHUNK_BYTES = 256;
/** Bytes taken per interrupt: a device that never runs dry must not keep the kernel here. */
const RECEIVE_BUDGET = 65536;

const $chunk = new Uint8Array(CHUNK_BYTES);

export class Uart16550 extends TtyDriver {
  readonly name = "serial";
  readonly tty: Tty;
  readonly #registers: MmioRegion;
  #interrupts = IER_RECEIVED;
  // Bytes read from the device that the terminal had no room for.
  #held: Uint8Array = new Uint8Array(0);

  /** `line`: unit number, 0 for ttyS0. */
  constructor(kernel: Kernel, registers: MmioRegion, line: number) {
    super();
    this.#registers = registers;
    this.tty = new Tty(kernel, this, `ttyS${line}`, makedev(TTY_MAJOR, TTY_SERIAL_MINOR + line), Termios.forSerial());
    registers.write8(IER, 0);
    registers.write8(IIR_FCR, FCR_ENABLE | FCR_CLEAR);
    registers.write8(LCR, LCR_8N1);
    registers.write8(MCR, MCR_DTR_RTS_OUT2);
    registers.write8(IER, this.#interrupts);
  }

  override get hasModemLines(): boolean {
    return true;
  }

  /** The device's interrupt. */
  handleInterrupt(): void {
    this.#registers.read8(IIR_FCR); // acknowledges "transmitter empty"
    this.#receive();
    if ((this.#interrupts & IER_THR_EMPTY) !== 0) this.transmit(this.tty);
  }

  #receive(): void {
    const registers = this.#registers;
    for (let budget = RECEIVE_BUDGET; budget > 0 && this.#held.length === 0; budget -= CHUNK_BYTES) {
      let count = 0;
      while (count < CHUNK_BYTES && (registers.read8(LSR) & LSR_DATA_READY) !== 0)
        $chunk[count++] = registers.read8(RBR_THR);
      if (count === 0) return;
      const taken = this.tty.receive($chunk, 0, count);
      if (taken < count) {
        this.#held = $chunk.slice(taken, count);
        this.#setInterrupts(this.#interrupts & ~IER_RECEIVED);
      }
    }
  }

  override unthrottle(): void {
    const held = this.#held;
    if (held.length > 0) {
      const taken = this.tty.receive(held, 0, held.length);
      this.#held = held.subarray(taken);
      if (this.#held.length > 0) return;
    }
    this.#setInterrupts(this.#interrupts | IER_RECEIVED);
    this.#receive();
  }

  override flushed(_tty: Tty, input: boolean): void {
    if (input) this.#held = new Uint8Array(0);
  }

  override transmit(tty: Tty): void {
    const registers = this.#registers;
    const ring = tty.output.ring;
    let busy = false;
    while (ring.length > 0 && !tty.outputStopped) {
      if ((registers.read8(LSR) & LSR_THR_EMPTY) === 0) {
        busy = true;
        break;
      }
      const count = Math.min(FIFO_BYTES, ring.length);
      for (let i = 0; i < count; i++) registers.write8(RBR_THR, ring.at(i));
      ring.skip(count);
    }
    const wanted = busy ? this.#interrupts | IER_THR_EMPTY : this.#interrupts & ~IER_THR_EMPTY;
    this.#setInterrupts(wanted);
    tty.outputTaken();
  }

  #setInterrupts(mask: number): void {
    if (mask === this.#interrupts) return;
    this.#interrupts = mask;
    this.#registers.write8(IER, mask);
  }
}
