/**
 * Block group descriptors, 32 or (64bit) desc_size bytes each, in the blocks behind the superblock.
 * Offsets as in struct ext4_group_desc; the *_HI halves exist only with 64-byte descriptors.
 */
import { crc16 } from "./checksum/crc16.ts";
import { crc32c, crc32cU32, crc32cZero16 } from "./checksum/crc32c.ts";

export const BG_BLOCK_BITMAP_LO = 0x0;
export const BG_INODE_BITMAP_LO = 0x4;
export const BG_INODE_TABLE_LO = 0x8;
export const BG_FREE_BLOCKS_COUNT_LO = 0xc;
export const BG_FREE_INODES_COUNT_LO = 0xe;
export const BG_USED_DIRS_COUNT_LO = 0x10;
export const BG_FLAGS = 0x12;
export const BG_BLOCK_BITMAP_CSUM_LO = 0x18;
export const BG_INODE_BITMAP_CSUM_LO = 0x1a;
export const BG_ITABLE_UNUSED_LO = 0x1c;
export const BG_CHECKSUM = 0x1e;
export const BG_BLOCK_BITMAP_HI = 0x20;
export const BG_INODE_BITMAP_HI = 0x24;
export const BG_INODE_TABLE_HI = 0x28;
export const BG_FREE_BLOCKS_COUNT_HI = 0x2c;
export const BG_FREE_INODES_COUNT_HI = 0x2e;
export const BG_USED_DIRS_COUNT_HI = 0x30;
export const BG_ITABLE_UNUSED_HI = 0x32;
export const BG_BLOCK_BITMAP_CSUM_HI = 0x38;
export const BG_INODE_BITMAP_CSUM_HI = 0x3a;

// bg_flags
export const EXT4_BG_INODE_UNINIT = 0x1;
export const EXT4_BG_BLOCK_UNINIT = 0x2;
export const EXT4_BG_INODE_ZEROED = 0x4;

/** How descriptors of a volume are laid out and checked. */
export interface DescriptorFormat {
  /** Bytes per descriptor. */
  readonly size: number;
  readonly checksum: "crc32c" | "crc16" | "none";
  readonly checksumSeed: number;
  readonly uuid: Uint8Array;
}

/** One descriptor in place: `base` is its offset in `view`. */
export class GroupDescriptor {
  readonly view: DataView;
  readonly bytes: Uint8Array;
  readonly base: number;
  readonly wide: boolean;

  constructor(bytes: Uint8Array, view: DataView, base: number, size: number) {
    this.bytes = bytes;
    this.view = view;
    this.base = base;
    this.wide = size >= 64;
  }

  #word(lo: number, hi: number): number {
    const low = this.view.getUint32(this.base + lo, true);
    return this.wide ? low + this.view.getUint32(this.base + hi, true) * 0x1_0000_0000 : low;
  }
  #setWord(lo: number, hi: number, value: number): void {
    this.view.setUint32(this.base + lo, value >>> 0, true);
    if (this.wide) this.view.setUint32(this.base + hi, Math.floor(value / 0x1_0000_0000), true);
  }
  #half(lo: number, hi: number): number {
    const low = this.view.getUint16(this.base + lo, true);
    return this.wide ? low + this.view.getUint16(this.base + hi, true) * 0x1_0000 : low;
  }
  #setHalf(lo: number, hi: number, value: number): void {
    this.view.setUint16(this.base + lo, value & 0xffff, true);
    if (this.wide) this.view.setUint16(this.base + hi, value >>> 16, true);
  }

  get blockBitmap(): number {
    return this.#word(BG_BLOCK_BITMAP_LO, BG_BLOCK_BITMAP_HI);
  }
  set blockBitmap(block: number) {
    this.#setWord(BG_BLOCK_BITMAP_LO, BG_BLOCK_BITMAP_HI, block);
  }
  get inodeBitmap(): number {
    return this.#word(BG_INODE_BITMAP_LO, BG_INODE_BITMAP_HI);
  }
  set inodeBitmap(block: number) {
    this.#setWord(BG_INODE_BITMAP_LO, BG_INODE_BITMAP_HI, block);
  }
  get inodeTable(): number {
    return this.#word(BG_INODE_TABLE_LO, BG_INODE_TABLE_HI);
  }
  set inodeTable(block: number) {
    this.#setWord(BG_INODE_TABLE_LO, BG_INODE_TABLE_HI, block);
  }
  get freeBlocks(): number {
    return this.#half(BG_FREE_BLOCKS_COUNT_LO, BG_FREE_BLOCKS_COUNT_HI);
  }
  set freeBlocks(count: number) {
    this.#setHalf(BG_FREE_BLOCKS_COUNT_LO, BG_FREE_BLOCKS_COUNT_HI, count);
  }
  get freeInodes(): number {
    return this.#half(BG_FREE_INODES_COUNT_LO, BG_FREE_INODES_COUNT_HI);
  }
  set freeInodes(count: number) {
    this.#setHalf(BG_FREE_INODES_COUNT_LO, BG_FREE_INODES_COUNT_HI, count);
  }
  get usedDirs(): number {
    return this.#half(BG_USED_DIRS_COUNT_LO, BG_USED_DIRS_COUNT_HI);
  }
  set usedDirs(count: number) {
    this.#setHalf(BG_USED_DIRS_COUNT_LO, BG_USED_DIRS_COUNT_HI, count);
  }
  /** Inodes at the end of the table that were never used and need not be looked at. */
  get itableUnused(): number {
    return this.#half(BG_ITABLE_UNUSED_LO, BG_ITABLE_UNUSED_HI);
  }
  set itableUnused(count: number) {
    this.#setHalf(BG_ITABLE_UNUSED_LO, BG_ITABLE_UNUSED_HI, count);
  }
  get flags(): number {
    return this.view.getUint16(this.base + BG_FLAGS, true);
  }
  set flags(flags: number) {
    this.view.setUint16(this.base + BG_FLAGS, flags, true);
  }
  /** Stored checksum of the block bitmap; 16 bits wide in 32-byte descriptors. */
  get blockBitmapCsum(): number {
    return this.#half(BG_BLOCK_BITMAP_CSUM_LO, BG_BLOCK_BITMAP_CSUM_HI);
  }
  set blockBitmapCsum(csum: number) {
    this.#setHalf(BG_BLOCK_BITMAP_CSUM_LO, BG_BLOCK_BITMAP_CSUM_HI, csum);
  }
  get inodeBitmapCsum(): number {
    return this.#half(BG_INODE_BITMAP_CSUM_LO, BG_INODE_BITMAP_CSUM_HI);
  }
  set inodeBitmapCsum(csum: number) {
    this.#setHalf(BG_INODE_BITMAP_CSUM_LO, BG_INODE_BITMAP_CSUM_HI, csum);
  }
  /** A bitmap checksum cut to the width that this descriptor stores. */
  storedWidth(csum: number): number {
    return this.wide ? csum >>> 0 : csum & 0xffff;
  }

  checksum(group: number, format: DescriptorFormat): number {
    const { bytes, base } = this;
    if (format.checksum === "crc32c") {
      let c = crc32cU32(format.checksumSeed, group);
      c = crc32c(c, bytes, base, base + BG_CHECKSUM);
      c = crc32cZero16(c);
      return crc32c(c, bytes, base + BG_CHECKSUM + 2, base + format.size) & 0xffff;
    }
    let c = crc16(0xffff, format.uuid);
    c = crc16(c, Uint8Array.of(group & 0xff, (group >>> 8) & 0xff, (group >>> 16) & 0xff, group >>> 24));
    c = crc16(c, bytes, base, base + BG_CHECKSUM);
    return format.size > 32 ? crc16(c, bytes, base + BG_CHECKSUM + 2, base + format.size) : c;
  }
  checksumIsValid(group: number, format: DescriptorFormat): boolean {
    return (
      format.checksum === "none" || this.view.getUint16(this.base + BG_CHECKSUM, true) === this.checksum(group, format)
    );
  }
  updateChecksum(group: number, format: DescriptorFormat): void {
    if (format.checksum !== "none") this.view.setUint16(this.base + BG_CHECKSUM, this.checksum(group, format), true);
  }
}
