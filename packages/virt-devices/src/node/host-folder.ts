/// <reference types="node" />
/**
 * A folder of the host as a `SharedFolder`, through Node's synchronous calls.
 *
 * A guest stays inside: before every operation the path's directories are resolved, and one that turns out to be a symbolic link
 * (which a guest can put where it had a directory before) is ELOOP; at its end a path is never followed. Only regular files are
 * opened, so that a pipe or a device of the host cannot hold the machine. Owners and modes are the host's; what the host's user
 * may not do, the guest may not either.
 */
import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  realpathSync,
  renameSync,
  rmdirSync,
  type Stats,
  statfsSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import {
  EACCES,
  EBADF,
  EEXIST,
  EINVAL,
  EIO,
  EISDIR,
  ELOOP,
  EMFILE,
  ENAMETOOLONG,
  ENOENT,
  ENOSPC,
  ENOTDIR,
  ENOTEMPTY,
  EOPNOTSUPP,
  EPERM,
  EROFS,
  type FolderChange,
  type FolderSpace,
  type FolderStat,
  type FolderTime,
  type SharedFolder,
} from "../virtio/p9/folder.ts";

export interface HostFolderOptions {
  /** A directory of the host. */
  readonly path: string;
}

/** Linux's numbers for the host's error names; hosts other than Linux number them differently. */
const ERRNO: Readonly<Record<string, number>> = {
  EACCES,
  EBADF,
  EEXIST,
  EINVAL,
  EIO,
  EISDIR,
  ELOOP,
  EMFILE,
  ENAMETOOLONG,
  ENOENT,
  ENOSPC,
  ENOTDIR,
  ENOTEMPTY,
  ENOTSUP: EOPNOTSUPP,
  EOPNOTSUPP,
  EPERM,
  EROFS,
  EXDEV: 18,
  EBUSY: 16,
  EFBIG: 27,
  EMLINK: 31,
  ETXTBSY: 26,
};
const { O_CREAT, O_EXCL, O_NOFOLLOW = 0, O_NONBLOCK = 0, O_RDONLY, O_RDWR, O_WRONLY } = constants;
const OPEN_FLAGS: number = O_NOFOLLOW | O_NONBLOCK;

export class HostFolder implements SharedFolder {
  readonly #root: string;

  /** @throws the host's error when `path` is no directory that can be resolved. */
  constructor(options: HostFolderOptions) {
    this.#root = realpathSync(options.path);
    if (!lstatSync(this.#root).isDirectory()) throw new TypeError(`"path" expected a directory, got "${options.path}"`);
  }

  stat(path: string): FolderStat | number {
    return this.#at(path, (place) => statOf(lstatSync(place)));
  }

  list(path: string): readonly string[] | number {
    return this.#at(path, (place) => {
      // A link is not followed.
      if (!lstatSync(place).isDirectory()) return -ENOTDIR;
      return readdirSync(place);
    });
  }

  readLink(path: string): string | number {
    return this.#at(path, (place) => readlinkSync(place));
  }

  open(path: string, access: { readonly read: boolean; readonly write: boolean }): number {
    const flags = access.write ? (access.read ? O_RDWR : O_WRONLY) : O_RDONLY;
    return this.#at(path, (place) => {
      const stat = lstatSync(place);
      if (!stat.isFile()) return stat.isDirectory() ? -EISDIR : stat.isSymbolicLink() ? -ELOOP : -EACCES;
      return openSync(place, flags | OPEN_FLAGS);
    });
  }

  create(path: string, mode: number): number {
    return this.#at(path, (place) => openSync(place, O_RDWR | O_CREAT | O_EXCL | OPEN_FLAGS, mode));
  }

  statOpen(handle: number): FolderStat | number {
    return attempt(() => statOf(fstatSync(handle)));
  }

  read(handle: number, target: Uint8Array, offset: number): number {
    if (!Number.isSafeInteger(offset)) return -EINVAL;
    return attempt(() => readSync(handle, target, 0, target.length, offset));
  }

  write(handle: number, source: Uint8Array, offset: number): number {
    if (!Number.isSafeInteger(offset + source.length)) return -EINVAL;
    return attempt(() => writeSync(handle, source, 0, source.length, offset));
  }

  sync(handle: number): number {
    return attempt(() => done(fsyncSync(handle)));
  }

  close(handle: number): void {
    attempt(() => done(closeSync(handle)));
  }

  makeDirectory(path: string, mode: number): number {
    return this.#at(path, (place) => done(mkdirSync(place, mode)));
  }

  makeSymlink(path: string, target: string): number {
    return this.#at(path, (place) => done(symlinkSync(target, place)));
  }

  link(existing: string, path: string): number {
    return this.#at(existing, (from) => this.#at(path, (to) => done(linkSync(from, to))));
  }

  rename(from: string, to: string): number {
    return this.#at(from, (old) => this.#at(to, (place) => done(renameSync(old, place))));
  }

  remove(path: string, isDirectory: boolean): number {
    return this.#at(path, (place) => {
      if (isDirectory) return done(rmdirSync(place));
      // Some hosts say EPERM.
      return lstatSync(place).isDirectory() ? -EISDIR : done(unlinkSync(place));
    });
  }

  change(path: string, change: FolderChange): number {
    return this.#at(path, (place) => {
      const stat = lstatSync(place);
      const { mode, uid, gid, size, atime, mtime } = change;
      if (size !== undefined) {
        const error = truncate(place, stat, size);
        if (error < 0) return error;
      }
      if (uid !== undefined || gid !== undefined) lchownSync(place, uid ?? stat.uid, gid ?? stat.gid);
      if (mode !== undefined) {
        if (stat.isSymbolicLink()) return -EOPNOTSUPP;
        chmodSync(place, mode);
      }
      if (atime !== undefined || mtime !== undefined)
        lutimesSync(place, secondsOf(atime) ?? stat.atimeMs / 1000, secondsOf(mtime) ?? stat.mtimeMs / 1000);
      return 0;
    });
  }

  space(): FolderSpace {
    const empty = { blockSize: 4096, blocks: 0, freeBlocks: 0, files: 0, freeFiles: 0 };
    const space = attempt(() => {
      const { bsize, blocks, bavail, files, ffree } = statfsSync(this.#root);
      return { blockSize: bsize, blocks, freeBlocks: bavail, files, freeFiles: ffree };
    });
    return typeof space === "number" ? empty : space;
  }

  /** Runs `operation` on the host's path, if no directory on the way there is a symbolic link. */
  #at<T>(path: string, operation: (place: string) => T): T | number {
    const end = path.lastIndexOf("/");
    const parent = end < 0 ? this.#root : `${this.#root}/${path.slice(0, end)}`;
    return attempt(() => {
      if (end >= 0 && realpathSync(parent) !== parent) return -ELOOP;
      return operation(path === "" ? this.#root : `${this.#root}/${path}`);
    });
  }
}

/** The result of a host call, or its error as a negated Linux errno. */
function attempt<T>(call: () => T): T | number {
  try {
    return call();
  } catch (reason) {
    const code = (reason as { readonly code?: unknown }).code;
    return -(ERRNO[String(code)] ?? EIO);
  }
}

function done(_result: unknown): number {
  return 0;
}

function truncate(place: string, stat: Stats, size: number): number {
  if (!stat.isFile()) return stat.isDirectory() ? -EISDIR : -EINVAL;
  if (!Number.isSafeInteger(size)) return -EINVAL;
  const handle = openSync(place, O_WRONLY | OPEN_FLAGS);
  try {
    ftruncateSync(handle, size);
  } finally {
    closeSync(handle);
  }
  return 0;
}

function secondsOf(time: FolderTime | undefined): number | undefined {
  return time && time.seconds + time.nanoseconds / 1e9;
}

function timeOf(milliseconds: number): FolderTime {
  const seconds = Math.floor(milliseconds / 1000);
  return { seconds, nanoseconds: Math.floor((milliseconds - seconds * 1000) * 1e6) };
}

function statOf(stat: Stats): FolderStat {
  const { ino: inode, mode, uid, gid, nlink, size } = stat;
  const [atime, mtime, ctime] = [timeOf(stat.atimeMs), timeOf(stat.mtimeMs), timeOf(stat.ctimeMs)];
  return { inode, mode, uid, gid, nlink, size, atime, mtime, ctime };
}
