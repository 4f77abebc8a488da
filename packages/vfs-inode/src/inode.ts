/**
 * The contract between the VFS and a file system.
 *
 * Place: every file system (ext4, tmpfs, procfs, ...) implements `FileSystem` and `Inode`; path walk, the
 * dentry and page caches and the kernel's system calls are written against them and nothing else.
 *
 * Rules that hold for every method:
 *  - It is synchronous and never throws for anything that guest or disk bytes can cause: a failure is a
 *    negative errno (`-ENOENT`), success is ≥ 0 or the object asked for. Tell them apart with `typeof r === "number"`.
 *  - Names are single path components without "/" and NUL, decoded with linux-abi's `decodeName` (lossless).
 *    "." and ".." never reach an inode: path walk resolves them.
 *  - Permission checks are the VFS's; an inode only enforces what the medium demands (read-only, full, immutable).
 *  - An Inode object is unique per (file system, ino): the same file found by two names is the same object,
 *    so caches and locks can hang on its identity. An inode that a method returns is lent: who keeps it beyond the next
 *    call takes a reference. `ref`/`unref` count its users (dentries, open files, mappings); when the last
 *    one leaves, the file system may evict it, and frees the blocks of a file whose link count is 0.
 *    `lookup`, `create`, ... return the inode without adding a reference: a caller that keeps it calls `ref` before its next
 *    call into this file system. Unlinking a file that nobody references frees it within `unlink`.
 *  - Times are seconds and nanoseconds, both integers (`number`); sizes and offsets are byte counts up to 2^53 − 1.
 */

/** A point in time: whole seconds since 1970 (may be negative) and nanoseconds 0..999 999 999. */
export interface Timespec {
  sec: number;
  nsec: number;
}

/** What stat(2) reports; filled by `Inode.getattr` into an object that the caller may reuse. */
export interface Attributes {
  /** Inode number. */
  ino: number;
  /** S_IF* type bits and 0o7777 permission bits. */
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  /** Device number of a character or block special file, in Linux's 32-bit `new_encode_dev` form, else 0. */
  rdev: number;
  /** Bytes. */
  size: number;
  /** Space used, in 512-byte units. */
  blocks512: number;
  /** Preferred I/O size in bytes. */
  blockSize: number;
  atime: Timespec;
  mtime: Timespec;
  ctime: Timespec;
  /** Birth time; `undefined` where the file system has none. */
  btime: Timespec | undefined;
}

export function newAttributes(): Attributes {
  return {
    ino: 0,
    mode: 0,
    nlink: 0,
    uid: 0,
    gid: 0,
    rdev: 0,
    size: 0,
    blocks512: 0,
    blockSize: 4096,
    atime: { sec: 0, nsec: 0 },
    mtime: { sec: 0, nsec: 0 },
    ctime: { sec: 0, nsec: 0 },
    btime: undefined,
  };
}

/** Changes for `Inode.setattr`; an absent field stays as it is. ctime is always updated. */
export interface AttributeChanges {
  /** Permission bits only (0o7777). */
  mode?: number;
  uid?: number;
  gid?: number;
  atime?: Timespec;
  mtime?: Timespec;
}

/** What statfs(2) reports. Block counts are in units of `blockSize` bytes. */
export interface FileSystemStatus {
  /** Magic number, e.g. EXT4_SUPER_MAGIC. */
  type: number;
  blockSize: number;
  blocks: number;
  blocksFree: number;
  /** Free for unprivileged users. */
  blocksAvailable: number;
  files: number;
  filesFree: number;
  nameLength: number;
  /** Two 32-bit halves. */
  fsid: readonly [number, number];
}

/** One directory entry, as `Inode.readdir` reports it. `type` is a DT_* value. */
export type DirectoryEmit = (name: string, ino: number, type: number, nextCookie: number) => boolean;

/** Owner and time of a new node. The mode carries S_IF* bits and permissions, umask already applied. */
export interface NewNode {
  mode: number;
  uid: number;
  gid: number;
  /** Device number for S_IFCHR and S_IFBLK, else 0. */
  rdev: number;
}

/**
 * An object behind one open(2) of a special file of a pseudo file system (see `Inode.openSpecial`): it takes part in reads,
 * writes and ioctls itself instead of having bytes at offsets. Nothing here blocks: -EAGAIN means "wait until `poll` says so".
 */
export interface SpecialFile {
  /** True: no file position (pipes, ttys); lseek answers -ESPIPE and `offset` is to be ignored. */
  readonly stream: boolean;
  read(offset: number, buf: Uint8Array): number;
  write(offset: number, buf: Uint8Array): number;
  /** POLL* bits that hold now. */
  poll(): number;
  /** Called while somebody waits: `wake` is to be called whenever `poll` may have changed. Returns the unsubscriber. */
  onWake?(wake: () => void): () => void;
  /** `memory` is the kernel's accessor for the caller's address space, passed through. -ENOTTY for an unknown request. */
  ioctl(request: number, argument: number, memory: unknown): number;
  /** lseek(2) to an absolute offset that the file accepts (0 or more): return it, or -errno. Absent: any offset is accepted. */
  seek?(offset: number): number;
  fsync?(): number;
  /** The last descriptor is gone. */
  release(): void;
}

export interface FileSystem {
  /** Name in /proc/mounts and mount(2), e.g. "ext4". */
  readonly type: string;
  /** Device number reported in st_dev (`new_encode_dev` form). */
  readonly deviceNumber: number;
  /** No write may reach the medium; the VFS answers EROFS. */
  readonly readOnly: boolean;
  /** Dentries of this file system may be cached. False for procfs-like ones whose names come and go by themselves. */
  readonly cacheable: boolean;
  /** File data lives in pages that the VFS caches (disk file systems). False: readAt/writeAt are called every time. */
  readonly usesPageCache: boolean;
  root(): Inode;
  statfs(): FileSystemStatus;
  /** Writes everything dirty to the medium and flushes it. 0 or -errno. */
  sync(): number;
  /** Options as in /proc/mounts, without "rw"/"ro". */
  mountOptions(): string;
  /** Changes rw to ro or back (mount -o remount). 0 or -errno. */
  remount(readOnly: boolean): number;
  /** Leaves the medium clean. Further calls answer -EIO. Idempotent. */
  unmount(): number;
  /** FITRIM: discards free space in runs of at least `minByteLength` bytes. Bytes discarded, or -errno. Absent: -EOPNOTSUPP. */
  trim?(start: number, byteLength: number, minByteLength: number): number;
  /** quotactl(2): the quotas of a kind; undefined where there are none. Absent: -ENOSYS. */
  quotas?(kind: "user" | "group" | "project"): QuotaSource | undefined;
  /** EXT4_IOC_RESIZE_FS: grows to this many blocks of the file system. 0 or -errno. Absent: -ENOTTY. */
  resize?(blocks: number): number;
}

/** Beyond the soft limit for the time of grace, never beyond the hard one; 0 = no limit. */
export interface QuotaLimit {
  readonly soft: number;
  readonly hard: number;
}

/** What a user, group or project has, and may have; space in bytes, deadlines in seconds since 1970 (0 = none). */
export interface QuotaEntry {
  readonly id: number;
  readonly inodes: number;
  readonly bytes: number;
  readonly inodeLimit: QuotaLimit;
  readonly byteLimit: QuotaLimit;
  readonly inodeDeadline: number;
  readonly byteDeadline: number;
}

export type QuotaChanges = Partial<Pick<QuotaEntry, "inodeLimit" | "byteLimit" | "inodeDeadline" | "byteDeadline">>;

/** The quotas of one kind on a file system, for quotactl(2). Results: 0 or what was asked for, or -errno. */
export interface QuotaSource {
  /** Puts limits in force or out of it. */
  enforce(on: boolean): number;
  get(id: number): QuotaEntry | number;
  /** The lowest id from `from` on that has an entry; -ENOENT. */
  next(from: number): QuotaEntry | number;
  set(id: number, changes: QuotaChanges): number;
  /** Seconds for which soft limits may be exceeded. */
  grace(): { readonly inodes: number; readonly bytes: number } | number;
  setGrace(grace: { readonly inodes?: number; readonly bytes?: number }): number;
}

export interface Inode {
  readonly fs: FileSystem;
  readonly ino: number;
  /** Distinguishes reuses of one inode number. */
  readonly generation: number;
  /** S_IF* type bits and permissions, always current. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  /** Bytes, always current. */
  readonly size: number;
  /** Device number of a special file, else 0. */
  readonly rdev: number;

  ref(): void;
  unref(): void;

  getattr(out: Attributes): void;
  setattr(changes: AttributeChanges): number;

  // Directories. A non-directory answers -ENOTDIR.
  lookup(name: string): Inode | number;
  /** Regular file, FIFO, socket, character or block special file. -EEXIST if the name is taken. */
  create(name: string, node: NewNode): Inode | number;
  mkdir(name: string, node: NewNode): Inode | number;
  symlink(name: string, target: string, node: NewNode): Inode | number;
  link(name: string, target: Inode): number;
  /** -EISDIR for a directory. */
  unlink(name: string): number;
  /** -ENOTDIR, -ENOTEMPTY. */
  rmdir(name: string): number;
  /**
   * Moves `name` to `newName` in `newParent` (same file system), replacing what is there as rename(2) allows.
   * `flags`: RENAME_NOREPLACE, RENAME_EXCHANGE; others -EINVAL. The VFS has checked for loops.
   */
  rename(name: string, newParent: Inode, newName: string, flags: number): number;
  /**
   * Emits entries, "." and ".." included, from `cookie` on (0 = start) until `emit` returns false or none is left.
   * A cookie stays valid while entries are added and removed. Returns 0 or -errno.
   */
  readdir(cookie: number, emit: DirectoryEmit): number;

  // Files. A directory answers -EISDIR.
  /** Copies up to buf.length bytes at `offset`; returns the count, 0 at or beyond the end. */
  readAt(offset: number, buf: Uint8Array): number;
  /** Returns the count written (may be short when the medium fills up), or -ENOSPC, -EFBIG, -EROFS, -EIO. Extends the file. */
  writeAt(offset: number, buf: Uint8Array): number;
  truncate(size: number): number;
  /** fallocate(2) modes; -EOPNOTSUPP for those the file system lacks. */
  fallocate(mode: number, offset: number, byteLength: number): number;
  /** lseek(2) SEEK_DATA (`data` true) or SEEK_HOLE from `offset`: the offset found, or -ENXIO. */
  seekData(offset: number, data: boolean): number;
  /** fsync(2) / fdatasync(2). */
  sync(dataOnly: boolean): number;
  /** Target of a symbolic link, or -EINVAL. */
  readlink(): string | number;

  // Extended attributes, full names such as "user.x". -ENODATA if absent, -EOPNOTSUPP where there are none.
  getxattr(name: string): Uint8Array | number;
  /** `flags`: XATTR_CREATE, XATTR_REPLACE. */
  setxattr(name: string, value: Uint8Array, flags: number): number;
  listxattr(): readonly string[] | number;
  removexattr(name: string): number;

  // Optional: absent where the file system has no such thing.
  /** Marks a read at this time (the VFS applies noatime and relatime first). ctime stays. Without it atime never moves by itself. */
  touchAtime?(sec: number, nsec: number): void;
  /** O_TMPFILE, called on a directory: a regular file of link count 0; `link` may name it later. */
  tmpfile?(node: NewNode): Inode | number;
  /**
   * Files whose bytes live in frames of the VFS's `PageAllocator` (tmpfs): the frame that holds page `index`.
   * `create` false: -ENOENT for a hole. -ENOSPC when the file system is full. mmap shares this frame.
   */
  pageFrame?(index: number, create: boolean): number;
  /** FS_IOC_GETFLAGS / FS_IOC_SETFLAGS: FS_*_FL bits. */
  inodeFlags?(): number;
  setInodeFlags?(flags: number): number;
  /**
   * What the file's POSIX ACL says to somebody who is not its owner: 0, or -EACCES; 1 when there is none and the mode bits decide.
   * `mask` is a union of MAY_*.
   */
  checkAcl?(
    credentials: { readonly fsuid: number; readonly fsgid: number; readonly groups: readonly number[] },
    mask: number,
  ): number;
  /**
   * FS_IOC_FIEMAP: emits the extents that touch [start, start + byteLength), all in bytes, `flags` FIEMAP_EXTENT_*, until `emit`
   * returns false. `xattr`: where the extended attributes are instead. 0 or -errno.
   */
  mapExtents?(
    start: number,
    byteLength: number,
    xattr: boolean,
    emit: (logical: number, physical: number, byteLength: number, flags: number) => boolean,
  ): number;
  /** FS_IOC_FSGETXATTR / FS_IOC_FSSETXATTR: the project that the file's space counts for. */
  projectId?(): number;
  setProjectId?(project: number): number;
  /** Names in this directory may be cached; overrides `FileSystem.cacheable`. */
  readonly cacheableNames?: boolean;
  /**
   * A magic link (/proc/self/exe, /proc/self/fd/3): leads to an object and not to a name. Returns the place as an opaque value
   * that path walk understands (a `Path` of this VFS), or -errno. `readlink` still gives the text.
   */
  followLink?(): object | number;
  /** Opens a special file; `flags` are those of open(2). A negative errno refuses. Called for every open of such an inode. */
  openSpecial?(flags: number): SpecialFile | number;
}
