/**
 * What to make: mke2fs's options under its own names where they have long ones, with its defaults (mke2fs.conf of Debian 12).
 */
import type { BlockDevice } from "blockdev-disk";
import {
  EXT4_FEATURE_COMPAT_DIR_INDEX,
  EXT4_FEATURE_COMPAT_EXT_ATTR,
  EXT4_FEATURE_COMPAT_FAST_COMMIT,
  EXT4_FEATURE_COMPAT_HAS_JOURNAL,
  EXT4_FEATURE_COMPAT_ORPHAN_FILE,
  EXT4_FEATURE_COMPAT_RESIZE_INODE,
  EXT4_FEATURE_INCOMPAT_64BIT,
  EXT4_FEATURE_INCOMPAT_CASEFOLD,
  EXT4_FEATURE_INCOMPAT_EXTENTS,
  EXT4_FEATURE_INCOMPAT_FILETYPE,
  EXT4_FEATURE_INCOMPAT_FLEX_BG,
  EXT4_FEATURE_RO_COMPAT_BIGALLOC,
  EXT4_FEATURE_RO_COMPAT_DIR_NLINK,
  EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE,
  EXT4_FEATURE_RO_COMPAT_HUGE_FILE,
  EXT4_FEATURE_RO_COMPAT_LARGE_FILE,
  EXT4_FEATURE_RO_COMPAT_METADATA_CSUM,
  EXT4_FEATURE_RO_COMPAT_PROJECT,
  EXT4_FEATURE_RO_COMPAT_QUOTA,
  EXT4_FEATURE_RO_COMPAT_SPARSE_SUPER,
  findFeature,
} from "../features.ts";
import { EXT4_ENC_STRICT_MODE_FL, EXT4_ENC_UTF8_12_1 } from "../superblock.ts";
import type { Time } from "../volume.ts";

export interface MkfsOptions {
  /** Bytes to use of the device. Default: all. */
  readonly size?: number;
  /** -t: the features to begin with, as mke2fs.conf lists them. Default "ext4". */
  readonly type?: "ext2" | "ext3" | "ext4";
  /** -b: 1024, 2048 or 4096 (up to 65536). Default: 1024 below 512 MiB, else 4096. */
  readonly blockSize?: number;
  /** -I: bytes per inode, a power of two from 128 on. Default 256. */
  readonly inodeSize?: number;
  /** -i: bytes of space per inode. Default 16384; 4096 below 512 MiB, 8192 below 3 MiB. */
  readonly bytesPerInode?: number;
  /** -N: number of inodes, instead of bytesPerInode. */
  readonly inodeCount?: number;
  /** -g: blocks per group, a multiple of 8. Default: what one bitmap block covers. */
  readonly blocksPerGroup?: number;
  /** -C: bytes per cluster with the feature bigalloc, a power of two. Default 16 blocks. */
  readonly clusterSize?: number;
  /** -L: volume name, up to 16 bytes. */
  readonly label?: string;
  /** -U: 16 bytes, or the usual text form. Needed unless `random` is given. */
  readonly uuid?: Uint8Array | string;
  /** -E hash_seed: 16 bytes. Default: from `random`, else the UUID. */
  readonly hashSeed?: Uint8Array;
  /** -E encoding: of the names in casefold directories. Turns the feature casefold on, which without this takes "utf8". */
  readonly encoding?: "utf8" | "utf8-12.1";
  /** -E encoding_flags: "strict" refuses names that are not in the encoding. Default none. */
  readonly encodingFlags?: readonly "strict"[];
  /** Source of random bytes for what is not given. */
  readonly random?: (bytes: Uint8Array) => void;
  /** -m: percentage of blocks reserved for root. Default 5. */
  readonly reservedPercent?: number;
  /** -J size, in blocks; 0 or the feature "^has_journal" = none. Default: as mke2fs by volume size. */
  readonly journalBlocks?: number;
  /** -O: names to add to the default features, or with "^" to take away: ["metadata_csum_seed", "orphan_file", "^resize_inode"]. */
  readonly features?: readonly string[];
  /** -G: groups per flex group, a power of two. Default 16. */
  readonly groupsPerFlex?: number;
  /** -M: where the volume is said to have been mounted last. */
  readonly lastMounted?: string;
  /** -e: what the kernel does on damage. Default "continue". */
  readonly errors?: "continue" | "remount-ro" | "panic";
  /** -E stride, stripe_width: blocks. */
  readonly stride?: number;
  readonly stripeWidth?: number;
  /** -E num_backup_sb with sparse_super2: 0, 1 or 2 copies of the superblock. Default 2. */
  readonly backupSuperblocks?: number;
  /** -E quotatype with the feature quota. Default user and group, and project where there are projects. */
  readonly quotaTypes?: readonly ("user" | "group" | "project")[];
  /**
   * -E lazy_itable_init: leave inode tables unwritten and unmarked, for the kernel (or an allocation here) to zero. Default false: zeroed now.
   * Needs group checksums.
   */
  readonly lazyItableInit?: boolean;
  /** -E lazy_journal_init: leave the log unwritten; old content is told from new by its sequence. Default false. */
  readonly lazyJournalInit?: boolean;
  /** -E root_owner. Default 0:0. */
  readonly rootOwner?: readonly [uid: number, gid: number];
  /** The device is known to read as zeros (a new file, a new MemoryDisk): inode tables and journal are not written out. Default false. */
  readonly assumeStoragePrezeroed?: boolean;
  /** Time stamps. Default 0: 1970. */
  readonly now?: Time;
}

/** Options with every default filled in. */
export interface MkfsPlan {
  readonly blockSize: number;
  readonly inodeSize: number;
  readonly blocksCount: number;
  readonly inodeCount: number;
  readonly label: Uint8Array;
  readonly uuid: Uint8Array;
  readonly hashSeed: Uint8Array;
  /** s_encoding, 0 without casefold, and s_encoding_flags. */
  readonly encoding: number;
  readonly encodingFlags: number;
  readonly reservedPercent: number;
  readonly journalBlocks: number;
  readonly compat: number;
  readonly incompat: number;
  readonly roCompat: number;
  readonly logGroupsPerFlex: number;
  readonly blocksPerGroup: number;
  readonly clusterSize: number;
  readonly lastMounted: Uint8Array;
  /** s_errors. */
  readonly errors: number;
  readonly stride: number;
  readonly stripeWidth: number;
  readonly backupSuperblocks: number;
  /** User, group, project. */
  readonly quotaKinds: readonly number[];
  readonly fastCommitBlocks: number;
  readonly lazyItable: boolean;
  readonly lazyJournal: boolean;
  readonly rootOwner: readonly [number, number];
  readonly prezeroed: boolean;
  readonly now: Time;
}

/** @throws TypeError or RangeError on options that make no file system. */
export function planMkfs(device: BlockDevice, options: MkfsOptions): MkfsPlan {
  const size = options.size ?? device.size;
  if (!Number.isSafeInteger(size) || size <= 0 || size > device.size) {
    throw new RangeError(`"size" expected 1..${device.size}, got ${size}`);
  }
  const small = size < 512 << 20;
  const blockSize = options.blockSize ?? (small ? 1024 : 4096);
  powerOfTwo("blockSize", blockSize, 1024, 65536);
  if (blockSize % device.blockSize !== 0)
    throw new RangeError(`"blockSize" expected multiple of the device's ${device.blockSize}, got ${blockSize}`);
  const inodeSize = options.inodeSize ?? 256;
  powerOfTwo("inodeSize", inodeSize, 128, blockSize);
  const features = chooseFeatures(options);
  const bigalloc = (features.roCompat & EXT4_FEATURE_RO_COMPAT_BIGALLOC) !== 0;
  const clusterSize = bigalloc ? (options.clusterSize ?? blockSize * 16) : blockSize;
  powerOfTwo("clusterSize", clusterSize, blockSize, 1 << 28);
  const clusterBlocks = clusterSize / blockSize;
  const all = Math.floor(size / blockSize);
  const blocksCount = all - (all % clusterBlocks);
  if (blocksCount < 64 || blocksCount > 2 ** 32 - 1)
    throw new RangeError(`"size" gives ${blocksCount} blocks, expected 64..${2 ** 32 - 1}`);
  const ratio =
    options.bytesPerInode ?? Math.max(size < 3 << 20 ? 8192 : small ? 4096 : 16384, bigalloc ? clusterSize : 0);
  if (!(ratio >= 1024)) throw new RangeError(`"bytesPerInode" expected >= 1024, got ${ratio}`);
  const inodeCount = options.inodeCount ?? Math.floor((blocksCount * blockSize) / ratio);
  if (!(inodeCount > 0) || inodeCount > 2 ** 32 - 1)
    throw new RangeError(`"inodeCount" expected 1..${2 ** 32 - 1}, got ${inodeCount}`);
  const groupsPerFlex = options.groupsPerFlex ?? 16;
  powerOfTwo("groupsPerFlex", groupsPerFlex, 1, 1 << 20);
  const reservedPercent = options.reservedPercent ?? 5;
  if (!(reservedPercent >= 0 && reservedPercent <= 50))
    throw new RangeError(`"reservedPercent" expected 0..50, got ${reservedPercent}`);
  const label = new TextEncoder().encode(options.label ?? "");
  if (label.length > 16) throw new RangeError(`"label" expected at most 16 bytes, got ${label.length}`);
  const uuid = uuidBytes(options);
  const journalBlocks =
    (features.compat & EXT4_FEATURE_COMPAT_HAS_JOURNAL) === 0
      ? 0
      : (options.journalBlocks ?? defaultJournalBlocks(blocksCount));
  if (journalBlocks !== 0 && (journalBlocks < 1024 || journalBlocks > blocksCount / 2)) {
    throw new RangeError(`"journalBlocks" expected 0 or 1024..${Math.floor(blocksCount / 2)}, got ${journalBlocks}`);
  }
  const mostPerGroup = Math.min(blockSize * 8, 65528) * clusterBlocks;
  const blocksPerGroup = options.blocksPerGroup ?? mostPerGroup;
  if (
    !(blocksPerGroup >= 256 * clusterBlocks && blocksPerGroup <= mostPerGroup) ||
    blocksPerGroup % (8 * clusterBlocks) !== 0
  )
    throw new RangeError(
      `"blocksPerGroup" expected multiple of ${8 * clusterBlocks} in ${256 * clusterBlocks}..${mostPerGroup}, got ${blocksPerGroup}`,
    );
  const lastMounted = new TextEncoder().encode(options.lastMounted ?? "");
  if (lastMounted.length > 63)
    throw new RangeError(`"lastMounted" expected at most 63 bytes, got ${lastMounted.length}`);
  const hasFastCommits = (features.compat & EXT4_FEATURE_COMPAT_FAST_COMMIT) !== 0;
  return {
    blocksPerGroup,
    clusterSize,
    lastMounted,
    errors: ERRORS.indexOf(options.errors ?? "continue") + 1,
    stride: options.stride ?? 0,
    stripeWidth: options.stripeWidth ?? 0,
    backupSuperblocks: options.backupSuperblocks ?? 2,
    quotaKinds: quotaKinds(features, options),
    fastCommitBlocks: hasFastCommits ? Math.floor(journalBlocks / JOURNAL_TO_FAST_COMMIT) : 0,
    lazyItable: options.lazyItableInit ?? false,
    lazyJournal: options.lazyJournalInit ?? false,
    blockSize,
    inodeSize,
    blocksCount,
    inodeCount,
    label,
    uuid,
    hashSeed: seedBytes(options, uuid),
    ...chooseEncoding(features, options),
    reservedPercent,
    journalBlocks,
    compat: journalBlocks === 0 ? features.compat & ~NEED_A_JOURNAL : features.compat,
    incompat: features.incompat,
    roCompat: features.roCompat,
    logGroupsPerFlex: Math.log2(groupsPerFlex),
    rootOwner: options.rootOwner ?? [0, 0],
    prezeroed: options.assumeStoragePrezeroed ?? false,
    now: options.now ?? { sec: 0, nsec: 0 },
  };
}

/** Features that go where there is no journal. */
const NEED_A_JOURNAL: number =
  EXT4_FEATURE_COMPAT_HAS_JOURNAL | EXT4_FEATURE_COMPAT_ORPHAN_FILE | EXT4_FEATURE_COMPAT_FAST_COMMIT;
const ERRORS: readonly string[] = ["continue", "remount-ro", "panic"];
const QUOTA_TYPES: readonly string[] = ["user", "group", "project"];
/** EXT2_JOURNAL_TO_FC_BLKS_RATIO. */
const JOURNAL_TO_FAST_COMMIT = 64;

function quotaKinds(features: FeatureBits, options: MkfsOptions): number[] {
  if ((features.roCompat & EXT4_FEATURE_RO_COMPAT_QUOTA) === 0) return [];
  if (options.quotaTypes !== undefined) return options.quotaTypes.map((type) => QUOTA_TYPES.indexOf(type));
  return (features.roCompat & EXT4_FEATURE_RO_COMPAT_PROJECT) !== 0 ? [0, 1, 2] : [0, 1];
}

function powerOfTwo(name: string, value: number, least: number, most: number): void {
  if (!(value >= least && value <= most) || (value & (value - 1)) !== 0) {
    throw new RangeError(`"${name}" expected power of two ${least}..${most}, got ${value}`);
  }
}

function uuidBytes(options: MkfsOptions): Uint8Array {
  const { uuid, random } = options;
  if (uuid === undefined) {
    if (random === undefined) throw new TypeError('"uuid" or "random" is needed');
    const bytes = new Uint8Array(16);
    random(bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40; // version 4, RFC 9562
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    return bytes;
  }
  if (typeof uuid !== "string") {
    if (uuid.length !== 16) throw new RangeError(`"uuid" expected 16 bytes, got ${uuid.length}`);
    return uuid.slice();
  }
  const hex = uuid.replaceAll("-", "");
  if (!/^[0-9a-fA-F]{32}$/.test(hex)) throw new RangeError(`"uuid" expected 32 hex digits, got ${uuid}`);
  return Uint8Array.from({ length: 16 }, (_, i) => Number.parseInt(hex.slice(i * 2, i * 2 + 2), 16));
}

function seedBytes(options: MkfsOptions, uuid: Uint8Array): Uint8Array {
  if (options.hashSeed !== undefined) {
    if (options.hashSeed.length !== 16)
      throw new RangeError(`"hashSeed" expected 16 bytes, got ${options.hashSeed.length}`);
    return options.hashSeed.slice();
  }
  const bytes = uuid.slice();
  options.random?.(bytes);
  return bytes;
}

function chooseEncoding(features: FeatureBits, options: MkfsOptions): Pick<MkfsPlan, "encoding" | "encodingFlags"> {
  const casefold = (features.incompat & EXT4_FEATURE_INCOMPAT_CASEFOLD) !== 0;
  const { encoding = "utf8", encodingFlags = [] } = options;
  if (encoding !== "utf8" && encoding !== "utf8-12.1")
    throw new RangeError(`"encoding" expected utf8 or utf8-12.1, got ${encoding}`);
  for (const flag of encodingFlags)
    if (flag !== "strict") throw new RangeError(`"encodingFlags" expected strict, got ${flag}`);
  if (encodingFlags.length > 0 && options.encoding === undefined)
    throw new RangeError('"encodingFlags" needs "encoding"');
  return {
    encoding: casefold ? EXT4_ENC_UTF8_12_1 : 0,
    encodingFlags: encodingFlags.length > 0 ? EXT4_ENC_STRICT_MODE_FL : 0,
  };
}

interface FeatureBits {
  compat: number;
  incompat: number;
  roCompat: number;
}

/** Features that cannot be asked for: they describe a state, or cannot be made here. */
export const NOT_FOR_MKFS: ReadonlySet<string> = new Set([
  "needs_recovery",
  "orphan_present",
  "dir_prealloc",
  "btree_dir",
]);

/** By type, as Debian 12's mke2fs.conf has them. */
function baseFeatures(type: "ext2" | "ext3" | "ext4"): FeatureBits {
  const bits: FeatureBits = {
    compat: EXT4_FEATURE_COMPAT_EXT_ATTR | EXT4_FEATURE_COMPAT_RESIZE_INODE | EXT4_FEATURE_COMPAT_DIR_INDEX,
    incompat: EXT4_FEATURE_INCOMPAT_FILETYPE,
    roCompat: EXT4_FEATURE_RO_COMPAT_SPARSE_SUPER | EXT4_FEATURE_RO_COMPAT_LARGE_FILE,
  };
  if (type !== "ext2") bits.compat |= EXT4_FEATURE_COMPAT_HAS_JOURNAL;
  if (type !== "ext4") return bits;
  bits.incompat |= EXT4_FEATURE_INCOMPAT_EXTENTS | EXT4_FEATURE_INCOMPAT_64BIT | EXT4_FEATURE_INCOMPAT_FLEX_BG;
  bits.roCompat |=
    EXT4_FEATURE_RO_COMPAT_HUGE_FILE |
    EXT4_FEATURE_RO_COMPAT_DIR_NLINK |
    EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE |
    EXT4_FEATURE_RO_COMPAT_METADATA_CSUM;
  return bits;
}

function chooseFeatures(options: MkfsOptions): FeatureBits {
  const bits = baseFeatures(options.type ?? "ext4");
  if (options.encoding !== undefined) bits.incompat |= EXT4_FEATURE_INCOMPAT_CASEFOLD;
  for (const change of options.features ?? []) {
    const remove = change.startsWith("^");
    const feature = findFeature(remove ? change.slice(1) : change);
    if (feature === undefined) throw new RangeError(`"features": ${change} is unknown`);
    if (!remove && (feature.support !== "full" || NOT_FOR_MKFS.has(feature.name)))
      throw new RangeError(`"features": cannot make ${feature.name}`);
    if (remove && feature.name === "sparse_super")
      throw new RangeError(`"features": cannot do without ${feature.name}`);
    bits[feature.set] = remove ? bits[feature.set] & ~feature.bit : bits[feature.set] | feature.bit;
  }
  checkTogether(bits);
  return bits;
}

/** Features that need one another, or exclude one another, as mke2fs sees it. */
function checkTogether(bits: FeatureBits): void {
  const has = (name: string): boolean => {
    const feature = findFeature(name);
    return feature !== undefined && (bits[feature.set] & feature.bit) !== 0;
  };
  for (const [name, needed] of [
    ["bigalloc", "extent"],
    ["64bit", "extent"],
    ["fast_commit", "has_journal"],
    ["orphan_file", "has_journal"],
    ["metadata_csum_seed", "metadata_csum"],
  ]) {
    if (has(name) && !has(needed)) throw new RangeError(`"features": ${name} needs ${needed}`);
  }
  for (const [one, other] of [
    ["meta_bg", "resize_inode"],
    ["metadata_csum", "uninit_bg"],
  ]) {
    if (has(one) && has(other)) throw new RangeError(`"features": ${one} and ${other} exclude each other`);
  }
}

/** ext2fs_default_journal_size; none on very small volumes. */
function defaultJournalBlocks(blocks: number): number {
  if (blocks < 2048) return 0;
  if (blocks < 32768) return 1024;
  if (blocks < 256 * 1024) return 4096;
  if (blocks < 512 * 1024) return 8192;
  if (blocks < 4096 * 1024) return 16384;
  if (blocks < 8192 * 1024) return 32768;
  if (blocks < 16384 * 1024) return 65536;
  if (blocks < 32768 * 1024) return 131072;
  return 262144;
}
