/**
 * Split virtqueue, driver side.
 *
 * Trust: the device may write anything into the used ring at any time, and may scribble over descriptors. So what the
 * driver relies on (free list, chain lengths, which heads are in flight, indices) is kept in its own arrays and never
 * read back from shared memory; what it must read (used idx, id, len) is checked before use. Once a check fails the
 * queue is `broken`: every operation answers ERR_DEVICE_FAULT until the device is reset and set up again.
 *
 * A typical sequence:
 *   list.clear(); list.pushReadable(header); list.pushWritable(data)
 *   token = queue.add(list);  if (queue.shouldNotify()) transport.notify(queue.index)
 *   … interrupt or poll …     token = queue.peekUsed();  length = queue.popUsed(token)
 *
 * Memory, in DMA pages: descriptor table and available ring (driver → device), used ring (device → driver), and a pool
 * of indirect tables. Spec: virtio 1.2 §2.7. Driver and device run on one thread, so no barriers are needed; the order
 * of stores is the one the spec asks for.
 */
import {
  ERR_ALREADY_USED,
  ERR_DEVICE_FAULT,
  ERR_INVALID_PARAM,
  ERR_NOT_READY,
  ERR_QUEUE_FULL,
  ERR_TIMED_OUT,
  ERR_UNSUPPORTED,
  ERR_WRONG_TOKEN,
  isVirtioError,
  type VirtioError,
} from "./error.ts";
import { type DmaRegion, type Hal, PAGE_SIZE } from "./hal.ts";
import {
  AVAIL_F_NO_INTERRUPT,
  DESC_ADDR_HI,
  DESC_ADDR_LO,
  DESC_F_INDIRECT,
  DESC_F_NEXT,
  DESC_F_WRITE,
  DESC_FLAGS,
  DESC_LEN,
  DESC_NEXT,
  DESC_SIZE,
  RING_ENTRIES,
  RING_FLAGS,
  RING_IDX,
  STATUS_DEVICE_NEEDS_RESET,
  USED_ELEM_SIZE,
  USED_F_NO_NOTIFY,
} from "./spec.ts";
import type { Transport } from "./transport.ts";

const TWO_POW_32 = 0x1_0000_0000;
/** Chains of up to this many descriptors go into the table itself while it has room. */
const DIRECT_LIMIT = 4;
/** Indirect tables kept, and the descriptors in each (two tables a page). */
const INDIRECT_TABLES = 16;
const INDIRECT_ENTRIES = 128;
const NO_TABLE = -1;
/** While polling, the device status is read once in this many looks at the ring. */
export const STATUS_POLL_INTERVAL = 1024;
/** Looks at the ring before a device is taken for dead, unless a driver's options say otherwise. */
export const DEFAULT_MAX_POLLS = 10_000_000;

/** Buffers of one request: device-readable ones first. Reusable; filling it allocates nothing. */
export class DescriptorList {
  count = 0;
  readableCount = 0;
  writableBytes = 0;
  readonly paddrs: Float64Array;
  readonly byteLengths: Float64Array;

  constructor(capacity: number) {
    this.paddrs = new Float64Array(capacity);
    this.byteLengths = new Float64Array(capacity);
  }

  clear(): void {
    this.count = 0;
    this.readableCount = 0;
    this.writableBytes = 0;
  }

  /** False if the list is full. Throws RangeError after a writable buffer (§2.7.4.2). */
  pushReadable(paddr: number, byteLength: number): boolean {
    if (this.count !== this.readableCount) throw new RangeError("readable buffers must come before writable ones");
    if (this.count === this.paddrs.length) return false;
    this.paddrs[this.count] = paddr;
    this.byteLengths[this.count++] = byteLength;
    this.readableCount++;
    return true;
  }

  /** False if the list is full. */
  pushWritable(paddr: number, byteLength: number): boolean {
    if (this.count === this.paddrs.length) return false;
    this.paddrs[this.count] = paddr;
    this.byteLengths[this.count++] = byteLength;
    this.writableBytes += byteLength;
    return true;
  }
}

export interface VirtQueueOptions {
  /** VIRTIO_F_INDIRECT_DESC was negotiated. Default false. */
  readonly indirect?: boolean;
  /** VIRTIO_F_EVENT_IDX was negotiated. Default false. */
  readonly eventIdx?: boolean;
}

export class VirtQueue {
  readonly index: number;
  /** Number of descriptors, a power of two. */
  readonly size: number;
  readonly #hal: Hal;
  readonly #hasIndirect: boolean;
  readonly #hasEventIdx: boolean;
  readonly #isLegacy: boolean;
  readonly #owned: readonly DmaRegion[];
  readonly #tableRegions: readonly DmaRegion[];
  readonly #driver: DataView; // descriptor table, then available ring
  readonly #device: DataView; // used ring
  readonly #tables: readonly DataView[]; // one per table region
  readonly #avail: number; // offset of the available ring in #driver

  // Shadow state, indexed by descriptor.
  readonly #next: Uint16Array;
  readonly #chainLength: Uint16Array; // of the chain that starts here; 0 = not in flight
  readonly #chainTable: Int16Array; // indirect table of that chain, or NO_TABLE
  readonly #chainWritable: Float64Array; // bytes the device may write into it
  readonly #freeTables: Int16Array;
  #freeTableCount: number;
  #freeHead = 0;
  #freeCount: number;
  #inFlight = 0;
  #availIdx = 0;
  #notifiedIdx = 0; // available idx when shouldNotify was last asked
  #lastUsed = 0;
  #wantsInterrupts = true;
  #broken = false;

  private constructor(
    hal: Hal,
    index: number,
    size: number,
    options: VirtQueueOptions,
    regions: QueueRegions,
    isLegacy: boolean,
  ) {
    const { driver, device, tables } = regions;
    this.#hal = hal;
    this.index = index;
    this.size = size;
    this.#hasIndirect = options.indirect ?? false;
    this.#hasEventIdx = options.eventIdx ?? false;
    this.#isLegacy = isLegacy;
    this.#owned = regions.owned;
    this.#tableRegions = tables;
    this.#driver = viewOf(driver);
    this.#device = viewOf(device);
    this.#tables = tables.map(viewOf);
    this.#avail = size * DESC_SIZE;
    this.#next = new Uint16Array(size);
    for (let i = 0; i < size; i++) this.#next[i] = i + 1;
    this.#chainLength = new Uint16Array(size);
    this.#chainTable = new Int16Array(size).fill(NO_TABLE);
    this.#chainWritable = new Float64Array(size);
    this.#freeTableCount = tables.length * (PAGE_SIZE / (INDIRECT_ENTRIES * DESC_SIZE));
    this.#freeTables = Int16Array.from({ length: this.#freeTableCount }, (_, i) => i);
    this.#freeCount = size;
  }

  /**
   * Allocates queue `index` with the largest power of two up to `wantedSize` that the device allows, and enables it.
   * ERR_ALREADY_USED, ERR_UNSUPPORTED (no such queue) or ERR_DMA.
   */
  static create(
    hal: Hal,
    transport: Transport,
    index: number,
    wantedSize: number,
    options: VirtQueueOptions = {},
  ): VirtQueue | VirtioError {
    if (transport.queueUsed(index)) return ERR_ALREADY_USED;
    const limit = Math.min(wantedSize, transport.maxQueueSize(index), 32768);
    if (limit < 1) return ERR_UNSUPPORTED;
    const size = 2 ** Math.floor(Math.log2(limit));
    const tablePages = options.indirect ? (INDIRECT_TABLES * INDIRECT_ENTRIES * DESC_SIZE) / PAGE_SIZE : 0;
    const regions = allocRegions(hal, size, tablePages, transport.isLegacy);
    if (isVirtioError(regions)) return regions;
    const queue = new VirtQueue(hal, index, size, options, regions, transport.isLegacy);
    const { driver, device } = regions;
    transport.queueSet(index, size, driver.paddr, driver.paddr + size * DESC_SIZE, device.paddr);
    return queue;
  }

  /** The device broke the protocol; nothing works until it is reset. */
  get broken(): boolean {
    return this.#broken;
  }

  /** Free descriptors in the table. */
  get availableDescriptors(): number {
    return this.#freeCount;
  }

  /** Longest chain `add` ever takes: never more than the queue size (§2.7.5.3.1). */
  get maxChainLength(): number {
    return this.#hasIndirect ? Math.min(this.size, INDIRECT_ENTRIES) : this.size;
  }

  /** Puts the buffers of `list` into the available ring. Returns the token of the chain, or an error. */
  add(list: DescriptorList): number {
    const count = list.count;
    if (this.#broken) return ERR_DEVICE_FAULT;
    if (count === 0 || count > this.maxChainLength) return ERR_INVALID_PARAM;
    let indirect = NO_TABLE;
    if (
      this.#hasIndirect &&
      (count > DIRECT_LIMIT || count > this.#freeCount) &&
      this.#freeTableCount > 0 &&
      this.#freeCount > 0
    ) {
      indirect = this.#freeTables[--this.#freeTableCount];
    } else if (count > this.#freeCount) {
      return ERR_QUEUE_FULL;
    }
    const head = this.#freeHead;
    if (indirect === NO_TABLE) this.#fillDirect(list);
    else this.#fillIndirect(list, indirect);
    this.#chainLength[head] = indirect === NO_TABLE ? count : 1;
    this.#chainTable[head] = indirect;
    this.#chainWritable[head] = list.writableBytes;
    this.#inFlight++;
    const driver = this.#driver;
    driver.setUint16(this.#avail + RING_ENTRIES + 2 * (this.#availIdx & (this.size - 1)), head, true);
    this.#availIdx = (this.#availIdx + 1) & 0xffff;
    driver.setUint16(this.#avail + RING_IDX, this.#availIdx, true); // publishes the chain
    return head;
  }

  /**
   * Must the device be told about the chains added since this was last asked? §2.7.10. With event index the answer is
   * exact across the 16-bit wrap and across batches.
   */
  shouldNotify(): boolean {
    const old = this.#notifiedIdx;
    const now = this.#availIdx;
    this.#notifiedIdx = now;
    if (!this.#hasEventIdx) return (this.#device.getUint16(RING_FLAGS, true) & USED_F_NO_NOTIFY) === 0;
    const availEvent = this.#device.getUint16(RING_ENTRIES + USED_ELEM_SIZE * this.size, true);
    return vringNeedEvent(availEvent, now, old);
  }

  /** Has the device used a chain that was not popped yet? A nonsensical used index makes the queue broken. */
  canPop(): boolean {
    if (this.#broken) return false;
    const ready = (this.#device.getUint16(RING_IDX, true) - this.#lastUsed) & 0xffff;
    if (ready <= this.#inFlight) return ready !== 0;
    this.#broken = true;
    return false;
  }

  /** Token of the next used chain, ERR_NOT_READY, or ERR_DEVICE_FAULT. */
  peekUsed(): number {
    if (!this.canPop()) return this.#broken ? ERR_DEVICE_FAULT : ERR_NOT_READY;
    const id = this.#device.getUint32(this.#usedElement(), true);
    if (id < this.size && this.#chainLength[id] !== 0) return id;
    this.#broken = true;
    return ERR_DEVICE_FAULT;
  }

  /**
   * Takes chain `token` out of the used ring and returns how many bytes the device says it wrote, at most the chain's
   * writable length. ERR_NOT_READY; ERR_WRONG_TOKEN if another chain is next; ERR_DEVICE_FAULT.
   */
  popUsed(token: number): number {
    const next = this.peekUsed();
    if (next < 0) return next;
    if (next !== token) return ERR_WRONG_TOKEN;
    const writable = this.#chainWritable[token];
    let length = this.#device.getUint32(this.#usedElement() + 4, true);
    if (length > writable) {
      if (!this.#isLegacy) {
        this.#broken = true;
        return ERR_DEVICE_FAULT;
      }
      length = writable; // §2.7.8.1: legacy devices often report it wrongly
    }
    this.#recycle(token);
    this.#lastUsed = (this.#lastUsed + 1) & 0xffff;
    if (this.#hasEventIdx) this.#writeUsedEvent();
    return length;
  }

  /**
   * Adds `list`, notifies the device and polls until it has used the chain; returns the bytes written. Other chains
   * must not be in flight. ERR_TIMED_OUT after `maxPolls` looks, or ERR_DEVICE_FAULT if the device asks for a reset:
   * then the device may still own the buffers, and must be reset before they are reused.
   */
  addNotifyWaitPop(list: DescriptorList, transport: Transport, maxPolls: number): number {
    const token = this.add(list);
    if (token < 0) return token;
    if (this.shouldNotify()) transport.notify(this.index);
    for (let polls = 0; polls < maxPolls; polls++) {
      const length = this.popUsed(token);
      if (length !== ERR_NOT_READY) return length;
      if (polls % STATUS_POLL_INTERVAL === 0 && (transport.getStatus() & STATUS_DEVICE_NEEDS_RESET) !== 0)
        return ERR_DEVICE_FAULT;
    }
    return ERR_TIMED_OUT;
  }

  /**
   * Asks the device for interrupts when it uses chains, or not to. Interrupts can still happen (§2.7.7). After
   * enabling, look at `canPop` once more: chains used before are not announced again.
   */
  setDevNotify(enable: boolean): void {
    this.#wantsInterrupts = enable;
    if (this.#hasEventIdx) this.#writeUsedEvent();
    else this.#driver.setUint16(this.#avail + RING_FLAGS, enable ? 0 : AVAIL_F_NO_INTERRUPT, true);
  }

  /** Frees the memory. The device must have been reset, or the queue unset, before. */
  release(): void {
    this.#broken = true;
    freeRegions(this.#hal, this.#owned);
  }

  #fillDirect(list: DescriptorList): void {
    let i = this.#freeHead;
    for (let k = 0; k < list.count; k++) {
      const following = this.#next[i];
      const isLast = k === list.count - 1;
      writeDescriptor(this.#driver, i * DESC_SIZE, list, k, isLast ? 0 : following, isLast);
      if (isLast) this.#freeHead = following;
      i = following;
    }
    this.#freeCount -= list.count;
  }

  #fillIndirect(list: DescriptorList, table: number): void {
    const perPage = PAGE_SIZE / (INDIRECT_ENTRIES * DESC_SIZE);
    const page = Math.floor(table / perPage);
    const start = (table % perPage) * INDIRECT_ENTRIES * DESC_SIZE;
    const view = this.#tables[page];
    for (let k = 0; k < list.count; k++) {
      const isLast = k === list.count - 1;
      writeDescriptor(view, start + k * DESC_SIZE, list, k, isLast ? 0 : k + 1, isLast);
    }
    const head = this.#freeHead;
    const at = head * DESC_SIZE;
    writeAddress(this.#driver, at, this.#tableRegions[page].paddr + start);
    this.#driver.setUint32(at + DESC_LEN, list.count * DESC_SIZE, true);
    this.#driver.setUint16(at + DESC_FLAGS, DESC_F_INDIRECT, true);
    this.#driver.setUint16(at + DESC_NEXT, 0, true);
    this.#freeHead = this.#next[head];
    this.#freeCount--;
  }

  /** Puts the descriptors of chain `head` back on the free list, by the shadow links. */
  #recycle(head: number): void {
    const length = this.#chainLength[head];
    let last = head;
    for (let k = 1; k < length; k++) last = this.#next[last];
    this.#next[last] = this.#freeHead;
    this.#freeHead = head;
    this.#freeCount += length;
    this.#chainLength[head] = 0;
    this.#inFlight--;
    if (this.#chainTable[head] === NO_TABLE) return;
    this.#freeTables[this.#freeTableCount++] = this.#chainTable[head];
    this.#chainTable[head] = NO_TABLE;
  }

  #usedElement(): number {
    return RING_ENTRIES + USED_ELEM_SIZE * (this.#lastUsed & (this.size - 1));
  }

  /** §2.7.7.1: interrupt at the next used chain, or as far away as 16 bits allow. */
  #writeUsedEvent(): void {
    const event = this.#wantsInterrupts ? this.#lastUsed : this.#lastUsed - 1;
    this.#driver.setUint16(this.#avail + RING_ENTRIES + 2 * this.size, event & 0xffff, true);
  }
}

/** Did the index pass `event` when it went from `old` to `now`? All 16-bit, wrapping. Spec: `vring_need_event`. */
export function vringNeedEvent(event: number, now: number, old: number): boolean {
  return ((now - event - 1) & 0xffff) < ((now - old) & 0xffff);
}

function writeDescriptor(
  view: DataView,
  at: number,
  list: DescriptorList,
  k: number,
  next: number,
  isLast: boolean,
): void {
  const flags = (k < list.readableCount ? 0 : DESC_F_WRITE) | (isLast ? 0 : DESC_F_NEXT);
  writeAddress(view, at, list.paddrs[k]);
  view.setUint32(at + DESC_LEN, list.byteLengths[k], true);
  view.setUint16(at + DESC_FLAGS, flags, true);
  view.setUint16(at + DESC_NEXT, next, true);
}

function writeAddress(view: DataView, at: number, paddr: number): void {
  view.setUint32(at + DESC_ADDR_LO, paddr >>> 0, true);
  view.setUint32(at + DESC_ADDR_HI, Math.floor(paddr / TWO_POW_32), true);
}

function viewOf(region: DmaRegion): DataView {
  return new DataView(region.view.buffer, region.view.byteOffset, region.view.byteLength);
}

interface QueueRegions {
  /** Descriptor table and available ring. */
  readonly driver: DmaRegion;
  /** Used ring. */
  readonly device: DmaRegion;
  /** Pages of indirect tables. */
  readonly tables: readonly DmaRegion[];
  /** What has to be given back. */
  readonly owned: readonly DmaRegion[];
}

/** The memory of a queue. A legacy one is a single region, the used ring on the next page border (§2.7.2). */
function allocRegions(hal: Hal, size: number, tablePages: number, isLegacy: boolean): QueueRegions | VirtioError {
  const driverPages = Math.ceil((size * DESC_SIZE + RING_ENTRIES + 2 * size + 2) / PAGE_SIZE);
  const devicePages = Math.ceil((RING_ENTRIES + USED_ELEM_SIZE * size + 2) / PAGE_SIZE);
  const owned: DmaRegion[] = [];
  const pageCounts = isLegacy ? [driverPages + devicePages] : [driverPages, devicePages];
  const areas = pageCounts.length;
  for (let i = 0; i < tablePages; i++) pageCounts.push(1);
  for (const pages of pageCounts) {
    const region = hal.dmaAlloc(pages, isLegacy ? "both" : owned.length === 1 ? "deviceToDriver" : "driverToDevice");
    if (isVirtioError(region)) {
      freeRegions(hal, owned);
      return region;
    }
    owned.push(region);
  }
  const tables = owned.slice(areas);
  if (!isLegacy) return { driver: owned[0], device: owned[1], tables, owned };
  const border = driverPages * PAGE_SIZE;
  const device = { paddr: owned[0].paddr + border, view: owned[0].view.subarray(border) };
  return { driver: owned[0], device, tables, owned };
}

function freeRegions(hal: Hal, regions: readonly DmaRegion[]): void {
  for (const region of regions) hal.dmaDealloc(region.paddr, region.view.length / PAGE_SIZE);
}
