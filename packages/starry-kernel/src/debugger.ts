/**
 * The seam to a debugger outside the machine (starry-machine's gdb stub): it stops everything, and it sees the signals of
 * the process that it debugs before they have any effect.
 */
import type { SignalInfo } from "./signal/siginfo.ts";
import type { Task } from "./task/task.ts";

export interface Debugger {
  /** Nothing may run now. Looked at between tasks; the hart that the debugger provides stops the current one. */
  readonly stopped: boolean;
  /**
   * `task`, the running one, is about to act on `info`, which has been taken from its queue. True: the debugger keeps the signal
   * and has set `stopped`; what becomes of it is its affair.
   */
  takesSignal(task: Task, info: SignalInfo): boolean;
}
