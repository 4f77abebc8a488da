/**
 * Where file operations turn into waits: read and write on an OpenFile with O_NONBLOCK, partial transfers and signals
 * handled the same way for every kind of file.
 */
import { EAGAIN, EPIPE, ESPIPE, O_APPEND, O_NONBLOCK, POLLERR, POLLHUP, POLLIN, POLLOUT, SIGPIPE } from "linux-abi";
import type { OpenFile } from "./file.ts";
import type { IoBuffer } from "./io-buffer.ts";
import { kernelSignal } from "./signal/siginfo.ts";
import { sendToTask } from "./signal/send.ts";
import type { Task } from "./task/task.ts";
import { ERESTARTSYS, NO_DEADLINE, Wait, WAKE_SIGNAL, WAKE_TIMEOUT } from "./wait.ts";

/** Offset argument: use and advance the file position. */
export const AT_POSITION = -1;

/**
 * read(2), readv(2), pread64(2) after the descriptor is known to be readable. `offset` ≥ 0 or AT_POSITION.
 * The buffer may be the kernel's shared one; it is detached if the call waits.
 */
export function readFile(
  task: Task,
  file: OpenFile,
  buffer: IoBuffer,
  offset: number,
  nonblock: boolean,
): number | Wait {
  const result = readOnce(task, file, buffer, offset);
  if (result !== -EAGAIN || nonblock || (file.flags & O_NONBLOCK) !== 0) return result;
  const own = buffer.detach();
  file.get();
  const resume = (self: Task, reason: number): number | Wait => {
    let again = reason === WAKE_SIGNAL ? -ERESTARTSYS : readOnce(self, file, own, offset);
    if (again === -EAGAIN) {
      if (reason === WAKE_TIMEOUT) again = file.readTimeoutResult;
      else {
        wait.deadlineNs = file.readDeadlineNs(self, wait.deadlineNs);
        return wait;
      }
    }
    file.put();
    return again;
  };
  const deadlineNs = file.readDeadlineNs(task, NO_DEADLINE);
  const wait = new Wait("read", file.pollSet, resume, deadlineNs, POLLIN | POLLHUP | POLLERR);
  return wait;
}

function readOnce(task: Task, file: OpenFile, buffer: IoBuffer, offset: number): number {
  const atPosition = offset === AT_POSITION;
  if (!atPosition && !file.seekable) return -ESPIPE;
  const count = file.read(task, buffer, atPosition ? file.position : offset);
  if (count > 0) {
    if (atPosition && file.seekable) file.position += count;
    task.usage.bytesRead += count;
  }
  return count;
}

/** write(2), writev(2), pwrite64(2) after the descriptor is known to be writable. */
export function writeFile(
  task: Task,
  file: OpenFile,
  buffer: IoBuffer,
  offset: number,
  nonblock: boolean,
): number | Wait {
  const first = writeOnce(task, file, buffer, offset);
  const mayWait = !nonblock && (file.flags & O_NONBLOCK) === 0;
  const incomplete = first >= 0 && buffer.remaining > 0 && !buffer.faulted && file.completesWrites;
  if (!mayWait || (first !== -EAGAIN && !incomplete)) return finishWrite(task, first, 0);
  const own = buffer.detach();
  file.get();
  let done = first > 0 ? first : 0;
  const resume = (self: Task, reason: number): number | Wait => {
    const again = reason === WAKE_SIGNAL ? -ERESTARTSYS : writeOnce(self, file, own, offset);
    if (again === -EAGAIN && reason !== WAKE_TIMEOUT) return wait;
    if (again > 0) {
      done += again;
      if (own.remaining > 0 && !own.faulted && reason !== WAKE_TIMEOUT) return wait;
      file.put();
      return done;
    }
    file.put();
    return finishWrite(self, again, done);
  };
  const deadlineNs = file.writeDeadlineNs(task, NO_DEADLINE);
  const wait = new Wait("write", file.pollSet, resume, deadlineNs, POLLOUT | POLLHUP | POLLERR);
  return wait;
}

function writeOnce(task: Task, file: OpenFile, buffer: IoBuffer, offset: number): number {
  if (!file.seekable) {
    if (offset !== AT_POSITION) return -ESPIPE;
    return file.write(task, buffer, 0);
  }
  const append = (file.flags & O_APPEND) !== 0 ? file.appendOffset() : -1;
  const at = append >= 0 ? append : offset === AT_POSITION ? file.position : offset;
  const count = file.write(task, buffer, at);
  if (count > 0) {
    if (offset === AT_POSITION) file.position = at + count;
    task.usage.bytesWritten += count;
  }
  return count;
}

/** What was written before an error counts; EPIPE also raises SIGPIPE. */
function finishWrite(task: Task, result: number, done: number): number {
  if (result === -EPIPE) sendToTask(task, kernelSignal(SIGPIPE));
  return result < 0 && done > 0 ? done : result;
}
