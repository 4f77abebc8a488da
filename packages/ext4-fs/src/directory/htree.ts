/**
 * The hash tree of large directories: index blocks that lead from a name's hash to the one leaf that may hold it.
 *
 *   root (block 0)  "." · ".." · 0x18 reserved u32 · 0x1C hash version u8 · 0x1D info length u8 (8) · 0x1E levels u8 · 0x20 entries
 *   node            one empty record over the whole block · 8 entries
 *   entries         [0] limit u16, count u16, block u32   [i] hash u32, block u32    then with metadata_csum: u32 reserved, u32 checksum
 *
 * Entry i leads to names with hash ≥ its own and < the next one's. Bit 0 of an entry's hash: names of the very same hash
 * begin in the block before (a collision run over a block border).
 *
 * Leaves are ordinary directory blocks; a reader that knows nothing of the index sees a linear directory.
 */
import { type Buffer, KIND_HTREE } from "../buffer-cache.ts";
import { blockChecksumIsValid, htreeCountOffset } from "../checksum/metadata-checksum.ts";
import { EXT4_FEATURE_INCOMPAT_LARGEDIR } from "../features.ts";
import { mapBlocks } from "../extents/map.ts";
import { type CoreInode, EXT4_CASEFOLD_FL } from "../inode.ts";
import type { Volume } from "../volume.ts";
import { foldName } from "./casefold.ts";
import { type NameHash, hashName, isKnownHash, DX_HASH_TEA } from "./hash.ts";

export const DX_ROOT_ENTRIES = 0x20;
export const DX_NODE_ENTRIES = 8;
export const DX_HASH_VERSION = 0x1c;
export const DX_INFO_LENGTH = 0x1d;
export const DX_LEVELS = 0x1e;

/** One level of the way to a leaf. */
export interface Frame {
  buffer: Buffer;
  /** Offset of the entries. */
  base: number;
  /** Entry taken. */
  index: number;
}

/** The way from the root to a leaf. */
export interface HtreePath {
  frames: Frame[];
  hashVersion: number;
}

/** The damage that makes a caller fall back to a linear search. */
export const BAD_HTREE = -1_000_000;

export function dxCount(frame: Frame): number {
  return frame.buffer.view.getUint16(frame.base + 2, true);
}
export function dxLimit(frame: Frame): number {
  return frame.buffer.view.getUint16(frame.base, true);
}
export function setDxCount(frame: Frame, count: number): void {
  frame.buffer.view.setUint16(frame.base + 2, count, true);
}
export function dxHash(frame: Frame, index: number): number {
  return frame.buffer.view.getUint32(frame.base + index * 8, true);
}
/** File block that entry `index` leads to. */
export function dxBlock(frame: Frame, index: number): number {
  return frame.buffer.view.getUint32(frame.base + index * 8 + 4, true) & 0x0fffffff;
}
export function setDxEntry(frame: Frame, index: number, hash: number, fileBlock: number): void {
  if (index > 0) frame.buffer.view.setUint32(frame.base + index * 8, hash, true);
  frame.buffer.view.setUint32(frame.base + index * 8 + 4, fileBlock, true);
}

/** Entries that fit behind `base`. */
export function dxLimitFor(volume: Volume, base: number): number {
  return Math.floor((volume.blockSize - base - (volume.hasMetadataCsum ? 8 : 0)) / 8);
}

/** Block number on the volume of a directory's file block; a hole is damage. */
export function directoryBlock(volume: Volume, dir: CoreInode, fileBlock: number): number {
  const map = volume.work.blockMap;
  if (fileBlock >= dir.size / volume.blockSize)
    return volume.corrupt(`directory block ${fileBlock} lies behind the end`, dir.ino, 0);
  const error = mapBlocks(volume, dir, fileBlock, 1, map);
  if (error < 0) return error;
  return map.block === 0 ? volume.corrupt(`directory block ${fileBlock} is a hole`, dir.ino, 0) : map.block;
}

/** Loads an index block and checks it once. BAD_HTREE when it is not what it should be. */
function indexBlock(volume: Volume, dir: CoreInode, fileBlock: number): Buffer | number {
  const block = directoryBlock(volume, dir, fileBlock);
  if (block < 0) return block;
  const buffer = volume.cache.get(block);
  if (typeof buffer === "number" || buffer.verifiedAs === KIND_HTREE) return buffer;
  const { view } = buffer;
  const base = htreeCountOffset(view);
  buffer.kind = KIND_HTREE;
  buffer.seed = dir.csumSeed;
  const limit = view.getUint16(base, true);
  const count = view.getUint16(base + 2, true);
  const shape =
    (fileBlock === 0) === (base === DX_ROOT_ENTRIES) &&
    limit === dxLimitFor(volume, base) &&
    count >= 1 &&
    count <= limit &&
    (base !== DX_ROOT_ENTRIES || (view.getUint32(0x18, true) === 0 && view.getUint8(DX_INFO_LENGTH) === 8));
  const whole = blockChecksumIsValid(volume, buffer);
  if (!whole || (!shape && volume.hasMetadataCsum))
    return volume.corrupt(`htree block ${fileBlock}: checksum is wrong`, dir.ino, block);
  if (!shape) {
    volume.corrupt(`htree block ${fileBlock} is damaged`, dir.ino, block);
    return BAD_HTREE;
  }
  buffer.verifiedAs = KIND_HTREE;
  return buffer;
}

/** Index levels below the root that a directory may have. */
export function maxLevels(volume: Volume): number {
  return volume.superblock.hasIncompat(EXT4_FEATURE_INCOMPAT_LARGEDIR) ? 2 : 1;
}

/** The hash version that counts for a directory whose root says `version`. */
export function effectiveHash(volume: Volume, version: number): number {
  return version <= DX_HASH_TEA ? version + volume.hashUnsigned : version;
}

/** Reads the root: its frame and hash version, or BAD_HTREE, -EIO, -EUCLEAN. */
export function openRoot(volume: Volume, dir: CoreInode, path: HtreePath): number {
  const root = indexBlock(volume, dir, 0);
  if (typeof root === "number") return root;
  const version = effectiveHash(volume, root.view.getUint8(DX_HASH_VERSION));
  if (!isKnownHash(version) || root.view.getUint8(DX_LEVELS) > maxLevels(volume)) return BAD_HTREE;
  path.hashVersion = version;
  path.frames = [{ buffer: root, base: DX_ROOT_ENTRIES, index: 0 }];
  return 0;
}

/** Goes down from the root (in `path` after `openRoot`) to the leaf for `hash`. 0, BAD_HTREE or -errno. */
export function descend(volume: Volume, dir: CoreInode, hash: number, path: HtreePath): number {
  const levels = path.frames[0].buffer.view.getUint8(DX_LEVELS);
  path.frames.length = 1;
  for (let level = 0; ; level++) {
    const frame = path.frames[level];
    frame.index = searchFrame(frame, hash);
    if (level === levels) return 0;
    const node = indexBlock(volume, dir, dxBlock(frame, frame.index));
    if (typeof node === "number") return node;
    path.frames.push({ buffer: node, base: DX_NODE_ENTRIES, index: 0 });
  }
}

function searchFrame(frame: Frame, hash: number): number {
  let low = 1;
  let high = dxCount(frame) - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (dxHash(frame, middle) <= hash) low = middle + 1;
    else high = middle - 1;
  }
  return high; // 0 when all are greater
}

/** File block of the leaf that the path leads to. */
export function leafOf(path: HtreePath): number {
  const frame = path.frames[path.frames.length - 1];
  return dxBlock(frame, frame.index);
}

/** Hash at which the leaf behind this one begins, continuation bit included; -1 when this is the last leaf. */
export function nextLeafHash(path: HtreePath): number {
  for (let level = path.frames.length - 1; level >= 0; level--) {
    const frame = path.frames[level];
    if (frame.index + 1 < dxCount(frame)) return dxHash(frame, frame.index + 1);
  }
  return -1;
}

/** Moves the path to the next leaf: 1, 0 at the end, BAD_HTREE or -errno. */
export function nextLeaf(volume: Volume, dir: CoreInode, path: HtreePath): number {
  let level = path.frames.length - 1;
  while (level >= 0 && path.frames[level].index + 1 >= dxCount(path.frames[level])) level--;
  if (level < 0) return 0;
  path.frames[level].index++;
  for (; level < path.frames.length - 1; level++) {
    const frame = path.frames[level];
    const node = indexBlock(volume, dir, dxBlock(frame, frame.index));
    if (typeof node === "number") return node;
    path.frames[level + 1] = { buffer: node, base: DX_NODE_ENTRIES, index: 0 };
  }
  return 1;
}

/** Whether names in `dir` are compared and hashed in their folded form. */
export function isCasefold(volume: Volume, dir: CoreInode): boolean {
  return volume.hasCasefold && dir.hasFlag(EXT4_CASEFOLD_FL);
}

/** Hash of a name in `dir`. False where it has none: what is not UTF-8, in a casefold directory. */
export function hashOf(
  volume: Volume,
  dir: CoreInode,
  version: number,
  bytes: Uint8Array,
  start: number,
  length: number,
  out: NameHash,
): boolean {
  if (!isCasefold(volume, dir)) {
    hashName(version, volume.hashSeed, bytes, start, length, out);
    return true;
  }
  const folded = foldName(bytes, start, length);
  if (folded !== undefined) hashName(version, volume.hashSeed, folded, 0, folded.length, out);
  return folded !== undefined;
}
