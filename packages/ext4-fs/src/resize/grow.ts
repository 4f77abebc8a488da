/**
 * Growing a file system that is not mounted to the size of its device, or to a given size.
 *
 * The last group is filled up, new groups follow, each with its tables at its own front. Their descriptors take the blocks that the
 * resize inode has kept for them; when these run out, the rest of the groups keep their descriptors themselves (meta_bg), as Linux does
 * when it grows a mounted volume.
 *
 * New groups, copies and tables are written first, and flushed; then what makes them part of the file system. So a crash leaves either the
 * old one or, in the moment in between, one that a check puts right.
 */
import type { BlockDevice } from "blockdev-disk";
import { clearBits, setBits } from "../bitmap.ts";
import { check } from "../check/check.ts";
import { Checker, Findings } from "../check/checker.ts";
import { writeCopies } from "../check/copies.ts";
import { checkDescriptors } from "../check/descriptors-check.ts";
import { emptyResizeInode, layResizeInode } from "../check/special-files.ts";
import { locateSuperblock } from "../check/superblock-check.ts";
import { Ext4Error } from "../errors.ts";
import {
  EXT4_FEATURE_COMPAT_RESIZE_INODE,
  EXT4_FEATURE_COMPAT_SPARSE_SUPER2,
  EXT4_FEATURE_INCOMPAT_META_BG,
} from "../features.ts";
import { type Geometry, groupBlocks, groupStart, groupSuperBlocks, readGeometry } from "../geometry.ts";
import { EXT4_BG_BLOCK_UNINIT, EXT4_BG_INODE_UNINIT } from "../group-descriptor.ts";
import { I_BLOCK } from "../inode.ts";
import {
  EXT4_RESIZE_INO,
  S_BLOCKS_COUNT_HI,
  S_BLOCKS_COUNT_LO,
  S_FEATURE_COMPAT,
  S_FIRST_META_BG,
  S_FREE_BLOCKS_COUNT_HI,
  S_FREE_BLOCKS_COUNT_LO,
  S_FREE_INODES_COUNT,
  S_INODES_COUNT,
  S_OVERHEAD_CLUSTERS,
  S_R_BLOCKS_COUNT_HI,
  S_R_BLOCKS_COUNT_LO,
  S_RESERVED_GDT_BLOCKS,
  Superblock,
} from "../superblock.ts";
import type { Time } from "../volume.ts";

/** A last group with fewer blocks of its own than this is not worth its tables. */
const LEAST_IN_GROUP = 50;

export interface ResizeOptions {
  /** Blocks that the file system is to have. Default: as many as the device holds. */
  readonly blocks?: number;
  /** Clock. Default: always 0. */
  readonly now?: () => Time;
}

export interface ResizeReport {
  /** Blocks before and after; equal when there was nothing to do. */
  readonly before: number;
  readonly after: number;
  readonly blockSize: number;
  readonly groups: number;
}

/**
 * Grows the file system on `device`, which must not be mounted.
 * @throws RangeError on a size that is no number of blocks; Ext4Error when the file system is not clean, is to shrink, or the device fails.
 */
export function resize(device: BlockDevice, options: ResizeOptions = {}): ResizeReport {
  const now = options.now;
  const report = check(device, now === undefined ? {} : { now });
  if (report.verdict !== "clean" || report.recovered) {
    const what = report.reason ?? (report.recovered ? "its journal must be replayed" : report.problems[0]?.message);
    throw new Ext4Error("corrupt", `the file system must be clean before it is resized (check it): ${what}`);
  }
  const located = locateSuperblock(device, new Findings(0), false);
  if (typeof located === "string") throw new Ext4Error("corrupt", located);
  const { sb, g } = located;
  const most = Math.floor(device.size / g.blockSize);
  const wanted = options.blocks ?? most;
  if (!Number.isInteger(wanted) || wanted <= 0) throw new RangeError(`"blocks" expected integer > 0, got ${wanted}`);
  if (wanted > most) throw new Ext4Error("invalid", `${wanted} blocks on a device of ${most}`);
  if (wanted < g.blocksCount)
    throw new Ext4Error("invalid", `shrinking is not possible: the file system has ${g.blocksCount} blocks`);
  const before = g.blocksCount;
  const target = planSize(sb, g, wanted, device.size);
  if (target === before) return { before, after: before, blockSize: g.blockSize, groups: g.groupCount };
  const old = open(device, sb, g, now);
  const grown = new Grower(old, target).run();
  return { before, after: grown.blocksCount, blockSize: grown.blockSize, groups: grown.groupCount };
}

function open(device: BlockDevice, sb: Superblock, g: Geometry, now?: () => Time): Checker {
  const ck = new Checker(device, sb, g, new Findings(0), { repair: true, now: Math.max(0, now?.().sec ?? 0) });
  checkDescriptors(ck);
  return ck;
}

/** The superblock of a volume of `blocks` blocks, and its geometry. */
function planned(sb: Superblock, g: Geometry, blocks: number, deviceSize: number): { sb: Superblock; g: Geometry } {
  const next = new Superblock(sb.bytes.slice());
  next.setSplit(S_BLOCKS_COUNT_LO, S_BLOCKS_COUNT_HI, blocks);
  const groups = Math.ceil((blocks - g.firstDataBlock) / g.blocksPerGroup);
  const inodes = groups * g.inodesPerGroup;
  if (inodes > 0xffff_ffff) throw new Ext4Error("invalid", `${blocks} blocks would need ${inodes} inodes`);
  if (blocks > 0xffff_ffff && !sb.has64bit) throw new Ext4Error("invalid", `${blocks} blocks need the feature 64bit`);
  next.setU32(S_INODES_COUNT, inodes);
  const gdtBlocks = Math.ceil(groups / g.descPerBlock);
  const grow = gdtBlocks - g.gdtBlocks;
  if (grow > 0 && !sb.hasIncompat(EXT4_FEATURE_INCOMPAT_META_BG)) {
    const kept = sb.hasCompat(EXT4_FEATURE_COMPAT_RESIZE_INODE) ? g.reservedGdtBlocks : 0;
    if (grow <= kept) {
      next.setU16(S_RESERVED_GDT_BLOCKS, kept - grow);
    } else {
      next.setU16(S_RESERVED_GDT_BLOCKS, 0);
      next.setIncompat(EXT4_FEATURE_INCOMPAT_META_BG, true);
      next.setU32(S_FIRST_META_BG, g.gdtBlocks + kept);
      next.setU32(S_FEATURE_COMPAT, next.u32(S_FEATURE_COMPAT) & ~EXT4_FEATURE_COMPAT_RESIZE_INODE);
    }
  }
  const geometry = readGeometry(next, deviceSize);
  if (geometry instanceof Ext4Error) throw geometry;
  return { sb: next, g: geometry };
}

/** `wanted`, less a last group that would hold next to nothing. */
function planSize(sb: Superblock, g: Geometry, wanted: number, deviceSize: number): number {
  const rounded = wanted - (g.clusterSize > g.blockSize ? wanted % (g.clusterSize / g.blockSize) : 0);
  if (rounded <= g.blocksCount) return g.blocksCount;
  const next = planned(sb, g, rounded, deviceSize);
  const last = next.g.groupCount - 1;
  if (last < g.groupCount) return rounded;
  const least = groupSuperBlocks(next.sb, next.g, last) + 2 + g.itableBlocks + LEAST_IN_GROUP;
  return groupBlocks(next.g, last) >= least ? rounded : groupStart(next.g, last);
}

class Grower {
  readonly #old: Checker;
  readonly #ck: Checker;
  #freeClusters = 0;

  constructor(old: Checker, blocks: number) {
    this.#old = old;
    const { sb, g } = planned(old.sb, old.g, blocks, old.device.size);
    const reserved = Math.floor((old.sb.reservedBlocksCount / old.g.blocksCount) * blocks);
    sb.setSplit(S_R_BLOCKS_COUNT_LO, S_R_BLOCKS_COUNT_HI, reserved);
    sb.setU32(S_OVERHEAD_CLUSTERS, 0); // Linux computes it at the next mount
    this.#ck = new Checker(old.device, sb, g, new Findings(0), { repair: true, now: old.now });
    this.#ck.descriptorBytes.set(old.descriptorBytes.subarray(0, old.g.groupCount * old.g.descSize));
  }

  run(): Geometry {
    const ck = this.#ck;
    const { g, sb } = ck;
    const first = this.#old.g.groupCount;
    for (let group = first; group < g.groupCount; group++) this.#makeGroup(group);
    this.#flush();
    this.#growLastGroup();
    this.#renewResizeInode();
    const inodes = (g.groupCount - first) * g.inodesPerGroup;
    sb.setSplit(S_FREE_BLOCKS_COUNT_LO, S_FREE_BLOCKS_COUNT_HI, sb.freeBlocksCount + this.#freeClusters * ck.ratio);
    sb.setU32(S_FREE_INODES_COUNT, sb.u32(S_FREE_INODES_COUNT) + inodes);
    ck.descriptorsDirty = true;
    ck.superblockDirty = true;
    ck.writeSummary();
    writeCopies(ck);
    this.#flush();
    return g;
  }

  #flush(): void {
    if (this.#ck.stuck || this.#ck.device.flush() < 0) throw new Ext4Error("io", "the device failed while growing");
  }

  /** Superblock copy and descriptors at the front come last of all; here only their room is taken. */
  #makeGroup(group: number): void {
    const ck = this.#ck;
    const { g } = ck;
    const gd = ck.descriptors[group];
    const start = groupStart(g, group);
    const front = groupSuperBlocks(ck.sb, g, group);
    const count = Math.ceil(groupBlocks(g, group) / ck.ratio);
    const used = Math.ceil((front + 2 + g.itableBlocks) / ck.ratio);
    if (used > count) throw new Ext4Error("invalid", `group ${group} has no room for its tables`);
    const lazy = ck.hasGroupChecksums;
    gd.blockBitmap = start + front;
    gd.inodeBitmap = start + front + 1;
    gd.inodeTable = start + front + 2;
    gd.freeBlocks = count - used;
    gd.freeInodes = g.inodesPerGroup;
    gd.usedDirs = 0;
    gd.itableUnused = lazy ? g.inodesPerGroup : 0;
    // The tables are not zeroed where Linux does it later, at its leisure.
    gd.flags = lazy ? EXT4_BG_INODE_UNINIT : 0;
    const bits = new Uint8Array(ck.blockSize);
    setBits(bits, 0, used);
    setBits(bits, count, ck.blockSize * 8 - count);
    ck.write(gd.blockBitmap, bits);
    if (ck.hasChecksums) gd.blockBitmapCsum = ck.bitmapChecksum(bits, g.clustersPerGroup >> 3);
    if (!lazy) {
      bits.fill(0);
      setBits(bits, g.inodesPerGroup, ck.blockSize * 8 - g.inodesPerGroup);
      ck.write(gd.inodeBitmap, bits);
      const zeros = new Uint8Array(ck.blockSize);
      for (let i = 0; i < g.itableBlocks; i++) ck.write(gd.inodeTable + i, zeros);
    }
    this.#freeClusters += gd.freeBlocks;
  }

  /** What was padding of the last group's bitmap becomes free blocks. */
  #growLastGroup(): void {
    const ck = this.#ck;
    const group = this.#old.g.groupCount - 1;
    const gd = ck.descriptors[group];
    const before = Math.ceil(groupBlocks(this.#old.g, group) / ck.ratio);
    const after = Math.ceil(groupBlocks(ck.g, group) / ck.ratio);
    if (after === before) return;
    gd.freeBlocks += after - before;
    this.#freeClusters += after - before;
    if (ck.hasGroupChecksums && (gd.flags & EXT4_BG_BLOCK_UNINIT) !== 0) return;
    const bits = ck.read(gd.blockBitmap)?.slice();
    if (bits === undefined) throw new Ext4Error("io", "a block bitmap cannot be read", { block: gd.blockBitmap });
    clearBits(bits, before, after - before);
    ck.write(gd.blockBitmap, bits);
    if (ck.hasChecksums) gd.blockBitmapCsum = ck.bitmapChecksum(bits, ck.g.clustersPerGroup >> 3);
  }

  /** The resize inode keeps what is left of the reserved blocks, and their copies in new groups; or it goes. */
  #renewResizeInode(): void {
    const ck = this.#ck;
    if (!this.#old.sb.hasCompat(EXT4_FEATURE_COMPAT_RESIZE_INODE)) return;
    if (ck.sb.hasCompat(EXT4_FEATURE_COMPAT_SPARSE_SUPER2) && ck.g.reservedGdtBlocks === 0) return;
    const inode = ck.readInode(EXT4_RESIZE_INO);
    if (inode === undefined) throw new Ext4Error("io", "the resize inode cannot be read");
    const double = inode.view.getUint32(I_BLOCK + 13 * 4, true);
    if (ck.sb.hasCompat(EXT4_FEATURE_COMPAT_RESIZE_INODE)) {
      layResizeInode(ck, inode, double);
      return;
    }
    emptyResizeInode(ck, inode);
    const cluster = ck.cluster(double);
    const group = Math.floor((cluster * ck.ratio - ck.g.firstDataBlock) / ck.g.blocksPerGroup);
    const gd = ck.descriptors[group];
    const bits = ck.read(gd.blockBitmap)?.slice();
    if (bits === undefined || (gd.flags & EXT4_BG_BLOCK_UNINIT) !== 0) return;
    clearBits(bits, cluster - ck.cluster(groupStart(ck.g, group)), 1);
    ck.write(gd.blockBitmap, bits);
    if (ck.hasChecksums) gd.blockBitmapCsum = ck.bitmapChecksum(bits, ck.g.clustersPerGroup >> 3);
    gd.freeBlocks++;
    this.#freeClusters++;
  }
}
