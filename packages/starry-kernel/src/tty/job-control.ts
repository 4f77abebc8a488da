/**
 * Who may read from, write to and change a controlling terminal: job control (Linux: drivers/tty/tty_jobctrl.c).
 */
import { EIO, SIG_IGN, SIGTTIN, SIGTTOU } from "linux-abi";
import { isOrphaned } from "../signal/job-control.ts";
import { sendToGroup } from "../signal/send.ts";
import { kernelSignal } from "../signal/siginfo.ts";
import { inSet } from "../signal/sigset.ts";
import type { Task } from "../task/task.ts";
import { ERESTARTSYS } from "../wait.ts";
import type { Tty } from "./tty.ts";

function ignoresOrBlocks(task: Task, signo: number): boolean {
  return inSet(task.blockedLo, task.blockedHi, signo) || task.handlers.get(signo).handler === SIG_IGN;
}

/**
 * The caller is about to do something that only the foreground may do. 0, -EIO, or -ERESTARTSYS after its group was sent `signo`
 * (SIGTTIN to read, SIGTTOU to write or change). A terminal that is not the caller's own is free to all.
 */
export function checkForeground(task: Task, tty: Tty, signo: number): number {
  const group = task.process.group;
  if (group.session.terminal !== tty || tty.foregroundGroup === 0 || tty.foregroundGroup === group.pgid) return 0;
  if (ignoresOrBlocks(task, signo)) return signo === SIGTTIN ? -EIO : 0;
  if (isOrphaned(group)) return -EIO;
  sendToGroup(group, kernelSignal(signo));
  return -ERESTARTSYS;
}

/** For ioctls that change the terminal. */
export function checkChange(task: Task, tty: Tty): number {
  return checkForeground(task, tty, SIGTTOU);
}
