/** shmget(2), shmat(2), shmdt(2), shmctl(2). */
import {
  EACCES,
  EIDRM,
  EINVAL,
  ENOMEM,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
  SYS_shmat,
  SYS_shmctl,
  SYS_shmdt,
  SYS_shmget,
} from "linux-abi";
import { IPC_INFO, IPC_PERM_SIZE, IPC_RMID, IPC_SET, IPC_STAT, IpcTable, MAX_OBJECTS, putLong } from "../../ipc/ids.ts";
import { SegmentMemory, SHM_LOCKED, SharedSegment } from "../../ipc/shared-segment.ts";
import { PAGE_SIZE } from "../../mm/frame-allocator.ts";
import { mapRegion, unmapRegion } from "../../mm/mapping.ts";
import { USER_TOP } from "../../mm/address-space.ts";
import { VM_SHARED } from "../../mm/vma.ts";
import type { Task } from "../../task/task.ts";
import { full, row, type SyscallRow } from "../row.ts";

const SHM_RDONLY = 0o10000;
const SHM_RND = 0o20000;
const SHM_REMAP = 0o40000;
const SHM_EXEC = 0o100000;
const SHM_LOCK = 11;
const SHM_UNLOCK = 12;
const SHM_STAT = 13;
const SHM_INFO = 14;
const SHM_STAT_ANY = 15;
const S_READ = 0o444;
const S_READ_WRITE = 0o666;

// struct shmid64_ds (asm-generic/shmbuf.h)
const SHM_SEGSZ = IPC_PERM_SIZE;
const SHM_ATIME = 56;
const SHM_DTIME = 64;
const SHM_CTIME = 72;
const SHM_CPID = 80;
const SHM_LPID = 84;
const SHM_NATTCH = 88;
const SHMID64_DS_SIZE = 112;
const SHMINFO64_SIZE = 72;
const SHM_INFO_SIZE = 48;

export function sharedMemoryCalls(): readonly SyscallRow[] {
  const table = new IpcTable<SharedSegment>();

  function sys_shmget(task: Task, key: number, size: number, flags: number): number {
    const make = (): SharedSegment | number => {
      if (size < 1 || size > Number.MAX_SAFE_INTEGER) return -EINVAL;
      if (!task.kernel.memory.mayCommit(Math.ceil(size / PAGE_SIZE))) return -ENOMEM;
      return new SharedSegment(task, table, key, size, flags);
    };
    return table.open(task, key, flags, make, (found) => (size > found.byteLength ? -EINVAL : 0));
  }

  function sys_shmat(task: Task, id: number, address: number, flags: number): number {
    const segment = table.find(id);
    if (typeof segment === "number") return segment;
    let start = address;
    if (start % PAGE_SIZE !== 0) {
      if ((flags & SHM_RND) === 0) return -EINVAL;
      start -= start % PAGE_SIZE;
    }
    const remap = (flags & SHM_REMAP) !== 0;
    if (start === 0 && (remap || address !== 0)) return -EINVAL;
    const readOnly = (flags & SHM_RDONLY) !== 0;
    const error = segment.permits(task, readOnly ? S_READ : S_READ_WRITE);
    if (error !== 0) return error;
    let access = readOnly ? PROT_READ : PROT_READ | PROT_WRITE;
    if ((flags & SHM_EXEC) !== 0) access |= PROT_EXEC;
    const byteLength = Math.ceil(segment.byteLength / PAGE_SIZE) * PAGE_SIZE;
    const space = task.memory;
    if (start !== 0 && start + byteLength > USER_TOP) return -EINVAL;
    if (start !== 0 && !remap && space.vmas.overlaps(start, start + byteLength)) return -EINVAL;
    return mapRegion(space, {
      address: start,
      byteLength,
      flags: access | VM_SHARED,
      fixed: start !== 0,
      source: segment.memory,
      file: null,
      pageOffset: 0,
      name: `/SYSV${(segment.key >>> 0).toString(16).padStart(8, "0")}`,
    });
  }

  function sys_shmdt(task: Task, address: number): number {
    const space = task.memory;
    const first = space.vmas.find(address);
    if (first === undefined || first.start !== address || first.pageOffset !== 0) return -EINVAL;
    const { source } = first;
    if (!(source instanceof SegmentMemory)) return -EINVAL;
    // All pieces of this attachment, however they have been split since.
    const end = address + source.pageCount * PAGE_SIZE;
    const pieces = space.vmas.all.filter((vma) => vma.source === source && vma.start >= address && vma.end <= end);
    for (const vma of pieces) unmapRegion(space, vma.start, vma.end);
    return 0;
  }

  function sys_shmctl(task: Task, id: number, command: number, va: number): number {
    switch (command) {
      case IPC_INFO:
        return reportLimits(task, va);
      case SHM_INFO:
        return reportUse(task, va);
      case IPC_STAT:
      case SHM_STAT:
      case SHM_STAT_ANY:
        return status(task, id, command, va);
      case IPC_SET:
      case IPC_RMID:
      case SHM_LOCK:
      case SHM_UNLOCK:
        return control(task, id, command, va);
      default:
        return -EINVAL;
    }
  }

  function status(task: Task, id: number, command: number, va: number): number {
    const segment = command === IPC_STAT ? table.find(id) : table.at(id);
    if (typeof segment === "number") return segment;
    if (command !== SHM_STAT_ANY && segment.permits(task, S_READ) !== 0) return -EACCES;
    const { memory } = task;
    segment.putPermissions(memory);
    putLong(memory, SHM_SEGSZ, segment.byteLength);
    putLong(memory, SHM_ATIME, segment.attachedSec);
    putLong(memory, SHM_DTIME, segment.detachedSec);
    putLong(memory, SHM_CTIME, segment.changedSec);
    memory.scratch.setInt32(SHM_CPID, segment.creatorPid, true);
    memory.scratch.setInt32(SHM_LPID, segment.lastPid, true);
    putLong(memory, SHM_NATTCH, segment.attachments);
    const result = memory.store(va, SHMID64_DS_SIZE);
    return result !== 0 || command === IPC_STAT ? result : segment.id;
  }

  function control(task: Task, id: number, command: number, va: number): number {
    const segment = table.find(id);
    if (typeof segment === "number") return segment;
    if (command === IPC_SET && task.memory.load(va, IPC_PERM_SIZE) !== 0) return task.memory.load(va, IPC_PERM_SIZE);
    const error = segment.mayControl(task);
    if (error !== 0) return error;
    if (segment.removed) return -EIDRM;
    if (command === IPC_SET) segment.setOwner(task);
    else if (command === IPC_RMID) segment.markRemoved();
    else if (command === SHM_LOCK) segment.mode |= SHM_LOCKED;
    else segment.mode &= ~SHM_LOCKED;
    return 0;
  }

  function reportLimits(task: Task, va: number): number {
    const { memory } = task;
    memory.scratchBytes.fill(0, 0, SHMINFO64_SIZE);
    putLong(memory, 0, Number.MAX_SAFE_INTEGER); // shmmax
    putLong(memory, 8, 1); // shmmin
    putLong(memory, 16, MAX_OBJECTS); // shmmni
    putLong(memory, 24, MAX_OBJECTS); // shmseg
    putLong(memory, 32, Math.floor(Number.MAX_SAFE_INTEGER / PAGE_SIZE)); // shmall
    return memory.store(va, SHMINFO64_SIZE) || table.highest;
  }

  function reportUse(task: Task, va: number): number {
    const { memory } = task;
    let pages = 0;
    let resident = 0;
    for (const segment of table.all()) {
      pages += segment.memory.pageCount;
      resident += segment.memory.residentPages;
    }
    memory.scratchBytes.fill(0, 0, SHM_INFO_SIZE);
    memory.scratch.setInt32(0, table.count, true);
    putLong(memory, 8, pages);
    putLong(memory, 16, resident);
    return memory.store(va, SHM_INFO_SIZE) || table.highest;
  }

  return [
    row(SYS_shmget, "shmget", "key:int size:size flags:flags", full, sys_shmget),
    row(SYS_shmat, "shmat", "id:int addr:ptr flags:flags", full, sys_shmat),
    row(SYS_shmdt, "shmdt", "addr:ptr", full, sys_shmdt),
    row(SYS_shmctl, "shmctl", "id:int cmd:int buf:ptr", full, sys_shmctl),
  ];
}
