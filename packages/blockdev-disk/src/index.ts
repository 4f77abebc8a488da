/** Block devices, a disk with a cursor, overlays, partitions. Backends that need a host are in `./node` and `./browser`. */
export * from "./block-device.ts";
export * from "./disk.ts";
export * from "./errno.ts";
export * from "./memory-disk.ts";
export * from "./overlay-disk.ts";
export * from "./partitions/partition-device.ts";
export * from "./partitions/table.ts";
export * from "./recording-disk.ts";
export * from "./byte-file.ts";
export { GzipDisk, type GzipDiskOptions } from "./compressed/gzip-disk.ts";
export { createQcow2, type Qcow2CreateOptions } from "./qcow2/create.ts";
export { Qcow2Error, type Qcow2Header } from "./qcow2/header.ts";
export { Qcow2Disk, type Qcow2Options } from "./qcow2/qcow2-disk.ts";
export { ZstdDisk, type ZstdDiskOptions } from "./compressed/zstd-disk.ts";
export { ReadCacheDisk, type ReadCacheOptions } from "./read-cache-disk.ts";
