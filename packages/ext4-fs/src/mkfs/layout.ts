/**
 * Where things go on a new volume: superblock fields, and for each group its bitmaps and inode table.
 *
 * With flex_bg the bitmaps and tables of a flex group lie together at its front: all block bitmaps, all inode bitmaps, all
 * tables. Other groups hold nothing but superblock copies, so their bitmaps need not be written (BLOCK_UNINIT).
 */
import { countZeros, setBits } from "../bitmap.ts";
import {
  EXT4_FEATURE_COMPAT_RESIZE_INODE,
  EXT4_FEATURE_COMPAT_SPARSE_SUPER2,
  EXT4_FEATURE_INCOMPAT_CSUM_SEED,
  EXT4_FEATURE_INCOMPAT_FLEX_BG,
} from "../features.ts";
import { type Geometry, groupBlocks, groupStart, groupSuperBlocks, readGeometry } from "../geometry.ts";
import { Ext4Error } from "../errors.ts";
import {
  EXT2_FLAGS_SIGNED_HASH,
  EXT4_DEFM_ACL,
  EXT4_DEFM_XATTR_USER,
  EXT4_GOOD_OLD_FIRST_INO,
  EXT4_SUPER_MAGIC,
  EXT4_VALID_FS,
  S_BACKUP_BGS,
  S_BLOCKS_COUNT_HI,
  S_BLOCKS_COUNT_LO,
  S_BLOCKS_PER_GROUP,
  S_CHECKSUM_SEED,
  S_CHECKSUM_TYPE,
  S_CLUSTERS_PER_GROUP,
  S_DEF_HASH_VERSION,
  S_DEFAULT_MOUNT_OPTS,
  S_DESC_SIZE,
  S_ERRORS,
  S_FEATURE_COMPAT,
  S_FEATURE_INCOMPAT,
  S_FEATURE_RO_COMPAT,
  S_FIRST_DATA_BLOCK,
  S_FIRST_INO,
  S_FLAGS,
  S_ENCODING,
  S_ENCODING_FLAGS,
  S_HASH_SEED,
  S_INODE_SIZE,
  S_INODES_COUNT,
  S_INODES_PER_GROUP,
  S_LAST_MOUNTED,
  S_LASTCHECK,
  S_LOG_BLOCK_SIZE,
  S_LOG_CLUSTER_SIZE,
  S_LOG_GROUPS_PER_FLEX,
  S_MAGIC,
  S_MAX_MNT_COUNT,
  S_MIN_EXTRA_ISIZE,
  S_MKFS_TIME,
  S_R_BLOCKS_COUNT_HI,
  S_R_BLOCKS_COUNT_LO,
  S_RAID_STRIDE,
  S_RAID_STRIPE_WIDTH,
  S_RESERVED_GDT_BLOCKS,
  S_REV_LEVEL,
  S_STATE,
  S_UUID,
  S_VOLUME_NAME,
  S_WANT_EXTRA_ISIZE,
  S_WTIME,
  Superblock,
  SUPERBLOCK_SIZE,
} from "../superblock.ts";
import { seedOfUuid } from "./seed.ts";
import type { MkfsPlan } from "./options.ts";

/** One group of the new volume. */
export interface GroupLayout {
  blockBitmap: number;
  inodeBitmap: number;
  inodeTable: number;
  /** Bits in use, or undefined for a group with nothing but superblock copies. */
  bits: Uint8Array | undefined;
  usedClusters: number;
}

export interface Layout {
  readonly superblock: Superblock;
  readonly geometry: Geometry;
  readonly groups: readonly GroupLayout[];
}

/** A last group with less than this many blocks besides its own overhead is left off, as mke2fs does. */
const LEAST_LAST_GROUP = 50;

/** @throws RangeError when the volume is too small for its own metadata. */
export function layOut(plan: MkfsPlan, deviceSize: number): Layout {
  let blocksCount = plan.blocksCount;
  for (;;) {
    const superblock = fillSuperblock(plan, blocksCount);
    const geometry = readGeometry(superblock, deviceSize);
    if (geometry instanceof Ext4Error) throw new RangeError(`these options make no file system: ${geometry.message}`);
    const last = geometry.groupCount - 1;
    const overhead = groupSuperBlocks(superblock, geometry, last) + 2 + geometry.itableBlocks;
    if (last > 0 && groupBlocks(geometry, last) < overhead + LEAST_LAST_GROUP) {
      blocksCount = groupStart(geometry, last);
      continue;
    }
    return { superblock, geometry, groups: placeGroups(superblock, geometry) };
  }
}

function fillSuperblock(plan: MkfsPlan, blocksCount: number): Superblock {
  const sb = new Superblock(new Uint8Array(SUPERBLOCK_SIZE));
  const { blockSize, inodeSize } = plan;
  const logBlockSize = Math.log2(blockSize) - 10;
  const ratio = plan.clusterSize / blockSize;
  const firstDataBlock = blockSize === 1024 && ratio === 1 ? 1 : 0;
  const { blocksPerGroup } = plan;
  const groupCount = Math.ceil((blocksCount - firstDataBlock) / blocksPerGroup);
  const inodesPerBlock = blockSize / inodeSize;
  const wantedPerGroup = Math.max(16, Math.ceil(plan.inodeCount / groupCount));
  const itableBlocks = Math.ceil(Math.min(wantedPerGroup, blockSize * 8) / inodesPerBlock);
  const inodesPerGroup = Math.max(8, Math.min(itableBlocks * inodesPerBlock, blockSize * 8) & ~7);

  sb.setU32(S_FEATURE_COMPAT, plan.compat);
  sb.setU32(S_FEATURE_INCOMPAT, plan.incompat);
  sb.setU32(S_FEATURE_RO_COMPAT, plan.roCompat);
  sb.setU32(S_INODES_COUNT, inodesPerGroup * groupCount);
  sb.setSplit(S_BLOCKS_COUNT_LO, S_BLOCKS_COUNT_HI, blocksCount);
  sb.setSplit(S_R_BLOCKS_COUNT_LO, S_R_BLOCKS_COUNT_HI, Math.floor((blocksCount * plan.reservedPercent) / 100));
  sb.setU32(S_FIRST_DATA_BLOCK, firstDataBlock);
  sb.setU32(S_LOG_BLOCK_SIZE, logBlockSize);
  sb.setU32(S_LOG_CLUSTER_SIZE, logBlockSize + Math.log2(ratio));
  sb.setU32(S_BLOCKS_PER_GROUP, blocksPerGroup);
  sb.setU32(S_CLUSTERS_PER_GROUP, blocksPerGroup / ratio);
  sb.setU32(S_INODES_PER_GROUP, inodesPerGroup);
  sb.setU32(S_WTIME, plan.now.sec >>> 0);
  sb.setU32(S_LASTCHECK, plan.now.sec >>> 0);
  sb.setU32(S_MKFS_TIME, plan.now.sec >>> 0);
  sb.setU16(S_MAX_MNT_COUNT, 0xffff);
  sb.setU16(S_MAGIC, EXT4_SUPER_MAGIC);
  sb.setU16(S_STATE, EXT4_VALID_FS);
  sb.setU16(S_ERRORS, plan.errors);
  sb.setU32(S_REV_LEVEL, 1);
  sb.setU32(S_FIRST_INO, EXT4_GOOD_OLD_FIRST_INO);
  sb.setU16(S_INODE_SIZE, inodeSize);
  sb.bytes.set(plan.uuid, S_UUID);
  sb.bytes.set(plan.label, S_VOLUME_NAME);
  sb.bytes.set(plan.lastMounted, S_LAST_MOUNTED);
  sb.bytes.set(plan.hashSeed, S_HASH_SEED);
  sb.setU16(S_ENCODING, plan.encoding);
  sb.setU16(S_ENCODING_FLAGS, plan.encodingFlags);
  sb.setU16(S_RAID_STRIDE, plan.stride);
  sb.setU32(S_RAID_STRIPE_WIDTH, plan.stripeWidth);
  if (sb.hasCompat(EXT4_FEATURE_COMPAT_SPARSE_SUPER2)) {
    if (plan.backupSuperblocks > 0 && groupCount > 1) sb.setU32(S_BACKUP_BGS, 1);
    if (plan.backupSuperblocks > 1 && groupCount > 2) sb.setU32(S_BACKUP_BGS + 4, groupCount - 1);
  }
  sb.bytes[S_DEF_HASH_VERSION] = 1; // half MD4
  sb.setU32(S_FLAGS, EXT2_FLAGS_SIGNED_HASH);
  sb.setU16(S_DESC_SIZE, sb.has64bit ? 64 : 0);
  sb.setU32(S_DEFAULT_MOUNT_OPTS, EXT4_DEFM_XATTR_USER | EXT4_DEFM_ACL);
  if (inodeSize > 128) {
    sb.setU16(S_MIN_EXTRA_ISIZE, 32);
    sb.setU16(S_WANT_EXTRA_ISIZE, 32);
  }
  if (sb.hasIncompat(EXT4_FEATURE_INCOMPAT_FLEX_BG)) sb.bytes[S_LOG_GROUPS_PER_FLEX] = plan.logGroupsPerFlex;
  if (sb.hasMetadataCsum) sb.bytes[S_CHECKSUM_TYPE] = 1;
  if (sb.hasIncompat(EXT4_FEATURE_INCOMPAT_CSUM_SEED)) sb.setU32(S_CHECKSUM_SEED, seedOfUuid(plan.uuid));
  if (sb.hasCompat(EXT4_FEATURE_COMPAT_RESIZE_INODE))
    sb.setU16(S_RESERVED_GDT_BLOCKS, reservedDescriptorBlocks(sb, blocksCount, groupCount));
  return sb;
}

/** Room for descriptors of a volume 1024 times as large, or what an indirect block can address. */
function reservedDescriptorBlocks(sb: Superblock, blocksCount: number, groupCount: number): number {
  const blockSize = sb.blockSize;
  const perBlock = blockSize / (sb.has64bit ? 64 : 32);
  const most = Math.min(blocksCount * 1024, 0xffffffff);
  const groups = Math.ceil((most - sb.u32(S_FIRST_DATA_BLOCK)) / sb.u32(S_BLOCKS_PER_GROUP));
  return Math.min(Math.ceil(groups / perBlock) - Math.ceil(groupCount / perBlock), blockSize / 4);
}

function placeGroups(sb: Superblock, g: Geometry): GroupLayout[] {
  const groups: GroupLayout[] = Array.from({ length: g.groupCount }, (_, group) => ({
    blockBitmap: 0,
    inodeBitmap: 0,
    inodeTable: 0,
    bits: undefined,
    usedClusters: Math.ceil(frontBlocks(sb, g, group) / (g.clusterSize / g.blockSize)),
  }));
  const flexSize = sb.hasIncompat(EXT4_FEATURE_INCOMPAT_FLEX_BG) ? g.groupsPerFlex : 1;
  for (let first = 0; first < g.groupCount; first += flexSize) {
    const end = Math.min(first + flexSize, g.groupCount);
    const placer = new Placer(sb, g, groups, first);
    for (let i = first; i < end; i++) groups[i].blockBitmap = placer.take(1);
    for (let i = first; i < end; i++) groups[i].inodeBitmap = placer.take(1);
    for (let i = first; i < end; i++) groups[i].inodeTable = placer.take(g.itableBlocks);
  }
  return groups;
}

/** Blocks in front of a group that are taken: superblock and descriptors, and with clusters of 1 KiB blocks the boot block. */
function frontBlocks(sb: Superblock, g: Geometry, group: number): number {
  const boot = group === 0 && g.blockSize === 1024 && g.firstDataBlock === 0 ? 1 : 0;
  return groupSuperBlocks(sb, g, group) + boot;
}

/** Hands out blocks from the front of a group on, over the following ones if need be, around superblock copies. */
class Placer {
  readonly #sb: Superblock;
  readonly #g: Geometry;
  readonly #groups: GroupLayout[];
  #group: number;
  #bit: number;

  constructor(sb: Superblock, g: Geometry, groups: GroupLayout[], group: number) {
    this.#sb = sb;
    this.#g = g;
    this.#groups = groups;
    this.#group = group;
    this.#bit = frontBlocks(sb, g, group);
  }

  /** The first of `count` consecutive blocks in one group. @throws RangeError when the volume is full. */
  take(count: number): number {
    while (this.#bit + count > groupBlocks(this.#g, this.#group)) {
      this.#group++;
      if (this.#group >= this.#g.groupCount) throw new RangeError("the volume is too small for its inode tables");
      this.#bit = frontBlocks(this.#sb, this.#g, this.#group);
    }
    const layout = this.#groups[this.#group];
    layout.bits ??= initialBits(this.#sb, this.#g, this.#group);
    const ratio = this.#g.clusterSize / this.#g.blockSize;
    const first = Math.floor(this.#bit / ratio);
    setBits(layout.bits, first, Math.ceil((this.#bit + count) / ratio) - first);
    layout.usedClusters = this.#g.blockSize * 8 - countZeros(layout.bits, this.#g.blockSize * 8) - this.#behind();
    const block = groupStart(this.#g, this.#group) + this.#bit;
    this.#bit += count;
    return block;
  }

  /** Bits of the group's bitmap that stand for nothing. */
  #behind(): number {
    return this.#g.blockSize * 8 - groupClusters(this.#g, this.#group);
  }
}

/** Bits of a group's bitmap that stand for clusters. */
export function groupClusters(g: Geometry, group: number): number {
  return Math.ceil(groupBlocks(g, group) / (g.clusterSize / g.blockSize));
}

/** A group's bitmap with nothing but superblock copies and the bits behind its end. */
export function initialBits(sb: Superblock, g: Geometry, group: number): Uint8Array {
  const bits = new Uint8Array(g.blockSize);
  setBits(bits, 0, Math.ceil(frontBlocks(sb, g, group) / (g.clusterSize / g.blockSize)));
  const count = groupClusters(g, group);
  setBits(bits, count, g.blockSize * 8 - count);
  return bits;
}
