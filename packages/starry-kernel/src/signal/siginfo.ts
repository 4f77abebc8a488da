/**
 * What came with a signal: Linux's `siginfo_t` as an object; signal/frame.ts writes it into a program's memory.
 */

/** si_code values that do not depend on the signal (asm-generic/siginfo.h). */
export const SI_USER = 0;
export const SI_KERNEL = 0x80;
export const SI_QUEUE = -1;
export const SI_TIMER = -2;
export const SI_MESGQ = -3;
export const SI_ASYNCIO = -4;
export const SI_SIGIO = -5;
export const SI_TKILL = -6;

export interface SignalInfo {
  readonly signo: number;
  readonly errno: number;
  readonly code: number;
  /** Sender or child (kill, SIGCHLD), else 0. */
  readonly pid: number;
  readonly uid: number;
  /** SIGCHLD: exit status or signal. */
  readonly status: number;
  /** SIGCHLD: clock ticks. */
  readonly utime: number;
  readonly stime: number;
  /** SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP: faulting address. */
  readonly addr: number;
  /** sigqueue, timers: sival as two words. */
  readonly valueLo: number;
  readonly valueHi: number;
  /** Timers: id and overruns; SIGIO: band and fd. */
  readonly timerId: number;
  readonly overrun: number;
  readonly band: number;
  readonly fd: number;
  /** rt_sigqueueinfo: the 128 bytes as given, written back unchanged. */
  readonly raw: Uint8Array | null;
}

const NOTHING: SignalInfo = {
  signo: 0,
  errno: 0,
  code: SI_USER,
  pid: 0,
  uid: 0,
  status: 0,
  utime: 0,
  stime: 0,
  addr: 0,
  valueLo: 0,
  valueHi: 0,
  timerId: 0,
  overrun: 0,
  band: 0,
  fd: 0,
  raw: null,
};

export function signalInfo(signo: number, code: number, fields: Partial<SignalInfo> = {}): SignalInfo {
  return { ...NOTHING, ...fields, signo, code };
}

/** A signal that the kernel itself sends (SIGPIPE, SIGHUP, ^C ...). */
export function kernelSignal(signo: number): SignalInfo {
  return signalInfo(signo, SI_KERNEL);
}
