/** What a signal does when its disposition is SIG_DFL (signal(7), "Signal dispositions"). */
import {
  SIGABRT,
  SIGBUS,
  SIGCHLD,
  SIGCONT,
  SIGFPE,
  SIGILL,
  SIGQUIT,
  SIGSEGV,
  SIGSTOP,
  SIGSYS,
  SIGTRAP,
  SIGTSTP,
  SIGTTIN,
  SIGTTOU,
  SIGURG,
  SIGWINCH,
  SIGXCPU,
  SIGXFSZ,
} from "linux-abi";

export const ACT_TERMINATE = 0;
/** Terminate and report a core dump (the status bit; no file is written). */
export const ACT_CORE = 1;
export const ACT_IGNORE = 2;
export const ACT_STOP = 3;
export const ACT_CONTINUE = 4;

const actions = new Uint8Array(65);
for (const s of [SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS])
  actions[s] = ACT_CORE;
for (const s of [SIGCHLD, SIGURG, SIGWINCH]) actions[s] = ACT_IGNORE;
for (const s of [SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU]) actions[s] = ACT_STOP;
actions[SIGCONT] = ACT_CONTINUE;

export function defaultAction(signal: number): number {
  return actions[signal] as number;
}
