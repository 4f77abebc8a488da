/**
 * AF_UNIX stream and seqpacket sockets: two ends joined back to back, each with the queue it receives from.
 *
 * A stream's queue is a byte ring; what travels beside the bytes (descriptors, credentials) is a mark on the bytes that were sent with it. As in
 * Linux, a receive that reaches bytes with descriptors takes them and stops at the end of those bytes, and one that reports credentials
 * stops where another sender's bytes begin. A seqpacket's queue holds whole messages.
 *
 * A connect makes the server's end at once and puts it into the listener's backlog; accept hands it out.
 *
 * Who wakes `pollSet`: of the receiver, by send, by the peer's shutdown or release and (listener) by connect; of the sender, by the
 * receiver once three quarters of the queue are free (`#wakeSender`), as Linux does. `connectSet` of a listener: by accept and its release.
 */
import {
  EAGAIN,
  ECONNREFUSED,
  ECONNRESET,
  EINVAL,
  EISCONN,
  EMSGSIZE,
  ENOTCONN,
  EOPNOTSUPP,
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
  SOCK_STREAM,
} from "linux-abi";
import type { OpenFile } from "../../file.ts";
import { ByteRing } from "../../io/byte-ring.ts";
import { PollSet } from "../../poll-set.ts";
import type { Task } from "../../task/task.ts";
import { credentialsOf, type Message, type PeerCredentials } from "../message.ts";
import { MessageQueue, takePayload } from "../message-queue.ts";
import { peeks } from "../socket.ts";
import { checkAddress, UNNAMED, type UnixNames } from "./names.ts";
import { UnixSocket } from "./unix-socket.ts";

const SOMAXCONN = 4096;
/** Linux keeps room for its bookkeeping in a message. */
const MESSAGE_OVERHEAD = 32;

/** What travels beside the bytes from `start` up to `end`, counted from the beginning of the stream. */
interface Mark {
  readonly start: number;
  end: number;
  files: OpenFile[] | null;
  readonly credentials: PeerCredentials | null;
}

export class UnixStreamSocket extends UnixSocket {
  peer: UnixStreamSocket | null = null;
  /** Was connected once: after the peer is gone, writes give EPIPE instead of ENOTCONN. */
  #connected = false;
  #readShut = false;
  #writeShut = false;
  // Stream: bytes received ever minus queued = position of the ring's start.
  readonly #ring: ByteRing;
  #readPosition = 0;
  readonly #marks: Mark[] = [];
  // Seqpacket.
  readonly #messages: MessageQueue = new MessageQueue();
  // Listener.
  #backlog = -1;
  readonly #pending: UnixStreamSocket[] = [];
  readonly #acceptSet: PollSet = new PollSet();
  #listenerCredentials: PeerCredentials | null = null;
  // An accepted socket bears its listener's name.
  #acceptedName: Uint8Array | null = null;
  // Listener that a connect waits for.
  #waitingFor: UnixStreamSocket | null = null;

  constructor(task: Task, names: UnixNames, type: number, flags: number) {
    super(task, names, type, flags);
    this.#ring = new ByteRing(this.options.sendBytes);
  }

  override get isStream(): boolean {
    return this.type === SOCK_STREAM;
  }

  override get listening(): boolean {
    return this.#backlog >= 0;
  }

  get connected(): boolean {
    return this.peer !== null;
  }

  /** socketpair(2), accept: both ends know each other. */
  join(other: UnixStreamSocket): void {
    this.peer = other;
    other.peer = this;
    this.#connected = true;
    other.#connected = true;
    this.sendBufferChanged();
    other.sendBufferChanged();
  }

  override sendBufferChanged(): void {
    if (this.peer !== null) this.peer.#ring.setLimit(this.options.sendBytes);
  }

  // Connections

  override listen(task: Task, backlog: number): number {
    if (this.peer !== null || this.#connected) return -EINVAL;
    if (this.bound === null) return -EINVAL;
    const limit = backlog < 0 || backlog > SOMAXCONN ? SOMAXCONN : backlog;
    const grew = limit > this.#backlog;
    this.#backlog = limit;
    this.#listenerCredentials = credentialsOf(task);
    this.peerCredentials = this.#listenerCredentials;
    if (grew) this.#acceptSet.wake(POLLOUT);
    return 0;
  }

  override get connectSet(): PollSet {
    return this.#waitingFor === null ? this.pollSet : this.#waitingFor.#acceptSet;
  }

  override connect(task: Task, address: Uint8Array): number {
    const error = checkAddress(address);
    if (error !== 0) return error;
    if (this.listening) return -EINVAL;
    const listener = this.names.find(task, address);
    if (typeof listener === "number") return listener;
    if (!(listener instanceof UnixStreamSocket) || listener.type !== this.type) return -EPROTOTYPE;
    if (this.#connected) return -EISCONN;
    if (!listener.listening || listener.#readShut) return -ECONNREFUSED;
    if (listener.#pending.length > listener.#backlog) {
      this.#waitingFor = listener;
      return -EAGAIN;
    }
    this.#waitingFor = null;
    const end = new UnixStreamSocket(task, this.names, this.type, 0);
    end.peerCredentials = credentialsOf(task);
    end.#acceptedName = listener.name();
    end.options.passCredentials = listener.options.passCredentials;
    this.peerCredentials = listener.#listenerCredentials as PeerCredentials;
    this.join(end);
    listener.#pending.push(end);
    listener.pollSet.wake(POLLIN | POLLRDNORM);
    return 0;
  }

  override name(): Uint8Array {
    return this.#acceptedName ?? super.name();
  }

  override get sendingAddress(): Uint8Array | null {
    return this.#acceptedName ?? super.sendingAddress;
  }

  override peerName(): Uint8Array | number {
    if (this.peer === null) return this.#connected ? UNNAMED : -ENOTCONN;
    return this.peer.name();
  }

  override accept(_task: Task): UnixStreamSocket | number {
    if (!this.listening) return -EINVAL;
    const end = this.#pending.shift();
    if (end === undefined) return this.#readShut ? -EINVAL : -EAGAIN;
    this.#acceptSet.wake(POLLOUT);
    return end;
  }

  override shutdown(_task: Task, how: number): number {
    if (how !== SHUT_RD && how !== SHUT_WR && how !== SHUT_RDWR) return -EINVAL;
    if (!this.#connected && !this.listening) return -ENOTCONN;
    if (how !== SHUT_WR) this.#readShut = true;
    if (how !== SHUT_RD) this.#writeShut = true;
    const { peer } = this;
    if (peer !== null) {
      if (how !== SHUT_WR) peer.#writeShut = true;
      if (how !== SHUT_RD) peer.#readShut = true;
      peer.#wakeAll();
    }
    this.#wakeAll();
    if (this.listening) this.#acceptSet.wake(POLLOUT);
    return 0;
  }

  #wakeAll(): void {
    this.pollSet.wake(POLLIN | POLLRDNORM | POLLRDHUP | POLLHUP | POLLOUT | POLLWRNORM);
  }

  // Data

  override send(task: Task, message: Message): number {
    if ((message.flags & MSG_OOB) !== 0) return -EOPNOTSUPP;
    if (message.address !== null && message.address.length > 0) return this.#connected ? -EISCONN : -EOPNOTSUPP;
    if (this.error !== 0) return -this.takeError();
    if (!this.#connected) return -ENOTCONN;
    const { peer } = this;
    if (this.#writeShut || peer === null || peer.#readShut) return -EPIPE;
    return this.isStream ? this.#sendBytes(task, message, peer) : this.#sendMessage(task, message, peer);
  }

  #sendBytes(task: Task, message: Message, peer: UnixStreamSocket): number {
    const { buffer } = message;
    const ring = peer.#ring;
    if (buffer.remaining === 0) return 0; // Linux: descriptors need a byte to travel with
    if (ring.room === 0) return -EAGAIN;
    const start = peer.#readPosition + ring.length;
    const count = ring.writeFrom(buffer, buffer.remaining);
    if (count === 0) return buffer.result(0);
    const credentials = this.credentialsToSend(task, message, peer);
    if (message.files !== null || credentials !== null) peer.#addMark(start, start + count, message, credentials);
    peer.pollSet.wake(POLLIN | POLLRDNORM);
    return count;
  }

  #addMark(start: number, end: number, message: Message, credentials: PeerCredentials | null): void {
    const last = this.#marks[this.#marks.length - 1];
    const continues = last !== undefined && last.end === start && last.files === null && message.files === null;
    if (continues && sameCredentials(last.credentials, credentials)) {
      last.end = end;
      return;
    }
    this.#marks.push({ start, end, files: message.files, credentials });
    message.files = null;
  }

  #sendMessage(task: Task, message: Message, peer: UnixStreamSocket): number {
    const { buffer } = message;
    const limit = this.options.sendBytes;
    if (buffer.remaining > limit - MESSAGE_OVERHEAD) return -EMSGSIZE;
    if (peer.#messages.bytes >= limit) return -EAGAIN;
    const bytes = takePayload(buffer);
    if (typeof bytes === "number") return bytes;
    const credentials = this.credentialsToSend(task, message, peer);
    peer.#messages.push({ bytes, address: this.sendingAddress, files: message.files, credentials });
    message.files = null;
    peer.pollSet.wake(POLLIN | POLLRDNORM);
    return bytes.length;
  }

  override receive(_task: Task, message: Message): number {
    if ((message.flags & MSG_OOB) !== 0) return -EOPNOTSUPP;
    if (this.listening) return -EINVAL;
    const empty = this.isStream ? this.#ring.length === 0 : this.#messages.length === 0;
    if (empty) {
      if (this.error !== 0) return -this.takeError();
      if (this.#readShut || (this.#connected && this.peer === null)) return 0;
      return this.#connected ? -EAGAIN : this.isStream ? -EINVAL : -ENOTCONN;
    }
    const count = this.isStream ? this.#receiveBytes(message) : this.#messages.take(message, peeks(message));
    if (!peeks(message)) this.#wakeSender();
    return count;
  }

  #receiveBytes(message: Message): number {
    const { buffer } = message;
    const ring = this.#ring;
    const from = this.#readPosition;
    let end = from + Math.min(buffer.remaining, ring.length);
    const marks = this.#marks;
    const first = marks[0];
    if (this.options.passCredentials) {
      message.credentials = first !== undefined && first.start <= from ? first.credentials : null;
      const other = marks.find((mark) => mark.start > from && !sameCredentials(mark.credentials, message.credentials));
      if (other !== undefined) end = Math.min(end, other.start);
    }
    const withFiles = marks.find((mark) => mark.files !== null);
    if (withFiles !== undefined) end = Math.min(end, withFiles.end);
    const peek = peeks(message);
    const count = peek ? ring.copyTo(buffer, 0, end - from) : ring.readTo(buffer, end - from);
    if (count === 0) return buffer.result(0);
    const files = withFiles !== undefined && withFiles.start < from + count ? withFiles.files : null;
    if (peek) {
      message.files = files === null ? null : files.map((file) => file.get());
      return count;
    }
    if (files !== null && withFiles !== undefined) {
      message.files = files;
      withFiles.files = null;
    }
    this.#readPosition += count;
    while (marks.length > 0 && (marks[0] as Mark).end <= this.#readPosition) marks.shift();
    return count;
  }

  get #queued(): number {
    return this.isStream ? this.#ring.length : this.#messages.bytes;
  }

  #wakeSender(): void {
    const { peer } = this;
    if (peer !== null && this.#queued * 4 <= peer.options.sendBytes) peer.pollSet.wake(POLLOUT | POLLWRNORM);
  }

  override get queuedBytes(): number {
    return this.isStream ? this.#ring.length : (this.#messages.first?.bytes.length ?? 0);
  }

  override get unsentBytes(): number {
    return this.peer === null ? 0 : this.peer.#queued;
  }

  override poll(_task: Task): number {
    if (this.listening) return this.#pending.length > 0 ? POLLIN | POLLRDNORM : 0;
    let events = 0;
    const gone = this.#connected && this.peer === null;
    if (this.error !== 0) events |= POLLERR;
    if (this.#readShut || gone) events |= POLLRDHUP | POLLIN | POLLRDNORM;
    if ((this.#readShut && this.#writeShut) || gone || !this.#connected) events |= POLLHUP;
    if (this.#queued > 0) events |= POLLIN | POLLRDNORM;
    const { peer } = this;
    if (peer === null || peer.#queued * 4 <= this.options.sendBytes) events |= POLLOUT | POLLWRNORM | POLLWRBAND;
    return events;
  }

  override release(): void {
    const { peer } = this;
    this.peer = null;
    if (peer !== null) {
      peer.peer = null;
      // What the other side sent will never be read.
      if (this.#queued > 0) peer.error = ECONNRESET;
      peer.#wakeAll();
    }
    for (const end of this.#pending.splice(0)) end.put();
    this.#acceptSet.wake(POLLOUT);
    for (const mark of this.#marks) if (mark.files !== null) for (const file of mark.files) file.put();
    this.#marks.length = 0;
    this.#messages.clear();
    this.#ring.clear();
    super.release();
  }
}

function sameCredentials(a: PeerCredentials | null, b: PeerCredentials | null): boolean {
  return a === b || (a !== null && b !== null && a.pid === b.pid && a.uid === b.uid && a.gid === b.gid);
}

/** socketpair(2). */
export function unixStreamPair(
  task: Task,
  names: UnixNames,
  type: number,
  flags: number,
): readonly [UnixStreamSocket, UnixStreamSocket] {
  const a = new UnixStreamSocket(task, names, type, flags & O_NONBLOCK);
  const b = new UnixStreamSocket(task, names, type, flags & O_NONBLOCK);
  a.join(b);
  a.peerCredentials = credentialsOf(task);
  b.peerCredentials = a.peerCredentials;
  return [a, b];
}
