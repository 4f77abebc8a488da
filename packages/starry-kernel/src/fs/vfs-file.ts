/**
 * The descriptor's view of a file of the VFS: regular files, directories, symbolic links (O_PATH) and special files of
 * pseudo file systems. Bytes move between page cache and program page by page, without a copy in between.
 */
import {
  EBADF,
  EFBIG,
  EINVAL,
  EISDIR,
  ENODEV,
  ENOENT,
  ENOMEM,
  ENOTDIR,
  O_CLOEXEC,
  O_CREAT,
  O_EXCL,
  O_NOCTTY,
  O_PATH,
  O_TRUNC,
  POLLIN,
  POLLOUT,
  RLIMIT_FSIZE,
  S_IFDIR,
  S_IFMT,
  S_IFREG,
  SIGXFSZ,
} from "linux-abi";
import type { DirectoryEmit, File, VfsNode } from "vfs-inode";
import { OpenFile } from "../file.ts";
import type { IoBuffer } from "../io-buffer.ts";
import type { FrameAllocator } from "../mm/frame-allocator.ts";
import { PAGE_SIZE } from "../mm/frame-allocator.ts";
import type { PageSource } from "../mm/page-source.ts";
import { sendToTask } from "../signal/send.ts";
import { kernelSignal } from "../signal/siginfo.ts";
import type { Task } from "../task/task.ts";
import { POLL_ANY, type Wait } from "../wait.ts";
import { fileIoctl } from "./file-ioctl.ts";
import { locksOf } from "./locks.ts";
import { sourceOf } from "./page-frames.ts";

/** Bytes gathered from a program's pages for one write to the file system. */
const BOUNCE_BYTES = 65536;
const $bounce = new Uint8Array(BOUNCE_BYTES);

/** Flags that only open(2) itself looks at: F_GETFL does not show them. */
export const OPEN_ONLY_FLAGS: number = O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC;

export class VfsFile extends OpenFile {
  readonly file: File;
  readonly #frames: FrameAllocator;
  readonly #type: number;
  readonly #unsubscribe: (() => void) | undefined;

  /** Takes over `file`. */
  constructor(file: File, frames: FrameAllocator) {
    super(file.flags & ~OPEN_ONLY_FLAGS);
    this.file = file;
    this.path = file.path.pin();
    this.#frames = frames;
    this.#type = file.inode.mode & S_IFMT;
    this.#unsubscribe = file.special?.onWake?.(() => this.pollSet.wake(POLL_ANY));
  }

  get node(): VfsNode {
    return this.file.node;
  }

  override get seekable(): boolean {
    return this.file.seekable;
  }

  get isDirectory(): boolean {
    return this.#type === S_IFDIR;
  }

  override read(_task: Task, buffer: IoBuffer, offset: number): number {
    const file = this.file;
    if (file.special !== null) return this.#readSpecial(buffer, offset);
    if (this.#type === S_IFDIR) return -EISDIR;
    if (this.#type !== S_IFREG) return -EINVAL;
    const n = file.cached ? this.#readCached(buffer, offset) : this.#readInode(buffer, offset);
    if (n < 0) return n;
    file.afterRead(n);
    return buffer.result(n);
  }

  #readCached(buffer: IoBuffer, offset: number): number {
    const node = this.file.node;
    const cache = this.file.vfs.pageCache;
    const wanted = Math.min(buffer.remaining, node.inode.size - offset);
    let done = 0;
    while (done < wanted) {
      const position = offset + done;
      const index = Math.floor(position / PAGE_SIZE);
      const from = position - index * PAGE_SIZE;
      const count = Math.min(PAGE_SIZE - from, wanted - done);
      const page = cache.page(node, index);
      if (typeof page === "number") {
        if (page === -ENOMEM) {
          const rest = this.#readInode(buffer, position);
          return rest < 0 && done > 0 ? done : done + rest;
        }
        return done > 0 ? done : page;
      }
      page.pins++; // faulting the program's page in may evict others
      const put = buffer.put(page.bytes, from, count);
      page.pins--;
      done += put;
      if (put < count) break;
    }
    return done;
  }

  /** Straight from the inode: tmpfs, or no frame left to cache in. */
  #readInode(buffer: IoBuffer, offset: number): number {
    const inode = this.file.inode;
    let done = 0;
    while (buffer.remaining > 0) {
      const run = buffer.run(buffer.remaining, true);
      if (run.length === 0) break;
      const n = inode.readAt(offset + done, run);
      if (n < 0) return done > 0 ? done : n;
      if (n > 0) buffer.written(n === run.length ? run : run.subarray(0, n));
      done += n;
      if (n < run.length) break;
    }
    return done;
  }

  #readSpecial(buffer: IoBuffer, offset: number): number {
    const special = this.file.special;
    if (special === null || buffer.remaining === 0) return 0;
    let run = buffer.run(buffer.remaining, true);
    if (run.length === 0) return buffer.result(0);
    if (run.length < buffer.remaining) {
      const bytes = $bounce.subarray(0, Math.min(buffer.remaining, BOUNCE_BYTES));
      const n = special.read(offset, bytes);
      return n <= 0 ? n : buffer.result(buffer.put(bytes, 0, n));
    }
    const n = special.read(offset, run);
    if (n <= 0) return n;
    if (n < run.length) run = run.subarray(0, n);
    buffer.written(run);
    return n;
  }

  override write(task: Task, buffer: IoBuffer, offset: number): number {
    const file = this.file;
    if (file.special !== null) return this.#writeSpecial(buffer, offset);
    if (this.#type !== S_IFREG) return -EINVAL;
    let allowed = buffer.remaining;
    if (allowed === 0) return 0;
    const limit = task.process.limits.soft[RLIMIT_FSIZE] as number;
    if (offset + allowed > limit) {
      if (offset >= limit) {
        sendToTask(task, kernelSignal(SIGXFSZ));
        return -EFBIG;
      }
      allowed = limit - offset;
    }
    if (offset + allowed > Number.MAX_SAFE_INTEGER) return -EFBIG;
    file.beforeWrite();
    const n = this.#store(buffer, offset, allowed);
    if (n <= 0) return buffer.result(n);
    return file.afterWrite(n);
  }

  #store(buffer: IoBuffer, offset: number, allowed: number): number {
    let done = 0;
    while (done < allowed) {
      const left = allowed - done;
      const run = buffer.run(left, false);
      if (run.length === 0) break;
      let bytes = run;
      if (run.length < left) {
        const gathered = buffer.take($bounce, 0, Math.min(left, BOUNCE_BYTES));
        bytes = $bounce.subarray(0, gathered);
      } else buffer.advance(run.length);
      const n = this.file.store(offset + done, bytes);
      if (n < 0) return done > 0 ? done : n;
      done += n;
      if (n < bytes.length) break;
    }
    return done;
  }

  #writeSpecial(buffer: IoBuffer, offset: number): number {
    const special = this.file.special;
    if (special === null) return 0;
    // A copy: the object may keep nothing, but what it does may touch the program's memory.
    const count = Math.min(buffer.remaining, BOUNCE_BYTES);
    const bytes = new Uint8Array(count);
    const gathered = buffer.take(bytes, 0, count);
    if (gathered < count && buffer.faulted && gathered === 0) return buffer.result(0);
    return special.write(offset, gathered === count ? bytes : bytes.subarray(0, gathered));
  }

  override appendOffset(): number {
    return this.file.special === null ? this.file.inode.size : -1;
  }

  override poll(_task: Task): number {
    return this.file.special === null ? POLLIN | POLLOUT : this.file.special.poll();
  }

  override get pollable(): boolean {
    return this.file.special?.onWake !== undefined;
  }

  override ioctl(task: Task, request: number, argument: number): number | Wait {
    if (this.file.special !== null) return this.file.special.ioctl(request, argument, task);
    return fileIoctl(this, task, request, argument);
  }

  override seek(offset: number, whence: number): number {
    this.file.position = this.position;
    const position = this.file.seek(offset, whence);
    if (position >= 0) this.position = position;
    return position;
  }

  override readdir(cookie: number, emit: DirectoryEmit): number {
    if (this.#type !== S_IFDIR) return -ENOTDIR;
    if (!this.file.path.dentry.hashed) return -ENOENT;
    const result = this.file.inode.readdir(cookie, emit);
    if (result >= 0) this.file.accessed();
    return result;
  }

  override fsync(dataOnly: boolean): number {
    return this.file.sync(dataOnly);
  }

  override truncate(byteLength: number): number {
    return this.file.truncate(byteLength);
  }

  override fallocate(mode: number, offset: number, byteLength: number): number {
    return this.file.allocate(mode, offset, byteLength);
  }

  override mapping(): PageSource | number {
    if ((this.flags & O_PATH) !== 0) return -EBADF;
    if (this.#type !== S_IFREG || this.file.special !== null) return -ENODEV;
    return sourceOf(this.file.vfs, this.file.node, this.#frames);
  }

  override flush(task: Task): number {
    locksOf(this.file.node)?.closePosix(task.files);
    return 0;
  }

  override release(): void {
    locksOf(this.file.node)?.releaseFile(this);
    this.#unsubscribe?.();
    this.file.close();
  }
}
