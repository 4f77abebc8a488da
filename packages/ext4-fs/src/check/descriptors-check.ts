/**
 * Pass 0, second half: group descriptors, and the blocks that superblocks, descriptors, bitmaps and inode tables take.
 */
import { descriptorBlock, groupBlocks, groupHasSuper, groupStart, groupSuperBlocks } from "../geometry.ts";
import {
  EXT4_BG_BLOCK_UNINIT,
  EXT4_BG_INODE_UNINIT,
  EXT4_BG_INODE_ZEROED,
  type GroupDescriptor,
} from "../group-descriptor.ts";
import { EXT4_FEATURE_INCOMPAT_META_BG } from "../features.ts";
import type { Checker } from "./checker.ts";
import { allocate } from "./allocate.ts";
import { SparseBits } from "./sparse.ts";

/** Reads the descriptors, from a copy if that makes more sense, and checks each of them. */
export function checkDescriptors(ck: Checker): void {
  load(ck, 0, ck.descriptorBytes);
  const bad = countImpossible(ck);
  if (bad > 0 && ck.g.groupCount > 1 && !ck.sb.hasIncompat(EXT4_FEATURE_INCOMPAT_META_BG)) {
    const primary = ck.descriptorBytes.slice();
    load(ck, 1, ck.descriptorBytes);
    if (groupHasSuper(ck.sb, 1) && countImpossible(ck) < bad) {
      ck.problem("descriptors-unusable", { group: 1 });
      ck.descriptorsDirty = true;
    } else {
      ck.descriptorBytes.set(primary);
    }
  }
  for (let group = 0; group < ck.g.groupCount; group++) checkDescriptor(ck, group);
}

/** Reads the descriptor blocks kept in `copy`'s group: 0 is the primary. */
function load(ck: Checker, copy: number, into: Uint8Array): void {
  const { g, blockSize } = ck;
  const shift = copy === 0 ? 0 : groupStart(g, copy) - groupStart(g, 0);
  for (let index = 0; index < g.gdtBlocks; index++) {
    const block = descriptorBlock(ck.sb, g, index) + shift;
    const target = into.subarray(index * blockSize, (index + 1) * blockSize);
    if (!ck.inside(block, 1) || ck.readInto(block, target) < 0) {
      target.fill(0);
      if (copy === 0) ck.report("read-error", { block });
    }
  }
}

/** Whether `count` blocks from `block` on may hold a table of this group. */
function placeIsPossible(ck: Checker, group: number, block: number, count: number): boolean {
  if (!ck.legal(block) || !ck.inside(block, count)) return false;
  if (ck.hasFlexGroups) return true;
  const start = groupStart(ck.g, group);
  return block >= start && block + count <= start + groupBlocks(ck.g, group);
}

function countImpossible(ck: Checker): number {
  let bad = 0;
  ck.descriptors.forEach((gd, group) => {
    if (!placeIsPossible(ck, group, gd.blockBitmap, 1)) bad++;
    if (!placeIsPossible(ck, group, gd.inodeBitmap, 1)) bad++;
    if (!placeIsPossible(ck, group, gd.inodeTable, ck.g.itableBlocks)) bad++;
  });
  return bad;
}

function checkDescriptor(ck: Checker, group: number): void {
  const gd = ck.descriptors[group];
  if (!placeIsPossible(ck, group, gd.blockBitmap, 1)) {
    ck.problem("block-bitmap-place", { group, block: gd.blockBitmap });
    ck.misplacedBlockBitmaps.add(group);
  }
  if (!placeIsPossible(ck, group, gd.inodeBitmap, 1)) {
    ck.problem("inode-bitmap-place", { group, block: gd.inodeBitmap });
    ck.misplacedInodeBitmaps.add(group);
  }
  if (!placeIsPossible(ck, group, gd.inodeTable, ck.g.itableBlocks)) {
    ck.problem("inode-table-place", { group, block: gd.inodeTable });
    ck.misplacedTables.add(group);
  }
  const uninit = EXT4_BG_BLOCK_UNINIT | EXT4_BG_INODE_UNINIT;
  if (!gd.checksumIsValid(group, ck.format)) {
    ck.problem("descriptor-checksum", { group });
    trustNothing(ck, gd);
  } else if (!ck.hasGroupChecksums && (gd.flags & (uninit | EXT4_BG_INODE_ZEROED)) !== 0) {
    ck.problem("descriptor-flags", { group });
    gd.flags &= ~(uninit | EXT4_BG_INODE_ZEROED);
    ck.descriptorsDirty = true;
  } else if (ck.hasGroupChecksums && gd.itableUnused > ck.g.inodesPerGroup) {
    ck.problem("descriptor-unused-inodes", { group, value: gd.itableUnused });
    trustNothing(ck, gd);
  }
}

/** Without a trustworthy descriptor everything in the group must be looked at. */
function trustNothing(ck: Checker, gd: GroupDescriptor): void {
  gd.flags &= ~(EXT4_BG_BLOCK_UNINIT | EXT4_BG_INODE_UNINIT);
  gd.itableUnused = 0;
  ck.descriptorsDirty = true;
}

/** Marks what the file system itself occupies, and finds tables that lie on each other. */
export function reserveMetadata(ck: Checker): void {
  const { g } = ck;
  // Blocks, not clusters: with bigalloc several tables share a cluster.
  const taken = new SparseBits();
  for (let group = 0; group < g.groupCount; group++) {
    const count = Math.min(groupSuperBlocks(ck.sb, g, group), groupBlocks(g, group));
    if (count > 0) reserve(ck, taken, groupStart(g, group), count);
  }
  for (let group = 0; group < g.groupCount; group++) {
    const gd = ck.descriptors[group];
    if (!ck.misplacedTables.has(group)) {
      if (!taken.isFree(gd.inodeTable, g.itableBlocks)) {
        ck.problem("table-collision", { group, block: gd.inodeTable, detail: "inode table" });
        ck.misplacedTables.add(group);
      } else {
        reserve(ck, taken, gd.inodeTable, g.itableBlocks);
      }
    }
  }
  for (let group = 0; group < g.groupCount; group++) {
    const gd = ck.descriptors[group];
    if (!ck.misplacedBlockBitmaps.has(group) && !takeBitmap(ck, taken, gd.blockBitmap)) {
      ck.problem("table-collision", { group, block: gd.blockBitmap, detail: "block bitmap" });
      ck.misplacedBlockBitmaps.add(group);
    }
    if (!ck.misplacedInodeBitmaps.has(group) && !takeBitmap(ck, taken, gd.inodeBitmap)) {
      ck.problem("table-collision", { group, block: gd.inodeBitmap, detail: "inode bitmap" });
      ck.misplacedInodeBitmaps.add(group);
    }
  }
}

function takeBitmap(ck: Checker, taken: SparseBits, block: number): boolean {
  if (taken.has(block)) return false;
  reserve(ck, taken, block, 1);
  return true;
}

function reserve(ck: Checker, taken: SparseBits, block: number, count: number): void {
  taken.addRange(block, count);
  const first = ck.cluster(block);
  const clusters = ck.cluster(block + count - 1) - first + 1;
  ck.used.addRange(first, clusters);
  ck.metadata.addRange(first, clusters);
}

/** After pass 1: gives tables without a place a new one. What they held is lost; the rest of the file system is not. */
export function replaceTables(ck: Checker): void {
  const total = ck.misplacedBlockBitmaps.size + ck.misplacedInodeBitmaps.size + ck.misplacedTables.size;
  if (total === 0 || !ck.repair) return;
  ck.again = true;
  const zeros = new Uint8Array(ck.blockSize);
  const place = (group: number, count: number): number => {
    const start = groupStart(ck.g, group);
    const near = allocate(ck, count, start, start + groupBlocks(ck.g, group));
    const block = near !== 0 || !ck.hasFlexGroups ? near : allocate(ck, count, ck.g.firstDataBlock, ck.g.blocksCount);
    if (block === 0) ck.stuck = true;
    return block;
  };
  for (const group of ck.misplacedTables) {
    const old = ck.descriptors[group].inodeTable;
    const block = place(group, ck.g.itableBlocks);
    if (block === 0) continue;
    for (let i = 0; i < ck.g.itableBlocks; i++) {
      // The old place may still hold inodes: what is none will be cleared as such.
      const content = ck.legal(old) && ck.inside(old, ck.g.itableBlocks) ? ck.read(old + i) : undefined;
      ck.write(block + i, content?.slice() ?? zeros);
    }
    ck.descriptors[group].inodeTable = block;
    trustNothing(ck, ck.descriptors[group]);
  }
  for (const group of ck.misplacedBlockBitmaps) {
    const block = place(group, 1);
    if (block === 0) continue;
    ck.write(block, zeros);
    ck.descriptors[group].blockBitmap = block;
    ck.descriptors[group].flags &= ~EXT4_BG_BLOCK_UNINIT;
  }
  for (const group of ck.misplacedInodeBitmaps) {
    const block = place(group, 1);
    if (block === 0) continue;
    ck.write(block, zeros);
    ck.descriptors[group].inodeBitmap = block;
    ck.descriptors[group].flags &= ~EXT4_BG_INODE_UNINIT;
  }
  ck.descriptorsDirty = true;
}
