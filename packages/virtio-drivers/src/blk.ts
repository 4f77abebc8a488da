/**
 * virtio block driver.
 *
 * Two ways to use it, freely mixed:
 *   blocking      readBlocks, writeBlocks, flush, discard, writeZeroes, deviceId: return when the device is done
 *   non-blocking  readBlocksNb / writeBlocksNb → token; isComplete(token); completeReadBlocks / completeWriteBlocks(token)
 * Block ids and capacity are in sectors of 512 bytes, the unit of the protocol, whatever the logical block size.
 *
 * Each request in flight owns a slot of DMA memory:  header 16 B | status 1 B | … | small data at 32 (id, ranges).
 * Completions are collected in any order (`collect`), so tokens may be completed in any order too. A token is used up
 * by completing it and never repeats within 2^18 requests of its slot.
 *
 * If the device misbehaves, asks for a reset or does not answer, it is reset, which ends its access to memory; every
 * request in flight fails, and from then on everything answers ERR_DEVICE_FAULT. `release` it and create a new one.
 *
 * Spec: virtio 1.2 §5.2.
 */
import {
  ERR_DEVICE_FAULT,
  ERR_INVALID_PARAM,
  ERR_IO,
  ERR_NOT_READY,
  ERR_QUEUE_FULL,
  ERR_READ_ONLY,
  ERR_TIMED_OUT,
  ERR_UNSUPPORTED,
  ERR_WRONG_TOKEN,
  isVirtioError,
  toErrno,
  type VirtioError,
} from "./error.ts";
import { type DmaRegion, type Hal, PAGE_SIZE, type SharedBuffer } from "./hal.ts";
import { DEFAULT_MAX_POLLS, DescriptorList, STATUS_POLL_INTERVAL, VirtQueue } from "./queue.ts";
import {
  DEVICE_TYPE_BLOCK,
  F_EVENT_IDX_LO,
  F_INDIRECT_DESC_LO,
  INTERRUPT_CONFIG_CHANGE,
  STATUS_DEVICE_NEEDS_RESET,
} from "./spec.ts";
import { beginInit, failInit, finishInit, readConfig64, resetDevice, type Transport } from "./transport.ts";

// §5.2.3 Feature bits
export const BLK_F_SIZE_MAX: number = 1 << 1;
export const BLK_F_SEG_MAX: number = 1 << 2;
export const BLK_F_RO: number = 1 << 5;
export const BLK_F_BLK_SIZE: number = 1 << 6;
export const BLK_F_FLUSH: number = 1 << 9;
export const BLK_F_DISCARD: number = 1 << 13;
export const BLK_F_WRITE_ZEROES: number = 1 << 14;

const SUPPORTED_FEATURES: number =
  BLK_F_SIZE_MAX |
  BLK_F_SEG_MAX |
  BLK_F_RO |
  BLK_F_BLK_SIZE |
  BLK_F_FLUSH |
  BLK_F_DISCARD |
  BLK_F_WRITE_ZEROES |
  F_INDIRECT_DESC_LO |
  F_EVENT_IDX_LO;

// §5.2.4 struct virtio_blk_config
const CONFIG_CAPACITY = 0;
const CONFIG_SIZE_MAX = 8;
const CONFIG_SEG_MAX = 12;
const CONFIG_BLK_SIZE = 20;
const CONFIG_MAX_DISCARD_SECTORS = 36;
const CONFIG_MAX_WRITE_ZEROES_SECTORS = 48;

// §5.2.6
const T_IN = 0;
const T_OUT = 1;
const T_FLUSH = 4;
const T_GET_ID = 8;
const T_DISCARD = 11;
const T_WRITE_ZEROES = 13;
const S_OK = 0;
const S_UNSUPP = 2;
const S_NOT_WRITTEN = 0xff; // never sent by a device: marks a status byte it did not write
const RANGE_F_UNMAP = 1;

export const SECTOR_SIZE = 512;
const QUEUE_INDEX = 0;
const HEADER_SIZE = 16;
const ID_LENGTH = 20;
const RANGE_SIZE = 16;
const TWO_POW_32 = 0x1_0000_0000;

const SLOT_SIZE = 64;
const SLOT_COUNT: number = PAGE_SIZE / SLOT_SIZE;
const SLOT_STATUS = 16;
const SLOT_DATA = 32;

const SLOT_FREE = 0;
const SLOT_PENDING = 1;
const SLOT_DONE = 2;

const NO_BUFFER: Uint8Array = new Uint8Array(0);
const NO_SHARE: SharedBuffer = { runCount: 0, paddrs: [], byteLengths: [] };

const MAX_TRANSFER = 1024 * 1024; // bytes a request of the blocking functions; larger ones are split

export interface VirtIOBlkOptions {
  /** Descriptors wanted; the device may allow fewer. Default 128. */
  readonly queueSize?: number;
  /** How often a blocking function looks for completion before ERR_TIMED_OUT. Default 10 million. */
  readonly maxPolls?: number;
  /**
   * Called by blocking functions while a request is not complete, e.g. to let another thread's device run. Return
   * false to give up (ERR_TIMED_OUT).
   */
  readonly waitForInterrupt?: () => boolean;
}

export class VirtIOBlk {
  /** Largest transfer of one non-blocking request, in bytes. */
  readonly maxRequestBytes: number;
  /** Does the device refuse writes (VIRTIO_BLK_F_RO)? */
  readonly readOnly: boolean;
  /** Block size the device prefers, in bytes; 512 if it does not say. */
  readonly logicalBlockSize: number;
  readonly #hal: Hal;
  readonly #transport: Transport;
  readonly #queue: VirtQueue;
  readonly #features: number;
  readonly #sizeMax: number; // bytes a data segment
  readonly #segMax: number; // data segments a request
  readonly #maxDiscardSectors: number;
  readonly #maxWriteZeroesSectors: number;
  readonly #maxPolls: number;
  readonly #waitForInterrupt: () => boolean;
  #capacity: number;
  #isFaulty = false;

  readonly #slots: DmaRegion;
  readonly #slotView: DataView;
  readonly #slotState: Uint8Array = new Uint8Array(SLOT_COUNT);
  readonly #slotToken: Int32Array = new Int32Array(SLOT_COUNT);
  readonly #slotType: Uint8Array = new Uint8Array(SLOT_COUNT);
  readonly #slotResult: Int32Array = new Int32Array(SLOT_COUNT);
  readonly #slotBuffer: Uint8Array[] = new Array<Uint8Array>(SLOT_COUNT).fill(NO_BUFFER);
  readonly #slotShare: SharedBuffer[] = new Array<SharedBuffer>(SLOT_COUNT).fill(NO_SHARE);
  readonly #slotGeneration: Int32Array = new Int32Array(SLOT_COUNT);
  readonly #freeSlots: Int32Array = Int32Array.from({ length: SLOT_COUNT }, (_, i) => SLOT_COUNT - 1 - i);
  #freeSlotCount: number = SLOT_COUNT;
  readonly #slotOfHead: Int16Array;
  readonly #list: DescriptorList;

  private constructor(
    hal: Hal,
    transport: Transport,
    options: VirtIOBlkOptions,
    features: number,
    queue: VirtQueue,
    slots: DmaRegion,
    capacity: number,
  ) {
    this.#hal = hal;
    this.#transport = transport;
    this.#queue = queue;
    this.#features = features;
    this.#slots = slots;
    this.#slotView = new DataView(slots.view.buffer, slots.view.byteOffset, slots.view.byteLength);
    this.#capacity = capacity;
    this.#maxPolls = options.maxPolls ?? DEFAULT_MAX_POLLS;
    this.#waitForInterrupt = options.waitForInterrupt ?? alwaysTrue;
    this.#slotOfHead = new Int16Array(queue.size);
    this.#list = new DescriptorList(queue.maxChainLength);
    this.readOnly = (features & BLK_F_RO) !== 0;
    this.logicalBlockSize = this.#config32(BLK_F_BLK_SIZE, CONFIG_BLK_SIZE, SECTOR_SIZE);
    this.#sizeMax = this.#config32(BLK_F_SIZE_MAX, CONFIG_SIZE_MAX, TWO_POW_32 - 1);
    this.#maxDiscardSectors = this.#config32(BLK_F_DISCARD, CONFIG_MAX_DISCARD_SECTORS, TWO_POW_32 - 1);
    this.#maxWriteZeroesSectors = this.#config32(BLK_F_WRITE_ZEROES, CONFIG_MAX_WRITE_ZEROES_SECTORS, TWO_POW_32 - 1);
    // Linux takes a missing or zero seg_max as 1; so do we.
    this.#segMax = Math.min(this.#config32(BLK_F_SEG_MAX, CONFIG_SEG_MAX, 1), queue.maxChainLength - 2);
    this.maxRequestBytes = largestRequest(this.#segMax, this.#sizeMax);
  }

  /**
   * Initialises the device behind `transport`. ERR_NO_DEVICE if it is no block device, ERR_UNSUPPORTED if its limits
   * make sector transfers impossible, or an error of negotiation or DMA.
   */
  static create(hal: Hal, transport: Transport, options: VirtIOBlkOptions = {}): VirtIOBlk | VirtioError {
    if (transport.deviceType !== DEVICE_TYPE_BLOCK) return ERR_UNSUPPORTED;
    const features = beginInit(transport, SUPPORTED_FEATURES);
    if (isVirtioError(features)) return features;
    const capacity = readConfig64(transport, CONFIG_CAPACITY);
    if (capacity < 0) return failInit(transport, capacity as VirtioError);
    const slots = hal.dmaAlloc(1, "both");
    if (isVirtioError(slots)) return failInit(transport, slots);
    const queue = VirtQueue.create(hal, transport, QUEUE_INDEX, options.queueSize ?? 128, {
      indirect: (features.low & F_INDIRECT_DESC_LO) !== 0,
      eventIdx: (features.low & F_EVENT_IDX_LO) !== 0,
    });
    if (isVirtioError(queue)) {
      hal.dmaDealloc(slots.paddr, 1);
      return failInit(transport, queue);
    }
    const blk = new VirtIOBlk(hal, transport, options, features.low, queue, slots, capacity);
    if (blk.maxRequestBytes === 0) {
      blk.release();
      return ERR_UNSUPPORTED;
    }
    queue.setDevNotify(false);
    finishInit(transport);
    return blk;
  }

  /** Capacity in sectors of 512 bytes, as of the last configuration change seen. */
  capacity(): number {
    return this.#capacity;
  }

  /** Requests that can be added without completing one. */
  get freeSlots(): number {
    return this.#freeSlotCount;
  }

  /** Can the device write zeroes / discard ranges by command? */
  get canDiscard(): boolean {
    return (this.#features & BLK_F_DISCARD) !== 0;
  }

  get canWriteZeroes(): boolean {
    return (this.#features & BLK_F_WRITE_ZEROES) !== 0;
  }

  // Blocking.

  /** Reads `buf.length / 512` sectors from `blockId` on. 0 or an error; on an error `buf` is undefined. */
  readBlocks(blockId: number, buf: Uint8Array): number {
    return this.#transferBlocking(T_IN, blockId, buf);
  }

  /** Writes `buf.length / 512` sectors from `blockId` on. 0 or an error; ERR_READ_ONLY if the device is. */
  writeBlocks(blockId: number, buf: Uint8Array): number {
    if (this.readOnly) return ERR_READ_ONLY;
    return this.#transferBlocking(T_OUT, blockId, buf);
  }

  /** Makes all completed writes durable. Does nothing on a device without a volatile cache. */
  flush(): number {
    if ((this.#features & BLK_F_FLUSH) === 0) return this.#isFaulty ? ERR_DEVICE_FAULT : 0;
    return this.#wait(this.#submit(T_FLUSH, 0, NO_BUFFER));
  }

  /** Tells the device that `count` sectors are not needed; what they read as afterwards is undefined. */
  discard(blockId: number, count: number): number {
    return this.#submitRanges(T_DISCARD, blockId, count, this.canDiscard, this.#maxDiscardSectors, 0);
  }

  /** Makes `count` sectors read as zero; with `unmap` the device may deallocate them. */
  writeZeroes(blockId: number, count: number, options: { readonly unmap?: boolean } = {}): number {
    const flags = options.unmap ? RANGE_F_UNMAP : 0;
    return this.#submitRanges(T_WRITE_ZEROES, blockId, count, this.canWriteZeroes, this.#maxWriteZeroesSectors, flags);
  }

  /** The device's serial number, up to 20 characters. */
  deviceId(): string | VirtioError {
    const token = this.#submit(T_GET_ID, 0, NO_BUFFER);
    const slot = token & (SLOT_COUNT - 1);
    const result = this.#wait(token);
    if (result < 0) return result as VirtioError;
    let id = "";
    for (let i = 0; i < ID_LENGTH; i++) {
      const byte = this.#slots.view[slot * SLOT_SIZE + SLOT_DATA + i];
      if (byte === 0) break;
      id += String.fromCharCode(byte);
    }
    return id;
  }

  // Non-blocking.

  /**
   * Starts a read of up to `maxRequestBytes` and returns its token, or an error (ERR_QUEUE_FULL: complete a request
   * first). `buf` belongs to the device until the token is completed.
   */
  readBlocksNb(blockId: number, buf: Uint8Array): number {
    const error = this.#check(blockId, buf.length);
    return error !== 0 ? error : this.#submitData(T_IN, blockId, buf);
  }

  /** Starts a write; see `readBlocksNb`. */
  writeBlocksNb(blockId: number, buf: Uint8Array): number {
    if (this.readOnly) return ERR_READ_ONLY;
    const error = this.#check(blockId, buf.length);
    return error !== 0 ? error : this.#submitData(T_OUT, blockId, buf);
  }

  /** Has the device finished `token`? Also true if it never will. */
  isComplete(token: number): boolean {
    this.collect();
    return (
      this.#slotToken[token & (SLOT_COUNT - 1)] !== token || this.#slotState[token & (SLOT_COUNT - 1)] !== SLOT_PENDING
    );
  }

  /** Ends a read: 0 with the data in its buffer, an error, or ERR_NOT_READY, which keeps the token valid. */
  completeReadBlocks(token: number): number {
    return this.#complete(token, T_IN);
  }

  /** Ends a write; see `completeReadBlocks`. */
  completeWriteBlocks(token: number): number {
    return this.#complete(token, T_OUT);
  }

  // Interrupts.

  /** Lets the device interrupt on completions; off by default, because blocking functions poll. */
  enableInterrupts(): void {
    this.#queue.setDevNotify(true);
  }

  disableInterrupts(): void {
    this.#queue.setDevNotify(false);
  }

  /**
   * For the interrupt handler: acknowledges, takes over a changed capacity, collects completions. Spurious calls are
   * harmless. Returns the INTERRUPT_* bits that were set.
   */
  handleInterrupt(): number {
    const events = this.#transport.ackInterrupt();
    if ((events & INTERRUPT_CONFIG_CHANGE) !== 0 && !this.#checkNeedsReset()) {
      const capacity = readConfig64(this.#transport, CONFIG_CAPACITY);
      if (capacity >= 0) this.#capacity = capacity;
    }
    this.collect();
    return events;
  }

  /** Takes finished requests out of the queue; their tokens become complete. */
  collect(): void {
    for (;;) {
      const head = this.#queue.peekUsed();
      if (head < 0) {
        if (head === ERR_DEVICE_FAULT) this.#fail();
        return;
      }
      const written = this.#queue.popUsed(head);
      if (written < 0) return this.#fail();
      this.#finish(this.#slotOfHead[head], written);
    }
  }

  /** Resets the device and frees the DMA memory. Requests in flight are lost. */
  release(): void {
    this.#fail();
    this.#queue.release();
    this.#hal.dmaDealloc(this.#slots.paddr, 1);
  }

  /** This device as a block device with results in negated errnos, as blockdev-disk and ext4-fs take it. */
  asBlockDevice(): BlockDeviceAdapter {
    return new BlockDeviceAdapter(this);
  }

  #config32(feature: number, offset: number, absent: number): number {
    if ((this.#features & feature) === 0) return absent;
    const value = this.#transport.readConfig32(offset);
    return value > 0 ? value : absent; // 0 and an unreadable field mean "no information"
  }

  #check(blockId: number, byteLength: number): number {
    const sectors = byteLength / SECTOR_SIZE;
    if (sectors === 0 || byteLength % SECTOR_SIZE !== 0 || byteLength > this.maxRequestBytes) return ERR_INVALID_PARAM;
    return this.#inRange(blockId, sectors) ? 0 : ERR_INVALID_PARAM;
  }

  /** §5.2.6.1: never submit what lies beyond the capacity. */
  #inRange(blockId: number, sectors: number): boolean {
    return Number.isInteger(blockId) && blockId >= 0 && sectors >= 0 && blockId + sectors <= this.#capacity;
  }

  #transferBlocking(type: number, blockId: number, buf: Uint8Array): number {
    const byteLength = buf.length;
    if (byteLength === 0) return 0;
    if (byteLength <= this.maxRequestBytes) {
      const error = this.#check(blockId, byteLength);
      return error !== 0 ? error : this.#wait(this.#submitData(type, blockId, buf));
    }
    if (byteLength % SECTOR_SIZE !== 0 || !this.#inRange(blockId, byteLength / SECTOR_SIZE)) return ERR_INVALID_PARAM;
    for (let at = 0; at < byteLength; at += this.maxRequestBytes) {
      const part = buf.subarray(at, Math.min(at + this.maxRequestBytes, byteLength));
      const result = this.#wait(this.#submitData(type, blockId + at / SECTOR_SIZE, part));
      if (result < 0) return result;
    }
    return 0;
  }

  #submitRanges(
    type: number,
    blockId: number,
    count: number,
    isOffered: boolean,
    maxSectors: number,
    flags: number,
  ): number {
    if (this.readOnly) return ERR_READ_ONLY;
    if (!isOffered) return ERR_UNSUPPORTED;
    if (!Number.isInteger(count) || !this.#inRange(blockId, count)) return ERR_INVALID_PARAM;
    for (let at = 0; at < count; at += maxSectors) {
      const result = this.#wait(this.#submit(type, blockId + at, NO_BUFFER, Math.min(count - at, maxSectors), flags));
      if (result < 0) return result;
    }
    return 0;
  }

  #submitData(type: number, blockId: number, buf: Uint8Array): number {
    return this.#submit(type, blockId, buf);
  }

  /** Shares, queues and notifies one request. Returns its token or an error. `count`, `flags`: range requests only. */
  #submit(type: number, blockId: number, buf: Uint8Array, count: number = 0, flags: number = 0): number {
    if (this.#isFaulty) return ERR_DEVICE_FAULT;
    if (this.#freeSlotCount === 0) return ERR_QUEUE_FULL;
    let shared = NO_SHARE;
    if (buf.length > 0) {
      const result = this.#hal.share(buf, type === T_IN ? "deviceToDriver" : "driverToDevice");
      if (isVirtioError(result)) return result;
      shared = result;
    }
    const slot = this.#freeSlots[this.#freeSlotCount - 1];
    this.#writeSlot(slot, type, blockId, count, flags);
    const head = this.#fillList(slot, type, shared) ? this.#queue.add(this.#list) : ERR_INVALID_PARAM;
    if (head < 0) {
      if (shared !== NO_SHARE) this.#hal.unshare(shared, buf, "driverToDevice"); // nothing was read: copy nothing back
      return head;
    }
    this.#freeSlotCount--;
    this.#slotOfHead[head] = slot;
    this.#slotState[slot] = SLOT_PENDING;
    this.#slotType[slot] = type;
    this.#slotBuffer[slot] = buf;
    this.#slotShare[slot] = shared;
    this.#slotGeneration[slot] = (this.#slotGeneration[slot] + 1) & 0x3ffff;
    const token = this.#slotGeneration[slot] * SLOT_COUNT + slot;
    this.#slotToken[slot] = token;
    if (this.#queue.shouldNotify()) this.#transport.notify(QUEUE_INDEX);
    return token;
  }

  #writeSlot(slot: number, type: number, blockId: number, count: number, flags: number): void {
    const view = this.#slotView;
    const at = slot * SLOT_SIZE;
    const isRange = type === T_DISCARD || type === T_WRITE_ZEROES;
    const sector = isRange ? 0 : blockId; // §5.2.6: zero unless it says where to read or write
    view.setUint32(at, type, true);
    view.setUint32(at + 4, 0, true);
    view.setUint32(at + 8, sector >>> 0, true);
    view.setUint32(at + 12, Math.floor(sector / TWO_POW_32), true);
    view.setUint8(at + SLOT_STATUS, S_NOT_WRITTEN);
    if (!isRange) return;
    view.setUint32(at + SLOT_DATA, blockId >>> 0, true);
    view.setUint32(at + SLOT_DATA + 4, Math.floor(blockId / TWO_POW_32), true);
    view.setUint32(at + SLOT_DATA + 8, count, true);
    view.setUint32(at + SLOT_DATA + 12, flags, true);
  }

  /** Header, data, status. False if the data has more segments than a request may. */
  #fillList(slot: number, type: number, shared: SharedBuffer): boolean {
    const list = this.#list;
    const paddr = this.#slots.paddr + slot * SLOT_SIZE;
    list.clear();
    list.pushReadable(paddr, HEADER_SIZE);
    if (type === T_GET_ID) list.pushWritable(paddr + SLOT_DATA, ID_LENGTH);
    else if (type === T_DISCARD || type === T_WRITE_ZEROES) list.pushReadable(paddr + SLOT_DATA, RANGE_SIZE);
    let segments = 0;
    for (let i = 0; i < shared.runCount; i++) {
      const byteLength = shared.byteLengths[i];
      for (let at = 0; at < byteLength; at += this.#sizeMax) {
        const length = Math.min(byteLength - at, this.#sizeMax);
        const runPaddr = shared.paddrs[i] + at;
        if (++segments > this.#segMax) return false;
        if (type === T_IN) list.pushWritable(runPaddr, length);
        else list.pushReadable(runPaddr, length);
      }
    }
    return list.pushWritable(paddr + SLOT_STATUS, 1);
  }

  /** The device returned the request in `slot`: judge it and take its buffer back. */
  #finish(slot: number, written: number): void {
    const type = this.#slotType[slot];
    const buffer = this.#slotBuffer[slot];
    const status = this.#slotView.getUint8(slot * SLOT_SIZE + SLOT_STATUS);
    // §2.7.8.2: only the first `written` bytes count; the status byte comes after all data.
    const expected = (type === T_IN ? buffer.length : type === T_GET_ID ? ID_LENGTH : 0) + 1;
    let result = 0;
    if (status === S_UNSUPP) result = ERR_UNSUPPORTED;
    else if (status !== S_OK || written < expected) result = ERR_IO;
    this.#settle(slot, result);
  }

  #settle(slot: number, result: number): void {
    const share = this.#slotShare[slot];
    const direction = this.#slotType[slot] === T_IN ? "deviceToDriver" : "driverToDevice";
    if (share !== NO_SHARE) this.#hal.unshare(share, this.#slotBuffer[slot], direction);
    this.#slotShare[slot] = NO_SHARE;
    this.#slotBuffer[slot] = NO_BUFFER;
    this.#slotResult[slot] = result;
    this.#slotState[slot] = SLOT_DONE;
  }

  #complete(token: number, type: number): number {
    const slot = token & (SLOT_COUNT - 1);
    if (this.#slotToken[slot] !== token || this.#slotState[slot] === SLOT_FREE || this.#slotType[slot] !== type)
      return ERR_WRONG_TOKEN;
    if (this.#slotState[slot] === SLOT_PENDING) this.collect();
    if (this.#slotState[slot] !== SLOT_DONE) return ERR_NOT_READY;
    return this.#free(slot);
  }

  #free(slot: number): number {
    this.#slotState[slot] = SLOT_FREE;
    this.#freeSlots[this.#freeSlotCount++] = slot;
    return this.#slotResult[slot];
  }

  /** Polls until `token` is done. An error in place of a token passes through. */
  #wait(token: number): number {
    if (token < 0) return token;
    const slot = token & (SLOT_COUNT - 1);
    for (let polls = 0; ; polls++) {
      this.collect();
      if (this.#slotState[slot] === SLOT_DONE) return this.#free(slot);
      if (polls % STATUS_POLL_INTERVAL === 0 && this.#checkNeedsReset()) return this.#free(slot);
      if (polls < this.#maxPolls && this.#waitForInterrupt()) continue;
      this.#fail();
      this.#free(slot);
      return ERR_TIMED_OUT;
    }
  }

  /** Fails everything if the device asks for a reset (§2.1). */
  #checkNeedsReset(): boolean {
    if ((this.#transport.getStatus() & STATUS_DEVICE_NEEDS_RESET) === 0) return false;
    this.#fail();
    return true;
  }

  /** Resets the device, so that it stops using memory, and settles what is in flight. */
  #fail(): void {
    if (this.#isFaulty) return;
    this.#isFaulty = true;
    resetDevice(this.#transport);
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      if (this.#slotState[slot] === SLOT_PENDING) this.#settle(slot, ERR_DEVICE_FAULT);
    }
  }
}

/** A `VirtIOBlk` with the shape of blockdev-disk's BlockDevice. Results are 0 or a negated errno. */
export class BlockDeviceAdapter {
  readonly blockSize: number = SECTOR_SIZE;
  readonly readOnly: boolean;
  readonly #blk: VirtIOBlk;

  constructor(blk: VirtIOBlk) {
    this.#blk = blk;
    this.readOnly = blk.readOnly;
  }

  /** Bytes. */
  get size(): number {
    return this.#blk.capacity() * SECTOR_SIZE;
  }

  readBlock(blockId: number, buf: Uint8Array): number {
    return toErrno(this.#blk.readBlocks(blockId, buf));
  }

  writeBlock(blockId: number, buf: Uint8Array): number {
    return toErrno(this.#blk.writeBlocks(blockId, buf));
  }

  flush(): number {
    return toErrno(this.#blk.flush());
  }

  discard(blockId: number, count: number): number {
    return toErrno(this.#blk.discard(blockId, count));
  }

  writeZeroes(blockId: number, count: number): number {
    return toErrno(this.#blk.writeZeroes(blockId, count, { unmap: true }));
  }
}

/**
 * Bytes of a request that never needs more than `segMax` segments of up to `sizeMax` bytes, however the pages of the
 * buffer are scattered. A buffer that starts inside a page touches one page more.
 */
function largestRequest(segMax: number, sizeMax: number): number {
  const segmentsPerPage = Math.ceil(PAGE_SIZE / sizeMax);
  const pages = Math.floor(segMax / segmentsPerPage) - (segMax > segmentsPerPage ? 1 : 0);
  const bytes = pages > 0 ? pages * PAGE_SIZE : Math.min(segMax * sizeMax, PAGE_SIZE);
  return Math.min(bytes - (bytes % SECTOR_SIZE), MAX_TRANSFER);
}

function alwaysTrue(): boolean {
  return true;
}
