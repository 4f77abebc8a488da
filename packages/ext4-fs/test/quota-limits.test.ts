/// <reference types="node" />
/**
 * Limits of quota: what users, groups and projects may have is refused beyond the hard limit, and beyond the soft one when its time is over; what
 * debugfs and e2fsck read in the quota files afterwards is what was set and used.
 */
import { MemoryDisk } from "blockdev-disk";
import { FileDisk } from "blockdev-disk/node";
import type { QuotaEntry } from "vfs-inode";
import { afterAll, expect, test, vi } from "vitest";
import { check } from "../src/check/index.ts";
import {
  Ext4FileSystem,
  type Ext4Inode,
  type Ext4Options,
  mkfs,
  type MkfsOptions,
  parseMountOptions,
} from "../src/index.ts";
import type { QuotaControl } from "../src/index.ts";
import { fsckProblems, hasE2fsprogs, makeImage, run, saveImage, Workspace } from "./e2fsprogs.ts";
import { Random } from "./model.ts";

vi.setConfig({ testTimeout: 900_000 }); // a busy machine is no failure

const work = new Workspace();
afterAll(() => work.remove());
const [EDQUOT, ENOENT, EROFS, ERANGE] = [-122, -2, -30, -34];
const KIB = 1024;
const USER = 1000;
const clock = { sec: 1_700_000_000 };
const now = (): { sec: number; nsec: number } => ({ sec: clock.sec, nsec: 0 });
const FILE = { mode: 0o100644, uid: USER, gid: 100, rdev: 0 };
const DIR = { mode: 0o755, uid: USER, gid: 100, rdev: 0 };
const PROJINHERIT_FL = 0x2000_0000;

interface Made {
  readonly disk: MemoryDisk;
  readonly fs: Ext4FileSystem;
  readonly root: Ext4Inode;
}

function make(options: Ext4Options = {}, made: Partial<MkfsOptions> = {}): Made {
  const disk = new MemoryDisk(32 << 20);
  mkfs(disk, {
    uuid: "0d15ea5e-0000-4000-8000-000000000000",
    features: ["quota", "project"],
    assumeStoragePrezeroed: true,
    ...made,
  });
  const fs = new Ext4FileSystem(disk, { now, quotaLimits: ["user", "group", "project"], ...options });
  return { disk, fs, root: fs.root() };
}

function quotas(fs: Ext4FileSystem, kind: "user" | "group" | "project"): QuotaControl {
  const control = fs.quotas(kind);
  if (control === undefined) throw new Error(`no quota of ${kind}`);
  return control;
}

function entry(fs: Ext4FileSystem, kind: "user" | "group" | "project", id: number): QuotaEntry {
  const found = quotas(fs, kind).get(id);
  if (typeof found === "number") throw new Error(`get: ${found}`);
  return found;
}

function created(result: Ext4Inode | number): Ext4Inode {
  if (typeof result === "number") throw new Error(`create: ${result}`);
  return result;
}

/** A closed volume: usage in the quota files is what e2fsck and our own check count. */
function expectClean({ disk, fs }: Made): void {
  fs.unmount();
  expect(check(disk).problems).toEqual([]);
  if (!hasE2fsprogs) return;
  const path = work.file("saved.img");
  saveImage(disk, path);
  expect(fsckProblems(path)).toBeUndefined();
}

test.each<[string, Partial<MkfsOptions>, number]>([
  ["extents", {}, KIB],
  ["block maps", { type: "ext3", inodeSize: 256, features: ["quota", "project"] }, KIB],
  ["4 KiB blocks", { blockSize: 4096 }, 4096],
  ["clusters of 16 KiB", { features: ["quota", "project", "bigalloc"], clusterSize: 16384 }, 16384],
])(
  "a write stops at the hard limit, short or with EDQUOT, and space given back can be used again: %s",
  (_name, options, unit) => {
    const made = make({}, options);
    const { fs, root } = made;
    const hard = 192 * KIB;
    expect(quotas(fs, "user").set(USER, { byteLimit: { soft: 0, hard } })).toBe(0);
    const file = created(root.create("f", FILE));
    const first = file.writeAt(0, new Uint8Array(300 * KIB).fill(1));
    expect(first % unit).toBe(0);
    expect(first).toBeGreaterThan(hard - 4 * unit);
    expect(file.writeAt(first, new Uint8Array(KIB))).toBe(EDQUOT);
    const { bytes } = entry(fs, "user", USER);
    expect(bytes).toBeGreaterThan(hard - unit);
    expect(bytes).toBeLessThanOrEqual(hard + 4 * unit); // the map's own blocks
    const other = created(root.create("g", { ...FILE, uid: USER + 1 }));
    expect(other.writeAt(0, new Uint8Array(300 * KIB))).toBe(300 * KIB);
    expect([root.unlink("f"), entry(fs, "user", USER).bytes]).toEqual([0, 0]);
    const again = created(root.create("f", FILE));
    expect(again.writeAt(0, new Uint8Array(64 * KIB))).toBe(64 * KIB);
    expect(again.truncate(0)).toBe(0);
    expect(again.writeAt(0, new Uint8Array(128 * KIB))).toBe(128 * KIB);
    expectClean(made);
  },
);

test("inodes stop at the hard limit of the user, the group or the project, whichever is first", () => {
  const made = make();
  const { fs, root } = made;
  const dir = created(root.mkdir("p", { ...DIR, uid: 0, gid: 0 }));
  expect([dir.setInodeFlags(dir.inodeFlags() | PROJINHERIT_FL), dir.setProjectId(7)]).toEqual([0, 0]);
  quotas(fs, "user").set(USER, { inodeLimit: { soft: 0, hard: 12 } });
  quotas(fs, "group").set(100, { inodeLimit: { soft: 0, hard: 9 } });
  quotas(fs, "project").set(7, { inodeLimit: { soft: 0, hard: 6 } }); // "p" itself is one
  const make5 = (i: number): number | string => {
    const result =
      i === 0 ? dir.mkdir("d", DIR) : i === 1 ? dir.symlink("s", "x".repeat(80), DIR) : dir.create(`f${i}`, FILE);
    return typeof result === "number" ? result : "made";
  };
  expect([0, 1, 2, 3, 4, 5].map(make5)).toEqual(["made", "made", "made", "made", "made", EDQUOT]);
  for (let i = 0; i < 4; i++) expect(root.create(`g${i}`, FILE)).toBeTypeOf("object");
  expect(root.create("over the group's", FILE)).toBe(EDQUOT);
  for (let i = 0; i < 3; i++) expect(root.create(`h${i}`, { ...FILE, gid: 5 })).toBeTypeOf("object");
  expect([root.create("over the user's", { ...FILE, gid: 5 }), root.tmpfile({ ...FILE, gid: 5 })]).toEqual([
    EDQUOT,
    EDQUOT,
  ]);
  expect(root.unlink("h0")).toBe(0);
  expect(root.create("in its place", { ...FILE, gid: 5 })).toBeTypeOf("object");
  expect([entry(fs, "user", USER).inodes, entry(fs, "group", 100).inodes, entry(fs, "project", 7).inodes]).toEqual([
    12, 9, 6,
  ]);
  expectClean(made);
});

test("a soft limit may be exceeded for the time of grace, and no longer", () => {
  const made = make();
  const { fs, root } = made;
  const users = quotas(fs, "user");
  expect(users.grace()).toEqual({ inodes: 604_800, bytes: 604_800 });
  expect(users.setGrace({ bytes: 100, inodes: 50 })).toBe(0);
  users.set(USER, { byteLimit: { soft: 50 * KIB, hard: 90 * KIB }, inodeLimit: { soft: 2, hard: 5 } });
  const file = created(root.create("f", FILE));
  expect(file.writeAt(0, new Uint8Array(50 * KIB))).toBe(50 * KIB);
  expect(entry(fs, "user", USER)).toMatchObject({ byteDeadline: 0, inodeDeadline: 0 });
  expect(file.writeAt(50 * KIB, new Uint8Array(10 * KIB))).toBe(10 * KIB);
  for (const name of ["a", "b"]) created(root.create(name, FILE));
  expect(entry(fs, "user", USER)).toMatchObject({ byteDeadline: clock.sec + 100, inodeDeadline: clock.sec + 50 });
  clock.sec += 60;
  expect(root.create("too late", FILE)).toBe(EDQUOT);
  expect(file.writeAt(60 * KIB, new Uint8Array(5 * KIB))).toBe(5 * KIB); // space has 40 s more
  expect(file.writeAt(65 * KIB, new Uint8Array(50 * KIB))).toBe(25 * KIB); // but never beyond the hard limit
  clock.sec += 41;
  expect(file.truncate(80 * KIB)).toBe(0);
  expect(file.writeAt(80 * KIB, new Uint8Array(KIB))).toBe(EDQUOT);
  expect([file.truncate(40 * KIB), root.unlink("a"), root.unlink("b")]).toEqual([0, 0, 0]);
  expect(entry(fs, "user", USER)).toMatchObject({ byteDeadline: 0, inodeDeadline: 0 });
  expect(file.writeAt(40 * KIB, new Uint8Array(20 * KIB))).toBe(20 * KIB);
  expect(entry(fs, "user", USER).byteDeadline).toBe(clock.sec + 100);
  expectClean(made);
});

test("owners and projects change only where there is room", () => {
  const made = make();
  const { fs, root } = made;
  const file = created(root.create("f", FILE));
  file.writeAt(0, new Uint8Array(30 * KIB));
  quotas(fs, "user").set(2, { byteLimit: { soft: 0, hard: 20 * KIB } });
  quotas(fs, "user").set(3, { byteLimit: { soft: 0, hard: 40 * KIB } });
  quotas(fs, "group").set(9, { inodeLimit: { soft: 0, hard: 1 } });
  quotas(fs, "project").set(7, { byteLimit: { soft: 0, hard: 20 * KIB } });
  expect(file.setattr({ uid: 2 })).toBe(EDQUOT);
  expect([file.uid, file.setProjectId(7), file.projectId()]).toEqual([USER, EDQUOT, 0]);
  expect([file.setattr({ uid: 3, gid: 9 }), file.uid]).toEqual([0, 3]);
  expect(created(root.create("g", FILE)).setattr({ gid: 9 })).toBe(EDQUOT);
  expect([entry(fs, "user", 3).bytes, entry(fs, "user", USER).bytes]).toEqual([30 * KIB, 0]);
  expectClean(made);
});

test("limits are kept but not in force unless the mount says so, enforce does, and not for who may exceed them", () => {
  let isRoot = false;
  const made = make({ quotaLimits: [], mayExceedQuota: () => isRoot });
  const { fs, root } = made;
  const users = quotas(fs, "user");
  users.set(USER, { inodeLimit: { soft: 1, hard: 2 } });
  for (let i = 0; i < 4; i++) created(root.create(`f${i}`, FILE));
  expect(users.enforced).toBe(false);
  expect([users.enforce(true), users.enforced, root.create("no", FILE)]).toEqual([0, true, EDQUOT]);
  isRoot = true;
  expect(root.create("yes", FILE)).toBeTypeOf("object");
  isRoot = false;
  expect([users.enforce(false), typeof root.create("free", FILE)]).toEqual([0, "object"]);
  expect(
    [users.next(0), users.next(1), users.next(USER + 1)].map((found) => (typeof found === "number" ? found : found.id)),
  ).toEqual([0, USER, ENOENT]);
  expect(entry(fs, "user", 4_294_967_294)).toMatchObject({ inodes: 0, bytes: 0 });
  expect([users.set(1, { byteLimit: { soft: -1, hard: 0 } }), users.setGrace({ bytes: 2 ** 32 })]).toEqual([
    ERANGE,
    ERANGE,
  ]);
  fs.remount(true);
  expect([users.get(0), fs.quotas("user")]).toEqual([EROFS, undefined]);
  expectClean(made);
  const plain = new MemoryDisk(16 << 20);
  mkfs(plain, { uuid: "0d15ea5e-0000-4000-8000-000000000000" });
  expect(new Ext4FileSystem(plain).quotas("user")).toBeUndefined();
  expect(parseMountOptions("usrquota,prjquota").options).toEqual({ quotaLimits: ["user", "project"] });
  expect(new Ext4FileSystem(plain, parseMountOptions("grpquota,commit=9").options).mountOptions()).toBe(
    "commit=9,grpquota",
  );
});

test.skipIf(!hasE2fsprogs)("debugfs reads the limits and the use that were set", () => {
  const made = make();
  const { disk, fs, root } = made;
  for (const id of [0, 5, 300, 70_000, 4_000_000_000])
    expect(
      quotas(fs, "group").set(id, {
        byteLimit: { soft: id * KIB, hard: 2 * id * KIB },
        inodeLimit: { soft: 3, hard: 9 },
      }),
    ).toBe(0);
  created(root.create("f", { ...FILE, gid: 300 })).writeAt(0, new Uint8Array(10 * KIB));
  fs.unmount();
  const path = work.file("limits.img");
  saveImage(disk, path);
  expect(fsckProblems(path)).toBeUndefined();
  const lines = run("debugfs", ["-R", "list_quota group", path])
    .stdout.split("\n")
    .map((line) => line.trim().split(/\s+/));
  // Limits of space in KiB, as they are stored.
  expect(lines.find((line) => line[0] === "300")).toEqual(["300", "10240", "300", "600", "1", "3", "9"]);
  expect(lines.find((line) => line[0] === "4000000000")?.slice(1)).toEqual([
    "0",
    "4000000000",
    "8000000000",
    "0",
    "3",
    "9",
  ]);
});

test.skipIf(!hasE2fsprogs)(
  "attribute values in inodes of their own count for the file's owners, as e2fsck counts them",
  () => {
    const path = work.file("ea.img");
    makeImage(path, 32 << 20, ["-b", "4096", "-O", "quota,project,ea_inode"]);
    const disk = new FileDisk(path);
    const fs = new Ext4FileSystem(disk, { now, quotaLimits: ["user"] });
    const file = created(fs.root().create("f", FILE));
    const value = (size: number): Uint8Array => new Uint8Array(size).fill(7);
    for (let i = 0; i < 3; i++) expect(file.setxattr(`user.big${i}`, value(9000 + i), 0)).toBe(0);
    expect(entry(fs, "user", USER)).toMatchObject({ inodes: 4, bytes: 9 * 4096 }); // three of 3 blocks; their entries are in the inode
    quotas(fs, "user").set(USER, { inodeLimit: { soft: 0, hard: 4 } });
    expect(file.setxattr("user.more", value(9000), 0)).toBe(EDQUOT);
    quotas(fs, "user").set(USER, { inodeLimit: { soft: 0, hard: 0 }, byteLimit: { soft: 0, hard: 45_000 } });
    expect(file.setxattr("user.more", value(9000), 0)).toBe(EDQUOT);
    expect(file.setattr({ uid: 5 })).toBe(0);
    expect([entry(fs, "user", USER).inodes, entry(fs, "user", 5).inodes]).toEqual([0, 4]);
    expect(file.removexattr("user.big1")).toBe(0);
    expect(entry(fs, "user", 5)).toMatchObject({ inodes: 3, bytes: 6 * 4096 });
    const gone = created(fs.root().create("gone", FILE));
    gone.setxattr("user.big", value(20_000), 0);
    expect([fs.root().unlink("gone"), entry(fs, "user", USER)]).toMatchObject([0, { inodes: 0, bytes: 0 }]);
    fs.unmount();
    disk.close();
    expect(fsckProblems(path)).toBeUndefined();
    const again = new FileDisk(path);
    const later = new Ext4FileSystem(again, { now });
    expect(later.root().unlink("f")).toBe(0);
    expect(entry(later, "user", 5)).toMatchObject({ inodes: 0, bytes: 0 });
    later.unmount();
    again.close();
    expect(fsckProblems(path)).toBeUndefined();
  },
);

test.each<[string, Partial<MkfsOptions>]>([
  ["extents", {}],
  ["inline_data, ea_inode", { features: ["quota", "project", "inline_data", "ea_inode"] }],
  ["block maps", { type: "ext3", features: ["quota"] }],
  ["bigalloc", { features: ["quota", "project", "bigalloc"], blockSize: 4096 }],
])(
  "at their limits users do all sorts of things, none has more than its limit, and the files agree: %s",
  (_name, options) => {
    const made = make({}, options);
    const { fs, root } = made;
    const { clusterSize } = fs.volume.geometry;
    const users = quotas(fs, "user");
    const [inodes, bytes] = [40, 24 * clusterSize];
    for (let id = 1; id <= 3; id++)
      users.set(id, { inodeLimit: { soft: 20, hard: inodes }, byteLimit: { soft: bytes / 2, hard: bytes } });
    const random = new Random(5);
    let refused = 0;
    for (let step = 0; step < 3000; step++) {
      if (step % 100 === 0) clock.sec += 7;
      const name = `n${random.below(150)}`;
      const found = root.lookup(name);
      const node = { ...FILE, uid: 1 + random.below(3) };
      let result = 0;
      if (typeof found === "number") {
        const made = random.below(6) === 0 ? root.mkdir(name, node) : root.create(name, node);
        result = typeof made === "number" ? made : 0;
      } else {
        const isFile = (found.mode & 0o170000) === 0o100000;
        const what = random.below(7);
        if (what === 0) result = isFile ? root.unlink(name) : root.rmdir(name);
        else if (what === 1) result = found.setattr({ uid: node.uid });
        else if (what === 2) result = found.setxattr(`user.x${random.below(3)}`, new Uint8Array(random.below(700)), 0);
        else if (isFile && what === 3) result = found.truncate(random.below(8 * clusterSize));
        else if (isFile && what === 4)
          result = found.fallocate(1, random.below(clusterSize * 4), 1 + random.below(clusterSize * 3));
        else if (isFile)
          result = found.writeAt(random.below(6 * clusterSize), new Uint8Array(random.below(4 * clusterSize)));
      }
      if (result === EDQUOT) refused++;
      else expect([step, Math.min(result, 0)]).toEqual([step, result === -95 || result === -28 ? result : 0]);
      if (step % 20 > 0) continue;
      for (let id = 1; id <= 3; id++) {
        const now = entry(fs, "user", id);
        expect(now.inodes).toBeLessThanOrEqual(inodes);
        expect(now.bytes).toBeLessThanOrEqual(bytes + 40 * clusterSize * (options.type === "ext3" ? 1 : 0.2));
      }
    }
    expect(refused).toBeGreaterThan(50);
    expectClean(made);
  },
);
