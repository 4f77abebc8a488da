/**
 * Writes a quota file anew: usage as pass 1 has counted it, limits as far as they could be read from the old one.
 */
import { QUOTA_BLOCK, QUOTA_MAGICS, QUOTA_GRACE_SECONDS, QH_BLOCKS } from "../quota/quota-file.ts";
import { S_IFREG } from "linux-abi";
import { type CoreInode, I_EXTRA_ISIZE, EXT4_IMMUTABLE_FL } from "../inode.ts";
import { S_WANT_EXTRA_ISIZE, S_USR_QUOTA_INUM, S_GRP_QUOTA_INUM, S_PRJ_QUOTA_INUM } from "../superblock.ts";
import { allocate } from "./allocate.ts";
import type { Checker } from "./checker.ts";
import { emptyExtents } from "./inodes-check.ts";
import { QUOTA_ENTRIES, QUOTA_ENTRY, QUOTA_LEAF_HEADER } from "./quota-layout.ts";
import { asRuns } from "./rebuild-directory.ts";
import { storeMapping } from "./remap.ts";

const S_QUOTA_INUMS: readonly number[] = [S_USR_QUOTA_INUM, S_GRP_QUOTA_INUM, S_PRJ_QUOTA_INUM];
/** Numbers that user and group quota files always have. */
const FIXED: readonly number[] = [3, 4, 0];
const TREE_DEPTH = 4;

/** Replaces the quota file of a kind. `limits`: the old entries, 72 bytes each, by id. */
export function rewriteQuota(ck: Checker, kind: number, ino: number, limits: ReadonlyMap<number, Uint8Array>): void {
  // Of the file system's own inodes only the one that is for it: a number gone wrong may be the journal's.
  const usable = ino === FIXED[kind] || (ino >= ck.g.firstInode && ino <= ck.g.inodesCount);
  const target = usable ? ino : FIXED[kind];
  const inode = target === 0 ? undefined : ck.readInode(target);
  if (inode === undefined) {
    // Without a file the kind is simply not accounted for.
    ck.sb.setU32(S_QUOTA_INUMS[kind], 0);
    ck.superblockDirty = true;
    ck.again = true;
    return;
  }
  const bytes = build(ck, kind, limits);
  const perBlock = ck.blockSize;
  const count = Math.ceil(bytes.length / perBlock);
  const blocks: number[] = [];
  while (blocks.length < count) {
    const start = allocate(ck, ck.ratio);
    if (start === 0) {
      ck.stuck = true;
      return;
    }
    for (let i = 0; i < ck.ratio && blocks.length < count; i++) blocks.push(start + i);
  }
  const padded = new Uint8Array(count * perBlock);
  padded.set(bytes);
  for (const [i, block] of blocks.entries()) ck.write(block, padded.slice(i * perBlock, (i + 1) * perBlock));
  renew(ck, inode);
  inode.size = bytes.length;
  inode.addBlocks(Math.ceil(count / ck.ratio) * ck.ratio, ck.blockSize);
  if (!storeMapping(ck, inode, asRuns(blocks))) return;
  ck.writeInode(inode);
  if (ck.sb.u32(S_QUOTA_INUMS[kind]) !== target) {
    ck.sb.setU32(S_QUOTA_INUMS[kind], target);
    ck.superblockDirty = true;
  }
  ck.again = true;
}

function renew(ck: Checker, inode: CoreInode): void {
  inode.raw.fill(0);
  if (inode.raw.length > 128)
    inode.view.setUint16(I_EXTRA_ISIZE, ck.sb.u16(S_WANT_EXTRA_ISIZE) || Math.min(32, inode.raw.length - 128), true);
  inode.mode = S_IFREG | 0o600;
  inode.links = 1;
  for (const which of ["atime", "ctime", "mtime", "crtime"] as const) inode.writeTime(which, ck.now, 0);
  inode.flags = EXT4_IMMUTABLE_FL;
  if (ck.hasExtents) emptyExtents(inode);
}

/** The file's bytes: header, information, tree, leaves. */
function build(ck: Checker, kind: number, limits: ReadonlyMap<number, Uint8Array>): Uint8Array {
  const ids = [...new Set([...limits.keys(), ...ck.usage[kind].keys()])].sort((a, b) => a - b);
  const entries = ids.flatMap((id) => {
    const entry = new Uint8Array(QUOTA_ENTRY);
    const view = new DataView(entry.buffer);
    const old = limits.get(id);
    if (old !== undefined) entry.set(old);
    const usage = ck.usage[kind].get(id) ?? { bytes: 0, inodes: 0 };
    view.setUint32(0, id, true);
    setLong(view, 24, usage.inodes);
    setLong(view, 48, usage.bytes);
    // An entry of zeros is none; one without usage and limits is not needed.
    return entry.some((byte, i) => i >= 8 && byte !== 0) ? [{ id, entry }] : [];
  });
  const blocks: Uint8Array[] = [new Uint8Array(QUOTA_BLOCK), new Uint8Array(QUOTA_BLOCK)];
  const header = new DataView(blocks[0].buffer);
  header.setUint32(0, QUOTA_MAGICS[kind], true);
  header.setUint32(4, 1, true);
  header.setUint32(8, QUOTA_GRACE_SECONDS, true);
  header.setUint32(12, QUOTA_GRACE_SECONDS, true);
  let leaf = 0;
  let used = QUOTA_ENTRIES;
  for (const { id, entry } of entries) {
    if (used === QUOTA_ENTRIES) {
      leaf = blocks.push(new Uint8Array(QUOTA_BLOCK)) - 1;
      used = 0;
    }
    blocks[leaf].set(entry, QUOTA_LEAF_HEADER + used * QUOTA_ENTRY);
    used++;
    new DataView(blocks[leaf].buffer).setUint16(8, used, true);
    link(blocks, id, leaf);
  }
  header.setUint32(QH_BLOCKS, blocks.length, true);
  if (used < QUOTA_ENTRIES) header.setUint32(28, leaf, true); // the leaf with room
  const bytes = new Uint8Array(blocks.length * QUOTA_BLOCK);
  for (const [i, block] of blocks.entries()) bytes.set(block, i * QUOTA_BLOCK);
  return bytes;
}

/** Makes the tree lead from `id` to a leaf: one byte of the id per level, from the top. */
function link(blocks: Uint8Array[], id: number, leaf: number): void {
  let at = 1;
  for (let level = 0; level < TREE_DEPTH; level++) {
    const slot = ((id >>> (24 - level * 8)) & 0xff) * 4;
    const view = new DataView(blocks[at].buffer);
    if (level === TREE_DEPTH - 1) {
      view.setUint32(slot, leaf, true);
      return;
    }
    let child = view.getUint32(slot, true);
    if (child === 0) {
      child = blocks.push(new Uint8Array(QUOTA_BLOCK)) - 1;
      view.setUint32(slot, child, true);
    }
    at = child;
  }
}

function setLong(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
}
