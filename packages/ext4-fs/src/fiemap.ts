/**
 * Where a file's bytes are on the volume, for FS_IOC_FIEMAP, FIBMAP and filefrag(8).
 */
import { mapBlocks } from "./extents/map.ts";
import { EXT_MAX_BLOCKS } from "./extents/node.ts";
import { type CoreInode, EXT4_EXTENTS_FL, EXT4_INLINE_DATA_FL, GOOD_OLD_INODE_SIZE, I_BLOCK } from "./inode.ts";
import type { Volume } from "./volume.ts";

// linux/fiemap.h
export const FIEMAP_EXTENT_LAST = 0x1;
export const FIEMAP_EXTENT_NOT_ALIGNED = 0x100;
export const FIEMAP_EXTENT_DATA_INLINE = 0x200;
export const FIEMAP_EXTENT_UNWRITTEN = 0x800;
export const FIEMAP_EXTENT_MERGED = 0x1000;

/** Receives one extent, all in bytes; `flags`: FIEMAP_EXTENT_*. Returns false to stop. */
export type EmitExtent = (logical: number, physical: number, byteLength: number, flags: number) => boolean;

/**
 * Lists the extents that touch [start, start + byteLength), unwritten ones included. `xattr`: where the attributes are instead.
 * 0, -EUCLEAN or -EIO.
 */
export function listExtents(
  volume: Volume,
  inode: CoreInode,
  start: number,
  byteLength: number,
  xattr: boolean,
  emit: EmitExtent,
): number {
  volume.enter();
  if (xattr) return listXattrPlaces(volume, inode, emit);
  const { blockSize } = volume;
  if (inode.hasFlag(EXT4_INLINE_DATA_FL)) {
    const flags = FIEMAP_EXTENT_LAST | FIEMAP_EXTENT_NOT_ALIGNED | FIEMAP_EXTENT_DATA_INLINE;
    if (start < inode.size) emit(0, inodeAddress(volume, inode) + I_BLOCK, inode.size, flags);
    return 0;
  }
  const map = volume.work.readMap;
  const merged = inode.hasFlag(EXT4_EXTENTS_FL) ? 0 : FIEMAP_EXTENT_MERGED;
  // With a block map nothing lies behind the end; an extent tree may have reserved blocks there.
  const limit = merged !== 0 ? Math.ceil(inode.size / blockSize) : EXT_MAX_BLOCKS;
  const end = Math.min(limit, Math.ceil((start + byteLength) / blockSize));
  let block = 0; // of the extent that waits for its successor
  let fileBlock = 0;
  let count = 0;
  let flags = 0;
  for (let at = Math.floor(start / blockSize); at < limit; ) {
    const error = mapBlocks(volume, inode, at, limit - at, map);
    if (error < 0) return error;
    if (map.block !== 0) {
      const kind = map.unwritten ? FIEMAP_EXTENT_UNWRITTEN : merged;
      if (count > 0 && merged !== 0 && block + count === map.block && fileBlock + count === at) {
        count += map.count;
      } else {
        if (count > 0 && !emit(fileBlock * blockSize, block * blockSize, count * blockSize, flags)) return 0;
        count = 0;
        if (at >= end) return 0;
        block = map.block;
        fileBlock = at;
        count = map.count;
        flags = kind;
      }
    }
    at += map.count;
  }
  if (count > 0) emit(fileBlock * blockSize, block * blockSize, count * blockSize, flags | FIEMAP_EXTENT_LAST);
  return 0;
}

function inodeAddress(volume: Volume, inode: CoreInode): number {
  return volume.inodes.blockOf(inode.ino) * volume.blockSize + volume.inodes.offsetOf(inode.ino);
}

function listXattrPlaces(volume: Volume, inode: CoreInode, emit: EmitExtent): number {
  const inside = GOOD_OLD_INODE_SIZE + inode.extraIsize;
  const block = inode.fileAcl;
  const flags = FIEMAP_EXTENT_NOT_ALIGNED | FIEMAP_EXTENT_DATA_INLINE;
  if (inode.extraIsize > 0 && inside + 4 <= inode.raw.length && inode.view.getUint32(inside, true) === 0xea020000) {
    const last = block === 0 ? FIEMAP_EXTENT_LAST : 0;
    if (!emit(0, inodeAddress(volume, inode) + inside, inode.raw.length - inside, flags | last)) return 0;
  }
  if (block !== 0) emit(0, block * volume.blockSize, volume.blockSize, FIEMAP_EXTENT_LAST);
  return 0;
}
