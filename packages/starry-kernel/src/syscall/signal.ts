/**
 * Signal system calls.
 */
import {
  EAGAIN,
  EBADF,
  EFAULT,
  EINTR,
  EINVAL,
  ENOMEM,
  EPERM,
  ESRCH,
  NSIG,
  O_NONBLOCK,
  O_RDWR,
  RLIMIT_NOFILE,
  SA_UNSUPPORTED,
  SI_TKILL,
  SIG_BLOCK,
  SIG_DFL,
  SIG_IGN,
  SIG_SETMASK,
  SIG_UNBLOCK,
  SIGACTION_FLAGS,
  SIGACTION_HANDLER,
  SIGACTION_MASK,
  SIGACTION_SIZE,
  SIGINFO_CODE,
  SIGINFO_PID,
  SIGINFO_SIGNO,
  SIGINFO_SIZE,
  SIGINFO_UID,
  SIGKILL,
  SIGSEGV,
  SIGSTOP,
  SS_AUTODISARM,
  SS_DISABLE,
  SS_ONSTACK,
  STACK_T_FLAGS,
  STACK_T_SIZE,
  STACK_T_SP,
  STACK_T_SS_SIZE,
  SYS_kill,
  SYS_pidfd_open,
  SYS_pidfd_send_signal,
  SYS_restart_syscall,
  SYS_rt_sigaction,
  SYS_rt_sigpending,
  SYS_rt_sigprocmask,
  SYS_rt_sigqueueinfo,
  SYS_rt_sigreturn,
  SYS_rt_sigsuspend,
  SYS_rt_sigtimedwait,
  SYS_rt_tgsigqueueinfo,
  SYS_sigaltstack,
  SYS_tgkill,
  SYS_tkill,
} from "linux-abi";
import { ACT_IGNORE, defaultAction } from "../signal/default-actions.ts";
import { forceSignal } from "../signal/deliver.ts";
import { altStackState, getU64, leaveHandler, onAltStack, writeSiginfo } from "../signal/frame.ts";
import {
  discardEverywhere,
  mayKill,
  recalculateAttention,
  sendToProcess,
  sendToTask,
  setBlocked,
} from "../signal/send.ts";
import { kernelSignal, SI_USER, type SignalInfo, signalInfo } from "../signal/siginfo.ts";
import { $sigset, loadSigset, storeSigset, UNBLOCKABLE_LO } from "../signal/sigset.ts";
import type { OpenFile } from "../file.ts";
import { processOfDirectory } from "../fs/proc/task-dir.ts";
import { PidFile } from "../task/pidfd.ts";
import type { Process } from "../task/process.ts";
import type { Task } from "../task/task.ts";
import { ERESTARTNOHAND, NO_DEADLINE, Wait, WAKE_SIGNAL, WAKE_TIMEOUT } from "../wait.ts";
import { NO_RESULT } from "./result.ts";
import { full, row, type SyscallRow } from "./row.ts";
import { readTimespecNs } from "./timespec.ts";

const SIGSET_BYTES = 8;
const MINSIGSTKSZ = 2048;
const REG_SP = 2;

function isSignal(signal: number): boolean {
  return signal >= 1 && signal <= NSIG;
}

/** rt_sigaction(2) */
function sys_rt_sigaction(task: Task, signal: number, newAddress: number, oldAddress: number, size: number): number {
  if (size !== SIGSET_BYTES || !isSignal(signal)) return -EINVAL;
  const old = task.handlers.get(signal);
  const { memory } = task;
  if (newAddress !== 0) {
    if (signal === SIGKILL || signal === SIGSTOP) return -EINVAL;
    if (memory.load(newAddress, SIGACTION_SIZE) !== 0) return -EFAULT;
    const { scratch } = memory;
    const handler = getU64(scratch, SIGACTION_HANDLER);
    task.handlers.set(signal, {
      handler,
      flags: scratch.getInt32(SIGACTION_FLAGS, true) & ~SA_UNSUPPORTED,
      maskLo: scratch.getInt32(SIGACTION_MASK, true) & ~UNBLOCKABLE_LO,
      maskHi: scratch.getInt32(SIGACTION_MASK + 4, true),
    });
    // A pending signal that is now ignored is thrown away (POSIX).
    if (handler === SIG_IGN || (handler === SIG_DFL && defaultAction(signal) === ACT_IGNORE)) {
      discardEverywhere(task.process, signal);
    }
  }
  if (oldAddress === 0) return 0;
  const { scratch, scratchBytes } = memory;
  scratchBytes.fill(0, 0, SIGACTION_SIZE);
  scratch.setInt32(SIGACTION_HANDLER, old.handler, true);
  scratch.setInt32(SIGACTION_HANDLER + 4, Math.floor(old.handler / 4294967296), true);
  scratch.setInt32(SIGACTION_FLAGS, old.flags, true);
  scratch.setInt32(SIGACTION_MASK, old.maskLo, true);
  scratch.setInt32(SIGACTION_MASK + 4, old.maskHi, true);
  return memory.store(oldAddress, SIGACTION_SIZE);
}

/** rt_sigprocmask(2) */
function sys_rt_sigprocmask(task: Task, how: number, newAddress: number, oldAddress: number, size: number): number {
  if (size !== SIGSET_BYTES) return -EINVAL;
  const { blockedLo, blockedHi } = task;
  if (newAddress !== 0) {
    if (loadSigset(task.memory, newAddress) !== 0) return -EFAULT;
    const lo = $sigset.lo & ~UNBLOCKABLE_LO;
    const { hi } = $sigset;
    if (how === SIG_BLOCK) setBlocked(task, blockedLo | lo, blockedHi | hi);
    else if (how === SIG_UNBLOCK) setBlocked(task, blockedLo & ~lo, blockedHi & ~hi);
    else if (how === SIG_SETMASK) setBlocked(task, lo, hi);
    else return -EINVAL;
  }
  return oldAddress === 0 ? 0 : storeSigset(task.memory, oldAddress, blockedLo, blockedHi);
}

/** rt_sigpending(2) */
function sys_rt_sigpending(task: Task, address: number, size: number): number {
  if (size > SIGSET_BYTES) return -EINVAL;
  const lo = (task.pending.lo | task.process.pending.lo) & task.blockedLo;
  const hi = (task.pending.hi | task.process.pending.hi) & task.blockedHi;
  return storeSigset(task.memory, address, lo, hi);
}

/** The mask of a call that waits with another one (sigsuspend, ppoll ...): in force until a handler has run or the call is over. */
export function useTemporaryMask(task: Task, lo: number, hi: number): void {
  task.savedMaskLo = task.blockedLo;
  task.savedMaskHi = task.blockedHi;
  setBlocked(task, lo & ~UNBLOCKABLE_LO, hi);
  task.restoreMask = true;
}

/** The call has ended without a signal: the mask of before. */
export function dropTemporaryMask(task: Task): void {
  if (!task.restoreMask) return;
  task.restoreMask = false;
  setBlocked(task, task.savedMaskLo, task.savedMaskHi);
}

/** rt_sigsuspend(2) */
function sys_rt_sigsuspend(task: Task, address: number, size: number): number | Wait {
  if (size !== SIGSET_BYTES) return -EINVAL;
  if (loadSigset(task.memory, address) !== 0) return -EFAULT;
  useTemporaryMask(task, $sigset.lo, $sigset.hi);
  return new Wait("sigsuspend", null, () => -ERESTARTNOHAND);
}

/** rt_sigtimedwait(2): takes a pending signal of a set, waiting for it if need be. */
function sys_rt_sigtimedwait(
  task: Task,
  setAddress: number,
  infoAddress: number,
  timeoutAddress: number,
  size: number,
): number | Wait {
  if (size !== SIGSET_BYTES) return -EINVAL;
  if (loadSigset(task.memory, setAddress) !== 0) return -EFAULT;
  const lo = $sigset.lo & ~UNBLOCKABLE_LO;
  const { hi } = $sigset;
  let deadline = NO_DEADLINE;
  if (timeoutAddress !== 0) {
    const timeout = readTimespecNs(task.memory, timeoutAddress);
    if (timeout < 0) return timeout;
    deadline = task.kernel.clock.monotonicNs() + timeout;
  }
  const taken = takeFrom(task, lo, hi, infoAddress);
  if (taken !== 0) return taken;
  if (deadline <= task.kernel.clock.monotonicNs()) return -EAGAIN;
  task.awaitedLo = lo;
  task.awaitedHi = hi;
  return new Wait(
    "sigtimedwait",
    null,
    (self, reason) => {
      const result = takeFrom(self, lo, hi, infoAddress);
      self.awaitedLo = 0;
      self.awaitedHi = 0;
      recalculateAttention(self);
      if (result !== 0) return result;
      return reason === WAKE_TIMEOUT ? -EAGAIN : reason === WAKE_SIGNAL ? -EINTR : -EAGAIN;
    },
    deadline,
  );
}

/** Takes a pending signal of the set and writes its info: the signal, 0 if none, -EFAULT. */
function takeFrom(task: Task, lo: number, hi: number, infoAddress: number): number {
  let signal = task.pending.next(~lo, ~hi);
  let queue = task.pending;
  if (signal === 0) {
    queue = task.process.pending;
    signal = queue.next(~lo, ~hi);
  }
  if (signal === 0) return 0;
  const info = queue.take(signal);
  if (infoAddress !== 0 && writeSiginfo(task.memory, infoAddress, info) !== 0) return -EFAULT;
  return signal;
}

/** rt_sigreturn(2): not called by programs but by the trampoline that handlers return to. */
function sys_rt_sigreturn(task: Task): number {
  const context = leaveHandler(task);
  if (context === undefined) {
    forceSignal(task, kernelSignal(SIGSEGV));
    return NO_RESULT;
  }
  const { stackBase, stackSize, stackFlags } = context;
  setAltStack(task, stackBase, stackSize, stackFlags);
  setBlocked(task, context.maskLo & ~UNBLOCKABLE_LO, context.maskHi);
  return NO_RESULT;
}

/** Fails silently while the task runs on the stack, as sigreturn does. */
function setAltStack(task: Task, base: number, size: number, flags: number): number {
  const { x } = task.kernel.cpu;
  const sp = (x[2 * REG_SP + 1] >>> 0) * 4294967296 + (x[2 * REG_SP] >>> 0);
  if (altStackState(task, sp) === SS_ONSTACK) return -EPERM;
  const mode = flags & ~SS_AUTODISARM;
  if (mode !== SS_DISABLE && mode !== SS_ONSTACK && mode !== 0) return -EINVAL;
  if (mode === SS_DISABLE) {
    task.altStackBase = 0;
    task.altStackSize = 0;
    task.altStackFlags = flags;
    return 0;
  }
  if (size < MINSIGSTKSZ) return -ENOMEM;
  task.altStackBase = base;
  task.altStackSize = size;
  task.altStackFlags = flags;
  return 0;
}

/** sigaltstack(2) */
function sys_sigaltstack(task: Task, newAddress: number, oldAddress: number): number {
  const { memory } = task;
  const { x } = task.kernel.cpu;
  const sp = (x[2 * REG_SP + 1] >>> 0) * 4294967296 + (x[2 * REG_SP] >>> 0);
  const { altStackBase, altStackSize, altStackFlags } = task;
  const state =
    (altStackSize === 0 ? SS_DISABLE : onAltStack(task, sp) ? SS_ONSTACK : 0) | (altStackFlags & SS_AUTODISARM);
  if (newAddress !== 0) {
    if (memory.load(newAddress, STACK_T_SIZE) !== 0) return -EFAULT;
    const { scratch } = memory;
    const flags = scratch.getInt32(STACK_T_FLAGS, true);
    const error = setAltStack(task, getU64(scratch, STACK_T_SP), getU64(scratch, STACK_T_SS_SIZE), flags);
    if (error !== 0) return error;
  }
  if (oldAddress === 0) return 0;
  const { scratch, scratchBytes } = memory;
  scratchBytes.fill(0, 0, STACK_T_SIZE);
  scratch.setInt32(STACK_T_SP, altStackBase, true);
  scratch.setInt32(STACK_T_SP + 4, Math.floor(altStackBase / 4294967296), true);
  scratch.setInt32(STACK_T_FLAGS, state, true);
  scratch.setInt32(STACK_T_SS_SIZE, altStackSize, true);
  scratch.setInt32(STACK_T_SS_SIZE + 4, Math.floor(altStackSize / 4294967296), true);
  return memory.store(oldAddress, STACK_T_SIZE);
}

function senderInfo(task: Task, signal: number, code: number): SignalInfo {
  return signalInfo(signal, code, { pid: task.process.pid, uid: task.cred.uid });
}

function killProcess(task: Task, target: Process, info: SignalInfo, signal: number): number {
  const error = mayKill(task, target, signal);
  if (error !== 0) return error;
  return signal === 0 ? 0 : sendToProcess(target, info);
}

/** kill(2) */
function sys_kill(task: Task, pid: number, signal: number): number {
  if (signal < 0 || signal > NSIG) return -EINVAL;
  const info = senderInfo(task, signal, SI_USER);
  const { tasks } = task.kernel;
  if (pid > 0) {
    const target = tasks.process(pid) ?? tasks.task(pid)?.process;
    return target === undefined ? -ESRCH : killProcess(task, target, info, signal);
  }
  if (pid === -1)
    return killMany(
      task,
      [...tasks.processes()].filter((p) => p.pid !== 1 && p !== task.process),
      info,
      signal,
    );
  const group = pid === 0 ? task.process.group : tasks.group(-pid);
  return group === undefined ? -ESRCH : killMany(task, [...group.members], info, signal);
}

/** Success if one of the targets could be signalled. */
function killMany(task: Task, targets: readonly Process[], info: SignalInfo, signal: number): number {
  let result = -ESRCH;
  for (const target of targets) {
    const error = killProcess(task, target, info, signal);
    if (error === 0) result = 0;
    else if (result !== 0) result = error;
  }
  return result;
}

/** tkill(2) */
function sys_tkill(task: Task, tid: number, signal: number): number {
  return tid <= 0 ? -EINVAL : killThread(task, -1, tid, senderInfo(task, signal, SI_TKILL), signal);
}

/** tgkill(2) */
function sys_tgkill(task: Task, tgid: number, tid: number, signal: number): number {
  return tgid <= 0 || tid <= 0 ? -EINVAL : killThread(task, tgid, tid, senderInfo(task, signal, SI_TKILL), signal);
}

function killThread(task: Task, tgid: number, tid: number, info: SignalInfo, signal: number): number {
  if (signal < 0 || signal > NSIG) return -EINVAL;
  const target = task.kernel.tasks.task(tid);
  if (target === undefined || (tgid !== -1 && target.process.pid !== tgid)) return -ESRCH;
  const error = mayKill(task, target.process, signal);
  if (error !== 0 || signal === 0) return error;
  return sendToTask(target, info);
}

/** siginfo_t from a program: kept as it is, because it may hold anything. */
function readSiginfo(task: Task, address: number, signal: number): SignalInfo | number {
  if (task.memory.load(address, SIGINFO_SIZE) !== 0) return -EFAULT;
  const { scratch } = task.memory;
  scratch.setInt32(SIGINFO_SIGNO, signal, true);
  return signalInfo(signal, scratch.getInt32(SIGINFO_CODE, true), {
    pid: scratch.getInt32(SIGINFO_PID, true),
    uid: scratch.getInt32(SIGINFO_UID, true),
    raw: task.memory.scratchBytes.slice(0, SIGINFO_SIZE),
  });
}

/** Only the kernel may claim to be the kernel, and only a task itself to be its own tkill. */
function isForged(task: Task, info: SignalInfo, target: Process): boolean {
  return (info.code >= 0 || info.code === SI_TKILL) && target !== task.process;
}

/** rt_sigqueueinfo(2) */
function sys_rt_sigqueueinfo(task: Task, pid: number, signal: number, address: number): number {
  const info = readSiginfo(task, address, signal);
  if (typeof info === "number") return info;
  const target = task.kernel.tasks.process(pid);
  if (target === undefined) return -ESRCH;
  if (isForged(task, info, target)) return -EPERM;
  if (signal < 0 || signal > NSIG) return -EINVAL;
  return killProcess(task, target, info, signal);
}

/** rt_tgsigqueueinfo(2) */
function sys_rt_tgsigqueueinfo(task: Task, tgid: number, tid: number, signal: number, address: number): number {
  if (tgid <= 0 || tid <= 0) return -EINVAL;
  const info = readSiginfo(task, address, signal);
  if (typeof info === "number") return info;
  const target = task.kernel.tasks.task(tid);
  if (target === undefined) return -ESRCH;
  if (isForged(task, info, target.process)) return -EPERM;
  return killThread(task, tgid, tid, info, signal);
}

/** restart_syscall(2): what an interrupted sleep continues as. */
function sys_restart_syscall(task: Task): number | Wait {
  const { restart } = task;
  task.restart = null;
  return restart === null ? -EINTR : restart(task);
}

/** pidfd_open(2) */
function sys_pidfd_open(task: Task, pid: number, flags: number): number {
  if ((flags & ~O_NONBLOCK) !== 0 || pid <= 0) return -EINVAL;
  const process = task.kernel.tasks.process(pid);
  if (process === undefined) return task.kernel.tasks.task(pid) === undefined ? -ESRCH : -EINVAL;
  const file = new PidFile(process, O_RDWR | (flags & O_NONBLOCK));
  const fd = task.files.install(file, true, task.process.limits.soft[RLIMIT_NOFILE] as number);
  if (fd < 0) file.put();
  return fd;
}

/** pidfd_send_signal(2) */
function sys_pidfd_send_signal(task: Task, fd: number, signal: number, infoAddress: number, flags: number): number {
  if (flags !== 0) return -EINVAL;
  const file = task.files.get(fd);
  const process = file instanceof PidFile ? file.process : processOf(file);
  if (process === undefined) return -EBADF;
  if (signal < 0 || signal > NSIG) return -EINVAL;
  let info: SignalInfo | number = senderInfo(task, signal, SI_USER);
  if (infoAddress !== 0) {
    info = readSiginfo(task, infoAddress, signal);
    if (typeof info === "number") return info;
    if (isForged(task, info, process)) return -EPERM;
  }
  if (task.kernel.tasks.process(process.pid) !== process) return -ESRCH;
  return killProcess(task, process, info, signal);
}

/** A descriptor of /proc/PID stands for the process too. */
function processOf(file: OpenFile | undefined): Process | undefined {
  const inode = file?.inode ?? null;
  return inode === null ? undefined : processOfDirectory(inode);
}

export const SIGNAL_CALLS: readonly SyscallRow[] = [
  row(
    SYS_rt_sigaction,
    "rt_sigaction",
    "sig:signal act:sigaction oldact:out_sigaction size:size",
    full,
    sys_rt_sigaction,
  ),
  row(
    SYS_rt_sigprocmask,
    "rt_sigprocmask",
    "how:sigmask_how set:sigset oldset:out_sigset size:size",
    full,
    sys_rt_sigprocmask,
  ),
  row(SYS_rt_sigpending, "rt_sigpending", "set:out_sigset size:size", full, sys_rt_sigpending),
  row(SYS_rt_sigsuspend, "rt_sigsuspend", "set:sigset size:size", full, sys_rt_sigsuspend),
  row(
    SYS_rt_sigtimedwait,
    "rt_sigtimedwait",
    "set:sigset info:ptr timeout:timespec size:size",
    full,
    sys_rt_sigtimedwait,
  ),
  row(SYS_rt_sigreturn, "rt_sigreturn", "", full, sys_rt_sigreturn),
  row(SYS_sigaltstack, "sigaltstack", "ss:ptr oldss:ptr", full, sys_sigaltstack),
  row(SYS_kill, "kill", "pid:pid sig:signal", full, sys_kill),
  row(SYS_tkill, "tkill", "tid:pid sig:signal", full, sys_tkill),
  row(SYS_tgkill, "tgkill", "tgid:pid tid:pid sig:signal", full, sys_tgkill),
  row(SYS_rt_sigqueueinfo, "rt_sigqueueinfo", "tgid:pid sig:signal info:ptr", full, sys_rt_sigqueueinfo),
  row(SYS_rt_tgsigqueueinfo, "rt_tgsigqueueinfo", "tgid:pid tid:pid sig:signal info:ptr", full, sys_rt_tgsigqueueinfo),
  row(SYS_restart_syscall, "restart_syscall", "", full, sys_restart_syscall),
  row(SYS_pidfd_open, "pidfd_open", "pid:pid flags:flags", full, sys_pidfd_open),
  row(
    SYS_pidfd_send_signal,
    "pidfd_send_signal",
    "pidfd:fd sig:signal info:ptr flags:flags",
    full,
    sys_pidfd_send_signal,
  ),
];
