/** Block devices, a disk with a cursor, overlays, partitions. Backends that need a host are in `./node` and `./browser`. */
export * from "./block-device.ts";
export * from "./disk.ts";
export * from "./errno.ts";
export * from "./memory-disk.ts";
export * from "./overlay-disk.ts";
export * from "./partitions/partition-device.ts";
export * from "./partitions/table.ts";
export * from "./recording-disk.ts";
