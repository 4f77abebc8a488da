/**
 * Repairs of block mappings: what is good of an inode's blocks is collected, and the mapping is written anew from it, in new nodes.
 * Nodes of the old one are found to be free in the next round.
 */
import { crc32c } from "../checksum/crc32c.ts";
import { EXT4_FEATURE_RO_COMPAT_BIGALLOC } from "../features.ts";
import { type CoreInode, EXT4_EXTENTS_FL, EXT4_INDEX_FL, I_BLOCK, I_BLOCK_SIZE } from "../inode.ts";
import { EXT4_RESIZE_INO } from "../superblock.ts";
import { allocateOne } from "./allocate.ts";
import { onceEach, walkBlocks } from "./block-walk.ts";
import type { Checker } from "./checker.ts";
import { clearInode } from "./inodes-check.ts";
import { rebuildDirectory } from "./rebuild-directory.ts";

/** Consecutive blocks of a file. */
export interface MapRun {
  fileBlock: number;
  block: number;
  count: number;
  readonly unwritten: boolean;
}

const EXTENT_MAGIC = 0xf30a;
const ROOT_ENTRIES = 4;
const MAX_INIT = 32768;
const MAX_UNWRITTEN = 32767;
/** An inode with more pieces than this is rubbish: the blocks of its tree would not fit the volume. */
const MAX_RUNS = 1 << 22;
const NDIR = 12;

/** Every good piece of an inode's mapping; undefined when there are too many to be true. */
export function collectMapping(ck: Checker, inode: CoreInode): MapRun[] | undefined {
  const runs: MapRun[] = [];
  const fresh = onceEach();
  let overflow = false;
  walkBlocks(ck, inode, {
    data(fileBlock, block, count, unwritten) {
      const last = runs.at(-1);
      if (
        last !== undefined &&
        last.unwritten === unwritten &&
        last.fileBlock + last.count === fileBlock &&
        last.block + last.count === block
      ) {
        last.count += count;
      } else if (runs.length < MAX_RUNS) {
        runs.push({ fileBlock, block, count, unwritten });
      } else {
        overflow = true;
      }
    },
    node: (block) => fresh(block) && !overflow,
    problem() {},
  });
  return overflow ? undefined : runs;
}

/** Writes the mappings that pass 1 found damaged. */
export function rebuildMappings(ck: Checker): void {
  if (!ck.repair || ck.stuck) return;
  for (const ino of ck.rebuildExtents) {
    const inode = ck.readInode(ino);
    if (inode === undefined || ino === EXT4_RESIZE_INO) continue;
    if (dropPointers(ck, inode)) continue;
    const runs = collectMapping(ck, inode);
    if (runs === undefined) {
      clearInode(ck, inode);
      continue;
    }
    if (inode.isDirectory) {
      const dir = ck.directories.get(ino);
      if (ck.ratio > 1 && dir !== undefined) {
        rebuildDirectory(ck, dir, false);
        continue;
      }
      closeHoles(runs);
      inode.flags &= ~EXT4_INDEX_FL;
      ck.rebuildDirectories.add(ino);
    }
    if (ck.sb.hasRoCompat(EXT4_FEATURE_RO_COMPAT_BIGALLOC)) inode.flags |= EXT4_EXTENTS_FL;
    if (storeMapping(ck, inode, runs)) {
      ck.writeInode(inode);
    } else {
      ck.stuck = false; // no room for its nodes: the file goes
      clearInode(ck, inode);
    }
    ck.again = true;
  }
}

/**
 * A block map is put right in place, pointer by pointer, unless a node of it lies where it must not. False: it needs new nodes.
 */
function dropPointers(ck: Checker, inode: CoreInode): boolean {
  if (inode.hasFlag(EXT4_EXTENTS_FL) || ck.ratio > 1) return false;
  const pointers: [number, number][] = [];
  let inPlace = true;
  walkBlocks(ck, inode, {
    data() {},
    node: onceEach(),
    problem(code) {
      if (code !== "block-illegal" && code !== "block-too-big") inPlace = false;
    },
    dropPointer: (holder, offset) => {
      if (pointers.length < MAX_RUNS) pointers.push([holder, offset]);
    },
  });
  if (!inPlace || pointers.length === 0) return false;
  for (const [holder, offset] of pointers) {
    if (holder === 0) {
      inode.view.setUint32(offset, 0, true);
      continue;
    }
    const bytes = ck.read(holder)?.slice();
    if (bytes === undefined) return false;
    new DataView(bytes.buffer).setUint32(offset, 0, true);
    ck.write(holder, bytes);
  }
  ck.writeInode(inode);
  ck.again = true;
  return true;
}

/** A directory is read from block to block: it has no holes, and nothing of it is unwritten. */
function closeHoles(runs: MapRun[]): void {
  let next = 0;
  runs.forEach((run, i) => {
    runs[i] = { fileBlock: next, block: run.block, count: run.count, unwritten: false };
    next += run.count;
  });
}

/** Puts a mapping into an inode (in memory) and its nodes (on the medium). False when there is no room for them. */
export function storeMapping(ck: Checker, inode: CoreInode, runs: readonly MapRun[]): boolean {
  const ok =
    inode.hasFlag(EXT4_EXTENTS_FL) && ck.hasExtents ? storeExtents(ck, inode, runs) : storeMap(ck, inode, runs);
  if (!ok) ck.stuck = true;
  return ok;
}

interface Entry {
  readonly fileBlock: number;
  readonly block: number;
  /** Raw ee_len of an extent; 0 in an index. */
  readonly length: number;
}

function storeExtents(ck: Checker, inode: CoreInode, runs: readonly MapRun[]): boolean {
  let entries: Entry[] = [];
  for (const run of runs) {
    const most = run.unwritten ? MAX_UNWRITTEN : MAX_INIT;
    for (let done = 0; done < run.count; done += most) {
      const count = Math.min(most, run.count - done);
      const length = run.unwritten ? count + MAX_INIT : count;
      entries.push({ fileBlock: run.fileBlock + done, block: run.block + done, length });
    }
  }
  const perBlock = Math.floor((ck.blockSize - 12) / 12);
  const cursor = { block: runs[0]?.block ?? 0 };
  let depth = 0;
  inode.setSeed(ck.seed);
  while (entries.length > ROOT_ENTRIES) {
    const level: Entry[] = [];
    for (let i = 0; i < entries.length; i += perBlock) {
      const part = entries.slice(i, i + perBlock);
      const block = allocateOne(ck, cursor);
      if (block === 0) return false;
      const bytes = new Uint8Array(ck.blockSize);
      const view = new DataView(bytes.buffer);
      writeNode(view, 0, part, perBlock, depth);
      const tail = 12 + perBlock * 12;
      if (ck.hasChecksums) view.setUint32(tail, crc32c(inode.csumSeed, bytes, 0, tail), true);
      if (!ck.write(block, bytes)) return false;
      level.push({ fileBlock: part[0].fileBlock, block, length: 0 });
    }
    entries = level;
    depth++;
  }
  inode.raw.fill(0, I_BLOCK, I_BLOCK + I_BLOCK_SIZE);
  writeNode(inode.view, I_BLOCK, entries, ROOT_ENTRIES, depth);
  return true;
}

function writeNode(view: DataView, base: number, entries: readonly Entry[], room: number, depth: number): void {
  view.setUint16(base, EXTENT_MAGIC, true);
  view.setUint16(base + 2, entries.length, true);
  view.setUint16(base + 4, room, true);
  view.setUint16(base + 6, depth, true);
  entries.forEach((entry, i) => {
    const at = base + 12 + i * 12;
    const high = Math.floor(entry.block / 0x1_0000_0000);
    view.setUint32(at, entry.fileBlock, true);
    if (depth === 0) {
      view.setUint16(at + 4, entry.length, true);
      view.setUint16(at + 6, high, true);
      view.setUint32(at + 8, entry.block >>> 0, true);
    } else {
      view.setUint32(at + 4, entry.block >>> 0, true);
      view.setUint16(at + 8, high, true);
    }
  });
}

/** A block map: nodes are made where something lies below them. */
function storeMap(ck: Checker, inode: CoreInode, runs: readonly MapRun[]): boolean {
  const perBlock = ck.blockSize / 4;
  inode.raw.fill(0, I_BLOCK, I_BLOCK + I_BLOCK_SIZE);
  const cursor = { block: runs[0]?.block ?? 0 };
  let next = 0; // index into runs
  let within = 0;
  /** The block of `fileBlock` if it is mapped; called with rising arguments. */
  const blockOf = (fileBlock: number): number => {
    while (next < runs.length && runs[next].fileBlock + runs[next].count <= fileBlock) next++;
    within = next < runs.length ? fileBlock - runs[next].fileBlock : -1;
    return within >= 0 ? runs[next].block + within : 0;
  };
  const anyIn = (from: number, count: number): boolean => {
    blockOf(from);
    return next < runs.length && runs[next].fileBlock < from + count;
  };
  const build = (level: number, from: number): number => {
    if (level === 0) return blockOf(from);
    const below = perBlock ** (level - 1);
    if (!anyIn(from, below * perBlock)) return 0;
    const block = allocateOne(ck, cursor);
    if (block === 0) return -1;
    const bytes = new Uint8Array(ck.blockSize);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < perBlock; i++) {
      const child = build(level - 1, from + i * below);
      if (child < 0) return -1;
      view.setUint32(i * 4, child, true);
    }
    return ck.write(block, bytes) ? block : -1;
  };
  for (let i = 0; i < NDIR; i++) inode.view.setUint32(I_BLOCK + i * 4, blockOf(i), true);
  let from = NDIR;
  for (let level = 1; level <= 3; level++) {
    const block = build(level, from);
    if (block < 0) return false;
    inode.view.setUint32(I_BLOCK + (NDIR + level - 1) * 4, block, true);
    from += perBlock ** level;
  }
  return true;
}
