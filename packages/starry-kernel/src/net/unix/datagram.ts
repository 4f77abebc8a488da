/**
 * AF_UNIX datagram sockets: reliable messages between named sockets.
 *
 * A receiver holds at most MAX_QUEUED messages; a sender that finds it full is remembered there and woken (POLLOUT) by the next
 * receive. A receiver that is connected takes messages from its peer only.
 *
 * Who wakes `pollSet`: send of somebody to this socket (POLLIN), receive by a full destination (POLLOUT), the peer's release and shutdown.
 */
import {
  AF_UNSPEC,
  EAGAIN,
  ECONNREFUSED,
  EINVAL,
  EMSGSIZE,
  ENOTCONN,
  EOPNOTSUPP,
  EPERM,
  EPIPE,
  EPROTOTYPE,
  MSG_OOB,
  O_NONBLOCK,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLRDHUP,
  POLLRDNORM,
  POLLWRBAND,
  POLLWRNORM,
  SHUT_RD,
  SHUT_RDWR,
  SHUT_WR,
  SOCK_DGRAM,
} from "linux-abi";
import type { Task } from "../../task/task.ts";
import { credentialsOf, type Message } from "../message.ts";
import { MessageQueue, takePayload } from "../message-queue.ts";
import { familyOf, peeks } from "../socket.ts";
import { checkAddress, UNNAMED, type UnixNames } from "./names.ts";
import { UnixSocket } from "./unix-socket.ts";

/** net.unix.max_dgram_qlen: one more than this many may wait. */
const MAX_QUEUED = 10;
const MESSAGE_OVERHEAD = 32;

export class UnixDatagramSocket extends UnixSocket {
  /** Default destination; null: none, or it is gone (`#peerGone`). */
  peer: UnixDatagramSocket | null = null;
  #peerGone = false;
  #readShut = false;
  #writeShut = false;
  #closed = false;
  readonly #queue: MessageQueue = new MessageQueue();
  /** Sockets whose peer this is. */
  readonly #admirers: Set<UnixDatagramSocket> = new Set();
  /** Senders that found the queue full. */
  readonly #blocked: Set<UnixDatagramSocket> = new Set();

  override get isStream(): boolean {
    return false;
  }

  override connect(task: Task, address: Uint8Array): number {
    if (familyOf(address) === AF_UNSPEC) {
      this.#setPeer(null);
      this.#peerGone = false;
      return 0;
    }
    const error = checkAddress(address);
    if (error !== 0) return error;
    const other = this.#find(task, address);
    if (typeof other === "number") return other;
    if (other.peer !== null && other.peer !== this) return -EPERM;
    this.#setPeer(other);
    return 0;
  }

  #find(task: Task, address: Uint8Array): UnixDatagramSocket | number {
    const other = this.names.find(task, address);
    if (typeof other === "number") return other;
    return other instanceof UnixDatagramSocket ? other : -EPROTOTYPE;
  }

  #setPeer(other: UnixDatagramSocket | null): void {
    if (this.peer !== null) this.peer.#admirers.delete(this);
    this.peer = other;
    this.#peerGone = false;
    if (other !== null) other.#admirers.add(this);
  }

  join(other: UnixDatagramSocket): void {
    this.#setPeer(other);
    other.#setPeer(this);
  }

  override peerName(): Uint8Array | number {
    if (this.peer === null) return -ENOTCONN;
    return this.peer.name() ?? UNNAMED;
  }

  override shutdown(_task: Task, how: number): number {
    if (how !== SHUT_RD && how !== SHUT_WR && how !== SHUT_RDWR) return -EINVAL;
    if (this.peer === null) return -ENOTCONN;
    if (how !== SHUT_WR) this.#readShut = true;
    if (how !== SHUT_RD) this.#writeShut = true;
    this.#wakeAll();
    return 0;
  }

  #wakeAll(): void {
    this.pollSet.wake(POLLIN | POLLRDNORM | POLLRDHUP | POLLHUP | POLLOUT | POLLWRNORM);
  }

  override send(task: Task, message: Message): number {
    if ((message.flags & MSG_OOB) !== 0) return -EOPNOTSUPP;
    const { buffer, address } = message;
    let target = this.peer;
    if (address !== null && address.length > 0) {
      const error = checkAddress(address);
      if (error !== 0) return error;
      const found = this.#find(task, address);
      if (typeof found === "number") return found;
      target = found;
    }
    if (target === null) {
      if (!this.#peerGone) return -ENOTCONN;
      this.#peerGone = false;
      return -ECONNREFUSED;
    }
    if (this.#writeShut) return -EPIPE;
    if (buffer.remaining > this.options.sendBytes - MESSAGE_OVERHEAD) return -EMSGSIZE;
    if (target.#readShut) return -EPIPE;
    if (target.peer !== null && target.peer !== this) return -EPERM;
    if (target.peer !== this && target.#full) {
      target.#blocked.add(this);
      return -EAGAIN;
    }
    if (target.#queue.bytes >= this.options.sendBytes) {
      target.#blocked.add(this);
      return -EAGAIN;
    }
    const bytes = takePayload(buffer);
    if (typeof bytes === "number") return bytes;
    const credentials = this.credentialsToSend(task, message, target);
    target.#queue.push({ bytes, address: this.sendingAddress, files: message.files, credentials });
    message.files = null;
    target.pollSet.wake(POLLIN | POLLRDNORM);
    return bytes.length;
  }

  get #full(): boolean {
    return this.#queue.length > MAX_QUEUED;
  }

  override receive(_task: Task, message: Message): number {
    if ((message.flags & MSG_OOB) !== 0) return -EOPNOTSUPP;
    if (this.#queue.length === 0) {
      if (this.error !== 0) return -this.takeError();
      return this.#readShut ? 0 : -EAGAIN;
    }
    const count = this.#queue.take(message, peeks(message));
    if (!peeks(message) && this.#blocked.size > 0 && !this.#full) {
      const senders = [...this.#blocked];
      this.#blocked.clear();
      for (const sender of senders) sender.pollSet.wake(POLLOUT | POLLWRNORM);
    }
    return count;
  }

  override get queuedBytes(): number {
    return this.#queue.first?.bytes.length ?? 0;
  }

  override poll(_task: Task): number {
    let events = this.error !== 0 ? POLLERR : 0;
    if (this.#queue.length > 0) events |= POLLIN | POLLRDNORM;
    if (this.#readShut) events |= POLLRDHUP | POLLIN | POLLRDNORM;
    if (this.#readShut && this.#writeShut) events |= POLLHUP;
    const { peer } = this;
    if (peer === null || peer.peer === this || !peer.#full) events |= POLLOUT | POLLWRNORM | POLLWRBAND;
    else peer.#blocked.add(this); // whoever polls wants to be told
    return events;
  }

  override release(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#setPeer(null);
    for (const admirer of this.#admirers) {
      admirer.peer = null;
      admirer.#peerGone = true;
      admirer.#wakeAll();
    }
    this.#admirers.clear();
    for (const sender of this.#blocked) sender.#wakeAll();
    this.#blocked.clear();
    this.#queue.clear();
    super.release();
  }
}

/** socketpair(2). */
export function unixDatagramPair(
  task: Task,
  names: UnixNames,
  flags: number,
): readonly [UnixDatagramSocket, UnixDatagramSocket] {
  const a = new UnixDatagramSocket(task, names, SOCK_DGRAM, flags & O_NONBLOCK);
  const b = new UnixDatagramSocket(task, names, SOCK_DGRAM, flags & O_NONBLOCK);
  a.join(b);
  a.peerCredentials = credentialsOf(task);
  b.peerCredentials = a.peerCredentials;
  return [a, b];
}
