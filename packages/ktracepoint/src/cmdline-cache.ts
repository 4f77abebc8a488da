/**
 * Names of tasks that records mention: `saved_cmdlines`.
 *
 * A record holds only a pid; its task may be gone when the line is printed. The cache keeps the names of the last N tasks that
 * recorded something, least recently used out first.
 */
import { truncateUtf8 } from "./utf8.ts";

/** TASK_COMM_LEN − 1: bytes of a task name without its NUL. */
export const COMM_BYTES = 15;

export class TraceCmdLineCache {
  // Insertion order is use order: oldest first.
  readonly #comms = new Map<number, string>();
  #maxRecord: number;
  // The task that was inserted last: by far the most frequent case.
  #lastPid = -1;
  #lastComm = "";

  /** `maxRecord` ≥ 1. */
  constructor(maxRecord: number) {
    this.#maxRecord = positive(maxRecord);
  }

  /** Remembers `pid`'s name, cut to 15 bytes at a character boundary. */
  insert(pid: number, comm: string): void {
    if (pid === this.#lastPid && comm === this.#lastComm) return;
    this.#lastPid = pid;
    this.#lastComm = comm;
    this.#comms.delete(pid);
    this.#comms.set(pid, truncateUtf8(comm, COMM_BYTES));
    if (this.#comms.size > this.#maxRecord) this.#evict();
  }

  /** The name, or `undefined`. Does not count as a use. */
  get(pid: number): string | undefined {
    return this.#comms.get(pid);
  }

  setMaxRecord(maxRecord: number): void {
    this.#maxRecord = positive(maxRecord);
    this.#evict();
  }

  maxRecord(): number {
    return this.#maxRecord;
  }

  get size(): number {
    return this.#comms.size;
  }

  clear(): void {
    this.#comms.clear();
    this.#lastPid = -1;
  }

  #evict(): void {
    for (const pid of this.#comms.keys()) {
      if (this.#comms.size <= this.#maxRecord) break;
      this.#comms.delete(pid);
      if (pid === this.#lastPid) this.#lastPid = -1;
    }
  }

  /** The lines of `saved_cmdlines` as they are now, most recent first. */
  snapshot(): TraceCmdLineCacheSnapshot {
    return new TraceCmdLineCacheSnapshot([...this.#comms].reverse());
  }
}

export class TraceCmdLineCacheSnapshot {
  readonly #entries: readonly (readonly [pid: number, comm: string])[];
  #at = 0;

  constructor(entries: readonly (readonly [pid: number, comm: string])[]) {
    this.#entries = entries;
  }

  /** The next line, "pid comm\n", or `undefined` at the end. */
  peek(): string | undefined {
    const entry = this.#entries[this.#at];
    return entry === undefined ? undefined : `${entry[0]} ${entry[1]}\n`;
  }

  pop(): string | undefined {
    const line = this.peek();
    if (line !== undefined) this.#at++;
    return line;
  }
}

function positive(maxRecord: number): number {
  if (!Number.isInteger(maxRecord) || maxRecord < 1)
    throw new RangeError(`"maxRecord" expected an integer >= 1, got ${maxRecord}`);
  return maxRecord;
}
