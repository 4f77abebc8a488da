/**
 * virtio GPU driver, 2D: a framebuffer in guest memory that the host shows, and a cursor.
 *
 *   gpu.setFramebuffer(width, height) → bytes of guest memory, 4 a pixel: blue, green, red, unused
 *   … draw …; gpu.flush(x, y, width, height)
 *
 * Spec: virtio 1.2 §5.7.
 */
import { DriverCore, type DriverOptions } from "./driver-core.ts";
import { ERR_INVALID_PARAM, ERR_IO, ERR_UNSUPPORTED, isVirtioError, type VirtioError } from "./error.ts";
import { type Feature, ignored } from "./features.ts";
import { type DmaRegion, type Hal, PAGE_SIZE } from "./hal.ts";
import { DescriptorList, type VirtQueue } from "./queue.ts";
import { DEVICE_TYPE_GPU } from "./spec.ts";
import type { Transport } from "./transport.ts";

export const GPU_FEATURES: readonly Feature[] = [
  ignored(0, "GPU_F_VIRGL", "2D only"),
  ignored(1, "GPU_F_EDID", "sizes come from GET_DISPLAY_INFO"),
  ignored(2, "GPU_F_RESOURCE_UUID", "no other device shares resources"),
  ignored(3, "GPU_F_RESOURCE_BLOB", "2D only"),
  ignored(4, "GPU_F_CONTEXT_INIT", "2D only"),
];

const CONFIG_EVENTS_READ = 0;
const CONFIG_EVENTS_CLEAR = 4;
const CONFIG_NUM_SCANOUTS = 8;
const EVENT_DISPLAY = 1;

const CMD_GET_DISPLAY_INFO = 0x0100;
const CMD_RESOURCE_CREATE_2D = 0x0101;
const CMD_RESOURCE_UNREF = 0x0102;
const CMD_SET_SCANOUT = 0x0103;
const CMD_RESOURCE_FLUSH = 0x0104;
const CMD_TRANSFER_TO_HOST_2D = 0x0105;
const CMD_RESOURCE_ATTACH_BACKING = 0x0106;
const CMD_RESOURCE_DETACH_BACKING = 0x0107;
const CMD_UPDATE_CURSOR = 0x0300;
const CMD_MOVE_CURSOR = 0x0301;
const RESP_OK_NODATA = 0x1100;
const RESP_OK_DISPLAY_INFO = 0x1101;

const HEADER_SIZE = 24;
const MAX_SCANOUTS = 16;
const DISPLAY_SIZE = 24;
const RESPONSE_AT: number = PAGE_SIZE / 2;
const RESPONSE_SIZE: number = HEADER_SIZE + MAX_SCANOUTS * DISPLAY_SIZE;
const FORMAT_B8G8R8X8 = 2;
const FORMAT_B8G8R8A8 = 1;
const CONTROL_QUEUE = 0;
const CURSOR_QUEUE = 1;
const CURSOR_RESOURCE = 1;
const FIRST_RESOURCE = 2;
/** Width and height of a cursor's picture. */
export const CURSOR_SIDE = 64;
const CURSOR_BYTES: number = 4 * CURSOR_SIDE * CURSOR_SIDE;

export interface GpuDisplay {
  readonly width: number;
  readonly height: number;
  readonly isEnabled: boolean;
}

interface Framebuffer {
  readonly resource: number;
  readonly width: number;
  readonly height: number;
  readonly region: DmaRegion;
}

export class VirtIOGpu {
  readonly #core: DriverCore;
  readonly #page: DmaRegion;
  readonly #view: DataView;
  readonly #list: DescriptorList = new DescriptorList(2);
  #framebuffer: Framebuffer | null = null;
  #cursor: DmaRegion | null = null;
  #nextResource = FIRST_RESOURCE;

  private constructor(core: DriverCore, page: DmaRegion) {
    this.#core = core;
    this.#page = page;
    this.#view = new DataView(page.view.buffer, page.view.byteOffset, page.view.byteLength);
    for (const queue of core.queues) queue.setDevNotify(false);
  }

  /** Initialises the device behind `transport`. ERR_UNSUPPORTED if it is no GPU. */
  static create(hal: Hal, transport: Transport, options: DriverOptions = {}): VirtIOGpu | VirtioError {
    const core = DriverCore.open(hal, transport, DEVICE_TYPE_GPU, GPU_FEATURES, options);
    if (isVirtioError(core)) return core;
    const page = core.addPages(1, "both");
    if (isVirtioError(page)) return core.abandon(page);
    for (const index of [CONTROL_QUEUE, CURSOR_QUEUE]) {
      const queue = core.addQueue(index, 16);
      if (isVirtioError(queue)) return core.abandon(queue);
    }
    const gpu = new VirtIOGpu(core, page);
    core.start();
    return gpu;
  }

  /** Sizes that the host wants pictures to have, by scanout. */
  displays(): readonly GpuDisplay[] | VirtioError {
    const error = this.#run(CONTROL_QUEUE, CMD_GET_DISPLAY_INFO, [], RESP_OK_DISPLAY_INFO);
    if (error < 0) return error as VirtioError;
    const count = Math.min(this.#core.transport.readConfig32(CONFIG_NUM_SCANOUTS), MAX_SCANOUTS);
    return Array.from({ length: count }, (_, i) => {
      const at = RESPONSE_AT + HEADER_SIZE + i * DISPLAY_SIZE;
      return {
        width: this.#view.getUint32(at + 8, true),
        height: this.#view.getUint32(at + 12, true),
        isEnabled: this.#view.getUint32(at + 16, true) !== 0,
      };
    });
  }

  /**
   * Makes a framebuffer of `width` × `height` pixels and shows it on scanout 0; the one before is freed. Returns its memory, rows
   * from the top, four bytes a pixel: blue, green, red, unused.
   */
  setFramebuffer(width: number, height: number): Uint8Array | VirtioError {
    const byteLength = 4 * width * height;
    if (!Number.isInteger(width) || !Number.isInteger(height) || width < 1 || height < 1) return ERR_INVALID_PARAM;
    const region = this.#core.hal.dmaAlloc(Math.ceil(byteLength / PAGE_SIZE), "driverToDevice");
    if (isVirtioError(region)) return region;
    const resource = this.#nextResource++;
    const error = this.#show({ resource, width, height, region });
    if (error < 0) {
      this.#dealloc(region);
      return error as VirtioError;
    }
    const old = this.#framebuffer;
    this.#framebuffer = { resource, width, height, region };
    if (old !== null) this.#destroy(old);
    return region.view.subarray(0, byteLength);
  }

  /** Makes the host show what was drawn in a part of the framebuffer. 0 or an error. */
  flush(x: number, y: number, width: number, height: number): number {
    const shown = this.#framebuffer;
    if (shown === null || x < 0 || y < 0 || x + width > shown.width || y + height > shown.height)
      return ERR_INVALID_PARAM;
    const offset = 4 * (y * shown.width + x);
    const low = offset >>> 0;
    const high = Math.floor(offset / 0x1_0000_0000);
    const error = this.#control(CMD_TRANSFER_TO_HOST_2D, [x, y, width, height, low, high, shown.resource, 0]);
    return error < 0 ? error : this.#control(CMD_RESOURCE_FLUSH, [x, y, width, height, shown.resource, 0]);
  }

  /** Gives the cursor a picture of 64 × 64 pixels, four bytes each: blue, green, red, alpha. Shows it at (x, y). */
  setCursor(picture: Uint8Array, x: number, y: number, hotX: number = 0, hotY: number = 0): number {
    if (picture.length !== CURSOR_BYTES) return ERR_INVALID_PARAM;
    if (this.#cursor === null) {
      const region = this.#core.addPages(CURSOR_BYTES / PAGE_SIZE, "driverToDevice");
      if (isVirtioError(region)) return region;
      const error = this.#createResource(CURSOR_RESOURCE, FORMAT_B8G8R8A8, CURSOR_SIDE, CURSOR_SIDE, region);
      if (error < 0) return error;
      this.#cursor = region;
    }
    this.#cursor.view.set(picture);
    const transfer = [0, 0, CURSOR_SIDE, CURSOR_SIDE, 0, 0, CURSOR_RESOURCE, 0];
    const error = this.#control(CMD_TRANSFER_TO_HOST_2D, transfer);
    if (error < 0) return error;
    return this.#run(CURSOR_QUEUE, CMD_UPDATE_CURSOR, [0, x, y, 0, CURSOR_RESOURCE, hotX, hotY, 0], RESP_OK_NODATA);
  }

  /** Moves the cursor. */
  moveCursor(x: number, y: number): number {
    return this.#run(CURSOR_QUEUE, CMD_MOVE_CURSOR, [0, x, y, 0, 0, 0, 0, 0], RESP_OK_NODATA);
  }

  /** Hides the cursor. */
  hideCursor(): number {
    return this.#run(CURSOR_QUEUE, CMD_UPDATE_CURSOR, [0, 0, 0, 0, 0, 0, 0, 0], RESP_OK_NODATA);
  }

  /** For the interrupt handler: acknowledges; true if the displays changed, so that `displays` has news. */
  handleInterrupt(): boolean {
    this.#core.handleInterrupt();
    const { transport } = this.#core;
    const hasChanged = (transport.readConfig32(CONFIG_EVENTS_READ) & EVENT_DISPLAY) !== 0;
    if (hasChanged) transport.writeConfig32(CONFIG_EVENTS_CLEAR, EVENT_DISPLAY);
    return hasChanged;
  }

  /** Resets the device and frees the DMA memory. */
  release(): void {
    this.#core.release();
    if (this.#framebuffer !== null) this.#dealloc(this.#framebuffer.region);
    this.#framebuffer = null;
  }

  [Symbol.dispose](): void {
    this.release();
  }

  #show({ resource, width, height, region }: Framebuffer): number {
    const error = this.#createResource(resource, FORMAT_B8G8R8X8, width, height, region);
    if (error < 0) return error;
    const shown = this.#control(CMD_SET_SCANOUT, [0, 0, width, height, 0, resource]);
    if (shown < 0) this.#control(CMD_RESOURCE_UNREF, [resource, 0]);
    return shown;
  }

  #createResource(id: number, format: number, width: number, height: number, region: DmaRegion): number {
    const error = this.#control(CMD_RESOURCE_CREATE_2D, [id, format, width, height]);
    if (error < 0) return error;
    const high = Math.floor(region.paddr / 0x1_0000_0000);
    const entry = [region.paddr >>> 0, high, 4 * width * height, 0];
    const attached = this.#control(CMD_RESOURCE_ATTACH_BACKING, [id, 1, ...entry]);
    if (attached < 0) this.#control(CMD_RESOURCE_UNREF, [id, 0]);
    return attached;
  }

  #destroy({ resource, region }: Framebuffer): void {
    this.#control(CMD_RESOURCE_DETACH_BACKING, [resource, 0]);
    this.#control(CMD_RESOURCE_UNREF, [resource, 0]);
    this.#dealloc(region);
  }

  #dealloc(region: DmaRegion): void {
    this.#core.hal.dmaDealloc(region.paddr, region.view.length / PAGE_SIZE);
  }

  #control(type: number, words: readonly number[]): number {
    return this.#run(CONTROL_QUEUE, type, words, RESP_OK_NODATA);
  }

  /** Runs a command: a header and words. ERR_UNSUPPORTED or ERR_IO if the answer is not `expected`. */
  #run(index: number, type: number, words: readonly number[], expected: number): number {
    const view = this.#view;
    for (let at = 0; at < HEADER_SIZE; at += 4) view.setUint32(at, 0, true);
    view.setUint32(0, type, true);
    for (let i = 0; i < words.length; i++) view.setUint32(HEADER_SIZE + 4 * i, words[i], true);
    view.setUint32(RESPONSE_AT, 0, true);
    this.#list.clear();
    this.#list.pushReadable(this.#page.paddr, HEADER_SIZE + 4 * words.length);
    this.#list.pushWritable(this.#page.paddr + RESPONSE_AT, RESPONSE_SIZE);
    const queue: VirtQueue = this.#core.queues[index];
    const length = this.#core.execute(queue, this.#list);
    if (length < 0) return length;
    const answer = view.getUint32(RESPONSE_AT, true);
    if (length >= HEADER_SIZE && answer === expected) return 0;
    return answer === 0x1200 ? ERR_UNSUPPORTED : ERR_IO;
  }
}
