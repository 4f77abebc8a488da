/**
 * quotactl(2) and quotactl_fd(2): what users, groups and projects may have on a file system that keeps quotas (include/uapi/linux/quota.h).
 *
 * The file system keeps the files and their limits (`FileSystem.quotas` of vfs-inode); here are permissions, commands and the layout of
 * struct if_dqblk, if_nextdqblk and if_dqinfo.
 */
import {
  CAP_SYS_ADMIN,
  EINVAL,
  ENODEV,
  ENOSYS,
  ENOTBLK,
  EPERM,
  EROFS,
  ESRCH,
  S_IFBLK,
  S_IFMT,
  SYS_quotactl,
  SYS_quotactl_fd,
  AT_FDCWD,
} from "linux-abi";
import { type FileSystem, isInGroup, type QuotaChanges, type QuotaEntry, type QuotaSource } from "vfs-inode";
import type { Task } from "../../task/task.ts";
import { partial, row, type SyscallRow } from "../row.ts";
import { placeAt, placeOfFd } from "./place.ts";

const Q_SYNC = 0x800001;
const Q_QUOTAON = 0x800002;
const Q_QUOTAOFF = 0x800003;
const Q_GETFMT = 0x800004;
const Q_GETINFO = 0x800005;
const Q_SETINFO = 0x800006;
const Q_GETQUOTA = 0x800007;
const Q_SETQUOTA = 0x800008;
const Q_GETNEXTQUOTA = 0x800009;
const QFMT_VFS_V1 = 4;
const KINDS = ["user", "group", "project"] as const;

// struct if_dqblk; if_nextdqblk has dqb_id behind dqb_valid
const DQB_BHARDLIMIT = 0;
const DQB_BSOFTLIMIT = 8;
const DQB_CURSPACE = 16;
const DQB_IHARDLIMIT = 24;
const DQB_ISOFTLIMIT = 32;
const DQB_CURINODES = 40;
const DQB_BTIME = 48;
const DQB_ITIME = 56;
const DQB_VALID = 64;
const DQB_ID = 68;
const DQBLK_SIZE = 72;
const QIF_BLIMITS = 1;
const QIF_SPACE = 2;
const QIF_ILIMITS = 4;
const QIF_INODES = 8;
const QIF_BTIME = 16;
const QIF_ITIME = 32;
const QIF_ALL = 63;
/** Limits of space are in KiB there. */
const QIF_DQBLKSIZE = 1024;

// struct if_dqinfo
const DQI_BGRACE = 0;
const DQI_IGRACE = 8;
const DQI_FLAGS = 16;
const DQI_VALID = 20;
const DQINFO_SIZE = 24;
const IIF_BGRACE = 1;
const IIF_IGRACE = 2;
const IIF_ALL = 7;
/** The quota files are the file system's own. */
const DQF_SYS_FILE = 0x10000;

function sys_quotactl(task: Task, command: number, special: number, id: number, address: number): number {
  if (special === 0) return command >>> 8 === Q_SYNC ? task.kernel.fs.vfs.sync() : -ENODEV;
  const path = placeAt(task, AT_FDCWD, special, 0);
  if (typeof path === "number") return path;
  if ((path.inode.mode & S_IFMT) !== S_IFBLK) return -ENOTBLK;
  for (const { fs } of task.kernel.fs.vfs.mountTable.superblocks)
    if (fs.deviceNumber === path.inode.rdev) return control(task, fs, command, id, address);
  return -ENODEV;
}

function sys_quotactl_fd(task: Task, fd: number, command: number, id: number, address: number): number {
  const path = placeOfFd(task, fd);
  return typeof path === "number" ? path : control(task, path.inode.fs, command, id, address);
}

/** One command on one file system. */
function control(task: Task, fs: FileSystem, command: number, id: number, address: number): number {
  const what = command >>> 8;
  const kind = command & 0xff;
  if (kind >= KINDS.length) return -EINVAL;
  if (!mayDo(task, what, kind, id)) return -EPERM;
  if (fs.quotas === undefined) return -ENOSYS;
  if (fs.readOnly && (what === Q_SETQUOTA || what === Q_SETINFO || what === Q_QUOTAON)) return -EROFS;
  if (what === Q_SYNC) return fs.sync();
  const quotas = fs.quotas(KINDS[kind]);
  if (quotas === undefined) return -ESRCH;
  switch (what) {
    case Q_QUOTAON:
    case Q_QUOTAOFF:
      return quotas.enforce(what === Q_QUOTAON);
    case Q_GETFMT:
      return task.memory.writeU32(address, QFMT_VFS_V1);
    case Q_GETINFO:
      return getInfo(task, quotas, address);
    case Q_SETINFO:
      return setInfo(task, quotas, address);
    case Q_GETQUOTA:
      return storeEntry(task, quotas.get(id >>> 0), false, address);
    case Q_GETNEXTQUOTA:
      return storeEntry(task, quotas.next(id >>> 0), true, address);
    case Q_SETQUOTA:
      return setQuota(task, quotas, id >>> 0, address);
    default:
      return -EINVAL;
  }
}

/** check_quotactl_permission: everybody may ask for himself and his groups. */
function mayDo(task: Task, what: number, kind: number, id: number): boolean {
  const { cred } = task;
  if (what === Q_GETFMT || what === Q_SYNC || what === Q_GETINFO) return true;
  if (what === Q_GETQUOTA && kind === 0 && cred.euid === id) return true;
  if (what === Q_GETQUOTA && kind === 1 && (cred.egid === id || isInGroup(cred, id))) return true;
  return cred.hasCapability(CAP_SYS_ADMIN);
}

function put64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
}

function get64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 0x1_0000_0000;
}

function storeEntry(task: Task, entry: QuotaEntry | number, withId: boolean, address: number): number {
  if (typeof entry === "number") return entry;
  const { memory } = task;
  const view = memory.scratch;
  memory.scratchBytes.fill(0, 0, DQBLK_SIZE);
  put64(view, DQB_BHARDLIMIT, entry.byteLimit.hard / QIF_DQBLKSIZE);
  put64(view, DQB_BSOFTLIMIT, entry.byteLimit.soft / QIF_DQBLKSIZE);
  put64(view, DQB_CURSPACE, entry.bytes);
  put64(view, DQB_IHARDLIMIT, entry.inodeLimit.hard);
  put64(view, DQB_ISOFTLIMIT, entry.inodeLimit.soft);
  put64(view, DQB_CURINODES, entry.inodes);
  put64(view, DQB_BTIME, entry.byteDeadline);
  put64(view, DQB_ITIME, entry.inodeDeadline);
  view.setUint32(DQB_VALID, QIF_ALL, true);
  if (withId) view.setUint32(DQB_ID, entry.id, true);
  return memory.store(address, DQBLK_SIZE);
}

function setQuota(task: Task, quotas: QuotaSource, id: number, address: number): number {
  const failed = task.memory.load(address, DQBLK_SIZE);
  if (failed !== 0) return failed;
  const view = task.memory.scratch;
  const valid = view.getUint32(DQB_VALID, true);
  if ((valid & ~QIF_ALL) !== 0) return -EINVAL;
  // What is in use is counted, not told.
  if ((valid & (QIF_SPACE | QIF_INODES)) !== 0) return -EINVAL;
  const changes: { -readonly [K in keyof QuotaChanges]: QuotaChanges[K] } = {};
  if ((valid & QIF_BLIMITS) !== 0)
    changes.byteLimit = {
      soft: get64(view, DQB_BSOFTLIMIT) * QIF_DQBLKSIZE,
      hard: get64(view, DQB_BHARDLIMIT) * QIF_DQBLKSIZE,
    };
  if ((valid & QIF_ILIMITS) !== 0)
    changes.inodeLimit = { soft: get64(view, DQB_ISOFTLIMIT), hard: get64(view, DQB_IHARDLIMIT) };
  if ((valid & QIF_BTIME) !== 0) changes.byteDeadline = get64(view, DQB_BTIME);
  if ((valid & QIF_ITIME) !== 0) changes.inodeDeadline = get64(view, DQB_ITIME);
  return quotas.set(id, changes);
}

function getInfo(task: Task, quotas: QuotaSource, address: number): number {
  const grace = quotas.grace();
  if (typeof grace === "number") return grace;
  const { memory } = task;
  put64(memory.scratch, DQI_BGRACE, grace.bytes);
  put64(memory.scratch, DQI_IGRACE, grace.inodes);
  memory.scratch.setUint32(DQI_FLAGS, DQF_SYS_FILE, true);
  memory.scratch.setUint32(DQI_VALID, IIF_ALL, true);
  return memory.store(address, DQINFO_SIZE);
}

function setInfo(task: Task, quotas: QuotaSource, address: number): number {
  const failed = task.memory.load(address, DQINFO_SIZE);
  if (failed !== 0) return failed;
  const view = task.memory.scratch;
  const valid = view.getUint32(DQI_VALID, true);
  if ((valid & ~IIF_ALL) !== 0) return -EINVAL;
  return quotas.setGrace({
    ...((valid & IIF_BGRACE) === 0 ? {} : { bytes: get64(view, DQI_BGRACE) }),
    ...((valid & IIF_IGRACE) === 0 ? {} : { inodes: get64(view, DQI_IGRACE) }),
  });
}

const SUPPORT = partial("no XFS commands (Q_X*); what is in use cannot be set");

export const QUOTA_CALLS: readonly SyscallRow[] = [
  row(SYS_quotactl, "quotactl", "cmd:uint special:path id:int addr:ptr", SUPPORT, sys_quotactl),
  row(SYS_quotactl_fd, "quotactl_fd", "fd:fd cmd:uint id:int addr:ptr", SUPPORT, sys_quotactl_fd),
];
