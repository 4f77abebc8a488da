/**
 * The kernel's tracing state: its events, the top-level trace array behind tracefs, instances, and sessions of the host.
 *
 *   kernel.trace (call sites) ──connectHooks──► KernelEvents ──► TraceArray of tracefs
 *                                                            └─► of each instance, of each host session
 *
 * A record is queued where it happens, in the middle of a context switch or a signal. Whoever waits for it on a pipe is woken later, from the
 * main step, by the notify worker (`TraceNotify`): waking there and then would run the scheduler within the scheduler.
 */
import {
  type AnyTracePoint,
  type ExtTracePoint,
  TraceArray,
  type TraceArrayOptions,
  type TraceHost,
} from "ktracepoint";
import { EBUSY, EEXIST, ENOENT } from "linux-abi";
import type { Kernel } from "../kernel.ts";
import type { Task } from "../task/task.ts";
import { Timer } from "../timer-queue.ts";
import { connectHooks } from "./connect.ts";
import { IDLE_COMM, KernelEvents } from "./events.ts";
import { defineSyscallEvents, type SyscallEvents } from "./syscall-events.ts";

/** The kernel as the traced system. */
class KernelTraceHost implements TraceHost {
  readonly cpuCount = 1;
  readonly clocks: ReadonlyMap<string, () => number>;
  readonly #kernel: Kernel;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    const monotonic = (): number => kernel.clock.monotonicNs();
    this.clocks = new Map(["local", "global", "perf", "mono", "mono_raw", "boot"].map((name) => [name, monotonic]));
  }

  #task(): Task | null {
    const { scheduler } = this.#kernel;
    return scheduler.current ?? scheduler.dead;
  }

  currentPid(): number {
    return this.#task()?.tid ?? 0;
  }
  currentTgid(): number {
    return this.#task()?.process.pid ?? 0;
  }
  currentComm(): string {
    return this.#task()?.comm ?? IDLE_COMM;
  }
  currentCpu(): number {
    return 0;
  }
  currentFlags(): number {
    return 0;
  }
}

/** Wakes pipe readers from the kernel's main step after records were queued. */
class TraceNotify {
  readonly #kernel: Kernel;
  readonly #timer: Timer;
  readonly #due: Set<TraceInstance> = new Set();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#timer = new Timer(() => {
      const due = [...this.#due];
      this.#due.clear();
      for (const instance of due) instance.wakeListeners();
    });
  }

  /** Called within a hit: only notes down. */
  request(instance: TraceInstance): void {
    this.#due.add(instance);
    if (!this.#timer.armed) this.#kernel.timers.arm(this.#timer, 0);
  }
}

/** A trace array with what its files share: who waits on a pipe, who has one open. */
export class TraceInstance {
  readonly array: TraceArray;
  /** Rises with each one made; 0 is the top level. */
  readonly number: number;
  /** Wakers of open pipes that somebody waits on. */
  readonly #listeners: Set<() => void> = new Set();
  /** CPUs whose consuming reader is open; ALL_CPUS for trace_pipe itself. */
  readonly #readers: Set<number> = new Set();
  /** Open files that keep an instance from being removed. */
  openFiles = 0;

  constructor(array: TraceArray, notify: TraceNotify, number: number) {
    this.array = array;
    this.number = number;
    array.onRecord = () => {
      if (this.#listeners.size > 0) notify.request(this);
    };
  }

  /** Called with `wake` whenever records may have arrived; returns the unsubscriber. */
  listen(wake: () => void): () => void {
    this.#listeners.add(wake);
    return () => this.#listeners.delete(wake);
  }

  wakeListeners(): void {
    for (const wake of [...this.#listeners]) wake();
  }

  /** Claims the consuming reader of `cpu`, or of all with ALL_CPUS. -EBUSY if there is one already. */
  claimReader(cpu: number): number {
    const taken = cpu === ALL_CPUS ? this.#readers.size > 0 : this.#readers.has(cpu) || this.#readers.has(ALL_CPUS);
    if (taken) return -EBUSY;
    this.#readers.add(cpu);
    return 0;
  }

  releaseReader(cpu: number): void {
    this.#readers.delete(cpu);
  }
}

export const ALL_CPUS = -1;

/** Most bytes a host session keeps unless told otherwise; memory grows with what is recorded. */
const SESSION_BYTES = 256 << 20;

/** What a host session records. */
export interface TraceSessionOptions extends TraceArrayOptions {
  /** As in set_event: "sched:*,raw_syscalls:sys_exit", "signal". Separated by commas or white space. */
  readonly events: string;
  /** A filter for those of them that have its fields. */
  readonly filter?: string;
}

export class KernelTracing {
  readonly kernel: Kernel;
  readonly events: KernelEvents = new KernelEvents();
  /** By number; undefined for a call the kernel does not have. */
  readonly syscallEvents: readonly (SyscallEvents | undefined)[];
  readonly points: readonly AnyTracePoint[];
  /** What /sys/kernel/tracing shows. */
  readonly top: TraceInstance;
  readonly instances: Map<string, TraceInstance> = new Map();
  readonly #host: KernelTraceHost;
  readonly #notify: TraceNotify;
  #nextInstance = 0;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
    this.#host = new KernelTraceHost(kernel);
    this.#notify = new TraceNotify(kernel);
    this.syscallEvents = kernel.syscalls.rows.map((row) => (row === undefined ? undefined : defineSyscallEvents(row)));
    const pairs = this.syscallEvents.filter((pair) => pair !== undefined);
    this.points = [...Object.values(this.events), ...pairs.flatMap((pair) => [pair.enter, pair.exit])];
    this.top = this.#newInstance({});
    connectHooks(kernel.trace, kernel.cpu, this.events, this.syscallEvents);
    kernel.traceTail = () => tailOf(this.top.array, OOPS_LINES);
  }

  #newInstance(options: TraceArrayOptions): TraceInstance {
    return new TraceInstance(new TraceArray(this.#host, this.points, options), this.#notify, this.#nextInstance++);
  }

  /** The event whose number is `id` (events/SYSTEM/NAME/id), as the guest's tracefs sees it. */
  lookupExtTracepoint(id: number): ExtTracePoint | undefined {
    return this.top.array.registry.lookupExtTracepoint(id);
  }

  /** The first event of that name, or the one of `system`. */
  findExtTracepointByName(name: string, system?: string): ExtTracePoint | undefined {
    return this.top.array.registry.findExtTracepointByName(name, system);
  }

  /** mkdir in instances/. */
  createInstance(name: string): number {
    if (this.instances.has(name)) return -EEXIST;
    this.instances.set(name, this.#newInstance({}));
    return 0;
  }

  /** rmdir in instances/. -EBUSY while one of its files is open. */
  removeInstance(name: string): number {
    const instance = this.instances.get(name);
    if (instance === undefined) return -ENOENT;
    if (instance.openFiles > 0) return -EBUSY;
    instance.array[Symbol.dispose]();
    this.instances.delete(name);
    return 0;
  }

  /**
   * Records for the host, without the guest's help or knowledge: a trace array of its own that the guest's tracefs does not show. Read it with
   * `drainLines`, `exportTraceDat` or `exportChromeTrace`; dispose of it when done. Keeps up to 256 MiB, then overwrites the oldest.
   * An error is the text to show.
   */
  openSession(options: TraceSessionOptions): TraceArray | { readonly error: string } {
    const array = new TraceArray(this.#host, this.points, { byteBudget: SESSION_BYTES, ...options });
    array.setOption("record-tgid", true);
    const words = options.events.split(/[\s,]+/).filter((word) => word !== "");
    const unknown = words.find((word) => array.selection.match(word).length === 0);
    if (unknown !== undefined) return { error: `no trace event matches "${unknown}"` };
    if (options.filter !== undefined) {
      const chosen = words.flatMap((word) => array.selection.match(word));
      const refused = array.selection.applyFilter(options.filter, chosen);
      if (refused !== undefined)
        return { error: `trace filter: ${refused.message} at ${refused.position}: ${options.filter}` };
    }
    array.selection.setEvent(words.join(" "));
    return array;
  }

  /** Name of a system call number for exporters: "openat", or "syscall 999". */
  syscallName(nr: number): string {
    return this.kernel.syscalls.rows[nr]?.name ?? `syscall ${nr}`;
  }
}

/** Lines of the trace that an oops report shows. */
const OOPS_LINES = 32;

function tailOf(array: TraceArray, count: number): string[] {
  const view = array.pipe.view();
  for (let skip = view.entries - count; skip > 0; skip--) view.pop();
  const lines: string[] = [];
  for (let record = view.pop(); record !== undefined; record = view.pop())
    lines.push(array.formatLine(record).trimEnd());
  return lines;
}

/** Gives the kernel its tracing state. Once, after its system calls are complete and before the first task runs. */
export function tracepointInit(kernel: Kernel): KernelTracing {
  return new KernelTracing(kernel);
}
