/**
 * virtio console, device side: port 0 with a window size and emergency write, and with `ports` further ones
 * (VIRTIO_CONSOLE_F_MULTIPORT), announced over a pair of control queues.
 *
 * Spec: virtio 1.2 §5.3.
 */
import { ConsolePort, type ConsolePortOptions } from "./console-port.ts";
import { drain, ModelBase, takeBuffer, type VirtioPort } from "./device.ts";
import { type Feature, offered } from "./features.ts";
import type { DeviceQueue } from "./queue.ts";
import { DEVICE_ID_CONSOLE } from "./spec.ts";

// §5.3.3 Feature bits
export const CONSOLE_F_SIZE: number = 1 << 0;
export const CONSOLE_F_MULTIPORT: number = 1 << 1;
export const CONSOLE_F_EMERG_WRITE: number = 1 << 2;

export const CONSOLE_FEATURES: readonly Feature[] = [
  offered(0, "CONSOLE_F_SIZE", "always; `resize()`"),
  offered(1, "CONSOLE_F_MULTIPORT", "with `ports`"),
  offered(2, "CONSOLE_F_EMERG_WRITE", "always"),
];

// §5.3.4 struct virtio_console_config
const CONFIG_COLS = 0; // le16
const CONFIG_ROWS = 2; // le16
const CONFIG_MAX_NR_PORTS = 4; // le32, meaningless without MULTIPORT
const CONFIG_EMERG_WR = 8; // le32
const CONFIG_LENGTH = 12;

// §5.3.2 Virtqueues
export const CONSOLE_RECEIVE_QUEUE = 0;
export const CONSOLE_TRANSMIT_QUEUE = 1;
export const CONSOLE_CONTROL_RECEIVE_QUEUE = 2;
export const CONSOLE_CONTROL_TRANSMIT_QUEUE = 3;

// §5.3.6.2 struct virtio_console_control { le32 id; le16 event; le16 value }
const CONTROL_SIZE = 8;
export const CONTROL_DEVICE_READY = 0;
export const CONTROL_DEVICE_ADD = 1;
export const CONTROL_PORT_READY = 3;
export const CONTROL_CONSOLE_PORT = 4;
export const CONTROL_RESIZE = 5;
export const CONTROL_PORT_OPEN = 6;
export const CONTROL_PORT_NAME = 7;

const MAX_PORTS = 31;
/** Control messages kept while the guest has no buffer for them; one that asks without listening loses the rest. */
const MAX_MESSAGES = 256;
const QUEUE_SIZE = 64;

export interface ConsoleDeviceOptions extends ConsolePortOptions {
  /** Columns and rows, 1..65535. Default 80 x 24. */
  readonly columns?: number;
  readonly rows?: number;
  /** Ports 1, 2, … beside port 0. Default none: MULTIPORT is not offered. */
  readonly ports?: readonly ConsolePortOptions[];
}

export class ConsoleDevice extends ModelBase {
  readonly deviceId: number = DEVICE_ID_CONSOLE;
  readonly features: number;
  readonly queueSizes: readonly number[];
  readonly config: Uint8Array = new Uint8Array(CONFIG_LENGTH);
  /** Ports by id. */
  readonly ports: readonly ConsolePort[];
  readonly #emergency: Uint8Array = new Uint8Array(1);
  readonly #control: Uint8Array = new Uint8Array(CONTROL_SIZE);
  #messages: Uint8Array[] = [];

  constructor(options: ConsoleDeviceOptions) {
    super();
    const { ports = [] } = options;
    if (ports.length >= MAX_PORTS)
      throw new RangeError(`"ports" expected at most ${MAX_PORTS - 1}, got ${ports.length}`);
    const isMultiport = ports.length > 0;
    this.features = CONSOLE_F_SIZE | CONSOLE_F_EMERG_WRITE | (isMultiport ? CONSOLE_F_MULTIPORT : 0);
    this.ports = [{ isConsole: true, ...options }, ...ports].map(
      (port, id) => new ConsolePort(id, receiveQueueOf(id), port),
    );
    this.queueSizes = new Array<number>(isMultiport ? 2 * ports.length + 4 : 2).fill(QUEUE_SIZE);
    this.#storeSize(options.columns ?? 80, options.rows ?? 24);
    this.config[CONFIG_MAX_NR_PORTS] = this.ports.length;
  }

  override connect(port: VirtioPort): void {
    super.connect(port);
    for (const each of this.ports) each.connect(port);
  }

  /** Types `bytes` into port 0. Returns how many were taken; the rest found no room. */
  input(bytes: Uint8Array): number {
    return this.ports[0].input(bytes);
  }

  /** The terminal has a new size: updates the configuration and notifies the guest. */
  resize(columns: number, rows: number): void {
    this.#storeSize(columns, rows);
    this.port.configChanged();
    if (this.has(CONSOLE_F_MULTIPORT)) this.#sendSize();
  }

  /** Tells the guest that somebody listens at `port`, or no more. */
  setOpen(port: ConsolePort, isOpen: boolean): void {
    if (this.has(CONSOLE_F_MULTIPORT)) this.#send(port.id, CONTROL_PORT_OPEN, isOpen ? 1 : 0);
  }

  notify(index: number): void {
    if (index === CONSOLE_CONTROL_RECEIVE_QUEUE) return this.#deliverMessages();
    if (index === CONSOLE_CONTROL_TRANSMIT_QUEUE) return drain(this.port, this.port.queues[index], this);
    const port = this.ports[index < 2 ? 0 : (index - 2) >> 1];
    if ((index & 1) === 0) port.receive();
    else port.transmit();
  }

  /** Serves one control message of the guest. */
  serve(queue: DeviceQueue): number {
    if (queue.chain.read(0, this.#control, CONTROL_SIZE) === CONTROL_SIZE) this.#handleControl();
    return 0;
  }

  /** §5.3.6.2: the low byte of emerg_wr is printed at once, in any state of the device. */
  override writeConfig(offset: number, value: number): void {
    if (offset !== CONFIG_EMERG_WR) return;
    this.#emergency[0] = value;
    this.ports[0].options.onOutput(this.#emergency);
  }

  override reset(): void {
    this.#messages = [];
    for (const port of this.ports) port.reset();
  }

  override save(): readonly number[] {
    const state: number[] = [];
    for (const part of [...this.ports.map((port) => port.save()), ...this.#messages]) state.push(part.length, ...part);
    return state;
  }

  override restore(state: readonly number[]): void {
    const parts: (readonly number[])[] = [];
    for (let at = 0; at < state.length; at += 1 + state[at]) parts.push(state.slice(at + 1, at + 1 + state[at]));
    for (const [i, port] of this.ports.entries()) port.restore(parts[i] ?? [0]);
    this.#messages = parts.slice(this.ports.length).map((part) => Uint8Array.from(part));
  }

  #handleControl(): void {
    const bytes = this.#control;
    const id = bytes[0] | (bytes[1] << 8) | (bytes[2] << 16) | (bytes[3] << 24);
    const event = bytes[4] | (bytes[5] << 8);
    const value = bytes[6] | (bytes[7] << 8);
    if (event === CONTROL_DEVICE_READY) {
      // §5.3.6.2: 1 = the driver can handle ports. Each is added once (§5.3.6.2.1).
      if (value === 1) for (const port of this.ports) this.#announce(port);
      return;
    }
    const port = this.ports[id];
    if (port === undefined) return;
    if (event === CONTROL_PORT_READY && value === 1) this.#introduce(port);
    else if (event === CONTROL_PORT_OPEN && port.isGuestOpen !== (value !== 0)) {
      port.isGuestOpen = value !== 0;
      port.options.onGuestOpen?.(port.isGuestOpen);
    }
  }

  #announce(port: ConsolePort): void {
    if (port.isAnnounced) return;
    port.isAnnounced = true;
    this.#send(port.id, CONTROL_DEVICE_ADD, 1);
  }

  /** What a driver wants to know of a port before it uses it. */
  #introduce(port: ConsolePort): void {
    const { name = "", isConsole = false } = port.options;
    if (isConsole) {
      this.#send(port.id, CONTROL_CONSOLE_PORT, 1);
      if (port.id === 0) this.#sendSize();
    }
    if (name !== "")
      this.#send(
        port.id,
        CONTROL_PORT_NAME,
        1,
        Array.from(name, (c) => c.charCodeAt(0) & 0xff),
      );
    this.#send(port.id, CONTROL_PORT_OPEN, 1);
  }

  #sendSize(): void {
    this.#send(0, CONTROL_RESIZE, 0, Array.from(this.config.subarray(CONFIG_COLS, CONFIG_ROWS + 2)));
  }

  #send(id: number, event: number, value: number, rest: readonly number[] = []): void {
    if (this.#messages.length >= MAX_MESSAGES) return;
    this.#messages.push(Uint8Array.of(id, 0, 0, 0, event, 0, value, 0, ...rest));
    this.#deliverMessages();
  }

  /** §5.3.6.2.1: one message per buffer. A buffer too small for it gets the beginning. */
  #deliverMessages(): void {
    const queue = this.port.queues[CONSOLE_CONTROL_RECEIVE_QUEUE];
    while (this.#messages.length > 0 && takeBuffer(this.port, queue)) {
      const [message] = this.#messages.splice(0, 1);
      queue.push(queue.chain.head, queue.chain.write(0, message, message.length));
    }
    this.port.notifyUsed(queue);
  }

  #storeSize(columns: number, rows: number): void {
    checkCells("columns", columns);
    checkCells("rows", rows);
    this.config[CONFIG_COLS] = columns & 0xff;
    this.config[CONFIG_COLS + 1] = columns >> 8;
    this.config[CONFIG_ROWS] = rows & 0xff;
    this.config[CONFIG_ROWS + 1] = rows >> 8;
  }
}

/** Receive queue of a port; its transmit queue is the next one. */
function receiveQueueOf(port: number): number {
  return port === 0 ? CONSOLE_RECEIVE_QUEUE : 2 + 2 * port;
}

function checkCells(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1 || value > 0xffff) {
    throw new RangeError(`"${name}" expected an integer in 1..65535, got ${value}`);
  }
}
