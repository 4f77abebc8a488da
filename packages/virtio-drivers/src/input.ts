/**
 * virtio input driver: what an evdev device of the host is and does.
 *
 *   name(), ids(), supports(EV_KEY, KEY_A), absInfo(ABS_X)       what it is
 *   handleInterrupt(); while (nextEvent(event) === 0) …           what happened
 *
 * Spec: virtio 1.2 §5.8.
 */
import { BufferRing } from "./buffer-ring.ts";
import { DriverCore, type DriverOptions } from "./driver-core.ts";
import { ERR_DEVICE_FAULT, ERR_IO, isVirtioError, type VirtioError } from "./error.ts";
import { type DmaRegion, type Hal, PAGE_SIZE } from "./hal.ts";
import { DescriptorList } from "./queue.ts";
import { DEVICE_TYPE_INPUT } from "./spec.ts";
import { readConsistent, type Transport } from "./transport.ts";

// §5.8.4 struct virtio_input_config
const CONFIG_SELECT = 0;
const CONFIG_SUBSEL = 1;
const CONFIG_SIZE = 2;
const CONFIG_DATA = 8;
const MAX_DATA = 128;
// §5.8.2
const CFG_ID_NAME = 0x01;
const CFG_ID_SERIAL = 0x02;
const CFG_ID_DEVIDS = 0x03;
const CFG_PROP_BITS = 0x10;
const CFG_EV_BITS = 0x11;
const CFG_ABS_INFO = 0x12;

const EVENT_QUEUE = 0;
const STATUS_QUEUE = 1;
const EVENT_SIZE = 8;
const EVENT_BUFFERS = 64;

/** One event, in evdev's words. Filled by `nextEvent`. */
export interface InputEvent {
  type: number;
  code: number;
  value: number;
}

export interface InputIds {
  readonly bustype: number;
  readonly vendor: number;
  readonly product: number;
  readonly version: number;
}

export interface InputRange {
  readonly min: number;
  readonly max: number;
  readonly fuzz: number;
  readonly flat: number;
  readonly resolution: number;
}

export class VirtIOInput {
  readonly #core: DriverCore;
  readonly #ring: BufferRing;
  readonly #statusPage: DmaRegion;
  readonly #list: DescriptorList = new DescriptorList(1);

  private constructor(core: DriverCore, eventPage: DmaRegion, statusPage: DmaRegion) {
    this.#core = core;
    this.#ring = new BufferRing(core, core.queues[EVENT_QUEUE], eventPage, PAGE_SIZE / EVENT_BUFFERS);
    this.#statusPage = statusPage;
    core.queues[STATUS_QUEUE].setDevNotify(false);
    this.#ring.offerAll(); // §5.8.5: before DRIVER_OK
  }

  /** Initialises the device behind `transport`. ERR_UNSUPPORTED if it is no input device. */
  static create(hal: Hal, transport: Transport, options: DriverOptions = {}): VirtIOInput | VirtioError {
    const core = DriverCore.open(hal, transport, DEVICE_TYPE_INPUT, [], options);
    if (isVirtioError(core)) return core;
    const eventPage = core.addPages(1, "deviceToDriver");
    if (isVirtioError(eventPage)) return core.abandon(eventPage);
    const statusPage = core.addPages(1, "driverToDevice");
    if (isVirtioError(statusPage)) return core.abandon(statusPage);
    for (const index of [EVENT_QUEUE, STATUS_QUEUE]) {
      const queue = core.addQueue(index, EVENT_BUFFERS);
      if (isVirtioError(queue)) return core.abandon(queue);
    }
    const input = new VirtIOInput(core, eventPage, statusPage);
    core.start();
    input.#ring.kick();
    return input;
  }

  name(): string {
    return textOf(this.#query(CFG_ID_NAME, 0));
  }

  serial(): string {
    return textOf(this.#query(CFG_ID_SERIAL, 0));
  }

  /** Identity as evdev has it; zeroes if the device tells none. */
  ids(): InputIds {
    const bytes = this.#query(CFG_ID_DEVIDS, 0);
    const word = (i: number): number => (bytes.length < 8 ? 0 : bytes[2 * i] | (bytes[2 * i + 1] << 8));
    return { bustype: word(0), vendor: word(1), product: word(2), version: word(3) };
  }

  /** INPUT_PROP_* bits, lowest first. */
  properties(): Uint8Array {
    return this.#query(CFG_PROP_BITS, 0);
  }

  /** Codes of an event type that the device can send, as bits, lowest first; empty if it does not know the type. */
  codes(type: number): Uint8Array {
    return this.#query(CFG_EV_BITS, type);
  }

  supports(type: number, code: number): boolean {
    return ((this.codes(type)[code >> 3] ?? 0) & (1 << (code & 7))) !== 0;
  }

  /** Range of an absolute axis, or null if there is no such axis. */
  absInfo(code: number): InputRange | null {
    const bytes = this.#query(CFG_ABS_INFO, code);
    if (bytes.length < 20) return null;
    const view = new DataView(bytes.buffer);
    const [min, max, fuzz, flat, resolution] = [0, 4, 8, 12, 16].map((at) => view.getInt32(at, true));
    return { min, max, fuzz, flat, resolution };
  }

  /** Takes the next event into `event`: 0, ERR_NOT_READY, ERR_IO (the device sent something shorter) or ERR_DEVICE_FAULT. */
  nextEvent(event: InputEvent): number {
    const buffer = this.#ring.take();
    if (buffer < 0) return buffer;
    const { view } = this.#ring;
    const at = this.#ring.start(buffer);
    const isWhole = this.#ring.length >= EVENT_SIZE;
    event.type = view.getUint16(at, true);
    event.code = view.getUint16(at + 2, true);
    event.value = view.getInt32(at + 4, true);
    this.#ring.giveBack(buffer);
    return isWhole ? 0 : ERR_IO;
  }

  /** Tells the device of a state that it shows: an LED, a repeat rate. 0 or an error. */
  sendStatus(type: number, code: number, value: number): number {
    if (this.#core.isFaulty) return ERR_DEVICE_FAULT;
    const { view, paddr } = this.#statusPage;
    view.set([type & 0xff, type >> 8, code & 0xff, code >> 8, value & 0xff, value >> 8, value >> 16, value >> 24]);
    this.#list.clear();
    this.#list.pushReadable(paddr, EVENT_SIZE);
    return Math.min(this.#core.execute(this.#core.queues[STATUS_QUEUE], this.#list), 0);
  }

  /** For the interrupt handler: acknowledges; returns the INTERRUPT_* bits. */
  handleInterrupt(): number {
    return this.#core.handleInterrupt();
  }

  /** Resets the device and frees the DMA memory. */
  release(): void {
    this.#core.release();
  }

  [Symbol.dispose](): void {
    this.release();
  }

  /** §5.8.5.1: select, then read what the device put there. Empty if there is no such thing. */
  #query(select: number, subsel: number): Uint8Array {
    const { transport } = this.#core;
    transport.writeConfig8(CONFIG_SELECT, select);
    transport.writeConfig8(CONFIG_SUBSEL, subsel);
    let bytes = new Uint8Array(0);
    const result = readConsistent(transport, () => {
      bytes = new Uint8Array(Math.min(transport.readConfig8(CONFIG_SIZE), MAX_DATA));
      for (let i = 0; i < bytes.length; i++) bytes[i] = transport.readConfig8(CONFIG_DATA + i);
      return 0;
    });
    return result < 0 ? new Uint8Array(0) : bytes;
  }
}

function textOf(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
