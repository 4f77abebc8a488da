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

/** What `TracePipeRaw` and its snapshot have in common: rings, merged. */
class MergedRings implements TracePipeOps {
  protected rings: RingBuffer[];
  // The record that peek() made, until something is popped or pushed: pop() after peek() need not decode again.
  #peeked: TracePipeRecord | undefined = undefined;
  #peekedCpu = -1;

  constructor(rings: RingBuffer[]) {
    this.rings = rings;
  }

  protected forgetPeeked(): void {
    this.#peeked = undefined;
  }

  #oldestCpu(): number {
    let best = -1;
    let bestTime = 0;
    for (let cpu = 0; cpu < this.rings.length; cpu++) {
      const ring = this.rings[cpu]!;
      if (!ring.peek()) continue;
      const time = ring.headCursor.recordTime;
      if (best < 0 || time < bestTime) {
        best = cpu;
        bestTime = time;
      }
    }
    return best;
  }

  /** The oldest record. Its bytes are a copy. */
  peek(): TracePipeRecord | undefined {
    if (this.#peeked !== undefined) return this.#peeked;
    const cpu = this.#oldestCpu();
    if (cpu < 0) return undefined;
    this.#peekedCpu = cpu;
    this.#peeked = recordOf(this.rings[cpu]!, this.rings[cpu]!.headCursor, cpu, this.rings[cpu]!.lostEvents);
    return this.#peeked;
  }

  pop(): TracePipeRecord | undefined {
    const record = this.peek();
    if (record === undefined) return undefined;
    this.rings[this.#peekedCpu]!.pop();
    this.#peeked = undefined;
    return record;
  }

  isEmpty(): boolean {
    for (const ring of this.rings) if (!ring.isEmpty) return false;
    return true;
  }

  /** Records in the buffer now. */
  eventCount(): number {
    let count = 0;
    for (const ring of this.rings) count += ring.entries;
    return count;
  }

  /** Records in the buffer plus those overwritten: `entries-written` of the trace header. */
  writtenCount(): number {
    let count = 0;
    for (const ring of this.rings) count += ring.entries + ring.overrun;
    return count;
  }

  get cpuCount(): number {
    return this.rings.length;
  }

  /** The ring of one CPU. Throws RangeError for a CPU there is not. */
  ring(cpu: number): RingBuffer {
    const ring = this.rings[cpu];
    if (ring === undefined) throw new RangeError(`"cpu" expected 0..${this.rings.length - 1}, got ${cpu}`);
    return ring;
  }
}

function recordOf(ring: RingBuffer, cursor: RingCursor, cpu: number, lost: number): TracePipeRecord {
  return new TracePipeRecord(cursor.recordTime, cpu, ring.recordAt(cursor).slice(), lost);
}

export class TracePipeRaw extends MergedRings {
  #maxRecord: number;

  /** A number is the bound on records, as in ktracepoint 0.6. */
  constructor(options: TracePipeOptions | number = {}) {
    const given = typeof options === "number" ? { maxRecord: options } : options;
    const cpuCount = given.cpuCount ?? 1;
    if (!Number.isInteger(cpuCount) || cpuCount < 1)
      throw new RangeError(`"cpuCount" expected an integer >= 1, got ${cpuCount}`);
    const ring = { byteBudget: given.byteBudget ?? DEFAULT_BYTE_BUDGET, overwrite: given.overwrite ?? true };
    super(Array.from({ length: cpuCount }, () => new RingBuffer(ring)));
    this.#maxRecord = maxRecordOf(given.maxRecord ?? Number.POSITIVE_INFINITY);
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
    const ring = this.rings[cpuId];
    if (ring === undefined) throw new RangeError(`"cpuId" expected 0..${this.rings.length - 1}, got ${cpuId}`);
    this.forgetPeeked();
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
    this.forgetPeeked();
    let surplus = this.eventCount() - this.#maxRecord;
    while (surplus-- > 0) {
      const oldest = this.peek();
      if (oldest === undefined) return;
      this.rings[oldest.cpuId]!.dropOldest();
      this.forgetPeeked();
    }
  }

  clear(): void {
    this.forgetPeeked();
    for (const ring of this.rings) ring.clear();
  }

  /** Empties one CPU's ring. */
  clearCpu(cpu: number): void {
    this.forgetPeeked();
    this.ring(cpu).clear();
  }

  /** Consumes the oldest sub-buffer of `cpu` into `out` (see RingBuffer.readPage). */
  readPage(cpu: number, out: Uint8Array): number {
    this.forgetPeeked();
    return this.ring(cpu).readPage(out);
  }

  /** Consumes the oldest record of one CPU. */
  popCpu(cpu: number): TracePipeRecord | undefined {
    this.forgetPeeked();
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
    for (const ring of this.rings) ring.overwrite = overwrite;
  }

  /** Gives a CPU's ring another size in bytes; the newest records that fit are kept. */
  resize(cpu: number, byteBudget: number): void {
    this.forgetPeeked();
    const old = this.ring(cpu);
    const ring = new RingBuffer({ byteBudget, overwrite: true });
    ring.overrun = old.overrun;
    ring.droppedEvents = old.droppedEvents;
    ring.readEvents = old.readEvents;
    for (const cursor = old.cursor(); old.decode(cursor); old.skip(cursor))
      ring.push(cursor.recordTime, old.recordAt(cursor));
    ring.overwrite = old.overwrite;
    this.rings[cpu] = ring;
  }

  /** A copy for one reader, of all CPUs or of one. */
  snapshot(cpu?: number): TracePipeSnapshot {
    return new TracePipeSnapshot(
      this.rings.map((ring, i) =>
        cpu === undefined || cpu === i ? ring.snapshot() : new RingBuffer({ byteBudget: 1 }),
      ),
    );
  }
}

function maxRecordOf(maxRecord: number): number {
  if (!(maxRecord >= 0) || (maxRecord !== Number.POSITIVE_INFINITY && !Number.isInteger(maxRecord)))
    throw new RangeError(`"maxRecord" expected an integer >= 0, got ${maxRecord}`);
  return maxRecord;
}

export class TracePipeSnapshot extends MergedRings {
  readonly #entries: number;
  readonly #written: number;

  constructor(rings: RingBuffer[]) {
    super(rings);
    this.#entries = this.eventCount();
    this.#written = this.writtenCount();
  }

  /** Records when the snapshot was taken; reading it does not change the number. */
  get entries(): number {
    return this.#entries;
  }

  get written(): number {
    return this.#written;
  }
}
