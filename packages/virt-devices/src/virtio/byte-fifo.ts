/** Bytes that wait for the guest to have room, in a ring of fixed size. */
export class ByteFifo {
  readonly #ring: Uint8Array;
  #start = 0;
  #count = 0;

  constructor(capacity: number) {
    this.#ring = new Uint8Array(capacity);
  }

  get count(): number {
    return this.#count;
  }

  get capacity(): number {
    return this.#ring.length;
  }

  clear(): void {
    this.#start = 0;
    this.#count = 0;
  }

  /** Appends bytes from index `from` on; returns how many found room. */
  push(bytes: Uint8Array, from: number = 0): number {
    const ring = this.#ring;
    const count = Math.min(bytes.length - from, ring.length - this.#count);
    let at = (this.#start + this.#count) % ring.length;
    for (let i = 0; i < count; i++) {
      ring[at] = bytes[from + i];
      at = at + 1 === ring.length ? 0 : at + 1;
    }
    this.#count += count;
    return count;
  }

  /** Moves up to `byteLength` bytes to `target` at `to`; returns how many there were. */
  shift(target: Uint8Array, to: number, byteLength: number): number {
    const ring = this.#ring;
    const count = Math.min(byteLength, this.#count);
    for (let i = 0; i < count; i++) {
      target[to + i] = ring[this.#start];
      this.#start = this.#start + 1 === ring.length ? 0 : this.#start + 1;
    }
    this.#count -= count;
    return count;
  }

  toArray(): number[] {
    return Array.from({ length: this.#count }, (_, i) => this.#ring[(this.#start + i) % this.#ring.length]);
  }

  /** Puts back what `toArray` returned. */
  load(bytes: readonly number[]): void {
    this.clear();
    this.push(Uint8Array.from(bytes));
  }
}
