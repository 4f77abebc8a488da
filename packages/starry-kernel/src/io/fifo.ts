/**
 * FIFOs: named pipes (fifo(7)). The pipe lives as long as somebody has the FIFO open, and belongs to the inode.
 *
 * open(2) is the only call on them that may wait: for reading until there is a writer, for writing until there is a reader. The file
 * counts as an end while it waits, which is what lets two waiting opens meet.
 *
 *     const file = openFifo(inode, flags);               // open(2), after the permission checks
 *     if (typeof file === "number") return file;         // -ENXIO
 *     return whenFifoOpen(task, file, (task, error) => (error < 0 ? drop(file, error) : install(file)));
 */
import { ENXIO, O_ACCMODE, O_NONBLOCK, O_RDONLY, O_WRONLY } from "linux-abi";
import type { Inode } from "vfs-inode";
import type { Task } from "../task/task.ts";
import { ERESTARTSYS, Wait, WAKE_SIGNAL } from "../wait.ts";
import { Pipe, PipeFile } from "./pipe.ts";

const $pipes = new WeakMap<Inode, Pipe>();

/** A new end of the inode's pipe. -ENXIO: O_WRONLY | O_NONBLOCK without a reader. The caller sets its `path`. */
export function openFifo(inode: Inode, flags: number): PipeFile | number {
  let pipe = $pipes.get(inode);
  if (pipe === undefined) {
    pipe = new Pipe();
    $pipes.set(inode, pipe);
  }
  const mode = flags & O_ACCMODE;
  const nonblock = (flags & O_NONBLOCK) !== 0;
  if (mode === O_WRONLY && nonblock && pipe.readers === 0) return -ENXIO;
  const file = new PipeFile(pipe, flags);
  if (mode === O_RDONLY && nonblock && pipe.writers === 0) file.expectWriter();
  return file;
}

/** Goes on with `then` when the other side is there (error 0) or a signal came (-ERESTARTSYS; the caller drops the file). */
export function whenFifoOpen(
  task: Task,
  file: PipeFile,
  then: (task: Task, error: number) => number | Wait,
): number | Wait {
  const pipe = file.pipe;
  const mode = file.flags & O_ACCMODE;
  if ((file.flags & O_NONBLOCK) !== 0) return then(task, 0);
  if (mode === O_RDONLY ? pipe.writers > 0 : mode !== O_WRONLY || pipe.readers > 0) return then(task, 0);
  const opensBefore = mode === O_RDONLY ? pipe.writerOpens : pipe.readerOpens;
  // Woken by the partner's open (Pipe.addEnd), which may be closed again by the time this runs.
  const wait = new Wait("wait_for_partner", file.pollSet, (self, reason) => {
    const opens = mode === O_RDONLY ? pipe.writerOpens : pipe.readerOpens;
    if (opens !== opensBefore) return then(self, 0);
    return reason === WAKE_SIGNAL ? then(self, -ERESTARTSYS) : wait;
  });
  return wait;
}
