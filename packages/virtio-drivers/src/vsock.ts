/**
 * virtio socket driver: streams between this guest and programs of its host.
 *
 *   connection = socket.connect(port)                        to (VMADDR_CID_HOST, port)
 *   socket.listen(port); … connection = socket.accept(port)  from the host
 *   handleInterrupt()                                        takes what came; then try read, write, accept
 *
 * Spec: virtio 1.2 §5.10.
 */
import { BufferRing } from "./buffer-ring.ts";
import { DriverCore, type DriverOptions } from "./driver-core.ts";
import { ERR_ALREADY_USED, ERR_DEVICE_FAULT, isVirtioError, type VirtioError } from "./error.ts";
import { accepted, type Feature, ignored } from "./features.ts";
import { type DmaRegion, type Hal, PAGE_SIZE } from "./hal.ts";
import { DescriptorList, type VirtQueue } from "./queue.ts";
import { DEVICE_TYPE_VSOCK } from "./spec.ts";
import { readConfig64, type Transport } from "./transport.ts";
import {
  BUFFER_SIZE,
  CLOSED,
  CONNECTED,
  SHUTDOWN_SEND,
  VsockConnection,
  type VsockSender,
} from "./vsock-connection.ts";

export const VSOCK_FEATURES: readonly Feature[] = [
  accepted(0, "VSOCK_F_STREAM", "streams; without the bit they are implied"),
  ignored(1, "VSOCK_F_SEQPACKET", "streams only"),
];

export const VMADDR_CID_HOST = 2;
const RECEIVE_QUEUE = 0;
const TRANSMIT_QUEUE = 1;
const EVENT_QUEUE = 2;
const EVENT_TRANSPORT_RESET = 0;
const HEADER_SIZE = 44;
const TYPE_STREAM = 1;
const OP_REQUEST = 1;
const OP_RESPONSE = 2;
const OP_RST = 3;
const OP_SHUTDOWN = 4;
const OP_RW = 5;
const OP_CREDIT_UPDATE = 6;
const OP_CREDIT_REQUEST = 7;

const RECEIVE_BUFFERS = 32;
const EVENT_BUFFERS = 8;
const TRANSMIT_PAGES = 4;
const MAX_DATA: number = TRANSMIT_PAGES * PAGE_SIZE - HEADER_SIZE;
const FIRST_LOCAL_PORT = 49_152;
/** Connections that wait to be accepted at one port. */
const BACKLOG = 16;
/** Packets taken in one `handleInterrupt`, so that a device that floods them does not keep us there. */
const RECEIVE_BUDGET = 4096;

export class VirtIOSocket implements VsockSender {
  readonly #core: DriverCore;
  readonly #ring: BufferRing;
  readonly #events: BufferRing;
  readonly #transmit: VirtQueue;
  readonly #pages: DmaRegion;
  readonly #view: DataView;
  readonly #list: DescriptorList = new DescriptorList(1);
  readonly #connections: Map<string, VsockConnection> = new Map();
  readonly #listening: Map<number, VsockConnection[]> = new Map();
  #nextPort = FIRST_LOCAL_PORT;
  #guestCid: number;

  private constructor(core: DriverCore, pages: readonly DmaRegion[], guestCid: number) {
    this.#core = core;
    this.#ring = new BufferRing(core, core.queues[RECEIVE_QUEUE], pages[0], PAGE_SIZE);
    this.#events = new BufferRing(core, core.queues[EVENT_QUEUE], pages[1], PAGE_SIZE / EVENT_BUFFERS);
    this.#transmit = core.queues[TRANSMIT_QUEUE];
    this.#pages = pages[2];
    this.#view = new DataView(this.#pages.view.buffer, this.#pages.view.byteOffset, this.#pages.view.byteLength);
    this.#guestCid = guestCid;
    this.#transmit.setDevNotify(false);
    this.#ring.offerAll();
    this.#events.offerAll();
  }

  /** Initialises the device behind `transport`. ERR_UNSUPPORTED if it is no socket device. */
  static create(hal: Hal, transport: Transport, options: DriverOptions = {}): VirtIOSocket | VirtioError {
    const core = DriverCore.open(hal, transport, DEVICE_TYPE_VSOCK, VSOCK_FEATURES, options);
    if (isVirtioError(core)) return core;
    const guestCid = readConfig64(transport, 0);
    if (guestCid < 0) return core.abandon(guestCid as VirtioError);
    const pages: DmaRegion[] = [];
    for (const count of [RECEIVE_BUFFERS, 1, TRANSMIT_PAGES]) {
      const region = core.addPages(count, pages.length < 2 ? "deviceToDriver" : "driverToDevice");
      if (isVirtioError(region)) return core.abandon(region);
      pages.push(region);
    }
    for (const [index, size] of [RECEIVE_BUFFERS, 16, EVENT_BUFFERS].entries()) {
      const queue = core.addQueue(index, size);
      if (isVirtioError(queue)) return core.abandon(queue);
    }
    const socket = new VirtIOSocket(core, pages, guestCid);
    core.start();
    socket.#ring.kick();
    socket.#events.kick();
    return socket;
  }

  /** Context id of this guest. */
  get guestCid(): number {
    return this.#guestCid;
  }

  /** Connects to a port of the host; the connection's state tells when it has answered. */
  connect(peerPort: number): VsockConnection | VirtioError {
    if (this.#core.isFaulty) return ERR_DEVICE_FAULT;
    while (this.#connections.has(keyOf(this.#nextPort, peerPort))) this.#nextPort++;
    const connection = this.#open(this.#nextPort++, peerPort);
    const error = this.#send(OP_REQUEST, connection.localPort, peerPort, 0, connection);
    return error < 0 ? (error as VirtioError) : connection;
  }

  /** Takes connections of the host to `port` from now on. 0, or ERR_ALREADY_USED. */
  listen(port: number): number {
    if (this.#listening.has(port)) return ERR_ALREADY_USED;
    this.#listening.set(port, []);
    return 0;
  }

  /** The next connection that came to `port`, or undefined. */
  accept(port: number): VsockConnection | undefined {
    return this.#listening.get(port)?.shift();
  }

  /** For the interrupt handler: acknowledges and takes what came. Returns the INTERRUPT_* bits. */
  handleInterrupt(): number {
    const events = this.#core.handleInterrupt();
    this.poll();
    return events;
  }

  /** Takes what came, without an interrupt. */
  poll(): void {
    for (let budget = RECEIVE_BUDGET; budget > 0; budget--) {
      const buffer = this.#ring.take();
      if (buffer < 0) break;
      if (this.#ring.length >= HEADER_SIZE) this.#handle(this.#ring.start(buffer), this.#ring.length);
      this.#ring.giveBack(buffer);
    }
    for (let event = this.#events.take(); event >= 0; event = this.#events.take()) {
      const isReset = this.#events.view.getUint32(this.#events.start(event), true) === EVENT_TRANSPORT_RESET;
      this.#events.giveBack(event);
      if (isReset) this.#transportReset();
    }
    if (this.#core.isFaulty) this.#closeAll();
  }

  /** Resets the device and frees the DMA memory. */
  release(): void {
    this.#core.release();
    this.#closeAll();
  }

  [Symbol.dispose](): void {
    this.release();
  }

  // What connections ask for.

  sendData(connection: VsockConnection, bytes: Uint8Array): number {
    for (let at = 0; at < bytes.length; at += MAX_DATA) {
      const part = bytes.length <= MAX_DATA ? bytes : bytes.subarray(at, at + MAX_DATA);
      const error = this.#send(OP_RW, connection.localPort, connection.peerPort, 0, connection, part);
      if (error < 0) return error;
      connection.sent(part.length);
    }
    return 0;
  }

  sendCredit(connection: VsockConnection): void {
    this.#send(OP_CREDIT_UPDATE, connection.localPort, connection.peerPort, 0, connection);
  }

  requestCredit(connection: VsockConnection): void {
    this.#send(OP_CREDIT_REQUEST, connection.localPort, connection.peerPort, 0, connection);
  }

  sendShutdown(connection: VsockConnection, flags: number): void {
    this.#send(OP_SHUTDOWN, connection.localPort, connection.peerPort, flags, connection);
  }

  #open(localPort: number, peerPort: number): VsockConnection {
    const connection = new VsockConnection(localPort, peerPort, this);
    this.#connections.set(keyOf(localPort, peerPort), connection);
    return connection;
  }

  #handle(at: number, length: number): void {
    const { view, bytes } = this.#ring;
    const [peerPort, localPort] = [view.getUint32(at + 16, true), view.getUint32(at + 20, true)];
    const op = view.getUint16(at + 30, true);
    const isForUs = view.getUint32(at, true) === VMADDR_CID_HOST && view.getUint32(at + 8, true) === this.#guestCid;
    if (!isForUs) return;
    const connection = this.#connections.get(keyOf(localPort, peerPort));
    if (view.getUint16(at + 28, true) !== TYPE_STREAM) {
      this.#send(OP_RST, localPort, peerPort, 0, null);
      return;
    }
    if (op === OP_REQUEST) return this.#accept(at, localPort, peerPort, connection);
    if (connection === undefined) {
      if (op !== OP_RST) this.#send(OP_RST, localPort, peerPort, 0, null);
      return;
    }
    connection.setCredit(view.getUint32(at + 36, true), view.getUint32(at + 40, true));
    if (op === OP_RESPONSE) connection.state = CONNECTED;
    else if (op === OP_RW) {
      const dataLength = Math.min(view.getUint32(at + 24, true), length - HEADER_SIZE);
      const start = at + HEADER_SIZE;
      if (!connection.receive(bytes, start, start + dataLength)) this.#end(connection, true);
    } else if (op === OP_CREDIT_REQUEST) this.sendCredit(connection);
    else if (op === OP_SHUTDOWN) {
      if ((view.getUint32(at + 32, true) & SHUTDOWN_SEND) !== 0) connection.hasEnded = true;
      if ((view.getUint32(at + 32, true) & 3) === 3) this.#end(connection, true);
    } else if (op === OP_RST) this.#end(connection, false);
    else if (op !== OP_CREDIT_UPDATE) this.#end(connection, true);
  }

  #accept(at: number, localPort: number, peerPort: number, existing: VsockConnection | undefined): void {
    const waiting = this.#listening.get(localPort);
    if (waiting === undefined || waiting.length >= BACKLOG || existing !== undefined) {
      this.#send(OP_RST, localPort, peerPort, 0, null);
      return;
    }
    const { view } = this.#ring;
    const connection = this.#open(localPort, peerPort);
    connection.setCredit(view.getUint32(at + 36, true), view.getUint32(at + 40, true));
    connection.state = CONNECTED;
    waiting.push(connection);
    this.#send(OP_RESPONSE, localPort, peerPort, 0, connection);
  }

  /** The connection is over; what was received can still be read. */
  #end(connection: VsockConnection, sendsReset: boolean): void {
    connection.state = CLOSED;
    this.#connections.delete(keyOf(connection.localPort, connection.peerPort));
    if (sendsReset) this.#send(OP_RST, connection.localPort, connection.peerPort, 0, null);
  }

  /** §5.10.6.7: the machine has moved; connections are gone and the id may be another. */
  #transportReset(): void {
    this.#closeAll();
    const cid = readConfig64(this.#core.transport, 0);
    if (cid >= 0) this.#guestCid = cid;
  }

  #closeAll(): void {
    for (const connection of this.#connections.values()) connection.state = CLOSED;
    this.#connections.clear();
  }

  #send(
    op: number,
    localPort: number,
    peerPort: number,
    flags: number,
    connection: VsockConnection | null,
    data?: Uint8Array,
  ): number {
    const view = this.#view;
    const length = data?.length ?? 0;
    view.setUint32(0, this.#guestCid % 0x1_0000_0000, true);
    view.setUint32(4, Math.floor(this.#guestCid / 0x1_0000_0000), true);
    view.setUint32(8, VMADDR_CID_HOST, true);
    view.setUint32(12, 0, true);
    view.setUint32(16, localPort, true);
    view.setUint32(20, peerPort, true);
    view.setUint32(24, length, true);
    view.setUint16(28, TYPE_STREAM, true);
    view.setUint16(30, op, true);
    view.setUint32(32, flags, true);
    view.setUint32(36, connection === null ? 0 : BUFFER_SIZE, true);
    view.setUint32(40, connection?.forwardedCount ?? 0, true);
    if (data !== undefined) this.#pages.view.set(data, HEADER_SIZE);
    this.#list.clear();
    this.#list.pushReadable(this.#pages.paddr, HEADER_SIZE + length);
    const result = this.#core.execute(this.#transmit, this.#list);
    if (result < 0) return result;
    connection?.announced();
    return 0;
  }
}

function keyOf(localPort: number, peerPort: number): string {
  return `${localPort}:${peerPort}`;
}
