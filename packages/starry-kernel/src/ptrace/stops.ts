/**
 * How a traced task stops and goes on.
 */
import {
  CLD_TRAPPED,
  POLLIN,
  PTRACE_EVENT_EXIT,
  PTRACE_EVENT_STOP,
  PTRACE_O_TRACEEXIT,
  PTRACE_O_TRACESYSGOOD,
  SA_NOCLDSTOP,
  SIG_IGN,
  SIGCHLD,
  SIGTRAP,
} from "linux-abi";
import { recalculateAttention, sendToProcess } from "../signal/send.ts";
import { SI_USER, type SignalInfo, signalInfo } from "../signal/siginfo.ts";
import { type Task, TASK_TRACED } from "../task/task.ts";
import {
  RESUME_FREELY,
  RESUME_TO_SYSCALL,
  STOP_EVENT,
  STOP_GROUP,
  STOP_SIGNAL,
  STOP_SYSCALL_ENTRY,
  STOP_SYSCALL_EXIT,
  type Tracing,
} from "./state.ts";

/** The running task stops here; the tracer is told. */
export function stopTraced(task: Task, kind: number, code: number, info: SignalInfo): void {
  const tracing = task.tracing as Tracing;
  tracing.stop = kind;
  tracing.stopCode = code;
  tracing.reported = false;
  tracing.info = info;
  task.state = TASK_TRACED;
  const tracer = tracing.tracer.process;
  const action = tracer.leader.handlers.get(SIGCHLD);
  if (action.handler !== SIG_IGN && (action.flags & SA_NOCLDSTOP) === 0) {
    const status = code & 0x7f;
    sendToProcess(tracer, signalInfo(SIGCHLD, CLD_TRAPPED, { pid: task.tid, uid: task.cred.uid, status }));
  }
  tracer.childEvents.wake(POLLIN);
}

function trapInfo(task: Task, code: number): SignalInfo {
  return signalInfo(SIGTRAP, code, { pid: task.tid, uid: task.cred.uid });
}

/** True if the call that is being entered stops first: the ecall is to be executed again later. */
export function stopAtSyscallEntry(task: Task): boolean {
  const tracing = task.tracing as Tracing;
  if (tracing.entryDone) {
    tracing.entryDone = false;
    return false;
  }
  if (tracing.resumed !== RESUME_TO_SYSCALL) return false;
  tracing.entryDone = true;
  const signal = syscallSignal(tracing);
  stopTraced(task, STOP_SYSCALL_ENTRY, signal, trapInfo(task, signal));
  return true;
}

/** A call has finished: its exit stops on the way out. */
export function noteSyscallExit(task: Task, result: number): void {
  const tracing = task.tracing as Tracing;
  if (tracing.resumed !== RESUME_TO_SYSCALL) return;
  tracing.syscallExit = true;
  tracing.result = result;
  task.attention = true;
}

function syscallSignal(tracing: Tracing): number {
  return SIGTRAP | ((tracing.options & PTRACE_O_TRACESYSGOOD) !== 0 ? 0x80 : 0);
}

/** Has the task report an event (PTRACE_EVENT_*) before it goes on. */
export function raiseEvent(task: Task, event: number, message: number): void {
  const tracing = task.tracing as Tracing;
  tracing.event = event;
  tracing.eventMessage = message;
  task.attention = true;
}

/**
 * The task is about to end with `status` (a wait4 status word). True if the tracer wants to see it once more before that: the task has
 * to go back to where it came from, and stops on the way.
 */
export function announceExit(task: Task, status: number): boolean {
  const { tracing } = task;
  if (tracing === null || tracing.exitReported || (tracing.options & PTRACE_O_TRACEEXIT) === 0) return false;
  tracing.exitReported = true;
  raiseEvent(task, PTRACE_EVENT_EXIT, status);
  return true;
}

/** Stops for whatever is due besides signals. True if the task has stopped. */
export function takeDueStop(task: Task): boolean {
  const tracing = task.tracing as Tracing;
  if (tracing.event !== 0) {
    const code = SIGTRAP | (tracing.event << 8);
    tracing.event = 0;
    stopTraced(task, STOP_EVENT, code, trapInfo(task, code));
    return true;
  }
  if (tracing.syscallExit) {
    tracing.syscallExit = false;
    const signal = syscallSignal(tracing);
    stopTraced(task, STOP_SYSCALL_EXIT, signal, trapInfo(task, signal));
    return true;
  }
  if (tracing.interrupt) {
    tracing.interrupt = false;
    const { stopSignal } = task.process;
    const code = (stopSignal === 0 ? SIGTRAP : stopSignal) | (PTRACE_EVENT_STOP << 8);
    stopTraced(task, stopSignal === 0 ? STOP_EVENT : STOP_GROUP, code, trapInfo(task, code));
    return true;
  }
  return false;
}

/** The process is being stopped: a tracee reports it as its own stop. */
export function stopWithGroup(task: Task, signal: number): void {
  const tracing = task.tracing as Tracing;
  const code = tracing.seized ? signal | (PTRACE_EVENT_STOP << 8) : signal;
  stopTraced(task, STOP_GROUP, code, signalInfo(signal, SI_USER));
}

/** A signal has been taken from the queue: the tracer gets to see it first. */
export function stopForSignal(task: Task, info: SignalInfo): void {
  stopTraced(task, STOP_SIGNAL, info.signo, info);
}

/** The tracer lets the task go on; `signal` 0: without one. */
export function resumeTraced(task: Task, how: number, signal: number): void {
  const tracing = task.tracing as Tracing;
  const { stop, info } = tracing;
  tracing.resumed = how;
  tracing.stop = 0;
  tracing.info = null;
  tracing.listening = false;
  if (signal !== 0) {
    // In place of the signal it stopped for, with its information if it is the same one.
    if (stop === STOP_SIGNAL)
      tracing.injected = info !== null && info.signo === signal ? info : fromTracer(tracing, signal);
    else task.pending.push(fromTracer(tracing, signal));
  }
  if (stop === STOP_GROUP && !tracing.seized) task.process.stopSignal = 0;
  recalculateAttention(task);
  if (task.restartCode !== 0 || task.restoreMask) task.attention = true;
  task.kernel.scheduler.continueStopped(task);
}

function fromTracer(tracing: Tracing, signal: number): SignalInfo {
  const { process, cred } = tracing.tracer;
  return signalInfo(signal, SI_USER, { pid: process.pid, uid: cred.uid });
}

/** The task is traced no more: a stopped one goes on (or stays stopped with its process). */
export function endTracing(task: Task, signal: number): void {
  const tracing = task.tracing;
  if (tracing === null) return;
  tracing.tracer.process.tracees.live.delete(task);
  if (task.state === TASK_TRACED) resumeTraced(task, RESUME_FREELY, signal);
  const { injected } = tracing;
  task.tracing = null;
  if (injected !== null) task.pending.push(injected);
  recalculateAttention(task);
  if (task.restartCode !== 0) task.attention = true;
}
