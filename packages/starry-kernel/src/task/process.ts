/**
 * A process: Linux's thread group with its `signal_struct`. What all threads of one program share apart from memory
 * and files: identity in the family tree, pending signals, limits, timers, accounting, exit status.
 */
import type { OpenFile } from "../file.ts";
import type { Kernel } from "../kernel.ts";
import { PollSet } from "../poll-set.ts";
import { Tracees } from "../ptrace/state.ts";
import { SignalQueue } from "../signal/queue.ts";
import type { ResourceLimits } from "./limits.ts";
import { ProcessTimers } from "./process-timers.ts";
import type { ProcessGroup, Session } from "./session.ts";
import type { Task } from "./task.ts";
import { Usage } from "./usage.ts";

export class Process {
  readonly kernel: Kernel;
  readonly pid: number;
  /** Who gets SIGCHLD and may wait; null for init. */
  parent: Process | null = null;
  readonly children: Set<Process> = new Set();
  /** Live threads in order of creation; the leader stays until the process is reaped. */
  readonly threads: Task[] = [];
  /** The first thread; replaced when another thread calls execve. */
  leader!: Task;
  group!: ProcessGroup;

  /** Signals sent to the process as a whole. */
  readonly pending: SignalQueue = new SignalQueue();
  readonly limits: ResourceLimits;
  readonly timers: ProcessTimers;
  /** Tasks that this process traces. */
  readonly tracees: Tracees = new Tracees();
  /** Signal sent to the parent on exit: SIGCHLD, another or 0. */
  exitSignal: number;

  /** wait4(2) status word; valid once `zombie`. */
  exitStatus = 0;
  /** exit_group or a fatal signal is taking all threads down. */
  exiting = false;
  /** All threads are gone, the parent has not waited yet. */
  zombie = false;
  /** Its tracer, who is not the parent, has to be told of its end first. */
  hiddenByTracer = false;
  /** A stop signal that the threads are following, until SIGCONT; 0 none. */
  stopSignal = 0;
  /** Signal by which the whole process has stopped, or 0. */
  stoppedBy = 0;
  /** A stop or continue that wait4 has not reported: WAIT_STOPPED, WAIT_CONTINUED or 0. */
  waitEvent = 0;
  /** Woken when a child exits, stops or continues. */
  readonly childEvents: PollSet = new PollSet();
  /** Woken when this process exits: pidfds poll it. */
  readonly exitEvents: PollSet = new PollSet();

  /** PR_SET_CHILD_SUBREAPER. */
  subreaper = false;
  /** Has called execve since fork (setpgid by the parent is refused then). */
  didExec = false;
  dumpable = 1;
  /** Of dead threads. */
  readonly usage: Usage = new Usage();
  /** Of children that were waited for. */
  readonly childUsage: Usage = new Usage();
  /** Monotonic ns. */
  readonly startNs: number;
  /** Executable, referenced; null before the first execve. */
  executable: OpenFile | null = null;
  /** Path that execve was given, for oops reports and AT_EXECFN. */
  executablePath = "";
  oomScoreAdj = 0;

  constructor(kernel: Kernel, pid: number, limits: ResourceLimits, exitSignal: number, startNs: number) {
    this.kernel = kernel;
    this.pid = pid;
    this.limits = limits;
    this.timers = new ProcessTimers(this);
    this.exitSignal = exitSignal;
    this.startNs = startNs;
  }

  get session(): Session {
    return this.group.session;
  }
}
