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
  BLK_CONFIG_BLK_SIZE,
  BLK_CONFIG_CAPACITY,
  BLK_CONFIG_MAX_DISCARD_SECTORS,
  BLK_CONFIG_MAX_WRITE_ZEROES_SECTORS,
  BLK_CONFIG_SEG_MAX,
  BLK_CONFIG_SIZE_MAX,
  BLK_F_BLK_SIZE,
  BLK_F_DISCARD,
  BLK_F_FLUSH,
  BLK_F_RO,
  BLK_F_SEG_MAX,
  BLK_F_SIZE_MAX,
  BLK_F_WRITE_ZEROES,
  BLK_RANGE_F_UNMAP,
  BLK_T_DISCARD,
  BLK_T_FLUSH,
  BLK_T_GET_ID,
  BLK_T_IN,
  BLK_T_OUT,
  BLK_T_WRITE_ZEROES,
  SECTOR_SIZE,
} from "./blk-spec.ts";
import { BlockDeviceAdapter } from "./block-device-adapter.ts";
import {
  ERR_DEVICE_FAULT,
  ERR_INVALID_PARAM,
  ERR_READ_ONLY,
  ERR_UNSUPPORTED,
  isVirtioError,
  type VirtioError,
} from "./error.ts";
import { type DmaRegion, type Hal, PAGE_SIZE } from "./hal.ts";
import { DEFAULT_MAX_POLLS, VirtQueue } from "./queue.ts";
import { DEVICE_TYPE_BLOCK, F_EVENT_IDX_LO, F_INDIRECT_DESC_LO, INTERRUPT_CONFIG_CHANGE } from "./spec.ts";
import { beginInit, failInit, finishInit, readConfig64, type Transport } from "./transport.ts";

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

const QUEUE_INDEX = 0;
const MAX_UINT32 = 0xffff_ffff;
/** Bytes of the largest single request, however many segments the device takes. */
const MAX_TRANSFER: number = 1024 * 1024;

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
  /** Largest transfer of one non-blocking request, in bytes. Blocking functions split larger ones. */
  readonly maxRequestBytes: number;
  /** Does the device refuse writes (VIRTIO_BLK_F_RO)? */
  readonly readOnly: boolean;
  /** Block size the device prefers, in bytes; 512 if it does not say. */
  readonly logicalBlockSize: number;
  readonly #transport: Transport;
  readonly #queue: VirtQueue;
  readonly #requests: BlkRequests;
  readonly #features: number;
  readonly #maxDiscardSectors: number;
  readonly #maxWriteZeroesSectors: number;
  #capacity: number;

  private constructor(
    hal: Hal,
    transport: Transport,
    features: number,
    queue: VirtQueue,
    page: DmaRegion,
    capacity: number,
    options: VirtIOBlkOptions,
  ) {
    this.#transport = transport;
    this.#queue = queue;
    this.#features = features;
    this.#capacity = capacity;
    this.readOnly = (features & BLK_F_RO) !== 0;
    this.logicalBlockSize = this.#config32(BLK_F_BLK_SIZE, BLK_CONFIG_BLK_SIZE, SECTOR_SIZE);
    this.#maxDiscardSectors = this.#config32(BLK_F_DISCARD, BLK_CONFIG_MAX_DISCARD_SECTORS, MAX_UINT32);
    this.#maxWriteZeroesSectors = this.#config32(BLK_F_WRITE_ZEROES, BLK_CONFIG_MAX_WRITE_ZEROES_SECTORS, MAX_UINT32);
    const sizeMax = this.#config32(BLK_F_SIZE_MAX, BLK_CONFIG_SIZE_MAX, MAX_UINT32);
    // Linux takes a missing or zero seg_max as 1; so do we. Header and status take two descriptors of a chain.
    const segMax = Math.min(this.#config32(BLK_F_SEG_MAX, BLK_CONFIG_SEG_MAX, 1), queue.maxChainLength - 2);
    this.maxRequestBytes = largestRequest(segMax, sizeMax);
    this.#requests = new BlkRequests(hal, transport, queue, page, {
      sizeMax,
      segMax,
      maxPolls: options.maxPolls ?? DEFAULT_MAX_POLLS,
      waitForInterrupt: options.waitForInterrupt ?? alwaysTrue,
    });
  }

  /**
   * Initialises the device behind `transport`. ERR_UNSUPPORTED if it is no block device or if its limits make sector
   * transfers impossible, or an error of negotiation or DMA.
   */
  static create(hal: Hal, transport: Transport, options: VirtIOBlkOptions = {}): VirtIOBlk | VirtioError {
    if (transport.deviceType !== DEVICE_TYPE_BLOCK) return ERR_UNSUPPORTED;
    const features = beginInit(transport, SUPPORTED_FEATURES);
    if (isVirtioError(features)) return features;
    const capacity = readConfig64(transport, BLK_CONFIG_CAPACITY);
    if (capacity < 0) return failInit(transport, capacity as VirtioError);
    const page = hal.dmaAlloc(1, "both");
    if (isVirtioError(page)) return failInit(transport, page);
    const queue = VirtQueue.create(hal, transport, QUEUE_INDEX, options.queueSize ?? 128, {
      indirect: (features.low & F_INDIRECT_DESC_LO) !== 0,
      eventIdx: (features.low & F_EVENT_IDX_LO) !== 0,
    });
    if (isVirtioError(queue)) {
      hal.dmaDealloc(page.paddr, 1);
      return failInit(transport, queue);
    }
    const blk = new VirtIOBlk(hal, transport, features.low, queue, page, capacity, options);
    if (blk.maxRequestBytes === 0) {
      blk.release();
      return failInit(transport, ERR_UNSUPPORTED);
    }
    queue.setDevNotify(false);
    finishInit(transport);
    return blk;
  }

  /** Capacity in sectors of 512 bytes, as of the last configuration change seen. */
  capacity(): number {
    return this.#capacity;
  }

  /** Non-blocking requests that can be started before a token has to be completed. */
  get freeSlots(): number {
    return this.#requests.freeCount;
  }

  get canDiscard(): boolean {
    return (this.#features & BLK_F_DISCARD) !== 0;
  }

  get canWriteZeroes(): boolean {
    return (this.#features & BLK_F_WRITE_ZEROES) !== 0;
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
    if ((this.#features & BLK_F_FLUSH) === 0) return this.#requests.isFaulty ? ERR_DEVICE_FAULT : 0;
    return this.#requests.execute(BLK_T_FLUSH, 0, NO_BUFFER);
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

  /** The device's serial number, up to 20 characters. */
  deviceId(): string | VirtioError {
    const result = this.#requests.execute(BLK_T_GET_ID, 0, NO_BUFFER);
    if (result < 0) return result as VirtioError;
    const bytes = this.#requests.idBytes();
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
    return error !== 0 ? error : this.#requests.submit(BLK_T_IN, blockId, buf);
  }

  /** Starts a write; see `readBlocksNb`. */
  writeBlocksNb(blockId: number, buf: Uint8Array): number {
    if (this.readOnly) return ERR_READ_ONLY;
    const error = this.#check(blockId, buf.length);
    return error !== 0 ? error : this.#requests.submit(BLK_T_OUT, blockId, buf);
  }

  /** Has the device finished `token`? Also true if it never will. */
  isComplete(token: number): boolean {
    return this.#requests.isComplete(token);
  }

  /** Ends a read: 0 with the data in its buffer, an error, or ERR_NOT_READY, which keeps the token valid. */
  completeReadBlocks(token: number): number {
    return this.#requests.complete(token, BLK_T_IN);
  }

  /** Ends a write; see `completeReadBlocks`. */
  completeWriteBlocks(token: number): number {
    return this.#requests.complete(token, BLK_T_OUT);
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
    if ((events & INTERRUPT_CONFIG_CHANGE) !== 0 && !this.#requests.checkNeedsReset()) {
      const capacity = readConfig64(this.#transport, BLK_CONFIG_CAPACITY);
      if (capacity >= 0) this.#capacity = capacity;
    }
    this.#requests.collect();
    return events;
  }

  /** Resets the device and frees the DMA memory. Requests in flight fail. */
  release(): void {
    this.#requests.release();
    this.#queue.release();
  }

  [Symbol.dispose](): void {
    this.release();
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
      return error !== 0 ? error : this.#requests.execute(type, blockId, buf);
    }
    if (byteLength % SECTOR_SIZE !== 0 || !this.#inRange(blockId, byteLength / SECTOR_SIZE)) return ERR_INVALID_PARAM;
    for (let at = 0; at < byteLength; at += this.maxRequestBytes) {
      const part = buf.subarray(at, Math.min(at + this.maxRequestBytes, byteLength));
      const result = this.#requests.execute(type, blockId + at / SECTOR_SIZE, part);
      if (result < 0) return result;
    }
    return 0;
  }

  #ranges(type: number, blockId: number, count: number, maxSectors: number, flags: number): number {
    if (!Number.isInteger(count) || !this.#inRange(blockId, count)) return ERR_INVALID_PARAM;
    for (let at = 0; at < count; at += maxSectors) {
      const result = this.#requests.execute(type, blockId + at, NO_BUFFER, Math.min(count - at, maxSectors), flags);
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

function alwaysTrue(): boolean {
  return true;
}
