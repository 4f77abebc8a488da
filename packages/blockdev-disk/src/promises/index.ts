/** Sources whose bytes come asynchronously, and the disk that makes them synchronous. */
export * from "./byte-source.ts";
export * from "./http-source.ts";
export * from "./lazy-disk.ts";
