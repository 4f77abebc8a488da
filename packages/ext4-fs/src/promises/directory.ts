/** Listing directories: all at once, or one entry after the other. */
import { DT_UNKNOWN, EBADF, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK } from "linux-abi";
import type { Ext4Inode } from "../vfs/inode.ts";
import { check, FsError } from "./errors.ts";
import { isDirectory, join } from "./paths.ts";
import type { Runner } from "./runner.ts";
import { Dirent } from "./stats.ts";

/** S_IF* → DT_*, which are the same bits 12 further down. */
const entryType = (mode: number): number =>
  [S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK].includes(mode & S_IFMT) ? (mode & S_IFMT) >> 12 : 0;

/** The entries of one directory without "." and "..", from `cookie` on, at most `limit`; `next` is where to go on. */
export function listDirectory(
  dir: Ext4Inode,
  path: string,
  cookie: number = 0,
  limit: number = Number.POSITIVE_INFINITY,
): { entries: Dirent[]; next: number } {
  const entries: Dirent[] = [];
  let next = cookie;
  const error = dir.readdir(cookie, (name, _ino, type, after) => {
    if (entries.length >= limit) return false;
    next = after;
    if (name === "." || name === "..") return true;
    let known = type;
    if (known === DT_UNKNOWN) {
      // A volume without the filetype feature: only the inode knows.
      const inode = dir.lookup(name);
      if (typeof inode !== "number") known = entryType(inode.mode);
    }
    entries.push(new Dirent(name, path, known));
    return true;
  });
  check(error, "scandir", path);
  return { entries, next };
}

/** An entry below the directory that a recursive listing began with. */
export interface Found {
  readonly entry: Dirent;
  /** Relative to where the listing began. */
  readonly relative: string;
}

/** All entries below `dir`, directories before what is in them; one run per directory. */
export async function* walkTree(
  runner: Runner,
  dir: Ext4Inode,
  path: string,
  signal?: AbortSignal | undefined,
): AsyncGenerator<Found, void> {
  const pending: { inode: Ext4Inode; path: string; prefix: string }[] = [{ inode: dir, path, prefix: "" }];
  dir.ref();
  try {
    for (let next = pending.shift(); next !== undefined; next = pending.shift()) {
      const { inode, path: at, prefix } = next;
      try {
        const children: Ext4Inode[] = [];
        const { entries } = await runner.run(() => {
          children.length = 0;
          const listed = listDirectory(inode, at);
          for (const entry of listed.entries) {
            if (!entry.isDirectory()) continue;
            const child = check<Ext4Inode>(inode.lookup(entry.name), "scandir", join(at, entry.name));
            children.push(child);
          }
          return listed;
        }, signal);
        for (const child of children) child.ref();
        let k = 0;
        for (const entry of entries) {
          const relative = prefix + entry.name;
          if (entry.isDirectory())
            pending.push({ inode: children[k++], path: join(at, entry.name), prefix: `${relative}/` });
          yield { entry, relative };
        }
      } finally {
        inode.unref();
      }
    }
  } finally {
    for (const { inode } of pending) inode.unref();
  }
}

const BATCH = 64;

/** An open directory, as Node's fs.Dir. */
export class Dir {
  readonly path: string;
  readonly #inode: Ext4Inode;
  readonly #runner: Runner;
  #buffered: Dirent[] = [];
  #cookie = 0;
  #ended = false;
  #closed = false;

  /** Use `opendir`. Takes over a reference that the caller has counted. */
  constructor(inode: Ext4Inode, path: string, runner: Runner) {
    if (!isDirectory(inode)) throw new TypeError('"inode" expected directory');
    this.#inode = inode;
    this.path = path;
    this.#runner = runner;
  }

  /** The next entry, or null at the end. */
  async read(): Promise<Dirent | null> {
    if (this.#closed) throw new FsError(EBADF, "readdir", this.path);
    while (this.#buffered.length === 0 && !this.#ended) {
      const { entries, next } = await this.#runner.run(() =>
        listDirectory(this.#inode, this.path, this.#cookie, BATCH),
      );
      this.#ended = next === this.#cookie;
      this.#cookie = next;
      this.#buffered = entries;
    }
    return this.#buffered.shift() ?? null;
  }

  /** Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#inode.unref();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Dirent, void> {
    try {
      for (let entry = await this.read(); entry !== null; entry = await this.read()) yield entry;
    } finally {
      await this.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
