/**
 * What an inode must be like to be used at all: the checks of Linux's __ext4_iget, on the inode alone. What it leads to is checked
 * when it is read.
 */
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK } from "linux-abi";
import { verifyRoot } from "./extents/node.ts";
import { EXT4_FEATURE_INCOMPAT_EA_INODE } from "./features.ts";
import {
  type CoreInode,
  EXT4_APPEND_FL,
  EXT4_ENCRYPT_FL,
  EXT4_EXTENTS_FL,
  EXT4_IMMUTABLE_FL,
  EXT4_INLINE_DATA_FL,
  GOOD_OLD_INODE_SIZE,
  I_BLOCK,
  I_BLOCK_SIZE,
} from "./inode.ts";
import type { Volume } from "./volume.ts";
import { hasInlineXattr, inodeXattrsAreSane } from "./xattr/store.ts";

/** File blocks are numbered in 32 bits; larger sizes are damage. */
const MAX_FILE_BLOCKS = 2 ** 32;
const DIRECT_BLOCKS = 12;
const TYPES: readonly number[] = [S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK];

/** 0, or -EUCLEAN for an inode (its checksum seed set, `block` is where it lies) that must not be used. */
export function inodeProblem(volume: Volume, inode: CoreInode, block: number): number {
  const { ino, extraIsize, mode } = inode;
  const wide = inode.raw.length > GOOD_OLD_INODE_SIZE;
  if (wide && (extraIsize + GOOD_OLD_INODE_SIZE > inode.raw.length || (extraIsize & 3) !== 0))
    return volume.corrupt(`extra size ${extraIsize}`, ino, block);
  if (volume.hasMetadataCsum && !inode.checksumIsValid()) return volume.corrupt("inode checksum is wrong", ino, block);
  if (inode.size > MAX_FILE_BLOCKS * volume.blockSize) return volume.corrupt("size is out of range", ino, block);
  if (!TYPES.includes(mode & S_IFMT)) return volume.corrupt(`mode 0${mode.toString(8)}`, ino, block);
  if (!inodeXattrsAreSane(volume, inode)) return volume.corrupt("attributes in the inode are damaged", ino, block);
  const acl = inode.fileAcl;
  if (acl !== 0 && !volume.inodes.mayOwn(ino, acl, 1))
    return volume.corrupt(`attribute block ${acl} is not where it may be`, ino, acl);
  if (inode.isSymlink) {
    const problem = symlinkProblem(volume, inode);
    if (problem !== "") return volume.corrupt(problem, ino, block);
  }
  return mapProblem(volume, inode, block);
}

function symlinkProblem(volume: Volume, inode: CoreInode): string {
  if (inode.hasFlag(EXT4_IMMUTABLE_FL | EXT4_APPEND_FL)) return "immutable or append-only symbolic link";
  if (inode.hasFlag(EXT4_ENCRYPT_FL) || !isFast(volume, inode)) return "";
  const { size } = inode;
  const end = inode.raw.subarray(I_BLOCK, I_BLOCK + I_BLOCK_SIZE).indexOf(0);
  return size > 0 && size < I_BLOCK_SIZE && size === end ? "" : `symbolic link of ${size} bytes in the inode`;
}

/** ext4_inode_is_fast_symlink, which goes by the blocks alone. */
function isFast(volume: Volume, inode: CoreInode): boolean {
  if (!inode.isSymlink || inode.hasFlag(EXT4_INLINE_DATA_FL)) return false;
  const { blockSize, geometry, superblock } = volume;
  if (superblock.hasIncompat(EXT4_FEATURE_INCOMPAT_EA_INODE))
    return inode.isFastSymlink(blockSize, geometry.clusterSize);
  return inode.blocks512(blockSize) === (inode.fileAcl !== 0 ? geometry.clusterSize / 512 : 0);
}

/** The first level of the map. */
function mapProblem(volume: Volume, inode: CoreInode, block: number): number {
  const { ino } = inode;
  const extents = inode.hasFlag(EXT4_EXTENTS_FL);
  const inline = inode.hasFlag(EXT4_INLINE_DATA_FL);
  if (inline && extents) return volume.corrupt("both inline data and extents", ino, block);
  if (inline && hasInlineXattr(volume, inode)) return 0;
  if (!inode.isRegular && !inode.isDirectory && !(inode.isSymlink && !isFast(volume, inode))) return 0;
  if (extents) return verifyRoot(volume, inode);
  for (let i = 0; i < DIRECT_BLOCKS; i++) {
    const at = inode.view.getUint32(I_BLOCK + i * 4, true);
    if (at !== 0 && !volume.inodes.mayOwn(ino, at, 1))
      return volume.corrupt(`block ${at} is not where it may be`, ino, at);
  }
  return 0;
}
