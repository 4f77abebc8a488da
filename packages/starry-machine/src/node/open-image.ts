/// <reference types="node" />
/**
 * An image by path or URL, whatever its form: raw, qcow2 with its backing files, gzip or zstd, on the host or behind HTTP.
 *
 * The form is told by the first bytes, as `qemu-img info` and `file` do.
 */
import { statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { type BlockDevice, type ByteFile, GzipDisk, Qcow2Disk, ReadCacheDisk, ZstdDisk } from "blockdev-disk";
import { BlockingHttpFile, FileDisk, HostFile } from "blockdev-disk/node";
import { errnoMessage } from "linux-abi";

/** An open image; disposing of it closes the file. */
export interface OpenImage extends Disposable {
  readonly disk: BlockDevice;
}

interface Form {
  readonly name: string;
  /** First bytes of the file; none for raw, the last row. */
  readonly magic: readonly number[];
  open(file: ByteFile, path: string, readOnly: boolean): BlockDevice;
}

const FORMS: readonly Form[] = [
  {
    name: "qcow2",
    magic: [0x51, 0x46, 0x49, 0xfb],
    open: (file, path, readOnly) =>
      new Qcow2Disk(file, { readOnly, openBacking: (backing, format) => openBacking(path, backing, format) }),
  },
  { name: "gzip", magic: [0x1f, 0x8b], open: (file, path) => opened(path, GzipDisk.open(file)) },
  { name: "zstd", magic: [0x28, 0xb5, 0x2f, 0xfd], open: (file, path) => opened(path, ZstdDisk.open(file)) },
];

const isUrl = (path: string): boolean => /^https?:\/\//.test(path);

/** Opens `path`, a file or an http(s) URL. Throws an Error that names it; also when it is to be written and its form cannot be. */
export function openImage(path: string, options: { readOnly: boolean }): OpenImage {
  if (!isUrl(path) && statSync(path).isDirectory()) throw new Error(`${path} is a directory`);
  const file = isUrl(path) ? new BlockingHttpFile(path) : new HostFile(path, options);
  try {
    const form = formOf(file);
    if (form === undefined && file instanceof HostFile) {
      file.close();
      const disk = new FileDisk(path, options); // as it is: it can also punch holes and tell its blocks
      return { disk, [Symbol.dispose]: () => disk.close() };
    }
    const disk = form === undefined ? new ReadCacheDisk(file) : form.open(file, path, options.readOnly);
    if (disk.readOnly && !options.readOnly)
      throw new Error(
        `${path}: ${form === undefined ? "an image behind HTTP" : `this ${form.name} image`} can only be read`,
      );
    return { disk, [Symbol.dispose]: () => file.close() };
  } catch (error) {
    file.close();
    throw error;
  }
}

function formOf(file: ByteFile): Form | undefined {
  const start = new Uint8Array(4);
  file.readAt(0, start);
  return FORMS.find(({ magic }) => magic.every((byte, i) => start[i] === byte));
}

/** A backing file is named relative to its image, and never written. One declared raw is not looked into. */
function openBacking(path: string, backing: string, format: string): BlockDevice {
  const target = isUrl(path) ? new URL(backing, path).href : resolve(dirname(path), backing);
  if (format === "raw" && !isUrl(target)) return new FileDisk(target, { readOnly: true });
  return openImage(target, { readOnly: true }).disk;
}

function opened(path: string, disk: BlockDevice | number): BlockDevice {
  if (typeof disk === "number") throw new Error(`${path}: ${errnoMessage(-disk)}`);
  return disk;
}
