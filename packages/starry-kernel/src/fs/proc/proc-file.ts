/**
 * What a file of /proc is: a name, permission bits and a function that writes its text. Each lives in a file of its own under
 * global/ and task/; the tables in procfs.ts and task-dir.ts are all that knows them by name.
 */
import { SeqObject, type SimpleFs, SpecialFsFile } from "vfs-inode/pseudofs";
import type { Task } from "../../task/task.ts";
import type { FileSystems } from "../file-systems.ts";

/** Text (or bytes) of a file, or -errno. */
export type ProcText = string | Uint8Array | number;

/** A file at the top of /proc or in one of its fixed directories. */
export interface ProcFile {
  readonly name: string;
  /** Default 0o444. */
  readonly mode?: number;
  text(system: FileSystems): ProcText;
  /** Takes one write(2); ≥ 0 or -errno. */
  write?(system: FileSystems, text: string): number;
}

/** A file of /proc/PID and /proc/PID/task/TID. */
export interface TaskFile {
  readonly name: string;
  /** Default 0o444. */
  readonly mode?: number;
  /** Only who may ptrace the task may read it (ptrace(2), PTRACE_MODE_READ). */
  readonly guarded?: boolean;
  /** Only in /proc/PID, not in task/TID. */
  readonly processOnly?: boolean;
  text(task: Task): ProcText;
  write?(task: Task, text: string): number;
}

/** The node of a fixed file. */
export function procNode(fs: SimpleFs, system: FileSystems, file: ProcFile): SpecialFsFile {
  const { write } = file;
  const object = new SeqObject(
    () => file.text(system),
    write === undefined ? {} : { write: (text) => write(system, text) },
  );
  return new SpecialFsFile(fs, object, file.mode ?? 0o444);
}
