/**
 * Chrome's trace event JSON, which Perfetto's UI and chrome://tracing open.
 *
 * Every record becomes an instant event with its fields on the track of its task; raw_syscalls:sys_enter/sys_exit become slices, and so does what
 * runs on each CPU between sched_switch events.
 *
 * Format: "Trace Event Format" by the Chromium project; `ts` and `dur` are microseconds.
 */
import { commonPid, readInteger, readString } from "./entry.ts";
import { FIELD_NUMBER, type FieldLayout } from "./layout.ts";
import { commOf } from "./trace-text.ts";
import type { TraceArray } from "./trace-array.ts";
import type { AnyTracePoint } from "./tracepoint.ts";

/** Process number that holds the CPU tracks: above every pid. */
const CPU_PROCESS = 0x7fff_ffff;

interface ChromeEvent {
  readonly name: string;
  readonly ph: "i" | "B" | "E" | "X" | "M";
  readonly ts?: number;
  readonly dur?: number;
  readonly pid: number;
  readonly tid: number;
  readonly cat?: string;
  readonly s?: "t";
  readonly args?: Record<string, unknown>;
}

export interface ChromeTraceOptions {
  /** Name of a system call, for slices of raw_syscalls events. Default: "syscall NR". */
  readonly syscallName?: (nr: number) => string;
}

/** Everything in `array`'s buffer as Chrome JSON text. Consumes nothing. */
export function exportChromeTrace(array: TraceArray, options: ChromeTraceOptions = {}): string {
  const snapshot = array.pipe.view();
  const events: ChromeEvent[] = [];
  const threads = new Map<number, string>();
  const running = new Map<number, { since: number; name: string }>();
  const inCall = new Map<number, string>();
  const syscallName = options.syscallName ?? ((nr: number) => `syscall ${nr}`);
  for (let record = snapshot.pop(); record !== undefined; record = snapshot.pop()) {
    const entry = record.entry();
    const point = array.registry.map.get(entry.commonType);
    if (point === undefined) continue;
    const tid = commonPid(record.event);
    const pid = array.tgids.get(tid) ?? tid;
    const ts = record.timestamp / 1000;
    if (!threads.has(tid)) threads.set(tid, commOf(array.cmdlines, tid));
    const where = { pid, tid, ts, cat: point.system };
    const args = argumentsOf(point, record.event);
    if (point.system === "raw_syscalls" && typeof args["id"] === "number") {
      const name = syscallName(args["id"]);
      if (point.name === "sys_enter") {
        events.push({ name, ph: "B", ...where, args });
        inCall.set(tid, name);
      } else if (inCall.delete(tid)) events.push({ name, ph: "E", ...where, args });
      continue;
    }
    if (point.name === "sched_switch" && point.system === "sched") {
      const before = running.get(record.cpuId);
      if (before !== undefined)
        events.push({
          name: before.name,
          ph: "X",
          ts: before.since,
          dur: ts - before.since,
          pid: CPU_PROCESS,
          tid: record.cpuId,
          cat: "sched",
        });
      if (args["next_pid"] === 0) running.delete(record.cpuId);
      else running.set(record.cpuId, { since: ts, name: `${String(args["next_comm"])}-${String(args["next_pid"])}` });
    }
    events.push({
      name: point.name,
      ph: "i",
      s: "t",
      ...where,
      args: { ...args, text: point.formatRecord(record.event) },
    });
  }
  const names: ChromeEvent[] = [...threads].map(([tid, name]) => ({
    name: "thread_name",
    ph: "M",
    pid: array.tgids.get(tid) ?? tid,
    tid,
    args: { name },
  }));
  names.push({ name: "process_name", ph: "M", pid: CPU_PROCESS, tid: 0, args: { name: "CPUs" } });
  return `${JSON.stringify({ displayTimeUnit: "ns", traceEvents: [...names, ...events] })}\n`;
}

function argumentsOf(point: AnyTracePoint, record: Uint8Array): Record<string, unknown> {
  const args: Record<string, unknown> = {};
  for (const field of point.schema.fields) args[field.name] = jsonValue(record, field);
  return args;
}

/** A field for JSON: 64-bit values beyond 2^53 as hexadecimal text. */
function jsonValue(record: Uint8Array, field: FieldLayout): unknown {
  const integer = (offset: number): number | string => {
    if (offset + field.elementSize > record.length) return 0;
    const value = readInteger(record, offset, field.elementSize, field.signed);
    return typeof value === "number" ? value : `0x${BigInt.asUintN(64, value).toString(16)}`;
  };
  if (field.kind === FIELD_NUMBER) return integer(field.offset);
  if (field.signed !== undefined && field.kind === 1)
    return Array.from({ length: field.count }, (_, i) => integer(field.offset + i * field.elementSize));
  return readString(record, field) ?? "";
}
