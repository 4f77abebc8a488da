/**
 * virtio input device, device side: a keyboard, mouse, tablet or whatever its tables say, in the words of Linux's evdev.
 *
 *   device.event(EV_KEY, KEY_A, 1); device.sync();      what happened, and the end of one report
 *
 * Events wait for buffers of the guest, up to MAX_EVENTS; a report that does not fit is lost as a whole, as evdev does.
 *
 * Spec: virtio 1.2 §5.8.
 */
import { type ChainServer, drain, ModelBase, takeBuffer } from "./device.ts";
import type { DeviceQueue } from "./queue.ts";
import { DEVICE_ID_INPUT } from "./spec.ts";

// §5.8.4 struct virtio_input_config
export const INPUT_CONFIG_SELECT = 0;
export const INPUT_CONFIG_SUBSEL = 1;
export const INPUT_CONFIG_SIZE = 2;
export const INPUT_CONFIG_DATA = 8;
const DATA_LENGTH = 128;

// §5.8.2, values of `select`
export const INPUT_CFG_ID_NAME = 0x01;
export const INPUT_CFG_ID_SERIAL = 0x02;
export const INPUT_CFG_ID_DEVIDS = 0x03;
export const INPUT_CFG_PROP_BITS = 0x10;
export const INPUT_CFG_EV_BITS = 0x11;
export const INPUT_CFG_ABS_INFO = 0x12;

// Of Linux's input-event-codes.h, what the devices below need.
export const EV_SYN = 0;
export const EV_KEY = 1;
export const EV_REL = 2;
export const EV_ABS = 3;
export const EV_LED = 0x11;
export const EV_REP = 0x14;

const EVENT_SIZE = 8; // type le16, code le16, value le32
const EVENT_QUEUE = 0;
const MAX_EVENTS = 1024;

export interface AbsInfo {
  readonly min: number;
  readonly max: number;
  readonly fuzz?: number;
  readonly flat?: number;
  readonly resolution?: number;
}

export interface InputDeviceOptions {
  /** Up to 128 bytes. */
  readonly name: string;
  readonly serial?: string;
  /** Bus, vendor, product and version. Default: virtual bus 6, the rest 0. */
  readonly ids?: readonly [bustype: number, vendor: number, product: number, version: number];
  /** INPUT_PROP_* numbers. */
  readonly properties?: readonly number[];
  /** Codes that the device can send, by event type. */
  readonly events: Readonly<Record<number, readonly number[]>>;
  /** Ranges of the EV_ABS codes. */
  readonly abs?: Readonly<Record<number, AbsInfo>>;
  /** Receives what the guest says to the device: LEDs, for one. */
  readonly onStatus?: (type: number, code: number, value: number) => void;
}

export class InputDevice extends ModelBase implements ChainServer {
  readonly deviceId: number = DEVICE_ID_INPUT;
  readonly features: number = 0;
  readonly queueSizes: readonly number[] = [64, 64];
  readonly config: Uint8Array = new Uint8Array(INPUT_CONFIG_DATA + DATA_LENGTH);
  readonly #options: InputDeviceOptions;
  readonly #event: Uint8Array = new Uint8Array(EVENT_SIZE);
  readonly #eventView: DataView = new DataView(this.#event.buffer);
  /** Events that wait: type, code, value, in turn. The ones of the report that is being made come last. */
  #events: number[] = [];
  /** Length of `#events` up to the last report that is complete. */
  #complete = 0;
  #isOverrun = false;

  constructor(options: InputDeviceOptions) {
    super();
    if (options.name.length > DATA_LENGTH) throw new RangeError(`"name" expected up to ${DATA_LENGTH} characters`);
    this.#options = options;
  }

  /** Adds one event to the report. */
  event(type: number, code: number, value: number): void {
    if (this.#events.length >= 3 * MAX_EVENTS) {
      this.#isOverrun = true;
      this.#events.length = this.#complete;
    }
    if (!this.#isOverrun) this.#events.push(type, code, value);
  }

  /** Ends the report and sends it. */
  sync(): void {
    if (!this.#isOverrun) {
      this.#events.push(EV_SYN, 0, 0);
      this.#complete = this.#events.length;
    }
    this.#isOverrun = false;
    this.#deliver();
  }

  notify(index: number): void {
    if (index === EVENT_QUEUE) this.#deliver();
    else drain(this.port, this.port.queues[index], this);
  }

  /** Serves one status event of the guest. */
  serve(queue: DeviceQueue): number {
    if (queue.chain.read(0, this.#event, EVENT_SIZE) < EVENT_SIZE) return -1;
    const view = this.#eventView;
    this.#options.onStatus?.(view.getUint16(0, true), view.getUint16(2, true), view.getInt32(4, true));
    return 0;
  }

  /** §5.8.5.1: the driver selects what it wants to read; `size` is 0 if there is no such thing. */
  override writeConfig(offset: number, value: number): void {
    if (offset > INPUT_CONFIG_SUBSEL) return;
    this.config[offset] = value;
    const data = this.#describe(this.config[INPUT_CONFIG_SELECT], this.config[INPUT_CONFIG_SUBSEL]);
    this.config.fill(0, INPUT_CONFIG_SIZE);
    this.config[INPUT_CONFIG_SIZE] = data.length;
    this.config.set(data, INPUT_CONFIG_DATA);
  }

  override reset(): void {
    this.config.fill(0);
    this.#events = [];
    this.#complete = 0;
    this.#isOverrun = false;
  }

  override save(): readonly number[] {
    return this.#events.slice(0, this.#complete);
  }

  override restore(state: readonly number[]): void {
    this.#events = [...state];
    this.#complete = state.length;
  }

  #deliver(): void {
    const queue = this.port.queues[EVENT_QUEUE];
    const view = this.#eventView;
    let at = 0;
    while (at < this.#complete && takeBuffer(this.port, queue)) {
      view.setUint16(0, this.#events[at], true);
      view.setUint16(2, this.#events[at + 1], true);
      view.setInt32(4, this.#events[at + 2], true);
      at += 3;
      queue.push(queue.chain.head, queue.chain.write(0, this.#event, EVENT_SIZE));
    }
    this.#events.splice(0, at);
    this.#complete -= at;
    this.port.notifyUsed(queue);
  }

  #describe(select: number, subsel: number): Uint8Array {
    const { name, serial = "", ids = [6, 0, 0, 0], properties = [], events, abs = {} } = this.#options;
    const isPlain = subsel === 0;
    if (select === INPUT_CFG_ID_NAME && isPlain) return bytesOf(name);
    if (select === INPUT_CFG_ID_SERIAL && isPlain) return bytesOf(serial);
    if (select === INPUT_CFG_ID_DEVIDS && isPlain) return Uint8Array.from(ids.flatMap((id) => [id & 0xff, id >> 8]));
    if (select === INPUT_CFG_PROP_BITS && isPlain) return bitmap(properties);
    if (select === INPUT_CFG_EV_BITS) return bitmap(events[subsel] ?? []);
    const range = abs[subsel];
    if (select !== INPUT_CFG_ABS_INFO || range === undefined) return new Uint8Array(0);
    const { min, max, fuzz = 0, flat = 0, resolution = 0 } = range;
    return new Uint8Array(Int32Array.of(min, max, fuzz, flat, resolution).buffer);
  }
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text.slice(0, DATA_LENGTH), (c) => c.charCodeAt(0) & 0x7f);
}

/** Bit n of byte n / 8, as many bytes as are needed. */
function bitmap(numbers: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(numbers.length === 0 ? 0 : Math.min(1 + (Math.max(...numbers) >> 3), DATA_LENGTH));
  for (const n of numbers) if (n >> 3 < DATA_LENGTH) bytes[n >> 3] |= 1 << (n & 7);
  return bytes;
}

const range = (first: number, last: number): number[] => Array.from({ length: last - first + 1 }, (_, i) => first + i);

/** A keyboard of 101 keys and more, with autorepeat and three LEDs. */
export const KEYBOARD: InputDeviceOptions = {
  name: "Virtual Keyboard",
  ids: [6, 0x0627, 1, 1],
  events: { [EV_KEY]: range(1, 248), [EV_LED]: range(0, 2), [EV_REP]: range(0, 1) },
};

/** A pointer with absolute coordinates, which needs no capture in a browser. */
export const TABLET: InputDeviceOptions = {
  name: "Virtual Tablet",
  ids: [6, 0x0627, 3, 1],
  events: { [EV_KEY]: range(0x110, 0x112), [EV_REL]: [8], [EV_ABS]: [0, 1] },
  abs: { 0: { min: 0, max: 0x7fff }, 1: { min: 0, max: 0x7fff } },
};
