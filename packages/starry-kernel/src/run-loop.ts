/**
 * The kernel's main step: interrupts and timers, choice of a task, user code, traps.
 *
 * Registers of the running task live in the hart; `switchTo` moves them. Time is charged to tasks at the borders between user
 * and kernel mode.
 */
import { STOP_TRAP, STOP_TRAP_LOOP } from "./platform.ts";
import type { Kernel } from "./kernel.ts";
import { oops } from "./oops.ts";
import { deliverSignals } from "./signal/deliver.ts";
import { resumeSyscall } from "./syscall/dispatch.ts";
import { sliceOf } from "./sched/scheduler.ts";
import { type Task, TASK_RUNNING } from "./task/task.ts";
import { handleTrap, trapLoop } from "./trap.ts";

/** System calls a task may make before interrupts and timers are looked at. */
const TRAPS_PER_POLL = 64;

export class RunLoop {
  readonly #kernel: Kernel;
  /** Whose registers and address space are in the hart. */
  #loaded: Task | null = null;
  /** Monotonic ns of the last border between user and kernel mode. */
  #stampNs = 0;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  step(budget: number): number {
    const { scheduler } = this.#kernel;
    let remaining = budget;
    this.#stampNs = this.#kernel.clock.monotonicNs();
    while (remaining > 0) {
      this.#poll();
      if (this.#kernel.halted !== null) return 0;
      if (!this.#chooseTask()) return this.#idle();
      const task = scheduler.current as Task;
      try {
        remaining -= this.#runTask(task, remaining);
      } catch (error) {
        oops(this.#kernel, task, error);
      }
      if (this.#kernel.halted !== null) return 0;
    }
    return 1;
  }

  #poll(): void {
    const { platform, timers, clock } = this.#kernel;
    if (platform.irqPending()) this.#kernel.handleInterrupt();
    const now = clock.monotonicNs();
    if (timers.nextNs <= now) timers.runDue(now);
  }

  /** Makes `scheduler.current` a task that can run; false if there is none. */
  #chooseTask(): boolean {
    const { scheduler, trace } = this.#kernel;
    const current = scheduler.current;
    if (current !== null && current.state === TASK_RUNNING && !current.queued) {
      if (scheduler.queued === 0 || (current.slice > 0 && !scheduler.preempts(current))) {
        if (current.slice <= 0) current.slice = sliceOf(current);
        this.#switchTo(current);
        return true;
      }
      current.usage.involuntarySwitches++;
      scheduler.enqueue(current);
    } else if (current !== null) current.usage.voluntarySwitches++;
    const next = scheduler.take();
    const previous = current ?? scheduler.dead;
    if (next !== previous) {
      scheduler.switches++;
      if (trace.schedSwitchOn) trace.schedSwitch(previous, next, previous?.state ?? 0);
    }
    scheduler.dead = null;
    scheduler.current = next;
    if (next === null) return false;
    if (next.slice <= 0) next.slice = sliceOf(next);
    this.#switchTo(next);
    return true;
  }

  #switchTo(next: Task): void {
    const previous = this.#loaded;
    if (previous === next) return;
    const { cpu, memory } = this.#kernel;
    if (previous !== null) this.#save(previous);
    this.#loaded = next;
    cpu.x.set(next.x);
    cpu.f.set(next.f);
    cpu.fcsr = next.fcsr;
    cpu.pc = next.pc;
    memory.activate(next.memory);
  }

  /** Takes the hart away from the task whose registers are in it: somebody else is about to set them. */
  unload(): void {
    if (this.#loaded !== null) this.#save(this.#loaded);
    this.#loaded = null;
  }

  /** Copies the hart's registers to the task they belong to. */
  #save(task: Task): void {
    const { cpu } = this.#kernel;
    task.x.set(cpu.x);
    task.f.set(cpu.f);
    task.fcsr = cpu.fcsr;
    task.pc = cpu.pc;
  }

  /** Runs the current task until its slice or `budget` is used up, it sleeps, or it is time to poll. Returns instructions used. */
  #runTask(task: Task, budget: number): number {
    const kernel = this.#kernel;
    const { cpu, scheduler, clock } = kernel;
    let used = 0;
    for (let traps = 0; traps < TRAPS_PER_POLL; traps++) {
      if (task.wait !== null && task.state === TASK_RUNNING) resumeSyscall(kernel, task);
      if (task.attention && task.state === TASK_RUNNING && scheduler.current === task) deliverSignals(task);
      if (scheduler.current !== task || task.state !== TASK_RUNNING || kernel.halted !== null) break;
      const enteredNs = clock.monotonicNs();
      task.usage.systemNs += enteredNs - this.#stampNs;
      const before = cpu.instret;
      const stop = cpu.run(Math.min(task.slice, budget - used));
      const ran = cpu.instret - before;
      this.#stampNs = clock.monotonicNs();
      task.usage.userNs += this.#stampNs - enteredNs;
      used += ran;
      task.slice -= ran;
      if (stop === STOP_TRAP) handleTrap(kernel, task);
      else {
        if (stop === STOP_TRAP_LOOP) trapLoop(kernel, task);
        break;
      }
      if (used >= budget || task.slice <= 0) break;
    }
    // A trap that retires nothing must not run for free.
    return Math.max(used, 1);
  }

  /** Nothing to run: how long. */
  #idle(): number {
    const { timers, clock } = this.#kernel;
    const next = timers.nextNs;
    if (next === Number.POSITIVE_INFINITY) return 0;
    return Math.min(-1, clock.monotonicNs() - next);
  }
}
