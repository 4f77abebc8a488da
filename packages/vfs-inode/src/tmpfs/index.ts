/**
 * tmpfs: a file system in page frames (Documentation/filesystems/tmpfs.rst).
 *
 * @module
 */
export { Tmpfs, type TmpfsOptions } from "./tmpfs.ts";
export { TmpfsInode } from "./tmpfs-inode.ts";
