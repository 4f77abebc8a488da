/**
 * The virtual file system: everything that system calls do with paths.
 *
 * Place: above the inode contract, below the kernel's system calls and the guest-free façades. A `Vfs` owns the dentry cache, the
 * page cache and the mounts of one machine. Every operation takes the caller's `FsContext` (root, working directory, umask,
 * credentials), a base for relative paths (null: the working directory) and answers ≥ 0, an object, or -errno.
 *
 *     const vfs = new Vfs({ now });
 *     const context = vfs.mountRoot(fileSystem, { source: "/dev/vda" });
 *     const file = vfs.open(context, null, "/etc/passwd", O_RDONLY, 0);
 *     if (typeof file !== "number") { file.read(buf); file.close(); }
 *
 * Creation is in create.ts, removal and renaming in remove.ts, changes of attributes in attributes.ts, open(2) in open.ts.
 */
import { EACCES, EBUSY, EINVAL, ENOENT, EROFS, MS_NOEXEC, S_IFDIR, S_IFMT, S_IFREG } from "linux-abi";
import * as attributes from "./attributes.ts";
import * as create from "./create.ts";
import { type Credentials, MAY_EXEC, MAY_WRITE, ROOT_CREDENTIALS, checkPermission } from "./credentials.ts";
import { type Dentry, DentryCache, type VfsNode } from "./dentry.ts";
import type { File } from "./file.ts";
import type { Attributes, FileSystem, FileSystemStatus, Inode, SpecialFile, Timespec } from "./inode.ts";
import { type Mount, MountNamespace, MountTable } from "./mount.ts";
import { openPath, openTmpfile } from "./open.ts";
import { PageCache, type PageCacheOptions } from "./page-cache.ts";
import { Path, describePath, pathText } from "./path.ts";
import * as remove from "./remove.ts";
import { type FsContext, LOOKUP_DIRECTORY, LOOKUP_EMPTY, LOOKUP_FOLLOW, Walker } from "./walk.ts";

/**
 * What inotify hears of. `name` is set when the event concerns an entry of the directory `node`. `mask` is IN_*;
 * `cookie` joins the two halves of a rename. `dentry`: the name by which the node was reached, for watches of its directory.
 */
export type Notify = (node: VfsNode, mask: number, name: string | null, cookie: number, dentry?: Dentry) => void;

export interface VfsOptions {
  /** Fills in the present time. Default: the epoch. */
  readonly now?: (out: Timespec) => void;
  readonly dentryLimit?: number;
  readonly pageCache?: PageCacheOptions;
  /**
   * Opens character and block devices by number (`new_encode_dev` form). Absent: `open` returns a File without content for
   * them, as it does for FIFOs, and the caller puts its driver in its place.
   */
  readonly openDevice?: (inode: Inode, flags: number) => SpecialFile | number;
}

export class Vfs {
  readonly dentries: DentryCache;
  readonly pageCache: PageCache;
  readonly mountTable: MountTable;
  readonly walker: Walker;
  readonly now: (out: Timespec) => void;
  readonly openDevice: ((inode: Inode, flags: number) => SpecialFile | number) | undefined;
  /** Set by whoever implements inotify. */
  notify: Notify | null = null;
  #renameCookie = 0;

  constructor(options: VfsOptions = {}) {
    this.pageCache = new PageCache(options.pageCache);
    this.dentries = new DentryCache({
      ...(options.dentryLimit === undefined ? {} : { limit: options.dentryLimit }),
      onNodeReleased: (node) => void this.pageCache.release(node),
    });
    this.mountTable = new MountTable(this.dentries, (superblock) => void this.#syncFs(superblock.fs));
    this.walker = new Walker(this.dentries);
    this.now = options.now ?? (() => {});
    this.openDevice = options.openDevice;
  }

  // Set-up

  /** A fresh namespace whose root is `fs`, and a context that stands there as root. */
  mountRoot(
    fs: FileSystem,
    options: { source?: string; flags?: number; credentials?: Credentials } = {},
  ): FsContext & { namespace: MountNamespace } {
    const namespace = new MountNamespace(this.mountTable);
    const mount = this.mountTable.mount(namespace, null, fs, options.source ?? "none", options.flags ?? 0) as Mount;
    return {
      namespace,
      root: mount.rootPath.pin(),
      cwd: mount.rootPath.pin(),
      umask: 0o022,
      credentials: options.credentials ?? ROOT_CREDENTIALS,
    };
  }

  // Lookup

  /** Resolves a path. `flags`: LOOKUP_*. The result is valid until the next operation unless pinned. */
  lookup(context: FsContext, base: Path | null, path: string, flags: number): Path | number {
    this.dentries.trim();
    const error = this.walker.walk(context, base, path, flags);
    return error < 0 ? error : this.walker.path;
  }

  /** The absolute name of `path` as the caller sees it, with "(deleted)" and "(unreachable)". */
  pathText(context: FsContext, path: Path): string {
    return pathText(path, context.root);
  }

  /** getcwd(2): the text, or -ENOENT for a removed directory. "(unreachable)" is prepended outside the root. */
  getcwd(context: FsContext): string | number {
    const { text, deleted, reachable } = describePath(context.cwd, context.root);
    if (deleted) return -ENOENT;
    return reachable ? text : `(unreachable)${text}`;
  }

  /** chdir(2), fchdir(2): moves the working directory. */
  chdir(context: FsContext, base: Path | null, path: string): number {
    const found = this.lookup(context, base, path, LOOKUP_FOLLOW | LOOKUP_DIRECTORY | LOOKUP_EMPTY);
    if (typeof found === "number") return found;
    const error = checkPermission(found.inode, context.credentials, MAY_EXEC);
    if (error !== 0) return error;
    found.pin();
    context.cwd.unpin();
    context.cwd = found;
    return 0;
  }

  /** chroot(2) without its capability check. */
  chroot(context: FsContext, path: string): number {
    const found = this.lookup(context, null, path, LOOKUP_FOLLOW | LOOKUP_DIRECTORY);
    if (typeof found === "number") return found;
    const error = checkPermission(found.inode, context.credentials, MAY_EXEC);
    if (error !== 0) return error;
    found.pin();
    context.root.unpin();
    context.root = found;
    return 0;
  }

  /** May the caller do `mask` (MAY_*) to this place? Takes read-only and noexec mounts into account. 0, -EACCES or -EROFS. */
  access(path: Path, credentials: Credentials, mask: number): number {
    const inode = path.inode;
    const type = inode.mode & S_IFMT;
    const error = checkPermission(inode, credentials, mask);
    if (error !== 0) return error;
    if ((mask & MAY_WRITE) !== 0 && (type === S_IFREG || type === S_IFDIR) && path.mount.readOnly) return -EROFS;
    if ((mask & MAY_EXEC) !== 0 && type === S_IFREG && (path.mount.flags & MS_NOEXEC) !== 0) return -EACCES;
    return 0;
  }

  /** open(2). `mode`: permission bits for a file created. A FIFO comes back as a File without content: the kernel's part. */
  open(
    context: FsContext,
    base: Path | null,
    path: string,
    flags: number,
    mode: number,
    lookupFlags = 0,
  ): File | number {
    this.dentries.trim();
    return openPath(this, context, base, path, flags, mode, lookupFlags);
  }

  /** A nameless file in the directory `path` (O_TMPFILE). */
  openTmpfile(context: FsContext, base: Path | null, path: string, flags: number, mode: number): File | number {
    this.dentries.trim();
    return openTmpfile(this, context, base, path, flags, mode);
  }

  // Names

  mkdir(context: FsContext, base: Path | null, path: string, mode: number): number {
    return create.makeDirectory(this, context, base, path, mode);
  }

  /** mknod(2) without its capability check: `mode` carries S_IF* (0 means a regular file). */
  mknod(context: FsContext, base: Path | null, path: string, mode: number, rdev: number): number {
    return create.makeNode(this, context, base, path, mode, rdev);
  }

  symlink(context: FsContext, target: string, base: Path | null, path: string): number {
    return create.makeSymlink(this, context, target, base, path);
  }

  /** linkat(2): `from` is the place to give another name. */
  link(context: FsContext, from: Path, base: Path | null, path: string): number {
    return create.makeLink(this, context, from, base, path);
  }

  unlink(context: FsContext, base: Path | null, path: string): number {
    return remove.unlink(this, context, base, path);
  }

  rmdir(context: FsContext, base: Path | null, path: string): number {
    return remove.removeDirectory(this, context, base, path);
  }

  /** renameat2(2). `flags`: RENAME_NOREPLACE, RENAME_EXCHANGE. */
  rename(
    context: FsContext,
    oldBase: Path | null,
    oldPath: string,
    newBase: Path | null,
    newPath: string,
    flags = 0,
  ): number {
    return remove.rename(this, context, oldBase, oldPath, newBase, newPath, flags);
  }

  // Attributes

  /** Fills `out` as stat(2) does; `out.ino` etc. are the inode's. */
  getattr(path: Path, out: Attributes): void {
    path.inode.getattr(out);
  }

  chmod(context: FsContext, path: Path, mode: number): number {
    return attributes.changeMode(this, context, path, mode);
  }

  /** -1 leaves the owner or group. */
  chown(context: FsContext, path: Path, uid: number, gid: number): number {
    return attributes.changeOwner(this, context, path, uid, gid);
  }

  /** null: leave. `now`: the time was given as UTIME_NOW for both, which needs write permission only. */
  utimens(context: FsContext, path: Path, atime: Timespec | null, mtime: Timespec | null, now: boolean): number {
    return attributes.changeTimes(this, context, path, atime, mtime, now);
  }

  /** truncate(2). */
  truncate(context: FsContext, path: Path, size: number): number {
    return attributes.truncatePath(this, context, path, size);
  }

  /** Reads a symbolic link's text. -EINVAL for anything else. */
  readlink(path: Path): string | number {
    return path.inode.readlink();
  }

  statfs(path: Path): FileSystemStatus {
    return path.mount.fs.statfs();
  }

  getxattr(context: FsContext, path: Path, name: string): Uint8Array | number {
    return attributes.getXattr(context, path, name);
  }

  setxattr(context: FsContext, path: Path, name: string, value: Uint8Array, flags: number): number {
    return attributes.setXattr(this, context, path, name, value, flags);
  }

  listxattr(context: FsContext, path: Path): readonly string[] | number {
    return attributes.listXattr(context, path);
  }

  removexattr(context: FsContext, path: Path, name: string): number {
    return attributes.removeXattr(this, context, path, name);
  }

  // Mounts

  mount(namespace: MountNamespace, at: Path, fs: FileSystem, source: string, flags: number): Mount | number {
    return this.mountTable.mount(namespace, at, fs, source, flags);
  }

  unmount(namespace: MountNamespace, at: Path, options: { lazy?: boolean; expire?: boolean } = {}): number {
    // Unused dentries must not keep a file system busy; only pins do.
    return this.mountTable.unmount(namespace, at, options);
  }

  /** pivot_root(2) for the caller: its root and working directory follow if they were the old root. */
  pivotRoot(namespace: MountNamespace, contexts: Iterable<FsContext>, newRoot: Path, putOld: Path): number {
    const old = namespace.root;
    if (old === null) return -EINVAL;
    if (newRoot.equals(putOld)) return -EBUSY;
    const error = this.mountTable.pivotRoot(namespace, newRoot, putOld);
    if (error !== 0) return error;
    const oldRoot = old.rootPath;
    for (const context of contexts) {
      if (context.root.equals(oldRoot)) {
        context.root.unpin();
        context.root = new Path(newRoot.mount, newRoot.dentry).pin();
      }
      if (context.cwd.equals(oldRoot)) {
        context.cwd.unpin();
        context.cwd = new Path(newRoot.mount, newRoot.dentry).pin();
      }
    }
    return 0;
  }

  // Whole system

  #syncFs(fs: FileSystem): number {
    let error = 0;
    for (const node of this.dentries.nodes) {
      if (node.inode.fs !== fs || node.pages === null) continue;
      const result = this.pageCache.writeback(node);
      if (error === 0) error = result;
    }
    const result = fs.readOnly ? 0 : fs.sync();
    return error === 0 ? result : error;
  }

  /** syncfs(2). */
  syncFileSystem(fs: FileSystem): number {
    return this.#syncFs(fs);
  }

  /** sync(2): every file system. The first error, or 0. */
  sync(): number {
    let error = 0;
    for (const superblock of this.mountTable.superblocks) {
      const result = this.#syncFs(superblock.fs);
      if (error === 0) error = result;
    }
    return error;
  }

  /** fsync(2), fdatasync(2). */
  syncNode(node: VfsNode, dataOnly: boolean): number {
    const error = this.pageCache.writeback(node);
    const result = node.inode.sync(dataOnly);
    return error === 0 ? result : error;
  }

  /** Cuts or extends a regular file and its cached pages, without permission checks. */
  resizeNode(node: VfsNode, size: number): number {
    const inode = node.inode;
    this.pageCache.resize(node, size);
    const error = inode.truncate(size);
    if (error === 0) node.atimeDecided = Number.NaN;
    return error;
  }

  /** Gives back memory: pages first, then dentries. Returns pages freed. */
  shrink(pages: number): number {
    const freed = this.pageCache.shrink(pages);
    if (freed < pages) this.dentries.shrink(pages);
    return freed;
  }

  nextRenameCookie(): number {
    this.#renameCookie = (this.#renameCookie + 1) >>> 0;
    return this.#renameCookie;
  }
}
