/**
 * Loading and storing the attributes of an inode as a whole: what fits goes into the inode, the rest into the extra block.
 */
import { ENOSPC, EOPNOTSUPP } from "linux-abi";
import { allocateBlocks, freeBlocks } from "../allocator/blocks.ts";
import { type Buffer, KIND_XATTR } from "../buffer-cache.ts";
import { blockChecksumIsValid } from "../checksum/metadata-checksum.ts";
import { EXT4_FEATURE_COMPAT_EXT_ATTR } from "../features.ts";
import { groupStart } from "../geometry.ts";
import { type CoreInode, GOOD_OLD_INODE_SIZE } from "../inode.ts";
import type { Volume } from "../volume.ts";
import {
  readXattrs,
  type StoredXattr,
  writeXattrs,
  XATTR_BLOCK_HEADER,
  XATTR_BLOCKS,
  XATTR_HASH,
  XATTR_MAGIC,
  XATTR_REFCOUNT,
  xattrListSize,
} from "./layout.ts";

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
  const sane = view.getUint32(0, true) === XATTR_MAGIC && view.getUint32(XATTR_BLOCKS, true) === 1;
  if (!sane || !blockChecksumIsValid(volume, buffer))
    return volume.corrupt("attribute block is damaged", inode.ino, block);
  buffer.verifiedAs = KIND_XATTR;
  return buffer;
}

/** Replaces all attributes. Within an operation. 0, -ENOSPC when they do not fit, -EUCLEAN, -EIO. */
export function storeXattrs(volume: Volume, inode: CoreInode, list: readonly StoredXattr[]): number {
  const first = inodeListStart(inode);
  const room = first < 0 ? 0 : inode.raw.length - first;
  const inside: StoredXattr[] = [];
  const outside: StoredXattr[] = [];
  for (const a of list) {
    if (xattrListSize([...inside, a]) <= room) inside.push(a);
    else outside.push(a);
  }
  if (xattrListSize(outside) > volume.blockSize - XATTR_BLOCK_HEADER) return -ENOSPC;
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
    const error = allocateBlocks(volume, goal, 1, run);
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

/** Gives up the inode's attribute block: frees it, or lowers its reference count. Within an operation. */
export function releaseXattrBlock(volume: Volume, inode: CoreInode): number {
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
