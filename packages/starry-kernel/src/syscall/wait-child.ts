/**
 * wait4(2) and waitid(2): learning what children have done.
 */
import {
  __WALL,
  __WCLONE,
  __WNOTHREAD,
  CLD_CONTINUED,
  CLD_DUMPED,
  CLD_EXITED,
  CLD_KILLED,
  CLD_STOPPED,
  CLD_TRAPPED,
  EAGAIN,
  EBADF,
  ECHILD,
  EFAULT,
  EINVAL,
  ESRCH,
  O_NONBLOCK,
  P_ALL,
  P_PGID,
  P_PID,
  P_PIDFD,
  POLLIN,
  SIGCHLD,
  SIGCONT,
  SYS_wait4,
  SYS_waitid,
  WCONTINUED,
  WEXITED,
  WNOHANG,
  WNOWAIT,
  WSTOPPED,
  WUNTRACED,
} from "linux-abi";
import { writeSiginfo } from "../signal/frame.ts";
import { WAIT_CONTINUED, WAIT_NOTHING, WAIT_STOPPED } from "../signal/job-control.ts";
import { signalInfo } from "../signal/siginfo.ts";
import { reap } from "../task/exit.ts";
import { PidFile } from "../task/pidfd.ts";
import type { Process } from "../task/process.ts";
import type { Task } from "../task/task.ts";
import { Usage } from "../task/usage.ts";
import { type Wait, waitAndRetry } from "../wait.ts";
import { full, row, type SyscallRow } from "./row.ts";
import { writeRusage } from "./rusage.ts";

/** Which children, and what about them. */
interface Wanted {
  /** P_* */
  readonly by: number;
  /** Process or group id. */
  readonly id: number;
  /** P_PIDFD: the process. */
  readonly process: Process | null;
  /** WEXITED, WSTOPPED, WCONTINUED, WNOHANG, WNOWAIT and __W* */
  readonly options: number;
}

/** One thing that a child or tracee has done. */
interface Found {
  readonly pid: number;
  readonly uid: number;
  /** CLD_* */
  readonly code: number;
  /** wait4's status word. */
  readonly status: number;
  readonly usage: Usage;
  /** It has been reported: it will not be found again. */
  readonly consume: () => void;
}

function foundChild(child: Process, code: number, status: number): Found {
  const consume = (): void => {
    if (child.zombie) reap(child);
    else child.waitEvent = WAIT_NOTHING;
  };
  return { pid: child.pid, uid: child.leader.cred.uid, code, status, usage: usageOf(child), consume };
}

function exitCode(status: number): number {
  const signal = status & 0x7f;
  return signal === 0 ? CLD_EXITED : (status & 0x80) !== 0 ? CLD_DUMPED : CLD_KILLED;
}

function matches(task: Task, child: Process, wanted: Wanted): boolean {
  const isClone = child.exitSignal !== SIGCHLD;
  if ((wanted.options & __WALL) === 0 && isClone !== ((wanted.options & __WCLONE) !== 0)) return false;
  switch (wanted.by) {
    case P_PID:
      return child.pid === wanted.id;
    case P_PGID:
      return child.group.pgid === (wanted.id === 0 ? task.process.group.pgid : wanted.id);
    case P_PIDFD:
      return child === wanted.process;
    default:
      return true;
  }
}

function matchesTracee(task: Task, tid: number, pgid: number, wanted: Wanted): boolean {
  switch (wanted.by) {
    case P_PID:
      return tid === wanted.id;
    case P_PGID:
      return pgid === (wanted.id === 0 ? task.process.group.pgid : wanted.id);
    case P_PIDFD:
      return tid === wanted.process?.pid;
    default:
      return true;
  }
}

/** Stops and ends of tracees; null: nothing to report but there are some; undefined: none. */
function lookAtTracees(task: Task, wanted: Wanted): Found | null | undefined {
  const { live, dead } = task.process.tracees;
  let none = true;
  for (const tracee of live) {
    if (!matchesTracee(task, tracee.tid, tracee.process.group.pgid, wanted)) continue;
    none = false;
    const { tracing } = tracee;
    if (tracing === null || tracing.stop === 0 || tracing.reported) continue;
    const consume = (): void => {
      tracing.reported = true;
    };
    const status = (tracing.stopCode << 8) | 0x7f;
    return { pid: tracee.tid, uid: tracee.cred.uid, code: CLD_TRAPPED, status, usage: tracee.usage, consume };
  }
  for (const end of dead) {
    if (!matchesTracee(task, end.tid, end.pgid, wanted)) continue;
    none = false;
    if ((wanted.options & WEXITED) === 0) continue;
    const consume = (): void => {
      dead.splice(dead.indexOf(end), 1);
      end.collected();
    };
    const { tid, uid, status } = end;
    return { pid: tid, uid, code: exitCode(status), status, usage: new Usage(), consume };
  }
  return none ? undefined : null;
}

/** What a matching child has done; null: nothing yet; -ECHILD: there is no such child. */
function look(task: Task, wanted: Wanted): Found | null | number {
  const traced = lookAtTracees(task, wanted);
  if (traced !== undefined && traced !== null) return traced;
  let candidates = traced === null ? 1 : 0;
  for (const child of task.process.children) {
    if (!matches(task, child, wanted)) continue;
    candidates++;
    if (child.zombie) {
      if ((wanted.options & WEXITED) === 0 || child.hiddenByTracer) continue;
      return foundChild(child, exitCode(child.exitStatus), child.exitStatus);
    }
    if (child.waitEvent === WAIT_STOPPED && (wanted.options & WSTOPPED) !== 0) {
      return foundChild(child, CLD_STOPPED, (child.stoppedBy << 8) | 0x7f);
    }
    if (child.waitEvent === WAIT_CONTINUED && (wanted.options & WCONTINUED) !== 0) {
      return foundChild(child, CLD_CONTINUED, 0xffff);
    }
  }
  return candidates === 0 ? -ECHILD : null;
}

/** Reports once: the child's event is used up unless WNOWAIT. */
function collect(task: Task, wanted: Wanted, report: (found: Found | null) => number): number | Wait {
  const found = look(task, wanted);
  if (typeof found === "number") return found;
  if (found === null) {
    if ((wanted.options & WNOHANG) !== 0) return report(null);
    const retry = (self: Task): number | Wait => collect(self, wanted, report);
    return waitAndRetry("do_wait", task.process.childEvents, POLLIN, retry);
  }
  const result = report(found);
  if ((wanted.options & WNOWAIT) === 0) found.consume();
  return result;
}

function usageOf(child: Process): Usage {
  const total = new Usage();
  total.add(child.usage);
  total.add(child.childUsage);
  return total;
}

/** wait4(2) */
function sys_wait4(
  task: Task,
  pid: number,
  statusAddress: number,
  options: number,
  rusageAddress: number,
): number | Wait {
  const known = WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL;
  if ((options & ~known) !== 0) return -EINVAL;
  if (pid === -0x80000000) return -ESRCH;
  const wanted: Wanted = {
    by: pid === -1 ? P_ALL : pid > 0 ? P_PID : P_PGID,
    id: pid > 0 ? pid : -pid,
    process: null,
    options: options | WEXITED,
  };
  return collect(task, wanted, (found) => {
    if (found === null) return 0;
    if (statusAddress !== 0 && task.memory.writeU32(statusAddress, found.status) !== 0) return -EFAULT;
    if (rusageAddress !== 0 && writeRusage(task.memory, rusageAddress, found.usage) !== 0) return -EFAULT;
    return found.pid;
  });
}

/** waitid(2) */
function sys_waitid(
  task: Task,
  by: number,
  id: number,
  infoAddress: number,
  options: number,
  rusageAddress: number,
): number | Wait {
  const known = WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL;
  if ((options & ~known) !== 0 || (options & (WEXITED | WSTOPPED | WCONTINUED)) === 0) return -EINVAL;
  let process: Process | null = null;
  let given = options;
  if (by === P_PIDFD) {
    const file = task.files.get(id);
    if (!(file instanceof PidFile)) return -EBADF;
    process = file.process;
    if ((file.flags & O_NONBLOCK) !== 0) given |= WNOHANG;
  } else if (by !== P_ALL && by !== P_PID && by !== P_PGID) return -EINVAL;
  if ((by === P_PID && id <= 0) || (by === P_PGID && id < 0)) return -EINVAL;
  return collect(task, { by, id, process, options: given }, (found) => {
    if (infoAddress !== 0 && writeChildInfo(task, infoAddress, found) !== 0) return -EFAULT;
    if (found === null) return given !== options ? -EAGAIN : 0;
    if (rusageAddress !== 0 && writeRusage(task.memory, rusageAddress, found.usage) !== 0) return -EFAULT;
    return 0;
  });
}

function writeChildInfo(task: Task, address: number, found: Found | null): number {
  if (found === null) return writeSiginfo(task.memory, address, signalInfo(0, 0));
  const { code, status } = found;
  const value =
    code === CLD_EXITED
      ? (status >> 8) & 0xff
      : code === CLD_STOPPED || code === CLD_TRAPPED
        ? status >> 8
        : code === CLD_CONTINUED
          ? SIGCONT
          : status & 0x7f;
  return writeSiginfo(
    task.memory,
    address,
    signalInfo(SIGCHLD, code, { pid: found.pid, uid: found.uid, status: value }),
  );
}

export const WAIT_CALLS: readonly SyscallRow[] = [
  row(SYS_wait4, "wait4", "pid:pid wstatus:wstatus options:wait_options rusage:ptr", full, sys_wait4),
  row(SYS_waitid, "waitid", "idtype:int id:pid info:ptr options:wait_options rusage:ptr", full, sys_waitid),
];
