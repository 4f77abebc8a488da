/** Mounts on behalf of whoever assembles the machine, in the initial namespace. */
import { EEXIST, MS_RELATIME } from "linux-abi";
import { type FileSystem, LOOKUP_DIRECTORY, LOOKUP_FOLLOW, type Mount, ROOT_CREDENTIALS } from "vfs-inode";
import type { FileSystems } from "./file-systems.ts";

/**
 * Shows `fs` at `path`, an absolute path; missing directories on the way are made. `source` is what /proc/mounts says,
 * `flags` MS_*. 0 or -errno.
 */
export function mountAt(system: FileSystems, fs: FileSystem, path: string, source: string, flags: number): number {
  const root = (system.namespace.root as Mount).rootPath;
  const context = { root, cwd: root, umask: 0o022, credentials: ROOT_CREDENTIALS };
  const names = path.split("/").filter((name) => name !== "" && name !== ".");
  for (let depth = 1; depth <= names.length; depth++) {
    const error = system.vfs.mkdir(context, null, `/${names.slice(0, depth).join("/")}`, 0o755);
    if (error < 0 && error !== -EEXIST) {
      // A read-only file system is no obstacle where the directory exists: the look-up below decides.
      break;
    }
  }
  const at = system.vfs.lookup(context, null, path, LOOKUP_FOLLOW | LOOKUP_DIRECTORY);
  if (typeof at === "number") return at;
  const mounted = system.vfs.mount(system.namespace, at, fs, source, flags | MS_RELATIME);
  return typeof mounted === "number" ? mounted : 0;
}
