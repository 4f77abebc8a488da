/** Space and inode counts as statfs(2) reports them. */
import { groupSuperBlocks } from "./geometry.ts";
import { EXT4_SUPER_MAGIC, S_JOURNAL_INUM, S_OVERHEAD_CLUSTERS } from "./superblock.ts";
import type { Volume } from "./volume.ts";

export interface VolumeStatus {
  readonly type: number;
  readonly blockSize: number;
  /** Blocks that files can use. */
  readonly blocks: number;
  readonly blocksFree: number;
  /** Without those reserved for root. */
  readonly blocksAvailable: number;
  readonly files: number;
  readonly filesFree: number;
  readonly nameLength: number;
  readonly fsid: readonly [number, number];
}

export function volumeStatus(volume: Volume): VolumeStatus {
  const { superblock: sb, geometry: g } = volume;
  const uuid = new DataView(sb.uuid.buffer, sb.uuid.byteOffset, 16);
  return {
    type: EXT4_SUPER_MAGIC,
    blockSize: g.blockSize,
    blocks: g.blocksCount - overheadBlocks(volume),
    blocksFree: volume.freeBlocks,
    blocksAvailable: Math.max(0, volume.freeBlocks - sb.reservedBlocksCount),
    files: g.inodesCount,
    filesFree: volume.freeInodes,
    nameLength: 255,
    // As Linux folds it: the two halves of the UUID, xored.
    fsid: [
      (uuid.getUint32(0, true) ^ uuid.getUint32(8, true)) >>> 0,
      (uuid.getUint32(4, true) ^ uuid.getUint32(12, true)) >>> 0,
    ],
  };
}

/** Blocks that no file can have: superblocks, descriptors, bitmaps, inode tables, journal. */
export function overheadBlocks(volume: Volume): number {
  const { superblock: sb, geometry: g } = volume;
  const stored = sb.u32(S_OVERHEAD_CLUSTERS) * volume.clusterBlocks;
  if (stored > 0 && stored < g.blocksCount) return stored;
  let blocks = g.firstDataBlock;
  for (let group = 0; group < g.groupCount; group++) blocks += groupSuperBlocks(sb, g, group) + 2 + g.itableBlocks;
  const journal = sb.u32(S_JOURNAL_INUM);
  if (journal !== 0) {
    const inode = volume.inode(journal);
    if (typeof inode !== "number") blocks += Math.floor(inode.size / g.blockSize);
  }
  return Math.min(blocks, g.blocksCount);
}
