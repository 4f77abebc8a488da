/**
 * A mounted volume: the state that everything else works on.
 *
 * It owns the device, the superblock, the group table, the buffer and inode caches and the running transaction. The operations
 * (extent tree, directories, files, names) are functions in their own files that take a Volume and CoreInodes.
 *
 * Transactions: an operation that changes anything runs between `begin` and `end`. Changed blocks collect in the running
 * transaction over many operations; `commit` gives them their checksums and writes them to the journal (without one, straight
 * home). Committed blocks are written to their homes by `checkpoint`. Long operations call `breathe` at points where what
 * they have done so far is consistent, so that a transaction never outgrows the journal.
 *
 * After a device error or a contradiction found half-way through a change, the volume stops writing for good (`abort`):
 * what the journal holds is consistent.
 */
import type { BlockDevice } from "blockdev-disk";
import { EIO, EROFS, EUCLEAN } from "linux-abi";
import { nextOne, nextZero } from "./bitmap.ts";
import { Buffer, BufferCache, KIND_INODE_TABLE, KIND_PLAIN, KIND_SUPERBLOCK } from "./buffer-cache.ts";
import { updateBlockChecksum } from "./checksum/metadata-checksum.ts";
import {
  EXT4_FEATURE_COMPAT_DIR_INDEX,
  EXT4_FEATURE_INCOMPAT_CASEFOLD,
  EXT4_FEATURE_INCOMPAT_FILETYPE,
  EXT4_FEATURE_RO_COMPAT_LARGE_FILE,
} from "./features.ts";
import { type Geometry, groupStart } from "./geometry.ts";
import { GroupTable } from "./groups.ts";
import { type CoreInode, EXT4_JOURNAL_DATA_FL } from "./inode.ts";
import { InodeCache } from "./inode-cache.ts";
import type { Journal } from "./journal/journal.ts";
import type { MountProtection } from "./mmp.ts";
import type { OrphanFile } from "./orphan.ts";
import type { Quota, QuotaKind } from "./quota/quota.ts";
import { Scratch } from "./scratch.ts";
import { discardBlocks } from "./trim.ts";
import {
  EXT2_FLAGS_UNSIGNED_HASH,
  EXT4_ENC_STRICT_MODE_FL,
  EXT4_ERROR_FS,
  S_ENCODING_FLAGS,
  S_ERROR_COUNT,
  S_FIRST_ERROR_BLOCK,
  S_FIRST_ERROR_INO,
  S_FIRST_ERROR_TIME,
  S_FLAGS,
  S_FREE_BLOCKS_COUNT_HI,
  S_FREE_BLOCKS_COUNT_LO,
  S_FREE_INODES_COUNT,
  S_HASH_SEED,
  S_LAST_ERROR_BLOCK,
  S_LAST_ERROR_INO,
  S_LAST_ERROR_TIME,
  S_STATE,
  S_WTIME,
  SUPERBLOCK_OFFSET,
  SUPERBLOCK_SIZE,
  Superblock,
} from "./superblock.ts";

/** Seconds and nanoseconds since 1970. */
export interface Time {
  sec: number;
  nsec: number;
}

export interface VolumeOptions {
  /** Write nothing. A journal that needs replay is replayed in memory. Default false; implied by a read-only device. */
  readonly readOnly?: boolean;
  /** Clock for timestamps and the commit interval. Default: always 0. */
  readonly now?: () => Time;
  /** Clean metadata blocks to keep in memory. Default: 16 MiB worth. */
  readonly cacheBlocks?: number;
  /** Inodes to keep in memory. Default 8192. */
  readonly cacheInodes?: number;
  /** Commit when the running transaction is older, in seconds; 0 = only on sync or when it is large. Default 5. */
  readonly commitInterval?: number;
  /**
   * Write metadata straight home instead of through the journal: faster, and the journal area stays as it is. For building an
   * image that nobody else sees yet; a crash leaves it inconsistent, and the device has everything after `sync` or unmounting only.
   * Default false.
   */
  readonly unjournaled?: boolean;
  /**
   * How file data goes to the device (mount option data=). "ordered": before the metadata that makes it visible commits;
   * "journal": through the journal, so that a write is there as a whole or not; "writeback" promises less and gets the same as
   * "ordered". Default "ordered".
   */
  readonly data?: "ordered" | "journal" | "writeback";
  /** Times of reads stay in memory until the inode is written anyway, or a sync (mount option lazytime). Default false. */
  readonly lazyTime?: boolean;
  /** Discard blocks on the device once the transaction that freed them has committed (mount option discard). Default false. */
  readonly discard?: boolean;
  /** Quotas whose limits are in force (mount options usrquota, grpquota, prjquota), where the volume has the feature. Default none. */
  readonly quotaLimits?: readonly QuotaKind[];
  /** Whether who asks now may pass limits of quota (CAP_SYS_RESOURCE). Default: nobody may. */
  readonly mayExceedQuota?: () => boolean;
  /** Receives one line per problem found on the medium. */
  readonly log?: (message: string) => void;
}

/** Blocks that one operation may change between two calls of `breathe`. */
export const OPERATION_BLOCKS = 64;
/** Without a journal: blocks to collect before they are written home. */
const UNJOURNALED_BLOCKS = 2048;
/** Inodes that may change before the quota files follow, so that their changes fit into the transaction. */
const SETTLE_INODES = 16;
/**
 * A log of so many blocks, and so many copies of each block that waits in it, begins anew: many small commits (fsync) then go where a host
 * file has its blocks already, which makes a flush on Linux's ext4 take half the time (0.17 ms instead of 0.35, 2026-11).
 */
const REPEATING_LOG = 256;
const REPEATING_COPIES = 4;
/** Committed blocks to keep before they are written home, whatever room the journal has. */
const MAX_PENDING = 8192;

export class Volume {
  readonly device: BlockDevice;
  /** Replaced, between operations, when the mounted volume grows. */
  geometry: Geometry;
  readonly blockSize: number;
  /** Blocks per allocation unit: 1 without bigalloc. */
  readonly clusterBlocks: number;
  readonly superblock: Superblock;
  readonly cache: BufferCache;
  readonly groups: GroupTable;
  readonly inodes: InodeCache;
  readonly options: VolumeOptions;
  /** Seed of checksums not tied to an inode. */
  readonly csumSeed: number;
  readonly hasMetadataCsum: boolean;
  readonly hasDirIndex: boolean;
  /** Directory entries carry the type of what they name. */
  readonly hasFileTypes: boolean;
  /** Directories may be casefold ones (chattr +F), and names there may have to be in the encoding to be looked for at all. */
  readonly hasCasefold: boolean;
  readonly hasStrictNames: boolean;
  /** s_hash_seed, and what s_flags adds to a hash version: 3 where names count as unsigned bytes. */
  readonly hashSeed: Int32Array;
  readonly hashUnsigned: number;
  readonly work: Scratch;
  /** Free counts; the superblock's are brought up to date at commit. */
  freeBlocks: number;
  freeInodes: number;
  readOnly: boolean;
  aborted = false;
  /** File data may be in the journal, or in memory only. */
  hasJournaledData = false;
  mounted = true;
  journal: Journal | undefined = undefined;
  /** Keeps others from mounting the volume, where it has the feature mmp. */
  protection: MountProtection | undefined = undefined;
  /** Present while the volume is written to and has the feature. */
  quota: Quota | undefined = undefined;
  /** The on-disk orphan list, oldest first: s_last_orphan is the last of these. */
  readonly orphans: CoreInode[] = [];
  orphanFile: OrphanFile | undefined = undefined;
  /** Slots of the orphan file in use. */
  readonly orphanSlots: Set<number> = new Set();
  /** Time of the operation under way; set by `begin`. */
  readonly time: Time = { sec: 0, nsec: 0 };
  /** Next i_generation to give out. */
  nextGeneration = 1;
  readonly #superblockBuffer: Buffer;
  readonly #unit: number; // device blocks per file system block
  #depth = 0;
  #operationChanged = false; // the operation under way has changed metadata
  #changed: Buffer[] = [];
  #changedInodes: CoreInode[] = [];
  #settled = 0; // of them, when the quota files were last brought in line
  #revoked = new Set<number>();
  readonly #lazy = new Set<CoreInode>();
  readonly #pending = new Set<Buffer>();
  #transactionStart = 0;
  #countsChanged = false;

  /** Use `openVolume`. `superblockBytes` are the 1024 bytes read from the device. */
  constructor(device: BlockDevice, geometry: Geometry, superblockBlock: Uint8Array, options: VolumeOptions) {
    this.device = device;
    this.geometry = geometry;
    this.options = options;
    this.blockSize = geometry.blockSize;
    this.clusterBlocks = geometry.clusterSize / geometry.blockSize;
    this.#unit = geometry.blockSize / device.blockSize;
    const at = geometry.blockSize === 1024 ? 0 : SUPERBLOCK_OFFSET;
    this.#superblockBuffer = new Buffer(geometry.blockSize === 1024 ? 1 : 0, superblockBlock);
    this.superblock = new Superblock(superblockBlock.subarray(at, at + SUPERBLOCK_SIZE));
    this.readOnly = options.readOnly === true || device.readOnly;
    this.csumSeed = this.superblock.checksumSeed();
    this.hasMetadataCsum = this.superblock.hasMetadataCsum;
    this.hasDirIndex = this.superblock.hasCompat(EXT4_FEATURE_COMPAT_DIR_INDEX);
    const sb = this.superblock;
    this.hasFileTypes = sb.hasIncompat(EXT4_FEATURE_INCOMPAT_FILETYPE);
    this.hasCasefold = sb.hasIncompat(EXT4_FEATURE_INCOMPAT_CASEFOLD);
    this.hasStrictNames = (sb.u16(S_ENCODING_FLAGS) & EXT4_ENC_STRICT_MODE_FL) !== 0;
    this.hashSeed = Int32Array.of(0, 4, 8, 12).map((at) => sb.u32(S_HASH_SEED + at));
    this.hashUnsigned = (sb.u32(S_FLAGS) & EXT2_FLAGS_UNSIGNED_HASH) !== 0 ? 3 : 0;
    this.work = new Scratch(geometry.blockSize);
    this.freeBlocks = this.superblock.freeBlocksCount;
    this.freeInodes = this.superblock.u32(S_FREE_INODES_COUNT);
    const cacheBlocks = Math.max(256, options.cacheBlocks ?? (16 << 20) / geometry.blockSize);
    this.cache = new BufferCache(geometry.blockSize, cacheBlocks, (block, data) => this.readBlocks(block, data));
    this.inodes = new InodeCache(this, Math.max(64, options.cacheInodes ?? 8192));
    this.groups = new GroupTable(this);
  }

  // ---- device ----

  /** Reads data.length / blockSize blocks. 0 or -errno; a range outside the volume is -EUCLEAN (only a bad pointer asks for it). */
  readBlocks(block: number, data: Uint8Array): number {
    if (block + data.length / this.blockSize > this.geometry.blocksCount)
      return this.corrupt(`block ${block} lies outside`, 0, block);
    const error = this.device.readBlock(block * this.#unit, data);
    if (error < 0) this.log(`read error ${error} at block ${block}`);
    return error < 0 ? error : 0;
  }

  writeBlocks(block: number, data: Uint8Array): number {
    if (this.aborted) return -EIO;
    if (block + data.length / this.blockSize > this.geometry.blocksCount)
      return this.corrupt(`block ${block} lies outside`, 0, block);
    const error = this.device.writeBlock(block * this.#unit, data);
    if (error < 0) this.log(`write error ${error} at block ${block}`);
    return error < 0 ? error : 0;
  }

  /** Whether the data of this file goes through the journal: data=journal, or chattr +j. */
  journalsData(inode: CoreInode): boolean {
    return this.journal !== undefined && (this.options.data === "journal" || inode.hasFlag(EXT4_JOURNAL_DATA_FL));
  }

  /** Reads file data: as `readBlocks`, but what the journal holds and has not written home yet counts. */
  readFileBlocks(block: number, data: Uint8Array): number {
    const error = this.readBlocks(block, data);
    if (error < 0 || !this.hasJournaledData) return error;
    for (let i = 0; i * this.blockSize < data.length; i++) {
      const buffer = this.cache.peek(block + i);
      if (buffer !== undefined && (buffer.dirty || buffer.pending)) data.set(buffer.data, i * this.blockSize);
    }
    return 0;
  }

  /** Writes file data: home at once, before the metadata that makes it visible commits; or into the running transaction. */
  writeFileBlocks(inode: CoreInode, block: number, data: Uint8Array): number {
    if (!this.journalsData(inode)) {
      for (let i = 0; this.hasJournaledData && i * this.blockSize < data.length; i++) this.forgetBlock(block + i);
      return this.writeBlocks(block, data);
    }
    if (block + data.length / this.blockSize > this.geometry.blocksCount)
      return this.corrupt(`block ${block} lies outside`, inode.ino, block);
    this.hasJournaledData = true;
    for (let i = 0; i * this.blockSize < data.length; i++) {
      const buffer = this.cache.create(block + i);
      buffer.data.set(data.subarray(i * this.blockSize, (i + 1) * this.blockSize));
      this.dirtyBuffer(buffer, KIND_PLAIN, 0);
    }
    return 0;
  }

  flushDevice(): number {
    const error = this.device.flush();
    return error < 0 ? error : 0;
  }

  log(message: string): void {
    this.options.log?.(`ext4: ${message}`);
  }

  /** Records a contradiction on the medium and gives -EUCLEAN. */
  corrupt(message: string, inode: number, block: number): number {
    this.log(`corrupt: ${message}${inode !== 0 ? ` (inode ${inode})` : ""}`);
    if (!this.readOnly && !this.aborted) {
      const sb = this.superblock;
      const now = this.now();
      sb.setU16(S_STATE, sb.u16(S_STATE) | EXT4_ERROR_FS);
      if (sb.u32(S_ERROR_COUNT) === 0) {
        sb.setU32(S_FIRST_ERROR_TIME, now.sec >>> 0);
        sb.setU32(S_FIRST_ERROR_INO, inode);
        sb.setU32(S_FIRST_ERROR_BLOCK, block >>> 0);
      }
      sb.setU32(S_LAST_ERROR_TIME, now.sec >>> 0);
      sb.setU32(S_LAST_ERROR_INO, inode);
      sb.setU32(S_LAST_ERROR_BLOCK, block >>> 0);
      sb.setU32(S_ERROR_COUNT, sb.u32(S_ERROR_COUNT) + 1);
      this.dirtySuperblock();
    }
    return -EUCLEAN;
  }

  now(): Time {
    return this.options.now?.() ?? { sec: 0, nsec: 0 };
  }

  /** i_dtime for an inode deleted now. Never a number that fsck could take for an inode on the orphan list. */
  get deletionTime(): number {
    return Math.max(this.geometry.inodesCount, this.time.sec) >>> 0;
  }

  // ---- operations and transactions ----

  /** To be called first by every operation that only reads: keeps the caches within bounds. */
  enter(): void {
    if (this.#depth !== 0) return;
    this.cache.trim();
    this.inodes.trim();
  }

  /** Starts a changing operation: 0, or -errno and it must not go on. Operations nest. */
  begin(): number {
    if (this.#depth > 0) {
      this.#depth++;
      return 0;
    }
    if (!this.mounted || this.aborted) return -EIO;
    if (this.readOnly) return -EROFS;
    const now = this.now();
    this.time.sec = now.sec;
    this.time.nsec = now.nsec;
    const refreshed = this.protection?.refresh(now.sec) ?? 0;
    if (refreshed < 0) return this.abort(`cannot update the multiple mount protection: ${refreshed}`);
    const interval = this.options.commitInterval ?? 5;
    const old = interval > 0 && this.#changed.length > 0 && now.sec - this.#transactionStart >= interval;
    const error = old ? this.commit() : this.breathe();
    if (error < 0) return error;
    this.enter();
    this.#depth = 1;
    this.#operationChanged = false;
    return 0;
  }

  /** Ends an operation; passes `result` through. A change that failed half-way for a reason of the medium stops all writing. */
  end<T>(result: T): T {
    if (this.#depth === 1 && this.quota !== undefined && this.#changedInodes.length - this.#settled >= SETTLE_INODES) {
      const error = this.#settleQuota(this.#settled);
      if (error < 0) this.log(`quota: error ${error}`);
    }
    this.#depth--;
    if ((result as unknown) === -EUCLEAN || (result as unknown) === -EIO) this.#changeFailed();
    return result;
  }

  #changeFailed(): void {
    if (this.#operationChanged) this.abort("a change failed half-way");
  }

  /** Commits when the running transaction could not take another operation. What was done so far must be consistent. */
  breathe(): number {
    const limit = this.journal?.maxTransactionBlocks ?? UNJOURNALED_BLOCKS;
    const size = this.#changed.length + (this.#revoked.size >> 7);
    return size + OPERATION_BLOCKS > limit ? this.commit() : 0;
  }

  /** Announces that `buffer` has been or will at once be changed. */
  dirtyBuffer(buffer: Buffer, kind: number, seed: number): void {
    buffer.kind = kind;
    buffer.seed = seed;
    buffer.verifiedAs = kind;
    if (kind !== KIND_SUPERBLOCK) this.#operationChanged = true;
    if (buffer.dirty) return;
    buffer.dirty = true;
    if (this.#changed.length === 0) this.#transactionStart = this.time.sec;
    this.#changed.push(buffer);
    if (this.#revoked.size > 0) this.#revoked.delete(buffer.block);
  }

  dirtySuperblock(): void {
    this.dirtyBuffer(this.#superblockBuffer, KIND_SUPERBLOCK, 0);
  }

  /** Notes that free counts changed, so that the superblock goes into this transaction. */
  countsChanged(): void {
    this.#countsChanged = true;
  }

  /** Announces that the raw bytes of `inode` have been or will at once be changed. 0 or -errno. */
  dirtyInode(inode: CoreInode): number {
    this.#operationChanged = true;
    if (inode.dirty) return 0;
    const buffer = this.cache.get(this.inodes.blockOf(inode.ino));
    if (typeof buffer === "number") return buffer;
    this.dirtyBuffer(buffer, KIND_INODE_TABLE, 0);
    inode.buffer = buffer;
    inode.dirty = true;
    this.#changedInodes.push(inode);
    return 0;
  }

  /** The times of `inode` have changed in memory only: they are written with its next change, or by `sync`. */
  keepLazily(inode: CoreInode): void {
    if (inode.dirty) return;
    inode.lazy = true;
    this.#lazy.add(inode);
  }

  /** Brings the times of one inode that were kept in memory into the running transaction, for its fsync. 0 or -errno. */
  writeLazyTimesOf(inode: CoreInode): number {
    if (!inode.lazy || inode.deleted) return 0;
    const error = this.begin();
    if (error < 0) return error;
    inode.lazy = false;
    this.#lazy.delete(inode);
    return this.end(this.dirtyInode(inode));
  }

  /** Brings times that were kept in memory into the running transaction. */
  #writeLazyTimes(): number {
    if (this.#lazy.size === 0) return 0;
    const error = this.begin();
    if (error < 0) return error;
    for (const inode of this.#lazy) {
      inode.lazy = false;
      const failed = inode.deleted ? 0 : this.dirtyInode(inode);
      if (failed < 0) return this.end(failed);
    }
    this.#lazy.clear();
    return this.end(0);
  }

  /** A metadata block has been freed: no older copy of it may ever be written to its home again. */
  forgetBlock(block: number): void {
    const buffer = this.cache.peek(block);
    if (buffer !== undefined) {
      buffer.dirty = false; // commit skips it
      buffer.pending = false;
      this.#pending.delete(buffer);
      this.cache.drop(block);
    }
    if (this.journal?.holds(block)) this.#revoked.add(block);
  }

  get hasChanges(): boolean {
    return this.#changed.length > 0 || this.#revoked.size > 0;
  }

  /** Makes the running transaction durable. 0 or -errno (then nothing more is written). */
  commit(): number {
    if (this.aborted) return -EIO;
    if (!this.hasChanges) return 0;
    if (this.quota !== undefined) {
      const settled = this.#settleQuota(0); // those settled before may have changed again
      if (settled < 0) return this.abort(`cannot keep the quota files: ${settled}`);
    }
    for (const inode of this.#changedInodes) this.#storeInode(inode);
    this.#changedInodes.length = 0;
    this.#settled = 0;
    this.groups.updateChecksums();
    if (this.#countsChanged) {
      this.superblock.setSplit(S_FREE_BLOCKS_COUNT_LO, S_FREE_BLOCKS_COUNT_HI, this.freeBlocks);
      this.superblock.setU32(S_FREE_INODES_COUNT, this.freeInodes);
      this.superblock.setU32(S_WTIME, this.time.sec >>> 0);
      this.dirtySuperblock();
      this.#countsChanged = false;
    }
    const buffers = this.#changed.filter((buffer) => buffer.dirty);
    for (const buffer of buffers) updateBlockChecksum(this, buffer);
    const error = this.journal !== undefined ? this.journal.commit(buffers, this.#revoked) : this.#writeHome(buffers);
    if (error < 0) return this.abort(`commit failed with ${error}`);
    for (const buffer of buffers) {
      buffer.dirty = false;
      if (this.journal !== undefined && !buffer.pending) {
        buffer.pending = true;
        this.#pending.add(buffer);
      }
    }
    this.#changed = [];
    this.#revoked = new Set();
    if (this.options.discard === true) this.#discardFreed();
    this.groups.held.clear();
    return this.#shouldCheckpoint() ? this.checkpoint() : 0;
  }

  #shouldCheckpoint(): boolean {
    if (this.journal === undefined) return false;
    if (this.#pending.size > MAX_PENDING || !this.journal.hasRoom()) return true;
    const { used } = this.journal;
    return used >= REPEATING_LOG && used >= this.#pending.size * REPEATING_COPIES;
  }

  /** Brings the quota files in line with everything that has changed, so that what they say is exact. Within an operation. 0 or -errno. */
  bookQuota(): number {
    return this.#settleQuota(0);
  }

  /** Brings the quota files in line with the changed inodes from index `from` on. */
  #settleQuota(from: number): number {
    const error = this.quota?.settle(this.#changedInodes, from) ?? 0;
    this.#settled = this.#changedInodes.length;
    return error;
  }

  /** What the committed transaction freed holds nothing any more. A device that fails at this loses nothing. */
  #discardFreed(): void {
    for (const [group, bits] of this.groups.held) {
      const base = groupStart(this.geometry, group);
      const count = bits.length * 8;
      for (let bit = nextOne(bits, undefined, 0, count); bit < count; ) {
        const stop = nextZero(bits, undefined, bit, count);
        discardBlocks(this, base + bit * this.clusterBlocks, (stop - bit) * this.clusterBlocks);
        bit = nextOne(bits, undefined, stop, count);
      }
    }
  }

  /** Writes all committed blocks home and empties the journal. Must not be called with a running transaction. */
  checkpoint(): number {
    if (this.aborted) return -EIO;
    if (this.journal === undefined || this.journal.isEmpty) return 0;
    let error = this.#writeHome([...this.#pending]);
    if (error === 0) error = this.journal.markEmpty();
    if (error < 0) return this.abort(`checkpoint failed with ${error}`);
    for (const buffer of this.#pending) buffer.pending = false;
    this.#pending.clear();
    return 0;
  }

  /** Everything durable; with `home`, also written to its home and the journal empty. */
  sync(home: boolean = false): number {
    if (this.readOnly) return 0;
    if (this.aborted) return -EIO;
    let error = home ? this.#writeLazyTimes() : 0;
    const hadChanges = this.hasChanges;
    if (error === 0) error = this.commit();
    if (error === 0 && home) error = this.checkpoint();
    const flushed = hadChanges && !home && this.options.unjournaled !== true;
    if (error === 0 && !flushed) error = this.flushDevice();
    if (error === 0) error = this.protection?.refresh(this.now().sec) ?? 0;
    return error;
  }

  /** Stops all writing. Gives -EIO. */
  abort(reason: string): number {
    if (!this.aborted) {
      this.log(`${reason}; no more writes, the volume is now read-only`);
      this.journal?.recordAbort();
      this.aborted = true;
      this.readOnly = true;
    }
    return -EIO;
  }

  /**
   * Writes to a place that nothing in memory or in the journal stands for: copies of superblock and descriptors, groups that are being
   * added and are not part of the volume yet. 0 or -errno.
   */
  writeOutside(block: number, data: Uint8Array): number {
    const error = this.aborted ? -EIO : this.device.writeBlock(block * this.#unit, data);
    return error < 0 ? error : 0;
  }

  /** Writes the superblock straight home: for mount and unmount, outside any transaction. */
  writeSuperblock(): number {
    updateBlockChecksum(this, this.#withKind(this.#superblockBuffer, KIND_SUPERBLOCK));
    return this.writeBlocks(this.#superblockBuffer.block, this.#superblockBuffer.data);
  }

  #withKind(buffer: Buffer, kind: number): Buffer {
    buffer.kind = kind;
    return buffer;
  }

  /** Writes buffers to their homes, neighbours in one go, and flushes. 0 or -errno. */
  #writeHome(buffers: Buffer[]): number {
    if (buffers.length === 0) return 0;
    buffers.sort((a, b) => a.block - b.block);
    const maxRun = Math.max(1, (1 << 20) / this.blockSize);
    const staging = new Uint8Array(Math.min(maxRun, buffers.length) * this.blockSize);
    for (let i = 0; i < buffers.length; ) {
      let count = 1;
      while (i + count < buffers.length && count < maxRun && buffers[i + count].block === buffers[i].block + count)
        count++;
      let error: number;
      if (count === 1) {
        error = this.writeBlocks(buffers[i].block, buffers[i].data);
      } else {
        for (let k = 0; k < count; k++) staging.set(buffers[i + k].data, k * this.blockSize);
        error = this.writeBlocks(buffers[i].block, staging.subarray(0, count * this.blockSize));
      }
      if (error < 0) return error;
      i += count;
    }
    // An image that is being built is flushed once, by `sync`.
    return this.options.unjournaled === true ? 0 : this.flushDevice();
  }

  // ---- inodes ----

  /** The inode, the same object for the same number. -ESTALE when it is not in use, -EUCLEAN, -EIO. */
  inode(ino: number): CoreInode | number {
    return this.inodes.get(ino);
  }

  #storeInode(inode: CoreInode): void {
    const buffer = inode.buffer;
    if (buffer === null) return;
    if (
      inode.isRegular &&
      inode.size > 0x7fff_ffff &&
      !this.superblock.hasRoCompat(EXT4_FEATURE_RO_COMPAT_LARGE_FILE)
    ) {
      this.superblock.setRoCompat(EXT4_FEATURE_RO_COMPAT_LARGE_FILE, true);
      this.dirtySuperblock();
    }
    if (this.hasMetadataCsum) inode.updateChecksum();
    buffer.data.set(inode.raw, this.inodes.offsetOf(inode.ino));
    inode.dirty = false;
    inode.buffer = null;
  }

  /** Counts a user of `inode`. */
  ref(inode: CoreInode): void {
    inode.refs++;
    this.inodes.keep(inode);
  }
}
