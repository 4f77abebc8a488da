/**
 * Signal numbers: Linux's and those of the remote protocol, which are gdb's own (include/gdb/signals.def).
 */

/** gdb's number of Linux signals 0..31. 143 is GDB_SIGNAL_UNKNOWN. */
const TO_GDB: readonly number[] = [
  0, 1, 2, 3, 4, 5, 6, 10, 8, 9, 30, 11, 31, 13, 14, 15, 143, 20, 19, 17, 18, 21, 22, 16, 24, 25, 26, 27, 28, 23, 32,
  12,
];

/** Real-time signals 32 and 64 came late and stand apart from 33..63. */
const GDB_REALTIME_32 = 77;
const GDB_REALTIME_33 = 45;
const GDB_REALTIME_64 = 78;

export function toGdbSignal(linux: number): number {
  if (linux < TO_GDB.length) return TO_GDB[linux];
  if (linux === 32) return GDB_REALTIME_32;
  return linux === 64 ? GDB_REALTIME_64 : linux - 33 + GDB_REALTIME_33;
}

/** Linux's number, or 0 for a signal that it does not have. */
export function fromGdbSignal(gdb: number): number {
  for (let linux = 1; linux <= 64; linux++) if (linux !== 16 && toGdbSignal(linux) === gdb) return linux;
  return 0;
}
