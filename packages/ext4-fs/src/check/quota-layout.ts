/** What check needs to know of quota files beyond quota-file.ts: their leaves are blocks of entries behind a header. */
export const QUOTA_NAMES: readonly string[] = ["user", "group", "project"];
export const QUOTA_LEAF_HEADER = 16;
export const QUOTA_ENTRY = 72;
/** Entries in a leaf. */
export const QUOTA_ENTRIES = 14;
