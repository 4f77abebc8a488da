/// <reference types="node" />
// The embedded root file system, made by our own mkfs from the package userland: the same bytes each time.
import { readFileSync } from "node:fs";
import { MemoryDisk, OverlayDisk } from "blockdev-disk";
import { Ext4FileSystem, mkfs, populate } from "ext4-fs";
import { ROOT_TREE_MTIME, rootTree } from "userland";
import { FileTree } from "../src/image/tree.ts";

const SIZE = 256 << 20;
const UUID = "5ba44c57-0000-4000-8000-000000000001";

/** A disk with the file system; `save()` gives the image file. */
export function rootDisk(): OverlayDisk {
  const userland = new URL(import.meta.resolve("userland/package.json"));
  const tree = new FileTree({ mtime: ROOT_TREE_MTIME });
  for (const entry of rootTree) {
    const common = { mode: entry.mode, uid: 0, gid: 0, mtime: ROOT_TREE_MTIME };
    if (entry.type !== "file") tree.add(entry.path, { ...entry, ...common });
    else tree.add(entry.path, { type: "file", data: readFileSync(new URL(entry.source, userland)), ...common });
  }

  const now = { sec: ROOT_TREE_MTIME, nsec: 0 };
  const disk = new OverlayDisk(new MemoryDisk(SIZE));
  mkfs(disk, { blockSize: 4096, uuid: UUID, label: "starry-root", now, assumeStoragePrezeroed: true });
  const fs = new Ext4FileSystem(disk, { now: () => now, unjournaled: true });
  populate(fs, tree.imageEntries());
  if (fs.unmount() < 0) throw new Error("cannot write the root image");
  return disk;
}
