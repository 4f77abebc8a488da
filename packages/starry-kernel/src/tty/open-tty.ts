/** open(2) of a terminal: exclusive use, and becoming the controlling terminal of a session leader without one. */
import { CAP_SYS_ADMIN, EBUSY, O_NOCTTY } from "linux-abi";
import type { OpenFile } from "../file.ts";
import type { Task } from "../task/task.ts";
import type { Tty } from "./tty.ts";
import { TtyFile } from "./tty-file.ts";

/** `mayControl` false: this way in never makes it the controlling terminal (/dev/console, /dev/tty). */
export function openTty(task: Task, tty: Tty, flags: number, mayControl: boolean): OpenFile | number {
  if (tty.exclusive && !task.cred.hasCapability(CAP_SYS_ADMIN)) return -EBUSY;
  const file = new TtyFile(tty, flags);
  const { process } = task;
  const session = process.session;
  if (
    mayControl &&
    (flags & O_NOCTTY) === 0 &&
    session.sid === process.pid &&
    session.terminal === null &&
    tty.session === null &&
    file.readable
  ) {
    tty.becomeControlling(session, process.group.pgid);
  }
  return file;
}
