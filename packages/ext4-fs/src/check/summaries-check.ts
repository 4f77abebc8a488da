/**
 * Pass 5: bitmaps and counts against what the passes before have found in use.
 */
import { countZeros, setBits } from "../bitmap.ts";
import { groupBlocks, groupStart } from "../geometry.ts";
import { EXT4_BG_BLOCK_UNINIT, EXT4_BG_INODE_UNINIT } from "../group-descriptor.ts";
import { S_FREE_BLOCKS_COUNT_HI, S_FREE_BLOCKS_COUNT_LO, S_FREE_INODES_COUNT } from "../superblock.ts";
import type { Checker } from "./checker.ts";

export function checkSummaries(ck: Checker, interrupted: (done: number, total: number) => boolean): void {
  const { g } = ck;
  for (let ino = 1; ino < Math.min(g.firstInode, g.inodesCount + 1); ino++) if (ino !== 2) ck.inodesUsed.add(ino);
  const directories = new Uint32Array(g.groupCount);
  for (const ino of ck.directories.keys()) if (ck.inodesUsed.has(ino)) directories[ck.groupOfInode(ino)]++;
  const scratch = new Uint8Array(ck.blockSize + 8);
  let freeClusters = 0;
  let freeInodes = 0;
  for (let group = 0; group < g.groupCount; group++) {
    if (interrupted(group, g.groupCount)) return;
    freeClusters += checkBlockBitmap(ck, group, scratch);
    freeInodes += checkInodeBitmap(ck, group, scratch);
    const gd = ck.descriptors[group];
    if (gd.usedDirs !== directories[group]) {
      const detail = { group, value: gd.usedDirs, expected: directories[group] };
      if (ck.problem("group-directories", detail)) {
        gd.usedDirs = directories[group];
        ck.descriptorsDirty = true;
      }
    }
  }
  ck.freeClusters = freeClusters;
  ck.freeInodes = freeInodes;
  const freeBlocks = freeClusters * ck.ratio;
  if (ck.sb.freeBlocksCount !== freeBlocks) {
    if (ck.problem("free-blocks", { value: ck.sb.freeBlocksCount, expected: freeBlocks })) {
      ck.sb.setSplit(S_FREE_BLOCKS_COUNT_LO, S_FREE_BLOCKS_COUNT_HI, freeBlocks);
      ck.superblockDirty = true;
    }
  }
  if (ck.sb.u32(S_FREE_INODES_COUNT) !== freeInodes) {
    if (ck.problem("free-inodes", { value: ck.sb.u32(S_FREE_INODES_COUNT), expected: freeInodes })) {
      ck.sb.setU32(S_FREE_INODES_COUNT, freeInodes);
      ck.superblockDirty = true;
    }
  }
}

/** Index of the first bit in which the arrays differ, below `count`; -1 if they do not. */
function firstDifference(a: Uint8Array, b: Uint8Array, count: number): number {
  for (let byte = 0; byte * 8 < count; byte++) {
    const difference = a[byte] ^ b[byte];
    if (difference === 0) continue;
    const bit = byte * 8 + (31 - Math.clz32(difference & -difference));
    if (bit < count) return bit;
  }
  return -1;
}

/** Whether all bits from `from` to the end of the block are set. */
function isPadded(bits: Uint8Array, from: number, byteLength: number): boolean {
  for (let bit = from; bit < byteLength * 8; bit++) {
    if ((bit & 7) === 0 && bits[bit >> 3] === 0xff) bit += 7;
    else if ((bits[bit >> 3] & (1 << (bit & 7))) === 0) return false;
  }
  return true;
}

/** Checks one block bitmap; the number of free clusters. */
function checkBlockBitmap(ck: Checker, group: number, wanted: Uint8Array): number {
  const { g } = ck;
  const gd = ck.descriptors[group];
  const count = Math.ceil(groupBlocks(g, group) / ck.ratio);
  const start = ck.cluster(groupStart(g, group));
  ck.used.copyTo(start, count, wanted);
  const free = countZeros(wanted, count);
  const uninit = ck.hasGroupChecksums && (gd.flags & EXT4_BG_BLOCK_UNINIT) !== 0;
  let rewrite = false;
  if (uninit) {
    // No bitmap on disk: only the group's own tables are in use.
    const expected = new Uint8Array(wanted.length);
    ck.metadata.copyTo(start, count, expected);
    const at = firstDifference(wanted, expected, count);
    if (at >= 0) rewrite = ck.problem("block-uninit", { group, block: (start + at) * ck.ratio });
  } else if (!ck.misplacedBlockBitmaps.has(group)) {
    const bits = ck.read(gd.blockBitmap);
    if (bits === undefined) {
      rewrite = ck.problem("read-error", { block: gd.blockBitmap, group });
    } else {
      const at = firstDifference(wanted, bits, count);
      if (at >= 0) rewrite = ck.problem("block-bitmap", { group, block: (start + at) * ck.ratio });
      if (!isPadded(bits, count, ck.blockSize)) rewrite = ck.problem("block-bitmap-padding", { group }) || rewrite;
      if (ck.hasChecksums && gd.blockBitmapCsum !== ck.bitmapChecksum(bits, g.clustersPerGroup >> 3))
        rewrite = ck.problem("block-bitmap-checksum", { group }) || rewrite;
    }
  }
  if (rewrite) {
    const bits = padded(ck, wanted, count);
    ck.write(gd.blockBitmap, bits);
    gd.flags &= ~EXT4_BG_BLOCK_UNINIT;
    if (ck.hasChecksums) gd.blockBitmapCsum = ck.bitmapChecksum(bits, g.clustersPerGroup >> 3);
    ck.descriptorsDirty = true;
  }
  if (gd.freeBlocks !== free && ck.problem("group-free-blocks", { group, value: gd.freeBlocks, expected: free })) {
    gd.freeBlocks = free;
    ck.descriptorsDirty = true;
  }
  return free;
}

/** Checks one inode bitmap; the number of free inodes. */
function checkInodeBitmap(ck: Checker, group: number, wanted: Uint8Array): number {
  const { g } = ck;
  const gd = ck.descriptors[group];
  const count = g.inodesPerGroup;
  const first = group * count + 1;
  ck.inodesUsed.copyTo(first, count, wanted);
  const free = countZeros(wanted, count);
  let rewrite = false;
  if (ck.hasGroupChecksums && (gd.flags & EXT4_BG_INODE_UNINIT) !== 0) {
    if (free !== count) rewrite = ck.problem("inode-bitmap", { group, inode: first });
  } else if (!ck.misplacedInodeBitmaps.has(group)) {
    const bits = ck.read(gd.inodeBitmap);
    if (bits === undefined) {
      rewrite = ck.problem("read-error", { block: gd.inodeBitmap, group });
    } else {
      const at = firstDifference(wanted, bits, count);
      if (at >= 0) rewrite = ck.problem("inode-bitmap", { group, inode: first + at });
      if (!isPadded(bits, count, ck.blockSize)) rewrite = ck.problem("inode-bitmap-padding", { group }) || rewrite;
      if (ck.hasChecksums && gd.inodeBitmapCsum !== ck.bitmapChecksum(bits, count >> 3))
        rewrite = ck.problem("inode-bitmap-checksum", { group }) || rewrite;
    }
  }
  if (rewrite) {
    const bits = padded(ck, wanted, count);
    ck.write(gd.inodeBitmap, bits);
    gd.flags &= ~EXT4_BG_INODE_UNINIT;
    if (ck.hasChecksums) gd.inodeBitmapCsum = ck.bitmapChecksum(bits, count >> 3);
    ck.descriptorsDirty = true;
  }
  if (gd.freeInodes !== free && ck.problem("group-free-inodes", { group, value: gd.freeInodes, expected: free })) {
    gd.freeInodes = free;
    ck.descriptorsDirty = true;
  }
  return free;
}

function padded(ck: Checker, bits: Uint8Array, count: number): Uint8Array {
  const block = bits.slice(0, ck.blockSize);
  setBits(block, count, ck.blockSize * 8 - count);
  return block;
}
