/**
 * timerfd(2): expirations of a timer as something to read.
 *
 * The kernel timer fires once and then rests until somebody reads or asks: the missed periods are computed from the time that has
 * passed, so a fast periodic timer that nobody reads costs nothing (as in Linux).
 *
 * A timer with an absolute wall clock time moves when that clock is set; with TFD_TIMER_CANCEL_ON_SET its reader is told
 * as well (ECANCELED).
 *
 * Woken: POLLIN by the timer, and by a set wall clock for TFD_TIMER_CANCEL_ON_SET.
 */
import { EAGAIN, ECANCELED, EINVAL, O_RDWR, POLLIN, TFD_TIMER_CANCEL_ON_SET } from "linux-abi";
import type { Inode } from "vfs-inode";
import { OpenFile } from "../file.ts";
import type { IoBuffer } from "../io-buffer.ts";
import type { Task } from "../task/task.ts";
import { Timer } from "../timer-queue.ts";
import { NO_DEADLINE } from "../wait.ts";

const BYTES = 8;
const TWO_32 = 2 ** 32;

const $word = new Uint8Array(BYTES);
const $wordView = new DataView($word.buffer);

/** What a timerfd needs from the kernel. */
export interface TimerHost {
  arm(timer: Timer, deadlineNs: number): void;
  disarm(timer: Timer): void;
  nowNs(): number;
  /** Called with the nanoseconds by which wall clock times have moved on the monotonic clock. */
  readonly whenClockSet: Set<(shiftNs: number) => void>;
}

export class TimerFile extends OpenFile {
  readonly #inode: Inode;
  readonly #host: TimerHost;
  readonly #timer: Timer;
  /** CLOCK_* given to timerfd_create. */
  readonly clock: number;
  /** TFD_TIMER_* of the last settime. */
  settimeFlags = 0;
  /** Next expiration on the monotonic clock, ns; NO_DEADLINE when disarmed. */
  #nextNs: number = NO_DEADLINE;
  /** Period in ns; 0: fires once. */
  #intervalNs = 0;
  #ticks = 0;
  // Fired, and not yet moved on to the next period.
  #expired = false;
  #cancelled = false;

  constructor(inode: Inode, host: TimerHost, clock: number, flags: number) {
    super(O_RDWR | flags);
    this.#inode = inode;
    this.#host = host;
    this.clock = clock;
    this.#timer = new Timer(() => this.#fire());
  }

  override get inode(): Inode {
    return this.#inode;
  }

  override get anonymousName(): string {
    return "anon_inode:[timerfd]";
  }

  fdinfo(): string {
    const [value, interval] = [this.remainingNs(), this.#intervalNs].map(
      (ns) => `(${Math.floor(ns / 1e9)}, ${Math.floor(ns % 1e9)})`,
    );
    return `clockid: ${this.clock}\nticks: ${this.#ticks}\nsettime flags: 0${this.settimeFlags.toString(8)}\nit_value: ${value}\nit_interval: ${interval}\n`;
  }

  #fire(): void {
    this.#ticks++;
    this.#expired = true;
    this.pollSet.wake(POLLIN);
  }

  /** Counts the periods that have passed since the timer fired, and arms it for the next. */
  #catchUp(): void {
    if (!this.#expired || this.#intervalNs === 0) return;
    const missed = Math.floor(Math.max(0, this.#host.nowNs() - this.#nextNs) / this.#intervalNs);
    this.#ticks += missed;
    this.#nextNs += (missed + 1) * this.#intervalNs;
    this.#expired = false;
    this.#host.arm(this.#timer, this.#nextNs);
  }

  /**
   * Starts the timer at the monotonic time `nextNs` (NO_DEADLINE: stops it). `intervalNs` 0: no repetition.
   * @param followsWallClock `nextNs` was given as a wall clock time
   */
  set(nextNs: number, intervalNs: number, flags: number, followsWallClock: boolean): void {
    this.#host.disarm(this.#timer);
    if (followsWallClock && nextNs !== NO_DEADLINE) this.#host.whenClockSet.add(this.#clockSet);
    else this.#host.whenClockSet.delete(this.#clockSet);
    this.settimeFlags = flags;
    this.#nextNs = nextNs;
    this.#intervalNs = intervalNs;
    this.#ticks = 0;
    this.#expired = false;
    this.#cancelled = false;
    this.#host.arm(this.#timer, nextNs);
  }

  get intervalNs(): number {
    return this.#intervalNs;
  }

  /** Until the next expiration; 0 when disarmed. */
  remainingNs(): number {
    this.#catchUp();
    if (this.#nextNs === NO_DEADLINE || this.#expired) return 0;
    return Math.max(1, this.#nextNs - this.#host.nowNs());
  }

  readonly #clockSet = (shiftNs: number): void => {
    this.#catchUp();
    if (!this.#expired) {
      this.#nextNs += shiftNs;
      this.#host.arm(this.#timer, this.#nextNs);
    }
    if ((this.settimeFlags & TFD_TIMER_CANCEL_ON_SET) === 0) return;
    this.#cancelled = true;
    this.pollSet.wake(POLLIN);
  };

  override read(_task: Task, buffer: IoBuffer, _offset: number): number {
    if (buffer.remaining < BYTES) return -EINVAL;
    if (this.#cancelled) {
      this.#cancelled = false;
      this.#ticks = 0;
      return -ECANCELED;
    }
    if (this.#ticks === 0) return -EAGAIN;
    this.#catchUp();
    $wordView.setUint32(0, this.#ticks % TWO_32, true);
    $wordView.setUint32(4, Math.floor(this.#ticks / TWO_32), true);
    this.#ticks = 0;
    return buffer.result(buffer.put($word, 0, BYTES));
  }

  override poll(_task: Task): number {
    return this.#ticks > 0 || this.#cancelled ? POLLIN : 0;
  }

  override release(): void {
    this.#host.whenClockSet.delete(this.#clockSet);
    this.#host.disarm(this.#timer);
  }
}
