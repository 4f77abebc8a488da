/**
 * Files of a running (or about to run) guest, seen from the host through the kernel's own VFS: mounts, caches and all.
 *
 * Everything is done as root from the guest's root directory. Errors are {@link FileError}s with Node's codes.
 */
import { EEXIST, EISDIR, O_CREAT, O_DIRECTORY, O_RDONLY, O_TRUNC, O_WRONLY, S_IFDIR, S_IFMT } from "linux-abi";
import type { Kernel } from "starry-kernel";
import {
  type Attributes,
  type File,
  type FsContext,
  LOOKUP_FOLLOW,
  newAttributes,
  type Path,
  ROOT_CREDENTIALS,
  type Vfs,
} from "vfs-inode";
import { FileError } from "./image/files.ts";
import type { FileTree } from "./image/tree.ts";

export class GuestFiles {
  readonly #vfs: Vfs;
  readonly #context: FsContext;

  constructor(kernel: Kernel) {
    this.#vfs = kernel.fs.vfs;
    const { root, cwd } = kernel.fs.initialContext();
    this.#context = { root, cwd, umask: 0, credentials: ROOT_CREDENTIALS };
  }

  exists(path: string): boolean {
    return typeof this.#vfs.lookup(this.#context, null, path, LOOKUP_FOLLOW) !== "number";
  }

  isDirectory(path: string): boolean {
    return this.exists(path) && (this.stat(path).mode & S_IFMT) === S_IFDIR;
  }

  stat(path: string, options: { followLast?: boolean } = {}): Attributes {
    const attributes = newAttributes();
    this.#vfs.getattr(this.#lookup(path, options.followLast === false ? 0 : LOOKUP_FOLLOW), attributes);
    return attributes;
  }

  /** Names in a directory, without "." and "..". */
  readdir(path: string): string[] {
    const names: string[] = [];
    this.#with(path, O_RDONLY | O_DIRECTORY, 0, (file) =>
      check(
        file.readDirectory((name) => name === "." || name === ".." || names.push(name) > 0),
        path,
      ),
    );
    return names.sort();
  }

  readFile(path: string): Uint8Array<ArrayBuffer> {
    return this.#with(path, O_RDONLY, 0, (file) => {
      if ((file.inode.mode & S_IFMT) === S_IFDIR) throw new FileError(-EISDIR, path);
      // Files of /proc say size 0: read until the end, with room that grows.
      let bytes = new Uint8Array(Math.max(file.inode.size, 4096));
      let length = 0;
      for (;;) {
        const count = check(file.read(bytes.subarray(length)), path);
        if (count === 0) return bytes.slice(0, length);
        length += count;
        if (length < bytes.length) continue;
        const larger = new Uint8Array(bytes.length * 2);
        larger.set(bytes);
        bytes = larger;
      }
    });
  }

  /** Bytes of a file from `offset` on: `byteLength`, or fewer where it ends. */
  readPart(path: string, offset: number, byteLength: number): Uint8Array<ArrayBuffer> {
    return this.#with(path, O_RDONLY, 0, (file) => {
      const bytes = new Uint8Array(byteLength);
      return bytes.subarray(0, check(file.readAt(offset, bytes), path));
    });
  }

  /** Creates or replaces a file. */
  writeFile(path: string, data: Uint8Array, mode = 0o644): void {
    this.#with(path, O_WRONLY | O_CREAT | O_TRUNC, mode, (file) => {
      for (let at = 0; at < data.length; ) at += check(file.write(data.subarray(at)), path);
    });
  }

  mkdir(path: string, options: { mode?: number; recursive?: boolean } = {}): void {
    const mode = options.mode ?? 0o755;
    if (options.recursive) {
      const names = path.split("/").filter((name) => name !== "");
      for (let depth = 1; depth < names.length; depth++) {
        const error = this.#vfs.mkdir(this.#context, null, `/${names.slice(0, depth).join("/")}`, 0o755);
        if (error < 0 && error !== -EEXIST) throw new FileError(error, path);
      }
    }
    const error = this.#vfs.mkdir(this.#context, null, path, mode);
    if (error < 0 && !(options.recursive && error === -EEXIST)) throw new FileError(error, path);
  }

  symlink(target: string, path: string): void {
    check(this.#vfs.symlink(this.#context, target, null, path), path);
  }

  readlink(path: string): string {
    const target = this.#vfs.readlink(this.#lookup(path, 0));
    if (typeof target === "number") throw new FileError(target, path);
    return target;
  }

  rename(from: string, to: string): void {
    check(this.#vfs.rename(this.#context, null, from, null, to, 0), from);
  }

  chmod(path: string, mode: number): void {
    check(this.#vfs.chmod(this.#context, this.#lookup(path, LOOKUP_FOLLOW), mode), path);
  }

  /** `recursive`: a directory with all it holds; `force`: no complaint if there is none. */
  rm(path: string, options: { recursive?: boolean; force?: boolean } = {}): void {
    if (options.force && typeof this.#vfs.lookup(this.#context, null, path, 0) === "number") return;
    if ((this.stat(path, { followLast: false }).mode & S_IFMT) !== S_IFDIR) {
      check(this.#vfs.unlink(this.#context, null, path), path);
      return;
    }
    // Directories in the order found; emptied and removed from the last to the first.
    const found = [path];
    for (let i = 0; i < found.length && options.recursive; i++) {
      for (const name of this.readdir(found[i])) {
        const child = `${found[i]}/${name}`;
        if ((this.stat(child, { followLast: false }).mode & S_IFMT) === S_IFDIR) found.push(child);
        else check(this.#vfs.unlink(this.#context, null, child), child);
      }
    }
    for (const directory of found.reverse()) check(this.#vfs.rmdir(this.#context, null, directory), directory);
  }

  /** Copies a tree below `path`; a tree that is a single file becomes `path` itself. Special files are left out. */
  place(tree: FileTree, path: string): void {
    for (const [at, node] of tree.entries()) {
      const target = at === "/" ? path : `${path}${at}`;
      if (node.type === "directory") this.mkdir(target, { mode: node.mode, recursive: true });
      else if (node.type === "file") {
        this.mkdir(target.slice(0, target.lastIndexOf("/")) || "/", { recursive: true });
        this.writeFile(target, node.data, node.mode);
        this.chmod(target, node.mode);
      } else if (node.type === "symlink") {
        this.rm(target, { force: true });
        this.symlink(node.target, target);
      } else if (node.type === "hardlink") {
        const first = this.#lookup(`${path}${node.target}`, 0);
        check(this.#vfs.link(this.#context, first, null, target), target);
      }
    }
  }

  #lookup(path: string, flags: number): Path {
    const found = this.#vfs.lookup(this.#context, null, path, flags);
    if (typeof found === "number") throw new FileError(found, path);
    return found;
  }

  #with<T>(path: string, flags: number, mode: number, use: (file: File) => T): T {
    const file = this.#vfs.open(this.#context, null, path, flags, mode);
    if (typeof file === "number") throw new FileError(file, path);
    try {
      return use(file);
    } finally {
      file.close();
    }
  }
}

function check(result: number, path: string): number {
  if (result < 0) throw new FileError(result, path);
  return result;
}
