/**
 * Stacks that grow downwards when touched below their end.
 */
import { RLIMIT_AS, RLIMIT_STACK } from "linux-abi";
import type { AddressSpace } from "./address-space.ts";
import { PAGE_SIZE } from "./frame-allocator.ts";
import { VM_ACCESS, VM_GROWSDOWN, type Vma } from "./vma.ts";

/** stack_guard_gap: a growing stack keeps this distance from the mapping below, in bytes. */
export const STACK_GUARD_GAP: number = 256 * PAGE_SIZE;

/** Extends the stack above `va` down to its page, within RLIMIT_STACK and RLIMIT_AS and above the guard gap. undefined: no. */
export function growStack(space: AddressSpace, va: number): Vma | undefined {
  const all = space.vmas.all;
  const index = space.vmas.indexAfter(va);
  const stack = all[index];
  if (stack === undefined || (stack.flags & VM_GROWSDOWN) === 0) return undefined;
  const start = va - (va % PAGE_SIZE);
  if (stack.end - start > (space.limits.soft[RLIMIT_STACK] as number)) return undefined;
  const below = all[index - 1];
  // A mapping without any access is a guard of the program's own: no gap needed.
  if (below !== undefined && (below.flags & VM_ACCESS) !== 0 && (below.flags & VM_GROWSDOWN) === 0) {
    if (start - below.end < STACK_GUARD_GAP) return undefined;
  }
  const grow = (stack.start - start) / PAGE_SIZE;
  if ((space.totalPages + grow) * PAGE_SIZE > (space.limits.soft[RLIMIT_AS] as number)) return undefined;
  stack.start = start;
  stack.pageOffset -= grow;
  return stack;
}
