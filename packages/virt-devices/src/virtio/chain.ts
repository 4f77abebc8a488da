/**
 * The buffers of one request as a device sees them, and the checks that let it trust them: everything in a descriptor is written
 * by the guest.
 *
 * Spec: virtio 1.2 §2.7.4, §2.7.5, §2.8.7.
 */
import type { GuestMemory } from "../seams.ts";

const TWO_POW_32 = 0x1_0000_0000;
/** Up to this many bytes a loop beats `set(subarray())`, which allocates a view. */
const SMALL_COPY = 64;
/** `append` took the segment. */
export const APPENDED = "";

/** The buffers of one request: driver-readable segments first, device-writable ones after them. */
export class DescriptorChain {
  /** What identifies the chain to the driver: index of its first descriptor (split), buffer id (packed). */
  head = 0;
  /** Segments in total; the first `readableCount` are driver-readable. */
  count = 0;
  readableCount = 0;
  readableBytes = 0;
  writableBytes = 0;
  /** Index of each segment's first byte in `GuestMemory.bytes`, already range-checked. */
  readonly start: Float64Array;
  readonly byteLength: Float64Array;
  readonly #memory: GuestMemory;

  constructor(memory: GuestMemory, capacity: number) {
    this.#memory = memory;
    this.start = new Float64Array(capacity);
    this.byteLength = new Float64Array(capacity);
  }

  clear(head: number): void {
    this.head = head;
    this.count = 0;
    this.readableCount = 0;
    this.readableBytes = 0;
    this.writableBytes = 0;
  }

  /** Adds the segment of one descriptor to a chain of at most `limit`. APPENDED, or what is wrong with it. */
  append(low: number, high: number, length: number, isWritable: boolean, limit: number): string {
    // A loop visits more descriptors than a chain may have.
    if (this.count >= limit) return "descriptor chain is longer than the queue, or loops";
    if (length === 0) return "zero-sized buffer";
    const start = mapRange(this.#memory, low, high, length, 1);
    if (start < 0) return "buffer outside RAM";
    if (this.readableBytes + this.writableBytes + length > TWO_POW_32) return "chain of more than 2^32 bytes";
    if (isWritable) {
      this.writableBytes += length;
    } else {
      if (this.writableBytes !== 0) return "readable buffer after a writable one";
      this.readableCount++;
      this.readableBytes += length;
    }
    this.start[this.count] = start;
    this.byteLength[this.count] = length;
    this.count++;
    return APPENDED;
  }

  /** Copies from the readable part at `offset`; returns the bytes copied, fewer if the part ends. */
  read(offset: number, target: Uint8Array, byteLength: number): number {
    const ram = this.#memory.bytes;
    let done = 0;
    for (let i = 0; i < this.readableCount && done < byteLength; i++) {
      const length = this.byteLength[i];
      if (offset >= length) {
        offset -= length;
        continue;
      }
      const n = Math.min(length - offset, byteLength - done);
      const from = this.start[i] + offset;
      if (n > SMALL_COPY) target.set(ram.subarray(from, from + n), done);
      else for (let k = 0; k < n; k++) target[done + k] = ram[from + k];
      done += n;
      offset = 0;
    }
    return done;
  }

  /** Copies into the writable part at `offset`; returns the bytes copied, fewer if the part ends. */
  write(offset: number, source: Uint8Array, byteLength: number): number {
    const memory = this.#memory;
    const ram = memory.bytes;
    let done = 0;
    for (let i = this.readableCount; i < this.count && done < byteLength; i++) {
      const length = this.byteLength[i];
      if (offset >= length) {
        offset -= length;
        continue;
      }
      const n = Math.min(length - offset, byteLength - done);
      const to = this.start[i] + offset;
      if (n > SMALL_COPY) ram.set(source.subarray(done, done + n), to);
      else for (let k = 0; k < n; k++) ram[to + k] = source[done + k];
      memory.didWrite?.(memory.base + to, n);
      done += n;
      offset = 0;
    }
    return done;
  }
}

/** RAM index of a guest-physical range, or -1. `low` and `high` may be signed or unsigned words. */
export function mapRange(
  memory: GuestMemory,
  low: number,
  high: number,
  byteLength: number,
  alignment: number,
): number {
  const start = (high >>> 0) * TWO_POW_32 + (low >>> 0) - memory.base;
  if (start < 0 || start + byteLength > memory.size) return -1;
  return (low & (alignment - 1)) === 0 ? start : -1;
}
