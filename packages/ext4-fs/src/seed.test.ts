/** Walks through the seed's file system layer by name: Ext4FileSystem(disk), rootDir, and the Inode that takes paths. */
import { Disk, FaultyDisk, MemoryDisk, OverlayDisk } from "blockdev-disk";
import { EEXIST, EINVAL, EISDIR, ENOENT, ENOTDIR } from "linux-abi";
import { expect, test } from "vitest";
import { Ext4Error, Ext4FileSystem, mkfs, PathInode } from "./index.ts";

const base = new MemoryDisk(16 << 20);
mkfs(base, { uuid: "5eed5eed-0000-4000-8000-000000000000", assumeStoragePrezeroed: true });

/** A fresh file system with /dir/sub/file ("hello") and /link → dir. */
function mounted(): { root: PathInode; fs: Ext4FileSystem; disk: Disk } {
  const disk = new Disk(new OverlayDisk(base));
  const fs = new Ext4FileSystem(disk);
  const root = fs.rootDir();
  for (const [path, type] of [
    ["dir", "directory"],
    ["dir/sub", "directory"],
    ["dir/sub/file", "file"],
  ] as const) {
    expect(root.create(path, type)).toBeInstanceOf(PathInode);
  }
  expect(root.lookup("dir/sub/file")?.writeAt(0, new TextEncoder().encode("hello"))).toBe(5);
  fs.root().symlink("link", "dir", { mode: 0o777, uid: 0, gid: 0, rdev: 0 });
  return { root, fs, disk };
}

function text(inode: PathInode | undefined): string {
  const buf = new Uint8Array(100);
  const count = inode?.readAt(0, buf) ?? -ENOENT;
  return count < 0 ? `error ${count}` : new TextDecoder().decode(buf.subarray(0, count));
}

test("Ext4FileSystem.new(disk) mounts, root_dir gives the root directory", () => {
  const { root } = mounted();
  expect(root.path).toBe("/");
  expect(root.ls()).toEqual(expect.arrayContaining(["lost+found", "dir", "link"]));
});

test("a disk without a file system is an Ext4Error, not a panic", () => {
  expect(() => new Ext4FileSystem(new Disk(new MemoryDisk(1 << 20)))).toThrow(Ext4Error);
});

test("a device error while mounting is an Ext4Error of kind io", () => {
  const failing = new FaultyDisk(base, (operation) => operation === "read");
  expect(Ext4FileSystem.mount(failing)).toMatchObject({ kind: "io" });
});

test("ls gives names without trailing NULs and without the dots; on a file it is ENOTDIR", () => {
  const { root } = mounted();
  expect(root.lookup("dir")?.ls()).toEqual(["sub"]);
  expect(root.lookup("dir/sub/file")?.ls()).toBe(-ENOTDIR);
});

test("find finds a plain name in this directory, files and directories alike", () => {
  const { root } = mounted();
  const dir = root.find("dir") as PathInode;
  expect(dir.path).toBe("/dir");
  expect(dir.find("sub")?.find("file")?.path).toBe("/dir/sub/file");
  expect(dir.find("nothing")).toBeUndefined();
  expect(root.find("dir/sub")).toBeUndefined();
});

test("lookup finds directories too, and whole paths", () => {
  const { root } = mounted();
  expect(root.lookup("dir")?.path).toBe("/dir");
  expect(text(root.lookup("dir/sub/file"))).toBe("hello");
  expect(text(root.lookup("/dir/sub/file"))).toBe("hello");
  expect(root.lookup("dir/none")).toBeUndefined();
});

test('paths may hold "..", ".", "//" and trailing slashes; ".." stops at the root', () => {
  const { root } = mounted();
  const sub = root.lookup("dir/sub") as PathInode;
  expect(text(root.lookup(".//dir/./sub//file"))).toBe("hello");
  expect(sub.lookup("..")?.path).toBe("/dir");
  expect(text(sub.lookup("../../dir/sub/file"))).toBe("hello");
  expect(sub.lookup("../../../../dir")?.path).toBe("/dir");
  expect(root.lookup("dir/")?.path).toBe("/dir");
  expect(root.lookup("dir/sub/file/")).toBeUndefined();
});

test("a symbolic link in the middle of a path is followed", () => {
  const { root } = mounted();
  expect(text(root.lookup("link/sub/file"))).toBe("hello");
});

test("read_at and write_at work at any offset; a gap reads as zeros", () => {
  const { root } = mounted();
  const file = root.create("holes", "file") as PathInode;
  expect(file.writeAt(100_000, Uint8Array.of(1, 2, 3))).toBe(3);
  const buf = new Uint8Array(10).fill(9);
  expect(file.readAt(99_995, buf)).toBe(8);
  expect([...buf.subarray(0, 8)]).toEqual([0, 0, 0, 0, 0, 1, 2, 3]);
  expect(file.readAt(100_003, buf)).toBe(0);
  expect(root.readAt(0, buf)).toBe(-EISDIR);
});

test("truncate shortens and lengthens; what comes back reads as zeros", () => {
  const { root } = mounted();
  const file = root.lookup("dir/sub/file") as PathInode;
  expect(file.truncate(2)).toBe(0);
  expect(file.truncate(5)).toBe(0);
  expect(text(file)).toBe("he\0\0\0");
});

test("create makes files and directories; an existing file is emptied, an existing directory taken as it is", () => {
  const { root } = mounted();
  expect(root.create("new", "file")).toBeInstanceOf(PathInode);
  expect((root.create("dir/sub/file", "file") as PathInode).readAt(0, new Uint8Array(5))).toBe(0);
  expect(root.create("dir", "directory")).toBeInstanceOf(PathInode);
  expect(root.lookup("dir/sub")).toBeDefined();
  expect(root.create("dir", "file")).toBe(-EISDIR);
  expect(root.create("new", "directory")).toBe(-ENOTDIR);
  expect(root.create("none/file", "file")).toBe(-ENOENT);
  expect(root.create("", "file")).toBe(-EEXIST);
});

test("remove takes a file, or a directory with all that is below it", () => {
  const { root } = mounted();
  expect(root.remove("link")).toBe(0);
  expect(root.remove("dir")).toBe(0);
  expect(root.ls()).toEqual(["lost+found"]);
  expect(root.remove("dir")).toBe(-ENOENT);
  expect(root.remove("/")).toBe(-EINVAL);
});

test("parent is the directory above; a file and the root have none", () => {
  const { root } = mounted();
  expect(root.lookup("dir/sub")?.parent()?.path).toBe("/dir");
  expect(root.lookup("dir")?.parent()?.path).toBe("/");
  expect(root.lookup("dir/sub/file")?.parent()).toBeUndefined();
  expect(root.parent()).toBeUndefined();
});

test("rename moves across directories and refuses to move a directory below itself", () => {
  const { root } = mounted();
  expect(root.rename("dir/sub/file", "file")).toBe(0);
  expect(text(root.lookup("file"))).toBe("hello");
  expect(root.lookup("dir/sub/file")).toBeUndefined();
  expect(root.rename("dir", "dir/sub/dir")).toBe(-EINVAL);
  expect(root.rename("dir/sub", "sub")).toBe(0);
  expect(root.lookup("sub/..")?.path).toBe("/");
});

test("an inode object outlives neither its file nor blocks anything: there is nothing to close or drop", () => {
  const { root, fs, disk } = mounted();
  const file = root.lookup("dir/sub/file") as PathInode;
  expect(root.remove("dir/sub/file")).toBe(0);
  expect(file.readAt(0, new Uint8Array(5))).toBe(-ENOENT);
  expect(fs.unmount()).toBe(0);
  expect(fs.unmount()).toBe(0);
  expect(new Ext4FileSystem(disk).rootDir().lookup("dir/sub")?.ls()).toEqual([]);
});

test("the same file found by two paths is one inode, and stays so over a rename", () => {
  const { root } = mounted();
  const a = root.lookup("dir/sub/file")?.inode();
  expect(root.lookup("link/sub/../sub/file")?.inode()).toBe(a);
  root.rename("dir/sub/file", "elsewhere");
  expect(root.lookup("elsewhere")?.inode()).toBe(a);
});
