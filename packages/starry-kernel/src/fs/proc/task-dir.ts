/**
 * /proc/PID and /proc/PID/task/TID: a directory whose entries are made when they are first looked up.
 *
 * Entries belong to the task's user, or to root while the process is not dumpable (proc(5)). A file of a task that has gone
 * answers ESRCH even if it is still open.
 */
import { EACCES, ENOENT, ESRCH, S_IFDIR, S_IFLNK, S_IFREG } from "linux-abi";
import { type DirectoryEmit, type Inode, type Path, direntType, pathText } from "vfs-inode";
import {
  PseudoNode,
  SeqObject,
  SimpleDir,
  type SimpleFs,
  SimpleSymlink,
  type SpecialFileOps,
  SpecialFsFile,
} from "vfs-inode/pseudofs";
import type { Process } from "../../task/process.ts";
import type { Task } from "../../task/task.ts";
import type { FileSystems } from "../file-systems.ts";
import { FdSource } from "./fd-dir.ts";
import { NAMESPACE_LINKS, namespaceLink } from "./namespaces.ts";
import type { TaskFile } from "./proc-file.ts";
import { limits } from "./task/limits.ts";
import { maps, smaps, smapsRollup } from "./task/maps.ts";
import { auxv, cmdline, environ } from "./task/memory-text.ts";
import { memEntry } from "./task/mem.ts";
import { mountinfo, mounts } from "./task/mounts.ts";
import { SMALL_TASK_FILES } from "./task/small.ts";
import { stat, statm } from "./task/stat.ts";
import { status } from "./task/status.ts";
import { isGone, mayInspect } from "./task-access.ts";
import { ThreadSource } from "./task-source.ts";

export const TASK_FILES: readonly TaskFile[] = [
  cmdline,
  stat,
  statm,
  status,
  maps,
  smaps,
  smapsRollup,
  environ,
  auxv,
  mounts,
  mountinfo,
  limits,
  ...SMALL_TASK_FILES,
];

/** An entry that is not a text file. */
export interface TaskEntry {
  readonly name: string;
  /** S_IF* */
  readonly type: number;
  readonly processOnly?: boolean;
  make(dir: TaskDir, ino: number): Inode;
}

/** A magic link to a place of the task. */
function placeLink(name: string, place: (task: Task) => Path | null): TaskEntry {
  return {
    name,
    type: S_IFLNK,
    make(dir, ino) {
      const find = (): Path | number => {
        const { task } = dir;
        if (isGone(task) || task.process.zombie) return -ENOENT;
        return mayInspect(task) ? (place(task) ?? -ENOENT) : -EACCES;
      };
      const text = (): string | number => {
        const path = find();
        const reader = dir.system.kernel.scheduler.current ?? dir.task;
        return typeof path === "number" ? path : pathText(path, reader.fs.root);
      };
      return new SimpleSymlink(dir.fs, text, { follow: find, ino });
    },
  };
}

const TASK_ENTRIES: readonly TaskEntry[] = [
  placeLink("cwd", (task) => task.fs.cwd),
  placeLink("root", (task) => task.fs.root),
  placeLink("exe", (task) => task.process.executable?.path ?? null),
  memEntry,
  {
    name: "fd",
    type: S_IFDIR,
    make: (dir, ino) =>
      new SimpleDir(dir.fs, undefined, { ino, permission: 0o500, source: new FdSource(dir, ino, "link") }),
  },
  {
    name: "fdinfo",
    type: S_IFDIR,
    make: (dir, ino) =>
      new SimpleDir(dir.fs, undefined, { ino, permission: 0o555, source: new FdSource(dir, ino, "info") }),
  },
  {
    name: "ns",
    type: S_IFDIR,
    make(dir, ino) {
      const ns = new SimpleDir(dir.fs, undefined, { ino, permission: 0o511 });
      for (const link of NAMESPACE_LINKS) ns.mapping.add(link.name, namespaceLink(dir, link));
      return ns;
    },
  },
  { name: "net", type: S_IFDIR, make: (dir) => dir.system.procNetDir },
  {
    name: "task",
    type: S_IFDIR,
    processOnly: true,
    make: (dir, ino) => new SimpleDir(dir.fs, undefined, { ino, permission: 0o555, source: new ThreadSource(dir) }),
  },
];

const COOKIE_DOTDOT = 1;
const COOKIE_FIRST = 2;

export class TaskDir extends PseudoNode {
  readonly system: FileSystems;
  readonly #find: () => Task;
  /** /proc/PID rather than /proc/PID/task/TID. */
  readonly whole: boolean;
  readonly #nodes: Map<string, Inode> = new Map();

  /** `find`: the task, which changes when a thread other than the leader calls execve. `whole`: /proc/PID rather than task/TID. */
  constructor(fs: SimpleFs, system: FileSystems, find: () => Task, whole: boolean) {
    super(fs, S_IFDIR | 0o555, { ino: inoBase(find().tid, whole) });
    this.system = system;
    this.#find = find;
    this.whole = whole;
    this.nlink = 9;
  }

  get task(): Task {
    return this.#find();
  }

  /** Sets the owner that the directory and its entries have now. */
  refreshOwner(): this {
    this.#own(this);
    return this;
  }

  #own(node: { uid: number; gid: number }): void {
    const { task } = this;
    const visible = task.process.dumpable !== 0;
    node.uid = visible ? task.cred.euid : 0;
    node.gid = visible ? task.cred.egid : 0;
  }

  override lookup(name: string): Inode | number {
    if (isGone(this.task)) return -ENOENT;
    let node = this.#nodes.get(name);
    if (node === undefined) {
      node = this.#make(name);
      if (node === undefined) return -ENOENT;
      this.#nodes.set(name, node);
    }
    if (node instanceof PseudoNode && node !== this.system.procNetDir) this.#own(node);
    return node;
  }

  #make(name: string): Inode | undefined {
    const base = inoBase(this.task.tid, this.whole) + 1;
    const fileIndex = TASK_FILES.findIndex((file) => file.name === name);
    if (fileIndex >= 0) return taskFileNode(this, TASK_FILES[fileIndex] as TaskFile, base + fileIndex);
    const index = TASK_ENTRIES.findIndex((entry) => entry.name === name && (this.whole || entry.processOnly !== true));
    return index < 0 ? undefined : TASK_ENTRIES[index]?.make(this, base + TASK_FILES.length + index);
  }

  override readdir(cookie: number, emit: DirectoryEmit): number {
    if (isGone(this.task)) return -ENOENT;
    const directory = direntType(S_IFDIR);
    const base = inoBase(this.task.tid, this.whole) + 1;
    if (cookie === 0 && !emit(".", this.ino, directory, COOKIE_DOTDOT)) return 0;
    if (cookie <= COOKIE_DOTDOT && !emit("..", this.fs.root().ino, directory, COOKIE_FIRST)) return 0;
    let next = COOKIE_FIRST;
    for (let i = 0; i < TASK_ENTRIES.length + TASK_FILES.length; i++) {
      next++;
      const entry = TASK_ENTRIES[i];
      if (next <= cookie || (entry?.processOnly === true && !this.whole)) continue;
      const file = TASK_FILES[i - TASK_ENTRIES.length];
      const name = entry?.name ?? file?.name ?? "";
      const ino = base + (entry === undefined ? i - TASK_ENTRIES.length : TASK_FILES.length + i);
      if (!emit(name, ino, direntType(entry?.type ?? S_IFREG), next)) return 0;
    }
    return 0;
  }
}

/** Inode numbers of a task's directory and what is in it. */
function inoBase(tid: number, whole: boolean): number {
  return (tid * 2 + (whole ? 0 : 1)) * 0x20000 + 0x100000;
}

function taskFileNode(dir: TaskDir, file: TaskFile, ino: number): SpecialFsFile {
  const { write } = file;
  const object = new SeqObject(
    () => (isGone(dir.task) ? -ESRCH : file.text(dir.task)),
    write === undefined ? {} : { write: (text) => (isGone(dir.task) ? -ESRCH : write(dir.task, text)) },
  );
  const ops: SpecialFileOps = {
    open(flags) {
      if (isGone(dir.task)) return -ESRCH;
      return file.guarded === true && !mayInspect(dir.task) ? -EACCES : object.open(flags);
    },
  };
  return new SpecialFsFile(dir.fs, ops, file.mode ?? 0o444, { ino });
}

/** The process whose /proc directory `inode` is, for calls that take such a directory as a pidfd. */
export function processOfDirectory(inode: Inode | null): Process | undefined {
  return inode instanceof TaskDir && inode.whole && !isGone(inode.task) ? inode.task.process : undefined;
}
