/**
 * Chunks of a larger thing in memory, bounded, the least recently used going first. Chunks that are pinned stay.
 */
export class ChunkCache {
  readonly #chunks = new Map<number, Uint8Array>();
  readonly #pins = new Map<number, number>();
  readonly #limit: number;
  #bytes = 0;

  /** @param limit bytes to keep, not counting what is pinned beyond it. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get byteLength(): number {
    return this.#bytes;
  }

  has(index: number): boolean {
    return this.#chunks.has(index);
  }

  get(index: number): Uint8Array | undefined {
    const found = this.#chunks.get(index);
    if (found === undefined) return undefined;
    this.#chunks.delete(index); // to the young end
    this.#chunks.set(index, found);
    return found;
  }

  put(index: number, bytes: Uint8Array): void {
    if (this.#chunks.has(index)) return;
    this.#chunks.set(index, bytes);
    this.#bytes += bytes.length;
    this.#trim(index);
  }

  pin(index: number): void {
    this.#pins.set(index, (this.#pins.get(index) ?? 0) + 1);
  }

  unpin(index: number): void {
    const count = (this.#pins.get(index) ?? 1) - 1;
    if (count > 0) this.#pins.set(index, count);
    else this.#pins.delete(index);
    this.#trim(-1);
  }

  clear(): void {
    this.#chunks.clear();
    this.#bytes = 0;
  }

  #trim(newest: number): void {
    if (this.#bytes <= this.#limit) return;
    for (const [index, bytes] of this.#chunks) {
      if (this.#bytes <= this.#limit) return;
      if (index === newest || this.#pins.has(index)) continue;
      this.#chunks.delete(index);
      this.#bytes -= bytes.length;
    }
  }
}

/**
 * How far to read ahead: doubles with every request that continues the last one, up to `limit`, and begins anew elsewhere.
 */
export class ReadAhead {
  readonly #limit: number;
  readonly #first: number;
  #next = -1;
  #window = 0;

  /** @param first bytes ahead of the second request of a run. @param limit bytes; 0 = never read ahead. */
  constructor(first: number, limit: number) {
    this.#first = first;
    this.#limit = limit;
  }

  /** Bytes to fetch beyond a request for [position, end). */
  beyond(position: number, end: number): number {
    const continues = position === this.#next;
    this.#window = continues ? Math.min(this.#limit, Math.max(this.#first, this.#window * 2)) : 0;
    this.#next = end + this.#window;
    return this.#window;
  }
}
