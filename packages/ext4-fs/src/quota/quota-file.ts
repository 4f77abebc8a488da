/**
 * One quota file (format "vfsv1", v2 revision 1): a tree over the 32 bits of an id, four levels of 256 references, whose leaves are
 * blocks of 14 entries. All its blocks are 1 KiB, whatever the volume's are, and block 0 is the head.
 *
 *   head        0 magic u32 · 4 version u32 · 8 bgrace u32 · 12 igrace u32 · 16 flags u32 · 20 blocks u32 · 24 free_blk u32 · 28 free_entry u32
 *   tree block  256 × u32 block number, 0 = nothing there                              the root is block 1
 *   leaf block  0 next_free u32 · 4 prev_free u32 · 8 entries u16 · 16 ... entries of 72 bytes
 *   entry       0 id u32 · 8 ihardlimit u64 · 16 isoftlimit · 24 curinodes · 32 bhardlimit · 40 bsoftlimit · 48 curspace · 56 btime · 64 itime
 *
 * free_blk chains blocks given up, free_entry leaf blocks with room. (include/linux/quota.h, fs/quota/quota_tree.c)
 */
import { ENOENT, EUCLEAN } from "linux-abi";
import type { QuotaChanges, QuotaEntry } from "vfs-inode";
import { type Buffer, KIND_PLAIN } from "../buffer-cache.ts";
import { mapBlocks } from "../extents/map.ts";
import { allocateRun, insertRun, releaseRun } from "../file-map.ts";
import { allocationGoal } from "../file-write.ts";
import type { CoreInode } from "../inode.ts";
import type { Volume } from "../volume.ts";

export const QUOTA_BLOCK = 1024;
/** By kind: user, group, project. */
export const QUOTA_MAGICS: readonly number[] = [0xd9c01f11, 0xd9c01927, 0xd9c03f14];
export const QUOTA_VERSION = 1;
export const QUOTA_GRACE_SECONDS: number = 7 * 24 * 3600;
export const QH_BLOCKS = 20;
const GRACE_BYTES = 8;
const GRACE_INODES = 12;
const QH_FREE_BLOCK = 24;
const QH_FREE_ENTRY = 28;
const LEVELS = 4;
const LEAF_HEADER = 16;
const ENTRY_BYTES = 72;
const ENTRIES: number = Math.floor((QUOTA_BLOCK - LEAF_HEADER) / ENTRY_BYTES);
const E_INODES_HARD = 8;
const E_INODES_SOFT = 16;
const E_INODES = 24;
const E_SPACE_HARD = 32;
const E_SPACE_SOFT = 40;
const E_SPACE = 48;
const E_SPACE_TIME = 56;
const E_INODES_TIME = 64;
/** A time that only keeps the entry of id 0 from being all zeros. */
const UNUSED_TIME = 1;
/** Limits of space are stored in KiB. */
const LIMIT_UNIT = 1024;

/** Seconds for which a soft limit may be exceeded. */
export interface QuotaGrace {
  readonly inodes: number;
  readonly bytes: number;
}

/** Inodes and bytes that may be added; Infinity where nothing limits them. */
export interface QuotaRoom {
  inodes: number;
  bytes: number;
}

export class QuotaFile {
  readonly inode: CoreInode;
  readonly #volume: Volume;
  /** Where entries are: id → offset in the file. */
  readonly #known = new Map<number, number>();
  // The place that `#locate` found.
  #buffer: Buffer | null = null;
  #at = 0;
  #visits = 0; // blocks that `next` may still look at

  constructor(volume: Volume, inode: CoreInode) {
    this.#volume = volume;
    this.inode = inode;
  }

  /** Whether the head is that of a file of this kind (0 user, 1 group, 2 project): 0, -EUCLEAN, -EIO. */
  check(kind: number): number {
    const error = this.#locate(0);
    if (error < 0) return error;
    const { view } = this.#buffer as Buffer;
    const sane =
      view.getUint32(this.#at, true) === QUOTA_MAGICS[kind] && view.getUint32(this.#at + 4, true) === QUOTA_VERSION;
    return sane ? 0 : this.#volume.corrupt("quota file has a wrong head", this.inode.ino, 0);
  }

  /**
   * Adds to the use of an id, making its entry if it has none. `now`: limits are in force, and who passes a soft one has from then on the
   * time of grace. Within an operation. 0, -ENOSPC, -EUCLEAN, -EIO.
   */
  add(id: number, inodes: number, bytes: number, now: number = -1): number {
    const offset = this.#find(id, true);
    if (offset < 0) return offset;
    if (inodes === 0 && bytes === 0) return 0;
    const error = this.#locate(offset);
    if (error < 0) return error;
    this.#addTo(E_INODES, inodes);
    this.#addTo(E_SPACE, bytes);
    this.#touch();
    const timed = this.#setDeadline(E_INODES, E_INODES_SOFT, 1, E_INODES_TIME, GRACE_INODES, offset, now);
    if (timed < 0) return timed;
    const failed = this.#setDeadline(E_SPACE, E_SPACE_SOFT, LIMIT_UNIT, E_SPACE_TIME, GRACE_BYTES, offset, now);
    if (failed < 0) return failed;
    this.#keepInUse(id);
    return 0;
  }

  /** The entry of an id; undefined when it has none; or -errno. */
  entry(id: number): QuotaEntry | undefined | number {
    const offset = this.#find(id, false);
    if (offset <= 0) return offset === 0 ? undefined : offset;
    const error = this.#locate(offset);
    if (error < 0) return error;
    const limit = (at: number, unit: number): number => this.#read64(at) * unit;
    const [inodes, bytes, itime] = [this.#read64(E_INODES), this.#read64(E_SPACE), this.#read64(E_INODES_TIME)];
    return {
      id,
      inodes,
      bytes,
      inodeLimit: { soft: limit(E_INODES_SOFT, 1), hard: limit(E_INODES_HARD, 1) },
      byteLimit: { soft: limit(E_SPACE_SOFT, LIMIT_UNIT), hard: limit(E_SPACE_HARD, LIMIT_UNIT) },
      inodeDeadline: itime === UNUSED_TIME ? 0 : itime,
      byteDeadline: this.#read64(E_SPACE_TIME),
    };
  }

  /** How much an id may still take at the time `now`, into `out`. 0 or -errno. */
  room(id: number, now: number, out: QuotaRoom): number {
    out.inodes = Number.POSITIVE_INFINITY;
    out.bytes = Number.POSITIVE_INFINITY;
    const offset = this.#find(id, false);
    const error = offset <= 0 ? offset : this.#locate(offset);
    if (offset <= 0 || error < 0) return error;
    out.inodes = this.#roomOf(E_INODES, E_INODES_HARD, E_INODES_SOFT, E_INODES_TIME, 1, now);
    out.bytes = this.#roomOf(E_SPACE, E_SPACE_HARD, E_SPACE_SOFT, E_SPACE_TIME, LIMIT_UNIT, now);
    return 0;
  }

  #roomOf(use: number, hardAt: number, softAt: number, timeAt: number, unit: number, now: number): number {
    const hard = this.#read64(hardAt) * unit;
    const soft = this.#read64(softAt) * unit;
    const deadline = this.#read64(timeAt);
    let most = hard > 0 ? hard : Number.POSITIVE_INFINITY;
    if (soft > 0 && deadline > UNUSED_TIME && now >= deadline) most = Math.min(most, soft);
    return Math.max(0, most - this.#read64(use));
  }

  /**
   * Sets the limits of an id, and its deadlines where they are given; else they begin with a soft limit that is exceeded already.
   * Within an operation. 0, -ENOSPC, -EUCLEAN, -EIO.
   */
  setLimits(id: number, changes: QuotaChanges, now: number): number {
    const offset = this.#find(id, true);
    let error = offset < 0 ? offset : this.#locate(offset);
    if (error < 0) return error;
    const { inodeLimit, byteLimit, inodeDeadline, byteDeadline } = changes;
    if (inodeLimit !== undefined) {
      this.#write64(E_INODES_HARD, inodeLimit.hard);
      this.#write64(E_INODES_SOFT, inodeLimit.soft);
    }
    if (byteLimit !== undefined) {
      this.#write64(E_SPACE_HARD, Math.ceil(byteLimit.hard / LIMIT_UNIT));
      this.#write64(E_SPACE_SOFT, Math.ceil(byteLimit.soft / LIMIT_UNIT));
    }
    if (inodeDeadline !== undefined) this.#write64(E_INODES_TIME, inodeDeadline);
    if (byteDeadline !== undefined) this.#write64(E_SPACE_TIME, byteDeadline);
    this.#touch();
    error = this.#setDeadline(E_INODES, E_INODES_SOFT, 1, E_INODES_TIME, GRACE_INODES, offset, now);
    if (error === 0)
      error = this.#setDeadline(E_SPACE, E_SPACE_SOFT, LIMIT_UNIT, E_SPACE_TIME, GRACE_BYTES, offset, now);
    if (error === 0) this.#keepInUse(id);
    return error;
  }

  /** Times of grace of this kind, or -errno. */
  grace(): QuotaGrace | number {
    const error = this.#locate(0);
    if (error < 0) return error;
    const { view } = this.#buffer as Buffer;
    return {
      inodes: view.getUint32(this.#at + GRACE_INODES, true),
      bytes: view.getUint32(this.#at + GRACE_BYTES, true),
    };
  }

  /** Sets the times of grace. Within an operation. 0 or -errno. */
  setGrace(grace: Partial<QuotaGrace>): number {
    let error = grace.inodes === undefined ? 0 : this.#setWord(GRACE_INODES, grace.inodes);
    if (error === 0 && grace.bytes !== undefined) error = this.#setWord(GRACE_BYTES, grace.bytes);
    return error;
  }

  /** The lowest id from `from` on that has an entry; -ENOENT, -EUCLEAN, -EIO. */
  next(from: number): number {
    this.#visits = this.inode.size / QUOTA_BLOCK;
    return this.#nextIn(1, 0, 0, from);
  }

  #nextIn(block: number, level: number, prefix: number, from: number): number {
    // A sound tree has each block once.
    if (--this.#visits < 0) return this.#volume.corrupt("quota file: its tree is no tree", this.inode.ino, 0);
    const span = 2 ** ((LEVELS - 1 - level) * 8); // ids below one reference
    const first = from <= prefix ? 0 : Math.floor((from - prefix) / span);
    for (let i = first; i < 256; i++) {
      const child = this.#word(block * QUOTA_BLOCK + i * 4);
      if (child < 0) return child;
      if (child === 0) continue;
      const id = prefix + i * span;
      const found = level === LEVELS - 1 ? id : this.#nextIn(child, level + 1, id, from);
      if (found !== -ENOENT) return found;
    }
    return -ENOENT;
  }

  /** Begins the time of grace when a soft limit is exceeded and limits are in force (`now` ≥ 0), ends it when it is not any more. 0 or -errno. */
  #setDeadline(
    use: number,
    soft: number,
    unit: number,
    time: number,
    graceAt: number,
    offset: number,
    now: number,
  ): number {
    const limit = this.#read64(soft) * unit;
    const exceeded = limit > 0 && this.#read64(use) > limit;
    const set = this.#read64(time);
    if (!exceeded) {
      if (set !== 0) this.#write64(time, 0);
      return 0;
    }
    if (now < 0 || set > UNUSED_TIME) return 0;
    const grace = this.#word(graceAt);
    const error = grace < 0 ? grace : this.#locate(offset);
    if (error < 0) return error;
    this.#write64(time, now + grace);
    return 0;
  }

  /** An entry of all zeros is a free one: id 0 without use and limits is told from it as Linux does. */
  #keepInUse(id: number): void {
    if (id === 0 && this.#isFree()) this.#write64(E_INODES_TIME, UNUSED_TIME);
  }

  #read64(field: number): number {
    const { view } = this.#buffer as Buffer;
    const at = this.#at + field;
    return view.getUint32(at, true) + view.getUint32(at + 4, true) * 0x1_0000_0000;
  }

  #addTo(field: number, amount: number): void {
    this.#write64(field, Math.max(0, this.#read64(field) + amount));
  }

  #write64(field: number, value: number): void {
    const { view } = this.#buffer as Buffer;
    const at = this.#at + field;
    view.setUint32(at, value >>> 0, true);
    view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
  }

  #touch(): void {
    this.#volume.dirtyBuffer(this.#buffer as Buffer, KIND_PLAIN, 0);
  }

  /** Points `#buffer` and `#at` at a byte of the file. */
  #locate(offset: number): number {
    const volume = this.#volume;
    const map = volume.work.quotaMap;
    const within = offset % volume.blockSize;
    const error = mapBlocks(volume, this.inode, (offset - within) / volume.blockSize, 1, map);
    if (error < 0) return error;
    if (map.block === 0 || map.unwritten || offset + 4 > this.inode.size)
      return volume.corrupt(`quota file has nothing at ${offset}`, this.inode.ino, 0);
    const buffer = volume.cache.get(map.block);
    if (typeof buffer === "number") return buffer;
    this.#buffer = buffer;
    this.#at = within;
    return 0;
  }

  #word(offset: number): number {
    const error = this.#locate(offset);
    return error < 0 ? error : (this.#buffer as Buffer).view.getUint32(this.#at, true);
  }

  #setWord(offset: number, value: number): number {
    const error = this.#locate(offset);
    if (error < 0) return error;
    (this.#buffer as Buffer).view.setUint32(this.#at, value, true);
    this.#touch();
    return 0;
  }

  /** Offset of the entry of `id`; 0 where it has none and `create` is false; or -errno. */
  #find(id: number, create: boolean): number {
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    let block = 1;
    for (let level = 0; level < LEVELS; level++) {
      const slot = block * QUOTA_BLOCK + ((id >>> ((LEVELS - 1 - level) * 8)) & 0xff) * 4;
      let next = this.#word(slot);
      if (next < 0) return next;
      if (next === 0 && !create) return 0;
      if (level === LEVELS - 1) {
        if (next === 0) {
          const offset = this.#newEntry(id);
          if (offset < 0) return offset;
          const error = this.#setWord(slot, Math.floor(offset / QUOTA_BLOCK));
          if (error < 0) return error;
          this.#known.set(id, offset);
          return offset;
        }
        const offset = this.#entryIn(next, id);
        if (offset > 0) this.#known.set(id, offset);
        return offset;
      }
      if (next === 0) {
        next = this.#newBlock();
        if (next < 0) return next;
        const error = this.#setWord(slot, next);
        if (error < 0) return error;
      }
      block = next;
    }
    return -EUCLEAN;
  }

  #entryIn(leaf: number, id: number): number {
    for (let i = 0; i < ENTRIES; i++) {
      const offset = leaf * QUOTA_BLOCK + LEAF_HEADER + i * ENTRY_BYTES;
      const error = this.#locate(offset);
      if (error < 0) return error;
      if ((this.#buffer as Buffer).view.getUint32(this.#at, true) === id && !this.#isFree()) return offset;
    }
    return this.#volume.corrupt(`quota file has no entry for ${id}`, this.inode.ino, 0);
  }

  /** Whether the entry at the place found is all zeros. */
  #isFree(): boolean {
    const { data } = this.#buffer as Buffer;
    for (let i = 0; i < ENTRY_BYTES; i++) if (data[this.#at + i] !== 0) return false;
    return true;
  }

  /** An entry in a leaf with room; its offset or -errno. */
  #newEntry(id: number): number {
    let leaf = this.#word(QH_FREE_ENTRY);
    if (leaf < 0) return leaf;
    if (leaf === 0) {
      leaf = this.#newBlock();
      if (leaf < 0) return leaf;
      const error = this.#setWord(QH_FREE_ENTRY, leaf);
      if (error < 0) return error;
    }
    let error = this.#locate(leaf * QUOTA_BLOCK);
    if (error < 0) return error;
    const { view } = this.#buffer as Buffer;
    const base = this.#at;
    const count = view.getUint16(base + 8, true) + 1;
    view.setUint16(base + 8, count, true);
    this.#touch();
    if (count >= ENTRIES) {
      // Full: out of the chain.
      const next = view.getUint32(base, true);
      view.setUint32(base, 0, true);
      view.setUint32(base + 4, 0, true);
      error = this.#setWord(QH_FREE_ENTRY, next);
      if (error === 0 && next !== 0) error = this.#setWord(next * QUOTA_BLOCK + 4, 0);
      if (error < 0) return error;
    }
    for (let i = 0; i < ENTRIES; i++) {
      const offset = leaf * QUOTA_BLOCK + LEAF_HEADER + i * ENTRY_BYTES;
      error = this.#locate(offset);
      if (error < 0) return error;
      if (!this.#isFree()) continue;
      (this.#buffer as Buffer).view.setUint32(this.#at, id, true);
      this.#keepInUse(id);
      this.#touch();
      return offset;
    }
    return this.#volume.corrupt(`quota block ${leaf} has no room`, this.inode.ino, 0);
  }

  /** A zeroed block, from the free chain or at the end; its number or -errno. */
  #newBlock(): number {
    const free = this.#word(QH_FREE_BLOCK);
    if (free < 0) return free;
    if (free !== 0) {
      const next = this.#word(free * QUOTA_BLOCK);
      const error = next < 0 ? next : this.#setWord(QH_FREE_BLOCK, next);
      if (error < 0) return error;
    }
    let block = free;
    if (free === 0) {
      block = this.#word(QH_BLOCKS);
      if (block < 0) return block;
      let error = this.#extend(block);
      if (error === 0) error = this.#setWord(QH_BLOCKS, block + 1);
      if (error < 0) return error;
    }
    const error = this.#locate(block * QUOTA_BLOCK);
    if (error < 0) return error;
    (this.#buffer as Buffer).data.fill(0, this.#at, this.#at + QUOTA_BLOCK);
    this.#touch();
    return block;
  }

  /** Makes the file long enough for a block. */
  #extend(block: number): number {
    const volume = this.#volume;
    const { inode } = this;
    const offset = block * QUOTA_BLOCK;
    const fileBlock = Math.floor(offset / volume.blockSize);
    const map = volume.work.quotaMap;
    let error = mapBlocks(volume, inode, fileBlock, 1, map);
    if (error === 0 && map.block === 0) {
      const run = volume.work.quotaRun;
      error = allocateRun(volume, inode, fileBlock, 1, allocationGoal(volume, inode, fileBlock), run);
      if (error < 0) return error;
      error = insertRun(volume, inode, fileBlock, run, false);
      if (error < 0) {
        releaseRun(volume, run);
        return error;
      }
      volume.dirtyBuffer(volume.cache.create(run.start), KIND_PLAIN, 0);
    }
    if (error < 0) return error;
    inode.size = Math.max(inode.size, offset + QUOTA_BLOCK);
    return volume.dirtyInode(inode);
  }
}
