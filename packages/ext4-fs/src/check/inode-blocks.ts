/**
 * Pass 1, for one inode: its blocks are claimed, counted, and compared with i_size and i_blocks.
 */
import { XATTR_INDEX_SYSTEM } from "../xattr/layout.ts";
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from "linux-abi";
import { EXT4_FEATURE_RO_COMPAT_BIGALLOC } from "../features.ts";
import {
  type CoreInode,
  EXT4_EXTENTS_FL,
  EXT4_HUGE_FILE_FL,
  EXT4_INDEX_FL,
  EXT4_INLINE_DATA_FL,
  I_BLOCK,
  I_BLOCKS_HIGH,
  I_BLOCKS_LO,
  EXT4_CASEFOLD_FL,
  EXT4_ENCRYPT_FL,
  EXT4_VERITY_FL,
} from "../inode.ts";
import { EXT4_RESIZE_INO, EXT4_ROOT_INO } from "../superblock.ts";
import { onceEach, type Sink, walkBlocks } from "./block-walk.ts";
import { type Checker, OS_HURD, S_CREATOR_OS } from "./checker.ts";
import { checkHtreeRoot } from "./htree-check.ts";
import type { ProblemCode } from "./problems.ts";
import { chargeQuota } from "./quota-check.ts";
import { checkXattrBlock, inodeXattrs, type XattrCost } from "./xattrs-check.ts";

const S_PREALLOC_DIR_BLOCKS = 0xcd;
/** With more illegal pointers than this, an inode is taken for rubbish as a whole. */
const MANY_ILLEGAL = 12;

/** What the walk over one inode's blocks has seen. */
class Tally implements Sink {
  clusters = 0;
  lastBlock = -1;
  lastWritten = -1;
  illegal = 0;
  damaged = false;
  /** Blocks outside what the inode may have were in the way; the maps must be made again. */
  dropped = false;
  readonly runs: number[] = [];
  readonly #ck: Checker;
  readonly #inode: CoreInode;
  readonly #isDirectory: boolean;
  readonly #fresh = onceEach();
  /** Last block seen, on the volume and in the file. */
  #previous = 0;
  #previousFile = 0;

  constructor(ck: Checker, inode: CoreInode, isDirectory: boolean) {
    this.#ck = ck;
    this.#inode = inode;
    this.#isDirectory = isDirectory;
  }

  data(fileBlock: number, block: number, count: number, unwritten: boolean): void {
    const ck = this.#ck;
    const resize = this.#inode.ino === EXT4_RESIZE_INO;
    if (ck.ratio > 1 && !resize) this.#checkCluster(fileBlock, block);
    const fresh = resize ? true : this.#claim(fileBlock, block, count);
    if (resize) this.clusters += count;
    if (this.#isDirectory) {
      if (fileBlock > this.lastBlock + 1) this.runs.push(this.lastBlock + 1, 0, fileBlock - this.lastBlock - 1);
      if (fresh) this.#addRun(fileBlock, block, count);
    }
    this.lastBlock = Math.max(this.lastBlock, fileBlock + count - 1);
    if (!unwritten && !this.#isDirectory) this.lastWritten = Math.max(this.lastWritten, fileBlock + count - 1);
    this.#previous = block + count - 1;
    this.#previousFile = fileBlock + count - 1;
  }

  #addRun(fileBlock: number, block: number, count: number): void {
    const { runs } = this;
    const last = runs.length - 3;
    const joins =
      last >= 0 &&
      runs[last + 1] !== 0 &&
      runs[last] + runs[last + 2] === fileBlock &&
      runs[last + 1] + runs[last + 2] === block;
    if (joins) runs[last + 2] += count;
    else runs.push(fileBlock, block, count);
  }

  /** bigalloc: a logical cluster lies in one cluster of the volume, each block at its place. */
  #checkCluster(fileBlock: number, block: number): void {
    const ck = this.#ck;
    const misplaced = fileBlock % ck.ratio !== block % ck.ratio;
    const split =
      this.#previous !== 0 &&
      fileBlock % ck.ratio !== 0 &&
      Math.floor(fileBlock / ck.ratio) === Math.floor(this.#previousFile / ck.ratio) &&
      ck.cluster(block) !== ck.cluster(this.#previous);
    if (!misplaced && !split) return;
    ck.problem("block-cluster", { inode: this.#inode.ino, block });
    ck.shared.add(ck.cluster(block));
    if (split) ck.shared.add(ck.cluster(this.#previous));
  }

  node(block: number): boolean {
    const ck = this.#ck;
    this.clusters++;
    if (this.#inode.ino === EXT4_RESIZE_INO) {
      // Only the double indirect block is its own; the others are the reserved descriptor blocks.
      if (block === this.#inode.view.getUint32(I_BLOCK + 13 * 4, true)) claimCluster(ck, ck.cluster(block));
      return this.#fresh(block);
    }
    return claimCluster(ck, ck.cluster(block));
  }

  problem(code: ProblemCode, detail = {}): void {
    this.#ck.problem(code, { inode: this.#inode.ino, ...detail });
    if (code === "block-illegal" || code === "block-too-big") this.illegal++;
    if (code !== "block-metadata" && code !== "extent-checksum") this.dropped = true;
    this.damaged = true;
  }

  /** Takes the clusters under these blocks; false if some were taken before. */
  #claim(_fileBlock: number, block: number, count: number): boolean {
    const ck = this.#ck;
    let first = ck.cluster(block);
    const last = ck.cluster(block + count - 1);
    if (ck.ratio > 1 && this.#previous !== 0 && first === ck.cluster(this.#previous)) first++;
    if (first > last) return true;
    this.clusters += last - first + 1;
    if (ck.used.isFree(first, last - first + 1)) {
      ck.used.addRange(first, last - first + 1);
      return true;
    }
    if (ck.sharedBlocks) {
      ck.used.addRange(first, last - first + 1);
      return true;
    }
    // One by one, as long as that is no more work than the volume is large; then it is rubbish, and counts as shared as a whole.
    ck.collisions += last - first + 1;
    if (ck.collisions > 8 * ck.clusterCount + (1 << 20)) {
      ck.used.addRange(first, last - first + 1);
      ck.shared.addRange(first, last - first + 1);
      return false;
    }
    for (let cluster = first; cluster <= last; cluster++) claimCluster(ck, cluster);
    return false;
  }
}

function claimCluster(ck: Checker, cluster: number): boolean {
  if (ck.used.add(cluster)) return true;
  if (ck.sharedBlocks) return true;
  ck.shared.add(cluster);
  return false;
}

export interface BlocksResult {
  /** The inode was changed and must be written. */
  changed: boolean;
  /** It is beyond repair. */
  clear: boolean;
}

/** Claims and checks the blocks of an inode. `xattrs`: what its attributes inside the inode cost. */
export function checkBlocks(ck: Checker, inode: CoreInode, xattrs: XattrCost): BlocksResult {
  const { ino } = inode;
  const type = inode.mode & S_IFMT;
  const isDirectory = type === S_IFDIR;
  const result: BlocksResult = { changed: false, clear: false };
  const tally = new Tally(ck, inode, isDirectory);
  const cost: XattrCost = { clusters: xattrs.clusters, inodes: xattrs.inodes };
  if (checkXattrBlock(ck, inode, cost)) result.changed = true;
  tally.clusters = cost.clusters;
  const inline = ck.hasInline && inode.hasFlag(EXT4_INLINE_DATA_FL);
  if (!inline && hasBlocks(inode)) {
    walkBlocks(ck, inode, tally);
    if (isDirectory && !tally.runs.some((_, i) => i % 3 === 0 && tally.runs[i] === 0) && tally.lastBlock < 0)
      tally.runs.push(0, 0, 1);
  }
  if (tally.damaged && ck.repair) {
    // The resize inode has a shape of its own: it is made anew.
    if (tally.illegal > MANY_ILLEGAL || ino === EXT4_RESIZE_INO || isHopeless(ck, inode)) {
      result.clear = true;
      return result;
    }
    ck.rebuildExtents.add(ino);
    if (tally.dropped) ck.again = true;
  }
  if (inode.hasFlag(EXT4_INDEX_FL) && !checkHtreeRoot(ck, inode, tally.runs) && ck.repair) {
    inode.flags &= ~EXT4_INDEX_FL;
    if (isDirectory) ck.rebuildDirectories.add(ino);
    result.changed = true;
  }
  if (isDirectory && !inline && tally.clusters === 0) {
    if (ck.problem("directory-no-blocks", { inode: ino })) {
      result.clear = true;
      return result;
    }
  }
  chargeQuota(ck, inode, tally.clusters * ck.ratio * ck.blockSize, cost.inodes + 1);
  if (isDirectory) {
    ck.directories.set(ino, {
      ino,
      runs: tally.runs,
      dotdot: 0,
      parent: 0,
      indexed: inode.hasFlag(EXT4_INDEX_FL),
      inline,
      casefold: ck.hasCasefold && inode.hasFlag(EXT4_CASEFOLD_FL),
      encrypted: inode.hasFlag(EXT4_ENCRYPT_FL),
      seed: inode.csumSeed,
      blockCount: tally.lastBlock + 1,
    });
  }
  if (checkSize(ck, inode, tally, inline)) result.changed = true;
  if (checkBlockCount(ck, inode, tally)) result.changed = true;
  if (type === S_IFREG && inode.size >= 2 ** 31) ck.largeFiles = true;
  if (isDirectory && inode.storedSize >= 2 ** 31) ck.largeDirectories = true;
  const mapped = !inode.hasFlag(EXT4_EXTENTS_FL) && !inode.hasFlag(EXT4_INLINE_DATA_FL);
  if (
    ck.sb.hasRoCompat(EXT4_FEATURE_RO_COMPAT_BIGALLOC) &&
    mapped &&
    (type === S_IFREG || isDirectory) &&
    tally.lastBlock >= 0 &&
    (ino === EXT4_ROOT_INO || ino >= ck.g.firstInode)
  ) {
    if (ck.problem("inode-not-extents", { inode: ino })) ck.rebuildExtents.add(ino);
  }
  return result;
}

/** Whether i_block says where blocks are. Short links, devices, pipes and sockets keep something else in it. */
export function hasBlocks(inode: CoreInode): boolean {
  const type = inode.mode & S_IFMT;
  if (type === S_IFLNK) {
    const { view } = inode;
    if (inode.fileAcl === 0) return view.getUint32(I_BLOCKS_LO, true) !== 0;
    return inode.size >= 60 || (inode.size > 4 && view.getUint32(I_BLOCK + 4, true) === 0);
  }
  return type === S_IFREG || type === S_IFDIR;
}

/** The root of the extent tree itself is unreadable: nothing of it can be kept. */
function isHopeless(ck: Checker, inode: CoreInode): boolean {
  if (!ck.hasExtents || !inode.hasFlag(EXT4_EXTENTS_FL)) return false;
  const { view } = inode;
  const max = view.getUint16(I_BLOCK + 4, true);
  return view.getUint16(I_BLOCK, true) !== 0xf30a || view.getUint16(I_BLOCK + 2, true) > max || max > 4 || max < 2;
}

/** Bytes of inline data: those in i_block and those in the attribute system.data. -1 without that attribute. */
export function inlineSize(ck: Checker, inode: CoreInode): number {
  const item = inodeXattrs(ck, inode).find((each) => each.index === XATTR_INDEX_SYSTEM && each.name === "data");
  return item === undefined ? -1 : 60 + (item.valueInode === 0 ? item.size : 0);
}

function checkSize(ck: Checker, inode: CoreInode, tally: Tally, inline: boolean): boolean {
  const size = inode.storedSize;
  const { blockSize } = ck;
  const type = inode.mode & S_IFMT;
  const blocks = tally.lastBlock + 1;
  let expected = blocks * blockSize;
  let wrong = false;
  if (type === S_IFDIR) {
    if (inline) {
      expected = inlineSize(ck, inode);
      wrong = expected >= 0 && expected !== size;
    } else {
      const spare = ck.sb.u8(S_PREALLOC_DIR_BLOCKS);
      const whole = Math.floor(size / blockSize);
      wrong = size % blockSize !== 0 || whole > blocks || blocks - whole > spare;
    }
  } else if (type !== S_IFLNK) {
    const extents = ck.hasExtents && inode.hasFlag(EXT4_EXTENTS_FL);
    const lastWritten = extents ? tally.lastWritten : tally.lastBlock;
    if (lastWritten >= 0 && size < lastWritten * blockSize && !inode.hasFlag(EXT4_VERITY_FL)) wrong = true;
    else if (extents) wrong = size > 2 ** 32 * blockSize - 1;
    else wrong = size > mapLimit(blockSize);
  }
  if (!wrong || !ck.problem("inode-size", { inode: inode.ino, value: size, expected })) return false;
  inode.size = expected;
  return true;
}

/** Largest size of a file with a block map. */
function mapLimit(blockSize: number): number {
  const perBlock = blockSize / 4;
  return (12 + perBlock + perBlock ** 2 + perBlock ** 3) * blockSize;
}

function checkBlockCount(ck: Checker, inode: CoreInode, tally: Tally): boolean {
  if (ck.sb.u32(S_CREATOR_OS) === OS_HURD) return false;
  const { view } = inode;
  const high = view.getUint16(I_BLOCKS_HIGH, true);
  const huge = ck.hasHugeFile && inode.hasFlag(EXT4_HUGE_FILE_FL);
  const value = view.getUint32(I_BLOCKS_LO, true) + (ck.hasHugeFile ? high * 0x1_0000_0000 : 0);
  const expected = tally.clusters * ck.ratio * (huge ? 1 : ck.blockSize / 512);
  if (value === expected && !(huge && high !== 0)) return false;
  if (!ck.problem("inode-blocks", { inode: inode.ino, value, expected })) return false;
  view.setUint32(I_BLOCKS_LO, expected >>> 0, true);
  view.setUint16(I_BLOCKS_HIGH, Math.floor(expected / 0x1_0000_0000), true);
  return true;
}
