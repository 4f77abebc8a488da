/**
 * What all sockets have in common. A family's socket overrides what its protocol can do.
 *
 * As every OpenFile, a socket never waits: -EAGAIN and `pollSet`. The system calls (syscall/net/) and io-wait.ts turn that into waits;
 * SO_RCVTIMEO and SO_SNDTIMEO reach them through the deadline hooks.
 */
import {
  AF_UNSPEC,
  EINVAL,
  ENOPROTOOPT,
  ENOTCONN,
  EOPNOTSUPP,
  FIONREAD,
  MSG_PEEK,
  O_NONBLOCK,
  O_RDWR,
  S_IFSOCK,
  SIOCATMARK,
  SOL_SOCKET,
  TIOCOUTQ,
} from "linux-abi";
import type { Inode } from "vfs-inode";
import { OpenFile } from "../file.ts";
import { anonymousInode, type Maker } from "../io/anonymous-inode.ts";
import type { IoBuffer } from "../io-buffer.ts";
import type { PollSet } from "../poll-set.ts";
import type { Task } from "../task/task.ts";
import { NO_DEADLINE } from "../wait.ts";
import { interfaceIoctl } from "./interface-ioctl.ts";
import { type Message, plainMessage } from "./message.ts";
import { type OptionOwner, SocketOptions } from "./socket-options.ts";

export abstract class Socket extends OpenFile implements OptionOwner {
  /** AF_* */
  readonly family: number;
  /** SOCK_* without flags. */
  readonly type: number;
  readonly protocol: number;
  readonly options: SocketOptions = new SocketOptions();
  /** Asynchronous error: errno for the next call, or 0. */
  error = 0;
  readonly #inode: Inode;

  /** `flags`: O_NONBLOCK or 0. */
  constructor(maker: Maker, family: number, type: number, protocol: number, flags: number) {
    super(O_RDWR | (flags & O_NONBLOCK));
    this.family = family;
    this.type = type;
    this.protocol = protocol;
    this.#inode = anonymousInode(maker, S_IFSOCK | 0o777);
  }

  override get inode(): Inode {
    return this.#inode;
  }

  get ino(): number {
    return this.#inode.ino;
  }

  override get anonymousName(): string {
    return `socket:[${this.#inode.ino}]`;
  }

  get listening(): boolean {
    return false;
  }

  takeError(): number {
    const error = this.error;
    this.error = 0;
    return error;
  }

  sendBufferChanged(): void {}

  // Protocol operations. Addresses are sockaddr bytes, at least the two of the family.

  abstract bind(task: Task, address: Uint8Array): number;

  listen(_task: Task, _backlog: number): number {
    return -EOPNOTSUPP;
  }

  /** The next connection, or -EAGAIN. */
  accept(_task: Task): Socket | number {
    return -EOPNOTSUPP;
  }

  /**
   * 0, an error, or -EAGAIN: cannot even begin now, try again when `connectSet` wakes (full backlog of a local listener);
   * -EINPROGRESS: under way, `connectResult` tells the end once `pollSet` wakes.
   */
  abstract connect(task: Task, address: Uint8Array): number;

  get connectSet(): PollSet {
    return this.pollSet;
  }

  /** 0, an error, or -EINPROGRESS. */
  connectResult(): number {
    return 0;
  }

  abstract name(): Uint8Array;

  /** -ENOTCONN without a peer. */
  peerName(): Uint8Array | number {
    return -ENOTCONN;
  }

  /** Takes from message.buffer. The count, or -EAGAIN and others. */
  abstract send(task: Task, message: Message): number;

  /** Puts into message.buffer. The count (0: end of stream), or -EAGAIN and others. */
  abstract receive(task: Task, message: Message): number;

  /** Stream semantics: counts may be short, MSG_WAITALL makes sense. */
  abstract get isStream(): boolean;

  shutdown(_task: Task, _how: number): number {
    return -EOPNOTSUPP;
  }

  /** Options beyond SOL_SOCKET. */
  setProtocolOption(_task: Task, _level: number, _name: number, _value: Uint8Array): number {
    return -ENOPROTOOPT;
  }

  getProtocolOption(_task: Task, _level: number, _name: number): Uint8Array | number {
    return -ENOPROTOOPT;
  }

  setOption(task: Task, level: number, name: number, value: Uint8Array): number {
    return level === SOL_SOCKET
      ? this.options.set(task, this, name, value)
      : this.setProtocolOption(task, level, name, value);
  }

  getOption(task: Task, level: number, name: number): Uint8Array | number {
    if (level !== SOL_SOCKET) return this.getProtocolOption(task, level, name);
    const own = this.getProtocolOption(task, level, name);
    return own === -ENOPROTOOPT ? this.options.get(this, name) : own;
  }

  /** Bytes that a receive could return now. */
  abstract get queuedBytes(): number;

  /** Bytes sent that the other side has not taken. */
  get unsentBytes(): number {
    return 0;
  }

  // OpenFile

  override get completesWrites(): boolean {
    return this.isStream;
  }

  override read(task: Task, buffer: IoBuffer, _offset: number): number {
    if (buffer.remaining === 0 && this.isStream) return 0;
    const message = plainMessage(buffer);
    const count = this.receive(task, message);
    message.dropFiles();
    return count;
  }

  override write(task: Task, buffer: IoBuffer, _offset: number): number {
    return this.send(task, plainMessage(buffer));
  }

  override readDeadlineNs(task: Task, current: number): number {
    const timeout = this.options.receiveTimeoutNs;
    return current !== NO_DEADLINE || timeout === NO_DEADLINE ? current : task.kernel.clock.monotonicNs() + timeout;
  }

  override writeDeadlineNs(task: Task, current: number): number {
    const timeout = this.options.sendTimeoutNs;
    return current !== NO_DEADLINE || timeout === NO_DEADLINE ? current : task.kernel.clock.monotonicNs() + timeout;
  }

  override ioctl(task: Task, request: number, argument: number): number {
    switch (request) {
      case FIONREAD:
        return this.listening ? -EINVAL : task.memory.writeU32(argument, this.queuedBytes);
      case TIOCOUTQ:
        return this.listening ? -EINVAL : task.memory.writeU32(argument, this.unsentBytes);
      case SIOCATMARK:
        return task.memory.writeU32(argument, 0);
      default:
        return interfaceIoctl(task, request, argument);
    }
  }
}

/** The family field of a sockaddr; AF_UNSPEC for one too short to have it. */
export function familyOf(address: Uint8Array): number {
  return address.length < 2 ? AF_UNSPEC : (address[0] as number) | ((address[1] as number) << 8);
}

export function peeks(message: Message): boolean {
  return (message.flags & MSG_PEEK) !== 0;
}
