/// <reference types="node" />
/**
 * An ext4 image (open-image.ts): mounting it for one operation, and describing it.
 *
 * An image that is a whole disk is entered at its first Linux partition.
 */
import { type BlockDevice, openPartition, readPartitionTable } from "blockdev-disk";
import { describeVolume, Ext4FileSystem } from "ext4-fs";
import { errnoMessage } from "linux-abi";
import type { Timespec } from "vfs-inode";
import { ImageFiles } from "../image/files.ts";
import { openImage } from "./open-image.ts";

/** Mounts the image in `path`, runs `use` on its files, unmounts it clean. Throws an Error that names the image. */
export function withImage<T>(
  path: string,
  options: { write: boolean },
  use: (files: ImageFiles, fs: Ext4FileSystem) => T,
): T {
  using image = openImage(path, { readOnly: !options.write });
  const fs = Ext4FileSystem.mount(rootDevice(image.disk), { readOnly: !options.write, now: hostTime });
  if (!(fs instanceof Ext4FileSystem)) throw new Error(`${path}: ${fs.message}`);
  if (options.write && fs.readOnly)
    throw new Error(`${path}: this image can only be read (it has features that we cannot write)`);
  try {
    return use(new ImageFiles(fs), fs);
  } finally {
    const error = fs.unmount();
    if (error < 0) process.stderr.write(`starry: ${path}: ${errnoMessage(error)} while unmounting\n`);
  }
}

/** The device that holds the file system: the disk itself, or the largest partition when it has a partition table. */
export function rootDevice(disk: BlockDevice): BlockDevice {
  const table = readPartitionTable(disk);
  if (typeof table === "number" || table.partitions.length === 0) return disk;
  const largest = table.partitions.reduce((a, b) => (b.blockCount > a.blockCount ? b : a));
  return openPartition(disk, largest);
}

/** The host's wall clock for timestamps. */
export function hostTime(): Timespec {
  const milliseconds = Date.now();
  const sec = Math.floor(milliseconds / 1000);
  return { sec, nsec: Math.floor((milliseconds - sec * 1000) * 1e6) };
}

/** What `starry image info` prints. */
export function describeImage(path: string): string {
  return withImage(path, { write: false }, (_files, fs) =>
    describeVolume(fs.volume)
      .map(([name, value]) => `${`${name}:`.padEnd(26)}${value}\n`)
      .join(""),
  );
}
