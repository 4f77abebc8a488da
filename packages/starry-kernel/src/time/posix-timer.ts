/**
 * A timer of timer_create(2): expires on a clock, sends a signal, counts what it could not send.
 */
import { SIGEV_NONE, SIGEV_THREAD_ID } from "linux-abi";
import { SI_TIMER, signalInfo } from "../signal/siginfo.ts";
import { sendToProcess, sendToTask } from "../signal/send.ts";
import type { Process } from "../task/process.ts";
import { Timer } from "../timer-queue.ts";

export interface PosixTimerOptions {
  readonly process: Process;
  readonly id: number;
  readonly clock: number;
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

  constructor(options: PosixTimerOptions) {
    this.options = options;
    this.timer = new Timer((now) => this.#expired(now));
  }

  arm(deadlineNs: number, intervalNs: number): void {
    this.intervalNs = intervalNs;
    this.overrun = 0;
    this.options.process.kernel.timers.arm(this.timer, deadlineNs);
  }

  disarm(): void {
    this.options.process.kernel.timers.disarm(this.timer);
  }

  #expired(nowNs: number): void {
    const { process, notify, signal, tid } = this.options;
    let missed = 0;
    if (this.intervalNs > 0) {
      const late = nowNs - this.timer.deadlineNs;
      missed = Math.floor(late / this.intervalNs);
      process.kernel.timers.arm(this.timer, this.timer.deadlineNs + (missed + 1) * this.intervalNs);
    }
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
