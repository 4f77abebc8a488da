/**
 * One port of a virtio console, device side: a receive and a transmit queue.
 *
 *   guest → host   transmitted bytes go to `onOutput`, one call per contiguous buffer
 *   host → guest   `input` keeps what the guest has no buffer for, up to `inputLimit`; the rest is refused
 */
import { ByteFifo } from "./byte-fifo.ts";
import { type ChainServer, drain, takeBuffer, type VirtioPort } from "./device.ts";
import type { DeviceQueue } from "./queue.ts";

export interface ConsolePortOptions {
  /** Receives what the guest sends. `bytes` is a view into guest RAM: copy what you keep. */
  readonly onOutput: (bytes: Uint8Array) => void;
  /** Name by which the guest finds the port. Default "". */
  readonly name?: string;
  /** A console, as opposed to some other stream of bytes. Default false. */
  readonly isConsole?: boolean;
  /** Bytes of input kept while the guest has no receive buffer. Default 64 KiB. */
  readonly inputLimit?: number;
  /** After `input` refused bytes: called once when half of `inputLimit` is free again. */
  readonly onInputRoom?: () => void;
  /** A program in the guest opened or closed the port. */
  readonly onGuestOpen?: (isOpen: boolean) => void;
}

export class ConsolePort implements ChainServer {
  readonly id: number;
  readonly options: ConsolePortOptions;
  /** Has a program in the guest opened the port? */
  isGuestOpen = false;
  /** Was the guest told that there is this port? */
  isAnnounced = false;
  readonly #receiveQueue: number;
  readonly #pending: ByteFifo;
  #hasRefused = false;
  #port: VirtioPort | null = null;

  constructor(id: number, receiveQueue: number, options: ConsolePortOptions) {
    this.id = id;
    this.#receiveQueue = receiveQueue;
    this.options = options;
    this.#pending = new ByteFifo(options.inputLimit ?? 65536);
  }

  connect(port: VirtioPort): void {
    this.#port = port;
  }

  /** Types `bytes` into the guest. Returns how many were taken; the rest found no room. */
  input(bytes: Uint8Array): number {
    let taken = 0;
    while (taken < bytes.length) {
      const count = this.#pending.push(bytes, taken);
      if (count === 0) break;
      taken += count;
      this.#deliver();
    }
    if (taken < bytes.length) this.#hasRefused = true;
    return taken;
  }

  /** The guest made receive buffers available: whoever was refused may go on. */
  receive(): void {
    this.#deliver();
    if (!this.#hasRefused || this.#pending.count > this.#pending.capacity / 2) return;
    this.#hasRefused = false;
    this.options.onInputRoom?.();
  }

  transmit(): void {
    const port = this.#port!;
    drain(port, port.queues[this.#receiveQueue + 1], this);
  }

  /** Serves one transmit chain. Writable buffers in it are the driver's mistake; nothing is written there. */
  serve(queue: DeviceQueue): number {
    const chain = queue.chain;
    const ram = this.#port!.memory.bytes;
    for (let i = 0; i < chain.readableCount; i++) {
      this.options.onOutput(ram.subarray(chain.start[i], chain.start[i] + chain.byteLength[i]));
    }
    return 0;
  }

  reset(): void {
    this.isGuestOpen = false;
    this.isAnnounced = false;
  }

  /** State of the port and input that the guest has not taken yet. */
  save(): number[] {
    return [(this.isGuestOpen ? 1 : 0) | (this.isAnnounced ? 2 : 0), ...this.#pending.toArray()];
  }

  restore(state: readonly number[]): void {
    this.isGuestOpen = (state[0] & 1) !== 0;
    this.isAnnounced = (state[0] & 2) !== 0;
    this.#pending.load(state.slice(1, 1 + this.#pending.capacity));
  }

  /** Moves pending input into receive buffers. */
  #deliver(): void {
    const port = this.#port;
    if (port === null || !port.running) return;
    const queue = port.queues[this.#receiveQueue];
    while (this.#pending.count > 0 && takeBuffer(port, queue)) {
      if (queue.chain.writableBytes === 0) return port.needsReset("receive buffer that cannot be written");
      queue.push(queue.chain.head, this.#fill(port, queue));
    }
    port.notifyUsed(queue);
  }

  #fill(port: VirtioPort, queue: DeviceQueue): number {
    const chain = queue.chain;
    const memory = port.memory;
    let done = 0;
    for (let i = chain.readableCount; i < chain.count && this.#pending.count > 0; i++) {
      const length = this.#pending.shift(memory.bytes, chain.start[i], chain.byteLength[i]);
      memory.didWrite?.(memory.base + chain.start[i], length);
      done += length;
    }
    return done;
  }
}
