/**
 * Entry types that every trace buffer knows without an event behind them: what user space writes into it.
 *
 * They have Linux's fixed ids and live under events/ftrace/, without `enable` and `filter`.
 */
import { readString } from "./entry.ts";
import { type AnyTracePoint, TracePoint } from "./tracepoint.ts";

/** TRACE_PRINT: a line written to trace_marker. */
export const TRACE_PRINT = 5;
/** TRACE_RAW_DATA: bytes written to trace_marker_raw. */
export const TRACE_RAW_DATA = 18;

/**
 * The `ip` of marker records, and the symbol that stands for it: tools print "%ps" through /proc/kallsyms (or the copy in trace.dat).
 * Halves of 0xffffffff80000000.
 */
export const MARKER_IP_LOW: number = 0x8000_0000 | 0;
export const MARKER_IP_HIGH = -1;
export const MARKER_SYMBOL = "ffffffff80000000 T tracing_mark_write\n";

/** ftrace:print */
export const printEvent: AnyTracePoint = /* @__PURE__ */ new TracePoint({
  system: "ftrace",
  name: "print",
  builtinId: TRACE_PRINT,
  fields: ["unsigned long ip", "char buf[]"],
  print: '"%ps: %s", (void *)REC->ip, REC->buf',
  text: (record, layout) => `tracing_mark_write: ${(readString(record, layout.fields[1]!) ?? "").replace(/\n$/, "")}`,
});

/** ftrace:raw_data */
export const rawDataEvent: AnyTracePoint = /* @__PURE__ */ new TracePoint({
  system: "ftrace",
  name: "raw_data",
  builtinId: TRACE_RAW_DATA,
  fields: ["unsigned int id", "char buf[]"],
  print: '"id:%04x %08x", REC->id, (int)REC->buf[0]',
  text: (record) => {
    const id = record[8]! | (record[9]! << 8) | (record[10]! << 16) | (record[11]! << 24);
    return `# ${(id >>> 0).toString(16)} buf:${Array.from(record.subarray(12), (byte) => ` ${byte.toString(16).padStart(2, "0")}`).join("")}`;
  },
});

export const BUILTIN_EVENTS: readonly AnyTracePoint[] = [printEvent, rawDataEvent];
