/**
 * An open file: Linux's `struct file`, what a descriptor refers to.
 *
 * Every kind of object behind a descriptor (regular file, directory, pipe, tty, socket, eventfd, epoll, pidfd ...)
 * extends OpenFile and overrides what it can do; the defaults answer as Linux does for an absent operation.
 *
 * Nothing here blocks. An operation that cannot go on returns -EAGAIN, and `poll()` and `pollSet` tell when to try
 * again. Whether the caller then waits is decided in one place, io-wait.ts (`readFile`, `writeFile`), by O_NONBLOCK.
 *
 * Lifetime: `count` holders (descriptors, descriptors in flight, running system calls, mappings). The last `put`
 * calls `release`, once. Who stores an OpenFile calls `get` first.
 */
import {
  EAGAIN,
  EINVAL,
  ENODEV,
  ENOTDIR,
  ENOTTY,
  ENXIO,
  ESPIPE,
  O_ACCMODE,
  O_RDONLY,
  O_WRONLY,
  POLLIN,
  POLLOUT,
} from "linux-abi";
import type { DirectoryEmit, Inode } from "vfs-inode";
import type { IoBuffer } from "./io-buffer.ts";
import type { PageSource } from "./mm/page-source.ts";
import { PollSet } from "./poll-set.ts";
import type { FsPlace } from "./task/fs-context.ts";
import type { Task } from "./task/task.ts";
import type { Wait } from "./wait.ts";

export abstract class OpenFile {
  /** Access mode and status flags as fcntl(F_GETFL) reports them (O_APPEND, O_NONBLOCK, O_PATH ...). */
  flags: number;
  /** File position in bytes; meaningful if `seekable`. Advanced by the generic read and write, not by `read`/`write` below. */
  position = 0;
  /** Told whenever `poll()` may have changed. Files of one object (all opens of a terminal) may share the object's. */
  readonly pollSet: PollSet;
  /** Who gets SIGIO (F_SETOWN): a pid, −pgrp or 0. */
  owner = 0;
  /** Holders. */
  count = 1;

  constructor(flags: number, pollSet: PollSet = new PollSet()) {
    this.flags = flags;
    this.pollSet = pollSet;
  }

  /** Has a position: pread, lseek and mmap make sense. */
  get seekable(): boolean {
    return false;
  }

  /**
   * Where it was opened, pinned by this file; null for an anonymous object. The code behind open(2) sets it on whatever file a
   * driver returned, so drivers need not know about paths.
   */
  path: FsPlace | null = null;

  /** The file's inode, or null for an anonymous object; then `anonymousName` names it. */
  get inode(): Inode | null {
    return this.path === null ? null : this.path.inode;
  }

  /** What readlink(/proc/PID/fd/N) shows for an object without a path: "pipe:[12]", "anon_inode:[eventfd]". */
  get anonymousName(): string {
    return "anon_inode:[file]";
  }

  /** Opened again through its link in /proc/PID/fd: another open file for the same object. Most anonymous objects refuse. */
  reopened(_flags: number): OpenFile | number {
    return -ENXIO;
  }

  /** st_mode that fstat(2) shows for an object without an inode. */
  get anonymousMode(): number {
    return 0o600;
  }

  get readable(): boolean {
    return (this.flags & O_ACCMODE) !== O_WRONLY;
  }

  get writable(): boolean {
    return (this.flags & O_ACCMODE) !== O_RDONLY;
  }

  /**
   * Reads into `buffer` from `offset` (ignore it if not seekable). Returns the count (0 at the end), -EAGAIN if nothing is there
   * yet, or another errno. Short reads are fine.
   */
  read(_task: Task, _buffer: IoBuffer, _offset: number): number {
    return -EINVAL;
  }

  /**
   * Writes from `buffer` at `offset`. Returns the count, -EAGAIN if nothing fits now, or another errno. A short count with O_NONBLOCK clear makes
   * the generic write wait for the rest if `completesWrites`.
   */
  write(_task: Task, _buffer: IoBuffer, _offset: number): number {
    return -EINVAL;
  }

  /** A blocking write goes on until all bytes are accepted (pipes, stream sockets, ttys). */
  get completesWrites(): boolean {
    return false;
  }

  /**
   * When a blocking read gives up (SO_RCVTIMEO, a terminal's VTIME): monotonic ns. Asked when the wait begins, with NO_DEADLINE, and
   * after each wake-up with the deadline so far. A read that gives up is tried once more; if it still has nothing it returns `readTimeoutResult`.
   */
  readDeadlineNs(_task: Task, current: number): number {
    return current;
  }

  get readTimeoutResult(): number {
    return -EAGAIN;
  }

  /** The same for a blocking write (SO_SNDTIMEO), which then returns what it has written, or -EAGAIN. */
  writeDeadlineNs(_task: Task, current: number): number {
    return current;
  }

  /** Where a write with O_APPEND goes, in bytes; −1 if the file has no notion of it. */
  appendOffset(): number {
    return -1;
  }

  /** POLL* bits that hold now. Never blocks, no side effects. */
  poll(_task: Task): number {
    return POLLIN | POLLOUT;
  }

  /**
   * True if poll(2)-style readiness is real: epoll refuses files without it (regular files, directories) with EPERM.
   */
  get pollable(): boolean {
    return true;
  }

  /** The generic requests (FIOCLEX, FIONBIO, FIOASYNC ...) are handled before this is called. */
  ioctl(_task: Task, _request: number, _argument: number): number | Wait {
    return -ENOTTY;
  }

  /** lseek(2), all whences. Returns the new position, which the implementation has stored, or -errno. */
  seek(_offset: number, _whence: number): number {
    return -ESPIPE;
  }

  /** getdents64: entries from `position` (a cookie) on. */
  readdir(_cookie: number, _emit: DirectoryEmit): number {
    return -ENOTDIR;
  }

  /** 0 or -errno. */
  fsync(_dataOnly: boolean): number {
    return -EINVAL;
  }

  truncate(_byteLength: number): number {
    return -EINVAL;
  }

  fallocate(_mode: number, _offset: number, _byteLength: number): number {
    return -ENODEV;
  }

  /** What mmap(2) maps, or -ENODEV. */
  mapping(): PageSource | number {
    return -ENODEV;
  }

  /** Called by close(2) for each descriptor that goes, before `put` (flush semantics, POSIX locks). 0 or -errno. */
  flush(_task: Task): number {
    return 0;
  }

  /** The last holder is gone. Must not throw. */
  release(): void {}

  get(): this {
    this.count++;
    return this;
  }

  put(): void {
    if (--this.count > 0) return;
    this.release();
    const path = this.path;
    this.path = null;
    path?.unpin();
  }
}
