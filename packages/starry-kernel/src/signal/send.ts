/**
 * Sending signals: to one task, to a process, to a group.
 *
 * Sending queues the signal and makes sure that a task that does not block it looks at it soon: it gets `attention`, and a
 * sleeping one is woken. What the signal does is decided when the task takes it (deliver.ts), except for what must happen at once:
 * SIGCONT continues, stop signals and SIGCONT cancel each other, SIGKILL wakes a stopped process.
 */
import {
  CAP_KILL,
  EAGAIN,
  EPERM,
  RLIMIT_SIGPENDING,
  SIG_DFL,
  SIG_IGN,
  SIGCONT,
  SIGKILL,
  SIGRTMIN,
  SIGSTOP,
  SIGTSTP,
  SIGTTIN,
  SIGTTOU,
} from "linux-abi";
import type { Process } from "../task/process.ts";
import type { ProcessGroup } from "../task/session.ts";
import { EXIT_DEAD, EXIT_ZOMBIE, type Task, TASK_STOPPED } from "../task/task.ts";
import { WAKE_SIGNAL } from "../wait.ts";
import { ACT_IGNORE, ACT_STOP, defaultAction } from "./default-actions.ts";
import { continueProcess } from "./job-control.ts";
import { kernelSignal, SI_USER, type SignalInfo } from "./siginfo.ts";
import { inSet } from "./sigset.ts";

const STOP_SIGNALS = [SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU];

/** Sends to one thread (tkill, faults). Permission has been checked. 0 or -EAGAIN when its queue is full. */
export function sendToTask(task: Task, info: SignalInfo): number {
  return send(task, info, false);
}

/** Sends to a process; any thread that does not block the signal may take it. */
export function sendToProcess(process: Process, info: SignalInfo): number {
  return send(process.leader, info, true);
}

/** Sends to every member, as the terminal does. */
export function sendToGroup(group: ProcessGroup, info: SignalInfo): void {
  for (const member of [...group.members]) sendToProcess(member, info);
}

function send(task: Task, info: SignalInfo, toProcess: boolean): number {
  const signal = info.signo;
  const process = task.process;
  const trace = process.kernel.trace;
  if (process.zombie || (!toProcess && (task.state & (EXIT_DEAD | EXIT_ZOMBIE)) !== 0)) return 0;
  prepare(process, signal);
  if (ignores(task, signal)) {
    if (trace.signalGenerateOn) trace.signalGenerate(signal, info.code, task, toProcess, 1);
    return 0;
  }
  const queue = toProcess ? process.pending : task.pending;
  if (signal >= SIGRTMIN && queue.length >= (process.limits.soft[RLIMIT_SIGPENDING] as number)) {
    if (trace.signalGenerateOn) trace.signalGenerate(signal, info.code, task, toProcess, 3);
    return -EAGAIN;
  }
  const queued = queue.push(info);
  if (trace.signalGenerateOn) trace.signalGenerate(signal, info.code, task, toProcess, queued ? 0 : 2);
  process.kernel.signalEvents.wake(0xffff);
  if (!queued) return 0;
  const taker = toProcess ? chooseTaker(process, signal) : task;
  if (taker !== undefined) notify(taker, signal);
  return 0;
}

/** What sending does at once, whether or not the signal is ignored or blocked. */
function prepare(process: Process, signal: number): void {
  if (signal === SIGCONT) {
    for (const stop of STOP_SIGNALS) discardEverywhere(process, stop);
    continueProcess(process);
  } else if (signal === SIGKILL) {
    process.stopSignal = 0;
    for (const thread of process.threads) process.kernel.scheduler.continueStopped(thread);
  } else if (defaultAction(signal) === ACT_STOP) discardEverywhere(process, SIGCONT);
}

export function discardEverywhere(process: Process, signal: number): void {
  process.pending.discard(signal);
  for (const thread of process.threads) thread.pending.discard(signal);
}

/** The signal would be thrown away on delivery. A blocked signal is kept: its disposition may change. */
function ignores(task: Task, signal: number): boolean {
  if (inSet(task.blockedLo, task.blockedHi, signal)) return false;
  if (task.tracing !== null && signal !== SIGKILL) return false; // the tracer wants to see it
  const handler = task.handlers.get(signal).handler;
  // Init gets only what it asked for (Linux: SIGNAL_UNKILLABLE); faults of its own are forced past this.
  if (task.process.pid === 1 && handler === SIG_DFL && signal !== SIGCONT) return true;
  if (handler === SIG_IGN) return true;
  return handler === SIG_DFL && defaultAction(signal) === ACT_IGNORE;
}

function wants(task: Task, signal: number): boolean {
  if ((task.state & (EXIT_DEAD | EXIT_ZOMBIE)) !== 0) return false;
  if (inSet(task.blockedLo & ~task.awaitedLo, task.blockedHi & ~task.awaitedHi, signal)) return false;
  return signal === SIGKILL || task.state !== TASK_STOPPED;
}

function chooseTaker(process: Process, signal: number): Task | undefined {
  if (wants(process.leader, signal)) return process.leader;
  return process.threads.find((thread) => wants(thread, signal));
}

/** The task looks at its signals before it goes on. */
export function notify(task: Task, signal: number): void {
  if (!inSet(task.blockedLo, task.blockedHi, signal)) task.attention = true;
  else if (!inSet(task.awaitedLo, task.awaitedHi, signal)) return;
  task.kernel.scheduler.wake(task, WAKE_SIGNAL);
}

/** SIGKILL that even init cannot escape: the kernel has no other way. */
export function forceKill(process: Process): void {
  process.stopSignal = 0;
  for (const thread of process.threads) {
    thread.forced = true;
    thread.pending.push(kernelSignal(SIGKILL));
    thread.attention = true;
    process.kernel.scheduler.continueStopped(thread);
    process.kernel.scheduler.wake(thread, WAKE_SIGNAL);
  }
}

/** Recomputes `attention` after the mask or the queues have changed. */
export function recalculateAttention(task: Task): void {
  const process = task.process;
  task.attention =
    task.pending.next(task.blockedLo, task.blockedHi) !== 0 ||
    process.pending.next(task.blockedLo, task.blockedHi) !== 0 ||
    process.stopSignal !== 0 ||
    task.tracing?.due === true ||
    process.exiting;
}

/** Changes the mask; signals of the process that this task now blocks are offered to its siblings. */
export function setBlocked(task: Task, lo: number, hi: number): void {
  const newlyLo = lo & ~task.blockedLo & task.process.pending.lo;
  const newlyHi = hi & ~task.blockedHi & task.process.pending.hi;
  task.blockedLo = lo;
  task.blockedHi = hi;
  if ((newlyLo | newlyHi) !== 0 && task.process.threads.length > 1) {
    for (const sibling of task.process.threads) {
      if (sibling === task) continue;
      if ((newlyLo & ~sibling.blockedLo) !== 0 || (newlyHi & ~sibling.blockedHi) !== 0) {
        sibling.attention = true;
        task.kernel.scheduler.wake(sibling, WAKE_SIGNAL);
      }
    }
  }
  recalculateAttention(task);
}

/** kill(2)'s rule: same user, CAP_KILL, or SIGCONT within the session. 0 or -EPERM. */
export function mayKill(sender: Task, target: Process, signal: number): number {
  const from = sender.cred;
  const to = target.leader.cred;
  if (from.euid === to.suid || from.euid === to.uid || from.uid === to.suid || from.uid === to.uid) return 0;
  if (from.hasCapability(CAP_KILL)) return 0;
  if (signal === SIGCONT && sender.process.session === target.session) return 0;
  return -EPERM;
}

/** Whether the sender of `info` is a process (and so subject to SI_* checks) rather than the kernel. */
export function isFromUser(info: SignalInfo): boolean {
  return info.code <= SI_USER;
}
