/**
 * Where each kind of metadata block keeps its checksum and over what it is computed (metadata_csum).
 *
 * Bitmaps are checked through their group descriptor and inodes one by one, so those kinds have nothing to do here.
 */
import {
  type Buffer,
  KIND_DIRECTORY,
  KIND_EXTENTS,
  KIND_HTREE,
  KIND_ORPHANS,
  KIND_SUPERBLOCK,
  KIND_XATTR,
} from "../buffer-cache.ts";
import type { Superblock } from "../superblock.ts";
import { crc32c, crc32cU32 } from "./crc32c.ts";

/** Bytes at the end of a leaf directory block: a fake entry of type 0xDE that carries the checksum. */
export const DIR_TAIL_SIZE = 12;
export const DIR_TAIL_TYPE = 0xde;
/** Magic at the end of an orphan file block. */
export const ORPHAN_BLOCK_MAGIC = 0x0b10ca04;

export interface ChecksumContext {
  readonly superblock: Superblock;
  readonly csumSeed: number;
  readonly hasMetadataCsum: boolean;
}

/** Stores the checksum that belongs to `buffer.kind`. */
export function updateBlockChecksum(volume: ChecksumContext, buffer: Buffer): void {
  if (!volume.hasMetadataCsum) return;
  if (buffer.kind === KIND_SUPERBLOCK) {
    volume.superblock.updateChecksum();
    return;
  }
  const at = checksumOffset(buffer);
  if (at >= 0) buffer.view.setUint32(at, blockChecksum(volume, buffer, at), true);
}

/** Whether the block's checksum is right, seen as `buffer.kind`. Kinds without one, and file systems without, are always right. */
export function blockChecksumIsValid(volume: ChecksumContext, buffer: Buffer): boolean {
  if (!volume.hasMetadataCsum) return true;
  const at = checksumOffset(buffer);
  return at < 0 || buffer.view.getUint32(at, true) === blockChecksum(volume, buffer, at);
}

/** Offset of the checksum field in the block; -1 when this kind, or this block, has none. */
function checksumOffset(buffer: Buffer): number {
  const { view, data } = buffer;
  switch (buffer.kind) {
    case KIND_EXTENTS:
      return 12 + 12 * view.getUint16(4, true) <= data.length - 4 ? 12 + 12 * view.getUint16(4, true) : -1; // behind eh_max entries
    case KIND_DIRECTORY:
      return data.length - 4;
    case KIND_HTREE: {
      const tail = htreeCountOffset(view) + view.getUint16(htreeCountOffset(view), true) * 8;
      return tail + 8 <= data.length ? tail + 4 : -1;
    }
    case KIND_XATTR:
      return 16;
    case KIND_ORPHANS:
      return data.length - 4;
    default:
      return -1;
  }
}

function blockChecksum(volume: ChecksumContext, buffer: Buffer, at: number): number {
  const { data, view, seed } = buffer;
  switch (buffer.kind) {
    case KIND_EXTENTS:
      return crc32c(seed, data, 0, at);
    case KIND_DIRECTORY:
      return crc32c(seed, data, 0, data.length - DIR_TAIL_SIZE);
    case KIND_HTREE: {
      const countAt = htreeCountOffset(view);
      const used = countAt + view.getUint16(countAt + 2, true) * 8;
      const c = crc32c(seed, data, 0, Math.min(used, data.length));
      return crc32cU32(crc32c(c, data, at - 4, at), 0);
    }
    case KIND_XATTR: {
      let c = crc32cU32(crc32cU32(volume.csumSeed, buffer.block >>> 0), Math.floor(buffer.block / 0x1_0000_0000));
      c = crc32cU32(crc32c(c, data, 0, 16), 0);
      return crc32c(c, data, 20, data.length);
    }
    default: {
      const c = crc32cU32(crc32cU32(seed, buffer.block >>> 0), Math.floor(buffer.block / 0x1_0000_0000));
      return crc32c(c, data, 0, data.length - 8);
    }
  }
}

/** In an htree root the index entries follow "." and ".." and the root info; in a node they follow one empty entry. */
export function htreeCountOffset(view: DataView): number {
  return view.getUint16(4, true) === 12 ? 0x20 : 8;
}
