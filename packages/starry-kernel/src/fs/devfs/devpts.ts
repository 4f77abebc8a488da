/**
 * devpts (Documentation/filesystems/devpts.rst): a node per open pseudo-terminal. The terminal code adds and removes them.
 */
import { DEVPTS_SUPER_MAGIC, S_IFCHR, makedev } from "linux-abi";
import type { Inode } from "vfs-inode";
import {
  DirMapping,
  type DirectorySource,
  type DynamicEntry,
  PseudoNode,
  SimpleDir,
  SimpleFs,
} from "vfs-inode/pseudofs";
import type { FileSystems } from "../file-systems.ts";

/** Opened by number: the driver of the number does the rest. */
class DeviceNode extends PseudoNode {}

/** Inode numbers as Linux gives them: 2 is ptmx, n + 3 is /dev/pts/n. */
const PTMX_INO = 2;
const FIRST_PTS_INO = 3;

export class Devpts implements DirectorySource {
  readonly fs: SimpleFs;
  readonly #nodes: Map<number, DeviceNode> = new Map();

  constructor(system: FileSystems) {
    this.fs = new SimpleFs({
      type: "devpts",
      magic: DEVPTS_SUPER_MAGIC,
      deviceNumber: system.nextDevice(),
      mountOptions: "gid=5,mode=620,ptmxmode=666",
      mutableAttributes: true,
      now: (out) => system.now(out),
    });
    const ptmx = new DeviceNode(this.fs, S_IFCHR | 0o666, { ino: PTMX_INO, rdev: makedev(5, 2) });
    this.fs.setRoot(
      new SimpleDir(this.fs, new DirMapping().add("ptmx", ptmx), { ino: 1, permission: 0o755, source: this }),
    );
  }

  /** A pseudo-terminal has been opened: /dev/pts/INDEX appears. */
  add(index: number, rdev: number, uid: number, gid: number, mode = 0o620): void {
    this.#nodes.set(index, new DeviceNode(this.fs, S_IFCHR | mode, { ino: FIRST_PTS_INO + index, rdev, uid, gid }));
  }

  remove(index: number): void {
    this.#nodes.delete(index);
  }

  lookup(name: string): Inode | undefined {
    return /^(0|[1-9]\d*)$/.test(name) ? this.#nodes.get(Number(name)) : undefined;
  }

  list(fromKey: number): Iterable<DynamicEntry> {
    const indexes = [...this.#nodes.keys()].filter((index) => index >= fromKey).sort((a, b) => a - b);
    return indexes.map((index) => ({ name: String(index), key: index, ino: FIRST_PTS_INO + index, type: S_IFCHR }));
  }
}
