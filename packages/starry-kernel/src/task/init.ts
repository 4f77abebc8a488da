/**
 * Processes made from nothing: the first one at boot, and those that the host starts in a running machine.
 */
import { AT_FDCWD, encodeName, ENOMEM, O_RDWR, SIGCHLD } from "linux-abi";
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
  /**
   * Descriptors 0, 1, 2 ...: files, of which one reference each is taken over, also on failure; or paths that the new process opens
   * for reading and writing. The first terminal so opened controls its session. Default: none.
   */
  readonly files?: readonly (OpenFile | string)[];
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
    for (const file of options.files ?? []) if (typeof file !== "string") file.put();
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
      cred: Credentials.forUser(0, 0), // until its files are open
      memory,
      files,
      fs: kernel.fs.initialContext(),
      handlers: new SignalHandlers(),
    },
    now,
  );
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
  const opened = openFiles(kernel, task, options.files ?? []);
  if (opened !== 0) return opened;
  task.cred = Credentials.forUser(options.uid ?? 0, options.gid ?? 0, options.groups);
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

/** Fills descriptors 0, 1, 2 ...; on failure those that are not installed yet are put. */
function openFiles(kernel: Kernel, task: Task, files: readonly (OpenFile | string)[]): number {
  let error = 0;
  for (const file of files) {
    const result =
      typeof file !== "string" ? file : error < 0 ? error : kernel.fs.open(task, AT_FDCWD, file, O_RDWR, 0);
    if (typeof result === "number") error = result;
    else if (error < 0) result.put();
    else task.files.install(result, false, Number.POSITIVE_INFINITY);
  }
  return error;
}

function discard(kernel: Kernel, task: Task): void {
  task.memory.put();
  task.files.put(task);
  task.fs.put();
  kernel.tasks.removeTask(task);
  kernel.tasks.removeProcess(task.process);
}
