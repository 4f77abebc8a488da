/**
 * The kernel object: the platform, the core subsystems and the registries, nothing else.
 *
 * There is no global state: two kernels can run in one host program. Subsystems find each other through this object.
 */
import type { FrameAllocator } from "./mm/frame-allocator.ts";
import type { LogLevel, Platform } from "./platform.ts";
import { PollSet } from "./poll-set.ts";
import { type BlockDeviceEntry, CharDevices, type FileSystemType, type SocketFamily } from "./registries.ts";
import type { SignalInfo } from "./signal/siginfo.ts";
import type { SyscallRow } from "./syscall/row.ts";
import type { Process } from "./task/process.ts";
import type { ProcessGroup } from "./task/session.ts";
import type { Task } from "./task/task.ts";
import { TimerQueue } from "./timer-queue.ts";
import { TraceHooks } from "./trace/hooks.ts";

/** Who runs when. */
export interface Scheduler {
  /** Makes a sleeping task runnable; `reason` is WAKE_*. No effect on a task that does not sleep. */
  wake(task: Task, reason: number): void;
  /** The running task, or null between tasks. */
  readonly current: Task | null;
}

export interface Signals {
  /** `group`: to the whole process of `task`. 0 or -EAGAIN. */
  send(task: Task, info: SignalInfo, group: boolean): number;
}

/** All tasks, processes and groups by number. */
export interface TaskTable {
  task(tid: number): Task | undefined;
  process(pid: number): Process | undefined;
  group(pgid: number): ProcessGroup | undefined;
  /** In order of process id; zombies included. */
  processes(): Iterable<Process>;
}

export interface Clock {
  /** Nanoseconds since boot (CLOCK_MONOTONIC = CLOCK_BOOTTIME here). */
  monotonicNs(): number;
  /** Whole seconds and nanoseconds since 1970 (CLOCK_REALTIME), after clock_settime adjustments. */
  realtimeSec(): number;
  realtimeNsec(): number;
}

export interface KernelCore {
  readonly platform: Platform;
  readonly frames: FrameAllocator;
  readonly scheduler: Scheduler;
  readonly signals: Signals;
  readonly tasks: TaskTable;
  readonly clock: Clock;
}

export class Kernel implements KernelCore {
  readonly platform: Platform;
  readonly frames: FrameAllocator;
  readonly scheduler: Scheduler;
  readonly signals: Signals;
  readonly tasks: TaskTable;
  readonly clock: Clock;
  readonly timers: TimerQueue = new TimerQueue();
  readonly trace: TraceHooks = new TraceHooks();

  readonly charDevices: CharDevices = new CharDevices();
  /** By name: "vda". */
  readonly blockDevices: Map<string, BlockDeviceEntry> = new Map();
  readonly fileSystemTypes: Map<string, FileSystemType> = new Map();
  readonly socketFamilies: Map<number, SocketFamily> = new Map();
  /** Rows by number. */
  readonly syscalls: (SyscallRow | undefined)[] = [];

  /** Woken (POLLIN) whenever a signal is queued anywhere, blocked or not: signalfds poll it. */
  readonly signalEvents: PollSet = new PollSet();

  /** Set by sethostname(2). */
  hostName = "starry";
  domainName = "(none)";

  constructor(core: KernelCore) {
    this.platform = core.platform;
    this.frames = core.frames;
    this.scheduler = core.scheduler;
    this.signals = core.signals;
    this.tasks = core.tasks;
    this.clock = core.clock;
  }

  /** Adds or replaces system calls. */
  addSyscalls(rows: readonly SyscallRow[]): void {
    for (const row of rows) this.syscalls[row.nr] = row;
  }

  /** One line for dmesg and the operator's log. */
  log(level: LogLevel, text: string): void {
    this.platform.log(level, text);
  }
}
