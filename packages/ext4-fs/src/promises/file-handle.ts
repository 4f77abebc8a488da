/**
 * An open file. It holds a reference to the inode: the file lives until the handle is closed, whatever happens to its name.
 */
import { EBADF, EINVAL, O_ACCMODE, O_APPEND, O_RDONLY, O_WRONLY } from "linux-abi";
import type { Ext4Inode } from "../vfs/inode.ts";
import { decode, encodingOf, type FileData, toBytes, toTime } from "./data.ts";
import { check, FsError } from "./errors.ts";
import { Stats } from "./stats.ts";

export interface ReadResult {
  readonly bytesRead: number;
  readonly buffer: Uint8Array;
}
export interface WriteResult {
  readonly bytesWritten: number;
  readonly buffer: Uint8Array;
}

export class FileHandle {
  readonly #inode: Ext4Inode;
  readonly #flags: number;
  #position = 0;
  #closed = false;

  /** Use `open`. Takes over a reference that the caller has counted. */
  constructor(inode: Ext4Inode, flags: number) {
    this.#inode = inode;
    this.#flags = flags;
  }

  #forReading(syscall: string): Ext4Inode {
    if (this.#closed || (this.#flags & O_ACCMODE) === O_WRONLY) throw new FsError(EBADF, syscall);
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
  async read(
    buffer: Uint8Array,
    offset: number = 0,
    length: number = buffer.length - offset,
    position: number | null = null,
  ): Promise<ReadResult> {
    const inode = this.#forReading("read");
    if (offset < 0 || length < 0 || offset + length > buffer.length)
      throw new RangeError('"offset" and "length" expected within the buffer');
    const at = position ?? this.#position;
    // No further than the end of the file, so that nothing behind it in the buffer is touched.
    const wanted = Math.max(0, Math.min(length, inode.size - at));
    const bytesRead = check<number>(
      wanted === 0 ? 0 : inode.readAt(at, buffer.subarray(offset, offset + wanted)),
      "read",
    );
    if (position === null) this.#position += bytesRead;
    return { bytesRead, buffer };
  }

  /** Writes `data`; without `position`, at the handle's own (or the end, in append mode), which moves on. */
  async write(data: FileData, position: number | null = null): Promise<WriteResult> {
    const inode = this.#forWriting("write");
    const buffer = toBytes(data);
    const at = (this.#flags & O_APPEND) !== 0 ? inode.size : (position ?? this.#position);
    const bytesWritten = check<number>(inode.writeAt(at, buffer), "write");
    if (position === null) this.#position = at + bytesWritten;
    return { bytesWritten, buffer };
  }

  async readFile(options?: string | { readonly encoding?: string | null } | null): Promise<Uint8Array | string> {
    const inode = this.#forReading("read");
    const bytes = new Uint8Array(Math.max(0, inode.size - this.#position));
    const count = check<number>(inode.readAt(this.#position, bytes), "read");
    this.#position += count;
    return decode(bytes.subarray(0, count), encodingOf(options));
  }

  /** Writes all of `data` from the handle's position on. */
  async writeFile(data: FileData): Promise<void> {
    const bytes = toBytes(data);
    for (let done = 0; done < bytes.length; ) done += (await this.write(bytes.subarray(done))).bytesWritten;
  }

  async appendFile(data: FileData): Promise<void> {
    const inode = this.#forWriting("write");
    check(inode.writeAt(inode.size, toBytes(data)), "write");
  }

  async stat(): Promise<Stats> {
    return new Stats(this.#any("fstat"));
  }
  async truncate(length: number = 0): Promise<void> {
    if (!(length >= 0)) throw new FsError(EINVAL, "ftruncate");
    check(this.#forWriting("ftruncate").truncate(length), "ftruncate");
  }
  async chmod(mode: number): Promise<void> {
    check(this.#any("fchmod").setattr({ mode }), "fchmod");
  }
  async chown(uid: number, gid: number): Promise<void> {
    check(this.#any("fchown").setattr({ uid, gid }), "fchown");
  }
  async utimes(atime: number | string | Date, mtime: number | string | Date): Promise<void> {
    check(this.#any("futime").setattr({ atime: toTime(atime), mtime: toTime(mtime) }), "futime");
  }
  /** fsync: what was written survives a crash. */
  async sync(): Promise<void> {
    check(this.#any("fsync").sync(false), "fsync");
  }
  async datasync(): Promise<void> {
    check(this.#any("fdatasync").sync(true), "fdatasync");
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
