/**
 * The block groups of a mounted volume: descriptors in memory, bitmaps loaded on demand and checked, checksums brought up to
 * date once per transaction instead of once per change.
 *
 * Bitmaps of groups flagged *_UNINIT were never written; they are synthesised here as the kernel does it
 * (ext4_init_block_bitmap), and become real when first changed.
 */
import { EUCLEAN } from "linux-abi";
import { setBits } from "./bitmap.ts";
import { Buffer, type BufferCache, KIND_BLOCK_BITMAP, KIND_DESCRIPTORS, KIND_INODE_BITMAP } from "./buffer-cache.ts";
import { crc32c } from "./checksum/crc32c.ts";
import { Ext4Error } from "./errors.ts";
import { EXT4_FEATURE_INCOMPAT_FLEX_BG, EXT4_FEATURE_RO_COMPAT_GDT_CSUM } from "./features.ts";
import { descriptorBlock, type Geometry, groupBlocks, groupStart, groupSuperBlocks } from "./geometry.ts";
import {
  type DescriptorFormat,
  EXT4_BG_BLOCK_UNINIT,
  EXT4_BG_INODE_UNINIT,
  GroupDescriptor,
} from "./group-descriptor.ts";
import type { Superblock } from "./superblock.ts";

/** What the group table needs of the volume. */
export interface GroupOwner {
  readonly superblock: Superblock;
  readonly geometry: Geometry;
  readonly cache: BufferCache;
  readonly readOnly: boolean;
  readBlocks(block: number, data: Uint8Array): number;
  dirtyBuffer(buffer: Buffer, kind: number, seed: number): void;
  corrupt(message: string, inode: number, block: number): number;
}

export class GroupTable {
  readonly descriptors: GroupDescriptor[] = [];
  /** The blocks in which they lie, in order. */
  readonly descriptorBlocks: Buffer[] = [];
  readonly format: DescriptorFormat;
  /** Bits freed by the running transaction: not to be allocated before it has committed. */
  readonly held: Map<number, Uint8Array> = new Map();
  /** Lowest bit that may be free, per group. */
  blockHint: Int32Array;
  inodeHint: Int32Array;
  /** Groups whose bitmaps did not check out: nothing is allocated from them. */
  readonly bad: Set<number> = new Set();
  readonly #owner: GroupOwner;
  readonly #dirty = new Set<number>();

  constructor(owner: GroupOwner) {
    const { superblock: sb, geometry: g } = owner;
    this.#owner = owner;
    this.format = {
      size: g.descSize,
      checksum: sb.hasMetadataCsum ? "crc32c" : sb.hasRoCompat(EXT4_FEATURE_RO_COMPAT_GDT_CSUM) ? "crc16" : "none",
      checksumSeed: sb.checksumSeed(),
      uuid: sb.uuid,
    };
    this.blockHint = new Int32Array(g.groupCount);
    this.inodeHint = new Int32Array(g.groupCount);
  }

  /** Reads and checks all descriptors. */
  load(): Ext4Error | undefined {
    const { superblock: sb, geometry: g } = this.#owner;
    for (let index = 0; index < g.gdtBlocks; index++) {
      const block = descriptorBlock(sb, g, index);
      if (block >= g.blocksCount)
        return new Ext4Error("corrupt", `descriptor block ${index} lies beyond the file system`, { block });
      const buffer = new Buffer(block, new Uint8Array(g.blockSize));
      const error = this.#owner.readBlocks(block, buffer.data);
      if (error < 0) return new Ext4Error("io", `cannot read descriptor block ${block}`, { errno: -error, block });
      this.descriptorBlocks.push(buffer);
      const count = Math.min(g.descPerBlock, g.groupCount - index * g.descPerBlock);
      for (let i = 0; i < count; i++) {
        this.descriptors.push(new GroupDescriptor(buffer.data, buffer.view, i * g.descSize, g.descSize));
      }
    }
    return undefined;
  }

  /** Takes in the groups that the owner's geometry has gained, with descriptors of zeros. */
  extend(): void {
    const { superblock: sb, geometry: g } = this.#owner;
    for (let group = this.descriptors.length; group < g.groupCount; group++) {
      const index = Math.floor(group / g.descPerBlock);
      if (index === this.descriptorBlocks.length)
        this.descriptorBlocks.push(new Buffer(descriptorBlock(sb, g, index), new Uint8Array(g.blockSize)));
      const { data, view } = this.descriptorBlocks[index];
      const at = (group % g.descPerBlock) * g.descSize;
      data.fill(0, at, at + g.descSize);
      this.descriptors.push(new GroupDescriptor(data, view, at, g.descSize));
    }
    const [blockHint, inodeHint] = [this.blockHint, this.inodeHint];
    this.blockHint = new Int32Array(g.groupCount);
    this.blockHint.set(blockHint);
    this.inodeHint = new Int32Array(g.groupCount);
    this.inodeHint.set(inodeHint);
  }

  /** Checks every descriptor: undefined when the volume may be used. As in Linux, a wrong checksum is no reason not to read. */
  check(): Ext4Error | undefined {
    const { superblock: sb, geometry: g } = this.#owner;
    const flex = sb.hasIncompat(EXT4_FEATURE_INCOMPAT_FLEX_BG);
    for (let group = 0; group < g.groupCount; group++) {
      const gd = this.descriptors[group];
      const first = flex ? g.firstDataBlock : groupStart(g, group);
      const end = flex ? g.blocksCount : first + groupBlocks(g, group);
      const inside = (block: number, count: number): boolean =>
        block >= first && block + count <= end && block > g.firstDataBlock;
      if (!inside(gd.blockBitmap, 1)) return this.#refuse(group, "block bitmap", gd.blockBitmap);
      if (!inside(gd.inodeBitmap, 1)) return this.#refuse(group, "inode bitmap", gd.inodeBitmap);
      if (!inside(gd.inodeTable, g.itableBlocks)) return this.#refuse(group, "inode table", gd.inodeTable);
      if (!gd.checksumIsValid(group, this.format)) {
        if (this.#owner.readOnly) {
          this.#owner.corrupt(`group ${group}: descriptor checksum is wrong`, 0, this.descriptorBuffer(group).block);
          continue;
        }
        return new Ext4Error("corrupt", `group ${group}: descriptor checksum is wrong`, {
          block: this.descriptorBuffer(group).block,
        });
      }
    }
    return undefined;
  }

  #refuse(group: number, what: string, block: number): Ext4Error {
    return new Ext4Error("corrupt", `group ${group}: ${what} at block ${block} is not where it may be`, { block });
  }

  descriptorBuffer(group: number): Buffer {
    return this.descriptorBlocks[Math.floor(group / this.#owner.geometry.descPerBlock)];
  }

  get hasChecksums(): boolean {
    return this.format.checksum !== "none";
  }

  /** Announces a change to the descriptor of `group`. */
  touch(group: number): void {
    this.#dirty.add(group);
    this.#owner.dirtyBuffer(this.descriptorBuffer(group), KIND_DESCRIPTORS, 0);
  }

  /** Group of a block, -1 for the blocks in front of the first group. */
  groupOfBlock(block: number): number {
    const g = this.#owner.geometry;
    return block < g.firstDataBlock ? -1 : Math.floor((block - g.firstDataBlock) / g.blocksPerGroup);
  }

  /** The block bitmap, or -EUCLEAN / -EIO. */
  blockBitmap(group: number): Buffer | number {
    const { cache, geometry: g } = this.#owner;
    const gd = this.descriptors[group];
    if (this.bad.has(group)) return -EUCLEAN;
    const block = gd.blockBitmap;
    if (this.hasChecksums && (gd.flags & EXT4_BG_BLOCK_UNINIT) !== 0) {
      const cached = cache.peek(block);
      if (cached !== undefined && cached.verifiedAs === KIND_BLOCK_BITMAP) return cached;
      const buffer = cache.create(block);
      this.#synthesizeBlockBitmap(group, buffer.data);
      buffer.verifiedAs = KIND_BLOCK_BITMAP;
      return buffer;
    }
    const buffer = cache.get(block);
    if (typeof buffer === "number" || buffer.verifiedAs === KIND_BLOCK_BITMAP) return buffer;
    if (this.format.checksum === "crc32c") {
      const csum = gd.storedWidth(crc32c(this.format.checksumSeed, buffer.data, 0, g.clustersPerGroup >> 3));
      if (csum !== gd.blockBitmapCsum) return this.#badBitmap(group, "block", block);
    }
    buffer.verifiedAs = KIND_BLOCK_BITMAP;
    return buffer;
  }

  /** The inode bitmap, or -EUCLEAN / -EIO. */
  inodeBitmap(group: number): Buffer | number {
    const { cache, geometry: g } = this.#owner;
    const gd = this.descriptors[group];
    if (this.bad.has(group)) return -EUCLEAN;
    const block = gd.inodeBitmap;
    if (this.hasChecksums && (gd.flags & EXT4_BG_INODE_UNINIT) !== 0) {
      const cached = cache.peek(block);
      if (cached !== undefined && cached.verifiedAs === KIND_INODE_BITMAP) return cached;
      const buffer = cache.create(block);
      setBits(buffer.data, g.inodesPerGroup, g.blockSize * 8 - g.inodesPerGroup);
      buffer.verifiedAs = KIND_INODE_BITMAP;
      return buffer;
    }
    const buffer = cache.get(block);
    if (typeof buffer === "number" || buffer.verifiedAs === KIND_INODE_BITMAP) return buffer;
    if (this.format.checksum === "crc32c") {
      const csum = gd.storedWidth(crc32c(this.format.checksumSeed, buffer.data, 0, g.inodesPerGroup >> 3));
      if (csum !== gd.inodeBitmapCsum) return this.#badBitmap(group, "inode", block);
    }
    buffer.verifiedAs = KIND_INODE_BITMAP;
    return buffer;
  }

  #badBitmap(group: number, what: string, block: number): number {
    this.bad.add(group);
    return this.#owner.corrupt(`group ${group}: ${what} bitmap checksum is wrong`, 0, block);
  }

  /** Marks a bitmap changed; the first change of a synthesised one makes it real. */
  touchBlockBitmap(group: number, buffer: Buffer): void {
    const gd = this.descriptors[group];
    if ((gd.flags & EXT4_BG_BLOCK_UNINIT) !== 0) gd.flags &= ~EXT4_BG_BLOCK_UNINIT;
    this.#owner.dirtyBuffer(buffer, KIND_BLOCK_BITMAP, group);
    this.touch(group);
  }

  touchInodeBitmap(group: number, buffer: Buffer): void {
    const gd = this.descriptors[group];
    if ((gd.flags & EXT4_BG_INODE_UNINIT) !== 0) gd.flags &= ~EXT4_BG_INODE_UNINIT;
    this.#owner.dirtyBuffer(buffer, KIND_INODE_BITMAP, group);
    this.touch(group);
  }

  /** Keeps freed bits from being allocated until the transaction that freed them has committed. */
  hold(group: number, bit: number, count: number): void {
    let bits = this.held.get(group);
    if (bits === undefined) {
      bits = new Uint8Array(this.#owner.geometry.blockSize);
      this.held.set(group, bits);
    }
    setBits(bits, bit, count);
  }

  /** Brings bitmap and descriptor checksums of all changed groups up to date; called once per commit. */
  updateChecksums(): void {
    const { cache, geometry: g } = this.#owner;
    for (const group of this.#dirty) {
      const gd = this.descriptors[group];
      if (this.format.checksum === "crc32c") {
        const blocks = cache.peek(gd.blockBitmap);
        if (blocks?.dirty)
          gd.blockBitmapCsum = crc32c(this.format.checksumSeed, blocks.data, 0, g.clustersPerGroup >> 3);
        const inodes = cache.peek(gd.inodeBitmap);
        if (inodes?.dirty) gd.inodeBitmapCsum = crc32c(this.format.checksumSeed, inodes.data, 0, g.inodesPerGroup >> 3);
      }
      gd.updateChecksum(group, this.format);
    }
    this.#dirty.clear();
  }

  /** ext4_init_block_bitmap: what a group's bitmap is before anything but its own metadata lies in it. */
  #synthesizeBlockBitmap(group: number, bits: Uint8Array): void {
    const { superblock: sb, geometry: g } = this.#owner;
    const start = groupStart(g, group);
    const count = groupBlocks(g, group);
    const gd = this.descriptors[group];
    const ratio = g.clusterSize / g.blockSize;
    const mark = (block: number, blocks: number): void => {
      for (let b = Math.max(block, start); b < Math.min(block + blocks, start + count); b++)
        setBits(bits, Math.floor((b - start) / ratio), 1);
    };
    setBits(bits, 0, Math.ceil(groupSuperBlocks(sb, g, group) / ratio));
    mark(gd.blockBitmap, 1);
    mark(gd.inodeBitmap, 1);
    mark(gd.inodeTable, g.itableBlocks);
    const used = Math.ceil(count / ratio);
    setBits(bits, used, g.blockSize * 8 - used);
  }
}
