/**
 * virtio 9P transport, driver side: carries 9P messages to the folder that the host shares. `p9-client.ts` makes messages of
 * file operations.
 */
import { DriverCore, type DriverOptions } from "./driver-core.ts";
import { ERR_INVALID_PARAM, isVirtioError, type VirtioError } from "./error.ts";
import { accepted, type Feature } from "./features.ts";
import { type DmaRegion, type Hal, PAGE_SIZE } from "./hal.ts";
import { DescriptorList, type VirtQueue } from "./queue.ts";
import { DEVICE_TYPE_9P } from "./spec.ts";
import type { Transport } from "./transport.ts";

export const P9_FEATURES: readonly Feature[] = [accepted(0, "9P_F_MOUNT_TAG", "`mountTag`")];
const F_MOUNT_TAG = 1;
const CONFIG_TAG_LENGTH = 0; // le16
const CONFIG_TAG = 2;

export interface VirtIO9pOptions extends DriverOptions {
  /** Largest message, in bytes; a multiple of 4096. Default 64 KiB. */
  readonly maxMessage?: number;
}

export class VirtIO9p {
  /** Largest request and largest answer, in bytes. */
  readonly maxMessage: number;
  /** Name by which the folder is mounted; "" if the device has none. */
  readonly mountTag: string;
  readonly #core: DriverCore;
  readonly #queue: VirtQueue;
  readonly #request: DmaRegion;
  readonly #response: DmaRegion;
  readonly #list: DescriptorList = new DescriptorList(2);

  private constructor(core: DriverCore, queue: VirtQueue, request: DmaRegion, response: DmaRegion) {
    this.#core = core;
    this.#queue = queue;
    this.#request = request;
    this.#response = response;
    this.maxMessage = request.view.length;
    this.mountTag = core.has(F_MOUNT_TAG) ? readTag(core.transport) : "";
  }

  /** Initialises the device behind `transport`. ERR_UNSUPPORTED if it is no 9P device. */
  static create(hal: Hal, transport: Transport, options: VirtIO9pOptions = {}): VirtIO9p | VirtioError {
    const { maxMessage = 65536 } = options;
    if (!Number.isInteger(maxMessage / PAGE_SIZE) || maxMessage < PAGE_SIZE) return ERR_INVALID_PARAM;
    const core = DriverCore.open(hal, transport, DEVICE_TYPE_9P, P9_FEATURES, options);
    if (isVirtioError(core)) return core;
    const request = core.addPages(maxMessage / PAGE_SIZE, "driverToDevice");
    if (isVirtioError(request)) return core.abandon(request);
    const response = core.addPages(maxMessage / PAGE_SIZE, "deviceToDriver");
    if (isVirtioError(response)) return core.abandon(response);
    const queue = core.addQueue(0, 16);
    if (isVirtioError(queue)) return core.abandon(queue);
    queue.setDevNotify(false);
    core.start();
    return new VirtIO9p(core, queue, request, response);
  }

  /** Memory for the next request, `maxMessage` bytes. */
  get requestBytes(): Uint8Array {
    return this.#request.view;
  }

  /** The last answer; the device may have put anything there. */
  get responseBytes(): Uint8Array {
    return this.#response.view;
  }

  /** Sends the first `byteLength` bytes of `requestBytes`. Returns the length of the answer, or an error. */
  transact(byteLength: number): number {
    if (byteLength < 1 || byteLength > this.maxMessage) return ERR_INVALID_PARAM;
    this.#list.clear();
    this.#list.pushReadable(this.#request.paddr, byteLength);
    this.#list.pushWritable(this.#response.paddr, this.maxMessage);
    return this.#core.execute(this.#queue, this.#list);
  }

  /** Sends a message and copies the answer into `response`. Returns its length, or an error. */
  request(message: Uint8Array, response: Uint8Array): number {
    if (message.length > this.maxMessage) return ERR_INVALID_PARAM;
    this.#request.view.set(message);
    const length = this.transact(message.length);
    if (length < 0) return length;
    if (length > response.length) return ERR_INVALID_PARAM;
    response.set(this.#response.view.subarray(0, length));
    return length;
  }

  /** For the interrupt handler: acknowledges; returns the INTERRUPT_* bits. */
  handleInterrupt(): number {
    return this.#core.handleInterrupt();
  }

  /** Resets the device and frees the DMA memory. */
  release(): void {
    this.#core.release();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

function readTag(transport: Transport): string {
  const length = Math.max(transport.readConfig16(CONFIG_TAG_LENGTH), 0);
  let tag = "";
  for (let i = 0; i < Math.min(length, 255); i++) {
    const byte = transport.readConfig8(CONFIG_TAG + i);
    if (byte < 0) break;
    tag += String.fromCharCode(byte);
  }
  return tag;
}
