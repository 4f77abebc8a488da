/**
 * Adding and removing names: linear directories, turning a full one-block directory into an htree, splitting leaves and index
 * nodes, adding a level.
 */
import { EFBIG, EINVAL, ENOSPC, EOPNOTSUPP, EUCLEAN } from "linux-abi";
import { type Buffer, KIND_DIRECTORY, KIND_HTREE } from "../buffer-cache.ts";
import { allocateRun, insertRun, releaseRun } from "../file-map.ts";
import { allocationGoal } from "../file-write.ts";
import { EXT4_FEATURE_INCOMPAT_INLINE_DATA } from "../features.ts";
import { addInline, initInlineDirectory, removeInline, retargetInline } from "../inline/inline-directory.ts";
import { type CoreInode, EXT4_INDEX_FL, EXT4_INLINE_DATA_FL } from "../inode.ts";
import { S_DEF_HASH_VERSION } from "../superblock.ts";
import type { Volume } from "../volume.ts";
import {
  entriesEnd,
  entrySize,
  initLeaf,
  initTail,
  insertEntry,
  leafBlock,
  recordLength,
  removeEntry,
  setRecordLength,
  writeEntry,
} from "./entry.ts";
import { isKnownHash, type NameHash } from "./hash.ts";
import {
  BAD_HTREE,
  descend,
  directoryBlock,
  DX_HASH_VERSION,
  DX_INFO_LENGTH,
  DX_LEVELS,
  DX_NODE_ENTRIES,
  DX_ROOT_ENTRIES,
  dxCount,
  dxHash,
  dxLimit,
  dxLimitFor,
  effectiveHash,
  type Frame,
  hashOf,
  leafOf,
  maxLevels,
  openRoot,
  setDxCount,
  setDxEntry,
} from "./htree.ts";
import type { FoundEntry } from "./lookup.ts";

const $hash: NameHash = { major: 0, minor: 0 }; // scratch
/**
 * Adds an entry; the caller knows that the name is free and may be made (`nameProblem`). Within an operation. 0, -ENOSPC, -EOPNOTSUPP,
 * -EUCLEAN, -EIO.
 */
export function addName(volume: Volume, dir: CoreInode, name: Uint8Array, ino: number, fileType: number): number {
  if (dir.hasFlag(EXT4_INLINE_DATA_FL)) {
    const added = addInline(volume, dir, name, ino, fileType);
    if (added !== 0) return added < 0 ? added : 0;
  }
  if (dir.hasFlag(EXT4_INDEX_FL) && volume.hasDirIndex) {
    const error = addIndexed(volume, dir, name, ino, fileType);
    return error === BAD_HTREE ? -EUCLEAN : error;
  }
  return addLinear(volume, dir, name, ino, fileType);
}

function addLinear(volume: Volume, dir: CoreInode, name: Uint8Array, ino: number, fileType: number): number {
  const blocks = dir.size / volume.blockSize;
  const hint = dir.insertHint < blocks ? dir.insertHint : 0;
  for (let i = 0; i < blocks; i++) {
    const fileBlock = (hint + i) % blocks;
    const block = directoryBlock(volume, dir, fileBlock);
    if (block < 0) return block;
    const buffer = leafBlock(volume, dir, block);
    if (typeof buffer === "number") return buffer;
    if (insertEntry(volume, buffer, name, ino, fileType) >= 0) {
      dir.insertHint = fileBlock;
      return dirtyLeaf(volume, dir, buffer);
    }
  }
  if (
    blocks === 1 &&
    volume.hasDirIndex &&
    isKnownHash(effectiveHash(volume, volume.superblock.u8(S_DEF_HASH_VERSION)))
  ) {
    const error = makeIndexed(volume, dir);
    return error < 0 ? error : addIndexed(volume, dir, name, ino, fileType);
  }
  const added = appendBlock(volume, dir);
  if (typeof added === "number") return added;
  initLeaf(volume, added);
  insertEntry(volume, added, name, ino, fileType);
  dir.insertHint = dir.size / volume.blockSize - 1;
  return dirtyLeaf(volume, dir, added);
}

function dirtyLeaf(volume: Volume, dir: CoreInode, buffer: Buffer): number {
  volume.dirtyBuffer(buffer, KIND_DIRECTORY, dir.csumSeed);
  return 0;
}

/** A new, zeroed block at the end of a directory. */
export function appendBlock(volume: Volume, dir: CoreInode): Buffer | number {
  const run = volume.work.directoryRun;
  const fileBlock = dir.size / volume.blockSize;
  if (fileBlock >= 0x0fffffff) return -EFBIG;
  const goal = allocationGoal(volume, dir, fileBlock);
  let error = allocateRun(volume, dir, fileBlock, 1, goal, run);
  if (error < 0) return error;
  error = insertRun(volume, dir, fileBlock, run, false);
  if (error < 0) {
    releaseRun(volume, run);
    return error;
  }
  dir.size = dir.size + volume.blockSize;
  error = volume.dirtyInode(dir);
  return error < 0 ? error : volume.cache.create(run.start);
}

// ---- htree ----

/** Moves the entries of a one-block directory to a leaf and makes the block an index root. */
function makeIndexed(volume: Volume, dir: CoreInode): number {
  const rootBlock = directoryBlock(volume, dir, 0);
  if (rootBlock < 0) return rootBlock;
  const root = leafBlock(volume, dir, rootBlock);
  if (typeof root === "number") return root;
  const { view, data } = root;
  const parentIno = view.getUint32(12, true);
  if (recordLength(view, 0) !== 12 || data[6] !== 1 || data[8] !== 0x2e)
    return volume.corrupt('directory without "." in front', dir.ino, rootBlock);
  const dotDotLength = recordLength(view, 12);
  const leaf = appendBlock(volume, dir);
  if (typeof leaf === "number") return leaf;
  const from = 12 + dotDotLength;
  const end = entriesEnd(volume);
  initLeaf(volume, leaf);
  leaf.data.set(data.subarray(from, end), 0);
  // The last record takes the space that the two first ones had.
  let last = 0;
  for (let at = 0; at < end - from; at += recordLength(leaf.view, at)) last = at;
  setRecordLength(leaf.view, last, end - last);
  leaf.data.fill(0, last + Math.max(12, entrySize(leaf.data[last + 6])), end);
  volume.dirtyBuffer(leaf, KIND_DIRECTORY, dir.csumSeed);

  data.fill(0, 12);
  view.setUint16(4, 12, true);
  view.setUint32(12, parentIno, true);
  setRecordLength(view, 12, volume.blockSize - 12);
  view.setUint8(12 + 6, 2);
  view.setUint8(12 + 7, 2);
  data[20] = 0x2e;
  data[21] = 0x2e;
  view.setUint8(DX_HASH_VERSION, volume.superblock.u8(S_DEF_HASH_VERSION));
  view.setUint8(DX_INFO_LENGTH, 8);
  view.setUint8(DX_LEVELS, 0);
  view.setUint16(DX_ROOT_ENTRIES, dxLimitFor(volume, DX_ROOT_ENTRIES), true);
  view.setUint16(DX_ROOT_ENTRIES + 2, 1, true);
  view.setUint32(DX_ROOT_ENTRIES + 4, 1, true);
  volume.dirtyBuffer(root, KIND_HTREE, dir.csumSeed);
  dir.flags |= EXT4_INDEX_FL;
  return volume.dirtyInode(dir);
}

function addIndexed(volume: Volume, dir: CoreInode, name: Uint8Array, ino: number, fileType: number): number {
  const path = volume.work.insertionPath;
  // Each round makes room one level lower; two splits and a new level are the most there can be.
  for (let round = 0; round < 8; round++) {
    let error = openRoot(volume, dir, path);
    if (error < 0) return error;
    if (!hashOf(volume, dir, path.hashVersion, name, 0, name.length, $hash)) return -EINVAL;
    const hash = $hash.major;
    error = descend(volume, dir, hash, path);
    if (error < 0) return error;
    const block = directoryBlock(volume, dir, leafOf(path));
    if (block < 0) return block;
    const leaf = leafBlock(volume, dir, block);
    if (typeof leaf === "number") return leaf;
    if (insertEntry(volume, leaf, name, ino, fileType) >= 0) return dirtyLeaf(volume, dir, leaf);
    error = makeIndexRoom(volume, dir);
    if (error < 0) return error;
    if (error === 1) continue; // the index changed shape: go down again
    error = splitLeaf(volume, dir, leaf);
    if (error < 0) return error;
  }
  return volume.corrupt("no room in the htree after splitting", dir.ino, 0);
}

/** Makes sure that the lowest index node on `volume.work.insertionPath` can take one more entry: 0 it could already, 1 the tree was changed. */
function makeIndexRoom(volume: Volume, dir: CoreInode): number {
  const { frames } = volume.work.insertionPath;
  const bottom = frames[frames.length - 1];
  if (dxCount(bottom) < dxLimit(bottom)) return 0;
  // Highest full node in the unbroken run of full nodes above the bottom.
  let level = frames.length - 1;
  while (level > 0 && dxCount(frames[level - 1]) >= dxLimit(frames[level - 1])) level--;
  if (level === 0) {
    if (frames.length - 1 >= maxLevels(volume)) return -ENOSPC;
    return addLevel(volume, dir, frames[0]);
  }
  return splitIndex(volume, dir, frames[level - 1], frames[level]);
}

/** Pushes the root's entries down into a new node. */
function addLevel(volume: Volume, dir: CoreInode, root: Frame): number {
  const fileBlock = dir.size / volume.blockSize;
  const node = appendBlock(volume, dir);
  if (typeof node === "number") return node;
  initNode(volume, node);
  const count = dxCount(root);
  const entries = root.buffer.data.subarray(root.base, root.base + count * 8);
  node.data.set(entries.subarray(4), DX_NODE_ENTRIES + 4);
  node.view.setUint16(DX_NODE_ENTRIES + 2, count, true);
  volume.dirtyBuffer(node, KIND_HTREE, dir.csumSeed);
  root.buffer.data.fill(0, root.base + 8, root.base + count * 8);
  setDxCount(root, 1);
  setDxEntry(root, 0, 0, fileBlock);
  root.buffer.view.setUint8(DX_LEVELS, root.buffer.view.getUint8(DX_LEVELS) + 1);
  volume.dirtyBuffer(root.buffer, KIND_HTREE, dir.csumSeed);
  return 1;
}

/** Moves the upper half of a full node to a new one, entered behind it in `parent`. */
function splitIndex(volume: Volume, dir: CoreInode, parent: Frame, full: Frame): number {
  const fileBlock = dir.size / volume.blockSize;
  const node = appendBlock(volume, dir);
  if (typeof node === "number") return node;
  initNode(volume, node);
  const count = dxCount(full);
  const stay = count >> 1;
  const moved = count - stay;
  const hash = dxHash(full, stay);
  const from = full.base + stay * 8;
  node.data.set(full.buffer.data.subarray(from + 4, from + moved * 8), DX_NODE_ENTRIES + 4);
  node.view.setUint16(DX_NODE_ENTRIES + 2, moved, true);
  volume.dirtyBuffer(node, KIND_HTREE, dir.csumSeed);
  setDxCount(full, stay);
  volume.dirtyBuffer(full.buffer, KIND_HTREE, dir.csumSeed);
  insertIndexEntry(parent, hash, fileBlock);
  volume.dirtyBuffer(parent.buffer, KIND_HTREE, dir.csumSeed);
  return 1;
}

function initNode(volume: Volume, node: Buffer): void {
  setRecordLength(node.view, 0, volume.blockSize);
  node.view.setUint16(DX_NODE_ENTRIES, dxLimitFor(volume, DX_NODE_ENTRIES), true);
}

function insertIndexEntry(frame: Frame, hash: number, fileBlock: number): void {
  const count = dxCount(frame);
  const at = frame.base + (frame.index + 1) * 8;
  frame.buffer.data.copyWithin(at + 8, at, frame.base + count * 8);
  setDxCount(frame, count + 1);
  setDxEntry(frame, frame.index + 1, hash, fileBlock);
}

interface Moved {
  readonly hash: number;
  readonly at: number;
  readonly size: number;
}

/** Moves the entries with the higher hashes to a new leaf and enters it in the index, which has room. */
function splitLeaf(volume: Volume, dir: CoreInode, leaf: Buffer): number {
  const path = volume.work.insertionPath;
  const fileBlock = dir.size / volume.blockSize;
  const bottom = path.frames[path.frames.length - 1];
  const end = entriesEnd(volume);
  const entries: Moved[] = [];
  for (let at = 0; at < end; at += recordLength(leaf.view, at)) {
    if (leaf.view.getUint32(at, true) === 0) continue;
    const length = leaf.data[at + 6];
    if (!hashOf(volume, dir, path.hashVersion, leaf.data, at + 8, length, $hash)) {
      volume.log(`inode ${dir.ino}: a full casefold directory with a name that is not UTF-8 cannot grow`);
      return -EOPNOTSUPP;
    }
    entries.push({ hash: $hash.major, at, size: entrySize(length) });
  }
  if (entries.length < 2) return volume.corrupt("htree leaf is full with fewer than two entries", dir.ino, leaf.block);
  const fresh = appendBlock(volume, dir);
  if (typeof fresh === "number") return fresh;
  entries.sort((a, b) => a.hash - b.hash || a.at - b.at);
  // By bytes, so that both halves have room; at least one entry on each side.
  const total = entries.reduce((sum, e) => sum + e.size, 0);
  let split = entries.length;
  for (let moved = 0; split > 1; ) {
    moved += entries[split - 1].size;
    if (moved > total / 2 && split < entries.length) break;
    split--;
  }
  if (split === entries.length) split--;
  const hash = entries[split].hash;
  const continued = hash === entries[split - 1].hash ? 1 : 0;

  const old = leaf.data.slice();
  initLeaf(volume, fresh);
  packEntries(volume, old, fresh, entries.slice(split), end);
  initLeaf(volume, leaf);
  packEntries(volume, old, leaf, entries.slice(0, split), end);
  volume.dirtyBuffer(fresh, KIND_DIRECTORY, dir.csumSeed);
  volume.dirtyBuffer(leaf, KIND_DIRECTORY, dir.csumSeed);
  insertIndexEntry(bottom, (hash | continued) >>> 0, fileBlock);
  volume.dirtyBuffer(bottom.buffer, KIND_HTREE, dir.csumSeed);
  return 0;
}

/** Lays entries of `source` out one behind the other in an empty leaf; the last one takes the rest. */
function packEntries(volume: Volume, source: Uint8Array, target: Buffer, entries: readonly Moved[], end: number): void {
  let at = 0;
  entries.forEach((entry, i) => {
    target.data.set(source.subarray(entry.at, entry.at + entry.size), at);
    setRecordLength(target.view, at, i === entries.length - 1 ? end - at : entry.size);
    at += entry.size;
  });
  if (volume.hasMetadataCsum) initTail(target.view);
}

// ---- removing, changing ----

/** Names are found in damaged blocks too, but these are not written to. */
function isSound(buffer: Buffer): boolean {
  return buffer.verifiedAs === KIND_DIRECTORY || buffer.verifiedAs === KIND_HTREE;
}

/** Takes an entry found by `findName` out of its directory. Within an operation. */
export function removeName(volume: Volume, dir: CoreInode, found: FoundEntry): number {
  const { buffer } = found;
  if (buffer === null) return removeInline(volume, dir, found.at);
  if (!isSound(buffer)) return -EUCLEAN;
  removeEntry(buffer, found.at);
  volume.dirtyBuffer(buffer, buffer.kind === KIND_HTREE ? KIND_HTREE : KIND_DIRECTORY, dir.csumSeed);
  return 0;
}

/** Makes an entry found by `findName` name another inode. Within an operation. */
export function retargetName(volume: Volume, dir: CoreInode, found: FoundEntry, ino: number, fileType: number): number {
  const { buffer } = found;
  if (buffer === null) return retargetInline(volume, dir, found.at, ino, fileType);
  if (!isSound(buffer)) return -EUCLEAN;
  buffer.view.setUint32(found.at, ino, true);
  buffer.view.setUint8(found.at + 7, fileType);
  volume.dirtyBuffer(buffer, buffer.kind === KIND_HTREE ? KIND_HTREE : KIND_DIRECTORY, dir.csumSeed);
  return 0;
}

/** The content of a new directory: "." and ".." in its first block, or nothing but its parent's number in the inode. */
export function initDirectory(volume: Volume, dir: CoreInode, parentIno: number, fileType: number): number {
  if (volume.superblock.hasIncompat(EXT4_FEATURE_INCOMPAT_INLINE_DATA) && dir.ino >= volume.geometry.firstInode) {
    const made = initInlineDirectory(volume, dir, parentIno);
    if (made !== 0) return made < 0 ? made : 0;
  }
  const buffer = appendBlock(volume, dir);
  if (typeof buffer === "number") return buffer;
  initLeaf(volume, buffer);
  setRecordLength(buffer.view, 0, 12);
  writeEntry(buffer, 0, Uint8Array.of(0x2e), dir.ino, fileType);
  setRecordLength(buffer.view, 12, entriesEnd(volume) - 12);
  writeEntry(buffer, 12, Uint8Array.of(0x2e, 0x2e), parentIno, fileType);
  volume.dirtyBuffer(buffer, KIND_DIRECTORY, dir.csumSeed);
  return 0;
}
