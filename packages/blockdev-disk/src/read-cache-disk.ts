/**
 * A read-only disk over a slow file (a remote one, say), through a bounded cache with read-ahead.
 *
 * The file answers synchronously: in a browser's Worker `XhrFile`, in Node `BlockingHttpFile`. Where the caller can wait for
 * promises, `LazyDisk` (./promises) does the same without blocking.
 */
import { type BlockDevice, checkTransfer, SECTOR_SIZE } from "./block-device.ts";
import type { ByteFile } from "./byte-file.ts";
import { ChunkCache, ReadAhead } from "./chunk-cache.ts";
import { EIO, EROFS } from "./errno.ts";

export interface ReadCacheOptions {
  /** Bytes fetched at least; a power of two of 512 or more. Default 64 KiB. */
  readonly chunkSize?: number;
  /** Bytes to keep. Default 32 MiB. */
  readonly cacheBytes?: number;
  /** Bytes to read ahead at most in a sequential run; 0 = none. Default 1 MiB, at most a quarter of the cache. */
  readonly readAhead?: number;
}

/** What disks over something slow share: a bounded cache of chunks, read-ahead, and counting. */
export abstract class CachedDisk implements BlockDevice {
  readonly size: number;
  readonly blockSize: number = SECTOR_SIZE;
  readonly readOnly: boolean = true;
  protected readonly chunkSize: number;
  protected readonly cache: ChunkCache;
  protected readonly ahead: ReadAhead;
  #requests = 0;
  #bytesFetched = 0;

  /** @param byteLength of what is below; `size` is this rounded up to 512. @throws RangeError on a bad chunk size. */
  protected constructor(byteLength: number, options: ReadCacheOptions) {
    const { chunkSize = 64 << 10, cacheBytes = 32 << 20, readAhead = 1 << 20 } = options;
    if (!(chunkSize >= SECTOR_SIZE) || (chunkSize & (chunkSize - 1)) !== 0)
      throw new RangeError(`"chunkSize" expected power of two >= ${SECTOR_SIZE}, got ${chunkSize}`);
    this.chunkSize = chunkSize;
    this.cache = new ChunkCache(cacheBytes);
    this.ahead = new ReadAhead(chunkSize, Math.min(readAhead, cacheBytes >> 2));
    this.size = Math.ceil(byteLength / SECTOR_SIZE) * SECTOR_SIZE;
  }

  /** Requests made so far. */
  get requests(): number {
    return this.#requests;
  }
  /** Bytes fetched so far. */
  get bytesFetched(): number {
    return this.#bytesFetched;
  }
  /** Bytes in memory now. */
  get cachedBytes(): number {
    return this.cache.byteLength;
  }

  abstract readBlock(blockId: number, buf: Uint8Array): number;

  writeBlock(_blockId: number, _buf: Uint8Array): number {
    return -EROFS;
  }

  flush(): number {
    return 0;
  }

  protected count(requests: number, bytes: number): void {
    this.#requests += requests;
    this.#bytesFetched += bytes;
  }
}

/** Bytes of one request at most. */
const MAX_REQUEST = 4 << 20;

export class ReadCacheDisk extends CachedDisk {
  readonly #file: ByteFile;

  constructor(file: ByteFile, options: ReadCacheOptions = {}) {
    super(file.size, options);
    this.#file = file;
  }

  override readBlock(blockId: number, buf: Uint8Array): number {
    const error = checkTransfer(this, blockId, buf.length);
    if (error !== 0) return error;
    const start = blockId * SECTOR_SIZE;
    for (let done = 0; done < buf.length; ) {
      const within = (start + done) % this.chunkSize;
      const index = (start + done - within) / this.chunkSize;
      const chunk = this.cache.get(index) ?? this.#fetch(index, Math.floor((start + buf.length - 1) / this.chunkSize));
      if (typeof chunk === "number") return chunk;
      const count = Math.min(buf.length - done, this.chunkSize - within);
      buf.set(chunk.subarray(within, within + count), done);
      done += count;
    }
    return 0;
  }

  /** Fetches chunk `index` and what else is missing up to `last`, in one request. */
  #fetch(index: number, last: number): Uint8Array | number {
    const size = this.chunkSize;
    let end = index + 1;
    while (end <= last && !this.cache.has(end) && (end - index) * size < MAX_REQUEST) end++;
    const from = index * size;
    const wanted = Math.min(this.#file.size, end * size + this.ahead.beyond(from, end * size)) - from;
    const bytes = new Uint8Array(Math.ceil(wanted / size) * size); // zeros behind the file's end
    const count = this.#file.readAt(from, bytes.subarray(0, wanted));
    this.count(1, Math.max(0, count));
    if (count < 0) return count;
    if (count < wanted) return -EIO;
    for (let at = size; at < bytes.length; at += size) this.cache.put(index + at / size, bytes.slice(at, at + size));
    const first = bytes.slice(0, size);
    this.cache.put(index, first);
    return first;
  }
}
