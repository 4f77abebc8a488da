/**
 * The superblock: 1024 bytes at byte 1024 of the device, little endian. Offsets are named as in the kernel's
 * struct ext4_super_block; see Documentation/filesystems/ext4/super.rst.
 *
 * `Superblock` is a view: it reads and writes the buffer it was given (which later is the cached block that the journal logs).
 */
import { crc32c, CRC_INIT } from "./checksum/crc32c.ts";
import {
  EXT4_FEATURE_INCOMPAT_64BIT,
  EXT4_FEATURE_INCOMPAT_CSUM_SEED,
  EXT4_FEATURE_RO_COMPAT_METADATA_CSUM,
} from "./features.ts";

export const SUPERBLOCK_OFFSET = 1024;
export const SUPERBLOCK_SIZE = 1024;
export const EXT4_SUPER_MAGIC = 0xef53;

export const S_INODES_COUNT = 0x0;
export const S_BLOCKS_COUNT_LO = 0x4;
export const S_R_BLOCKS_COUNT_LO = 0x8;
export const S_FREE_BLOCKS_COUNT_LO = 0xc;
export const S_FREE_INODES_COUNT = 0x10;
export const S_FIRST_DATA_BLOCK = 0x14;
export const S_LOG_BLOCK_SIZE = 0x18;
export const S_LOG_CLUSTER_SIZE = 0x1c;
export const S_BLOCKS_PER_GROUP = 0x20;
export const S_CLUSTERS_PER_GROUP = 0x24;
export const S_INODES_PER_GROUP = 0x28;
export const S_MTIME = 0x2c;
export const S_WTIME = 0x30;
export const S_MNT_COUNT = 0x34;
export const S_MAX_MNT_COUNT = 0x36;
export const S_MAGIC = 0x38;
export const S_STATE = 0x3a;
export const S_ERRORS = 0x3c;
export const S_LASTCHECK = 0x40;
export const S_CHECKINTERVAL = 0x44;
export const S_REV_LEVEL = 0x4c;
export const S_FIRST_INO = 0x54;
export const S_INODE_SIZE = 0x58;
export const S_BLOCK_GROUP_NR = 0x5a;
export const S_FEATURE_COMPAT = 0x5c;
export const S_FEATURE_INCOMPAT = 0x60;
export const S_FEATURE_RO_COMPAT = 0x64;
export const S_UUID = 0x68;
export const S_VOLUME_NAME = 0x78;
export const S_LAST_MOUNTED = 0x88;
export const S_RESERVED_GDT_BLOCKS = 0xce;
export const S_JOURNAL_UUID = 0xd0;
export const S_JOURNAL_INUM = 0xe0;
export const S_JOURNAL_DEV = 0xe4;
export const S_LAST_ORPHAN = 0xe8;
export const S_HASH_SEED = 0xec;
export const S_DEF_HASH_VERSION = 0xfc;
export const S_JNL_BACKUP_TYPE = 0xfd;
export const S_DESC_SIZE = 0xfe;
export const S_DEFAULT_MOUNT_OPTS = 0x100;
export const S_FIRST_META_BG = 0x104;
export const S_MKFS_TIME = 0x108;
export const S_JNL_BLOCKS = 0x10c;
export const S_BLOCKS_COUNT_HI = 0x150;
export const S_R_BLOCKS_COUNT_HI = 0x154;
export const S_FREE_BLOCKS_COUNT_HI = 0x158;
export const S_MIN_EXTRA_ISIZE = 0x15c;
export const S_WANT_EXTRA_ISIZE = 0x15e;
export const S_FLAGS = 0x160;
export const S_RAID_STRIDE = 0x164;
export const S_RAID_STRIPE_WIDTH = 0x170;
/** Multiple mount protection: seconds between updates, and its block. */
export const S_MMP_INTERVAL = 0x166;
export const S_MMP_BLOCK = 0x168;
export const S_LOG_GROUPS_PER_FLEX = 0x174;
export const S_CHECKSUM_TYPE = 0x175;
export const S_KBYTES_WRITTEN = 0x178;
export const S_ERROR_COUNT = 0x194;
export const S_FIRST_ERROR_TIME = 0x198;
export const S_FIRST_ERROR_INO = 0x19c;
export const S_FIRST_ERROR_BLOCK = 0x1a0;
export const S_LAST_ERROR_TIME = 0x1cc;
export const S_LAST_ERROR_INO = 0x1d0;
export const S_LAST_ERROR_BLOCK = 0x1d8;
export const S_USR_QUOTA_INUM = 0x240;
export const S_GRP_QUOTA_INUM = 0x244;
export const S_OVERHEAD_CLUSTERS = 0x248;
export const S_BACKUP_BGS = 0x24c;
export const S_PRJ_QUOTA_INUM = 0x26c;
export const S_CHECKSUM_SEED = 0x270;
/** s_encoding and s_encoding_flags of casefold, each u16. */
export const S_ENCODING = 0x27c;
export const S_ENCODING_FLAGS = 0x27e;
export const EXT4_ENC_UTF8_12_1 = 1;
export const EXT4_ENC_STRICT_MODE_FL = 1;
export const S_ORPHAN_FILE_INUM = 0x280;
export const S_CHECKSUM = 0x3fc;

// s_state
export const EXT4_VALID_FS = 0x1;
export const EXT4_ERROR_FS = 0x2;
export const EXT4_ORPHAN_FS = 0x4;
// s_errors
export const EXT4_ERRORS_CONTINUE = 1;
export const EXT4_ERRORS_RO = 2;
export const EXT4_ERRORS_PANIC = 3;
// s_flags
export const EXT2_FLAGS_SIGNED_HASH = 0x1;
export const EXT2_FLAGS_UNSIGNED_HASH = 0x2;
// s_default_mount_opts
export const EXT4_DEFM_XATTR_USER = 0x4;
export const EXT4_DEFM_ACL = 0x8;

// Reserved inode numbers.
export const EXT4_BAD_INO = 1;
export const EXT4_ROOT_INO = 2;
export const EXT4_RESIZE_INO = 7;
export const EXT4_JOURNAL_INO = 8;
export const EXT4_GOOD_OLD_FIRST_INO = 11;

export class Superblock {
  /** The 1024 bytes. */
  readonly bytes: Uint8Array;
  readonly view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, SUPERBLOCK_SIZE);
  }

  u8(at: number): number {
    return this.bytes[at];
  }
  u16(at: number): number {
    return this.view.getUint16(at, true);
  }
  u32(at: number): number {
    return this.view.getUint32(at, true);
  }
  setU16(at: number, value: number): void {
    this.view.setUint16(at, value, true);
  }
  setU32(at: number, value: number): void {
    this.view.setUint32(at, value, true);
  }
  /** A count split into a low word at `lo` and, on 64-bit file systems, a high word at `hi`. */
  split(lo: number, hi: number): number {
    return this.u32(lo) + (this.has64bit ? this.u32(hi) * 0x1_0000_0000 : 0);
  }
  setSplit(lo: number, hi: number, value: number): void {
    this.setU32(lo, value >>> 0);
    if (this.has64bit) this.setU32(hi, Math.floor(value / 0x1_0000_0000));
  }

  hasCompat(bit: number): boolean {
    return (this.u32(S_FEATURE_COMPAT) & bit) !== 0;
  }
  hasIncompat(bit: number): boolean {
    return (this.u32(S_FEATURE_INCOMPAT) & bit) !== 0;
  }
  hasRoCompat(bit: number): boolean {
    return (this.u32(S_FEATURE_RO_COMPAT) & bit) !== 0;
  }
  setCompat(bit: number, on: boolean): void {
    const bits = this.u32(S_FEATURE_COMPAT);
    this.setU32(S_FEATURE_COMPAT, on ? bits | bit : bits & ~bit);
  }
  setIncompat(bit: number, on: boolean): void {
    const bits = this.u32(S_FEATURE_INCOMPAT);
    this.setU32(S_FEATURE_INCOMPAT, on ? bits | bit : bits & ~bit);
  }
  setRoCompat(bit: number, on: boolean): void {
    const bits = this.u32(S_FEATURE_RO_COMPAT);
    this.setU32(S_FEATURE_RO_COMPAT, on ? bits | bit : bits & ~bit);
  }

  get has64bit(): boolean {
    return this.hasIncompat(EXT4_FEATURE_INCOMPAT_64BIT);
  }
  get hasMetadataCsum(): boolean {
    return this.hasRoCompat(EXT4_FEATURE_RO_COMPAT_METADATA_CSUM);
  }
  get blockSize(): number {
    return 1024 << this.u32(S_LOG_BLOCK_SIZE);
  }
  get blocksCount(): number {
    return this.split(S_BLOCKS_COUNT_LO, S_BLOCKS_COUNT_HI);
  }
  get freeBlocksCount(): number {
    return this.split(S_FREE_BLOCKS_COUNT_LO, S_FREE_BLOCKS_COUNT_HI);
  }
  get reservedBlocksCount(): number {
    return this.split(S_R_BLOCKS_COUNT_LO, S_R_BLOCKS_COUNT_HI);
  }
  get uuid(): Uint8Array {
    return this.bytes.subarray(S_UUID, S_UUID + 16);
  }
  /** The volume name up to its NUL, as Latin-1. */
  get volumeName(): string {
    let name = "";
    for (let i = 0; i < 16 && this.bytes[S_VOLUME_NAME + i] !== 0; i++)
      name += String.fromCharCode(this.bytes[S_VOLUME_NAME + i]);
    return name;
  }

  /** Start of every metadata checksum chain: the stored seed, else that of the UUID. */
  checksumSeed(): number {
    return this.hasIncompat(EXT4_FEATURE_INCOMPAT_CSUM_SEED) ? this.u32(S_CHECKSUM_SEED) : crc32c(CRC_INIT, this.uuid);
  }
  checksum(): number {
    return crc32c(CRC_INIT, this.bytes, 0, S_CHECKSUM);
  }
  checksumIsValid(): boolean {
    return !this.hasMetadataCsum || this.u32(S_CHECKSUM) === this.checksum();
  }
  updateChecksum(): void {
    if (this.hasMetadataCsum) this.setU32(S_CHECKSUM, this.checksum());
  }
}
