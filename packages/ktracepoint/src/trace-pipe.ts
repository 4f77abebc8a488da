/**
 * The trace buffer: one ring per CPU, read merged by time.
 *
 * `TracePipeRaw` is the live buffer, `TracePipeSnapshot` a copy of it that a `trace` reader walks through while the
 * live one goes on. Both are `TracePipeOps`, so the same reading loop serves `trace` and `trace_pipe`.
 */
import { TraceEntry } from "./entry.ts";
import { DEFAULT_BYTE_BUDGET, RingBuffer, type RingCursor } from "./ring-buffer.ts";

/** One record: when, where, and its bytes (header and fields, zero-padded to 4). */
export class TracePipeRecord {
  /** ns of the trace clock. */
  readonly timestamp: number;
  readonly cpuId: number;
  readonly event: Uint8Array;
  /** Records of this CPU lost just before this one. */
  readonly lost: number;

  constructor(timestamp: number, cpuId: number, event: Uint8Array, lost: number = 0) {
    this.timestamp = timestamp;
    this.cpuId = cpuId;
    this.event = event;
    this.lost = lost;
  }

  /** The common_* header. */
  entry(): TraceEntry {
    return new TraceEntry(this.event);
  }
}

/** Records in order of time, looked at before they are consumed. */
export interface TracePipeOps {
  peek(): TracePipeRecord | undefined;
  pop(): TracePipeRecord | undefined;
  isEmpty(): boolean;
}

export interface TracePipeOptions {
  /** Bound on the number of records; the oldest goes first. Default: only the byte budget counts. 0 drops everything. */
  readonly maxRecord?: number;
  /** Bytes per CPU. Default 1408 KiB. */
  readonly byteBudget?: number;
  /** Default 1. */
  readonly cpuCount?: number;
  /** Default true: the oldest records make room for new ones. */
  readonly overwrite?: boolean;
}

export class TracePipeRaw implements TracePipeOps {
  readonly #rings: RingBuffer[];
  #maxRecord: number;
  // The record that peek() made, until something is popped or pushed: pop() after peek() need not decode again.
  #peeked: TracePipeRecord | undefined = undefined;

  /** A number is the bound on records, as in ktracepoint 0.6. */
  constructor(options: TracePipeOptions | number = {}) {
    const given = typeof options === "number" ? { maxRecord: options } : options;
    const cpuCount = given.cpuCount ?? 1;
    if (!Number.isInteger(cpuCount) || cpuCount < 1)
      throw new RangeError(`"cpuCount" expected an integer >= 1, got ${cpuCount}`);
    const ring = { byteBudget: given.byteBudget ?? DEFAULT_BYTE_BUDGET, overwrite: given.overwrite ?? true };
    this.#rings = Array.from({ length: cpuCount }, () => new RingBuffer(ring));
    this.#maxRecord = maxRecordOf(given.maxRecord ?? Number.POSITIVE_INFINITY);
  }

  /** The oldest record. Its bytes are a copy. */
  peek(): TracePipeRecord | undefined {
    if (this.#peeked !== undefined) return this.#peeked;
    let oldest = -1;
    let oldestTime = 0;
    for (let cpu = 0; cpu < this.#rings.length; cpu++) {
      const ring = this.#rings[cpu]!;
      if (!ring.peek()) continue;
      const time = ring.headCursor.recordTime;
      if (oldest >= 0 && time >= oldestTime) continue;
      oldest = cpu;
      oldestTime = time;
    }
    if (oldest >= 0) this.#peeked = this.peekCpu(oldest);
    return this.#peeked;
  }

  /** Takes the oldest record. */
  pop(): TracePipeRecord | undefined {
    const record = this.peek();
    if (record === undefined) return undefined;
    this.#rings[record.cpuId]!.pop();
    this.#peeked = undefined;
    return record;
  }

  isEmpty(): boolean {
    for (const ring of this.#rings) if (!ring.isEmpty) return false;
    return true;
  }

  /** Records in the buffer now. */
  eventCount(): number {
    return this.#rings.reduce((sum, ring) => sum + ring.entries, 0);
  }

  /** Records in the buffer plus those overwritten: `entries-written` of the trace header. */
  writtenCount(): number {
    return this.#rings.reduce((sum, ring) => sum + ring.entries + ring.overrun, 0);
  }

  get cpuCount(): number {
    return this.#rings.length;
  }

  /** The ring of one CPU. Throws RangeError for a CPU there is not. */
  ring(cpu: number): RingBuffer {
    const ring = this.#rings[cpu];
    if (ring === undefined) throw new RangeError(`"cpu" expected 0..${this.#rings.length - 1}, got ${cpu}`);
    return ring;
  }

  maxRecord(): number {
    return this.#maxRecord;
  }

  /** Changes the bound; the oldest records go at once. */
  setMaxRecord(maxRecord: number): void {
    this.#maxRecord = maxRecordOf(maxRecord);
    this.#trim();
  }

  /** Adds a record at `timestamp` ns on CPU `cpuId`. False if it was dropped. */
  pushRecord(timestamp: number, cpuId: number, event: Uint8Array): boolean {
    const ring = this.#rings[cpuId];
    if (ring === undefined) throw new RangeError(`"cpuId" expected 0..${this.#rings.length - 1}, got ${cpuId}`);
    this.#peeked = undefined;
    if (this.#maxRecord === 0) {
      ring.droppedEvents++;
      return false;
    }
    const kept = ring.push(timestamp, event);
    if (this.#maxRecord !== Number.POSITIVE_INFINITY) this.#trim();
    return kept;
  }

  /** Adds a whole record object. */
  pushEvent(record: TracePipeRecord): boolean {
    return this.pushRecord(record.timestamp, record.cpuId, record.event);
  }

  #trim(): void {
    this.#peeked = undefined;
    let surplus = this.eventCount() - this.#maxRecord;
    while (surplus-- > 0) {
      const oldest = this.peek();
      if (oldest === undefined) return;
      this.#rings[oldest.cpuId]!.dropOldest();
      this.#peeked = undefined;
    }
  }

  clear(): void {
    this.#peeked = undefined;
    for (const ring of this.#rings) ring.clear();
  }

  /** Empties one CPU's ring. */
  clearCpu(cpu: number): void {
    this.#peeked = undefined;
    this.ring(cpu).clear();
  }

  /** Consumes the oldest sub-buffer of `cpu` into `out` (see RingBuffer.readPage). */
  readPage(cpu: number, out: Uint8Array): number {
    this.#peeked = undefined;
    return this.ring(cpu).readPage(out);
  }

  /** Consumes the oldest record of one CPU. */
  popCpu(cpu: number): TracePipeRecord | undefined {
    this.#peeked = undefined;
    const ring = this.ring(cpu);
    if (!ring.peek()) return undefined;
    const record = recordOf(ring, ring.headCursor, cpu, ring.lostEvents);
    ring.pop();
    return record;
  }

  /** The oldest record of one CPU, without consuming it. */
  peekCpu(cpu: number): TracePipeRecord | undefined {
    const ring = this.ring(cpu);
    return ring.peek() ? recordOf(ring, ring.headCursor, cpu, ring.lostEvents) : undefined;
  }

  setOverwrite(overwrite: boolean): void {
    for (const ring of this.#rings) ring.overwrite = overwrite;
  }

  /** Gives a CPU's ring another size in bytes; the newest records that fit are kept. */
  resize(cpu: number, byteBudget: number): void {
    this.#peeked = undefined;
    const old = this.ring(cpu);
    const ring = new RingBuffer({ byteBudget, overwrite: true });
    ring.overrun = old.overrun;
    ring.droppedEvents = old.droppedEvents;
    ring.readEvents = old.readEvents;
    for (const cursor = old.cursor(); old.decode(cursor); old.skip(cursor))
      ring.push(cursor.recordTime, old.recordAt(cursor));
    ring.overwrite = old.overwrite;
    this.#rings[cpu] = ring;
  }

  /** A copy for one reader, of all CPUs or of one. */
  snapshot(cpu?: number): TracePipeSnapshot {
    return this.#walk(cpu, (ring) => ring.snapshot());
  }

  /** As `snapshot` without the copy: good until the next push or pop. */
  view(cpu?: number): TracePipeSnapshot {
    return this.#walk(cpu, (ring) => ring);
  }

  #walk(cpu: number | undefined, take: (ring: RingBuffer) => RingBuffer): TracePipeSnapshot {
    return new TracePipeSnapshot(
      this.#rings.map((ring, i) => (cpu === undefined || cpu === i ? take(ring) : new RingBuffer({ byteBudget: 1 }))),
    );
  }
}

function recordOf(ring: RingBuffer, cursor: RingCursor, cpu: number, lost: number): TracePipeRecord {
  return new TracePipeRecord(cursor.recordTime, cpu, ring.recordAt(cursor).slice(), lost);
}

function maxRecordOf(maxRecord: number): number {
  if (!(maxRecord >= 0) || (maxRecord !== Number.POSITIVE_INFINITY && !Number.isInteger(maxRecord)))
    throw new RangeError(`"maxRecord" expected an integer >= 0, got ${maxRecord}`);
  return maxRecord;
}

/**
 * The records of some rings, walked through from the oldest; may be rewound. Consumes nothing of the rings. What was overwritten before shows in
 * `written`, not as a loss before the first record: that is for consuming readers, as on Linux.
 */
export class TracePipeSnapshot implements TracePipeOps {
  readonly #rings: readonly RingBuffer[];
  #cursors: RingCursor[];
  /** The next record of each CPU; null at its end, undefined before it was looked for. */
  #next: (TracePipeRecord | null | undefined)[];
  /** Records when the snapshot was taken, and those plus the ones overwritten. */
  readonly entries: number;
  readonly written: number;

  constructor(rings: readonly RingBuffer[]) {
    this.#rings = rings;
    this.#cursors = rings.map((ring) => ring.cursor());
    this.#next = rings.map(() => undefined);
    this.entries = rings.reduce((sum, ring) => sum + ring.entries, 0);
    this.written = rings.reduce((sum, ring) => sum + ring.entries + ring.overrun, 0);
  }

  /** Starts again at the oldest record. */
  rewind(): void {
    this.#cursors = this.#rings.map((ring) => ring.cursor());
    this.#next = this.#rings.map(() => undefined);
  }

  #ofCpu(cpu: number): TracePipeRecord | null {
    let record = this.#next[cpu];
    if (record === undefined) {
      const ring = this.#rings[cpu]!;
      const cursor = this.#cursors[cpu]!;
      record = ring.decode(cursor) ? recordOf(ring, cursor, cpu, 0) : null;
      this.#next[cpu] = record;
    }
    return record;
  }

  peek(): TracePipeRecord | undefined {
    let oldest: TracePipeRecord | undefined;
    for (let cpu = 0; cpu < this.#rings.length; cpu++) {
      const record = this.#ofCpu(cpu);
      if (record !== null && (oldest === undefined || record.timestamp < oldest.timestamp)) oldest = record;
    }
    return oldest;
  }

  pop(): TracePipeRecord | undefined {
    const record = this.peek();
    if (record === undefined) return undefined;
    this.#rings[record.cpuId]!.skip(this.#cursors[record.cpuId]!);
    this.#next[record.cpuId] = undefined;
    return record;
  }

  isEmpty(): boolean {
    return this.peek() === undefined;
  }
}
