/**
 * jbd2 on-disk format; everything big endian. (Documentation/filesystems/ext4/journal.rst)
 *
 *   log block 0        journal superblock (1024 bytes)
 *   s_first ..         circular log:  [revoke]* [descriptor data*]* commit   per transaction
 *
 * Every log block except data begins with the header: magic, block type, sequence (transaction number).
 */
import { crc32c, crc32cU32, CRC_INIT } from "../checksum/crc32c.ts";

export const JBD2_MAGIC = 0xc03b3998;
export const HEADER_SIZE = 12;
export const H_BLOCKTYPE = 4;
export const H_SEQUENCE = 8;
export const BLOCKTYPE_DESCRIPTOR = 1;
export const BLOCKTYPE_COMMIT = 2;
export const BLOCKTYPE_SUPERBLOCK_V1 = 3;
export const BLOCKTYPE_SUPERBLOCK_V2 = 4;
export const BLOCKTYPE_REVOKE = 5;

// Journal superblock.
export const JS_BLOCKSIZE = 0x0c;
export const JS_MAXLEN = 0x10;
export const JS_FIRST = 0x14;
export const JS_SEQUENCE = 0x18;
export const JS_START = 0x1c;
export const JS_ERRNO = 0x20;
export const JS_FEATURE_COMPAT = 0x24;
export const JS_FEATURE_INCOMPAT = 0x28;
export const JS_FEATURE_RO_COMPAT = 0x2c;
export const JS_UUID = 0x30;
export const JS_NR_USERS = 0x40;
export const JS_CHECKSUM_TYPE = 0x50;
export const JS_NUM_FC_BLOCKS = 0x54;
export const JS_CHECKSUM = 0xfc;
export const JS_SIZE = 1024;
export const JBD2_CRC32C_CHKSUM = 4;

export const JBD2_FEATURE_INCOMPAT_REVOKE = 0x1;
export const JBD2_FEATURE_INCOMPAT_64BIT = 0x2;
export const JBD2_FEATURE_INCOMPAT_ASYNC_COMMIT = 0x4;
export const JBD2_FEATURE_INCOMPAT_CSUM_V2 = 0x8;
export const JBD2_FEATURE_INCOMPAT_CSUM_V3 = 0x10;
export const JBD2_FEATURE_INCOMPAT_FAST_COMMIT = 0x20;
export const JBD2_KNOWN_INCOMPAT = 0x3f;
/** Blocks at the end of the log set aside for fast commits when the superblock says 0. */
export const JBD2_DEFAULT_FAST_COMMIT_BLOCKS = 256;

// Tag flags.
export const JBD2_FLAG_ESCAPE = 1;
export const JBD2_FLAG_SAME_UUID = 2;
export const JBD2_FLAG_LAST_TAG = 8;

// Commit block.
export const COMMIT_CHKSUM = 0x10;
export const COMMIT_SEC = 0x30;
export const COMMIT_NSEC = 0x38;
export const COMMIT_SIZE = 0x3c;
// Revoke block: bytes used, header included.
export const REVOKE_COUNT = 0x0c;
export const REVOKE_HEADER_SIZE = 16;

/** What the journal's feature bits mean for its blocks. */
export interface JournalFormat {
  readonly wide: boolean;
  readonly checksums: 0 | 2 | 3;
  /** Bytes per tag, without a UUID. */
  readonly tagSize: number;
  /** Bytes at the end of descriptor and revoke blocks taken by their checksum. */
  readonly tailSize: number;
  readonly seed: number;
}

export function journalFormat(jsb: DataView): JournalFormat {
  const hasFeatures = jsb.getUint32(H_BLOCKTYPE) === BLOCKTYPE_SUPERBLOCK_V2;
  const incompat = hasFeatures ? jsb.getUint32(JS_FEATURE_INCOMPAT) : 0;
  const wide = (incompat & JBD2_FEATURE_INCOMPAT_64BIT) !== 0;
  const checksums =
    (incompat & JBD2_FEATURE_INCOMPAT_CSUM_V3) !== 0 ? 3 : (incompat & JBD2_FEATURE_INCOMPAT_CSUM_V2) !== 0 ? 2 : 0;
  const tagSize = checksums === 3 ? 16 : (wide ? 12 : 8) + (checksums === 2 ? 2 : 0);
  const bytes = new Uint8Array(jsb.buffer, jsb.byteOffset, JS_SIZE);
  return {
    wide,
    checksums,
    tagSize,
    tailSize: checksums !== 0 ? 4 : 0,
    seed: crc32c(CRC_INIT, bytes, JS_UUID, JS_UUID + 16),
  };
}

export function journalSuperblockChecksum(bytes: Uint8Array): number {
  const c = crc32cU32(crc32c(CRC_INIT, bytes, 0, JS_CHECKSUM), 0);
  return crc32c(c, bytes, JS_CHECKSUM + 4, JS_SIZE);
}

/** Checksum of a logged data block, as its tag stores it (csum v2 keeps the low half). */
export function dataChecksum(format: JournalFormat, sequence: number, data: Uint8Array): number {
  // The sequence goes in as it lies on disk, big endian.
  const swapped =
    ((sequence >>> 24) | ((sequence >>> 8) & 0xff00) | ((sequence << 8) & 0xff0000) | (sequence << 24)) >>> 0;
  const c = crc32c(crc32cU32(format.seed, swapped), data);
  return format.checksums === 3 ? c : c & 0xffff;
}

/** Checksum of a descriptor or revoke block: over all of it but the last four bytes, which count as zero. */
export function tailChecksum(format: JournalFormat, data: Uint8Array): number {
  return crc32cU32(crc32c(format.seed, data, 0, data.length - 4), 0);
}

export function commitChecksum(format: JournalFormat, data: Uint8Array): number {
  const c = crc32cU32(crc32c(format.seed, data, 0, COMMIT_CHKSUM), 0);
  return crc32c(c, data, COMMIT_CHKSUM + 4, data.length);
}

/** One tag of a descriptor block. */
export interface Tag {
  block: number;
  flags: number;
  checksum: number;
}

/** Reads the tag at `at` and gives the offset of the next one. */
export function readTag(format: JournalFormat, view: DataView, at: number, out: Tag): number {
  out.block = view.getUint32(at);
  if (format.checksums === 3) {
    out.flags = view.getUint32(at + 4);
    if (format.wide) out.block += view.getUint32(at + 8) * 0x1_0000_0000;
    out.checksum = view.getUint32(at + 12);
  } else {
    out.checksum = view.getUint16(at + 4);
    out.flags = view.getUint16(at + 6);
    if (format.wide) out.block += view.getUint32(at + 8) * 0x1_0000_0000;
  }
  return at + format.tagSize + ((out.flags & JBD2_FLAG_SAME_UUID) === 0 ? 16 : 0);
}

/** Writes a tag (the caller adds the UUID behind the first one) and gives the offset behind it. */
export function writeTag(format: JournalFormat, view: DataView, at: number, tag: Tag): number {
  view.setUint32(at, tag.block >>> 0);
  const high = Math.floor(tag.block / 0x1_0000_0000);
  if (format.checksums === 3) {
    view.setUint32(at + 4, tag.flags);
    view.setUint32(at + 8, high);
    view.setUint32(at + 12, tag.checksum);
  } else {
    view.setUint16(at + 4, tag.checksum);
    view.setUint16(at + 6, tag.flags);
    if (format.wide) view.setUint32(at + 8, high);
  }
  return at + format.tagSize;
}
