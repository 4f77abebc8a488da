/**
 * What every driver does the same way: negotiate, own queues and DMA memory, run a request to its end, give up.
 *
 *   const core = DriverCore.open(hal, transport, DEVICE_TYPE_ENTROPY, RNG_FEATURES);    §3.1.1 steps 1-6
 *   const queue = core.addQueue(0, 8);  const page = core.addPages(1, "deviceToDriver");         step 7
 *   if (isVirtioError(queue)) return core.abandon(queue);
 *   core.start();                                                                                step 8
 *
 * A device that breaks the protocol, asks for a reset or does not answer is reset, which ends its access to memory; from then on
 * `isFaulty`, and every function of the driver answers ERR_DEVICE_FAULT.
 */
import { ERR_DEVICE_FAULT, ERR_TIMED_OUT, ERR_UNSUPPORTED, isVirtioError, type VirtioError } from "./error.ts";
import type { Feature } from "./features.ts";
import { type BufferDirection, type DmaRegion, type Hal, PAGE_SIZE } from "./hal.ts";
import { DEFAULT_MAX_POLLS, type DescriptorList, ringOptions, VirtQueue } from "./queue.ts";
import { INTERRUPT_CONFIG_CHANGE, STATUS_DEVICE_NEEDS_RESET } from "./spec.ts";
import { beginInit, failInit, type Features, finishInit, resetDevice, type Transport } from "./transport.ts";

export interface DriverOptions {
  /** How often a waiting function looks for completion before ERR_TIMED_OUT. Default 10 million. */
  readonly maxPolls?: number;
}

export class DriverCore {
  readonly hal: Hal;
  readonly transport: Transport;
  readonly features: Features;
  readonly maxPolls: number;
  readonly queues: VirtQueue[] = [];
  /** Called once, when the device turns out to be faulty, after it was reset. */
  onFault: () => void = () => {};
  readonly #regions: DmaRegion[] = [];
  #isFaulty = false;
  #isReleased = false;

  private constructor(hal: Hal, transport: Transport, features: Features, options: DriverOptions) {
    this.hal = hal;
    this.transport = transport;
    this.features = features;
    this.maxPolls = options.maxPolls ?? DEFAULT_MAX_POLLS;
  }

  /** Negotiates with a device of the wanted type: ERR_UNSUPPORTED if it is of another, or an error of negotiation. */
  static open(
    hal: Hal,
    transport: Transport,
    deviceType: number,
    table: readonly Feature[],
    options: DriverOptions = {},
  ): DriverCore | VirtioError {
    if (transport.deviceType !== deviceType) return ERR_UNSUPPORTED;
    const features = beginInit(transport, table);
    return isVirtioError(features) ? features : new DriverCore(hal, transport, features, options);
  }

  /** Was this bit of feature word 0 accepted? */
  has(feature: number): boolean {
    return (this.features.low & feature) !== 0;
  }

  /** Sets queue `index` up. `indirect`: its chains are long enough for indirect tables to be worth their memory. */
  addQueue(index: number, wantedSize: number, indirect: boolean = false): VirtQueue | VirtioError {
    const options = ringOptions(this.features);
    const queue = VirtQueue.create(this.hal, this.transport, index, wantedSize, {
      ...options,
      indirect: indirect && (options.indirect ?? false),
    });
    if (!isVirtioError(queue)) this.queues.push(queue);
    return queue;
  }

  /** DMA pages that live as long as the driver. */
  addPages(pages: number, direction: BufferDirection): DmaRegion | VirtioError {
    const region = this.hal.dmaAlloc(pages, direction);
    if (!isVirtioError(region)) this.#regions.push(region);
    return region;
  }

  /** Ends a set-up that failed: nothing is left behind, and the device is told. Passes `error` through. */
  abandon<E extends number>(error: E): E {
    this.release();
    return failInit(this.transport, error);
  }

  start(): void {
    finishInit(this.transport);
  }

  get isFaulty(): boolean {
    return this.#isFaulty;
  }

  /** Resets the device, so that it stops using memory. */
  fail(): void {
    if (this.#isFaulty) return;
    this.#isFaulty = true;
    resetDevice(this.transport);
    this.onFault();
  }

  /** Fails everything if the device asks for a reset (§2.1). True if so. */
  checkNeedsReset(): boolean {
    if ((this.transport.getStatus() & STATUS_DEVICE_NEEDS_RESET) === 0) return false;
    this.fail();
    return true;
  }

  /** Runs one request to its end on a queue that has no other. Returns the bytes that the device wrote, or an error. */
  execute(queue: VirtQueue, list: DescriptorList): number {
    if (this.#isFaulty) return ERR_DEVICE_FAULT;
    const result = queue.addNotifyWaitPop(list, this.transport, this.maxPolls);
    if (result === ERR_TIMED_OUT || result === ERR_DEVICE_FAULT) this.fail();
    return result;
  }

  /** Acknowledges an interrupt and notices a device that asks for a reset. Returns the INTERRUPT_* bits. */
  handleInterrupt(): number {
    const events = this.transport.ackInterrupt();
    if ((events & INTERRUPT_CONFIG_CHANGE) !== 0) this.checkNeedsReset();
    return events;
  }

  /** Resets the device and frees its queues and pages. */
  release(): void {
    this.fail();
    if (this.#isReleased) return;
    this.#isReleased = true;
    for (const queue of this.queues) queue.release();
    for (const region of this.#regions) this.hal.dmaDealloc(region.paddr, region.view.length / PAGE_SIZE);
  }
}
