/**
 * ioctl(2) on regular files and directories (linux/fs.h).
 */
import {
  CAP_LINUX_IMMUTABLE,
  EFAULT,
  EINVAL,
  ENOTTY,
  EOPNOTSUPP,
  EPERM,
  EROFS,
  FIONREAD,
  FS_IOC_FIEMAP,
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
    case FS_IOC_FIEMAP:
      return file.isDirectory ? -EOPNOTSUPP : fiemap(file, task, argument);
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
  return inode.setInodeFlags(flags);
}

/**
 * FS_IOC_FIEMAP by way of SEEK_DATA and SEEK_HOLE: where there is data, without saying at which disk blocks it lies
 * (FIEMAP_EXTENT_UNKNOWN), which is what its users (cp, dpkg, apt) need to know.
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
  if ((flags & ~FIEMAP_FLAG_SYNC) !== 0 || length === 0) return -EINVAL;
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

function readU64(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 4294967296 + view.getUint32(at, true);
}

function writeU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value, true);
  view.setUint32(at + 4, Math.floor(value / 4294967296), true);
}
