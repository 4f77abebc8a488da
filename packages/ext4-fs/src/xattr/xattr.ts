/**
 * Extended attributes by full name ("user.x"): get, set, list, remove.
 */
import {
  decodeName,
  E2BIG,
  EEXIST,
  ENODATA,
  encodeName,
  EOPNOTSUPP,
  ERANGE,
  ESTALE,
  XATTR_CREATE,
  XATTR_REPLACE,
} from "linux-abi";
import type { CoreInode } from "../inode.ts";
import type { Volume } from "../volume.ts";
import { aclFromDisk, aclToDisk, modeOfAcl } from "./acl.ts";
import {
  plainXattr,
  type StoredXattr,
  XATTR_INDEX_ACL_ACCESS,
  XATTR_INDEX_ACL_DEFAULT,
  XATTR_PREFIXES,
} from "./layout.ts";
import { loadXattrs, storeXattrs } from "./store.ts";
import { readValueInode } from "./value-inode.ts";

const MAX_VALUE = 65536;

interface SplitName {
  readonly index: number;
  readonly rest: Uint8Array;
}

/** Prefixes as a user may give them: the file system's own "system." attributes are not for users. */
function splitName(name: string): SplitName | number {
  for (let index = 1; index < XATTR_PREFIXES.length; index++) {
    const prefix = XATTR_PREFIXES[index];
    if (index === 7 || index === 8) continue;
    const whole = !prefix.endsWith(".");
    if (whole ? name === prefix : name.startsWith(prefix)) {
      const rest = encodeName(name.slice(prefix.length));
      if (!whole && rest.length === 0) return -EOPNOTSUPP;
      return rest.length > 255 ? -ERANGE : { index, rest };
    }
  }
  return -EOPNOTSUPP;
}

function find(list: readonly StoredXattr[], name: SplitName): number {
  return list.findIndex(
    (a) =>
      a.index === name.index && a.name.length === name.rest.length && a.name.every((byte, i) => byte === name.rest[i]),
  );
}

/** The value, or -ENODATA, -EOPNOTSUPP, -EUCLEAN, -EIO. */
export function getXattr(volume: Volume, inode: CoreInode, name: string): Uint8Array | number {
  const split = splitName(name);
  if (typeof split === "number") return split;
  volume.enter();
  const list = loadXattrs(volume, inode);
  if (typeof list === "number") return list;
  const at = find(list, split);
  if (at < 0) return -ENODATA;
  const { inum, size } = list[at];
  if (inum !== 0) return readValueInode(volume, inum, size);
  const isAcl = split.index === XATTR_INDEX_ACL_ACCESS || split.index === XATTR_INDEX_ACL_DEFAULT;
  return isAcl ? aclFromDisk(list[at].value) : list[at].value;
}

/** All names, or -EUCLEAN, -EIO. */
export function listXattr(volume: Volume, inode: CoreInode): string[] | number {
  volume.enter();
  const list = loadXattrs(volume, inode);
  if (typeof list === "number") return list;
  return list.filter((a) => a.index > 0 && a.index < 7).map((a) => XATTR_PREFIXES[a.index] + decodeName(a.name));
}

/** Sets a value. `flags`: XATTR_CREATE, XATTR_REPLACE. 0, -EEXIST, -ENODATA, -ENOSPC, ... */
export function setXattr(volume: Volume, inode: CoreInode, name: string, value: Uint8Array, flags: number): number {
  const split = splitName(name);
  if (typeof split === "number") return split;
  if (value.length > MAX_VALUE) return -E2BIG;
  const isAcl = split.index === XATTR_INDEX_ACL_ACCESS || split.index === XATTR_INDEX_ACL_DEFAULT;
  const stored = isAcl ? aclToDisk(value) : value.slice();
  if (typeof stored === "number") return stored;
  return change(volume, inode, (list) => {
    const at = find(list, split);
    if (at >= 0 && (flags & XATTR_CREATE) !== 0) return -EEXIST;
    if (at < 0 && (flags & XATTR_REPLACE) !== 0) return -ENODATA;
    const entry = plainXattr(split.index, split.rest, stored);
    if (at >= 0) list[at] = entry;
    else list.push(entry);
    if (split.index === XATTR_INDEX_ACL_ACCESS) inode.mode = modeOfAcl(stored, inode.mode);
    return 0;
  });
}

/** Removes an attribute. 0, -ENODATA, -EOPNOTSUPP, ... */
export function removeXattr(volume: Volume, inode: CoreInode, name: string): number {
  const split = splitName(name);
  if (typeof split === "number") return split;
  return change(volume, inode, (list) => {
    const at = find(list, split);
    if (at < 0) return -ENODATA;
    list.splice(at, 1);
    return 0;
  });
}

function change(volume: Volume, inode: CoreInode, edit: (list: StoredXattr[]) => number): number {
  if (inode.deleted) return -ESTALE;
  const started = volume.begin();
  if (started < 0) return started;
  const list = loadXattrs(volume, inode);
  let error = typeof list === "number" ? list : edit(list);
  if (error === 0) error = storeXattrs(volume, inode, list as StoredXattr[]);
  if (error === 0) {
    inode.writeTime("ctime", volume.time.sec, volume.time.nsec);
    error = volume.dirtyInode(inode);
  }
  return volume.end(error);
}
