/**
 * Rates of the library without any guest: on a memory disk and on a host file. storage-guest.bench.ts (conformance) has the same
 * workload in a guest, and on fuse2fs and the host's kernel.
 *
 * Run: pnpm bench storage. The figure of each of three rounds counts that is the best: a busy machine only ever takes away.
 */
/// <reference types="node" />
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BlockDevice, MemoryDisk } from "blockdev-disk";
import { FileDisk } from "blockdev-disk/node";
import { Ext4FileSystem, type Ext4Inode, mkfs, populate } from "ext4-fs";

interface Row {
  readonly disk: string;
  readonly what: string;
  readonly value: number;
  readonly unit: string;
}

const MIB = 1 << 20;
const FILES = 20_000;
const LARGE_MIB = 256;
const ROUNDS = 3;
const NODE = { mode: 0o100644, uid: 0, gid: 0, rdev: 0 };
const rows: Row[] = [];

function measure(disk: string, what: string, amount: number, unit: string, run: () => void): void {
  const start = performance.now();
  run();
  const value = Math.round(amount / ((performance.now() - start) / 1000));
  const known = rows.findIndex((row) => row.disk === disk && row.what === what);
  if (known < 0) rows.push({ disk, what, value, unit });
  else if (value > rows[known].value) rows[known] = { disk, what, value, unit };
}

function check(result: number, expected: number): void {
  if (result !== expected) throw new Error(`got ${result}, expected ${expected}`);
}

function format(device: BlockDevice): void {
  mkfs(device, { uuid: "0d15ea5e-0000-4000-8000-00000000be2c", blockSize: 4096, assumeStoragePrezeroed: true });
}

function bench(name: string, open: () => BlockDevice): void {
  const device = open();
  format(device);
  const fs = new Ext4FileSystem(device);
  const root = fs.root();
  const dir = root.mkdir("many", { ...NODE, mode: 0o755 }) as Ext4Inode;
  const page = new Uint8Array(4096).fill(1);
  measure(name, "create + write 4 KiB, one directory", FILES, "files/s", () => {
    for (let i = 0; i < FILES; i++) check((dir.create(`file-${i}`, NODE) as Ext4Inode).writeAt(0, page), 4096);
    check(fs.sync(), 0);
  });
  measure(name, "look up", FILES, "names/s", () => {
    for (let i = 0; i < FILES; i++) if (typeof dir.lookup(`file-${i}`) === "number") throw new Error("lookup failed");
  });
  measure(name, "read 4 KiB files", FILES, "files/s", () => {
    for (let i = 0; i < FILES; i++) check((dir.lookup(`file-${i}`) as Ext4Inode).readAt(0, page), 4096);
  });
  measure(name, "list", FILES, "names/s", () => {
    let count = 0;
    dir.readdir(0, () => ++count > 0);
    check(count, FILES + 2);
  });
  measure(name, "unlink", FILES, "files/s", () => {
    for (let i = 0; i < FILES; i++) check(dir.unlink(`file-${i}`), 0);
    check(fs.sync(), 0);
  });
  const large = root.create("large", NODE) as Ext4Inode;
  const piece = new Uint8Array(MIB).fill(2);
  measure(name, "sequential write, 1 MiB pieces", LARGE_MIB, "MiB/s", () => {
    for (let i = 0; i < LARGE_MIB; i++) check(large.writeAt(i * MIB, piece), MIB);
    check(fs.sync(), 0);
  });
  measure(name, "sequential read, 1 MiB pieces", LARGE_MIB, "MiB/s", () => {
    for (let i = 0; i < LARGE_MIB; i++) check(large.readAt(i * MIB, piece), MIB);
  });
  measure(name, "sequential read, 4 KiB pieces", LARGE_MIB, "MiB/s", () => {
    for (let i = 0; i < LARGE_MIB * 256; i++) check(large.readAt(i * 4096, page), 4096);
  });
  const journaled = root.create("fsync", NODE) as Ext4Inode;
  measure(name, "write 4 KiB + fsync", 200, "calls/s", () => {
    for (let i = 0; i < 200; i++) {
      check(journaled.writeAt(i * 4096, page), 4096);
      check(journaled.sync(false), 0);
    }
  });
  check(fs.unmount(), 0);
}

function benchPopulate(name: string, open: () => BlockDevice): void {
  const device = open();
  format(device);
  const fs = new Ext4FileSystem(device, { unjournaled: true });
  const data = new Uint8Array(3000).fill(3);
  measure(name, "fill an image: 3 KB files in 200 directories", FILES, "files/s", () => {
    populate(
      fs,
      (function* () {
        for (let i = 0; i < FILES; i++)
          yield { path: `top${i % 20}/sub${i % 200}/file-${i}`, type: "file" as const, data };
      })(),
    );
    check(fs.unmount(), 0);
  });
}

const directory = mkdtempSync(join(tmpdir(), "ext4-bench-"));
try {
  let files = 0;
  const memory = (): BlockDevice => new MemoryDisk(1024 * MIB);
  const file = (): BlockDevice => new FileDisk(join(directory, `${files++}.img`), { create: true, size: 1024 * MIB });
  for (const [name, open] of [
    ["memory", memory],
    ["file", file],
  ] as const) {
    for (let round = 0; round < ROUNDS; round++) {
      bench(name, open);
      benchPopulate(name, open);
    }
  }
} finally {
  rmSync(directory, { recursive: true });
}

// A table for people, then a JSON object a line for tools/bench.mjs, which fails figures below their floor.
const FLOORS: Readonly<Record<string, number>> = {
  "sequential write, 1 MiB pieces": 200,
  "sequential read, 1 MiB pieces": 400,
  "create + write 4 KiB, one directory": 10_000,
};
for (const r of rows)
  process.stdout.write(`${r.disk.padEnd(8)}${r.what.padEnd(48)}${String(r.value).padStart(10)} ${r.unit}\n`);
for (const r of rows) {
  const min = FLOORS[r.what];
  process.stdout.write(
    `${JSON.stringify({ name: `ext4, ${r.disk}: ${r.what}`, value: r.value, unit: r.unit, ...(min === undefined ? {} : { min }) })}\n`,
  );
}
