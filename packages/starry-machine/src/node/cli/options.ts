/// <reference types="node" />
/**
 * The command line's options: one table, from which parsing and --help derive.
 *
 * Long GNU options, with qemu's single-dash spellings (`-m 512M -append X -drive file=F -s -S`) accepted beside them.
 * Everything after `--`, or after the first word that is no option, belongs to the guest program.
 */

import { parseSize } from "../../memory-size.ts";

/** A mistake in the command line; its message is for the user. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

interface OptionRow {
  readonly name: string;
  /** What stands after it in --help; absent for a switch. */
  readonly value?: string;
  readonly repeatable?: true;
  /** qemu spelling without the dash, or a one-letter form. */
  readonly short?: readonly string[];
  readonly commands: readonly Command[];
  readonly help: string;
}

export type Command = "run" | "boot" | "create";

const MACHINE: readonly Command[] = ["run", "boot"];

export const OPTIONS: readonly OptionRow[] = [
  {
    name: "image",
    value: "FILE",
    commands: MACHINE,
    short: ["hda"],
    help: "ext4 image of the root: raw, qcow2, gzip or zstd, also http(s):// (default: the embedded root)",
  },
  { name: "persist", commands: MACHINE, help: "write changes to the image (default: a throw-away overlay)" },
  { name: "save-overlay", value: "FILE", commands: MACHINE, help: "write the changed image to FILE at the end" },
  {
    name: "mount",
    value: "HOST:GUEST[:ro]",
    repeatable: true,
    commands: MACHINE,
    help: "show a copy of a host folder; changes go back at the end unless :ro",
  },
  {
    name: "copy-in",
    value: "HOST:GUEST",
    repeatable: true,
    commands: MACHINE,
    help: "copy a host file or folder into the guest before the start",
  },
  { name: "env", value: "K=V", repeatable: true, short: ["e"], commands: MACHINE, help: "set an environment variable" },
  { name: "cwd", value: "DIR", short: ["w"], commands: MACHINE, help: "working directory in the guest" },
  { name: "user", value: "UID[:GID]", short: ["u"], commands: MACHINE, help: "run as this user (default: 0:0)" },
  {
    name: "mem",
    value: "SIZE",
    short: ["m"],
    commands: MACHINE,
    help: "memory of the machine, e.g. 16M, 512M, 2G (default: 512M)",
  },
  {
    name: "append",
    value: "TEXT",
    short: ["append"],
    commands: MACHINE,
    help: "kernel command line (init=PATH, quiet, trace_event=...)",
  },
  { name: "jit", value: "on|off", commands: MACHINE, help: "compile hot guest code to WebAssembly (default: on)" },
  {
    name: "strace",
    value: "[FILTER]",
    commands: MACHINE,
    help: "print system calls on stderr; FILTER: names or %file %process %memory %network %signal, comma separated, ! negates",
  },
  {
    name: "trace",
    value: "EVENTS",
    commands: MACHINE,
    help: "record tracepoints, e.g. sched:*,raw_syscalls:sys_enter",
  },
  {
    name: "trace-filter",
    value: "EXPR",
    commands: MACHINE,
    help: "only records that match, in ftrace's filter language",
  },
  {
    name: "trace-out",
    value: "FILE",
    commands: MACHINE,
    help: "where --trace writes: .txt ftrace text, .dat trace-cmd, .json Chrome (default: text on stderr)",
  },
  {
    name: "profile",
    value: "FILE",
    commands: MACHINE,
    help: "sample what programs do; FILE.json for speedscope.app, else folded stacks for flame graphs",
  },
  {
    name: "gdb",
    value: "HOST:PORT",
    short: ["gdb"],
    commands: MACHINE,
    help: "let gdb connect there (HOST may be left out) to debug the first process; -s: port 1234",
  },
  { name: "gdb-wait", short: ["S"], commands: MACHINE, help: "run nothing before gdb continues" },
  { name: "seed", value: "N", commands: MACHINE, help: "deterministic run: virtual clock and random numbers from N" },
  { name: "timeout", value: "SECONDS", commands: MACHINE, help: "stop after this time with exit status 124" },
  { name: "stats", commands: MACHINE, help: "figures as JSON on stderr at the end" },
  {
    name: "log",
    value: "LEVEL",
    commands: MACHINE,
    help: "kernel log on stderr from this level on: debug, info, warn, error (default: error)",
  },
  {
    name: "command",
    value: "COMMANDS",
    short: ["c"],
    commands: ["boot"],
    help: "run COMMANDS in the guest's shell, power off, pass the exit status on",
  },
  {
    name: "debian",
    value: "PACKAGES",
    commands: ["boot", "create"],
    help: "root file system from Debian riscv64 packages and their dependencies, comma separated",
  },
  { name: "suite", value: "NAME", commands: ["boot", "create"], help: "Debian release (default: trixie)" },
  { name: "mirror", value: "URI", commands: ["boot", "create"], help: "Debian mirror (default: the machine's own)" },
  {
    name: "size",
    value: "SIZE",
    commands: ["create"],
    help: "size of the image (default: contents and a third more, at least 64M)",
  },
  { name: "from-dir", value: "DIR", commands: ["create"], help: "contents from a host folder" },
  { name: "from-tar", value: "FILE", commands: ["create"], help: "contents from a .tar, .tar.gz or .tar.xz file" },
  { name: "label", value: "NAME", commands: ["create"], help: "volume label" },
];

export interface Parsed {
  /** Value of an option: true for a switch, the last one given for others. */
  readonly values: ReadonlyMap<string, string | true>;
  readonly lists: ReadonlyMap<string, readonly string[]>;
  /** What is no option: program and arguments, or file names. */
  readonly rest: readonly string[];
  readonly help: boolean;
}

/** Parses the words after the command. Throws {@link UsageError}. */
export function parseOptions(command: Command, words: readonly string[]): Parsed {
  const rows = OPTIONS.filter((row) => row.commands.includes(command));
  const values = new Map<string, string | true>();
  const lists = new Map<string, string[]>();
  let help = false;
  let at = 0;
  for (; at < words.length; at++) {
    const word = words[at];
    if (word === "--") {
      at++;
      break;
    }
    if (!word.startsWith("-") || word === "-") break;
    if (word === "--help" || word === "-h") {
      help = true;
      continue;
    }
    const equals = word.startsWith("--") ? word.indexOf("=") : -1;
    const name = equals < 0 ? word : word.slice(0, equals);
    if (name === "-drive") {
      values.set("image", driveFile(words[++at]));
      continue;
    }
    if (name === "-s" && command !== "create") {
      values.set("gdb", "1234");
      continue;
    }
    const row = rows.find(
      (candidate) => `--${candidate.name}` === name || candidate.short?.some((short) => `-${short}` === name),
    );
    if (row === undefined) throw new UsageError(`unknown option ${name} (starry ${command} --help lists them)`);
    if (row.value === undefined) {
      if (equals >= 0) throw new UsageError(`${name} takes no value`);
      values.set(row.name, true);
      continue;
    }
    const optional = row.value.startsWith("[");
    const value = equals >= 0 ? word.slice(equals + 1) : optional ? "" : words[++at];
    if (value === undefined) throw new UsageError(`${name} needs a value: ${row.value}`);
    if (row.repeatable) lists.set(row.name, [...(lists.get(row.name) ?? []), value]);
    else values.set(row.name, value);
  }
  return { values, lists, rest: words.slice(at), help };
}

/** `--help` of a command. */
export function helpText(command: Command, usage: string): string {
  const rows = OPTIONS.filter((row) => row.commands.includes(command)).map((row) => {
    const short = (row.short ?? []).map((name) => `-${name}, `).join("");
    const value =
      row.value === undefined ? "" : row.value.startsWith("[") ? `[=${row.value.slice(1)}` : ` ${row.value}`;
    return [`  ${short}--${row.name}${value}`, row.help] as const;
  });
  return `usage: ${usage}\n\n${rows.map(([left, right]) => (left.length > 30 ? `${left}\n${" ".repeat(32)}${right}` : `${left.padEnd(32)}${right}`)).join("\n")}\n`;
}

/** parseSize with the command line's kind of error. */
export function parseSizeOption(text: string): number {
  try {
    return parseSize(text);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** qemu's `-drive file=F,if=none,format=raw,id=d0`. */
function driveFile(value: string | undefined): string {
  const file = value?.split(",").find((part) => part.startsWith("file="));
  if (file === undefined) throw new UsageError("-drive needs file=NAME");
  return file.slice(5);
}
