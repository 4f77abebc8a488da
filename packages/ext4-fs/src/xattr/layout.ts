/**
 * Extended attributes on disk: a list of entries that grows up, values that grow down, in the free part of the inode and
 * in one extra block (shared between inodes with equal attributes, by reference count).
 *
 *   in the inode   magic u32 · entries ... · 0 · ... values        behind i_extra_isize
 *   block          0 magic u32 · 4 refcount u32 · 8 blocks u32 · 12 hash u32 · 16 checksum u32 · 32 entries ... · 0 · ... values
 *   entry          0 name_len u8 · 1 name_index u8 · 2 value_offs u16 · 4 value_inum u32 · 8 value_size u32 · 12 hash u32 · 16 name
 *
 * Offsets of values count from the first entry (inode) or from the block's start. (Documentation/filesystems/ext4/attributes.rst)
 */
export const XATTR_MAGIC = 0xea020000;
export const XATTR_BLOCK_HEADER = 32;
export const XATTR_REFCOUNT = 4;
export const XATTR_BLOCKS = 8;
export const XATTR_HASH = 12;
export const XATTR_ENTRY_HEADER = 16;
/** References that one block may have. */
export const XATTR_REFCOUNT_MAX = 1024;

/** Prefixes by name index; the rest of the name is stored. */
export const XATTR_PREFIXES: readonly string[] = [
  "",
  "user.",
  "system.posix_acl_access",
  "system.posix_acl_default",
  "trusted.",
  "lustre.",
  "security.",
  "system.",
  "system.richacl",
];
export const XATTR_INDEX_ACL_ACCESS = 2;
export const XATTR_INDEX_ACL_DEFAULT = 3;
export const XATTR_INDEX_SYSTEM = 7;

/** One attribute, as stored. */
export interface StoredXattr {
  readonly index: number;
  /** Name behind the prefix. */
  readonly name: Uint8Array;
  /** Empty when the value is in an inode of its own. */
  readonly value: Uint8Array;
  /** The inode that holds the value (ea_inode), or 0. */
  readonly inum: number;
  /** With `inum`: bytes of the value, and the entry's hash. Else 0. */
  readonly size: number;
  readonly hash: number;
}

/** An attribute whose value lies beside it. */
export function plainXattr(index: number, name: Uint8Array, value: Uint8Array): StoredXattr {
  return { index, name, value, inum: 0, size: 0, hash: 0 };
}

/** Bytes that an entry takes, without its value. */
export function xattrEntrySize(nameLength: number): number {
  return (XATTR_ENTRY_HEADER + nameLength + 3) & ~3;
}

/** Bytes that a value takes. */
export function xattrValueSize(length: number): number {
  return (length + 3) & ~3;
}

/**
 * Reads the entries between `first` and `end`; offsets of values count from `origin`. `undefined` when the list is damaged
 * (entries or values outside).
 */
export function readXattrs(bytes: Uint8Array, first: number, end: number, origin: number): StoredXattr[] | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found: StoredXattr[] = [];
  let at = first;
  for (;;) {
    if (at + 4 > end) return undefined;
    if (view.getUint32(at, true) === 0) return found;
    if (at + XATTR_ENTRY_HEADER > end) return undefined;
    const nameLength = bytes[at];
    const next = at + xattrEntrySize(nameLength);
    const offset = origin + view.getUint16(at + 2, true);
    const size = view.getUint32(at + 8, true);
    const inum = view.getUint32(at + 4, true);
    if (next > end) return undefined;
    if (inum === 0 && size > 0 && (offset < first || offset + size > end)) return undefined;
    found.push({
      index: bytes[at + 1],
      name: bytes.slice(at + XATTR_ENTRY_HEADER, at + XATTR_ENTRY_HEADER + nameLength),
      value: size === 0 || inum !== 0 ? new Uint8Array(0) : bytes.slice(offset, offset + size),
      inum,
      size: inum === 0 ? 0 : size,
      hash: inum === 0 ? 0 : view.getUint32(at + 12, true),
    });
    at = next;
  }
}

/** Sizes of values that Linux takes, wherever they lie. */
const MAX_VALUE_SIZE = 1 << 24;

/**
 * Linux's check_xattrs: entries and values lie between `first` and `end`, values behind the entries, names have no NUL; values
 * in inodes of their own (`isInode` says which numbers may be) do.
 */
export function xattrsAreSane(
  bytes: Uint8Array,
  view: DataView,
  first: number,
  end: number,
  origin: number,
  isInode: (ino: number) => boolean,
): boolean {
  let at = first;
  for (; at + 4 <= end && view.getUint32(at, true) !== 0; ) {
    const next = at + xattrEntrySize(bytes[at]);
    if (next + 4 > end) return false;
    for (let i = 0; i < bytes[at]; i++) if (bytes[at + XATTR_ENTRY_HEADER + i] === 0) return false;
    at = next;
  }
  if (at + 4 > end) return false;
  const valuesFrom = at + 4;
  for (at = first; at + 4 < valuesFrom; at += xattrEntrySize(bytes[at])) {
    const inum = view.getUint32(at + 4, true);
    const size = view.getUint32(at + 8, true);
    if (size > MAX_VALUE_SIZE || (inum !== 0 && !isInode(inum))) return false;
    const offset = origin + view.getUint16(at + 2, true);
    if (inum === 0 && size > 0 && (offset < valuesFrom || offset + xattrValueSize(size) > end)) return false;
  }
  return true;
}

/** Bytes that a list needs between its first entry and its end, the closing zero word included. */
export function xattrListSize(list: readonly StoredXattr[]): number {
  let size = 4;
  for (const a of list) size += xattrEntrySize(a.name.length) + xattrValueSize(a.value.length);
  return size;
}

/**
 * Writes entries and values between `first` and `end` (zeroed by the caller); the list must fit. `hashed`: entries in a block
 * carry a hash, those in an inode none. Gives the hash over all entries, 0 if one of them is not to be shared.
 */
export function writeXattrs(
  bytes: Uint8Array,
  first: number,
  end: number,
  origin: number,
  list: readonly StoredXattr[],
  hashed: boolean,
): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = first;
  let valueEnd = end;
  let blockHash = 0;
  let shareable = true;
  for (const a of list) {
    const room = xattrValueSize(a.value.length);
    valueEnd -= room;
    bytes[at] = a.name.length;
    bytes[at + 1] = a.index;
    view.setUint16(at + 2, a.value.length === 0 ? 0 : valueEnd - origin, true);
    view.setUint32(at + 4, a.inum, true);
    view.setUint32(at + 8, a.inum === 0 ? a.value.length : a.size, true);
    bytes.set(a.name, at + XATTR_ENTRY_HEADER);
    bytes.set(a.value, valueEnd);
    const hash = a.inum !== 0 ? a.hash : hashed ? entryHash(a.name, view, valueEnd, room) : 0;
    view.setUint32(at + 12, hash, true);
    if (hash === 0) shareable = false;
    blockHash = ((blockHash << 16) ^ (blockHash >>> 16) ^ hash) >>> 0;
    at += xattrEntrySize(a.name.length);
  }
  return shareable ? blockHash : 0;
}

/** ext4_xattr_hash_entry: over the name's bytes, then the padded value's words. */
function entryHash(name: Uint8Array, view: DataView, valueAt: number, room: number): number {
  let hash = nameHash(name);
  for (let i = 0; i < room; i += 4) hash = (hash << 16) ^ (hash >>> 16) ^ view.getUint32(valueAt + i, true);
  return hash >>> 0;
}

function nameHash(name: Uint8Array): number {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = (hash << 5) ^ (hash >>> 27) ^ name[i];
  return hash;
}

/** The hash of an entry whose value lies in an inode: `word` stands for the value. */
export function entryHashOfInode(name: Uint8Array, word: number): number {
  const hash = nameHash(name);
  return ((hash << 16) ^ (hash >>> 16) ^ word) >>> 0;
}
