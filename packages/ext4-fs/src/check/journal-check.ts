/**
 * Pass 0: the journal. A dirty one is replayed before anything else is looked at; one that cannot be used is taken off.
 */
import { S_IFREG } from "linux-abi";
import { Ext4Error } from "../errors.ts";
import { EXT4_FEATURE_COMPAT_HAS_JOURNAL, EXT4_FEATURE_INCOMPAT_RECOVER } from "../features.ts";
import {
  BLOCKTYPE_SUPERBLOCK_V1,
  BLOCKTYPE_SUPERBLOCK_V2,
  H_BLOCKTYPE,
  JBD2_KNOWN_INCOMPAT,
  JBD2_MAGIC,
  JS_BLOCKSIZE,
  JS_CHECKSUM,
  JS_ERRNO,
  JS_FEATURE_INCOMPAT,
  JS_FEATURE_RO_COMPAT,
  JS_MAXLEN,
  JS_NR_USERS,
  JS_START,
  journalSuperblockChecksum,
} from "../journal/layout.ts";
import { EXT4_EXTENTS_FL, I_BLOCK, I_BLOCK_SIZE } from "../inode.ts";
import type { FastRecord } from "../journal/fast-commit.ts";
import { replayFastCommits } from "../journal/fast-commit-replay.ts";
import { JournalLog } from "../journal/log.ts";
import { replayJournal } from "../journal/recovery.ts";
import {
  EXT4_GOOD_OLD_FIRST_INO,
  EXT4_JOURNAL_INO,
  S_FEATURE_COMPAT,
  S_JOURNAL_DEV,
  S_JOURNAL_INUM,
  SUPERBLOCK_OFFSET,
  S_JOURNAL_UUID,
  S_JNL_BACKUP_TYPE,
  S_JNL_BLOCKS,
  type Superblock,
} from "../superblock.ts";
import { prepareVolume } from "../mount.ts";
import { Volume } from "../volume.ts";
import { extentHeaderIsValid, onceEach, walkBlocks } from "./block-walk.ts";
import type { Checker } from "./checker.ts";
import { clearInode } from "./inodes-check.ts";

/** Pieces of a journal; Linux makes it of a few. */
const MOST_RUNS = 1 << 20;

export type JournalState =
  /** Nothing to replay. */
  | "settled"
  /** The medium has changed under the check: start again. */
  | "replayed"
  /** There is one elsewhere: the file system cannot be judged without it. */
  | "elsewhere";

/** Checks the journal; with `replay`, writes home what it holds. */
export function checkJournal(ck: Checker, replay: boolean): JournalState {
  const { sb } = ck;
  const recover = sb.hasIncompat(EXT4_FEATURE_INCOMPAT_RECOVER);
  const ino = sb.u32(S_JOURNAL_INUM);
  if (!sb.hasCompat(EXT4_FEATURE_COMPAT_HAS_JOURNAL)) {
    if (recover && ck.problem("journal-needs-recovery")) setRecover(ck, false);
    if (ino !== 0 && ck.problem("journal-unexpected", { inode: ino })) {
      sb.setU32(S_JOURNAL_INUM, 0);
      ck.superblockDirty = true;
      ck.again = true;
    }
    dropUuid(ck);
    return "settled";
  }
  if (ino === 0) {
    if (sb.u32(S_JOURNAL_DEV) !== 0 || namesDevice(sb)) {
      ck.report("journal-external");
      return "elsewhere";
    }
    removeJournal(ck, "it has no inode");
    return "settled";
  }
  if (ino !== EXT4_JOURNAL_INO && ino < EXT4_GOOD_OLD_FIRST_INO) {
    removeJournal(ck, "its inode is reserved for something else");
    return "settled";
  }
  dropUuid(ck);
  let log = openLog(ck, ino);
  if (typeof log === "string") {
    const restored = restoreInode(ck, ino, log);
    if (restored === undefined) {
      removeJournal(ck, log);
      return "settled";
    }
    log = restored;
  }
  const start = log.view.getUint32(JS_START);
  if (start !== 0 && !recover) {
    // Left over from before: a file system that says it needs no recovery gets none. e2fsck marks it empty.
    if (ck.repair) emptyLog(log);
    return "settled";
  }
  if (log.view.getInt32(JS_ERRNO) !== 0 && !recover) {
    if (ck.problem("journal-error", { value: log.view.getInt32(JS_ERRNO) })) {
      log.view.setInt32(JS_ERRNO, 0);
      log.writeSuperblock();
    }
  }
  if (!recover || !replay) return "settled";
  const result = replayJournal(log, (records) => applyFastCommits(ck, records));
  if (result instanceof Ext4Error) {
    ck.problem("journal-invalid", { inode: ino, detail: result.message });
    emptyLog(log);
  }
  if (log.view.getInt32(JS_ERRNO) !== 0) {
    log.view.setInt32(JS_ERRNO, 0);
    log.writeSuperblock();
  }
  return "replayed";
}

/** Fast commits change what the replayed transactions left: on a volume opened anew. */
function applyFastCommits(ck: Checker, records: readonly FastRecord[]): Ext4Error | undefined {
  const volume = prepareVolume(ck.device, {});
  if (volume instanceof Ext4Error) return volume;
  volume.readOnly = false;
  const error = replayFastCommits(volume, records);
  return error < 0 ? new Ext4Error("corrupt", "its fast commits cannot be replayed", { errno: -error }) : undefined;
}

/** After a replay: needs_recovery is cleared in the superblock that the replay has written. */
export function setRecover(ck: Checker, on: boolean): void {
  ck.sb.setIncompat(EXT4_FEATURE_INCOMPAT_RECOVER, on);
  ck.superblockDirty = true;
}

function emptyLog(log: JournalLog): void {
  log.view.setUint32(JS_START, 0);
  log.writeSuperblock();
}

/** The log, or what is wrong with it. */
function openLog(ck: Checker, ino: number): JournalLog | string {
  const inode = ck.readInode(ino);
  if (inode === undefined) return "its inode cannot be read";
  if (!inode.isRegular || inode.links === 0) return "its inode is none of a file";
  const runs: { logBlock: number; count: number; block: number }[] = [];
  let next = 0;
  let trouble = "";
  walkBlocks(ck, inode, {
    data(fileBlock, block, count) {
      if (fileBlock !== next) trouble ||= "it has holes";
      const last = runs.at(-1);
      // Block maps give their blocks one by one.
      if (last !== undefined && last.block + last.count === block && fileBlock === next) last.count += count;
      else if (runs.length < MOST_RUNS) runs.push({ logBlock: fileBlock, count, block });
      else trouble ||= "it is in too many pieces";
      next = fileBlock + count;
      for (const at of [block, block + count - 1])
        if (ck.ratio === 1 && ck.metadata.has(at)) trouble ||= "its blocks lie on metadata";
    },
    node: onceEach(),
    problem(code) {
      trouble ||= `its blocks cannot be found (${code})`;
    },
  });
  if (trouble !== "") return trouble;
  if (inode.size < 1024 * ck.blockSize) return `it has only ${inode.size} bytes`;
  const superblock = new Uint8Array(ck.blockSize);
  const block = new Uint8Array(ck.blockSize);
  block.set(ck.sb.bytes, ck.blockSize === 1024 ? 0 : SUPERBLOCK_OFFSET);
  const log = new JournalLog(new Volume(ck.device, ck.g, block, {}), runs, superblock);
  if (log.read(0, superblock) < 0) return "its superblock cannot be read";
  const { view } = log;
  const type = view.getUint32(H_BLOCKTYPE);
  if (view.getUint32(0) !== JBD2_MAGIC) return "no magic number";
  if (type !== BLOCKTYPE_SUPERBLOCK_V1 && type !== BLOCKTYPE_SUPERBLOCK_V2) return `a superblock of type ${type}`;
  if (view.getUint32(JS_BLOCKSIZE) !== ck.blockSize) return `blocks of ${view.getUint32(JS_BLOCKSIZE)} bytes`;
  if (type === BLOCKTYPE_SUPERBLOCK_V2) {
    const unknown = (view.getUint32(JS_FEATURE_INCOMPAT) & ~JBD2_KNOWN_INCOMPAT) | view.getUint32(JS_FEATURE_RO_COMPAT);
    if (unknown !== 0) return `unknown features 0x${(unknown >>> 0).toString(16)}`;
    if (view.getUint32(JS_NR_USERS) > 1) return `${view.getUint32(JS_NR_USERS)} users`;
    if (log.hasChecksums && view.getUint32(JS_CHECKSUM) !== journalSuperblockChecksum(superblock))
      return "the checksum of its superblock is wrong";
  }
  const length = view.getUint32(JS_MAXLEN);
  if (length > next || length < 8) return `${length} blocks long`;
  if (log.first < 1 || log.first >= log.end || view.getUint32(JS_START) >= length) return "its bounds are impossible";
  return log;
}

/**
 * Superblocks keep a copy of where the journal lies. In a repair, the log as that copy has it, with the inode written anew; undefined
 * when there is no copy, or nothing can be made of it.
 */
function restoreInode(ck: Checker, ino: number, trouble: string): JournalLog | undefined {
  const { sb } = ck;
  if (!ck.repair || sb.u8(S_JNL_BACKUP_TYPE) !== 1) return undefined;
  const damaged = ck.readInode(ino);
  const inode = ck.readInode(ino);
  if (damaged === undefined || inode === undefined) return undefined;
  inode.raw.fill(0);
  inode.mode = S_IFREG | 0o600;
  inode.links = 1;
  inode.raw.set(sb.bytes.subarray(S_JNL_BLOCKS, S_JNL_BLOCKS + I_BLOCK_SIZE), I_BLOCK);
  inode.size = sb.u32(S_JNL_BLOCKS + 15 * 4) * 0x1_0000_0000 + sb.u32(S_JNL_BLOCKS + 16 * 4);
  if (extentHeaderIsValid(inode.view, I_BLOCK, I_BLOCK_SIZE)) inode.flags = EXT4_EXTENTS_FL;
  ck.writeInode(inode);
  const log = openLog(ck, ino);
  if (typeof log !== "string") {
    ck.problem("journal-inode-restored", { inode: ino, detail: trouble });
    return log;
  }
  ck.writeInode(damaged);
  return undefined;
}

/** The journal's UUID is set: that of another device. */
function namesDevice(sb: Superblock): boolean {
  return sb.bytes.subarray(S_JOURNAL_UUID, S_JOURNAL_UUID + 16).some((byte) => byte !== 0);
}

/** Mounting goes by the inode, but e2fsck looks for the device. */
function dropUuid(ck: Checker): void {
  if (!namesDevice(ck.sb) || !ck.problem("journal-uuid")) return;
  ck.sb.bytes.fill(0, S_JOURNAL_UUID, S_JOURNAL_UUID + 16);
  ck.superblockDirty = true;
}

/** A file system without a journal is complete, too. */
function removeJournal(ck: Checker, detail: string): void {
  const { sb } = ck;
  const ino = sb.u32(S_JOURNAL_INUM);
  if (!ck.problem("journal-invalid", { inode: ino, detail })) return;
  sb.setU32(S_FEATURE_COMPAT, sb.u32(S_FEATURE_COMPAT) & ~EXT4_FEATURE_COMPAT_HAS_JOURNAL);
  setRecover(ck, false);
  sb.setU32(S_JOURNAL_INUM, 0);
  sb.bytes.fill(0, S_JOURNAL_UUID, S_JOURNAL_UUID + 16);
  sb.bytes[S_JNL_BACKUP_TYPE] = 0;
  sb.bytes.fill(0, S_JNL_BLOCKS, S_JNL_BLOCKS + 17 * 4);
  const inode = ino === EXT4_JOURNAL_INO ? ck.readInode(ino) : undefined;
  if (inode !== undefined) {
    inode.raw.fill(0);
    clearInode(ck, inode);
    inode.raw.fill(0);
    ck.writeInode(inode);
  }
  ck.again = true;
}
