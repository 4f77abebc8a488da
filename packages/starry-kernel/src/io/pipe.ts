/**
 * Pipes: a bounded byte queue with a set of read ends and a set of write ends (pipe(7)).
 *
 * Unnamed pipes have one file at each end; a FIFO's pipe belongs to its inode and has any number (fifo.ts).
 *
 * Rules that programs rely on:
 *  - a write of at most PIPE_BUF bytes goes in whole or not at all; a longer one may be split;
 *  - reading an empty pipe gives 0 once no write end is open, writing without a read end gives EPIPE (and SIGPIPE, sent by io-wait.ts);
 *  - a pipe is writable for poll(2) when a whole PIPE_BUF fits, and sleeping writers are woken then, not at every byte read:
 *    they are handed a page's worth of room at a time, as Linux hands them page slots;
 *  - with O_DIRECT every write of up to PIPE_BUF bytes is a packet: a read returns one packet and drops what does not fit.
 *
 * Who wakes whom: a write wakes `readers` (POLLIN); a read wakes `writers` (POLLOUT); the last write end's release wakes `readers` (POLLHUP),
 * the last read end's release wakes `writers` (POLLERR), the first open of either end of a FIFO wakes the other side.
 */
import {
  CAP_SYS_RESOURCE,
  EAGAIN,
  EBUSY,
  EINVAL,
  ENOTTY,
  EPERM,
  EPIPE,
  FIONREAD,
  O_ACCMODE,
  O_DIRECT,
  O_RDONLY,
  O_WRONLY,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLRDNORM,
  POLLWRNORM,
} from "linux-abi";
import type { Inode } from "vfs-inode";
import type { IoBuffer } from "../io-buffer.ts";
import { OpenFile } from "../file.ts";
import { PollSet } from "../poll-set.ts";
import type { Task } from "../task/task.ts";
import { ByteRing } from "./byte-ring.ts";

/** Writes up to this size are atomic (limits.h). */
export const PIPE_BUF = 4096;
/** Capacity of a new pipe, bytes. */
export const PIPE_DEFAULT_BYTES = 65536;
/** /proc/sys/fs/pipe-max-size: beyond it F_SETPIPE_SZ needs CAP_SYS_RESOURCE. */
export const PIPE_MAX_BYTES = 1048576;
/** A pipe's bytes are the host's memory: Linux stops at 2 GiB, we here. */
const PIPE_LARGEST = 64 << 20;

export class Pipe {
  readonly ring: ByteRing = new ByteRing(PIPE_DEFAULT_BYTES);
  /** Open ends. A file opened O_RDWR counts at both. */
  readers = 0;
  writers = 0;
  /** Opens ever, so that an open that waits for a partner notices one that came and went. */
  readerOpens = 0;
  writerOpens = 0;
  readonly readerSet: PollSet = new PollSet();
  readonly writerSet: PollSet = new PollSet();
  /** Of files opened O_RDWR (FIFOs only). */
  readonly bothSet: PollSet = new PollSet();
  // Lengths of the queued packets; null until somebody writes with O_DIRECT.
  #packets: number[] | null = null;

  /** The set that a file of this access mode polls. */
  setFor(flags: number): PollSet {
    const mode = flags & O_ACCMODE;
    return mode === O_RDONLY ? this.readerSet : mode === O_WRONLY ? this.writerSet : this.bothSet;
  }

  addEnd(flags: number): void {
    const mode = flags & O_ACCMODE;
    if (mode !== O_WRONLY) {
      this.readerOpens++;
      if (this.readers++ === 0) this.wakeWriters(POLLOUT | POLLWRNORM);
    }
    if (mode !== O_RDONLY) {
      this.writerOpens++;
      if (this.writers++ === 0) this.wakeReaders(POLLIN | POLLRDNORM);
    }
  }

  removeEnd(flags: number): void {
    const mode = flags & O_ACCMODE;
    if (mode !== O_WRONLY && --this.readers === 0) this.wakeWriters(POLLERR | POLLHUP | POLLOUT | POLLWRNORM);
    if (mode !== O_RDONLY && --this.writers === 0) this.wakeReaders(POLLHUP | POLLIN | POLLRDNORM);
    if (this.readers === 0 && this.writers === 0) {
      this.ring.clear();
      this.#packets = null;
    }
  }

  wakeReaders(events: number): void {
    this.readerSet.wake(events);
    this.bothSet.wake(events);
  }

  wakeWriters(events: number): void {
    this.writerSet.wake(events);
    this.bothSet.wake(events);
  }

  /** Up to buffer.remaining bytes. 0: no writer is left. -EAGAIN: empty. */
  read(buffer: IoBuffer): number {
    const ring = this.ring;
    if (ring.length === 0) return this.writers === 0 || buffer.remaining === 0 ? 0 : -EAGAIN;
    const packets = this.#packets;
    const count = packets === null ? ring.readTo(buffer, buffer.remaining) : this.#readPacket(buffer, packets);
    if (count > 0 && ring.room >= PIPE_BUF) this.wakeWriters(POLLOUT | POLLWRNORM);
    return buffer.result(count);
  }

  #readPacket(buffer: IoBuffer, packets: number[]): number {
    const length = packets[0] as number;
    const count = this.ring.copyTo(buffer, 0, length);
    if (buffer.faulted) return count;
    this.ring.skip(length);
    packets.shift();
    if (packets.length === 0) this.#packets = null;
    return count;
  }

  /** -EPIPE: no reader is left. -EAGAIN: does not fit now. `packet`: O_DIRECT. */
  write(buffer: IoBuffer, packet: boolean): number {
    if (this.readers === 0) return -EPIPE;
    const todo = buffer.remaining;
    if (todo === 0) return 0;
    const ring = this.ring;
    const needed = todo <= PIPE_BUF ? todo : packet ? PIPE_BUF : 1;
    if (ring.room < needed) return -EAGAIN;
    let count = 0;
    if (packet || this.#packets !== null) count = this.#writePackets(buffer);
    else count = ring.writeFrom(buffer, todo);
    if (count > 0) this.wakeReaders(POLLIN | POLLRDNORM);
    return buffer.result(count);
  }

  #writePackets(buffer: IoBuffer): number {
    const ring = this.ring;
    // What lies there undivided becomes the first packet.
    const packets = (this.#packets ??= ring.length > 0 ? [ring.length] : []);
    let count = 0;
    while (buffer.remaining > 0 && ring.room >= Math.min(buffer.remaining, PIPE_BUF)) {
      const length = ring.writeFrom(buffer, PIPE_BUF);
      if (length === 0) break; // bad address
      packets.push(length);
      count += length;
    }
    return count;
  }

  /** Bytes were put into or taken from `ring` by other means than read and write (splice). */
  ringChanged(added: boolean): void {
    if (added) {
      this.wakeReaders(POLLIN | POLLRDNORM);
      return;
    }
    this.#packets = null;
    if (this.ring.room >= PIPE_BUF) this.wakeWriters(POLLOUT | POLLWRNORM);
  }

  /** F_SETPIPE_SZ: the new capacity in bytes, or -EINVAL, -EPERM, -EBUSY. */
  resize(task: Task, byteLength: number): number {
    if (byteLength < 0 || byteLength > PIPE_LARGEST) return -EINVAL;
    let size = PIPE_BUF;
    while (size < byteLength) size *= 2;
    if (size > PIPE_MAX_BYTES && size > this.ring.limit && !task.cred.hasCapability(CAP_SYS_RESOURCE)) return -EPERM;
    if (size < this.ring.length) return -EBUSY;
    const grew = size > this.ring.limit;
    this.ring.setLimit(size);
    if (grew) this.wakeWriters(POLLOUT | POLLWRNORM);
    return size;
  }
}

/** One open end of a pipe. */
export class PipeFile extends OpenFile {
  readonly pipe: Pipe;
  readonly #anonymous: Inode | null;
  // FIFO opened for reading without a writer: no POLLHUP until one has been there.
  #hangupAfterOpen: number;

  /** Counts as an open end from now on. `anonymous`: what fstat shows for an unnamed pipe. */
  constructor(pipe: Pipe, flags: number, anonymous: Inode | null = null) {
    super(flags, pipe.setFor(flags));
    this.pipe = pipe;
    this.#anonymous = anonymous;
    this.#hangupAfterOpen = -1;
    pipe.addEnd(flags);
  }

  /** open(2) of a FIFO for reading found no writer: POLLHUP and end-of-file only mean something after the next one. */
  expectWriter(): void {
    this.#hangupAfterOpen = this.pipe.writerOpens;
  }

  override get inode(): Inode | null {
    return this.#anonymous ?? super.inode;
  }

  override get anonymousName(): string {
    return `pipe:[${this.inode?.ino ?? 0}]`;
  }

  override get completesWrites(): boolean {
    return true;
  }

  override read(_task: Task, buffer: IoBuffer, _offset: number): number {
    return this.pipe.read(buffer);
  }

  override write(_task: Task, buffer: IoBuffer, _offset: number): number {
    return this.pipe.write(buffer, (this.flags & O_DIRECT) !== 0);
  }

  override poll(_task: Task): number {
    const pipe = this.pipe;
    const mode = this.flags & O_ACCMODE;
    let events = 0;
    if (mode !== O_WRONLY) {
      if (pipe.ring.length > 0) events |= POLLIN | POLLRDNORM;
      if (pipe.writers === 0 && pipe.writerOpens !== this.#hangupAfterOpen) events |= POLLHUP;
    }
    if (mode !== O_RDONLY) {
      if (pipe.ring.room >= PIPE_BUF) events |= POLLOUT | POLLWRNORM;
      if (pipe.readers === 0) events |= POLLERR;
    }
    return events;
  }

  override ioctl(task: Task, request: number, argument: number): number {
    return request === FIONREAD ? task.memory.writeU32(argument, this.pipe.ring.length) : -ENOTTY;
  }

  override release(): void {
    this.pipe.removeEnd(this.flags);
  }
}

/** Both ends of a new unnamed pipe; `flags`: O_NONBLOCK, O_DIRECT. `inode` is what fstat shows. */
export function createPipe(inode: Inode, flags: number): readonly [PipeFile, PipeFile] {
  const pipe = new Pipe();
  return [new PipeFile(pipe, O_RDONLY | flags, inode), new PipeFile(pipe, O_WRONLY | flags, inode)];
}
