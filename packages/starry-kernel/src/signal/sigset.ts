/** Signal sets as two int32 words: bit n − 1 of the 64 for signal n. */
import { SIGKILL, SIGSTOP } from "linux-abi";
import type { UserMemory } from "../user-memory.ts";

/** Bits of `lo` that no task can block. */
export const UNBLOCKABLE_LO: number = (1 << (SIGKILL - 1)) | (1 << (SIGSTOP - 1));

export function signalBitLo(signal: number): number {
  return signal <= 32 ? 1 << (signal - 1) : 0;
}

export function signalBitHi(signal: number): number {
  return signal > 32 ? 1 << (signal - 33) : 0;
}

export function inSet(lo: number, hi: number, signal: number): boolean {
  return ((signal <= 32 ? lo >>> (signal - 1) : hi >>> (signal - 33)) & 1) !== 0;
}

// The set that `loadSigset` read last.
export const $sigset = { lo: 0, hi: 0 };

/** Reads a sigset_t of 8 bytes into `$sigset`. 0 or -EFAULT. */
export function loadSigset(memory: UserMemory, va: number): number {
  const error = memory.load(va, 8);
  if (error !== 0) return error;
  $sigset.lo = memory.scratch.getInt32(0, true);
  $sigset.hi = memory.scratch.getInt32(4, true);
  return 0;
}

export function storeSigset(memory: UserMemory, va: number, lo: number, hi: number): number {
  memory.scratch.setInt32(0, lo, true);
  memory.scratch.setInt32(4, hi, true);
  return memory.store(va, 8);
}
