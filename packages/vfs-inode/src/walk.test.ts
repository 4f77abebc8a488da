import { ELOOP, EACCES, ENAMETOOLONG, ENOENT, ENOTDIR, EXDEV, O_CREAT, O_WRONLY } from "linux-abi";
import { beforeEach, expect, test } from "vitest";
import {
  type File,
  type FsContext,
  LOOKUP_BENEATH,
  LOOKUP_CREATE,
  LOOKUP_DIRECTORY,
  LOOKUP_FOLLOW,
  LOOKUP_IN_ROOT,
  LOOKUP_NO_SYMLINKS,
  LOOKUP_NO_XDEV,
  Path,
  Vfs,
} from "./index.ts";
import { Tmpfs } from "./tmpfs/index.ts";

let vfs: Vfs;
let context: ReturnType<Vfs["mountRoot"]>;

function touch(path: string): void {
  (vfs.open(context, null, path, O_CREAT | O_WRONLY, 0o644) as File).close();
}
function find(path: string, flags = LOOKUP_FOLLOW, as: FsContext = context): Path | number {
  return vfs.lookup(as, null, path, flags);
}
function text(path: string, flags?: number): string {
  const found = find(path, flags);
  return typeof found === "number" ? String(found) : vfs.pathText(context, found);
}

beforeEach(() => {
  vfs = new Vfs();
  context = vfs.mountRoot(new Tmpfs({ mode: 0o755 }));
  vfs.mkdir(context, null, "/a", 0o755);
  vfs.mkdir(context, null, "/a/b", 0o755);
  touch("/a/f");
  vfs.symlink(context, "a/b", null, "/rel");
  vfs.symlink(context, "/a/f", null, "/abs");
  vfs.symlink(context, "loop", null, "/loop");
});

test("dots, double slashes and parents resolve", () => {
  expect(text("/a/./b//../b/")).toBe("/a/b");
  expect(text("/../..")).toBe("/");
  expect(text("rel/..")).toBe("/a");
  expect(text("/a/b/../f")).toBe("/a/f");
});

test("symbolic links are followed in the middle, and at the end only when asked", () => {
  expect(text("/rel")).toBe("/a/b");
  expect(text("/rel", 0)).toBe("/rel");
  expect(text("/rel/", 0)).toBe("/a/b");
  expect(text("/abs")).toBe("/a/f");
  expect(find("/loop")).toBe(-ELOOP);
});

test("forty links are followed and forty-one are not", () => {
  vfs.symlink(context, "a", null, "/l0");
  for (let i = 1; i <= 40; i++) vfs.symlink(context, `l${i - 1}`, null, `/l${i}`);
  expect(text("/l39")).toBe("/a");
  expect(find("/l40")).toBe(-ELOOP);
});

test("a trailing slash demands a directory", () => {
  expect(find("/a/f/")).toBe(-ENOTDIR);
  expect(find("/a/f/x")).toBe(-ENOTDIR);
  expect(find("/a/f/.")).toBe(-ENOTDIR);
  expect(find("/a/f", LOOKUP_DIRECTORY)).toBe(-ENOTDIR);
});

test("names may have 255 bytes and paths 4095", () => {
  expect(find(`/${"x".repeat(255)}`)).toBe(-ENOENT);
  expect(find(`/${"x".repeat(256)}`)).toBe(-ENAMETOOLONG);
  expect(find(`/${"é".repeat(128)}`)).toBe(-ENAMETOOLONG);
  expect(find("/".repeat(4095))).toBeInstanceOf(Path);
  expect(find("/".repeat(4096))).toBe(-ENAMETOOLONG);
  expect(find("")).toBe(-ENOENT);
});

test("an absent last name is a negative dentry when creation is intended", () => {
  const found = find("/a/new", LOOKUP_CREATE);
  expect(found).toBeInstanceOf(Path);
  expect((found as Path).dentry.node).toBeNull();
  expect(find("/none/new", LOOKUP_CREATE)).toBe(-ENOENT);
});

test("chroot confines absolute paths, links and dot-dot", () => {
  vfs.symlink(context, "/f", null, "/a/toroot");
  expect(vfs.chroot(context, "/a")).toBe(0);
  expect(vfs.chdir(context, null, "/")).toBe(0);
  expect(text("/../../f")).toBe("/f");
  expect(text("toroot")).toBe("/f");
  expect(vfs.getcwd(context)).toBe("/");
});

test("every directory on the way needs search permission", () => {
  vfs.chmod(context, find("/a") as Path, 0o700);
  const other: FsContext = {
    ...context,
    credentials: { fsuid: 1000, fsgid: 1000, groups: [], hasCapability: () => false },
  };
  expect(find("/a/f", LOOKUP_FOLLOW, other)).toBe(-EACCES);
  expect(find("/a", LOOKUP_FOLLOW, other)).toBeInstanceOf(Path);
});

test("mounts are crossed in both directions", () => {
  vfs.mount(context.namespace, find("/a/b") as Path, new Tmpfs(), "none", 0);
  vfs.mkdir(context, null, "/a/b/inner", 0o755);
  expect(text("/a/b/inner")).toBe("/a/b/inner");
  expect(text("/a/b/inner/../../f")).toBe("/a/f");
  expect(find("/a/b", LOOKUP_NO_XDEV)).toBe(-EXDEV);
});

test("openat2 restrictions hold", () => {
  const base = find("/a") as Path;
  expect(vfs.lookup(context, base, "../a/f", LOOKUP_BENEATH)).toBe(-EXDEV);
  expect(vfs.lookup(context, base, "/a/f", LOOKUP_BENEATH)).toBe(-EXDEV);
  expect(vfs.lookup(context, base, "b/../f", LOOKUP_BENEATH)).toBeInstanceOf(Path);
  expect(vfs.lookup(context, base, "/../f", LOOKUP_IN_ROOT)).toBeInstanceOf(Path);
  expect(find("/rel", LOOKUP_FOLLOW | LOOKUP_NO_SYMLINKS)).toBe(-ELOOP);
});
