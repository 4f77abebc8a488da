/** ioctl(2): what is the same for every descriptor; the rest is the file's own. */
import {
  EBADF,
  FIOASYNC,
  FIOCLEX,
  FIONBIO,
  FIONCLEX,
  FIOQSIZE,
  ENOTTY,
  O_NONBLOCK,
  S_IFDIR,
  S_IFMT,
  S_IFLNK,
  S_IFREG,
  SYS_ioctl,
} from "linux-abi";
import type { Task } from "../../task/task.ts";
import type { Wait } from "../../wait.ts";
import { type SyscallRow, full, row } from "../row.ts";

/** FASYNC (O_ASYNC). */
const O_ASYNC = 0x2000;

function sys_ioctl(task: Task, fd: number, request: number, argument: number): number | Wait {
  const file = task.files.get(fd);
  if (file === undefined) return -EBADF;
  switch (request) {
    case FIOCLEX:
    case FIONCLEX:
      task.files.setCloseOnExec(fd, request === FIOCLEX);
      return 0;
    case FIONBIO:
    case FIOASYNC: {
      const on = task.memory.readU32(argument);
      if (on < 0) return on;
      const bit = request === FIONBIO ? O_NONBLOCK : O_ASYNC;
      file.flags = on !== 0 ? file.flags | bit : file.flags & ~bit;
      return 0;
    }
    case FIOQSIZE: {
      const type = (file.inode?.mode ?? 0) & S_IFMT;
      if (file.inode === null || (type !== S_IFREG && type !== S_IFDIR && type !== S_IFLNK)) return -ENOTTY;
      return task.memory.writeI64(argument, file.inode.size);
    }
    default:
      return file.ioctl(task, request, argument);
  }
}

export const IOCTL_CALLS: readonly SyscallRow[] = [
  row(SYS_ioctl, "ioctl", "fd:fd request:ioctl arg:ptr", full, sys_ioctl),
];
