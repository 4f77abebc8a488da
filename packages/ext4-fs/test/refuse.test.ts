/// <reference types="node" />
/** What must not be mounted, or not for writing; and that no damage makes us throw, hang or write. */
import { MemoryDisk, OverlayDisk } from "blockdev-disk";
import { expect, test } from "vitest";
import { Ext4Error, Ext4FileSystem, type Ext4Inode, mkfs } from "../src/index.ts";
import {
  S_BLOCKS_PER_GROUP,
  S_CHECKSUM_TYPE,
  S_DESC_SIZE,
  S_FEATURE_INCOMPAT,
  S_FEATURE_RO_COMPAT,
  S_FIRST_DATA_BLOCK,
  S_FIRST_INO,
  S_INODE_SIZE,
  S_INODES_COUNT,
  S_INODES_PER_GROUP,
  S_LOG_BLOCK_SIZE,
  S_LOG_CLUSTER_SIZE,
  S_MAGIC,
  S_RESERVED_GDT_BLOCKS,
  S_REV_LEVEL,
  Superblock,
} from "../src/superblock.ts";
import { exercise } from "./exercise.ts";
import { Random, Workload } from "./model.ts";

const BASE = new MemoryDisk(16 << 20);
mkfs(BASE, { uuid: "0d15ea5e-0000-4000-8000-000000000004", assumeStoragePrezeroed: true });

/** The volume with its superblock changed and, unless told otherwise, its checksum made right again. */
function changed(edit: (sb: Superblock) => void, fixChecksum: boolean = true): OverlayDisk {
  const disk = new OverlayDisk(BASE);
  const block = new Uint8Array(1024);
  disk.readBlock(2, block);
  const sb = new Superblock(block);
  edit(sb);
  if (fixChecksum) sb.updateChecksum();
  disk.writeBlock(2, block);
  return disk;
}

test("an unknown or unsupported incompatible feature refuses the mount by name", () => {
  const error = Ext4FileSystem.mount(
    changed((sb) => sb.setU32(S_FEATURE_INCOMPAT, sb.u32(S_FEATURE_INCOMPAT) | 0x1 | 0x1000 | 0x8000_0000)),
  );
  expect(error).toBeInstanceOf(Ext4Error);
  expect(error).toMatchObject({ kind: "incompatible", errno: 22, features: ["compression", "dirdata", "FEATURE_I31"] });
});

test("an unknown read-only-compatible feature mounts read-only", () => {
  const lines: string[] = [];
  const disk = changed((sb) => sb.setU32(S_FEATURE_RO_COMPAT, sb.u32(S_FEATURE_RO_COMPAT) | 0x8000_0000));
  const fs = Ext4FileSystem.mount(disk, { log: (line) => lines.push(line) }) as Ext4FileSystem;
  expect(fs.readOnly).toBe(true);
  expect(lines).toEqual(["ext4: mounted read-only because of FEATURE_R31"]);
  expect(fs.root().mkdir("x", { mode: 0o755, uid: 0, gid: 0, rdev: 0 })).toBe(-30);
  expect(fs.remount(false)).toBe(-30);
});

const IMPOSSIBLE: readonly [string, string, (sb: Superblock) => void][] = [
  ["no magic", "invalid", (sb) => sb.setU16(S_MAGIC, 0)],
  ["revision 2", "invalid", (sb) => sb.setU32(S_REV_LEVEL, 2)],
  ["block size 2^17", "corrupt", (sb) => sb.setU32(S_LOG_BLOCK_SIZE, 7)],
  ["cluster size", "corrupt", (sb) => sb.setU32(S_LOG_CLUSTER_SIZE, 3)],
  ["inode size 100", "corrupt", (sb) => sb.setU16(S_INODE_SIZE, 100)],
  ["inode size 2048 in blocks of 1024", "corrupt", (sb) => sb.setU16(S_INODE_SIZE, 2048)],
  ["first inode 5", "corrupt", (sb) => sb.setU32(S_FIRST_INO, 5)],
  ["descriptor size 48", "corrupt", (sb) => sb.setU16(S_DESC_SIZE, 48)],
  ["no inodes per group", "corrupt", (sb) => sb.setU32(S_INODES_PER_GROUP, 0)],
  ["wrong number of inodes", "corrupt", (sb) => sb.setU32(S_INODES_COUNT, 77)],
  ["no blocks per group", "corrupt", (sb) => sb.setU32(S_BLOCKS_PER_GROUP, 0)],
  ["more blocks than the device", "corrupt", (sb) => sb.setU32(4, 1 << 30)],
  ["first data block 9", "corrupt", (sb) => sb.setU32(S_FIRST_DATA_BLOCK, 9)],
  ["reserved descriptor blocks", "corrupt", (sb) => sb.setU16(S_RESERVED_GDT_BLOCKS, 9999)],
];

test.each(IMPOSSIBLE)("an impossible superblock is refused: %s", (_name, kind, edit) => {
  expect(Ext4FileSystem.mount(changed(edit))).toMatchObject({ name: "Ext4Error", kind });
});

test("a superblock with a wrong checksum is refused", () => {
  expect(Ext4FileSystem.mount(changed((sb) => (sb.bytes[S_CHECKSUM_TYPE + 9] ^= 1), false))).toMatchObject({
    kind: "corrupt",
  });
});

test("a device shorter than the volume, or empty, is refused", () => {
  const half = new MemoryDisk(8 << 20);
  const bytes = new Uint8Array(8 << 20);
  BASE.readBlock(0, bytes);
  half.writeBlock(0, bytes);
  expect(Ext4FileSystem.mount(half)).toMatchObject({ kind: "corrupt" });
  expect(Ext4FileSystem.mount(new MemoryDisk(512))).toMatchObject({ kind: "invalid" });
});

// ---- damage at random ----

const DAMAGED_IMAGES = Number(process.env["EXT4_FUZZ_IMAGES"] ?? 300);

test(
  "no damage makes us throw or hang, with or without checksums",
  () => {
    const kinds = [
      [],
      ["^metadata_csum"],
      ["^metadata_csum", "^has_journal"],
      ["^metadata_csum", "^extent", "^64bit"],
      ["^metadata_csum", "inline_data", "ea_inode"],
      ["^metadata_csum", "bigalloc", "quota", "project"],
      ["inline_data", "quota", "orphan_file", "mmp"],
    ];
    for (const [number, features] of kinds.entries()) {
      const disk = new MemoryDisk(8 << 20);
      mkfs(disk, { uuid: "0d15ea5e-0000-4000-8000-000000000005", assumeStoragePrezeroed: true, features });
      const full = new Ext4FileSystem(disk);
      const workload = new Workload(full, 5, {
        reserves: !features.includes("^extent"),
        largeXattrs: features.includes("ea_inode"),
        maxData: 6000,
      });
      for (let i = 0; i < 600; i++) workload.next();
      const many = full.root().mkdir("many", { mode: 0o755, uid: 0, gid: 0, rdev: 0 }) as Ext4Inode;
      for (let i = 0; i < 300; i++)
        many.create(`a name in a large directory ${i}`, { mode: 0o100644, uid: 0, gid: 0, rdev: 0 });
      if (number % 2 === 0 && !features.includes("^has_journal") && !features.includes("mmp"))
        full.sync(); // leaves a journal to replay
      else full.unmount();
      const used = metadataBlocks(disk);
      const random = new Random(number + 1);
      for (let i = 0; i < DAMAGED_IMAGES / kinds.length; i++) {
        const damaged = new OverlayDisk(disk);
        const block = new Uint8Array(1024);
        for (let k = 0; k <= random.below(6); k++) {
          const at = used[random.below(used.length)] as number;
          damaged.readBlock(at * 2, block);
          const position = random.below(1024);
          if (random.below(3) === 0) block.fill(random.below(256), position, position + random.below(64));
          else block[position] ^= 1 << random.below(8);
          damaged.writeBlock(at * 2, block);
        }
        const fs = Ext4FileSystem.mount(damaged, { readOnly: random.below(4) === 0 });
        if (fs instanceof Ext4FileSystem) exercise(fs);
      }
    }
  },
  120_000 + DAMAGED_IMAGES * 200,
);

/** Blocks that are not all one value: mostly metadata, since the workload writes files of one byte repeated. */
function metadataBlocks(disk: MemoryDisk): number[] {
  const found: number[] = [];
  const block = new Uint8Array(1024);
  for (let i = 1; i < disk.size / 1024; i++) {
    disk.readBlock(i * 2, block);
    if (block.some((byte) => byte !== block[0])) found.push(i);
  }
  return found;
}
