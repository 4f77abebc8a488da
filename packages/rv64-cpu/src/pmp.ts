/**
 * Physical memory protection: 16 entries with a granularity of a page, so that a page is allowed or not as a whole and the
 * answer can be kept in the TLB.
 *
 * The registers are the CSR file's; `configure` is called after each change and works out address ranges. With the granularity
 * G = 10 the mode NA4 does not exist, and low address bits read as the specification has it (`readAddress`).
 *
 * Source: RISC-V Volume II (20240411), 3.7.
 */
import { ACCESS_FETCH, ACCESS_READ } from "./mmu.ts";

export const PMP_ENTRIES = 16;

// A byte of pmpcfg.
export const PMP_R: number = 1 << 0;
export const PMP_W: number = 1 << 1;
export const PMP_X: number = 1 << 2;
export const PMP_A: number = 3 << 3;
export const PMP_L: number = 1 << 7;
const A_TOR = 1 << 3;
const A_NA4 = 2 << 3;
const A_NAPOT = 3 << 3;

const PRIV_M = 3;
/** Bits of pmpaddr below the granularity: 9:0 for TOR, and for NAPOT 8:0, which are ones. */
const TOR_LOW = 0x3ff;
const NAPOT_LOW = 0x1ff;
/** pmpaddr holds bits 55:2. */
const ADDRESS_HI = 0x3f_ffff;

/** What a write of one configuration byte leaves behind. */
export function legalConfig(old: number, value: number): number {
  if ((old & PMP_L) !== 0) return old;
  let next = value & (PMP_R | PMP_W | PMP_X | PMP_A | PMP_L);
  if ((next & (PMP_R | PMP_W)) === PMP_W) next &= ~PMP_W; // reserved
  if ((next & PMP_A) === A_NA4) next = (next & ~PMP_A) | (old & PMP_A);
  return next;
}

export class Pmp {
  // Active entries in order of priority: first byte, end, configuration.
  readonly #start: number[] = [];
  readonly #end: number[] = [];
  readonly #config: number[] = [];

  /** `config`: 16 bytes; `address`: 16 pairs of int32. */
  configure(config: Uint8Array, address: Int32Array): void {
    this.#start.length = this.#end.length = this.#config.length = 0;
    for (let n = 0; n < PMP_ENTRIES; n++) {
      const mode = config[n] & PMP_A;
      if (mode === 0) continue;
      const [start, end] =
        mode === A_NAPOT ? napot(address, n) : [n === 0 ? 0 : bound(address, n - 1), bound(address, n)];
      if (start >= end) continue;
      this.#start.push(start);
      this.#end.push(end);
      this.#config.push(config[n]);
    }
  }

  /** May `privilege` (0, 1, 3) access the page of `paddr`? `access` is ACCESS_*. */
  allows(paddr: number, access: number, privilege: number): boolean {
    for (let n = 0; n < this.#start.length; n++) {
      if (paddr < this.#start[n] || paddr >= this.#end[n]) continue;
      const config = this.#config[n];
      if (privilege === PRIV_M && (config & PMP_L) === 0) return true;
      return (config & (access === ACCESS_READ ? PMP_R : access === ACCESS_FETCH ? PMP_X : PMP_W)) !== 0;
    }
    return privilege === PRIV_M;
  }

  /** Supervisor and user mode may do everything in [start, end). */
  isOpen(start: number, end: number): boolean {
    const all = PMP_R | PMP_W | PMP_X;
    for (let n = 0; n < this.#start.length; n++) {
      if (this.#end[n] <= start || this.#start[n] >= end) continue;
      return this.#start[n] <= start && this.#end[n] >= end && (this.#config[n] & all) === all;
    }
    return false;
  }
}

/** pmpaddr as it reads: bits below the granularity depend on the entry's mode. */
export function readAddress(lo: number, config: number): number {
  return (config & A_NA4) !== 0 ? lo | NAPOT_LOW : lo & ~TOR_LOW;
}

/** The high word of a value written to pmpaddr. */
export function legalAddressHi(hi: number): number {
  return hi & ADDRESS_HI;
}

/** A write to pmpaddr `n` has no effect: the entry is locked, or is the lower bound of a locked TOR entry. */
export function isAddressLocked(config: Uint8Array, n: number): boolean {
  if ((config[n] & PMP_L) !== 0) return true;
  return n + 1 < PMP_ENTRIES && (config[n + 1] & (PMP_L | PMP_A)) === (PMP_L | A_TOR);
}

function bound(address: Int32Array, n: number): number {
  return ((address[2 * n + 1] & ADDRESS_HI) * 0x1_0000_0000 + ((address[2 * n] & ~TOR_LOW) >>> 0)) * 4;
}

/** The range that the trailing ones of pmpaddr encode. */
function napot(address: Int32Array, n: number): readonly [number, number] {
  const lo = address[2 * n] | NAPOT_LOW;
  const hi = address[2 * n + 1] & ADDRESS_HI;
  const isLong = lo === -1;
  const ones = isLong ? 32 + trailingOnes(hi) : trailingOnes(lo);
  const size = 2 ** (ones + 3);
  const base = (isLong ? hi & (hi + 1) : hi) * 0x1_0000_0000 + (isLong ? 0 : (lo & (lo + 1)) >>> 0);
  const start = Math.floor((base * 4) / size) * size;
  return [start, start + size];
}

function trailingOnes(word: number): number {
  return 31 - Math.clz32(~word & (word + 1));
}
