/**
 * Taking blocks out of the extent tree: truncation and hole punching.
 *
 * Works from the end of the range backwards, one extent at a time; after each step tree and bitmaps agree, so the running
 * transaction may be committed in between (`Volume.breathe`). The caller has put a file that is being truncated on the orphan
 * list, so a crash half-way is finished at the next mount.
 */
import { freeFileBlocks } from "../allocator/clusters.ts";
import type { Buffer } from "../buffer-cache.ts";
import { type CoreInode, I_BLOCK, I_BLOCK_SIZE } from "../inode.ts";
import type { Volume } from "../volume.ts";
import { dirtyNode, freeNode, updateKeys, makeRoom } from "./insert.ts";
import { EH_DEPTH, EH_ENTRIES, ENTRY_SIZE, findExtent, HEADER_SIZE } from "./node.ts";

/**
 * Frees the blocks of file blocks [from, to). `metadata`: they hold directory entries or the like, which the journal logs.
 * 0, -EUCLEAN, -EIO; punching into the middle of an extent may need a block for the tree: -ENOSPC.
 */
export function removeExtents(volume: Volume, inode: CoreInode, from: number, to: number, metadata: boolean): number {
  const error = removeBackward(volume, inode, from, to, metadata);
  return error < 0 ? error : pullUp(volume, inode);
}

function removeBackward(volume: Volume, inode: CoreInode, from: number, to: number, metadata: boolean): number {
  const path = volume.work.removePath;
  let end = to;
  while (end > from) {
    let error = findExtent(volume, inode, end - 1, path);
    if (error < 0) return error;
    const leaf = path.depth;
    const index = path.indexes[leaf];
    if (index < 0) return 0; // nothing at or before end - 1
    const first = path.key(leaf, index);
    const length = path.length(index);
    if (first + length <= from) return 0;
    const cutFrom = Math.max(first, from);
    const cutTo = Math.min(first + length, end);
    if (cutTo > cutFrom) {
      error = removePart(volume, inode, index, cutFrom, cutTo, metadata);
      if (error < 0) return error;
      error = volume.breathe();
      if (error < 0) return error;
    }
    end = first;
  }
  return 0;
}

/** While the root has a single child whose entries fit into it, it takes them up: the tree is as flat as it can be. */
function pullUp(volume: Volume, inode: CoreInode): number {
  const path = volume.work.removePath;
  for (let depth = inode.view.getUint16(I_BLOCK + EH_DEPTH, true); depth > 0; depth--) {
    const error = findExtent(volume, inode, 0, path);
    if (error < 0) return error;
    const entries = path.entries(1);
    if (path.entries(0) !== 1 || entries > path.max(0)) return 0;
    const child = path.child(0, 0);
    const node = path.buffers[1] as Buffer;
    const failed = volume.dirtyInode(inode);
    if (failed < 0) return failed;
    inode.raw.fill(0, I_BLOCK + HEADER_SIZE, I_BLOCK + I_BLOCK_SIZE);
    inode.raw.set(node.data.subarray(HEADER_SIZE, HEADER_SIZE + entries * ENTRY_SIZE), I_BLOCK + HEADER_SIZE);
    inode.view.setUint16(I_BLOCK + EH_ENTRIES, entries, true);
    inode.view.setUint16(I_BLOCK + EH_DEPTH, depth - 1, true);
    const freed = freeNode(volume, inode, child);
    if (freed < 0) return freed;
  }
  return 0;
}

/** Cuts file blocks [cutFrom, cutTo) out of extent `index` of the leaf in `volume.work.removePath`. */
function removePart(
  volume: Volume,
  inode: CoreInode,
  index: number,
  cutFrom: number,
  cutTo: number,
  metadata: boolean,
): number {
  const path = volume.work.removePath;
  let leaf = path.depth;
  const first = path.key(leaf, index);
  const length = path.length(index);
  const start = path.start(index);
  const unwritten = path.isUnwritten(index);
  const before = cutFrom - first;
  const after = first + length - cutTo;
  let at = index;
  if (before > 0 && after > 0) {
    let error = makeRoom(volume, inode, first, 1);
    if (error === 0) error = findExtent(volume, inode, first, path);
    if (error < 0) return error;
    leaf = path.depth;
    at = path.indexes[leaf];
  }
  let error = dirtyNode(volume, inode, path, leaf);
  if (error < 0) return error;
  if (before > 0) {
    path.setExtent(at, first, start, before, unwritten);
    if (after > 0) {
      path.shift(leaf, at + 1, 1);
      path.setExtent(at + 1, cutTo, start + (cutTo - first), after, unwritten);
    }
  } else if (after > 0) {
    path.setExtent(at, cutTo, start + (cutTo - first), after, unwritten);
    if (at === 0) error = updateKeys(volume, inode, path, cutTo);
  } else {
    path.shift(leaf, at, -1);
    error =
      path.entries(leaf) === 0
        ? removeNode(volume, inode, leaf)
        : at === 0
          ? updateKeys(volume, inode, path, path.key(leaf, 0))
          : 0;
  }
  if (error === 0) error = freeFileBlocks(volume, inode, cutFrom, cutTo - cutFrom, start + before, metadata);
  return error < 0 ? error : volume.dirtyInode(inode);
}

/** The node at `level` has become empty: takes it out of its parent, and so on upwards. */
function removeNode(volume: Volume, inode: CoreInode, emptyLevel: number): number {
  const path = volume.work.removePath;
  for (let level = emptyLevel; level > 0; level--) {
    const parent = level - 1;
    const index = path.indexes[parent];
    const error = freeNode(volume, inode, path.child(parent, index));
    if (error < 0) return error;
    path.shift(parent, index, -1);
    const failed = dirtyNode(volume, inode, path, parent);
    if (failed < 0) return failed;
    if (path.entries(parent) > 0) return index === 0 && parent > 0 ? raiseKeys(volume, inode, parent) : 0;
  }
  inode.view.setUint16(I_BLOCK + EH_DEPTH, 0, true); // an empty root is a leaf
  return 0;
}

/** The first child of the node at `level` has gone: the keys above follow the new first one. */
function raiseKeys(volume: Volume, inode: CoreInode, level: number): number {
  const path = volume.work.removePath;
  const key = path.key(level, 0);
  for (let above = level - 1; above >= 0; above--) {
    const index = path.indexes[above];
    path.setKey(above, index, key);
    const error = dirtyNode(volume, inode, path, above);
    if (error < 0) return error;
    if (index > 0) break;
  }
  return 0;
}
