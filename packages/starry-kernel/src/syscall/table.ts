/**
 * The system call table as the dispatcher uses it: handlers and argument widths by number, built from rows.
 */
import { ENOSYS } from "linux-abi";
import { ARGUMENT_TYPES, WIDTH_I32 } from "./argument-types.ts";
import type { SyscallHandler, SyscallRow } from "./row.ts";

/** Numbers below this are looked up; others are unknown. */
export const MAX_SYSCALL = 512;

export class SyscallTable {
  /** undefined: unknown number. */
  readonly rows: (SyscallRow | undefined)[] = new Array<SyscallRow | undefined>(MAX_SYSCALL).fill(undefined);
  readonly handlers: SyscallHandler[] = new Array<SyscallHandler>(MAX_SYSCALL).fill(unknownCall);
  /** WIDTH_* of the six arguments, two bits each from bit 0. Undeclared ones are read in the cheapest way. */
  readonly widths: Uint16Array = new Uint16Array(MAX_SYSCALL);

  constructor(rows: readonly SyscallRow[]) {
    this.add(rows);
  }

  /**
   * A later row replaces an earlier one of the same number.
   * @throws RangeError for an unknown argument type, or a handler with more parameters than arguments are declared.
   */
  add(rows: readonly SyscallRow[]): void {
    for (const row of rows) {
      if (row.handler.length > row.args.length + 1)
        throw new RangeError(
          `${row.name}: the handler takes ${row.handler.length - 1} arguments, ${row.args.length} are declared`,
        );
      let widths = 0;
      for (let i = 0; i < 6; i++) {
        const argument = row.args[i];
        const width = argument === undefined ? WIDTH_I32 : ARGUMENT_TYPES[argument.type];
        if (width === undefined) throw new RangeError(`${row.name}: unknown argument type "${argument?.type}"`);
        widths |= width << (2 * i);
      }
      this.rows[row.nr] = row;
      this.handlers[row.nr] = row.handler;
      this.widths[row.nr] = widths;
    }
  }
}

function unknownCall(): number {
  return -ENOSYS;
}
