/** fcntl(2), except for record locks (record-locks.ts). */
import {
  CAP_SYS_ADMIN,
  EBADF,
  EBUSY,
  EFAULT,
  EINVAL,
  EPERM,
  ESRCH,
  FD_CLOEXEC,
  F_ADD_SEALS,
  F_DUPFD,
  F_DUPFD_CLOEXEC,
  F_GETFD,
  F_GETFL,
  F_GETLEASE,
  F_GETLK,
  F_GETOWN,
  F_GETOWN_EX,
  F_GETPIPE_SZ,
  F_GETSIG,
  F_GET_FILE_RW_HINT,
  F_GET_RW_HINT,
  F_GET_SEALS,
  F_NOTIFY,
  F_OFD_GETLK,
  F_OFD_SETLK,
  F_OFD_SETLKW,
  F_OWNER_PGRP,
  F_OWNER_PID,
  F_OWNER_TID,
  F_SEAL_SEAL,
  F_SEAL_WRITE,
  F_SETFD,
  F_SETFL,
  F_SETLEASE,
  F_SETLK,
  F_SETLKW,
  F_SETOWN,
  F_SETOWN_EX,
  F_SETPIPE_SZ,
  F_SETSIG,
  F_SET_FILE_RW_HINT,
  F_SET_RW_HINT,
  F_UNLCK,
  O_APPEND,
  O_DIRECT,
  O_NOATIME,
  O_NONBLOCK,
  O_PATH,
  RLIMIT_NOFILE,
  SYS_fcntl,
} from "linux-abi";
import { isOwnerOrCapable } from "vfs-inode";
import { TmpfsInode } from "vfs-inode/tmpfs";
import type { OpenFile } from "../../file.ts";
import { VfsFile } from "../../fs/vfs-file.ts";
import { PipeFile } from "../../io/pipe.ts";
import type { Task } from "../../task/task.ts";
import type { Wait } from "../../wait.ts";
import { type SyscallRow, partial, row } from "../row.ts";
import { recordLock } from "./record-locks.ts";

/** FASYNC, the flag F_SETFL accepts for signal-driven input (O_ASYNC). */
const O_ASYNC = 0x2000;
/** Flags F_SETFL changes; others are ignored (fcntl(2)). */
const SETTABLE = O_APPEND | O_ASYNC | O_DIRECT | O_NOATIME | O_NONBLOCK;
const KNOWN_SEALS = 0x3f;

type Command = (task: Task, file: OpenFile, argument: number, fd: number, command: number) => number | Wait;

function duplicate(task: Task, file: OpenFile, from: number, closeOnExec: boolean): number {
  const limit = task.process.limits.soft[RLIMIT_NOFILE] as number;
  if (from < 0 || from >= limit) return -EINVAL;
  const copy = file.get();
  const fd = task.files.install(copy, closeOnExec, limit, from);
  if (fd < 0) copy.put();
  return fd;
}

function setStatusFlags(task: Task, file: OpenFile, argument: number): number {
  if ((argument & O_NOATIME) !== 0 && (file.flags & O_NOATIME) === 0) {
    if (file.inode !== null && !isOwnerOrCapable(file.inode, task.cred)) return -EPERM;
  }
  file.flags = (file.flags & ~SETTABLE) | (argument & SETTABLE);
  if (file instanceof VfsFile) file.file.flags = file.flags;
  return 0;
}

function setOwner(task: Task, file: OpenFile, argument: number): number {
  if (argument > 0 && task.kernel.tasks.process(argument) === undefined) return -ESRCH;
  if (argument < 0 && task.kernel.tasks.group(-argument) === undefined) return -ESRCH;
  file.owner = argument;
  return 0;
}

/** struct f_owner_ex: type, pid. */
function setOwnerEx(task: Task, file: OpenFile, address: number): number {
  if (task.memory.load(address, 8) !== 0) return -EFAULT;
  const type = task.memory.scratch.getInt32(0, true);
  const id = task.memory.scratch.getInt32(4, true);
  if (type !== F_OWNER_TID && type !== F_OWNER_PID && type !== F_OWNER_PGRP) return -EINVAL;
  return setOwner(task, file, type === F_OWNER_PGRP ? -id : id);
}

function getOwnerEx(task: Task, file: OpenFile, address: number): number {
  task.memory.scratch.setInt32(0, file.owner < 0 ? F_OWNER_PGRP : F_OWNER_PID, true);
  task.memory.scratch.setInt32(4, Math.abs(file.owner), true);
  return task.memory.store(address, 8);
}

/** The inode whose seals F_GET_SEALS and F_ADD_SEALS mean: tmpfs files (memfd). */
function sealable(file: OpenFile): TmpfsInode | undefined {
  return file.inode instanceof TmpfsInode ? file.inode : undefined;
}

function addSeals(task: Task, file: OpenFile, seals: number): number {
  const inode = sealable(file);
  if (inode === undefined || (seals & ~KNOWN_SEALS) !== 0) return -EINVAL;
  if (!file.writable || (inode.seals & F_SEAL_SEAL) !== 0) return -EPERM;
  if ((seals & F_SEAL_WRITE) !== 0 && file instanceof VfsFile && file.node.mapping !== null) {
    if (task.kernel.memory.reverseMap.isMappedShared(file.node.mapping as never)) return -EBUSY;
  }
  inode.seals |= seals;
  return 0;
}

const COMMANDS: ReadonlyMap<number, Command> = new Map<number, Command>([
  [F_DUPFD, (task, file, argument) => duplicate(task, file, argument, false)],
  [F_DUPFD_CLOEXEC, (task, file, argument) => duplicate(task, file, argument, true)],
  [F_GETFD, (task, _file, _argument, fd) => (task.files.closeOnExec(fd) ? FD_CLOEXEC : 0)],
  [
    F_SETFD,
    (task, _file, argument, fd) => {
      task.files.setCloseOnExec(fd, (argument & FD_CLOEXEC) !== 0);
      return 0;
    },
  ],
  [F_GETFL, (_task, file) => file.flags],
  [F_SETFL, setStatusFlags],
  [F_GETLK, (task, file, argument, _fd, command) => recordLock(task, file, command, argument)],
  [F_SETLK, (task, file, argument, _fd, command) => recordLock(task, file, command, argument)],
  [F_SETLKW, (task, file, argument, _fd, command) => recordLock(task, file, command, argument)],
  [F_OFD_GETLK, (task, file, argument, _fd, command) => recordLock(task, file, command, argument)],
  [F_OFD_SETLK, (task, file, argument, _fd, command) => recordLock(task, file, command, argument)],
  [F_OFD_SETLKW, (task, file, argument, _fd, command) => recordLock(task, file, command, argument)],
  [F_SETOWN, (task, file, argument) => setOwner(task, file, argument | 0)],
  [F_GETOWN, (_task, file) => file.owner],
  [F_SETOWN_EX, setOwnerEx],
  [F_GETOWN_EX, getOwnerEx],
  [F_SETSIG, (_task, _file, argument) => (argument < 0 || argument > 64 ? -EINVAL : 0)],
  [F_GETSIG, () => 0],
  [F_GETLEASE, () => F_UNLCK],
  [F_SETLEASE, (task, _file, argument) => leaseAnswer(task, argument)],
  [F_NOTIFY, () => -EINVAL],
  [F_ADD_SEALS, addSeals],
  [F_GET_SEALS, (_task, file) => sealable(file)?.seals ?? -EINVAL],
  [F_GETPIPE_SZ, (_task, file) => (file instanceof PipeFile ? file.pipe.ring.limit : -EBADF)],
  [F_SETPIPE_SZ, (task, file, argument) => (file instanceof PipeFile ? file.pipe.resize(task, argument) : -EBADF)],
  [F_GET_RW_HINT, (task, _file, argument) => task.memory.writeI64(argument, 0)],
  [F_GET_FILE_RW_HINT, (task, _file, argument) => task.memory.writeI64(argument, 0)],
  [F_SET_RW_HINT, () => 0],
  [F_SET_FILE_RW_HINT, () => 0],
]);

/** Nobody holds a lease here; taking one is refused as for a file that others have open. */
function leaseAnswer(task: Task, argument: number): number {
  if (argument === F_UNLCK) return 0;
  return task.cred.hasCapability(CAP_SYS_ADMIN) ? -EBUSY : -EPERM;
}

/** What an O_PATH descriptor may be asked. */
const PATH_COMMANDS = [F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL];

function sys_fcntl(task: Task, fd: number, command: number, argument: number): number | Wait {
  const file = task.files.peek(fd);
  if (file === undefined) return -EBADF;
  if ((file.flags & O_PATH) !== 0 && !PATH_COMMANDS.includes(command)) return -EBADF;
  return COMMANDS.get(command)?.(task, file, argument, fd, command) ?? -EINVAL;
}

export const FCNTL_CALLS: readonly SyscallRow[] = [
  row(SYS_fcntl, "fcntl", "fd:fd cmd:fcntl_cmd arg:long", partial("no leases, F_NOTIFY or F_SETSIG"), sys_fcntl),
];
