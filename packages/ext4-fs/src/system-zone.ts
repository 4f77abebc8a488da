/**
 * The blocks that no file may own: superblock copies, descriptors, bitmaps, inode tables. Linux calls them the system zone
 * (fs/ext4/block_validity.c) and takes a map that leads into it for damage; where its parts overlap it refuses the mount.
 */
import { Ext4Error } from "./errors.ts";
import { type Geometry, groupStart, groupSuperBlocks } from "./geometry.ts";
import type { GroupDescriptor } from "./group-descriptor.ts";
import type { Superblock } from "./superblock.ts";

export class SystemZone {
  /** Runs in ascending order, none touching the next: first block, and one behind the last. */
  readonly #starts: Float64Array;
  readonly #ends: Float64Array;

  constructor(starts: Float64Array, ends: Float64Array) {
    this.#starts = starts;
    this.#ends = ends;
  }

  /** Whether any of `count` blocks from `block` on belongs to the zone. */
  overlaps(block: number, count: number): boolean {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      if (this.#starts[middle] < block + count) low = middle + 1;
      else high = middle - 1;
    }
    return high >= 0 && this.#ends[high] > block;
  }
}

/** The zone of a volume as its descriptors say, or why they cannot be right. */
export function readSystemZone(
  sb: Superblock,
  g: Geometry,
  descriptors: readonly GroupDescriptor[],
): SystemZone | Ext4Error {
  const parts: [number, number][] = [];
  for (let group = 0; group < g.groupCount; group++) {
    const gd = descriptors[group];
    const start = groupStart(g, group);
    const base = groupSuperBlocks(sb, g, group);
    if (base > 0) parts.push([start, start + base]);
    parts.push([gd.blockBitmap, gd.blockBitmap + 1], [gd.inodeBitmap, gd.inodeBitmap + 1]);
    parts.push([gd.inodeTable, gd.inodeTable + g.itableBlocks]);
  }
  parts.sort((a, b) => a[0] - b[0]);
  const starts = new Float64Array(parts.length);
  const ends = new Float64Array(parts.length);
  let last = -1;
  for (const [start, end] of parts) {
    if (last >= 0 && start < ends[last])
      return new Ext4Error("corrupt", `bitmaps, inode tables or descriptors overlap at block ${start}`, {
        block: start,
      });
    if (last >= 0 && start === ends[last]) ends[last] = end;
    else {
      starts[++last] = start;
      ends[last] = end;
    }
  }
  return new SystemZone(starts.slice(0, last + 1), ends.slice(0, last + 1));
}
