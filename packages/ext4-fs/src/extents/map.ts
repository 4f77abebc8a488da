/**
 * Where a file's blocks are: the one question that reading, writing and directories ask.
 *
 * `mapBlocks` answers for the longest run from a file block on that lies in one piece (or is one hole), in a result object
 * that is reused: read it before the next call.
 */
import { EUCLEAN } from "linux-abi";
import { EXT4_EXTENTS_FL, EXT4_INLINE_DATA_FL, type CoreInode } from "../inode.ts";
import { mapIndirect } from "../block-map.ts";
import type { Volume } from "../volume.ts";
import { EXT_MAX_BLOCKS, type ExtentPath, findExtent } from "./node.ts";

export interface Mapping {
  /** First block on the volume; 0 = hole. */
  block: number;
  /** Blocks in this run, at least 1. */
  count: number;
  /** Allocated but reads as zeros. */
  unwritten: boolean;
}

/** Fills `out` for `fileBlock`, looking at most `max` blocks ahead. 0, -EUCLEAN or -EIO. */
export function mapBlocks(volume: Volume, inode: CoreInode, fileBlock: number, max: number, out: Mapping): number {
  const path = volume.work.mapPath;
  if (!inode.hasFlag(EXT4_EXTENTS_FL)) {
    return inode.hasFlag(EXT4_INLINE_DATA_FL) ? -EUCLEAN : mapIndirect(volume, inode, fileBlock, max, out);
  }
  const error = findExtent(volume, inode, fileBlock, path);
  if (error < 0) return error;
  const leaf = path.depth;
  const index = path.indexes[leaf];
  if (index >= 0) {
    const first = path.key(leaf, index);
    const length = path.length(index);
    if (fileBlock < first + length) {
      const start = path.start(index);
      out.block = start + (fileBlock - first);
      out.count = Math.min(max, first + length - fileBlock);
      out.unwritten = path.isUnwritten(index);
      return 0;
    }
  }
  out.block = 0;
  out.unwritten = false;
  out.count = Math.min(max, Math.max(1, nextAllocated(path, fileBlock) - fileBlock));
  return 0;
}

/** First file block behind the position in `path` that may be allocated. */
export function nextAllocated(path: ExtentPath, fileBlock: number): number {
  for (let level = path.depth; level >= 0; level--) {
    const next = path.indexes[level] + 1;
    if (next < path.entries(level)) return Math.max(fileBlock + 1, path.key(level, next));
  }
  return EXT_MAX_BLOCKS;
}
