/**
 * Packed virtqueue, driver side.
 *
 *   first area   ring[size] {addr u64, len u32, id u16, flags u16} | driver event {position and wrap u16, flags u16}
 *   second area  device event
 *
 * A chain takes as many places as it has descriptors, from the position `#avail` on; its token is its id, out of a pool. The
 * device reports it in the place where the next report is due, `#used`, and both sides skip the chain's places. A position with
 * its wrap counter is a number in [0, 2 * size): below `size` the counter is 1. Spec: virtio 1.2 §2.8.
 */
import { ERR_DEVICE_FAULT, ERR_NOT_READY, ERR_WRONG_TOKEN, isVirtioError, type VirtioError } from "./error.ts";
import type { DescriptorList } from "./descriptor-list.ts";
import type { Hal } from "./hal.ts";
import { InOrder } from "./in-order.ts";
import { QueueMemory, writeAddress } from "./queue-memory.ts";
import { NO_TABLE, QueueBase, type VirtQueueOptions } from "./queue-base.ts";
import {
  DESC_F_INDIRECT,
  DESC_F_NEXT,
  DESC_F_WRITE,
  DESC_SIZE,
  EVENT_DESC,
  EVENT_FLAGS,
  EVENT_FLAGS_DESC,
  EVENT_FLAGS_DISABLE,
  EVENT_FLAGS_ENABLE,
  EVENT_SIZE,
  PACKED_F_AVAIL,
  PACKED_F_USED,
  PACKED_FLAGS,
  PACKED_ID,
  PACKED_LEN,
} from "./spec.ts";
import type { Transport } from "./transport.ts";

const WRAP_BIT = 0x8000;

export class PackedQueue extends QueueBase {
  readonly #hasEventIdx: boolean;
  readonly #ring: DataView; // descriptors, then the driver's event
  readonly #deviceEvent: DataView;
  readonly #driverEvent: number; // offset in #ring
  readonly #inOrder: InOrder | null;

  // Shadow state, indexed by id.
  readonly #places: Uint16Array; // of the chain with this id; 0 = not in flight
  readonly #chainTable: Int16Array;
  readonly #chainWritable: Float64Array;
  readonly #freeIds: Uint16Array;
  #freeIdCount = 0;
  #freePlaces = 0;
  #avail = 0;
  #used = 0;
  /** Places filled since shouldNotify was last asked. */
  #unnotified = 0;
  #wantsInterrupts = true;

  private constructor(index: number, size: number, options: VirtQueueOptions, memory: QueueMemory) {
    super(index, size, memory, options);
    this.#hasEventIdx = options.eventIdx ?? false;
    this.#ring = memory.driverView;
    this.#deviceEvent = memory.deviceView;
    this.#driverEvent = size * DESC_SIZE;
    this.#inOrder = options.inOrder ? new InOrder(size) : null;
    this.#places = new Uint16Array(size);
    this.#chainTable = new Int16Array(size);
    this.#chainWritable = new Float64Array(size);
    this.#freeIds = new Uint16Array(size);
    this.clear();
  }

  /** A queue of `size` descriptors, any number up to 32768. */
  static alloc(hal: Hal, index: number, size: number, options: VirtQueueOptions): PackedQueue | VirtioError {
    const memory = QueueMemory.alloc(hal, {
      driverBytes: size * DESC_SIZE + EVENT_SIZE,
      deviceBytes: EVENT_SIZE,
      driverDirection: "both",
      indirect: options.indirect ?? false,
      isLegacy: false,
    });
    return isVirtioError(memory) ? memory : new PackedQueue(index, size, options, memory);
  }

  get availableDescriptors(): number {
    return this.#freePlaces;
  }

  get notificationData(): number {
    return this.#encode(this.#avail);
  }

  add(list: DescriptorList): number {
    const table = this.chooseTable(list, this.#freePlaces);
    if (table < NO_TABLE) return table;
    const id = this.#freeIds[--this.#freeIdCount]; // a chain has at least one place, so there are always enough
    const places = table === NO_TABLE ? list.count : 1;
    this.#chainTable[id] = table;
    this.#chainWritable[id] = list.writableBytes;
    this.#places[id] = places;
    this.#inOrder?.push(id);
    if (table === NO_TABLE) this.#fillDirect(list, id);
    else this.#fillIndirect(list, id, table);
    this.#freePlaces -= places;
    this.#avail = this.#advance(this.#avail, places);
    this.#unnotified += places;
    return id;
  }

  /** §2.8.10 */
  shouldNotify(): boolean {
    const places = this.#unnotified;
    this.#unnotified = 0;
    const flags = this.#deviceEvent.getUint16(EVENT_FLAGS, true) & 3;
    if (flags === EVENT_FLAGS_DISABLE) return false;
    if (flags !== EVENT_FLAGS_DESC || !this.#hasEventIdx || places > this.size) return true;
    const event = this.#deviceEvent.getUint16(EVENT_DESC, true);
    const position = (event & WRAP_BIT) !== 0 ? event & ~WRAP_BIT : event + this.size;
    const laps = 2 * this.size;
    return (this.#avail - position - 1 + 2 * laps) % laps < places; // was `position` one of the last `places`?
  }

  canPop(): boolean {
    if (this.isBroken) return false;
    if (this.#inOrder?.hasBatch) return true;
    if (this.#freePlaces === this.size) return false; // nothing in flight: what stands there is old
    const flags = this.#ring.getUint16(this.#offset(this.#used) + PACKED_FLAGS, true);
    const mark = flags & (PACKED_F_AVAIL | PACKED_F_USED);
    return mark === (this.#used < this.size ? PACKED_F_AVAIL | PACKED_F_USED : 0);
  }

  peekUsed(): number {
    if (!this.canPop()) return this.isBroken ? ERR_DEVICE_FAULT : ERR_NOT_READY;
    const order = this.#inOrder;
    if (order?.hasBatch) return order.next;
    const id = this.#ring.getUint16(this.#offset(this.#used) + PACKED_ID, true);
    if (id < this.size && this.#places[id] !== 0) {
      if (order === null) return id;
      if (order.report(id, this.#writtenLength(), this.size)) return order.next;
    }
    this.isBroken = true;
    return ERR_DEVICE_FAULT;
  }

  popUsed(token: number): number {
    const next = this.peekUsed();
    if (next < 0) return next;
    if (next !== token) return ERR_WRONG_TOKEN;
    const writable = this.#chainWritable[token];
    const length = this.#inOrder === null ? this.#writtenLength() : this.#inOrder.pop(writable);
    if (length > writable) {
      this.isBroken = true;
      return ERR_DEVICE_FAULT;
    }
    const places = this.#places[token];
    this.#used = this.#advance(this.#used, places);
    this.#freePlaces += places;
    this.#places[token] = 0;
    this.#freeIds[this.#freeIdCount++] = token;
    if (this.#chainTable[token] !== NO_TABLE) {
      this.memory.giveTable(this.#chainTable[token]);
      this.#chainTable[token] = NO_TABLE;
    }
    if (this.#hasEventIdx && this.#wantsInterrupts) this.#writeDriverEvent();
    return length;
  }

  setDevNotify(enable: boolean): void {
    this.#wantsInterrupts = enable;
    this.#writeDriverEvent();
  }

  enable(transport: Transport): void {
    const { driver, device } = this.memory;
    transport.queueSet(this.index, this.size, driver.paddr, driver.paddr + this.#driverEvent, device.paddr);
  }

  clear(): void {
    this.memory.clear();
    this.#places.fill(0);
    this.#chainTable.fill(NO_TABLE);
    this.#inOrder?.clear();
    this.#freeIdCount = this.size;
    for (let i = 0; i < this.size; i++) this.#freeIds[i] = this.size - 1 - i;
    this.#freePlaces = this.size;
    this.#avail = 0;
    this.#used = 0;
    this.#unnotified = 0;
    this.#writeDriverEvent();
  }

  #fillDirect(list: DescriptorList, id: number): void {
    const last = list.count - 1;
    // The first descriptor's flags come last: they publish the chain (§2.8.21).
    for (let k = last; k >= 0; k--) {
      const position = this.#advance(this.#avail, k);
      const flags = (k < list.readableCount ? 0 : DESC_F_WRITE) | (k === last ? 0 : DESC_F_NEXT);
      const at = this.#offset(position);
      writeAddress(this.#ring, at, list.paddrs[k]);
      this.#ring.setUint32(at + PACKED_LEN, list.byteLengths[k], true);
      this.#ring.setUint16(at + PACKED_ID, id, true);
      this.#ring.setUint16(at + PACKED_FLAGS, flags | this.#availableMark(position), true);
    }
  }

  #fillIndirect(list: DescriptorList, id: number, table: number): void {
    const view = this.memory.tableView(table);
    const start = this.memory.tableOffset(table);
    for (let k = 0; k < list.count; k++) {
      const entry = start + k * DESC_SIZE;
      writeAddress(view, entry, list.paddrs[k]);
      view.setUint32(entry + PACKED_LEN, list.byteLengths[k], true);
      view.setUint16(entry + PACKED_ID, 0, true);
      view.setUint16(entry + PACKED_FLAGS, k < list.readableCount ? 0 : DESC_F_WRITE, true);
    }
    const at = this.#offset(this.#avail);
    writeAddress(this.#ring, at, this.memory.tablePaddr(table));
    this.#ring.setUint32(at + PACKED_LEN, list.count * DESC_SIZE, true);
    this.#ring.setUint16(at + PACKED_ID, id, true);
    this.#ring.setUint16(at + PACKED_FLAGS, DESC_F_INDIRECT | this.#availableMark(this.#avail), true);
  }

  /** §2.8.1: AVAIL is the wrap counter, USED its opposite. */
  #availableMark(position: number): number {
    return position < this.size ? PACKED_F_AVAIL : PACKED_F_USED;
  }

  /** §2.8.7: the length counts only with WRITE set. */
  #writtenLength(): number {
    const at = this.#offset(this.#used);
    if ((this.#ring.getUint16(at + PACKED_FLAGS, true) & DESC_F_WRITE) === 0) return 0;
    return this.#ring.getUint32(at + PACKED_LEN, true);
  }

  #writeDriverEvent(): void {
    const wanted = this.#hasEventIdx ? EVENT_FLAGS_DESC : EVENT_FLAGS_ENABLE;
    this.#ring.setUint16(this.#driverEvent + EVENT_DESC, this.#hasEventIdx ? this.#encode(this.#used) : 0, true);
    this.#ring.setUint16(this.#driverEvent + EVENT_FLAGS, this.#wantsInterrupts ? wanted : EVENT_FLAGS_DISABLE, true);
  }

  #encode(position: number): number {
    return position < this.size ? position | WRAP_BIT : position - this.size;
  }

  #offset(position: number): number {
    return DESC_SIZE * (position < this.size ? position : position - this.size);
  }

  #advance(position: number, places: number): number {
    const next = position + places;
    return next < 2 * this.size ? next : next - 2 * this.size;
  }
}
