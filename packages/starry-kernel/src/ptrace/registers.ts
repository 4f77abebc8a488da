/**
 * Registers of a stopped tracee as ptrace shows them (PTRACE_GETREGSET): user_regs_struct (pc, x1..x31) and the
 * floating-point set (f0..f31, fcsr).
 *
 * Our pc stays at the ecall until a call has its result. A tracer expects it behind the ecall from the entry stop on, and an interrupted
 * call's restart code in a0: translated here, both ways.
 */
import type { Task } from "../task/task.ts";
import { STOP_SYSCALL_ENTRY } from "./state.ts";

export const GENERAL_BYTES = 256;
export const FLOAT_BYTES = 264;

const A0 = 10;
const ECALL_BYTES = 4;

function insideCall(task: Task): boolean {
  return task.restartCode !== 0 || task.tracing?.stop === STOP_SYSCALL_ENTRY;
}

function put64(view: DataView, at: number, value: number): void {
  view.setInt32(at, value, true);
  view.setInt32(at + 4, Math.floor(value / 4294967296), true);
}

/** GENERAL_BYTES at `at`. */
export function putGeneral(task: Task, view: DataView, at: number): void {
  const inside = insideCall(task);
  put64(view, at, task.pc + (inside ? ECALL_BYTES : 0));
  for (let i = 2; i < 64; i++) view.setInt32(at + 4 * i, task.x[i] as number, true);
  if (task.restartCode !== 0) put64(view, at + 8 * A0, -task.restartCode);
}

/** Takes over registers; what the tracer has left as it was shown stays as it is. */
export function takeGeneral(task: Task, view: DataView, at: number): void {
  const shown = new DataView(new ArrayBuffer(GENERAL_BYTES));
  putGeneral(task, shown, 0);
  const changed = (register: number): boolean =>
    view.getInt32(at + 8 * register, true) !== shown.getInt32(8 * register, true) ||
    view.getInt32(at + 8 * register + 4, true) !== shown.getInt32(8 * register + 4, true);
  if (changed(0) || (task.restartCode !== 0 && changed(A0))) {
    // The call is not to be restarted: the task goes on where the tracer says, with the a0 it says.
    task.restartCode = 0;
    task.x[2 * A0] = view.getInt32(at + 8 * A0, true);
    task.x[2 * A0 + 1] = view.getInt32(at + 8 * A0 + 4, true);
    task.pc = view.getUint32(at + 4, true) * 4294967296 + view.getUint32(at, true);
    if (task.tracing !== null) task.tracing.entryDone = false;
  }
  for (let register = 1; register < 32; register++) {
    if (!changed(register)) continue;
    task.x[2 * register] = view.getInt32(at + 8 * register, true);
    task.x[2 * register + 1] = view.getInt32(at + 8 * register + 4, true);
  }
}

export function putFloat(task: Task, view: DataView, at: number): void {
  for (let i = 0; i < 64; i++) view.setInt32(at + 4 * i, task.f[i] as number, true);
  view.setInt32(at + 256, task.fcsr, true);
  view.setInt32(at + 260, 0, true);
}

export function takeFloat(task: Task, view: DataView, at: number): void {
  for (let i = 0; i < 64; i++) task.f[i] = view.getInt32(at + 4 * i, true);
  task.fcsr = view.getInt32(at + 256, true) & 0xff;
}
