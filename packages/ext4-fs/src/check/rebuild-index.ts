/**
 * The blocks of an indexed directory, made from its entries: leaves in the order of the hashes, one fifth of each left free for what comes
 * later, an index of one or two levels, and the root with "." and "..".
 *
 *   block 0 root · 1 .. L leaves · L+1 .. nodes, where the root alone has not room enough
 */
import { foldName } from "../directory/casefold.ts";
import { hashName, isKnownHash, type NameHash } from "../directory/hash.ts";
import { setRecordLength } from "../directory/entry.ts";
import { EXT2_FLAGS_UNSIGNED_HASH, S_DEF_HASH_VERSION, S_FLAGS, S_HASH_SEED } from "../superblock.ts";
import type { Checker } from "./checker.ts";

const DX_HASH_HALF_MD4 = 1;
const DX_HASH_TEA = 2;
const ROOT_ENTRIES = 32;
const NODE_ENTRIES = 8;

/** A block of the new directory. */
export interface Page {
  readonly bytes: Uint8Array;
  readonly isIndex: boolean;
}

interface Hashed {
  readonly record: Uint8Array;
  readonly major: number;
  readonly minor: number;
}

interface IndexEntry {
  readonly hash: number;
  readonly fileBlock: number;
}

/**
 * @param front the first block with "." and ".."; @param end where records end in a leaf; @param casefold hashes are those of folded names.
 * Undefined when there are too many entries, or one has no hash.
 */
export function indexedPages(
  ck: Checker,
  entries: readonly Uint8Array[],
  front: Uint8Array,
  end: number,
  casefold: boolean,
): Page[] | undefined {
  const stored = ck.sb.u8(S_DEF_HASH_VERSION);
  const version = stored <= DX_HASH_TEA ? stored : DX_HASH_HALF_MD4;
  const hashed = hashAll(ck, entries, version, casefold);
  if (hashed === undefined) return undefined;
  const leaves = packLeaves(ck, hashed, end);
  const tail = ck.hasChecksums ? 8 : 0;
  const inRoot = Math.floor((ck.blockSize - ROOT_ENTRIES - tail) / 8);
  const inNode = Math.floor((ck.blockSize - NODE_ENTRIES - tail) / 8);
  const pages: Page[] = [{ bytes: front, isIndex: true }];
  for (const { bytes } of leaves) pages.push({ bytes, isIndex: false });
  let top: IndexEntry[] = leaves.map(({ hash }, i) => ({ hash, fileBlock: i + 1 }));
  let levels = 0;
  if (top.length > inRoot) {
    const nodes: IndexEntry[] = [];
    for (let i = 0; i < top.length; i += inNode) {
      const part = top.slice(i, i + inNode);
      const bytes = new Uint8Array(ck.blockSize);
      setRecordLength(new DataView(bytes.buffer), 0, ck.blockSize);
      writeEntries(bytes, NODE_ENTRIES, inNode, part);
      nodes.push({ hash: part[0].hash, fileBlock: pages.length });
      pages.push({ bytes, isIndex: true });
    }
    if (nodes.length > inRoot) return undefined;
    top = nodes;
    levels = 1;
  }
  setRecordLength(new DataView(front.buffer), 12, ck.blockSize - 12);
  front.fill(0, 24);
  front[28] = version;
  front[29] = 8; // length of this information
  front[30] = levels;
  writeEntries(front, ROOT_ENTRIES, inRoot, top);
  return pages;
}

/** Undefined when a name has no hash: one that is not UTF-8 in a casefold directory. */
function hashAll(
  ck: Checker,
  entries: readonly Uint8Array[],
  version: number,
  casefold: boolean,
): Hashed[] | undefined {
  const seed = Int32Array.of(0, 4, 8, 12).map((at) => ck.sb.u32(S_HASH_SEED + at));
  const effective = (ck.sb.u32(S_FLAGS) & EXT2_FLAGS_UNSIGNED_HASH) !== 0 ? version + 3 : version;
  const hash: NameHash = { major: 0, minor: 0 };
  const hashed: Hashed[] = [];
  for (const record of entries) {
    const name = record.subarray(8, 8 + record[6]);
    const folded = casefold ? foldName(name, 0, name.length) : name;
    if (folded === undefined) return undefined;
    if (isKnownHash(effective)) hashName(effective, seed, folded, 0, folded.length, hash);
    hashed.push({ record, major: hash.major, minor: hash.minor });
  }
  return hashed.sort((a, b) => a.major - b.major || a.minor - b.minor);
}

function packLeaves(ck: Checker, entries: readonly Hashed[], end: number): { hash: number; bytes: Uint8Array }[] {
  const leaves: { hash: number; bytes: Uint8Array }[] = [];
  const full = Math.floor(end * 0.8);
  let at = Number.POSITIVE_INFINITY;
  let last = 0;
  let before = -1; // hash of the entry before
  for (const { record, major } of entries) {
    const size = (record.length + 3) & ~3;
    if (at + size > end || at > full) {
      // The lowest bit says that the hash began in the leaf before.
      leaves.push({
        hash: leaves.length === 0 ? 0 : major === before ? major + 1 : major,
        bytes: new Uint8Array(ck.blockSize),
      });
      at = 0;
    }
    const { bytes } = leaves[leaves.length - 1];
    const view = new DataView(bytes.buffer);
    bytes.set(record, at);
    if (at > 0) setRecordLength(view, last, at - last);
    setRecordLength(view, at, end - at);
    last = at;
    at += size;
    before = major;
  }
  return leaves;
}

/** Count and limit stand where the first entry would have its hash, which is 0 anyhow. */
function writeEntries(bytes: Uint8Array, at: number, limit: number, entries: readonly IndexEntry[]): void {
  const view = new DataView(bytes.buffer);
  entries.forEach(({ hash, fileBlock }, i) => {
    if (i > 0) view.setUint32(at + i * 8, hash, true);
    view.setUint32(at + i * 8 + 4, fileBlock, true);
  });
  view.setUint16(at, limit, true);
  view.setUint16(at + 2, entries.length, true);
}
