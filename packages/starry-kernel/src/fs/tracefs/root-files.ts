/**
 * The control files of a tracing directory, one row each: name, mode, text, command.
 *
 * Modes and texts are Linux's (kernel/trace/trace.c, init_tracer_tracefs and what it calls).
 */
import { EINVAL } from "linux-abi";
import { clockText, HEADER_EVENT_TEXT, HEADER_PAGE_TEXT, parseSwitch, type TraceArray } from "ktracepoint";
import type { ControlFile } from "./control-object.ts";
import { MODE_CONTROL, MODE_VIEW } from "./nodes.ts";
import { README_TEXT } from "./readme-text.ts";

/** Highest pid, the bound of saved_cmdlines_size (PID_MAX_DEFAULT on 64 bits is larger; Linux takes the same). */
const MAX_CMDLINES = 4_194_304;

export interface ControlRow extends ControlFile {
  readonly name: string;
  readonly mode: number;
}

/** A decimal number, white space around it, or undefined. */
function parseNumber(text: string): number | undefined {
  const match = /^\s*(\d{1,12})\s*\0?$/.exec(text);
  return match === null ? undefined : Number(match[1]);
}

function word(text: string): string {
  return text.replace(/\0/g, "").trim();
}

function writeSwitch(text: string, set: (on: boolean) => void): number {
  const on = parseSwitch(text);
  if (on === undefined) return -EINVAL;
  set(on);
  return 0;
}

function writeNumber(text: string, minimum: number, maximum: number, set: (value: number) => number): number {
  const value = parseNumber(text);
  return value === undefined || value < minimum || value > maximum ? -EINVAL : set(value);
}

/** "1408 (expanded ...)" never shows: a ring here grows by itself. */
const kib = (bytes: number): number => Math.floor(bytes / 1024);

export function bufferSizeRow(array: TraceArray, cpu: number | undefined): ControlRow {
  return {
    name: "buffer_size_kb",
    mode: MODE_CONTROL,
    read: () => {
      const sizes = new Set<number>();
      for (let i = 0; i < array.host.cpuCount; i++)
        if (cpu === undefined || cpu === i) sizes.add(kib(array.byteBudget(i)));
      return sizes.size === 1 ? `${[...sizes].join("")}\n` : "X\n";
    },
    write: (text) => writeNumber(text, 1, 2 ** 21, (value) => array.setByteBudget(value * 1024, cpu)),
  };
}

/** The option files; `trace_options` shows the same as a list. */
export function optionRows(array: TraceArray): ControlRow[] {
  return [...array.optionNames()].map((name) => ({
    name,
    mode: MODE_CONTROL,
    read: () => (array.option(name) ? "1\n" : "0\n"),
    write: (text) => writeSwitch(text, (on) => array.setOption(name, on)),
  }));
}

function pidRow(array: TraceArray, name: string, list: "trace" | "notrace"): ControlRow {
  return {
    name,
    mode: MODE_CONTROL,
    read: () => {
      const pids = list === "trace" ? array.eventPids : array.noTracePids;
      return pids === null
        ? ""
        : [...pids]
            .sort((a, b) => a - b)
            .map((pid) => `${pid}\n`)
            .join("");
    },
    write: (text) => array.addEventPids(text, list),
    truncate: () => array.clearEventPids(list),
  };
}

/** Files of every tracing directory, top-level and instance. */
export function controlRows(array: TraceArray): ControlRow[] {
  const { selection } = array;
  return [
    { name: "available_tracers", mode: MODE_VIEW, read: () => "nop\n" },
    {
      name: "current_tracer",
      mode: MODE_CONTROL,
      read: () => "nop\n",
      write: (text) => {
        if (word(text) !== "nop") return -EINVAL;
        array.pipe.clear();
        return 0;
      },
    },
    {
      name: "tracing_on",
      mode: MODE_CONTROL,
      read: () => (array.tracingOn ? "1\n" : "0\n"),
      write: (text) =>
        writeSwitch(text, (on) => {
          array.tracingOn = on;
        }),
    },
    {
      name: "trace_options",
      mode: MODE_CONTROL,
      read: () => [...array.optionNames()].map((name) => `${array.option(name) ? "" : "no"}${name}\n`).join(""),
      write: (text) => array.writeOption(text),
    },
    {
      name: "trace_clock",
      mode: MODE_CONTROL,
      read: () => `${clockText(array)}\n`,
      write: (text) => array.setClock(word(text)),
    },
    { name: "timestamp_mode", mode: MODE_VIEW, read: () => "[delta] absolute\n" },
    {
      name: "tracing_cpumask",
      mode: MODE_CONTROL,
      read: () => `${cpuMask(array).toString(16)}\n`,
      write: (text) => {
        if (!/^[0-9a-fA-F]{1,8}$/.test(word(text))) return -EINVAL;
        array.cpuMask = Number.parseInt(word(text), 16) | 0;
        return 0;
      },
    },
    bufferSizeRow(array, undefined),
    {
      name: "buffer_total_size_kb",
      mode: MODE_VIEW,
      read: () => {
        let total = 0;
        for (let cpu = 0; cpu < array.host.cpuCount; cpu++) total += kib(array.byteBudget(cpu));
        return `${total}\n`;
      },
    },
    { name: "available_events", mode: MODE_VIEW, read: () => selection.available() },
    {
      name: "set_event",
      mode: MODE_CONTROL,
      read: () => selection.enabled(),
      write: (text) => selection.setEvent(text),
      truncate: () => selection.disableAll(),
    },
    pidRow(array, "set_event_pid", "trace"),
    pidRow(array, "set_event_notrace_pid", "notrace"),
    {
      name: "error_log",
      mode: MODE_CONTROL,
      read: () => array.errorLog.read(),
      write: () => 0,
      truncate: () => array.errorLog.clear(),
    },
  ];
}

/** Files that only the top-level directory has. */
export function topRows(array: TraceArray): ControlRow[] {
  return [
    { name: "README", mode: MODE_VIEW, read: () => README_TEXT },
    {
      name: "saved_cmdlines_size",
      mode: MODE_CONTROL,
      read: () => `${array.cmdlines.maxRecord()}\n`,
      write: (text) =>
        writeNumber(text, 1, MAX_CMDLINES, (value) => {
          array.cmdlines.setMaxRecord(value);
          return 0;
        }),
    },
    {
      name: "saved_tgids",
      mode: MODE_VIEW,
      read: () => [...array.tgids].map(([pid, tgid]) => `${pid} ${tgid}\n`).join(""),
    },
    { name: "printk_formats", mode: MODE_VIEW, read: () => "" },
  ];
}

/** Files directly in events/. */
export function eventsRows(array: TraceArray): ControlRow[] {
  const { selection } = array;
  return [
    {
      name: "enable",
      mode: MODE_CONTROL,
      read: () => selection.readEnable(),
      write: (text) => selection.writeEnable(text),
    },
    { name: "header_page", mode: MODE_VIEW, read: () => HEADER_PAGE_TEXT },
    { name: "header_event", mode: MODE_VIEW, read: () => HEADER_EVENT_TEXT },
  ];
}

/** Files of one system's directory. */
export function systemRows(array: TraceArray, system: string): ControlRow[] {
  const { selection } = array;
  return [
    {
      name: "enable",
      mode: MODE_CONTROL,
      read: () => selection.readEnable(system),
      write: (text) => selection.writeEnable(text, system),
    },
    {
      name: "filter",
      mode: MODE_CONTROL,
      read: () => selection.readFilter(system),
      write: (text) => selection.writeFilter(text, system),
    },
  ];
}

function cpuMask(array: TraceArray): number {
  const all = array.host.cpuCount >= 32 ? -1 : (1 << array.host.cpuCount) - 1;
  return (array.cpuMask & all) >>> 0;
}
