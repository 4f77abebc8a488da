/** semget(2), semop(2), semtimedop(2), semctl(2). */
import {
  E2BIG,
  EACCES,
  EAGAIN,
  EFAULT,
  EIDRM,
  EINTR,
  EINVAL,
  ERANGE,
  SYS_semctl,
  SYS_semget,
  SYS_semop,
  SYS_semtimedop,
} from "linux-abi";
import { deadlineAfter, readTimespecNs } from "../../io/timespec.ts";
import { IPC_INFO, IPC_PERM_SIZE, IPC_RMID, IPC_SET, IPC_STAT, IpcTable, MAX_OBJECTS, putLong } from "../../ipc/ids.ts";
import { MUST_WAIT, SEMAPHORE_MAX, type SemaphoreOperation, SemaphoreSet } from "../../ipc/semaphore-set.ts";
import type { Task } from "../../task/task.ts";
import { NO_DEADLINE, Wait, WAKE_SIGNAL, WAKE_TIMEOUT } from "../../wait.ts";
import { full, row, type SyscallRow } from "../row.ts";

const GETPID = 11;
const GETVAL = 12;
const GETALL = 13;
const GETNCNT = 14;
const GETZCNT = 15;
const SETVAL = 16;
const SETALL = 17;
const SEM_STAT = 18;
const SEM_INFO = 19;
const SEM_STAT_ANY = 20;

// kernel.sem: semaphores per set, in all, operations per call
const SEMMSL = 32000;
const SEMMNS = 1024000000;
const SEMOPM = 500;

const S_READ = 0o444;
const S_ALTER = 0o222;
const SEMBUF_SIZE = 6;

// struct semid64_ds (asm-generic/sembuf.h)
const SEM_OTIME = IPC_PERM_SIZE;
const SEM_CTIME = 56;
const SEM_NSEMS = 64;
const SEMID64_DS_SIZE = 88;
const SEMINFO_SIZE = 40;

export function semaphoreCalls(): readonly SyscallRow[] {
  const table = new IpcTable<SemaphoreSet>();

  function sys_semget(task: Task, key: number, count: number, flags: number): number {
    if (count < 0 || count > SEMMSL) return -EINVAL;
    const make = (): SemaphoreSet | number => (count === 0 ? -EINVAL : new SemaphoreSet(task, key, count, flags));
    return table.open(task, key, flags, make, (found) => (count > found.values.length ? -EINVAL : 0));
  }

  function sys_semop(task: Task, id: number, va: number, count: number): number | Wait {
    return operate(task, id, va, count, NO_DEADLINE);
  }

  function sys_semtimedop(task: Task, id: number, va: number, count: number, timeoutAddr: number): number | Wait {
    let timeoutNs = NO_DEADLINE;
    if (timeoutAddr !== 0) {
      timeoutNs = readTimespecNs(task.memory, timeoutAddr);
      if (timeoutNs < 0) return timeoutNs;
    }
    return operate(task, id, va, count, deadlineAfter(task, timeoutNs));
  }

  function operate(task: Task, id: number, va: number, count: number, deadlineNs: number): number | Wait {
    if (count < 1 || id < 0) return -EINVAL;
    if (count > SEMOPM) return -E2BIG;
    const operations = readOperations(task, va, count);
    if (typeof operations === "number") return operations;
    const set = table.find(id);
    if (typeof set === "number") return set;
    const alters = operations.some((operation) => operation.change !== 0);
    if (set.permits(task, alters ? S_ALTER : S_READ) !== 0) return -EACCES;
    const first = set.operate(task, operations);
    if (first !== MUST_WAIT) return first;
    let entry = waitingEntry(set, operations);
    // Woken by every change of the set, and by its removal.
    const wait = new Wait(
      "do_semtimedop",
      set.events,
      (self, reason) => {
        set.waiting.delete(entry);
        if (set.removed) return -EIDRM;
        const result = set.operate(self, operations);
        if (result !== MUST_WAIT) return result;
        if (reason === WAKE_SIGNAL) return -EINTR;
        if (reason === WAKE_TIMEOUT) return -EAGAIN;
        entry = waitingEntry(set, operations);
        return wait;
      },
      deadlineNs,
    );
    return wait;
  }

  /** Registers what a sleeper waits for, for GETNCNT and GETZCNT. */
  function waitingEntry(set: SemaphoreSet, operations: readonly SemaphoreOperation[]): readonly [number, boolean] {
    const { index, change } = operations[set.blocker] as SemaphoreOperation;
    const entry = [index, change === 0] as const;
    set.waiting.add(entry);
    return entry;
  }

  function readOperations(task: Task, va: number, count: number): SemaphoreOperation[] | number {
    if (task.memory.load(va, count * SEMBUF_SIZE) !== 0) return -EFAULT;
    const view = task.memory.scratch;
    const operations: SemaphoreOperation[] = [];
    for (let i = 0; i < count; i++) {
      const at = i * SEMBUF_SIZE;
      const index = view.getUint16(at, true);
      operations.push({ index, change: view.getInt16(at + 2, true), flags: view.getInt16(at + 4, true) });
    }
    return operations;
  }

  function sys_semctl(task: Task, id: number, index: number, command: number, argument: number): number {
    if (id < 0) return -EINVAL;
    switch (command) {
      case IPC_INFO:
      case SEM_INFO:
        return reportLimits(task, command, argument);
      case IPC_STAT:
      case SEM_STAT:
      case SEM_STAT_ANY:
        return status(task, id, command, argument);
      case IPC_SET:
      case IPC_RMID:
        return control(task, id, command, argument);
      default:
        return values(task, id, index, command, argument);
    }
  }

  function status(task: Task, id: number, command: number, va: number): number {
    const set = command === IPC_STAT ? table.find(id) : table.at(id);
    if (typeof set === "number") return set;
    if (command !== SEM_STAT_ANY && set.permits(task, S_READ) !== 0) return -EACCES;
    const { memory } = task;
    set.putPermissions(memory);
    putLong(memory, SEM_OTIME, set.operatedSec);
    putLong(memory, SEM_CTIME, set.changedSec);
    putLong(memory, SEM_NSEMS, set.values.length);
    const result = memory.store(va, SEMID64_DS_SIZE);
    return result !== 0 || command === IPC_STAT ? result : set.id;
  }

  function control(task: Task, id: number, command: number, va: number): number {
    if (command === IPC_SET && task.memory.load(va, IPC_PERM_SIZE) !== 0) return -EFAULT;
    const set = table.find(id);
    if (typeof set === "number") return set;
    const error = set.mayControl(task);
    if (error !== 0) return error;
    if (command === IPC_SET) {
      set.setOwner(task);
      return 0;
    }
    table.remove(set);
    set.changed();
    return 0;
  }

  function values(task: Task, id: number, index: number, command: number, argument: number): number {
    const set = table.find(id);
    if (typeof set === "number") return set;
    const writes = command === SETVAL || command === SETALL;
    if (set.permits(task, writes ? S_ALTER : S_READ) !== 0) return -EACCES;
    const count = set.values.length;
    if (command === GETALL || command === SETALL) return allValues(task, set, command, argument);
    if (index < 0 || index >= count) return -EINVAL;
    switch (command) {
      case GETVAL:
        return set.values[index] as number;
      case GETPID:
        return set.lastPids[index] as number;
      case GETNCNT:
        return set.waiters(index, false);
      case GETZCNT:
        return set.waiters(index, true);
      case SETVAL: {
        const value = argument | 0;
        if (value < 0 || value > SEMAPHORE_MAX) return -ERANGE;
        set.values[index] = value;
        set.lastPids[index] = task.process.pid;
        set.forgetUndo(index);
        set.changedSec = task.kernel.clock.realtimeSec();
        set.changed();
        return 0;
      }
      default:
        return -EINVAL;
    }
  }

  /** GETALL, SETALL: an array of unsigned shorts. */
  function allValues(task: Task, set: SemaphoreSet, command: number, va: number): number {
    const count = set.values.length;
    const bytes = new Uint8Array(2 * count);
    const view = new DataView(bytes.buffer);
    if (command === GETALL) {
      for (let i = 0; i < count; i++) view.setUint16(2 * i, set.values[i] as number, true);
      return task.memory.copyOut(va, bytes, 0, bytes.length);
    }
    if (task.memory.copyIn(va, bytes, 0, bytes.length) !== 0) return -EFAULT;
    for (let i = 0; i < count; i++) if (view.getUint16(2 * i, true) > SEMAPHORE_MAX) return -ERANGE;
    for (let i = 0; i < count; i++) {
      set.values[i] = view.getUint16(2 * i, true);
      set.lastPids[i] = task.process.pid;
      set.forgetUndo(i);
    }
    set.changedSec = task.kernel.clock.realtimeSec();
    set.changed();
    return 0;
  }

  function reportLimits(task: Task, command: number, va: number): number {
    let total = 0;
    for (const set of table.all()) total += set.values.length;
    const used = command === SEM_INFO;
    // struct seminfo: semmap semmni semmns semmnu semmsl semopm semume semusz semvmx semaem
    const fields = [
      SEMMNS,
      MAX_OBJECTS,
      SEMMNS,
      SEMMNS,
      SEMMSL,
      SEMOPM,
      SEMOPM,
      used ? table.count : 20,
      SEMAPHORE_MAX,
    ];
    fields.push(used ? total : SEMAPHORE_MAX);
    fields.forEach((value, i) => {
      task.memory.scratch.setInt32(4 * i, value, true);
    });
    return task.memory.store(va, SEMINFO_SIZE) || table.highest;
  }

  return [
    row(SYS_semget, "semget", "key:int nsems:int flags:flags", full, sys_semget),
    row(SYS_semop, "semop", "id:int sops:ptr nsops:size", full, sys_semop),
    row(SYS_semtimedop, "semtimedop", "id:int sops:ptr nsops:size timeout:timespec", full, sys_semtimedop),
    row(SYS_semctl, "semctl", "id:int semnum:int cmd:int arg:ulong", full, sys_semctl),
  ];
}
