/**
 * What a task does about its signals before it goes back to user mode. Called by the dispatcher while `task.attention`.
 *
 * The task is the running one: its registers are in the hart. A system call that was interrupted has left its restart code in
 * `task.restartCode`, pc at the ecall and all registers as they were, so restarting it means to do nothing.
 */
import {
  EINTR,
  SA_NODEFER,
  SA_RESETHAND,
  SA_RESTART,
  SIG_DFL,
  SIG_IGN,
  SIGKILL,
  SIGSEGV,
  SIGSTOP,
  SYS_restart_syscall,
} from "linux-abi";
import { announceExit, stopForSignal, takeDueStop } from "../ptrace/stops.ts";
import { exitGroup } from "../task/exit.ts";
import type { Task } from "../task/task.ts";
import { ERESTART_RESTARTBLOCK, ERESTARTNOHAND, ERESTARTSYS } from "../wait.ts";
import { ACT_CONTINUE, ACT_CORE, ACT_IGNORE, ACT_STOP, defaultAction } from "./default-actions.ts";
import { enterHandler, setRegister } from "./frame.ts";
import { DEFAULT_ACTION, type SignalAction } from "./handlers.ts";
import { beginStop, isOrphaned, stopThread } from "./job-control.ts";
import { recalculateAttention } from "./send.ts";
import { kernelSignal, type SignalInfo } from "./siginfo.ts";
import { inSet, signalBitHi, signalBitLo, UNBLOCKABLE_LO } from "./sigset.ts";

const REG_A0 = 10;
const REG_A7 = 17;

/** Status bit of a process that would have left a core file. */
export const WCOREFLAG = 0x80;

/**
 * Takes pending signals until none is left, the task has stopped (state TASK_STOPPED: call again when it continues) or it is dead.
 */
export function deliverSignals(task: Task): void {
  const { process, kernel } = task;
  for (;;) {
    if (process.exiting) {
      exitGroup(task, process.exitStatus);
      return;
    }
    const killed = task.pending.has(SIGKILL) || process.pending.has(SIGKILL);
    const { tracing } = task;
    if (tracing !== null && !killed) {
      // The call whose entry stop is over comes before anything else.
      if (takeDueStop(task) || tracing.entryDone) return;
    }
    if (process.stopSignal !== 0 && !killed) {
      stopThread(task);
      return;
    }
    const injected = tracing?.injected ?? null;
    if (tracing !== null) tracing.injected = null;
    const info = injected ?? takeSignal(task);
    if (tracing !== null && info !== null && injected === null && info.signo !== SIGKILL) {
      stopForSignal(task, info);
      return;
    }
    if (info === null) {
      finishInterruptedCall(task, null);
      if (!task.restoreMask) break;
      // No handler ran: the mask of before sigsuspend, ppoll ... applies again, which may unblock something.
      task.restoreMask = false;
      task.blockedLo = task.savedMaskLo;
      task.blockedHi = task.savedMaskHi;
      continue;
    }
    if (kernel.debugger?.takesSignal(task, info)) return;
    if (kernel.observer !== null) kernel.observer.signal(task, info);
    const action = task.handlers.get(info.signo);
    if (kernel.trace.signalDeliverOn)
      kernel.trace.signalDeliver(info.signo, info.code, task, action.handler, action.flags);
    if (action.handler === SIG_IGN) continue;
    if (action.handler === SIG_DFL) {
      if (takeDefault(task, info)) return;
      continue;
    }
    runHandler(task, info, action);
  }
  recalculateAttention(task);
}

function takeSignal(task: Task): SignalInfo | null {
  if (task.pending.has(SIGKILL)) return task.pending.take(SIGKILL);
  if (task.process.pending.has(SIGKILL)) return task.process.pending.take(SIGKILL);
  const own = task.pending.next(task.blockedLo, task.blockedHi);
  if (own !== 0) return task.pending.take(own);
  const shared = task.process.pending.next(task.blockedLo, task.blockedHi);
  return shared === 0 ? null : task.process.pending.take(shared);
}

/** True if the task is gone. */
function takeDefault(task: Task, info: SignalInfo): boolean {
  const { process } = task;
  const signal = info.signo;
  const what = defaultAction(signal);
  if (what === ACT_IGNORE || what === ACT_CONTINUE) return false;
  // Init survives what it has not asked for, unless the kernel forced it (a fault).
  if (process.pid === 1 && !task.forced) return false;
  if (what === ACT_STOP) {
    if (signal === SIGSTOP || !isOrphaned(process.group)) beginStop(process, signal);
    return false;
  }
  const status = what === ACT_CORE ? signal | WCOREFLAG : signal;
  if (signal !== SIGKILL && task.tracing !== null && announceExit(task, status)) {
    task.tracing.injected = info;
    return false;
  }
  if (what === ACT_CORE) task.kernel.reportFatalSignal(task, info);
  exitGroup(task, status);
  return true;
}

function runHandler(task: Task, info: SignalInfo, action: SignalAction): void {
  finishInterruptedCall(task, action);
  const maskLo = task.restoreMask ? task.savedMaskLo : task.blockedLo;
  const maskHi = task.restoreMask ? task.savedMaskHi : task.blockedHi;
  task.restoreMask = false;
  const signal = info.signo;
  if ((action.flags & SA_RESETHAND) !== 0) task.handlers.set(signal, DEFAULT_ACTION);
  if (!enterHandler(task, info, action, maskLo, maskHi)) {
    if (signal === SIGSEGV) task.handlers.set(SIGSEGV, DEFAULT_ACTION);
    forceSignal(task, kernelSignal(SIGSEGV));
    return;
  }
  task.forced = false;
  task.blockedLo |= action.maskLo & ~UNBLOCKABLE_LO;
  task.blockedHi |= action.maskHi;
  if ((action.flags & SA_NODEFER) === 0) {
    task.blockedLo |= signalBitLo(signal) & ~UNBLOCKABLE_LO;
    task.blockedHi |= signalBitHi(signal);
  }
}

/** Decides what the program sees of an interrupted system call: EINTR, or the call again. `action` null: no handler runs. */
function finishInterruptedCall(task: Task, action: SignalAction | null): void {
  const code = task.restartCode;
  if (code === 0) return;
  task.restartCode = 0;
  const { cpu } = task.kernel.platform;
  if (action === null) {
    if (code === ERESTART_RESTARTBLOCK) setRegister(cpu.x, REG_A7, SYS_restart_syscall);
    return;
  }
  const interrupted =
    code === ERESTART_RESTARTBLOCK ||
    code === ERESTARTNOHAND ||
    (code === ERESTARTSYS && (action.flags & SA_RESTART) === 0);
  if (!interrupted) return;
  setRegister(cpu.x, REG_A0, -EINTR);
  cpu.advancePc(4);
}

/** A fault of the program's own: delivered even if it is blocked or ignored, then with the default action. */
export function forceSignal(task: Task, info: SignalInfo): void {
  const signal = info.signo;
  const blocked = inSet(task.blockedLo, task.blockedHi, signal);
  if (blocked || task.handlers.get(signal).handler === SIG_IGN) {
    task.handlers.set(signal, DEFAULT_ACTION);
    task.blockedLo &= ~signalBitLo(signal);
    task.blockedHi &= ~signalBitHi(signal);
  }
  task.forced = true;
  task.pending.push(info);
  task.attention = true;
}
