/**
 * ptrace(2).
 */
import {
  AUDIT_ARCH_RISCV64,
  EFAULT,
  EINVAL,
  EIO,
  ESRCH,
  NSIG,
  NT_PRFPREG,
  NT_PRSTATUS,
  PTRACE_ATTACH,
  PTRACE_CONT,
  PTRACE_DETACH,
  PTRACE_GET_SYSCALL_INFO,
  PTRACE_GETEVENTMSG,
  PTRACE_GETREGSET,
  PTRACE_GETSIGINFO,
  PTRACE_GETSIGMASK,
  PTRACE_INTERRUPT,
  PTRACE_KILL,
  PTRACE_LISTEN,
  PTRACE_O_MASK,
  PTRACE_PEEKDATA,
  PTRACE_PEEKTEXT,
  PTRACE_POKEDATA,
  PTRACE_POKETEXT,
  PTRACE_SEIZE,
  PTRACE_SETOPTIONS,
  PTRACE_SETREGSET,
  PTRACE_SETSIGINFO,
  PTRACE_SETSIGMASK,
  PTRACE_SYSCALL,
  PTRACE_SYSCALL_INFO_ENTRY,
  PTRACE_SYSCALL_INFO_EXIT,
  PTRACE_SYSCALL_INFO_NONE,
  PTRACE_TRACEME,
  SIGINFO_SIZE,
  SIGKILL,
  SYS_ptrace,
} from "linux-abi";
import { peekBytes, pokeBytes } from "../mm/forced-access.ts";
import { attach, traceMe } from "../ptrace/attach.ts";
import { FLOAT_BYTES, GENERAL_BYTES, putFloat, putGeneral, takeFloat, takeGeneral } from "../ptrace/registers.ts";
import {
  RESUME_FREELY,
  RESUME_TO_SYSCALL,
  STOP_GROUP,
  STOP_SYSCALL_ENTRY,
  STOP_SYSCALL_EXIT,
  type Tracing,
} from "../ptrace/state.ts";
import { endTracing, resumeTraced } from "../ptrace/stops.ts";
import { writeSiginfo } from "../signal/frame.ts";
import { recalculateAttention, sendToTask } from "../signal/send.ts";
import { SI_USER, signalInfo } from "../signal/siginfo.ts";
import { $sigset, loadSigset, storeSigset, UNBLOCKABLE_LO } from "../signal/sigset.ts";
import { type Task, TASK_STOPPED } from "../task/task.ts";
import { WAKE_SIGNAL } from "../wait.ts";
import { partial, row, type SyscallRow } from "./row.ts";

/** ptrace(2): the kernel's form stores what PEEK reads at `data`. */
function sys_ptrace(task: Task, request: number, pid: number, address: number, data: number): number {
  if (request === PTRACE_TRACEME) return traceMe(task);
  const target = task.kernel.tasks.task(pid);
  if (target === undefined) return -ESRCH;
  if (request === PTRACE_ATTACH) return attach(task, target, false, 0);
  if (request === PTRACE_SEIZE) {
    return address !== 0 || (data & ~PTRACE_O_MASK) !== 0 ? -EIO : attach(task, target, true, data);
  }
  const { tracing } = target;
  if (tracing === null || tracing.tracer.process !== task.process) return -ESRCH;
  if (request === PTRACE_KILL) {
    sendToTask(target, signalInfo(SIGKILL, SI_USER));
    return 0;
  }
  if (request === PTRACE_INTERRUPT) return interrupt(target, tracing);
  if (tracing.stop === 0 || tracing.listening) return -ESRCH;
  return onStopped(task, target, tracing, request, address, data);
}

function interrupt(target: Task, tracing: Tracing): number {
  if (!tracing.seized) return -EIO;
  if (tracing.stop !== 0 && !tracing.listening) return 0;
  tracing.interrupt = true;
  target.attention = true;
  if (tracing.listening) resumeTraced(target, tracing.resumed, 0);
  else target.kernel.scheduler.wake(target, WAKE_SIGNAL);
  return 0;
}

function onStopped(task: Task, target: Task, tracing: Tracing, request: number, address: number, data: number): number {
  switch (request) {
    case PTRACE_CONT:
    case PTRACE_SYSCALL:
      if (data > NSIG) return -EIO;
      resumeTraced(target, request === PTRACE_SYSCALL ? RESUME_TO_SYSCALL : RESUME_FREELY, data);
      return 0;
    case PTRACE_DETACH:
      if (data > NSIG) return -EIO;
      endTracing(target, data);
      return 0;
    case PTRACE_LISTEN:
      if (!tracing.seized || tracing.stop !== STOP_GROUP) return -EIO;
      tracing.listening = true;
      target.state = TASK_STOPPED;
      return 0;
    case PTRACE_PEEKTEXT:
    case PTRACE_PEEKDATA: {
      const word = new Uint8Array(8);
      if (peekBytes(target.memory, address, word) !== 0) return -EIO;
      return task.memory.copyOut(data, word, 0, 8);
    }
    case PTRACE_POKETEXT:
    case PTRACE_POKEDATA: {
      // All 64 bits count, and `data` is a double: take them from the register.
      const { x } = task.kernel.cpu;
      const word = new DataView(new ArrayBuffer(8));
      word.setInt32(0, x[REG_DATA] as number, true);
      word.setInt32(4, x[REG_DATA + 1] as number, true);
      return pokeBytes(target.memory, address, new Uint8Array(word.buffer));
    }
    case PTRACE_SETOPTIONS:
      if ((data & ~PTRACE_O_MASK) !== 0) return -EINVAL;
      tracing.options = data;
      return 0;
    case PTRACE_GETEVENTMSG:
      return task.memory.writeI64(data, tracing.eventMessage);
    case PTRACE_GETREGSET:
      return registerSet(task, target, address, data, false);
    case PTRACE_SETREGSET:
      return registerSet(task, target, address, data, true);
    case PTRACE_GET_SYSCALL_INFO:
      return syscallInfo(task, target, tracing, address, data);
    default:
      return signalRequest(task, target, tracing, request, address, data);
  }
}

/** Index in the register file of a3, ptrace's `data`. */
const REG_DATA = 26;

/** iovec at `data`: what fits is copied and its length updated. */
function registerSet(task: Task, target: Task, type: number, data: number, set: boolean): number {
  if (type !== NT_PRSTATUS && type !== NT_PRFPREG) return -EINVAL;
  const base = task.memory.readU64(data);
  const length = task.memory.readU64(data + 8);
  if (base < 0 || length < 0) return -EFAULT;
  if (length % 8 !== 0) return -EINVAL;
  const general = type === NT_PRSTATUS;
  const count = Math.min(length, general ? GENERAL_BYTES : FLOAT_BYTES);
  const { scratch, scratchBytes } = task.memory;
  (general ? putGeneral : putFloat)(target, scratch, 0);
  if (set) {
    const values = scratchBytes.slice(0, GENERAL_BYTES + FLOAT_BYTES);
    if (task.memory.copyIn(base, values, 0, count) !== 0) return -EFAULT;
    (general ? takeGeneral : takeFloat)(target, new DataView(values.buffer), 0);
  } else if (task.memory.store(base, count) !== 0) return -EFAULT;
  return task.memory.writeI64(data + 8, count);
}

const SYSCALL_INFO_HEADER = 24;
const SYSCALL_INFO_ENTRY_BYTES = 80;
const SYSCALL_INFO_EXIT_BYTES = 33;
const MAX_ERRNO = 4095;

/** struct ptrace_syscall_info; returns the bytes there are, whatever fits is stored. */
function syscallInfo(task: Task, target: Task, tracing: Tracing, size: number, address: number): number {
  const view = new DataView(new ArrayBuffer(SYSCALL_INFO_ENTRY_BYTES));
  const general = new DataView(new ArrayBuffer(GENERAL_BYTES));
  putGeneral(target, general, 0);
  const copy64 = (to: number, from: number): void => {
    view.setInt32(to, general.getInt32(from, true), true);
    view.setInt32(to + 4, general.getInt32(from + 4, true), true);
  };
  view.setUint32(4, AUDIT_ARCH_RISCV64, true);
  copy64(8, 0); // instruction pointer
  copy64(16, 8 * 2); // stack pointer
  let bytes = SYSCALL_INFO_HEADER;
  let op = PTRACE_SYSCALL_INFO_NONE;
  if (tracing.stop === STOP_SYSCALL_ENTRY) {
    op = PTRACE_SYSCALL_INFO_ENTRY;
    bytes = SYSCALL_INFO_ENTRY_BYTES;
    copy64(24, 8 * 17);
    for (let i = 0; i < 6; i++) copy64(32 + 8 * i, 8 * (10 + i));
  } else if (tracing.stop === STOP_SYSCALL_EXIT) {
    op = PTRACE_SYSCALL_INFO_EXIT;
    bytes = SYSCALL_INFO_EXIT_BYTES;
    view.setInt32(24, tracing.result, true);
    view.setInt32(28, Math.floor(tracing.result / 4294967296), true);
    view.setUint8(32, tracing.result < 0 && tracing.result >= -MAX_ERRNO ? 1 : 0);
  }
  view.setUint8(0, op);
  const stored = Math.min(size, bytes);
  return task.memory.copyOut(address, new Uint8Array(view.buffer), 0, stored) !== 0 ? -EFAULT : bytes;
}

function signalRequest(
  task: Task,
  target: Task,
  tracing: Tracing,
  request: number,
  address: number,
  data: number,
): number {
  switch (request) {
    case PTRACE_GETSIGINFO:
      return tracing.info === null ? -EINVAL : writeSiginfo(task.memory, data, tracing.info);
    case PTRACE_SETSIGINFO: {
      if (tracing.info === null) return -EINVAL;
      if (task.memory.load(data, SIGINFO_SIZE) !== 0) return -EFAULT;
      const raw = task.memory.scratchBytes.slice(0, SIGINFO_SIZE);
      const view = new DataView(raw.buffer);
      tracing.info = signalInfo(view.getInt32(0, true), view.getInt32(8, true), { raw });
      return 0;
    }
    case PTRACE_GETSIGMASK:
      if (address !== 8) return -EINVAL;
      return target.restoreMask
        ? storeSigset(task.memory, data, target.savedMaskLo, target.savedMaskHi)
        : storeSigset(task.memory, data, target.blockedLo, target.blockedHi);
    case PTRACE_SETSIGMASK:
      if (address !== 8) return -EINVAL;
      if (loadSigset(task.memory, data) !== 0) return -EFAULT;
      target.blockedLo = $sigset.lo & ~UNBLOCKABLE_LO;
      target.blockedHi = $sigset.hi;
      recalculateAttention(target);
      return 0;
    default:
      return -EIO;
  }
}

export const PTRACE_CALLS: readonly SyscallRow[] = [
  row(
    SYS_ptrace,
    "ptrace",
    "request:ptrace_request pid:pid addr:ptr data:ptr",
    partial("no single step (riscv has none), no PEEKSIGINFO, no seccomp"),
    sys_ptrace,
  ),
];
