/**
 * The inodes that a new volume is born with: root, lost+found, resize inode, journal, orphan file (the quota files: quota/make-quota.ts). Made with the same functions
 * that a mounted volume uses; only the fixed inode numbers are special.
 */
import { S_IFDIR, S_IFREG } from "linux-abi";
import { allocateBlocks, type Run } from "../allocator/blocks.ts";
import { allocateInode } from "../allocator/inodes.ts";
import { KIND_DIRECTORY, KIND_ORPHANS } from "../buffer-cache.ts";
import { ORPHAN_BLOCK_MAGIC } from "../checksum/metadata-checksum.ts";
import { initLeaf } from "../directory/entry.ts";
import { appendBlock, initDirectory } from "../directory/insert.ts";
import { allocateRun, initFileMap, insertRun } from "../file-map.ts";
import { descriptorBlock, groupHasSuper, groupStart } from "../geometry.ts";
import { spillDirectory } from "../inline/inline-directory.ts";
import {
  type CoreInode,
  EXT4_INLINE_DATA_FL,
  I_BLOCK,
  I_BLOCK_SIZE,
  I_EXTRA_ISIZE,
  I_SIZE_HIGH,
  I_SIZE_LO,
} from "../inode.ts";
import {
  BLOCKTYPE_SUPERBLOCK_V2,
  H_BLOCKTYPE,
  JBD2_MAGIC,
  JS_BLOCKSIZE,
  JS_FIRST,
  JS_MAXLEN,
  JS_NR_USERS,
  JS_NUM_FC_BLOCKS,
  JS_SEQUENCE,
  JS_UUID,
} from "../journal/layout.ts";
import { createNode } from "../names.ts";
import {
  EXT4_JOURNAL_INO,
  EXT4_RESIZE_INO,
  EXT4_ROOT_INO,
  S_JNL_BACKUP_TYPE,
  S_JNL_BLOCKS,
  S_JOURNAL_INUM,
  S_MIN_EXTRA_ISIZE,
  S_ORPHAN_FILE_INUM,
} from "../superblock.ts";
import type { Volume } from "../volume.ts";

const $run: Run = { start: 0, count: 0, charged: 0 }; // scratch
const LOST_FOUND_SIZE = 16384;

/** A reserved inode (its bitmap bit is set already), with times and the extra part. */
export function reservedInode(volume: Volume, ino: number, mode: number, links: number): CoreInode | number {
  const inode = volume.inodes.create(ino);
  if (volume.geometry.inodeSize > 128)
    inode.view.setUint16(I_EXTRA_ISIZE, volume.superblock.u16(S_MIN_EXTRA_ISIZE), true);
  inode.setSeed(volume.csumSeed);
  inode.mode = mode;
  inode.links = links;
  for (const which of ["atime", "ctime", "mtime", "crtime"] as const)
    inode.writeTime(which, volume.time.sec, volume.time.nsec);
  const error = volume.dirtyInode(inode);
  return error < 0 ? error : inode;
}

/** "/" and "/lost+found". */
export function makeRoot(volume: Volume, owner: readonly [number, number]): number {
  const root = reservedInode(volume, EXT4_ROOT_INO, S_IFDIR | 0o755, 2);
  if (typeof root === "number") return root;
  initFileMap(volume, root);
  root.uid = owner[0];
  root.gid = owner[1];
  const error = initDirectory(volume, root, EXT4_ROOT_INO, 2);
  if (error < 0) return error;
  volume.groups.descriptors[0].usedDirs++;
  const name = Uint8Array.from("lost+found", (c) => c.charCodeAt(0));
  const lost = createNode(volume, root, name, { mode: S_IFDIR | 0o700, uid: 0, gid: 0, rdev: 0 });
  if (typeof lost === "number") return lost;
  if (lost.hasFlag(EXT4_INLINE_DATA_FL)) {
    const spilled = spillDirectory(volume, lost);
    if (spilled < 0) return spilled;
  }
  // Room for names without allocating: fsck fills it on damaged volumes.
  while (lost.size < LOST_FOUND_SIZE) {
    const block = appendBlock(volume, lost);
    if (typeof block === "number") return block;
    initLeaf(volume, block);
    volume.dirtyBuffer(block, KIND_DIRECTORY, lost.csumSeed);
  }
  return 0;
}

/**
 * The resize inode keeps the blocks behind the descriptors reserved: its double indirect block points to each of them in the first
 * group, and each of those to its copies in the other groups with a superblock.
 */
export function makeResizeInode(volume: Volume): number {
  const { superblock: sb, geometry: g } = volume;
  const inode = reservedInode(volume, EXT4_RESIZE_INO, S_IFREG | 0o600, 1);
  if (typeof inode === "number") return inode;
  let error = allocateBlocks(volume, groupStart(g, 0), 1, $run);
  if (error < 0) return error;
  const perBlock = g.blockSize / 4;
  const backups: number[] = [];
  for (let group = 1; group < g.groupCount; group++) if (groupHasSuper(sb, group)) backups.push(group);
  const double = new Uint8Array(g.blockSize);
  const doubleView = new DataView(double.buffer);
  const single = new Uint8Array(g.blockSize);
  const singleView = new DataView(single.buffer);
  const firstReserved = descriptorBlock(sb, g, 0) + g.gdtBlocks;
  for (let i = 0; i < g.reservedGdtBlocks; i++) {
    const block = firstReserved + i;
    doubleView.setUint32(((g.gdtBlocks + i) % perBlock) * 4, block, true);
    for (const [k, group] of backups.entries())
      singleView.setUint32(k * 4, groupStart(g, group) + 1 + g.gdtBlocks + i, true);
    error = volume.writeBlocks(block, single);
    if (error < 0) return error;
  }
  error = volume.writeBlocks($run.start, double);
  if (error < 0) return error;
  inode.view.setUint32(I_BLOCK + 13 * 4, $run.start, true);
  inode.size = (perBlock * perBlock + perBlock + 12) * g.blockSize;
  // With bigalloc each block counts as a cluster.
  inode.addBlocks((1 + g.reservedGdtBlocks * (1 + backups.length)) * volume.clusterBlocks, g.blockSize);
  return 0;
}

/** The journal, empty, in the middle of the volume; its place is also noted in the superblock. */
export function makeJournal(volume: Volume, logBlocks: number, fastCommitBlocks: number, prezeroed: boolean): number {
  const blocks = logBlocks + fastCommitBlocks;
  const { superblock: sb, geometry: g } = volume;
  const inode = reservedInode(volume, EXT4_JOURNAL_INO, S_IFREG | 0o600, 1);
  if (typeof inode === "number") return inode;
  initFileMap(volume, inode);
  const goal = groupStart(g, g.groupCount >> 1);
  const first = fillWithBlocks(volume, inode, blocks, goal, prezeroed);
  if (first < 0) return first;

  const bytes = new Uint8Array(g.blockSize);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, JBD2_MAGIC);
  view.setUint32(H_BLOCKTYPE, BLOCKTYPE_SUPERBLOCK_V2);
  view.setUint32(JS_BLOCKSIZE, g.blockSize);
  view.setUint32(JS_MAXLEN, blocks);
  view.setUint32(JS_FIRST, 1);
  view.setUint32(JS_NUM_FC_BLOCKS, fastCommitBlocks);
  view.setUint32(JS_SEQUENCE, 1);
  view.setUint32(JS_NR_USERS, 1);
  bytes.set(sb.uuid, JS_UUID);
  const error = volume.writeBlocks(first, bytes);
  if (error < 0) return error;

  sb.setU32(S_JOURNAL_INUM, EXT4_JOURNAL_INO);
  sb.bytes[S_JNL_BACKUP_TYPE] = 1;
  sb.bytes.set(inode.raw.subarray(I_BLOCK, I_BLOCK + I_BLOCK_SIZE), S_JNL_BLOCKS);
  sb.setU32(S_JNL_BLOCKS + 15 * 4, inode.view.getUint32(I_SIZE_HIGH, true));
  sb.setU32(S_JNL_BLOCKS + 16 * 4, inode.view.getUint32(I_SIZE_LO, true));
  return 0;
}

/** The orphan file: all slots free. */
export function makeOrphanFile(volume: Volume, root: CoreInode): number {
  const { geometry: g } = volume;
  const inode = allocateInode(volume, root, false);
  if (typeof inode === "number") return inode;
  inode.mode = S_IFREG | 0o600;
  inode.links = 1;
  for (const which of ["atime", "ctime", "mtime", "crtime"] as const)
    inode.writeTime(which, volume.time.sec, volume.time.nsec);
  initFileMap(volume, inode);
  // ext2fs_default_orphan_file_blocks
  const blocks =
    g.blocksCount < 128 * 1024 ? 32 : g.blocksCount < 2 * 1024 * 1024 ? Math.floor(g.blocksCount / 4096) : 512;
  let fileBlock = 0;
  while (fileBlock < blocks) {
    const goal = inode.allocationGoal || groupStart(g, 0);
    let error = allocateRun(volume, inode, fileBlock, blocks - fileBlock, goal, $run);
    if (error === 0) error = insertRun(volume, inode, fileBlock, $run, false);
    if (error < 0) return error;
    const { start, count } = $run;
    for (let i = 0; i < count; i++) {
      const buffer = volume.cache.create(start + i);
      buffer.view.setUint32(g.blockSize - 8, ORPHAN_BLOCK_MAGIC, true);
      volume.dirtyBuffer(buffer, KIND_ORPHANS, inode.csumSeed);
    }
    fileBlock += count;
  }
  inode.size = blocks * g.blockSize;
  volume.superblock.setU32(S_ORPHAN_FILE_INUM, inode.ino);
  return 0;
}

/** Gives a file `blocks` blocks near `goal`; the first block's number, or -errno. */
function fillWithBlocks(volume: Volume, inode: CoreInode, blocks: number, goal: number, prezeroed: boolean): number {
  const { blockSize } = volume;
  const zeros = prezeroed ? undefined : new Uint8Array(Math.min(blocks, (1 << 20) / blockSize) * blockSize);
  let first = 0;
  let next = goal;
  for (let fileBlock = 0; fileBlock < blocks; ) {
    let error = allocateRun(volume, inode, fileBlock, Math.min(blocks - fileBlock, 32767), next, $run);
    if (error === 0) error = insertRun(volume, inode, fileBlock, $run, false);
    if (error < 0) return error;
    const { start, count } = $run;
    for (let done = 0; zeros !== undefined && done < count; ) {
      const part = Math.min(count - done, zeros.length / blockSize);
      error = volume.writeBlocks(start + done, zeros.subarray(0, part * blockSize));
      if (error < 0) return error;
      done += part;
    }
    if (first === 0) first = start;
    next = start + count;
    fileBlock += count;
  }
  inode.size = blocks * blockSize;
  return first;
}
