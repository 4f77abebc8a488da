/**
 * Allocating and freeing blocks.
 *
 * The caller names a goal (where the run would best begin) and how many blocks it could use; it gets one contiguous run, perhaps
 * shorter. Order of preference: at the goal; a long enough run in the goal's group, then in the following ones; else the
 * longest run seen. Bits freed by the running transaction stay taken until it commits: a crash before that brings their old
 * owner back.
 *
 * A bit of the bitmaps stands for a cluster: with bigalloc several blocks, else one. Runs begin on a cluster border.
 */
import { ENOSPC, EUCLEAN } from "linux-abi";
import { allBits, clearBits, nextOne, nextZero, setBits, testBit } from "../bitmap.ts";
import { groupBlocks, groupStart } from "../geometry.ts";
import type { Volume } from "../volume.ts";

export interface Run {
  /** First block; 0 = nothing found. */
  start: number;
  /** Blocks. */
  count: number;
  /** Blocks newly taken from the volume for this run: whole clusters, so more than `count` with bigalloc, or none. */
  charged: number;
}

/** Groups to look through for a run of full length before the best one so far is taken. */
const GOOD_ENOUGH_GROUPS = 16;

/** A run of this many blocks at the goal is taken even when more were wanted. */
const SHORT_RUN = 8;

/**
 * Allocates up to `wanted` (≥ 1) blocks in one run, from a cluster border on, into `out`. 0, -ENOSPC, -EIO. When space waits for the running
 * transaction to commit and nothing else is left, -ENOSPC with `heldSpace(volume)` true: the caller may commit and try again.
 */
export function allocateBlocks(volume: Volume, goal: number, wanted: number, out: Run): number {
  const best = volume.work.bestRun;
  const { geometry: g, groups } = volume;
  best.start = 0;
  best.count = 0;
  const goalBlock = goal > g.firstDataBlock && goal < g.blocksCount ? goal : g.firstDataBlock;
  const firstGroup = groups.groupOfBlock(goalBlock);
  const ratio = volume.clusterBlocks;
  const wantedBits = ratio === 1 ? wanted : Math.ceil(wanted / ratio);
  let looked = 0;
  for (let i = 0; i < g.groupCount; i++) {
    const group = (firstGroup + i) % g.groupCount;
    const free = groups.descriptors[group].freeBlocks;
    if (free === 0 || free <= best.count || groups.bad.has(group)) continue;
    const bitmap = groups.blockBitmap(group);
    if (typeof bitmap === "number") {
      if (bitmap === -EUCLEAN) continue; // noted as bad
      return bitmap;
    }
    const goalBit = i === 0 ? Math.floor((goalBlock - groupStart(g, group)) / ratio) : 0;
    if (searchGroup(volume, group, bitmap.data, goalBit, wantedBits)) break;
    if (best.count > 0 && ++looked >= GOOD_ENOUGH_GROUPS) break;
  }
  if (best.count === 0) return -ENOSPC;
  const bits = Math.min(wantedBits, best.count);
  out.start = best.start;
  out.count = Math.min(wanted, bits * ratio);
  out.charged = bits * ratio;
  return take(volume, out.start, bits);
}

/** Bits of a group's bitmap that stand for whole clusters. */
function groupBits(volume: Volume, group: number): number {
  return Math.floor(groupBlocks(volume.geometry, group) / volume.clusterBlocks);
}

/** Improves `work.bestRun` (its count in bits) from one group's bitmap; true when it is as good as can be. */
function searchGroup(volume: Volume, group: number, bits: Uint8Array, goalBit: number, wanted: number): boolean {
  const { geometry: g, groups } = volume;
  const held = groups.held.get(group);
  const limit = groupBits(volume, group);
  if (goalBit > 0 && isFree(bits, held, goalBit)) {
    // Right at the goal even a short run is worth having: it continues what is there.
    const end = nextOne(bits, held, goalBit, Math.min(limit, goalBit + wanted));
    if (end - goalBit >= Math.min(wanted, SHORT_RUN)) return keep(volume, groupStart(g, group), goalBit, end);
  }
  const hint = groups.blockHint[group];
  const from = Math.max(goalBit, hint);
  if (scan(volume, group, bits, held, from, limit, wanted)) return true;
  return from > hint && scan(volume, group, bits, held, hint, from, wanted);
}

function scan(
  volume: Volume,
  group: number,
  bits: Uint8Array,
  held: Uint8Array | undefined,
  from: number,
  to: number,
  wanted: number,
): boolean {
  const best = volume.work.bestRun;
  const { geometry: g, groups } = volume;
  const limit = groupBits(volume, group);
  const base = groupStart(g, group);
  let bit = nextZero(bits, held, from, to);
  if (from === groups.blockHint[group] && held === undefined) groups.blockHint[group] = bit; // nothing is free below
  while (bit < to) {
    const end = nextOne(bits, held, bit, Math.min(limit, bit + wanted));
    if (end - bit > best.count) keep(volume, base, bit, end);
    if (best.count >= wanted) return true;
    bit = nextZero(bits, held, end, to);
  }
  return false;
}

function isFree(bits: Uint8Array, held: Uint8Array | undefined, bit: number): boolean {
  return !testBit(bits, bit) && (held === undefined || !testBit(held, bit));
}

function keep(volume: Volume, base: number, bit: number, end: number): true {
  const best = volume.work.bestRun;
  best.start = base + bit * volume.clusterBlocks;
  best.count = end - bit;
  return true;
}

/** Marks `count` bits from the cluster at `start` on as used. */
function take(volume: Volume, start: number, count: number): number {
  const { geometry: g, groups } = volume;
  const ratio = volume.clusterBlocks;
  const group = groups.groupOfBlock(start);
  const bitmap = groups.blockBitmap(group);
  if (typeof bitmap === "number") return bitmap;
  setBits(bitmap.data, (start - groupStart(g, group)) / ratio, count);
  const gd = groups.descriptors[group];
  if (gd.freeBlocks < count)
    return volume.corrupt(`group ${group}: more blocks are free than its count says`, 0, start);
  gd.freeBlocks -= count;
  volume.freeBlocks -= count * ratio;
  groups.touchBlockBitmap(group, bitmap);
  volume.countsChanged();
  return 0;
}

/** Whether blocks wait for the running transaction to commit before they can be used again. */
export function heldSpace(volume: Volume): boolean {
  return volume.groups.held.size > 0;
}

/**
 * Frees `count` blocks from `start` on; with bigalloc all clusters that they touch. `metadata`: the blocks were logged by the
 * journal, which must forget them. 0, -EUCLEAN (not all were in use, or they do not lie on the volume), -EIO.
 */
export function freeBlocks(volume: Volume, start: number, count: number, metadata: boolean): number {
  const { geometry: g, groups } = volume;
  if (start <= g.firstDataBlock || start + count > g.blocksCount)
    return volume.corrupt(`freeing ${count} blocks at ${start}`, 0, start);
  const ratio = volume.clusterBlocks;
  const first = start - (ratio === 1 ? 0 : (start - g.firstDataBlock) % ratio);
  const total = Math.ceil((start + count - first) / ratio);
  for (let done = 0; done < total; ) {
    const at = first + done * ratio;
    const group = groups.groupOfBlock(at);
    const bit = (at - groupStart(g, group)) / ratio;
    const part = Math.min(total - done, Math.ceil(groupBlocks(g, group) / ratio) - bit);
    const bitmap = groups.blockBitmap(group);
    if (typeof bitmap === "number") return bitmap;
    if (!allBits(bitmap.data, bit, part, true))
      return volume.corrupt(`freeing blocks at ${start} that are free already`, 0, start);
    clearBits(bitmap.data, bit, part);
    const gd = groups.descriptors[group];
    gd.freeBlocks += part;
    volume.freeBlocks += part * ratio;
    if (bit < groups.blockHint[group]) groups.blockHint[group] = bit;
    groups.hold(group, bit, part);
    groups.touchBlockBitmap(group, bitmap);
    done += part;
  }
  volume.countsChanged();
  if (metadata) for (let i = 0; i < count; i++) volume.forgetBlock(start + i);
  return 0;
}

/** Marks blocks as used, those that are already included: for replaying fast commits, which do not log bitmaps. 0, -EUCLEAN, -EIO. */
export function markBlocksUsed(volume: Volume, start: number, count: number): number {
  const { geometry: g, groups } = volume;
  const ratio = volume.clusterBlocks;
  if (start <= g.firstDataBlock || start + count > g.blocksCount)
    return volume.corrupt(`${count} blocks at ${start} are to be used`, 0, start);
  for (let block = start - ((start - g.firstDataBlock) % ratio); block < start + count; block += ratio) {
    const group = groups.groupOfBlock(block);
    const bitmap = groups.blockBitmap(group);
    if (typeof bitmap === "number") return bitmap;
    const bit = (block - groupStart(g, group)) / ratio;
    const held = groups.held.get(group);
    if (held !== undefined) clearBits(held, bit, 1);
    if (!testBit(bitmap.data, bit)) {
      const error = take(volume, block, 1);
      if (error < 0) return error;
    }
  }
  return 0;
}
