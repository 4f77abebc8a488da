/**
 * Allocating and freeing inodes.
 *
 * Files go into their directory's group, so that their blocks lie near each other; directories below the root are spread over
 * groups with more than average room, deeper ones stay with their parent while it has room (a light form of Orlov).
 */
import { ENOSPC, EUCLEAN } from "linux-abi";
import { clearBits, nextZero, setBits, testBit } from "../bitmap.ts";
import { KIND_INODE_TABLE } from "../buffer-cache.ts";
import { EXT4_BG_INODE_UNINIT, EXT4_BG_INODE_ZEROED } from "../group-descriptor.ts";
import { type CoreInode, EXT4_TOPDIR_FL, GOOD_OLD_INODE_SIZE, I_EXTRA_ISIZE } from "../inode.ts";
import { EXT4_ROOT_INO, S_WANT_EXTRA_ISIZE } from "../superblock.ts";
import type { Volume } from "../volume.ts";

/** Allocates an inode near `parent`: an object with zeroed content, generation and checksum seed set; or -ENOSPC, -EIO, -EUCLEAN. */
export function allocateInode(volume: Volume, parent: CoreInode, isDirectory: boolean): CoreInode | number {
  const { geometry: g, groups } = volume;
  const parentGroup = Math.floor((parent.ino - 1) / g.inodesPerGroup);
  // The very first directory, lost+found, lies at the front.
  const isFirst = volume.freeInodes === g.inodesCount - g.firstInode + 1;
  const spread = isDirectory && !isFirst && (parent.ino === EXT4_ROOT_INO || parent.hasFlag(EXT4_TOPDIR_FL));
  const first = spread ? roomiestGroup(volume, parentGroup) : parentGroup;
  for (let i = 0; i < g.groupCount; i++) {
    const group = (first + i) % g.groupCount;
    const gd = groups.descriptors[group];
    if (gd.freeInodes === 0 || groups.bad.has(group)) continue;
    const bitmap = groups.inodeBitmap(group);
    if (typeof bitmap === "number") {
      if (bitmap === -EUCLEAN) continue; // noted as bad
      return bitmap;
    }
    const reserved = group === 0 ? g.firstInode - 1 : 0;
    const index = nextZero(bitmap.data, undefined, Math.max(reserved, groups.inodeHint[group]), g.inodesPerGroup);
    groups.inodeHint[group] = index;
    if (index >= g.inodesPerGroup) continue;
    const prepared = groups.hasChecksums ? extendTable(volume, group, index) : 0;
    if (prepared < 0) return prepared;
    setBits(bitmap.data, index, 1);
    groups.inodeHint[group] = index + 1;
    gd.freeInodes--;
    if (isDirectory) gd.usedDirs++;
    volume.freeInodes--;
    groups.touchInodeBitmap(group, bitmap);
    volume.countsChanged();
    return initInode(volume, group * g.inodesPerGroup + index + 1);
  }
  return -ENOSPC;
}

function initInode(volume: Volume, ino: number): CoreInode | number {
  const inode = volume.inodes.create(ino);
  inode.generation = volume.nextGeneration;
  volume.nextGeneration = (volume.nextGeneration + 1) >>> 0;
  inode.setSeed(volume.csumSeed);
  if (volume.geometry.inodeSize > GOOD_OLD_INODE_SIZE) {
    const want = volume.superblock.u16(S_WANT_EXTRA_ISIZE);
    const most = volume.geometry.inodeSize - GOOD_OLD_INODE_SIZE;
    inode.view.setUint16(I_EXTRA_ISIZE, want > 0 && want <= most ? want & ~3 : Math.min(32, most), true);
  }
  const error = volume.dirtyInode(inode);
  if (error < 0) {
    volume.inodes.drop(inode);
    return error;
  }
  return inode;
}

/** Group with the fewest directories among those with at least the average of free inodes and blocks. */
function roomiestGroup(volume: Volume, fallback: number): number {
  const { geometry: g, groups } = volume;
  const averageInodes = volume.freeInodes / g.groupCount;
  const averageBlocks = volume.freeBlocks / g.groupCount;
  let best = fallback;
  let fewest = Infinity;
  for (let i = 0; i < g.groupCount; i++) {
    const group = (fallback + i) % g.groupCount;
    const gd = groups.descriptors[group];
    if (gd.freeInodes === 0 || gd.freeInodes < averageInodes || gd.freeBlocks < averageBlocks || gd.usedDirs >= fewest)
      continue;
    fewest = gd.usedDirs;
    best = group;
  }
  return best;
}

/**
 * Makes table slot `index` part of the used front of the table (itable_unused). Blocks that come in and were never zeroed are
 * zeroed now, so that a scan of the front sees no garbage.
 */
function extendTable(volume: Volume, group: number, index: number): number {
  const { geometry: g, groups } = volume;
  const gd = groups.descriptors[group];
  const used = (gd.flags & EXT4_BG_INODE_UNINIT) !== 0 ? 0 : g.inodesPerGroup - gd.itableUnused;
  if (index < used) return 0;
  if ((gd.flags & EXT4_BG_INODE_ZEROED) === 0) {
    const firstBlock = Math.ceil(used / g.inodesPerBlock);
    for (let b = firstBlock; b <= Math.floor(index / g.inodesPerBlock); b++) {
      volume.dirtyBuffer(volume.cache.create(gd.inodeTable + b), KIND_INODE_TABLE, 0);
    }
  }
  gd.itableUnused = g.inodesPerGroup - index - 1;
  return 0;
}

/** Gives an inode's number back. Its blocks must have been freed. 0, -EUCLEAN, -EIO. */
export function freeInode(volume: Volume, inode: CoreInode, wasDirectory: boolean): number {
  const { geometry: g, groups } = volume;
  const group = Math.floor((inode.ino - 1) / g.inodesPerGroup);
  const index = (inode.ino - 1) % g.inodesPerGroup;
  const bitmap = groups.inodeBitmap(group);
  if (typeof bitmap === "number") return bitmap;
  if (inode.ino < g.firstInode || !testBit(bitmap.data, index))
    return volume.corrupt("freeing an inode that is free or reserved", inode.ino, 0);
  clearBits(bitmap.data, index, 1);
  const gd = groups.descriptors[group];
  gd.freeInodes++;
  if (wasDirectory && gd.usedDirs > 0) gd.usedDirs--;
  volume.freeInodes++;
  if (index < groups.inodeHint[group]) groups.inodeHint[group] = index;
  groups.touchInodeBitmap(group, bitmap);
  volume.countsChanged();
  return 0;
}

/** Marks an inode number as used: 1 it was free, 0 it was used already, -EUCLEAN, -EIO. For replaying fast commits. */
export function markInodeUsed(volume: Volume, ino: number, isDirectory: boolean): number {
  const { geometry: g, groups } = volume;
  const group = Math.floor((ino - 1) / g.inodesPerGroup);
  const index = (ino - 1) % g.inodesPerGroup;
  const bitmap = groups.inodeBitmap(group);
  if (typeof bitmap === "number") return bitmap;
  if (testBit(bitmap.data, index)) return 0;
  const prepared = groups.hasChecksums ? extendTable(volume, group, index) : 0;
  if (prepared < 0) return prepared;
  setBits(bitmap.data, index, 1);
  const gd = groups.descriptors[group];
  gd.freeInodes--;
  if (isDirectory) gd.usedDirs++;
  volume.freeInodes--;
  groups.touchInodeBitmap(group, bitmap);
  volume.countsChanged();
  return 1;
}
