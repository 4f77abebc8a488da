/**
 * Repairs that need names: the root, /lost+found, entries in it, and "..".
 */
import { S_IFDIR } from "linux-abi";
import { entrySize, recordLength, setRecordLength } from "../directory/entry.ts";
import { EXT4_BG_INODE_UNINIT } from "../group-descriptor.ts";
import { type CoreInode, I_BLOCK, I_EXTRA_ISIZE } from "../inode.ts";
import { EXT4_ROOT_INO, S_WANT_EXTRA_ISIZE } from "../superblock.ts";
import { allocateOne } from "./allocate.ts";
import type { Checker, DirectoryInfo } from "./checker.ts";
import { emptyExtents, FT_DIR } from "./inodes-check.ts";
import {
  asRuns,
  blocksOf,
  dotsLeaf,
  emptyLeaf,
  rebuildDirectory,
  recordsEnd,
  writeIndexBlock,
  writeLeaf,
} from "./rebuild-directory.ts";
import { storeMapping } from "./remap.ts";

/** Makes an empty root directory. Everything else will be found unconnected in the next round. */
export function createRoot(ck: Checker): void {
  const raw = ck.readInode(EXT4_ROOT_INO);
  if (raw === undefined || makeDirectory(ck, raw, EXT4_ROOT_INO, 0o755) === undefined) ck.stuck = true;
  ck.again = true;
}

/** Gives a nameless inode a name in /lost+found, which is made or enlarged where needed. */
export function reconnect(ck: Checker, ino: number): void {
  const lost = lostFound(ck);
  if (lost === undefined) {
    ck.report("lost-found-unusable");
    ck.stuck = true;
    return;
  }
  if (ino === lost.ino) return; // has just got its name
  if (!addEntry(ck, lost, `#${ino}`, ino)) {
    ck.report("lost-found-unusable");
    ck.stuck = true;
    return;
  }
  const dir = ck.directories.get(ino);
  if (dir !== undefined) {
    dir.parent = lost.ino;
    if (dir.dotdot !== lost.ino) setDotDot(ck, dir, lost.ino);
  }
  ck.again = true;
}

function lostFound(ck: Checker): DirectoryInfo | undefined {
  const known = ck.lostFound === 0 ? undefined : ck.directories.get(ck.lostFound);
  if (known !== undefined && ck.inodesUsed.has(known.ino) && !known.inline && !known.encrypted) {
    if (known.indexed) {
      rebuildDirectory(ck, known, true);
    }
    return known;
  }
  const root = ck.directories.get(EXT4_ROOT_INO);
  if (root === undefined) return undefined;
  if (known !== undefined) return root.inline ? undefined : root; // there is something of that name, of no use
  const ino = freeInode(ck);
  const inode = ino === 0 ? undefined : ck.readInode(ino);
  const lost = inode === undefined ? undefined : makeDirectory(ck, inode, EXT4_ROOT_INO, 0o700);
  if (lost === undefined) return root.inline ? undefined : root;
  if (root.indexed) {
    rebuildDirectory(ck, root, true);
  }
  if (root.inline || !addEntry(ck, root, "lost+found", ino)) return undefined;
  lost.parent = EXT4_ROOT_INO;
  ck.lostFound = ino;
  ck.again = true;
  return lost;
}

/** An inode number that nothing uses; 0 when all are taken. */
function freeInode(ck: Checker): number {
  const { g } = ck;
  for (const whole of [false, true]) {
    for (let group = 0; group < g.groupCount; group++) {
      if (ck.misplacedTables.has(group)) continue;
      const part = ck.usedPartOfTable(group);
      for (let index = whole ? part : 0; index < (whole ? g.inodesPerGroup : part); index++) {
        const ino = group * g.inodesPerGroup + index + 1;
        if (ino < g.firstInode || ck.inodesUsed.has(ino)) continue;
        if (whole) openTable(ck, group, part);
        return ino;
      }
    }
  }
  return 0;
}

/** Takes the whole table of a group into use: what was never used is zeroed. */
function openTable(ck: Checker, group: number, from: number): void {
  const { g } = ck;
  const gd = ck.descriptors[group];
  const zeros = new Uint8Array(ck.blockSize);
  for (let block = Math.ceil(from / g.inodesPerBlock); block < g.itableBlocks; block++)
    ck.write(gd.inodeTable + block, zeros);
  gd.flags &= ~EXT4_BG_INODE_UNINIT;
  gd.itableUnused = 0;
  ck.descriptorsDirty = true;
}

/** Turns `inode` into a new, empty directory, on the medium and in the maps. */
function makeDirectory(ck: Checker, inode: CoreInode, parent: number, permissions: number): DirectoryInfo | undefined {
  const block = allocateOne(ck, { block: 0 });
  if (block === 0) return undefined;
  const { ino } = inode;
  const self = ino === EXT4_ROOT_INO ? EXT4_ROOT_INO : parent;
  inode.raw.fill(0);
  if (inode.raw.length > 128)
    inode.view.setUint16(I_EXTRA_ISIZE, ck.sb.u16(S_WANT_EXTRA_ISIZE) || Math.min(32, inode.raw.length - 128), true);
  inode.mode = S_IFDIR | permissions;
  inode.links = 2;
  for (const which of ["atime", "ctime", "mtime", "crtime"] as const) inode.writeTime(which, ck.now, 0);
  inode.size = ck.blockSize;
  inode.addBlocks(ck.ratio, ck.blockSize);
  if (ck.hasExtents) emptyExtents(inode);
  if (ck.hasChecksums) inode.setSeed(ck.seed);
  if (!writeLeaf(ck, inode.csumSeed, block, dotsLeaf(ck, ino, self))) return undefined;
  if (!storeMapping(ck, inode, asRuns([block])) || !ck.writeInode(inode)) return undefined;
  const dir: DirectoryInfo = {
    ino,
    runs: [0, block, 1],
    dotdot: self,
    parent: 0,
    indexed: false,
    inline: false,
    casefold: false,
    encrypted: false,
    seed: inode.csumSeed,
    blockCount: 1,
  };
  ck.directories.set(ino, dir);
  ck.inodesUsed.add(ino);
  ck.fileTypes.set(ino, FT_DIR);
  return dir;
}

/** Adds a name to a directory without an index. False when there is no room left on the volume. */
function addEntry(ck: Checker, dir: DirectoryInfo, name: string, ino: number): boolean {
  const needed = entrySize(name.length);
  const end = recordsEnd(ck);
  const blocks = blocksOf(dir);
  for (let i = blocks.length - 1; i >= 0; i--) {
    const bytes = ck.read(blocks[i])?.slice();
    if (bytes === undefined) continue;
    const view = new DataView(bytes.buffer);
    for (let at = 0; at < end; ) {
      const length = recordLength(view, at);
      if (length < 12 || at + length > end) break;
      const taken = view.getUint32(at, true) === 0 ? 0 : entrySize(bytes[at + 6]);
      if (length - taken >= needed) {
        if (taken > 0) setRecordLength(view, at, taken);
        putEntry(ck, bytes, view, at + taken, length - taken, name, ino);
        return writeLeaf(ck, dir.seed, blocks[i], bytes);
      }
      at += length;
    }
  }
  return appendBlock(ck, dir, blocks) && addEntry(ck, dir, name, ino);
}

function putEntry(
  ck: Checker,
  bytes: Uint8Array,
  view: DataView,
  at: number,
  length: number,
  name: string,
  ino: number,
): void {
  view.setUint32(at, ino, true);
  setRecordLength(view, at, length);
  bytes[at + 6] = name.length;
  bytes[at + 7] = ck.hasFileType ? ck.fileTypes.get(ino) : 0;
  for (let i = 0; i < name.length; i++) bytes[at + 8 + i] = name.charCodeAt(i);
}

function appendBlock(ck: Checker, dir: DirectoryInfo, blocks: number[]): boolean {
  const inode = ck.readInode(dir.ino);
  const last = blocks.at(-1) ?? 0;
  // With bigalloc the rest of a cluster comes first.
  const block = blocks.length % ck.ratio !== 0 ? last + 1 : allocateOne(ck, { block: last });
  if (inode === undefined || block === 0) return false;
  if (!writeLeaf(ck, dir.seed, block, emptyLeaf(ck))) return false;
  dir.runs.push(blocks.length, block, 1);
  inode.size = (blocks.length + 1) * ck.blockSize;
  return storeMapping(ck, inode, asRuns([...blocks, block])) && ck.writeInode(inode);
}

/** Makes ".." of a directory lead to `parent`. */
export function setDotDot(ck: Checker, dir: DirectoryInfo, parent: number): void {
  ck.again = true;
  dir.dotdot = parent;
  const inode = ck.readInode(dir.ino);
  if (inode === undefined) return;
  if (dir.inline) {
    inode.view.setUint32(I_BLOCK, parent, true);
    ck.writeInode(inode);
    return;
  }
  const block = blocksOf(dir)[0];
  const bytes = block === undefined ? undefined : ck.read(block)?.slice();
  if (bytes === undefined) return;
  const view = new DataView(bytes.buffer);
  const at = recordLength(view, 0);
  if (at < 12 || at + 12 > ck.blockSize) return;
  view.setUint32(at, parent, true);
  if (dir.indexed) writeIndexBlock(ck, inode.csumSeed, block, bytes);
  else writeLeaf(ck, dir.seed, block, bytes);
}
