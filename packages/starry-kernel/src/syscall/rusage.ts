/**
 * Limits and accounts: getrlimit, prlimit64, getrusage, times.
 */
import {
  CAP_SYS_RESOURCE,
  EFAULT,
  EINVAL,
  EPERM,
  ESRCH,
  RLIM_NLIMITS,
  RLIMIT_CPU,
  RLIMIT_NOFILE,
  RUSAGE_CHILDREN,
  RUSAGE_RU_INBLOCK,
  RUSAGE_RU_MAJFLT,
  RUSAGE_RU_MAXRSS,
  RUSAGE_RU_MINFLT,
  RUSAGE_RU_NIVCSW,
  RUSAGE_RU_NVCSW,
  RUSAGE_RU_OUBLOCK,
  RUSAGE_RU_STIME,
  RUSAGE_RU_UTIME,
  RUSAGE_SELF,
  RUSAGE_SIZE,
  RUSAGE_THREAD,
  SYS_getrlimit,
  SYS_getrusage,
  SYS_prlimit64,
  SYS_setrlimit,
  SYS_times,
  TMS_SIZE,
  TMS_TMS_CSTIME,
  TMS_TMS_CUTIME,
  TMS_TMS_STIME,
  TMS_TMS_UTIME,
} from "linux-abi";
import { NR_OPEN } from "../fd-table.ts";
import { NS_PER_TICK } from "../task/exit.ts";
import { type ResourceLimits, UNLIMITED } from "../task/limits.ts";
import type { Process } from "../task/process.ts";
import type { Task } from "../task/task.ts";
import { Usage } from "../task/usage.ts";
import type { UserMemory } from "../user-memory.ts";
import { full, row, type SyscallRow } from "./row.ts";

/** What all threads of a process have used, dead ones included. */
export function processUsage(process: Process): Usage {
  process.kernel.account();
  const total = new Usage();
  total.add(process.usage);
  for (const thread of process.threads) if (!thread.accountsClosed) total.add(thread.usage);
  const leader = process.leader;
  if (!process.zombie) total.maxResidentPages = Math.max(total.maxResidentPages, leader.memory.peakPages);
  return total;
}

function putI64(view: DataView, at: number, value: number): void {
  view.setInt32(at, value, true);
  view.setInt32(at + 4, Math.floor(value / 4294967296), true);
}

function putTimeval(view: DataView, at: number, ns: number): void {
  putI64(view, at, Math.floor(ns / 1e9));
  putI64(view, at + 8, Math.floor((ns % 1e9) / 1000));
}

/** struct rusage. 0 or -EFAULT. */
export function writeRusage(memory: UserMemory, address: number, usage: Usage): number {
  const { scratch: view, scratchBytes } = memory;
  scratchBytes.fill(0, 0, RUSAGE_SIZE);
  putTimeval(view, RUSAGE_RU_UTIME, usage.userNs);
  putTimeval(view, RUSAGE_RU_STIME, usage.systemNs);
  putI64(view, RUSAGE_RU_MAXRSS, usage.maxResidentPages * 4); // KiB
  putI64(view, RUSAGE_RU_MINFLT, usage.minorFaults);
  putI64(view, RUSAGE_RU_MAJFLT, usage.majorFaults);
  putI64(view, RUSAGE_RU_INBLOCK, usage.blocksIn);
  putI64(view, RUSAGE_RU_OUBLOCK, usage.blocksOut);
  putI64(view, RUSAGE_RU_NVCSW, usage.voluntarySwitches);
  putI64(view, RUSAGE_RU_NIVCSW, usage.involuntarySwitches);
  return memory.store(address, RUSAGE_SIZE);
}

/** getrusage(2) */
function sys_getrusage(task: Task, who: number, address: number): number {
  let usage: Usage;
  if (who === RUSAGE_SELF) usage = processUsage(task.process);
  else if (who === RUSAGE_CHILDREN) usage = task.process.childUsage;
  else if (who === RUSAGE_THREAD) {
    task.kernel.account();
    usage = task.usage;
  } else return -EINVAL;
  return writeRusage(task.memory, address, usage);
}

/** times(2): returns clock ticks since boot. */
function sys_times(task: Task, address: number): number {
  const ticks = (ns: number): number => Math.floor(ns / NS_PER_TICK);
  if (address !== 0) {
    const own = processUsage(task.process);
    const children = task.process.childUsage;
    const view = task.memory.scratch;
    putI64(view, TMS_TMS_UTIME, ticks(own.userNs));
    putI64(view, TMS_TMS_STIME, ticks(own.systemNs));
    putI64(view, TMS_TMS_CUTIME, ticks(children.userNs));
    putI64(view, TMS_TMS_CSTIME, ticks(children.systemNs));
    if (task.memory.store(address, TMS_SIZE) !== 0) return -EFAULT;
  }
  return ticks(task.kernel.clock.monotonicNs());
}

/** RLIM_INFINITY is all ones. */
function putLimit(view: DataView, at: number, value: number): void {
  if (value === UNLIMITED) {
    view.setInt32(at, -1, true);
    view.setInt32(at + 4, -1, true);
  } else putI64(view, at, value);
}

function getLimit(view: DataView, at: number): number {
  const hi = view.getUint32(at + 4, true);
  // Beyond 2^53 nothing here can be that large: treated as unlimited.
  return hi >= 0x200000 ? UNLIMITED : hi * 4294967296 + view.getUint32(at, true);
}

function writeLimit(task: Task, limits: ResourceLimits, resource: number, address: number): number {
  putLimit(task.memory.scratch, 0, limits.soft[resource] as number);
  putLimit(task.memory.scratch, 8, limits.hard[resource] as number);
  return task.memory.store(address, 16);
}

function changeLimit(task: Task, limits: ResourceLimits, resource: number, soft: number, hard: number): number {
  if (soft > hard) return -EINVAL;
  if (resource === RLIMIT_NOFILE && hard > NR_OPEN) return -EPERM;
  if (hard > (limits.hard[resource] as number) && !task.cred.hasCapability(CAP_SYS_RESOURCE)) return -EPERM;
  limits.soft[resource] = soft;
  limits.hard[resource] = hard;
  return 0;
}

/** prlimit64(2) */
function sys_prlimit64(task: Task, pid: number, resource: number, newAddress: number, oldAddress: number): number {
  if (resource < 0 || resource >= RLIM_NLIMITS) return -EINVAL;
  const target = pid === 0 ? task : task.kernel.tasks.task(pid);
  if (target === undefined) return -ESRCH;
  if (target.process !== task.process && !mayChangeLimits(task, target)) return -EPERM;
  const { limits } = target.process;
  let soft = 0;
  let hard = 0;
  if (newAddress !== 0) {
    if (task.memory.load(newAddress, 16) !== 0) return -EFAULT;
    soft = getLimit(task.memory.scratch, 0);
    hard = getLimit(task.memory.scratch, 8);
  }
  const oldSoft = limits.soft[resource] as number;
  const oldHard = limits.hard[resource] as number;
  if (newAddress !== 0) {
    const error = changeLimit(task, limits, resource, soft, hard);
    if (error !== 0) return error;
    if (resource === RLIMIT_CPU) target.process.timers.cpu.update();
  }
  if (oldAddress === 0) return 0;
  putLimit(task.memory.scratch, 0, oldSoft);
  putLimit(task.memory.scratch, 8, oldHard);
  return task.memory.store(oldAddress, 16);
}

function mayChangeLimits(task: Task, target: Task): boolean {
  if (task.cred.hasCapability(CAP_SYS_RESOURCE)) return true;
  const a = task.cred;
  const b = target.cred;
  return (
    a.uid === b.euid && a.uid === b.suid && a.uid === b.uid && a.gid === b.egid && a.gid === b.sgid && a.gid === b.gid
  );
}

/** getrlimit(2) */
function sys_getrlimit(task: Task, resource: number, address: number): number {
  if (resource < 0 || resource >= RLIM_NLIMITS) return -EINVAL;
  return writeLimit(task, task.process.limits, resource, address);
}

/** setrlimit(2) */
function sys_setrlimit(task: Task, resource: number, address: number): number {
  return sys_prlimit64(task, 0, resource, address, 0);
}

export const RUSAGE_CALLS: readonly SyscallRow[] = [
  row(SYS_getrusage, "getrusage", "who:int usage:ptr", full, sys_getrusage),
  row(SYS_times, "times", "buf:ptr", full, sys_times),
  row(SYS_prlimit64, "prlimit64", "pid:pid resource:resource new:rlimit old:out_rlimit", full, sys_prlimit64),
  row(SYS_getrlimit, "getrlimit", "resource:resource rlim:out_rlimit", full, sys_getrlimit),
  row(SYS_setrlimit, "setrlimit", "resource:resource rlim:rlimit", full, sys_setrlimit),
];
