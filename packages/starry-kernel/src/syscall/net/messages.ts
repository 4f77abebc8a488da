/** sendto(2), recvfrom(2), sendmsg(2), recvmsg(2), sendmmsg(2), recvmmsg(2). */
import {
  EFAULT,
  EINVAL,
  EMSGSIZE,
  MSG_CMSG_CLOEXEC,
  MSG_CTRUNC,
  MSG_DONTWAIT,
  MSG_WAITFORONE,
  MSGHDR_MSG_CONTROL,
  MSGHDR_MSG_CONTROLLEN,
  MSGHDR_MSG_FLAGS,
  MSGHDR_MSG_IOV,
  MSGHDR_MSG_IOVLEN,
  MSGHDR_MSG_NAME,
  MSGHDR_MSG_NAMELEN,
  MSGHDR_SIZE,
  SYS_recvfrom,
  SYS_recvmmsg,
  SYS_recvmsg,
  SYS_sendmmsg,
  SYS_sendmsg,
  SYS_sendto,
} from "linux-abi";
import { readTimespecNs } from "../../io/timespec.ts";
import { IoBuffer } from "../../io-buffer.ts";
import { Message } from "../../net/message.ts";
import type { Socket } from "../../net/socket.ts";
import type { Task } from "../../task/task.ts";
import type { Wait } from "../../wait.ts";
import { readVector } from "../read-write.ts";
import { full, partial, row, type SyscallRow } from "../row.ts";
import { readAddress, socketAt, writeAddress } from "./common.ts";
import { readControl, writeControl } from "./control.ts";
import { receiveMessage, sendMessage } from "./transfer.ts";

const MAX_RW_COUNT = 0x7fff_f000;
const UIO_MAXIOV = 1024;
const SOCKADDR_MAX = 128;
// struct mmsghdr { struct msghdr msg_hdr; unsigned msg_len; }
const MMSGHDR_MSG_LEN = MSGHDR_SIZE;
const MMSGHDR_SIZE: number = MSGHDR_SIZE + 8;

function sys_sendto(
  task: Task,
  fd: number,
  bufAddr: number,
  count: number,
  flags: number,
  addressAddr: number,
  addressBytes: number,
): number | Wait {
  const socket = socketAt(task, fd);
  if (typeof socket === "number") return socket;
  const buffer = new IoBuffer().setUser(task.memory, bufAddr, Math.min(count, MAX_RW_COUNT));
  const message = new Message(buffer, flags);
  if (addressAddr !== 0) {
    const address = readAddress(task, addressAddr, addressBytes);
    if (typeof address === "number") return address;
    message.address = address;
  }
  return sendMessage(task, socket, message, (_self, result) => result);
}

function sys_recvfrom(
  task: Task,
  fd: number,
  bufAddr: number,
  count: number,
  flags: number,
  addressAddr: number,
  lengthAddr: number,
): number | Wait {
  const socket = socketAt(task, fd);
  if (typeof socket === "number") return socket;
  const message = new Message(new IoBuffer().setUser(task.memory, bufAddr, Math.min(count, MAX_RW_COUNT)), flags);
  return receiveMessage(task, socket, message, (self, result) => {
    message.dropFiles();
    if (result < 0 || addressAddr === 0) return result;
    const error = writeAddress(self, message.address ?? new Uint8Array(0), addressAddr, lengthAddr);
    return error !== 0 ? error : result;
  });
}

/** A struct msghdr in a program's memory. */
interface Header {
  readonly va: number;
  readonly nameAddr: number;
  readonly nameBytes: number;
  readonly controlAddr: number;
  readonly controlBytes: number;
  readonly segments: readonly number[];
}

function readHeader(task: Task, va: number): Header | number {
  const { memory } = task;
  if (memory.load(va, MSGHDR_SIZE) !== 0) return -EFAULT;
  const view = memory.scratch;
  const u64 = (offset: number): number => view.getUint32(offset, true) + view.getUint32(offset + 4, true) * 2 ** 32;
  const nameAddr = u64(MSGHDR_MSG_NAME);
  const given = view.getInt32(MSGHDR_MSG_NAMELEN, true);
  const iovAddr = u64(MSGHDR_MSG_IOV);
  const iovCount = u64(MSGHDR_MSG_IOVLEN);
  const controlAddr = u64(MSGHDR_MSG_CONTROL);
  const controlBytes = u64(MSGHDR_MSG_CONTROLLEN);
  const nameBytes = nameAddr === 0 ? 0 : Math.min(given, SOCKADDR_MAX);
  if (nameBytes < 0) return -EINVAL;
  if (iovCount > UIO_MAXIOV) return -EMSGSIZE;
  const segments = readVector(task, iovAddr, iovCount);
  return typeof segments === "number" ? segments : { va, nameAddr, nameBytes, controlAddr, controlBytes, segments };
}

function sendOne(
  task: Task,
  socket: Socket,
  va: number,
  flags: number,
  then: (task: Task, result: number) => number | Wait,
): number | Wait {
  const header = readHeader(task, va);
  if (typeof header === "number") return then(task, header);
  const message = new Message(new IoBuffer().setUserVector(task.memory, header.segments), flags);
  if (header.nameBytes > 0) {
    const address = readAddress(task, header.nameAddr, header.nameBytes);
    if (typeof address === "number") return then(task, address);
    message.address = address;
  }
  if (header.controlAddr !== 0) {
    const error = readControl(task, socket, header.controlAddr, header.controlBytes, message);
    if (error !== 0) return then(task, error);
  }
  return sendMessage(task, socket, message, then);
}

function receiveOne(
  task: Task,
  socket: Socket,
  va: number,
  flags: number,
  then: (task: Task, result: number) => number | Wait,
): number | Wait {
  const header = readHeader(task, va);
  if (typeof header === "number") return then(task, header);
  const message = new Message(new IoBuffer().setUserVector(task.memory, header.segments), flags);
  return receiveMessage(task, socket, message, (self, result) =>
    then(self, result < 0 ? result : storeReceived(self, socket, header, message) || result),
  );
}

/** Address, control messages and flags of a received message. 0 or -EFAULT. */
function storeReceived(task: Task, socket: Socket, header: Header, message: Message): number {
  const { memory } = task;
  let error = 0;
  if (header.nameAddr !== 0) {
    const address = message.address ?? new Uint8Array(0);
    const count = Math.min(header.nameBytes, address.length);
    if (count > 0) error = memory.copyOut(header.nameAddr, address, 0, count);
    error ||= memory.writeU32(header.va + MSGHDR_MSG_NAMELEN, address.length);
  }
  let used = 0;
  if (header.controlAddr !== 0) used = writeControl(task, socket, header.controlAddr, header.controlBytes, message);
  else if (message.files !== null) {
    message.resultFlags |= MSG_CTRUNC;
    message.dropFiles();
  }
  error ||= memory.writeI64(header.va + MSGHDR_MSG_CONTROLLEN, used);
  error ||= memory.writeU32(header.va + MSGHDR_MSG_FLAGS, message.resultFlags | (message.flags & MSG_CMSG_CLOEXEC));
  return error;
}

function sys_sendmsg(task: Task, fd: number, headerAddr: number, flags: number): number | Wait {
  const socket = socketAt(task, fd);
  return typeof socket === "number" ? socket : sendOne(task, socket, headerAddr, flags, (_self, result) => result);
}

function sys_recvmsg(task: Task, fd: number, headerAddr: number, flags: number): number | Wait {
  const socket = socketAt(task, fd);
  return typeof socket === "number" ? socket : receiveOne(task, socket, headerAddr, flags, (_self, result) => result);
}

/** What a vector of messages comes to: the number done, or the first one's error. */
function vectorResult(done: number, error: number): number {
  return done > 0 ? done : error;
}

function sys_sendmmsg(task: Task, fd: number, vectorAddr: number, count: number, flags: number): number | Wait {
  const socket = socketAt(task, fd);
  if (typeof socket === "number") return socket;
  const limit = Math.min(count, UIO_MAXIOV);
  const from = (self: Task, index: number): number | Wait => {
    if (index === limit) return index;
    const va = vectorAddr + index * MMSGHDR_SIZE;
    return sendOne(self, socket, va, flags, (then, result) => {
      if (result < 0) return vectorResult(index, result);
      if (then.memory.writeU32(va + MMSGHDR_MSG_LEN, result) !== 0) return vectorResult(index, -EFAULT);
      return from(then, index + 1);
    });
  };
  return from(task, 0);
}

function sys_recvmmsg(
  task: Task,
  fd: number,
  vectorAddr: number,
  count: number,
  givenFlags: number,
  timeoutAddr: number,
): number | Wait {
  let limitNs = Number.POSITIVE_INFINITY;
  if (timeoutAddr !== 0) {
    const timeout = readTimespecNs(task.memory, timeoutAddr);
    if (timeout < 0) return timeout;
    limitNs = task.kernel.clock.monotonicNs() + timeout;
  }
  const socket = socketAt(task, fd);
  if (typeof socket === "number") return socket;
  const limit = Math.min(count, UIO_MAXIOV);
  const from = (self: Task, index: number): number | Wait => {
    // As in Linux, the time limit is looked at between messages only.
    if (index === limit || (index > 0 && self.kernel.clock.monotonicNs() >= limitNs)) return index;
    const va = vectorAddr + index * MMSGHDR_SIZE;
    let flags = givenFlags & ~MSG_WAITFORONE;
    if (index > 0 && (givenFlags & MSG_WAITFORONE) !== 0) flags |= MSG_DONTWAIT;
    return receiveOne(self, socket, va, flags, (then, result) => {
      if (result < 0) return vectorResult(index, result);
      if (then.memory.writeU32(va + MMSGHDR_MSG_LEN, result) !== 0) return vectorResult(index, -EFAULT);
      return from(then, index + 1);
    });
  };
  return from(task, 0);
}

export const MESSAGE_CALLS: readonly SyscallRow[] = [
  row(SYS_sendto, "sendto", "fd:fd buf:in_buf count:size flags:msg_flags addr:sockaddr addrlen:int", full, sys_sendto),
  row(
    SYS_recvfrom,
    "recvfrom",
    "fd:fd buf:out_buf count:size flags:msg_flags addr:ptr addrlen:int_ptr",
    full,
    sys_recvfrom,
  ),
  row(SYS_sendmsg, "sendmsg", "fd:fd msg:msghdr flags:msg_flags", full, sys_sendmsg),
  row(
    SYS_recvmsg,
    "recvmsg",
    "fd:fd msg:msghdr flags:msg_flags",
    partial("control messages: SCM_RIGHTS and SCM_CREDENTIALS"),
    sys_recvmsg,
  ),
  row(SYS_sendmmsg, "sendmmsg", "fd:fd msgvec:ptr count:uint flags:msg_flags", full, sys_sendmmsg),
  row(SYS_recvmmsg, "recvmmsg", "fd:fd msgvec:ptr count:uint flags:msg_flags timeout:timespec", full, sys_recvmmsg),
];
