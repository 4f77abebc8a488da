/** The system calls that every kernel has; files, sockets and polling are added by those who provide them. */
import { ABSENT_CALLS } from "./absent.ts";
import { CREDENTIAL_CALLS } from "./credentials.ts";
import { FUTEX_CALLS } from "./futex.ts";
import { FUTEX2_CALLS } from "./futex2.ts";
import { MEMORY_CALLS } from "./memory.ts";
import { PRCTL_CALLS } from "./prctl.ts";
import { PROCESS_CALLS } from "./process.ts";
import { OTHER_PROCESS_CALLS } from "./process-memory.ts";
import { PTRACE_CALLS } from "./ptrace.ts";
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
  ...ABSENT_CALLS,
  ...CREDENTIAL_CALLS,
  ...FUTEX_CALLS,
  ...FUTEX2_CALLS,
  ...MEMORY_CALLS,
  ...PRCTL_CALLS,
  ...PROCESS_CALLS,
  ...OTHER_PROCESS_CALLS,
  ...PTRACE_CALLS,
  ...READ_WRITE_CALLS,
  ...RUSAGE_CALLS,
  ...SCHED_CALLS,
  ...SIGNAL_CALLS,
  ...SYSTEM_CALLS,
  ...TIME_CALLS,
  ...TIMER_CALLS,
  ...WAIT_CALLS,
];
