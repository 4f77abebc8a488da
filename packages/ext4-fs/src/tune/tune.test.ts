import { MemoryDisk } from "blockdev-disk";
import { expect, test } from "vitest";
import { check } from "../check/index.ts";
import { Ext4Error, Ext4FileSystem, mkfs } from "../index.ts";
import { Superblock } from "../superblock.ts";
import { tune } from "./index.ts";

const now = (): { sec: number; nsec: number } => ({ sec: 1_700_000_000, nsec: 0 });

function volume(features: readonly string[] = []): MemoryDisk {
  const disk = new MemoryDisk(16 << 20);
  mkfs(disk, { uuid: "0d15ea5e-0000-4000-8000-000000000000", now: now(), features: [...features] });
  const fs = new Ext4FileSystem(disk, { now });
  for (let i = 0; i < 300; i++) {
    const file = fs.root().create(`file number ${i}`, { mode: 0o100644, uid: i % 3, gid: 0, rdev: 0 });
    if (typeof file === "number") throw new Error(`create: ${file}`);
    file.writeAt(0, new Uint8Array(i));
  }
  fs.unmount();
  return disk;
}

/** The superblock at the front, and the copy in group 1. */
function superblocks(disk: MemoryDisk): Superblock[] {
  return [1024, 8193 * 1024].map((at) => {
    const bytes = new Uint8Array(1024);
    disk.readBlock(at / 512, bytes);
    return new Superblock(bytes);
  });
}

/** The volume is clean, opens, and still has its files. */
function expectWhole(disk: MemoryDisk): void {
  expect(check(disk).problems).toEqual([]);
  const fs = new Ext4FileSystem(disk, { now });
  expect(fs.rootDir().ls()).toHaveLength(301);
  expect(typeof fs.root().lookup("file number 299")).toBe("object");
  fs.unmount();
}

test("label and UUID are changed in the superblock and its copies; checksums stay valid", () => {
  const disk = volume();
  tune(disk, { label: "größer", uuid: "11111111-2222-3333-4444-555555555555", now });
  for (const sb of superblocks(disk)) {
    expect(new TextDecoder().decode(sb.bytes.subarray(0x78, 0x88)).replaceAll("\0", "")).toBe("größer");
    expect(sb.uuid[0]).toBe(0x11);
    expect(sb.checksumIsValid()).toBe(true);
  }
  expectWhole(disk);
});

test.each([
  ["^has_journal"],
  ["^dir_index"],
  ["^resize_inode"],
  ["orphan_file"],
  ["metadata_csum_seed"],
  ["large_dir"],
  ["project"],
  ["ea_inode"],
  ["quota"],
])("feature %s is changed, and nothing else is wrong afterwards", (feature) => {
  const disk = volume();
  tune(disk, { features: [feature], now });
  expectWhole(disk);
});

test("what was turned off is turned on again", () => {
  const disk = volume();
  for (const features of [["^has_journal"], ["orphan_file", "has_journal"], ["^orphan_file"], ["quota"], ["^quota"]])
    tune(disk, { features, now });
  expectWhole(disk);
});

test("counts, intervals, reserved blocks and behaviour on errors", () => {
  const disk = volume();
  tune(disk, {
    mountCount: 3,
    maxMountCount: 20,
    checkInterval: 86_400,
    lastCheck: 7,
    reservedPercent: 1,
    errors: "remount-ro",
    now,
  });
  const [sb] = superblocks(disk);
  expect([0x34, 0x36, 0x3c].map((at) => sb.u16(at))).toEqual([3, 20, 2]);
  expect([sb.u32(0x44), sb.u32(0x40), sb.reservedBlocksCount]).toEqual([86_400, 7, 163]);
  expectWhole(disk);
});

test("what cannot be changed is refused before anything is", () => {
  const disk = volume();
  let before = superblocks(disk)[0].bytes.slice();
  expect(() => tune(disk, { label: "x", features: ["^has_journal", "^metadata_csum"] })).toThrow(Ext4Error);
  expect(superblocks(disk)[0].bytes).toEqual(before);
  expect(() => tune(disk, { features: ["^has_journal"] })).not.toThrow();
  expect(() => tune(disk, { features: ["orphan_file"] })).toThrow(/needs the feature has_journal/);
  tune(disk, { features: ["has_journal"], now });
  before = superblocks(disk)[0].bytes.slice();
  expect(() => tune(disk, { features: ["no_such_feature"] })).toThrow(RangeError);
  expect(() => tune(disk, { label: "longer than sixteen" })).toThrow(RangeError);
  expect(() => tune(disk, { uuid: "x" })).toThrow(RangeError);
  expect(superblocks(disk)[0].bytes).toEqual(before);
  expectWhole(disk);
});
