/**
 * Stopping and continuing whole processes, and telling parents and orphaned groups about it.
 */
import { CLD_CONTINUED, CLD_STOPPED, POLLIN, SA_NOCLDSTOP, SIG_IGN, SIGCHLD, SIGCONT, SIGHUP } from "linux-abi";
import { stopWithGroup } from "../ptrace/stops.ts";
import type { Process } from "../task/process.ts";
import type { ProcessGroup } from "../task/session.ts";
import { EXIT_DEAD, EXIT_ZOMBIE, type Task, TASK_STOPPED } from "../task/task.ts";
import { WAKE_SIGNAL } from "../wait.ts";
import { sendToGroup, sendToProcess } from "./send.ts";
import { kernelSignal, signalInfo } from "./siginfo.ts";

/** `Process.waitEvent`: what wait4 has not reported yet. */
export const WAIT_NOTHING = 0;
export const WAIT_STOPPED = 1;
export const WAIT_CONTINUED = 2;

/** A thread has taken a stop signal: all threads are to stop as soon as they look at their signals. */
export function beginStop(process: Process, signal: number): void {
  process.stopSignal = signal;
  for (const thread of process.threads) {
    thread.attention = true;
    process.kernel.scheduler.wake(thread, WAKE_SIGNAL);
  }
}

/** The calling thread stops here. The last one to do so reports to the parent. */
export function stopThread(task: Task): void {
  const process = task.process;
  task.state = TASK_STOPPED;
  if (task.tracing !== null) {
    stopWithGroup(task, process.stopSignal);
    return;
  }
  if (process.stoppedBy !== 0) return; // a thread that joined later
  const running = process.threads.some((t) => (t.state & (TASK_STOPPED | EXIT_ZOMBIE | EXIT_DEAD)) === 0);
  if (running) return;
  process.stoppedBy = process.stopSignal;
  process.waitEvent = WAIT_STOPPED;
  reportChild(process, CLD_STOPPED, process.stoppedBy);
}

/** SIGCONT: everyone goes on. */
export function continueProcess(process: Process): void {
  const wasStopped = process.stoppedBy !== 0;
  if (process.stopSignal === 0 && !wasStopped) return;
  process.stopSignal = 0;
  process.stoppedBy = 0;
  for (const thread of process.threads) {
    // A tracee stays stopped until its tracer lets it go, unless that only listens.
    if (thread.tracing !== null && thread.tracing.stop !== 0 && !thread.tracing.listening) continue;
    if (thread.tracing?.listening === true) {
      thread.tracing.listening = false;
      thread.tracing.stop = 0;
      thread.tracing.interrupt = true;
      thread.attention = true;
    }
    process.kernel.scheduler.continueStopped(thread);
  }
  if (!wasStopped) return;
  process.waitEvent = WAIT_CONTINUED;
  reportChild(process, CLD_CONTINUED, SIGCONT);
}

/** SIGCHLD for a stop or continue, and a wake-up for wait4. */
function reportChild(process: Process, code: number, status: number): void {
  const parent = process.parent;
  if (parent === null) return;
  const action = parent.leader.handlers.get(SIGCHLD);
  if (action.handler !== SIG_IGN && (action.flags & SA_NOCLDSTOP) === 0) {
    sendToProcess(parent, signalInfo(SIGCHLD, code, { pid: process.pid, uid: process.leader.cred.uid, status }));
  }
  parent.childEvents.wake(POLLIN);
}

/**
 * No member has a parent outside the group but inside the session: nobody could continue the group (POSIX).
 *
 * Linux counts process 1 as nobody, unless it is a container's; here, too, process 1 may be a shell with job control.
 */
export function isOrphaned(group: ProcessGroup, leaving: Process | null = null): boolean {
  for (const member of group.members) {
    if (member === leaving || member.zombie) continue;
    const parent = member.parent;
    if (parent !== null && parent.group !== group && parent.session === group.session) return false;
  }
  return true;
}

/** After `leaving` has gone: a group that became orphaned with stopped members gets SIGHUP and SIGCONT. */
export function hangUpIfOrphaned(group: ProcessGroup, leaving: Process): void {
  if (!isOrphaned(group, leaving)) return;
  let stopped = false;
  for (const member of group.members) if (member !== leaving && member.stoppedBy !== 0) stopped = true;
  if (!stopped) return;
  sendToGroup(group, kernelSignal(SIGHUP));
  sendToGroup(group, kernelSignal(SIGCONT));
}
