/**
 * The file a process runs: kept open and closed to writers (ETXTBSY) for as long as some process runs it.
 */
import type { OpenFile } from "../file.ts";
import type { Process } from "./process.ts";

/** Takes over one reference to `file` for which writing has been denied. */
export function setExecutable(process: Process, file: OpenFile): void {
  dropExecutable(process);
  process.executable = file;
}

/** fork: the child runs the same file. */
export function shareExecutable(from: Process, to: Process): void {
  const file = from.executable;
  if (file === null) return;
  from.kernel.fs.denyWrite(file); // cannot fail: `from` keeps writers out
  to.executable = file.get();
  to.executablePath = from.executablePath;
}

export function dropExecutable(process: Process): void {
  const file = process.executable;
  if (file === null) return;
  process.executable = null;
  process.kernel.fs.allowWrite(file);
  file.put();
}
