/**
 * Where a read puts its bytes and a write takes them from: Linux's `iov_iter`.
 *
 * Either pieces of a program's memory (one, or an iovec array) or bytes of the kernel's own. A file implementation
 * does not see the difference. It either copies (`put`, `take`) or asks for the next physically contiguous run of
 * guest RAM (`run`) and lets a driver or the page cache work on it in place, then calls `advance`.
 *
 * The buffer remembers its progress, so an operation that had to wait goes on where it stopped.
 * Pages are faulted in on the way. At a bad address it ends early: `put`/`take`/`run` deliver less, `faulted` is true;
 * the caller returns what it has transferred so far, or -EFAULT if nothing (`result(count)`).
 *
 *   // a typical read
 *   const n = buffer.put(data, start, Math.min(available, buffer.remaining));
 *   return buffer.result(n);
 */
import { EFAULT } from "linux-abi";
import type { UserMemory } from "./user-memory.ts";

const PAGE_MASK = 4095;
/** Up to here a loop over the bytes is cheaper than two typed array views (about 100 ns). */
const SMALL_BYTES = 96;
const $empty = new Uint8Array(0);

export class IoBuffer {
  /** Bytes not transferred yet. */
  remaining = 0;
  /** An address of the program was bad. */
  faulted = false;

  #memory: UserMemory | null = null;
  #kernelBytes: Uint8Array = $empty;
  // Current segment: next address (or index into #kernelBytes) and bytes left in it.
  #at = 0;
  #left = 0;
  // Further segments as (address, byteLength) pairs.
  #segments: readonly number[] | null = null;
  #nextSegment = 0;

  /** One piece of a program's memory. Reuses this object; `byteLength` must be within the task's address range or faults later. */
  setUser(memory: UserMemory, va: number, byteLength: number): this {
    this.#memory = memory;
    this.#kernelBytes = $empty;
    this.#at = va;
    this.#left = byteLength;
    this.#segments = null;
    this.remaining = byteLength;
    this.faulted = false;
    return this;
  }

  /** Several pieces: `segments` holds (address, byteLength) pairs and is kept. */
  setUserVector(memory: UserMemory, segments: readonly number[]): this {
    let total = 0;
    for (let i = 1; i < segments.length; i += 2) total += segments[i] as number;
    this.setUser(memory, 0, 0);
    this.#segments = segments;
    this.#nextSegment = 0;
    this.remaining = total;
    return this;
  }

  /** The kernel's own bytes (execve reading headers, splice, in-kernel copies). */
  setKernel(bytes: Uint8Array): this {
    this.#memory = null;
    this.#kernelBytes = bytes;
    this.#at = 0;
    this.#left = bytes.length;
    this.#segments = null;
    this.remaining = bytes.length;
    this.faulted = false;
    return this;
  }

  /** A private copy of the current state, for a wait that outlives this system call's shared buffer. */
  detach(): IoBuffer {
    const copy = new IoBuffer();
    copy.#memory = this.#memory;
    copy.#kernelBytes = this.#kernelBytes;
    copy.#at = this.#at;
    copy.#left = this.#left;
    copy.#segments = this.#segments;
    copy.#nextSegment = this.#nextSegment;
    copy.remaining = this.remaining;
    copy.faulted = this.faulted;
    return copy;
  }

  /** Transfers to the reader: copies `byteLength` bytes of `src` from `start` into the buffer. Returns the count copied. */
  put(src: Uint8Array, start: number, byteLength: number): number {
    if (byteLength <= SMALL_BYTES && this.#isPlain(byteLength)) {
      const memory = this.#memory as UserMemory;
      const index = memory.resolve(this.#at, true);
      if (index >= 0) {
        for (let i = 0; i < byteLength; i++) memory.ram[index + i] = src[start + i] as number;
        memory.stored(index, byteLength);
        this.advance(byteLength);
        return byteLength;
      }
    }
    let done = 0;
    while (done < byteLength) {
      const run = this.run(byteLength - done, true);
      if (run.length === 0) break;
      run.set(src.subarray(start + done, start + done + run.length));
      this.written(run);
      done += run.length;
    }
    return done;
  }

  /** Transfers from the writer: copies `byteLength` bytes out of the buffer into `dst` at `start`. Returns the count copied. */
  take(dst: Uint8Array, start: number, byteLength: number): number {
    if (byteLength <= SMALL_BYTES && this.#isPlain(byteLength)) {
      const memory = this.#memory as UserMemory;
      const index = memory.resolve(this.#at, false);
      if (index >= 0) {
        for (let i = 0; i < byteLength; i++) dst[start + i] = memory.ram[index + i] as number;
        this.advance(byteLength);
        return byteLength;
      }
    }
    let done = 0;
    while (done < byteLength) {
      const run = this.run(byteLength - done, false);
      if (run.length === 0) break;
      dst.set(run, start + done);
      this.advance(run.length);
      done += run.length;
    }
    return done;
  }

  /** The next `byteLength` bytes lie in one segment and in one page of a program's memory. */
  #isPlain(byteLength: number): boolean {
    return this.#memory !== null && byteLength <= this.#left && (this.#at & PAGE_MASK) + byteLength <= PAGE_MASK + 1;
  }

  /** Like `put` with zero bytes. */
  putZeros(byteLength: number): number {
    let done = 0;
    while (done < byteLength) {
      const run = this.run(byteLength - done, true);
      if (run.length === 0) break;
      run.fill(0);
      this.written(run);
      done += run.length;
    }
    return done;
  }

  /**
   * The next contiguous bytes, at most `max`, not consumed. Empty at the end or at a bad address.
   * @param forWriting the kernel is going to store into them (a read system call)
   */
  run(max: number, forWriting: boolean): Uint8Array {
    while (this.#left === 0) {
      const segments = this.#segments;
      if (segments === null || this.#nextSegment >= segments.length) return $empty;
      this.#at = segments[this.#nextSegment] as number;
      this.#left = segments[this.#nextSegment + 1] as number;
      this.#nextSegment += 2;
    }
    let byteLength = max < this.#left ? max : this.#left;
    const memory = this.#memory;
    if (memory === null) return this.#kernelBytes.subarray(this.#at, this.#at + byteLength);
    const inPage = PAGE_MASK + 1 - (this.#at & PAGE_MASK);
    if (byteLength > inPage) byteLength = inPage;
    const index = memory.resolve(this.#at, forWriting);
    if (index < 0) {
      this.faulted = true;
      return $empty;
    }
    return memory.ram.subarray(index, index + byteLength);
  }

  /** Consumes `byteLength` bytes of the last run after reading them. */
  advance(byteLength: number): void {
    this.#at += byteLength;
    this.#left -= byteLength;
    this.remaining -= byteLength;
  }

  /** Consumes a run (or its filled beginning) that has been stored into: tells the hart about changed code. */
  written(run: Uint8Array): void {
    if (this.#memory !== null) this.#memory.stored(run.byteOffset - this.#memory.ram.byteOffset, run.length);
    this.advance(run.length);
  }

  /** What the system call reports after `count` bytes: the count, or -EFAULT if none went through because of a bad address. */
  result(count: number): number {
    return count === 0 && this.faulted ? -EFAULT : count;
  }
}
