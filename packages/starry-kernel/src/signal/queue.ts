/**
 * Pending signals of a task or process: a bit per signal, and the queued infos.
 *
 * Signals 1..31 are queued at most once (the first info wins), real-time signals 32..64 as often as they are sent.
 * The mask is two int32 words: bit n − 1 of the 64 for signal n.
 */
import { SIGRTMIN } from "linux-abi";
import type { SignalInfo } from "./siginfo.ts";

/** Synchronous signals are taken before others of the same queue (Linux: SYNCHRONOUS_MASK). SEGV BUS ILL TRAP FPE SYS. */
const SYNCHRONOUS = (1 << 10) | (1 << 6) | (1 << 3) | (1 << 4) | (1 << 7) | (1 << 30);

export class SignalQueue {
  /** Pending set. */
  lo = 0;
  hi = 0;
  #infos: SignalInfo[] = [];

  get empty(): boolean {
    return (this.lo | this.hi) === 0;
  }

  get length(): number {
    return this.#infos.length;
  }

  has(signal: number): boolean {
    const word = signal <= 32 ? this.lo : this.hi;
    return ((word >>> ((signal - 1) & 31)) & 1) !== 0;
  }

  /** Queues; a standard signal that is pending already is dropped (returns false). */
  push(info: SignalInfo): boolean {
    const signal = info.signo;
    if (signal < SIGRTMIN && this.has(signal)) return false;
    if (signal <= 32) this.lo |= 1 << (signal - 1);
    else this.hi |= 1 << (signal - 33);
    this.#infos.push(info);
    return true;
  }

  /** Lowest pending signal not in the blocked set, synchronous ones first; 0 if none. */
  next(blockedLo: number, blockedHi: number): number {
    const lo = this.lo & ~blockedLo;
    const first = lo & SYNCHRONOUS;
    if (first !== 0) return 32 - Math.clz32(first & -first);
    if (lo !== 0) return 32 - Math.clz32(lo & -lo);
    const hi = this.hi & ~blockedHi;
    if (hi !== 0) return 64 - Math.clz32(hi & -hi);
    return 0;
  }

  /** Takes the oldest info of a pending signal. */
  take(signal: number): SignalInfo {
    const infos = this.#infos;
    let found = -1;
    let more = false;
    for (let i = 0; i < infos.length; i++) {
      if ((infos[i] as SignalInfo).signo !== signal) continue;
      if (found >= 0) {
        more = true;
        break;
      }
      found = i;
    }
    const info = infos[found] as SignalInfo;
    infos.splice(found, 1);
    if (!more) this.#clear(signal);
    return info;
  }

  /** Forgets a signal (it became ignored, or SIGCONT removes stops). */
  discard(signal: number): void {
    if (!this.has(signal)) return;
    this.#infos = this.#infos.filter((info) => info.signo !== signal);
    this.#clear(signal);
  }

  clear(): void {
    this.lo = 0;
    this.hi = 0;
    this.#infos = [];
  }

  #clear(signal: number): void {
    if (signal <= 32) this.lo &= ~(1 << (signal - 1));
    else this.hi &= ~(1 << (signal - 33));
  }
}
