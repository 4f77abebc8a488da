/**
 * A bounded queue of bytes: what pipes, stream sockets and terminals buffer their data in.
 *
 * The storage is a power of two that starts small and doubles up to what the bound needs, so an idle pipe costs little and
 * a busy one never allocates. `start` and `length` say where the bytes are; positions wrap at the storage's size.
 *
 *   room = limit − length        bytes that may still be written (the bound may be lowered below the length: no room then)
 */
import type { IoBuffer } from "../io-buffer.ts";

const INITIAL_BYTES = 4096;

export class ByteRing {
  #bytes: Uint8Array = new Uint8Array(0);
  #mask = -1;
  #start = 0;
  /** Bytes queued. */
  length = 0;
  #limit: number;

  /** @param limit most bytes that may be queued, ≥ 1 */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get limit(): number {
    return this.#limit;
  }

  /** Bytes that may be written now. */
  get room(): number {
    const room = this.#limit - this.length;
    return room > 0 ? room : 0;
  }

  /** A new bound. What is queued stays. */
  setLimit(limit: number): void {
    this.#limit = limit;
  }

  /** Queues up to `max` bytes from the writer's buffer, as many as there is room for. Returns the count. */
  writeFrom(buffer: IoBuffer, max: number): number {
    let todo = Math.min(max, this.room, buffer.remaining);
    this.#reserve(todo);
    let done = 0;
    while (todo > 0) {
      const at = (this.#start + this.length) & this.#mask;
      const chunk = Math.min(todo, this.#mask + 1 - at);
      const count = buffer.take(this.#bytes, at, chunk);
      this.length += count;
      done += count;
      if (count < chunk) break;
      todo -= chunk;
    }
    return done;
  }

  /** Moves up to `max` bytes to the reader's buffer. Returns the count. */
  readTo(buffer: IoBuffer, max: number): number {
    const done = this.copyTo(buffer, 0, max);
    this.skip(done);
    return done;
  }

  /** Copies up to `max` bytes from `offset` behind the start on to the reader's buffer; they stay queued (MSG_PEEK, tee). */
  copyTo(buffer: IoBuffer, offset: number, max: number): number {
    let todo = Math.min(max, this.length - offset, buffer.remaining);
    let from = offset;
    let done = 0;
    while (todo > 0) {
      const at = (this.#start + from) & this.#mask;
      const chunk = Math.min(todo, this.#mask + 1 - at);
      const count = buffer.put(this.#bytes, at, chunk);
      done += count;
      from += count;
      if (count < chunk) break;
      todo -= chunk;
    }
    return done;
  }

  /** Queues bytes of the kernel's own, as many as there is room for. */
  push(src: Uint8Array, start: number, byteLength: number): number {
    const todo = Math.min(byteLength, this.room);
    this.#reserve(todo);
    const at = (this.#start + this.length) & this.#mask;
    const first = Math.min(todo, this.#mask + 1 - at);
    this.#bytes.set(src.subarray(start, start + first), at);
    if (first < todo) this.#bytes.set(src.subarray(start + first, start + todo), 0);
    this.length += todo;
    return todo;
  }

  /** One byte; the caller has looked at `room`. */
  pushByte(byte: number): void {
    this.#reserve(1);
    this.#bytes[(this.#start + this.length) & this.#mask] = byte;
    this.length++;
  }

  /** The byte at `offset` from the start; `offset` < length. */
  at(offset: number): number {
    return this.#bytes[(this.#start + offset) & this.#mask] as number;
  }

  /** The queued bytes that lie in one piece from the start on, as a view. */
  head(max: number): Uint8Array {
    const chunk = Math.min(max, this.length, this.#mask + 1 - this.#start);
    return this.#bytes.subarray(this.#start, this.#start + chunk);
  }

  /** Drops the first `byteLength` bytes (≤ length). */
  skip(byteLength: number): void {
    this.length -= byteLength;
    // An empty ring starts over: short messages then stay in the same few cache lines.
    this.#start = this.length === 0 ? 0 : (this.#start + byteLength) & this.#mask;
  }

  /** Drops all but the first `byteLength` bytes (≤ length). */
  truncate(byteLength: number): void {
    this.length = byteLength;
    if (byteLength === 0) this.#start = 0;
  }

  clear(): void {
    this.skip(this.length);
  }

  #reserve(extra: number): void {
    const needed = this.length + extra;
    const size = this.#mask + 1;
    if (needed <= size) return;
    let grown = size === 0 ? INITIAL_BYTES : size;
    while (grown < needed) grown *= 2;
    const bytes = new Uint8Array(grown);
    const first = Math.min(this.length, size - this.#start);
    bytes.set(this.#bytes.subarray(this.#start, this.#start + first), 0);
    if (first < this.length) bytes.set(this.#bytes.subarray(0, this.length - first), first);
    this.#bytes = bytes;
    this.#mask = grown - 1;
    this.#start = 0;
  }
}
