/**
 * strace: one line per system call, in the format of strace(1), and lines for signals and exits.
 *
 *   [pid    12] openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3
 *   [pid    12] --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=13, si_uid=0, si_status=0} ---
 *   [pid    13] +++ exited with 0 +++
 *
 * A line is written when the call is complete; one that waits longer than others run is written in two parts, as strace does:
 * "read(0, <unfinished ...>" and "<... read resumed>".
 */
import {
  CLD_CONTINUED,
  CLD_DUMPED,
  CLD_EXITED,
  CLD_KILLED,
  CLD_STOPPED,
  errnoMessage,
  errnoName,
  SIGCHLD,
  SYSCALL_NAMES,
} from "linux-abi";
import type { Kernel } from "../kernel.ts";
import { SI_KERNEL, SI_QUEUE, SI_TIMER, SI_TKILL, SI_USER, type SignalInfo } from "../signal/siginfo.ts";
import { ARGUMENT_TYPES } from "../syscall/argument-types.ts";
import { argument } from "../syscall/dispatch.ts";
import type { SyscallRow } from "../syscall/row.ts";
import type { Task } from "../task/task.ts";
import { ERESTART_RESTARTBLOCK, ERESTARTNOHAND, ERESTARTNOINTR, ERESTARTSYS } from "../wait.ts";
import { signalName } from "./flag-names.ts";
import { formatArgument, hex, OUTPUT_TYPES } from "./format.ts";
import type { SyscallObserver } from "./observer.ts";
import { parseFilter } from "./filter.ts";

export interface StraceOptions {
  /** Gets each line, without a newline. */
  readonly write: (line: string) => void;
  /**
   * Which calls: names and classes (%file %process %memory %network %signal %desc), separated by commas; a leading "!" takes them
   * out instead. Default: all.
   */
  readonly filter?: string;
}

/** A call that has been entered. */
interface Pending {
  readonly nr: number;
  readonly row: SyscallRow | undefined;
  readonly values: readonly number[];
  /** Formatted arguments; null: formatted at the end. */
  readonly texts: (string | null)[];
  /** The beginning has been written already. */
  begun: boolean;
}

/** Calls whose result is an address. */
const POINTER_RESULTS = new Set(["mmap", "brk", "mremap", "shmat"]);

const RESTARTS: Readonly<Record<number, string>> = {
  [ERESTARTSYS]: "? ERESTARTSYS (To be restarted if SA_RESTART is set)",
  [ERESTARTNOINTR]: "? ERESTARTNOINTR (To be restarted)",
  [ERESTARTNOHAND]: "? ERESTARTNOHAND (To be restarted if no handler)",
  [ERESTART_RESTARTBLOCK]: "? ERESTART_RESTARTBLOCK (Interrupted by signal)",
};

const CODES: Readonly<Record<number, string>> = {
  [SI_USER]: "SI_USER",
  [SI_KERNEL]: "SI_KERNEL",
  [SI_QUEUE]: "SI_QUEUE",
  [SI_TIMER]: "SI_TIMER",
  [SI_TKILL]: "SI_TKILL",
};
const CHILD_CODES: Readonly<Record<number, string>> = {
  [CLD_EXITED]: "CLD_EXITED",
  [CLD_KILLED]: "CLD_KILLED",
  [CLD_DUMPED]: "CLD_DUMPED",
  [CLD_STOPPED]: "CLD_STOPPED",
  [CLD_CONTINUED]: "CLD_CONTINUED",
};

/** Writes what programs do until the returned function is called. */
export function attachStrace(kernel: Kernel, options: StraceOptions): () => void {
  const strace = new Strace(kernel, options);
  kernel.observer = strace;
  return () => {
    if (kernel.observer === strace) kernel.observer = null;
  };
}

class Strace implements SyscallObserver {
  readonly #kernel: Kernel;
  readonly #write: (line: string) => void;
  readonly #wanted: (row: SyscallRow | undefined, name: string) => boolean;
  readonly #pending: Map<Task, Pending> = new Map();
  /** The task that wrote last, and so whose call may be finished on the same line. */
  #only: Task | null = null;

  constructor(kernel: Kernel, options: StraceOptions) {
    this.#kernel = kernel;
    this.#write = options.write;
    this.#wanted = parseFilter(options.filter ?? "");
  }

  enter(task: Task, nr: number): void {
    const row = this.#kernel.syscalls.rows[nr];
    if (!this.#wanted(row, nameOf(nr))) return;
    this.#interrupt(task);
    const { x } = this.#kernel.cpu;
    const args = row?.args ?? [];
    const values = args.map((a, i) => argument(x, i, ARGUMENT_TYPES[a.type] ?? 0));
    const context = { memory: task.memory, values, result: -1 };
    const texts = args.map((a, index) =>
      OUTPUT_TYPES.has(a.type) || (a.type === "iovec" && nameOf(nr).includes("read"))
        ? null
        : formatArgument(a.type, values[index] as number, { ...context, index }),
    );
    this.#pending.set(task, { nr, row, values, texts, begun: false });
    this.#only = task;
  }

  exit(task: Task, nr: number, result: number): void {
    const call = this.#pending.get(task);
    if (call === undefined || call.nr !== nr) return;
    this.#pending.delete(task);
    this.#finish(task, call, result, resultText(nameOf(nr), result));
  }

  signal(task: Task, info: SignalInfo): void {
    this.#interrupt(task);
    this.#line(task, `--- ${signalName(info.signo)} {${infoText(info)}} ---`);
  }

  ended(task: Task, status: number): void {
    const call = this.#pending.get(task);
    this.#pending.delete(task);
    if (call !== undefined) this.#finish(task, call, -1, "?");
    const signal = status & 0x7f;
    const text =
      signal === 0
        ? `exited with ${(status >> 8) & 0xff}`
        : `killed by ${signalName(signal)}${(status & 0x80) !== 0 ? " (core dumped)" : ""}`;
    this.#line(task, `+++ ${text} +++`);
  }

  #finish(task: Task, call: Pending, result: number, text: string): void {
    const name = nameOf(call.nr);
    const args = call.row?.args ?? [];
    const context = { memory: task.memory, values: call.values, result };
    const done = call.texts.map((known, index) => {
      if (known !== null) return known;
      const value = call.values[index] as number;
      if (result < 0) return value === 0 ? "NULL" : hex(value);
      return formatArgument(args[index]?.type ?? "ptr", value, { ...context, index });
    });
    const beginning = call.begun ? `<... ${name} resumed>` : `${name}(`;
    // The mode of open matters only for a file that is made.
    if (name === "openat" && done.length === 4 && done[2]?.includes("O_CREAT") === false) done.pop();
    const shown = call.begun ? done.slice(beforeFirstNull(call.texts)) : done;
    this.#interrupt(task);
    this.#line(task, `${`${beginning}${shown.join(", ")})`.padEnd(39)} = ${text}`);
  }

  /** Another task's call that is still open is written as far as it is known. */
  #interrupt(by: Task): void {
    const open = this.#only;
    if (open === null || open === by) return;
    this.#only = null;
    const call = this.#pending.get(open);
    if (call === undefined || call.begun) return;
    call.begun = true;
    const known = call.texts.slice(0, beforeFirstNull(call.texts)) as string[];
    const more = known.length < call.texts.length && known.length > 0 ? ", " : "";
    this.#line(open, `${nameOf(call.nr)}(${known.join(", ")}${more} <unfinished ...>`);
  }

  #line(task: Task, text: string): void {
    this.#write(`[pid ${String(task.tid).padStart(5)}] ${text}`);
  }
}

function beforeFirstNull(texts: readonly (string | null)[]): number {
  const at = texts.indexOf(null);
  return at < 0 ? texts.length : at;
}

function nameOf(nr: number): string {
  return SYSCALL_NAMES[nr] ?? `syscall_${hex(nr)}`;
}

function resultText(name: string, result: number): string {
  if (result >= 0) return POINTER_RESULTS.has(name) ? hex(result) : `${result}`;
  const restart = RESTARTS[-result];
  if (restart !== undefined) return restart;
  return result >= -4095 ? `-1 ${errnoName(-result)} (${errnoMessage(-result)})` : `${result}`;
}

function infoText(info: SignalInfo): string {
  const parts = [`si_signo=${signalName(info.signo)}`];
  const isChild = info.signo === SIGCHLD && info.code > 0 && info.code < SI_KERNEL;
  parts.push(`si_code=${(isChild ? CHILD_CODES[info.code] : CODES[info.code]) ?? info.code}`);
  if (isChild) {
    const status = info.code === CLD_EXITED ? `${info.status}` : signalName(info.status);
    parts.push(`si_pid=${info.pid}`, `si_uid=${info.uid}`, `si_status=${status}`);
  } else if (info.code <= SI_USER) parts.push(`si_pid=${info.pid}`, `si_uid=${info.uid}`);
  else if (info.code !== SI_KERNEL) parts.push(`si_addr=${info.addr === 0 ? "NULL" : hex(info.addr)}`);
  return parts.join(", ");
}
