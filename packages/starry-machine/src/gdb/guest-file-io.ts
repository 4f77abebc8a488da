/**
 * The guest's files for gdb: vFile packets ("Host I/O Packets" of the GDB manual), read-only. With these and its default sysroot
 * "target:" gdb finds the program and its libraries by itself.
 *
 * A file is read whole when it is opened.
 */
import { EBADF, EINVAL, EROFS, O_ACCMODE, O_RDONLY } from "linux-abi";
import type { Attributes } from "vfs-inode";
import type { GuestFiles } from "../guest-files.ts";
import { FileError } from "../image/files.ts";
import { hexToText, toBinary } from "./packet.ts";

/** FILEIO_ENOSYS and the numbers that the protocol shares with Linux; others become FILEIO_EUNKNOWN. */
const SHARED_ERRNO: ReadonlySet<number> = new Set([1, 2, 4, 9, 13, 14, 16, 17, 19, 20, 21, 22, 23, 24, 27, 28, 29, 30]);
const FILEIO_EUNKNOWN = 9999;
const STAT_BYTES = 64;

interface OpenGuestFile {
  readonly data: Uint8Array;
  readonly attributes: Attributes;
}

export class GuestFileIo {
  readonly #files: GuestFiles;
  readonly #open: Map<number, OpenGuestFile> = new Map();
  #lastFd = 2;

  constructor(files: GuestFiles) {
    this.#files = files;
  }

  /** Answer to `vFile:` + `request`; "" for operations that are not there. */
  answer(request: string): string {
    const colon = request.indexOf(":");
    const operation = request.slice(0, colon);
    const args = request.slice(colon + 1).split(",");
    try {
      return this.#perform(operation, args);
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      return failure(Math.abs(error.errno));
    }
  }

  #perform(operation: string, args: readonly string[]): string {
    const [first = "", ...numbers] = args;
    const [a = 0, b = 0] = numbers.map((text) => Number.parseInt(text, 16));
    switch (operation) {
      case "setfs":
        return "F0";
      case "open":
        return this.#openFile(hexToText(first), a);
      case "close":
        return this.#open.delete(Number.parseInt(first, 16)) ? "F0" : failure(EBADF);
      case "pread":
        return this.#with(first, ({ data }) => attachment(data.subarray(b, b + a)));
      case "fstat":
        return this.#with(first, ({ attributes }) => attachment(encodeStat(attributes)));
      case "readlink": {
        const path = hexToText(first);
        return path === undefined ? failure(EINVAL) : attachment(new TextEncoder().encode(this.#files.readlink(path)));
      }
      default:
        return "";
    }
  }

  #openFile(path: string | undefined, flags: number): string {
    if (path === undefined) return failure(EINVAL);
    if ((flags & O_ACCMODE) !== O_RDONLY) return failure(EROFS);
    const file = { data: this.#files.readFile(path), attributes: this.#files.stat(path) };
    this.#open.set(++this.#lastFd, file);
    return `F${this.#lastFd.toString(16)}`;
  }

  #with(fd: string, use: (file: OpenGuestFile) => string): string {
    const file = this.#open.get(Number.parseInt(fd, 16));
    return file === undefined ? failure(EBADF) : use(file);
  }
}

function failure(errno: number): string {
  return `F-1,${(SHARED_ERRNO.has(errno) ? errno : FILEIO_EUNKNOWN).toString(16)}`;
}

function attachment(bytes: Uint8Array): string {
  return `F${bytes.length.toString(16)};${toBinary(bytes)}`;
}

/** struct stat of the File-I/O protocol: big endian, without padding. */
function encodeStat(from: Attributes): Uint8Array {
  const view = new DataView(new ArrayBuffer(STAT_BYTES));
  view.setUint32(4, from.ino);
  view.setUint32(8, from.mode);
  view.setUint32(12, from.nlink);
  view.setUint32(16, from.uid);
  view.setUint32(20, from.gid);
  view.setUint32(28, Math.floor(from.size / 2 ** 32));
  view.setUint32(32, from.size >>> 0);
  view.setUint32(40, 4096); // st_blksize
  view.setUint32(48, Math.ceil(from.size / 512)); // st_blocks
  return new Uint8Array(view.buffer);
}
