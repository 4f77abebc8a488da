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
import { EUCLEAN } from "linux-abi";
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
const QH_FREE_BLOCK = 24;
const QH_FREE_ENTRY = 28;
const LEVELS = 4;
const LEAF_HEADER = 16;
const ENTRY_BYTES = 72;
const ENTRIES: number = Math.floor((QUOTA_BLOCK - LEAF_HEADER) / ENTRY_BYTES);
const E_INODES = 24;
const E_SPACE = 48;

export class QuotaFile {
  readonly inode: CoreInode;
  readonly #volume: Volume;
  /** Where entries are: id → offset in the file. */
  readonly #known = new Map<number, number>();
  // The place that `#locate` found.
  #buffer: Buffer | null = null;
  #at = 0;

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

  /** Adds to the use of an id, making its entry if it has none. Within an operation. 0, -ENOSPC, -EUCLEAN, -EIO. */
  add(id: number, inodes: number, bytes: number): number {
    const offset = this.#find(id);
    if (offset < 0) return offset;
    if (inodes === 0 && bytes === 0) return 0;
    const error = this.#locate(offset);
    if (error < 0) return error;
    this.#addTo(E_INODES, inodes);
    this.#addTo(E_SPACE, bytes);
    this.#touch();
    return 0;
  }

  /** What is booked for an id, or -errno. */
  usage(id: number): { readonly inodes: number; readonly bytes: number } | number {
    const offset = this.#find(id);
    if (offset < 0) return offset;
    const error = this.#locate(offset);
    return error < 0 ? error : { inodes: this.#read64(E_INODES), bytes: this.#read64(E_SPACE) };
  }

  #read64(field: number): number {
    const { view } = this.#buffer as Buffer;
    const at = this.#at + field;
    return view.getUint32(at, true) + view.getUint32(at + 4, true) * 0x1_0000_0000;
  }

  #addTo(field: number, amount: number): void {
    const { view } = this.#buffer as Buffer;
    const at = this.#at + field;
    const value = Math.max(0, this.#read64(field) + amount);
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

  /** Offset of the entry of `id`, made if need be; or -errno. */
  #find(id: number): number {
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    let block = 1;
    for (let level = 0; level < LEVELS; level++) {
      const slot = block * QUOTA_BLOCK + ((id >>> ((LEVELS - 1 - level) * 8)) & 0xff) * 4;
      let next = this.#word(slot);
      if (next < 0) return next;
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
      // An entry of all zeros is a free one: id 0 without use is told from it as Linux does.
      (this.#buffer as Buffer).view.setUint32(this.#at + 64, id === 0 ? 1 : 0, true);
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
