/** A set of bytes as ranges that neither touch nor overlap, in ascending order. */

export interface ByteRange {
  readonly start: number;
  /** Behind the last byte. */
  readonly end: number;
}

export class RangeSet {
  #ranges: ByteRange[] = [];

  get isEmpty(): boolean {
    return this.#ranges.length === 0;
  }

  add(start: number, end: number): void {
    const first = this.#ranges.findIndex((range) => range.end >= start);
    const at = first < 0 ? this.#ranges.length : first;
    let last = at;
    let merged: ByteRange = { start, end };
    for (; last < this.#ranges.length && this.#ranges[last].start <= end; last++) {
      const range = this.#ranges[last];
      merged = { start: Math.min(merged.start, range.start), end: Math.max(merged.end, range.end) };
    }
    this.#ranges.splice(at, last - at, merged);
  }

  remove(start: number, end: number): void {
    if (this.#ranges.length === 0) return;
    const rest: ByteRange[] = [];
    for (const range of this.#ranges) {
      if (range.end <= start || range.start >= end) rest.push(range);
      else {
        if (range.start < start) rest.push({ start: range.start, end: start });
        if (range.end > end) rest.push({ start: end, end: range.end });
      }
    }
    this.#ranges = rest;
  }

  /** All ranges; the set is empty afterwards. */
  take(): readonly ByteRange[] {
    const taken = this.#ranges;
    this.#ranges = [];
    return taken;
  }
}
