/**
 * The kernel object: the platform, the core subsystems and the registries, nothing else.
 *
 * There is no global state: two kernels can run in one host program. Subsystems find each other through this object.
 *
 *   const kernel = new Kernel({ platform });
 *   installFileSystems(kernel, ...); ...           // registries are filled by whoever assembles the machine
 *   kernel.spawnInit({ path: "/sbin/init", argv: ["init"], envp: [] });
 *   while (kernel.halted === null) { const idle = kernel.step(1_000_000); if (idle <= 0) wait for an interrupt or −idle ns }
 */
import type { Debugger } from "./debugger.ts";
import { Vdso } from "./exec/vdso.ts";
import type { FileSystems } from "./fs/file-systems.ts";
import { FutexTable } from "./futex/table.ts";
import { FrameAllocator } from "./mm/frame-allocator.ts";
import { MemoryManager } from "./mm/memory-manager.ts";
import { killForMemory } from "./mm/oom.ts";
import { KernelLog } from "./kernel-log.ts";
import type { LogLevel, Platform, UserCpu } from "./platform.ts";
import { PollSet } from "./poll-set.ts";
import { type BlockDeviceEntry, CharDevices, type FileSystemType, type SocketFamily } from "./registries.ts";
import { RunLoop } from "./run-loop.ts";
import type { Sampler } from "./sampler.ts";
import { Scheduler } from "./sched/scheduler.ts";
import type { SignalInfo } from "./signal/siginfo.ts";
import type { SyscallObserver } from "./strace/observer.ts";
import { SyscallTable } from "./syscall/table.ts";
import { CORE_CALLS } from "./syscall/core-calls.ts";
import type { SyscallRow } from "./syscall/row.ts";
import { type InitOptions, spawnInit } from "./task/init.ts";
import { TaskTable } from "./task/table.ts";
import type { Task } from "./task/task.ts";
import { Clock } from "./time/clock.ts";
import { TimerQueue } from "./timer-queue.ts";
import { TraceHooks } from "./trace/hooks.ts";

export interface KernelOptions {
  readonly platform: Platform;
  /** Bytes at the start of RAM that the kernel leaves alone. Default 0. */
  readonly reservedBytes?: number;
  /** nodename in uname(2). Default "starry". */
  readonly hostName?: string;
}

/** Why the machine has stopped. */
export interface Halt {
  /** "exit": init has ended; "power-off", "restart", "halt": reboot(2); "stopped": by the host; "oops": a bug of the kernel. */
  readonly reason: "exit" | "power-off" | "restart" | "halt" | "stopped" | "oops";
  /** Exit status as a shell reports it: 0..255, 128 + signal. */
  readonly status: number;
  readonly message: string;
}

export class Kernel {
  readonly platform: Platform;
  readonly cpu: UserCpu;
  readonly frames: FrameAllocator;
  readonly memory: MemoryManager;
  readonly clock: Clock;
  readonly vdso: Vdso;
  readonly timers: TimerQueue = new TimerQueue();
  readonly trace: TraceHooks = new TraceHooks();
  readonly scheduler: Scheduler;
  readonly tasks: TaskTable = new TaskTable();
  readonly futexes: FutexTable = new FutexTable();
  readonly syscalls: SyscallTable;
  readonly messages: KernelLog;
  readonly #loop: RunLoop;

  readonly charDevices: CharDevices = new CharDevices();
  /** Mounts, path walk and page cache; set once by `installFileSystems`. */
  fs!: FileSystems;
  /** By name: "vda". */
  readonly blockDevices: Map<string, BlockDeviceEntry> = new Map();
  readonly fileSystemTypes: Map<string, FileSystemType> = new Map();
  readonly socketFamilies: Map<number, SocketFamily> = new Map();
  /** External interrupt work: called from the main step while `platform.irqPending()`. */
  handleInterrupt: () => void = () => {};

  /** Watches system calls and signals (strace), or null. */
  observer: SyscallObserver | null = null;
  /** Stops tasks and takes their signals (gdb), or null. */
  debugger: Debugger | null = null;
  /** Takes samples (a profiler), or null. */
  sampler: Sampler | null = null;

  /** The last trace records as text, for oops reports; src/trace sets it. */
  traceTail: () => readonly string[] = () => [];

  /** Woken (POLLIN) whenever a signal is queued anywhere, blocked or not: signalfds poll it. */
  readonly signalEvents: PollSet = new PollSet();

  /** /proc/sys/kernel/randomize_va_space: 0 off, 1 all but the heap, 2 all. */
  randomizeLevel = 2;

  /** Set by sethostname(2). */
  hostName: string;
  domainName = "(none)";
  /** Not null once the machine has stopped. */
  halted: Halt | null = null;
  /** Numbers for objects without an inode of a file system (shared memory, pipes, sockets). */
  #lastObjectId = 0;

  constructor(options: KernelOptions) {
    const { platform } = options;
    this.platform = platform;
    this.cpu = platform.cpu;
    this.hostName = options.hostName ?? "starry";
    this.clock = new Clock(platform);
    this.messages = new KernelLog(this.clock, platform);
    this.frames = new FrameAllocator({
      ram: platform.ram,
      reservedBytes: options.reservedBytes ?? 0,
      onFree: (paddr) => platform.cpu.invalidateCode(paddr, 4096),
    });
    this.memory = new MemoryManager(this.frames, platform.cpu);
    this.vdso = new Vdso(this.memory, this.clock);
    this.memory.outOfMemory = () => killForMemory(this);
    this.scheduler = new Scheduler(this.timers, this.trace);
    this.syscalls = new SyscallTable(CORE_CALLS);
    // Linux: threads may use an eighth of memory for their kernel stacks; here the bound is the same by number.
    this.tasks.maxThreads = Math.max(64, Math.min(32000, Math.floor(this.frames.total / 8)));
    this.#loop = new RunLoop(this);
  }

  /** Adds or replaces system calls. */
  addSyscalls(rows: readonly SyscallRow[]): void {
    this.syscalls.add(rows);
  }

  /** Starts process 1. 0 or -errno of execve. */
  spawnInit(options: InitOptions): number {
    return spawnInit(this, options);
  }

  /**
   * Runs tasks for about `budget` instructions.
   * > 0: there is more to do now; 0: idle until an interrupt (or `halted`); < 0: idle for that many nanoseconds, negated.
   */
  step(budget: number): number {
    return this.#loop.step(budget);
  }

  /** The task whose registers are in the hart, between steps; null: nobody's. */
  get loadedTask(): Task | null {
    return this.#loop.loadedTask;
  }

  /** Brings the running task's CPU time up to date. */
  account(): void {
    this.#loop.account();
  }

  /** Between steps: makes the hart free for registers that belong to no running task. */
  unloadHart(): void {
    this.#loop.unload();
  }

  nextObjectId(): number {
    return ++this.#lastObjectId;
  }

  /** One line for dmesg and the operator's log. */
  log(level: LogLevel, text: string): void {
    this.messages.add(level, text);
  }

  /** A signal that means a bug of the program: one line, as Linux prints for unhandled faults. */
  reportFatalSignal(task: Task, info: SignalInfo): void {
    const at = info.addr === 0 ? "" : ` at 0x${info.addr.toString(16)}`;
    this.log(
      "debug",
      `${task.comm}[${task.tid}]: unhandled signal ${info.signo} code ${info.code}${at}, pc 0x${this.cpu.pc.toString(16)}`,
    );
  }

  halt(reason: Halt["reason"], status: number, message: string): void {
    if (this.halted !== null) return;
    this.halted = { reason, status, message };
    this.cpu.requestStop();
  }

  /** Process 1 is gone and with it the machine. `status` is its wait4 status word. */
  initExited(status: number): void {
    const signal = status & 0x7f;
    const code = signal === 0 ? (status >> 8) & 0xff : 128 + signal;
    this.halt("exit", code, signal === 0 ? `init exited with status ${code}` : `init was killed by signal ${signal}`);
  }
}
