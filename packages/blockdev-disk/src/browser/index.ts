/** Backends that need a browser. */
export * from "./opfs-disk.ts";
