/**
 * Pass 0, first half: a superblock that can be worked with, from its place or from a copy, and the geometry it describes.
 *
 * Stricter than mounting where a wrong field can be put right, and as strict where nothing could be computed from it.
 */
import type { BlockDevice } from "blockdev-disk";
import { Ext4Error } from "../errors.ts";
import {
  EXT4_FEATURE_COMPAT_RESIZE_INODE,
  EXT4_FEATURE_INCOMPAT_CASEFOLD,
  EXT4_FEATURE_INCOMPAT_META_BG,
  EXT4_FEATURE_RO_COMPAT_BIGALLOC,
  EXT4_FEATURE_RO_COMPAT_GDT_CSUM,
  EXT4_FEATURE_RO_COMPAT_METADATA_CSUM,
  featureNames,
  FEATURES,
} from "../features.ts";
import { type Geometry, readGeometry } from "../geometry.ts";
import {
  EXT4_ENC_UTF8_12_1,
  EXT4_GOOD_OLD_FIRST_INO,
  EXT4_SUPER_MAGIC,
  S_BLOCK_GROUP_NR,
  S_BLOCKS_PER_GROUP,
  S_CLUSTERS_PER_GROUP,
  S_DESC_SIZE,
  S_ENCODING,
  S_FEATURE_COMPAT,
  S_FEATURE_INCOMPAT,
  S_FEATURE_RO_COMPAT,
  S_FIRST_DATA_BLOCK,
  S_FIRST_INO,
  S_FIRST_META_BG,
  S_INODE_SIZE,
  S_INODES_COUNT,
  S_INODES_PER_GROUP,
  S_LOG_BLOCK_SIZE,
  S_LOG_CLUSTER_SIZE,
  S_MAGIC,
  S_MIN_EXTRA_ISIZE,
  S_RESERVED_GDT_BLOCKS,
  S_REV_LEVEL,
  S_WANT_EXTRA_ISIZE,
  Superblock,
  SUPERBLOCK_OFFSET,
  SUPERBLOCK_SIZE,
} from "../superblock.ts";
import type { Findings } from "./checker.ts";
import type { ProblemCode, ProblemDetail } from "./problems.ts";

/** More groups than this (256 TiB of 4 KiB blocks) would need too much memory for their descriptors. */
const MOST_GROUPS = 1 << 21;

export interface Located {
  readonly sb: Superblock;
  readonly g: Geometry;
  /** The superblock in memory differs from the one at its place. */
  readonly dirty: boolean;
}

/** Finds and checks the superblock. A string says in words why nothing can be done. */
export function locateSuperblock(device: BlockDevice, findings: Findings, repair: boolean): Located | string {
  const primary = readAt(device, SUPERBLOCK_OFFSET);
  const trouble = primary === undefined ? "it cannot be read" : unusable(primary, device.size);
  if (primary !== undefined && trouble === undefined) return settle(primary, device, findings, repair, false);
  for (let log = 0; log <= 6; log++) {
    const blockSize = 1024 << log;
    for (const group of [1, 3, 5]) {
      const block = group * blockSize * 8 + (log === 0 ? 1 : 0);
      const copy = readAt(device, block * blockSize);
      if (copy === undefined || ![group, 0].includes(copy.u16(S_BLOCK_GROUP_NR))) continue;
      if (copy.blockSize !== blockSize || unusable(copy, device.size) !== undefined) continue;
      findings.add("superblock-invalid", { block, detail: trouble as string }, repair);
      copy.setU16(S_BLOCK_GROUP_NR, 0);
      return settle(copy, device, findings, repair, true);
    }
  }
  return trouble as string;
}

/** The superblock whose first byte is at `offset` of the device. */
export function readAt(device: BlockDevice, offset: number): Superblock | undefined {
  const unit = device.blockSize;
  const first = Math.floor(offset / unit);
  const bytes = new Uint8Array(Math.ceil((offset + SUPERBLOCK_SIZE) / unit) * unit - first * unit);
  if (first * unit + bytes.length > device.size || device.readBlock(first, bytes) < 0) return undefined;
  return new Superblock(bytes.slice(offset - first * unit, offset - first * unit + SUPERBLOCK_SIZE));
}

/** Why a superblock cannot be worked with, if it cannot. */
function unusable(sb: Superblock, deviceSize: number): string | undefined {
  if (sb.u16(S_MAGIC) !== EXT4_SUPER_MAGIC) return "no magic number: not an ext2, ext3 or ext4 file system";
  if (sb.u32(S_REV_LEVEL) > 1) return `revision ${sb.u32(S_REV_LEVEL)} is unknown`;
  const logBlock = sb.u32(S_LOG_BLOCK_SIZE);
  if (logBlock > 6) return `block size 2^${10 + logBlock}`;
  if (!sb.checksumIsValid()) return "its checksum is wrong";
  const both = EXT4_FEATURE_RO_COMPAT_METADATA_CSUM | EXT4_FEATURE_RO_COMPAT_GDT_CSUM;
  const blockSize = sb.blockSize;
  const dynamic = sb.u32(S_REV_LEVEL) === 1;
  const inodeSize = dynamic ? sb.u16(S_INODE_SIZE) : 128;
  if (inodeSize < 128 || inodeSize > blockSize || (inodeSize & (inodeSize - 1)) !== 0) return `inode size ${inodeSize}`;
  const descSize = sb.has64bit ? sb.u16(S_DESC_SIZE) : 32;
  if (descSize < (sb.has64bit ? 64 : 32) || descSize > 1024 || (descSize & (descSize - 1)) !== 0)
    return `descriptor size ${descSize}`;
  const bigalloc = sb.hasRoCompat(EXT4_FEATURE_RO_COMPAT_BIGALLOC);
  const logCluster = sb.u32(S_LOG_CLUSTER_SIZE);
  if (bigalloc ? logCluster < logBlock || logCluster > 20 : logCluster !== logBlock && logCluster !== 0)
    return "block and cluster size do not fit";
  const ratio = bigalloc ? 2 ** (logCluster - logBlock) : 1;
  const blocksPerGroup = sb.u32(S_BLOCKS_PER_GROUP);
  if (blocksPerGroup < 8 || blocksPerGroup > blockSize * 8 * ratio || blocksPerGroup % ratio !== 0)
    return `${blocksPerGroup} blocks per group`;
  if (bigalloc && sb.u32(S_CLUSTERS_PER_GROUP) * ratio !== blocksPerGroup) return "clusters per group";
  const inodesPerGroup = sb.u32(S_INODES_PER_GROUP);
  if (inodesPerGroup < blockSize / inodeSize || inodesPerGroup > blockSize * 8 || inodesPerGroup % 8 !== 0)
    return `${inodesPerGroup} inodes per group`;
  if (sb.u32(S_INODES_COUNT) === 0) return "no inodes";
  if (dynamic && sb.u32(S_FIRST_INO) < EXT4_GOOD_OLD_FIRST_INO) return `first inode ${sb.u32(S_FIRST_INO)}`;
  const firstDataBlock = sb.u32(S_FIRST_DATA_BLOCK);
  if (
    firstDataBlock > 1 ||
    (blockSize === 1024 && !bigalloc && firstDataBlock !== 1) ||
    (blockSize > 1024 && firstDataBlock !== 0)
  )
    return `first data block ${firstDataBlock}`;
  const blocksCount = sb.blocksCount;
  if (blocksCount <= firstDataBlock || blocksCount > 2 ** 48) return `${blocksCount} blocks`;
  if (sb.reservedBlocksCount > blocksCount / 2) return `${sb.reservedBlocksCount} reserved blocks`;
  if (sb.u16(S_RESERVED_GDT_BLOCKS) > blockSize / 4)
    return `${sb.u16(S_RESERVED_GDT_BLOCKS)} reserved descriptor blocks`;
  const groups = Math.ceil((blocksCount - firstDataBlock) / blocksPerGroup);
  if (groups > MOST_GROUPS) return `${groups} groups`;
  if (Math.ceil((groups * descSize) / blockSize) * blockSize > deviceSize) return "descriptors larger than the device";
  if (bigalloc && (sb.u32(S_FEATURE_RO_COMPAT) & both) === both) return "checksums of two kinds";
  return undefined;
}

/** Puts right what can be, and derives the geometry. */
function settle(
  sb: Superblock,
  device: BlockDevice,
  findings: Findings,
  repair: boolean,
  fromCopy: boolean,
): Located | string {
  let dirty = fromCopy;
  const problem = (code: ProblemCode, detail: ProblemDetail, fix: () => void): void => {
    findings.add(code, detail, repair);
    fix(); // in memory at least, so that the rest can be looked at
    dirty = true;
  };
  const unknown = unknownFeatures(sb);
  if (unknown.length > 0) return `unknown features: ${unknown.join(", ")}`;
  const encoding = sb.u16(S_ENCODING);
  if (sb.hasIncompat(EXT4_FEATURE_INCOMPAT_CASEFOLD) && encoding !== EXT4_ENC_UTF8_12_1)
    return `casefold with the unknown encoding ${encoding}`;
  const blockSize = sb.blockSize;
  const dynamic = sb.u32(S_REV_LEVEL) === 1;
  const inodeSize = dynamic ? sb.u16(S_INODE_SIZE) : 128;
  const blocksCount = sb.blocksCount;
  const size = Math.floor(device.size / blockSize);
  if (blocksCount > size) {
    findings.add("device-too-small", { value: blocksCount, expected: size }, false);
    return `the file system has ${blocksCount} blocks, the device only ${size}`;
  }
  if (blockSize % device.blockSize !== 0) return `blocks of ${blockSize} bytes on a device with ${device.blockSize}`;
  const features = sb.u32(S_FEATURE_COMPAT) | sb.u32(S_FEATURE_INCOMPAT) | sb.u32(S_FEATURE_RO_COMPAT);
  if (!dynamic && features !== 0) {
    problem("superblock-revision", {}, () => {
      sb.setU32(S_REV_LEVEL, 1);
      sb.setU16(S_INODE_SIZE, 128);
      sb.setU32(S_FIRST_INO, EXT4_GOOD_OLD_FIRST_INO);
    });
  }
  const metaBg = sb.hasIncompat(EXT4_FEATURE_INCOMPAT_META_BG);
  if (metaBg && sb.hasCompat(EXT4_FEATURE_COMPAT_RESIZE_INODE)) {
    problem("feature-conflict", { detail: "meta_bg and resize_inode" }, () => {
      sb.setU32(S_FEATURE_COMPAT, sb.u32(S_FEATURE_COMPAT) & ~EXT4_FEATURE_COMPAT_RESIZE_INODE);
      sb.setU16(S_RESERVED_GDT_BLOCKS, 0);
    });
  }
  const both = EXT4_FEATURE_RO_COMPAT_METADATA_CSUM | EXT4_FEATURE_RO_COMPAT_GDT_CSUM;
  if ((sb.u32(S_FEATURE_RO_COMPAT) & both) === both) {
    problem("feature-conflict", { detail: "metadata_csum and uninit_bg" }, () =>
      sb.setRoCompat(EXT4_FEATURE_RO_COMPAT_GDT_CSUM, false),
    );
  }
  for (const at of [S_MIN_EXTRA_ISIZE, S_WANT_EXTRA_ISIZE]) {
    const value = sb.u16(at);
    const wrong = value !== 0 && (value < 4 || value > inodeSize - 128 || (value & 3) !== 0);
    if (inodeSize > 128 && wrong)
      problem("superblock-extra-isize", { value }, () => sb.setU16(at, Math.min(32, inodeSize - 128)));
  }
  const firstDataBlock = sb.u32(S_FIRST_DATA_BLOCK);
  const blocksPerGroup = sb.u32(S_BLOCKS_PER_GROUP);
  const groupCount = Math.ceil((blocksCount - firstDataBlock) / blocksPerGroup);
  const inodesPerGroup = sb.u32(S_INODES_PER_GROUP);
  const inodesCount = groupCount * inodesPerGroup;
  if (inodesCount > 0xffff_ffff) return `${inodesCount} inodes`;
  if (sb.u32(S_INODES_COUNT) !== inodesCount) {
    const value = sb.u32(S_INODES_COUNT);
    problem("superblock-inodes-count", { value, expected: inodesCount }, () => sb.setU32(S_INODES_COUNT, inodesCount));
  }
  const descSize = sb.has64bit ? sb.u16(S_DESC_SIZE) : 32;
  const descPerBlock = blockSize / descSize;
  const gdtBlocks = Math.ceil(groupCount / descPerBlock);
  if (metaBg && sb.u32(S_FIRST_META_BG) > gdtBlocks) {
    const value = sb.u32(S_FIRST_META_BG);
    problem("superblock-first-meta-bg", { value, expected: gdtBlocks }, () => sb.setU32(S_FIRST_META_BG, 0));
  }
  const g = readGeometry(sb, device.size);
  if (g instanceof Ext4Error) return g.message;
  return { sb, g, dirty };
}

/** Features nobody can check without knowing them: e2fsck, too, stops there. */
function unknownFeatures(sb: Superblock): string[] {
  const known = (set: "compat" | "incompat" | "roCompat"): number =>
    FEATURES.reduce((bits, feature) => (feature.set === set ? bits | feature.bit : bits), 0);
  return [
    ...featureNames("incompat", (sb.u32(S_FEATURE_INCOMPAT) & ~known("incompat")) >>> 0),
    ...featureNames("roCompat", (sb.u32(S_FEATURE_RO_COMPAT) & ~known("roCompat")) >>> 0),
  ];
}
