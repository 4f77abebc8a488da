/**
 * Carrying out fast commits after the journal's transactions are home: names, inodes and block ranges are set to what the records
 * say. Each record states what shall be, so a replay that was cut off can be done again; the journal is marked empty only
 * afterwards.
 *
 * Bitmaps and counts are not in the records. Before anything else all blocks that records map are marked as used, so that
 * nothing here takes them; at the end each inode's blocks are counted anew. (ext4_fc_replay in fs/ext4/fast_commit.c)
 */
import { S_IFDIR, S_IFMT } from "linux-abi";
import { markBlocksUsed } from "../allocator/blocks.ts";
import { markInodeUsed } from "../allocator/inodes.ts";
import type { Buffer } from "../buffer-cache.ts";
import { EXT4_NAME_LEN, fileTypeOfMode } from "../directory/entry.ts";
import { addName, initDirectory, removeName } from "../directory/insert.ts";
import { findName } from "../directory/lookup.ts";
import { setWritten } from "../extents/insert.ts";
import { mapBlocks, nextAllocated } from "../extents/map.ts";
import { EXT_INIT_MAX_LEN, EXT_MAX_BLOCKS, EXTENT_MAGIC, findExtent, initExtentRoot } from "../extents/node.ts";
import { insertRun, removeRuns } from "../file-map.ts";
import {
  type CoreInode,
  EXT4_EXTENTS_FL,
  GOOD_OLD_INODE_SIZE,
  I_BLOCK,
  I_BLOCK_SIZE,
  I_FLAGS,
  I_GENERATION,
} from "../inode.ts";
import { deleteInode } from "../orphan.ts";
import type { Volume } from "../volume.ts";
import {
  FC_TAG_ADD_RANGE,
  FC_TAG_CREAT,
  FC_TAG_DEL_RANGE,
  FC_TAG_INODE,
  FC_TAG_LINK,
  FC_TAG_UNLINK,
  type FastRecord,
} from "./fast-commit.ts";

/** Carries out `records` on a volume that is not journaled, and writes the result home. 0 or -errno. */
export function replayFastCommits(volume: Volume, records: readonly FastRecord[]): number {
  const started = volume.begin();
  if (started < 0) return started;
  const replay = new Replay(volume);
  const error = volume.end(replay.run(records));
  return error < 0 ? error : volume.commit();
}

class Replay {
  readonly #volume: Volume;
  /** Inodes whose maps or records were touched. */
  readonly #touched = new Set<number>();

  constructor(volume: Volume) {
    this.#volume = volume;
  }

  run(records: readonly FastRecord[]): number {
    for (const { tag, value } of records) {
      const range = tag === FC_TAG_ADD_RANGE ? readRange(value) : undefined;
      const error = range === undefined ? 0 : markBlocksUsed(this.#volume, range.start, range.count);
      if (error < 0) return error;
    }
    for (const record of records) {
      const error = this.#apply(record);
      if (error < 0) return error;
    }
    for (const ino of this.#touched) {
      const inode = this.#volume.inode(ino);
      const error = typeof inode === "number" ? 0 : recountBlocks(this.#volume, inode);
      if (error < 0) return error;
    }
    return 0;
  }

  #apply({ tag, value }: FastRecord): number {
    const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
    if (value.length < 8) return this.#damaged();
    switch (tag) {
      case FC_TAG_INODE:
        return this.#setInode(view.getUint32(0, true), value.subarray(4));
      case FC_TAG_ADD_RANGE:
        return value.length < 16 ? this.#damaged() : this.#addRange(value);
      case FC_TAG_DEL_RANGE: {
        const inode = this.#inode(view.getUint32(0, true));
        if (typeof inode === "number" || value.length < 12) return typeof inode === "number" ? inode : this.#damaged();
        const from = view.getUint32(4, true);
        const to = Math.min(from + view.getUint32(8, true), EXT_MAX_BLOCKS);
        return inode.hasFlag(EXT4_EXTENTS_FL) ? removeRuns(this.#volume, inode, from, to, false) : this.#damaged();
      }
      case FC_TAG_CREAT:
      case FC_TAG_LINK:
        return this.#link(view.getUint32(0, true), view.getUint32(4, true), value.subarray(8), tag === FC_TAG_CREAT);
      case FC_TAG_UNLINK:
        return this.#unlink(view.getUint32(0, true), view.getUint32(4, true), value.subarray(8));
      default:
        return this.#damaged();
    }
  }

  #damaged(): number {
    return this.#volume.corrupt("a fast commit record cannot be understood", 0, 0);
  }

  #inode(ino: number): CoreInode | number {
    this.#touched.add(ino);
    const inode = this.#volume.inode(ino);
    return typeof inode === "number"
      ? this.#volume.corrupt("a fast commit names an inode that is not there", ino, 0)
      : inode;
  }

  /** Everything of the inode but its extent tree, which ADD_RANGE and DEL_RANGE make. */
  #setInode(ino: number, raw: Uint8Array): number {
    const volume = this.#volume;
    const { inodesCount, inodeSize } = volume.geometry;
    if (ino < 1 || ino > inodesCount || raw.length < GOOD_OLD_INODE_SIZE || raw.length > inodeSize)
      return this.#damaged();
    const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
    const isDirectory = (view.getUint16(0, true) & S_IFMT) === S_IFDIR;
    const fresh = markInodeUsed(volume, ino, isDirectory);
    if (fresh < 0) return fresh;
    const found = fresh === 1 ? -1 : volume.inode(ino);
    const inode = typeof found === "number" ? volume.inodes.create(ino) : found;
    inode.raw.set(raw.subarray(0, I_BLOCK));
    inode.raw.set(raw.subarray(I_GENERATION), I_GENERATION);
    if ((view.getUint32(I_FLAGS, true) & EXT4_EXTENTS_FL) === 0) {
      inode.raw.set(raw.subarray(I_BLOCK, I_BLOCK + I_BLOCK_SIZE), I_BLOCK);
    } else if (inode.view.getUint16(I_BLOCK, true) !== EXTENT_MAGIC) {
      initExtentRoot(inode);
    }
    inode.setSeed(volume.csumSeed);
    this.#touched.add(ino);
    return volume.dirtyInode(inode);
  }

  #addRange(value: Uint8Array): number {
    const volume = this.#volume;
    const range = readRange(value);
    if (range.count === 0 || range.fileBlock + range.count > EXT_MAX_BLOCKS) return this.#damaged();
    const inode = this.#inode(range.ino);
    if (typeof inode === "number") return inode;
    if (!inode.hasFlag(EXT4_EXTENTS_FL)) return this.#damaged();
    const map = volume.work.writeMap;
    for (let done = 0; done < range.count; ) {
      const fileBlock = range.fileBlock + done;
      const start = range.start + done;
      let error = mapBlocks(volume, inode, fileBlock, range.count - done, map);
      if (error < 0) return error;
      const { block, count, unwritten } = map;
      if (block === start) {
        if (unwritten !== range.unwritten) error = setWritten(volume, inode, fileBlock, count, unwritten);
      } else {
        if (block !== 0) error = removeRuns(volume, inode, fileBlock, fileBlock + count, false);
        // What was just freed may be what is to be mapped.
        if (error === 0) error = markBlocksUsed(volume, start, count);
        if (error === 0) error = insertRun(volume, inode, fileBlock, { start, count, charged: 0 }, range.unwritten);
      }
      if (error < 0) return error;
      done += count;
    }
    return volume.dirtyInode(inode);
  }

  #link(parentIno: number, ino: number, name: Uint8Array, creates: boolean): number {
    const volume = this.#volume;
    const dir = this.#inode(parentIno);
    if (typeof dir === "number") return dir;
    const inode = this.#inode(ino);
    if (typeof inode === "number") return inode;
    if (!dir.isDirectory || name.length === 0 || name.length > EXT4_NAME_LEN) return this.#damaged();
    let error = 0;
    if (creates && inode.isDirectory && findName(volume, inode, DOT, volume.work.found) < 0) {
      inode.size = 0;
      error = initDirectory(volume, inode, dir.ino, volume.hasFileTypes ? fileTypeOfMode(S_IFDIR) : 0);
      if (error < 0) return error;
    }
    const there = findName(volume, dir, name, volume.work.found);
    if (there !== 0) {
      error = addName(volume, dir, name, ino, volume.hasFileTypes ? fileTypeOfMode(inode.mode) : 0);
      if (error === 0 && creates && inode.isDirectory && dir.links > 1) dir.links++;
    }
    if (error < 0) return error;
    if (creates) inode.links = inode.isDirectory ? 2 : 1;
    else if (there !== 0) inode.links++;
    error = volume.dirtyInode(inode);
    return error < 0 ? error : volume.dirtyInode(dir);
  }

  #unlink(parentIno: number, ino: number, name: Uint8Array): number {
    const volume = this.#volume;
    const dir = this.#inode(parentIno);
    if (typeof dir === "number") return dir;
    const { found } = volume.work;
    if (findName(volume, dir, name, found) < 0 || found.ino !== ino) return 0; // done by an earlier attempt
    let error = removeName(volume, dir, found);
    const inode = error < 0 ? error : this.#inode(ino);
    if (typeof inode === "number") return inode;
    if (inode.isDirectory && dir.links > 2) dir.links--;
    inode.links = inode.isDirectory ? 0 : Math.max(0, inode.links - 1);
    error = volume.dirtyInode(dir);
    if (error === 0) error = volume.dirtyInode(inode);
    if (error < 0 || inode.links > 0) return error;
    error = recountBlocks(volume, inode);
    this.#touched.delete(ino); // what the inode table says of it now is not to be looked at again
    return error < 0 ? error : deleteInode(volume, inode);
  }
}

const DOT: Uint8Array = Uint8Array.of(0x2e);

interface Range {
  readonly ino: number;
  readonly fileBlock: number;
  readonly count: number;
  readonly start: number;
  readonly unwritten: boolean;
}

/** ADD_RANGE: inode number, then an extent as in a tree's leaf. */
function readRange(value: Uint8Array): Range {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  if (value.length < 16) return { ino: 0, fileBlock: 0, count: 0, start: 0, unwritten: false };
  const length = view.getUint16(8, true);
  return {
    ino: view.getUint32(0, true),
    fileBlock: view.getUint32(4, true),
    count: length > EXT_INIT_MAX_LEN ? length - EXT_INIT_MAX_LEN : length,
    start: view.getUint32(12, true) + view.getUint16(10, true) * 0x1_0000_0000,
    unwritten: length > EXT_INIT_MAX_LEN,
  };
}

/** Marks all blocks of an inode's extent tree as used and sets i_blocks to their number. 0, -EUCLEAN, -EIO. */
function recountBlocks(volume: Volume, inode: CoreInode): number {
  if (!inode.hasFlag(EXT4_EXTENTS_FL)) return 0;
  const path = volume.work.mapPath;
  const ratio = volume.clusterBlocks;
  const nodes: (Buffer | null)[] = [];
  let blocks = inode.fileAcl === 0 ? 0 : ratio;
  let lastCluster = -1;
  for (let at = 0; at < EXT_MAX_BLOCKS; ) {
    let error = findExtent(volume, inode, at, path);
    const leaf = path.depth;
    for (let level = 1; error === 0 && level <= leaf; level++) {
      const node = path.buffers[level] as Buffer;
      if (nodes[level] === node) continue;
      nodes[level] = node;
      blocks += ratio;
      error = markBlocksUsed(volume, node.block, 1);
    }
    if (error < 0) return error;
    for (let i = 0; i < path.entries(leaf); i++) {
      const start = path.start(i);
      const count = path.length(i);
      const first = Math.floor(start / ratio);
      const end = Math.ceil((start + count) / ratio);
      blocks += (end - first - (first === lastCluster ? 1 : 0)) * ratio;
      lastCluster = end - 1;
      error = markBlocksUsed(volume, start, count);
      if (error < 0) return error;
    }
    path.indexes[leaf] = path.entries(leaf) - 1;
    at = path.entries(leaf) === 0 ? EXT_MAX_BLOCKS : nextAllocated(path, path.key(leaf, path.entries(leaf) - 1));
  }
  inode.addBlocks(blocks - inode.blocks512(volume.blockSize) / (volume.blockSize / 512), volume.blockSize);
  return volume.dirtyInode(inode);
}
