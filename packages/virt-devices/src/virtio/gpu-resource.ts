/**
 * A 2D resource of a virtio GPU: pixels of the host, and the list of guest memory that backs them.
 *
 * Spec: virtio 1.2 §5.7.6.8. All formats have four bytes a pixel.
 */
import type { GuestMemory } from "../seams.ts";

/** §5.7.6.8 enum virtio_gpu_formats: places of red, green, blue and alpha among a pixel's bytes; -1 = opaque. */
export const GPU_FORMATS: Readonly<Record<number, readonly [red: number, green: number, blue: number, alpha: number]>> =
  {
    1: [2, 1, 0, 3], // B8G8R8A8
    2: [2, 1, 0, -1], // B8G8R8X8
    3: [1, 2, 3, 0], // A8R8G8B8
    4: [1, 2, 3, -1], // X8R8G8B8
    67: [0, 1, 2, 3], // R8G8B8A8
    68: [3, 2, 1, -1], // X8B8G8R8
    121: [3, 2, 1, 0], // A8B8G8R8
    134: [0, 1, 2, -1], // R8G8B8X8
  };

export interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export class GpuResource {
  readonly id: number;
  readonly format: number;
  readonly width: number;
  readonly height: number;
  /** Rows from the top, in `format`. */
  readonly pixels: Uint8Array;
  /** Index in RAM and length of each piece of backing, in turn. */
  backing: readonly number[] = [];

  constructor(id: number, format: number, width: number, height: number) {
    this.id = id;
    this.format = format;
    this.width = width;
    this.height = height;
    this.pixels = new Uint8Array(4 * width * height);
  }

  /** Does the rectangle lie inside? Sums are exact: all are uint32. */
  contains({ x, y, width, height }: Rectangle): boolean {
    return x + width <= this.width && y + height <= this.height;
  }

  /**
   * Copies a rectangle from the backing; `offset` is that of its first pixel there, rows are as far apart as here. What lies
   * beyond the backing stays as it is. The pieces are gone through once, however many rows there are.
   */
  transfer(memory: GuestMemory, rectangle: Rectangle, offset: number): void {
    const { x, y, width, height } = rectangle;
    const stride = 4 * this.width;
    let piece = 0;
    let pieceStart = 0; // offset of the piece in the backing
    for (let row = 0; row < height; row++) {
      let from = offset + row * stride;
      let to = stride * (y + row) + 4 * x;
      const end = to + 4 * width;
      while (to < end && piece < this.backing.length) {
        const length = this.backing[piece + 1];
        if (from >= pieceStart + length) {
          pieceStart += length;
          piece += 2;
          continue;
        }
        const count = Math.min(pieceStart + length - from, end - to);
        const start = this.backing[piece] + from - pieceStart;
        this.pixels.set(memory.bytes.subarray(start, start + count), to);
        to += count;
        from += count;
      }
    }
  }

  /** Writes a rectangle as RGBA into `target`, row by row. */
  toRgba(rectangle: Rectangle, target: Uint8Array | Uint8ClampedArray): void {
    const [red, green, blue, alpha] = GPU_FORMATS[this.format];
    let to = 0;
    for (let row = 0; row < rectangle.height; row++) {
      let from = 4 * (this.width * (rectangle.y + row) + rectangle.x);
      for (let column = 0; column < rectangle.width; column++, from += 4, to += 4) {
        target[to] = this.pixels[from + red];
        target[to + 1] = this.pixels[from + green];
        target[to + 2] = this.pixels[from + blue];
        target[to + 3] = alpha < 0 ? 255 : this.pixels[from + alpha];
      }
    }
  }
}
