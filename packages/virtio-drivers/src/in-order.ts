/**
 * The order in which chains became available, for VIRTIO_F_IN_ORDER: a device uses them in that order and may report a batch by
 * its last chain only (§2.7.9, §2.8.9); the others count as used completely.
 */
export class InOrder {
  readonly #tokens: Uint16Array;
  #first = 0;
  #count = 0;
  /** Chains of the current batch that were not popped yet, and the length that the device gave for its last one. */
  #left = 0;
  #lastLength = 0;

  constructor(capacity: number) {
    this.#tokens = new Uint16Array(capacity);
  }

  clear(): void {
    this.#first = 0;
    this.#count = 0;
    this.#left = 0;
  }

  /** `token` became available. */
  push(token: number): void {
    this.#tokens[(this.#first + this.#count++) % this.#tokens.length] = token;
  }

  /** Are there reported chains to pop? */
  get hasBatch(): boolean {
    return this.#left > 0;
  }

  /** The chain that is to be popped next. */
  get next(): number {
    return this.#tokens[this.#first];
  }

  /** The device reported `token`, which ends a batch of at most `limit` chains. False if that cannot be. */
  report(token: number, length: number, limit: number): boolean {
    const most = Math.min(this.#count, limit);
    for (let i = 0; i < most; i++) {
      if (this.#tokens[(this.#first + i) % this.#tokens.length] !== token) continue;
      this.#left = i + 1;
      this.#lastLength = length;
      return true;
    }
    return false;
  }

  /** Takes the next chain out of the batch; `complete` is its length if the device did not tell. Returns its length. */
  pop(complete: number): number {
    this.#first = (this.#first + 1) % this.#tokens.length;
    this.#count--;
    return --this.#left === 0 ? this.#lastLength : complete;
  }
}
