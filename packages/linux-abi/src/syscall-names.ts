/** Names of system calls by number, from the table of numbers: SYSCALL_NAMES[64] is "write". */
import * as numbers from "./syscall-numbers.ts";

export const SYSCALL_NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(numbers).map(([name, nr]) => [nr, name.slice("SYS_".length)]),
);
