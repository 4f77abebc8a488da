/** Making, removing and changing names: mkdirat mknodat unlinkat linkat symlinkat renameat2 readlinkat. */
import {
  AT_EMPTY_PATH,
  AT_REMOVEDIR,
  AT_SYMLINK_FOLLOW,
  AT_SYMLINK_NOFOLLOW,
  CAP_DAC_READ_SEARCH,
  CAP_MKNOD,
  EBADF,
  EINVAL,
  ENOENT,
  EPERM,
  S_IFBLK,
  S_IFCHR,
  S_IFLNK,
  S_IFMT,
  SYS_linkat,
  SYS_mkdirat,
  SYS_mknodat,
  SYS_readlinkat,
  SYS_renameat2,
  SYS_symlinkat,
  SYS_unlinkat,
  encodeName,
} from "linux-abi";
import { LOOKUP_EMPTY, type Path } from "vfs-inode";
import type { Task } from "../../task/task.ts";
import { type SyscallRow, full, partial, row } from "../row.ts";
import { placeAt } from "./place.ts";

function sys_mkdirat(task: Task, dirfd: number, pathname: number, mode: number): number {
  const path = task.memory.readPath(pathname);
  if (typeof path === "number") return path;
  const { fs } = task.kernel;
  const base = fs.baseOf(task, dirfd, path);
  return typeof base === "number" ? base : fs.vfs.mkdir(fs.contextOf(task), base, path, mode);
}

function sys_mknodat(task: Task, dirfd: number, pathname: number, mode: number, dev: number): number {
  const type = mode & S_IFMT;
  if ((type === S_IFCHR || type === S_IFBLK) && !task.cred.hasCapability(CAP_MKNOD)) return -EPERM;
  const path = task.memory.readPath(pathname);
  if (typeof path === "number") return path;
  const { fs } = task.kernel;
  const base = fs.baseOf(task, dirfd, path);
  return typeof base === "number" ? base : fs.vfs.mknod(fs.contextOf(task), base, path, mode, dev);
}

function sys_unlinkat(task: Task, dirfd: number, pathname: number, flags: number): number {
  if ((flags & ~AT_REMOVEDIR) !== 0) return -EINVAL;
  const path = task.memory.readPath(pathname);
  if (typeof path === "number") return path;
  const { fs } = task.kernel;
  const base = fs.baseOf(task, dirfd, path);
  if (typeof base === "number") return base;
  const context = fs.contextOf(task);
  return flags === 0 ? fs.vfs.unlink(context, base, path) : fs.vfs.rmdir(context, base, path);
}

function sys_symlinkat(task: Task, target: number, dirfd: number, linkpath: number): number {
  const text = task.memory.readPath(target);
  if (typeof text === "number") return text;
  const path = task.memory.readPath(linkpath);
  if (typeof path === "number") return path;
  const { fs } = task.kernel;
  const base = fs.baseOf(task, dirfd, path);
  return typeof base === "number" ? base : fs.vfs.symlink(fs.contextOf(task), text, base, path);
}

function sys_linkat(
  task: Task,
  olddirfd: number,
  oldpath: number,
  newdirfd: number,
  newpath: number,
  flags: number,
): number {
  if ((flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) !== 0) return -EINVAL;
  if ((flags & AT_EMPTY_PATH) !== 0 && !task.cred.hasCapability(CAP_DAC_READ_SEARCH)) return -ENOENT;
  const path = task.memory.readPath(newpath);
  if (typeof path === "number") return path;
  const { fs } = task.kernel;
  const base = fs.baseOf(task, newdirfd, path);
  if (typeof base === "number") return base;
  const follow = (flags & AT_SYMLINK_FOLLOW) !== 0 ? 0 : AT_SYMLINK_NOFOLLOW;
  const from = placeAt(task, olddirfd, oldpath, follow | (flags & AT_EMPTY_PATH));
  return typeof from === "number" ? from : fs.vfs.link(fs.contextOf(task), from, base, path);
}

function sys_renameat2(
  task: Task,
  olddirfd: number,
  oldpath: number,
  newdirfd: number,
  newpath: number,
  flags: number,
): number {
  const from = task.memory.readPath(oldpath);
  if (typeof from === "number") return from;
  const to = task.memory.readPath(newpath);
  if (typeof to === "number") return to;
  const { fs } = task.kernel;
  const oldBase = fs.baseOf(task, olddirfd, from);
  if (typeof oldBase === "number") return oldBase;
  const newBase = fs.baseOf(task, newdirfd, to);
  if (typeof newBase === "number") return newBase;
  return fs.vfs.rename(fs.contextOf(task), oldBase, from, newBase, to, flags);
}

function sys_readlinkat(task: Task, dirfd: number, pathname: number, buf: number, bufsiz: number): number {
  if (bufsiz <= 0) return -EINVAL;
  const name = task.memory.readPath(pathname);
  if (typeof name === "number") return name;
  const { fs } = task.kernel;
  let path: Path | number;
  if (name === "") {
    // An O_PATH descriptor of the link itself (open with O_NOFOLLOW).
    const file = task.files.peek(dirfd);
    if (file === undefined) return dirfd < 0 ? -ENOENT : -EBADF;
    path = fs.lookup(task, dirfd, name, LOOKUP_EMPTY);
    if (typeof path !== "number" && (path.inode.mode & S_IFMT) !== S_IFLNK) return -ENOENT;
  } else path = fs.lookup(task, dirfd, name, 0);
  if (typeof path === "number") return path;
  const text = fs.vfs.readlink(path);
  if (typeof text === "number") return text;
  const bytes = encodeName(text);
  const count = Math.min(bytes.length, bufsiz);
  return task.memory.copyOut(buf, bytes, 0, count) || count;
}

export const NAME_CALLS: readonly SyscallRow[] = [
  row(SYS_mkdirat, "mkdirat", "dirfd:dirfd pathname:path mode:mode", full, sys_mkdirat),
  row(SYS_mknodat, "mknodat", "dirfd:dirfd pathname:path mode:mode dev:dev", full, sys_mknodat),
  row(SYS_unlinkat, "unlinkat", "dirfd:dirfd pathname:path flags:at_flags", full, sys_unlinkat),
  row(SYS_symlinkat, "symlinkat", "target:str newdirfd:dirfd linkpath:path", full, sys_symlinkat),
  row(SYS_linkat, "linkat", "olddirfd:dirfd oldpath:path newdirfd:dirfd newpath:path flags:at_flags", full, sys_linkat),
  row(
    SYS_renameat2,
    "renameat2",
    "olddirfd:dirfd oldpath:path newdirfd:dirfd newpath:path flags:flags",
    partial("no RENAME_WHITEOUT"),
    sys_renameat2,
  ),
  row(SYS_readlinkat, "readlinkat", "dirfd:dirfd pathname:path buf:out_buf bufsiz:int", full, sys_readlinkat),
];
