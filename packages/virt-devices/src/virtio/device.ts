/**
 * The seam between a device model (blk, console, rng) and the transport that presents it to a guest.
 *
 * The transport owns status, features, queues and interrupts; the model owns its configuration bytes and its
 * requests. A model is connected to one transport for its whole life.
 */
import type { GuestMemory } from "../seams.ts";
import { type DeviceQueue, POP_BROKEN, POP_CHAIN } from "./queue.ts";

/** What a transport offers its model. */
export interface VirtioPort {
  readonly memory: GuestMemory;
  readonly queues: readonly DeviceQueue[];
  /** DRIVER_OK is set and nothing is broken: only now may buffers be used (§2.1.2). */
  readonly running: boolean;
  /** Feature words as accepted by the driver; zero until FEATURES_OK. */
  readonly driverFeaturesLow: number;
  /** Raises a used buffer notification if the driver wants one for `queue`. */
  notifyUsed(queue: DeviceQueue): void;
  /** The configuration bytes changed by the device's own doing: bumps the generation and notifies. */
  configChanged(): void;
  /** The driver broke the protocol: DEVICE_NEEDS_RESET. `reason` goes to the guest error log. */
  needsReset(reason: string): void;
}

export interface VirtioModel {
  readonly deviceId: number;
  /** Device-specific feature bits 0..31 (the transport adds the ring features and VERSION_1). */
  readonly features: number;
  /** Maximum size of each queue, powers of two. */
  readonly queueSizes: readonly number[];
  /** Device configuration space, little endian; the transport reads it byte-wise. */
  readonly config: Uint8Array;
  connect(port: VirtioPort): void;
  /** The driver's feature word 0, already a subset of what was offered. False refuses FEATURES_OK. */
  featuresChosen(features: number): boolean;
  /** New buffers may be in queue `index`. Called while `port.running` only. */
  notify(index: number): void;
  /** The driver wrote one configuration byte. Bytes that are not writable are to be ignored. */
  writeConfig(offset: number, value: number): void;
  /** Back to power-on. Host-side resources stay. */
  reset(): void;
  /** Device-specific state for a snapshot, JSON-compatible. */
  save(): readonly number[];
  restore(state: readonly number[]): void;
}

/**
 * Serves every available chain of `queue` with `serve(chain) → bytes written, or -1 for a protocol violation`,
 * then notifies. A guest adds no chains while the device runs, unless it aims a device-writable buffer at the ring itself:
 * so no more chains are taken than a ring holds.
 */
export function drain(port: VirtioPort, queue: DeviceQueue, server: ChainServer): void {
  let more = true;
  let left = queue.size;
  while (more) {
    let result = queue.pop();
    while (result === POP_CHAIN) {
      if (left-- === 0) return port.needsReset("the ring grew while it was served");
      const head = queue.chain.head;
      const written = server.serve(queue);
      if (written < 0) {
        result = POP_BROKEN;
        break;
      }
      queue.push(head, written);
      result = queue.pop();
    }
    if (result === POP_BROKEN) {
      port.notifyUsed(queue);
      port.needsReset(queue.fault === "" ? "malformed request" : queue.fault);
      return;
    }
    queue.requestNotification();
    more = queue.hasMore();
  }
  port.notifyUsed(queue);
}

export interface ChainServer {
  /** Serves `queue.chain`; the result goes into the used ring. */
  serve(queue: DeviceQueue): number;
}

/**
 * Takes a buffer of `queue` for data that the device has. False if there is none (the driver was asked to say when there is), or
 * if the queue is broken.
 */
export function takeBuffer(port: VirtioPort, queue: DeviceQueue): boolean {
  if (!port.running) return false;
  for (;;) {
    const result = queue.pop();
    if (result === POP_CHAIN) return true;
    if (result === POP_BROKEN) {
      port.needsReset(queue.fault);
      return false;
    }
    queue.requestNotification();
    if (!queue.hasMore()) return false;
  }
}

/** What most models do not need to say. */
export abstract class ModelBase implements VirtioModel {
  abstract readonly deviceId: number;
  abstract readonly features: number;
  abstract readonly queueSizes: readonly number[];
  abstract readonly config: Uint8Array;
  protected port!: VirtioPort;

  connect(port: VirtioPort): void {
    this.port = port;
  }

  abstract notify(index: number): void;

  featuresChosen(_features: number): boolean {
    return true;
  }

  writeConfig(_offset: number, _value: number): void {}

  reset(): void {}

  save(): readonly number[] {
    return [];
  }

  restore(_state: readonly number[]): void {}

  /** Was this bit of feature word 0 accepted? */
  protected has(feature: number): boolean {
    return (this.port.driverFeaturesLow & feature) !== 0;
  }
}
