/**
 * Formatted records through a read buffer of any size.
 *
 * Trace text is consumed by whole records, but a reader's buffer may be smaller than one line. `TextDrain` returns the part that fits and keeps the
 * rest for the next read, so a short buffer never looks like the end of the file. A record is popped only when all of its bytes have a
 * home: in the buffer or in the drain.
 */
import { encodeUtf8 } from "./utf8.ts";

/** How many bytes of the read buffer are filled. */
export interface CopyLength {
  value: number;
}

const EMPTY = new Uint8Array(0);

export class TextDrain {
  #pending: Uint8Array = EMPTY;
  #position = 0;

  /** Bytes waiting for the next read. */
  get pendingLength(): number {
    return this.#pending.length - this.#position;
  }

  /** Discards what is pending. */
  reset(): void {
    this.#pending = EMPTY;
    this.#position = 0;
  }

  /** Moves as many pending bytes as fit to the start of `buf`; returns their number. */
  drainPending(buf: Uint8Array): number {
    const length = Math.min(this.pendingLength, buf.length);
    if (length === 0) return 0;
    buf.set(this.#pending.subarray(this.#position, this.#position + length));
    this.#position += length;
    if (this.#position === this.#pending.length) this.reset();
    return length;
  }

  /**
   * Copies one formatted record to `buf` from `copyLength.value` on, and keeps what does not fit.
   * False: no room at all, the caller must not consume the record. True: consumed (an empty record always is).
   */
  copyRecord(record: Uint8Array, buf: Uint8Array, copyLength: CopyLength): boolean {
    if (record.length === 0) return true;
    const room = buf.length - copyLength.value;
    if (room === 0) return false;
    const length = Math.min(record.length, room);
    buf.set(record.subarray(0, length), copyLength.value);
    copyLength.value += length;
    if (length < record.length) this.#keep(record.subarray(length));
    return true;
  }

  #keep(rest: Uint8Array): void {
    const joined = new Uint8Array(this.pendingLength + rest.length);
    joined.set(this.#pending.subarray(this.#position));
    joined.set(rest, this.pendingLength);
    this.#pending = joined;
    this.#position = 0;
  }
}

/** Records that can be looked at before they are consumed. */
export interface PeekPop<T> {
  peek(): T | undefined;
  pop(): T | undefined;
}

/**
 * Fills `buf` with what is pending and then with formatted records, as long as there is room and there are records.
 * Returns the number of bytes; 0 means there was nothing (or no room).
 */
export function commonTracePipeRead<T>(
  source: PeekPop<T>,
  drain: TextDrain,
  buf: Uint8Array,
  format: (record: T) => string,
): number {
  const copied: CopyLength = { value: drain.drainPending(buf) };
  while (copied.value < buf.length) {
    const record = source.peek();
    if (record === undefined) break;
    if (!drain.copyRecord(encodeUtf8(format(record)), buf, copied)) break;
    source.pop();
  }
  return copied.value;
}
