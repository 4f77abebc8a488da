/// <reference types="node" />
/** What the VFS asks of an inode besides names and data: access times, nameless files, flags, projects, extents, discard. */
import { MemoryDisk } from "blockdev-disk";
import { type Credentials, checkPermission } from "vfs-inode";
import { afterAll, expect, test } from "vitest";
import { Ext4FileSystem, type Ext4Inode, mkfs, parseMountOptions, type VolumeOptions } from "../src/index.ts";
import { fsckProblems, hasE2fsprogs, makeImage, run, saveImage, Workspace } from "./e2fsprogs.ts";
import { FileDisk } from "blockdev-disk/node";

const workspace = new Workspace();
afterAll(() => workspace.remove());
const FILE = { mode: 0o100644, uid: 0, gid: 0, rdev: 0 };
const DIR = { ...FILE, mode: 0o755 };
const image = workspace.file("hooks.img");

function volume(options: VolumeOptions = {}): { disk: MemoryDisk; fs: Ext4FileSystem } {
  const disk = new MemoryDisk(32 << 20);
  mkfs(disk, { uuid: "0d15ea5e-0000-4000-8000-000000000007", blockSize: 1024, assumeStoragePrezeroed: true });
  return { disk, fs: new Ext4FileSystem(disk, { now: () => ({ sec: 1_700_000_000, nsec: 5 }), ...options }) };
}

function expectClean(disk: MemoryDisk, fs: Ext4FileSystem): void {
  expect(fs.unmount()).toBe(0);
  if (!hasE2fsprogs) return;
  saveImage(disk, image);
  expect(fsckProblems(image)).toBeUndefined();
}

function accessTime(inode: Ext4Inode): number {
  const out = { atime: { sec: 0, nsec: 0 }, mtime: { sec: 0, nsec: 0 }, ctime: { sec: 0, nsec: 0 } };
  inode.getattr(out as never);
  return out.atime.sec;
}

test("an access time moves without the change time, and not on a file with the noatime flag", () => {
  const { disk, fs } = volume();
  const file = fs.root().create("f", FILE) as Ext4Inode;
  file.touchAtime(1_800_000_000, 1);
  expect(accessTime(file)).toBe(1_800_000_000);
  expect(file.setInodeFlags(file.inodeFlags() | 0x80)).toBe(0);
  file.touchAtime(1_900_000_000, 1);
  expect(accessTime(file)).toBe(1_800_000_000);
  expectClean(disk, fs);
});

test("with lazytime an access time writes nothing by itself, and is on the medium after a sync", () => {
  const { disk, fs } = volume({ lazyTime: true });
  const file = fs.root().create("f", FILE) as Ext4Inode;
  expect(fs.sync()).toBe(0);
  file.touchAtime(1_800_000_000, 1);
  expect(fs.volume.hasChanges).toBe(false);
  expect(fs.mountOptions()).toBe("lazytime");
  expect(file.sync(true)).toBe(0);
  expect(fs.volume.hasChanges).toBe(false);
  const other = fs.root().create("g", FILE) as Ext4Inode;
  other.touchAtime(1_800_000_000, 1);
  expect([other.sync(false), fs.volume.hasChanges]).toEqual([0, false]);
  expect(fs.sync()).toBe(0);
  expect(fs.unmount()).toBe(0);
  const again = new Ext4FileSystem(disk, { readOnly: true });
  expect(accessTime(again.root().lookup("f") as Ext4Inode)).toBe(1_800_000_000);
});

test("a file without a name can be named once, else it is gone when its last user leaves", () => {
  const { disk, fs } = volume();
  const free = fs.statfs();
  const made = fs.root().tmpfile(FILE) as Ext4Inode;
  made.ref();
  expect(made.nlink).toBe(0);
  expect(made.writeAt(0, new Uint8Array(5000))).toBe(5000);
  expect(fs.root().link("named", made)).toBe(0);
  expect(made.nlink).toBe(1);
  expect(fs.root().unlink("named")).toBe(0);
  expect(fs.root().link("again", made)).toBe(-2);
  made.unref();
  const lost = fs.root().tmpfile(FILE) as Ext4Inode;
  lost.ref();
  lost.writeAt(0, new Uint8Array(5000));
  lost.unref();
  expect(fs.statfs().blocksFree).toBe(free.blocksFree);
  expect(fs.statfs().filesFree).toBe(free.filesFree);
  expectClean(disk, fs);
});

test("immutable and append-only files refuse what would change them, and flags pass to what is made in a directory", () => {
  const { disk, fs } = volume();
  const dir = fs.root().mkdir("d", DIR) as Ext4Inode;
  const file = dir.create("f", FILE) as Ext4Inode;
  expect(file.setInodeFlags(0x10)).toBe(0); // i
  expect([file.writeAt(0, new Uint8Array(1)), file.truncate(0), dir.unlink("f"), dir.link("g", file)]).toEqual([
    -1, -1, -1, -1,
  ]);
  expect(file.setInodeFlags(0x20)).toBe(0); // a
  expect([file.writeAt(0, new Uint8Array(1)), file.truncate(0), file.fallocate(8, 0, 1024)]).toEqual([1, -1, -1]);
  expect(file.setInodeFlags(0)).toBe(0);
  expect(dir.unlink("f")).toBe(0);
  expect(dir.setInodeFlags(0x40 | 0x80 | 0x10000)).toBe(0); // d, A, D
  const child = dir.create("c", FILE) as Ext4Inode;
  expect(child.inodeFlags() & 0x100c0).toBe(0xc0);
  expect((dir.mkdir("sub", DIR) as Ext4Inode).inodeFlags() & 0x100c0).toBe(0x100c0);
  expect(dir.setInodeFlags(0x4000_0000)).toBe(-95);
  expect(child.inodeFlags() & 0x80000).toBe(0x80000); // e
  expectClean(disk, fs);
});

test.skipIf(!hasE2fsprogs)("lsattr's flags and projects set by us are read by debugfs", () => {
  makeImage(image, 16 << 20, ["-O", "project"]);
  const disk = new FileDisk(image);
  const fs = new Ext4FileSystem(disk, { now: () => ({ sec: 1_700_000_000, nsec: 0 }) });
  const dir = fs.root().mkdir("d", DIR) as Ext4Inode;
  expect(dir.setProjectId(77)).toBe(0);
  expect(dir.setInodeFlags(dir.inodeFlags() | 0x2000_0000)).toBe(0); // P
  const file = dir.create("f", FILE) as Ext4Inode;
  expect(file.projectId()).toBe(77);
  expect(fs.root().rename("d", fs.root(), "e", 0)).toBe(0);
  const other = fs.root().create("other", FILE) as Ext4Inode;
  expect(dir.link("other", other)).toBe(-18);
  expect(fs.root().rename("other", dir, "other", 0)).toBe(-18);
  expect(dir.rename("f", fs.root(), "f", 0)).toBe(0);
  expect(fs.unmount()).toBe(0);
  disk.close();
  expect(run("debugfs", ["-R", "stat /f", image]).output).toContain("Project:    77");
  expect(fsckProblems(image)).toBeUndefined();
});

test.skipIf(!hasE2fsprogs)("the extents of a file are where debugfs finds them", () => {
  for (const type of ["ext4", "ext2"]) {
    makeImage(image, 16 << 20, ["-t", type, "-b", "1024"]);
    const disk = new FileDisk(image);
    const fs = new Ext4FileSystem(disk);
    const file = fs.root().create("f", FILE) as Ext4Inode;
    for (const at of [0, 3, 4, 5, 400, 401]) expect(file.writeAt(at * 1024, new Uint8Array(1024).fill(1))).toBe(1024);
    if (type === "ext4") expect(file.fallocate(1, 500 * 1024, 5000)).toBe(0);
    const found: number[][] = [];
    const list = (start: number, length: number): number[][] => {
      found.length = 0;
      const emit = (...extent: number[]): boolean => found.push(extent) > 0;
      expect(file.mapExtents(start, length, false, emit)).toBe(0);
      return found.map(([logical = 0, , byteLength = 0, flags = 0]) => [logical / 1024, byteLength / 1024, flags]);
    };
    const merged = type === "ext2" ? 0x1000 : 0;
    const tail =
      type === "ext2"
        ? [[400, 2, 0x1001]]
        : [
            [400, 2, 0],
            [500, 5, 0x801],
          ];
    expect(list(0, 2 ** 40)).toEqual([[0, 1, merged], [3, 3, merged], ...tail]);
    const physical = found.flatMap(([, at = 0, length = 0, flags = 0]) =>
      (flags & 0x800) !== 0 ? [] : Array.from({ length: length / 1024 }, (_, i) => at / 1024 + i),
    );
    expect(list(4 * 1024, 1024)).toEqual([[4, 2, merged]]);
    expect(list(10 * 1024, 1024)).toEqual([]);
    expect(fs.unmount()).toBe(0);
    disk.close();
    const blocks = run("debugfs", ["-R", "blocks /f", image]).stdout.match(/\d+/g)?.map(Number) ?? [];
    expect(physical.every((block) => blocks.includes(block))).toBe(true);
  }
});

test("trim discards what is free and nothing else, also blocks freed just now", () => {
  const { disk, fs } = volume();
  const keep = fs.root().create("keep", FILE) as Ext4Inode;
  const data = new Uint8Array(1 << 20).fill(7);
  expect(keep.writeAt(0, data)).toBe(data.length);
  expect((fs.root().create("drop", FILE) as Ext4Inode).writeAt(0, data)).toBe(data.length);
  expect(fs.sync()).toBe(0);
  expect(fs.root().unlink("drop")).toBe(0);
  expect(fs.trim()).toBe(fs.statfs().blocksFree * 1024);
  expect(fs.trim(0, 1 << 30, 1 << 30)).toBe(0);
  const back = new Uint8Array(data.length);
  expect(keep.readAt(0, back)).toBe(back.length);
  expect(back).toEqual(data);
  expectClean(disk, fs);
});

test("mounted with discard, freed blocks are discarded once their transaction has committed", () => {
  const disk = new MemoryDisk(32 << 20);
  mkfs(disk, { uuid: "0d15ea5e-0000-4000-8000-000000000007", blockSize: 1024, assumeStoragePrezeroed: true });
  let discarded = 0;
  const watched = {
    size: disk.size,
    blockSize: 512,
    readOnly: false,
    readBlock: (id: number, buf: Uint8Array) => disk.readBlock(id, buf),
    writeBlock: (id: number, buf: Uint8Array) => disk.writeBlock(id, buf),
    flush: () => 0,
    discard: (_id: number, count: number) => {
      discarded += count * 512;
      return 0;
    },
  };
  const fs = new Ext4FileSystem(watched, { discard: true });
  (fs.root().create("f", FILE) as Ext4Inode).writeAt(0, new Uint8Array(100 << 10));
  expect(fs.root().unlink("f")).toBe(0);
  expect(discarded).toBe(0);
  expect(fs.sync()).toBe(0);
  expect(discarded).toBe(100 << 10);
  expectClean(disk, fs);
});

test("an access ACL decides for those it names, through the VFS's own check", () => {
  const { disk, fs } = volume();
  const file = fs.root().create("f", { ...FILE, mode: 0o100640, uid: 1, gid: 10 }) as Ext4Inode;
  const caller = (fsuid: number, groups: number[] = []): Credentials => ({
    fsuid,
    fsgid: 99,
    groups,
    hasCapability: () => false,
  });
  const may = (uid: number, groups: number[], mask: number): boolean =>
    checkPermission(file, caller(uid, groups), mask) === 0;
  expect([may(1, [], 6), may(2, [], 4), may(3, [20], 4), may(4, [10], 4)]).toEqual([true, false, false, true]);
  // user::rw- user:2:rw- group::r-- group:20:rw- mask::r-- other::---
  const entries = [
    [0x01, 6, -1],
    [0x02, 6, 2],
    [0x04, 4, -1],
    [0x08, 6, 20],
    [0x10, 4, -1],
    [0x20, 0, -1],
  ];
  const acl = new DataView(new ArrayBuffer(4 + entries.length * 8));
  acl.setUint32(0, 2, true);
  for (const [i, [tag = 0, perm = 0, id = 0]] of entries.entries()) {
    acl.setUint16(4 + i * 8, tag, true);
    acl.setUint16(6 + i * 8, perm, true);
    acl.setInt32(8 + i * 8, id, true);
  }
  expect(file.setxattr("system.posix_acl_access", new Uint8Array(acl.buffer), 0)).toBe(0);
  expect([may(1, [], 6), may(2, [], 4), may(2, [], 2), may(3, [20], 4), may(3, [20], 2)]).toEqual([
    true,
    true,
    false,
    true,
    false,
  ]);
  expect([may(5, [], 4), may(4, [10], 4), may(4, [10], 2)]).toEqual([false, true, false]);
  expect(file.setattr({ mode: 0o600 })).toBe(0); // the mask is empty now
  expect([may(2, [], 4), may(3, [20], 4)]).toEqual([false, false]);
  expect(file.setattr({ mode: 0o660 })).toBe(0);
  expect(may(2, [], 2)).toBe(true);
  expect(file.removexattr("system.posix_acl_access")).toBe(0);
  expect(may(2, [], 4)).toBe(false);
  expectClean(disk, fs);
});

test("mount options are read as mount(8) writes them, and shown as /proc/mounts shows them", () => {
  const parsed = parseMountOptions("acl,user_xattr,lazytime,discard,commit=30,data=journal,errors=remount-ro");
  expect(parsed).toEqual({
    options: { lazyTime: true, discard: true, commitInterval: 30, data: "journal" },
    unknown: undefined,
  });
  expect(volume(parsed.options).fs.mountOptions()).toBe("lazytime,discard,commit=30,data=journal");
  expect(volume(parseMountOptions("").options).fs.mountOptions()).toBe("");
  for (const wrong of ["nonsense", "data=strange", "commit=", "commit=x", "acl,uid=5"])
    expect(parseMountOptions(wrong).unknown).toBe(wrong.split(",").at(-1));
});
