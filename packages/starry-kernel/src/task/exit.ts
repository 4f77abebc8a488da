/**
 * How tasks and processes end.
 *
 *   exitThread   one thread goes: it gives up memory, files, locks; joiners and vfork parents are woken
 *   exitGroup    the whole process goes: siblings first, then the caller
 *   (last thread) the process becomes a zombie: children get a new parent, the parent is told
 *   reap         wait4 has collected the status: the numbers are free again
 *
 * A sibling that sleeps is ended where it is: its wait is resumed with WAKE_SIGNAL once, so that it drops what it holds.
 */
import { CLD_DUMPED, CLD_EXITED, CLD_KILLED, POLLIN, SA_NOCLDWAIT, SIG_IGN, SIGCHLD, SIGCONT, SIGHUP } from "linux-abi";
import { futexKey } from "../futex/key.ts";
import { releaseRobustList } from "../futex/robust-list.ts";
import { releaseTracees, reportDeathToTracer } from "../ptrace/attach.ts";
import { hangUpIfOrphaned } from "../signal/job-control.ts";
import { sendToGroup, sendToProcess } from "../signal/send.ts";
import { kernelSignal, signalInfo } from "../signal/siginfo.ts";
import { WAKE_EVENT, WAKE_SIGNAL } from "../wait.ts";
import { dropExecutable } from "./executable.ts";
import type { Process } from "./process.ts";
import { EXIT_DEAD, EXIT_ZOMBIE, type Task } from "./task.ts";

/** Nanoseconds per clock tick (USER_HZ = 100). */
export const NS_PER_TICK = 10_000_000;

/** exit_group(2), a fatal signal. `status` is a wait4 status word. */
export function exitGroup(task: Task, status: number): void {
  const process = task.process;
  if (!process.exiting) {
    process.exiting = true;
    process.exitStatus = status;
  }
  killSiblings(task);
  exitThread(task, process.exitStatus);
}

/** Ends every other live thread of the task's process (exit_group, execve). */
export function killSiblings(task: Task): void {
  for (const sibling of [...task.process.threads]) {
    if (sibling === task || isDead(sibling)) continue;
    abandonWait(sibling);
    exitThread(sibling, task.process.exitStatus);
  }
}

export function isDead(task: Task): boolean {
  return (task.state & (EXIT_DEAD | EXIT_ZOMBIE)) !== 0;
}

function abandonWait(task: Task): void {
  const { scheduler } = task.kernel;
  scheduler.unhook(task);
  scheduler.dequeue(task);
  const wait = task.wait;
  task.wait = null;
  if (wait !== null) wait.resume(task, WAKE_SIGNAL);
}

/** exit(2). `status` counts for the process if this is its last thread and nothing else has set one. */
export function exitThread(task: Task, status: number): void {
  const { process, kernel } = task;
  const trace = kernel.trace;
  if (trace.processExitOn) trace.processExit(task);
  if (kernel.observer !== null) kernel.observer.ended(task, status);
  task.exitCode = status;
  kernel.timers.disarm(task.sleepTimer);
  releaseRobustList(task);
  clearChildTid(task);
  releaseVforkParent(task);
  task.memory.put();
  task.files.put(task);
  task.fs.put();
  task.handlers.count--;
  kernel.account();
  process.usage.add(task.usage);
  task.accountsClosed = true;
  task.pending.clear();
  task.attention = false;
  task.syscall = -1;
  if (kernel.scheduler.current === task) {
    kernel.scheduler.current = null;
    kernel.scheduler.dead = task;
  }

  const last = process.threads.every((t) => t === task || isDead(t));
  if (task !== process.leader) {
    reportDeathToTracer(task, status, () => {});
    task.state = EXIT_DEAD;
    process.threads.splice(process.threads.indexOf(task), 1);
    kernel.tasks.removeTask(task);
    if (trace.processFreeOn) trace.processFree(task);
  } else task.state = EXIT_ZOMBIE;
  if (!last) return;
  if (!process.exiting) process.exitStatus = process.leader.exitCode;
  process.exiting = true;
  exitProcess(process);
}

/** set_tid_address, CLONE_CHILD_CLEARTID: pthread_join waits on this word. */
function clearChildTid(task: Task): void {
  const va = task.clearChildTid;
  task.clearChildTid = 0;
  if (va === 0 || task.memory.count <= 1) return;
  if (task.memory.writeU32(va, 0) !== 0) return;
  for (const shared of [false, true]) {
    const key = futexKey(task.memory, va, shared);
    if (typeof key === "string" && task.kernel.futexes.wake(key, 1, -1) > 0) return;
  }
}

/** execve or exit of a vfork child lets the parent go on. */
export function releaseVforkParent(task: Task): void {
  const parent = task.vforkParent;
  task.vforkParent = null;
  if (parent === null) return;
  parent.vforkDone = true;
  parent.wake(WAKE_EVENT);
}

function exitProcess(process: Process): void {
  const { kernel } = process;
  process.timers.disarmAll();
  dropExecutable(process);
  if (process.pid === 1) {
    kernel.initExited(process.exitStatus);
  }
  endSession(process);
  const group = process.group;
  reparentChildren(process);
  process.zombie = true;
  process.stoppedBy = 0;
  process.pending.clear();
  releaseTracees(process);
  // A tracer that is not the parent is told first; the parent when that is done.
  if (!reportDeathToTracer(process.leader, process.exitStatus, () => notifyParent(process))) notifyParent(process);
  hangUpIfOrphaned(group, process);
}

/** A session leader's end hangs up the terminal: SIGHUP and SIGCONT to the foreground group. */
function endSession(process: Process): void {
  const session = process.session;
  if (session.sid !== process.pid || session.terminal === null) return;
  const terminal = session.terminal;
  const foreground = session.groups.get(terminal.foregroundGroup);
  session.terminal = null;
  terminal.sessionEnded();
  if (foreground !== undefined) {
    sendToGroup(foreground, kernelSignal(SIGHUP));
    sendToGroup(foreground, kernelSignal(SIGCONT));
  }
}

/** Children go to the nearest ancestor that is a subreaper, else to init. */
function reparentChildren(process: Process): void {
  if (process.children.size === 0) return;
  let reaper = process.parent;
  while (reaper !== null && (!reaper.subreaper || reaper.exiting)) reaper = reaper.parent;
  const heir = reaper ?? process.kernel.tasks.process(1);
  for (const child of [...process.children]) {
    process.children.delete(child);
    child.parent = null;
    if (heir === undefined || heir === process || heir.zombie) {
      if (child.zombie) reap(child);
      continue;
    }
    child.parent = heir;
    heir.children.add(child);
    const deathSignal = child.leader.parentDeathSignal;
    if (deathSignal !== 0) sendToProcess(child, kernelSignal(deathSignal));
    child.exitSignal = SIGCHLD;
    if (child.zombie) notifyParent(child);
    else if (child.group !== process.group && child.session === process.session) hangUpIfOrphaned(child.group, process);
  }
}

/** SIGCHLD and wake-ups; a parent that ignores SIGCHLD never sees a zombie. */
function notifyParent(process: Process): void {
  const parent = process.parent;
  process.exitEvents.wake(POLLIN);
  if (parent === null) {
    reap(process);
    return;
  }
  let autoReap = false;
  const action = parent.leader.handlers.get(SIGCHLD);
  if (process.exitSignal === SIGCHLD) {
    autoReap = action.handler === SIG_IGN || (action.flags & SA_NOCLDWAIT) !== 0;
  }
  if (process.exitSignal !== 0 && !(process.exitSignal === SIGCHLD && action.handler === SIG_IGN)) {
    const status = process.exitStatus;
    const signal = status & 0x7f;
    const code = signal === 0 ? CLD_EXITED : (status & 0x80) !== 0 ? CLD_DUMPED : CLD_KILLED;
    sendToProcess(
      parent,
      signalInfo(process.exitSignal, code, {
        pid: process.pid,
        uid: process.leader.cred.uid,
        status: signal === 0 ? (status >> 8) & 0xff : signal,
        utime: Math.floor(process.usage.userNs / NS_PER_TICK),
        stime: Math.floor(process.usage.systemNs / NS_PER_TICK),
      }),
    );
  }
  if (autoReap) reap(process);
  parent.childEvents.wake(POLLIN);
}

/** The zombie's last trace goes. */
export function reap(process: Process): void {
  const { kernel, parent } = process;
  if (parent !== null) {
    parent.children.delete(process);
    parent.childUsage.add(process.usage);
    parent.childUsage.add(process.childUsage);
  }
  process.leader.state = EXIT_DEAD;
  kernel.tasks.removeTask(process.leader);
  if (kernel.trace.processFreeOn) kernel.trace.processFree(process.leader);
  kernel.tasks.removeProcess(process);
}
