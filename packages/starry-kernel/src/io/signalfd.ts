/**
 * signalfd(2): pending blocked signals as records to read.
 *
 * Reads take signals of the task that reads, whoever made the descriptor. Woken through `Kernel.signalEvents`, which every queued
 * signal of the machine wakes: a signalfd looks at the reader's own queues then.
 */
import {
  EAGAIN,
  EINVAL,
  O_RDWR,
  POLLIN,
  SIGBUS,
  SIGCHLD,
  SIGFPE,
  SIGILL,
  SIGINFO_PID,
  SIGINFO_UID,
  SIGINFO_VALUE,
  SIGNALFD_SIZE,
  SIGNALFD_SSI_ADDR,
  SIGNALFD_SSI_BAND,
  SIGNALFD_SSI_CODE,
  SIGNALFD_SSI_ERRNO,
  SIGNALFD_SSI_FD,
  SIGNALFD_SSI_INT,
  SIGNALFD_SSI_OVERRUN,
  SIGNALFD_SSI_PID,
  SIGNALFD_SSI_PTR,
  SIGNALFD_SSI_SIGNO,
  SIGNALFD_SSI_STATUS,
  SIGNALFD_SSI_STIME,
  SIGNALFD_SSI_TID,
  SIGNALFD_SSI_UID,
  SIGNALFD_SSI_UTIME,
  SIGSEGV,
  SIGTRAP,
} from "linux-abi";
import type { Inode } from "vfs-inode";
import { OpenFile } from "../file.ts";
import type { IoBuffer } from "../io-buffer.ts";
import type { PollSet } from "../poll-set.ts";
import { recalculateAttention } from "../signal/send.ts";
import type { SignalInfo } from "../signal/siginfo.ts";
import { SI_SIGIO, SI_TIMER } from "../signal/siginfo.ts";
import type { Task } from "../task/task.ts";

const $record = new Uint8Array(SIGNALFD_SIZE);
const $view = new DataView($record.buffer);

export class SignalFile extends OpenFile {
  readonly #inode: Inode;
  // Signals it takes.
  #lo: number;
  #hi: number;

  /** `events`: the kernel's `signalEvents`. */
  constructor(inode: Inode, events: PollSet, lo: number, hi: number, flags: number) {
    super(O_RDWR | flags, events);
    this.#inode = inode;
    this.#lo = lo;
    this.#hi = hi;
  }

  override get inode(): Inode {
    return this.#inode;
  }

  override get anonymousName(): string {
    return "anon_inode:[signalfd]";
  }

  fdinfo(): string {
    const hex = (word: number): string => (word >>> 0).toString(16).padStart(8, "0");
    return `sigmask:\t${hex(this.#hi)}${hex(this.#lo)}\n`;
  }

  /** signalfd4(2) on an existing descriptor. */
  setMask(lo: number, hi: number): void {
    this.#lo = lo;
    this.#hi = hi;
    this.pollSet.wake(POLLIN);
  }

  #take(task: Task): SignalInfo | null {
    const own = task.pending.next(~this.#lo, ~this.#hi);
    if (own !== 0) return task.pending.take(own);
    const shared = task.process.pending;
    const signal = shared.next(~this.#lo, ~this.#hi);
    return signal === 0 ? null : shared.take(signal);
  }

  override read(task: Task, buffer: IoBuffer, _offset: number): number {
    if (buffer.remaining < SIGNALFD_SIZE) return -EINVAL;
    let done = 0;
    while (buffer.remaining >= SIGNALFD_SIZE) {
      const info = this.#take(task);
      if (info === null) break;
      fillRecord(info);
      if (buffer.put($record, 0, SIGNALFD_SIZE) < SIGNALFD_SIZE) break;
      done += SIGNALFD_SIZE;
    }
    if (done === 0) return buffer.faulted ? buffer.result(0) : -EAGAIN;
    recalculateAttention(task);
    return done;
  }

  override poll(task: Task): number {
    const pending = task.pending.next(~this.#lo, ~this.#hi) | task.process.pending.next(~this.#lo, ~this.#hi);
    return pending !== 0 ? POLLIN : 0;
  }
}

/** `struct signalfd_siginfo` from a siginfo, by kind as Linux does (fs/signalfd.c). */
function fillRecord(info: SignalInfo): void {
  $record.fill(0);
  $view.setUint32(SIGNALFD_SSI_SIGNO, info.signo, true);
  $view.setInt32(SIGNALFD_SSI_ERRNO, info.errno, true);
  $view.setInt32(SIGNALFD_SSI_CODE, info.code, true);
  if (info.code === SI_TIMER) {
    $view.setUint32(SIGNALFD_SSI_TID, info.timerId, true);
    $view.setUint32(SIGNALFD_SSI_OVERRUN, info.overrun, true);
    putValue(info);
  } else if (info.code === SI_SIGIO) {
    $view.setUint32(SIGNALFD_SSI_BAND, info.band, true);
    $view.setInt32(SIGNALFD_SSI_FD, info.fd, true);
  } else if (isFault(info)) {
    $view.setUint32(SIGNALFD_SSI_ADDR, info.addr % 2 ** 32, true);
    $view.setUint32(SIGNALFD_SSI_ADDR + 4, Math.floor(info.addr / 2 ** 32), true);
  } else if (info.raw !== null) {
    // rt_sigqueueinfo: the sender filled the structure.
    const raw = new DataView(info.raw.buffer, info.raw.byteOffset, info.raw.byteLength);
    $view.setUint32(SIGNALFD_SSI_PID, raw.getUint32(SIGINFO_PID, true), true);
    $view.setUint32(SIGNALFD_SSI_UID, raw.getUint32(SIGINFO_UID, true), true);
    $view.setInt32(SIGNALFD_SSI_INT, raw.getInt32(SIGINFO_VALUE, true), true);
    $view.setInt32(SIGNALFD_SSI_PTR, raw.getInt32(SIGINFO_VALUE, true), true);
    $view.setInt32(SIGNALFD_SSI_PTR + 4, raw.getInt32(SIGINFO_VALUE + 4, true), true);
  } else {
    $view.setUint32(SIGNALFD_SSI_PID, info.pid, true);
    $view.setUint32(SIGNALFD_SSI_UID, info.uid, true);
    if (info.signo === SIGCHLD && info.code > 0) {
      $view.setInt32(SIGNALFD_SSI_STATUS, info.status, true);
      $view.setUint32(SIGNALFD_SSI_UTIME, info.utime, true);
      $view.setUint32(SIGNALFD_SSI_STIME, info.stime, true);
    } else if (info.code < 0) putValue(info);
  }
}

function isFault(info: SignalInfo): boolean {
  const signo = info.signo;
  return (
    info.code > 0 &&
    (signo === SIGSEGV || signo === SIGBUS || signo === SIGILL || signo === SIGFPE || signo === SIGTRAP)
  );
}

function putValue(info: SignalInfo): void {
  $view.setInt32(SIGNALFD_SSI_INT, info.valueLo, true);
  $view.setInt32(SIGNALFD_SSI_PTR, info.valueLo, true);
  $view.setInt32(SIGNALFD_SSI_PTR + 4, info.valueHi, true);
}
