/**
 * All tasks, processes, process groups and sessions by number, and the allocation of those numbers.
 */
import { EAGAIN } from "linux-abi";
import type { Process } from "./process.ts";
import { ProcessGroup, Session } from "./session.ts";
import type { Task } from "./task.ts";

/** kernel.pid_max: numbers start over below it. */
export const PID_MAX = 32768;
/** After a wrap, low numbers stay free for long-lived system processes (Linux: RESERVED_PIDS). */
const RESERVED_PIDS = 300;

export class TaskTable {
  readonly #tasks: Map<number, Task> = new Map();
  readonly #processes: Map<number, Process> = new Map();
  readonly #groups: Map<number, ProcessGroup> = new Map();
  readonly #sessions: Map<number, Session> = new Map();
  #lastPid = 0;
  /** Threads that may exist at a time; set from the size of memory. */
  maxThreads: number = PID_MAX;

  task(tid: number): Task | undefined {
    return this.#tasks.get(tid);
  }

  process(pid: number): Process | undefined {
    return this.#processes.get(pid);
  }

  group(pgid: number): ProcessGroup | undefined {
    return this.#groups.get(pgid);
  }

  session(sid: number): Session | undefined {
    return this.#sessions.get(sid);
  }

  /** In order of creation; zombies included. */
  processes(): Iterable<Process> {
    return this.#processes.values();
  }

  tasks(): Iterable<Task> {
    return this.#tasks.values();
  }

  get taskCount(): number {
    return this.#tasks.size;
  }

  /** Number of the youngest task, for /proc/loadavg. */
  get lastPid(): number {
    return this.#lastPid;
  }

  /** A free task number, or -EAGAIN. Numbers of live groups and sessions are avoided too. */
  allocatePid(): number {
    if (this.#tasks.size >= this.maxThreads) return -EAGAIN;
    let pid = this.#lastPid;
    for (let tries = 0; tries < PID_MAX; tries++) {
      pid = pid + 1 >= PID_MAX ? RESERVED_PIDS : pid + 1;
      if (this.#tasks.has(pid) || this.#processes.has(pid) || this.#groups.has(pid) || this.#sessions.has(pid))
        continue;
      this.#lastPid = pid;
      return pid;
    }
    return -EAGAIN;
  }

  addTask(task: Task): void {
    this.#tasks.set(task.tid, task);
  }

  removeTask(task: Task): void {
    this.#tasks.delete(task.tid);
  }

  addProcess(process: Process): void {
    this.#processes.set(process.pid, process);
  }

  removeProcess(process: Process): void {
    this.#processes.delete(process.pid);
    this.leaveGroup(process);
  }

  /** Puts a process that is in no group into group `pgid` of `session`, making the group if need be. */
  joinGroup(process: Process, pgid: number, session: Session): void {
    let group = this.#groups.get(pgid);
    if (group === undefined) {
      group = new ProcessGroup(pgid, session);
      this.#groups.set(pgid, group);
      session.groups.set(pgid, group);
    }
    group.members.add(process);
    process.group = group;
  }

  leaveGroup(process: Process): void {
    const group = process.group;
    group.members.delete(process);
    if (group.members.size > 0) return;
    this.#groups.delete(group.pgid);
    const session = group.session;
    session.groups.delete(group.pgid);
    if (session.groups.size === 0) this.#sessions.delete(session.sid);
  }

  /** A new session with one group of the same number that holds `process` alone. */
  startSession(process: Process): Session {
    const session = new Session(process.pid);
    this.#sessions.set(session.sid, session);
    this.joinGroup(process, process.pid, session);
    return session;
  }
}
