import {
  EEXIST,
  ENODATA,
  ENOENT,
  ENOSPC,
  ENOTEMPTY,
  ENXIO,
  EOPNOTSUPP,
  EPERM,
  EROFS,
  FALLOC_FL_COLLAPSE_RANGE,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  F_SEAL_GROW,
  F_SEAL_SHRINK,
  F_SEAL_WRITE,
  RENAME_EXCHANGE,
  S_IFCHR,
  S_IFDIR,
  S_IFREG,
  XATTR_CREATE,
  XATTR_REPLACE,
} from "linux-abi";
import { beforeEach, expect, test } from "vitest";
import { type Inode, type NewNode, newAttributes } from "../inode.ts";
import { Tmpfs, TmpfsInode } from "./index.ts";

const node = (mode: number, rdev = 0): NewNode => ({ mode, uid: 0, gid: 0, rdev });
let fs: Tmpfs;
let root: Inode;
const make = (name: string, directory: Inode = root): TmpfsInode =>
  directory.create(name, node(S_IFREG | 0o644)) as TmpfsInode;
const names = (directory: Inode, cookie = 0): string[] => {
  const found: string[] = [];
  directory.readdir(cookie, (name) => found.push(name) > 0);
  return found;
};

beforeEach(() => {
  fs = new Tmpfs({ size: 16 * 4096, inodes: 20 });
  root = fs.root();
});

test("sparse files take no frames for holes and SEEK_DATA finds the data", () => {
  const file = make("f");
  expect(file.writeAt(1 << 30, Uint8Array.of(1, 2))).toBe(2);
  const out = newAttributes();
  file.getattr(out);
  expect(out.size).toBe((1 << 30) + 2);
  expect(out.blocks512).toBe(8);
  expect(file.seekData(0, true)).toBe(1 << 30);
  expect(file.seekData(0, false)).toBe(0);
  expect(file.seekData(1 << 30, false)).toBe((1 << 30) + 2);
  expect(file.seekData((1 << 30) + 2, true)).toBe(-ENXIO);
  const buf = new Uint8Array(4).fill(9);
  expect(file.readAt((1 << 30) - 2, buf)).toBe(4);
  expect([...buf]).toEqual([0, 0, 1, 2]);
});

test("a full file system writes short and then answers ENOSPC; removal gives space back", () => {
  const file = make("f");
  expect(file.writeAt(0, new Uint8Array(20 * 4096))).toBe(16 * 4096);
  expect(file.writeAt(16 * 4096, new Uint8Array(1))).toBe(-ENOSPC);
  expect(fs.statfs().blocksFree).toBe(0);
  expect(root.unlink("f")).toBe(0);
  expect(fs.statfs().blocksFree).toBe(16);
});

test("inodes are limited too", () => {
  for (let i = 0; i < 19; i++) make(`f${i}`);
  expect(root.create("more", node(S_IFREG))).toBe(-ENOSPC);
  root.unlink("f3");
  expect(make("more")).toBeInstanceOf(TmpfsInode);
});

test("truncation clears what a later extension shows", () => {
  const file = make("f");
  file.writeAt(0, new Uint8Array(5000).fill(7));
  file.truncate(100);
  file.truncate(6000);
  const buf = new Uint8Array(6000);
  expect(file.readAt(0, buf)).toBe(6000);
  expect(buf.subarray(0, 100).every((b) => b === 7)).toBe(true);
  expect(buf.subarray(100).every((b) => b === 0)).toBe(true);
});

test("fallocate reserves, keeps the size on request, and punches holes", () => {
  const file = make("f");
  expect(file.fallocate(FALLOC_FL_KEEP_SIZE, 0, 8192)).toBe(0);
  expect(file.size).toBe(0);
  expect(fs.statfs().blocksFree).toBe(14);
  expect(file.fallocate(0, 0, 12000)).toBe(0);
  expect(file.size).toBe(12000);
  file.writeAt(0, new Uint8Array(12000).fill(1));
  expect(file.fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4000, 5000)).toBe(0);
  const buf = new Uint8Array(12000);
  file.readAt(0, buf);
  expect([buf[3999], buf[4000], buf[8999], buf[9000]]).toEqual([1, 0, 0, 1]);
  expect(file.fallocate(0, 0, 1 << 20)).toBe(-ENOSPC);
  expect(file.fallocate(FALLOC_FL_COLLAPSE_RANGE, 0, 4096)).toBe(-EOPNOTSUPP);
});

test("readdir cookies survive additions and removals", () => {
  for (const name of ["a", "b", "c", "d"]) make(name);
  let cookie = 0;
  const seen: string[] = [];
  root.readdir(0, (name, _ino, _type, next) => {
    if (seen.length === 4) return false;
    seen.push(name);
    cookie = next;
    return true;
  });
  expect(seen).toEqual([".", "..", "a", "b"]);
  root.unlink("a");
  root.unlink("c");
  make("e");
  expect(names(root, cookie)).toEqual(["d", "e"]);
});

test("directories count links and refuse removal while filled", () => {
  const a = root.mkdir("a", node(S_IFDIR | 0o755)) as Inode;
  const b = a.mkdir("b", node(S_IFDIR | 0o755)) as Inode;
  expect([root.nlink, a.nlink, b.nlink]).toEqual([3, 3, 2]);
  expect(root.rmdir("a")).toBe(-ENOTEMPTY);
  expect(a.rename("b", root, "b", 0)).toBe(0);
  expect([root.nlink, a.nlink]).toEqual([4, 2]);
  make("f", a);
  expect(root.rename("b", a, "f", RENAME_EXCHANGE)).toBe(0);
  expect([root.nlink, a.nlink]).toEqual([3, 3]);
  expect(root.rename("none", root, "x", 0)).toBe(-ENOENT);
  expect(root.mkdir("a", node(S_IFDIR))).toBe(-EEXIST);
});

test("device nodes keep their number", () => {
  const tty = root.create("tty", node(S_IFCHR | 0o666, 0x500)) as Inode;
  expect([tty.mode, tty.rdev]).toEqual([S_IFCHR | 0o666, 0x500]);
});

test("extended attributes", () => {
  const file = make("f");
  expect(file.setxattr("user.a", Uint8Array.of(1), XATTR_REPLACE)).toBe(-ENODATA);
  expect(file.setxattr("user.a", Uint8Array.of(1), 0)).toBe(0);
  expect(file.setxattr("user.a", Uint8Array.of(1), XATTR_CREATE)).toBe(-EEXIST);
  expect(file.setxattr("system.x", Uint8Array.of(1), 0)).toBe(-EOPNOTSUPP);
  expect(file.getxattr("user.a")).toEqual(Uint8Array.of(1));
  expect(file.listxattr()).toEqual(["user.a"]);
  expect(file.removexattr("user.a")).toBe(0);
  expect(file.getxattr("user.a")).toBe(-ENODATA);
});

test("seals hold", () => {
  const file = make("f");
  file.writeAt(0, new Uint8Array(10));
  file.seals = F_SEAL_GROW | F_SEAL_SHRINK;
  expect(file.writeAt(5, new Uint8Array(5))).toBe(5);
  expect(file.writeAt(6, new Uint8Array(5))).toBe(-EPERM);
  expect(file.truncate(5)).toBe(-EPERM);
  file.seals |= F_SEAL_WRITE;
  expect(file.writeAt(0, new Uint8Array(1))).toBe(-EPERM);
});

test("mapping a page and writing through the file system show the same bytes", () => {
  const file = make("f");
  file.writeAt(0, Uint8Array.of(1, 2, 3));
  const frame = file.pageFrame(0, false);
  fs.allocator.bytes(frame)[1] = 42;
  const buf = new Uint8Array(3);
  file.readAt(0, buf);
  expect([...buf]).toEqual([1, 42, 3]);
  expect(file.pageFrame(5, false)).toBe(-ENOENT);
});

test("a read-only remount refuses every change", () => {
  make("f");
  fs.remount(true);
  expect(root.create("g", node(S_IFREG))).toBe(-EROFS);
  expect(root.unlink("f")).toBe(-EROFS);
  expect((root.lookup("f") as Inode).writeAt(0, new Uint8Array(1))).toBe(-EROFS);
});
