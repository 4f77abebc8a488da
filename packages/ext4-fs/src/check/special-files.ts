/**
 * Pass 0, last part: the resize inode, the orphan file, multiple-mount protection. The journal has a file of its own.
 */
import { S_IFREG } from "linux-abi";
import { crc32c, crc32cU32 } from "../checksum/crc32c.ts";
import { ORPHAN_BLOCK_MAGIC } from "../checksum/metadata-checksum.ts";
import {
  EXT4_FEATURE_COMPAT_HAS_JOURNAL,
  EXT4_FEATURE_COMPAT_ORPHAN_FILE,
  EXT4_FEATURE_COMPAT_RESIZE_INODE,
  EXT4_FEATURE_INCOMPAT_MMP,
  EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT,
} from "../features.ts";
import { descriptorBlock } from "../geometry.ts";
import { type CoreInode, I_BLOCK } from "../inode.ts";
import { groupsWithCopies, layReservedBlocks } from "../resize/plan.ts";
import {
  EXT4_RESIZE_INO,
  S_LAST_ORPHAN,
  S_ORPHAN_FILE_INUM,
  S_RESERVED_GDT_BLOCKS,
  S_MMP_BLOCK,
  S_FEATURE_COMPAT,
} from "../superblock.ts";
import { allocate } from "./allocate.ts";
import { onceEach, walkBlocks } from "./block-walk.ts";
import type { Checker } from "./checker.ts";
import { clearInode } from "./inodes-check.ts";

const DIND = I_BLOCK + 13 * 4;
const MMP_MAGIC = 0x004d4d50;
const MMP_SEQ = 4;
const MMP_CHECKSUM = 0x3fc;
const MMP_SEQ_CLEAN = 0xff4d4d50;

/** Checks the resize inode. True: it must be made anew once pass 1 knows which blocks are free. */
export function checkResizeInode(ck: Checker): boolean {
  if (ck.misplacedTables.has(0)) return false;
  const inode = ck.readInode(EXT4_RESIZE_INO);
  if (inode === undefined) return false;
  if (!ck.sb.hasCompat(EXT4_FEATURE_COMPAT_RESIZE_INODE)) {
    const reserved = ck.sb.u16(S_RESERVED_GDT_BLOCKS);
    if (reserved !== 0 && ck.problem("superblock-reserved-gdt", { value: reserved })) {
      ck.sb.setU16(S_RESERVED_GDT_BLOCKS, 0);
      ck.superblockDirty = true;
      ck.again = true; // the geometry counts with them
    }
    if (inode.view.getUint32(DIND, true) !== 0 && ck.problem("resize-inode-unexpected", { inode: EXT4_RESIZE_INO }))
      emptyResizeInode(ck, inode);
    return false;
  }
  if (resizeInodeIsValid(ck, inode)) return false;
  if (!ck.problem("resize-inode-invalid", { inode: EXT4_RESIZE_INO })) return false;
  emptyResizeInode(ck, inode);
  return true;
}

/** Takes everything from the resize inode. */
export function emptyResizeInode(ck: Checker, inode: CoreInode): void {
  inode.raw.fill(0, 0, 128);
  ck.writeInode(inode);
}

function resizeInodeIsValid(ck: Checker, inode: CoreInode): boolean {
  const { g } = ck;
  const { view } = inode;
  const double = view.getUint32(DIND, true);
  if (!inode.isRegular || inode.links === 0 || !ck.legal(double)) return false;
  if (ck.ratio === 1 && ck.metadata.has(double)) return false;
  for (let i = 0; i < 15; i++) if (i !== 13 && view.getUint32(I_BLOCK + i * 4, true) !== 0) return false;
  const bytes = ck.read(double)?.slice();
  if (bytes === undefined) return false;
  const table = new DataView(bytes.buffer);
  const perBlock = g.blockSize / 4;
  const copies = groupsWithCopies(ck.sb, g);
  let used = 0;
  for (let i = 0; i < perBlock; i++) if (table.getUint32(i * 4, true) !== 0) used++;
  if (used !== g.reservedGdtBlocks) return false;
  for (let i = 0; i < g.reservedGdtBlocks; i++) {
    const block = descriptorBlock(ck.sb, g, 0) + g.gdtBlocks + i;
    if (table.getUint32(((g.gdtBlocks + i) % perBlock) * 4, true) !== block) return false;
    const single = ck.read(block);
    if (single === undefined) return false;
    const list = new DataView(single.buffer);
    for (let k = 0; k < copies.length && k < perBlock; k++)
      if (list.getUint32(k * 4, true) !== block + copies[k] * g.blocksPerGroup) return false;
  }
  return true;
}

/** Makes the resize inode from nothing. */
export function makeResizeInode(ck: Checker): void {
  const inode = ck.readInode(EXT4_RESIZE_INO);
  const double = inode === undefined ? 0 : allocate(ck, 1);
  if (inode === undefined || double === 0) {
    ck.stuck = true;
    return;
  }
  layResizeInode(ck, inode, double);
  ck.again = true;
}

/** A file system without room to grow its descriptors in is complete, too. */
export function giveUpReserve(ck: Checker): void {
  const { sb } = ck;
  sb.setU32(S_FEATURE_COMPAT, sb.u32(S_FEATURE_COMPAT) & ~EXT4_FEATURE_COMPAT_RESIZE_INODE);
  sb.setU16(S_RESERVED_GDT_BLOCKS, 0);
  ck.superblockDirty = true;
  ck.again = true;
}

/** Writes the resize inode: its double indirect block, and in each reserved block the list of its copies. */
export function layResizeInode(ck: Checker, inode: CoreInode, double: number): void {
  const { g } = ck;
  const perBlock = g.blockSize / 4;
  const blocks = layReservedBlocks(ck.sb, g, double, (block, bytes) => ck.write(block, bytes));
  inode.raw.fill(0, 0, 128);
  inode.mode = S_IFREG | 0o600;
  inode.links = 1;
  for (const which of ["atime", "ctime", "mtime"] as const) inode.writeTime(which, ck.now, 0);
  inode.view.setUint32(DIND, double, true);
  inode.size = (perBlock * perBlock + perBlock + 12) * g.blockSize;
  inode.addBlocks(blocks, g.blockSize);
  ck.writeInode(inode);
}

/** The orphan file's blocks: magic and checksum, and what they still name. */
export function checkOrphanFile(ck: Checker): void {
  const has = ck.sb.hasCompat(EXT4_FEATURE_COMPAT_ORPHAN_FILE);
  const ino = ck.sb.u32(S_ORPHAN_FILE_INUM);
  const drop = (detail: string): void => {
    if (!ck.problem("orphan-file-damaged", { inode: ino, detail })) return;
    const file = ino < ck.g.firstInode ? undefined : ck.readInode(ino);
    if (file?.isRegular && file.links === 1) clearInode(ck, file);
    ck.sb.setU32(S_FEATURE_COMPAT, ck.sb.u32(S_FEATURE_COMPAT) & ~EXT4_FEATURE_COMPAT_ORPHAN_FILE);
    ck.sb.setU32(S_ORPHAN_FILE_INUM, 0);
    ck.sb.setRoCompat(EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT, false);
    ck.superblockDirty = true;
    ck.again = true;
  };
  if (!has) {
    if (
      ck.sb.hasRoCompat(EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT) &&
      ck.problem("orphan-file-damaged", { detail: "it is marked as in use, but there is none" })
    ) {
      ck.sb.setRoCompat(EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT, false);
      ck.superblockDirty = true;
    }
    return;
  }
  if (!ck.sb.hasCompat(EXT4_FEATURE_COMPAT_HAS_JOURNAL)) return drop("it needs a journal");
  const inode = ino < ck.g.firstInode ? undefined : ck.readInode(ino);
  if (inode === undefined || !inode.isRegular || inode.links === 0) return drop("its inode is none of a file");
  const blocks: number[] = [];
  let damaged = false;
  walkBlocks(ck, inode, {
    data: (fileBlock, block, count) => {
      if (fileBlock !== blocks.length) damaged = true;
      for (let i = 0; i < count && blocks.length < 4096; i++) blocks.push(block + i);
    },
    node: onceEach(),
    problem: () => {
      damaged = true;
    },
  });
  if (damaged || blocks.length * ck.blockSize < inode.size) return drop("it has holes");
  for (const block of blocks) {
    const bytes = ck.read(block)?.slice();
    if (bytes === undefined) return drop(`block ${block} cannot be read`);
    const view = new DataView(bytes.buffer);
    const end = ck.blockSize - 8;
    if (view.getUint32(end, true) !== ORPHAN_BLOCK_MAGIC) return drop(`block ${block} has no magic number`);
    if (ck.hasChecksums && view.getUint32(end + 4, true) !== orphanChecksum(inode, block, bytes))
      return drop(`the checksum of block ${block} is wrong`);
    if (!ck.repair) continue;
    let named = false;
    for (let at = 0; at < end; at += 4) if (view.getUint32(at, true) !== 0) named = true;
    if (!named) continue;
    bytes.fill(0, 0, end);
    if (ck.hasChecksums) view.setUint32(end + 4, orphanChecksum(inode, block, bytes), true);
    ck.write(block, bytes);
  }
  if (ck.repair && ck.sb.hasRoCompat(EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT)) {
    ck.sb.setRoCompat(EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT, false);
    ck.superblockDirty = true;
  }
}

function orphanChecksum(inode: CoreInode, block: number, bytes: Uint8Array): number {
  const c = crc32cU32(crc32cU32(inode.csumSeed, block >>> 0), Math.floor(block / 0x1_0000_0000));
  return crc32c(c, bytes, 0, bytes.length - 8);
}

/** The list of orphans is of no use to a repair: what hangs on it is found by pass 1. */
export function dropOrphanList(ck: Checker): void {
  if (!ck.repair || ck.sb.u32(S_LAST_ORPHAN) === 0) return;
  ck.sb.setU32(S_LAST_ORPHAN, 0);
  ck.superblockDirty = true;
}

/** Multiple-mount protection. False: somebody may be using the volume, so nothing may be written. */
export function checkMmp(ck: Checker): boolean {
  if (!ck.sb.hasIncompat(EXT4_FEATURE_INCOMPAT_MMP)) return true;
  const block = ck.sb.u32(S_MMP_BLOCK) + ck.sb.u32(S_MMP_BLOCK + 4) * 0x1_0000_0000;
  const bytes = ck.legal(block) ? ck.read(block)?.slice() : undefined;
  let detail = "";
  if (bytes === undefined) detail = `block ${block}`;
  else if (new DataView(bytes.buffer).getUint32(0, true) !== MMP_MAGIC) detail = "no magic number";
  else if (
    ck.hasChecksums &&
    new DataView(bytes.buffer).getUint32(MMP_CHECKSUM, true) !== crc32c(ck.seed, bytes, 0, MMP_CHECKSUM)
  )
    detail = "its checksum";
  if (detail !== "") {
    if (ck.problem("mmp-damaged", { block, detail })) {
      if (bytes !== undefined && !ck.metadata.has(ck.cluster(block)) && ck.legal(block)) writeMmp(ck, block);
      else {
        ck.sb.setIncompat(EXT4_FEATURE_INCOMPAT_MMP, false);
        ck.superblockDirty = true;
        ck.again = true;
      }
    }
    return true;
  }
  ck.used.add(ck.cluster(block));
  ck.metadata.add(ck.cluster(block));
  if (new DataView((bytes as Uint8Array).buffer).getUint32(MMP_SEQ, true) === MMP_SEQ_CLEAN) return true;
  ck.report("mmp-in-use", { block });
  return false;
}

function writeMmp(ck: Checker, block: number): void {
  const bytes = new Uint8Array(ck.blockSize);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MMP_MAGIC, true);
  view.setUint32(MMP_SEQ, MMP_SEQ_CLEAN, true);
  view.setUint32(MMP_CHECKSUM, crc32c(ck.seed, bytes, 0, MMP_CHECKSUM), true);
  ck.write(block, bytes);
}
