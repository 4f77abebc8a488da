/**
 * virtio block driver.
 *
 * Two ways to use it, freely mixed:
 *   blocking      readBlocks, writeBlocks, flush, discard, writeZeroes, deviceId: return when the device is done
 *   non-blocking  readBlocksNb / writeBlocksNb → token; isComplete(token); completeReadBlocks / completeWriteBlocks(token)
 * Block ids and capacity are in sectors of 512 bytes, the unit of the protocol, whatever the logical block size.
 * Tokens may be completed in any order.
 *
 * If the device misbehaves, asks for a reset or does not answer, it is reset; every request in flight fails, and from
 * then on everything answers ERR_DEVICE_FAULT. `release` it and create a new one.
 *
 * Spec: virtio 1.2 §5.2.
 */
import { BlkRequests, NO_BUFFER } from "./blk-requests.ts";
import {
  BLK_CONFIG_ALIGNMENT_OFFSET,
  BLK_CONFIG_BLK_SIZE,
  BLK_CONFIG_CAPACITY,
  BLK_CONFIG_CYLINDERS,
  BLK_CONFIG_DISCARD_SECTOR_ALIGNMENT,
  BLK_CONFIG_HEADS,
  BLK_CONFIG_MAX_DISCARD_SECTORS,
  BLK_CONFIG_MAX_SECURE_ERASE_SECTORS,
  BLK_CONFIG_MAX_WRITE_ZEROES_SECTORS,
  BLK_CONFIG_MIN_IO_SIZE,
  BLK_CONFIG_NUM_QUEUES,
  BLK_CONFIG_OPT_IO_SIZE,
  BLK_CONFIG_PHYSICAL_BLOCK_EXP,
  BLK_CONFIG_SECTORS,
  BLK_CONFIG_SEG_MAX,
  BLK_CONFIG_SIZE_MAX,
  BLK_CONFIG_WRITEBACK,
  BLK_F_BLK_SIZE,
  BLK_F_CONFIG_WCE,
  BLK_F_DISCARD,
  BLK_F_FLUSH,
  BLK_F_GEOMETRY,
  BLK_F_MQ,
  BLK_F_RO,
  BLK_F_SECURE_ERASE,
  BLK_F_SEG_MAX,
  BLK_F_SIZE_MAX,
  BLK_F_TOPOLOGY,
  BLK_F_WRITE_ZEROES,
  BLK_FEATURES,
  BLK_RANGE_F_UNMAP,
  BLK_T_DISCARD,
  BLK_T_FLUSH,
  BLK_T_GET_ID,
  BLK_T_IN,
  BLK_T_OUT,
  BLK_T_SECURE_ERASE,
  BLK_T_WRITE_ZEROES,
  SECTOR_SIZE,
} from "./blk-spec.ts";
import { BlockDeviceAdapter } from "./block-device-adapter.ts";
import { DriverCore, type DriverOptions } from "./driver-core.ts";
import {
  ERR_DEVICE_FAULT,
  ERR_INVALID_PARAM,
  ERR_QUEUE_FULL,
  ERR_READ_ONLY,
  ERR_UNSUPPORTED,
  isVirtioError,
  type VirtioError,
} from "./error.ts";
import { type DmaRegion, type Hal, PAGE_SIZE } from "./hal.ts";
import { DEVICE_TYPE_BLOCK, INTERRUPT_CONFIG_CHANGE } from "./spec.ts";
import { readConfig64, type Transport } from "./transport.ts";

/** Queues that a token can tell apart. */
const MAX_QUEUES = 16;
const MAX_UINT32 = 0xffff_ffff;
/** Bytes of the largest single request, however many segments the device takes. */
const MAX_TRANSFER: number = 1024 * 1024;

export interface VirtIOBlkOptions extends DriverOptions {
  /** Descriptors wanted; the device may allow fewer. Default 128. */
  readonly queueSize?: number;
  /** Request queues wanted, 1..16; the device may have fewer. Default 1. */
  readonly queueCount?: number;
  /**
   * Called by blocking functions while a request is not complete, e.g. to let another thread's device run. Return
   * false to give up (ERR_TIMED_OUT).
   */
  readonly waitForInterrupt?: () => boolean;
  /** Called by `handleInterrupt` when the capacity has changed, in sectors. */
  readonly onResize?: (capacity: number) => void;
}

/** §5.2.4 `topology`, in bytes. */
export interface BlkTopology {
  readonly physicalBlockSize: number;
  /** Offset of the first aligned logical block. */
  readonly alignmentOffset: number;
  /** Suggested minimum and optimal sizes of a transfer; 0 = no suggestion. */
  readonly minIoSize: number;
  readonly optIoSize: number;
}

export class VirtIOBlk {
  /** Largest transfer of one non-blocking request, in bytes. Blocking functions split larger ones. */
  readonly maxRequestBytes: number;
  /** Does the device refuse writes (VIRTIO_BLK_F_RO)? */
  readonly readOnly: boolean;
  /** Block size the device prefers, in bytes; 512 if it does not say. */
  readonly logicalBlockSize: number;
  /** What the device says of its storage, or null. */
  readonly topology: BlkTopology | null;
  readonly geometry: { readonly cylinders: number; readonly heads: number; readonly sectors: number } | null;
  /** Request queues in use. */
  readonly queueCount: number;
  /** Sectors that discards should be aligned to. */
  readonly discardAlignment: number;
  readonly #core: DriverCore;
  readonly #transport: Transport;
  /** By queue. */
  readonly #requests: readonly BlkRequests[];
  readonly #maxDiscardSectors: number;
  readonly #maxWriteZeroesSectors: number;
  readonly #maxSecureEraseSectors: number;
  readonly #onResize: (capacity: number) => void;
  #nextQueue = 0;
  #capacity: number;

  private constructor(core: DriverCore, pages: readonly DmaRegion[], capacity: number, options: VirtIOBlkOptions) {
    this.#core = core;
    this.#transport = core.transport;
    this.#capacity = capacity;
    this.#onResize = options.onResize ?? ignore;
    this.queueCount = core.queues.length;
    this.readOnly = core.has(BLK_F_RO);
    this.logicalBlockSize = this.#config32(BLK_F_BLK_SIZE, BLK_CONFIG_BLK_SIZE, SECTOR_SIZE);
    this.topology = core.has(BLK_F_TOPOLOGY) ? readTopology(core.transport, this.logicalBlockSize) : null;
    this.geometry = core.has(BLK_F_GEOMETRY) ? readGeometry(core.transport) : null;
    this.#maxDiscardSectors = this.#config32(BLK_F_DISCARD, BLK_CONFIG_MAX_DISCARD_SECTORS, MAX_UINT32);
    this.discardAlignment = this.#config32(BLK_F_DISCARD, BLK_CONFIG_DISCARD_SECTOR_ALIGNMENT, 1);
    this.#maxWriteZeroesSectors = this.#config32(BLK_F_WRITE_ZEROES, BLK_CONFIG_MAX_WRITE_ZEROES_SECTORS, MAX_UINT32);
    this.#maxSecureEraseSectors = this.#config32(BLK_F_SECURE_ERASE, BLK_CONFIG_MAX_SECURE_ERASE_SECTORS, MAX_UINT32);
    const sizeMax = this.#config32(BLK_F_SIZE_MAX, BLK_CONFIG_SIZE_MAX, MAX_UINT32);
    const chainLimit = Math.min(...core.queues.map((queue) => queue.maxChainLength));
    // Linux takes a missing or zero seg_max as 1; so do we. Header and status take two descriptors of a chain.
    const segMax = Math.min(this.#config32(BLK_F_SEG_MAX, BLK_CONFIG_SEG_MAX, 1), chainLimit - 2);
    this.maxRequestBytes = largestRequest(segMax, sizeMax);
    const waitForInterrupt = options.waitForInterrupt ?? alwaysTrue;
    this.#requests = core.queues.map(
      (queue, i) => new BlkRequests(core, queue, pages[i], { sizeMax, segMax, waitForInterrupt }),
    );
    core.onFault = () => {
      for (const requests of this.#requests) requests.settleAll(ERR_DEVICE_FAULT);
    };
  }

  /**
   * Initialises the device behind `transport`. ERR_UNSUPPORTED if it is no block device or if its limits make sector
   * transfers impossible, or an error of negotiation or DMA.
   */
  static create(hal: Hal, transport: Transport, options: VirtIOBlkOptions = {}): VirtIOBlk | VirtioError {
    const core = DriverCore.open(hal, transport, DEVICE_TYPE_BLOCK, BLK_FEATURES, options);
    if (isVirtioError(core)) return core;
    const capacity = readConfig64(transport, BLK_CONFIG_CAPACITY);
    if (capacity < 0) return core.abandon(capacity as VirtioError);
    const offered = core.has(BLK_F_MQ) ? transport.readConfig16(BLK_CONFIG_NUM_QUEUES) : 1;
    const queueCount = Math.max(Math.min(options.queueCount ?? 1, offered, MAX_QUEUES), 1);
    const pages: DmaRegion[] = [];
    for (let i = 0; i < queueCount; i++) {
      const page = core.addPages(1, "both");
      if (isVirtioError(page)) return core.abandon(page);
      pages.push(page);
      const queue = core.addQueue(i, options.queueSize ?? 128, true);
      if (isVirtioError(queue)) return core.abandon(queue);
    }
    const blk = new VirtIOBlk(core, pages, capacity, options);
    if (blk.maxRequestBytes === 0) return core.abandon(ERR_UNSUPPORTED);
    blk.disableInterrupts();
    core.start();
    return blk;
  }

  /** Capacity in sectors of 512 bytes, as of the last configuration change seen. */
  capacity(): number {
    return this.#capacity;
  }

  /** Non-blocking requests that can be started before a token has to be completed. */
  get freeSlots(): number {
    return this.#requests.reduce((sum, requests) => sum + requests.freeCount, 0);
  }

  get canDiscard(): boolean {
    return this.#core.has(BLK_F_DISCARD);
  }

  get canWriteZeroes(): boolean {
    return this.#core.has(BLK_F_WRITE_ZEROES);
  }

  /** Are writes kept in a volatile cache until `flush`? A device that cannot say so has one if it can flush. */
  writeCache(): boolean {
    if (!this.#core.has(BLK_F_CONFIG_WCE)) return this.#core.has(BLK_F_FLUSH);
    return this.#transport.readConfig8(BLK_CONFIG_WRITEBACK) === 1;
  }

  /** Turns the volatile cache on, or off: then every write is durable when it completes. 0 or ERR_UNSUPPORTED. */
  setWriteCache(enable: boolean): number {
    if (!this.#core.has(BLK_F_CONFIG_WCE)) return ERR_UNSUPPORTED;
    return this.#transport.writeConfig8(BLK_CONFIG_WRITEBACK, enable ? 1 : 0);
  }

  // Blocking. ERR_QUEUE_FULL only if all slots hold tokens that the caller has not completed.

  /** Reads `buf.length / 512` sectors from `blockId` on. 0 or an error; on an error `buf` is undefined. */
  readBlocks(blockId: number, buf: Uint8Array): number {
    return this.#transfer(BLK_T_IN, blockId, buf);
  }

  /** Writes `buf.length / 512` sectors from `blockId` on. 0 or an error; ERR_READ_ONLY if the device is. */
  writeBlocks(blockId: number, buf: Uint8Array): number {
    return this.readOnly ? ERR_READ_ONLY : this.#transfer(BLK_T_OUT, blockId, buf);
  }

  /** Makes all completed writes durable. Does nothing on a device without a volatile cache. */
  flush(): number {
    if (!this.#core.has(BLK_F_FLUSH)) return this.#core.isFaulty ? ERR_DEVICE_FAULT : 0;
    return this.#requests[0].execute(BLK_T_FLUSH, 0, NO_BUFFER);
  }

  /** Tells the device that `count` sectors are not needed; what they read as afterwards is undefined. */
  discard(blockId: number, count: number): number {
    if (!this.canDiscard) return this.readOnly ? ERR_READ_ONLY : ERR_UNSUPPORTED;
    return this.#ranges(BLK_T_DISCARD, blockId, count, this.#maxDiscardSectors, 0);
  }

  /** Makes `count` sectors read as zero; with `unmap` the device may deallocate them. */
  writeZeroes(blockId: number, count: number, options: { readonly unmap?: boolean } = {}): number {
    if (!this.canWriteZeroes) return this.readOnly ? ERR_READ_ONLY : ERR_UNSUPPORTED;
    const flags = options.unmap ? BLK_RANGE_F_UNMAP : 0;
    return this.#ranges(BLK_T_WRITE_ZEROES, blockId, count, this.#maxWriteZeroesSectors, flags);
  }

  /** Makes `count` sectors unreadable for good, whatever copies the device holds. */
  secureErase(blockId: number, count: number): number {
    if (!this.#core.has(BLK_F_SECURE_ERASE)) return this.readOnly ? ERR_READ_ONLY : ERR_UNSUPPORTED;
    return this.#ranges(BLK_T_SECURE_ERASE, blockId, count, this.#maxSecureEraseSectors, 0);
  }

  /** The device's serial number, up to 20 characters. */
  deviceId(): string | VirtioError {
    const result = this.#requests[0].execute(BLK_T_GET_ID, 0, NO_BUFFER);
    if (result < 0) return result as VirtioError;
    const bytes = this.#requests[0].idBytes();
    const end = bytes.indexOf(0);
    return String.fromCharCode(...(end < 0 ? bytes : bytes.subarray(0, end)));
  }

  // Non-blocking.

  /**
   * Starts a read of up to `maxRequestBytes` and returns its token, or an error (ERR_QUEUE_FULL: complete a request
   * first). `buf` belongs to the device until the token is completed.
   */
  readBlocksNb(blockId: number, buf: Uint8Array): number {
    const error = this.#check(blockId, buf.length);
    return error !== 0 ? error : this.#submit(BLK_T_IN, blockId, buf);
  }

  /** Starts a write; see `readBlocksNb`. */
  writeBlocksNb(blockId: number, buf: Uint8Array): number {
    if (this.readOnly) return ERR_READ_ONLY;
    const error = this.#check(blockId, buf.length);
    return error !== 0 ? error : this.#submit(BLK_T_OUT, blockId, buf);
  }

  /** Has the device finished `token`? Also true if it never will. */
  isComplete(token: number): boolean {
    return this.#requestsOf(token).isComplete(innerToken(token));
  }

  /** Ends a read: 0 with the data in its buffer, an error, or ERR_NOT_READY, which keeps the token valid. */
  completeReadBlocks(token: number): number {
    return this.#requestsOf(token).complete(innerToken(token), BLK_T_IN);
  }

  /** Ends a write; see `completeReadBlocks`. */
  completeWriteBlocks(token: number): number {
    return this.#requestsOf(token).complete(innerToken(token), BLK_T_OUT);
  }

  /**
   * Takes all requests in flight back by queue resets; their tokens complete with ERR_CANCELLED, and the device goes on being
   * useful. Whether a cancelled write reached the disk is not known. 0; ERR_UNSUPPORTED without VIRTIO_F_RING_RESET.
   */
  cancelRequests(): number {
    for (const requests of this.#requests) {
      const error = requests.cancel();
      if (error !== 0) return error;
    }
    return 0;
  }

  // Interrupts.

  /** Lets the device interrupt on completions; off by default, because blocking functions poll. */
  enableInterrupts(): void {
    for (const queue of this.#core.queues) queue.setDevNotify(true);
  }

  disableInterrupts(): void {
    for (const queue of this.#core.queues) queue.setDevNotify(false);
  }

  /**
   * For the interrupt handler: acknowledges, takes over a changed capacity, collects completions. Spurious calls are
   * harmless. Returns the INTERRUPT_* bits that were set.
   */
  handleInterrupt(): number {
    const events = this.#core.handleInterrupt();
    if ((events & INTERRUPT_CONFIG_CHANGE) !== 0 && !this.#core.isFaulty) this.#updateCapacity();
    for (const requests of this.#requests) requests.collect();
    return events;
  }

  /** Resets the device and frees the DMA memory. Requests in flight fail. */
  release(): void {
    this.#core.release();
  }

  [Symbol.dispose](): void {
    this.release();
  }

  /** This device as a block device with results in negated errnos, as blockdev-disk and ext4-fs take it. */
  asBlockDevice(): BlockDeviceAdapter {
    return new BlockDeviceAdapter(this);
  }

  #updateCapacity(): void {
    const capacity = readConfig64(this.#transport, BLK_CONFIG_CAPACITY);
    if (capacity < 0 || capacity === this.#capacity) return;
    this.#capacity = capacity;
    this.#onResize(capacity);
  }

  /** Submits to the queues in turn; to the next one that has room. */
  #submit(type: number, blockId: number, buf: Uint8Array): number {
    let result: number = ERR_QUEUE_FULL;
    for (let tried = 0; tried < this.queueCount && result === ERR_QUEUE_FULL; tried++) {
      const queue = this.#nextQueue;
      this.#nextQueue = (queue + 1) % this.queueCount;
      result = this.#requests[queue].submit(type, blockId, buf);
      if (result >= 0) return result * MAX_QUEUES + queue;
    }
    return result;
  }

  #requestsOf(token: number): BlkRequests {
    return this.#requests[token % MAX_QUEUES] ?? this.#requests[0]; // which knows no such token
  }

  #config32(feature: number, offset: number, absent: number): number {
    if (!this.#core.has(feature)) return absent;
    const value = this.#transport.readConfig32(offset);
    return value > 0 ? value : absent; // 0 and an unreadable field mean "no information"
  }

  #check(blockId: number, byteLength: number): number {
    if (byteLength === 0 || byteLength % SECTOR_SIZE !== 0 || byteLength > this.maxRequestBytes)
      return ERR_INVALID_PARAM;
    return this.#inRange(blockId, byteLength / SECTOR_SIZE) ? 0 : ERR_INVALID_PARAM;
  }

  /** §5.2.6.1: never submit what lies beyond the capacity. */
  #inRange(blockId: number, sectors: number): boolean {
    return Number.isInteger(blockId) && blockId >= 0 && sectors >= 0 && blockId + sectors <= this.#capacity;
  }

  #transfer(type: number, blockId: number, buf: Uint8Array): number {
    const byteLength = buf.length;
    if (byteLength === 0) return 0;
    if (byteLength <= this.maxRequestBytes) {
      const error = this.#check(blockId, byteLength);
      return error !== 0 ? error : this.#requests[0].execute(type, blockId, buf);
    }
    if (byteLength % SECTOR_SIZE !== 0 || !this.#inRange(blockId, byteLength / SECTOR_SIZE)) return ERR_INVALID_PARAM;
    for (let at = 0; at < byteLength; at += this.maxRequestBytes) {
      const part = buf.subarray(at, Math.min(at + this.maxRequestBytes, byteLength));
      const result = this.#requests[0].execute(type, blockId + at / SECTOR_SIZE, part);
      if (result < 0) return result;
    }
    return 0;
  }

  #ranges(type: number, blockId: number, count: number, maxSectors: number, flags: number): number {
    if (!Number.isInteger(count) || !this.#inRange(blockId, count)) return ERR_INVALID_PARAM;
    for (let at = 0; at < count; at += maxSectors) {
      const result = this.#requests[0].execute(type, blockId + at, NO_BUFFER, Math.min(count - at, maxSectors), flags);
      if (result < 0) return result;
    }
    return 0;
  }
}

/**
 * Bytes of a request that never needs more than `segMax` segments of up to `sizeMax` bytes, however the pages of the
 * buffer are scattered. A buffer that starts inside a page touches one page more.
 */
function largestRequest(segMax: number, sizeMax: number): number {
  const segmentsPerPage = Math.ceil(PAGE_SIZE / sizeMax);
  const pages = Math.floor(segMax / segmentsPerPage) - (segMax > segmentsPerPage ? 1 : 0);
  const bytes = Math.max(pages > 0 ? pages * PAGE_SIZE : Math.min(segMax * sizeMax, PAGE_SIZE), 0);
  return Math.min(bytes - (bytes % SECTOR_SIZE), MAX_TRANSFER);
}

/** A token is the queue's own token and the queue. */
function innerToken(token: number): number {
  return Math.floor(token / MAX_QUEUES);
}

function readTopology(transport: Transport, logicalBlockSize: number): BlkTopology {
  return {
    physicalBlockSize: logicalBlockSize * 2 ** Math.min(transport.readConfig8(BLK_CONFIG_PHYSICAL_BLOCK_EXP), 16),
    alignmentOffset: transport.readConfig8(BLK_CONFIG_ALIGNMENT_OFFSET) * logicalBlockSize,
    minIoSize: transport.readConfig16(BLK_CONFIG_MIN_IO_SIZE) * logicalBlockSize,
    optIoSize: transport.readConfig32(BLK_CONFIG_OPT_IO_SIZE) * logicalBlockSize,
  };
}

function readGeometry(transport: Transport): { cylinders: number; heads: number; sectors: number } {
  return {
    cylinders: transport.readConfig16(BLK_CONFIG_CYLINDERS),
    heads: transport.readConfig8(BLK_CONFIG_HEADS),
    sectors: transport.readConfig8(BLK_CONFIG_SECTORS),
  };
}

function alwaysTrue(): boolean {
  return true;
}

function ignore(): void {}
