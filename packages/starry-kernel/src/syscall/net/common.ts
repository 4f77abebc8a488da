/** What socket calls share: finding the socket, addresses in and out, interrupted waits. */
import { EBADF, EFAULT, EINTR, EINVAL, ENOTSOCK } from "linux-abi";
import { Socket } from "../../net/socket.ts";
import type { Task } from "../../task/task.ts";
import { ERESTARTSYS, NO_DEADLINE } from "../../wait.ts";

/** sizeof(struct sockaddr_storage) */
const SOCKADDR_MAX = 128;

/** The socket behind `fd`, or -EBADF, -ENOTSOCK. */
export function socketAt(task: Task, fd: number): Socket | number {
  const file = task.files.get(fd);
  if (file === undefined) return -EBADF;
  return file instanceof Socket ? file : -ENOTSOCK;
}

/** The bytes of a sockaddr, or -EINVAL, -EFAULT. */
export function readAddress(task: Task, va: number, byteLength: number): Uint8Array | number {
  if (byteLength < 0 || byteLength > SOCKADDR_MAX) return -EINVAL;
  const bytes = new Uint8Array(byteLength);
  return task.memory.copyIn(va, bytes, 0, byteLength) === 0 ? bytes : -EFAULT;
}

/** Stores as much of `address` as the caller has room for, and its true length at `lengthAddr`. */
export function writeAddress(task: Task, address: Uint8Array, va: number, lengthAddr: number): number {
  const room = task.memory.readU32(lengthAddr);
  if (room < 0) return room;
  if (room > 0x7fff_ffff) return -EINVAL;
  const count = Math.min(room, address.length);
  if (count > 0 && task.memory.copyOut(va, address, 0, count) !== 0) return -EFAULT;
  return task.memory.writeU32(lengthAddr, address.length);
}

/** What a signal makes of a wait with this deadline: a call with a time limit is not restarted (Linux: sock_intr_errno). */
export function interrupted(deadlineNs: number): number {
  return deadlineNs === NO_DEADLINE ? -ERESTARTSYS : -EINTR;
}
