/// <reference types="node" />
/**
 * Growing while mounted: sizes and counts are those of resize2fs, e2fsck finds nothing, what was written before, between and after is there,
 * and a power failure at any moment leaves the volume of some finished step.
 */
import { copyFileSync, readFileSync, truncateSync } from "node:fs";
import { type BlockDevice, MemoryDisk, OverlayDisk, type RecordedEvent, RecordingDisk } from "blockdev-disk";
import { FileDisk } from "blockdev-disk/node";
import { afterAll, expect, test, vi } from "vitest";
import { check } from "../src/check/index.ts";
import { Ext4Error, Ext4FileSystem, mkfs } from "../src/index.ts";
import { fsckProblems, hasE2fsprogs, makeImage, run, saveImage, Workspace } from "./e2fsprogs.ts";
import { Random } from "./model.ts";

vi.setConfig({ testTimeout: 900_000 }); // a busy machine is no failure

const work = new Workspace();
afterAll(() => work.remove());
const now = (): { sec: number; nsec: number } => ({ sec: 1_700_000_000, nsec: 0 });
const MIB = 1 << 20;
const POINTS = Number(process.env["EXT4_CRASH_POINTS"] ?? 20);

/** What dumpe2fs says, by name. */
function facts(path: string): Map<string, string> {
  const lines = run("dumpe2fs", ["-h", path]).stdout.split("\n");
  return new Map(lines.map((line) => [line.split(":")[0], line.slice(line.indexOf(":") + 1).trim()]));
}

function write(fs: Ext4FileSystem, name: string, byteLength: number, fill: number): void {
  const made = fs.root().create(name, { mode: 0o100644, uid: 0, gid: 0, rdev: 0 });
  const file = typeof made === "number" ? fs.root().lookup(name) : made;
  if (typeof file === "number") throw new Error(`create ${name}: ${file}`);
  const part = new Uint8Array(Math.min(byteLength, MIB)).fill(fill);
  for (let at = 0; at < byteLength; at += part.length) expect(file.writeAt(at, part)).toBe(part.length);
}

function holds(fs: Ext4FileSystem, name: string, byteLength: number, fill: number): boolean {
  const file = fs.root().lookup(name);
  if (typeof file === "number" || file.size !== byteLength) return false;
  const bytes = new Uint8Array(byteLength);
  return file.readAt(0, bytes) === byteLength && bytes.every((byte) => byte === fill);
}

test.skipIf(!hasE2fsprogs).each<[string, number, number, string[]]>([
  ["ext4 of 1 KiB blocks", 20 * MIB, 2048 * MIB, ["-b", "1024"]],
  ["ext4 of 4 KiB blocks", 300 * MIB, 9000 * MIB, ["-b", "4096"]],
  ["an odd size within the last group", 20 * MIB, 23 * MIB + 4 * 1024, []],
  ["meta_bg", 10 * MIB, 3000 * MIB, ["-O", "meta_bg,^resize_inode"]],
  ["uninit_bg, 32-byte descriptors", 10 * MIB, 600 * MIB, ["-O", "uninit_bg,^metadata_csum,^64bit"]],
  ["ext3", 10 * MIB, 600 * MIB, ["-t", "ext3"]],
  ["ext2, without a journal", 10 * MIB, 600 * MIB, ["-t", "ext2"]],
  ["bigalloc", 100 * MIB, 1500 * MIB, ["-b", "4096", "-O", "bigalloc"]],
  [
    "bigalloc, small clusters, an odd size",
    70 * MIB,
    1500 * MIB + 12_345,
    ["-b", "1024", "-O", "bigalloc", "-C", "4096"],
  ],
  ["without flex_bg", 10 * MIB, 400 * MIB, ["-O", "^flex_bg"]],
])("%s grows as resize2fs makes it grow", (_name, from, to, args) => {
  const ours = work.file("ours");
  const theirs = work.file("theirs");
  makeImage(ours, from, args);
  copyFileSync(ours, theirs);
  for (const path of [ours, theirs]) truncateSync(path, to);
  const disk = new FileDisk(ours);
  const fs = new Ext4FileSystem(disk, { now });
  const total = fs.statfs().blocks;
  const report = fs.grow();
  expect(report.after).toBeGreaterThan(report.before);
  expect(fs.statfs().blocks).toBeGreaterThan(total);
  expect(fs.unmount()).toBe(0);
  disk.close();
  expect(fsckProblems(ours)).toBeUndefined();
  expect(run("resize2fs", ["-f", theirs]).status).toBe(0);
  const [a, b] = [facts(ours), facts(theirs)];
  for (const name of [
    "Filesystem features",
    "Block count",
    "Inode count",
    // resize2fs 1.47.0 gives bigalloc volumes more free blocks than they have blocks.
    ...(args.includes("bigalloc") ? [] : ["Free blocks"]),
    "Free inodes",
    "Reserved block count",
    "Reserved GDT blocks",
    "First meta block group",
  ])
    expect([name, a.get(name)]).toEqual([name, b.get(name)]);
});

// resize2fs moves blocks aside there, which it cannot do while the volume is mounted: then Linux turns on meta_bg.
test.skipIf(!hasE2fsprogs).each<[string, string[]]>([
  ["beyond its reserved descriptor blocks", ["-E", "resize=204800"]],
  ["without reserved descriptor blocks", ["-O", "^resize_inode"]],
])("%s it goes on with meta_bg", (_name, args) => {
  const path = work.file("meta");
  makeImage(path, 20 * MIB, ["-b", "1024", ...args]);
  truncateSync(path, 3000 * MIB);
  const disk = new FileDisk(path);
  const fs = new Ext4FileSystem(disk, { now });
  expect(fs.grow()).toEqual({ before: 20_480, after: 3_072_000, blockSize: 1024, groups: 375 });
  write(fs, "big", 40 * MIB, 3);
  expect(fs.unmount()).toBe(0);
  disk.close();
  expect(fsckProblems(path)).toBeUndefined();
  const said = facts(path);
  expect(said.get("Filesystem features")).toMatch(/meta_bg/);
  expect(said.get("Filesystem features")).not.toMatch(/resize_inode/);
  expect(said.get("Block count")).toBe("3072000");
});

test.skipIf(!hasE2fsprogs)("a copy of superblock and descriptors in a new group is good to repair from", () => {
  const path = work.file("copies");
  makeImage(path, 20 * MIB, ["-b", "1024"]);
  truncateSync(path, 300 * MIB);
  const disk = new FileDisk(path);
  const fs = new Ext4FileSystem(disk, { now });
  fs.grow();
  fs.unmount();
  disk.close();
  // Group 25 begins at block 1 + 25 * 8192, and is one of those that keep copies.
  expect(run("e2fsck", ["-fn", "-b", String(1 + 25 * 8192), "-B", "1024", path]).output).not.toMatch(/bad|corrupt/i);
  const again = run("dumpe2fs", ["-h", "-o", `superblock=${1 + 25 * 8192}`, "-o", "blocksize=1024", path]);
  expect(again.stdout).toMatch(/Block count: +307200\n/);
});

test.each([
  [1024, []],
  [4096, []],
  [4096, ["bigalloc"]],
] as const)("files are written before, between and after growing, %i-byte blocks, %o", (blockSize, features) => {
  const disk = new MemoryDisk(400 * MIB);
  mkfs(disk, { uuid: "0d15ea5e-0000-4000-8000-000000000000", now: now(), size: 24 * MIB, blockSize, features });
  const fs = new Ext4FileSystem(disk, { now });
  const open = fs.root().create("open", { mode: 0o100644, uid: 0, gid: 0, rdev: 0 });
  if (typeof open === "number") throw new Error(`create: ${open}`);
  let at = 0;
  for (let size = 32; size <= 400; size += 23) {
    expect(fs.grow({ blocks: (size * MIB) / blockSize }).after).toBe((size * MIB) / blockSize);
    write(fs, `f${size}`, 4 * MIB, size & 255);
    for (let i = 0; i < 16; i++, at += MIB) expect(open.writeAt(at, new Uint8Array(MIB).fill(9))).toBe(MIB);
    expect(check(new OverlayDisk(disk)).problems.filter((problem) => problem.severity !== "advice")).toEqual([]);
  }
  expect(holds(fs, "open", at, 9)).toBe(true);
  expect(fs.unmount()).toBe(0);
  expect(check(disk).problems).toEqual([]);
  const later = new Ext4FileSystem(disk, { now });
  for (let size = 32; size <= 400; size += 23) expect(holds(later, `f${size}`, 4 * MIB, size & 255)).toBe(true);
  later.unmount();
});

test("a file whose map leads into the new groups' own blocks is damage at once, not only after the next mount", () => {
  const make = (): MemoryDisk => {
    const disk = new MemoryDisk(64 * MIB);
    const features = ["^metadata_csum"]; // so that the map can be changed by hand
    mkfs(disk, { uuid: "0d15ea5e-0000-4000-8000-000000000000", now: now(), size: 16 * MIB, blockSize: 1024, features });
    return disk;
  };
  const probe = new Ext4FileSystem(make(), { now });
  const groups = probe.volume.groups.descriptors.length;
  probe.grow();
  const { blockBitmap, inodeTable } = probe.volume.groups.descriptors[groups + 1];
  const free = probe.volume.geometry.blocksCount - 20;
  probe.unmount();
  for (const [target, result] of [
    [blockBitmap, -117],
    [inodeTable + 1, -117],
    [free, 1024],
  ]) {
    const disk = make();
    const fs = new Ext4FileSystem(disk, { now });
    write(fs, "f", 1024, 1);
    const file = fs.root().lookup("f");
    if (typeof file === "number") throw new Error(`lookup: ${file}`);
    const at = fs.volume.inodes.blockOf(file.ino) * 1024 + fs.volume.inodes.offsetOf(file.ino);
    fs.unmount();
    const block = new Uint8Array(1024);
    disk.readBlock(Math.floor(at / disk.blockSize), block);
    // The first extent of the tree's root: header of 12 bytes, then block u32, length u16, start_hi u16, start_lo u32.
    new DataView(block.buffer).setUint32((at % disk.blockSize) + 0x28 + 12 + 8, target, true);
    disk.writeBlock(Math.floor(at / disk.blockSize), block);
    const again = new Ext4FileSystem(disk, { now });
    again.grow();
    const found = again.root().lookup("f");
    const read = typeof found === "number" ? found : found.readAt(0, new Uint8Array(1024));
    expect([target, read]).toEqual([target, result]);
  }
});

test("what cannot grow while it is mounted is refused in words, and nothing is written", () => {
  const make = (features: string[]): RecordingDisk => {
    const disk = new MemoryDisk(64 * MIB);
    mkfs(disk, { uuid: "0d15ea5e-0000-4000-8000-000000000000", now: now(), size: 16 * MIB, features });
    return new RecordingDisk(disk);
  };
  const disk = make(["sparse_super2"]);
  const fixed = new Ext4FileSystem(disk, { now });
  const events = disk.events.length;
  expect(() => fixed.grow()).toThrow(/sparse_super2.*unmount it, then resize\(\) of ext4-fs\/resize or resize2fs/);
  expect([fixed.resize(65_536), disk.events.length]).toEqual([-95, events]); // Linux's errno
  fixed.unmount();
  const lines: string[] = [];
  const fs = new Ext4FileSystem(make([]), { now, log: (line) => lines.push(line) });
  expect(() => fs.grow({ blocks: 100 })).toThrow(/shrinking/);
  expect(() => fs.grow({ blocks: 65_537 })).toThrow(/65537 blocks on a device of 65536/);
  expect(() => fs.grow({ blocks: 1.5 })).toThrow(RangeError);
  expect(fs.resize(100)).toBe(-22);
  expect(lines).toEqual(["ext4: resize: shrinking is not possible: the file system has 16384 blocks"]);
  expect(fs.resize(65_536)).toBe(0);
  fs.remount(true);
  expect(fs.resize(65_536)).toBe(-30);
  expect(() => fs.grow()).toThrow(Ext4Error);
});

test("a disk that fails while the volume grows stops all writing, and what it holds is sound", () => {
  const base = new MemoryDisk(200 * MIB);
  mkfs(base, { uuid: "0d15ea5e-0000-4000-8000-000000000000", now: now(), size: 16 * MIB });
  let failures = 0;
  for (let good = 0; good < 120; good += 3) {
    const disk = new OverlayDisk(base);
    let left = Number.POSITIVE_INFINITY;
    const failing: BlockDevice = {
      size: disk.size,
      blockSize: disk.blockSize,
      readOnly: false,
      readBlock: (block, bytes) => disk.readBlock(block, bytes),
      writeBlock: (block, bytes) => (left-- > 0 ? disk.writeBlock(block, bytes) : -5),
      flush: () => disk.flush(),
    };
    const fs = new Ext4FileSystem(failing, { now });
    write(fs, "f", MIB, 1);
    left = good;
    const status = fs.resize(204_800);
    if (status !== 0) {
      failures++;
      expect(status).toBe(-5);
      expect(fs.root().create("g", { mode: 0o100644, uid: 0, gid: 0, rdev: 0 })).toBeLessThan(0);
    }
    left = Number.POSITIVE_INFINITY;
    const again = new Ext4FileSystem(disk, { now });
    expect(again.unmount()).toBe(0);
    expect(check(disk).problems).toEqual([]);
  }
  expect(failures).toBeGreaterThan(10);
});

/** The disk after the first `count` events, less some of the writes behind the last flush among them. */
function diskAt(base: BlockDevice, events: readonly RecordedEvent[], count: number, random: Random): OverlayDisk {
  const disk = new OverlayDisk(base);
  let lastFlush = 0;
  for (let i = 0; i < count; i++) if (events[i].kind === "flush") lastFlush = i;
  for (let i = 0; i < count; i++) {
    const event = events[i];
    if (event.kind === "write" && (i < lastFlush || random.below(3) > 0)) disk.writeBlock(event.blockId, event.data);
  }
  return disk;
}

test.skipIf(!hasE2fsprogs).each<[string, number, string[]]>([
  ["1 KiB blocks", 320 * MIB, ["-b", "1024"]],
  ["1 KiB blocks, on to meta_bg", 520 * MIB, ["-b", "1024", "-E", "resize=204800"]],
  ["4 KiB blocks", 2600 * MIB, ["-b", "4096"]],
  ["bigalloc", 2600 * MIB, ["-b", "4096", "-O", "bigalloc", "-C", "16384"]],
])("a power failure while it grows leaves a sound volume: %s", (_name, to, args) => {
  const path = work.file("crash");
  makeImage(path, 24 * MIB, args);
  const base = new MemoryDisk(to);
  expect(base.writeBlock(0, new Uint8Array(readFileSync(path)))).toBe(0);
  const recorder = new RecordingDisk(new OverlayDisk(base));
  const fs = new Ext4FileSystem(recorder, { now });
  write(fs, "before", 3 * MIB, 1);
  fs.sync();
  const start = recorder.events.length;
  fs.grow();
  const end = recorder.events.length;
  write(fs, "after", 30 * MIB, 2);
  fs.sync();
  const random = new Random(7);
  const sizes = new Set<number>();
  for (let point = 0; point < POINTS; point++) {
    const count = start + Math.floor(((recorder.events.length - start) * point) / (POINTS - 1));
    const disk = diskAt(base, recorder.events, count, random);
    if (point % 4 === 0) {
      saveImage(disk, path);
      const fixed = run("e2fsck", ["-fy", "-E", "journal_only", path]);
      expect(fixed.output).not.toMatch(/error|corrupt/i);
      expect(fsckProblems(path)).toBeUndefined();
    }
    const found = new Ext4FileSystem(disk, { now });
    sizes.add(found.volume.geometry.blocksCount);
    expect(holds(found, "before", 3 * MIB, 1)).toBe(true);
    if (count >= end) expect(found.volume.geometry.blocksCount).toBe((to / fs.statfs().blockSize) | 0);
    found.grow();
    expect(found.unmount()).toBe(0);
    expect(check(disk).problems).toEqual([]);
  }
  expect(sizes.size).toBeGreaterThan(1);
});
