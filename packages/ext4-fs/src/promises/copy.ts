/** cp: files and trees within the volume, with data, attributes and holes. */
import { EEXIST, EINVAL, EISDIR, ENOENT, ENOTDIR, ENXIO, O_CREAT, O_EXCL, O_TRUNC, O_WRONLY, S_IFDIR } from "linux-abi";
import { newAttributes } from "vfs-inode";
import type { Ext4Inode } from "../vfs/inode.ts";
import { listDirectory } from "./directory.ts";
import { check, FsError } from "./errors.ts";
import { isDirectory, isFile, isSymlink, join, OWNER, type Paths } from "./paths.ts";
import { type LongOptions, Meter, type Runner } from "./runner.ts";

export interface CpOptions extends LongOptions {
  /** Directories with all that is in them. Default false: EISDIR. */
  readonly recursive?: boolean;
  /** Replace files that are there. Default true. */
  readonly force?: boolean;
  /** Without `force`: fail where a file is there, instead of leaving it. Default false. */
  readonly errorOnExist?: boolean;
  /** Keep access and modification times. Default false. */
  readonly preserveTimestamps?: boolean;
  /** Copy what symbolic links point to. Default false: copy the links. */
  readonly dereference?: boolean;
  /** Leaves out what it says no to, and everything below that. */
  readonly filter?: (source: string, destination: string) => boolean | Promise<boolean>;
}

const PIECE = 1 << 20;

export class Copier {
  readonly #paths: Paths;
  readonly #runner: Runner;
  readonly #options: CpOptions;
  readonly #meter: Meter;
  readonly #changed: (path: string) => void;

  constructor(paths: Paths, runner: Runner, options: CpOptions, changed: (path: string) => void) {
    this.#paths = paths;
    this.#runner = runner;
    this.#options = options;
    this.#meter = new Meter(options);
    this.#changed = changed;
  }

  async copy(from: string, to: string): Promise<void> {
    const source = await this.#runner.run(() => this.#paths.find(from, "cp", this.#options.dereference === true));
    if (isDirectory(source)) {
      if (this.#options.recursive !== true) throw new FsError(EISDIR, "cp", from, to);
      const target = this.#paths.lookup(to, true);
      const { dir } = typeof target === "number" ? this.#paths.parent(to, "cp") : { dir: target };
      if (this.#paths.isBelow(dir, source)) throw new FsError(EINVAL, "cp", from, to);
    }
    await this.#copyAny(source, from, to);
  }

  async #copyAny(source: Ext4Inode, from: string, to: string): Promise<void> {
    if (this.#options.filter !== undefined && !(await this.#options.filter(from, to))) return;
    source.ref();
    try {
      if (isDirectory(source)) await this.#copyDirectory(source, from, to);
      else if (this.#mayReplace(source, from, to)) {
        if (isFile(source)) await this.#copyFile(source, from, to);
        else this.#copyNode(source, from, to);
      }
      await this.#meter.did(1, 0);
    } finally {
      source.unref();
    }
  }

  /** Whether a file is to be written at `to`; what is there is taken away. */
  #mayReplace(source: Ext4Inode, from: string, to: string): boolean {
    const existing = this.#paths.lookup(to, false);
    if (typeof existing === "number") return existing === -ENOENT || check(existing, "cp", from, to) !== 0;
    if (isDirectory(existing)) throw new FsError(EISDIR, "cp", from, to);
    if (existing === source) throw new FsError(EINVAL, "cp", from, to);
    if (this.#options.force === false) {
      if (this.#options.errorOnExist === true) throw new FsError(EEXIST, "cp", from, to);
      return false;
    }
    const { dir, name } = this.#paths.parent(to, "cp");
    check(dir.unlink(name), "cp", from, to);
    return true;
  }

  async #copyDirectory(source: Ext4Inode, from: string, to: string): Promise<void> {
    const existing = this.#paths.lookup(to, true);
    if (typeof existing !== "number" && !isDirectory(existing)) throw new FsError(ENOTDIR, "cp", from, to);
    if (typeof existing === "number") {
      const { dir, name } = this.#paths.parent(to, "cp");
      check(dir.mkdir(name, { ...OWNER, mode: S_IFDIR | (source.mode & 0o7777) }), "cp", from, to);
      this.#changed(to);
    }
    const { entries } = await this.#runner.run(() => listDirectory(source, from));
    for (const { name } of entries) {
      const child = await this.#runner.run(() => {
        const found = check<Ext4Inode>(source.lookup(name), "cp", join(from, name));
        return isSymlink(found) && this.#options.dereference === true
          ? this.#paths.find(join(from, name), "cp")
          : found;
      });
      await this.#copyAny(child, join(from, name), join(to, name));
    }
    this.#keepTimes(source, this.#paths.find(to, "cp"), to);
  }

  async #copyFile(source: Ext4Inode, from: string, to: string): Promise<void> {
    const target = this.#paths.open(to, O_WRONLY | O_CREAT | O_TRUNC | O_EXCL, source.mode);
    target.ref();
    try {
      await copyData(this.#runner, source, target, this.#meter, [from, to]);
      check(target.setattr({ uid: source.uid, gid: source.gid }), "cp", from, to);
      check(target.setattr({ mode: source.mode & 0o7777 }), "cp", from, to);
      this.#keepTimes(source, target, to);
    } finally {
      target.unref();
      this.#changed(to);
    }
  }

  #copyNode(source: Ext4Inode, from: string, to: string): void {
    const { dir, name } = this.#paths.parent(to, "cp");
    const node = { mode: source.mode, uid: source.uid, gid: source.gid, rdev: source.rdev };
    const made = isSymlink(source)
      ? dir.symlink(name, check<string>(source.readlink(), "cp", from, to), { ...node, mode: 0o777 })
      : dir.create(name, node);
    this.#keepTimes(source, check<Ext4Inode>(made, "cp", from, to), to);
    this.#changed(to);
  }

  #keepTimes(source: Ext4Inode, target: Ext4Inode, to: string): void {
    if (this.#options.preserveTimestamps !== true) return;
    const { atime, mtime } = attributes(source);
    check(target.setattr({ atime, mtime }), "cp", to);
  }
}

/** Copies content, piece by piece; holes stay holes. */
export async function copyData(
  runner: Runner,
  source: Ext4Inode,
  target: Ext4Inode,
  meter: Meter,
  [from, to]: readonly [string, string],
): Promise<void> {
  const piece = new Uint8Array(Math.min(PIECE, source.size));
  for (let at = 0; at < source.size; ) {
    const start = await runner.run(() => source.seekData(at, true), meter.signal);
    if (start === -ENXIO) break;
    at = check<number>(start, "copyfile", from, to);
    const count = await runner.run(() => {
      const hole = source.seekData(at, false);
      const wanted = Math.min(piece.length, source.size - at, hole > at ? hole - at : piece.length);
      return source.readAt(at, piece.subarray(0, wanted));
    }, meter.signal);
    check(count, "copyfile", from, to);
    for (let done = 0; done < count; )
      done += check<number>(target.writeAt(at + done, piece.subarray(done, count)), "copyfile", from, to);
    at += count;
    await meter.did(0, count);
    if (count === 0) break;
  }
  if (target.size < source.size) check(target.truncate(source.size), "copyfile", from, to);
}

function attributes(inode: Ext4Inode): ReturnType<typeof newAttributes> {
  const out = newAttributes();
  inode.getattr(out);
  return out;
}
