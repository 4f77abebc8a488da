/**
 * virtio network device, device side: Ethernet frames between the guest and a backend of the host.
 *
 *   guest → host   `backend.send(frame)`, checksums completed
 *   host → guest   `receive(frame)`: filtered as the guest asked, then into one receive buffer, or several with MRG_RXBUF
 *
 * Frames that come while the guest has no buffer wait, up to `backlogBytes`; then they are lost, as on a wire.
 *
 * Spec: virtio 1.2 §5.1. Segmentation offload, several queue pairs and RSS are not offered.
 */
import { type ChainServer, drain, ModelBase, takeBuffer } from "./device.ts";
import { absent, type Feature, offered, offeredMask } from "./features.ts";
import { NetControl } from "./net-control.ts";
import type { DeviceQueue } from "./queue.ts";
import { DEVICE_ID_NETWORK } from "./spec.ts";

export const NET_FEATURES: readonly Feature[] = [
  offered(0, "NET_F_CSUM", "always; partial checksums of the guest are completed"),
  absent(1, "NET_F_GUEST_CSUM", "frames for the guest have complete checksums"),
  absent(2, "NET_F_CTRL_GUEST_OFFLOADS", "no offloads towards the guest"),
  offered(3, "NET_F_MTU", "with `mtu`"),
  offered(5, "NET_F_MAC", "always"),
  absent(6, "NET_F_GSO", "legacy"),
  absent(7, "NET_F_GUEST_TSO4", "no segmentation offload"),
  absent(8, "NET_F_GUEST_TSO6", "no segmentation offload"),
  absent(9, "NET_F_GUEST_ECN", "no segmentation offload"),
  absent(10, "NET_F_GUEST_UFO", "no segmentation offload"),
  absent(11, "NET_F_HOST_TSO4", "no segmentation offload"),
  absent(12, "NET_F_HOST_TSO6", "no segmentation offload"),
  absent(13, "NET_F_HOST_ECN", "no segmentation offload"),
  absent(14, "NET_F_HOST_UFO", "no segmentation offload"),
  offered(15, "NET_F_MRG_RXBUF", "unless `mergeable: false`"),
  offered(16, "NET_F_STATUS", "always; `setLink()`"),
  offered(17, "NET_F_CTRL_VQ", "always"),
  offered(18, "NET_F_CTRL_RX", "always: promiscuous, all-multicast, address tables"),
  offered(19, "NET_F_CTRL_VLAN", "always"),
  offered(20, "NET_F_CTRL_RX_EXTRA", "always: no unicast, multicast, broadcast"),
  absent(21, "NET_F_GUEST_ANNOUNCE", "machines do not migrate"),
  absent(22, "NET_F_MQ", "one queue pair"),
  offered(23, "NET_F_CTRL_MAC_ADDR", "always"),
  absent(50, "NET_F_DEVICE_STATS", "no statistics"),
  absent(51, "NET_F_HASH_TUNNEL", "no receive-side scaling"),
  absent(52, "NET_F_VQ_NOTF_COAL", "notifications are not delayed"),
  absent(53, "NET_F_NOTF_COAL", "notifications are not delayed"),
  absent(54, "NET_F_GUEST_USO4", "no segmentation offload"),
  absent(55, "NET_F_GUEST_USO6", "no segmentation offload"),
  absent(56, "NET_F_HOST_USO", "no segmentation offload"),
  absent(57, "NET_F_HASH_REPORT", "no receive-side scaling"),
  absent(59, "NET_F_GUEST_HDRLEN", "no segmentation offload"),
  absent(60, "NET_F_RSS", "one queue pair"),
  absent(61, "NET_F_RSC_EXT", "no segmentation offload"),
  absent(62, "NET_F_STANDBY", "no failover"),
  absent(63, "NET_F_SPEED_DUPLEX", "a wire without a speed"),
  absent(64, "NET_F_RSS_CONTEXT", "one queue pair"),
];
export const NET_F_CSUM: number = 1 << 0;
export const NET_F_MTU: number = 1 << 3;
const NET_F_CTRL_VLAN: number = 1 << 19;
export const NET_F_MRG_RXBUF: number = 1 << 15;

// §5.1.4 struct virtio_net_config
export const NET_CONFIG_MAC = 0; // u8[6]
export const NET_CONFIG_STATUS = 6; // le16
export const NET_CONFIG_MAX_QUEUE_PAIRS = 8; // le16
export const NET_CONFIG_MTU = 10; // le16
const CONFIG_LENGTH = 12;
export const NET_S_LINK_UP = 1;

// §5.1.6 struct virtio_net_hdr
export const NET_HEADER_SIZE = 12;
const HEADER_FLAGS = 0;
const HEADER_GSO_TYPE = 1;
const HEADER_CSUM_START = 6;
const HEADER_CSUM_OFFSET = 8;
const HEADER_NUM_BUFFERS = 10;
export const NET_HDR_F_NEEDS_CSUM = 1;

export const NET_RECEIVE_QUEUE = 0;
export const NET_TRANSMIT_QUEUE = 1;
export const NET_CONTROL_QUEUE = 2;

const ETHERNET_HEADER = 14;
const VLAN_TAG = 4;
const MAX_FRAME = 65550;
const MAX_MERGED = 64;

/** The host's end of the wire. */
export interface NetBackend {
  /** The guest sent `frame`, an Ethernet frame without its check sequence. It is reused: copy what you keep. */
  send(frame: Uint8Array): void;
}

export interface NetDeviceOptions {
  readonly backend: NetBackend;
  /** Six bytes; the multicast bit of the first must be clear. */
  readonly mac: Uint8Array;
  /** Largest payload of a frame, 68..65535 bytes, told to the driver. Default: not told. */
  readonly mtu?: number;
  /** Offer VIRTIO_NET_F_MRG_RXBUF. Default true. */
  readonly mergeable?: boolean;
  /** Size of the receive and transmit queues, a power of two. Default 256. */
  readonly queueSize?: number;
  /** Bytes of frames kept while the guest has no buffer. Default 256 KiB. */
  readonly backlogBytes?: number;
}

export class NetDevice extends ModelBase implements ChainServer {
  readonly deviceId: number = DEVICE_ID_NETWORK;
  readonly features: number;
  readonly queueSizes: readonly number[];
  readonly config: Uint8Array = new Uint8Array(CONFIG_LENGTH);
  /** Frames for the guest that found no room. */
  dropped = 0;
  readonly #backend: NetBackend;
  readonly #mac: Uint8Array;
  readonly #mtu: number;
  readonly #control: NetControl;
  readonly #backlogLimit: number;
  #backlog: Uint8Array[] = [];
  #backlogBytes = 0;
  readonly #frame: Uint8Array = new Uint8Array(NET_HEADER_SIZE + MAX_FRAME);
  readonly #frameView: DataView = new DataView(this.#frame.buffer);
  readonly #header: Uint8Array = new Uint8Array(NET_HEADER_SIZE);
  // The buffers of the frame that is being delivered.
  readonly #heads: Uint16Array = new Uint16Array(MAX_MERGED);
  readonly #written: Uint32Array = new Uint32Array(MAX_MERGED);

  /** Throws RangeError for options outside their ranges. */
  constructor(options: NetDeviceOptions) {
    super();
    const { mac, mtu, queueSize = 256 } = options;
    if (mac.length !== 6 || (mac[0] & 1) !== 0) throw new RangeError(`"mac" expected 6 bytes of a unicast address`);
    if (mtu !== undefined && (!Number.isInteger(mtu) || mtu < 68 || mtu > 65535))
      throw new RangeError(`"mtu" expected 68..65535, got ${mtu}`);
    const without: string[] = [];
    if (mtu === undefined) without.push("NET_F_MTU");
    if (options.mergeable === false) without.push("NET_F_MRG_RXBUF");
    this.features = offeredMask(NET_FEATURES, ...without);
    this.queueSizes = [queueSize, queueSize, 64];
    this.#backend = options.backend;
    this.#mac = mac.slice();
    this.#mtu = mtu ?? 0;
    this.#backlogLimit = options.backlogBytes ?? 262_144;
    this.#control = new NetControl(this.config);
    this.config[NET_CONFIG_MAX_QUEUE_PAIRS] = 1;
    this.config[NET_CONFIG_STATUS] = NET_S_LINK_UP;
    if (mtu !== undefined) this.config.set([mtu & 0xff, mtu >> 8], NET_CONFIG_MTU);
    this.reset();
  }

  get isLinkUp(): boolean {
    return (this.config[NET_CONFIG_STATUS] & NET_S_LINK_UP) !== 0;
  }

  /** Plugs the cable in or out, and tells the guest. */
  setLink(isUp: boolean): void {
    if (this.isLinkUp === isUp) return;
    this.config[NET_CONFIG_STATUS] = isUp ? NET_S_LINK_UP : 0;
    this.port.configChanged();
  }

  /**
   * A frame for the guest. True if it was delivered or waits for a buffer; false if it was filtered out or lost. Throws
   * RangeError if it is no Ethernet frame (14..65550 bytes).
   */
  receive(frame: Uint8Array): boolean {
    if (frame.length < ETHERNET_HEADER || frame.length > MAX_FRAME)
      throw new RangeError(`"frame" expected ${ETHERNET_HEADER}..${MAX_FRAME} bytes, got ${frame.length}`);
    if (!this.port.running || !this.isLinkUp) return false;
    if (!this.#control.accepts(frame, this.has(NET_F_CTRL_VLAN))) return false;
    // §5.1.4.1: nothing larger than the negotiated MTU is passed on.
    if (this.has(NET_F_MTU) && frame.length > this.#mtu + headerLength(frame)) return false;
    if (this.#backlog.length === 0 && this.#deliver(frame)) {
      this.port.notifyUsed(this.port.queues[NET_RECEIVE_QUEUE]);
      return true;
    }
    if (!this.port.running || this.#backlogBytes + frame.length > this.#backlogLimit) {
      this.dropped++;
      return false;
    }
    this.#backlog.push(frame.slice());
    this.#backlogBytes += frame.length;
    return true;
  }

  notify(index: number): void {
    if (index === NET_RECEIVE_QUEUE) this.#deliverBacklog();
    else if (index === NET_TRANSMIT_QUEUE) drain(this.port, this.port.queues[index], this);
    else drain(this.port, this.port.queues[index], this.#control);
  }

  /** Serves one frame of the guest. A malformed one is lost; the driver hears nothing of it, as on a wire. */
  serve(queue: DeviceQueue): number {
    const { chain } = queue;
    const length = chain.readableBytes - NET_HEADER_SIZE;
    if (length < 0) return -1;
    if (length < ETHERNET_HEADER || length > MAX_FRAME || !this.isLinkUp) return 0;
    chain.read(0, this.#frame, NET_HEADER_SIZE + length);
    if (this.#frame[HEADER_GSO_TYPE] !== 0 || !this.#completeChecksum(length)) return 0;
    this.#backend.send(this.#frame.subarray(NET_HEADER_SIZE, NET_HEADER_SIZE + length));
    return 0;
  }

  override reset(): void {
    this.#backlog = [];
    this.#backlogBytes = 0;
    this.config.set(this.#mac, NET_CONFIG_MAC);
    this.#control.reset();
  }

  override save(): readonly number[] {
    return this.#control.save();
  }

  override restore(state: readonly number[]): void {
    this.#control.restore(state);
  }

  /** §5.1.6.2.2: the field holds the sum of the pseudo header; the rest is ours. False if it lies outside the frame. */
  #completeChecksum(length: number): boolean {
    if ((this.#frame[HEADER_FLAGS] & NET_HDR_F_NEEDS_CSUM) === 0) return true;
    if (!this.has(NET_F_CSUM)) return false;
    const view = this.#frameView;
    const start = view.getUint16(HEADER_CSUM_START, true);
    const field = start + view.getUint16(HEADER_CSUM_OFFSET, true);
    if (start >= length || field + 2 > length) return false;
    let sum = 0;
    for (let at = start; at < length; at += 2) {
      const low = at + 1 < length ? this.#frame[NET_HEADER_SIZE + at + 1] : 0;
      sum += (this.#frame[NET_HEADER_SIZE + at] << 8) | low;
    }
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    view.setUint16(NET_HEADER_SIZE + field, ~sum & 0xffff);
    return true;
  }

  #deliverBacklog(): void {
    let done = 0;
    while (done < this.#backlog.length && this.#deliver(this.#backlog[done]))
      this.#backlogBytes -= this.#backlog[done++].length;
    if (done > 0) this.#backlog.splice(0, done);
    this.port.notifyUsed(this.port.queues[NET_RECEIVE_QUEUE]);
  }

  /** Puts one frame into receive buffers. False if there are not enough; then none is used. */
  #deliver(frame: Uint8Array): boolean {
    const { port } = this;
    const queue = port.queues[NET_RECEIVE_QUEUE];
    const { chain } = queue;
    const isMergeable = this.has(NET_F_MRG_RXBUF);
    const mark = queue.mark();
    let count = 0;
    let done = 0;
    let numBuffers = 0; // where the field is
    while (done < frame.length) {
      if (count === MAX_MERGED || !takeBuffer(port, queue)) {
        if (port.running) queue.rewind(mark);
        return false;
      }
      const room = count === 0 ? chain.writableBytes - NET_HEADER_SIZE : chain.writableBytes;
      // §5.1.6.3.1: buffers are to hold a frame, or with MRG_RXBUF the header. The frame is lost; the buffer goes back empty.
      if (room < (isMergeable ? 1 : frame.length)) {
        queue.rewind(mark);
        if (takeBuffer(port, queue)) queue.push(queue.chain.head, 0);
        this.dropped++;
        return true;
      }
      if (count === 0) {
        chain.write(0, this.#header, NET_HEADER_SIZE);
        numBuffers = addressOf(queue, HEADER_NUM_BUFFERS);
      }
      const length = Math.min(room, frame.length - done);
      chain.write(count === 0 ? NET_HEADER_SIZE : 0, done === 0 ? frame : frame.subarray(done), length);
      this.#heads[count] = chain.head;
      this.#written[count] = count === 0 ? NET_HEADER_SIZE + length : length;
      count++;
      done += length;
    }
    // §5.1.6.4.1: num_buffers is always set.
    if (numBuffers >= 0) port.memory.bytes[numBuffers] = count;
    for (let i = 0; i < count; i++) queue.push(this.#heads[i], this.#written[i]);
    return true;
  }
}

/** Bytes of the Ethernet header: with or without a VLAN tag. */
function headerLength(frame: Uint8Array): number {
  return frame[12] === 0x81 && frame[13] === 0x00 ? ETHERNET_HEADER + VLAN_TAG : ETHERNET_HEADER;
}

/** Index in RAM of byte `offset` of the writable part. */
function addressOf(queue: DeviceQueue, offset: number): number {
  const { chain } = queue;
  for (let i = chain.readableCount; i < chain.count; i++) {
    if (offset < chain.byteLength[i]) return chain.start[i] + offset;
    offset -= chain.byteLength[i];
  }
  return -1;
}

/** A wire with any number of devices: what one sends, all others receive. */
export class EthernetHub {
  readonly #devices: NetDevice[] = [];

  /** Makes a device that is plugged into this hub. */
  attach(options: Omit<NetDeviceOptions, "backend">): NetDevice {
    const device: NetDevice = new NetDevice({ ...options, backend: { send: (frame) => this.#send(device, frame) } });
    this.#devices.push(device);
    return device;
  }

  #send(from: NetDevice, frame: Uint8Array): void {
    for (const device of this.#devices) if (device !== from) device.receive(frame);
  }
}
