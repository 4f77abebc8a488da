/** Backends that need a browser. */
export * from "./opfs-disk.ts";
export * from "./xhr-file.ts";
export { IndexedDbDisk, type IndexedDbOptions } from "./indexed-db-disk.ts";
