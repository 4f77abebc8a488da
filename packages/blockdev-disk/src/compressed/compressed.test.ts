/// <reference types="node" />
/** Truth is Node's zlib, and the `zstd` program where it is installed. */
import { spawnSync } from "node:child_process";
import * as zlib from "node:zlib";
import { describe, expect, test } from "vitest";
import { type BlockDevice, type ByteFile, GzipDisk, MemoryFile, ZstdDisk } from "../index.ts";
import { inflateRaw } from "./inflate.ts";
import { decompressZstd } from "./zstd.ts";

function randomFrom(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

/** Text, noise, zeros and repetitions in turn. */
function sample(byteLength: number, seed: number): Uint8Array {
  const random = randomFrom(seed);
  const bytes = new Uint8Array(byteLength);
  for (let at = 0; at < byteLength; ) {
    const end = Math.min(byteLength, at + 1 + random(40_000));
    const kind = random(4);
    if (kind === 0) for (; at < end; at++) bytes[at] = random(256);
    else if (kind === 1) for (; at < end; at++) bytes[at] = 97 + random(5) * random(4);
    else if (kind === 2 && at > 5000) for (const back = 1 + random(5000); at < end; at++) bytes[at] = bytes[at - back];
    at = end;
  }
  return bytes;
}

const isEqual = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** Reads at random places and compares. */
function readsAs(disk: BlockDevice, expected: Uint8Array): boolean {
  const random = randomFrom(1);
  const padded = new Uint8Array(disk.size);
  padded.set(expected);
  for (let i = 0; i < 40; i++) {
    const block = random(disk.size / 512);
    const buf = new Uint8Array(512 * (1 + random(Math.min(400, disk.size / 512 - block))));
    if (disk.readBlock(block, buf) !== 0 || !isEqual(buf, padded.subarray(block * 512, block * 512 + buf.length)))
      return false;
  }
  return true;
}

/** The file, and how much of it has been read. */
function countReads(file: MemoryFile): ByteFile & { bytesRead: number } {
  return {
    bytesRead: 0,
    size: file.size,
    readOnly: true,
    readAt(at, buf) {
      this.bytesRead += buf.length;
      return file.readAt(at, buf);
    },
    writeAt: () => -30,
    flush: () => 0,
  };
}

const DEFLATE_OPTIONS: zlib.ZlibOptions[] = [
  { level: 0 },
  { level: 1 },
  { level: 9 },
  { strategy: zlib.constants.Z_FIXED },
  { strategy: zlib.constants.Z_HUFFMAN_ONLY },
  { strategy: zlib.constants.Z_RLE },
];

test.each(DEFLATE_OPTIONS)("inflate gives what zlib deflated with %o", (options) => {
  for (const size of [0, 1, 2, 100, 65_537, 1_000_000]) {
    const data = sample(size, size);
    const out = new Uint8Array(size);
    expect(inflateRaw(zlib.deflateRawSync(data, options), out)).toBe(size);
    expect(isEqual(out, data)).toBe(true);
  }
});

test("damaged deflate and zstd data end, without exceptions", () => {
  const random = randomFrom(5);
  const data = sample(30_000, 3);
  for (const [packed, unpack] of [
    [zlib.deflateRawSync(data), inflateRaw],
    ...(zlib.zstdCompressSync === undefined ? [] : [[zlib.zstdCompressSync(data), decompressZstd] as const]),
  ] as const) {
    for (let i = 0; i < 2000; i++) {
      const bad = Uint8Array.from(packed.subarray(0, i % 3 === 0 ? random(packed.length) : packed.length));
      for (let k = random(4); k >= 0 && bad.length > 0; k--) bad[random(bad.length)] ^= 1 << random(8);
      expect(unpack(bad, new Uint8Array(data.length))).toBeLessThanOrEqual(data.length);
    }
  }
});

describe("a gzip image", () => {
  const data = sample(5_000_123, 2);

  test("is read at any place, in one member or several, with little memory", () => {
    for (const file of [
      zlib.gzipSync(data),
      Buffer.concat([zlib.gzipSync(data.subarray(0, 3_000_001)), zlib.gzipSync(data.subarray(3_000_001))]),
    ]) {
      const disk = GzipDisk.open(new MemoryFile(file), { spanSize: 1 << 19, cacheBytes: 1 << 20 }) as GzipDisk;
      expect([disk.byteLength, disk.size, disk.readOnly]).toEqual([
        data.length,
        Math.ceil(data.length / 512) * 512,
        true,
      ]);
      expect(readsAs(disk, data)).toBe(true);
      expect(disk.cachedBytes).toBeLessThan(3 << 20);
    }
  });

  test("opens at once with a saved index", () => {
    const file = new MemoryFile(zlib.gzipSync(data));
    const index = (GzipDisk.open(file) as GzipDisk).saveIndex();
    const counted = countReads(file);
    const disk = GzipDisk.open(counted, { index }) as GzipDisk;
    expect(counted.bytesRead).toBe(0);
    expect(readsAs(disk, data)).toBe(true);
    expect(GzipDisk.open(new MemoryFile(zlib.gzipSync(data.subarray(1))), { index })).toBe(-22);
    expect(GzipDisk.open(file, { index: index.subarray(0, index.length - 1) })).toBe(-22);
  });

  test("that is damaged or none is refused", () => {
    const packed = zlib.gzipSync(data);
    packed[packed.length - 6] ^= 1;
    expect(GzipDisk.open(new MemoryFile(packed))).toBe(-5); // its CRC
    expect(GzipDisk.open(new MemoryFile(packed.subarray(0, 1_000_000)))).toBe(-5);
    expect(GzipDisk.open(new MemoryFile(data))).toBe(-22);
  });
});

const hasZstd = spawnSync("zstd", ["--version"]).status === 0;
if (!hasZstd) console.log("skipped: zstd images (the zstd program is not installed)");

describe.skipIf(!hasZstd)("a zstd image", () => {
  const data = sample(6_000_123, 4);
  const zstd = (bytes: Uint8Array, ...args: string[]): Uint8Array =>
    spawnSync("zstd", ["-q", "-c", ...args], { input: bytes, maxBuffer: 1 << 28 }).stdout;

  test.each([["-1"], ["-3"], ["-12"], ["--fast=5"], ["-3", "--no-check"]])(
    "in one frame, %s, is read at any place",
    (...args) => {
      const disk = ZstdDisk.open(new MemoryFile(zstd(data, ...args)), {
        spanSize: 1 << 20,
        cacheBytes: 1 << 20,
      }) as ZstdDisk;
      expect(disk.byteLength).toBe(data.length);
      expect(disk.spanCount).toBeGreaterThan(3);
      expect(readsAs(disk, data)).toBe(true);
      expect(disk.cachedBytes).toBeLessThan(3 << 20);
    },
  );

  test("in many frames is opened by reading block headers alone", () => {
    const parts: Uint8Array[] = [Uint8Array.of(0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3)]; // a skippable frame
    for (let at = 0; at < data.length; at += 1 << 20) {
      // From a file, so that the frame says how long it is.
      parts.push(zstd(data.subarray(at, at + (1 << 20)), "--stream-size", String(Math.min(1 << 20, data.length - at))));
    }
    const file = new MemoryFile(Buffer.concat(parts));
    const counted = countReads(file);
    const disk = ZstdDisk.open(counted) as ZstdDisk;
    expect(counted.bytesRead).toBeLessThan(1000);
    expect(readsAs(disk, data)).toBe(true);
  });

  test("that is damaged or none is refused", () => {
    expect(ZstdDisk.open(new MemoryFile(zstd(data).subarray(0, 100_000)))).toBe(-5);
    expect(ZstdDisk.open(new MemoryFile(data))).toBe(-22);
  });
});
