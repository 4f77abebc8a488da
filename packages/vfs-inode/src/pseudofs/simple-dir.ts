/**
 * Directories of a pseudo file system: a table of fixed and on-demand children, and optionally a source of names that come
 * and go by themselves (the processes of /proc).
 *
 * readdir cookies: ".", "..", then the table in order of addition, then the source's entries at SOURCE_COOKIE + key, so a listing
 * goes on correctly whatever appears or vanishes meanwhile.
 */
import { ENOENT, S_IFDIR } from "linux-abi";
import { direntType } from "../directory-types.ts";
import type { DirectoryEmit, Inode } from "../inode.ts";
import { PseudoNode, type PseudoNodeOptions } from "./node.ts";
import type { SimpleFs } from "./simple-fs.ts";

/** An entry that a source lists. Keys are whole numbers ≥ 0 (a pid, a descriptor) and rise within one listing. */
export interface DynamicEntry {
  readonly name: string;
  readonly key: number;
  readonly ino: number;
  /** S_IF* bits. */
  readonly type: number;
}

/** Children that come and go by themselves. */
export interface DirectorySource {
  /** The child, or undefined. The same object for as long as the child is the same. */
  lookup(name: string): Inode | undefined;
  /** Entries with a key ≥ `fromKey`, keys rising. */
  list(fromKey: number): Iterable<DynamicEntry>;
}

/** The table of a directory's children. */
export class DirMapping {
  readonly #children = new Map<string, Inode | (() => Inode)>();
  #cacheable = true;

  /** Adds a child (or replaces the one of that name). */
  add(name: string, node: Inode): this {
    this.#children.set(name, node);
    return this;
  }

  /** Adds a child that is made anew at every lookup. */
  addDynamic(name: string, make: () => Inode): this {
    this.#children.set(name, make);
    this.#cacheable = false;
    return this;
  }

  remove(name: string): boolean {
    return this.#children.delete(name);
  }

  /** False: every lookup asks again. */
  setCacheable(cacheable: boolean): this {
    this.#cacheable = cacheable;
    return this;
  }

  get cacheable(): boolean {
    return this.#cacheable;
  }

  get names(): IterableIterator<string> {
    return this.#children.keys();
  }

  get(name: string): Inode | undefined {
    const child = this.#children.get(name);
    return typeof child === "function" ? child() : child;
  }
}

export interface SimpleDirOptions extends PseudoNodeOptions {
  /** Permission bits. Default 0o555. */
  readonly permission?: number;
  readonly source?: DirectorySource;
}

const COOKIE_DOTDOT = 1;
const COOKIE_TABLE = 2;
const SOURCE_COOKIE = 0x10000;

export class SimpleDir extends PseudoNode {
  readonly mapping: DirMapping;
  readonly #source: DirectorySource | undefined;
  /** ".." as readdir reports it; set when the directory is first found by way of a parent. */
  #parentIno: number;

  constructor(fs: SimpleFs, mapping: DirMapping = new DirMapping(), options: SimpleDirOptions = {}) {
    super(fs, S_IFDIR | (options.permission ?? 0o555), options);
    this.mapping = mapping;
    this.#source = options.source;
    this.#parentIno = this.ino;
    this.nlink = 2;
  }

  get cacheableNames(): boolean {
    return this.#source === undefined && this.mapping.cacheable && this.fs.cacheable;
  }

  override lookup(name: string): Inode | number {
    const child = this.mapping.get(name) ?? this.#source?.lookup(name);
    if (child === undefined) return -ENOENT;
    if (child instanceof SimpleDir) child.#parentIno = this.ino;
    return child;
  }

  override readdir(cookie: number, emit: DirectoryEmit): number {
    const directory = direntType(S_IFDIR);
    if (cookie === 0 && !emit(".", this.ino, directory, COOKIE_DOTDOT)) return 0;
    if (cookie <= COOKIE_DOTDOT && !emit("..", this.#parentIno, directory, COOKIE_TABLE)) return 0;
    let next = COOKIE_TABLE;
    if (cookie < SOURCE_COOKIE) {
      for (const name of this.mapping.names) {
        next++;
        if (next <= cookie) continue;
        const child = this.mapping.get(name);
        if (child !== undefined && !emit(name, child.ino, direntType(child.mode), next)) return 0;
      }
    }
    if (this.#source === undefined) return 0;
    const fromKey = Math.max(0, cookie - SOURCE_COOKIE);
    for (const entry of this.#source.list(fromKey)) {
      if (entry.key < fromKey) continue;
      if (!emit(entry.name, entry.ino, direntType(entry.type), SOURCE_COOKIE + entry.key + 1)) return 0;
    }
    return 0;
  }
}
