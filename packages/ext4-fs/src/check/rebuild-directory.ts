/**
 * Writes a directory anew from the entries of it that are good, with an index if it is large. The new blocks are written before the inode
 * leads to them; where there is no room for that, the old ones are written over.
 */
import { Buffer, KIND_HTREE } from "../buffer-cache.ts";
import { crc32c } from "../checksum/crc32c.ts";
import { DIR_TAIL_SIZE, updateBlockChecksum } from "../checksum/metadata-checksum.ts";
import { entrySize, initTail, recordLength, setRecordLength } from "../directory/entry.ts";
import { EXT4_EXTENTS_FL, EXT4_INDEX_FL } from "../inode.ts";
import { EXT4_ROOT_INO } from "../superblock.ts";
import { allocate, allocateOne } from "./allocate.ts";
import type { Checker, DirectoryInfo } from "./checker.ts";
import { FT_DIR } from "./inodes-check.ts";
import { indexedPages, type Page } from "./rebuild-index.ts";
import { type MapRun, storeMapping } from "./remap.ts";

/** Blocks up to which a directory does without an index. */
const SMALL = 2;

/** Rebuilds the directories that pass 2 has asked for. */
export function rebuildDirectories(ck: Checker): void {
  if (!ck.repair) return;
  for (const ino of ck.rebuildDirectories) {
    const dir = ck.directories.get(ino);
    if (dir !== undefined && !dir.inline && ck.inodesUsed.has(ino)) rebuildDirectory(ck, dir, false);
  }
}

/** `plain`: without an index, however large. */
export function rebuildDirectory(ck: Checker, dir: DirectoryInfo, plain: boolean): void {
  const inode = ck.readInode(dir.ino);
  if (inode === undefined) return;
  const old = blocksOf(dir);
  const entries = collectEntries(ck, dir, old);
  const parent = dir.dotdot >= 1 && dir.dotdot <= ck.g.inodesCount ? dir.dotdot : EXT4_ROOT_INO;
  const linear = pack(ck, dir, entries, parent).map((bytes): Page => ({ bytes, isIndex: false }));
  const wanted = !plain && ck.hasDirIndex && !(dir.casefold && dir.encrypted) && linear.length > SMALL;
  const indexed = wanted
    ? indexedPages(ck, entries, dotsLeaf(ck, dir.ino, parent), recordsEnd(ck), dir.casefold)
    : undefined;
  let pages = indexed ?? linear;
  let blocks = newBlocks(ck, pages.length);
  if (blocks.length < pages.length) {
    release(ck, blocks);
    pages = linear;
    blocks = ck.ratio === 1 ? [...old] : newBlocks(ck, pages.length);
    const cursor = { block: blocks[0] ?? 0 };
    while (blocks.length < pages.length) {
      const block = ck.ratio === 1 ? allocateOne(ck, cursor) : 0;
      if (block === 0) {
        ck.stuck = true;
        return;
      }
      blocks.push(block);
    }
    while (pages.length < blocks.length) pages.push({ bytes: emptyLeaf(ck), isIndex: false });
  }
  for (const [i, { bytes, isIndex }] of pages.entries()) {
    if (isIndex) writeIndexBlock(ck, dir.seed, blocks[i], bytes);
    else writeLeaf(ck, dir.seed, blocks[i], bytes);
  }
  inode.flags = pages[0].isIndex ? inode.flags | EXT4_INDEX_FL : inode.flags & ~EXT4_INDEX_FL;
  if (ck.ratio > 1) inode.flags |= EXT4_EXTENTS_FL;
  inode.size = blocks.length * ck.blockSize;
  if (!storeMapping(ck, inode, asRuns(blocks))) return;
  ck.writeInode(inode);
  dir.indexed = pages[0].isIndex;
  dir.runs.length = 0;
  for (const [i, block] of blocks.entries()) dir.runs.push(i, block, 1);
  ck.again = true;
}

/** As many new blocks as there are, up to `count`; with bigalloc in whole clusters. */
function newBlocks(ck: Checker, count: number): number[] {
  const blocks: number[] = [];
  const cursor = { block: 0 };
  while (blocks.length < count) {
    const start = ck.ratio === 1 ? allocateOne(ck, cursor) : allocate(ck, ck.ratio);
    if (start === 0) break;
    for (let i = 0; i < ck.ratio && blocks.length < count; i++) blocks.push(start + i);
  }
  return blocks;
}

function release(ck: Checker, blocks: readonly number[]): void {
  for (const block of blocks) ck.used.delete(ck.cluster(block));
}

/** The mapped blocks of a directory, in order. */
export function blocksOf(dir: DirectoryInfo): number[] {
  const blocks: number[] = [];
  for (let i = 0; i < dir.runs.length; i += 3)
    for (let k = 0; k < dir.runs[i + 2] && dir.runs[i + 1] !== 0; k++) blocks.push(dir.runs[i + 1] + k);
  return blocks;
}

/** Blocks of a file without holes, as runs. */
export function asRuns(blocks: readonly number[]): MapRun[] {
  const runs: MapRun[] = [];
  blocks.forEach((block, fileBlock) => {
    const last = runs.at(-1);
    if (last !== undefined && last.block + last.count === block) last.count++;
    else runs.push({ fileBlock, block, count: 1, unwritten: false });
  });
  return runs;
}

/** End of the records in a leaf. */
export function recordsEnd(ck: Checker): number {
  return ck.hasChecksums ? ck.blockSize - DIR_TAIL_SIZE : ck.blockSize;
}

/** The raw records worth keeping: number, header and name, cut to their size. */
function collectEntries(ck: Checker, dir: DirectoryInfo, blocks: readonly number[]): Uint8Array[] {
  const entries: Uint8Array[] = [];
  const names = new Set<string>();
  const extra = dir.casefold && dir.encrypted ? 8 : 0;
  for (const block of blocks) {
    const bytes = ck.read(block);
    if (bytes === undefined) continue;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at + 12 <= ck.blockSize; ) {
      const length = recordLength(view, at);
      const nameLength = bytes[at + 6];
      const ino = view.getUint32(at, true);
      if (length < 12 || (length & 3) !== 0 || at + length > ck.blockSize || entrySize(nameLength) > length) break;
      const dots = nameLength <= 2 && bytes[at + 8] === 0x2e && (nameLength === 1 || bytes[at + 9] === 0x2e);
      if (ino !== 0 && ino <= ck.g.inodesCount && nameLength > 0 && !dots && bytes[at + 7] <= 7) {
        const record = unique(bytes.slice(at, at + Math.min(length, entrySize(nameLength) + extra)), names);
        if (record !== undefined) entries.push(record);
      }
      at += length;
    }
  }
  return entries;
}

/** The record, under another name if there is one of that name already. */
function unique(record: Uint8Array, names: Set<string>): Uint8Array | undefined {
  const name = nameOf(record);
  if (!names.has(name)) {
    names.add(name);
    return record;
  }
  const stem = record.subarray(8, 8 + Math.min(record[6], 250));
  for (let k = 0; k < 1000; k++) {
    const suffix = `~${k}`;
    const renamed = new Uint8Array(entrySize(stem.length + suffix.length));
    renamed.set(record.subarray(0, 8));
    renamed.set(stem, 8);
    for (let i = 0; i < suffix.length; i++) renamed[8 + stem.length + i] = suffix.charCodeAt(i);
    renamed[6] = stem.length + suffix.length;
    if (names.has(nameOf(renamed))) continue;
    names.add(nameOf(renamed));
    return renamed;
  }
  return undefined;
}

function nameOf(record: Uint8Array): string {
  let name = "";
  for (let i = 0; i < record[6]; i++) name += String.fromCharCode(record[8 + i]);
  return name;
}

/** Blocks full of entries, the first with "." and "..". */
function pack(ck: Checker, dir: DirectoryInfo, entries: readonly Uint8Array[], parent: number): Uint8Array[] {
  const end = recordsEnd(ck);
  const pages: Uint8Array[] = [];
  let bytes = dotsLeaf(ck, dir.ino, parent);
  let last = 12;
  let at = 24;
  pages.push(bytes);
  for (const entry of entries) {
    const size = (entry.length + 3) & ~3;
    if (at + size > end) {
      bytes = new Uint8Array(ck.blockSize);
      pages.push(bytes);
      at = 0;
    }
    bytes.set(entry, at);
    const view = new DataView(bytes.buffer);
    if (at > 0) setRecordLength(view, last, at - last);
    setRecordLength(view, at, end - at);
    last = at;
    at += size;
  }
  return pages;
}

/** The first block of a directory: "." and "..". */
export function dotsLeaf(ck: Checker, ino: number, parent: number): Uint8Array {
  const bytes = new Uint8Array(ck.blockSize);
  const view = new DataView(bytes.buffer);
  const type = ck.hasFileType ? FT_DIR : 0;
  view.setUint32(0, ino, true);
  setRecordLength(view, 0, 12);
  bytes[6] = 1;
  bytes[7] = type;
  bytes[8] = 0x2e;
  view.setUint32(12, parent, true);
  setRecordLength(view, 12, recordsEnd(ck) - 12);
  bytes[18] = 2;
  bytes[19] = type;
  bytes[20] = 0x2e;
  bytes[21] = 0x2e;
  return bytes;
}

export function emptyLeaf(ck: Checker): Uint8Array {
  const bytes = new Uint8Array(ck.blockSize);
  setRecordLength(new DataView(bytes.buffer), 0, recordsEnd(ck));
  return bytes;
}

/** Writes a leaf with its checksum. */
export function writeLeaf(ck: Checker, seed: number, block: number, bytes: Uint8Array): boolean {
  if (ck.hasChecksums) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const tail = ck.blockSize - DIR_TAIL_SIZE;
    initTail(view);
    view.setUint32(tail + 8, crc32c(seed, bytes, 0, tail), true);
  }
  return ck.write(block, bytes);
}

/** Writes a root or a node of an index with its checksum. */
export function writeIndexBlock(ck: Checker, seed: number, block: number, bytes: Uint8Array): boolean {
  if (ck.hasChecksums) {
    const buffer = new Buffer(block, bytes);
    buffer.kind = KIND_HTREE;
    buffer.seed = seed;
    updateBlockChecksum({ superblock: ck.sb, csumSeed: ck.seed, hasMetadataCsum: true }, buffer);
  }
  return ck.write(block, bytes);
}
