/// <reference types="node" />
/**
 * One damaged image as the host's Linux mounts it (read-only, on a loop device that is read-only too
 * unless there is a journal) and as we do: refused or mounted, and if mounted, each path with what stat, listxattr, readlink and reading its pages give.
 *
 * What cannot be read counts as equal when neither can read it, whatever the errno; ENOENT of a listed name is told apart.
 * A directory that can be reached by two paths is entered once; Linux's ELOOP for a directory below itself is the VFS's work.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { MemoryDisk, OverlayDisk } from "blockdev-disk";
import { ENOENT, encodeName, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from "linux-abi";
import type { Attributes } from "vfs-inode";
import { EXT4_FEATURE_COMPAT_HAS_JOURNAL } from "../src/features.ts";
import { Ext4Error, Ext4FileSystem, type Ext4Inode } from "../src/index.ts";
import { S_FEATURE_COMPAT, SUPERBLOCK_OFFSET } from "../src/superblock.ts";
import { makeImage, run, saveImage, Workspace } from "./e2fsprogs.ts";

/** What there is at each path, in words; the root's path is "". */
export type Tree = Map<string, string>;

export interface Mounted {
  /** Undefined when the mount was refused. */
  readonly tree: Tree | undefined;
  /** Why it was refused, or what the reader complained about. */
  readonly log: readonly string[];
}

/** Paths to list, and pages of a file to read, at most; the last page is read too. */
const MAX_ENTRIES = 100_000;
const MAX_PAGES = 4096;
const PAGE = 4096;

// Names as Latin-1 of their bytes, so that both sides spell any of them alike.
const LISTER = `
import hashlib, os, stat, sys
def word(e): return "missing" if e.errno == 2 else "error"
def content(path, size):
  try: fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
  except OSError as e: return "open " + word(e)
  h = hashlib.sha1(); pages = (size + ${PAGE - 1}) // ${PAGE}; bad = 0
  for page in list(range(min(pages, ${MAX_PAGES}))) + ([pages - 1] if pages > ${MAX_PAGES} else []):
    want = min(${PAGE}, size - page * ${PAGE})
    try: data = os.pread(fd, ${PAGE}, page * ${PAGE})
    except OSError: data = b""
    if len(data) < want: bad += 1; data = b"?"
    h.update(data)
  os.close(fd)
  return h.hexdigest()[:12] + (" bad pages %d" % bad if bad else "")
def attributes(path):
  try: names = os.listxattr(path, follow_symlinks=False)
  except OSError as e: return "error"
  out = []
  kind = stat.S_IFMT(os.lstat(path).st_mode)
  for name in sorted(names):
    if name.startswith("user.") and kind not in (stat.S_IFREG, stat.S_IFDIR): continue
    try: value = os.getxattr(path, name, follow_symlinks=False).hex()
    except OSError as e: value = "error"
    out.append(name + "=" + (value if len(value) < 64 else hashlib.sha1(bytes.fromhex(value)).hexdigest()[:12]))
  return ",".join(out)
def describe(path, st):
  text = "%o uid %d gid %d nlink %d size %d mtime %d.%09d ino %d" % (st.st_mode, st.st_uid, st.st_gid, st.st_nlink, st.st_size, *divmod(st.st_mtime_ns, 10**9), st.st_ino)
  kind = stat.S_IFMT(st.st_mode)
  if kind in (stat.S_IFCHR, stat.S_IFBLK): text += " rdev %d:%d" % (os.major(st.st_rdev), os.minor(st.st_rdev))
  if kind == stat.S_IFLNK:
    try: text += " -> " + os.readlink(path).decode("latin1")
    except OSError: text += " -> error"
  if kind == stat.S_IFREG: text += " content " + content(path, st.st_size)
  return text + " xattrs " + attributes(path)
root = sys.argv[1].encode(); queue = [(b"", None)]; seen = set(); left = ${MAX_ENTRIES}; out = []
while queue and left > 0:
  path, chain = queue.pop(0); left -= 1
  try:
    st = os.lstat(root + path)
    text = describe(root + path, st)
  except OSError as e:
    out.append((path, "loop" if e.errno == 40 else word(e))); continue
  if stat.S_ISDIR(st.st_mode) and st.st_ino not in seen:
    seen.add(st.st_ino); names = []
    try:
      for entry in os.scandir(root + path): names.append(entry.name)
    except OSError as e: text += " readdir error"
    names.sort()
    queue += [(path + b"/" + name, None) for name in names]
    text += " entries %d" % len(names)
  out.append((path, text))
import json
print(json.dumps([[p.decode("latin1"), t] for p, t in out]))
`;

/** Why comparisons with the host's kernel cannot be made here, if they cannot. */
export function whyNoLoopMounts(): string | undefined {
  if (process.getuid?.() !== 0) return "not root";
  if (spawnSync("python3", ["-c", ""]).status !== 0) return "there is no python3";
  const work = new Workspace();
  try {
    makeImage(work.file("probe"), 4 << 20, []);
    const bytes = readFileSync(work.file("probe"));
    return linuxMount(bytes).tree === undefined ? "loop mounts are not allowed" : undefined;
  } catch {
    return "there is no mke2fs";
  } finally {
    work.remove();
  }
}

/** Mounts a copy of the image with Linux. errors=continue also where the image asks for a panic. */
export function linuxMount(bytes: Uint8Array): Mounted {
  const work = new Workspace();
  const image = work.file("image");
  const directory = work.file("mnt");
  mkdirSync(directory);
  saveImage(MemoryDisk.over(bytes.slice()), image);
  const since = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) - 0.01;
  const journal = (bytes[SUPERBLOCK_OFFSET + S_FEATURE_COMPAT] & EXT4_FEATURE_COMPAT_HAS_JOURNAL) !== 0;
  const loop = run("losetup", ["--find", "--show", ...(journal ? [] : ["--read-only"]), image]).stdout.trim();
  try {
    if (loop === "") return { tree: undefined, log: ["losetup failed"] };
    const options = ["-t", "ext4", "-o", "ro,errors=continue", loop, directory];
    const mounted = spawnSync("mount", options, { timeout: 60_000 }).status === 0;
    try {
      const tree = mounted ? listed(directory) : undefined;
      return { tree, log: kernelLines(loop.replace("/dev/", ""), since) };
    } finally {
      if (mounted) run("umount", [directory]);
    }
  } finally {
    if (loop !== "") run("losetup", ["--detach", loop]);
    work.remove();
  }
}

function listed(directory: string): Tree {
  const result = spawnSync("python3", ["-c", LISTER, directory], {
    encoding: "utf8",
    timeout: 120_000,
    maxBuffer: 64 << 20,
  });
  if (result.status !== 0) throw new Error(`the tree cannot be listed: ${result.stderr}`);
  return new Map(JSON.parse(result.stdout) as [string, string][]);
}

/** What the kernel has said of a device since `since` (seconds of uptime). */
function kernelLines(device: string, since: number): string[] {
  const lines = run("dmesg", []).stdout.split("\n");
  return lines.flatMap((line) => {
    const [, at, text] = /^\[\s*([\d.]+)\] (.*)$/.exec(line) ?? [];
    const isOurs = Number(at) >= since && (text.includes(device) || text.startsWith("JBD2"));
    return isOurs && !text.includes("unmounting")
      ? [text.replace(` (${device})`, "").replace(` (device ${device})`, "")]
      : [];
  });
}

/** Mounts the image with ours, read-only too. */
export function ourMount(bytes: Uint8Array): Mounted {
  const log: string[] = [];
  const disk = new OverlayDisk(MemoryDisk.over(bytes));
  const fs = Ext4FileSystem.mount(disk, { readOnly: true, log: (line) => log.push(line) });
  if (fs instanceof Ext4Error) return { tree: undefined, log: [fs.message] };
  return { tree: walk(fs), log };
}

interface Waiting {
  readonly path: string;
  readonly inode: Ext4Inode | number;
  /** Inode numbers of the directories above. */
  readonly above: readonly number[];
}

function walk(fs: Ext4FileSystem): Tree {
  const tree: Tree = new Map();
  const seen = new Set<number>();
  const queue: Waiting[] = [{ path: "", inode: fs.root(), above: [] }];
  for (const { path, inode, above } of queue) {
    if (tree.size >= MAX_ENTRIES) break;
    if (typeof inode === "number") {
      tree.set(path, inode === -ENOENT ? "missing" : "error");
      continue;
    }
    const isDirectory = (inode.mode & S_IFMT) === S_IFDIR;
    if (isDirectory && above.includes(inode.ino)) {
      tree.set(path, "loop");
      continue;
    }
    let text = describe(inode);
    if (isDirectory && !seen.has(inode.ino)) {
      seen.add(inode.ino);
      const names: string[] = [];
      let slash = false; // the VFS gives an error for such a name, and goes no further
      const error = inode.readdir(0, (name) => {
        slash = name.includes("/");
        if (!slash && name !== "." && name !== "..") names.push(name);
        return !slash;
      });
      if (error < 0 || slash) text += " readdir error";
      const spelled = names.map((name) => [Buffer.from(encodeName(name)).toString("latin1"), name]).sort(byFirst);
      for (const [latin1, name] of spelled)
        queue.push({ path: `${path}/${latin1}`, inode: inode.lookup(name), above: [...above, inode.ino] });
      text += ` entries ${names.length}`;
    }
    tree.set(path, text);
  }
  return tree;
}

const byFirst = (a: readonly string[], b: readonly string[]): number => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0);

function describe(inode: Ext4Inode): string {
  const at = { atime: time(), mtime: time(), ctime: time(), btime: undefined } as unknown as Attributes;
  inode.getattr(at);
  const kind = inode.mode & S_IFMT;
  const nsec = String(at.mtime.nsec).padStart(9, "0");
  let text = `${inode.mode.toString(8)} uid ${inode.uid} gid ${inode.gid} nlink ${inode.nlink} size ${inode.size}`;
  text += ` mtime ${at.mtime.sec}.${nsec} ino ${inode.ino}`;
  if (kind === 0o020000 || kind === 0o060000) {
    const { rdev } = inode;
    text += ` rdev ${(rdev >>> 8) & 0xfff}:${(rdev & 0xff) | ((rdev >>> 12) & 0xfff00)}`;
  }
  if (kind === S_IFLNK) {
    const target = inode.readlink();
    text += ` -> ${typeof target === "number" ? "error" : Buffer.from(encodeName(target)).toString("latin1")}`;
  }
  if (kind === S_IFREG) text += ` content ${content(inode)}`;
  return `${text} xattrs ${attributes(inode)}`;
}

const time = (): { sec: number; nsec: number } => ({ sec: 0, nsec: 0 });

function content(inode: Ext4Inode): string {
  const { size } = inode;
  const pages = Math.ceil(size / PAGE);
  const hash = createHash("sha1");
  let bad = 0;
  const page = new Uint8Array(PAGE);
  const read = (index: number): void => {
    const wanted = Math.min(PAGE, size - index * PAGE);
    const count = inode.readAt(index * PAGE, page);
    if (count < wanted) bad++;
    hash.update(count < wanted ? "?" : page.subarray(0, wanted));
  };
  for (let i = 0; i < Math.min(pages, MAX_PAGES); i++) read(i);
  if (pages > MAX_PAGES) read(pages - 1);
  return hash.digest("hex").slice(0, 12) + (bad > 0 ? ` bad pages ${bad}` : "");
}

function attributes(inode: Ext4Inode): string {
  const names = inode.listxattr();
  if (typeof names === "number") return "error";
  // The VFS has no "user." for anything else.
  const kind = inode.mode & S_IFMT;
  const visible = names.filter((name) => kind === S_IFREG || kind === S_IFDIR || !name.startsWith("user."));
  const words = visible.sort().map((name) => {
    const value = inode.getxattr(name);
    if (typeof value === "number") return `${name}=error`;
    const hex = Buffer.from(value).toString("hex");
    return `${name}=${hex.length < 64 ? hex : createHash("sha1").update(value).digest("hex").slice(0, 12)}`;
  });
  return words.join(",");
}

/** Lines that say where the two differ; none when they agree. */
export function differences(linux: Mounted, ours: Mounted): string[] {
  if (linux.tree === undefined || ours.tree === undefined) {
    if (linux.tree === ours.tree) return [];
    return [linux.tree === undefined ? "Linux refuses, we mount" : `Linux mounts, we refuse: ${ours.log.join("; ")}`];
  }
  const lines: string[] = [];
  for (const path of new Set([...linux.tree.keys(), ...ours.tree.keys()])) {
    const [theirs, our] = [linux.tree.get(path), ours.tree.get(path)];
    if (theirs !== our)
      lines.push(`${path === "" ? "/" : path}: Linux ${theirs ?? "has none"} | ours ${our ?? "has none"}`);
  }
  return lines;
}
