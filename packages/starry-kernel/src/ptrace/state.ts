/**
 * What the kernel knows about a traced task (ptrace(2)).
 *
 * A traced task stops at certain points (a signal, a system call's entry or exit, an event), tells its tracer through wait4, and
 * goes on when the tracer says how. While it is stopped its state is TASK_TRACED: neither signals (but SIGKILL) nor what it waits for
 * wake it.
 *
 * All stops but one are taken in deliver.ts on the way back to user mode; there the reasons that are `due` are looked at in turn. The
 * entry of a system call stops before anything has happened, with pc still at the ecall: the task simply executes it again.
 */
import type { SignalInfo } from "../signal/siginfo.ts";
import type { Task } from "../task/task.ts";

// Kinds of stops.
/** A signal is about to be delivered. */
export const STOP_SIGNAL = 1;
export const STOP_SYSCALL_ENTRY = 2;
export const STOP_SYSCALL_EXIT = 3;
/** PTRACE_EVENT_*. */
export const STOP_EVENT = 4;
/** The whole process has been stopped by SIGSTOP and the like. */
export const STOP_GROUP = 5;

// How a task was resumed.
export const RESUME_FREELY = 0;
/** Stop at the next system call's entry or exit. */
export const RESUME_TO_SYSCALL = 1;

export class Tracing {
  tracer: Task;
  /** PTRACE_SEIZE rather than ATTACH or TRACEME. */
  readonly seized: boolean;
  /** PTRACE_O_* */
  options = 0;
  resumed: number = RESUME_FREELY;
  /** STOP_* while stopped, else 0. */
  stop = 0;
  /** Signal (and 0x80, and event << 8) of the stop, as in bits 8.. of the wait status. */
  stopCode = 0;
  /** wait4 has told the tracer about this stop. */
  reported = false;
  /** What PTRACE_GETSIGINFO shows. */
  info: SignalInfo | null = null;
  /** What PTRACE_GETEVENTMSG shows. */
  eventMessage = 0;
  /** Result of the system call, for a stop at its exit. */
  result = 0;

  // Due at the next look.
  /** The tracer lets this signal through. */
  injected: SignalInfo | null = null;
  /** PTRACE_EVENT_* to report, 0 none. */
  event = 0;
  syscallExit = false;
  /** PTRACE_INTERRUPT, or a seized task's first stop. */
  interrupt = false;

  /** The entry stop of the call that is about to be made is over. */
  entryDone = false;
  /** The stop before the end has been made (PTRACE_O_TRACEEXIT). */
  exitReported = false;
  /** PTRACE_LISTEN: stopped, but the tracer wants to hear about SIGCONT. */
  listening = false;

  constructor(tracer: Task, seized: boolean) {
    this.tracer = tracer;
    this.seized = seized;
  }

  /** Something is to be done before the task goes back to user mode. */
  get due(): boolean {
    return this.injected !== null || this.event !== 0 || this.syscallExit || this.interrupt;
  }
}

/** A traced task that has ended and whose tracer has not been told. */
export interface DeadTracee {
  readonly tid: number;
  readonly uid: number;
  readonly pgid: number;
  /** wait4 status word. */
  readonly status: number;
  /** Called when the tracer has been told: the real parent's turn. */
  readonly collected: () => void;
}

/** A process's tracees, live and dead. */
export class Tracees {
  readonly live: Set<Task> = new Set();
  readonly dead: DeadTracee[] = [];
}
