/**
 * Numbers of a volume that never change while it is mounted, derived from the superblock and checked against the kernel's
 * refuse rules (ext4_fill_super): what passes here cannot make later arithmetic divide by zero, loop or leave the device.
 */
import { Ext4Error } from "./errors.ts";
import {
  EXT4_FEATURE_COMPAT_SPARSE_SUPER2,
  EXT4_FEATURE_INCOMPAT_META_BG,
  EXT4_FEATURE_RO_COMPAT_BIGALLOC,
  EXT4_FEATURE_RO_COMPAT_SPARSE_SUPER,
} from "./features.ts";
import {
  EXT4_GOOD_OLD_FIRST_INO,
  EXT4_SUPER_MAGIC,
  S_BACKUP_BGS,
  S_BLOCKS_PER_GROUP,
  S_CLUSTERS_PER_GROUP,
  S_DESC_SIZE,
  S_FIRST_DATA_BLOCK,
  S_FIRST_INO,
  S_FIRST_META_BG,
  S_INODE_SIZE,
  S_INODES_COUNT,
  S_INODES_PER_GROUP,
  S_LOG_BLOCK_SIZE,
  S_LOG_CLUSTER_SIZE,
  S_LOG_GROUPS_PER_FLEX,
  S_MAGIC,
  S_MIN_EXTRA_ISIZE,
  S_RESERVED_GDT_BLOCKS,
  S_REV_LEVEL,
  S_WANT_EXTRA_ISIZE,
  type Superblock,
} from "./superblock.ts";

export interface Geometry {
  readonly blockSize: number;
  /** Bytes per allocation unit; the block size without bigalloc. */
  readonly clusterSize: number;
  readonly blocksCount: number;
  readonly inodesCount: number;
  readonly firstDataBlock: number;
  readonly blocksPerGroup: number;
  /** Bits of a block bitmap; equal to blocksPerGroup without bigalloc. */
  readonly clustersPerGroup: number;
  readonly inodesPerGroup: number;
  readonly inodeSize: number;
  readonly inodesPerBlock: number;
  /** Blocks of one group's inode table. */
  readonly itableBlocks: number;
  readonly firstInode: number;
  readonly groupCount: number;
  readonly descSize: number;
  readonly descPerBlock: number;
  /** Blocks of group descriptors. */
  readonly gdtBlocks: number;
  readonly reservedGdtBlocks: number;
  readonly firstMetaGroup: number;
  readonly groupsPerFlex: number;
}

/** The geometry, or why the kernel would refuse this superblock. */
export function readGeometry(sb: Superblock, deviceSize: number): Geometry | Ext4Error {
  const invalid = (message: string): Ext4Error => new Ext4Error("invalid", message);
  const corrupt = (message: string): Ext4Error => new Ext4Error("corrupt", `superblock: ${message}`, { block: 0 });
  if (sb.u16(S_MAGIC) !== EXT4_SUPER_MAGIC) return invalid("not an ext4 file system (bad magic number)");
  const logBlockSize = sb.u32(S_LOG_BLOCK_SIZE);
  if (logBlockSize > 6) return corrupt(`block size 2^${10 + logBlockSize}`);
  if (sb.u32(S_REV_LEVEL) > 1) return invalid(`revision level ${sb.u32(S_REV_LEVEL)} is unknown`);
  const dynamic = sb.u32(S_REV_LEVEL) === 1;
  const blockSize = sb.blockSize;
  const inodeSize = dynamic ? sb.u16(S_INODE_SIZE) : 128;
  const firstInode = dynamic ? sb.u32(S_FIRST_INO) : EXT4_GOOD_OLD_FIRST_INO;
  if (firstInode < EXT4_GOOD_OLD_FIRST_INO) return corrupt(`first inode ${firstInode}`);
  if (inodeSize < 128 || inodeSize > blockSize || (inodeSize & (inodeSize - 1)) !== 0)
    return corrupt(`inode size ${inodeSize}`);

  const extra = inodeSize - 128;
  if (inodeSize > 128 && (sb.u16(S_WANT_EXTRA_ISIZE) > extra || sb.u16(S_MIN_EXTRA_ISIZE) > extra)) {
    return corrupt("wanted extra inode size");
  }
  const descSize = sb.has64bit ? sb.u16(S_DESC_SIZE) : 32;
  if (
    descSize < 32 ||
    descSize > 1024 ||
    descSize > blockSize ||
    (descSize & (descSize - 1)) !== 0 ||
    (sb.has64bit && descSize < 64)
  ) {
    return corrupt(`descriptor size ${descSize}`);
  }
  const logClusterSize = sb.u32(S_LOG_CLUSTER_SIZE);
  const bigalloc = sb.hasRoCompat(EXT4_FEATURE_RO_COMPAT_BIGALLOC);
  if (bigalloc ? logClusterSize < logBlockSize || logClusterSize > 20 : logClusterSize !== logBlockSize) {
    return corrupt("cluster size and block size do not fit");
  }
  const blocksPerGroup = sb.u32(S_BLOCKS_PER_GROUP);
  const clustersPerGroup = sb.u32(S_CLUSTERS_PER_GROUP);
  const inodesPerGroup = sb.u32(S_INODES_PER_GROUP);
  const bits = blockSize * 8;
  if (
    blocksPerGroup < 8 ||
    clustersPerGroup > bits ||
    blocksPerGroup !== clustersPerGroup * 2 ** (logClusterSize - logBlockSize)
  ) {
    return corrupt(`${blocksPerGroup} blocks per group`);
  }
  const inodesPerBlock = blockSize / inodeSize;
  if (inodesPerGroup < inodesPerBlock || inodesPerGroup > bits) return corrupt(`${inodesPerGroup} inodes per group`);

  const blocksCount = sb.blocksCount;
  const firstDataBlock = sb.u32(S_FIRST_DATA_BLOCK);
  if (firstDataBlock !== (blockSize === 1024 && !bigalloc ? 1 : 0)) {
    return corrupt(`first data block ${firstDataBlock}`);
  }
  if (firstDataBlock >= blocksCount || blocksCount > 2 ** 48) return corrupt(`${blocksCount} blocks`);
  if (blocksCount * blockSize > deviceSize) {
    return corrupt(`${blocksCount} blocks of ${blockSize} bytes, more than the device's ${deviceSize} bytes`);
  }
  const groupCount = Math.ceil((blocksCount - firstDataBlock) / blocksPerGroup);
  const inodesCount = sb.u32(S_INODES_COUNT);
  if (groupCount * inodesPerGroup !== inodesCount)
    return corrupt(`${inodesCount} inodes, ${groupCount} groups of ${inodesPerGroup}`);
  const reservedGdtBlocks = sb.u16(S_RESERVED_GDT_BLOCKS);
  if (reservedGdtBlocks > blockSize / 4) return corrupt(`${reservedGdtBlocks} reserved descriptor blocks`);
  const descPerBlock = blockSize / descSize;
  const gdtBlocks = Math.ceil(groupCount / descPerBlock);
  const metaBg = sb.hasIncompat(EXT4_FEATURE_INCOMPAT_META_BG);
  const firstMetaGroup = metaBg ? sb.u32(S_FIRST_META_BG) : gdtBlocks;
  if (firstMetaGroup > gdtBlocks) return corrupt(`first meta block group ${firstMetaGroup}`);
  const logFlex = sb.u8(S_LOG_GROUPS_PER_FLEX);
  return {
    blockSize,
    clusterSize: 1024 * 2 ** logClusterSize,
    blocksCount,
    inodesCount,
    firstDataBlock,
    blocksPerGroup,
    clustersPerGroup,
    inodesPerGroup,
    inodeSize,
    inodesPerBlock,
    itableBlocks: Math.ceil(inodesPerGroup / inodesPerBlock),
    firstInode,
    groupCount,
    descSize,
    descPerBlock,
    gdtBlocks,
    reservedGdtBlocks,
    firstMetaGroup,
    groupsPerFlex: logFlex > 0 && logFlex < 31 ? 1 << logFlex : 1,
  };
}

/** First block of a group. */
export function groupStart(g: Geometry, group: number): number {
  return g.firstDataBlock + group * g.blocksPerGroup;
}

/** Blocks in a group; the last one may be shorter. */
export function groupBlocks(g: Geometry, group: number): number {
  return Math.min(g.blocksPerGroup, g.blocksCount - groupStart(g, group));
}

/** Whether a group carries a superblock copy (sparse_super: 0, 1 and powers of 3, 5, 7; sparse_super2: two chosen ones). */
export function groupHasSuper(sb: Superblock, group: number): boolean {
  if (group === 0) return true;
  if (sb.hasCompat(EXT4_FEATURE_COMPAT_SPARSE_SUPER2)) {
    return group === sb.u32(S_BACKUP_BGS) || group === sb.u32(S_BACKUP_BGS + 4);
  }
  if (group === 1 || !sb.hasRoCompat(EXT4_FEATURE_RO_COMPAT_SPARSE_SUPER)) return true;
  if ((group & 1) === 0) return false;
  return isPower(group, 3) || isPower(group, 5) || isPower(group, 7);
}

function isPower(n: number, base: number): boolean {
  let power = base;
  while (power < n) power *= base;
  return power === n;
}

/** Blocks at the start of a group that hold superblock, descriptors and reserved descriptor space. */
export function groupSuperBlocks(sb: Superblock, g: Geometry, group: number): number {
  const hasSuper = groupHasSuper(sb, group);
  const metaGroup = Math.floor(group / g.descPerBlock);
  if (sb.hasIncompat(EXT4_FEATURE_INCOMPAT_META_BG) && metaGroup >= g.firstMetaGroup) {
    const within = group % g.descPerBlock;
    const hasDescriptors = within === 0 || within === 1 || within === g.descPerBlock - 1;
    return (hasSuper ? 1 : 0) + (hasDescriptors ? 1 : 0);
  }
  if (!hasSuper) return 0;
  return 1 + Math.min(g.gdtBlocks, g.firstMetaGroup) + g.reservedGdtBlocks;
}

/** Where descriptor block `index` lives. */
export function descriptorBlock(sb: Superblock, g: Geometry, index: number): number {
  if (sb.hasIncompat(EXT4_FEATURE_INCOMPAT_META_BG) && index >= g.firstMetaGroup) {
    const group = index * g.descPerBlock;
    return groupStart(g, group) + (groupHasSuper(sb, group) ? 1 : 0);
  }
  return (g.blockSize === 1024 ? 1 : 0) + 1 + index; // behind the superblock's block, also where bigalloc begins at block 0
}
