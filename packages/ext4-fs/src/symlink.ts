/** Reading the target of a symbolic link: in the inode when shorter than 60 bytes, else in one block; a NUL ends it. */
import { EINVAL, ENOKEY } from "linux-abi";
import { readData } from "./file-read.ts";
import { type CoreInode, EXT4_ENCRYPT_FL, EXT4_INLINE_DATA_FL, I_BLOCK } from "./inode.ts";
import type { Volume } from "./volume.ts";

/** The target's bytes, or -EINVAL (no link), -ENOKEY (encrypted), -EUCLEAN, -EIO. */
export function readLink(volume: Volume, inode: CoreInode): Uint8Array | number {
  if (!inode.isSymlink) return -EINVAL;
  if (inode.hasFlag(EXT4_ENCRYPT_FL)) return -ENOKEY;
  volume.enter();
  const size = inode.size;
  if (size === 0) return new Uint8Array(0);
  if (!inode.hasFlag(EXT4_INLINE_DATA_FL) && inode.isFastSymlink(volume.blockSize, volume.geometry.clusterSize))
    return inode.raw.slice(I_BLOCK, I_BLOCK + size);
  // One block with room for a NUL, whatever the size says.
  const target = new Uint8Array(Math.min(size, volume.blockSize - 1));
  const count = readData(volume, inode, 0, target);
  if (count < 0) return count;
  if (count < target.length) return volume.corrupt("symbolic link is cut off", inode.ino, 0);
  const end = target.indexOf(0);
  return end < 0 ? target : target.subarray(0, end);
}
