/**
 * One system call argument as strace prints it, by its declared type.
 *
 * Types that the call fills in (`OUTPUT_TYPES`) are formatted when it returns, all others when it is entered.
 */
import {
  AT_FDCWD,
  SIG_DFL,
  SIG_IGN,
  STAT_ST_MODE,
  STAT_ST_RDEV,
  STAT_ST_SIZE,
  UTSNAME_MACHINE,
  UTSNAME_NODENAME,
  UTSNAME_RELEASE,
  UTSNAME_SYSNAME,
} from "linux-abi";
import { inSet } from "../signal/sigset.ts";
import type { UserMemory } from "../user-memory.ts";
import { flagSet, formatFlags, formatMode, futexOp, signalName, valueNamesOf } from "./flag-names.ts";

/** Bytes of a string that are shown (strace -s). */
const STRING_BYTES = 32;
/** Elements of an array that are shown. */
const ARRAY_ITEMS = 16;
const PATH_BYTES = 4096;

export const OUTPUT_TYPES: ReadonlySet<string> = new Set([
  "out_buf",
  "stat",
  "fd_pair",
  "utsname",
  "wstatus",
  "out_timespec",
  "out_timeval",
  "out_sigset",
  "out_sigaction",
  "out_rlimit",
  "out_int",
]);

export interface FormatContext {
  readonly memory: UserMemory;
  /** All arguments, by position. */
  readonly values: readonly number[];
  /** Position of the argument being formatted. */
  readonly index: number;
  /** The call's result, for arguments that it fills in. */
  readonly result: number;
}

export function formatArgument(type: string, value: number, context: FormatContext): string {
  const flags = flagSet(type);
  if (type === "clone_flags") return cloneFlags(value);
  if (flags !== undefined)
    return type === "prot" && value === 0
      ? "PROT_NONE"
      : type === "access_mode" && value === 0
        ? "F_OK"
        : formatFlags(flags, value);
  const names = valueNamesOf(type);
  if (names !== undefined) return names.get(value | 0) ?? hex(value);
  return FORMATTERS[type]?.(value, context) ?? hex(value);
}

/** The low byte is the signal of the child's end. */
function cloneFlags(value: number): string {
  const set = flagSet("clone_flags");
  const signal = value & 0xff;
  const flags = value - signal;
  const text = set === undefined || flags === 0 ? "" : formatFlags(set, flags);
  if (signal === 0) return text === "" ? "0" : text;
  return text === "" ? signalName(signal) : `${text}|${signalName(signal)}`;
}

type Formatter = (value: number, context: FormatContext) => string;

const decimal: Formatter = (value) => `${value}`;

const FORMATTERS: Readonly<Record<string, Formatter>> = {
  fd: decimal,
  int: decimal,
  uint: decimal,
  pid: decimal,
  long: decimal,
  off: decimal,
  size: decimal,
  ulong: decimal,
  uid: (value) => (value === 0xffffffff ? "-1" : `${value}`),
  gid: (value) => (value === 0xffffffff ? "-1" : `${value}`),
  dirfd: (value) => (value === AT_FDCWD ? "AT_FDCWD" : `${value}`),
  mode: (value) => formatMode(value),
  signal: signalName,
  futex_op: futexOp,
  flags: hex,
  ptr: pointer,
  path: (value, { memory }) => cString(memory, value, PATH_BYTES),
  str: (value, { memory }) => cString(memory, value, STRING_BYTES),
  str_array: stringArray,
  in_buf: (value, { memory, values, index }) => bytes(memory, value, values[index + 1] ?? 0),
  out_buf: (value, { memory, result }) => bytes(memory, value, result),
  iovec,
  timespec: (value, { memory }) => pair(memory, value, "tv_sec", "tv_nsec"),
  out_timespec: (value, { memory }) => pair(memory, value, "tv_sec", "tv_nsec"),
  timeval: (value, { memory }) => pair(memory, value, "tv_sec", "tv_usec"),
  out_timeval: (value, { memory }) => pair(memory, value, "tv_sec", "tv_usec"),
  sigset: sigset,
  out_sigset: sigset,
  sigaction,
  out_sigaction: sigaction,
  stat,
  pollfds,
  sockaddr,
  int_ptr: (value, { memory }) => integers(memory, value, 1),
  out_int: (value, { memory }) => integers(memory, value, 1),
  fd_pair: (value, { memory }) => integers(memory, value, 2),
  rlimit: (value, { memory }) => rlimit(memory, value),
  out_rlimit: (value, { memory }) => rlimit(memory, value),
  utsname,
  wstatus,
};

export function hex(value: number): string {
  return value < 0 ? `${value}` : value === 0 ? "0" : `0x${value.toString(16)}`;
}

function pointer(value: number): string {
  return value === 0 ? "NULL" : `0x${value.toString(16)}`;
}

const ESCAPES: Readonly<Record<number, string>> = {
  9: "\\t",
  10: "\\n",
  11: "\\v",
  12: "\\f",
  13: "\\r",
  34: '\\"',
  92: "\\\\",
};

/** A C string literal. */
export function quote(data: Uint8Array): string {
  let text = '"';
  for (let i = 0; i < data.length; i++) {
    const byte = data[i] as number;
    const short = ESCAPES[byte];
    if (short !== undefined) text += short;
    else if (byte >= 32 && byte < 127) text += String.fromCharCode(byte);
    else {
      // Three digits only where a digit follows, as strace does.
      const next = data[i + 1] ?? 0;
      const octal = byte.toString(8);
      text += `\\${next >= 48 && next <= 57 ? octal.padStart(3, "0") : octal}`;
    }
  }
  return `${text}"`;
}

function cString(memory: UserMemory, va: number, limit: number): string {
  if (va === 0) return "NULL";
  const data = new Uint8Array(limit);
  for (let i = 0; i < limit; i++) {
    const byte = memory.readU8(va + i);
    if (byte < 0) return pointer(va);
    if (byte === 0) return quote(data.subarray(0, i));
    data[i] = byte;
  }
  return `${quote(data)}...`;
}

function bytes(memory: UserMemory, va: number, length: number): string {
  if (va === 0) return "NULL";
  if (length < 0) return pointer(va);
  const data = new Uint8Array(Math.min(length, STRING_BYTES));
  if (memory.copyIn(va, data, 0, data.length) !== 0) return pointer(va);
  return `${quote(data)}${length > STRING_BYTES ? "..." : ""}`;
}

function stringArray(value: number, { memory, index }: FormatContext): string {
  if (value === 0) return "NULL";
  const items: string[] = [];
  let count = 0;
  for (; ; count++) {
    const at = memory.readU64(value + 8 * count);
    if (at < 0) return pointer(value);
    if (at === 0) break;
    if (count > 4096) break;
    if (items.length < ARRAY_ITEMS) items.push(cString(memory, at, STRING_BYTES));
  }
  // The environment is only counted (strace without -v).
  if (index >= 2) return `${pointer(value)} /* ${count} vars */`;
  return `[${items.join(", ")}${count > ARRAY_ITEMS ? ", ..." : ""}]`;
}

function iovec(value: number, { memory, values, index, result }: FormatContext): string {
  const count = Math.min(values[index + 1] ?? 0, ARRAY_ITEMS);
  const items: string[] = [];
  let left = result >= 0 ? result : Number.POSITIVE_INFINITY;
  for (let i = 0; i < count; i++) {
    const base = memory.readU64(value + 16 * i);
    const length = memory.readU64(value + 16 * i + 8);
    if (base < 0 || length < 0) return pointer(value);
    items.push(`{iov_base=${bytes(memory, base, Math.min(length, left))}, iov_len=${length}}`);
    left -= Math.min(length, left);
  }
  return `[${items.join(", ")}]`;
}

function i64(view: DataView, at: number): number {
  return view.getInt32(at + 4, true) * 4294967296 + view.getUint32(at, true);
}

function pair(memory: UserMemory, va: number, first: string, second: string): string {
  if (va === 0) return "NULL";
  if (memory.load(va, 16) !== 0) return pointer(va);
  return `{${first}=${i64(memory.scratch, 0)}, ${second}=${i64(memory.scratch, 8)}}`;
}

function setText(lo: number, hi: number): string {
  const names: string[] = [];
  const absent: string[] = [];
  for (let signal = 1; signal <= 64; signal++)
    (inSet(lo, hi, signal) ? names : absent).push(signalName(signal).replace(/^SIG/, ""));
  return names.length > 32 ? `~[${absent.join(" ")}]` : `[${names.join(" ")}]`;
}

function sigset(value: number, { memory }: FormatContext): string {
  if (value === 0) return "NULL";
  if (memory.load(value, 8) !== 0) return pointer(value);
  return setText(memory.scratch.getInt32(0, true), memory.scratch.getInt32(4, true));
}

function sigaction(value: number, { memory }: FormatContext): string {
  if (value === 0) return "NULL";
  if (memory.load(value, 24) !== 0) return pointer(value);
  const { scratch } = memory;
  const handler = i64(scratch, 0);
  const name = handler === SIG_DFL ? "SIG_DFL" : handler === SIG_IGN ? "SIG_IGN" : pointer(handler);
  const mask = setText(scratch.getInt32(16, true), scratch.getInt32(20, true));
  const set = flagSet("sa_flags");
  return `{sa_handler=${name}, sa_mask=${mask}, sa_flags=${set === undefined ? "" : formatFlags(set, scratch.getInt32(8, true))}}`;
}

function stat(value: number, { memory }: FormatContext): string {
  if (memory.load(value, 128) !== 0) return pointer(value);
  const { scratch } = memory;
  const mode = scratch.getUint32(STAT_ST_MODE, true);
  const isDevice = (mode & 0o170000) === 0o020000 || (mode & 0o170000) === 0o060000;
  const size = isDevice
    ? `st_rdev=makedev(0x${((i64(scratch, STAT_ST_RDEV) >> 8) & 0xfff).toString(16)}, 0x${(i64(scratch, STAT_ST_RDEV) & 0xff).toString(16)})`
    : `st_size=${i64(scratch, STAT_ST_SIZE)}`;
  return `{st_mode=${formatMode(mode)}, ${size}, ...}`;
}

function pollfds(value: number, { memory, values, index }: FormatContext): string {
  const count = Math.min(values[index + 1] ?? 0, ARRAY_ITEMS);
  const set = flagSet("poll_events");
  const items: string[] = [];
  for (let i = 0; i < count; i++) {
    const fd = memory.readU32(value + 8 * i);
    const events = memory.readU16(value + 8 * i + 4);
    if (fd < 0 || set === undefined) return pointer(value);
    items.push(`{fd=${fd | 0}, events=${formatFlags(set, events)}}`);
  }
  return `[${items.join(", ")}]`;
}

const AF_UNIX = 1;
const AF_INET = 2;

function sockaddr(value: number, { memory, values, index }: FormatContext): string {
  if (value === 0) return "NULL";
  const length = Math.min(values[index + 1] ?? 0, 110);
  if (length < 2 || memory.load(value, length) !== 0) return pointer(value);
  const { scratch, scratchBytes } = memory;
  const family = scratch.getUint16(0, true);
  if (family === AF_UNIX) {
    const path = scratchBytes.subarray(2, length);
    const end = path[0] === 0 ? path.length : path.indexOf(0) < 0 ? path.length : path.indexOf(0);
    return `{sa_family=AF_UNIX, sun_path=${path[0] === 0 && length > 2 ? "@" : ""}${quote(path.slice(path[0] === 0 ? 1 : 0, end))}}`;
  }
  if (family === AF_INET && length >= 8) {
    const address = [4, 5, 6, 7].map((i) => scratchBytes[i]).join(".");
    return `{sa_family=AF_INET, sin_port=htons(${scratch.getUint16(2, false)}), sin_addr=inet_addr("${address}")}`;
  }
  return `{sa_family=${valueNamesOf("family")?.get(family) ?? family}, ...}`;
}

function integers(memory: UserMemory, va: number, count: number): string {
  if (va === 0) return "NULL";
  if (memory.load(va, 4 * count) !== 0) return pointer(va);
  const items: number[] = [];
  for (let i = 0; i < count; i++) items.push(memory.scratch.getInt32(4 * i, true));
  return `[${items.join(", ")}]`;
}

function rlimit(memory: UserMemory, va: number): string {
  if (va === 0) return "NULL";
  if (memory.load(va, 16) !== 0) return pointer(va);
  const text = (at: number): string => {
    const value = memory.scratch.getUint32(at + 4, true) * 4294967296 + memory.scratch.getUint32(at, true);
    if (value >= 2 ** 63) return "RLIM64_INFINITY";
    return value > 1024 && value % 1024 === 0 ? `${value / 1024}*1024` : `${value}`;
  };
  return `{rlim_cur=${text(0)}, rlim_max=${text(8)}}`;
}

function utsname(value: number, { memory }: FormatContext): string {
  if (memory.load(value, 390) !== 0) return pointer(value);
  const field = (at: number): string => {
    const data = memory.scratchBytes.subarray(at, at + 65);
    return quote(data.subarray(0, data.indexOf(0)));
  };
  const [system, node, release, machine] = [UTSNAME_SYSNAME, UTSNAME_NODENAME, UTSNAME_RELEASE, UTSNAME_MACHINE].map(
    field,
  );
  return `{sysname=${system}, nodename=${node}, release=${release}, machine=${machine}, ...}`;
}

function wstatus(value: number, { memory, result }: FormatContext): string {
  if (value === 0) return "NULL";
  if (result <= 0) return pointer(value);
  const status = memory.readU32(value);
  return status < 0 ? pointer(value) : `[${statusText(status)}]`;
}

/** A wait4 status word. */
export function statusText(status: number): string {
  const signal = status & 0x7f;
  if (status === 0xffff) return "{WIFCONTINUED(s)}";
  if (signal === 0x7f) return `{WIFSTOPPED(s) && WSTOPSIG(s) == ${signalName((status >> 8) & 0xff)}}`;
  if (signal !== 0)
    return `{WIFSIGNALED(s) && WTERMSIG(s) == ${signalName(signal)}${(status & 0x80) !== 0 ? " && WCOREDUMP(s)" : ""}}`;
  return `{WIFEXITED(s) && WEXITSTATUS(s) == ${(status >> 8) & 0xff}}`;
}
