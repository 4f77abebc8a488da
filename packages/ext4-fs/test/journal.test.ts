/// <reference types="node" />
/** Journals that debugfs wrote, replayed by us: versions 2 and 3 of the checksums, revoke records, escaped blocks, wrong sequences. */
import { writeFileSync } from "node:fs";
import { MemoryDisk, OverlayDisk } from "blockdev-disk";
import { FileDisk } from "blockdev-disk/node";
import { afterAll, expect, test } from "vitest";
import { Ext4Error, Ext4FileSystem, type Ext4Inode, mkfs } from "../src/index.ts";
import { fsckProblems, hasE2fsprogs, makeImage, run, saveImage, Workspace } from "./e2fsprogs.ts";

const workspace = new Workspace();
afterAll(() => workspace.remove());

const BLOCK = 1024;
const image = workspace.file("journal.img");

/** An image whose file /target lies in known blocks, and a journal that overwrites some of them. Gives the file's block numbers. */
function imageWithJournal(journalOptions: string, commands: (blocks: number[]) => string[]): number[] {
  const data = workspace.file("old");
  writeFileSync(data, new Uint8Array(4 * BLOCK).fill(0x6f));
  makeImage(image, 16 << 20, ["-b", "1024", "-O", journalOptions]);
  run("debugfs", ["-w", "-R", `write ${data} target`, image]);
  const blocks = run("debugfs", ["-R", "blocks /target", image]).stdout.match(/\d+/g)?.map(Number) ?? [];
  expect(blocks.length).toBe(4);
  const done = run("debugfs", ["-w", "-f", "-", image], `${commands(blocks).join("\n")}\n`);
  expect(done.status).toBe(0);
  return blocks;
}

function block(name: string, fill: number, magic = false, count = 1): string {
  const path = workspace.file(name);
  const data = new Uint8Array(count * BLOCK).fill(fill);
  if (magic) data.set([0xc0, 0x3b, 0x39, 0x98]);
  writeFileSync(path, data);
  return path;
}

/** First byte of each of the four blocks of /target as the mounted volume sees it. */
function contents(readOnly: boolean): number[] {
  const disk = new FileDisk(image, { readOnly });
  const fs = new Ext4FileSystem(disk);
  const buf = new Uint8Array(4 * BLOCK);
  expect((fs.root().lookup("target") as Ext4Inode).readAt(0, buf)).toBe(buf.length);
  expect(fs.unmount()).toBe(0);
  disk.close();
  return [0, 1, 2, 3].map((i) => buf[i * BLOCK]);
}

const VERSIONS: readonly [name: string, options: string, jo: string][] = [
  ["csum v3, 64bit", "64bit,metadata_csum", "jo -c -v 3"],
  ["csum v2, 64bit", "64bit,metadata_csum", "jo -c -v 2"],
  ["csum v3, 32-bit", "^64bit,metadata_csum", "jo -c -v 3"],
  ["csum v2, 32-bit", "^64bit,metadata_csum", "jo -c -v 2"],
  ["no checksums, 64bit", "64bit,^metadata_csum", "jo"],
  ["no checksums, 32-bit", "^64bit,^metadata_csum", "jo"],
];

test.skipIf(!hasE2fsprogs).each(VERSIONS)(
  "committed blocks are replayed, revoked ones are not: %s",
  (_name, options, jo) => {
    const x = block("x", 0x78, false, 2);
    const y = block("y", 0x79);
    const make = (): number[] =>
      imageWithJournal(options, (b) => [
        jo,
        `jw -b ${b[0]},${b[1]} ${x}`,
        `jw -b ${b[1]} ${y}`,
        `jw -r ${b[0]}`,
        `jw -b ${b[2]} ${y}`,
        "jc",
      ]);
    make();
    // A read-only mount sees the same without writing anything.
    const before = run("dumpe2fs", ["-h", image]).output;
    expect(contents(true)).toEqual([0x6f, 0x79, 0x79, 0x6f]);
    expect(run("dumpe2fs", ["-h", image]).output).toBe(before);
    expect(before).toContain("needs_recovery");
    expect(contents(false)).toEqual([0x6f, 0x79, 0x79, 0x6f]);
    expect(run("dumpe2fs", ["-h", image]).output).not.toContain("needs_recovery");
    expect(fsckProblems(image)).toBeUndefined();
    // e2fsck agrees.
    make();
    run("e2fsck", ["-fy", "-E", "journal_only", image]);
    expect(contents(true)).toEqual([0x6f, 0x79, 0x79, 0x6f]);
  },
);

test.skipIf(!hasE2fsprogs)("a logged block that looks like a journal header comes back unescaped", () => {
  const m = block("m", 0x6d, true);
  imageWithJournal("64bit,metadata_csum", (b) => ["jo -c -v 3", `jw -b ${b[3]} ${m}`, "jc"]);
  expect(contents(false)).toEqual([0x6f, 0x6f, 0x6f, 0xc0]);
});

test.skipIf(!hasE2fsprogs)("a transaction without its commit block is not replayed", () => {
  const x = block("x", 0x78);
  imageWithJournal("64bit,metadata_csum", (b) => ["jo -c -v 3", `jw -b ${b[0]} ${x}`, `jw -b ${b[1]} -c ${x}`, "jc"]);
  const seen = contents(false);
  expect(seen[1]).toBe(0x6f);
});

test.skipIf(!hasE2fsprogs)("a logged block with a wrong checksum refuses the mount as corrupt", () => {
  const x = block("x", 0x78);
  imageWithJournal("64bit,metadata_csum", (b) => ["jo -c -v 3", `jw -b ${b[0]} ${x}`, "jc"]);
  const disk = new FileDisk(image);
  const found = new Uint8Array(BLOCK);
  let at = -1;
  // The copy in the log is the only block full of "x".
  for (let i = 0; i < disk.size / BLOCK && at < 0; i++) {
    disk.readBlock(i * 2, found);
    if (found.every((byte) => byte === 0x78)) at = i;
  }
  found[77] = 1;
  disk.writeBlock(at * 2, found);
  expect(Ext4FileSystem.mount(disk)).toMatchObject({ kind: "corrupt" });
  disk.close();
});

// ---- our own journal ----

function ownVolume(): MemoryDisk {
  const disk = new MemoryDisk(16 << 20);
  mkfs(disk, { uuid: "0d15ea5e-0000-4000-8000-000000000002", assumeStoragePrezeroed: true });
  return disk;
}
const NODE = { mode: 0o100644, uid: 0, gid: 0, rdev: 0 };

test("what was synced survives without an unmount; what was not is gone as a whole", () => {
  const disk = new OverlayDisk(ownVolume());
  const fs = new Ext4FileSystem(disk);
  (fs.root().create("synced", NODE) as Ext4Inode).writeAt(0, Uint8Array.of(1, 2, 3));
  expect(fs.root().sync(false)).toBe(0);
  fs.root().create("lost", NODE);
  const again = new Ext4FileSystem(disk);
  expect((again.root().lookup("synced") as Ext4Inode).size).toBe(3);
  expect(again.root().lookup("lost")).toBe(-2);
});

test("needs_recovery is on the medium exactly while the volume is mounted for writing", () => {
  const disk = ownVolume();
  const flag = (): boolean => {
    const block = new Uint8Array(2048);
    disk.readBlock(0, block);
    return (block[1024 + 0x60] & 4) !== 0;
  };
  const fs = new Ext4FileSystem(disk);
  expect(flag()).toBe(true);
  expect(fs.remount(true)).toBe(0);
  expect(flag()).toBe(false);
  expect(fs.root().create("no", NODE)).toBe(-30);
  expect(fs.remount(false)).toBe(0);
  expect(flag()).toBe(true);
  expect(typeof fs.root().create("yes", NODE)).toBe("object");
  expect(fs.unmount()).toBe(0);
  expect(flag()).toBe(false);
});

test("a file that was open without a name when the machine died is freed at the next mount", () => {
  for (const features of [[], ["orphan_file"]]) {
    const disk = new MemoryDisk(16 << 20);
    mkfs(disk, { uuid: "0d15ea5e-0000-4000-8000-000000000003", assumeStoragePrezeroed: true, features });
    const fs = new Ext4FileSystem(disk);
    const free = fs.statfs().blocksFree;
    for (let i = 0; i < 5; i++) {
      const file = fs.root().create(`f${i}`, NODE) as Ext4Inode;
      file.ref();
      file.writeAt(0, new Uint8Array(50_000));
      expect(fs.root().unlink(`f${i}`)).toBe(0);
    }
    expect(fs.root().sync(false)).toBe(0);
    const again = new Ext4FileSystem(disk);
    expect(again.statfs().blocksFree).toBe(free);
    expect(again.unmount()).toBe(0);
    if (hasE2fsprogs) {
      saveImage(disk, image);
      expect(fsckProblems(image)).toBeUndefined();
    }
  }
});

test("space that only a commit sets free is found when nothing else is left", () => {
  const fs = new Ext4FileSystem(ownVolume());
  const file = fs.root().create("all", NODE) as Ext4Inode;
  const piece = new Uint8Array(1 << 20);
  let size = 0;
  for (let count = piece.length; count === piece.length; size += Math.max(0, count)) count = file.writeAt(size, piece);
  expect(fs.root().create("more", NODE)).toBeInstanceOf(Object);
  expect((fs.root().lookup("more") as Ext4Inode).writeAt(0, piece)).toBe(-28);
  expect(fs.root().unlink("all")).toBe(0);
  expect((fs.root().lookup("more") as Ext4Inode).writeAt(0, piece)).toBe(piece.length);
  expect(fs.unmount()).toBe(0);
});

test("a device that starts failing stops all writing, and the volume mounts again with what was committed", () => {
  const disk = ownVolume();
  let broken = false;
  const failing = {
    size: disk.size,
    blockSize: 512,
    readOnly: false,
    readBlock: (id: number, buf: Uint8Array) => disk.readBlock(id, buf),
    writeBlock: (id: number, buf: Uint8Array) => (broken ? -5 : disk.writeBlock(id, buf)),
    flush: () => (broken ? -5 : 0),
  };
  const fs = new Ext4FileSystem(failing);
  fs.root().create("good", NODE);
  expect(fs.root().sync(false)).toBe(0);
  broken = true;
  fs.root().create("bad", NODE);
  expect(fs.root().sync(false)).toBe(-5);
  expect(fs.root().create("worse", NODE)).toBe(-5);
  expect(fs.readOnly).toBe(true);
  expect(fs.root().lookup("good")).toBeInstanceOf(Object);
  fs.unmount();
  const again = Ext4FileSystem.mount(disk);
  expect(again).not.toBeInstanceOf(Ext4Error);
  expect((again as Ext4FileSystem).root().lookup("good")).toBeInstanceOf(Object);
});
