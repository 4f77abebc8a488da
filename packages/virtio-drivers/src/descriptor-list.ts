/** Buffers of one request: device-readable ones first. Reusable; filling it allocates nothing. */
export class DescriptorList {
  count = 0;
  readableCount = 0;
  writableBytes = 0;
  readonly paddrs: Float64Array;
  readonly byteLengths: Float64Array;

  constructor(capacity: number) {
    this.paddrs = new Float64Array(capacity);
    this.byteLengths = new Float64Array(capacity);
  }

  clear(): void {
    this.count = 0;
    this.readableCount = 0;
    this.writableBytes = 0;
  }

  /** False if the list is full. Throws RangeError after a writable buffer (§2.7.4.2). */
  pushReadable(paddr: number, byteLength: number): boolean {
    if (this.count !== this.readableCount) throw new RangeError("readable buffers must come before writable ones");
    if (this.count === this.paddrs.length) return false;
    this.paddrs[this.count] = paddr;
    this.byteLengths[this.count++] = byteLength;
    this.readableCount++;
    return true;
  }

  /** False if the list is full. */
  pushWritable(paddr: number, byteLength: number): boolean {
    if (this.count === this.paddrs.length) return false;
    this.paddrs[this.count] = paddr;
    this.byteLengths[this.count++] = byteLength;
    this.writableBytes += byteLength;
    return true;
  }
}
