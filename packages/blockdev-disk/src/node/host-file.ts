/// <reference types="node" />
/** A host file as a `ByteFile`: any position, grows when written, `flush` is fdatasync. For qcow2, gzip and other formats. */
import { closeSync, fdatasyncSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import type { ByteFile } from "../byte-file.ts";
import { EIO, EROFS } from "../errno.ts";
import { hostErrno } from "./host-errno.ts";

export interface HostFileOptions {
  /** Open without write access. Default false. */
  readonly readOnly?: boolean;
  /** Make a new, empty file; an existing one loses its content. Default false. */
  readonly create?: boolean;
}

export class HostFile implements ByteFile {
  readonly readOnly: boolean;
  #fd: number;
  #size: number;

  /** @throws the host's error when `path` cannot be opened. */
  constructor(path: string, options: HostFileOptions = {}) {
    this.readOnly = options.readOnly ?? false;
    this.#fd = openSync(path, this.readOnly ? "r" : options.create === true ? "w+" : "r+");
    this.#size = fstatSync(this.#fd).size;
  }

  get size(): number {
    return this.#size;
  }

  readAt(position: number, buf: Uint8Array): number {
    if (this.#fd < 0) return -EIO;
    try {
      let done = 0;
      while (done < buf.length) {
        const count = readSync(this.#fd, buf, done, buf.length - done, position + done);
        if (count === 0) break;
        done += count;
      }
      return done;
    } catch (reason) {
      return hostErrno(reason);
    }
  }

  writeAt(position: number, buf: Uint8Array): number {
    if (this.readOnly) return -EROFS;
    if (this.#fd < 0) return -EIO;
    try {
      let done = 0;
      while (done < buf.length) done += writeSync(this.#fd, buf, done, buf.length - done, position + done);
      this.#size = Math.max(this.#size, position + buf.length);
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
