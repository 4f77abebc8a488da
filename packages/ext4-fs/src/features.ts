/**
 * Feature bits of the superblock: one table from which checks, names and mkfs options are derived.
 *
 * ext4's rule: an unknown *incompat* bit refuses the mount, an unknown *ro_compat* bit makes it read-only, *compat* bits
 * are ignored. `support` says what this implementation does with a bit it does know: "full" reads and writes,
 * "ro" reads only (the volume is mounted read-only), "no" refuses.
 */
export const EXT4_FEATURE_COMPAT_DIR_PREALLOC = 0x1;
export const EXT4_FEATURE_COMPAT_HAS_JOURNAL = 0x4;
export const EXT4_FEATURE_COMPAT_EXT_ATTR = 0x8;
export const EXT4_FEATURE_COMPAT_RESIZE_INODE = 0x10;
export const EXT4_FEATURE_COMPAT_DIR_INDEX = 0x20;
export const EXT4_FEATURE_COMPAT_SPARSE_SUPER2 = 0x200;
export const EXT4_FEATURE_COMPAT_FAST_COMMIT = 0x400;
export const EXT4_FEATURE_COMPAT_STABLE_INODES = 0x800;
export const EXT4_FEATURE_COMPAT_ORPHAN_FILE = 0x1000;

export const EXT4_FEATURE_RO_COMPAT_SPARSE_SUPER = 0x1;
export const EXT4_FEATURE_RO_COMPAT_LARGE_FILE = 0x2;
export const EXT4_FEATURE_RO_COMPAT_BTREE_DIR = 0x4;
export const EXT4_FEATURE_RO_COMPAT_HUGE_FILE = 0x8;
export const EXT4_FEATURE_RO_COMPAT_GDT_CSUM = 0x10;
export const EXT4_FEATURE_RO_COMPAT_DIR_NLINK = 0x20;
export const EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE = 0x40;
export const EXT4_FEATURE_RO_COMPAT_QUOTA = 0x100;
export const EXT4_FEATURE_RO_COMPAT_BIGALLOC = 0x200;
export const EXT4_FEATURE_RO_COMPAT_METADATA_CSUM = 0x400;
export const EXT4_FEATURE_RO_COMPAT_READONLY = 0x1000;
export const EXT4_FEATURE_RO_COMPAT_PROJECT = 0x2000;
export const EXT4_FEATURE_RO_COMPAT_SHARED_BLOCKS = 0x4000;
export const EXT4_FEATURE_RO_COMPAT_VERITY = 0x8000;
export const EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT = 0x10000;

export const EXT4_FEATURE_INCOMPAT_COMPRESSION = 0x1;
export const EXT4_FEATURE_INCOMPAT_FILETYPE = 0x2;
export const EXT4_FEATURE_INCOMPAT_RECOVER = 0x4;
export const EXT4_FEATURE_INCOMPAT_JOURNAL_DEV = 0x8;
export const EXT4_FEATURE_INCOMPAT_META_BG = 0x10;
export const EXT4_FEATURE_INCOMPAT_EXTENTS = 0x40;
export const EXT4_FEATURE_INCOMPAT_64BIT = 0x80;
export const EXT4_FEATURE_INCOMPAT_MMP = 0x100;
export const EXT4_FEATURE_INCOMPAT_FLEX_BG = 0x200;
export const EXT4_FEATURE_INCOMPAT_EA_INODE = 0x400;
export const EXT4_FEATURE_INCOMPAT_DIRDATA = 0x1000;
export const EXT4_FEATURE_INCOMPAT_CSUM_SEED = 0x2000;
export const EXT4_FEATURE_INCOMPAT_LARGEDIR = 0x4000;
export const EXT4_FEATURE_INCOMPAT_INLINE_DATA = 0x8000;
export const EXT4_FEATURE_INCOMPAT_ENCRYPT = 0x10000;
export const EXT4_FEATURE_INCOMPAT_CASEFOLD = 0x20000;

export type FeatureSet = "compat" | "incompat" | "roCompat";
export type FeatureSupport = "full" | "ro" | "no";

export interface Feature {
  /** As mke2fs -O and dumpe2fs spell it. */
  readonly name: string;
  readonly set: FeatureSet;
  readonly bit: number;
  readonly support: FeatureSupport;
  /** What a user should know of it; "" = nothing beyond its name. */
  readonly note: string;
}

const row = (name: string, set: FeatureSet, bit: number, support: FeatureSupport, note: string = ""): Feature => ({
  name,
  set,
  bit,
  support,
  note,
});

export const FEATURES: readonly Feature[] = /* @__PURE__ */ Object.freeze([
  row("dir_prealloc", "compat", EXT4_FEATURE_COMPAT_DIR_PREALLOC, "full", "nothing is preallocated"),
  row(
    "has_journal",
    "compat",
    EXT4_FEATURE_COMPAT_HAS_JOURNAL,
    "full",
    "data=ordered, journal, writeback; an external journal is refused by name",
  ),
  row("ext_attr", "compat", EXT4_FEATURE_COMPAT_EXT_ATTR, "full"),
  row("resize_inode", "compat", EXT4_FEATURE_COMPAT_RESIZE_INODE, "full", "kept; `ext4-fs/resize` grows into it"),
  row(
    "dir_index",
    "compat",
    EXT4_FEATURE_COMPAT_DIR_INDEX,
    "full",
    "half MD4, TEA, legacy, signed and unsigned; splits and grows",
  ),
  row("sparse_super2", "compat", EXT4_FEATURE_COMPAT_SPARSE_SUPER2, "full"),
  row(
    "fast_commit",
    "compat",
    EXT4_FEATURE_COMPAT_FAST_COMMIT,
    "full",
    "those of Linux are replayed; none are written",
  ),
  row("stable_inodes", "compat", EXT4_FEATURE_COMPAT_STABLE_INODES, "full"),
  row("orphan_file", "compat", EXT4_FEATURE_COMPAT_ORPHAN_FILE, "full"),
  row("sparse_super", "roCompat", EXT4_FEATURE_RO_COMPAT_SPARSE_SUPER, "full"),
  row("large_file", "roCompat", EXT4_FEATURE_RO_COMPAT_LARGE_FILE, "full", "set when a file passes 2 GiB"),
  row("btree_dir", "roCompat", EXT4_FEATURE_RO_COMPAT_BTREE_DIR, "full"),
  row("huge_file", "roCompat", EXT4_FEATURE_RO_COMPAT_HUGE_FILE, "full"),
  row("uninit_bg", "roCompat", EXT4_FEATURE_RO_COMPAT_GDT_CSUM, "full", "CRC-16 of the descriptors"),
  row("dir_nlink", "roCompat", EXT4_FEATURE_RO_COMPAT_DIR_NLINK, "full"),
  row("extra_isize", "roCompat", EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE, "full"),
  row(
    "quota",
    "roCompat",
    EXT4_FEATURE_RO_COMPAT_QUOTA,
    "full",
    "use is booked for users, groups, projects, in the transaction that changes it; limits with the mount options usrquota, grpquota, prjquota",
  ),
  row("bigalloc", "roCompat", EXT4_FEATURE_RO_COMPAT_BIGALLOC, "full"),
  row("metadata_csum", "roCompat", EXT4_FEATURE_RO_COMPAT_METADATA_CSUM, "full"),
  row("read-only", "roCompat", EXT4_FEATURE_RO_COMPAT_READONLY, "ro"),
  row("project", "roCompat", EXT4_FEATURE_RO_COMPAT_PROJECT, "full", "inherited; rename and link do not cross"),
  row(
    "shared_blocks",
    "roCompat",
    EXT4_FEATURE_RO_COMPAT_SHARED_BLOCKS,
    "ro",
    "what shares blocks must not be written",
  ),
  row(
    "verity",
    "roCompat",
    EXT4_FEATURE_RO_COMPAT_VERITY,
    "full",
    "sealed files are read (hashes are not verified) and removed, not written",
  ),
  row("orphan_present", "roCompat", EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT, "full"),
  row("compression", "incompat", EXT4_FEATURE_INCOMPAT_COMPRESSION, "no"),
  row("filetype", "incompat", EXT4_FEATURE_INCOMPAT_FILETYPE, "full"),
  row(
    "needs_recovery",
    "incompat",
    EXT4_FEATURE_INCOMPAT_RECOVER,
    "full",
    "the journal is replayed at mount, on a read-only device in memory",
  ),
  row("journal_dev", "incompat", EXT4_FEATURE_INCOMPAT_JOURNAL_DEV, "no"),
  row("meta_bg", "incompat", EXT4_FEATURE_INCOMPAT_META_BG, "full"),
  row("extent", "incompat", EXT4_FEATURE_INCOMPAT_EXTENTS, "full", "without it block maps, as in ext2 and ext3"),
  row("64bit", "incompat", EXT4_FEATURE_INCOMPAT_64BIT, "full"),
  row(
    "mmp",
    "incompat",
    EXT4_FEATURE_INCOMPAT_MMP,
    "full",
    "another user refuses the mount (EBUSY); a crash needs `tune2fs -f -E clear_mmp`",
  ),
  row("flex_bg", "incompat", EXT4_FEATURE_INCOMPAT_FLEX_BG, "full"),
  row(
    "ea_inode",
    "incompat",
    EXT4_FEATURE_INCOMPAT_EA_INODE,
    "full",
    "values of up to 64 KiB; not shared by us, shared ones are counted",
  ),
  row("dirdata", "incompat", EXT4_FEATURE_INCOMPAT_DIRDATA, "no"),
  row("metadata_csum_seed", "incompat", EXT4_FEATURE_INCOMPAT_CSUM_SEED, "full"),
  row("large_dir", "incompat", EXT4_FEATURE_INCOMPAT_LARGEDIR, "full", "three levels of index"),
  row(
    "inline_data",
    "incompat",
    EXT4_FEATURE_INCOMPAT_INLINE_DATA,
    "full",
    "files and directories; moved to blocks when they outgrow the inode",
  ),
  row("encrypt", "incompat", EXT4_FEATURE_INCOMPAT_ENCRYPT, "ro", "what is encrypted answers ENOKEY"),
  row(
    "casefold",
    "incompat",
    EXT4_FEATURE_INCOMPAT_CASEFOLD,
    "full",
    "chattr +F: names as Unicode 12.1 folds them, strict or not; names that are not UTF-8 are found and removed, not made",
  ),
]);

/** Names of the bits of `bits` that are set; unknown ones as "FEATURE_I18" (incompat bit 18), as e2fsprogs prints them. */
export function featureNames(set: FeatureSet, bits: number): string[] {
  const names: string[] = [];
  const letter = set === "compat" ? "C" : set === "incompat" ? "I" : "R";
  for (let i = 0; i < 32; i++) {
    const bit = (1 << i) >>> 0;
    if ((bits & bit) === 0) continue;
    const known = FEATURES.find((f) => f.set === set && f.bit === bit);
    names.push(known?.name ?? `FEATURE_${letter}${i}`);
  }
  return names;
}

/** The bits of a set that have at least this support: "ro" includes "full". */
export function supportedBits(set: FeatureSet, support: "full" | "ro"): number {
  let bits = 0;
  for (const f of FEATURES) if (f.set === set && (f.support === "full" || f.support === support)) bits |= f.bit;
  return bits >>> 0;
}

/** The feature called `name`, for mkfs options. */
export function findFeature(name: string): Feature | undefined {
  return FEATURES.find((f) => f.name === name);
}
