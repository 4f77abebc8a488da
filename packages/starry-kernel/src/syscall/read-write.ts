/**
 * read(2), write(2) and their vector and positioned forms, close(2), dup(2).
 */
import {
  CLOSE_RANGE_CLOEXEC,
  CLOSE_RANGE_UNSHARE,
  EBADF,
  EFAULT,
  EINVAL,
  EISDIR,
  EOPNOTSUPP,
  ESPIPE,
  O_CLOEXEC,
  RLIMIT_NOFILE,
  S_IFDIR,
  S_IFMT,
  SYS_close,
  SYS_close_range,
  SYS_dup,
  SYS_dup3,
  SYS_pread64,
  SYS_preadv,
  SYS_preadv2,
  SYS_pwrite64,
  SYS_pwritev,
  SYS_pwritev2,
  SYS_read,
  SYS_readv,
  SYS_write,
  SYS_writev,
} from "linux-abi";
import { closeFile } from "../fd-table.ts";
import type { OpenFile } from "../file.ts";
import { IoBuffer } from "../io-buffer.ts";
import { AT_POSITION, readFile, writeFile } from "../io-wait.ts";
import { USER_TOP } from "../mm/address-space.ts";
import type { Task } from "../task/task.ts";
import type { Wait } from "../wait.ts";
import { full, partial, row, type SyscallRow } from "./row.ts";

/** Longest transfer of one call, in bytes (MAX_RW_COUNT). */
export const MAX_RW_COUNT = 0x7ffff000;
/** UIO_MAXIOV */
const MAX_SEGMENTS = 1024;

// RWF_* of preadv2: hints that change nothing here, and the two that do.
const RWF_NOWAIT = 8;
const RWF_APPEND = 16;
const RWF_KNOWN = 31;

const $buffer = new IoBuffer(); // of the call in progress; io-wait detaches it if the call waits

function readable(task: Task, fd: number): OpenFile | number {
  const file = task.files.get(fd);
  return file === undefined || !file.readable ? -EBADF : file;
}

function writable(task: Task, fd: number): OpenFile | number {
  const file = task.files.get(fd);
  return file === undefined || !file.writable ? -EBADF : file;
}

/** Points the shared buffer at [address, address + count). False: not a range of a program's memory. */
function single(task: Task, address: number, count: number): boolean {
  if (address + count > USER_TOP) return false;
  $buffer.setUser(task.memory, address, Math.min(count, MAX_RW_COUNT));
  return true;
}

/** struct iovec[count] as (address, byteLength) pairs, cut to MAX_RW_COUNT; or -errno. */
export function readVector(task: Task, address: number, count: number): number[] | number {
  if (count > MAX_SEGMENTS) return -EINVAL;
  const segments: number[] = [];
  let total = 0;
  for (let i = 0; i < count; i++) {
    if (task.memory.load(address + 16 * i, 16) !== 0) return -EFAULT;
    const { scratch } = task.memory;
    const base = scratch.getUint32(4, true) * 4294967296 + scratch.getUint32(0, true);
    const length = scratch.getUint32(12, true) * 4294967296 + scratch.getUint32(8, true);
    if (length >= 2 ** 63) return -EINVAL;
    const wanted = Math.min(length, MAX_RW_COUNT - total);
    if (base + wanted > USER_TOP && wanted > 0) return -EFAULT;
    segments.push(base, wanted);
    total += wanted;
  }
  return segments;
}

function vector(task: Task, address: number, count: number): number {
  const segments = readVector(task, address, count);
  if (typeof segments === "number") return segments;
  $buffer.setUserVector(task.memory, segments);
  return 0;
}

function read(task: Task, file: OpenFile, offset: number, nonblock: boolean): number | Wait {
  const { inode } = file;
  if (inode !== null && (inode.mode & S_IFMT) === S_IFDIR) return -EISDIR;
  task.usage.readCalls++;
  if ($buffer.remaining === 0 && file.seekable) return 0;
  return readFile(task, file, $buffer, offset, nonblock);
}

function write(task: Task, file: OpenFile, offset: number, nonblock: boolean): number | Wait {
  task.usage.writeCalls++;
  return writeFile(task, file, $buffer, offset, nonblock);
}

/** read(2) */
function sys_read(task: Task, fd: number, address: number, count: number): number | Wait {
  const file = readable(task, fd);
  if (typeof file === "number") return file;
  if (!single(task, address, count)) return -EFAULT;
  return read(task, file, AT_POSITION, false);
}

/** write(2) */
function sys_write(task: Task, fd: number, address: number, count: number): number | Wait {
  const file = writable(task, fd);
  if (typeof file === "number") return file;
  if (!single(task, address, count)) return -EFAULT;
  return write(task, file, AT_POSITION, false);
}

/** pread64(2) */
function sys_pread64(task: Task, fd: number, address: number, count: number, offset: number): number | Wait {
  if (offset < 0) return -EINVAL;
  const file = readable(task, fd);
  if (typeof file === "number") return file;
  if (!file.seekable) return -ESPIPE;
  if (!single(task, address, count)) return -EFAULT;
  return read(task, file, offset, false);
}

/** pwrite64(2) */
function sys_pwrite64(task: Task, fd: number, address: number, count: number, offset: number): number | Wait {
  if (offset < 0) return -EINVAL;
  const file = writable(task, fd);
  if (typeof file === "number") return file;
  if (!file.seekable) return -ESPIPE;
  if (!single(task, address, count)) return -EFAULT;
  return write(task, file, offset, false);
}

/** readv(2) */
function sys_readv(task: Task, fd: number, iov: number, count: number): number | Wait {
  const file = readable(task, fd);
  if (typeof file === "number") return file;
  const error = vector(task, iov, count);
  return error !== 0 ? error : read(task, file, AT_POSITION, false);
}

/** writev(2) */
function sys_writev(task: Task, fd: number, iov: number, count: number): number | Wait {
  const file = writable(task, fd);
  if (typeof file === "number") return file;
  const error = vector(task, iov, count);
  return error !== 0 ? error : write(task, file, AT_POSITION, false);
}

/** preadv(2): the offset comes in one register on 64-bit machines; the second half is ignored. */
function sys_preadv(task: Task, fd: number, iov: number, count: number, offset: number): number | Wait {
  return positionedReadVector(task, fd, iov, count, offset, 0);
}

/** pwritev(2) */
function sys_pwritev(task: Task, fd: number, iov: number, count: number, offset: number): number | Wait {
  return positionedWriteVector(task, fd, iov, count, offset, 0);
}

/** preadv2(2): offset −1 uses the file position. */
function sys_preadv2(
  task: Task,
  fd: number,
  iov: number,
  count: number,
  offset: number,
  _high: number,
  flags: number,
): number | Wait {
  return positionedReadVector(task, fd, iov, count, offset, flags, true);
}

/** pwritev2(2) */
function sys_pwritev2(
  task: Task,
  fd: number,
  iov: number,
  count: number,
  offset: number,
  _high: number,
  flags: number,
): number | Wait {
  return positionedWriteVector(task, fd, iov, count, offset, flags, true);
}

function positionedReadVector(
  task: Task,
  fd: number,
  iov: number,
  count: number,
  offset: number,
  flags: number,
  mayUsePosition = false,
): number | Wait {
  if ((flags & ~RWF_KNOWN) !== 0 || (flags & RWF_APPEND) !== 0) return -EOPNOTSUPP;
  const atPosition = mayUsePosition && offset === -1;
  if (offset < 0 && !atPosition) return -EINVAL;
  const file = readable(task, fd);
  if (typeof file === "number") return file;
  if (!atPosition && !file.seekable) return -ESPIPE;
  const error = vector(task, iov, count);
  return error !== 0 ? error : read(task, file, atPosition ? AT_POSITION : offset, (flags & RWF_NOWAIT) !== 0);
}

function positionedWriteVector(
  task: Task,
  fd: number,
  iov: number,
  count: number,
  offset: number,
  flags: number,
  mayUsePosition = false,
): number | Wait {
  if ((flags & ~RWF_KNOWN) !== 0) return -EOPNOTSUPP;
  const atPosition = mayUsePosition && offset === -1;
  if (offset < 0 && !atPosition) return -EINVAL;
  const file = writable(task, fd);
  if (typeof file === "number") return file;
  if (!atPosition && !file.seekable) return -ESPIPE;
  const error = vector(task, iov, count);
  if (error !== 0) return error;
  const end = (flags & RWF_APPEND) !== 0 ? file.appendOffset() : -1;
  return write(task, file, end >= 0 ? end : atPosition ? AT_POSITION : offset, (flags & RWF_NOWAIT) !== 0);
}

/** close(2) */
function sys_close(task: Task, fd: number): number {
  return task.files.close(task, fd);
}

/** close_range(2) */
function sys_close_range(task: Task, first: number, last: number, flags: number): number {
  if ((flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)) !== 0 || first > last) return -EINVAL;
  if ((flags & CLOSE_RANGE_UNSHARE) !== 0 && task.files.count > 1) {
    const own = task.files.clone();
    task.files.put(task);
    task.files = own;
  }
  const end = Math.min(last, task.files.length - 1);
  for (let fd = first; fd <= end; fd++) {
    if (task.files.peek(fd) === undefined) continue;
    if ((flags & CLOSE_RANGE_CLOEXEC) !== 0) task.files.setCloseOnExec(fd, true);
    else task.files.close(task, fd);
  }
  return 0;
}

/** dup(2) */
function sys_dup(task: Task, fd: number): number {
  const file = task.files.peek(fd);
  if (file === undefined) return -EBADF;
  const copy = task.files.install(file.get(), false, task.process.limits.soft[RLIMIT_NOFILE] as number);
  if (copy < 0) file.put();
  return copy;
}

/** dup3(2) */
function sys_dup3(task: Task, oldFd: number, newFd: number, flags: number): number {
  if ((flags & ~O_CLOEXEC) !== 0 || oldFd === newFd) return -EINVAL;
  const file = task.files.peek(oldFd);
  if (file === undefined || newFd < 0 || newFd >= (task.process.limits.soft[RLIMIT_NOFILE] as number)) return -EBADF;
  const old = task.files.replace(newFd, file.get(), (flags & O_CLOEXEC) !== 0);
  if (old !== undefined) closeFile(task, old);
  return newFd;
}

export const READ_WRITE_CALLS: readonly SyscallRow[] = [
  row(SYS_read, "read", "fd:fd buf:out_buf count:size", full, sys_read),
  row(SYS_write, "write", "fd:fd buf:in_buf count:size", full, sys_write),
  row(SYS_pread64, "pread64", "fd:fd buf:out_buf count:size offset:off", full, sys_pread64),
  row(SYS_pwrite64, "pwrite64", "fd:fd buf:in_buf count:size offset:off", full, sys_pwrite64),
  row(SYS_readv, "readv", "fd:fd iov:iovec count:ulong", full, sys_readv),
  row(SYS_writev, "writev", "fd:fd iov:iovec count:ulong", full, sys_writev),
  row(SYS_preadv, "preadv", "fd:fd iov:iovec count:ulong offset:off", full, sys_preadv),
  row(SYS_pwritev, "pwritev", "fd:fd iov:iovec count:ulong offset:off", full, sys_pwritev),
  row(
    SYS_preadv2,
    "preadv2",
    "fd:fd iov:iovec count:ulong offset:off high:ulong flags:flags",
    partial("RWF_HIPRI and RWF_SYNC have no effect"),
    sys_preadv2,
  ),
  row(
    SYS_pwritev2,
    "pwritev2",
    "fd:fd iov:iovec count:ulong offset:off high:ulong flags:flags",
    partial("RWF_HIPRI, RWF_DSYNC and RWF_SYNC have no effect"),
    sys_pwritev2,
  ),
  row(SYS_close, "close", "fd:fd", full, sys_close),
  row(SYS_close_range, "close_range", "first:uint last:uint flags:flags", full, sys_close_range),
  row(SYS_dup, "dup", "fd:fd", full, sys_dup),
  row(SYS_dup3, "dup3", "oldfd:fd newfd:fd flags:open_flags", full, sys_dup3),
];
