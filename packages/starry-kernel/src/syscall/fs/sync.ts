/** fsync fdatasync sync syncfs sync_file_range fadvise64 readahead. */
import {
  EBADF,
  EINVAL,
  ESPIPE,
  POSIX_FADV_DONTNEED,
  POSIX_FADV_NOREUSE,
  POSIX_FADV_WILLNEED,
  SYS_fadvise64,
  SYS_fdatasync,
  SYS_fsync,
  SYS_readahead,
  SYS_sync,
  SYS_sync_file_range,
  SYS_syncfs,
} from "linux-abi";
import { VfsFile } from "../../fs/vfs-file.ts";
import type { Task } from "../../task/task.ts";
import { type SyscallRow, full, row } from "../row.ts";

const SYNC_FILE_RANGE_MASK = 7;
/** Bytes that one advice reads in at most: the call must not run for ever. */
const MAX_PREFETCH = 32 << 20;

function sys_fsync(task: Task, fd: number): number {
  return task.files.get(fd)?.fsync(false) ?? -EBADF;
}

function sys_fdatasync(task: Task, fd: number): number {
  return task.files.get(fd)?.fsync(true) ?? -EBADF;
}

function sys_sync(task: Task): number {
  task.kernel.fs.vfs.sync();
  return 0;
}

function sys_syncfs(task: Task, fd: number): number {
  const file = task.files.get(fd);
  if (file === undefined) return -EBADF;
  return file.inode === null ? 0 : task.kernel.fs.vfs.syncFileSystem(file.inode.fs);
}

function sys_sync_file_range(task: Task, fd: number, offset: number, nbytes: number, flags: number): number {
  const file = task.files.get(fd);
  if (file === undefined) return -EBADF;
  if (offset < 0 || nbytes < 0 || (flags & ~SYNC_FILE_RANGE_MASK) !== 0) return -EINVAL;
  if (!(file instanceof VfsFile) || file.file.special !== null) return -ESPIPE;
  return file.file.vfs.pageCache.writeback(file.node, offset, nbytes === 0 ? Number.POSITIVE_INFINITY : nbytes);
}

function sys_fadvise64(task: Task, fd: number, offset: number, len: number, advice: number): number {
  const file = task.files.get(fd);
  if (file === undefined) return -EBADF;
  if (!file.seekable) return -ESPIPE;
  if (len < 0 || advice < 0 || advice > POSIX_FADV_NOREUSE) return -EINVAL;
  if (!(file instanceof VfsFile) || !file.file.cached) return 0;
  const cache = file.file.vfs.pageCache;
  if (advice === POSIX_FADV_DONTNEED) cache.forget(file.node, offset, len);
  if (advice === POSIX_FADV_WILLNEED) cache.prefetch(file.node, offset, Math.min(len || MAX_PREFETCH, MAX_PREFETCH));
  return 0;
}

function sys_readahead(task: Task, fd: number, offset: number, count: number): number {
  const file = task.files.get(fd);
  if (file === undefined || !file.readable) return -EBADF;
  if (!(file instanceof VfsFile) || file.isDirectory || file.file.special !== null) return -EINVAL;
  if (file.file.cached) file.file.vfs.pageCache.prefetch(file.node, offset, Math.min(count, MAX_PREFETCH));
  return 0;
}

export const SYNC_CALLS: readonly SyscallRow[] = [
  row(SYS_fsync, "fsync", "fd:fd", full, sys_fsync),
  row(SYS_fdatasync, "fdatasync", "fd:fd", full, sys_fdatasync),
  row(SYS_sync, "sync", "", full, sys_sync),
  row(SYS_syncfs, "syncfs", "fd:fd", full, sys_syncfs),
  row(SYS_sync_file_range, "sync_file_range", "fd:fd offset:off nbytes:off flags:flags", full, sys_sync_file_range),
  row(SYS_fadvise64, "fadvise64", "fd:fd offset:off len:off advice:int", full, sys_fadvise64),
  row(SYS_readahead, "readahead", "fd:fd offset:off count:size", full, sys_readahead),
];
