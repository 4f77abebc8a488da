/** A slice of a device, seen as a device of its own. Transfers outside the slice answer -EIO. */
import { type BlockDevice, checkTransfer } from "../block-device.ts";

export class PartitionDevice implements BlockDevice {
  readonly size: number;
  readonly blockSize: number;
  readonly readOnly: boolean;
  /** First block on the parent. */
  readonly firstBlock: number;
  readonly #parent: BlockDevice;

  /** @throws RangeError when the slice does not lie within the parent. Both numbers count the parent's blocks. */
  constructor(parent: BlockDevice, firstBlock: number, blockCount: number) {
    if (!(firstBlock >= 0) || !(blockCount > 0) || (firstBlock + blockCount) * parent.blockSize > parent.size) {
      throw new RangeError(`partition of ${blockCount} blocks at ${firstBlock} does not lie within the device`);
    }
    this.#parent = parent;
    this.firstBlock = firstBlock;
    this.size = blockCount * parent.blockSize;
    this.blockSize = parent.blockSize;
    this.readOnly = parent.readOnly;
  }

  readBlock(blockId: number, buf: Uint8Array): number {
    const error = checkTransfer(this, blockId, buf.length);
    return error !== 0 ? error : this.#parent.readBlock(this.firstBlock + blockId, buf);
  }

  writeBlock(blockId: number, buf: Uint8Array): number {
    const error = checkTransfer(this, blockId, buf.length);
    return error !== 0 ? error : this.#parent.writeBlock(this.firstBlock + blockId, buf);
  }

  flush(): number {
    return this.#parent.flush();
  }

  discard(blockId: number, count: number): number {
    if (count <= 0 || this.#parent.discard === undefined) return 0;
    const error = checkTransfer(this, blockId, count * this.blockSize);
    return error !== 0 ? error : this.#parent.discard(this.firstBlock + blockId, count);
  }
}
