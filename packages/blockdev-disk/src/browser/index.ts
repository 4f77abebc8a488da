/** Backends that need a browser. */
export * from "./opfs-disk.ts";
export * from "./xhr-file.ts";
