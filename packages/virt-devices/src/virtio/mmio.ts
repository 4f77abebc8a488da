/**
 * virtio-mmio version 2, device side: the register window of one device.
 *
 * It keeps device status, feature negotiation, queue set-up and interrupt status, and hands notifications to its
 * model. A driver that breaks the rules gets DEVICE_NEEDS_RESET or is ignored, and a line in the guest error log.
 *
 *   driver                          device
 *   STATUS ← 0                      reset: features, queues, interrupt status, model
 *   DRIVER_FEATURES, STATUS ← 8     FEATURES_OK stays clear unless the features are acceptable
 *   QUEUE_*, QUEUE_READY ← 1        areas are checked and mapped
 *   STATUS ← 4                      running; pending notifications are served
 *   QUEUE_NOTIFY ← n                model.notify(n), used ring, INTERRUPT_STATUS, irq.raise()
 *
 * Spec: virtio 1.2 §4.2, §2.1, §2.2, §3.1. VIRTIO_F_RING_RESET is synchronous: QueueReset always reads 0 afterwards.
 */
import type { AccessLength, GuestErrorLog, GuestMemory, IrqLine, MmioDevice } from "../seams.ts";
import type { VirtioModel, VirtioPort } from "./device.ts";
import { DeviceQueue } from "./queue.ts";
import {
  F_EVENT_IDX_LO,
  F_IN_ORDER_HI,
  F_INDIRECT_DESC_LO,
  F_NOTIFICATION_DATA_HI,
  F_RING_PACKED_HI,
  F_RING_RESET_HI,
  F_VERSION_1_HI,
  INTERRUPT_CONFIG_CHANGE,
  INTERRUPT_USED_BUFFER,
  MMIO_CONFIG,
  MMIO_CONFIG_GENERATION,
  MMIO_DEVICE_FEATURES,
  MMIO_DEVICE_FEATURES_SEL,
  MMIO_DEVICE_ID,
  MMIO_DRIVER_FEATURES,
  MMIO_DRIVER_FEATURES_SEL,
  MMIO_INTERRUPT_ACK,
  MMIO_INTERRUPT_STATUS,
  MMIO_MAGIC,
  MMIO_MAGIC_VALUE,
  MMIO_QUEUE_DESC_HIGH,
  MMIO_QUEUE_DESC_LOW,
  MMIO_QUEUE_DEVICE_HIGH,
  MMIO_QUEUE_DEVICE_LOW,
  MMIO_QUEUE_DRIVER_HIGH,
  MMIO_QUEUE_DRIVER_LOW,
  MMIO_QUEUE_NOTIFY,
  MMIO_QUEUE_READY,
  MMIO_QUEUE_RESET,
  MMIO_QUEUE_SEL,
  MMIO_QUEUE_SIZE,
  MMIO_QUEUE_SIZE_MAX,
  MMIO_SHM_BASE_HIGH,
  MMIO_SHM_BASE_LOW,
  MMIO_SHM_LEN_HIGH,
  MMIO_SHM_LEN_LOW,
  MMIO_SHM_SEL,
  MMIO_STATUS,
  MMIO_VENDOR_ID,
  MMIO_VERSION,
  STATUS_DEVICE_NEEDS_RESET,
  STATUS_DRIVER_OK,
  STATUS_FEATURES_OK,
} from "./spec.ts";

export interface VirtioMmioOptions {
  readonly memory: GuestMemory;
  readonly irq: IrqLine;
  /** Offer VIRTIO_F_INDIRECT_DESC. Default true. */
  readonly indirect?: boolean;
  /** Offer VIRTIO_F_EVENT_IDX. Default true. */
  readonly eventIdx?: boolean;
  /** Offer VIRTIO_F_RING_PACKED. Default false, as QEMU does. */
  readonly packed?: boolean;
  /** Offer VIRTIO_F_IN_ORDER: buffers are used in the order in which they became available. Default false. */
  readonly inOrder?: boolean;
  /** Offer VIRTIO_F_NOTIFICATION_DATA. Default false. */
  readonly notificationData?: boolean;
  /** Offer VIRTIO_F_RING_RESET. Default true. */
  readonly ringReset?: boolean;
  /** Receives one line per violation. Default: dropped. */
  readonly onGuestError?: GuestErrorLog;
}

const VENDOR_ID = 0x5352_5953; // "SYRS"
const ALL_ONES = 0xffff_ffff;

export class VirtioMmio implements MmioDevice, VirtioPort {
  readonly memory: GuestMemory;
  readonly queues: readonly DeviceQueue[];
  readonly #model: VirtioModel;
  readonly #irq: IrqLine;
  readonly #onGuestError: GuestErrorLog;
  readonly #featuresLow: number;
  readonly #featuresHigh: number;

  #status = 0;
  #deviceFeaturesSel = 0;
  #driverFeaturesSel = 0;
  #driverFeaturesLow = 0;
  #driverFeaturesHigh = 0;
  #queueSel = 0;
  #interruptStatus = 0;
  #configGeneration = 0;

  constructor(model: VirtioModel, options: VirtioMmioOptions) {
    this.#model = model;
    this.memory = options.memory;
    this.#irq = options.irq;
    this.#onGuestError = options.onGuestError ?? ignore;
    let features = model.features;
    if (options.indirect ?? true) features |= F_INDIRECT_DESC_LO;
    if (options.eventIdx ?? true) features |= F_EVENT_IDX_LO;
    this.#featuresLow = features;
    let high = F_VERSION_1_HI;
    if (options.packed ?? false) high |= F_RING_PACKED_HI;
    if (options.inOrder ?? false) high |= F_IN_ORDER_HI;
    if (options.notificationData ?? false) high |= F_NOTIFICATION_DATA_HI;
    if (options.ringReset ?? true) high |= F_RING_RESET_HI;
    this.#featuresHigh = high;
    this.queues = model.queueSizes.map((size) => {
      if (size < 1 || size > 32768 || (size & (size - 1)) !== 0) {
        throw new RangeError(`"queueSizes" expected powers of two up to 32768, got ${size}`);
      }
      return new DeviceQueue(options.memory, size);
    });
    model.connect(this);
  }

  // What the model may ask.

  get running(): boolean {
    return (this.#status & (STATUS_DRIVER_OK | STATUS_DEVICE_NEEDS_RESET)) === STATUS_DRIVER_OK;
  }

  get driverFeaturesLow(): number {
    return (this.#status & STATUS_FEATURES_OK) !== 0 ? this.#driverFeaturesLow : 0;
  }

  notifyUsed(queue: DeviceQueue): void {
    if (!queue.wantsInterrupt()) return;
    this.#interruptStatus |= INTERRUPT_USED_BUFFER;
    this.#irq.raise();
  }

  configChanged(): void {
    this.#configGeneration = (this.#configGeneration + 1) >>> 0;
    // §2.1.2: no notifications before DRIVER_OK.
    if ((this.#status & STATUS_DRIVER_OK) === 0) return;
    this.#interruptStatus |= INTERRUPT_CONFIG_CHANGE;
    this.#irq.raise();
  }

  needsReset(reason: string): void {
    this.#onGuestError(`virtio device ${this.#model.deviceId} needs reset: ${reason}`);
    this.#status |= STATUS_DEVICE_NEEDS_RESET;
    // §2.1.2: with DRIVER_OK set the driver gets a configuration change notification.
    if ((this.#status & STATUS_DRIVER_OK) === 0) return;
    this.#interruptStatus |= INTERRUPT_CONFIG_CHANGE;
    this.#irq.raise();
  }

  // What the guest may do.

  read(offset: number, byteLength: AccessLength): number {
    if (offset >= MMIO_CONFIG) return this.#readConfig(offset - MMIO_CONFIG, byteLength);
    if (byteLength !== 4 || (offset & 3) !== 0) return this.#badAccess("read", offset, byteLength);
    switch (offset) {
      case MMIO_MAGIC_VALUE:
        return MMIO_MAGIC;
      case MMIO_VERSION:
        return 2;
      case MMIO_DEVICE_ID:
        return this.#model.deviceId;
      case MMIO_VENDOR_ID:
        return VENDOR_ID;
      case MMIO_DEVICE_FEATURES:
        if (this.#deviceFeaturesSel === 0) return this.#featuresLow >>> 0;
        return this.#deviceFeaturesSel === 1 ? this.#featuresHigh >>> 0 : 0;
      case MMIO_QUEUE_SIZE_MAX:
        return this.#selectedQueue()?.maxSize ?? 0;
      case MMIO_QUEUE_READY:
        return this.#selectedQueue()?.ready ? 1 : 0;
      case MMIO_QUEUE_RESET:
        return 0;
      case MMIO_INTERRUPT_STATUS:
        return this.#interruptStatus;
      case MMIO_STATUS:
        return this.#status;
      case MMIO_SHM_LEN_LOW:
      case MMIO_SHM_LEN_HIGH:
      case MMIO_SHM_BASE_LOW:
      case MMIO_SHM_BASE_HIGH:
        return ALL_ONES; // §4.2.2: no such region
      case MMIO_CONFIG_GENERATION:
        return this.#configGeneration;
      default:
        return this.#badAccess("read", offset, byteLength);
    }
  }

  write(offset: number, byteLength: AccessLength, value: number): void {
    if (offset >= MMIO_CONFIG) return this.#writeConfig(offset - MMIO_CONFIG, byteLength, value);
    if (byteLength !== 4 || (offset & 3) !== 0) {
      this.#badAccess("write", offset, byteLength);
      return;
    }
    const word = value >>> 0;
    switch (offset) {
      case MMIO_DEVICE_FEATURES_SEL:
        this.#deviceFeaturesSel = word;
        return;
      case MMIO_DRIVER_FEATURES_SEL:
        this.#driverFeaturesSel = word;
        return;
      case MMIO_DRIVER_FEATURES:
        return this.#setDriverFeatures(word);
      case MMIO_QUEUE_SEL:
        this.#queueSel = word;
        return;
      case MMIO_QUEUE_NOTIFY:
        return this.#notifyRegister(word);
      case MMIO_INTERRUPT_ACK:
        this.#interruptStatus &= ~word;
        if (this.#interruptStatus === 0) this.#irq.lower();
        return;
      case MMIO_STATUS:
        return this.#setStatus(word);
      case MMIO_SHM_SEL:
        return; // there is no region to select
      case MMIO_QUEUE_SIZE:
      case MMIO_QUEUE_DESC_LOW:
      case MMIO_QUEUE_DESC_HIGH:
      case MMIO_QUEUE_DRIVER_LOW:
      case MMIO_QUEUE_DRIVER_HIGH:
      case MMIO_QUEUE_DEVICE_LOW:
      case MMIO_QUEUE_DEVICE_HIGH:
      case MMIO_QUEUE_READY:
      case MMIO_QUEUE_RESET:
        return this.#writeQueue(offset, word);
      default:
        this.#badAccess("write", offset, byteLength);
    }
  }

  /** State of transport, queues and model, JSON-compatible. */
  save(): VirtioMmioState {
    return {
      registers: [
        this.#status,
        this.#deviceFeaturesSel,
        this.#driverFeaturesSel,
        this.#driverFeaturesLow,
        this.#driverFeaturesHigh,
        this.#queueSel,
        this.#interruptStatus,
        this.#configGeneration,
      ],
      queues: this.queues.map((queue) => queue.save()),
      config: Array.from(this.#model.config),
      model: [...this.#model.save()],
    };
  }

  /** Puts back what `save` returned on a device of the same kind. */
  restore(state: VirtioMmioState): void {
    [
      this.#status,
      this.#deviceFeaturesSel,
      this.#driverFeaturesSel,
      this.#driverFeaturesLow,
      this.#driverFeaturesHigh,
      this.#queueSel,
      this.#interruptStatus,
      this.#configGeneration,
    ] = state.registers;
    for (let i = 0; i < this.queues.length; i++) this.queues[i].restore(state.queues[i]);
    this.#model.config.set(state.config);
    this.#model.restore(state.model);
    if (this.#interruptStatus !== 0) this.#irq.raise();
    else this.#irq.lower();
  }

  #selectedQueue(): DeviceQueue | undefined {
    return this.queues[this.#queueSel];
  }

  #setDriverFeatures(word: number): void {
    if ((this.#status & STATUS_FEATURES_OK) !== 0) {
      this.#guestError("driver features written after FEATURES_OK");
      return;
    }
    if (this.#driverFeaturesSel === 0) this.#driverFeaturesLow = word | 0;
    else if (this.#driverFeaturesSel === 1) this.#driverFeaturesHigh = word | 0;
    else if (word !== 0) this.#guestError(`driver features word ${this.#driverFeaturesSel}`);
  }

  #setStatus(value: number): void {
    if (value === 0) return this.#reset();
    const driverBits = value & 0xff & ~STATUS_DEVICE_NEEDS_RESET;
    const old = this.#status;
    if ((old & ~STATUS_DEVICE_NEEDS_RESET & ~driverBits) !== 0) this.#guestError("status bit cleared without a reset");
    let added = driverBits & ~old;
    if ((added & STATUS_FEATURES_OK) !== 0 && !this.#featuresAcceptable()) added &= ~STATUS_FEATURES_OK;
    if ((added & STATUS_DRIVER_OK) !== 0 && ((old | added) & STATUS_FEATURES_OK) === 0) {
      this.#guestError("DRIVER_OK without FEATURES_OK");
      added &= ~STATUS_DRIVER_OK;
    }
    this.#status = old | added;
    if ((added & STATUS_DRIVER_OK) === 0) return;
    // §3.1.1 lets a driver fill queues before DRIVER_OK; its notifications were not served then.
    if ((this.#status & STATUS_DEVICE_NEEDS_RESET) !== 0) this.needsReset("queue was set up wrongly");
    for (let i = 0; i < this.queues.length; i++) this.#notify(i);
  }

  #featuresAcceptable(): boolean {
    const low = this.#driverFeaturesLow;
    const high = this.#driverFeaturesHigh;
    if ((low & ~this.#featuresLow) !== 0 || (high & ~this.#featuresHigh) !== 0) {
      this.#guestError("driver features that were not offered");
      return false;
    }
    if ((high & F_VERSION_1_HI) === 0) {
      this.#guestError("driver did not accept VIRTIO_F_VERSION_1");
      return false;
    }
    return this.#model.featuresChosen(low);
  }

  #writeQueue(offset: number, word: number): void {
    const queue = this.#selectedQueue();
    if (queue === undefined) return this.#guestError(`queue ${this.#queueSel} does not exist`);
    if (offset === MMIO_QUEUE_READY) return this.#setQueueReady(queue, word);
    if (offset === MMIO_QUEUE_RESET) {
      if (word === 1 && (this.#driverFeaturesHigh & F_RING_RESET_HI) !== 0) queue.reset();
      return;
    }
    if (queue.ready) return this.#guestError("queue registers written while the queue is ready");
    if (offset === MMIO_QUEUE_SIZE) queue.size = word;
    else if (offset === MMIO_QUEUE_DESC_LOW) queue.descLow = word;
    else if (offset === MMIO_QUEUE_DESC_HIGH) queue.descHigh = word;
    else if (offset === MMIO_QUEUE_DRIVER_LOW) queue.driverLow = word;
    else if (offset === MMIO_QUEUE_DRIVER_HIGH) queue.driverHigh = word;
    else if (offset === MMIO_QUEUE_DEVICE_LOW) queue.deviceLow = word;
    else queue.deviceHigh = word;
  }

  #setQueueReady(queue: DeviceQueue, word: number): void {
    if (word === 0) return queue.stop();
    if (word !== 1 || queue.ready) return;
    const low = this.driverFeaturesLow;
    const indirect = (low & F_INDIRECT_DESC_LO) !== 0;
    const eventIdx = (low & F_EVENT_IDX_LO) !== 0;
    if (!queue.start({ indirect, eventIdx, packed: this.#hasHigh(F_RING_PACKED_HI) })) {
      queue.ready = true; // reads back what was written; nothing is mapped
      this.needsReset(queue.fault);
    }
  }

  /** Was the feature of word 1 accepted? */
  #hasHigh(feature: number): boolean {
    return (this.#status & STATUS_FEATURES_OK) !== 0 && (this.#driverFeaturesHigh & feature) !== 0;
  }

  /** §4.2.3.3: with NOTIFICATION_DATA the upper half says how far the driver got; the ring itself says so too. */
  #notifyRegister(word: number): void {
    this.#notify(this.#hasHigh(F_NOTIFICATION_DATA_HI) ? word & 0xffff : word);
  }

  #notify(index: number): void {
    const queue = this.queues[index];
    if (queue === undefined) return this.#guestError(`notification for queue ${index}`);
    if (this.running && queue.running) this.#model.notify(index);
  }

  #readConfig(offset: number, byteLength: AccessLength): number {
    // Byte-wise, because firmware reads 64-bit fields with any width (EDK2 uses eight single bytes).
    const config = this.#model.config;
    let value = 0;
    for (let i = byteLength - 1; i >= 0; i--) {
      const byte = offset + i < config.length ? config[offset + i] : 0;
      value = byteLength === 8 && i === 7 ? byte & 0x1f : value * 256 + byte;
    }
    return value;
  }

  #writeConfig(offset: number, byteLength: AccessLength, value: number): void {
    let rest = value < 0 ? value >>> 0 : value;
    for (let i = 0; i < byteLength; i++) {
      if (offset + i < this.#model.config.length) this.#model.writeConfig(offset + i, rest & 0xff);
      rest = Math.floor(rest / 256);
    }
  }

  #reset(): void {
    this.#status = 0;
    this.#deviceFeaturesSel = 0;
    this.#driverFeaturesSel = 0;
    this.#driverFeaturesLow = 0;
    this.#driverFeaturesHigh = 0;
    this.#queueSel = 0;
    this.#interruptStatus = 0;
    for (const queue of this.queues) queue.reset();
    this.#model.reset();
    this.#irq.lower();
  }

  #badAccess(what: string, offset: number, byteLength: number): number {
    this.#guestError(`${byteLength}-byte ${what} of register 0x${offset.toString(16)}`);
    return 0;
  }

  #guestError(what: string): void {
    this.#onGuestError(`virtio device ${this.#model.deviceId}: ${what}`);
  }
}

/** Snapshot of a `VirtioMmio`. */
export interface VirtioMmioState {
  readonly registers: readonly number[];
  readonly queues: readonly (readonly number[])[];
  readonly config: readonly number[];
  readonly model: readonly number[];
}

/** A slot without a device: DeviceID 0 tells a driver to look no further (§4.2.2.2). */
export class EmptyVirtioSlot implements MmioDevice {
  read(offset: number, byteLength: AccessLength): number {
    if (byteLength !== 4) return 0;
    if (offset === MMIO_MAGIC_VALUE) return MMIO_MAGIC;
    return offset === MMIO_VERSION ? 2 : 0;
  }

  write(): void {}
}

function ignore(): void {}
