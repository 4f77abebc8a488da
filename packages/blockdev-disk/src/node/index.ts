/** Backends that need Node.js. */
export * from "./file-disk.ts";
export * from "./host-file.ts";
export * from "./blocking-http-file.ts";
