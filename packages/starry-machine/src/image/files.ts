/**
 * Files of a mounted file system by path, for the image commands and for copying into and out of a machine's disk.
 *
 * Works on vfs-inode's contract, so it is as good for ext4 as for tmpfs. No permissions are checked: whoever holds the
 * image is its owner. Failures throw a {@link FileError} with the errno, the operation's object named.
 */
import {
  DT_DIR,
  EINVAL,
  EISDIR,
  ELOOP,
  ENOENT,
  ENOTDIR,
  errnoMessage,
  errnoName,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
} from "linux-abi";
import { type Attributes, type FileSystem, type Inode, newAttributes } from "vfs-inode";
import { FileTree, type TreeNode } from "./tree.ts";

/** `code` as Node's errors have it ("ENOENT"), `errno` negative. */
export class FileError extends Error {
  override readonly name = "FileError";
  readonly code: string;
  readonly errno: number;
  readonly path: string;

  constructor(errno: number, path: string) {
    super(`${path}: ${errnoMessage(errno)}`);
    this.errno = errno;
    this.code = errnoName(errno);
    this.path = path;
  }
}

export interface DirectoryItem {
  readonly name: string;
  readonly ino: number;
  /** DT_* */
  readonly type: number;
}

const MAX_LINKS = 40;
const COPY_BYTES = 1 << 20;

export class ImageFiles {
  readonly fs: FileSystem;

  constructor(fs: FileSystem) {
    this.fs = fs;
  }

  /** The inode at `path`, referenced: the caller calls `unref`. */
  open(path: string, options: { followLast?: boolean } = {}): Inode {
    const todo = names(path).reverse();
    // The way from the root: an inode each, so that ".." can go back.
    const way: Inode[] = [referenced(this.fs.root())];
    const end = () => way[way.length - 1];
    let links = 0;
    try {
      while (todo.length > 0) {
        const name = todo.pop() as string;
        if (name === "..") {
          if (way.length > 1) way.pop()?.unref();
          continue;
        }
        const next = end().lookup(name);
        if (typeof next === "number") throw new FileError(next, path);
        if ((next.mode & S_IFMT) === S_IFLNK && (todo.length > 0 || options.followLast !== false)) {
          const target = next.readlink();
          if (typeof target === "number") throw new FileError(target, path);
          if (++links > MAX_LINKS) throw new FileError(-ELOOP, path);
          if (target.startsWith("/")) while (way.length > 1) way.pop()?.unref();
          todo.push(...names(target).reverse());
        } else {
          way.push(referenced(next));
        }
      }
      const found = end();
      found.ref();
      return found;
    } finally {
      for (const inode of way) inode.unref();
    }
  }

  exists(path: string): boolean {
    try {
      this.open(path).unref();
      return true;
    } catch (error) {
      if (error instanceof FileError) return false;
      throw error;
    }
  }

  stat(path: string, options: { followLast?: boolean } = {}): Attributes {
    return this.#with(path, options, (inode) => {
      const attributes = newAttributes();
      inode.getattr(attributes);
      return attributes;
    });
  }

  /** Entries without "." and "..", by name. */
  list(path: string): DirectoryItem[] {
    return this.#with(path, {}, (inode) => {
      const items: DirectoryItem[] = [];
      const result = inode.readdir(0, (name, ino, type) => {
        if (name !== "." && name !== "..") items.push({ name, ino, type });
        return true;
      });
      if (result < 0) throw new FileError(result, path);
      return items.sort((a, b) => (a.name < b.name ? -1 : 1));
    });
  }

  readlink(path: string): string {
    return this.#with(path, { followLast: false }, (inode) => {
      const target = inode.readlink();
      if (typeof target === "number") throw new FileError(target, path);
      return target;
    });
  }

  read(path: string): Uint8Array {
    return this.#with(path, {}, (inode) => readAll(inode, path));
  }

  /** Passes the content on in pieces of at most 1 MiB; a piece is valid until the next. */
  readPieces(path: string, sink: (piece: Uint8Array) => void): void {
    this.#with(path, {}, (inode) => {
      if ((inode.mode & S_IFMT) === S_IFDIR) throw new FileError(-EISDIR, path);
      const buffer = new Uint8Array(COPY_BYTES);
      for (let at = 0; ; ) {
        const count = inode.readAt(at, buffer);
        if (count < 0) throw new FileError(count, path);
        if (count === 0) return;
        sink(buffer.subarray(0, count));
        at += count;
      }
    });
  }

  /** Creates or replaces a regular file. Its folder must exist. */
  write(path: string, data: Uint8Array, attributes: { mode?: number; uid?: number; gid?: number } = {}): void {
    const mode = attributes.mode ?? 0o644;
    const { uid = 0, gid = 0 } = attributes;
    this.#inParent(path, (parent, name) => {
      const existing = parent.lookup(name);
      const result = existing === -ENOENT ? parent.create(name, { mode: S_IFREG | mode, uid, gid, rdev: 0 }) : existing;
      if (typeof result === "number") throw new FileError(result, path);
      const inode = referenced(result);
      try {
        if (existing !== -ENOENT) check(inode.truncate(0), path);
        for (let at = 0; at < data.length; ) at += check(inode.writeAt(at, data.subarray(at)), path);
      } finally {
        inode.unref();
      }
    });
  }

  /** `parents`: also the missing folders above, and no complaint if it exists (mkdir -p). */
  mkdir(path: string, options: { mode?: number; parents?: boolean } = {}): void {
    const node = { mode: S_IFDIR | (options.mode ?? 0o755), uid: 0, gid: 0, rdev: 0 };
    if (options.parents && this.exists(path)) {
      if ((this.stat(path).mode & S_IFMT) !== S_IFDIR) throw new FileError(-ENOTDIR, path);
      return;
    }
    const slash = path.replace(/\/+$/, "").lastIndexOf("/");
    if (options.parents && slash > 0) this.mkdir(path.slice(0, slash), { parents: true });
    this.#inParent(path, (parent, name) => {
      const made = parent.mkdir(name, node);
      if (typeof made === "number") throw new FileError(made, path);
    });
  }

  /** `recursive`: a directory with all it holds. */
  remove(path: string, options: { recursive?: boolean } = {}): void {
    const isDirectory = (this.stat(path, { followLast: false }).mode & S_IFMT) === S_IFDIR;
    if (isDirectory && options.recursive) {
      // Depth first, without recursion: a list of what is found, emptied from the end.
      const found = [path];
      for (let i = 0; i < found.length; i++) {
        for (const item of this.list(found[i])) {
          const child = `${found[i]}/${item.name}`;
          if (item.type === DT_DIR) found.push(child);
          else this.#inParent(child, (parent, name) => check(parent.unlink(name), child));
        }
      }
      for (const directory of found.reverse())
        this.#inParent(directory, (parent, name) => check(parent.rmdir(name), directory));
      return;
    }
    this.#inParent(path, (parent, name) => check(isDirectory ? parent.rmdir(name) : parent.unlink(name), path));
  }

  /** The tree below `path` in memory; files of several names come once, then as hard links. */
  readTree(path: string): FileTree {
    const tree = new FileTree();
    const start = this.open(path);
    const firstName = new Map<number, string>();
    const todo: (readonly [string, Inode])[] = [["", start]];
    for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
      const [at, inode] = next;
      tree.add(at === "" ? "/" : at, nodeOf(inode, at, firstName));
      if ((inode.mode & S_IFMT) === S_IFDIR) {
        const children: string[] = [];
        check(
          inode.readdir(0, (name) => (name === "." || name === ".." ? true : children.push(name) > 0)),
          at,
        );
        for (const name of children) {
          const child = inode.lookup(name);
          if (typeof child === "number") throw new FileError(child, `${at}/${name}`);
          todo.push([`${at}/${name}`, referenced(child)]);
        }
      }
      inode.unref();
    }
    return tree;
  }

  #with<T>(path: string, options: { followLast?: boolean }, use: (inode: Inode) => T): T {
    const inode = this.open(path, options);
    try {
      return use(inode);
    } finally {
      inode.unref();
    }
  }

  #inParent(path: string, use: (parent: Inode, name: string) => void): void {
    const parts = names(path);
    const name = parts.pop();
    if (name === undefined || name === "..") throw new FileError(-EINVAL, path);
    this.#with(`/${parts.join("/")}`, {}, (parent) => use(parent, name));
  }
}

function nodeOf(inode: Inode, path: string, firstName: Map<number, string>): TreeNode {
  const attributes = newAttributes();
  inode.getattr(attributes);
  const common = { mode: inode.mode & 0o7777, uid: inode.uid, gid: inode.gid, mtime: attributes.mtime.sec };
  const type = inode.mode & S_IFMT;
  const first = firstName.get(inode.ino);
  if (type !== S_IFDIR && inode.nlink > 1) {
    if (first !== undefined) return { type: "hardlink", target: first, ...common };
    firstName.set(inode.ino, path);
  }
  switch (type) {
    case S_IFREG:
      return { type: "file", data: readAll(inode, path), ...common };
    case S_IFDIR:
      return { type: "directory", ...common };
    case S_IFLNK: {
      const target = inode.readlink();
      if (typeof target === "number") throw new FileError(target, path);
      return { type: "symlink", target, ...common };
    }
    case S_IFCHR:
      return { type: "char", rdev: inode.rdev, ...common };
    case S_IFBLK:
      return { type: "block", rdev: inode.rdev, ...common };
    case S_IFIFO:
      return { type: "fifo", ...common };
    default:
      return { type: "fifo", ...common }; // a socket's node means nothing outside a running machine
  }
}

function readAll(inode: Inode, path: string): Uint8Array {
  if ((inode.mode & S_IFMT) === S_IFDIR) throw new FileError(-EISDIR, path);
  const data = new Uint8Array(inode.size);
  let at = 0;
  while (at < data.length) {
    const count = check(inode.readAt(at, data.subarray(at)), path);
    if (count === 0) break;
    at += count;
  }
  return at === data.length ? data : data.subarray(0, at);
}

function check(result: number, path: string): number {
  if (result < 0) throw new FileError(result, path);
  return result;
}

/** Inodes that a file system returns are lent; a reference keeps one. */
function referenced(inode: Inode): Inode {
  inode.ref();
  return inode;
}

function names(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}
