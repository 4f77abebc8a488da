/** Which futex a word in memory is. */
import { EFAULT } from "linux-abi";
import type { AddressSpace } from "../mm/address-space.ts";

/**
 * Key of the word at `va`. A private key needs no page; a shared one is the physical address of the word, in a page that belongs to
 * its source, so it is faulted in for writing first (else a copy-on-write page would change its address later).
 */
export function futexKey(space: AddressSpace, va: number, shared: boolean): string | number {
  if (!shared) return `${space.id}:${va}`;
  const vma = space.vmas.find(va);
  if (vma === undefined) return -EFAULT;
  // Anonymous private memory is shared with nobody.
  if (!vma.shared) return `${space.id}:${va}`;
  const index = space.resolve(va, false);
  return index < 0 ? index : `p${index}`;
}
