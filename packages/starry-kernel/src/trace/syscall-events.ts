/**
 * syscalls:sys_enter_NAME and sys_exit_NAME, derived from the system call table.
 *
 * Records hold the six argument registers as they are; C types come from the row's argument types. In `trace` they read as Linux prints
 * them: `sys_openat(dfd: ffffffffffffff9c, ...)` and `sys_openat -> 0x3`.
 */
import { defineEvent, type EntryWriter, type FieldSpec, readInteger, type TracePoint } from "ktracepoint";
import { ARGUMENT_TYPES, WIDTH_I32, WIDTH_I64, WIDTH_U32 } from "../syscall/argument-types.ts";
import type { SyscallArgument, SyscallRow } from "../syscall/row.ts";
import { A0 } from "./events.ts";

/** C types that say more than the width does. */
const C_TYPE_OF: Readonly<Record<string, string>> = {
  fd: "unsigned int",
  pid: "pid_t",
  mode: "umode_t",
  uid: "uid_t",
  gid: "gid_t",
  size: "size_t",
  off: "loff_t",
  path: "const char *",
  str: "const char *",
  in_buf: "const char *",
  out_buf: "char *",
  ulong: "unsigned long",
  clone_flags: "unsigned long",
};

function cTypeOf(type: string): string {
  const known = C_TYPE_OF[type];
  if (known !== undefined) return known;
  switch (ARGUMENT_TYPES[type]) {
    case WIDTH_I32:
      return "int";
    case WIDTH_U32:
      return "unsigned int";
    case WIDTH_I64:
      return "long";
    default:
      return "void *";
  }
}

const SIGNED = /^(?:int|long|pid_t|loff_t)$/;

function argumentField(name: string, type: string): FieldSpec {
  const cType = cTypeOf(type);
  return { declaration: `${cType} ${name}`, size: 8, signed: SIGNED.test(cType) };
}

/** A field name that C accepts and that no common field has. */
function fieldName(name: string): string {
  return /^[A-Za-z_]\w*$/.test(name) && !name.startsWith("common_") ? name : `arg_${name.replace(/\W/g, "_")}`;
}

/** The pair of events of one system call. */
export interface SyscallEvents {
  readonly enter: TracePoint<[registers: Int32Array, nr: number]>;
  readonly exit: TracePoint<[nr: number, result: number]>;
}

export function defineSyscallEvents(row: SyscallRow): SyscallEvents {
  const { args, name } = row;
  const names = (): string[] => args.map((argument) => fieldName(argument.name));
  // Getters: there are hundreds of these events, and most are never looked at.
  const enter = defineEvent({
    system: "syscalls",
    name: `sys_enter_${name}`,
    get fields() {
      return [
        "int __syscall_nr",
        ...names().map((field, i) => argumentField(field, (args[i] as SyscallArgument).type)),
      ];
    },
    get print() {
      const formats = names().map((field) => `${field}: 0x%08lx`);
      return [`"${formats.join(", ")}"`, ...names().map((field) => `((unsigned long)(REC->${field}))`)].join(", ");
    },
    text: (record) =>
      `sys_${name}(${names()
        .map((field, i) => `${field}: ${hex(record, 16 + 8 * i)}`)
        .join(", ")})`,
    assign(entry: EntryWriter, registers: Int32Array, nr: number) {
      entry.number(nr);
      for (let i = 0; i < args.length; i++)
        entry.number64(registers[A0 + 2 * i] as number, registers[A0 + 2 * i + 1] as number);
    },
  });
  const exit = defineEvent({
    system: "syscalls",
    name: `sys_exit_${name}`,
    fields: ["int __syscall_nr", "long ret"],
    print: '"0x%lx", REC->ret',
    text: (record) => `sys_${name} -> 0x${hex(record, 16)}`,
    assign(entry: EntryWriter, nr: number, result: number) {
      entry.number(nr);
      entry.number(result);
    },
  });
  return { enter, exit };
}

function hex(record: Uint8Array, offset: number): string {
  return offset + 8 <= record.length ? readInteger(record, offset, 8, false).toString(16) : "?";
}
