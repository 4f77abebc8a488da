/**
 * virtio-mmio, driver side: a Transport over the registers of one device.
 *
 * Spec: virtio 1.2 §4.2.2. Registers are accessed with aligned 32-bit accesses, configuration fields with accesses of
 * their own width. Version 1 devices (§4.2.4, QEMU's default) are driven if the `legacy` option says so.
 */
import {
  ERR_CONFIG_SPACE_MISSING,
  ERR_CONFIG_SPACE_TOO_SMALL,
  ERR_NO_DEVICE,
  ERR_TIMED_OUT,
  type VirtioError,
} from "./error.ts";
import { type MmioRegion, PAGE_SIZE } from "./hal.ts";
import {
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
  MMIO_LEGACY_GUEST_PAGE_SIZE,
  MMIO_LEGACY_QUEUE_ALIGN,
  MMIO_LEGACY_QUEUE_PFN,
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
  MMIO_STATUS,
  MMIO_VENDOR_ID,
  MMIO_VERSION,
} from "./spec.ts";
import type { Transport } from "./transport.ts";

const TWO_POW_32 = 0x1_0000_0000;
/** QueueReady reads before a queue that does not stop is taken as stopped anyway; the device is reset next. */
const UNSET_POLLS = 1000;

export interface MmioTransportOptions {
  /** Length of the register window, configuration space included. Default 0x1000. */
  readonly byteLength?: number;
  /** Accept version 1 devices too. Default false. */
  readonly legacy?: boolean;
}

export class MmioTransport implements Transport {
  readonly deviceType: number;
  readonly isLegacy: boolean;
  readonly vendorId: number;
  readonly #region: MmioRegion;
  readonly #configLength: number;

  private constructor(region: MmioRegion, byteLength: number, deviceType: number, isLegacy: boolean) {
    this.#region = region;
    this.#configLength = byteLength - MMIO_CONFIG;
    this.deviceType = deviceType;
    this.isLegacy = isLegacy;
    this.vendorId = region.read32(MMIO_VENDOR_ID);
  }

  /**
   * Checks magic, version and device id in the order of §4.2.3.1.1 and touches nothing else unless they are valid.
   * ERR_NO_DEVICE is no fault: slots without a device answer that way.
   */
  static create(region: MmioRegion, options: MmioTransportOptions = {}): MmioTransport | VirtioError {
    const byteLength = options.byteLength ?? 0x1000;
    if (byteLength < MMIO_CONFIG) return ERR_CONFIG_SPACE_MISSING;
    if (region.read32(MMIO_MAGIC_VALUE) !== MMIO_MAGIC) return ERR_NO_DEVICE;
    const version = region.read32(MMIO_VERSION);
    if (version !== 2 && !(version === 1 && options.legacy)) return ERR_NO_DEVICE;
    const deviceType = region.read32(MMIO_DEVICE_ID);
    return deviceType === 0 ? ERR_NO_DEVICE : new MmioTransport(region, byteLength, deviceType, version === 1);
  }

  readDeviceFeatures(word: number): number {
    this.#region.write32(MMIO_DEVICE_FEATURES_SEL, word);
    return this.#region.read32(MMIO_DEVICE_FEATURES) | 0;
  }

  writeDriverFeatures(word: number, features: number): void {
    this.#region.write32(MMIO_DRIVER_FEATURES_SEL, word);
    this.#region.write32(MMIO_DRIVER_FEATURES, features >>> 0);
  }

  maxQueueSize(queue: number): number {
    this.#region.write32(MMIO_QUEUE_SEL, queue);
    return this.#region.read32(MMIO_QUEUE_SIZE_MAX);
  }

  /** §4.2.3.3 */
  notify(queue: number, nextPosition: number = 0): void {
    this.#region.write32(MMIO_QUEUE_NOTIFY, (queue | (nextPosition << 16)) >>> 0);
  }

  getStatus(): number {
    return this.#region.read32(MMIO_STATUS);
  }

  setStatus(status: number): void {
    this.#region.write32(MMIO_STATUS, status);
  }

  queueSet(queue: number, size: number, descriptors: number, driverArea: number, deviceArea: number): void {
    const region = this.#region;
    region.write32(MMIO_QUEUE_SEL, queue);
    region.write32(MMIO_QUEUE_SIZE, size);
    if (this.isLegacy) {
      region.write32(MMIO_LEGACY_GUEST_PAGE_SIZE, PAGE_SIZE);
      region.write32(MMIO_LEGACY_QUEUE_ALIGN, PAGE_SIZE);
      region.write32(MMIO_LEGACY_QUEUE_PFN, descriptors / PAGE_SIZE);
      return;
    }
    this.#writeAddress(MMIO_QUEUE_DESC_LOW, MMIO_QUEUE_DESC_HIGH, descriptors);
    this.#writeAddress(MMIO_QUEUE_DRIVER_LOW, MMIO_QUEUE_DRIVER_HIGH, driverArea);
    this.#writeAddress(MMIO_QUEUE_DEVICE_LOW, MMIO_QUEUE_DEVICE_HIGH, deviceArea);
    region.write32(MMIO_QUEUE_READY, 1);
  }

  queueUnset(queue: number): void {
    const region = this.#region;
    region.write32(MMIO_QUEUE_SEL, queue);
    if (this.isLegacy) return region.write32(MMIO_LEGACY_QUEUE_PFN, 0);
    region.write32(MMIO_QUEUE_READY, 0);
    // §4.2.2.2: read the value back to ensure synchronization.
    for (let i = 0; i < UNSET_POLLS && region.read32(MMIO_QUEUE_READY) !== 0; i++) {}
  }

  queueReset(queue: number): number {
    const region = this.#region;
    region.write32(MMIO_QUEUE_SEL, queue);
    region.write32(MMIO_QUEUE_RESET, 1);
    // §4.2.2.2: not reset before it reads 0.
    for (let i = 0; i < UNSET_POLLS; i++) if (region.read32(MMIO_QUEUE_RESET) === 0) return 0;
    return ERR_TIMED_OUT;
  }

  queueUsed(queue: number): boolean {
    this.#region.write32(MMIO_QUEUE_SEL, queue);
    return this.#region.read32(this.isLegacy ? MMIO_LEGACY_QUEUE_PFN : MMIO_QUEUE_READY) !== 0;
  }

  ackInterrupt(): number {
    // §4.2.2.2: ignore undefined bits, and acknowledge none of them.
    const status = this.#region.read32(MMIO_INTERRUPT_STATUS) & (INTERRUPT_USED_BUFFER | INTERRUPT_CONFIG_CHANGE);
    if (status !== 0) this.#region.write32(MMIO_INTERRUPT_ACK, status);
    return status;
  }

  readConfigGeneration(): number {
    return this.#region.read32(MMIO_CONFIG_GENERATION);
  }

  readConfig8(offset: number): number {
    return this.#checkConfig(offset, 1) || this.#region.read8(MMIO_CONFIG + offset);
  }

  readConfig16(offset: number): number {
    return this.#checkConfig(offset, 2) || this.#region.read16(MMIO_CONFIG + offset);
  }

  readConfig32(offset: number): number {
    return this.#checkConfig(offset, 4) || this.#region.read32(MMIO_CONFIG + offset);
  }

  writeConfig8(offset: number, value: number): number {
    const error = this.#checkConfig(offset, 1);
    if (error === 0) this.#region.write8(MMIO_CONFIG + offset, value);
    return error;
  }

  writeConfig32(offset: number, value: number): number {
    const error = this.#checkConfig(offset, 4);
    if (error === 0) this.#region.write32(MMIO_CONFIG + offset, value);
    return error;
  }

  #writeAddress(low: number, high: number, paddr: number): void {
    this.#region.write32(low, paddr % TWO_POW_32);
    this.#region.write32(high, Math.floor(paddr / TWO_POW_32));
  }

  #checkConfig(offset: number, byteLength: number): number {
    if (this.#configLength <= 0) return ERR_CONFIG_SPACE_MISSING;
    return offset + byteLength > this.#configLength ? ERR_CONFIG_SPACE_TOO_SMALL : 0;
  }
}
