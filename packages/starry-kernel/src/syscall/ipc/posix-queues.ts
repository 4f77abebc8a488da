/** mq_open(2), mq_unlink(2), mq_timedsend(2), mq_timedreceive(2), mq_notify(2), mq_getsetattr(2). */
import {
  CAP_DAC_OVERRIDE,
  CAP_SYS_RESOURCE,
  EACCES,
  EAGAIN,
  EBADF,
  EBUSY,
  EEXIST,
  EFAULT,
  EINVAL,
  EMFILE,
  EMSGSIZE,
  ENAMETOOLONG,
  ENOENT,
  ENOSPC,
  ETIMEDOUT,
  NSIG,
  O_ACCMODE,
  O_CLOEXEC,
  O_CREAT,
  O_EXCL,
  O_NONBLOCK,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  RLIMIT_MSGQUEUE,
  S_IFREG,
  SIGEV_NONE,
  SIGEV_SIGNAL,
  SYS_mq_getsetattr,
  SYS_mq_notify,
  SYS_mq_open,
  SYS_mq_timedreceive,
  SYS_mq_timedsend,
  SYS_mq_unlink,
  decodeName,
} from "linux-abi";
import { anonymousInode } from "../../io/anonymous-inode.ts";
import { installFile } from "../../io/install-file.ts";
import { scratchI64 } from "../../io/timespec.ts";
import { putLong } from "../../ipc/ids.ts";
import {
  DEFAULT_MAX_MESSAGES,
  DEFAULT_MESSAGE_BYTES,
  PosixQueue,
  PosixQueueFile,
  PRIORITY_MAX,
} from "../../ipc/posix-queue.ts";
import type { Task } from "../../task/task.ts";
import { ERESTARTSYS, NO_DEADLINE, Wait, WAKE_SIGNAL, WAKE_TIMEOUT } from "../../wait.ts";
import { full, partial, row, type SyscallRow } from "../row.ts";

const NAME_MAX = 255;
/** fs.mqueue.queues_max; with CAP_SYS_RESOURCE there is no limit. */
const MAX_QUEUES = 256;
const HARD_MAX_MESSAGES = 65536;
const HARD_MESSAGE_BYTES = 16777216;

/** sizeof(struct msg_msg), which RLIMIT_MSGQUEUE charges for each message a queue may hold. */
const MESSAGE_OVERHEAD = 48;

// struct mq_attr
const MQ_FLAGS = 0;
const MQ_MAXMSG = 8;
const MQ_MSGSIZE = 16;
const MQ_CURMSGS = 24;
const MQ_ATTR_SIZE = 64;

// struct sigevent
const SIGEV_VALUE = 0;
const SIGEV_SIGNO = 8;
const SIGEV_NOTIFY = 12;
const SIGEVENT_SIZE = 64;

export function posixQueueCalls(): readonly SyscallRow[] {
  const queues = new Map<string, PosixQueue>();

  function readName(task: Task, va: number): string | number {
    const bytes = task.memory.readCString(va, NAME_MAX + 1);
    if (typeof bytes === "number") return bytes;
    const name = decodeName(bytes);
    if (name === "") return -ENOENT;
    if (bytes.length > NAME_MAX) return -ENAMETOOLONG;
    return name.includes("/") ? -EACCES : name;
  }

  function sys_mq_open(task: Task, nameAddr: number, flags: number, mode: number, attrAddr: number): number {
    const name = readName(task, nameAddr);
    if (typeof name === "number") return name;
    let queue = queues.get(name);
    if (queue === undefined) {
      if ((flags & O_CREAT) === 0) return -ENOENT;
      const made = create(task, mode, attrAddr);
      if (typeof made === "number") return made;
      queue = made;
      queues.set(name, queue);
    } else {
      if ((flags & (O_CREAT | O_EXCL)) === (O_CREAT | O_EXCL)) return -EEXIST;
      if ((flags & O_ACCMODE) === (O_RDWR | O_WRONLY)) return -EINVAL;
      const error = checkAccess(task, queue, flags);
      if (error !== 0) return error;
    }
    const file = new PosixQueueFile(queue, name, flags & (O_ACCMODE | O_NONBLOCK));
    return installFile(task, file, (flags & O_CLOEXEC) !== 0);
  }

  function create(task: Task, mode: number, attrAddr: number): PosixQueue | number {
    const privileged = task.cred.hasCapability(CAP_SYS_RESOURCE);
    let maxMessages = DEFAULT_MAX_MESSAGES;
    let messageBytes = DEFAULT_MESSAGE_BYTES;
    if (attrAddr !== 0) {
      if (task.memory.load(attrAddr, MQ_ATTR_SIZE) !== 0) return -EFAULT;
      maxMessages = scratchI64(task.memory, MQ_MAXMSG);
      messageBytes = scratchI64(task.memory, MQ_MSGSIZE);
      if (maxMessages <= 0 || messageBytes <= 0) return -EINVAL;
      if (maxMessages > (privileged ? HARD_MAX_MESSAGES : DEFAULT_MAX_MESSAGES)) return -EINVAL;
      if (messageBytes > (privileged ? HARD_MESSAGE_BYTES : DEFAULT_MESSAGE_BYTES)) return -EINVAL;
    }
    if (queues.size >= MAX_QUEUES && !privileged) return -ENOSPC;
    // All queues count against one limit: there is one user's worth of accounting here.
    let bytes = maxMessages * (messageBytes + MESSAGE_OVERHEAD);
    for (const other of queues.values()) bytes += other.maxMessages * (other.messageBytes + MESSAGE_OVERHEAD);
    if (bytes > (task.process.limits.soft[RLIMIT_MSGQUEUE] as number)) return -EMFILE;
    const inode = anonymousInode(task, S_IFREG | (mode & 0o777 & ~task.fs.umask));
    return new PosixQueue(inode, maxMessages, messageBytes);
  }

  function checkAccess(task: Task, queue: PosixQueue, flags: number): number {
    const { cred } = task;
    const access = flags & O_ACCMODE;
    const wanted = access === O_RDONLY ? 4 : access === O_WRONLY ? 2 : 6;
    const { mode, uid, gid } = queue.inode;
    const granted = cred.fsuid === uid ? mode >> 6 : cred.inGroup(gid) ? mode >> 3 : mode;
    return (wanted & ~granted) === 0 || cred.hasCapability(CAP_DAC_OVERRIDE) ? 0 : -EACCES;
  }

  function sys_mq_unlink(task: Task, nameAddr: number): number {
    const name = readName(task, nameAddr);
    if (typeof name === "number") return name;
    const queue = queues.get(name);
    if (queue === undefined) return -ENOENT;
    if (task.cred.fsuid !== queue.inode.uid && !task.cred.hasCapability(CAP_DAC_OVERRIDE)) return -EACCES;
    queues.delete(name);
    return 0;
  }

  function queueFile(task: Task, fd: number): PosixQueueFile | number {
    const file = task.files.get(fd);
    return file instanceof PosixQueueFile ? file : -EBADF;
  }

  /** An absolute CLOCK_REALTIME time as a monotonic deadline; -EFAULT, -EINVAL. */
  function readDeadline(task: Task, va: number): number {
    if (va === 0) return NO_DEADLINE;
    if (task.memory.load(va, 16) !== 0) return -EFAULT;
    const sec = scratchI64(task.memory, 0);
    const nsec = scratchI64(task.memory, 8);
    if (sec < 0 || nsec < 0 || nsec >= 1e9) return -EINVAL;
    return Math.max(0, task.kernel.clock.monotonicAt(sec, nsec));
  }

  /** Waits on the queue until `attempt` gives something other than -EAGAIN. */
  function until(
    file: PosixQueueFile,
    channel: string,
    deadlineNs: number,
    asleep: (by: number) => void,
    attempt: (task: Task) => number,
  ): Wait {
    file.get();
    asleep(1);
    const wait = new Wait(
      channel,
      file.pollSet,
      (self, reason) => {
        let result = attempt(self);
        if (result === -EAGAIN) {
          if (reason !== WAKE_SIGNAL && reason !== WAKE_TIMEOUT) return wait;
          result = reason === WAKE_SIGNAL ? -ERESTARTSYS : -ETIMEDOUT;
        }
        asleep(-1);
        file.put();
        return result;
      },
      deadlineNs,
    );
    return wait;
  }

  function sys_mq_timedsend(
    task: Task,
    fd: number,
    va: number,
    byteLength: number,
    priority: number,
    timeoutAddr: number,
  ): number | Wait {
    const deadlineNs = readDeadline(task, timeoutAddr);
    if (deadlineNs < 0) return deadlineNs;
    if (priority >= PRIORITY_MAX) return -EINVAL;
    const file = queueFile(task, fd);
    if (typeof file === "number") return file;
    if (!file.writable) return -EBADF;
    if (byteLength > file.queue.messageBytes) return -EMSGSIZE;
    const bytes = new Uint8Array(byteLength);
    if (task.memory.copyIn(va, bytes, 0, byteLength) !== 0) return -EFAULT;
    const attempt = (self: Task): number => file.sendMessage(self, priority, bytes);
    const first = attempt(task);
    if (first !== -EAGAIN || file.nonblocking) return first;
    return until(file, "mq_timedsend", deadlineNs, () => {}, attempt);
  }

  function sys_mq_timedreceive(
    task: Task,
    fd: number,
    va: number,
    room: number,
    priorityAddr: number,
    timeoutAddr: number,
  ): number | Wait {
    const deadlineNs = readDeadline(task, timeoutAddr);
    if (deadlineNs < 0) return deadlineNs;
    const file = queueFile(task, fd);
    if (typeof file === "number") return file;
    if (!file.readable) return -EBADF;
    const { queue } = file;
    if (room < queue.messageBytes) return -EMSGSIZE;
    const attempt = (self: Task): number => {
      if (queue.length === 0) return -EAGAIN;
      const { priority, bytes } = queue.shift();
      if (priorityAddr !== 0 && self.memory.writeU32(priorityAddr, priority) !== 0) return -EFAULT;
      return self.memory.copyOut(va, bytes, 0, bytes.length) !== 0 ? -EFAULT : bytes.length;
    };
    const first = attempt(task);
    if (first !== -EAGAIN || file.nonblocking) return first;
    const asleep = (by: number): void => {
      queue.receivers += by;
    };
    return until(file, "mq_timedreceive", deadlineNs, asleep, attempt);
  }

  function sys_mq_notify(task: Task, fd: number, eventAddr: number): number {
    let notify = SIGEV_NONE;
    let signo = 0;
    let valueLo = 0;
    let valueHi = 0;
    if (eventAddr !== 0) {
      if (task.memory.load(eventAddr, SIGEVENT_SIZE) !== 0) return -EFAULT;
      const view = task.memory.scratch;
      notify = view.getInt32(SIGEV_NOTIFY, true);
      signo = view.getInt32(SIGEV_SIGNO, true);
      valueLo = view.getInt32(SIGEV_VALUE, true);
      valueHi = view.getInt32(SIGEV_VALUE + 4, true);
      if (notify !== SIGEV_NONE && notify !== SIGEV_SIGNAL) return -EINVAL;
      if (notify === SIGEV_SIGNAL && (signo < 1 || signo > NSIG)) return -EINVAL;
    }
    const file = queueFile(task, fd);
    if (typeof file === "number") return file;
    const { queue } = file;
    if (eventAddr === 0) {
      if (queue.notification?.process === task.process) queue.notification = null;
      return 0;
    }
    if (queue.notification !== null) return -EBUSY;
    queue.notification = { process: task.process, signo: notify === SIGEV_SIGNAL ? signo : 0, valueLo, valueHi };
    return 0;
  }

  function sys_mq_getsetattr(task: Task, fd: number, newAddr: number, oldAddr: number): number {
    let flags = -1;
    if (newAddr !== 0) {
      if (task.memory.load(newAddr, MQ_ATTR_SIZE) !== 0) return -EFAULT;
      flags = scratchI64(task.memory, MQ_FLAGS);
      if (flags !== 0 && flags !== O_NONBLOCK) return -EINVAL;
    }
    const file = queueFile(task, fd);
    if (typeof file === "number") return file;
    if (oldAddr !== 0) {
      task.memory.scratchBytes.fill(0, 0, MQ_ATTR_SIZE);
      putLong(task.memory, MQ_FLAGS, file.flags & O_NONBLOCK);
      putLong(task.memory, MQ_MAXMSG, file.queue.maxMessages);
      putLong(task.memory, MQ_MSGSIZE, file.queue.messageBytes);
      putLong(task.memory, MQ_CURMSGS, file.queue.length);
      if (task.memory.store(oldAddr, MQ_ATTR_SIZE) !== 0) return -EFAULT;
    }
    if (flags >= 0) file.flags = (file.flags & ~O_NONBLOCK) | flags;
    return 0;
  }

  return [
    row(SYS_mq_open, "mq_open", "name:str oflag:open_flags mode:mode attr:ptr", full, sys_mq_open),
    row(SYS_mq_unlink, "mq_unlink", "name:str", full, sys_mq_unlink),
    row(
      SYS_mq_timedsend,
      "mq_timedsend",
      "fd:fd msg:in_buf len:size prio:uint timeout:timespec",
      full,
      sys_mq_timedsend,
    ),
    row(
      SYS_mq_timedreceive,
      "mq_timedreceive",
      "fd:fd msg:out_buf len:size prio:int_ptr timeout:timespec",
      full,
      sys_mq_timedreceive,
    ),
    row(SYS_mq_notify, "mq_notify", "fd:fd sevp:ptr", partial("no SIGEV_THREAD"), sys_mq_notify),
    row(SYS_mq_getsetattr, "mq_getsetattr", "fd:fd newattr:ptr oldattr:ptr", full, sys_mq_getsetattr),
  ];
}
