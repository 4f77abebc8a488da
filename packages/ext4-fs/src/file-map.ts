/**
 * The blocks of a file, whatever form its map has (extent tree, or the block map of ext2 and ext3): taking runs from the volume,
 * entering them, taking them out. Reading the map is `mapBlocks` (extents/map.ts).
 *
 * A typical sequence:
 *   allocateRun(volume, inode, fileBlock, count, goal, run)     blocks are taken, nobody owns them yet
 *   insertRun(volume, inode, fileBlock, run, unwritten)         now the file does, and i_blocks counts them
 *   (on failure: releaseRun)
 *
 * bigalloc: the volume gives whole clusters, and file block and volume block have the same place within their clusters. So a
 * block of a cluster of which the file has another block already costs nothing, and a cluster is freed with its last block.
 */
import { EDQUOT, ENOSPC } from "linux-abi";
import { allocateBlocks, freeBlocks, heldSpace, type Run } from "./allocator/blocks.ts";
import { insertIndirect, prepareIndirect, removeIndirect } from "./block-map.ts";
import { insertExtent } from "./extents/insert.ts";
import { mapBlocks } from "./extents/map.ts";
import { EXT_MAX_BLOCKS, initExtentRoot } from "./extents/node.ts";
import { removeExtents } from "./extents/remove.ts";
import { EXT4_FEATURE_INCOMPAT_EXTENTS, EXT4_FEATURE_RO_COMPAT_HUGE_FILE } from "./features.ts";
import { type CoreInode, EXT4_EXTENTS_FL, EXT4_INLINE_DATA_FL } from "./inode.ts";
import type { Volume } from "./volume.ts";

/** Gives a new inode an empty map of the volume's kind. */
export function initFileMap(volume: Volume, inode: CoreInode): void {
  if (!volume.superblock.hasIncompat(EXT4_FEATURE_INCOMPAT_EXTENTS)) return; // an empty block map is all zeros
  inode.flags |= EXT4_EXTENTS_FL;
  initExtentRoot(inode);
}

/** Whether i_block holds a map (and not a device number, a short link target or the file itself). */
export function hasFileMap(volume: Volume, inode: CoreInode): boolean {
  if (inode.hasFlag(EXT4_INLINE_DATA_FL)) return false;
  if (inode.hasFlag(EXT4_EXTENTS_FL) || inode.isRegular || inode.isDirectory) return true;
  return inode.isSymlink && !inode.isFastSymlink(volume.blockSize, volume.geometry.clusterSize);
}

/** Blocks that a file's map can address, and i_blocks count. */
export function mostFileBlocks(volume: Volume, inode: CoreInode): number {
  if (inode.hasFlag(EXT4_EXTENTS_FL)) return EXT_MAX_BLOCKS;
  const perBlock = volume.blockSize / 4;
  const mapped = 12 + perBlock + perBlock ** 2 + perBlock ** 3;
  if (volume.superblock.hasRoCompat(EXT4_FEATURE_RO_COMPAT_HUGE_FILE)) return Math.min(mapped, EXT_MAX_BLOCKS);
  // i_blocks has 32 bits for 512-byte units, and counts the map's own blocks too.
  const most = 2 ** 32 / (volume.blockSize / 512);
  return Math.min(mapped, Math.floor(most - most / perBlock - most / perBlock ** 2 - 4));
}

/**
 * Takes up to `count` blocks for the hole at `fileBlock` into `out`, near `goal`. 0, -ENOSPC, -EDQUOT, -EUCLEAN, -EIO. The hole must be at
 * least `count` blocks long.
 */
export function allocateRun(
  volume: Volume,
  inode: CoreInode,
  fileBlock: number,
  count: number,
  goal: number,
  out: Run,
): number {
  let most = count;
  if (volume.quota !== undefined && volume.clusterBlocks === 1) {
    most = volume.quota.allowance(inode, count);
    if (most <= 0) return most < 0 ? most : -EDQUOT;
  }
  if (!inode.hasFlag(EXT4_EXTENTS_FL)) {
    most = prepareIndirect(volume, inode, fileBlock, most, goal);
    if (most < 0) return most;
  }
  if (volume.clusterBlocks > 1) return allocateClustered(volume, inode, fileBlock, most, goal, out);
  const error = allocateBlocks(volume, goal, most, out);
  if (error < 0 || inode.hasFlag(EXT4_EXTENTS_FL) || out.start + out.count <= 2 ** 32) return error;
  const undone = releaseRun(volume, out); // a block map has 32 bits per block
  return undone < 0 ? undone : -ENOSPC;
}

function allocateClustered(
  volume: Volume,
  inode: CoreInode,
  fileBlock: number,
  count: number,
  goal: number,
  out: Run,
): number {
  const ratio = volume.clusterBlocks;
  const within = fileBlock % ratio;
  const first = fileBlock - within;
  const owned = clusterOf(volume, inode, first);
  if (owned < 0) return owned;
  if (owned > 0) {
    out.start = owned + within;
    out.count = Math.min(count, ratio - within);
    out.charged = 0;
    return 0;
  }
  // A block behind the hole may own the last cluster already.
  let end = fileBlock + count;
  const last = end - (end % ratio);
  if (last !== end && last > first) {
    const shared = clusterOf(volume, inode, last);
    if (shared < 0) return shared;
    if (shared > 0) end = last;
  }
  const allowed = volume.quota?.allowance(inode, end - first) ?? end - first;
  if (allowed <= 0) return allowed < 0 ? allowed : -EDQUOT;
  const error = allocateBlocks(volume, goal, allowed, out);
  if (error < 0) return error;
  out.start += within;
  out.count -= within;
  return 0;
}

/** Volume block at which the cluster of file blocks [first, first + ratio) begins; 0 when the file has none of them; -errno. */
function clusterOf(volume: Volume, inode: CoreInode, first: number): number {
  const map = volume.work.clusterMap;
  const end = first + volume.clusterBlocks;
  for (let at = first; at < end; at += map.count) {
    const error = mapBlocks(volume, inode, at, end - at, map);
    if (error < 0) return error;
    if (map.block !== 0) return map.block - (at - first);
  }
  return 0;
}

/** As `allocateRun`; when only space is left that waits for a commit, commits and tries once more. What was done so far must be consistent. */
export function allocateRunOrCommit(
  volume: Volume,
  inode: CoreInode,
  fileBlock: number,
  count: number,
  goal: number,
  out: Run,
): number {
  const error = allocateRun(volume, inode, fileBlock, count, goal, out);
  if (error !== -ENOSPC || !heldSpace(volume)) return error;
  const committed = volume.commit();
  return committed < 0 ? committed : allocateRun(volume, inode, fileBlock, count, goal, out);
}

/** Gives back a run that no file has. */
export function releaseRun(volume: Volume, run: Run): number {
  if (run.charged === 0) return 0;
  return freeBlocks(volume, run.start - (run.start % volume.clusterBlocks), run.charged, false);
}

/** Enters a run for a hole of the file. 0, -ENOSPC (nothing was entered), -EUCLEAN, -EIO. The caller marks the inode dirty. */
export function insertRun(volume: Volume, inode: CoreInode, fileBlock: number, run: Run, unwritten: boolean): number {
  const error = inode.hasFlag(EXT4_EXTENTS_FL)
    ? insertExtent(volume, inode, fileBlock, run.start, run.count, unwritten)
    : insertIndirect(volume, inode, fileBlock, run.start, run.count);
  if (error < 0) return error;
  inode.addBlocks(run.charged, volume.blockSize);
  inode.allocationGoal = run.start + run.count;
  return 0;
}

/**
 * Frees the blocks of file blocks [from, to). `metadata`: they hold directory entries or the like, which the journal logs.
 * 0, -EUCLEAN, -EIO; punching into the middle of an extent may need a block for the tree: -ENOSPC.
 */
export function removeRuns(volume: Volume, inode: CoreInode, from: number, to: number, metadata: boolean): number {
  inode.allocationGoal = 0;
  const logged = metadata || volume.hasJournaledData;
  return inode.hasFlag(EXT4_EXTENTS_FL)
    ? removeExtents(volume, inode, from, to, logged)
    : removeIndirect(volume, inode, from, to, logged);
}
