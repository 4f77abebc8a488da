/** eventfd2(2), signalfd4(2), timerfd_create(2), timerfd_settime(2), timerfd_gettime(2). */
import {
  CLOCK_BOOTTIME,
  CLOCK_BOOTTIME_ALARM,
  CLOCK_MONOTONIC,
  CLOCK_REALTIME,
  CLOCK_REALTIME_ALARM,
  EBADF,
  EFD_CLOEXEC,
  EFD_NONBLOCK,
  EFD_SEMAPHORE,
  EINVAL,
  ITIMERSPEC_INTERVAL,
  ITIMERSPEC_SIZE,
  ITIMERSPEC_VALUE,
  SFD_CLOEXEC,
  SFD_NONBLOCK,
  SYS_eventfd2,
  SYS_signalfd4,
  SYS_timerfd_create,
  SYS_timerfd_gettime,
  SYS_timerfd_settime,
  TFD_CLOEXEC,
  TFD_NONBLOCK,
  TFD_TIMER_ABSTIME,
  TFD_TIMER_CANCEL_ON_SET,
} from "linux-abi";
import { sharedAnonymousInode } from "../../io/anonymous-inode.ts";
import { EventFile } from "../../io/eventfd.ts";
import { installFile } from "../../io/install-file.ts";
import { SignalFile } from "../../io/signalfd.ts";
import { type TimerHost, TimerFile } from "../../io/timerfd.ts";
import { putTimespecNs, scratchI64, scratchTimespecNs } from "../../io/timespec.ts";
import type { Kernel } from "../../kernel.ts";
import { $sigset, loadSigset, UNBLOCKABLE_LO } from "../../signal/sigset.ts";
import type { Task } from "../../task/task.ts";
import { NO_DEADLINE } from "../../wait.ts";
import { full, row, type SyscallRow } from "../row.ts";

function sys_eventfd2(task: Task, initial: number, flags: number): number {
  if ((flags & ~(EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE)) !== 0) return -EINVAL;
  const file = new EventFile(sharedAnonymousInode(task), initial, flags & ~EFD_CLOEXEC);
  return installFile(task, file, (flags & EFD_CLOEXEC) !== 0);
}

function sys_signalfd4(task: Task, fd: number, maskAddr: number, maskBytes: number, flags: number): number {
  if ((flags & ~(SFD_CLOEXEC | SFD_NONBLOCK)) !== 0 || maskBytes !== 8) return -EINVAL;
  const error = loadSigset(task.memory, maskAddr);
  if (error !== 0) return error;
  const lo = $sigset.lo & ~UNBLOCKABLE_LO;
  const hi = $sigset.hi;
  if (fd !== -1) {
    const file = task.files.get(fd);
    if (file === undefined) return -EBADF;
    if (!(file instanceof SignalFile)) return -EINVAL;
    file.setMask(lo, hi);
    return fd;
  }
  const events = task.kernel.signalEvents;
  const made = new SignalFile(sharedAnonymousInode(task), events, lo, hi, flags & SFD_NONBLOCK);
  return installFile(task, made, (flags & SFD_CLOEXEC) !== 0);
}

const TIMER_CLOCKS = [CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM];

function timerHost(kernel: Kernel): TimerHost {
  return {
    arm: (timer, deadlineNs) => kernel.timers.arm(timer, deadlineNs),
    disarm: (timer) => kernel.timers.disarm(timer),
    nowNs: () => kernel.clock.monotonicNs(),
    whenClockSet: kernel.clock.whenSet,
  };
}

function sys_timerfd_create(task: Task, clock: number, flags: number): number {
  if ((flags & ~(TFD_CLOEXEC | TFD_NONBLOCK)) !== 0 || !TIMER_CLOCKS.includes(clock)) return -EINVAL;
  const file = new TimerFile(sharedAnonymousInode(task), timerHost(task.kernel), clock, flags & TFD_NONBLOCK);
  return installFile(task, file, (flags & TFD_CLOEXEC) !== 0);
}

function timerFile(task: Task, fd: number): TimerFile | number {
  const file = task.files.get(fd);
  if (file === undefined) return -EBADF;
  return file instanceof TimerFile ? file : -EINVAL;
}

function isWallClock(clock: number): boolean {
  return clock === CLOCK_REALTIME || clock === CLOCK_REALTIME_ALARM;
}

/** Stores the timer's state. Returns 0 or -EFAULT. */
function reportTimer(task: Task, va: number, file: TimerFile): number {
  putTimespecNs(task.memory, ITIMERSPEC_INTERVAL, file.intervalNs);
  putTimespecNs(task.memory, ITIMERSPEC_VALUE, file.remainingNs());
  return task.memory.store(va, ITIMERSPEC_SIZE);
}

function sys_timerfd_settime(task: Task, fd: number, flags: number, newAddr: number, oldAddr: number): number {
  const memory = task.memory;
  const error = memory.load(newAddr, ITIMERSPEC_SIZE);
  if (error !== 0) return error;
  const intervalNs = scratchTimespecNs(memory, ITIMERSPEC_INTERVAL);
  const valueNs = scratchTimespecNs(memory, ITIMERSPEC_VALUE);
  const valueSec = scratchI64(memory, ITIMERSPEC_VALUE);
  const valueNsec = scratchI64(memory, ITIMERSPEC_VALUE + 8);
  if (intervalNs < 0 || valueNs < 0 || (flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)) !== 0) return -EINVAL;
  const file = timerFile(task, fd);
  if (typeof file === "number") return file;
  if (oldAddr !== 0 && reportTimer(task, oldAddr, file) !== 0) return reportTimer(task, oldAddr, file);
  const clock = task.kernel.clock;
  const now = clock.monotonicNs();
  const followsWallClock = isWallClock(file.clock) && (flags & TFD_TIMER_ABSTIME) !== 0;
  let nextNs = NO_DEADLINE;
  if (valueNs > 0) {
    if (followsWallClock) nextNs = clock.monotonicAt(valueSec, valueNsec);
    else nextNs = (flags & TFD_TIMER_ABSTIME) === 0 ? now + valueNs : valueNs;
  }
  file.set(nextNs, intervalNs, flags, followsWallClock);
  return 0;
}

function sys_timerfd_gettime(task: Task, fd: number, currentAddr: number): number {
  const file = timerFile(task, fd);
  return typeof file === "number" ? file : reportTimer(task, currentAddr, file);
}

export const EVENT_FILE_CALLS: readonly SyscallRow[] = [
  row(SYS_eventfd2, "eventfd2", "count:uint flags:flags", full, sys_eventfd2),
  row(SYS_signalfd4, "signalfd4", "fd:fd mask:sigset sizemask:size flags:flags", full, sys_signalfd4),
  row(SYS_timerfd_create, "timerfd_create", "clockid:clockid flags:flags", full, sys_timerfd_create),
  row(
    SYS_timerfd_settime,
    "timerfd_settime",
    "fd:fd flags:flags new_value:itimerspec old_value:itimerspec",
    full,
    sys_timerfd_settime,
  ),
  row(SYS_timerfd_gettime, "timerfd_gettime", "fd:fd curr_value:itimerspec", full, sys_timerfd_gettime),
];
