/**
 * A trace array: one buffer with its own selection of events, filters, options and clock, in Linux's terms the top-level
 * tracing directory or an instance of it. Several over the same tracepoints do not disturb each other.
 *
 *   const tracing = new TraceArray(host, [hello]);
 *   tracing.selection.setEvent("demo:hello");
 *   hello.trace(7, "world");
 *   tracing.readText()                  // header and lines
 *
 * It implements `KernelTraceOps` over a `TraceHost`: the few facts about the traced system that the array cannot know.
 */
import { BUILTIN_EVENTS, MARKER_IP_HIGH, MARKER_IP_LOW, printEvent, rawDataEvent } from "./builtin-events.ts";
import { TraceCmdLineCache } from "./cmdline-cache.ts";
import {
  commonPid,
  commonType,
  type EntryWriter,
  enterEntry,
  leaveEntry,
  MAX_RECORD_SIZE,
  readInt32,
} from "./entry.ts";
import { ErrorLog } from "./error-log.ts";
import { ExtTracePoint, TraceEventFunc } from "./ext-tracepoint.ts";
import { EventSelection } from "./event-select.ts";
import type { KernelTraceOps } from "./ops.ts";
import { TracePointRegistry } from "./registry.ts";
import { DEFAULT_BYTE_BUDGET } from "./ring-buffer.ts";
import { type LineOptions, TraceEntryParser, timeText, traceHeaderText } from "./trace-text.ts";
import { TracePipeRaw, type TracePipeRecord, type TracePipeSnapshot } from "./trace-pipe.ts";
import type { AnyTracePoint } from "./tracepoint.ts";

const EINVAL = 22;
const EBADF = 9;

/** The traced system, seen from a trace array. Called from inside a hit: must not sleep or throw. */
export interface TraceHost {
  /** Thread id of the running task; 0 when none runs. */
  currentPid(): number;
  /** Its process (TGID column). */
  currentTgid(): number;
  currentComm(): string;
  /** 0 ≤ n < cpuCount */
  currentCpu(): number;
  /** common_flags in bits 0..7, preempt count in bits 8..15. */
  currentFlags(): number;
  readonly cpuCount: number;
  /** Clocks by Linux's name, in ns; the first is the default. "counter" is always there too. */
  readonly clocks: ReadonlyMap<string, () => number>;
}

/** Options in `trace_options` that have an effect here, with Linux's defaults. */
export const TRACE_OPTIONS: ReadonlyMap<string, boolean> = new Map([
  ["fields", false],
  ["context-info", true],
  ["record-cmd", true],
  ["record-tgid", false],
  ["overwrite", true],
  ["irq-info", true],
  ["markers", true],
  ["event-fork", false],
]);

export interface TraceArrayOptions {
  /** Bytes per CPU. Default 1408 KiB. */
  readonly byteBudget?: number;
  /** Bound on the number of records. Default: none. */
  readonly maxRecord?: number;
  /** Task names remembered. Default 4096. */
  readonly cmdlines?: number;
}

const COUNTER_CLOCK = "counter";

export class TraceArray implements KernelTraceOps {
  readonly host: TraceHost;
  readonly registry: TracePointRegistry;
  readonly selection: EventSelection;
  readonly errorLog: ErrorLog = new ErrorLog();
  readonly pipe: TracePipeRaw;
  readonly cmdlines: TraceCmdLineCache;
  /** pid → tgid of tasks that recorded something while record-tgid was on. */
  readonly tgids: Map<number, number> = new Map();
  /** tracing_on: false stops recording, nothing else. */
  tracingOn: boolean = true;
  /** tracing_cpumask: CPUs that record, bit n for CPU n. */
  cpuMask: number = -1;
  /** Called after each record that was queued; the kernel wakes pollers later, never here. */
  onRecord: () => void = ignore;
  readonly #options = new Map(TRACE_OPTIONS);
  #recordCmd = true;
  #recordTgid = false;
  #clock: string;
  #now: () => number;
  #counter = 0;
  #pids: Set<number> | null = null;
  #noPids: Set<number> | null = null;
  #followers: { event: ExtTracePoint; callback: TraceEventFunc<null> }[] = [];
  readonly #bytesBudgetOfCpu: number[];

  constructor(host: TraceHost, points: Iterable<AnyTracePoint>, options: TraceArrayOptions = {}) {
    this.host = host;
    const first = host.clocks.entries().next().value;
    if (first === undefined) throw new RangeError('"clocks" expected at least one clock');
    [this.#clock, this.#now] = first;
    const byteBudget = options.byteBudget ?? DEFAULT_BYTE_BUDGET;
    this.pipe = new TracePipeRaw({
      cpuCount: host.cpuCount,
      byteBudget,
      ...(options.maxRecord === undefined ? {} : { maxRecord: options.maxRecord }),
    });
    this.#bytesBudgetOfCpu = new Array(host.cpuCount).fill(byteBudget);
    this.cmdlines = new TraceCmdLineCache(options.cmdlines ?? 4096);
    this.registry = new TracePointRegistry(this, [...BUILTIN_EVENTS, ...points]);
    this.selection = new EventSelection(this.registry, (text, error) =>
      this.logFilterError(text, error.message, error.position),
    );
  }

  logFilterError(expression: string, message: string, position: number): void {
    this.errorLog.add(this.now(), "event filter parse error", message, expression, position);
  }

  /** ns (or ticks) of the selected clock. */
  now(): number {
    return this.#now();
  }

  // KernelTraceOps

  currentPid(): number {
    return this.host.currentPid();
  }

  currentComm(): string {
    return this.host.currentComm();
  }

  currentCpu(): number {
    return this.host.currentCpu();
  }

  currentFlags(): number {
    return this.host.currentFlags();
  }

  tracePipePushRawRecord(record: Uint8Array): void {
    if (!this.tracingOn) return;
    const cpu = this.host.currentCpu();
    if (((this.cpuMask >>> cpu) & 1) === 0) return;
    if ((this.#pids !== null || this.#noPids !== null) && !this.#pidsAllow(record)) return;
    this.pipe.pushRecord(this.#now(), cpu, record);
    this.onRecord();
  }

  traceCmdlinePush(pid: number): void {
    if (!this.tracingOn || pid === 0) return;
    if (this.#recordCmd) this.cmdlines.insert(pid, this.host.currentComm());
    if (this.#recordTgid) this.tgids.set(pid, this.host.currentTgid());
  }

  // trace_marker

  /** Adds a line of user text. Returns the bytes taken, −EBADF while tracing is off, −EINVAL when the option markers is off. */
  writeMarker(text: Uint8Array): number {
    if (!this.#options.get("markers")) return -EINVAL;
    if (!this.tracingOn) return -EBADF;
    const taken = Math.min(text.length, MAX_RECORD_SIZE - 16 - 2);
    const newline = taken === 0 || text[taken - 1] !== 0x0a;
    const body = new Uint8Array(taken + (newline ? 2 : 1));
    body.set(text.subarray(0, taken));
    if (newline) body[taken] = 0x0a;
    this.#writeBuiltin(printEvent, (entry) => entry.number64(MARKER_IP_LOW, MARKER_IP_HIGH), body);
    return taken;
  }

  /** Adds binary user data: a u32 id and bytes. */
  writeMarkerRaw(data: Uint8Array): number {
    if (!this.#options.get("markers") || data.length < 4 || data.length > MAX_RECORD_SIZE - 8) return -EINVAL;
    if (!this.tracingOn) return -EBADF;
    this.#writeBuiltin(rawDataEvent, (entry) => entry.number(readInt32(data, 0)), data.subarray(4));
    return data.length;
  }

  #writeBuiltin(point: AnyTracePoint, head: (entry: EntryWriter) => void, tail: Uint8Array): void {
    const entry = enterEntry();
    if (entry === null) return;
    try {
      const pid = this.currentPid();
      entry.begin(point.schema, point.id, this.currentFlags(), pid);
      head(entry);
      entry.tail(tail);
      entry.end();
      this.traceCmdlinePush(pid);
      this.tracePipePushRawRecord(entry.record());
    } finally {
      leaveEntry();
    }
  }

  // set_event_pid, set_event_notrace_pid

  /** Tasks to record, or null for all. */
  get eventPids(): ReadonlySet<number> | null {
    return this.#pids;
  }

  get noTracePids(): ReadonlySet<number> | null {
    return this.#noPids;
  }

  /** A write of pids to set_event_pid (or set_event_notrace_pid): they are added. −EINVAL for anything but numbers. */
  addEventPids(text: string, list: "trace" | "notrace"): number {
    const words = text.split(/[\s\0,]+/).filter((word) => word !== "");
    if (!words.every((word) => /^\d{1,10}$/.test(word))) return -EINVAL;
    if (words.length === 0) return 0;
    const pids = new Set(list === "trace" ? this.#pids : this.#noPids);
    for (const word of words) pids.add(Number(word));
    if (list === "trace") this.#pids = pids;
    else this.#noPids = pids;
    return 0;
  }

  clearEventPids(list: "trace" | "notrace"): void {
    if (list === "trace") this.#pids = null;
    else this.#noPids = null;
  }

  #pidsAllow(record: Uint8Array): boolean {
    const offsets = this.registry.map.get(commonType(record))?.pidOffsets ?? [];
    const concerned = [commonPid(record), ...offsets.map((offset) => readInt32(record, offset))];
    if (this.#pids !== null && !concerned.some((pid) => this.#pids!.has(pid))) return false;
    return this.#noPids === null || concerned.some((pid) => !this.#noPids!.has(pid));
  }

  /** Option event-fork: children of listed tasks are listed, tasks that exit leave the list. */
  #followForks(on: boolean): void {
    for (const { event, callback } of this.#followers) event.unregister(callback);
    this.#followers = [];
    if (!on) return;
    this.#follow("sched_process_fork", "parent_pid", "child_pid", (pids, parent, child) => {
      if (pids.has(parent)) pids.add(child);
    });
    // As Linux: a task stays listed while its end is being traced.
    const end =
      this.registry.findExtTracepointByName("sched_process_free", "sched") === undefined
        ? "sched_process_exit"
        : "sched_process_free";
    this.#follow(end, "pid", "pid", (pids, pid) => pids.delete(pid));
  }

  /** Listens to an event by the pids in its record, apart from this array's own state of it: no filter keeps anything away. */
  #follow(
    name: string,
    firstField: string,
    secondField: string,
    apply: (pids: Set<number>, first: number, second: number) => void,
  ): void {
    const point = this.registry.findExtTracepointByName(name, "sched")?.tracePoint();
    const first = point?.schema.byName.get(firstField)?.offset;
    const second = point?.schema.byName.get(secondField)?.offset;
    if (point === undefined || first === undefined || second === undefined) return;
    const event = new ExtTracePoint(point, this);
    const callback = new TraceEventFunc((record) => {
      for (const pids of [this.#pids, this.#noPids])
        if (pids !== null) apply(pids, readInt32(record, first), readInt32(record, second));
    }, null);
    callback.setPerfEnable(true);
    event.register(callback);
    this.#followers.push({ event, callback });
  }

  // trace_options, trace_clock, buffer size

  option(name: string): boolean | undefined {
    return this.#options.get(name);
  }

  optionNames(): Iterable<string> {
    return this.#options.keys();
  }

  /** −EINVAL for an option there is not. */
  setOption(name: string, on: boolean): number {
    if (!this.#options.has(name)) return -EINVAL;
    this.#options.set(name, on);
    if (name === "record-cmd") this.#recordCmd = on;
    if (name === "record-tgid") this.#recordTgid = on;
    if (name === "overwrite") this.pipe.setOverwrite(on);
    if (name === "event-fork") this.#followForks(on);
    return 0;
  }

  /** A write to trace_options: "name" or "noname". */
  writeOption(text: string): number {
    const name = text.replace(/\0/g, "").trim();
    if (this.#options.has(name)) return this.setOption(name, true);
    return name.startsWith("no") ? this.setOption(name.slice(2), false) : -EINVAL;
  }

  get clock(): string {
    return this.#clock;
  }

  clockNames(): string[] {
    return [...this.host.clocks.keys(), COUNTER_CLOCK];
  }

  /** Selects a clock and empties the buffer, whose times would not compare. −EINVAL for a clock there is not. */
  setClock(name: string): number {
    const clock = name === COUNTER_CLOCK ? () => ++this.#counter : this.host.clocks.get(name);
    if (clock === undefined) return -EINVAL;
    this.#clock = name;
    this.#now = clock;
    this.pipe.clear();
    return 0;
  }

  /** Bytes of one CPU's buffer as they were asked for. */
  byteBudget(cpu: number): number {
    return this.#bytesBudgetOfCpu[cpu] ?? 0;
  }

  /** Resizes one CPU's buffer, or all. −EINVAL for 0 or more than 2 GiB. */
  setByteBudget(byteBudget: number, cpu?: number): number {
    if (!(byteBudget > 0 && byteBudget <= 2 ** 31)) return -EINVAL;
    for (let i = 0; i < this.host.cpuCount; i++) {
      if (cpu !== undefined && cpu !== i) continue;
      this.pipe.resize(i, byteBudget);
      this.#bytesBudgetOfCpu[i] = byteBudget;
    }
    return 0;
  }

  // Text

  lineOptions(): LineOptions {
    return {
      irqInfo: this.#options.get("irq-info")!,
      contextInfo: this.#options.get("context-info")!,
      fields: this.#options.get("fields")!,
      tgids: this.#options.get("record-tgid") ? this.tgids : undefined,
      timeInNs: this.#clock !== COUNTER_CLOCK,
    };
  }

  /** A record as a line, with the options in force. */
  formatLine(record: TracePipeRecord): string {
    return TraceEntryParser.parse(this.registry.map, this.cmdlines, record, this.lineOptions());
  }

  /** The header of `trace` for a snapshot. */
  headerText(snapshot: TracePipeSnapshot): string {
    return traceHeaderText({
      entries: snapshot.entries,
      written: snapshot.written,
      cpuCount: this.host.cpuCount,
      irqInfo: this.#options.get("irq-info")!,
      tgid: this.#options.get("record-tgid")!,
    });
  }

  /** The whole of `trace`: header and lines. Consumes nothing. */
  readText(): string {
    const snapshot = this.pipe.view();
    const options = this.lineOptions();
    let text = this.headerText(snapshot);
    for (let record = snapshot.pop(); record !== undefined; record = snapshot.pop())
      text += TraceEntryParser.parse(this.registry.map, this.cmdlines, record, options);
    return text;
  }

  /** Consumes all records, each as a line. Returns their number. */
  drainLines(line: (text: string) => void): number {
    const options = this.lineOptions();
    let count = 0;
    for (let record = this.pipe.pop(); record !== undefined; record = this.pipe.pop()) {
      line(TraceEntryParser.parse(this.registry.map, this.cmdlines, record, options));
      count++;
    }
    return count;
  }

  /** Text of per_cpu/cpuN/stats. */
  statsText(cpu: number): string {
    const ring = this.pipe.ring(cpu);
    const time = (value: number): string => (this.#clock === COUNTER_CLOCK ? String(value) : timeText(value));
    return (
      `entries: ${ring.entries}\noverrun: ${ring.overrun}\ncommit overrun: 0\nbytes: ${ring.bytesUsed}\n` +
      `oldest event ts: ${time(Math.max(0, ring.oldestTime()))}\nnow ts: ${time(this.now())}\n` +
      `dropped events: ${ring.droppedEvents}\nread events: ${ring.readEvents}\n`
    );
  }

  /** Detaches from all tracepoints; the records stay readable. */
  [Symbol.dispose](): void {
    this.selection.disableAll();
    this.#followForks(false);
  }
}

function ignore(): void {}
