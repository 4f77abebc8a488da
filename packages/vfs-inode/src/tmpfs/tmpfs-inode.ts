/**
 * One file, directory, symbolic link or special file of a tmpfs.
 *
 * Directory entries keep the cookie they got when they were added, so readdir goes on at the right place whatever is added or
 * removed meanwhile. An inode is freed when its link count and its references are both 0.
 */
import {
  EEXIST,
  EFBIG,
  EINVAL,
  EISDIR,
  ENODATA,
  ENOENT,
  ENOSPC,
  ENOTDIR,
  ENOTEMPTY,
  ENXIO,
  EOPNOTSUPP,
  EPERM,
  EROFS,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  F_SEAL_GROW,
  F_SEAL_SHRINK,
  F_SEAL_WRITE,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  XATTR_CREATE,
  XATTR_REPLACE,
} from "linux-abi";
import { direntType } from "../directory-types.ts";
import { InodeBase } from "../inode-base.ts";
import type { AttributeChanges, Attributes, DirectoryEmit, Inode, NewNode, Timespec } from "../inode.ts";
import { PAGE_SIZE } from "../page-cache.ts";
import { utf8Length } from "../walk.ts";
import type { Tmpfs } from "./tmpfs.ts";

interface Entry {
  inode: TmpfsInode;
  readonly cookie: number;
}

interface Page {
  readonly frame: number;
  readonly bytes: Uint8Array;
}

/** readdir cookies of ".", ".." and the first entry. */
const COOKIE_DOTDOT = 1;
const COOKIE_FIRST = 2;
/** What a directory entry adds to st_size of its directory, as Linux's shmem counts. */
const BOGO_DIRENT_SIZE = 20;
const MAX_FILE_SIZE = Number.MAX_SAFE_INTEGER;
const XATTR_SIZE_MAX = 65536;

export class TmpfsInode extends InodeBase {
  readonly fs: Tmpfs;
  readonly ino: number;
  mode: number;
  uid: number;
  gid: number;
  nlink: number;
  /** F_SEAL_* (memfd). */
  seals = 0;
  readonly #rdev: number;
  #size = 0;
  #refs = 0;
  #freed = false;
  #parent: TmpfsInode | null;
  #target = "";
  readonly #entries: Map<string, Entry> | null;
  #nextCookie = COOKIE_FIRST;
  readonly #pages = new Map<number, Page>();
  #xattrs: Map<string, Uint8Array> | null = null;
  readonly #atime: Timespec = { sec: 0, nsec: 0 };
  readonly #mtime: Timespec = { sec: 0, nsec: 0 };
  readonly #ctime: Timespec = { sec: 0, nsec: 0 };
  readonly #btime: Timespec = { sec: 0, nsec: 0 };

  constructor(fs: Tmpfs, ino: number, node: NewNode, parent: TmpfsInode | null) {
    super();
    this.fs = fs;
    this.ino = ino;
    this.mode = node.mode;
    this.uid = node.uid;
    this.gid = node.gid;
    this.#rdev = node.rdev;
    const isDirectory = (node.mode & S_IFMT) === S_IFDIR;
    this.nlink = isDirectory ? 2 : 1;
    this.#parent = parent;
    this.#entries = isDirectory ? new Map() : null;
    fs.now(this.#btime);
    copyTime(this.#atime, this.#btime);
    copyTime(this.#mtime, this.#btime);
    copyTime(this.#ctime, this.#btime);
  }

  override get size(): number {
    return this.#entries === null ? this.#size : this.#entries.size * BOGO_DIRENT_SIZE + 2 * BOGO_DIRENT_SIZE;
  }

  override get rdev(): number {
    return this.#rdev;
  }

  override ref(): void {
    this.#refs++;
  }

  override unref(): void {
    this.#refs--;
    this.#freeIfUnused();
  }

  #freeIfUnused(): void {
    if (this.nlink > 0 || this.#refs > 0 || this.#freed) return;
    this.#freed = true;
    for (const page of this.#pages.values()) this.fs.returnFrame(page.frame);
    this.#pages.clear();
    this.fs.inodeFreed();
  }

  /** Frees everything below: the file system is unmounted. */
  freeTree(): void {
    const stack: TmpfsInode[] = [this];
    for (let inode = stack.pop(); inode !== undefined; inode = stack.pop()) {
      if (inode.#entries !== null) for (const entry of inode.#entries.values()) stack.push(entry.inode);
      inode.#entries?.clear();
      inode.nlink = 0;
      inode.#freeIfUnused();
    }
  }

  getattr(out: Attributes): void {
    out.ino = this.ino;
    out.mode = this.mode;
    out.nlink = this.nlink;
    out.uid = this.uid;
    out.gid = this.gid;
    out.rdev = this.#rdev;
    out.size = this.size;
    out.blocks512 = this.#pages.size * (PAGE_SIZE / 512);
    out.blockSize = PAGE_SIZE;
    copyTime(out.atime, this.#atime);
    copyTime(out.mtime, this.#mtime);
    copyTime(out.ctime, this.#ctime);
    out.btime = { ...this.#btime };
  }

  override setattr(changes: AttributeChanges): number {
    if (this.fs.readOnly) return -EROFS;
    if (changes.mode !== undefined) this.mode = (this.mode & S_IFMT) | (changes.mode & 0o7777);
    if (changes.uid !== undefined) this.uid = changes.uid;
    if (changes.gid !== undefined) this.gid = changes.gid;
    if (changes.atime !== undefined) copyTime(this.#atime, changes.atime);
    if (changes.mtime !== undefined) copyTime(this.#mtime, changes.mtime);
    this.fs.now(this.#ctime);
    return 0;
  }

  touchAtime(sec: number, nsec: number): void {
    this.#atime.sec = sec;
    this.#atime.nsec = nsec;
  }

  #modified(): void {
    this.fs.now(this.#mtime);
    copyTime(this.#ctime, this.#mtime);
  }

  // Directories

  override lookup(name: string): Inode | number {
    if (this.#entries === null) return -ENOTDIR;
    return this.#entries.get(name)?.inode ?? -ENOENT;
  }

  /** Checks before a name is added; 0 or -errno. */
  #mayAdd(name: string): number {
    if (this.#entries === null) return -ENOTDIR;
    if (this.fs.readOnly) return -EROFS;
    if (this.#entries.has(name)) return -EEXIST;
    return this.nlink === 0 ? -ENOENT : 0;
  }

  #add(name: string, inode: TmpfsInode): void {
    (this.#entries as Map<string, Entry>).set(name, { inode, cookie: this.#nextCookie++ });
    this.#modified();
  }

  override create(name: string, node: NewNode): Inode | number {
    const error = this.#mayAdd(name);
    if (error !== 0) return error;
    const inode = this.fs.newInode(node, null);
    if (inode === undefined) return -ENOSPC;
    this.#add(name, inode);
    return inode;
  }

  override mkdir(name: string, node: NewNode): Inode | number {
    const error = this.#mayAdd(name);
    if (error !== 0) return error;
    const inode = this.fs.newInode({ ...node, mode: (node.mode & 0o7777) | S_IFDIR }, this);
    if (inode === undefined) return -ENOSPC;
    this.nlink++;
    this.#add(name, inode);
    return inode;
  }

  override symlink(name: string, target: string, node: NewNode): Inode | number {
    const error = this.#mayAdd(name);
    if (error !== 0) return error;
    const inode = this.fs.newInode({ ...node, mode: S_IFLNK | 0o777 }, null);
    if (inode === undefined) return -ENOSPC;
    inode.#target = target;
    inode.#size = utf8Length(target);
    this.#add(name, inode);
    return inode;
  }

  tmpfile(node: NewNode): Inode | number {
    if (this.fs.readOnly) return -EROFS;
    const inode = this.fs.newInode(node, null);
    if (inode === undefined) return -ENOSPC;
    inode.nlink = 0;
    return inode;
  }

  override link(name: string, target: Inode): number {
    const error = this.#mayAdd(name);
    if (error !== 0) return error;
    if (!(target instanceof TmpfsInode) || target.#entries !== null) return -EPERM;
    target.nlink++;
    this.fs.now(target.#ctime);
    this.#add(name, target);
    return 0;
  }

  override unlink(name: string): number {
    if (this.#entries === null) return -ENOTDIR;
    if (this.fs.readOnly) return -EROFS;
    const entry = this.#entries.get(name);
    if (entry === undefined) return -ENOENT;
    if (entry.inode.#entries !== null) return -EISDIR;
    this.#drop(name, entry.inode);
    return 0;
  }

  override rmdir(name: string): number {
    if (this.#entries === null) return -ENOTDIR;
    if (this.fs.readOnly) return -EROFS;
    const entry = this.#entries.get(name);
    if (entry === undefined) return -ENOENT;
    if (entry.inode.#entries === null) return -ENOTDIR;
    if (entry.inode.#entries.size > 0) return -ENOTEMPTY;
    this.#drop(name, entry.inode);
    return 0;
  }

  /** Takes a name away and what goes with it. */
  #drop(name: string, inode: TmpfsInode): void {
    (this.#entries as Map<string, Entry>).delete(name);
    this.#modified();
    if (inode.#entries !== null) {
      inode.nlink = 0;
      this.nlink--;
    } else inode.nlink--;
    copyTime(inode.#ctime, this.#ctime);
    inode.#freeIfUnused();
  }

  override rename(name: string, newParent: Inode, newName: string, flags: number): number {
    if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) !== 0) return -EINVAL;
    if (!(newParent instanceof TmpfsInode) || this.#entries === null || newParent.#entries === null) return -ENOTDIR;
    if (this.fs.readOnly) return -EROFS;
    const source = this.#entries.get(name);
    if (source === undefined) return -ENOENT;
    const target = newParent.#entries.get(newName);
    if ((flags & RENAME_EXCHANGE) !== 0) {
      if (target === undefined) return -ENOENT;
      const moved = source.inode;
      source.inode = target.inode;
      target.inode = moved;
      moved.#reparent(this, newParent);
      source.inode.#reparent(newParent, this);
      TmpfsInode.#stampBoth(this, newParent);
      return 0;
    }
    const moving = source.inode;
    if (target !== undefined) {
      if ((flags & RENAME_NOREPLACE) !== 0) return -EEXIST;
      if (target.inode === moving) return 0;
      if (moving.#entries !== null) {
        if (target.inode.#entries === null) return -ENOTDIR;
        if (target.inode.#entries.size > 0) return -ENOTEMPTY;
      } else if (target.inode.#entries !== null) return -EISDIR;
      newParent.#drop(newName, target.inode);
    } else if (newParent.nlink === 0) return -ENOENT;
    this.#entries.delete(name);
    newParent.#add(newName, moving);
    moving.#reparent(this, newParent);
    TmpfsInode.#stampBoth(this, newParent);
    this.fs.now(moving.#ctime);
    return 0;
  }

  /** ".." of a directory moves along, and so do the link counts. */
  #reparent(from: TmpfsInode, to: TmpfsInode): void {
    if (this.#entries === null || from === to) return;
    this.#parent = to;
    from.nlink--;
    to.nlink++;
  }

  static #stampBoth(a: TmpfsInode, b: TmpfsInode): void {
    a.#modified();
    if (a !== b) b.#modified();
  }

  override readdir(cookie: number, emit: DirectoryEmit): number {
    if (this.#entries === null) return -ENOTDIR;
    if (cookie === 0 && !emit(".", this.ino, direntType(S_IFDIR), COOKIE_DOTDOT)) return 0;
    const parent = this.#parent ?? this;
    if (cookie <= COOKIE_DOTDOT && !emit("..", parent.ino, direntType(S_IFDIR), COOKIE_FIRST)) return 0;
    for (const [name, entry] of this.#entries) {
      if (entry.cookie < cookie) continue;
      if (!emit(name, entry.inode.ino, direntType(entry.inode.mode), entry.cookie + 1)) return 0;
    }
    return 0;
  }

  // Files

  #isFile(): boolean {
    return (this.mode & S_IFMT) === S_IFREG;
  }

  override readAt(offset: number, buf: Uint8Array): number {
    if (this.#entries !== null) return -EISDIR;
    if (!this.#isFile()) return -EINVAL;
    const length = Math.min(buf.length, this.#size - offset);
    if (length <= 0) return 0;
    let done = 0;
    while (done < length) {
      const index = Math.floor((offset + done) / PAGE_SIZE);
      const from = offset + done - index * PAGE_SIZE;
      const count = Math.min(PAGE_SIZE - from, length - done);
      const page = this.#pages.get(index);
      if (page === undefined) buf.fill(0, done, done + count);
      else if (count === PAGE_SIZE) buf.set(page.bytes, done);
      else buf.set(page.bytes.subarray(from, from + count), done);
      done += count;
    }
    return done;
  }

  override writeAt(offset: number, buf: Uint8Array): number {
    if (this.#entries !== null) return -EISDIR;
    if (!this.#isFile()) return -EINVAL;
    if (this.fs.readOnly) return -EROFS;
    if (offset + buf.length > MAX_FILE_SIZE) return -EFBIG;
    if ((this.seals & F_SEAL_WRITE) !== 0) return -EPERM;
    if ((this.seals & F_SEAL_GROW) !== 0 && offset + buf.length > this.#size) return -EPERM;
    let done = 0;
    while (done < buf.length) {
      const index = Math.floor((offset + done) / PAGE_SIZE);
      const from = offset + done - index * PAGE_SIZE;
      const count = Math.min(PAGE_SIZE - from, buf.length - done);
      const page = this.#page(index);
      if (page === undefined) break;
      page.bytes.set(done === 0 && count === buf.length ? buf : buf.subarray(done, done + count), from);
      this.fs.allocator.modified?.(page.frame, from, count);
      done += count;
    }
    if (done === 0) return buf.length === 0 ? 0 : -ENOSPC;
    if (offset + done > this.#size) this.#size = offset + done;
    this.#modified();
    return done;
  }

  /** The page at `index`, made if absent; undefined when the file system is full. */
  #page(index: number): Page | undefined {
    let page = this.#pages.get(index);
    if (page === undefined) {
      const frame = this.fs.takeFrame();
      if (frame < 0) return undefined;
      page = { frame, bytes: this.fs.allocator.bytes(frame) };
      this.#pages.set(index, page);
    }
    return page;
  }

  pageFrame(index: number, create: boolean): number {
    if (!this.#isFile()) return -EINVAL;
    const page = create ? this.#page(index) : this.#pages.get(index);
    if (page === undefined) return create ? -ENOSPC : -ENOENT;
    return page.frame;
  }

  override truncate(size: number): number {
    if (this.#entries !== null) return -EISDIR;
    if (!this.#isFile()) return -EINVAL;
    if (this.fs.readOnly) return -EROFS;
    if (size > MAX_FILE_SIZE) return -EFBIG;
    if (size < this.#size && (this.seals & F_SEAL_SHRINK) !== 0) return -EPERM;
    if (size > this.#size && (this.seals & F_SEAL_GROW) !== 0) return -EPERM;
    if (size < this.#size) this.#discard(size, Math.ceil(this.#size / PAGE_SIZE) * PAGE_SIZE);
    this.#size = size;
    this.#modified();
    return 0;
  }

  /** Makes the bytes of a range zero, freeing whole pages. */
  #discard(start: number, end: number): void {
    const firstWhole = Math.ceil(start / PAGE_SIZE);
    const endWhole = Math.floor(end / PAGE_SIZE);
    if (endWhole - firstWhole > this.#pages.size) {
      for (const index of [...this.#pages.keys()]) if (index >= firstWhole && index < endWhole) this.#freePage(index);
    } else for (let index = firstWhole; index < endWhole; index++) this.#freePage(index);
    const head = Math.floor(start / PAGE_SIZE);
    if (head < firstWhole)
      this.#pages.get(head)?.bytes.fill(0, start - head * PAGE_SIZE, Math.min(end - head * PAGE_SIZE, PAGE_SIZE));
    if (endWhole >= firstWhole && end > endWhole * PAGE_SIZE)
      this.#pages.get(endWhole)?.bytes.fill(0, 0, end - endWhole * PAGE_SIZE);
  }

  #freePage(index: number): void {
    const page = this.#pages.get(index);
    if (page === undefined) return;
    this.#pages.delete(index);
    this.fs.returnFrame(page.frame);
  }

  override fallocate(mode: number, offset: number, byteLength: number): number {
    if (this.#entries !== null) return -EISDIR;
    if (this.fs.readOnly) return -EROFS;
    if ((mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) !== 0) return -EOPNOTSUPP;
    const end = offset + byteLength;
    if (end > MAX_FILE_SIZE) return -EFBIG;
    if ((mode & FALLOC_FL_PUNCH_HOLE) !== 0) {
      if (mode !== (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)) return -EOPNOTSUPP;
      if ((this.seals & F_SEAL_WRITE) !== 0) return -EPERM;
      this.#discard(offset, end);
      this.#modified();
      return 0;
    }
    if ((this.seals & F_SEAL_GROW) !== 0 && end > this.#size) return -EPERM;
    if ((mode & FALLOC_FL_ZERO_RANGE) !== 0) this.#discard(offset, end);
    const made: number[] = [];
    for (let index = Math.floor(offset / PAGE_SIZE); index * PAGE_SIZE < end; index++) {
      if (this.#pages.has(index)) continue;
      if (this.#page(index) === undefined) {
        for (const undo of made) this.#freePage(undo);
        return -ENOSPC;
      }
      made.push(index);
    }
    if ((mode & FALLOC_FL_KEEP_SIZE) === 0 && end > this.#size) this.#size = end;
    this.#modified();
    return 0;
  }

  override seekData(offset: number, data: boolean): number {
    if (offset >= this.#size) return -ENXIO;
    let index = Math.floor(offset / PAGE_SIZE);
    if (!data) {
      while (this.#pages.has(index)) index++;
      return Math.min(Math.max(index * PAGE_SIZE, offset), this.#size);
    }
    let best = Number.POSITIVE_INFINITY;
    if (this.#pages.has(index)) best = index;
    else for (const present of this.#pages.keys()) if (present > index && present < best) best = present;
    const found = Math.max(best * PAGE_SIZE, offset);
    return found < this.#size ? found : -ENXIO;
  }

  override readlink(): string | number {
    return (this.mode & S_IFMT) === S_IFLNK ? this.#target : -EINVAL;
  }

  // Extended attributes

  override getxattr(name: string): Uint8Array | number {
    return this.#xattrs?.get(name) ?? -ENODATA;
  }

  override setxattr(name: string, value: Uint8Array, flags: number): number {
    if (this.fs.readOnly) return -EROFS;
    if (!/^(user|trusted|security)\../.test(name)) return -EOPNOTSUPP;
    if (value.length > XATTR_SIZE_MAX) return -ENOSPC;
    const present = this.#xattrs?.has(name) ?? false;
    if (present && (flags & XATTR_CREATE) !== 0) return -EEXIST;
    if (!present && (flags & XATTR_REPLACE) !== 0) return -ENODATA;
    this.#xattrs ??= new Map();
    this.#xattrs.set(name, value.slice());
    this.fs.now(this.#ctime);
    return 0;
  }

  override listxattr(): readonly string[] | number {
    return this.#xattrs === null ? [] : [...this.#xattrs.keys()];
  }

  override removexattr(name: string): number {
    if (this.fs.readOnly) return -EROFS;
    if (this.#xattrs === null || !this.#xattrs.delete(name)) return -ENODATA;
    this.fs.now(this.#ctime);
    return 0;
  }
}

function copyTime(to: Timespec, from: Timespec): void {
  to.sec = from.sec;
  to.nsec = from.nsec;
}
