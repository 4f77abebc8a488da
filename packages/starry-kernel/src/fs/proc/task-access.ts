/** Who may look into a task: ptrace(2)'s access check in read mode. */
import { CAP_SYS_PTRACE } from "linux-abi";
import type { Task } from "../../task/task.ts";

/** May the running task read `target`'s memory, descriptors and places? The kernel itself (no current task) may. */
export function mayInspect(target: Task): boolean {
  const caller = target.kernel.scheduler.current;
  if (caller === null || caller.process === target.process) return true;
  if (caller.cred.hasCapability(CAP_SYS_PTRACE)) return true;
  const { cred } = target;
  const { fsuid, fsgid } = caller.cred;
  const sameUser = fsuid === cred.uid && fsuid === cred.euid && fsuid === cred.suid;
  const sameGroup = fsgid === cred.gid && fsgid === cred.egid && fsgid === cred.sgid;
  return sameUser && sameGroup && target.process.dumpable !== 0;
}

/** The task has been reaped: its files answer ESRCH. */
export function isGone(task: Task): boolean {
  return task.kernel.tasks.task(task.tid) !== task;
}
