/**
 * Split virtqueue, driver side.
 *
 *   first area   descriptor table | available ring: flags u16, idx u16, ring[size] u16, used_event u16
 *   second area  used ring: flags u16, idx u16, ring[size] {id u32, len u32}, avail_event u16
 *
 * The free descriptors are a list through `#next`. With VIRTIO_F_IN_ORDER they are one stretch of the table: chains are taken
 * from its front and come back at its end. Spec: virtio 1.2 §2.7.
 */
import { ERR_DEVICE_FAULT, ERR_NOT_READY, ERR_WRONG_TOKEN, isVirtioError, type VirtioError } from "./error.ts";
import type { DescriptorList } from "./descriptor-list.ts";
import type { Hal } from "./hal.ts";
import { InOrder } from "./in-order.ts";
import { QueueMemory, writeAddress } from "./queue-memory.ts";
import { NO_TABLE, QueueBase, type VirtQueueOptions, vringNeedEvent } from "./queue-base.ts";
import {
  AVAIL_F_NO_INTERRUPT,
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
  USED_ELEM_SIZE,
  USED_F_NO_NOTIFY,
} from "./spec.ts";
import type { Transport } from "./transport.ts";

export class SplitQueue extends QueueBase {
  readonly #hasEventIdx: boolean;
  readonly #isLegacy: boolean;
  readonly #driver: DataView; // descriptor table, then available ring
  readonly #device: DataView; // used ring
  readonly #avail: number; // offset of the available ring in #driver
  readonly #inOrder: InOrder | null;

  // Shadow state, indexed by descriptor.
  readonly #next: Uint16Array;
  readonly #chainLength: Uint16Array; // of the chain that starts here; 0 = not in flight
  readonly #chainTable: Int16Array; // indirect table of that chain, or NO_TABLE
  readonly #chainWritable: Float64Array; // bytes the device may write into it
  #freeHead = 0;
  #freeCount = 0;
  #inFlight = 0;
  #availIdx = 0;
  #notifiedIdx = 0; // available idx when shouldNotify was last asked
  #lastUsed = 0;
  #wantsInterrupts = true;

  private constructor(index: number, size: number, options: VirtQueueOptions, memory: QueueMemory, isLegacy: boolean) {
    super(index, size, memory, options);
    this.#hasEventIdx = options.eventIdx ?? false;
    this.#isLegacy = isLegacy;
    this.#driver = memory.driverView;
    this.#device = memory.deviceView;
    this.#avail = size * DESC_SIZE;
    this.#inOrder = options.inOrder ? new InOrder(size) : null;
    this.#next = new Uint16Array(size);
    this.#chainLength = new Uint16Array(size);
    this.#chainTable = new Int16Array(size);
    this.#chainWritable = new Float64Array(size);
    this.clear();
  }

  /** A queue of `size` descriptors, a power of two. */
  static alloc(
    hal: Hal,
    index: number,
    size: number,
    options: VirtQueueOptions,
    isLegacy: boolean,
  ): SplitQueue | VirtioError {
    const memory = QueueMemory.alloc(hal, {
      driverBytes: size * DESC_SIZE + RING_ENTRIES + 2 * size + 2,
      deviceBytes: RING_ENTRIES + USED_ELEM_SIZE * size + 2,
      driverDirection: "driverToDevice",
      indirect: options.indirect ?? false,
      isLegacy,
    });
    return isVirtioError(memory) ? memory : new SplitQueue(index, size, options, memory, isLegacy);
  }

  get availableDescriptors(): number {
    return this.#freeCount;
  }

  get notificationData(): number {
    return this.#availIdx;
  }

  add(list: DescriptorList): number {
    const table = this.chooseTable(list, this.#freeCount);
    if (table < NO_TABLE) return table;
    const head = this.#freeHead;
    if (table === NO_TABLE) this.#fillDirect(list);
    else this.#fillIndirect(list, table);
    this.#chainLength[head] = table === NO_TABLE ? list.count : 1;
    this.#chainTable[head] = table;
    this.#chainWritable[head] = list.writableBytes;
    this.#inFlight++;
    this.#inOrder?.push(head);
    const driver = this.#driver;
    driver.setUint16(this.#avail + RING_ENTRIES + 2 * (this.#availIdx & (this.size - 1)), head, true);
    this.#availIdx = (this.#availIdx + 1) & 0xffff;
    driver.setUint16(this.#avail + RING_IDX, this.#availIdx, true); // publishes the chain
    return head;
  }

  /** §2.7.10. With event index the answer is exact across the 16-bit wrap and across batches. */
  shouldNotify(): boolean {
    const old = this.#notifiedIdx;
    const now = this.#availIdx;
    this.#notifiedIdx = now;
    if (!this.#hasEventIdx) return (this.#device.getUint16(RING_FLAGS, true) & USED_F_NO_NOTIFY) === 0;
    const availEvent = this.#device.getUint16(RING_ENTRIES + USED_ELEM_SIZE * this.size, true);
    return vringNeedEvent(availEvent, now, old);
  }

  canPop(): boolean {
    if (this.isBroken) return false;
    const ready = this.#ready();
    if (ready <= this.#inFlight) return ready !== 0;
    this.isBroken = true;
    return false;
  }

  peekUsed(): number {
    if (!this.canPop()) return this.isBroken ? ERR_DEVICE_FAULT : ERR_NOT_READY;
    const order = this.#inOrder;
    if (order?.hasBatch) return order.next;
    const at = RING_ENTRIES + USED_ELEM_SIZE * (this.#lastUsed & (this.size - 1));
    const id = this.#device.getUint32(at, true);
    if (id < this.size && this.#chainLength[id] !== 0) {
      if (order === null) return id;
      if (order.report(id, this.#device.getUint32(at + 4, true), this.#ready())) return order.next;
    }
    this.isBroken = true;
    return ERR_DEVICE_FAULT;
  }

  popUsed(token: number): number {
    const next = this.peekUsed();
    if (next < 0) return next;
    if (next !== token) return ERR_WRONG_TOKEN;
    const writable = this.#chainWritable[token];
    const at = RING_ENTRIES + USED_ELEM_SIZE * (this.#lastUsed & (this.size - 1));
    let length = this.#inOrder === null ? this.#device.getUint32(at + 4, true) : this.#inOrder.pop(writable);
    if (length > writable) {
      if (!this.#isLegacy) {
        this.isBroken = true;
        return ERR_DEVICE_FAULT;
      }
      length = writable; // §2.7.8.1: legacy devices often report it wrongly
    }
    this.#recycle(token);
    this.#lastUsed = (this.#lastUsed + 1) & 0xffff;
    if (this.#hasEventIdx) this.#writeUsedEvent();
    return length;
  }

  setDevNotify(enable: boolean): void {
    this.#wantsInterrupts = enable;
    if (this.#hasEventIdx) this.#writeUsedEvent();
    else this.#driver.setUint16(this.#avail + RING_FLAGS, enable ? 0 : AVAIL_F_NO_INTERRUPT, true);
  }

  enable(transport: Transport): void {
    const { driver, device } = this.memory;
    transport.queueSet(this.index, this.size, driver.paddr, driver.paddr + this.#avail, device.paddr);
  }

  clear(): void {
    const size = this.size;
    this.memory.clear();
    // With IN_ORDER the list stays as it is here: descriptors follow each other around the table (§2.7.9).
    for (let i = 0; i < size; i++) this.#next[i] = (i + 1) & (size - 1);
    this.#chainLength.fill(0);
    this.#chainTable.fill(NO_TABLE);
    this.#inOrder?.clear();
    this.#freeHead = 0;
    this.#freeCount = size;
    this.#inFlight = 0;
    this.#availIdx = 0;
    this.#notifiedIdx = 0;
    this.#lastUsed = 0;
    this.setDevNotify(this.#wantsInterrupts);
  }

  /** Chains that the device says it used and that were not popped. */
  #ready(): number {
    return (this.#device.getUint16(RING_IDX, true) - this.#lastUsed) & 0xffff;
  }

  #fillDirect(list: DescriptorList): void {
    let i = this.#freeHead;
    for (let k = 0; k < list.count; k++) {
      const following = this.#next[i];
      const isLast = k === list.count - 1;
      writeDescriptor(this.#driver, i * DESC_SIZE, list, k, isLast ? 0 : following, isLast);
      i = following;
    }
    this.#freeHead = i;
    this.#freeCount -= list.count;
  }

  #fillIndirect(list: DescriptorList, table: number): void {
    const view = this.memory.tableView(table);
    const start = this.memory.tableOffset(table);
    for (let k = 0; k < list.count; k++) {
      const isLast = k === list.count - 1;
      writeDescriptor(view, start + k * DESC_SIZE, list, k, isLast ? 0 : k + 1, isLast);
    }
    const head = this.#freeHead;
    const at = head * DESC_SIZE;
    writeAddress(this.#driver, at, this.memory.tablePaddr(table));
    this.#driver.setUint32(at + DESC_LEN, list.count * DESC_SIZE, true);
    this.#driver.setUint16(at + DESC_FLAGS, DESC_F_INDIRECT, true);
    this.#driver.setUint16(at + DESC_NEXT, 0, true);
    this.#freeHead = this.#next[head];
    this.#freeCount--;
  }

  /** Puts the descriptors of chain `head` back on the free list, by the shadow links. */
  #recycle(head: number): void {
    const length = this.#chainLength[head];
    if (this.#inOrder === null) {
      let last = head;
      for (let k = 1; k < length; k++) last = this.#next[last];
      this.#next[last] = this.#freeHead;
      this.#freeHead = head;
    }
    this.#freeCount += length;
    this.#chainLength[head] = 0;
    this.#inFlight--;
    if (this.#chainTable[head] === NO_TABLE) return;
    this.memory.giveTable(this.#chainTable[head]);
    this.#chainTable[head] = NO_TABLE;
  }

  /** §2.7.7.1: interrupt at the next used chain, or as far away as 16 bits allow. */
  #writeUsedEvent(): void {
    const event = this.#wantsInterrupts ? this.#lastUsed : this.#lastUsed - 1;
    this.#driver.setUint16(this.#avail + RING_ENTRIES + 2 * this.size, event & 0xffff, true);
  }
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
