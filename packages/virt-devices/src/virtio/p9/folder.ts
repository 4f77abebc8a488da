/**
 * What a 9P device needs from whoever shares a folder. All of it is synchronous; results are values or negated Linux errnos.
 *
 * Paths are relative to the folder, without `.`, `..`, empty or NUL-holding components; "" is the folder itself. An implementation
 * must not follow a symbolic link, neither at the end of a path nor on its way: links are for the guest to follow.
 */

export interface FolderTime {
  /** Since 1970, possibly negative. */
  readonly seconds: number;
  readonly nanoseconds: number;
}

export interface FolderStat {
  /** Tells files apart; stays while the file lives. */
  readonly inode: number;
  /** File type and permission, as in st_mode. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  /** Bytes. */
  readonly size: number;
  readonly atime: FolderTime;
  readonly mtime: FolderTime;
  readonly ctime: FolderTime;
}

/** Changes of a file's attributes; what is not there stays. */
export interface FolderChange {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  readonly atime?: FolderTime;
  readonly mtime?: FolderTime;
}

export interface FolderSpace {
  readonly blockSize: number;
  readonly blocks: number;
  readonly freeBlocks: number;
  readonly files: number;
  readonly freeFiles: number;
}

export interface SharedFolder {
  stat(path: string): FolderStat | number;
  /** Names in a directory, without `.` and `..`. */
  list(path: string): readonly string[] | number;
  readLink(path: string): string | number;
  /** Opens a regular file that exists. A handle ≥ 0, or an error. */
  open(path: string, access: { readonly read: boolean; readonly write: boolean }): number;
  /** Makes a regular file and opens it for reading and writing. -EEXIST if there is something. */
  create(path: string, mode: number): number;
  statOpen(handle: number): FolderStat | number;
  /** Bytes read, 0 at the end. */
  read(handle: number, target: Uint8Array, offset: number): number;
  /** Bytes written. */
  write(handle: number, source: Uint8Array, offset: number): number;
  sync(handle: number): number;
  close(handle: number): void;
  makeDirectory(path: string, mode: number): number;
  makeSymlink(path: string, target: string): number;
  link(existing: string, path: string): number;
  rename(from: string, to: string): number;
  /** Removes a file, or an empty directory. */
  remove(path: string, isDirectory: boolean): number;
  change(path: string, change: FolderChange): number;
  space(): FolderSpace;
}

// Of Linux's errno.h, what folders and their server answer with.
export const EPERM = 1;
export const ENOENT = 2;
export const EIO = 5;
export const EBADF = 9;
export const EACCES = 13;
export const EEXIST = 17;
export const ENOTDIR = 20;
export const EISDIR = 21;
export const EINVAL = 22;
export const EMFILE = 24;
export const ENOSPC = 28;
export const EROFS = 30;
export const ENAMETOOLONG = 36;
export const ENOTEMPTY = 39;
export const ELOOP = 40;
export const EPROTO = 71;
export const EILSEQ = 84;
export const EOPNOTSUPP = 95;

// st_mode
export const S_IFMT = 0o170000;
export const S_IFDIR = 0o040000;
export const S_IFREG = 0o100000;
export const S_IFLNK = 0o120000;
