/**
 * execve: the caller becomes another program. `loadProgram` has done what can fail; here is what cannot be undone.
 */
import { PTRACE_EVENT_EXEC, PTRACE_O_TRACEEXEC, SIGCHLD, SIGTRAP, SS_DISABLE } from "linux-abi";
import { releaseRobustList } from "../futex/robust-list.ts";
import type { Tracing } from "../ptrace/state.ts";
import { raiseEvent } from "../ptrace/stops.ts";
import { setRegister } from "../signal/frame.ts";
import { killSiblings, releaseVforkParent } from "../task/exit.ts";
import { sendToTask } from "../signal/send.ts";
import { SI_USER, signalInfo } from "../signal/siginfo.ts";
import { setExecutable } from "../task/executable.ts";
import type { Task } from "../task/task.ts";
import { loadProgram, type Program, type ProgramRequest } from "./program.ts";

const REG_SP = 2;

/** 0 (the registers are those of the new program) or -errno. The caller must be the running task. */
export function execute(task: Task, request: ProgramRequest): number {
  const program = loadProgram(task, request);
  if (typeof program === "number") return program;
  const oldTid = task.tid;
  killSiblings(task);
  becomeLeader(task);
  switchMemory(task, program);
  forgetOldProgram(task, program, request.path);
  setRegisters(task, program);
  const { trace } = task.kernel;
  if (trace.processExecOn) trace.processExec(task, request.path, oldTid);
  if (task.tracing !== null) tracedExec(task, task.tracing, oldTid);
  return 0;
}

/** A tracer learns of a new program by an event if it asked for that, else by SIGTRAP. */
function tracedExec(task: Task, tracing: Tracing, oldTid: number): void {
  if ((tracing.options & PTRACE_O_TRACEEXEC) !== 0) raiseEvent(task, PTRACE_EVENT_EXEC, oldTid);
  else if (!tracing.seized)
    sendToTask(task, signalInfo(SIGTRAP, SI_USER, { pid: task.process.pid, uid: task.cred.uid }));
}

/** A thread other than the leader takes over the leader's number: the process keeps its pid (man 2 execve). */
function becomeLeader(task: Task): void {
  const { process, kernel } = task;
  const leader = process.leader;
  if (leader === task) return;
  kernel.tasks.removeTask(leader);
  kernel.tasks.removeTask(task);
  process.threads.splice(process.threads.indexOf(leader), 1);
  task.tid = process.pid;
  process.leader = task;
  kernel.tasks.addTask(task);
}

function switchMemory(task: Task, program: Program): void {
  releaseRobustList(task);
  task.clearChildTid = 0;
  const old = task.memory;
  task.memory = program.space;
  task.kernel.memory.activate(program.space);
  releaseVforkParent(task);
  old.put();
}

function forgetOldProgram(task: Task, program: Program, path: string): void {
  const { process } = task;
  setExecutable(process, program.file);
  process.executablePath = path;
  process.didExec = true;
  process.timers.disarmPosix();
  if (task.files.count > 1) {
    const own = task.files.clone();
    task.files.put(task);
    task.files = own;
  }
  task.files.closeForExec(task);
  if (task.handlers.count > 1) {
    task.handlers.count--;
    task.handlers = task.handlers.clone();
  }
  task.handlers.resetForExec();
  task.altStackBase = 0;
  task.altStackSize = 0;
  task.altStackFlags = SS_DISABLE;
  task.restart = null;
  task.keepCapabilities = false;
  if (task.cred.euid !== program.cred.euid || task.cred.egid !== program.cred.egid) {
    task.parentDeathSignal = 0;
    process.dumpable = 0;
  } else process.dumpable = 1;
  task.cred = program.cred;
  task.setComm(program.comm);
  process.exitSignal = SIGCHLD;
}

function setRegisters(task: Task, program: Program): void {
  const { cpu } = task.kernel;
  cpu.x.fill(0);
  cpu.f.fill(0);
  cpu.fcsr = 0;
  setRegister(cpu.x, REG_SP, program.sp);
  cpu.pc = program.entry;
}
