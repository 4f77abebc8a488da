/**
 * The flags of lsattr(1) and chattr(1), and project ids: FS_IOC_GETFLAGS and FS_IOC_SETFLAGS, FS_IOC_FSGETXATTR and FSSETXATTR.
 *
 * The bits of i_flags are those of FS_*_FL. What the file system itself derives from them: immutable and append-only files refuse
 * changes, noatime files keep their atime, directories pass what EXT4_FL_INHERITED names on to what is made in them.
 */
import { EINVAL, ENOTEMPTY, EOPNOTSUPP, EPERM, ESTALE } from "linux-abi";
import { isEmptyDirectory } from "./directory/lookup.ts";
import { EXT4_FEATURE_RO_COMPAT_PROJECT } from "./features.ts";
import {
  type CoreInode,
  EXT4_CASEFOLD_FL,
  EXT4_DIRSYNC_FL,
  EXT4_EXTENTS_FL,
  EXT4_NOATIME_FL,
  EXT4_NODUMP_FL,
  EXT4_PROJINHERIT_FL,
  EXT4_TOPDIR_FL,
  I_PROJID,
} from "./inode.ts";
import type { Volume } from "./volume.ts";

/** EXT4_FL_USER_VISIBLE. */
const USER_VISIBLE = 0x725bdfff;
/** EXT4_FL_USER_MODIFIABLE, without those that would change how the file is stored. */
const USER_MODIFIABLE = 0x6043c0ff;
const DIRECTORIES_ONLY: number = EXT4_DIRSYNC_FL | EXT4_TOPDIR_FL | EXT4_CASEFOLD_FL | EXT4_PROJINHERIT_FL;
const ANY_FILE: number = EXT4_NODUMP_FL | EXT4_NOATIME_FL;

/** FS_*_FL bits as lsattr shows them. */
export function userFlags(inode: CoreInode): number {
  return inode.flags & USER_VISIBLE;
}

/** Those of `flags` that an inode of this kind can have. */
export function flagsForMode(inode: CoreInode, flags: number): number {
  if (inode.isDirectory) return flags;
  return inode.isRegular ? flags & ~DIRECTORIES_ONLY : flags & ANY_FILE;
}

/**
 * Sets what chattr may change. 0, -EOPNOTSUPP for what this file or volume cannot have, -ENOTEMPTY (casefold, on or off), -EROFS, -EIO.
 * Who may is the caller's matter.
 */
export function setUserFlags(volume: Volume, inode: CoreInode, flags: number): number {
  if (inode.deleted) return -ESTALE;
  const wanted = flagsForMode(inode, flags & USER_MODIFIABLE);
  if (((flags ^ inode.flags) & EXT4_EXTENTS_FL) !== 0 && (flags & EXT4_EXTENTS_FL) !== 0) return -EOPNOTSUPP;
  if (((flags ^ inode.flags) & EXT4_CASEFOLD_FL) !== 0) {
    if (!volume.hasCasefold || !inode.isDirectory) return -EOPNOTSUPP;
    const empty = isEmptyDirectory(volume, inode);
    if (empty <= 0) return empty < 0 ? empty : -ENOTEMPTY;
  }
  const started = volume.begin();
  if (started < 0) return started;
  inode.flags = (inode.flags & ~USER_MODIFIABLE) | (wanted & USER_MODIFIABLE);
  inode.writeTime("ctime", volume.time.sec, volume.time.nsec);
  return volume.end(volume.dirtyInode(inode));
}

/** The project that the inode's space counts for; 0 where there are none. */
export function projectOf(volume: Volume, inode: CoreInode): number {
  const has = volume.superblock.hasRoCompat(EXT4_FEATURE_RO_COMPAT_PROJECT) && inode.fits(I_PROJID, 4);
  return has ? inode.view.getUint32(I_PROJID, true) : 0;
}

/** Moves the inode to a project. 0, -EOPNOTSUPP, -EINVAL, -EPERM, -EROFS, -EIO. */
export function setProject(volume: Volume, inode: CoreInode, project: number): number {
  if (inode.deleted) return -ESTALE;
  if (!Number.isInteger(project) || project < 0 || project > 0xffff_fffe) return -EINVAL;
  if (project === projectOf(volume, inode)) return 0;
  if (!volume.superblock.hasRoCompat(EXT4_FEATURE_RO_COMPAT_PROJECT) || !inode.fits(I_PROJID, 4)) return -EOPNOTSUPP;
  if (inode.ino < volume.geometry.firstInode && inode.ino !== 2) return -EPERM;
  const started = volume.begin();
  if (started < 0) return started;
  const ids = [inode.uid, inode.gid, project];
  let error = volume.quota?.admitMove(inode, ids) ?? 0;
  if (error === 0) error = volume.quota?.prepare(ids) ?? 0;
  if (error < 0) return volume.end(error);
  inode.view.setUint32(I_PROJID, project, true);
  inode.writeTime("ctime", volume.time.sec, volume.time.nsec);
  return volume.end(volume.dirtyInode(inode));
}

/** Whether a name for `inode` may be made in `dir`: not across the border of a project's tree (as rename(2) and link(2): -EXDEV). */
export function sameProject(volume: Volume, dir: CoreInode, inode: CoreInode): boolean {
  return !dir.hasFlag(EXT4_PROJINHERIT_FL) || projectOf(volume, dir) === projectOf(volume, inode);
}
