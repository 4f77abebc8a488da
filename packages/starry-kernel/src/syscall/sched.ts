/**
 * Scheduling: policies, priorities, affinity. One CPU, so affinity is answered truthfully and cannot be changed to anything else.
 */
import {
  CAP_SYS_NICE,
  EACCES,
  E2BIG,
  EFAULT,
  EINVAL,
  EPERM,
  ESRCH,
  PRIO_PGRP,
  PRIO_PROCESS,
  PRIO_USER,
  RLIMIT_NICE,
  RLIMIT_RTPRIO,
  SCHED_BATCH,
  SCHED_FIFO,
  SCHED_IDLE,
  SCHED_NORMAL,
  SCHED_RESET_ON_FORK,
  SCHED_RR,
  SYS_getcpu,
  SYS_getpriority,
  SYS_ioprio_get,
  SYS_ioprio_set,
  SYS_sched_get_priority_max,
  SYS_sched_get_priority_min,
  SYS_sched_getaffinity,
  SYS_sched_getattr,
  SYS_sched_getparam,
  SYS_sched_getscheduler,
  SYS_sched_rr_get_interval,
  SYS_sched_setaffinity,
  SYS_sched_setattr,
  SYS_sched_setparam,
  SYS_sched_setscheduler,
  SYS_sched_yield,
  SYS_setpriority,
} from "linux-abi";
import type { Task } from "../task/task.ts";
import { full, partial, row, type SyscallRow } from "./row.ts";
import { storeTimespecNs } from "./timespec.ts";

/** Bytes of the kernel's CPU mask. */
const CPU_MASK_BYTES = 8;
/** SCHED_RR's slice as it is reported. */
const RR_INTERVAL_NS = 100_000_000;

// struct sched_attr
const ATTR_SIZE = 0;
const ATTR_POLICY = 4;
const ATTR_FLAGS = 8;
const ATTR_NICE = 16;
const ATTR_PRIORITY = 20;
const ATTR_BYTES = 48;
const ATTR_FLAG_RESET_ON_FORK = 1;

function find(task: Task, pid: number): Task | undefined {
  return pid === 0 ? task : task.kernel.tasks.task(pid);
}

function isRealtime(policy: number): boolean {
  return policy === SCHED_FIFO || policy === SCHED_RR;
}

function mayControl(task: Task, target: Task): boolean {
  const { euid } = task.cred;
  return euid === target.cred.uid || euid === target.cred.euid || task.cred.hasCapability(CAP_SYS_NICE);
}

/** Takes the task out of its class's queue and puts it into the new one's. */
function apply(target: Task, policy: number, priority: number, nice: number, resetOnFork: boolean): void {
  const { scheduler } = target.kernel;
  const { queued } = target;
  if (queued) scheduler.dequeue(target);
  target.policy = policy;
  target.realtimePriority = priority;
  target.nice = nice;
  target.resetPolicyOnFork = resetOnFork;
  if (queued) scheduler.enqueue(target);
}

function setPolicy(
  task: Task,
  pid: number,
  policy: number,
  priority: number,
  nice: number | null,
  resetOnFork: boolean,
): number {
  if (pid < 0) return -EINVAL;
  const target = find(task, pid);
  if (target === undefined) return -ESRCH;
  if (![SCHED_NORMAL, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE].includes(policy)) return -EINVAL;
  if (isRealtime(policy) ? priority < 1 || priority > 99 : priority !== 0) return -EINVAL;
  if (!mayControl(task, target)) return -EPERM;
  if (!task.cred.hasCapability(CAP_SYS_NICE)) {
    const limit = task.process.limits.soft[RLIMIT_RTPRIO] as number;
    if (isRealtime(policy) && priority > limit) return -EPERM;
    if (nice !== null && nice < target.nice) return -EPERM;
  }
  apply(target, policy, priority, nice ?? target.nice, resetOnFork);
  return 0;
}

/** sched_setscheduler(2) */
function sys_sched_setscheduler(task: Task, pid: number, policy: number, param: number): number {
  if (policy < 0) return -EINVAL;
  const priority = task.memory.readU32(param);
  if (priority < 0) return -EFAULT;
  return setPolicy(task, pid, policy & ~SCHED_RESET_ON_FORK, priority | 0, null, (policy & SCHED_RESET_ON_FORK) !== 0);
}

/** sched_setparam(2) */
function sys_sched_setparam(task: Task, pid: number, param: number): number {
  const target = find(task, pid);
  if (target === undefined) return -ESRCH;
  const priority = task.memory.readU32(param);
  if (priority < 0) return -EFAULT;
  return setPolicy(task, pid, target.policy, priority | 0, null, target.resetPolicyOnFork);
}

/** sched_getscheduler(2) */
function sys_sched_getscheduler(task: Task, pid: number): number {
  if (pid < 0) return -EINVAL;
  const target = find(task, pid);
  if (target === undefined) return -ESRCH;
  return target.policy | (target.resetPolicyOnFork ? SCHED_RESET_ON_FORK : 0);
}

/** sched_getparam(2) */
function sys_sched_getparam(task: Task, pid: number, param: number): number {
  if (pid < 0 || param === 0) return -EINVAL;
  const target = find(task, pid);
  return target === undefined ? -ESRCH : task.memory.writeU32(param, target.realtimePriority);
}

/** sched_setattr(2) */
function sys_sched_setattr(task: Task, pid: number, address: number, flags: number): number {
  if (flags !== 0 || address === 0) return -EINVAL;
  const size = task.memory.readU32(address);
  if (size < 0) return -EFAULT;
  if (size !== 0 && size < ATTR_BYTES) return -E2BIG;
  if (task.memory.load(address, ATTR_BYTES) !== 0) return -EFAULT;
  const { scratch } = task.memory;
  const attrFlags = scratch.getUint32(ATTR_FLAGS, true);
  if ((attrFlags & ~ATTR_FLAG_RESET_ON_FORK) !== 0) return -EINVAL;
  const policy = scratch.getInt32(ATTR_POLICY, true);
  const nice = Math.max(-20, Math.min(19, scratch.getInt32(ATTR_NICE, true)));
  return setPolicy(
    task,
    pid,
    policy,
    scratch.getInt32(ATTR_PRIORITY, true),
    isRealtime(policy) ? null : nice,
    attrFlags !== 0,
  );
}

/** sched_getattr(2) */
function sys_sched_getattr(task: Task, pid: number, address: number, size: number, flags: number): number {
  if (flags !== 0 || address === 0 || size < ATTR_BYTES || size > 4096) return -EINVAL;
  const target = find(task, pid);
  if (target === undefined) return -ESRCH;
  const { scratch, scratchBytes } = task.memory;
  scratchBytes.fill(0, 0, ATTR_BYTES);
  scratch.setUint32(ATTR_SIZE, ATTR_BYTES, true);
  scratch.setInt32(ATTR_POLICY, target.policy, true);
  scratch.setInt32(ATTR_FLAGS, target.resetPolicyOnFork ? ATTR_FLAG_RESET_ON_FORK : 0, true);
  scratch.setInt32(ATTR_NICE, isRealtime(target.policy) ? 0 : target.nice, true);
  scratch.setInt32(ATTR_PRIORITY, target.realtimePriority, true);
  return task.memory.store(address, ATTR_BYTES);
}

function priorityRange(policy: number, forRealtime: number): number {
  if (isRealtime(policy)) return forRealtime;
  return policy === SCHED_NORMAL || policy === SCHED_BATCH || policy === SCHED_IDLE ? 0 : -EINVAL;
}

/** sched_rr_get_interval(2) */
function sys_sched_rr_get_interval(task: Task, pid: number, address: number): number {
  if (pid < 0) return -EINVAL;
  const target = find(task, pid);
  if (target === undefined) return -ESRCH;
  return storeTimespecNs(task.memory, address, target.policy === SCHED_FIFO ? 0 : RR_INTERVAL_NS);
}

/** sched_yield(2) */
function sys_sched_yield(task: Task): number {
  task.slice = 0;
  return 0;
}

/** sched_setaffinity(2): the mask must contain the one CPU. */
function sys_sched_setaffinity(task: Task, pid: number, size: number, address: number): number {
  const target = find(task, pid);
  if (target === undefined) return -ESRCH;
  if (size === 0) return -EINVAL;
  const first = task.memory.readU8(address);
  if (first < 0) return -EFAULT;
  if (!mayControl(task, target)) return -EPERM;
  return (first & 1) === 0 ? -EINVAL : 0;
}

/** sched_getaffinity(2): returns the number of bytes written. */
function sys_sched_getaffinity(task: Task, pid: number, size: number, address: number): number {
  if (size < CPU_MASK_BYTES || size % 8 !== 0) return -EINVAL;
  const target = find(task, pid);
  if (target === undefined) return -ESRCH;
  return task.memory.writeI64(address, 1) !== 0 ? -EFAULT : CPU_MASK_BYTES;
}

/** getcpu(2) */
function sys_getcpu(task: Task, cpuAddress: number, nodeAddress: number): number {
  if (cpuAddress !== 0 && task.memory.writeU32(cpuAddress, 0) !== 0) return -EFAULT;
  return nodeAddress !== 0 && task.memory.writeU32(nodeAddress, 0) !== 0 ? -EFAULT : 0;
}

/** The tasks that (which, who) names. */
function selected(task: Task, which: number, who: number): Task[] | number {
  const { tasks } = task.kernel;
  if (which === PRIO_PROCESS) {
    const target = find(task, who);
    return target === undefined ? [] : [target];
  }
  if (which === PRIO_PGRP) {
    const group = who === 0 ? task.process.group : tasks.group(who);
    return group === undefined ? [] : [...group.members].flatMap((p) => p.threads);
  }
  if (which === PRIO_USER) {
    const uid = who === 0 ? task.cred.uid : who;
    return [...tasks.tasks()].filter((t) => t.cred.uid === uid);
  }
  return -EINVAL;
}

/** getpriority(2): 20 − nice, so that the result is never negative. */
function sys_getpriority(task: Task, which: number, who: number): number {
  const targets = selected(task, which, who);
  if (typeof targets === "number") return targets;
  if (targets.length === 0) return -ESRCH;
  return 20 - Math.min(...targets.map((t) => t.nice));
}

/** setpriority(2) */
function sys_setpriority(task: Task, which: number, who: number, priority: number): number {
  const targets = selected(task, which, who);
  if (typeof targets === "number") return targets;
  const nice = Math.max(-20, Math.min(19, priority));
  let result = -ESRCH;
  for (const target of targets) {
    const error = mayRenice(task, target, nice);
    if (error === 0) target.nice = nice;
    if (result !== 0 || error !== 0) result = error;
  }
  return result;
}

function mayRenice(task: Task, target: Task, nice: number): number {
  if (!mayControl(task, target)) return -EPERM;
  if (nice >= target.nice || task.cred.hasCapability(CAP_SYS_NICE)) return 0;
  return 20 - nice <= (target.process.limits.soft[RLIMIT_NICE] as number) ? 0 : -EACCES;
}

/** IOPRIO_CLASS_BE, level 4: the default that ioprio_get reports for nice 0. */
const IOPRIO_DEFAULT = (2 << 13) | 4;

export const SCHED_CALLS: readonly SyscallRow[] = [
  row(
    SYS_sched_setscheduler,
    "sched_setscheduler",
    "pid:pid policy:int param:ptr",
    partial("no SCHED_DEADLINE"),
    sys_sched_setscheduler,
  ),
  row(SYS_sched_getscheduler, "sched_getscheduler", "pid:pid", full, sys_sched_getscheduler),
  row(SYS_sched_setparam, "sched_setparam", "pid:pid param:ptr", full, sys_sched_setparam),
  row(SYS_sched_getparam, "sched_getparam", "pid:pid param:ptr", full, sys_sched_getparam),
  row(
    SYS_sched_setattr,
    "sched_setattr",
    "pid:pid attr:ptr flags:uint",
    partial("no SCHED_DEADLINE"),
    sys_sched_setattr,
  ),
  row(SYS_sched_getattr, "sched_getattr", "pid:pid attr:ptr size:uint flags:uint", full, sys_sched_getattr),
  row(SYS_sched_get_priority_max, "sched_get_priority_max", "policy:int", full, (_task, policy) =>
    priorityRange(policy, 99),
  ),
  row(SYS_sched_get_priority_min, "sched_get_priority_min", "policy:int", full, (_task, policy) =>
    priorityRange(policy, 1),
  ),
  row(SYS_sched_rr_get_interval, "sched_rr_get_interval", "pid:pid interval:timespec", full, sys_sched_rr_get_interval),
  row(SYS_sched_yield, "sched_yield", "", full, sys_sched_yield),
  row(
    SYS_sched_setaffinity,
    "sched_setaffinity",
    "pid:pid size:uint mask:ptr",
    partial("one CPU"),
    sys_sched_setaffinity,
  ),
  row(SYS_sched_getaffinity, "sched_getaffinity", "pid:pid size:uint mask:ptr", full, sys_sched_getaffinity),
  row(SYS_getcpu, "getcpu", "cpu:ptr node:ptr cache:ptr", full, sys_getcpu),
  row(SYS_getpriority, "getpriority", "which:int who:pid", full, sys_getpriority),
  row(SYS_setpriority, "setpriority", "which:int who:pid prio:int", full, sys_setpriority),
  row(SYS_ioprio_get, "ioprio_get", "which:int who:pid", partial("always the default"), () => IOPRIO_DEFAULT),
  row(SYS_ioprio_set, "ioprio_set", "which:int who:pid ioprio:int", partial("accepted, without effect"), () => 0),
];
