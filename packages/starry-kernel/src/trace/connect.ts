/**
 * Ties the kernel's call sites (`TraceHooks`) to its events: a call site's switch is on while any of the events behind it is.
 */
import type { AnyTracePoint } from "ktracepoint";
import type { UserCpu } from "../platform.ts";
import { NO_RESULT } from "../syscall/result.ts";
import { EXIT_DEAD } from "../task/task.ts";
import { A0, type KernelEvents } from "./events.ts";
import type { TraceHooks } from "./hooks.ts";
import type { SyscallEvents } from "./syscall-events.ts";

type Switch = { [K in keyof TraceHooks]: TraceHooks[K] extends boolean ? K : never }[keyof TraceHooks];

/** Keeps `hooks[name]` true while one of `points` is enabled. */
function gate(hooks: TraceHooks, name: Switch, points: readonly AnyTracePoint[]): void {
  let enabled = 0;
  for (const point of points) {
    if (point.enabled) enabled++;
    point.onGate = (on) => {
      enabled += on ? 1 : -1;
      hooks[name] = enabled > 0;
    };
  }
  hooks[name] = enabled > 0;
}

export function connectHooks(
  hooks: TraceHooks,
  cpu: UserCpu,
  events: KernelEvents,
  syscalls: readonly (SyscallEvents | undefined)[],
): void {
  const known = syscalls.filter((pair) => pair !== undefined);
  gate(hooks, "sysEnterOn", [events.sysEnter, ...known.map((pair) => pair.enter)]);
  hooks.sysEnter = (_task, nr) => {
    events.sysEnter.trace(cpu.x, nr);
    syscalls[nr]?.enter.trace(cpu.x, nr);
  };
  gate(hooks, "sysExitOn", [events.sysExit, ...known.map((pair) => pair.exit)]);
  hooks.sysExit = (task, nr, result) => {
    let value = result;
    if (result === NO_RESULT) {
      if (task.state >= EXIT_DEAD) return; // exit(2) does not return
      // execve and rt_sigreturn have set a0 themselves
      value = (cpu.x[A0 + 1] as number) * 4294967296 + ((cpu.x[A0] as number) >>> 0);
    }
    events.sysExit.trace(nr, value);
    syscalls[nr]?.exit.trace(nr, value);
  };
  gate(hooks, "schedSwitchOn", [events.schedSwitch]);
  hooks.schedSwitch = (previous, next, state) => events.schedSwitch.trace(previous, next, state);
  gate(hooks, "schedWakeupOn", [events.schedWaking, events.schedWakeup, events.schedWakeupNew]);
  hooks.schedWakeup = (task, isNew) => {
    if (isNew) events.schedWakeupNew.trace(task);
    else {
      events.schedWaking.trace(task);
      events.schedWakeup.trace(task);
    }
  };
  gate(hooks, "processForkOn", [events.schedProcessFork]);
  hooks.processFork = (parent, child) => events.schedProcessFork.trace(parent, child);
  gate(hooks, "processExecOn", [events.schedProcessExec]);
  hooks.processExec = (task, filename, oldPid) => events.schedProcessExec.trace(task, filename, oldPid);
  gate(hooks, "processExitOn", [events.schedProcessExit]);
  hooks.processExit = (task) => events.schedProcessExit.trace(task);
  gate(hooks, "processFreeOn", [events.schedProcessFree]);
  hooks.processFree = (task) => events.schedProcessFree.trace(task);
  gate(hooks, "signalGenerateOn", [events.signalGenerate]);
  hooks.signalGenerate = (signal, code, target, group, result) =>
    events.signalGenerate.trace(signal, code, target, group, result);
  gate(hooks, "signalDeliverOn", [events.signalDeliver]);
  hooks.signalDeliver = (signal, code, _task, handler, flags) =>
    events.signalDeliver.trace(signal, code, handler, flags);
  gate(hooks, "pageFaultOn", [events.pageFaultUser]);
  hooks.pageFault = (_task, address, cause) => events.pageFaultUser.trace(address, cpu.pc, cause);
  gate(hooks, "blockOn", [events.blockRqIssue, events.blockRqComplete]);
  hooks.blockIssue = (request) => events.blockRqIssue.trace(request);
  hooks.blockComplete = (request, error) => events.blockRqComplete.trace(request, error);
}
