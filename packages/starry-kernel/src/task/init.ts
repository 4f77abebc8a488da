/**
 * Processes made from nothing: the first one at boot, and those that the host starts in a running machine.
 */
import { AT_FDCWD, encodeName, ENOMEM, SIGCHLD } from "linux-abi";
import { execute } from "../exec/execve.ts";
import { FdTable } from "../fd-table.ts";
import type { OpenFile } from "../file.ts";
import type { Kernel } from "../kernel.ts";
import { AddressSpace } from "../mm/address-space.ts";
import { SignalHandlers } from "../signal/handlers.ts";
import { Credentials } from "./credentials.ts";
import { ResourceLimits } from "./limits.ts";
import { Process } from "./process.ts";
import { Task } from "./task.ts";

export interface InitOptions {
  /** Looked up from the root of the file system, or from `cwd` if relative. */
  readonly path: string;
  /** argv, argv[0] included. */
  readonly argv: readonly string[];
  /** "NAME=value" */
  readonly envp: readonly string[];
  /** Descriptors 0, 1, 2 ...: one reference each is taken over, also on failure. Default: none. */
  readonly files?: readonly OpenFile[];
  /** Default: root. */
  readonly uid?: number;
  readonly gid?: number;
  readonly groups?: readonly number[];
  /** Working directory. Default "/". */
  readonly cwd?: string;
}

/** 0, or why the program cannot be started, as execve or chdir would say it. Needs `kernel.fs`. */
export function spawnInit(kernel: Kernel, options: InitOptions): number {
  const process = spawnProcess(kernel, options);
  return typeof process === "number" ? process : 0;
}

/**
 * Starts a process on the host's behalf, in a session of its own. It becomes a child of process 1, which collects it
 * when it ends; without one it is process 1. -errno of execve or chdir if it cannot start.
 */
export function spawnProcess(kernel: Kernel, options: InitOptions): Process | number {
  kernel.unloadHart();
  const limits = ResourceLimits.forInit(kernel.tasks.maxThreads);
  const now = kernel.clock.monotonicNs();
  const memory = AddressSpace.create(kernel.memory, limits);
  if (memory === undefined) {
    for (const file of options.files ?? []) file.put();
    return -ENOMEM;
  }
  const process = new Process(kernel, kernel.tasks.allocatePid(), limits, SIGCHLD, now);
  const files = new FdTable();
  const task = new Task(
    kernel,
    process.pid,
    process,
    {
      comm: "init",
      cred: Credentials.forUser(options.uid ?? 0, options.gid ?? 0, options.groups),
      memory,
      files,
      fs: kernel.fs.initialContext(),
      handlers: new SignalHandlers(),
    },
    now,
  );
  for (const file of options.files ?? []) files.install(file, false, Number.POSITIVE_INFINITY);
  process.leader = task;
  process.threads.push(task);
  kernel.tasks.startSession(process);
  kernel.tasks.addProcess(process);
  kernel.tasks.addTask(task);
  const error = start(kernel, task, options);
  if (error !== 0) {
    discard(kernel, task);
    return error;
  }
  const init = kernel.tasks.process(1);
  if (init !== undefined && init !== process) {
    process.parent = init;
    init.children.add(process);
  }
  return process;
}

function start(kernel: Kernel, task: Task, options: InitOptions): number {
  if (options.cwd !== undefined) {
    const error = kernel.fs.chdir(task, options.cwd);
    if (error !== 0) return error;
  }
  const error = execute(task, {
    dirfd: AT_FDCWD,
    path: options.path,
    atFlags: 0,
    argv: options.argv.map(encodeName),
    envp: options.envp.map(encodeName),
  });
  if (error !== 0) return error;
  // execute has put the program's registers into the hart; they belong to a task that waits for its first turn.
  const { cpu } = kernel;
  task.x.set(cpu.x);
  task.f.set(cpu.f);
  task.fcsr = cpu.fcsr;
  task.pc = cpu.pc;
  kernel.scheduler.enqueue(task);
  return 0;
}

function discard(kernel: Kernel, task: Task): void {
  task.memory.put();
  task.files.put(task);
  task.fs.put();
  kernel.tasks.removeTask(task);
  kernel.tasks.removeProcess(task.process);
}
