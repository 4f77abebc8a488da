/**
 * The seeds' Inode: an object per path, with `find lookup ls readAt writeAt truncate create remove parent rename`.
 *
 * A face over the VFS inodes for those who think in paths. Each call resolves its path anew, so an object stays valid as long
 * as its path exists; identity and open-but-unlinked files are the business of `Ext4Inode`. Paths are relative to the
 * directory the object stands for (a leading "/" too); ".", "..", "//" and trailing slashes are understood, and ".."
 * never leaves the root. Symbolic links in the middle of a path are followed, a last one is not.
 */
import { EEXIST, EINVAL, EISDIR, ELOOP, ENOENT, ENOTDIR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from "linux-abi";
import type { Ext4FileSystem } from "./vfs/file-system.ts";
import type { Ext4Inode } from "./vfs/inode.ts";

/** What `create` makes. */
export type InodeType = "file" | "directory";

const MAX_LINKS = 40;

export class PathInode {
  readonly #fs: Ext4FileSystem;
  /** Absolute and normalised: "/" or "/a/b". */
  readonly path: string;

  constructor(fs: Ext4FileSystem, path: string) {
    this.#fs = fs;
    this.path = normalizePath(path);
  }

  /** The absolute, normalised path that `path` means here. */
  resolvePath(path: string): string {
    return normalizePath(`${this.path}/${path}`);
  }

  /** The inode behind this path, or -errno. */
  inode(): Ext4Inode | number {
    return walk(this.#fs, this.path);
  }

  /** Finds an entry of this directory by its plain name. */
  find(name: string): PathInode | undefined {
    if (name.includes("/")) return undefined;
    return this.lookup(name);
  }

  /** Finds a file or directory by path. */
  lookup(path: string): PathInode | undefined {
    const full = this.resolvePath(path);
    const inode = walk(this.#fs, full);
    if (typeof inode === "number") return undefined;
    if (/\/\.?$/.test(path) && (inode.mode & S_IFMT) !== S_IFDIR) return undefined;
    return new PathInode(this.#fs, full);
  }

  /** Names in this directory without "." and "..", or -errno. */
  ls(): string[] | number {
    const inode = this.inode();
    if (typeof inode === "number") return inode;
    const names: string[] = [];
    const error = inode.readdir(0, (name) => {
      if (name !== "." && name !== "..") names.push(name);
      return true;
    });
    return error < 0 ? error : names;
  }

  /** Bytes read, or -errno. */
  readAt(offset: number, buf: Uint8Array): number {
    const inode = this.inode();
    return typeof inode === "number" ? inode : inode.readAt(offset, buf);
  }

  /** Bytes written, or -errno. */
  writeAt(offset: number, buf: Uint8Array): number {
    const inode = this.inode();
    return typeof inode === "number" ? inode : inode.writeAt(offset, buf);
  }

  /** 0 or -errno. */
  truncate(size: number): number {
    const inode = this.inode();
    return typeof inode === "number" ? inode : inode.truncate(size);
  }

  /** Creates a file or directory; one that is there already is emptied (file) or taken as it is (directory). */
  create(path: string, type: InodeType): PathInode | number {
    const full = this.resolvePath(path);
    if (full === this.path) return -EEXIST;
    const existing = walk(this.#fs, full);
    if (typeof existing !== "number") {
      const isDirectory = (existing.mode & S_IFMT) === S_IFDIR;
      if (isDirectory !== (type === "directory")) return isDirectory ? -EISDIR : -ENOTDIR;
      const error = isDirectory ? 0 : existing.truncate(0);
      return error < 0 ? error : new PathInode(this.#fs, full);
    }
    if (existing !== -ENOENT) return existing;
    const parent = walk(this.#fs, dirname(full));
    if (typeof parent === "number") return parent;
    const node = { mode: type === "directory" ? S_IFDIR | 0o755 : S_IFREG | 0o644, uid: 0, gid: 0, rdev: 0 };
    const made = type === "directory" ? parent.mkdir(basename(full), node) : parent.create(basename(full), node);
    return typeof made === "number" ? made : new PathInode(this.#fs, full);
  }

  /** Removes a file, or a directory with everything below it. 0 or -errno. */
  remove(path: string): number {
    const full = this.resolvePath(path);
    if (full === "/") return -EINVAL;
    const parent = walk(this.#fs, dirname(full));
    if (typeof parent === "number") return parent;
    return removeTree(parent, basename(full));
  }

  /** The directory above; undefined for a file, and for the root. */
  parent(): PathInode | undefined {
    const inode = this.inode();
    if (typeof inode === "number" || (inode.mode & S_IFMT) !== S_IFDIR || this.path === "/") return undefined;
    return new PathInode(this.#fs, dirname(this.path));
  }

  /** Moves `from` to `to`, both relative to this directory. 0 or -errno. */
  rename(from: string, to: string): number {
    const source = this.resolvePath(from);
    const target = this.resolvePath(to);
    if (source === "/" || target === "/" || `${target}/`.startsWith(`${source}/`))
      return source === target && source !== "/" ? 0 : -EINVAL;
    const sourceDir = walk(this.#fs, dirname(source));
    if (typeof sourceDir === "number") return sourceDir;
    const targetDir = walk(this.#fs, dirname(target));
    if (typeof targetDir === "number") return targetDir;
    return sourceDir.rename(basename(source), targetDir, basename(target), 0);
  }
}

/** Lexical: "//" and "." vanish, ".." takes away what is before it. */
export function normalizePath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") parts.pop();
    else parts.push(part);
  }
  return `/${parts.join("/")}`;
}

export function dirname(path: string): string {
  const at = path.lastIndexOf("/");
  return at <= 0 ? "/" : path.slice(0, at);
}

export function basename(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Resolves a path from the root. `followLast`: also when the last component is a symbolic link. */
export function walk(fs: Ext4FileSystem, path: string, followLast: boolean = false): Ext4Inode | number {
  let parts = path.split("/").filter((part) => part !== "" && part !== ".");
  let links = 0;
  const chain: Ext4Inode[] = [fs.root()];
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i];
    if (part === "..") {
      if (chain.length > 1) chain.pop();
      continue;
    }
    const next = chain[chain.length - 1].lookup(part);
    if (typeof next === "number") return next;
    const isLast = i === parts.length - 1;
    if ((next.mode & S_IFMT) === S_IFLNK && (!isLast || followLast)) {
      if (++links > MAX_LINKS) return -ELOOP;
      const target = next.readlink();
      if (typeof target === "number") return target;
      if (target.startsWith("/")) chain.length = 1;
      parts = [...target.split("/").filter((p) => p !== "" && p !== "."), ...parts.slice(i + 1)];
      i = -1;
      continue;
    }
    chain.push(next);
  }
  return chain[chain.length - 1];
}

/** Removes `name` and all below it, without recursion. 0 or -errno. */
export function removeTree(parent: Ext4Inode, name: string): number {
  const stack: { dir: Ext4Inode; name: string }[] = [{ dir: parent, name }];
  while (stack.length > 0) {
    const { dir, name: entry } = stack[stack.length - 1];
    const inode = dir.lookup(entry);
    if (typeof inode === "number") return inode;
    if ((inode.mode & S_IFMT) !== S_IFDIR) {
      const error = dir.unlink(entry);
      if (error < 0) return error;
      stack.pop();
      continue;
    }
    let children = 0;
    const error = inode.readdir(0, (child) => {
      if (child !== "." && child !== "..") {
        stack.push({ dir: inode, name: child });
        children++;
      }
      return children < 256;
    });
    if (error < 0) return error;
    if (children > 0) continue;
    const removed = dir.rmdir(entry);
    if (removed < 0) return removed;
    stack.pop();
  }
  return 0;
}
