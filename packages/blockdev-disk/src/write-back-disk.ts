/**
 * A write-back cache: writes stay in memory until `flush`, so that many small ones become few large ones.
 *
 * Contract, the same as any disk's with a volatile cache:
 *  - A completed write is seen by every later read through this object, and by nobody else until it is written back.
 *  - Nothing is durable before `flush` has returned 0; then everything written before it is, on the device below as well.
 *  - Between flushes writes reach the device below in any order (when memory for them runs out, or by `writeBack`). Two flushes are never
 *    mixed: what was written before one is below before anything written after it.
 *  - When `flush` fails, what could not be written stays in memory and is tried again by the next flush; an error when memory has
 *    run out is answered to the write that needed the room.
 */
import { type BlockDevice, checkTransfer, checkWrite } from "./block-device.ts";

export interface WriteBackOptions {
  /** Unwritten bytes to hold before they are written back. Default 16 MiB. */
  readonly dirtyBytes?: number;
}

/** Bytes of one line of the cache; at least the device's block size. */
const LINE_SIZE = 4096;
/** Bytes written back in one call at most. */
const MAX_RUN = 1 << 20;

interface Line {
  readonly bytes: Uint8Array;
  /** Which blocks of the line are newer than the device's, a bit each. */
  dirty: number;
}

export class WriteBackDisk implements BlockDevice {
  readonly size: number;
  readonly blockSize: number;
  readonly readOnly: boolean;
  readonly #inner: BlockDevice;
  readonly #lines = new Map<number, Line>();
  readonly #lineSize: number;
  readonly #perLine: number;
  readonly #limit: number;

  constructor(inner: BlockDevice, options: WriteBackOptions = {}) {
    this.#inner = inner;
    this.size = inner.size;
    this.blockSize = inner.blockSize;
    this.readOnly = inner.readOnly;
    this.#lineSize = Math.max(LINE_SIZE, inner.blockSize);
    this.#perLine = this.#lineSize / inner.blockSize;
    this.#limit = Math.max(1, Math.floor((options.dirtyBytes ?? 16 << 20) / this.#lineSize));
  }

  /** Bytes in memory that have not been written back. */
  get dirtyBytes(): number {
    return this.#lines.size * this.#lineSize;
  }

  readBlock(blockId: number, buf: Uint8Array): number {
    const outside = checkTransfer(this, blockId, buf.length);
    if (outside !== 0) return outside;
    const error = this.#inner.readBlock(blockId, buf);
    if (error < 0 || this.#lines.size === 0) return error;
    const { blockSize } = this;
    for (let done = 0; done < buf.length; ) {
      const block = blockId + done / blockSize;
      const within = block % this.#perLine;
      const count = Math.min(this.#perLine - within, (buf.length - done) / blockSize);
      const line = this.#lines.get((block - within) / this.#perLine);
      if (line !== undefined) {
        for (let i = within; i < within + count; i++) {
          if ((line.dirty & (1 << i)) === 0) continue;
          buf.set(line.bytes.subarray(i * blockSize, (i + 1) * blockSize), done + (i - within) * blockSize);
        }
      }
      done += count * blockSize;
    }
    return 0;
  }

  writeBlock(blockId: number, buf: Uint8Array): number {
    const refused = checkWrite(this, blockId, buf.length);
    if (refused !== 0) return refused;
    const { blockSize } = this;
    for (let done = 0; done < buf.length; ) {
      const block = blockId + done / blockSize;
      const within = block % this.#perLine;
      const count = Math.min(this.#perLine - within, (buf.length - done) / blockSize);
      const index = (block - within) / this.#perLine;
      let line = this.#lines.get(index);
      if (line === undefined) {
        if (this.#lines.size >= this.#limit) {
          const error = this.writeBack();
          if (error < 0) return error;
        }
        line = { bytes: new Uint8Array(this.#lineSize), dirty: 0 };
        this.#lines.set(index, line);
      }
      line.bytes.set(buf.subarray(done, done + count * blockSize), within * blockSize);
      line.dirty |= ((1 << count) - 1) << within;
      done += count * blockSize;
    }
    return 0;
  }

  /** Writes everything back and flushes the device below. */
  flush(): number {
    const error = this.writeBack();
    return error < 0 ? error : this.#inner.flush();
  }

  /** Writes everything back, in ascending order and neighbours together, without making it durable. 0 or -errno. */
  writeBack(): number {
    const { blockSize } = this;
    const run = new Uint8Array(Math.min(MAX_RUN, this.dirtyBytes));
    let first = 0; // block
    let length = 0; // bytes collected in `run`
    let whole: number[] = []; // lines in it
    const write = (): number => {
      const error = length === 0 ? 0 : this.#inner.writeBlock(first, run.subarray(0, length));
      if (error === 0) for (const index of whole) this.#lines.delete(index);
      whole = [];
      length = 0;
      return error;
    };
    for (const index of [...this.#lines.keys()].sort((a, b) => a - b)) {
      const line = this.#lines.get(index) as Line;
      for (let i = 0; i < this.#perLine; i++) {
        if ((line.dirty & (1 << i)) === 0) continue;
        const block = index * this.#perLine + i;
        if (length > 0 && (block !== first + length / blockSize || length + blockSize > run.length)) {
          const error = write();
          if (error < 0) return error;
        }
        if (length === 0) first = block;
        run.set(line.bytes.subarray(i * blockSize, (i + 1) * blockSize), length);
        length += blockSize;
      }
      whole.push(index);
    }
    return write();
  }

  /** Drops what was to be written in the range, and passes the discard on. */
  discard(blockId: number, count: number): number {
    if (count <= 0) return 0;
    const refused = checkWrite(this, blockId, count * this.blockSize);
    if (refused !== 0) return refused;
    for (let block = blockId; block < blockId + count; ) {
      const within = block % this.#perLine;
      const blocks = Math.min(this.#perLine - within, blockId + count - block);
      const index = (block - within) / this.#perLine;
      const line = this.#lines.get(index);
      if (line !== undefined) {
        line.dirty &= ~(((1 << blocks) - 1) << within);
        if (line.dirty === 0) this.#lines.delete(index);
      }
      block += blocks;
    }
    return this.#inner.discard?.(blockId, count) ?? 0;
  }
}
