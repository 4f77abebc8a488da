/// <reference types="node" />
/** Sizes at which structures change shape: deep extent trees, link counts, long names, full volumes, large offsets. */
import { MemoryDisk } from "blockdev-disk";
import { afterAll, expect, test } from "vitest";
import { mapBlocks } from "../src/extents/map.ts";
import { Ext4FileSystem, type Ext4Inode, mkfs, type MkfsOptions } from "../src/index.ts";
import { fsckProblems, hasE2fsprogs, saveImage, Workspace } from "./e2fsprogs.ts";

const workspace = new Workspace();
afterAll(() => workspace.remove());
const FILE = { mode: 0o100644, uid: 0, gid: 0, rdev: 0 };
const DIR = { mode: 0o755, uid: 0, gid: 0, rdev: 0 };

function volume(size: number, options: Partial<MkfsOptions> = {}): { disk: MemoryDisk; fs: Ext4FileSystem } {
  const disk = new MemoryDisk(size);
  mkfs(disk, { uuid: "0d15ea5e-0000-4000-8000-000000000007", assumeStoragePrezeroed: true, ...options });
  return { disk, fs: new Ext4FileSystem(disk) };
}

function expectClean(disk: MemoryDisk, fs: Ext4FileSystem): void {
  expect(fs.unmount()).toBe(0);
  if (!hasE2fsprogs) return;
  const path = workspace.file("limits.img");
  saveImage(disk, path);
  expect(fsckProblems(path)).toBeUndefined();
}

test("a file of 30,000 separate blocks has a deep extent tree that grows, reads, is punched and shrinks again", () => {
  const { disk, fs } = volume(64 << 20, { blockSize: 1024 });
  const file = fs.root().create("holes", FILE) as Ext4Inode;
  const block = new Uint8Array(1024);
  // In an order that splits nodes in the middle as well as at the end.
  for (let i = 0; i < 30_000; i++) {
    const at = (i * 7919) % 30_000;
    block.fill(at & 0xff);
    expect(file.writeAt(at * 2048, block)).toBe(1024);
  }
  const depth = (): number => (fs.volume.inode(file.ino) as { view: DataView }).view.getUint16(0x28 + 6, true);
  expect(depth()).toBe(3);
  for (let at = 0; at < 30_000; at += 373) {
    expect(file.readAt(at * 2048, block)).toBe(1024);
    expect(block[500]).toBe(at & 0xff);
    expect(file.seekData(at * 2048 + 1024, true)).toBe((at + 1) * 2048);
  }
  expect(fs.sync()).toBe(0);
  expect(file.fallocate(3, 2048 * 5000, 2048 * 10_000)).toBe(0);
  expect(file.seekData(2048 * 5000, true)).toBe(2048 * 15_000);
  expect(file.truncate(2048 * 3)).toBe(0);
  expect(depth()).toBe(0);
  expectClean(disk, fs);
});

test("writing into reserved space turns it into data piece by piece", () => {
  const { disk, fs } = volume(32 << 20, { blockSize: 1024 });
  const file = fs.root().create("reserved", FILE) as Ext4Inode;
  expect(file.fallocate(0, 0, 2_000_000)).toBe(0);
  expect([file.size, file.seekData(0, true)]).toEqual([2_000_000, -6]);
  const data = new Uint8Array(700).fill(5);
  for (let i = 0; i < 900; i++) expect(file.writeAt(((i * 389) % 1900) * 1024, data)).toBe(700);
  const buf = new Uint8Array(1024);
  for (let i = 0; i < 900; i += 50) {
    expect(file.readAt(((i * 389) % 1900) * 1024, buf)).toBe(1024);
    expect([buf[0], buf[699], buf[700]]).toEqual([5, 5, 0]);
  }
  expectClean(disk, fs);
});

test("a directory with more than 65,000 subdirectories has link count 1, and e2fsck agrees", () => {
  const { disk, fs } = volume(400 << 20, { blockSize: 1024, inodeCount: 70_000 });
  const parent = fs.root().mkdir("p", DIR) as Ext4Inode;
  for (let i = 0; i < 64_998; i++) if (typeof parent.mkdir(`d${i}`, DIR) === "number") throw new Error(`mkdir ${i}`);
  expect(parent.nlink).toBe(65_000);
  parent.mkdir("one more", DIR);
  expect(parent.nlink).toBe(1);
  expect(parent.rmdir("d0")).toBe(0);
  expect(parent.nlink).toBe(1);
  expectClean(disk, fs);
}, 130_000);

test("a file can have 65,000 names, not more", () => {
  const { fs } = volume(32 << 20, { blockSize: 4096 });
  const file = fs.root().create("f", FILE) as Ext4Inode;
  const dir = fs.root().mkdir("names", DIR) as Ext4Inode;
  for (let i = 1; i < 65_000; i++) if (dir.link(`n${i}`, file) !== 0) throw new Error(`link ${i}`);
  expect(dir.link("too many", file)).toBe(-31);
  expect(fs.unmount()).toBe(0);
});

test("names have up to 255 bytes, also when they are not UTF-8", () => {
  const { disk, fs } = volume(16 << 20);
  const root = fs.root();
  expect(typeof root.create("ä".repeat(127), FILE)).toBe("object");
  expect(root.create("ä".repeat(128), FILE)).toBe(-36);
  expect(root.lookup("x".repeat(256))).toBe(-36);
  expect(typeof root.create("bad \udcff byte", FILE)).toBe("object");
  expect(root.lookup("bad \udcff byte")).toBe(fs.rootDir().lookup("bad \udcff byte")?.inode());
  expectClean(disk, fs);
});

test("a file may end where 2^32 - 1 blocks end, not later", () => {
  const { disk, fs } = volume(16 << 20, { blockSize: 1024 });
  const file = fs.root().create("far", FILE) as Ext4Inode;
  const limit = (2 ** 32 - 1) * 1024;
  expect(file.writeAt(limit - 5, new Uint8Array(10).fill(1))).toBe(5);
  expect(file.size).toBe(limit);
  expect(file.writeAt(limit, new Uint8Array(1))).toBe(-27);
  expect(file.truncate(limit + 1)).toBe(-27);
  expect(file.seekData(0, true)).toBe(limit - 1024);
  expectClean(disk, fs);
});

test("a full volume says ENOSPC, loses nothing, and is usable when something is removed", () => {
  const { disk, fs } = volume(8 << 20, { blockSize: 1024, inodeCount: 512 });
  const root = fs.root();
  let made = 0;
  let result: Ext4Inode | number = 0;
  for (; typeof (result = root.create(`f${made}`, FILE)) !== "number"; made++) result.writeAt(0, new Uint8Array(100));
  expect(result).toBe(-28);
  expect(root.mkdir("d", DIR)).toBe(-28);
  expect(root.symlink("s", "x", FILE)).toBe(-28);
  expect(root.unlink("f0")).toBe(0);
  const big = root.create("big", FILE) as Ext4Inode;
  const data = new Uint8Array(10 << 20).fill(9);
  const count = big.writeAt(0, data);
  expect(count).toBeGreaterThan(1 << 20);
  expect(big.writeAt(count, data)).toBe(-28);
  expect(root.unlink("f1")).toBe(0);
  expect(root.unlink("f2")).toBe(0);
  // Two inodes and two blocks are free.
  expect([typeof root.mkdir("d", DIR), typeof root.create("e", FILE)]).toEqual(["object", "object"]);
  expect((root.lookup("e") as Ext4Inode).writeAt(0, new Uint8Array(2000))).toBe(1024);
  expect(big.truncate(1000)).toBe(0);
  expect((root.lookup("e") as Ext4Inode).writeAt(0, new Uint8Array(2000))).toBe(2000);
  expectClean(disk, fs);
});

test("times keep nanoseconds from 1901 to 2446", () => {
  const { fs } = volume(16 << 20);
  const file = fs.root().create("t", FILE) as Ext4Inode;
  const attributes = { atime: { sec: 0, nsec: 0 }, mtime: { sec: 0, nsec: 0 } };
  for (const sec of [-(2 ** 31), -1, 0, 2 ** 31, 2 ** 32 + 5, 3 * 2 ** 32 + 2 ** 31 - 1]) {
    expect(file.setattr({ mtime: { sec, nsec: 999_999_999 } })).toBe(0);
    const core = fs.volume.inode(file.ino) as { readTime(which: "mtime", out: object): boolean };
    core.readTime("mtime", attributes.mtime);
    expect(attributes.mtime).toEqual({ sec, nsec: 999_999_999 });
  }
});

test("with large_dir the index of a directory grows to three levels, and e2fsck agrees", () => {
  const { disk, fs } = volume(128 << 20, { blockSize: 1024, inodeCount: 128, features: ["large_dir"] });
  const dir = fs.root().mkdir("d", DIR) as Ext4Inode;
  const file = fs.root().create("f", FILE) as Ext4Inode;
  const tail = "x".repeat(240);
  let made = 0;
  for (; made < 50_000 && dir.link(`${made}-${tail}`, file) === 0; made++);
  expect(made).toBe(50_000);
  const root = fs.volume.inode(dir.ino);
  if (typeof root === "number") throw new Error("no directory");
  const map = { block: 0, count: 0, unwritten: false };
  expect(mapBlocks(fs.volume, root, 0, 1, map)).toBe(0);
  const block = fs.volume.cache.get(map.block);
  expect(typeof block === "number" ? -1 : block.view.getUint8(0x1e)).toBe(2); // levels below the root
  for (let i = 0; i < made; i += 997) expect(dir.lookup(`${i}-${tail}`)).toBe(file);
  let listed = 0;
  expect(dir.readdir(0, () => ++listed > 0)).toBe(0);
  expect(listed).toBe(made + 2);
  for (let i = 0; i < made; i += 2) if (dir.unlink(`${i}-${tail}`) !== 0) throw new Error(`unlink ${i}`);
  expectClean(disk, fs);
}, 60_000);
