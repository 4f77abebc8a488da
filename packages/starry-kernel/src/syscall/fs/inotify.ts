/** inotify_init1 inotify_add_watch inotify_rm_watch. */
import {
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  EBADF,
  EINVAL,
  ENOTDIR,
  IN_ALL_EVENTS,
  IN_CLOEXEC,
  IN_DONT_FOLLOW,
  IN_EXCL_UNLINK,
  IN_ISDIR,
  IN_MASK_ADD,
  IN_MASK_CREATE,
  IN_NONBLOCK,
  IN_ONESHOT,
  IN_ONLYDIR,
  O_NONBLOCK,
  O_RDONLY,
  S_IFDIR,
  S_IFMT,
  SYS_inotify_add_watch,
  SYS_inotify_init1,
  SYS_inotify_rm_watch,
} from "linux-abi";
import { MAY_READ } from "vfs-inode";
import { InotifyFile } from "../../fs/inotify.ts";
import { installFile } from "../../io/install-file.ts";
import type { Task } from "../../task/task.ts";
import { type SyscallRow, full, partial, row } from "../row.ts";
import { placeAt } from "./place.ts";

const KNOWN_MASK =
  IN_ALL_EVENTS | IN_DONT_FOLLOW | IN_EXCL_UNLINK | IN_ISDIR | IN_MASK_ADD | IN_MASK_CREATE | IN_ONESHOT | IN_ONLYDIR;

function sys_inotify_init1(task: Task, flags: number): number {
  if ((flags & ~(IN_CLOEXEC | IN_NONBLOCK)) !== 0) return -EINVAL;
  const file = new InotifyFile(task.kernel.fs.inotify, O_RDONLY | ((flags & IN_NONBLOCK) !== 0 ? O_NONBLOCK : 0));
  return installFile(task, file, (flags & IN_CLOEXEC) !== 0);
}

function sys_inotify_add_watch(task: Task, fd: number, pathname: number, mask: number): number {
  const bits = mask | 0;
  if ((bits & IN_ALL_EVENTS) === 0 || (bits & ~KNOWN_MASK) !== 0) return -EINVAL;
  if ((bits & IN_MASK_ADD) !== 0 && (bits & IN_MASK_CREATE) !== 0) return -EINVAL;
  const file = task.files.get(fd);
  if (file === undefined) return -EBADF;
  if (!(file instanceof InotifyFile)) return -EINVAL;
  const path = placeAt(task, AT_FDCWD, pathname, (bits & IN_DONT_FOLLOW) !== 0 ? AT_SYMLINK_NOFOLLOW : 0);
  if (typeof path === "number") return path;
  if ((bits & IN_ONLYDIR) !== 0 && (path.inode.mode & S_IFMT) !== S_IFDIR) return -ENOTDIR;
  return task.kernel.fs.vfs.access(path, task.cred, MAY_READ) || file.add(path, bits);
}

function sys_inotify_rm_watch(task: Task, fd: number, wd: number): number {
  const file = task.files.get(fd);
  if (file === undefined) return -EBADF;
  return file instanceof InotifyFile ? file.remove(wd) : -EINVAL;
}

export const INOTIFY_CALLS: readonly SyscallRow[] = [
  row(SYS_inotify_init1, "inotify_init1", "flags:flags", full, sys_inotify_init1),
  row(
    SYS_inotify_add_watch,
    "inotify_add_watch",
    "fd:fd pathname:path mask:uint",
    partial("IN_EXCL_UNLINK has no effect; no IN_UNMOUNT"),
    sys_inotify_add_watch,
  ),
  row(SYS_inotify_rm_watch, "inotify_rm_watch", "fd:fd wd:int", full, sys_inotify_rm_watch),
];
