/**
 * Who asks: the part of a task's credentials that file permission checks look at.
 *
 * Place: declared here by the consumer; the kernel's task credentials satisfy it structurally.
 */
import {
  CAP_DAC_OVERRIDE,
  CAP_DAC_READ_SEARCH,
  CAP_FOWNER,
  CAP_FSETID,
  EACCES,
  EPERM,
  S_IFDIR,
  S_IFMT,
  S_ISGID,
  S_ISVTX,
  S_IXGRP,
} from "linux-abi";
import type { Inode } from "./inode.ts";

export interface Credentials {
  /** User id for file access (fsuid). */
  readonly fsuid: number;
  /** Group id for file access (fsgid). */
  readonly fsgid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
  /** True if the effective set holds CAP_* number `capability`. */
  hasCapability(capability: number): boolean;
}

/** root with every capability: what guest-free users and the kernel itself act as. */
export const ROOT_CREDENTIALS: Credentials = { fsuid: 0, fsgid: 0, groups: [], hasCapability: () => true };

export const MAY_EXEC = 1;
export const MAY_WRITE = 2;
export const MAY_READ = 4;

export function isInGroup(credentials: Credentials, gid: number): boolean {
  return credentials.fsgid === gid || credentials.groups.includes(gid);
}

/** Mode bits, ACL and capabilities (path_resolution(7), acl(5), capabilities(7)): 0 or -EACCES. `mask` is a union of MAY_*. */
export function checkPermission(inode: Inode, credentials: Credentials, mask: number): number {
  const mode = inode.mode;
  let bits = mode;
  // Where there is an ACL, its mask is in the group bits: without any of them it grants nothing to anybody it names.
  const verdict =
    inode.checkAcl !== undefined && (mode & 0o070) !== 0 && credentials.fsuid !== inode.uid
      ? inode.checkAcl(credentials, mask & 7)
      : 1;
  if (verdict === 0) return 0;
  if (credentials.fsuid === inode.uid) bits = mode >> 6;
  else if (verdict < 0) bits = 0;
  else if ((mode ^ (mode >> 3)) & 7 && isInGroup(credentials, inode.gid)) bits = mode >> 3;
  if ((mask & ~bits & 7) === 0) return 0;
  if ((mode & S_IFMT) === S_IFDIR) {
    if ((mask & MAY_WRITE) === 0 && credentials.hasCapability(CAP_DAC_READ_SEARCH)) return 0;
    return credentials.hasCapability(CAP_DAC_OVERRIDE) ? 0 : -EACCES;
  }
  if (mask === MAY_READ && credentials.hasCapability(CAP_DAC_READ_SEARCH)) return 0;
  // Executing needs at least one x bit, even for root.
  if (((mask & MAY_EXEC) === 0 || (mode & 0o111) !== 0) && credentials.hasCapability(CAP_DAC_OVERRIDE)) return 0;
  return -EACCES;
}

/** Owner of the file, or CAP_FOWNER. */
export function isOwnerOrCapable(inode: Inode, credentials: Credentials): boolean {
  return credentials.fsuid === inode.uid || credentials.hasCapability(CAP_FOWNER);
}

/** The sticky bit of a directory: only the owner of file or directory may remove or rename. 0 or -EPERM. */
export function checkSticky(directory: Inode, victim: Inode, credentials: Credentials): number {
  if ((directory.mode & S_ISVTX) === 0) return 0;
  if (credentials.fsuid === victim.uid || credentials.fsuid === directory.uid) return 0;
  return credentials.hasCapability(CAP_FOWNER) ? 0 : -EPERM;
}

/** S_ISGID is lost on files when the caller is no member of their group and lacks CAP_FSETID (inode(7)). */
export function stripSetgid(mode: number, gid: number, credentials: Credentials): number {
  if ((mode & S_ISGID) === 0 || (mode & S_IFMT) === S_IFDIR) return mode;
  if (isInGroup(credentials, gid) || credentials.hasCapability(CAP_FSETID)) return mode;
  return mode & ~S_ISGID;
}

/** Bits that a write by an unprivileged user takes from a file: S_ISUID, and S_ISGID if group-executable. */
export function privilegeBits(mode: number): number {
  let bits = mode & 0o4000;
  if ((mode & S_ISGID) !== 0 && (mode & S_IXGRP) !== 0) bits |= S_ISGID;
  return bits;
}
