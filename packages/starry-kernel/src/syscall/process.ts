/**
 * Making, ending and waiting for processes; their ids, groups and sessions.
 */
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  CLONE_ARGS_CHILD_TID,
  CLONE_ARGS_EXIT_SIGNAL,
  CLONE_ARGS_FLAGS,
  CLONE_ARGS_PARENT_TID,
  CLONE_ARGS_PIDFD,
  CLONE_ARGS_SET_TID_SIZE,
  CLONE_ARGS_SIZE,
  CLONE_ARGS_SIZE_VER0,
  CLONE_ARGS_STACK,
  CLONE_ARGS_STACK_SIZE,
  CLONE_ARGS_TLS,
  CLONE_DETACHED,
  E2BIG,
  EACCES,
  EFAULT,
  EINVAL,
  EPERM,
  ESRCH,
  NSIG,
  SYS_clone,
  SYS_clone3,
  SYS_execve,
  SYS_execveat,
  SYS_exit,
  SYS_exit_group,
  SYS_getpgid,
  SYS_getpid,
  SYS_getppid,
  SYS_getsid,
  SYS_gettid,
  SYS_set_robust_list,
  SYS_get_robust_list,
  SYS_set_tid_address,
  SYS_setpgid,
  SYS_setsid,
} from "linux-abi";
import { execute } from "../exec/execve.ts";
import { announceExit } from "../ptrace/stops.ts";
import { cloneTask } from "../task/clone.ts";
import { exitGroup, exitThread } from "../task/exit.ts";
import type { Task } from "../task/task.ts";
import type { Wait } from "../wait.ts";
import { AGAIN, NO_RESULT } from "./result.ts";
import { full, partial, row, type SyscallRow } from "./row.ts";

/** Argument and environment strings together may not exceed this many. */
const MAX_ARG_STRINGS = 0x7fff;
/** MAX_ARG_STRLEN */
const MAX_STRING = 131072;
/** The low byte of clone(2)'s flags is the exit signal. */
const CSIGNAL = 0xff;

/** clone(2), with riscv's argument order (CLONE_BACKWARDS). */
function sys_clone(
  task: Task,
  flags: number,
  stack: number,
  parentTid: number,
  tls: number,
  childTid: number,
): number | Wait {
  const word = flags | 0;
  return cloneTask(task, {
    flags: word & ~CSIGNAL,
    clearHandlers: false,
    exitSignal: word & CSIGNAL,
    stack,
    tls,
    parentTid,
    childTid,
    pidfd: parentTid,
  });
}

/** clone3(2) */
function sys_clone3(task: Task, address: number, size: number): number | Wait {
  if (size < CLONE_ARGS_SIZE_VER0) return -EINVAL;
  if (size > 4096) return -E2BIG;
  if (task.memory.load(address, size) !== 0) return -EFAULT;
  const { scratch, scratchBytes } = task.memory;
  for (let i = CLONE_ARGS_SIZE; i < size; i++) if (scratchBytes[i] !== 0) return -E2BIG;
  const has = (offset: number): boolean => offset + 8 <= size;
  const u64 = (offset: number): number =>
    has(offset) ? scratch.getUint32(offset + 4, true) * 4294967296 + scratch.getUint32(offset, true) : 0;
  const flags = scratch.getInt32(CLONE_ARGS_FLAGS, true);
  const high = scratch.getInt32(CLONE_ARGS_FLAGS + 4, true);
  const exitSignal = u64(CLONE_ARGS_EXIT_SIGNAL);
  const stack = u64(CLONE_ARGS_STACK);
  const stackSize = u64(CLONE_ARGS_STACK_SIZE);
  // Bit 32 is CLONE_CLEAR_SIGHAND; CLONE_INTO_CGROUP and anything newer is unknown.
  if ((high & ~1) !== 0 || (flags & (CSIGNAL | CLONE_DETACHED)) !== 0) return -EINVAL;
  if (exitSignal > NSIG || (stack === 0) !== (stackSize === 0)) return -EINVAL;
  if (u64(CLONE_ARGS_SET_TID_SIZE) !== 0) return -EPERM; // choosing ids is for checkpoint and restore
  return cloneTask(task, {
    flags,
    clearHandlers: (high & 1) !== 0,
    exitSignal,
    stack: stack + stackSize,
    tls: u64(CLONE_ARGS_TLS),
    parentTid: u64(CLONE_ARGS_PARENT_TID),
    childTid: u64(CLONE_ARGS_CHILD_TID),
    pidfd: u64(CLONE_ARGS_PIDFD),
  });
}

/** A NULL-terminated array of strings. A NULL array is an empty one, as on Linux. */
function readStrings(task: Task, address: number): Uint8Array[] | number {
  const strings: Uint8Array[] = [];
  if (address === 0) return strings;
  for (let at = address; ; at += 8) {
    const pointer = task.memory.readU64(at);
    if (pointer < 0) return -EFAULT;
    if (pointer === 0) return strings;
    if (strings.length >= MAX_ARG_STRINGS) return -E2BIG;
    const bytes = task.memory.readCString(pointer, MAX_STRING);
    if (typeof bytes === "number") return bytes === -EFAULT ? -EFAULT : -E2BIG;
    strings.push(bytes);
  }
}

function exec(
  task: Task,
  dirfd: number,
  pathAddress: number,
  argvAddress: number,
  envpAddress: number,
  atFlags: number,
): number {
  const path = task.memory.readPath(pathAddress);
  if (typeof path === "number") return path;
  const argv = readStrings(task, argvAddress);
  if (typeof argv === "number") return argv;
  const envp = readStrings(task, envpAddress);
  if (typeof envp === "number") return envp;
  const error = execute(task, { dirfd, path, atFlags, argv, envp });
  return error === 0 ? NO_RESULT : error;
}

/** execve(2) */
function sys_execve(task: Task, path: number, argv: number, envp: number): number {
  return exec(task, AT_FDCWD, path, argv, envp, 0);
}

/** execveat(2) */
function sys_execveat(task: Task, dirfd: number, path: number, argv: number, envp: number, flags: number): number {
  if ((flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)) !== 0) return -EINVAL;
  return exec(task, dirfd, path, argv, envp, flags);
}

/** _exit(2) of one thread. */
function sys_exit(task: Task, status: number): number {
  if (announceExit(task, (status & 0xff) << 8)) return AGAIN;
  exitThread(task, (status & 0xff) << 8);
  return NO_RESULT;
}

/** exit_group(2) */
function sys_exit_group(task: Task, status: number): number {
  if (announceExit(task, (status & 0xff) << 8)) return AGAIN;
  exitGroup(task, (status & 0xff) << 8);
  return NO_RESULT;
}

/** set_tid_address(2) */
function sys_set_tid_address(task: Task, address: number): number {
  task.clearChildTid = address;
  return task.tid;
}

/** sizeof(struct robust_list_head) */
const ROBUST_HEAD_SIZE = 24;

/** set_robust_list(2) */
function sys_set_robust_list(task: Task, head: number, size: number): number {
  if (size !== ROBUST_HEAD_SIZE) return -EINVAL;
  task.robustList = head;
  return 0;
}

/** get_robust_list(2) */
function sys_get_robust_list(task: Task, pid: number, headAddress: number, sizeAddress: number): number {
  const target = pid === 0 ? task : task.kernel.tasks.task(pid);
  if (target === undefined) return -ESRCH;
  if (target.process !== task.process && task.cred.euid !== 0) return -EPERM;
  if (task.memory.writeI64(sizeAddress, ROBUST_HEAD_SIZE) !== 0) return -EFAULT;
  return task.memory.writeI64(headAddress, target.robustList) !== 0 ? -EFAULT : 0;
}

/** setpgid(2) */
function sys_setpgid(task: Task, pid: number, pgid: number): number {
  if (pgid < 0) return -EINVAL;
  const { tasks } = task.kernel;
  const process = pid === 0 ? task.process : tasks.process(pid);
  if (process === undefined) return -ESRCH;
  if (process !== task.process) {
    if (process.parent !== task.process) return -ESRCH;
    if (process.session !== task.process.session) return -EPERM;
    if (process.didExec) return -EACCES;
  }
  const { session } = process;
  if (session.sid === process.pid) return -EPERM;
  const wanted = pgid === 0 ? process.pid : pgid;
  if (wanted !== process.pid && tasks.group(wanted)?.session !== session) return -EPERM;
  if (process.group.pgid === wanted) return 0;
  tasks.leaveGroup(process);
  tasks.joinGroup(process, wanted, session);
  return 0;
}

/** getpgid(2) */
function sys_getpgid(task: Task, pid: number): number {
  const process = pid === 0 ? task.process : task.kernel.tasks.process(pid);
  return process === undefined ? -ESRCH : process.group.pgid;
}

/** getsid(2) */
function sys_getsid(task: Task, pid: number): number {
  const process = pid === 0 ? task.process : task.kernel.tasks.process(pid);
  return process === undefined ? -ESRCH : process.session.sid;
}

/** setsid(2) */
function sys_setsid(task: Task): number {
  const { process } = task;
  const { tasks } = task.kernel;
  if (process.group.pgid === process.pid || tasks.group(process.pid) !== undefined) return -EPERM;
  tasks.leaveGroup(process);
  tasks.startSession(process);
  return process.pid;
}

export const PROCESS_CALLS: readonly SyscallRow[] = [
  row(
    SYS_clone,
    "clone",
    "flags:clone_flags stack:ptr parent_tid:ptr tls:ptr child_tid:ptr",
    partial("no namespaces but CLONE_NEWNS"),
    sys_clone,
  ),
  row(
    SYS_clone3,
    "clone3",
    "args:ptr size:size",
    partial("no namespaces but CLONE_NEWNS; no set_tid, no cgroup"),
    sys_clone3,
  ),
  row(SYS_execve, "execve", "path:path argv:str_array envp:str_array", full, sys_execve),
  row(
    SYS_execveat,
    "execveat",
    "dirfd:dirfd path:path argv:str_array envp:str_array flags:at_flags",
    full,
    sys_execveat,
  ),
  row(SYS_exit, "exit", "status:int", full, sys_exit),
  row(SYS_exit_group, "exit_group", "status:int", full, sys_exit_group),
  row(SYS_set_tid_address, "set_tid_address", "addr:ptr", full, sys_set_tid_address),
  row(SYS_set_robust_list, "set_robust_list", "head:ptr size:size", full, sys_set_robust_list),
  row(SYS_get_robust_list, "get_robust_list", "pid:pid head:ptr size:ptr", full, sys_get_robust_list),
  row(SYS_getpid, "getpid", "", full, (task) => task.process.pid),
  row(SYS_gettid, "gettid", "", full, (task) => task.tid),
  row(SYS_getppid, "getppid", "", full, (task) => task.process.parent?.pid ?? 0),
  row(SYS_setpgid, "setpgid", "pid:pid pgid:pid", full, sys_setpgid),
  row(SYS_getpgid, "getpgid", "pid:pid", full, sys_getpgid),
  row(SYS_getsid, "getsid", "pid:pid", full, sys_getsid),
  row(SYS_setsid, "setsid", "", full, sys_setsid),
];
