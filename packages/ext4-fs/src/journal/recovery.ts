/**
 * Replaying a journal that was left behind: what committed transactions say is written to its home.
 *
 * Three walks over the log from s_start, as jbd2 does: find the last complete transaction; collect revoke records (a block that
 * was freed must not be overwritten by older log content); remember for each block its last logged copy. Then each block is
 * written once. A log block out of sequence ends the log: what follows is from an older round. So does a transaction without a commit
 * block, whatever its blocks look like. A committed one with a wrong checksum is damage, unless its commit is older than the one
 * before it (left over from an earlier journal).
 */
import { Ext4Error } from "../errors.ts";
import { type FastRecord, readFastCommits } from "./fast-commit.ts";
import type { JournalLog } from "./log.ts";
import {
  BLOCKTYPE_COMMIT,
  BLOCKTYPE_DESCRIPTOR,
  BLOCKTYPE_REVOKE,
  COMMIT_CHKSUM,
  COMMIT_SEC,
  COMMIT_SIZE,
  commitChecksum,
  dataChecksum,
  H_BLOCKTYPE,
  H_SEQUENCE,
  HEADER_SIZE,
  JBD2_FLAG_ESCAPE,
  JBD2_FLAG_LAST_TAG,
  JBD2_MAGIC,
  JS_SEQUENCE,
  JS_START,
  type JournalFormat,
  journalFormat,
  readTag,
  REVOKE_COUNT,
  REVOKE_HEADER_SIZE,
  type Tag,
  tailChecksum,
} from "./layout.ts";

export interface Replay {
  /** Transactions found complete. */
  readonly transactions: number;
  /** Blocks written to their homes. */
  readonly blocks: number;
  /** Records of fast commits carried out. */
  readonly fastRecords: number;
  readonly revoked: number;
}

interface Copy {
  readonly logBlock: number;
  readonly escaped: boolean;
}

/**
 * Replays the log and marks it empty. Also fine on an empty log. `fastCommits` carries out what fast commits say, once the
 * transactions before them are home.
 */
export function replayJournal(
  log: JournalLog,
  fastCommits: (records: readonly FastRecord[]) => Ext4Error | undefined,
): Replay | Ext4Error {
  const start = log.view.getUint32(JS_START);
  const firstSequence = log.view.getUint32(JS_SEQUENCE);
  if (start === 0)
    return finish(log, (firstSequence + 1) >>> 0, { transactions: 0, blocks: 0, fastRecords: 0, revoked: 0 });
  if (start < log.first || start >= log.end)
    return new Ext4Error("corrupt", "journal: the log starts outside its bounds");
  const walker = new LogWalker(log, start, firstSequence);

  const endSequence = walker.findEnd();
  if (endSequence instanceof Ext4Error) return endSequence;
  const fast = readFastCommits(log, endSequence);
  if (typeof fast === "number") return new Ext4Error("io", "journal: cannot read the fast commits", { errno: -fast });
  const revoked = new Map<number, number>(); // block → last sequence that revokes it
  let error = walker.walk(endSequence, (type, sequence, data) => {
    return type === BLOCKTYPE_REVOKE ? collectRevokes(walker.format, data, sequence, revoked) : undefined;
  });
  if (error !== undefined) return error;
  const copies = new Map<number, Copy>();
  error = walker.walk(endSequence, (type, sequence, data, logBlock) =>
    type === BLOCKTYPE_DESCRIPTOR ? collectCopies(walker, data, sequence, logBlock, revoked, copies) : undefined,
  );
  if (error !== undefined) return error;
  error = writeCopies(log, copies);
  if (error === undefined && fast.length > 0) error = fastCommits(fast);
  if (error !== undefined) return error;
  return finish(log, endSequence, {
    transactions: (endSequence - firstSequence) | 0,
    blocks: copies.size,
    fastRecords: fast.length,
    revoked: revoked.size,
  });
}

function finish(log: JournalLog, nextSequence: number, replay: Replay): Replay | Ext4Error {
  let error = log.volume.flushDevice();
  log.view.setUint32(JS_START, 0);
  log.view.setUint32(JS_SEQUENCE, nextSequence);
  if (error === 0) error = log.writeSuperblock();
  if (error === 0) error = log.volume.flushDevice();
  return error < 0 ? new Ext4Error("io", "journal: cannot write during replay", { errno: -error }) : replay;
}

type Visit = (type: number, sequence: number, data: Uint8Array, logBlock: number) => Ext4Error | undefined;

/** Steps through the log's control blocks. */
class LogWalker {
  readonly format: JournalFormat;
  readonly log: JournalLog;
  readonly #start: number;
  readonly #sequence: number;
  readonly #data: Uint8Array;
  readonly #view: DataView;

  constructor(log: JournalLog, start: number, sequence: number) {
    this.log = log;
    this.format = journalFormat(log.view);
    this.#start = start;
    this.#sequence = sequence;
    this.#data = new Uint8Array(log.volume.blockSize);
    this.#view = new DataView(this.#data.buffer);
  }

  /** The log block `count` behind `logBlock`, around the end. */
  wrap(logBlock: number): number {
    const { first, end } = this.log;
    return logBlock >= end ? first + ((logBlock - first) % (end - first)) : logBlock;
  }

  /** The sequence behind the last complete transaction. */
  findEnd(): number | Ext4Error {
    let sequence = this.#sequence;
    const error = this.#steps((type, found, data) => {
      if (type === BLOCKTYPE_COMMIT) sequence = (found + 1) >>> 0;
      // Linux takes a senseless revoke block for damage even where no commit follows.
      return type === BLOCKTYPE_REVOKE ? collectRevokes(this.format, data, found, new Map()) : undefined;
    }, -1);
    return error ?? sequence;
  }

  /** Visits the control blocks of all transactions before `endSequence`. */
  walk(endSequence: number, visit: Visit): Ext4Error | undefined {
    return this.#steps(visit, endSequence);
  }

  #steps(visit: Visit, endSequence: number): Ext4Error | undefined {
    let sequence = this.#sequence;
    let damaged = false; // a checksum in the transaction under way is wrong
    let lastCommit = 0; // seconds
    let at = this.#start;
    const most = this.log.end - this.log.first; // the log cannot be longer than itself
    for (let steps = 0; steps < most && sequence !== endSequence; steps++) {
      const error = this.log.read(at, this.#data);
      if (error < 0) return new Ext4Error("io", `journal: cannot read log block ${at}`, { errno: -error });
      const view = this.#view;
      if (view.getUint32(0) !== JBD2_MAGIC || view.getUint32(H_SEQUENCE) !== sequence) return undefined;
      const type = view.getUint32(H_BLOCKTYPE);
      if (type !== BLOCKTYPE_DESCRIPTOR && type !== BLOCKTYPE_REVOKE && type !== BLOCKTYPE_COMMIT) return undefined;
      damaged ||= !this.#isWhole(type);
      if (type === BLOCKTYPE_COMMIT) {
        const time = view.getUint32(COMMIT_SEC) * 0x1_0000_0000 + view.getUint32(COMMIT_SEC + 4);
        if (damaged && time < lastCommit) return undefined;
        if (damaged) return new Ext4Error("corrupt", `journal: transaction ${sequence} has a wrong checksum`);
        lastCommit = time;
      }
      const failed = visit(type, sequence, this.#data, at);
      if (failed !== undefined) return failed;
      if (type === BLOCKTYPE_COMMIT) sequence = (sequence + 1) >>> 0;
      const follow = type === BLOCKTYPE_DESCRIPTOR ? this.countTags() : 0;
      steps += follow;
      at = this.wrap(at + 1 + follow);
    }
    return undefined;
  }

  #isWhole(type: number): boolean {
    const checked = this.format.checksums !== 0;
    const tail = this.#data.length - 4;
    if (type === BLOCKTYPE_DESCRIPTOR || type === BLOCKTYPE_REVOKE) {
      return !checked || this.#view.getUint32(tail) === tailChecksum(this.format, this.#data);
    }
    if (!checked) return true;
    const stored = this.#view.getUint32(COMMIT_CHKSUM);
    if (stored === commitChecksum(this.format, this.#data)) return true;
    // Only the first sector of the block may have arrived; nothing behind the header counts.
    const headerOnly = new Uint8Array(this.#data.length);
    headerOnly.set(this.#data.subarray(0, COMMIT_SIZE));
    return stored === commitChecksum(this.format, headerOnly);
  }

  countTags(): number {
    const tag: Tag = { block: 0, flags: 0, checksum: 0 };
    let count = 0;
    const limit = this.#data.length - this.format.tailSize - this.format.tagSize;
    for (let at = HEADER_SIZE; at <= limit; ) {
      at = readTag(this.format, this.#view, at, tag);
      count++;
      if ((tag.flags & JBD2_FLAG_LAST_TAG) !== 0) break;
    }
    return count;
  }
}

function collectRevokes(
  format: JournalFormat,
  data: Uint8Array,
  sequence: number,
  revoked: Map<number, number>,
): Ext4Error | undefined {
  const view = new DataView(data.buffer);
  const end = view.getUint32(REVOKE_COUNT);
  if (end > data.length - format.tailSize) return new Ext4Error("corrupt", `journal: revoke block of ${end} bytes`);
  const size = format.wide ? 8 : 4;
  for (let at = REVOKE_HEADER_SIZE; at + size <= end; at += size) {
    const block = format.wide ? view.getUint32(at) * 0x1_0000_0000 + view.getUint32(at + 4) : view.getUint32(at);
    revoked.set(block, sequence);
  }
  return undefined;
}

function collectCopies(
  walker: LogWalker,
  data: Uint8Array,
  sequence: number,
  descriptorAt: number,
  revoked: ReadonlyMap<number, number>,
  copies: Map<number, Copy>,
): Ext4Error | undefined {
  const { format, log } = walker;
  const view = new DataView(data.slice().buffer); // the walker's buffer is reused below
  const tag: Tag = { block: 0, flags: 0, checksum: 0 };
  const block = new Uint8Array(data.length);
  const limit = data.length - format.tailSize - format.tagSize;
  let logBlock = descriptorAt;
  for (let at = HEADER_SIZE; at <= limit; ) {
    at = readTag(format, view, at, tag);
    logBlock = walker.wrap(logBlock + 1);
    if (format.checksums !== 0) {
      const error = log.read(logBlock, block);
      if (error < 0) return new Ext4Error("io", `journal: cannot read log block ${logBlock}`, { errno: -error });
      if (dataChecksum(format, sequence, block) !== tag.checksum) {
        return new Ext4Error("corrupt", `journal: checksum of log block ${logBlock} is wrong`, { block: tag.block });
      }
    }
    const revokedAt = revoked.get(tag.block);
    if (revokedAt === undefined || ((sequence - revokedAt) | 0) > 0) {
      if (tag.block >= log.volume.geometry.blocksCount) {
        return new Ext4Error(
          "corrupt",
          `journal: log block ${logBlock} belongs to block ${tag.block}, beyond the file system`,
        );
      }
      copies.set(tag.block, { logBlock, escaped: (tag.flags & JBD2_FLAG_ESCAPE) !== 0 });
    } else {
      copies.delete(tag.block);
    }
    if ((tag.flags & JBD2_FLAG_LAST_TAG) !== 0) break;
  }
  return undefined;
}

function writeCopies(log: JournalLog, copies: ReadonlyMap<number, Copy>): Ext4Error | undefined {
  const data = new Uint8Array(log.volume.blockSize);
  const view = new DataView(data.buffer);
  for (const block of [...copies.keys()].sort((a, b) => a - b)) {
    const copy = copies.get(block) as Copy;
    let error = log.read(copy.logBlock, data);
    if (copy.escaped) view.setUint32(0, JBD2_MAGIC);
    if (error === 0) error = log.volume.writeBlocks(block, data);
    if (error < 0) return new Ext4Error("io", `journal: cannot replay block ${block}`, { errno: -error, block });
  }
  return undefined;
}
