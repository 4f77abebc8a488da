/**
 * What growing comes to, whether the volume is mounted or not: the superblock and geometry of the larger volume, by resize2fs's
 * rules, and the content of new groups and of the resize inode.
 */
import { setBits } from "../bitmap.ts";
import { Ext4Error } from "../errors.ts";
import { EXT4_FEATURE_COMPAT_RESIZE_INODE, EXT4_FEATURE_INCOMPAT_META_BG } from "../features.ts";
import {
  descriptorBlock,
  type Geometry,
  groupBlocks,
  groupHasSuper,
  groupStart,
  groupSuperBlocks,
  readGeometry,
} from "../geometry.ts";
import { EXT4_BG_INODE_UNINIT, type GroupDescriptor } from "../group-descriptor.ts";
import {
  S_BLOCKS_COUNT_HI,
  S_BLOCKS_COUNT_LO,
  S_FEATURE_COMPAT,
  S_FIRST_META_BG,
  S_INODES_COUNT,
  S_RESERVED_GDT_BLOCKS,
  Superblock,
} from "../superblock.ts";

/** A last group with fewer blocks of its own than this is not worth its tables. */
const LEAST_IN_GROUP = 50;

export interface ResizeReport {
  /** Blocks before and after; equal when there was nothing to do. */
  readonly before: number;
  readonly after: number;
  readonly blockSize: number;
  readonly groups: number;
}

/** The superblock of a volume of `blocks` blocks, and its geometry. */
export function planned(
  sb: Superblock,
  g: Geometry,
  blocks: number,
  deviceSize: number,
): { sb: Superblock; g: Geometry } {
  const next = new Superblock(sb.bytes.slice());
  next.setSplit(S_BLOCKS_COUNT_LO, S_BLOCKS_COUNT_HI, blocks);
  const groups = Math.ceil((blocks - g.firstDataBlock) / g.blocksPerGroup);
  const inodes = groups * g.inodesPerGroup;
  if (inodes > 0xffff_ffff) throw new Ext4Error("invalid", `${blocks} blocks would need ${inodes} inodes`);
  if (blocks > 0xffff_ffff && !sb.has64bit) throw new Ext4Error("invalid", `${blocks} blocks need the feature 64bit`);
  next.setU32(S_INODES_COUNT, inodes);
  const gdtBlocks = Math.ceil(groups / g.descPerBlock);
  const grow = gdtBlocks - g.gdtBlocks;
  if (grow > 0 && !sb.hasIncompat(EXT4_FEATURE_INCOMPAT_META_BG)) {
    const kept = sb.hasCompat(EXT4_FEATURE_COMPAT_RESIZE_INODE) ? g.reservedGdtBlocks : 0;
    if (grow <= kept) {
      next.setU16(S_RESERVED_GDT_BLOCKS, kept - grow);
    } else {
      next.setU16(S_RESERVED_GDT_BLOCKS, 0);
      next.setIncompat(EXT4_FEATURE_INCOMPAT_META_BG, true);
      next.setU32(S_FIRST_META_BG, g.gdtBlocks + kept);
      next.setU32(S_FEATURE_COMPAT, next.u32(S_FEATURE_COMPAT) & ~EXT4_FEATURE_COMPAT_RESIZE_INODE);
    }
  }
  const geometry = readGeometry(next, deviceSize);
  if (geometry instanceof Ext4Error) throw geometry;
  return { sb: next, g: geometry };
}

/** `wanted`, less a last group that would hold next to nothing. */
export function planSize(sb: Superblock, g: Geometry, wanted: number, deviceSize: number): number {
  const rounded = wanted - (g.clusterSize > g.blockSize ? wanted % (g.clusterSize / g.blockSize) : 0);
  if (rounded <= g.blocksCount) return g.blocksCount;
  const next = planned(sb, g, rounded, deviceSize);
  const last = next.g.groupCount - 1;
  if (last < g.groupCount) return rounded;
  const least = groupSuperBlocks(next.sb, next.g, last) + 2 + g.itableBlocks + LEAST_IN_GROUP;
  return groupBlocks(next.g, last) >= least ? rounded : groupStart(next.g, last);
}

/** Fills in the descriptor of a new group that has its tables at its own front; gives its block bitmap. `lazy`: the inode table is not zeroed. */
export function layGroup(sb: Superblock, g: Geometry, group: number, gd: GroupDescriptor, lazy: boolean): Uint8Array {
  const ratio = g.clusterSize / g.blockSize;
  const first = groupStart(g, group) + groupSuperBlocks(sb, g, group);
  const count = Math.ceil(groupBlocks(g, group) / ratio);
  const used = Math.ceil((first - groupStart(g, group) + 2 + g.itableBlocks) / ratio);
  if (used > count) throw new Ext4Error("invalid", `group ${group} has no room for its tables`);
  gd.blockBitmap = first;
  gd.inodeBitmap = first + 1;
  gd.inodeTable = first + 2;
  gd.freeBlocks = count - used;
  gd.freeInodes = g.inodesPerGroup;
  gd.usedDirs = 0;
  gd.itableUnused = lazy ? g.inodesPerGroup : 0;
  // The tables are not zeroed where Linux does it later, at its leisure.
  gd.flags = lazy ? EXT4_BG_INODE_UNINIT : 0;
  const bits = new Uint8Array(g.blockSize);
  setBits(bits, 0, used);
  setBits(bits, count, g.blockSize * 8 - count);
  return bits;
}

/** The groups but the first that keep copies of superblock and descriptors. */
export function groupsWithCopies(sb: Superblock, g: Geometry): number[] {
  const groups: number[] = [];
  for (let group = 1; group < g.groupCount; group++) if (groupHasSuper(sb, group)) groups.push(group);
  return groups;
}

/**
 * Gives `write` the blocks of the resize inode: in each reserved descriptor block the list of its copies, and `double`, the doubly indirect
 * block that lists them. Returns how many blocks the inode has then.
 */
export function layReservedBlocks(
  sb: Superblock,
  g: Geometry,
  double: number,
  write: (block: number, bytes: Uint8Array) => void,
): number {
  const perBlock = g.blockSize / 4;
  const table = new Uint8Array(g.blockSize);
  const copies = groupsWithCopies(sb, g);
  for (let i = 0; i < g.reservedGdtBlocks; i++) {
    const block = descriptorBlock(sb, g, 0) + g.gdtBlocks + i;
    new DataView(table.buffer).setUint32(((g.gdtBlocks + i) % perBlock) * 4, block, true);
    const list = new Uint8Array(g.blockSize);
    const view = new DataView(list.buffer);
    for (let k = 0; k < copies.length && k < perBlock; k++)
      view.setUint32(k * 4, block + copies[k] * g.blocksPerGroup, true);
    write(block, list);
  }
  write(double, table);
  return (g.clusterSize / g.blockSize) * (1 + g.reservedGdtBlocks * (1 + Math.min(copies.length, perBlock)));
}
