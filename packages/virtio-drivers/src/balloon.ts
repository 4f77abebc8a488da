/**
 * virtio memory balloon driver: gives pages to the host and takes them back, as the host asks.
 *
 *   handleInterrupt(); wanted = target()           what the host asks for, in pages
 *   inflate(paddrs) / deflate(paddrs)              the kernel gives frames up, or wants them back
 *   setStats(values)                               answers the host's question for statistics
 *
 * Spec: virtio 1.2 §5.5.
 */
import { DriverCore, type DriverOptions } from "./driver-core.ts";
import { ERR_DEVICE_FAULT, ERR_INVALID_PARAM, ERR_UNSUPPORTED, isVirtioError, type VirtioError } from "./error.ts";
import { accepted, type Feature, ignored } from "./features.ts";
import { type DmaRegion, type Hal, PAGE_SIZE } from "./hal.ts";
import { DescriptorList, type VirtQueue } from "./queue.ts";
import { DEVICE_TYPE_BALLOON } from "./spec.ts";
import type { Transport } from "./transport.ts";

export const BALLOON_FEATURES: readonly Feature[] = [
  accepted(0, "BALLOON_F_MUST_TELL_HOST", "`deflate` returns when the host knows, in any case"),
  accepted(1, "BALLOON_F_STATS_VQ", "`setStats`"),
  accepted(2, "BALLOON_F_DEFLATE_ON_OOM", "the kernel may `deflate` when it likes"),
  ignored(3, "BALLOON_F_FREE_PAGE_HINT", "machines do not migrate"),
  ignored(4, "BALLOON_F_PAGE_POISON", "free pages are not poisoned"),
  accepted(5, "BALLOON_F_PAGE_REPORTING", "`reportFree`"),
];
const F_STATS_VQ: number = 1 << 1;
const F_REPORTING: number = 1 << 5;

const CONFIG_NUM_PAGES = 0; // le32
const CONFIG_ACTUAL = 4; // le32
const INFLATE_QUEUE = 0;
const DEFLATE_QUEUE = 1;
const STATS_QUEUE = 2;
const STAT_SIZE = 10;
const PAGES_PER_REQUEST: number = PAGE_SIZE / 4;
const MAX_FRAME = 0xffff_ffff;

/** Tags of §5.5.6.4 by name. */
export const BALLOON_STAT_TAGS = {
  swapIn: 0,
  swapOut: 1,
  majorFaults: 2,
  minorFaults: 3,
  freeMemory: 4,
  totalMemory: 5,
  availableMemory: 6,
  diskCaches: 7,
  hugetlbAllocations: 8,
  hugetlbFailures: 9,
} as const;
export type BalloonStat = keyof typeof BALLOON_STAT_TAGS;

export class VirtIOBalloon {
  readonly #core: DriverCore;
  readonly #page: DmaRegion;
  readonly #view: DataView;
  readonly #statsPage: DmaRegion | null;
  readonly #statsQueue: VirtQueue | null;
  readonly #reportingQueue: VirtQueue | null;
  readonly #list: DescriptorList = new DescriptorList(1);
  #actual = 0;
  #statsToken = -1;

  private constructor(core: DriverCore, page: DmaRegion, statsPage: DmaRegion | null) {
    this.#core = core;
    this.#page = page;
    this.#view = new DataView(page.view.buffer, page.view.byteOffset, page.view.byteLength);
    this.#statsPage = statsPage;
    this.#statsQueue = statsPage && core.queues[STATS_QUEUE];
    this.#reportingQueue = core.has(F_REPORTING) ? core.queues[core.queues.length - 1] : null;
    for (const queue of core.queues) queue.setDevNotify(queue === this.#statsQueue);
  }

  /** Initialises the device behind `transport`. ERR_UNSUPPORTED if it is no balloon. */
  static create(hal: Hal, transport: Transport, options: DriverOptions = {}): VirtIOBalloon | VirtioError {
    const core = DriverCore.open(hal, transport, DEVICE_TYPE_BALLOON, BALLOON_FEATURES, options);
    if (isVirtioError(core)) return core;
    const page = core.addPages(1, "driverToDevice");
    if (isVirtioError(page)) return core.abandon(page);
    let statsPage: DmaRegion | null = null;
    if (core.has(F_STATS_VQ)) {
      const region = core.addPages(1, "driverToDevice");
      if (isVirtioError(region)) return core.abandon(region);
      statsPage = region;
    }
    const queueCount = 2 + (core.has(F_STATS_VQ) ? 1 : 0) + (core.has(F_REPORTING) ? 1 : 0);
    for (let i = 0; i < queueCount; i++) {
      const queue = core.addQueue(i, 16);
      if (isVirtioError(queue)) return core.abandon(queue);
    }
    const balloon = new VirtIOBalloon(core, page, statsPage);
    core.start();
    balloon.setStats({}); // §5.5.6.3: the buffer that the host returns when it wants to know
    return balloon;
  }

  /** Pages of 4096 bytes that the host wants to have. Ask again after a configuration interrupt. */
  target(): number {
    return this.#core.transport.readConfig32(CONFIG_NUM_PAGES);
  }

  /** Pages that the host has. */
  get actual(): number {
    return this.#actual;
  }

  /** Gives frames up: physical addresses, multiples of 4096. They must not be touched until `deflate`. 0 or an error. */
  inflate(paddrs: ArrayLike<number>): number {
    return this.#tell(INFLATE_QUEUE, paddrs, 1);
  }

  /** Takes frames back; their contents are undefined. 0 or an error. */
  deflate(paddrs: ArrayLike<number>): number {
    return this.#tell(DEFLATE_QUEUE, paddrs, -1);
  }

  /** Does the host want statistics? Then call `setStats`. */
  wantsStats(): boolean {
    return this.#statsQueue !== null && !this.#core.isFaulty && this.#statsToken < 0 ? true : this.#takeStats();
  }

  /** Answers with statistics. 0; ERR_UNSUPPORTED if the host never asks. */
  setStats(stats: Readonly<Partial<Record<BalloonStat, number>>>): number {
    if (this.#statsQueue === null || this.#statsPage === null) return ERR_UNSUPPORTED;
    if (this.#core.isFaulty) return ERR_DEVICE_FAULT;
    if (this.#statsToken >= 0 && !this.#takeStats()) return 0; // it has not asked yet
    const { view: bytes, paddr } = this.#statsPage;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let at = 0;
    for (const [name, value] of Object.entries(stats)) {
      view.setUint16(at, BALLOON_STAT_TAGS[name as BalloonStat], true);
      view.setUint32(at + 2, value >>> 0, true);
      view.setUint32(at + 6, Math.floor(value / 0x1_0000_0000), true);
      at += STAT_SIZE;
    }
    if (at === 0) {
      view.setUint16(0, 0xffff, true); // a tag of nothing: buffers are not empty
      at = STAT_SIZE;
    }
    this.#list.clear();
    this.#list.pushReadable(paddr, at);
    this.#statsToken = this.#statsQueue.add(this.#list);
    this.#statsQueue.kick(this.#core.transport);
    return Math.min(this.#statsToken, 0);
  }

  /** Says that memory is free for now: the host may drop its contents. It must stay unused until this returns. */
  reportFree(paddr: number, byteLength: number): number {
    if (this.#reportingQueue === null) return ERR_UNSUPPORTED;
    this.#list.clear();
    this.#list.pushWritable(paddr, byteLength);
    return Math.min(this.#core.execute(this.#reportingQueue, this.#list), 0);
  }

  /** For the interrupt handler: acknowledges; returns the INTERRUPT_* bits. */
  handleInterrupt(): number {
    return this.#core.handleInterrupt();
  }

  /** Resets the device and frees the DMA memory. */
  release(): void {
    this.#core.release();
  }

  [Symbol.dispose](): void {
    this.release();
  }

  #takeStats(): boolean {
    if (this.#statsQueue === null || this.#core.isFaulty || this.#statsToken < 0) return false;
    const token = this.#statsQueue.peekUsed();
    if (token !== this.#statsToken) {
      if (this.#statsQueue.broken) this.#core.fail();
      return false;
    }
    if (this.#statsQueue.popUsed(token) < 0) this.#core.fail();
    this.#statsToken = -1;
    return !this.#core.isFaulty;
  }

  #tell(queue: number, paddrs: ArrayLike<number>, sign: number): number {
    for (let i = 0; i < paddrs.length; i++) {
      const frame = paddrs[i] / PAGE_SIZE;
      if (!Number.isInteger(frame) || frame < 0 || frame > MAX_FRAME) return ERR_INVALID_PARAM;
    }
    for (let from = 0; from < paddrs.length; from += PAGES_PER_REQUEST) {
      const count = Math.min(paddrs.length - from, PAGES_PER_REQUEST);
      for (let i = 0; i < count; i++) this.#view.setUint32(4 * i, paddrs[from + i] / PAGE_SIZE, true);
      this.#list.clear();
      this.#list.pushReadable(this.#page.paddr, 4 * count);
      const result = this.#core.execute(this.#core.queues[queue], this.#list);
      if (result < 0) return result;
      this.#actual = Math.max(this.#actual + sign * count, 0);
    }
    return this.#core.transport.writeConfig32(CONFIG_ACTUAL, this.#actual);
  }
}
