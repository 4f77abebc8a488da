/**
 * setitimer(2) and timer_create(2).
 */
import {
  EAGAIN,
  EFAULT,
  EINVAL,
  ITIMER_PROF,
  ITIMER_REAL,
  ITIMER_VIRTUAL,
  NSIG,
  SIGALRM,
  SIGEV_NONE,
  SIGEV_SIGNAL,
  SIGEV_THREAD_ID,
  SYS_getitimer,
  SYS_setitimer,
  SYS_timer_create,
  SYS_timer_delete,
  SYS_timer_getoverrun,
  SYS_timer_gettime,
  SYS_timer_settime,
  TIMER_ABSTIME,
} from "linux-abi";
import type { CpuTimer } from "../task/cpu-timers.ts";
import { Task } from "../task/task.ts";
import type { Timer } from "../timer-queue.ts";
import { PosixTimer } from "../time/posix-timer.ts";
import { full, partial, row, type SyscallRow } from "./row.ts";
import { cpuClockOwner, isMonotonicClock, isRealtimeClock } from "./time.ts";
import { $timespec, loadTimespec, readTimespecNs, storeTimespecNs } from "./timespec.ts";

const NS_PER_SEC = 1_000_000_000;
/** Timers a process may have. */
const MAX_TIMERS = 1024;

function remaining(task: Task, timer: Timer): number {
  return timer.armed ? Math.max(1, timer.deadlineNs - task.kernel.clock.monotonicNs()) : 0;
}

/** struct timeval as nanoseconds, -EFAULT, -EINVAL. */
function readTimeval(task: Task, va: number): number {
  const error = loadTimespec(task.memory, va);
  if (error === -EFAULT) return error;
  if ($timespec.sec < 0 || $timespec.nsec < 0 || $timespec.nsec >= 1_000_000) return -EINVAL;
  return $timespec.sec * NS_PER_SEC + $timespec.nsec * 1000;
}

function storeTimeval(task: Task, va: number, ns: number): number {
  const sec = Math.floor(ns / NS_PER_SEC);
  // A timer that is about to expire must not look disarmed.
  const usec = Math.ceil((ns - sec * NS_PER_SEC) / 1000);
  const { scratch } = task.memory;
  scratch.setInt32(0, usec === 1_000_000 ? sec + 1 : sec, true);
  scratch.setInt32(4, 0, true);
  scratch.setInt32(8, usec === 1_000_000 ? 0 : usec, true);
  scratch.setInt32(12, 0, true);
  return task.memory.store(va, 16);
}

function storeItimer(task: Task, va: number): number {
  const { timers } = task.process;
  const left = remaining(task, timers.real);
  return storeTimeval(task, va, timers.realIntervalNs) || storeTimeval(task, va + 16, left);
}

/** ITIMER_VIRTUAL or ITIMER_PROF; undefined for anything else. */
function cpuTimer(task: Task, which: number): CpuTimer | undefined {
  const { cpu } = task.process.timers;
  return which === ITIMER_VIRTUAL ? cpu.virtual : which === ITIMER_PROF ? cpu.profiling : undefined;
}

function storeCpuTimer(task: Task, timer: CpuTimer, va: number): number {
  task.kernel.account();
  return storeTimeval(task, va, timer.intervalNs) || storeTimeval(task, va + 16, timer.remainingNs(task.process));
}

/** getitimer(2) */
function sys_getitimer(task: Task, which: number, address: number): number {
  const timer = cpuTimer(task, which);
  if (timer !== undefined) return storeCpuTimer(task, timer, address);
  return which === ITIMER_REAL ? storeItimer(task, address) : -EINVAL;
}

/** setitimer(2) */
function sys_setitimer(task: Task, which: number, newAddress: number, oldAddress: number): number {
  const counting = cpuTimer(task, which);
  if (which !== ITIMER_REAL && counting === undefined) return -EINVAL;
  const { timers } = task.process;
  let interval = 0;
  let value = 0;
  if (newAddress !== 0) {
    interval = readTimeval(task, newAddress);
    if (interval < 0) return interval;
    value = readTimeval(task, newAddress + 16);
    if (value < 0) return value;
  }
  if (oldAddress !== 0) {
    const error = counting === undefined ? storeItimer(task, oldAddress) : storeCpuTimer(task, counting, oldAddress);
    if (error !== 0) return error;
  }
  if (counting !== undefined) {
    task.kernel.account();
    counting.intervalNs = interval;
    counting.deadlineNs = value === 0 ? Number.POSITIVE_INFINITY : counting.nowNs(task.process) + value;
    timers.cpu.update();
    return 0;
  }
  timers.realIntervalNs = interval;
  const now = task.kernel.clock.monotonicNs();
  task.kernel.timers.arm(timers.real, value === 0 ? Number.POSITIVE_INFINITY : now + value);
  return 0;
}

// struct sigevent: sigev_value, sigev_signo, sigev_notify, sigev_notify_thread_id
const SIGEV_SIGNO = 8;
const SIGEV_NOTIFY = 12;
const SIGEV_TID = 16;

/** timer_create(2) */
function sys_timer_create(task: Task, clock: number, eventAddress: number, idAddress: number): number {
  const { process, memory } = task;
  const owner = cpuClockOwner(task, clock);
  const onCpu = owner === process || (owner instanceof Task && owner.process === process);
  if (!onCpu && !isMonotonicClock(clock) && !isRealtimeClock(clock)) return -EINVAL;
  if (process.timers.posix.size >= MAX_TIMERS) return -EAGAIN;
  const id = process.timers.nextId;
  let notify = SIGEV_SIGNAL;
  let signal = SIGALRM;
  let tid = 0;
  let valueLo = id;
  let valueHi = 0;
  if (eventAddress !== 0) {
    if (memory.load(eventAddress, 64) !== 0) return -EFAULT;
    const { scratch } = memory;
    valueLo = scratch.getInt32(0, true);
    valueHi = scratch.getInt32(4, true);
    signal = scratch.getInt32(SIGEV_SIGNO, true);
    notify = scratch.getInt32(SIGEV_NOTIFY, true);
    tid = scratch.getInt32(SIGEV_TID, true);
    const toThread = (notify & SIGEV_THREAD_ID) !== 0;
    if (toThread && !process.threads.some((t) => t.tid === tid)) return -EINVAL;
    const kind = notify & ~SIGEV_THREAD_ID;
    if (kind !== SIGEV_SIGNAL && kind !== SIGEV_NONE && kind !== 2) return -EINVAL;
    if (kind !== SIGEV_NONE && (signal < 1 || signal > NSIG)) return -EINVAL;
    notify = toThread ? SIGEV_THREAD_ID : kind === SIGEV_NONE ? SIGEV_NONE : SIGEV_SIGNAL;
  }
  if (memory.writeU32(idAddress, id) !== 0) return -EFAULT;
  process.timers.nextId++;
  process.timers.posix.set(
    id,
    new PosixTimer({
      process,
      id,
      clock,
      notify,
      signal,
      tid,
      valueLo,
      valueHi,
      ...(onCpu ? { cpuOf: owner instanceof Task ? owner : null } : {}),
    }),
  );
  return 0;
}

function storeSetting(task: Task, timer: PosixTimer, va: number): number {
  task.kernel.account();
  const left = timer.cpu === null ? remaining(task, timer.timer) : timer.cpu.remainingNs(task.process);
  return storeTimespecNs(task.memory, va, timer.intervalNs) || storeTimespecNs(task.memory, va + 16, left);
}

/** timer_settime(2) */
function sys_timer_settime(task: Task, id: number, flags: number, newAddress: number, oldAddress: number): number {
  const timer = task.process.timers.posix.get(id);
  if (timer === undefined) return -EINVAL;
  const interval = readTimespecNs(task.memory, newAddress);
  if (interval < 0) return interval;
  const value = readTimespecNs(task.memory, newAddress + 16);
  if (value < 0) return value;
  const { sec, nsec } = $timespec;
  if (oldAddress !== 0) {
    const error = storeSetting(task, timer, oldAddress);
    if (error !== 0) return error;
  }
  if (value === 0) {
    timer.disarm();
    return 0;
  }
  const absolute = (flags & TIMER_ABSTIME) !== 0;
  if (timer.cpu !== null) {
    task.kernel.account();
    timer.arm(absolute ? value : timer.cpu.nowNs(task.process) + value, interval);
    return 0;
  }
  const { clock } = task.kernel;
  let deadline = clock.monotonicNs() + value;
  if (absolute) deadline = isRealtimeClock(timer.options.clock) ? clock.monotonicAt(sec, nsec) : value;
  timer.arm(deadline, interval);
  return 0;
}

/** timer_gettime(2) */
function sys_timer_gettime(task: Task, id: number, address: number): number {
  const timer = task.process.timers.posix.get(id);
  return timer === undefined ? -EINVAL : storeSetting(task, timer, address);
}

/** timer_getoverrun(2) */
function sys_timer_getoverrun(task: Task, id: number): number {
  const timer = task.process.timers.posix.get(id);
  return timer === undefined ? -EINVAL : Math.min(timer.overrun, 0x7fffffff);
}

/** timer_delete(2) */
function sys_timer_delete(task: Task, id: number): number {
  const timer = task.process.timers.posix.get(id);
  if (timer === undefined) return -EINVAL;
  timer.disarm();
  task.process.timers.posix.delete(id);
  return 0;
}

export const TIMER_CALLS: readonly SyscallRow[] = [
  row(SYS_getitimer, "getitimer", "which:int value:ptr", full, sys_getitimer),
  row(SYS_setitimer, "setitimer", "which:int new:ptr old:ptr", full, sys_setitimer),
  row(
    SYS_timer_create,
    "timer_create",
    "clock:clockid event:ptr id:ptr",
    partial("no clocks of other processes"),
    sys_timer_create,
  ),
  row(SYS_timer_settime, "timer_settime", "id:int flags:flags new:ptr old:ptr", full, sys_timer_settime),
  row(SYS_timer_gettime, "timer_gettime", "id:int value:ptr", full, sys_timer_gettime),
  row(SYS_timer_getoverrun, "timer_getoverrun", "id:int", full, sys_timer_getoverrun),
  row(SYS_timer_delete, "timer_delete", "id:int", full, sys_timer_delete),
];
