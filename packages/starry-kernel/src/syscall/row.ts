/**
 * One row of the system call table: number, name, argument types, support level, handler.
 *
 * Everything about a call derives from its row: dispatch, the conversion of its arguments, strace output, tracepoint names
 * and the support list. Rows live beside their handlers (`export const READ_WRITE_CALLS = [row(...)]`) and are joined
 * by the Kernel, a later row replacing an earlier one of the same number.
 *
 * Handlers get plain numbers, converted by declared type, so they need not sign-extend or truncate:
 *   int32    fd dirfd int pid signal flags ...   the low word, signed (the high word is ignored, as Linux's `int` is)
 *   uint32   uint mode uid gid ...              the low word, 0 .. 2^32 − 1
 *   int64    long off ...                        signed; exact within ±2^53, rounded beyond
 *   uint64   ptr path size ...                   0 .. 2^64; an address with its top bits set is huge and so fails every range check
 * The result is a number (≥ 0 or −errno, also signed 64-bit values within ±2^53) or a Wait.
 */
import type { Task } from "../task/task.ts";
import type { Wait } from "../wait.ts";

export type SyscallHandler = (
  task: Task,
  a0: number,
  a1: number,
  a2: number,
  a3: number,
  a4: number,
  a5: number,
) => number | Wait;

/** Full: as Linux. Partial: works, `note` says what is missing. Stub: always returns `result` because of `note`. */
export type Support =
  | { readonly level: "full" }
  | { readonly level: "partial"; readonly note: string }
  | { readonly level: "stub"; readonly note: string; readonly result: number };

export interface SyscallArgument {
  readonly name: string;
  /** A key of ARGUMENT_TYPES. */
  readonly type: string;
}

export interface SyscallRow {
  readonly nr: number;
  readonly name: string;
  readonly args: readonly SyscallArgument[];
  readonly support: Support;
  readonly handler: SyscallHandler;
}

export const full: Support = { level: "full" };

export function partial(note: string): Support {
  return { level: "partial", note };
}

/**
 * @param args space-separated `name:type`, e.g. "fd:fd buf:out_buf count:size"; see argument-types.ts for the types
 * @param handler may take fewer than six arguments
 */
export function row(nr: number, name: string, args: string, support: Support, handler: SyscallHandler): SyscallRow {
  return { nr, name, args: parseArguments(args), support, handler };
}

/** A call that only ever answers `-errno` (or 0 where doing nothing is right). */
export function stub(nr: number, name: string, args: string, result: number, note: string): SyscallRow {
  return { nr, name, args: parseArguments(args), support: { level: "stub", note, result }, handler: () => result };
}

function parseArguments(text: string): readonly SyscallArgument[] {
  if (text === "") return [];
  return text.split(" ").map((pair) => {
    const colon = pair.indexOf(":");
    return { name: pair.slice(0, colon), type: pair.slice(colon + 1) };
  });
}
