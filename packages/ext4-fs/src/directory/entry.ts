/**
 * Directory entries in a block: a chain of records that fills it exactly.
 *
 *   0 inode u32 · 4 rec_len u16 · 6 name_len u8 · 7 file_type u8 · 8 name        inode 0: free space
 *
 * With metadata_csum a leaf ends in a 12-byte fake entry of type 0xDE with the checksum. Every walk checks the chain as it goes,
 * so a damaged block gives an error, not a loop. (Documentation/filesystems/ext4/directory.rst)
 */
import {
  DT_BLK,
  DT_CHR,
  DT_DIR,
  DT_FIFO,
  DT_LNK,
  DT_REG,
  DT_SOCK,
  DT_UNKNOWN,
  EUCLEAN,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
} from "linux-abi";
import { type Buffer, KIND_DIRECTORY } from "../buffer-cache.ts";
import { blockChecksumIsValid, DIR_TAIL_SIZE, DIR_TAIL_TYPE } from "../checksum/metadata-checksum.ts";
import type { CoreInode } from "../inode.ts";
import type { Volume } from "../volume.ts";
import { foldsTo } from "./casefold.ts";

export const ENTRY_HEADER = 8;
export const EXT4_NAME_LEN = 255;

/** Bytes that an entry with a name of this length needs. */
export function entrySize(nameLength: number): number {
  return (ENTRY_HEADER + nameLength + 3) & ~3;
}

/** rec_len in bytes; 64 KiB blocks fold two bits away. */
export function recordLength(view: DataView, at: number): number {
  const raw = view.getUint16(at + 4, true);
  if (view.byteLength < 65536) return raw;
  return raw === 0xffff || raw === 0 ? view.byteLength : (raw & 0xfffc) | ((raw & 3) << 16);
}

export function setRecordLength(view: DataView, at: number, length: number): void {
  const raw = length < 65536 ? length : length === view.byteLength ? 0xffff : (length & 0xfffc) | ((length >>> 16) & 3);
  view.setUint16(at + 4, raw, true);
}

/** End of the entries in a leaf block. */
export function entriesEnd(volume: Volume): number {
  return volume.hasMetadataCsum ? volume.blockSize - DIR_TAIL_SIZE : volume.blockSize;
}

/** Length of the record at `at` if it is sane (and leaves room for another one, or none), else 0. */
export function checkRecord(volume: Volume, view: DataView, at: number, end: number): number {
  if (at + 12 > end) return 0;
  const length = recordLength(view, at);
  const rest = end - at - length;
  if (length < 12 || (length & 3) !== 0 || rest < 0 || (rest > 0 && rest < 12)) return 0;
  if (entrySize(view.getUint8(at + 6)) > length) return 0;
  return view.getUint32(at, true) <= volume.geometry.inodesCount ? length : 0;
}

/** Loads a leaf block of a directory and checks its checksum and chain once. Buffer, -EUCLEAN or -EIO. */
export function leafBlock(volume: Volume, dir: CoreInode, block: number): Buffer | number {
  const buffer = readLeaf(volume, dir, block);
  return typeof buffer === "number" || buffer.verifiedAs === KIND_DIRECTORY ? buffer : -EUCLEAN;
}

/**
 * As `leafBlock`, for those who only read: of a damaged chain the entries before the damage count, as in Linux. `soundEnd` says
 * where that is.
 */
export function readLeaf(volume: Volume, dir: CoreInode, block: number): Buffer | number {
  const buffer = volume.cache.get(block);
  if (typeof buffer === "number" || buffer.verifiedAs === KIND_DIRECTORY) return buffer;
  buffer.kind = KIND_DIRECTORY;
  buffer.seed = dir.csumSeed;
  if (volume.hasMetadataCsum) {
    const tail = volume.blockSize - DIR_TAIL_SIZE;
    const hasTail =
      buffer.view.getUint16(tail + 4, true) === DIR_TAIL_SIZE && buffer.view.getUint8(tail + 7) === DIR_TAIL_TYPE;
    if (!hasTail) return volume.corrupt(`directory block ${block} has no checksum`, dir.ino, block);
    if (!blockChecksumIsValid(volume, buffer))
      return volume.corrupt(`directory block ${block}: checksum is wrong`, dir.ino, block);
  }
  const end = entriesEnd(volume);
  for (let at = 0; at < end; ) {
    const length = checkRecord(volume, buffer.view, at, end);
    if (length === 0) {
      volume.corrupt(`directory block ${block}: bad entry at offset ${at}`, dir.ino, block);
      return buffer;
    }
    at += length;
  }
  buffer.verifiedAs = KIND_DIRECTORY;
  return buffer;
}

/** End of the entries of a leaf that may be used. */
export function soundEnd(volume: Volume, buffer: Buffer): number {
  const end = entriesEnd(volume);
  if (buffer.verifiedAs === KIND_DIRECTORY) return end;
  let at = 0;
  for (let length = 1; at < end && length > 0; at += length) length = checkRecord(volume, buffer.view, at, end);
  return at;
}

/** An empty leaf: one free record, and the tail. */
export function initLeaf(volume: Volume, buffer: Buffer): void {
  const { view, data } = buffer;
  data.fill(0);
  const end = entriesEnd(volume);
  setRecordLength(view, 0, end);
  if (volume.hasMetadataCsum) initTail(view);
}

/** The fake entry that carries a leaf's checksum. */
export function initTail(view: DataView): void {
  const tail = view.byteLength - DIR_TAIL_SIZE;
  view.setUint32(tail, 0, true);
  view.setUint16(tail + 4, DIR_TAIL_SIZE, true);
  view.setUint8(tail + 6, 0);
  view.setUint8(tail + 7, DIR_TAIL_TYPE);
}

/** Offset of the entry called `name` in a checked leaf, or -1. In a casefold directory `folded` is the form to look for. */
export function findEntry(volume: Volume, buffer: Buffer, name: Uint8Array, folded?: Uint8Array): number {
  if (folded !== undefined) return findFolded(volume, buffer, folded);
  const { view, data } = buffer;
  const end = soundEnd(volume, buffer);
  const length = name.length;
  const first = name[0];
  for (let at = 0; at < end; ) {
    if (
      data[at + 6] === length &&
      data[at + 8] === first &&
      view.getUint32(at, true) !== 0 &&
      sameName(data, at + 8, name)
    )
      return at;
    const step = recordLength(view, at);
    if (step < 12) return -1;
    at += step;
  }
  return -1;
}

function findFolded(volume: Volume, buffer: Buffer, folded: Uint8Array): number {
  const { view, data } = buffer;
  const end = soundEnd(volume, buffer);
  for (let at = 0; at < end; ) {
    if (view.getUint32(at, true) !== 0 && isNamed(data, at, folded)) return at;
    const step = recordLength(view, at);
    if (step < 12) return -1;
    at += step;
  }
  return -1;
}

/** Whether an entry of a casefold directory has this folded form. "." and ".." are nothing but themselves: nobody removes them by another name. */
export function isNamed(data: Uint8Array, at: number, folded: Uint8Array): boolean {
  const length = data[at + 6];
  return !isDots(data, at + ENTRY_HEADER, length) && foldsTo(data, at + ENTRY_HEADER, length, folded);
}

/** Whether a name is "." or "..". */
export function isDots(data: Uint8Array, at: number, length: number): boolean {
  return data[at] === 0x2e && (length === 1 || (length === 2 && data[at + 1] === 0x2e));
}

function sameName(data: Uint8Array, at: number, name: Uint8Array): boolean {
  for (let i = 1; i < name.length; i++) if (data[at + i] !== name[i]) return false;
  return true;
}

/** Puts an entry into a checked leaf where there is room: its offset, or -1. */
export function insertEntry(volume: Volume, buffer: Buffer, name: Uint8Array, ino: number, fileType: number): number {
  const { view } = buffer;
  const end = entriesEnd(volume);
  const needed = entrySize(name.length);
  for (let at = 0; at < end; ) {
    const length = recordLength(view, at);
    if (length < 12) return -1;
    const used = view.getUint32(at, true) === 0 ? 0 : entrySize(view.getUint8(at + 6));
    if (length - used >= needed) {
      if (used > 0) {
        setRecordLength(view, at, used);
        setRecordLength(view, at + used, length - used);
      }
      writeEntry(buffer, at + used, name, ino, fileType);
      return at + used;
    }
    at += length;
  }
  return -1;
}

/** Fills in everything but rec_len. */
export function writeEntry(buffer: Buffer, at: number, name: Uint8Array, ino: number, fileType: number): void {
  buffer.view.setUint32(at, ino, true);
  buffer.view.setUint8(at + 6, name.length);
  buffer.view.setUint8(at + 7, fileType);
  buffer.data.set(name, at + 8);
}

/** Takes the entry at `target` out of a checked leaf: its space joins the entry before it. */
export function removeEntry(buffer: Buffer, target: number): void {
  const { view } = buffer;
  let previous = -1;
  for (let at = 0; at < target; ) {
    previous = at;
    const step = recordLength(view, at);
    if (step < 12) return;
    at += step;
  }
  if (previous >= 0) setRecordLength(view, previous, recordLength(view, previous) + recordLength(view, target));
  else view.setUint32(target, 0, true);
}

// Values of file_type, and back to DT_*.
const FT_OF_TYPE: readonly (readonly [number, number, number])[] = [
  [S_IFREG, 1, DT_REG],
  [S_IFDIR, 2, DT_DIR],
  [S_IFCHR, 3, DT_CHR],
  [S_IFBLK, 4, DT_BLK],
  [S_IFIFO, 5, DT_FIFO],
  [S_IFSOCK, 6, DT_SOCK],
  [S_IFLNK, 7, DT_LNK],
];

/** file_type of a mode. */
export function fileTypeOfMode(mode: number): number {
  return FT_OF_TYPE.find((row) => row[0] === (mode & S_IFMT))?.[1] ?? 0;
}

/** DT_* of a file_type; DT_UNKNOWN for 0 and for what is not defined. */
export function dirTypeOfFileType(fileType: number): number {
  return FT_OF_TYPE[(fileType & 7) - 1]?.[2] ?? DT_UNKNOWN;
}
