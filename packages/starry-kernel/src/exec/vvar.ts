/**
 * The layout of [vvar], the page in front of the vDSO: one record per clock id, from CLOCK_REALTIME (0) to CLOCK_TAI (11).
 *
 * Shared with scripts/gen-vdso.ts. A record of zeros leaves its clock to the system call.
 */

/** Records: clock ids below this. */
export const VVAR_CLOCKS = 12;
/** log2 of a record's bytes. */
export const VVAR_RECORD_SHIFT = 5;
/** u64: nanoseconds per tick of the time CSR. 0: make the system call. */
export const VVAR_TICK_NS = 0;
/** i64: nanoseconds that the clock shows at tick 0. */
export const VVAR_OFFSET = 8;
/** u64: what clock_getres tells, below 10^9. 0: make the system call. */
export const VVAR_RESOLUTION = 16;
/** u64: 10^9, so that nobody has to build it. */
export const VVAR_SECOND = 24;
