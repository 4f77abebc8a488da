/**
 * Bit sets and counters over a huge range of which little is used: pages are made when something is first written into them, so
 * memory grows with what a file system holds, not with the size it claims.
 */
import { allBits, clearBits, setBits } from "../bitmap.ts";

const PAGE_BITS = 32768;
const PAGE_BYTES = PAGE_BITS / 8;

/** A set of non-negative integers. */
export class SparseBits {
  readonly #pages = new Map<number, Uint8Array>();

  has(n: number): boolean {
    const page = this.#pages.get(Math.floor(n / PAGE_BITS));
    return page !== undefined && (page[(n % PAGE_BITS) >> 3] & (1 << (n & 7))) !== 0;
  }

  /** Adds `n`; false if it was there already. */
  add(n: number): boolean {
    const page = this.#page(n);
    const at = (n % PAGE_BITS) >> 3;
    const mask = 1 << (n & 7);
    if ((page[at] & mask) !== 0) return false;
    page[at] |= mask;
    return true;
  }

  delete(n: number): void {
    const page = this.#pages.get(Math.floor(n / PAGE_BITS));
    if (page !== undefined) page[(n % PAGE_BITS) >> 3] &= ~(1 << (n & 7));
  }

  /** Whether none of `count` numbers from `start` on is in the set. */
  isFree(start: number, count: number): boolean {
    for (let n = start; n < start + count; ) {
      const within = n % PAGE_BITS;
      const step = Math.min(PAGE_BITS - within, start + count - n);
      const page = this.#pages.get(Math.floor(n / PAGE_BITS));
      if (page !== undefined && !allBits(page, within, step, false)) return false;
      n += step;
    }
    return true;
  }

  addRange(start: number, count: number): void {
    for (let n = start; n < start + count; ) {
      const within = n % PAGE_BITS;
      const step = Math.min(PAGE_BITS - within, start + count - n);
      setBits(this.#page(n), within, step);
      n += step;
    }
  }

  deleteRange(start: number, count: number): void {
    for (let n = start; n < start + count; ) {
      const within = n % PAGE_BITS;
      const step = Math.min(PAGE_BITS - within, start + count - n);
      const page = this.#pages.get(Math.floor(n / PAGE_BITS));
      if (page !== undefined) clearBits(page, within, step);
      n += step;
    }
  }

  /** Copies the `count` bits from `start` on into `out`, bit 0 first. */
  copyTo(start: number, count: number, out: Uint8Array): void {
    out.fill(0, 0, (count + 7) >> 3);
    if ((start & 7) === 0) {
      for (let done = 0; done < count; ) {
        const within = (start + done) % PAGE_BITS;
        const step = Math.min(PAGE_BITS - within, count - done);
        const page = this.#pages.get(Math.floor((start + done) / PAGE_BITS));
        if (page !== undefined) out.set(page.subarray(within >> 3, (within + step + 7) >> 3), done >> 3);
        done += step;
      }
      if ((count & 7) !== 0) out[count >> 3] &= (1 << (count & 7)) - 1;
      return;
    }
    // One page at a time, shifted: group starts of 1 KiB file systems are odd.
    for (let done = 0; done < count; ) {
      const within = (start + done) % PAGE_BITS;
      const step = Math.min(PAGE_BITS - within, count - done);
      const page = this.#pages.get(Math.floor((start + done) / PAGE_BITS));
      if (page !== undefined) copyShifted(page, within, step, out, done);
      done += step;
    }
  }

  /** The members in ascending order. */
  *[Symbol.iterator](): Generator<number> {
    for (const index of [...this.#pages.keys()].sort((a, b) => a - b)) {
      const page = this.#pages.get(index) as Uint8Array;
      for (let byte = 0; byte < PAGE_BYTES; byte++) {
        if (page[byte] === 0) continue;
        for (let bit = 0; bit < 8; bit++) {
          if ((page[byte] & (1 << bit)) !== 0) yield index * PAGE_BITS + byte * 8 + bit;
        }
      }
    }
  }

  #page(n: number): Uint8Array {
    const index = Math.floor(n / PAGE_BITS);
    let page = this.#pages.get(index);
    if (page === undefined) {
      page = new Uint8Array(PAGE_BYTES);
      this.#pages.set(index, page);
    }
    return page;
  }
}

function copyShifted(from: Uint8Array, start: number, count: number, to: Uint8Array, at: number): void {
  for (let i = 0; i < count; ) {
    const source = start + i;
    if ((source & 7) === 0 && count - i >= 8) {
      const byte = from[source >> 3];
      if (byte !== 0) {
        const shift = (at + i) & 7;
        to[(at + i) >> 3] |= byte << shift;
        if (shift !== 0) to[((at + i) >> 3) + 1] |= byte >> (8 - shift);
      }
      i += 8;
    } else {
      if ((from[source >> 3] & (1 << (source & 7))) !== 0) to[(at + i) >> 3] |= 1 << ((at + i) & 7);
      i++;
    }
  }
}

const COUNT_PAGE = 2048;

/** Unsigned 32-bit counters, all 0 to begin with. */
export class SparseCounts {
  readonly #pages = new Map<number, Uint32Array>();

  get(n: number): number {
    return this.#pages.get(Math.floor(n / COUNT_PAGE))?.[n % COUNT_PAGE] ?? 0;
  }

  set(n: number, value: number): void {
    const index = Math.floor(n / COUNT_PAGE);
    let page = this.#pages.get(index);
    if (page === undefined) {
      if (value === 0) return;
      page = new Uint32Array(COUNT_PAGE);
      this.#pages.set(index, page);
    }
    page[n % COUNT_PAGE] = value;
  }

  /** Adds one and gives the new value. */
  increment(n: number): number {
    const value = this.get(n) + 1;
    this.set(n, value);
    return value;
  }
}
