/**
 * What tracing needs from the system it traces. The kernel implements it; a plain program gets by with `TraceArray`,
 * which implements it over an even smaller `TraceHost`.
 *
 * All of it is called from inside a hit, so it must not sleep, must not throw, and should not allocate.
 */
export interface KernelTraceOps {
  /** Thread id of the running task: common_pid. 0 = idle, also when no task runs. */
  currentPid(): number;
  /** Name of the running task, for saved_cmdlines and the filter field `comm`. */
  currentComm(): string;
  /** Number of the running CPU. */
  currentCpu(): number;
  /** common_flags (TRACE_FLAG_*) in bits 0..7, the preempt count in bits 8..15. */
  currentFlags(): number;
  /** Takes a finished record (header and fields). The bytes are only valid during the call. */
  tracePipePushRawRecord(record: Uint8Array): void;
  /** Remembers the name of task `pid`, which is the running one. */
  traceCmdlinePush(pid: number): void;
}
