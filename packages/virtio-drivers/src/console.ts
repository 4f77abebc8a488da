/**
 * virtio console driver: port 0 as a console, and with VIRTIO_CONSOLE_F_MULTIPORT further ports, which the device announces by
 * control messages.
 *
 *   driver                                device
 *   DEVICE_READY                          DEVICE_ADD for each port
 *   PORT_READY                            PORT_NAME, CONSOLE_PORT, RESIZE, PORT_OPEN
 *   PORT_OPEN (`setOpen`)                 …
 *
 * Control messages are read in `handleInterrupt`, and once at the end of `create`. Spec: virtio 1.2 §5.3.
 */
import { BufferRing } from "./buffer-ring.ts";
import { ConsolePort } from "./console-port.ts";
import {
  CONSOLE_CONFIG_COLS,
  CONSOLE_CONFIG_EMERG_WR,
  CONSOLE_CONFIG_MAX_NR_PORTS,
  CONSOLE_CONFIG_ROWS,
  CONSOLE_F_EMERG_WRITE,
  CONSOLE_F_MULTIPORT,
  CONSOLE_F_SIZE,
  CONSOLE_FEATURES,
  CONTROL_CONSOLE_PORT,
  CONTROL_DEVICE_ADD,
  CONTROL_DEVICE_READY,
  CONTROL_DEVICE_REMOVE,
  CONTROL_PORT_NAME,
  CONTROL_PORT_OPEN,
  CONTROL_PORT_READY,
  CONTROL_RECEIVE_QUEUE,
  CONTROL_RESIZE,
  CONTROL_SIZE,
  CONTROL_TRANSMIT_QUEUE,
  receiveQueueOf,
} from "./console-spec.ts";
import { DriverCore, type DriverOptions } from "./driver-core.ts";
import { ERR_INVALID_PARAM, ERR_UNSUPPORTED, isVirtioError, type VirtioError } from "./error.ts";
import { type DmaRegion, type Hal, PAGE_SIZE } from "./hal.ts";
import { DescriptorList, type VirtQueue } from "./queue.ts";
import { DEVICE_TYPE_CONSOLE } from "./spec.ts";
import { readConsistent, type Transport } from "./transport.ts";

const QUEUE_SIZE = 16;
const CONTROL_BUFFERS = 16;
const CONTROL_BUFFER_SIZE: number = PAGE_SIZE / CONTROL_BUFFERS;
/** Control messages taken in one `handleInterrupt`, so that a device that floods them does not keep us there. */
const CONTROL_BUDGET = 256;

export interface VirtIOConsoleOptions extends DriverOptions {
  /** Ports wanted, 1..31; a device without MULTIPORT has one. Default 4. */
  readonly maxPorts?: number;
  /** A port was announced, removed, opened, closed, named or resized. */
  readonly onPortChange?: (port: ConsolePort) => void;
}

export class VirtIOConsole {
  readonly #core: DriverCore;
  readonly #ports: readonly ConsolePort[];
  readonly #control: BufferRing | null;
  readonly #controlTransmit: VirtQueue | null;
  readonly #controlPage: DmaRegion | null;
  readonly #list: DescriptorList = new DescriptorList(1);
  readonly #onPortChange: (port: ConsolePort) => void;

  private constructor(
    core: DriverCore,
    ports: readonly ConsolePort[],
    control: ControlQueues | null,
    options: VirtIOConsoleOptions,
  ) {
    this.#core = core;
    this.#ports = ports;
    this.#control = control && new BufferRing(core, control.receive, control.receivePage, CONTROL_BUFFER_SIZE);
    this.#controlTransmit = control?.transmit ?? null;
    this.#controlPage = control?.transmitPage ?? null;
    this.#onPortChange = options.onPortChange ?? ignore;
    this.#control?.offerAll();
    this.#controlTransmit?.setDevNotify(false);
    if (control === null) ports[0].isPresent = ports[0].isConsole = true;
  }

  /** Initialises the device behind `transport`. ERR_UNSUPPORTED if it is no console. */
  static create(hal: Hal, transport: Transport, options: VirtIOConsoleOptions = {}): VirtIOConsole | VirtioError {
    const core = DriverCore.open(hal, transport, DEVICE_TYPE_CONSOLE, CONSOLE_FEATURES, options);
    if (isVirtioError(core)) return core;
    const isMultiport = core.has(CONSOLE_F_MULTIPORT);
    const offered = isMultiport ? transport.readConfig32(CONSOLE_CONFIG_MAX_NR_PORTS) : 1;
    const portCount = Math.max(Math.min(options.maxPorts ?? 4, offered, 31), 1);
    const ports: ConsolePort[] = [];
    for (let id = 0; id < portCount; id++) {
      const port = addPort(core, id);
      if (isVirtioError(port)) return core.abandon(port);
      ports.push(port);
    }
    const control = isMultiport ? addControl(core) : null;
    if (isVirtioError(control)) return core.abandon(control);
    const console = new VirtIOConsole(core, ports, control, options);
    core.start();
    console.#start();
    return console;
  }

  /** The ports that the device has announced. Without MULTIPORT: port 0. */
  get ports(): readonly ConsolePort[] {
    return this.#ports.filter((port) => port.isPresent);
  }

  /** Takes bytes received at port 0; returns how many, 0 if there are none now, or ERR_DEVICE_FAULT. */
  read(target: Uint8Array): number {
    return this.#ports[0].read(target);
  }

  /** Prints all of `bytes` at port 0. Returns their number or an error. */
  write(bytes: Uint8Array): number {
    return this.#ports[0].write(bytes);
  }

  /** Tells the device that a program opened or closed `port`. 0 or an error; ERR_UNSUPPORTED without MULTIPORT. */
  setOpen(port: ConsolePort, isOpen: boolean): number {
    if (this.#ports[port.id] !== port) return ERR_INVALID_PARAM;
    return this.#send(port.id, CONTROL_PORT_OPEN, isOpen ? 1 : 0);
  }

  /** Columns and rows as one consistent pair, or ERR_UNSUPPORTED if the device does not know them. */
  size(): { readonly columns: number; readonly rows: number } | VirtioError {
    if (!this.#core.has(CONSOLE_F_SIZE)) return ERR_UNSUPPORTED;
    const { transport } = this.#core;
    const packed = readConsistent(transport, () => {
      const columns = transport.readConfig16(CONSOLE_CONFIG_COLS);
      const rows = transport.readConfig16(CONSOLE_CONFIG_ROWS);
      return columns < 0 || rows < 0 ? Math.min(columns, rows) : rows * 0x1_0000 + columns;
    });
    return packed < 0 ? (packed as VirtioError) : { columns: packed & 0xffff, rows: packed >>> 16 };
  }

  /** Prints one byte without queues; works on a faulty device too. 0 or ERR_UNSUPPORTED. */
  emergencyWrite(byte: number): number {
    if (!this.#core.has(CONSOLE_F_EMERG_WRITE)) return ERR_UNSUPPORTED;
    return this.#core.transport.writeConfig32(CONSOLE_CONFIG_EMERG_WR, byte & 0xff);
  }

  /**
   * For the interrupt handler: acknowledges and returns the INTERRUPT_* bits. INTERRUPT_USED_BUFFER: try `read`;
   * INTERRUPT_CONFIG_CHANGE: ask `size` again. Spurious calls are harmless.
   */
  handleInterrupt(): number {
    const events = this.#core.handleInterrupt();
    this.#readControl();
    return events;
  }

  /** Resets the device and frees the DMA memory. */
  release(): void {
    this.#core.release();
  }

  [Symbol.dispose](): void {
    this.release();
  }

  #start(): void {
    for (const port of this.#ports) port.start();
    if (this.#control === null) return;
    this.#control.kick();
    this.#send(0, CONTROL_DEVICE_READY, 1);
    this.#readControl();
  }

  /** Sends one control message. */
  #send(id: number, event: number, value: number): number {
    if (this.#controlPage === null || this.#controlTransmit === null) return ERR_UNSUPPORTED;
    const { view, paddr } = this.#controlPage;
    view.set([id & 0xff, id >> 8, 0, 0, event, 0, value, 0]);
    this.#list.clear();
    this.#list.pushReadable(paddr, CONTROL_SIZE);
    return Math.min(this.#core.execute(this.#controlTransmit, this.#list), 0);
  }

  #readControl(): void {
    const ring = this.#control;
    if (ring === null) return;
    for (let budget = CONTROL_BUDGET; budget > 0; budget--) {
      const buffer = ring.take();
      if (buffer < 0) return;
      if (ring.length >= CONTROL_SIZE) this.#handleControl(ring, ring.start(buffer));
      ring.giveBack(buffer);
    }
  }

  /** What the device says is checked: a port that we have no queues for is none of ours. */
  #handleControl(ring: BufferRing, at: number): void {
    const port = this.#ports[ring.view.getUint32(at, true)];
    if (port === undefined) return;
    const value = ring.view.getUint16(at + 6, true);
    switch (ring.view.getUint16(at + 4, true)) {
      case CONTROL_DEVICE_ADD:
        port.isPresent = true;
        this.#send(port.id, CONTROL_PORT_READY, 1);
        break;
      case CONTROL_DEVICE_REMOVE:
        port.isPresent = port.isHostOpen = false;
        break;
      case CONTROL_CONSOLE_PORT:
        port.isConsole = value !== 0;
        this.#send(port.id, CONTROL_PORT_OPEN, 1); // a console is always open
        break;
      case CONTROL_RESIZE:
        if (ring.length < CONTROL_SIZE + 4) return;
        port.columns = ring.view.getUint16(at + CONTROL_SIZE, true);
        port.rows = ring.view.getUint16(at + CONTROL_SIZE + 2, true);
        break;
      case CONTROL_PORT_OPEN:
        port.isHostOpen = value !== 0;
        break;
      case CONTROL_PORT_NAME:
        port.name = textOf(ring.bytes, at + CONTROL_SIZE, at + ring.length);
        break;
      default:
        return;
    }
    this.#onPortChange(port);
  }
}

interface ControlQueues {
  readonly receive: VirtQueue;
  readonly transmit: VirtQueue;
  readonly receivePage: DmaRegion;
  readonly transmitPage: DmaRegion;
}

function addControl(core: DriverCore): ControlQueues | VirtioError {
  const receivePage = core.addPages(1, "deviceToDriver");
  if (isVirtioError(receivePage)) return receivePage;
  const transmitPage = core.addPages(1, "driverToDevice");
  if (isVirtioError(transmitPage)) return transmitPage;
  const receive = core.addQueue(CONTROL_RECEIVE_QUEUE, CONTROL_BUFFERS);
  if (isVirtioError(receive)) return receive;
  const transmit = core.addQueue(CONTROL_TRANSMIT_QUEUE, QUEUE_SIZE);
  return isVirtioError(transmit) ? transmit : { receive, transmit, receivePage, transmitPage };
}

function addPort(core: DriverCore, id: number): ConsolePort | VirtioError {
  const receivePage = core.addPages(1, "deviceToDriver");
  if (isVirtioError(receivePage)) return receivePage;
  const transmitPage = core.addPages(1, "driverToDevice");
  if (isVirtioError(transmitPage)) return transmitPage;
  const receive = core.addQueue(receiveQueueOf(id), QUEUE_SIZE);
  if (isVirtioError(receive)) return receive;
  const transmit = core.addQueue(receiveQueueOf(id) + 1, QUEUE_SIZE);
  if (isVirtioError(transmit)) return transmit;
  return new ConsolePort(core, id, [receive, transmit], [receivePage, transmitPage]);
}

/** Bytes as text, up to a NUL. */
function textOf(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let i = start; i < end && bytes[i] !== 0; i++) text += String.fromCharCode(bytes[i]);
  return text;
}

function ignore(): void {}
