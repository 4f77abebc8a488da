/**
 * Receive buffers: equal pieces of DMA memory that wait in a queue for the device to fill them.
 *
 *   ring.offerAll()                    all buffers become available
 *   buffer = ring.take()               the next filled one, or ERR_NOT_READY; `length` says how much of it counts
 *   … bytes [start(buffer), + length) of `bytes` …
 *   ring.giveBack(buffer)              it waits again
 */
import type { DriverCore } from "./driver-core.ts";
import { ERR_DEVICE_FAULT, ERR_NOT_READY } from "./error.ts";
import type { DmaRegion } from "./hal.ts";
import { DescriptorList, type VirtQueue } from "./queue.ts";

export class BufferRing {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Bytes that the device wrote into the buffer taken last. */
  length = 0;
  readonly #core: DriverCore;
  readonly #queue: VirtQueue;
  readonly #paddr: number;
  readonly #bufferSize: number;
  readonly #count: number;
  readonly #list: DescriptorList = new DescriptorList(1);
  readonly #bufferOfToken: Uint16Array;
  /** Is the buffer the driver's at the moment? */
  readonly #isTaken: Uint8Array;

  /** Cuts `region` into buffers of `bufferSize` bytes, at most as many as the queue has descriptors. */
  constructor(core: DriverCore, queue: VirtQueue, region: DmaRegion, bufferSize: number) {
    this.#core = core;
    this.#queue = queue;
    this.bytes = region.view;
    this.view = new DataView(region.view.buffer, region.view.byteOffset, region.view.byteLength);
    this.#paddr = region.paddr;
    this.#bufferSize = bufferSize;
    this.#count = Math.min(Math.floor(region.view.length / bufferSize), queue.size);
    this.#bufferOfToken = new Uint16Array(queue.size);
    this.#isTaken = new Uint8Array(this.#count).fill(1);
  }

  /** Makes all buffers available; before `start`, so that the device finds them (§3.1.1), or after a queue reset. */
  offerAll(): void {
    for (let buffer = 0; buffer < this.#count; buffer++) this.#offer(buffer);
  }

  /** Tells the device about offered buffers; not before DRIVER_OK. */
  kick(): void {
    this.#queue.kick(this.#core.transport);
  }

  /** Index of the first byte of `buffer` in `bytes` and `view`. */
  start(buffer: number): number {
    return buffer * this.#bufferSize;
  }

  /** The next filled buffer, ERR_NOT_READY or ERR_DEVICE_FAULT. */
  take(): number {
    if (this.#core.isFaulty) return ERR_DEVICE_FAULT;
    const token = this.#queue.peekUsed();
    const length = token < 0 ? token : this.#queue.popUsed(token);
    if (length < 0) {
      if (length === ERR_NOT_READY) return ERR_NOT_READY;
      this.#core.fail();
      return ERR_DEVICE_FAULT;
    }
    this.length = length;
    const buffer = this.#bufferOfToken[token];
    this.#isTaken[buffer] = 1;
    return buffer;
  }

  /** `buffer` was read; the device may fill it again. */
  giveBack(buffer: number): void {
    if (this.#core.isFaulty || this.#isTaken[buffer] === 0) return;
    this.#offer(buffer);
    this.kick();
  }

  #offer(buffer: number): void {
    this.#list.clear();
    this.#list.pushWritable(this.#paddr + this.start(buffer), this.#bufferSize);
    const token = this.#queue.add(this.#list);
    if (token < 0) return;
    this.#bufferOfToken[token] = buffer;
    this.#isTaken[buffer] = 0;
  }
}
