/**
 * A 9P2000.L server over a `SharedFolder`: one client, one folder.
 *
 *   respond(request, response)      reads the message in `request`, writes the answer into `response`
 *
 * A fid is the client's name for a path, and for an open file once it was opened. The server walks paths component by component
 * and lets none of them pass a symbolic link, so that a guest stays inside the folder. When something is renamed, the fids below
 * it follow.
 *
 * Spec: the diod project's protocol text of 9P2000.L; Linux's v9fs is the client it is for. Extended attributes answer EOPNOTSUPP.
 */
import {
  EBADF,
  EEXIST,
  EINVAL,
  EISDIR,
  EMFILE,
  ENAMETOOLONG,
  ENOENT,
  ENOTDIR,
  EOPNOTSUPP,
  EPERM,
  EPROTO,
  EROFS,
  type FolderChange,
  type FolderStat,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  type SharedFolder,
} from "./folder.ts";
import { encodeUtf8, type MessageCursor } from "./message.ts";

const HEADER = 7;
const RLERROR = 7;
const NO_FID = 0xffff_ffff;
const MAX_FIDS = 16_384;
const MAX_PATH = 4096;
const MIN_MSIZE = 4096;
const VERSION = "9P2000.L";
const NO_HANDLE = -1;

// open flags of Linux as 9P2000.L carries them
const O_ACCMODE = 3;
const O_WRONLY = 1;
const O_EXCL = 0o200;
const O_TRUNC = 0o1000;

const GETATTR_BASIC = 0x7ff;
// Tsetattr `valid`
const SET_MODE = 1;
const SET_UID = 2;
const SET_GID = 4;
const SET_SIZE = 8;
const SET_ATIME = 16;
const SET_MTIME = 32;
const SET_ATIME_SET = 128;
const SET_MTIME_SET = 256;
const UNLINK_DIRECTORY = 0x200; // AT_REMOVEDIR

interface Fid {
  path: string;
  /** Open file; NO_HANDLE if not open, or a directory. */
  handle: number;
  isOpen: boolean;
  /** Names of an open directory. */
  names: readonly string[];
}

/** Number, name, may it be served read-only?, function. */
type Handler = (server: P9Server, request: MessageCursor, response: MessageCursor) => number;
interface Operation {
  readonly name: string;
  readonly isWrite: boolean;
  readonly run: Handler;
}

export interface P9ServerOptions {
  readonly folder: SharedFolder;
  /** Answer EROFS to whatever would change the folder. Default false. */
  readonly readOnly?: boolean;
  /** Largest message, in bytes. */
  readonly maxMessage: number;
  readonly now: () => { readonly seconds: number; readonly nanoseconds: number };
}

export class P9Server {
  readonly #options: P9ServerOptions;
  readonly #folder: SharedFolder;
  readonly #fids: Map<number, Fid> = new Map();
  #msize: number;

  constructor(options: P9ServerOptions) {
    this.#options = options;
    this.#folder = options.folder;
    this.#msize = options.maxMessage;
  }

  /** Forgets all fids. */
  reset(): void {
    for (const fid of this.#fids.values()) this.#close(fid);
    this.#fids.clear();
    this.#msize = this.#options.maxMessage;
  }

  /** Answers the message in `request`. Returns the length of the answer; it is never longer than `room`. */
  respond(request: MessageCursor, response: MessageCursor, room: number): number {
    request.at = 4;
    const type = request.u8();
    const tag = request.u16();
    response.begin(HEADER, Math.min(room, this.#msize));
    const operation = OPERATIONS[type];
    let error: number = -EOPNOTSUPP;
    if (operation !== undefined) {
      error = operation.isWrite && this.#options.readOnly ? -EROFS : operation.run(this, request, response);
      if (error >= 0 && response.isBad) error = -EPROTO;
    }
    if (error < 0) {
      response.begin(HEADER, room);
      response.putU32(-error);
    }
    const length = response.at;
    response.begin(0, length);
    response.putU32(length);
    response.putU8(error < 0 ? RLERROR : type + 1);
    response.putU16(tag);
    return length;
  }

  version(request: MessageCursor, response: MessageCursor): number {
    const msize = request.u32();
    const version = request.string();
    if (request.isBad || msize < MIN_MSIZE) return -EINVAL;
    this.reset();
    this.#msize = Math.min(msize, this.#options.maxMessage);
    response.putU32(this.#msize);
    response.putString(version === VERSION ? VERSION : "unknown");
    return 0;
  }

  attach(request: MessageCursor, response: MessageCursor): number {
    const id = request.u32();
    if (request.isBad) return -EPROTO;
    if (this.#fids.has(id) || id === NO_FID) return -EBADF;
    const stat = this.#folder.stat("");
    if (typeof stat === "number") return stat;
    this.#add(id, "");
    putQid(response, stat);
    return 0;
  }

  walk(request: MessageCursor, response: MessageCursor): number {
    const from = this.#fid(request);
    const newId = request.u32();
    const count = request.u16();
    if (from === undefined) return -EBADF;
    const isSame = this.#fids.get(newId) === from;
    if (newId === NO_FID || (!isSame && this.#fids.has(newId))) return -EBADF;
    if (!isSame && this.#fids.size >= MAX_FIDS) return -EMFILE;
    let { path } = from;
    const countAt = response.at;
    response.putU16(0);
    let error: number = -ENOENT;
    let walked = 0;
    for (; walked < count; walked++) {
      const next = this.#step(path, request.string());
      if (request.isBad) return -EINVAL;
      if (typeof next === "number") {
        error = next;
        break;
      }
      const stat = this.#folder.stat(next);
      if (typeof stat === "number") {
        error = stat;
        break;
      }
      putQid(response, stat);
      path = next;
    }
    if (walked === 0 && count > 0) return error;
    response.view.setUint16(countAt, walked, true);
    // A walk that ends early makes no fid; the client sees it by the number of qids.
    if (walked < count) return 0;
    if (isSame) from.path = path;
    else this.#add(newId, path);
    return 0;
  }

  getattr(request: MessageCursor, response: MessageCursor): number {
    const fid = this.#fid(request);
    if (fid === undefined) return -EBADF;
    const stat = this.#stat(fid);
    if (typeof stat === "number") return stat;
    response.putU64(GETATTR_BASIC);
    putQid(response, stat);
    response.putU32(stat.mode);
    response.putU32(stat.uid);
    response.putU32(stat.gid);
    for (const value of [stat.nlink, 0, stat.size, 4096, Math.ceil(stat.size / 512)]) response.putU64(value);
    for (const time of [stat.atime, stat.mtime, stat.ctime, { seconds: 0, nanoseconds: 0 }]) {
      response.putU64(time.seconds);
      response.putU64(time.nanoseconds);
    }
    response.putU64(0); // generation, data version: not told
    response.putU64(0);
    return 0;
  }

  setattr(request: MessageCursor): number {
    const fid = this.#fid(request);
    const valid = request.u32();
    const [mode, uid, gid] = [request.u32(), request.u32(), request.u32()];
    const size = request.u64();
    const atime = { seconds: request.i64(), nanoseconds: request.u64() };
    const mtime = { seconds: request.i64(), nanoseconds: request.u64() };
    if (request.isBad) return -EPROTO;
    if (fid === undefined) return -EBADF;
    const now = this.#options.now();
    const change: FolderChange = {
      ...((valid & SET_MODE) !== 0 && { mode: mode & 0o7777 }),
      ...((valid & SET_UID) !== 0 && { uid }),
      ...((valid & SET_GID) !== 0 && { gid }),
      ...((valid & SET_SIZE) !== 0 && { size }),
      ...((valid & SET_ATIME) !== 0 && { atime: (valid & SET_ATIME_SET) !== 0 ? atime : now }),
      ...((valid & SET_MTIME) !== 0 && { mtime: (valid & SET_MTIME_SET) !== 0 ? mtime : now }),
    };
    return this.#folder.change(fid.path, change);
  }

  lopen(request: MessageCursor, response: MessageCursor): number {
    const fid = this.#fid(request);
    const flags = request.u32();
    if (fid === undefined || fid.isOpen) return -EBADF;
    const stat = this.#folder.stat(fid.path);
    if (typeof stat === "number") return stat;
    const kind = stat.mode & S_IFMT;
    const access = flags & O_ACCMODE;
    const isChange = access !== 0 || (flags & O_TRUNC) !== 0;
    if (isChange && this.#options.readOnly) return -EROFS;
    if (kind === S_IFDIR) {
      if (isChange) return -EISDIR;
    } else if (kind !== S_IFLNK) {
      const handle = this.#folder.open(fid.path, { read: access !== O_WRONLY, write: isChange });
      if (handle < 0) return handle;
      fid.handle = handle;
      const error = (flags & O_TRUNC) !== 0 ? this.#folder.change(fid.path, { size: 0 }) : 0;
      if (error < 0) {
        this.#close(fid);
        return error;
      }
    }
    fid.isOpen = true;
    putQid(response, stat);
    response.putU32(0);
    return 0;
  }

  lcreate(request: MessageCursor, response: MessageCursor): number {
    const fid = this.#fid(request);
    const name = request.string();
    const flags = request.u32();
    const mode = request.u32();
    const path = this.#child(fid, name, request);
    if (typeof path === "number") return path;
    if (fid!.isOpen) return -EBADF;
    let handle = this.#folder.create(path, mode & 0o7777);
    if (handle === -EEXIST && (flags & O_EXCL) === 0) handle = this.#folder.open(path, { read: true, write: true });
    if (handle < 0) return handle;
    const stat = this.#folder.statOpen(handle);
    if (typeof stat === "number") {
      this.#folder.close(handle);
      return stat;
    }
    fid!.path = path;
    fid!.handle = handle;
    fid!.isOpen = true;
    putQid(response, stat);
    response.putU32(0);
    return 0;
  }

  read(request: MessageCursor, response: MessageCursor): number {
    const fid = this.#fid(request);
    const offset = request.u64();
    const wanted = request.u32();
    if (request.isBad || fid === undefined || fid.handle === NO_HANDLE) return -EBADF;
    const start = response.at + 4;
    const room = Math.max(Math.min(wanted, response.end - start), 0);
    const count = room === 0 ? 0 : this.#folder.read(fid.handle, response.bytes.subarray(start, start + room), offset);
    if (count < 0) return count;
    response.putU32(count);
    response.data(count);
    return 0;
  }

  write(request: MessageCursor, response: MessageCursor): number {
    const fid = this.#fid(request);
    const offset = request.u64();
    const count = request.u32();
    const start = request.data(count);
    if (request.isBad) return -EPROTO;
    if (fid === undefined || fid.handle === NO_HANDLE) return -EBADF;
    const written = this.#folder.write(fid.handle, request.bytes.subarray(start, start + count), offset);
    if (written < 0) return written;
    response.putU32(written);
    return 0;
  }

  readdir(request: MessageCursor, response: MessageCursor): number {
    const fid = this.#fid(request);
    const offset = request.u64();
    const wanted = request.u32();
    if (request.isBad || fid === undefined || !fid.isOpen) return -EBADF;
    if (offset === 0) {
      const names = this.#folder.list(fid.path);
      if (typeof names === "number") return names;
      fid.names = [".", "..", ...names];
    }
    const countAt = response.at;
    response.putU32(0);
    const start = response.at;
    const limit = Math.min(start + wanted, response.end);
    for (let i = offset; i < fid.names.length; i++) {
      const name = fid.names[i];
      const path = i > 1 ? join(fid.path, name) : i === 0 ? fid.path : parentOf(fid.path);
      const stat = this.#folder.stat(path);
      if (typeof stat === "number") continue; // gone since
      const bytes = encodeUtf8(name);
      if (response.at + 24 + bytes.length > limit) break;
      putQid(response, stat);
      response.putU64(i + 1);
      response.putU8((stat.mode & S_IFMT) >> 12); // DT_*
      response.putBytes(bytes);
    }
    response.view.setUint32(countAt, response.at - start, true);
    return 0;
  }

  readlink(request: MessageCursor, response: MessageCursor): number {
    const fid = this.#fid(request);
    if (fid === undefined) return -EBADF;
    const target = this.#folder.readLink(fid.path);
    if (typeof target === "number") return target;
    response.putString(target);
    return 0;
  }

  symlink(request: MessageCursor, response: MessageCursor): number {
    const path = this.#child(this.#fid(request), request.string(), request);
    const target = request.string();
    if (typeof path === "number") return path;
    if (request.isBad || target === "" || target.includes("\0")) return -EINVAL;
    return this.#made(path, this.#folder.makeSymlink(path, target), response);
  }

  mkdir(request: MessageCursor, response: MessageCursor): number {
    const path = this.#child(this.#fid(request), request.string(), request);
    const mode = request.u32();
    if (typeof path === "number") return path;
    return this.#made(path, this.#folder.makeDirectory(path, mode & 0o7777), response);
  }

  link(request: MessageCursor): number {
    const directory = this.#fid(request);
    const existing = this.#fid(request);
    const path = this.#child(directory, request.string(), request);
    if (typeof path === "number") return path;
    return existing === undefined ? -EBADF : this.#folder.link(existing.path, path);
  }

  rename(request: MessageCursor): number {
    const fid = this.#fid(request);
    const to = this.#child(this.#fid(request), request.string(), request);
    if (typeof to === "number") return to;
    return fid === undefined ? -EBADF : this.#rename(fid.path, to);
  }

  renameat(request: MessageCursor): number {
    const from = this.#child(this.#fid(request), request.string(), request);
    const to = this.#child(this.#fid(request), request.string(), request);
    if (typeof from === "number") return from;
    return typeof to === "number" ? to : this.#rename(from, to);
  }

  unlinkat(request: MessageCursor): number {
    const path = this.#child(this.#fid(request), request.string(), request);
    const flags = request.u32();
    return typeof path === "number" ? path : this.#folder.remove(path, (flags & UNLINK_DIRECTORY) !== 0);
  }

  remove(request: MessageCursor): number {
    const fid = this.#fid(request);
    if (fid === undefined) return -EBADF;
    const stat = this.#stat(fid);
    const error = typeof stat === "number" ? stat : this.#folder.remove(fid.path, (stat.mode & S_IFMT) === S_IFDIR);
    this.#forget(fid); // also if it fails
    return fid.path === "" ? -EPERM : error;
  }

  clunk(request: MessageCursor): number {
    const fid = this.#fid(request);
    if (fid === undefined) return -EBADF;
    this.#forget(fid);
    return 0;
  }

  fsync(request: MessageCursor): number {
    const fid = this.#fid(request);
    if (fid === undefined) return -EBADF;
    return fid.handle === NO_HANDLE ? 0 : this.#folder.sync(fid.handle);
  }

  statfs(request: MessageCursor, response: MessageCursor): number {
    if (this.#fid(request) === undefined) return -EBADF;
    const { blockSize, blocks, freeBlocks, files, freeFiles } = this.#folder.space();
    response.putU32(0x0102_1997); // V9FS_MAGIC
    response.putU32(blockSize);
    for (const value of [blocks, freeBlocks, freeBlocks, files, freeFiles, 0]) response.putU64(value);
    response.putU32(255);
    return 0;
  }

  /** One client, whose kernel keeps its locks: every lock succeeds, and nobody else holds one. */
  lock(request: MessageCursor, response: MessageCursor): number {
    if (this.#fid(request) === undefined) return -EBADF;
    response.putU8(0);
    return 0;
  }

  getlock(request: MessageCursor, response: MessageCursor): number {
    if (this.#fid(request) === undefined) return -EBADF;
    request.u8();
    const [start, length, process] = [request.u64(), request.u64(), request.u32()];
    const client = request.string();
    response.putU8(2); // F_UNLCK
    response.putU64(start);
    response.putU64(length);
    response.putU32(process);
    response.putString(client);
    return 0;
  }

  #add(id: number, path: string): void {
    this.#fids.set(id, { path, handle: NO_HANDLE, isOpen: false, names: [] });
  }

  #fid(request: MessageCursor): Fid | undefined {
    return this.#fids.get(request.u32());
  }

  #forget(fid: Fid): void {
    this.#close(fid);
    for (const [id, each] of this.#fids) {
      if (each !== fid) continue;
      this.#fids.delete(id);
      return;
    }
  }

  #close(fid: Fid): void {
    if (fid.handle !== NO_HANDLE) this.#folder.close(fid.handle);
    fid.handle = NO_HANDLE;
    fid.isOpen = false;
  }

  #stat(fid: Fid): FolderStat | number {
    return fid.handle === NO_HANDLE ? this.#folder.stat(fid.path) : this.#folder.statOpen(fid.handle);
  }

  /** Path one component further: only out of a real directory, and never above the folder. */
  #step(path: string, name: string): string | number {
    if (name === "..") return parentOf(path);
    if (!isName(name)) return -EINVAL;
    const stat = this.#folder.stat(path);
    if (typeof stat === "number") return stat;
    if ((stat.mode & S_IFMT) !== S_IFDIR) return -ENOTDIR;
    const next = join(path, name);
    return next.length > MAX_PATH ? -ENAMETOOLONG : next;
  }

  /** Path of a name in the directory that `fid` stands for. */
  #child(fid: Fid | undefined, name: string, request: MessageCursor): string | number {
    if (request.isBad) return -EPROTO;
    if (fid === undefined) return -EBADF;
    return name === ".." ? -EINVAL : this.#step(fid.path, name);
  }

  #made(path: string, error: number, response: MessageCursor): number {
    if (error < 0) return error;
    const stat = this.#folder.stat(path);
    if (typeof stat === "number") return stat;
    putQid(response, stat);
    return 0;
  }

  #rename(from: string, to: string): number {
    if (from === "" || to === "") return -EPERM;
    const error = this.#folder.rename(from, to);
    if (error < 0) return error;
    for (const fid of this.#fids.values()) {
      if (fid.path === from || fid.path.startsWith(`${from}/`)) fid.path = to + fid.path.slice(from.length);
    }
    return 0;
  }
}

const operation = (name: string, isWrite: boolean, run: Handler): Operation => ({ name, isWrite, run });

/** Requests by type. What is missing here answers EOPNOTSUPP: authentication, device nodes, extended attributes. */
export const OPERATIONS: Readonly<Record<number, Operation>> = {
  8: operation("statfs", false, (server, request, response) => server.statfs(request, response)),
  12: operation("lopen", false, (server, request, response) => server.lopen(request, response)),
  14: operation("lcreate", true, (server, request, response) => server.lcreate(request, response)),
  16: operation("symlink", true, (server, request, response) => server.symlink(request, response)),
  20: operation("rename", true, (server, request) => server.rename(request)),
  22: operation("readlink", false, (server, request, response) => server.readlink(request, response)),
  24: operation("getattr", false, (server, request, response) => server.getattr(request, response)),
  26: operation("setattr", true, (server, request) => server.setattr(request)),
  40: operation("readdir", false, (server, request, response) => server.readdir(request, response)),
  50: operation("fsync", false, (server, request) => server.fsync(request)),
  52: operation("lock", false, (server, request, response) => server.lock(request, response)),
  54: operation("getlock", false, (server, request, response) => server.getlock(request, response)),
  70: operation("link", true, (server, request) => server.link(request)),
  72: operation("mkdir", true, (server, request, response) => server.mkdir(request, response)),
  74: operation("renameat", true, (server, request) => server.renameat(request)),
  76: operation("unlinkat", true, (server, request) => server.unlinkat(request)),
  100: operation("version", false, (server, request, response) => server.version(request, response)),
  104: operation("attach", false, (server, request, response) => server.attach(request, response)),
  108: operation("flush", false, () => 0), // requests are answered before the next is read
  110: operation("walk", false, (server, request, response) => server.walk(request, response)),
  116: operation("read", false, (server, request, response) => server.read(request, response)),
  118: operation("write", true, (server, request, response) => server.write(request, response)),
  120: operation("clunk", false, (server, request) => server.clunk(request)),
  122: operation("remove", true, (server, request) => server.remove(request)),
};

function putQid(response: MessageCursor, stat: FolderStat): void {
  const kind = stat.mode & S_IFMT;
  response.putU8(kind === S_IFDIR ? 0x80 : kind === S_IFLNK ? 0x02 : 0);
  response.putU32((stat.mtime.seconds * 1000 + Math.floor(stat.mtime.nanoseconds / 1e6)) >>> 0);
  response.putU64(stat.inode);
}

function isName(name: string): boolean {
  return name !== "" && name !== "." && !name.includes("/") && !name.includes("\0");
}

function join(path: string, name: string): string {
  return path === "" ? name : `${path}/${name}`;
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf("/"), 0));
}
