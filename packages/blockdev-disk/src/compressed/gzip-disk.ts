/**
 * A gzip-compressed image (RFC 1952), read at any position without unpacking it.
 *
 * Opening decompresses the file once, checks its CRC and notes a restart point every `spanSize` bytes: where in the file, at
 * which bit, and the 32 KiB before it. A read then decompresses one span; spans are kept in a bounded cache. `saveIndex`
 * gives the restart points as bytes (a few percent of the file), with which the next `open` is immediate. Files of several
 * members (concatenated, bgzip, pigz) are one image.
 *
 * Saved index, little endian: "STARGZI1", u64 compressed size, u64 size, u32 count, u32 0, then per point u64 output
 * position, u64 bit position in the file, u32 window length and the window.
 */
import type { ByteFile } from "../byte-file.ts";
import { EINVAL, EIO } from "../errno.ts";
import { Crc32 } from "../partitions/crc32.ts";
import {
  Inflate,
  INPUT_PADDING,
  MAX_MATCH,
  RUN_BAD,
  RUN_BLOCK_END,
  RUN_NEEDS_INPUT,
  RUN_OUTPUT_FULL,
  RUN_STREAM_END,
  WINDOW_SIZE,
} from "./inflate.ts";
import { SpanDisk } from "./span-disk.ts";

export interface GzipDiskOptions {
  /** Bytes of output between two restart points. Default 2 MiB. */
  readonly spanSize?: number;
  /** Bytes of decompressed spans to keep. Default 16 MiB. */
  readonly cacheBytes?: number;
  /** What `saveIndex` gave for the same file. Default: the file is read through once. */
  readonly index?: Uint8Array;
}

interface Point {
  /** Position in the output. */
  readonly output: number;
  /** Bit position in the file. */
  readonly bit: number;
  /** Up to 32 KiB of output before it; empty at the start of a member. */
  readonly window: Uint8Array;
}

const MAGIC = "STARGZI1";
const HEADER_SIZE = 32;
const PIECE = 256 << 10;
const FHCRC = 2;
const FEXTRA = 4;
const FNAME = 8;
const FCOMMENT = 16;

export class GzipDisk extends SpanDisk {
  readonly #file: ByteFile;
  readonly #points: readonly Point[];
  readonly #inflate = new Inflate();

  private constructor(file: ByteFile, points: readonly Point[], byteLength: number, options: GzipDiskOptions) {
    super(
      points.map((point) => point.output),
      byteLength,
      options.cacheBytes ?? 16 << 20,
    );
    this.#file = file;
    this.#points = points;
  }

  /** -EINVAL when it is no gzip file or the index belongs to another one, -EIO when it is damaged; else the file's -errno. */
  static open(file: ByteFile, options: GzipDiskOptions = {}): GzipDisk | number {
    if (options.index !== undefined) {
      const loaded = loadIndex(file, options.index);
      return typeof loaded === "number" ? loaded : new GzipDisk(file, loaded.points, loaded.byteLength, options);
    }
    const indexer = new Indexer(file, options.spanSize ?? 2 << 20);
    const error = indexer.run();
    return error < 0 ? error : new GzipDisk(file, indexer.points, indexer.byteLength, options);
  }

  /** The restart points, for `open`. */
  saveIndex(): Uint8Array {
    let byteLength = HEADER_SIZE;
    for (const point of this.#points) byteLength += 20 + point.window.length;
    const out = new Uint8Array(byteLength);
    const view = new DataView(out.buffer);
    for (let i = 0; i < MAGIC.length; i++) out[i] = MAGIC.charCodeAt(i);
    view.setBigUint64(8, BigInt(this.#file.size), true);
    view.setBigUint64(16, BigInt(this.byteLength), true);
    view.setUint32(24, this.#points.length, true);
    let at = HEADER_SIZE;
    for (const point of this.#points) {
      view.setBigUint64(at, BigInt(point.output), true);
      view.setBigUint64(at + 8, BigInt(point.bit), true);
      view.setUint32(at + 16, point.window.length, true);
      out.set(point.window, at + 20);
      at += 20 + point.window.length;
    }
    return out;
  }

  protected override unpack(index: number, byteLength: number): Uint8Array | number {
    const point = this.#points[index];
    const next = this.#points[index + 1];
    const from = Math.floor(point.bit / 8);
    const to = next === undefined ? this.#file.size : Math.ceil(next.bit / 8);
    const input = new Uint8Array(to - from + INPUT_PADDING);
    const count = this.#file.readAt(from, input.subarray(0, to - from));
    if (count < 0) return count;
    const window = point.window.length;
    const buffer = new Uint8Array(window + byteLength + MAX_MATCH);
    buffer.set(point.window);
    const inflate = this.#inflate;
    inflate.start(input, count, point.bit % 8);
    inflate.setOutput(buffer, window, 0);
    while (inflate.outputAt < window + byteLength) {
      const stopped = inflate.run(window + byteLength, true);
      if (stopped === RUN_OUTPUT_FULL) break;
      if (stopped === RUN_STREAM_END && inflate.outputAt < window + byteLength) return -EIO; // points lie at every member
      if (stopped === RUN_BAD) return -EIO;
    }
    return buffer.subarray(window, window + byteLength);
  }
}

/** One pass over the file: restart points, length, checksums. */
class Indexer {
  readonly points: Point[] = [];
  byteLength = 0;
  readonly #file: ByteFile;
  readonly #spanSize: number;
  readonly #input = new Uint8Array(PIECE + INPUT_PADDING);
  #inputBase = 0; // file position of input[0]
  #inputLength = 0;
  readonly #inflate = new Inflate();
  readonly #output = new Uint8Array(WINDOW_SIZE + PIECE + MAX_MATCH);

  constructor(file: ByteFile, spanSize: number) {
    this.#file = file;
    this.#spanSize = spanSize;
  }

  run(): number {
    let position = 0;
    do {
      const data = this.#memberHeader(position);
      if (data < 0) {
        // Zeros or anything else behind the first member is padding, as gzip itself treats it.
        return position === 0 || data !== -EINVAL ? data : 0;
      }
      position = this.#member(data);
      if (position < 0) return position;
    } while (position < this.#file.size);
    return 0;
  }

  /** The position behind a member's header. */
  #memberHeader(position: number): number {
    const header = new Uint8Array(1 << 17); // FEXTRA alone may have 64 KiB
    const length = this.#file.readAt(position, header);
    if (length < 0) return length;
    if (length < 18 || header[0] !== 0x1f || header[1] !== 0x8b || header[2] !== 8) return -EINVAL;
    const flags = header[3];
    let at = 10;
    if ((flags & FEXTRA) !== 0) at += 2 + (header[at] | (header[at + 1] << 8));
    for (const flag of [FNAME, FCOMMENT]) {
      if ((flags & flag) === 0) continue;
      const end = header.indexOf(0, at);
      if (end < 0) return -EINVAL;
      at = end + 1;
    }
    if ((flags & FHCRC) !== 0) at += 2;
    return at < length ? position + at : -EINVAL;
  }

  /** Decompresses a member's data and checks it; the position behind it. */
  #member(position: number): number {
    const inflate = this.#inflate;
    const output = this.#output;
    const error = this.#load(position);
    if (error < 0) return error;
    inflate.start(this.#input, this.#inputLength, 0);
    inflate.setOutput(output, 0, 0);
    const crc = new Crc32();
    let start = 0; // of the output not yet accounted for
    const first = this.byteLength;
    this.points.push({ output: first, bit: position * 8, window: new Uint8Array(0) });
    for (;;) {
      const isFinal = this.#inputBase + this.#inputLength >= this.#file.size;
      const stopped = inflate.run(WINDOW_SIZE + PIECE, isFinal);
      if (stopped === RUN_BAD) return -EIO;
      crc.update(output.subarray(start, inflate.outputAt));
      this.byteLength += inflate.outputAt - start;
      start = inflate.outputAt;
      if (stopped === RUN_STREAM_END) break;
      if (stopped === RUN_BLOCK_END) this.#point(inflate.outputAt);
      if (stopped === RUN_OUTPUT_FULL) {
        output.copyWithin(0, start - WINDOW_SIZE, start);
        start = WINDOW_SIZE;
        inflate.setOutput(output, start, 0);
      }
      if (stopped === RUN_NEEDS_INPUT) {
        const failed = this.#refill();
        if (failed < 0) return failed;
      }
    }
    const end = this.#inputBase + Math.ceil(inflate.bitPosition / 8);
    const trailer = new Uint8Array(8);
    if (this.#file.readAt(end, trailer) !== 8) return -EIO;
    const view = new DataView(trailer.buffer);
    if (view.getUint32(0, true) !== crc.value || view.getUint32(4, true) !== (this.byteLength - first) % 2 ** 32)
      return -EIO;
    return end + 8;
  }

  /** Notes a restart point when the last one is far enough behind. */
  #point(outputAt: number): void {
    if (this.byteLength - this.points[this.points.length - 1].output < this.#spanSize) return;
    const bit = this.#inputBase * 8 + this.#inflate.bitPosition;
    this.points.push({
      output: this.byteLength,
      bit,
      window: this.#output.slice(Math.max(0, outputAt - WINDOW_SIZE), outputAt),
    });
  }

  #load(position: number): number {
    this.#inputBase = position;
    const count = this.#file.readAt(position, this.#input.subarray(0, PIECE));
    this.#inputLength = Math.max(0, count);
    return count;
  }

  #refill(): number {
    const used = this.#inflate.consumed;
    const error = this.#load(this.#inputBase + used);
    this.#inflate.continueWith(this.#input, this.#inputLength, used);
    return error;
  }
}

function loadIndex(file: ByteFile, saved: Uint8Array): { points: Point[]; byteLength: number } | number {
  const view = new DataView(saved.buffer, saved.byteOffset, saved.byteLength);
  if (saved.length < HEADER_SIZE || String.fromCharCode(...saved.subarray(0, 8)) !== MAGIC) return -EINVAL;
  if (Number(view.getBigUint64(8, true)) !== file.size) return -EINVAL;
  const byteLength = Number(view.getBigUint64(16, true));
  const points: Point[] = [];
  let at = HEADER_SIZE;
  let last = -1;
  for (let i = view.getUint32(24, true); i > 0; i--) {
    if (at + 20 > saved.length) return -EINVAL;
    const output = Number(view.getBigUint64(at, true));
    const bit = Number(view.getBigUint64(at + 8, true));
    const windowLength = view.getUint32(at + 16, true);
    at += 20;
    if (
      output < last ||
      output > byteLength ||
      bit > file.size * 8 ||
      windowLength > WINDOW_SIZE ||
      at + windowLength > saved.length
    )
      return -EINVAL;
    points.push({ output, bit, window: saved.subarray(at, at + windowLength) });
    at += windowLength;
    last = output;
  }
  return points.length > 0 && points[0].output === 0 ? { points, byteLength } : -EINVAL;
}
