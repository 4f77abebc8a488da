/**
 * Loading and storing the attributes of an inode as a whole: what fits goes into the inode, the rest into the extra block.
 */
import { ENOSPC, EOPNOTSUPP } from "linux-abi";
import { allocateBlocks, freeBlocks } from "../allocator/blocks.ts";
import { type Buffer, KIND_XATTR } from "../buffer-cache.ts";
import { blockChecksumIsValid } from "../checksum/metadata-checksum.ts";
import { EXT4_FEATURE_COMPAT_EXT_ATTR, EXT4_FEATURE_INCOMPAT_EA_INODE } from "../features.ts";
import { groupStart } from "../geometry.ts";
import { type CoreInode, GOOD_OLD_INODE_SIZE } from "../inode.ts";
import type { Volume } from "../volume.ts";
import {
  entryHashOfInode,
  readXattrs,
  type StoredXattr,
  writeXattrs,
  xattrsAreSane,
  XATTR_BLOCK_HEADER,
  XATTR_BLOCKS,
  XATTR_HASH,
  XATTR_INDEX_SYSTEM,
  XATTR_MAGIC,
  XATTR_REFCOUNT,
  xattrEntrySize,
  xattrListSize,
  xattrValueSize,
} from "./layout.ts";
import { countValueInode, createValueInode, valueHash } from "./value-inode.ts";

/** Where the in-inode list's first entry may be; -1 when the inode has no room for any. */
function inodeListStart(inode: CoreInode): number {
  const start = GOOD_OLD_INODE_SIZE + inode.extraIsize + 4;
  return inode.extraIsize > 0 && start + 4 <= inode.raw.length ? start : -1;
}

/** All attributes of an inode, those in the inode first; or -EUCLEAN, -EIO. */
export function loadXattrs(volume: Volume, inode: CoreInode): StoredXattr[] | number {
  const inside = loadInodeList(volume, inode);
  if (typeof inside === "number") return inside;
  if (inode.fileAcl === 0) return inside;
  const buffer = xattrBlock(volume, inode);
  if (typeof buffer === "number") return buffer;
  const outside = readXattrs(buffer.data, XATTR_BLOCK_HEADER, volume.blockSize, 0);
  if (outside === undefined) return volume.corrupt("attribute block is damaged", inode.ino, inode.fileAcl);
  return [...inside, ...outside];
}

/** How many values of the inode's attributes are in inodes of their own: that many inodes more its owners have. */
export function valueInodesOf(volume: Volume, inode: CoreInode): number {
  const list = loadXattrs(volume, inode);
  return typeof list === "number" ? 0 : list.filter((a) => a.inum !== 0).length;
}

/** Whether the list in the inode itself is well formed; Linux does not use an inode where it is not. */
export function inodeXattrsAreSane(volume: Volume, inode: CoreInode): boolean {
  const first = inodeListStart(inode);
  if (first < 0 || inode.view.getUint32(first - 4, true) !== XATTR_MAGIC) return true;
  return xattrsAreSane(inode.raw, inode.view, first, inode.raw.length, first, (ino) => isValueInode(volume, ino));
}

function isValueInode(volume: Volume, ino: number): boolean {
  const { firstInode, inodesCount } = volume.geometry;
  return volume.superblock.hasIncompat(EXT4_FEATURE_INCOMPAT_EA_INODE) && ino >= firstInode && ino <= inodesCount;
}

/** Whether the inode holds the attribute that every file in an inode has; without it Linux looks for blocks. */
export function hasInlineXattr(volume: Volume, inode: CoreInode): boolean {
  const list = loadInodeList(volume, inode);
  return typeof list !== "number" && list.some((a) => a.index === XATTR_INDEX_SYSTEM);
}

function loadInodeList(volume: Volume, inode: CoreInode): StoredXattr[] | number {
  const first = inodeListStart(inode);
  if (first < 0 || inode.view.getUint32(first - 4, true) !== XATTR_MAGIC) return [];
  return (
    readXattrs(inode.raw, first, inode.raw.length, first) ??
    volume.corrupt("attributes in the inode are damaged", inode.ino, 0)
  );
}

function xattrBlock(volume: Volume, inode: CoreInode): Buffer | number {
  const block = inode.fileAcl;
  const buffer = volume.cache.get(block);
  if (typeof buffer === "number" || buffer.verifiedAs === KIND_XATTR) return buffer;
  buffer.kind = KIND_XATTR;
  const { view } = buffer;
  const { data } = buffer;
  const sane =
    view.getUint32(0, true) === XATTR_MAGIC &&
    view.getUint32(XATTR_BLOCKS, true) === 1 &&
    xattrsAreSane(data, view, XATTR_BLOCK_HEADER, data.length, 0, (ino) => isValueInode(volume, ino));
  if (!sane || !blockChecksumIsValid(volume, buffer))
    return volume.corrupt("attribute block is damaged", inode.ino, block);
  buffer.verifiedAs = KIND_XATTR;
  return buffer;
}

/** Bytes for entries and values in the inode, the closing zero word included; 0 when it has no room for any. */
export function inodeListRoom(inode: CoreInode): number {
  const first = inodeListStart(inode);
  return first < 0 ? 0 : inode.raw.length - first;
}

interface Split {
  readonly inside: StoredXattr[];
  readonly outside: StoredXattr[];
  /** Bytes that `inside` takes. */
  readonly insideSize: number;
}

/** Which attributes go into the inode (an inline file's data first, then as many as fit, in their order), and which into the block. */
export function splitBetweenPlaces(_volume: Volume, inode: CoreInode, list: readonly StoredXattr[]): Split {
  const room = inodeListRoom(inode);
  const inside: StoredXattr[] = [];
  const outside: StoredXattr[] = [];
  let insideSize = 4;
  const ours = list.filter((a) => a.index === XATTR_INDEX_SYSTEM);
  for (const a of [...ours, ...list.filter((a) => a.index !== XATTR_INDEX_SYSTEM)]) {
    const size = xattrListSize([a]) - 4;
    if (insideSize + size <= room) {
      inside.push(a);
      insideSize += size;
    } else {
      outside.push(a);
    }
  }
  return { inside, outside, insideSize };
}

/** Replaces all attributes. Within an operation. 0, -ENOSPC when they do not fit, -EUCLEAN, -EIO. */
export function storeXattrs(volume: Volume, inode: CoreInode, list: readonly StoredXattr[]): number {
  inode.accessAcl = undefined;
  const made: number[] = [];
  const places = placeXattrs(volume, inode, list, made);
  let error = typeof places === "number" ? places : recountValues(volume, inode, list);
  if (error === 0) error = storePlaces(volume, inode, places as Split);
  if (error < 0) {
    for (const ino of made) {
      const value = volume.inode(ino);
      if (typeof value !== "number") inode.addBlocks(-valueBlocks(volume, value.size), volume.blockSize);
      countValueInode(volume, ino, -1);
    }
  }
  return error;
}

/** Decides where each attribute goes; values too large for inode and block get inodes of their own, noted in `made`. */
function placeXattrs(volume: Volume, inode: CoreInode, list: readonly StoredXattr[], made: number[]): Split | number {
  const blockRoom = volume.blockSize - XATTR_BLOCK_HEADER;
  const hasValueInodes = volume.superblock.hasIncompat(EXT4_FEATURE_INCOMPAT_EA_INODE);
  const current = [...list];
  const move = (at: number): number => {
    const a = current[at];
    const bytes = valueBlocks(volume, a.value.length) * volume.blockSize;
    const refused = volume.quota?.admitTo(inode, 1, bytes) ?? 0;
    if (refused < 0) return refused;
    const ino = createValueInode(volume, inode, a.value);
    if (ino < 0) return ino;
    made.push(ino);
    inode.addBlocks(valueBlocks(volume, a.value.length), volume.blockSize);
    const hash = entryHashOfInode(a.name, valueHash(volume, a.value));
    current[at] = { ...a, value: new Uint8Array(0), inum: ino, size: a.value.length, hash };
    return 0;
  };
  // EXT4_XATTR_MIN_LARGE_EA_SIZE: such a value would leave no room in the block for anything else.
  const large = volume.blockSize - xattrEntrySize(3) - XATTR_BLOCK_HEADER - 4;
  for (let at = 0; hasValueInodes && at < current.length; at++) {
    if (xattrValueSize(current[at].value.length) <= large) continue;
    const error = move(at);
    if (error < 0) return error;
  }
  for (;;) {
    const places = splitBetweenPlaces(volume, inode, current);
    if (xattrListSize(places.outside) <= blockRoom) return places;
    let largest = -1;
    for (let at = 0; at < current.length; at++) {
      const { value, index } = current[at];
      if (value.length === 0 || index === XATTR_INDEX_SYSTEM) continue;
      if (largest < 0 || value.length > current[largest].value.length) largest = at;
    }
    if (!hasValueInodes || largest < 0) return -ENOSPC;
    const error = move(largest);
    if (error < 0) return error;
  }
}

/** What a value in an inode of its own counts for in i_blocks of the file that has the attribute. */
function valueBlocks(volume: Volume, byteLength: number): number {
  return Math.ceil(byteLength / volume.geometry.clusterSize) * volume.clusterBlocks;
}

/** Value inodes that the inode's list no longer names lose a reference; those copied out of a shared block gain one. */
function recountValues(volume: Volume, inode: CoreInode, list: readonly StoredXattr[]): number {
  if (!volume.superblock.hasIncompat(EXT4_FEATURE_INCOMPAT_EA_INODE)) return 0;
  const old = loadXattrs(volume, inode);
  if (typeof old === "number") return old;
  const inside = loadInodeList(volume, inode);
  if (typeof inside === "number") return inside;
  const buffer = inode.fileAcl === 0 ? undefined : xattrBlock(volume, inode);
  if (typeof buffer === "number") return buffer;
  const isShared = buffer !== undefined && buffer.view.getUint32(XATTR_REFCOUNT, true) > 1;
  for (const [i, { inum, size }] of old.entries()) {
    if (inum === 0) continue;
    const kept = list.some((a) => a.inum === inum);
    if (!kept) inode.addBlocks(-valueBlocks(volume, size), volume.blockSize);
    const shared = isShared && i >= inside.length;
    const error = kept === shared ? countValueInode(volume, inum, kept ? 1 : -1) : 0;
    if (error < 0) return error;
  }
  return 0;
}

function storePlaces(volume: Volume, inode: CoreInode, { inside, outside }: Split): number {
  const first = inodeListStart(inode);
  let error = storeBlock(volume, inode, outside.sort(compareXattrs));
  if (error < 0) return error;
  error = volume.dirtyInode(inode);
  if (error < 0 || first < 0) return error;
  inode.raw.fill(0, first - 4);
  if (inside.length > 0) {
    inode.view.setUint32(first - 4, XATTR_MAGIC, true);
    writeXattrs(inode.raw, first, inode.raw.length, first, inside, false);
  }
  return 0;
}

/** Gives up all attributes of an inode that goes. Within an operation. */
export function releaseXattrs(volume: Volume, inode: CoreInode): number {
  const error = recountValues(volume, inode, []);
  return error < 0 ? error : releaseXattrBlock(volume, inode);
}

/** The order in a block: by name index, name length, name. */
function compareXattrs(a: StoredXattr, b: StoredXattr): number {
  if (a.index !== b.index) return a.index - b.index;
  if (a.name.length !== b.name.length) return a.name.length - b.name.length;
  for (let i = 0; i < a.name.length; i++) if (a.name[i] !== b.name[i]) return a.name[i] - b.name[i];
  return 0;
}

function storeBlock(volume: Volume, inode: CoreInode, list: readonly StoredXattr[]): number {
  const run = volume.work.xattrRun;
  if (list.length === 0) return releaseXattrBlock(volume, inode);
  let buffer: Buffer | number = -EOPNOTSUPP;
  if (inode.fileAcl !== 0) {
    buffer = xattrBlock(volume, inode);
    if (typeof buffer === "number") return buffer;
    if (buffer.view.getUint32(XATTR_REFCOUNT, true) > 1) {
      const error = releaseXattrBlock(volume, inode); // shared: leave it to the others
      if (error < 0) return error;
      buffer = -EOPNOTSUPP;
    }
  }
  if (typeof buffer === "number") {
    const goal = groupStart(volume.geometry, Math.floor((inode.ino - 1) / volume.geometry.inodesPerGroup));
    let error = volume.quota?.admitTo(inode, 0, volume.geometry.clusterSize) ?? 0;
    if (error === 0) error = allocateBlocks(volume, goal, 1, run);
    if (error < 0) return error;
    buffer = volume.cache.create(run.start);
    inode.fileAcl = run.start;
    inode.addBlocks(run.charged, volume.blockSize);
    const failed = volume.dirtyInode(inode);
    if (failed < 0) return failed;
  }
  if (!volume.superblock.hasCompat(EXT4_FEATURE_COMPAT_EXT_ATTR)) {
    volume.superblock.setCompat(EXT4_FEATURE_COMPAT_EXT_ATTR, true);
    volume.dirtySuperblock();
  }
  volume.dirtyBuffer(buffer, KIND_XATTR, 0);
  buffer.data.fill(0);
  buffer.view.setUint32(0, XATTR_MAGIC, true);
  buffer.view.setUint32(XATTR_REFCOUNT, 1, true);
  buffer.view.setUint32(XATTR_BLOCKS, 1, true);
  const hash = writeXattrs(buffer.data, XATTR_BLOCK_HEADER, volume.blockSize, 0, list, true);
  buffer.view.setUint32(XATTR_HASH, hash, true);
  return 0;
}

/** Gives up the inode's attribute block: frees it, or lowers its reference count. */
function releaseXattrBlock(volume: Volume, inode: CoreInode): number {
  if (inode.fileAcl === 0) return 0;
  const buffer = xattrBlock(volume, inode);
  if (typeof buffer === "number") return buffer;
  const references = buffer.view.getUint32(XATTR_REFCOUNT, true);
  const block = inode.fileAcl;
  inode.fileAcl = 0;
  inode.addBlocks(-volume.clusterBlocks, volume.blockSize);
  const error = volume.dirtyInode(inode);
  if (error < 0) return error;
  if (references <= 1) return freeBlocks(volume, block, 1, true);
  volume.dirtyBuffer(buffer, KIND_XATTR, 0);
  buffer.view.setUint32(XATTR_REFCOUNT, references - 1, true);
  return 0;
}
