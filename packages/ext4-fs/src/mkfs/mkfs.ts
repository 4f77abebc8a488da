/**
 * Making a file system.
 *
 * First the bare volume is written: superblock, descriptors, bitmaps of the groups that hold metadata, empty inode tables. Then it
 * is opened without a journal and gets its first inodes the way any file is made. Last come the features that need them, the
 * final superblock, and the copies. The same options give the same bytes.
 */
import type { BlockDevice } from "blockdev-disk";
import { setBits } from "../bitmap.ts";
import { crc32c } from "../checksum/crc32c.ts";
import { Ext4Error } from "../errors.ts";
import {
  EXT4_FEATURE_COMPAT_HAS_JOURNAL,
  EXT4_FEATURE_COMPAT_ORPHAN_FILE,
  EXT4_FEATURE_COMPAT_RESIZE_INODE,
  EXT4_FEATURE_INCOMPAT_META_BG,
  EXT4_FEATURE_INCOMPAT_MMP,
  EXT4_FEATURE_RO_COMPAT_GDT_CSUM,
  EXT4_FEATURE_RO_COMPAT_QUOTA,
} from "../features.ts";
import { descriptorBlock, type Geometry, groupHasSuper, groupStart } from "../geometry.ts";
import {
  type DescriptorFormat,
  EXT4_BG_BLOCK_UNINIT,
  EXT4_BG_INODE_UNINIT,
  EXT4_BG_INODE_ZEROED,
  GroupDescriptor,
} from "../group-descriptor.ts";
import { prepareVolume, stopWriting } from "../mount.ts";
import {
  EXT4_ROOT_INO,
  S_BLOCK_GROUP_NR,
  S_FEATURE_COMPAT,
  S_FEATURE_INCOMPAT,
  S_FEATURE_RO_COMPAT,
  S_FREE_BLOCKS_COUNT_HI,
  S_FREE_BLOCKS_COUNT_LO,
  S_FREE_INODES_COUNT,
  S_KBYTES_WRITTEN,
  S_MNT_COUNT,
  S_MTIME,
  S_OVERHEAD_CLUSTERS,
  S_WTIME,
  Superblock,
  SUPERBLOCK_OFFSET,
  SUPERBLOCK_SIZE,
} from "../superblock.ts";
import type { Volume } from "../volume.ts";
import { overheadBlocks } from "../statfs.ts";
import { groupClusters, initialBits, type Layout, layOut } from "./layout.ts";
import { type MkfsOptions, type MkfsPlan, planMkfs } from "./options.ts";
import { makeQuotaFiles } from "../quota/make-quota.ts";
import { makeProtection } from "../mmp.ts";
import { makeJournal, makeOrphanFile, makeResizeInode, makeRoot } from "./reserved.ts";

/** Makes an ext4 file system on `device`. @throws TypeError, RangeError on bad options; Ext4Error when the device fails or is too small. */
export function mkfs(device: BlockDevice, options: MkfsOptions): void {
  const plan = planMkfs(device, options);
  const layout = layOut(plan, device.size);
  check(writeBareVolume(device, plan, layout), "cannot write the new volume");
  const volume = prepareVolume(device, { now: () => plan.now, commitInterval: 0 });
  if (volume instanceof Ext4Error) throw volume;
  volume.nextGeneration = 1;
  check(fillVolume(volume, plan), "no room for the first inodes");
  finish(volume, plan);
}

function check(error: number, what: string): void {
  if (error < 0) throw new Ext4Error("io", what, { errno: -error });
}

/** Superblock, descriptors, bitmaps, inode tables. The features that need inodes are still off. */
function writeBareVolume(device: BlockDevice, plan: MkfsPlan, layout: Layout): number {
  const { superblock: sb, geometry: g, groups } = layout;
  const unit = g.blockSize / device.blockSize;
  const write = (block: number, data: Uint8Array): number => device.writeBlock(block * unit, data);
  const later = EXT4_FEATURE_COMPAT_HAS_JOURNAL | EXT4_FEATURE_COMPAT_ORPHAN_FILE;
  sb.setU32(S_FEATURE_COMPAT, plan.compat & ~later);
  sb.setU32(S_FEATURE_INCOMPAT, plan.incompat & ~EXT4_FEATURE_INCOMPAT_MMP);
  sb.setU32(S_FEATURE_RO_COMPAT, plan.roCompat & ~EXT4_FEATURE_RO_COMPAT_QUOTA);

  const format: DescriptorFormat = {
    size: g.descSize,
    checksum: sb.hasMetadataCsum ? "crc32c" : sb.hasRoCompat(EXT4_FEATURE_RO_COMPAT_GDT_CSUM) ? "crc16" : "none",
    checksumSeed: sb.checksumSeed(),
    uuid: sb.uuid,
  };
  const table = new Uint8Array(g.gdtBlocks * g.blockSize);
  const view = new DataView(table.buffer);
  const reservedInodes = g.firstInode - 1;
  const ratio = g.clusterSize / g.blockSize;
  let freeBlocks = 0;
  for (let group = 0; group < g.groupCount; group++) {
    const gd = new GroupDescriptor(table, view, group * g.descSize, g.descSize);
    const { blockBitmap, inodeBitmap, inodeTable, bits, usedClusters } = groups[group];
    gd.blockBitmap = blockBitmap;
    gd.inodeBitmap = inodeBitmap;
    gd.inodeTable = inodeTable;
    gd.freeBlocks = groupClusters(g, group) - usedClusters;
    gd.freeInodes = g.inodesPerGroup - (group === 0 ? reservedInodes : 0);
    freeBlocks += gd.freeBlocks * ratio;
    const lazy = format.checksum !== "none";
    // The last group's bitmap is always written: its end cannot be derived by older tools.
    const blockUninit = lazy && bits === undefined && group !== g.groupCount - 1;
    const inodeUninit = lazy && group !== 0;
    gd.flags =
      (blockUninit ? EXT4_BG_BLOCK_UNINIT : 0) |
      (inodeUninit ? EXT4_BG_INODE_UNINIT : 0) |
      (lazy && !plan.lazyItable ? EXT4_BG_INODE_ZEROED : 0);
    gd.itableUnused = lazy ? g.inodesPerGroup - (group === 0 ? reservedInodes : 0) : 0;
    if (!blockUninit) {
      const bitmap = bits ?? initialBits(sb, g, group);
      if (format.checksum === "crc32c")
        gd.blockBitmapCsum = crc32c(format.checksumSeed, bitmap, 0, g.clustersPerGroup >> 3);
      const error = write(blockBitmap, bitmap);
      if (error < 0) return error;
    }
    if (!inodeUninit) {
      const bitmap = new Uint8Array(g.blockSize);
      if (group === 0) setBits(bitmap, 0, reservedInodes);
      setBits(bitmap, g.inodesPerGroup, g.blockSize * 8 - g.inodesPerGroup);
      if (format.checksum === "crc32c")
        gd.inodeBitmapCsum = crc32c(format.checksumSeed, bitmap, 0, g.inodesPerGroup >> 3);
      const error = write(inodeBitmap, bitmap);
      if (error < 0) return error;
    }
    gd.updateChecksum(group, format);
    if (!plan.prezeroed) {
      const inUse = group === 0 ? Math.ceil(reservedInodes / g.inodesPerBlock) : 0;
      const error = zero(write, g.blockSize, inodeTable, lazy && plan.lazyItable ? inUse : g.itableBlocks);
      if (error < 0) return error;
    }
  }
  for (let i = 0; i < g.gdtBlocks; i++) {
    const error = write(descriptorBlock(sb, g, i), table.subarray(i * g.blockSize, (i + 1) * g.blockSize));
    if (error < 0) return error;
  }
  sb.setSplit(S_FREE_BLOCKS_COUNT_LO, S_FREE_BLOCKS_COUNT_HI, freeBlocks);
  sb.setU32(S_FREE_INODES_COUNT, g.inodesCount - reservedInodes);
  sb.updateChecksum();
  return writeFront(device, sb);
}

function zero(
  write: (block: number, data: Uint8Array) => number,
  blockSize: number,
  block: number,
  count: number,
): number {
  const zeros = new Uint8Array(Math.min(count, Math.max(1, (1 << 20) / blockSize)) * blockSize);
  for (let done = 0; done < count; ) {
    const part = Math.min(count - done, zeros.length / blockSize);
    const error = write(block + done, zeros.subarray(0, part * blockSize));
    if (error < 0) return error;
    done += part;
  }
  return 0;
}

/** Boot sector area (zeros, so that no other file system is recognised) and superblock. */
function writeFront(device: BlockDevice, sb: Superblock): number {
  const front = new Uint8Array(Math.max(sb.blockSize, 4096, device.blockSize));
  if (sb.blockSize < front.length) {
    const error = device.readBlock(0, front); // small blocks: descriptors follow within
    if (error < 0) return error;
    front.fill(0, 0, SUPERBLOCK_OFFSET);
  }
  front.set(sb.bytes.subarray(0, SUPERBLOCK_SIZE), SUPERBLOCK_OFFSET);
  return device.writeBlock(0, front);
}

function fillVolume(volume: Volume, plan: MkfsPlan): number {
  const started = volume.begin();
  if (started < 0) return started;
  let error = makeRoot(volume, plan.rootOwner);
  if (error === 0 && (plan.compat & EXT4_FEATURE_COMPAT_RESIZE_INODE) !== 0) error = makeResizeInode(volume);
  if (error === 0 && plan.journalBlocks > 0)
    error = makeJournal(volume, plan.journalBlocks, plan.fastCommitBlocks, plan.prezeroed || plan.lazyJournal);
  if (error === 0 && (plan.compat & EXT4_FEATURE_COMPAT_ORPHAN_FILE) !== 0) {
    const root = volume.inode(EXT4_ROOT_INO);
    error = typeof root === "number" ? root : makeOrphanFile(volume, root);
  }
  if (error === 0 && (plan.incompat & EXT4_FEATURE_INCOMPAT_MMP) !== 0) error = makeProtection(volume);
  if (error === 0) error = makeQuotaFiles(volume, plan.quotaKinds);
  return volume.end(error);
}

/** Turns the remaining features on, writes the final superblock and the copies. */
function finish(volume: Volume, plan: MkfsPlan): void {
  const sb = volume.superblock;
  const { geometry: g } = volume;
  check(volume.sync(true), "cannot write the new volume");
  sb.setU32(S_FEATURE_COMPAT, plan.compat);
  sb.setU32(S_FEATURE_INCOMPAT, plan.incompat);
  sb.setU32(S_FEATURE_RO_COMPAT, plan.roCompat);
  sb.setU16(S_MNT_COUNT, 0);
  sb.setU32(S_MTIME, 0);
  sb.setU32(S_KBYTES_WRITTEN, 0);
  sb.setU32(S_WTIME, plan.now.sec >>> 0);
  sb.setU32(S_OVERHEAD_CLUSTERS, Math.floor(overheadBlocks(volume) / volume.clusterBlocks));
  check(stopWriting(volume), "cannot write the superblock");
  const block = new Uint8Array(g.blockSize);
  for (let group = 1; group < g.groupCount; group++) {
    if (!groupHasSuper(sb, group)) continue;
    const copy = new Superblock(new Uint8Array(g.blockSize));
    copy.bytes.set(sb.bytes);
    copy.setU16(S_BLOCK_GROUP_NR, group);
    copy.updateChecksum();
    check(volume.writeBlocks(groupStart(g, group), copy.bytes), "cannot write a superblock copy");
  }
  for (let index = 0; index < g.gdtBlocks; index++) {
    check(volume.readBlocks(descriptorBlock(sb, g, index), block), "cannot read the descriptors");
    for (const at of descriptorCopies(sb, g, index))
      check(volume.writeBlocks(at, block), "cannot write a descriptor copy");
  }
  check(volume.flushDevice(), "cannot flush the device");
}

/** Where the copies of a block of descriptors go: beside the superblock copies, or (meta_bg) in its own second and last group. */
function descriptorCopies(sb: Superblock, g: Geometry, index: number): number[] {
  if (sb.hasIncompat(EXT4_FEATURE_INCOMPAT_META_BG) && index >= g.firstMetaGroup) {
    const first = index * g.descPerBlock;
    return [first + 1, first + g.descPerBlock - 1]
      .filter((group) => group < g.groupCount)
      .map((group) => groupStart(g, group) + (groupHasSuper(sb, group) ? 1 : 0));
  }
  const copies: number[] = [];
  for (let group = 1; group < g.groupCount; group++)
    if (groupHasSuper(sb, group)) copies.push(groupStart(g, group) + 1 + index);
  return copies;
}
