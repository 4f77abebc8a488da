/** The system calls that every kernel has; files, sockets and polling are added by those who provide them. */
import { CREDENTIAL_CALLS } from "./credentials.ts";
import { FUTEX_CALLS } from "./futex.ts";
import { MEMORY_CALLS } from "./memory.ts";
import { PRCTL_CALLS } from "./prctl.ts";
import { PROCESS_CALLS } from "./process.ts";
import { READ_WRITE_CALLS } from "./read-write.ts";
import type { SyscallRow } from "./row.ts";
import { RUSAGE_CALLS } from "./rusage.ts";
import { SCHED_CALLS } from "./sched.ts";
import { SIGNAL_CALLS } from "./signal.ts";
import { SYSTEM_CALLS } from "./system.ts";
import { TIME_CALLS } from "./time.ts";
import { TIMER_CALLS } from "./timers.ts";
import { WAIT_CALLS } from "./wait-child.ts";

export const CORE_CALLS: readonly SyscallRow[] = [
  ...CREDENTIAL_CALLS,
  ...FUTEX_CALLS,
  ...MEMORY_CALLS,
  ...PRCTL_CALLS,
  ...PROCESS_CALLS,
  ...READ_WRITE_CALLS,
  ...RUSAGE_CALLS,
  ...SCHED_CALLS,
  ...SIGNAL_CALLS,
  ...SYSTEM_CALLS,
  ...TIME_CALLS,
  ...TIMER_CALLS,
  ...WAIT_CALLS,
];
