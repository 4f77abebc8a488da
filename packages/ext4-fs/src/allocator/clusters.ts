/**
 * Giving back the blocks of a file that its map does not name any more. Without bigalloc that is all of them; with it only those
 * clusters of which the file has no other block.
 */
import { mapBlocks } from "../extents/map.ts";
import type { CoreInode } from "../inode.ts";
import type { Volume } from "../volume.ts";
import { freeBlocks } from "./blocks.ts";

/** File blocks [fileBlock, fileBlock + count) lay at `start` on, and are out of the map. Frees them and lowers i_blocks. 0 or -errno. */
export function freeFileBlocks(
  volume: Volume,
  inode: CoreInode,
  fileBlock: number,
  count: number,
  start: number,
  metadata: boolean,
): number {
  const ratio = volume.clusterBlocks;
  let from = fileBlock;
  let to = fileBlock + count;
  if (ratio > 1) {
    from -= from % ratio;
    to += (ratio - (to % ratio)) % ratio;
    const first = isInUse(volume, inode, from);
    if (first < 0) return first;
    const last = to - ratio > from ? isInUse(volume, inode, to - ratio) : 0;
    if (last < 0) return last;
    if (metadata) for (let i = 0; i < count; i++) volume.forgetBlock(start + i);
    if (first === 1) from += ratio;
    if (last === 1) to -= ratio;
    if (from >= to) return 0;
  }
  inode.addBlocks(-(to - from), volume.blockSize);
  return freeBlocks(volume, start - (fileBlock - from), to - from, metadata && ratio === 1);
}

/** Whether the file has a block of the cluster that begins at file block `first`: 1, 0 or -errno. */
function isInUse(volume: Volume, inode: CoreInode, first: number): number {
  const map = volume.work.clusterMap;
  const end = first + volume.clusterBlocks;
  for (let at = first; at < end; at += map.count) {
    const error = mapBlocks(volume, inode, at, end - at, map);
    if (error < 0) return error;
    if (map.block !== 0) return 1;
  }
  return 0;
}
