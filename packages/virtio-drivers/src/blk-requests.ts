/**
 * The requests of one queue of a block device: slots of DMA memory, submission, completion in any order, waiting, failure.
 *
 * Each request in flight owns a slot:   header 16 B | status 1 B | … | small data at 32 (device id, range)
 *
 * A slot is free → pending (the device has it) → done (its result waits for whoever has the token) → free. A token is
 * slot and generation, so an old token is recognised; it repeats after 2^18 requests of its slot.
 *
 * When the device misbehaves, asks for a reset or does not answer, it is reset, which ends its access to memory; all
 * pending requests of all queues become done with ERR_DEVICE_FAULT, and nothing can be submitted any more.
 */
import {
  BLK_HEADER_SIZE,
  BLK_ID_LENGTH,
  BLK_RANGE_SIZE,
  BLK_S_OK,
  BLK_S_UNSUPP,
  BLK_T_GET_ID,
  BLK_T_IN,
  isRangeRequest,
} from "./blk-spec.ts";
import {
  ERR_CANCELLED,
  ERR_DEVICE_FAULT,
  ERR_INVALID_PARAM,
  ERR_IO,
  ERR_NOT_READY,
  ERR_QUEUE_FULL,
  ERR_TIMED_OUT,
  ERR_UNSUPPORTED,
  ERR_WRONG_TOKEN,
  isVirtioError,
} from "./error.ts";
import type { DriverCore } from "./driver-core.ts";
import { type DmaRegion, type Hal, PAGE_SIZE, type SharedBuffer } from "./hal.ts";
import { DescriptorList, STATUS_POLL_INTERVAL, type VirtQueue } from "./queue.ts";

const SLOT_SIZE = 64;
const SLOT_COUNT: number = PAGE_SIZE / SLOT_SIZE;
const SLOT_STATUS = 16;
const SLOT_DATA = 32;
const GENERATIONS = 0x4_0000;

const SLOT_FREE = 0;
const SLOT_PENDING = 1;
const SLOT_DONE = 2;

const STATUS_NOT_WRITTEN = 0xff; // never sent by a device: marks a status byte it did not write
const TWO_POW_32 = 0x1_0000_0000;

/** A request without a data buffer. */
export const NO_BUFFER: Uint8Array = new Uint8Array(0);
const NO_SHARE: SharedBuffer = { runCount: 0, paddrs: [], byteLengths: [] };

export interface BlkRequestsOptions {
  /** Bytes of a data segment, and data segments of a request, that the device takes. */
  readonly sizeMax: number;
  readonly segMax: number;
  /** Called between the looks; false gives up. */
  readonly waitForInterrupt: () => boolean;
}

export class BlkRequests {
  readonly #core: DriverCore;
  readonly #hal: Hal;
  readonly #queue: VirtQueue;
  readonly #options: BlkRequestsOptions;
  readonly #page: DmaRegion;
  readonly #view: DataView;
  readonly #list: DescriptorList;
  /** Slot of each chain's token. */
  readonly #slotOfChain: Int16Array;

  // By slot.
  readonly #state: Uint8Array = new Uint8Array(SLOT_COUNT);
  readonly #token: Int32Array = new Int32Array(SLOT_COUNT);
  readonly #type: Uint8Array = new Uint8Array(SLOT_COUNT);
  readonly #result: Int32Array = new Int32Array(SLOT_COUNT);
  readonly #buffer: Uint8Array[] = new Array<Uint8Array>(SLOT_COUNT).fill(NO_BUFFER);
  readonly #share: SharedBuffer[] = new Array<SharedBuffer>(SLOT_COUNT).fill(NO_SHARE);
  readonly #free: Int32Array = Int32Array.from({ length: SLOT_COUNT }, (_, i) => SLOT_COUNT - 1 - i);
  #freeCount: number = SLOT_COUNT;

  /** `page` is one DMA page for the slots. */
  constructor(core: DriverCore, queue: VirtQueue, page: DmaRegion, options: BlkRequestsOptions) {
    this.#core = core;
    this.#hal = core.hal;
    this.#queue = queue;
    this.#page = page;
    this.#options = options;
    this.#view = new DataView(page.view.buffer, page.view.byteOffset, page.view.byteLength);
    this.#list = new DescriptorList(queue.maxChainLength);
    this.#slotOfChain = new Int16Array(queue.size);
  }

  /** Requests that can be submitted before a token has to be completed. */
  get freeCount(): number {
    return this.#freeCount;
  }

  /**
   * Shares `buf`, queues the request and notifies the device. Returns its token or an error; ERR_QUEUE_FULL if there
   * is no room even after taking finished requests out of the queue. `count` and `flags`: range requests only.
   */
  submit(type: number, blockId: number, buf: Uint8Array, count: number = 0, flags: number = 0): number {
    if (this.#core.isFaulty) return ERR_DEVICE_FAULT;
    if (this.#freeCount === 0) return ERR_QUEUE_FULL;
    let shared = NO_SHARE;
    if (buf.length > 0) {
      const result = this.#hal.share(buf, type === BLK_T_IN ? "deviceToDriver" : "driverToDevice");
      if (isVirtioError(result)) return result;
      shared = result;
    }
    const slot = this.#free[this.#freeCount - 1];
    const head = this.#add(slot, type, blockId, shared, count, flags);
    if (head < 0) {
      if (shared !== NO_SHARE) this.#hal.unshare(shared, buf, "driverToDevice"); // nothing was read: copy nothing back
      return head;
    }
    this.#freeCount--;
    this.#slotOfChain[head] = slot;
    this.#state[slot] = SLOT_PENDING;
    this.#type[slot] = type;
    this.#buffer[slot] = buf;
    this.#share[slot] = shared;
    const generation = (Math.floor(this.#token[slot] / SLOT_COUNT) + 1) % GENERATIONS;
    const token = generation * SLOT_COUNT + slot;
    this.#token[slot] = token;
    this.#queue.kick(this.#core.transport);
    return token;
  }

  /** `submit`, and then waits until it is done: 0 or an error. Also waits for room in the queue. */
  execute(type: number, blockId: number, buf: Uint8Array, count: number = 0, flags: number = 0): number {
    let token = this.submit(type, blockId, buf, count, flags);
    for (let polls = 0; token === ERR_QUEUE_FULL && this.#freeCount > 0; polls++) {
      if (!this.#keepWaiting(polls)) return this.#core.isFaulty ? ERR_DEVICE_FAULT : this.#timeOut();
      token = this.submit(type, blockId, buf, count, flags);
    }
    return token < 0 ? token : this.#wait(token);
  }

  /** The bytes that GET_ID left in the slot that the next request will use: its own, right after `execute`. */
  idBytes(): Uint8Array {
    const at = this.#free[this.#freeCount - 1] * SLOT_SIZE + SLOT_DATA;
    return this.#page.view.slice(at, at + BLK_ID_LENGTH);
  }

  /** Is `token` not pending (any more)? */
  isComplete(token: number): boolean {
    this.collect();
    const slot = token & (SLOT_COUNT - 1);
    return this.#token[slot] !== token || this.#state[slot] !== SLOT_PENDING;
  }

  /** Result of a done request, whose token is used up by this; ERR_NOT_READY; ERR_WRONG_TOKEN. */
  complete(token: number, type: number): number {
    const slot = token & (SLOT_COUNT - 1);
    if (this.#token[slot] !== token || this.#state[slot] === SLOT_FREE || this.#type[slot] !== type)
      return ERR_WRONG_TOKEN;
    if (this.#state[slot] === SLOT_PENDING) this.collect();
    return this.#state[slot] === SLOT_DONE ? this.#release(slot) : ERR_NOT_READY;
  }

  /** Takes finished requests out of the queue; they become done. */
  collect(): void {
    while (!this.#core.isFaulty) {
      const head = this.#queue.peekUsed();
      if (head === ERR_NOT_READY) return;
      const written = head < 0 ? head : this.#queue.popUsed(head);
      if (written < 0) return this.#core.fail();
      const slot = this.#slotOfChain[head];
      this.#settle(slot, this.#judge(slot, written));
    }
  }

  /** Settles what is pending; the device does not use it any more. */
  settleAll(error: number): void {
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      if (this.#state[slot] === SLOT_PENDING) this.#settle(slot, error);
    }
  }

  /** Takes all pending requests back by a reset of the queue. 0 or an error. */
  cancel(): number {
    this.collect();
    const error = this.#core.isFaulty ? ERR_DEVICE_FAULT : this.#queue.reset(this.#core.transport);
    if (error === 0) this.settleAll(ERR_CANCELLED);
    else if (error !== ERR_UNSUPPORTED) this.#core.fail();
    return error;
  }

  /** Writes the slot and adds its chain; once more after `collect` if the queue is full. Head or error. */
  #add(slot: number, type: number, blockId: number, shared: SharedBuffer, count: number, flags: number): number {
    this.#writeSlot(slot, type, blockId, count, flags);
    if (!this.#fillList(slot, type, shared)) return ERR_INVALID_PARAM;
    const head = this.#queue.add(this.#list);
    if (head !== ERR_QUEUE_FULL) return head;
    this.collect();
    return this.#queue.add(this.#list);
  }

  #writeSlot(slot: number, type: number, blockId: number, count: number, flags: number): void {
    const view = this.#view;
    const at = slot * SLOT_SIZE;
    const isRange = isRangeRequest(type);
    const sector = isRange ? 0 : blockId; // §5.2.6: zero unless it says where to read or write
    view.setUint32(at, type, true);
    view.setUint32(at + 4, 0, true);
    view.setUint32(at + 8, sector >>> 0, true);
    view.setUint32(at + 12, Math.floor(sector / TWO_POW_32), true);
    view.setUint8(at + SLOT_STATUS, STATUS_NOT_WRITTEN);
    if (!isRange) return;
    view.setUint32(at + SLOT_DATA, blockId >>> 0, true);
    view.setUint32(at + SLOT_DATA + 4, Math.floor(blockId / TWO_POW_32), true);
    view.setUint32(at + SLOT_DATA + 8, count, true);
    view.setUint32(at + SLOT_DATA + 12, flags, true);
  }

  /** Header, data, status. False if the data has more segments than a request may. */
  #fillList(slot: number, type: number, shared: SharedBuffer): boolean {
    const list = this.#list;
    const { sizeMax, segMax } = this.#options;
    const paddr = this.#page.paddr + slot * SLOT_SIZE;
    list.clear();
    list.pushReadable(paddr, BLK_HEADER_SIZE);
    if (type === BLK_T_GET_ID) list.pushWritable(paddr + SLOT_DATA, BLK_ID_LENGTH);
    else if (isRangeRequest(type)) list.pushReadable(paddr + SLOT_DATA, BLK_RANGE_SIZE);
    let segments = 0;
    for (let i = 0; i < shared.runCount; i++) {
      const byteLength = shared.byteLengths[i];
      for (let at = 0; at < byteLength; at += sizeMax) {
        if (++segments > segMax) return false;
        const length = Math.min(byteLength - at, sizeMax);
        if (type === BLK_T_IN) list.pushWritable(shared.paddrs[i] + at, length);
        else list.pushReadable(shared.paddrs[i] + at, length);
      }
    }
    return list.pushWritable(paddr + SLOT_STATUS, 1);
  }

  /** What the device said of the request in `slot`. */
  #judge(slot: number, written: number): number {
    const type = this.#type[slot];
    const status = this.#view.getUint8(slot * SLOT_SIZE + SLOT_STATUS);
    // §2.7.8.3: only the first `written` bytes count; the status byte comes after all data. Legacy lengths are no guide.
    const data = type === BLK_T_IN ? this.#buffer[slot].length : type === BLK_T_GET_ID ? BLK_ID_LENGTH : 0;
    if (status === BLK_S_UNSUPP) return ERR_UNSUPPORTED;
    return status === BLK_S_OK && (written > data || this.#core.transport.isLegacy) ? 0 : ERR_IO;
  }

  /** Takes the buffer back; the request is done. */
  #settle(slot: number, result: number): void {
    const share = this.#share[slot];
    const direction = this.#type[slot] === BLK_T_IN ? "deviceToDriver" : "driverToDevice";
    if (share !== NO_SHARE) this.#hal.unshare(share, this.#buffer[slot], direction);
    this.#share[slot] = NO_SHARE;
    this.#buffer[slot] = NO_BUFFER;
    this.#result[slot] = result;
    this.#state[slot] = SLOT_DONE;
  }

  #release(slot: number): number {
    this.#state[slot] = SLOT_FREE;
    this.#free[this.#freeCount++] = slot;
    return this.#result[slot];
  }

  /** Polls until `token` is done. */
  #wait(token: number): number {
    const slot = token & (SLOT_COUNT - 1);
    this.collect();
    for (let polls = 0; this.#state[slot] !== SLOT_DONE; polls++) {
      if (this.#keepWaiting(polls)) {
        this.collect();
      } else if (!this.#core.isFaulty) {
        const error = this.#timeOut();
        this.#release(slot);
        return error;
      }
    }
    return this.#release(slot);
  }

  /** One more look? False after the bound, or if the device asks for a reset, which makes everything fail. */
  #keepWaiting(polls: number): boolean {
    if (polls % STATUS_POLL_INTERVAL === 0 && this.#core.checkNeedsReset()) return false;
    return polls < this.#core.maxPolls && this.#options.waitForInterrupt();
  }

  #timeOut(): number {
    this.#core.fail();
    return ERR_TIMED_OUT;
  }
}
