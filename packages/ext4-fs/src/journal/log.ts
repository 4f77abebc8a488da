/**
 * The journal as a file of blocks: its superblock, and where each log block lies on the volume.
 */
import { EIO } from "linux-abi";
import { Ext4Error } from "../errors.ts";
import { type Mapping, mapBlocks } from "../extents/map.ts";
import type { CoreInode } from "../inode.ts";
import { S_JOURNAL_INUM } from "../superblock.ts";
import type { Volume } from "../volume.ts";
import {
  BLOCKTYPE_SUPERBLOCK_V1,
  BLOCKTYPE_SUPERBLOCK_V2,
  H_BLOCKTYPE,
  JBD2_DEFAULT_FAST_COMMIT_BLOCKS,
  JBD2_FEATURE_INCOMPAT_CSUM_V2,
  JBD2_FEATURE_INCOMPAT_CSUM_V3,
  JBD2_FEATURE_INCOMPAT_FAST_COMMIT,
  JBD2_KNOWN_INCOMPAT,
  JBD2_MAGIC,
  JS_BLOCKSIZE,
  JS_CHECKSUM,
  JS_FEATURE_INCOMPAT,
  JS_FEATURE_RO_COMPAT,
  JS_FIRST,
  JS_MAXLEN,
  JS_NUM_FC_BLOCKS,
  JS_START,
  journalSuperblockChecksum,
} from "./layout.ts";

interface Run {
  readonly logBlock: number;
  readonly count: number;
  readonly block: number;
}

export class JournalLog {
  readonly volume: Volume;
  /** Log block 0; the first 1024 bytes are the journal superblock. */
  readonly superblock: Uint8Array;
  readonly view: DataView;
  readonly #runs: readonly Run[];

  constructor(volume: Volume, runs: readonly Run[], superblock: Uint8Array) {
    this.volume = volume;
    this.#runs = runs;
    this.superblock = superblock;
    this.view = new DataView(superblock.buffer);
  }

  /** First log block of the circular part. */
  get first(): number {
    return this.view.getUint32(JS_FIRST);
  }
  /** One behind the last log block of the circular part; fast commits lie behind it. */
  get end(): number {
    return this.view.getUint32(JS_MAXLEN) - this.fastCommitBlocks;
  }
  get fastCommitBlocks(): number {
    if (!this.hasIncompat(JBD2_FEATURE_INCOMPAT_FAST_COMMIT)) return 0;
    return this.view.getUint32(JS_NUM_FC_BLOCKS) || JBD2_DEFAULT_FAST_COMMIT_BLOCKS;
  }
  get hasFeatures(): boolean {
    return this.view.getUint32(H_BLOCKTYPE) === BLOCKTYPE_SUPERBLOCK_V2;
  }
  hasIncompat(bit: number): boolean {
    return this.hasFeatures && (this.view.getUint32(JS_FEATURE_INCOMPAT) & bit) !== 0;
  }
  get hasChecksums(): boolean {
    return this.hasIncompat(JBD2_FEATURE_INCOMPAT_CSUM_V2) || this.hasIncompat(JBD2_FEATURE_INCOMPAT_CSUM_V3);
  }

  /** Volume block of a log block; 0 if it has none. */
  blockOf(logBlock: number): number {
    for (const run of this.#runs) {
      if (logBlock >= run.logBlock && logBlock < run.logBlock + run.count) return run.block + (logBlock - run.logBlock);
    }
    return 0;
  }

  read(logBlock: number, data: Uint8Array): number {
    const block = this.blockOf(logBlock);
    return block === 0 ? -EIO : this.volume.readBlocks(block, data);
  }

  /** Writes consecutive log blocks. */
  write(logBlock: number, data: Uint8Array): number {
    const blockSize = this.volume.blockSize;
    for (let done = 0; done < data.length; ) {
      const at = logBlock + done / blockSize;
      const run = this.#runs.find((r) => at >= r.logBlock && at < r.logBlock + r.count);
      if (run === undefined) return -EIO;
      const count = Math.min(data.length - done, (run.logBlock + run.count - at) * blockSize);
      const error = this.volume.writeBlocks(run.block + (at - run.logBlock), data.subarray(done, done + count));
      if (error < 0) return error;
      done += count;
    }
    return 0;
  }

  writeSuperblock(): number {
    if (this.hasChecksums) this.view.setUint32(JS_CHECKSUM, journalSuperblockChecksum(this.superblock));
    return this.write(0, this.superblock);
  }
}

/** Finds and checks the journal of a volume; `unused`: only its superblock, as nothing else of it is going to be read or written. */
export function openLog(volume: Volume, unused: boolean = false): JournalLog | Ext4Error {
  const ino = volume.superblock.u32(S_JOURNAL_INUM);
  const corrupt = (message: string): Ext4Error => new Ext4Error("corrupt", `journal: ${message}`, { inode: ino });
  if (ino === 0)
    return new Ext4Error("incompatible", "the journal is on another device", { features: ["journal_dev"] });
  const inode = volume.inode(ino);
  if (typeof inode === "number") return corrupt("its inode cannot be read");
  if (!inode.isRegular || inode.links === 0) return corrupt("its inode is not a regular file");
  const runs = collectRuns(volume, inode, unused ? 1 : Math.floor(inode.size / volume.blockSize));
  if (typeof runs === "number") return corrupt("its blocks cannot be found");
  const last = runs.at(-1);
  const superblock = new Uint8Array(volume.blockSize);
  const log = new JournalLog(volume, runs, superblock);
  if (last === undefined || log.read(0, superblock) < 0) return corrupt("its superblock cannot be read");
  const view = log.view;
  const type = view.getUint32(H_BLOCKTYPE);
  if (view.getUint32(0) !== JBD2_MAGIC || (type !== BLOCKTYPE_SUPERBLOCK_V1 && type !== BLOCKTYPE_SUPERBLOCK_V2)) {
    return corrupt("no superblock");
  }
  if (view.getUint32(JS_BLOCKSIZE) !== volume.blockSize) return corrupt(`block size ${view.getUint32(JS_BLOCKSIZE)}`);
  if (log.hasFeatures) {
    const unknown = (view.getUint32(JS_FEATURE_INCOMPAT) & ~JBD2_KNOWN_INCOMPAT) | view.getUint32(JS_FEATURE_RO_COMPAT);
    if (unknown !== 0)
      return new Ext4Error("incompatible", `journal features 0x${(unknown >>> 0).toString(16)} are unknown`);
    if (log.hasIncompat(JBD2_FEATURE_INCOMPAT_CSUM_V2) && log.hasIncompat(JBD2_FEATURE_INCOMPAT_CSUM_V3))
      return corrupt("checksums v2 and v3 at once");
    if (log.hasChecksums && view.getUint32(JS_CHECKSUM) !== journalSuperblockChecksum(superblock))
      return corrupt("superblock checksum is wrong");
  }
  const length = view.getUint32(JS_MAXLEN);
  const mapped = unused ? inode.size / volume.blockSize : last.logBlock + last.count;
  if (length < 1024 || length > mapped) return corrupt(`${length} blocks long`);
  if (log.first < 1 || log.first >= log.end || view.getUint32(JS_START) >= length)
    return corrupt("log bounds are impossible");
  return log;
}

/** Where the first `total` log blocks lie. */
function collectRuns(volume: Volume, inode: CoreInode, total: number): Run[] | number {
  const runs: Run[] = [];
  const map: Mapping = { block: 0, count: 0, unwritten: false };
  for (let logBlock = 0; logBlock < total; logBlock += map.count) {
    const error = mapBlocks(volume, inode, logBlock, total - logBlock, map);
    if (error < 0) return error;
    if (map.block === 0) return -EIO;
    runs.push({ logBlock, count: map.count, block: map.block });
  }
  return runs;
}
