/**
 * A disk in host memory, sparse: chunks of 64 KiB come into being when first written, the rest reads as zeros. The table of chunks is
 * sparse too, so that a terabyte costs no more than what is written to it.
 *
 * Over a given Uint8Array (`MemoryDisk.over`) it works in place on that array, without copies.
 */
import { type BlockDevice, checkTransfer, checkWrite, SECTOR_SIZE } from "./block-device.ts";

const CHUNK_SIZE = 64 << 10;
/** Chunks of one part of the table. */
const REGION_CHUNKS = 1024;

type Region = (Uint8Array | undefined)[];

export interface MemoryDiskOptions {
  /** Writes answer -EROFS. Default false. */
  readonly readOnly?: boolean;
}

export class MemoryDisk implements BlockDevice {
  readonly size: number;
  readonly blockSize: number = SECTOR_SIZE;
  readonly readOnly: boolean;
  readonly #regions: (Region | undefined)[];
  #allocated = 0;

  /** @param size bytes, a positive multiple of 512. @throws RangeError otherwise. */
  constructor(size: number, options: MemoryDiskOptions = {}) {
    if (!Number.isSafeInteger(size) || size <= 0 || size % SECTOR_SIZE !== 0) {
      throw new RangeError(`"size" expected positive multiple of ${SECTOR_SIZE}, got ${size}`);
    }
    this.size = size;
    this.readOnly = options.readOnly ?? false;
    this.#regions = new Array(Math.ceil(size / (CHUNK_SIZE * REGION_CHUNKS))).fill(undefined);
  }

  /** A disk whose content is `bytes` itself. Its length must be a positive multiple of 512. */
  static over(bytes: Uint8Array, options: MemoryDiskOptions = {}): MemoryDisk {
    return new WholeMemoryDisk(bytes, options);
  }

  /** A copy of the whole content. */
  toBytes(): Uint8Array {
    const out = new Uint8Array(this.size);
    this.readBlock(0, out);
    return out;
  }

  /** Host memory in use, in bytes. */
  get allocatedBytes(): number {
    return this.#allocated;
  }

  readBlock(blockId: number, buf: Uint8Array): number {
    const error = checkTransfer(this, blockId, buf.length);
    if (error !== 0) return error;
    const start = blockId * SECTOR_SIZE;
    for (let done = 0; done < buf.length; ) {
      const position = start + done;
      const within = position % CHUNK_SIZE;
      const count = Math.min(buf.length - done, CHUNK_SIZE - within);
      const index = (position - within) / CHUNK_SIZE;
      const chunk = this.#regions[Math.floor(index / REGION_CHUNKS)]?.[index % REGION_CHUNKS];
      if (chunk === undefined) buf.fill(0, done, done + count);
      else buf.set(chunk.subarray(within, within + count), done);
      done += count;
    }
    return 0;
  }

  writeBlock(blockId: number, buf: Uint8Array): number {
    const error = checkWrite(this, blockId, buf.length);
    if (error !== 0) return error;
    const start = blockId * SECTOR_SIZE;
    for (let done = 0; done < buf.length; ) {
      const position = start + done;
      const within = position % CHUNK_SIZE;
      const count = Math.min(buf.length - done, CHUNK_SIZE - within);
      const chunk = this.#chunk((position - within) / CHUNK_SIZE);
      chunk.set(count === buf.length ? buf : buf.subarray(done, done + count), within);
      done += count;
    }
    return 0;
  }

  flush(): number {
    return 0;
  }

  /** Zeroes the range and gives back chunks that lie wholly inside it. */
  discard(blockId: number, count: number): number {
    if (count <= 0) return 0;
    const error = checkWrite(this, blockId, count * SECTOR_SIZE);
    if (error !== 0) return error;
    const end = (blockId + count) * SECTOR_SIZE;
    for (let position = blockId * SECTOR_SIZE; position < end; ) {
      const within = position % CHUNK_SIZE;
      const index = (position - within) / CHUNK_SIZE;
      const region = this.#regions[Math.floor(index / REGION_CHUNKS)];
      if (region === undefined) {
        position += CHUNK_SIZE * (REGION_CHUNKS - (index % REGION_CHUNKS)) - within; // nothing there
        continue;
      }
      const length = Math.min(end - position, CHUNK_SIZE - within);
      const chunk = region[index % REGION_CHUNKS];
      if (chunk !== undefined && length === CHUNK_SIZE) {
        region[index % REGION_CHUNKS] = undefined;
        this.#allocated -= CHUNK_SIZE;
      } else {
        chunk?.fill(0, within, within + length);
      }
      position += length;
    }
    return 0;
  }

  /** The chunk, made if need be. */
  #chunk(index: number): Uint8Array {
    const at = Math.floor(index / REGION_CHUNKS);
    const region = (this.#regions[at] ??= new Array<Uint8Array | undefined>(REGION_CHUNKS).fill(undefined));
    const found = region[index % REGION_CHUNKS];
    if (found !== undefined) return found;
    const made = new Uint8Array(CHUNK_SIZE);
    region[index % REGION_CHUNKS] = made;
    this.#allocated += CHUNK_SIZE;
    return made;
  }
}

/** One caller-owned array instead of chunks. */
class WholeMemoryDisk extends MemoryDisk {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, options: MemoryDiskOptions) {
    super(bytes.length, options);
    this.#bytes = bytes;
  }

  override get allocatedBytes(): number {
    return this.#bytes.length;
  }

  override readBlock(blockId: number, buf: Uint8Array): number {
    const error = checkTransfer(this, blockId, buf.length);
    if (error !== 0) return error;
    const start = blockId * SECTOR_SIZE;
    buf.set(this.#bytes.subarray(start, start + buf.length));
    return 0;
  }

  override writeBlock(blockId: number, buf: Uint8Array): number {
    const error = checkWrite(this, blockId, buf.length);
    if (error !== 0) return error;
    this.#bytes.set(buf, blockId * SECTOR_SIZE);
    return 0;
  }

  override discard(blockId: number, count: number): number {
    if (count <= 0) return 0;
    const error = checkWrite(this, blockId, count * SECTOR_SIZE);
    if (error !== 0) return error;
    this.#bytes.fill(0, blockId * SECTOR_SIZE, (blockId + count) * SECTOR_SIZE);
    return 0;
  }
}
