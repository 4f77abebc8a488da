/**
 * devtmpfs: the one tmpfs in which the kernel keeps a node for every device it knows. All mounts of it show the same files.
 */
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, makedev } from "linux-abi";
import type { Inode } from "vfs-inode";
import type { Tmpfs } from "vfs-inode/tmpfs";
import type { Kernel } from "../../kernel.ts";
import type { FileSystems } from "../file-systems.ts";
import { MEMORY_NODES, MEM_MAJOR } from "./memory-devices.ts";
import { RTC_MAJOR } from "./real-time-clock.ts";

// Groups by their numbers on Debian.
const TTY_GROUP = 5;
const DISK_GROUP = 6;
const DIALOUT_GROUP = 20;

/** Where descriptors and shared memory are found by name. */
const LINKS: readonly (readonly [string, string])[] = [
  ["fd", "/proc/self/fd"],
  ["stdin", "/proc/self/fd/0"],
  ["stdout", "/proc/self/fd/1"],
  ["stderr", "/proc/self/fd/2"],
  ["core", "/proc/kcore"],
];

/** Nodes that are always there: opening one without its driver is ENXIO. Name, major, minor, permission bits, group. */
const FIXED_NODES: readonly (readonly [string, number, number, number, number])[] = [
  ["tty", 5, 0, 0o666, TTY_GROUP],
  ["console", 5, 1, 0o600, TTY_GROUP],
  ["ptmx", 5, 2, 0o666, TTY_GROUP],
];

/** Nodes that appear with their driver. */
const DRIVER_NODES: readonly (readonly [string, number, number, number, number])[] = [
  ["ttyS0", 4, 64, 0o660, DIALOUT_GROUP],
  ["hvc0", 229, 0, 0o600, TTY_GROUP],
  ["hwrng", 10, 183, 0o600, 0],
  ["rtc0", RTC_MAJOR, 0, 0o600, 0],
];

/** Empty directories that other file systems are mounted on. */
const DIRECTORIES = ["pts", "shm", "mqueue"];

export class Devtmpfs {
  readonly fs: Tmpfs;
  readonly #kernel: Kernel;

  constructor(fileSystems: FileSystems) {
    this.#kernel = fileSystems.kernel;
    this.fs = fileSystems.createTmpfs({ type: "devtmpfs", mode: 0o755 });
    // Kept when nobody mounts it.
    fileSystems.vfs.mountTable.mountInternal(this.fs);
    for (const name of DIRECTORIES) this.#root.mkdir(name, { mode: S_IFDIR | 0o755, uid: 0, gid: 0, rdev: 0 });
    for (const [name, minor, mode] of MEMORY_NODES) this.addCharacter(name, MEM_MAJOR, minor, mode);
    for (const [name, major, minor, mode, gid] of FIXED_NODES) this.addCharacter(name, major, minor, mode, gid);
    for (const [name, target] of LINKS) this.addLink(name, target);
  }

  /** Adds nodes for what has been registered since the last time. Called whenever devtmpfs is mounted. */
  refresh(): this {
    const { charDevices, blockDevices } = this.#kernel;
    for (const [name, major, minor, mode, gid] of DRIVER_NODES) {
      if (charDevices.find(major, minor) !== undefined) this.addCharacter(name, major, minor, mode, gid);
    }
    for (const { name, rdev } of blockDevices.values()) this.addBlock(name, rdev);
    if (typeof this.#root.lookup("rtc0") !== "number") this.addLink("rtc", "rtc0");
    return this;
  }

  get #root(): Inode {
    return this.fs.root();
  }

  /** Adds /dev/NAME; a node that exists already stays as it is. */
  addCharacter(name: string, major: number, minor: number, mode: number, gid = 0): void {
    this.#root.create(name, { mode: S_IFCHR | mode, uid: 0, gid, rdev: makedev(major, minor) });
  }

  addBlock(name: string, rdev: number): void {
    this.#root.create(name, { mode: S_IFBLK | 0o660, uid: 0, gid: DISK_GROUP, rdev });
  }

  addLink(name: string, target: string): void {
    this.#root.symlink(name, target, { mode: S_IFLNK | 0o777, uid: 0, gid: 0, rdev: 0 });
  }
}
