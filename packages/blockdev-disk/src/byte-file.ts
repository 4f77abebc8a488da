/**
 * A file as image formats see it: bytes at any position, and it grows when written beyond its end.
 *
 * Formats such as qcow2 and gzip live in files whose length is no multiple of a block and changes. `HostFile` (./node) is one in
 * the host's file system; `MemoryFile` one in memory; `deviceFile` makes any block device one.
 */
import { type BlockDevice, checkTransfer, checkWrite, SECTOR_SIZE } from "./block-device.ts";
import { EIO, EROFS } from "./errno.ts";

export interface ByteFile {
  /** Bytes, now. */
  readonly size: number;
  readonly readOnly: boolean;
  /** Reads into `buf` from `position` (bytes) on: the count, short only at the end of the file, or -errno. */
  readAt(position: number, buf: Uint8Array): number;
  /** Writes all of `buf` at `position`, growing the file if need be: 0 or -errno. */
  writeAt(position: number, buf: Uint8Array): number;
  /** Makes completed writes durable: 0 or -errno. */
  flush(): number;
}

/** A file in memory. Over a given array it starts with that content, without a copy until it grows. */
export class MemoryFile implements ByteFile {
  readonly readOnly: boolean = false;
  #bytes: Uint8Array;
  #size: number;

  constructor(bytes: Uint8Array = new Uint8Array(0)) {
    this.#bytes = bytes;
    this.#size = bytes.length;
  }

  get size(): number {
    return this.#size;
  }

  /** The content, in place. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#size);
  }

  readAt(position: number, buf: Uint8Array): number {
    const count = Math.max(0, Math.min(buf.length, this.#size - position));
    if (count > 0) buf.set(this.#bytes.subarray(position, position + count));
    return count;
  }

  writeAt(position: number, buf: Uint8Array): number {
    const end = position + buf.length;
    if (end > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(end, this.#bytes.length * 2, 4096));
      grown.set(this.#bytes.subarray(0, this.#size));
      this.#bytes = grown;
    }
    this.#bytes.set(buf, position);
    this.#size = Math.max(this.#size, end);
    return 0;
  }

  flush(): number {
    return 0;
  }
}

/**
 * The first `byteLength` bytes of a device (default: all of it) as a file that cannot grow: writing beyond its end is -EIO.
 */
export function deviceFile(device: BlockDevice, byteLength: number = device.size): ByteFile {
  return new DeviceFile(device, byteLength);
}

class DeviceFile implements ByteFile {
  readonly size: number;
  readonly readOnly: boolean;
  readonly #device: BlockDevice;

  constructor(device: BlockDevice, byteLength: number) {
    if (!(byteLength >= 0 && byteLength <= device.size))
      throw new RangeError(`"byteLength" expected 0..${device.size}, got ${byteLength}`);
    this.size = byteLength;
    this.readOnly = device.readOnly;
    this.#device = device;
  }

  readAt(position: number, buf: Uint8Array): number {
    const count = Math.max(0, Math.min(buf.length, this.size - position));
    if (count === 0) return 0;
    const unit = this.#device.blockSize;
    if (position % unit === 0 && count % unit === 0) {
      const error = this.#device.readBlock(position / unit, buf.subarray(0, count));
      return error < 0 ? error : count;
    }
    const first = Math.floor(position / unit);
    const around = new Uint8Array(Math.ceil((position + count) / unit) * unit - first * unit);
    const error = this.#device.readBlock(first, around);
    if (error < 0) return error;
    buf.set(around.subarray(position - first * unit, position - first * unit + count));
    return count;
  }

  writeAt(position: number, buf: Uint8Array): number {
    if (this.readOnly) return -EROFS;
    if (position + buf.length > this.size) return -EIO;
    if (buf.length === 0) return 0;
    const unit = this.#device.blockSize;
    if (position % unit === 0 && buf.length % unit === 0) return this.#device.writeBlock(position / unit, buf);
    const first = Math.floor(position / unit);
    const around = new Uint8Array(Math.ceil((position + buf.length) / unit) * unit - first * unit);
    const error = this.#device.readBlock(first, around);
    if (error < 0) return error;
    around.set(buf, position - first * unit);
    return this.#device.writeBlock(first, around);
  }

  flush(): number {
    return this.#device.flush();
  }
}

/**
 * A file as a raw image: a device of its size, rounded up to 512 (or of `size` bytes, reading as zeros beyond the file's end).
 */
export function fileDevice(
  file: ByteFile,
  size: number = Math.ceil(file.size / SECTOR_SIZE) * SECTOR_SIZE,
): BlockDevice {
  return new FileDevice(file, size);
}

class FileDevice implements BlockDevice {
  readonly size: number;
  readonly blockSize: number = SECTOR_SIZE;
  readonly #file: ByteFile;

  constructor(file: ByteFile, size: number) {
    this.#file = file;
    this.size = size;
  }

  get readOnly(): boolean {
    return this.#file.readOnly;
  }

  readBlock(blockId: number, buf: Uint8Array): number {
    const error = checkTransfer(this, blockId, buf.length);
    if (error !== 0) return error;
    const count = this.#file.readAt(blockId * SECTOR_SIZE, buf);
    if (count < 0) return count;
    buf.fill(0, count);
    return 0;
  }

  writeBlock(blockId: number, buf: Uint8Array): number {
    const error = checkWrite(this, blockId, buf.length);
    return error !== 0 ? error : this.#file.writeAt(blockId * SECTOR_SIZE, buf);
  }

  flush(): number {
    return this.#file.flush();
  }
}
