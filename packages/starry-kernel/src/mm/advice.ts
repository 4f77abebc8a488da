/**
 * madvise(2): what programs say about how they will use memory. Advice about speed alone is accepted and ignored.
 */
import {
  EACCES,
  EFAULT,
  EINVAL,
  ENOMEM,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  MADV_COLD,
  MADV_DODUMP,
  MADV_DOFORK,
  MADV_DONTDUMP,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_HUGEPAGE,
  MADV_KEEPONFORK,
  MADV_MERGEABLE,
  MADV_NOHUGEPAGE,
  MADV_NORMAL,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_RANDOM,
  MADV_REMOVE,
  MADV_SEQUENTIAL,
  MADV_UNMERGEABLE,
  MADV_WILLNEED,
  MADV_WIPEONFORK,
} from "linux-abi";
import { type AddressSpace, FAULT_BUS, FAULT_OK, FAULT_OOM } from "./address-space.ts";
import { PAGE_SIZE } from "./frame-allocator.ts";
import { changeRegion } from "./mapping.ts";
import { SharedMemory } from "./shared-memory.ts";
import {
  VM_DONTDUMP,
  VM_DONTFORK,
  VM_LOCKED,
  VM_READ,
  VM_SHARED,
  VM_SPECIAL,
  VM_WIPEONFORK,
  VM_WRITE,
  type Vma,
} from "./vma.ts";

/** Advice that needs nothing done. */
const IGNORED = new Set([
  MADV_NORMAL,
  MADV_RANDOM,
  MADV_SEQUENTIAL,
  MADV_WILLNEED,
  MADV_MERGEABLE,
  MADV_UNMERGEABLE,
  MADV_HUGEPAGE,
  MADV_NOHUGEPAGE,
  MADV_COLD,
  MADV_PAGEOUT,
]);

/** Flag changes: advice → [set, clear]. */
const FLAG_ADVICE: ReadonlyMap<number, readonly [number, number]> = new Map([
  [MADV_DONTFORK, [VM_DONTFORK, 0]],
  [MADV_DOFORK, [0, VM_DONTFORK]],
  [MADV_DONTDUMP, [VM_DONTDUMP, 0]],
  [MADV_DODUMP, [0, VM_DONTDUMP]],
  [MADV_WIPEONFORK, [VM_WIPEONFORK, 0]],
  [MADV_KEEPONFORK, [0, VM_WIPEONFORK]],
]);

/** `start`, `end` page aligned. 0 or -errno. */
export function adviseRegion(space: AddressSpace, start: number, end: number, advice: number): number {
  if (IGNORED.has(advice)) return changeRegion(space, start, end, () => 0);
  const change = FLAG_ADVICE.get(advice);
  if (change !== undefined) {
    return changeRegion(space, start, end, (vma) => {
      if ((vma.flags & VM_SPECIAL) !== 0 || (advice === MADV_WIPEONFORK && (vma.source !== null || vma.shared)))
        return -EINVAL;
      vma.flags = (vma.flags | change[0]) & ~change[1];
      return 0;
    });
  }
  switch (advice) {
    case MADV_DONTNEED:
    case MADV_DONTNEED_LOCKED:
      return eachRange(space, start, end, (vma, from, to) => discard(space, vma, from, to, advice === MADV_DONTNEED));
    case MADV_FREE: // the pages may go at any time; now is a time
      return eachRange(space, start, end, (vma, from, to) =>
        vma.source !== null ? -EINVAL : discard(space, vma, from, to, true),
      );
    case MADV_REMOVE:
      return eachRange(space, start, end, (vma, from, to) => punch(space, vma, from, to));
    case MADV_POPULATE_READ:
      return populate(space, start, end, VM_READ);
    case MADV_POPULATE_WRITE:
      return populate(space, start, end, VM_WRITE);
    default:
      return -EINVAL;
  }
}

/** Calls `visit` for the part of each mapping in [start, end); -ENOMEM if there are holes, after everything has been visited. */
export function eachRange(
  space: AddressSpace,
  start: number,
  end: number,
  visit: (vma: Vma, from: number, to: number) => number,
): number {
  let expected = start;
  let holes = false;
  for (let i = space.vmas.indexAfter(start); ; i++) {
    const vma = space.vmas.all[i];
    if (vma === undefined || vma.start >= end) break;
    const from = Math.max(vma.start, start);
    const to = Math.min(vma.end, end);
    if (from !== expected) holes = true;
    expected = to;
    const error = visit(vma, from, to);
    if (error !== 0) return error;
  }
  return holes || expected < end ? -ENOMEM : 0;
}

function discard(space: AddressSpace, vma: Vma, from: number, to: number, refuseLocked: boolean): number {
  if ((vma.flags & VM_SPECIAL) !== 0 || (refuseLocked && (vma.flags & VM_LOCKED) !== 0)) return -EINVAL;
  space.zap(from / PAGE_SIZE, to / PAGE_SIZE);
  return 0;
}

function punch(space: AddressSpace, vma: Vma, from: number, to: number): number {
  if ((vma.flags & (VM_SHARED | VM_WRITE)) !== (VM_SHARED | VM_WRITE)) return -EACCES;
  const first = vma.pageIndex(from);
  const end = first + (to - from) / PAGE_SIZE;
  if (vma.source instanceof SharedMemory) {
    space.manager.reverseMap.unmap(vma.source, first, end, true);
    vma.source.discard(first, end);
    return 0;
  }
  if (vma.file === null) return -EINVAL;
  const punchHole = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  return vma.file.fallocate(punchHole, first * PAGE_SIZE, to - from);
}

/** Faults every page in. -EFAULT, -EIO or -ENOMEM as madvise(2) says. */
export function populate(space: AddressSpace, start: number, end: number, access: number): number {
  for (let va = start; va < end; va += PAGE_SIZE) {
    const index = space.resolve(va, access === VM_WRITE);
    if (index >= 0) continue;
    const fault = space.fault(va, access);
    if (fault === FAULT_OK) continue;
    if (fault === FAULT_OOM) return -ENOMEM;
    return fault === FAULT_BUS ? -EFAULT : -ENOMEM;
  }
  return 0;
}
