/**
 * A disk whose requests are trace events: block:block_rq_issue and block_rq_complete around each call. One boolean test per request while
 * nobody listens.
 */
import type { BlockDevice } from "blockdev-disk";
import type { Kernel } from "../kernel.ts";
import { type BlockRequest, IDLE_COMM } from "./events.ts";

const SECTOR = 512;

export class TracedBlockDevice implements BlockDevice {
  readonly #kernel: Kernel;
  readonly #device: BlockDevice;
  readonly #request: BlockRequest;
  /** Present if the device below has it. */
  readonly discard?: (blockId: number, count: number) => number;

  constructor(kernel: Kernel, device: BlockDevice, major: number, minor: number) {
    this.#kernel = kernel;
    this.#device = device;
    this.#request = { major, minor, sector512: 0, sectorCount: 0, operation: "", comm: "" };
    if (device.discard !== undefined) {
      this.discard = (blockId, count) =>
        this.#traced("D", blockId, count * device.blockSize, () =>
          (device.discard as (blockId: number, count: number) => number)(blockId, count),
        );
    }
  }

  get size(): number {
    return this.#device.size;
  }

  get blockSize(): number {
    return this.#device.blockSize;
  }

  get readOnly(): boolean {
    return this.#device.readOnly;
  }

  readBlock(blockId: number, buf: Uint8Array): number {
    if (!this.#kernel.trace.blockOn) return this.#device.readBlock(blockId, buf);
    return this.#traced("R", blockId, buf.length, () => this.#device.readBlock(blockId, buf));
  }

  writeBlock(blockId: number, buf: Uint8Array): number {
    if (!this.#kernel.trace.blockOn) return this.#device.writeBlock(blockId, buf);
    return this.#traced("W", blockId, buf.length, () => this.#device.writeBlock(blockId, buf));
  }

  flush(): number {
    if (!this.#kernel.trace.blockOn) return this.#device.flush();
    return this.#traced("FF", 0, 0, () => this.#device.flush());
  }

  #traced(operation: string, blockId: number, byteLength: number, run: () => number): number {
    const { trace, scheduler } = this.#kernel;
    const request = this.#request;
    request.operation = operation;
    request.sector512 = blockId * (this.#device.blockSize / SECTOR);
    request.sectorCount = byteLength / SECTOR;
    request.comm = scheduler.current?.comm ?? IDLE_COMM;
    trace.blockIssue(request);
    const result = run();
    trace.blockComplete(request, result);
    return result;
  }
}
