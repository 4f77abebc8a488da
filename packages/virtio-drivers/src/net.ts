/**
 * virtio network driver: sends and receives Ethernet frames, one queue pair, and tells the device which frames are wanted.
 *
 *   receive    buffers of one frame each wait in the queue; with MRG_RXBUF a frame may take several
 *   send       a frame is copied behind its header into one of SEND_BUFFERS buffers, which come back as the device takes them
 *
 * Spec: virtio 1.2 §5.1. Checksums are complete in both directions; segmentation is not offloaded.
 */
import { BufferRing } from "./buffer-ring.ts";
import { DriverCore, type DriverOptions } from "./driver-core.ts";
import {
  ERR_DEVICE_FAULT,
  ERR_INVALID_PARAM,
  ERR_IO,
  ERR_NOT_READY,
  ERR_QUEUE_FULL,
  ERR_UNSUPPORTED,
  isVirtioError,
  type VirtioError,
} from "./error.ts";
import { accepted, type Feature, ignored } from "./features.ts";
import { type DmaRegion, type Hal, PAGE_SIZE } from "./hal.ts";
import { DescriptorList, type VirtQueue } from "./queue.ts";
import { DEVICE_TYPE_NETWORK } from "./spec.ts";
import { readConsistent, type Transport } from "./transport.ts";

export const NET_FEATURES: readonly Feature[] = [
  ignored(0, "NET_F_CSUM", "frames are sent with complete checksums"),
  ignored(1, "NET_F_GUEST_CSUM", "frames are taken with complete checksums"),
  ignored(2, "NET_F_CTRL_GUEST_OFFLOADS", "no offloads"),
  accepted(3, "NET_F_MTU", "`mtu`"),
  accepted(5, "NET_F_MAC", "`macAddress`"),
  ignored(6, "NET_F_GSO", "legacy"),
  ignored(7, "NET_F_GUEST_TSO4", "no offloads"),
  ignored(8, "NET_F_GUEST_TSO6", "no offloads"),
  ignored(9, "NET_F_GUEST_ECN", "no offloads"),
  ignored(10, "NET_F_GUEST_UFO", "no offloads"),
  ignored(11, "NET_F_HOST_TSO4", "no offloads"),
  ignored(12, "NET_F_HOST_TSO6", "no offloads"),
  ignored(13, "NET_F_HOST_ECN", "no offloads"),
  ignored(14, "NET_F_HOST_UFO", "no offloads"),
  accepted(15, "NET_F_MRG_RXBUF", "frames may take several buffers"),
  accepted(16, "NET_F_STATUS", "`isLinkUp`"),
  accepted(17, "NET_F_CTRL_VQ", "the four below"),
  accepted(18, "NET_F_CTRL_RX", "`setReceiveMode`: promiscuous, all multicast", 17),
  accepted(19, "NET_F_CTRL_VLAN", "`setVlan`", 17),
  accepted(20, "NET_F_CTRL_RX_EXTRA", "`setReceiveMode`: the other four", 17),
  ignored(21, "NET_F_GUEST_ANNOUNCE", "machines do not migrate"),
  ignored(22, "NET_F_MQ", "one queue pair"),
  accepted(23, "NET_F_CTRL_MAC_ADDR", "`setMacAddress`, `setMacTables`", 17),
  ignored(50, "NET_F_DEVICE_STATS", "no statistics"),
  ignored(51, "NET_F_HASH_TUNNEL", "no receive-side scaling"),
  ignored(52, "NET_F_VQ_NOTF_COAL", "notifications are not delayed"),
  ignored(53, "NET_F_NOTF_COAL", "notifications are not delayed"),
  ignored(54, "NET_F_GUEST_USO4", "no segmentation offload"),
  ignored(55, "NET_F_GUEST_USO6", "no segmentation offload"),
  ignored(56, "NET_F_HOST_USO", "no segmentation offload"),
  ignored(57, "NET_F_HASH_REPORT", "no receive-side scaling"),
  ignored(59, "NET_F_GUEST_HDRLEN", "no segmentation offload"),
  ignored(60, "NET_F_RSS", "one queue pair"),
  ignored(61, "NET_F_RSC_EXT", "no segmentation offload"),
  ignored(62, "NET_F_STANDBY", "no failover"),
  ignored(63, "NET_F_SPEED_DUPLEX", "a wire without a speed"),
  ignored(64, "NET_F_RSS_CONTEXT", "one queue pair"),
];
const NET_F_MTU: number = 1 << 3;
const NET_F_MAC: number = 1 << 5;
const NET_F_MRG_RXBUF: number = 1 << 15;
const NET_F_STATUS: number = 1 << 16;
const NET_F_CTRL_VQ: number = 1 << 17;
const NET_F_CTRL_RX: number = 1 << 18;
const NET_F_CTRL_VLAN: number = 1 << 19;
const NET_F_CTRL_RX_EXTRA: number = 1 << 20;
const NET_F_CTRL_MAC_ADDR: number = 1 << 23;

// §5.1.4 struct virtio_net_config
const CONFIG_MAC = 0;
const CONFIG_STATUS = 6;
const CONFIG_MTU = 10;
const S_LINK_UP = 1;

const RECEIVE_QUEUE = 0;
const TRANSMIT_QUEUE = 1;
const CONTROL_QUEUE = 2;
const MAC_LENGTH = 6;
const HEADER_SIZE = 12;
/** A legacy device's header has no num_buffers without MRG_RXBUF (§5.1.6.1). */
const LEGACY_HEADER_SIZE = 10;
const NUM_BUFFERS = 10;
/** Bytes of a buffer, unless the MTU asks for more. */
const BUFFER_SIZE: number = PAGE_SIZE / 2;
const SEND_BUFFERS = 32;
const ETHERNET_HEADER = 14;
const VLAN_TAG = 4;
const DEFAULT_MTU = 1500;

/** §5.1.6.5.1 Packet receive filtering */
export const RECEIVE_MODES: readonly string[] = [
  "promiscuous",
  "allMulticast",
  "allUnicast",
  "noMulticast",
  "noUnicast",
  "noBroadcast",
];
export type ReceiveMode = "promiscuous" | "allMulticast" | "allUnicast" | "noMulticast" | "noUnicast" | "noBroadcast";
const CTRL_RX = 0;
const CTRL_MAC = 1;
const CTRL_VLAN = 2;
const MAC_TABLE_SET = 0;
const MAC_ADDR_SET = 1;
const CTRL_OK = 0;

export interface VirtIONetOptions extends DriverOptions {
  /** Receive buffers. Default 64. Each has 2 KiB, or as many as a frame needs that may not take several. */
  readonly receiveBuffers?: number;
}

export class VirtIONet {
  /** Largest payload of a frame, in bytes. */
  readonly mtu: number;
  readonly #core: DriverCore;
  readonly #ring: BufferRing;
  readonly #transmit: VirtQueue;
  readonly #sendPages: DmaRegion;
  readonly #sendSize: number;
  readonly #headerSize: number;
  readonly #control: VirtQueue | null;
  readonly #controlPage: DmaRegion | null;
  readonly #list: DescriptorList = new DescriptorList(3);
  readonly #freeBuffers: number[] = Array.from({ length: SEND_BUFFERS }, (_, i) => i);
  readonly #bufferOfToken: Uint16Array;

  private constructor(core: DriverCore, sizes: BufferSizes, pages: readonly [DmaRegion, DmaRegion, DmaRegion | null]) {
    this.#core = core;
    const { transport } = core;
    this.mtu = sizes.mtu;
    this.#sendSize = sizes.send;
    this.#headerSize = transport.isLegacy && !core.has(NET_F_MRG_RXBUF) ? LEGACY_HEADER_SIZE : HEADER_SIZE;
    this.#ring = new BufferRing(core, core.queues[RECEIVE_QUEUE], pages[0], sizes.receive);
    this.#transmit = core.queues[TRANSMIT_QUEUE];
    this.#sendPages = pages[1];
    this.#bufferOfToken = new Uint16Array(this.#transmit.size);
    this.#control = core.queues[CONTROL_QUEUE] ?? null;
    this.#controlPage = pages[2];
    this.#transmit.setDevNotify(false);
    this.#control?.setDevNotify(false);
    this.#ring.offerAll();
  }

  /** Initialises the device behind `transport`. ERR_UNSUPPORTED if it is no network device. */
  static create(hal: Hal, transport: Transport, options: VirtIONetOptions = {}): VirtIONet | VirtioError {
    const core = DriverCore.open(hal, transport, DEVICE_TYPE_NETWORK, NET_FEATURES, options);
    if (isVirtioError(core)) return core;
    const sizes = bufferSizes(core);
    const count = Math.max(options.receiveBuffers ?? 64, Math.ceil(sizes.send / sizes.receive));
    const receivePages = core.addPages(Math.max(Math.ceil((count * sizes.receive) / PAGE_SIZE), 1), "deviceToDriver");
    if (isVirtioError(receivePages)) return core.abandon(receivePages);
    const sendPages = core.addPages((SEND_BUFFERS * sizes.send) / PAGE_SIZE, "driverToDevice");
    if (isVirtioError(sendPages)) return core.abandon(sendPages);
    let controlPage: DmaRegion | null = null;
    for (const [index, size] of [count, SEND_BUFFERS].entries()) {
      const queue = core.addQueue(index, size);
      if (isVirtioError(queue)) return core.abandon(queue);
    }
    if (core.has(NET_F_CTRL_VQ)) {
      const page = core.addPages(1, "both");
      if (isVirtioError(page)) return core.abandon(page);
      const queue = core.addQueue(CONTROL_QUEUE, 16);
      if (isVirtioError(queue)) return core.abandon(queue);
      controlPage = page;
    }
    const net = new VirtIONet(core, sizes, [receivePages, sendPages, controlPage]);
    core.start();
    net.#ring.kick();
    return net;
  }

  /** The device's address, or ERR_UNSUPPORTED if it has none: then make a random local one. */
  macAddress(): Uint8Array | VirtioError {
    if (!this.#core.has(NET_F_MAC)) return ERR_UNSUPPORTED;
    const mac = new Uint8Array(MAC_LENGTH);
    // Six fields of one byte: not atomic (§2.5.1).
    const result = readConsistent(this.#core.transport, () => {
      for (let i = 0; i < MAC_LENGTH; i++) mac[i] = this.#core.transport.readConfig8(CONFIG_MAC + i);
      return 0;
    });
    return result < 0 ? (result as VirtioError) : mac;
  }

  /** Is the cable plugged in? A device that cannot say so is always connected. Ask again after a configuration interrupt. */
  isLinkUp(): boolean {
    if (!this.#core.has(NET_F_STATUS)) return true;
    return (this.#core.transport.readConfig16(CONFIG_STATUS) & S_LINK_UP) !== 0;
  }

  /** Is there a frame to receive? */
  canReceive(): boolean {
    return !this.#core.isFaulty && this.#core.queues[RECEIVE_QUEUE].canPop();
  }

  /**
   * Takes the next frame. Its length, ERR_NOT_READY if there is none, ERR_INVALID_PARAM if `target` is too small for it (the
   * frame is lost), ERR_IO if it was not one, ERR_DEVICE_FAULT.
   */
  receive(target: Uint8Array): number {
    const first = this.#ring.take();
    if (first < 0) return first;
    const { bytes, view } = this.#ring;
    const start = this.#ring.start(first);
    let length = this.#ring.length - this.#headerSize;
    // A device that claims more buffers than it used, or than there are, has lost the frame.
    const isMergeable = this.#core.has(NET_F_MRG_RXBUF);
    const bufferCount = isMergeable && length >= 0 ? view.getUint16(start + NUM_BUFFERS, true) : 1;
    let result = length < 0 || bufferCount === 0 ? ERR_IO : 0;
    if (result === 0) result = copyFrame(bytes, start + this.#headerSize, length, target, 0);
    this.#ring.giveBack(first);
    for (let i = 1; i < bufferCount; i++) {
      const buffer = this.#ring.take();
      if (buffer === ERR_NOT_READY) return ERR_IO;
      if (buffer < 0) return buffer;
      if (result === 0) result = copyFrame(bytes, this.#ring.start(buffer), this.#ring.length, target, length);
      length += this.#ring.length;
      this.#ring.giveBack(buffer);
    }
    return result < 0 ? result : length < ETHERNET_HEADER ? ERR_IO : length;
  }

  /** Sends `frame`, an Ethernet frame without its check sequence. 0; ERR_QUEUE_FULL: try again after an interrupt. */
  send(frame: Uint8Array): number {
    if (this.#core.isFaulty) return ERR_DEVICE_FAULT;
    if (frame.length < ETHERNET_HEADER || frame.length > this.mtu + headerLength(frame)) return ERR_INVALID_PARAM;
    this.#collectSent();
    const buffer = this.#freeBuffers.pop();
    if (buffer === undefined) return this.#core.isFaulty ? ERR_DEVICE_FAULT : ERR_QUEUE_FULL;
    const start = buffer * this.#sendSize;
    const { view, paddr } = this.#sendPages;
    view.fill(0, start, start + this.#headerSize); // §5.1.6.2.1: no checksum, no segmentation
    view.set(frame, start + this.#headerSize);
    this.#list.clear();
    this.#list.pushReadable(paddr + start, this.#headerSize + frame.length);
    const token = this.#transmit.add(this.#list);
    if (token < 0) {
      this.#freeBuffers.push(buffer);
      return token;
    }
    this.#bufferOfToken[token] = buffer;
    this.#transmit.kick(this.#core.transport);
    return 0;
  }

  /** Turns a way of filtering received frames on or off. 0 or an error; ERR_UNSUPPORTED if the device cannot. */
  setReceiveMode(mode: ReceiveMode, isOn: boolean): number {
    const command = RECEIVE_MODES.indexOf(mode);
    return this.#command(command < 2 ? NET_F_CTRL_RX : NET_F_CTRL_RX_EXTRA, CTRL_RX, command, [isOn ? 1 : 0]);
  }

  /** Gives the device another address. */
  setMacAddress(mac: Uint8Array): number {
    if (mac.length !== MAC_LENGTH) return ERR_INVALID_PARAM;
    if (!this.#core.has(NET_F_CTRL_RX)) return ERR_UNSUPPORTED; // §5.1.6.5.2.2
    return this.#command(NET_F_CTRL_MAC_ADDR, CTRL_MAC, MAC_ADDR_SET, mac);
  }

  /** Addresses that are received too, when the device is not promiscuous. */
  setMacTables(unicast: readonly Uint8Array[], multicast: readonly Uint8Array[]): number {
    const data: number[] = [];
    for (const table of [unicast, multicast]) {
      data.push(table.length & 0xff, table.length >> 8, 0, 0);
      for (const mac of table) data.push(...mac.subarray(0, MAC_LENGTH));
    }
    return this.#command(NET_F_CTRL_RX, CTRL_MAC, MAC_TABLE_SET, data);
  }

  /** Frames of VLAN `id`, 0..4095, are wanted, or no more. */
  setVlan(id: number, isWanted: boolean): number {
    if (!Number.isInteger(id) || id < 0 || id > 4095) return ERR_INVALID_PARAM;
    return this.#command(NET_F_CTRL_VLAN, CTRL_VLAN, isWanted ? 0 : 1, [id & 0xff, id >> 8]);
  }

  /** For the interrupt handler: acknowledges; returns the INTERRUPT_* bits. Then try `receive`, or ask `isLinkUp` again. */
  handleInterrupt(): number {
    const events = this.#core.handleInterrupt();
    this.#collectSent();
    return events;
  }

  /** Resets the device and frees the DMA memory. */
  release(): void {
    this.#core.release();
  }

  [Symbol.dispose](): void {
    this.release();
  }

  /** Takes sent frames out of the queue. */
  #collectSent(): void {
    while (!this.#core.isFaulty) {
      const token = this.#transmit.peekUsed();
      if (token === ERR_NOT_READY) return;
      if (token < 0 || this.#transmit.popUsed(token) < 0) return this.#core.fail();
      this.#freeBuffers.push(this.#bufferOfToken[token]);
    }
  }

  /** Runs a command of the control queue: class, command, data; ack. */
  #command(feature: number, kind: number, command: number, data: ArrayLike<number>): number {
    if (this.#control === null || this.#controlPage === null || !this.#core.has(feature)) return ERR_UNSUPPORTED;
    const { view, paddr } = this.#controlPage;
    const ack = PAGE_SIZE - 1;
    if (2 + data.length > ack) return ERR_INVALID_PARAM;
    view[0] = kind;
    view[1] = command;
    view.set(data, 2);
    view[ack] = 0xff;
    this.#list.clear();
    this.#list.pushReadable(paddr, 2 + data.length);
    this.#list.pushWritable(paddr + ack, 1);
    const result = this.#core.execute(this.#control, this.#list);
    if (result < 0) return result;
    return result === 1 && view[ack] === CTRL_OK ? 0 : ERR_IO;
  }
}

/** Bytes of the Ethernet header: with or without a VLAN tag. */
function headerLength(frame: Uint8Array): number {
  return frame[12] === 0x81 && frame[13] === 0x00 ? ETHERNET_HEADER + VLAN_TAG : ETHERNET_HEADER;
}

interface BufferSizes {
  readonly mtu: number;
  readonly receive: number;
  readonly send: number;
}

/** §5.1.4.2: a frame of MTU size can be sent, and received: in one buffer, or with MRG_RXBUF in several. */
function bufferSizes(core: DriverCore): BufferSizes {
  const mtu = core.has(NET_F_MTU) ? core.transport.readConfig16(CONFIG_MTU) : DEFAULT_MTU;
  const send = Math.ceil((mtu + ETHERNET_HEADER + VLAN_TAG + HEADER_SIZE) / BUFFER_SIZE) * BUFFER_SIZE;
  return { mtu, send, receive: core.has(NET_F_MRG_RXBUF) ? BUFFER_SIZE : send };
}

/** Copies part of a frame; ERR_INVALID_PARAM if it does not fit. */
function copyFrame(bytes: Uint8Array, start: number, length: number, target: Uint8Array, at: number): number {
  if (at + length > target.length) return ERR_INVALID_PARAM;
  target.set(bytes.subarray(start, start + length), at);
  return 0;
}
