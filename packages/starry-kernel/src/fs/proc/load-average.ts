/**
 * The 1, 5 and 15 minute load averages: exponentially damped number of runnable tasks (kernel/sched/loadavg.c).
 *
 * Linux samples every five seconds. So that an idle machine can sleep, the samples are made up for whenever somebody looks, under
 * the assumption that as many tasks were runnable since the last look as are now.
 */
import type { Kernel } from "../../kernel.ts";

const SAMPLE_NS = 5e9;
/** Periods in ns. */
const PERIODS = [60e9, 300e9, 900e9];

export class LoadAverage {
  readonly #kernel: Kernel;
  readonly #loads = [0, 0, 0];
  #sampledNs = 0;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** Loads over 1, 5 and 15 minutes. */
  figures(): readonly number[] {
    const now = this.#kernel.clock.monotonicNs();
    const samples = Math.floor((now - this.#sampledNs) / SAMPLE_NS);
    if (samples > 0) {
      this.#sampledNs += samples * SAMPLE_NS;
      const active = this.#kernel.scheduler.queued; // the reader itself is not counted
      for (let i = 0; i < PERIODS.length; i++) {
        const keep = Math.exp((-samples * SAMPLE_NS) / (PERIODS[i] as number));
        this.#loads[i] = (this.#loads[i] as number) * keep + active * (1 - keep);
      }
    }
    return this.#loads;
  }
}
