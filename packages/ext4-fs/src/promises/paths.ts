/** From paths to inodes, with errors thrown as Node throws them. Synchronous: what runs inside `Runner.run`. */
import {
  EEXIST,
  EINVAL,
  EISDIR,
  ELOOP,
  ENOENT,
  ENOTDIR,
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
import { basename, dirname, walk } from "../path-inode.ts";
import type { Ext4FileSystem } from "../vfs/file-system.ts";
import type { Ext4Inode } from "../vfs/inode.ts";
import { check, FsError } from "./errors.ts";

export const OWNER = { uid: 0, gid: 0, rdev: 0 } as const;
export const isDirectory = (inode: Ext4Inode): boolean => (inode.mode & S_IFMT) === S_IFDIR;
export const isSymlink = (inode: Ext4Inode): boolean => (inode.mode & S_IFMT) === S_IFLNK;
export const isFile = (inode: Ext4Inode): boolean => (inode.mode & S_IFMT) === S_IFREG;
export const join = (dir: string, name: string): string => `${dir.replace(/\/+$/, "")}/${name}`;

/** A path as given: strings, file URLs' paths, bytes of UTF-8. */
export type PathLike = string | Uint8Array | { readonly pathname: string };

/** @throws TypeError when it is none or holds a NUL. */
export function toPath(path: PathLike): string {
  let text: string;
  if (typeof path === "string") text = path;
  else if (path instanceof Uint8Array) text = new TextDecoder().decode(path);
  else if (typeof path?.pathname === "string") text = decodeURIComponent(path.pathname);
  else throw new TypeError('"path" expected string, Uint8Array or URL');
  if (text.includes("\0")) throw new TypeError('"path" expected string without NUL');
  return text;
}

export class Paths {
  readonly fs: Ext4FileSystem;

  constructor(fs: Ext4FileSystem) {
    this.fs = fs;
  }

  /** The inode, or -errno. */
  lookup(path: string, follow: boolean): Ext4Inode | number {
    return path === "" ? -ENOENT : walk(this.fs, path, follow || path.endsWith("/"));
  }

  find(path: string, syscall: string, follow: boolean = true): Ext4Inode {
    const inode = check<Ext4Inode>(this.lookup(path, follow), syscall, path);
    if (path.endsWith("/") && !isDirectory(inode)) throw new FsError(ENOTDIR, syscall, path);
    return inode;
  }

  /** The directory that holds (or will hold) the last component of `path`, and that component. */
  parent(path: string, syscall: string): { dir: Ext4Inode; name: string } {
    if (path === "") throw new FsError(ENOENT, syscall, path);
    const clean = path.replace(/\/+$/, "");
    const name = basename(clean);
    if (name === "" || name === "." || name === "..") throw new FsError(name === "" ? EEXIST : EINVAL, syscall, path);
    return { dir: this.find(dirname(clean.startsWith("/") ? clean : `/${clean}`), syscall), name };
  }

  /** open(2): the inode, made or emptied as the flags say. */
  open(path: string, flags: number, mode: number): Ext4Inode {
    const inode = this.#openInode(path, flags, mode);
    const writes = (flags & O_ACCMODE) !== O_RDONLY || (flags & O_TRUNC) !== 0;
    if (isDirectory(inode) && writes) throw new FsError(EISDIR, "open", path);
    if ((flags & O_DIRECTORY) !== 0 && !isDirectory(inode)) throw new FsError(ENOTDIR, "open", path);
    if ((flags & O_TRUNC) !== 0 && inode.size > 0) check(inode.truncate(0), "open", path);
    return inode;
  }

  #openInode(path: string, flags: number, mode: number): Ext4Inode {
    const isExclusive = (flags & (O_CREAT | O_EXCL)) === (O_CREAT | O_EXCL);
    const found = this.lookup(path, (flags & O_NOFOLLOW) === 0 && !isExclusive);
    if (typeof found !== "number") {
      if (isExclusive) throw new FsError(EEXIST, "open", path);
      if (isSymlink(found)) throw new FsError(ELOOP, "open", path);
      if (path.endsWith("/") && !isDirectory(found)) throw new FsError(ENOTDIR, "open", path);
      return found;
    }
    if (found !== -ENOENT || (flags & O_CREAT) === 0) throw new FsError(found, "open", path);
    if (path.endsWith("/")) throw new FsError(EISDIR, "open", path);
    const { dir, name } = this.parent(this.throughLinks(path), "open");
    return check(dir.create(name, { ...OWNER, mode: S_IFREG | (mode & 0o7777) }), "open", path);
  }

  /** Where a file would be made whose name is a symbolic link to nothing yet. */
  throughLinks(path: string): string {
    let current = path;
    for (let links = 0; links < 40; links++) {
      const inode = this.lookup(current, false);
      if (typeof inode === "number" || !isSymlink(inode)) return current;
      const target = check<string>(inode.readlink(), "open", path);
      current = target.startsWith("/") ? target : `${dirname(current)}/${target}`;
    }
    throw new FsError(ELOOP, "open", path);
  }

  /** Whether `dir` is `above` or lies below it. */
  isBelow(dir: Ext4Inode, above: Ext4Inode): boolean {
    for (let at: Ext4Inode | number = dir, steps = 0; typeof at !== "number" && steps < 10_000; steps++) {
      if (at === above) return true;
      if (at === this.fs.root()) return false;
      at = at.lookup("..");
    }
    return false;
  }

  /** The path without symbolic links, "." and "..". */
  real(path: string): string {
    let current = this.find(path, "realpath");
    const parts: string[] = [];
    if (!isDirectory(current)) {
      const real = this.throughLinks(path);
      parts.push(basename(real));
      current = this.find(dirname(real.startsWith("/") ? real : `/${real}`), "realpath");
    }
    while (current !== this.fs.root()) {
      const parent = check<Ext4Inode>(current.lookup(".."), "realpath", path);
      let found = "";
      const error = parent.readdir(0, (name, ino) => {
        if (ino === current.ino && name !== "." && name !== "..") found = name;
        return found === "";
      });
      check(error, "realpath", path);
      if (found === "") throw new FsError(ENOENT, "realpath", path);
      parts.unshift(found);
      current = parent;
    }
    return `/${parts.join("/")}`;
  }
}
