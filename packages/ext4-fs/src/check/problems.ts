/**
 * What a check can find: one row per problem, in the order of the passes. `{...}` in a text is filled in from the finding.
 *
 * An "error" makes the file system corrupt. "Advice" is repaired too, but neither Linux nor e2fsck minds: counters that every mount
 * recomputes, left-overs of a feature that has been turned off.
 */
export type Severity = "error" | "advice";

/**
 * Code → pass (0 superblock and descriptors, 1 inodes and blocks, 2 directories, 3 connectivity, 4 reference counts, 5 summaries),
 * text, and severity where it is not "error".
 */
export const PROBLEMS = {
  // ---- superblock, descriptors, journal ----
  "superblock-invalid": [0, "the superblock is unusable ({detail}); the copy in block {block} is taken"],
  "superblock-checksum": [0, "the superblock's checksum is wrong"],
  "superblock-extra-isize": [0, "the superblock's extra inode size is {value}, outside the inode"],
  "superblock-inodes-count": [0, "the superblock counts {value} inodes, the groups hold {expected}"],
  "superblock-first-meta-bg": [0, "first meta block group is {value}, at most {expected} is possible"],
  "superblock-reserved-gdt": [0, "{value} blocks are reserved for descriptors without resize_inode", "advice"],
  "superblock-revision": [0, "features are set, but the revision is 0"],
  "feature-conflict": [0, "features exclude each other: {detail}"],
  "device-too-small": [0, "the file system has {value} blocks, the device {expected}"],
  "descriptor-checksum": [0, "group {group}: the descriptor's checksum is wrong"],
  "descriptor-flags": [0, "group {group}: marked uninitialised without the feature for it", "advice"],
  "descriptor-unused-inodes": [0, "group {group}: {value} unused inodes are impossible"],
  "block-bitmap-place": [0, "group {group}: the block bitmap cannot be in block {block}"],
  "inode-bitmap-place": [0, "group {group}: the inode bitmap cannot be in block {block}"],
  "inode-table-place": [0, "group {group}: the inode table cannot be in block {block}"],
  "descriptors-unusable": [0, "the group descriptors are unusable; the copy in group {group} is taken"],
  "resize-inode-invalid": [0, "the resize inode does not describe the reserved descriptor blocks", "advice"],
  "resize-inode-unexpected": [0, "a resize inode without the feature resize_inode", "advice"],
  "journal-invalid": [0, "the journal is unusable: {detail}"],
  "journal-inode-restored": [0, "the journal's inode is damaged ({detail}); its copy in the superblock is taken"],
  "journal-unexpected": [0, "a journal without the feature has_journal", "advice"],
  "journal-external": [0, "the journal is on another device, which is not at hand"],
  "journal-uuid": [0, "the journal is not on another device, yet one is named"],
  "journal-error": [0, "the journal records error {value}", "advice"],
  "journal-needs-recovery": [0, "needs_recovery is set, but there is no journal"],
  "orphan-list-damaged": [0, "the list of orphans is damaged at inode {inode}"],
  "orphan-file-damaged": [0, "the orphan file is damaged: {detail}"],
  "mmp-damaged": [0, "the block of multiple-mount protection is damaged: {detail}"],
  "mmp-in-use": [0, "the file system is in use by another machine (multiple-mount protection)"],
  "read-error": [0, "block {block} cannot be read"],
  "write-error": [0, "block {block} cannot be written"],
  // ---- pass 1 ----
  "table-collision": [1, "group {group}: its {detail} in block {block} lies on other metadata"],
  "inode-checksum": [1, "inode {inode}: the checksum is wrong"],
  "inode-low-dtime": [1, "inode {inode}: left over from a list of orphans"],
  "inode-no-dtime": [1, "inode {inode}: deleted, but without a deletion time"],
  "inode-has-dtime": [1, "inode {inode}: in use, but with a deletion time"],
  "inode-casefold": [1, "inode {inode}: the casefold flag cannot be set here"],
  "inode-inline-extents": [1, "inode {inode}: both inline data and extents"],
  "inode-inline-feature": [1, "inode {inode}: inline data without the feature inline_data"],
  "inode-inline-missing": [1, "inode {inode}: inline data is flagged, but its attribute is missing or damaged"],
  "inode-extents-feature": [1, "inode {inode}: extents without the feature extent"],
  "inode-extents-unset": [1, "inode {inode}: an extent tree without the flag for it"],
  "bad-blocks-inode": [1, "the inode of bad blocks is damaged"],
  "bad-blocks-metadata": [1, "block {block} is on the list of bad blocks and holds metadata"],
  "root-not-directory": [1, "the root inode is not a directory"],
  "reserved-inode-mode": [1, "inode {inode}: a reserved inode of the wrong type"],
  "reserved-inode-in-use": [1, "inode {inode}: reserved and not needed, but in use"],
  "inode-imagic": [1, "inode {inode}: the imagic flag is set"],
  "inode-extra-size": [1, "inode {inode}: extra size {value} is impossible"],
  "inode-extra-time": [1, "inode {inode}: a time before 1970 is stored as one after 2310"],
  "xattr-in-inode": [1, "inode {inode}: damaged attributes in the inode: {detail}"],
  "xattr-block-number": [1, "inode {inode}: attribute block {block} is impossible"],
  "xattr-block": [1, "inode {inode}: damaged attributes in block {block}: {detail}"],
  "xattr-block-checksum": [1, "inode {inode}: the checksum of attribute block {block} is wrong"],
  "xattr-refcount": [1, "attribute block {block}: used {expected} times, its count says {value}"],
  "xattr-inode-flag": [1, "inode {inode}: value inode {value} lacks the flag for it"],
  "is-really-directory": [1, "inode {inode}: its type is wrong, its content is that of a directory"],
  "symlink-extents-flag": [1, "inode {inode}: a short symbolic link with the extents flag"],
  "special-extents": [1, "inode {inode}: a special file with extents or inline data"],
  "special-flags": [1, "inode {inode}: a special file or link that is immutable or append-only"],
  "special-size": [1, "inode {inode}: a special file with a size"],
  "encryption-context": [1, "inode {inode}: encrypted, but its context is missing or damaged"],
  "extent-header": [1, "inode {inode}: the header of an extent tree node is damaged (block {block})"],
  "extent-checksum": [1, "inode {inode}: the checksum of extent block {block} is wrong"],
  "extent-start": [1, "inode {inode}: an extent begins outside the file system, in block {block}"],
  "extent-end": [1, "inode {inode}: an extent at block {block} reaches beyond the file system"],
  "extent-empty": [1, "inode {inode}: an extent of no blocks"],
  "extent-order": [1, "inode {inode}: extents overlap or are out of order at {value}"],
  "extent-bounds": [1, "inode {inode}: an extent at {value} reaches out of its part of the tree"],
  "extent-index": [1, "inode {inode}: an index entry says {expected}, its node begins at {value}"],
  "extent-unwritten-directory": [1, "inode {inode}: directory blocks at {value} are marked unwritten"],
  "extent-directory-hole": [1, "inode {inode}: the directory has a hole before {value}"],
  "extent-depth": [1, "inode {inode}: an extent tree of depth {value} is deeper than Linux reads"],
  "block-illegal": [1, "inode {inode}: block number {block} lies outside the file system"],
  "block-too-big": [1, "inode {inode}: too many blocks for a file of this kind"],
  "block-cluster": [1, "inode {inode}: block {block} breaks the rules of clusters"],
  "block-metadata": [1, "inode {inode}: block {block}, needed to find others, lies on metadata"],
  "block-shared": [1, "block {block} is claimed by more than one inode"],
  "directory-no-blocks": [1, "inode {inode}: a directory without blocks"],
  "inode-size": [1, "inode {inode}: the size is {value}, should be {expected}"],
  "inode-blocks": [1, "inode {inode}: the count of 512-byte blocks is {value}, should be {expected}"],
  "inode-not-extents": [1, "inode {inode}: a block map on a file system with bigalloc"],
  "htree-flag": [1, "inode {inode}: the index flag cannot be set here"],
  "htree-root": [1, "inode {inode}: the root of the index is damaged: {detail}"],
  "large-file-feature": [1, "there are large files, but not the feature large_file"],
  "large-dir-feature": [1, "there are large directories, but not the feature large_dir"],
  // ---- pass 2 ----
  "directory-hole": [2, "directory {inode}: block {value} is missing"],
  "directory-read": [2, "directory {inode}: block {block} cannot be read"],
  "directory-checksum": [2, "directory {inode}: the checksum of block {block} is wrong"],
  "directory-no-tail": [2, "directory {inode}: block {block} has no room for a checksum"],
  "directory-corrupt": [2, "directory {inode}: block {block} is damaged at offset {value}"],
  "directory-inline-size": [2, "directory {inode}: inline data of {value} bytes is impossible"],
  "dot-missing": [2, 'directory {inode}: the first entry is not "."'],
  "dot-inode": [2, 'directory {inode}: "." points to inode {value}'],
  "dotdot-missing": [2, 'directory {inode}: the second entry is not ".."'],
  "dot-padding": [2, 'directory {inode}: "{name}" is not terminated'],
  "dot-too-long": [2, 'directory {inode}: the record of "." is too long'],
  "entry-inode": [2, 'directory {inode}: "{name}" points to impossible inode {value}'],
  "entry-dot": [2, 'directory {inode}: another "{name}"'],
  "entry-links-here": [2, 'directory {inode}: "{name}" points to the directory itself'],
  "entry-links-root": [2, 'directory {inode}: "{name}" points to the root'],
  "entry-empty-name": [2, "directory {inode}: an entry without a name"],
  "entry-deleted-inode": [2, 'directory {inode}: "{name}" points to inode {value}, which is not in use'],
  "entry-unused-inode": [2, 'directory {inode}: "{name}" points to inode {value} in a part of the table marked unused'],
  "entry-bad-name": [2, 'directory {inode}: the name "{name}" has illegal characters'],
  "entry-file-type": [2, 'directory {inode}: "{name}" has file type {value}, should be {expected}'],
  "entry-duplicate": [2, 'directory {inode}: two entries "{name}"'],
  "entry-second-parent": [2, 'directory {inode}: "{name}" is another link to directory {value}'],
  "entry-encryption": [2, 'directory {inode}: encrypted entry "{name}": {detail}'],
  "inode-mode": [2, "inode {inode}: type {value} is impossible"],
  "inode-symlink": [2, "inode {inode}: the symbolic link is damaged"],
  "inode-device": [2, "inode {inode}: the device, pipe or socket is damaged"],
  "inode-field": [2, "inode {inode}: {detail} should be zero"],
  "htree-node-checksum": [2, "directory {inode}: the checksum of index block {value} is wrong"],
  "htree-damaged": [2, "directory {inode}: the index is damaged: {detail}"],
  // ---- pass 3 ----
  "root-missing": [3, "there is no root directory"],
  "lost-found-missing": [3, "there is no lost+found", "advice"],
  "lost-found-unusable": [3, "/lost+found cannot be used"],
  "directory-unconnected": [3, "directory {inode} is not connected to the root"],
  "directory-loop": [3, "directory {inode} is its own ancestor"],
  "dotdot-wrong": [3, 'directory {inode}: ".." is {value}, should be {expected}'],
  "dir-nlink-feature": [3, "a directory has more links than can be counted, but the feature dir_nlink is not set"],
  // ---- pass 4 ----
  "inode-unattached": [4, "inode {inode} is in no directory"],
  "inode-links": [4, "inode {inode}: the link count is {value}, should be {expected}"],
  "xattr-inode-refcount": [4, "inode {inode}: the count of references to its value is {value}, should be {expected}"],
  // ---- pass 5 ----
  "block-bitmap": [5, "group {group}: the block bitmap is wrong, first at block {block}"],
  "block-bitmap-checksum": [5, "group {group}: the checksum of the block bitmap is wrong"],
  "block-bitmap-padding": [5, "group {group}: the end of the block bitmap is not padded"],
  "block-uninit": [5, "group {group}: marked as without blocks in use, but block {block} is"],
  "inode-bitmap": [5, "group {group}: the inode bitmap is wrong, first at inode {inode}"],
  "inode-bitmap-checksum": [5, "group {group}: the checksum of the inode bitmap is wrong"],
  "inode-bitmap-padding": [5, "group {group}: the end of the inode bitmap is not padded"],
  "group-free-blocks": [5, "group {group}: {value} free blocks are counted, there are {expected}"],
  "group-free-inodes": [5, "group {group}: {value} free inodes are counted, there are {expected}"],
  "group-directories": [5, "group {group}: {value} directories are counted, there are {expected}"],
  "free-blocks": [5, "{value} free blocks are counted, there are {expected}", "advice"],
  "free-inodes": [5, "{value} free inodes are counted, there are {expected}", "advice"],
  "quota-file": [5, "the {detail} quota file is damaged"],
  "quota-usage": [5, "{detail} quota: usage of id {value} is wrong"],
} as const;

export type ProblemCode = keyof typeof PROBLEMS;

/** What goes into the text of a problem. */
export interface ProblemDetail {
  readonly inode?: number;
  readonly block?: number;
  readonly group?: number;
  readonly value?: number;
  readonly expected?: number;
  readonly name?: string;
  readonly detail?: string;
}

/** One finding. */
export interface Problem {
  readonly code: ProblemCode;
  readonly severity: Severity;
  /** The pass that found it, 0 to 5. */
  readonly pass: number;
  /** In words. */
  readonly message: string;
  readonly inode: number | undefined;
  readonly block: number | undefined;
  readonly group: number | undefined;
  /** Repaired on the medium. */
  readonly fixed: boolean;
}

export function severityOf(code: ProblemCode): Severity {
  return PROBLEMS[code].length === 3 ? "advice" : "error";
}

export function describeProblem(code: ProblemCode, detail: ProblemDetail, fixed: boolean): Problem {
  const [pass, text] = PROBLEMS[code];
  const severity = severityOf(code);
  const message = text.replace(/\{(\w+)\}/g, (_: string, key: keyof ProblemDetail) => String(detail[key] ?? "?"));
  return { code, severity, pass, message, inode: detail.inode, block: detail.block, group: detail.group, fixed };
}
