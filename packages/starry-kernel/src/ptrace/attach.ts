/**
 * Who traces whom: attaching, inheriting, letting go, and the end of either side.
 */
import {
  CLONE_PTRACE,
  CLONE_THREAD,
  CLONE_VFORK,
  EPERM,
  ESRCH,
  POLLIN,
  PTRACE_EVENT_CLONE,
  PTRACE_EVENT_FORK,
  PTRACE_EVENT_VFORK,
  PTRACE_O_EXITKILL,
  PTRACE_O_TRACECLONE,
  PTRACE_O_TRACEFORK,
  PTRACE_O_TRACEVFORK,
  SIGCHLD,
  SIGSTOP,
} from "linux-abi";
import { forceKill, sendToTask } from "../signal/send.ts";
import { SI_USER, signalInfo } from "../signal/siginfo.ts";
import { mayAccess } from "../syscall/process-memory.ts";
import { isDead } from "../task/exit.ts";
import type { Process } from "../task/process.ts";
import { type Task, TASK_STOPPED } from "../task/task.ts";
import { Tracing } from "./state.ts";
import { endTracing, raiseEvent } from "./stops.ts";

function connect(tracer: Task, task: Task, seized: boolean, options: number): void {
  const tracing = new Tracing(tracer, seized);
  tracing.options = options;
  task.tracing = tracing;
  tracer.process.tracees.live.add(task);
}

/** PTRACE_TRACEME: the parent becomes the tracer. */
export function traceMe(task: Task): number {
  const { parent } = task.process;
  if (task.tracing !== null || parent === null) return -EPERM;
  connect(parent.leader, task, false, 0);
  return 0;
}

/** PTRACE_ATTACH (stops the task) and PTRACE_SEIZE (does not). */
export function attach(tracer: Task, task: Task, seized: boolean, options: number): number {
  if (isDead(task)) return -ESRCH;
  if (task.process === tracer.process || task.tracing !== null || !mayAccess(tracer, task)) return -EPERM;
  connect(tracer, task, seized, options);
  if (!seized) sendToTask(task, signalInfo(SIGSTOP, SI_USER, { pid: tracer.process.pid, uid: tracer.cred.uid }));
  // One that is stopped with its process stops again, as a tracee.
  if (task.state === TASK_STOPPED) {
    task.attention = true;
    task.kernel.scheduler.continueStopped(task);
  }
  return 0;
}

/** clone(2) by a tracee: the child is traced too if the options say so, and the parent reports the event. */
export function inheritTracing(parent: Task, child: Task, flags: number, exitSignal: number): void {
  const tracing = parent.tracing;
  if (tracing === null) return;
  let event = PTRACE_EVENT_CLONE;
  let option = PTRACE_O_TRACECLONE;
  if ((flags & CLONE_VFORK) !== 0) {
    event = PTRACE_EVENT_VFORK;
    option = PTRACE_O_TRACEVFORK;
  } else if ((flags & CLONE_THREAD) === 0 && exitSignal === SIGCHLD) {
    event = PTRACE_EVENT_FORK;
    option = PTRACE_O_TRACEFORK;
  }
  const wanted = (tracing.options & option) !== 0;
  if (!wanted && (flags & CLONE_PTRACE) === 0) return;
  connect(tracing.tracer, child, tracing.seized, tracing.options);
  if (child.tracing !== null && tracing.seized) child.tracing.interrupt = true;
  else child.pending.push(signalInfo(SIGSTOP, SI_USER));
  child.attention = true;
  if (wanted) raiseEvent(parent, event, child.tid);
}

/**
 * A tracee has ended. True if its tracer is somebody else than the parent who would learn of it anyway: then `thenParent` is called
 * once the tracer has been told.
 */
export function reportDeathToTracer(task: Task, status: number, thenParent: () => void): boolean {
  const { tracing, process } = task;
  if (tracing === null) return false;
  const tracer = tracing.tracer.process;
  tracer.tracees.live.delete(task);
  task.tracing = null;
  const isLeader = task === process.leader;
  if (tracer.zombie || (isLeader && tracer === process.parent)) return false;
  tracer.tracees.dead.push({
    tid: task.tid,
    uid: task.cred.uid,
    pgid: process.group.pgid,
    status,
    collected: () => {
      if (isLeader) process.hiddenByTracer = false;
      thenParent();
    },
  });
  if (isLeader) process.hiddenByTracer = true;
  tracer.childEvents.wake(POLLIN);
  return true;
}

/** A tracer has ended: its tracees are let go, or killed if it asked for that. */
export function releaseTracees(process: Process): void {
  for (const task of [...process.tracees.live]) {
    const kill = task.tracing !== null && (task.tracing.options & PTRACE_O_EXITKILL) !== 0;
    endTracing(task, 0);
    if (kill) forceKill(task.process);
  }
  for (const dead of process.tracees.dead.splice(0)) dead.collected();
}
