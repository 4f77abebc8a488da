/**
 * Mounts: where file systems are attached to the tree, and with which restrictions.
 *
 * Each mount shows a subtree (`root`) of one superblock at a mount point of its parent mount. Mounting on a place that is
 * already a mount point stacks: path walk always ends on the topmost root, so the new mount hangs on that root.
 * All mounts are private (mount_namespaces(7)): nothing propagates; requests to make them so succeed, and requests to share
 * are remembered for /proc/self/mountinfo only.
 *
 * A mount is kept in use by pins (open files, working directories) and by its children; umount answers EBUSY then, unless lazy.
 */
import {
  EAGAIN,
  EBUSY,
  EINVAL,
  ELOOP,
  ENOTDIR,
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_NOSYMFOLLOW,
  MS_RDONLY,
  MS_RELATIME,
  MS_SYNCHRONOUS,
  S_IFDIR,
  S_IFMT,
} from "linux-abi";
import type { Dentry, DentryCache, Superblock, VfsNode } from "./dentry.ts";
import type { FileSystem } from "./inode.ts";
import { Path } from "./path.ts";

/** Per-mount flags that mount(2) and remount,bind can set. MS_SYNCHRONOUS is kept for display. */
export const MOUNT_FLAGS: number =
  MS_RDONLY |
  MS_NOSUID |
  MS_NODEV |
  MS_NOEXEC |
  MS_NOATIME |
  MS_NODIRATIME |
  MS_RELATIME |
  MS_NOSYMFOLLOW |
  MS_SYNCHRONOUS;

export class Mount {
  readonly id: number;
  readonly superblock: Superblock;
  readonly root: Dentry;
  readonly dentries: DentryCache;
  /** Device or name given to mount(2). */
  readonly source: string;
  /** MS_* of MOUNT_FLAGS. */
  flags: number;
  parent: Mount | null = null;
  mountpoint: Dentry | null = null;
  readonly children: Map<Dentry, Mount> = new Map();
  pins = 0;
  /** Detached lazily: goes away with its last pin. */
  detached = false;
  /** MNT_EXPIRE has been asked once. */
  expiring = false;
  /** MS_SHARED was asked for (shown in mountinfo). */
  shared = false;
  readonly #onUnused: (mount: Mount) => void;

  constructor(
    id: number,
    superblock: Superblock,
    root: Dentry,
    dentries: DentryCache,
    source: string,
    flags: number,
    onUnused: (mount: Mount) => void,
  ) {
    this.id = id;
    this.superblock = superblock;
    this.root = root;
    this.dentries = dentries;
    this.source = source;
    this.flags = flags;
    this.#onUnused = onUnused;
  }

  get fs(): FileSystem {
    return this.superblock.fs;
  }

  /** No write through this mount. */
  get readOnly(): boolean {
    return (this.flags & MS_RDONLY) !== 0 || this.superblock.fs.readOnly;
  }

  get rootPath(): Path {
    return new Path(this, this.root);
  }

  releasePin(): void {
    if (--this.pins === 0 && this.detached) this.#onUnused(this);
  }
}

/** The tree of mounts that a set of processes sees. */
export class MountNamespace {
  readonly #table: MountTable;
  /** Distinguishes the namespaces of one table; the first is 1. */
  readonly id: number;
  /** Set by the first mount. */
  root: Mount | null = null;
  /** In the order of mounting, as /proc/mounts lists them. */
  readonly mounts: Mount[] = [];
  /** Bumped by every change: /proc/self/mounts polls on it. */
  version = 0;

  constructor(table: MountTable) {
    this.#table = table;
    this.id = table.nextNamespaceId();
  }

  /** CLONE_NEWNS: the same tree, private from now on. Returns also how old mounts correspond to new ones. */
  clone(): { namespace: MountNamespace; map: Map<Mount, Mount> } {
    const namespace = new MountNamespace(this.#table);
    const map = new Map<Mount, Mount>();
    for (const mount of this.mounts) {
      const copy = this.#table.create(mount.superblock, mount.root, mount.source, mount.flags);
      map.set(mount, copy);
      const parent = mount.parent === null ? undefined : map.get(mount.parent);
      if (parent !== undefined && mount.mountpoint !== null) attach(copy, parent, mount.mountpoint);
      namespace.mounts.push(copy);
    }
    namespace.root = (this.root && map.get(this.root)) ?? null;
    return { namespace, map };
  }
}

function attach(mount: Mount, parent: Mount, mountpoint: Dentry): void {
  mount.parent = parent;
  mount.mountpoint = mountpoint;
  parent.children.set(mountpoint, mount);
  mountpoint.mountpoints++;
}

function detach(mount: Mount): void {
  if (mount.parent === null || mount.mountpoint === null) return;
  mount.parent.children.delete(mount.mountpoint);
  mount.mountpoint.mountpoints--;
  mount.parent = null;
  mount.mountpoint = null;
}

/** Owner of all superblocks and mounts of one machine. */
export class MountTable {
  readonly #dentries: DentryCache;
  readonly #superblocks = new Map<FileSystem, Superblock>();
  /** A file system is shown by no mount any more: write back; `fs.unmount()` follows. */
  readonly #onShutdown: (superblock: Superblock) => void;
  #nextId = 1;
  #lastNamespaceId = 0;

  constructor(dentries: DentryCache, onShutdown: (superblock: Superblock) => void) {
    this.#dentries = dentries;
    this.#onShutdown = onShutdown;
  }

  get superblocks(): IterableIterator<Superblock> {
    return this.#superblocks.values();
  }

  nextNamespaceId(): number {
    return ++this.#lastNamespaceId;
  }

  superblockOf(fs: FileSystem): Superblock {
    let superblock = this.#superblocks.get(fs);
    if (superblock === undefined) {
      superblock = this.#dentries.createSuperblock(fs);
      this.#superblocks.set(fs, superblock);
    }
    return superblock;
  }

  create(superblock: Superblock, root: Dentry, source: string, flags: number): Mount {
    const mount = new Mount(this.#nextId++, superblock, root, this.#dentries, source, flags & MOUNT_FLAGS, (unused) =>
      this.#destroy(unused),
    );
    superblock.mounts++;
    root.pins++;
    return mount;
  }

  #destroy(mount: Mount): void {
    mount.dentries.unpin(mount.root);
    const superblock = mount.superblock;
    if (--superblock.mounts > 0) return;
    this.#onShutdown(superblock);
    this.#superblocks.delete(superblock.fs);
    this.#dentries.destroySuperblock(superblock);
    superblock.fs.unmount();
  }

  /** Mounts `fs` at `at`; the first mount of a namespace becomes its root and `at` is null. */
  mount(namespace: MountNamespace, at: Path | null, fs: FileSystem, source: string, flags: number): Mount | number {
    if (at !== null && (at.inode.mode & S_IFMT) !== S_IFDIR) return -ENOTDIR;
    if (at === null && namespace.root !== null) return -EBUSY;
    // The same file system twice on one place would only hide itself.
    if (at !== null && at.dentry === at.mount.root && at.mount.fs === fs) return -EBUSY;
    const superblock = this.superblockOf(fs);
    const mount = this.create(superblock, superblock.root, source, flags);
    if (at !== null) attach(mount, at.mount, at.dentry);
    else namespace.root = mount;
    namespace.mounts.push(mount);
    namespace.version++;
    return mount;
  }

  /** A mount that is in no namespace: for pipes, sockets, memfd and the like. */
  mountInternal(fs: FileSystem): Mount {
    const superblock = this.superblockOf(fs);
    const mount = this.create(superblock, superblock.root, "none", 0);
    mount.pins++;
    return mount;
  }

  /** mount --bind / --rbind. Files may be bound on files, directories on directories. */
  bind(namespace: MountNamespace, source: Path, at: Path, recursive: boolean): Mount | number {
    if (isDirectory(source.node) !== isDirectory(at.node)) return -ENOTDIR;
    const copies: Mount[] = [];
    const top = this.create(source.mount.superblock, source.dentry, source.mount.source, source.mount.flags);
    copies.push(top);
    if (recursive) {
      const pairs: [Mount, Mount][] = [[source.mount, top]];
      for (let pair = pairs.pop(); pair !== undefined; pair = pairs.pop()) {
        for (const [mountpoint, child] of pair[0].children) {
          if (pair[0] === source.mount && !mountpoint.isWithin(source.dentry)) continue;
          const copy = this.create(child.superblock, child.root, child.source, child.flags);
          attach(copy, pair[1], mountpoint);
          copies.push(copy);
          pairs.push([child, copy]);
        }
      }
    }
    attach(top, at.mount, at.dentry);
    namespace.mounts.push(...copies);
    namespace.version++;
    return top;
  }

  /** mount --move. `source` must be the root of a mount. */
  move(namespace: MountNamespace, source: Path, at: Path): number {
    const mount = source.mount;
    if (source.dentry !== mount.root || mount.parent === null) return -EINVAL;
    if (isDirectory(source.node) !== isDirectory(at.node)) return -EINVAL;
    for (let m: Mount | null = at.mount; m !== null; m = m.parent) if (m === mount) return -ELOOP;
    detach(mount);
    attach(mount, at.mount, at.dentry);
    namespace.version++;
    return 0;
  }

  /** mount -o remount: `bind` changes the mount's own flags only, otherwise the file system follows. */
  remount(namespace: MountNamespace, at: Path, flags: number, bind: boolean): number {
    const mount = at.mount;
    if (at.dentry !== mount.root) return -EINVAL;
    if (!bind) {
      const readOnly = (flags & MS_RDONLY) !== 0;
      if (readOnly && !mount.fs.readOnly) {
        for (const node of this.#dentries.nodes) if (node.inode.fs === mount.fs && node.writers > 0) return -EBUSY;
        this.#onShutdown(mount.superblock);
      }
      if (readOnly !== mount.fs.readOnly) {
        const error = mount.fs.remount(readOnly);
        if (error !== 0) return error;
      }
    }
    mount.flags = flags & MOUNT_FLAGS;
    namespace.version++;
    return 0;
  }

  /** umount2(2). `lazy`: detaches now (with everything below), frees later. */
  unmount(namespace: MountNamespace, at: Path, options: { lazy?: boolean; expire?: boolean } = {}): number {
    const mount = at.mount;
    if (at.dentry !== mount.root) return -EINVAL;
    if (mount.parent === null) return -EINVAL;
    if (options.lazy !== true) {
      if (mount.pins > 0 || mount.children.size > 0) return -EBUSY;
      if (options.expire === true && !mount.expiring) {
        mount.expiring = true;
        return -EAGAIN; // marked: the next call does it
      }
    }
    const doomed = [mount];
    for (let i = 0; i < doomed.length; i++) doomed.push(...doomed[i].children.values());
    for (let i = doomed.length - 1; i >= 0; i--) this.#discard(namespace, doomed[i]);
    namespace.version++;
    return 0;
  }

  #discard(namespace: MountNamespace, mount: Mount): void {
    detach(mount);
    const index = namespace.mounts.indexOf(mount);
    if (index >= 0) namespace.mounts.splice(index, 1);
    if (mount.pins === 0) this.#destroy(mount);
    else mount.detached = true;
  }

  /** Leaves a namespace that has lost its last process, or at shutdown: children first. */
  unmountAll(namespace: MountNamespace): void {
    for (let i = namespace.mounts.length - 1; i >= 0; i--) this.#discard(namespace, namespace.mounts[i]);
    namespace.root = null;
    namespace.version++;
  }

  /** pivot_root(2): `newRoot` becomes the top of the tree and the old top moves to `putOld` below it. */
  pivotRoot(namespace: MountNamespace, newRoot: Path, putOld: Path): number {
    const mount = newRoot.mount;
    const old = namespace.root;
    if (old === null || newRoot.dentry !== mount.root) return -EINVAL;
    if (mount === old || putOld.mount === old) return -EBUSY;
    if (mount.parent === null) return -EINVAL;
    let within = false;
    for (let m: Mount | null = putOld.mount; m !== null; m = m.parent) if (m === mount) within = true;
    if (!within) return -EINVAL;
    detach(mount);
    namespace.root = mount;
    attach(old, putOld.mount, putOld.dentry);
    namespace.version++;
    return 0;
  }
}

function isDirectory(node: VfsNode): boolean {
  return (node.inode.mode & S_IFMT) === S_IFDIR;
}
