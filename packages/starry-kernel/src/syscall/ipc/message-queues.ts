/** msgget(2), msgsnd(2), msgrcv(2), msgctl(2). */
import {
  CAP_SYS_RESOURCE,
  E2BIG,
  EACCES,
  EAGAIN,
  EFAULT,
  EIDRM,
  EINVAL,
  ENOMSG,
  ENOSYS,
  EPERM,
  SYS_msgctl,
  SYS_msgget,
  SYS_msgrcv,
  SYS_msgsnd,
} from "linux-abi";
import {
  IPC_INFO,
  IPC_NOWAIT,
  IPC_PERM_SIZE,
  IPC_RMID,
  IPC_SET,
  IPC_STAT,
  IpcTable,
  MAX_OBJECTS,
  putLong,
} from "../../ipc/ids.ts";
import {
  MESSAGE_BYTES,
  MSG_COPY,
  MSG_NOERROR,
  QUEUE_BYTES,
  type SysvMessage,
  SysvMessageQueue,
} from "../../ipc/message-queue.ts";
import { scratchI64 } from "../../io/timespec.ts";
import type { Task } from "../../task/task.ts";
import { ERESTARTNOHAND, Wait, WAKE_SIGNAL } from "../../wait.ts";
import { partial, full, row, type SyscallRow } from "../row.ts";

const MSG_STAT = 11;
const MSG_INFO = 12;
const MSG_STAT_ANY = 13;

/** Whatever a privileged program asks for: the bytes are the host's memory. */
const LARGEST_QUEUE_BYTES = 64 << 20;

const S_READ = 0o444;
const S_WRITE = 0o222;
/** struct msgbuf: long mtype, then the text. */
const MTYPE_SIZE = 8;

// struct msqid64_ds (asm-generic/msgbuf.h)
const MSG_STIME = IPC_PERM_SIZE;
const MSG_RTIME = 56;
const MSG_CTIME = 64;
const MSG_CBYTES = 72;
const MSG_QNUM = 80;
const MSG_QBYTES = 88;
const MSG_LSPID = 96;
const MSG_LRPID = 100;
const MSQID64_DS_SIZE = 120;
const MSGINFO_SIZE = 32;

export function messageQueueCalls(): readonly SyscallRow[] {
  const table = new IpcTable<SysvMessageQueue>();

  function sys_msgget(task: Task, key: number, flags: number): number {
    return table.open(
      task,
      key,
      flags,
      () => new SysvMessageQueue(task, key, flags),
      () => 0,
    );
  }

  function sys_msgsnd(task: Task, id: number, va: number, byteLength: number, flags: number): number | Wait {
    if (byteLength > MESSAGE_BYTES || id < 0) return -EINVAL;
    if (task.memory.load(va, MTYPE_SIZE) !== 0) return -EFAULT;
    const type = scratchI64(task.memory, 0);
    if (type < 1) return -EINVAL;
    const bytes = new Uint8Array(byteLength);
    if (task.memory.copyIn(va + MTYPE_SIZE, bytes, 0, byteLength) !== 0) return -EFAULT;
    const queue = table.find(id);
    if (typeof queue === "number") return queue;
    if (queue.permits(task, S_WRITE) !== 0) return -EACCES;
    const message: SysvMessage = { type, bytes };
    if (queue.send(task, message)) return 0;
    if ((flags & IPC_NOWAIT) !== 0) return -EAGAIN;
    // Woken by msgrcv, msgctl(IPC_SET) and the queue's removal.
    const wait = new Wait("do_msgsnd", queue.events, (self, reason) => {
      if (queue.removed) return -EIDRM;
      if (queue.send(self, message)) return 0;
      return reason === WAKE_SIGNAL ? -ERESTARTNOHAND : wait;
    });
    return wait;
  }

  function sys_msgrcv(task: Task, id: number, va: number, room: number, type: number, flags: number): number | Wait {
    if (id < 0 || room >= 2 ** 63) return -EINVAL;
    if ((flags & MSG_COPY) !== 0) return -ENOSYS;
    const queue = table.find(id);
    if (typeof queue === "number") return queue;
    if (queue.permits(task, S_READ) !== 0) return -EACCES;
    const attempt = (self: Task): number | undefined => {
      const index = queue.find(type, flags);
      return index < 0 ? undefined : deliver(self, queue, index, va, room, flags);
    };
    const first = attempt(task);
    if (first !== undefined) return first;
    if ((flags & IPC_NOWAIT) !== 0) return -ENOMSG;
    // Woken by msgsnd and the queue's removal.
    const wait = new Wait("do_msgrcv", queue.events, (self, reason) => {
      if (queue.removed) return -EIDRM;
      return attempt(self) ?? (reason === WAKE_SIGNAL ? -ERESTARTNOHAND : wait);
    });
    return wait;
  }

  function deliver(
    task: Task,
    queue: SysvMessageQueue,
    index: number,
    va: number,
    room: number,
    flags: number,
  ): number {
    const waiting = queue.messages[index] as SysvMessage;
    if (waiting.bytes.length > room && (flags & MSG_NOERROR) === 0) return -E2BIG;
    const { type, bytes } = queue.take(task, index);
    const count = Math.min(bytes.length, room);
    putLong(task.memory, 0, type);
    if (task.memory.store(va, MTYPE_SIZE) !== 0) return -EFAULT;
    return task.memory.copyOut(va + MTYPE_SIZE, bytes, 0, count) !== 0 ? -EFAULT : count;
  }

  function sys_msgctl(task: Task, id: number, command: number, va: number): number {
    if (id < 0) return -EINVAL;
    switch (command) {
      case IPC_INFO:
      case MSG_INFO:
        return reportLimits(task, command, va);
      case IPC_STAT:
      case MSG_STAT:
      case MSG_STAT_ANY:
        return status(task, id, command, va);
      case IPC_SET:
      case IPC_RMID:
        return control(task, id, command, va);
      default:
        return -EINVAL;
    }
  }

  function status(task: Task, id: number, command: number, va: number): number {
    const queue = command === IPC_STAT ? table.find(id) : table.at(id);
    if (typeof queue === "number") return queue;
    if (command !== MSG_STAT_ANY && queue.permits(task, S_READ) !== 0) return -EACCES;
    const { memory } = task;
    queue.putPermissions(memory);
    putLong(memory, MSG_STIME, queue.sentSec);
    putLong(memory, MSG_RTIME, queue.receivedSec);
    putLong(memory, MSG_CTIME, queue.changedSec);
    putLong(memory, MSG_CBYTES, queue.bytes);
    putLong(memory, MSG_QNUM, queue.messages.length);
    putLong(memory, MSG_QBYTES, queue.maxBytes);
    memory.scratch.setInt32(MSG_LSPID, queue.lastSender, true);
    memory.scratch.setInt32(MSG_LRPID, queue.lastReceiver, true);
    const result = memory.store(va, MSQID64_DS_SIZE);
    return result !== 0 || command === IPC_STAT ? result : queue.id;
  }

  function control(task: Task, id: number, command: number, va: number): number {
    if (command === IPC_SET && task.memory.load(va, MSQID64_DS_SIZE) !== 0) return -EFAULT;
    const queue = table.find(id);
    if (typeof queue === "number") return queue;
    const error = queue.mayControl(task);
    if (error !== 0) return error;
    if (command === IPC_SET) {
      const maxBytes = scratchI64(task.memory, MSG_QBYTES);
      if (maxBytes > QUEUE_BYTES && !task.cred.hasCapability(CAP_SYS_RESOURCE)) return -EPERM;
      queue.maxBytes = Math.min(maxBytes, LARGEST_QUEUE_BYTES);
      queue.setOwner(task);
    } else table.remove(queue);
    queue.events.wake(0xffff);
    return 0;
  }

  function reportLimits(task: Task, command: number, va: number): number {
    let messages = 0;
    let bytes = 0;
    for (const queue of table.all()) {
      messages += queue.messages.length;
      bytes += queue.bytes;
    }
    const used = command === MSG_INFO;
    // struct msginfo: msgpool msgmap msgmax msgmnb msgmni msgssz msgtql, unsigned short msgseg
    const fields = [
      used ? table.count : 512000,
      used ? messages : QUEUE_BYTES,
      MESSAGE_BYTES,
      QUEUE_BYTES,
      MAX_OBJECTS,
      16,
    ];
    fields.push(used ? bytes : QUEUE_BYTES);
    const { scratch } = task.memory;
    fields.forEach((value, i) => {
      scratch.setInt32(4 * i, value, true);
    });
    scratch.setUint32(28, 0xffff, true);
    return task.memory.store(va, MSGINFO_SIZE) || table.highest;
  }

  return [
    row(SYS_msgget, "msgget", "key:int flags:flags", full, sys_msgget),
    row(SYS_msgsnd, "msgsnd", "id:int msg:ptr size:size flags:flags", full, sys_msgsnd),
    row(SYS_msgrcv, "msgrcv", "id:int msg:ptr size:size type:long flags:flags", partial("no MSG_COPY"), sys_msgrcv),
    row(SYS_msgctl, "msgctl", "id:int cmd:int buf:ptr", full, sys_msgctl),
  ];
}
