/// <reference types="node" />
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { EIO, ENOSPC, FaultyDisk, GatherDisk, MemoryDisk, OverlayDisk, RecordingDisk, WriteBackDisk } from "./index.ts";
import { FileDisk } from "./node/index.ts";
import { RangeSet } from "./range-set.ts";

const directory = mkdtempSync(join(tmpdir(), "wrappers-"));
afterAll(() => rmSync(directory, { recursive: true }));

const block = (value: number, count = 1): Uint8Array => new Uint8Array(512 * count).fill(value);
const first = (disk: { readBlock(id: number, buf: Uint8Array): number }, id: number): number => {
  const buf = new Uint8Array(512);
  expect(disk.readBlock(id, buf)).toBe(0);
  return buf[0];
};

describe("GatherDisk", () => {
  test("writes that continue each other reach the device as one, others in their order", () => {
    const recorder = new RecordingDisk(new MemoryDisk(8 << 20));
    const disk = new GatherDisk(recorder);
    const piece = (fill: number, blocks: number): Uint8Array => new Uint8Array(blocks * 512).fill(fill);
    for (let i = 0; i < 5; i++) disk.writeBlock(10 + i * 2, piece(i, 2));
    expect(recorder.events.length).toBe(0);
    disk.writeBlock(10, piece(9, 1));
    disk.writeBlock(11, piece(8, 1));
    const read = new Uint8Array(512);
    expect([disk.readBlock(100, read), recorder.events.length]).toEqual([0, 1]); // beside the run
    expect([disk.readBlock(11, read), read[0], recorder.events.length]).toEqual([0, 8, 2]);
    expect([disk.readBlock(12, read), read[0]]).toEqual([0, 1]);
    disk.writeBlock(500, piece(3, 1024)); // too large to be copied
    expect(recorder.events.length).toBe(3);
    disk.writeBlock(0, piece(1, 1));
    expect([disk.flush(), recorder.events.map((event) => event.kind)]).toEqual([
      0,
      ["write", "write", "write", "write", "flush"],
    ]);
  });

  test("random writes and reads see what a plain disk would", () => {
    const plain = new MemoryDisk(4 << 20);
    const below = new MemoryDisk(4 << 20);
    const disk = new GatherDisk(below);
    let seed = 5;
    const random = (limit: number): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return Math.floor((seed / 2 ** 32) * limit);
    };
    let at = 0;
    for (let step = 0; step < 4000; step++) {
      const blocks = 1 + random(random(20) === 0 ? 900 : 12);
      if (random(3) === 0 || at + blocks > 8192) at = random(8192 - blocks);
      const buf = new Uint8Array(blocks * 512).fill(step);
      if (random(5) > 0) {
        expect([disk.writeBlock(at, buf), plain.writeBlock(at, buf)]).toEqual([0, 0]);
        at += blocks;
      } else {
        const other = buf.slice();
        expect([disk.readBlock(at, buf), plain.readBlock(at, other)]).toEqual([0, 0]);
        expect(Buffer.compare(buf, other)).toBe(0);
      }
    }
    expect(disk.flush()).toBe(0);
    const [a, b] = [new Uint8Array(4 << 20), new Uint8Array(4 << 20)];
    below.readBlock(0, a);
    plain.readBlock(0, b);
    expect(Buffer.compare(a, b)).toBe(0);
  });

  test("an error of what was held back is answered to the call that writes it out, and stays", () => {
    const failing = { size: 1 << 20, blockSize: 512, readOnly: false, readBlock: () => 0, flush: () => 0 };
    const disk = new GatherDisk({ ...failing, writeBlock: () => -EIO });
    expect(disk.writeBlock(0, new Uint8Array(512))).toBe(0);
    expect([disk.flush(), disk.writeBlock(9, new Uint8Array(512)), disk.flush()]).toEqual([-EIO, -EIO, -EIO]);
  });
});

describe("WriteBackDisk", () => {
  test("many small writes become few large ones, at the flush and not before", () => {
    const recorder = new RecordingDisk(new MemoryDisk(1 << 20));
    const disk = new WriteBackDisk(recorder);
    for (let i = 255; i >= 0; i--) expect(disk.writeBlock(100 + i, block(i))).toBe(0);
    expect(disk.writeBlock(1000, block(9))).toBe(0);
    expect([recorder.events.length, first(disk, 107)]).toEqual([0, 7]);
    expect(disk.flush()).toBe(0);
    expect(recorder.events.map((e) => (e.kind === "write" ? [e.blockId, e.data.length / 512] : e.kind))).toEqual([
      [100, 256],
      [1000, 1],
      "flush",
    ]);
    expect(disk.dirtyBytes).toBe(0);
  });

  test("it reads as a disk without it, whatever the order", () => {
    const inner = new MemoryDisk(1 << 20);
    const disk = new WriteBackDisk(inner, { dirtyBytes: 64 << 10 });
    const model = new Uint8Array(1 << 20);
    let seed = 3;
    const random = (limit: number): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return Math.floor((seed / 2 ** 32) * limit);
    };
    for (let i = 0; i < 500; i++) {
      const at = random(2048 - 40);
      const data = block(random(256), 1 + random(40));
      expect(disk.writeBlock(at, data)).toBe(0);
      model.set(data, at * 512);
      const from = random(2048 - 100);
      const buf = block(0, 1 + random(100));
      disk.readBlock(from, buf);
      expect(Buffer.compare(buf, model.subarray(from * 512, from * 512 + buf.length))).toBe(0);
      expect(disk.dirtyBytes).toBeLessThanOrEqual(64 << 10);
      if (i % 100 === 99) {
        expect(disk.flush()).toBe(0);
        expect(Buffer.compare(inner.toBytes(), model)).toBe(0);
      }
    }
  });

  test("what could not be written stays, and the next flush writes it", () => {
    let broken = true;
    const inner = new MemoryDisk(1 << 20);
    const disk = new WriteBackDisk(
      new FaultyDisk(inner, (operation, id) => broken && operation === "write" && id >= 500),
    );
    disk.writeBlock(10, block(1));
    disk.writeBlock(500, block(2));
    expect(disk.flush()).toBe(-EIO);
    expect([first(inner, 10), first(inner, 500), first(disk, 500)]).toEqual([1, 0, 2]);
    broken = false;
    expect(disk.flush()).toBe(0);
    expect(first(inner, 500)).toBe(2);
  });

  test("a discarded range is not written any more", () => {
    const recorder = new RecordingDisk(new MemoryDisk(1 << 20));
    const disk = new WriteBackDisk(recorder);
    disk.writeBlock(0, block(1, 64));
    expect(disk.discard(3, 59)).toBe(0);
    disk.flush();
    expect(recorder.events.map((e) => (e.kind === "write" ? [e.blockId, e.data.length / 512] : e.kind))).toEqual([
      "discard",
      [0, 3],
      [62, 2],
      "flush",
    ]);
  });
});

test("a fault is the errno that was asked for, and a torn write leaves its first blocks", () => {
  const inner = new MemoryDisk(1 << 20);
  const disk = new FaultyDisk(inner, (operation, id, count) => {
    if (operation === "write" && id === 8) return { torn: 2 };
    if (operation === "discard") return ENOSPC;
    return operation === "read" && count > 10;
  });
  expect(disk.writeBlock(8, block(5, 4))).toBe(-EIO);
  expect([first(inner, 9), first(inner, 10)]).toEqual([5, 0]);
  expect([disk.discard(0, 1), disk.readBlock(0, block(0, 11)), disk.readBlock(0, block(0, 10)), disk.flush()]).toEqual([
    -ENOSPC,
    -EIO,
    0,
    0,
  ]);
});

test("rebasing an overlay keeps what is seen and only what differs", () => {
  const old = new MemoryDisk(1 << 20);
  old.writeBlock(0, block(1, 1000));
  const overlay = new OverlayDisk(old);
  overlay.writeBlock(16, block(2, 8));
  overlay.writeBlock(1600, block(3, 8));
  const seen = new Uint8Array(1 << 20);
  overlay.readBlock(0, seen);
  const next = new MemoryDisk(1 << 20);
  next.writeBlock(0, block(1, 1000));
  next.writeBlock(1600, block(3, 8)); // the same change is in the new base
  next.writeBlock(800, block(4, 8)); // and one that the overlay must hide
  expect(overlay.rebase(next)).toBe(0);
  const after = new Uint8Array(1 << 20);
  overlay.readBlock(0, after);
  expect(Buffer.compare(seen, after)).toBe(0);
  expect(overlay.changedBytes).toBe(8192);
  expect(overlay.merge()).toBe(0);
  expect(Buffer.compare(next.toBytes(), seen)).toBe(0);
  expect(() => overlay.rebase(new MemoryDisk(4096))).toThrow(RangeError);
});

test("ranges melt together and are cut", () => {
  const set = new RangeSet();
  for (const [start, end] of [
    [10, 20],
    [40, 50],
    [20, 25],
    [24, 41],
    [60, 70],
  ] as const)
    set.add(start, end);
  set.remove(45, 65);
  set.remove(12, 13);
  expect(set.take()).toEqual([
    { start: 10, end: 12 },
    { start: 13, end: 45 },
    { start: 65, end: 70 },
  ]);
  expect(set.isEmpty).toBe(true);
});

const canPunch = spawnSync("fallocate", ["--version"]).status === 0;
if (!canPunch) console.log("skipped: hole punching (util-linux's fallocate is not installed)");

test.skipIf(!canPunch)(
  "discarded ranges are given back to the host at the flush, but not what was written since",
  () => {
    const path = join(directory, "punch.img");
    const disk = new FileDisk(path, { create: true, size: 16 << 20, discard: "punch" });
    const used = (): number => statSync(path).blocks * 512;
    disk.writeBlock(0, block(7, 32768));
    disk.flush();
    expect(used()).toBeGreaterThanOrEqual(16 << 20);
    expect(disk.discard(2048, 8192)).toBe(0); // 1..5 MiB
    expect(disk.discard(24576, 8192)).toBe(0); // the last 4 MiB
    disk.writeBlock(4096, block(8)); // at 2 MiB
    expect(disk.flush()).toBe(0);
    expect(used()).toBeLessThan(9 << 20);
    expect(statSync(path).size).toBe(16 << 20);
    expect([2047, 2048, 4096, 4097, 10240, 32767].map((id) => first(disk, id))).toEqual([7, 0, 8, 0, 7, 0]);
    disk.close();
  },
);
