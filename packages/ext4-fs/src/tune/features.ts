/**
 * Which features can be turned on and off on a file system that exists, and what has to happen for it. Whatever a change leaves behind
 * (blocks that are free now, directories whose index is not wanted) the repair afterwards puts right.
 */
import type { Checker } from "../check/checker.ts";
import { clearInode } from "../check/inodes-check.ts";
import { Ext4Error } from "../errors.ts";
import {
  EXT4_FEATURE_COMPAT_HAS_JOURNAL,
  EXT4_FEATURE_COMPAT_ORPHAN_FILE,
  EXT4_FEATURE_RO_COMPAT_QUOTA,
  type Feature,
  findFeature,
} from "../features.ts";
import {
  EXT4_JOURNAL_INO,
  S_CHECKSUM_SEED,
  S_DEF_HASH_VERSION,
  S_FEATURE_COMPAT,
  S_FEATURE_INCOMPAT,
  S_FEATURE_RO_COMPAT,
  S_INODE_SIZE,
  S_JNL_BACKUP_TYPE,
  S_JNL_BLOCKS,
  EXT4_ENC_UTF8_12_1,
  S_ENCODING,
  S_ENCODING_FLAGS,
  S_JOURNAL_INUM,
  S_JOURNAL_UUID,
  S_ORPHAN_FILE_INUM,
  type Superblock,
  S_USR_QUOTA_INUM,
  S_GRP_QUOTA_INUM,
  S_PRJ_QUOTA_INUM,
} from "../superblock.ts";
import { crc32c, CRC_INIT } from "../checksum/crc32c.ts";

const DX_HASH_HALF_MD4 = 1;

/** Why a change is not possible, if it is not. `wishes`: all that is to be changed with it. Changes nothing. */
type Condition = (ck: Checker, wishes: readonly Wish[]) => string | undefined;
/** Everything about a change but the feature's bit. */
type Effect = (ck: Checker) => void;

interface Row {
  readonly on?: Condition;
  readonly off?: Condition;
  readonly atOn?: Effect;
  readonly atOff?: Effect;
  /** Turned on when the volume is opened: it needs an inode with blocks. */
  readonly makes?: "journal" | "orphan file";
}

const always: Condition = () => undefined;
const needsLargeInodes: Condition = (ck) =>
  ck.sb.u16(S_INODE_SIZE) > 128 ? undefined : "inodes of 128 bytes have no room for it";
const needsJournal: Condition = (ck, wishes) => {
  const wish = wishes.find(({ feature }) => feature.name === "has_journal");
  const will = wish?.on ?? ck.sb.hasCompat(EXT4_FEATURE_COMPAT_HAS_JOURNAL);
  return will ? undefined : "it needs the feature has_journal";
};
const needsExtents: Condition = (ck) => (ck.hasExtents ? undefined : "it needs the feature extent");

const CHANGES: Readonly<Record<string, Row>> = {
  has_journal: { on: always, makes: "journal", off: always, atOff: dropJournal },
  orphan_file: { on: needsJournal, makes: "orphan file", off: always, atOff: dropOrphanFile },
  dir_index: {
    on: always,
    atOn: (ck) => {
      if (ck.sb.u8(S_DEF_HASH_VERSION) === 0) ck.sb.bytes[S_DEF_HASH_VERSION] = DX_HASH_HALF_MD4;
    },
    off: always,
  },
  ext_attr: { on: always },
  resize_inode: { off: always },
  stable_inodes: { on: always },
  fast_commit: {
    on: needsJournal,
    off: always,
  },
  large_file: { on: always },
  huge_file: { on: always },
  dir_nlink: { on: always, off: always },
  extra_isize: { on: needsLargeInodes },
  large_dir: { on: always },
  ea_inode: { on: needsLargeInodes },
  extent: { on: always },
  verity: { on: needsExtents },
  encrypt: { on: always },
  casefold: {
    on: always,
    atOn: (ck) => {
      ck.sb.setU16(S_ENCODING, EXT4_ENC_UTF8_12_1);
      ck.sb.setU16(S_ENCODING_FLAGS, 0);
    },
  },
  "read-only": { on: always, off: always },
  project: {
    on: needsLargeInodes,
    off: (ck) => (ck.sb.u32(S_PRJ_QUOTA_INUM) === 0 ? undefined : "project quotas are on"),
  },
  quota: { on: always, atOn: startQuota, off: always, atOff: dropQuota },
  uninit_bg: {
    on: (ck) => (ck.hasChecksums ? "metadata_csum does what it does" : undefined),
  },
  metadata_csum_seed: {
    on: (ck) => (ck.hasChecksums ? undefined : "it needs the feature metadata_csum"),
    atOn: (ck) => ck.sb.setU32(S_CHECKSUM_SEED, ck.seed),
    off: (ck) =>
      ck.seed === crc32c(CRC_INIT, ck.sb.uuid) ? undefined : "the UUID has changed since the checksums were made",
  },
};

/** One entry of a list of features: "name" or "^name". */
export interface Wish {
  readonly feature: Feature;
  readonly on: boolean;
}

/** @throws RangeError on a name that is none. */
export function readWish(text: string): Wish {
  const on = !text.startsWith("^");
  const feature = findFeature(on ? text : text.slice(1));
  if (feature === undefined) throw new RangeError(`"features": ${text} is no feature`);
  return { feature, on };
}

function bits(sb: Superblock, feature: Feature): number {
  const at =
    feature.set === "compat" ? S_FEATURE_COMPAT : feature.set === "incompat" ? S_FEATURE_INCOMPAT : S_FEATURE_RO_COMPAT;
  return sb.u32(at);
}

export function isOn(sb: Superblock, feature: Feature): boolean {
  return (bits(sb, feature) & feature.bit) !== 0;
}

export function setFeature(sb: Superblock, feature: Feature, on: boolean): void {
  if (feature.set === "incompat") sb.setIncompat(feature.bit, on);
  else if (feature.set === "roCompat") sb.setRoCompat(feature.bit, on);
  else sb.setU32(S_FEATURE_COMPAT, on ? bits(sb, feature) | feature.bit : bits(sb, feature) & ~feature.bit);
}

/** @throws Ext4Error when the change is not possible. */
export function requirePossible(ck: Checker, { feature, on }: Wish, wishes: readonly Wish[]): void {
  const row = CHANGES[feature.name];
  const condition = on ? row?.on : row?.off;
  const trouble =
    condition === undefined ? "that would change what is stored all over the file system" : condition(ck, wishes);
  if (trouble === undefined) return;
  const message = `${feature.name} cannot be turned ${on ? "on" : "off"} here: ${trouble}`;
  throw new Ext4Error("invalid", message, { features: [feature.name] });
}

/** Makes a possible change and sets the bit; or says what must be made on the opened volume for it. */
export function changeFeature(ck: Checker, { feature, on }: Wish): "journal" | "orphan file" | undefined {
  const row = CHANGES[feature.name];
  if (on && row.makes !== undefined) return row.makes;
  (on ? row.atOn : row.atOff)?.(ck);
  setFeature(ck.sb, feature, on);
  return undefined;
}

/** Takes an inode of the file system itself away; its blocks are found free afterwards. */
function dropInode(ck: Checker, ino: number): void {
  const inode = ino === 0 ? undefined : ck.readInode(ino);
  if (inode === undefined) return;
  clearInode(ck, inode);
  if (ino >= ck.g.firstInode) return;
  inode.raw.fill(0);
  ck.writeInode(inode);
}

/** What needs a journal goes with it. */
function dropJournal(ck: Checker): void {
  const { sb } = ck;
  if (sb.hasCompat(EXT4_FEATURE_COMPAT_ORPHAN_FILE)) dropOrphanFile(ck);
  setFeature(sb, findFeature("fast_commit") as Feature, false);
  dropInode(ck, sb.u32(S_JOURNAL_INUM) === EXT4_JOURNAL_INO ? EXT4_JOURNAL_INO : 0);
  sb.setU32(S_JOURNAL_INUM, 0);
  sb.bytes.fill(0, S_JOURNAL_UUID, S_JOURNAL_UUID + 16);
  sb.bytes[S_JNL_BACKUP_TYPE] = 0;
  sb.bytes.fill(0, S_JNL_BLOCKS, S_JNL_BLOCKS + 17 * 4);
}

function dropOrphanFile(ck: Checker): void {
  const ino = ck.sb.u32(S_ORPHAN_FILE_INUM);
  ck.sb.setU32(S_ORPHAN_FILE_INUM, 0);
  setFeature(ck.sb, findFeature("orphan_file") as Feature, false);
  dropInode(ck, ino);
}

/** User and group quotas; the repair afterwards writes the files, as it does for damaged ones. */
function startQuota(ck: Checker): void {
  ck.sb.setU32(S_USR_QUOTA_INUM, 3);
  ck.sb.setU32(S_GRP_QUOTA_INUM, 4);
}

function dropQuota(ck: Checker): void {
  const files = [S_USR_QUOTA_INUM, S_GRP_QUOTA_INUM, S_PRJ_QUOTA_INUM].map((at) => ck.sb.u32(at));
  for (const at of [S_USR_QUOTA_INUM, S_GRP_QUOTA_INUM, S_PRJ_QUOTA_INUM]) ck.sb.setU32(at, 0);
  ck.sb.setRoCompat(EXT4_FEATURE_RO_COMPAT_QUOTA, false);
  for (const ino of files) dropInode(ck, ino);
}
