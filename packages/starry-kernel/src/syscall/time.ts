/**
 * Clocks and sleeps.
 */
import {
  CAP_SYS_TIME,
  CLOCK_BOOTTIME,
  CLOCK_BOOTTIME_ALARM,
  CLOCK_MONOTONIC,
  CLOCK_MONOTONIC_COARSE,
  CLOCK_MONOTONIC_RAW,
  CLOCK_PROCESS_CPUTIME_ID,
  CLOCK_REALTIME,
  CLOCK_REALTIME_ALARM,
  CLOCK_REALTIME_COARSE,
  CLOCK_TAI,
  CLOCK_THREAD_CPUTIME_ID,
  EFAULT,
  EINVAL,
  EOPNOTSUPP,
  EPERM,
  SYS_adjtimex,
  SYS_clock_adjtime,
  SYS_clock_getres,
  SYS_clock_gettime,
  SYS_clock_nanosleep,
  SYS_clock_settime,
  SYS_gettimeofday,
  SYS_nanosleep,
  SYS_settimeofday,
  TIMER_ABSTIME,
  TIMEX_MODES,
  TIMEX_SIZE,
} from "linux-abi";
import { isDead } from "../task/exit.ts";
import { Process } from "../task/process.ts";
import type { Task } from "../task/task.ts";
import { CLOCK_RESOLUTION_NS, COARSE_NS } from "../time/clock.ts";
import { ERESTART_RESTARTBLOCK, ERESTARTNOHAND, Wait, WAKE_SIGNAL } from "../wait.ts";
import { full, partial, row, type SyscallRow } from "./row.ts";
import { processUsage } from "./rusage.ts";
import { $timespec, loadTimespec, readTimespecNs, storeTimespec, storeTimespecNs } from "./timespec.ts";

export function isRealtimeClock(clock: number): boolean {
  return (
    clock === CLOCK_REALTIME || clock === CLOCK_REALTIME_COARSE || clock === CLOCK_REALTIME_ALARM || clock === CLOCK_TAI
  );
}

export function isMonotonicClock(clock: number): boolean {
  return (
    clock === CLOCK_MONOTONIC ||
    clock === CLOCK_MONOTONIC_RAW ||
    clock === CLOCK_MONOTONIC_COARSE ||
    clock === CLOCK_BOOTTIME ||
    clock === CLOCK_BOOTTIME_ALARM
  );
}

/**
 * Whose CPU time a clock counts: one of the two fixed CPU clocks, or a dynamic id (clock_getcpuclockid(3): the complement of the
 * pid above three bits, of which 4 means a thread). undefined: no such clock.
 */
export function cpuClockOwner(task: Task, clock: number): Task | Process | undefined {
  if (clock === CLOCK_THREAD_CPUTIME_ID) return task;
  if (clock === CLOCK_PROCESS_CPUTIME_ID) return task.process;
  if (clock >= 0 || (clock & 3) === 3) return undefined;
  const pid = ~(clock >> 3);
  if ((clock & 4) === 0) return pid === 0 ? task.process : task.kernel.tasks.process(pid);
  const thread = pid === 0 ? task : task.kernel.tasks.task(pid);
  return thread === undefined || isDead(thread) ? undefined : thread;
}

function cpuTime(task: Task, clock: number): number | undefined {
  const owner = cpuClockOwner(task, clock);
  if (owner === undefined) return undefined;
  if (owner instanceof Process) return processTime(owner);
  task.kernel.account();
  return owner.usage.userNs + owner.usage.systemNs;
}

function processTime(process: Process): number {
  const usage = processUsage(process);
  return usage.userNs + usage.systemNs;
}

/** clock_gettime(2) */
function sys_clock_gettime(task: Task, clock: number, address: number): number {
  const { clock: clocks } = task.kernel;
  if (isMonotonicClock(clock)) return storeTimespecNs(task.memory, address, clocks.monotonicNs());
  if (isRealtimeClock(clock)) {
    const now = clocks.monotonicNs();
    return storeTimespec(task.memory, address, clocks.realtimeSec(now), clocks.realtimeNsec(now));
  }
  const ns = cpuTime(task, clock);
  return ns === undefined ? -EINVAL : storeTimespecNs(task.memory, address, ns);
}

/** clock_getres(2) */
function sys_clock_getres(task: Task, clock: number, address: number): number {
  const known = isMonotonicClock(clock) || isRealtimeClock(clock) || cpuTime(task, clock) !== undefined;
  if (!known) return -EINVAL;
  if (address === 0) return 0;
  const coarse = clock === CLOCK_REALTIME_COARSE || clock === CLOCK_MONOTONIC_COARSE;
  return storeTimespecNs(task.memory, address, coarse ? COARSE_NS : CLOCK_RESOLUTION_NS);
}

/** clock_settime(2) */
function sys_clock_settime(task: Task, clock: number, address: number): number {
  if (clock !== CLOCK_REALTIME) return -EINVAL;
  const error = loadTimespec(task.memory, address);
  if (error !== 0) return error;
  if (!task.cred.hasCapability(CAP_SYS_TIME)) return -EPERM;
  if ($timespec.sec < 0) return -EINVAL;
  task.kernel.clock.setRealtime($timespec.sec, $timespec.nsec);
  return 0;
}

/** gettimeofday(2) */
function sys_gettimeofday(task: Task, address: number, zoneAddress: number): number {
  const { clock } = task.kernel;
  if (address !== 0) {
    const now = clock.monotonicNs();
    const error = storeTimespec(
      task.memory,
      address,
      clock.realtimeSec(now),
      Math.floor(clock.realtimeNsec(now) / 1000),
    );
    if (error !== 0) return error;
  }
  return zoneAddress === 0 ? 0 : task.memory.clear(zoneAddress, 8);
}

/** settimeofday(2): the time zone of the kernel is always UTC. */
function sys_settimeofday(task: Task, address: number): number {
  if (address === 0) return 0;
  const error = loadTimespec(task.memory, address);
  if (error === -EFAULT) return error;
  if ($timespec.nsec < 0 || $timespec.nsec >= 1_000_000) return -EINVAL;
  if (!task.cred.hasCapability(CAP_SYS_TIME)) return -EPERM;
  task.kernel.clock.setRealtime($timespec.sec, $timespec.nsec * 1000);
  return 0;
}

/** Sleeps until a monotonic time; a signal writes the rest to `remainAddress` (0: nowhere). */
function sleepUntil(task: Task, deadlineNs: number, remainAddress: number, absolute: boolean): number | Wait {
  if (deadlineNs <= task.kernel.clock.monotonicNs()) return 0;
  return new Wait(
    "hrtimer_nanosleep",
    null,
    (self, reason) => {
      if (reason !== WAKE_SIGNAL) return 0;
      if (absolute) return -ERESTARTNOHAND;
      const left = Math.max(0, deadlineNs - self.kernel.clock.monotonicNs());
      if (left === 0) return 0;
      if (remainAddress !== 0 && storeTimespecNs(self.memory, remainAddress, left) !== 0) return -EFAULT;
      self.restart = (again) => sleepUntil(again, deadlineNs, remainAddress, false);
      return -ERESTART_RESTARTBLOCK;
    },
    deadlineNs,
  );
}

/** nanosleep(2) */
function sys_nanosleep(task: Task, address: number, remainAddress: number): number | Wait {
  const span = readTimespecNs(task.memory, address);
  if (span < 0) return span;
  return sleepUntil(task, task.kernel.clock.monotonicNs() + span, remainAddress, false);
}

/** clock_nanosleep(2) */
function sys_clock_nanosleep(
  task: Task,
  clock: number,
  flags: number,
  address: number,
  remainAddress: number,
): number | Wait {
  const realtime = isRealtimeClock(clock);
  if (!realtime && !isMonotonicClock(clock)) {
    return cpuClockOwner(task, clock) === task.process ? sleepOnCpuClock(task, flags, address) : -EINVAL;
  }
  if (clock === CLOCK_MONOTONIC_RAW || clock === CLOCK_REALTIME_COARSE || clock === CLOCK_MONOTONIC_COARSE)
    return -EOPNOTSUPP;
  const span = readTimespecNs(task.memory, address);
  if (span < 0) return span;
  const { clock: clocks } = task.kernel;
  if ((flags & TIMER_ABSTIME) === 0) return sleepUntil(task, clocks.monotonicNs() + span, remainAddress, false);
  const deadline = realtime ? clocks.monotonicAt($timespec.sec, $timespec.nsec) : span;
  return sleepUntil(task, deadline, 0, true);
}

/** Until the process has used so much CPU time: looked at as often as it would take if it ran alone. */
function sleepOnCpuClock(task: Task, flags: number, address: number): number | Wait {
  const span = readTimespecNs(task.memory, address);
  if (span < 0) return span;
  const goal = (flags & TIMER_ABSTIME) !== 0 ? span : processTime(task.process) + span;
  const wait = new Wait("cpu_nanosleep", null, (self, reason) => {
    if (reason === WAKE_SIGNAL) return -ERESTARTNOHAND;
    const left = goal - processTime(self.process);
    if (left <= 0) return 0;
    wait.deadlineNs = self.kernel.clock.monotonicNs() + Math.max(left, COARSE_NS);
    return wait;
  });
  wait.deadlineNs = task.kernel.clock.monotonicNs() + Math.max(goal - processTime(task.process), COARSE_NS);
  return wait;
}

/** TIME_ERROR: the clock is not kept by anybody. */
const TIME_ERROR = 5;
const TIMEX_STATUS = 40;
const STA_UNSYNC = 0x40;

/** adjtimex(2), reading only: nobody disciplines this clock. */
function adjust(task: Task, address: number): number {
  const { memory } = task;
  if (memory.load(address, TIMEX_SIZE) !== 0) return -EFAULT;
  if (memory.scratch.getUint32(TIMEX_MODES, true) !== 0) return -EPERM;
  memory.scratchBytes.fill(0, 0, TIMEX_SIZE);
  memory.scratch.setInt32(TIMEX_STATUS, STA_UNSYNC, true);
  return memory.store(address, TIMEX_SIZE) !== 0 ? -EFAULT : TIME_ERROR;
}

export const TIME_CALLS: readonly SyscallRow[] = [
  row(SYS_clock_gettime, "clock_gettime", "clock:clockid tp:out_timespec", full, sys_clock_gettime),
  row(SYS_clock_getres, "clock_getres", "clock:clockid res:out_timespec", full, sys_clock_getres),
  row(SYS_clock_settime, "clock_settime", "clock:clockid tp:timespec", full, sys_clock_settime),
  row(SYS_gettimeofday, "gettimeofday", "tv:out_timeval tz:ptr", full, sys_gettimeofday),
  row(SYS_settimeofday, "settimeofday", "tv:timeval tz:ptr", partial("the time zone is ignored"), sys_settimeofday),
  row(SYS_nanosleep, "nanosleep", "req:timespec rem:out_timespec", full, sys_nanosleep),
  row(
    SYS_clock_nanosleep,
    "clock_nanosleep",
    "clock:clockid flags:flags req:timespec rem:out_timespec",
    full,
    sys_clock_nanosleep,
  ),
  row(SYS_adjtimex, "adjtimex", "buf:ptr", partial("reads only"), adjust),
  row(SYS_clock_adjtime, "clock_adjtime", "clock:clockid buf:ptr", partial("reads only"), (task, _clock, address) =>
    adjust(task, address),
  ),
];
