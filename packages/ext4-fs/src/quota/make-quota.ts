/**
 * The quota files of a new volume: heads and empty trees, then everybody's use.
 */
import { S_IFREG } from "linux-abi";
import { allocateInode } from "../allocator/inodes.ts";
import { KIND_PLAIN } from "../buffer-cache.ts";
import { EXT4_FEATURE_RO_COMPAT_QUOTA } from "../features.ts";
import { allocateRun, initFileMap, insertRun } from "../file-map.ts";
import { groupStart } from "../geometry.ts";
import { type CoreInode, EXT4_IMMUTABLE_FL, EXT4_NOATIME_FL } from "../inode.ts";
import { reservedInode } from "../mkfs/reserved.ts";
import { EXT4_ROOT_INO, S_GRP_QUOTA_INUM, S_PRJ_QUOTA_INUM, S_USR_QUOTA_INUM } from "../superblock.ts";
import type { Volume } from "../volume.ts";
import { openQuota } from "./quota.ts";
import { QH_BLOCKS, QUOTA_BLOCK, QUOTA_GRACE_SECONDS, QUOTA_MAGICS, QUOTA_VERSION } from "./quota-file.ts";

const FIELDS: readonly number[] = [S_USR_QUOTA_INUM, S_GRP_QUOTA_INUM, S_PRJ_QUOTA_INUM];
/** EXT4_USR_QUOTA_INO, EXT4_GRP_QUOTA_INO; project quota has an ordinary inode. */
const RESERVED: readonly number[] = [3, 4];
/** Head, and the root of the tree. */
const FIRST_BLOCKS = 2;

/** Makes quota files of these kinds (0 user, 1 group, 2 project) and books what the volume holds. Within an operation. 0 or -errno. */
export function makeQuotaFiles(volume: Volume, kinds: readonly number[]): number {
  if (kinds.length === 0) return 0;
  for (const kind of kinds) {
    const error = makeQuotaFile(volume, kind);
    if (error < 0) return error;
  }
  volume.superblock.setRoCompat(EXT4_FEATURE_RO_COMPAT_QUOTA, true);
  const quota = openQuota(volume, []);
  if (typeof quota === "number" || quota === undefined) return quota ?? 0;
  const counted = [...volume.inodes.all()];
  quota.forget(counted); // nothing of it is booked yet
  return quota.settle(counted, 0);
}

function makeQuotaFile(volume: Volume, kind: number): number {
  const reserved = RESERVED[kind];
  const inode = reserved === undefined ? freshInode(volume) : reservedInode(volume, reserved, S_IFREG | 0o600, 1);
  if (typeof inode === "number") return inode;
  initFileMap(volume, inode);
  inode.flags |= EXT4_IMMUTABLE_FL | EXT4_NOATIME_FL;
  const run = volume.work.quotaRun;
  const count = Math.ceil((FIRST_BLOCKS * QUOTA_BLOCK) / volume.blockSize);
  for (let fileBlock = 0; fileBlock < count; fileBlock += run.count) {
    const goal = inode.allocationGoal || groupStart(volume.geometry, 0);
    let error = allocateRun(volume, inode, fileBlock, count - fileBlock, goal, run);
    if (error === 0) error = insertRun(volume, inode, fileBlock, run, false);
    if (error < 0) return error;
    for (let i = 0; i < run.count; i++) {
      const buffer = volume.cache.create(run.start + i);
      volume.dirtyBuffer(buffer, KIND_PLAIN, 0);
      if (fileBlock + i > 0) continue;
      for (const [at, value] of [
        [0, QUOTA_MAGICS[kind]],
        [4, QUOTA_VERSION],
        [8, QUOTA_GRACE_SECONDS],
        [12, QUOTA_GRACE_SECONDS],
        [QH_BLOCKS, FIRST_BLOCKS],
      ])
        buffer.view.setUint32(at, value, true);
    }
  }
  inode.size = FIRST_BLOCKS * QUOTA_BLOCK;
  volume.superblock.setU32(FIELDS[kind], inode.ino);
  return volume.dirtyInode(inode);
}

function freshInode(volume: Volume): CoreInode | number {
  const root = volume.inode(EXT4_ROOT_INO);
  const inode = typeof root === "number" ? root : allocateInode(volume, root, false);
  if (typeof inode === "number") return inode;
  inode.mode = S_IFREG | 0o600;
  inode.links = 1;
  for (const which of ["atime", "ctime", "mtime", "crtime"] as const)
    inode.writeTime(which, volume.time.sec, volume.time.nsec);
  return inode;
}
