/**
 * What a machine is doing right now, for the question "why does nothing happen?": every task with what it waits for, where its
 * program stands and how it got there, the last trap, and the counters.
 *
 * It only reads. The report is an object for programs (`JSON.stringify(report)`) and a text for people (`String(report)`).
 */
import { SYSCALL_NAMES } from "linux-abi";
import { CAUSE_NAMES, disassemble } from "rv64-cpu/isa";
import type { JitStatistics } from "rv64-cpu/jit";
import type { Kernel, Task } from "starry-kernel";
import { GuestSymbols, presentBytes } from "./profile/guest-symbols.ts";

export interface TaskReport {
  readonly tid: number;
  readonly pid: number;
  readonly parent: number;
  readonly comm: string;
  /** As in /proc/PID/stat, and "running" for the one on the hart. */
  readonly state: string;
  /** System call in progress, or null. */
  readonly syscall: string | null;
  /** What ends its sleep: the kernel's name of the wait, and nanoseconds to its deadline if it has one. */
  readonly waitsFor: { readonly channel: string; readonly remainingNs: number | null } | null;
  readonly pc: string;
  /** The instruction at pc; "" if it is not in memory. */
  readonly instruction: string;
  /** `name+0x1c (file)`, the innermost frame first. */
  readonly stack: readonly string[];
  readonly userSeconds: number;
  readonly systemSeconds: number;
  readonly residentBytes: number;
}

export interface MachineFacts {
  /** "running", "idle", or how it ended. */
  readonly state: string;
  readonly uptimeSeconds: number;
  readonly instructions: number;
  readonly contextSwitches: number;
  readonly pageFaults: number;
  readonly memoryBytes: number;
  readonly memoryFreeBytes: number;
  readonly lastTrap: { readonly cause: string; readonly value: string; readonly pc: string };
  /** Nanoseconds to the next timer, or null. */
  readonly nextTimerNs: number | null;
  /** Translations that the TLB did not have, where the host had to help, and flushes. */
  readonly tlb: { readonly misses: number; readonly flushes: number };
  /** Of the compiler of hot code; null without one. */
  readonly jit: JitStatistics | null;
}

export class MachineReport {
  readonly machine: MachineFacts;
  readonly tasks: readonly TaskReport[];

  constructor(machine: MachineFacts, tasks: readonly TaskReport[]) {
    this.machine = machine;
    this.tasks = tasks;
  }

  toString(): string {
    const { machine, tasks } = this;
    const lines = [
      `machine ${machine.state}, up ${machine.uptimeSeconds.toFixed(3)} s, ${machine.instructions} instructions, ` +
        `${machine.contextSwitches} context switches, ${machine.pageFaults} page faults`,
      `memory ${mebibytes(machine.memoryBytes - machine.memoryFreeBytes)} of ${mebibytes(machine.memoryBytes)} MiB in use`,
      `last trap: ${machine.lastTrap.cause}, value ${machine.lastTrap.value}, pc ${machine.lastTrap.pc}`,
      `tlb: ${machine.tlb.misses} misses that needed the host, ${machine.tlb.flushes} flushes`,
      machine.nextTimerNs === null ? "no timer is set" : `next timer in ${milliseconds(machine.nextTimerNs)}`,
    ];
    if (machine.jit !== null) {
      const { regions, modules, instructions, invalidated, retired } = machine.jit;
      lines.push(
        `compiled: ${regions} regions in ${modules} modules (${instructions} instructions, ${invalidated} invalidated), ` +
          `${retired} instructions ran in them`,
      );
    }
    for (const task of tasks) {
      lines.push("", ...taskLines(task));
    }
    return `${lines.join("\n")}\n`;
  }
}

function taskLines(task: TaskReport): string[] {
  const thread = task.tid === task.pid ? "" : `, thread of ${task.pid}`;
  const times = `user ${task.userSeconds.toFixed(3)} s, system ${task.systemSeconds.toFixed(3)} s`;
  const lines = [
    `task ${task.tid} ${task.comm} (parent ${task.parent}${thread}): ${task.state}, ${times}, ${mebibytes(task.residentBytes)} MiB`,
  ];
  if (task.waitsFor !== null) {
    const { channel, remainingNs } = task.waitsFor;
    const limit = remainingNs === null ? "no time limit" : `at most ${milliseconds(remainingNs)} more`;
    lines.push(`  waits in ${task.syscall ?? "the kernel"} for ${channel}, ${limit}`);
  } else if (task.syscall !== null) lines.push(`  in ${task.syscall}`);
  if (task.pc !== "") lines.push(`  pc ${task.pc}  ${task.instruction}`);
  task.stack.forEach((frame, n) => {
    lines.push(`  #${n} ${frame}`);
  });
  return lines;
}

/** Takes the report, between steps of the machine. */
export function reportOn(kernel: Kernel, tlb: MachineFacts["tlb"], jit: JitStatistics | null): MachineReport {
  kernel.account();
  const { cpu, clock, scheduler, frames, timers } = kernel;
  const nowNs = clock.monotonicNs();
  const symbols = new GuestSymbols(kernel);
  const tasks = [...kernel.tasks.tasks()].map((task) => reportTask(kernel, symbols, task, nowNs));
  const busy = scheduler.queued > 0 || (scheduler.current !== null && scheduler.current.state === 0);
  return new MachineReport(
    {
      state: kernel.halted !== null ? kernel.halted.message : busy ? "running" : "idle",
      uptimeSeconds: nowNs / 1e9,
      instructions: cpu.instret,
      contextSwitches: scheduler.switches,
      pageFaults: kernel.memory.faults,
      memoryBytes: frames.total * 4096,
      memoryFreeBytes: frames.free * 4096,
      lastTrap: { cause: CAUSE_NAMES[cpu.trapCause] ?? `${cpu.trapCause}`, value: hex(cpu.trapValue), pc: hex(cpu.pc) },
      nextTimerNs: timers.nextNs === Number.POSITIVE_INFINITY ? null : Math.max(0, timers.nextNs - nowNs),
      tlb,
      jit,
    },
    tasks,
  );
}

function reportTask(kernel: Kernel, symbols: GuestSymbols, task: Task, nowNs: number): TaskReport {
  const { process, usage, wait } = task;
  const isLoaded = kernel.loadedTask === task;
  const isGone = process.zombie || task.state >= 16;
  const pc = isLoaded ? kernel.cpu.pc : task.pc;
  const stack = isGone ? [] : symbols.stackOf(task, pc, isLoaded ? kernel.cpu.x : task.x);
  return {
    tid: task.tid,
    pid: process.pid,
    parent: process.parent?.pid ?? 0,
    comm: task.comm,
    state: kernel.scheduler.current === task && task.state === 0 ? "running" : (STATES[task.state] ?? `${task.state}`),
    syscall: task.syscall < 0 || isGone ? null : (SYSCALL_NAMES[task.syscall] ?? `system call ${task.syscall}`),
    waitsFor:
      wait === null || isGone
        ? null
        : {
            channel: wait.channel,
            remainingNs: wait.deadlineNs === Number.POSITIVE_INFINITY ? null : Math.max(0, wait.deadlineNs - nowNs),
          },
    pc: isGone ? "" : hex(pc),
    instruction: isGone ? "" : instructionAt(task, pc),
    stack: stack.map((address) => describe(symbols, task, address)),
    userSeconds: usage.userNs / 1e9,
    systemSeconds: usage.systemNs / 1e9,
    residentBytes: isGone ? 0 : task.memory.residentPages * 4096,
  };
}

const STATES: Readonly<Record<number, string>> = {
  0: "runnable",
  1: "sleeping",
  2: "sleeping (uninterruptible)",
  4: "stopped",
  8: "stopped by its tracer",
  16: "dead",
  32: "zombie",
};

function describe(symbols: GuestSymbols, task: Task, address: number): string {
  const place = symbols.placeOf(task, address);
  return place === undefined
    ? `${hex(address)} [no code]`
    : `${place.name}+0x${place.offset.toString(16)} (${place.module.path})`;
}

function instructionAt(task: Task, pc: number): string {
  const bytes = presentBytes(task.memory, pc, 4);
  if (bytes.length < 2) return "";
  const low = bytes[0] | (bytes[1] << 8);
  if ((low & 3) !== 3) return disassemble(low, pc);
  return bytes.length < 4 ? "" : disassemble(low | (bytes[2] << 16) | (bytes[3] << 24), pc);
}

function hex(value: number): string {
  return `0x${(value < 0 ? value + 2 ** 64 : value).toString(16)}`;
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}

function milliseconds(ns: number): string {
  return `${(ns / 1e6).toFixed(3)} ms`;
}
