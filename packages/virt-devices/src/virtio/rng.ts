/**
 * virtio entropy source, device side. One queue; every writable byte of a request is filled from an injected source.
 *
 * A request is served up to MAX_REQUEST bytes, so that one chain cannot keep the host busy; a driver learns the
 * length from the used ring. Spec: virtio 1.2 §5.4.
 */
import type { ChainServer, VirtioModel, VirtioPort } from "./device.ts";
import { drain } from "./device.ts";
import type { DeviceQueue } from "./queue.ts";
import { DEVICE_ID_ENTROPY } from "./spec.ts";

const QUEUE_SIZE = 8;
const MAX_REQUEST = 65536; // bytes, also the limit of crypto.getRandomValues

export interface EntropyDeviceOptions {
  /** Fills `target` with random bytes. It is a view into guest RAM and must not be kept. */
  readonly fillRandom: (target: Uint8Array) => void;
}

export class EntropyDevice implements VirtioModel, ChainServer {
  readonly deviceId: number = DEVICE_ID_ENTROPY;
  readonly features: number = 0;
  readonly queueSizes: readonly number[] = [QUEUE_SIZE];
  readonly config: Uint8Array = new Uint8Array(0);
  readonly #fillRandom: (target: Uint8Array) => void;
  #port!: VirtioPort;

  constructor(options: EntropyDeviceOptions) {
    this.#fillRandom = options.fillRandom;
  }

  connect(port: VirtioPort): void {
    this.#port = port;
  }

  notify(index: number): void {
    drain(this.#port, this.#port.queues[index], this);
  }

  serve(queue: DeviceQueue): number {
    const chain = queue.chain;
    if (chain.writableBytes === 0) return -1; // §5.4.6.1: no readable buffers, so some must be writable
    const memory = this.#port.memory;
    let done = 0;
    for (let i = chain.readableCount; i < chain.count && done < MAX_REQUEST; i++) {
      const start = chain.start[i];
      const length = Math.min(chain.byteLength[i], MAX_REQUEST - done);
      this.#fillRandom(memory.bytes.subarray(start, start + length));
      memory.didWrite?.(memory.base + start, length);
      done += length;
    }
    return done;
  }

  featuresChosen(): boolean {
    return true;
  }

  writeConfig(): void {}

  reset(): void {}

  save(): readonly number[] {
    return [];
  }

  restore(): void {}
}
