/**
 * Writing file data, truncation.
 *
 * Data goes straight from the caller's buffer to the device, one call per contiguous run, before the metadata that makes it
 * visible commits (ordered mode): after a crash a file never shows blocks that were not written. Only partial blocks
 * take the way through `volume.work.block`.
 *
 * Invariant: bytes between the end of the file and the end of its last block are zero on disk.
 */
import { EDQUOT, EFBIG, EINVAL, EISDIR, ENOSPC, EPERM, ESTALE } from "linux-abi";
import { setWritten } from "./extents/insert.ts";
import { mapBlocks } from "./extents/map.ts";
import { EXT_MAX_BLOCKS, EXT_UNWRITTEN_MAX_LEN } from "./extents/node.ts";
import { allocateRunOrCommit, insertRun, mostFileBlocks, releaseRun, removeRuns } from "./file-map.ts";
import { groupStart } from "./geometry.ts";
import { EXT4_FEATURE_INCOMPAT_INLINE_DATA } from "./features.ts";
import { inlineCapacity, readInline, spill, writeInline } from "./inline/inline-data.ts";
import { type CoreInode, EXT4_APPEND_FL, EXT4_IMMUTABLE_FL, EXT4_INLINE_DATA_FL, EXT4_VERITY_FL } from "./inode.ts";
import { addOrphan, removeOrphan } from "./orphan.ts";
import type { Volume } from "./volume.ts";

/** Blocks of file data that one step may put into the journal. */
const JOURNALED_RUN = 16;

/** Largest size of this file: what its map can address (2^32 − 1 blocks with extents), and what a double holds exactly. */
export function maxFileSize(volume: Volume, inode: CoreInode): number {
  return Math.min(mostFileBlocks(volume, inode) * volume.blockSize, Number.MAX_SAFE_INTEGER);
}

/** Writes buf at `offset`, extending the file: the count (short when the volume or a quota fills up), or -ENOSPC, -EDQUOT, -EFBIG, -EROFS, -EIO ... */
export function writeFile(volume: Volume, inode: CoreInode, offset: number, buf: Uint8Array): number {
  if (inode.isDirectory) return -EISDIR;
  if (inode.deleted) return -ESTALE;
  if (inode.hasFlag(EXT4_IMMUTABLE_FL | EXT4_VERITY_FL)) return -EPERM;
  const limit = maxFileSize(volume, inode);
  if (offset >= limit && buf.length > 0) return -EFBIG;
  const length = Math.min(buf.length, limit - offset);
  if (length === 0) return 0;
  const started = volume.begin();
  if (started < 0) return started;
  volume.work.dataFailed = false;
  const written = canBeInline(volume, inode) ? writeSmall(volume, inode, offset, buf, length) : NOT_INLINE;
  const done = written === NOT_INLINE ? writeData(volume, inode, offset, buf, length) : written;
  if (done >= 0 || !volume.work.dataFailed) return volume.end(done);
  volume.end(0); // a bad sector under file data is no reason to stop the whole volume
  return done;
}

const NOT_INLINE = -1_000_000;

/** Whether the file is an inline one, or an empty one that may become it. */
function canBeInline(volume: Volume, inode: CoreInode): boolean {
  if (inode.hasFlag(EXT4_INLINE_DATA_FL)) return true;
  if (!volume.superblock.hasIncompat(EXT4_FEATURE_INCOMPAT_INLINE_DATA) || !inode.isRegular || inode.size > 0)
    return false;
  return inode.blocks512(volume.blockSize) === (inode.fileAcl === 0 ? 0 : volume.geometry.clusterSize / 512);
}

/** Writes into the inode where there is room; NOT_INLINE when the file has been (or is) one with blocks. */
function writeSmall(volume: Volume, inode: CoreInode, offset: number, buf: Uint8Array, length: number): number {
  const capacity = inlineCapacity(volume, inode);
  if (capacity < 0) return capacity;
  const isInline = inode.hasFlag(EXT4_INLINE_DATA_FL);
  if (offset + length > capacity) {
    const error = isInline ? spill(volume, inode) : 0;
    return error < 0 ? error : NOT_INLINE;
  }
  const old = isInline ? readInline(volume, inode) : new Uint8Array(0);
  if (typeof old === "number") return old;
  const content = new Uint8Array(Math.max(inode.size, offset + length));
  content.set(old.subarray(0, inode.size));
  content.set(buf.subarray(0, length), offset);
  const error = writeInline(volume, inode, content);
  if (error < 0) return error;
  inode.size = content.length;
  const touched = touchTimes(volume, inode);
  return touched < 0 ? touched : length;
}

/** Writes into blocks. Within an operation. As `writeFile`; `work.dataFailed` tells whether the device failed under file data. */
export function writeData(
  volume: Volume,
  inode: CoreInode,
  offset: number,
  buf: Uint8Array,
  length: number = buf.length,
): number {
  let error = offset > inode.size ? clearTail(volume, inode) : 0;
  let done = 0;
  while (error === 0 && done < length) {
    const moved = writeRun(volume, inode, offset + done, buf, done, length);
    if (moved < 0) error = moved;
    else done += moved;
    if (done > 0 && done < length && error === 0) {
      growTo(inode, offset + done);
      error = volume.dirtyInode(inode);
      if (error === 0) error = volume.breathe();
    }
  }
  if (done > 0) {
    growTo(inode, offset + done);
    const failed = touchTimes(volume, inode);
    if (failed < 0) error = failed;
  }
  const isFull = error === -ENOSPC || error === -EDQUOT;
  return error < 0 && (!isFull || done === 0) ? error : done;
}

function growTo(inode: CoreInode, end: number): void {
  if (end > inode.size) inode.size = end;
}

/** Sets mtime and ctime to the operation's time. */
export function touchTimes(volume: Volume, inode: CoreInode): number {
  inode.writeTime("mtime", volume.time.sec, volume.time.nsec);
  inode.writeTime("ctime", volume.time.sec, volume.time.nsec);
  return volume.dirtyInode(inode);
}

/** Writes as much as lies in one run at `position`; gives the byte count. */
function writeRun(
  volume: Volume,
  inode: CoreInode,
  position: number,
  buf: Uint8Array,
  at: number,
  end: number,
): number {
  const map = volume.work.writeMap;
  const blockSize = volume.blockSize;
  const within = position % blockSize;
  const fileBlock = (position - within) / blockSize;
  const most = volume.journalsData(inode) ? JOURNALED_RUN : EXT_UNWRITTEN_MAX_LEN;
  const wanted = Math.min(Math.ceil((within + end - at) / blockSize), most);
  const error = mapBlocks(volume, inode, fileBlock, wanted, map);
  if (error < 0) return error;
  if (map.block === 0) return writeNew(volume, inode, fileBlock, within, map.count, buf, at, end);
  const { block, count, unwritten } = map;
  const byteLength = Math.min(end - at, count * blockSize - within);
  const failed = writeBytes(volume, inode, block, within, buf, at, byteLength, unwritten);
  if (failed < 0) {
    volume.work.dataFailed = true;
    return failed;
  }
  if (unwritten) {
    const converted = setWritten(volume, inode, fileBlock, Math.ceil((within + byteLength) / blockSize), true);
    if (converted < 0) return converted;
  }
  return byteLength;
}

/** Fills (the front of) a hole of `count` blocks. */
function writeNew(
  volume: Volume,
  inode: CoreInode,
  fileBlock: number,
  within: number,
  count: number,
  buf: Uint8Array,
  at: number,
  end: number,
): number {
  const run = volume.work.writeRun;
  const goal = allocationGoal(volume, inode, fileBlock);
  const error = allocateRunOrCommit(volume, inode, fileBlock, count, goal, run);
  if (error < 0) return error;
  const byteLength = Math.min(end - at, run.count * volume.blockSize - within);
  let failed = writeBytes(volume, inode, run.start, within, buf, at, byteLength, true);
  volume.work.dataFailed = failed < 0;
  if (failed === 0) failed = insertRun(volume, inode, fileBlock, run, false);
  if (failed < 0) {
    const undone = releaseRun(volume, run);
    if (undone < 0) volume.work.dataFailed = false;
    return failed;
  }
  return byteLength;
}

/** Behind the block before it; else in the inode's group. */
export function allocationGoal(volume: Volume, inode: CoreInode, fileBlock: number): number {
  const map = volume.work.writeMap;
  if (
    inode.allocationGoal === 0 &&
    fileBlock > 0 &&
    mapBlocks(volume, inode, fileBlock - 1, 1, map) === 0 &&
    map.block !== 0
  ) {
    inode.allocationGoal = map.block + 1;
  }
  if (inode.allocationGoal !== 0) return inode.allocationGoal;
  return groupStart(volume.geometry, Math.floor((inode.ino - 1) / volume.geometry.inodesPerGroup));
}

/** Writes bytes into a run of blocks; `fresh`: what was there counts as zeros. */
function writeBytes(
  volume: Volume,
  inode: CoreInode,
  block: number,
  within: number,
  buf: Uint8Array,
  at: number,
  byteLength: number,
  fresh: boolean,
): number {
  const blockSize = volume.blockSize;
  let target = block;
  let done = 0;
  if (within > 0 || byteLength < blockSize) {
    done = Math.min(byteLength, blockSize - within);
    const error = writePartial(volume, inode, target, within, buf, at, done, fresh);
    if (error < 0) return error;
    target++;
  }
  const whole = byteLength - done - ((byteLength - done) % blockSize);
  if (whole > 0) {
    const from = at + done;
    const error = volume.writeFileBlocks(
      inode,
      target,
      from === 0 && whole === buf.length ? buf : buf.subarray(from, from + whole),
    );
    if (error < 0) return error;
    target += whole / blockSize;
    done += whole;
  }
  return done < byteLength ? writePartial(volume, inode, target, 0, buf, at + done, byteLength - done, fresh) : 0;
}

function writePartial(
  volume: Volume,
  inode: CoreInode,
  block: number,
  within: number,
  buf: Uint8Array,
  at: number,
  byteLength: number,
  fresh: boolean,
): number {
  const scratch = volume.work.block;
  if (fresh) {
    scratch.fill(0);
  } else {
    const error = volume.readFileBlocks(block, scratch);
    if (error < 0) return error;
  }
  scratch.set(buf.subarray(at, at + byteLength), within);
  return volume.writeFileBlocks(inode, block, scratch);
}

/** Zeroes [within, end) of a block that holds written data; holes and unwritten blocks are zero already. */
export function zeroInBlock(volume: Volume, inode: CoreInode, fileBlock: number, within: number, end: number): number {
  const map = volume.work.writeMap;
  const scratch = volume.work.block;
  const error = mapBlocks(volume, inode, fileBlock, 1, map);
  if (error < 0) return error;
  if (map.block === 0 || map.unwritten) return 0;
  const failed = volume.readFileBlocks(map.block, scratch);
  if (failed < 0) return failed;
  scratch.fill(0, within, end);
  return volume.writeFileBlocks(inode, map.block, scratch);
}

/** Makes sure that what lies behind the end in the last block is zero, before the file grows over it. */
export function clearTail(volume: Volume, inode: CoreInode): number {
  const within = inode.size % volume.blockSize;
  return within === 0
    ? 0
    : zeroInBlock(volume, inode, Math.floor(inode.size / volume.blockSize), within, volume.blockSize);
}

/** Sets the size. Shrinking frees blocks; growing leaves a hole. */
export function truncateFile(volume: Volume, inode: CoreInode, size: number): number {
  if (inode.isDirectory) return -EISDIR;
  if (!inode.isRegular) return -EINVAL;
  if (inode.deleted) return -ESTALE;
  if (inode.hasFlag(EXT4_IMMUTABLE_FL | EXT4_APPEND_FL | EXT4_VERITY_FL)) return -EPERM;
  if (!Number.isSafeInteger(size) || size < 0) return -EINVAL;
  if (size > maxFileSize(volume, inode)) return -EFBIG;
  const started = volume.begin();
  if (started < 0) return started;
  return volume.end(changeSize(volume, inode, size));
}

function changeSize(volume: Volume, inode: CoreInode, size: number): number {
  if (inode.hasFlag(EXT4_INLINE_DATA_FL)) {
    const resized = resizeInline(volume, inode, size);
    if (resized !== NOT_INLINE) return resized;
  }
  const oldSize = inode.size;
  const within = Math.min(size, oldSize) % volume.blockSize;
  if (within !== 0) {
    const error = zeroInBlock(
      volume,
      inode,
      Math.floor(Math.min(size, oldSize) / volume.blockSize),
      within,
      volume.blockSize,
    );
    if (error < 0) return error;
  }
  const shrinks = size < oldSize;
  const wasOrphan = inode.orphan;
  if (shrinks && !wasOrphan) {
    const error = addOrphan(volume, inode);
    if (error < 0) return error;
  }
  inode.size = size;
  let error = touchTimes(volume, inode);
  // Also without shrinking: blocks kept behind the end (fallocate) go when the size is set.
  if (error === 0 && size <= oldSize) error = freeFrom(volume, inode, Math.ceil(size / volume.blockSize), false);
  if (error === 0 && shrinks && !wasOrphan) error = removeOrphan(volume, inode);
  return error;
}

/** Sets the size of an inline file; NOT_INLINE when it has been moved to blocks, size unchanged. */
function resizeInline(volume: Volume, inode: CoreInode, size: number): number {
  const capacity = inlineCapacity(volume, inode);
  if (capacity < 0) return capacity;
  if (size > capacity) {
    const error = spill(volume, inode);
    return error < 0 ? error : NOT_INLINE;
  }
  const old = readInline(volume, inode);
  if (typeof old === "number") return old;
  const content = new Uint8Array(size);
  content.set(old.subarray(0, Math.min(inode.size, size)));
  const error = writeInline(volume, inode, content);
  if (error < 0) return error;
  inode.size = size;
  return touchTimes(volume, inode);
}

/** Frees all blocks from file block `from` on. */
export function freeFrom(volume: Volume, inode: CoreInode, from: number, metadata: boolean): number {
  if (inode.hasFlag(EXT4_INLINE_DATA_FL)) return 0;
  return removeRuns(volume, inode, from, EXT_MAX_BLOCKS, metadata);
}
