/** socket(2), socketpair(2), bind(2), listen(2), accept(2), connect(2), getsockname(2), getpeername(2), shutdown(2). */
import {
  EAFNOSUPPORT,
  EAGAIN,
  EALREADY,
  EINPROGRESS,
  EINVAL,
  O_NONBLOCK,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SYS_accept,
  SYS_accept4,
  SYS_bind,
  SYS_connect,
  SYS_getpeername,
  SYS_getsockname,
  SYS_listen,
  SYS_shutdown,
  SYS_socket,
  SYS_socketpair,
} from "linux-abi";
import { installFile, installPair } from "../../io/install-file.ts";
import type { Socket } from "../../net/socket.ts";
import type { SocketFamily } from "../../registries.ts";
import type { Task } from "../../task/task.ts";
import { NO_DEADLINE, Wait, WAKE_SIGNAL, WAKE_TIMEOUT } from "../../wait.ts";
import { full, partial, row, type SyscallRow } from "../row.ts";
import { interrupted, readAddress, socketAt, writeAddress } from "./common.ts";

const TYPE_MASK = 0xf;
const SOCK_MAX = 11;

/** The family for a socket call, or -EINVAL, -EAFNOSUPPORT. */
function familyFor(task: Task, family: number, typeAndFlags: number): SocketFamily | number {
  if ((typeAndFlags & ~(TYPE_MASK | SOCK_NONBLOCK | SOCK_CLOEXEC)) !== 0) return -EINVAL;
  const found = task.kernel.socketFamilies.get(family);
  if (found === undefined) return -EAFNOSUPPORT;
  return (typeAndFlags & TYPE_MASK) >= SOCK_MAX ? -EINVAL : found;
}

function sys_socket(task: Task, family: number, typeAndFlags: number, protocol: number): number {
  const found = familyFor(task, family, typeAndFlags);
  if (typeof found === "number") return found;
  const made = found.create(task, typeAndFlags & TYPE_MASK, protocol);
  if (typeof made === "number") return made;
  if ((typeAndFlags & SOCK_NONBLOCK) !== 0) made.flags |= O_NONBLOCK;
  return installFile(task, made, (typeAndFlags & SOCK_CLOEXEC) !== 0);
}

function sys_socketpair(task: Task, family: number, typeAndFlags: number, protocol: number, fdsAddr: number): number {
  const found = familyFor(task, family, typeAndFlags);
  if (typeof found === "number") return found;
  const made = found.createPair(task, typeAndFlags & TYPE_MASK, protocol);
  if (typeof made === "number") return made;
  const [a, b] = made;
  if ((typeAndFlags & SOCK_NONBLOCK) !== 0) {
    a.flags |= O_NONBLOCK;
    b.flags |= O_NONBLOCK;
  }
  return installPair(task, fdsAddr, a, b, (typeAndFlags & SOCK_CLOEXEC) !== 0);
}

function sys_bind(task: Task, fd: number, addressAddr: number, byteLength: number): number {
  const socket = socketAt(task, fd);
  if (typeof socket === "number") return socket;
  const address = readAddress(task, addressAddr, byteLength);
  return typeof address === "number" ? address : socket.bind(task, address);
}

function sys_listen(task: Task, fd: number, backlog: number): number {
  const socket = socketAt(task, fd);
  return typeof socket === "number" ? socket : socket.listen(task, backlog);
}

// accept

function accept(task: Task, fd: number, addressAddr: number, lengthAddr: number, flags: number): number | Wait {
  if ((flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) !== 0) return -EINVAL;
  const listener = socketAt(task, fd);
  if (typeof listener === "number") return listener;
  const deliver = (self: Task, end: Socket): number => {
    if ((flags & SOCK_NONBLOCK) !== 0) end.flags |= O_NONBLOCK;
    if (addressAddr !== 0) {
      const name = end.peerName();
      const error = writeAddress(self, typeof name === "number" ? new Uint8Array(0) : name, addressAddr, lengthAddr);
      if (error !== 0) {
        end.put();
        return error;
      }
    }
    return installFile(self, end, (flags & SOCK_CLOEXEC) !== 0);
  };
  const first = listener.accept(task);
  if (typeof first !== "number") return deliver(task, first);
  if (first !== -EAGAIN || (listener.flags & O_NONBLOCK) !== 0) return first;
  listener.get();
  // Woken by a connect to the listener (POLLIN) or its shutdown.
  const deadlineNs = listener.readDeadlineNs(task, NO_DEADLINE);
  const wait = new Wait(
    "inet_csk_accept",
    listener.pollSet,
    (self, reason) => {
      const end = listener.accept(self);
      if (end === -EAGAIN && reason !== WAKE_SIGNAL && reason !== WAKE_TIMEOUT) return wait;
      let result = end;
      if (typeof end !== "number") result = deliver(self, end);
      else if (end === -EAGAIN && reason === WAKE_SIGNAL) result = interrupted(deadlineNs);
      listener.put();
      return result as number;
    },
    deadlineNs,
    POLLIN | POLLHUP | POLLERR,
  );
  return wait;
}

function sys_accept(task: Task, fd: number, addressAddr: number, lengthAddr: number): number | Wait {
  return accept(task, fd, addressAddr, lengthAddr, 0);
}

function sys_accept4(task: Task, fd: number, addressAddr: number, lengthAddr: number, flags: number): number | Wait {
  return accept(task, fd, addressAddr, lengthAddr, flags);
}

// connect

function sys_connect(task: Task, fd: number, addressAddr: number, byteLength: number): number | Wait {
  const socket = socketAt(task, fd);
  if (typeof socket === "number") return socket;
  const address = readAddress(task, addressAddr, byteLength);
  if (typeof address === "number") return address;
  const result = socket.connect(task, address);
  if ((socket.flags & O_NONBLOCK) !== 0) return result;
  if (result === -EAGAIN) return waitForBacklog(task, socket, address);
  if (result !== -EINPROGRESS && result !== -EALREADY) return result;
  const end = socket.connectResult();
  return end === -EINPROGRESS ? waitForConnection(task, socket) : end;
}

/** The listener's backlog is full: begin again when it has room. Woken by accept and by the listener's end. */
function waitForBacklog(task: Task, socket: Socket, address: Uint8Array): Wait {
  socket.get();
  const deadlineNs = socket.writeDeadlineNs(task, NO_DEADLINE);
  const wait = new Wait(
    "unix_wait_for_peer",
    socket.connectSet,
    (self, reason) => {
      let result = reason === WAKE_SIGNAL ? interrupted(deadlineNs) : socket.connect(self, address);
      if (result === -EAGAIN && reason !== WAKE_TIMEOUT) {
        wait.on = socket.connectSet;
        return wait;
      }
      if (result === -EINPROGRESS) result = socket.connectResult();
      socket.put();
      return result;
    },
    deadlineNs,
  );
  return wait;
}

/** Woken by the listener's accept, or its end. */
function waitForConnection(task: Task, socket: Socket): Wait {
  socket.get();
  const deadlineNs = socket.writeDeadlineNs(task, NO_DEADLINE);
  const wait = new Wait(
    "inet_wait_for_connect",
    socket.pollSet,
    (_self, reason) => {
      let result = socket.connectResult();
      if (result === -EINPROGRESS && reason === WAKE_SIGNAL) result = interrupted(deadlineNs);
      else if (result === -EINPROGRESS && reason !== WAKE_TIMEOUT) return wait;
      socket.put();
      return result;
    },
    deadlineNs,
    POLLOUT | POLLHUP | POLLERR,
  );
  return wait;
}

function sys_getsockname(task: Task, fd: number, addressAddr: number, lengthAddr: number): number {
  const socket = socketAt(task, fd);
  return typeof socket === "number" ? socket : writeAddress(task, socket.name(), addressAddr, lengthAddr);
}

function sys_getpeername(task: Task, fd: number, addressAddr: number, lengthAddr: number): number {
  const socket = socketAt(task, fd);
  if (typeof socket === "number") return socket;
  const name = socket.peerName();
  return typeof name === "number" ? name : writeAddress(task, name, addressAddr, lengthAddr);
}

function sys_shutdown(task: Task, fd: number, how: number): number {
  const socket = socketAt(task, fd);
  return typeof socket === "number" ? socket : socket.shutdown(task, how);
}

export const SOCKET_CALLS: readonly SyscallRow[] = [
  row(
    SYS_socket,
    "socket",
    "family:family type:socket_type protocol:int",
    partial("AF_UNIX; AF_INET and AF_INET6 (TCP and UDP) on the loopback; AF_NETLINK route and uevent"),
    sys_socket,
  ),
  row(SYS_socketpair, "socketpair", "family:family type:socket_type protocol:int fds:fd_pair", full, sys_socketpair),
  row(SYS_bind, "bind", "fd:fd addr:sockaddr addrlen:int", full, sys_bind),
  row(SYS_listen, "listen", "fd:fd backlog:int", full, sys_listen),
  row(SYS_accept, "accept", "fd:fd addr:ptr addrlen:int_ptr", full, sys_accept),
  row(SYS_accept4, "accept4", "fd:fd addr:ptr addrlen:int_ptr flags:socket_type", full, sys_accept4),
  row(SYS_connect, "connect", "fd:fd addr:sockaddr addrlen:int", full, sys_connect),
  row(SYS_getsockname, "getsockname", "fd:fd addr:ptr addrlen:int_ptr", full, sys_getsockname),
  row(SYS_getpeername, "getpeername", "fd:fd addr:ptr addrlen:int_ptr", full, sys_getpeername),
  row(SYS_shutdown, "shutdown", "fd:fd how:int", full, sys_shutdown),
];
