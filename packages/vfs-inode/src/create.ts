/**
 * New names: mkdir, mknod, symlink, link, and the file that open(O_CREAT) makes.
 *
 * All share one pattern: walk to the parent, look the last name up, check (exists? read-only? permission? removed directory?), let
 * the inode do it, and put the result into the dentry cache.
 */
import {
  EACCES,
  EEXIST,
  EINVAL,
  ENOENT,
  ENOTDIR,
  EPERM,
  EROFS,
  EXDEV,
  IN_CREATE,
  IN_ATTRIB,
  IN_ISDIR,
  S_IFCHR,
  S_IFBLK,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  S_ISGID,
} from "linux-abi";
import { MAY_EXEC, MAY_WRITE, checkPermission, stripSetgid } from "./credentials.ts";
import type { Dentry } from "./dentry.ts";
import type { Inode, NewNode } from "./inode.ts";
import type { Mount } from "./mount.ts";
import type { Path } from "./path.ts";
import type { Vfs } from "./vfs.ts";
import { type FsContext, LAST_NORMAL, LOOKUP_PARENT } from "./walk.ts";

/** May the caller add a name to `parent`? 0 or -errno. */
export function mayCreate(context: FsContext, mount: Mount, parent: Dentry): number {
  const node = parent.node;
  if (node === null || !parent.hashed) return -ENOENT; // removed while somebody stands in it
  if (mount.readOnly) return -EROFS;
  return checkPermission(node.inode, context.credentials, MAY_WRITE | MAY_EXEC);
}

/** Owner, group and mode of a new node in `directory`: umask, and group inheritance of setgid directories. */
export function newNodeFor(context: FsContext, directory: Inode, mode: number, rdev: number): NewNode {
  const credentials = context.credentials;
  let masked = mode & (S_IFMT | (0o7777 & ~context.umask));
  let gid = credentials.fsgid;
  if ((directory.mode & S_ISGID) !== 0) {
    gid = directory.gid;
    if ((masked & S_IFMT) === S_IFDIR) masked |= S_ISGID;
    else if ((masked & 0o010) !== 0) masked = stripSetgid(masked, gid, credentials);
  }
  return { mode: masked, uid: credentials.fsuid, gid, rdev };
}

/** Walks to the parent of `path` and finds the dentry its last name has, negative or not; leaves the mount in the walker. */
function findTarget(
  vfs: Vfs,
  context: FsContext,
  base: Path | null,
  path: string,
  directory: boolean,
): Dentry | number {
  vfs.dentries.trim();
  const walker = vfs.walker;
  const error = walker.walk(context, base, path, LOOKUP_PARENT);
  if (error !== 0) return error;
  if (walker.lastKind !== LAST_NORMAL) return -EEXIST;
  const parent = walker.dentry;
  if (((parent.node?.inode.mode ?? 0) & S_IFMT) !== S_IFDIR) return -ENOTDIR;
  const search = checkPermission(parent.node?.inode as Inode, context.credentials, MAY_EXEC);
  if (search !== 0) return search;
  const target = vfs.dentries.lookup(parent, walker.lastName);
  if (typeof target === "number") return target;
  if (target.node !== null) return -EEXIST;
  if (walker.trailingSlash && !directory) return -ENOENT;
  const refused = mayCreate(context, walker.mount, parent);
  return refused !== 0 ? refused : target;
}

function announce(vfs: Vfs, parent: Dentry, name: string, mask: number): void {
  if (vfs.notify !== null && parent.node !== null) vfs.notify(parent.node, mask, name, 0);
}

/** Puts a freshly made inode behind its negative dentry. */
export function adopt(vfs: Vfs, target: Dentry, inode: Inode, mask: number): Dentry {
  const dentry = vfs.dentries.instantiate(target, vfs.dentries.nodeOf(inode));
  announce(vfs, target.parent as Dentry, target.name, mask);
  return dentry;
}

export function makeDirectory(vfs: Vfs, context: FsContext, base: Path | null, path: string, mode: number): number {
  const target = findTarget(vfs, context, base, path, true);
  if (typeof target === "number") return target;
  const directory = (target.parent as Dentry).node?.inode as Inode;
  const made = directory.mkdir(target.name, newNodeFor(context, directory, S_IFDIR | (mode & 0o1777), 0));
  if (typeof made === "number") return made;
  adopt(vfs, target, made, IN_CREATE | IN_ISDIR);
  return 0;
}

export function makeNode(
  vfs: Vfs,
  context: FsContext,
  base: Path | null,
  path: string,
  mode: number,
  rdev: number,
): number {
  const type = (mode & S_IFMT) === 0 ? S_IFREG : mode & S_IFMT;
  if (type === S_IFDIR) return -EPERM;
  if (type !== S_IFREG && type !== S_IFCHR && type !== S_IFBLK && type !== S_IFIFO && type !== S_IFSOCK) return -EINVAL;
  const target = findTarget(vfs, context, base, path, false);
  if (typeof target === "number") return target;
  const directory = (target.parent as Dentry).node?.inode as Inode;
  const isDevice = type === S_IFCHR || type === S_IFBLK;
  const made = directory.create(
    target.name,
    newNodeFor(context, directory, type | (mode & 0o7777), isDevice ? rdev : 0),
  );
  if (typeof made === "number") return made;
  adopt(vfs, target, made, IN_CREATE);
  return 0;
}

export function makeSymlink(vfs: Vfs, context: FsContext, text: string, base: Path | null, path: string): number {
  if (text.length === 0) return -ENOENT;
  const target = findTarget(vfs, context, base, path, false);
  if (typeof target === "number") return target;
  const directory = (target.parent as Dentry).node?.inode as Inode;
  const node = newNodeFor(context, directory, S_IFLNK, 0);
  node.mode = S_IFLNK | 0o777;
  const made = directory.symlink(target.name, text, node);
  if (typeof made === "number") return made;
  adopt(vfs, target, made, IN_CREATE);
  return 0;
}

export function makeLink(vfs: Vfs, context: FsContext, from: Path, base: Path | null, path: string): number {
  const node = from.node;
  from.pin(); // the walk to the new name must not evict it
  try {
    const target = findTarget(vfs, context, base, path, false);
    if (typeof target === "number") return target;
    if (vfs.walker.mount !== from.mount) return -EXDEV;
    if ((node.inode.mode & S_IFMT) === S_IFDIR) return -EPERM;
    // A removed file stays removed; only one that never had a name (O_TMPFILE) may get its first.
    if (node.inode.nlink === 0 && from.dentry.parent !== null) return -ENOENT;
    const error = (target.parent as Dentry).node?.inode.link(target.name, node.inode) ?? -ENOENT;
    if (error !== 0) return error;
    vfs.dentries.instantiate(target, node);
    announce(vfs, target.parent as Dentry, target.name, IN_CREATE);
    vfs.notify?.(node, IN_ATTRIB, null, 0);
    return 0;
  } finally {
    from.unpin();
  }
}

/** The regular file of open(O_CREAT) behind the negative dentry `target`. */
export function createFile(vfs: Vfs, context: FsContext, mount: Mount, target: Dentry, mode: number): Dentry | number {
  const parent = target.parent as Dentry;
  const refused = mayCreate(context, mount, parent);
  if (refused !== 0) return refused;
  const directory = parent.node?.inode;
  if (directory === undefined) return -EACCES;
  const made = directory.create(target.name, newNodeFor(context, directory, S_IFREG | (mode & 0o7777), 0));
  if (typeof made === "number") return made;
  return adopt(vfs, target, made, IN_CREATE);
}
