/** tee(2) and vmsplice(2): between two pipes, and between a pipe and a program's memory. */
import {
  EAGAIN,
  EBADF,
  EINVAL,
  EPIPE,
  O_NONBLOCK,
  SIGPIPE,
  SPLICE_F_GIFT,
  SPLICE_F_MORE,
  SPLICE_F_MOVE,
  SPLICE_F_NONBLOCK,
  SYS_tee,
  SYS_vmsplice,
} from "linux-abi";
import { IoBuffer } from "../../io-buffer.ts";
import { AT_POSITION, readFile, writeFile } from "../../io-wait.ts";
import { PipeFile } from "../../io/pipe.ts";
import { sendToTask } from "../../signal/send.ts";
import { kernelSignal } from "../../signal/siginfo.ts";
import type { Task } from "../../task/task.ts";
import { ERESTARTSYS, Wait, WAKE_SIGNAL } from "../../wait.ts";
import { readVector } from "../read-write.ts";
import { type SyscallRow, full, partial, row } from "../row.ts";

const KNOWN_FLAGS = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT;

/** Copies what is queued in `from` into `to`, as much as fits; nothing is consumed. */
function copyQueued(task: Task, from: PipeFile, to: PipeFile, byteLength: number): number {
  const source = from.pipe;
  const target = to.pipe;
  if (target.readers === 0) {
    sendToTask(task, kernelSignal(SIGPIPE));
    return -EPIPE;
  }
  if (source.ring.length === 0) return source.writers === 0 ? 0 : -EAGAIN;
  const count = Math.min(byteLength, source.ring.length, target.ring.room);
  if (count === 0) return -EAGAIN;
  const bytes = new Uint8Array(count);
  source.ring.copyTo(new IoBuffer().setKernel(bytes), 0, count);
  return target.write(new IoBuffer().setKernel(bytes), false);
}

function sys_tee(task: Task, fdIn: number, fdOut: number, len: number, flags: number): number | Wait {
  if ((flags & ~KNOWN_FLAGS) !== 0) return -EINVAL;
  const from = task.files.get(fdIn);
  const to = task.files.get(fdOut);
  if (from === undefined || !from.readable || to === undefined || !to.writable) return -EBADF;
  if (!(from instanceof PipeFile) || !(to instanceof PipeFile) || from.pipe === to.pipe) return -EINVAL;
  if (len === 0) return 0;
  const first = copyQueued(task, from, to, len);
  const nonblock = (flags & SPLICE_F_NONBLOCK) !== 0 || ((from.flags | to.flags) & O_NONBLOCK) !== 0;
  if (first !== -EAGAIN || nonblock) return first;
  from.get();
  to.get();
  const wait = new Wait("tee", [from.pollSet, to.pollSet], (self, reason) => {
    const again = reason === WAKE_SIGNAL ? -ERESTARTSYS : copyQueued(self, from, to, len);
    if (again === -EAGAIN) return wait;
    from.put();
    to.put();
    return again;
  });
  return wait;
}

function sys_vmsplice(task: Task, fd: number, iov: number, count: number, flags: number): number | Wait {
  if ((flags & ~KNOWN_FLAGS) !== 0) return -EINVAL;
  const file = task.files.get(fd);
  if (!(file instanceof PipeFile)) return -EBADF;
  const segments = readVector(task, iov, count);
  if (typeof segments === "number") return segments;
  const buffer = new IoBuffer().setUserVector(task.memory, segments);
  const nonblock = (flags & SPLICE_F_NONBLOCK) !== 0;
  return file.writable
    ? writeFile(task, file, buffer, AT_POSITION, nonblock)
    : readFile(task, file, buffer, AT_POSITION, nonblock);
}

export const PIPE_TRANSFER_CALLS: readonly SyscallRow[] = [
  row(SYS_tee, "tee", "fd_in:fd fd_out:fd len:size flags:flags", full, sys_tee),
  row(
    SYS_vmsplice,
    "vmsplice",
    "fd:fd iov:iovec nr_segs:ulong flags:flags",
    partial("copies; pages are not given away"),
    sys_vmsplice,
  ),
];
