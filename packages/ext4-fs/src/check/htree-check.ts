/**
 * Indexed directories: the root in pass 1, and in pass 2 whether every block is reached once, in the order of the hashes.
 */
import { EXT4_CASEFOLD_FL, EXT4_ENCRYPT_FL } from "../inode.ts";
import { Buffer, KIND_HTREE } from "../buffer-cache.ts";
import { blockChecksumIsValid } from "../checksum/metadata-checksum.ts";
import { foldName } from "../directory/casefold.ts";
import { hashName, isKnownHash, type NameHash } from "../directory/hash.ts";
import type { CoreInode } from "../inode.ts";
import { EXT2_FLAGS_UNSIGNED_HASH, S_FLAGS, S_HASH_SEED } from "../superblock.ts";
import type { Checker, DirectoryInfo } from "./checker.ts";

const HASH_SIPHASH = 6;
const BLOCK_MASK = 0x0fff_ffff;
const MAX_LEVELS = 3;
const MAX_LEVELS_COMPAT = 2;

/** Pass 1: whether the root block of an indexed directory can be one. */
export function checkHtreeRoot(ck: Checker, inode: CoreInode, runs: readonly number[]): boolean {
  const { ino } = inode;
  if (!inode.isDirectory || !ck.hasDirIndex) {
    ck.problem("htree-flag", { inode: ino });
    return false;
  }
  let root = 0;
  for (let i = 0; i < runs.length; i += 3) if (runs[i] === 0) root = runs[i + 1];
  const bytes = root === 0 ? undefined : ck.read(root);
  const detail = bytes === undefined ? "its block cannot be read" : rootTrouble(ck, inode, new DataView(bytes.buffer));
  if (detail === undefined) return true;
  ck.problem("htree-root", { inode: ino, detail });
  return false;
}

function rootTrouble(ck: Checker, inode: CoreInode, view: DataView): string | undefined {
  const version = view.getUint8(28);
  const levels = view.getUint8(30);
  if (view.getUint32(24, true) !== 0 || view.getUint8(29) < 8) return "the information about it";
  if (version > 2 && version !== HASH_SIPHASH) return `hash version ${version}`;
  const inDirent = (inode.flags & EXT4_CASEFOLD_FL) !== 0 && (inode.flags & EXT4_ENCRYPT_FL) !== 0;
  if (inDirent !== (version === HASH_SIPHASH)) return `hash version ${version} in a directory of this kind`;
  if ((view.getUint8(31) & 1) !== 0) return "an unknown flag";
  if (levels > MAX_LEVELS) return `${levels} levels`;
  if (levels > MAX_LEVELS_COMPAT) ck.largeDirectories = true;
  return undefined;
}

const LEAF = 0;
const NODE = 1;
const ROOT = 2;
const REFERENCED = 1;
const TWICE = 2;
const FIRST = 4;
const LAST = 8;

/** The index of one directory, while its blocks are looked at. Hashes are kept even, as in the index. */
export class HtreeScan {
  readonly #ck: Checker;
  readonly #dir: DirectoryInfo;
  readonly #count: number;
  readonly #kind: Uint8Array;
  readonly #flags: Uint8Array;
  readonly #parent: Uint32Array;
  readonly #previous: Uint32Array;
  readonly #min: Float64Array;
  readonly #max: Float64Array;
  readonly #nodeMin: Float64Array;
  readonly #nodeMax: Float64Array;
  readonly #hash: NameHash = { major: 0, minor: 0 };
  readonly #hashSeed: Int32Array;
  #version = -1;
  #depth = 0;
  /** What was found wrong first. */
  trouble = "";

  constructor(ck: Checker, dir: DirectoryInfo) {
    const n = dir.blockCount;
    this.#ck = ck;
    this.#dir = dir;
    this.#count = n;
    this.#kind = new Uint8Array(n);
    this.#flags = new Uint8Array(n);
    this.#parent = new Uint32Array(n);
    this.#previous = new Uint32Array(n);
    this.#min = new Float64Array(n).fill(0xffffffff);
    this.#max = new Float64Array(n);
    this.#nodeMin = new Float64Array(n);
    this.#nodeMax = new Float64Array(n);
    this.#hashSeed = Int32Array.of(0, 4, 8, 12).map((at) => ck.sb.u32(S_HASH_SEED + at));
  }

  /** Announces a block, before its entries; true if it is part of the index and not a leaf. */
  block(index: number, block: number, bytes: Uint8Array, view: DataView, recordLength: number): boolean {
    const tail = this.#ck.hasChecksums ? 8 : 0;
    if (index === 0) {
      this.#kind[0] = ROOT;
      this.#flags[0] |= FIRST | LAST;
      const version = view.getUint8(28);
      this.#version =
        version <= 2 && (this.#ck.sb.u32(S_FLAGS) & EXT2_FLAGS_UNSIGNED_HASH) !== 0 ? version + 3 : version;
      this.#depth = view.getUint8(30) + 1;
      const most = this.#ck.hasLargeDir || this.#ck.largeDirectories ? MAX_LEVELS : MAX_LEVELS_COMPAT;
      if (view.getUint8(30) >= most) this.#bad(`${view.getUint8(30)} levels`);
      this.#node(index, block, bytes, view, 24 + view.getUint8(29));
      return true;
    }
    const limit = Math.floor((this.#ck.blockSize - 8 - tail) / 8);
    const isNode =
      view.getUint32(0, true) === 0 &&
      recordLength === this.#ck.blockSize &&
      bytes[6] === 0 &&
      view.getUint16(8, true) === limit;
    if (!isNode) return false;
    this.#kind[index] = NODE;
    this.#node(index, block, bytes, view, 8);
    return true;
  }

  #bad(trouble: string): void {
    if (this.trouble === "") this.trouble = trouble;
  }

  #node(index: number, block: number, bytes: Uint8Array, view: DataView, at: number): void {
    const ck = this.#ck;
    const tail = ck.hasChecksums ? 8 : 0;
    const limit = Math.floor((ck.blockSize - at - tail) / 8);
    let count = view.getUint16(at + 2, true);
    if (view.getUint16(at, true) !== limit) this.#bad(`block ${index}: room for ${view.getUint16(at, true)} entries`);
    else if (ck.hasChecksums && !this.#checksumIsValid(block, bytes)) {
      ck.problem("htree-node-checksum", { inode: this.#dir.ino, block, value: index });
      if (ck.repair) ck.rebuildDirectories.add(this.#dir.ino);
    }
    if (count > limit) {
      this.#bad(`block ${index}: ${count} entries`);
      count = limit;
    }
    let hash = 0;
    for (let i = 0; i < count; i++) {
      const entry = at + i * 8;
      const before = hash;
      hash = i === 0 ? 0 : (view.getUint32(entry, true) & ~1) >>> 0;
      const child = view.getUint32(entry + 4, true) & BLOCK_MASK;
      if (child >= this.#count) {
        this.#bad(`block ${index}: an entry leads to block ${child}`);
        continue;
      }
      if (hash < before) this.#bad(`block ${index}: its hashes are not in order`);
      if ((this.#flags[child] & REFERENCED) !== 0) this.#flags[child] |= TWICE;
      else {
        this.#flags[child] |= REFERENCED;
        this.#parent[child] = index;
      }
      this.#previous[child] = i === 0 ? 0 : view.getUint32(entry - 4, true) & BLOCK_MASK;
      this.#min[index] = Math.min(this.#min[index], hash);
      this.#max[index] = Math.max(this.#max[index], hash);
      this.#nodeMin[child] = hash;
      if (i + 1 < count) {
        this.#nodeMax[child] = (view.getUint32(entry + 8, true) & ~1) >>> 0;
      } else {
        this.#nodeMax[child] = 0xfffffffe;
        this.#flags[child] |= LAST;
      }
      if (i === 0) this.#flags[child] |= FIRST;
    }
  }

  #checksumIsValid(block: number, bytes: Uint8Array): boolean {
    const buffer = new Buffer(block, bytes);
    buffer.kind = KIND_HTREE;
    buffer.seed = this.#dir.seed;
    return blockChecksumIsValid({ superblock: this.#ck.sb, csumSeed: this.#ck.seed, hasMetadataCsum: true }, buffer);
  }

  /** An entry in leaf `index`. */
  entry(index: number, bytes: Uint8Array, at: number, length: number): void {
    if (!isKnownHash(this.#version)) return;
    const folded = this.#dir.casefold ? foldName(bytes, at, length) : bytes;
    if (folded === undefined) return; // not UTF-8: where Linux puts it is not known
    const plain = folded === bytes;
    hashName(this.#version, this.#hashSeed, folded, plain ? at : 0, plain ? length : folded.length, this.#hash);
    if (this.#hash.major < this.#min[index]) this.#min[index] = this.#hash.major;
    if (this.#hash.major > this.#max[index]) this.#max[index] = this.#hash.major;
  }

  /** After the last block: what is wrong with the index, if anything. */
  finish(): string {
    if (this.trouble !== "") return this.trouble;
    this.#flags[0] |= REFERENCED;
    for (const kind of [LEAF, NODE]) this.#tellParents(kind);
    for (let i = 0; i < this.#count; i++) {
      const flags = this.#flags[i];
      if ((flags & REFERENCED) === 0) return `block ${i} is not in it`;
      if ((flags & TWICE) !== 0) return `block ${i} is in it twice`;
      if ((flags & FIRST) === 0 && this.#min[i] < this.#nodeMin[i]) return `block ${i} has a hash that is too small`;
      if (i > 0 && this.#max[i] > this.#nodeMax[i]) return `block ${i} has a hash that is too large`;
      if (this.#kind[i] === LEAF && this.#depthOf(i) !== this.#depth) return `block ${i} is at the wrong depth`;
    }
    return "";
  }

  /** The range of a node is that of its children, which may begin before and end behind what its own entries say. */
  #tellParents(kind: number): void {
    for (let i = 0; i < this.#count; i++) {
      if (this.#kind[i] !== kind) continue;
      const parent = this.#parent[i];
      if ((this.#flags[i] & FIRST) !== 0) {
        this.#min[parent] = this.#min[i];
        if (this.#previous[parent] !== 0) this.#nodeMax[this.#previous[parent]] = this.#min[parent];
      }
      if ((this.#flags[i] & LAST) !== 0) this.#max[parent] = this.#max[i];
    }
  }

  #depthOf(index: number): number {
    let depth = 0;
    for (let at = index; this.#kind[at] !== ROOT && depth <= MAX_LEVELS + 1; at = this.#parent[at]) depth++;
    return depth;
  }
}
