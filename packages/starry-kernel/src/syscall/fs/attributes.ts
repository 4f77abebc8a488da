/** fchmod fchmodat fchmodat2 fchown fchownat utimensat umask. */
import {
  AT_EMPTY_PATH,
  AT_SYMLINK_NOFOLLOW,
  EBADF,
  EFAULT,
  EINVAL,
  O_PATH,
  SYS_fchmod,
  SYS_fchmodat,
  SYS_fchmodat2,
  SYS_fchown,
  SYS_fchownat,
  SYS_umask,
  SYS_utimensat,
} from "linux-abi";
import type { Path, Timespec } from "vfs-inode";
import type { Task } from "../../task/task.ts";
import { type SyscallRow, full, row } from "../row.ts";
import { getI64 } from "./fields.ts";
import { placeAt, placeOfFd } from "./place.ts";

const UTIME_NOW = 0x3fffffff;
const UTIME_OMIT = 0x3ffffffe;

/** As `placeOfFd`, but O_PATH descriptors do not count. */
function placeOfOpenFd(task: Task, fd: number): Path | number {
  const file = task.files.peek(fd);
  return file === undefined || (file.flags & O_PATH) !== 0 ? -EBADF : placeOfFd(task, fd);
}

function sys_fchmod(task: Task, fd: number, mode: number): number {
  const path = placeOfOpenFd(task, fd);
  return typeof path === "number" ? path : task.kernel.fs.vfs.chmod(task.kernel.fs.contextOf(task), path, mode);
}

function sys_fchmodat(task: Task, dirfd: number, pathname: number, mode: number): number {
  return sys_fchmodat2(task, dirfd, pathname, mode, 0);
}

function sys_fchmodat2(task: Task, dirfd: number, pathname: number, mode: number, flags: number): number {
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) !== 0) return -EINVAL;
  const path = placeAt(task, dirfd, pathname, flags);
  return typeof path === "number" ? path : task.kernel.fs.vfs.chmod(task.kernel.fs.contextOf(task), path, mode);
}

/** (uid_t) −1 means "leave". */
function orLeave(id: number): number {
  return id === 0xffffffff ? -1 : id;
}

function sys_fchown(task: Task, fd: number, owner: number, group: number): number {
  const path = placeOfOpenFd(task, fd);
  if (typeof path === "number") return path;
  return task.kernel.fs.vfs.chown(task.kernel.fs.contextOf(task), path, orLeave(owner), orLeave(group));
}

function sys_fchownat(
  task: Task,
  dirfd: number,
  pathname: number,
  owner: number,
  group: number,
  flags: number,
): number {
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) !== 0) return -EINVAL;
  const path = placeAt(task, dirfd, pathname, flags);
  if (typeof path === "number") return path;
  return task.kernel.fs.vfs.chown(task.kernel.fs.contextOf(task), path, orLeave(owner), orLeave(group));
}

/** One of the two times: a value, null for UTIME_OMIT, or -EINVAL. */
function readTime(view: DataView, at: number, now: Timespec): Timespec | null | number {
  const nsec = getI64(view, at + 8);
  if (nsec === UTIME_OMIT) return null;
  if (nsec === UTIME_NOW) return { ...now };
  if (nsec < 0 || nsec > 999_999_999) return -EINVAL;
  return { sec: getI64(view, at), nsec };
}

function sys_utimensat(task: Task, dirfd: number, pathname: number, times: number, flags: number): number {
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) !== 0) return -EINVAL;
  const { fs } = task.kernel;
  const now: Timespec = { sec: 0, nsec: 0 };
  fs.now(now);
  let atime: Timespec | null | number = now;
  let mtime: Timespec | null | number = { ...now };
  let bothNow = true;
  if (times !== 0) {
    const { memory } = task;
    if (memory.load(times, 32) !== 0) return -EFAULT;
    bothNow = getI64(memory.scratch, 8) === UTIME_NOW && getI64(memory.scratch, 24) === UTIME_NOW;
    atime = readTime(memory.scratch, 0, now);
    mtime = readTime(memory.scratch, 16, now);
    if (typeof atime === "number" || typeof mtime === "number") return -EINVAL;
  }
  // A null path means the descriptor itself: futimens(3).
  const path = pathname === 0 && dirfd >= 0 ? placeOfOpenFd(task, dirfd) : placeAt(task, dirfd, pathname, flags);
  if (typeof path === "number") return path;
  return fs.vfs.utimens(fs.contextOf(task), path, atime, mtime, bothNow);
}

function sys_umask(task: Task, mask: number): number {
  const old = task.fs.umask;
  task.fs.umask = mask & 0o777;
  return old;
}

export const ATTRIBUTE_CALLS: readonly SyscallRow[] = [
  row(SYS_fchmod, "fchmod", "fd:fd mode:mode", full, sys_fchmod),
  row(SYS_fchmodat, "fchmodat", "dirfd:dirfd pathname:path mode:mode", full, sys_fchmodat),
  row(SYS_fchmodat2, "fchmodat2", "dirfd:dirfd pathname:path mode:mode flags:at_flags", full, sys_fchmodat2),
  row(SYS_fchown, "fchown", "fd:fd owner:uid group:gid", full, sys_fchown),
  row(SYS_fchownat, "fchownat", "dirfd:dirfd pathname:path owner:uid group:gid flags:at_flags", full, sys_fchownat),
  row(SYS_utimensat, "utimensat", "dirfd:dirfd pathname:path times:timespec flags:at_flags", full, sys_utimensat),
  row(SYS_umask, "umask", "mask:mode", full, sys_umask),
];
