/** Who watches system calls, signals and ends of tasks (strace). The kernel holds at most one. */
import type { SignalInfo } from "../signal/siginfo.ts";
import type { Task } from "../task/task.ts";

export interface SyscallObserver {
  /** The registers in the hart are the call's arguments. */
  enter(task: Task, nr: number): void;
  /** `result` may be a restart code (−512 .. −516). */
  exit(task: Task, nr: number, result: number): void;
  /** `task` takes a signal. */
  signal(task: Task, info: SignalInfo): void;
  /** `status`: wait4 status word. Memory is still there. */
  ended(task: Task, status: number): void;
}
