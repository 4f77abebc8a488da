/** A folder in memory: for tests, and for a page in a browser that hands files to a guest and takes its results. */
import {
  EBADF,
  EEXIST,
  EINVAL,
  EISDIR,
  ENOENT,
  ENOSPC,
  ENOTDIR,
  ENOTEMPTY,
  EPERM,
  type FolderChange,
  type FolderSpace,
  type FolderStat,
  type FolderTime,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  type SharedFolder,
} from "./folder.ts";

interface Node {
  readonly inode: number;
  mode: number;
  uid: number;
  gid: number;
  nlink: number;
  atime: FolderTime;
  mtime: FolderTime;
  ctime: FolderTime;
  /** Contents of a file; `size` bytes count. */
  bytes: Uint8Array;
  size: number;
  /** Target of a link. */
  target: string;
  /** Entries of a directory. */
  readonly children: Map<string, Node>;
}

export interface MemoryFolderOptions {
  /** Bytes of all files; beyond it ENOSPC. Default 256 MiB. */
  readonly capacity?: number;
  readonly now: () => FolderTime;
  /** Files to begin with, by path; directories are made as needed. */
  readonly files?: Readonly<Record<string, Uint8Array>>;
}

export class MemoryFolder implements SharedFolder {
  readonly #now: () => FolderTime;
  readonly #root: Node;
  readonly #open: (Node | null)[] = [];
  readonly #capacity: number;
  #usedBytes = 0;
  #nextInode = 1;

  constructor(options: MemoryFolderOptions) {
    this.#capacity = options.capacity ?? 256 << 20;
    this.#now = options.now;
    this.#root = this.#node(S_IFDIR | 0o755);
    for (const [path, bytes] of Object.entries(options.files ?? {})) this.put(path, bytes);
  }

  /** Puts a file, and the directories on its way. Throws RangeError if something else is there. */
  put(path: string, bytes: Uint8Array): void {
    const names = path.split("/");
    for (let i = 1; i < names.length; i++) this.makeDirectory(names.slice(0, i).join("/"), 0o755);
    let handle = this.create(path, 0o644);
    if (handle === -EEXIST) handle = this.open(path);
    if (handle < 0) throw new RangeError(`"path" expected a place for a file, got "${path}"`);
    const node = this.#open[handle]!;
    this.close(handle);
    if (!this.#resize(node, bytes.length)) throw new RangeError(`"bytes" expected at most the capacity`);
    node.bytes.set(bytes);
    node.size = bytes.length;
  }

  /** Contents of a file, or undefined if there is none. */
  get(path: string): Uint8Array | undefined {
    const node = this.#find(path);
    return node !== undefined && (node.mode & S_IFMT) === S_IFREG ? node.bytes.slice(0, node.size) : undefined;
  }

  stat(path: string): FolderStat | number {
    const node = this.#find(path);
    return node === undefined ? -ENOENT : statOf(node);
  }

  list(path: string): readonly string[] | number {
    const node = this.#find(path);
    if (node === undefined) return -ENOENT;
    return isDirectory(node) ? [...node.children.keys()] : -ENOTDIR;
  }

  readLink(path: string): string | number {
    const node = this.#find(path);
    if (node === undefined) return -ENOENT;
    return (node.mode & S_IFMT) === S_IFLNK ? node.target : -EINVAL;
  }

  open(path: string): number {
    const node = this.#find(path);
    if (node === undefined) return -ENOENT;
    return isDirectory(node) ? -EISDIR : this.#handle(node);
  }

  create(path: string, mode: number): number {
    const node = this.#node(S_IFREG | mode);
    const error = this.#insert(path, node);
    return error < 0 ? error : this.#handle(node);
  }

  statOpen(handle: number): FolderStat | number {
    const node = this.#open[handle];
    return node ? statOf(node) : -EBADF;
  }

  read(handle: number, target: Uint8Array, offset: number): number {
    const node = this.#open[handle];
    if (!node) return -EBADF;
    const count = Math.max(Math.min(target.length, node.size - offset), 0);
    target.set(node.bytes.subarray(offset, offset + count));
    return count;
  }

  write(handle: number, source: Uint8Array, offset: number): number {
    const node = this.#open[handle];
    if (!node) return -EBADF;
    const end = offset + source.length;
    if (
      end > node.bytes.length &&
      !this.#resize(node, Math.max(end, 2 * node.bytes.length)) &&
      !this.#resize(node, end)
    )
      return -ENOSPC;
    node.bytes.set(source, offset);
    node.size = Math.max(node.size, end);
    node.mtime = node.ctime = this.#now();
    return source.length;
  }

  sync(): number {
    return 0;
  }

  close(handle: number): void {
    this.#open[handle] = null;
  }

  makeDirectory(path: string, mode: number): number {
    return this.#insert(path, this.#node(S_IFDIR | mode));
  }

  makeSymlink(path: string, target: string): number {
    const node = this.#node(S_IFLNK | 0o777);
    node.target = target;
    node.size = target.length;
    return this.#insert(path, node);
  }

  link(existing: string, path: string): number {
    const node = this.#find(existing);
    if (node === undefined) return -ENOENT;
    if (isDirectory(node)) return -EPERM;
    const error = this.#insert(path, node);
    if (error === 0) node.nlink++;
    return error;
  }

  rename(from: string, to: string): number {
    const node = this.#find(from);
    const source = this.#parent(from);
    const target = this.#parent(to);
    if (node === undefined || source === undefined || target === undefined) return -ENOENT;
    const existing = target.children.get(nameOf(to));
    if (existing === node) return 0;
    if (to.startsWith(`${from}/`)) return -EINVAL;
    if (existing !== undefined) {
      if (isDirectory(existing) !== isDirectory(node)) return isDirectory(node) ? -ENOTDIR : -EISDIR;
      if (existing.children.size > 0) return -ENOTEMPTY;
      existing.nlink--;
    }
    source.children.delete(nameOf(from));
    target.children.set(nameOf(to), node);
    return 0;
  }

  remove(path: string, wantsDirectory: boolean): number {
    const node = this.#find(path);
    const parent = this.#parent(path);
    if (node === undefined || parent === undefined) return -ENOENT;
    if (isDirectory(node) !== wantsDirectory) return wantsDirectory ? -ENOTDIR : -EISDIR;
    if (node.children.size > 0) return -ENOTEMPTY;
    parent.children.delete(nameOf(path));
    node.nlink--;
    return 0;
  }

  change(path: string, change: FolderChange): number {
    const node = this.#find(path);
    if (node === undefined) return -ENOENT;
    if (change.size !== undefined) {
      if (isDirectory(node)) return -EISDIR;
      if (!this.#resize(node, change.size)) return -ENOSPC;
      node.size = change.size;
      node.mtime = this.#now();
    }
    if (change.mode !== undefined) node.mode = (node.mode & S_IFMT) | change.mode;
    node.uid = change.uid ?? node.uid;
    node.gid = change.gid ?? node.gid;
    node.atime = change.atime ?? node.atime;
    node.mtime = change.mtime ?? node.mtime;
    node.ctime = this.#now();
    return 0;
  }

  space(): FolderSpace {
    const blocks = Math.floor(this.#capacity / 4096);
    const freeBlocks = Math.floor((this.#capacity - this.#usedBytes) / 4096);
    return { blockSize: 4096, blocks, freeBlocks, files: this.#nextInode - 1, freeFiles: 1 << 20 };
  }

  #node(mode: number): Node {
    const now = this.#now();
    return {
      inode: this.#nextInode++,
      mode,
      uid: 0,
      gid: 0,
      nlink: 1,
      atime: now,
      mtime: now,
      ctime: now,
      bytes: new Uint8Array(0),
      size: 0,
      target: "",
      children: new Map(),
    };
  }

  /** Room for `size` bytes; what is new reads as zero. False if the folder is full. */
  #resize(node: Node, size: number): boolean {
    const used = this.#usedBytes + size - node.bytes.length;
    if (used > this.#capacity) return false;
    const bytes = new Uint8Array(size);
    bytes.set(node.bytes.subarray(0, Math.min(node.size, size)));
    node.bytes = bytes;
    this.#usedBytes = used;
    return true;
  }

  #handle(node: Node): number {
    const free = this.#open.indexOf(null);
    const handle = free < 0 ? this.#open.length : free;
    this.#open[handle] = node;
    return handle;
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#root;
    if (path !== "") for (const name of path.split("/")) node = node?.children.get(name);
    return node;
  }

  #parent(path: string): Node | undefined {
    return path === "" ? undefined : this.#find(path.slice(0, Math.max(path.lastIndexOf("/"), 0)));
  }

  #insert(path: string, node: Node): number {
    const parent = this.#parent(path);
    if (parent === undefined) return path === "" ? -EEXIST : -ENOENT;
    if (!isDirectory(parent)) return -ENOTDIR;
    if (parent.children.has(nameOf(path))) return -EEXIST;
    parent.children.set(nameOf(path), node);
    parent.mtime = parent.ctime = this.#now();
    return 0;
  }
}

function isDirectory(node: Node): boolean {
  return (node.mode & S_IFMT) === S_IFDIR;
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function statOf(node: Node): FolderStat {
  const { inode, mode, uid, gid, size, atime, mtime, ctime } = node;
  const nlink = isDirectory(node) ? 2 : node.nlink;
  return { inode, mode, uid, gid, nlink, size, atime, mtime, ctime };
}
