/** faccessat(2), faccessat2(2). */
import {
  AT_EACCESS,
  AT_EMPTY_PATH,
  AT_SYMLINK_NOFOLLOW,
  CAP_DAC_OVERRIDE,
  CAP_DAC_READ_SEARCH,
  EINVAL,
  SYS_faccessat,
  SYS_faccessat2,
} from "linux-abi";
import { type Credentials, LOOKUP_EMPTY, LOOKUP_FOLLOW, MAY_EXEC, MAY_READ, MAY_WRITE, type Path } from "vfs-inode";
import type { Task } from "../../task/task.ts";
import { hasCapability } from "../../task/credentials.ts";
import { type SyscallRow, full, row } from "../row.ts";
import { placeOfFd } from "./place.ts";

/** access(2) judges by the real ids; root's permitted capabilities count as effective then (Linux: access_override_creds). */
function realCredentials(task: Task): Credentials {
  const { cred } = task;
  if (cred.fsuid === cred.uid && cred.fsgid === cred.gid && cred.effective === cred.permitted) return cred;
  return {
    fsuid: cred.uid,
    fsgid: cred.gid,
    groups: cred.groups,
    hasCapability: (capability) =>
      (capability === CAP_DAC_OVERRIDE || capability === CAP_DAC_READ_SEARCH ? cred.uid === 0 : true) &&
      hasCapability(cred.permitted, capability),
  };
}

function access(task: Task, dirfd: number, pathname: number, mode: number, flags: number): number {
  if ((mode & ~(MAY_READ | MAY_WRITE | MAY_EXEC)) !== 0) return -EINVAL;
  if ((flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) !== 0) return -EINVAL;
  const name = task.memory.readPath(pathname);
  if (typeof name === "number") return name;
  const credentials = (flags & AT_EACCESS) !== 0 ? task.cred : realCredentials(task);
  const { fs } = task.kernel;
  let path: Path | number;
  if (name === "" && (flags & AT_EMPTY_PATH) !== 0 && dirfd >= 0) path = placeOfFd(task, dirfd);
  else {
    const base = fs.baseOf(task, dirfd, name);
    if (typeof base === "number") return base;
    const lookup =
      ((flags & AT_SYMLINK_NOFOLLOW) !== 0 ? 0 : LOOKUP_FOLLOW) | ((flags & AT_EMPTY_PATH) !== 0 ? LOOKUP_EMPTY : 0);
    path = fs.vfs.lookup(fs.contextWith(task, credentials), base, name, lookup);
  }
  if (typeof path === "number") return path;
  return mode === 0 ? 0 : fs.vfs.access(path, credentials, mode);
}

function sys_faccessat(task: Task, dirfd: number, pathname: number, mode: number): number {
  return access(task, dirfd, pathname, mode, 0);
}

export const ACCESS_CALLS: readonly SyscallRow[] = [
  row(SYS_faccessat, "faccessat", "dirfd:dirfd pathname:path mode:access_mode", full, sys_faccessat),
  row(SYS_faccessat2, "faccessat2", "dirfd:dirfd pathname:path mode:access_mode flags:at_flags", full, access),
];
