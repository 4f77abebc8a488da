/**
 * What most path calls begin with: reading the path and finding the place it names.
 */
import { AT_EMPTY_PATH, EBADF, EINVAL } from "linux-abi";
import type { Path } from "vfs-inode";
import { lookupFlagsOf } from "../../fs/file-systems.ts";
import type { Task } from "../../task/task.ts";

/**
 * The place that (dirfd, path at `address`) names. `flags`: AT_* of the call, of which AT_SYMLINK_NOFOLLOW and AT_EMPTY_PATH are
 * understood; the call has checked the rest. Valid until the next VFS operation.
 */
export function placeAt(task: Task, dirfd: number, address: number, flags: number): Path | number {
  let path: string | number;
  if (address === 0 && (flags & AT_EMPTY_PATH) !== 0) path = "";
  else path = task.memory.readPath(address);
  if (typeof path === "number") return path;
  if (path === "" && (flags & AT_EMPTY_PATH) !== 0 && dirfd >= 0) return placeOfFd(task, dirfd);
  return task.kernel.fs.lookup(task, dirfd, path, lookupFlagsOf(flags));
}

/** The place of an open file; anonymous objects have one too. */
export function placeOfFd(task: Task, fd: number): Path | number {
  const file = task.files.peek(fd);
  if (file === undefined) return -EBADF;
  return file.path ?? task.kernel.fs.anonymous.pathOf(file);
}

/** -EINVAL if `flags` has bits outside `known`. */
export function unknownFlags(flags: number, known: number): number {
  return (flags & ~known) !== 0 ? -EINVAL : 0;
}
