/**
 * virtio memory balloon, device side: asks the guest to give pages up and takes them back.
 *
 *   device.setTarget(pages)      the guest inflates or deflates towards it and reports where it is in `actual`
 *   device.requestStats()        the guest's memory statistics arrive at `onStats`
 *
 * Pages are of 4096 bytes, whatever the guest's own. Spec: virtio 1.2 §5.5.
 */
import type { DescriptorChain } from "./chain.ts";
import { type ChainServer, drain, ModelBase } from "./device.ts";
import { absent, type Feature, offered, offeredMask } from "./features.ts";
import { type DeviceQueue, POP_CHAIN } from "./queue.ts";
import { DEVICE_ID_BALLOON } from "./spec.ts";

export const BALLOON_FEATURES: readonly Feature[] = [
  offered(0, "BALLOON_F_MUST_TELL_HOST", "with `mustTellHost`"),
  offered(1, "BALLOON_F_STATS_VQ", "always; `requestStats()`"),
  offered(2, "BALLOON_F_DEFLATE_ON_OOM", "always"),
  absent(3, "BALLOON_F_FREE_PAGE_HINT", "machines do not migrate"),
  absent(4, "BALLOON_F_PAGE_POISON", "only of use with the two below and above"),
  offered(5, "BALLOON_F_PAGE_REPORTING", "with `onFree`"),
];
export const BALLOON_F_REPORTING: number = 1 << 5;

// §5.5.5 struct virtio_balloon_config
export const BALLOON_CONFIG_NUM_PAGES = 0; // le32
export const BALLOON_CONFIG_ACTUAL = 4; // le32
const CONFIG_LENGTH = 8;

export const BALLOON_INFLATE_QUEUE = 0;
export const BALLOON_DEFLATE_QUEUE = 1;
export const BALLOON_STATS_QUEUE = 2;
/** With STATS_VQ, but without FREE_PAGE_HINT. */
export const BALLOON_REPORTING_QUEUE = 3;

const PAGE_SIZE = 4096;
const STAT_SIZE = 10; // tag le16, value le64
const MAX_STATS = 64;
const TWO_POW_32 = 0x1_0000_0000;
const NO_CHAIN = -1;

/** Names of §5.5.6.4's tags, in their order. */
export const BALLOON_STATS: readonly string[] = [
  "swapIn",
  "swapOut",
  "majorFaults",
  "minorFaults",
  "freeMemory",
  "totalMemory",
  "availableMemory",
  "diskCaches",
  "hugetlbAllocations",
  "hugetlbFailures",
];

export interface BalloonDeviceOptions {
  /** The guest gave `[paddr, paddr + 4096)` up: its contents are not needed. Inside RAM. */
  readonly onInflate?: (paddr: number) => void;
  /** The guest takes the page back. */
  readonly onDeflate?: (paddr: number) => void;
  /** The guest's statistics, by name of BALLOON_STATS; bytes where they are sizes. */
  readonly onStats?: (stats: Readonly<Record<string, number>>) => void;
  /** The guest reports memory that it does not use for now: offers free page reporting. */
  readonly onFree?: (paddr: number, byteLength: number) => void;
  /** The guest may use a page again only after it told. Default false. */
  readonly mustTellHost?: boolean;
}

export class BalloonDevice extends ModelBase implements ChainServer {
  readonly deviceId: number = DEVICE_ID_BALLOON;
  readonly features: number;
  readonly queueSizes: readonly number[] = [128, 128, 16, 32];
  readonly config: Uint8Array = new Uint8Array(CONFIG_LENGTH);
  readonly #options: BalloonDeviceOptions;
  readonly #configView: DataView = new DataView(this.config.buffer);
  readonly #stats: Uint8Array = new Uint8Array(STAT_SIZE * MAX_STATS);
  /** §5.5.6.3: the guest's buffer of statistics, which the device holds until it wants new ones. */
  #statsHead = NO_CHAIN;

  constructor(options: BalloonDeviceOptions = {}) {
    super();
    this.#options = options;
    const without: string[] = [];
    if (!options.mustTellHost) without.push("BALLOON_F_MUST_TELL_HOST");
    if (options.onFree === undefined) without.push("BALLOON_F_PAGE_REPORTING");
    this.features = offeredMask(BALLOON_FEATURES, ...without);
  }

  /** Pages that the guest says it gave up. */
  get actual(): number {
    return this.#configView.getUint32(BALLOON_CONFIG_ACTUAL, true);
  }

  /** Asks the guest to give up `pages` pages in all. */
  setTarget(pages: number): void {
    if (!Number.isInteger(pages) || pages < 0 || pages >= TWO_POW_32)
      throw new RangeError(`"pages" expected 0..2^32-1, got ${pages}`);
    this.#configView.setUint32(BALLOON_CONFIG_NUM_PAGES, pages, true);
    this.port.configChanged();
  }

  /** Asks for new statistics. False if the guest has none to give, or not yet. */
  requestStats(): boolean {
    if (this.#statsHead === NO_CHAIN || !this.port.running) return false;
    const queue = this.port.queues[BALLOON_STATS_QUEUE];
    queue.push(this.#statsHead, 0);
    this.#statsHead = NO_CHAIN;
    this.port.notifyUsed(queue);
    return true;
  }

  notify(index: number): void {
    const queue = this.port.queues[index];
    if (index !== BALLOON_STATS_QUEUE) return drain(this.port, queue, this);
    // Only one buffer is ever there; a driver that sends another gets the first one back.
    for (let left = queue.size; left > 0 && queue.pop() === POP_CHAIN; left--) {
      if (this.#statsHead !== NO_CHAIN) queue.push(this.#statsHead, 0);
      this.#statsHead = queue.chain.head;
      this.#readStats(queue.chain);
    }
    if (queue.fault !== "") return this.port.needsReset(queue.fault);
    queue.requestNotification();
    this.port.notifyUsed(queue);
  }

  serve(queue: DeviceQueue): number {
    const { chain } = queue;
    const { queues, memory } = this.port;
    if (queue === queues[BALLOON_REPORTING_QUEUE]) {
      for (let i = chain.readableCount; i < chain.count; i++)
        this.#options.onFree?.(memory.base + chain.start[i], chain.byteLength[i]);
      return 0;
    }
    if (chain.readableBytes % 4 !== 0) return -1;
    const handler = queue === queues[BALLOON_INFLATE_QUEUE] ? this.#options.onInflate : this.#options.onDeflate;
    if (handler === undefined) return 0;
    const word = new Uint8Array(4);
    for (let at = 0; at < chain.readableBytes; at += 4) {
      chain.read(at, word, 4);
      const paddr = (word[0] + word[1] * 256 + word[2] * 65536 + word[3] * 16777216) * PAGE_SIZE;
      // Numbers outside RAM are the guest's mistake, without consequence.
      if (paddr >= memory.base && paddr + PAGE_SIZE <= memory.base + memory.size) handler(paddr);
    }
    return 0;
  }

  override writeConfig(offset: number, value: number): void {
    if (offset >= BALLOON_CONFIG_ACTUAL) this.config[offset] = value;
  }

  override reset(): void {
    this.#configView.setUint32(BALLOON_CONFIG_ACTUAL, 0, true);
    this.#statsHead = NO_CHAIN;
  }

  override save(): readonly number[] {
    return [this.#statsHead];
  }

  override restore(state: readonly number[]): void {
    this.#statsHead = state[0];
  }

  #readStats(chain: DescriptorChain): void {
    const length = chain.read(0, this.#stats, Math.min(chain.readableBytes, this.#stats.length));
    const view = new DataView(this.#stats.buffer);
    const stats: Record<string, number> = {};
    for (let at = 0; at + STAT_SIZE <= length; at += STAT_SIZE) {
      const name = BALLOON_STATS[view.getUint16(at, true)];
      if (name === undefined) continue;
      stats[name] = view.getUint32(at + 2, true) + view.getUint32(at + 6, true) * TWO_POW_32;
    }
    this.#options.onStats?.(stats);
  }
}
