/** A `VirtIOBlk` with the shape of blockdev-disk's BlockDevice. Results are 0 or a negated errno. */
import { SECTOR_SIZE } from "./blk-spec.ts";
import { toErrno } from "./error.ts";
import type { VirtIOBlk } from "./blk.ts";

export class BlockDeviceAdapter {
  readonly blockSize: number = SECTOR_SIZE;
  readonly readOnly: boolean;
  readonly #blk: VirtIOBlk;

  constructor(blk: VirtIOBlk) {
    this.#blk = blk;
    this.readOnly = blk.readOnly;
  }

  /** Bytes. */
  get size(): number {
    return this.#blk.capacity() * SECTOR_SIZE;
  }

  /** Reads `buf.length / 512` sectors from `blockId` on. */
  readBlock(blockId: number, buf: Uint8Array): number {
    return toErrno(this.#blk.readBlocks(blockId, buf));
  }

  /** Writes `buf.length / 512` sectors from `blockId` on; -EROFS on a read-only device. */
  writeBlock(blockId: number, buf: Uint8Array): number {
    return toErrno(this.#blk.writeBlocks(blockId, buf));
  }

  /** Makes completed writes durable. */
  flush(): number {
    return toErrno(this.#blk.flush());
  }

  /** -EOPNOTSUPP if the device cannot. */
  discard(blockId: number, count: number): number {
    return toErrno(this.#blk.discard(blockId, count));
  }

  /** -EOPNOTSUPP if the device cannot. */
  writeZeroes(blockId: number, count: number): number {
    return toErrno(this.#blk.writeZeroes(blockId, count, { unmap: true }));
  }
}
