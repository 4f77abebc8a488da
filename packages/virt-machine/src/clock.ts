/**
 * The machine's time: the host's, or one that passes with the instructions it retires.
 *
 * With the virtual clock and a seeded random source a run is deterministic: same program, same input, same times.
 */

export interface Clock {
  /** Nanoseconds since an arbitrary start, an integer, never going back. */
  monotonicNs(): number;
  /** Nanoseconds since 1970-01-01 UTC, an integer up to the precision of a double (256 ns). */
  realtimeNs(): number;
  /** The machine is idle for `ns`. True: that time has passed now. False: the host has to wait. */
  skip(ns: number): boolean;
  /** Time passes with instructions alone, not by itself. Default false. */
  readonly isVirtual?: boolean;
  /** Called once by the board: how to count retired instructions. */
  attach?(retiredInstructions: () => number): void;
}

/** What a host's global object offers; `globalThis` of Node and of browsers will do. */
export interface PerformanceHost {
  readonly performance: { now(): number; readonly timeOrigin: number };
}

/** The host's time. `hostClock(globalThis)`. */
export function hostClock(host: PerformanceHost): Clock {
  return {
    monotonicNs: () => Math.floor(host.performance.now() * 1e6),
    realtimeNs: () => Math.floor((host.performance.timeOrigin + host.performance.now()) * 1e6),
    skip: () => false,
  };
}

export interface VirtualClockOptions {
  /** Nanoseconds a retired instruction takes. Default 10 (100 million a second). */
  readonly nsPerInstruction?: number;
  /** Wall clock at the start, ns since 1970. Default 2026-01-01 UTC. */
  readonly startRealtimeNs?: number;
}

/** Time that passes with retired instructions, and at once while the machine is idle. */
export class VirtualClock implements Clock {
  readonly isVirtual = true;
  readonly #nsPerInstruction: number;
  readonly #startRealtimeNs: number;
  #retired: () => number = () => 0;
  #skippedNs = 0;

  constructor(options: VirtualClockOptions = {}) {
    this.#nsPerInstruction = options.nsPerInstruction ?? 10;
    this.#startRealtimeNs = options.startRealtimeNs ?? 1_767_225_600e9;
    if (!(this.#nsPerInstruction > 0)) {
      throw new RangeError(`"nsPerInstruction" expected a positive number, got ${this.#nsPerInstruction}`);
    }
  }

  attach(retiredInstructions: () => number): void {
    this.#retired = retiredInstructions;
  }

  monotonicNs(): number {
    return Math.floor(this.#retired() * this.#nsPerInstruction) + this.#skippedNs;
  }

  realtimeNs(): number {
    return this.#startRealtimeNs + this.monotonicNs();
  }

  skip(ns: number): boolean {
    this.#skippedNs += Math.ceil(ns);
    return true;
  }
}
