/**
 * Blocks that more than one inode claims. The first inode in the table keeps a block, unless it is the file system's own; every other
 * one gets a copy. Where there is no room for copies, the file goes.
 */
import { type CoreInode, EXT4_INLINE_DATA_FL, I_BLOCK } from "../inode.ts";
import { EXT4_BAD_INO, EXT4_RESIZE_INO } from "../superblock.ts";
import { XATTR_REFCOUNT } from "../xattr/layout.ts";
import { allocate } from "./allocate.ts";
import { onceEach, walkBlocks } from "./block-walk.ts";
import type { Checker } from "./checker.ts";
import { clearInode } from "./inodes-check.ts";
import { hasBlocks } from "./inode-blocks.ts";
import { collectMapping, type MapRun, storeMapping } from "./remap.ts";
import { SparseBits } from "./sparse.ts";
import { xattrBlockChecksum } from "./xattrs-check.ts";

/** Shared blocks to name in the report. */
const MOST_NAMED = 200;

export function resolveShared(ck: Checker): void {
  let named = 0;
  for (const cluster of ck.shared) {
    if (named++ >= MOST_NAMED) break;
    ck.problem("block-shared", { block: cluster * ck.ratio });
  }
  if (named === 0 || !ck.repair) return;
  ck.again = true;
  new Resolver(ck).run();
}

class Resolver {
  readonly #ck: Checker;
  /** Shared clusters that have found their owner. */
  readonly #owned = new SparseBits();
  /** Attribute blocks that stay, and where copies of the others are. */
  readonly #xattrs = new Map<number, number>();
  /** Blocks that may still be looked at one by one. */
  #budget: number;

  constructor(ck: Checker) {
    this.#ck = ck;
    this.#budget = 4 * ck.clusterCount + (1 << 20);
  }

  run(): void {
    const ck = this.#ck;
    this.#ownResizeInode();
    for (const ino of ck.inodesUsed) {
      const inode = ck.readInode(ino);
      if (inode === undefined) continue;
      if (ino === EXT4_BAD_INO) {
        this.#ownBadBlocks(inode);
        continue;
      }
      if (ino === EXT4_RESIZE_INO) continue;
      let changed = false;
      const block = inode.fileAcl;
      if (block !== 0 && ck.legal(block) && ck.shared.has(ck.cluster(block))) {
        const copy = this.#xattrBlock(block);
        if (copy === 0) {
          clearInode(ck, inode);
          continue;
        }
        if (copy !== block) {
          inode.fileAcl = copy;
          changed = true;
        }
      }
      const inline = ck.hasInline && inode.hasFlag(EXT4_INLINE_DATA_FL);
      if (!inline && hasBlocks(inode) && this.#touchesShared(inode)) {
        const runs = collectMapping(ck, inode);
        const copies = runs === undefined ? undefined : this.#separate(runs);
        if (copies === undefined || !storeMapping(ck, inode, copies)) {
          ck.stuck = false; // the file goes instead
          clearInode(ck, inode);
          continue;
        }
        ck.rebuildExtents.delete(ino);
        changed = true;
      }
      if (changed) ck.writeInode(inode);
    }
  }

  /** The resize inode keeps its block, also against the root directory, which comes before it. */
  #ownResizeInode(): void {
    const ck = this.#ck;
    const double = ck.readInode(EXT4_RESIZE_INO)?.view.getUint32(I_BLOCK + 13 * 4, true) ?? 0;
    if (ck.inodesUsed.has(EXT4_RESIZE_INO) && ck.legal(double)) this.#owned.add(ck.cluster(double));
  }

  /** Bad blocks stay where they are. */
  #ownBadBlocks(inode: CoreInode): void {
    const ck = this.#ck;
    walkBlocks(ck, inode, {
      data: (_fileBlock, block, count) => this.#owned.addRange(ck.cluster(block), count),
      node: (block) => this.#owned.add(ck.cluster(block)),
      problem() {},
    });
  }

  #touchesShared(inode: CoreInode): boolean {
    const ck = this.#ck;
    let touches = false;
    const fresh = onceEach();
    walkBlocks(ck, inode, {
      data(_fileBlock, block, count) {
        const first = ck.cluster(block);
        touches ||= !ck.shared.isFree(first, ck.cluster(block + count - 1) - first + 1);
      },
      node(block) {
        touches ||= ck.shared.has(ck.cluster(block));
        return !touches && fresh(block);
      },
      problem() {},
    });
    return touches;
  }

  /** The runs with copies where another inode, or another part of this one, owns the block. */
  #separate(runs: readonly MapRun[]): MapRun[] | undefined {
    const ck = this.#ck;
    const result: MapRun[] = [];
    /** Logical cluster of the file → its cluster on the medium. */
    const mine = new Map<number, number>();
    for (const run of runs) {
      const first = ck.cluster(run.block);
      if (ck.shared.isFree(first, ck.cluster(run.block + run.count - 1) - first + 1)) {
        result.push({ ...run });
        continue;
      }
      for (let i = 0; i < run.count; i++) {
        if (this.#budget-- <= 0) return undefined;
        const block = this.#place(run.block + i, run.fileBlock + i, mine);
        if (block === 0) return undefined;
        const last = result.at(-1);
        const joins =
          last !== undefined &&
          last.unwritten === run.unwritten &&
          last.block + last.count === block &&
          last.fileBlock + last.count === run.fileBlock + i;
        if (joins) last.count++;
        else result.push({ fileBlock: run.fileBlock + i, block, count: 1, unwritten: run.unwritten });
      }
    }
    return result;
  }

  /** Where a block of the file is from now on; 0 without room. */
  #place(block: number, fileBlock: number, mine: Map<number, number>): number {
    const ck = this.#ck;
    const cluster = ck.cluster(block);
    if (!ck.shared.has(cluster)) return block;
    const logical = Math.floor(fileBlock / ck.ratio);
    const within = fileBlock % ck.ratio;
    let base = mine.get(logical);
    if (base === undefined) {
      const aligned = block % ck.ratio === within;
      if (aligned && !ck.metadata.has(cluster) && this.#owned.add(cluster)) {
        base = cluster;
      } else {
        const copy = allocate(ck, ck.ratio);
        if (copy === 0) return 0;
        base = ck.cluster(copy);
      }
      mine.set(logical, base);
    }
    const place = base * ck.ratio + within;
    if (place !== block) ck.write(place, ck.read(block)?.slice() ?? new Uint8Array(ck.blockSize));
    return place;
  }

  #xattrBlock(block: number): number {
    const ck = this.#ck;
    const known = this.#xattrs.get(block);
    if (known !== undefined) return known;
    const cluster = ck.cluster(block);
    if (!ck.metadata.has(cluster) && this.#owned.add(cluster)) {
      this.#xattrs.set(block, block);
      return block;
    }
    const bytes = ck.read(block)?.slice();
    const copy = bytes === undefined ? 0 : allocate(ck, 1);
    if (copy !== 0 && bytes !== undefined) {
      const view = new DataView(bytes.buffer);
      view.setUint32(XATTR_REFCOUNT, 1, true);
      if (ck.hasChecksums) view.setUint32(16, xattrBlockChecksum(ck, copy, bytes), true);
      ck.write(copy, bytes);
    }
    this.#xattrs.set(block, copy);
    return copy;
  }
}
