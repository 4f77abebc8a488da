/**
 * virtio entropy driver: asks the device for random bytes, one request at a time through one DMA page.
 *
 * Spec: virtio 1.2 §5.4. The length that the device reports decides how many bytes count (§5.4.6.1).
 */
import { ERR_DEVICE_FAULT, ERR_IO, ERR_TIMED_OUT, ERR_UNSUPPORTED, isVirtioError, type VirtioError } from "./error.ts";
import { type DmaRegion, type Hal, PAGE_SIZE } from "./hal.ts";
import { DEFAULT_MAX_POLLS, DescriptorList, VirtQueue } from "./queue.ts";
import { DEVICE_TYPE_ENTROPY, F_EVENT_IDX_LO } from "./spec.ts";
import { beginInit, failInit, finishInit, resetDevice, type Transport } from "./transport.ts";

const QUEUE_INDEX = 0;
const QUEUE_SIZE = 8;

export interface VirtIORngOptions {
  /** How often to look for completion before ERR_TIMED_OUT. Default 10 million. */
  readonly maxPolls?: number;
}

export class VirtIORng {
  readonly #hal: Hal;
  readonly #transport: Transport;
  readonly #queue: VirtQueue;
  readonly #page: DmaRegion;
  readonly #maxPolls: number;
  readonly #list: DescriptorList = new DescriptorList(1);
  #isFaulty = false;

  private constructor(hal: Hal, transport: Transport, queue: VirtQueue, page: DmaRegion, options: VirtIORngOptions) {
    this.#hal = hal;
    this.#transport = transport;
    this.#queue = queue;
    this.#page = page;
    this.#maxPolls = options.maxPolls ?? DEFAULT_MAX_POLLS;
  }

  /** Initialises the device behind `transport`. ERR_UNSUPPORTED if it is no entropy source. */
  static create(hal: Hal, transport: Transport, options: VirtIORngOptions = {}): VirtIORng | VirtioError {
    if (transport.deviceType !== DEVICE_TYPE_ENTROPY) return ERR_UNSUPPORTED;
    const features = beginInit(transport, F_EVENT_IDX_LO);
    if (isVirtioError(features)) return features;
    const page = hal.dmaAlloc(1, "deviceToDriver");
    if (isVirtioError(page)) return failInit(transport, page);
    const eventIdx = (features.low & F_EVENT_IDX_LO) !== 0;
    const queue = VirtQueue.create(hal, transport, QUEUE_INDEX, QUEUE_SIZE, { eventIdx });
    if (isVirtioError(queue)) {
      hal.dmaDealloc(page.paddr, 1);
      return failInit(transport, queue);
    }
    queue.setDevNotify(false);
    finishInit(transport);
    return new VirtIORng(hal, transport, queue, page, options);
  }

  /** Puts up to 4096 random bytes at the start of `target`. Returns how many (≥ 1), or an error. */
  requestEntropy(target: Uint8Array): number {
    if (this.#isFaulty) return ERR_DEVICE_FAULT;
    if (target.length === 0) return 0;
    const wanted = Math.min(target.length, PAGE_SIZE);
    this.#list.clear();
    this.#list.pushWritable(this.#page.paddr, wanted);
    const length = this.#queue.addNotifyWaitPop(this.#list, this.#transport, this.#maxPolls);
    if (length === ERR_TIMED_OUT || length === ERR_DEVICE_FAULT) this.#fail();
    if (length < 0) return length;
    if (length === 0) return ERR_IO; // §5.4.6.2: at least one byte
    const bytes = this.#page.view;
    for (let i = 0; i < length; i++) {
      target[i] = bytes[i];
      bytes[i] = 0; // nothing else shall find them here
    }
    return length;
  }

  /** Fills `target` completely. 0 or an error. */
  fill(target: Uint8Array): number {
    for (let at = 0; at < target.length; ) {
      const length = this.requestEntropy(target.subarray(at));
      if (length < 0) return length;
      at += length;
    }
    return 0;
  }

  /** Resets the device and frees the DMA memory. */
  release(): void {
    this.#fail();
    this.#queue.release();
    this.#hal.dmaDealloc(this.#page.paddr, 1);
  }

  [Symbol.dispose](): void {
    this.release();
  }

  #fail(): void {
    if (this.#isFaulty) return;
    this.#isFaulty = true;
    resetDevice(this.#transport);
  }
}
