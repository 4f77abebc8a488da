/**
 * An open file. It holds a reference to the inode: the file lives until the handle is closed, whatever happens to its name.
 */
import { EBADF, EINVAL, EISDIR, O_ACCMODE, O_APPEND, O_RDONLY, O_WRONLY } from "linux-abi";
import type { Ext4Inode } from "../vfs/inode.ts";
import { decode, encodingOf, type FileData, toBytes, toTime } from "./data.ts";
import { check, FsError } from "./errors.ts";
import { isDirectory } from "./paths.ts";
import { Meter, type LongOptions, type Runner } from "./runner.ts";
import { BigIntStats, type StatOptions, Stats } from "./stats.ts";
import { readableStream, readLines, type StreamRange, writableStream } from "./streams.ts";

export interface ReadResult<T = Uint8Array> {
  readonly bytesRead: number;
  readonly buffer: T;
}
export interface WriteResult<T = Uint8Array> {
  readonly bytesWritten: number;
  readonly buffer: T;
}
export interface ReadOptions {
  readonly buffer?: ArrayBufferView;
  readonly offset?: number | null;
  readonly length?: number | null;
  readonly position?: number | bigint | null;
}
export type HandleReadFileOptions = string | ({ readonly encoding?: string | null } & LongOptions) | null;
/** What a file can be written from: pieces too. */
export type WriteSource = FileData | Iterable<FileData> | AsyncIterable<FileData>;

/** Bytes of one read or write of a long one. */
const PIECE = 1 << 20;

export class FileHandle {
  readonly #inode: Ext4Inode;
  readonly #flags: number;
  readonly #runner: Runner;
  readonly #changed: () => void;
  #position = 0;
  #closed = false;

  /** Use `open`. Takes over a reference that the caller has counted; `changed` is told of every change of the file. */
  constructor(inode: Ext4Inode, flags: number, runner: Runner, changed: () => void) {
    this.#inode = inode;
    this.#flags = flags;
    this.#runner = runner;
    this.#changed = changed;
  }

  /** The inode number: there are no descriptors. */
  get fd(): number {
    return this.#closed ? -1 : this.#inode.ino;
  }

  #forReading(syscall: string): Ext4Inode {
    if (this.#closed || (this.#flags & O_ACCMODE) === O_WRONLY) throw new FsError(EBADF, syscall);
    if (isDirectory(this.#inode)) throw new FsError(EISDIR, syscall);
    return this.#inode;
  }
  #forWriting(syscall: string): Ext4Inode {
    if (this.#closed || (this.#flags & O_ACCMODE) === O_RDONLY) throw new FsError(EBADF, syscall);
    return this.#inode;
  }
  #any(syscall: string): Ext4Inode {
    if (this.#closed) throw new FsError(EBADF, syscall);
    return this.#inode;
  }

  /** Reads into `buffer[offset..offset + length)`; without `position`, at the handle's own, which moves on. */
  read<T extends ArrayBufferView>(
    buffer: T,
    offset?: number | null | Omit<ReadOptions, "buffer">,
    length?: number | null,
    position?: number | bigint | null,
  ): Promise<ReadResult<T>>;
  read(options?: ReadOptions): Promise<ReadResult<ArrayBufferView>>;
  async read(
    first: ArrayBufferView | ReadOptions = {},
    second?: number | null | Omit<ReadOptions, "buffer">,
    third?: number | null,
    fourth?: number | bigint | null,
  ): Promise<ReadResult<ArrayBufferView>> {
    const given: ReadOptions = ArrayBuffer.isView(first)
      ? typeof second === "object" && second !== null
        ? { ...second, buffer: first }
        : { buffer: first, offset: second ?? 0, length: third ?? null, position: fourth ?? null }
      : first;
    const buffer = given.buffer ?? new Uint8Array(16 << 10);
    const bytes = toBytes(buffer);
    const offset = given.offset ?? 0;
    const length = given.length ?? bytes.length - offset;
    if (offset < 0 || length < 0 || offset + length > bytes.length)
      throw new RangeError('"offset" and "length" expected within the buffer');
    const bytesRead = await this.#readInto(bytes.subarray(offset, offset + length), positionOf(given.position));
    return { bytesRead, buffer };
  }

  /** Reads up to `out.length` bytes; `null` = at the handle's position. */
  async #readInto(out: Uint8Array, position: number | null, signal?: AbortSignal): Promise<number> {
    const inode = this.#forReading("read");
    let done = 0;
    do {
      const at = position ?? this.#position;
      const count = await this.#runner.run(() => {
        // No further than the end of the file, so that nothing behind it in the buffer is touched.
        const wanted = Math.max(
          0,
          Math.min(out.length - done, PIECE, inode.size - (at + (position === null ? 0 : done))),
        );
        if (wanted === 0) return 0;
        return inode.readAt(at + (position === null ? 0 : done), out.subarray(done, done + wanted));
      }, signal);
      check(count, "read");
      if (position === null) this.#position += count;
      done += count;
      if (count < PIECE) break;
    } while (done < out.length);
    return done;
  }

  /** Reads into one buffer after the other. */
  async readv(
    buffers: readonly ArrayBufferView[],
    position?: number | null,
  ): Promise<{ bytesRead: number; buffers: readonly ArrayBufferView[] }> {
    let bytesRead = 0;
    for (const buffer of buffers) {
      const bytes = toBytes(buffer);
      const count = await this.#readInto(bytes, position == null ? null : position + bytesRead);
      bytesRead += count;
      if (count < bytes.length) break;
    }
    return { bytesRead, buffers };
  }

  /**
   * Writes (part of) a buffer, or a string; without `position`, at the handle's own, which moves on. In append mode always at
   * the end. As in Node: (buffer, offset, length, position), (buffer, {offset, length, position}), (string, position, encoding).
   */
  write<T extends ArrayBufferView>(
    buffer: T,
    offset?: number | null | { offset?: number; length?: number; position?: number | null },
    length?: number | null,
    position?: number | null,
  ): Promise<WriteResult<T>>;
  write(text: string, position?: number | null, encoding?: string | null): Promise<WriteResult<string>>;
  async write(
    data: ArrayBufferView | string,
    second?: number | null | { offset?: number; length?: number; position?: number | null },
    third?: number | string | null,
    fourth?: number | null,
  ): Promise<WriteResult<ArrayBufferView | string>> {
    if (typeof data === "string") {
      const text = toBytes(data, encodingOf(third as string | null | undefined) ?? "utf8");
      const bytesWritten = await this.#writeFrom(text, (second as number | null | undefined) ?? null);
      return { bytesWritten, buffer: data };
    }
    const bytes = toBytes(data);
    const given =
      typeof second === "object" && second !== null
        ? second
        : { offset: second ?? 0, length: (third as number | null | undefined) ?? undefined, position: fourth ?? null };
    const offset = given.offset ?? 0;
    const length = given.length ?? bytes.length - offset;
    if (offset < 0 || length < 0 || offset + length > bytes.length)
      throw new RangeError('"offset" and "length" expected within the buffer');
    const bytesWritten = await this.#writeFrom(bytes.subarray(offset, offset + length), given.position ?? null);
    return { bytesWritten, buffer: data };
  }

  async #writeFrom(bytes: Uint8Array, position: number | null): Promise<number> {
    const inode = this.#forWriting("write");
    const at = (this.#flags & O_APPEND) !== 0 ? inode.size : (position ?? this.#position);
    const count = check<number>(await this.#runner.run(() => inode.writeAt(at, bytes)), "write");
    if (position === null) this.#position = at + count;
    this.#changed();
    return count;
  }

  async writev(
    buffers: readonly ArrayBufferView[],
    position?: number | null,
  ): Promise<{ bytesWritten: number; buffers: readonly ArrayBufferView[] }> {
    let bytesWritten = 0;
    for (const buffer of buffers)
      bytesWritten += await this.#writeFrom(toBytes(buffer), position == null ? null : position + bytesWritten);
    return { bytesWritten, buffers };
  }

  /** From the handle's position to the end. */
  async readFile(options?: HandleReadFileOptions): Promise<Uint8Array | string> {
    const inode = this.#forReading("read");
    const encoding = encodingOf(options);
    const meter = new Meter(typeof options === "object" && options !== null ? options : {});
    const bytes = new Uint8Array(Math.max(0, inode.size - this.#position));
    let done = 0;
    while (done < bytes.length) {
      const count = await this.#readInto(
        bytes.subarray(done, Math.min(bytes.length, done + PIECE)),
        null,
        meter.signal,
      );
      if (count === 0) break;
      done += count;
      await meter.did(0, count);
    }
    return decode(bytes.subarray(0, done), encoding);
  }

  /** Writes all of `data` from the handle's position on. */
  async writeFile(data: WriteSource, options?: HandleReadFileOptions): Promise<void> {
    const encoding = encodingOf(options) ?? "utf8";
    const meter = new Meter(typeof options === "object" && options !== null ? options : {});
    for await (const piece of pieces(data)) {
      const bytes = toBytes(piece, encoding);
      for (let done = 0; done < bytes.length; ) {
        const count = await this.#writeFrom(bytes.subarray(done, done + PIECE), null);
        done += count;
        await meter.did(0, count);
      }
    }
  }

  async appendFile(data: WriteSource, options?: HandleReadFileOptions): Promise<void> {
    this.#position = this.#forWriting("write").size;
    await this.writeFile(data, options);
  }

  stat(options: StatOptions & { readonly bigint: true }): Promise<BigIntStats>;
  stat(options?: StatOptions & { readonly bigint?: false }): Promise<Stats>;
  async stat(options: StatOptions = {}): Promise<Stats | BigIntStats> {
    const inode = this.#any("fstat");
    return options.bigint === true ? new BigIntStats(inode) : new Stats(inode);
  }
  async truncate(length: number = 0): Promise<void> {
    if (!(length >= 0)) throw new FsError(EINVAL, "ftruncate");
    check(this.#forWriting("ftruncate").truncate(length), "ftruncate");
    this.#changed();
  }
  async chmod(mode: number): Promise<void> {
    check(this.#any("fchmod").setattr({ mode }), "fchmod");
    this.#changed();
  }
  async chown(uid: number, gid: number): Promise<void> {
    check(this.#any("fchown").setattr({ uid, gid }), "fchown");
    this.#changed();
  }
  async utimes(atime: number | string | Date, mtime: number | string | Date): Promise<void> {
    check(this.#any("futime").setattr({ atime: toTime(atime), mtime: toTime(mtime) }), "futime");
    this.#changed();
  }
  /** fsync: what was written survives a crash. */
  async sync(): Promise<void> {
    check(this.#any("fsync").sync(false), "fsync");
  }
  async datasync(): Promise<void> {
    check(this.#any("fdatasync").sync(true), "fdatasync");
  }

  /** The file from `start` to `end` as a stream of bytes. Node's streams: `Readable.fromWeb(handle.readableWebStream())`. */
  readableWebStream(options: StreamRange = {}): ReadableStream<Uint8Array> {
    this.#forReading("read");
    return readableStream(this, options);
  }
  /** A stream that writes what it gets. */
  writableWebStream(options: Pick<StreamRange, "start" | "autoClose" | "signal"> = {}): WritableStream<Uint8Array> {
    this.#forWriting("write");
    return writableStream(this, options);
  }
  /** The lines, without their ends: `for await (const line of handle.readLines())`. */
  readLines(options: StreamRange = {}): AsyncGenerator<string, void> {
    this.#forReading("read");
    return readLines(this, options);
  }

  /** Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#inode.unref();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function positionOf(position: number | bigint | null | undefined): number | null {
  if (position === null || position === undefined || position === -1) return null;
  return Number(position);
}

function pieces(data: WriteSource): Iterable<FileData> | AsyncIterable<FileData> {
  if (typeof data === "string" || ArrayBuffer.isView(data) || data instanceof ArrayBuffer) return [data];
  return data;
}
