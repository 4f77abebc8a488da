/**
 * The kernel's clocks, derived from the platform's: monotonic since boot, and the adjustable wall clock.
 *
 * Nanoseconds since boot fit a double exactly for 104 days, and to 2 ns for a year; the wall clock is kept as whole
 * seconds and nanoseconds because its nanoseconds since 1970 do not fit.
 */
import type { Platform } from "../platform.ts";

const NS_PER_SEC = 1_000_000_000;

export class Clock {
  readonly #platform: Platform;
  readonly #bootNs: number;
  // Wall clock minus monotonic clock.
  #offsetSec = 0;
  #offsetNsec = 0;

  constructor(platform: Platform) {
    this.#platform = platform;
    this.#bootNs = platform.monotonicNs();
    const now = platform.realtimeNs();
    const sec = Math.floor(now / NS_PER_SEC);
    this.#offsetSec = sec;
    this.#offsetNsec = Math.max(0, Math.floor(now - sec * NS_PER_SEC));
  }

  /** Nanoseconds since boot. CLOCK_BOOTTIME is the same: this machine does not sleep. */
  monotonicNs(): number {
    return this.#platform.monotonicNs() - this.#bootNs;
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
    const whole = Math.floor(monotonic / NS_PER_SEC);
    this.#offsetSec = sec - whole;
    this.#offsetNsec = nsec - (monotonic - whole * NS_PER_SEC);
    if (this.#offsetNsec < 0) {
      this.#offsetNsec += NS_PER_SEC;
      this.#offsetSec--;
    }
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
