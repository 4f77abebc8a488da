/**
 * The seam to a sampling profiler outside the kernel (starry-machine's): it is told when samples are due, with the registers
 * of the task in the hart.
 */
import type { Task } from "./task/task.ts";

export interface Sampler {
  /** Instructions until the next sample of user code, at least 1: the run loop runs no further and counts them down. */
  remaining: number;
  /** `remaining` is used up; the hart stands at the next instruction of `task`. Sets `remaining` anew. */
  sampleUser(task: Task): void;
  /** `task` has trapped and this trap is timed: what it was is in the hart's registers and trapCause. */
  beginTrap(task: Task): void;
  /** The trap has been handled. `ns`: kernel time that it stands for, itself and the traps that are not timed. */
  endTrap(task: Task, ns: number): void;
  /** A step begins, and ends: the time between is nobody's. */
  resume(): void;
  pause(): void;
}
