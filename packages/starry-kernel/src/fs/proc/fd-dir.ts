/** /proc/PID/fd and /proc/PID/fdinfo: an entry for each open descriptor. */
import { EACCES, ENOENT, S_IFLNK, S_IFREG } from "linux-abi";
import { type Inode, type Path, pathText } from "vfs-inode";
import { type DirectorySource, type DynamicEntry, SeqObject, SimpleSymlink, SpecialFsFile } from "vfs-inode/pseudofs";
import type { OpenFile } from "../../file.ts";
import { describeDescriptor } from "./fd-info.ts";
import { mayInspect } from "./task-access.ts";
import type { TaskDir } from "./task-dir.ts";

/** Distance between the inode numbers of neighbouring descriptors' entries and those of the directory. */
const INO_STEP = 0x1000;

export class FdSource implements DirectorySource {
  readonly #dir: TaskDir;
  readonly #ino: number;
  readonly #kind: "link" | "info";

  constructor(dir: TaskDir, ino: number, kind: "link" | "info") {
    this.#dir = dir;
    this.#ino = ino;
    this.#kind = kind;
  }

  lookup(name: string): Inode | undefined {
    const { task } = this.#dir;
    if (!/^(0|[1-9]\d*)$/.test(name) || task.process.zombie || !mayInspect(task)) return undefined;
    const fd = Number(name);
    const file = task.files.peek(fd);
    if (file === undefined) return undefined;
    return this.#kind === "link" ? this.#link(fd, file) : this.#info(fd);
  }

  list(fromKey: number): Iterable<DynamicEntry> {
    const { task } = this.#dir;
    const entries: DynamicEntry[] = [];
    if (task.process.zombie || !mayInspect(task)) return entries;
    const type = this.#kind === "link" ? S_IFLNK : S_IFREG;
    for (let fd = fromKey; fd < task.files.length; fd++) {
      if (task.files.peek(fd) !== undefined) entries.push({ name: String(fd), key: fd, ino: this.#inoOf(fd), type });
    }
    return entries;
  }

  #inoOf(fd: number): number {
    return this.#ino + INO_STEP + fd;
  }

  #link(fd: number, opened: OpenFile): Inode {
    const dir = this.#dir;
    const current = (): OpenFile | number => {
      if (!mayInspect(dir.task)) return -EACCES;
      return dir.task.files.peek(fd) ?? -ENOENT;
    };
    const text = (): string | number => {
      const file = current();
      if (typeof file === "number") return file;
      if (file.path === null) return file.anonymousName;
      return pathText(file.path, (dir.system.kernel.scheduler.current ?? dir.task).fs.root);
    };
    const follow = (): Path | number => {
      const file = current();
      return typeof file === "number" ? file : (file.path ?? dir.system.anonymous.pathOf(file));
    };
    const permission = (opened.readable ? 0o500 : 0) | (opened.writable ? 0o300 : 0);
    const { euid, egid } = dir.task.cred;
    return new SimpleSymlink(dir.fs, text, { follow, permission, ino: this.#inoOf(fd), uid: euid, gid: egid });
  }

  #info(fd: number): Inode {
    const dir = this.#dir;
    const object = new SeqObject(() => {
      const file = dir.task.files.peek(fd);
      return file === undefined ? -ENOENT : describeDescriptor(dir.task, fd, file);
    });
    return new SpecialFsFile(dir.fs, object, 0o400, { ino: this.#inoOf(fd) });
  }
}
