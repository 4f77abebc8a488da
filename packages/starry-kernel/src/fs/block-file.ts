/**
 * An open block device node: bytes at any offset over a device that moves whole blocks.
 */
import {
  BLKBSZGET,
  BLKDISCARD,
  BLKFLSBUF,
  BLKGETSIZE,
  BLKGETSIZE64,
  BLKIOMIN,
  BLKIOOPT,
  BLKPBSZGET,
  BLKROGET,
  BLKROTATIONAL,
  BLKRRPART,
  BLKSSZGET,
  EFAULT,
  EINVAL,
  ENOSPC,
  ENOTTY,
  EOPNOTSUPP,
  EROFS,
  O_DSYNC,
  O_ACCMODE,
  O_RDONLY,
  SEEK_CUR,
  SEEK_END,
  SEEK_SET,
} from "linux-abi";
import { OpenFile } from "../file.ts";
import type { IoBuffer } from "../io-buffer.ts";
import type { BlockDeviceEntry } from "../registries.ts";
import type { Task } from "../task/task.ts";

/** Bytes moved by one request to the device. */
const TRANSFER_BYTES = 65536;
const $transfer = new Uint8Array(TRANSFER_BYTES);

export class BlockFile extends OpenFile {
  readonly entry: BlockDeviceEntry;

  /** -EROFS is open's answer for writing to a read-only device: see `check`. */
  constructor(entry: BlockDeviceEntry, flags: number) {
    super(flags);
    this.entry = entry;
  }

  /** May the device be opened with these flags? 0 or -errno. */
  static check(entry: BlockDeviceEntry, flags: number): number {
    return entry.device.readOnly && (flags & O_ACCMODE) !== O_RDONLY ? -EROFS : 0;
  }

  override get seekable(): boolean {
    return true;
  }

  override get pollable(): boolean {
    return false;
  }

  /** The blocks that cover [offset, offset + wanted), at most a transfer's worth. */
  #window(offset: number, wanted: number): { block: number; skip: number; bytes: Uint8Array; count: number } {
    const { blockSize } = this.entry.device;
    const block = Math.floor(offset / blockSize);
    const skip = offset - block * blockSize;
    const count = Math.min(wanted, TRANSFER_BYTES - skip);
    const byteLength = Math.ceil((skip + count) / blockSize) * blockSize;
    return { block, skip, bytes: $transfer.subarray(0, byteLength), count };
  }

  override read(_task: Task, buffer: IoBuffer, offset: number): number {
    const { device } = this.entry;
    const wanted = Math.min(buffer.remaining, device.size - offset);
    let done = 0;
    while (done < wanted) {
      const { block, skip, bytes, count } = this.#window(offset + done, wanted - done);
      const error = device.readBlock(block, bytes);
      if (error !== 0) return done > 0 ? done : error;
      const put = buffer.put(bytes, skip, count);
      done += put;
      if (put < count) break;
    }
    return buffer.result(done);
  }

  override write(_task: Task, buffer: IoBuffer, offset: number): number {
    const { device } = this.entry;
    if (buffer.remaining > 0 && offset >= device.size) return -ENOSPC;
    const wanted = Math.min(buffer.remaining, device.size - offset);
    let done = 0;
    while (done < wanted) {
      const { block, skip, bytes, count } = this.#window(offset + done, wanted - done);
      const whole = skip === 0 && count === bytes.length;
      let error = whole ? 0 : device.readBlock(block, bytes);
      if (error !== 0) return done > 0 ? done : error;
      const taken = buffer.take(bytes, skip, count);
      if (taken === 0 || (whole && taken < count)) break;
      error = device.writeBlock(block, bytes);
      if (error !== 0) return done > 0 ? done : error;
      done += taken;
      if (taken < count) break;
    }
    if (done > 0 && (this.flags & O_DSYNC) !== 0) {
      const error = device.flush();
      if (error !== 0) return error;
    }
    return buffer.result(done);
  }

  override seek(offset: number, whence: number): number {
    let target = offset;
    if (whence === SEEK_CUR) target += this.position;
    else if (whence === SEEK_END) target += this.entry.device.size;
    else if (whence !== SEEK_SET) return -EINVAL;
    if (target < 0) return -EINVAL;
    this.position = target;
    return target;
  }

  override fsync(): number {
    return this.entry.device.flush();
  }

  override ioctl(task: Task, request: number, argument: number): number {
    const { device } = this.entry;
    const { memory } = task;
    switch (request) {
      case BLKROGET:
        return memory.writeU32(argument, device.readOnly ? 1 : 0);
      case BLKGETSIZE:
        return memory.writeI64(argument, device.size / 512);
      case BLKGETSIZE64:
        return memory.writeI64(argument, device.size);
      case BLKSSZGET:
      case BLKPBSZGET:
      case BLKIOMIN:
        return memory.writeU32(argument, device.blockSize);
      case BLKBSZGET:
        return memory.writeU32(argument, 4096);
      case BLKIOOPT:
        return memory.writeU32(argument, 0);
      case BLKROTATIONAL:
        return memory.writeU16(argument, 0);
      case BLKFLSBUF:
        return device.flush();
      case BLKRRPART:
        return -EINVAL;
      case BLKDISCARD:
        return this.#discard(task, argument);
      default:
        return -ENOTTY;
    }
  }

  #discard(task: Task, argument: number): number {
    const { device } = this.entry;
    if (device.discard === undefined) return -EOPNOTSUPP;
    const start = task.memory.readU64(argument);
    const length = task.memory.readU64(argument + 8);
    if (start < 0 || length < 0) return -EFAULT;
    if (start % device.blockSize !== 0 || length % device.blockSize !== 0 || start + length > device.size)
      return -EINVAL;
    return device.discard(start / device.blockSize, length / device.blockSize);
  }
}
