/**
 * virtio entropy driver: asks the device for random bytes, one request at a time through one DMA page.
 *
 * Spec: virtio 1.2 §5.4. The length that the device reports decides how many bytes count (§5.4.6.1).
 */
import { DriverCore, type DriverOptions } from "./driver-core.ts";
import { ERR_DEVICE_FAULT, ERR_IO, isVirtioError, type VirtioError } from "./error.ts";
import { type DmaRegion, type Hal, PAGE_SIZE } from "./hal.ts";
import { DescriptorList, type VirtQueue } from "./queue.ts";
import { DEVICE_TYPE_ENTROPY } from "./spec.ts";
import type { Transport } from "./transport.ts";

const QUEUE_INDEX = 0;
const QUEUE_SIZE = 8;

export interface VirtIORngOptions extends DriverOptions {}

export class VirtIORng {
  readonly #core: DriverCore;
  readonly #queue: VirtQueue;
  readonly #page: DmaRegion;
  readonly #list: DescriptorList = new DescriptorList(1);

  private constructor(core: DriverCore, queue: VirtQueue, page: DmaRegion) {
    this.#core = core;
    this.#queue = queue;
    this.#page = page;
  }

  /** Initialises the device behind `transport`. ERR_UNSUPPORTED if it is no entropy source. */
  static create(hal: Hal, transport: Transport, options: VirtIORngOptions = {}): VirtIORng | VirtioError {
    const core = DriverCore.open(hal, transport, DEVICE_TYPE_ENTROPY, [], options);
    if (isVirtioError(core)) return core;
    const page = core.addPages(1, "deviceToDriver");
    if (isVirtioError(page)) return core.abandon(page);
    const queue = core.addQueue(QUEUE_INDEX, QUEUE_SIZE);
    if (isVirtioError(queue)) return core.abandon(queue);
    queue.setDevNotify(false);
    core.start();
    return new VirtIORng(core, queue, page);
  }

  /** Puts up to 4096 random bytes at the start of `target`. Returns how many (≥ 1), or an error. */
  requestEntropy(target: Uint8Array): number {
    if (this.#core.isFaulty) return ERR_DEVICE_FAULT;
    if (target.length === 0) return 0;
    this.#list.clear();
    this.#list.pushWritable(this.#page.paddr, Math.min(target.length, PAGE_SIZE));
    const length = this.#core.execute(this.#queue, this.#list);
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
    this.#core.release();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
