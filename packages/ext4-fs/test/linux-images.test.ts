/// <reference types="node" />
/** Images of mke2fs read by us, images changed by us judged by e2fsck and read back by debugfs. */
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { OverlayDisk } from "blockdev-disk";
import { FileDisk } from "blockdev-disk/node";
import { afterAll, expect, test, vi } from "vitest";
import { Ext4FileSystem, type Ext4Inode } from "../src/index.ts";
import { fsckProblems, hasE2fsprogs, makeImage, run, saveImage, Workspace } from "./e2fsprogs.ts";
import { compare, Workload } from "./model.ts";

vi.setConfig({ testTimeout: 900_000 }); // a busy machine is no failure

const workspace = new Workspace();
afterAll(() => workspace.remove());

/** A host directory with small and large, sparse, linked and many files. */
function makeTree(path: string): void {
  mkdirSync(`${path}/many/deep/deeper`, { recursive: true });
  for (let i = 0; i < 700; i++)
    writeFileSync(`${path}/many/a file with quite a long name, number ${i}`, `content ${i}\n`.repeat(i));
  writeFileSync(
    `${path}/large`,
    new Uint8Array(3_000_001).map((_, i) => i * 31 + (i >> 8)),
  );
  writeFileSync(`${path}/empty`, "");
  writeFileSync(`${path}/Grüße 你好`, "name in UTF-8");
  symlinkSync("many/deep", `${path}/short link`);
  symlinkSync("x".repeat(200), `${path}/long link`);
}

function differences(hostPath: string, inode: Ext4Inode): string[] {
  const problems: string[] = [];
  for (const name of readdirSync(hostPath)) {
    const path = `${hostPath}/${name}`;
    const st = lstatSync(path);
    const found = inode.lookup(name);
    if (typeof found === "number") problems.push(`${path}: ${found}`);
    else if (found.mode !== st.mode || found.uid !== st.uid)
      problems.push(`${path}: mode ${found.mode} instead of ${st.mode}`);
    else if (st.isSymbolicLink() && found.readlink() !== readlinkSync(path)) problems.push(`${path}: target`);
    else if (st.isDirectory()) problems.push(...differences(path, found));
    else if (st.isFile()) {
      const data = new Uint8Array(st.size + 1);
      const count = found.readAt(0, data);
      if (count !== st.size || Buffer.compare(data.subarray(0, count), readFileSync(path)) !== 0)
        problems.push(`${path}: content`);
    }
  }
  return problems;
}

const KINDS: readonly [string, number, readonly string[]][] = [
  ["Debian 12, 1 KiB blocks", 48 << 20, ["-b", "1024"]],
  ["Debian 12, 4 KiB blocks", 48 << 20, ["-b", "4096"]],
  ["Debian 13", 48 << 20, ["-b", "4096", "-O", "metadata_csum_seed,orphan_file"]],
  ["2 KiB blocks, small groups", 48 << 20, ["-b", "2048", "-g", "2048"]],
  ["without checksums", 48 << 20, ["-b", "1024", "-O", "^metadata_csum"]],
  ["uninit_bg with crc16", 48 << 20, ["-b", "1024", "-O", "^metadata_csum,uninit_bg"]],
  ["32-bit, without flex_bg", 48 << 20, ["-b", "1024", "-O", "^64bit,^flex_bg"]],
  ["without a journal", 48 << 20, ["-b", "4096", "-O", "^has_journal"]],
  ["without dir_index", 48 << 20, ["-b", "1024", "-O", "^dir_index"]],
  ["meta_bg", 48 << 20, ["-b", "1024", "-O", "meta_bg,^resize_inode"]],
  ["large_dir, sparse_super2", 48 << 20, ["-b", "1024", "-O", "large_dir,sparse_super2"]],
  ["128-byte inodes", 48 << 20, ["-b", "1024", "-I", "128"]],
  ["ext2, 1 KiB blocks", 48 << 20, ["-t", "ext2", "-b", "1024"]],
  ["ext2 as of 1995: revision 0", 48 << 20, ["-t", "ext2", "-b", "1024", "-r", "0", "-O", "none"]],
  ["ext3, 4 KiB blocks", 48 << 20, ["-t", "ext3", "-b", "4096"]],
  ["ext3 with uninit_bg and dir_index", 48 << 20, ["-t", "ext3", "-b", "1024", "-O", "uninit_bg,dir_index"]],
  ["ext4 without extents", 48 << 20, ["-b", "1024", "-O", "^extent,^64bit"]],
  ["inline_data, 1 KiB blocks", 48 << 20, ["-b", "1024", "-O", "inline_data"]],
  ["inline_data in inodes of 1 KiB, ea_inode", 48 << 20, ["-b", "4096", "-I", "1024", "-O", "inline_data,ea_inode"]],
  [
    "inline_data without checksums and dir_index",
    48 << 20,
    ["-b", "4096", "-O", "inline_data,^metadata_csum,^dir_index"],
  ],
  ["64 KiB blocks", 192 << 20, ["-b", "65536"]],
  ["16 KiB blocks, inline_data, no checksums", 96 << 20, ["-b", "16384", "-O", "inline_data,^metadata_csum"]],
  ["quota, project", 48 << 20, ["-b", "1024", "-O", "quota,project", "-E", "quotatype=usrquota:grpquota:prjquota"]],
  ["quota, bigalloc, 4 KiB blocks", 96 << 20, ["-b", "4096", "-O", "quota,bigalloc,orphan_file"]],
  ["quota, ext3", 48 << 20, ["-t", "ext3", "-b", "1024", "-O", "quota"]],
  ["bigalloc, 16 KiB clusters", 48 << 20, ["-b", "1024", "-C", "16384", "-O", "bigalloc"]],
  ["bigalloc, 64 KiB clusters of 4 KiB blocks", 96 << 20, ["-b", "4096", "-C", "65536", "-O", "bigalloc"]],
];

test.skipIf(!hasE2fsprogs).each(KINDS)(
  "a tree put there by mke2fs -d is read back the same: %s",
  (_kind, size, args) => {
    const tree = workspace.file("tree");
    rmSync(tree, { recursive: true, force: true });
    makeTree(tree);
    const image = workspace.file("tree.img");
    makeImage(image, size, [...args, "-d", tree]);
    const disk = new FileDisk(image, { readOnly: true });
    const fs = new Ext4FileSystem(disk);
    expect(differences(tree, fs.root())).toEqual([]);
    disk.close();
  },
);

test.skipIf(!hasE2fsprogs).each(KINDS)(
  "after a random workload e2fsck finds nothing, and a new mount finds everything: %s",
  (kind, size, args) => {
    const image = workspace.file("work.img");
    makeImage(image, size, args);
    const reserves = args[1] !== "ext2" && args[1] !== "ext3" && !args.at(-1)?.includes("^extent");
    const problems: string[] = [];
    const disk = new OverlayDisk(new FileDisk(image, { readOnly: true }));
    let now = 1_700_000_000;
    const fs = new Ext4FileSystem(disk, {
      now: () => ({ sec: now++, nsec: 7 }),
      log: (line) => problems.push(line),
      cacheBlocks: 256,
      cacheInodes: 64,
    });
    const workload = new Workload(fs, kind.length, { reserves });
    for (let i = 0; i < 1500; i++) workload.next();
    workload.finish();
    expect(fs.unmount()).toBe(0);
    expect(problems).toEqual([]);
    const result = workspace.file("result.img");
    saveImage(disk, result);
    expect(fsckProblems(result)).toBeUndefined();
    const again = new Ext4FileSystem(disk, { readOnly: true });
    expect(compare(workload.root, again.root().lookup("work") as Ext4Inode)).toEqual([]);
  },
);

test.skipIf(!hasE2fsprogs).each(
  ["legacy", "half_md4", "tea"].flatMap((algorithm) => [
    [algorithm, "signed", 1],
    [algorithm, "unsigned", 2],
  ]) as [string, string, number][],
)("e2fsck accepts an index that we built with hash %s, %s", (algorithm, _sign, flags) => {
  const image = workspace.file("hash.img");
  makeImage(image, 32 << 20, ["-b", "1024", "-N", "5000"]);
  run("tune2fs", ["-E", `hash_alg=${algorithm}`, image]);
  run("debugfs", ["-w", "-R", `ssv flags ${flags}`, image]);
  const disk = new FileDisk(image);
  const fs = new Ext4FileSystem(disk);
  const dir = fs.root().mkdir("d", { mode: 0o755, uid: 0, gid: 0, rdev: 0 }) as Ext4Inode;
  const file = fs.root().create("f", { mode: 0o100644, uid: 0, gid: 0, rdev: 0 }) as Ext4Inode;
  const name = (i: number): string => `${"äöü你好".repeat(i % 9)} name ${i} ${"x".repeat(i % 50)}`;
  for (let i = 0; i < 4000; i++) expect(dir.link(name(i), file)).toBe(0);
  for (let i = 0; i < 4000; i += 3) expect(dir.unlink(name(i))).toBe(0);
  expect(fs.unmount()).toBe(0);
  disk.close();
  expect(fsckProblems(image)).toBeUndefined();
  expect(run("debugfs", ["-R", "htree /d", image]).output).toMatch(
    new RegExp(`Hash Version: ${["legacy", "half_md4", "tea"].indexOf(algorithm)}`),
  );
  const again = new Ext4FileSystem(new FileDisk(image, { readOnly: true }));
  const found = again.root().lookup("d") as Ext4Inode;
  for (let i = 0; i < 4000; i++) expect(typeof found.lookup(name(i))).toBe(i % 3 === 0 ? "number" : "object");
});

test.skipIf(!hasE2fsprogs)("attribute values of 64 KiB live in inodes of their own, and go with them", () => {
  const image = workspace.file("ea.img");
  makeImage(image, 32 << 20, ["-b", "1024", "-O", "ea_inode"]);
  const disk = new FileDisk(image);
  const fs = new Ext4FileSystem(disk);
  const node = { mode: 0o100644, uid: 5, gid: 6, rdev: 0 };
  const before = fs.statfs();
  const f = fs.root().create("f", node) as Ext4Inode;
  const value = new Uint8Array(65536).map((_, i) => i * 7);
  const middle = value.slice(0, 700);
  for (const [name, v] of [
    ["large", value],
    ["a", middle],
    ["b", middle],
    ["c", middle],
  ] as const)
    expect(f.setxattr(`user.${name}`, v, 0)).toBe(0);
  expect(f.getxattr("user.large")).toEqual(value);
  expect(f.setxattr("user.large", value.slice(0, 5000), 0)).toBe(0);
  expect(f.setxattr("user.tiny", value.slice(0, 5), 0)).toBe(0);
  expect(fs.sync()).toBe(0);
  expect(fsckProblems(image)).toBeUndefined();
  for (const name of ["a", "b", "c"]) expect(f.getxattr(`user.${name}`)).toEqual(middle);
  expect(f.getxattr("user.large")).toEqual(value.slice(0, 5000));
  expect(f.removexattr("user.large")).toBe(0);
  expect(fs.root().unlink("f")).toBe(0);
  expect(fs.sync()).toBe(0);
  expect([fs.statfs().blocksFree, fs.statfs().filesFree]).toEqual([before.blocksFree, before.filesFree]);
  const g = fs.root().create("g", node) as Ext4Inode;
  expect(g.setxattr("user.large", value, 0)).toBe(0);
  expect(fs.unmount()).toBe(0);
  disk.close();
  expect(fsckProblems(image)).toBeUndefined();
  const out = workspace.file("value");
  run("debugfs", ["-R", `ea_get -f ${out} /g user.large`, image]);
  expect(Buffer.compare(readFileSync(out), value)).toBe(0);
  // And one that e2fsprogs has made.
  run("debugfs", ["-w", "-R", `ea_set -f ${out} /g user.second`, image]);
  const again = new Ext4FileSystem(new FileDisk(image));
  const second = (again.root().lookup("g") as Ext4Inode).getxattr("user.second") as Uint8Array;
  expect(second.length).toBeGreaterThan(900); // debugfs sets no more than its buffer holds
  expect(second).toEqual(value.slice(0, second.length));
  expect(again.root().unlink("g")).toBe(0);
  expect(again.unmount()).toBe(0);
  expect(fsckProblems(image)).toBeUndefined();
});

test.skipIf(!hasE2fsprogs)("debugfs reads from our image what we wrote", () => {
  const image = workspace.file("debugfs.img");
  makeImage(image, 32 << 20, ["-b", "1024"]);
  const disk = new FileDisk(image);
  const fs = new Ext4FileSystem(disk, { now: () => ({ sec: 2 ** 33, nsec: 123_456_789 }) });
  const root = fs.root();
  const node = { uid: 70_000, gid: 80_000, rdev: 0 };
  const dir = root.mkdir("d", { ...node, mode: 0o750 }) as Ext4Inode;
  const file = dir.create("f", { ...node, mode: 0o100640 }) as Ext4Inode;
  expect(file.writeAt(5000, new TextEncoder().encode("late"))).toBe(4);
  expect(file.setxattr("user.short", new TextEncoder().encode("inside"), 0)).toBe(0);
  expect(file.setxattr("security.long", new TextEncoder().encode("v".repeat(300)), 0)).toBe(0);
  dir.create("null", { ...node, mode: 0o020666, rdev: 0x103 });
  dir.create("big", { ...node, mode: 0o060660, rdev: (300 << 8) | (0x12345 & 0xff) | ((0x12345 & ~0xff) << 12) });
  dir.symlink("s", "t".repeat(300), { ...node, mode: 0o777 });
  expect(fs.unmount()).toBe(0);
  disk.close();
  const ask = (command: string): string => run("debugfs", ["-R", command, image]).output;
  expect(ask("stat /d/f")).toMatch(/User: 70000 +Group: 80000 .*Size: 5004/s);
  expect(ask("stat /d/f")).toMatch(/crtime: .*2242/);
  expect(ask("ea_get /d/f user.short")).toContain('"inside"');
  expect(ask("ea_get /d/f security.long")).toContain("v".repeat(300));
  expect(ask("stat /d/null")).toMatch(/Device major\/minor number: 01:03/);
  expect(ask("stat /d/big")).toMatch(/Device major\/minor number: 300:74565/);
  expect(ask("cat /d/s")).toContain("t".repeat(300));
  expect(ask("cat /d/f")).toContain("late");
  expect(fsckProblems(image)).toBeUndefined();
});

test.skipIf(!hasE2fsprogs)("attributes and special files made by Linux tools are read", () => {
  const image = workspace.file("attributes.img");
  const tree = workspace.file("special");
  mkdirSync(tree);
  writeFileSync(`${tree}/f`, "x");
  makeImage(image, 16 << 20, ["-d", tree]);
  const script = [
    'ea_set /f user.small "in the inode"',
    `ea_set /f user.large ${"L".repeat(400)}`,
    "mknod tty c 5 0",
    "mknod disk b 259 60000",
    "set_inode_field /f mtime_extra 0xee6b2801",
  ];
  run("debugfs", ["-w", "-f", "-", image], `${script.join("\n")}\n`);
  const fs = new Ext4FileSystem(new FileDisk(image, { readOnly: true }));
  const f = fs.root().lookup("f") as Ext4Inode;
  const text = (value: Uint8Array | number): string | number =>
    typeof value === "number" ? value : new TextDecoder().decode(value);
  expect(f.listxattr()).toEqual(expect.arrayContaining(["user.small", "user.large"]));
  expect(text(f.getxattr("user.small"))).toBe("in the inode");
  expect(text(f.getxattr("user.large"))).toBe("L".repeat(400));
  expect(f.getxattr("user.none")).toBe(-61);
  expect((fs.root().lookup("tty") as Ext4Inode).rdev).toBe(0x500);
  const blockDevice = fs.root().lookup("disk") as Ext4Inode;
  expect([blockDevice.mode & 0o170000, blockDevice.rdev]).toEqual([
    0o060000,
    (259 << 8) | (60000 & 0xff) | ((60000 & ~0xff) << 12),
  ]);
});

test.skipIf(!hasE2fsprogs)("our hashes are debugfs's, for every version, signed and unsigned", async () => {
  const { hashName } = await import("../src/directory/hash.ts");
  const seedText = "01234567-89ab-cdef-0123-456789abcdef";
  const seedBytes = Uint8Array.from(seedText.replaceAll("-", "").match(/../g) as string[], (h) =>
    Number.parseInt(h, 16),
  );
  const view = new DataView(seedBytes.buffer);
  const seed = Int32Array.of(0, 4, 8, 12).map((at) => view.getInt32(at, true));
  const names = [
    "a",
    "abcdefg",
    "a name of exactly thirty-two byte",
    "x".repeat(255),
    "Grüße-你好",
    "12345678901234567890123456789012345",
  ];
  const versions = [
    ["legacy", 0],
    ["half_md4", 1],
    ["tea", 2],
    ["HASHALG_3", 3],
    ["HASHALG_4", 4],
    ["HASHALG_5", 5],
  ] as const;
  const hash = { major: 0, minor: 0 };
  for (const [version, number] of versions) {
    for (const name of names) {
      const bytes = new TextEncoder().encode(name);
      hashName(number, seed, bytes, 0, bytes.length, hash);
      const answer = run("debugfs", ["-R", `dx_hash -h ${version} -s ${seedText} "${name}"`]).output;
      const [, major, minor] = /is 0x([0-9a-f]+) \(minor 0x([0-9a-f]+)\)/.exec(answer) ?? [];
      expect([version, name, hash.major, hash.minor]).toEqual([
        version,
        name,
        Number.parseInt(major ?? "", 16),
        Number.parseInt(minor ?? "", 16),
      ]);
    }
  }
});

test.skipIf(!hasE2fsprogs)("a directory of 30,000 names has an index of two levels that e2fsck accepts", () => {
  const image = workspace.file("names.img");
  makeImage(image, 96 << 20, ["-b", "1024", "-N", "40000"]);
  const disk = new FileDisk(image);
  const fs = new Ext4FileSystem(disk);
  const dir = fs.root().mkdir("d", { mode: 0o755, uid: 0, gid: 0, rdev: 0 }) as Ext4Inode;
  const first = dir.create("first", { mode: 0o100644, uid: 0, gid: 0, rdev: 0 }) as Ext4Inode;
  for (let i = 0; i < 30_000; i++) {
    const error = dir.link(`some name of a file ${i}`, first);
    if (i < 64_999) expect(error).toBe(0);
  }
  for (let i = 0; i < 30_000; i += 3) expect(dir.unlink(`some name of a file ${i}`)).toBe(0);
  const names = new Set<string>();
  let cookie = 0;
  for (let more = true; more; ) {
    more = false;
    let count = 0;
    dir.readdir(cookie, (name, _ino, _type, next) => {
      expect(names.has(name)).toBe(false);
      names.add(name);
      cookie = next;
      more = true;
      return ++count < 1000;
    });
  }
  expect(names.size).toBe(20_003);
  expect(fs.unmount()).toBe(0);
  disk.close();
  expect(run("debugfs", ["-R", "htree_dump /d", image]).output).toContain("Indirect levels: 1");
  expect(fsckProblems(image)).toBeUndefined();
});
