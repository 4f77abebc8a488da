/**
 * The block device seam: what a file system needs from a disk, and what every backend of this package provides.
 *
 * Place: virt-devices declares the same shape as `BlockBackend`, virtio-drivers' blk implements it on the driver side,
 * ext4-fs consumes it. Devices nest: PartitionDevice over OverlayDisk over FileDisk.
 *
 * Rules:
 *  - Synchronous. 0 is success, a negative errno is failure (-EIO also for a range beyond the end, as Linux answers).
 *  - `buf.length` is a positive multiple of `blockSize`; any number of blocks per call. A wrong length is host misuse: RangeError.
 *  - A completed write may be lost or reordered with other completed writes until `flush` has returned 0.
 *  - The device neither keeps nor changes a write's buffer.
 */
import { EIO, EROFS } from "./errno.ts";

export interface BlockDevice {
  /** Bytes; a multiple of `blockSize`. */
  readonly size: number;
  /** Bytes per block, a power of two of at least 512. Backends use 512. */
  readonly blockSize: number;
  /** Writes answer -EROFS. */
  readonly readOnly: boolean;
  /** Reads buf.length / blockSize blocks from `blockId` on. 0 or -errno; after a failure the content of `buf` is unspecified. */
  readBlock(blockId: number, buf: Uint8Array): number;
  /** Writes buf.length / blockSize blocks from `blockId` on. 0 or -errno. */
  writeBlock(blockId: number, buf: Uint8Array): number;
  /** Makes all completed writes durable. 0 or -errno. */
  flush(): number;
  /** Tells the device that `count` blocks are unused; their content becomes unspecified until written. 0 or -errno. */
  discard?(blockId: number, count: number): number;
}

/** The block size of all backends in this package, in bytes. */
export const SECTOR_SIZE = 512;

/** Checks a transfer against the device: 0, or -EIO when it lies outside. Throws RangeError on a buffer of the wrong length. */
export function checkTransfer(
  device: { readonly size: number; readonly blockSize: number },
  blockId: number,
  byteLength: number,
): number {
  const blockSize = device.blockSize;
  if (byteLength === 0 || byteLength % blockSize !== 0) {
    throw new RangeError(`"buf.length" expected positive multiple of ${blockSize}, got ${byteLength}`);
  }
  if (!Number.isInteger(blockId) || blockId < 0)
    throw new RangeError(`"blockId" expected integer >= 0, got ${blockId}`);
  return blockId * blockSize + byteLength > device.size ? -EIO : 0;
}

/** As `checkTransfer`, for a write: also -EROFS. */
export function checkWrite(
  device: { readonly size: number; readonly blockSize: number; readonly readOnly: boolean },
  blockId: number,
  byteLength: number,
): number {
  const range = checkTransfer(device, blockId, byteLength);
  return device.readOnly ? -EROFS : range;
}
