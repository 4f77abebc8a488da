/** Record locks of fcntl(2): F_GETLK F_SETLK F_SETLKW and the F_OFD_ forms; flock(2). */
import {
  EAGAIN,
  EBADF,
  EDEADLK,
  EFAULT,
  EINVAL,
  EOVERFLOW,
  EWOULDBLOCK,
  FLOCK_L_LEN,
  FLOCK_L_PID,
  FLOCK_L_START,
  FLOCK_L_TYPE,
  FLOCK_L_WHENCE,
  FLOCK_SIZE,
  F_OFD_GETLK,
  F_OFD_SETLK,
  F_OFD_SETLKW,
  F_GETLK,
  F_RDLCK,
  F_SETLKW,
  F_UNLCK,
  F_WRLCK,
  LOCK_EX,
  LOCK_NB,
  LOCK_SH,
  LOCK_UN,
  POLLIN,
  SEEK_CUR,
  SEEK_END,
  SEEK_SET,
  SYS_flock,
} from "linux-abi";
import type { OpenFile } from "../../file.ts";
import { type LockOwner, type NodeLocks, type RecordLock, ensureLocks, isLockType } from "../../fs/locks.ts";
import { VfsFile } from "../../fs/vfs-file.ts";
import type { Task } from "../../task/task.ts";
import { ERESTARTSYS, NO_DEADLINE, WAKE_SIGNAL, Wait } from "../../wait.ts";
import { type SyscallRow, full, row } from "../row.ts";
import { getI64, putI64 } from "./fields.ts";

/** Who waits for whom, to see a circle before it closes. */
const $waitingFor = new WeakMap<LockOwner, LockOwner>();

function isOfd(command: number): boolean {
  return command === F_OFD_GETLK || command === F_OFD_SETLK || command === F_OFD_SETLKW;
}

/** Decodes struct flock; -errno. */
function readLock(task: Task, file: OpenFile, command: number, address: number): RecordLock | number {
  const { memory } = task;
  if (memory.load(address, FLOCK_SIZE) !== 0) return -EFAULT;
  const view = memory.scratch;
  const type = view.getInt16(FLOCK_L_TYPE, true);
  const whence = view.getInt16(FLOCK_L_WHENCE, true);
  let start = getI64(view, FLOCK_L_START);
  const length = getI64(view, FLOCK_L_LEN);
  const pid = view.getInt32(FLOCK_L_PID, true);
  if (!isLockType(type)) return -EINVAL;
  if (isOfd(command) && pid !== 0) return -EINVAL;
  if (whence === SEEK_CUR) start += file.position;
  else if (whence === SEEK_END) start += file.inode?.size ?? 0;
  else if (whence !== SEEK_SET) return -EINVAL;
  let end = length === 0 ? Number.POSITIVE_INFINITY : start + length;
  if (length < 0) {
    end = start;
    start += length;
  }
  if (start < 0) return -EINVAL;
  if (end !== Number.POSITIVE_INFINITY && end > 2 ** 63) return -EOVERFLOW;
  const ofd = isOfd(command);
  return { type, start, end, owner: ofd ? file : task.files, pid: ofd ? -1 : task.process.pid };
}

function getLock(task: Task, locks: NodeLocks, wanted: RecordLock, address: number): number {
  if (wanted.type === F_UNLCK) return -EINVAL;
  const held = locks.conflict(wanted);
  const view = task.memory.scratch; // still holds the program's struct
  if (held === undefined) view.setInt16(FLOCK_L_TYPE, F_UNLCK, true);
  else {
    view.setInt16(FLOCK_L_TYPE, held.type, true);
    view.setInt16(FLOCK_L_WHENCE, SEEK_SET, true);
    putI64(view, FLOCK_L_START, held.start);
    putI64(view, FLOCK_L_LEN, held.end === Number.POSITIVE_INFINITY ? 0 : held.end - held.start);
    view.setInt32(FLOCK_L_PID, held.pid, true);
  }
  return task.memory.store(address, FLOCK_SIZE);
}

/** True if waiting for `holder` would close a circle back to `owner`. */
function wouldDeadlock(owner: LockOwner, holder: LockOwner): boolean {
  let next: LockOwner | undefined = holder;
  for (let steps = 0; next !== undefined && steps < 10; steps++) {
    if (next === owner) return true;
    next = $waitingFor.get(next);
  }
  return false;
}

/** fcntl with F_GETLK .. F_OFD_SETLKW. */
export function recordLock(task: Task, file: OpenFile, command: number, address: number): number | Wait {
  if (!(file instanceof VfsFile)) return -EINVAL;
  const wanted = readLock(task, file, command, address);
  if (typeof wanted === "number") return wanted;
  const locks = ensureLocks(file.node);
  if (command === F_GETLK || command === F_OFD_GETLK) return getLock(task, locks, wanted, address);
  if (wanted.type === F_RDLCK && !file.readable) return -EBADF;
  if (wanted.type === F_WRLCK && !file.writable) return -EBADF;
  const mayWait = command === F_SETLKW || command === F_OFD_SETLKW;
  return setLock(locks, wanted, mayWait, file);
}

function setLock(locks: NodeLocks, wanted: RecordLock, mayWait: boolean, file: OpenFile): number | Wait {
  const conflict = wanted.type === F_UNLCK ? undefined : locks.conflict(wanted);
  if (conflict === undefined) {
    locks.set(wanted);
    return 0;
  }
  if (!mayWait) return -EAGAIN;
  if (wanted.pid >= 0 && wouldDeadlock(wanted.owner, conflict.owner)) return -EDEADLK;
  $waitingFor.set(wanted.owner, conflict.owner);
  file.get();
  const wait = new Wait(
    "fcntl_setlk",
    locks.released,
    (_task, reason) => {
      $waitingFor.delete(wanted.owner);
      if (reason === WAKE_SIGNAL) {
        file.put();
        return -ERESTARTSYS;
      }
      const blocker = locks.conflict(wanted);
      if (blocker !== undefined) {
        $waitingFor.set(wanted.owner, blocker.owner);
        return wait;
      }
      locks.set(wanted);
      file.put();
      return 0;
    },
    NO_DEADLINE,
    POLLIN,
  );
  return wait;
}

function sys_flock(task: Task, fd: number, operation: number): number | Wait {
  const file = task.files.get(fd);
  if (file === undefined) return -EBADF;
  const kind = operation & ~LOCK_NB;
  if (kind !== LOCK_SH && kind !== LOCK_EX && kind !== LOCK_UN) return -EINVAL;
  if (!(file instanceof VfsFile)) return -EBADF;
  const locks = ensureLocks(file.node);
  if (kind === LOCK_UN) {
    locks.unlockFlock(file);
    return 0;
  }
  if (locks.tryFlock(file, kind)) return 0;
  if ((operation & LOCK_NB) !== 0) return -EWOULDBLOCK;
  file.get();
  const wait = new Wait(
    "flock",
    locks.released,
    (_task, reason) => {
      if (reason !== WAKE_SIGNAL && !locks.tryFlock(file, kind)) return wait;
      file.put();
      return reason === WAKE_SIGNAL ? -ERESTARTSYS : 0;
    },
    NO_DEADLINE,
    POLLIN,
  );
  return wait;
}

export const LOCK_CALLS: readonly SyscallRow[] = [row(SYS_flock, "flock", "fd:fd operation:int", full, sys_flock)];
