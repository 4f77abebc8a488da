/**
 * Writing the journal: ordered mode.
 *
 * File data is already on its way to the device when its metadata commits. A commit writes revoke records, descriptors and
 * copies of the changed blocks to the log, waits for all of it (flush), writes the commit block, and waits again: from then
 * on the transaction survives a crash. The blocks' homes are written later, by `Volume.checkpoint`, after which the log is
 * empty and starts again at its first block; it never wraps, so old log content is always told apart by its sequence.
 */
import { EIO } from "linux-abi";
import type { Buffer } from "../buffer-cache.ts";
import type { Volume } from "../volume.ts";
import type { JournalLog } from "./log.ts";
import {
  BLOCKTYPE_COMMIT,
  BLOCKTYPE_DESCRIPTOR,
  BLOCKTYPE_REVOKE,
  COMMIT_CHKSUM,
  COMMIT_NSEC,
  COMMIT_SEC,
  commitChecksum,
  dataChecksum,
  H_BLOCKTYPE,
  H_SEQUENCE,
  HEADER_SIZE,
  JBD2_CRC32C_CHKSUM,
  JBD2_FEATURE_INCOMPAT_64BIT,
  JBD2_FEATURE_INCOMPAT_CSUM_V2,
  JBD2_FEATURE_INCOMPAT_CSUM_V3,
  JBD2_FEATURE_INCOMPAT_REVOKE,
  JBD2_FLAG_ESCAPE,
  JBD2_FLAG_LAST_TAG,
  JBD2_FLAG_SAME_UUID,
  JBD2_MAGIC,
  JS_CHECKSUM_TYPE,
  JS_ERRNO,
  JS_FEATURE_INCOMPAT,
  JS_SEQUENCE,
  JS_START,
  JS_UUID,
  type JournalFormat,
  journalFormat,
  REVOKE_COUNT,
  REVOKE_HEADER_SIZE,
  tailChecksum,
  writeTag,
} from "./layout.ts";

const MAX_TRANSACTION_BLOCKS = 4096;
const STAGING_BYTES = 1 << 20; // at least 16 blocks of any size

export class Journal {
  /** Blocks that one transaction may hold. */
  readonly maxTransactionBlocks: number;
  readonly #volume: Volume;
  readonly #log: JournalLog;
  readonly #format: JournalFormat;
  /** Log block that is written next. */
  #head: number;
  #sequence: number;
  /** Blocks with a copy in the log that replay would write. */
  readonly #logged = new Set<number>();
  // Log blocks collected for one device call.
  readonly #staging: Uint8Array;
  readonly #stagingView: DataView;
  #staged = 0;
  #stagedAt = 0;

  /** Takes over an empty log (replayed or clean). */
  constructor(volume: Volume, log: JournalLog) {
    this.#volume = volume;
    this.#log = log;
    enableFeatures(volume, log);
    this.#format = journalFormat(log.view);
    this.#head = log.first;
    this.#sequence = log.view.getUint32(JS_SEQUENCE);
    this.maxTransactionBlocks = Math.min(MAX_TRANSACTION_BLOCKS, (log.end - log.first) >> 2);
    this.#staging = new Uint8Array(STAGING_BYTES);
    this.#stagingView = new DataView(this.#staging.buffer);
  }

  /** Nothing in the log needs replay. */
  get isEmpty(): boolean {
    return this.#head === this.#log.first;
  }

  /** Blocks of the log in use. */
  get used(): number {
    return this.#head - this.#log.first;
  }

  /** Whether a replay of the log would write `block`. */
  holds(block: number): boolean {
    return this.#logged.has(block);
  }

  /** Whether another transaction of full size fits behind the head. */
  hasRoom(): boolean {
    return this.#log.end - this.#head >= this.#blocksFor(this.maxTransactionBlocks, this.maxTransactionBlocks << 3);
  }

  /** Writes one transaction and makes it durable. 0 or -errno. */
  commit(buffers: readonly Buffer[], revoked: ReadonlySet<number>): number {
    if (this.#log.end - this.#head < this.#blocksFor(buffers.length, revoked.size)) return -EIO;
    let error = 0;
    if (this.isEmpty) {
      this.#log.view.setUint32(JS_START, this.#head);
      this.#log.view.setUint32(JS_SEQUENCE, this.#sequence);
      error = this.#log.writeSuperblock();
    }
    if (error === 0) error = this.#writeRevokes(revoked);
    if (error === 0) error = this.#writeBlocks(buffers);
    if (error === 0) error = this.#flushStaging();
    if (error === 0) error = this.#volume.flushDevice();
    if (error === 0) error = this.#writeCommit();
    if (error === 0) error = this.#volume.flushDevice();
    if (error < 0) return error;
    for (const buffer of buffers) this.#logged.add(buffer.block);
    this.#sequence = (this.#sequence + 1) >>> 0;
    return 0;
  }

  /** All homes are written: the log may be used again from its start. */
  markEmpty(): number {
    this.#log.view.setUint32(JS_START, 0);
    this.#log.view.setUint32(JS_SEQUENCE, this.#sequence);
    let error = this.#log.writeSuperblock();
    if (error === 0) error = this.#volume.flushDevice();
    if (error < 0) return error;
    this.#head = this.#log.first;
    this.#logged.clear();
    return 0;
  }

  /** Leaves a note for the next mount and for e2fsck that writing stopped on an error. Best effort: the device may be gone. */
  recordAbort(): void {
    this.#log.view.setInt32(JS_ERRNO, -EIO);
    this.#log.writeSuperblock();
  }

  #blocksFor(buffers: number, revokes: number): number {
    const { tagSize, tailSize, wide } = this.#format;
    const blockSize = this.#volume.blockSize;
    const tags = Math.floor((blockSize - HEADER_SIZE - tailSize - 16) / tagSize);
    const records = Math.floor((blockSize - REVOKE_HEADER_SIZE - tailSize) / (wide ? 8 : 4));
    return buffers + Math.ceil(buffers / tags) + Math.ceil(revokes / records) + 1;
  }

  #writeRevokes(revoked: ReadonlySet<number>): number {
    if (revoked.size === 0) return 0;
    const { wide, tailSize } = this.#format;
    const limit = this.#volume.blockSize - tailSize - (wide ? 8 : 4);
    let base = -1;
    let at = 0;
    const close = (): void => {
      if (base < 0) return;
      this.#stagingView.setUint32(base + REVOKE_COUNT, at - base);
      this.#closeControlBlock(base);
    };
    for (const block of revoked) {
      if (base < 0 || at - base > limit) {
        close();
        base = this.#openControlBlock(BLOCKTYPE_REVOKE);
        if (base < 0) return base;
        at = base + REVOKE_HEADER_SIZE;
      }
      if (wide) {
        this.#stagingView.setUint32(at, Math.floor(block / 0x1_0000_0000));
        at += 4;
      }
      this.#stagingView.setUint32(at, block >>> 0);
      at += 4;
    }
    close();
    return 0;
  }

  #writeBlocks(buffers: readonly Buffer[]): number {
    const { tagSize, tailSize } = this.#format;
    const blockSize = this.#volume.blockSize;
    // A descriptor and all it describes must lie in the staging buffer together, since tags carry checksums of what follows.
    const perDescriptor = Math.min(
      Math.floor((blockSize - HEADER_SIZE - tailSize - 16) / tagSize),
      Math.floor(this.#staging.length / blockSize) - 1,
    );
    for (let i = 0; i < buffers.length; i += perDescriptor) {
      const count = Math.min(perDescriptor, buffers.length - i);
      if (this.#staged + (count + 1) * blockSize > this.#staging.length) {
        const error = this.#flushStaging();
        if (error < 0) return error;
      }
      const base = this.#openControlBlock(BLOCKTYPE_DESCRIPTOR);
      if (base < 0) return base;
      let tagAt = base + HEADER_SIZE;
      for (let k = 0; k < count; k++) {
        const copyAt = this.#reserve();
        if (copyAt < 0) return copyAt;
        tagAt = this.#logCopy(buffers[i + k], copyAt, tagAt, k === 0, k === count - 1);
      }
      this.#closeControlBlock(base);
    }
    return 0;
  }

  #logCopy(buffer: Buffer, copyAt: number, tagAt: number, isFirst: boolean, isLast: boolean): number {
    this.#staging.set(buffer.data, copyAt);
    return this.#putTag(this.#stagingView, tagAt, buffer.block, copyAt, isFirst, isLast);
  }

  /** Describes the copy staged at `copyAt`, escaping it first if it could be taken for a control block. */
  #putTag(view: DataView, tagAt: number, block: number, copyAt: number, isFirst: boolean, isLast: boolean): number {
    let flags = (isFirst ? 0 : JBD2_FLAG_SAME_UUID) | (isLast ? JBD2_FLAG_LAST_TAG : 0);
    if (this.#stagingView.getUint32(copyAt) === JBD2_MAGIC) {
      this.#stagingView.setUint32(copyAt, 0);
      flags |= JBD2_FLAG_ESCAPE;
    }
    let checksum = 0;
    if (this.#format.checksums !== 0) {
      checksum = dataChecksum(
        this.#format,
        this.#sequence,
        this.#staging.subarray(copyAt, copyAt + this.#volume.blockSize),
      );
    }
    const next = writeTag(this.#format, view, tagAt, { block, flags, checksum });
    if (!isFirst) return next;
    for (let i = 0; i < 16; i++) view.setUint8(next + i, this.#log.superblock[JS_UUID + i]);
    return next + 16;
  }

  #writeCommit(): number {
    const base = this.#openControlBlock(BLOCKTYPE_COMMIT);
    if (base < 0) return base;
    const now = this.#volume.now();
    const view = this.#stagingView;
    view.setUint32(base + COMMIT_SEC, Math.floor(now.sec / 0x1_0000_0000));
    view.setUint32(base + COMMIT_SEC + 4, now.sec >>> 0);
    view.setUint32(base + COMMIT_NSEC, now.nsec);
    if (this.#format.checksums !== 0) {
      const data = this.#staging.subarray(base, base + this.#volume.blockSize);
      view.setUint32(base + COMMIT_CHKSUM, commitChecksum(this.#format, data));
    }
    return this.#flushStaging();
  }

  #openControlBlock(type: number): number {
    const base = this.#reserve();
    if (base < 0) return base;
    this.#staging.fill(0, base, base + this.#volume.blockSize);
    this.#stagingView.setUint32(base, JBD2_MAGIC);
    this.#stagingView.setUint32(base + H_BLOCKTYPE, type);
    this.#stagingView.setUint32(base + H_SEQUENCE, this.#sequence);
    return base;
  }

  #closeControlBlock(base: number): void {
    if (this.#format.tailSize === 0) return;
    const data = this.#staging.subarray(base, base + this.#volume.blockSize);
    this.#stagingView.setUint32(base + data.length - 4, tailChecksum(this.#format, data));
  }

  /** Room for the next log block in the staging buffer: its offset, or -errno. */
  #reserve(): number {
    const blockSize = this.#volume.blockSize;
    if (this.#staged + blockSize > this.#staging.length) {
      const error = this.#flushStaging();
      if (error < 0) return error;
    }
    if (this.#staged === 0) this.#stagedAt = this.#head;
    const at = this.#staged;
    this.#staged += blockSize;
    this.#head++;
    return at;
  }

  #flushStaging(): number {
    if (this.#staged === 0) return 0;
    const error = this.#log.write(this.#stagedAt, this.#staging.subarray(0, this.#staged));
    this.#staged = 0;
    return error;
  }
}

/** Turns on what Linux would at its first mount: 64-bit tags and checksums v3 where the volume has their like, and revoke records. */
function enableFeatures(volume: Volume, log: JournalLog): void {
  if (!log.hasFeatures) return;
  let bits = log.view.getUint32(JS_FEATURE_INCOMPAT) | JBD2_FEATURE_INCOMPAT_REVOKE;
  if (volume.superblock.has64bit) bits |= JBD2_FEATURE_INCOMPAT_64BIT;
  if (volume.hasMetadataCsum) {
    bits = (bits & ~JBD2_FEATURE_INCOMPAT_CSUM_V2) | JBD2_FEATURE_INCOMPAT_CSUM_V3;
    log.view.setUint8(JS_CHECKSUM_TYPE, JBD2_CRC32C_CHKSUM);
  }
  log.view.setUint32(JS_FEATURE_INCOMPAT, bits);
}
