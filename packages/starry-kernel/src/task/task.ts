/**
 * A task: Linux's `task_struct`, one thread of execution. It owns its registers and what it waits for; memory,
 * descriptors, paths and signal handlers are shared objects that clone(2) copies or shares.
 *
 * The registers of the running task live in the hart (`platform.cpu`); those of all others here.
 */
import { decodeName, encodeName } from "linux-abi";
import type { FdTable } from "../fd-table.ts";
import type { Kernel } from "../kernel.ts";
import type { AddressSpace } from "../mm/address-space.ts";
import type { PollListener } from "../poll-set.ts";
import type { Tracing } from "../ptrace/state.ts";
import type { SignalHandlers } from "../signal/handlers.ts";
import { SignalQueue } from "../signal/queue.ts";
import type { Wait } from "../wait.ts";
import { WAKE_EVENT, WAKE_TIMEOUT } from "../wait.ts";
import { Timer } from "../timer-queue.ts";
import type { Credentials } from "./credentials.ts";
import type { FsContext } from "./fs-context.ts";
import type { Process } from "./process.ts";
import { Usage } from "./usage.ts";

// Task states, numbered as in /proc and sched_switch's prev_state.
export const TASK_RUNNING = 0;
/** Sleeping, a signal ends the sleep. */
export const TASK_INTERRUPTIBLE = 1;
export const TASK_UNINTERRUPTIBLE = 2;
export const TASK_STOPPED = 4;
/** Stopped for its tracer. */
export const TASK_TRACED = 8;
export const EXIT_DEAD = 16;
export const EXIT_ZOMBIE = 32;

/** TASK_COMM_LEN without the NUL. */
const COMM_BYTES = 15;

export class Task implements PollListener {
  readonly kernel: Kernel;
  /** Thread id; the leader's equals the process id. Changes only when a thread takes over the leader's at execve. */
  tid: number;
  process: Process;
  /** At most 15 bytes (TASK_COMM_LEN − 1). */
  comm: string;

  cred: Credentials;
  memory: AddressSpace;
  files: FdTable;
  fs: FsContext;
  handlers: SignalHandlers;

  // Registers while not running.
  readonly x: Int32Array = new Int32Array(64);
  readonly f: Int32Array = new Int32Array(64);
  pc = 0;
  fcsr = 0;

  /** TASK_*, EXIT_*. */
  state: number = TASK_RUNNING;
  /** In the run queue or on the hart. */
  queued = false;
  nextInQueue: Task | null = null;
  /** Remaining instructions of the time slice. */
  slice = 0;
  /** −20..19 */
  nice = 0;
  policy = 0;
  /** SCHED_RESET_ON_FORK */
  resetPolicyOnFork = false;
  realtimePriority = 0;

  // What it waits for.
  wait: Wait | null = null;
  wakeReason: number = WAKE_EVENT;
  readonly sleepTimer: Timer;

  // The system call in progress: number (−1 none) and original a0, for restarts, /proc/PID/syscall and oops reports.
  syscall = -1;
  originalA0Lo = 0;
  originalA0Hi = 0;
  /** Continuation for restart_syscall(2), set together with -ERESTART_RESTARTBLOCK. */
  restart: ((task: Task) => number | Wait) | null = null;

  // Signals.
  readonly pending: SignalQueue = new SignalQueue();
  blockedLo = 0;
  blockedHi = 0;
  /** Mask to restore after a handler ran (sigsuspend, ppoll ...), valid if `restoreMask`. */
  savedMaskLo = 0;
  savedMaskHi = 0;
  restoreMask = false;
  /** Blocked signals that sigtimedwait waits for: they wake the task but are not delivered. */
  awaitedLo = 0;
  awaitedHi = 0;
  /** sigaltstack: base, size in bytes, SS_* flags. */
  altStackBase = 0;
  altStackSize = 0;
  altStackFlags = 2; // SS_DISABLE
  /** Something must be looked at before returning to user mode: signals, stop, exit. */
  attention = false;
  /** The next signal is a fault of the task's own: even init dies of it. */
  forced = false;
  /** Restart code (ERESTART*) of the system call that a signal has ended, 0 none. */
  restartCode = 0;
  /** Set while somebody traces it (ptrace). */
  tracing: Tracing | null = null;
  /** Parent's death signal (PR_SET_PDEATHSIG). */
  parentDeathSignal = 0;

  /** set_tid_address: cleared and woken at exit; 0 none. */
  clearChildTid = 0;
  robustList = 0;
  /** Task that waits in vfork for this one to exec or exit. */
  vforkParent: Task | null = null;
  /** The vfork child that this task waits for has called execve or ended. */
  vforkDone = false;

  noNewPrivileges = false;
  keepCapabilities = false;
  timerSlackNs = 50_000;
  /** CPU affinity, low 32 CPUs. */
  affinity = 1;
  personality = 0;
  exitCode = 0;
  readonly usage: Usage = new Usage();
  /** `usage` has been added to the process's. */
  accountsClosed = false;
  readonly startNs: number;

  constructor(
    kernel: Kernel,
    tid: number,
    process: Process,
    shared: {
      comm: string;
      cred: Credentials;
      memory: AddressSpace;
      files: FdTable;
      fs: FsContext;
      handlers: SignalHandlers;
    },
    startNs: number,
  ) {
    this.kernel = kernel;
    this.tid = tid;
    this.process = process;
    this.comm = shared.comm;
    this.cred = shared.cred;
    this.memory = shared.memory;
    this.files = shared.files;
    this.fs = shared.fs;
    this.handlers = shared.handlers;
    this.startNs = startNs;
    this.sleepTimer = new Timer(() => this.wake(WAKE_TIMEOUT));
  }

  /** Sets `comm`, cut to 15 bytes. */
  setComm(name: string): void {
    this.comm = encodeName(name).length <= COMM_BYTES ? name : decodeName(encodeName(name).subarray(0, COMM_BYTES));
  }

  /** PollListener: an object this task waits on may be ready. */
  pollWake(events: number): void {
    if (this.wait !== null && (events & this.wait.events) !== 0) this.wake(WAKE_EVENT);
  }

  /** Ends the wait and makes the task runnable. No effect if it does not sleep. */
  wake(reason: number): void {
    this.kernel.scheduler.wake(this, reason);
  }
}
