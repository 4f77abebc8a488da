import {
  EACCES,
  EBUSY,
  EEXIST,
  EINVAL,
  EISDIR,
  ELOOP,
  ENOENT,
  ENOTDIR,
  ENOTEMPTY,
  EPERM,
  EROFS,
  ETXTBSY,
  EXDEV,
  IN_CREATE,
  IN_DELETE,
  IN_MOVED_FROM,
  IN_MOVED_TO,
  MS_BIND,
  MS_RDONLY,
  O_APPEND,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  O_TMPFILE,
  O_TRUNC,
  O_WRONLY,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  SEEK_CUR,
  SEEK_END,
  SEEK_SET,
} from "linux-abi";
import { beforeEach, expect, test } from "vitest";
import {
  type Credentials,
  type File,
  type FsContext,
  LOOKUP_FOLLOW,
  type Path,
  Vfs,
  mountinfoText,
  mountsText,
} from "./index.ts";
import { Tmpfs } from "./tmpfs/index.ts";

let vfs: Vfs;
let context: ReturnType<Vfs["mountRoot"]>;
let seconds = 1000;

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const user = (uid: number, groups: number[] = []): Credentials => ({
  fsuid: uid,
  fsgid: uid,
  groups,
  hasCapability: () => false,
});
const as = (credentials: Credentials): FsContext => ({ ...context, credentials });
const at = (path: string, flags = LOOKUP_FOLLOW): Path => vfs.lookup(context, null, path, flags) as Path;

function open(path: string, flags: number, mode = 0o644, who: FsContext = context): File {
  const file = vfs.open(who, null, path, flags, mode);
  if (typeof file === "number") throw new Error(`open ${path}: ${file}`);
  return file;
}
function write(path: string, text: string, flags = O_CREAT | O_WRONLY | O_TRUNC): void {
  using file = open(path, flags);
  expect(file.write(encode(text))).toBe(text.length);
}
function read(path: string): string {
  using file = open(path, O_RDONLY);
  const buf = new Uint8Array(100);
  return new TextDecoder().decode(buf.subarray(0, file.read(buf)));
}
function list(path: string): string[] {
  using file = open(path, O_RDONLY | O_DIRECTORY);
  const names: string[] = [];
  file.readDirectory((name) => names.push(name) > 0);
  return names.slice(2).sort();
}

beforeEach(() => {
  seconds = 1000;
  const now = (out: { sec: number; nsec: number }): void => {
    out.sec = seconds;
    out.nsec = 0;
  };
  vfs = new Vfs({ now });
  context = vfs.mountRoot(new Tmpfs({ mode: 0o755, now }), { source: "rootfs" });
});

test("a file is created, written, appended to, read and truncated", () => {
  write("/f", "hello");
  write("/f", " world", O_WRONLY | O_APPEND);
  expect(read("/f")).toBe("hello world");
  using file = open("/f", O_RDWR);
  expect(file.seek(-5, SEEK_END)).toBe(6);
  expect(file.seek(1, SEEK_CUR)).toBe(7);
  expect(file.seek(-1, SEEK_SET)).toBe(-EINVAL);
  expect(file.truncate(5)).toBe(0);
  expect(read("/f")).toBe("hello");
  write("/f", "x");
  expect(read("/f")).toBe("x");
});

test("open refuses what Linux refuses", () => {
  vfs.mkdir(context, null, "/d", 0o755);
  write("/f", "x");
  vfs.symlink(context, "f", null, "/s");
  vfs.symlink(context, "nothing", null, "/dangling");
  const code = (path: string, flags: number): number => vfs.open(context, null, path, flags, 0o644) as number;
  expect(code("/none", O_RDONLY)).toBe(-ENOENT);
  expect(code("/f", O_CREAT | O_EXCL | O_WRONLY)).toBe(-EEXIST);
  expect(code("/dangling", O_CREAT | O_EXCL | O_WRONLY)).toBe(-EEXIST);
  expect(code("/d", O_WRONLY)).toBe(-EISDIR);
  expect(code("/d", O_CREAT)).toBe(-EISDIR);
  expect(code("/new/", O_CREAT | O_WRONLY)).toBe(-EISDIR);
  expect(code("/f", O_RDONLY | O_DIRECTORY)).toBe(-ENOTDIR);
  expect(code("/s", O_RDONLY | O_NOFOLLOW)).toBe(-ELOOP);
  open("/s", O_PATH | O_NOFOLLOW).close();
  write("/dangling", "made", O_CREAT | O_WRONLY);
  expect(read("/nothing")).toBe("made");
});

test("a removed but open file keeps its bytes until it is closed", () => {
  const fs = context.root.mount.fs;
  const free = fs.statfs().blocksFree;
  write("/f", "abc");
  const file = open("/f", O_RDONLY);
  expect(vfs.unlink(context, null, "/f")).toBe(0);
  expect(vfs.open(context, null, "/f", O_RDONLY, 0)).toBe(-ENOENT);
  const buf = new Uint8Array(3);
  expect(file.read(buf)).toBe(3);
  expect(vfs.pathText(context, file.path)).toBe("/f (deleted)");
  expect(fs.statfs().blocksFree).toBe(free - 1);
  file.close();
  file.close();
  expect(fs.statfs().blocksFree).toBe(free);
});

test("directories are made and removed with the right refusals", () => {
  expect(vfs.mkdir(context, null, "/d/", 0o755)).toBe(0);
  expect(vfs.mkdir(context, null, "/d", 0o755)).toBe(-EEXIST);
  expect(vfs.mkdir(context, null, "/", 0o755)).toBe(-EEXIST);
  expect(vfs.mkdir(context, null, "/d/.", 0o755)).toBe(-EEXIST);
  write("/d/f", "x");
  expect(vfs.rmdir(context, null, "/d")).toBe(-ENOTEMPTY);
  expect(vfs.rmdir(context, null, "/d/f")).toBe(-ENOTDIR);
  expect(vfs.rmdir(context, null, "/d/.")).toBe(-EINVAL);
  expect(vfs.rmdir(context, null, "/d/..")).toBe(-ENOTEMPTY);
  expect(vfs.unlink(context, null, "/d")).toBe(-EISDIR);
  expect(vfs.unlink(context, null, "/d/f")).toBe(0);
  expect(vfs.rmdir(context, null, "/d")).toBe(0);
  expect(list("/")).toEqual([]);
});

test("nothing can be created in a removed directory, and getcwd says it is gone", () => {
  vfs.mkdir(context, null, "/d", 0o755);
  vfs.chdir(context, null, "/d");
  expect(vfs.getcwd(context)).toBe("/d");
  vfs.rmdir(context, null, "/d");
  expect(vfs.getcwd(context)).toBe(-ENOENT);
  expect(vfs.mkdir(context, null, "x", 0o755)).toBe(-ENOENT);
  expect(vfs.open(context, null, "x", O_CREAT | O_WRONLY, 0o644)).toBe(-ENOENT);
});

test("rename moves, replaces, exchanges and refuses loops", () => {
  vfs.mkdir(context, null, "/a", 0o755);
  vfs.mkdir(context, null, "/a/b", 0o755);
  write("/f", "f");
  write("/g", "g");
  const rename = (from: string, to: string, flags = 0): number => vfs.rename(context, null, from, null, to, flags);
  expect(rename("/f", "/a/f")).toBe(0);
  expect(read("/a/f")).toBe("f");
  expect(rename("/g", "/a/f", RENAME_NOREPLACE)).toBe(-EEXIST);
  expect(rename("/g", "/a/f", RENAME_EXCHANGE)).toBe(0);
  expect(read("/g")).toBe("f");
  expect(read("/a/f")).toBe("g");
  expect(rename("/g", "/a/f")).toBe(0);
  expect(read("/a/f")).toBe("f");
  expect(rename("/a", "/a/b/c")).toBe(-EINVAL);
  expect(rename("/a/b", "/a")).toBe(-ENOTEMPTY);
  expect(rename("/a/f", "/a/b")).toBe(-EISDIR);
  expect(rename("/a/b", "/a/f")).toBe(-ENOTDIR);
  expect(rename("/a/f", "/a/new/")).toBe(-ENOTDIR);
  expect(rename("/none", "/x")).toBe(-ENOENT);
  expect(rename("/a/.", "/x")).toBe(-EBUSY);
  expect(rename("/a", "/z/")).toBe(0);
  expect(list("/z")).toEqual(["b", "f"]);
});

test("an open directory follows its rename", () => {
  vfs.mkdir(context, null, "/a", 0o755);
  vfs.mkdir(context, null, "/a/sub", 0o755);
  vfs.chdir(context, null, "/a/sub");
  vfs.rename(context, null, "/a", null, "/moved");
  expect(vfs.getcwd(context)).toBe("/moved/sub");
});

test("hard links share the file, also after the first name is gone", () => {
  write("/f", "abc");
  expect(vfs.link(context, at("/f"), null, "/g")).toBe(0);
  expect(at("/g").inode.nlink).toBe(2);
  vfs.unlink(context, null, "/f");
  expect(read("/g")).toBe("abc");
  expect(vfs.rename(context, null, "/g", null, "/g")).toBe(0);
  vfs.mkdir(context, null, "/d", 0o755);
  expect(vfs.link(context, at("/d"), null, "/e")).toBe(-EPERM);
});

test("umask, setgid directories and sticky directories", () => {
  context.umask = 0o027;
  write("/f", "x");
  expect(at("/f").inode.mode & 0o7777).toBe(0o640);
  vfs.mkdir(context, null, "/shared", 0o777);
  vfs.chown(context, at("/shared"), -1, 50);
  vfs.chmod(context, at("/shared"), 0o2777);
  const joe = as(user(1000));
  expect(vfs.mkdir(joe, null, "/shared/sub", 0o755)).toBe(0);
  expect(at("/shared/sub").inode.gid).toBe(50);
  expect(at("/shared/sub").inode.mode & 0o2000).toBe(0o2000);
  vfs.chmod(context, at("/shared"), 0o1777);
  expect(vfs.rmdir(as(user(1001)), null, "/shared/sub")).toBe(-EPERM);
  expect(vfs.rmdir(joe, null, "/shared/sub")).toBe(0);
});

test("permissions of files bind users but not root", () => {
  write("/f", "secret");
  vfs.chmod(context, at("/f"), 0o640);
  vfs.chown(context, at("/f"), 0, 42);
  expect(vfs.open(as(user(1)), null, "/f", O_RDONLY, 0)).toBe(-EACCES);
  (vfs.open(as(user(1, [42])), null, "/f", O_RDONLY, 0) as File).close();
  expect(vfs.open(as(user(1, [42])), null, "/f", O_RDWR, 0)).toBe(-EACCES);
  expect(vfs.chmod(as(user(1)), at("/f"), 0o777)).toBe(-EPERM);
  expect(vfs.open(as(user(1)), null, "/new", O_CREAT | O_WRONLY, 0o600)).toBe(-EACCES);
});

test("a write by a user takes setuid away", () => {
  write("/f", "x");
  vfs.chown(context, at("/f"), 5, 5);
  vfs.chmod(context, at("/f"), 0o4755);
  using file = open("/f", O_WRONLY, 0, as(user(5)));
  file.write(encode("y"));
  expect(at("/f").inode.mode & 0o7777).toBe(0o755);
});

test("an executing file cannot be opened for writing", () => {
  write("/prog", "x");
  at("/prog").node.writeDenials++;
  expect(vfs.open(context, null, "/prog", O_WRONLY, 0)).toBe(-ETXTBSY);
});

test("O_TMPFILE makes a nameless file that link can name", () => {
  vfs.mkdir(context, null, "/d", 0o755);
  using file = open("/d", O_TMPFILE | O_RDWR, 0o600);
  expect(file.write(encode("tmp"))).toBe(3);
  expect(list("/d")).toEqual([]);
  expect(vfs.link(context, file.path, null, "/d/named")).toBe(0);
  expect(read("/d/named")).toBe("tmp");
});

test("relatime updates atime once after a change and then daily", () => {
  write("/f", "x");
  const atime = (): number => {
    const out = { ...attributes() };
    return out.atime.sec;
  };
  const attributes = (): { atime: { sec: number } } => {
    const out = { atime: { sec: 0, nsec: 0 }, mtime: { sec: 0, nsec: 0 }, ctime: { sec: 0, nsec: 0 } } as never;
    vfs.getattr(at("/f"), out);
    return out;
  };
  seconds = 2000;
  read("/f");
  expect(atime()).toBe(2000);
  seconds = 3000;
  read("/f");
  expect(atime()).toBe(2000);
  seconds = 2000 + 86400;
  read("/f");
  expect(atime()).toBe(88400);
});

test("mount, bind, move, remount and umount", () => {
  for (const d of ["/m", "/b", "/n"]) vfs.mkdir(context, null, d, 0o755);
  const ns = context.namespace;
  const fs = new Tmpfs({ size: 1 << 20 });
  vfs.mount(ns, at("/m"), fs, "disk", 0);
  write("/m/f", "x");
  vfs.mkdir(context, null, "/m/sub", 0o755);
  vfs.mountTable.bind(ns, at("/m/sub"), at("/b"), false);
  write("/b/g", "y");
  expect(read("/m/sub/g")).toBe("y");
  expect(vfs.rename(context, null, "/b/g", null, "/m/g")).toBe(-EXDEV);
  expect(vfs.rmdir(context, null, "/b")).toBe(-EBUSY);
  expect(vfs.mountTable.remount(ns, at("/b"), MS_RDONLY | MS_BIND, true)).toBe(0);
  expect(vfs.open(context, null, "/b/new", O_CREAT | O_WRONLY, 0)).toBe(-EROFS);
  expect(vfs.mkdir(context, null, "/b/new", 0)).toBe(-EROFS);
  expect(vfs.unlink(context, null, "/b/g")).toBe(-EROFS);
  write("/m/sub/g", "still writable");
  expect(mountsText(ns, context.root)).toContain("disk /b tmpfs ro,size=1024k 0 0\n");
  expect(mountinfoText(ns, context.root)).toMatch(/^\d+ \d+ 0:0 \/sub \/b ro - tmpfs disk rw,size=1024k$/m);
  expect(vfs.mountTable.move(ns, at("/m"), at("/n"))).toBe(0);
  expect(read("/n/f")).toBe("x");
  const file = open("/n/f", O_RDONLY);
  expect(vfs.unmount(ns, at("/n"))).toBe(-EBUSY);
  expect(vfs.unmount(ns, at("/n"), { lazy: true })).toBe(0);
  expect(vfs.open(context, null, "/n/f", O_RDONLY, 0)).toBe(-ENOENT);
  const buf = new Uint8Array(4);
  expect(file.read(buf)).toBe(1);
  file.close();
  expect(vfs.unmount(ns, at("/b"))).toBe(0);
  expect(ns.mounts.length).toBe(1);
  expect(vfs.unmount(ns, at("/b"))).toBe(-EINVAL);
});

test("mounts stack, but not the same file system on itself", () => {
  vfs.mkdir(context, null, "/m", 0o755);
  const fs = new Tmpfs();
  vfs.mount(context.namespace, at("/m"), fs, "a", 0);
  expect(vfs.mount(context.namespace, at("/m"), fs, "a", 0)).toBe(-EBUSY);
  write("/m/below", "x");
  vfs.mount(context.namespace, at("/m"), new Tmpfs(), "b", 0);
  expect(list("/m")).toEqual([]);
  expect(vfs.unmount(context.namespace, at("/m"))).toBe(0);
  expect(list("/m")).toEqual(["below"]);
});

test("a cloned namespace goes its own way", () => {
  vfs.mkdir(context, null, "/m", 0o755);
  const { namespace, map } = context.namespace.clone();
  const root = map.get(context.root.mount)?.rootPath as Path;
  const other: FsContext = { ...context, root, cwd: root };
  vfs.mount(namespace, vfs.lookup(other, null, "/m", 0) as Path, new Tmpfs(), "private", 0);
  expect(mountsText(namespace, root)).toContain("private");
  expect(mountsText(context.namespace, context.root)).not.toContain("private");
});

test("pivot_root swaps the tree under the processes that stood at its top", () => {
  vfs.mkdir(context, null, "/new", 0o755);
  vfs.mount(context.namespace, at("/new"), new Tmpfs(), "newroot", 0);
  vfs.mkdir(context, null, "/new/old", 0o755);
  write("/marker", "old");
  expect(vfs.pivotRoot(context.namespace, [context], at("/new"), at("/new/old"))).toBe(0);
  expect(list("/")).toEqual(["old"]);
  expect(read("/old/marker")).toBe("old");
  expect(vfs.unmount(context.namespace, at("/old"))).toBe(0);
});

test("the dentry cache stays within its limit and names stay right", () => {
  const small = new Vfs({ dentryLimit: 64 });
  const c = small.mountRoot(new Tmpfs({ mode: 0o755 }));
  small.mkdir(c, null, "/d", 0o755);
  small.chdir(c, null, "/d");
  for (let i = 0; i < 1000; i++) (small.open(c, null, `f${i}`, O_CREAT | O_WRONLY, 0o644) as File).close();
  for (let i = 0; i < 1000; i++) expect(small.lookup(c, null, `none${i}`, 0)).toBe(-ENOENT);
  expect(small.dentries.count).toBeLessThanOrEqual(65);
  expect(small.getcwd(c)).toBe("/d");
  expect(typeof small.lookup(c, null, "f0", 0)).toBe("object");
});

test("watchers hear of creation, renaming and removal", () => {
  const heard: [number, string | null][] = [];
  vfs.notify = (_node, mask, name): void => {
    if (name !== null) heard.push([mask, name]);
  };
  write("/f", "x");
  vfs.rename(context, null, "/f", null, "/g");
  vfs.unlink(context, null, "/g");
  expect(heard).toEqual([
    [IN_CREATE, "f"],
    [IN_MOVED_FROM, "f"],
    [IN_MOVED_TO, "g"],
    [IN_DELETE, "g"],
  ]);
});
