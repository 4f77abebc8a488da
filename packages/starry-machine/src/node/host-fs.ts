/// <reference types="node" />
/**
 * A host folder as a file system of the guest, live in both directions (what User-Mode Linux calls hostfs).
 *
 * Each inode remembers its path below the folder; a rename inside the guest moves the paths with it. Files are opened
 * per operation and closed again, so nothing is held while the guest idles. Names reach the host as UTF-8; a name that
 * is not UTF-8 answers -EILSEQ. The guest never leaves the folder: symbolic links are followed by the guest's own path
 * walk, not by the host, because every access opens with O_NOFOLLOW.
 */
import * as fs from "node:fs";
import { join } from "node:path";
import {
  direntType,
  type AttributeChanges,
  type Attributes,
  type DirectoryEmit,
  type FileSystem,
  type FileSystemStatus,
  type Inode,
  InodeBase,
  type NewNode,
} from "vfs-inode";
import {
  EILSEQ,
  EINVAL,
  EIO,
  ENOENT,
  EROFS,
  ERRNO_TABLE,
  EXDEV,
  EEXIST,
  makedev,
  RENAME_NOREPLACE,
  S_IFMT,
  S_IFREG,
} from "linux-abi";

/** Magic number of User-Mode Linux's hostfs. */
const HOSTFS_SUPER_MAGIC = 0x00c0ffee;
/** A name with escaped bytes (linux-abi's `decodeName`). */
const NOT_UTF8 = /\p{Surrogate}/u;
const errnoByName = new Map<string, number>(ERRNO_TABLE.map(([number, name]) => [name, number]));

export interface HostFileSystemOptions {
  /** Default false. */
  readonly readOnly?: boolean;
  /** st_dev in the guest. */
  readonly deviceNumber?: number;
}

export class HostFileSystem implements FileSystem {
  readonly type: string = "hostfs";
  readonly cacheable: boolean = false; // the host changes names behind our back
  readonly usesPageCache: boolean = false;
  readonly deviceNumber: number;
  readonly folder: string;
  readOnly: boolean;
  readonly #inodes = new Map<string, HostInode>();
  readonly #root: HostInode;

  /** Throws an Error when `folder` is no readable directory. */
  constructor(folder: string, options: HostFileSystemOptions = {}) {
    const stats = fs.statSync(folder);
    if (!stats.isDirectory()) throw new Error(`${folder} is not a folder`);
    this.folder = fs.realpathSync(folder);
    this.readOnly = options.readOnly ?? false;
    this.deviceNumber = options.deviceNumber ?? makedev(0, 64);
    this.#root = this.inodeFor(fs.lstatSync(this.folder), "");
    this.#root.ref();
  }

  root(): Inode {
    return this.#root;
  }

  statfs(): FileSystemStatus {
    const s = fs.statfsSync(this.folder);
    return {
      type: HOSTFS_SUPER_MAGIC,
      blockSize: s.bsize,
      blocks: s.blocks,
      blocksFree: s.bfree,
      blocksAvailable: s.bavail,
      files: s.files,
      filesFree: s.ffree,
      nameLength: 255,
      fsid: [0, this.deviceNumber],
    };
  }

  sync(): number {
    return 0;
  }

  mountOptions(): string {
    return "";
  }

  remount(readOnly: boolean): number {
    this.readOnly = readOnly;
    return 0;
  }

  unmount(): number {
    return 0;
  }

  /** The one inode object of a host file, found by device and number. */
  inodeFor(stats: fs.Stats, path: string): HostInode {
    const key = `${stats.dev}:${stats.ino}`;
    let inode = this.#inodes.get(key);
    if (inode === undefined) {
      inode = new HostInode(this, key, path, stats);
      this.#inodes.set(key, inode);
    } else {
      inode.moved(path);
    }
    return inode;
  }

  forget(key: string): void {
    this.#inodes.delete(key);
  }

  /** `from` and what lies below it is now at `to`. */
  renamed(from: string, to: string): void {
    for (const inode of this.#inodes.values()) {
      if (inode.path === from || inode.path.startsWith(`${from}/`)) inode.moved(to + inode.path.slice(from.length));
    }
  }
}

class HostInode extends InodeBase {
  readonly fs: HostFileSystem;
  readonly ino: number;
  /** Below the folder: "" or "/a/b". */
  path: string;
  readonly #key: string;
  #type: number;
  #references = 0;

  constructor(owner: HostFileSystem, key: string, path: string, stats: fs.Stats) {
    super();
    this.fs = owner;
    this.#key = key;
    this.path = path;
    this.ino = stats.ino;
    this.#type = stats.mode & S_IFMT;
  }

  moved(path: string): void {
    this.path = path;
  }

  override ref(): void {
    this.#references++;
  }

  override unref(): void {
    if (--this.#references === 0) this.fs.forget(this.#key);
  }

  get #host(): string {
    return this.fs.folder + this.path;
  }

  #stats(): fs.Stats | undefined {
    try {
      return fs.lstatSync(this.#host);
    } catch {
      return undefined; // deleted on the host
    }
  }

  get mode(): number {
    return this.#stats()?.mode ?? this.#type;
  }
  get uid(): number {
    return this.#stats()?.uid ?? 0;
  }
  get gid(): number {
    return this.#stats()?.gid ?? 0;
  }
  get nlink(): number {
    return this.#stats()?.nlink ?? 0;
  }
  override get size(): number {
    return this.#stats()?.size ?? 0;
  }

  override getattr(out: Attributes): void {
    const s = this.#stats();
    out.ino = this.ino;
    out.mode = s?.mode ?? this.#type;
    out.nlink = s?.nlink ?? 0;
    out.uid = s?.uid ?? 0;
    out.gid = s?.gid ?? 0;
    out.rdev = 0;
    out.size = s?.size ?? 0;
    out.blocks512 = s?.blocks ?? 0;
    out.blockSize = 4096;
    out.atime = timespec(s?.atimeMs ?? 0);
    out.mtime = timespec(s?.mtimeMs ?? 0);
    out.ctime = timespec(s?.ctimeMs ?? 0);
    out.btime = s === undefined ? undefined : timespec(s.birthtimeMs);
  }

  override setattr(changes: AttributeChanges): number {
    return this.#change(() => {
      const host = this.#host;
      if (changes.uid !== undefined || changes.gid !== undefined)
        fs.lchownSync(host, changes.uid ?? this.uid, changes.gid ?? this.gid);
      if (changes.mode !== undefined) fs.chmodSync(host, changes.mode);
      if (changes.atime !== undefined || changes.mtime !== undefined) {
        const s = fs.lstatSync(host);
        fs.lutimesSync(host, seconds(changes.atime) ?? s.atimeMs / 1000, seconds(changes.mtime) ?? s.mtimeMs / 1000);
      }
      return 0;
    });
  }

  override lookup(name: string): Inode | number {
    return this.#found(name);
  }

  override create(name: string, node: NewNode): Inode | number {
    if ((node.mode & S_IFMT) !== S_IFREG) return -EINVAL; // devices and sockets mean nothing on the host
    return this.#make(name, node, (host) => fs.closeSync(fs.openSync(host, "wx", node.mode & 0o7777)));
  }

  override mkdir(name: string, node: NewNode): Inode | number {
    return this.#make(name, node, (host) => fs.mkdirSync(host, node.mode & 0o7777));
  }

  override symlink(name: string, target: string, _node: NewNode): Inode | number {
    return this.#make(name, null, (host) => fs.symlinkSync(target, host));
  }

  override link(name: string, target: Inode): number {
    if (!(target instanceof HostInode)) return -EXDEV;
    return this.#change(() => {
      fs.linkSync(target.#host, this.#child(name));
      return 0;
    });
  }

  override unlink(name: string): number {
    return this.#change(() => {
      fs.unlinkSync(this.#child(name));
      return 0;
    });
  }

  override rmdir(name: string): number {
    return this.#change(() => {
      fs.rmdirSync(this.#child(name));
      return 0;
    });
  }

  override rename(name: string, newParent: Inode, newName: string, flags: number): number {
    if (!(newParent instanceof HostInode)) return -EXDEV;
    if ((flags & ~RENAME_NOREPLACE) !== 0) return -EINVAL;
    return this.#change(() => {
      const to = newParent.#child(newName);
      if (flags & RENAME_NOREPLACE && fs.existsSync(to)) return -EEXIST;
      fs.renameSync(this.#child(name), to);
      this.fs.renamed(`${this.path}/${name}`, `${newParent.path}/${newName}`);
      return 0;
    });
  }

  override readdir(cookie: number, emit: DirectoryEmit): number {
    return guard(() => {
      const entries = fs.readdirSync(this.#host, { withFileTypes: true });
      const dots = [".", ".."];
      for (let at = cookie; at < entries.length + 2; at++) {
        const name = at < 2 ? dots[at] : entries[at - 2].name;
        const stats = at < 2 ? this.#stats() : fs.lstatSync(join(this.#host, name), { throwIfNoEntry: false });
        if (stats !== undefined && !emit(name, stats.ino, direntType(stats.mode), at + 1)) return 0;
      }
      return 0;
    });
  }

  override readAt(offset: number, buf: Uint8Array): number {
    return this.#open(fs.constants.O_RDONLY, (fd) => fs.readSync(fd, buf, 0, buf.length, offset));
  }

  override writeAt(offset: number, buf: Uint8Array): number {
    if (this.fs.readOnly) return -EROFS;
    return this.#open(fs.constants.O_WRONLY, (fd) => fs.writeSync(fd, buf, 0, buf.length, offset));
  }

  override truncate(size: number): number {
    if (this.fs.readOnly) return -EROFS;
    return this.#open(fs.constants.O_WRONLY, (fd) => {
      fs.ftruncateSync(fd, size);
      return 0;
    });
  }

  override sync(dataOnly: boolean): number {
    return this.#open(fs.constants.O_RDONLY, (fd) => {
      if (dataOnly) fs.fdatasyncSync(fd);
      else fs.fsyncSync(fd);
      return 0;
    });
  }

  override readlink(): string | number {
    try {
      return fs.readlinkSync(this.#host);
    } catch (error) {
      return errnoOf(error);
    }
  }

  #child(name: string): string {
    return `${this.#host}/${name}`;
  }

  #found(name: string): Inode | number {
    if (NOT_UTF8.test(name)) return -EILSEQ;
    const stats = fs.lstatSync(this.#child(name), { throwIfNoEntry: false });
    if (stats === undefined) return -ENOENT;
    return this.fs.inodeFor(stats, `${this.path}/${name}`);
  }

  #make(name: string, node: NewNode | null, make: (host: string) => void): Inode | number {
    if (NOT_UTF8.test(name)) return -EILSEQ;
    const result = this.#change(() => {
      const host = this.#child(name);
      make(host);
      // Root on the host can give the new file to the guest's user; others cannot and need not.
      if (node !== null && process.getuid?.() === 0) fs.lchownSync(host, node.uid, node.gid);
      return 0;
    });
    return result < 0 ? result : this.#found(name);
  }

  #change(operation: () => number): number {
    return this.fs.readOnly ? -EROFS : guard(operation);
  }

  #open(flags: number, use: (fd: number) => number): number {
    return guard(() => {
      const fd = fs.openSync(this.#host, flags | fs.constants.O_NOFOLLOW);
      try {
        return use(fd);
      } finally {
        fs.closeSync(fd);
      }
    });
  }
}

function guard(operation: () => number): number {
  try {
    return operation();
  } catch (error) {
    return errnoOf(error);
  }
}

/** The host's error by name: its numbers differ between systems. */
function errnoOf(error: unknown): number {
  const code = (error as NodeJS.ErrnoException).code ?? "";
  return -(errnoByName.get(code) ?? EIO);
}

function timespec(milliseconds: number): { sec: number; nsec: number } {
  const sec = Math.floor(milliseconds / 1000);
  return { sec, nsec: Math.floor((milliseconds - sec * 1000) * 1e6) };
}

function seconds(time: { sec: number; nsec: number } | undefined): number | undefined {
  return time === undefined ? undefined : time.sec + time.nsec / 1e9;
}
