/// <reference types="node" />
/** Images filled from a host directory and from tar archives are what mke2fs -d and tar make of them. */
import { spawnSync } from "node:child_process";
import { chmodSync, linkSync, mkdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { MemoryDisk } from "blockdev-disk";
import { afterAll, expect, test } from "vitest";
import { Ext4FileSystem, type Ext4Inode, type ImageEntry, mkfs, populate, tarEntries } from "../src/index.ts";
import { directoryEntries } from "../src/node/index.ts";
import { fsckProblems, hasE2fsprogs, makeImage, saveImage, Workspace } from "./e2fsprogs.ts";
import { FileDisk } from "blockdev-disk/node";

const workspace = new Workspace();
afterAll(() => workspace.remove());

const tree = workspace.file("tree");
mkdirSync(`${tree}/sub/deep`, { recursive: true });
writeFileSync(`${tree}/file`, "content\n".repeat(700));
writeFileSync(`${tree}/empty`, "");
writeFileSync(
  `${tree}/sub/large`,
  new Uint8Array(2_500_000).map((_, i) => i * 3),
);
writeFileSync(`${tree}/sub/${"long name ".repeat(20)}`, "x");
linkSync(`${tree}/file`, `${tree}/sub/linked`);
symlinkSync("../file", `${tree}/sub/symlink`);
symlinkSync("t".repeat(150), `${tree}/long symlink`);
writeFileSync(Buffer.concat([Buffer.from(`${tree}/bytes`), Buffer.of(0xff, 0xfe)]), "name that is not UTF-8");
chmodSync(`${tree}/file`, 0o4755);
chmodSync(`${tree}/sub/deep`, 0o700);
utimesSync(`${tree}/file`, 1_000_000_000.25, 1_000_000_000.25);

function filled(entries: Iterable<ImageEntry>): { disk: MemoryDisk; fs: Ext4FileSystem } {
  const disk = new MemoryDisk(32 << 20);
  mkfs(disk, { uuid: "0d15ea5e-0000-4000-8000-000000000008", assumeStoragePrezeroed: true });
  const fs = new Ext4FileSystem(disk, { unjournaled: true });
  populate(fs, entries);
  return { disk, fs };
}

/** Everything below an inode, in words. */
function describe(inode: Ext4Inode, path: string, out: string[] = []): string[] {
  const names: string[] = [];
  inode.readdir(0, (name) => names.push(name) > 0);
  for (const name of names.sort()) {
    if (name === "." || name === ".." || name === "lost+found") continue;
    const child = inode.lookup(name) as Ext4Inode;
    const attributes = { atime: {}, mtime: { sec: 0, nsec: 0 }, ctime: {} };
    child.getattr(attributes as never);
    const data = new Uint8Array(child.size);
    const isFile = (child.mode & 0o170000) === 0o100000;
    const text = isFile ? Buffer.from(data.subarray(0, child.readAt(0, data))).toString("latin1") : child.readlink();
    out.push(`${path}/${name} ${child.mode.toString(8)} ${child.nlink} ${attributes.mtime.sec} ${text}`);
    if ((child.mode & 0o170000) === 0o040000) describe(child, `${path}/${name}`, out);
  }
  return out;
}

test.skipIf(!hasE2fsprogs)("a host directory becomes what mke2fs -d makes of it", () => {
  const { disk, fs } = filled(directoryEntries(tree));
  const image = workspace.file("theirs.img");
  makeImage(image, 32 << 20, ["-d", tree]);
  const theirs = new Ext4FileSystem(new FileDisk(image, { readOnly: true }));
  expect(describe(fs.root(), "")).toEqual(describe(theirs.root(), ""));
  expect(fs.unmount()).toBe(0);
  saveImage(disk, image);
  expect(fsckProblems(image)).toBeUndefined();
});

test("with owner and time given, a tree gives the same bytes wherever it lies", () => {
  const build = (): Uint8Array => {
    const { disk, fs } = filled(directoryEntries(tree, { owner: [5, 6], mtime: 7 }));
    expect((fs.root().lookup("file") as Ext4Inode).uid).toBe(5);
    expect(fs.unmount()).toBe(0);
    return disk.toBytes();
  };
  expect(Buffer.compare(build(), build())).toBe(0);
});

test.each(["gnu", "pax", "ustar", "v7"])(
  "a tar archive in %s format gives the same tree as the directory",
  (format) => {
    const archive = workspace.file("tree.tar");
    const skipped = format === "ustar" || format === "v7" ? ["--exclude=long*", "--exclude=bytes*"] : [];
    const made = spawnSync("tar", ["--format", format, ...skipped, "-C", tree, "-cf", archive, "."]);
    expect(made.status).toBe(0);
    const { fs } = filled(tarEntries(readFileSync(archive)));
    const wanted = filled(directoryEntries(tree));
    const lines = describe(wanted.fs.root(), "").filter((line) => skipped.length === 0 || !/\/(long|bytes)/.test(line));
    expect(describe(fs.root(), "")).toEqual(lines);
  },
);

test("an archive that is cut off or no archive is refused", () => {
  const archive = workspace.file("tree.tar");
  spawnSync("tar", ["-C", tree, "-cf", archive, "."]);
  const bytes = readFileSync(archive);
  expect(() => tarEntries(bytes.subarray(0, 5000))).toThrow("cut off");
  expect(() => tarEntries(new Uint8Array(1024).fill(1))).toThrow("wrong checksum");
  for (let i = 0; i < 300; i++) {
    const damaged = Uint8Array.from(bytes.subarray(0, 20_000));
    damaged[(i * 7919) % damaged.length] ^= 1 << (i % 8);
    try {
      tarEntries(damaged);
    } catch (error) {
      expect(error).toMatchObject({ kind: "invalid" });
    }
  }
});
