/// <reference types="node" />
/** Volumes that run full at every possible place: operations fail as a whole, nothing is lost, e2fsck finds nothing. */
import { OverlayDisk } from "blockdev-disk";
import { FileDisk } from "blockdev-disk/node";
import { afterAll, expect, test, vi } from "vitest";
import { Ext4FileSystem, type Ext4Inode } from "../src/index.ts";
import { fsckProblems, hasE2fsprogs, makeImage, saveImage, Workspace } from "./e2fsprogs.ts";
import { Random } from "./model.ts";

vi.setConfig({ testTimeout: 900_000 }); // a busy machine is no failure

const workspace = new Workspace();
afterAll(() => workspace.remove());
const FILE = { mode: 0o100644, uid: 0, gid: 0, rdev: 0 };
const ENOSPC = -28;

const KINDS: readonly [string, readonly string[]][] = [
  ["ext4", ["-b", "1024"]],
  ["4 KiB blocks, no journal", ["-b", "4096", "-O", "^has_journal"]],
  ["ext2", ["-t", "ext2", "-b", "1024"]],
  ["ext3", ["-t", "ext3", "-b", "1024"]],
  ["inline_data", ["-b", "1024", "-O", "inline_data"]],
  ["inline_data, ea_inode", ["-b", "1024", "-O", "inline_data,ea_inode"]],
  ["quota", ["-b", "1024", "-O", "quota,project"]],
  ["bigalloc", ["-b", "1024", "-C", "4096", "-O", "bigalloc"]],
  ["few inodes", ["-b", "1024", "-N", "100"]],
];

test.skipIf(!hasE2fsprogs).each(KINDS)(
  "a full volume fails operations as a whole and stays clean: %s",
  (_kind, args) => {
    const image = workspace.file("full.img");
    makeImage(image, 8 << 20, args);
    const disk = new OverlayDisk(new FileDisk(image, { readOnly: true }));
    const lines: string[] = [];
    const fs = new Ext4FileSystem(disk, {
      log: (line) => lines.push(line),
      now: () => ({ sec: 1_700_000_000, nsec: 0 }),
    });
    const random = new Random(args.length);
    const places: Ext4Inode[] = [fs.root()];
    const sizes = new Map<string, number>();
    const expectRoomOrFull = (result: unknown): boolean => {
      if (typeof result !== "number" || result >= 0) return true;
      expect(result).toBe(ENOSPC);
      return false;
    };
    for (let round = 0; round < 3; round++) {
      let failures = 0;
      for (let i = 0; failures < 60; i++) {
        const at = random.below(places.length);
        const place = places[at] as Ext4Inode;
        const name = `n${round}-${i}-${"x".repeat(random.below(120))}`;
        if (random.below(12) === 0) {
          const made = place.mkdir(name, { ...FILE, mode: 0o755, uid: i });
          if (!expectRoomOrFull(made)) failures++;
          else places.push(made as Ext4Inode);
          continue;
        }
        const made = place.create(name, { ...FILE, uid: i * 257 });
        if (!expectRoomOrFull(made)) {
          failures++;
          continue;
        }
        const file = made as Ext4Inode;
        const data = new Uint8Array(random.below(3) === 0 ? random.below(200_000) : random.below(300)).fill(
          1 + (i % 200),
        );
        const written = file.writeAt(0, data);
        if (!expectRoomOrFull(written)) failures++;
        if (random.below(4) === 0 && !expectRoomOrFull(file.setxattr("user.a", data.subarray(0, 700), 0))) failures++;
        if (random.below(4) === 0) file.fallocate(1, random.below(500_000), 50_000); // reserves what it can, or cannot at all
        sizes.set(`${at}/${name}`, Math.max(0, written));
      }
      for (const [path, size] of [...sizes]) {
        const [at = "", name = ""] = path.split("/");
        const place = places[Number(at)] as Ext4Inode;
        const file = place.lookup(name) as Ext4Inode;
        expect(file.size, path).toBe(size);
        const data = new Uint8Array(size);
        expect(file.readAt(0, data)).toBe(size);
        expect(new Set(data).size).toBeLessThanOrEqual(1);
        if (random.below(2) === 0) continue;
        expect(place.unlink(name)).toBe(0);
        sizes.delete(path);
      }
    }
    expect(fs.unmount()).toBe(0);
    expect(lines).toEqual([]);
    saveImage(disk, image);
    expect(fsckProblems(image)).toBeUndefined();
  },
);
