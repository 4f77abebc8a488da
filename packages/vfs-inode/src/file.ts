/**
 * An open file description over the VFS: what a descriptor of a regular file, directory or special file refers to.
 *
 * The kernel's descriptor table holds these behind its own OpenFile; guest-free users read and write with them directly.
 * The file pins its path until `close`, which is idempotent.
 */
import {
  EBADF,
  EFBIG,
  EINVAL,
  EISDIR,
  ENODEV,
  ENOENT,
  ENOTDIR,
  ENXIO,
  EOPNOTSUPP,
  EPERM,
  ESPIPE,
  FALLOC_FL_KEEP_SIZE,
  IN_ACCESS,
  IN_CLOSE_NOWRITE,
  IN_CLOSE_WRITE,
  IN_ISDIR,
  IN_MODIFY,
  MS_NOATIME,
  MS_NODIRATIME,
  MS_STRICTATIME,
  O_ACCMODE,
  O_APPEND,
  O_DSYNC,
  O_NOATIME,
  O_PATH,
  O_RDONLY,
  O_SYNC,
  O_WRONLY,
  SEEK_CUR,
  SEEK_DATA,
  SEEK_END,
  SEEK_HOLE,
  SEEK_SET,
  S_IFDIR,
  S_IFMT,
  S_IFREG,
} from "linux-abi";
import { dropPrivileges, isFrozen } from "./attributes.ts";
import type { Credentials } from "./credentials.ts";
import type { VfsNode } from "./dentry.ts";
import { type Attributes, type DirectoryEmit, type Inode, type SpecialFile, newAttributes } from "./inode.ts";
import type { Path } from "./path.ts";
import type { Vfs } from "./vfs.ts";

const $attributes: Attributes = newAttributes(); // scratch of the relatime decision
const $now = { sec: 0, nsec: 0 };
const DAY = 86400;

export class File {
  readonly vfs: Vfs;
  readonly path: Path;
  readonly node: VfsNode;
  readonly inode: Inode;
  /** open(2) flags; F_SETFL changes some. */
  flags: number;
  /** File offset in bytes; for directories the readdir cookie. */
  position = 0;
  /** Set for devices and special files of pseudo file systems. */
  readonly special: SpecialFile | null;
  readonly readable: boolean;
  readonly writable: boolean;
  /** Who opened it: writes are judged by these credentials. */
  readonly #credentials: Credentials;
  readonly #type: number;
  readonly #cached: boolean;
  #open = true;

  constructor(vfs: Vfs, credentials: Credentials, path: Path, flags: number, special: SpecialFile | null) {
    this.vfs = vfs;
    this.path = path;
    this.node = path.node;
    this.inode = path.node.inode;
    this.flags = flags;
    this.special = special;
    this.#credentials = credentials;
    this.#type = this.inode.mode & S_IFMT;
    const access = flags & O_ACCMODE;
    const usable = (flags & O_PATH) === 0;
    this.readable = usable && (access === O_RDONLY || access === 2);
    this.writable = usable && (access === O_WRONLY || access === 2);
    this.#cached = this.inode.fs.usesPageCache && this.#type === S_IFREG;
    if (this.writable && this.#type === S_IFREG) this.node.writers++;
    path.pin();
  }

  get isDirectory(): boolean {
    return this.#type === S_IFDIR;
  }

  /** The file has a position (regular files, directories, block devices). */
  get seekable(): boolean {
    return this.special === null ? this.#type === S_IFREG || this.#type === S_IFDIR : !this.special.stream;
  }

  /** read(2): from the position on, which moves. */
  read(buf: Uint8Array): number {
    const n = this.readAt(this.position, buf);
    if (n > 0) this.position += n;
    return n;
  }

  /** pread(2). */
  readAt(offset: number, buf: Uint8Array): number {
    if (!this.readable) return -EBADF;
    if (this.special !== null) return this.special.read(offset, buf);
    if (this.#type === S_IFDIR) return -EISDIR;
    const n = this.#cached ? this.vfs.pageCache.read(this.node, offset, buf) : this.inode.readAt(offset, buf);
    if (n >= 0) this.afterRead(n);
    return n;
  }

  /** write(2): at the position, or at the end with O_APPEND; the position moves behind what was written. */
  write(buf: Uint8Array): number {
    const append = (this.flags & O_APPEND) !== 0 && this.special === null;
    const offset = append ? this.inode.size : this.position;
    const n = this.#writeAt(offset, buf);
    if (n > 0) this.position = offset + n;
    return n;
  }

  /** pwrite(2). With O_APPEND Linux appends whatever the offset. */
  writeAt(offset: number, buf: Uint8Array): number {
    return this.#writeAt((this.flags & O_APPEND) !== 0 && this.special === null ? this.inode.size : offset, buf);
  }

  #writeAt(offset: number, buf: Uint8Array): number {
    if (!this.writable) return -EBADF;
    if (this.special !== null) return this.special.write(offset, buf);
    if (buf.length === 0) return 0;
    if (offset + buf.length > Number.MAX_SAFE_INTEGER) return -EFBIG;
    this.beforeWrite();
    const n = this.store(offset, buf);
    return n > 0 ? this.afterWrite(n) : n;
  }

  // The pieces of read and write, for callers that move the bytes themselves.

  /** Bytes of this file are in the page cache. */
  get cached(): boolean {
    return this.#cached;
  }

  /** Takes setuid and setgid away when somebody unprivileged is about to write. */
  beforeWrite(): void {
    if ((this.inode.mode & 0o6000) !== 0) dropPrivileges(this.vfs, this.#credentials, this.inode);
  }

  /** The bare write to the file's contents. */
  store(offset: number, buf: Uint8Array): number {
    return this.#cached ? this.vfs.pageCache.write(this.node, offset, buf) : this.inode.writeAt(offset, buf);
  }

  /** After `n` > 0 bytes were stored: watchers, O_SYNC. Returns `n` or an error of the synchronisation. */
  afterWrite(n: number): number {
    this.node.atimeDecided = Number.NaN;
    this.vfs.notify?.(this.node, IN_MODIFY, null, 0, this.path.dentry);
    if ((this.flags & O_DSYNC) === 0) return n;
    const error = this.vfs.syncNode(this.node, (this.flags & O_SYNC) !== O_SYNC);
    return error < 0 ? error : n;
  }

  /** After `n` ≥ 0 bytes were read: atime, watchers. */
  afterRead(n: number): void {
    this.accessed();
    if (n > 0) this.vfs.notify?.(this.node, IN_ACCESS, null, 0, this.path.dentry);
  }

  /** lseek(2): the new position or -errno. */
  seek(offset: number, whence: number): number {
    if (!this.seekable || (this.flags & O_PATH) !== 0) return (this.flags & O_PATH) !== 0 ? -EBADF : -ESPIPE;
    const inode = this.inode;
    let target: number;
    switch (whence) {
      case SEEK_SET:
        target = offset;
        break;
      case SEEK_CUR:
        target = this.position + offset;
        break;
      case SEEK_END:
        target = inode.size + offset;
        break;
      case SEEK_DATA:
      case SEEK_HOLE: {
        if (offset < 0 || offset >= inode.size) return -ENXIO;
        if (this.special !== null || this.#type !== S_IFREG) return -EINVAL;
        const found = inode.seekData(offset, whence === SEEK_DATA);
        if (found >= 0) this.position = found;
        return found;
      }
      default:
        return -EINVAL;
    }
    if (target < 0 || target > Number.MAX_SAFE_INTEGER) return -EINVAL;
    if (this.special?.seek !== undefined) {
      const accepted = this.special.seek(target);
      if (accepted < 0) return accepted;
      target = accepted;
    }
    this.position = target;
    return target;
  }

  /** getdents64(2): entries from the position on; it moves to the cookie of the first entry that `emit` refused. */
  readDirectory(emit: DirectoryEmit): number {
    if (!this.readable) return -EBADF;
    if (this.#type !== S_IFDIR) return -ENOTDIR;
    if (!this.path.dentry.hashed) return -ENOENT;
    const result = this.inode.readdir(this.position, (name, ino, type, next) => {
      if (!emit(name, ino, type, next)) return false;
      this.position = next;
      return true;
    });
    if (result >= 0) this.accessed();
    return result;
  }

  /** ftruncate(2). */
  truncate(size: number): number {
    if (!this.writable || this.#type !== S_IFREG || this.special !== null) return -EINVAL;
    if (size < 0) return -EINVAL;
    if (isFrozen(this.inode, false)) return -EPERM;
    const error = this.vfs.resizeNode(this.node, size);
    if (error !== 0) return error;
    dropPrivileges(this.vfs, this.#credentials, this.inode);
    this.vfs.notify?.(this.node, IN_MODIFY, null, 0, this.path.dentry);
    return 0;
  }

  /** fallocate(2). */
  allocate(mode: number, offset: number, byteLength: number): number {
    if (!this.writable) return -EBADF;
    if (offset < 0 || byteLength <= 0) return -EINVAL;
    if (this.special !== null) return this.special.stream ? -ESPIPE : -ENODEV;
    if (this.#type === S_IFDIR) return -EISDIR;
    if (this.#type !== S_IFREG) return -ENODEV;
    if (offset + byteLength > Number.MAX_SAFE_INTEGER) return -EFBIG;
    if (isFrozen(this.inode, false)) return -EPERM;
    if ((mode & ~FALLOC_FL_KEEP_SIZE) !== 0) {
      // Collapse and insert move everything behind them.
      const error = this.vfs.pageCache.invalidate(this.node, offset, Math.max(byteLength, this.inode.size - offset));
      if (error !== 0) return error;
    }
    const result = this.inode.fallocate(mode, offset, byteLength);
    if (result !== 0) return result;
    dropPrivileges(this.vfs, this.#credentials, this.inode);
    this.vfs.notify?.(this.node, IN_MODIFY, null, 0, this.path.dentry);
    return 0;
  }

  /** fsync(2), fdatasync(2). */
  sync(dataOnly: boolean): number {
    if ((this.flags & O_PATH) !== 0) return -EBADF;
    if (this.special !== null) return this.special.fsync === undefined ? -EINVAL : this.special.fsync();
    return this.vfs.syncNode(this.node, dataOnly);
  }

  ioctl(request: number, argument: number, memory: unknown): number {
    if ((this.flags & O_PATH) !== 0) return -EBADF;
    return this.special === null ? -EOPNOTSUPP : this.special.ioctl(request, argument, memory);
  }

  /** The file was read: applies noatime, relatime (default) or strictatime (mount(8)). */
  accessed(): void {
    const inode = this.inode;
    if (inode.touchAtime === undefined || (this.flags & O_NOATIME) !== 0) return;
    const mount = this.path.mount;
    if ((mount.flags & MS_NOATIME) !== 0 || mount.readOnly) return;
    if (this.#type === S_IFDIR && (mount.flags & MS_NODIRATIME) !== 0) return;
    this.vfs.now($now);
    const node = this.node;
    if ((mount.flags & MS_STRICTATIME) === 0) {
      if ($now.sec - node.atimeDecided < DAY) return;
      inode.getattr($attributes);
      const { atime, mtime, ctime } = $attributes;
      node.atimeDecided = $now.sec;
      if (isLater(atime, mtime) && isLater(atime, ctime) && $now.sec - atime.sec < DAY) {
        node.atimeDecided = atime.sec;
        return;
      }
    }
    inode.touchAtime($now.sec, $now.nsec);
  }

  /** The last descriptor is gone. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    if (this.writable && this.#type === S_IFREG) this.node.writers--;
    if ((this.flags & O_PATH) === 0 && this.vfs.notify !== null) {
      const bit = this.#type === S_IFDIR ? IN_ISDIR : 0;
      this.vfs.notify(this.node, (this.writable ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE) | bit, null, 0, this.path.dentry);
    }
    this.special?.release();
    this.path.unpin();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function isLater(a: { sec: number; nsec: number }, b: { sec: number; nsec: number }): boolean {
  return a.sec > b.sec || (a.sec === b.sec && a.nsec > b.nsec);
}
