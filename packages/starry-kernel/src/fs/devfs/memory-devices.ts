/**
 * The memory devices of major 1: null zero full random urandom (mem(4), null(4), random(4)).
 */
import { EAGAIN, EINVAL, ENOSPC, ENOTTY, ENXIO, POLLIN, POLLOUT, minor } from "linux-abi";
import { OpenFile } from "../../file.ts";
import type { IoBuffer } from "../../io-buffer.ts";
import type { Kernel } from "../../kernel.ts";
import type { PageSource } from "../../mm/page-source.ts";
import { SharedMemory } from "../../mm/shared-memory.ts";
import type { CharDevice } from "../../registries.ts";
import type { Task } from "../../task/task.ts";

export const MEM_MAJOR = 1;
const NULL_MINOR = 3;
const ZERO_MINOR = 5;
const FULL_MINOR = 7;
const RANDOM_MINOR = 8;
const URANDOM_MINOR = 9;
const KMSG_MINOR = 11;

/** ioctl RNDGETENTCNT (linux/random.h). */
const RNDGETENTCNT = 0x80045200;
/** Bits in the pool, as Linux says since 5.18. */
export const ENTROPY_BITS = 256;
const RANDOM_CHUNK = 4096;
/** More than any mapping of /dev/zero can reach. */
const ZERO_PAGES = 2 ** 36;

abstract class MemoryDeviceFile extends OpenFile {
  override get seekable(): boolean {
    return true;
  }

  /** The position means nothing; lseek(2) says 0. */
  override seek(): number {
    this.position = 0;
    return 0;
  }

  override get pollable(): boolean {
    return false;
  }

  override write(_task: Task, buffer: IoBuffer): number {
    const count = buffer.remaining;
    return count;
  }
}

class NullFile extends MemoryDeviceFile {
  override read(): number {
    return 0;
  }
}

class ZeroFile extends MemoryDeviceFile {
  readonly #kernel: Kernel;

  constructor(kernel: Kernel, flags: number) {
    super(flags);
    this.#kernel = kernel;
  }

  override read(_task: Task, buffer: IoBuffer): number {
    return buffer.result(buffer.putZeros(buffer.remaining));
  }

  override mapping(): PageSource | number {
    return new SharedMemory(this.#kernel.memory, this.inode?.ino ?? 0, ZERO_PAGES);
  }
}

class FullFile extends MemoryDeviceFile {
  override read(_task: Task, buffer: IoBuffer): number {
    return buffer.result(buffer.putZeros(buffer.remaining));
  }

  override write(): number {
    return -ENOSPC;
  }
}

class RandomFile extends MemoryDeviceFile {
  readonly #kernel: Kernel;

  constructor(kernel: Kernel, flags: number) {
    super(flags);
    this.#kernel = kernel;
  }

  override get pollable(): boolean {
    return true;
  }

  override poll(): number {
    return POLLIN | POLLOUT;
  }

  override read(_task: Task, buffer: IoBuffer): number {
    const chunk = new Uint8Array(Math.min(buffer.remaining, RANDOM_CHUNK));
    let done = 0;
    while (buffer.remaining > 0) {
      const bytes = buffer.remaining < chunk.length ? chunk.subarray(0, buffer.remaining) : chunk;
      this.#kernel.platform.fillRandom(bytes);
      const put = buffer.put(bytes, 0, bytes.length);
      done += put;
      if (put < bytes.length) break;
    }
    return buffer.result(done);
  }

  override ioctl(task: Task, request: number, argument: number): number {
    return request === RNDGETENTCNT ? task.memory.writeU32(argument, ENTROPY_BITS) : -ENOTTY;
  }
}

/** /dev/kmsg: one record per read, "severity,sequence,microseconds,-;text"; writes add records (Documentation/ABI/testing/dev-kmsg). */
class KmsgFile extends OpenFile {
  readonly #kernel: Kernel;
  #sequence = 0;

  constructor(kernel: Kernel, flags: number) {
    super(flags, kernel.messages.pollSet);
    this.#kernel = kernel;
  }

  override read(_task: Task, buffer: IoBuffer): number {
    const record = this.#kernel.messages.since(this.#sequence)[0];
    if (record === undefined) return -EAGAIN;
    const line = `${record.severity},${record.sequence},${Math.floor(record.timeNs / 1000)},-;${record.text}\n`;
    const bytes = new TextEncoder().encode(line);
    if (bytes.length > buffer.remaining) return -EINVAL;
    this.#sequence = record.sequence + 1;
    return buffer.result(buffer.put(bytes, 0, bytes.length));
  }

  override write(_task: Task, buffer: IoBuffer): number {
    const count = buffer.remaining;
    const bytes = new Uint8Array(Math.min(count, 1024));
    const taken = buffer.take(bytes, 0, bytes.length);
    const text = new TextDecoder().decode(bytes.subarray(0, taken)).trimEnd();
    const match = /^<(\d+)>/.exec(text);
    const severity = match === null ? 4 : Number(match[1]) & 7;
    this.#kernel.messages.record(severity, match === null ? text : text.slice(match[0].length));
    return buffer.faulted && taken === 0 ? buffer.result(0) : count;
  }

  override poll(): number {
    return this.#kernel.messages.next > this.#sequence ? POLLIN | POLLOUT : POLLOUT;
  }

  /** SEEK_SET 0: the oldest record; SEEK_END: behind the newest; SEEK_DATA is the same as SEEK_SET here. */
  override seek(offset: number, whence: number): number {
    if (offset !== 0) return -EINVAL;
    this.#sequence = whence === 2 ? this.#kernel.messages.next : 0;
    return 0;
  }
}

export class MemoryDevices implements CharDevice {
  readonly name = "mem";
  readonly #kernel: Kernel;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  open(_task: Task, rdev: number, flags: number): OpenFile | number {
    switch (minor(rdev)) {
      case NULL_MINOR:
        return new NullFile(flags);
      case ZERO_MINOR:
        return new ZeroFile(this.#kernel, flags);
      case FULL_MINOR:
        return new FullFile(flags);
      case RANDOM_MINOR:
      case URANDOM_MINOR:
        return new RandomFile(this.#kernel, flags);
      case KMSG_MINOR:
        return new KmsgFile(this.#kernel, flags);
      default:
        return -ENXIO;
    }
  }
}

/** Nodes of /dev: name, minor number, permission bits. */
export const MEMORY_NODES: readonly (readonly [string, number, number])[] = [
  ["null", NULL_MINOR, 0o666],
  ["zero", ZERO_MINOR, 0o666],
  ["full", FULL_MINOR, 0o666],
  ["random", RANDOM_MINOR, 0o666],
  ["urandom", URANDOM_MINOR, 0o666],
  ["kmsg", KMSG_MINOR, 0o644],
];
