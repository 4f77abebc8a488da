/// <reference types="node" />
/** Fast commits written here record by record, replayed by us and by e2fsck. (Those of Linux: linux-mount.test.ts.) */
import { copyFileSync, writeFileSync } from "node:fs";
import { OverlayDisk } from "blockdev-disk";
import { FileDisk } from "blockdev-disk/node";
import { afterAll, expect, test } from "vitest";
import { crc32c } from "../src/checksum/crc32c.ts";
import { Ext4FileSystem, type Ext4Inode } from "../src/index.ts";
import type { CoreInode } from "../src/inode.ts";
import { JBD2_FEATURE_INCOMPAT_FAST_COMMIT, JS_FEATURE_INCOMPAT, JS_SEQUENCE } from "../src/journal/layout.ts";
import { type JournalLog, openLog } from "../src/journal/log.ts";
import { prepareVolume } from "../src/mount.ts";
import type { Volume } from "../src/volume.ts";
import { fsckProblems, hasE2fsprogs, makeImage, run, Workspace } from "./e2fsprogs.ts";
import { exercise } from "./exercise.ts";
import { Random } from "./model.ts";

const workspace = new Workspace();
afterAll(() => workspace.remove());
const BLOCK = 1024;
const image = workspace.file("fast.img");

/** One fast commit: records, then a tail that fills the block. */
class Commit {
  readonly #bytes = new Uint8Array(BLOCK);
  readonly #view = new DataView(this.#bytes.buffer);
  readonly #tid: number;
  #at = 0;

  constructor(tid: number, begins: boolean) {
    this.#tid = tid;
    if (begins) this.add(9, [0, tid]);
  }

  /** A record of 32-bit words, then bytes. */
  add(tag: number, words: readonly number[], bytes: Uint8Array = new Uint8Array(0)): this {
    this.#view.setUint16(this.#at, tag, true);
    this.#view.setUint16(this.#at + 2, words.length * 4 + bytes.length, true);
    for (const [i, word] of words.entries()) this.#view.setUint32(this.#at + 4 + i * 4, word, true);
    this.#bytes.set(bytes, this.#at + 4 + words.length * 4);
    this.#at += 4 + words.length * 4 + bytes.length;
    return this;
  }

  name(tag: number, parent: number, ino: number, name: string): this {
    return this.add(tag, [parent, ino], new TextEncoder().encode(name));
  }

  finish(crcError: number = 0): Uint8Array {
    this.#view.setUint16(this.#at, 8, true);
    this.#view.setUint16(this.#at + 2, BLOCK - this.#at - 4, true);
    this.#view.setUint32(this.#at + 4, this.#tid, true);
    this.#view.setUint32(this.#at + 8, crc32c(0, this.#bytes, 0, this.#at + 8) ^ crcError, true);
    return this.#bytes;
  }
}

const CREAT = 3;
const LINK = 4;
const UNLINK = 5;

test.skipIf(!hasE2fsprogs)("records that make no sense give an error, never an exception", () => {
  dirtyVolume();
  const base = new FileDisk(image, { readOnly: true });
  const random = new Random(4);
  let mounted = 0;
  for (let i = 0; i < 400; i++) {
    const disk = new OverlayDisk(base);
    const volume = prepareVolume(disk, {}) as Volume;
    const log = openLog(volume) as JournalLog;
    const commit = new Commit(log.view.getUint32(JS_SEQUENCE) + 1, true);
    const number = (): number => (random.below(4) === 0 ? random.below(2 ** 32) : random.below(30));
    for (let k = 0; k <= random.below(5); k++) {
      const bytes = new Uint8Array(random.below(3) === 0 ? 156 : random.below(20)).map(() => random.below(256));
      commit.add(1 + random.below(6), Array.from({ length: random.below(5) }, number), bytes);
    }
    expect(log.write(log.end + 1, commit.finish())).toBe(0);
    const fs = Ext4FileSystem.mount(disk);
    if (!(fs instanceof Ext4FileSystem)) continue;
    mounted++;
    exercise(fs);
  }
  expect(mounted).toBeGreaterThan(0);
});

/** A volume with a dirty journal and two fast commits behind it, the second one damaged. */
function dirtyVolume(): void {
  const old = workspace.file("old");
  writeFileSync(old, new Uint8Array(4 * BLOCK).fill(0x6f));
  makeImage(image, 16 << 20, ["-b", "1024", "-O", "fast_commit"]);
  const logged = workspace.file("logged");
  writeFileSync(logged, new Uint8Array(BLOCK).fill(0x6c));
  run("debugfs", ["-w", "-f", "-", image], `write ${old} target\nwrite ${old} gone\n`);
  const block = run("debugfs", ["-R", "blocks /target", image]).stdout.match(/\d+/)?.[0];
  run("debugfs", ["-w", "-f", "-", image], `jo -c -v 3\njw -b ${block} ${logged}\njc\n`);

  const disk = new FileDisk(image);
  const volume = prepareVolume(disk, {}) as Volume;
  const log = openLog(volume) as JournalLog;
  log.view.setUint32(JS_FEATURE_INCOMPAT, log.view.getUint32(JS_FEATURE_INCOMPAT) | JBD2_FEATURE_INCOMPAT_FAST_COMMIT);
  expect(log.writeSuperblock()).toBe(0);
  expect(log.fastCommitBlocks).toBeGreaterThan(4);
  const tid = log.view.getUint32(JS_SEQUENCE) + 1;

  const target = volume.inode(12) as CoreInode;
  const shorter = target.raw.slice(0, 160);
  const view = new DataView(shorter.buffer);
  view.setUint32(0x4, 2 * BLOCK, true); // i_size
  view.setUint16(0x1a, 2, true); // i_links_count
  const made = target.raw.slice(0, 160);
  made.fill(0, 0x28, 0x64);
  new DataView(made.buffer).setUint32(0x4, 3 * BLOCK, true);
  const free = volume.geometry.blocksCount - 100;
  expect(volume.writeBlocks(free, new Uint8Array(3 * BLOCK).fill(0x66))).toBe(0);
  const first = new Commit(tid, true)
    .add(6, [20], made)
    .add(1, [20, 0, 3, free]) // ADD_RANGE: file block 0, length 3
    .name(CREAT, 2, 20, "made")
    .add(6, [20], made)
    .name(LINK, 2, 12, "alias")
    .name(UNLINK, 2, 13, "gone")
    .add(2, [12, 2, 2]) // DEL_RANGE: file blocks 2 and 3
    .add(6, [12], shorter);
  expect(log.write(log.end + 1, first.finish())).toBe(0);
  expect(log.write(log.end + 2, new Commit(tid, false).name(LINK, 2, 12, "never").finish(1))).toBe(0);
  disk.close();
}

function content(fs: Ext4FileSystem, name: string): string {
  const inode = fs.root().lookup(name);
  if (typeof inode === "number") return `${inode}`;
  const data = new Uint8Array(inode.size);
  const bytes = data.subarray(0, inode.readAt(0, data));
  const runs = [...new Set(bytes)].map(
    (byte) => `${String.fromCharCode(byte)}${bytes.filter((b) => b === byte).length}`,
  );
  return `${runs.join(" ")}, ${inode.nlink} links`;
}

const NAMES = ["target", "alias", "made", "gone", "never"];
const WANTED = ["l1024 o1024, 2 links", "l1024 o1024, 2 links", "f3072, 1 links", "-2", "-2"];

test.skipIf(!hasE2fsprogs)("records of whole fast commits are carried out, those of a damaged one are not", () => {
  dirtyVolume();
  const theirs = workspace.file("theirs.img");
  copyFileSync(image, theirs);
  const lines: string[] = [];
  const readOnly = new Ext4FileSystem(new FileDisk(image, { readOnly: true }), { log: (line) => lines.push(line) });
  expect(NAMES.map((name) => content(readOnly, name))).toEqual(WANTED);
  expect(lines.join()).toContain("replayed 8 records of fast commits");
  const disk = new FileDisk(image);
  const fs = new Ext4FileSystem(disk);
  expect(NAMES.map((name) => content(fs, name))).toEqual(WANTED);
  expect(fs.root().lookup("alias")).toBe(fs.root().lookup("target") as Ext4Inode);
  expect(fs.unmount()).toBe(0);
  disk.close();
  expect(fsckProblems(image)).toBeUndefined();
  run("e2fsck", ["-fy", theirs]);
  const after = new Ext4FileSystem(new FileDisk(theirs, { readOnly: true }));
  expect(NAMES.map((name) => content(after, name))).toEqual(WANTED);
});
