/**
 * POSIX ACLs: user space speaks version 2 (xattr ABI: 8 bytes per entry), the disk holds version 1 (short entries where there is
 * no id). Conversion both ways, and inheritance of a directory's default ACL.
 *
 *   ABI   u32 version 2 · {tag u16, perm u16, id u32}*
 *   disk  u32 version 1 · {tag u16, perm u16 [, id u32 for named users and groups]}*
 */
import { EACCES, EINVAL } from "linux-abi";
import type { CoreInode } from "../inode.ts";
import type { Volume } from "../volume.ts";
import { plainXattr, XATTR_INDEX_ACL_ACCESS, XATTR_INDEX_ACL_DEFAULT } from "./layout.ts";
import { loadXattrs, storeXattrs } from "./store.ts";

const ABI_VERSION = 2;
const DISK_VERSION = 1;
const ACL_USER_OBJ = 0x01;
const ACL_USER = 0x02;
const ACL_GROUP_OBJ = 0x04;
const ACL_GROUP = 0x08;
const ACL_MASK = 0x10;
const ACL_OTHER = 0x20;
const NO_ID = 0xffffffff;

export interface AclEntry {
  readonly tag: number;
  perm: number;
  readonly id: number;
}

const hasId = (tag: number): boolean => tag === ACL_USER || tag === ACL_GROUP;
const isTag = (tag: number): boolean => tag > 0 && tag <= ACL_OTHER && (tag & (tag - 1)) === 0;

/** Parses either form; undefined when it is malformed. */
function parse(bytes: Uint8Array, version: number): AclEntry[] | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 4 || view.getUint32(0, true) !== version) return undefined;
  const entries: AclEntry[] = [];
  for (let at = 4; at < bytes.length; ) {
    if (at + 4 > bytes.length) return undefined;
    const tag = view.getUint16(at, true);
    const perm = view.getUint16(at + 2, true);
    const long = version === ABI_VERSION || hasId(tag);
    if (!isTag(tag) || perm > 7 || (long && at + 8 > bytes.length)) return undefined;
    entries.push({ tag, perm, id: hasId(tag) ? view.getUint32(at + 4, true) : NO_ID });
    at += long ? 8 : 4;
  }
  return entries;
}

function serialize(entries: readonly AclEntry[], version: number): Uint8Array {
  const sizeOf = (e: AclEntry): number => (version === ABI_VERSION || hasId(e.tag) ? 8 : 4);
  const out = new Uint8Array(entries.reduce((sum, e) => sum + sizeOf(e), 4));
  const view = new DataView(out.buffer);
  view.setUint32(0, version, true);
  let at = 4;
  for (const entry of entries) {
    view.setUint16(at, entry.tag, true);
    view.setUint16(at + 2, entry.perm, true);
    if (sizeOf(entry) === 8) view.setUint32(at + 4, entry.id, true);
    at += sizeOf(entry);
  }
  return out;
}

/** From the form of setxattr(2) to that of the disk, or -EINVAL. */
export function aclToDisk(value: Uint8Array): Uint8Array | number {
  const entries = parse(value, ABI_VERSION);
  return entries === undefined ? -EINVAL : serialize(entries, DISK_VERSION);
}

/** From the form of the disk to that of getxattr(2), or -EINVAL. */
export function aclFromDisk(value: Uint8Array): Uint8Array | number {
  const entries = parse(value, DISK_VERSION);
  return entries === undefined ? -EINVAL : serialize(entries, ABI_VERSION);
}

/** The permission bits that an access ACL (disk form) stands for, merged into `mode`. */
export function modeOfAcl(value: Uint8Array, mode: number): number {
  let bits = mode;
  const entries = parse(value, DISK_VERSION) ?? [];
  const mask = entries.find((e) => e.tag === ACL_MASK);
  for (const e of entries) {
    if (e.tag === ACL_USER_OBJ) bits = (bits & ~0o700) | (e.perm << 6);
    else if (e.tag === ACL_OTHER) bits = (bits & ~0o007) | e.perm;
    else if (e.tag === ACL_GROUP_OBJ && mask === undefined) bits = (bits & ~0o070) | (e.perm << 3);
    else if (e.tag === ACL_MASK) bits = (bits & ~0o070) | (e.perm << 3);
  }
  return bits;
}

/** Brings an access ACL (disk form) in line with a chmod. Undefined when it is malformed. */
export function aclWithMode(value: Uint8Array, mode: number): Uint8Array | undefined {
  const entries = parse(value, DISK_VERSION);
  if (entries === undefined) return undefined;
  const hasMask = entries.some((e) => e.tag === ACL_MASK);
  for (const e of entries) {
    if (e.tag === ACL_USER_OBJ) e.perm = (mode >> 6) & 7;
    else if (e.tag === ACL_OTHER) e.perm = mode & 7;
    else if (e.tag === (hasMask ? ACL_MASK : ACL_GROUP_OBJ)) e.perm = (mode >> 3) & 7;
  }
  return serialize(entries, DISK_VERSION);
}

/** Gives a new inode what its directory's default ACL says. Within an operation. 0 or -errno. */
export function inheritAcl(volume: Volume, dir: CoreInode, inode: CoreInode): number {
  const mayHave = dir.fileAcl !== 0 || hasInodeXattrs(dir);
  if (!mayHave || inode.isSymlink) return 0;
  const list = loadXattrs(volume, dir);
  if (typeof list === "number") return list;
  const standard = list.find((a) => a.index === XATTR_INDEX_ACL_DEFAULT);
  const entries = standard === undefined ? undefined : parse(standard.value, DISK_VERSION);
  if (standard === undefined || entries === undefined) return 0;
  const name = new Uint8Array(0);
  const created = [];
  if (inode.isDirectory) created.push(plainXattr(XATTR_INDEX_ACL_DEFAULT, name, standard.value));
  // posix_acl_create_masq: each class keeps only what both the ACL and the mode grant.
  const hasMask = entries.some((e) => e.tag === ACL_MASK);
  for (const e of entries) {
    if (e.tag === ACL_USER_OBJ) e.perm &= (inode.mode >> 6) & 7;
    else if (e.tag === ACL_OTHER) e.perm &= inode.mode & 7;
    else if (e.tag === (hasMask ? ACL_MASK : ACL_GROUP_OBJ)) e.perm &= (inode.mode >> 3) & 7;
  }
  const access = serialize(entries, DISK_VERSION);
  inode.mode = modeOfAcl(access, inode.mode);
  const extended = entries.some((e) => hasId(e.tag) || e.tag === ACL_MASK);
  if (extended) created.push(plainXattr(XATTR_INDEX_ACL_ACCESS, name, access));
  return created.length === 0 ? 0 : storeXattrs(volume, inode, created);
}

/** Who asks, as far as an ACL cares. */
export interface AclCaller {
  readonly fsuid: number;
  readonly fsgid: number;
  readonly groups: readonly number[];
}

/**
 * What the access ACL says to somebody who is not the owner (acl(5), "ACCESS CHECK ALGORITHM"): 0, -EACCES, or 1 without an ACL.
 * `want`: rwx bits.
 */
export function checkAccessAcl(volume: Volume, inode: CoreInode, caller: AclCaller, want: number): number {
  if (inode.fileAcl === 0 && !hasInodeXattrs(inode)) return 1;
  if (inode.accessAcl === undefined) {
    const list = loadXattrs(volume, inode);
    if (typeof list === "number") return list;
    const found = list.find((a) => a.index === XATTR_INDEX_ACL_ACCESS);
    const entries = found === undefined ? null : (parse(found.value, DISK_VERSION) ?? null);
    inode.accessAcl = entries;
  }
  const entries = inode.accessAcl;
  if (entries === null) return 1;
  const mask = entries.find((e) => e.tag === ACL_MASK)?.perm ?? 7;
  const isMember = (gid: number): boolean => caller.fsgid === gid || caller.groups.includes(gid);
  const named = entries.find((e) => e.tag === ACL_USER && e.id === caller.fsuid);
  if (named !== undefined) return (named.perm & mask & want) === want ? 0 : -EACCES;
  let isInSome = false;
  for (const e of entries) {
    if (!(e.tag === ACL_GROUP_OBJ ? isMember(inode.gid) : e.tag === ACL_GROUP && isMember(e.id))) continue;
    isInSome = true;
    if ((e.perm & want) === want) return (e.perm & mask & want) === want ? 0 : -EACCES;
  }
  if (isInSome) return -EACCES;
  const other = entries.find((e) => e.tag === ACL_OTHER)?.perm ?? 0;
  return (other & want) === want ? 0 : -EACCES;
}

/** Whether the inode's own bytes hold an attribute list. */
export function hasInodeXattrs(inode: CoreInode): boolean {
  const at = 128 + inode.extraIsize;
  return inode.extraIsize > 0 && at + 8 <= inode.raw.length && inode.view.getUint32(at, true) === 0xea020000;
}
