/** Files of /proc/PID that are pieces of the program's memory: cmdline environ auxv. */
import type { Task } from "../../../task/task.ts";
import type { ProcText, TaskFile } from "../proc-file.ts";

/** Bytes of [start, end), as far as they are readable. */
function memoryBytes(task: Task, start: number, end: number): Uint8Array {
  if (task.process.zombie || end <= start) return new Uint8Array(0);
  const bytes = new Uint8Array(end - start);
  return task.memory.copyIn(start, bytes, 0, bytes.length) === 0 ? bytes : new Uint8Array(0);
}

/** A program that overwrote the last NUL (setproctitle) goes on into its environment. */
function commandLine(task: Task): ProcText {
  const { memory } = task;
  const bytes = memoryBytes(task, memory.argStart, memory.argEnd);
  if (bytes.length === 0 || bytes[bytes.length - 1] === 0) return bytes;
  const whole = memoryBytes(task, memory.argStart, Math.max(memory.argEnd, memory.envEnd));
  const nul = whole.indexOf(0);
  return nul < 0 ? whole : whole.subarray(0, nul);
}

export const cmdline: TaskFile = { name: "cmdline", text: commandLine };

export const environ: TaskFile = {
  name: "environ",
  mode: 0o400,
  guarded: true,
  text: (task) => memoryBytes(task, task.memory.envStart, task.memory.envEnd),
};

export const auxv: TaskFile = {
  name: "auxv",
  mode: 0o400,
  guarded: true,
  text: (task) => (task.process.zombie ? new Uint8Array(0) : task.memory.auxv),
};
