/**
 * Pass 1: extended attributes, in the inode and in a block of their own, and values that lie in inodes (ea_inode).
 */
import { crc32c, crc32cU32 } from "../checksum/crc32c.ts";
import { type CoreInode, EXT4_EA_INODE_FL, GOOD_OLD_INODE_SIZE, I_ATIME, I_MTIME } from "../inode.ts";
import {
  XATTR_BLOCK_HEADER,
  XATTR_BLOCKS,
  XATTR_ENTRY_HEADER,
  XATTR_MAGIC,
  XATTR_REFCOUNT,
  xattrEntrySize,
  xattrValueSize,
} from "../xattr/layout.ts";
import type { Checker } from "./checker.ts";

export const XATTR_INDEX_ENCRYPTION = 9;
/** Largest value that may lie in a block. */
const VALUE_SIZE_MAX = 1 << 24;

/** An attribute, found in `bytes`. */
export interface FoundXattr {
  readonly index: number;
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly valueAt: number;
  readonly size: number;
  readonly valueInode: number;
}

/** What the attributes of one place cost their owner. */
export interface XattrCost {
  /** Clusters of values in inodes; counted in i_blocks of the owner. */
  clusters: number;
  inodes: number;
}

/** The attributes inside an inode, unchecked: for looking one up. Empty where the list is damaged. */
export function inodeXattrs(ck: Checker, inode: CoreInode): FoundXattr[] {
  const base = GOOD_OLD_INODE_SIZE + inode.extraIsize;
  if (inode.raw.length <= GOOD_OLD_INODE_SIZE || base + 8 > inode.raw.length) return [];
  if (inode.view.getUint32(base, true) !== XATTR_MAGIC) return [];
  const list = parse(ck, inode, inode.raw, base, base + 4, base + 4, false);
  return typeof list === "string" ? [] : list;
}

/** Checks the attributes inside an inode. True if the inode was changed. */
export function checkInodeXattrs(ck: Checker, inode: CoreInode, cost: XattrCost): boolean {
  const base = GOOD_OLD_INODE_SIZE + inode.extraIsize;
  if (base + 4 >= inode.raw.length || inode.view.getUint32(base, true) !== XATTR_MAGIC) return false;
  const list = parse(ck, inode, inode.raw, base, base + 4, base + 4, false);
  if (typeof list === "string") {
    if (!ck.problem("xattr-in-inode", { inode: inode.ino, detail: list })) return false;
    inode.raw.fill(0, base);
    return true;
  }
  countValues(ck, list, cost);
  return false;
}

/** Checks the block of attributes of an inode. True if the inode was changed. */
export function checkXattrBlock(ck: Checker, inode: CoreInode, cost: XattrCost): boolean {
  const block = inode.fileAcl;
  if (block === 0) return false;
  if (!ck.hasXattrs || !ck.legal(block)) {
    ck.inodesOdd.add(inode.ino); // reported when a directory leads here
    return false;
  }
  const known = ck.xattrBlocks.get(block);
  if (known !== undefined) {
    known.found++;
    cost.clusters += known.clusters;
    for (const ino of known.inodes) useValue(ck, ino);
    cost.inodes += known.inodes.length;
    return false;
  }
  const bytes = ck.read(block)?.slice();
  const drop = (detail: string): boolean => {
    if (!ck.problem("xattr-block", { inode: inode.ino, block, detail })) return false;
    inode.fileAcl = 0;
    ck.again = true; // i_blocks was counted with it, or not
    return true;
  };
  if (bytes === undefined) return drop("it cannot be read");
  const view = new DataView(bytes.buffer);
  if (view.getUint32(0, true) !== XATTR_MAGIC) return drop("no magic number");
  if (view.getUint32(XATTR_BLOCKS, true) !== 1) return drop(`${view.getUint32(XATTR_BLOCKS, true)} blocks`);
  const list = parse(ck, inode, bytes, 0, XATTR_BLOCK_HEADER, 0, true);
  if (typeof list === "string") return drop(list);
  if (ck.hasChecksums && view.getUint32(16, true) !== xattrBlockChecksum(ck, block, bytes)) {
    if (ck.problem("xattr-block-checksum", { inode: inode.ino, block })) {
      view.setUint32(16, xattrBlockChecksum(ck, block, bytes), true);
      ck.write(block, bytes);
    }
  }
  const own: XattrCost = { clusters: 1, inodes: 0 };
  countValues(ck, list, own);
  const inodes = list.flatMap((item) => (item.valueInode !== 0 ? [item.valueInode] : []));
  ck.xattrBlocks.set(block, {
    found: 1,
    stated: view.getUint32(XATTR_REFCOUNT, true),
    owner: inode.ino,
    clusters: own.clusters,
    inodes,
  });
  const cluster = ck.cluster(block);
  if (!ck.used.add(cluster) && !ck.sharedBlocks) ck.shared.add(cluster);
  cost.clusters += own.clusters;
  cost.inodes += own.inodes;
  return false;
}

/** After pass 1: the reference counts of attribute blocks. */
export function checkXattrCounts(ck: Checker): void {
  for (const [block, { found, stated, owner }] of ck.xattrBlocks) {
    if (found === stated) continue;
    if (!ck.problem("xattr-refcount", { block, value: stated, expected: found, inode: owner })) continue;
    const bytes = ck.read(block)?.slice();
    if (bytes === undefined) continue;
    const view = new DataView(bytes.buffer);
    view.setUint32(XATTR_REFCOUNT, found, true);
    if (ck.hasChecksums) view.setUint32(16, xattrBlockChecksum(ck, block, bytes), true);
    ck.write(block, bytes);
  }
}

export function xattrBlockChecksum(ck: Checker, block: number, bytes: Uint8Array): number {
  let c = crc32cU32(crc32cU32(ck.seed, block >>> 0), Math.floor(block / 0x1_0000_0000));
  c = crc32cU32(crc32c(c, bytes, 0, 16), 0);
  return crc32c(c, bytes, 20, bytes.length);
}

function countValues(ck: Checker, list: readonly FoundXattr[], cost: XattrCost): void {
  for (const item of list) {
    if (item.valueInode === 0) continue;
    cost.inodes++;
    if (!isOldStyle(ck, item)) cost.clusters += Math.ceil(item.size / (ck.blockSize * ck.ratio));
    useValue(ck, item.valueInode);
  }
}

function useValue(ck: Checker, ino: number): void {
  ck.xattrInodeUses.set(ino, (ck.xattrInodeUses.get(ino) ?? 0) + 1);
}

/** Lustre's first value inodes name their one owner instead of a hash, and are not charged to it. */
function isOldStyle(ck: Checker, item: FoundXattr): boolean {
  const value = ck.readInode(item.valueInode);
  return value !== undefined && !valueHashFits(ck, item, value);
}

function valueHashFits(_ck: Checker, item: FoundXattr, value: CoreInode): boolean {
  const stored = new DataView(item.bytes.buffer, item.bytes.byteOffset).getUint32(item.valueAt, true);
  const hash = value.view.getUint32(I_ATIME, true);
  return [false, true].some((signed) => {
    const h = hashNameBytes(item.bytes, item.valueAt + 4, item.bytes[item.valueAt - 12], signed);
    return ((h << 16) ^ (h >>> 16) ^ hash) >>> 0 === stored;
  });
}

/**
 * The entries from `first` on, or what is wrong with them. Offsets of values count from `origin`; the space of the list begins at
 * `base` and ends with `bytes`.
 */
function parse(
  ck: Checker,
  owner: CoreInode,
  bytes: Uint8Array,
  base: number,
  first: number,
  origin: number,
  inBlock: boolean,
): FoundXattr[] | string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.length;
  const found: FoundXattr[] = [];
  const regions: [number, number][] = [[base, first]];
  const take = (from: number, length: number): boolean => {
    if (from + length > end) return false;
    for (const [a, b] of regions) if (from < b && from + length > a) return false;
    regions.push([from, from + length]);
    return true;
  };
  let at = first;
  while (at + XATTR_ENTRY_HEADER <= end && view.getUint32(at, true) !== 0) {
    const nameLength = bytes[at];
    const size = view.getUint32(at + 8, true);
    const valueInode = view.getUint32(at + 4, true);
    const valueAt = origin + view.getUint16(at + 2, true);
    if (!take(at, xattrEntrySize(nameLength))) return "an entry overlaps something";
    if (inBlock && bytes[at + 1] === 0) return "an entry without a kind";
    const stored = view.getUint32(at + 12, true);
    const item: FoundXattr = {
      index: bytes[at + 1],
      name: String.fromCharCode(...bytes.subarray(at + XATTR_ENTRY_HEADER, at + XATTR_ENTRY_HEADER + nameLength)),
      bytes,
      valueAt: valueInode === 0 ? valueAt : at + 12,
      size,
      valueInode,
    };
    if (valueInode !== 0) {
      const wrong = checkValueInode(ck, owner, item, stored);
      if (wrong !== undefined) return wrong;
    } else {
      if (size > VALUE_SIZE_MAX || valueAt + size > end) return `a value of ${size} bytes`;
      if (size > 0 && !take(valueAt, xattrValueSize(size))) return "a value overlaps something";
      if (!(stored === 0 && !inBlock) && !entryHashes(bytes, view, at, valueAt, size).includes(stored))
        return "a hash is wrong";
    }
    found.push(item);
    at += xattrEntrySize(nameLength);
  }
  if (at + 4 <= end && !take(at, 4)) return "the end of the list overlaps something";
  return at + 4 > end ? "the list does not end" : found;
}

/** The hash over name and value, with the name's bytes taken as unsigned and as signed: both are in use. */
function entryHashes(bytes: Uint8Array, view: DataView, at: number, valueAt: number, size: number): number[] {
  return [false, true].map((signed) => {
    let hash = hashNameBytes(bytes, at + XATTR_ENTRY_HEADER, bytes[at], signed);
    for (let i = 0; i < size; i += 4) {
      // The padding of a value counts as it lies there; at the very end of the space it is zero.
      const word = valueAt + i + 4 <= bytes.length ? view.getUint32(valueAt + i, true) : 0;
      hash = (hash << 16) ^ (hash >>> 16) ^ word;
    }
    return hash >>> 0;
  });
}

function hashNameBytes(bytes: Uint8Array, at: number, length: number, signed: boolean): number {
  let hash = 0;
  for (let i = 0; i < length; i++) {
    const byte = signed ? (bytes[at + i] << 24) >> 24 : bytes[at + i];
    hash = (hash << 5) ^ (hash >>> 27) ^ byte;
  }
  return hash;
}

function checkValueInode(ck: Checker, owner: CoreInode, item: FoundXattr, stored: number): string | undefined {
  const ino = item.valueInode;
  if (ino < ck.g.firstInode || ino > ck.g.inodesCount) return `a value in inode ${ino}`;
  const value = ck.readInode(ino);
  if (value === undefined) return `a value in inode ${ino}, which cannot be read`;
  const flagged = value.hasFlag(EXT4_EA_INODE_FL);
  if (!valueHashFits(ck, item, value)) {
    const lustre = value.view.getUint32(I_MTIME, true) === owner.ino && value.generation === owner.generation;
    if (!lustre) return flagged ? `hash ${stored} is wrong` : `a value in inode ${ino}`;
  }
  if (!flagged) {
    if (!ck.problem("xattr-inode-flag", { inode: owner.ino, value: ino })) return undefined;
    value.flags |= EXT4_EA_INODE_FL;
    ck.writeInode(value);
  }
  return undefined;
}
