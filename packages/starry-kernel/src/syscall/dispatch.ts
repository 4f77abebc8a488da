/**
 * System call entry and exit: the only place where tasks are parked and resumed.
 *
 * Allocates nothing for a call that finishes at once. pc stays at the ecall and the registers stay as they were until the
 * call has its result, so that restarting an interrupted call means to leave everything alone.
 */
import { ENOSYS, SYSCALL_NAMES } from "linux-abi";
import type { Kernel } from "../kernel.ts";
import { noteSyscallExit, stopAtSyscallEntry } from "../ptrace/stops.ts";
import type { Task } from "../task/task.ts";
import { ERESTART_RESTARTBLOCK, ERESTARTSYS, type Wait, WAKE_SIGNAL } from "../wait.ts";
import { AGAIN, NO_RESULT } from "./result.ts";
import { MAX_SYSCALL } from "./table.ts";

const A0 = 20; // index of x10's low word
const A7 = 34;
const TWO_32 = 4294967296;
/** Widths below this: a3, a4 and a5 are passed as int32, or not used at all. */
const ALL_NARROW_FROM_3 = 1 << 6;

/** Reads one argument register. `width` is WIDTH_*. */
export function argument(x: Int32Array, index: number, width: number): number {
  const lo = x[A0 + 2 * index] as number;
  if (width === 0) return lo;
  if (width === 1) return lo >>> 0;
  const hi = x[A0 + 2 * index + 1] as number;
  return (width === 2 ? hi : hi >>> 0) * TWO_32 + (lo >>> 0);
}

/** Executes the call in the hart's registers for the running task. */
export function enterSyscall(kernel: Kernel, task: Task): void {
  const x = kernel.cpu.x;
  const nr = x[A7 + 1] === 0 ? (x[A7] as number) : -1;
  task.syscall = nr;
  if (task.tracing !== null && stopAtSyscallEntry(task)) return;
  if (kernel.trace.sysEnterOn) kernel.trace.sysEnter(task, nr);
  if (kernel.observer !== null) kernel.observer.enter(task, nr);
  if (nr < 0 || nr >= MAX_SYSCALL || kernel.syscalls.rows[nr] === undefined) {
    reportUnknown(kernel, task, nr);
    finish(kernel, task, -ENOSYS);
    return;
  }
  const w = kernel.syscalls.widths[nr] as number;
  const handler = kernel.syscalls.handlers[nr] as (typeof kernel.syscalls.handlers)[0];
  // Wide arguments come first in nearly all calls: what follows the last one is passed as it is.
  const result =
    w < ALL_NARROW_FROM_3
      ? handler(
          task,
          argument(x, 0, w & 3),
          argument(x, 1, (w >> 2) & 3),
          argument(x, 2, w >> 4),
          x[A0 + 6] as number,
          x[A0 + 8] as number,
          x[A0 + 10] as number,
        )
      : handler(
          task,
          argument(x, 0, w & 3),
          argument(x, 1, (w >> 2) & 3),
          argument(x, 2, (w >> 4) & 3),
          argument(x, 3, (w >> 6) & 3),
          argument(x, 4, (w >> 8) & 3),
          argument(x, 5, (w >> 10) & 3),
        );
  if (typeof result === "number") finish(kernel, task, result);
  else wait(kernel, task, result);
}

/** Goes on with a call whose wait has ended. The task is the running one again. */
export function resumeSyscall(kernel: Kernel, task: Task): void {
  const ended = task.wait as Wait;
  task.wait = null;
  const result = ended.resume(task, task.attention ? WAKE_SIGNAL : task.wakeReason);
  if (typeof result === "number") finish(kernel, task, result);
  else if (task.attention) park(kernel, task, result);
  else wait(kernel, task, result);
}

function wait(kernel: Kernel, task: Task, wanted: Wait): void {
  // A signal that is pending already ends an interruptible wait before it begins.
  if (task.attention) {
    const result = wanted.resume(task, WAKE_SIGNAL);
    if (typeof result === "number") finish(kernel, task, result);
    else park(kernel, task, result);
    return;
  }
  park(kernel, task, wanted);
}

function park(kernel: Kernel, task: Task, wanted: Wait): void {
  if (kernel.scheduler.current !== task) return; // it has died meanwhile
  kernel.scheduler.park(task, wanted);
}

function finish(kernel: Kernel, task: Task, result: number): void {
  const x = kernel.cpu.x;
  if (result === AGAIN) {
    if (task.tracing !== null) task.tracing.entryDone = true;
    return;
  }
  if (result === NO_RESULT) {
    if (kernel.scheduler.current !== task) return; // it has ended
    if (kernel.trace.sysExitOn) kernel.trace.sysExit(task, task.syscall, 0);
    if (kernel.observer !== null) kernel.observer.exit(task, task.syscall, 0);
    if (task.tracing !== null) noteSyscallExit(task, 0);
    task.syscall = -1;
    return;
  }
  if (kernel.trace.sysExitOn) kernel.trace.sysExit(task, task.syscall, result);
  if (kernel.observer !== null) kernel.observer.exit(task, task.syscall, result);
  if (task.tracing !== null) noteSyscallExit(task, result);
  task.syscall = -1;
  if (result <= -ERESTARTSYS && result >= -ERESTART_RESTARTBLOCK) {
    task.restartCode = -result;
    task.attention = true;
    return;
  }
  const lo = result | 0;
  x[A0] = lo;
  x[A0 + 1] = lo === result ? lo >> 31 : Math.floor(result / TWO_32);
  kernel.cpu.advancePc(4);
}

const $reported: WeakMap<Kernel, Set<number>> = new WeakMap(); // unknown calls named so far

function reportUnknown(kernel: Kernel, task: Task, nr: number): void {
  let seen = $reported.get(kernel);
  if (seen === undefined) {
    seen = new Set();
    $reported.set(kernel, seen);
  }
  if (seen.has(nr)) return;
  seen.add(nr);
  const name = SYSCALL_NAMES[nr] ?? "unknown";
  kernel.log("info", `${task.comm}[${task.tid}]: system call ${nr} (${name}) is not implemented`);
}
