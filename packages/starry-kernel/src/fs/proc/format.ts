/** Small pieces that several files of /proc share. */
import type { Kernel } from "../../kernel.ts";
import type { Process } from "../../task/process.ts";
import {
  EXIT_DEAD,
  EXIT_ZOMBIE,
  TASK_INTERRUPTIBLE,
  TASK_STOPPED,
  TASK_TRACED,
  TASK_UNINTERRUPTIBLE,
  type Task,
} from "../../task/task.ts";
import { Usage } from "../../task/usage.ts";

/** USER_HZ: clock ticks per second in /proc and times(2). */
const TICKS_PER_SEC = 100;

export function nsToTicks(ns: number): number {
  return Math.floor(ns / (1e9 / TICKS_PER_SEC));
}

/** Seconds with two digits, as in /proc/uptime. */
export function seconds(ns: number): string {
  return (Math.floor(ns / 1e7) / 100).toFixed(2);
}

/** CPU time and counts of a process: its live threads and those that have gone. */
export function processUsage(process: Process): Usage {
  const sum = new Usage();
  sum.add(process.usage);
  for (const thread of process.threads) sum.add(thread.usage);
  return sum;
}

/** State letter and word of /proc/PID/status. */
export function stateOf(task: Task): readonly [string, string] {
  if (task.process.zombie || (task.state & EXIT_ZOMBIE) !== 0) return ["Z", "zombie"];
  if ((task.state & EXIT_DEAD) !== 0) return ["X", "dead"];
  if ((task.state & TASK_STOPPED) !== 0) return ["T", "stopped"];
  if ((task.state & TASK_TRACED) !== 0) return ["t", "tracing stop"];
  if ((task.state & TASK_UNINTERRUPTIBLE) !== 0) return ["D", "disk sleep"];
  return (task.state & TASK_INTERRUPTIBLE) !== 0 ? ["S", "sleeping"] : ["R", "running"];
}

/** "name:" padded to the first tab stop and a figure in kB, as meminfo and status print it. */
export function kilobytes(name: string, bytes: number): string {
  return `${`${name}:`.padEnd(16)}${String(Math.floor(bytes / 1024)).padStart(8)} kB\n`;
}

/** 16 hex digits of two 32-bit halves. */
export function hex64(lo: number, hi: number): string {
  return (hi >>> 0).toString(16).padStart(8, "0") + (lo >>> 0).toString(16).padStart(8, "0");
}

/** CPU time of everything that has run, by kind. */
export function totalCpu(kernel: Kernel): { userNs: number; systemNs: number; niceNs: number; idleNs: number } {
  let userNs = 0;
  let systemNs = 0;
  let niceNs = 0;
  for (const process of kernel.tasks.processes()) {
    const usage = processUsage(process);
    if (process.leader.nice > 0) niceNs += usage.userNs;
    else userNs += usage.userNs;
    systemNs += usage.systemNs;
    // Those of children that were waited for are nowhere else any more.
    userNs += process.childUsage.userNs;
    systemNs += process.childUsage.systemNs;
  }
  const idleNs = Math.max(0, kernel.clock.monotonicNs() - userNs - systemNs - niceNs);
  return { userNs, systemNs, niceNs, idleNs };
}
