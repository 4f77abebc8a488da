/** What the compressed backends share: reading a stream in spans, and keeping some of them. */
import { type BlockDevice, checkTransfer, SECTOR_SIZE } from "../block-device.ts";
import { EROFS } from "../errno.ts";

/** Decompressed spans in memory, the least recently used one going first. */
class SpanCache {
  readonly #spans = new Map<number, Uint8Array>();
  readonly #limit: number;
  #bytes = 0;

  /** @param limit bytes to keep; the span used last stays even when it alone is larger. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get byteLength(): number {
    return this.#bytes;
  }

  get(index: number): Uint8Array | undefined {
    const found = this.#spans.get(index);
    if (found === undefined) return undefined;
    this.#spans.delete(index);
    this.#spans.set(index, found);
    return found;
  }

  put(index: number, bytes: Uint8Array): void {
    this.#spans.set(index, bytes);
    this.#bytes += bytes.length;
    for (const [oldest, span] of this.#spans) {
      if (this.#bytes <= this.#limit || oldest === index) break;
      this.#spans.delete(oldest);
      this.#bytes -= span.length;
    }
  }
}

/**
 * A compressed image as a read-only disk: its content is cut into spans, each of which can be decompressed on its own.
 * What remains to be said by a format is how.
 */
export abstract class SpanDisk implements BlockDevice {
  readonly size: number;
  readonly blockSize: number = SECTOR_SIZE;
  readonly readOnly: boolean = true;
  /** Bytes that the file decompresses to; `size` is this rounded up to 512. */
  readonly byteLength: number;
  readonly #starts: readonly number[];
  readonly #cache: SpanCache;

  /** @param starts where each span begins, ascending, the first at 0. @param cacheBytes of decompressed spans to keep. */
  protected constructor(starts: readonly number[], byteLength: number, cacheBytes: number) {
    this.#starts = starts;
    this.byteLength = byteLength;
    this.size = Math.max(SECTOR_SIZE, Math.ceil(byteLength / SECTOR_SIZE) * SECTOR_SIZE);
    this.#cache = new SpanCache(cacheBytes);
  }

  /** Decompresses a span of `byteLength` bytes: its content, or -errno. */
  protected abstract unpack(index: number, byteLength: number): Uint8Array | number;

  /** Places where decompression can begin. */
  get spanCount(): number {
    return this.#starts.length;
  }
  /** Bytes of decompressed data in memory now. */
  get cachedBytes(): number {
    return this.#cache.byteLength;
  }

  readBlock(blockId: number, buf: Uint8Array): number {
    const error = checkTransfer(this, blockId, buf.length);
    if (error !== 0) return error;
    const start = blockId * SECTOR_SIZE;
    let done = 0;
    for (let index = findSpan(this.#starts, start); done < buf.length && start + done < this.byteLength; index++) {
      const span = this.#span(index);
      if (typeof span === "number") return span;
      const within = start + done - this.#starts[index];
      const count = Math.min(buf.length - done, span.length - within);
      if (count > 0) buf.set(span.subarray(within, within + count), done);
      done += Math.max(0, count);
    }
    buf.fill(0, done);
    return 0;
  }

  writeBlock(_blockId: number, _buf: Uint8Array): number {
    return -EROFS;
  }

  flush(): number {
    return 0;
  }

  #span(index: number): Uint8Array | number {
    const cached = this.#cache.get(index);
    if (cached !== undefined) return cached;
    const end = this.#starts[index + 1] ?? this.byteLength;
    const span = this.unpack(index, end - this.#starts[index]);
    if (typeof span !== "number") this.#cache.put(index, span);
    return span;
  }
}

/** The last span that begins at or before `position`. */
function findSpan(starts: readonly number[], position: number): number {
  let low = 0;
  let high = starts.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (starts[middle] <= position) low = middle;
    else high = middle;
  }
  return low;
}
