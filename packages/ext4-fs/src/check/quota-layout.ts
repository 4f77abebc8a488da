/**
 * Quota files on disk, format "vfsv1": a header with information behind it, then a radix tree of four levels over the ids, in
 * blocks of 1 KiB. Its leaves are blocks of entries: a header of 16 bytes, then 72 bytes each. (fs/quota/quotaio_v2.h)
 */
export const QUOTA_BLOCK = 1024;
export const QUOTA_MAGICS: readonly number[] = [0xd9c01f11, 0xd9c01927, 0xd9c03f14];
export const QUOTA_NAMES: readonly string[] = ["user", "group", "project"];
export const QUOTA_LEAF_HEADER = 16;
export const QUOTA_ENTRY = 72;
/** Entries in a leaf. */
export const QUOTA_ENTRIES = 14;
