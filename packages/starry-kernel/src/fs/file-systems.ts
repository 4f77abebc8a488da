/**
 * The kernel's file systems: one VFS with its page cache in guest RAM, the mounts that exist from the start, and the
 * ways in which system calls open files.
 *
 * A handler asks `contextOf(task)` for the VFS's view of the caller; the object is reused and must not be kept.
 */
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  EACCES,
  EBADF,
  ECONNREFUSED,
  ELOOP,
  ENOTDIR,
  EBUSY,
  ENXIO,
  ETXTBSY,
  O_EXCL,
  O_PATH,
  O_RDONLY,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  major,
  makedev,
  minor,
} from "linux-abi";
import {
  type Credentials,
  type File,
  type FileSystem,
  LOOKUP_BENEATH,
  LOOKUP_DIRECTORY,
  LOOKUP_EMPTY,
  LOOKUP_FOLLOW,
  LOOKUP_IN_ROOT,
  MAY_EXEC,
  MAY_WRITE,
  type Mount,
  MountNamespace,
  Path,
  type Timespec,
  Vfs,
  type FsContext as VfsContext,
  type VfsNode,
  openPlace,
  pathText,
} from "vfs-inode";
import { Tmpfs } from "vfs-inode/tmpfs";
import type { OpenFile } from "../file.ts";
import type { Kernel } from "../kernel.ts";
import { openFifo } from "../io/fifo.ts";
import { PipeFile } from "../io/pipe.ts";
import type { MemoryManager } from "../mm/memory-manager.ts";
import { FsContext } from "../task/fs-context.ts";
import type { Task } from "../task/task.ts";
import { AnonymousFiles } from "./anonymous-files.ts";
import { SeqObject, type SimpleDir, SpecialFsFile } from "vfs-inode/pseudofs";
import { Devpts } from "./devfs/devpts.ts";
import { Devtmpfs } from "./devfs/devtmpfs.ts";
import { BlockFile } from "./block-file.ts";
import { InotifyHub } from "./inotify.ts";
import { StorageFrames, cacheAllocator } from "./page-frames.ts";
import { OPEN_ONLY_FLAGS, VfsFile } from "./vfs-file.ts";

export interface FileSystemsOptions {
  /** Cached names; default 32768. */
  readonly dentryLimit?: number;
  /** /proc/cmdline without the newline. */
  readonly commandLine?: string;
}

/** The VFS's view of a task; one object for all calls. */
class CallerContext implements VfsContext {
  root!: Path;
  cwd!: Path;
  umask = 0;
  credentials!: Credentials;
}

export class FileSystems {
  readonly kernel: Kernel;
  readonly manager: MemoryManager;
  readonly vfs: Vfs;
  /** The mounts of init and of everybody who has not left them. */
  readonly namespace: MountNamespace;
  /** For tmpfs instances. */
  readonly storage: StorageFrames;
  /** Where files without a name live: memfd, and what /proc/PID/fd links of pipes and sockets lead to. */
  readonly anonymous: AnonymousFiles;
  readonly inotify: InotifyHub;
  readonly devtmpfs: Devtmpfs;
  readonly devpts: Devpts;
  /** /proc/cmdline. */
  readonly commandLine: string;
  /** Values written to /proc/sys that nothing else keeps. */
  readonly parameters: Map<string, string> = new Map();
  /** /proc/sys/kernel/random/boot_id, made when first read. */
  bootId: string | null = null;
  /** /proc/net; the network code adds files by `addProcNet`. */
  procNetDir!: SimpleDir;
  /** /sys/class/net; the network code adds its interfaces. */
  sysClassNet!: SimpleDir;
  readonly #context = new CallerContext();
  /** Lower numbers belong to file systems that are never mounted (io/anonymous-inode.ts). */
  #nextDevice = 20;

  constructor(kernel: Kernel, options: FileSystemsOptions = {}) {
    const manager = kernel.memory;
    this.kernel = kernel;
    this.commandLine = options.commandLine ?? "";
    this.manager = manager;
    this.storage = new StorageFrames(manager);
    this.vfs = new Vfs({
      now: (out) => this.now(out),
      dentryLimit: options.dentryLimit ?? 32768,
      pageCache: {
        allocator: cacheAllocator(manager),
        maxPages: manager.frames.total,
        writeProtect: (page) => {
          const source = page.file.node.mapping;
          if (source !== null) manager.reverseMap.writeProtect(source as never, page.index);
        },
        unmap: (node, first, end) => {
          if (node.mapping !== null) manager.reverseMap.unmap(node.mapping as never, first, end, true);
        },
      },
    });
    manager.addReclaimer((wanted) => this.vfs.shrink(wanted));
    this.namespace = new MountNamespace(this.vfs.mountTable);
    this.anonymous = new AnonymousFiles(this);
    this.inotify = new InotifyHub(this.vfs);
    this.devtmpfs = new Devtmpfs(this);
    this.devpts = new Devpts(this);
  }

  /** The present time, for timestamps. */
  now(out: Timespec): void {
    const { clock } = this.kernel;
    const monotonic = clock.monotonicNs();
    out.sec = clock.realtimeSec(monotonic);
    out.nsec = clock.realtimeNsec(monotonic);
  }

  /** A device number for a file system without a device (major 0). */
  nextDevice(): number {
    return makedev(0, this.#nextDevice++);
  }

  /** A tmpfs in guest RAM. `size` in bytes; default half of RAM, as Linux. */
  createTmpfs(
    options: { size?: number; inodes?: number; mode?: number; uid?: number; gid?: number; type?: string } = {},
  ): Tmpfs {
    return new Tmpfs({
      ...options,
      size: options.size ?? this.manager.totalBytes / 2,
      allocator: this.storage,
      deviceNumber: this.nextDevice(),
      now: (out) => this.now(out),
    });
  }

  /** Pages that tmpfs instances hold. */
  get storagePages(): number {
    return this.storage.held;
  }

  /** Adds /proc/net/NAME. */
  addProcNet(name: string, text: () => string): void {
    this.procNetDir.mapping.add(name, new SpecialFsFile(this.procNetDir.fs, new SeqObject(text), 0o444));
  }

  /** Mounts the root file system. Once, before anything else. */
  mountRoot(fs: FileSystem, source: string, flags: number): Mount {
    return this.vfs.mountTable.mount(this.namespace, null, fs, source, flags) as Mount;
  }

  /** The context of the first process: at the root. */
  initialContext(): FsContext {
    const root = (this.namespace.root as Mount).rootPath;
    return new FsContext(root.pin(), root.pin(), 0o022, this.namespace);
  }

  /** The caller as the VFS sees it; valid until the next call. */
  contextOf(task: Task): VfsContext {
    return this.contextWith(task, task.cred);
  }

  /** As `contextOf` with other credentials (access(2) uses the real ids). */
  contextWith(task: Task, credentials: Credentials): VfsContext {
    const context = this.#context;
    context.root = task.fs.root;
    context.cwd = task.fs.cwd;
    context.umask = task.fs.umask;
    context.credentials = credentials;
    return context;
  }

  /**
   * Where a relative `path` starts: null for the working directory or an absolute path; -EBADF, -ENOTDIR. With LOOKUP_BENEATH or
   * LOOKUP_IN_ROOT in `lookupFlags` an absolute path has a base, too.
   */
  baseOf(task: Task, dirfd: number, path: string, lookupFlags = 0): Path | null | number {
    const confined = (lookupFlags & (LOOKUP_BENEATH | LOOKUP_IN_ROOT)) !== 0;
    if (dirfd === AT_FDCWD || (path.charCodeAt(0) === 47 && !confined)) return null;
    const file = task.files.peek(dirfd);
    if (file === undefined) return -EBADF;
    return file.path ?? (path === "" ? this.anonymous.pathOf(file) : -ENOTDIR);
  }

  /** Resolves (dirfd, path) with LOOKUP_* flags. */
  lookup(task: Task, dirfd: number, path: string, flags: number): Path | number {
    const base = this.baseOf(task, dirfd, path);
    if (typeof base === "number") return base;
    return this.vfs.lookup(this.contextOf(task), base, path, flags);
  }

  /** open(2) by path. A FIFO's end comes back at once: the caller waits for the other side (io/fifo.ts `whenFifoOpen`). */
  open(task: Task, dirfd: number, path: string, flags: number, mode: number, lookupFlags = 0): OpenFile | number {
    const base = this.baseOf(task, dirfd, path, lookupFlags);
    if (typeof base === "number") return base;
    const file = this.vfs.open(this.contextOf(task), base, path, flags, mode, lookupFlags);
    return typeof file === "number" ? file : this.#wrap(task, file);
  }

  /** Opens a place that is already known. */
  openPath(task: Task, path: Path, flags: number): OpenFile | number {
    const file = openPlace(this.vfs, this.contextOf(task), path, flags);
    return typeof file === "number" ? file : this.#wrap(task, file);
  }

  #wrap(task: Task, file: File): OpenFile | number {
    const type = file.inode.mode & S_IFMT;
    if (file.special !== null || type === S_IFREG || type === S_IFDIR || (file.flags & O_PATH) !== 0) {
      return new VfsFile(file, this.kernel.frames);
    }
    const behind = this.anonymous.fileBehind(file.inode);
    if (behind !== undefined) {
      // A link of /proc/PID/fd to a pipe gives another end of it (pipe(7)); most other objects cannot be opened again.
      return this.#finish(
        file,
        behind instanceof PipeFile ? new PipeFile(behind.pipe, file.flags) : behind.reopened(file.flags),
      );
    }
    switch (type) {
      case S_IFCHR: {
        const { rdev } = file.inode;
        const device = this.kernel.charDevices.find(major(rdev), minor(rdev));
        return this.#finish(file, device === undefined ? -ENXIO : device.open(task, rdev, file.flags));
      }
      case S_IFBLK:
        return this.#finish(file, this.#openBlock(file.inode.rdev, file.flags));
      case S_IFIFO:
        return this.#finish(file, openFifo(file.inode, file.flags));
      default:
        file.close();
        return -ENXIO;
    }
  }

  /** The driver's file takes the place of the VFS's. */
  #finish(file: File, opened: OpenFile | number): OpenFile | number {
    if (typeof opened !== "number") {
      opened.flags &= ~OPEN_ONLY_FLAGS;
      if (opened.path === null) opened.path = file.path.pin();
    }
    file.close();
    return opened;
  }

  #openBlock(rdev: number, flags: number): OpenFile | number {
    for (const entry of this.kernel.blockDevices.values()) {
      if (entry.rdev !== rdev) continue;
      // O_EXCL asks for the device to itself (man 2 open): mke2fs and resize2fs find out so whether it is mounted.
      if ((flags & O_EXCL) !== 0 && this.#isMounted(rdev)) return -EBUSY;
      return BlockFile.check(entry, flags) || new BlockFile(entry, flags);
    }
    return -ENXIO;
  }

  #isMounted(rdev: number): boolean {
    for (const { fs } of this.vfs.mountTable.superblocks) if (fs.deviceNumber === rdev) return true;
    return false;
  }

  /**
   * Opens a program or interpreter for execve(2): a regular file that the caller may execute, on a mount that allows it (else -EACCES).
   * `atFlags`: AT_SYMLINK_NOFOLLOW (a link is -ELOOP then), AT_EMPTY_PATH.
   */
  openExecutable(task: Task, dirfd: number, path: string, atFlags: number): OpenFile | number {
    const base = this.baseOf(task, dirfd, path);
    if (typeof base === "number") return base;
    const context = this.contextOf(task);
    const found = this.vfs.lookup(context, base, path, lookupFlagsOf(atFlags));
    if (typeof found === "number") return found;
    const type = found.inode.mode & S_IFMT;
    if (type === S_IFLNK) return -ELOOP;
    if (type !== S_IFREG) return -EACCES;
    const error = this.vfs.access(found, context.credentials, MAY_EXEC);
    if (error !== 0) return error;
    // Executing needs no read permission: the kernel reads on its own behalf.
    const file = openPlace(this.vfs, context, found, O_RDONLY, true);
    return typeof file === "number" ? file : new VfsFile(file, this.kernel.frames);
  }

  /** The program of `file` runs: nobody may write to it (ETXTBSY). -ETXTBSY if somebody does. */
  denyWrite(file: OpenFile): number {
    if (!(file instanceof VfsFile)) return 0;
    if (file.node.writers > 0) return -ETXTBSY;
    file.node.writeDenials++;
    return 0;
  }

  /** Undoes `denyWrite`. */
  allowWrite(file: OpenFile): void {
    if (file instanceof VfsFile) file.node.writeDenials--;
  }

  /** bind(2) of AF_UNIX: makes the socket's node. `mode`: permission bits before umask. -EADDRINUSE is the caller's name for -EEXIST. */
  bindSocket(task: Task, path: string, mode: number): VfsNode | number {
    const context = this.contextOf(task);
    const error = this.vfs.mknod(context, null, path, S_IFSOCK | mode, 0);
    if (error !== 0) return error;
    const made = this.vfs.lookup(context, null, path, 0);
    return typeof made === "number" ? made : made.pin().node;
  }

  /** connect(2) of AF_UNIX: the node of a socket the caller may write to. */
  findSocket(task: Task, path: string): VfsNode | number {
    const context = this.contextOf(task);
    const found = this.vfs.lookup(context, null, path, LOOKUP_FOLLOW);
    if (typeof found === "number") return found;
    const error = this.vfs.access(found, context.credentials, MAY_WRITE);
    if (error !== 0) return error;
    return (found.inode.mode & S_IFMT) === S_IFSOCK ? found.node : -ECONNREFUSED;
  }

  /** chdir(2) for the kernel's own use. */
  chdir(task: Task, path: string): number {
    const found = this.lookup(task, AT_FDCWD, path, LOOKUP_FOLLOW | LOOKUP_DIRECTORY);
    if (typeof found === "number") return found;
    const error = this.vfs.access(found, task.cred, MAY_EXEC);
    if (error !== 0) return error;
    found.pin();
    task.fs.cwd.unpin();
    task.fs.cwd = found;
    return 0;
  }

  /** /dev/pts/INDEX where `task` has devpts mounted: the path of a terminal that was opened without one (TIOCGPTPEER). */
  terminalPath(task: Task, index: number): Path | null {
    const mount = task.fs.namespace.mounts.find(({ fs }) => fs === this.devpts.fs);
    if (mount === undefined) return null;
    const dentry = this.vfs.dentries.lookup(mount.root, String(index));
    return typeof dentry === "number" || dentry.node === null ? null : new Path(mount, dentry);
  }

  /** The name of an open file as `task` sees it: "/usr/bin/bash", "pipe:[7]", "/tmp/x (deleted)". */
  pathText(task: Task, file: OpenFile): string {
    return file.path === null ? file.anonymousName : pathText(file.path, task.fs.root);
  }
}

/** What AT_SYMLINK_NOFOLLOW and AT_EMPTY_PATH mean to path walk. */
export function lookupFlagsOf(atFlags: number): number {
  const follow = (atFlags & AT_SYMLINK_NOFOLLOW) !== 0 ? 0 : LOOKUP_FOLLOW;
  return (atFlags & AT_EMPTY_PATH) !== 0 ? follow | LOOKUP_EMPTY : follow;
}
