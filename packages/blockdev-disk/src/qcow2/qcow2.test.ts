/// <reference types="node" />
/** Truth is qemu-img: it makes images for us to read, and checks and compares what we wrote. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { createQcow2, MemoryDisk, MemoryFile, OverlayDisk, Qcow2Disk, Qcow2Error } from "../index.ts";
import { FileDisk, HostFile } from "../node/index.ts";

const SIZE = 20 << 20;
const directory = mkdtempSync(join(tmpdir(), "qcow2-"));
afterAll(() => rmSync(directory, { recursive: true }));
const at = (name: string): string => join(directory, name);

const hasQemu = spawnSync("qemu-img", ["--version"]).status === 0;
if (!hasQemu) console.log("skipped: qcow2 against qemu-img (not installed; Debian: qemu-utils)");

function qemuImg(...args: string[]): string {
  const result = spawnSync("qemu-img", args, { cwd: directory, encoding: "utf8" });
  if (result.status !== 0) throw new Error(`qemu-img ${args.join(" ")}: ${result.stdout}${result.stderr}`);
  return result.stdout;
}

/** Reproducible numbers below `limit`. */
function randomFrom(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

/** Runs of zeros, of text, and of noise: what compresses and what does not. */
function sampleDisk(size: number, seed: number): Uint8Array {
  const random = randomFrom(seed);
  const bytes = new Uint8Array(size);
  for (let i = 0; i < 60; i++) {
    const from = random(size);
    const to = Math.min(size, from + random(300_000));
    const kind = random(3);
    for (let k = from; k < to; k++) bytes[k] = kind === 0 ? random(256) : kind === 1 ? 65 + (k % 26) : k >> 12;
  }
  return bytes;
}

function readAll(disk: { size: number; readBlock(block: number, buf: Uint8Array): number }): Uint8Array {
  const out = new Uint8Array(disk.size);
  for (let at = 0; at < out.length; at += 1 << 20)
    expect(disk.readBlock(at / 512, out.subarray(at, Math.min(out.length, at + (1 << 20))))).toBe(0);
  return out;
}

/** Writes, overwrites and discards at random; `model` is what must be there afterwards. */
function scribble(disk: Qcow2Disk, model: Uint8Array, seed: number): void {
  const random = randomFrom(seed);
  for (let i = 0; i < 150; i++) {
    const block = random(disk.size / 512 - 400);
    const buf = new Uint8Array((1 + random(400)) * 512).fill(random(256));
    expect(disk.writeBlock(block, buf)).toBe(0);
    model.set(buf, block * 512);
    if (i % 50 === 49) expect(disk.flush()).toBe(0);
  }
}

const equal = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

describe.skipIf(!hasQemu)("qcow2 against qemu-img", () => {
  const raw = sampleDisk(SIZE, 7);

  test.each([
    ["version 3", ["-o", "compat=1.1"]],
    ["version 2", ["-o", "compat=0.10"]],
    ["compressed", ["-c"]],
    ["4 KiB clusters", ["-o", "cluster_size=4096"]],
    ["2 MiB clusters", ["-o", "cluster_size=2M"]],
    ["1-bit counts", ["-o", "refcount_bits=1"]],
    ["preallocated", ["-o", "preallocation=metadata"]],
    ["zstd", ["-c", "-o", "compression_type=zstd"]],
  ])("an image in the form %s is read", (_name, args) => {
    writeFileSync(at("raw.img"), raw);
    qemuImg("convert", "-f", "raw", "-O", "qcow2", ...args, "raw.img", "read.qcow2");
    using file = new HostFile(at("read.qcow2"), { readOnly: true });
    expect(equal(readAll(new Qcow2Disk(file)), raw)).toBe(true);
  });

  test("a chain of backing files is read through", () => {
    writeFileSync(at("base.raw"), raw.subarray(0, SIZE / 2));
    qemuImg("create", "-f", "qcow2", "-b", "base.raw", "-F", "raw", "middle.qcow2", String(SIZE));
    qemuImg("create", "-f", "qcow2", "-b", "middle.qcow2", "-F", "qcow2", "top.qcow2");
    const open = (name: string, format: string): FileDisk | Qcow2Disk =>
      format === "raw"
        ? new FileDisk(at(name), { readOnly: true })
        : new Qcow2Disk(new HostFile(at(name)), { openBacking: open });
    const top = open("top.qcow2", "qcow2") as Qcow2Disk;
    expect(top.header).toMatchObject({ backingFile: "middle.qcow2", backingFormat: "qcow2" });
    const model = new Uint8Array(SIZE);
    model.set(raw.subarray(0, SIZE / 2));
    expect(equal(readAll(top), model)).toBe(true);
    scribble(top, model, 3);
    expect(top.flush()).toBe(0);
    writeFileSync(at("model.img"), model);
    qemuImg("check", "top.qcow2");
    qemuImg("compare", "-f", "raw", "-F", "qcow2", "model.img", "top.qcow2");
    expect(() => new Qcow2Disk(new HostFile(at("top.qcow2")))).toThrow(/needs its backing file middle.qcow2/);
  });

  test.each([
    ["made by qemu-img", ["-o", "compat=1.1"]],
    ["compressed", ["-c"]],
    ["512-byte clusters", ["-o", "cluster_size=512"]],
  ])("what is written into an image %s satisfies qemu-img check and compare", (_name, args) => {
    const model = raw.slice();
    writeFileSync(at("raw.img"), raw);
    qemuImg("convert", "-f", "raw", "-O", "qcow2", ...args, "raw.img", "write.qcow2");
    const file = new HostFile(at("write.qcow2"));
    const disk = new Qcow2Disk(file, { cachedTables: 4 });
    expect(disk.readOnly).toBe(false);
    scribble(disk, model, 11);
    expect(disk.flush()).toBe(0);
    expect(equal(readAll(disk), model)).toBe(true);
    file.close();
    writeFileSync(at("model.img"), model);
    expect(qemuImg("check", "write.qcow2")).toContain("No errors were found");
    expect(qemuImg("compare", "-f", "raw", "-F", "qcow2", "model.img", "write.qcow2")).toContain("identical");
  });

  test.each([9, 12, 16])("an image made here with clusters of 2^%i bytes grows as it is written", (clusterBits) => {
    const file = new HostFile(at("new.qcow2"), { create: true });
    expect(createQcow2(file, { size: SIZE, clusterBits })).toBe(0);
    const disk = new Qcow2Disk(file);
    const model = new Uint8Array(SIZE);
    scribble(disk, model, clusterBits);
    expect(disk.discard(64, 4096)).toBe(0);
    const cluster = 2 ** clusterBits;
    model.fill(0, Math.ceil((64 * 512) / cluster) * cluster, Math.floor((4160 * 512) / cluster) * cluster);
    expect(disk.flush()).toBe(0);
    scribble(disk, model, clusterBits + 100); // freed clusters are used again
    expect(disk.flush()).toBe(0);
    file.close();
    writeFileSync(at("model.img"), model);
    expect(qemuImg("check", "new.qcow2")).toContain("No errors were found");
    qemuImg("compare", "-f", "raw", "-F", "qcow2", "model.img", "new.qcow2");
  });

  test("an image with internal snapshots is read, and not written", () => {
    writeFileSync(at("raw.img"), raw);
    qemuImg("convert", "-f", "raw", "-O", "qcow2", "raw.img", "snap.qcow2");
    qemuImg("snapshot", "-c", "before", "snap.qcow2");
    const disk = new Qcow2Disk(new HostFile(at("snap.qcow2")));
    expect(disk.readOnly).toBe(true);
    expect(equal(readAll(disk), raw)).toBe(true);
  });

  test("features that are missing here are refused by name", () => {
    qemuImg("create", "-f", "qcow2", "-o", "extended_l2=on", "ext.qcow2", "1M");
    expect(() => new Qcow2Disk(new HostFile(at("ext.qcow2")))).toThrow(
      new Qcow2Error("incompatible", "unsupported features: extended L2 entries"),
    );
  });
});

test("an overlay over a sparse terabyte takes little memory", () => {
  const file = new MemoryFile();
  expect(createQcow2(file, { size: 2 ** 40, backing: { file: "base.img", format: "raw" } })).toBe(0);
  const disk = new Qcow2Disk(file, { openBacking: () => new MemoryDisk(2 ** 40) });
  const block = new Uint8Array(512).fill(9);
  expect(disk.writeBlock(2 ** 31 - 1, block)).toBe(0);
  expect(disk.flush()).toBe(0);
  const again = new Qcow2Disk(file, { openBacking: () => new MemoryDisk(2 ** 40) });
  const out = new Uint8Array(1024);
  expect(again.readBlock(2 ** 31 - 2, out)).toBe(0);
  expect([out[0], out[512]]).toEqual([0, 9]);
  expect(file.size).toBeLessThan(1 << 20);
});

test("a damaged image gives errors, never exceptions or endless loops", () => {
  const file = new MemoryFile();
  createQcow2(file, { size: 2 << 20, clusterBits: 12 });
  const disk = new Qcow2Disk(file);
  scribble(disk, new Uint8Array(2 << 20), 5);
  disk.flush();
  const image = file.bytes.slice();
  const random = randomFrom(99);
  let opened = 0;
  for (let round = 0; round < 200; round++) {
    const bytes = image.slice();
    for (let i = 0; i < 20; i++) bytes[i < 10 ? random(8192) : random(bytes.length)] = random(256);
    let broken: Qcow2Disk;
    try {
      broken = new Qcow2Disk(new MemoryFile(bytes));
    } catch (reason) {
      expect(reason).toBeInstanceOf(Qcow2Error);
      continue;
    }
    opened++;
    const buf = new Uint8Array(65536);
    for (let i = 0; i < 20 && broken.size >= buf.length; i++) {
      const block = random(Math.floor(broken.size / 512) - 127);
      expect(broken.readBlock(block, buf)).toBeLessThanOrEqual(0);
      if (!broken.readOnly) expect(broken.writeBlock(block, buf.subarray(0, 512))).toBeLessThanOrEqual(0);
    }
  }
  expect(opened).toBeGreaterThan(0);
});

test("an overlay's changes can be written into a new qcow2", () => {
  const base = new MemoryDisk(1 << 20);
  const overlay = new OverlayDisk(base);
  overlay.writeBlock(100, new Uint8Array(512).fill(1));
  const file = new MemoryFile();
  createQcow2(file, { size: base.size, backing: { file: "base", format: "raw" } });
  const image = new Qcow2Disk(file, { openBacking: () => base });
  expect(overlay.merge(image)).toBe(0);
  const buf = new Uint8Array(512);
  image.readBlock(100, buf);
  expect(buf[0]).toBe(1);
});
