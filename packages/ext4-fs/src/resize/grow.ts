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
import { EXT4_FEATURE_COMPAT_RESIZE_INODE, EXT4_FEATURE_COMPAT_SPARSE_SUPER2 } from "../features.ts";
import { type Geometry, groupBlocks, groupStart } from "../geometry.ts";
import { EXT4_BG_BLOCK_UNINIT } from "../group-descriptor.ts";
import { I_BLOCK } from "../inode.ts";
import {
  EXT4_RESIZE_INO,
  S_FREE_BLOCKS_COUNT_HI,
  S_FREE_BLOCKS_COUNT_LO,
  S_FREE_INODES_COUNT,
  S_OVERHEAD_CLUSTERS,
  S_R_BLOCKS_COUNT_HI,
  S_R_BLOCKS_COUNT_LO,
  type Superblock,
} from "../superblock.ts";
import type { Time } from "../volume.ts";
import { layGroup, planned, planSize, type ResizeReport } from "./plan.ts";

export interface ResizeOptions {
  /** Blocks that the file system is to have. Default: as many as the device holds. */
  readonly blocks?: number;
  /** Clock. Default: always 0. */
  readonly now?: () => Time;
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
    const lazy = ck.hasGroupChecksums;
    const bits = layGroup(ck.sb, g, group, gd, lazy);
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
