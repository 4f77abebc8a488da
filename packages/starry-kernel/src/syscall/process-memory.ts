/**
 * Calls by which one process looks at or works on another: process_vm_readv, process_madvise, pidfd_getfd, kcmp; and unshare.
 */
import {
  CAP_SYS_ADMIN,
  CAP_SYS_PTRACE,
  CLONE_FILES,
  CLONE_FS,
  CLONE_NEWNS,
  CLONE_SIGHAND,
  CLONE_SYSVSEM,
  CLONE_THREAD,
  CLONE_VM,
  EBADF,
  EFAULT,
  EINVAL,
  EPERM,
  ESRCH,
  RLIMIT_NOFILE,
  SYS_kcmp,
  SYS_pidfd_getfd,
  SYS_process_madvise,
  SYS_process_mrelease,
  SYS_process_vm_readv,
  SYS_process_vm_writev,
  SYS_setns,
  SYS_unshare,
  SYS_vhangup,
} from "linux-abi";
import { adviseRegion } from "../mm/advice.ts";
import { isDead } from "../task/exit.ts";
import { PidFile } from "../task/pidfd.ts";
import type { Task } from "../task/task.ts";
import { readVector } from "./read-write.ts";
import { full, partial, row, type SyscallRow, stub } from "./row.ts";

/** ptrace(2)'s access check: the same user in every respect and a dumpable process, or CAP_SYS_PTRACE. */
export function mayAccess(task: Task, target: Task): boolean {
  if (target.process === task.process || task.cred.hasCapability(CAP_SYS_PTRACE)) return true;
  const { fsuid, fsgid } = task.cred;
  const other = target.cred;
  const sameUser = [other.uid, other.euid, other.suid].every((id) => id === fsuid);
  const sameGroup = [other.gid, other.egid, other.sgid].every((id) => id === fsgid);
  return sameUser && sameGroup && target.process.dumpable === 1;
}

function copyVectors(
  task: Task,
  pid: number,
  local: number,
  localCount: number,
  remote: number,
  remoteCount: number,
  toLocal: boolean,
): number {
  const target = task.kernel.tasks.task(pid);
  if (target === undefined || isDead(target)) return -ESRCH;
  if (!mayAccess(task, target)) return -EPERM;
  const mine = readVector(task, local, localCount);
  if (typeof mine === "number") return mine;
  const theirs = readVector(task, remote, remoteCount);
  if (typeof theirs === "number") return theirs;
  const chunk = new Uint8Array(4096);
  let done = 0;
  let [i, j, iDone, jDone] = [0, 0, 0, 0];
  while (i < mine.length && j < theirs.length) {
    const left = Math.min((mine[i + 1] as number) - iDone, (theirs[j + 1] as number) - jDone, chunk.length);
    if (left > 0) {
      const here = (mine[i] as number) + iDone;
      const there = (theirs[j] as number) + jDone;
      const [from, fromAt, to, toAt] = toLocal
        ? [target.memory, there, task.memory, here]
        : [task.memory, here, target.memory, there];
      if (from.copyIn(fromAt, chunk, 0, left) !== 0 || to.copyOut(toAt, chunk, 0, left) !== 0) {
        return done > 0 ? done : -EFAULT;
      }
      done += left;
      iDone += left;
      jDone += left;
    }
    if (iDone === mine[i + 1]) {
      i += 2;
      iDone = 0;
    }
    if (jDone === theirs[j + 1]) {
      j += 2;
      jDone = 0;
    }
  }
  return done;
}

/** process_vm_readv(2) */
function sys_process_vm_readv(
  task: Task,
  pid: number,
  local: number,
  n: number,
  remote: number,
  m: number,
  flags: number,
): number {
  return flags !== 0 ? -EINVAL : copyVectors(task, pid, local, n, remote, m, true);
}

/** process_vm_writev(2) */
function sys_process_vm_writev(
  task: Task,
  pid: number,
  local: number,
  n: number,
  remote: number,
  m: number,
  flags: number,
): number {
  return flags !== 0 ? -EINVAL : copyVectors(task, pid, local, n, remote, m, false);
}

/** process_madvise(2) */
function sys_process_madvise(
  task: Task,
  fd: number,
  iov: number,
  count: number,
  advice: number,
  flags: number,
): number {
  if (flags !== 0) return -EINVAL;
  const file = task.files.get(fd);
  if (!(file instanceof PidFile)) return -EBADF;
  if (file.process.zombie) return -ESRCH;
  if (!mayAccess(task, file.process.leader)) return -EPERM;
  const ranges = readVector(task, iov, count);
  if (typeof ranges === "number") return ranges;
  let done = 0;
  for (let i = 0; i < ranges.length; i += 2) {
    const start = ranges[i] as number;
    const length = ranges[i + 1] as number;
    if (start % 4096 !== 0) return done > 0 ? done : -EINVAL;
    const error = adviseRegion(file.process.leader.memory, start, start + Math.ceil(length / 4096) * 4096, advice);
    if (error !== 0) return done > 0 ? done : error;
    done += length;
  }
  return done;
}

/** process_mrelease(2): a dying process gives up its memory at once anyway. */
function sys_process_mrelease(task: Task, fd: number, flags: number): number {
  if (flags !== 0) return -EINVAL;
  const file = task.files.get(fd);
  if (!(file instanceof PidFile)) return -EBADF;
  if (file.process.zombie) return -ESRCH;
  return file.process.exiting ? 0 : -EINVAL;
}

/** pidfd_getfd(2) */
function sys_pidfd_getfd(task: Task, pidfd: number, fd: number, flags: number): number {
  if (flags !== 0) return -EINVAL;
  const file = task.files.get(pidfd);
  if (!(file instanceof PidFile)) return -EBADF;
  const target = file.process.leader;
  if (file.process.zombie || isDead(target)) return -ESRCH;
  if (!mayAccess(task, target)) return -EPERM;
  const theirs = target.files.peek(fd);
  if (theirs === undefined) return -EBADF;
  const mine = task.files.install(theirs.get(), true, task.process.limits.soft[RLIMIT_NOFILE] as number);
  if (mine < 0) theirs.put();
  return mine;
}

// kcmp(2) types
const KCMP_FILE = 0;
const KCMP_VM = 1;
const KCMP_FILES = 2;
const KCMP_FS = 3;
const KCMP_SIGHAND = 4;

// kcmp orders objects; any order that stays the same will do, so objects are numbered as they are asked about.
const $numbers: WeakMap<object, number> = new WeakMap();
let $lastNumber = 0;

function numberOf(object: object): number {
  let number = $numbers.get(object);
  if (number === undefined) {
    number = ++$lastNumber;
    $numbers.set(object, number);
  }
  return number;
}

/** kcmp(2): 0 the same object, else an order. */
function sys_kcmp(task: Task, pid1: number, pid2: number, type: number, index1: number, index2: number): number {
  const one = task.kernel.tasks.task(pid1);
  const two = task.kernel.tasks.task(pid2);
  if (one === undefined || two === undefined) return -ESRCH;
  if (!mayAccess(task, one) || !mayAccess(task, two)) return -EPERM;
  const object = (of: Task, index: number): object | undefined => {
    switch (type) {
      case KCMP_FILE:
        return of.files.peek(index);
      case KCMP_VM:
        return of.memory;
      case KCMP_FILES:
        return of.files;
      case KCMP_FS:
        return of.fs;
      case KCMP_SIGHAND:
        return of.handlers;
      default:
        return undefined;
    }
  };
  const a = object(one, index1);
  const b = object(two, index2);
  if (a === undefined || b === undefined) return type === KCMP_FILE ? -EBADF : -EINVAL;
  if (a === b) return 0;
  return numberOf(a) < numberOf(b) ? 1 : 2;
}

const UNSHARE_KNOWN = CLONE_FS | CLONE_FILES | CLONE_NEWNS | CLONE_SYSVSEM | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM;

/** unshare(2): what threads share becomes the caller's own. */
function sys_unshare(task: Task, flags: number): number {
  if ((flags & ~UNSHARE_KNOWN) !== 0) return -EINVAL;
  if ((flags & CLONE_NEWNS) !== 0 && !task.cred.hasCapability(CAP_SYS_ADMIN)) return -EPERM;
  // Memory and signal handlers cannot be taken apart; asking for it is fine while nobody shares them.
  if ((flags & (CLONE_THREAD | CLONE_SIGHAND | CLONE_VM)) !== 0 && task.process.threads.length > 1) return -EINVAL;
  if ((flags & CLONE_FILES) !== 0 && task.files.count > 1) {
    const own = task.files.clone();
    task.files.put(task);
    task.files = own;
  }
  if ((flags & (CLONE_FS | CLONE_NEWNS)) !== 0 && task.fs.count > 1) {
    const own = task.fs.clone();
    task.fs.put();
    task.fs = own;
  }
  if ((flags & CLONE_NEWNS) !== 0) task.fs.unshareMounts();
  return 0;
}

export const OTHER_PROCESS_CALLS: readonly SyscallRow[] = [
  row(
    SYS_process_vm_readv,
    "process_vm_readv",
    "pid:pid local:iovec n:ulong remote:ptr m:ulong flags:ulong",
    full,
    sys_process_vm_readv,
  ),
  row(
    SYS_process_vm_writev,
    "process_vm_writev",
    "pid:pid local:iovec n:ulong remote:ptr m:ulong flags:ulong",
    full,
    sys_process_vm_writev,
  ),
  row(
    SYS_process_madvise,
    "process_madvise",
    "pidfd:fd iov:iovec count:ulong advice:madvice flags:uint",
    full,
    sys_process_madvise,
  ),
  row(SYS_process_mrelease, "process_mrelease", "pidfd:fd flags:uint", full, sys_process_mrelease),
  row(SYS_pidfd_getfd, "pidfd_getfd", "pidfd:fd fd:fd flags:uint", full, sys_pidfd_getfd),
  row(
    SYS_kcmp,
    "kcmp",
    "pid1:pid pid2:pid type:int idx1:ulong idx2:ulong",
    partial("no KCMP_EPOLL_TFD, KCMP_IO, KCMP_SYSVSEM"),
    sys_kcmp,
  ),
  row(SYS_unshare, "unshare", "flags:clone_flags", partial("no namespaces but CLONE_NEWNS"), sys_unshare),
  stub(SYS_setns, "setns", "fd:fd nstype:int", -EINVAL, "namespaces cannot be joined"),
  stub(SYS_vhangup, "vhangup", "", -EPERM, "no virtual hangup"),
];
