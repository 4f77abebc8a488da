/**
 * A whole machine: board, kernel and root disk, with the console as web streams.
 *
 *   await using machine = await Machine.create({ disks: [disk] });
 *   const { exitCode, stdout } = await machine.exec("uname -a");
 *
 * The machine runs on the host's event loop, in turns of about 10 ms. It starts with `create` and goes on until its first
 * process ends, the guest powers off, or `stop()`.
 */
import type { BlockDevice } from "blockdev-disk";
import { MS_RDONLY, SIGKILL } from "linux-abi";
import type { createJit } from "rv64-cpu/jit";
import {
  type Kernel,
  kernelSignal,
  type KernelTracing,
  mountAt,
  type OpenFile,
  type Process,
  sendToProcess,
  shutDown,
  spawnProcess,
  type Tty,
} from "starry-kernel";
import type { FileSystem } from "vfs-inode";
import { type Board, createBoard, hostClock, loopHost, type RunningLoop, runLoop, VirtualClock } from "virt-machine";
import { assembleKernel } from "./assemble.ts";
import { MachineConsole } from "./console.ts";
import { DebugCpu } from "./gdb/debug-cpu.ts";
import { DebugTarget } from "./gdb/target.ts";
import { GuestFiles } from "./guest-files.ts";
import { FileError } from "./image/files.ts";
import { HostInput, HostOutput } from "./host-files.ts";
import { hostRandom, type MachineHost, thisHost } from "./host.ts";
import type { Profiler } from "./profile/profiler.ts";
import type { MachineReport } from "./report.ts";
import { seededRandom } from "./seeded-random.ts";
import { memorySize } from "./memory-size.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";

/** The first process. */
export interface InitProgram {
  /** Path in the guest. */
  readonly path: string;
  /** argv, argv[0] included. Default: the path alone. */
  readonly argv?: readonly string[];
  /** "NAME=value". Default: PATH, HOME, TERM. */
  readonly env?: readonly string[];
  readonly cwd?: string;
  readonly uid?: number;
  readonly gid?: number;
  /** Descriptors 0, 1, 2. Default: the console for all three, as controlling terminal. */
  readonly stdio?: readonly [OpenFile | "console", OpenFile | "console", OpenFile | "console"];
}

export interface HostMount {
  readonly fs: FileSystem;
  /** Mount point in the guest; made if it does not exist. */
  readonly path: string;
  readonly readOnly?: boolean;
  /** Shown in /proc/mounts. */
  readonly source?: string;
}

export interface MachineOptions {
  /** RAM: bytes, or text such as "512M". Default 512M. */
  readonly memory?: number | string;
  /** Disks vda, vdb ...; the first holds the root file system. */
  readonly disks: readonly BlockDevice[];
  /**
   * The first process. A function is called with the kernel complete and mounted, and may still change both. Default:
   * /sbin/init of the root file system.
   */
  readonly init?: InitProgram | ((kernel: Kernel, tracing: KernelTracing) => InitProgram);
  readonly readOnlyRoot?: boolean;
  readonly mounts?: readonly HostMount[];
  /** Kernel command line. Default "". */
  readonly commandLine?: string;
  /** Compile hot guest code to WebAssembly. Default true. */
  readonly jit?: boolean;
  /** Deterministic run: virtual clock and random numbers from this integer. */
  readonly seed?: number;
  /**
   * Makes `machine.debug`, for a `GdbSession`. "wait": nothing runs before a debugger lets it. Default: none.
   */
  readonly debug?: "run" | "wait";
  /** Takes samples of what programs do: `machine.profiler`. Default false. */
  readonly profile?: boolean;
  /** Kernel messages. Default: dropped (the guest's dmesg has them). */
  readonly log?: (level: LogLevel, text: string) => void;
  /** The host's clock, randomness and event loop. Default: those of `globalThis`. */
  readonly host?: MachineHost;
}

/** How a machine ended. */
export interface Exit {
  /** "exit": the first process ended; "power-off", "restart", "halt": the guest asked; "oops": a bug of ours; "stopped": `stop()`. */
  readonly reason: string;
  /** Exit status as a shell has it: 0..255. */
  readonly status: number;
  readonly message: string;
}

export interface ExecOptions {
  /** Replaces the default environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly input?: string | Uint8Array;
  /** Milliseconds; then the process is killed and the promise rejects. */
  readonly timeout?: number;
  readonly signal?: AbortSignal;
}

export interface ExecResult {
  /** 0..255; 128 + signal for a killed process. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Figures of a run so far. */
export interface MachineStats {
  readonly instructions: number;
  readonly hostSeconds: number;
  /** Million instructions per second of host time. */
  readonly mips: number;
  readonly memoryBytes: number;
  readonly memoryFreeBytes: number;
}

/** Linux's dirty_writeback_centisecs and ext4's commit interval: 5 seconds. */
const WRITE_BACK_MS = 5000;

/** Device node of the console; the first process that opens it gets it as its controlling terminal. */
const CONSOLE = "/dev/ttyS0";

/** Instructions of a step while the debugger holds threads back: there may be nothing that can run. */
const HOLDING_BUDGET = 1000;

const DEFAULT_ENV: readonly string[] = [
  "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  "HOME=/root",
  "TERM=xterm-256color",
  "LANG=C.UTF-8",
];

export class Machine {
  readonly board: Board;
  readonly kernel: Kernel;
  readonly tracing: KernelTracing;
  readonly console: MachineConsole;
  /** Files of the guest, mounts and all. */
  readonly fs: GuestFiles;
  /** Control over the first process for a debugger; null without the option `debug`. */
  readonly debug: DebugTarget | null;
  /** Samples taken so far; null without the option `profile`. */
  readonly profiler: Profiler | null;
  /** Resolves when the machine has ended; never rejects for anything that the guest did. */
  readonly exited: Promise<Exit>;
  readonly #tty: Tty;
  readonly #host: MachineHost;
  readonly #startMs: number;
  readonly #loop: RunningLoop;
  readonly #seeded: boolean;
  readonly #compiler: ReturnType<typeof createJit> | undefined;
  /** Host timer of the next write-back. */
  #writeBack: unknown;
  /** Typed bytes that the UART had no room for yet. */
  #typed: Uint8Array[] = [];

  /** Builds and starts a machine. Rejects with an Error for the user: no root file system, no init program. */
  static async create(options: MachineOptions): Promise<Machine> {
    // Loaded on demand, so that nobody who does not want it pays for it.
    const compiler = (options.jit ?? true) ? (await import("rv64-cpu/jit")).createJit() : undefined;
    const profiling = options.profile ? await import("./profile/profiler.ts") : undefined;
    return new Machine(options, compiler, profiling);
  }

  private constructor(
    options: MachineOptions,
    compiler: ReturnType<typeof createJit> | undefined,
    profiling: { readonly Profiler: typeof Profiler } | undefined,
  ) {
    const host = options.host ?? thisHost();
    this.#host = host;
    this.#compiler = compiler;
    this.#startMs = host.performance.now();
    this.#seeded = options.seed !== undefined;
    this.console = new MachineConsole({
      input: (bytes) => this.#type(bytes),
      resize: (columns, rows) => this.#tty.resize({ rows, columns, xPixels: 0, yPixels: 0 }),
    });
    this.board = createBoard({
      memorySize: memorySize(options.memory ?? "512M"),
      disks: options.disks.map((backend) => ({ backend })),
      onOutput: (bytes) => this.console.output(Uint8Array.from(bytes)),
      clock: options.seed === undefined ? hostClock(host) : new VirtualClock(),
      fillRandom: options.seed === undefined ? hostRandom(host) : seededRandom(options.seed),
      bootArgs: options.commandLine ?? "",
      ...(options.log === undefined ? {} : { log: options.log }),
      ...(compiler === undefined ? {} : { compiler }),
    });
    const debugCpu = options.debug === undefined ? undefined : new DebugCpu(this.board.hart);
    const assembled = assembleKernel(this.board, {
      ...(debugCpu && { cpu: debugCpu }),
      commandLine: options.commandLine ?? "",
      readOnlyRoot: options.readOnlyRoot ?? false,
    });
    this.kernel = assembled.kernel;
    this.tracing = assembled.tracing;
    this.#tty = assembled.console;
    this.fs = new GuestFiles(this.kernel);
    this.profiler = profiling === undefined ? null : new profiling.Profiler(this.kernel);
    this.kernel.sampler = this.profiler;

    for (const mount of options.mounts ?? []) this.#mountHost(mount);
    const { init = { path: "/sbin/init" } } = options;
    this.#startInit(typeof init === "function" ? init(this.kernel, this.tracing) : init);
    this.debug = debugCpu === undefined ? null : this.#debugTarget(debugCpu, options.debug === "wait");
    this.#loop = runLoop((budget) => this.#step(budget), loopHost(host), this.board.loopOptions());
    this.board.onInterrupt = this.#loop.wake;
    this.exited = this.#loop.finished.then(
      () => this.#finish(),
      (error: unknown) => this.#fail(error),
    );
  }

  /** Something outside has changed what a guest program waits for (a HostInput has got bytes): looks at it now. */
  wake(): void {
    this.#loop.wake();
  }

  /** Ends the machine at once, as pulling the plug does; `exited` resolves. Unmounts so that images stay clean. */
  stop(): void {
    this.kernel.halt("stopped", 137, "stopped by the host");
    this.#loop.wake();
  }

  /** Runs a command line in the guest's /bin/sh, or a program with arguments given as an array. */
  exec(command: string | readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    const argv = typeof command === "string" ? ["/bin/sh", "-c", command] : command;
    const output: Uint8Array[][] = [[], []];
    const input = new HostInput();
    if (options.input !== undefined)
      input.push(typeof options.input === "string" ? new TextEncoder().encode(options.input) : options.input);
    input.end();
    return new Promise((resolve, reject) => {
      const process = spawnProcess(this.kernel, {
        path: argv[0],
        argv,
        envp:
          options.env === undefined
            ? DEFAULT_ENV
            : Object.entries(options.env).map(([name, value]) => `${name}=${value}`),
        cwd: options.cwd ?? "/",
        files: [
          input,
          new HostOutput((bytes) => output[0].push(bytes)),
          new HostOutput((bytes) => output[1].push(bytes)),
        ],
      });
      if (typeof process === "number") {
        reject(new FileError(process, argv[0]));
        return;
      }
      this.#watch(process, options, (error) => {
        if (error !== undefined) reject(error);
        else resolve({ exitCode: exitCode(process), stdout: decode(output[0]), stderr: decode(output[1]) });
      });
      this.#loop.wake();
    });
  }

  /** What every task is doing and waits for, the last trap, the counters: an object, or a text with `String(report)`. */
  async explain(): Promise<MachineReport> {
    const { reportOn } = await import("./report.ts");
    return reportOn(this.kernel, this.board.hart.tlbCounters, this.#compiler?.statistics ?? null);
  }

  stats(): MachineStats {
    const hostSeconds = (this.#host.performance.now() - this.#startMs) / 1000;
    const instructions = this.board.hart.instret;
    return {
      instructions,
      hostSeconds,
      mips: instructions / hostSeconds / 1e6,
      memoryBytes: this.board.ram.size,
      memoryFreeBytes: this.kernel.frames.free * 4096,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    await this.exited;
  }

  #step(budget: number): number {
    if (this.#typed.length > 0) this.#feedUart();
    if (this.#writeBack === undefined && !this.#seeded) {
      this.#writeBack = this.#host.setTimeout(() => this.#writeBackNow(), WRITE_BACK_MS);
    }
    const next = this.debug === null ? this.kernel.step(budget) : this.#stepDebugged(this.debug, budget);
    if (this.kernel.halted !== null) this.#loop.stop();
    return this.#typed.length > 0 ? 1 : next;
  }

  #stepDebugged(debug: DebugTarget, budget: number): number {
    const isHalted = this.kernel.halted !== null;
    if (debug.stopped && !isHalted) return 0;
    const next = isHalted ? 0 : this.kernel.step(debug.holds ? Math.min(budget, HOLDING_BUDGET) : budget);
    debug.report();
    return debug.stopped ? 0 : next;
  }

  #debugTarget(cpu: DebugCpu, wait: boolean): DebugTarget {
    const debug = new DebugTarget(this.kernel, cpu);
    debug.select(1);
    debug.stopped = wait;
    debug.onResume = () => this.#loop.wake();
    return debug;
  }

  /** What programs wrote since the last time goes to the disks, as Linux's flusher threads see to. */
  #writeBackNow(): void {
    this.#writeBack = undefined; // armed again by the next step: an idle machine sets no timers
    if (this.kernel.halted === null) this.kernel.fs.vfs.sync();
  }

  #type(bytes: Uint8Array): void {
    this.#typed.push(Uint8Array.from(bytes));
    this.#feedUart();
    this.#loop.wake();
  }

  #feedUart(): void {
    for (let first = this.#typed[0]; first !== undefined; first = this.#typed[0]) {
      const taken = this.board.input(first);
      if (taken < first.length) {
        this.#typed[0] = first.subarray(taken);
        return;
      }
      this.#typed.shift();
    }
  }

  /** Makes the mount point and mounts a file system of the host on it. */
  #mountHost({ fs, path, readOnly, source }: HostMount): void {
    const error = mountAt(this.kernel.fs, fs, path, source ?? "host", readOnly ? MS_RDONLY : 0);
    if (error < 0) throw new FileError(error, path);
  }

  #startInit(init: InitProgram): void {
    const files = init.stdio ?? (["console", "console", "console"] as const);
    const process = spawnProcess(this.kernel, {
      path: init.path,
      argv: init.argv ?? [init.path],
      envp: init.env ?? DEFAULT_ENV,
      cwd: init.cwd ?? "/",
      files: files.map((file) => (file === "console" ? CONSOLE : file)),
      ...(init.uid === undefined ? {} : { uid: init.uid }),
      ...(init.gid === undefined ? {} : { gid: init.gid }),
    });
    if (typeof process === "number") throw new FileError(process, init.path);
  }

  /** Calls `done` once when the process ends, the caller aborts, time runs out, or the machine stops. */
  #watch(process: Process, options: ExecOptions, done: (error?: Error) => void): void {
    const { exitEvents } = process;
    const { signal, timeout } = options;
    const end = (error?: Error): void => {
      exitEvents.remove(listener);
      signal?.removeEventListener("abort", abort);
      if (timer !== undefined) this.#host.clearTimeout(timer);
      if (error !== undefined) this.#kill(process);
      done(error);
    };
    const listener = {
      pollWake: () => {
        // Programs that the machine's own end has killed have no result.
        const { halted } = this.kernel;
        if (process.zombie) end(halted === null ? undefined : new Error(`the machine has stopped: ${halted.message}`));
      },
    };
    const abort = (): void => end(signal?.reason instanceof Error ? signal.reason : new Error("aborted"));
    const timer =
      timeout === undefined
        ? undefined
        : this.#host.setTimeout(() => end(new Error(`timed out after ${timeout} ms`)), timeout);
    exitEvents.add(listener);
    signal?.addEventListener("abort", abort, { once: true });
    if (signal?.aborted) abort();
  }

  #kill(process: Process): void {
    sendToProcess(process, kernelSignal(SIGKILL));
    this.#loop.wake();
  }

  /** A device model or the kernel threw: a bug of ours. Nothing is trusted any more, nothing is written. */
  #fail(error: unknown): Exit {
    this.#host.clearTimeout(this.#writeBack);
    this.debug?.machineEnded();
    this.console.end();
    return {
      reason: "oops",
      status: 139,
      message: error instanceof Error ? (error.stack ?? error.message) : String(error),
    };
  }

  /** Everything dirty goes to the disks. */
  #finish(): Exit {
    this.#host.clearTimeout(this.#writeBack);
    this.board.poll();
    const halted = this.kernel.halted ?? { reason: "stopped", status: 137, message: "stopped by the host" };
    this.debug?.machineEnded();
    shutDown(this.kernel);
    this.console.end();
    return { reason: halted.reason, status: halted.status, message: halted.message };
  }
}

function exitCode(process: Process): number {
  const signal = process.exitStatus & 0x7f;
  return signal === 0 ? (process.exitStatus >> 8) & 0xff : 128 + signal;
}

function decode(parts: readonly Uint8Array[]): string {
  const decoder = new TextDecoder();
  return parts.map((part) => decoder.decode(part, { stream: true })).join("") + decoder.decode();
}
