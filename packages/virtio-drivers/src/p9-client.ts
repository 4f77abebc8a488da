/**
 * File operations over a 9P2000.L transport: the client's half of a mounted host folder. Everything is synchronous; results are
 * values ≥ 0 or objects, and negated Linux errnos.
 *
 *   client = P9Client.mount(virtio9p)         version and attach; fid 0 is the folder
 *   file = client.walk(0, ["etc", "motd"]); client.open(file, O_RDONLY); client.read(file, buf, 0); client.clunk(file)
 *
 * A fid is a number that stands for a path until `clunk`. What the server says is checked: a malformed answer is -EPROTO.
 */
import { toErrno } from "./error.ts";
import type { VirtIO9p } from "./p9.ts";

const TWO_POW_32 = 0x1_0000_0000;
const HEADER = 7;
const NO_FID = 0xffff_ffff;
const RLERROR = 7;
const VERSION = "9P2000.L";
const EIO = 5;
const EINVAL = 22;
const ENOENT = 2;
const EPROTO = 71;
export const P9_ROOT = 0;

// Requests of the protocol; an answer is its request + 1.
const T_STATFS = 8;
const T_LOPEN = 12;
const T_LCREATE = 14;
const T_SYMLINK = 16;
const T_READLINK = 22;
const T_GETATTR = 24;
const T_SETATTR = 26;
const T_READDIR = 40;
const T_FSYNC = 50;
const T_LINK = 70;
const T_MKDIR = 72;
const T_RENAMEAT = 74;
const T_UNLINKAT = 76;
const T_VERSION = 100;
const T_ATTACH = 104;
const T_WALK = 110;
const T_READ = 116;
const T_WRITE = 118;
const T_CLUNK = 120;

const GETATTR_BASIC = 0x7ff;
const AT_REMOVEDIR = 0x200;

export interface P9Stat {
  readonly inode: number;
  /** File type and permission, as in st_mode. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  readonly size: number;
  /** Seconds and nanoseconds. */
  readonly atime: readonly [number, number];
  readonly mtime: readonly [number, number];
  readonly ctime: readonly [number, number];
}

export interface P9Entry {
  readonly name: string;
  readonly inode: number;
  /** DT_* */
  readonly type: number;
}

/** Changes of attributes; what is not there stays. */
export interface P9Change {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  readonly atime?: readonly [number, number] | "now";
  readonly mtime?: readonly [number, number] | "now";
}

/** Text as UTF-8, and back; a host has both as TextEncoder and TextDecoder. */
export interface TextCodec {
  encode(text: string): Uint8Array;
  decode(bytes: Uint8Array): string;
}

export class P9Client {
  readonly #transport: VirtIO9p;
  readonly #codec: TextCodec;
  readonly #out: DataView;
  readonly #in: DataView;
  #msize: number;
  #at = 0;
  /** Where the answer is read, and where it ends. */
  #inAt = 0;
  #inEnd = 0;
  #isBad = false;
  readonly #freeFids: number[] = [];
  #nextFid: number = P9_ROOT + 1;

  private constructor(transport: VirtIO9p, codec: TextCodec) {
    const [out, answer] = [transport.requestBytes, transport.responseBytes];
    this.#transport = transport;
    this.#codec = codec;
    this.#out = new DataView(out.buffer, out.byteOffset, out.byteLength);
    this.#in = new DataView(answer.buffer, answer.byteOffset, answer.byteLength);
    this.#msize = transport.maxMessage;
  }

  /** Agrees on the protocol and attaches the shared folder as fid 0. The client, or a negated errno. */
  static mount(transport: VirtIO9p, codec: TextCodec, user: string = "root"): P9Client | number {
    const client = new P9Client(transport, codec);
    client.#begin(T_VERSION);
    client.#u32(transport.maxMessage);
    client.#string(VERSION);
    let error = client.#call(T_VERSION);
    if (error < 0) return error;
    const msize = client.#readU32();
    if (client.#readString() !== VERSION || msize < 1024 || msize > transport.maxMessage) return -EPROTO;
    client.#msize = msize;
    client.#begin(T_ATTACH);
    client.#u32(P9_ROOT);
    client.#u32(NO_FID);
    client.#string(user);
    client.#string("");
    client.#u32(NO_FID);
    error = client.#call(T_ATTACH);
    return error < 0 ? error : client;
  }

  /** Bytes that one `read` or `write` carries at most. */
  get maxTransfer(): number {
    return this.#msize - 24;
  }

  /** A new fid for the path from `fid` through `names` (up to 16). */
  walk(fid: number, names: readonly string[]): number {
    if (names.length > 16) return -EINVAL;
    const newFid = this.#freeFids.pop() ?? this.#nextFid++;
    this.#begin(T_WALK);
    this.#u32(fid);
    this.#u32(newFid);
    this.#u16(names.length);
    for (const name of names) this.#string(name);
    let error = this.#call(T_WALK);
    if (error === 0 && this.#readU16() < names.length) error = -ENOENT; // a walk that ended early made no fid
    if (error === 0) return newFid;
    this.#freeFids.push(newFid);
    return error;
  }

  /** Opens `fid` with flags of open(2). */
  open(fid: number, flags: number): number {
    this.#begin(T_LOPEN);
    this.#u32(fid);
    this.#u32(flags);
    return this.#call(T_LOPEN);
  }

  /** Makes a file in the directory `fid` and opens it; `fid` then stands for the file. */
  create(fid: number, name: string, flags: number, mode: number, gid: number = 0): number {
    this.#begin(T_LCREATE);
    this.#u32(fid);
    this.#string(name);
    this.#u32(flags);
    this.#u32(mode);
    this.#u32(gid);
    return this.#call(T_LCREATE);
  }

  /** Bytes read at `offset`, 0 at the end; at most `maxTransfer`. */
  read(fid: number, target: Uint8Array, offset: number): number {
    this.#begin(T_READ);
    this.#u32(fid);
    this.#u64(offset);
    this.#u32(Math.min(target.length, this.maxTransfer));
    const error = this.#call(T_READ);
    if (error < 0) return error;
    const count = this.#readU32();
    if (count > target.length || this.#inAt + count > this.#inEnd) return -EPROTO;
    target.set(this.#transport.responseBytes.subarray(this.#inAt, this.#inAt + count));
    return count;
  }

  /** Bytes written at `offset`; at most `maxTransfer`. */
  write(fid: number, source: Uint8Array, offset: number): number {
    const count = Math.min(source.length, this.maxTransfer);
    this.#begin(T_WRITE);
    this.#u32(fid);
    this.#u64(offset);
    this.#u32(count);
    this.#transport.requestBytes.set(count === source.length ? source : source.subarray(0, count), this.#at);
    this.#at += count;
    const error = this.#call(T_WRITE);
    if (error < 0) return error;
    const written = this.#readU32();
    return written <= count ? written : -EPROTO;
  }

  /** All entries of an open directory, `.` and `..` included. */
  readDirectory(fid: number): readonly P9Entry[] | number {
    const entries: P9Entry[] = [];
    for (let offset = 0; ; ) {
      this.#begin(T_READDIR);
      this.#u32(fid);
      this.#u64(offset);
      this.#u32(this.maxTransfer);
      const error = this.#call(T_READDIR);
      if (error < 0) return error;
      const end = this.#inAt + 4 + this.#readU32();
      if (end > this.#inEnd) return -EPROTO;
      if (this.#inAt === end) return entries;
      const last = offset;
      while (this.#inAt < end) {
        this.#inAt += 5; // qid: type, version
        const inode = this.#readU64();
        offset = this.#readU64();
        const type = this.#readU8();
        entries.push({ name: this.#readString(), inode, type });
        if (this.#isBad) return -EPROTO;
      }
      if (offset <= last) return -EPROTO; // a server that does not get on must not keep us here
    }
  }

  stat(fid: number): P9Stat | number {
    this.#begin(T_GETATTR);
    this.#u32(fid);
    this.#u64(GETATTR_BASIC);
    const error = this.#call(T_GETATTR);
    if (error < 0) return error;
    this.#inAt += 8 + 5; // valid; qid: type, version
    const inode = this.#readU64();
    const [mode, uid, gid] = [this.#readU32(), this.#readU32(), this.#readU32()];
    const nlink = this.#readU64();
    this.#readU64(); // rdev
    const size = this.#readU64();
    this.#inAt += 16; // block size, blocks
    const time = (): [number, number] => [this.#readI64(), this.#readU64()];
    const stat = { inode, mode, uid, gid, nlink, size, atime: time(), mtime: time(), ctime: time() };
    return this.#isBad ? -EPROTO : stat;
  }

  setAttributes(fid: number, change: P9Change): number {
    const { mode, uid, gid, size, atime, mtime } = change;
    let valid = 0;
    for (const [i, value] of [mode, uid, gid, size, atime, mtime].entries()) if (value !== undefined) valid |= 1 << i;
    if (atime !== undefined && atime !== "now") valid |= 128;
    if (mtime !== undefined && mtime !== "now") valid |= 256;
    this.#begin(T_SETATTR);
    this.#u32(fid);
    for (const value of [valid, mode ?? 0, uid ?? 0, gid ?? 0]) this.#u32(value);
    this.#u64(size ?? 0);
    for (const time of [atime, mtime]) {
      const [seconds, nanoseconds] = time === undefined || time === "now" ? [0, 0] : time;
      this.#u64(seconds);
      this.#u64(nanoseconds);
    }
    return this.#call(T_SETATTR);
  }

  readLink(fid: number): string | number {
    this.#begin(T_READLINK);
    this.#u32(fid);
    const error = this.#call(T_READLINK);
    if (error < 0) return error;
    const target = this.#readString();
    return this.#isBad ? -EPROTO : target;
  }

  makeDirectory(fid: number, name: string, mode: number, gid: number = 0): number {
    this.#begin(T_MKDIR);
    this.#u32(fid);
    this.#string(name);
    this.#u32(mode);
    this.#u32(gid);
    return this.#call(T_MKDIR);
  }

  makeSymlink(fid: number, name: string, target: string, gid: number = 0): number {
    this.#begin(T_SYMLINK);
    this.#u32(fid);
    this.#string(name);
    this.#string(target);
    this.#u32(gid);
    return this.#call(T_SYMLINK);
  }

  /** Gives the file `fid` another name in a directory. */
  link(directory: number, fid: number, name: string): number {
    this.#begin(T_LINK);
    this.#u32(directory);
    this.#u32(fid);
    this.#string(name);
    return this.#call(T_LINK);
  }

  rename(fromDirectory: number, from: string, toDirectory: number, to: string): number {
    this.#begin(T_RENAMEAT);
    this.#u32(fromDirectory);
    this.#string(from);
    this.#u32(toDirectory);
    this.#string(to);
    return this.#call(T_RENAMEAT);
  }

  /** Removes a file, or an empty directory. */
  unlink(directory: number, name: string, isDirectory: boolean = false): number {
    this.#begin(T_UNLINKAT);
    this.#u32(directory);
    this.#string(name);
    this.#u32(isDirectory ? AT_REMOVEDIR : 0);
    return this.#call(T_UNLINKAT);
  }

  sync(fid: number): number {
    this.#begin(T_FSYNC);
    this.#u32(fid);
    this.#u32(0);
    return this.#call(T_FSYNC);
  }

  /** Block size, blocks, free blocks, files and free files of the host's file system. */
  space(fid: number): readonly number[] | number {
    this.#begin(T_STATFS);
    this.#u32(fid);
    const error = this.#call(T_STATFS);
    if (error < 0) return error;
    this.#readU32(); // type
    const numbers = [this.#readU32(), this.#readU64(), this.#readU64()];
    this.#readU64(); // free blocks for others than root
    numbers.push(this.#readU64(), this.#readU64());
    return this.#isBad ? -EPROTO : numbers;
  }

  /** Forgets `fid`, and closes it if it is open. */
  clunk(fid: number): number {
    this.#begin(T_CLUNK);
    this.#u32(fid);
    const error = this.#call(T_CLUNK);
    if (fid !== P9_ROOT) this.#freeFids.push(fid);
    return error;
  }

  #begin(type: number): void {
    this.#out.setUint8(4, type);
    // One request at a time, so one tag; version has none.
    this.#out.setUint16(5, type === T_VERSION ? 0xffff : 0, true);
    this.#at = HEADER;
    this.#isBad = false;
  }

  /** Sends the request and checks the answer's header. 0, or a negated errno. */
  #call(type: number): number {
    if (this.#isBad) return -EINVAL; // the request did not fit
    this.#out.setUint32(0, this.#at, true);
    const length = this.#transport.transact(this.#at);
    if (length < 0) return toErrno(length);
    if (length < HEADER || this.#in.getUint32(0, true) > length) return -EIO;
    this.#inEnd = this.#in.getUint32(0, true);
    this.#inAt = HEADER;
    const answer = this.#in.getUint8(4);
    if (answer === type + 1) return 0;
    if (answer !== RLERROR) return -EPROTO;
    const errno = this.#readU32();
    return errno > 0 && errno < 4096 ? -errno : -EPROTO;
  }

  #room(byteLength: number): boolean {
    if (this.#at + byteLength <= this.#out.byteLength) return true;
    this.#isBad = true;
    return false;
  }

  #u16(value: number): void {
    if (this.#room(2)) this.#out.setUint16(this.#at, value, true);
    this.#at += 2;
  }

  #u32(value: number): void {
    if (this.#room(4)) this.#out.setUint32(this.#at, value, true);
    this.#at += 4;
  }

  #u64(value: number): void {
    this.#u32(value >>> 0); // modulo 2^32, also for what is negative or large
    this.#u32(Math.floor(value / TWO_POW_32));
  }

  #string(text: string): void {
    const bytes = this.#codec.encode(text);
    this.#u16(bytes.length);
    if (bytes.length > 0xffff || !this.#room(bytes.length)) {
      this.#isBad = true;
      return;
    }
    this.#transport.requestBytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** May `byteLength` bytes of the answer be read? Then moves past them. */
  #take(byteLength: number): boolean {
    if (this.#inAt + byteLength > this.#inEnd) {
      this.#isBad = true;
      return false;
    }
    this.#inAt += byteLength;
    return true;
  }

  #readU8(): number {
    return this.#take(1) ? this.#in.getUint8(this.#inAt - 1) : 0;
  }

  #readU16(): number {
    return this.#take(2) ? this.#in.getUint16(this.#inAt - 2, true) : 0;
  }

  #readU32(): number {
    return this.#take(4) ? this.#in.getUint32(this.#inAt - 4, true) : 0;
  }

  #readU64(): number {
    const low = this.#readU32();
    return low + this.#readU32() * TWO_POW_32;
  }

  #readI64(): number {
    const low = this.#readU32();
    return low + (this.#readU32() | 0) * TWO_POW_32;
  }

  #readString(): string {
    const length = this.#readU16();
    if (!this.#take(length)) return "";
    return this.#codec.decode(this.#transport.responseBytes.subarray(this.#inAt - length, this.#inAt));
  }
}
