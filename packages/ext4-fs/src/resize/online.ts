/**
 * Growing a mounted volume (Linux: EXT4_IOC_RESIZE_FS), a flex group at a time.
 *
 * A step:
 *   1. the running transaction is committed and written home, so that the step has the journal for itself;
 *   2. bitmaps (and tables) of the new groups are written beyond the volume's end, where nobody looks yet;
 *   3. one transaction makes them part of the volume: descriptors, resize inode, the last group's bitmap, superblock;
 *   4. that is committed and written home: only then may the journal name blocks of the new groups, since a replay
 *      believes the superblock that it finds;
 *   5. the copies of superblock and descriptors follow.
 * A crash leaves a volume that is as large as the last finished step made it. Sizes and places are those of the offline `resize`.
 */
import { EIO, EOPNOTSUPP, EPERM, EROFS } from "linux-abi";
import { clearBits, setBits } from "../bitmap.ts";
import { type Buffer, KIND_PLAIN } from "../buffer-cache.ts";
import { freeBlocks } from "../allocator/blocks.ts";
import { layCopies } from "../check/copies.ts";
import { crc32c } from "../checksum/crc32c.ts";
import { Ext4Error } from "../errors.ts";
import {
  EXT4_FEATURE_COMPAT_RESIZE_INODE,
  EXT4_FEATURE_COMPAT_SPARSE_SUPER2,
  EXT4_FEATURE_INCOMPAT_META_BG,
  EXT4_FEATURE_INCOMPAT_RECOVER,
} from "../features.ts";
import { type Geometry, groupBlocks, groupStart } from "../geometry.ts";
import { type CoreInode, I_BLOCK } from "../inode.ts";
import {
  EXT4_ERROR_FS,
  EXT4_RESIZE_INO,
  S_OVERHEAD_CLUSTERS,
  S_R_BLOCKS_COUNT_HI,
  S_R_BLOCKS_COUNT_LO,
  S_STATE,
  Superblock,
} from "../superblock.ts";
import { readSystemZone } from "../system-zone.ts";
import type { Volume } from "../volume.ts";
import { groupsWithCopies, layGroup, layReservedBlocks, planned, planSize, type ResizeReport } from "./plan.ts";

export interface GrowOptions {
  /** Blocks that the file system is to have. Default: as many as the device holds. */
  readonly blocks?: number;
}

/** Groups of one step where flex groups are none, or larger than is good for one transaction. */
const STEP_GROUPS = 16;
const MAX_STEP_GROUPS = 64;
/** Blocks of a step's transaction besides descriptors and resize inode's lists: bitmaps, inode, superblock. */
const STEP_BLOCKS = 16;
/** Block pointer of the resize inode that is in use: the doubly indirect one. */
const DIND = I_BLOCK + 13 * 4;

/**
 * Grows the mounted `volume`.
 * @throws RangeError on a size that is no number of blocks; Ext4Error, before anything is changed, when the volume is read-only, was found
 * damaged, is to shrink, has features with which only the offline `resize` grows; Ext4Error "io" when the device fails: the
 * volume is then read-only, and as large as the last finished step made it.
 */
export function growVolume(volume: Volume, options: GrowOptions = {}): ResizeReport {
  const { superblock: sb, blockSize } = volume;
  const refused = refusal(volume);
  if (refused !== undefined) throw refused;
  const before = volume.geometry.blocksCount;
  const most = Math.floor(volume.device.size / blockSize);
  const wanted = options.blocks ?? most;
  if (!Number.isInteger(wanted) || wanted <= 0) throw new RangeError(`"blocks" expected integer > 0, got ${wanted}`);
  if (wanted > most) throw new Ext4Error("invalid", `${wanted} blocks on a device of ${most}`);
  if (wanted < before)
    throw new Ext4Error("invalid", `shrinking is not possible: the file system has ${before} blocks`);
  const target = planSize(sb, volume.geometry, wanted, volume.device.size);
  const reservedShare = sb.reservedBlocksCount / before;
  while (volume.geometry.blocksCount < target) {
    const blocks = stepEnd(sb, volume.geometry, target);
    growStep(volume, blocks, Math.floor(reservedShare * blocks));
  }
  const { blocksCount: after, groupCount: groups } = volume.geometry;
  return { before, after, blockSize, groups };
}

function refusal(volume: Volume): Ext4Error | undefined {
  const { superblock: sb } = volume;
  if (!volume.mounted || volume.aborted)
    return new Ext4Error("io", "the volume is not mounted, or has failed", { errno: EIO });
  if (volume.readOnly) return new Ext4Error("invalid", "the volume is mounted read-only", { errno: EROFS });
  if ((sb.u16(S_STATE) & EXT4_ERROR_FS) !== 0)
    return new Ext4Error("corrupt", "the volume has errors: unmount and check it", { errno: EPERM });
  // ext4_resize_begin; the last group's copy would have to move.
  return sb.hasCompat(EXT4_FEATURE_COMPAT_SPARSE_SUPER2) ? offline("with sparse_super2", ["sparse_super2"]) : undefined;
}

function offline(why: string, features: readonly string[] = []): Ext4Error {
  const message = `${why} a volume does not grow while it is mounted: unmount it, then resize() of ext4-fs/resize or resize2fs`;
  return new Ext4Error("incompatible", message, { errno: EOPNOTSUPP, features });
}

/** Blocks after the next step: up to a border of flex groups, of the reserved descriptor blocks, or to the end. */
function stepEnd(sb: Superblock, g: Geometry, target: number): number {
  const per = g.groupsPerFlex > 1 && g.groupsPerFlex <= MAX_STEP_GROUPS ? g.groupsPerFlex : STEP_GROUPS;
  let groups = (Math.floor(g.groupCount / per) + 1) * per;
  const room = (g.gdtBlocks + g.reservedGdtBlocks) * g.descPerBlock;
  if (!sb.hasIncompat(EXT4_FEATURE_INCOMPAT_META_BG) && g.groupCount < room) groups = Math.min(groups, room);
  return Math.min(target, groupStart(g, groups));
}

function growStep(volume: Volume, blocks: number, reservedBlocks: number): void {
  let error = volume.commit();
  if (error === 0) error = volume.checkpoint();
  if (error < 0) throw new Ext4Error("io", "the volume cannot be written", { errno: -error });
  const old = volume.geometry;
  const next = planned(volume.superblock, old, blocks, volume.device.size);
  next.sb.setSplit(S_R_BLOCKS_COUNT_LO, S_R_BLOCKS_COUNT_HI, reservedBlocks);
  next.sb.setU32(S_OVERHEAD_CLUSTERS, 0); // Linux computes it at the next mount
  // The step begins with an empty journal, of which an ordinary transaction may take a quarter.
  const logged = next.g.gdtBlocks - old.gdtBlocks + old.reservedGdtBlocks + STEP_BLOCKS;
  if (volume.journal !== undefined && logged > volume.journal.maxTransactionBlocks * 3)
    throw offline(`With a journal too small for ${logged} blocks`);
  error = volume.begin();
  if (error < 0) throw new Ext4Error("io", "the volume cannot be written", { errno: -error });
  error = volume.end(addGroups(volume, next.sb, next.g));
  if (error === 0) error = volume.commit();
  if (error === 0) error = volume.checkpoint();
  if (error === 0) error = guardNewGroups(volume);
  if (error === 0) error = renewCopies(volume, old);
  if (error === 0) return;
  volume.abort(`growing to ${blocks} blocks failed with ${error}`);
  throw new Ext4Error("io", `growing to ${blocks} blocks failed`, { errno: -error });
}

/** Steps 2 and 3. 0 or -errno. */
function addGroups(volume: Volume, sb: Superblock, g: Geometry): number {
  const { groups } = volume;
  const old = volume.geometry;
  const hadResizeInode = volume.superblock.hasCompat(EXT4_FEATURE_COMPAT_RESIZE_INODE);
  const hadCopies = groupsWithCopies(volume.superblock, old).length;
  const resizeInode = hadResizeInode ? volume.inode(EXT4_RESIZE_INO) : 0;
  if (typeof resizeInode === "number" && resizeInode < 0) return resizeInode;
  const lastGroup = old.groupCount - 1;
  const lastBitmap = groups.blockBitmap(lastGroup); // with what is its padding until now
  if (typeof lastBitmap === "number") return lastBitmap;

  volume.geometry = g;
  volume.superblock.bytes.set(sb.bytes);
  volume.dirtySuperblock();
  groups.extend();
  let error = fillGroups(volume, old);
  if (error < 0) return error;
  const had = Math.ceil(groupBlocks(old, lastGroup) / volume.clusterBlocks);
  const gained = Math.ceil(groupBlocks(g, lastGroup) / volume.clusterBlocks) - had;
  if (gained > 0) growLastGroup(volume, lastGroup, lastBitmap, had, gained);
  for (let group = old.groupCount; group < g.groupCount; group++) {
    volume.freeBlocks += groups.descriptors[group].freeBlocks * volume.clusterBlocks;
    volume.freeInodes += g.inodesPerGroup;
  }
  volume.countsChanged();
  if (typeof resizeInode === "number") return 0;
  if (!sb.hasCompat(EXT4_FEATURE_COMPAT_RESIZE_INODE)) return giveUpResizeInode(volume, resizeInode);
  for (let index = old.gdtBlocks; index < g.gdtBlocks; index++) volume.cache.drop(groups.descriptorBlocks[index].block);
  if (g.gdtBlocks === old.gdtBlocks && hadCopies === groupsWithCopies(sb, g).length) return 0;
  error = volume.dirtyInode(resizeInode);
  if (error < 0) return error;
  const kept = (resizeInode.blocks512(g.blockSize) * 512) / g.blockSize;
  const keeps = layReservedBlocks(sb, g, resizeInode.view.getUint32(DIND, true), (block, bytes) => {
    const buffer = volume.cache.create(block);
    buffer.data.set(bytes);
    volume.dirtyBuffer(buffer, KIND_PLAIN, 0);
  });
  resizeInode.addBlocks(keeps - kept, g.blockSize);
  return 0;
}

/** Writes the new groups; their descriptors go into the transaction, or where no part of the volume is yet, beyond its end. */
function fillGroups(volume: Volume, old: Geometry): number {
  const { superblock: sb, geometry: g, groups } = volume;
  const lazy = groups.hasChecksums;
  const beyond = new Set<Buffer>();
  for (let group = old.groupCount; group < g.groupCount; group++) {
    const gd = groups.descriptors[group];
    const bits = layGroup(sb, g, group, gd, lazy);
    if (volume.hasMetadataCsum) gd.blockBitmapCsum = crc32c(volume.csumSeed, bits, 0, g.clustersPerGroup >> 3);
    let error = volume.writeOutside(gd.blockBitmap, bits);
    if (error === 0 && !lazy) {
      const tables = new Uint8Array((1 + g.itableBlocks) * g.blockSize); // inode bitmap and table are neighbours
      setBits(tables, g.inodesPerGroup, g.blockSize * 8 - g.inodesPerGroup);
      error = volume.writeOutside(gd.inodeBitmap, tables);
    }
    if (error < 0) return error;
    gd.updateChecksum(group, groups.format);
    const buffer = groups.descriptorBuffer(group);
    if (buffer.block >= old.blocksCount) beyond.add(buffer);
    else groups.touch(group);
  }
  for (const buffer of beyond) {
    const error = volume.writeOutside(buffer.block, buffer.data);
    if (error < 0) return error;
  }
  return 0;
}

/** What was padding of the last group's bitmap, `gained` clusters behind `had`, becomes free. */
function growLastGroup(volume: Volume, group: number, bitmap: Buffer, had: number, gained: number): void {
  const { groups } = volume;
  clearBits(bitmap.data, had, gained);
  groups.descriptors[group].freeBlocks += gained;
  volume.freeBlocks += gained * volume.clusterBlocks;
  groups.touchBlockBitmap(group, bitmap);
}

/** From here on groups keep their descriptors themselves (meta_bg): nothing is reserved any more. */
function giveUpResizeInode(volume: Volume, inode: CoreInode): number {
  const double = inode.view.getUint32(DIND, true);
  const error = volume.dirtyInode(inode);
  if (error < 0) return error;
  inode.raw.fill(0, 0, 128);
  return freeBlocks(volume, double, 1, true);
}

/** From here on a file whose map leads into what the new groups keep for themselves is damaged. 0 or -EUCLEAN. */
function guardNewGroups(volume: Volume): number {
  const zone = readSystemZone(volume.superblock, volume.geometry, volume.groups.descriptors);
  if (zone instanceof Ext4Error) return -zone.errno;
  volume.inodes.zone = zone;
  return 0;
}

function renewCopies(volume: Volume, old: Geometry): number {
  const { geometry: g, groups } = volume;
  const copy = new Superblock(volume.superblock.bytes.slice());
  copy.setIncompat(EXT4_FEATURE_INCOMPAT_RECOVER, false); // the journal was empty
  let error = 0;
  const write = (block: number, bytes: Uint8Array): void => {
    if (error === 0) error = volume.writeOutside(block, bytes);
  };
  const changed = Math.floor((old.groupCount - 1) / g.descPerBlock);
  layCopies(copy, g, (index) => groups.descriptorBlocks[index].data, write, changed, old.groupCount);
  return error < 0 ? error : volume.flushDevice();
}
