/**
 * The block map of ext2 and ext3 files: i_block holds 12 direct block numbers, then one each of a single, double and triple indirect
 * block; 0 is a hole. Indirect blocks are arrays of block numbers, 32 bits each, without a checksum.
 *
 * A position in the map is the slot of a file block: which of the 15 numbers, and the index in each indirect block below it.
 */
import { EFBIG } from "linux-abi";
import { allocateBlocks, freeBlocks } from "./allocator/blocks.ts";
import { freeFileBlocks } from "./allocator/clusters.ts";
import { type Buffer, KIND_PLAIN } from "./buffer-cache.ts";
import type { Mapping } from "./extents/map.ts";
import { type CoreInode, I_BLOCK } from "./inode.ts";
import type { Volume } from "./volume.ts";

const DIRECT = 12;

/** As `mapBlocks`. A run ends where the numbers stop being consecutive or the next indirect block begins. */
export function mapIndirect(volume: Volume, inode: CoreInode, fileBlock: number, max: number, out: Mapping): number {
  out.unwritten = false;
  if (fileBlock < DIRECT) return scan(volume, inode, inode.view, I_BLOCK, fileBlock, DIRECT, max, out);
  const perBlock = volume.blockSize / 4;
  let rest = fileBlock - DIRECT;
  let span = perBlock; // file blocks below one indirect block of this height
  for (let height = 1; height <= 3; height++, span *= perBlock) {
    if (rest >= span) {
      rest -= span;
      continue;
    }
    let block = inode.view.getUint32(I_BLOCK + (DIRECT + height - 1) * 4, true);
    for (let level = height; level >= 1; level--) {
      span /= perBlock;
      if (block === 0) {
        out.block = 0;
        out.count = Math.min(max, span * perBlock - (rest % (span * perBlock)));
        return 0;
      }
      const buffer = indirectBlock(volume, inode, block);
      if (typeof buffer === "number") return buffer;
      if (level === 1) return scan(volume, inode, buffer.view, 0, rest % perBlock, perBlock, max, out);
      block = buffer.view.getUint32(Math.floor(rest / span) * 4, true);
      rest %= span;
    }
  }
  out.block = 0;
  out.count = max;
  return 0;
}

function scan(
  volume: Volume,
  inode: CoreInode,
  view: DataView,
  base: number,
  index: number,
  limit: number,
  max: number,
  out: Mapping,
): number {
  const first = view.getUint32(base + index * 4, true);
  let count = 1;
  while (count < max && index + count < limit) {
    const next = view.getUint32(base + (index + count) * 4, true);
    if (next !== (first === 0 ? 0 : first + count)) break;
    count++;
  }
  if (first !== 0 && !volume.inodes.mayOwn(inode.ino, first, count)) {
    if (count > 1) return scan(volume, inode, view, base, index, limit, 1, out); // damage further on does not count here
    return volume.corrupt(`block ${first} is not where it may be`, inode.ino, first);
  }
  out.block = first;
  out.count = count;
  return 0;
}

function indirectBlock(volume: Volume, inode: CoreInode, block: number): Buffer | number {
  if (!volume.inodes.mayOwn(inode.ino, block, 1))
    return volume.corrupt(`indirect block ${block} is not where it may be`, inode.ino, block);
  return volume.cache.get(block);
}

/**
 * Makes sure that the slot of `fileBlock` exists, allocating indirect blocks on the way: how many of the `count` file blocks from
 * there on have their slots beside it, or -ENOSPC, -EFBIG, -EUCLEAN, -EIO. New indirect blocks stay when the caller gives up: they
 * are part of the map, and empty.
 */
export function prepareIndirect(
  volume: Volume,
  inode: CoreInode,
  fileBlock: number,
  count: number,
  goal: number,
): number {
  if (fileBlock < DIRECT) return Math.min(count, DIRECT - fileBlock);
  const leaf = leafFor(volume, inode, fileBlock, goal);
  if (typeof leaf === "number") return leaf;
  const perBlock = volume.blockSize / 4;
  return Math.min(count, perBlock - ((fileBlock - DIRECT) % perBlock));
}

/** The indirect block with the slot of `fileBlock` (≥ 12), made if need be. */
function leafFor(volume: Volume, inode: CoreInode, fileBlock: number, goal: number): Buffer | number {
  const perBlock = volume.blockSize / 4;
  let rest = fileBlock - DIRECT;
  let span = perBlock;
  let height = 1;
  while (height <= 3 && rest >= span) {
    rest -= span;
    span *= perBlock;
    height++;
  }
  if (height > 3) return -EFBIG;
  let parent: Buffer | null = null; // null: the inode
  let at = I_BLOCK + (DIRECT + height - 1) * 4;
  for (let level = height; ; level--) {
    const view: DataView = parent === null ? inode.view : parent.view;
    const block = view.getUint32(at, true);
    const buffer: Buffer | number =
      block === 0 ? newIndirect(volume, inode, parent, at, goal) : indirectBlock(volume, inode, block);
    if (typeof buffer === "number" || level === 1) return buffer;
    span /= perBlock;
    parent = buffer;
    at = Math.floor(rest / span) * 4;
    rest %= span;
  }
}

function newIndirect(
  volume: Volume,
  inode: CoreInode,
  parent: Buffer | null,
  at: number,
  goal: number,
): Buffer | number {
  const run = volume.work.nodeRun;
  const error = allocateBlocks(volume, goal, 1, run);
  if (error < 0) return error;
  const buffer = volume.cache.create(run.start);
  volume.dirtyBuffer(buffer, KIND_PLAIN, 0);
  if (parent === null) {
    inode.view.setUint32(at, run.start, true);
  } else {
    parent.view.setUint32(at, run.start, true);
    volume.dirtyBuffer(parent, KIND_PLAIN, 0);
  }
  inode.addBlocks(run.charged, volume.blockSize);
  const failed = volume.dirtyInode(inode);
  return failed < 0 ? failed : buffer;
}

/** Enters `count` blocks from `start` on; `prepareIndirect` has promised that their slots are there. 0, -EUCLEAN, -EIO. */
export function insertIndirect(
  volume: Volume,
  inode: CoreInode,
  fileBlock: number,
  start: number,
  count: number,
): number {
  if (fileBlock < DIRECT) {
    for (let i = 0; i < count; i++) inode.view.setUint32(I_BLOCK + (fileBlock + i) * 4, start + i, true);
    return volume.dirtyInode(inode);
  }
  const leaf = leafFor(volume, inode, fileBlock, start);
  if (typeof leaf === "number") return leaf;
  const index = (fileBlock - DIRECT) % (volume.blockSize / 4);
  for (let i = 0; i < count; i++) leaf.view.setUint32((index + i) * 4, start + i, true);
  volume.dirtyBuffer(leaf, KIND_PLAIN, 0);
  return 0;
}

/**
 * Frees file blocks [from, to), from the end backwards, and the indirect blocks that become empty. After each step map and bitmaps
 * agree, so the running transaction may be committed in between.
 */
export function removeIndirect(volume: Volume, inode: CoreInode, from: number, to: number, metadata: boolean): number {
  const perBlock = volume.blockSize / 4;
  for (let height = 3; height >= 1; height--) {
    let base = DIRECT;
    for (let h = 1; h < height; h++) base += perBlock ** h;
    if (to <= base || from >= base + perBlock ** height) continue;
    const at = I_BLOCK + (DIRECT + height - 1) * 4;
    const error = removeBelow(volume, inode, null, at, height, base, from, to, metadata);
    if (error < 0) return error;
  }
  const error = removeSlots(volume, inode, null, I_BLOCK, 0, from, Math.min(to, DIRECT), metadata);
  return error < 0 ? error : volume.dirtyInode(inode);
}

/** The part of [from, to) below the indirect block that the number at `at` of `parent` (null: the inode) names. */
function removeBelow(
  volume: Volume,
  inode: CoreInode,
  parent: Buffer | null,
  at: number,
  height: number,
  base: number,
  from: number,
  to: number,
  metadata: boolean,
): number {
  const block = (parent === null ? inode.view : parent.view).getUint32(at, true);
  if (block === 0) return 0;
  const buffer = indirectBlock(volume, inode, block);
  if (typeof buffer === "number") return buffer;
  const perBlock = volume.blockSize / 4;
  const span = perBlock ** (height - 1);
  const first = Math.max(0, Math.floor((from - base) / span));
  const last = Math.min(perBlock, Math.ceil((to - base) / span)) - 1;
  if (height === 1) {
    const error = removeSlots(volume, inode, buffer, 0, base, Math.max(from, base), base + last + 1, metadata);
    if (error < 0) return error;
  } else {
    for (let i = last; i >= first; i--) {
      const error = removeBelow(volume, inode, buffer, i * 4, height - 1, base + i * span, from, to, metadata);
      if (error < 0) return error;
    }
  }
  if (buffer.data.some((byte) => byte !== 0)) return 0;
  if (parent === null) {
    inode.view.setUint32(at, 0, true);
  } else {
    parent.view.setUint32(at, 0, true);
    volume.dirtyBuffer(parent, KIND_PLAIN, 0);
  }
  inode.addBlocks(-volume.clusterBlocks, volume.blockSize);
  let error = volume.dirtyInode(inode);
  if (error === 0) error = freeBlocks(volume, block, 1, true);
  return error < 0 ? error : volume.breathe();
}

/** Clears the slots of file blocks [from, to); slot 0 of this array belongs to `base` and lies at `origin`. */
function removeSlots(
  volume: Volume,
  inode: CoreInode,
  buffer: Buffer | null,
  origin: number,
  base: number,
  from: number,
  to: number,
  metadata: boolean,
): number {
  const view = buffer === null ? inode.view : buffer.view;
  const slot = (fileBlock: number): number => view.getUint32(origin + (fileBlock - base) * 4, true);
  for (let end = to; end > from; ) {
    let first = end - 1;
    const last = slot(first);
    if (last === 0) {
      end = first;
      continue;
    }
    while (first > from && slot(first - 1) === slot(first) - 1) first--;
    const start = slot(first);
    for (let b = first; b < end; b++) view.setUint32(origin + (b - base) * 4, 0, true);
    if (buffer !== null) volume.dirtyBuffer(buffer, KIND_PLAIN, 0);
    let error = volume.dirtyInode(inode);
    if (error === 0) error = freeFileBlocks(volume, inode, first, end - first, start, metadata);
    if (error === 0) error = volume.breathe();
    if (error < 0) return error;
    end = first;
  }
  return 0;
}
