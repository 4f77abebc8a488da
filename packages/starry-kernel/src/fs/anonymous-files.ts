/**
 * Files without a name of their own: memfd, and a place for pipes, sockets and other anonymous objects that a link of
 * /proc/PID/fd leads to, so that stat and open of such a link work.
 */
import { ANON_INODE_FS_MAGIC, ENFILE, O_RDWR, S_IFREG } from "linux-abi";
import { type Attributes, Dentry, type Inode, type Mount, Path, VfsNode } from "vfs-inode";
import { PseudoNode, SimpleDir, SimpleFs } from "vfs-inode/pseudofs";
import type { TmpfsInode } from "vfs-inode/tmpfs";
import { OpenFile } from "../file.ts";
import type { Task } from "../task/task.ts";
import type { FileSystems } from "./file-systems.ts";

/** The inode that stands for an anonymous object: shows what the object's own inode shows, and remembers the object. */
class AnonymousNode extends PseudoNode {
  readonly file: OpenFile;

  constructor(fs: SimpleFs, file: OpenFile) {
    super(fs, file.inode?.mode ?? file.anonymousMode, file.inode === null ? {} : { ino: file.inode.ino });
    this.file = file;
  }

  override getattr(out: Attributes): void {
    if (this.file.inode === null) super.getattr(out);
    else this.file.inode.getattr(out);
  }
}

export class AnonymousFiles {
  readonly #fileSystems: FileSystems;
  readonly fs: SimpleFs;
  readonly #mount: Mount;
  /** The tmpfs that memfd files and System V segments count against, made when first needed. */
  #shm: Mount | null = null;

  constructor(fileSystems: FileSystems) {
    this.#fileSystems = fileSystems;
    this.fs = new SimpleFs({
      type: "anon_inodefs",
      magic: ANON_INODE_FS_MAGIC,
      deviceNumber: fileSystems.nextDevice(),
      now: (out) => fileSystems.now(out),
    });
    this.fs.setRoot(new SimpleDir(this.fs));
    this.#mount = fileSystems.vfs.mountTable.mountInternal(this.fs);
  }

  /** A place for an anonymous open file. */
  pathOf(file: OpenFile): Path {
    return this.placeOf(file.anonymousName, new AnonymousNode(this.fs, file));
  }

  /** A place for an inode that is in no directory. */
  placeOf(name: string, inode: Inode): Path {
    const node = new VfsNode(inode);
    node.users = 1; // the dentry's
    return new Path(this.#mount, new Dentry(name, null, this.#mount.superblock, node));
  }

  /** The open file that an inode of `pathOf` stands for. */
  fileBehind(inode: Inode): OpenFile | undefined {
    return inode instanceof AnonymousNode ? inode.file : undefined;
  }

  /** `inode` stands for an anonymous object. */
  has(inode: Inode): boolean {
    return inode instanceof AnonymousNode;
  }

  /** memfd_create(2): an unlinked file of a private tmpfs, open for reading and writing. */
  createMemoryFile(task: Task, name: string, seals: number): OpenFile | number {
    const { vfs } = this.#fileSystems;
    this.#shm ??= vfs.mountTable.mountInternal(
      this.#fileSystems.createTmpfs({ size: this.#fileSystems.manager.totalBytes }),
    );
    const made = this.#shm.root.node?.inode.tmpfile?.({
      mode: S_IFREG | 0o777,
      uid: task.cred.fsuid,
      gid: task.cred.fsgid,
      rdev: 0,
    });
    if (made === undefined || typeof made === "number") return made ?? -ENFILE;
    (made as TmpfsInode).seals = seals;
    const dentry = vfs.dentries.addDetached(this.#shm.superblock, `/memfd:${name}`, vfs.dentries.nodeOf(made));
    const opened = this.#fileSystems.openPath(task, new Path(this.#shm, dentry), O_RDWR);
    return opened instanceof OpenFile ? opened : -ENFILE;
  }
}
