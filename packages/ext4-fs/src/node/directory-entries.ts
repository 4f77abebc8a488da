/// <reference types="node" />
/**
 * A host directory as entries for `populate`: what `mke2fs -d DIR` does.
 *
 *   mkfs(disk, options);
 *   const fs = new Ext4FileSystem(disk, { unjournaled: true });
 *   populate(fs, directoryEntries("tree"));
 *   fs.unmount();
 *
 * Names are taken in order of their bytes, so that equal trees give equal images. File contents are read when they are asked for, a
 * piece at a time. Extended attributes are not read: Node has no call for them.
 */
import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync, type Stats } from "node:fs";
import { decodeName } from "linux-abi";
import type { ImageEntry } from "../populate.ts";

export interface DirectoryEntriesOptions {
  /** Owner of everything, instead of the host's owners. */
  readonly owner?: readonly [uid: number, gid: number];
  /** Seconds for every modification time, instead of the host's. For images that are the same every time. */
  readonly mtime?: number;
}

/** Bytes read at once; `populate` is done with a piece before it asks for the next. */
const PIECE = 1 << 20;
const SLASH = Uint8Array.of(0x2f);

/** Everything below the host directory `path`, the directory itself first. @throws what node:fs throws. */
export function* directoryEntries(path: string, options: DirectoryEntriesOptions = {}): Generator<ImageEntry> {
  const piece = new Uint8Array(PIECE);
  const firstNames = new Map<string, string>(); // of files with several links
  yield { ...common(lstatSync(path), options), path: "/", type: "directory" };
  const todo: { host: Buffer; image: string }[] = [{ host: Buffer.from(path), image: "" }];
  for (let dir = todo.pop(); dir !== undefined; dir = todo.pop()) {
    const found = readdirSync(dir.host, { encoding: "buffer" }).sort(Buffer.compare);
    const below: typeof todo = [];
    for (const name of found) {
      const host = Buffer.concat([dir.host, SLASH, name]);
      const image = `${dir.image}/${decodeName(name)}`;
      const stats = lstatSync(host);
      yield entryOf(host, image, stats, options, firstNames, piece);
      if (stats.isDirectory()) below.push({ host, image });
    }
    todo.push(...below.reverse());
  }
}

function entryOf(
  host: Buffer,
  path: string,
  stats: Stats,
  options: DirectoryEntriesOptions,
  firstNames: Map<string, string>,
  piece: Uint8Array,
): ImageEntry {
  const base = { ...common(stats, options), path };
  if (stats.isDirectory()) return { ...base, type: "directory" };
  if (stats.isSymbolicLink()) {
    return { ...base, type: "symlink", target: decodeName(readlinkSync(host, { encoding: "buffer" })) };
  }
  if (stats.nlink > 1) {
    const key = `${stats.dev}:${stats.ino}`;
    const target = firstNames.get(key);
    if (target !== undefined) return { ...base, type: "hardlink", target };
    firstNames.set(key, path);
  }
  if (stats.isFile()) {
    return { ...base, type: "file", data: stats.size === 0 ? new Uint8Array(0) : pieces(host, stats.size, piece) };
  }
  if (stats.isFIFO()) return { ...base, type: "fifo" };
  if (stats.isSocket()) return { ...base, type: "socket" };
  return { ...base, type: stats.isBlockDevice() ? "block" : "char", rdev: stats.rdev };
}

function common(
  stats: Stats,
  { owner, mtime }: DirectoryEntriesOptions,
): Pick<ImageEntry, "mode" | "uid" | "gid" | "mtime"> {
  const ms = stats.mtimeMs;
  const sec = Math.floor(ms / 1000);
  return {
    mode: stats.mode & 0o7777,
    uid: owner?.[0] ?? stats.uid,
    gid: owner?.[1] ?? stats.gid,
    mtime: mtime === undefined ? { sec, nsec: Math.floor((ms - sec * 1000) * 1e6) } : { sec: mtime, nsec: 0 },
  };
}

/** A file's content. Its end is where `size` said it is, unless it has grown by a piece or more, or is shorter. */
function* pieces(host: Buffer, size: number, piece: Uint8Array): Generator<Uint8Array> {
  const fd = openSync(host, "r");
  try {
    let done = 0;
    for (let count = readSync(fd, piece); count > 0; count = readSync(fd, piece)) {
      yield count === piece.length ? piece : piece.subarray(0, count);
      done += count;
      if (done >= size && count < piece.length) break;
    }
  } finally {
    closeSync(fd);
  }
}
