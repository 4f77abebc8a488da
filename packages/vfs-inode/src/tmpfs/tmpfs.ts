/**
 * The file system object of tmpfs: limits, accounting, mount options.
 *
 * File bytes live in frames of an injected `PageAllocator` that mmap can share with processes; holes take no frame. `size` limits
 * the bytes in frames (ENOSPC beyond), `inodes` the number of files. Also serves devtmpfs, /dev/shm and memfd.
 */
import { S_IFDIR, TMPFS_MAGIC } from "linux-abi";
import type { FileSystem, FileSystemStatus, Inode, NewNode, Timespec } from "../inode.ts";
import { PAGE_SIZE, type PageAllocator, createPlainAllocator } from "../page-cache.ts";
import { TmpfsInode } from "./tmpfs-inode.ts";

export interface TmpfsOptions {
  /** Bytes of file data; default 64 MiB. */
  readonly size?: number;
  /** Number of inodes; default: one per 4 KiB of `size`, at least 1024. */
  readonly inodes?: number;
  /** Permission bits of the root directory; default 0o1777. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** st_dev; default 0. */
  readonly deviceNumber?: number;
  /** Default "tmpfs". */
  readonly type?: string;
  /** Default: plain memory. */
  readonly allocator?: PageAllocator;
  readonly now?: (out: Timespec) => void;
}

export class Tmpfs implements FileSystem {
  readonly type: string;
  readonly deviceNumber: number;
  readonly cacheable = true as const;
  readonly usesPageCache = false as const;
  readonly allocator: PageAllocator;
  readonly now: (out: Timespec) => void;
  readonly #root: TmpfsInode;
  readonly #options: TmpfsOptions;
  #readOnly = false;
  #maxPages: number;
  #maxInodes: number;
  #pages = 0;
  #inodes = 0;
  #nextIno = 1;

  constructor(options: TmpfsOptions = {}) {
    this.#options = options;
    this.type = options.type ?? "tmpfs";
    this.deviceNumber = options.deviceNumber ?? 0;
    this.#maxPages = Math.ceil((options.size ?? 64 << 20) / PAGE_SIZE);
    this.#maxInodes = options.inodes ?? Math.max(1024, this.#maxPages);
    this.allocator = options.allocator ?? createPlainAllocator(this.#maxPages);
    this.now = options.now ?? (() => {});
    const node: NewNode = {
      mode: S_IFDIR | (options.mode ?? 0o1777),
      uid: options.uid ?? 0,
      gid: options.gid ?? 0,
      rdev: 0,
    };
    this.#root = this.newInode(node, null) as TmpfsInode;
  }

  get readOnly(): boolean {
    return this.#readOnly;
  }

  root(): Inode {
    return this.#root;
  }

  /** A new inode, or undefined when all are in use. */
  newInode(node: NewNode, parent: TmpfsInode | null): TmpfsInode | undefined {
    if (this.#inodes >= this.#maxInodes) return undefined;
    this.#inodes++;
    return new TmpfsInode(this, this.#nextIno++, node, parent);
  }

  inodeFreed(): void {
    this.#inodes--;
  }

  /** A frame of zeros on this file system's account, or -1. */
  takeFrame(): number {
    if (this.#pages >= this.#maxPages) return -1;
    const frame = this.allocator.alloc();
    if (frame < 0) return -1;
    this.allocator.bytes(frame).fill(0);
    this.#pages++;
    return frame;
  }

  returnFrame(frame: number): void {
    this.#pages--;
    this.allocator.free(frame);
  }

  statfs(): FileSystemStatus {
    return {
      type: TMPFS_MAGIC,
      blockSize: PAGE_SIZE,
      blocks: this.#maxPages,
      blocksFree: this.#maxPages - this.#pages,
      blocksAvailable: this.#maxPages - this.#pages,
      files: this.#maxInodes,
      filesFree: this.#maxInodes - this.#inodes,
      nameLength: 255,
      fsid: [this.deviceNumber, 0],
    };
  }

  sync(): number {
    return 0;
  }

  mountOptions(): string {
    const words: string[] = [];
    if (this.#options.size !== undefined) words.push(`size=${(this.#maxPages * PAGE_SIZE) / 1024}k`);
    if (this.#options.inodes !== undefined) words.push(`nr_inodes=${this.#maxInodes}`);
    if (this.#options.mode !== undefined) words.push(`mode=${this.#options.mode.toString(8)}`);
    if (this.#options.uid) words.push(`uid=${this.#options.uid}`);
    if (this.#options.gid) words.push(`gid=${this.#options.gid}`);
    return words.join(",");
  }

  remount(readOnly: boolean): number {
    this.#readOnly = readOnly;
    return 0;
  }

  unmount(): number {
    this.#root.freeTree();
    return 0;
  }
}
