/**
 * mmap(2) and its relatives.
 */
import {
  EACCES,
  EBADF,
  EBUSY,
  EFAULT,
  EINVAL,
  ENOMEM,
  EOVERFLOW,
  EPERM,
  CAP_IPC_LOCK,
  decodeName,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_NONBLOCK,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_SHARED_VALIDATE,
  MAP_TYPE,
  MCL_CURRENT,
  MCL_FUTURE,
  MCL_ONFAULT,
  MLOCK_ONFAULT,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  MS_ASYNC,
  MS_INVALIDATE,
  MS_NOEXEC,
  MS_SYNC,
  PROT_EXEC,
  PROT_GROWSDOWN,
  PROT_GROWSUP,
  PROT_READ,
  PROT_SEM,
  PROT_WRITE,
  RLIMIT_MEMLOCK,
  SYS_brk,
  SYS_madvise,
  SYS_mincore,
  SYS_mlock,
  SYS_mlock2,
  SYS_mlockall,
  SYS_mmap,
  SYS_mprotect,
  SYS_mremap,
  SYS_msync,
  SYS_munlock,
  SYS_munlockall,
  SYS_munmap,
} from "linux-abi";
import type { OpenFile } from "../file.ts";
import { type AddressSpace, USER_TOP } from "../mm/address-space.ts";
import { adviseRegion, eachRange, populate } from "../mm/advice.ts";
import { PAGE_SIZE } from "../mm/frame-allocator.ts";
import {
  changeRegion,
  MMAP_MIN_ADDR,
  mapRegion,
  protectRegion,
  remapRegion,
  setBreak,
  unmapRegion,
} from "../mm/mapping.ts";
import type { PageSource } from "../mm/page-source.ts";
import { PTE_V } from "../mm/page-table.ts";
import { SharedMemory } from "../mm/shared-memory.ts";
import {
  VM_ACCESS,
  VM_DENY_WRITE,
  VM_GROWSDOWN,
  VM_LOCKED,
  VM_NORESERVE,
  VM_READ,
  VM_SHARED,
  VM_WRITE,
} from "../mm/vma.ts";
import type { Task } from "../task/task.ts";
import { full, partial, row, type SyscallRow } from "./row.ts";

const PROT_ACCESS = PROT_READ | PROT_WRITE | PROT_EXEC;

function isAligned(address: number): boolean {
  return address % PAGE_SIZE === 0;
}

function pageUp(byteLength: number): number {
  return Math.ceil(byteLength / PAGE_SIZE) * PAGE_SIZE;
}

/** mmap(2) */
function sys_mmap(
  task: Task,
  address: number,
  length: number,
  prot: number,
  flags: number,
  fd: number,
  offset: number,
): number {
  if (!isAligned(offset)) return -EINVAL;
  if (length === 0) return -EINVAL;
  const byteLength = pageUp(length);
  if (byteLength > USER_TOP) return -ENOMEM;
  const fixed = (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0;
  const wanted = fixed ? address : address - (address % PAGE_SIZE);
  if (fixed && !isAligned(address)) return -EINVAL;
  if (fixed && address + byteLength > USER_TOP) return -ENOMEM;
  if (fixed && address < MMAP_MIN_ADDR && task.cred.euid !== 0) return -EPERM;
  const type = flags & MAP_TYPE;
  if (type !== MAP_SHARED && type !== MAP_PRIVATE && type !== MAP_SHARED_VALIDATE) return -EINVAL;
  if ((flags & MAP_HUGETLB) !== 0 && (flags & MAP_ANONYMOUS) !== 0) return -ENOMEM; // no huge pages are reserved

  let vmFlags = prot & PROT_ACCESS;
  if ((flags & MAP_NORESERVE) !== 0) vmFlags |= VM_NORESERVE;
  if ((flags & MAP_LOCKED) !== 0 || task.memory.lockFuture) vmFlags |= VM_LOCKED;
  if (type !== MAP_PRIVATE) vmFlags |= VM_SHARED;

  let source: PageSource | null = null;
  let file: OpenFile | null = null;
  if ((flags & MAP_ANONYMOUS) === 0) {
    const opened = fileToMap(task, fd, prot, type !== MAP_PRIVATE);
    if (typeof opened === "number") return opened;
    if (offset + byteLength > Number.MAX_SAFE_INTEGER) return -EOVERFLOW;
    const mapping = opened.mapping();
    if (typeof mapping === "number") return mapping;
    file = opened;
    source = mapping;
    if (type !== MAP_PRIVATE && !opened.writable) vmFlags |= VM_DENY_WRITE;
  } else if (type !== MAP_PRIVATE) {
    source = new SharedMemory(task.kernel.memory, task.kernel.nextObjectId(), byteLength / PAGE_SIZE);
  } else if ((flags & MAP_GROWSDOWN) !== 0) vmFlags |= VM_GROWSDOWN;

  const start = mapRegion(task.memory, {
    address: wanted,
    byteLength,
    flags: vmFlags,
    fixed,
    noReplace: (flags & MAP_FIXED_NOREPLACE) !== 0,
    source,
    file: file?.get() ?? null,
    pageOffset: file === null ? 0 : offset / PAGE_SIZE,
  });
  const fill = (flags & (MAP_POPULATE | MAP_NONBLOCK)) === MAP_POPULATE || (vmFlags & VM_LOCKED) !== 0;
  if (start >= 0 && fill) prefault(task.memory, start, start + byteLength, vmFlags);
  return start;
}

/** Errors are left to the first access. */
function prefault(space: AddressSpace, start: number, end: number, flags: number): void {
  if ((flags & VM_ACCESS) === 0) return;
  populate(space, start, end, (flags & VM_WRITE) !== 0 ? VM_WRITE : VM_READ);
}

function fileToMap(task: Task, fd: number, prot: number, shared: boolean): OpenFile | number {
  const file = task.files.get(fd);
  if (file === undefined) return -EBADF;
  if (!file.readable || (shared && (prot & PROT_WRITE) !== 0 && !file.writable)) return -EACCES;
  if ((prot & PROT_EXEC) !== 0 && file.path !== null && (file.path.mount.flags & MS_NOEXEC) !== 0) return -EPERM;
  return file;
}

/** munmap(2) */
function sys_munmap(task: Task, address: number, length: number): number {
  if (!isAligned(address) || length === 0 || address + length > USER_TOP) return -EINVAL;
  return unmapRegion(task.memory, address, address + pageUp(length));
}

/** mprotect(2) */
function sys_mprotect(task: Task, address: number, length: number, prot: number): number {
  const known = PROT_ACCESS | PROT_SEM | PROT_GROWSDOWN | PROT_GROWSUP;
  if (!isAligned(address) || (prot & ~known) !== 0) return -EINVAL;
  if ((prot & (PROT_GROWSDOWN | PROT_GROWSUP)) === (PROT_GROWSDOWN | PROT_GROWSUP)) return -EINVAL;
  if (length === 0) return 0;
  const end = address + pageUp(length);
  if (end > USER_TOP) return -ENOMEM;
  let start = address;
  if ((prot & PROT_GROWSDOWN) !== 0) {
    const vma = task.memory.vmas.find(address);
    if (vma === undefined) return -ENOMEM;
    if ((vma.flags & VM_GROWSDOWN) === 0) return -EINVAL;
    start = vma.start;
  }
  return protectRegion(task.memory, start, end, prot & PROT_ACCESS);
}

/** brk(2): the kernel's form returns the break, whether or not it moved. */
function sys_brk(task: Task, address: number): number {
  return setBreak(task.memory, address);
}

/** mremap(2) */
function sys_mremap(
  task: Task,
  address: number,
  oldLength: number,
  newLength: number,
  flags: number,
  newAddress: number,
): number {
  if ((flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)) !== 0 || !isAligned(address)) return -EINVAL;
  const fixed = (flags & MREMAP_FIXED) !== 0;
  const mayMove = (flags & MREMAP_MAYMOVE) !== 0;
  const dontUnmap = (flags & MREMAP_DONTUNMAP) !== 0;
  if ((fixed || dontUnmap) && !mayMove) return -EINVAL;
  if (fixed && !isAligned(newAddress)) return -EINVAL;
  if (newLength === 0) return -EINVAL;
  if (newLength > USER_TOP || oldLength > USER_TOP) return -EINVAL;
  return remapRegion(task.memory, {
    oldStart: address,
    oldLength: pageUp(oldLength),
    newLength: pageUp(newLength),
    mayMove,
    newAddress: fixed ? newAddress : -1,
    dontUnmap,
  });
}

/** madvise(2) */
function sys_madvise(task: Task, address: number, length: number, advice: number): number {
  if (!isAligned(address)) return -EINVAL;
  const end = address + pageUp(length);
  if (end > USER_TOP) return -EINVAL;
  return adviseRegion(task.memory, address, end, advice);
}

/** msync(2) */
function sys_msync(task: Task, address: number, length: number, flags: number): number {
  if (!isAligned(address) || (flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) !== 0) return -EINVAL;
  if ((flags & (MS_ASYNC | MS_SYNC)) === (MS_ASYNC | MS_SYNC)) return -EINVAL;
  const end = address + pageUp(length);
  if (end > USER_TOP) return -ENOMEM;
  if (end === address) return 0;
  return eachRange(task.memory, address, end, (vma, from, to) => {
    if ((flags & MS_INVALIDATE) !== 0 && (vma.flags & VM_LOCKED) !== 0) return -EBUSY;
    if ((flags & MS_SYNC) === 0 || !vma.shared || vma.source === null) return 0;
    return Math.min(0, vma.source.sync(vma.pageIndex(from) * PAGE_SIZE, to - from));
  });
}

/** mincore(2) */
function sys_mincore(task: Task, address: number, length: number, vec: number): number {
  if (!isAligned(address)) return -EINVAL;
  const end = address + pageUp(length);
  if (end > USER_TOP) return -ENOMEM;
  const space = task.memory;
  const result = new Uint8Array((end - address) / PAGE_SIZE);
  const holes = eachRange(space, address, end, (vma, from, to) => {
    space.table.forEach(from / PAGE_SIZE, to / PAGE_SIZE, (vpn, slot) => {
      if ((space.table.get(slot) & PTE_V) !== 0) result[vpn - address / PAGE_SIZE] = 1;
    });
    const { source } = vma;
    if (source?.peek === undefined) return 0;
    for (let va = from; va < to; va += PAGE_SIZE) {
      const frame = source.peek(vma.pageIndex(va));
      if (frame < 0) continue;
      space.frames.put(frame);
      result[(va - address) / PAGE_SIZE] = 1;
    }
    return 0;
  });
  if (holes !== 0) return holes;
  return space.copyOut(vec, result, 0, result.length) === 0 ? 0 : -EFAULT;
}

function lock(task: Task, address: number, length: number, on: boolean, fill: boolean): number {
  const start = address - (address % PAGE_SIZE);
  const end = pageUp(address + length);
  if (end > USER_TOP) return -ENOMEM;
  const space = task.memory;
  if (on && !task.cred.hasCapability(CAP_IPC_LOCK)) {
    const limit = task.process.limits.soft[RLIMIT_MEMLOCK] as number;
    if (limit === 0) return -EPERM;
    if (space.lockedPages * PAGE_SIZE + (end - start) > limit) return -ENOMEM;
  }
  const result = changeRegion(space, start, end, (vma) => {
    const was = (vma.flags & VM_LOCKED) !== 0;
    if (was !== on) space.lockedPages += on ? vma.pageCount : -vma.pageCount;
    vma.flags = on ? vma.flags | VM_LOCKED : vma.flags & ~VM_LOCKED;
    return 0;
  });
  if (result === 0 && fill) {
    eachRange(space, start, end, (vma, from, to) => {
      prefault(space, from, to, vma.flags);
      return 0;
    });
  }
  return result;
}

/** mlock(2): pages never leave memory here; the call fills and accounts them. */
function sys_mlock(task: Task, address: number, length: number): number {
  return lock(task, address, length, true, true);
}

/** mlock2(2) */
function sys_mlock2(task: Task, address: number, length: number, flags: number): number {
  if ((flags & ~MLOCK_ONFAULT) !== 0) return -EINVAL;
  return lock(task, address, length, true, (flags & MLOCK_ONFAULT) === 0);
}

/** munlock(2) */
function sys_munlock(task: Task, address: number, length: number): number {
  return lock(task, address, length, false, false);
}

/** mlockall(2) */
function sys_mlockall(task: Task, flags: number): number {
  if ((flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) !== 0 || flags === 0 || flags === MCL_ONFAULT) return -EINVAL;
  if (!task.cred.hasCapability(CAP_IPC_LOCK)) {
    const limit = task.process.limits.soft[RLIMIT_MEMLOCK] as number;
    if (limit === 0) return -EPERM;
    if (task.memory.totalPages * PAGE_SIZE > limit) return -ENOMEM;
  }
  task.memory.lockFuture = (flags & MCL_FUTURE) !== 0;
  if ((flags & MCL_CURRENT) !== 0) lockAll(task.memory, true);
  return 0;
}

/** munlockall(2) */
function sys_munlockall(task: Task): number {
  task.memory.lockFuture = false;
  lockAll(task.memory, false);
  return 0;
}

function lockAll(space: AddressSpace, on: boolean): void {
  space.lockedPages = 0;
  for (const vma of space.vmas.all) {
    vma.flags = on ? vma.flags | VM_LOCKED : vma.flags & ~VM_LOCKED;
    if (on) space.lockedPages += vma.pageCount;
  }
}

/** prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME): names anonymous memory in /proc/PID/maps. `nameAddress` 0 removes the name. */
export function nameAnonymousMemory(task: Task, address: number, length: number, nameAddress: number): number {
  if (!isAligned(address)) return -EINVAL;
  const end = address + pageUp(length);
  if (end > USER_TOP) return -ENOMEM;
  let name = "";
  if (nameAddress !== 0) {
    const bytes = task.memory.readCString(nameAddress, 80);
    if (typeof bytes === "number") return bytes === -EFAULT ? -EFAULT : -EINVAL;
    name = `[anon:${decodeName(bytes)}]`;
  }
  if (end === address) return 0;
  return changeRegion(task.memory, address, end, (vma) => {
    if (vma.source !== null) return -EBADF;
    vma.name = name;
    return 0;
  });
}

export const MEMORY_CALLS: readonly SyscallRow[] = [
  row(
    SYS_mmap,
    "mmap",
    "addr:ptr length:size prot:prot flags:mmap_flags fd:fd offset:off",
    partial("no huge pages"),
    sys_mmap,
  ),
  row(SYS_munmap, "munmap", "addr:ptr length:size", full, sys_munmap),
  row(SYS_mprotect, "mprotect", "addr:ptr length:size prot:prot", full, sys_mprotect),
  row(SYS_brk, "brk", "addr:ptr", full, sys_brk),
  row(SYS_mremap, "mremap", "addr:ptr old:size new:size flags:flags newaddr:ptr", full, sys_mremap),
  row(
    SYS_madvise,
    "madvise",
    "addr:ptr length:size advice:madvice",
    partial("advice about speed is ignored"),
    sys_madvise,
  ),
  row(SYS_msync, "msync", "addr:ptr length:size flags:flags", full, sys_msync),
  row(SYS_mincore, "mincore", "addr:ptr length:size vec:ptr", full, sys_mincore),
  row(SYS_mlock, "mlock", "addr:ptr length:size", full, sys_mlock),
  row(SYS_mlock2, "mlock2", "addr:ptr length:size flags:flags", full, sys_mlock2),
  row(SYS_munlock, "munlock", "addr:ptr length:size", full, sys_munlock),
  row(SYS_mlockall, "mlockall", "flags:flags", full, sys_mlockall),
  row(SYS_munlockall, "munlockall", "", full, sys_munlockall),
];
