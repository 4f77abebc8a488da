/** What the two layouts of a virtqueue share on the driver's side; `queue.ts` has the whole picture. */
import {
  ERR_DEVICE_FAULT,
  ERR_INVALID_PARAM,
  ERR_NOT_READY,
  ERR_QUEUE_FULL,
  ERR_TIMED_OUT,
  ERR_UNSUPPORTED,
} from "./error.ts";
import type { DescriptorList } from "./descriptor-list.ts";
import { type QueueMemory, TABLE_ENTRIES } from "./queue-memory.ts";
import { STATUS_DEVICE_NEEDS_RESET } from "./spec.ts";
import type { Transport } from "./transport.ts";

/** Chains of up to this many descriptors go into the ring itself while it has room. */
const DIRECT_LIMIT = 4;
export const NO_TABLE = -1;
/** While polling, the device status is read once in this many looks at the ring. */
export const STATUS_POLL_INTERVAL = 1024;

export interface VirtQueueOptions {
  /** VIRTIO_F_INDIRECT_DESC was negotiated. Default false. */
  readonly indirect?: boolean;
  /** VIRTIO_F_EVENT_IDX was negotiated. Default false. */
  readonly eventIdx?: boolean;
  /** VIRTIO_F_RING_PACKED was negotiated. Default false. */
  readonly packed?: boolean;
  /** VIRTIO_F_IN_ORDER was negotiated. Default false. */
  readonly inOrder?: boolean;
  /** VIRTIO_F_NOTIFICATION_DATA was negotiated. Default false. */
  readonly notificationData?: boolean;
  /** VIRTIO_F_RING_RESET was negotiated. Default false. */
  readonly ringReset?: boolean;
}

export abstract class QueueBase {
  readonly index: number;
  readonly size: number;
  protected isBroken = false;
  protected readonly memory: QueueMemory;
  readonly #hasIndirect: boolean;
  readonly #hasNotificationData: boolean;
  readonly #hasRingReset: boolean;

  constructor(index: number, size: number, memory: QueueMemory, options: VirtQueueOptions) {
    this.index = index;
    this.size = size;
    this.memory = memory;
    this.#hasIndirect = options.indirect ?? false;
    this.#hasNotificationData = options.notificationData ?? false;
    this.#hasRingReset = options.ringReset ?? false;
  }

  /** Longest chain `add` takes. */
  get maxChainLength(): number {
    return this.#hasIndirect ? Math.min(this.size, TABLE_ENTRIES) : this.size;
  }

  get broken(): boolean {
    return this.isBroken;
  }

  abstract readonly availableDescriptors: number;
  /** §2.9: where the next chain will go, as NOTIFICATION_DATA lays it out in 16 bits. */
  abstract readonly notificationData: number;
  abstract add(list: DescriptorList): number;
  abstract shouldNotify(): boolean;
  abstract canPop(): boolean;
  abstract peekUsed(): number;
  abstract popUsed(token: number): number;
  abstract setDevNotify(enable: boolean): void;
  /** Tells the device where the ring is, and enables it. */
  abstract enable(transport: Transport): void;
  /** Back to an empty ring. */
  abstract clear(): void;

  kick(transport: Transport): void {
    if (!this.shouldNotify()) return;
    if (this.#hasNotificationData) transport.notify(this.index, this.notificationData);
    else transport.notify(this.index);
  }

  addNotifyWaitPop(list: DescriptorList, transport: Transport, maxPolls: number): number {
    const token = this.add(list);
    if (token < 0) return token;
    this.kick(transport);
    for (let polls = 0; polls < maxPolls; polls++) {
      const length = this.popUsed(token);
      if (length !== ERR_NOT_READY) return length;
      if (polls % STATUS_POLL_INTERVAL === 0 && (transport.getStatus() & STATUS_DEVICE_NEEDS_RESET) !== 0)
        return ERR_DEVICE_FAULT;
    }
    return ERR_TIMED_OUT;
  }

  reset(transport: Transport): number {
    if (!this.#hasRingReset) return ERR_UNSUPPORTED;
    const error = transport.queueReset(this.index);
    if (error !== 0) {
      this.isBroken = true;
      return error;
    }
    this.isBroken = false;
    this.clear();
    this.enable(transport);
    return 0;
  }

  release(): void {
    this.isBroken = true;
    this.memory.release();
  }

  /**
   * Where the descriptors of `list` go, when `free` places are: an indirect table, NO_TABLE for the ring itself, or an error,
   * which is less than NO_TABLE.
   */
  protected chooseTable(list: DescriptorList, free: number): number {
    const { count } = list;
    if (this.isBroken) return ERR_DEVICE_FAULT;
    if (count === 0 || count > this.maxChainLength) return ERR_INVALID_PARAM;
    const wantsTable = this.#hasIndirect && (count > DIRECT_LIMIT || count > free);
    if (wantsTable && this.memory.freeTableCount > 0 && free > 0) return this.memory.takeTable();
    return count > free ? ERR_QUEUE_FULL : NO_TABLE;
  }
}

/** Did the index pass `event` when it went from `old` to `now`? All 16-bit, wrapping. Spec: `vring_need_event`. */
export function vringNeedEvent(event: number, now: number, old: number): boolean {
  return ((now - event - 1) & 0xffff) < ((now - old) & 0xffff);
}
