/**
 * Copying between descriptors inside the kernel: sendfile copy_file_range splice.
 *
 * All go through one loop: read a piece from the source into a kernel buffer, write it to the destination. Pieces that were read but
 * could not be written stay in the transfer until the destination takes them, so nothing is lost when either side has to wait.
 */
import {
  EAGAIN,
  EBADF,
  EFAULT,
  EINVAL,
  EISDIR,
  ESPIPE,
  EXDEV,
  O_APPEND,
  O_NONBLOCK,
  POLLERR,
  POLLOUT,
  SPLICE_F_GIFT,
  SPLICE_F_MORE,
  SPLICE_F_MOVE,
  SPLICE_F_NONBLOCK,
  S_IFDIR,
  S_IFMT,
  S_IFREG,
  SYS_copy_file_range,
  SYS_sendfile,
  SYS_splice,
} from "linux-abi";
import type { OpenFile } from "../../file.ts";
import { IoBuffer } from "../../io-buffer.ts";
import { PipeFile } from "../../io/pipe.ts";
import type { Task } from "../../task/task.ts";
import { ERESTARTSYS, NO_DEADLINE, POLL_ANY, WAKE_SIGNAL, Wait } from "../../wait.ts";
import { type SyscallRow, full, partial, row } from "../row.ts";

const PIECE_BYTES = 65536;
/** Most bytes of one call: Linux moves up to 2 GiB, but lets signals end it early. Programs go on after a short count. */
const MAX_TRANSFER = 16 << 20;
const KNOWN_SPLICE_FLAGS = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT;

/** One copy in progress. Offsets are file offsets, or −1 for "use and move the position" (or none at all). */
class Transfer {
  readonly #source: OpenFile;
  readonly #target: OpenFile;
  #sourceOffset: number;
  #targetOffset: number;
  #left: number;
  readonly #nonblock: boolean;
  /** Called with the final result, to store offsets. */
  readonly #finish: (moved: number, sourceOffset: number, targetOffset: number) => number;
  #moved = 0;
  readonly #piece = new Uint8Array(PIECE_BYTES);
  // Bytes of the piece that have been read and not written yet.
  #pieceStart = 0;
  #pieceEnd = 0;
  readonly #buffer = new IoBuffer();

  constructor(
    source: OpenFile,
    sourceOffset: number,
    target: OpenFile,
    targetOffset: number,
    byteLength: number,
    nonblock: boolean,
    finish: (moved: number, sourceOffset: number, targetOffset: number) => number,
  ) {
    this.#source = source;
    this.#sourceOffset = sourceOffset;
    this.#target = target;
    this.#targetOffset = targetOffset;
    this.#left = Math.min(byteLength, MAX_TRANSFER);
    this.#nonblock = nonblock;
    this.#finish = finish;
  }

  start(task: Task): number | Wait {
    this.#source.get();
    this.#target.get();
    return this.#run(task);
  }

  #run(task: Task): number | Wait {
    for (;;) {
      if (this.#pieceStart < this.#pieceEnd) {
        const n = this.#write(task);
        if (n === -EAGAIN) return this.#wait(this.#target, this.#moved > 0 && this.#nonblock);
        if (n < 0) return this.#end(this.#moved > 0 ? this.#moved : n);
        this.#moved += n;
        continue;
      }
      if (this.#left === 0) return this.#end(this.#moved);
      // Nothing is read that the target could not take.
      if (this.#target.pollable && (this.#target.poll(task) & (POLLOUT | POLLERR)) === 0)
        return this.#wait(this.#target, false);
      const n = this.#read(task);
      // Once something has moved, an empty source ends the call: it does not wait for more.
      if (n === -EAGAIN && this.#moved > 0) return this.#end(this.#moved);
      if (n === -EAGAIN) return this.#wait(this.#source, false);
      if (n <= 0) return this.#end(this.#moved > 0 ? this.#moved : n);
      this.#left -= n;
      this.#pieceStart = 0;
      this.#pieceEnd = n;
    }
  }

  #read(task: Task): number {
    const file = this.#source;
    const atPosition = this.#sourceOffset < 0;
    this.#buffer.setKernel(this.#piece.subarray(0, Math.min(this.#left, PIECE_BYTES)));
    const n = file.read(task, this.#buffer, atPosition ? file.position : this.#sourceOffset);
    if (n > 0 && file.seekable) {
      if (atPosition) file.position += n;
      else this.#sourceOffset += n;
    }
    return n;
  }

  #write(task: Task): number {
    const file = this.#target;
    const atPosition = this.#targetOffset < 0;
    const append = (file.flags & O_APPEND) !== 0 ? file.appendOffset() : -1;
    const offset = append >= 0 ? append : atPosition ? file.position : this.#targetOffset;
    this.#buffer.setKernel(this.#piece.subarray(this.#pieceStart, this.#pieceEnd));
    const n = file.write(task, this.#buffer, offset);
    if (n > 0) this.#pieceStart += n;
    if (n > 0 && file.seekable) {
      if (atPosition) file.position = offset + n;
      else this.#targetOffset = offset + n;
    }
    return n === 0 ? -EAGAIN : n;
  }

  /** Bytes that were read from a file and never written go back by way of its position. */
  #end(result: number): number {
    const unwritten = this.#pieceEnd - this.#pieceStart;
    if (unwritten > 0 && this.#source.seekable) {
      if (this.#sourceOffset < 0) this.#source.position -= unwritten;
      else this.#sourceOffset -= unwritten;
    }
    const final = this.#finish(result, this.#sourceOffset, this.#targetOffset);
    this.#source.put();
    this.#target.put();
    return final;
  }

  #wait(on: OpenFile, giveUp: boolean): number | Wait {
    const nonblock = this.#nonblock || (on.flags & O_NONBLOCK) !== 0;
    if (giveUp || nonblock) return this.#end(this.#moved > 0 ? this.#moved : -EAGAIN);
    return new Wait(
      "splice",
      on.pollSet,
      (task, reason) => {
        if (reason === WAKE_SIGNAL) return this.#end(this.#moved > 0 ? this.#moved : -ERESTARTSYS);
        return this.#run(task);
      },
      NO_DEADLINE,
      POLL_ANY,
    );
  }
}

/** Reads the 64-bit offset at `address`: −1 if the address is null; -EFAULT, -EINVAL. */
function readOffset(task: Task, address: number): number {
  if (address === 0) return -1;
  const offset = task.memory.readU64(address);
  if (offset < 0) return -EFAULT;
  return offset > Number.MAX_SAFE_INTEGER ? -EINVAL : offset;
}

function isError(offset: number): boolean {
  return offset < -1;
}

function sys_sendfile(task: Task, outFd: number, inFd: number, offsetAddress: number, count: number): number | Wait {
  const source = task.files.get(inFd);
  const target = task.files.get(outFd);
  if (source === undefined || !source.readable || target === undefined || !target.writable) return -EBADF;
  if ((target.flags & O_APPEND) !== 0 && target.seekable) return -EINVAL;
  const offset = readOffset(task, offsetAddress);
  if (isError(offset)) return offset;
  if (offset >= 0 && !source.seekable) return -ESPIPE;
  const transfer = new Transfer(source, offset, target, -1, count, false, (moved, reached) => {
    if (offsetAddress !== 0 && moved >= 0) return task.memory.writeI64(offsetAddress, reached) || moved;
    return moved;
  });
  return transfer.start(task);
}

function sys_splice(
  task: Task,
  fdIn: number,
  offIn: number,
  fdOut: number,
  offOut: number,
  len: number,
  flags: number,
): number | Wait {
  if ((flags & ~KNOWN_SPLICE_FLAGS) !== 0) return -EINVAL;
  if (len === 0) return 0;
  const source = task.files.get(fdIn);
  const target = task.files.get(fdOut);
  if (source === undefined || !source.readable || target === undefined || !target.writable) return -EBADF;
  const fromPipe = source instanceof PipeFile;
  const toPipe = target instanceof PipeFile;
  if (!fromPipe && !toPipe) return -EINVAL;
  if (fromPipe && toPipe && source.pipe === target.pipe) return -EINVAL;
  if ((fromPipe && offIn !== 0) || (toPipe && offOut !== 0)) return -ESPIPE;
  const from = readOffset(task, offIn);
  const to = readOffset(task, offOut);
  if (isError(from)) return from;
  if (isError(to)) return to;
  if ((from >= 0 && !source.seekable) || (to >= 0 && !target.seekable)) return -EINVAL;
  if ((target.flags & O_APPEND) !== 0 && target.seekable) return -EINVAL;
  const nonblock = (flags & SPLICE_F_NONBLOCK) !== 0;
  const transfer = new Transfer(source, from, target, to, len, nonblock, (moved, reachedIn, reachedOut) => {
    if (moved < 0) return moved;
    if (offIn !== 0 && task.memory.writeI64(offIn, reachedIn) !== 0) return -EFAULT;
    if (offOut !== 0 && task.memory.writeI64(offOut, reachedOut) !== 0) return -EFAULT;
    return moved;
  });
  return transfer.start(task);
}

function isRegular(file: OpenFile): boolean {
  return file.inode !== null && (file.inode.mode & S_IFMT) === S_IFREG && file.seekable;
}

function sys_copy_file_range(
  task: Task,
  fdIn: number,
  offIn: number,
  fdOut: number,
  offOut: number,
  len: number,
  flags: number,
): number | Wait {
  if (flags !== 0) return -EINVAL;
  const source = task.files.get(fdIn);
  const target = task.files.get(fdOut);
  if (source === undefined || !source.readable || target === undefined || !target.writable) return -EBADF;
  if ((target.flags & O_APPEND) !== 0) return -EBADF;
  for (const file of [source, target]) if (((file.inode?.mode ?? 0) & S_IFMT) === S_IFDIR) return -EISDIR;
  if (!isRegular(source) || !isRegular(target)) return -EINVAL;
  // Pseudo files report size 0 and must be copied by read and write (Linux 5.19: EXDEV or 0).
  if (source.inode?.fs !== target.inode?.fs) return -EXDEV;
  const from = readOffset(task, offIn);
  const to = readOffset(task, offOut);
  if (isError(from)) return from;
  if (isError(to)) return to;
  const start = from >= 0 ? from : source.position;
  const destination = to >= 0 ? to : target.position;
  if (source.inode === target.inode && start < destination + len && destination < start + len) return -EINVAL;
  const transfer = new Transfer(source, from, target, to, len, false, (moved, reachedIn, reachedOut) => {
    if (moved < 0) return moved;
    if (offIn !== 0 && task.memory.writeI64(offIn, reachedIn) !== 0) return -EFAULT;
    if (offOut !== 0 && task.memory.writeI64(offOut, reachedOut) !== 0) return -EFAULT;
    return moved;
  });
  return transfer.start(task);
}

export const TRANSFER_CALLS: readonly SyscallRow[] = [
  row(SYS_sendfile, "sendfile", "out_fd:fd in_fd:fd offset:ptr count:size", full, sys_sendfile),
  row(
    SYS_splice,
    "splice",
    "fd_in:fd off_in:ptr fd_out:fd off_out:ptr len:size flags:flags",
    partial("copies; pages are not moved"),
    sys_splice,
  ),
  row(
    SYS_copy_file_range,
    "copy_file_range",
    "fd_in:fd off_in:ptr fd_out:fd off_out:ptr len:size flags:flags",
    full,
    sys_copy_file_range,
  ),
];
