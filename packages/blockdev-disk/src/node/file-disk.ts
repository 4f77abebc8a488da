/// <reference types="node" />
/**
 * A disk in a host file (or host block device), through Node's synchronous calls.
 *
 * `flush` is fdatasync, so a guest's barrier reaches the host's disk. A file that is shorter than the disk reads as zeros
 * beyond its end (sparse images); one that someone else has cut off meanwhile does too. Host errors become -errno.
 *
 * Discard: Node has no call that makes a hole. With `discard: "punch"` discarded ranges are collected and, at `flush`, given back to
 * the host: at the end of the file by cutting it off and growing it again, elsewhere by util-linux's `fallocate --punch-hole`, one
 * child process for all of them (about 10 ms a range on a busy machine, so small ranges are left alone). Where that program is
 * missing, or the host's file system cannot, the data merely stays.
 */
import { spawnSync } from "node:child_process";
import { closeSync, fdatasyncSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { type BlockDevice, checkTransfer, checkWrite, SECTOR_SIZE } from "../block-device.ts";
import { EIO } from "../errno.ts";
import { RangeSet } from "../range-set.ts";
import { hostErrno } from "./host-errno.ts";

export interface FileDiskOptions {
  /** Open without write access. Default false. */
  readonly readOnly?: boolean;
  /** Size in bytes for a new or grown file; must be a multiple of 512. Default: the file's size, rounded down to 512. */
  readonly size?: number;
  /** Create the file when it does not exist (needs `size`). Default false. */
  readonly create?: boolean;
  /** What discard does: "none" leaves the data (default), "punch" frees the host's blocks at the next flush, see above. */
  readonly discard?: "none" | "punch";
}

/** Smaller holes are not worth a process, in bytes. */
const MIN_HOLE = 256 << 10;
/** Reads "offset length" lines; $1 is the file. */
const PUNCH =
  'while read -r at length; do fallocate --punch-hole --offset "$at" --length "$length" "$1" || exit 1; done';

export class FileDisk implements BlockDevice {
  readonly size: number;
  readonly blockSize: number = SECTOR_SIZE;
  readonly readOnly: boolean;
  #fd: number;
  readonly #discarded: RangeSet | undefined;
  readonly #path: string;

  /** Opens `path`. @throws the host's error when it cannot be opened, RangeError on a bad size. */
  constructor(path: string, options: FileDiskOptions = {}) {
    const { readOnly = false, create = false, size } = options;
    if (size !== undefined && (!Number.isSafeInteger(size) || size <= 0 || size % SECTOR_SIZE !== 0)) {
      throw new RangeError(`"size" expected positive multiple of ${SECTOR_SIZE}, got ${size}`);
    }
    this.readOnly = readOnly;
    this.#path = path;
    this.#discarded = options.discard === "punch" ? new RangeSet() : undefined;
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
    this.#discarded?.remove(blockId * SECTOR_SIZE, blockId * SECTOR_SIZE + buf.length);
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
      this.#punchHoles();
      fdatasyncSync(this.#fd);
      return 0;
    } catch (reason) {
      return hostErrno(reason);
    }
  }

  /** Notes the range for the next flush; whether its content is kept is unspecified. */
  discard(blockId: number, count: number): number {
    if (count <= 0) return 0;
    const error = checkWrite(this, blockId, count * SECTOR_SIZE);
    if (error === 0) this.#discarded?.add(blockId * SECTOR_SIZE, (blockId + count) * SECTOR_SIZE);
    return error;
  }

  #punchHoles(): void {
    const ranges = this.#discarded?.take() ?? [];
    let lines = "";
    for (const { start, end } of ranges) {
      if (end - start < MIN_HOLE) continue;
      if (end === this.size && fstatSync(this.#fd).size <= this.size) {
        ftruncateSync(this.#fd, start);
        ftruncateSync(this.#fd, end);
      } else {
        lines += `${start} ${end - start}\n`;
      }
    }
    // Where it fails (no such program, not on this file system) the data merely stays.
    if (lines !== "")
      spawnSync("sh", ["-c", PUNCH, "sh", this.#path], { input: lines, stdio: ["pipe", "ignore", "ignore"] });
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
