/**
 * A bug of the kernel: a host exception reached the main step, or a trap makes no progress.
 *
 * The report names task, system call, arguments and registers; then the task's process is killed and the machine goes on. A second
 * oops while the first is being handled, or one of init, halts the machine. Nothing here may throw.
 */
import { SIGKILL, SIGSEGV, SYSCALL_NAMES } from "linux-abi";
import type { Kernel } from "./kernel.ts";
import { exitGroup } from "./task/exit.ts";
import type { Task } from "./task/task.ts";

const REGISTER_NAMES =
  "zero ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6".split(" ");

let $depth = 0; // oopses in progress

export function oops(kernel: Kernel, task: Task, error: unknown): void {
  $depth++;
  try {
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    kernel.log("error", `Oops: ${text}`);
    report(kernel, task, error);
    if ($depth > 1 || task.process.pid === 1) {
      kernel.halt("oops", 128 + SIGSEGV, `kernel oops in ${task.comm}[${task.tid}]: ${text}`);
      return;
    }
    task.wait = null;
    exitGroup(task, SIGKILL);
  } catch (second) {
    kernel.halt("oops", 128 + SIGSEGV, `kernel oops while handling an oops: ${String(second)}`);
  } finally {
    $depth--;
  }
}

function report(kernel: Kernel, task: Task, error: unknown): void {
  const { cpu } = kernel;
  kernel.log("error", `task ${task.comm}[${task.tid}] of process ${task.process.pid} (${task.process.executablePath})`);
  if (task.syscall >= 0) {
    const args = [10, 11, 12, 13, 14, 15].map((r) => hex(cpu.x, r)).join(", ");
    kernel.log("error", `in system call ${SYSCALL_NAMES[task.syscall] ?? task.syscall}(${args})`);
  }
  kernel.log("error", `pc 0x${cpu.pc.toString(16)} cause ${cpu.trapCause} value 0x${cpu.trapValue.toString(16)}`);
  for (let r = 1; r < 32; r += 4) {
    const line = [0, 1, 2, 3].map((i) => r + i).filter((n) => n < 32);
    kernel.log("error", line.map((n) => `${REGISTER_NAMES[n]} ${hex(cpu.x, n)}`).join("  "));
  }
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  for (const line of stack.split("\n").slice(1, 12)) kernel.log("error", line.trim());
  for (const line of kernel.traceTail()) kernel.log("error", line);
}

function hex(x: Int32Array, register: number): string {
  const hi = (x[2 * register + 1] >>> 0).toString(16);
  const lo = (x[2 * register] >>> 0).toString(16).padStart(8, "0");
  return hi === "0" ? `0x${lo.replace(/^0+(?=.)/, "")}` : `0x${hi}${lo}`;
}
