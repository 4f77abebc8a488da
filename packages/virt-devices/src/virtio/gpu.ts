/**
 * virtio GPU, device side: 2D resources, scanouts and a cursor, for a screen of the host.
 *
 *   guest   RESOURCE_CREATE_2D, ATTACH_BACKING, SET_SCANOUT
 *   guest   draws in its memory; TRANSFER_TO_HOST_2D; RESOURCE_FLUSH → `screen.onFlush(scanout, rectangle)`
 *   host    `device.readRgba(scanout, rectangle, target)`, straight into a canvas's ImageData
 *
 * A guest can make resources of `memoryLimit` bytes in all. Spec: virtio 1.2 §5.7. 3D and EDID are not offered.
 */
import { type ChainServer, drain, ModelBase } from "./device.ts";
import { absent, type Feature } from "./features.ts";
import { mapRange } from "./chain.ts";
import { GPU_FORMATS, GpuResource, type Rectangle } from "./gpu-resource.ts";
import type { DeviceQueue } from "./queue.ts";
import { DEVICE_ID_GPU } from "./spec.ts";

export const GPU_FEATURES: readonly Feature[] = [
  absent(0, "GPU_F_VIRGL", "2D only"),
  absent(1, "GPU_F_EDID", "displays are told by GET_DISPLAY_INFO"),
  absent(2, "GPU_F_RESOURCE_UUID", "no other device shares resources"),
  absent(3, "GPU_F_RESOURCE_BLOB", "2D only"),
  absent(4, "GPU_F_CONTEXT_INIT", "2D only"),
];

// §5.7.4 struct virtio_gpu_config
export const GPU_CONFIG_EVENTS_READ = 0; // le32
export const GPU_CONFIG_EVENTS_CLEAR = 4; // le32
export const GPU_CONFIG_NUM_SCANOUTS = 8; // le32
const CONFIG_LENGTH = 16;
export const GPU_EVENT_DISPLAY = 1;

// §5.7.6.7 enum virtio_gpu_ctrl_type
export const GPU_CMD_GET_DISPLAY_INFO = 0x0100;
export const GPU_CMD_RESOURCE_CREATE_2D = 0x0101;
export const GPU_CMD_RESOURCE_UNREF = 0x0102;
export const GPU_CMD_SET_SCANOUT = 0x0103;
export const GPU_CMD_RESOURCE_FLUSH = 0x0104;
export const GPU_CMD_TRANSFER_TO_HOST_2D = 0x0105;
export const GPU_CMD_RESOURCE_ATTACH_BACKING = 0x0106;
export const GPU_CMD_RESOURCE_DETACH_BACKING = 0x0107;
export const GPU_CMD_UPDATE_CURSOR = 0x0300;
export const GPU_CMD_MOVE_CURSOR = 0x0301;
export const GPU_RESP_OK_NODATA = 0x1100;
export const GPU_RESP_OK_DISPLAY_INFO = 0x1101;
export const GPU_RESP_ERR_UNSPEC = 0x1200;
export const GPU_RESP_ERR_OUT_OF_MEMORY = 0x1201;
export const GPU_RESP_ERR_INVALID_SCANOUT_ID = 0x1202;
export const GPU_RESP_ERR_INVALID_RESOURCE_ID = 0x1203;
export const GPU_RESP_ERR_INVALID_PARAMETER = 0x1205;

// struct virtio_gpu_ctrl_hdr
export const GPU_HEADER_SIZE = 24; // type le32, flags le32, fence_id le64, ctx_id le32, ring_idx u8, padding
const HEADER_FLAGS = 4;
const GPU_FLAG_FENCE = 1;
const MAX_SCANOUTS = 16;
const DISPLAY_SIZE = 24; // x, y, width, height, enabled, flags
const MAX_RESPONSE: number = GPU_HEADER_SIZE + MAX_SCANOUTS * DISPLAY_SIZE;
const ENTRY_SIZE = 16; // struct virtio_gpu_mem_entry { le64 addr; le32 length; le32 padding }
const MAX_ENTRIES = 16384;
const MAX_COMMAND: number = GPU_HEADER_SIZE + 8 + MAX_ENTRIES * ENTRY_SIZE;
const MAX_SIDE = 16384;
const CURSOR_QUEUE = 1;

/** What the host shows. Every function is called while the guest's command is served. */
export interface GpuScreen {
  /** Part of a scanout has new pixels; read them with `readRgba`. */
  onFlush(scanout: number, rectangle: Rectangle): void;
  /** The guest set the size of a scanout's picture, or turned it off (0 × 0). */
  onScanout?(scanout: number, width: number, height: number): void;
  /** The cursor has a new picture (64 × 64 RGBA, or null: hidden) with its hot spot, or has moved (`undefined`). */
  onCursor?(scanout: number, x: number, y: number, picture?: CursorPicture | null): void;
}

export interface CursorPicture {
  readonly rgba: Uint8Array;
  readonly hotX: number;
  readonly hotY: number;
}

export interface GpuDeviceOptions {
  readonly screen: GpuScreen;
  /** Displays and their sizes. Default: one of 1024 × 768. */
  readonly displays?: readonly { readonly width: number; readonly height: number }[];
  /** Bytes of pixels that the guest may make the host hold. Default 128 MiB. */
  readonly memoryLimit?: number;
}

interface Scanout {
  resource: GpuResource | null;
  rectangle: Rectangle;
}

const NOWHERE: Rectangle = { x: 0, y: 0, width: 0, height: 0 };
const CURSOR_SIDE = 64;

export class GpuDevice extends ModelBase implements ChainServer {
  readonly deviceId: number = DEVICE_ID_GPU;
  readonly features: number = 0;
  readonly queueSizes: readonly number[] = [64, 16];
  readonly config: Uint8Array = new Uint8Array(CONFIG_LENGTH);
  readonly #screen: GpuScreen;
  readonly #displays: { width: number; height: number }[];
  readonly #memoryLimit: number;
  readonly #resources: Map<number, GpuResource> = new Map();
  readonly #scanouts: Scanout[];
  readonly #command: Uint8Array = new Uint8Array(MAX_COMMAND);
  readonly #view: DataView = new DataView(this.#command.buffer);
  readonly #response: Uint8Array = new Uint8Array(MAX_RESPONSE);
  readonly #responseView: DataView = new DataView(this.#response.buffer);
  #commandLength = 0;
  #usedBytes = 0;

  constructor(options: GpuDeviceOptions) {
    super();
    this.#screen = options.screen;
    this.#displays = (options.displays ?? [{ width: 1024, height: 768 }]).map((display) => ({ ...display }));
    const count = this.#displays.length;
    if (count < 1 || count > MAX_SCANOUTS) throw new RangeError(`"displays" expected 1..${MAX_SCANOUTS}, got ${count}`);
    this.#memoryLimit = options.memoryLimit ?? 128 << 20;
    this.#scanouts = this.#displays.map(() => ({ resource: null, rectangle: NOWHERE }));
    this.config[GPU_CONFIG_NUM_SCANOUTS] = count;
  }

  /** The window changed: tells the guest the size that a picture should have. */
  setDisplay(scanout: number, width: number, height: number): void {
    this.#displays[scanout] = { width, height };
    this.config[GPU_CONFIG_EVENTS_READ] |= GPU_EVENT_DISPLAY;
    this.port.configChanged();
  }

  /** Size of the picture that a scanout shows; 0 × 0 if none. */
  pictureSize(scanout: number): { readonly width: number; readonly height: number } {
    const { width, height } = this.#scanouts[scanout].rectangle;
    return { width, height };
  }

  /** Writes part of a scanout's picture as RGBA into `target`, row by row. False if the part is not inside. */
  readRgba(scanout: number, part: Rectangle, target: Uint8Array | Uint8ClampedArray): boolean {
    const { resource, rectangle } = this.#scanouts[scanout];
    if (resource === null || part.x + part.width > rectangle.width || part.y + part.height > rectangle.height)
      return false;
    resource.toRgba({ ...part, x: part.x + rectangle.x, y: part.y + rectangle.y }, target);
    return true;
  }

  notify(index: number): void {
    drain(this.port, this.port.queues[index], this);
  }

  serve(queue: DeviceQueue): number {
    const { chain } = queue;
    const isCursor = queue === this.port.queues[CURSOR_QUEUE];
    this.#commandLength = chain.read(0, this.#command, Math.min(chain.readableBytes, MAX_COMMAND));
    if (this.#commandLength < GPU_HEADER_SIZE) return -1;
    this.#response.fill(0);
    const response = this.#responseView;
    let length = GPU_HEADER_SIZE;
    const type = isCursor ? this.#cursor() : this.#control();
    if (type === GPU_RESP_OK_DISPLAY_INFO) length = MAX_RESPONSE;
    response.setUint32(0, type, true);
    // §5.7.6.7: a fenced command's response carries its fence.
    if ((this.#view.getUint32(HEADER_FLAGS, true) & GPU_FLAG_FENCE) !== 0) {
      response.setUint32(HEADER_FLAGS, GPU_FLAG_FENCE, true);
      this.#response.set(this.#command.subarray(8, 24), 8);
    }
    return chain.write(0, this.#response, length);
  }

  override writeConfig(offset: number, value: number): void {
    if (offset === GPU_CONFIG_EVENTS_CLEAR) this.config[GPU_CONFIG_EVENTS_READ] &= ~value;
  }

  override reset(): void {
    for (const [id, scanout] of this.#scanouts.entries()) {
      if (scanout.resource !== null) this.#show(id, null, NOWHERE);
    }
    this.#resources.clear();
    this.#usedBytes = 0;
  }

  /** Pixels are the host's: a restored guest has to draw again, and is told that its displays changed. */
  override restore(): void {
    this.reset();
    this.config[GPU_CONFIG_EVENTS_READ] |= GPU_EVENT_DISPLAY;
  }

  /** Runs a command of the control queue; its response's type. */
  #control(): number {
    switch (this.#view.getUint32(0, true)) {
      case GPU_CMD_GET_DISPLAY_INFO:
        return this.#getDisplayInfo();
      case GPU_CMD_RESOURCE_CREATE_2D:
        return this.#needs(16) ? this.#create() : GPU_RESP_ERR_INVALID_PARAMETER;
      case GPU_CMD_RESOURCE_UNREF:
        return this.#needs(8) ? this.#unref() : GPU_RESP_ERR_INVALID_PARAMETER;
      case GPU_CMD_SET_SCANOUT:
        return this.#needs(24) ? this.#setScanout() : GPU_RESP_ERR_INVALID_PARAMETER;
      case GPU_CMD_RESOURCE_FLUSH:
        return this.#needs(24) ? this.#flush() : GPU_RESP_ERR_INVALID_PARAMETER;
      case GPU_CMD_TRANSFER_TO_HOST_2D:
        return this.#needs(32) ? this.#transfer() : GPU_RESP_ERR_INVALID_PARAMETER;
      case GPU_CMD_RESOURCE_ATTACH_BACKING:
        return this.#needs(8) ? this.#attach() : GPU_RESP_ERR_INVALID_PARAMETER;
      case GPU_CMD_RESOURCE_DETACH_BACKING:
        return this.#needs(8) ? this.#detach() : GPU_RESP_ERR_INVALID_PARAMETER;
      default:
        return GPU_RESP_ERR_UNSPEC;
    }
  }

  #needs(byteLength: number): boolean {
    return this.#commandLength >= GPU_HEADER_SIZE + byteLength;
  }

  /** Word `index` of the command behind its header. */
  #word(index: number): number {
    return this.#view.getUint32(GPU_HEADER_SIZE + 4 * index, true);
  }

  #rectangle(index: number): Rectangle {
    return {
      x: this.#word(index),
      y: this.#word(index + 1),
      width: this.#word(index + 2),
      height: this.#word(index + 3),
    };
  }

  #getDisplayInfo(): number {
    for (const [i, { width, height }] of this.#displays.entries()) {
      const at = GPU_HEADER_SIZE + i * DISPLAY_SIZE;
      this.#responseView.setUint32(at + 8, width, true);
      this.#responseView.setUint32(at + 12, height, true);
      this.#responseView.setUint32(at + 16, 1, true);
    }
    return GPU_RESP_OK_DISPLAY_INFO;
  }

  #create(): number {
    const [id, format, width, height] = [this.#word(0), this.#word(1), this.#word(2), this.#word(3)];
    if (id === 0 || this.#resources.has(id)) return GPU_RESP_ERR_INVALID_RESOURCE_ID;
    if (GPU_FORMATS[format] === undefined || width === 0 || height === 0 || width > MAX_SIDE || height > MAX_SIDE)
      return GPU_RESP_ERR_INVALID_PARAMETER;
    if (this.#usedBytes + 4 * width * height > this.#memoryLimit) return GPU_RESP_ERR_OUT_OF_MEMORY;
    this.#usedBytes += 4 * width * height;
    this.#resources.set(id, new GpuResource(id, format, width, height));
    return GPU_RESP_OK_NODATA;
  }

  #unref(): number {
    const resource = this.#resources.get(this.#word(0));
    if (resource === undefined) return GPU_RESP_ERR_INVALID_RESOURCE_ID;
    for (const [id, scanout] of this.#scanouts.entries()) {
      if (scanout.resource === resource) this.#show(id, null, NOWHERE);
    }
    this.#resources.delete(resource.id);
    this.#usedBytes -= resource.pixels.length;
    return GPU_RESP_OK_NODATA;
  }

  #setScanout(): number {
    const rectangle = this.#rectangle(0);
    const id = this.#word(4);
    if (this.#scanouts[id] === undefined) return GPU_RESP_ERR_INVALID_SCANOUT_ID;
    if (this.#word(5) === 0) return this.#show(id, null, NOWHERE); // §5.7.6.8: resource 0 turns it off
    const resource = this.#resources.get(this.#word(5));
    if (resource === undefined) return GPU_RESP_ERR_INVALID_RESOURCE_ID;
    const isEmpty = rectangle.width === 0 || rectangle.height === 0;
    return isEmpty || !resource.contains(rectangle)
      ? GPU_RESP_ERR_INVALID_PARAMETER
      : this.#show(id, resource, rectangle);
  }

  #show(id: number, resource: GpuResource | null, rectangle: Rectangle): number {
    this.#scanouts[id] = { resource, rectangle };
    this.#screen.onScanout?.(id, rectangle.width, rectangle.height);
    return GPU_RESP_OK_NODATA;
  }

  #flush(): number {
    const rectangle = this.#rectangle(0);
    const resource = this.#resources.get(this.#word(4));
    if (resource === undefined) return GPU_RESP_ERR_INVALID_RESOURCE_ID;
    if (!resource.contains(rectangle)) return GPU_RESP_ERR_INVALID_PARAMETER;
    for (const [id, scanout] of this.#scanouts.entries()) {
      if (scanout.resource !== resource) continue;
      const part = intersect(rectangle, scanout.rectangle);
      if (part !== null) this.#screen.onFlush(id, part);
    }
    return GPU_RESP_OK_NODATA;
  }

  #transfer(): number {
    const rectangle = this.#rectangle(0);
    const offset = this.#word(4) + this.#word(5) * 0x1_0000_0000;
    const resource = this.#resources.get(this.#word(6));
    if (resource === undefined) return GPU_RESP_ERR_INVALID_RESOURCE_ID;
    if (!resource.contains(rectangle)) return GPU_RESP_ERR_INVALID_PARAMETER;
    if (resource.backing.length === 0) return GPU_RESP_ERR_UNSPEC;
    resource.transfer(this.port.memory, rectangle, offset);
    return GPU_RESP_OK_NODATA;
  }

  #attach(): number {
    const resource = this.#resources.get(this.#word(0));
    const count = this.#word(1);
    if (resource === undefined) return GPU_RESP_ERR_INVALID_RESOURCE_ID;
    if (count === 0 || count > MAX_ENTRIES || !this.#needs(8 + count * ENTRY_SIZE))
      return GPU_RESP_ERR_INVALID_PARAMETER;
    if (resource.backing.length > 0) return GPU_RESP_ERR_UNSPEC;
    const backing: number[] = [];
    for (let i = 0; i < count; i++) {
      const [low, high, length] = [this.#word(2 + 4 * i), this.#word(3 + 4 * i), this.#word(4 + 4 * i)];
      const start = mapRange(this.port.memory, low, high, length, 1);
      if (start < 0 || length === 0) return GPU_RESP_ERR_INVALID_PARAMETER;
      backing.push(start, length);
    }
    resource.backing = backing;
    return GPU_RESP_OK_NODATA;
  }

  #detach(): number {
    const resource = this.#resources.get(this.#word(0));
    if (resource === undefined) return GPU_RESP_ERR_INVALID_RESOURCE_ID;
    resource.backing = [];
    return GPU_RESP_OK_NODATA;
  }

  /** Runs a command of the cursor queue: { scanout, x, y, padding, resource, hot x, hot y, padding }. */
  #cursor(): number {
    if (!this.#needs(32)) return GPU_RESP_ERR_INVALID_PARAMETER;
    const [scanout, x, y, id] = [this.#word(0), this.#word(1), this.#word(2), this.#word(4)];
    if (this.#scanouts[scanout] === undefined) return GPU_RESP_ERR_INVALID_SCANOUT_ID;
    const type = this.#view.getUint32(0, true);
    if (type === GPU_CMD_MOVE_CURSOR) {
      this.#screen.onCursor?.(scanout, x, y);
      return GPU_RESP_OK_NODATA;
    }
    if (type !== GPU_CMD_UPDATE_CURSOR) return GPU_RESP_ERR_UNSPEC;
    const resource = this.#resources.get(id);
    const whole = { x: 0, y: 0, width: CURSOR_SIDE, height: CURSOR_SIDE };
    if (id !== 0 && resource === undefined) return GPU_RESP_ERR_INVALID_RESOURCE_ID;
    if (resource === undefined) this.#screen.onCursor?.(scanout, x, y, null);
    else {
      if (!resource.contains(whole)) return GPU_RESP_ERR_INVALID_PARAMETER;
      const rgba = new Uint8Array(4 * CURSOR_SIDE * CURSOR_SIDE);
      resource.toRgba(whole, rgba);
      this.#screen.onCursor?.(scanout, x, y, { rgba, hotX: this.#word(5), hotY: this.#word(6) });
    }
    return GPU_RESP_OK_NODATA;
  }
}

/** The part of a resource's rectangle that a scanout shows, in the scanout's coordinates; null if none. */
function intersect(rectangle: Rectangle, shown: Rectangle): Rectangle | null {
  const left = Math.max(rectangle.x, shown.x);
  const top = Math.max(rectangle.y, shown.y);
  const right = Math.min(rectangle.x + rectangle.width, shown.x + shown.width);
  const bottom = Math.min(rectangle.y + rectangle.height, shown.y + shown.height);
  if (left >= right || top >= bottom) return null;
  return { x: left - shown.x, y: top - shown.y, width: right - left, height: bottom - top };
}
