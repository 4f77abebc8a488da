/**
 * ioctl(2) on terminals (ioctl_tty(2)): one row per request.
 *
 * A pty master takes the same requests; they concern its slave, the terminal. `file` tells which side asks.
 */
import {
  CAP_SYS_ADMIN,
  CAP_SYS_TTY_CONFIG,
  CLOCAL,
  EINVAL,
  EIO,
  ENOTTY,
  EPERM,
  ESRCH,
  FIONREAD,
  POLLOUT,
  SIGCONT,
  SIGHUP,
  TCFLSH,
  TCGETA,
  TCGETS,
  TCGETS2,
  TCIFLUSH,
  TCIOFF,
  TCIOFLUSH,
  TCION,
  TCOFLUSH,
  TCOOFF,
  TCOON,
  TCSBRK,
  TCSBRKP,
  TCSETA,
  TCSETAF,
  TCSETAW,
  TCSETS,
  TCSETS2,
  TCSETSF,
  TCSETSF2,
  TCSETSW,
  TCSETSW2,
  TCXONC,
  TIOCCBRK,
  TIOCEXCL,
  TIOCGDEV,
  TIOCGETD,
  TIOCGEXCL,
  TIOCGPGRP,
  TIOCGSID,
  TIOCGSOFTCAR,
  TIOCGWINSZ,
  TIOCM_CAR,
  TIOCM_CTS,
  TIOCM_DSR,
  TIOCM_DTR,
  TIOCM_RTS,
  TIOCMBIC,
  TIOCMBIS,
  TIOCMGET,
  TIOCMSET,
  TIOCNOTTY,
  TIOCNXCL,
  TIOCOUTQ,
  TIOCSBRK,
  TIOCSCTTY,
  TIOCSETD,
  TIOCSPGRP,
  TIOCSSOFTCAR,
  TIOCSTI,
  TIOCSWINSZ,
  TIOCVHANGUP,
  VSTART,
  VSTOP,
  WINSIZE_SIZE,
  WINSIZE_WS_COL,
  WINSIZE_WS_ROW,
  WINSIZE_WS_XPIXEL,
  WINSIZE_WS_YPIXEL,
} from "linux-abi";
import type { OpenFile } from "../file.ts";
import { sendToGroup } from "../signal/send.ts";
import { kernelSignal } from "../signal/siginfo.ts";
import type { Task } from "../task/task.ts";
import { ERESTARTSYS, NO_DEADLINE, Wait, WAKE_SIGNAL } from "../wait.ts";
import { checkChange } from "./job-control.ts";
import type { TermiosForm } from "./termios.ts";
import type { Tty } from "./tty.ts";

type Request = (task: Task, file: OpenFile, tty: Tty, argument: number) => number | Wait;

/** How a TCSETS-like request treats what is queued. */
const NOW = 0;
const DRAIN = 1;
const FLUSH = 2;

const REQUESTS: ReadonlyMap<number, Request> = new Map<number, Request>([
  [TCGETS, (task, _f, tty, va) => tty.termios.store(task.memory, va, "termios")],
  [TCGETS2, (task, _f, tty, va) => tty.termios.store(task.memory, va, "termios2")],
  [TCGETA, (task, _f, tty, va) => tty.termios.store(task.memory, va, "termio")],
  [TCSETS, (task, _f, tty, va) => setTermios(task, tty, va, "termios", NOW)],
  [TCSETSW, (task, _f, tty, va) => setTermios(task, tty, va, "termios", DRAIN)],
  [TCSETSF, (task, _f, tty, va) => setTermios(task, tty, va, "termios", FLUSH)],
  [TCSETS2, (task, _f, tty, va) => setTermios(task, tty, va, "termios2", NOW)],
  [TCSETSW2, (task, _f, tty, va) => setTermios(task, tty, va, "termios2", DRAIN)],
  [TCSETSF2, (task, _f, tty, va) => setTermios(task, tty, va, "termios2", FLUSH)],
  [TCSETA, (task, _f, tty, va) => setTermios(task, tty, va, "termio", NOW)],
  [TCSETAW, (task, _f, tty, va) => setTermios(task, tty, va, "termio", DRAIN)],
  [TCSETAF, (task, _f, tty, va) => setTermios(task, tty, va, "termio", FLUSH)],
  [TIOCGWINSZ, getWindowSize],
  [TIOCSWINSZ, setWindowSize],
  [TIOCSCTTY, setControlling],
  [TIOCNOTTY, giveUpControlling],
  [TIOCGPGRP, getForeground],
  [TIOCSPGRP, setForeground],
  [TIOCGSID, getSession],
  [TCFLSH, flush],
  [TCXONC, flowControl],
  [TCSBRK, (task, _f, tty) => changeThen(task, tty, () => whenDrained(tty, () => 0))],
  [TCSBRKP, (task, _f, tty) => changeThen(task, tty, () => whenDrained(tty, () => 0))],
  [TIOCSBRK, () => 0],
  [TIOCCBRK, () => 0],
  [TIOCOUTQ, (task, _f, tty, va) => task.memory.writeU32(va, tty.output.ring.length)],
  [FIONREAD, (task, _f, tty, va) => task.memory.writeU32(va, tty.input.available)],
  [TIOCSTI, injectInput],
  [TIOCEXCL, (_t, _f, tty) => setExclusive(tty, true)],
  [TIOCNXCL, (_t, _f, tty) => setExclusive(tty, false)],
  [TIOCGEXCL, (task, _f, tty, va) => task.memory.writeU32(va, tty.exclusive ? 1 : 0)],
  [TIOCGETD, (task, _f, tty, va) => task.memory.writeU32(va, tty.termios.line)],
  [TIOCSETD, (task, _f, _tty, va) => onlyDiscipline0(task.memory.readU32(va))],
  [TIOCGDEV, (task, _f, tty, va) => task.memory.writeU32(va, tty.deviceNumber)],
  [TIOCGSOFTCAR, (task, _f, tty, va) => task.memory.writeU32(va, (tty.termios.cflag & CLOCAL) !== 0 ? 1 : 0)],
  [TIOCSSOFTCAR, setSoftCarrier],
  [TIOCMGET, getModemLines],
  [TIOCMSET, (_t, _f, tty) => (tty.driver.hasModemLines ? 0 : -ENOTTY)],
  [TIOCMBIS, (_t, _f, tty) => (tty.driver.hasModemLines ? 0 : -ENOTTY)],
  [TIOCMBIC, (_t, _f, tty) => (tty.driver.hasModemLines ? 0 : -ENOTTY)],
  [TIOCVHANGUP, hangUp],
]);

export function ttyIoctl(task: Task, file: OpenFile, tty: Tty, request: number, argument: number): number | Wait {
  return REQUESTS.get(request)?.(task, file, tty, argument) ?? -ENOTTY;
}

/** A request that only the foreground may make. */
function changeThen(task: Task, tty: Tty, then: () => number | Wait): number | Wait {
  const error = checkChange(task, tty);
  return error !== 0 ? error : then();
}

/** Goes on when all output has left. Woken by Tty.outputTaken and by a hang-up. */
function whenDrained(tty: Tty, then: () => number): number | Wait {
  if (tty.output.ring.length === 0) return then();
  const generation = tty.generation;
  const wait = new Wait(
    "tty_wait_until_sent",
    tty.pollSet,
    (_self, reason) => {
      if (tty.generation !== generation) return -EIO;
      if (tty.output.ring.length === 0) return then();
      return reason === WAKE_SIGNAL ? -ERESTARTSYS : wait;
    },
    NO_DEADLINE,
    POLLOUT,
  );
  return wait;
}

function setTermios(task: Task, tty: Tty, va: number, form: TermiosForm, when: number): number | Wait {
  return changeThen(task, tty, () => {
    const next = tty.termios.copy();
    const error = next.load(task.memory, va, form);
    if (error !== 0) return error;
    const apply = (): number => {
      if (when === FLUSH) tty.flushInput();
      tty.setTermios(next);
      return 0;
    };
    return when === NOW ? apply() : whenDrained(tty, apply);
  });
}

function getWindowSize(task: Task, _file: OpenFile, tty: Tty, va: number): number {
  const view = task.memory.scratch;
  view.setUint16(WINSIZE_WS_ROW, tty.size.rows, true);
  view.setUint16(WINSIZE_WS_COL, tty.size.columns, true);
  view.setUint16(WINSIZE_WS_XPIXEL, tty.size.xPixels, true);
  view.setUint16(WINSIZE_WS_YPIXEL, tty.size.yPixels, true);
  return task.memory.store(va, WINSIZE_SIZE);
}

function setWindowSize(task: Task, _file: OpenFile, tty: Tty, va: number): number {
  const error = task.memory.load(va, WINSIZE_SIZE);
  if (error !== 0) return error;
  const view = task.memory.scratch;
  tty.resize({
    rows: view.getUint16(WINSIZE_WS_ROW, true),
    columns: view.getUint16(WINSIZE_WS_COL, true),
    xPixels: view.getUint16(WINSIZE_WS_XPIXEL, true),
    yPixels: view.getUint16(WINSIZE_WS_YPIXEL, true),
  });
  return 0;
}

// Jobs

/** TIOCSCTTY: `steal` 1 takes the terminal from another session (CAP_SYS_ADMIN). */
function setControlling(task: Task, file: OpenFile, tty: Tty, steal: number): number {
  const { process } = task;
  const session = process.session;
  const leads = session.sid === process.pid;
  if (leads && session.terminal === tty) return 0;
  if (!leads || session.terminal !== null) return -EPERM;
  const admin = task.cred.hasCapability(CAP_SYS_ADMIN);
  if (tty.session !== null) {
    if (steal !== 1 || !admin) return -EPERM;
    tty.session.terminal = null;
  }
  if (!file.readable && !admin) return -EPERM;
  tty.becomeControlling(session, process.group.pgid);
  return 0;
}

/** TIOCNOTTY. Linux detaches only the calling process; a session here has one terminal for all, so only its leader detaches it. */
function giveUpControlling(task: Task, _file: OpenFile, tty: Tty): number {
  const { process } = task;
  const session = process.session;
  if (session.terminal !== tty) return -ENOTTY;
  if (session.sid !== process.pid) return 0;
  const foreground = tty.kernel.tasks.group(tty.foregroundGroup);
  session.terminal = null;
  tty.sessionEnded();
  if (foreground !== undefined) {
    sendToGroup(foreground, kernelSignal(SIGHUP));
    sendToGroup(foreground, kernelSignal(SIGCONT));
  }
  return 0;
}

/** The terminal is the caller's own, or the caller holds the pty's master. */
function mayAskJobs(task: Task, file: OpenFile, tty: Tty): boolean {
  return task.process.session.terminal === tty || file.pollSet !== tty.pollSet;
}

function getForeground(task: Task, file: OpenFile, tty: Tty, va: number): number {
  return mayAskJobs(task, file, tty) ? task.memory.writeU32(va, tty.foregroundGroup) : -ENOTTY;
}

function setForeground(task: Task, _file: OpenFile, tty: Tty, va: number): number | Wait {
  const session = task.process.session;
  const refused = checkChange(task, tty);
  if (refused !== 0) return refused === -EIO ? -ENOTTY : refused;
  if (session.terminal !== tty || tty.session !== session) return -ENOTTY;
  const given = task.memory.readU32(va);
  if (given < 0) return given;
  const pgid = given | 0;
  if (pgid < 0) return -EINVAL;
  const group = task.kernel.tasks.group(pgid);
  if (group === undefined) return -ESRCH;
  if (group.session !== session) return -EPERM;
  tty.foregroundGroup = pgid;
  return 0;
}

function getSession(task: Task, file: OpenFile, tty: Tty, va: number): number {
  if (!mayAskJobs(task, file, tty) || tty.session === null) return -ENOTTY;
  return task.memory.writeU32(va, tty.session.sid);
}

function hangUp(task: Task, _file: OpenFile, tty: Tty): number {
  if (!task.cred.hasCapability(CAP_SYS_ADMIN) && !task.cred.hasCapability(CAP_SYS_TTY_CONFIG)) return -EPERM;
  tty.hangup();
  return 0;
}

// Queues and flow

function flush(task: Task, _file: OpenFile, tty: Tty, queue: number): number | Wait {
  return changeThen(task, tty, () => {
    if (queue !== TCIFLUSH && queue !== TCOFLUSH && queue !== TCIOFLUSH) return -EINVAL;
    if (queue !== TCOFLUSH) tty.flushInput();
    if (queue !== TCIFLUSH) tty.flushOutput();
    return 0;
  });
}

function flowControl(task: Task, _file: OpenFile, tty: Tty, action: number): number | Wait {
  return changeThen(task, tty, () => {
    switch (action) {
      case TCOOFF:
        tty.suspendFlow(true);
        return 0;
      case TCOON:
        tty.suspendFlow(false);
        return 0;
      case TCIOFF:
      case TCION: {
        const byte = tty.termios.cc[action === TCIOFF ? VSTOP : VSTART] as number;
        if (byte !== 0) tty.driver.sendAhead(tty, byte);
        tty.transmit();
        return 0;
      }
      default:
        return -EINVAL;
    }
  });
}

const $injected = new Uint8Array(1);

function injectInput(task: Task, _file: OpenFile, tty: Tty, va: number): number {
  if (task.process.session.terminal !== tty && !task.cred.hasCapability(CAP_SYS_ADMIN)) return -EPERM;
  const byte = task.memory.readU8(va);
  if (byte < 0) return byte;
  $injected[0] = byte;
  tty.receive($injected, 0, 1);
  return 0;
}

// Lines

function setExclusive(tty: Tty, exclusive: boolean): number {
  tty.exclusive = exclusive;
  return 0;
}

function onlyDiscipline0(given: number): number {
  return given < 0 ? given : given === 0 ? 0 : -EINVAL;
}

function setSoftCarrier(task: Task, _file: OpenFile, tty: Tty, va: number): number {
  const on = task.memory.readU32(va);
  if (on < 0) return on;
  tty.termios.cflag = on !== 0 ? tty.termios.cflag | CLOCAL : tty.termios.cflag & ~CLOCAL;
  return 0;
}

function getModemLines(task: Task, _file: OpenFile, tty: Tty, va: number): number {
  if (!tty.driver.hasModemLines) return -ENOTTY;
  return task.memory.writeU32(va, TIOCM_DTR | TIOCM_RTS | TIOCM_CTS | TIOCM_CAR | TIOCM_DSR);
}
