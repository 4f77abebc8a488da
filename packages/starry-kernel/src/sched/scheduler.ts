/**
 * Who runs next: three first-in-first-out classes, as coarse as one hart allows.
 *
 *   real-time   SCHED_FIFO and SCHED_RR by priority; FIFO tasks keep the hart until they sleep
 *   normal      SCHED_OTHER and SCHED_BATCH in turn; nice decides the length of the slice
 *   idle        SCHED_IDLE, only when nobody else wants to run
 *
 * A time slice is a number of instructions (`Task.slice`). A sleeping task is in no queue; `park` hangs it on what it
 * waits for and `wake` takes it off again, so a task has at most one reason to be woken.
 */
import { SCHED_FIFO, SCHED_IDLE, SCHED_RR } from "linux-abi";
import type { PollSet } from "../poll-set.ts";
import { type Task, TASK_INTERRUPTIBLE, TASK_RUNNING, TASK_STOPPED, TASK_TRACED } from "../task/task.ts";
import type { TimerQueue } from "../timer-queue.ts";
import type { TraceHooks } from "../trace/hooks.ts";
import { NO_DEADLINE, type Wait } from "../wait.ts";
import { TaskQueue } from "./task-queue.ts";

/** Instructions of a nice-0 slice: a few milliseconds at interpreter speed. */
const BASE_SLICE = 400_000;

/** Nanoseconds between samples of the load. */
export const LOAD_INTERVAL_NS = 5_000_000_000;
const LOAD_DECAY = [1, 5, 15].map((minutes) => Math.exp(-5 / (60 * minutes)));

export class Scheduler {
  /** The task whose registers are in the hart and that is (or was last) running. */
  current: Task | null = null;
  /** The task that ran until it died, until the next switch: what happens meanwhile is its doing, for trace records. */
  dead: Task | null = null;
  readonly #realtime: TaskQueue = new TaskQueue();
  readonly #normal: TaskQueue = new TaskQueue();
  readonly #idle: TaskQueue = new TaskQueue();
  readonly #timers: TimerQueue;
  readonly #trace: TraceHooks;
  readonly #load: [number, number, number] = [0, 0, 0];
  /** When the load is to be sampled next, monotonic ns. */
  nextSampleNs: number = LOAD_INTERVAL_NS;
  /** Context switches since boot. */
  switches = 0;

  constructor(timers: TimerQueue, trace: TraceHooks) {
    this.#timers = timers;
    this.#trace = trace;
  }

  /** Tasks waiting for their turn, the running one not counted. */
  get queued(): number {
    return this.#realtime.length + this.#normal.length + this.#idle.length;
  }

  /** A new task, or one that has used its slice, joins the end of its class. */
  enqueue(task: Task): void {
    task.queued = true;
    if (task.slice <= 0) task.slice = sliceOf(task);
    if (task.policy === SCHED_FIFO || task.policy === SCHED_RR) this.#realtime.insertByPriority(task);
    else if (task.policy === SCHED_IDLE) this.#idle.push(task);
    else this.#normal.push(task);
  }

  /** Takes the next task out of its queue. */
  take(): Task | null {
    const task = this.#realtime.shift() ?? this.#normal.shift() ?? this.#idle.shift();
    if (task !== null) task.queued = false;
    return task;
  }

  /** A queued task should run instead of `task` although its slice is not used up. */
  preempts(task: Task): boolean {
    const first = this.#realtime.first;
    if (first === null) return task.policy === SCHED_IDLE && this.#normal.length > 0;
    return task.policy === SCHED_FIFO || task.policy === SCHED_RR
      ? first.realtimePriority > task.realtimePriority
      : true;
  }

  /** Takes a task that is not running out of the queue (it is being killed or changes class). */
  dequeue(task: Task): void {
    if (!task.queued) return;
    task.queued = false;
    if (!this.#normal.remove(task) && !this.#realtime.remove(task)) this.#idle.remove(task);
  }

  /** Puts `task` to sleep until something `wait` names happens. */
  park(task: Task, wait: Wait): void {
    task.state = TASK_INTERRUPTIBLE;
    task.wait = wait;
    const on = wait.on;
    if (on !== null) {
      if (Array.isArray(on)) for (const set of on as readonly PollSet[]) set.add(task);
      else (on as PollSet).add(task);
    }
    if (wait.deadlineNs !== NO_DEADLINE) this.#timers.arm(task.sleepTimer, wait.deadlineNs);
  }

  /** Ends the sleep of a task; `reason` is WAKE_*. No effect on a task that does not sleep. `task.wait` stays for the dispatcher. */
  wake(task: Task, reason: number): void {
    if (task.state !== TASK_INTERRUPTIBLE) return;
    this.unhook(task);
    task.state = TASK_RUNNING;
    task.wakeReason = reason;
    if (this.#trace.schedWakeupOn) this.#trace.schedWakeup(task, false);
    this.enqueue(task);
  }

  /** SIGCONT, SIGKILL or its tracer for a stopped task. */
  continueStopped(task: Task): void {
    if (task.state !== TASK_STOPPED && task.state !== TASK_TRACED) return;
    task.state = TASK_RUNNING;
    this.enqueue(task);
  }

  /** Runnable tasks averaged over 1, 5 and 15 minutes, as /proc/loadavg shows them. */
  loadAverages(): readonly [number, number, number] {
    return this.#load;
  }

  /** Folds the time since the last sample into the averages: `active` tasks wanted to run. To be called from `nextSampleNs` on. */
  sampleLoad(nowNs: number, active: number): void {
    const samples = Math.floor((nowNs - this.nextSampleNs) / LOAD_INTERVAL_NS) + 1;
    this.nextSampleNs += samples * LOAD_INTERVAL_NS;
    for (let i = 0; i < 3; i++) {
      const keep = (LOAD_DECAY[i] as number) ** samples;
      this.#load[i] = (this.#load[i] as number) * keep + active * (1 - keep);
    }
  }

  /** Takes the task off everything that could wake it. */
  unhook(task: Task): void {
    const on = task.wait?.on ?? null;
    if (on !== null) {
      if (Array.isArray(on)) for (const set of on as readonly PollSet[]) set.remove(task);
      else (on as PollSet).remove(task);
    }
    this.#timers.disarm(task.sleepTimer);
  }
}

/** Longer for low nice values, by about a tenth per step as Linux's weights do. */
export function sliceOf(task: Task): number {
  return Math.round(BASE_SLICE * 1.1 ** -task.nice);
}
