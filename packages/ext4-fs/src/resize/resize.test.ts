import { MemoryDisk } from "blockdev-disk";
import { expect, test } from "vitest";
import { check } from "../check/index.ts";
import { Ext4Error, Ext4FileSystem, mkfs, type MkfsOptions } from "../index.ts";
import { resize } from "./index.ts";

const now = (): { sec: number; nsec: number } => ({ sec: 1_700_000_000, nsec: 0 });
const MIB = 1 << 20;

/** A volume of `from` bytes at the start of a disk of `to`. */
function volume(from: number, to: number, options: Partial<MkfsOptions> = {}): MemoryDisk {
  const disk = new MemoryDisk(to);
  mkfs(disk, { uuid: "0d15ea5e-0000-4000-8000-000000000000", now: now(), size: from, ...options });
  const fs = new Ext4FileSystem(disk, { now });
  const file = fs.root().create("f", { mode: 0o100644, uid: 0, gid: 0, rdev: 0 });
  if (typeof file === "number") throw new Error(`create: ${file}`);
  file.writeAt(0, new Uint8Array(100_000).fill(7));
  fs.unmount();
  return disk;
}

function freeBytes(disk: MemoryDisk): number {
  const fs = new Ext4FileSystem(disk, { now });
  const { blocksFree, blockSize } = fs.statfs();
  fs.unmount();
  return blocksFree * blockSize;
}

test("a volume grows to the size of its disk, and the new room is there to be filled", () => {
  const disk = volume(8 * MIB, 200 * MIB);
  const report = resize(disk, { now });
  expect(report).toEqual({ before: 8192, after: 204_800, blockSize: 1024, groups: 25 });
  expect(check(disk).problems).toEqual([]);
  expect(freeBytes(disk)).toBeGreaterThan(180 * MIB);
  const fs = new Ext4FileSystem(disk, { now });
  const file = fs.root().lookup("f");
  if (typeof file === "number") throw new Error(`lookup: ${file}`);
  const bytes = new Uint8Array(100_000);
  file.readAt(0, bytes);
  expect(bytes.every((byte) => byte === 7)).toBe(true);
  const big = fs.root().create("big", { mode: 0o100644, uid: 0, gid: 0, rdev: 0 });
  if (typeof big === "number") throw new Error(`create: ${big}`);
  for (let i = 0; i < 60; i++) expect(big.writeAt(i * MIB, new Uint8Array(MIB).fill(i))).toBe(MIB);
  fs.unmount();
  expect(check(disk).problems).toEqual([]);
});

test("without reserved descriptor blocks the new groups keep their descriptors themselves", () => {
  const disk = volume(8 * MIB, 900 * MIB, { features: ["^resize_inode"] });
  expect(resize(disk, { now }).groups).toBe(113);
  const report = check(disk);
  expect(report.problems).toEqual([]);
  expect(resize(disk, { now })).toMatchObject({ before: 921_600, after: 921_600 });
});

test("to a size in blocks, twice, across the end of a group", () => {
  const disk = volume(6 * MIB, 64 * MIB);
  expect(resize(disk, { blocks: 7000 }).after).toBe(7000);
  expect(check(disk).problems).toEqual([]);
  expect(resize(disk, { blocks: 30_000 }).after).toBe(30_000);
  expect(check(disk).problems).toEqual([]);
});

test("a last group with room for next to nothing is not begun", () => {
  const disk = volume(6 * MIB, 64 * MIB);
  expect(resize(disk, { blocks: 8193 + 100 }).after).toBe(8193);
  expect(check(disk).problems).toEqual([]);
});

test("shrinking, growing beyond the disk and growing what is damaged are refused in words", () => {
  const disk = volume(8 * MIB, 16 * MIB);
  expect(() => resize(disk, { blocks: 5000 })).toThrow(/shrinking/);
  expect(() => resize(disk, { blocks: 50_000 })).toThrow(/50000 blocks on a device of 16384/);
  expect(() => resize(disk, { blocks: 1.5 })).toThrow(RangeError);
  disk.writeBlock(2 * 5, new Uint8Array(1024).fill(0xff));
  expect(() => resize(disk)).toThrow(Ext4Error);
});
