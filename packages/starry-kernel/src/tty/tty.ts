/**
 * A terminal: the object behind /dev/ttyS0, /dev/hvc0, /dev/pts/N.
 *
 *   program ── write ──► Output (OPOST) ── ring ──► driver.transmit ──► device
 *   device ── receive ──► LineDiscipline (N_TTY) ──► read ── program
 *                             └── echo ──► Output
 *
 * Any number of TtyFiles share one Tty and its poll set. Drivers move bytes and know nothing of lines or jobs.
 *
 * Who wakes `pollSet`: input that completes a read (POLLIN), room for output (POLLOUT, `outputTaken`), hang-up (POLLHUP | POLLERR).
 */
import {
  ICANON,
  EXTPROC,
  IXOFF,
  IXON,
  NOFLSH,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLRDNORM,
  POLLWRNORM,
  SIGCONT,
  SIGHUP,
  SIGWINCH,
  TIOCPKT_DOSTOP,
  TIOCPKT_FLUSHREAD,
  TIOCPKT_FLUSHWRITE,
  TIOCPKT_NOSTOP,
  TIOCPKT_START,
  TIOCPKT_STOP,
  VMIN,
  VSTART,
  VSTOP,
  VTIME,
} from "linux-abi";
import type { Kernel } from "../kernel.ts";
import { PollSet } from "../poll-set.ts";
import { sendToGroup, sendToProcess } from "../signal/send.ts";
import { kernelSignal } from "../signal/siginfo.ts";
import type { ControllingTerminal, Session } from "../task/session.ts";
import { type LineHost, LineDiscipline } from "./line-discipline.ts";
import { Output } from "./output.ts";
import { sameSize, type Termios, type WindowSize } from "./termios.ts";

/** Below this many bytes the output has room worth waking writers for. */
const WAKE_WRITERS_BELOW = 8192;

/** The device side of a terminal. All methods but `transmit` may do nothing. */
export abstract class TtyDriver {
  /** Name without the unit, for /proc/tty/drivers: "serial", "pty_slave". */
  abstract readonly name: string;
  /** `tty.output.ring` holds bytes and may be emptied: take what the device accepts, then call `tty.outputTaken()`. */
  abstract transmit(tty: Tty): void;
  /** The reader has made room after `tty.receive` had taken less than offered. */
  unthrottle(_tty: Tty): void {}
  /** Output was stopped or started by the user or tcflow. */
  flowChanged(_tty: Tty): void {}
  /** Throws away output that can still be stopped from being seen. */
  discardOutput(tty: Tty): void {
    tty.output.ring.clear();
  }
  /** Input or output queue was thrown away. */
  flushed(_tty: Tty, _input: boolean, _output: boolean): void {}
  settingsChanged(_tty: Tty): void {}
  /** TIOCPKT_* bits for a pty master in packet mode. */
  packetEvent(_tty: Tty, _bits: number): void {}
  /** Sends XON or XOFF; a device that can puts it ahead of what waits. */
  sendAhead(tty: Tty, byte: number): void {
    tty.output.putRaw(byte);
  }
  /** The first file was opened, the last one closed. */
  opened(_tty: Tty): void {}
  closed(_tty: Tty): void {}
  /** Has a line that can hang up: TIOCMGET and its like make sense. */
  get hasModemLines(): boolean {
    return false;
  }
}

export class Tty implements LineHost, ControllingTerminal {
  readonly kernel: Kernel;
  readonly driver: TtyDriver;
  /** Name in /dev: "ttyS0", "pts/3". */
  readonly name: string;
  readonly deviceNumber: number;
  readonly termios: Termios;
  readonly output: Output;
  readonly input: LineDiscipline;
  readonly pollSet: PollSet = new PollSet();
  size: WindowSize = { rows: 0, columns: 0, xPixels: 0, yPixels: 0 };

  session: Session | null = null;
  foregroundGroup = 0;
  /** TIOCEXCL: no further open. */
  exclusive = false;
  /** Open files. */
  openCount = 0;
  /** Changes at each hang-up: files opened before it are dead. */
  generation = 0;
  /** Stopped by ^S. */
  flowStopped = false;
  /** Stopped by tcflow(TCOOFF). */
  flowSuspended = false;
  /** When input last came, monotonic ns; kept only while VTIME runs between bytes. */
  lastInputNs = 0;
  // The column after what the driver was last given: what came after it may yet be thrown away unseen.
  #columnSent = 0;
  // The driver was told "no room" and wants to hear of it.
  #throttled = false;

  constructor(kernel: Kernel, driver: TtyDriver, name: string, deviceNumber: number, termios: Termios) {
    this.kernel = kernel;
    this.driver = driver;
    this.name = name;
    this.deviceNumber = deviceNumber;
    this.termios = termios;
    this.output = new Output(termios, (byte) => this.input.isContinuation(byte));
    this.input = new LineDiscipline(this);
  }

  // The device's side

  /** Bytes from the device. Returns how many were taken; fewer means no room: `driver.unthrottle` follows. */
  receive(bytes: Uint8Array, start: number, byteLength: number): number {
    let ready = false;
    let taken = 0;
    while (taken < byteLength) {
      if (this.input.room <= 0) {
        if (!this.#throttled) this.#signalSender(VSTOP);
        this.#throttled = true;
        break;
      }
      if (this.input.receive(bytes[start + taken++] as number)) ready = true;
    }
    if (taken > 0) {
      const { cc, lflag } = this.termios;
      if ((lflag & ICANON) === 0 && (cc[VTIME] as number) > 0) this.lastInputNs = this.kernel.clock.monotonicNs();
      this.flushEcho();
      if (ready) this.pollSet.wake(POLLIN | POLLRDNORM);
    }
    return taken;
  }

  /** The device has taken bytes from `output.ring`. */
  outputTaken(): void {
    if (this.output.ring.length < WAKE_WRITERS_BELOW && !this.flowStopped) this.pollSet.wake(POLLOUT | POLLWRNORM);
  }

  /** What read takes away may let the device go on. */
  inputTaken(): void {
    if (!this.#throttled || this.input.room <= 0) return;
    this.#throttled = false;
    this.#signalSender(VSTART);
    this.driver.unthrottle(this);
  }

  /** IXOFF: asks the other end to stop or go on. */
  #signalSender(which: number): void {
    const byte = this.termios.cc[which] as number;
    if ((this.termios.iflag & IXOFF) === 0 || byte === 0) return;
    this.driver.sendAhead(this, byte);
    this.transmit();
  }

  get outputStopped(): boolean {
    return this.flowStopped || this.flowSuspended;
  }

  /** Lets the device have what is in the output ring. */
  transmit(): void {
    if (this.output.ring.length === 0 || this.outputStopped) return;
    this.#columnSent = this.output.column;
    this.driver.transmit(this);
  }

  /** Echo has been put into the ring. */
  flushEcho(): void {
    this.transmit();
  }

  // Flow control

  stopFlow(): void {
    if (this.flowStopped) return;
    this.flowStopped = true;
    this.driver.packetEvent(this, TIOCPKT_STOP);
    this.driver.flowChanged(this);
  }

  startFlow(): void {
    if (!this.flowStopped) return;
    this.flowStopped = false;
    this.driver.packetEvent(this, TIOCPKT_START);
    this.#flowResumed();
  }

  /** tcflow(TCOOFF) and tcflow(TCOON). */
  suspendFlow(suspend: boolean): void {
    if (this.flowSuspended === suspend) return;
    this.flowSuspended = suspend;
    this.driver.packetEvent(this, suspend ? TIOCPKT_STOP : TIOCPKT_START);
    if (suspend) this.driver.flowChanged(this);
    else {
      this.flowStopped = false;
      this.#flowResumed();
    }
  }

  #flowResumed(): void {
    this.driver.flowChanged(this);
    this.transmit();
    this.outputTaken();
  }

  // Queues

  flushInput(): void {
    this.input.flush();
    this.driver.flushed(this, true, false);
    this.driver.packetEvent(this, TIOCPKT_FLUSHREAD);
    this.inputTaken();
  }

  flushOutput(): void {
    this.driver.discardOutput(this);
    this.output.column = this.#columnSent;
    this.driver.flushed(this, false, true);
    this.driver.packetEvent(this, TIOCPKT_FLUSHWRITE);
    this.pollSet.wake(POLLOUT | POLLWRNORM);
  }

  // Settings

  /** A read returns as soon as this many bytes are there (not canonical, no timer). */
  get minimum(): number {
    const { cc } = this.termios;
    return (cc[VTIME] as number) === 0 ? Math.max(1, cc[VMIN] as number) : 1;
  }

  get inputReady(): boolean {
    return (this.termios.lflag & ICANON) !== 0 ? this.input.hasLine : this.input.queued >= this.minimum;
  }

  setTermios(next: Termios): void {
    const old = this.termios.copy();
    const now = this.termios;
    now.assign(next);
    if (((old.lflag ^ now.lflag) & (ICANON | EXTPROC)) !== 0) this.input.modeChanged();
    // ^S without IXON could never be undone.
    if ((old.iflag & IXON) !== 0 && (now.iflag & IXON) === 0 && this.flowStopped) this.startFlow();
    const extproc = now.lflag & EXTPROC;
    if (extproc !== (old.lflag & EXTPROC) || standardFlow(old) !== standardFlow(now)) {
      this.driver.packetEvent(this, standardFlow(now) ? TIOCPKT_DOSTOP : TIOCPKT_NOSTOP);
    }
    this.driver.settingsChanged(this);
    if (this.inputReady) this.pollSet.wake(POLLIN | POLLRDNORM);
  }

  /** New window size; the foreground group hears of a change. */
  resize(size: WindowSize): void {
    if (sameSize(size, this.size)) return;
    this.size = size;
    this.signalForeground(SIGWINCH);
  }

  // Jobs

  signalForeground(signo: number): void {
    const group = this.foregroundGroup === 0 ? undefined : this.kernel.tasks.group(this.foregroundGroup);
    if (group !== undefined) sendToGroup(group, kernelSignal(signo));
  }

  interrupt(signo: number): void {
    this.signalForeground(signo);
    if ((this.termios.lflag & NOFLSH) !== 0) return;
    this.input.flush();
    this.flushOutput();
    this.driver.packetEvent(this, TIOCPKT_FLUSHREAD);
  }

  /** Becomes the controlling terminal of `session`; its leader's group `pgid` comes to the foreground. */
  becomeControlling(session: Session, pgid: number): void {
    session.terminal = this;
    this.session = session;
    this.foregroundGroup = pgid;
  }

  sessionEnded(): void {
    this.session = null;
    this.foregroundGroup = 0;
  }

  /** The line is gone: open files see the end of file and EIO, the session gets SIGHUP and SIGCONT. */
  hangup(): void {
    this.generation++;
    this.openCount = 0;
    this.exclusive = false;
    const session = this.session;
    const foreground = this.foregroundGroup;
    if (session !== null) {
      const leader = this.kernel.tasks.process(session.sid);
      session.terminal = null;
      this.sessionEnded();
      if (leader !== undefined) {
        sendToProcess(leader, kernelSignal(SIGHUP));
        sendToProcess(leader, kernelSignal(SIGCONT));
      }
      const group = foreground === 0 ? undefined : this.kernel.tasks.group(foreground);
      if (group !== undefined && group.pgid !== leader?.group.pgid) sendToGroup(group, kernelSignal(SIGHUP));
    }
    this.input.flush();
    this.output.ring.clear();
    this.flowStopped = false;
    this.flowSuspended = false;
    this.pollSet.wake(POLLHUP | POLLERR | POLLIN | POLLOUT);
  }

  fileOpened(): void {
    if (this.openCount++ === 0) this.driver.opened(this);
  }

  /** `generation`: of the file when it was opened. */
  fileClosed(generation: number): void {
    if (generation !== this.generation || --this.openCount > 0) return;
    this.exclusive = false;
    this.driver.closed(this);
  }
}

/** ^S and ^Q do what they do everywhere: a pty master in packet mode may handle them itself. */
function standardFlow(termios: Termios): boolean {
  return (termios.iflag & IXON) !== 0 && termios.cc[VSTOP] === 0x13 && termios.cc[VSTART] === 0x11;
}
