/// <reference types="node" />
/** The Linux kernel as a second reader and writer, where loop mounts are allowed (root on the development machines). */
import { spawnSync } from "node:child_process";
import {
  closeSync,
  copyFileSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { OverlayDisk } from "blockdev-disk";
import { FileDisk } from "blockdev-disk/node";
import { afterAll, expect, test } from "vitest";
import { Ext4FileSystem, type Ext4Inode, mkfs } from "../src/index.ts";
import { fsckProblems, hasE2fsprogs, makeImage, saveImage, Workspace } from "./e2fsprogs.ts";
import { type JournalLog, openLog } from "../src/journal/log.ts";
import { replayJournal } from "../src/journal/recovery.ts";
import { prepareVolume } from "../src/mount.ts";
import type { Volume } from "../src/volume.ts";
import { type ModelNode, Random, Workload } from "./model.ts";

const workspace = new Workspace();
const mountPoint = workspace.file("mnt");
mkdirSync(mountPoint);
const mount = (image: string): boolean => spawnSync("mount", ["-o", "loop", image, mountPoint]).status === 0;
const unmount = (): void => void spawnSync("umount", [mountPoint]);
afterAll(() => {
  unmount();
  workspace.remove();
});

function canMount(): boolean {
  if (!hasE2fsprogs || process.getuid?.() !== 0) return false;
  const image = workspace.file("probe.img");
  makeImage(image, 4 << 20, []);
  const mounted = mount(image);
  if (mounted) unmount();
  return mounted;
}
const mountable = canMount();
if (!mountable)
  process.stderr.write("loop mounts are not allowed here: comparisons with the Linux kernel are skipped\n");

/** Differences between the model and a host directory. */
function compareHost(node: ModelNode, path: string): string[] {
  const problems: string[] = [];
  if (readdirSync(path).sort().join("/") !== [...node.children.keys()].sort().join("/"))
    problems.push(`${path}: names`);
  for (const [name, child] of node.children) {
    if (child.kind === "directory") problems.push(...compareHost(child, `${path}/${name}`));
    else if (child.kind === "file" && Buffer.compare(readFileSync(`${path}/${name}`), child.data) !== 0)
      problems.push(`${path}/${name}: content`);
  }
  return problems;
}

test.skipIf(!mountable).each([
  ["clean", true],
  ["dirty", false],
] as const)("Linux mounts our %s volume and sees our files", (_state, clean) => {
  const path = workspace.file("ours.img");
  const disk = new FileDisk(path, { create: true, size: 64 << 20 });
  mkfs(disk, { uuid: "0d15ea5e-0000-4000-8000-000000000006", blockSize: 4096, assumeStoragePrezeroed: true });
  const fs = new Ext4FileSystem(disk, { now: () => ({ sec: 1_700_000_000, nsec: 0 }) });
  const workload = new Workload(fs, 11);
  for (let i = 0; i < 1200; i++) workload.next();
  workload.finish();
  expect(clean ? fs.unmount() : fs.root().sync(false)).toBe(0);
  disk.close();
  expect(mount(path)).toBe(true);
  const problems = compareHost(workload.root, `${mountPoint}/work`);
  writeFileSync(`${mountPoint}/from-linux`, "hello");
  unmount();
  expect(problems).toEqual([]);
  expect(fsckProblems(path)).toBeUndefined();
  unlinkSync(path);
});

test.skipIf(!mountable).each([
  ["ext2", ["-t", "ext2", "-b", "1024"]],
  ["ext3", ["-t", "ext3", "-b", "4096"]],
  ["inline_data", ["-b", "1024", "-O", "inline_data"]],
  ["bigalloc", ["-b", "1024", "-C", "16384", "-O", "bigalloc"]],
  ["meta_bg, large_dir", ["-b", "1024", "-O", "meta_bg,^resize_inode,large_dir"]],
] as const)("Linux reads what we wrote to its kinds of volume, and we what it wrote: %s", (kind, args) => {
  const path = workspace.file("kind.img");
  makeImage(path, 64 << 20, args);
  const disk = new FileDisk(path);
  const fs = new Ext4FileSystem(disk, { now: () => ({ sec: 1_700_000_000, nsec: 0 }) });
  const workload = new Workload(fs, 21, { reserves: !kind.startsWith("ext") });
  for (let i = 0; i < 1200; i++) workload.next();
  workload.finish();
  expect(fs.unmount()).toBe(0);
  disk.close();
  expect(mount(path)).toBe(true);
  const problems = compareHost(workload.root, `${mountPoint}/work`);
  mkdirSync(`${mountPoint}/d`);
  const files = fsyncedWork(6);
  for (let i = 0; i < 40; i++) mkdirSync(`${mountPoint}/d2/${i}/x`, { recursive: true });
  unmount();
  expect(problems).toEqual([]);
  expect(fsckProblems(path)).toBeUndefined();
  const again = new Ext4FileSystem(new FileDisk(path, { readOnly: true }));
  expectFiles(again, files);
  const names: string[] = [];
  (again.root().lookup("d2") as Ext4Inode).readdir(0, (name) => names.push(name) > 0);
  expect(names.length).toBe(42);
});

test.skipIf(!mountable)("a journal that Linux left dirty is replayed, and holds what Linux had synced", () => {
  const path = workspace.file("linux.img");
  const copy = workspace.file("copy.img");
  makeImage(path, 64 << 20, ["-b", "4096"]);
  expect(mount(path)).toBe(true);
  mkdirSync(`${mountPoint}/d`);
  for (let i = 0; i < 500; i++) writeFileSync(`${mountPoint}/d/file ${i}`, `content ${i}`);
  for (let i = 0; i < 500; i += 2) renameSync(`${mountPoint}/d/file ${i}`, `${mountPoint}/d/renamed ${i}`);
  for (let i = 1; i < 500; i += 10) unlinkSync(`${mountPoint}/d/file ${i}`);
  truncateSync(`${mountPoint}/d/file 3`, 1);
  spawnSync("sync");
  copyFileSync(path, copy);
  unmount();
  const disk = new OverlayDisk(new FileDisk(copy, { readOnly: true }));
  const lines: string[] = [];
  const fs = new Ext4FileSystem(disk, { log: (line) => lines.push(line) });
  expect(lines.join()).toContain("journal: replayed");
  const d = fs.root().lookup("d") as Ext4Inode;
  const buf = new Uint8Array(100);
  for (let i = 0; i < 500; i++) {
    const gone = i % 10 === 1;
    const found = d.lookup(i % 2 === 0 ? `renamed ${i}` : `file ${i}`);
    expect([i, typeof found]).toEqual([i, gone ? "number" : "object"]);
    if (gone) continue;
    const count = (found as Ext4Inode).readAt(0, buf);
    expect(new TextDecoder().decode(buf.subarray(0, count))).toBe(i === 3 ? "c" : `content ${i}`);
  }
  expect(fs.unmount()).toBe(0);
  saveImage(disk, copy);
  expect(fsckProblems(copy)).toBeUndefined();
});

/** Work whose every step Linux makes durable; what /d holds afterwards. */
function fsyncedWork(seed: number): Map<string, string> {
  const random = new Random(seed);
  const files = new Map<string, string>();
  const at = (name: string): string => `${mountPoint}/d/${name}`;
  const synced = (name: string, change: (fd: number) => void): void => {
    const fd = openSync(at(name), files.has(name) ? "r+" : "w+");
    change(fd);
    fsyncSync(fd);
    closeSync(fd);
  };
  for (let i = 0; i < 150; i++) {
    const names = [...files.keys()];
    const name = names[random.below(names.length + 1)] ?? `file ${i}`;
    const old = files.get(name) ?? "";
    const kind = files.has(name) ? random.below(6) : 0;
    if (kind <= 1) {
      const text = `${i} `.repeat(1 + random.below(3000));
      const offset = random.below(old.length + 1);
      synced(name, (fd) => writeSync(fd, text, offset));
      files.set(name, old.slice(0, offset) + text + old.slice(offset + text.length));
    } else if (kind === 2) {
      const size = random.below(old.length + 1);
      synced(name, (fd) => ftruncateSync(fd, size));
      files.set(name, old.slice(0, size));
    } else if (kind === 3) {
      linkSync(at(name), at(`link ${i}`));
      synced(name, () => undefined);
      files.set(`link ${i}`, "");
      files.delete(`link ${i}`);
      unlinkSync(at(`link ${i}`));
      synced(name, () => undefined);
    } else if (kind === 4) {
      renameSync(at(name), at(`renamed ${i}`));
      files.delete(name);
      files.set(`renamed ${i}`, old);
      synced(`renamed ${i}`, () => undefined);
    } else {
      unlinkSync(at(name));
      files.delete(name);
      synced(`after ${i}`, (fd) => writeSync(fd, "x"));
      files.set(`after ${i}`, "x");
    }
  }
  return files;
}

function expectFiles(fs: Ext4FileSystem, files: ReadonlyMap<string, string>): void {
  const d = fs.root().lookup("d") as Ext4Inode;
  const names: string[] = [];
  d.readdir(0, (name) => names.push(name) > 0);
  expect(names.sort()).toEqual([".", "..", ...files.keys()].sort());
  for (const [name, text] of files) {
    const data = new Uint8Array(text.length + 1);
    const count = (d.lookup(name) as Ext4Inode).readAt(0, data);
    expect(new TextDecoder().decode(data.subarray(0, count)) === text, name).toBe(true);
  }
}

test.skipIf(!mountable).each([
  ["1 KiB blocks", ["-b", "1024"], 1],
  ["4 KiB blocks", ["-b", "4096"], 2],
] as const)("fast commits that Linux left are replayed: %s", (_name, args, seed) => {
  const path = workspace.file("fast.img");
  const copy = workspace.file("fast-copy.img");
  makeImage(path, 64 << 20, [...args, "-O", "fast_commit"]);
  expect(mount(path)).toBe(true);
  mkdirSync(`${mountPoint}/d`);
  spawnSync("sync");
  const files = fsyncedWork(seed);
  copyFileSync(path, copy);
  unmount();
  const disk = new OverlayDisk(new FileDisk(copy, { readOnly: true }));
  const lines: string[] = [];
  const readOnly = new Ext4FileSystem(disk, { readOnly: true, log: (line) => lines.push(line) });
  expect(lines.join()).toMatch(/replayed \d+ records of fast commits/);
  expectFiles(readOnly, files);
  const fs = new Ext4FileSystem(disk);
  expectFiles(fs, files);
  expect(fs.unmount()).toBe(0);
  saveImage(disk, copy);
  expect(fsckProblems(copy)).toBeUndefined();
});

test.skipIf(!mountable).each([
  ["Debian 12", []],
  ["Debian 13", ["-O", "metadata_csum_seed,orphan_file"]],
  ["no checksums, 32-bit", ["-O", "^metadata_csum,^64bit"]],
  ["1 KiB blocks, ext3", ["-t", "ext3", "-b", "1024"]],
] as const)("replaying a journal of Linux gives the very bytes that e2fsck's replay gives: %s", (_name, args) => {
  const path = workspace.file("bits.img");
  const ours = workspace.file("bits-ours.img");
  const theirs = workspace.file("bits-theirs.img");
  makeImage(path, 64 << 20, args);
  expect(mount(path)).toBe(true);
  mkdirSync(`${mountPoint}/d`);
  fsyncedWork(5);
  for (let i = 0; i < 300; i++) writeFileSync(`${mountPoint}/d/more ${i}`, "y".repeat(i * 10));
  for (let i = 0; i < 300; i += 3) unlinkSync(`${mountPoint}/d/more ${i}`);
  spawnSync("sync");
  copyFileSync(path, ours);
  unmount();
  copyFileSync(ours, theirs);
  spawnSync("e2fsck", ["-fy", "-E", "journal_only", theirs]);
  const disk = new FileDisk(ours);
  const volume = prepareVolume(disk, {}) as Volume;
  const log = openLog(volume) as JournalLog;
  const { blockSize } = volume;
  const journalBlock = log.blockOf(0);
  expect(replayJournal(log, () => undefined)).toMatchObject({ revoked: expect.any(Number) });
  disk.close();
  const a = readFileSync(ours);
  const b = readFileSync(theirs);
  const different: number[] = [];
  for (let block = 0; block < a.length / blockSize; block++) {
    const from = block * blockSize;
    if (a.compare(b, from, from + blockSize, from, from + blockSize) !== 0) different.push(block);
  }
  // The superblock's flags, state and times, and the journal's own superblock, are each tool's own.
  const own = [blockSize === 1024 ? 1 : 0, journalBlock];
  expect(different.filter((block) => !own.includes(block))).toEqual([]);
});

test.skipIf(!mountable)(
  "attribute blocks that Linux shares between files stay right when we change and remove some",
  () => {
    const path = workspace.file("shared.img");
    makeImage(path, 32 << 20, ["-b", "1024"]);
    expect(mount(path)).toBe(true);
    const script =
      "import os,sys\nfor i in range(60):\n p=f'{sys.argv[1]}/f{i}'\n open(p,'w').close()\n os.setxattr(p,'user.same',b'v'*500)";
    const made = spawnSync("python3", ["-c", script, mountPoint]);
    unmount();
    if (made.status !== 0) return process.stderr.write("python3 cannot set attributes here: sharing is not tested\n");
    const disk = new FileDisk(path);
    const fs = new Ext4FileSystem(disk);
    const file = (i: number): Ext4Inode => fs.root().lookup(`f${i}`) as Ext4Inode;
    const blocks = new Set(
      Array.from({ length: 60 }, (_, i) => (fs.volume.inode(file(i).ino) as { fileAcl: number }).fileAcl),
    );
    expect(blocks.size).toBe(1);
    for (let i = 0; i < 20; i++) expect(file(i).setxattr("user.own", new Uint8Array(40).fill(i), 0)).toBe(0);
    for (let i = 20; i < 30; i++) expect(file(i).removexattr("user.same")).toBe(0);
    for (let i = 30; i < 40; i++) expect(fs.root().unlink(`f${i}`)).toBe(0);
    for (let i = 40; i < 50; i++) expect(file(i).setxattr("user.same", new Uint8Array(600).fill(i), 0)).toBe(0);
    expect(fs.unmount()).toBe(0);
    disk.close();
    expect(fsckProblems(path)).toBeUndefined();
    expect(mount(path)).toBe(true);
    const read =
      "import os,sys\nprint(*[len(os.getxattr(f'{sys.argv[1]}/f{i}','user.same')) for i in [0,19,40,49,50,59]])";
    const lengths = spawnSync("python3", ["-c", read, mountPoint], { encoding: "utf8" }).stdout.trim();
    unmount();
    expect(lengths).toBe("500 500 600 600 500 500");
  },
);
