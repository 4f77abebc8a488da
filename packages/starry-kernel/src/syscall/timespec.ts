/** Times in a program's memory: struct timespec, timeval and what is made of them. */
import { EFAULT, EINVAL } from "linux-abi";
import type { UserMemory } from "../user-memory.ts";

const NS_PER_SEC = 1_000_000_000;

// The timespec that `loadTimespec` read last.
export const $timespec = { sec: 0, nsec: 0 };

/** Reads struct timespec into `$timespec`: 0, -EFAULT, -EINVAL (nanoseconds out of range). Seconds may be negative. */
export function loadTimespec(memory: UserMemory, va: number): number {
  if (memory.load(va, 16) !== 0) return -EFAULT;
  const { scratch } = memory;
  $timespec.sec = scratch.getInt32(4, true) * 4294967296 + scratch.getUint32(0, true);
  $timespec.nsec = scratch.getInt32(12, true) * 4294967296 + scratch.getUint32(8, true);
  return $timespec.nsec < 0 || $timespec.nsec >= NS_PER_SEC ? -EINVAL : 0;
}

/** A timespec that is a time span, in nanoseconds; -EFAULT, -EINVAL (negative or malformed). */
export function readTimespecNs(memory: UserMemory, va: number): number {
  const error = loadTimespec(memory, va);
  if (error !== 0) return error;
  if ($timespec.sec < 0) return -EINVAL;
  return $timespec.sec * NS_PER_SEC + $timespec.nsec;
}

/** Writes struct timespec. 0 or -EFAULT. */
export function storeTimespec(memory: UserMemory, va: number, sec: number, nsec: number): number {
  const { scratch } = memory;
  scratch.setInt32(0, sec, true);
  scratch.setInt32(4, Math.floor(sec / 4294967296), true);
  scratch.setInt32(8, nsec, true);
  scratch.setInt32(12, 0, true);
  return memory.store(va, 16);
}

/** Writes a span of nanoseconds as struct timespec. 0 or -EFAULT. */
export function storeTimespecNs(memory: UserMemory, va: number, ns: number): number {
  const sec = Math.floor(ns / NS_PER_SEC);
  return storeTimespec(memory, va, sec, Math.floor(ns - sec * NS_PER_SEC));
}
