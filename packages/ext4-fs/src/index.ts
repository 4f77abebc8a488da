/**
 * ext4: mount, read, write, journal.
 *
 * `Ext4FileSystem` mounts a device; `rootDir()` is the seeds' path-based face, `root()` the VFS inode. `openVolume` and the
 * functions on a Volume are the layer below.
 */
export { describeVolume } from "./describe.ts";
export { Ext4Error, type Ext4ErrorDetail, type Ext4ErrorKind } from "./errors.ts";
export { type Feature, FEATURES, featureNames, findFeature } from "./features.ts";
export { mkfs } from "./mkfs/mkfs.ts";
export type { MkfsOptions } from "./mkfs/options.ts";
export { closeVolume, openVolume } from "./mount.ts";
export { type ParsedMountOptions, parseMountOptions } from "./mount-options.ts";
export { type InodeType, PathInode } from "./path-inode.ts";
export { type ImageEntry, populate, type PopulateResult } from "./populate.ts";
export type { GrowOptions } from "./resize/online.ts";
export type { ResizeReport } from "./resize/plan.ts";
export type { QuotaControl } from "./quota/control.ts";
export type { QuotaKind } from "./quota/quota.ts";
export type { QuotaGrace } from "./quota/quota-file.ts";
export { type VolumeStatus, volumeStatus } from "./statfs.ts";
export { tarEntries } from "./tar.ts";
export { EXT4_SUPER_MAGIC, Superblock } from "./superblock.ts";
export { Ext4FileSystem, type Ext4Options } from "./vfs/file-system.ts";
export { Ext4Inode } from "./vfs/inode.ts";
export { type Time, Volume, type VolumeOptions } from "./volume.ts";
