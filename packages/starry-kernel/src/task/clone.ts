/**
 * clone(2), clone3(2), fork, vfork: a new task that shares or copies what the flags say.
 */
import {
  CLONE_CHILD_CLEARTID,
  CLONE_CHILD_SETTID,
  CLONE_DETACHED,
  CLONE_FILES,
  CLONE_FS,
  CLONE_NEWNS,
  CLONE_NEWUTS,
  CLONE_NEWIPC,
  CLONE_NEWUSER,
  CLONE_NEWPID,
  CLONE_NEWNET,
  CLONE_NEWCGROUP,
  CLONE_PARENT,
  CLONE_PARENT_SETTID,
  CLONE_PIDFD,
  CLONE_SETTLS,
  CLONE_SIGHAND,
  CLONE_THREAD,
  CLONE_VFORK,
  CLONE_VM,
  EAGAIN,
  EFAULT,
  EINVAL,
  ENOMEM,
  EPERM,
  O_CLOEXEC,
  O_RDWR,
  CAP_SYS_ADMIN,
  RLIMIT_NOFILE,
  RLIMIT_NPROC,
} from "linux-abi";
import { inheritTracing } from "../ptrace/attach.ts";
import { setRegister } from "../signal/frame.ts";
import { recalculateAttention } from "../signal/send.ts";
import { sliceOf } from "../sched/scheduler.ts";
import { Wait, WAKE_SIGNAL } from "../wait.ts";
import { dropExecutable, shareExecutable } from "./executable.ts";
import { PidFile } from "./pidfd.ts";
import { Process } from "./process.ts";
import { Task } from "./task.ts";

const REG_SP = 2;
const REG_TP = 4;
const REG_A0 = 10;

const NEW_NAMESPACES = CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP;

export interface CloneRequest {
  /** CLONE_*, low 32 bits as int32. */
  readonly flags: number;
  /** CLONE_CLEAR_SIGHAND (bit 32). */
  readonly clearHandlers: boolean;
  readonly exitSignal: number;
  /** New stack pointer, 0: the caller's. */
  readonly stack: number;
  readonly tls: number;
  readonly parentTid: number;
  readonly childTid: number;
  /** Where the pidfd goes. */
  readonly pidfd: number;
}

/** The child's id, or -errno, or the wait of vfork. The caller must be the running task. */
export function cloneTask(parent: Task, request: CloneRequest): number | Wait {
  const error = checkFlags(parent, request.flags);
  if (error !== 0) return error;
  const child = makeTask(parent, request);
  if (typeof child === "number") return child;
  const { kernel } = parent;
  const { flags } = request;
  const tidError = writeIds(parent, child, request);
  if (tidError !== 0) {
    undo(parent, child, flags);
    return tidError;
  }
  inheritTracing(parent, child, flags, request.exitSignal);
  const { trace, scheduler } = kernel;
  if (trace.processForkOn) trace.processFork(parent, child);
  if (trace.schedWakeupOn) trace.schedWakeup(child, true);
  child.slice = sliceOf(child);
  recalculateAttention(child);
  scheduler.enqueue(child);
  if ((flags & CLONE_VFORK) === 0) return child.tid;
  child.vforkParent = parent;
  parent.vforkDone = false;
  return waitForVfork(child.tid);
}

/** Not even a signal ends this wait, unless it kills. */
function waitForVfork(childTid: number): Wait {
  const wait: Wait = new Wait("vfork", null, (self, reason) => {
    if (self.vforkDone || (reason === WAKE_SIGNAL && self.process.exiting)) return childTid;
    return wait;
  });
  return wait;
}

function checkFlags(parent: Task, flags: number): number {
  const has = (bits: number): boolean => (flags & bits) !== 0;
  if (has(CLONE_THREAD) && !has(CLONE_SIGHAND)) return -EINVAL;
  if (has(CLONE_SIGHAND) && !has(CLONE_VM)) return -EINVAL;
  if (has(CLONE_FS) && has(CLONE_NEWNS)) return -EINVAL;
  if (has(CLONE_PIDFD) && has(CLONE_DETACHED)) return -EINVAL;
  if (has(CLONE_PARENT) && parent.process.pid === 1) return -EINVAL;
  if (has(NEW_NAMESPACES)) return -EINVAL; // as a kernel built without these namespaces
  if (has(CLONE_NEWNS) && !parent.cred.hasCapability(CAP_SYS_ADMIN)) return -EPERM;
  return 0;
}

function makeTask(parent: Task, request: CloneRequest): Task | number {
  const { kernel } = parent;
  const { flags } = request;
  const isThread = (flags & CLONE_THREAD) !== 0;
  if (!isThread && atProcessLimit(parent)) return -EAGAIN;
  const pid = kernel.tasks.allocatePid();
  if (pid < 0) return pid;
  const limits = isThread ? parent.process.limits : parent.process.limits.clone();
  const memory = (flags & CLONE_VM) !== 0 ? parent.memory.get() : parent.memory.fork(limits);
  if (memory === undefined) return -ENOMEM;
  const now = kernel.clock.monotonicNs();
  const process = isThread ? parent.process : newProcess(parent, pid, limits, request, now);
  const shared = {
    comm: parent.comm,
    cred: parent.cred,
    memory,
    files: parent.files,
    fs: parent.fs,
    handlers: parent.handlers,
  };
  if ((flags & CLONE_FILES) !== 0) shared.files.count++;
  else shared.files = parent.files.clone();
  if ((flags & CLONE_FS) !== 0) shared.fs.count++;
  else {
    shared.fs = parent.fs.clone();
    if ((flags & CLONE_NEWNS) !== 0) shared.fs.unshareMounts();
  }
  if ((flags & CLONE_SIGHAND) !== 0) shared.handlers.count++;
  else shared.handlers = parent.handlers.clone();
  if (request.clearHandlers) shared.handlers.resetForExec();
  const child = new Task(kernel, pid, process, shared, now);
  inherit(parent, child, flags);
  setRegisters(parent, child, request);
  process.threads.push(child);
  if (!isThread) process.leader = child;
  kernel.tasks.addTask(child);
  return child;
}

function atProcessLimit(parent: Task): boolean {
  const limit = parent.process.limits.soft[RLIMIT_NPROC] as number;
  if (limit === Number.POSITIVE_INFINITY || parent.cred.uid === 0) return false;
  let count = 0;
  for (const task of parent.kernel.tasks.tasks()) if (task.cred.uid === parent.cred.uid) count++;
  return count >= limit;
}

function newProcess(parent: Task, pid: number, limits: Process["limits"], request: CloneRequest, now: number): Process {
  const { kernel } = parent;
  const from = parent.process;
  const sibling = (request.flags & CLONE_PARENT) !== 0;
  const process = new Process(kernel, pid, limits, sibling ? from.exitSignal : request.exitSignal, now);
  process.parent = sibling ? from.parent : from;
  process.parent?.children.add(process);
  shareExecutable(from, process);
  process.dumpable = from.dumpable;
  process.oomScoreAdj = from.oomScoreAdj;
  process.timers.cpu.update();
  kernel.tasks.joinGroup(process, from.group.pgid, from.session);
  kernel.tasks.addProcess(process);
  return process;
}

function inherit(parent: Task, child: Task, flags: number): void {
  child.blockedLo = parent.blockedLo;
  child.blockedHi = parent.blockedHi;
  child.nice = parent.nice;
  child.policy = parent.policy;
  child.realtimePriority = parent.realtimePriority;
  if (parent.resetPolicyOnFork) {
    child.policy = 0;
    child.realtimePriority = 0;
    child.nice = Math.max(parent.nice, 0);
  }
  child.affinity = parent.affinity;
  child.personality = parent.personality;
  child.noNewPrivileges = parent.noNewPrivileges;
  child.timerSlackNs = parent.timerSlackNs;
  // An alternate stack cannot be shared: a thread starts without one; vfork children keep it, since their parent sleeps.
  if ((flags & CLONE_VM) === 0 || (flags & CLONE_VFORK) !== 0) {
    child.altStackBase = parent.altStackBase;
    child.altStackSize = parent.altStackSize;
    child.altStackFlags = parent.altStackFlags;
  }
}

function setRegisters(parent: Task, child: Task, request: CloneRequest): void {
  const { cpu } = parent.kernel;
  child.x.set(cpu.x);
  child.f.set(cpu.f);
  child.fcsr = cpu.fcsr;
  child.pc = cpu.pc + 4;
  setRegister(child.x, REG_A0, 0);
  if (request.stack !== 0) setRegister(child.x, REG_SP, request.stack);
  if ((request.flags & CLONE_SETTLS) !== 0) setRegister(child.x, REG_TP, request.tls);
}

/** Thread ids and the pidfd go to memory before the child runs. */
function writeIds(parent: Task, child: Task, request: CloneRequest): number {
  const { flags } = request;
  if ((flags & CLONE_CHILD_CLEARTID) !== 0) child.clearChildTid = request.childTid;
  if ((flags & CLONE_CHILD_SETTID) !== 0) child.memory.writeU32(request.childTid, child.tid);
  if ((flags & CLONE_PARENT_SETTID) !== 0 && parent.memory.writeU32(request.parentTid, child.tid) !== 0) return -EFAULT;
  if ((flags & CLONE_PIDFD) !== 0) {
    const limit = parent.process.limits.soft[RLIMIT_NOFILE] as number;
    const fd = parent.files.install(new PidFile(child.process, O_RDWR | O_CLOEXEC), true, limit);
    if (fd < 0) return fd;
    if (parent.memory.writeU32(request.pidfd, fd) !== 0) {
      parent.files.close(parent, fd);
      return -EFAULT;
    }
  }
  return 0;
}

/** The child never ran: it leaves without a trace. */
function undo(parent: Task, child: Task, flags: number): void {
  const { kernel } = parent;
  const { process } = child;
  child.clearChildTid = 0;
  child.memory.put();
  child.files.put(child);
  child.fs.put();
  child.handlers.count--;
  kernel.tasks.removeTask(child);
  process.threads.splice(process.threads.indexOf(child), 1);
  if ((flags & CLONE_THREAD) !== 0) return;
  dropExecutable(process);
  process.parent?.children.delete(process);
  kernel.tasks.removeProcess(process);
}
