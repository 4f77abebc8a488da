/**
 * Where the kernel reports events: one switch and one function per kernel tracepoint.
 *
 * A call site costs one boolean test when nobody listens:
 *   if (trace.schedSwitchOn) trace.schedSwitch(previous, next, state);
 * src/trace connects these to ktracepoint; without it every switch stays false.
 */
import type { Task } from "../task/task.ts";
import type { BlockRequest } from "./events.ts";

export class TraceHooks {
  sysEnterOn = false;
  /** raw_syscalls:sys_enter. `x` holds the registers: a0 at [20],[21] and so on. */
  sysEnter: (task: Task, nr: number) => void = nothing;
  sysExitOn = false;
  /** raw_syscalls:sys_exit. */
  sysExit: (task: Task, nr: number, result: number) => void = nothing;
  schedSwitchOn = false;
  /** sched:sched_switch. `previous` or `next` is null for the idle task. `state` is the previous task's TASK_* state. */
  schedSwitch: (previous: Task | null, next: Task | null, state: number) => void = nothing;
  schedWakeupOn = false;
  /** sched:sched_wakeup and, for a new task, sched_wakeup_new. */
  schedWakeup: (task: Task, isNew: boolean) => void = nothing;
  processForkOn = false;
  processFork: (parent: Task, child: Task) => void = nothing;
  processExecOn = false;
  /** sched:sched_process_exec: `oldPid` differs from the pid when a thread other than the leader called execve. */
  processExec: (task: Task, filename: string, oldPid: number) => void = nothing;
  processExitOn = false;
  processExit: (task: Task) => void = nothing;
  processFreeOn = false;
  /** sched:sched_process_free: the last trace of a task is gone (a zombie was waited for). */
  processFree: (task: Task) => void = nothing;
  signalGenerateOn = false;
  /** signal:signal_generate. */
  signalGenerate: (signal: number, code: number, target: Task, group: boolean, result: number) => void = nothing;
  signalDeliverOn = false;
  signalDeliver: (signal: number, code: number, task: Task, handler: number, flags: number) => void = nothing;
  pageFaultOn = false;
  /** exceptions:page_fault_user. */
  pageFault: (task: Task, address: number, cause: number) => void = nothing;
  blockOn = false;
  /** block:block_rq_issue and, with 0 or a negative errno, block_rq_complete. */
  blockIssue: (request: BlockRequest) => void = nothing;
  blockComplete: (request: BlockRequest, error: number) => void = nothing;
}

function nothing(): void {}
