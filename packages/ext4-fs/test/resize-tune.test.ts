/// <reference types="node" />
/** e2fsck and dumpe2fs judge what resize and tune have done to images of mke2fs. */
import { copyFileSync, truncateSync } from "node:fs";
import { FileDisk } from "blockdev-disk/node";
import { afterAll, expect, test, vi } from "vitest";
import { resize } from "../src/resize/index.ts";
import { tune, type TuneOptions } from "../src/tune/index.ts";
import { fsckProblems, hasE2fsprogs, makeImage, run, Workspace } from "./e2fsprogs.ts";

vi.setConfig({ testTimeout: 900_000 }); // a busy machine is no failure

const work = new Workspace();
afterAll(() => work.remove());
const now = (): { sec: number; nsec: number } => ({ sec: 1_700_000_000, nsec: 0 });
const MIB = 1 << 20;

/** What dumpe2fs says, by name. */
function facts(path: string): Map<string, string> {
  const lines = run("dumpe2fs", ["-h", path]).stdout.split("\n");
  return new Map(lines.map((line) => [line.split(":")[0], line.slice(line.indexOf(":") + 1).trim()]));
}

test.skipIf(!hasE2fsprogs).each<[string, number, number, string[]]>([
  ["ext4", 20 * MIB, 2048 * MIB, []],
  ["ext4 of 4 KiB blocks", 300 * MIB, 9000 * MIB, ["-b", "4096"]],
  ["ext2", 10 * MIB, 600 * MIB, ["-t", "ext2"]],
  ["ext3", 10 * MIB, 600 * MIB, ["-t", "ext3"]],
  ["meta_bg", 10 * MIB, 3000 * MIB, ["-O", "meta_bg,^resize_inode"]],
  ["uninit_bg", 10 * MIB, 200 * MIB, ["-O", "uninit_bg,^metadata_csum"]],
])("%s grows as resize2fs makes it grow", (_name, from, to, args) => {
  const ours = work.file("ours");
  const theirs = work.file("theirs");
  makeImage(ours, from, args);
  copyFileSync(ours, theirs);
  for (const path of [ours, theirs]) truncateSync(path, to);
  const disk = new FileDisk(ours);
  resize(disk, { now });
  disk.close();
  expect(fsckProblems(ours)).toBeUndefined();
  expect(run("resize2fs", ["-f", theirs]).status).toBe(0);
  const [a, b] = [facts(ours), facts(theirs)];
  for (const name of [
    "Block count",
    "Inode count",
    "Free blocks",
    "Free inodes",
    "Reserved block count",
    "Reserved GDT blocks",
  ])
    expect([name, a.get(name)]).toEqual([name, b.get(name)]);
});

test.skipIf(!hasE2fsprogs).each<[string, string[], TuneOptions]>([
  ["a UUID with checksums", [], { uuid: "11111111-2222-3333-4444-555555555555" }],
  ["a UUID with uninit_bg", ["-O", "uninit_bg,^metadata_csum"], { uuid: "11111111-2222-3333-4444-555555555555" }],
  ["ext2 to ext3", ["-t", "ext2"], { features: ["has_journal"] }],
  [
    "ext2 to ext4",
    ["-t", "ext2"],
    { features: ["has_journal", "extent", "dir_index", "uninit_bg", "dir_nlink", "extra_isize"] },
  ],
  ["no journal", [], { features: ["^has_journal"] }],
  ["an orphan file and a seed", [], { features: ["orphan_file", "metadata_csum_seed"] }],
  ["quota", [], { features: ["quota", "project"] }],
  ["no quota", ["-O", "quota"], { features: ["^quota"] }],
  ["reserved blocks", [], { reservedPercent: 1, label: "x" }],
])("%s: e2fsck has nothing to say", (_name, args, options) => {
  const path = work.file("image");
  makeImage(path, 30 * MIB, args);
  const disk = new FileDisk(path);
  tune(disk, { ...options, now });
  disk.close();
  expect(fsckProblems(path)).toBeUndefined();
  const said = facts(path);
  if (options.uuid !== undefined) expect(said.get("Filesystem UUID")).toBe(options.uuid);
  for (const feature of options.features ?? []) {
    const names = (said.get("Filesystem features") ?? "").split(/\s+/);
    expect([feature, names.includes(feature.replace("^", ""))]).toEqual([feature, !feature.startsWith("^")]);
  }
});
