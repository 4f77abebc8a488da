/// <reference types="node" />
/**
 * Whole images, side by side with e2fsprogs in the same run: an image filled from a tree (mke2fs -d), all of it read back into a directory
 * (debugfs rdump), checked (e2fsck -fn); how much memory that takes; and a sparse terabyte. Limits are ratios, of CPU time,
 * which a busy machine does not change.
 *
 *   pnpm bench storage            STORAGE_TREE=/usr pnpm bench storage-image   takes another tree
 */
import { spawnSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileDisk } from "blockdev-disk/node";
import { Ext4FileSystem, type Ext4Inode, mkfs, populate } from "ext4-fs";
import { check } from "ext4-fs/check";
import { directoryEntries } from "ext4-fs/node";
import { figure, has, hostEntries, liveBytes, makeTree, type Time, timed, timeOf, type Walked } from "./support.ts";

const MIB = 1 << 20;
const UUID = "0d15ea5e-0000-4000-8000-00000000be2c";
const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;
/** Cache that the volume is given, and memory it may take beyond that. */
const CACHE_BYTES = 16 * MIB;
const MEMORY_LIMIT = 128;

for (const [program, packageName] of [
  ["mke2fs", "e2fsprogs"],
  ["debugfs", "e2fsprogs"],
  ["e2fsck", "e2fsprogs"],
] as const)
  if (!has(program, "-V"))
    console.log(`${program} is missing (Debian: apt-get install ${packageName}): no comparison with it`);

const folder = mkdtempSync(join(process.env["STORAGE_TMP"] ?? tmpdir(), "storage-"));
try {
  run(makeTree(join(folder, "tree")));
} finally {
  rmSync(folder, { recursive: true });
}

function run(tree: string): void {
  const walked: Walked = { entries: 0, files: 0, bytes: 0 };
  for (const _ of hostEntries(tree, walked)); // also brings the tree into the host's memory
  const size = Math.ceil((walked.bytes * 1.6 + 128 * MIB) / (128 * MIB)) * 128 * MIB;
  console.log(
    `tree: ${walked.files} files, ${walked.entries} entries, ${Math.round(walked.bytes / MIB)} MiB; image ${size / MIB} MiB`,
  );

  const ours = join(folder, "ours.img");
  // mke2fs looks for names from a directory's beginning: large directories are where it loses most of its time.
  if (existsSync(join(tree, "small"))) {
    const small = join(tree, "small");
    const time = timeOf(() => fill(small, ours, size));
    const peer = has("mke2fs", "-V") ? mke2fs(small, size) : undefined;
    compare("fill an image from small directories", time, "mke2fs -d", peer, undefined);
  }
  const made = timeOf(() => fill(tree, ours, size));
  compare("fill an image from a tree", made, "mke2fs -d", has("mke2fs", "-V") ? mke2fs(tree, size) : undefined, 1);
  figure("fill an image from a tree", walked.files / made.wall, "files/s");
  verify(ours);

  const read = timeOf(() => readAll(ours, undefined));
  figure("read a whole image", walked.bytes / MIB / read.wall, "MiB/s");
  const extracted = timeOf(() => readAll(ours, join(folder, "out")));
  expectSame(tree, join(folder, "out"));
  const dumped = has("debugfs", "-V") ? rdump(ours) : undefined;
  compare("read a whole image into a directory", extracted, "debugfs rdump", dumped, 2);

  const checked = timeOf(() => {
    const disk = new FileDisk(ours, { readOnly: true });
    const report = check(disk);
    if (report.problems.length > 0) throw new Error(`check: ${JSON.stringify(report.problems[0])}`);
    disk.close();
  });
  const fsck = has("e2fsck", "-V") ? timed("e2fsck", "-fn", ours) : undefined;
  compare("check an image", checked, "e2fsck -fn", fsck, undefined);
  figure("check an image", checked.cpu, "s CPU", { max: 3 });

  memory(tree, size);
  terabyte();
}

function compare(name: string, ours: Time, peer: string, theirs: Time | undefined, max: number | undefined): void {
  const text = (t: Time): string => `${t.wall.toFixed(2)} s (CPU ${t.cpu.toFixed(2)} s)`;
  console.log(`${name}: ${text(ours)}${theirs === undefined ? "" : `, ${peer} ${text(theirs)}`}`);
  if (theirs === undefined) return;
  figure(`${name}, CPU time ÷ ${peer}`, ours.cpu / Math.max(theirs.cpu, 0.001), "x", max === undefined ? {} : { max });
  figure(`${name}, time ÷ ${peer}`, ours.wall / Math.max(theirs.wall, 0.001), "x");
}

function fill(tree: string, path: string, size: number, each: () => void = () => {}): void {
  rmSync(path, { force: true });
  const disk = new FileDisk(path, { create: true, size });
  mkfs(disk, { uuid: UUID, blockSize: 4096, assumeStoragePrezeroed: true });
  const fs = new Ext4FileSystem(disk, { unjournaled: true, cacheBlocks: CACHE_BYTES / 4096 });
  populate(
    fs,
    (function* () {
      for (const entry of directoryEntries(tree)) {
        each();
        yield entry;
      }
    })(),
  );
  const error = fs.unmount();
  if (error < 0) throw new Error(`unmount: ${error}`);
  disk.close();
}

function mke2fs(tree: string, size: number): Time {
  const path = join(folder, "theirs.img");
  writeFileSync(path, "");
  truncateSync(path, size);
  const time = timed("mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, path);
  rmSync(path);
  return time;
}

function rdump(image: string): Time {
  const out = join(folder, "dumped");
  mkdirSync(out);
  const time = timed("debugfs", "-R", `rdump / ${out}`, image);
  rmSync(out, { recursive: true });
  return time;
}

function verify(image: string): void {
  if (!has("e2fsck", "-V")) return;
  const result = spawnSync("e2fsck", ["-fn", image], { encoding: "utf8" });
  if (result.status !== 0) throw new Error(`e2fsck: ${result.stdout}`);
}

function expectSame(a: string, b: string): void {
  const result = spawnSync("diff", ["-r", "--no-dereference", "--exclude=lost+found", a, b], { encoding: "utf8" });
  if (result.status !== 0) throw new Error(`what was read differs: ${result.stdout.slice(0, 500)}`);
  rmSync(b, { recursive: true });
}

/** Reads every byte and link; into `target` on the host when there is one. */
function readAll(image: string, target: string | undefined, each: () => void = () => {}): void {
  const disk = new FileDisk(image, { readOnly: true });
  const fs = new Ext4FileSystem(disk, { readOnly: true, cacheBlocks: CACHE_BYTES / 4096 });
  const piece = new Uint8Array(MIB);
  const readFile = (inode: Ext4Inode, path: string | undefined): void => {
    const fd = path === undefined ? -1 : openSync(path, "wx", inode.mode & 0o777);
    for (let at = 0; at < inode.size; ) {
      // Rounded up to a block, so that the file's end comes with the rest.
      const wanted = Math.min(MIB, Math.ceil((inode.size - at) / 4096) * 4096);
      const count = inode.readAt(at, wanted === MIB ? piece : piece.subarray(0, wanted));
      if (count <= 0) throw new Error(`read: ${count}`);
      if (fd >= 0) writeSync(fd, piece, 0, count);
      at += count;
    }
    if (fd >= 0) closeSync(fd);
  };
  const walk = (dir: Ext4Inode, path: string | undefined): void => {
    if (path !== undefined) mkdirSync(path);
    const names: string[] = [];
    dir.readdir(0, (name) => names.push(name) > 0);
    for (const name of names) {
      if (name === "." || name === "..") continue;
      each();
      const inode = dir.lookup(name);
      if (typeof inode === "number") throw new Error(`${name}: ${inode}`);
      const inner = path === undefined ? undefined : join(path, name);
      const type = inode.mode & S_IFMT;
      if (type === S_IFDIR) walk(inode, inner);
      else if (type === S_IFREG) readFile(inode, inner);
      else if (type === S_IFLNK) {
        const link = inode.readlink();
        if (typeof link === "number") throw new Error(`readlink: ${link}`);
        if (inner !== undefined) symlinkSync(link, inner);
      }
    }
  };
  walk(fs.root(), target);
  fs.unmount();
  disk.close();
}

/** The same once more, with a collection every 2,000 entries: what is alive then, beyond the cache. */
function memory(tree: string, size: number): void {
  for (const [name, work] of [
    ["fill an image from a tree", (each: () => void) => fill(tree, join(folder, "again.img"), size, each)],
    ["read a whole image", (each: () => void) => readAll(join(folder, "again.img"), undefined, each)],
  ] as const) {
    const before = liveBytes();
    let most = 0;
    let count = 0;
    work(() => {
      if (++count % 2000 === 0) most = Math.max(most, liveBytes() - before);
    });
    figure(`${name}, memory beyond ${CACHE_BYTES / MIB} MiB of cache`, Math.max(0, most - CACHE_BYTES) / MIB, "MiB", {
      max: MEMORY_LIMIT,
    });
  }
}

/** A terabyte of which little is used: memory and what the file takes on the host. */
function terabyte(): void {
  const path = join(folder, "terabyte.img");
  const before = liveBytes();
  let most = 0;
  const time = timeOf(() => {
    const disk = new FileDisk(path, { create: true, size: 2 ** 40 });
    mkfs(disk, { uuid: UUID, assumeStoragePrezeroed: true });
    const fs = new Ext4FileSystem(disk, { cacheBlocks: CACHE_BYTES / 4096 });
    const page = new Uint8Array(4096).fill(1);
    for (let i = 0; i < 5000; i++) {
      const inode = fs.root().create(`file-${i}`, { mode: 0o100644, uid: 0, gid: 0, rdev: 0 });
      if (typeof inode === "number" || inode.writeAt(i * 10 * MIB, page) !== 4096) throw new Error("create");
      if (i % 1000 === 999) most = Math.max(most, liveBytes() - before);
    }
    if (fs.unmount() < 0) throw new Error("unmount");
    disk.close();
  });
  figure("a sparse terabyte made, mounted and given 5,000 files", time.cpu, "s CPU");
  figure(`the same, memory beyond ${CACHE_BYTES / MIB} MiB of cache`, Math.max(0, most - CACHE_BYTES) / MIB, "MiB", {
    max: MEMORY_LIMIT,
  });
  figure("the same, taken on the host", (statSync(path).blocks * 512) / MIB, "MiB");
  verify(path);
}
