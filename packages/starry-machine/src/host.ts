/**
 * What a machine needs from the JavaScript host: a clock, randomness, an event loop. Node and browsers have all of it on
 * `globalThis`; tests and deterministic embedders pass their own.
 */
import type { PerformanceHost, TimerHost } from "virt-machine";

export interface MachineHost extends PerformanceHost, TimerHost {
  readonly performance: PerformanceHost["performance"] & TimerHost["performance"];
  readonly crypto: { getRandomValues(target: Uint8Array): Uint8Array };
}

/** The global object of this page, worker or process. */
export function thisHost(): MachineHost {
  return globalThis as unknown as MachineHost;
}

/** getRandomValues takes at most this many bytes at a time (W3C Web Cryptography). */
const RANDOM_BYTES = 65536;

/** Random numbers of the host, for buffers of any length. */
export function hostRandom(host: MachineHost): (target: Uint8Array) => void {
  return (target) => {
    for (let at = 0; at < target.length; at += RANDOM_BYTES)
      host.crypto.getRandomValues(target.subarray(at, at + RANDOM_BYTES));
  };
}
