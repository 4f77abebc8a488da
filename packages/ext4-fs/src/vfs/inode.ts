/**
 * An ext4 inode as the VFS sees it: names as strings, errors as negative errnos, one object per inode number.
 */
import { decodeName, EIO, EISDIR, encodeName, EXDEV, S_IFBLK, S_IFCHR, S_IFDIR, S_IFMT } from "linux-abi";
import type { AttributeChanges, Attributes, DirectoryEmit, Inode, NewNode } from "vfs-inode";
import { changeAttributes, touchAccessTime } from "../attributes.ts";
import { isCasefold } from "../directory/htree.ts";
import { readDirectory } from "../directory/lookup.ts";
import { type EmitExtent, listExtents } from "../fiemap.ts";
import { readFile, seekData } from "../file-read.ts";
import { allocateRange } from "../fallocate.ts";
import { truncateFile, writeFile } from "../file-write.ts";
import { type CoreInode, EXT4_INLINE_DATA_FL } from "../inode.ts";
import { projectOf, setProject, setUserFlags, userFlags } from "../inode-flags.ts";
import {
  createNode,
  createSymlink,
  createTemporary,
  linkInode,
  lookupName,
  readDevice,
  releaseInode,
  removeDirectory,
  renameName,
  unlinkName,
} from "../names.ts";
import { readLink } from "../symlink.ts";
import type { Volume } from "../volume.ts";
import { type AclCaller, checkAccessAcl } from "../xattr/acl.ts";
import { getXattr, listXattr, removeXattr, setXattr } from "../xattr/xattr.ts";
import type { Ext4FileSystem } from "./file-system.ts";

export class Ext4Inode implements Inode {
  readonly fs: Ext4FileSystem;
  readonly #volume: Volume;
  readonly #core: CoreInode;

  constructor(fs: Ext4FileSystem, volume: Volume, core: CoreInode) {
    this.fs = fs;
    this.#volume = volume;
    this.#core = core;
  }

  /** The one object for an inode. */
  static of(fs: Ext4FileSystem, volume: Volume, core: CoreInode): Ext4Inode {
    const existing = core.face;
    if (existing !== null) return existing as Ext4Inode;
    const created = new Ext4Inode(fs, volume, core);
    core.face = created;
    return created;
  }

  #wrap(result: CoreInode | number): Ext4Inode | number {
    return typeof result === "number" ? result : Ext4Inode.of(this.fs, this.#volume, result);
  }

  get ino(): number {
    return this.#core.ino;
  }
  get generation(): number {
    return this.#core.generation;
  }
  get mode(): number {
    return this.#core.mode;
  }
  get uid(): number {
    return this.#core.uid;
  }
  get gid(): number {
    return this.#core.gid;
  }
  get nlink(): number {
    return this.#core.links;
  }
  get size(): number {
    return this.#core.size;
  }
  get rdev(): number {
    const type = this.#core.mode & S_IFMT;
    return type === S_IFCHR || type === S_IFBLK ? readDevice(this.#core) : 0;
  }

  /** Not in a casefold directory, where one entry answers to many names. */
  get cacheableNames(): boolean {
    return this.fs.cacheable && !isCasefold(this.#volume, this.#core);
  }

  ref(): void {
    this.#volume.ref(this.#core);
  }
  unref(): void {
    releaseInode(this.#volume, this.#core);
  }

  getattr(out: Attributes): void {
    const core = this.#core;
    out.ino = core.ino;
    out.mode = core.mode;
    out.nlink = core.links;
    out.uid = core.uid;
    out.gid = core.gid;
    out.rdev = this.rdev;
    out.size = core.size;
    out.blocks512 = core.blocks512(this.#volume.blockSize);
    // Linux: data in the inode counts, or tar would take the file for a hole.
    if (core.hasFlag(EXT4_INLINE_DATA_FL)) out.blocks512 += Math.ceil(core.size / 512);
    out.blockSize = this.#volume.blockSize;
    core.readTime("atime", out.atime);
    core.readTime("mtime", out.mtime);
    core.readTime("ctime", out.ctime);
    const btime = out.btime ?? { sec: 0, nsec: 0 };
    out.btime = core.readTime("crtime", btime) ? btime : undefined;
  }

  setattr(changes: AttributeChanges): number {
    return changeAttributes(this.#volume, this.#core, changes);
  }

  lookup(name: string): Ext4Inode | number {
    return this.#wrap(lookupName(this.#volume, this.#core, encodeName(name)));
  }

  create(name: string, node: NewNode): Ext4Inode | number {
    return this.#wrap(createNode(this.#volume, this.#core, encodeName(name), node));
  }

  mkdir(name: string, node: NewNode): Ext4Inode | number {
    const init = { ...node, mode: (node.mode & 0o7777) | S_IFDIR };
    return this.#wrap(createNode(this.#volume, this.#core, encodeName(name), init));
  }

  symlink(name: string, target: string, node: NewNode): Ext4Inode | number {
    return this.#wrap(createSymlink(this.#volume, this.#core, encodeName(name), encodeName(target), node));
  }

  link(name: string, target: Inode): number {
    const core = this.#coreOf(target);
    return core === undefined ? -EXDEV : linkInode(this.#volume, this.#core, encodeName(name), core);
  }

  unlink(name: string): number {
    return unlinkName(this.#volume, this.#core, encodeName(name));
  }

  rmdir(name: string): number {
    return removeDirectory(this.#volume, this.#core, encodeName(name));
  }

  rename(name: string, newParent: Inode, newName: string, flags: number): number {
    const target = this.#coreOf(newParent);
    if (target === undefined) return -EXDEV;
    return renameName(this.#volume, this.#core, encodeName(name), target, encodeName(newName), flags);
  }

  readdir(cookie: number, emit: DirectoryEmit): number {
    return readDirectory(this.#volume, this.#core, cookie, (name, ino, type, next) =>
      emit(decodeName(name), ino, type, next),
    );
  }

  readAt(offset: number, buf: Uint8Array): number {
    return readFile(this.#volume, this.#core, offset, buf);
  }

  writeAt(offset: number, buf: Uint8Array): number {
    return writeFile(this.#volume, this.#core, offset, buf);
  }

  truncate(size: number): number {
    return truncateFile(this.#volume, this.#core, size);
  }

  fallocate(mode: number, offset: number, byteLength: number): number {
    return allocateRange(this.#volume, this.#core, mode, offset, byteLength);
  }

  seekData(offset: number, data: boolean): number {
    if (this.#core.isDirectory) return -EISDIR;
    return seekData(this.#volume, this.#core, offset, data);
  }

  touchAtime(sec: number, nsec: number): void {
    touchAccessTime(this.#volume, this.#core, sec, nsec);
  }

  tmpfile(node: NewNode): Ext4Inode | number {
    return this.#wrap(createTemporary(this.#volume, this.#core, node));
  }

  inodeFlags(): number {
    return userFlags(this.#core);
  }
  setInodeFlags(flags: number): number {
    return setUserFlags(this.#volume, this.#core, flags);
  }

  checkAcl(credentials: AclCaller, mask: number): number {
    return checkAccessAcl(this.#volume, this.#core, credentials, mask);
  }

  projectId(): number {
    return projectOf(this.#volume, this.#core);
  }
  setProjectId(project: number): number {
    return setProject(this.#volume, this.#core, project);
  }

  mapExtents(start: number, byteLength: number, xattr: boolean, emit: EmitExtent): number {
    return listExtents(this.#volume, this.#core, start, byteLength, xattr, emit);
  }

  /** Data is on the device once written; what waits is the transaction that the inode's changes are in. */
  sync(dataOnly: boolean): number {
    if (!this.#volume.mounted) return -EIO;
    const error = dataOnly ? 0 : this.#volume.writeLazyTimesOf(this.#core);
    return error < 0 ? error : this.#volume.sync();
  }

  readlink(): string | number {
    const target = readLink(this.#volume, this.#core);
    return typeof target === "number" ? target : decodeName(target);
  }

  getxattr(name: string): Uint8Array | number {
    return getXattr(this.#volume, this.#core, name);
  }
  setxattr(name: string, value: Uint8Array, flags: number): number {
    return setXattr(this.#volume, this.#core, name, value, flags);
  }
  listxattr(): readonly string[] | number {
    return listXattr(this.#volume, this.#core);
  }
  removexattr(name: string): number {
    return removeXattr(this.#volume, this.#core, name);
  }

  #coreOf(other: Inode): CoreInode | undefined {
    return other instanceof Ext4Inode && other.#volume === this.#volume ? other.#core : undefined;
  }
}
