/**
 * A zstd-compressed image (RFC 8878), read at any position without unpacking it.
 *
 * Of an image in many frames (pzstd, the seekable format, pieces put together) only the block headers are read when it is opened: every
 * frame is a place to begin. A frame of more than `spanSize` bytes, as plain `zstd` makes one of the whole file, is
 * decompressed once to find places to begin inside it; each costs its window (2 MiB at zstd's default level) in memory.
 */
import type { ByteFile } from "../byte-file.ts";
import { EINVAL, EIO } from "../errno.ts";
import { SpanDisk } from "./span-disk.ts";
import { decodeBlock, MAX_BLOCK, readFrameHeader, ZstdDecoder, type ZstdFrame, type ZstdState } from "./zstd.ts";

export interface ZstdDiskOptions {
  /** Bytes of output between two places to begin. Default: 8 MiB, or 16 windows if that is more. */
  readonly spanSize?: number;
  /** Bytes of decompressed spans to keep; the one read last stays in any case. Default 32 MiB. */
  readonly cacheBytes?: number;
}

interface Point {
  /** Position in the output. */
  readonly output: number;
  /** Byte position of a block header in the file. */
  readonly input: number;
  /** Output before it that matches may reach; empty at the start of a frame. */
  readonly window: Uint8Array;
  /** undefined at the start of a frame. */
  readonly state: ZstdState | undefined;
}

const BLOCK_HEADER = 3;
const MIN_SPAN = 8 << 20;

export class ZstdDisk extends SpanDisk {
  readonly #file: ByteFile;
  readonly #points: readonly Point[];
  readonly #decoder = new ZstdDecoder();

  private constructor(file: ByteFile, points: readonly Point[], byteLength: number, options: ZstdDiskOptions) {
    super(
      points.map((point) => point.output),
      byteLength,
      options.cacheBytes ?? 32 << 20,
    );
    this.#file = file;
    this.#points = points;
  }

  /** -EINVAL when it is no zstd file or one that needs a dictionary or a window over 128 MiB, -EIO when it is damaged; else the file's -errno. */
  static open(file: ByteFile, options: ZstdDiskOptions = {}): ZstdDisk | number {
    const points: Point[] = [];
    let output = 0;
    for (let at = 0; at < file.size; ) {
      const header = new Uint8Array(18);
      const count = file.readAt(at, header);
      if (count < 0) return count;
      const frame = readFrameHeader(header.subarray(0, count), 0);
      if (frame === undefined) return -EINVAL;
      if (frame.skippable) {
        at += frame.headerSize;
        continue;
      }
      const spanSize = Math.max(
        options.spanSize ?? MIN_SPAN,
        options.spanSize === undefined ? 16 * frame.windowSize : 0,
      );
      const indexer = new FrameIndexer(file, frame, at + frame.headerSize, output, spanSize);
      const error =
        frame.contentSize >= 0 && frame.contentSize <= spanSize ? indexer.skip(frame.contentSize) : indexer.decode();
      if (error < 0) return error;
      points.push(...indexer.points);
      output = indexer.output;
      at = indexer.input + (frame.hasChecksum ? 4 : 0);
    }
    return points.length === 0 ? -EINVAL : new ZstdDisk(file, points, output, options);
  }

  protected override unpack(index: number, byteLength: number): Uint8Array | number {
    const point = this.#points[index];
    const from = point.window.length;
    const end = from + byteLength;
    const buffer = new Uint8Array(end);
    buffer.set(point.window);
    const decoder = this.#decoder;
    if (point.state === undefined) decoder.reset();
    else decoder.restore(point.state);
    const blocks = new BlockReader(this.#file, point.input);
    let out = from;
    while (out < end) {
      const error = blocks.next();
      if (error < 0) return error;
      out = decodeBlock(decoder, blocks.bytes, blocks.at, buffer, out);
      if (out < 0 || (blocks.isLast && out < end)) return -EIO;
    }
    return buffer.subarray(from, end);
  }
}

/** Reads one block after the other, header and content, through a buffer. */
class BlockReader {
  bytes: Uint8Array = new Uint8Array(0);
  /** Of the block's header in `bytes`. */
  at = 0;
  isLast = false;
  #position: number; // in the file, of bytes[0]
  #nextAt = 0;
  readonly #file: ByteFile;

  constructor(file: ByteFile, position: number) {
    this.#file = file;
    this.#position = position;
  }

  /** Position in the file behind the block. */
  get end(): number {
    return this.#position + this.#nextAt;
  }

  /** Goes to the next block: 0 or -errno. */
  next(): number {
    this.at = this.#nextAt;
    const wanted = BLOCK_HEADER + MAX_BLOCK;
    if (this.at + wanted > this.bytes.length) {
      this.#position += this.at;
      this.at = 0;
      const bytes = new Uint8Array(1 << 20);
      const count = this.#file.readAt(this.#position, bytes);
      if (count < 0) return count;
      this.bytes = bytes.subarray(0, count);
    }
    const { bytes, at } = this;
    if (at + BLOCK_HEADER > bytes.length) return -EIO;
    const header = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16);
    this.isLast = (header & 1) !== 0;
    const size = ((header >> 1) & 3) === 1 ? 1 : header >> 3;
    this.#nextAt = at + BLOCK_HEADER + size;
    return size <= MAX_BLOCK && this.#nextAt <= bytes.length ? 0 : -EIO;
  }
}

/** Finds the places to begin in one frame. */
class FrameIndexer {
  readonly points: Point[] = [];
  /** Positions behind what has been looked at. */
  input: number;
  output: number;
  readonly #file: ByteFile;
  readonly #frame: ZstdFrame;
  readonly #spanSize: number;

  constructor(file: ByteFile, frame: ZstdFrame, input: number, output: number, spanSize: number) {
    this.#file = file;
    this.#frame = frame;
    this.input = input;
    this.output = output;
    this.#spanSize = spanSize;
    this.points.push({ output, input, window: new Uint8Array(0), state: undefined });
  }

  /** The frame says how long its content is: only its end has to be found. */
  skip(contentSize: number): number {
    const header = new Uint8Array(BLOCK_HEADER);
    for (;;) {
      const count = this.#file.readAt(this.input, header);
      if (count < BLOCK_HEADER) return count < 0 ? count : -EIO;
      const word = header[0] | (header[1] << 8) | (header[2] << 16);
      this.input += BLOCK_HEADER + (((word >> 1) & 3) === 1 ? 1 : word >> 3);
      if ((word & 1) !== 0) break;
    }
    this.output += contentSize;
    return 0;
  }

  decode(): number {
    const { windowSize } = this.#frame;
    const decoder = new ZstdDecoder();
    decoder.reset();
    const buffer = new Uint8Array(2 * windowSize + 8 * MAX_BLOCK);
    const blocks = new BlockReader(this.#file, this.input);
    let out = 0;
    do {
      if (this.output - this.points[this.points.length - 1].output >= this.#spanSize) {
        const window = buffer.slice(Math.max(0, out - windowSize), out);
        this.points.push({ output: this.output, input: this.input, window, state: decoder.save() });
      }
      if (out + MAX_BLOCK > buffer.length) {
        buffer.copyWithin(0, out - windowSize, out);
        out = windowSize;
      }
      const error = blocks.next();
      if (error < 0) return error;
      const end = decodeBlock(decoder, blocks.bytes, blocks.at, buffer, out);
      if (end < 0) return -EIO;
      this.output += end - out;
      this.input = blocks.end;
      out = end;
    } while (!blocks.isLast);
    return this.#frame.contentSize < 0 || this.output - this.points[0].output === this.#frame.contentSize ? 0 : -EIO;
  }
}
