/** Putting new files into a task's descriptor table. */
import { RLIMIT_NOFILE } from "linux-abi";
import type { OpenFile } from "../file.ts";
import type { Task } from "../task/task.ts";

/** Takes over the caller's reference also when it fails (-EMFILE). */
export function installFile(task: Task, file: OpenFile, closeOnExec: boolean): number {
  const fd = task.files.install(file, closeOnExec, task.process.limits.soft[RLIMIT_NOFILE] as number);
  if (fd < 0) file.put();
  return fd;
}

/** Two descriptors, stored as `int[2]` at `va`. Takes over both references. 0, -EMFILE or -EFAULT (then neither stays open). */
export function installPair(task: Task, va: number, first: OpenFile, second: OpenFile, closeOnExec: boolean): number {
  const a = installFile(task, first, closeOnExec);
  if (a < 0) {
    second.put();
    return a;
  }
  const b = installFile(task, second, closeOnExec);
  if (b < 0) {
    task.files.close(task, a);
    return b;
  }
  const scratch = task.memory.scratch;
  scratch.setInt32(0, a, true);
  scratch.setInt32(4, b, true);
  const error = task.memory.store(va, 8);
  if (error === 0) return 0;
  task.files.close(task, a);
  task.files.close(task, b);
  return error;
}
