/**
 * Telling the device which blocks hold nothing (fstrim(8), FITRIM; mount option discard).
 *
 * Only what is free for good is told: the running transaction is committed first, since what it frees would come back after a
 * crash.
 */
import { EOPNOTSUPP, EROFS } from "linux-abi";
import { nextOne, nextZero } from "./bitmap.ts";
import { groupBlocks, groupStart } from "./geometry.ts";
import type { Volume } from "./volume.ts";

/** Discards free runs of at least `minByteLength` bytes within [start, start + byteLength). Bytes discarded, or -EOPNOTSUPP, -EROFS, -EIO. */
export function trimVolume(volume: Volume, start: number, byteLength: number, minByteLength: number): number {
  const { device, geometry: g, groups, blockSize } = volume;
  if (device.discard === undefined) return -EOPNOTSUPP;
  if (volume.readOnly) return -EROFS;
  const error = volume.commit();
  if (error < 0) return error;
  volume.enter();
  const ratio = volume.clusterBlocks;
  const first = Math.max(g.firstDataBlock, Math.ceil(start / blockSize));
  const end = Math.min(g.blocksCount, Math.floor((start + byteLength) / blockSize));
  const least = Math.max(1, Math.ceil(minByteLength / blockSize));
  let trimmed = 0;
  for (let group = 0; group < g.groupCount; group++) {
    const base = groupStart(g, group);
    const bits = Math.floor(groupBlocks(g, group) / ratio);
    const from = Math.max(0, Math.ceil((first - base) / ratio));
    const to = Math.min(bits, Math.floor((end - base) / ratio));
    if (from >= to || groups.bad.has(group) || groups.descriptors[group].freeBlocks === 0) continue;
    const bitmap = groups.blockBitmap(group);
    if (typeof bitmap === "number") continue;
    for (let bit = nextZero(bitmap.data, undefined, from, to); bit < to; ) {
      const stop = nextOne(bitmap.data, undefined, bit, to);
      if ((stop - bit) * ratio >= least) {
        const failed = discardBlocks(volume, base + bit * ratio, (stop - bit) * ratio);
        if (failed < 0) return failed;
        trimmed += (stop - bit) * ratio * blockSize;
      }
      bit = nextZero(bitmap.data, undefined, stop, to);
    }
  }
  return trimmed;
}

/** 0 or -errno; a device that cannot is no error. */
export function discardBlocks(volume: Volume, block: number, count: number): number {
  const unit = volume.blockSize / volume.device.blockSize;
  const error = volume.device.discard?.(block * unit, count * unit) ?? 0;
  return error < 0 && error !== -EOPNOTSUPP ? error : 0;
}
