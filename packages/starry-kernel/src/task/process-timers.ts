/**
 * Timers of a process: setitimer(2) and timer_create(2).
 */
import { SIGALRM } from "linux-abi";
import { sendToProcess } from "../signal/send.ts";
import { kernelSignal } from "../signal/siginfo.ts";
import { Timer } from "../timer-queue.ts";
import type { PosixTimer } from "../time/posix-timer.ts";
import { CpuTimers } from "./cpu-timers.ts";
import type { Process } from "./process.ts";

export class ProcessTimers {
  readonly #process: Process;
  /** ITIMER_REAL: period in ns, 0 for once. */
  realIntervalNs = 0;
  readonly real: Timer;
  readonly cpu: CpuTimers;
  /** timer_create, by id. */
  readonly posix: Map<number, PosixTimer> = new Map();
  nextId = 0;

  constructor(process: Process) {
    this.#process = process;
    this.cpu = new CpuTimers(process);
    this.real = new Timer((now) => this.#realExpired(now));
  }

  #realExpired(nowNs: number): void {
    sendToProcess(this.#process, kernelSignal(SIGALRM));
    if (this.realIntervalNs === 0) return;
    // Periods that have passed meanwhile are not made up for.
    const late = nowNs - this.real.deadlineNs;
    const periods = Math.floor(late / this.realIntervalNs) + 1;
    this.#process.kernel.timers.arm(this.real, this.real.deadlineNs + periods * this.realIntervalNs);
  }

  /** execve: timer_create's timers go, setitimer's stay. */
  disarmPosix(): void {
    for (const timer of this.posix.values()) timer.disarm();
    this.posix.clear();
  }

  disarmAll(): void {
    this.disarmPosix();
    this.cpu.disarmAll();
    this.#process.kernel.timers.disarm(this.real);
  }
}
