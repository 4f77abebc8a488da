/**
 * The newer futex calls: futex_waitv(2), futex_wake(2), futex_wait(2), futex_requeue(2). 32-bit words only, as on Linux so far.
 */
import {
  CLOCK_MONOTONIC,
  CLOCK_REALTIME,
  EAGAIN,
  EFAULT,
  EINVAL,
  ETIMEDOUT,
  FUTEX_32,
  FUTEX_PRIVATE_FLAG,
  FUTEX_WAITV_MAX,
  SYS_futex_requeue,
  SYS_futex_wait,
  SYS_futex_waitv,
  SYS_futex_wake,
} from "linux-abi";
import { futexKey } from "../futex/key.ts";
import { FutexWaiter } from "../futex/table.ts";
import type { Task } from "../task/task.ts";
import { ERESTARTSYS, NO_DEADLINE, Wait, WAKE_EVENT, WAKE_TIMEOUT } from "../wait.ts";
import { full, row, type SyscallRow } from "./row.ts";
import { $timespec, readTimespecNs } from "./timespec.ts";

const KNOWN_FLAGS = FUTEX_32 | FUTEX_PRIVATE_FLAG;
const ALL_BITS = -1;

// struct futex_waitv: val (u64), uaddr (u64), flags (u32), reserved (u32)
const WAITV_SIZE = 24;

interface Word {
  readonly address: number;
  readonly expected: number;
  readonly shared: boolean;
}

function flagsError(flags: number): number {
  return (flags & ~KNOWN_FLAGS) !== 0 || (flags & FUTEX_32) === 0 ? -EINVAL : 0;
}

function readWord(task: Task, at: number): Word | number {
  if (task.memory.load(at, WAITV_SIZE) !== 0) return -EFAULT;
  const { scratch } = task.memory;
  const flags = scratch.getInt32(16, true);
  if (flagsError(flags) !== 0 || scratch.getInt32(20, true) !== 0) return -EINVAL;
  const address = scratch.getUint32(12, true) * 4294967296 + scratch.getUint32(8, true);
  if (address % 4 !== 0) return -EINVAL;
  return { address, expected: scratch.getInt32(0, true), shared: (flags & FUTEX_PRIVATE_FLAG) === 0 };
}

/** Absolute time-out on CLOCK_MONOTONIC or CLOCK_REALTIME: monotonic ns, NO_DEADLINE, -errno. */
function deadlineOf(task: Task, address: number, clock: number): number {
  if (address === 0) return NO_DEADLINE;
  if (clock !== CLOCK_MONOTONIC && clock !== CLOCK_REALTIME) return -EINVAL;
  const ns = readTimespecNs(task.memory, address);
  if (ns < 0 || clock === CLOCK_MONOTONIC) return ns;
  return Math.max(0, task.kernel.clock.monotonicAt($timespec.sec, $timespec.nsec));
}

/** Waits until one of the words is woken; the result is its index. */
function waitAny(task: Task, words: readonly Word[], bitset: number, deadlineNs: number): number | Wait {
  const { futexes } = task.kernel;
  const waiters: FutexWaiter[] = [];
  for (const word of words) {
    const key = futexKey(task.memory, word.address, word.shared);
    if (typeof key === "number") return key;
    const value = task.memory.readU32(word.address);
    if (value < 0) return -EFAULT;
    if ((value | 0) !== (word.expected | 0)) return -EAGAIN;
    waiters.push(new FutexWaiter(key, bitset));
  }
  if (deadlineNs <= task.kernel.clock.monotonicNs()) return -ETIMEDOUT;
  for (const waiter of waiters) futexes.enqueue(waiter);
  // Woken by FutexTable.wake, the deadline, or a signal.
  const wait: Wait = new Wait(
    "futex_waitv",
    waiters.map((w) => w.wakeup),
    (_self, reason) => {
      const woken = waiters.findIndex((w) => w.woken);
      if (woken < 0 && reason === WAKE_EVENT) return wait;
      for (const waiter of waiters) if (!waiter.woken) futexes.remove(waiter);
      if (woken >= 0) return woken;
      return reason === WAKE_TIMEOUT ? -ETIMEDOUT : -ERESTARTSYS;
    },
    deadlineNs,
  );
  return wait;
}

/** futex_waitv(2) */
function sys_futex_waitv(
  task: Task,
  address: number,
  count: number,
  flags: number,
  timeout: number,
  clock: number,
): number | Wait {
  if (flags !== 0 || count === 0 || count > FUTEX_WAITV_MAX || address === 0) return -EINVAL;
  const deadline = deadlineOf(task, timeout, clock);
  if (deadline < 0) return deadline;
  const words: Word[] = [];
  for (let i = 0; i < count; i++) {
    const word = readWord(task, address + i * WAITV_SIZE);
    if (typeof word === "number") return word;
    words.push(word);
  }
  return waitAny(task, words, ALL_BITS, deadline);
}

/** futex_wait(2) */
function sys_futex_wait(
  task: Task,
  address: number,
  expected: number,
  mask: number,
  flags: number,
  timeout: number,
  clock: number,
): number | Wait {
  const bitset = mask | 0;
  if (flagsError(flags) !== 0 || bitset === 0 || address % 4 !== 0) return -EINVAL;
  const deadline = deadlineOf(task, timeout, clock);
  if (deadline < 0) return deadline;
  return waitAny(task, [{ address, expected, shared: (flags & FUTEX_PRIVATE_FLAG) === 0 }], bitset, deadline);
}

/** futex_wake(2) */
function sys_futex_wake(task: Task, address: number, mask: number, count: number, flags: number): number {
  const bitset = mask | 0;
  if (flagsError(flags) !== 0 || bitset === 0 || address % 4 !== 0) return -EINVAL;
  const key = futexKey(task.memory, address, (flags & FUTEX_PRIVATE_FLAG) === 0);
  return typeof key === "number" ? key : task.kernel.futexes.wake(key, count, bitset);
}

/** futex_requeue(2): two words, from and to. */
function sys_futex_requeue(task: Task, address: number, flags: number, wakeCount: number, moveCount: number): number {
  if (flags !== 0 || address === 0) return -EINVAL;
  const from = readWord(task, address);
  if (typeof from === "number") return from;
  const to = readWord(task, address + WAITV_SIZE);
  if (typeof to === "number") return to;
  const fromKey = futexKey(task.memory, from.address, from.shared);
  if (typeof fromKey === "number") return fromKey;
  const toKey = futexKey(task.memory, to.address, to.shared);
  if (typeof toKey === "number") return toKey;
  const value = task.memory.readU32(from.address);
  if (value < 0) return -EFAULT;
  if ((value | 0) !== (from.expected | 0)) return -EAGAIN;
  const { futexes } = task.kernel;
  return futexes.wake(fromKey, wakeCount, ALL_BITS) + futexes.requeue(fromKey, toKey, moveCount);
}

export const FUTEX2_CALLS: readonly SyscallRow[] = [
  row(
    SYS_futex_waitv,
    "futex_waitv",
    "waiters:ptr nr:uint flags:uint timeout:timespec clock:clockid",
    full,
    sys_futex_waitv,
  ),
  row(
    SYS_futex_wait,
    "futex_wait",
    "uaddr:ptr val:ulong mask:ulong flags:uint timeout:timespec clock:clockid",
    full,
    sys_futex_wait,
  ),
  row(SYS_futex_wake, "futex_wake", "uaddr:ptr mask:ulong nr:int flags:uint", full, sys_futex_wake),
  row(SYS_futex_requeue, "futex_requeue", "waiters:ptr flags:uint wake:int requeue:int", full, sys_futex_requeue),
];
