/**
 * Nodes of the extent tree: a 12-byte header, then 12-byte entries. The root is the 60 bytes of i_block; all others are blocks
 * with a checksum behind the last possible entry. (Documentation/filesystems/ext4/ifork.rst)
 *
 *   header   0 magic u16 · 2 entries u16 · 4 max u16 · 6 depth u16 · 8 generation u32
 *   index    0 block u32 · 4 leaf_lo u32 · 8 leaf_hi u16
 *   extent   0 block u32 · 4 len u16 · 6 start_hi u16 · 8 start_lo u32     len > 32768: unwritten, length len - 32768
 *
 * A position in the tree is an ExtentPath: one node and one entry index per level, kept in arrays that are reused.
 */
import { type Buffer, KIND_EXTENTS } from "../buffer-cache.ts";
import { blockChecksumIsValid } from "../checksum/metadata-checksum.ts";
import { type CoreInode, I_BLOCK } from "../inode.ts";
import type { Volume } from "../volume.ts";

export const EXTENT_MAGIC = 0xf30a;
export const EH_ENTRIES = 2;
export const EH_MAX = 4;
export const EH_DEPTH = 6;
export const HEADER_SIZE = 12;
export const ENTRY_SIZE = 12;
/** Longest written extent, in blocks; unwritten ones hold one less. */
export const EXT_INIT_MAX_LEN = 32768;
export const EXT_UNWRITTEN_MAX_LEN = 32767;
/** File blocks are numbered in 32 bits, and the last number is reserved. */
export const EXT_MAX_BLOCKS = 0xffffffff;
const MAX_DEPTH = 5;
/** Linux takes an inode whose root says more than it can go down, up to this; reading then fails. */
const MAX_ROOT_DEPTH = 32;
const ROOT_ENTRIES = 4;

export class ExtentPath {
  depth = 0;
  readonly views: DataView[] = [];
  /** Offset of the header in the view of that level. */
  readonly bases: number[] = [];
  /** The block of that level; null for the root. */
  readonly buffers: (Buffer | null)[] = [];
  /** Entry taken at that level; at the leaf -1 means "before the first". */
  readonly indexes: number[] = [];

  entries(level: number): number {
    return this.views[level].getUint16(this.bases[level] + EH_ENTRIES, true);
  }
  setEntries(level: number, count: number): void {
    this.views[level].setUint16(this.bases[level] + EH_ENTRIES, count, true);
  }
  max(level: number): number {
    return this.views[level].getUint16(this.bases[level] + EH_MAX, true);
  }
  /** Offset of entry `index` in the view of `level`. */
  at(level: number, index: number): number {
    return this.bases[level] + HEADER_SIZE + index * ENTRY_SIZE;
  }
  /** First file block that entry `index` covers. */
  key(level: number, index: number): number {
    return this.views[level].getUint32(this.at(level, index), true);
  }
  setKey(level: number, index: number, block: number): void {
    this.views[level].setUint32(this.at(level, index), block, true);
  }
  /** Block number of the child that index entry `index` points to. */
  child(level: number, index: number): number {
    const at = this.at(level, index);
    return this.views[level].getUint32(at + 4, true) + this.views[level].getUint16(at + 8, true) * 0x1_0000_0000;
  }
  setChild(level: number, index: number, block: number): void {
    const at = this.at(level, index);
    this.views[level].setUint32(at + 4, block >>> 0, true);
    this.views[level].setUint16(at + 8, Math.floor(block / 0x1_0000_0000), true);
    this.views[level].setUint16(at + 10, 0, true);
  }
  length(index: number): number {
    const raw = this.rawLength(index);
    return raw <= EXT_INIT_MAX_LEN ? raw : raw - EXT_INIT_MAX_LEN;
  }
  rawLength(index: number): number {
    return this.views[this.depth].getUint16(this.at(this.depth, index) + 4, true);
  }
  isUnwritten(index: number): boolean {
    return this.rawLength(index) > EXT_INIT_MAX_LEN;
  }
  start(index: number): number {
    const view = this.views[this.depth];
    const at = this.at(this.depth, index);
    return view.getUint32(at + 8, true) + view.getUint16(at + 6, true) * 0x1_0000_0000;
  }
  setExtent(index: number, block: number, start: number, length: number, unwritten: boolean): void {
    const view = this.views[this.depth];
    const at = this.at(this.depth, index);
    view.setUint32(at, block, true);
    view.setUint16(at + 4, unwritten ? length + EXT_INIT_MAX_LEN : length, true);
    view.setUint16(at + 6, Math.floor(start / 0x1_0000_0000), true);
    view.setUint32(at + 8, start >>> 0, true);
  }
  /** Opens a gap for one entry at `index` (the node must have room) or closes it again. */
  shift(level: number, index: number, by: 1 | -1): void {
    const count = this.entries(level);
    const view = this.views[level];
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    const from = this.at(level, by === 1 ? index : index + 1);
    bytes.copyWithin(from + by * ENTRY_SIZE, from, this.at(level, count));
    this.setEntries(level, count + by);
  }
}

/** An empty root in i_block. */
export function initExtentRoot(inode: CoreInode): void {
  inode.raw.fill(0, I_BLOCK, I_BLOCK + 60);
  inode.view.setUint16(I_BLOCK, EXTENT_MAGIC, true);
  inode.view.setUint16(I_BLOCK + EH_MAX, ROOT_ENTRIES, true);
}

/** Entries that fit into a block; the checksum takes the four bytes behind them. */
export function blockEntries(blockSize: number): number {
  return Math.floor((blockSize - HEADER_SIZE) / ENTRY_SIZE);
}

/**
 * Walks from the root to the leaf that covers `fileBlock`. 0, -EUCLEAN or -EIO. The leaf index is the last extent that starts
 * at or before the block, or -1.
 */
export function findExtent(volume: Volume, inode: CoreInode, fileBlock: number, path: ExtentPath): number {
  const depth = inode.view.getUint16(I_BLOCK + EH_DEPTH, true);
  if (depth > MAX_DEPTH || !headerIsSane(inode.view, I_BLOCK, depth, ROOT_ENTRIES)) {
    return volume.corrupt("extent root is damaged", inode.ino, 0);
  }
  path.depth = depth;
  path.views[0] = inode.view;
  path.bases[0] = I_BLOCK;
  path.buffers[0] = null;
  for (let level = 0; level < depth; level++) {
    const index = Math.max(0, search(path, level, fileBlock));
    path.indexes[level] = index;
    if (path.entries(level) === 0) return volume.corrupt("extent index node is empty", inode.ino, 0);
    const block = path.child(level, index);
    const buffer = volume.cache.get(block);
    if (typeof buffer === "number") return buffer;
    if (buffer.verifiedAs !== KIND_EXTENTS) {
      const error = verifyNode(volume, inode, buffer, depth - level - 1, path.key(level, index));
      if (error < 0) return error;
    } else if (buffer.view.getUint16(EH_DEPTH, true) !== depth - level - 1) {
      return volume.corrupt(`extent node ${block} is at the wrong depth`, inode.ino, block);
    }
    path.views[level + 1] = buffer.view;
    path.bases[level + 1] = 0;
    path.buffers[level + 1] = buffer;
  }
  path.indexes[depth] = search(path, depth, fileBlock);
  return 0;
}

/** Last entry whose key is ≤ `fileBlock`, or -1. */
function search(path: ExtentPath, level: number, fileBlock: number): number {
  let low = 0;
  let high = path.entries(level) - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (path.key(level, middle) <= fileBlock) low = middle + 1;
    else high = middle - 1;
  }
  return high;
}

function headerIsSane(view: DataView, base: number, depth: number, most: number): boolean {
  const entries = view.getUint16(base + EH_ENTRIES, true);
  const max = view.getUint16(base + EH_MAX, true);
  return (
    view.getUint16(base, true) === EXTENT_MAGIC &&
    max > 0 &&
    max <= most &&
    entries <= max &&
    view.getUint16(base + EH_DEPTH, true) === depth
  );
}

/** Checks a node once after it came from the medium: header, checksum, order of keys, and that extents stay on the volume. */
function verifyNode(volume: Volume, inode: CoreInode, buffer: Buffer, depth: number, key: number): number {
  const { view, block } = buffer;
  if (!headerIsSane(view, 0, depth, blockEntries(volume.blockSize)))
    return volume.corrupt(`extent node ${block} is damaged`, inode.ino, block);
  buffer.kind = KIND_EXTENTS;
  buffer.seed = inode.csumSeed;
  if (!blockChecksumIsValid(volume, buffer))
    return volume.corrupt(`extent node ${block}: checksum is wrong`, inode.ino, block);
  if (view.getUint16(EH_ENTRIES, true) > 0 && view.getUint32(HEADER_SIZE, true) !== key)
    return volume.corrupt(`extent node ${block} does not begin where its parent says`, inode.ino, block);
  const error = verifyEntries(volume, inode, view, 0, depth);
  if (error === 0) buffer.verifiedAs = KIND_EXTENTS;
  return error;
}

/** Checks the root in i_block when an inode is loaded. */
export function verifyRoot(volume: Volume, inode: CoreInode): number {
  const depth = inode.view.getUint16(I_BLOCK + EH_DEPTH, true);
  if (depth > MAX_ROOT_DEPTH || !headerIsSane(inode.view, I_BLOCK, depth, ROOT_ENTRIES)) {
    return volume.corrupt("extent root is damaged", inode.ino, 0);
  }
  return verifyEntries(volume, inode, inode.view, I_BLOCK, depth);
}

/** Keys ascend, extents neither overlap nor leave the volume. */
function verifyEntries(volume: Volume, inode: CoreInode, view: DataView, base: number, depth: number): number {
  const entries = view.getUint16(base + EH_ENTRIES, true);
  let next = 0;
  for (let i = 0; i < entries; i++) {
    const at = base + HEADER_SIZE + i * ENTRY_SIZE;
    const key = view.getUint32(at, true);
    if (key < next) return volume.corrupt(`extent entries overlap at file block ${key}`, inode.ino, 0);
    if (depth === 0) {
      const raw = view.getUint16(at + 4, true);
      const length = raw <= EXT_INIT_MAX_LEN ? raw : raw - EXT_INIT_MAX_LEN;
      const start = view.getUint32(at + 8, true) + view.getUint16(at + 6, true) * 0x1_0000_0000;
      if (length === 0 || !volume.inodes.mayOwn(inode.ino, start, length))
        return volume.corrupt(`extent of ${length} blocks at ${start} is not where it may be`, inode.ino, start);
      next = key + length;
    } else {
      const child = view.getUint32(at + 4, true) + view.getUint16(at + 8, true) * 0x1_0000_0000;
      if (!volume.inodes.mayOwn(inode.ino, child, 1))
        return volume.corrupt(`extent node at ${child} is not where it may be`, inode.ino, child);
      next = key + 1;
    }
  }
  return 0;
}
