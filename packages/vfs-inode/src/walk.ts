/**
 * Path walk: from a path string to a place (mount, dentry), as path_resolution(7) describes.
 *
 * The walk is one loop over the components. A symbolic link replaces the string still to be walked by its target and the
 * rest, so nothing recurses; after MAX_SYMLINKS links the answer is ELOOP. The result lies in the walker's own fields until the next
 * walk, so that a lookup of a cached path allocates no more than its component strings.
 *
 *   walk(context, base, "a/b/c", LOOKUP_FOLLOW)    → 0; mount, dentry = the place of c
 *   walk(context, base, "a/b/c", LOOKUP_PARENT)    → 0; mount, dentry = the place of b; lastName "c"
 *   walk(context, base, "a/new", LOOKUP_CREATE)    → 0; dentry negative if "new" does not exist
 */
import {
  EACCES,
  EISDIR,
  ELOOP,
  ENAMETOOLONG,
  ENOENT,
  ENOTDIR,
  EXDEV,
  MS_NOSYMFOLLOW,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
} from "linux-abi";
import { type Credentials, MAY_EXEC, checkPermission } from "./credentials.ts";
import type { Dentry, DentryCache, VfsNode } from "./dentry.ts";
import type { Mount } from "./mount.ts";
import { Path } from "./path.ts";

/** Follow a symbolic link in the last component. */
export const LOOKUP_FOLLOW = 1;
/** The result must be a directory. */
export const LOOKUP_DIRECTORY = 2;
/** Stop before the last component and report it in `lastName`, `lastKind`, `trailingSlash`. */
export const LOOKUP_PARENT = 4;
/** open(O_CREAT): the last component may be absent, the result is a negative dentry then; -EISDIR if it ends in a slash. */
export const LOOKUP_CREATE = 8;
/** An empty path means the base itself (AT_EMPTY_PATH). */
export const LOOKUP_EMPTY = 16;
/** openat2(2) RESOLVE_*: refuse all symbolic links, magic links, leaving the mount, leaving the base. */
export const LOOKUP_NO_SYMLINKS = 32;
export const LOOKUP_NO_MAGICLINKS = 64;
export const LOOKUP_NO_XDEV = 128;
export const LOOKUP_BENEATH = 256;
/** RESOLVE_IN_ROOT: the base is the root for this walk. */
export const LOOKUP_IN_ROOT = 512;

/** Symbolic links followed in one walk (MAXSYMLINKS). */
export const MAX_SYMLINKS = 40;
/** Bytes in one name. */
export const NAME_MAX = 255;
/** Bytes in a path, with the final NUL. */
export const PATH_MAX = 4096;

// What the last component of a LOOKUP_PARENT walk is.
export const LAST_NORMAL = 0;
export const LAST_ROOT = 1;
export const LAST_DOT = 2;
export const LAST_DOTDOT = 3;

/** Where a process stands and who it is. */
export interface FsContext {
  /** Its root directory (chroot). */
  root: Path;
  /** Its working directory. */
  cwd: Path;
  /** File mode creation mask, 0o777 bits. */
  umask: number;
  credentials: Credentials;
}

const SLASH = 47;
const DOT = 46;

export class Walker {
  readonly #dentries: DentryCache;
  // The result of the last successful walk.
  mount!: Mount;
  dentry!: Dentry;
  lastName = "";
  lastKind: number = LAST_ROOT;
  /** The path ended in "/" after its last component. */
  trailingSlash = false;
  // Filled by #descend.
  #child!: Dentry;

  constructor(dentries: DentryCache) {
    this.#dentries = dentries;
  }

  get path(): Path {
    return new Path(this.mount, this.dentry);
  }

  /** `base`: where a relative path starts; null is the working directory. Returns 0 or -errno. */
  walk(context: FsContext, base: Path | null, path: string, flags: number): number {
    const start = base ?? context.cwd;
    let mount = start.mount;
    let dentry = start.dentry;
    this.trailingSlash = false;
    this.lastKind = LAST_ROOT;
    this.lastName = "";
    if (path.length === 0) {
      if ((flags & LOOKUP_EMPTY) === 0) return -ENOENT;
      return this.#finish(mount, dentry, flags);
    }
    if (path.length >= PATH_MAX / 3 && utf8Length(path) >= PATH_MAX) return -ENAMETOOLONG;
    const inRoot = (flags & LOOKUP_IN_ROOT) !== 0;
    const root = inRoot || (flags & LOOKUP_BENEATH) !== 0 ? start : context.root;
    const credentials = context.credentials;
    let rest = path;
    let at = 0;
    let links = 0;
    if (rest.charCodeAt(0) === SLASH) {
      if ((flags & LOOKUP_BENEATH) !== 0) return -EXDEV;
      if ((flags & LOOKUP_NO_XDEV) !== 0 && root.mount !== mount) return -EXDEV;
      mount = root.mount;
      dentry = root.dentry;
    }
    for (;;) {
      while (rest.charCodeAt(at) === SLASH) at++;
      if (at >= rest.length) return this.#finish(mount, dentry, flags);
      const node = dentry.node;
      if (node === null) return -ENOENT;
      if ((node.inode.mode & S_IFMT) !== S_IFDIR) return -ENOTDIR;
      const error = checkPermission(node.inode, credentials, MAY_EXEC);
      if (error !== 0) return error;

      let end = rest.indexOf("/", at);
      if (end < 0) end = rest.length;
      let next = end;
      while (rest.charCodeAt(next) === SLASH) next++;
      const isLast = next >= rest.length;
      const length = end - at;
      if (isLast) this.trailingSlash = next > end;

      if (rest.charCodeAt(at) === DOT && (length === 1 || (length === 2 && rest.charCodeAt(at + 1) === DOT))) {
        if (isLast && (flags & LOOKUP_PARENT) !== 0) {
          this.lastName = length === 1 ? "." : "..";
          this.lastKind = length === 1 ? LAST_DOT : LAST_DOTDOT;
          this.mount = mount;
          this.dentry = dentry;
          return 0;
        }
        if (length === 2) {
          const moved = this.#up(mount, dentry, root, flags);
          if (moved !== 0) return moved;
          mount = this.mount;
          dentry = this.dentry;
        }
        at = next;
        if (isLast) return this.#finish(mount, dentry, flags | LOOKUP_DIRECTORY);
        continue;
      }

      const name = at === 0 && end === rest.length ? rest : rest.slice(at, end);
      if (length > NAME_MAX / 3 && utf8Length(name) > NAME_MAX) return -ENAMETOOLONG;
      if (isLast && this.trailingSlash && (flags & LOOKUP_CREATE) !== 0) return -EISDIR;
      if (isLast && (flags & LOOKUP_PARENT) !== 0) {
        this.lastName = name;
        this.lastKind = LAST_NORMAL;
        this.mount = mount;
        this.dentry = dentry;
        return 0;
      }
      const found = this.#descend(dentry, name);
      if (found !== 0) return found;
      const child = this.#child;
      const childNode = child.node;
      if (childNode === null) {
        if (!isLast || (flags & LOOKUP_CREATE) === 0) return -ENOENT;
        this.mount = mount;
        this.dentry = child;
        return 0;
      }
      if (child.mountpoints > 0 && mount.children.has(child)) {
        if ((flags & LOOKUP_NO_XDEV) !== 0) return -EXDEV;
        let topMount = mount;
        let top = child;
        for (let m = topMount.children.get(top); m !== undefined; m = topMount.children.get(top)) {
          topMount = m;
          top = m.root;
        }
        mount = topMount;
        dentry = top;
        at = next;
        if (isLast) return this.#finish(mount, dentry, this.trailingSlash ? flags | LOOKUP_DIRECTORY : flags);
        continue;
      }
      if (
        (childNode.inode.mode & S_IFMT) === S_IFLNK &&
        (!isLast || this.trailingSlash || (flags & LOOKUP_FOLLOW) !== 0)
      ) {
        if (++links > MAX_SYMLINKS || (flags & LOOKUP_NO_SYMLINKS) !== 0) return -ELOOP;
        if ((mount.flags & MS_NOSYMFOLLOW) !== 0) return -ELOOP;
        const inode = childNode.inode;
        if (inode.followLink !== undefined) {
          if ((flags & (LOOKUP_NO_MAGICLINKS | LOOKUP_BENEATH | LOOKUP_IN_ROOT)) !== 0) {
            return (flags & LOOKUP_NO_MAGICLINKS) !== 0 ? -ELOOP : -EXDEV;
          }
          const target = inode.followLink();
          if (typeof target === "number") return target;
          if (!(target instanceof Path)) return -EACCES;
          if ((flags & LOOKUP_NO_XDEV) !== 0 && target.mount !== mount) return -EXDEV;
          mount = target.mount;
          dentry = target.dentry;
          at = next;
          if (isLast) return this.#finish(mount, dentry, this.trailingSlash ? flags | LOOKUP_DIRECTORY : flags);
          continue;
        }
        const target = inode.readlink();
        if (typeof target === "number") return target;
        if (target.length === 0) return -ENOENT;
        rest = end === rest.length ? target : target + rest.slice(end);
        at = 0;
        if (target.charCodeAt(0) === SLASH) {
          if ((flags & LOOKUP_BENEATH) !== 0) return -EXDEV;
          if ((flags & LOOKUP_NO_XDEV) !== 0 && root.mount !== mount) return -EXDEV;
          mount = root.mount;
          dentry = root.dentry;
        }
        continue;
      }
      dentry = child;
      at = next;
      if (isLast) return this.#finish(mount, dentry, this.trailingSlash ? flags | LOOKUP_DIRECTORY : flags);
    }
  }

  #descend(parent: Dentry, name: string): number {
    const found = this.#dentries.lookup(parent, name);
    if (typeof found === "number") return found;
    this.#child = found;
    return 0;
  }

  /** "..": out of the mount if need be, never above `root`; then onto whatever is mounted there. */
  #up(fromMount: Mount, fromDentry: Dentry, root: Path, flags: number): number {
    let mount = fromMount;
    let dentry = fromDentry;
    for (;;) {
      if (mount === root.mount && dentry === root.dentry) {
        if ((flags & LOOKUP_BENEATH) !== 0) return -EXDEV;
        break;
      }
      if (dentry !== mount.root) {
        dentry = dentry.parent ?? dentry;
        break;
      }
      if (mount.parent === null || mount.mountpoint === null) break;
      if ((flags & LOOKUP_NO_XDEV) !== 0) return -EXDEV;
      dentry = mount.mountpoint;
      mount = mount.parent;
    }
    while (dentry.mountpoints > 0) {
      const top = mount.children.get(dentry);
      if (top === undefined) break;
      mount = top;
      dentry = top.root;
    }
    this.mount = mount;
    this.dentry = dentry;
    return 0;
  }

  #finish(mount: Mount, dentry: Dentry, flags: number): number {
    const node: VfsNode | null = dentry.node;
    if (node === null) return -ENOENT;
    if ((flags & LOOKUP_DIRECTORY) !== 0 && (node.inode.mode & S_IFMT) !== S_IFDIR) return -ENOTDIR;
    this.mount = mount;
    this.dentry = dentry;
    return 0;
  }
}

/** Bytes of `text` in the encoding of linux-abi's `encodeName` (lone U+DC80..U+DCFF are single bytes). */
export function utf8Length(text: string): number {
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) length += 1;
    else if (unit < 0x800) length += 2;
    else if (unit >= 0xd800 && unit < 0xdc00 && i + 1 < text.length) {
      length += 4;
      i++;
    } else length += unit >= 0xdc80 && unit <= 0xdcff ? 1 : 3;
  }
  return length;
}
