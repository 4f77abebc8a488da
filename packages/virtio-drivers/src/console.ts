/**
 * virtio console driver, one port.
 *
 *   receive   RECEIVE_BUFFERS buffers wait in queue 0; a used one is read out by `read` and goes back to the queue
 *   transmit  `write` copies to a DMA page, one request at a time, and polls until the device took it
 *
 * Spec: virtio 1.2 §5.3. MULTIPORT is not negotiated, so there is exactly port 0.
 */
import {
  ERR_DEVICE_FAULT,
  ERR_NOT_READY,
  ERR_TIMED_OUT,
  ERR_UNSUPPORTED,
  isVirtioError,
  type VirtioError,
} from "./error.ts";
import { type DmaRegion, type Hal, PAGE_SIZE } from "./hal.ts";
import { DEFAULT_MAX_POLLS, DescriptorList, VirtQueue } from "./queue.ts";
import { DEVICE_TYPE_CONSOLE, F_EVENT_IDX_LO, INTERRUPT_CONFIG_CHANGE, STATUS_DEVICE_NEEDS_RESET } from "./spec.ts";
import { beginInit, failInit, finishInit, readConsistent, resetDevice, type Transport } from "./transport.ts";

// §5.3.3 Feature bits
export const CONSOLE_F_SIZE: number = 1 << 0;
export const CONSOLE_F_EMERG_WRITE: number = 1 << 2;

// §5.3.4 struct virtio_console_config
const CONFIG_COLS = 0;
const CONFIG_ROWS = 2;
const CONFIG_EMERG_WR = 8;

const RECEIVE_QUEUE = 0;
const TRANSMIT_QUEUE = 1;
const QUEUE_SIZE = 16;
const RECEIVE_BUFFERS = 8;
const RECEIVE_BUFFER_SIZE: number = PAGE_SIZE / RECEIVE_BUFFERS;

export interface VirtIOConsoleOptions {
  /** How often `write` looks for completion before ERR_TIMED_OUT. Default 10 million. */
  readonly maxPolls?: number;
}

export class VirtIOConsole {
  readonly #hal: Hal;
  readonly #transport: Transport;
  readonly #features: number;
  readonly #receive: VirtQueue;
  readonly #transmit: VirtQueue;
  readonly #receivePage: DmaRegion;
  readonly #transmitPage: DmaRegion;
  readonly #maxPolls: number;
  readonly #list: DescriptorList = new DescriptorList(1);
  /** Receive buffer of each chain head. */
  readonly #bufferOfHead: Uint8Array;
  // The buffer that `read` is taking bytes from; -1 = none.
  #current = -1;
  #currentAt = 0;
  #currentLength = 0;
  #isFaulty = false;

  private constructor(
    hal: Hal,
    transport: Transport,
    features: number,
    queues: readonly [VirtQueue, VirtQueue],
    pages: readonly DmaRegion[],
    options: VirtIOConsoleOptions,
  ) {
    this.#hal = hal;
    this.#transport = transport;
    this.#features = features;
    [this.#receive, this.#transmit] = queues;
    [this.#receivePage, this.#transmitPage] = pages;
    this.#maxPolls = options.maxPolls ?? DEFAULT_MAX_POLLS;
    this.#bufferOfHead = new Uint8Array(this.#receive.size);
  }

  /** Initialises the device behind `transport`. ERR_UNSUPPORTED if it is no console. */
  static create(hal: Hal, transport: Transport, options: VirtIOConsoleOptions = {}): VirtIOConsole | VirtioError {
    if (transport.deviceType !== DEVICE_TYPE_CONSOLE) return ERR_UNSUPPORTED;
    const features = beginInit(transport, CONSOLE_F_SIZE | CONSOLE_F_EMERG_WRITE | F_EVENT_IDX_LO);
    if (isVirtioError(features)) return features;
    const receivePage = hal.dmaAlloc(1, "deviceToDriver");
    if (isVirtioError(receivePage)) return failInit(transport, receivePage);
    const transmitPage = hal.dmaAlloc(1, "driverToDevice");
    if (isVirtioError(transmitPage)) {
      hal.dmaDealloc(receivePage.paddr, 1);
      return failInit(transport, transmitPage);
    }
    const queueOptions = { eventIdx: (features.low & F_EVENT_IDX_LO) !== 0 };
    const receive = VirtQueue.create(hal, transport, RECEIVE_QUEUE, QUEUE_SIZE, queueOptions);
    const transmit = VirtQueue.create(hal, transport, TRANSMIT_QUEUE, QUEUE_SIZE, queueOptions);
    if (isVirtioError(receive) || isVirtioError(transmit)) {
      resetDevice(transport);
      if (!isVirtioError(receive)) receive.release();
      if (!isVirtioError(transmit)) transmit.release();
      hal.dmaDealloc(receivePage.paddr, 1);
      hal.dmaDealloc(transmitPage.paddr, 1);
      return failInit(transport, isVirtioError(receive) ? receive : (transmit as VirtioError));
    }
    const pages = [receivePage, transmitPage];
    const console = new VirtIOConsole(hal, transport, features.low, [receive, transmit], pages, options);
    for (let buffer = 0; buffer < RECEIVE_BUFFERS; buffer++) console.#offer(buffer);
    transmit.setDevNotify(false);
    finishInit(transport);
    console.#kickReceive();
    return console;
  }

  /** Takes received bytes; returns how many, 0 if there are none now, or ERR_DEVICE_FAULT. */
  read(target: Uint8Array): number {
    let done = 0;
    while (done < target.length) {
      if (this.#current < 0 && !this.#nextBuffer()) break;
      const page = this.#receivePage.view;
      const start = this.#current * RECEIVE_BUFFER_SIZE;
      const end = Math.min(this.#currentLength, this.#currentAt + target.length - done);
      while (this.#currentAt < end) target[done++] = page[start + this.#currentAt++];
      if (this.#currentAt === this.#currentLength) this.#returnCurrent();
    }
    if (done === 0 && this.#isFaulty) return ERR_DEVICE_FAULT;
    return done;
  }

  /** Prints all of `bytes`. Returns their number or an error. */
  write(bytes: Uint8Array): number {
    if (this.#isFaulty) return ERR_DEVICE_FAULT;
    const page = this.#transmitPage.view;
    for (let at = 0; at < bytes.length; at += PAGE_SIZE) {
      const length = Math.min(bytes.length - at, PAGE_SIZE);
      if (at === 0 && length === bytes.length) page.set(bytes);
      else page.set(bytes.subarray(at, at + length));
      this.#list.clear();
      this.#list.pushReadable(this.#transmitPage.paddr, length);
      const result = this.#transmit.addNotifyWaitPop(this.#list, this.#transport, this.#maxPolls);
      if (result === ERR_TIMED_OUT || result === ERR_DEVICE_FAULT) this.#fail();
      if (result < 0) return result;
    }
    return bytes.length;
  }

  /** Columns and rows as one consistent pair, or ERR_UNSUPPORTED if the device does not know them. */
  size(): { readonly columns: number; readonly rows: number } | VirtioError {
    if ((this.#features & CONSOLE_F_SIZE) === 0) return ERR_UNSUPPORTED;
    const packed = readConsistent(this.#transport, () => {
      const columns = this.#transport.readConfig16(CONFIG_COLS);
      const rows = this.#transport.readConfig16(CONFIG_ROWS);
      return columns < 0 || rows < 0 ? Math.min(columns, rows) : rows * 0x1_0000 + columns;
    });
    return packed < 0 ? (packed as VirtioError) : { columns: packed & 0xffff, rows: packed >>> 16 };
  }

  /** Prints one byte without queues; works on a faulty device too. 0 or ERR_UNSUPPORTED. */
  emergencyWrite(byte: number): number {
    if ((this.#features & CONSOLE_F_EMERG_WRITE) === 0) return ERR_UNSUPPORTED;
    return this.#transport.writeConfig32(CONFIG_EMERG_WR, byte & 0xff);
  }

  /**
   * For the interrupt handler: acknowledges and returns the INTERRUPT_* bits. INTERRUPT_USED_BUFFER: try `read`;
   * INTERRUPT_CONFIG_CHANGE: ask `size` again. Spurious calls are harmless.
   */
  handleInterrupt(): number {
    const events = this.#transport.ackInterrupt();
    const isConfig = (events & INTERRUPT_CONFIG_CHANGE) !== 0;
    if (isConfig && (this.#transport.getStatus() & STATUS_DEVICE_NEEDS_RESET) !== 0) this.#fail();
    return events;
  }

  /** Resets the device and frees the DMA memory. */
  release(): void {
    this.#fail();
    this.#receive.release();
    this.#transmit.release();
    this.#hal.dmaDealloc(this.#receivePage.paddr, 1);
    this.#hal.dmaDealloc(this.#transmitPage.paddr, 1);
  }

  [Symbol.dispose](): void {
    this.release();
  }

  /** Makes the next used receive buffer the current one. False if there is none. */
  #nextBuffer(): boolean {
    if (this.#isFaulty) return false;
    const token = this.#receive.peekUsed();
    const length = token < 0 ? token : this.#receive.popUsed(token);
    if (length < 0) {
      if (length !== ERR_NOT_READY) this.#fail();
      return false;
    }
    this.#current = this.#bufferOfHead[token];
    this.#currentAt = 0;
    this.#currentLength = length;
    if (length > 0) return true;
    this.#returnCurrent(); // an empty answer is no input; a device that keeps sending them must not keep us here
    return false;
  }

  #returnCurrent(): void {
    this.#offer(this.#current);
    this.#current = -1;
    this.#kickReceive();
  }

  #offer(buffer: number): void {
    this.#list.clear();
    this.#list.pushWritable(this.#receivePage.paddr + buffer * RECEIVE_BUFFER_SIZE, RECEIVE_BUFFER_SIZE);
    const token = this.#receive.add(this.#list);
    if (token >= 0) this.#bufferOfHead[token] = buffer;
  }

  #kickReceive(): void {
    if (this.#receive.shouldNotify()) this.#transport.notify(RECEIVE_QUEUE);
  }

  #fail(): void {
    if (this.#isFaulty) return;
    this.#isFaulty = true;
    resetDevice(this.#transport);
  }
}
