/**
 * The kernel's messages: the ring that syslog(2) and /dev/kmsg read, copied line by line to the operator's log.
 */
import type { LogLevel, Platform } from "./platform.ts";
import { PollSet } from "./poll-set.ts";
import type { Clock } from "./time/clock.ts";

/** Messages kept. */
const CAPACITY = 4096;

export interface LogRecord {
  /** Counts from 0. */
  readonly sequence: number;
  /** Monotonic ns. */
  readonly timeNs: number;
  /** KERN_* severity, 0..7. */
  readonly severity: number;
  readonly text: string;
}

const SEVERITY: Readonly<Record<LogLevel, number>> = { error: 3, warn: 4, info: 6, debug: 7 };

export class KernelLog {
  readonly #clock: Clock;
  readonly #platform: Platform;
  #records: LogRecord[] = [];
  #next = 0;
  /** First message that SYSLOG_ACTION_READ has not delivered. */
  unread = 0;
  /** Messages before this one are hidden from SYSLOG_ACTION_READ_ALL (dmesg -c). */
  cleared = 0;
  /** Woken for every new message. */
  readonly pollSet: PollSet = new PollSet();

  constructor(clock: Clock, platform: Platform) {
    this.#clock = clock;
    this.#platform = platform;
  }

  add(level: LogLevel, text: string): void {
    this.record(SEVERITY[level], text);
    this.#platform.log(level, text);
  }

  /** A message that goes to the ring only (written to /dev/kmsg). */
  record(severity: number, text: string): void {
    this.#records.push({ sequence: this.#next++, timeNs: this.#clock.monotonicNs(), severity, text });
    if (this.#records.length > CAPACITY) this.#records.splice(0, this.#records.length - CAPACITY);
    this.pollSet.wake(1);
  }

  clear(): void {
    this.cleared = this.#next;
  }

  /** Messages from `sequence` on that are still kept. */
  since(sequence: number): readonly LogRecord[] {
    const first = this.#next - this.#records.length;
    return this.#records.slice(Math.max(0, sequence - first));
  }

  /** Sequence number of the next message. */
  get next(): number {
    return this.#next;
  }
}

/** A line as dmesg prints it: "[    0.000123] text". */
export function formatLogRecord(record: LogRecord): string {
  const seconds = Math.floor(record.timeNs / 1e9);
  const micros = Math.floor((record.timeNs % 1e9) / 1000);
  return `[${String(seconds).padStart(5)}.${String(micros).padStart(6, "0")}] ${record.text}`;
}
