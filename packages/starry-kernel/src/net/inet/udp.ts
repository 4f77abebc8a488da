/**
 * UDP over the loopback (udp(7)): datagrams from one local socket to another.
 *
 * A full receiver drops what arrives, as the protocol allows. A connected sender whose datagram finds nobody gets ECONNREFUSED with its next call
 * (what an ICMP "port unreachable" does).
 *
 * Who wakes `pollSet`: a datagram's arrival, an error, shutdown. Sending never waits.
 */
import {
  AF_UNSPEC,
  CAP_NET_ADMIN,
  EAGAIN,
  ECONNREFUSED,
  EDESTADDRREQ,
  EINVAL,
  EMSGSIZE,
  ENOPROTOOPT,
  ENOTCONN,
  EOPNOTSUPP,
  EPIPE,
  IPPROTO_UDP,
  MSG_ERRQUEUE,
  MSG_OOB,
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
import type { Maker } from "../../io/anonymous-inode.ts";
import type { Task } from "../../task/task.ts";
import type { Message } from "../message.ts";
import { MessageQueue, takePayload } from "../message-queue.ts";
import { familyOf, peeks } from "../socket.ts";
import { encodeEndpoint, type Endpoint, isIp4 } from "./address.ts";
import { InetSocket } from "./inet-socket.ts";
import type { PortTable } from "./ports.ts";

/** 65535 less the IP and UDP headers. */
const MAX_PAYLOAD_4 = 65507;
const MAX_PAYLOAD_6 = 65527;
/** What Linux charges a queued datagram beyond its bytes. */
const MESSAGE_OVERHEAD = 768;

export class UdpSocket extends InetSocket {
  readonly #ports: PortTable<UdpSocket>;
  readonly #queue: MessageQueue = new MessageQueue();
  #readShut = false;
  #writeShut = false;

  constructor(maker: Maker, ports: PortTable<UdpSocket>, family: number) {
    super(maker, family, SOCK_DGRAM, IPPROTO_UDP);
    this.#ports = ports;
    ports.sockets.add(this);
  }

  protected override get ports(): PortTable<never> {
    return this.#ports as never;
  }

  override get isStream(): boolean {
    return false;
  }

  override connect(_task: Task, address: Uint8Array): number {
    if (familyOf(address) === AF_UNSPEC) {
      this.remote = null;
      return 0;
    }
    const remote = this.destination(address);
    if (typeof remote === "number") return remote;
    const error = this.autobind();
    if (error !== 0) return error;
    this.local = { ip: this.sourceFor(remote.ip), port: this.local.port };
    this.remote = remote;
    this.#readShut = false;
    this.#writeShut = false;
    return 0;
  }

  override shutdown(_task: Task, how: number): number {
    if (how !== SHUT_RD && how !== SHUT_WR && how !== SHUT_RDWR) return -EINVAL;
    if (how !== SHUT_WR) this.#readShut = true;
    if (how !== SHUT_RD) this.#writeShut = true;
    this.pollSet.wake(POLLIN | POLLRDNORM | POLLRDHUP | POLLHUP | POLLOUT);
    return this.remote === null ? -ENOTCONN : 0;
  }

  override send(_task: Task, message: Message): number {
    if ((message.flags & MSG_OOB) !== 0) return -EOPNOTSUPP;
    if (this.error !== 0) return -this.takeError();
    if (this.#writeShut) return -EPIPE;
    const { buffer } = message;
    let target = this.remote;
    if (message.address !== null && message.address.length > 0) {
      const given = this.destination(message.address);
      if (typeof given === "number") return given;
      if (given.port === 0) return -EINVAL;
      target = given;
    }
    if (target === null) return -EDESTADDRREQ;
    if (buffer.remaining > (isIp4(target.ip) ? MAX_PAYLOAD_4 : MAX_PAYLOAD_6)) return -EMSGSIZE;
    const error = this.autobind();
    if (error !== 0) return error;
    const bytes = takePayload(buffer);
    if (typeof bytes === "number") return bytes;
    this.#deliver(bytes, target);
    return bytes.length;
  }

  #deliver(bytes: Uint8Array, target: Endpoint): void {
    const source: Endpoint = { ip: this.sourceFor(target.ip), port: this.local.port };
    const receiver = this.#ports.find(
      target.ip,
      target.port,
      ({ remote }) => remote === null || (remote.ip === source.ip && remote.port === source.port),
    );
    if (receiver === undefined) {
      if (this.remote === null || target !== this.remote) return;
      this.error = ECONNREFUSED;
      this.pollSet.wake(POLLERR | POLLIN | POLLOUT);
      return;
    }
    const queue = receiver.#queue;
    if (queue.bytes + queue.length * MESSAGE_OVERHEAD > receiver.options.receiveBytes) return;
    queue.push({ bytes, address: encodeEndpoint(source, receiver.family), files: null, credentials: null });
    receiver.pollSet.wake(POLLIN | POLLRDNORM);
  }

  override receive(_task: Task, message: Message): number {
    if ((message.flags & MSG_ERRQUEUE) !== 0) return -EAGAIN; // nothing is ever put there
    if ((message.flags & MSG_OOB) !== 0) return -EOPNOTSUPP;
    if (this.#queue.length === 0) {
      if (this.error !== 0) return -this.takeError();
      return this.#readShut ? 0 : -EAGAIN;
    }
    return this.#queue.take(message, peeks(message));
  }

  override get queuedBytes(): number {
    return this.#queue.first?.bytes.length ?? 0;
  }

  override poll(_task: Task): number {
    let events = POLLOUT | POLLWRNORM | POLLWRBAND;
    if (this.error !== 0) events |= POLLERR;
    if (this.#queue.length > 0) events |= POLLIN | POLLRDNORM;
    if (this.#readShut) events |= POLLRDHUP | POLLIN | POLLRDNORM;
    if (this.#readShut && this.#writeShut) events |= POLLHUP;
    return events;
  }

  override setProtocolOption(task: Task, level: number, name: number, value: Uint8Array): number {
    if (level !== IPPROTO_UDP) return super.setProtocolOption(task, level, name, value);
    return task.cred.hasCapability(CAP_NET_ADMIN) && name === 1 ? 0 : -ENOPROTOOPT; // UDP_CORK
  }

  override release(): void {
    this.#queue.clear();
    this.#ports.sockets.delete(this);
    super.release();
  }
}
