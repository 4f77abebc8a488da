/**
 * Finding names and listing directories.
 */
import { DT_DIR, EINVAL, ENOENT, ENOKEY, ENOTDIR, EUCLEAN } from "linux-abi";
import { type Buffer, KIND_DIRECTORY } from "../buffer-cache.ts";
import { mapBlocks } from "../extents/map.ts";
import { findInline, walkInline } from "../inline/inline-directory.ts";
import { readInline } from "../inline/inline-data.ts";
import { type CoreInode, EXT4_ENCRYPT_FL, EXT4_INDEX_FL, EXT4_INLINE_DATA_FL } from "../inode.ts";
import { S_DEF_HASH_VERSION } from "../superblock.ts";
import type { Volume } from "../volume.ts";
import { foldName } from "./casefold.ts";
import { dirTypeOfFileType, findEntry, isDots, readLeaf, recordLength, soundEnd } from "./entry.ts";
import { isKnownHash, type NameHash } from "./hash.ts";
import {
  BAD_HTREE,
  descend,
  directoryBlock,
  effectiveHash,
  hashOf,
  type HtreePath,
  isCasefold,
  leafOf,
  nextLeaf,
  nextLeafHash,
  openRoot,
} from "./htree.ts";

/** Where a name was found; reused, read before the next lookup. */
export interface FoundEntry {
  buffer: Buffer | null;
  /** Offset of the entry in the block; with no buffer, in the content of an inline directory. */
  at: number;
  ino: number;
  fileType: number;
}

const $hash: NameHash = { major: 0, minor: 0 }; // scratch
/**
 * Finds `name`: 0 with `out` filled, -ENOENT, -ENOTDIR, -EINVAL (no name in the encoding of a strict casefold directory), -EUCLEAN,
 * -EIO.
 */
export function findName(volume: Volume, dir: CoreInode, name: Uint8Array, out: FoundEntry): number {
  if (!dir.isDirectory) return -ENOTDIR;
  const isDot = isDots(name, 0, name.length);
  const casefold = !isDot && isCasefold(volume, dir);
  const folded = casefold ? foldName(name, 0, name.length) : undefined;
  if (casefold && folded === undefined && volume.hasStrictNames) return -EINVAL;
  if (dir.hasFlag(EXT4_INLINE_DATA_FL)) return findInline(volume, dir, name, out, folded);
  if (dir.size % volume.blockSize !== 0) return volume.corrupt(`directory of ${dir.size} bytes`, dir.ino, 0);
  if (dir.hasFlag(EXT4_ENCRYPT_FL) && !isDot) return -ENOKEY;
  // The index of a casefold directory is over folded names: what has no such form is looked for everywhere.
  if (dir.hasFlag(EXT4_INDEX_FL) && volume.hasDirIndex && !isDot && casefold === (folded !== undefined)) {
    const result = findIndexed(volume, dir, name, folded, out);
    if (result !== BAD_HTREE) return result;
  }
  return findLinear(volume, dir, name, folded, out, isDot ? 1 : dir.size / volume.blockSize);
}

/** Whether `name`, which is not there, may be made in `dir`: 0, or -EINVAL for what a casefold directory cannot have. */
export function nameProblem(volume: Volume, dir: CoreInode, name: Uint8Array): number {
  if (!isCasefold(volume, dir)) return 0;
  const folded = foldName(name, 0, name.length);
  return folded === undefined || isDots(folded, 0, folded.length) ? -EINVAL : 0;
}

function findIndexed(
  volume: Volume,
  dir: CoreInode,
  name: Uint8Array,
  folded: Uint8Array | undefined,
  out: FoundEntry,
): number {
  const path = volume.work.lookupPath;
  let error = openRoot(volume, dir, path);
  if (error < 0) return error;
  hashOf(volume, dir, path.hashVersion, name, 0, name.length, $hash);
  const hash = $hash.major;
  error = descend(volume, dir, hash, path);
  if (error < 0) return error;
  for (;;) {
    const block = directoryBlock(volume, dir, leafOf(path));
    if (block < 0) return block;
    const buffer = readLeaf(volume, dir, block);
    if (typeof buffer === "number") return buffer;
    const at = findEntry(volume, buffer, name, folded);
    if (at >= 0) return fill(out, buffer, at);
    // Names with this very hash may continue in the next leaf.
    const next = nextLeafHash(path);
    if (next < 0 || (next & ~1) >>> 0 !== hash) return -ENOENT;
    const moved = nextLeaf(volume, dir, path);
    if (moved <= 0) return moved === 0 ? -ENOENT : moved;
  }
}

function findLinear(
  volume: Volume,
  dir: CoreInode,
  name: Uint8Array,
  folded: Uint8Array | undefined,
  out: FoundEntry,
  blocks: number,
): number {
  const map = volume.work.lookupMap;
  for (let fileBlock = 0; fileBlock < blocks; ) {
    const error = mapBlocks(volume, dir, fileBlock, blocks - fileBlock, map);
    if (error < 0) return error;
    const { block: first, count } = map;
    if (first === 0) {
      fileBlock += count; // a hole holds no names
      continue;
    }
    for (let i = 0; i < count; i++) {
      // The index root of an htree directory reads as "." and ".." only, and its nodes as empty blocks; they have no leaf tail.
      if (dir.hasFlag(EXT4_INDEX_FL) && isIndexBlock(volume, first + i, fileBlock + i)) {
        if (fileBlock + i === 0) {
          const at = dotEntry(volume, dir, name, out);
          if (at <= 0) return at;
        }
        continue;
      }
      const buffer = readLeaf(volume, dir, first + i);
      if (typeof buffer === "number") return buffer;
      const at = findEntry(volume, buffer, name, folded);
      if (at >= 0) return fill(out, buffer, at);
    }
    fileBlock += count;
  }
  return -ENOENT;
}

/** Whether a block of an indexed directory looks like root or node of the index. */
function isIndexBlock(volume: Volume, block: number, fileBlock: number): boolean {
  if (fileBlock === 0) return true;
  const buffer = volume.cache.get(block);
  return (
    typeof buffer !== "number" &&
    buffer.view.getUint32(0, true) === 0 &&
    recordLength(buffer.view, 0) === volume.blockSize
  );
}

/** "." and ".." in the index root: 0 found, 1 not asked for, -errno. */
function dotEntry(volume: Volume, dir: CoreInode, name: Uint8Array, out: FoundEntry): number {
  const path = volume.work.lookupPath;
  if (name[0] !== 0x2e || name.length > 2 || (name.length === 2 && name[1] !== 0x2e)) return 1;
  const error = openRoot(volume, dir, path);
  if (error < 0) return error === BAD_HTREE ? -EUCLEAN : error;
  return fill(out, path.frames[0].buffer, name.length === 1 ? 0 : 12);
}

function fill(out: FoundEntry, buffer: Buffer, at: number): number {
  out.buffer = buffer;
  out.at = at;
  out.ino = buffer.view.getUint32(at, true);
  out.fileType = buffer.view.getUint8(at + 7);
  return 0;
}

/** Receives one entry; `name` is a view into the block. Returns false to stop. `next` is the cookie behind this entry. */
export type EmitEntry = (name: Uint8Array, ino: number, dirType: number, next: number) => boolean;

/**
 * Lists entries from `cookie` on. Directories that are or can become indexed are listed by hash, as Linux does, so that a cookie
 * survives the splitting of blocks; others by position.
 *
 * Hash cookies: 0 ".", 1 "..", then 2 + (31 bits of the major hash, 21 bits of the minor one).
 */
export function readDirectory(volume: Volume, dir: CoreInode, cookie: number, emit: EmitEntry): number {
  if (!dir.isDirectory) return -ENOTDIR;
  if (dir.hasFlag(EXT4_INLINE_DATA_FL)) {
    volume.enter();
    return listInline(volume, dir, cookie, emit);
  }
  volume.enter();
  if (dir.hasFlag(EXT4_ENCRYPT_FL)) return listEncrypted(volume, dir, cookie, emit);
  // In casefold directories by position: names of Linux's that are not UTF-8 have no hash here.
  if (volume.hasDirIndex && !isCasefold(volume, dir)) {
    const indexed = dir.hasFlag(EXT4_INDEX_FL);
    if (indexed || dir.size === volume.blockSize) {
      const result = listByHash(volume, dir, cookie, emit, indexed);
      if (result !== BAD_HTREE) return result;
    }
  }
  return listLinear(volume, dir, cookie, emit, true);
}

/** "." and ".." alone are not encrypted: -ENOKEY when there is more. */
function listEncrypted(volume: Volume, dir: CoreInode, cookie: number, emit: EmitEntry): number {
  let locked = false;
  const dots: EmitEntry = (name, ino, type, next) => {
    if (isDots(name, 0, name.length)) return emit(name, ino, type, next);
    locked = true;
    return false;
  };
  const error = listLinear(volume, dir, cookie, dots, true);
  return locked ? -ENOKEY : error;
}

/** In the order of hashes too, so that a cookie stays good when the directory moves to blocks; by position where there is no hash. */
function listInline(volume: Volume, dir: CoreInode, cookie: number, emit: EmitEntry): number {
  const content = readInline(volume, dir);
  if (typeof content === "number") return content;
  const version = effectiveHash(volume, volume.superblock.u8(S_DEF_HASH_VERSION));
  const hashed = volume.hasDirIndex && isKnownHash(version) && !isCasefold(volume, dir);
  const parent = content[0] + content[1] * 0x100 + content[2] * 0x1_0000 + content[3] * 0x100_0000;
  if (cookie === 0 && !emit(Uint8Array.of(0x2e), dir.ino, DT_DIR, 1)) return 0;
  if (cookie <= 1 && !emit(Uint8Array.of(0x2e, 0x2e), parent, DT_DIR, HASH_BASE)) return 0;
  const from = Math.max(cookie, HASH_BASE) - HASH_BASE;
  const entries: Listed[] = [];
  // Of a damaged chain the entries before the damage count, as in Linux.
  walkInline(volume, dir, content, (at, _length, view) => {
    const ino = view.getUint32(at, true);
    if (ino === 0) return undefined;
    if (hashed) hashOf(volume, dir, version, content, at + 8, content[at + 6], $hash);
    const key = hashed ? ($hash.major >>> 1) * MINOR_SPAN + ($hash.minor >>> 11) : at;
    const name = content.slice(at + 8, at + 8 + content[at + 6]);
    if (key >= from) entries.push({ key, name, ino, dirType: dirTypeOfFileType(content[at + 7]) });
    return undefined;
  });
  emitSorted(entries, emit);
  return 0;
}

interface Listed {
  readonly key: number;
  readonly name: Uint8Array;
  readonly ino: number;
  readonly dirType: number;
}

const HASH_BASE = 2;
const MINOR_SPAN = 2 ** 21;

function listByHash(volume: Volume, dir: CoreInode, cookie: number, emit: EmitEntry, indexed: boolean): number {
  const path: HtreePath = { frames: [], hashVersion: 0 };
  if (indexed) {
    const error = openRoot(volume, dir, path);
    if (error < 0) return error;
  } else {
    const version = volume.superblock.u8(S_DEF_HASH_VERSION);
    path.hashVersion = effectiveHash(volume, version);
    if (!isKnownHash(path.hashVersion)) return BAD_HTREE;
  }
  const firstBlock = directoryBlock(volume, dir, 0);
  if (firstBlock < 0) return firstBlock;
  if (cookie < HASH_BASE) {
    const buffer = indexed ? volume.cache.get(firstBlock) : readLeaf(volume, dir, firstBlock);
    if (typeof buffer === "number") return buffer;
    const dot = Uint8Array.of(0x2e);
    if (cookie === 0 && !emit(dot, buffer.view.getUint32(0, true), DT_DIR, 1)) return 0;
    if (!emit(Uint8Array.of(0x2e, 0x2e), buffer.view.getUint32(12, true), DT_DIR, HASH_BASE)) return 0;
  }
  let from = Math.max(cookie, HASH_BASE) - HASH_BASE;
  if (!indexed) {
    const entries: Listed[] = [];
    const error = collectLeaf(volume, dir, firstBlock, path.hashVersion, from, entries);
    if (error < 0) return error;
    emitSorted(entries, emit);
    return 0;
  }
  const error = descend(volume, dir, Math.floor(from / MINOR_SPAN) * 2, path);
  if (error < 0) return error;
  const mostLeaves = dir.size / volume.blockSize;
  for (let leaves = 0; leaves <= mostLeaves; ) {
    const entries: Listed[] = [];
    let bound = 0;
    // Leaves that share a hash are listed together, and one without names with the next.
    for (let more = true; more && leaves <= mostLeaves; leaves++) {
      const block = directoryBlock(volume, dir, leafOf(path));
      if (block < 0) return block;
      const failed = collectLeaf(volume, dir, block, path.hashVersion, from, entries);
      if (failed < 0) return failed;
      const next = nextLeafHash(path);
      const moved = nextLeaf(volume, dir, path);
      if (moved < 0) return moved === BAD_HTREE ? -EUCLEAN : moved;
      if (moved === 0) {
        emitSorted(entries, emit);
        return 0;
      }
      more = (next & 1) !== 0 || entries.length === 0;
      if (!more) bound = next;
    }
    if (!emitSorted(entries, emit)) return 0;
    // As in Linux, a leaf's names below its bound are not listed, and the way leads down from the root each time: what a lookup
    // cannot find is left out.
    from = (bound >>> 1) * MINOR_SPAN;
    const down = descend(volume, dir, bound, path);
    if (down < 0) return down === BAD_HTREE ? -EUCLEAN : down;
  }
  return volume.corrupt("the htree has more leaves than blocks", dir.ino, 0);
}

function collectLeaf(
  volume: Volume,
  dir: CoreInode,
  block: number,
  hashVersion: number,
  from: number,
  out: Listed[],
): number {
  const buffer = readLeaf(volume, dir, block);
  if (typeof buffer === "number") return buffer;
  const { view, data } = buffer;
  const end = soundEnd(volume, buffer);
  for (let at = 0; at < end; at += recordLength(view, at)) {
    const ino = view.getUint32(at, true);
    const length = data[at + 6];
    if (ino === 0 || isDots(data, at + 8, length)) continue;
    hashOf(volume, dir, hashVersion, data, at + 8, length, $hash);
    const key = ($hash.major >>> 1) * MINOR_SPAN + ($hash.minor >>> 11);
    if (key >= from)
      out.push({ key, name: data.slice(at + 8, at + 8 + length), ino, dirType: dirTypeOfFileType(data[at + 7]) });
  }
  return 0;
}

function emitSorted(entries: Listed[], emit: EmitEntry): boolean {
  entries.sort((a, b) => a.key - b.key);
  for (const entry of entries) if (!emit(entry.name, entry.ino, entry.dirType, entry.key + 1 + HASH_BASE)) return false;
  return true;
}

/**
 * Cookies are byte positions; one that fell into a merged record continues at the next one. `skipDamaged`: list what other blocks
 * hold when one is damaged, as Linux does; the error is given only when nothing was listed.
 */
function listLinear(volume: Volume, dir: CoreInode, cookie: number, emit: EmitEntry, skipDamaged: boolean): number {
  let damage = 0;
  let emitted = false;
  const map = volume.work.lookupMap;
  const blockSize = volume.blockSize;
  const blocks = Math.ceil(dir.size / blockSize);
  for (let fileBlock = Math.floor(cookie / blockSize); fileBlock < blocks; fileBlock++) {
    const error = mapBlocks(volume, dir, fileBlock, blocks - fileBlock, map);
    if (error < 0) return error;
    const block = map.block;
    if (block === 0) {
      fileBlock += map.count - 1; // a hole holds no names
      continue;
    }
    if (dir.hasFlag(EXT4_INDEX_FL) && isIndexBlock(volume, block, fileBlock)) {
      if (fileBlock === 0) {
        const listed = listRootDots(volume, block, cookie, emit);
        if (listed <= 0) return listed;
      }
      continue;
    }
    const buffer = readLeaf(volume, dir, block);
    if (typeof buffer === "number") {
      if (!skipDamaged || buffer !== -EUCLEAN) return buffer;
      damage = buffer;
      continue;
    }
    const { view, data } = buffer;
    const end = soundEnd(volume, buffer);
    if (!skipDamaged && buffer.verifiedAs !== KIND_DIRECTORY) return -EUCLEAN;
    for (let at = 0; at < end; ) {
      const step = recordLength(view, at);
      if (step < 12) break;
      const position = fileBlock * blockSize + at;
      const next = at + step >= end ? (fileBlock + 1) * blockSize : position + step;
      const ino = view.getUint32(at, true);
      if (position >= cookie && ino !== 0) {
        const name = data.slice(at + 8, at + 8 + data[at + 6]);
        emitted = true;
        if (!emit(name, ino, dirTypeOfFileType(data[at + 7]), next)) return 0;
      }
      at += step;
    }
  }
  return emitted ? 0 : damage;
}

/** "." and ".." of an index root: 1 to go on, 0 stopped, -errno. */
function listRootDots(volume: Volume, block: number, cookie: number, emit: EmitEntry): number {
  const buffer = volume.cache.get(block);
  if (typeof buffer === "number") return buffer;
  if (cookie === 0 && !emit(Uint8Array.of(0x2e), buffer.view.getUint32(0, true), DT_DIR, 12)) return 0;
  if (cookie <= 12 && !emit(Uint8Array.of(0x2e, 0x2e), buffer.view.getUint32(12, true), DT_DIR, volume.blockSize))
    return 0;
  return 1;
}

/** Whether a directory holds nothing but "." and "..": 1, 0 or -errno. */
export function isEmptyDirectory(volume: Volume, dir: CoreInode): number {
  let empty = 1;
  const look = (name: Uint8Array): boolean => {
    if (isDots(name, 0, name.length)) return true;
    empty = 0;
    return false;
  };
  const error = dir.hasFlag(EXT4_INLINE_DATA_FL)
    ? listInline(volume, dir, 0, look)
    : listLinear(volume, dir, 0, look, false);
  return error < 0 ? error : empty;
}
