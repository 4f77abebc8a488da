/**
 * A descriptor on a terminal.
 *
 * Reads that wait: canonical mode for a line, otherwise by VMIN and VTIME (termios(3)):
 *   MIN > 0, TIME = 0   until MIN bytes (or the count asked) are there
 *   MIN > 0, TIME > 0   until MIN bytes are there or TIME tenths have passed since the last byte; waits for the first
 *   MIN = 0, TIME > 0   TIME tenths at most for one byte
 *   MIN = 0, TIME = 0   not at all
 */
import {
  EAGAIN,
  EIO,
  ICANON,
  O_NONBLOCK,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLRDNORM,
  POLLWRNORM,
  SIGTTIN,
  TOSTOP,
  VMIN,
  VTIME,
} from "linux-abi";
import { OpenFile } from "../file.ts";
import type { IoBuffer } from "../io-buffer.ts";
import type { Task } from "../task/task.ts";
import type { Wait } from "../wait.ts";
import { checkChange, checkForeground } from "./job-control.ts";
import type { Tty } from "./tty.ts";
import { ttyIoctl } from "./tty-ioctl.ts";

const NS_PER_TENTH = 100_000_000;

export class TtyFile extends OpenFile {
  readonly tty: Tty;
  readonly #generation: number;
  // When the read in progress stops waiting for the next byte; 0 none.
  #betweenBytesNs = 0;

  constructor(tty: Tty, flags: number) {
    super(flags, tty.pollSet);
    this.tty = tty;
    this.#generation = tty.generation;
    tty.fileOpened();
  }

  get hungUp(): boolean {
    return this.#generation !== this.tty.generation;
  }

  override get completesWrites(): boolean {
    return true;
  }

  override read(task: Task, buffer: IoBuffer, _offset: number): number {
    const tty = this.tty;
    if (this.hungUp) return 0;
    const error = checkForeground(task, tty, SIGTTIN);
    if (error !== 0) return error;
    if (buffer.remaining === 0) return 0;
    if (!this.#mayRead(buffer.remaining)) return -EAGAIN;
    this.#betweenBytesNs = 0;
    const count = tty.input.read(buffer);
    tty.inputTaken();
    return buffer.result(count);
  }

  #mayRead(wanted: number): boolean {
    const { input, termios } = this.tty;
    if ((termios.lflag & ICANON) !== 0) return input.hasLine;
    const queued = input.queued;
    const min = termios.cc[VMIN] as number;
    const time = termios.cc[VTIME] as number;
    if (min === 0) return queued > 0 || time === 0;
    if (queued >= Math.min(min, wanted)) return true;
    if (queued === 0) return false;
    if ((this.flags & O_NONBLOCK) !== 0) return true;
    return time > 0 && this.#betweenBytesNs > 0 && this.tty.kernel.clock.monotonicNs() >= this.#betweenBytesNs;
  }

  override readDeadlineNs(task: Task, current: number): number {
    const { input, termios, lastInputNs } = this.tty;
    const time = (termios.cc[VTIME] as number) * NS_PER_TENTH;
    if ((termios.lflag & ICANON) !== 0 || time === 0) return current;
    const now = task.kernel.clock.monotonicNs();
    if ((termios.cc[VMIN] as number) === 0) return current === Number.POSITIVE_INFINITY ? now + time : current;
    if (input.queued === 0) return current;
    // The first byte may have been there before the read began: its time runs from then on.
    this.#betweenBytesNs = current === Number.POSITIVE_INFINITY ? now + time : Math.max(lastInputNs + time, now);
    return this.#betweenBytesNs;
  }

  override get readTimeoutResult(): number {
    return (this.tty.termios.lflag & ICANON) === 0 && this.tty.termios.cc[VMIN] === 0 ? 0 : -EAGAIN;
  }

  override write(task: Task, buffer: IoBuffer, _offset: number): number {
    const tty = this.tty;
    if (this.hungUp) return -EIO;
    if ((tty.termios.lflag & TOSTOP) !== 0) {
      const error = checkChange(task, tty);
      if (error !== 0) return error;
    }
    if (buffer.remaining === 0) return 0;
    if (tty.outputStopped) return -EAGAIN;
    const count = tty.output.write(buffer);
    tty.transmit();
    return count === 0 && !buffer.faulted ? -EAGAIN : buffer.result(count);
  }

  override poll(_task: Task): number {
    const tty = this.tty;
    if (this.hungUp) return POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLHUP | POLLERR;
    let events = tty.inputReady ? POLLIN | POLLRDNORM : 0;
    if (tty.output.writable && !tty.outputStopped) events |= POLLOUT | POLLWRNORM;
    return events;
  }

  override ioctl(task: Task, request: number, argument: number): number | Wait {
    return this.hungUp ? -EIO : ttyIoctl(task, this, this.tty, request, argument);
  }

  override release(): void {
    this.tty.fileClosed(this.#generation);
  }
}
