/**
 * fallocate(2): reserving space, and the modes that change where data lies in a file.
 *
 * Everything works on whole blocks (with bigalloc: COLLAPSE and INSERT on whole clusters); the partial blocks at the ends of a range
 * are zeroed in place. Files with a block map (ext2, ext3) have no unwritten state: of the modes they know only PUNCH_HOLE.
 */
import {
  EFBIG,
  EINVAL,
  EISDIR,
  EOPNOTSUPP,
  EPERM,
  ESTALE,
  FALLOC_FL_COLLAPSE_RANGE,
  FALLOC_FL_INSERT_RANGE,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
} from "linux-abi";
import { mapBlocks } from "./extents/map.ts";
import { EXT_MAX_BLOCKS, EXT_UNWRITTEN_MAX_LEN } from "./extents/node.ts";
import { shiftLeft, shiftRight } from "./extents/shift.ts";
import { allocateRunOrCommit, insertRun, releaseRun, removeRuns } from "./file-map.ts";
import { allocationGoal, clearTail, maxFileSize, touchTimes, zeroInBlock } from "./file-write.ts";
import { spill } from "./inline/inline-data.ts";
import {
  type CoreInode,
  EXT4_APPEND_FL,
  EXT4_EXTENTS_FL,
  EXT4_IMMUTABLE_FL,
  EXT4_INLINE_DATA_FL,
  EXT4_VERITY_FL,
} from "./inode.ts";
import type { Volume } from "./volume.ts";

/** The one mode bit that says what to do, besides KEEP_SIZE; 0 = reserve. */
const MODES: readonly number[] = [
  0,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  FALLOC_FL_COLLAPSE_RANGE,
  FALLOC_FL_INSERT_RANGE,
];

/** fallocate(2). 0, -EOPNOTSUPP for modes that this file cannot have, -EINVAL, -EFBIG, -ENOSPC, ... */
export function allocateRange(
  volume: Volume,
  inode: CoreInode,
  mode: number,
  offset: number,
  byteLength: number,
): number {
  if (offset < 0 || byteLength <= 0) return -EINVAL;
  if (!inode.isRegular) return inode.isDirectory ? -EISDIR : -EOPNOTSUPP;
  if (inode.deleted) return -ESTALE;
  const keep = (mode & FALLOC_FL_KEEP_SIZE) !== 0;
  const what = mode & ~FALLOC_FL_KEEP_SIZE;
  if (!MODES.includes(what)) return -EOPNOTSUPP;
  if (what === FALLOC_FL_PUNCH_HOLE && !keep) return -EOPNOTSUPP;
  if (keep && (what === FALLOC_FL_COLLAPSE_RANGE || what === FALLOC_FL_INSERT_RANGE)) return -EOPNOTSUPP;
  if (inode.hasFlag(what === 0 ? EXT4_IMMUTABLE_FL : EXT4_IMMUTABLE_FL | EXT4_APPEND_FL)) return -EPERM;
  if (inode.hasFlag(EXT4_VERITY_FL)) return -EPERM;
  const isInline = inode.hasFlag(EXT4_INLINE_DATA_FL);
  if (what !== FALLOC_FL_PUNCH_HOLE && !isInline && !inode.hasFlag(EXT4_EXTENTS_FL)) return -EOPNOTSUPP;
  if (offset + byteLength > maxFileSize(volume, inode)) return -EFBIG;
  const started = volume.begin();
  if (started < 0) return started;
  let error = isInline ? spill(volume, inode) : 0;
  if (error === 0) error = change(volume, inode, what, offset, byteLength, keep);
  if (error === 0) error = touchTimes(volume, inode);
  return volume.end(error);
}

function change(
  volume: Volume,
  inode: CoreInode,
  what: number,
  offset: number,
  byteLength: number,
  keep: boolean,
): number {
  const end = offset + byteLength;
  switch (what) {
    case FALLOC_FL_PUNCH_HOLE:
      return punch(volume, inode, offset, Math.min(end, inode.size));
    case FALLOC_FL_ZERO_RANGE: {
      const error = punch(volume, inode, offset, Math.min(end, inode.size));
      return error < 0 ? error : reserve(volume, inode, offset, end, keep);
    }
    case FALLOC_FL_COLLAPSE_RANGE:
      return collapse(volume, inode, offset, byteLength);
    case FALLOC_FL_INSERT_RANGE:
      return insert(volume, inode, offset, byteLength);
    default:
      return reserve(volume, inode, offset, end, keep);
  }
}

/** Takes [offset, offset + byteLength) out of the file: what lies behind it moves up. */
function collapse(volume: Volume, inode: CoreInode, offset: number, byteLength: number): number {
  const unit = volume.geometry.clusterSize;
  if (offset % unit !== 0 || byteLength % unit !== 0 || offset + byteLength >= inode.size) return -EINVAL;
  const from = offset / volume.blockSize;
  const count = byteLength / volume.blockSize;
  let error = removeRuns(volume, inode, from, from + count, false);
  if (error === 0) error = shiftLeft(volume, inode, from + count, count);
  if (error < 0) return error;
  inode.size -= byteLength;
  return volume.dirtyInode(inode);
}

/** Opens a hole of `byteLength` at `offset`: what lies behind it moves down. */
function insert(volume: Volume, inode: CoreInode, offset: number, byteLength: number): number {
  const unit = volume.geometry.clusterSize;
  if (offset % unit !== 0 || byteLength % unit !== 0 || offset >= inode.size) return -EINVAL;
  if (inode.size + byteLength > maxFileSize(volume, inode)) return -EFBIG;
  const from = offset / volume.blockSize;
  const count = byteLength / volume.blockSize;
  // Blocks kept behind the end move too, and must stay within what can be numbered.
  let error = removeRuns(volume, inode, EXT_MAX_BLOCKS - count, EXT_MAX_BLOCKS, false);
  if (error < 0) return error;
  inode.size += byteLength;
  error = volume.dirtyInode(inode);
  return error < 0 ? error : shiftRight(volume, inode, from, count);
}

/** Makes [from, to) read as zeros; whole blocks are freed. */
function punch(volume: Volume, inode: CoreInode, from: number, to: number): number {
  if (to <= from) return 0;
  const blockSize = volume.blockSize;
  const firstWhole = Math.ceil(from / blockSize);
  // A last block that the file does not fill counts as whole.
  const endWhole = to === inode.size ? Math.ceil(to / blockSize) : Math.floor(to / blockSize);
  if (firstWhole > endWhole || (firstWhole === endWhole && firstWhole * blockSize > to)) {
    return zeroInBlock(
      volume,
      inode,
      Math.floor(from / blockSize),
      from % blockSize,
      to - Math.floor(from / blockSize) * blockSize,
    );
  }
  let error = from % blockSize === 0 ? 0 : zeroInBlock(volume, inode, firstWhole - 1, from % blockSize, blockSize);
  if (error === 0 && endWhole * blockSize < to)
    error = zeroInBlock(volume, inode, endWhole, 0, to - endWhole * blockSize);
  return error === 0 && endWhole > firstWhole ? removeRuns(volume, inode, firstWhole, endWhole, false) : error;
}

/** Allocates unwritten blocks for every hole in [from, to). */
function reserve(volume: Volume, inode: CoreInode, from: number, to: number, keepSize: boolean): number {
  const map = volume.work.writeMap;
  const blockSize = volume.blockSize;
  let error = !keepSize && to > inode.size ? clearTail(volume, inode) : 0;
  const end = Math.ceil(to / blockSize);
  let fileBlock = Math.floor(from / blockSize);
  while (error === 0 && fileBlock < end) {
    error = mapBlocks(volume, inode, fileBlock, Math.min(end - fileBlock, EXT_UNWRITTEN_MAX_LEN), map);
    if (error < 0) break;
    let count = map.count;
    if (map.block === 0) {
      const run = volume.work.writeRun;
      const goal = allocationGoal(volume, inode, fileBlock);
      error = allocateRunOrCommit(volume, inode, fileBlock, count, goal, run);
      if (error < 0) break;
      error = insertRun(volume, inode, fileBlock, run, true);
      if (error < 0) {
        releaseRun(volume, run);
        break;
      }
      count = run.count;
      error = volume.dirtyInode(inode);
      if (error === 0) error = volume.breathe();
    }
    fileBlock += count;
  }
  if (!keepSize && error === 0 && to > inode.size) inode.size = to;
  return error;
}
