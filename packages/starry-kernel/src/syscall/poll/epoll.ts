/** epoll_create1(2), epoll_ctl(2), epoll_pwait(2), epoll_pwait2(2). */
import {
  EBADF,
  EINTR,
  EINVAL,
  EPOLL_CLOEXEC,
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLL_EVENT_DATA,
  EPOLL_EVENT_EVENTS,
  EPOLL_EVENT_SIZE,
  POLLIN,
  SYS_epoll_create1,
  SYS_epoll_ctl,
  SYS_epoll_pwait,
  SYS_epoll_pwait2,
} from "linux-abi";
import { sharedAnonymousInode } from "../../io/anonymous-inode.ts";
import { EpollFile } from "../../io/epoll.ts";
import { installFile } from "../../io/install-file.ts";
import { endTemporaryMask, setTemporaryMask } from "../../io/temporary-mask.ts";
import { deadlineAfter, readTimespecNs } from "../../io/timespec.ts";
import type { Task } from "../../task/task.ts";
import { NO_DEADLINE, Wait, WAKE_SIGNAL, WAKE_TIMEOUT } from "../../wait.ts";
import { full, row, type SyscallRow } from "../row.ts";

const MAX_EVENTS = Math.floor(0x7fffffff / EPOLL_EVENT_SIZE);
const NS_PER_MS = 1_000_000;

function sys_epoll_create1(task: Task, flags: number): number {
  if ((flags & ~EPOLL_CLOEXEC) !== 0) return -EINVAL;
  return installFile(task, new EpollFile(sharedAnonymousInode(task)), (flags & EPOLL_CLOEXEC) !== 0);
}

function sys_epoll_ctl(task: Task, epfd: number, op: number, fd: number, eventAddr: number): number {
  let events = 0;
  let dataLo = 0;
  let dataHi = 0;
  if (op !== EPOLL_CTL_DEL) {
    const error = task.memory.load(eventAddr, EPOLL_EVENT_SIZE);
    if (error !== 0) return error;
    const scratch = task.memory.scratch;
    events = scratch.getInt32(EPOLL_EVENT_EVENTS, true);
    dataLo = scratch.getInt32(EPOLL_EVENT_DATA, true);
    dataHi = scratch.getInt32(EPOLL_EVENT_DATA + 4, true);
  }
  const epoll = task.files.get(epfd);
  const file = task.files.get(fd);
  if (epoll === undefined || file === undefined) return -EBADF;
  if (!(epoll instanceof EpollFile) || file === epoll) return -EINVAL;
  switch (op) {
    case EPOLL_CTL_ADD:
      return epoll.add(task, file, fd, events, dataLo, dataHi);
    case EPOLL_CTL_MOD:
      return epoll.modify(task, file, fd, events, dataLo, dataHi);
    case EPOLL_CTL_DEL:
      return epoll.remove(file, fd);
    default:
      return -EINVAL;
  }
}

function epollWait(
  task: Task,
  epfd: number,
  va: number,
  max: number,
  timeoutNs: number,
  maskAddr: number,
  maskBytes: number,
): number | Wait {
  const epoll = task.files.get(epfd);
  if (epoll === undefined) return -EBADF;
  if (max <= 0 || max > MAX_EVENTS || !(epoll instanceof EpollFile)) return -EINVAL;
  const error = setTemporaryMask(task, maskAddr, maskBytes);
  if (error !== 0) return error;
  const count = epoll.collect(task, va, max);
  if (count !== 0 || timeoutNs === 0) {
    endTemporaryMask(task, false);
    return count;
  }
  epoll.get();
  // Woken by EpollFile.becameReady.
  const wait = new Wait(
    "ep_poll",
    epoll.pollSet,
    (self, reason) => {
      let result = epoll.collect(self, va, max);
      if (result === 0) {
        if (reason !== WAKE_TIMEOUT && reason !== WAKE_SIGNAL) return wait;
        if (reason === WAKE_SIGNAL) result = -EINTR;
      }
      epoll.put();
      endTemporaryMask(self, result === -EINTR);
      return result;
    },
    deadlineAfter(task, timeoutNs),
    POLLIN,
  );
  return wait;
}

function sys_epoll_pwait(
  task: Task,
  epfd: number,
  eventsAddr: number,
  max: number,
  timeoutMs: number,
  maskAddr: number,
  maskBytes: number,
): number | Wait {
  const timeoutNs = timeoutMs < 0 ? NO_DEADLINE : timeoutMs * NS_PER_MS;
  return epollWait(task, epfd, eventsAddr, max, timeoutNs, maskAddr, maskBytes);
}

function sys_epoll_pwait2(
  task: Task,
  epfd: number,
  eventsAddr: number,
  max: number,
  timeoutAddr: number,
  maskAddr: number,
  maskBytes: number,
): number | Wait {
  let timeoutNs = NO_DEADLINE;
  if (timeoutAddr !== 0) {
    timeoutNs = readTimespecNs(task.memory, timeoutAddr);
    if (timeoutNs < 0) return timeoutNs;
  }
  return epollWait(task, epfd, eventsAddr, max, timeoutNs, maskAddr, maskBytes);
}

export const EPOLL_CALLS: readonly SyscallRow[] = [
  row(SYS_epoll_create1, "epoll_create1", "flags:open_flags", full, sys_epoll_create1),
  row(SYS_epoll_ctl, "epoll_ctl", "epfd:fd op:epoll_op fd:fd event:epoll_event", full, sys_epoll_ctl),
  row(
    SYS_epoll_pwait,
    "epoll_pwait",
    "epfd:fd events:epoll_events maxevents:int timeout:int sigmask:sigset sigsetsize:size",
    full,
    sys_epoll_pwait,
  ),
  row(
    SYS_epoll_pwait2,
    "epoll_pwait2",
    "epfd:fd events:epoll_events maxevents:int timeout:timespec sigmask:sigset sigsetsize:size",
    full,
    sys_epoll_pwait2,
  ),
];
