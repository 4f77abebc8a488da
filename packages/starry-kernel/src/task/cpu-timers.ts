/**
 * Timers that count CPU time: ITIMER_VIRTUAL, ITIMER_PROF, timer_create on CPU clocks, and RLIMIT_CPU.
 *
 * They are looked at whenever the running task is charged (the end of each of its turns), so they are late by at most a
 * time slice.
 */
import { RLIMIT_CPU, SIGPROF, SIGVTALRM, SIGXCPU } from "linux-abi";
import { forceKill, sendToProcess } from "../signal/send.ts";
import { kernelSignal } from "../signal/siginfo.ts";
import type { Process } from "./process.ts";
import type { Task } from "./task.ts";

const NS_PER_SEC = 1_000_000_000;

/** Which CPU time counts. */
export const COUNT_USER = 0;
export const COUNT_ALL = 1;

/** A timer on the CPU time of a process, or of one thread. */
export class CpuTimer {
  readonly #count: number;
  readonly #expired: (overruns: number) => void;
  /** null: the whole process. */
  readonly thread: Task | null;
  /** CPU time at which it expires, in ns; Infinity: not armed. */
  deadlineNs: number = Number.POSITIVE_INFINITY;
  /** 0: once. */
  intervalNs = 0;

  /** `expired` gets the number of periods that were missed. */
  constructor(count: number, thread: Task | null, expired: (overruns: number) => void) {
    this.#count = count;
    this.thread = thread;
    this.#expired = expired;
  }

  /** CPU time that it counts, so far. */
  nowNs(process: Process): number {
    if (this.thread !== null) return this.thread.usage.userNs + this.thread.usage.systemNs;
    return cpuTimeOf(process, this.#count === COUNT_USER);
  }

  /** Time left, 0 if not armed. */
  remainingNs(process: Process): number {
    if (this.deadlineNs === Number.POSITIVE_INFINITY) return 0;
    return Math.max(1, this.deadlineNs - this.nowNs(process));
  }

  check(process: Process): void {
    const late = this.nowNs(process) - this.deadlineNs;
    if (late < 0 || this.deadlineNs === Number.POSITIVE_INFINITY) return;
    let missed = 0;
    if (this.intervalNs > 0) {
      missed = Math.floor(late / this.intervalNs);
      this.deadlineNs += (missed + 1) * this.intervalNs;
    } else this.deadlineNs = Number.POSITIVE_INFINITY;
    this.#expired(missed);
  }
}

/** CPU time of a process with its dead threads, in ns. Does not bring the running task up to date. */
export function cpuTimeOf(process: Process, userOnly: boolean): number {
  let ns = process.usage.userNs + (userOnly ? 0 : process.usage.systemNs);
  for (const thread of process.threads) {
    if (thread.accountsClosed) continue;
    ns += thread.usage.userNs + (userOnly ? 0 : thread.usage.systemNs);
  }
  return ns;
}

export class CpuTimers {
  readonly #process: Process;
  readonly virtual: CpuTimer;
  readonly profiling: CpuTimer;
  /** timer_create on CPU clocks. */
  readonly posix: Set<CpuTimer> = new Set();
  /** Something is armed: `check` has to be called. */
  active = false;
  /** Seconds of CPU time at which the next SIGXCPU is due. */
  #limitSec = 0;

  constructor(process: Process) {
    this.#process = process;
    this.virtual = new CpuTimer(COUNT_USER, null, () => void sendToProcess(process, kernelSignal(SIGVTALRM)));
    this.profiling = new CpuTimer(COUNT_ALL, null, () => void sendToProcess(process, kernelSignal(SIGPROF)));
  }

  /** After anything has been armed, disarmed or limited. */
  update(): void {
    const limit = this.#process.limits.soft[RLIMIT_CPU] as number;
    this.#limitSec = limit;
    this.active =
      limit !== Number.POSITIVE_INFINITY ||
      this.virtual.deadlineNs !== Number.POSITIVE_INFINITY ||
      this.profiling.deadlineNs !== Number.POSITIVE_INFINITY ||
      this.posix.size > 0;
  }

  check(): void {
    const process = this.#process;
    this.virtual.check(process);
    this.profiling.check(process);
    for (const timer of this.posix) timer.check(process);
    if (this.#limitSec === Number.POSITIVE_INFINITY) return;
    const seconds = cpuTimeOf(process, false) / NS_PER_SEC;
    if (seconds >= (process.limits.hard[RLIMIT_CPU] as number)) forceKill(process);
    else if (seconds >= this.#limitSec) {
      sendToProcess(process, kernelSignal(SIGXCPU));
      this.#limitSec = Math.floor(seconds) + 1; // once per second from here on
    }
  }

  disarmAll(): void {
    this.virtual.deadlineNs = Number.POSITIVE_INFINITY;
    this.profiling.deadlineNs = Number.POSITIVE_INFINITY;
    this.posix.clear();
    this.active = false;
  }
}
