/**
 * A mounted ext4 volume with the shape of `node:fs/promises`.
 *
 *   await using fs = await mount(disk);
 *   await fs.writeFile("/etc/motd", "hello\n");
 *   for (const entry of await fs.readdir("/etc", { withFileTypes: true })) console.log(entry.name);
 *
 * Below everything is synchronous; the promises are there so that code written for Node's module runs unchanged, and so that the
 * bytes of a disk may come from elsewhere. Errors have Node's shape: `code` ("ENOENT"), `errno` (negative), `syscall`, `path`.
 */
export {
  Ext4Promises,
  type GlobOptions,
  type MkdirOptions,
  promises,
  type PromisesOptions,
  type ReaddirOptions,
  type ReadFileOptions,
  type RmOptions,
  type WriteFileOptions,
} from "./promises.ts";
export { mount, type MountOptions, withMounted } from "./mount.ts";
export { constants } from "./constants.ts";
export type { CpOptions } from "./copy.ts";
export { Dir } from "./directory.ts";
export { FileHandle } from "./file-handle.ts";
export type { PathLike } from "./paths.ts";
export { populateFrom, type SourceEntry } from "./populate.ts";
export type { Loader, LongOptions, Progress } from "./runner.ts";
export { BigIntStats, Dirent, type StatOptions, Stats } from "./stats.ts";
export { BigIntStatFs, StatFs } from "./stat-fs.ts";
export type { StreamRange } from "./streams.ts";
export type { WatchEvent, WatchOptions } from "./watch.ts";
export { FsError } from "./errors.ts";
