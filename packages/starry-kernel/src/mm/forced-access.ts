/**
 * Access to another program's memory that its page protections do not stop (Linux: FOLL_FORCE): what debuggers need to set
 * breakpoints in read-only code.
 *
 * A store into a private mapping makes the page the program's own copy, with the rights it had. Shared mappings are only written if
 * they may be.
 */
import { EIO } from "linux-abi";
import type { AddressSpace } from "./address-space.ts";
import { PAGE_SIZE } from "./frame-allocator.ts";
import { protectRegion } from "./mapping.ts";
import { VM_ACCESS, VM_READ, VM_WRITE } from "./vma.ts";

/** Copies bytes in; 0 or -EIO. */
export function pokeBytes(space: AddressSpace, va: number, bytes: Uint8Array): number {
  return eachPage(va, bytes.length, (at, from, count) => {
    let index = space.resolve(at, true);
    if (index < 0) index = withAccess(space, at, VM_READ | VM_WRITE, () => space.resolve(at, true));
    if (index < 0) return -EIO;
    space.ram.set(bytes.subarray(from, from + count), index);
    space.stored(index, count);
    return 0;
  });
}

/** Copies bytes out, also of PROT_NONE pages; 0 or -EIO. */
export function peekBytes(space: AddressSpace, va: number, bytes: Uint8Array): number {
  return eachPage(va, bytes.length, (at, from, count) => {
    let index = space.resolve(at, false);
    if (index < 0) index = withAccess(space, at, VM_READ, () => space.resolve(at, false));
    if (index < 0) return -EIO;
    bytes.set(space.ram.subarray(index, index + count), from);
    return 0;
  });
}

function eachPage(va: number, byteLength: number, visit: (at: number, from: number, count: number) => number): number {
  for (let done = 0; done < byteLength; ) {
    const at = va + done;
    const count = Math.min(byteLength - done, PAGE_SIZE - (at % PAGE_SIZE));
    const error = visit(at, done, count);
    if (error !== 0) return error;
    done += count;
  }
  return 0;
}

/** Does `work` while the page of `va` has more rights; -EIO if there is no mapping or it is not the program's to change. */
function withAccess(space: AddressSpace, va: number, access: number, work: () => number): number {
  const vma = space.vmas.find(va);
  if (vma === undefined || ((access & VM_WRITE) !== 0 && vma.shared)) return -EIO;
  const rights = vma.flags & VM_ACCESS;
  const page = va - (va % PAGE_SIZE);
  protectRegion(space, page, page + PAGE_SIZE, rights | access);
  const result = work();
  protectRegion(space, page, page + PAGE_SIZE, rights);
  return result;
}
