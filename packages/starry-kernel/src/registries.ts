/**
 * What can be plugged into the kernel: device drivers, file system types, socket families.
 *
 * The core knows none of them. Whoever assembles a kernel registers what it wants; a kernel without sockets answers
 * EAFNOSUPPORT by itself.
 */
import type { BlockDevice } from "blockdev-disk";
import type { FileSystem } from "vfs-inode";
import type { OpenFile } from "./file.ts";
import type { Kernel } from "./kernel.ts";
import type { Task } from "./task/task.ts";

/** A character device driver: opens its device nodes. */
export interface CharDevice {
  /** Name in /proc/devices and /sys/class. */
  readonly name: string;
  /**
   * open(2) of a node with device number `rdev`, or -errno (-ENXIO without such a unit). `flags` as given to open(2).
   */
  open(task: Task, rdev: number, flags: number): OpenFile | number;
}

export interface BlockDeviceEntry {
  /** Name in /dev and /sys/block: "vda", "vda1". */
  readonly name: string;
  /** `new_encode_dev` form. */
  readonly rdev: number;
  readonly device: BlockDevice;
}

export interface FileSystemType {
  /** Name for mount(2) and /proc/filesystems. */
  readonly name: string;
  /** Not marked "nodev" in /proc/filesystems. */
  readonly requiresDevice: boolean;
  /** Makes the file system to be mounted, or -errno. `device` is null unless `requiresDevice`; `data` is mount(2)'s option text. */
  mount(kernel: Kernel, device: BlockDeviceEntry | null, flags: number, data: string): FileSystem | number;
}

export interface SocketFamily {
  /** AF_* */
  readonly family: number;
  /** socket(2); `type` without SOCK_NONBLOCK and SOCK_CLOEXEC. */
  create(task: Task, type: number, protocol: number): OpenFile | number;
  /** socketpair(2), or -EOPNOTSUPP. */
  createPair(task: Task, type: number, protocol: number): readonly [OpenFile, OpenFile] | number;
}

/** Character devices by major and minor range. */
export class CharDevices {
  readonly #entries: { major: number; first: number; count: number; device: CharDevice }[] = [];

  /** A later registration of the same numbers goes first. */
  register(major: number, firstMinor: number, count: number, device: CharDevice): void {
    this.#entries.unshift({ major, first: firstMinor, count, device });
  }

  find(major: number, minor: number): CharDevice | undefined {
    return this.#entries.find((e) => e.major === major && minor >= e.first && minor < e.first + e.count)?.device;
  }

  /** (major, name) pairs for /proc/devices. */
  list(): readonly (readonly [number, string])[] {
    return this.#entries.map((e) => [e.major, e.device.name] as const);
  }
}
