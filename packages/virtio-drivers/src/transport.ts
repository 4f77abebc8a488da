/**
 * How a driver reaches its device, independent of the bus; and the initialisation sequence that all drivers share.
 *
 *   beginInit(transport, mine)   reset, ACKNOWLEDGE, DRIVER, features, FEATURES_OK read back     §3.1.1 steps 1-6
 *   …queues, configuration…                                                                       step 7
 *   finishInit(transport)        DRIVER_OK                                                        step 8
 */
import { acceptedMask, type Feature, RING_FEATURES, withoutUnmet } from "./features.ts";
import { ERR_FEATURES_REFUSED, ERR_IO, ERR_TIMED_OUT, ERR_UNSUPPORTED, type VirtioError } from "./error.ts";
import {
  F_VERSION_1_HI,
  STATUS_ACKNOWLEDGE,
  STATUS_DRIVER,
  STATUS_DRIVER_OK,
  STATUS_FAILED,
  STATUS_FEATURES_OK,
} from "./spec.ts";

export interface Transport {
  /** Kind of device, DEVICE_TYPE_*. */
  readonly deviceType: number;
  /** The device speaks the interface of before virtio 1.0: other queue layout, no FEATURES_OK, no generation. */
  readonly isLegacy: boolean;
  /** Bits 32*word … 32*word+31 that the device offers. */
  readDeviceFeatures(word: number): number;
  writeDriverFeatures(word: number, features: number): void;
  /** Largest size of queue `queue`; 0 if it does not exist. */
  maxQueueSize(queue: number): number;
  /** Tells the device that queue `queue` has new buffers; with NOTIFICATION_DATA also where the next one will go (§2.9). */
  notify(queue: number, nextPosition?: number): void;
  getStatus(): number;
  setStatus(status: number): void;
  /** Sets up and enables a queue. The areas are physical addresses; for a legacy device laid out as §2.7.2 says. */
  queueSet(queue: number, size: number, descriptors: number, driverArea: number, deviceArea: number): void;
  /** Disables a queue; on return the device does not access it any more. */
  queueUnset(queue: number): void;
  /** VIRTIO_F_RING_RESET: resets one queue, which is disabled afterwards. 0, or ERR_TIMED_OUT. */
  queueReset(queue: number): number;
  /** Is the queue enabled already? */
  queueUsed(queue: number): boolean;
  /** Reads and acknowledges the interrupt status: INTERRUPT_USED_BUFFER, INTERRUPT_CONFIG_CHANGE, or 0. */
  ackInterrupt(): number;
  /** Changes whenever the configuration space changes. */
  readConfigGeneration(): number;
  /** Unsigned little-endian field; ERR_CONFIG_SPACE_* if it lies outside the configuration space. */
  readConfig8(offset: number): number;
  readConfig16(offset: number): number;
  readConfig32(offset: number): number;
  /** 0 or ERR_CONFIG_SPACE_*. */
  writeConfig8(offset: number, value: number): number;
  writeConfig32(offset: number, value: number): number;
}

/** Features that driver and device agreed on. */
export interface Features {
  readonly low: number;
  readonly high: number;
}

/** Status reads before a device that does not finish its reset is given up. */
const RESET_POLLS = 100_000;
const GENERATION_RETRIES = 100;

/** Resets the device and waits until it says so (§4.2.3.1). 0 or ERR_TIMED_OUT. */
export function resetDevice(transport: Transport): number {
  transport.setStatus(0);
  for (let i = 0; i < RESET_POLLS; i++) if (transport.getStatus() === 0) return 0;
  return ERR_TIMED_OUT;
}

/** Words 0 and 1 of what every driver accepts. */
const RING_LOW: number = acceptedMask(RING_FEATURES, 0);
const RING_HIGH: number = acceptedMask(RING_FEATURES, 1);

/**
 * Steps 1 to 6 of §3.1.1 with the features of the device's own table and those of the rings: on success FEATURES_OK is set (legacy
 * devices do not have it, §3.1.2) and the result holds the accepted features. On failure the device is left with FAILED set.
 */
export function beginInit(transport: Transport, table: readonly Feature[]): Features | VirtioError {
  if (resetDevice(transport) !== 0) return ERR_TIMED_OUT;
  transport.setStatus(STATUS_ACKNOWLEDGE);
  transport.setStatus(STATUS_ACKNOWLEDGE | STATUS_DRIVER);
  const low = withoutUnmet(table, transport.readDeviceFeatures(0) & (acceptedMask(table, 0) | RING_LOW));
  if (transport.isLegacy) {
    transport.writeDriverFeatures(0, low);
    return { low, high: 0 };
  }
  const high = transport.readDeviceFeatures(1) & RING_HIGH;
  if ((high & F_VERSION_1_HI) === 0) {
    transport.setStatus(STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FAILED);
    return ERR_UNSUPPORTED;
  }
  transport.writeDriverFeatures(0, low);
  transport.writeDriverFeatures(1, high);
  transport.setStatus(STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
  if ((transport.getStatus() & STATUS_FEATURES_OK) === 0) {
    transport.setStatus(STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FAILED);
    return ERR_FEATURES_REFUSED;
  }
  return { low, high };
}

/** Step 8 of §3.1.1: the device is live. */
export function finishInit(transport: Transport): void {
  const featuresOk = transport.isLegacy ? 0 : STATUS_FEATURES_OK;
  transport.setStatus(STATUS_ACKNOWLEDGE | STATUS_DRIVER | featuresOk | STATUS_DRIVER_OK);
}

/** Tells the device that the driver gives up (§2.1), and passes `error` through. */
export function failInit<E extends number>(transport: Transport, error: E): E {
  transport.setStatus(transport.getStatus() | STATUS_FAILED);
  return error;
}

/**
 * Runs `read` until the configuration generation is the same before and after (§2.5.1), or on a legacy device until two
 * results are the same (§2.5.4); ERR_IO if that never happens.
 */
export function readConsistent(transport: Transport, read: () => number): number {
  if (transport.isLegacy) {
    let last = read();
    for (let i = 0; i < GENERATION_RETRIES; i++) {
      const result = read();
      if (result === last) return result;
      last = result;
    }
    return ERR_IO;
  }
  for (let i = 0; i < GENERATION_RETRIES; i++) {
    const before = transport.readConfigGeneration();
    const result = read();
    if (transport.readConfigGeneration() === before) return result;
  }
  return ERR_IO;
}

/** A 64-bit field as two 32-bit reads, consistently (§2.5.1); exact up to 2^53. */
export function readConfig64(transport: Transport, offset: number): number {
  return readConsistent(transport, () => {
    const low = transport.readConfig32(offset);
    const high = transport.readConfig32(offset + 4);
    if (low < 0) return low;
    return high < 0 ? high : high * 0x1_0000_0000 + low;
  });
}
