/** The functions of the facade. Paths are absolute; relative ones count from the root. */
import {
  EACCES,
  EEXIST,
  EINVAL,
  EISDIR,
  ENOENT,
  ENOTDIR,
  ENOTEMPTY,
  EROFS,
  O_APPEND,
  O_CREAT,
  O_EXCL,
  O_TRUNC,
  O_WRONLY,
} from "linux-abi";
import { walk } from "../path-inode.ts";
import type { Ext4FileSystem } from "../vfs/file-system.ts";
import type { Ext4Inode } from "../vfs/inode.ts";
import { constants, COPYFILE_EXCL, W_OK, X_OK } from "./constants.ts";
import { Copier, copyData, type CpOptions } from "./copy.ts";
import { encodingOf, toTime } from "./data.ts";
import { Dir, listDirectory, walkTree } from "./directory.ts";
import { check, FsError } from "./errors.ts";
import { FileHandle, type WriteSource } from "./file-handle.ts";
import { parseFlags } from "./flags.ts";
import { matches, parseGlob } from "./glob.ts";
import { isDirectory, isSymlink, join, OWNER, type PathLike, Paths, toPath } from "./paths.ts";
import { type Loader, type LongOptions, Meter, Runner, throwIfAborted } from "./runner.ts";
import { BigIntStats, type Dirent, type StatOptions, Stats } from "./stats.ts";
import { BigIntStatFs, StatFs } from "./stat-fs.ts";
import { Changes, type WatchEvent, type WatchOptions } from "./watch.ts";

export type ReadFileOptions =
  | string
  | ({ readonly encoding?: string | null; readonly flag?: string | number } & LongOptions)
  | null;
export type WriteFileOptions =
  | string
  | ({
      readonly encoding?: string | null;
      readonly mode?: number;
      readonly flag?: string | number;
      /** fsync before closing. */
      readonly flush?: boolean;
    } & LongOptions)
  | null;
export interface MkdirOptions {
  readonly recursive?: boolean;
  readonly mode?: number;
}
export interface RmOptions extends LongOptions {
  readonly recursive?: boolean;
  /** No error when the path does not exist. */
  readonly force?: boolean;
}
export interface ReaddirOptions {
  readonly withFileTypes?: boolean;
  readonly recursive?: boolean;
  readonly encoding?: string | null;
  readonly signal?: AbortSignal;
}
export interface GlobOptions {
  /** Where patterns begin. Default "/". */
  readonly cwd?: string;
  /** Leaves out what it says yes to. */
  readonly exclude?: (path: string) => boolean;
  readonly signal?: AbortSignal;
}
export interface PromisesOptions {
  /** Fetches what a disk has not got yet: `LazyDisk` of blockdev-disk/promises. Default: the disk answers at once. */
  readonly loader?: Loader;
  /** Fills in random bytes, for `mkdtemp`. Default: the platform's crypto. */
  readonly randomBytes?: (bytes: Uint8Array) => void;
}

const LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

export class Ext4Promises {
  /** As Node's fs.constants. */
  readonly constants: typeof constants = constants;
  readonly #fs: Ext4FileSystem;
  readonly #paths: Paths;
  readonly #runner: Runner;
  readonly #changes = new Changes();
  readonly #randomBytes: (bytes: Uint8Array) => void;

  /** Use `promises` or `mount`. */
  constructor(fs: Ext4FileSystem, options: PromisesOptions = {}) {
    this.#fs = fs;
    this.#paths = new Paths(fs);
    this.#runner = new Runner(options.loader);
    const platform = globalThis as unknown as { crypto: { getRandomValues(bytes: Uint8Array): unknown } };
    this.#randomBytes = options.randomBytes ?? ((bytes) => void platform.crypto.getRandomValues(bytes));
  }

  /** The volume below. */
  get volume(): Ext4FileSystem {
    return this.#fs;
  }

  #find(path: PathLike, syscall: string, follow: boolean = true): Promise<Ext4Inode> {
    const text = toPath(path);
    return this.#runner.run(() => this.#paths.find(text, syscall, follow));
  }

  /** A volume whose bytes come from elsewhere is never written; what its directories hold need not be fetched to say so. */
  #forWriting(syscall: string, path: PathLike): string {
    const text = toPath(path);
    if (this.#runner.loader !== undefined) throw new FsError(EROFS, syscall, text);
    return text;
  }

  // ---- files ----

  async open(path: PathLike, flags: string | number = "r", mode: number = 0o666): Promise<FileHandle> {
    return this.#open(toPath(path), parseFlags(flags), mode);
  }

  async #open(path: string, flags: number, mode: number, signal?: AbortSignal): Promise<FileHandle> {
    let isNew = false;
    const inode = await this.#runner.run(() => {
      if ((flags & O_CREAT) !== 0) isNew = this.#paths.lookup(path, true) === -ENOENT;
      return this.#paths.open(path, flags, mode);
    }, signal);
    inode.ref();
    if (isNew) this.#changes.tell("rename", path);
    else if ((flags & O_TRUNC) !== 0) this.#changes.tell("change", path);
    return new FileHandle(inode, flags, this.#runner, () => this.#changes.tell("change", path));
  }

  readFile(
    path: PathLike | FileHandle,
    options: string | (ReadFileOptions & { readonly encoding: string }),
  ): Promise<string>;
  readFile(
    path: PathLike | FileHandle,
    options?: ({ readonly encoding?: null; readonly flag?: string | number } & LongOptions) | null,
  ): Promise<Uint8Array>;
  readFile(path: PathLike | FileHandle, options?: ReadFileOptions): Promise<Uint8Array | string>;
  async readFile(path: PathLike | FileHandle, options?: ReadFileOptions): Promise<Uint8Array | string> {
    if (path instanceof FileHandle) return path.readFile(options);
    const { flag = "r", signal } = typeof options === "object" && options !== null ? options : {};
    const handle = await this.#open(toPath(path), parseFlags(flag), 0o666, signal);
    try {
      return await handle.readFile(options);
    } finally {
      await handle.close();
    }
  }

  async writeFile(path: PathLike | FileHandle, data: WriteSource, options?: WriteFileOptions): Promise<void> {
    if (path instanceof FileHandle) return path.writeFile(data, options);
    const given = typeof options === "object" && options !== null ? options : {};
    encodingOf(options);
    throwIfAborted(given.signal);
    const handle = await this.#open(toPath(path), parseFlags(given.flag ?? "w"), given.mode ?? 0o666);
    try {
      await handle.writeFile(data, options);
      if (given.flush === true) await handle.sync();
    } finally {
      await handle.close();
    }
  }

  async appendFile(path: PathLike | FileHandle, data: WriteSource, options?: WriteFileOptions): Promise<void> {
    if (path instanceof FileHandle) return path.appendFile(data, options);
    const given = typeof options === "string" ? { encoding: options } : (options ?? {});
    await this.writeFile(path, data, { flag: O_WRONLY | O_CREAT | O_APPEND, ...given });
  }

  async copyFile(from: PathLike, to: PathLike, mode: number = 0): Promise<void> {
    const [fromPath, toPathText] = [toPath(from), this.#forWriting("copyfile", to)];
    const source = await this.#find(from, "copyfile");
    if (isDirectory(source)) throw new FsError(EISDIR, "copyfile", fromPath, toPathText);
    if (this.#paths.lookup(toPathText, true) === source) return;
    const exclusive = (mode & COPYFILE_EXCL) !== 0 ? O_EXCL : 0;
    source.ref();
    const target = this.#paths.open(toPathText, O_WRONLY | O_CREAT | O_TRUNC | exclusive, source.mode);
    target.ref();
    try {
      await copyData(this.#runner, source, target, new Meter({}), [fromPath, toPathText]);
    } finally {
      source.unref();
      target.unref();
      this.#changes.tell("change", toPathText);
    }
  }

  /** Copies files, and with `recursive` whole trees. */
  async cp(from: PathLike, to: PathLike, options: CpOptions = {}): Promise<void> {
    const copier = new Copier(this.#paths, this.#runner, options, (path) => this.#changes.tell("rename", path));
    await copier.copy(toPath(from), this.#forWriting("cp", to));
  }

  async truncate(path: PathLike, length: number = 0): Promise<void> {
    if (!(length >= 0)) throw new FsError(EINVAL, "ftruncate", toPath(path));
    this.#forWriting("open", path);
    check((await this.#find(path, "open")).truncate(length), "ftruncate", toPath(path));
    this.#changes.tell("change", toPath(path));
  }

  // ---- directories and names ----

  readdir(path: PathLike, options: ReaddirOptions & { readonly withFileTypes: true }): Promise<Dirent[]>;
  readdir(
    path: PathLike,
    options?: (ReaddirOptions & { readonly withFileTypes?: false }) | string | null,
  ): Promise<string[]>;
  async readdir(path: PathLike, options?: ReaddirOptions | string | null): Promise<string[] | Dirent[]> {
    const {
      withFileTypes = false,
      recursive = false,
      signal,
    } = typeof options === "object" && options !== null ? options : {};
    const at = toPath(path);
    const dir = await this.#find(path, "scandir");
    if (!isDirectory(dir)) throw new FsError(ENOTDIR, "scandir", at);
    if (!recursive) {
      const { entries } = await this.#runner.run(() => listDirectory(dir, at), signal);
      return withFileTypes ? entries : entries.map((entry) => entry.name);
    }
    const names: string[] = [];
    const entries: Dirent[] = [];
    for await (const { entry, relative } of walkTree(this.#runner, dir, at, signal)) {
      names.push(relative);
      entries.push(entry);
    }
    return withFileTypes ? entries : names;
  }

  async opendir(path: PathLike): Promise<Dir> {
    const dir = await this.#find(path, "opendir");
    if (!isDirectory(dir)) throw new FsError(ENOTDIR, "opendir", toPath(path));
    dir.ref();
    return new Dir(dir, toPath(path), this.#runner);
  }

  /** Paths below `cwd` that match a pattern, relative to it. */
  async *glob(pattern: string | readonly string[], options: GlobOptions = {}): AsyncGenerator<string, void> {
    const patterns = (typeof pattern === "string" ? [pattern] : pattern).flatMap(parseGlob);
    const cwd = options.cwd ?? "/";
    const pending: { dir: Ext4Inode; path: string; names: string[] }[] = [
      { dir: await this.#find(cwd, "scandir"), path: cwd, names: [] },
    ];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const { dir, path, names } = next;
      const { entries } = await this.#runner.run(() => listDirectory(dir, path), options.signal);
      for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
        const parts = [...names, entry.name];
        const relative = parts.join("/");
        if (options.exclude?.(relative) === true) continue;
        if (patterns.some((one) => matches(one, parts, false))) yield relative;
        if (!entry.isDirectory() || !patterns.some((one) => matches(one, parts, true))) continue;
        const child = await this.#find(join(path, entry.name), "scandir");
        pending.push({ dir: child, path: join(path, entry.name), names: parts });
      }
    }
  }

  /** With `recursive`, the first directory that had to be made; else undefined. */
  async mkdir(path: PathLike, options?: MkdirOptions | number | null): Promise<string | undefined> {
    const { recursive = false, mode = 0o777 } = typeof options === "number" ? { mode: options } : (options ?? {});
    const text = this.#forWriting("mkdir", path);
    if (!recursive) {
      this.#mkdir(text, text, mode);
      return undefined;
    }
    let first: string | undefined;
    let current = "";
    for (const part of text.split("/").filter((p) => p !== "" && p !== ".")) {
      current += `/${part}`;
      const found = walk(this.#fs, current, true);
      if (typeof found !== "number") {
        if (!isDirectory(found))
          throw new FsError(current === text.replace(/\/+$/, "") ? EEXIST : ENOTDIR, "mkdir", text);
        continue;
      }
      if (found !== -ENOENT) throw new FsError(found, "mkdir", text);
      this.#mkdir(current, text, mode);
      first ??= current;
    }
    return first;
  }

  #mkdir(path: string, named: string, mode: number): void {
    const { dir, name } = this.#paths.parent(path, "mkdir");
    check(dir.mkdir(name, { ...OWNER, mode: mode & 0o7777 }), "mkdir", named);
    this.#changes.tell("rename", path);
  }

  /** Makes a directory whose name is `prefix` and six random characters. */
  async mkdtemp(prefix: string): Promise<string> {
    this.#forWriting("mkdtemp", prefix);
    const bytes = new Uint8Array(6);
    for (let attempt = 0; ; attempt++) {
      this.#randomBytes(bytes);
      const path = prefix + Array.from(bytes, (byte) => LETTERS[byte % LETTERS.length]).join("");
      try {
        this.#mkdir(path, `${prefix}XXXXXX`, 0o700);
        return path;
      } catch (reason) {
        if ((reason as FsError).code !== "EEXIST" || attempt >= 100) throw reason;
      }
    }
  }

  async rmdir(path: PathLike): Promise<void> {
    const { dir, name } = this.#paths.parent(this.#forWriting("rmdir", path), "rmdir");
    check(dir.rmdir(name), "rmdir", toPath(path));
    this.#changes.tell("rename", toPath(path));
  }

  async unlink(path: PathLike): Promise<void> {
    const { dir, name } = this.#paths.parent(this.#forWriting("unlink", path), "unlink");
    check(dir.unlink(name), "unlink", toPath(path));
    this.#changes.tell("rename", toPath(path));
  }

  /** Removes a file, or with `recursive` a tree. */
  async rm(path: PathLike, options: RmOptions = {}): Promise<void> {
    const text = this.#forWriting("rm", path);
    const found = await this.#runner.run(() => this.#paths.lookup(text, false));
    if (found === -ENOENT && options.force === true) return;
    const inode = check<Ext4Inode>(found, "rm", text);
    const { dir, name } = this.#paths.parent(text, "rm");
    if (isDirectory(inode) && options.recursive !== true) throw new FsError(EISDIR, "rm", text);
    await this.#remove(dir, name, inode, text, new Meter(options));
  }

  async #remove(dir: Ext4Inode, name: string, inode: Ext4Inode, path: string, meter: Meter): Promise<void> {
    if (isDirectory(inode)) {
      inode.ref();
      try {
        for (;;) {
          const { entries } = listDirectory(inode, path, 0, 1024);
          if (entries.length === 0) break;
          for (const entry of entries) {
            const child = check<Ext4Inode>(inode.lookup(entry.name), "rm", join(path, entry.name));
            await this.#remove(inode, entry.name, child, join(path, entry.name), meter);
          }
        }
      } finally {
        inode.unref();
      }
      check(dir.rmdir(name), "rm", path);
    } else {
      check(dir.unlink(name), "rm", path);
    }
    this.#changes.tell("rename", path);
    await meter.did(1, 0);
  }

  async rename(from: PathLike, to: PathLike): Promise<void> {
    const [fromText, toText] = [this.#forWriting("rename", from), toPath(to)];
    const source = this.#paths.parent(fromText, "rename");
    const target = this.#paths.parent(toText, "rename");
    const moved = check<Ext4Inode>(source.dir.lookup(source.name), "rename", fromText, toText);
    if (isDirectory(moved) && this.#paths.isBelow(target.dir, moved))
      throw new FsError(EINVAL, "rename", fromText, toText);
    const existing = target.dir.lookup(target.name);
    if (typeof existing !== "number" && this.#paths.isBelow(source.dir, existing) && existing !== moved)
      throw new FsError(ENOTEMPTY, "rename", fromText, toText);
    check(source.dir.rename(source.name, target.dir, target.name, 0), "rename", fromText, toText);
    this.#changes.tell("rename", fromText);
    this.#changes.tell("rename", toText);
  }

  async link(existing: PathLike, path: PathLike): Promise<void> {
    const text = this.#forWriting("link", path);
    const inode = await this.#find(existing, "link", false);
    const { dir, name } = this.#paths.parent(text, "link");
    check(dir.link(name, inode), "link", toPath(existing), toPath(path));
    this.#changes.tell("rename", toPath(path));
  }

  /** `type` is there for Windows' sake. */
  async symlink(target: PathLike, path: PathLike, _type?: string | null): Promise<void> {
    const { dir, name } = this.#paths.parent(this.#forWriting("symlink", path), "symlink");
    check(dir.symlink(name, toPath(target), { ...OWNER, mode: 0o777 }), "symlink", toPath(target), toPath(path));
    this.#changes.tell("rename", toPath(path));
  }

  async readlink(path: PathLike, _options?: string | { readonly encoding?: string | null } | null): Promise<string> {
    return this.#runner.run(() => {
      const inode = this.#paths.find(toPath(path), "readlink", false);
      if (!isSymlink(inode)) throw new FsError(EINVAL, "readlink", toPath(path));
      return check<string>(inode.readlink(), "readlink", toPath(path));
    });
  }

  /** The path without symbolic links, "." and "..". */
  async realpath(path: PathLike): Promise<string> {
    return this.#runner.run(() => this.#paths.real(toPath(path)));
  }

  /** Changes made through this object, from the first `next()` or `for await` on. */
  watch(path: PathLike, options: WatchOptions = {}): AsyncIterableIterator<WatchEvent> {
    return this.#changes.watch(toPath(path), options);
  }

  // ---- attributes ----

  stat(path: PathLike, options: StatOptions & { readonly bigint: true }): Promise<BigIntStats>;
  stat(path: PathLike, options?: StatOptions & { readonly bigint?: false }): Promise<Stats>;
  async stat(path: PathLike, options: StatOptions = {}): Promise<Stats | BigIntStats> {
    return this.#stat(toPath(path), "stat", true, options);
  }
  lstat(path: PathLike, options: StatOptions & { readonly bigint: true }): Promise<BigIntStats>;
  lstat(path: PathLike, options?: StatOptions & { readonly bigint?: false }): Promise<Stats>;
  async lstat(path: PathLike, options: StatOptions = {}): Promise<Stats | BigIntStats> {
    return this.#stat(toPath(path), "lstat", false, options);
  }
  #stat(path: string, syscall: string, follow: boolean, options: StatOptions): Promise<Stats | BigIntStats> {
    return this.#runner.run(() => {
      const inode = this.#paths.find(path, syscall, follow);
      return options.bigint === true ? new BigIntStats(inode) : new Stats(inode);
    });
  }

  /** Whoever calls is root: reading is always allowed, writing unless the volume is read-only, executing if anybody may. */
  async access(path: PathLike, mode: number = 0): Promise<void> {
    const inode = await this.#find(path, "access");
    if ((mode & W_OK) !== 0 && this.#fs.readOnly) throw new FsError(EROFS, "access", toPath(path));
    if ((mode & X_OK) !== 0 && !isDirectory(inode) && (inode.mode & 0o111) === 0)
      throw new FsError(EACCES, "access", toPath(path));
  }

  async #setattr(
    path: PathLike,
    syscall: string,
    follow: boolean,
    changes: Parameters<Ext4Inode["setattr"]>[0],
  ): Promise<void> {
    this.#forWriting(syscall, path);
    check((await this.#find(path, syscall, follow)).setattr(changes), syscall, toPath(path));
    this.#changes.tell("change", toPath(path));
  }
  async chmod(path: PathLike, mode: number): Promise<void> {
    await this.#setattr(path, "chmod", true, { mode });
  }
  async chown(path: PathLike, uid: number, gid: number): Promise<void> {
    await this.#setattr(path, "chown", true, { uid, gid });
  }
  async lchown(path: PathLike, uid: number, gid: number): Promise<void> {
    await this.#setattr(path, "lchown", false, { uid, gid });
  }
  async utimes(path: PathLike, atime: number | string | Date, mtime: number | string | Date): Promise<void> {
    await this.#setattr(path, "utime", true, { atime: toTime(atime), mtime: toTime(mtime) });
  }
  async lutimes(path: PathLike, atime: number | string | Date, mtime: number | string | Date): Promise<void> {
    await this.#setattr(path, "lutime", false, { atime: toTime(atime), mtime: toTime(mtime) });
  }

  /** Not in Node: extended attributes, by their full names ("user.comment"). */
  async getxattr(path: PathLike, name: string): Promise<Uint8Array> {
    return this.#runner.run(() =>
      check<Uint8Array>(this.#paths.find(toPath(path), "getxattr").getxattr(name), "getxattr", toPath(path)),
    );
  }
  async listxattr(path: PathLike): Promise<readonly string[]> {
    return this.#runner.run(() =>
      check<readonly string[]>(this.#paths.find(toPath(path), "listxattr").listxattr(), "listxattr", toPath(path)),
    );
  }
  async setxattr(path: PathLike, name: string, value: Uint8Array): Promise<void> {
    this.#forWriting("setxattr", path);
    check((await this.#find(path, "setxattr")).setxattr(name, value, 0), "setxattr", toPath(path));
    this.#changes.tell("change", toPath(path));
  }
  async removexattr(path: PathLike, name: string): Promise<void> {
    this.#forWriting("removexattr", path);
    check((await this.#find(path, "removexattr")).removexattr(name), "removexattr", toPath(path));
    this.#changes.tell("change", toPath(path));
  }

  statfs(path: PathLike | undefined, options: { readonly bigint: true }): Promise<BigIntStatFs>;
  statfs(path?: PathLike, options?: { readonly bigint?: false }): Promise<StatFs>;
  /** As Node's StatFs: type, bsize, blocks, bfree, bavail, files, ffree. */
  async statfs(_path: PathLike = "/", options: { readonly bigint?: boolean } = {}): Promise<StatFs | BigIntStatFs> {
    const status = this.#fs.statfs();
    return options.bigint === true ? new BigIntStatFs(status) : new StatFs(status);
  }

  // ---- the volume ----

  /** Everything written so far is durable. */
  async sync(): Promise<void> {
    check(this.#fs.sync(), "sync");
  }

  /** Leaves the medium clean; nothing works afterwards. Idempotent. */
  async unmount(): Promise<void> {
    check(this.#fs.unmount(), "umount");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unmount();
  }
}

/** The facade over a mounted volume. `await using` it, or unmount the volume when you are done. */
export function promises(fs: Ext4FileSystem, options: PromisesOptions = {}): Ext4Promises {
  return new Ext4Promises(fs, options);
}
