/**
 * Passes 3 and 4: every directory is reached from the root, ".." leads back, and every inode has as many names as it says.
 */
import { S_IFDIR, S_IFMT } from "linux-abi";
import { EXT4_FEATURE_RO_COMPAT_DIR_NLINK, EXT4_FEATURE_COMPAT_ORPHAN_FILE } from "../features.ts";
import { EXT4_EA_INODE_FL, I_BLOCKS_LO, I_CTIME } from "../inode.ts";
import { EXT4_ROOT_INO, S_ORPHAN_FILE_INUM } from "../superblock.ts";
import type { Checker, DirectoryInfo } from "./checker.ts";
import { clearInode, quotaInodes } from "./inodes-check.ts";
import { createRoot, reconnect, setDotDot } from "./lost-found.ts";
import { SparseBits } from "./sparse.ts";

/** Links that Linux counts; a directory with more has a count of 1. */
const EXT4_LINK_MAX = 65000;
const I_VERSION = 0x24;

/** False: without a root there is nothing to go on with. */
export function checkConnectivity(ck: Checker): boolean {
  const root = ck.directories.get(EXT4_ROOT_INO);
  if (root === undefined) {
    if (ck.problem("root-missing", { inode: EXT4_ROOT_INO })) createRoot(ck);
    return false;
  }
  const connected = new SparseBits();
  connected.add(EXT4_ROOT_INO);
  for (const dir of ck.directories.values()) {
    if (!ck.inodesUsed.has(dir.ino)) continue;
    connect(ck, dir, connected);
  }
  for (const dir of ck.directories.values()) {
    if (dir.parent === 0 || dir.dotdot === dir.parent || !ck.inodesUsed.has(dir.ino)) continue;
    if (dir.runs.length === 0 && !dir.inline) continue; // its blocks belong to others and were not looked at
    const detail = { inode: dir.ino, value: dir.dotdot, expected: dir.parent };
    if (ck.problem("dotdot-wrong", detail)) setDotDot(ck, dir, dir.parent);
  }
  return true;
}

/** Follows the parents of a directory up to one that is known to be connected. */
function connect(ck: Checker, start: DirectoryInfo, connected: SparseBits): void {
  const path: number[] = [];
  const onPath = new Set<number>();
  for (let dir: DirectoryInfo | undefined = start; dir !== undefined && !connected.has(dir.ino); ) {
    path.push(dir.ino);
    onPath.add(dir.ino);
    const parent: DirectoryInfo | undefined = dir.parent === 0 ? undefined : ck.directories.get(dir.parent);
    const loop = parent !== undefined && onPath.has(parent.ino);
    if (parent === undefined || loop) {
      if (ck.problem(loop ? "directory-loop" : "directory-unconnected", { inode: dir.ino })) reconnect(ck, dir.ino);
      break;
    }
    dir = parent;
  }
  for (const ino of path) connected.add(ino);
}

/** Pass 4. */
export function checkLinkCounts(ck: Checker): void {
  for (const ino of ck.inodesUsed) {
    if (ino < ck.g.firstInode && ino !== EXT4_ROOT_INO) continue;
    if (quotaInodes(ck).includes(ino)) continue;
    const stored = ck.linkCounts.get(ino);
    const found = ck.linksFound.get(ino);
    if (stored === found && found !== 0) continue;
    if (found === 0) {
      checkNameless(ck, ino);
      continue;
    }
    const isDirectory = ck.directories.has(ino);
    const expected = isDirectory && found > EXT4_LINK_MAX ? 1 : found;
    if (expected !== found && !ck.sb.hasRoCompat(EXT4_FEATURE_RO_COMPAT_DIR_NLINK)) {
      if (ck.problem("dir-nlink-feature")) {
        ck.sb.setRoCompat(EXT4_FEATURE_RO_COMPAT_DIR_NLINK, true);
        ck.superblockDirty = true;
      }
    }
    if (
      isDirectory &&
      stored === 1 &&
      found > 2 &&
      ck.sb.hasRoCompat(EXT4_FEATURE_RO_COMPAT_DIR_NLINK) &&
      expected === 1
    )
      continue;
    if (stored === expected) continue;
    if (!ck.problem("inode-links", { inode: ino, value: stored, expected })) continue;
    const inode = ck.readInode(ino);
    if (inode === undefined) continue;
    inode.links = Math.min(expected, 0xffff);
    ck.writeInode(inode);
  }
}

function checkNameless(ck: Checker, ino: number): void {
  const inode = ck.readInode(ino);
  if (inode === undefined) return;
  const isDirectory = (inode.mode & S_IFMT) === S_IFDIR;
  const uses = ck.xattrInodeUses.get(ino) ?? 0;
  if (inode.hasFlag(EXT4_EA_INODE_FL) && uses > 0) {
    checkValueInode(ck, ino, uses);
    return;
  }
  if (ck.sb.u32(S_ORPHAN_FILE_INUM) === ino && ck.sb.hasCompat(EXT4_FEATURE_COMPAT_ORPHAN_FILE)) return; // the orphan file
  if (!ck.problem("inode-unattached", { inode: ino })) return;
  const empty = inode.size === 0 && inode.view.getUint32(I_BLOCKS_LO, true) === 0;
  if (!isDirectory && (empty || inode.hasFlag(EXT4_EA_INODE_FL))) clearInode(ck, inode);
  else reconnect(ck, ino);
}

/** The inode of a large attribute value: one link, and a count of its users where files keep times. */
function checkValueInode(ck: Checker, ino: number, uses: number): void {
  const inode = ck.readInode(ino);
  if (inode === undefined) return;
  const { view } = inode;
  if (inode.links !== 1) {
    if (ck.problem("inode-links", { inode: ino, value: inode.links, expected: 1 })) {
      inode.links = 1;
      ck.writeInode(inode);
    }
  }
  const value = view.getUint32(I_CTIME, true) * 0x1_0000_0000 + view.getUint32(I_VERSION, true);
  if (value === uses) return;
  if (!ck.problem("xattr-inode-refcount", { inode: ino, value, expected: uses })) return;
  view.setUint32(I_CTIME, 0, true);
  view.setUint32(I_VERSION, uses, true);
  ck.writeInode(inode);
}
