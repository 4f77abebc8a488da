/**
 * Records as the lines of `trace` and `trace_pipe`, and the header of `trace`.
 *
 *   "            bash-1234    [000] .....   12.345678: sched_switch: prev_comm=bash ..."
 *    %16s comm   -%-7d pid  [%03d]  flags  seconds     event: text
 *
 * Source: Linux kernel/trace/trace_output.c trace_print_context, kernel/trace/trace.c print_*_help_header.
 */
import type { TraceCmdLineCache } from "./cmdline-cache.ts";
import { commonPid, commonType, latencyText } from "./entry.ts";
import type { TracePointMap } from "./registry.ts";
import type { TracePipeRecord } from "./trace-pipe.ts";

/** How lines look; the defaults are those of a freshly booted Linux. */
export interface LineOptions {
  /** The five latency characters (trace option irq-info). Default true. */
  readonly irqInfo?: boolean;
  /** pid → tgid, to print the TGID column (record-tgid). Default: no column. */
  readonly tgids?: ReadonlyMap<number, number> | undefined;
  /** comm, pid, CPU, flags and time in front of the text (context-info). Default true. */
  readonly contextInfo?: boolean;
  /** Timestamps are nanoseconds, shown as seconds. Default true; false for counters, shown as they are. */
  readonly timeInNs?: boolean;
  /** Field values instead of the print fmt (option fields). Default false. */
  readonly fields?: boolean;
}

const DEFAULTS: LineOptions = {};

/** The name shown for a pid: "<idle>" for 0, "<...>" where none was saved. */
export function commOf(cmdlines: TraceCmdLineCache, pid: number): string {
  if (pid === 0) return "<idle>";
  if (pid < 0) return "<XXX>";
  return cmdlines.get(pid) ?? "<...>";
}

/** " %5lu.%06lu" of nanoseconds, rounded to microseconds. */
export function timeText(timeNs: number): string {
  const microseconds = Math.floor((timeNs + 500) / 1000);
  const seconds = Math.floor(microseconds / 1e6);
  return `${String(seconds).padStart(5)}.${String(microseconds - seconds * 1e6).padStart(6, "0")}`;
}

/** Formats records. Never throws on their bytes. */
export const TraceEntryParser = {
  /** One line with its newline. */
  parse(
    points: TracePointMap,
    cmdlines: TraceCmdLineCache,
    record: TracePipeRecord,
    options: LineOptions = DEFAULTS,
  ): string {
    const event = record.event;
    const type = commonType(event);
    const point = points.get(type);
    const body =
      point === undefined
        ? `Unknown type ${type}`
        : options.fields === true
          ? fieldsText(points, record)
          : point.formatRecord(event);
    const line = `${options.contextInfo === false ? "" : contextText(cmdlines, record, options)}${body}\n`;
    return record.lost > 0 ? `CPU:${record.cpuId} [LOST ${record.lost} EVENTS]\n${line}` : line;
  },
};

function contextText(cmdlines: TraceCmdLineCache, record: TracePipeRecord, options: LineOptions): string {
  const event = record.event;
  const pid = commonPid(event);
  let text = `${commOf(cmdlines, pid).padStart(16)}-${String(pid).padEnd(7)} `;
  if (options.tgids !== undefined) {
    const tgid = options.tgids.get(pid);
    text += tgid === undefined ? "(-------) " : `(${String(tgid).padStart(7)}) `;
  }
  text += `[${String(record.cpuId).padStart(3, "0")}] `;
  if (options.irqInfo !== false) text += latencyText(event[2] ?? 0, event[3] ?? 0);
  text += options.timeInNs === false ? ` ${String(record.timestamp).padStart(12)}` : ` ${timeText(record.timestamp)}`;
  return `${text}: `;
}

/** "name: a=1 b=0x2 ..." (Linux print_event_fields). */
function fieldsText(points: TracePointMap, record: TracePipeRecord): string {
  const point = points.get(commonType(record.event))!;
  return `${point.name}: ${point.fieldTexts(record.event).join(" ")}`;
}

/** What the header of `trace` shows. */
export interface TraceHeader {
  /** Records in the buffer. */
  readonly entries: number;
  /** Records written since it was cleared, lost ones included. */
  readonly written: number;
  readonly cpuCount: number;
  /** current_tracer. Default "nop". */
  readonly tracer?: string;
  readonly irqInfo?: boolean;
  /** TGID column. */
  readonly tgid?: boolean;
}

/** The header of `trace`, Linux's text. */
export function traceHeaderText(header: TraceHeader): string {
  const lines = [
    `# tracer: ${header.tracer ?? "nop"}`,
    "#",
    `# entries-in-buffer/entries-written: ${header.entries}/${header.written}   #P:${header.cpuCount}`,
    "#",
  ];
  if (header.irqInfo === false) {
    lines.push(
      `#           TASK-PID    ${header.tgid === true ? "   TGID   " : ""} CPU#     TIMESTAMP  FUNCTION`,
      `#              | |      ${header.tgid === true ? "     |    " : ""}   |         |         |`,
    );
  } else {
    const space = " ".repeat(header.tgid === true ? 12 : 2);
    const indent = `#                            ${space}`;
    lines.push(
      `${indent}  _-----=> irqs-off/BH-disabled`,
      `${indent} / _----=> need-resched`,
      `${indent}| / _---=> hardirq/softirq`,
      `${indent}|| / _--=> preempt-depth`,
      `${indent}||| / _-=> migrate-disable`,
      `${indent}|||| /     delay`,
      `#           TASK-PID  ${"     TGID   ".slice(0, space.length)} CPU#  |||||  TIMESTAMP  FUNCTION`,
      `#              | |    ${"       |    ".slice(0, space.length)}   |   |||||     |         |`,
    );
  }
  return `${lines.join("\n")}\n`;
}

/** The header with Linux's defaults: the seed's `default_fmt_str`. */
export function defaultFmtStr(entries: number, written: number, cpuCount: number): string {
  return traceHeaderText({ entries, written, cpuCount });
}
