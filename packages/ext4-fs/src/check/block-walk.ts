/**
 * Every block of an inode, from its extent tree or its block map, with the errors on the way.
 *
 * The walk itself decides what is valid; what it finds goes to a `Sink`. A node is visited once at most per volume: when the sink
 * answers that a block has been seen already, the walk does not go below it, so that shared or circular trees cost nothing extra.
 */
import { S_IFDIR, S_IFMT, S_IFREG } from "linux-abi";
import { crc32c } from "../checksum/crc32c.ts";
import { type CoreInode, EXT4_EXTENTS_FL, I_BLOCK, I_BLOCK_SIZE, EXT4_VERITY_FL } from "../inode.ts";
import { EXT4_RESIZE_INO } from "../superblock.ts";
import type { Checker } from "./checker.ts";
import type { ProblemCode, ProblemDetail } from "./problems.ts";

const EXTENT_MAGIC = 0xf30a;
/** Deeper trees than Linux reads (5) are still looked at, as far as four-byte block numbers can need them. */
const MAX_DEPTH = 8;
const LINUX_MAX_DEPTH = 5;
/** Logical blocks have 32 bits, and the one behind the last must be expressible, too. */
const MAX_FILE_BLOCK = 0xffff_ffff;

export interface Sink {
  /** Blocks of content. */
  data(fileBlock: number, block: number, count: number, unwritten: boolean): void;
  /** A block of the tree itself. False: do not go below it. */
  node(block: number, fileBlock: number): boolean;
  /** Something wrong. True: the caller repairs it by leaving the thing out. */
  problem(code: ProblemCode, detail: ProblemDetail): void;
  /** Block map only: the pointer at `offset` of `block` (0 = in the inode) is to become 0. */
  dropPointer?(holder: number, offset: number): void;
}

/** A `Sink.node` for walks that claim nothing: below each block once, so that no pointer in a circle costs anything. */
export function onceEach(): (block: number) => boolean {
  const seen = new Set<number>();
  return (block) => {
    if (seen.has(block)) return false;
    seen.add(block);
    return true;
  };
}

/** Whether the blocks of an inode are to be looked for at all: a link stored in the inode, a device, a pipe and a socket have none. */
export function walkBlocks(ck: Checker, inode: CoreInode, sink: Sink): void {
  if (inode.hasFlag(EXT4_EXTENTS_FL) && ck.hasExtents) walkExtents(ck, inode, sink);
  else walkMap(ck, inode, sink);
}

// ---- extents ----

/** Whether `view` begins with a sane header of a node with room for `room` bytes. */
export function extentHeaderIsValid(view: DataView, base: number, room: number): boolean {
  const most = Math.floor((room - 12) / 12);
  const max = view.getUint16(base + 4, true);
  return (
    view.getUint16(base, true) === EXTENT_MAGIC &&
    view.getUint16(base + 2, true) <= max &&
    max <= most &&
    max >= most - 2 &&
    max > 0
  );
}

interface Walk {
  readonly inode: CoreInode;
  readonly sink: Sink;
  readonly isDirectory: boolean;
  /** First block behind the end of the file. */
  readonly eof: number;
  readonly verity: boolean;
  readonly limit: number;
  /** First logical block behind the extents so far. */
  next: number;
}

function walkExtents(ck: Checker, inode: CoreInode, sink: Sink): void {
  const { view } = inode;
  if (!extentHeaderIsValid(view, I_BLOCK, I_BLOCK_SIZE)) {
    sink.problem("extent-header", { inode: inode.ino, block: 0 });
    return;
  }
  const depth = view.getUint16(I_BLOCK + 6, true);
  if (depth > MAX_DEPTH) {
    sink.problem("extent-header", { inode: inode.ino, block: 0 });
    return;
  }
  if (depth > LINUX_MAX_DEPTH) sink.problem("extent-depth", { inode: inode.ino, value: depth });
  const isDirectory = (inode.mode & S_IFMT) === S_IFDIR;
  const walk: Walk = {
    inode,
    sink,
    isDirectory,
    eof: Math.ceil(inode.size / ck.blockSize),
    verity: inode.hasFlag(EXT4_VERITY_FL),
    limit: isDirectory && !ck.hasLargeDir && inode.size < 2 ** 32 ? 2 ** 31 / ck.blockSize : Number.POSITIVE_INFINITY,
    next: 0,
  };
  walkNode(ck, walk, view, I_BLOCK, depth, 0, Number.POSITIVE_INFINITY);
}

/** `from` and `end` bound the logical blocks that this node may speak of. */
function walkNode(
  ck: Checker,
  walk: Walk,
  view: DataView,
  base: number,
  depth: number,
  from: number,
  end: number,
): void {
  const { sink } = walk;
  const { ino } = walk.inode;
  const entries = view.getUint16(base + 2, true);
  let start = from;
  for (let i = 0; i < entries; i++) {
    const at = base + 12 + i * 12;
    const fileBlock = view.getUint32(at, true);
    if (depth === 0) {
      start = checkExtent(ck, walk, view, at, fileBlock, start, end);
      continue;
    }
    const block = view.getUint32(at + 4, true) + view.getUint16(at + 8, true) * 0x1_0000_0000;
    const isLast = i + 1 === entries;
    const top = Math.max(walk.eof, fileBlock + 1);
    const childEnd = isLast ? (Number.isFinite(end) ? end : top) : view.getUint32(at + 12, true);
    if (!ck.legal(block)) {
      sink.problem("extent-start", { inode: ino, block, value: fileBlock });
    } else if (fileBlock < start) {
      sink.problem("extent-order", { inode: ino, block, value: fileBlock });
    } else if (!isLast && childEnd <= fileBlock) {
      sink.problem("extent-order", { inode: ino, block, value: childEnd });
    } else {
      descend(ck, walk, block, fileBlock, depth, childEnd);
      start = fileBlock + 1;
    }
  }
}

function descend(ck: Checker, walk: Walk, block: number, fileBlock: number, depth: number, end: number): void {
  const { sink, inode } = walk;
  if (ck.metadata.has(ck.cluster(block)) && ck.ratio === 1) sink.problem("block-metadata", { inode: inode.ino, block });
  if (!sink.node(block, fileBlock)) return;
  const bytes = ck.read(block)?.slice();
  if (bytes === undefined) {
    sink.problem("read-error", { inode: inode.ino, block });
    return;
  }
  const view = new DataView(bytes.buffer);
  if (!extentHeaderIsValid(view, 0, ck.blockSize) || view.getUint16(6, true) !== depth - 1) {
    sink.problem("extent-header", { inode: inode.ino, block });
    return;
  }
  if (view.getUint16(2, true) === 0) {
    sink.problem("extent-header", { inode: inode.ino, block });
    return;
  }
  if (ck.hasChecksums) {
    const tail = 12 + 12 * view.getUint16(4, true);
    if (tail + 4 > bytes.length || view.getUint32(tail, true) !== crc32c(inode.csumSeed, bytes, 0, tail))
      sink.problem("extent-checksum", { inode: inode.ino, block });
  }
  const first = view.getUint32(12, true);
  if (first !== fileBlock) sink.problem("extent-index", { inode: inode.ino, block, value: first, expected: fileBlock });
  walkNode(ck, walk, view, 0, depth - 1, Math.min(first, fileBlock), end);
}

/** Checks one leaf entry; gives the logical block from which the next one may begin. */
function checkExtent(
  ck: Checker,
  walk: Walk,
  view: DataView,
  at: number,
  fileBlock: number,
  start: number,
  end: number,
): number {
  const { sink, inode } = walk;
  const raw = view.getUint16(at + 4, true);
  const unwritten = raw > 32768;
  const count = unwritten ? raw - 32768 : raw;
  const block = view.getUint32(at + 8, true) + view.getUint16(at + 6, true) * 0x1_0000_0000;
  const next = fileBlock + count;
  const detail = { inode: inode.ino, block, value: fileBlock };
  if (!ck.legal(block)) {
    sink.problem("extent-start", detail);
  } else if (fileBlock < start || fileBlock < walk.next) {
    sink.problem("extent-order", detail);
  } else if (next > MAX_FILE_BLOCK || (next > end && !(next > walk.eof && (unwritten || walk.verity)))) {
    sink.problem("extent-bounds", detail);
  } else if (count === 0) {
    sink.problem("extent-empty", detail);
  } else if (block + count > ck.g.blocksCount) {
    sink.problem("extent-end", detail);
  } else if (next > walk.limit) {
    sink.problem("block-too-big", detail);
  } else {
    if (unwritten && walk.isDirectory) sink.problem("extent-unwritten-directory", detail);
    if (walk.isDirectory && fileBlock > walk.next) sink.problem("extent-directory-hole", detail);
    sink.data(fileBlock, block, count, unwritten);
    walk.next = next;
    return next;
  }
  return start;
}

// ---- block maps ----

const NDIR = 12;

function walkMap(ck: Checker, inode: CoreInode, sink: Sink): void {
  const perBlock = ck.blockSize / 4;
  const mode = inode.mode & S_IFMT;
  const map: MapWalk = {
    inode,
    sink,
    perBlock,
    limit:
      mode === S_IFDIR
        ? ck.hasLargeDir || inode.size >= 2 ** 32
          ? Number.POSITIVE_INFINITY
          : 2 ** 31 / ck.blockSize
        : mode === S_IFREG || mode === 0
          ? Number.POSITIVE_INFINITY
          : 0,
  };
  for (let i = 0; i < NDIR; i++) mapBlock(ck, map, inode.view.getUint32(I_BLOCK + i * 4, true), i, 0, I_BLOCK + i * 4);
  let fileBlock = NDIR;
  for (let level = 1; level <= 3; level++) {
    const offset = I_BLOCK + (NDIR + level - 1) * 4;
    mapNode(ck, map, inode.view.getUint32(offset, true), level, fileBlock, 0, offset);
    fileBlock += perBlock ** level;
  }
}

interface MapWalk {
  readonly inode: CoreInode;
  readonly sink: Sink;
  readonly perBlock: number;
  /** Largest logical block that a file of this kind may have. */
  readonly limit: number;
}

function mapBlock(ck: Checker, map: MapWalk, block: number, fileBlock: number, holder: number, offset: number): void {
  if (block === 0) return;
  if (!ck.legal(block)) {
    map.sink.problem("block-illegal", { inode: map.inode.ino, block, value: fileBlock });
    map.sink.dropPointer?.(holder, offset);
  } else if (fileBlock > map.limit) {
    map.sink.problem("block-too-big", { inode: map.inode.ino, block, value: fileBlock });
    map.sink.dropPointer?.(holder, offset);
  } else {
    map.sink.data(fileBlock, block, 1, false);
  }
}

function mapNode(
  ck: Checker,
  map: MapWalk,
  block: number,
  level: number,
  fileBlock: number,
  holder: number,
  offset: number,
): void {
  if (block === 0) return;
  const { sink, inode } = map;
  const isResize = inode.ino === EXT4_RESIZE_INO;
  if (!ck.legal(block)) {
    sink.problem("block-illegal", { inode: inode.ino, block, value: fileBlock });
    sink.dropPointer?.(holder, offset);
    return;
  }
  if (!isResize && ck.ratio === 1 && ck.metadata.has(ck.cluster(block)))
    sink.problem("block-metadata", { inode: inode.ino, block });
  if (!sink.node(block, fileBlock)) return;
  const bytes = ck.read(block)?.slice();
  if (bytes === undefined) {
    sink.problem("read-error", { inode: inode.ino, block });
    return;
  }
  const view = new DataView(bytes.buffer);
  const step = map.perBlock ** (level - 1);
  for (let i = 0; i < map.perBlock; i++) {
    const pointer = view.getUint32(i * 4, true);
    if (pointer === 0) continue;
    if (level === 1) mapBlock(ck, map, pointer, fileBlock + i, block, i * 4);
    else mapNode(ck, map, pointer, level - 1, fileBlock + i * step, block, i * 4);
  }
}
