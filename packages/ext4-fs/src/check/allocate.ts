/**
 * Finding free blocks during a repair. The on-disk bitmaps are not to be trusted, so the map that pass 1 has made is asked; what is
 * taken is entered there, and pass 5 writes the bitmaps from it.
 */
import type { Checker } from "./checker.ts";

/** `count` consecutive free blocks in [from, to), now in use; 0 when there are none. With bigalloc they fill whole clusters. */
export function allocate(
  ck: Checker,
  count: number,
  from: number = ck.g.firstDataBlock,
  to: number = ck.g.blocksCount,
): number {
  const clusters = Math.ceil(count / ck.ratio);
  const end = Math.floor(to / ck.ratio);
  let run = 0;
  // Cluster 0 holds the superblock and is always in use, so a found block is never 0.
  for (let cluster = Math.ceil(from / ck.ratio); cluster < end; cluster++) {
    run = ck.used.has(cluster) ? 0 : run + 1;
    if (run === clusters) {
      const first = cluster - clusters + 1;
      ck.used.addRange(first, clusters);
      return first * ck.ratio;
    }
  }
  return 0;
}

/** One free block, near the one taken last: repeated calls do not search the start of the volume again. */
export function allocateOne(ck: Checker, cursor: { block: number }): number {
  let block = allocate(ck, 1, Math.max(cursor.block, ck.g.firstDataBlock));
  if (block === 0) block = allocate(ck, 1);
  if (block !== 0) cursor.block = block + 1;
  return block;
}
