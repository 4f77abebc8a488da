/**
 * Files whose reads and writes are calls of an object. `SpecialFileOps.open` gives each open(2) its own `SpecialFile`;
 * `SeqObject` is the ops for texts.
 */
import { ENOTTY, S_IFMT, S_IFREG } from "linux-abi";
import type { SpecialFile } from "../inode.ts";
import { PseudoNode, type PseudoNodeOptions } from "./node.ts";
import type { SimpleFs } from "./simple-fs.ts";

export interface SpecialFileOps {
  /** `flags` of open(2). A negative errno refuses. */
  open(flags: number): SpecialFile | number;
  /** st_size. Default 0. */
  readonly size?: number;
}

export interface SpecialFsFileOptions extends PseudoNodeOptions {
  /** S_IF* bits; default S_IFREG. */
  readonly type?: number;
}

export class SpecialFsFile extends PseudoNode {
  readonly #ops: SpecialFileOps;

  constructor(fs: SimpleFs, ops: SpecialFileOps, permission: number, options: SpecialFsFileOptions = {}) {
    super(fs, ((options.type ?? S_IFREG) & S_IFMT) | permission, options);
    this.#ops = ops;
  }

  /** A regular file with these permission bits. */
  static newRegularWithPerm(fs: SimpleFs, ops: SpecialFileOps, permission: number): SpecialFsFile {
    return new SpecialFsFile(fs, ops, permission);
  }

  override get size(): number {
    return this.#ops.size ?? 0;
  }

  openSpecial(flags: number): SpecialFile | number {
    return this.#ops.open(flags);
  }

  /** truncate(2) of a control file: `echo 1 >file` opens with O_TRUNC, and there is nothing to cut. */
  override truncate(_size: number): number {
    return 0;
  }

  /** Reads without an open file, for guest-free users: opens, reads once, releases. */
  override readAt(offset: number, buf: Uint8Array): number {
    const file = this.#ops.open(0);
    if (typeof file === "number") return file;
    const n = file.read(offset, buf);
    file.release();
    return n;
  }

  override writeAt(offset: number, buf: Uint8Array): number {
    const file = this.#ops.open(1);
    if (typeof file === "number") return file;
    const n = file.write(offset, buf);
    file.release();
    return n;
  }
}

/** Answers of a `SpecialFile` that does nothing special; to be extended. */
export abstract class SpecialFileBase implements SpecialFile {
  get stream(): boolean {
    return false;
  }
  abstract read(offset: number, buf: Uint8Array): number;
  abstract write(offset: number, buf: Uint8Array): number;
  /** POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM: always ready. */
  poll(): number {
    return 0x145;
  }
  ioctl(_request: number, _argument: number, _memory: unknown): number {
    return -ENOTTY;
  }
  release(): void {}
}
