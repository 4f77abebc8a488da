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
const nanoseconds = (t: { sec: number; nsec: number }): bigint => BigInt(t.sec) * 1_000_000_000n + BigInt(t.nsec);

export interface StatOptions {
  /** All numbers as bigint, and times to the nanosecond. */
  readonly bigint?: boolean;
}

/** What Stats and BigIntStats share: the questions about the type. */
abstract class FileType {
  protected abstract readonly type: number;

  #is(type: number): boolean {
    return this.type === type;
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

/** File status, as Node's fs.Stats. */
export class Stats extends FileType {
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
    super();
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

  protected get type(): number {
    return this.mode & S_IFMT;
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
}

/** File status in bigints, as Node gives it with `{ bigint: true }`: times in nanoseconds too. */
export class BigIntStats extends FileType {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly mode: bigint;
  readonly nlink: bigint;
  readonly uid: bigint;
  readonly gid: bigint;
  readonly rdev: bigint;
  readonly size: bigint;
  readonly blksize: bigint;
  /** In 512-byte units. */
  readonly blocks: bigint;
  readonly atimeNs: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly birthtimeNs: bigint;

  constructor(inode: Ext4Inode) {
    super();
    const a: Attributes = newAttributes();
    inode.getattr(a);
    this.dev = BigInt(inode.fs.deviceNumber);
    this.ino = BigInt(a.ino);
    this.mode = BigInt(a.mode);
    this.nlink = BigInt(a.nlink);
    this.uid = BigInt(a.uid);
    this.gid = BigInt(a.gid);
    this.rdev = BigInt(a.rdev);
    this.size = BigInt(a.size);
    this.blksize = BigInt(a.blockSize);
    this.blocks = BigInt(a.blocks512);
    this.atimeNs = nanoseconds(a.atime);
    this.mtimeNs = nanoseconds(a.mtime);
    this.ctimeNs = nanoseconds(a.ctime);
    this.birthtimeNs = nanoseconds(a.btime ?? a.ctime);
  }

  protected get type(): number {
    return Number(this.mode) & S_IFMT;
  }
  get atimeMs(): bigint {
    return this.atimeNs / 1_000_000n;
  }
  get mtimeMs(): bigint {
    return this.mtimeNs / 1_000_000n;
  }
  get ctimeMs(): bigint {
    return this.ctimeNs / 1_000_000n;
  }
  get birthtimeMs(): bigint {
    return this.birthtimeNs / 1_000_000n;
  }
  get atime(): Date {
    return new Date(Number(this.atimeMs));
  }
  get mtime(): Date {
    return new Date(Number(this.mtimeMs));
  }
  get ctime(): Date {
    return new Date(Number(this.ctimeMs));
  }
  get birthtime(): Date {
    return new Date(Number(this.birthtimeMs));
  }
}

const TYPE_OF_ENTRY: Readonly<Record<number, number>> = {
  [DT_REG]: S_IFREG,
  [DT_DIR]: S_IFDIR,
  [DT_LNK]: S_IFLNK,
  [DT_FIFO]: S_IFIFO,
  [DT_SOCK]: S_IFSOCK,
  [DT_CHR]: S_IFCHR,
  [DT_BLK]: S_IFBLK,
};

/** A directory entry, as Node's fs.Dirent. */
export class Dirent extends FileType {
  readonly name: string;
  readonly parentPath: string;
  protected readonly type: number;

  /** @param type a DT_* value. */
  constructor(name: string, parentPath: string, type: number) {
    super();
    this.name = name;
    this.parentPath = parentPath;
    this.type = TYPE_OF_ENTRY[type] ?? 0;
  }

  /** As older Nodes call it. */
  get path(): string {
    return this.parentPath;
  }
}
