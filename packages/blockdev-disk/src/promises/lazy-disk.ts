/**
 * A synchronous, read-only disk whose bytes come asynchronously, and only those that are touched.
 *
 * Code that reads disks synchronously (a file system, a partition table, qcow2) is run inside `run`. Where it touches a chunk that is not
 * there the read answers -EAGAIN and notes the chunk; when the function comes back, whatever it gave or threw, the missing
 * chunks are fetched and it is run again, until nothing was missing. So the function must not have effects outside: opening,
 * listing, reading are fine. Chunks that a run has touched stay until it is over, others are kept within `cacheBytes`.
 *
 *   const disk = new LazyDisk(await openHttp(url));
 *   const table = await disk.run(() => readPartitionTable(disk));
 */
import { checkTransfer, SECTOR_SIZE } from "../block-device.ts";
import { EAGAIN } from "../errno.ts";
import { CachedDisk, type ReadCacheOptions } from "../read-cache-disk.ts";
import { type ByteSource, type ReadOptions, throwIfAborted } from "./byte-source.ts";

export interface LazyDiskOptions extends ReadCacheOptions {
  /** Bytes of one request at most. Default 4 MiB. */
  readonly maxRequest?: number;
}

/** One run under way. */
interface Run {
  readonly pinned: Set<number>;
  readonly missing: Set<number>;
}

export class LazyDisk extends CachedDisk {
  readonly #source: ByteSource;
  readonly #maxChunks: number;
  readonly #inFlight = new Map<number, Promise<void>>();
  #current: Run | undefined;

  constructor(source: ByteSource, options: LazyDiskOptions = {}) {
    super(source.size, options);
    this.#source = source;
    this.#maxChunks = Math.max(1, Math.floor((options.maxRequest ?? 4 << 20) / this.chunkSize));
  }

  /** Inside `run`: something was not there, so what comes out of this attempt will be thrown away. */
  get isIncomplete(): boolean {
    return (this.#current?.missing.size ?? 0) > 0;
  }

  /** Runs `task` until all it touches is in memory, and gives what it gave the last time. Rejects with the source's error. */
  async run<T>(task: () => T, options: ReadOptions = {}): Promise<T> {
    const run: Run = { pinned: new Set(), missing: new Set() };
    try {
      for (;;) {
        throwIfAborted(options.signal);
        const outer = this.#current;
        this.#current = run;
        let failure: unknown;
        let result: T | undefined;
        let failed = false;
        try {
          result = task();
        } catch (reason) {
          failure = reason;
          failed = true;
        } finally {
          this.#current = outer;
        }
        if (run.missing.size === 0) {
          if (failed) throw failure;
          return result as T;
        }
        const missing = [...run.missing].sort((a, b) => a - b);
        run.missing.clear();
        await this.#load(missing, options);
      }
    } finally {
      for (const index of run.pinned) this.cache.unpin(index);
    }
  }

  /** Fetches a range (bytes) before it is asked for. */
  async prefetch(position: number, byteLength: number, options: ReadOptions = {}): Promise<void> {
    const end = Math.min(this.size, position + byteLength);
    const missing: number[] = [];
    for (let index = Math.floor(position / this.chunkSize); index * this.chunkSize < end; index++)
      if (!this.cache.has(index)) missing.push(index);
    await this.#load(missing, options);
  }

  /** -EAGAIN when something has to be fetched first: call it inside `run`. */
  override readBlock(blockId: number, buf: Uint8Array): number {
    const error = checkTransfer(this, blockId, buf.length);
    if (error !== 0) return error;
    const start = blockId * SECTOR_SIZE;
    let complete = true;
    for (let done = 0; done < buf.length; ) {
      const within = (start + done) % this.chunkSize;
      const index = (start + done - within) / this.chunkSize;
      const count = Math.min(buf.length - done, this.chunkSize - within);
      const chunk = this.cache.get(index);
      this.#touch(index, chunk === undefined);
      if (chunk === undefined) complete = false;
      else if (complete) buf.set(chunk.subarray(within, within + count), done);
      done += count;
    }
    return complete ? 0 : -EAGAIN;
  }

  #touch(index: number, isMissing: boolean): void {
    const run = this.#current;
    if (run === undefined) return;
    if (isMissing) run.missing.add(index);
    if (run.pinned.has(index)) return;
    run.pinned.add(index);
    this.cache.pin(index);
  }

  /** Fetches chunks (ascending), neighbours in one request. */
  async #load(missing: readonly number[], options: ReadOptions): Promise<void> {
    const waits: Promise<void>[] = [];
    for (let i = 0; i < missing.length; ) {
      const known = this.#inFlight.get(missing[i]);
      if (known !== undefined) {
        waits.push(known.catch(() => {})); // another run's: should it fail or be aborted, the next attempt asks anew
        i++;
        continue;
      }
      let count = 1;
      while (
        count < this.#maxChunks &&
        missing[i + count] === missing[i] + count &&
        !this.#inFlight.has(missing[i + count])
      )
        count++;
      waits.push(this.#fetch(missing[i], count, options));
      i += count;
    }
    await Promise.all(waits);
  }

  #fetch(index: number, count: number, options: ReadOptions): Promise<void> {
    const size = this.chunkSize;
    const from = index * size;
    const beyond = Math.floor(this.ahead.beyond(from, from + count * size) / size);
    let total = count;
    while (
      total < count + beyond &&
      (index + total) * size < this.#source.size &&
      !this.cache.has(index + total) &&
      !this.#inFlight.has(index + total)
    )
      total++;
    const wanted = Math.min(this.#source.size, from + total * size) - from;
    this.count(1, 0);
    const work = this.#source.read(from, wanted, options).then((bytes) => {
      this.count(0, bytes.length);
      for (let i = 0; i < total; i++) {
        const chunk = new Uint8Array(size); // zeros behind the source's end
        chunk.set(bytes.subarray(i * size, (i + 1) * size));
        this.cache.put(index + i, chunk);
      }
    });
    const done = work.finally(() => {
      for (let i = 0; i < total; i++) this.#inFlight.delete(index + i);
    });
    for (let i = 0; i < total; i++) this.#inFlight.set(index + i, done);
    return done;
  }
}
