/**
 * open(2): from a path and flags to a `File`, with all refusals in Linux's order.
 */
import {
  EACCES,
  EEXIST,
  EINVAL,
  EISDIR,
  ELOOP,
  ENXIO,
  EOPNOTSUPP,
  EPERM,
  EROFS,
  ETXTBSY,
  IN_MODIFY,
  IN_OPEN,
  IN_ISDIR,
  MS_NODEV,
  O_ACCMODE,
  O_APPEND,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOATIME,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  O_TMPFILE,
  O_TRUNC,
  O_WRONLY,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
} from "linux-abi";
import { dropPrivileges, isFrozen } from "./attributes.ts";
import { createFile, mayCreate, newNodeFor } from "./create.ts";
import { MAY_READ, MAY_WRITE, checkPermission, isOwnerOrCapable } from "./credentials.ts";
import type { Dentry } from "./dentry.ts";
import { File } from "./file.ts";
import type { SpecialFile } from "./inode.ts";
import { Path } from "./path.ts";
import type { Vfs } from "./vfs.ts";
import { type FsContext, LOOKUP_CREATE, LOOKUP_DIRECTORY, LOOKUP_FOLLOW } from "./walk.ts";

/** MAY_* that an access mode needs; 3 (ioctl only) needs both. */
function accessMask(flags: number): number {
  switch (flags & O_ACCMODE) {
    case O_RDONLY:
      return MAY_READ;
    case O_WRONLY:
      return MAY_WRITE;
    default:
      return MAY_READ | MAY_WRITE;
  }
}

export function openPath(
  vfs: Vfs,
  context: FsContext,
  base: Path | null,
  path: string,
  givenFlags: number,
  mode: number,
  lookupFlags: number,
): File | number {
  let flags = givenFlags;
  if ((flags & O_PATH) !== 0) flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  else if ((flags & O_TMPFILE) === O_TMPFILE) return openTmpfile(vfs, context, base, path, flags, mode);
  const creating = (flags & O_CREAT) !== 0;
  if (creating && (flags & O_DIRECTORY) !== 0) return -EINVAL;
  const exclusive = creating && (flags & O_EXCL) !== 0;
  let lookup = lookupFlags;
  if ((flags & O_NOFOLLOW) === 0 && !exclusive) lookup |= LOOKUP_FOLLOW;
  if ((flags & O_DIRECTORY) !== 0) lookup |= LOOKUP_DIRECTORY;
  if (creating) lookup |= LOOKUP_CREATE;
  const walker = vfs.walker;
  const error = walker.walk(context, base, path, lookup);
  if (error !== 0) return error;
  const mount = walker.mount;
  let dentry = walker.dentry;
  let created = false;
  if (creating) {
    if (dentry.node === null) {
      const made = createFile(vfs, context, mount, dentry, mode);
      if (typeof made === "number") return made;
      dentry = made;
      created = true;
    } else if (exclusive) return -EEXIST;
  }
  return openPlace(vfs, context, new Path(mount, dentry), flags, created);
}

/** Opens a place already found (open_by_handle, /proc/self/fd, execve). `created`: by this very call, so no permission check. */
export function openPlace(vfs: Vfs, context: FsContext, path: Path, flags: number, created = false): File | number {
  const inode = path.inode;
  const type = inode.mode & S_IFMT;
  if ((flags & O_PATH) !== 0) return new File(vfs, context.credentials, path, flags, null);
  if (type === S_IFLNK) return -ELOOP;
  if (type === S_IFSOCK) return -ENXIO;
  const mask = accessMask(flags);
  if (type === S_IFDIR && ((mask & MAY_WRITE) !== 0 || (flags & (O_CREAT | O_TRUNC)) !== 0)) return -EISDIR;
  const isDevice = type === S_IFCHR || type === S_IFBLK;
  if (isDevice && (path.mount.flags & MS_NODEV) !== 0) return -EACCES;
  if (!created) {
    const needed = (flags & O_TRUNC) !== 0 ? mask | MAY_WRITE : mask;
    const error = checkPermission(inode, context.credentials, needed);
    if (error !== 0) return error;
    if ((needed & MAY_WRITE) !== 0 && type === S_IFREG && path.mount.readOnly) return -EROFS;
  }
  if ((flags & O_NOATIME) !== 0 && !isOwnerOrCapable(inode, context.credentials)) return -EPERM;
  const writes = (mask & MAY_WRITE) !== 0 && type === S_IFREG;
  if (writes && !created && isFrozen(inode, (flags & O_APPEND) !== 0 && (flags & O_TRUNC) === 0)) return -EPERM;
  if (writes && path.node.writeDenials > 0) return -ETXTBSY;

  let special: SpecialFile | null = null;
  if (inode.openSpecial !== undefined) {
    const opened = inode.openSpecial(flags);
    if (typeof opened === "number") return opened;
    special = opened;
  } else if (isDevice && vfs.openDevice !== undefined) {
    const opened = vfs.openDevice(inode, flags);
    if (typeof opened === "number") return opened;
    special = opened;
  }
  if ((flags & O_TRUNC) !== 0 && type === S_IFREG && special === null && inode.size > 0 && !created) {
    const error = vfs.resizeNode(path.node, 0);
    if (error !== 0) return error;
    dropPrivileges(vfs, context.credentials, inode);
    vfs.notify?.(path.node, IN_MODIFY, null, 0, path.dentry);
  }
  const file = new File(vfs, context.credentials, path, flags, special);
  vfs.notify?.(path.node, type === S_IFDIR ? IN_OPEN | IN_ISDIR : IN_OPEN, null, 0, path.dentry);
  return file;
}

export function openTmpfile(
  vfs: Vfs,
  context: FsContext,
  base: Path | null,
  path: string,
  flags: number,
  mode: number,
): File | number {
  if ((flags & O_ACCMODE) !== O_WRONLY && (flags & O_ACCMODE) !== O_RDWR) return -EINVAL;
  if ((flags & O_CREAT) !== 0) return -EINVAL;
  const walker = vfs.walker;
  const error = walker.walk(context, base, path, LOOKUP_FOLLOW | LOOKUP_DIRECTORY);
  if (error !== 0) return error;
  const mount = walker.mount;
  const parent: Dentry = walker.dentry;
  const refused = mayCreate(context, mount, parent);
  if (refused !== 0) return refused;
  const directory = walker.path.inode;
  if (directory.tmpfile === undefined) return -EOPNOTSUPP;
  const made = directory.tmpfile(newNodeFor(context, directory, S_IFREG | (mode & 0o7777), 0));
  if (typeof made === "number") return made;
  const dentry = vfs.dentries.addDetached(parent.superblock, `/#${made.ino}`, vfs.dentries.nodeOf(made));
  return new File(vfs, context.credentials, new Path(mount, dentry), flags & ~O_TMPFILE, null);
}
