/**
 * Core-local interruptor (SiFive CLINT layout): machine software interrupts and the machine timer of each hart.
 *
 *   0x0000 + 4*h   msip      bit 0
 *   0x4000 + 8*h   mtimecmp  64 bits
 *   0xbff8         mtime     64 bits, common to all harts
 *
 * Time is injected in ticks; the device keeps only the offset that a guest may write. Nobody calls it when time passes:
 * whoever runs the hart calls `update` between slices and may sleep for `ticksUntilTimer`.
 *
 * Spec: RISC-V Privileged 3.2.1; SiFive E31 manual, chapter 9. Ticks are exact up to 2^53.
 */
import type { AccessLength, IrqLine, MmioDevice } from "./seams.ts";

export const CLINT_MSIP = 0x0000;
export const CLINT_MTIMECMP = 0x4000;
export const CLINT_MTIME = 0xbff8;
export const CLINT_SIZE = 0x1_0000;
/** Ticks a second on QEMU's virt board (`timebase-frequency`). */
export const CLINT_TIMEBASE_HZ = 10_000_000;

const TWO_POW_32 = 0x1_0000_0000;

export interface ClintHart {
  /** mip.MSIP */
  readonly software: IrqLine;
  /** mip.MTIP */
  readonly timer: IrqLine;
}

export interface ClintOptions {
  readonly harts: readonly ClintHart[];
  /** Ticks since an arbitrary start, an integer, never going back. */
  readonly nowTicks: () => number;
}

export class Clint implements MmioDevice {
  readonly #harts: readonly ClintHart[];
  readonly #nowTicks: () => number;
  readonly #msip: Uint8Array;
  readonly #compareLow: Uint32Array;
  readonly #compareHigh: Uint32Array;
  /** mtime = nowTicks() + offset */
  #offset = 0;

  constructor(options: ClintOptions) {
    const count = options.harts.length;
    this.#harts = options.harts;
    this.#nowTicks = options.nowTicks;
    this.#msip = new Uint8Array(count);
    this.#compareLow = new Uint32Array(count).fill(0xffff_ffff);
    this.#compareHigh = new Uint32Array(count).fill(0xffff_ffff);
  }

  /** mtime in ticks. */
  get mtime(): number {
    return this.#nowTicks() + this.#offset;
  }

  /** Brings the timer lines up to the present time. */
  update(): void {
    const now = this.mtime;
    for (let hart = 0; hart < this.#harts.length; hart++) {
      if (now >= this.#compare(hart)) this.#harts[hart].timer.raise();
      else this.#harts[hart].timer.lower();
    }
  }

  /** Ticks until the next timer interrupt of any hart; 0 if one is due, Infinity if none is near. */
  ticksUntilTimer(): number {
    const now = this.mtime;
    let least = Infinity;
    for (let hart = 0; hart < this.#harts.length; hart++) least = Math.min(least, this.#compare(hart) - now);
    return least > Number.MAX_SAFE_INTEGER ? Infinity : Math.max(least, 0);
  }

  read(offset: number, byteLength: AccessLength): number {
    if (byteLength === 8 && (offset & 7) === 0) return this.#readWord(offset + 4) * TWO_POW_32 + this.#readWord(offset);
    return byteLength === 4 && (offset & 3) === 0 ? this.#readWord(offset) : 0;
  }

  write(offset: number, byteLength: AccessLength, value: number): void {
    if (byteLength === 8 && (offset & 7) === 0) {
      // A double near 2^64 rounds up to it; the register then holds all ones.
      const isMax = value >= TWO_POW_32 * TWO_POW_32;
      this.#writeWord(offset, isMax ? 0xffff_ffff : value % TWO_POW_32);
      this.#writeWord(offset + 4, isMax ? 0xffff_ffff : Math.floor(value / TWO_POW_32));
    } else if (byteLength === 4 && (offset & 3) === 0) {
      this.#writeWord(offset, value >>> 0);
    } else {
      return;
    }
    this.update();
  }

  save(): readonly number[] {
    return [this.mtime, ...this.#msip, ...this.#compareLow, ...this.#compareHigh];
  }

  /** mtime goes on from the saved value. */
  restore(state: readonly number[]): void {
    const count = this.#harts.length;
    this.#offset = state[0] - this.#nowTicks();
    for (let hart = 0; hart < count; hart++) {
      this.#setSoftware(hart, state[1 + hart]);
      this.#compareLow[hart] = state[1 + count + hart];
      this.#compareHigh[hart] = state[1 + 2 * count + hart];
    }
    this.update();
  }

  #compare(hart: number): number {
    return this.#compareHigh[hart] * TWO_POW_32 + this.#compareLow[hart];
  }

  #readWord(offset: number): number {
    if (offset === CLINT_MTIME) return this.mtime % TWO_POW_32;
    if (offset === CLINT_MTIME + 4) return Math.floor(this.mtime / TWO_POW_32);
    if (offset < CLINT_MTIMECMP) return this.#msip[offset >> 2] ?? 0;
    const hart = (offset - CLINT_MTIMECMP) >> 3;
    if (hart >= this.#harts.length) return 0;
    return (offset & 4) === 0 ? this.#compareLow[hart] : this.#compareHigh[hart];
  }

  #writeWord(offset: number, value: number): void {
    const now = this.mtime;
    if (offset === CLINT_MTIME) {
      this.#offset += value - (now % TWO_POW_32);
    } else if (offset === CLINT_MTIME + 4) {
      this.#offset += (value - Math.floor(now / TWO_POW_32)) * TWO_POW_32;
    } else if (offset < CLINT_MTIMECMP) {
      if (offset >> 2 < this.#harts.length) this.#setSoftware(offset >> 2, value & 1);
    } else {
      const hart = (offset - CLINT_MTIMECMP) >> 3;
      if (hart >= this.#harts.length) return;
      if ((offset & 4) === 0) this.#compareLow[hart] = value;
      else this.#compareHigh[hart] = value;
    }
  }

  #setSoftware(hart: number, value: number): void {
    this.#msip[hart] = value;
    if (value !== 0) this.#harts[hart].software.raise();
    else this.#harts[hart].software.lower();
  }
}
