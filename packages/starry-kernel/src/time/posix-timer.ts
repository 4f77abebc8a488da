/**
 * A timer of timer_create(2): expires on a clock, sends a signal, counts what it could not send.
 */
import { SIGEV_NONE, SIGEV_THREAD_ID } from "linux-abi";
import { SI_TIMER, signalInfo } from "../signal/siginfo.ts";
import { sendToProcess, sendToTask } from "../signal/send.ts";
import type { Process } from "../task/process.ts";
import { COUNT_ALL, CpuTimer } from "../task/cpu-timers.ts";
import type { Task } from "../task/task.ts";
import { Timer } from "../timer-queue.ts";

export interface PosixTimerOptions {
  readonly process: Process;
  readonly id: number;
  readonly clock: number;
  /** Present for a CPU clock: the thread it counts, or null for the process. */
  readonly cpuOf?: Task | null;
  /** SIGEV_* */
  readonly notify: number;
  readonly signal: number;
  /** SIGEV_THREAD_ID: which thread. */
  readonly tid: number;
  readonly valueLo: number;
  readonly valueHi: number;
}

export class PosixTimer {
  readonly options: PosixTimerOptions;
  /** 0: once. */
  intervalNs = 0;
  /** Expirations since the last signal was sent, for timer_getoverrun. */
  overrun = 0;
  readonly timer: Timer;
  /** Set for a CPU clock; then `timer` is unused. */
  readonly cpu: CpuTimer | null;

  constructor(options: PosixTimerOptions) {
    this.options = options;
    this.timer = new Timer((now) => this.#expired(now));
    const { cpuOf } = options;
    this.cpu = cpuOf === undefined ? null : new CpuTimer(COUNT_ALL, cpuOf, (missed) => this.#send(missed));
  }

  /** `deadlineNs`: monotonic, or CPU time for a CPU clock. */
  arm(deadlineNs: number, intervalNs: number): void {
    const { process } = this.options;
    this.intervalNs = intervalNs;
    this.overrun = 0;
    if (this.cpu === null) {
      process.kernel.timers.arm(this.timer, deadlineNs);
      return;
    }
    this.cpu.deadlineNs = deadlineNs;
    this.cpu.intervalNs = intervalNs;
    process.timers.cpu.posix.add(this.cpu);
    process.timers.cpu.update();
  }

  disarm(): void {
    const { process } = this.options;
    process.kernel.timers.disarm(this.timer);
    if (this.cpu === null) return;
    this.cpu.deadlineNs = Number.POSITIVE_INFINITY;
    process.timers.cpu.posix.delete(this.cpu);
    process.timers.cpu.update();
  }

  #expired(nowNs: number): void {
    let missed = 0;
    if (this.intervalNs > 0) {
      const late = nowNs - this.timer.deadlineNs;
      missed = Math.floor(late / this.intervalNs);
      const next = this.timer.deadlineNs + (missed + 1) * this.intervalNs;
      this.options.process.kernel.timers.arm(this.timer, next);
    }
    this.#send(missed);
  }

  #send(missed: number): void {
    const { process, notify, signal, tid } = this.options;
    if (notify === SIGEV_NONE) return;
    const target = notify === SIGEV_THREAD_ID ? process.threads.find((t) => t.tid === tid) : undefined;
    const queue = target === undefined ? process.pending : target.pending;
    if (queue.has(signal)) {
      this.overrun += missed + 1;
      return;
    }
    this.overrun = missed;
    const info = signalInfo(signal, SI_TIMER, {
      timerId: this.options.id,
      overrun: missed,
      valueLo: this.options.valueLo,
      valueHi: this.options.valueHi,
    });
    if (target !== undefined) sendToTask(target, info);
    else sendToProcess(process, info);
  }
}
