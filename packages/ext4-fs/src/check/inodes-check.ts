/**
 * Pass 1: every inode that may be in use.
 *
 * What an inode says is checked by itself, and its blocks are claimed (inode-blocks.ts). Things that are odd but harmless unless a
 * directory leads to the inode are put on the list of odd inodes; pass 2 looks at them.
 */
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK } from "linux-abi";
import {
  EXT4_FEATURE_COMPAT_ORPHAN_FILE,
  EXT4_FEATURE_INCOMPAT_64BIT,
  EXT4_FEATURE_RO_COMPAT_QUOTA,
  EXT4_FEATURE_INCOMPAT_EXTENTS,
} from "../features.ts";
import {
  type CoreInode,
  EXT4_APPEND_FL,
  EXT4_EXTENTS_FL,
  EXT4_IMMUTABLE_FL,
  EXT4_INDEX_FL,
  EXT4_INLINE_DATA_FL,
  I_ATIME,
  I_ATIME_EXTRA,
  I_BLOCK,
  I_BLOCK_SIZE,
  I_BLOCKS_HIGH,
  I_BLOCKS_LO,
  I_CRTIME,
  I_CRTIME_EXTRA,
  I_CTIME,
  I_CTIME_EXTRA,
  I_EXTRA_ISIZE,
  I_FILE_ACL_HIGH,
  I_MTIME,
  I_MTIME_EXTRA,
  I_SIZE_HIGH,
  EXT4_CASEFOLD_FL,
  EXT4_ENCRYPT_FL,
} from "../inode.ts";
import {
  EXT4_BAD_INO,
  EXT4_JOURNAL_INO,
  EXT4_RESIZE_INO,
  EXT4_ROOT_INO,
  S_JOURNAL_INUM,
  S_ORPHAN_FILE_INUM,
  S_WANT_EXTRA_ISIZE,
  S_USR_QUOTA_INUM,
  S_GRP_QUOTA_INUM,
  S_PRJ_QUOTA_INUM,
  S_MKFS_TIME,
  S_MTIME,
  S_WTIME,
} from "../superblock.ts";
import { extentHeaderIsValid, walkBlocks } from "./block-walk.ts";
import { type Checker, OS_HURD, S_CREATOR_OS } from "./checker.ts";
import { checkBlocks, hasBlocks, inlineSize } from "./inode-blocks.ts";
import type { ProblemCode } from "./problems.ts";
import { checkInodeXattrs, inodeXattrs, type XattrCost, XATTR_INDEX_ENCRYPTION } from "./xattrs-check.ts";

export const I_FADDR = 0x70;
const EXT4_BOOT_LOADER_INO = 5;
const EXT4_USR_QUOTA_INO = 3;
const EXT4_GRP_QUOTA_INO = 4;
const EXT4_IMAGIC_FL = 0x2000;
const EXT4_FEATURE_COMPAT_IMAGIC_INODES = 0x2;
/** Bytes of inode tables to read at once. */
const CHUNK_BYTES = 1 << 20;

/** File types as directory entries store them. */
export const FT_REG_FILE = 1;
export const FT_DIR = 2;
export const FT_CHRDEV = 3;
export const FT_BLKDEV = 4;
export const FT_FIFO = 5;
export const FT_SOCK = 6;
export const FT_SYMLINK = 7;

export function fileTypeOf(mode: number): number {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return FT_REG_FILE;
    case S_IFDIR:
      return FT_DIR;
    case S_IFCHR:
      return FT_CHRDEV;
    case S_IFBLK:
      return FT_BLKDEV;
    case S_IFIFO:
      return FT_FIFO;
    case S_IFSOCK:
      return FT_SOCK;
    case S_IFLNK:
      return FT_SYMLINK;
    default:
      return 0;
  }
}

/** Numbers of the quota files that the superblock names; 0 = none. */
export function quotaInodes(ck: Checker): readonly [number, number, number] {
  if (!ck.sb.hasRoCompat(EXT4_FEATURE_RO_COMPAT_QUOTA)) return [0, 0, 0];
  return [ck.sb.u32(S_USR_QUOTA_INUM), ck.sb.u32(S_GRP_QUOTA_INUM), ck.sb.u32(S_PRJ_QUOTA_INUM)];
}

/** Looks at every inode. `interrupted` is asked between pieces of work. */
export function checkInodes(ck: Checker, interrupted: (done: number, total: number) => boolean): void {
  const { g, blockSize } = ck;
  const perChunk = Math.max(1, Math.floor(CHUNK_BYTES / blockSize));
  const chunk = new Uint8Array(perChunk * blockSize);
  const lowTimes = hasLowTimes(ck);
  for (let group = 0; group < g.groupCount; group++) {
    if (interrupted(group, g.groupCount)) return;
    if (ck.misplacedTables.has(group)) continue;
    const table = ck.descriptors[group].inodeTable;
    const wanted = ck.usedPartOfTable(group);
    for (let index = 0; index < wanted; ) {
      const first = Math.floor(index / g.inodesPerBlock);
      const blocks = Math.min(perChunk, Math.ceil(wanted / g.inodesPerBlock) - first);
      const bytes = chunk.subarray(0, blocks * blockSize);
      if (ck.readInto(table + first, bytes) < 0) {
        ck.report("read-error", { block: table + first, group });
        bytes.fill(0);
      }
      const end = Math.min(wanted, (first + blocks) * g.inodesPerBlock);
      for (; index < end; index++) {
        const at = (index - first * g.inodesPerBlock) * g.inodeSize;
        const ino = group * g.inodesPerGroup + index + 1;
        if (ino > EXT4_JOURNAL_INO && isZero(bytes, at, g.inodeSize) && ino >= g.firstInode) continue;
        checkInode(ck, ck.makeInode(ino, bytes.subarray(at, at + g.inodeSize)), lowTimes);
      }
    }
  }
}

function isZero(bytes: Uint8Array, at: number, length: number): boolean {
  for (let i = at; i < at + length; i++) if (bytes[i] !== 0) return false;
  return true;
}

/** The volume's own times are so small that deletion times cannot be told from inode numbers. */
function hasLowTimes(ck: Checker): boolean {
  return [S_MTIME, S_WTIME, S_MKFS_TIME].some((at) => ck.sb.u32(at) !== 0 && ck.sb.u32(at) < ck.g.inodesCount);
}

function checkInode(ck: Checker, inode: CoreInode, lowTimes: boolean): void {
  const { ino } = inode;
  let changed = false;
  const fix = (code: ProblemCode, detail: object, repair: () => void): void => {
    if (!ck.problem(code, { inode: ino, ...detail })) return;
    repair();
    changed = true;
  };
  if (ck.hasChecksums && !inode.checksumIsValid() && !isZero(inode.raw, 0, inode.raw.length))
    fix("inode-checksum", {}, () => {});
  if (inode.dtime !== 0 && !lowTimes && inode.dtime < ck.g.inodesCount)
    fix("inode-low-dtime", {}, () => {
      inode.dtime = inode.links !== 0 ? 0 : deletionTime(ck);
    });
  const special = isSpecial(ck, ino);
  if (inode.links !== 0) ck.linkCounts.set(ino, inode.links);
  else if (ino >= ck.g.firstInode && !special) {
    if (inode.dtime === 0 && inode.mode !== 0)
      fix("inode-no-dtime", {}, () => {
        inode.dtime = deletionTime(ck);
      });
    if (changed) ck.writeInode(inode);
    return;
  }
  if (checkFlags(ck, inode, fix) && ck.repair) return clearInode(ck, inode);
  if (ino === EXT4_BAD_INO) {
    checkBadBlocks(ck, inode, fix);
  } else if (ino === EXT4_ROOT_INO) {
    if (!inode.isDirectory && inode.links !== 0 && ck.problem("root-not-directory", { inode: ino }))
      return clearInode(ck, inode);
    if (inode.dtime !== 0 && inode.links !== 0)
      fix("inode-has-dtime", {}, () => {
        inode.dtime = 0;
      });
  } else if (special || ino < ck.g.firstInode) {
    if (!checkReserved(ck, inode, fix)) return;
    if (changed) ck.writeInode(inode);
    return;
  }
  if (inode.links === 0 || ino === EXT4_BAD_INO) {
    if (changed) ck.writeInode(inode);
    return;
  }
  if (inode.dtime !== 0)
    fix("inode-has-dtime", {}, () => {
      inode.dtime = 0;
    });
  ck.inodesUsed.add(ino);
  if (hasOddFields(ck, inode)) ck.inodesOdd.add(ino);
  if ((inode.flags & EXT4_IMAGIC_FL) !== 0 && !ck.sb.hasCompat(EXT4_FEATURE_COMPAT_IMAGIC_INODES))
    fix("inode-imagic", {}, () => {
      inode.flags &= ~EXT4_IMAGIC_FL;
    });
  const cost: XattrCost = { clusters: 0, inodes: 0 };
  if (checkExtra(ck, inode, cost, fix)) changed = true;
  if (looksLikeDirectory(ck, inode))
    fix("is-really-directory", {}, () => {
      inode.mode = (inode.mode & 0o7777) | S_IFDIR;
    });
  if (inode.isSymlink && ck.hasExtents && inode.hasFlag(EXT4_EXTENTS_FL) && !hasBlocks(inode))
    fix("symlink-extents-flag", {}, () => {
      inode.flags &= ~EXT4_EXTENTS_FL;
    });
  if ((inode.flags & EXT4_ENCRYPT_FL) !== 0 && !encryptionIsValid(ck, inode)) {
    if (ck.problem("encryption-context", { inode: ino })) return clearInode(ck, inode);
  }
  const type = classify(ck, inode, fix);
  if (type === 0) ck.inodesOdd.add(ino);
  ck.fileTypes.set(ino, fileTypeOf(inode.mode));
  if (type === FT_SYMLINK && inode.hasFlag(EXT4_INLINE_DATA_FL)) {
    // e2fsck does not count what such a link refers to, either.
    if (changed) ck.writeInode(inode);
    return;
  }
  const blocks = checkBlocks(ck, inode, cost);
  if (blocks.clear) return clearInode(ck, inode);
  if (changed || blocks.changed) ck.writeInode(inode);
}

export function deletionTime(ck: Checker): number {
  return Math.max(ck.now, ck.g.inodesCount);
}

/** Frees an inode; its blocks and names are found to be free and dangling in the next round. */
export function clearInode(ck: Checker, inode: CoreInode): void {
  inode.flags = 0;
  inode.links = 0;
  inode.dtime = deletionTime(ck);
  if (inode.ino < ck.g.firstInode || isSpecial(ck, inode.ino)) inode.raw.fill(0, I_BLOCK, I_BLOCK + I_BLOCK_SIZE);
  if (inode.ino === EXT4_BAD_INO) inode.raw.fill(0, 0, 128);
  ck.linkCounts.set(inode.ino, 0);
  ck.inodesUsed.delete(inode.ino);
  ck.directories.delete(inode.ino);
  ck.rebuildExtents.delete(inode.ino);
  ck.rebuildDirectories.delete(inode.ino);
  ck.fileTypes.set(inode.ino, 0);
  ck.writeInode(inode);
  ck.again = true;
}

type Fix = (code: ProblemCode, detail: object, repair: () => void) => void;

/** Inodes that belong to the file system itself, whatever their numbers. */
function isSpecial(ck: Checker, ino: number): boolean {
  if (ino === EXT4_USR_QUOTA_INO || ino === EXT4_GRP_QUOTA_INO) return true;
  return quotaInodes(ck).includes(ino) || isOrphanFile(ck, ino);
}

function isOrphanFile(ck: Checker, ino: number): boolean {
  return ck.sb.hasCompat(EXT4_FEATURE_COMPAT_ORPHAN_FILE) && ino !== 0 && ck.sb.u32(S_ORPHAN_FILE_INUM) === ino;
}

/** Flags that contradict each other or the features. True: the inode cannot be used as it is. */
function checkFlags(ck: Checker, inode: CoreInode, fix: Fix): boolean {
  const { ino } = inode;
  if ((inode.flags & EXT4_CASEFOLD_FL) !== 0 && (!ck.hasCasefold || !inode.isDirectory))
    fix("inode-casefold", {}, () => {
      inode.flags &= ~EXT4_CASEFOLD_FL;
    });
  let inline = inode.hasFlag(EXT4_INLINE_DATA_FL);
  if (inline && inode.hasFlag(EXT4_EXTENTS_FL)) {
    if (!ck.problem("inode-inline-extents", { inode: ino })) return false;
    const size = ck.hasInline ? inlineSize(ck, inode) : -1;
    const extents = extentHeaderIsValid(inode.view, I_BLOCK, I_BLOCK_SIZE);
    if (extents && ck.hasExtents) inode.flags &= ~EXT4_INLINE_DATA_FL;
    else if (size >= 0) inode.flags &= ~EXT4_EXTENTS_FL;
    else return true;
    ck.writeInode(inode);
    inline = inode.hasFlag(EXT4_INLINE_DATA_FL);
  }
  if (inline && ino >= ck.g.firstInode) {
    if (!ck.hasInline) return ck.problem("inode-inline-feature", { inode: ino });
    if (inlineSize(ck, inode) < 0) {
      fix("inode-inline-missing", {}, () => {
        inode.flags &= ~EXT4_INLINE_DATA_FL;
        inode.size = 0;
        inode.raw.fill(0, I_BLOCK, I_BLOCK + I_BLOCK_SIZE);
        if (ck.hasExtents) emptyExtents(inode);
      });
    }
  }
  const matters = inode.links !== 0 || ino === EXT4_BAD_INO || ino === EXT4_ROOT_INO || ino === EXT4_JOURNAL_INO;
  const header = extentHeaderIsValid(inode.view, I_BLOCK, I_BLOCK_SIZE);
  if (inode.hasFlag(EXT4_EXTENTS_FL) && !ck.hasExtents && matters) {
    if (!ck.problem("inode-extents-feature", { inode: ino })) return false;
    if (!header) return true;
    ck.sb.setIncompat(EXT4_FEATURE_INCOMPAT_EXTENTS, true);
    ck.superblockDirty = true;
    ck.again = true;
    return false;
  }
  const content = inode.isRegular || inode.isDirectory;
  if (ck.hasExtents && !inode.hasFlag(EXT4_EXTENTS_FL) && !inline && matters && content && header)
    fix("inode-extents-unset", {}, () => {
      inode.flags |= EXT4_EXTENTS_FL;
    });
  return false;
}

/** An extent tree without extents in i_block. */
export function emptyExtents(inode: CoreInode): void {
  inode.raw.fill(0, I_BLOCK, I_BLOCK + I_BLOCK_SIZE);
  inode.view.setUint16(I_BLOCK, 0xf30a, true);
  inode.view.setUint16(I_BLOCK + 4, 4, true);
  inode.flags |= EXT4_EXTENTS_FL;
}

function checkBadBlocks(ck: Checker, inode: CoreInode, fix: Fix): void {
  const wrong =
    inode.mode !== 0 ||
    inode.uid !== 0 ||
    inode.gid !== 0 ||
    inode.links !== 0 ||
    inode.fileAcl !== 0 ||
    inode.hasFlag(EXT4_INLINE_DATA_FL);
  if (wrong) fix("bad-blocks-inode", {}, () => inode.raw.fill(0, 0, 128));
  ck.inodesUsed.add(inode.ino);
  let damaged = false;
  walkBlocks(ck, inode, {
    data(_fileBlock, block, count) {
      for (let i = 0; i < count; i++) {
        if (ck.used.add(ck.cluster(block + i))) continue;
        damaged = true;
        ck.problem(ck.metadata.has(ck.cluster(block + i)) ? "bad-blocks-metadata" : "block-shared", {
          inode: inode.ino,
          block: block + i,
        });
      }
    },
    node(block) {
      const fresh = ck.used.add(ck.cluster(block));
      if (!fresh) {
        damaged = true;
        ck.problem("block-metadata", { inode: inode.ino, block });
      }
      return fresh;
    },
    problem(code, detail) {
      damaged = true;
      ck.problem(code, detail);
    },
  });
  if (!damaged || !ck.repair) return;
  inode.raw.fill(0, 0, 128); // the list is not worth more than the blocks it would cost
  ck.writeInode(inode);
  ck.again = true;
}

/** Inodes below the first usable one, and quota and orphan files. False: handled completely. */
function checkReserved(ck: Checker, inode: CoreInode, fix: Fix): boolean {
  const { ino } = inode;
  ck.inodesUsed.add(ino);
  const isJournal = ino === EXT4_JOURNAL_INO && ck.sb.u32(S_JOURNAL_INUM) === EXT4_JOURNAL_INO;
  const isQuota = quotaInodes(ck).includes(ino);
  const isFile = isJournal || isQuota || isOrphanFile(ck, ino);
  const zero = { clusters: 0, inodes: 0 };
  if (isFile) {
    if (!inode.isRegular)
      fix("reserved-inode-mode", {}, () => {
        inode.mode = S_IFREG | 0o600;
      });
    ck.fileTypes.set(ino, FT_REG_FILE);
  } else if (ino === EXT4_JOURNAL_INO || isSpecial(ck, ino)) {
    if (
      inode.links !== 0 ||
      inode.view.getUint32(I_BLOCKS_LO, true) !== 0 ||
      inode.view.getUint32(I_BLOCK, true) !== 0
    ) {
      fix("reserved-inode-in-use", {}, () => {
        inode.raw.fill(0);
        ck.linkCounts.set(ino, 0);
      });
    }
    return true;
  } else if (
    ino === EXT4_BOOT_LOADER_INO
      ? inode.isDirectory
      : ino === EXT4_RESIZE_INO
        ? inode.mode !== 0 && !inode.isRegular
        : inode.mode !== 0
  ) {
    fix("reserved-inode-mode", {}, () => {
      inode.mode = 0;
    });
  }
  const blocks = checkBlocks(ck, inode, zero);
  if (blocks.clear) {
    clearInode(ck, inode);
    return false;
  }
  if (blocks.changed) fix("inode-checksum", {}, () => {});
  return true;
}

/** Fields that should be zero. They are judged in pass 2. */
function hasOddFields(ck: Checker, inode: CoreInode): boolean {
  const { view } = inode;
  const hurd = ck.sb.u32(S_CREATOR_OS) === OS_HURD;
  if (view.getUint32(I_FADDR, true) !== 0) return true;
  if (hurd) return false;
  if (inode.isDirectory && !ck.hasLargeDir && view.getUint32(I_SIZE_HIGH, true) !== 0) return true;
  if (!ck.sb.hasIncompat(EXT4_FEATURE_INCOMPAT_64BIT) && view.getUint16(I_FILE_ACL_HIGH, true) !== 0) return true;
  return !ck.hasHugeFile && view.getUint16(I_BLOCKS_HIGH, true) !== 0;
}

const TIMES: readonly (readonly [number, number])[] = [
  [I_ATIME, I_ATIME_EXTRA],
  [I_CTIME, I_CTIME_EXTRA],
  [I_CRTIME, I_CRTIME_EXTRA],
  [I_MTIME, I_MTIME_EXTRA],
];

/** The part of a large inode behind its first 128 bytes. */
function checkExtra(ck: Checker, inode: CoreInode, cost: XattrCost, fix: Fix): boolean {
  if (inode.raw.length <= 128) return false;
  const room = inode.raw.length - 128;
  const value = inode.extraIsize;
  if (value !== 0 && (value < 4 || value > room || (value & 3) !== 0)) {
    fix("inode-extra-size", { value }, () =>
      inode.view.setUint16(
        I_EXTRA_ISIZE,
        value < 4 || value > room ? ck.sb.u16(S_WANT_EXTRA_ISIZE) || Math.min(32, room) : (value + 3) & ~3,
        true,
      ),
    );
    if (!ck.repair) return false;
  }
  if (inode.extraIsize >= room - 4) return false;
  const changed = checkInodeXattrs(ck, inode, cost);
  const { view } = inode;
  const early = (at: number, extra: number): boolean =>
    (view.getUint32(at, true) & 0x8000_0000) !== 0 && (view.getUint32(extra, true) & 3) === 3;
  if (inode.raw.length >= I_CRTIME_EXTRA + 4 && TIMES.some(([at, extra]) => early(at, extra)))
    fix("inode-extra-time", {}, () => {
      for (const [at, extra] of TIMES)
        if (early(at, extra)) view.setUint32(extra, view.getUint32(extra, true) & ~3, true);
    });
  return changed;
}

/** A special file whose first block holds "." and "..". */
function looksLikeDirectory(ck: Checker, inode: CoreInode): boolean {
  const { view } = inode;
  if (inode.isDirectory || inode.isRegular || inode.isSymlink || view.getUint32(I_BLOCK, true) === 0) return false;
  let block = 0;
  let isDevice = true;
  if (ck.hasInline && inode.hasFlag(EXT4_INLINE_DATA_FL)) return inlineLooksLikeDirectory(ck, inode);
  if (ck.hasExtents && inode.hasFlag(EXT4_EXTENTS_FL)) {
    if (!extentHeaderIsValid(view, I_BLOCK, I_BLOCK_SIZE)) return false;
    if (view.getUint16(I_BLOCK + 6, true) !== 0 || view.getUint16(I_BLOCK + 2, true) === 0) return false;
    if (view.getUint32(I_BLOCK + 12, true) !== 0) return false;
    block = view.getUint32(I_BLOCK + 20, true);
    isDevice = false;
  } else {
    for (let i = 0; i < 15; i++) {
      const pointer = view.getUint32(I_BLOCK + i * 4, true);
      if (pointer === 0) continue;
      if (i >= 4) isDevice = false;
      if (!ck.legal(pointer) || ck.used.has(ck.cluster(pointer))) return false;
    }
    block = view.getUint32(I_BLOCK, true);
  }
  const mode = inode.mode & S_IFMT;
  const device = mode === S_IFCHR || mode === S_IFBLK;
  if (device && inode.links === 1 && isDevice) return false;
  if (!ck.legal(block)) return false;
  const bytes = ck.read(block);
  if (bytes === undefined) return false;
  const data = new DataView(bytes.buffer);
  if (data.getUint32(0, true) !== inode.ino || bytes[6] !== 1 || bytes[8] !== 0x2e) return false;
  const next = data.getUint16(4, true);
  if (next < 12 || next % 4 !== 0 || next >= ck.blockSize - 12) return false;
  const parent = data.getUint32(next, true);
  return (
    parent >= 1 &&
    parent <= ck.g.inodesCount &&
    bytes[next + 6] === 2 &&
    bytes[next + 8] === 0x2e &&
    bytes[next + 9] === 0x2e
  );
}

function inlineLooksLikeDirectory(ck: Checker, inode: CoreInode): boolean {
  const size = inlineSize(ck, inode);
  if (size < 0 || (size & 3) !== 0) return false;
  const parent = inode.view.getUint32(I_BLOCK, true);
  const first = inode.view.getUint32(I_BLOCK + 4, true);
  const usable = (ino: number): boolean => ino < ck.g.inodesCount && (ino >= ck.g.firstInode || ino === EXT4_ROOT_INO);
  return usable(parent) && (first === 0 || usable(first)) && inode.view.getUint16(I_BLOCK + 8, true) <= 56;
}

function encryptionIsValid(ck: Checker, inode: CoreInode): boolean {
  return encryptionContext(ck, inode) !== undefined;
}

/** The encryption policy of an inode as text to compare, or undefined. */
export function encryptionContext(ck: Checker, inode: CoreInode): string | undefined {
  const item = inodeXattrs(ck, inode).find((each) => each.index === XATTR_INDEX_ENCRYPTION && each.name === "c");
  if (item === undefined) return undefined;
  const value = item.bytes.subarray(item.valueAt, item.valueAt + item.size);
  const valid = (value[0] === 1 && item.size === 28) || (value[0] === 2 && item.size === 40);
  // The nonce at the end differs from file to file.
  return valid ? String.fromCharCode(...value.subarray(0, item.size - 16)) : undefined;
}

/** Checks what belongs to the type; 0 when the inode does not look like one of its type. */
function classify(ck: Checker, inode: CoreInode, fix: Fix): number {
  const type = fileTypeOf(inode.mode);
  switch (type) {
    case FT_REG_FILE:
      ck.counts.files++;
      return type;
    case FT_DIR:
      ck.counts.directories++;
      return type;
    case FT_SYMLINK:
      ck.counts.links++;
      if (!symlinkIsValid(ck, inode)) return 0;
      checkImmutable(inode, fix);
      return type;
    case 0:
      return 0;
    default:
      ck.counts.others++;
      if (!deviceIsValid(inode)) return 0;
      if (inode.hasFlag(EXT4_EXTENTS_FL | EXT4_INLINE_DATA_FL))
        fix("special-extents", {}, () => {
          inode.flags &= ~(EXT4_EXTENTS_FL | EXT4_INLINE_DATA_FL);
        });
      checkImmutable(inode, fix);
      if (inode.storedSize !== 0)
        fix("special-size", {}, () => {
          inode.size = 0;
        });
      return type;
  }
}

function checkImmutable(inode: CoreInode, fix: Fix): void {
  if (inode.hasFlag(EXT4_IMMUTABLE_FL | EXT4_APPEND_FL))
    fix("special-flags", {}, () => {
      inode.flags &= ~(EXT4_IMMUTABLE_FL | EXT4_APPEND_FL);
    });
}

/** Whether a device, pipe or socket is one: no index, and if immutable then nothing behind the device numbers. */
export function deviceIsValid(inode: CoreInode): boolean {
  if (inode.hasFlag(EXT4_INDEX_FL)) return false;
  if (!inode.hasFlag(EXT4_IMMUTABLE_FL)) return true;
  for (let i = 4; i < 15; i++) if (inode.view.getUint32(I_BLOCK + i * 4, true) !== 0) return false;
  return true;
}

/** Whether a symbolic link's target is where its size says. */
export function symlinkIsValid(ck: Checker, inode: CoreInode): boolean {
  const size = inode.storedSize;
  if (size === 0 || size >= 2 ** 32 || inode.hasFlag(EXT4_INDEX_FL)) return false;
  if (inode.hasFlag(EXT4_INLINE_DATA_FL)) {
    if (inode.hasFlag(EXT4_EXTENTS_FL)) return false;
    return inlineSize(ck, inode) === size;
  }
  let bytes: Uint8Array | undefined = inode.raw.subarray(I_BLOCK, I_BLOCK + I_BLOCK_SIZE);
  if (size < I_BLOCK_SIZE) {
    if (inode.hasFlag(EXT4_EXTENTS_FL)) return false;
  } else {
    let block = 0;
    if (inode.hasFlag(EXT4_EXTENTS_FL)) {
      const { view } = inode;
      if (!extentHeaderIsValid(view, I_BLOCK, I_BLOCK_SIZE) || view.getUint16(I_BLOCK + 6, true) !== 0) return false;
      if (view.getUint16(I_BLOCK + 2, true) !== 1 || view.getUint32(I_BLOCK + 12, true) !== 0) return false;
      if (view.getUint16(I_BLOCK + 16, true) !== 1) return false;
      block = view.getUint32(I_BLOCK + 20, true) + view.getUint16(I_BLOCK + 18, true) * 0x1_0000_0000;
    } else {
      block = inode.view.getUint32(I_BLOCK, true);
      for (let i = 1; i < 15; i++) if (inode.view.getUint32(I_BLOCK + i * 4, true) !== 0) return false;
    }
    bytes = ck.legal(block) ? ck.read(block) : undefined;
    if (bytes === undefined) return false;
  }
  let length = bytes.indexOf(0);
  if ((inode.flags & EXT4_ENCRYPT_FL) !== 0) length = bytes[0] + bytes[1] * 256 + 2;
  return length >= 0 && length < bytes.length && length === size;
}
