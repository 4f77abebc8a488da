/**
 * Sending signals: to one task, to a process, to a group.
 */
import type { Process } from "../task/process.ts";
import type { ProcessGroup } from "../task/session.ts";
import type { Task } from "../task/task.ts";
import type { SignalInfo } from "./siginfo.ts";

/** Sends to one thread (tkill, faults). Permission has been checked. 0 or -EAGAIN when its queue is full. */
export function sendToTask(task: Task, info: SignalInfo): number {
  return task.kernel.signals.send(task, info, false);
}

/** Sends to a process; any thread that does not block the signal may take it. */
export function sendToProcess(process: Process, info: SignalInfo): number {
  return process.kernel.signals.send(process.leader, info, true);
}

/** Sends to every member, as the terminal does. */
export function sendToGroup(group: ProcessGroup, info: SignalInfo): void {
  for (const member of [...group.members]) sendToProcess(member, info);
}
