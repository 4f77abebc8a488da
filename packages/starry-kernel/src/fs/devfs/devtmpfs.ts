/**
 * devtmpfs: the one tmpfs in which the kernel keeps a node for every device it knows. All mounts of it show the same files.
 */
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, makedev } from "linux-abi";
import type { Inode } from "vfs-inode";
import type { Tmpfs } from "vfs-inode/tmpfs";
import type { FileSystems } from "../file-systems.ts";
import { MEMORY_NODES, MEM_MAJOR } from "./memory-devices.ts";

/** Where descriptors and shared memory are found by name. */
const LINKS: readonly (readonly [string, string])[] = [
  ["fd", "/proc/self/fd"],
  ["stdin", "/proc/self/fd/0"],
  ["stdout", "/proc/self/fd/1"],
  ["stderr", "/proc/self/fd/2"],
  ["core", "/proc/kcore"],
];

/** Nodes of character devices that other drivers register; opening one without its driver is ENXIO. */
const CHARACTER_NODES: readonly (readonly [string, number, number, number, number])[] = [
  // name, major, minor, permission bits, group (5 is "tty" on Debian)
  ["tty", 5, 0, 0o666, 5],
  ["console", 5, 1, 0o600, 5],
  ["ptmx", 5, 2, 0o666, 5],
];

/** Empty directories that other file systems are mounted on. */
const DIRECTORIES = ["pts", "shm", "mqueue"];

export class Devtmpfs {
  readonly fs: Tmpfs;

  constructor(fileSystems: FileSystems) {
    this.fs = fileSystems.createTmpfs({ type: "devtmpfs", mode: 0o755 });
    // Kept when nobody mounts it.
    fileSystems.vfs.mountTable.mountInternal(this.fs);
    for (const name of DIRECTORIES) this.#root.mkdir(name, { mode: S_IFDIR | 0o755, uid: 0, gid: 0, rdev: 0 });
    for (const [name, minor, mode] of MEMORY_NODES) this.addCharacter(name, MEM_MAJOR, minor, mode);
    for (const [name, major, minor, mode, gid] of CHARACTER_NODES) this.addCharacter(name, major, minor, mode, gid);
    for (const [name, target] of LINKS) this.addLink(name, target);
  }

  get #root(): Inode {
    return this.fs.root();
  }

  /** Adds /dev/NAME; a node that exists already stays as it is. */
  addCharacter(name: string, major: number, minor: number, mode: number, gid = 0): void {
    this.#root.create(name, { mode: S_IFCHR | mode, uid: 0, gid, rdev: makedev(major, minor) });
  }

  addBlock(name: string, rdev: number): void {
    this.#root.create(name, { mode: S_IFBLK | 0o660, uid: 0, gid: 6, rdev }); // "disk" on Debian
  }

  addLink(name: string, target: string): void {
    this.#root.symlink(name, target, { mode: S_IFLNK | 0o777, uid: 0, gid: 0, rdev: 0 });
  }
}
