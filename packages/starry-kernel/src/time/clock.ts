/**
 * The kernel's clocks, derived from the platform's: monotonic since boot, and the adjustable wall clock.
 *
 * Nanoseconds since boot fit a double exactly for 104 days, and to 2 ns for a year; the wall clock is kept as whole
 * seconds and nanoseconds because its nanoseconds since 1970 do not fit.
 */
import type { Platform } from "../platform.ts";

const NS_PER_SEC = 1_000_000_000;

/** What clock_getres tells of the clocks: Linux with high-resolution timers says 1 ns whatever the counter's step is. */
export const CLOCK_RESOLUTION_NS = 1;
/** Resolution of the coarse clocks: a tick at 250 Hz. */
export const COARSE_NS = 4_000_000;

export class Clock {
  /** Nanoseconds per tick of the hart's time CSR; 0 if there is none, or not a whole number. */
  readonly tickNs: number;
  /** Called when the wall clock was set: the monotonic time of every wall clock time has moved by `shiftNs`. */
  readonly whenSet: Set<(shiftNs: number) => void> = new Set();
  readonly #platform: Platform;
  /** A whole number of ticks. */
  readonly #bootNs: number;
  /** Programs read the same clock through the time CSR: the kernel must not be ahead of them by part of a tick. */
  readonly #stepNs: number;
  // Wall clock minus monotonic clock.
  #offsetSec = 0;
  #offsetNsec = 0;

  constructor(platform: Platform) {
    this.#platform = platform;
    const tickNs = platform.timebaseHz === undefined ? 0 : NS_PER_SEC / platform.timebaseHz;
    this.tickNs = Number.isInteger(tickNs) ? tickNs : 0;
    this.#stepNs = Math.max(this.tickNs, 1);
    this.#bootNs = this.#stepped(platform.monotonicNs());
    const now = platform.realtimeNs();
    const sec = Math.floor(now / NS_PER_SEC);
    this.#offsetSec = sec;
    this.#offsetNsec = Math.max(0, Math.floor(now - sec * NS_PER_SEC));
  }

  /** Nanoseconds since boot, in steps of a tick. CLOCK_BOOTTIME is the same: this machine does not sleep. */
  monotonicNs(): number {
    return this.#stepped(this.#platform.monotonicNs()) - this.#bootNs;
  }

  #stepped(ns: number): number {
    return Math.floor(ns / this.#stepNs) * this.#stepNs;
  }

  /** `ns` rounded up to a time that the clock will show. */
  roundUp(ns: number): number {
    return Math.ceil(ns / this.#stepNs) * this.#stepNs;
  }

  /** The clocks at tick 0 of the time CSR, in ns. */
  monotonicAtTick0(): bigint {
    return -BigInt(this.#bootNs);
  }
  realtimeAtTick0(): bigint {
    return BigInt(this.#offsetSec) * BigInt(NS_PER_SEC) + BigInt(this.#offsetNsec) - BigInt(this.#bootNs);
  }

  /** The wall clock at a monotonic time: seconds since 1970. */
  realtimeSec(monotonicNs: number = this.monotonicNs()): number {
    return this.#offsetSec + Math.floor((this.#offsetNsec + monotonicNs) / NS_PER_SEC);
  }

  /** The nanoseconds that belong to `realtimeSec` of the same monotonic time. */
  realtimeNsec(monotonicNs: number = this.monotonicNs()): number {
    return Math.floor((this.#offsetNsec + monotonicNs) % NS_PER_SEC);
  }

  /** clock_settime(CLOCK_REALTIME). */
  setRealtime(sec: number, nsec: number): void {
    const monotonic = this.monotonicNs();
    const before = this.monotonicAt(sec, nsec);
    const whole = Math.floor(monotonic / NS_PER_SEC);
    this.#offsetSec = sec - whole;
    this.#offsetNsec = nsec - (monotonic - whole * NS_PER_SEC);
    if (this.#offsetNsec < 0) {
      this.#offsetNsec += NS_PER_SEC;
      this.#offsetSec--;
    }
    const shiftNs = this.monotonicAt(sec, nsec) - before;
    for (const listener of this.whenSet) listener(shiftNs);
  }

  /** The monotonic time at which the wall clock shows (sec, nsec), in ns. */
  monotonicAt(sec: number, nsec: number): number {
    return (sec - this.#offsetSec) * NS_PER_SEC + (nsec - this.#offsetNsec);
  }

  /** Seconds since 1970 at boot (btime in /proc/stat). */
  get bootSec(): number {
    return this.#offsetSec;
  }
}
