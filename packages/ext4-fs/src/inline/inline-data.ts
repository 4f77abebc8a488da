/**
 * Small files inside their inode (feature inline_data): the first 60 bytes lie in i_block, the rest is the value of the attribute
 * "system.data" in the inode's own attribute list, which every inline inode has, be it empty.
 *
 * A file that outgrows the room is moved to blocks (`spill`) and never comes back unless it is empty. Everything here is part of
 * the inode, so the journal carries the data too.
 */
import { EDQUOT, ENOSPC } from "linux-abi";
import { EXT4_FEATURE_INCOMPAT_INLINE_DATA } from "../features.ts";
import { allocateRun, initFileMap, insertRun, releaseRun } from "../file-map.ts";
import { allocationGoal } from "../file-write.ts";
import { type CoreInode, EXT4_EXTENTS_FL, EXT4_INLINE_DATA_FL, I_BLOCK, I_BLOCK_SIZE } from "../inode.ts";
import type { Volume } from "../volume.ts";
import { plainXattr, type StoredXattr, XATTR_INDEX_SYSTEM, xattrEntrySize } from "../xattr/layout.ts";
import { inodeListRoom, loadXattrs, splitBetweenPlaces, storeXattrs } from "../xattr/store.ts";

const DATA: Uint8Array = Uint8Array.of(0x64, 0x61, 0x74, 0x61); // "data"

/** Whether an attribute is the part of an inline file that does not lie in i_block. */
export function isDataXattr(a: StoredXattr): boolean {
  return a.index === XATTR_INDEX_SYSTEM && a.name.length === 4 && DATA.every((byte, i) => a.name[i] === byte);
}

/** Bytes that the inode could hold as an inline file, next to the attributes that it holds now; 0 when none; or -errno. */
export function inlineCapacity(volume: Volume, inode: CoreInode): number {
  if (!volume.superblock.hasIncompat(EXT4_FEATURE_INCOMPAT_INLINE_DATA)) return 0;
  const room = inodeListRoom(inode);
  const list = loadXattrs(volume, inode);
  if (typeof list === "number") return list;
  const others = list.filter((a) => !isDataXattr(a));
  const free = room - splitBetweenPlaces(volume, inode, others).insideSize - xattrEntrySize(DATA.length);
  return free < 0 ? 0 : I_BLOCK_SIZE + (free & ~3);
}

/** The content: a copy of i_block and the attribute's value, not cut to the file's size. Or -EUCLEAN, -EIO. */
export function readInline(volume: Volume, inode: CoreInode): Uint8Array | number {
  const list = loadXattrs(volume, inode);
  if (typeof list === "number") return list;
  const rest = list.find(isDataXattr);
  if (rest === undefined) return volume.corrupt("inline file without its attribute", inode.ino, 0);
  const content = new Uint8Array(I_BLOCK_SIZE + rest.value.length);
  content.set(inode.raw.subarray(I_BLOCK, I_BLOCK + I_BLOCK_SIZE));
  content.set(rest.value, I_BLOCK_SIZE);
  return content;
}

/** Replaces the content (at most `inlineCapacity` bytes) and makes the inode an inline one. Within an operation; the size is the caller's. */
export function writeInline(volume: Volume, inode: CoreInode, content: Uint8Array): number {
  const list = loadXattrs(volume, inode);
  if (typeof list === "number") return list;
  const others = list.filter((a) => !isDataXattr(a));
  inode.flags = (inode.flags & ~EXT4_EXTENTS_FL) | EXT4_INLINE_DATA_FL;
  inode.raw.fill(0, I_BLOCK, I_BLOCK + I_BLOCK_SIZE);
  inode.raw.set(content.subarray(0, I_BLOCK_SIZE), I_BLOCK);
  const rest = plainXattr(XATTR_INDEX_SYSTEM, DATA, content.slice(Math.min(content.length, I_BLOCK_SIZE)));
  return storeXattrs(volume, inode, [rest, ...others]);
}

/** Makes an inline inode one with an empty map and no size: its content has been taken care of. Within an operation. */
export function clearInline(volume: Volume, inode: CoreInode): number {
  const list = loadXattrs(volume, inode);
  if (typeof list === "number") return list;
  inode.flags &= ~EXT4_INLINE_DATA_FL;
  inode.raw.fill(0, I_BLOCK, I_BLOCK + I_BLOCK_SIZE);
  initFileMap(volume, inode);
  inode.allocationGoal = 0;
  return storeXattrs(
    volume,
    inode,
    list.filter((a) => !isDataXattr(a)),
  );
}

/** Moves the content of an inline regular file or link to a block. Within an operation. 0, -ENOSPC (nothing changed), -EUCLEAN, -EIO. */
export function spill(volume: Volume, inode: CoreInode): number {
  const content = readInline(volume, inode);
  if (typeof content === "number") return content;
  const { size } = inode;
  const cleared = clearInline(volume, inode);
  if (cleared < 0 || size === 0) return cleared;
  const run = volume.work.writeRun;
  let error = allocateRun(volume, inode, 0, 1, allocationGoal(volume, inode, 0), run);
  if (error === 0) {
    const block = new Uint8Array(volume.blockSize);
    block.set(content.subarray(0, Math.min(size, content.length)));
    error = volume.writeFileBlocks(inode, run.start, block);
    if (error === 0) error = insertRun(volume, inode, 0, run, false);
    if (error < 0) releaseRun(volume, run);
  }
  if (error === -ENOSPC || error === -EDQUOT) {
    const undone = writeInline(volume, inode, content);
    return undone < 0 ? undone : error;
  }
  return error;
}
