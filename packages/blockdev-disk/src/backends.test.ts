/// <reference types="node" />
import { mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { OpfsDisk, type SyncAccessHandle } from "./browser/index.ts";
import { type BlockDevice, EIO, EROFS, MemoryDisk, OverlayDisk, RecordingDisk } from "./index.ts";
import { FileDisk } from "./node/index.ts";

const directory = mkdtempSync(join(tmpdir(), "blockdev-"));
afterAll(() => rmSync(directory, { recursive: true }));

const SIZE = 3 << 20;

/** A handle over an array, as a Worker's would behave. */
function fakeHandle(size: number): SyncAccessHandle {
  let bytes = new Uint8Array(size);
  return {
    read: (buffer, { at }) => {
      const part = bytes.subarray(at, at + buffer.length);
      buffer.set(part);
      return part.length;
    },
    write: (buffer, { at }) => {
      bytes.set(buffer, at);
      return buffer.length;
    },
    getSize: () => bytes.length,
    truncate: (length) => {
      const next = new Uint8Array(length);
      next.set(bytes.subarray(0, length));
      bytes = next;
    },
    flush: () => {},
    close: () => {},
  };
}

const backends: [string, () => BlockDevice][] = [
  ["MemoryDisk", () => new MemoryDisk(SIZE)],
  ["MemoryDisk.over", () => MemoryDisk.over(new Uint8Array(SIZE))],
  ["OverlayDisk", () => new OverlayDisk(new MemoryDisk(SIZE, { readOnly: true }))],
  ["FileDisk", () => new FileDisk(join(directory, "disk.img"), { create: true, size: SIZE })],
  ["OpfsDisk", () => new OpfsDisk(fakeHandle(0), { size: SIZE })],
];

test.each(backends)("%s gives back what was written, at any block and length", (_name, open) => {
  const device = open();
  expect([device.size, device.blockSize, device.readOnly]).toEqual([SIZE, 512, false]);
  const model = new Uint8Array(SIZE);
  let seed = 1;
  const random = (limit: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed % limit;
  };
  for (let i = 0; i < 200; i++) {
    const blockId = random(SIZE / 512 - 64);
    const buf = new Uint8Array((1 + random(64)) * 512).fill(random(256));
    expect(device.writeBlock(blockId, buf)).toBe(0);
    model.set(buf, blockId * 512);
  }
  const all = new Uint8Array(SIZE);
  expect(device.readBlock(0, all)).toBe(0);
  expect(Buffer.compare(all, model)).toBe(0);
  expect(device.flush()).toBe(0);
});

test.each(backends)("%s answers EIO outside the disk and refuses odd lengths", (_name, open) => {
  const device = open();
  expect(device.readBlock(SIZE / 512, new Uint8Array(512))).toBe(-EIO);
  expect(device.readBlock(SIZE / 512 - 1, new Uint8Array(1024))).toBe(-EIO);
  expect(device.writeBlock(SIZE / 512, new Uint8Array(512))).toBe(-EIO);
  expect(() => device.readBlock(0, new Uint8Array(100))).toThrow(RangeError);
  expect(() => device.writeBlock(-1, new Uint8Array(512))).toThrow(RangeError);
});

test("an overlay leaves its base alone until it is merged", () => {
  const base = new MemoryDisk(1 << 20);
  base.writeBlock(0, new Uint8Array(1 << 20).fill(1));
  const overlay = new OverlayDisk(base);
  overlay.writeBlock(3, new Uint8Array(512).fill(2));
  const read = (device: BlockDevice, block: number): number => {
    const buf = new Uint8Array(512);
    device.readBlock(block, buf);
    return buf[0];
  };
  expect([read(overlay, 2), read(overlay, 3), read(overlay, 4), read(base, 3)]).toEqual([1, 2, 1, 1]);
  expect(overlay.changedBytes).toBe(4096);
  expect(overlay.merge()).toBe(0);
  expect([read(base, 3), overlay.changedBytes]).toEqual([2, 0]);
});

test("a saved overlay can be loaded over the same base", () => {
  const base = new MemoryDisk(1 << 20);
  const overlay = new OverlayDisk(base);
  for (const block of [2000, 5, 77]) overlay.writeBlock(block, new Uint8Array(512).fill(block & 255));
  const saved = overlay.save();
  expect(saved.length).toBe(512 + 3 * 4096);
  const again = OverlayDisk.load(base, saved);
  const [a, b] = [new Uint8Array(1 << 20), new Uint8Array(1 << 20)];
  overlay.readBlock(0, a);
  again.readBlock(0, b);
  expect(Buffer.compare(a, b)).toBe(0);
  expect(() => OverlayDisk.load(base, saved.subarray(0, 4000))).toThrow(/truncated/);
  expect(() => OverlayDisk.load(new MemoryDisk(1 << 21), saved)).toThrow(/another size/);
});

test("a run of unchanged blocks is read from the base in one call, into the caller's buffer", () => {
  const calls: Uint8Array[] = [];
  const base = new MemoryDisk(1 << 20);
  const watched: BlockDevice = {
    size: base.size,
    blockSize: 512,
    readOnly: true,
    readBlock: (block, buf) => {
      calls.push(buf);
      return base.readBlock(block, buf);
    },
    writeBlock: () => -EROFS,
    flush: () => 0,
  };
  const buf = new Uint8Array(1 << 16);
  new OverlayDisk(watched).readBlock(9, buf);
  expect(calls).toEqual([buf]);
});

test("a read-only device refuses writes with EROFS", () => {
  const path = join(directory, "ro.img");
  writeFileSync(path, new Uint8Array(4096).fill(5));
  const file = new FileDisk(path, { readOnly: true });
  expect(file.writeBlock(0, new Uint8Array(512))).toBe(-EROFS);
  expect(new MemoryDisk(4096, { readOnly: true }).writeBlock(0, new Uint8Array(512))).toBe(-EROFS);
  file.close();
  file.close();
  expect(file.readBlock(0, new Uint8Array(512))).toBe(-EIO);
});

test("a host file that was cut off reads as zeros beyond its end, and grows again when written", () => {
  const path = join(directory, "cut.img");
  const file = new FileDisk(path, { create: true, size: 8192 });
  file.writeBlock(0, new Uint8Array(8192).fill(3));
  truncateSync(path, 1000);
  const buf = new Uint8Array(8192).fill(9);
  expect(file.readBlock(0, buf)).toBe(0);
  expect([buf[999], buf[1000], buf[8191]]).toEqual([3, 0, 0]);
  expect(file.writeBlock(15, new Uint8Array(512).fill(4))).toBe(0);
  expect(statSync(path).size).toBe(8192);
  file.close();
});

test("memory of a sparse disk grows only where it is written, and discard gives it back", () => {
  const disk = new MemoryDisk(2 ** 40);
  expect(disk.allocatedBytes).toBe(0);
  disk.writeBlock(2 ** 30, new Uint8Array(512).fill(1));
  expect(disk.allocatedBytes).toBe(64 << 10);
  expect(disk.discard(2 ** 30 - 2048, 8192)).toBe(0);
  expect(disk.allocatedBytes).toBe(0);
});

test("a recording can be replayed up to any event", () => {
  const recorder = new RecordingDisk(new MemoryDisk(4096));
  recorder.writeBlock(0, new Uint8Array(512).fill(1));
  recorder.flush();
  recorder.writeBlock(0, new Uint8Array(512).fill(2));
  const target = new MemoryDisk(4096);
  expect(recorder.replay(target, 2)).toBe(0);
  expect(target.toBytes()[0]).toBe(1);
  expect(recorder.replay(target)).toBe(0);
  expect(target.toBytes()[0]).toBe(2);
});
