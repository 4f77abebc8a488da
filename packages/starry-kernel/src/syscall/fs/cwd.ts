/** getcwd chdir fchdir chroot pivot_root. */
import {
  AT_FDCWD,
  CAP_SYS_ADMIN,
  CAP_SYS_CHROOT,
  EBADF,
  ENAMETOOLONG,
  ENOTDIR,
  EPERM,
  ERANGE,
  S_IFDIR,
  S_IFMT,
  SYS_chdir,
  SYS_chroot,
  SYS_fchdir,
  SYS_getcwd,
  SYS_pivot_root,
  encodeName,
} from "linux-abi";
import { LOOKUP_DIRECTORY, LOOKUP_FOLLOW, MAY_EXEC, type Path } from "vfs-inode";
import type { FsContext } from "../../task/fs-context.ts";
import type { Task } from "../../task/task.ts";
import { type SyscallRow, full, row } from "../row.ts";

function sys_getcwd(task: Task, buf: number, size: number): number {
  const { fs } = task.kernel;
  const text = fs.vfs.getcwd(fs.contextOf(task));
  if (typeof text === "number") return text;
  const bytes = encodeName(`${text}\0`);
  if (bytes.length > 4096) return -ENAMETOOLONG;
  if (bytes.length > size) return -ERANGE;
  return task.memory.copyOut(buf, bytes, 0, bytes.length) || bytes.length;
}

/** The directory at the path at `address`, which the caller may search. */
function directoryAt(task: Task, address: number): Path | number {
  const name = task.memory.readPath(address);
  if (typeof name === "number") return name;
  return searchable(task, task.kernel.fs.lookup(task, AT_FDCWD, name, LOOKUP_FOLLOW | LOOKUP_DIRECTORY));
}

function searchable(task: Task, path: Path | number): Path | number {
  if (typeof path === "number") return path;
  return task.kernel.fs.vfs.access(path, task.cred, MAY_EXEC) || path;
}

function sys_chdir(task: Task, pathname: number): number {
  const path = directoryAt(task, pathname);
  if (typeof path === "number") return path;
  path.pin();
  task.fs.cwd.unpin();
  task.fs.cwd = path;
  return 0;
}

function sys_fchdir(task: Task, fd: number): number {
  const file = task.files.peek(fd);
  if (file === undefined) return -EBADF;
  if (file.path === null || (file.path.inode.mode & S_IFMT) !== S_IFDIR) return -ENOTDIR;
  const path = searchable(task, file.path);
  if (typeof path === "number") return path;
  path.pin();
  task.fs.cwd.unpin();
  task.fs.cwd = path;
  return 0;
}

function sys_chroot(task: Task, pathname: number): number {
  const path = directoryAt(task, pathname);
  if (typeof path === "number") return path;
  if (!task.cred.hasCapability(CAP_SYS_CHROOT)) return -EPERM;
  path.pin();
  task.fs.root.unpin();
  task.fs.root = path;
  return 0;
}

function sys_pivot_root(task: Task, newRoot: number, putOld: number): number {
  if (!task.cred.hasCapability(CAP_SYS_ADMIN)) return -EPERM;
  const top = directoryAt(task, newRoot);
  if (typeof top === "number") return top;
  top.pin();
  const old = directoryAt(task, putOld);
  let result: number;
  if (typeof old === "number") result = old;
  else {
    const contexts = new Set<FsContext>();
    for (const process of task.kernel.tasks.processes()) {
      for (const thread of process.threads) if (thread.fs?.namespace === task.fs.namespace) contexts.add(thread.fs);
    }
    result = task.kernel.fs.vfs.pivotRoot(task.fs.namespace, contexts as Iterable<never>, top, old);
  }
  top.unpin();
  return result;
}

export const DIRECTORY_CONTEXT_CALLS: readonly SyscallRow[] = [
  row(SYS_getcwd, "getcwd", "buf:out_buf size:size", full, sys_getcwd),
  row(SYS_chdir, "chdir", "pathname:path", full, sys_chdir),
  row(SYS_fchdir, "fchdir", "fd:fd", full, sys_fchdir),
  row(SYS_chroot, "chroot", "pathname:path", full, sys_chroot),
  row(SYS_pivot_root, "pivot_root", "new_root:path put_old:path", full, sys_pivot_root),
];
