/**
 * Virtqueues, driver side: one interface, two layouts (`split-queue.ts`, `packed-queue.ts`). Drivers do not see which one the
 * device got.
 *
 * Trust: the device may write anything into the ring at any time, and may scribble over descriptors. So what the driver relies
 * on (free places, chain lengths, which chains are in flight, indices) is kept in its own arrays and never read back from shared
 * memory; what it must read (used idx or flags, id, len) is checked before use. Once a check fails the queue is `broken`: every
 * operation answers ERR_DEVICE_FAULT until the device is reset and set up again.
 *
 * A typical sequence:
 *   list.clear(); list.pushReadable(header); list.pushWritable(data)
 *   token = queue.add(list);  queue.kick(transport)
 *   … interrupt or poll …     token = queue.peekUsed();  length = queue.popUsed(token)
 *
 * Driver and device run on one thread, so no barriers are needed; the order of stores is the one the spec asks for.
 */
import type { DescriptorList } from "./descriptor-list.ts";
import { ERR_ALREADY_USED, ERR_UNSUPPORTED, isVirtioError, type VirtioError } from "./error.ts";
import type { Hal } from "./hal.ts";
import { PackedQueue } from "./packed-queue.ts";
import type { VirtQueueOptions } from "./queue-base.ts";
import {
  F_EVENT_IDX_LO,
  F_IN_ORDER_HI,
  F_INDIRECT_DESC_LO,
  F_NOTIFICATION_DATA_HI,
  F_RING_PACKED_HI,
  F_RING_RESET_HI,
} from "./spec.ts";
import { SplitQueue } from "./split-queue.ts";
import type { Features, Transport } from "./transport.ts";

export { DescriptorList } from "./descriptor-list.ts";
export { STATUS_POLL_INTERVAL, type VirtQueueOptions, vringNeedEvent } from "./queue-base.ts";

/** Looks at the ring before a device is taken for dead, unless a driver's options say otherwise. */
export const DEFAULT_MAX_POLLS = 10_000_000;
const MAX_SIZE = 32768;

export interface VirtQueue {
  readonly index: number;
  /** Number of descriptors; a power of two in the split layout. */
  readonly size: number;
  /** The device broke the protocol; nothing works until it is reset. */
  readonly broken: boolean;
  /** Free descriptors in the ring. */
  readonly availableDescriptors: number;
  /** Longest chain `add` ever takes: never more than the queue size (§2.7.5.3.1). */
  readonly maxChainLength: number;

  /** Makes the buffers of `list` available. Returns the token of the chain, in [0, size), or an error. */
  add(list: DescriptorList): number;
  /** Must the device be told about the chains added since this was last asked? */
  shouldNotify(): boolean;
  /** Tells the device about the chains added since the last time, if it wants to know. */
  kick(transport: Transport): void;
  /** Has the device used a chain that was not popped yet? A nonsensical answer makes the queue broken. */
  canPop(): boolean;
  /** Token of the next used chain, ERR_NOT_READY, or ERR_DEVICE_FAULT. */
  peekUsed(): number;
  /**
   * Takes chain `token` out of the ring and returns how many bytes the device says it wrote, at most the chain's
   * writable length. ERR_NOT_READY; ERR_WRONG_TOKEN if another chain is next; ERR_DEVICE_FAULT.
   */
  popUsed(token: number): number;
  /**
   * Adds `list`, notifies the device and polls until it has used the chain; returns the bytes written. Other chains
   * must not be in flight. ERR_TIMED_OUT after `maxPolls` looks, or ERR_DEVICE_FAULT if the device asks for a reset:
   * then the device may still own the buffers, and must be reset before they are reused.
   */
  addNotifyWaitPop(list: DescriptorList, transport: Transport, maxPolls: number): number;
  /**
   * Asks the device for interrupts when it uses chains, or not to. Interrupts can still happen (§2.7.7). After
   * enabling, look at `canPop` once more: chains used before are not announced again.
   */
  setDevNotify(enable: boolean): void;
  /**
   * VIRTIO_F_RING_RESET: makes the device let go of all chains and starts with an empty ring; tokens are void. 0,
   * ERR_UNSUPPORTED without the feature, or ERR_TIMED_OUT, after which only a device reset helps.
   */
  reset(transport: Transport): number;
  /** Frees the memory. The device must have been reset, or the queue unset, before. */
  release(): void;
}

/** What the negotiated features say about rings. */
export function ringOptions(features: Features): VirtQueueOptions {
  return {
    indirect: (features.low & F_INDIRECT_DESC_LO) !== 0,
    eventIdx: (features.low & F_EVENT_IDX_LO) !== 0,
    packed: (features.high & F_RING_PACKED_HI) !== 0,
    inOrder: (features.high & F_IN_ORDER_HI) !== 0,
    notificationData: (features.high & F_NOTIFICATION_DATA_HI) !== 0,
    ringReset: (features.high & F_RING_RESET_HI) !== 0,
  };
}

export const VirtQueue: {
  /**
   * Allocates queue `index` with the largest size up to `wantedSize` that device and layout allow, and enables it.
   * ERR_ALREADY_USED, ERR_UNSUPPORTED (no such queue) or ERR_DMA.
   */
  create(
    hal: Hal,
    transport: Transport,
    index: number,
    wantedSize: number,
    options?: VirtQueueOptions,
  ): VirtQueue | VirtioError;
} = {
  create(hal, transport, index, wantedSize, options = {}) {
    if (transport.queueUsed(index)) return ERR_ALREADY_USED;
    const limit = Math.min(wantedSize, transport.maxQueueSize(index), MAX_SIZE);
    if (limit < 1) return ERR_UNSUPPORTED;
    const queue = options.packed
      ? PackedQueue.alloc(hal, index, limit, options)
      : SplitQueue.alloc(hal, index, 2 ** Math.floor(Math.log2(limit)), options, transport.isLegacy);
    if (isVirtioError(queue)) return queue;
    queue.enable(transport);
    return queue;
  },
};
