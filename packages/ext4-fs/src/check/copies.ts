/**
 * The copies of superblock and descriptors in other groups: what a later repair starts from when the first ones are gone.
 */
import { EXT4_FEATURE_INCOMPAT_META_BG } from "../features.ts";
import { descriptorBlock, type Geometry, groupHasSuper, groupStart } from "../geometry.ts";
import { S_BLOCK_GROUP_NR, Superblock } from "../superblock.ts";
import type { Checker } from "./checker.ts";

/** Writes superblock and descriptors to every group that keeps a copy. The descriptors' checksums must be up to date. */
export function writeCopies(ck: Checker): void {
  const { sb, g, blockSize } = ck;
  const bytes = (index: number): Uint8Array => ck.descriptorBytes.subarray(index * blockSize, (index + 1) * blockSize);
  layCopies(sb, g, bytes, (block, data) => ck.write(block, data));
}

/**
 * Gives `write` the copies that groups keep. `descriptors(index)` are the bytes of a descriptor block. `changed`: only the descriptor blocks from this one
 * on have changed, but groups from `added` on have no copy yet.
 */
export function layCopies(
  sb: Superblock,
  g: Geometry,
  descriptors: (index: number) => Uint8Array,
  write: (block: number, bytes: Uint8Array) => void,
  changed: number = 0,
  added: number = 0,
): void {
  const metaBg = sb.hasIncompat(EXT4_FEATURE_INCOMPAT_META_BG);
  const linear = metaBg ? g.firstMetaGroup : g.gdtBlocks;
  for (let group = 1; group < g.groupCount; group++) {
    if (!groupHasSuper(sb, group)) continue;
    const start = groupStart(g, group);
    const block = new Uint8Array(g.blockSize);
    const copy = new Superblock(block.subarray(0, 1024));
    copy.bytes.set(sb.bytes);
    copy.setU16(S_BLOCK_GROUP_NR, group);
    copy.updateChecksum();
    write(start, block);
    // Groups beyond the first meta group keep no others' descriptors.
    if (metaBg && Math.floor(group / g.descPerBlock) >= g.firstMetaGroup) continue;
    for (let index = group >= added ? 0 : changed; index < linear; index++)
      write(start + 1 + index, descriptors(index));
  }
  for (let index = Math.max(linear, changed); index < g.gdtBlocks; index++) {
    // meta_bg: the second and the last group of each meta group.
    for (const within of [1, g.descPerBlock - 1]) {
      const group = index * g.descPerBlock + within;
      if (group >= g.groupCount) continue;
      const block = groupStart(g, group) + (groupHasSuper(sb, group) ? 1 : 0);
      if (block !== descriptorBlock(sb, g, index)) write(block, descriptors(index));
    }
  }
}
