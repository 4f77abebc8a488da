/**
 * Changes of attributes with their rules: chmod, chown, utimens, truncate, extended attributes.
 */
import {
  CAP_CHOWN,
  CAP_FOWNER,
  CAP_FSETID,
  CAP_SYS_ADMIN,
  EACCES,
  EINVAL,
  EISDIR,
  ENODATA,
  EOPNOTSUPP,
  EPERM,
  EROFS,
  ETXTBSY,
  IN_ATTRIB,
  IN_MODIFY,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_ISGID,
} from "linux-abi";
import {
  type Credentials,
  MAY_READ,
  MAY_WRITE,
  checkPermission,
  isInGroup,
  isOwnerOrCapable,
  privilegeBits,
} from "./credentials.ts";
import type { AttributeChanges, Inode, Timespec } from "./inode.ts";
import type { Path } from "./path.ts";
import type { Vfs } from "./vfs.ts";
import type { FsContext } from "./walk.ts";

/** FS_IOC_GETFLAGS bits that forbid changes (linux/fs.h). */
const FS_IMMUTABLE_FL = 0x10;
const FS_APPEND_FL = 0x20;

/** True if the file may only be appended to, or not be changed at all. */
export function isFrozen(inode: Inode, appendIsFine: boolean): boolean {
  const flags = inode.inodeFlags?.() ?? 0;
  return (flags & (appendIsFine ? FS_IMMUTABLE_FL : FS_IMMUTABLE_FL | FS_APPEND_FL)) !== 0;
}

function apply(vfs: Vfs, path: Path, changes: AttributeChanges): number {
  const error = path.inode.setattr(changes);
  if (error === 0) vfs.notify?.(path.node, IN_ATTRIB, null, 0, path.dentry);
  return error;
}

export function changeMode(vfs: Vfs, context: FsContext, path: Path, mode: number): number {
  const inode = path.inode;
  const credentials = context.credentials;
  if (path.mount.readOnly) return -EROFS;
  if ((inode.mode & S_IFMT) === S_IFLNK) return -EOPNOTSUPP;
  if (!isOwnerOrCapable(inode, credentials) || isFrozen(inode, false)) return -EPERM;
  let bits = mode & 0o7777;
  if ((bits & S_ISGID) !== 0 && !isInGroup(credentials, inode.gid) && !credentials.hasCapability(CAP_FSETID))
    bits &= ~S_ISGID;
  return apply(vfs, path, { mode: bits });
}

export function changeOwner(vfs: Vfs, context: FsContext, path: Path, uid: number, gid: number): number {
  const inode = path.inode;
  const credentials = context.credentials;
  if (path.mount.readOnly) return -EROFS;
  if (isFrozen(inode, false)) return -EPERM;
  const mayChown = credentials.hasCapability(CAP_CHOWN);
  const owns = credentials.fsuid === inode.uid;
  const changes: AttributeChanges = {};
  if (uid !== -1) {
    if (!mayChown && !(owns && uid === inode.uid)) return -EPERM;
    changes.uid = uid;
  }
  if (gid !== -1) {
    if (!mayChown && !(owns && (gid === inode.gid || isInGroup(credentials, gid)))) return -EPERM;
    changes.gid = gid;
  }
  // chown takes setuid and setgid from files, whoever does it (chown(2)).
  if ((inode.mode & S_IFMT) !== S_IFDIR && (uid !== -1 || gid !== -1)) {
    const lost = privilegeBits(inode.mode);
    if (lost !== 0) changes.mode = inode.mode & 0o7777 & ~lost;
  }
  return apply(vfs, path, changes);
}

export function changeTimes(
  vfs: Vfs,
  context: FsContext,
  path: Path,
  atime: Timespec | null,
  mtime: Timespec | null,
  now: boolean,
): number {
  const inode = path.inode;
  if (atime === null && mtime === null) return 0;
  if (path.mount.readOnly) return -EROFS;
  if (!isOwnerOrCapable(inode, context.credentials)) {
    if (!now) return -EPERM;
    if (checkPermission(inode, context.credentials, MAY_WRITE) !== 0) return -EACCES;
  }
  if (isFrozen(inode, now)) return -EPERM;
  const changes: AttributeChanges = {};
  if (atime !== null) changes.atime = atime;
  if (mtime !== null) changes.mtime = mtime;
  path.node.atimeDecided = Number.NaN;
  return apply(vfs, path, changes);
}

/** A write or truncate by somebody without CAP_FSETID takes setuid and setgid from the file. */
export function dropPrivileges(vfs: Vfs, credentials: Credentials, inode: Inode): void {
  const lost = privilegeBits(inode.mode);
  if (lost === 0 || credentials.hasCapability(CAP_FSETID)) return;
  inode.setattr({ mode: inode.mode & 0o7777 & ~lost });
  const node = vfs.dentries.findNode(inode);
  if (node !== undefined) vfs.notify?.(node, IN_ATTRIB, null, 0);
}

export function truncatePath(vfs: Vfs, context: FsContext, path: Path, size: number): number {
  const inode = path.inode;
  if (size < 0) return -EINVAL;
  const type = inode.mode & S_IFMT;
  if (type === S_IFDIR) return -EISDIR;
  if (type !== S_IFREG) return -EINVAL;
  const error = checkPermission(inode, context.credentials, MAY_WRITE);
  if (error !== 0) return error;
  if (path.mount.readOnly) return -EROFS;
  if (isFrozen(inode, false)) return -EPERM;
  if (path.node.writeDenials > 0) return -ETXTBSY;
  const result = vfs.resizeNode(path.node, size);
  if (result !== 0) return result;
  dropPrivileges(vfs, context.credentials, inode);
  vfs.notify?.(path.node, IN_MODIFY, null, 0, path.dentry);
  return 0;
}

/** Name space rules of xattr(7). 0 or -errno. */
function checkXattr(context: FsContext, inode: Inode, name: string, mask: number): number {
  const credentials = context.credentials;
  if (name.startsWith("trusted.")) {
    if (credentials.hasCapability(CAP_SYS_ADMIN)) return 0;
    return mask === MAY_WRITE ? -EPERM : -ENODATA;
  }
  if (name.startsWith("user.")) {
    const type = inode.mode & S_IFMT;
    if (type !== S_IFREG && type !== S_IFDIR) return mask === MAY_WRITE ? -EPERM : -ENODATA;
    return checkPermission(inode, credentials, mask);
  }
  if (name.startsWith("security.")) {
    return mask === MAY_WRITE && !credentials.hasCapability(CAP_SYS_ADMIN) ? -EPERM : 0;
  }
  if (name.startsWith("system.")) {
    return mask === MAY_WRITE && credentials.fsuid !== inode.uid && !credentials.hasCapability(CAP_FOWNER) ? -EPERM : 0;
  }
  return -EOPNOTSUPP;
}

export function getXattr(context: FsContext, path: Path, name: string): Uint8Array | number {
  const error = checkXattr(context, path.inode, name, MAY_READ);
  return error !== 0 ? error : path.inode.getxattr(name);
}

export function setXattr(
  vfs: Vfs,
  context: FsContext,
  path: Path,
  name: string,
  value: Uint8Array,
  flags: number,
): number {
  if (path.mount.readOnly) return -EROFS;
  if (isFrozen(path.inode, false)) return -EPERM;
  const error = checkXattr(context, path.inode, name, MAY_WRITE);
  if (error !== 0) return error;
  const result = path.inode.setxattr(name, value, flags);
  if (result === 0) vfs.notify?.(path.node, IN_ATTRIB, null, 0, path.dentry);
  return result;
}

export function removeXattr(vfs: Vfs, context: FsContext, path: Path, name: string): number {
  if (path.mount.readOnly) return -EROFS;
  if (isFrozen(path.inode, false)) return -EPERM;
  const error = checkXattr(context, path.inode, name, MAY_WRITE);
  if (error !== 0) return error;
  const result = path.inode.removexattr(name);
  if (result === 0) vfs.notify?.(path.node, IN_ATTRIB, null, 0, path.dentry);
  return result;
}

/** Names the caller may know of: "trusted." ones only with CAP_SYS_ADMIN. */
export function listXattr(context: FsContext, path: Path): readonly string[] | number {
  const names = path.inode.listxattr();
  if (typeof names === "number" || context.credentials.hasCapability(CAP_SYS_ADMIN)) return names;
  return names.filter((name) => !name.startsWith("trusted."));
}
