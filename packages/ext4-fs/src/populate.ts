/**
 * Filling an image from a stream of entries, such as a tar archive or a directory tree gives them.
 *
 * Goes through the same functions as everything else. Directories that no entry named before they were needed are made with
 * mode 755; a later entry for one sets its attributes. Times of directories are set last, since filling them changes them.
 *
 *   const fs = new Ext4FileSystem(device, { unjournaled: true });
 *   populate(fs, entries);
 *   fs.unmount();
 */
import {
  EEXIST,
  EINVAL,
  EISDIR,
  ENOENT,
  ENOSPC,
  ENOTDIR,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
} from "linux-abi";
import { Ext4Error } from "./errors.ts";
import { normalizePath } from "./path-inode.ts";
import type { Ext4FileSystem } from "./vfs/file-system.ts";
import type { Ext4Inode } from "./vfs/inode.ts";
import type { Time } from "./volume.ts";

/** One thing to put into an image. */
export interface ImageEntry {
  /** Where; "/" and "./" in front make no difference. */
  readonly path: string;
  readonly type: "file" | "directory" | "symlink" | "hardlink" | "fifo" | "socket" | "char" | "block";
  /** Permission bits. Default 755 for directories, else 644. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: Time;
  /** Content of a file, whole or in pieces. */
  readonly data?: Uint8Array | Iterable<Uint8Array>;
  /** Text of a symbolic link, or the path in the image that a hard link shares. */
  readonly target?: string;
  /** Device number (new_encode_dev form). */
  readonly rdev?: number;
  readonly xattrs?: Readonly<Record<string, Uint8Array>>;
}

export interface PopulateResult {
  readonly files: number;
  readonly directories: number;
  readonly others: number;
  /** Bytes of file data. */
  readonly bytes: number;
}

const TYPE_BITS: Readonly<Record<ImageEntry["type"], number>> = {
  file: S_IFREG,
  directory: S_IFDIR,
  symlink: S_IFLNK,
  hardlink: 0,
  fifo: S_IFIFO,
  socket: S_IFSOCK,
  char: S_IFCHR,
  block: S_IFBLK,
};

/** Puts all entries into the image. A file that is there already is replaced. @throws Ext4Error at the first one that fails, with its path. */
export function populate(fs: Ext4FileSystem, entries: Iterable<ImageEntry>): PopulateResult {
  const filler = new Filler(fs);
  for (const entry of entries) filler.add(entry);
  filler.finish();
  return filler.result;
}

/** Takes entries one after the other; `finish` sets what can only be set at the end. */
export class Filler {
  readonly result = { files: 0, directories: 0, others: 0, bytes: 0 };
  readonly #fs: Ext4FileSystem;
  readonly #directories = new Map<string, Ext4Inode>(); // each holds a reference
  readonly #directoryTimes = new Map<string, Time>();
  #linkDepth = 0;

  constructor(fs: Ext4FileSystem) {
    this.#fs = fs;
    const root = fs.root();
    root.ref();
    this.#directories.set("/", root);
  }

  add(entry: ImageEntry): void {
    const path = normalizePath(entry.path);
    if (entry.type === "directory") this.#addDirectory(path, entry);
    else this.#addOther(path, entry);
  }

  finish(): void {
    for (const [path, mtime] of this.#directoryTimes) {
      const dir = this.#directories.get(path) as Ext4Inode;
      expect(dir.setattr({ mtime, atime: mtime }), path);
    }
    for (const dir of this.#directories.values()) dir.unref();
    this.#directories.clear();
  }

  #addDirectory(path: string, entry: ImageEntry): void {
    const dir = this.#directory(path);
    const { mode = 0o755, uid = 0, gid = 0, mtime } = entry;
    if ((dir.mode & 0o7777) !== mode || dir.uid !== uid || dir.gid !== gid)
      expect(dir.setattr({ mode, uid, gid }), path);
    if (mtime !== undefined) this.#directoryTimes.set(path, mtime);
    setXattrs(dir, entry, path);
  }

  #addOther(path: string, entry: ImageEntry): void {
    const at = path.lastIndexOf("/");
    const name = path.slice(at + 1);
    if (name === "") fail(-EISDIR, path);
    const dir = this.#directory(at === 0 ? "/" : path.slice(0, at));
    let made = this.#make(dir, name, entry);
    if (made === -EEXIST) {
      expect(dir.unlink(name), path);
      made = this.#make(dir, name, entry);
    }
    if (typeof made === "number") {
      if (made < 0) fail(made, path);
      this.result.others++;
      return;
    }
    if (entry.type === "file") {
      this.result.bytes += writeContent(made, entry.data, path);
      this.result.files++;
    } else {
      this.result.others++;
    }
    if (entry.mtime !== undefined) expect(made.setattr({ mtime: entry.mtime, atime: entry.mtime }), path);
    setXattrs(made, entry, path);
  }

  #make(dir: Ext4Inode, name: string, entry: ImageEntry): Ext4Inode | number {
    const { uid = 0, gid = 0, rdev = 0, target = "" } = entry;
    const node = { mode: TYPE_BITS[entry.type] | (entry.mode ?? 0o644), uid, gid, rdev };
    if (entry.type === "symlink") return dir.symlink(name, target, node);
    if (entry.type === "hardlink") {
      const source = this.#fs.rootDir().lookup(target)?.inode() ?? -ENOENT;
      return typeof source === "number" ? source : dir.link(name, source);
    }
    return dir.create(name, node);
  }

  /** The directory at a normalised path, made if need be. */
  #directory(path: string): Ext4Inode {
    const known = this.#directories.get(path);
    if (known !== undefined) return known;
    let missing = path; // go up to what is known, then down again
    const names: string[] = [];
    while (!this.#directories.has(missing)) {
      const at = missing.lastIndexOf("/");
      names.push(missing.slice(at + 1));
      missing = at === 0 ? "/" : missing.slice(0, at);
    }
    let dir = this.#directories.get(missing) as Ext4Inode;
    let current = missing === "/" ? "" : missing;
    for (const name of names.reverse()) {
      current += `/${name}`;
      dir = this.#enter(dir, name, current);
      dir.ref();
      this.#directories.set(current, dir);
    }
    return dir;
  }

  /** A symbolic link to a directory (merged /usr: /lib → usr/lib) is followed. */
  #enter(parent: Ext4Inode, name: string, path: string): Ext4Inode {
    const found = parent.lookup(name);
    if (found === -ENOENT) {
      const made = parent.mkdir(name, { mode: S_IFDIR | 0o755, uid: 0, gid: 0, rdev: 0 });
      if (typeof made === "number") return fail(made, path);
      this.result.directories++;
      return made;
    }
    if (typeof found === "number") return fail(found, path);
    if ((found.mode & S_IFMT) === S_IFLNK) {
      const target = found.readlink();
      if (typeof target === "number") return fail(target, path);
      if (++this.#linkDepth > 40) return fail(-EINVAL, path);
      const parentPath = path.slice(0, path.lastIndexOf("/"));
      const dir = this.#directory(normalizePath(target.startsWith("/") ? target : `${parentPath}/${target}`));
      this.#linkDepth--;
      return dir;
    }
    return (found.mode & S_IFMT) === S_IFDIR ? found : fail(-ENOTDIR, path);
  }
}

function writeContent(inode: Ext4Inode, data: ImageEntry["data"], path: string): number {
  if (data === undefined) return 0;
  const pieces = data instanceof Uint8Array ? [data] : data;
  let offset = 0;
  for (const piece of pieces) {
    const count = inode.writeAt(offset, piece);
    if (count < piece.length) fail(count < 0 ? count : -ENOSPC, path);
    offset += count;
  }
  return offset;
}

function setXattrs(inode: Ext4Inode, entry: ImageEntry, path: string): void {
  for (const [name, value] of Object.entries(entry.xattrs ?? {})) expect(inode.setxattr(name, value, 0), path);
}

function expect(result: number, path: string): void {
  if (result < 0) fail(result, path);
}

function fail(errno: number, path: string): never {
  const what = errno === -ENOSPC ? "the volume is full" : `error ${-errno}`;
  throw new Ext4Error(errno === -ENOSPC ? "invalid" : "io", `${path}: ${what}`, { errno: -errno });
}
