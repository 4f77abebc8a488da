/**
 * The process that gdb debugs, and control over it: stops, steps, breakpoints, watchpoints, signals.
 *
 * When it stops, the whole machine does (gdb's all-stop mode). Other processes run undisturbed otherwise.
 *
 *   breakpoints   ebreak in the process's own copy of the page; gdb writes the original back to step over one
 *   single steps  one instruction at a time on the hart; system calls and page faults count as part of their instruction
 *   watchpoints   single steps that look at the address of each load and store: slow, exact, any number
 *   signals       `takesSignal`: gdb decides whether the program gets them
 *
 * Events are noticed while the kernel runs and told between its steps (`report`), when no registers are in the hart.
 */
import { SIGKILL, SIGTRAP } from "linux-abi";
import { CAUSE_BREAKPOINT } from "rv64-cpu/isa";
import {
  type Debugger,
  type Kernel,
  kernelSignal,
  type Process,
  type SignalInfo,
  STOP_FUEL,
  STOP_INTERRUPT,
  STOP_TRAP,
  type Task,
  WAKE_SIGNAL,
} from "starry-kernel";
import type { DebugCpu } from "./debug-cpu.ts";
import { dataAccess, instructionAt, MAX_SEQUENCE_BYTES, stepLength } from "./instruction.ts";
import { readMemory, type Space, writeMemory } from "./memory.ts";
import { toGdbSignal } from "./signals.ts";

/** Why the process stopped or ended. Signals are gdb's numbers. */
export type Event =
  | { readonly kind: "stop"; readonly tid: number; readonly signal: number; readonly reason: string }
  | { readonly kind: "exited"; readonly status: number }
  | { readonly kind: "killed"; readonly signal: number };

/** What threads shall do. */
export interface ResumeAction {
  /** 0: every thread that no action before names. */
  readonly tid: number;
  readonly kind: "continue" | "step" | "range";
  /** Linux signal number to deliver, 0 none. */
  readonly signal: number;
  /** For "range": step until pc is outside of [start, end). */
  readonly start: number;
  readonly end: number;
}

interface ThreadAction extends ResumeAction {
  /** pc when the current step began. */
  from: number;
  /** The thread has not run since `resume`. */
  isNew: boolean;
}

interface Watchpoint {
  readonly address: number;
  readonly byteLength: number;
  readonly type: WatchType;
}

/** As the stop reply names it: on stores, on loads, on both. */
export type WatchType = "watch" | "rwatch" | "awatch";

const EBREAK: Readonly<Record<number, Uint8Array>> = {
  2: Uint8Array.of(0x02, 0x90),
  4: Uint8Array.of(0x73, 0x00, 0x10, 0x00),
};
const GDB_SIGTRAP = 5;
const GDB_SIGINT = 2;
const STATE_ENDED = 16 | 32; // EXIT_DEAD, EXIT_ZOMBIE

export class DebugTarget implements Debugger {
  readonly kernel: Kernel;
  readonly cpu: DebugCpu;
  /** Null when it has ended. */
  process: Process | null = null;
  stopped = false;
  /** Somebody debugs: else the process runs as if this were not there. */
  attached = false;
  /** Tell about execve with a stop. */
  reportExec = false;
  /** Linux numbers of signals that the program gets without a stop. */
  readonly passedSignals: Set<number> = new Set();
  /** Called between steps of the kernel. */
  onEvent: (event: Event) => void = () => {};
  /** Called when the machine has something to do again. */
  onResume: () => void = () => {};

  #event: Event | null = null;
  /** The last stop, for `?`. */
  #last: Event | null = null;
  #space: Space | null = null;
  readonly #actions: Map<number, ThreadAction> = new Map();
  /** For threads without an action of their own; null: they are held. */
  #others: ResumeAction | null = null;
  /** Address → length of what stands there instead of the program's instruction. */
  readonly #breakpoints: Map<number, number> = new Map();
  /** Bytes under every breakpoint that this program has had. */
  readonly #originals: Map<number, Uint8Array> = new Map();
  /** Memory of other processes that has been cleared of breakpoints copied by fork. */
  #cleared: WeakSet<Space> = new WeakSet();
  readonly #watchpoints: Watchpoint[] = [];
  /** Signal that stopped a thread. */
  #held: { readonly task: Task; readonly info: SignalInfo } | null = null;
  #passed: WeakSet<SignalInfo> = new WeakSet();
  readonly #exitListener = { pollWake: (): void => this.#noticeExit() };

  constructor(kernel: Kernel, cpu: DebugCpu) {
    this.kernel = kernel;
    this.cpu = cpu;
    cpu.runner = (max) => this.#run(max);
    kernel.debugger = this;
  }

  /** Chooses the process. False if there is none of this number. */
  select(pid: number): boolean {
    const process = this.kernel.tasks.process(pid);
    if (process === undefined || process.zombie) return false;
    this.process?.exitEvents.remove(this.#exitListener);
    this.clearPoints();
    this.process = process;
    this.#enter(process.leader.memory);
    process.exitEvents.add(this.#exitListener);
    return true;
  }

  /** Stops the machine, from between two steps of the kernel. */
  attach(): void {
    this.attached = true;
    this.stopped = true;
    this.kernel.unloadHart();
    this.#last = { kind: "stop", tid: this.#anyThread(), signal: GDB_SIGTRAP, reason: "" };
    this.#event = null;
  }

  /** As if nobody had been here; the program goes on. */
  detach(): void {
    this.clearPoints();
    this.#held = null;
    this.attached = false;
    this.reportExec = false;
    this.passedSignals.clear();
    this.#go();
  }

  /** The user typed ^C. */
  interrupt(): void {
    if (this.stopped) return;
    this.#stop(this.#anyThread(), GDB_SIGINT, "");
    this.report();
  }

  /** Some threads are held back: the kernel may find nothing that it can run, and should not look for long. */
  get holds(): boolean {
    return this.attached && this.#others === null;
  }

  /** The signal that the program stopped for, or null. */
  get heldSignal(): SignalInfo | null {
    return this.#held?.info ?? null;
  }

  get lastEvent(): Event | null {
    return this.#last;
  }

  /** Threads in order of creation. */
  get threads(): readonly Task[] {
    return this.process?.threads.filter((task) => (task.state & STATE_ENDED) === 0) ?? [];
  }

  thread(tid: number): Task | undefined {
    return this.threads.find((task) => task.tid === tid);
  }

  /** Tells what happened in the kernel's last step. */
  report(): void {
    if (this.#event === null && this.attached && !this.stopped && this.holds) this.#noticeEndOfStep();
    const event = this.#event;
    if (event === null) return;
    this.#event = null;
    this.#last = event;
    this.kernel.unloadHart();
    if (this.attached) this.onEvent(event);
  }

  /** The machine has ended. A debugger at which the program stands does not wait for an answer and gets none. */
  machineEnded(): void {
    if (this.process !== null && !this.stopped) this.#event = { kind: "killed", signal: SIGKILL };
    this.process = null;
    this.report();
  }

  // Memory, as the program would see it.

  read(va: number, byteLength: number): Uint8Array {
    if (this.#space === null) return new Uint8Array(0);
    const bytes = readMemory(this.#space, va, byteLength);
    for (const at of this.#breakpoints.keys()) overlay(bytes, va, at, this.#originals.get(at) as Uint8Array);
    return bytes;
  }

  write(va: number, bytes: Uint8Array): boolean {
    if (this.#space === null) return false;
    const raw = bytes.slice();
    for (const [at, length] of this.#breakpoints) {
      const original = this.#originals.get(at) as Uint8Array;
      overlay(original, at, va, bytes);
      overlay(raw, va, at, EBREAK[length]);
    }
    return writeMemory(this.#space, va, raw);
  }

  // Breakpoints and watchpoints.

  addBreakpoint(va: number, byteLength: number): boolean {
    const code = EBREAK[byteLength];
    if (this.#space === null || code === undefined) return false;
    if (this.#breakpoints.has(va)) return true;
    const original = this.read(va, byteLength);
    if (original.length < byteLength || !writeMemory(this.#space, va, code)) return false;
    this.#originals.set(va, original);
    this.#breakpoints.set(va, byteLength);
    return true;
  }

  removeBreakpoint(va: number): void {
    if (!this.#breakpoints.delete(va) || this.#space === null) return;
    writeMemory(this.#space, va, this.#originals.get(va) as Uint8Array);
  }

  addWatchpoint(address: number, byteLength: number, type: WatchType): void {
    this.removeWatchpoint(address, byteLength, type);
    this.#watchpoints.push({ address, byteLength, type });
  }

  removeWatchpoint(address: number, byteLength: number, type: WatchType): void {
    const at = this.#watchpoints.findIndex(
      (each) => each.address === address && each.byteLength === byteLength && each.type === type,
    );
    if (at >= 0) this.#watchpoints.splice(at, 1);
  }

  clearPoints(): void {
    for (const va of [...this.#breakpoints.keys()]) this.removeBreakpoint(va);
    this.#watchpoints.length = 0;
  }

  /** Lets threads go on. For each the first action that names it counts; threads without one are held. */
  resume(actions: readonly ResumeAction[]): void {
    this.#actions.clear();
    this.#others = null;
    for (const task of this.threads) {
      const action = actions.find((each) => each.tid === 0 || each.tid === task.tid);
      if (action !== undefined) this.#actions.set(task.tid, { ...action, from: task.pc, isNew: true });
      if (action !== undefined && action.signal !== 0) this.#deliver(task, action.signal);
    }
    const general = actions.find((each) => each.tid === 0);
    if (general !== undefined) this.#others = { ...general, kind: "continue", signal: 0 };
    this.#held = null;
    this.#go();
  }

  // Debugger

  takesSignal(task: Task, info: SignalInfo): boolean {
    if (!this.attached || task.process !== this.process || info.signo === SIGKILL) return false;
    if (this.#passed.delete(info) || this.passedSignals.has(info.signo)) return false;
    this.#held = { task, info };
    this.#stop(task.tid, toGdbSignal(info.signo), "");
    return true;
  }

  #deliver(task: Task, signal: number): void {
    const held = this.#held;
    const info = held !== null && held.task === task && held.info.signo === signal ? held.info : kernelSignal(signal);
    this.#passed.add(info);
    task.pending.push(info);
    task.attention = true;
    this.kernel.scheduler.wake(task, WAKE_SIGNAL);
  }

  #go(): void {
    this.stopped = false;
    this.onResume();
  }

  #stop(tid: number, signal: number, reason: string): number {
    this.stopped = true;
    this.#event = { kind: "stop", tid, signal, reason };
    return STOP_INTERRUPT;
  }

  #anyThread(): number {
    const { current } = this.kernel.scheduler;
    if (current !== null && current.process === this.process && (current.state & STATE_ENDED) === 0) return current.tid;
    return this.threads[0]?.tid ?? 0;
  }

  #enter(space: Space): void {
    this.#space = space;
    this.#breakpoints.clear();
    this.#originals.clear();
    this.#cleared = new WeakSet();
  }

  #noticeExit(): void {
    const { process } = this;
    if (process === null || !process.zombie) return;
    const signal = process.exitStatus & 0x7f;
    this.#event =
      signal === 0
        ? { kind: "exited", status: (process.exitStatus >> 8) & 0xff }
        : { kind: "killed", signal: toGdbSignal(signal) };
    this.process = null;
    this.#space = null;
    this.#breakpoints.clear();
  }

  /** The only thread that may run has ended: nothing would ever happen again. */
  #noticeEndOfStep(): void {
    const { threads } = this;
    if (threads.length === 0 || threads.some((task) => this.#actions.has(task.tid))) return;
    this.#stop(threads[0].tid, 0, "");
  }

  /** What the kernel calls to run user code. */
  #run(max: number): number {
    const { process, cpu } = this;
    if (this.stopped) return STOP_INTERRUPT;
    const task = this.kernel.scheduler.current as Task;
    if (!this.attached) return cpu.hart.run(max);
    if (task.process !== process) return this.#runOther(task, max);
    if (task.memory !== this.#space) {
      this.#enter(task.memory);
      this.#watchpoints.length = 0;
      if (this.reportExec) return this.#stop(task.tid, GDB_SIGTRAP, `exec:${process.executablePath}`);
    }
    const action = this.#actions.get(task.tid) ?? this.#others;
    if (action === null) {
      task.slice = 0; // somebody else's turn
      return STOP_FUEL;
    }
    if (action.kind !== "continue") return this.#step(task, action as ThreadAction, max);
    if (this.#watchpoints.length > 0) return this.#runWatched(task, max);
    if ("isNew" in action && this.#leavesSequence(task, action as ThreadAction)) return STOP_INTERRUPT;
    return this.#trapped(task, cpu.hart.run(max));
  }

  /** A task that is not debugged. It may have breakpoints in memory that it got by fork, or shares after vfork. */
  #runOther(task: Task, max: number): number {
    const { memory } = task;
    if (memory !== this.#space && this.#originals.size > 0 && !this.#cleared.has(memory)) {
      this.#cleared.add(memory);
      for (const [va, original] of this.#originals) {
        const code = EBREAK[original.length];
        const there = readMemory(memory, va, code.length);
        if (there.length === code.length && there.every((byte, n) => byte === code[n]))
          writeMemory(memory, va, original);
      }
    }
    const { hart } = this.cpu;
    const stop = hart.run(max);
    const va = hart.pc;
    const length = this.#breakpoints.get(va);
    if (stop !== STOP_TRAP || hart.trapCause !== CAUSE_BREAKPOINT || memory !== this.#space || length === undefined)
      return stop;
    writeMemory(memory, va, this.#originals.get(va) as Uint8Array);
    const stepped = hart.run(1);
    writeMemory(memory, va, EBREAK[length]);
    return stepped;
  }

  /** Turns the trap of a breakpoint into a stop; other results of `run` stay. */
  #trapped(task: Task, stop: number): number {
    const { cpu } = this;
    if (stop !== STOP_TRAP || cpu.trapCause !== CAUSE_BREAKPOINT || !this.#breakpoints.has(cpu.pc)) return stop;
    return this.#stop(task.tid, toGdbSignal(SIGTRAP), "swbreak:");
  }

  #step(task: Task, action: ThreadAction, max: number): number {
    const { cpu } = this;
    // The kernel has finished the instruction (a system call), or a signal handler begins.
    if (cpu.pc !== action.from && this.#isStepDone(action)) return this.#stop(task.tid, GDB_SIGTRAP, "");
    for (let left = max; left > 0; left--) {
      const stop = this.#one(task);
      if (stop !== STOP_FUEL) return stop;
      if (this.#isStepDone(action)) return this.#stop(task.tid, GDB_SIGTRAP, "");
    }
    return STOP_FUEL;
  }

  /**
   * gdb on RISC-V Linux steps with breakpoints. In a sequence of load-reserved and store-conditional they would cost the
   * reservation each time, and the loop around it would never end: the whole sequence is executed as one step instead.
   */
  #leavesSequence(task: Task, action: ThreadAction): boolean {
    if (!action.isNew) return false;
    action.isNew = false;
    const { hart } = this.cpu;
    const from = hart.pc;
    const inside = [...this.#breakpoints.keys()].filter((va) => va > from && va < from + MAX_SEQUENCE_BYTES);
    if (inside.length === 0) return false;
    for (const va of inside) writeMemory(task.memory, va, this.#originals.get(va) as Uint8Array);
    const length = stepLength(task.memory, from, instructionAt(task.memory, from));
    const stop = length === 1 ? STOP_TRAP : hart.run(length);
    for (const va of inside) writeMemory(task.memory, va, EBREAK[this.#breakpoints.get(va) as number]);
    const isCut = stop === STOP_FUEL && inside.some((va) => va <= hart.pc);
    if (isCut) this.#stop(task.tid, GDB_SIGTRAP, "");
    return isCut;
  }

  #isStepDone(action: ThreadAction): boolean {
    const { pc } = this.cpu;
    action.from = pc;
    return action.kind === "step" || pc < action.start || pc >= action.end;
  }

  #runWatched(task: Task, max: number): number {
    const { instret } = this.cpu;
    for (let left = max; left > 0; left--) {
      const stop = this.#one(task);
      if (stop !== STOP_FUEL) return stop;
      if (this.cpu.instret - instret >= max) break;
    }
    return STOP_FUEL;
  }

  /** One instruction, or one atomic sequence. STOP_FUEL when it is done. */
  #one(task: Task): number {
    const { cpu } = this;
    const { hart } = cpu;
    const bits = instructionAt(task.memory, hart.pc);
    const length = stepLength(task.memory, hart.pc, bits);
    const hit = this.#watchpoints.length === 0 ? "" : this.#watched(bits, length > 1);
    const stop = this.#trapped(task, hart.run(length));
    return hit !== "" && stop === STOP_FUEL ? this.#stop(task.tid, GDB_SIGTRAP, hit) : stop;
  }

  /** The stop reason if this instruction touches a watchpoint, else "". An atomic sequence ends with a store where it loaded. */
  #watched(bits: number, isSequence: boolean): string {
    const access = dataAccess(bits, this.cpu.x);
    if (access === null) return "";
    if (isSequence) access.isStore = true;
    for (const point of this.#watchpoints) {
      if (access.address >= point.address + point.byteLength || access.address + access.byteLength <= point.address)
        continue;
      const wanted = point.type === "watch" ? access.isStore : point.type === "rwatch" ? access.isLoad : true;
      if (wanted) return `${point.type}:${Math.max(access.address, point.address).toString(16)}`;
    }
    return "";
  }
}

/** Copies what `part`, which begins at address `partAt`, has in common with `bytes`, which begins at `at`. */
function overlay(bytes: Uint8Array, at: number, partAt: number, part: Uint8Array): void {
  const from = Math.max(at, partAt);
  const to = Math.min(at + bytes.length, partAt + part.length);
  if (from < to) bytes.set(part.subarray(from - partAt, to - partAt), from - at);
}
