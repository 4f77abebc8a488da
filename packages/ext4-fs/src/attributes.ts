/**
 * Changing an inode's attributes: mode, owner, times.
 */
import { EPERM, ESTALE } from "linux-abi";
import { type CoreInode, EXT4_APPEND_FL, EXT4_IMMUTABLE_FL, EXT4_NOATIME_FL } from "./inode.ts";
import { projectOf } from "./inode-flags.ts";
import type { Time, Volume } from "./volume.ts";
import { aclWithMode } from "./xattr/acl.ts";
import { XATTR_INDEX_ACL_ACCESS } from "./xattr/layout.ts";
import { loadXattrs, storeXattrs } from "./xattr/store.ts";

export interface InodeChanges {
  /** Permission bits (0o7777). */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly atime?: Time;
  readonly mtime?: Time;
}

/** Applies changes and sets ctime. 0 or -errno. */
export function changeAttributes(volume: Volume, inode: CoreInode, changes: InodeChanges): number {
  if (inode.hasFlag(EXT4_IMMUTABLE_FL | EXT4_APPEND_FL)) return -EPERM;
  if (inode.deleted) return -ESTALE;
  const started = volume.begin();
  if (started < 0) return started;
  const { uid = inode.uid, gid = inode.gid } = changes;
  const ids = [uid, gid, projectOf(volume, inode)];
  let error = volume.quota?.admitMove(inode, ids) ?? 0;
  if (error === 0) error = volume.quota?.prepare(ids) ?? 0;
  if (error < 0) return volume.end(error);
  error = volume.dirtyInode(inode);
  if (error === 0 && changes.mode !== undefined) {
    inode.mode = (inode.mode & ~0o7777) | (changes.mode & 0o7777);
    error = updateAccessAcl(volume, inode);
  }
  if (changes.uid !== undefined) inode.uid = changes.uid;
  if (changes.gid !== undefined) inode.gid = changes.gid;
  if (changes.atime !== undefined) inode.writeTime("atime", changes.atime.sec, changes.atime.nsec);
  if (changes.mtime !== undefined) inode.writeTime("mtime", changes.mtime.sec, changes.mtime.nsec);
  inode.writeTime("ctime", volume.time.sec, volume.time.nsec);
  return volume.end(error);
}

/**
 * Notes a read at this time. With lazytime it stays in memory until the inode changes for another reason, or a sync. 0 or -errno.
 */
export function touchAccessTime(volume: Volume, inode: CoreInode, sec: number, nsec: number): number {
  if (volume.readOnly || inode.deleted || inode.hasFlag(EXT4_NOATIME_FL | EXT4_IMMUTABLE_FL)) return 0;
  if (volume.options.lazyTime === true) {
    inode.writeTime("atime", sec, nsec);
    volume.keepLazily(inode);
    return 0;
  }
  const started = volume.begin();
  if (started < 0) return started;
  inode.writeTime("atime", sec, nsec);
  return volume.end(volume.dirtyInode(inode));
}

/** chmod changes the access ACL too, where there is one. */
function updateAccessAcl(volume: Volume, inode: CoreInode): number {
  const list = loadXattrs(volume, inode);
  if (typeof list === "number") return list;
  const at = list.findIndex((a) => a.index === XATTR_INDEX_ACL_ACCESS);
  if (at < 0) return 0;
  const value = aclWithMode(list[at].value, inode.mode);
  if (value === undefined) return 0;
  list[at] = { ...list[at], value };
  return storeXattrs(volume, inode, list);
}
