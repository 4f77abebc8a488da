/**
 * Operations on names: create, link, unlink, rename and their kin. Each is one operation: it is in the journal as a whole or not
 * at all. Names are bytes; the callers have dealt with ".", ".." and permissions.
 */
import {
  EEXIST,
  EINVAL,
  EISDIR,
  EMLINK,
  ENAMETOOLONG,
  ENOENT,
  ENOSPC,
  ENOTDIR,
  ENOTEMPTY,
  EPERM,
  EXDEV,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
} from "linux-abi";
import { heldSpace } from "./allocator/blocks.ts";
import { allocateInode, freeInode } from "./allocator/inodes.ts";
import { EXT4_NAME_LEN, fileTypeOfMode } from "./directory/entry.ts";
import { addName, initDirectory, removeName, retargetName } from "./directory/insert.ts";
import { findName, isEmptyDirectory, nameProblem } from "./directory/lookup.ts";
import { EXT4_FEATURE_INCOMPAT_FILETYPE, EXT4_FEATURE_RO_COMPAT_DIR_NLINK } from "./features.ts";
import { hasFileMap, initFileMap } from "./file-map.ts";
import { freeFrom, writeFile } from "./file-write.ts";
import {
  type CoreInode,
  EXT4_APPEND_FL,
  EXT4_FL_INHERITED,
  EXT4_IMMUTABLE_FL,
  EXT4_INDEX_FL,
  EXT4_PROJINHERIT_FL,
  I_BLOCK,
  I_BLOCK_SIZE,
  I_PROJID,
} from "./inode.ts";
import { flagsForMode, projectOf, sameProject } from "./inode-flags.ts";
import { addOrphan, deleteInode, removeOrphan } from "./orphan.ts";
import type { Volume } from "./volume.ts";
import { inheritAcl } from "./xattr/acl.ts";

export const EXT4_LINK_MAX = 65000;

/** Owner and kind of a new inode; `mode` has S_IF* bits, `rdev` is in new_encode_dev form. */
export interface NodeInit {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
}

const DOT_DOT: Uint8Array = Uint8Array.of(0x2e, 0x2e);

/** The inode that `name` in `dir` leads to, or -ENOENT, -ENOTDIR, -ENAMETOOLONG, -EUCLEAN, -EIO. */
export function lookupName(volume: Volume, dir: CoreInode, name: Uint8Array): CoreInode | number {
  const found = volume.work.found;
  if (name.length > EXT4_NAME_LEN) return -ENAMETOOLONG;
  volume.enter();
  const error = findName(volume, dir, name, found);
  if (error < 0) return error;
  const ino = found.ino;
  if (ino < volume.geometry.firstInode && ino !== 2)
    return volume.corrupt(`directory entry names inode ${ino}`, dir.ino, 0);
  const inode = volume.inode(ino);
  return typeof inode === "number" || inode.links === 0
    ? volume.corrupt(`directory entry names inode ${ino}, which cannot be read`, dir.ino, 0)
    : inode;
}

/** Runs a change; when only space that waits for a commit is left, commits and tries once more. */
function withRetry<T>(volume: Volume, change: () => T | number): T | number {
  for (let attempt = 0; ; attempt++) {
    const started = volume.begin();
    if (started < 0) return started;
    const result = volume.end(change());
    if (result !== -ENOSPC || attempt > 0 || !heldSpace(volume)) return result;
    const committed = volume.commit();
    if (committed < 0) return committed;
  }
}

/** Whether `name` can be added to `dir`: 0, -EEXIST or another errno. */
function checkFree(volume: Volume, dir: CoreInode, name: Uint8Array): number {
  if (!dir.isDirectory) return -ENOTDIR;
  if (name.length === 0 || name.length > EXT4_NAME_LEN) return name.length === 0 ? -ENOENT : -ENAMETOOLONG;
  if (dir.links === 0) return -ENOENT; // removed, but somebody is still in it
  if (dir.hasFlag(EXT4_IMMUTABLE_FL)) return -EPERM;
  const error = findName(volume, dir, name, volume.work.found);
  return error === 0 ? -EEXIST : error === -ENOENT ? nameProblem(volume, dir, name) : error;
}

function fileTypeFor(volume: Volume, mode: number): number {
  return volume.superblock.hasIncompat(EXT4_FEATURE_INCOMPAT_FILETYPE) ? fileTypeOfMode(mode) : 0;
}

/** Creates a regular file, FIFO, socket, device node or directory. The new inode, or -errno. */
export function createNode(volume: Volume, dir: CoreInode, name: Uint8Array, init: NodeInit): CoreInode | number {
  return withRetry(volume, () => {
    const refused = checkFree(volume, dir, name);
    return refused < 0 ? refused : addNode(volume, dir, name, init);
  });
}

function addNode(volume: Volume, dir: CoreInode, name: Uint8Array, init: NodeInit): CoreInode | number {
  const isDirectory = (init.mode & S_IFMT) === S_IFDIR;
  if (isDirectory && !canGainLink(volume, dir)) return -EMLINK;
  const inode = newInode(volume, dir, init);
  if (typeof inode === "number") return inode;
  let error = inheritAcl(volume, dir, inode);
  if (error === 0 && isDirectory) {
    inode.links = 2;
    error = initDirectory(volume, inode, dir.ino, fileTypeFor(volume, S_IFDIR));
  }
  if (error === 0) error = addName(volume, dir, name, inode.ino, fileTypeFor(volume, init.mode));
  if (error < 0) {
    undoNode(volume, inode);
    return error;
  }
  if (isDirectory) gainLink(volume, dir);
  error = touchDirectory(volume, dir);
  return error < 0 ? error : inode;
}

/** Allocates and fills an inode; nothing names it yet. */
function newInode(volume: Volume, dir: CoreInode, init: NodeInit): CoreInode | number {
  const type = init.mode & S_IFMT;
  const project = dir.hasFlag(EXT4_PROJINHERIT_FL) ? projectOf(volume, dir) : 0;
  const ids = [init.uid, init.gid, project];
  let error = volume.quota?.admit(ids, 1, 0) ?? 0;
  if (error === 0) error = volume.quota?.prepare(ids) ?? 0;
  if (error < 0) return error;
  const inode = allocateInode(volume, dir, type === S_IFDIR);
  if (typeof inode === "number") return inode;
  volume.quota?.asked(inode);
  inode.mode = init.mode;
  inode.uid = init.uid;
  inode.gid = init.gid;
  inode.links = 1;
  for (const which of ["atime", "ctime", "mtime", "crtime"] as const)
    inode.writeTime(which, volume.time.sec, volume.time.nsec);
  const flags = dir.flags & EXT4_FL_INHERITED;
  if (type === S_IFREG || type === S_IFDIR) {
    initFileMap(volume, inode);
  } else if (type === S_IFCHR || type === S_IFBLK) {
    writeDevice(inode, init.rdev);
  }
  inode.flags |= flagsForMode(inode, flags);
  if (project !== 0 && inode.fits(I_PROJID, 4)) inode.view.setUint32(I_PROJID, project, true);
  return inode;
}

/**
 * Creates a regular file without a name (O_TMPFILE), on the orphan list from the start: it goes when its last user leaves, unless
 * `linkInode` names it before.
 */
export function createTemporary(volume: Volume, dir: CoreInode, init: NodeInit): CoreInode | number {
  if (!dir.isDirectory) return -ENOTDIR;
  if (dir.links === 0) return -ENOENT;
  return withRetry(volume, () => {
    const inode = newInode(volume, dir, { ...init, mode: (init.mode & ~S_IFMT) | S_IFREG });
    if (typeof inode === "number") return inode;
    inode.links = 0;
    inode.linkable = true;
    let error = inheritAcl(volume, dir, inode);
    if (error === 0) error = addOrphan(volume, inode);
    if (error < 0) {
      undoNode(volume, inode);
      return error;
    }
    return inode;
  });
}

/** Takes back an inode that got no name. */
function undoNode(volume: Volume, inode: CoreInode): void {
  const isDirectory = inode.isDirectory;
  if (hasFileMap(volume, inode)) freeFrom(volume, inode, 0, isDirectory);
  inode.links = 0;
  inode.dtime = volume.deletionTime;
  volume.dirtyInode(inode);
  freeInode(volume, inode, isDirectory);
  volume.inodes.drop(inode);
}

/** Device numbers: the old 16-bit form in the first word where it fits, else the new one in the second. */
function writeDevice(inode: CoreInode, rdev: number): void {
  const major = (rdev >>> 8) & 0xfff;
  const minor = (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);
  if (major < 256 && minor < 256) inode.view.setUint32(I_BLOCK, (major << 8) | minor, true);
  else inode.view.setUint32(I_BLOCK + 4, rdev, true);
}

/** Device number of a special file in new_encode_dev form. */
export function readDevice(inode: CoreInode): number {
  const old = inode.view.getUint32(I_BLOCK, true);
  return old !== 0 ? old & 0xffff : inode.view.getUint32(I_BLOCK + 4, true);
}

/** Creates a symbolic link; targets under 60 bytes live in the inode. */
export function createSymlink(
  volume: Volume,
  dir: CoreInode,
  name: Uint8Array,
  target: Uint8Array,
  init: NodeInit,
): CoreInode | number {
  if (target.length === 0) return -ENOENT;
  if (target.length >= volume.blockSize) return -ENAMETOOLONG;
  return withRetry(volume, () => {
    const refused = checkFree(volume, dir, name);
    if (refused < 0) return refused;
    const inode = newInode(volume, dir, { ...init, mode: S_IFLNK | 0o777 });
    if (typeof inode === "number") return inode;
    let error = 0;
    if (target.length < I_BLOCK_SIZE) {
      inode.raw.set(target, I_BLOCK);
      inode.size = target.length;
    } else {
      initFileMap(volume, inode);
      const written = writeFile(volume, inode, 0, target);
      error = written < 0 ? written : written < target.length ? -ENOSPC : 0;
    }
    if (error === 0) error = addName(volume, dir, name, inode.ino, fileTypeFor(volume, S_IFLNK));
    if (error < 0) {
      undoNode(volume, inode);
      return error;
    }
    error = touchDirectory(volume, dir);
    return error < 0 ? error : inode;
  });
}

/** Adds a name to an existing inode. */
export function linkInode(volume: Volume, dir: CoreInode, name: Uint8Array, inode: CoreInode): number {
  if (inode.isDirectory) return -EPERM;
  if (inode.hasFlag(EXT4_IMMUTABLE_FL | EXT4_APPEND_FL)) return -EPERM;
  if (inode.links >= EXT4_LINK_MAX) return -EMLINK;
  if (inode.links === 0 && !inode.linkable) return -ENOENT;
  if (!sameProject(volume, dir, inode)) return -EXDEV;
  return withRetry(volume, () => {
    let error = checkFree(volume, dir, name);
    if (error === 0) error = addName(volume, dir, name, inode.ino, fileTypeFor(volume, inode.mode));
    if (error < 0) return error;
    inode.links++;
    inode.linkable = false;
    inode.writeTime("ctime", volume.time.sec, volume.time.nsec);
    error = inode.orphan ? removeOrphan(volume, inode) : 0;
    if (error === 0) error = volume.dirtyInode(inode);
    return error < 0 ? error : touchDirectory(volume, dir);
  });
}

/** Removes a name of anything but a directory. */
export function unlinkName(volume: Volume, dir: CoreInode, name: Uint8Array): number {
  const started = volume.begin();
  if (started < 0) return started;
  return volume.end(removeEntryOf(volume, dir, name, false));
}

/** Removes an empty directory. */
export function removeDirectory(volume: Volume, dir: CoreInode, name: Uint8Array): number {
  const started = volume.begin();
  if (started < 0) return started;
  return volume.end(removeEntryOf(volume, dir, name, true));
}

function removeEntryOf(volume: Volume, dir: CoreInode, name: Uint8Array, wantsDirectory: boolean): number {
  const found = volume.work.found;
  const target = resolveForRemoval(volume, dir, name);
  if (typeof target === "number") return target;
  if (wantsDirectory) {
    if (!target.isDirectory) return -ENOTDIR;
    const empty = isEmptyDirectory(volume, target);
    if (empty <= 0) return empty < 0 ? empty : -ENOTEMPTY;
  } else if (target.isDirectory) {
    return -EISDIR;
  }
  let error = findName(volume, dir, name, found);
  if (error === 0) error = removeName(volume, dir, found);
  if (error < 0) return error;
  if (wantsDirectory) loseLink(dir);
  const touched = touchDirectory(volume, dir);
  return touched < 0 ? touched : dropLink(volume, target, wantsDirectory);
}

function resolveForRemoval(volume: Volume, dir: CoreInode, name: Uint8Array): CoreInode | number {
  const target = lookupName(volume, dir, name);
  if (typeof target === "number") return target;
  if (dir.hasFlag(EXT4_IMMUTABLE_FL | EXT4_APPEND_FL) || target.hasFlag(EXT4_IMMUTABLE_FL | EXT4_APPEND_FL))
    return -EPERM;
  return target;
}

/** One name less (a directory: its last). Without names and users the inode goes; with users it becomes an orphan. */
function dropLink(volume: Volume, inode: CoreInode, whole: boolean): number {
  inode.links = whole ? 0 : Math.max(0, inode.links - 1);
  inode.writeTime("ctime", volume.time.sec, volume.time.nsec);
  const error = volume.dirtyInode(inode);
  if (error < 0 || inode.links > 0) return error;
  return inode.refs > 0 ? addOrphan(volume, inode) : deleteInode(volume, inode);
}

function touchDirectory(volume: Volume, dir: CoreInode): number {
  dir.writeTime("mtime", volume.time.sec, volume.time.nsec);
  dir.writeTime("ctime", volume.time.sec, volume.time.nsec);
  return volume.dirtyInode(dir);
}

/** Whether one more subdirectory is allowed. */
function canGainLink(volume: Volume, dir: CoreInode): boolean {
  if (dir.links < EXT4_LINK_MAX) return true;
  return volume.superblock.hasRoCompat(EXT4_FEATURE_RO_COMPAT_DIR_NLINK) && dir.hasFlag(EXT4_INDEX_FL);
}

/** dir_nlink: from 65,000 links on the count of an indexed directory is 1, "unknown". */
function gainLink(volume: Volume, dir: CoreInode): void {
  if (dir.links === 1) return;
  const next = dir.links + 1;
  const capped = next > EXT4_LINK_MAX && volume.superblock.hasRoCompat(EXT4_FEATURE_RO_COMPAT_DIR_NLINK);
  dir.links = capped ? 1 : next;
}

function loseLink(dir: CoreInode): void {
  if (dir.links > 2) dir.links--;
}

/**
 * Moves a name. What is in the way is replaced as rename(2) allows; `flags`: RENAME_NOREPLACE, RENAME_EXCHANGE. The caller has made
 * sure that a directory does not move below itself.
 */
export function renameName(
  volume: Volume,
  dir: CoreInode,
  name: Uint8Array,
  newDir: CoreInode,
  newName: Uint8Array,
  flags: number,
): number {
  if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) !== 0 || flags === (RENAME_NOREPLACE | RENAME_EXCHANGE))
    return -EINVAL;
  if (newName.length > EXT4_NAME_LEN) return -ENAMETOOLONG;
  if (newName.length === 0) return -ENOENT;
  if (!newDir.isDirectory) return -ENOTDIR;
  return withRetry(volume, () => {
    const source = resolveForRemoval(volume, dir, name);
    if (typeof source === "number") return source;
    if (newDir.links === 0) return -ENOENT;
    if (!sameProject(volume, newDir, source)) return -EXDEV;
    const target = lookupName(volume, newDir, newName);
    if (typeof target === "number" && target !== -ENOENT) return target;
    if ((flags & RENAME_EXCHANGE) !== 0) {
      if (typeof target === "number") return target;
      if (!sameProject(volume, dir, target)) return -EXDEV;
      return source === target ? 0 : exchange(volume, dir, name, source, newDir, newName, target);
    }
    if (typeof target === "number") {
      const refused = nameProblem(volume, newDir, newName);
      return refused < 0 ? refused : moveName(volume, dir, name, source, newDir, newName);
    }
    if ((flags & RENAME_NOREPLACE) !== 0) return -EEXIST;
    return source === target ? 0 : replace(volume, dir, name, source, newDir, newName, target);
  });
}

function moveName(
  volume: Volume,
  dir: CoreInode,
  name: Uint8Array,
  source: CoreInode,
  newDir: CoreInode,
  newName: Uint8Array,
): number {
  const found = volume.work.found;
  const changesParent = source.isDirectory && dir !== newDir;
  if (changesParent && !canGainLink(volume, newDir)) return -EMLINK;
  let error = addName(volume, newDir, newName, source.ino, fileTypeFor(volume, source.mode));
  if (error < 0) return error;
  // The insertion may have moved entries: look for the old name again.
  error = findName(volume, dir, name, found);
  if (error === 0) error = removeName(volume, dir, found);
  if (error === 0 && changesParent) {
    gainLink(volume, newDir);
    loseLink(dir);
    error = setParent(volume, source, newDir);
  }
  return error < 0 ? error : finishRename(volume, dir, newDir, source);
}

function replace(
  volume: Volume,
  dir: CoreInode,
  name: Uint8Array,
  source: CoreInode,
  newDir: CoreInode,
  newName: Uint8Array,
  target: CoreInode,
): number {
  const found = volume.work.found;
  if (newDir.hasFlag(EXT4_IMMUTABLE_FL | EXT4_APPEND_FL) || target.hasFlag(EXT4_IMMUTABLE_FL | EXT4_APPEND_FL))
    return -EPERM;
  if (source.isDirectory !== target.isDirectory) return source.isDirectory ? -ENOTDIR : -EISDIR;
  if (target.isDirectory) {
    const empty = isEmptyDirectory(volume, target);
    if (empty <= 0) return empty < 0 ? empty : -ENOTEMPTY;
  }
  let error = findName(volume, newDir, newName, found);
  if (error === 0) error = retargetName(volume, newDir, found, source.ino, fileTypeFor(volume, source.mode));
  if (error === 0) error = findName(volume, dir, name, found);
  if (error === 0) error = removeName(volume, dir, found);
  if (error === 0 && source.isDirectory) {
    loseLink(dir); // newDir loses one subdirectory and gains one
    if (dir !== newDir) error = setParent(volume, source, newDir);
  }
  if (error === 0) error = finishRename(volume, dir, newDir, source);
  return error < 0 ? error : dropLink(volume, target, target.isDirectory);
}

function exchange(
  volume: Volume,
  dir: CoreInode,
  name: Uint8Array,
  source: CoreInode,
  newDir: CoreInode,
  newName: Uint8Array,
  target: CoreInode,
): number {
  const found = volume.work.found;
  const other = volume.work.otherFound;
  if (target.hasFlag(EXT4_IMMUTABLE_FL | EXT4_APPEND_FL) || newDir.hasFlag(EXT4_IMMUTABLE_FL)) return -EPERM;
  const parentsChange = dir !== newDir && source.isDirectory !== target.isDirectory;
  if (parentsChange && !canGainLink(volume, source.isDirectory ? newDir : dir)) return -EMLINK;
  let error = findName(volume, dir, name, found);
  if (error === 0) error = findName(volume, newDir, newName, other);
  if (error === 0) error = retargetName(volume, dir, found, target.ino, fileTypeFor(volume, target.mode));
  if (error === 0) error = retargetName(volume, newDir, other, source.ino, fileTypeFor(volume, source.mode));
  if (error === 0 && dir !== newDir) {
    if (source.isDirectory) error = setParent(volume, source, newDir);
    if (error === 0 && target.isDirectory) error = setParent(volume, target, dir);
    if (parentsChange) {
      gainLink(volume, source.isDirectory ? newDir : dir);
      loseLink(source.isDirectory ? dir : newDir);
    }
  }
  if (error === 0) {
    target.writeTime("ctime", volume.time.sec, volume.time.nsec);
    error = volume.dirtyInode(target);
  }
  return error < 0 ? error : finishRename(volume, dir, newDir, source);
}

/** Points ".." of a directory at its new parent. */
function setParent(volume: Volume, inode: CoreInode, parent: CoreInode): number {
  const found = volume.work.found;
  const error = findName(volume, inode, DOT_DOT, found);
  return error < 0 ? error : retargetName(volume, inode, found, parent.ino, fileTypeFor(volume, S_IFDIR));
}

function finishRename(volume: Volume, dir: CoreInode, newDir: CoreInode, source: CoreInode): number {
  source.writeTime("ctime", volume.time.sec, volume.time.nsec);
  let error = volume.dirtyInode(source);
  if (error === 0) error = touchDirectory(volume, dir);
  return error < 0 || dir === newDir ? error : touchDirectory(volume, newDir);
}

/** Called when a user of `inode` leaves: the last one of a nameless inode frees it. 0 or -errno. */
export function releaseInode(volume: Volume, inode: CoreInode): number {
  if (inode.refs > 0) inode.refs--;
  if (inode.refs > 0 || inode.links > 0 || inode.deleted || volume.readOnly) return 0;
  return deleteInode(volume, inode);
}
