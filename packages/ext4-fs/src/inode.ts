/**
 * One inode: its raw bytes as on disk, with accessors under the kernel's field names.
 *
 * The raw bytes are the truth; a changed inode is copied into its inode-table block, with its checksum, when the running
 * transaction commits. Offsets as in struct ext4_inode (Documentation/filesystems/ext4/inodes.rst).
 */
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from "linux-abi";
import type { Buffer } from "./buffer-cache.ts";
import { crc32c, crc32cU32, crc32cZero16 } from "./checksum/crc32c.ts";
import type { AclEntry } from "./xattr/acl.ts";

export const I_MODE = 0x0;
export const I_UID_LO = 0x2;
export const I_SIZE_LO = 0x4;
export const I_ATIME = 0x8;
export const I_CTIME = 0xc;
export const I_MTIME = 0x10;
export const I_DTIME = 0x14;
export const I_GID_LO = 0x18;
export const I_LINKS_COUNT = 0x1a;
export const I_BLOCKS_LO = 0x1c;
export const I_FLAGS = 0x20;
/** l_i_version: the low half of a change counter; in inodes that hold an attribute's value the reference count. */
export const I_VERSION_LO = 0x24;
export const I_BLOCK = 0x28;
export const I_GENERATION = 0x64;
export const I_FILE_ACL_LO = 0x68;
export const I_SIZE_HIGH = 0x6c;
export const I_BLOCKS_HIGH = 0x74;
export const I_FILE_ACL_HIGH = 0x76;
export const I_UID_HIGH = 0x78;
export const I_GID_HIGH = 0x7a;
export const I_CHECKSUM_LO = 0x7c;
export const I_EXTRA_ISIZE = 0x80;
export const I_CHECKSUM_HI = 0x82;
export const I_CTIME_EXTRA = 0x84;
export const I_MTIME_EXTRA = 0x88;
export const I_ATIME_EXTRA = 0x8c;
export const I_CRTIME = 0x90;
export const I_CRTIME_EXTRA = 0x94;
export const I_VERSION_HI = 0x98;
export const I_PROJID = 0x9c;
export const GOOD_OLD_INODE_SIZE = 128;
/** Bytes of i_block: extent root, block map or fast symlink target. */
export const I_BLOCK_SIZE = 60;

// i_flags
export const EXT4_IMMUTABLE_FL = 0x10;
export const EXT4_APPEND_FL = 0x20;
export const EXT4_NODUMP_FL = 0x40;
export const EXT4_NOATIME_FL = 0x80;
export const EXT4_ENCRYPT_FL = 0x800;
export const EXT4_INDEX_FL = 0x1000;
export const EXT4_JOURNAL_DATA_FL = 0x4000;
export const EXT4_DIRSYNC_FL = 0x10000;
export const EXT4_TOPDIR_FL = 0x20000;
export const EXT4_HUGE_FILE_FL = 0x40000;
export const EXT4_EXTENTS_FL = 0x80000;
export const EXT4_VERITY_FL = 0x100000;
export const EXT4_EA_INODE_FL = 0x200000;
export const EXT4_INLINE_DATA_FL = 0x10000000;
export const EXT4_PROJINHERIT_FL = 0x20000000;
export const EXT4_CASEFOLD_FL = 0x40000000;
/** Flags that a new file inherits from its directory (EXT4_FL_INHERITED without compression). */
export const EXT4_FL_INHERITED: number =
  0x1 | 0x2 | 0x8 | 0x40 | 0x80 | 0x400 | 0x4000 | 0x8000 | EXT4_DIRSYNC_FL | EXT4_PROJINHERIT_FL | EXT4_CASEFOLD_FL;

export type TimeField = "atime" | "mtime" | "ctime" | "crtime";

/** Where the four times live: seconds, and the word with nanoseconds and epoch bits. */
const TIME_FIELDS: { readonly [which in TimeField]: readonly [number, number] } = {
  atime: [I_ATIME, I_ATIME_EXTRA],
  mtime: [I_MTIME, I_MTIME_EXTRA],
  ctime: [I_CTIME, I_CTIME_EXTRA],
  crtime: [I_CRTIME, I_CRTIME_EXTRA],
};

export class CoreInode {
  readonly ino: number;
  readonly raw: Uint8Array;
  readonly view: DataView;
  /** Checksum seed for this inode and the metadata blocks it owns. */
  csumSeed = 0;
  /** The inode-table block while the running transaction holds it. */
  buffer: Buffer | null = null;
  dirty = false;
  touched = true;
  /** Users of this inode; while there are any it stays in memory, and its blocks live even without links. */
  refs = 0;
  /** On the orphan list, or in slot `orphanSlot` of the orphan file. */
  orphan = false;
  orphanSlot = -1;
  /** Gone from disk: the number may be reused by another inode object. */
  deleted = false;
  /** Where the next block of this file would best lie; 0 = no idea yet. */
  allocationGoal = 0;
  /** Set for directories: the block in which the last insertion found room. */
  insertHint = 0;
  /** The access ACL; null = none, undefined = not looked at since the attributes last changed. */
  accessAcl: readonly AclEntry[] | null | undefined = undefined;
  /** Made without a name (O_TMPFILE): `linkInode` may give it its first one. */
  linkable = false;
  /** Times changed in memory only (lazytime); they are written with the inode's next change, or by a sync. */
  lazy = false;
  /** The object that represents this inode at a higher layer. */
  face: object | null = null;

  readonly #has64bit: boolean;

  /** `has64bit`: the volume's block numbers have a high half. */
  constructor(ino: number, raw: Uint8Array, has64bit: boolean) {
    this.#has64bit = has64bit;
    this.ino = ino;
    this.raw = raw;
    this.view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  }

  get mode(): number {
    return this.view.getUint16(I_MODE, true);
  }
  set mode(mode: number) {
    this.view.setUint16(I_MODE, mode, true);
  }
  get isDirectory(): boolean {
    return (this.mode & S_IFMT) === S_IFDIR;
  }
  get isRegular(): boolean {
    return (this.mode & S_IFMT) === S_IFREG;
  }
  get isSymlink(): boolean {
    return (this.mode & S_IFMT) === S_IFLNK;
  }
  get uid(): number {
    return this.view.getUint16(I_UID_LO, true) + this.view.getUint16(I_UID_HIGH, true) * 0x1_0000;
  }
  set uid(uid: number) {
    this.view.setUint16(I_UID_LO, uid & 0xffff, true);
    this.view.setUint16(I_UID_HIGH, uid >>> 16, true);
  }
  get gid(): number {
    return this.view.getUint16(I_GID_LO, true) + this.view.getUint16(I_GID_HIGH, true) * 0x1_0000;
  }
  set gid(gid: number) {
    this.view.setUint16(I_GID_LO, gid & 0xffff, true);
    this.view.setUint16(I_GID_HIGH, gid >>> 16, true);
  }
  /** Bytes. The high half counts for regular files only: elsewhere it is ext2's i_dir_acl. */
  get size(): number {
    return this.isRegular ? this.storedSize : this.view.getUint32(I_SIZE_LO, true);
  }
  /** Both halves of the size, whatever the inode is. */
  get storedSize(): number {
    return this.view.getUint32(I_SIZE_LO, true) + this.view.getUint32(I_SIZE_HIGH, true) * 0x1_0000_0000;
  }
  set size(size: number) {
    this.view.setUint32(I_SIZE_LO, size >>> 0, true);
    this.view.setUint32(I_SIZE_HIGH, Math.floor(size / 0x1_0000_0000), true);
  }
  /** On-disk link count; 1 on a directory means "too many to count" (dir_nlink). */
  get links(): number {
    return this.view.getUint16(I_LINKS_COUNT, true);
  }
  set links(count: number) {
    this.view.setUint16(I_LINKS_COUNT, count, true);
  }
  get flags(): number {
    return this.view.getUint32(I_FLAGS, true);
  }
  set flags(flags: number) {
    this.view.setUint32(I_FLAGS, flags, true);
  }
  hasFlag(flag: number): boolean {
    return (this.view.getUint32(I_FLAGS, true) & flag) !== 0;
  }
  get generation(): number {
    return this.view.getUint32(I_GENERATION, true);
  }
  set generation(generation: number) {
    this.view.setUint32(I_GENERATION, generation, true);
  }
  /** Deletion time in seconds, or the next orphan's inode number while on the orphan list. */
  get dtime(): number {
    return this.view.getUint32(I_DTIME, true);
  }
  set dtime(value: number) {
    this.view.setUint32(I_DTIME, value, true);
  }
  /** Block of extended attributes, 0 = none. */
  get fileAcl(): number {
    const low = this.view.getUint32(I_FILE_ACL_LO, true);
    return this.#has64bit ? low + this.view.getUint16(I_FILE_ACL_HIGH, true) * 0x1_0000_0000 : low;
  }
  set fileAcl(block: number) {
    this.view.setUint32(I_FILE_ACL_LO, block >>> 0, true);
    this.view.setUint16(I_FILE_ACL_HIGH, Math.floor(block / 0x1_0000_0000), true);
  }
  get extraIsize(): number {
    return this.raw.length > GOOD_OLD_INODE_SIZE ? this.view.getUint16(I_EXTRA_ISIZE, true) : 0;
  }
  /** Whether the extra part reaches over the field of `byteLength` bytes at `at`. */
  fits(at: number, byteLength: number): boolean {
    return at + byteLength <= GOOD_OLD_INODE_SIZE + this.extraIsize;
  }

  /** A symbolic link whose target lies in i_block: it has no blocks, but for one of attributes. */
  isFastSymlink(blockSize: number, clusterSize: number): boolean {
    if (!this.isSymlink || this.size >= I_BLOCK_SIZE) return false;
    return this.blocks512(blockSize) <= (this.fileAcl !== 0 ? clusterSize / 512 : 0);
  }

  /** Space used, in 512-byte units. */
  blocks512(blockSize: number): number {
    const count = this.view.getUint32(I_BLOCKS_LO, true) + this.view.getUint16(I_BLOCKS_HIGH, true) * 0x1_0000_0000;
    return this.hasFlag(EXT4_HUGE_FILE_FL) ? count * (blockSize / 512) : count;
  }
  /** Adds (or with a negative count takes away) file system blocks. */
  addBlocks(blocks: number, blockSize: number): void {
    const count = Math.max(0, this.blocks512(blockSize) + blocks * (blockSize / 512));
    const huge = count >= 2 ** 48;
    const stored = huge ? count / (blockSize / 512) : count;
    this.flags = huge ? this.flags | EXT4_HUGE_FILE_FL : this.flags & ~EXT4_HUGE_FILE_FL;
    this.view.setUint32(I_BLOCKS_LO, stored >>> 0, true);
    this.view.setUint16(I_BLOCKS_HIGH, Math.floor(stored / 0x1_0000_0000), true);
  }

  readTime(which: TimeField, out: { sec: number; nsec: number }): boolean {
    const [at, extraAt] = TIME_FIELDS[which];
    if (which === "crtime" && !this.fits(at, 4)) return false;
    let sec = this.view.getInt32(at, true);
    let nsec = 0;
    if (this.fits(extraAt, 4)) {
      const extra = this.view.getUint32(extraAt, true);
      sec += (extra & 3) * 0x1_0000_0000;
      nsec = extra >>> 2;
    }
    out.sec = sec;
    out.nsec = nsec > 999_999_999 ? 0 : nsec;
    return true;
  }

  /** Seconds outside what the inode can hold are clamped: 1901..2446, or 1901..2038 in 128-byte inodes. */
  writeTime(which: TimeField, sec: number, nsec: number): void {
    const [at, extraAt] = TIME_FIELDS[which];
    if (which === "crtime" && !this.fits(at, 4)) return;
    if (this.fits(extraAt, 4)) {
      const clamped = Math.min(Math.max(sec, -0x8000_0000), 0x3_7fff_ffff);
      const low = clamped | 0;
      this.view.setInt32(at, low, true);
      this.view.setUint32(extraAt, ((nsec << 2) | (((clamped - low) / 0x1_0000_0000) & 3)) >>> 0, true);
    } else {
      this.view.setInt32(at, Math.min(Math.max(sec, -0x8000_0000), 0x7fff_ffff), true);
    }
  }

  /** Recomputes `csumSeed`: it depends on the number and the generation. */
  setSeed(volumeSeed: number): void {
    this.csumSeed = crc32cU32(crc32cU32(volumeSeed, this.ino), this.generation);
  }

  #hasChecksumHi(): boolean {
    return this.raw.length > GOOD_OLD_INODE_SIZE && this.extraIsize >= I_CHECKSUM_HI + 2 - GOOD_OLD_INODE_SIZE;
  }

  checksum(): number {
    const raw = this.raw;
    let c = crc32c(this.csumSeed, raw, 0, I_CHECKSUM_LO);
    c = crc32cZero16(c);
    c = crc32c(c, raw, I_CHECKSUM_LO + 2, GOOD_OLD_INODE_SIZE);
    if (raw.length > GOOD_OLD_INODE_SIZE) {
      if (this.#hasChecksumHi()) {
        c = crc32c(c, raw, GOOD_OLD_INODE_SIZE, I_CHECKSUM_HI);
        c = crc32cZero16(c);
        c = crc32c(c, raw, I_CHECKSUM_HI + 2, raw.length);
      } else {
        c = crc32c(c, raw, GOOD_OLD_INODE_SIZE, raw.length);
      }
    }
    return c;
  }
  checksumIsValid(): boolean {
    const c = this.checksum();
    if (this.view.getUint16(I_CHECKSUM_LO, true) !== (c & 0xffff)) return false;
    return !this.#hasChecksumHi() || this.view.getUint16(I_CHECKSUM_HI, true) === c >>> 16;
  }
  updateChecksum(): void {
    const c = this.checksum();
    this.view.setUint16(I_CHECKSUM_LO, c & 0xffff, true);
    if (this.#hasChecksumHi()) this.view.setUint16(I_CHECKSUM_HI, c >>> 16, true);
  }
}
