/**
 * What one round of a check knows: the medium, the superblock and descriptors as they are believed to be, and the maps that the
 * passes fill for each other.
 *
 * Reads go through a small cache; writes go straight to the device, in the order in which they are made, so what later blocks point
 * to is there before they do. A problem is announced with `problem`, which answers whether the caller is to repair it.
 */
import type { BlockDevice } from "blockdev-disk";
import { crc32c } from "../checksum/crc32c.ts";
import {
  EXT4_FEATURE_COMPAT_DIR_INDEX,
  EXT4_FEATURE_COMPAT_EXT_ATTR,
  EXT4_FEATURE_INCOMPAT_CASEFOLD,
  EXT4_FEATURE_INCOMPAT_EXTENTS,
  EXT4_FEATURE_INCOMPAT_FILETYPE,
  EXT4_FEATURE_INCOMPAT_FLEX_BG,
  EXT4_FEATURE_INCOMPAT_INLINE_DATA,
  EXT4_FEATURE_INCOMPAT_LARGEDIR,
  EXT4_FEATURE_RO_COMPAT_BIGALLOC,
  EXT4_FEATURE_RO_COMPAT_GDT_CSUM,
  EXT4_FEATURE_RO_COMPAT_HUGE_FILE,
  EXT4_FEATURE_RO_COMPAT_SHARED_BLOCKS,
} from "../features.ts";
import { descriptorBlock, type Geometry } from "../geometry.ts";
import { EXT4_BG_INODE_UNINIT, type DescriptorFormat, GroupDescriptor } from "../group-descriptor.ts";
import { CoreInode } from "../inode.ts";
import { type Superblock, SUPERBLOCK_OFFSET } from "../superblock.ts";
import { describeProblem, type Problem, type ProblemCode, type ProblemDetail, severityOf } from "./problems.ts";
import { SparseBits, SparseCounts } from "./sparse.ts";

export const S_CREATOR_OS = 0x48;
/** The Hurd keeps no file types in directories, whatever the features say. */
export const OS_HURD = 1;
/** Blocks kept in memory. */
const CACHE_BYTES = 2 << 20;

/** All findings of a check, over its rounds. */
export class Findings {
  readonly problems: Problem[] = [];
  readonly #limit: number;
  /** Findings of the round under way. */
  errors = 0;
  advice = 0;
  total = 0;
  fixed = 0;

  /** @param limit findings to keep in words; the rest are only counted. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  add(code: ProblemCode, detail: ProblemDetail, fixed: boolean): void {
    if (severityOf(code) === "error") this.errors++;
    else this.advice++;
    this.total++;
    if (fixed) this.fixed++;
    if (this.problems.length < this.#limit) this.problems.push(describeProblem(code, detail, fixed));
  }

  startRound(): void {
    this.errors = 0;
    this.advice = 0;
  }
}

/** A directory as pass 1 found it. */
export interface DirectoryInfo {
  readonly ino: number;
  /** Runs of blocks: logical block, block on the volume (0: missing), count; three numbers each. */
  readonly runs: number[];
  /** What ".." says. */
  dotdot: number;
  /** The directory whose entry leads here; 0 = none seen. */
  parent: number;
  indexed: boolean;
  readonly inline: boolean;
  readonly casefold: boolean;
  readonly encrypted: boolean;
  /** Checksum seed of its blocks. */
  readonly seed: number;
  /** Blocks that hold directory data. */
  readonly blockCount: number;
}

/** A block of attributes that inodes may share. */
export interface XattrBlockInfo {
  found: number;
  /** References that the block states. */
  readonly stated: number;
  readonly owner: number;
  /** What it costs each of its inodes: itself and its value inodes, in clusters. */
  readonly clusters: number;
  readonly inodes: readonly number[];
}

export class Checker {
  readonly device: BlockDevice;
  readonly repair: boolean;
  readonly findings: Findings;
  /** Seconds; for the times that a repair sets. */
  readonly now: number;
  readonly sb: Superblock;
  readonly g: Geometry;
  readonly blockSize: number;
  readonly unit: number;
  /** Blocks per allocation unit. */
  readonly ratio: number;
  readonly clusterCount: number;
  readonly seed: number;
  readonly hasChecksums: boolean;
  readonly hasGroupChecksums: boolean;
  readonly hasExtents: boolean;
  readonly hasInline: boolean;
  readonly hasFileType: boolean;
  readonly hasCasefold: boolean;
  readonly hasDirIndex: boolean;
  readonly hasLargeDir: boolean;
  readonly hasXattrs: boolean;
  readonly hasHugeFile: boolean;
  readonly hasFlexGroups: boolean;
  readonly sharedBlocks: boolean;

  readonly descriptorBytes: Uint8Array;
  readonly descriptors: GroupDescriptor[] = [];
  readonly format: DescriptorFormat;
  descriptorsDirty = false;
  superblockDirty = false;
  /** Something was changed that the maps do not reflect: another round must look again. */
  again = false;
  /** A repair could not be made. */
  stuck = false;

  /** Clusters in use. */
  readonly used: SparseBits = new SparseBits();
  /** Clusters of superblocks, descriptors, bitmaps and inode tables. */
  readonly metadata: SparseBits = new SparseBits();
  /** Clusters claimed more than once. */
  readonly shared: SparseBits = new SparseBits();
  readonly inodesUsed: SparseBits = new SparseBits();
  /** Inodes with something odd that only matters if a directory leads to them. */
  readonly inodesOdd: SparseBits = new SparseBits();
  /** DT-like type codes of the inodes in use, as directory entries store them; 0 = none. */
  readonly fileTypes: SparseCounts = new SparseCounts();
  readonly linkCounts: SparseCounts = new SparseCounts();
  readonly linksFound: SparseCounts = new SparseCounts();
  readonly directories: Map<number, DirectoryInfo> = new Map();
  /** Attribute blocks met so far. */
  readonly xattrBlocks: Map<number, XattrBlockInfo> = new Map();
  /** Value inode → references found. */
  readonly xattrInodeUses: Map<number, number> = new Map();
  /** Inodes whose extents must be written anew, with the good ones. */
  readonly rebuildExtents: Set<number> = new Set();
  /** Directories that must be written anew. */
  readonly rebuildDirectories: Set<number> = new Set();
  /** Groups whose bitmap or table has no place: they get one after pass 1. */
  readonly misplacedBlockBitmaps: Set<number> = new Set();
  readonly misplacedInodeBitmaps: Set<number> = new Set();
  readonly misplacedTables: Set<number> = new Set();
  /** Clusters that were looked at because they seemed to be claimed twice. */
  collisions = 0;
  /** What pass 5 has counted. */
  freeClusters = 0;
  freeInodes = 0;
  largeFiles = false;
  largeDirectories = false;
  readonly counts: { directories: number; files: number; links: number; others: number } = {
    directories: 0,
    files: 0,
    links: 0,
    others: 0,
  };
  lostFound = 0;
  /** Usage by user, group and project id, where quotas are on. */
  readonly usage: readonly Map<number, { bytes: number; inodes: number }>[] = [new Map(), new Map(), new Map()];

  readonly #cache = new Map<number, Uint8Array>();
  readonly #cacheLimit: number;

  constructor(
    device: BlockDevice,
    sb: Superblock,
    geometry: Geometry,
    findings: Findings,
    options: { readonly repair: boolean; readonly now: number },
  ) {
    this.device = device;
    this.sb = sb;
    this.g = geometry;
    this.findings = findings;
    this.repair = options.repair;
    this.now = options.now;
    this.blockSize = geometry.blockSize;
    this.unit = geometry.blockSize / device.blockSize;
    this.ratio = sb.hasRoCompat(EXT4_FEATURE_RO_COMPAT_BIGALLOC) ? geometry.clusterSize / geometry.blockSize : 1;
    this.clusterCount = Math.ceil(geometry.blocksCount / this.ratio);
    this.seed = sb.checksumSeed();
    this.hasChecksums = sb.hasMetadataCsum;
    this.hasGroupChecksums = this.hasChecksums || sb.hasRoCompat(EXT4_FEATURE_RO_COMPAT_GDT_CSUM);
    this.hasExtents = sb.hasIncompat(EXT4_FEATURE_INCOMPAT_EXTENTS);
    this.hasInline = sb.hasIncompat(EXT4_FEATURE_INCOMPAT_INLINE_DATA);
    this.hasFileType = sb.hasIncompat(EXT4_FEATURE_INCOMPAT_FILETYPE) && sb.u32(S_CREATOR_OS) !== OS_HURD;
    this.hasCasefold = sb.hasIncompat(EXT4_FEATURE_INCOMPAT_CASEFOLD);
    this.hasDirIndex = sb.hasCompat(EXT4_FEATURE_COMPAT_DIR_INDEX);
    this.hasLargeDir = sb.hasIncompat(EXT4_FEATURE_INCOMPAT_LARGEDIR);
    this.hasXattrs = sb.hasCompat(EXT4_FEATURE_COMPAT_EXT_ATTR);
    this.hasHugeFile = sb.hasRoCompat(EXT4_FEATURE_RO_COMPAT_HUGE_FILE);
    this.hasFlexGroups = sb.hasIncompat(EXT4_FEATURE_INCOMPAT_FLEX_BG);
    this.sharedBlocks = sb.hasRoCompat(EXT4_FEATURE_RO_COMPAT_SHARED_BLOCKS);
    this.format = {
      size: geometry.descSize,
      checksum: this.hasChecksums ? "crc32c" : this.hasGroupChecksums ? "crc16" : "none",
      checksumSeed: this.seed,
      uuid: sb.uuid,
    };
    this.descriptorBytes = new Uint8Array(geometry.gdtBlocks * geometry.blockSize);
    const view = new DataView(this.descriptorBytes.buffer);
    for (let group = 0; group < geometry.groupCount; group++) {
      this.descriptors.push(
        new GroupDescriptor(this.descriptorBytes, view, group * geometry.descSize, geometry.descSize),
      );
    }
    this.#cacheLimit = Math.max(16, CACHE_BYTES / geometry.blockSize);
  }

  // ---- findings ----

  /** Announces a problem; true if the caller is to repair it. */
  problem(code: ProblemCode, detail: ProblemDetail = {}): boolean {
    this.findings.add(code, detail, this.repair);
    return this.repair;
  }

  /** As `problem`, for what cannot be repaired here and now; a later round may. */
  report(code: ProblemCode, detail: ProblemDetail = {}): void {
    this.findings.add(code, detail, false);
  }

  // ---- blocks ----

  /** The block's bytes, to be used before the next call; undefined when it cannot be read. */
  read(block: number): Uint8Array | undefined {
    const cached = this.#cache.get(block);
    if (cached !== undefined) return cached;
    const data = new Uint8Array(this.blockSize);
    if (this.readInto(block, data) < 0) return undefined;
    if (this.#cache.size >= this.#cacheLimit) this.#cache.clear();
    this.#cache.set(block, data);
    return data;
  }

  /** Fills `data` from consecutive blocks. 0 or -errno. */
  readInto(block: number, data: Uint8Array): number {
    if (!this.inside(block, data.length / this.blockSize)) return -5;
    return this.device.readBlock(block * this.unit, data);
  }

  /** Writes consecutive blocks. False after an error, which is then on record. */
  write(block: number, data: Uint8Array): boolean {
    const count = data.length / this.blockSize;
    if (!this.inside(block, count) || this.device.writeBlock(block * this.unit, data) < 0) {
      this.report("write-error", { block });
      this.stuck = true;
      return false;
    }
    for (let i = 0; i < count; i++) this.#cache.delete(block + i);
    if (count === 1) this.#cache.set(block, data.slice());
    return true;
  }

  inside(block: number, count: number): boolean {
    return block >= 0 && block + count <= this.g.blocksCount;
  }

  /** Whether file data may lie in these blocks: behind the first data block and inside the volume. */
  legal(block: number): boolean {
    return block >= this.g.firstDataBlock && block !== 0 && block < this.g.blocksCount;
  }

  cluster(block: number): number {
    return this.ratio === 1 ? block : Math.floor(block / this.ratio);
  }

  // ---- inodes ----

  /** Block and byte offset of an inode; block 0 when its table has no place. */
  inodePlace(ino: number): { block: number; offset: number } {
    const { inodesPerGroup, inodesPerBlock, inodeSize } = this.g;
    const group = Math.floor((ino - 1) / inodesPerGroup);
    const index = (ino - 1) % inodesPerGroup;
    if (this.misplacedTables.has(group)) return { block: 0, offset: 0 };
    const block = this.descriptors[group].inodeTable + Math.floor(index / inodesPerBlock);
    return { block, offset: (index % inodesPerBlock) * inodeSize };
  }

  /** An inode as it is on the medium, in a copy of its own. */
  readInode(ino: number): CoreInode | undefined {
    if (ino < 1 || ino > this.g.inodesCount) return undefined;
    const { block, offset } = this.inodePlace(ino);
    const data = block === 0 ? undefined : this.read(block);
    return data === undefined ? undefined : this.makeInode(ino, data.slice(offset, offset + this.g.inodeSize));
  }

  makeInode(ino: number, raw: Uint8Array): CoreInode {
    const inode = new CoreInode(ino, raw, this.sb.has64bit);
    if (this.hasChecksums) inode.setSeed(this.seed);
    return inode;
  }

  writeInode(inode: CoreInode): boolean {
    const { block, offset } = this.inodePlace(inode.ino);
    const data = block === 0 ? undefined : this.read(block);
    if (data === undefined) return false;
    if (this.hasChecksums) {
      inode.setSeed(this.seed);
      inode.updateChecksum();
    }
    const copy = data.slice();
    copy.set(inode.raw, offset);
    return this.write(block, copy);
  }

  groupOfInode(ino: number): number {
    return Math.floor((ino - 1) / this.g.inodesPerGroup);
  }

  /** Inodes of a group that may be in use: those before the part marked as never used. */
  usedPartOfTable(group: number): number {
    if (!this.hasGroupChecksums) return this.g.inodesPerGroup;
    const gd = this.descriptors[group];
    return (gd.flags & EXT4_BG_INODE_UNINIT) !== 0 ? 0 : Math.max(0, this.g.inodesPerGroup - gd.itableUnused);
  }

  // ---- superblock and descriptors ----

  /** Writes descriptors and superblock if they were changed. */
  writeSummary(): void {
    if (!this.repair) return;
    if (this.descriptorsDirty) {
      for (let group = 0; group < this.g.groupCount; group++) {
        this.descriptors[group].updateChecksum(group, this.format);
      }
      for (let index = 0; index < this.g.gdtBlocks; index++) {
        const at = index * this.blockSize;
        const block = descriptorBlock(this.sb, this.g, index);
        const bytes = this.descriptorBytes.subarray(at, at + this.blockSize);
        const old = this.read(block);
        if (old === undefined || !sameBytes(old, bytes)) this.write(block, bytes);
      }
    }
    if (this.superblockDirty) this.writeSuperblock();
  }

  writeSuperblock(): void {
    const unit = this.device.blockSize;
    this.sb.updateChecksum();
    const first = Math.floor(SUPERBLOCK_OFFSET / unit);
    const around = new Uint8Array(Math.max(unit, 1024));
    const at = SUPERBLOCK_OFFSET - first * unit;
    let error = unit > 1024 ? this.device.readBlock(first, around) : 0;
    around.set(this.sb.bytes, at);
    if (error === 0) error = this.device.writeBlock(first, around);
    this.#cache.clear();
    if (error < 0) {
      this.report("write-error", { block: 0 });
      this.stuck = true;
    }
  }

  /** Checksum over a bitmap, in the width that descriptors of this volume store. */
  bitmapChecksum(bits: Uint8Array, byteLength: number): number {
    return this.descriptors[0].storedWidth(crc32c(this.seed, bits, 0, byteLength));
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
