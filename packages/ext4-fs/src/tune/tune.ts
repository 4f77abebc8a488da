/**
 * Changing the parameters of a file system that is not mounted: what tune2fs and e2label do.
 *
 * Simple fields are written with the superblock. Features go through features.ts, and a repair afterwards. The UUID is part of every
 * metadata checksum: where there are any, the seed made from the old one is kept in the superblock (metadata_csum_seed), so that nothing
 * else has to be written.
 */
import type { BlockDevice } from "blockdev-disk";
import { check } from "../check/check.ts";
import { Checker, Findings } from "../check/checker.ts";
import { writeCopies } from "../check/copies.ts";
import { checkDescriptors } from "../check/descriptors-check.ts";
import { locateSuperblock } from "../check/superblock-check.ts";
import { Ext4Error } from "../errors.ts";
import {
  EXT4_FEATURE_COMPAT_HAS_JOURNAL,
  EXT4_FEATURE_COMPAT_ORPHAN_FILE,
  EXT4_FEATURE_INCOMPAT_CSUM_SEED,
  EXT4_FEATURE_INCOMPAT_RECOVER,
} from "../features.ts";
import { makeJournal, makeOrphanFile } from "../mkfs/reserved.ts";
import { closeVolume, openVolume } from "../mount.ts";
import {
  EXT4_DEFM_ACL,
  EXT4_DEFM_XATTR_USER,
  EXT4_ERRORS_CONTINUE,
  EXT4_ERRORS_PANIC,
  EXT4_ERRORS_RO,
  EXT4_ROOT_INO,
  S_CHECKINTERVAL,
  S_CHECKSUM_SEED,
  S_DEFAULT_MOUNT_OPTS,
  S_ERRORS,
  S_FEATURE_COMPAT,
  S_LASTCHECK,
  S_MAX_MNT_COUNT,
  S_MNT_COUNT,
  S_R_BLOCKS_COUNT_HI,
  S_R_BLOCKS_COUNT_LO,
  S_UUID,
  S_VOLUME_NAME,
} from "../superblock.ts";
import type { Time, Volume } from "../volume.ts";
import { changeFeature, isOn, readWish, requirePossible } from "./features.ts";

export interface TuneOptions {
  /** Volume name, at most 16 bytes of UTF-8. (-L) */
  readonly label?: string;
  /** 8-4-4-4-12 hexadecimal digits. (-U) */
  readonly uuid?: string;
  /** Features to turn on, or with a leading ^ off. (-O) */
  readonly features?: readonly string[];
  /** Mounts so far. (-C) */
  readonly mountCount?: number;
  /** Mounts after which a check is due; -1 or 0 = never. (-c) */
  readonly maxMountCount?: number;
  /** Seconds after which a check is due; 0 = never. (-i) */
  readonly checkInterval?: number;
  /** When the last check was, in seconds. (-T) */
  readonly lastCheck?: number;
  /** Blocks that only the superuser may fill, at most half of all. (-r) */
  readonly reservedBlocks?: number;
  /** The same in percent, 0 to 50. (-m) */
  readonly reservedPercent?: number;
  /** What Linux does on finding an error. (-e) */
  readonly errors?: "continue" | "remount-ro" | "panic";
  /** Mount options to take as given, or with a leading ^ not: "acl", "user_xattr". (-o) */
  readonly mountOptions?: readonly string[];
  /** Blocks of a new journal; default as mke2fs chooses, at least 1024. (-J size) */
  readonly journalBlocks?: number;
  /** Clock. Default: always 0. */
  readonly now?: () => Time;
}

const ERRORS: Readonly<Record<string, number>> = {
  continue: EXT4_ERRORS_CONTINUE,
  "remount-ro": EXT4_ERRORS_RO,
  panic: EXT4_ERRORS_PANIC,
};
const MOUNT_OPTIONS: Readonly<Record<string, number>> = { acl: EXT4_DEFM_ACL, user_xattr: EXT4_DEFM_XATTR_USER };

/**
 * Changes what `options` name on the file system on `device`, which must not be mounted.
 * @throws TypeError, RangeError on bad options; Ext4Error when a change is not possible, the file system is not clean, or the device fails.
 */
export function tune(device: BlockDevice, options: TuneOptions): void {
  const ck = open(device, options);
  const wishes = (options.features ?? []).map(readWish).filter(({ feature, on }) => isOn(ck.sb, feature) !== on);
  for (const wish of wishes) requirePossible(ck, wish, wishes);
  setFields(ck, options);
  if (options.uuid !== undefined) setUuid(ck, parseUuid(options.uuid));
  if (wishes.length > 0) requireClean(device);
  const toMake = wishes.map((wish) => changeFeature(ck, wish));
  store(ck);
  for (const what of ["journal", "orphan file"] as const) if (toMake.includes(what)) make(device, what, options);
  if (wishes.length > 0) settle(device, options);
}

function open(device: BlockDevice, options: TuneOptions): Checker {
  const located = locateSuperblock(device, new Findings(0), false);
  if (typeof located === "string") throw new Ext4Error("corrupt", located);
  if (located.dirty) throw new Ext4Error("corrupt", "the superblock is damaged: check the file system first");
  if (located.sb.hasIncompat(EXT4_FEATURE_INCOMPAT_RECOVER))
    throw new Ext4Error(
      "invalid",
      "the journal must be replayed first: check the file system, or mount and unmount it",
    );
  const now = Math.max(0, options.now?.().sec ?? 0);
  const ck = new Checker(device, located.sb, located.g, new Findings(0), { repair: true, now });
  checkDescriptors(ck);
  if (ck.findings.errors > 0)
    throw new Ext4Error("corrupt", "the descriptors are damaged: check the file system first");
  return ck;
}

function requireClean(device: BlockDevice): void {
  const report = check(device);
  if (report.verdict === "clean") return;
  const what = report.reason ?? report.problems.find((problem) => problem.severity === "error")?.message;
  throw new Ext4Error("corrupt", `the file system must be clean before its features are changed (check it): ${what}`);
}

/** Puts right what a change of features has left behind. */
function settle(device: BlockDevice, options: TuneOptions): void {
  const report = check(device, { repair: true, ...(options.now && { now: options.now }) });
  if (report.verdict !== "clean")
    throw new Ext4Error("io", `the change could not be finished: ${report.problems.at(-1)?.message}`);
  const ck = open(device, options);
  store(ck);
}

/** Superblock, descriptors and their copies. */
function store(ck: Checker): void {
  ck.superblockDirty = true;
  ck.descriptorsDirty = true;
  // The features may have changed the kind of checksum: a new view on the same bytes.
  const next = new Checker(ck.device, ck.sb, ck.g, ck.findings, { repair: true, now: ck.now });
  next.descriptorBytes.set(ck.descriptorBytes);
  next.superblockDirty = true;
  next.descriptorsDirty = true;
  next.writeSummary();
  writeCopies(next);
  if (ck.stuck || next.stuck || ck.device.flush() < 0)
    throw new Ext4Error("io", "the device failed while it was changed");
}

function integer(name: string, value: number, least: number, most: number): number {
  if (!Number.isInteger(value) || value < least || value > most)
    throw new RangeError(`"${name}" expected integer ${least} to ${most}, got ${value}`);
  return value;
}

function setFields(ck: Checker, options: TuneOptions): void {
  const { sb } = ck;
  if (options.label !== undefined) {
    const bytes = new TextEncoder().encode(options.label);
    if (bytes.length > 16) throw new RangeError(`"label" expected at most 16 bytes, got ${bytes.length}`);
    sb.bytes.fill(0, S_VOLUME_NAME, S_VOLUME_NAME + 16);
    sb.bytes.set(bytes, S_VOLUME_NAME);
  }
  if (options.mountCount !== undefined) sb.setU16(S_MNT_COUNT, integer("mountCount", options.mountCount, 0, 0xffff));
  if (options.maxMountCount !== undefined)
    sb.setU16(S_MAX_MNT_COUNT, integer("maxMountCount", options.maxMountCount, -1, 0x7fff) & 0xffff);
  if (options.checkInterval !== undefined)
    sb.setU32(S_CHECKINTERVAL, integer("checkInterval", options.checkInterval, 0, 0xffffffff));
  if (options.lastCheck !== undefined) sb.setU32(S_LASTCHECK, integer("lastCheck", options.lastCheck, 0, 0xffffffff));
  const half = Math.floor(ck.g.blocksCount / 2);
  if (options.reservedPercent !== undefined) {
    const percent = options.reservedPercent;
    if (!(percent >= 0 && percent <= 50)) throw new RangeError(`"reservedPercent" expected 0 to 50, got ${percent}`);
    sb.setSplit(S_R_BLOCKS_COUNT_LO, S_R_BLOCKS_COUNT_HI, Math.floor((ck.g.blocksCount * percent) / 100));
  }
  if (options.reservedBlocks !== undefined) {
    const blocks = integer("reservedBlocks", options.reservedBlocks, 0, half);
    sb.setSplit(S_R_BLOCKS_COUNT_LO, S_R_BLOCKS_COUNT_HI, blocks);
  }
  if (options.errors !== undefined) {
    const value = ERRORS[options.errors];
    if (value === undefined)
      throw new TypeError(`"errors" expected continue, remount-ro or panic, got ${options.errors}`);
    sb.setU16(S_ERRORS, value);
  }
  for (const word of options.mountOptions ?? []) {
    const bit = MOUNT_OPTIONS[word.replace(/^\^/, "")];
    if (bit === undefined) throw new RangeError(`"mountOptions": ${word} is not known`);
    const old = sb.u32(S_DEFAULT_MOUNT_OPTS);
    sb.setU32(S_DEFAULT_MOUNT_OPTS, word.startsWith("^") ? old & ~bit : old | bit);
  }
}

function parseUuid(text: string): Uint8Array {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text))
    throw new RangeError(`"uuid" expected 8-4-4-4-12 hexadecimal digits, got ${text}`);
  const digits = text.replaceAll("-", "");
  return Uint8Array.from({ length: 16 }, (_, i) => Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16));
}

function setUuid(ck: Checker, uuid: Uint8Array): void {
  const { sb } = ck;
  if (ck.hasChecksums && !sb.hasIncompat(EXT4_FEATURE_INCOMPAT_CSUM_SEED)) {
    sb.setU32(S_CHECKSUM_SEED, ck.seed);
    sb.setIncompat(EXT4_FEATURE_INCOMPAT_CSUM_SEED, true);
  }
  sb.bytes.set(uuid, S_UUID);
  ck.descriptorsDirty = true; // with uninit_bg the UUID is in their checksums
}

/** A journal or an orphan file is made as mkfs makes them, on the opened volume. */
function make(device: BlockDevice, what: "journal" | "orphan file", options: TuneOptions): void {
  const volume = openVolume(device, { unjournaled: true, ...(options.now && { now: options.now }) });
  if (volume instanceof Ext4Error) throw volume;
  const started = volume.begin();
  const made =
    started < 0 ? started : volume.end(what === "journal" ? addJournal(volume, options) : addOrphanFile(volume));
  const closed = closeVolume(volume);
  if (made < 0)
    throw new Ext4Error("invalid", `there is no room for ${what === "journal" ? "a journal" : "an orphan file"}`);
  if (closed < 0) throw new Ext4Error("io", "the device failed while it was changed", { errno: -closed });
  const located = locateSuperblock(device, new Findings(0), false);
  if (typeof located === "string") throw new Ext4Error("corrupt", located);
  const { sb } = located;
  const bit = what === "journal" ? EXT4_FEATURE_COMPAT_HAS_JOURNAL : EXT4_FEATURE_COMPAT_ORPHAN_FILE;
  sb.setU32(S_FEATURE_COMPAT, sb.u32(S_FEATURE_COMPAT) | bit);
  new Checker(device, sb, located.g, new Findings(0), { repair: true, now: 0 }).writeSuperblock();
}

function addJournal(volume: Volume, options: TuneOptions): number {
  const blocks = volume.geometry.blocksCount;
  // As ext2fs_default_journal_size, for volumes up to 128 GiB of 4 KiB blocks.
  const usual =
    blocks < 32768 ? 1024 : blocks < 262144 ? 4096 : blocks < 524288 ? 8192 : blocks < 4194304 ? 16384 : 32768;
  const wanted = options.journalBlocks ?? usual;
  integer("journalBlocks", wanted, 1024, Math.floor(blocks / 2));
  return makeJournal(volume, wanted, 0, false);
}

function addOrphanFile(volume: Volume): number {
  const root = volume.inode(EXT4_ROOT_INO);
  return typeof root === "number" ? root : makeOrphanFile(volume, root);
}
