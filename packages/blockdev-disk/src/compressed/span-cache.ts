/** Decompressed spans in memory, the least recently used one going first; what every compressed backend reads through. */
export class SpanCache {
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
 * Reads `buf` from position `start` of a stream that is cut into spans: `starts[i]` is where span i begins, ascending, and
 * `load` gives its bytes or -errno. What lies beyond the last span reads as zeros.
 */
export function readSpans(
  start: number,
  buf: Uint8Array,
  starts: readonly number[],
  total: number,
  load: (index: number) => Uint8Array | number,
): number {
  let done = 0;
  if (starts.length === 0) buf.fill(0);
  else {
    let index = findSpan(starts, start);
    while (done < buf.length && start + done < total) {
      const span = load(index);
      if (typeof span === "number") return span;
      const within = start + done - starts[index];
      const count = Math.min(buf.length - done, span.length - within);
      if (count > 0) {
        buf.set(span.subarray(within, within + count), done);
        done += count;
      }
      index++;
    }
    buf.fill(0, done);
  }
  return 0;
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
