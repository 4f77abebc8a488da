/**
 * Names that go away or change: unlink, rmdir, rename.
 */
import {
  EBUSY,
  EEXIST,
  EINVAL,
  EISDIR,
  ENOENT,
  ENOTDIR,
  ENOTEMPTY,
  EROFS,
  EXDEV,
  IN_ATTRIB,
  IN_DELETE,
  IN_DELETE_SELF,
  IN_ISDIR,
  IN_MOVED_FROM,
  IN_MOVED_TO,
  IN_MOVE_SELF,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  S_IFDIR,
  S_IFMT,
} from "linux-abi";
import { MAY_EXEC, MAY_WRITE, checkPermission, checkSticky } from "./credentials.ts";
import type { Dentry, VfsNode } from "./dentry.ts";
import type { Mount } from "./mount.ts";
import type { Path } from "./path.ts";
import type { Vfs } from "./vfs.ts";
import { type FsContext, LAST_DOT, LAST_DOTDOT, LAST_NORMAL, LOOKUP_PARENT } from "./walk.ts";

function isDirectory(node: VfsNode): boolean {
  return (node.inode.mode & S_IFMT) === S_IFDIR;
}

/** May the caller take the name `victim` away? */
function mayDelete(context: FsContext, mount: Mount, victim: Dentry): number {
  const directory = victim.parent?.node?.inode;
  const node = victim.node;
  if (directory === undefined || node === null) return -ENOENT;
  if (mount.readOnly) return -EROFS;
  const error = checkPermission(directory, context.credentials, MAY_WRITE | MAY_EXEC);
  if (error !== 0) return error;
  return checkSticky(directory, node.inode, context.credentials);
}

/** Finds the existing dentry that the walker's last component names. */
function findVictim(vfs: Vfs, context: FsContext): Dentry | number {
  const walker = vfs.walker;
  const node = walker.dentry.node;
  if (node === null) return -ENOENT;
  if (!isDirectory(node)) return -ENOTDIR;
  const search = checkPermission(node.inode, context.credentials, MAY_EXEC);
  if (search !== 0) return search;
  const found = vfs.dentries.lookup(walker.dentry, walker.lastName);
  if (typeof found === "number") return found;
  return found.node === null ? -ENOENT : found;
}

/** Tells watchers that `victim` is gone; call before its dentry is dropped. */
function announceRemoval(vfs: Vfs, victim: Dentry, node: VfsNode, directory: boolean): void {
  const parent = victim.parent?.node;
  if (vfs.notify === null || !parent) return;
  vfs.notify(node, node.inode.nlink === 0 || directory ? IN_DELETE_SELF : IN_ATTRIB, null, 0);
  vfs.notify(parent, IN_DELETE | (directory ? IN_ISDIR : 0), victim.name, 0);
}

export function unlink(vfs: Vfs, context: FsContext, base: Path | null, path: string): number {
  vfs.dentries.trim();
  const walker = vfs.walker;
  const error = walker.walk(context, base, path, LOOKUP_PARENT);
  if (error !== 0) return error;
  if (walker.lastKind !== LAST_NORMAL) return -EISDIR;
  const victim = findVictim(vfs, context);
  if (typeof victim === "number") return victim;
  const node = victim.node as VfsNode;
  if (walker.trailingSlash) return isDirectory(node) ? -EISDIR : -ENOTDIR;
  const refused = mayDelete(context, walker.mount, victim);
  if (refused !== 0) return refused;
  if (isDirectory(node)) return -EISDIR;
  if (victim.mountpoints > 0) return -EBUSY;
  const result = (victim.parent as Dentry).node?.inode.unlink(victim.name) ?? -ENOENT;
  if (result !== 0) return result;
  announceRemoval(vfs, victim, node, false);
  vfs.dentries.makeNegative(victim);
  return 0;
}

export function removeDirectory(vfs: Vfs, context: FsContext, base: Path | null, path: string): number {
  vfs.dentries.trim();
  const walker = vfs.walker;
  const error = walker.walk(context, base, path, LOOKUP_PARENT);
  if (error !== 0) return error;
  if (walker.lastKind === LAST_DOT) return -EINVAL;
  if (walker.lastKind === LAST_DOTDOT) return -ENOTEMPTY;
  if (walker.lastKind !== LAST_NORMAL) return -EBUSY;
  const victim = findVictim(vfs, context);
  if (typeof victim === "number") return victim;
  const node = victim.node as VfsNode;
  const refused = mayDelete(context, walker.mount, victim);
  if (refused !== 0) return refused;
  if (!isDirectory(node)) return -ENOTDIR;
  if (victim.mountpoints > 0) return -EBUSY;
  const result = (victim.parent as Dentry).node?.inode.rmdir(victim.name) ?? -ENOENT;
  if (result !== 0) return result;
  announceRemoval(vfs, victim, node, true);
  vfs.dentries.makeNegative(victim);
  return 0;
}

export function rename(
  vfs: Vfs,
  context: FsContext,
  oldBase: Path | null,
  oldPath: string,
  newBase: Path | null,
  newPath: string,
  flags: number,
): number {
  if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) !== 0) return -EINVAL;
  if (flags === (RENAME_NOREPLACE | RENAME_EXCHANGE)) return -EINVAL;
  vfs.dentries.trim();
  const walker = vfs.walker;
  let error = walker.walk(context, oldBase, oldPath, LOOKUP_PARENT);
  if (error !== 0) return error;
  const mount = walker.mount;
  const oldParent = walker.dentry;
  const oldKind = walker.lastKind;
  const oldSlash = walker.trailingSlash;
  const oldName = walker.lastName;
  error = walker.walk(context, newBase, newPath, LOOKUP_PARENT);
  if (error !== 0) return error;
  const newParent = walker.dentry;
  if (walker.mount !== mount) return -EXDEV;
  if (oldKind !== LAST_NORMAL) return -EBUSY;
  if (walker.lastKind !== LAST_NORMAL) return (flags & RENAME_NOREPLACE) !== 0 ? -EEXIST : -EBUSY;
  const target = findOrNegative(vfs, context);
  if (typeof target === "number") return target;
  const newSlash = walker.trailingSlash;
  walker.dentry = oldParent;
  walker.lastName = oldName;
  const source = findVictim(vfs, context);
  if (typeof source === "number") return source;
  const sourceNode = source.node as VfsNode;
  const exchange = (flags & RENAME_EXCHANGE) !== 0;
  if (target.node !== null && (flags & RENAME_NOREPLACE) !== 0) return -EEXIST;
  if (exchange && target.node === null) return -ENOENT;
  const moving = isDirectory(sourceNode);
  if (!moving && (oldSlash || (newSlash && !exchange))) return -ENOTDIR;
  if (exchange && newSlash && !isDirectory(target.node as VfsNode)) return -ENOTDIR;

  // No directory may end up below itself.
  if (newParent.isWithin(source)) return -EINVAL;
  if (target.node !== null && oldParent.isWithin(target)) return exchange ? -EINVAL : -ENOTEMPTY;

  error = mayDelete(context, mount, source);
  if (error !== 0) return error;
  const newDirectory = newParent.node?.inode;
  if (newDirectory === undefined || !newParent.hashed) return -ENOENT;
  if (target.node === null) {
    error = checkPermission(newDirectory, context.credentials, MAY_WRITE | MAY_EXEC);
    if (error !== 0) return error;
  } else {
    error = mayDelete(context, mount, target);
    if (error !== 0) return error;
    if (!exchange) {
      if (moving && !isDirectory(target.node)) return -ENOTDIR;
      if (!moving && isDirectory(target.node)) return -EISDIR;
    }
  }
  // Moving a directory rewrites its "..".
  if (moving && newParent !== oldParent) {
    error = checkPermission(sourceNode.inode, context.credentials, MAY_WRITE);
    if (error !== 0) return error;
  }
  if (source === target || sourceNode === target.node) return 0;
  if (source.mountpoints > 0 || target.mountpoints > 0) return -EBUSY;

  const newName = target.name;
  error = oldParent.node?.inode.rename(oldName, newDirectory, newName, flags) ?? -ENOENT;
  if (error !== 0) return error;

  const replaced = target.node;
  if (exchange) vfs.dentries.exchange(source, target);
  else {
    if (target.hashed) vfs.dentries.remove(target);
    vfs.dentries.move(source, newParent, newName);
  }
  announceRename(vfs, oldParent, oldName, newParent, newName, sourceNode, moving);
  if (replaced !== null && vfs.notify !== null) {
    if (exchange) announceRename(vfs, newParent, newName, oldParent, oldName, replaced, isDirectory(replaced));
    else
      vfs.notify(replaced, replaced.inode.nlink === 0 || isDirectory(replaced) ? IN_DELETE_SELF : IN_ATTRIB, null, 0);
  }
  return 0;
}

function findOrNegative(vfs: Vfs, context: FsContext): Dentry | number {
  const walker = vfs.walker;
  const node = walker.dentry.node;
  if (node === null) return -ENOENT;
  if (!isDirectory(node)) return -ENOTDIR;
  const search = checkPermission(node.inode, context.credentials, MAY_EXEC);
  if (search !== 0) return search;
  return vfs.dentries.lookup(walker.dentry, walker.lastName);
}

function announceRename(
  vfs: Vfs,
  oldParent: Dentry,
  oldName: string,
  newParent: Dentry,
  newName: string,
  node: VfsNode,
  directory: boolean,
): void {
  if (vfs.notify === null || oldParent.node === null || newParent.node === null) return;
  const cookie = vfs.nextRenameCookie();
  const bit = directory ? IN_ISDIR : 0;
  vfs.notify(oldParent.node, IN_MOVED_FROM | bit, oldName, cookie);
  vfs.notify(newParent.node, IN_MOVED_TO | bit, newName, cookie);
  vfs.notify(node, IN_MOVE_SELF, null, 0);
}
