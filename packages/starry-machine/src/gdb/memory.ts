/**
 * A debugger's access to a program's memory: what ptrace(2) and /proc/PID/mem allow (Linux: FOLL_FORCE).
 *
 * Pages come in as the program's own accesses would bring them. Private pages can be written whatever their rights are: the
 * program gets a copy of its own. The stack does not grow.
 */
import { PROT_WRITE } from "linux-abi";
import type { Task } from "starry-kernel";

export type Space = Task["memory"];

const PAGE_SIZE = 4096;
/** Priv. spec "Sv39 page table entry". */
const PTE_W = 1 << 2;

/** Up to `byteLength` bytes from `va` on; fewer where memory ends. */
export function readMemory(space: Space, va: number, byteLength: number): Uint8Array {
  const bytes = new Uint8Array(byteLength);
  let done = 0;
  while (done < byteLength) {
    const at = va + done;
    const count = Math.min(byteLength - done, PAGE_SIZE - (at % PAGE_SIZE));
    const index = space.vmas.find(at) === undefined ? -1 : space.resolve(at, false);
    if (index < 0) break;
    bytes.set(space.ram.subarray(index, index + count), done);
    done += count;
  }
  return bytes.subarray(0, done);
}

/** False if a page cannot be written; pages before it have been. */
export function writeMemory(space: Space, va: number, bytes: Uint8Array): boolean {
  for (let done = 0; done < bytes.length; ) {
    const at = va + done;
    const count = Math.min(bytes.length - done, PAGE_SIZE - (at % PAGE_SIZE));
    const index = writable(space, at);
    if (index < 0) return false;
    space.ram.set(bytes.subarray(done, done + count), index);
    space.stored(index, count);
    done += count;
  }
  return true;
}

/** Index in RAM of `va` in a page that nobody else sees, or a negative number. */
function writable(space: Space, va: number): number {
  const vma = space.vmas.find(va);
  if (vma === undefined) return -1;
  if ((vma.flags & PROT_WRITE) !== 0) return space.resolve(va, true);
  if (vma.shared) return -1;
  vma.flags |= PROT_WRITE;
  const index = space.resolve(va, true);
  vma.flags &= ~PROT_WRITE;
  // The copy is there; the program's right to store into it is not.
  const vpn = Math.floor(va / PAGE_SIZE);
  const slot = space.table.find(vpn);
  if (slot >= 0) space.setPte(vpn, slot, space.table.get(slot) & ~PTE_W);
  return index;
}
