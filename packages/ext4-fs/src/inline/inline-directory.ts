/**
 * Small directories inside their inode (inline_data). The content is the parent's inode number (there are no entries "." and
 * ".."), then two chains of entries, each filling its part exactly: the rest of i_block, and the attribute's value.
 *
 *   0 parent u32 · 4 .. 60 entries · 60 .. end entries
 */
import { ENOENT } from "linux-abi";
import { KIND_DIRECTORY } from "../buffer-cache.ts";
import {
  checkRecord,
  ENTRY_HEADER,
  entriesEnd,
  entrySize,
  initLeaf,
  isDots,
  isNamed,
  setRecordLength,
} from "../directory/entry.ts";
import { appendBlock } from "../directory/insert.ts";
import type { FoundEntry } from "../directory/lookup.ts";
import { type CoreInode, I_BLOCK_SIZE } from "../inode.ts";
import type { Volume } from "../volume.ts";
import { clearInline, inlineCapacity, readInline, writeInline } from "./inline-data.ts";

const FIRST = 4; // offset of the first entry
const LEAST_CHAIN = 12;

/** Visits the entries of both chains, free ones included, until `visit` gives something else than undefined. -EUCLEAN on damage. */
export function walkInline<T>(
  volume: Volume,
  dir: CoreInode,
  content: Uint8Array,
  visit: (at: number, length: number, view: DataView) => T | undefined,
): T | number | undefined {
  const view = viewOf(content);
  for (const [from, end] of chains(content)) {
    for (let at = from; at < end; ) {
      const length = checkRecord(volume, view, at, end);
      if (length === 0) return volume.corrupt(`bad entry at offset ${at} of an inline directory`, dir.ino, 0);
      const result = visit(at, length, view);
      if (result !== undefined) return result;
      at += length;
    }
  }
  return undefined;
}

function viewOf(content: Uint8Array): DataView {
  return new DataView(content.buffer, content.byteOffset, content.byteLength);
}

function chains(content: Uint8Array): readonly (readonly [number, number])[] {
  const first = [FIRST, I_BLOCK_SIZE] as const;
  return content.length >= I_BLOCK_SIZE + LEAST_CHAIN ? [first, [I_BLOCK_SIZE, content.length]] : [first];
}

/** Finds a name ("." and ".." too), or in a casefold directory its folded form: 0 with `out` filled (its buffer null, its position one in the content), -ENOENT, -EUCLEAN, -EIO. */
export function findInline(
  volume: Volume,
  dir: CoreInode,
  name: Uint8Array,
  out: FoundEntry,
  folded?: Uint8Array,
): number {
  const content = readInline(volume, dir);
  if (typeof content === "number") return content;
  out.buffer = null;
  out.fileType = 2;
  if (isDots(name, 0, name.length)) {
    out.at = 0;
    out.ino = name.length === 1 ? dir.ino : viewOf(content).getUint32(0, true);
    return 0;
  }
  const result = walkInline(volume, dir, content, (at, _length, view) => {
    if (view.getUint32(at, true) === 0) return undefined;
    const same =
      folded !== undefined
        ? isNamed(content, at, folded)
        : content[at + 6] === name.length && name.every((byte, i) => content[at + ENTRY_HEADER + i] === byte);
    if (!same) return undefined;
    out.at = at;
    out.ino = view.getUint32(at, true);
    out.fileType = content[at + 7];
    return 0;
  });
  return result ?? -ENOENT;
}

/** Makes a new directory an inline one, if the inode has room: 1 done, 0 no room, -errno. */
export function initInlineDirectory(volume: Volume, dir: CoreInode, parentIno: number): number {
  const capacity = inlineCapacity(volume, dir);
  if (capacity < I_BLOCK_SIZE) return capacity < 0 ? capacity : 0;
  const content = new Uint8Array(I_BLOCK_SIZE);
  const view = viewOf(content);
  view.setUint32(0, parentIno, true);
  setRecordLength(view, FIRST, I_BLOCK_SIZE - FIRST);
  dir.size = content.length;
  const error = writeInline(volume, dir, content);
  return error < 0 ? error : 1;
}

/** Adds an entry: 1 done, 0 the directory has been moved to a block and the caller adds it there; -errno. */
export function addInline(volume: Volume, dir: CoreInode, name: Uint8Array, ino: number, fileType: number): number {
  let content = readInline(volume, dir);
  if (typeof content === "number") return content;
  let added = insertInto(volume, dir, content, name, ino, fileType);
  if (added === 0) {
    const capacity = inlineCapacity(volume, dir);
    if (capacity < 0) return capacity;
    if (capacity >= Math.max(content.length + 4, I_BLOCK_SIZE + LEAST_CHAIN)) {
      content = grow(volume, dir, content, capacity);
      added = insertInto(volume, dir, content, name, ino, fileType);
    }
  }
  if (added < 0) return added;
  if (added === 0) return spillDirectory(volume, dir);
  dir.size = content.length;
  const error = writeInline(volume, dir, content);
  return error < 0 ? error : 1;
}

/** The content with its second chain as long as can be. */
function grow(volume: Volume, dir: CoreInode, content: Uint8Array, capacity: number): Uint8Array {
  const wider = new Uint8Array(capacity);
  wider.set(content);
  const view = viewOf(wider);
  let last = -1;
  walkInline(volume, dir, content, (at) => {
    if (at >= I_BLOCK_SIZE) last = at;
    return undefined;
  });
  if (last < 0) setRecordLength(view, I_BLOCK_SIZE, capacity - I_BLOCK_SIZE);
  else setRecordLength(view, last, capacity - last);
  return wider;
}

function insertInto(
  volume: Volume,
  dir: CoreInode,
  content: Uint8Array,
  name: Uint8Array,
  ino: number,
  fileType: number,
): number {
  const needed = entrySize(name.length);
  const result = walkInline(volume, dir, content, (at, length, view) => {
    const used = view.getUint32(at, true) === 0 ? 0 : entrySize(content[at + 6]);
    if (length - used < needed) return undefined;
    if (used > 0) {
      setRecordLength(view, at, used);
      setRecordLength(view, at + used, length - used);
    }
    view.setUint32(at + used, ino, true);
    content[at + used + 6] = name.length;
    content[at + used + 7] = fileType;
    content.set(name, at + used + ENTRY_HEADER);
    return 1;
  });
  return result ?? 0;
}

/** Takes out the entry found at `position`: its space joins the one before it in its chain. */
export function removeInline(volume: Volume, dir: CoreInode, position: number): number {
  const content = readInline(volume, dir);
  if (typeof content === "number") return content;
  let previous = -1;
  const result = walkInline(volume, dir, content, (at, length, view) => {
    if (at === I_BLOCK_SIZE) previous = -1;
    if (at === position) {
      if (previous >= 0) setRecordLength(view, previous, at - previous + length);
      else view.setUint32(at, 0, true);
      return 0;
    }
    previous = at;
    return undefined;
  });
  if (typeof result === "number" && result < 0) return result;
  return writeInline(volume, dir, content);
}

/** Makes the entry found at `position` (0: "..") name another inode. */
export function retargetInline(
  volume: Volume,
  dir: CoreInode,
  position: number,
  ino: number,
  fileType: number,
): number {
  const content = readInline(volume, dir);
  if (typeof content === "number") return content;
  viewOf(content).setUint32(position, ino, true);
  if (position > 0) content[position + 7] = fileType;
  return writeInline(volume, dir, content);
}

/** Moves an inline directory to a block. 0 or -errno; on -ENOSPC it is as it was. */
export function spillDirectory(volume: Volume, dir: CoreInode): number {
  const content = readInline(volume, dir);
  if (typeof content === "number") return content;
  let error = clearInline(volume, dir);
  if (error < 0) return error;
  dir.size = 0;
  const buffer = appendBlock(volume, dir);
  if (typeof buffer === "number") {
    error = writeInline(volume, dir, content);
    dir.size = content.length;
    return error < 0 ? error : buffer;
  }
  initLeaf(volume, buffer);
  const { view, data } = buffer;
  const fileType = volume.hasFileTypes ? 2 : 0;
  const put = (at: number, ino: number, name: Uint8Array, type: number): number => {
    const size = entrySize(name.length);
    view.setUint32(at, ino, true);
    setRecordLength(view, at, size);
    data[at + 6] = name.length;
    data[at + 7] = type;
    data.set(name, at + ENTRY_HEADER);
    return at + size;
  };
  put(0, dir.ino, Uint8Array.of(0x2e), fileType);
  let last = 12;
  let next = put(12, viewOf(content).getUint32(0, true), Uint8Array.of(0x2e, 0x2e), fileType);
  const end = entriesEnd(volume);
  const result = walkInline(volume, dir, content, (at, _length, source) => {
    const ino = source.getUint32(at, true);
    const name = content.subarray(at + ENTRY_HEADER, at + ENTRY_HEADER + content[at + 6]);
    if (ino === 0) return undefined;
    if (next + entrySize(name.length) > end) return volume.corrupt("inline directory is too large", dir.ino, 0);
    last = next;
    next = put(next, ino, name, content[at + 7]);
    return undefined;
  });
  if (typeof result === "number") return result;
  setRecordLength(view, last, end - last);
  volume.dirtyBuffer(buffer, KIND_DIRECTORY, dir.csumSeed);
  return 0;
}
