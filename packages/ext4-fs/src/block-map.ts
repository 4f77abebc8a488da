/**
 * The block map of ext2 and ext3 files, read only: i_block holds 12 direct block numbers, then one each of a single, double and
 * triple indirect block. Volumes whose new files would need one (no extent feature) are mounted read-only.
 */
import { type CoreInode, I_BLOCK } from "./inode.ts";
import type { Mapping } from "./extents/map.ts";
import type { Volume } from "./volume.ts";

const DIRECT = 12;

/** As `mapBlocks`. A run ends where the numbers stop being consecutive or the next indirect block begins. */
export function mapIndirect(volume: Volume, inode: CoreInode, fileBlock: number, max: number, out: Mapping): number {
  out.unwritten = false;
  if (fileBlock < DIRECT) return scan(volume, inode, inode.view, I_BLOCK, fileBlock, DIRECT, max, out);
  const perBlock = volume.blockSize / 4;
  let rest = fileBlock - DIRECT;
  let span = perBlock; // file blocks below one indirect block of this height
  for (let height = 1; height <= 3; height++, span *= perBlock) {
    if (rest >= span) {
      rest -= span;
      continue;
    }
    let block = inode.view.getUint32(I_BLOCK + (DIRECT + height - 1) * 4, true);
    for (let level = height; level >= 1; level--) {
      span /= perBlock;
      if (block === 0) {
        out.block = 0;
        out.count = Math.min(max, span * perBlock - (rest % (span * perBlock)));
        return 0;
      }
      const buffer = volume.cache.get(block);
      if (typeof buffer === "number") return buffer;
      if (level === 1) return scan(volume, inode, buffer.view, 0, rest % perBlock, perBlock, max, out);
      block = buffer.view.getUint32(Math.floor(rest / span) * 4, true);
      rest %= span;
    }
  }
  out.block = 0;
  out.count = max;
  return 0;
}

function scan(
  volume: Volume,
  inode: CoreInode,
  view: DataView,
  base: number,
  index: number,
  limit: number,
  max: number,
  out: Mapping,
): number {
  const first = view.getUint32(base + index * 4, true);
  let count = 1;
  while (count < max && index + count < limit) {
    const next = view.getUint32(base + (index + count) * 4, true);
    if (next !== (first === 0 ? 0 : first + count)) break;
    count++;
  }
  if (first !== 0 && first + count > volume.geometry.blocksCount)
    return volume.corrupt(`block ${first} lies outside`, inode.ino, first);
  out.block = first;
  out.count = count;
  return 0;
}
