/** pipe2(2). */
import { EINVAL, O_CLOEXEC, O_DIRECT, O_NONBLOCK, S_IFIFO, SYS_pipe2 } from "linux-abi";
import { anonymousInode } from "../../io/anonymous-inode.ts";
import { installPair } from "../../io/install-file.ts";
import { createPipe } from "../../io/pipe.ts";
import type { Task } from "../../task/task.ts";
import { full, row, type SyscallRow } from "../row.ts";

function sys_pipe2(task: Task, fdsAddr: number, flags: number): number {
  if ((flags & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT)) !== 0) return -EINVAL;
  const [reader, writer] = createPipe(anonymousInode(task, S_IFIFO | 0o600), flags & (O_NONBLOCK | O_DIRECT));
  return installPair(task, fdsAddr, reader, writer, (flags & O_CLOEXEC) !== 0);
}

export const PIPE_CALLS: readonly SyscallRow[] = [
  row(SYS_pipe2, "pipe2", "fds:fd_pair flags:open_flags", full, sys_pipe2),
];
