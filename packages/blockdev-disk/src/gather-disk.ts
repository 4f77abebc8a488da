/**
 * Joins writes that continue each other into one: for builders of images, which write thousands of small files one behind the other.
 *
 * One run of at most 1 MiB is held back. What does not continue it, a read that touches it, a discard or a flush writes it out first, so
 * that the device below sees all writes in their order. An error of a run that was held back is answered to the call that wrote it out.
 */
import { type BlockDevice, checkTransfer, checkWrite } from "./block-device.ts";

const RUN_BYTES = 1 << 20;
/** Writes of this size are not worth a copy. */
const LARGE_WRITE = 256 << 10;

export class GatherDisk implements BlockDevice {
  readonly size: number;
  readonly blockSize: number;
  readonly readOnly: boolean;
  readonly #inner: BlockDevice;
  readonly #run: Uint8Array;
  #first = 0; // block at which the run begins
  #length = 0; // bytes in it

  constructor(inner: BlockDevice) {
    this.#inner = inner;
    this.size = inner.size;
    this.blockSize = inner.blockSize;
    this.readOnly = inner.readOnly;
    this.#run = new Uint8Array(inner.readOnly ? 0 : RUN_BYTES);
  }

  readBlock(blockId: number, buf: Uint8Array): number {
    const refused = checkTransfer(this, blockId, buf.length);
    if (refused !== 0) return refused;
    const error = this.#touches(blockId, buf.length / this.blockSize) ? this.#writeOut() : 0;
    return error < 0 ? error : this.#inner.readBlock(blockId, buf);
  }

  writeBlock(blockId: number, buf: Uint8Array): number {
    const refused = checkWrite(this, blockId, buf.length);
    if (refused !== 0) return refused;
    const continues = this.#length > 0 && blockId === this.#first + this.#length / this.blockSize;
    if (!continues || this.#length + buf.length > this.#run.length || buf.length >= LARGE_WRITE) {
      const error = this.#writeOut();
      if (error < 0) return error;
      if (buf.length >= LARGE_WRITE) return this.#inner.writeBlock(blockId, buf);
      this.#first = blockId;
    }
    this.#run.set(buf, this.#length);
    this.#length += buf.length;
    return 0;
  }

  flush(): number {
    const error = this.#writeOut();
    return error < 0 ? error : this.#inner.flush();
  }

  discard(blockId: number, count: number): number {
    const error = this.#writeOut();
    return error < 0 ? error : (this.#inner.discard?.(blockId, count) ?? 0);
  }

  #touches(blockId: number, count: number): boolean {
    return this.#length > 0 && blockId < this.#first + this.#length / this.blockSize && blockId + count > this.#first;
  }

  #writeOut(): number {
    if (this.#length === 0) return 0;
    const error = this.#inner.writeBlock(this.#first, this.#run.subarray(0, this.#length));
    if (error === 0) this.#length = 0; // else it stays, and fails again: nothing is lost unnoticed
    return error;
  }
}
