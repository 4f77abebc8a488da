/**
 * Signal frames on a program's stack, in the layout of Linux on riscv64 (arch/riscv/kernel/signal.c, asm/ucontext.h):
 *
 *   sp → siginfo_t (128) · ucontext (flags, link, stack, sigmask, pc, x1..x31, f0..f31, fcsr, extension end mark)
 *
 * The handler starts with a0 = signal, a1 = &siginfo, a2 = &ucontext and ra = the trampoline in the vDSO page, which calls
 * rt_sigreturn with sp at the frame again.
 */
import {
  SA_ONSTACK,
  SIGCHLD,
  SIGINFO_ADDR,
  SIGINFO_BAND,
  SIGINFO_CODE,
  SIGINFO_ERRNO,
  SIGINFO_FD,
  SIGINFO_OVERRUN,
  SIGINFO_PID,
  SIGINFO_SIGNO,
  SIGINFO_SIZE,
  SIGINFO_STATUS,
  SIGINFO_STIME,
  SIGINFO_TIMERID,
  SIGINFO_UID,
  SIGINFO_UTIME,
  SIGINFO_VALUE,
  SIGBUS,
  SIGFPE,
  SIGILL,
  SIGIO,
  SIGSEGV,
  SIGTRAP,
  SS_AUTODISARM,
  SS_DISABLE,
  SS_ONSTACK,
  STACK_T_FLAGS,
  STACK_T_SP,
  STACK_T_SS_SIZE,
  UCONTEXT_FCSR,
  UCONTEXT_FPREGS,
  UCONTEXT_MCONTEXT,
  UCONTEXT_SIGMASK,
  UCONTEXT_SIZE,
  UCONTEXT_STACK,
} from "linux-abi";
import type { Task } from "../task/task.ts";
import type { UserMemory } from "../user-memory.ts";
import type { SignalAction } from "./handlers.ts";
import { SI_KERNEL, SI_TIMER, SI_USER, type SignalInfo } from "./siginfo.ts";

const FRAME_SIZE = SIGINFO_SIZE + UCONTEXT_SIZE;
const UC = SIGINFO_SIZE;
/** Reserved word and extension header (magic 0 = end) behind fcsr: zero in frames we make. */
const UCONTEXT_RESERVED = UCONTEXT_FPREGS + 129 * 4;

const REG_RA = 1;
const REG_SP = 2;
const REG_A0 = 10;

const FAULT_SIGNALS = [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP];

/** Writes siginfo_t at `at` of the kernel's scratch area (128 bytes, zeroed by the caller). */
export function putSiginfo(view: DataView, bytes: Uint8Array, at: number, info: SignalInfo): void {
  if (info.raw !== null) {
    bytes.set(info.raw, at);
    return;
  }
  const { signo, code } = info;
  view.setInt32(at + SIGINFO_SIGNO, signo, true);
  view.setInt32(at + SIGINFO_ERRNO, info.errno, true);
  view.setInt32(at + SIGINFO_CODE, code, true);
  if (code > SI_USER && code < SI_KERNEL && FAULT_SIGNALS.includes(signo)) putI64(view, at + SIGINFO_ADDR, info.addr);
  else if (code === SI_TIMER) {
    view.setInt32(at + SIGINFO_TIMERID, info.timerId, true);
    view.setInt32(at + SIGINFO_OVERRUN, info.overrun, true);
    putValue(view, at, info);
  } else if (signo === SIGCHLD && code > SI_USER) {
    view.setInt32(at + SIGINFO_PID, info.pid, true);
    view.setInt32(at + SIGINFO_UID, info.uid, true);
    view.setInt32(at + SIGINFO_STATUS, info.status, true);
    putI64(view, at + SIGINFO_UTIME, info.utime);
    putI64(view, at + SIGINFO_STIME, info.stime);
  } else if (signo === SIGIO && code > SI_USER) {
    putI64(view, at + SIGINFO_BAND, info.band);
    view.setInt32(at + SIGINFO_FD, info.fd, true);
  } else {
    view.setInt32(at + SIGINFO_PID, info.pid, true);
    view.setInt32(at + SIGINFO_UID, info.uid, true);
    putValue(view, at, info);
  }
}

function putValue(view: DataView, at: number, info: SignalInfo): void {
  view.setInt32(at + SIGINFO_VALUE, info.valueLo, true);
  view.setInt32(at + SIGINFO_VALUE + 4, info.valueHi, true);
}

function putI64(view: DataView, at: number, value: number): void {
  view.setInt32(at, value, true);
  view.setInt32(at + 4, Math.floor(value / 4294967296), true);
}

export function getU64(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 4294967296 + view.getUint32(at, true);
}

/** siginfo_t into a program's memory. 0 or -EFAULT. */
export function writeSiginfo(memory: UserMemory, va: number, info: SignalInfo): number {
  memory.scratchBytes.fill(0, 0, SIGINFO_SIZE);
  putSiginfo(memory.scratch, memory.scratchBytes, 0, info);
  return memory.store(va, SIGINFO_SIZE);
}

/** SS_ONSTACK, SS_DISABLE or 0 for a stack pointer (sigaltstack(2)). */
export function altStackState(task: Task, sp: number): number {
  if (task.altStackSize === 0) return SS_DISABLE;
  if ((task.altStackFlags & SS_AUTODISARM) !== 0) return 0;
  return onAltStack(task, sp) ? SS_ONSTACK : 0;
}

export function onAltStack(task: Task, sp: number): boolean {
  return sp > task.altStackBase && sp - task.altStackBase <= task.altStackSize;
}

/**
 * Makes the running task enter the handler of `info`. false if the frame cannot be written: the stack is bad.
 * `maskLo`, `maskHi`: the mask that the handler's return restores.
 */
export function enterHandler(
  task: Task,
  info: SignalInfo,
  action: SignalAction,
  maskLo: number,
  maskHi: number,
): boolean {
  const { cpu } = task.kernel.platform;
  const memory = task.memory;
  const x = cpu.x;
  const oldSp = (x[2 * REG_SP + 1] >>> 0) * 4294967296 + (x[2 * REG_SP] >>> 0);
  let top = oldSp;
  if (onAltStack(task, oldSp)) {
    // Already there: the frame must still fit, or the alternate stack has overflowed.
    if (!onAltStack(task, oldSp - FRAME_SIZE)) return false;
  } else if ((action.flags & SA_ONSTACK) !== 0 && altStackState(task, oldSp) === 0) {
    top = task.altStackBase + task.altStackSize;
  }
  const sp = Math.floor((top - FRAME_SIZE) / 16) * 16;
  if (!(sp > 0)) return false;

  const { scratch: view, scratchBytes: bytes } = memory;
  bytes.fill(0, 0, FRAME_SIZE);
  putSiginfo(view, bytes, 0, info);
  putI64(view, UC + UCONTEXT_STACK + STACK_T_SP, task.altStackBase);
  view.setInt32(
    UC + UCONTEXT_STACK + STACK_T_FLAGS,
    altStackState(task, oldSp) | (task.altStackFlags & SS_AUTODISARM),
    true,
  );
  putI64(view, UC + UCONTEXT_STACK + STACK_T_SS_SIZE, task.altStackSize);
  view.setInt32(UC + UCONTEXT_SIGMASK, maskLo, true);
  view.setInt32(UC + UCONTEXT_SIGMASK + 4, maskHi, true);
  putI64(view, UC + UCONTEXT_MCONTEXT, cpu.pc);
  for (let i = 2; i < 64; i++) view.setInt32(UC + UCONTEXT_MCONTEXT + 4 * i, x[i] as number, true);
  const f = cpu.f;
  for (let i = 0; i < 64; i++) view.setInt32(UC + UCONTEXT_FPREGS + 4 * i, f[i] as number, true);
  view.setInt32(UC + UCONTEXT_FCSR, cpu.fcsr, true);
  if (memory.store(sp, FRAME_SIZE) !== 0) return false;

  if ((task.altStackFlags & SS_AUTODISARM) !== 0) {
    task.altStackBase = 0;
    task.altStackSize = 0;
    task.altStackFlags = SS_DISABLE;
  }
  setRegister(x, REG_RA, memory.signalReturn);
  setRegister(x, REG_SP, sp);
  setRegister(x, REG_A0, info.signo);
  setRegister(x, REG_A0 + 1, sp);
  setRegister(x, REG_A0 + 2, sp + UC);
  cpu.pc = action.handler;
  return true;
}

export function setRegister(x: Int32Array, register: number, value: number): void {
  x[2 * register] = value | 0;
  x[2 * register + 1] = Math.floor(value / 4294967296) | 0;
}

/** What the frame at sp says about mask and alternate stack; filled by `leaveHandler`. */
export interface ReturnedContext {
  maskLo: number;
  maskHi: number;
  stackBase: number;
  stackSize: number;
  stackFlags: number;
}

/** rt_sigreturn: registers come back from the frame at sp. undefined if it is unreadable or malformed. */
export function leaveHandler(task: Task): ReturnedContext | undefined {
  const { cpu } = task.kernel.platform;
  const memory = task.memory;
  const x = cpu.x;
  const sp = (x[2 * REG_SP + 1] >>> 0) * 4294967296 + (x[2 * REG_SP] >>> 0);
  if (memory.load(sp, FRAME_SIZE) !== 0) return undefined;
  const view = memory.scratch;
  for (let i = 0; i < 12; i += 4) if (view.getInt32(UC + UCONTEXT_RESERVED + i, true) !== 0) return undefined;
  cpu.pc = getU64(view, UC + UCONTEXT_MCONTEXT);
  for (let i = 2; i < 64; i++) x[i] = view.getInt32(UC + UCONTEXT_MCONTEXT + 4 * i, true);
  const f = cpu.f;
  for (let i = 0; i < 64; i++) f[i] = view.getInt32(UC + UCONTEXT_FPREGS + 4 * i, true);
  cpu.fcsr = view.getInt32(UC + UCONTEXT_FCSR, true) & 0xff;
  return {
    maskLo: view.getInt32(UC + UCONTEXT_SIGMASK, true),
    maskHi: view.getInt32(UC + UCONTEXT_SIGMASK + 4, true),
    stackBase: getU64(view, UC + UCONTEXT_STACK + STACK_T_SP),
    stackSize: getU64(view, UC + UCONTEXT_STACK + STACK_T_SS_SIZE),
    stackFlags: view.getInt32(UC + UCONTEXT_STACK + STACK_T_FLAGS, true),
  };
}
