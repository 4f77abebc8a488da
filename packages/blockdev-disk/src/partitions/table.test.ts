/// <reference types="node" />
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { MemoryDisk, openPartition, type PartitionTable, PartitionDevice, readPartitionTable } from "../index.ts";
import { crc32 } from "./crc32.ts";

function putEntry(disk: Uint8Array, sector: number, index: number, type: number, first: number, count: number): void {
  const view = new DataView(disk.buffer, sector * 512);
  const at = 0x1be + index * 16;
  view.setUint8(at + 4, type);
  view.setUint32(at + 8, first, true);
  view.setUint32(at + 12, count, true);
  view.setUint16(0x1fe, 0xaa55, true);
}

/** Header and entry array of a GPT whose array starts at `entriesAt`. */
function putGpt(disk: Uint8Array, at: number, entriesAt: number): void {
  const view = new DataView(disk.buffer);
  const entry = entriesAt * 512;
  disk.set([0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4], entry);
  disk.fill(0x11, entry + 16, entry + 32);
  view.setBigUint64(entry + 32, 64n, true);
  view.setBigUint64(entry + 40, 127n, true);
  for (const [i, c] of [..."root"].entries()) view.setUint16(entry + 56 + i * 2, c.charCodeAt(0), true);
  const header = at * 512;
  for (const [i, c] of [..."EFI PART"].entries()) disk[header + i] = c.charCodeAt(0);
  view.setUint32(header + 12, 92, true);
  view.setBigUint64(header + 24, BigInt(at), true);
  view.setBigUint64(header + 72, BigInt(entriesAt), true);
  view.setUint32(header + 80, 128, true);
  view.setUint32(header + 84, 128, true);
  view.setUint32(header + 88, crc32(disk.subarray(entry, entry + 128 * 128)), true);
  view.setUint32(header + 16, 0, true);
  view.setUint32(header + 16, crc32(disk.subarray(header, header + 92)), true);
}

const table = (disk: Uint8Array): PartitionTable => readPartitionTable(MemoryDisk.over(disk)) as PartitionTable;

test("primary and logical MBR partitions are found and numbered as Linux does", () => {
  const disk = new Uint8Array(1000 * 512);
  putEntry(disk, 0, 0, 0x83, 10, 90);
  putEntry(disk, 0, 1, 0x05, 100, 800);
  putEntry(disk, 100, 0, 0x83, 10, 100);
  putEntry(disk, 100, 1, 0x05, 300, 200);
  putEntry(disk, 400, 0, 0x82, 5, 50);
  const found = table(disk);
  expect(found.kind).toBe("mbr");
  expect(found.partitions.map((p) => [p.number, p.type, p.firstBlock, p.blockCount])).toEqual([
    [1, "0x83", 10, 90],
    [2, "0x05", 100, 800],
    [5, "0x83", 110, 100],
    [6, "0x82", 405, 50],
  ]);
  expect(found.problems).toEqual([]);
});

test("an extended partition that points at itself ends, with a problem reported", () => {
  const disk = new Uint8Array(1000 * 512);
  putEntry(disk, 0, 0, 0x0f, 100, 800);
  putEntry(disk, 100, 0, 0x83, 10, 10);
  putEntry(disk, 100, 1, 0x0f, 0, 10);
  expect(table(disk).problems).toEqual(["chain of extended boot records does not end"]);
});

test("a partition beyond the disk is left out and reported", () => {
  const disk = new Uint8Array(100 * 512);
  putEntry(disk, 0, 2, 0x83, 50, 51);
  expect(table(disk)).toEqual({ kind: "mbr", partitions: [], problems: ["partition 3 reaches beyond the disk"] });
});

test("a GPT is read by its primary header, or by the backup when that is damaged", () => {
  const disk = new Uint8Array(400 * 512);
  putEntry(disk, 0, 0, 0xee, 1, 399);
  putGpt(disk, 1, 2);
  putGpt(disk, 399, 366);
  const expected = [
    {
      number: 1,
      firstBlock: 64,
      blockCount: 64,
      type: "0fc63daf-8483-4772-8e79-3d69d8477de4",
      name: "root",
      guid: "11111111-1111-1111-1111-111111111111",
      bootable: false,
    },
  ];
  expect(table(disk)).toEqual({ kind: "gpt", partitions: expected, problems: [] });
  disk[2 * 512 + 40] ^= 1;
  expect(table(disk).partitions).toEqual(expected);
  expect(table(disk).problems).toEqual([
    "primary GPT entry array checksum is wrong",
    "primary GPT is damaged, using the backup",
  ]);
});

test("a disk without a table has none", () => {
  expect(table(new Uint8Array(4096))).toEqual({ kind: "none", partitions: [], problems: [] });
});

test("a partition is a device of its own that cannot be left", () => {
  const disk = new Uint8Array(100 * 512);
  putEntry(disk, 0, 0, 0x83, 10, 20);
  const device = MemoryDisk.over(disk);
  const partition = openPartition(device, (readPartitionTable(device) as PartitionTable).partitions[0]);
  expect(partition.size).toBe(20 * 512);
  expect(partition.writeBlock(19, new Uint8Array(512).fill(7))).toBe(0);
  expect(disk[29 * 512]).toBe(7);
  expect(partition.writeBlock(20, new Uint8Array(512))).toBe(-5);
  expect(() => new PartitionDevice(device, 90, 20)).toThrow(RangeError);
});

const sfdisk = spawnSync("sfdisk", ["--version"]).status === 0;

test.skipIf(!sfdisk).each(["gpt", "dos"])("what sfdisk writes as %s is found (skipped without sfdisk)", (label) => {
  const directory = mkdtempSync(join(tmpdir(), "parts-"));
  try {
    const path = join(directory, "d.img");
    writeFileSync(path, "");
    truncateSync(path, 16 << 20);
    const script = `label: ${label}\nstart=2048, size=4096\nstart=8192, size=16384${label === "dos" ? ", type=5\nstart=10240, size=1000" : ""}\n`;
    expect(spawnSync("sfdisk", ["-q", path], { input: script }).status).toBe(0);
    const found = table(new Uint8Array(readFileSync(path)));
    expect(found.kind).toBe(label === "dos" ? "mbr" : "gpt");
    expect(found.partitions.slice(0, 2).map((p) => [p.firstBlock, p.blockCount])).toEqual([
      [2048, 4096],
      [8192, 16384],
    ]);
    if (label === "dos") expect([found.partitions[2].number, found.partitions[2].firstBlock]).toEqual([5, 10240]);
    expect(found.problems).toEqual([]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
