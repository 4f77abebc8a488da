/** What stat and readdir give: Node's Stats and Dirent. */
import {
  DT_BLK,
  DT_CHR,
  DT_DIR,
  DT_FIFO,
  DT_LNK,
  DT_REG,
  DT_SOCK,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
} from "linux-abi";
import { type Attributes, newAttributes } from "vfs-inode";
import type { Ext4Inode } from "../vfs/inode.ts";

const milliseconds = (t: { sec: number; nsec: number }): number => t.sec * 1000 + t.nsec / 1e6;

/** File status, as Node's fs.Stats. */
export class Stats {
  readonly dev: number;
  readonly ino: number;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly size: number;
  readonly blksize: number;
  /** In 512-byte units. */
  readonly blocks: number;
  readonly atimeMs: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  readonly birthtimeMs: number;

  constructor(inode: Ext4Inode) {
    const a: Attributes = newAttributes();
    inode.getattr(a);
    this.dev = inode.fs.deviceNumber;
    this.ino = a.ino;
    this.mode = a.mode;
    this.nlink = a.nlink;
    this.uid = a.uid;
    this.gid = a.gid;
    this.rdev = a.rdev;
    this.size = a.size;
    this.blksize = a.blockSize;
    this.blocks = a.blocks512;
    this.atimeMs = milliseconds(a.atime);
    this.mtimeMs = milliseconds(a.mtime);
    this.ctimeMs = milliseconds(a.ctime);
    this.birthtimeMs = milliseconds(a.btime ?? a.ctime);
  }

  get atime(): Date {
    return new Date(this.atimeMs);
  }
  get mtime(): Date {
    return new Date(this.mtimeMs);
  }
  get ctime(): Date {
    return new Date(this.ctimeMs);
  }
  get birthtime(): Date {
    return new Date(this.birthtimeMs);
  }
  #is(type: number): boolean {
    return (this.mode & S_IFMT) === type;
  }
  isFile(): boolean {
    return this.#is(S_IFREG);
  }
  isDirectory(): boolean {
    return this.#is(S_IFDIR);
  }
  isSymbolicLink(): boolean {
    return this.#is(S_IFLNK);
  }
  isFIFO(): boolean {
    return this.#is(S_IFIFO);
  }
  isSocket(): boolean {
    return this.#is(S_IFSOCK);
  }
  isCharacterDevice(): boolean {
    return this.#is(S_IFCHR);
  }
  isBlockDevice(): boolean {
    return this.#is(S_IFBLK);
  }
}

/** A directory entry, as Node's fs.Dirent. */
export class Dirent {
  readonly name: string;
  readonly parentPath: string;
  readonly #type: number;

  /** @param type a DT_* value. */
  constructor(name: string, parentPath: string, type: number) {
    this.name = name;
    this.parentPath = parentPath;
    this.#type = type;
  }

  isFile(): boolean {
    return this.#type === DT_REG;
  }
  isDirectory(): boolean {
    return this.#type === DT_DIR;
  }
  isSymbolicLink(): boolean {
    return this.#type === DT_LNK;
  }
  isFIFO(): boolean {
    return this.#type === DT_FIFO;
  }
  isSocket(): boolean {
    return this.#type === DT_SOCK;
  }
  isCharacterDevice(): boolean {
    return this.#type === DT_CHR;
  }
  isBlockDevice(): boolean {
    return this.#type === DT_BLK;
  }
}
