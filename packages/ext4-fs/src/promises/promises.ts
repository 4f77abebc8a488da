/** The functions of the facade. Paths are absolute; relative ones count from the root. */
import {
  EEXIST,
  EINVAL,
  EISDIR,
  ELOOP,
  ENOENT,
  ENOTDIR,
  ENOTEMPTY,
  O_ACCMODE,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_RDONLY,
  O_TRUNC,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
} from "linux-abi";
import { basename, dirname, removeTree, walk } from "../path-inode.ts";
import type { VolumeStatus } from "../statfs.ts";
import type { Ext4FileSystem } from "../vfs/file-system.ts";
import type { Ext4Inode } from "../vfs/inode.ts";
import { decode, encodingOf, type FileData, toBytes, toTime } from "./data.ts";
import { check, FsError } from "./errors.ts";
import { FileHandle } from "./file-handle.ts";
import { parseFlags } from "./flags.ts";
import { Dirent, Stats } from "./stats.ts";

export type ReadFileOptions = string | { readonly encoding?: string | null } | null;
export type WriteFileOptions =
  | string
  | { readonly encoding?: string | null; readonly mode?: number; readonly flag?: string | number }
  | null;
export interface MkdirOptions {
  readonly recursive?: boolean;
  readonly mode?: number;
}
export interface RmOptions {
  readonly recursive?: boolean;
  /** No error when the path does not exist. */
  readonly force?: boolean;
}
export interface ReaddirOptions {
  readonly withFileTypes?: boolean;
  readonly recursive?: boolean;
}

const OWNER = { uid: 0, gid: 0, rdev: 0 };
const isDirectory = (inode: Ext4Inode): boolean => (inode.mode & S_IFMT) === S_IFDIR;

export class Ext4Promises {
  readonly #fs: Ext4FileSystem;

  constructor(fs: Ext4FileSystem) {
    this.#fs = fs;
  }

  // ---- resolving ----

  #find(path: string, syscall: string, follow: boolean = true): Ext4Inode {
    const inode = check<Ext4Inode>(walk(this.#fs, path, follow || path.endsWith("/")), syscall, path);
    if (path.endsWith("/") && !isDirectory(inode)) throw new FsError(ENOTDIR, syscall, path);
    return inode;
  }

  /** The directory that holds (or will hold) the last component of `path`, and that component. */
  #parent(path: string, syscall: string): { dir: Ext4Inode; name: string } {
    const clean = path.replace(/\/+$/, "");
    const name = basename(clean);
    if (name === "" || name === "." || name === "..") throw new FsError(name === "" ? EEXIST : EINVAL, syscall, path);
    return { dir: this.#find(dirname(clean.startsWith("/") ? clean : `/${clean}`), syscall), name };
  }

  // ---- files ----

  async open(path: string, flags: string | number = "r", mode: number = 0o666): Promise<FileHandle> {
    return this.#open(path, parseFlags(flags), mode);
  }

  #open(path: string, flags: number, mode: number): FileHandle {
    const inode = this.#openInode(path, flags, mode);
    const writes = (flags & O_ACCMODE) !== O_RDONLY || (flags & O_TRUNC) !== 0;
    if (isDirectory(inode) && writes) throw new FsError(EISDIR, "open", path);
    if ((flags & O_DIRECTORY) !== 0 && !isDirectory(inode)) throw new FsError(ENOTDIR, "open", path);
    if ((flags & O_TRUNC) !== 0 && inode.size > 0) check(inode.truncate(0), "open", path);
    inode.ref();
    return new FileHandle(inode, flags);
  }

  #openInode(path: string, flags: number, mode: number): Ext4Inode {
    const follow = (flags & O_NOFOLLOW) === 0 && (flags & (O_CREAT | O_EXCL)) !== (O_CREAT | O_EXCL);
    const found = walk(this.#fs, path, follow);
    if (typeof found !== "number") {
      if ((flags & (O_CREAT | O_EXCL)) === (O_CREAT | O_EXCL)) throw new FsError(EEXIST, "open", path);
      if ((found.mode & S_IFMT) === S_IFLNK) throw new FsError(ELOOP, "open", path);
      return found;
    }
    if (found !== -ENOENT || (flags & O_CREAT) === 0 || path.endsWith("/"))
      throw new FsError(path.endsWith("/") ? EISDIR : found, "open", path);
    const { dir, name } = this.#parent(this.#throughLinks(path), "open");
    return check(dir.create(name, { ...OWNER, mode: S_IFREG | (mode & 0o7777) }), "open", path);
  }

  /** Where a file would be made whose name is a symbolic link to nothing yet. */
  #throughLinks(path: string): string {
    let current = path;
    for (let links = 0; links < 40; links++) {
      const inode = walk(this.#fs, current, false);
      if (typeof inode === "number" || (inode.mode & S_IFMT) !== S_IFLNK) return current;
      const target = check<string>(inode.readlink(), "open", path);
      current = target.startsWith("/") ? target : `${dirname(current)}/${target}`;
    }
    throw new FsError(ELOOP, "open", path);
  }

  async readFile(path: string, options?: ReadFileOptions): Promise<Uint8Array | string> {
    const inode = this.#find(path, "open");
    if (isDirectory(inode)) throw new FsError(EISDIR, "read", path);
    const bytes = new Uint8Array(inode.size);
    const count = check<number>(inode.readAt(0, bytes), "read", path);
    return decode(count === bytes.length ? bytes : bytes.subarray(0, count), encodingOf(options));
  }

  async writeFile(path: string, data: FileData, options?: WriteFileOptions): Promise<void> {
    const { mode = 0o666, flag = "w" } = typeof options === "object" && options !== null ? options : {};
    encodingOf(options);
    const handle = this.#open(path, parseFlags(flag), mode);
    try {
      await handle.writeFile(toBytes(data));
    } finally {
      await handle.close();
    }
  }

  async appendFile(path: string, data: FileData, options?: WriteFileOptions): Promise<void> {
    await this.writeFile(path, data, { ...(typeof options === "object" ? options : {}), flag: "a" });
  }

  async copyFile(from: string, to: string): Promise<void> {
    const source = this.#find(from, "copyfile");
    if (isDirectory(source)) throw new FsError(EISDIR, "copyfile", from, to);
    const target = this.#open(to, parseFlags("w"), source.mode);
    const piece = new Uint8Array(1 << 20);
    try {
      for (let at = 0; at < source.size; ) {
        const count = check<number>(
          source.readAt(at, piece.subarray(0, Math.min(piece.length, source.size - at))),
          "copyfile",
          from,
          to,
        );
        await target.writeFile(piece.subarray(0, count));
        at += count;
      }
    } finally {
      await target.close();
    }
  }

  async truncate(path: string, length: number = 0): Promise<void> {
    check(this.#find(path, "open").truncate(length), "ftruncate", path);
  }

  // ---- directories and names ----

  readdir(path: string, options: ReaddirOptions & { readonly withFileTypes: true }): Promise<Dirent[]>;
  readdir(
    path: string,
    options?: (ReaddirOptions & { readonly withFileTypes?: false }) | string | null,
  ): Promise<string[]>;
  async readdir(path: string, options?: ReaddirOptions | string | null): Promise<string[] | Dirent[]> {
    const { withFileTypes = false, recursive = false } = typeof options === "object" && options !== null ? options : {};
    const names: string[] = [];
    const entries: Dirent[] = [];
    const pending: [inode: Ext4Inode, path: string, prefix: string][] = [[this.#find(path, "scandir"), path, ""]];
    for (let next = pending.shift(); next !== undefined; next = pending.shift()) {
      const [dir, at, prefix] = next;
      const error = dir.readdir(0, (name, _ino, type) => {
        if (name === "." || name === "..") return true;
        names.push(prefix + name);
        const entry = new Dirent(name, at, type);
        entries.push(entry);
        if (recursive && entry.isDirectory()) {
          const child = dir.lookup(name);
          if (typeof child !== "number") pending.push([child, `${at.replace(/\/$/, "")}/${name}`, `${prefix}${name}/`]);
        }
        return true;
      });
      check(error, "scandir", at);
    }
    return withFileTypes ? entries : names;
  }

  /** With `recursive`, the first directory that had to be made; else undefined. */
  async mkdir(path: string, options?: MkdirOptions | number): Promise<string | undefined> {
    const { recursive = false, mode = 0o777 } = typeof options === "number" ? { mode: options } : (options ?? {});
    if (!recursive) {
      const { dir, name } = this.#parent(path, "mkdir");
      check(dir.mkdir(name, { ...OWNER, mode }), "mkdir", path);
      return undefined;
    }
    let first: string | undefined;
    let current = "";
    for (const part of path.split("/").filter((p) => p !== "" && p !== ".")) {
      current += `/${part}`;
      const found = walk(this.#fs, current, true);
      if (typeof found !== "number") {
        if (!isDirectory(found))
          throw new FsError(current === path.replace(/\/+$/, "") ? EEXIST : ENOTDIR, "mkdir", path);
        continue;
      }
      if (found !== -ENOENT) throw new FsError(found, "mkdir", path);
      const { dir, name } = this.#parent(current, "mkdir");
      check(dir.mkdir(name, { ...OWNER, mode }), "mkdir", path);
      first ??= current;
    }
    return first;
  }

  async rmdir(path: string): Promise<void> {
    const { dir, name } = this.#parent(path, "rmdir");
    check(dir.rmdir(name), "rmdir", path);
  }

  async unlink(path: string): Promise<void> {
    const { dir, name } = this.#parent(path, "unlink");
    check(dir.unlink(name), "unlink", path);
  }

  async rm(path: string, options: RmOptions = {}): Promise<void> {
    const found = walk(this.#fs, path, false);
    if (found === -ENOENT && options.force === true) return;
    const inode = check<Ext4Inode>(found, "rm", path);
    const { dir, name } = this.#parent(path, "rm");
    if (isDirectory(inode) && options.recursive !== true) throw new FsError(EISDIR, "rm", path);
    check(removeTree(dir, name), "rm", path);
  }

  async rename(from: string, to: string): Promise<void> {
    const source = this.#parent(from, "rename");
    const target = this.#parent(to, "rename");
    const moved = check<Ext4Inode>(source.dir.lookup(source.name), "rename", from, to);
    if (isDirectory(moved) && this.#isBelow(target.dir, moved)) throw new FsError(EINVAL, "rename", from, to);
    const existing = target.dir.lookup(target.name);
    if (typeof existing !== "number" && this.#isBelow(source.dir, existing) && existing !== moved)
      throw new FsError(ENOTEMPTY, "rename", from, to);
    check(source.dir.rename(source.name, target.dir, target.name, 0), "rename", from, to);
  }

  /** Whether `dir` is `above` or lies below it. */
  #isBelow(dir: Ext4Inode, above: Ext4Inode): boolean {
    for (let at: Ext4Inode | number = dir, steps = 0; typeof at !== "number" && steps < 10_000; steps++) {
      if (at === above) return true;
      if (at === this.#fs.root()) return false;
      at = at.lookup("..");
    }
    return false;
  }

  async link(existing: string, path: string): Promise<void> {
    const inode = this.#find(existing, "link", false);
    const { dir, name } = this.#parent(path, "link");
    check(dir.link(name, inode), "link", existing, path);
  }

  async symlink(target: string, path: string): Promise<void> {
    const { dir, name } = this.#parent(path, "symlink");
    check(dir.symlink(name, target, { ...OWNER, mode: 0o777 }), "symlink", target, path);
  }

  async readlink(path: string): Promise<string> {
    return check<string>(this.#find(path, "readlink", false).readlink(), "readlink", path);
  }

  /** The path without symbolic links, "." and "..". */
  async realpath(path: string): Promise<string> {
    let current = this.#find(path, "realpath");
    const parts: string[] = [];
    if (!isDirectory(current)) {
      const real = this.#throughLinks(path);
      parts.push(basename(real));
      current = this.#find(dirname(real.startsWith("/") ? real : `/${real}`), "realpath");
    }
    while (current !== this.#fs.root()) {
      const parent = check<Ext4Inode>(current.lookup(".."), "realpath", path);
      let found = "";
      parent.readdir(0, (name, ino) => {
        if (ino === current.ino && name !== "." && name !== "..") found = name;
        return found === "";
      });
      if (found === "") throw new FsError(ENOENT, "realpath", path);
      parts.unshift(found);
      current = parent;
    }
    return `/${parts.join("/")}`;
  }

  // ---- attributes ----

  async stat(path: string): Promise<Stats> {
    return new Stats(this.#find(path, "stat"));
  }
  async lstat(path: string): Promise<Stats> {
    return new Stats(this.#find(path, "lstat", false));
  }
  /** Only whether the path exists: there is no user whose permissions could count. */
  async access(path: string): Promise<void> {
    this.#find(path, "access");
  }
  async chmod(path: string, mode: number): Promise<void> {
    check(this.#find(path, "chmod").setattr({ mode }), "chmod", path);
  }
  async chown(path: string, uid: number, gid: number): Promise<void> {
    check(this.#find(path, "chown").setattr({ uid, gid }), "chown", path);
  }
  async lchown(path: string, uid: number, gid: number): Promise<void> {
    check(this.#find(path, "lchown", false).setattr({ uid, gid }), "lchown", path);
  }
  async utimes(path: string, atime: number | string | Date, mtime: number | string | Date): Promise<void> {
    check(this.#find(path, "utime").setattr({ atime: toTime(atime), mtime: toTime(mtime) }), "utime", path);
  }
  async lutimes(path: string, atime: number | string | Date, mtime: number | string | Date): Promise<void> {
    check(this.#find(path, "lutime", false).setattr({ atime: toTime(atime), mtime: toTime(mtime) }), "lutime", path);
  }

  /** As Node's StatFs: type, bsize, blocks, bfree, bavail, files, ffree. */
  async statfs(_path: string = "/"): Promise<{
    type: number;
    bsize: number;
    blocks: number;
    bfree: number;
    bavail: number;
    files: number;
    ffree: number;
  }> {
    const s: Omit<VolumeStatus, "fsid"> = this.#fs.statfs();
    return {
      type: s.type,
      bsize: s.blockSize,
      blocks: s.blocks,
      bfree: s.blocksFree,
      bavail: s.blocksAvailable,
      files: s.files,
      ffree: s.filesFree,
    };
  }
}

/** The facade over a mounted volume. The volume stays yours: unmount it when you are done. */
export function promises(fs: Ext4FileSystem): Ext4Promises {
  return new Ext4Promises(fs);
}
