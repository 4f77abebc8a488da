/**
 * ioctl(2) on regular files and directories (linux/fs.h).
 */
import {
  CAP_LINUX_IMMUTABLE,
  CAP_SYS_ADMIN,
  CAP_SYS_RAWIO,
  CAP_SYS_RESOURCE,
  EBADR,
  EFAULT,
  EINVAL,
  ENOTTY,
  EOPNOTSUPP,
  EPERM,
  EROFS,
  EXT4_IOC_RESIZE_FS,
  FIBMAP,
  FIONREAD,
  FS_IOC_FIEMAP,
  FS_IOC_FSGETXATTR,
  FS_IOC_FSSETXATTR,
  FS_IOC_GETFLAGS,
  FS_IOC_GETVERSION,
  FS_IOC_SETFLAGS,
} from "linux-abi";
import { isOwnerOrCapable } from "vfs-inode";
import type { Task } from "../task/task.ts";
import type { VfsFile } from "./vfs-file.ts";

/** Block size of the file system: int. */
const FIGETBSZ = 2;
const FICLONE = 0x40049409;
const FICLONERANGE = 0x4020940d;
const FS_IMMUTABLE_FL = 0x10;
const FS_APPEND_FL = 0x20;

// struct fiemap and struct fiemap_extent (linux/fiemap.h)
const FIEMAP_START = 0;
const FIEMAP_LENGTH = 8;
const FIEMAP_FLAGS = 16;
const FIEMAP_MAPPED_EXTENTS = 20;
const FIEMAP_EXTENT_COUNT = 24;
const FIEMAP_HEADER_SIZE = 32;
const FIEMAP_EXTENT_SIZE = 56;
const FIEMAP_FLAG_SYNC = 1;
const FIEMAP_FLAG_XATTR = 2;
/** FIEMAP_EXTENT_UNKNOWN, _DELALLOC, _DATA_INLINE, _UNWRITTEN: there is no block with data to name. */
const NO_BLOCK = 0x2 | 0x4 | 0x200 | 0x800;
const FITRIM = 0xc0185879;
const FSXATTR_SIZE = 28;
const FSX_PROJECT = 12;
/** FS_*_FL and FS_XFLAG_* of the flags that both forms have. */
const FSXATTR_FLAGS: readonly (readonly [number, number])[] = [
  [0x8, 0x20], // sync
  [FS_IMMUTABLE_FL, 0x8],
  [FS_APPEND_FL, 0x10],
  [0x40, 0x80], // nodump
  [0x80, 0x40], // noatime
  [0x2000_0000, 0x200], // projinherit
];
const FIEMAP_EXTENT_LAST = 1;
const FIEMAP_EXTENT_UNKNOWN = 2;

export function fileIoctl(file: VfsFile, task: Task, request: number, argument: number): number {
  const { inode } = file.file;
  const memory = task.memory;
  switch (request) {
    case FIGETBSZ:
      return memory.writeU32(argument, inode.fs.statfs().blockSize);
    case FIONREAD:
      return file.isDirectory ? -ENOTTY : memory.writeU32(argument, Math.max(0, inode.size - file.position));
    case FS_IOC_GETFLAGS:
      return inode.inodeFlags === undefined ? -ENOTTY : memory.writeU32(argument, inode.inodeFlags());
    case FS_IOC_SETFLAGS:
      return setFlags(file, task, argument);
    case FS_IOC_GETVERSION:
      return memory.writeU32(argument, inode.generation);
    case FS_IOC_FSGETXATTR:
      return getFsxattr(file, task, argument);
    case FS_IOC_FSSETXATTR:
      return setFsxattr(file, task, argument);
    case FS_IOC_FIEMAP:
      return file.isDirectory && inode.mapExtents === undefined ? -EOPNOTSUPP : fiemap(file, task, argument);
    case FIBMAP:
      return blockOf(file, task, argument);
    case FITRIM:
      return trim(file, task, argument);
    case EXT4_IOC_RESIZE_FS:
      return resize(file, task, argument);
    case FICLONE:
    case FICLONERANGE:
      return -EOPNOTSUPP;
    default:
      return -ENOTTY;
  }
}

function setFlags(file: VfsFile, task: Task, argument: number): number {
  const { inode } = file.file;
  if (inode.inodeFlags === undefined || inode.setInodeFlags === undefined) return -ENOTTY;
  const flags = task.memory.readU32(argument);
  if (flags < 0) return flags;
  if (!isOwnerOrCapable(inode, task.cred)) return -EPERM;
  if (file.file.path.mount.readOnly) return -EROFS;
  const guarded = (flags ^ inode.inodeFlags()) & (FS_IMMUTABLE_FL | FS_APPEND_FL);
  if (guarded !== 0 && !task.cred.hasCapability(CAP_LINUX_IMMUTABLE)) return -EPERM;
  // What is in the page cache was written before the file became immutable.
  const error = (flags & FS_IMMUTABLE_FL) !== 0 && !file.isDirectory ? file.file.sync(true) : 0;
  const changed = error < 0 ? error : inode.setInodeFlags(flags);
  if (changed === 0 && file.isDirectory) file.file.vfs.dentries.refresh(file.file.path.dentry);
  return changed;
}

/** FS_IOC_FSGETXATTR: flags in their generic form, and the project (struct fsxattr, linux/fs.h). */
function getFsxattr(file: VfsFile, task: Task, argument: number): number {
  const { inode } = file.file;
  if (inode.inodeFlags === undefined) return -ENOTTY;
  const { memory } = task;
  memory.scratchBytes.fill(0, 0, FSXATTR_SIZE);
  const flags = inode.inodeFlags();
  let generic = 0;
  for (const [flag, bit] of FSXATTR_FLAGS) if ((flags & flag) !== 0) generic |= bit;
  memory.scratch.setUint32(0, generic, true);
  memory.scratch.setUint32(FSX_PROJECT, inode.projectId?.() ?? 0, true);
  return memory.store(argument, FSXATTR_SIZE);
}

function setFsxattr(file: VfsFile, task: Task, argument: number): number {
  const { inode } = file.file;
  if (inode.inodeFlags === undefined || inode.setInodeFlags === undefined) return -ENOTTY;
  if (task.memory.load(argument, FSXATTR_SIZE) !== 0) return -EFAULT;
  const generic = task.memory.scratch.getUint32(0, true);
  const project = task.memory.scratch.getUint32(FSX_PROJECT, true);
  if (!isOwnerOrCapable(inode, task.cred)) return -EPERM;
  if (file.file.path.mount.readOnly) return -EROFS;
  let flags = inode.inodeFlags();
  for (const [flag, bit] of FSXATTR_FLAGS) flags = (generic & bit) !== 0 ? flags | flag : flags & ~flag;
  const guarded = (flags ^ inode.inodeFlags()) & (FS_IMMUTABLE_FL | FS_APPEND_FL);
  if (guarded !== 0 && !task.cred.hasCapability(CAP_LINUX_IMMUTABLE)) return -EPERM;
  if (project !== (inode.projectId?.() ?? 0)) {
    const error = inode.setProjectId?.(project) ?? -EOPNOTSUPP;
    if (error < 0) return error;
  }
  return inode.setInodeFlags(flags);
}

/** FIBMAP: the block on the device of a block of the file, in place. */
function blockOf(file: VfsFile, task: Task, argument: number): number {
  const { inode } = file.file;
  if (!task.cred.hasCapability(CAP_SYS_RAWIO)) return -EPERM;
  if (inode.mapExtents === undefined || file.isDirectory) return -EINVAL;
  const fileBlock = task.memory.readU32(argument);
  if (fileBlock < 0) return fileBlock;
  const { blockSize } = inode.fs.statfs();
  let block = 0;
  const error = inode.mapExtents(fileBlock * blockSize, 1, false, (logical, physical, length, flags) => {
    const at = fileBlock * blockSize - logical;
    if (at >= 0 && at < length && (flags & NO_BLOCK) === 0) block = (physical + at) / blockSize;
    return false;
  });
  return error < 0 ? error : task.memory.writeU32(argument, block);
}

/** FITRIM: struct fstrim_range {start, len, minlen}, all u64; `len` becomes what was trimmed. */
function trim(file: VfsFile, task: Task, argument: number): number {
  const { fs } = file.file.inode;
  if (!task.cred.hasCapability(CAP_SYS_ADMIN)) return -EPERM;
  if (fs.trim === undefined) return -EOPNOTSUPP;
  if (task.memory.load(argument, 24) !== 0) return -EFAULT;
  const view = task.memory.scratch;
  const trimmed = fs.trim(readU64(view, 0), readU64(view, 8), readU64(view, 16));
  if (trimmed < 0) return trimmed;
  writeU64(task.memory.scratch, 0, trimmed);
  return task.memory.store(argument + 8, 8);
}

/** EXT4_IOC_RESIZE_FS: the file system of the file grows to a u64 of blocks (resize2fs). */
function resize(file: VfsFile, task: Task, argument: number): number {
  const { fs } = file.file.inode;
  if (fs.resize === undefined) return -ENOTTY;
  if (!task.cred.hasCapability(CAP_SYS_RESOURCE)) return -EPERM;
  if (task.memory.load(argument, 8) !== 0) return -EFAULT;
  if (file.file.path.mount.readOnly) return -EROFS;
  const blocks = readU64(task.memory.scratch, 0);
  return Number.isSafeInteger(blocks) ? fs.resize(blocks) : -EINVAL;
}

/**
 * FS_IOC_FIEMAP. A file system that cannot say where blocks lie is asked by way of SEEK_DATA and SEEK_HOLE: where there is data
 * (FIEMAP_EXTENT_UNKNOWN), which is what most users (cp, dpkg, apt) need to know.
 */
function fiemap(file: VfsFile, task: Task, argument: number): number {
  const { memory } = task;
  const { inode } = file.file;
  if (memory.load(argument, FIEMAP_HEADER_SIZE) !== 0) return -EFAULT;
  const view = memory.scratch;
  const start = readU64(view, FIEMAP_START);
  const length = readU64(view, FIEMAP_LENGTH);
  const flags = view.getUint32(FIEMAP_FLAGS, true);
  const room = view.getUint32(FIEMAP_EXTENT_COUNT, true);
  const known = inode.mapExtents === undefined ? FIEMAP_FLAG_SYNC : FIEMAP_FLAG_SYNC | FIEMAP_FLAG_XATTR;
  if (length === 0) return -EINVAL;
  if ((flags & ~known) !== 0) {
    memory.scratch.setUint32(0, flags & ~known, true);
    const error = memory.store(argument + FIEMAP_FLAGS, 4);
    return error !== 0 ? error : -EBADR;
  }
  if ((flags & FIEMAP_FLAG_SYNC) !== 0 || inode.mapExtents !== undefined) {
    const error = file.isDirectory ? 0 : file.file.sync(true);
    if (error < 0) return error;
  }
  if (inode.mapExtents !== undefined) return realExtents(file, task, argument, start, length, flags, room);
  const end = Math.min(start + length, inode.size);
  let count = 0;
  for (let at = start; at < end && (room === 0 || count < room); ) {
    const data = inode.seekData(at, true);
    if (data < 0 || data >= end) break;
    const hole = inode.seekData(data, false);
    const stop = hole < 0 ? inode.size : hole;
    if (room > 0) {
      memory.scratchBytes.fill(0, 0, FIEMAP_EXTENT_SIZE);
      writeU64(view, 0, data);
      writeU64(view, 16, stop - data);
      view.setUint32(40, FIEMAP_EXTENT_UNKNOWN | (stop >= inode.size ? FIEMAP_EXTENT_LAST : 0), true);
      const error = memory.store(argument + FIEMAP_HEADER_SIZE + count * FIEMAP_EXTENT_SIZE, FIEMAP_EXTENT_SIZE);
      if (error !== 0) return error;
    }
    count++;
    at = stop;
  }
  return memory.writeU32(argument + FIEMAP_MAPPED_EXTENTS, count);
}

function realExtents(
  file: VfsFile,
  task: Task,
  argument: number,
  start: number,
  length: number,
  flags: number,
  room: number,
): number {
  const { memory } = task;
  let count = 0;
  let failed = 0;
  const emit = (logical: number, physical: number, byteLength: number, extentFlags: number): boolean => {
    if (room > 0) {
      memory.scratchBytes.fill(0, 0, FIEMAP_EXTENT_SIZE);
      writeU64(memory.scratch, 0, logical);
      writeU64(memory.scratch, 8, physical);
      writeU64(memory.scratch, 16, byteLength);
      memory.scratch.setUint32(40, extentFlags, true);
      failed = memory.store(argument + FIEMAP_HEADER_SIZE + count * FIEMAP_EXTENT_SIZE, FIEMAP_EXTENT_SIZE);
      if (failed !== 0) return false;
    }
    count++;
    return room === 0 || count < room;
  };
  const error = file.file.inode.mapExtents?.(start, length, (flags & FIEMAP_FLAG_XATTR) !== 0, emit) ?? 0;
  if (failed !== 0 || error < 0) return failed !== 0 ? failed : error;
  return memory.writeU32(argument + FIEMAP_MAPPED_EXTENTS, count);
}

function readU64(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 4294967296 + view.getUint32(at, true);
}

function writeU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value, true);
  view.setUint32(at + 4, Math.floor(value / 4294967296), true);
}
