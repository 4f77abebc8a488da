/// <reference types="node" />
/**
 * Casefold directories: names are found in any case and form, kept as they were written, hashed as e2fsprogs hashes them (its fsck compares),
 * and never made where that hash is not certain.
 */
import { MemoryDisk } from "blockdev-disk";
import { FileDisk } from "blockdev-disk/node";
import { decodeName, encodeName } from "linux-abi";
import { Vfs } from "vfs-inode";
import { afterAll, expect, test, vi } from "vitest";
import { check } from "../src/check/index.ts";
import { foldName } from "../src/directory/casefold.ts";
import { Ext4FileSystem, type Ext4Inode, mkfs, type MkfsOptions } from "../src/index.ts";
import { fsckProblems, hasE2fsprogs, makeImage, run, saveImage, Workspace } from "./e2fsprogs.ts";
import { Random } from "./model.ts";

vi.setConfig({ testTimeout: 900_000 }); // a busy machine is no failure

const work = new Workspace();
afterAll(() => work.remove());
const CASEFOLD_FL = 0x4000_0000;
const FILE = { mode: 0o100644, uid: 0, gid: 0, rdev: 0 };
const DIR = { mode: 0o755, uid: 0, gid: 0, rdev: 0 };
const [EEXIST, EINVAL, ENOENT, ENOTEMPTY, EOPNOTSUPP] = [-17, -22, -2, -39, -95];

function make(options: Partial<MkfsOptions> = {}): { disk: MemoryDisk; fs: Ext4FileSystem; dir: Ext4Inode } {
  const disk = new MemoryDisk(32 << 20);
  const uuid = "0d15ea5e-0000-4000-8000-000000000000";
  mkfs(disk, { uuid, encoding: "utf8", assumeStoragePrezeroed: true, ...options });
  const fs = new Ext4FileSystem(disk);
  const dir = fs.root().mkdir("d", DIR) as Ext4Inode;
  expect(dir.setInodeFlags(dir.inodeFlags() | CASEFOLD_FL)).toBe(0);
  return { disk, fs, dir };
}

function names(dir: Ext4Inode): string[] {
  const found: string[] = [];
  expect(dir.readdir(0, (name) => found.push(name) > 0)).toBe(0);
  return found.slice(2);
}

function inoOf(found: Ext4Inode | number): number {
  return typeof found === "number" ? found : found.ino;
}

/** A closed volume: nothing that e2fsck or our own check finds. */
function expectClean(disk: MemoryDisk): void {
  expect(check(disk).problems).toEqual([]);
  if (!hasE2fsprogs) return;
  const path = work.file("saved.img");
  saveImage(disk, path);
  expect(fsckProblems(path)).toBeUndefined();
}

test.each([
  ["Straße", "strasse"],
  ["STRAẞE", "strasse"],
  ["İstanbul", "i\u0307stanbul"],
  ["IJSSEL ı", "ijssel ı"], // not the Turkish way
  ["oﬃce", "office"],
  ["ΟΔΟΣ", "οδοσ"],
  ["οδος", "οδοσ"],
  ["\u1fb3", "\u03b1\u03b9"], // ypogegrammeni
  ["ᏸ", "Ᏸ"], // Cherokee folds to capitals
  ["Å\u212b\u0041\u030a", "a\u030aa\u030aa\u030a"],
  ["각", "\u1100\u1161\u11a8"], // Hangul is decomposed by rule
  ["a\u0301\u0327", "a\u0327\u0301"], // marks in canonical order
  ["a\u0301\u034f\u0327", "a\u0301\u0327"], // but not across what is ignored
  ["soft\u00adhyphen\u200b\ufe0f", "softhyphen"],
  ["\u2065", ""],
  ["A\u0301\u{1193b}\u0327", "a\u0301\u{1193b}\u0327"], // assigned after Unicode 12.1: as it is
  ["\u0378\ue000\uffff", "\u0378\ue000\uffff"],
])("%j is known as %j", (name, folded) => {
  const bytes = new TextEncoder().encode(name);
  expect(decodeName(foldName(bytes, 0, bytes.length) as Uint8Array)).toBe(folded);
});

test.each([
  [0xff],
  [0x41, 0x80],
  [0xc3],
  [0xc0, 0x80],
  [0xed, 0xa0, 0x80],
  [0xf4, 0x90, 0x80, 0x80],
  [0xe2, 0x82, 0x41],
])("bytes that are not UTF-8 have no folded form: %o", (...bytes) =>
  expect(foldName(Uint8Array.from(bytes), 0, bytes.length)).toBeUndefined(),
);

test.each<[string, Partial<MkfsOptions>]>([
  ["in blocks", {}],
  ["in the inode", { features: ["inline_data"] }],
])("a name answers to every case and form, and stays as it was written: %s", (_where, options) => {
  const { disk, fs, dir } = make(options);
  const ino = inoOf(dir.create("Größe ẞ.TXT", FILE));
  for (const name of ["GRÖSSE SS.txt", "gro\u0308ße ß.Txt", "Größe ẞ.TXT"]) {
    expect([name, inoOf(dir.lookup(name))]).toEqual([name, ino]);
    expect([name, dir.create(name, FILE)]).toEqual([name, EEXIST]);
    expect([name, dir.mkdir(name, DIR)]).toEqual([name, EEXIST]);
  }
  expect(names(dir)).toEqual(["Größe ẞ.TXT"]);
  expect(dir.rename("GRÖSSE ss.txt", dir, "größe SS.txt", 0)).toBe(0); // the same name: nothing to do, as in Linux
  expect(names(dir)).toEqual(["Größe ẞ.TXT"]);
  expect(dir.rename("grösse ss.txt", fs.root(), "out", 0)).toBe(0);
  expect([names(dir), inoOf(fs.root().lookup("out")), fs.root().lookup("OUT")]).toEqual([[], ino, ENOENT]);
  dir.create("Target", FILE);
  expect(fs.root().rename("out", dir, "tARGET", 0)).toBe(0);
  expect([names(dir), inoOf(dir.lookup("target"))]).toEqual([["Target"], ino]);
  expect(dir.link("TARGET", dir.lookup("target") as Ext4Inode)).toBe(EEXIST);
  expect(dir.unlink("TARGET")).toBe(0);
  expect(names(dir)).toEqual([]);
  fs.unmount();
  expectClean(disk);
});

test("chattr +F is for empty directories of volumes with the feature, and new directories inherit it", () => {
  const { disk, fs, dir } = make();
  const sub = dir.mkdir("Sub", DIR) as Ext4Inode;
  expect([sub.inodeFlags() & CASEFOLD_FL, sub.cacheableNames, fs.root().cacheableNames]).toEqual([
    CASEFOLD_FL,
    false,
    true,
  ]);
  sub.create("A", FILE);
  expect(inoOf(sub.lookup("a"))).toBe(inoOf(sub.lookup("A")));
  expect(dir.setInodeFlags(dir.inodeFlags() & ~CASEFOLD_FL)).toBe(ENOTEMPTY);
  expect((sub.lookup("a") as Ext4Inode).inodeFlags() & CASEFOLD_FL).toBe(0);
  expect((sub.lookup("a") as Ext4Inode).setInodeFlags(CASEFOLD_FL | 0x80000)).toBe(EOPNOTSUPP);
  const full = fs.root().mkdir("full", DIR) as Ext4Inode;
  full.create("a", FILE);
  expect(full.setInodeFlags(full.inodeFlags() | CASEFOLD_FL)).toBe(ENOTEMPTY);
  expect([full.unlink("a"), full.setInodeFlags(full.inodeFlags() | CASEFOLD_FL)]).toEqual([0, 0]);
  fs.unmount();
  expectClean(disk);
  const plain = new MemoryDisk(16 << 20);
  mkfs(plain, { uuid: "0d15ea5e-0000-4000-8000-000000000000" });
  const root = new Ext4FileSystem(plain).root();
  expect(root.setInodeFlags(root.inodeFlags() | CASEFOLD_FL)).toBe(EOPNOTSUPP);
});

test("names whose folded form is not certain, or is that of a directory itself, are not made", () => {
  for (const encodingFlags of [[], ["strict"]] as const) {
    const { disk, fs, dir } = make({ encodingFlags });
    const broken = decodeName(Uint8Array.of(0x41, 0xff, 0x42));
    expect(dir.create(broken, FILE)).toBe(EINVAL);
    expect(dir.lookup(broken)).toBe(encodingFlags.length > 0 ? EINVAL : ENOENT);
    dir.create("a", FILE);
    expect(dir.rename("a", dir, broken, 0)).toBe(EINVAL);
    expect(fs.root().rename("d", dir, broken, 0)).toBeLessThan(0);
    expect([dir.create(".\u200b", FILE), dir.mkdir("\u00ad..", DIR)]).toEqual([EINVAL, EINVAL]);
    expect(dir.create("\u00ad", FILE)).toBeTypeOf("object");
    expect(inoOf(dir.lookup("\u200d"))).toBe(inoOf(dir.lookup("\u00ad"))); // both are nothing but ignorable
    expect(dir.unlink(".\u200b")).toBe(ENOENT);
    expect(fs.root().create(broken, FILE)).toBeTypeOf("object"); // elsewhere bytes are bytes
    fs.unmount();
    expectClean(disk);
  }
});

const ALPHABETS = [
  "abcXYZ",
  "äÖßẞﬃ",
  "αΣςΐᾳ",
  "İıſK",
  "각낳",
  "e\u0301\u0327\u0323",
  "\u200b\u00ad",
  "Ꮳꮳ",
  "Ж\u{10400}",
  "\u1df5\u{1193b}",
];

test.each<[string, Partial<MkfsOptions>]>([
  ["half MD4", {}],
  ["without checksums, in the inode first", { features: ["^metadata_csum", "inline_data"], encodingFlags: ["strict"] }],
  ["4 KiB blocks, large_dir", { blockSize: 4096, features: ["large_dir"] }],
])("a large directory of all sorts of names has the index that e2fsck expects: %s", (_name, options) => {
  const { disk, fs, dir } = make(options);
  const random = new Random(11);
  const known = new Map<string, string>(); // folded → as written
  for (let i = 0; i < 3000; i++) {
    let name = "";
    for (let length = 3 + random.below(20); length > 0; length--) {
      const alphabet = [...ALPHABETS[random.below(ALPHABETS.length)]];
      name += alphabet[random.below(alphabet.length)];
    }
    const bytes = encodeName(name);
    const folded = decodeName(foldName(bytes, 0, bytes.length) as Uint8Array);
    const made = dir.create(name, FILE);
    expect([name, typeof made === "number" ? made : 0]).toEqual([name, known.has(folded) ? EEXIST : 0]);
    if (!known.has(folded)) known.set(folded, name);
    if (random.below(10) === 0) {
      expect(dir.unlink(name.replaceAll("ß", "SS"))).toBe(0);
      known.delete(folded);
    }
  }
  expect(names(dir).sort()).toEqual([...known.values()].sort());
  for (const name of known.values())
    expect(inoOf(dir.lookup(name.replaceAll("a", "A").replaceAll("é", "E\u0301")))).toBe(inoOf(dir.lookup(name)));
  fs.unmount();
  expectClean(disk);
});

test.skipIf(!hasE2fsprogs)("a directory that e2fsck indexed is searched by its index", () => {
  const path = work.file("theirs.img");
  makeImage(path, 16 << 20, ["-O", "casefold", "-E", "encoding=utf8"]);
  const written = Array.from({ length: 300 }, (_, i) => `Ñame-${i}-ẞ${"X".repeat(40)}`);
  const commands = [
    "mkdir d",
    "set_inode_field d flags 0x40080000",
    ...written.map((name) => `write /etc/hostname d/${name}`),
  ];
  run("debugfs", ["-w", "-f", "-", path], `${commands.join("\n")}\n`);
  run("e2fsck", ["-fyD", path]);
  const disk = new FileDisk(path);
  const fs = new Ext4FileSystem(disk);
  const dir = fs.root().lookup("d") as Ext4Inode;
  expect(dir.inodeFlags() & (CASEFOLD_FL | 0x1000)).toBe(CASEFOLD_FL | 0x1000);
  expect(names(dir).length).toBe(300);
  for (const name of written) expect(inoOf(dir.lookup(name.toUpperCase()))).toBe(inoOf(dir.lookup(name)));
  for (let i = 0; i < 300; i += 2) expect(dir.unlink(`ñAME-${i}-ss${"x".repeat(40)}`)).toBe(0);
  for (let i = 300; i < 900; i++) expect(dir.create(`ñÄme-${i}`, FILE)).toBeTypeOf("object");
  fs.unmount();
  disk.close();
  expect(fsckProblems(path)).toBeUndefined();
});

test.skipIf(!hasE2fsprogs)("names of Linux's that are not UTF-8 are found by their bytes, and removed", () => {
  const path = work.file("bytes.img");
  makeImage(path, 16 << 20, ["-O", "casefold", "-E", "encoding=utf8"]);
  const commands = [
    "mkdir d",
    "set_inode_field d flags 0x40080000",
    "write /etc/hostname d/A.B",
    "write /etc/hostname d/other",
  ];
  run("debugfs", ["-w", "-f", "-", path], `${commands.join("\n")}\n`);
  const disk = new FileDisk(path);
  const fs = new Ext4FileSystem(disk);
  const dir = fs.root().lookup("d") as Ext4Inode;
  const found = fs.volume.work.found;
  // debugfs takes no such bytes: put one into the name.
  dir.lookup("A.B");
  const entry = found.buffer as NonNullable<typeof found.buffer>;
  fs.volume.begin();
  entry.data[found.at + 9] = 0xff;
  fs.volume.dirtyBuffer(entry, entry.kind, entry.seed);
  fs.volume.end(0);
  const name = decodeName(Uint8Array.of(0x41, 0xff, 0x42));
  expect([dir.lookup("A.B"), inoOf(dir.lookup(name)) > 0]).toEqual([ENOENT, true]);
  expect(dir.lookup(decodeName(Uint8Array.of(0x61, 0xff, 0x62)))).toBe(ENOENT);
  expect(names(dir).sort()).toEqual([name, "other"].sort());
  expect(dir.unlink(name)).toBe(0);
  fs.unmount();
  disk.close();
  expect(fsckProblems(path)).toBeUndefined();
});

test("a name under a wrong hash is damage that check finds, and repairs with the index in place", () => {
  const { disk, fs, dir } = make();
  for (let i = 0; i < 400; i++) dir.create(`ÄNAME ${i} ${"x".repeat(30)}`, FILE);
  dir.lookup(`äname 7 ${"x".repeat(30)}`);
  const { buffer, at } = fs.volume.work.found;
  if (buffer === null) throw new Error("no block");
  fs.volume.begin();
  buffer.data[at + 8 + 7] = 0x5f; // "ÄNAME 7 …" becomes "ÄNAME _ …", whose hash lies elsewhere
  fs.volume.dirtyBuffer(buffer, buffer.kind, buffer.seed);
  fs.volume.end(0);
  fs.unmount();
  expect(check(disk).verdict).toBe("corrupt");
  if (hasE2fsprogs) {
    saveImage(disk, work.file("wrong.img"));
    expect(fsckProblems(work.file("wrong.img"))).toMatch(/HTREE/);
  }
  expect([check(disk, { repair: true }).exitStatus, check(disk).verdict]).toEqual([1, "clean"]);
  const again = new Ext4FileSystem(disk);
  const mended = again.root().lookup("d") as Ext4Inode;
  expect(mended.inodeFlags() & 0x1000).toBe(0x1000);
  expect(inoOf(mended.lookup(`äName _ ${"X".repeat(30)}`))).toBeGreaterThan(0);
  again.unmount();
  expectClean(disk);
});

test("through the VFS no name is remembered where others mean the same", () => {
  const { fs, dir } = make();
  expect(dir.setInodeFlags(dir.inodeFlags() & ~CASEFOLD_FL)).toBe(0);
  const vfs = new Vfs();
  const context = vfs.mountRoot(fs);
  const path = vfs.lookup(context, null, "/d", 0);
  if (typeof path === "number") throw new Error(`lookup: ${path}`);
  path.pin();
  expect(vfs.lookup(context, null, "/d/name", 0)).toBe(ENOENT); // remembered as absent
  expect(dir.setInodeFlags(dir.inodeFlags() | CASEFOLD_FL)).toBe(0);
  vfs.dentries.refresh(path.dentry);
  for (let round = 0; round < 2; round++) {
    expect(vfs.mkdir(context, null, "/d/Name", 0o755)).toBe(0);
    for (const name of ["name", "NAME", "Name"])
      expect(vfs.lookup(context, null, `/d/${name}`, 0)).toBeTypeOf("object");
    expect(vfs.mkdir(context, null, "/d/nAmE", 0o755)).toBe(EEXIST);
    expect(vfs.mkdir(context, null, "/d/nAME/Sub", 0o755)).toBe(0);
    expect(vfs.rename(context, null, "/d/name/sub", null, "/d/NAME/other")).toBe(0);
    expect(vfs.rmdir(context, null, "/d/Name/OTHER")).toBe(0);
    expect(vfs.rmdir(context, null, "/d/NAME")).toBe(0);
    for (const name of ["name", "NAME", "Name"]) expect(vfs.lookup(context, null, `/d/${name}`, 0)).toBe(ENOENT);
  }
  path.unpin();
});

test("a volume of an encoding that nobody knows is refused, as by Linux", () => {
  const { disk, fs } = make({ features: ["^metadata_csum"] });
  fs.unmount();
  const block = new Uint8Array(1024);
  disk.readBlock(1024 / disk.blockSize, block);
  block[0x27c] = 9;
  disk.writeBlock(1024 / disk.blockSize, block);
  expect(Ext4FileSystem.mount(disk)).toMatchObject({ features: ["casefold"], errno: 22 });
});
