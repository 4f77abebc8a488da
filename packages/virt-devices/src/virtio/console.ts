/**
 * virtio console, device side: one port, a receive queue (0) and a transmit queue (1), window size, emergency write.
 *
 *   guest → host   transmitted bytes go to `onOutput`, one call per contiguous buffer
 *   host → guest   `input` keeps what the guest has no buffer for, up to `inputLimit`; the rest is refused
 *
 * Spec: virtio 1.2 §5.3. VIRTIO_CONSOLE_F_MULTIPORT is not offered.
 */
import type { ChainServer, VirtioModel, VirtioPort } from "./device.ts";
import { drain } from "./device.ts";
import { type DeviceQueue, POP_BROKEN, POP_CHAIN } from "./queue.ts";
import { DEVICE_ID_CONSOLE } from "./spec.ts";

// §5.3.3 Feature bits
export const CONSOLE_F_SIZE: number = 1 << 0;
export const CONSOLE_F_EMERG_WRITE: number = 1 << 2;

// §5.3.4 struct virtio_console_config
const CONFIG_COLS = 0; // le16
const CONFIG_ROWS = 2; // le16
const CONFIG_MAX_NR_PORTS = 4; // le32, meaningless without MULTIPORT
const CONFIG_EMERG_WR = 8; // le32
const CONFIG_LENGTH = 12;

export const CONSOLE_RECEIVE_QUEUE = 0;
export const CONSOLE_TRANSMIT_QUEUE = 1;

export interface ConsoleDeviceOptions {
  /** Receives what the guest prints. `bytes` is a view into guest RAM: copy what you keep. */
  readonly onOutput: (bytes: Uint8Array) => void;
  /** Columns and rows, 1..65535. Default 80 x 24. */
  readonly columns?: number;
  readonly rows?: number;
  /** Bytes of input kept while the guest has no receive buffer. Default 64 KiB. */
  readonly inputLimit?: number;
  /** After `input` refused bytes: called once when half of `inputLimit` is free again. */
  readonly onInputRoom?: () => void;
}

export class ConsoleDevice implements VirtioModel, ChainServer {
  readonly deviceId: number = DEVICE_ID_CONSOLE;
  readonly features: number = CONSOLE_F_SIZE | CONSOLE_F_EMERG_WRITE;
  readonly queueSizes: readonly number[] = [64, 64];
  readonly config: Uint8Array = new Uint8Array(CONFIG_LENGTH);
  readonly #onOutput: (bytes: Uint8Array) => void;
  readonly #pending: Uint8Array;
  readonly #emergency: Uint8Array = new Uint8Array(1);
  readonly #onInputRoom: () => void;
  #hasRefused = false;
  #pendingStart = 0;
  #pendingCount = 0;
  #port!: VirtioPort;

  constructor(options: ConsoleDeviceOptions) {
    this.#onOutput = options.onOutput;
    this.#pending = new Uint8Array(options.inputLimit ?? 65536);
    this.#onInputRoom = options.onInputRoom ?? ignore;
    this.#storeSize(options.columns ?? 80, options.rows ?? 24);
    this.config[CONFIG_MAX_NR_PORTS] = 1;
  }

  connect(port: VirtioPort): void {
    this.#port = port;
  }

  /** Types `bytes` into the guest. Returns how many were taken; the rest found no room. */
  input(bytes: Uint8Array): number {
    let taken = 0;
    while (taken < bytes.length) {
      const count = this.#enqueue(bytes, taken);
      if (count === 0) break;
      taken += count;
      this.#deliver();
    }
    if (taken < bytes.length) this.#hasRefused = true;
    return taken;
  }

  /** The terminal has a new size: updates the configuration and notifies the guest. */
  resize(columns: number, rows: number): void {
    this.#storeSize(columns, rows);
    this.#port.configChanged();
  }

  notify(index: number): void {
    if (index === CONSOLE_RECEIVE_QUEUE) this.#deliverAndOffer();
    else drain(this.#port, this.#port.queues[index], this);
  }

  /** Serves one transmit chain. Writable buffers in it are the driver's mistake; nothing is written there. */
  serve(queue: DeviceQueue): number {
    const chain = queue.chain;
    const ram = this.#port.memory.bytes;
    for (let i = 0; i < chain.readableCount; i++) {
      this.#onOutput(ram.subarray(chain.start[i], chain.start[i] + chain.byteLength[i]));
    }
    return 0;
  }

  featuresChosen(): boolean {
    return true;
  }

  /** §5.3.6.2: the low byte of emerg_wr is printed at once, in any state of the device. */
  writeConfig(offset: number, value: number): void {
    if (offset !== CONFIG_EMERG_WR) return;
    this.#emergency[0] = value;
    this.#onOutput(this.#emergency);
  }

  reset(): void {}

  /** Input that the guest has not taken yet. */
  save(): readonly number[] {
    const bytes: number[] = [];
    for (let i = 0; i < this.#pendingCount; i++)
      bytes.push(this.#pending[(this.#pendingStart + i) % this.#pending.length]);
    return bytes;
  }

  restore(state: readonly number[]): void {
    this.#pendingStart = 0;
    this.#pendingCount = Math.min(state.length, this.#pending.length);
    for (let i = 0; i < this.#pendingCount; i++) this.#pending[i] = state[i];
  }

  /** Copies bytes from index `start` on behind the pending ones; returns how many found room. */
  #enqueue(bytes: Uint8Array, start: number): number {
    const ring = this.#pending;
    const count = Math.min(bytes.length - start, ring.length - this.#pendingCount);
    let at = (this.#pendingStart + this.#pendingCount) % ring.length;
    for (let i = 0; i < count; i++) {
      ring[at] = bytes[start + i];
      at = at + 1 === ring.length ? 0 : at + 1;
    }
    this.#pendingCount += count;
    return count;
  }

  /** The guest made buffers available: whoever was refused may go on. */
  #deliverAndOffer(): void {
    this.#deliver();
    if (!this.#hasRefused || this.#pendingCount > this.#pending.length / 2) return;
    this.#hasRefused = false;
    this.#onInputRoom();
  }

  /** Moves pending input into receive buffers. */
  #deliver(): void {
    const port = this.#port;
    const queue = port.queues[CONSOLE_RECEIVE_QUEUE];
    if (!port.running) return;
    while (this.#pendingCount > 0) {
      const result = queue.pop();
      if (result === POP_BROKEN) return port.needsReset(queue.fault);
      if (result !== POP_CHAIN) {
        queue.requestNotification();
        if (!queue.hasMore()) break;
        continue;
      }
      queue.push(queue.chain.head, this.#fill(queue));
    }
    port.notifyUsed(queue);
  }

  #fill(queue: DeviceQueue): number {
    const chain = queue.chain;
    const memory = this.#port.memory;
    const ring = this.#pending;
    let done = 0;
    for (let i = chain.readableCount; i < chain.count && this.#pendingCount > 0; i++) {
      const start = chain.start[i];
      const length = Math.min(chain.byteLength[i], this.#pendingCount);
      for (let k = 0; k < length; k++) {
        memory.bytes[start + k] = ring[this.#pendingStart];
        this.#pendingStart = this.#pendingStart + 1 === ring.length ? 0 : this.#pendingStart + 1;
      }
      this.#pendingCount -= length;
      memory.didWrite?.(memory.base + start, length);
      done += length;
    }
    return done;
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

function checkCells(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1 || value > 0xffff) {
    throw new RangeError(`"${name}" expected an integer in 1..65535, got ${value}`);
  }
}

function ignore(): void {}
