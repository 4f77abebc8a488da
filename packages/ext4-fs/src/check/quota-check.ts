/**
 * Quota files (quota feature): the usage that they record against what pass 1 has counted.
 */
import { QUOTA_BLOCK, QUOTA_MAGICS } from "../quota/quota-file.ts";
import { EXT4_FEATURE_RO_COMPAT_QUOTA } from "../features.ts";
import { type CoreInode, EXT4_EA_INODE_FL } from "../inode.ts";
import { EXT4_ROOT_INO, S_ORPHAN_FILE_INUM } from "../superblock.ts";
import { onceEach, walkBlocks } from "./block-walk.ts";
import type { Checker } from "./checker.ts";
import { quotaInodes } from "./inodes-check.ts";
import { QUOTA_ENTRY, QUOTA_LEAF_HEADER, QUOTA_NAMES } from "./quota-layout.ts";
import { rewriteQuota } from "./quota-repair.ts";

const I_PROJID = 0x9c;
const TREE_ROOT = 1;
const TREE_DEPTH = 4;

/** Adds an inode to the usage of its owners. */
export function chargeQuota(ck: Checker, inode: CoreInode, bytes: number, inodes: number): void {
  if (!ck.sb.hasRoCompat(EXT4_FEATURE_RO_COMPAT_QUOTA)) return;
  const { ino } = inode;
  if (ino !== EXT4_ROOT_INO && ino < ck.g.firstInode) return;
  if (quotaInodes(ck).includes(ino) || ck.sb.u32(S_ORPHAN_FILE_INUM) === ino || inode.hasFlag(EXT4_EA_INODE_FL)) return;
  const project = inode.fits(I_PROJID, 4) ? inode.view.getUint32(I_PROJID, true) : 0;
  [inode.uid, inode.gid, project].forEach((id, kind) => {
    const usage = ck.usage[kind].get(id);
    if (usage === undefined) ck.usage[kind].set(id, { bytes, inodes });
    else {
      usage.bytes += bytes;
      usage.inodes += inodes;
    }
  });
}

export function checkQuotas(ck: Checker): void {
  quotaInodes(ck).forEach((ino, kind) => {
    if (ino === 0) return;
    const inode = ck.readInode(ino);
    const file = inode === undefined || inode.links === 0 ? undefined : readFile(ck, inode);
    const state: QuotaState = { entries: new Map(), wrong: false };
    if (file === undefined || !checkTree(ck, file, kind, state)) {
      ck.problem("quota-file", { inode: ino, detail: QUOTA_NAMES[kind] });
      state.wrong = true;
    }
    if (state.wrong && ck.repair) rewriteQuota(ck, kind, ino, state.entries);
  });
}

interface QuotaState {
  /** The entries found, by id. */
  readonly entries: Map<number, Uint8Array>;
  wrong: boolean;
}

/** The quota file's blocks, by number. */
interface QuotaFile {
  readonly blocks: number[];
  readonly size: number;
}

function readFile(ck: Checker, inode: CoreInode): QuotaFile | undefined {
  const blocks: number[] = [];
  let damaged = false;
  walkBlocks(ck, inode, {
    data(fileBlock, block, count) {
      for (let i = 0; i < count && fileBlock + i < 2 ** 20; i++) blocks[fileBlock + i] = block + i;
    },
    node: onceEach(),
    problem() {
      damaged = true;
    },
  });
  return damaged ? undefined : { blocks, size: inode.size };
}

function quotaBlock(ck: Checker, file: QuotaFile, index: number): DataView | undefined {
  const at = index * QUOTA_BLOCK;
  if (at + QUOTA_BLOCK > file.size) return undefined;
  const block = file.blocks[Math.floor(at / ck.blockSize)];
  const bytes = block === undefined ? undefined : ck.read(block);
  return bytes === undefined
    ? undefined
    : new DataView(bytes.slice(at % ck.blockSize, (at % ck.blockSize) + QUOTA_BLOCK).buffer);
}

/** Compares every entry. False: the file is not what it should be. */
function checkTree(ck: Checker, file: QuotaFile, kind: number, state: QuotaState): boolean {
  const header = quotaBlock(ck, file, 0);
  if (header === undefined || header.getUint32(0, true) !== QUOTA_MAGICS[kind] || header.getUint32(4, true) !== 1)
    return false;
  const visited = new Map<number, number>(); // block → depth
  const visit = (index: number, depth: number): boolean => {
    // Leaves are shared by many ids; blocks of the tree are not, and are no leaves.
    const before = visited.get(index);
    if (before !== undefined) return before === TREE_DEPTH && depth === TREE_DEPTH;
    visited.set(index, depth);
    const view = quotaBlock(ck, file, index);
    if (view === undefined) return false;
    if (depth === TREE_DEPTH) {
      for (let at = QUOTA_LEAF_HEADER; at + QUOTA_ENTRY <= QUOTA_BLOCK; at += QUOTA_ENTRY)
        checkEntry(ck, view, at, kind, state);
      return true;
    }
    for (let i = 0; i < QUOTA_BLOCK; i += 4) {
      const child = view.getUint32(i, true);
      if (child !== 0 && !visit(child, depth + 1)) return false;
    }
    return true;
  };
  if (!visit(TREE_ROOT, 0)) return false;
  for (const [id, usage] of ck.usage[kind]) {
    if (state.entries.has(id) || (usage.bytes === 0 && usage.inodes === 0)) continue;
    ck.problem("quota-usage", { detail: QUOTA_NAMES[kind], value: id });
    state.wrong = true;
  }
  return true;
}

/** struct v2r1_disk_dqblk: id, pad, inode limits and usage, block limits, space used, times. */
function checkEntry(ck: Checker, view: DataView, at: number, kind: number, state: QuotaState): void {
  let used = false;
  for (let i = 0; i < QUOTA_ENTRY; i += 4) if (view.getUint32(at + i, true) !== 0) used = true;
  if (!used) return;
  const id = view.getUint32(at, true);
  const long = (offset: number): number =>
    view.getUint32(at + offset, true) + view.getUint32(at + offset + 4, true) * 0x1_0000_0000;
  state.entries.set(id, new Uint8Array(view.buffer.slice(at, at + QUOTA_ENTRY)));
  const usage = ck.usage[kind].get(id) ?? { bytes: 0, inodes: 0 };
  if (long(24) === usage.inodes && long(48) === usage.bytes) return;
  ck.problem("quota-usage", { detail: QUOTA_NAMES[kind], value: id });
  state.wrong = true;
}
