/**
 * futex(2).
 */
import {
  EAGAIN,
  EFAULT,
  EINTR,
  EINVAL,
  ENOSYS,
  ETIMEDOUT,
  FUTEX_CLOCK_REALTIME,
  FUTEX_CMP_REQUEUE,
  FUTEX_OP_ADD,
  FUTEX_OP_ANDN,
  FUTEX_OP_CMP_EQ,
  FUTEX_OP_CMP_GE,
  FUTEX_OP_CMP_GT,
  FUTEX_OP_CMP_LE,
  FUTEX_OP_CMP_LT,
  FUTEX_OP_CMP_NE,
  FUTEX_OP_OPARG_SHIFT,
  FUTEX_OP_OR,
  FUTEX_OP_SET,
  FUTEX_OP_XOR,
  FUTEX_PRIVATE_FLAG,
  FUTEX_REQUEUE,
  FUTEX_WAIT,
  FUTEX_WAIT_BITSET,
  FUTEX_WAKE,
  FUTEX_WAKE_BITSET,
  FUTEX_WAKE_OP,
  SYS_futex,
} from "linux-abi";
import { futexKey } from "../futex/key.ts";
import { FutexWaiter } from "../futex/table.ts";
import type { Task } from "../task/task.ts";
import { ERESTART_RESTARTBLOCK, ERESTARTSYS, NO_DEADLINE, Wait, WAKE_EVENT, WAKE_TIMEOUT } from "../wait.ts";
import { partial, row, type SyscallRow } from "./row.ts";
import { $timespec, readTimespecNs } from "./timespec.ts";

const ALL_BITS = -1;

/** futex(2) */
function sys_futex(
  task: Task,
  address: number,
  op: number,
  value: number,
  timeout: number,
  address2: number,
  value3: number,
): number | Wait {
  const command = op & ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);
  const shared = (op & FUTEX_PRIVATE_FLAG) === 0;
  const realtime = (op & FUTEX_CLOCK_REALTIME) !== 0;
  if (realtime && command !== FUTEX_WAIT && command !== FUTEX_WAIT_BITSET) return -ENOSYS;
  if (address % 4 !== 0) return -EINVAL;
  switch (command) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET: {
      const deadline = readDeadline(task, timeout, command === FUTEX_WAIT_BITSET, realtime);
      if (deadline < 0) return deadline;
      return futexWait(
        task,
        address,
        value,
        shared,
        command === FUTEX_WAIT ? ALL_BITS : value3,
        deadline,
        timeout !== 0 && command === FUTEX_WAIT,
      );
    }
    case FUTEX_WAKE:
      return futexWake(task, address, value, shared, ALL_BITS);
    case FUTEX_WAKE_BITSET:
      return futexWake(task, address, value, shared, value3);
    case FUTEX_REQUEUE:
    case FUTEX_CMP_REQUEUE:
      return futexRequeue(
        task,
        address,
        address2,
        shared,
        value,
        timeout | 0,
        command === FUTEX_CMP_REQUEUE ? value3 : null,
      );
    case FUTEX_WAKE_OP:
      return futexWakeOp(task, address, address2, shared, value, timeout | 0, value3);
    default:
      return -ENOSYS;
  }
}

/** Absolute monotonic ns, NO_DEADLINE, or -errno. FUTEX_WAIT's time-out is relative, WAIT_BITSET's absolute. */
function readDeadline(task: Task, address: number, absolute: boolean, realtime: boolean): number {
  if (address === 0) return NO_DEADLINE;
  const ns = readTimespecNs(task.memory, address);
  if (ns < 0) return ns;
  const { clock } = task.kernel;
  if (!absolute) return clock.monotonicNs() + ns;
  return realtime ? Math.max(0, clock.monotonicAt($timespec.sec, $timespec.nsec)) : ns;
}

function futexWait(
  task: Task,
  address: number,
  expected: number,
  shared: boolean,
  bitset: number,
  deadlineNs: number,
  relative: boolean,
): number | Wait {
  if (bitset === 0) return -EINVAL;
  const key = futexKey(task.memory, address, shared);
  if (typeof key === "number") return key;
  const word = task.memory.readU32(address);
  if (word < 0) return -EFAULT;
  if ((word | 0) !== (expected | 0)) return -EAGAIN;
  if (deadlineNs <= task.kernel.clock.monotonicNs()) return -ETIMEDOUT;
  const waiter = new FutexWaiter(key, bitset);
  task.kernel.futexes.enqueue(waiter);
  // Woken by FutexTable.wake, the deadline, or a signal.
  const wait: Wait = new Wait(
    "futex_wait",
    waiter.wakeup,
    (self, reason) => {
      if (waiter.woken) return 0;
      if (reason === WAKE_EVENT) return wait;
      self.kernel.futexes.remove(waiter);
      if (reason === WAKE_TIMEOUT) return -ETIMEDOUT;
      if (!relative) return deadlineNs === NO_DEADLINE ? -ERESTARTSYS : -EINTR;
      self.restart = (again) => futexWait(again, address, expected, shared, bitset, deadlineNs, true);
      return -ERESTART_RESTARTBLOCK;
    },
    deadlineNs,
  );
  return wait;
}

function futexWake(task: Task, address: number, count: number, shared: boolean, bitset: number): number {
  if (bitset === 0) return -EINVAL;
  const key = futexKey(task.memory, address, shared);
  if (typeof key === "number") return key;
  // Linux wakes one even if asked for none.
  return task.kernel.futexes.wake(key, Math.max(count, 1), bitset);
}

function futexRequeue(
  task: Task,
  address: number,
  address2: number,
  shared: boolean,
  wakeCount: number,
  moveCount: number,
  expected: number | null,
): number {
  if (wakeCount < 0 || moveCount < 0) return -EINVAL;
  const from = futexKey(task.memory, address, shared);
  if (typeof from === "number") return from;
  const to = futexKey(task.memory, address2, shared);
  if (typeof to === "number") return to;
  if (expected !== null) {
    const word = task.memory.readU32(address);
    if (word < 0) return -EFAULT;
    if ((word | 0) !== (expected | 0)) return -EAGAIN;
  }
  const { futexes } = task.kernel;
  const woken = futexes.wake(from, wakeCount, ALL_BITS);
  const moved = futexes.requeue(from, to, moveCount);
  return expected === null ? woken : woken + moved;
}

// Encoding of FUTEX_WAKE_OP's last argument: op(4) cmp(4) oparg(12) cmparg(12).
function futexWakeOp(
  task: Task,
  address: number,
  address2: number,
  shared: boolean,
  wakeCount: number,
  wakeCount2: number,
  encoded: number,
): number {
  const key = futexKey(task.memory, address, shared);
  if (typeof key === "number") return key;
  const key2 = futexKey(task.memory, address2, shared);
  if (typeof key2 === "number") return key2;
  const word = task.memory.readU32(address2);
  if (word < 0) return -EFAULT;
  const operation = (encoded >>> 28) & 15;
  let operand = (encoded << 8) >> 20;
  if ((operation & FUTEX_OP_OPARG_SHIFT) !== 0) operand = 1 << (operand & 31);
  const changed = apply(operation & 7, word | 0, operand);
  if (changed === undefined) return -ENOSYS;
  const holds = compare((encoded >>> 24) & 15, word | 0, (encoded << 20) >> 20);
  if (holds === undefined) return -ENOSYS;
  if (task.memory.writeU32(address2, changed) !== 0) return -EFAULT;
  const { futexes } = task.kernel;
  const woken = futexes.wake(key, Math.max(wakeCount, 1), ALL_BITS);
  return holds ? woken + futexes.wake(key2, wakeCount2, ALL_BITS) : woken;
}

function apply(operation: number, old: number, operand: number): number | undefined {
  switch (operation) {
    case FUTEX_OP_SET:
      return operand;
    case FUTEX_OP_ADD:
      return (old + operand) | 0;
    case FUTEX_OP_OR:
      return old | operand;
    case FUTEX_OP_ANDN:
      return old & ~operand;
    case FUTEX_OP_XOR:
      return old ^ operand;
    default:
      return undefined;
  }
}

function compare(comparison: number, old: number, argument: number): boolean | undefined {
  switch (comparison) {
    case FUTEX_OP_CMP_EQ:
      return old === argument;
    case FUTEX_OP_CMP_NE:
      return old !== argument;
    case FUTEX_OP_CMP_LT:
      return old < argument;
    case FUTEX_OP_CMP_LE:
      return old <= argument;
    case FUTEX_OP_CMP_GT:
      return old > argument;
    case FUTEX_OP_CMP_GE:
      return old >= argument;
    default:
      return undefined;
  }
}

export const FUTEX_CALLS: readonly SyscallRow[] = [
  row(
    SYS_futex,
    "futex",
    "uaddr:ptr op:futex_op val:int timeout:ptr uaddr2:ptr val3:int",
    partial("no priority inheritance"),
    sys_futex,
  ),
];
