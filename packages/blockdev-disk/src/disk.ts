/**
 * A disk with a cursor: the byte-addressed face of a BlockDevice, as file system libraries want it.
 *
 * Place: the seed's `Disk` and `KernelDevOp`. `readOne`/`writeOne` move at most one block, a partial block by
 * read-modify-write; `read`/`write` move any number of bytes and hand whole blocks in the middle to the device in one call.
 *
 * Failures (values, never exceptions):
 *  - A device error is returned as it is; bytes moved before it stay moved and the cursor stands behind them.
 *  - Reading at or beyond the end gives 0 (or a short count); writing there gives -ENOSPC (or a short count).
 *  - `seek` to a negative position or with an unknown whence is -EINVAL and leaves the cursor alone;
 *    beyond the end is allowed and reported through `warn`.
 */
import type { BlockDevice } from "./block-device.ts";
import { EINVAL, ENOSPC } from "./errno.ts";

export const SEEK_SET = 0;
export const SEEK_CUR = 1;
export const SEEK_END = 2;

/** The operations through which a file system drives a disk: lwext4's `KernelDevOp`. */
export interface KernelDevOp {
  /** Bytes read into `buf` at the cursor, or -errno. */
  read(buf: Uint8Array): number;
  /** Bytes of `buf` written at the cursor, or -errno. */
  write(buf: Uint8Array): number;
  /** Makes completed writes durable: 0 or -errno. */
  flush(): number;
  /** The new position, or -EINVAL. `whence` is SEEK_SET, SEEK_CUR or SEEK_END. */
  seek(offset: number, whence: number): number;
}

export interface DiskOptions {
  /** Receives a line when a caller seeks beyond the end. Default: ignored. */
  readonly warn?: (message: string) => void;
}

export class Disk implements KernelDevOp {
  /** The device below. */
  readonly device: BlockDevice;
  #position = 0;
  readonly #block: Uint8Array; // work buffer for partial blocks
  readonly #warn: ((message: string) => void) | undefined;

  constructor(device: BlockDevice, options: DiskOptions = {}) {
    this.device = device;
    this.#block = new Uint8Array(device.blockSize);
    this.#warn = options.warn;
  }

  /** Bytes. */
  get size(): number {
    return this.device.size;
  }

  /** The cursor: bytes from the start. */
  get position(): number {
    return this.#position;
  }

  /** @throws RangeError unless `position` is an integer ≥ 0. */
  setPosition(position: number): void {
    if (!Number.isSafeInteger(position) || position < 0) {
      throw new RangeError(`"position" expected integer >= 0, got ${position}`);
    }
    this.#position = position;
  }

  /** Reads within one block and advances: the count (≤ block size, 0 at the end), or -errno. */
  readOne(buf: Uint8Array): number {
    const blockSize = this.device.blockSize;
    const offset = this.#position % blockSize;
    const blockId = (this.#position - offset) / blockSize;
    if (buf.length === 0 || this.#position >= this.size) return 0;
    let count = blockSize;
    if (offset === 0 && buf.length >= blockSize) {
      const error = this.device.readBlock(blockId, buf.subarray(0, blockSize));
      if (error < 0) return error;
    } else {
      count = Math.min(buf.length, blockSize - offset);
      const error = this.device.readBlock(blockId, this.#block);
      if (error < 0) return error;
      buf.set(this.#block.subarray(offset, offset + count));
    }
    this.#position += count;
    return count;
  }

  /** Writes within one block and advances: the count (≤ block size), -ENOSPC at the end, or the device's -errno. */
  writeOne(buf: Uint8Array): number {
    const blockSize = this.device.blockSize;
    const offset = this.#position % blockSize;
    const blockId = (this.#position - offset) / blockSize;
    if (buf.length === 0) return 0;
    if (this.#position >= this.size) return -ENOSPC;
    let count = blockSize;
    if (offset === 0 && buf.length >= blockSize) {
      const error = this.device.writeBlock(blockId, buf.subarray(0, blockSize));
      if (error < 0) return error;
    } else {
      count = Math.min(buf.length, blockSize - offset);
      let error = this.device.readBlock(blockId, this.#block);
      if (error < 0) return error;
      this.#block.set(buf.subarray(0, count), offset);
      error = this.device.writeBlock(blockId, this.#block);
      if (error < 0) return error;
    }
    this.#position += count;
    return count;
  }

  read(buf: Uint8Array): number {
    let done = 0;
    while (done < buf.length) {
      const whole = this.#wholeBlocks(buf.length - done);
      let count: number;
      if (whole > 0) {
        const error = this.device.readBlock(this.#position / this.device.blockSize, buf.subarray(done, done + whole));
        if (error < 0) return error;
        this.#position += whole;
        count = whole;
      } else {
        count = this.readOne(buf.subarray(done));
        if (count < 0) return count;
        if (count === 0) break;
      }
      done += count;
    }
    return done;
  }

  write(buf: Uint8Array): number {
    let done = 0;
    while (done < buf.length) {
      const whole = this.#wholeBlocks(buf.length - done);
      let count: number;
      if (whole > 0) {
        const error = this.device.writeBlock(this.#position / this.device.blockSize, buf.subarray(done, done + whole));
        if (error < 0) return error;
        this.#position += whole;
        count = whole;
      } else {
        count = this.writeOne(buf.subarray(done));
        if (count === -ENOSPC && done > 0) break;
        if (count < 0) return count;
      }
      done += count;
    }
    return done;
  }

  flush(): number {
    return this.device.flush();
  }

  seek(offset: number, whence: number): number {
    if (!Number.isSafeInteger(offset)) return -EINVAL;
    let position: number;
    if (whence === SEEK_SET) position = offset;
    else if (whence === SEEK_CUR) position = this.#position + offset;
    else if (whence === SEEK_END) position = this.size + offset;
    else return -EINVAL;
    if (position < 0 || !Number.isSafeInteger(position)) return -EINVAL;
    if (position > this.size) this.#warn?.(`seek to ${position} lies beyond the end of the disk (${this.size} bytes)`);
    this.#position = position;
    return position;
  }

  /** Bytes of whole blocks that can move at the cursor in one device call. */
  #wholeBlocks(byteLength: number): number {
    const blockSize = this.device.blockSize;
    if (this.#position % blockSize !== 0 || this.#position >= this.size) return 0;
    const available = Math.min(byteLength, this.size - this.#position);
    return available - (available % blockSize);
  }
}
