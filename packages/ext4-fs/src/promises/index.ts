/**
 * A mounted ext4 volume with the shape of `node:fs/promises`.
 *
 *   const fs = promises(new Ext4FileSystem(disk));
 *   await fs.writeFile("/etc/motd", "hello\n");
 *   for (const entry of await fs.readdir("/etc", { withFileTypes: true })) console.log(entry.name);
 *
 * Below everything is synchronous; the promises are there so that code written for Node's module runs unchanged. Errors have
 * Node's shape: `code` ("ENOENT"), `errno` (negative), `syscall`, `path`.
 */
export {
  type Ext4Promises,
  type MkdirOptions,
  promises,
  type ReadFileOptions,
  type RmOptions,
  type WriteFileOptions,
} from "./promises.ts";
export { FileHandle } from "./file-handle.ts";
export { Dirent, Stats } from "./stats.ts";
export { FsError } from "./errors.ts";
