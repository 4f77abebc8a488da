/**
 * What a trap from user mode means: a system call, a page to bring in, or a signal for the program.
 *
 * Signals for faults are those of Linux on riscv64 (arch/riscv/kernel/traps.c, mm/fault.c).
 */
import {
  BUS_ADRALN,
  BUS_ADRERR,
  ILL_ILLOPC,
  SEGV_ACCERR,
  SEGV_MAPERR,
  SIGBUS,
  SIGILL,
  SIGSEGV,
  SIGTRAP,
  TRAP_BRKPT,
} from "linux-abi";
import {
  CAUSE_BREAKPOINT,
  CAUSE_ECALL_U,
  CAUSE_FETCH_MISALIGNED,
  CAUSE_FETCH_PAGE_FAULT,
  CAUSE_ILLEGAL_INSTRUCTION,
  CAUSE_LOAD_MISALIGNED,
  CAUSE_LOAD_PAGE_FAULT,
  CAUSE_NAMES,
  CAUSE_STORE_MISALIGNED,
  CAUSE_STORE_PAGE_FAULT,
} from "rv64-cpu/isa";
import type { Kernel } from "./kernel.ts";
import { FAULT_ACCERR, FAULT_BUS, FAULT_MAPERR, FAULT_OK, FAULT_OOM } from "./mm/address-space.ts";
import { VM_EXEC, VM_READ, VM_WRITE } from "./mm/vma.ts";
import { oops } from "./oops.ts";
import { forceSignal } from "./signal/deliver.ts";
import { signalInfo } from "./signal/siginfo.ts";
import { enterSyscall } from "./syscall/dispatch.ts";
import type { Task } from "./task/task.ts";

export function handleTrap(kernel: Kernel, task: Task): void {
  const { cpu } = kernel;
  const cause = cpu.trapCause;
  switch (cause) {
    case CAUSE_ECALL_U:
      enterSyscall(kernel, task);
      return;
    case CAUSE_FETCH_PAGE_FAULT:
      pageFault(kernel, task, VM_EXEC);
      return;
    case CAUSE_LOAD_PAGE_FAULT:
      pageFault(kernel, task, VM_READ);
      return;
    case CAUSE_STORE_PAGE_FAULT:
      pageFault(kernel, task, VM_WRITE);
      return;
    case CAUSE_ILLEGAL_INSTRUCTION:
      fault(task, SIGILL, ILL_ILLOPC, cpu.pc);
      return;
    case CAUSE_BREAKPOINT:
      fault(task, SIGTRAP, TRAP_BRKPT, cpu.pc);
      return;
    case CAUSE_FETCH_MISALIGNED:
    case CAUSE_LOAD_MISALIGNED:
    case CAUSE_STORE_MISALIGNED:
      fault(task, SIGBUS, BUS_ADRALN, cpu.trapValue);
      return;
    default: // access faults: an address that no memory answers
      fault(task, SIGSEGV, SEGV_ACCERR, cpu.trapValue);
  }
}

function pageFault(kernel: Kernel, task: Task, access: number): void {
  const va = kernel.cpu.trapValue;
  if (kernel.trace.pageFaultOn) kernel.trace.pageFault(task, va, kernel.cpu.trapCause);
  task.usage.minorFaults++;
  switch (task.memory.fault(va, access)) {
    case FAULT_OK:
      return;
    case FAULT_MAPERR:
      fault(task, SIGSEGV, SEGV_MAPERR, va);
      return;
    case FAULT_ACCERR:
      fault(task, SIGSEGV, SEGV_ACCERR, va);
      return;
    case FAULT_BUS:
      fault(task, SIGBUS, BUS_ADRERR, va);
      return;
    case FAULT_OOM:
      // The victim may be this task (SIGKILL is pending) or nobody could be found.
      if (!task.attention) fault(task, SIGBUS, BUS_ADRERR, va);
      return;
    default:
  }
}

function fault(task: Task, signal: number, code: number, addr: number): void {
  forceSignal(task, signalInfo(signal, code, { addr }));
}

/** The hart gave up on a trap that the kernel claims to have handled. */
export function trapLoop(kernel: Kernel, task: Task): void {
  const { cpu } = kernel;
  const name = CAUSE_NAMES[cpu.trapCause] ?? `cause ${cpu.trapCause}`;
  const where = `${name} at pc 0x${cpu.pc.toString(16)}, value 0x${cpu.trapValue.toString(16)}`;
  oops(kernel, task, new Error(`no progress: the same trap returns without end (${where})`));
}
