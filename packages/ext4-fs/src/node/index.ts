/** ext4-fs on Node: image entries from the host's files. */
export * from "./directory-entries.ts";
