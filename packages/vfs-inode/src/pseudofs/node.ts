/** What all pseudo nodes share: identity, permissions, times of creation. */
import { EPERM, EROFS, S_IFMT } from "linux-abi";
import { InodeBase } from "../inode-base.ts";
import type { AttributeChanges, Attributes, Timespec } from "../inode.ts";
import type { SimpleFs } from "./simple-fs.ts";

export interface PseudoNodeOptions {
  readonly uid?: number;
  readonly gid?: number;
  /** Default: the file system's next one. */
  readonly ino?: number;
  /** Device number of a special file. */
  readonly rdev?: number;
}

export abstract class PseudoNode extends InodeBase {
  readonly fs: SimpleFs;
  readonly ino: number;
  mode: number;
  uid: number;
  gid: number;
  nlink = 1;
  readonly #rdev: number;
  readonly #time: Timespec = { sec: 0, nsec: 0 };

  constructor(fs: SimpleFs, mode: number, options: PseudoNodeOptions = {}) {
    super();
    this.fs = fs;
    this.mode = mode;
    this.uid = options.uid ?? 0;
    this.gid = options.gid ?? 0;
    this.ino = options.ino ?? fs.nextIno();
    this.#rdev = options.rdev ?? 0;
    fs.now(this.#time);
  }

  override get rdev(): number {
    return this.#rdev;
  }

  getattr(out: Attributes): void {
    out.ino = this.ino;
    out.mode = this.mode;
    out.nlink = this.nlink;
    out.uid = this.uid;
    out.gid = this.gid;
    out.rdev = this.#rdev;
    out.size = this.size;
    out.blocks512 = 0;
    out.blockSize = 4096;
    for (const time of [out.atime, out.mtime, out.ctime]) {
      time.sec = this.#time.sec;
      time.nsec = this.#time.nsec;
    }
    out.btime = undefined;
  }

  override setattr(changes: AttributeChanges): number {
    if (!this.fs.mutableAttributes) return -EPERM;
    if (this.fs.readOnly) return -EROFS;
    if (changes.mode !== undefined) this.mode = (this.mode & S_IFMT) | (changes.mode & 0o7777);
    if (changes.uid !== undefined) this.uid = changes.uid;
    if (changes.gid !== undefined) this.gid = changes.gid;
    if (changes.mtime !== undefined) Object.assign(this.#time, changes.mtime);
    return 0;
  }
}
