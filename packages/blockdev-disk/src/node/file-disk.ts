/// <reference types="node" />
/**
 * A disk in a host file (or host block device), through Node's synchronous calls.
 *
 * `flush` is fdatasync, so a guest's barrier reaches the host's disk. A file that is shorter than the disk reads as zeros
 * beyond its end (sparse images); one that someone else has cut off meanwhile does too. Host errors become -errno.
 */
import { closeSync, fdatasyncSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { type BlockDevice, checkTransfer, checkWrite, SECTOR_SIZE } from "../block-device.ts";
import { EIO, ENOSPC, EROFS } from "../errno.ts";

export interface FileDiskOptions {
  /** Open without write access. Default false. */
  readonly readOnly?: boolean;
  /** Size in bytes for a new or grown file; must be a multiple of 512. Default: the file's size, rounded down to 512. */
  readonly size?: number;
  /** Create the file when it does not exist (needs `size`). Default false. */
  readonly create?: boolean;
}

export class FileDisk implements BlockDevice {
  readonly size: number;
  readonly blockSize: number = SECTOR_SIZE;
  readonly readOnly: boolean;
  #fd: number;

  /** Opens `path`. @throws the host's error when it cannot be opened, RangeError on a bad size. */
  constructor(path: string, options: FileDiskOptions = {}) {
    const { readOnly = false, create = false, size } = options;
    if (size !== undefined && (!Number.isSafeInteger(size) || size <= 0 || size % SECTOR_SIZE !== 0)) {
      throw new RangeError(`"size" expected positive multiple of ${SECTOR_SIZE}, got ${size}`);
    }
    this.readOnly = readOnly;
    this.#fd = openFile(path, readOnly, create);
    const current = fstatSync(this.#fd).size;
    if (size !== undefined && size > current && !readOnly) ftruncateSync(this.#fd, size);
    this.size = size ?? current - (current % SECTOR_SIZE);
  }

  readBlock(blockId: number, buf: Uint8Array): number {
    const error = checkTransfer(this, blockId, buf.length);
    if (error !== 0) return error;
    if (this.#fd < 0) return -EIO;
    try {
      let done = 0;
      while (done < buf.length) {
        const count = readSync(this.#fd, buf, done, buf.length - done, blockId * SECTOR_SIZE + done);
        if (count === 0) {
          buf.fill(0, done);
          break;
        }
        done += count;
      }
      return 0;
    } catch (reason) {
      return hostErrno(reason);
    }
  }

  writeBlock(blockId: number, buf: Uint8Array): number {
    const error = checkWrite(this, blockId, buf.length);
    if (error !== 0) return error;
    if (this.#fd < 0) return -EIO;
    try {
      let done = 0;
      while (done < buf.length) done += writeSync(this.#fd, buf, done, buf.length - done, blockId * SECTOR_SIZE + done);
      return 0;
    } catch (reason) {
      return hostErrno(reason);
    }
  }

  flush(): number {
    if (this.#fd < 0) return -EIO;
    if (this.readOnly) return 0;
    try {
      fdatasyncSync(this.#fd);
      return 0;
    } catch (reason) {
      return hostErrno(reason);
    }
  }

  /** Closes the file; later transfers answer -EIO. Idempotent. */
  close(): void {
    if (this.#fd < 0) return;
    closeSync(this.#fd);
    this.#fd = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function openFile(path: string, readOnly: boolean, create: boolean): number {
  if (!create) return openSync(path, readOnly ? "r" : "r+");
  try {
    return openSync(path, "wx+");
  } catch (reason) {
    if ((reason as NodeJS.ErrnoException).code !== "EEXIST") throw reason;
    return openSync(path, "r+");
  }
}

/** Disk full and read-only keep their names; everything else is an I/O error to a guest. */
function hostErrno(reason: unknown): number {
  const code = (reason as NodeJS.ErrnoException).code;
  if (code === "ENOSPC" || code === "EDQUOT") return -ENOSPC;
  if (code === "EROFS") return -EROFS;
  return -EIO;
}
