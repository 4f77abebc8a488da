/**
 * Drives a machine on the host's event loop: works while there is work, lets the host's events in between, sleeps
 * without spinning while the machine is idle, and wakes on a timer or on `wake()`.
 *
 *   const running = runLoop((budget) => kernel.step(budget), loopHost(globalThis), { afterStep: () => board.poll(), … });
 *   board.onInterrupt = running.wake;
 *   await running.finished;
 *
 * `step(budget)` runs about `budget` instructions and tells what comes next:
 *   > 0  more work now       0  idle until an interrupt       < 0  idle until then, or for that many ns (negated)
 */
import type { Clock } from "./clock.ts";

export type Step = (budget: number) => number;

/** The host's event loop. `loopHost(globalThis)` makes one for Node and browsers. */
export interface LoopHost {
  /** Milliseconds since an arbitrary start. */
  nowMs(): number;
  /** Calls back soon, after events that wait already. */
  defer(callback: () => void): void;
  /** Calls back after `ms`; the result cancels that. */
  delay(ms: number, callback: () => void): () => void;
}

export interface RunLoopOptions {
  /** Instructions a step. Default 1 million. */
  readonly budget?: number;
  /** Milliseconds of work before host events get their turn. Default 10. */
  readonly turnMs?: number;
  /** Called after each step, e.g. to flush console output and update timer lines. */
  readonly afterStep?: () => void;
  /** Asked after each step: has the machine stopped? Default: never, only `stop()` ends the loop. */
  readonly isHalted?: () => boolean;
  /** A virtual clock lets idle time pass at once. Default: the host waits. */
  readonly clock?: Pick<Clock, "skip">;
}

export interface RunningLoop {
  /** Resolves when the machine has halted or `stop` was called; rejects with what a step threw. */
  readonly finished: Promise<void>;
  /** Ends a sleep: there is an interrupt or input. May be called at any time, also from within a step. */
  readonly wake: () => void;
  /** Ends the loop after the current step. */
  readonly stop: () => void;
}

const NS_PER_MS = 1_000_000;
/** Host timers have a granularity of 1 ms; shorter waits are spent by letting host events run. */
const MIN_DELAY_NS: number = NS_PER_MS;
const MAX_DELAY_MS = 0x7fff_ffff;

export function runLoop(step: Step, host: LoopHost, options: RunLoopOptions = {}): RunningLoop {
  const loop = new Loop(step, host, options);
  return { finished: loop.finished, wake: () => loop.wake(), stop: () => loop.stop() };
}

class Loop {
  readonly finished: Promise<void>;
  readonly #step: Step;
  readonly #host: LoopHost;
  readonly #budget: number;
  readonly #turnMs: number;
  readonly #options: RunLoopOptions;
  #resolve!: () => void;
  #reject!: (error: unknown) => void;
  #isStopped = false;
  /** A turn is scheduled or running. */
  #isAwake = true;
  /** `wake` was called since the current step began. */
  #isWoken = false;
  #cancelDelay: () => void = () => {};

  constructor(step: Step, host: LoopHost, options: RunLoopOptions) {
    this.#step = step;
    this.#host = host;
    this.#budget = options.budget ?? 1_000_000;
    this.#turnMs = options.turnMs ?? 10;
    this.#options = options;
    this.finished = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    host.defer(() => this.#turn());
  }

  wake(): void {
    this.#isWoken = true;
    if (this.#isAwake || this.#isStopped) return;
    this.#isAwake = true;
    this.#cancelDelay();
    this.#host.defer(() => this.#turn());
  }

  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#cancelDelay();
    this.#resolve();
  }

  #turn(): void {
    if (this.#isStopped) return;
    try {
      const started = this.#host.nowMs();
      do {
        this.#isWoken = false;
        const next = this.#step(this.#budget);
        this.#options.afterStep?.();
        if (this.#isStopped) return;
        if (this.#options.isHalted?.()) return this.stop();
        if (next <= 0 && !this.#isWoken && !this.#passTime(-next)) return this.#sleep(-next);
      } while (this.#host.nowMs() - started < this.#turnMs);
      this.#host.defer(() => this.#turn());
    } catch (error) {
      this.#isStopped = true;
      this.#reject(error);
    }
  }

  /** Has a virtual clock let `ns` pass? */
  #passTime(ns: number): boolean {
    return ns > 0 && this.#options.clock !== undefined && this.#options.clock.skip(ns);
  }

  /** `ns` = 0: until `wake`. */
  #sleep(ns: number): void {
    if (ns > 0 && ns < MIN_DELAY_NS) return this.#host.defer(() => this.#turn());
    this.#isAwake = false;
    this.#cancelDelay = () => {};
    if (ns === 0) return;
    const ms = Math.min(Math.ceil(ns / NS_PER_MS), MAX_DELAY_MS);
    this.#cancelDelay = this.#host.delay(ms, () => {
      this.#isAwake = true;
      this.#turn();
    });
  }
}

/** The parts of a global object that `loopHost` uses. */
export interface TimerHost {
  readonly performance: { now(): number };
  // biome-ignore lint/suspicious/noExplicitAny: timers are numbers in browsers and objects in Node
  setTimeout(callback: () => void, ms: number): any;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  clearTimeout(timer: any): void;
  readonly setImmediate?: (callback: () => void) => unknown;
  /** A constructor as browsers and Node have it; their type declarations do not agree on one. */
  readonly MessageChannel?: unknown;
}

interface MessageChannelLike {
  readonly port1: { onmessage: ((event: never) => void) | null };
  readonly port2: { postMessage(message: unknown): void };
}

/** Event loop of Node (setImmediate) or a browser (MessageChannel: setTimeout would cost 4 ms a turn there). */
export function loopHost(global: TimerHost): LoopHost {
  return {
    nowMs: () => global.performance.now(),
    defer: deferOf(global),
    delay(ms, callback): () => void {
      const timer = global.setTimeout(callback, ms);
      return () => global.clearTimeout(timer);
    },
  };
}

function deferOf(global: TimerHost): (callback: () => void) => void {
  const { setImmediate: immediate, MessageChannel } = global;
  if (immediate !== undefined) return (callback) => void immediate(callback);
  if (MessageChannel === undefined) return (callback) => void global.setTimeout(callback, 0);
  const { port1, port2 } = new (MessageChannel as new () => MessageChannelLike)();
  const queue: (() => void)[] = [];
  port1.onmessage = () => queue.shift()?.();
  return (callback) => {
    queue.push(callback);
    port2.postMessage(0);
  };
}
