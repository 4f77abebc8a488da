/**
 * TCP over the loopback: stream semantics of tcp(7) without segments. Two connected sockets hold each other; what one sends is put straight into
 * the queue the other receives from.
 *
 *   CLOSED ─ listen → LISTEN        CLOSED ─ connect → SYN_SENT → ESTABLISHED ─ shutdown/close/reset → CLOSED
 *
 * A connection is made when the listener's backlog has room: at once, or (SYN_SENT) when accept makes room. A blocking connect sees the result
 * within the call; a non-blocking one always gets EINPROGRESS first, as on Linux, whose handshake runs behind the socket's lock.
 *
 * Closing with unread bytes, or with SO_LINGER 0, resets: the peer gets ECONNRESET after what it had received before. Writing to a socket
 * that its owner has closed works once and then gives EPIPE.
 *
 * Who wakes `pollSet`: the peer's send, shutdown, close, reset; the peer's receive once a third of the queue is free (POLLOUT); for a connecting
 * socket the listener's accept or end; for a listener an arriving connection.
 */
import {
  AF_UNSPEC,
  EADDRINUSE,
  EAGAIN,
  EALREADY,
  ECONNREFUSED,
  ECONNRESET,
  EINPROGRESS,
  EINVAL,
  EISCONN,
  ENOPROTOOPT,
  ENOTCONN,
  EPIPE,
  IPPROTO_TCP,
  MSG_OOB,
  MSG_TRUNC,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLRDHUP,
  POLLRDNORM,
  POLLWRNORM,
  SHUT_RD,
  SHUT_RDWR,
  SHUT_WR,
  SOCK_STREAM,
  TCP_CONGESTION,
  TCP_DEFER_ACCEPT,
  TCP_INFO,
  TCP_KEEPCNT,
  TCP_KEEPIDLE,
  TCP_KEEPINTVL,
  TCP_MAXSEG,
  TCP_SYNCNT,
  TCP_ULP,
} from "linux-abi";
import type { Maker } from "../../io/anonymous-inode.ts";
import { ByteRing } from "../../io/byte-ring.ts";
import type { Task } from "../../task/task.ts";
import type { Message } from "../message.ts";
import { familyOf, peeks } from "../socket.ts";
import { intOption } from "../socket-options.ts";
import { encodeEndpoint, type Endpoint } from "./address.ts";
import { InetSocket, optionKey } from "./inet-socket.ts";
import type { PortTable } from "./ports.ts";

/** Bytes in flight and in the receiver's queue together. */
const QUEUE_BYTES = 262144;
/** A writer is woken when a third of the queue is free (Linux: sk_stream_is_writeable). */
const WRITABLE_BELOW = (QUEUE_BYTES / 3) * 2;
const SOMAXCONN = 4096;

// TCP_INFO and /proc/net/tcp states (net/tcp_states.h)
export const TCP_ESTABLISHED = 1;
export const TCP_SYN_SENT = 2;
export const TCP_FIN_WAIT2 = 5;
export const TCP_CLOSE = 7;
export const TCP_CLOSE_WAIT = 8;
export const TCP_LISTEN = 10;

const MSS = 65483; // lo's MTU less the headers and a timestamp option
const TCP_INFO_BYTES = 104;
const DEFAULTS: ReadonlyMap<number, number> = new Map([
  [TCP_MAXSEG, MSS],
  [TCP_KEEPIDLE, 7200],
  [TCP_KEEPINTVL, 75],
  [TCP_KEEPCNT, 9],
  [TCP_SYNCNT, 6],
  [TCP_DEFER_ACCEPT, 0],
]);
const LAST_TCP_OPTION = 37;

export class TcpSocket extends InetSocket {
  readonly #ports: PortTable<TcpSocket>;
  readonly #maker: Maker;
  state: number = TCP_CLOSE;
  #peer: TcpSocket | null = null;
  readonly #ring: ByteRing = new ByteRing(QUEUE_BYTES);
  /** The peer will send no more; nobody will read any more. */
  #readShut = false;
  #writeShut = false;
  /** The peer's owner has closed it: one more write is accepted and lost. */
  #peerClosed = false;
  #everConnected = false;
  // Listener: connections to accept, and sockets that wait to become such.
  #backlog = 0;
  readonly #pending: TcpSocket[] = [];
  readonly #arriving: TcpSocket[] = [];
  // The listener this connecting socket waits for.
  #target: TcpSocket | null = null;
  // A connect that has ended and has not been asked about.
  #connectUnreported = false;

  constructor(maker: Maker, ports: PortTable<TcpSocket>, family: number) {
    super(maker, family, SOCK_STREAM, IPPROTO_TCP);
    this.#ports = ports;
    this.#maker = { kernel: maker.kernel, cred: maker.cred };
    ports.sockets.add(this);
  }

  protected override get ports(): PortTable<never> {
    return this.#ports as never;
  }

  override get isStream(): boolean {
    return true;
  }

  override get listening(): boolean {
    return this.state === TCP_LISTEN;
  }

  // Connections

  override listen(_task: Task, backlog: number): number {
    if (this.state !== TCP_CLOSE && this.state !== TCP_LISTEN) return -EINVAL;
    const error = this.autobind();
    if (error !== 0) return error;
    if (this.#ports.hasOtherListener(this)) return -EADDRINUSE;
    this.#backlog = backlog < 0 || backlog > SOMAXCONN ? SOMAXCONN : backlog;
    this.state = TCP_LISTEN;
    this.#admit();
    return 0;
  }

  override connect(_task: Task, address: Uint8Array): number {
    if (familyOf(address) === AF_UNSPEC) return this.#disconnect();
    if (this.state === TCP_SYN_SENT) return -EALREADY;
    if (this.#connectUnreported) {
      this.#connectUnreported = false;
      if (this.error !== 0) return -this.takeError();
      if (this.state === TCP_ESTABLISHED) return 0;
    }
    if (this.state !== TCP_CLOSE) return this.state === TCP_LISTEN ? -EINVAL : -EISCONN;
    const remote = this.destination(address);
    if (typeof remote === "number") return remote;
    const error = this.local.port === 0 ? this.bindTo(this.sourceFor(remote.ip), 0) : 0;
    if (error !== 0) return error;
    this.local = { ip: this.sourceFor(remote.ip), port: this.local.port };
    this.remote = remote;
    this.#readShut = false;
    this.#writeShut = false;
    this.error = 0;
    this.state = TCP_SYN_SENT;
    const listener = this.#ports.find(remote.ip, remote.port, (socket) => socket.listening);
    if (listener === undefined) this.#refuse();
    else {
      this.#target = listener;
      listener.#arriving.push(this);
      listener.#admit();
    }
    return -EINPROGRESS;
  }

  override connectResult(): number {
    if (this.state === TCP_SYN_SENT) return -EINPROGRESS;
    this.#connectUnreported = false;
    return this.error !== 0 ? -this.takeError() : 0;
  }

  #refuse(): void {
    this.#target = null;
    this.error = ECONNREFUSED;
    this.state = TCP_CLOSE;
    this.remote = null;
    this.#connectUnreported = true;
    this.#wakeAll();
  }

  /** Makes connections of the arrived sockets while the backlog has room. Linux admits one more than `backlog`. */
  #admit(): void {
    while (this.#arriving.length > 0 && this.#pending.length <= this.#backlog) {
      const client = this.#arriving.shift() as TcpSocket;
      const end = new TcpSocket(this.#maker, this.#ports, this.family);
      end.v6only = this.v6only;
      end.local = client.remote as Endpoint;
      end.remote = client.local;
      end.options.lingerOn = this.options.lingerOn;
      end.options.lingerSec = this.options.lingerSec;
      for (const [key, value] of this.remembered) end.remembered.set(key, value);
      client.#target = null;
      client.#establish(end);
      end.#establish(client);
      client.#connectUnreported = true;
      this.#pending.push(end);
      client.#wakeAll();
      this.pollSet.wake(POLLIN | POLLRDNORM);
    }
  }

  #establish(peer: TcpSocket): void {
    this.#peer = peer;
    this.state = TCP_ESTABLISHED;
    this.#everConnected = true;
  }

  override accept(_task: Task): TcpSocket | number {
    if (this.state !== TCP_LISTEN) return -EINVAL;
    const end = this.#pending.shift();
    if (end === undefined) return -EAGAIN;
    this.#admit();
    return end;
  }

  /** connect(AF_UNSPEC). */
  #disconnect(): number {
    if (this.state === TCP_LISTEN) this.#stopListening();
    this.#leaveTarget();
    this.#reset();
    this.state = TCP_CLOSE;
    this.remote = null;
    this.#everConnected = false;
    this.#ring.clear();
    return 0;
  }

  #leaveTarget(): void {
    const target = this.#target;
    if (target === null) return;
    const index = target.#arriving.indexOf(this);
    if (index >= 0) target.#arriving.splice(index, 1);
    this.#target = null;
  }

  #stopListening(): void {
    this.state = TCP_CLOSE;
    for (const client of this.#arriving.splice(0)) client.#refuse();
    for (const end of this.#pending.splice(0)) {
      end.#reset();
      end.put();
    }
  }

  /** Sends RST: the peer gets ECONNRESET. */
  #reset(): void {
    const peer = this.#peer;
    this.#peer = null;
    if (peer === null) return;
    peer.#peer = null;
    peer.error = peer.#readShut ? EPIPE : ECONNRESET;
    peer.#readShut = true;
    peer.#writeShut = true;
    peer.state = TCP_CLOSE;
    peer.#wakeAll();
  }

  override shutdown(_task: Task, how: number): number {
    if (how !== SHUT_RD && how !== SHUT_WR && how !== SHUT_RDWR) return -EINVAL;
    if (this.state === TCP_LISTEN) {
      if (how !== SHUT_WR) this.#stopListening();
      this.#wakeAll();
      return 0;
    }
    if (this.state === TCP_CLOSE || this.state === TCP_SYN_SENT) return -ENOTCONN;
    if (how !== SHUT_WR) this.#readShut = true;
    if (how !== SHUT_RD) this.#sendFin();
    this.#wakeAll();
    return 0;
  }

  #sendFin(): void {
    if (this.#writeShut) return;
    this.#writeShut = true;
    const peer = this.#peer;
    if (peer !== null) {
      peer.#readShut = true;
      peer.state = peer.#writeShut ? TCP_CLOSE : TCP_CLOSE_WAIT;
      this.state = peer.#writeShut ? TCP_CLOSE : TCP_FIN_WAIT2;
      peer.#wakeAll();
    }
  }

  #wakeAll(): void {
    this.pollSet.wake(POLLIN | POLLRDNORM | POLLRDHUP | POLLHUP | POLLERR | POLLOUT | POLLWRNORM);
  }

  // Data

  override send(_task: Task, message: Message): number {
    if ((message.flags & MSG_OOB) !== 0) return -EINVAL;
    if (this.state === TCP_SYN_SENT) return -EAGAIN;
    if (this.error !== 0) return -this.takeError();
    if (this.#writeShut || !this.#everConnected) return -EPIPE;
    const { buffer } = message;
    const peer = this.#peer;
    if (peer === null) return this.#sendIntoTheVoid(message);
    if (buffer.remaining === 0) return 0;
    const count = peer.#ring.writeFrom(buffer, buffer.remaining);
    if (count > 0) peer.pollSet.wake(POLLIN | POLLRDNORM);
    return count === 0 && !buffer.faulted ? -EAGAIN : buffer.result(count);
  }

  /** The peer is closed: the bytes leave, a reset comes back. */
  #sendIntoTheVoid(message: Message): number {
    if (!this.#peerClosed) return -EPIPE;
    const { buffer } = message;
    const count = buffer.remaining;
    for (let left = count; left > 0; ) {
      const run = buffer.run(left, false);
      if (run.length === 0) return buffer.result(count - left);
      buffer.advance(run.length);
      left -= run.length;
    }
    this.#peerClosed = false;
    this.#writeShut = true;
    this.state = TCP_CLOSE;
    this.#wakeAll();
    return count;
  }

  override receive(_task: Task, message: Message): number {
    if ((message.flags & MSG_OOB) !== 0) return -EINVAL;
    if (this.state === TCP_LISTEN || (this.state === TCP_CLOSE && !this.#everConnected)) return -ENOTCONN;
    const ring = this.#ring;
    const { buffer } = message;
    if (buffer.remaining === 0) return 0;
    if (ring.length === 0) {
      if (this.error !== 0) return -this.takeError();
      return this.#readShut ? 0 : -EAGAIN;
    }
    if ((message.flags & MSG_TRUNC) !== 0) {
      // tcp(7): the bytes are thrown away.
      const count = Math.min(buffer.remaining, ring.length);
      if (!peeks(message)) this.#taken(() => ring.skip(count));
      return count;
    }
    if (peeks(message)) return buffer.result(ring.copyTo(buffer, 0, buffer.remaining));
    const before = ring.length;
    const count = ring.readTo(buffer, buffer.remaining);
    if (before > WRITABLE_BELOW && ring.length <= WRITABLE_BELOW) this.#wakeWriter();
    return buffer.result(count);
  }

  #taken(take: () => void): void {
    take();
    this.#wakeWriter();
  }

  #wakeWriter(): void {
    if (this.#peer !== null) this.#peer.pollSet.wake(POLLOUT | POLLWRNORM);
  }

  override get queuedBytes(): number {
    return this.#ring.length;
  }

  override get unsentBytes(): number {
    return this.#peer === null ? 0 : this.#peer.#ring.length;
  }

  override poll(_task: Task): number {
    if (this.state === TCP_LISTEN) return this.#pending.length > 0 ? POLLIN | POLLRDNORM : 0;
    let events = this.error !== 0 ? POLLERR : 0;
    if (this.state === TCP_SYN_SENT) return events;
    const over = this.state === TCP_CLOSE;
    if ((this.#readShut && this.#writeShut) || over) events |= POLLHUP;
    if (this.#readShut || (over && this.#everConnected)) events |= POLLIN | POLLRDNORM | POLLRDHUP;
    if (this.#ring.length > 0) events |= POLLIN | POLLRDNORM;
    const peer = this.#peer;
    if (over || this.#writeShut || peer === null || peer.#ring.length <= WRITABLE_BELOW) events |= POLLOUT | POLLWRNORM;
    return events;
  }

  override peerName(): Uint8Array | number {
    const connected = this.state !== TCP_CLOSE && this.state !== TCP_SYN_SENT && this.remote !== null;
    return connected ? encodeEndpoint(this.remote as Endpoint, this.family) : -ENOTCONN;
  }

  override release(): void {
    if (this.state === TCP_LISTEN) this.#stopListening();
    this.#leaveTarget();
    const peer = this.#peer;
    if (this.#ring.length > 0 || (this.options.lingerOn && this.options.lingerSec === 0)) this.#reset();
    else if (peer !== null) {
      this.#sendFin();
      peer.#peer = null;
      peer.#peerClosed = !peer.#writeShut;
      peer.#wakeAll();
    }
    this.#peer = null;
    this.state = TCP_CLOSE;
    this.#ports.sockets.delete(this);
    super.release();
  }

  // Options

  override setProtocolOption(task: Task, level: number, name: number, value: Uint8Array): number {
    if (level !== IPPROTO_TCP) return super.setProtocolOption(task, level, name, value);
    if (name === TCP_INFO || name === TCP_ULP || name <= 0 || name > LAST_TCP_OPTION) return -ENOPROTOOPT;
    if (name === TCP_CONGESTION) return 0;
    if (value.length < 4) return -EINVAL;
    this.remembered.set(optionKey(level, name), new DataView(value.buffer, value.byteOffset).getInt32(0, true));
    return 0;
  }

  override getProtocolOption(task: Task, level: number, name: number): Uint8Array | number {
    if (level !== IPPROTO_TCP) return super.getProtocolOption(task, level, name);
    if (name === TCP_INFO) return this.#info();
    if (name === TCP_CONGESTION) return new TextEncoder().encode("cubic\0\0\0\0\0\0\0\0\0\0\0");
    if (name === TCP_ULP || name <= 0 || name > LAST_TCP_OPTION) return -ENOPROTOOPT;
    return intOption(this.remembered.get(optionKey(level, name)) ?? DEFAULTS.get(name) ?? 0);
  }

  /** The beginning of struct tcp_info: the state, and the numbers of an idle line. */
  #info(): Uint8Array {
    const bytes = new Uint8Array(TCP_INFO_BYTES);
    const view = new DataView(bytes.buffer);
    bytes[0] = this.state;
    view.setUint32(16, MSS, true); // tcpi_snd_mss
    view.setUint32(20, MSS, true); // tcpi_rcv_mss
    view.setUint32(80, 10, true); // tcpi_snd_cwnd
    return bytes;
  }
}
