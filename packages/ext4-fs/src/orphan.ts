/**
 * Orphans: inodes that must be finished at the next mount if the machine stops now, because they have no name any more but are
 * still open, or are being truncated.
 *
 * Two places on disk. The list: s_last_orphan holds the newest, each inode's i_dtime the next one. The orphan file (feature
 * orphan_file): an inode whose blocks are arrays of inode numbers with a magic and a checksum at the end; it is used where it
 * exists and has room. While it may hold entries, ro_compat orphan_present is set.
 */
import { EUCLEAN } from "linux-abi";
import { freeInode } from "./allocator/inodes.ts";
import { type Buffer, KIND_ORPHANS } from "./buffer-cache.ts";
import { blockChecksumIsValid, ORPHAN_BLOCK_MAGIC } from "./checksum/metadata-checksum.ts";
import { type Mapping, mapBlocks } from "./extents/map.ts";
import { EXT4_FEATURE_COMPAT_ORPHAN_FILE, EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT } from "./features.ts";
import { hasFileMap } from "./file-map.ts";
import { freeFrom } from "./file-write.ts";
import type { CoreInode } from "./inode.ts";
import { S_LAST_ORPHAN, S_ORPHAN_FILE_INUM } from "./superblock.ts";
import type { Volume } from "./volume.ts";
import { releaseXattrs } from "./xattr/store.ts";

/** Blocks of the orphan file that are used; Linux makes files of at most 512. */
const MAX_ORPHAN_BLOCKS = 512;

/** The orphan file of a mounted volume. */
export interface OrphanFile {
  readonly seed: number;
  /** Its blocks on the volume. */
  readonly blocks: readonly number[];
  readonly slotsPerBlock: number;
  /** Block in which to look for a free slot first. */
  hint: number;
}

/** Finds the orphan file and sets orphan_present in memory. The caller writes the superblock. */
export function openOrphanFile(volume: Volume): void {
  volume.orphanFile = undefined;
  if (!volume.superblock.hasCompat(EXT4_FEATURE_COMPAT_ORPHAN_FILE)) return;
  const ino = volume.superblock.u32(S_ORPHAN_FILE_INUM);
  const inode = ino === 0 ? -EUCLEAN : volume.inode(ino);
  if (typeof inode === "number") {
    volume.corrupt("the orphan file's inode cannot be read", ino, 0);
    return;
  }
  const map: Mapping = { block: 0, count: 0, unwritten: false };
  const blocks: number[] = [];
  const total = Math.min(inode.size / volume.blockSize, MAX_ORPHAN_BLOCKS);
  for (let i = 0; i < total; i++) {
    if (mapBlocks(volume, inode, i, 1, map) < 0 || map.block === 0) break;
    blocks.push(map.block);
  }
  volume.orphanFile = { seed: inode.csumSeed, blocks, slotsPerBlock: (volume.blockSize - 8) / 4, hint: 0 };
  volume.superblock.setRoCompat(EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT, true);
}

/** Clears orphan_present in memory when nothing is left. */
export function closeOrphanFile(volume: Volume): void {
  if (volume.orphanFile !== undefined && volume.orphanSlots.size === 0) {
    volume.superblock.setRoCompat(EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT, false);
  }
}

function orphanBlock(volume: Volume, file: OrphanFile, index: number): Buffer | number {
  const block = file.blocks[index];
  const buffer = volume.cache.get(block);
  if (typeof buffer === "number" || buffer.verifiedAs === KIND_ORPHANS) return buffer;
  buffer.kind = KIND_ORPHANS;
  buffer.seed = file.seed;
  if (
    buffer.view.getUint32(volume.blockSize - 8, true) !== ORPHAN_BLOCK_MAGIC ||
    !blockChecksumIsValid(volume, buffer)
  ) {
    return volume.corrupt(`orphan file block ${block} is damaged`, 0, block);
  }
  buffer.verifiedAs = KIND_ORPHANS;
  return buffer;
}

/** Puts an inode on record. Within an operation. 0 or -errno. */
export function addOrphan(volume: Volume, inode: CoreInode): number {
  if (inode.orphan) return 0;
  const slot = volume.orphanFile === undefined ? -1 : takeSlot(volume, volume.orphanFile, inode.ino);
  if (slot < -1) return slot;
  if (slot >= 0) {
    inode.orphanSlot = slot;
    volume.orphanSlots.add(slot);
  } else {
    const sb = volume.superblock;
    inode.dtime = sb.u32(S_LAST_ORPHAN);
    const error = volume.dirtyInode(inode);
    if (error < 0) return error;
    sb.setU32(S_LAST_ORPHAN, inode.ino);
    volume.dirtySuperblock();
    volume.orphans.push(inode);
  }
  inode.orphan = true;
  return 0;
}

/** A free slot of the orphan file, filled: its number, -1 when there is none, or -EUCLEAN, -EIO. */
function takeSlot(volume: Volume, file: OrphanFile, ino: number): number {
  for (let i = 0; i < file.blocks.length; i++) {
    const index = (file.hint + i) % file.blocks.length;
    const buffer = orphanBlock(volume, file, index);
    if (typeof buffer === "number") return buffer;
    for (let s = 0; s < file.slotsPerBlock; s++) {
      if (buffer.view.getUint32(s * 4, true) !== 0) continue;
      volume.dirtyBuffer(buffer, KIND_ORPHANS, file.seed);
      buffer.view.setUint32(s * 4, ino, true);
      file.hint = index;
      return index * file.slotsPerBlock + s;
    }
  }
  return -1;
}

/** Takes an inode off the record. Within an operation. 0 or -errno. */
export function removeOrphan(volume: Volume, inode: CoreInode): number {
  if (!inode.orphan) return 0;
  const file = volume.orphanFile;
  if (inode.orphanSlot >= 0 && file !== undefined) {
    const index = Math.floor(inode.orphanSlot / file.slotsPerBlock);
    const buffer = orphanBlock(volume, file, index);
    if (typeof buffer === "number") return buffer;
    volume.dirtyBuffer(buffer, KIND_ORPHANS, file.seed);
    buffer.view.setUint32((inode.orphanSlot % file.slotsPerBlock) * 4, 0, true);
    volume.orphanSlots.delete(inode.orphanSlot);
    inode.orphanSlot = -1;
    inode.orphan = false;
    return 0;
  }
  const at = volume.orphans.lastIndexOf(inode);
  const next = inode.dtime;
  if (at === volume.orphans.length - 1) {
    volume.superblock.setU32(S_LAST_ORPHAN, next);
    volume.dirtySuperblock();
  } else {
    const newer = volume.orphans[at + 1];
    newer.dtime = next;
    const error = volume.dirtyInode(newer);
    if (error < 0) return error;
  }
  volume.orphans.splice(at, 1);
  inode.orphan = false;
  inode.dtime = 0;
  return volume.dirtyInode(inode);
}

/** Frees everything of an inode that has neither names nor users. Opens its own operation. 0 or -errno. */
export function deleteInode(volume: Volume, inode: CoreInode): number {
  const started = volume.begin();
  if (started < 0) return started;
  return volume.end(deleteContent(volume, inode));
}

function deleteContent(volume: Volume, inode: CoreInode): number {
  let error = 0;
  const isDirectory = inode.isDirectory;
  if (hasFileMap(volume, inode)) {
    // Blocks may take several transactions to free: a crash in between must find the inode again.
    if (!inode.orphan) error = addOrphan(volume, inode);
    if (error === 0) {
      inode.size = 0;
      error = freeFrom(volume, inode, 0, isDirectory);
    }
  }
  if (error === 0) error = releaseXattrs(volume, inode);
  if (error === 0 && inode.orphan) error = removeOrphan(volume, inode);
  if (error < 0) return error;
  inode.dtime = volume.deletionTime;
  inode.links = 0;
  error = volume.dirtyInode(inode);
  if (error === 0) error = freeInode(volume, inode, isDirectory);
  volume.inodes.drop(inode);
  return error;
}

/** At mount: frees inodes without links, finishes truncations. 0 or -errno. */
export function processOrphans(volume: Volume): number {
  let error = processOrphanList(volume);
  if (error === 0 && volume.orphanFile !== undefined) error = processOrphanFile(volume, volume.orphanFile);
  return error;
}

function processOrphanList(volume: Volume): number {
  const sb = volume.superblock;
  // Read the chain first: it is newest first, the array is newest last.
  const chain: CoreInode[] = [];
  for (let ino = sb.u32(S_LAST_ORPHAN); ino !== 0; ) {
    const inode = ino < volume.geometry.firstInode ? -EUCLEAN : volume.inode(ino);
    if (typeof inode === "number" || inode.orphan) {
      volume.log(`orphan list is damaged at inode ${ino}; the rest is left to fsck`);
      if (chain.length === 0) return 0;
      break;
    }
    inode.orphan = true;
    chain.push(inode);
    ino = inode.dtime;
  }
  volume.orphans.push(...chain.reverse());
  while (volume.orphans.length > 0) {
    const error = finishOrphan(volume, volume.orphans[volume.orphans.length - 1]);
    if (error < 0) return error;
  }
  return 0;
}

function processOrphanFile(volume: Volume, file: OrphanFile): number {
  for (let index = 0; index < file.blocks.length; index++) {
    const buffer = orphanBlock(volume, file, index);
    if (typeof buffer === "number") continue; // reported; the rest is left to fsck
    for (let s = 0; s < file.slotsPerBlock; s++) {
      const ino = buffer.view.getUint32(s * 4, true);
      if (ino === 0) continue;
      const slot = index * file.slotsPerBlock + s;
      const inode = ino < volume.geometry.firstInode ? -EUCLEAN : volume.inode(ino);
      if (typeof inode === "number") {
        volume.log(`orphan file names inode ${ino}, which is not in use`);
        volume.orphanSlots.add(slot);
        continue;
      }
      inode.orphan = true;
      inode.orphanSlot = slot;
      volume.orphanSlots.add(slot);
      const error = finishOrphan(volume, inode);
      if (error < 0) return error;
    }
  }
  return 0;
}

function finishOrphan(volume: Volume, inode: CoreInode): number {
  if (inode.links === 0) {
    volume.log(`orphan: deleting inode ${inode.ino}`);
    return deleteInode(volume, inode);
  }
  volume.log(`orphan: finishing truncation of inode ${inode.ino} to ${inode.size} bytes`);
  const started = volume.begin();
  if (started < 0) return started;
  let error = freeFrom(volume, inode, Math.ceil(inode.size / volume.blockSize), false);
  if (error === 0) error = removeOrphan(volume, inode);
  return volume.end(error);
}
