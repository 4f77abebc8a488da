/**
 * Inodes of objects without a name: what fstat(2) shows for pipes ("pipefs"), sockets ("sockfs") and the objects of
 * eventfd, epoll and their like ("anon_inodefs").
 *
 * The three file systems are mounted nowhere. Inode numbers count up from 1 in each kernel.
 */
import { ENOSYS, S_IFIFO, S_IFMT, S_IFSOCK } from "linux-abi";
import {
  type AttributeChanges,
  type Attributes,
  type FileSystem,
  type FileSystemStatus,
  InodeBase,
  type Timespec,
} from "vfs-inode";
import type { Kernel } from "../kernel.ts";

const PIPEFS_MAGIC = 0x50495045; // "PIPE", linux/magic.h
const SOCKFS_MAGIC = 0x534f434b;
const ANON_INODE_FS_MAGIC = 0x09041934;

class NamelessFileSystem implements FileSystem {
  readonly type: string;
  readonly deviceNumber: number;
  readonly readOnly = false;
  readonly cacheable = false;
  readonly usesPageCache = false;
  readonly #magic: number;

  constructor(type: string, deviceNumber: number, magic: number) {
    this.type = type;
    this.deviceNumber = deviceNumber;
    this.#magic = magic;
  }

  /** Not mountable: nobody asks. */
  root(): AnonymousInode {
    return new AnonymousInode(this, 0, 0, 0, 0, { sec: 0, nsec: 0 });
  }

  statfs(): FileSystemStatus {
    return {
      type: this.#magic,
      blockSize: 4096,
      blocks: 0,
      blocksFree: 0,
      blocksAvailable: 0,
      files: 0,
      filesFree: 0,
      nameLength: 255,
      fsid: [0, 0],
    };
  }

  sync(): number {
    return 0;
  }

  mountOptions(): string {
    return "";
  }

  remount(): number {
    return -ENOSYS;
  }

  unmount(): number {
    return 0;
  }
}

// Device numbers as a small Linux gives them to its internal mounts: 0:13 and up.
const PIPEFS = new NamelessFileSystem("pipefs", 13, PIPEFS_MAGIC);
const SOCKFS = new NamelessFileSystem("sockfs", 8, SOCKFS_MAGIC);
const ANON_INODE_FS = new NamelessFileSystem("anon_inodefs", 14, ANON_INODE_FS_MAGIC);

export class AnonymousInode extends InodeBase {
  readonly fs: FileSystem;
  readonly ino: number;
  mode: number;
  uid: number;
  gid: number;
  readonly nlink = 1;
  readonly #madeAt: Timespec;

  constructor(fs: FileSystem, ino: number, mode: number, uid: number, gid: number, madeAt: Timespec) {
    super();
    this.fs = fs;
    this.ino = ino;
    this.mode = mode;
    this.uid = uid;
    this.gid = gid;
    this.#madeAt = madeAt;
  }

  override getattr(out: Attributes): void {
    out.ino = this.ino;
    out.mode = this.mode;
    out.nlink = 1;
    out.uid = this.uid;
    out.gid = this.gid;
    out.rdev = 0;
    out.size = 0;
    out.blocks512 = 0;
    out.blockSize = 4096;
    for (const time of [out.atime, out.mtime, out.ctime]) {
      time.sec = this.#madeAt.sec;
      time.nsec = this.#madeAt.nsec;
    }
    out.btime = undefined;
  }

  /** fchmod and fchown work on pipes and sockets. */
  override setattr(changes: AttributeChanges): number {
    if (changes.mode !== undefined) this.mode = (this.mode & S_IFMT) | (changes.mode & 0o7777);
    if (changes.uid !== undefined) this.uid = changes.uid;
    if (changes.gid !== undefined) this.gid = changes.gid;
    return 0;
  }
}

const $lastIno = new WeakMap<Kernel, number>();

/** The next inode number of a kernel's nameless objects. */
export function nextAnonymousIno(kernel: Kernel): number {
  const ino = ($lastIno.get(kernel) ?? 0) + 1;
  $lastIno.set(kernel, ino);
  return ino;
}

/** Who makes an object: a task, or what is kept of one. */
export interface Maker {
  readonly kernel: Kernel;
  readonly cred: { readonly fsuid: number; readonly fsgid: number };
}

/** `mode`: S_IFIFO, S_IFSOCK or 0 with permission bits. */
export function anonymousInode(task: Maker, mode: number): AnonymousInode {
  const kernel = task.kernel;
  const type = mode & S_IFMT;
  const fs = type === S_IFIFO ? PIPEFS : type === S_IFSOCK ? SOCKFS : ANON_INODE_FS;
  const madeAt = { sec: kernel.clock.realtimeSec(), nsec: 0 };
  return new AnonymousInode(fs, nextAnonymousIno(kernel), mode, task.cred.fsuid, task.cred.fsgid, madeAt);
}

const $shared = new WeakMap<Kernel, AnonymousInode>();

/** The one inode behind all eventfds, epolls, timerfds ... of a kernel, as in Linux. */
export function sharedAnonymousInode(task: Maker): AnonymousInode {
  let inode = $shared.get(task.kernel);
  if (inode === undefined) {
    inode = anonymousInode(task, 0o600);
    $shared.set(task.kernel, inode);
  }
  return inode;
}
