/// <reference types="node" />
/** Truth: sfdisk, sgdisk and parted read what we wrote. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import {
  MemoryDisk,
  type NewPartition,
  type PartitionTable,
  readPartitionTable,
  writeGpt,
  writeMbr,
} from "../index.ts";
import { FileDisk } from "../node/index.ts";
import { crc32 } from "./crc32.ts";

const directory = mkdtempSync(join(tmpdir(), "parts-"));
afterAll(() => rmSync(directory, { recursive: true }));

const has = (tool: string, arg = "--version"): boolean => spawnSync(tool, [arg]).error === undefined;
const tools = { sfdisk: has("sfdisk"), sgdisk: has("sgdisk", "-V"), parted: has("parted") };
for (const [tool, there] of Object.entries(tools))
  if (!there) console.log(`skipped: partition tables against ${tool} (not installed)`);

const guid = (n: number): string => `1d15ea5e-0000-4000-8000-${n.toString(16).padStart(12, "0")}`;

function disk(size: number): { device: FileDisk; path: string } {
  const path = join(directory, "d.img");
  rmSync(path, { force: true });
  return { device: new FileDisk(path, { create: true, size }), path };
}

interface Listed {
  readonly start: number;
  readonly size: number;
  readonly type: string;
  readonly name?: string;
  readonly uuid?: string;
  readonly bootable?: boolean;
}

function sfdisk(path: string): { label: string; id: string; partitions: Listed[] } {
  const result = spawnSync("sfdisk", ["--json", path], { encoding: "utf8" });
  expect(result.stderr).toBe("");
  return JSON.parse(result.stdout).partitiontable;
}

const GPT: readonly NewPartition[] = [
  { type: "uefi", blockCount: 8192, name: "EFI system", guid: guid(1) },
  { type: "linux", blockCount: 20000, name: "root ÄÖ", guid: guid(2), bootable: true },
  { type: "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", guid: guid(3) },
];

test.skipIf(!tools.sfdisk)("a GPT satisfies sfdisk, sgdisk and parted", () => {
  const { device, path } = disk(64 << 20);
  const table = writeGpt(device, { guid: guid(0), partitions: GPT }) as PartitionTable;
  device.close();
  expect(table.problems).toEqual([]);
  expect(table.partitions.map((p) => [p.firstBlock, p.blockCount, p.name])).toEqual([
    [2048, 8192, "EFI system"],
    [10240, 20000, "root ÄÖ"],
    [30720, 98304, ""],
  ]);
  const listed = sfdisk(path);
  expect([listed.label, listed.id.toLowerCase()]).toEqual(["gpt", guid(0)]);
  expect(listed.partitions.map((p) => [p.start, p.size, p.type.toLowerCase(), p.uuid?.toLowerCase()])).toEqual(
    table.partitions.map((p) => [p.firstBlock, p.blockCount, p.type, p.guid]),
  );
  expect(spawnSync("sfdisk", ["--verify", path], { encoding: "utf8" }).stdout).toContain("No errors detected");
  if (tools.sgdisk)
    expect(spawnSync("sgdisk", ["-v", path], { encoding: "utf8" }).stdout).toContain("No problems found");
  if (tools.parted) {
    const parted = spawnSync("parted", ["-s", "-m", path, "unit", "s", "print"], {
      encoding: "utf8",
      env: { ...process.env, LC_ALL: "C.UTF-8" }, // parted says names in the locale's characters
    });
    expect([parted.status, parted.stderr]).toEqual([0, ""]);
    expect(parted.stdout).toContain("2:10240s:30239s:20000s::root ÄÖ:legacy_boot;");
  }
});

const MBR: readonly NewPartition[] = [
  { type: "0x0c", blockCount: 8192, bootable: true },
  { type: "linux", blockCount: 8192 },
  { logical: true, blockCount: 4096 },
  { logical: true, type: "swap", blockCount: 6000 },
  { logical: true },
];

test.skipIf(!tools.sfdisk)("an MBR with logical drives satisfies sfdisk and parted, and keeps the boot code", () => {
  const { device, path } = disk(64 << 20);
  device.writeBlock(0, new Uint8Array(512).fill(0xcc));
  const table = writeMbr(device, { signature: 0xdeadbeef, partitions: MBR }) as PartitionTable;
  device.close();
  expect(table.problems).toEqual([]);
  expect(table.partitions.map((p) => p.number)).toEqual([1, 2, 3, 5, 6, 7]);
  const listed = sfdisk(path);
  expect([listed.label, listed.id]).toEqual(["dos", "0xdeadbeef"]);
  expect(listed.partitions.map((p) => [p.start, p.size, `0x${p.type.padStart(2, "0")}`, p.bootable ?? false])).toEqual(
    table.partitions.map((p) => [p.firstBlock, p.blockCount, p.type, p.bootable]),
  );
  expect(spawnSync("sfdisk", ["--verify", path], { encoding: "utf8" }).stdout).toContain("No errors detected");
  expect(readFileSync(path)[100]).toBe(0xcc);
  if (tools.parted) {
    const parted = spawnSync("parted", ["-s", "-m", path, "unit", "s", "print"], {
      encoding: "utf8",
      env: { ...process.env, LC_ALL: "C.UTF-8" }, // parted says names in the locale's characters
    });
    expect([parted.status, parted.stderr]).toEqual([0, ""]);
    expect(parted.stdout.match(/^\d:/gm)).toEqual(["1:", "2:", "3:", "5:", "6:", "7:"]);
  }
});

test("places may be given, and what does not fit is refused before anything is written", () => {
  const device = new MemoryDisk(8 << 20);
  const table = writeMbr(device, {
    partitions: [
      { firstBlock: 100, blockCount: 50 },
      { firstBlock: 63, blockCount: 37 },
    ],
  });
  expect((table as PartitionTable).partitions.map((p) => [p.firstBlock, p.blockCount])).toEqual([
    [100, 50],
    [63, 37],
  ]);
  const before = device.toBytes();
  for (const partitions of [
    [
      { firstBlock: 100, blockCount: 50 },
      { firstBlock: 149, blockCount: 1 },
    ],
    [{ blockCount: 20000 }],
    [{ firstBlock: 0, blockCount: 1 }],
    Array.from({ length: 5 }, () => ({ blockCount: 100 })),
    [{ logical: true, blockCount: 10 }, { blockCount: 10 }],
    [{ type: "0x1234", blockCount: 10 }],
  ])
    expect(() => writeMbr(device, { partitions })).toThrow(RangeError);
  expect(() => writeGpt(device, { guid: guid(0), partitions: [{ name: "no guid" }] })).toThrow(/"guid" expected/);
  expect(() => writeGpt(device, { guid: "x", partitions: [] })).toThrow(/expected GUID/);
  expect(Buffer.compare(device.toBytes(), before)).toBe(0);
  expect(writeGpt(new MemoryDisk(1 << 20, { readOnly: true }), { guid: guid(0), partitions: [] })).toBe(-30);
});

test("a GPT on a device with larger blocks is read again", () => {
  const inner = new MemoryDisk(16 << 20);
  const large = {
    size: inner.size,
    blockSize: 4096,
    readOnly: false,
    readBlock: (block: number, buf: Uint8Array) => inner.readBlock(block * 8, buf),
    writeBlock: (block: number, buf: Uint8Array) => inner.writeBlock(block * 8, buf),
    flush: () => 0,
  };
  const table = writeGpt(large, { guid: guid(0), partitions: [{ guid: guid(1) }] }) as PartitionTable;
  expect(table.partitions.map((p) => [p.firstBlock, p.blockCount])).toEqual([[256, 3584]]);
  expect((readPartitionTable(large) as PartitionTable).problems).toEqual([]);
});

/** Right checksums for the first header and its entries. */
function reseal(image: Uint8Array): void {
  const view = new DataView(image.buffer);
  view.setUint32(512 + 88, crc32(image.subarray(1024, 1024 + 128 * 128)), true);
  view.setUint32(512 + 16, 0, true);
  view.setUint32(512 + 16, crc32(image.subarray(512, 512 + 92)), true);
}

test("damaged tables give errors or problems, never exceptions", () => {
  let seed = 7;
  const random = (limit: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * limit);
  };
  const gpt = new MemoryDisk(4 << 20);
  writeGpt(gpt, { guid: guid(0), partitions: [{ guid: guid(1), blockCount: 100 }, { guid: guid(2) }] });
  const mbr = new MemoryDisk(4 << 20);
  writeMbr(mbr, { partitions: [{ blockCount: 100 }, { logical: true, blockCount: 100 }, { logical: true }] });
  for (const [image, sectors] of [
    [gpt.toBytes(), [0, 1, 2, 8191]],
    [
      mbr.toBytes(),
      [0, ...(readPartitionTable(mbr) as PartitionTable).partitions.slice(2).map((p) => p.firstBlock - 1)],
    ],
  ] as const) {
    for (let round = 0; round < 1500; round++) {
      const undo: [number, number][] = [];
      for (let k = random(6); k >= 0; k--) {
        const at = sectors[random(sectors.length)] * 512 + random(512);
        undo.unshift([at, image[at]]);
        image[at] = random(256);
      }
      if (image[512] === 0x45 && round % 2 === 0) reseal(image); // so that the damage is believed
      const table = readPartitionTable(MemoryDisk.over(image)) as PartitionTable;
      for (const { firstBlock, blockCount } of table.partitions)
        expect(firstBlock >= 0 && blockCount > 0 && firstBlock + blockCount <= 8192).toBe(true);
      for (const [at, value] of undo) image[at] = value;
      if (image[512] === 0x45) reseal(image);
    }
  }
});
