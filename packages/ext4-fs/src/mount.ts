/**
 * Opening and closing a volume.
 *
 * Open: superblock → features → geometry → group descriptors → journal replay → (again, from what replay wrote) →
 * journal ready, needs_recovery set, orphans of the last crash cleaned up. On a read-only device a dirty journal is replayed
 * into an overlay in memory, so that what is read is consistent. Close: everything home, journal empty, flag cleared.
 */
import { type BlockDevice, GatherDisk, OverlayDisk } from "blockdev-disk";
import { EROFS } from "linux-abi";
import { Ext4Error } from "./errors.ts";
import {
  EXT4_FEATURE_COMPAT_HAS_JOURNAL,
  EXT4_FEATURE_INCOMPAT_EXTENTS,
  EXT4_FEATURE_INCOMPAT_CASEFOLD,
  EXT4_FEATURE_INCOMPAT_RECOVER,
  EXT4_FEATURE_RO_COMPAT_BIGALLOC,
  EXT4_FEATURE_RO_COMPAT_GDT_CSUM,
  EXT4_FEATURE_RO_COMPAT_METADATA_CSUM,
  featureNames,
  supportedBits,
} from "./features.ts";
import { readGeometry } from "./geometry.ts";
import type { FastRecord } from "./journal/fast-commit.ts";
import { replayFastCommits } from "./journal/fast-commit-replay.ts";
import { Journal } from "./journal/journal.ts";
import { JS_ERRNO } from "./journal/layout.ts";
import { type JournalLog, openLog } from "./journal/log.ts";
import { replayJournal } from "./journal/recovery.ts";
import { openProtection } from "./mmp.ts";
import { closeOrphanFile, deleteInode, openOrphanFile, processOrphans } from "./orphan.ts";
import {
  EXT4_ENC_UTF8_12_1,
  EXT4_ERROR_FS,
  EXT4_ROOT_INO,
  EXT4_SUPER_MAGIC,
  EXT4_VALID_FS,
  S_ENCODING,
  S_FEATURE_INCOMPAT,
  S_FEATURE_RO_COMPAT,
  S_LOG_BLOCK_SIZE,
  S_MAGIC,
  S_MNT_COUNT,
  S_MTIME,
  S_STATE,
  S_WTIME,
  Superblock,
  SUPERBLOCK_OFFSET,
  SUPERBLOCK_SIZE,
} from "./superblock.ts";
import { openQuota } from "./quota/quota.ts";
import { readSystemZone } from "./system-zone.ts";
import { Volume, type VolumeOptions } from "./volume.ts";

/** Opens the ext4 volume that begins at the device's first byte. */
export function openVolume(medium: BlockDevice, options: VolumeOptions = {}): Volume | Ext4Error {
  // Who builds an image writes its files one behind the other.
  const device = options.unjournaled === true && !medium.readOnly ? new GatherDisk(medium) : medium;
  let volume = prepareVolume(device, options);
  if (volume instanceof Ext4Error) return volume;
  const refused = volume.readOnly ? undefined : protect(volume);
  if (refused !== undefined) return refused;
  let log: JournalLog | undefined;
  if (volume.superblock.hasCompat(EXT4_FEATURE_COMPAT_HAS_JOURNAL)) {
    if (volume.superblock.hasIncompat(EXT4_FEATURE_INCOMPAT_RECOVER)) {
      const { protection } = volume;
      const replayed = recover(volume);
      if (replayed instanceof Ext4Error) return replayed;
      volume = replayed;
      volume.protection = protection;
    }
    if (options.unjournaled !== true) {
      const opened = openLog(volume, volume.readOnly); // Linux wants a journal for reading too
      if (opened instanceof Ext4Error) return opened;
      log = opened;
    }
  } else if (volume.superblock.hasIncompat(EXT4_FEATURE_INCOMPAT_RECOVER)) {
    return new Ext4Error("corrupt", "needs_recovery is set but there is no journal");
  }
  const bad = volume.groups.check();
  if (bad !== undefined) return bad;
  const zone = readSystemZone(volume.superblock, volume.geometry, volume.groups.descriptors);
  if (zone instanceof Ext4Error) return zone;
  volume.inodes.zone = zone;
  const root = volume.inode(EXT4_ROOT_INO);
  if (typeof root === "number" || !root.isDirectory || root.links === 0) {
    return new Ext4Error("corrupt", "the root inode is not a directory", { inode: EXT4_ROOT_INO });
  }
  if (!volume.readOnly) {
    const error = startWriting(volume, log);
    if (error !== undefined) return error;
  }
  return volume;
}

/** Before anything is written, replay included: nobody else may have the volume. */
function protect(volume: Volume): Ext4Error | undefined {
  const protection = openProtection(volume);
  if (protection instanceof Ext4Error) return protection;
  const error = protection?.take() ?? 0;
  if (error < 0) return new Ext4Error("io", "cannot write the multiple mount protection", { errno: -error });
  volume.protection = protection;
  return undefined;
}

/** Everything up to the group descriptors, without looking at journal or root. */
export function prepareVolume(device: BlockDevice, options: VolumeOptions): Volume | Ext4Error {
  const block = readSuperblock(device);
  if (block instanceof Ext4Error) return block;
  const { superblock: sb, bytes } = block;
  const readOnly = checkFeatures(sb, options);
  if (readOnly instanceof Ext4Error) return readOnly;
  const geometry = readGeometry(sb, device.size);
  if (geometry instanceof Ext4Error) return geometry;
  if (geometry.blockSize % device.blockSize !== 0) {
    return new Ext4Error(
      "invalid",
      `blocks of ${geometry.blockSize} bytes on a device with blocks of ${device.blockSize}`,
    );
  }
  const volume = new Volume(device, geometry, bytes, readOnly ? { ...options, readOnly } : options);
  return volume.groups.load() ?? volume;
}

function readSuperblock(device: BlockDevice): { superblock: Superblock; bytes: Uint8Array } | Ext4Error {
  const probe = new Uint8Array(Math.max(device.blockSize, 4096));
  if (device.size < probe.length) return new Ext4Error("invalid", "the device is too small for a file system");
  let error = device.readBlock(0, probe);
  if (error < 0) return new Ext4Error("io", "cannot read the superblock", { errno: -error });
  const first = new Superblock(probe.subarray(SUPERBLOCK_OFFSET, SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE));
  if (first.u16(S_MAGIC) !== EXT4_SUPER_MAGIC)
    return new Ext4Error("invalid", "not an ext4 file system (bad magic number)");
  if (first.u32(S_LOG_BLOCK_SIZE) > 6)
    return new Ext4Error("corrupt", `superblock: block size 2^${10 + first.u32(S_LOG_BLOCK_SIZE)}`);
  const both = featureNames(
    "roCompat",
    first.u32(S_FEATURE_RO_COMPAT) & (EXT4_FEATURE_RO_COMPAT_METADATA_CSUM | EXT4_FEATURE_RO_COMPAT_GDT_CSUM),
  );
  if (both.length === 2) return new Ext4Error("corrupt", "superblock: metadata_csum and uninit_bg exclude each other");
  if (!first.checksumIsValid()) return new Ext4Error("corrupt", "superblock checksum is wrong", { block: 0 });
  // Keep the whole block that holds the superblock: it is logged and written as a block.
  const blockSize = first.blockSize;
  const at = blockSize === 1024 ? SUPERBLOCK_OFFSET : 0;
  const bytes = new Uint8Array(blockSize);
  const around = new Uint8Array(Math.ceil((at + blockSize) / device.blockSize) * device.blockSize);
  if (around.length > device.size) return new Ext4Error("invalid", "the device is too small for a file system");
  error = device.readBlock(0, around);
  if (error < 0) return new Ext4Error("io", "cannot read the superblock", { errno: -error });
  bytes.set(around.subarray(at, at + blockSize));
  return { superblock: first, bytes };
}

/** Whether the volume may only be read; or which features refuse it. */
function checkFeatures(sb: Superblock, options: VolumeOptions): boolean | Ext4Error {
  const refused = (sb.u32(S_FEATURE_INCOMPAT) & ~supportedBits("incompat", "ro")) >>> 0;
  if (refused !== 0) {
    const features = featureNames("incompat", refused);
    return new Ext4Error("incompatible", `unsupported features: ${features.join(", ")}`, { features });
  }
  const extents = sb.hasIncompat(EXT4_FEATURE_INCOMPAT_EXTENTS);
  if (sb.hasRoCompat(EXT4_FEATURE_RO_COMPAT_BIGALLOC) && !extents) {
    return new Ext4Error("incompatible", "bigalloc needs the extent feature", { features: ["bigalloc"] });
  }
  // As in Linux: what names mean there is not known, not even to a reader.
  const encoding = sb.u16(S_ENCODING);
  if (sb.hasIncompat(EXT4_FEATURE_INCOMPAT_CASEFOLD) && encoding !== EXT4_ENC_UTF8_12_1) {
    return new Ext4Error("incompatible", `casefold with the unknown encoding ${encoding}`, { features: ["casefold"] });
  }
  const readOnlyBits = (sb.u32(S_FEATURE_RO_COMPAT) & ~supportedBits("roCompat", "full")) >>> 0;
  const readOnlyIncompat = (sb.u32(S_FEATURE_INCOMPAT) & ~supportedBits("incompat", "full")) >>> 0;
  if (readOnlyBits === 0 && readOnlyIncompat === 0) return false;
  if (options.readOnly !== true) {
    const names = [...featureNames("incompat", readOnlyIncompat), ...featureNames("roCompat", readOnlyBits)];
    options.log?.(`ext4: mounted read-only because of ${names.join(", ")}`);
  }
  return true;
}

/** Replays the journal and gives the volume as it is afterwards. */
function recover(volume: Volume): Volume | Ext4Error {
  const wantsReadOnly = volume.readOnly;
  const { readOnly: _requested, ...rest } = volume.options;
  const device: BlockDevice = wantsReadOnly ? new OverlayDisk(volume.device) : volume.device;
  const writable = prepareForReplay(device, rest);
  if (writable instanceof Ext4Error) return writable;
  const log = openLog(writable);
  if (log instanceof Ext4Error) return log;
  const replay = replayJournal(log, (records) => applyFastCommits(device, rest, records));
  if (replay instanceof Ext4Error) return replay;
  if (replay.transactions > 0)
    writable.log(`journal: replayed ${replay.transactions} transactions, ${replay.blocks} blocks`);
  if (replay.fastRecords > 0) writable.log(`journal: replayed ${replay.fastRecords} records of fast commits`);
  const failed = log.view.getInt32(JS_ERRNO) !== 0;
  if (failed) {
    log.view.setInt32(JS_ERRNO, 0);
    log.writeSuperblock();
  }
  const again = prepareForReplay(device, rest);
  if (again instanceof Ext4Error) return again;
  again.superblock.setIncompat(EXT4_FEATURE_INCOMPAT_RECOVER, false);
  if (failed) again.superblock.setU16(S_STATE, again.superblock.u16(S_STATE) | EXT4_ERROR_FS);
  if (!wantsReadOnly) {
    let error = again.writeSuperblock();
    if (error === 0) error = again.flushDevice();
    if (error < 0) return new Ext4Error("io", "cannot write the superblock", { errno: -error });
  }
  again.readOnly = wantsReadOnly;
  return again;
}

/** Fast commits change what the replayed transactions left: on a volume opened anew. */
function applyFastCommits(
  device: BlockDevice,
  options: VolumeOptions,
  records: readonly FastRecord[],
): Ext4Error | undefined {
  const volume = prepareForReplay(device, options);
  if (volume instanceof Ext4Error) return volume;
  const bad = volume.groups.check();
  if (bad !== undefined) return bad;
  recount(volume);
  const quota = openQuota(volume, []);
  volume.quota = typeof quota === "number" ? undefined : quota;
  const error = replayFastCommits(volume, records);
  return error < 0
    ? new Ext4Error("corrupt", "journal: fast commits cannot be replayed", { errno: -error })
    : undefined;
}

/** The journal must be replayed even on volumes that features make read-only. */
function prepareForReplay(device: BlockDevice, options: VolumeOptions): Volume | Ext4Error {
  const volume = prepareVolume(device, options);
  if (volume instanceof Volume) volume.readOnly = false;
  return volume;
}

function startWriting(volume: Volume, log: JournalLog | undefined): Ext4Error | undefined {
  const sb = volume.superblock;
  const now = volume.now();
  volume.time.sec = now.sec;
  volume.time.nsec = now.nsec;
  volume.nextGeneration = ((now.sec ^ Math.imul(now.nsec, 2654435761)) >>> 0) | 1;
  if (log !== undefined) {
    const replayed = replayJournal(log, () => undefined); // empty here; sets the sequence as a mount does
    if (replayed instanceof Ext4Error) return replayed;
    volume.journal = new Journal(volume, log);
    sb.setIncompat(EXT4_FEATURE_INCOMPAT_RECOVER, true);
  } else {
    sb.setU16(S_STATE, sb.u16(S_STATE) & ~EXT4_VALID_FS);
  }
  sb.setU16(S_MNT_COUNT, sb.u16(S_MNT_COUNT) + 1);
  sb.setU32(S_MTIME, now.sec >>> 0);
  sb.setU32(S_WTIME, now.sec >>> 0);
  openOrphanFile(volume);
  let error = volume.writeSuperblock();
  if (error === 0) error = volume.flushDevice();
  if (error < 0) return new Ext4Error("io", "cannot write the superblock", { errno: -error });
  recount(volume);
  const quota = openQuota(volume, volume.options.quotaLimits ?? []);
  if (typeof quota === "number") return new Ext4Error("corrupt", "the quota files cannot be used", { errno: -quota });
  volume.quota = quota;
  error = processOrphans(volume);
  return error < 0
    ? new Ext4Error(error === -EROFS ? "io" : "corrupt", "cannot clean up the orphans of the last crash", {
        errno: -error,
      })
    : undefined;
}

/** The descriptors' counts are the truth; the superblock's sums may lag behind after a crash. */
function recount(volume: Volume): void {
  let blocks = 0;
  let inodes = 0;
  for (const gd of volume.groups.descriptors) {
    blocks += gd.freeBlocks * volume.clusterBlocks;
    inodes += gd.freeInodes;
  }
  volume.freeBlocks = blocks;
  volume.freeInodes = inodes;
}

/** Writes everything home and marks the volume clean. 0 or -errno; the volume is unusable afterwards either way. Idempotent. */
export function closeVolume(volume: Volume): number {
  if (!volume.mounted) return 0;
  const freed = volume.readOnly ? 0 : freeOrphans(volume);
  const error = freed < 0 || volume.readOnly ? freed : stopWriting(volume);
  volume.mounted = false;
  volume.readOnly = true;
  return error;
}

/** Nobody can use an inode any more: those without names go. */
function freeOrphans(volume: Volume): number {
  for (const inode of volume.inodes.nameless()) {
    const error = deleteInode(volume, inode);
    if (error < 0) return error;
  }
  return 0;
}

/** Turns a writable volume into a clean read-only one. */
export function stopWriting(volume: Volume): number {
  const error = volume.sync(true);
  if (error < 0) return error;
  const sb = volume.superblock;
  closeOrphanFile(volume);
  sb.setIncompat(EXT4_FEATURE_INCOMPAT_RECOVER, false);
  if (volume.journal === undefined && (sb.u16(S_STATE) & EXT4_ERROR_FS) === 0)
    sb.setU16(S_STATE, sb.u16(S_STATE) | EXT4_VALID_FS);
  let failed = volume.writeSuperblock();
  if (failed === 0) failed = volume.flushDevice();
  if (failed === 0) failed = volume.protection?.release() ?? 0;
  volume.protection = undefined;
  volume.quota = undefined;
  return failed;
}

/** Remounts: read-only leaves the medium clean; back to writing starts the journal again. 0 or -errno. */
export function setReadOnly(volume: Volume, readOnly: boolean): number {
  if (readOnly === volume.readOnly) return 0;
  if (readOnly) {
    const error = stopWriting(volume);
    if (error === 0) volume.readOnly = true;
    return error;
  }
  if (volume.device.readOnly || volume.aborted || checkFeatures(volume.superblock, volume.options) !== false)
    return -EROFS;
  volume.readOnly = false;
  const refused = protect(volume);
  if (refused !== undefined) {
    volume.readOnly = true;
    return -refused.errno;
  }
  const journaled = volume.superblock.hasCompat(EXT4_FEATURE_COMPAT_HAS_JOURNAL) && volume.options.unjournaled !== true;
  const log = journaled ? openLog(volume) : undefined;
  const failure = log instanceof Ext4Error ? log : startWriting(volume, log);
  if (failure === undefined) return 0;
  volume.readOnly = true;
  return -failure.errno;
}
