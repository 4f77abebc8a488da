/**
 * Control messages of sendmsg and recvmsg (cmsg(3)): descriptors and credentials.
 *
 *   struct cmsghdr { u64 len; i32 level; i32 type; } data, padded to 8
 */
import {
  AF_UNIX,
  CAP_SETGID,
  CAP_SETUID,
  CAP_SYS_ADMIN,
  CMSGHDR_CMSG_LEN,
  CMSGHDR_CMSG_LEVEL,
  CMSGHDR_CMSG_TYPE,
  CMSGHDR_SIZE,
  EBADF,
  EFAULT,
  EINVAL,
  ENOBUFS,
  EPERM,
  MSG_CMSG_CLOEXEC,
  MSG_CTRUNC,
  SCM_CREDENTIALS,
  SCM_RIGHTS,
  SOL_SOCKET,
  UCRED_GID,
  UCRED_PID,
  UCRED_SIZE,
  UCRED_UID,
} from "linux-abi";
import type { OpenFile } from "../../file.ts";
import { installFile } from "../../io/install-file.ts";
import { type Message, NO_CREDENTIALS, type PeerCredentials } from "../../net/message.ts";
import type { Socket } from "../../net/socket.ts";
import type { Task } from "../../task/task.ts";

/** net.core.optmem_max */
const MAX_CONTROL_BYTES = 20480;
/** SCM_MAX_FD */
const MAX_FDS = 253;

function align8(n: number): number {
  return (n + 7) & ~7;
}

/** Reads the control messages at `va` into `message`. 0 or -errno; then the message holds no files. */
export function readControl(task: Task, socket: Socket, va: number, byteLength: number, message: Message): number {
  if (byteLength === 0) return 0;
  if (byteLength > MAX_CONTROL_BYTES) return -ENOBUFS;
  const bytes = new Uint8Array(byteLength);
  if (task.memory.copyIn(va, bytes, 0, byteLength) !== 0) return -EFAULT;
  const view = new DataView(bytes.buffer);
  for (let at = 0; at + CMSGHDR_SIZE <= byteLength; ) {
    const length = view.getUint32(at + CMSGHDR_CMSG_LEN, true);
    const tooLong = view.getUint32(at + CMSGHDR_CMSG_LEN + 4, true) !== 0 || at + length > byteLength;
    const error = length < CMSGHDR_SIZE || tooLong ? -EINVAL : readOne(task, socket, view, at, length, message);
    if (error !== 0) {
      message.dropFiles();
      return error;
    }
    at += align8(length);
  }
  return 0;
}

function readOne(task: Task, socket: Socket, view: DataView, at: number, length: number, message: Message): number {
  // Messages of other levels (IP_PKTINFO ...) ask for nothing that the loopback could do differently.
  if (view.getInt32(at + CMSGHDR_CMSG_LEVEL, true) !== SOL_SOCKET || socket.family !== AF_UNIX) return 0;
  const data = at + CMSGHDR_SIZE;
  const dataBytes = length - CMSGHDR_SIZE;
  switch (view.getInt32(at + CMSGHDR_CMSG_TYPE, true)) {
    case SCM_RIGHTS:
      return readRights(task, view, data, Math.floor(dataBytes / 4), message);
    case SCM_CREDENTIALS:
      return dataBytes === UCRED_SIZE ? readCredentials(task, view, data, message) : -EINVAL;
    default:
      return -EINVAL;
  }
}

function readRights(task: Task, view: DataView, at: number, count: number, message: Message): number {
  const files = (message.files ??= []);
  if (files.length + count > MAX_FDS) return -EINVAL;
  for (let i = 0; i < count; i++) {
    const file = task.files.peek(view.getInt32(at + 4 * i, true));
    if (file === undefined) return -EBADF;
    files.push(file.get());
  }
  if (files.length === 0) message.files = null;
  return 0;
}

function readCredentials(task: Task, view: DataView, at: number, message: Message): number {
  const pid = view.getInt32(at + UCRED_PID, true);
  const uid = view.getUint32(at + UCRED_UID, true);
  const gid = view.getUint32(at + UCRED_GID, true);
  const { cred } = task;
  if (pid !== task.process.pid && !cred.hasCapability(CAP_SYS_ADMIN)) return -EPERM;
  if (uid !== cred.uid && uid !== cred.euid && uid !== cred.suid && !cred.hasCapability(CAP_SETUID)) return -EPERM;
  if (gid !== cred.gid && gid !== cred.egid && gid !== cred.sgid && !cred.hasCapability(CAP_SETGID)) return -EPERM;
  message.credentials = { pid, uid, gid };
  return 0;
}

/**
 * Stores what came with `message` at `va`. Returns the bytes used; what does not fit sets MSG_CTRUNC in message.resultFlags and is dropped. The
 * files become descriptors.
 */
export function writeControl(task: Task, socket: Socket, va: number, byteLength: number, message: Message): number {
  let used = 0;
  if (socket.family === AF_UNIX && socket.options.passCredentials) {
    used = writeCredentials(task, va, byteLength, message.credentials ?? NO_CREDENTIALS, message);
  }
  const files = message.files;
  message.files = null;
  if (files === null) return used;
  return used + writeRights(task, va + used, byteLength - used, files, message);
}

function writeCredentials(
  task: Task,
  va: number,
  room: number,
  credentials: PeerCredentials,
  message: Message,
): number {
  const length = CMSGHDR_SIZE + UCRED_SIZE;
  if (room < length) {
    message.resultFlags |= MSG_CTRUNC;
    return 0;
  }
  const { scratch } = task.memory;
  putHeader(scratch, length, SCM_CREDENTIALS);
  scratch.setInt32(CMSGHDR_SIZE + UCRED_PID, credentials.pid, true);
  scratch.setUint32(CMSGHDR_SIZE + UCRED_UID, credentials.uid, true);
  scratch.setUint32(CMSGHDR_SIZE + UCRED_GID, credentials.gid, true);
  if (task.memory.store(va, length) !== 0) return 0;
  return Math.min(align8(length), room);
}

function writeRights(task: Task, va: number, room: number, files: readonly OpenFile[], message: Message): number {
  const fit = Math.max(0, Math.min(files.length, Math.floor((room - CMSGHDR_SIZE) / 4)));
  const closeOnExec = (message.flags & MSG_CMSG_CLOEXEC) !== 0;
  const fds: number[] = [];
  files.forEach((file, i) => {
    if (i >= fit || fds.length < i) {
      file.put();
      return;
    }
    const fd = installFile(task, file, closeOnExec);
    if (fd >= 0) fds.push(fd);
  });
  if (fds.length < files.length) message.resultFlags |= MSG_CTRUNC;
  if (fds.length === 0) return 0;
  const length = CMSGHDR_SIZE + 4 * fds.length;
  const { scratch } = task.memory;
  putHeader(scratch, length, SCM_RIGHTS);
  fds.forEach((fd, i) => {
    scratch.setInt32(CMSGHDR_SIZE + 4 * i, fd, true);
  });
  if (task.memory.store(va, length) !== 0) return 0;
  return Math.min(align8(length), room);
}

function putHeader(scratch: DataView, length: number, type: number): void {
  scratch.setUint32(CMSGHDR_CMSG_LEN, length, true);
  scratch.setUint32(CMSGHDR_CMSG_LEN + 4, 0, true);
  scratch.setInt32(CMSGHDR_CMSG_LEVEL, SOL_SOCKET, true);
  scratch.setInt32(CMSGHDR_CMSG_TYPE, type, true);
}
