/** fstat(2), newfstatat(2), statx(2), statfs(2), fstatfs(2). */
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_NO_AUTOMOUNT,
  AT_STATX_SYNC_TYPE,
  AT_SYMLINK_NOFOLLOW,
  EINVAL,
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_RELATIME,
  MS_SYNCHRONOUS,
  STATFS_F_BAVAIL,
  STATFS_F_BFREE,
  STATFS_F_BLOCKS,
  STATFS_F_BSIZE,
  STATFS_F_FFREE,
  STATFS_F_FILES,
  STATFS_F_FLAGS,
  STATFS_F_FRSIZE,
  STATFS_F_FSID,
  STATFS_F_NAMELEN,
  STATFS_F_TYPE,
  STATFS_SIZE,
  STATX_ATTR_APPEND,
  STATX_ATTR_IMMUTABLE,
  STATX_ATTR_MOUNT_ROOT,
  STATX_BASIC_STATS,
  STATX_BTIME,
  STATX_MNT_ID,
  STATX_STX_ATIME,
  STATX_STX_ATTRIBUTES,
  STATX_STX_ATTRIBUTES_MASK,
  STATX_STX_BLKSIZE,
  STATX_STX_BLOCKS,
  STATX_STX_BTIME,
  STATX_STX_CTIME,
  STATX_STX_DEV_MAJOR,
  STATX_STX_DEV_MINOR,
  STATX_STX_GID,
  STATX_STX_INO,
  STATX_STX_MASK,
  STATX_STX_MNT_ID,
  STATX_STX_MODE,
  STATX_STX_MTIME,
  STATX_STX_NLINK,
  STATX_STX_RDEV_MAJOR,
  STATX_STX_RDEV_MINOR,
  STATX_STX_SIZE,
  STATX_STX_UID,
  STAT_SIZE,
  STAT_ST_ATIME,
  STAT_ST_ATIME_NSEC,
  STAT_ST_BLKSIZE,
  STAT_ST_BLOCKS,
  STAT_ST_CTIME,
  STAT_ST_CTIME_NSEC,
  STAT_ST_DEV,
  STAT_ST_GID,
  STAT_ST_INO,
  STAT_ST_MODE,
  STAT_ST_MTIME,
  STAT_ST_MTIME_NSEC,
  STAT_ST_NLINK,
  STAT_ST_RDEV,
  STAT_ST_SIZE,
  STAT_ST_UID,
  ST_NOATIME,
  ST_NODEV,
  ST_NODIRATIME,
  ST_NOEXEC,
  ST_NOSUID,
  ST_RDONLY,
  ST_RELATIME,
  ST_SYNCHRONOUS,
  ST_VALID,
  SYS_fstat,
  SYS_fstatfs,
  SYS_newfstatat,
  SYS_statfs,
  SYS_statx,
  major,
  minor,
} from "linux-abi";
import { type Path, newAttributes } from "vfs-inode";
import type { Task } from "../../task/task.ts";
import { type SyscallRow, full, row } from "../row.ts";
import { putI64 } from "./fields.ts";
import { placeAt, placeOfFd, unknownFlags } from "./place.ts";

const $attributes = newAttributes(); // filled and written out within one call

/** Writes struct stat of `path` to the program. */
function storeStat(task: Task, path: Path, address: number): number {
  const { memory } = task;
  const at = $attributes;
  path.inode.getattr(at);
  const view = memory.scratch;
  memory.scratchBytes.fill(0, 0, STAT_SIZE);
  view.setUint32(STAT_ST_DEV, path.inode.fs.deviceNumber, true);
  putI64(view, STAT_ST_INO, at.ino);
  view.setUint32(STAT_ST_MODE, at.mode, true);
  view.setUint32(STAT_ST_NLINK, at.nlink, true);
  view.setUint32(STAT_ST_UID, at.uid, true);
  view.setUint32(STAT_ST_GID, at.gid, true);
  view.setUint32(STAT_ST_RDEV, at.rdev, true);
  putI64(view, STAT_ST_SIZE, at.size);
  view.setUint32(STAT_ST_BLKSIZE, at.blockSize, true);
  putI64(view, STAT_ST_BLOCKS, at.blocks512);
  putI64(view, STAT_ST_ATIME, at.atime.sec);
  view.setUint32(STAT_ST_ATIME_NSEC, at.atime.nsec, true);
  putI64(view, STAT_ST_MTIME, at.mtime.sec);
  view.setUint32(STAT_ST_MTIME_NSEC, at.mtime.nsec, true);
  putI64(view, STAT_ST_CTIME, at.ctime.sec);
  view.setUint32(STAT_ST_CTIME_NSEC, at.ctime.nsec, true);
  return memory.store(address, STAT_SIZE);
}

function sys_fstat(task: Task, fd: number, statbuf: number): number {
  const path = placeOfFd(task, fd);
  return typeof path === "number" ? path : storeStat(task, path, statbuf);
}

function sys_newfstatat(task: Task, dirfd: number, pathname: number, statbuf: number, flags: number): number {
  const bad = unknownFlags(flags, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE);
  if (bad !== 0) return bad;
  const path = placeAt(task, dirfd, pathname, flags);
  return typeof path === "number" ? path : storeStat(task, path, statbuf);
}

function sys_statx(task: Task, dirfd: number, pathname: number, flags: number, mask: number, statxbuf: number): number {
  const bad = unknownFlags(flags, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE);
  if (bad !== 0 || (flags & AT_STATX_SYNC_TYPE) === AT_STATX_SYNC_TYPE || mask >= 0x80000000) return -EINVAL;
  const path = placeAt(task, dirfd, pathname, flags);
  return typeof path === "number" ? path : storeStatx(task, path, statxbuf);
}

const STATX_STRUCT_SIZE = 256;
/** FS_IMMUTABLE_FL, FS_APPEND_FL of FS_IOC_GETFLAGS; statx uses the same bits. */
const FLAG_ATTRIBUTES = STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND;

function storeStatx(task: Task, path: Path, address: number): number {
  const { memory } = task;
  const { inode, mount } = path;
  const at = $attributes;
  inode.getattr(at);
  const view = memory.scratch;
  memory.scratchBytes.fill(0, 0, STATX_STRUCT_SIZE);
  view.setUint32(STATX_STX_MASK, STATX_BASIC_STATS | STATX_MNT_ID | (at.btime === undefined ? 0 : STATX_BTIME), true);
  view.setUint32(STATX_STX_BLKSIZE, at.blockSize, true);
  const flags = (inode.inodeFlags?.() ?? 0) & FLAG_ATTRIBUTES;
  view.setUint32(STATX_STX_ATTRIBUTES, flags | (path.dentry === mount.root ? STATX_ATTR_MOUNT_ROOT : 0), true);
  view.setUint32(
    STATX_STX_ATTRIBUTES_MASK,
    STATX_ATTR_MOUNT_ROOT | (inode.inodeFlags === undefined ? 0 : FLAG_ATTRIBUTES),
    true,
  );
  view.setUint32(STATX_STX_NLINK, at.nlink, true);
  view.setUint32(STATX_STX_UID, at.uid, true);
  view.setUint32(STATX_STX_GID, at.gid, true);
  view.setUint16(STATX_STX_MODE, at.mode, true);
  putI64(view, STATX_STX_INO, at.ino);
  putI64(view, STATX_STX_SIZE, at.size);
  putI64(view, STATX_STX_BLOCKS, at.blocks512);
  putTime(view, STATX_STX_ATIME, at.atime);
  putTime(view, STATX_STX_MTIME, at.mtime);
  putTime(view, STATX_STX_CTIME, at.ctime);
  if (at.btime !== undefined) putTime(view, STATX_STX_BTIME, at.btime);
  view.setUint32(STATX_STX_RDEV_MAJOR, major(at.rdev), true);
  view.setUint32(STATX_STX_RDEV_MINOR, minor(at.rdev), true);
  const device = inode.fs.deviceNumber;
  view.setUint32(STATX_STX_DEV_MAJOR, major(device), true);
  view.setUint32(STATX_STX_DEV_MINOR, minor(device), true);
  putI64(view, STATX_STX_MNT_ID, mount.id);
  return memory.store(address, STATX_STRUCT_SIZE);
}

function putTime(view: DataView, at: number, time: { sec: number; nsec: number }): void {
  putI64(view, at, time.sec);
  view.setUint32(at + 8, time.nsec, true);
}

const STATFS_FLAGS: readonly (readonly [number, number])[] = [
  [MS_NOSUID, ST_NOSUID],
  [MS_NODEV, ST_NODEV],
  [MS_NOEXEC, ST_NOEXEC],
  [MS_SYNCHRONOUS, ST_SYNCHRONOUS],
  [MS_NOATIME, ST_NOATIME],
  [MS_NODIRATIME, ST_NODIRATIME],
  [MS_RELATIME, ST_RELATIME],
];

function storeStatfs(task: Task, path: Path, address: number): number {
  const { memory } = task;
  const { mount } = path;
  const status = path.inode.fs.statfs();
  let flags = ST_VALID | (mount.readOnly ? ST_RDONLY : 0);
  for (const [from, to] of STATFS_FLAGS) if ((mount.flags & from) !== 0) flags |= to;
  const view = memory.scratch;
  memory.scratchBytes.fill(0, 0, STATFS_SIZE);
  putI64(view, STATFS_F_TYPE, status.type);
  putI64(view, STATFS_F_BSIZE, status.blockSize);
  putI64(view, STATFS_F_BLOCKS, status.blocks);
  putI64(view, STATFS_F_BFREE, status.blocksFree);
  putI64(view, STATFS_F_BAVAIL, status.blocksAvailable);
  putI64(view, STATFS_F_FILES, status.files);
  putI64(view, STATFS_F_FFREE, status.filesFree);
  view.setUint32(STATFS_F_FSID, status.fsid[0], true);
  view.setUint32(STATFS_F_FSID + 4, status.fsid[1], true);
  putI64(view, STATFS_F_NAMELEN, status.nameLength);
  putI64(view, STATFS_F_FRSIZE, status.blockSize);
  putI64(view, STATFS_F_FLAGS, flags);
  return memory.store(address, STATFS_SIZE);
}

function sys_statfs(task: Task, pathname: number, buf: number): number {
  const path = placeAt(task, AT_FDCWD, pathname, 0);
  return typeof path === "number" ? path : storeStatfs(task, path, buf);
}

function sys_fstatfs(task: Task, fd: number, buf: number): number {
  const path = placeOfFd(task, fd);
  return typeof path === "number" ? path : storeStatfs(task, path, buf);
}

export const STAT_CALLS: readonly SyscallRow[] = [
  row(SYS_fstat, "fstat", "fd:fd statbuf:stat", full, sys_fstat),
  row(SYS_newfstatat, "newfstatat", "dirfd:dirfd pathname:path statbuf:stat flags:at_flags", full, sys_newfstatat),
  row(SYS_statx, "statx", "dirfd:dirfd pathname:path flags:at_flags mask:uint statxbuf:ptr", full, sys_statx),
  row(SYS_statfs, "statfs", "pathname:path buf:ptr", full, sys_statfs),
  row(SYS_fstatfs, "fstatfs", "fd:fd buf:ptr", full, sys_fstatfs),
];
