/**
 * virtio socket device, device side: streams between programs of the guest and functions of the host.
 *
 *   device.listen(port, (socket) => …)        the guest connects to (VMADDR_CID_HOST, port)
 *   socket = device.dial(port, events)     the guest listens
 *
 * Each side may have as many bytes in flight as the other has said it has room for (§5.10.6.3). The host's side of a socket takes
 * what comes at once, so its room never ends; what the guest has no room for waits in the socket.
 *
 * Spec: virtio 1.2 §5.10. Sequenced packets are not offered.
 */
import { type ChainServer, drain, ModelBase, takeBuffer } from "./device.ts";
import { absent, type Feature, offered } from "./features.ts";
import type { DeviceQueue } from "./queue.ts";
import { DEVICE_ID_VSOCK } from "./spec.ts";
import { type VsockEvents, VsockSocket } from "./vsock-socket.ts";

export const VSOCK_FEATURES: readonly Feature[] = [
  offered(0, "VSOCK_F_STREAM", "always"),
  absent(1, "VSOCK_F_SEQPACKET", "streams only"),
];

export const VSOCK_CID_HOST = 2;

// §5.10.6 struct virtio_vsock_hdr
export const VSOCK_HEADER_SIZE = 44;
export const VSOCK_TYPE_STREAM = 1;
export const VSOCK_OP_REQUEST = 1;
export const VSOCK_OP_RESPONSE = 2;
export const VSOCK_OP_RST = 3;
export const VSOCK_OP_SHUTDOWN = 4;
export const VSOCK_OP_RW = 5;
export const VSOCK_OP_CREDIT_UPDATE = 6;
export const VSOCK_OP_CREDIT_REQUEST = 7;

const RECEIVE_QUEUE = 0;
const TRANSMIT_QUEUE = 1;
const MAX_PACKET = 65536;
/** Packets without data that wait for the guest's buffers; a guest that only asks and never reads loses the rest. */
const MAX_REPLIES = 1024;
const MAX_SOCKETS = 1024;
const FIRST_HOST_PORT = 49_152;

export interface VsockDeviceOptions {
  /** Context id of the guest, 3..2^32-2. */
  readonly guestCid: number;
}

export class VsockDevice extends ModelBase implements ChainServer {
  readonly deviceId: number = DEVICE_ID_VSOCK;
  readonly features: number = 1;
  readonly queueSizes: readonly number[] = [128, 128, 16];
  readonly config: Uint8Array = new Uint8Array(8);
  readonly #guestCid: number;
  readonly #listeners: Map<number, (socket: VsockSocket) => VsockEvents> = new Map();
  /** By host port and guest port. */
  readonly #sockets: Map<string, VsockSocket> = new Map();
  readonly #packet: Uint8Array = new Uint8Array(VSOCK_HEADER_SIZE + MAX_PACKET);
  readonly #view: DataView = new DataView(this.#packet.buffer);
  /** Apart from `#packet`, because a listener may answer while it reads. */
  readonly #outgoing: Uint8Array = new Uint8Array(VSOCK_HEADER_SIZE + MAX_PACKET);
  readonly #outgoingView: DataView = new DataView(this.#outgoing.buffer);
  #replies: Uint8Array[] = [];
  #nextPort = FIRST_HOST_PORT;

  constructor(options: VsockDeviceOptions) {
    super();
    const { guestCid } = options;
    if (!Number.isInteger(guestCid) || guestCid < 3 || guestCid > 0xffff_fffe)
      throw new RangeError(`"guestCid" expected 3..2^32-2, got ${guestCid}`);
    this.#guestCid = guestCid;
    new DataView(this.config.buffer).setUint32(0, guestCid, true);
  }

  /** Accepts connections of the guest to host port `port`. `accept` answers with what shall be called for the socket. */
  listen(port: number, accept: (socket: VsockSocket) => VsockEvents): void {
    this.#listeners.set(port, accept);
  }

  /** Connects to a port of the guest. `events.onOpen` tells when it has accepted, `onClose` if it does not. */
  dial(guestPort: number, events: VsockEvents): VsockSocket {
    while (this.#sockets.has(keyOf(this.#nextPort, guestPort))) this.#nextPort++;
    const socket = this.#open(this.#nextPort++, guestPort, events);
    this.#reply(VSOCK_OP_REQUEST, socket.hostPort, guestPort, 0, socket);
    return socket;
  }

  notify(index: number): void {
    if (index === RECEIVE_QUEUE) this.#deliver();
    else if (index === TRANSMIT_QUEUE) drain(this.port, this.port.queues[index], this);
    // Buffers of the event queue wait: this device does not migrate.
  }

  /** Serves one packet of the guest. */
  serve(queue: DeviceQueue): number {
    const { chain } = queue;
    const length = chain.read(0, this.#packet, Math.min(chain.readableBytes, this.#packet.length));
    if (length < VSOCK_HEADER_SIZE) return -1;
    const view = this.#view;
    const [guestPort, hostPort] = [view.getUint32(16, true), view.getUint32(20, true)];
    const op = view.getUint16(30, true);
    const isForUs =
      view.getUint32(0, true) === this.#guestCid &&
      view.getUint32(4, true) === 0 &&
      view.getUint32(8, true) === VSOCK_CID_HOST &&
      view.getUint32(12, true) === 0;
    if (!isForUs) return 0;
    const isWhole = view.getUint32(24, true) === length - VSOCK_HEADER_SIZE || op !== VSOCK_OP_RW;
    if (view.getUint16(28, true) !== VSOCK_TYPE_STREAM || !isWhole) this.#reset(hostPort, guestPort);
    else this.#handle(op, hostPort, guestPort, length);
    return 0;
  }

  override reset(): void {
    const sockets = [...this.#sockets.values()];
    this.#sockets.clear();
    this.#replies = [];
    for (const socket of sockets) socket.closed();
  }

  /** Sockets are the host's: a restored machine finds them closed. */
  override restore(): void {
    this.reset();
  }

  #handle(op: number, hostPort: number, guestPort: number, length: number): void {
    const view = this.#view;
    const socket = this.#sockets.get(keyOf(hostPort, guestPort));
    if (op === VSOCK_OP_REQUEST) return this.#accept(hostPort, guestPort, socket);
    if (socket === undefined) {
      if (op !== VSOCK_OP_RST) this.#reset(hostPort, guestPort);
      return;
    }
    socket.setCredit(view.getUint32(36, true), view.getUint32(40, true));
    if (op === VSOCK_OP_RW) {
      socket.received(this.#packet.subarray(VSOCK_HEADER_SIZE, length));
      this.#reply(VSOCK_OP_CREDIT_UPDATE, hostPort, guestPort, 0, socket);
    } else if (op === VSOCK_OP_CREDIT_REQUEST) this.#reply(VSOCK_OP_CREDIT_UPDATE, hostPort, guestPort, 0, socket);
    else if (op === VSOCK_OP_RESPONSE) socket.opened();
    else if (op === VSOCK_OP_SHUTDOWN) {
      if (socket.guestShutdown(view.getUint32(32, true))) this.#reset(hostPort, guestPort);
    } else if (op === VSOCK_OP_RST) {
      this.#sockets.delete(keyOf(hostPort, guestPort));
      socket.closed();
    } else if (op !== VSOCK_OP_CREDIT_UPDATE) this.#reset(hostPort, guestPort);
    this.#deliver();
  }

  #accept(hostPort: number, guestPort: number, existing: VsockSocket | undefined): void {
    const listener = this.#listeners.get(hostPort);
    if (listener === undefined || existing !== undefined || this.#sockets.size >= MAX_SOCKETS)
      return this.#reset(hostPort, guestPort);
    const socket = this.#open(hostPort, guestPort, {});
    socket.setCredit(this.#view.getUint32(36, true), this.#view.getUint32(40, true));
    this.#reply(VSOCK_OP_RESPONSE, hostPort, guestPort, 0, socket);
    socket.events = listener(socket);
    socket.opened();
    this.#deliver();
  }

  #open(hostPort: number, guestPort: number, events: VsockEvents): VsockSocket {
    const socket = new VsockSocket(hostPort, guestPort, events, {
      written: () => this.#deliver(),
      shutdown: (flags) => this.#reply(VSOCK_OP_SHUTDOWN, hostPort, guestPort, flags, socket),
    });
    this.#sockets.set(keyOf(hostPort, guestPort), socket);
    return socket;
  }

  /** Ends a connection, whether there is one or not. */
  #reset(hostPort: number, guestPort: number): void {
    const socket = this.#sockets.get(keyOf(hostPort, guestPort));
    this.#sockets.delete(keyOf(hostPort, guestPort));
    this.#reply(VSOCK_OP_RST, hostPort, guestPort, 0, null);
    socket?.closed();
  }

  #reply(op: number, hostPort: number, guestPort: number, flags: number, socket: VsockSocket | null): void {
    if (this.#replies.length >= MAX_REPLIES) return;
    const packet = new Uint8Array(VSOCK_HEADER_SIZE);
    this.#writeHeader(new DataView(packet.buffer), op, hostPort, guestPort, flags, 0, socket);
    this.#replies.push(packet);
    this.#deliver();
  }

  #writeHeader(
    view: DataView,
    op: number,
    hostPort: number,
    guestPort: number,
    flags: number,
    length: number,
    socket: VsockSocket | null,
  ): void {
    view.setUint32(0, VSOCK_CID_HOST, true);
    view.setUint32(4, 0, true);
    view.setUint32(8, this.#guestCid, true);
    view.setUint32(12, 0, true);
    view.setUint32(16, hostPort, true);
    view.setUint32(20, guestPort, true);
    view.setUint32(24, length, true);
    view.setUint16(28, VSOCK_TYPE_STREAM, true);
    view.setUint16(30, op, true);
    view.setUint32(32, flags, true);
    view.setUint32(36, socket?.bufferSize ?? 0, true);
    view.setUint32(40, socket?.receivedCount ?? 0, true);
  }

  /** Puts replies, then data of the sockets, into receive buffers. */
  #deliver(): void {
    const queue = this.port.queues[RECEIVE_QUEUE];
    while (this.#replies.length > 0 && takeBuffer(this.port, queue)) {
      const [packet] = this.#replies.splice(0, 1);
      queue.push(queue.chain.head, queue.chain.write(0, packet, packet.length));
    }
    if (this.#replies.length === 0) for (const socket of this.#sockets.values()) this.#send(queue, socket);
    this.port.notifyUsed(queue);
  }

  #send(queue: DeviceQueue, socket: VsockSocket): void {
    while (socket.sendable > 0 && takeBuffer(this.port, queue)) {
      const room = Math.min(queue.chain.writableBytes - VSOCK_HEADER_SIZE, MAX_PACKET);
      if (room <= 0) return this.port.needsReset("receive buffer smaller than a header");
      const length = socket.take(this.#outgoing, VSOCK_HEADER_SIZE, room);
      this.#writeHeader(this.#outgoingView, VSOCK_OP_RW, socket.hostPort, socket.guestPort, 0, length, socket);
      queue.push(queue.chain.head, queue.chain.write(0, this.#outgoing, VSOCK_HEADER_SIZE + length));
    }
  }
}

function keyOf(hostPort: number, guestPort: number): string {
  return `${hostPort}:${guestPort}`;
}
