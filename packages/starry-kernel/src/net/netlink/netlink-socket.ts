/**
 * AF_NETLINK sockets (netlink(7)): NETLINK_ROUTE and NETLINK_SOCK_DIAG answer within the send call; the answers wait to be received.
 * NETLINK_KOBJECT_UEVENT can be opened and never has anything to say: devices do not come and go here.
 *
 * Woken: by the socket's own send.
 */
import {
  AF_NETLINK,
  EADDRINUSE,
  EAGAIN,
  EINVAL,
  EMSGSIZE,
  ENOPROTOOPT,
  EOPNOTSUPP,
  EPROTONOSUPPORT,
  ESOCKTNOSUPPORT,
  MSG_OOB,
  POLLIN,
  POLLOUT,
  POLLRDNORM,
  POLLWRNORM,
  SOCK_DGRAM,
  SOCK_RAW,
  SOL_NETLINK,
} from "linux-abi";
import type { SocketFamily } from "../../registries.ts";
import type { Task } from "../../task/task.ts";
import type { Message } from "../message.ts";
import { MessageQueue, takePayload } from "../message-queue.ts";
import { familyOf, peeks, Socket } from "../socket.ts";
import { intOption } from "../socket-options.ts";
import {
  NETLINK_KOBJECT_UEVENT,
  NETLINK_ROUTE,
  NLM_F_ACK,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_FLAGS,
  NLMSG_HEADER,
  NLMSG_LENGTH,
  NLMSG_NOOP,
  NLMSG_SEQ,
  NLMSG_TYPE,
} from "./constants.ts";
import { answerRoute, errorMessage } from "./route.ts";
import { answerSockDiag, NETLINK_SOCK_DIAG, type SocketLists } from "./sock-diag.ts";

const SOCKADDR_NL_SIZE = 12;
const NL_PID = 4;
const NL_GROUPS = 8;
/** Port numbers of a process's further sockets count down from here (Linux: negative numbers). */
const FIRST_SPARE_PORT = 0xffff_f000;

const PROTOCOLS: readonly number[] = [NETLINK_ROUTE, NETLINK_SOCK_DIAG, NETLINK_KOBJECT_UEVENT];

/** Answers to a dump are sent in packets of about this size. */
const PACKET_BYTES = 8192;

export class NetlinkSocket extends Socket {
  readonly #family: NetlinkFamily;
  /** Port id; 0: not bound. */
  portId = 0;
  #groups = 0;
  readonly #queue: MessageQueue = new MessageQueue();

  constructor(task: Task, family: NetlinkFamily, type: number, protocol: number) {
    super(task, AF_NETLINK, type, protocol, 0);
    this.#family = family;
  }

  override get isStream(): boolean {
    return false;
  }

  override bind(task: Task, address: Uint8Array): number {
    if (address.length < SOCKADDR_NL_SIZE || familyOf(address) !== AF_NETLINK) return -EINVAL;
    const view = new DataView(address.buffer, address.byteOffset, address.byteLength);
    this.#groups = view.getUint32(NL_GROUPS, true);
    const wanted = view.getUint32(NL_PID, true);
    if (this.portId !== 0) return wanted === 0 || wanted === this.portId ? 0 : -EINVAL;
    return this.#family.claim(this, wanted === 0 ? task.process.pid : wanted, wanted === 0);
  }

  override connect(task: Task, address: Uint8Array): number {
    if (address.length < SOCKADDR_NL_SIZE || familyOf(address) !== AF_NETLINK) return -EINVAL;
    return this.portId === 0 ? this.#family.claim(this, task.process.pid, true) : 0;
  }

  override name(): Uint8Array {
    return netlinkAddress(this.portId, this.#groups);
  }

  override peerName(): Uint8Array {
    return netlinkAddress(0, 0);
  }

  override send(task: Task, message: Message): number {
    if ((message.flags & MSG_OOB) !== 0) return -EOPNOTSUPP;
    if (this.portId === 0) {
      const error = this.#family.claim(this, task.process.pid, true);
      if (error !== 0) return error;
    }
    if (message.buffer.remaining > this.options.sendBytes) return -EMSGSIZE;
    const bytes = takePayload(message.buffer);
    if (typeof bytes === "number") return bytes;
    if (this.protocol !== NETLINK_KOBJECT_UEVENT) this.#handle(bytes);
    return bytes.length;
  }

  /** One or more requests in a packet. */
  #handle(packet: Uint8Array): void {
    const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
    for (let at = 0; at + NLMSG_HEADER <= packet.length; ) {
      const length = view.getUint32(at + NLMSG_LENGTH, true);
      if (length < NLMSG_HEADER || at + length > packet.length) return;
      const type = view.getUint16(at + NLMSG_TYPE, true);
      const flags = view.getUint16(at + NLMSG_FLAGS, true);
      const seq = view.getUint32(at + NLMSG_SEQ, true);
      if ((flags & NLM_F_REQUEST) !== 0 && type !== NLMSG_NOOP && type !== NLMSG_DONE) {
        const body = packet.subarray(at + NLMSG_HEADER, at + length);
        const request = { type, flags, seq, body };
        const answers =
          this.protocol === NETLINK_ROUTE
            ? answerRoute(request, this.portId)
            : answerSockDiag(this.#family.lists, request, this.portId);
        if (typeof answers !== "number") this.#reply(answers);
        const error = typeof answers === "number" ? answers : 0;
        if (error !== 0 || typeof answers === "number" || (flags & NLM_F_ACK) !== 0) {
          this.#reply([errorMessage(error, packet.subarray(at, at + NLMSG_HEADER), seq, this.portId)]);
        }
      }
      at += (length + 3) & ~3;
    }
  }

  /** Queues messages, several to a packet; the end of a dump gets one of its own, as Linux sends it. */
  #reply(messages: readonly Uint8Array[]): void {
    let packet: Uint8Array[] = [];
    let size = 0;
    const flush = (): void => {
      if (packet.length === 0) return;
      const bytes = new Uint8Array(size);
      let at = 0;
      for (const part of packet) {
        bytes.set(part, at);
        at += part.length;
      }
      this.#queue.push({ bytes, address: netlinkAddress(0, 0), files: null, credentials: null });
      packet = [];
      size = 0;
    };
    for (const message of messages) {
      const isEnd = new DataView(message.buffer, message.byteOffset).getUint16(NLMSG_TYPE, true) === NLMSG_DONE;
      if (isEnd || size + message.length > PACKET_BYTES) flush();
      packet.push(message);
      size += message.length;
    }
    flush();
    this.pollSet.wake(POLLIN | POLLRDNORM);
  }

  override receive(_task: Task, message: Message): number {
    if ((message.flags & MSG_OOB) !== 0) return -EOPNOTSUPP;
    if (this.#queue.length === 0) return this.error !== 0 ? -this.takeError() : -EAGAIN;
    return this.#queue.take(message, peeks(message));
  }

  override get queuedBytes(): number {
    return this.#queue.first?.bytes.length ?? 0;
  }

  override poll(_task: Task): number {
    return (this.#queue.length > 0 ? POLLIN | POLLRDNORM : 0) | POLLOUT | POLLWRNORM;
  }

  /** Group membership and the like: accepted, there is nothing to hear. */
  override setProtocolOption(_task: Task, level: number): number {
    return level === SOL_NETLINK ? 0 : -ENOPROTOOPT;
  }

  override getProtocolOption(_task: Task, level: number): Uint8Array | number {
    return level === SOL_NETLINK ? intOption(0) : -ENOPROTOOPT;
  }

  override release(): void {
    this.#queue.clear();
    this.#family.drop(this);
  }
}

function netlinkAddress(portId: number, groups: number): Uint8Array {
  const bytes = new Uint8Array(SOCKADDR_NL_SIZE);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_NETLINK, true);
  view.setUint32(NL_PID, portId, true);
  view.setUint32(NL_GROUPS, groups, true);
  return bytes;
}

export class NetlinkFamily implements SocketFamily {
  readonly family: number = AF_NETLINK;
  /** What sock_diag tells of. */
  readonly lists: SocketLists;
  /** By protocol × 2^32 + port id. */
  readonly #ports: Map<number, NetlinkSocket> = new Map();
  #nextSpare = FIRST_SPARE_PORT;

  constructor(lists: SocketLists) {
    this.lists = lists;
  }

  create(task: Task, type: number, protocol: number): Socket | number {
    if (type !== SOCK_RAW && type !== SOCK_DGRAM) return -ESOCKTNOSUPPORT;
    if (!PROTOCOLS.includes(protocol)) return -EPROTONOSUPPORT;
    return new NetlinkSocket(task, this, type, protocol);
  }

  createPair(): number {
    return -EOPNOTSUPP;
  }

  /** Gives `socket` a port id. `choose`: another one if `portId` is taken. 0 or -EADDRINUSE. */
  claim(socket: NetlinkSocket, portId: number, choose: boolean): number {
    let id = portId;
    while (this.#ports.has(keyOf(socket, id))) {
      if (!choose) return -EADDRINUSE;
      id = this.#nextSpare--;
    }
    this.#ports.set(keyOf(socket, id), socket);
    socket.portId = id;
    return 0;
  }

  drop(socket: NetlinkSocket): void {
    if (socket.portId !== 0) this.#ports.delete(keyOf(socket, socket.portId));
  }
}

function keyOf(socket: NetlinkSocket, portId: number): number {
  return socket.protocol * 2 ** 32 + portId;
}
