/// <reference types="node" />
/** What mkfs makes: accepted by e2fsck, like what mke2fs makes, the same every time, and usable. */
import { MemoryDisk } from "blockdev-disk";
import { afterAll, expect, test, vi } from "vitest";
import { Ext4Error, Ext4FileSystem, type Ext4Inode, mkfs, type MkfsOptions, populate } from "../src/index.ts";
import { fsckProblems, hasE2fsprogs, makeImage, run, saveImage, Workspace } from "./e2fsprogs.ts";

vi.setConfig({ testTimeout: 900_000 }); // a busy machine is no failure

const workspace = new Workspace();
afterAll(() => workspace.remove());

const UUID = "0d15ea5e-0000-4000-8000-0123456789ab";
const MIB = 1 << 20;

const CASES: readonly [size: number, options: Partial<MkfsOptions>, mke2fs: readonly string[]][] = [
  [1 * MIB, {}, []],
  [16 * MIB, {}, []],
  [64 * MIB, { blockSize: 4096 }, ["-b", "4096"]],
  [200 * MIB, { blockSize: 2048, label: "two" }, ["-b", "2048", "-L", "two"]],
  [600 * MIB, {}, []],
  [64 * MIB, { features: ["metadata_csum_seed", "orphan_file"] }, ["-O", "metadata_csum_seed,orphan_file"]],
  [64 * MIB, { features: ["^has_journal"] }, ["-O", "^has_journal"]],
  [64 * MIB, { features: ["^metadata_csum"] }, ["-O", "^metadata_csum"]],
  [64 * MIB, { features: ["^64bit", "^resize_inode"] }, ["-O", "^64bit,^resize_inode"]],
  [64 * MIB, { features: ["^flex_bg"] }, ["-O", "^flex_bg"]],
  [64 * MIB, { inodeSize: 128 }, ["-I", "128"]],
  [64 * MIB, { inodeCount: 50_000, reservedPercent: 0 }, ["-N", "50000", "-m", "0"]],
  [3000 * MIB, { blockSize: 1024 }, ["-b", "1024"]],
  [64 * MIB, { type: "ext2" }, ["-t", "ext2"]],
  [64 * MIB, { type: "ext3" }, ["-t", "ext3"]],
  [700 * MIB, { type: "ext3", inodeSize: 128 }, ["-t", "ext3", "-I", "128"]],
  [64 * MIB, { type: "ext3", features: ["uninit_bg"] }, ["-t", "ext3", "-O", "uninit_bg"]],
  [64 * MIB, { features: ["^extent", "^64bit"] }, ["-O", "^extent,^64bit"]],
  [64 * MIB, { features: ["inline_data", "large_dir", "ea_inode"] }, ["-O", "inline_data,large_dir,ea_inode"]],
  [300 * MIB, { features: ["meta_bg", "^resize_inode"] }, ["-O", "meta_bg,^resize_inode"]],
  [300 * MIB, { features: ["sparse_super2"] }, ["-O", "sparse_super2"]],
  [64 * MIB, { features: ["quota", "project"] }, ["-O", "quota,project"]],
  [64 * MIB, { blockSize: 4096, features: ["quota"] }, ["-b", "4096", "-O", "quota"]],
  [64 * MIB, { features: ["mmp", "verity", "stable_inodes"] }, ["-O", "mmp,verity,stable_inodes"]],
  [64 * MIB, { features: ["fast_commit"] }, ["-O", "fast_commit"]],
  [64 * MIB, { features: ["casefold"] }, ["-O", "casefold"]],
  [64 * MIB, { encoding: "utf8", encodingFlags: ["strict"] }, ["-E", "encoding=utf8,encoding_flags=strict"]],
  [200 * MIB, { blockSize: 4096, features: ["bigalloc"] }, ["-b", "4096", "-O", "bigalloc"]],
  [200 * MIB, { features: ["bigalloc"], clusterSize: 8192 }, ["-O", "bigalloc", "-C", "8192"]],
  [1 * MIB, { features: ["fast_commit", "orphan_file"] }, []],
  [64 * MIB, { blocksPerGroup: 2048, blockSize: 2048 }, ["-g", "2048", "-b", "2048"]],
  [
    64 * MIB,
    { blockSize: 4096, lastMounted: "/mnt/x", errors: "remount-ro", stride: 16, stripeWidth: 64 },
    ["-b", "4096", "-M", "/mnt/x", "-e", "remount-ro", "-E", "stride=16,stripe_width=64"],
  ],
];

function make(size: number, options: Partial<MkfsOptions>): MemoryDisk {
  const disk = new MemoryDisk(size);
  mkfs(disk, { uuid: UUID, assumeStoragePrezeroed: true, now: { sec: 1_700_000_000, nsec: 0 }, ...options });
  return disk;
}

test.skipIf(!hasE2fsprogs).each(CASES)("e2fsck accepts a volume of %i bytes with %o", (size, options) => {
  const path = workspace.file("made.img");
  saveImage(make(size, options), path);
  expect(fsckProblems(path)).toBeUndefined();
});

const COMPARED = [
  "Filesystem features",
  "Filesystem flags",
  "Default mount options",
  "Filesystem state",
  "Inode count",
  "Block count",
  "Reserved block count",
  "First block",
  "Block size",
  "Group descriptor size",
  "Reserved GDT blocks",
  "Blocks per group",
  "Inodes per group",
  "Inode blocks per group",
  "Flex block group size",
  "Maximum mount count",
  "First inode",
  "Inode size",
  "Required extra isize",
  "Desired extra isize",
  "Journal inode",
  "Default directory hash",
  "Journal backup",
  "Checksum type",
  "Total journal blocks",
  "Free inodes",
  "Filesystem volume name",
  "Last mounted on",
  "Errors behavior",
  "RAID stride",
  "RAID stripe width",
  "Cluster size",
  "Clusters per group",
  "User quota inode",
  "Group quota inode",
  "Project quota inode",
  "Fast commit length",
  "Backup block groups",
  "First meta block group",
  "MMP update interval",
  "Character encoding",
];

test.skipIf(!hasE2fsprogs).each(CASES)(
  "dumpe2fs tells the same of ours as of mke2fs's: %i bytes, %o",
  (size, options, args) => {
    const describe = (path: string): Record<string, string> => {
      const lines = run("dumpe2fs", ["-h", path])
        .output.split("\n")
        .map((line) => line.split(/:\s+/, 2));
      return Object.fromEntries(lines.filter(([key]) => COMPARED.includes(key ?? "")));
    };
    const ours = workspace.file("ours.img");
    const theirs = workspace.file("theirs.img");
    saveImage(make(size, options), ours);
    makeImage(theirs, size, args);
    expect(describe(ours)).toEqual(describe(theirs));
  },
);

test("the same options give the same bytes, also with files in it", () => {
  const build = (): Uint8Array => {
    const disk = make(16 * MIB, {});
    const fs = new Ext4FileSystem(disk, { unjournaled: true, now: () => ({ sec: 1_700_000_000, nsec: 0 }) });
    populate(fs, [
      { path: "bin/sh", type: "file", mode: 0o755, data: new Uint8Array(5000).fill(1) },
      { path: "etc", type: "directory", mode: 0o700 },
      { path: "sh", type: "symlink", target: "bin/sh" },
    ]);
    expect(fs.unmount()).toBe(0);
    return disk.toBytes();
  };
  expect(Buffer.compare(build(), build())).toBe(0);
});

test("a device that is not zeroed beforehand gives the same volume", () => {
  const dirty = MemoryDisk.over(new Uint8Array(16 * MIB).fill(0xa5));
  mkfs(dirty, { uuid: UUID });
  const fs = new Ext4FileSystem(dirty);
  expect(fs.rootDir().ls()).toEqual(["lost+found"]);
  for (let i = 0; i < 3000; i++)
    expect(typeof fs.root().create(`f${i}`, { mode: 0o100644, uid: 0, gid: 0, rdev: 0 })).toBe("object");
  expect(fs.unmount()).toBe(0);
  if (hasE2fsprogs) {
    const path = workspace.file("dirty.img");
    saveImage(dirty, path);
    expect(fsckProblems(path)).toBeUndefined();
  }
});

test("an image is filled from entries: parents, hard links, devices, times, attributes, replaced files", () => {
  const disk = make(32 * MIB, { blockSize: 4096 });
  const fs = new Ext4FileSystem(disk, { unjournaled: true });
  const mtime = { sec: 1_600_000_000, nsec: 5 };
  const result = populate(fs, [
    { path: "./usr/lib/a", type: "file", data: [new Uint8Array(3000).fill(1), new Uint8Array(3000).fill(2)], mtime },
    { path: "/usr/lib/b", type: "hardlink", target: "usr/lib/a" },
    { path: "usr/", type: "directory", mode: 0o711, uid: 5, mtime },
    { path: "lib", type: "symlink", target: "usr/lib" },
    { path: "lib/c", type: "file", data: new Uint8Array(1) },
    { path: "lib/c", type: "file", data: new Uint8Array(2), xattrs: { "security.capability": Uint8Array.of(1, 2) } },
    { path: "dev/null", type: "char", mode: 0o666, rdev: 0x103 },
  ]);
  expect(result).toEqual({ files: 3, directories: 3, others: 3, bytes: 6003 });
  const usr = fs.root().lookup("usr") as Ext4Inode;
  expect([usr.mode & 0o777, usr.uid]).toEqual([0o711, 5]);
  const c = fs.rootDir().lookup("usr/lib/c")?.inode() as Ext4Inode;
  expect([c.size, c.getxattr("security.capability")]).toEqual([2, Uint8Array.of(1, 2)]);
  const b = fs.rootDir().lookup("usr/lib/b")?.inode() as Ext4Inode;
  expect(b.nlink).toBe(2);
  expect(fs.unmount()).toBe(0);
  if (hasE2fsprogs) {
    const path = workspace.file("filled.img");
    saveImage(disk, path);
    expect(fsckProblems(path)).toBeUndefined();
  }
});

test("a volume that is too small for what it gets is an Ext4Error that names the path", () => {
  const fs = new Ext4FileSystem(make(1 * MIB, {}));
  const fill = (): unknown => populate(fs, [{ path: "big", type: "file", data: new Uint8Array(4 * MIB) }]);
  expect(fill).toThrow(Ext4Error);
  expect(fill).toThrow("/big: the volume is full");
});

test("options that make no file system are refused", () => {
  const disk = new MemoryDisk(16 * MIB);
  expect(() => mkfs(disk, {})).toThrow(TypeError);
  expect(() => mkfs(disk, { uuid: UUID, blockSize: 3000 })).toThrow(RangeError);
  expect(() => mkfs(disk, { uuid: UUID, features: ["encrypt"] })).toThrow("cannot make encrypt");
  expect(() => mkfs(disk, { uuid: UUID, encodingFlags: ["strict"] })).toThrow('"encodingFlags" needs "encoding"');
  expect(() => mkfs(disk, { uuid: UUID, features: ["nonsense"] })).toThrow("nonsense is unknown");
  expect(() => mkfs(disk, { uuid: "short" })).toThrow(RangeError);
  expect(() => mkfs(new MemoryDisk(32 << 10), { uuid: UUID })).toThrow(RangeError);
});

test.skipIf(!hasE2fsprogs).each(CASES)(
  "a volume of %i bytes made with %o holds files, and e2fsck agrees",
  (size, options) => {
    const disk = make(size, options);
    const fs = new Ext4FileSystem(disk, { now: () => ({ sec: 1_700_000_000, nsec: 0 }) });
    const dir = fs.root().mkdir("d", { mode: 0o755, uid: 1, gid: 2, rdev: 0 }) as Ext4Inode;
    for (let i = 0; i < 60; i++) {
      const file = dir.create(`file ${i}`, { mode: 0o100644, uid: i, gid: 2, rdev: 0 });
      if (typeof file === "number") break; // the smallest volume is full
      file.writeAt(0, new Uint8Array(i * 300).fill(i));
    }
    expect(fs.unmount()).toBe(0);
    const path = workspace.file("filled.img");
    saveImage(disk, path);
    expect(fsckProblems(path)).toBeUndefined();
  },
);

test.skipIf(!hasE2fsprogs)(
  "with lazy_itable_init the tables of used groups are zeroed when inodes come into use",
  () => {
    const disk = MemoryDisk.over(new Uint8Array(64 * MIB).fill(0xa5));
    mkfs(disk, { uuid: UUID, lazyItableInit: true, lazyJournalInit: true });
    const fs = new Ext4FileSystem(disk);
    for (let i = 0; i < 3000; i++)
      expect(typeof fs.root().create(`f${i}`, { mode: 0o100644, uid: 0, gid: 0, rdev: 0 })).toBe("object");
    expect(fs.unmount()).toBe(0);
    const path = workspace.file("lazy.img");
    saveImage(disk, path);
    expect(fsckProblems(path)).toBeUndefined();
  },
);
