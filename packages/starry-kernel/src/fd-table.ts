/**
 * Descriptor table: Linux's `files_struct`. Shared between tasks that were cloned with CLONE_FILES.
 *
 * Slots hold references (`OpenFile.get`); close-on-exec is a property of the slot, not of the file.
 */
import { EBADF, EMFILE, O_PATH } from "linux-abi";
import type { OpenFile } from "./file.ts";
import type { Task } from "./task/task.ts";

/** Bound on descriptor numbers whatever RLIMIT_NOFILE says (fs.nr_open). */
export const NR_OPEN = 1048576;

export class FdTable {
  /** Tasks that share the table. */
  count = 1;
  #files: (OpenFile | null)[] = [];
  #closeOnExec: boolean[] = [];
  // Every slot below is in use.
  #firstMaybeFree = 0;

  /** The file behind `fd`, without a reference, or undefined. O_PATH files included. */
  peek(fd: number): OpenFile | undefined {
    return this.#files[fd] ?? undefined;
  }

  /** As `peek`, but undefined for O_PATH descriptors, which do no I/O. */
  get(fd: number): OpenFile | undefined {
    const file = this.#files[fd];
    return file === undefined || file === null || (file.flags & O_PATH) !== 0 ? undefined : file;
  }

  /** Puts `file` at the lowest free number ≥ `from`. Takes over the caller's reference. -EMFILE at `limit` (then the reference stays the caller's). */
  install(file: OpenFile, closeOnExec: boolean, limit: number, from = 0): number {
    let fd = Math.max(from, this.#firstMaybeFree);
    const files = this.#files;
    while (fd < files.length && files[fd] !== null && files[fd] !== undefined) fd++;
    if (fd >= limit || fd >= NR_OPEN) return -EMFILE;
    if (from <= this.#firstMaybeFree) this.#firstMaybeFree = fd + 1;
    this.#place(fd, file, closeOnExec);
    return fd;
  }

  /** Puts `file` at `fd` and returns what was there, whose reference the caller must drop with `closeFile`. Takes over the caller's reference. */
  replace(fd: number, file: OpenFile, closeOnExec: boolean): OpenFile | undefined {
    const old = this.peek(fd);
    this.#place(fd, file, closeOnExec);
    return old;
  }

  #place(fd: number, file: OpenFile, closeOnExec: boolean): void {
    while (this.#files.length < fd) {
      this.#files.push(null);
      this.#closeOnExec.push(false);
    }
    this.#files[fd] = file;
    this.#closeOnExec[fd] = closeOnExec;
  }

  /** close(2): 0, -EBADF or what `flush` said. */
  close(task: Task, fd: number): number {
    const file = this.peek(fd);
    if (file === undefined) return -EBADF;
    this.#files[fd] = null;
    this.#closeOnExec[fd] = false;
    if (fd < this.#firstMaybeFree) this.#firstMaybeFree = fd;
    return closeFile(task, file);
  }

  closeOnExec(fd: number): boolean {
    return this.#closeOnExec[fd] === true;
  }

  setCloseOnExec(fd: number, on: boolean): void {
    this.#closeOnExec[fd] = on;
  }

  /** One more than the highest descriptor that may be in use. */
  get length(): number {
    return this.#files.length;
  }

  /** fork without CLONE_FILES. */
  clone(): FdTable {
    const copy = new FdTable();
    copy.#files = this.#files.map((file) => file?.get() ?? null);
    copy.#closeOnExec = this.#closeOnExec.slice();
    copy.#firstMaybeFree = this.#firstMaybeFree;
    return copy;
  }

  /** execve(2). */
  closeForExec(task: Task): void {
    for (let fd = 0; fd < this.#files.length; fd++) if (this.#closeOnExec[fd]) this.close(task, fd);
  }

  /** A task lets go of the table; the last one closes everything. */
  put(task: Task): void {
    if (--this.count > 0) return;
    for (let fd = 0; fd < this.#files.length; fd++) if (this.#files[fd] !== null) this.close(task, fd);
  }
}

/** Drops a descriptor's reference with close(2)'s side effects. */
export function closeFile(task: Task, file: OpenFile): number {
  const result = file.flush(task);
  file.put();
  return result;
}
