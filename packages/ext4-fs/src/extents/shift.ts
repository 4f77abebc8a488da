/**
 * Moving the tail of a file to other file blocks (fallocate's COLLAPSE_RANGE and INSERT_RANGE): the blocks stay where they are on the
 * volume, only the keys in the extent tree change, leaf by leaf.
 *
 * Leaves are taken in the order that keeps all keys ascending at any moment (towards the front: from the front; towards the end:
 * from the end), so that the running transaction may be committed in between.
 */
import type { CoreInode } from "../inode.ts";
import type { Volume } from "../volume.ts";
import { dirtyNode, makeRoom, updateKeys } from "./insert.ts";
import { nextAllocated } from "./map.ts";
import { EXT_MAX_BLOCKS, findExtent } from "./node.ts";

/** Moves everything from file block `from` on `by` blocks to the front; the `by` blocks before `from` are a hole. 0 or -errno. */
export function shiftLeft(volume: Volume, inode: CoreInode, from: number, by: number): number {
  const path = volume.work.insertPath;
  let at = from;
  while (at < EXT_MAX_BLOCKS) {
    let error = findExtent(volume, inode, at, path);
    if (error < 0) return error;
    const leaf = path.depth;
    let first = Math.max(0, path.indexes[leaf]);
    if (first < path.entries(leaf) && path.key(leaf, first) < at) first++;
    path.indexes[leaf] = path.entries(leaf) - 1;
    const next = nextAllocated(
      path,
      Math.max(at, path.entries(leaf) > 0 ? path.key(leaf, path.entries(leaf) - 1) : at),
    );
    if (first < path.entries(leaf)) {
      error = dirtyNode(volume, inode, path, leaf);
      for (let i = first; i < path.entries(leaf); i++) path.setKey(leaf, i, path.key(leaf, i) - by);
      if (error === 0 && first === 0) error = updateKeys(volume, inode, path, path.key(leaf, 0));
      if (error === 0) error = volume.breathe();
      if (error < 0) return error;
    }
    at = next;
  }
  return 0;
}

/** Moves everything from file block `from` on `by` blocks towards the end. 0, -ENOSPC (nothing moved), -EUCLEAN, -EIO. */
export function shiftRight(volume: Volume, inode: CoreInode, from: number, by: number): number {
  const path = volume.work.insertPath;
  let error = splitAt(volume, inode, from);
  let at = EXT_MAX_BLOCKS - 1;
  while (error === 0 && at >= from) {
    error = findExtent(volume, inode, at, path);
    if (error < 0) return error;
    const leaf = path.depth;
    if (path.entries(leaf) === 0) return 0;
    const firstKey = path.key(leaf, 0);
    const isFirstLeaf = path.indexes.slice(0, leaf).every((index) => index === 0);
    error = dirtyNode(volume, inode, path, leaf);
    for (let i = path.entries(leaf) - 1; i >= 0 && path.key(leaf, i) >= from; i--)
      path.setKey(leaf, i, path.key(leaf, i) + by);
    if (error === 0 && firstKey >= from) error = updateKeys(volume, inode, path, firstKey + by);
    if (error === 0) error = volume.breathe();
    at = isFirstLeaf ? -1 : firstKey - 1;
  }
  return error;
}

/** Makes `fileBlock` the first of its extent, if it lies within one. */
function splitAt(volume: Volume, inode: CoreInode, fileBlock: number): number {
  const path = volume.work.insertPath;
  const error = makeRoom(volume, inode, fileBlock, 1);
  if (error < 0) return error;
  const leaf = path.depth;
  const index = path.indexes[leaf];
  if (index < 0) return 0;
  const first = path.key(leaf, index);
  const length = path.length(index);
  if (first === fileBlock || first + length <= fileBlock) return 0;
  const start = path.start(index);
  const unwritten = path.isUnwritten(index);
  const before = fileBlock - first;
  path.setExtent(index, first, start, before, unwritten);
  path.shift(leaf, index + 1, 1);
  path.setExtent(index + 1, fileBlock, start + before, length - before, unwritten);
  return dirtyNode(volume, inode, path, leaf);
}
