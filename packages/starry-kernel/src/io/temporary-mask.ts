/**
 * The signal mask of ppoll, pselect6 and epoll_pwait: in force while the call waits.
 *
 * If a signal ended the call, the mask stays until that signal's handler has been set up, and the handler's return restores the
 * old one (`Task.restoreMask`, signal/deliver.ts); otherwise the call itself restores it.
 */
import { EINVAL } from "linux-abi";
import { setBlocked } from "../signal/send.ts";
import { $sigset, loadSigset, UNBLOCKABLE_LO } from "../signal/sigset.ts";
import type { Task } from "../task/task.ts";

/** `va` 0: no mask given. 0, -EFAULT, or -EINVAL for a wrong size. */
export function setTemporaryMask(task: Task, va: number, byteLength: number): number {
  if (va === 0) return 0;
  if (byteLength !== 8) return -EINVAL;
  const error = loadSigset(task.memory, va);
  if (error !== 0) return error;
  task.savedMaskLo = task.blockedLo;
  task.savedMaskHi = task.blockedHi;
  setBlocked(task, $sigset.lo & ~UNBLOCKABLE_LO, $sigset.hi);
  task.restoreMask = true;
  return 0;
}

/** The call ends. `interrupted`: by a signal. */
export function endTemporaryMask(task: Task, interrupted: boolean): void {
  if (!task.restoreMask || interrupted) return;
  task.restoreMask = false;
  setBlocked(task, task.savedMaskLo, task.savedMaskHi);
}
