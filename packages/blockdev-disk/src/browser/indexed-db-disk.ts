/**
 * A disk in the browser's IndexedDB, for pages without OPFS or without a Worker.
 *
 * IndexedDB is asynchronous and a disk is not, so the written part of the disk is held in memory (sparse: what was never written
 * costs nothing), and each `flush` starts one transaction with everything written since the last one. Flush contract:
 *  - `flush` returns at once; the transaction is durable later, `persisted()` tells when. Transactions are atomic and complete
 *    in order, so whenever the page ends, the disk is found exactly as at some flush, never in between.
 *  - A transaction that failed is reported by the next `flush` (-ENOSPC when the quota is used up, else -EIO), and what it held is
 *    written again by that one's successor.
 *
 *   const disk = await IndexedDbDisk.open("my-disk", { size: 64 << 20 });
 */
import { type BlockDevice, checkTransfer, checkWrite, SECTOR_SIZE } from "../block-device.ts";
import { EIO, ENOSPC } from "../errno.ts";

// What is used of the platform's IndexedDB.
interface DbRequest<T> {
  readonly result: T;
  readonly error: unknown;
  onsuccess: (() => void) | null;
  onerror: (() => void) | null;
}
interface DbOpenRequest extends DbRequest<Database> {
  onupgradeneeded: (() => void) | null;
  onblocked: (() => void) | null;
}
interface DbStore {
  get(key: number | string): DbRequest<unknown>;
  getAll(range: unknown): DbRequest<unknown[]>;
  getAllKeys(): DbRequest<number[]>;
  put(value: unknown, key: number | string): DbRequest<unknown>;
  delete(key: number | string): DbRequest<unknown>;
}
interface DbTransaction {
  readonly error: unknown;
  objectStore(name: string): DbStore;
  oncomplete: (() => void) | null;
  onerror: (() => void) | null;
  onabort: (() => void) | null;
}
interface Database {
  createObjectStore(name: string): unknown;
  transaction(stores: string | string[], mode: string, options?: { durability: string }): DbTransaction;
  close(): void;
}
interface DbPlatform {
  readonly indexedDB: {
    open(name: string, version: number): DbOpenRequest;
    deleteDatabase(name: string): DbRequest<unknown>;
  };
  readonly IDBKeyRange: { bound(low: number, high: number): unknown };
}

export interface IndexedDbOptions {
  /** Bytes, a multiple of 512; needed for a new disk. An existing one keeps its size unless this is larger. */
  readonly size?: number;
  /** Writes answer -EROFS. Default false. */
  readonly readOnly?: boolean;
}

/** Bytes of one record. */
const CHUNK_SIZE = 64 << 10;
/** Records to load in one go. */
const LOAD_COUNT = 128;
const CHUNKS = "chunks";
const DISK = "disk";

const platform = (): DbPlatform => globalThis as unknown as DbPlatform;

export class IndexedDbDisk implements BlockDevice {
  readonly size: number;
  readonly blockSize: number = SECTOR_SIZE;
  readonly readOnly: boolean;
  readonly #database: Database;
  readonly #chunks: Map<number, Uint8Array>;
  readonly #dirty = new Set<number>();
  #last: Promise<void> = Promise.resolve();
  #failure = 0;
  #closed = false;

  private constructor(database: Database, size: number, chunks: Map<number, Uint8Array>, readOnly: boolean) {
    this.#database = database;
    this.size = size;
    this.#chunks = chunks;
    this.readOnly = readOnly;
  }

  /** Opens or makes the disk called `name` and loads what is in it. Rejects with the platform's error, or RangeError on a bad size. */
  static async open(name: string, options: IndexedDbOptions = {}): Promise<IndexedDbDisk> {
    const { size, readOnly = false } = options;
    if (size !== undefined && (!Number.isSafeInteger(size) || size <= 0 || size % SECTOR_SIZE !== 0))
      throw new RangeError(`"size" expected positive multiple of ${SECTOR_SIZE}, got ${size}`);
    const opening = platform().indexedDB.open(name, 1);
    opening.onupgradeneeded = () => {
      opening.result.createObjectStore(CHUNKS);
      opening.result.createObjectStore(DISK);
    };
    const database = await settled(opening);
    try {
      const stored = (await settled(database.transaction(DISK, "readonly").objectStore(DISK).get("size"))) as
        | number
        | undefined;
      const total = Math.max(stored ?? 0, size ?? 0);
      if (total === 0) throw new RangeError(`"size" expected: there is no disk called ${name} yet`);
      if (total !== stored && !readOnly)
        await settled(database.transaction(DISK, "readwrite").objectStore(DISK).put(total, "size"));
      return new IndexedDbDisk(database, total, await loadChunks(database), readOnly);
    } catch (reason) {
      database.close();
      throw reason;
    }
  }

  /** Deletes the disk called `name`, which must not be open. */
  static async remove(name: string): Promise<void> {
    await settled(platform().indexedDB.deleteDatabase(name));
  }

  /** Bytes of the disk held in memory. */
  get memoryBytes(): number {
    return this.#chunks.size * CHUNK_SIZE;
  }

  readBlock(blockId: number, buf: Uint8Array): number {
    const error = checkTransfer(this, blockId, buf.length);
    if (error !== 0) return error;
    if (this.#closed) return -EIO;
    const start = blockId * SECTOR_SIZE;
    for (let done = 0; done < buf.length; ) {
      const within = (start + done) % CHUNK_SIZE;
      const count = Math.min(buf.length - done, CHUNK_SIZE - within);
      const chunk = this.#chunks.get((start + done - within) / CHUNK_SIZE);
      if (chunk === undefined) buf.fill(0, done, done + count);
      else buf.set(chunk.subarray(within, within + count), done);
      done += count;
    }
    return 0;
  }

  writeBlock(blockId: number, buf: Uint8Array): number {
    const error = checkWrite(this, blockId, buf.length);
    if (error !== 0) return error;
    if (this.#closed) return -EIO;
    const start = blockId * SECTOR_SIZE;
    for (let done = 0; done < buf.length; ) {
      const within = (start + done) % CHUNK_SIZE;
      const count = Math.min(buf.length - done, CHUNK_SIZE - within);
      const index = (start + done - within) / CHUNK_SIZE;
      let chunk = this.#chunks.get(index);
      if (chunk === undefined) {
        chunk = new Uint8Array(CHUNK_SIZE);
        this.#chunks.set(index, chunk);
      }
      chunk.set(buf.subarray(done, done + count), within);
      this.#dirty.add(index);
      done += count;
    }
    return 0;
  }

  /** Chunks that lie wholly in the range are given back and read as zeros. */
  discard(blockId: number, count: number): number {
    if (count <= 0) return 0;
    const error = checkWrite(this, blockId, count * SECTOR_SIZE);
    if (error !== 0) return error;
    const end = Math.floor(((blockId + count) * SECTOR_SIZE) / CHUNK_SIZE);
    for (let index = Math.ceil((blockId * SECTOR_SIZE) / CHUNK_SIZE); index < end; index++)
      if (this.#chunks.delete(index)) this.#dirty.add(index);
    return 0;
  }

  flush(): number {
    if (this.#closed) return -EIO;
    if (this.#dirty.size > 0) this.#write();
    const failure = this.#failure;
    this.#failure = 0;
    return failure;
  }

  /** Resolves when everything flushed so far is durable; rejects with the platform's error when it could not be written. */
  persisted(): Promise<void> {
    return this.#last;
  }

  /** Waits until everything flushed is durable and closes. Writes that were not flushed are lost. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    try {
      await this.#last;
    } finally {
      this.#database.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** One transaction with all changes; `put` copies the bytes, so later writes do not get into it. */
  #write(): void {
    const changed = [...this.#dirty];
    this.#dirty.clear();
    const done = new Promise<void>((resolve, reject) => {
      const transaction = this.#database.transaction(CHUNKS, "readwrite", { durability: "strict" });
      const store = transaction.objectStore(CHUNKS);
      for (const index of changed) {
        const chunk = this.#chunks.get(index);
        if (chunk === undefined) store.delete(index);
        else store.put(chunk, index);
      }
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error);
    });
    const before = this.#last;
    this.#last = done.catch((reason: unknown) => {
      for (const index of changed) this.#dirty.add(index);
      this.#failure = (reason as { name?: string } | null)?.name === "QuotaExceededError" ? -ENOSPC : -EIO;
      throw reason;
    });
    // Nobody has to listen: the next flush tells. What an earlier one failed with is its own affair.
    this.#last.catch(() => {});
    before.catch(() => {});
  }
}

async function loadChunks(database: Database): Promise<Map<number, Uint8Array>> {
  const chunks = new Map<number, Uint8Array>();
  const store = (): DbStore => database.transaction(CHUNKS, "readonly").objectStore(CHUNKS);
  const keys = await settled(store().getAllKeys());
  for (let i = 0; i < keys.length; i += LOAD_COUNT) {
    const part = keys.slice(i, i + LOAD_COUNT);
    const values = await settled(store().getAll(platform().IDBKeyRange.bound(part[0], part[part.length - 1])));
    for (const [k, key] of part.entries()) chunks.set(key, values[k] as Uint8Array);
  }
  return chunks;
}

function settled<T>(request: DbRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
