/**
 * Inodes in memory: one object per number, loaded from the inode table and checked once.
 *
 * An inode that is dirty, used or on the orphan list stays. Others are evicted when there are too many, unless they were
 * touched since the last walk: an object just handed out is safe until its receiver has had time to count itself (`ref`).
 */
import { ESTALE } from "linux-abi";
import { inodeProblem } from "./inode-check.ts";
import { EXT4_JOURNAL_INO, EXT4_RESIZE_INO } from "./superblock.ts";
import { CoreInode } from "./inode.ts";
import type { SystemZone } from "./system-zone.ts";
import type { Volume } from "./volume.ts";

export class InodeCache {
  readonly #volume: Volume;
  readonly #inodes = new Map<number, CoreInode>();
  readonly #limit: number;
  /** Known once the volume is mounted. */
  zone: SystemZone | undefined = undefined;
  #trimAt: number;

  constructor(volume: Volume, limit: number) {
    this.#volume = volume;
    this.#limit = limit;
    this.#trimAt = limit;
  }

  get size(): number {
    return this.#inodes.size;
  }

  /** The inode-table block that holds an inode. */
  blockOf(ino: number): number {
    const { geometry: g, groups } = this.#volume;
    const index = (ino - 1) % g.inodesPerGroup;
    return (
      groups.descriptors[Math.floor((ino - 1) / g.inodesPerGroup)].inodeTable + Math.floor(index / g.inodesPerBlock)
    );
  }

  /** Where in that block it lies. */
  offsetOf(ino: number): number {
    const g = this.#volume.geometry;
    return (((ino - 1) % g.inodesPerGroup) % g.inodesPerBlock) * g.inodeSize;
  }

  /** The inode, the same object for the same number. -ESTALE when it is not in use, -EUCLEAN, -EIO. */
  get(ino: number): CoreInode | number {
    const found = this.#inodes.get(ino);
    if (found !== undefined) {
      found.touched = true;
      return found.deleted ? -ESTALE : found;
    }
    const volume = this.#volume;
    if (!(ino >= 1 && ino <= volume.geometry.inodesCount)) {
      return volume.corrupt(`inode number ${ino} is out of range`, 0, 0);
    }
    const buffer = volume.cache.get(this.blockOf(ino));
    if (typeof buffer === "number") return buffer;
    const at = this.offsetOf(ino);
    const inode = new CoreInode(ino, buffer.data.slice(at, at + volume.geometry.inodeSize), volume.superblock.has64bit);
    if (inode.mode === 0 && inode.links === 0) return -ESTALE;
    inode.setSeed(volume.csumSeed);
    const error = inodeProblem(volume, inode, buffer.block);
    if (error < 0) return error;
    this.#inodes.set(ino, inode);
    volume.quota?.loaded(inode);
    return inode;
  }

  /** Every inode in memory. */
  all(): IterableIterator<CoreInode> {
    return this.#inodes.values();
  }

  /** Whether inode `ino` may own `count` blocks from `block` on: they are on the volume and not the file system's own. */
  mayOwn(ino: number, block: number, count: number): boolean {
    const { firstDataBlock, blocksCount } = this.#volume.geometry;
    if (block <= firstDataBlock || block + count > blocksCount) return false;
    if (this.zone === undefined || !this.zone.overlaps(block, count)) return true;
    return ino === EXT4_JOURNAL_INO || ino === EXT4_RESIZE_INO;
  }

  /** The object of a newly allocated inode, raw bytes zeroed. */
  create(ino: number): CoreInode {
    const inode = new CoreInode(ino, new Uint8Array(this.#volume.geometry.inodeSize), this.#volume.superblock.has64bit);
    this.#inodes.set(ino, inode);
    return inode;
  }

  /** Forgets the object of an inode that has been freed on disk. */
  drop(inode: CoreInode): void {
    inode.deleted = true;
    if (this.#inodes.get(inode.ino) === inode) this.#inodes.delete(inode.ino);
  }

  /** Takes an object back that was evicted while nobody used it. */
  keep(inode: CoreInode): void {
    if (!inode.deleted && !this.#inodes.has(inode.ino)) this.#inodes.set(inode.ino, inode);
  }

  /** Inodes that live only because somebody still uses them. */
  nameless(): CoreInode[] {
    return [...this.#inodes.values()].filter((inode) => inode.orphan && inode.links === 0);
  }

  trim(): void {
    if (this.#inodes.size <= this.#trimAt) return;
    const slack = this.#limit >> 3;
    for (const [ino, inode] of this.#inodes) {
      if (this.#inodes.size <= this.#limit - slack) break;
      if (inode.dirty || inode.refs > 0 || inode.orphan || inode.lazy) continue;
      if (inode.touched) inode.touched = false;
      else this.#inodes.delete(ino);
    }
    this.#trimAt = Math.max(this.#limit, this.#inodes.size + slack);
  }
}
