/// <reference types="node" />
// Builds dist/root.img, the embedded root file system, from the package userland: the same bytes each time.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { MemoryDisk, OverlayDisk } from "blockdev-disk";
import { Ext4FileSystem, mkfs, populate } from "ext4-fs";
import { ROOT_TREE_MTIME, rootTree } from "userland";
import { FileTree } from "../src/image/tree.ts";

const SIZE = 256 << 20;
const UUID = "5ba44c57-0000-4000-8000-000000000001";
const userland = new URL("../../userland/", import.meta.url);
const now = { sec: ROOT_TREE_MTIME, nsec: 0 };

const tree = new FileTree({ mtime: ROOT_TREE_MTIME });
for (const entry of rootTree) {
  const common = { mode: entry.mode, uid: 0, gid: 0, mtime: ROOT_TREE_MTIME };
  if (entry.type === "file") tree.add(entry.path, { type: "file", data: readFileSync(new URL(entry.source, userland)), ...common });
  else tree.add(entry.path, { ...entry, ...common });
}

const disk = new OverlayDisk(new MemoryDisk(SIZE));
mkfs(disk, { blockSize: 4096, uuid: UUID, label: "starry-root", now, assumeStoragePrezeroed: true });
const fs = new Ext4FileSystem(disk, { now: () => now, unjournaled: true });
populate(fs, tree.imageEntries());
if (fs.unmount() < 0) throw new Error("cannot write the root image");

const target = new URL("../dist/root.img", import.meta.url);
mkdirSync(new URL(".", target), { recursive: true });
writeFileSync(target, disk.save());
