/**
 * A sampling profiler of guest programs: where their time goes, by function and caller, kernel included.
 *
 * User code is sampled about every `intervalNs`, counted in instructions, so that the pc is exact and the guest does not notice.
 * Kernel time comes from the traps that the run loop times anyway; it shows as a frame `[k] read` on top of the code that
 * made the call. A sample's weight is the time since the last one.
 *
 *   const machine = await Machine.create({ ..., profile: true });
 *   await machine.exited;
 *   await writeFile("out.folded", machine.profiler.folded());
 */
import { SYSCALL_NAMES } from "linux-abi";
import { CAUSE_ECALL_U, CAUSE_NAMES } from "rv64-cpu/isa";
import type { AddressSpace, Kernel, Sampler, Task } from "starry-kernel";
import { formatFolded, formatSpeedscope } from "./formats.ts";
import { GuestSymbols } from "./guest-symbols.ts";

export interface ProfilerOptions {
  /** Nanoseconds between samples of user code, about. Default 1,000,000. */
  readonly intervalNs?: number;
}

/** One function of a profile. */
export interface ProfileFrame {
  readonly name: string;
  /** File that it comes from; "" for the kernel. */
  readonly file: string;
}

/** Samples of one task under one name (a program). */
export interface ProfileThread {
  readonly name: string;
  /** Node of the call tree, sample by sample. */
  readonly nodes: number[];
  /** Nanoseconds, sample by sample. */
  readonly weights: number[];
}

/** Everything collected: frames, the tree of stacks (a node knows its caller's node, -1 for the outermost), and samples. */
export interface Profile {
  readonly frames: readonly ProfileFrame[];
  readonly nodeFrames: readonly number[];
  readonly nodeParents: readonly number[];
  readonly threads: readonly ProfileThread[];
}

const DEFAULT_INTERVAL_NS = 1_000_000;
const FIRST_INTERVAL = 100_000;
const MIN_INTERVAL = 5_000;
const MAX_INTERVAL = 20_000_000;
/** Kernel time of one kind of trap that is collected before a sample is taken of it. */
const MIN_KERNEL_NS = 200_000;
const A7 = 34;

export class Profiler implements Sampler, Profile {
  remaining: number = FIRST_INTERVAL;
  readonly frames: ProfileFrame[] = [];
  readonly nodeFrames: number[] = [];
  readonly nodeParents: number[] = [];
  readonly threads: ProfileThread[] = [];
  readonly #kernel: Kernel;
  readonly #symbols: GuestSymbols;
  readonly #intervalNs: number;
  readonly #frameIndex = new Map<string, number>();
  readonly #nodeIndex = new Map<string, number>();
  readonly #threadOf = new WeakMap<Task, ProfileThread>();
  #interval = FIRST_INTERVAL;
  // The last sample of user code: time, less what passed between steps, and instructions.
  #lastNs = 0;
  #lastInstret = 0;
  #pausedNs = 0;
  /** Kernel time that samples since the last user sample have told of. */
  #kernelNs = 0;
  #random = 1;
  // The trap being timed.
  readonly #x = new Int32Array(64);
  #pc = 0;
  #what = "";
  #memory: AddressSpace | null = null;
  #thread: ProfileThread | null = null;
  /** Kernel time without a sample yet, by what it was. */
  readonly #debts = new Map<string, number>();

  constructor(kernel: Kernel, options: ProfilerOptions = {}) {
    this.#kernel = kernel;
    this.#symbols = new GuestSymbols(kernel);
    this.#intervalNs = options.intervalNs ?? DEFAULT_INTERVAL_NS;
    this.#lastNs = this.#pausedNs = kernel.clock.monotonicNs();
  }

  /** Folded stacks: `thread;outer;inner microseconds` per line, as flamegraph.pl and others read them. */
  folded(): string {
    return formatFolded(this);
  }

  /** A file for speedscope.app, as JSON text. */
  speedscope(name = "starry"): string {
    return formatSpeedscope(this, name);
  }

  resume(): void {
    this.#lastNs += this.#kernel.clock.monotonicNs() - this.#pausedNs;
  }

  pause(): void {
    this.#pausedNs = this.#kernel.clock.monotonicNs();
  }

  sampleUser(task: Task): void {
    const now = this.#kernel.clock.monotonicNs();
    const elapsed = now - this.#lastNs;
    if (this.#kernel.loadedTask === task && !task.process.zombie) {
      const { cpu } = this.#kernel;
      const node = this.#node(task, task.memory, cpu.pc, cpu.x, null);
      const weight = elapsed - Math.min(elapsed, this.#kernelNs);
      if (weight > 0) record(this.#threadFor(task), node, weight);
    }
    this.#setInterval(elapsed);
    this.#lastInstret = this.#kernel.cpu.instret;
    this.#lastNs = this.#kernel.clock.monotonicNs();
    this.#kernelNs = 0;
  }

  /** Half way to the number of instructions that the last interval suggests, with a jitter against programs in step with us. */
  #setInterval(elapsedNs: number): void {
    const ran = this.#kernel.cpu.instret - this.#lastInstret;
    const wanted = elapsedNs > 0 ? (ran * this.#intervalNs) / elapsedNs : this.#interval * 2;
    this.#interval = Math.min(MAX_INTERVAL, Math.max(MIN_INTERVAL, Math.round((this.#interval + wanted) / 2)));
    this.#random = (Math.imul(this.#random, 1103515245) + 12345) | 0;
    this.remaining = Math.round(this.#interval * (0.875 + ((this.#random >>> 16) & 0xff) / 1024));
  }

  beginTrap(task: Task): void {
    const { cpu } = this.#kernel;
    this.#x.set(cpu.x);
    this.#pc = cpu.pc;
    this.#memory = task.memory;
    this.#thread = this.#threadFor(task);
    const nr = cpu.x[A7];
    this.#what =
      cpu.trapCause === CAUSE_ECALL_U
        ? (SYSCALL_NAMES[nr] ?? `system call ${nr}`)
        : (CAUSE_NAMES[cpu.trapCause] ?? `trap ${cpu.trapCause}`);
  }

  endTrap(task: Task, ns: number): void {
    this.#kernelNs += ns;
    const debt = (this.#debts.get(this.#what) ?? 0) + ns;
    const due = debt >= MIN_KERNEL_NS;
    this.#debts.set(this.#what, due ? 0 : debt);
    if (!due || this.#memory === null || this.#thread === null) return;
    // After execve or exit the stack of before is gone.
    const stackIsThere = this.#memory === task.memory && this.#memory.count > 0 && !task.process.zombie;
    const node = this.#node(task, stackIsThere ? this.#memory : null, this.#pc, this.#x, `[k] ${this.#what}`);
    record(this.#thread, node, debt);
    this.#memory = null;
  }

  #threadFor(task: Task): ProfileThread {
    const known = this.#threadOf.get(task);
    const name = `${task.comm} (${task.tid})`;
    if (known !== undefined && known.name === name) return known;
    const thread: ProfileThread = { name, nodes: [], weights: [] };
    this.threads.push(thread);
    this.#threadOf.set(task, thread);
    return thread;
  }

  /** The tree's node of a stack; `memory` null: without the program's frames. */
  #node(task: Task, memory: AddressSpace | null, pc: number, x: Int32Array, top: string | null): number {
    let node = -1;
    if (memory !== null) {
      const stack = this.#symbols.stackOf(task, pc, x, memory);
      for (let i = stack.length - 1; i >= 0; i--) {
        const place = this.#symbols.placeOf(task, stack[i]);
        node = this.#child(
          node,
          place === undefined ? this.#frame("[unknown]", "") : this.#frame(place.name, place.module.path),
        );
      }
    }
    return top === null ? node : this.#child(node, this.#frame(top, ""));
  }

  #frame(name: string, file: string): number {
    const key = `${name}\0${file}`;
    let index = this.#frameIndex.get(key);
    if (index === undefined) {
      index = this.frames.push({ name, file }) - 1;
      this.#frameIndex.set(key, index);
    }
    return index;
  }

  #child(parent: number, frame: number): number {
    const key = `${parent} ${frame}`;
    let index = this.#nodeIndex.get(key);
    if (index === undefined) {
      index = this.nodeFrames.push(frame) - 1;
      this.nodeParents.push(parent);
      this.#nodeIndex.set(key, index);
    }
    return index;
  }
}

function record(thread: ProfileThread, node: number, weightNs: number): void {
  if (node < 0) return;
  thread.nodes.push(node);
  thread.weights.push(weightNs);
}
