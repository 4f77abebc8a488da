/**
 * The kernel's main step: interrupts and timers, choice of a task, user code, traps.
 *
 * Registers of the running task live in the hart; `switchTo` moves them.
 *
 * Accounting: a task is charged the time from when it is chosen until somebody else is (reading the clock costs as much as half
 * a system call, so it is not read at every trap). One trap in TRAPS_PER_SAMPLE is timed, and its time, multiplied, counts as
 * system time; the rest is user time. Linux without CONFIG_VIRT_CPU_ACCOUNTING samples in the same spirit, at every tick.
 * A profiler (`kernel.sampler`) gets these samples, and samples of user code by counted instructions.
 */
import { STOP_TRAP, STOP_TRAP_LOOP } from "./platform.ts";
import type { Kernel } from "./kernel.ts";
import { oops } from "./oops.ts";
import { deliverSignals } from "./signal/deliver.ts";
import { resumeSyscall } from "./syscall/dispatch.ts";
import type { Sampler } from "./sampler.ts";
import { sliceOf } from "./sched/scheduler.ts";
import { type Task, TASK_RUNNING } from "./task/task.ts";
import { handleTrap, trapLoop } from "./trap.ts";

/** System calls a task may make before interrupts and timers are looked at. */
const TRAPS_PER_POLL = 64;
/** A prime: programs that repeat a few calls get all of them sampled. */
const TRAPS_PER_SAMPLE = 31;
/** Instructions per nanosecond by which the time to the next timer is turned into a budget: on the slow side. */
const INSTRUCTIONS_PER_NS = 0.05;
const MIN_RUN = 1000;

export class RunLoop {
  readonly #kernel: Kernel;
  /** Whose registers and address space are in the hart. */
  #loaded: Task | null = null;
  /** Monotonic ns up to which time has been charged. */
  #stampNs = 0;
  /** System time that the samples since then stand for. */
  #sampledNs = 0;
  #trapsUntilSample = TRAPS_PER_SAMPLE;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  get loadedTask(): Task | null {
    return this.#loaded;
  }

  step(budget: number): number {
    const { sampler } = this.#kernel;
    if (sampler === null) return this.#step(budget, null);
    sampler.resume();
    const next = this.#step(budget, sampler);
    sampler.pause();
    return next;
  }

  #step(budget: number, sampler: Sampler | null): number {
    const { scheduler } = this.#kernel;
    let remaining = budget;
    this.#stampNs = this.#kernel.clock.monotonicNs();
    this.#sampledNs = 0;
    if (this.#stampNs >= scheduler.nextSampleNs) scheduler.sampleLoad(this.#stampNs, 0); // nobody ran meanwhile
    while (remaining > 0) {
      const untilTimer = this.#poll();
      if (this.#kernel.halted !== null) return 0;
      if (!this.#chooseTask()) return this.#idle();
      const task = scheduler.current as Task;
      try {
        if (sampler === null) remaining -= this.#runTask(task, Math.min(remaining, untilTimer));
        else remaining -= this.#runSampled(sampler, task, Math.min(remaining, untilTimer));
      } catch (error) {
        oops(this.#kernel, task, error);
      }
      this.#charge(task, this.#kernel.clock.monotonicNs());
      if (this.#kernel.halted !== null) return 0;
      if (this.#kernel.debugger?.stopped) return 0;
    }
    return 1;
  }

  /** Serves interrupts and due timers; returns about how many instructions fit before the next timer is due. */
  #poll(): number {
    const { platform, timers } = this.#kernel;
    if (platform.irqPending()) this.#kernel.handleInterrupt();
    const next = timers.nextNs;
    if (next === Number.POSITIVE_INFINITY) return next;
    // The time up to which the last task was charged is recent enough for everything but the very next moment.
    let now = this.#stampNs;
    if (next - now < 1_000_000) now = this.#kernel.clock.monotonicNs();
    if (next <= now) timers.runDue(now);
    // Whole instructions: a fraction left over in a slice would run nothing, again and again.
    return Math.max(MIN_RUN, Math.floor((timers.nextNs - now) * INSTRUCTIONS_PER_NS));
  }

  /** Brings the running task's accounts up to the present: for those who read them. */
  account(): void {
    const { scheduler, clock } = this.#kernel;
    if (scheduler.current !== null) this.#charge(scheduler.current, clock.monotonicNs());
  }

  #charge(task: Task, nowNs: number): void {
    const elapsed = nowNs - this.#stampNs;
    const system = Math.min(this.#sampledNs, elapsed);
    task.usage.systemNs += system;
    task.usage.userNs += elapsed - system;
    this.#sampledNs -= system;
    this.#stampNs = nowNs;
    const { scheduler } = this.#kernel;
    if (nowNs >= scheduler.nextSampleNs) scheduler.sampleLoad(nowNs, scheduler.queued + 1);
    const { timers } = task.process;
    if (timers.cpu.active && !task.process.exiting) timers.cpu.check();
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
    const { cpu, scheduler } = kernel;
    const start = cpu.instret;
    let used = 0;
    for (let traps = 0; traps < TRAPS_PER_POLL; traps++) {
      if (task.wait !== null && task.state === TASK_RUNNING) resumeSyscall(kernel, task);
      if (task.attention && task.state === TASK_RUNNING && scheduler.current === task) deliverSignals(task);
      if (scheduler.current !== task || task.state !== TASK_RUNNING || kernel.halted !== null) break;
      const stop = cpu.run(Math.min(task.slice, budget - used));
      const ran = cpu.instret - start - used;
      used += ran;
      task.slice -= ran;
      if (stop === STOP_TRAP) {
        if (--this.#trapsUntilSample === 0) this.#sampleTrap(task);
        else handleTrap(kernel, task);
      } else {
        if (stop === STOP_TRAP_LOOP) trapLoop(kernel, task);
        break;
      }
      if (used >= budget || task.slice <= 0) break;
    }
    // A trap that retires nothing must not run for free.
    return Math.max(used, 1);
  }

  #runSampled(sampler: Sampler, task: Task, budget: number): number {
    const used = this.#runTask(task, Math.min(budget, sampler.remaining));
    sampler.remaining -= used;
    if (sampler.remaining <= 0) sampler.sampleUser(task);
    return used;
  }

  #sampleTrap(task: Task): void {
    this.#trapsUntilSample = TRAPS_PER_SAMPLE;
    const { clock, sampler } = this.#kernel;
    sampler?.beginTrap(task);
    const before = clock.monotonicNs();
    handleTrap(this.#kernel, task);
    const ns = (clock.monotonicNs() - before) * TRAPS_PER_SAMPLE;
    this.#sampledNs += ns;
    sampler?.endTrap(task, ns);
  }

  /** Nothing to run: how long. */
  #idle(): number {
    const { timers, clock } = this.#kernel;
    const next = timers.nextNs;
    if (next === Number.POSITIVE_INFINITY) return 0;
    return Math.min(-1, clock.monotonicNs() - clock.roundUp(next));
  }
}
