/** The names that come and go in /proc: processes at the top, threads in /proc/PID/task. */
import { S_IFDIR } from "linux-abi";
import type { Inode } from "vfs-inode";
import type { DirectorySource, DynamicEntry, SimpleFs } from "vfs-inode/pseudofs";
import type { Process } from "../../task/process.ts";
import type { Task } from "../../task/task.ts";
import type { FileSystems } from "../file-systems.ts";
import { TaskDir } from "./task-dir.ts";

function parseId(name: string): number {
  return /^[1-9]\d{0,9}$/.test(name) ? Number(name) : 0;
}

export class ProcessSource implements DirectorySource {
  readonly #fs: SimpleFs;
  readonly #system: FileSystems;
  readonly #processes: WeakMap<Process, TaskDir> = new WeakMap();
  readonly #threads: WeakMap<Task, TaskDir> = new WeakMap();

  constructor(fs: SimpleFs, system: FileSystems) {
    this.#fs = fs;
    this.#system = system;
  }

  /** A thread that is not its process's leader can be looked up, too, though it is not listed. */
  lookup(name: string): Inode | undefined {
    const id = parseId(name);
    const process = this.#system.kernel.tasks.process(id);
    if (process !== undefined) return this.directoryOf(process);
    const task = this.#system.kernel.tasks.task(id);
    if (task === undefined) return undefined;
    let dir = this.#threads.get(task);
    if (dir === undefined) {
      dir = new TaskDir(this.#fs, this.#system, () => task, true);
      this.#threads.set(task, dir);
    }
    return dir.refreshOwner();
  }

  directoryOf(process: Process): TaskDir {
    let dir = this.#processes.get(process);
    if (dir === undefined) {
      dir = new TaskDir(this.#fs, this.#system, () => process.leader, true);
      this.#processes.set(process, dir);
    }
    return dir.refreshOwner();
  }

  list(fromKey: number): Iterable<DynamicEntry> {
    const entries: DynamicEntry[] = [];
    for (const process of this.#system.kernel.tasks.processes()) {
      const { pid } = process;
      if (pid < fromKey) continue;
      entries.push({ name: String(pid), key: pid, ino: this.directoryOf(process).ino, type: S_IFDIR });
    }
    return entries.sort((a, b) => a.key - b.key);
  }
}

export class ThreadSource implements DirectorySource {
  readonly #dir: TaskDir;
  readonly #threads: WeakMap<Task, TaskDir> = new WeakMap();

  constructor(dir: TaskDir) {
    this.#dir = dir;
  }

  #directoryOf(task: Task): TaskDir {
    let dir = this.#threads.get(task);
    if (dir === undefined) {
      dir = new TaskDir(this.#dir.fs, this.#dir.system, () => task, false);
      this.#threads.set(task, dir);
    }
    return dir.refreshOwner();
  }

  lookup(name: string): Inode | undefined {
    const id = parseId(name);
    const task = this.#dir.task.process.threads.find((thread) => thread.tid === id);
    return task === undefined ? undefined : this.#directoryOf(task);
  }

  list(fromKey: number): Iterable<DynamicEntry> {
    const threads = this.#dir.task.process.threads.filter((task) => task.tid >= fromKey);
    const entries = threads.map((task) => ({
      name: String(task.tid),
      key: task.tid,
      ino: this.#directoryOf(task).ino,
      type: S_IFDIR,
    }));
    return entries.sort((a, b) => a.key - b.key);
  }
}
