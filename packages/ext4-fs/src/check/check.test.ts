import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { MemoryDisk, type BlockDevice } from "blockdev-disk";
import { expect, test } from "vitest";
import { type CoreInode, EXT4_EXTENTS_FL, EXT4_INDEX_FL, I_BLOCK } from "../inode.ts";
import { Ext4FileSystem, mkfs } from "../index.ts";
import {
  S_BLOCKS_COUNT_LO,
  S_ENCODING,
  S_FREE_BLOCKS_COUNT_LO,
  S_JOURNAL_INUM,
  S_JOURNAL_UUID,
} from "../superblock.ts";
import { Checker, Findings } from "./checker.ts";
import { checkDescriptors } from "./descriptors-check.ts";
import { check, type ProblemCode } from "./index.ts";
import { collectMapping, type MapRun } from "./remap.ts";
import { locateSuperblock } from "./superblock-check.ts";

const now = (): { sec: number; nsec: number } => ({ sec: 1_700_000_000, nsec: 0 });
const UUID = "0d15ea5e-0000-4000-8000-000000000000";
/** Of so many looks at the signal one measures memory. */
const SAMPLE = 1000;

/** A volume of 8 MiB with a few files. */
function volume(): { disk: MemoryDisk; ino: (path: string) => number } {
  const disk = new MemoryDisk(8 << 20);
  mkfs(disk, { uuid: UUID, now: now() });
  const fs = new Ext4FileSystem(disk, { now });
  const inos = new Map<string, number>();
  const root = fs.root();
  const make = (name: string, mode: number, bytes: number): void => {
    const made = root.create(name, { mode, uid: 0, gid: 0, rdev: 0 });
    if (typeof made === "number") throw new Error(`create ${name}: ${made}`);
    if (bytes > 0) made.writeAt(0, new Uint8Array(bytes).fill(name.charCodeAt(0)));
    inos.set(name, made.ino);
  };
  make("a", 0o100644, 10_000);
  make("b", 0o100644, 9_000);
  make("empty", 0o100644, 0);
  make("dir", 0o40755, 0);
  for (let i = 0; i < 30; i++) make(`file${i}`, 0o100644, 100);
  fs.unmount();
  return { disk, ino: (path) => inos.get(path) as number };
}

/** The low-level view of a volume, for damaging it. */
function inside(disk: BlockDevice): Checker {
  const located = locateSuperblock(disk, new Findings(10), true);
  if (typeof located === "string") throw new Error(located);
  const ck = new Checker(disk, located.sb, located.g, new Findings(10), { repair: true, now: 1 });
  checkDescriptors(ck);
  return ck;
}

/** Checks, repairs, and checks again; the codes found first. */
function repaired(disk: BlockDevice): ProblemCode[] {
  const first = check(disk, { now });
  expect(first.verdict).toBe("corrupt");
  const report = check(disk, { repair: true, now });
  expect([report.verdict, report.exitStatus]).toEqual(["clean", 1]);
  expect(check(disk, { now }).problems).toEqual([]);
  return first.problems.map((problem) => problem.code);
}

test("a journal that is named as another device too loses that name, and one in a reserved inode is given up", () => {
  const { disk } = volume();
  let ck = inside(disk);
  ck.sb.setU32(S_JOURNAL_UUID, 0x038a);
  ck.writeSuperblock();
  expect(repaired(disk)).toEqual(["journal-uuid"]);
  ck = inside(disk);
  ck.sb.setU32(S_JOURNAL_INUM, 2);
  ck.writeSuperblock();
  expect(repaired(disk)).toContain("journal-invalid");
});

test("names folded by an unknown encoding cannot be judged", () => {
  const disk = new MemoryDisk(8 << 20);
  mkfs(disk, { uuid: UUID, now: now(), features: ["casefold"] });
  const ck = inside(disk);
  ck.sb.setU16(S_ENCODING, 9);
  ck.writeSuperblock();
  const { verdict, exitStatus, reason } = check(disk, { repair: true, now });
  expect([verdict, exitStatus, reason]).toEqual(["corrupt", 8, "casefold with the unknown encoding 9"]);
});

test("a volume that was made, filled and unmounted has nothing wrong with it", () => {
  const report = check(volume().disk);
  expect(report.problems).toEqual([]);
  expect([report.verdict, report.exitStatus]).toEqual(["clean", 0]);
  expect(report.files).toBe(33);
});

test("a check without repair writes nothing", () => {
  const { disk, ino } = volume();
  const ck = inside(disk);
  const inode = ck.readInode(ino("a"));
  if (inode === undefined) throw new Error("no inode");
  inode.links = 7;
  ck.writeInode(inode);
  const before = new Uint8Array(disk.size);
  disk.readBlock(0, before);
  expect(check(disk).problems.map((problem) => problem.code)).toEqual(["inode-links"]);
  const after = new Uint8Array(disk.size);
  disk.readBlock(0, after);
  expect(after.findIndex((byte, i) => byte !== before[i])).toBe(-1);
});

test("a block claimed by two files is copied for the second, whose content stays", () => {
  const { disk, ino } = volume();
  const ck = inside(disk);
  const a = ck.readInode(ino("a"));
  const b = ck.readInode(ino("b"));
  if (a === undefined || b === undefined) throw new Error("no inode");
  expect(a.hasFlag(EXT4_EXTENTS_FL)).toBe(true);
  b.view.setUint32(I_BLOCK + 20, a.view.getUint32(I_BLOCK + 20, true), true); // ee_start_lo
  ck.writeInode(b);
  expect(repaired(disk)).toContain("block-shared");
  const fs = new Ext4FileSystem(disk, { now });
  const buf = new Uint8Array(10);
  for (const name of ["a", "b"]) {
    const file = fs.root().lookup(name);
    if (typeof file === "number") throw new Error(name);
    file.readAt(0, buf);
    expect(String.fromCharCode(...buf)).toBe("aaaaaaaaaa");
  }
  fs.unmount();
});

test("a file whose name is gone is found in lost+found", () => {
  const { disk, ino } = volume();
  const ck = inside(disk);
  const root = ck.readInode(2);
  if (root === undefined) throw new Error("no root");
  const block = root.view.getUint32(I_BLOCK + 20, true);
  const bytes = ck.read(block)?.slice();
  if (bytes === undefined) throw new Error("no block");
  bytes.fill(0, 24, 1024); // all entries but "." and ".."
  ck.write(block, bytes);
  const codes = repaired(disk);
  expect(codes).toContain("directory-corrupt");
  const fs = new Ext4FileSystem(disk, { now });
  const lost = fs.rootDir().lookup("lost+found");
  expect(lost?.ls()).toContain(`#${ino("a")}`);
  fs.unmount();
});

test("a damaged index is made anew, and every name is found through it", () => {
  const disk = new MemoryDisk(32 << 20);
  mkfs(disk, { uuid: UUID, now: now() });
  const count = 5000; // an index of two levels with blocks of 1 KiB
  const names = Array.from({ length: count }, (_, i) => `a name of some length ${i}`);
  let fs = new Ext4FileSystem(disk, { now });
  for (const name of names)
    expect(typeof fs.root().create(name, { mode: 0o100644, uid: 0, gid: 0, rdev: 0 })).toBe("object");
  fs.unmount();
  const ck = inside(disk);
  const runs = collectMapping(ck, ck.readInode(2) as CoreInode) as MapRun[];
  const root = (ck.read(runs[0].block) as Uint8Array).slice();
  root.fill(0x77, 40, 60); // hashes and blocks of the first entries
  ck.write(runs[0].block, root);
  expect(repaired(disk)).toContain("htree-damaged");
  expect(inside(disk).readInode(2)?.hasFlag(EXT4_INDEX_FL)).toBe(true);
  fs = new Ext4FileSystem(disk, { now });
  expect(names.filter((name) => typeof fs.root().lookup(name) === "number")).toEqual([]);
  fs.unmount();
});

test("bitmaps and counts are made to say what is in use", () => {
  const { disk } = volume();
  const ck = inside(disk);
  ck.write(ck.descriptors[0].blockBitmap, new Uint8Array(ck.blockSize));
  ck.sb.setU32(S_FREE_BLOCKS_COUNT_LO, 5);
  ck.writeSuperblock();
  expect(repaired(disk)).toEqual(expect.arrayContaining(["block-bitmap", "free-blocks"]));
});

test("a superblock that is gone comes back from its copy", () => {
  const disk = new MemoryDisk(64 << 20);
  mkfs(disk, { uuid: UUID, now: now(), blockSize: 1024 });
  disk.writeBlock(2, new Uint8Array(1024));
  expect(repaired(disk)).toContain("superblock-invalid");
});

test("what is no file system at all is refused in words", () => {
  const report = check(new MemoryDisk(1 << 20), { repair: true });
  expect(report.exitStatus).toBe(8);
  expect(report.reason).toMatch(/no magic number/);
});

test("a volume larger than its device is refused", () => {
  const { disk } = volume();
  const ck = inside(disk);
  ck.sb.setU32(S_BLOCKS_COUNT_LO, ck.g.blocksCount + 1000);
  ck.writeSuperblock();
  const report = check(disk);
  expect([report.exitStatus, report.problems[0].code]).toEqual([8, "device-too-small"]);
});

test("block maps that lead in circles cost nothing and are cut", () => {
  const disk = new MemoryDisk(16 << 20);
  mkfs(disk, {
    uuid: UUID,
    now: now(),
    features: ["^has_journal", "^extent", "^64bit", "^metadata_csum"],
    blockSize: 4096,
  });
  const ck = inside(disk);
  const circle = ck.g.blocksCount - 5;
  const bytes = new Uint8Array(ck.blockSize);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < ck.blockSize; at += 4) view.setUint32(at, circle, true);
  ck.write(circle, bytes);
  for (let ino = ck.g.firstInode + 1; ino < ck.g.firstInode + 40; ino++) {
    const inode = ck.makeInode(ino, new Uint8Array(ck.g.inodeSize));
    inode.mode = ino % 2 === 0 ? 0o100644 : 0o40755;
    inode.links = 1;
    for (let i = 12; i < 15; i++) inode.view.setUint32(I_BLOCK + i * 4, circle, true);
    ck.writeInode(inode);
  }
  ck.descriptors[0].itableUnused = 0;
  ck.descriptorsDirty = true;
  ck.writeSummary();
  const before = process.cpuUsage();
  expect(repaired(disk)).toContain("block-shared");
  expect(process.cpuUsage(before).user).toBeLessThan(20e6); // the processor's time: others may keep it busy
});

test("an empty volume of 1 TiB is checked in little memory", () => {
  const disk = new MemoryDisk(2 ** 40);
  mkfs(disk, { uuid: UUID, now: now(), blockSize: 4096, lazyItableInit: true, journalBlocks: 1024 });
  // What lives is measured, not what waits for the collector, and while the check is at work.
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const live = (): number => {
    collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const before = live();
  let most = before;
  let asked = 0;
  const signal = {
    get aborted(): boolean {
      if (asked++ % SAMPLE === 0) most = Math.max(most, live());
      return false;
    },
  };
  expect(check(disk, { signal }).verdict).toBe("clean");
  expect(asked).toBeGreaterThan(2 * SAMPLE);
  expect(most - before).toBeLessThan(128 << 20);
});

test("an abort stops the check and says so", () => {
  const report = check(volume().disk, { signal: { aborted: true } });
  expect(report.exitStatus).toBe(32);
});

test("a device that fails to write leaves a report, not an exception", () => {
  const { disk } = volume();
  const ck = inside(disk);
  ck.write(ck.descriptors[0].blockBitmap, new Uint8Array(ck.blockSize));
  const broken: BlockDevice = {
    size: disk.size,
    blockSize: disk.blockSize,
    readOnly: false,
    readBlock: (id, buf) => disk.readBlock(id, buf),
    writeBlock: () => -5,
    flush: () => -5,
  };
  const report = check(broken, { repair: true });
  expect(report.exitStatus).toBe(4);
  expect(report.problems.map((problem) => problem.code)).toContain("write-error");
});
