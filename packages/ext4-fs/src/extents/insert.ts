/**
 * Growing the extent tree: inserting runs, splitting full nodes, adding levels, and turning unwritten extents into written ones.
 *
 * Every step leaves a valid tree. Where an operation needs several entries, room is made before anything is changed, so that
 * running out of space cannot lose blocks.
 */
import { EFBIG } from "linux-abi";
import { allocateBlocks, freeBlocks } from "../allocator/blocks.ts";
import { type Buffer, KIND_EXTENTS } from "../buffer-cache.ts";
import { type CoreInode, I_BLOCK, I_BLOCK_SIZE } from "../inode.ts";
import type { Volume } from "../volume.ts";
import {
  blockEntries,
  EH_DEPTH,
  EH_ENTRIES,
  EH_MAX,
  ENTRY_SIZE,
  EXT_INIT_MAX_LEN,
  EXT_UNWRITTEN_MAX_LEN,
  EXTENT_MAGIC,
  type ExtentPath,
  findExtent,
  HEADER_SIZE,
} from "./node.ts";

/** Announces a change to the node at `level`. */
export function dirtyNode(volume: Volume, inode: CoreInode, path: ExtentPath, level: number): number {
  const buffer = path.buffers[level];
  if (buffer === null) return volume.dirtyInode(inode);
  volume.dirtyBuffer(buffer, KIND_EXTENTS, inode.csumSeed);
  return 0;
}

/**
 * Maps `count` file blocks from `fileBlock` (a hole) to the run at `start`, joining neighbours where possible.
 * `count` is at most 32767. 0, -ENOSPC (nothing changed but perhaps empty room), -EUCLEAN, -EIO.
 */
export function insertExtent(
  volume: Volume,
  inode: CoreInode,
  fileBlock: number,
  start: number,
  count: number,
  unwritten: boolean,
): number {
  const path = volume.work.insertPath;
  let error = findExtent(volume, inode, fileBlock, path);
  if (error < 0) return error;
  const leaf = path.depth;
  const index = path.indexes[leaf];
  const most = unwritten ? EXT_UNWRITTEN_MAX_LEN : EXT_INIT_MAX_LEN;
  if (index >= 0) {
    const length = path.length(index);
    const first = path.key(leaf, index);
    const joins =
      first + length === fileBlock && path.start(index) + length === start && path.isUnwritten(index) === unwritten;
    if (joins && length + count <= most) {
      path.setExtent(index, first, path.start(index), length + count, unwritten);
      mergeWithNext(path, index);
      return dirtyNode(volume, inode, path, leaf);
    }
  }
  if (index + 1 < path.entries(leaf)) {
    const next = index + 1;
    const length = path.length(next);
    const joins =
      fileBlock + count === path.key(leaf, next) &&
      start + count === path.start(next) &&
      path.isUnwritten(next) === unwritten;
    // An extent that begins a node keeps its first block, or the keys above would change.
    if (joins && length + count <= most && (next > 0 || leaf === 0)) {
      path.setExtent(next, fileBlock, start, length + count, unwritten);
      return dirtyNode(volume, inode, path, leaf);
    }
  }
  error = makeRoom(volume, inode, fileBlock, 1);
  if (error < 0) return error;
  return putEntry(volume, inode, fileBlock, start, count, unwritten);
}

/** Adds an entry to the leaf that `volume.work.insertPath` points to; there must be room. */
function putEntry(
  volume: Volume,
  inode: CoreInode,
  fileBlock: number,
  start: number,
  count: number,
  unwritten: boolean,
): number {
  const path = volume.work.insertPath;
  const leaf = path.depth;
  const at = path.indexes[leaf] + 1;
  path.shift(leaf, at, 1);
  path.setExtent(at, fileBlock, start, count, unwritten);
  const error = dirtyNode(volume, inode, path, leaf);
  return error < 0 || at > 0 ? error : updateKeys(volume, inode, path, fileBlock);
}

/** The first entry of the leaf begins at `fileBlock` now: the index entries above must say so. */
export function updateKeys(volume: Volume, inode: CoreInode, path: ExtentPath, fileBlock: number): number {
  for (let level = path.depth - 1; level >= 0; level--) {
    const index = path.indexes[level];
    path.setKey(level, index, fileBlock);
    const error = dirtyNode(volume, inode, path, level);
    if (error < 0) return error;
    if (index > 0) break;
  }
  return 0;
}

/** Joins entry `index` of the leaf with the one behind it if they continue each other. */
function mergeWithNext(path: ExtentPath, index: number): void {
  const leaf = path.depth;
  if (index + 1 >= path.entries(leaf)) return;
  const length = path.length(index);
  const nextLength = path.length(index + 1);
  const unwritten = path.isUnwritten(index);
  if (
    path.key(leaf, index) + length === path.key(leaf, index + 1) &&
    path.start(index) + length === path.start(index + 1) &&
    path.isUnwritten(index + 1) === unwritten &&
    length + nextLength <= (unwritten ? EXT_UNWRITTEN_MAX_LEN : EXT_INIT_MAX_LEN)
  ) {
    path.setExtent(index, path.key(leaf, index), path.start(index), length + nextLength, unwritten);
    path.shift(leaf, index + 1, -1);
  }
}

/** Splits nodes until the leaf for `fileBlock` has room for `entries` more; leaves `volume.work.insertPath` at that leaf. */
export function makeRoom(volume: Volume, inode: CoreInode, fileBlock: number, entries: number): number {
  const path = volume.work.insertPath;
  for (;;) {
    let error = findExtent(volume, inode, fileBlock, path);
    if (error < 0) return error;
    const leaf = path.depth;
    if (path.entries(leaf) + entries <= path.max(leaf)) return 0;
    // The lowest level above the leaf with room for one more child; none: the root grows.
    let level = leaf - 1;
    while (level >= 0 && path.entries(level) >= path.max(level)) level--;
    error = level < 0 ? growRoot(volume, inode) : splitChild(volume, inode, level);
    if (error < 0) return error;
  }
}

/** Moves the root's content into a new block below it. */
function growRoot(volume: Volume, inode: CoreInode): number {
  const depth = inode.view.getUint16(I_BLOCK + EH_DEPTH, true);
  if (depth >= 5) return -EFBIG;
  const node = newNode(volume, inode);
  if (typeof node === "number") return node;
  node.data.set(inode.raw.subarray(I_BLOCK, I_BLOCK + I_BLOCK_SIZE));
  node.view.setUint16(EH_MAX, blockEntries(volume.blockSize), true);
  const view = inode.view;
  const firstKey = view.getUint16(I_BLOCK + EH_ENTRIES, true) > 0 ? view.getUint32(I_BLOCK + HEADER_SIZE, true) : 0;
  view.setUint16(I_BLOCK + EH_DEPTH, depth + 1, true);
  view.setUint16(I_BLOCK + EH_ENTRIES, 1, true);
  inode.raw.fill(0, I_BLOCK + HEADER_SIZE, I_BLOCK + I_BLOCK_SIZE);
  view.setUint32(I_BLOCK + HEADER_SIZE, firstKey, true);
  view.setUint32(I_BLOCK + HEADER_SIZE + 4, node.block >>> 0, true);
  view.setUint16(I_BLOCK + HEADER_SIZE + 8, Math.floor(node.block / 0x1_0000_0000), true);
  return volume.dirtyInode(inode);
}

/** Splits the full node below `level` on `volume.work.insertPath` in two; `level` has room for the new child. */
function splitChild(volume: Volume, inode: CoreInode, level: number): number {
  const path = volume.work.insertPath;
  const node = newNode(volume, inode);
  if (typeof node === "number") return node;
  const child = level + 1;
  const entries = path.entries(child);
  const index = path.indexes[level];
  // A file that grows at its end fills its nodes: only the last entry moves on.
  const atEnd = path.indexes[child] === entries - 1 && index === path.entries(level) - 1;
  const stay = atEnd ? entries - 1 : entries >> 1;
  const view = path.views[child];
  const source = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  const from = path.at(child, stay);
  const key = view.getUint32(from, true);
  node.view.setUint16(0, EXTENT_MAGIC, true);
  node.view.setUint16(EH_ENTRIES, entries - stay, true);
  node.view.setUint16(EH_MAX, blockEntries(volume.blockSize), true);
  node.view.setUint16(EH_DEPTH, path.depth - child, true);
  node.data.set(source.subarray(from, from + (entries - stay) * ENTRY_SIZE), HEADER_SIZE);
  path.setEntries(child, stay);
  path.shift(level, index + 1, 1);
  path.setKey(level, index + 1, key);
  path.setChild(level, index + 1, node.block);
  const error = dirtyNode(volume, inode, path, child);
  return error < 0 ? error : dirtyNode(volume, inode, path, level);
}

function newNode(volume: Volume, inode: CoreInode): Buffer | number {
  const run = volume.work.nodeRun;
  const error = allocateBlocks(volume, inode.allocationGoal, 1, run);
  if (error < 0) return error;
  const buffer = volume.cache.create(run.start);
  volume.dirtyBuffer(buffer, KIND_EXTENTS, inode.csumSeed);
  inode.addBlocks(run.charged, volume.blockSize);
  const failed = volume.dirtyInode(inode);
  return failed < 0 ? failed : buffer;
}

/** Frees a node that holds nothing any more. */
export function freeNode(volume: Volume, inode: CoreInode, block: number): number {
  inode.addBlocks(-volume.clusterBlocks, volume.blockSize);
  return freeBlocks(volume, block, 1, true);
}

/**
 * Changes the state of `count` file blocks from `fileBlock` that lie within one extent: written data where there was none, or back.
 */
export function setWritten(
  volume: Volume,
  inode: CoreInode,
  fileBlock: number,
  count: number,
  written: boolean,
): number {
  const path = volume.work.insertPath;
  // Up to two more entries; with room made first, none of the steps below can fail for want of space.
  const error = makeRoom(volume, inode, fileBlock, 2);
  if (error < 0) return error;
  const leaf = path.depth;
  const index = path.indexes[leaf];
  const first = path.key(leaf, index);
  const length = path.length(index);
  const start = path.start(index);
  if (path.isUnwritten(index) !== written) return 0;
  const before = fileBlock - first;
  const after = first + length - (fileBlock + count);
  let at = index;
  if (before > 0) {
    path.setExtent(at, first, start, before, written);
    at++;
    path.shift(leaf, at, 1);
  } else if (index > 0 && joinsBackward(path, index, start, fileBlock, count, written)) {
    // The block run continues the extent before it: move the border.
    path.setExtent(
      index - 1,
      path.key(leaf, index - 1),
      path.start(index - 1),
      path.length(index - 1) + count,
      !written,
    );
    if (after > 0) path.setExtent(index, fileBlock + count, start + count, after, written);
    else {
      path.shift(leaf, index, -1);
      mergeWithNext(path, index - 1);
    }
    return dirtyNode(volume, inode, path, leaf);
  }
  path.setExtent(at, fileBlock, start + before, count, !written);
  if (after > 0) {
    path.shift(leaf, at + 1, 1);
    path.setExtent(at + 1, fileBlock + count, start + before + count, after, written);
  } else {
    mergeWithNext(path, at);
  }
  return dirtyNode(volume, inode, path, leaf);
}

function joinsBackward(
  path: ExtentPath,
  index: number,
  start: number,
  fileBlock: number,
  count: number,
  written: boolean,
): boolean {
  const previous = index - 1;
  const length = path.length(previous);
  return (
    path.key(path.depth, previous) + length === fileBlock &&
    path.start(previous) + length === start &&
    path.isUnwritten(previous) === !written &&
    length + count <= (written ? EXT_INIT_MAX_LEN : EXT_UNWRITTEN_MAX_LEN)
  );
}
