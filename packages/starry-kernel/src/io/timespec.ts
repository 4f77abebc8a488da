/** Times in a program's memory as relative nanoseconds and deadlines. */
import { EINVAL, TIMESPEC_NSEC, TIMESPEC_SEC, TIMESPEC_SIZE } from "linux-abi";
import type { Task } from "../task/task.ts";
import type { UserMemory } from "../user-memory.ts";
import { NO_DEADLINE } from "../wait.ts";

const NS_PER_SEC = 1_000_000_000;
/** Beyond this many seconds a deadline is never (30 years; the product would lose precision long before it overflows). */
const FOREVER_SEC = 1_000_000_000;

/** A signed 64-bit number at `offset` of the scratch area, rounded beyond 2^53. */
export function scratchI64(memory: UserMemory, offset: number): number {
  return memory.scratch.getUint32(offset, true) + memory.scratch.getInt32(offset + 4, true) * 2 ** 32;
}

/** Reads a `struct timespec` as nanoseconds (Infinity if very large). -EFAULT, or -EINVAL if negative or not normal. */
export function readTimespecNs(memory: UserMemory, va: number): number {
  const error = memory.load(va, TIMESPEC_SIZE);
  if (error !== 0) return error;
  return scratchTimespecNs(memory, 0);
}

/** The same for one that lies in the scratch area. */
export function scratchTimespecNs(memory: UserMemory, offset: number): number {
  const sec = scratchI64(memory, offset + TIMESPEC_SEC);
  const nsec = scratchI64(memory, offset + TIMESPEC_NSEC);
  if (sec < 0 || nsec < 0 || nsec >= NS_PER_SEC) return -EINVAL;
  return sec > FOREVER_SEC ? NO_DEADLINE : sec * NS_PER_SEC + nsec;
}

/** Stores nanoseconds as a `struct timespec`. 0 or -EFAULT. */
export function writeTimespecNs(memory: UserMemory, va: number, ns: number): number {
  putTimespecNs(memory, 0, ns);
  return memory.store(va, TIMESPEC_SIZE);
}

/** The same into the scratch area. */
export function putTimespecNs(memory: UserMemory, offset: number, ns: number): void {
  const sec = Math.floor(ns / NS_PER_SEC);
  putI64(memory, offset + TIMESPEC_SEC, sec);
  putI64(memory, offset + TIMESPEC_NSEC, Math.floor(ns - sec * NS_PER_SEC));
}

function putI64(memory: UserMemory, offset: number, value: number): void {
  memory.scratch.setUint32(offset, (value % 2 ** 32) >>> 0, true);
  memory.scratch.setInt32(offset + 4, Math.floor(value / 2 ** 32), true);
}

/** `timeoutNs` from now, on the monotonic clock. */
export function deadlineAfter(task: Task, timeoutNs: number): number {
  return timeoutNs === NO_DEADLINE ? NO_DEADLINE : task.kernel.clock.monotonicNs() + timeoutNs;
}
