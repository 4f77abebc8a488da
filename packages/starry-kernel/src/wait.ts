/**
 * Waiting as a value: what a system call handler returns when it cannot finish yet.
 *
 * Nothing below the dispatcher sleeps. A handler that would block returns a `Wait`; the dispatcher parks the task on
 * its poll sets and deadline and, when woken, calls `resume(task, reason)`, which returns the system call's result or
 * another Wait (the same object may be returned again). No host stack frame belongs to a sleeping task.
 *
 * Reasons and what `resume` must do:
 *   WAKE_EVENT    something changed: look again, never assume.
 *   WAKE_TIMEOUT  `deadlineNs` has passed.
 *   WAKE_SIGNAL   a signal is to be delivered (or the task must die): finish now. Return the partial result if there is
 *                 one, else one of the restart codes below, else -EINTR. A Wait returned here is honoured only if
 *                 the signal has vanished meanwhile; the task stays interruptible.
 *
 * Restart codes never reach the program (Linux: include/linux/errno.h). After a handler has been chosen:
 *   -ERESTARTSYS          restarted if the handler has SA_RESTART, else EINTR   (read, write, wait4, futex ...)
 *   -ERESTARTNOINTR       always restarted
 *   -ERESTARTNOHAND       restarted only if no handler ran, else EINTR          (pause, sigsuspend, poll)
 *   -ERESTART_RESTARTBLOCK  as NOHAND, but continues with `task.restart` (sleeps keep their absolute deadline)
 * A restart executes the ecall again with the original a0.
 */
import type { PollSet } from "./poll-set.ts";
import type { Task } from "./task/task.ts";

export const WAKE_EVENT = 0;
export const WAKE_TIMEOUT = 1;
export const WAKE_SIGNAL = 2;

export const ERESTARTSYS = 512;
export const ERESTARTNOINTR = 513;
export const ERESTARTNOHAND = 514;
export const ERESTART_RESTARTBLOCK = 516;

/** `deadlineNs` of a wait without a time limit. */
export const NO_DEADLINE: number = Number.POSITIVE_INFINITY;

/** Every POLL* bit: be woken by anything. */
export const POLL_ANY = 0xffff;

export type Resume = (task: Task, reason: number) => number | Wait;

export class Wait {
  /** What may end the wait: one poll set, several, or none (only the deadline or a signal). */
  on: PollSet | readonly PollSet[] | null;
  /** Wake-ups without any of these POLL* bits are ignored. */
  events: number;
  /** Absolute, on the platform's monotonic clock, in ns; NO_DEADLINE for none. */
  deadlineNs: number;
  resume: Resume;
  /** Shown in /proc/PID/wchan and in deadlock reports, e.g. "pipe_read". */
  channel: string;

  constructor(
    channel: string,
    on: PollSet | readonly PollSet[] | null,
    resume: Resume,
    deadlineNs: number = NO_DEADLINE,
    events: number = POLL_ANY,
  ) {
    this.channel = channel;
    this.on = on;
    this.resume = resume;
    this.deadlineNs = deadlineNs;
    this.events = events;
  }
}

/**
 * The common wait: try again after each event, give -ERESTARTSYS on a signal.
 * `retry` returns the result, or -EAGAIN-like by returning a Wait again.
 */
export function waitAndRetry(channel: string, on: PollSet, events: number, retry: (task: Task) => number | Wait): Wait {
  return new Wait(
    channel,
    on,
    (task, reason) => (reason === WAKE_SIGNAL ? -ERESTARTSYS : retry(task)),
    NO_DEADLINE,
    events,
  );
}
