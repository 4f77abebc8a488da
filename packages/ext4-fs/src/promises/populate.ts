/** Filling a volume from entries that may come asynchronously (a download, a tar stream), with progress and a way to stop. */
import { S_IFMT, S_IFREG } from "linux-abi";
import { Ext4Error } from "../errors.ts";
import { Filler, type ImageEntry, type PopulateResult } from "../populate.ts";
import type { Ext4FileSystem } from "../vfs/file-system.ts";
import type { Ext4Inode } from "../vfs/inode.ts";
import { FsError } from "./errors.ts";
import { type LongOptions, Meter } from "./runner.ts";

/** As ImageEntry, but its content may come asynchronously too. */
export interface SourceEntry extends Omit<ImageEntry, "data"> {
  readonly data?: Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

/**
 * Puts all entries into the volume; see `populate` of ext4-fs for what happens to directories. Rejects with an Ext4Error at the first one
 * that fails, or with the signal's reason; what was put in until then stays.
 */
export async function populateFrom(
  fs: Ext4FileSystem,
  entries: Iterable<SourceEntry> | AsyncIterable<SourceEntry>,
  options: LongOptions = {},
): Promise<PopulateResult> {
  const filler = new Filler(fs);
  const meter = new Meter(options);
  let streamed = 0;
  try {
    for await (const entry of entries) {
      const { data, ...rest } = entry;
      const before = filler.result.bytes;
      if (isAsync(data)) {
        filler.add(rest);
        streamed += await writeStream(fs, rest, data, meter);
        await meter.did(1, 0);
      } else {
        filler.add(data === undefined ? rest : { ...rest, data });
        await meter.did(1, filler.result.bytes - before);
      }
    }
  } finally {
    filler.finish();
  }
  return { ...filler.result, bytes: filler.result.bytes + streamed };
}

function isAsync(data: SourceEntry["data"]): data is AsyncIterable<Uint8Array> {
  return data !== undefined && Symbol.asyncIterator in data;
}

/** Content of a file that has just been made; its time comes last, since writing changes it. */
async function writeStream(
  fs: Ext4FileSystem,
  entry: Omit<ImageEntry, "data">,
  data: AsyncIterable<Uint8Array>,
  meter: Meter,
): Promise<number> {
  const inode = fs.rootDir().lookup(entry.path)?.inode();
  if (inode === undefined || typeof inode === "number" || (inode.mode & S_IFMT) !== S_IFREG)
    throw new Ext4Error("invalid", `${entry.path}: only files have content`);
  inode.ref();
  try {
    let offset = 0;
    for await (const piece of data) {
      writeAll(inode, offset, piece, entry.path);
      offset += piece.length;
      await meter.did(0, piece.length);
    }
    if (entry.mtime !== undefined) inode.setattr({ mtime: entry.mtime, atime: entry.mtime });
    return offset;
  } finally {
    inode.unref();
  }
}

function writeAll(inode: Ext4Inode, offset: number, piece: Uint8Array, path: string): void {
  for (let done = 0; done < piece.length; ) {
    const count = inode.writeAt(offset + done, piece.subarray(done));
    if (count <= 0) throw new FsError(count, "write", path);
    done += count;
  }
}
