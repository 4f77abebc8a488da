/** truncate(2), ftruncate(2), fallocate(2). */
import {
  AT_FDCWD,
  EBADF,
  EFBIG,
  EINVAL,
  EOPNOTSUPP,
  FALLOC_FL_COLLAPSE_RANGE,
  FALLOC_FL_INSERT_RANGE,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_UNSHARE_RANGE,
  FALLOC_FL_ZERO_RANGE,
  RLIMIT_FSIZE,
  SIGXFSZ,
  SYS_fallocate,
  SYS_ftruncate,
  SYS_truncate,
} from "linux-abi";
import { sendToTask } from "../../signal/send.ts";
import { kernelSignal } from "../../signal/siginfo.ts";
import type { Task } from "../../task/task.ts";
import { type SyscallRow, full, row } from "../row.ts";
import { placeAt } from "./place.ts";

const KNOWN_MODES =
  FALLOC_FL_KEEP_SIZE |
  FALLOC_FL_PUNCH_HOLE |
  FALLOC_FL_COLLAPSE_RANGE |
  FALLOC_FL_ZERO_RANGE |
  FALLOC_FL_INSERT_RANGE |
  FALLOC_FL_UNSHARE_RANGE;

/** RLIMIT_FSIZE: 0, or -EFBIG with SIGXFSZ. */
function checkSize(task: Task, size: number): number {
  if (size <= (task.process.limits.soft[RLIMIT_FSIZE] as number)) return size > Number.MAX_SAFE_INTEGER ? -EFBIG : 0;
  sendToTask(task, kernelSignal(SIGXFSZ));
  return -EFBIG;
}

function sys_truncate(task: Task, pathname: number, length: number): number {
  if (length < 0) return -EINVAL;
  const path = placeAt(task, AT_FDCWD, pathname, 0);
  if (typeof path === "number") return path;
  if (length > path.inode.size) {
    const error = checkSize(task, length);
    if (error !== 0) return error;
  }
  return task.kernel.fs.vfs.truncate(task.kernel.fs.contextOf(task), path, length);
}

function sys_ftruncate(task: Task, fd: number, length: number): number {
  const file = task.files.get(fd);
  if (file === undefined) return -EBADF;
  if (length < 0) return -EINVAL;
  if (!file.writable) return -EINVAL;
  if (file.inode !== null && length > file.inode.size) {
    const error = checkSize(task, length);
    if (error !== 0) return error;
  }
  return file.truncate(length);
}

function sys_fallocate(task: Task, fd: number, mode: number, offset: number, length: number): number {
  const file = task.files.get(fd);
  if (file === undefined) return -EBADF;
  if (offset < 0 || length <= 0) return -EINVAL;
  if ((mode & ~KNOWN_MODES) !== 0) return -EOPNOTSUPP;
  if ((mode & FALLOC_FL_PUNCH_HOLE) !== 0 && (mode & FALLOC_FL_KEEP_SIZE) === 0) return -EOPNOTSUPP;
  if (!file.writable) return -EBADF;
  const grows = (mode & (FALLOC_FL_KEEP_SIZE | FALLOC_FL_COLLAPSE_RANGE)) === 0;
  if (grows) {
    const error = checkSize(task, offset + length);
    if (error !== 0) return error;
  }
  return file.fallocate(mode, offset, length);
}

export const SIZE_CALLS: readonly SyscallRow[] = [
  row(SYS_truncate, "truncate", "pathname:path length:off", full, sys_truncate),
  row(SYS_ftruncate, "ftruncate", "fd:fd length:off", full, sys_ftruncate),
  row(SYS_fallocate, "fallocate", "fd:fd mode:flags offset:off len:off", full, sys_fallocate),
];
