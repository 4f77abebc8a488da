/// <reference types="node" />
/**
 * Whether fsync is worth something on the backends that keep things back: a volume on a write-back cache and in a qcow2 image loses its
 * power at every kind of moment, with writes since the last flush kept or lost at random. Afterwards everything that was
 * synced must be there and `check` must find nothing.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type BlockDevice,
  type ByteFile,
  createQcow2,
  MemoryDisk,
  MemoryFile,
  OverlayDisk,
  Qcow2Disk,
  RecordingDisk,
  WriteBackDisk,
} from "blockdev-disk";
import { FileDisk } from "blockdev-disk/node";
import { Ext4FileSystem, mkfs } from "ext4-fs";
import { check } from "ext4-fs/check";
import { type Ext4Promises, promises } from "ext4-fs/promises";
import { expect, test } from "vitest";

const SIZE = 16 << 20;
const CRASHES = Number(process.env["EXT4_CRASH_POINTS"] ?? 60);

function randomFrom(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

function format(device: BlockDevice): void {
  mkfs(device, { uuid: "0d15ea5e-0000-4000-8000-000000000007", assumeStoragePrezeroed: true });
}

/** Files made, changed, renamed and removed, with a sync after each step: `synced` is told what must be there from then on. */
async function work(fs: Ext4Promises, synced: (files: Map<string, string>) => void): Promise<void> {
  const files = new Map<string, string>();
  const random = randomFrom(9);
  for (let step = 0; step < 40; step++) {
    const name = `/f${random(12)}`;
    const text = `${step} `.repeat(1 + random(4000));
    const kind = random(4);
    if (kind === 0 && files.has(name)) {
      await fs.rename(name, `${name}r`);
      files.set(`${name}r`, files.get(name) as string);
      files.delete(name);
    } else if (kind === 1 && files.has(name)) {
      await fs.unlink(name);
      files.delete(name);
    } else {
      await fs.writeFile(name, text);
      files.set(name, text);
    }
    await fs.sync();
    synced(new Map(files));
  }
}

/** What must be there, and nothing wrong. Steps are atomic only when synced, so the next state may have begun. */
async function verify(device: BlockDevice, states: readonly Map<string, string>[], done: number): Promise<void> {
  const report = check(device); // as a mount finds it: with the journal replayed
  expect([report.verdict, report.problems]).toEqual(["clean", []]);
  const fs = promises(new Ext4FileSystem(device, { readOnly: true }));
  const before = states[done - 1] ?? new Map<string, string>();
  const after = states[done] ?? before;
  for (const [name, text] of before) {
    if (after.get(name) !== text) continue; // the step under way changes it
    expect([name, await fs.readFile(name, "utf8")]).toEqual([name, text]);
  }
}

test("a write-back cache keeps ext4's promises through a crash", async () => {
  const base = new MemoryDisk(SIZE);
  format(base);
  const recorder = new RecordingDisk(new OverlayDisk(base));
  const states: Map<string, string>[] = [];
  const marks: number[] = [0]; // events when each state was synced
  const fs = promises(new Ext4FileSystem(new WriteBackDisk(recorder, { dirtyBytes: 256 << 10 })));
  await work(fs, (files) => {
    states.push(files);
    marks.push(recorder.events.length);
  });
  const random = randomFrom(4);
  for (let crash = 0; crash < CRASHES; crash++) {
    const point = random(recorder.events.length + 1);
    const device = new OverlayDisk(base);
    const flushed = recorder.events
      .slice(0, point)
      .map((event) => event.kind)
      .lastIndexOf("flush");
    for (let i = 0; i < point; i++) {
      const event = recorder.events[i];
      if (event.kind === "write" && (i < flushed || random(2) === 0)) device.writeBlock(event.blockId, event.data);
    }
    await verify(device, states, marks.filter((mark) => mark <= point).length - 1);
  }
});

/** A file that remembers its writes and flushes. */
class RecordedFile implements ByteFile {
  readonly readOnly: boolean = false;
  readonly events: ({ readonly position: number; readonly data: Uint8Array } | "flush")[] = [];
  readonly #file: MemoryFile;
  constructor(file: MemoryFile) {
    this.#file = file;
  }
  get size(): number {
    return this.#file.size;
  }
  readAt(position: number, buf: Uint8Array): number {
    return this.#file.readAt(position, buf);
  }
  writeAt(position: number, buf: Uint8Array): number {
    this.events.push({ position, data: buf.slice() });
    return this.#file.writeAt(position, buf);
  }
  flush(): number {
    this.events.push("flush");
    return 0;
  }
}

const hasQemu = spawnSync("qemu-img", ["--version"]).status === 0;
if (!hasQemu) console.log("skipped: qemu-img check after a crash (not installed; Debian: qemu-utils)");

/** Clusters that nobody uses may be left, nothing else. */
function expectNoWorseThanLeaks(image: Uint8Array): void {
  const directory = mkdtempSync(join(tmpdir(), "ext4-qcow2-"));
  try {
    writeFileSync(join(directory, "base.img"), "");
    truncateSync(join(directory, "base.img"), SIZE);
    writeFileSync(join(directory, "crash.qcow2"), image);
    const found = spawnSync("qemu-img", ["check", "crash.qcow2"], { cwd: directory, encoding: "utf8" });
    expect([0, 3], found.stdout).toContain(found.status); // 3 = leaked clusters
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test("a qcow2 image keeps them too, and its own tables", async () => {
  const base = new MemoryDisk(SIZE);
  format(base);
  const first = new MemoryFile();
  createQcow2(first, { size: SIZE, backing: { file: "base.img", format: "raw" } });
  const start = first.bytes.slice();
  const open = (file: ByteFile, readOnly: boolean): Qcow2Disk =>
    new Qcow2Disk(file, { cachedTables: 2, readOnly, openBacking: () => base });
  const recorded = new RecordedFile(new MemoryFile(start.slice()));
  const states: Map<string, string>[] = [];
  const marks: number[] = [0];
  const fs = promises(new Ext4FileSystem(open(recorded, false)));
  await work(fs, (files) => {
    states.push(files);
    marks.push(recorded.events.length);
  });
  const random = randomFrom(6);
  for (let crash = 0; crash < CRASHES; crash++) {
    const point = random(recorded.events.length + 1);
    const file = new MemoryFile(start.slice());
    const flushed = recorded.events.slice(0, point).lastIndexOf("flush");
    for (let i = 0; i < point; i++) {
      const event = recorded.events[i];
      if (event !== "flush" && (i < flushed || random(2) === 0)) file.writeAt(event.position, event.data);
    }
    await verify(open(file, true), states, marks.filter((mark) => mark <= point).length - 1);
    if (hasQemu && crash % 10 === 0) expectNoWorseThanLeaks(file.bytes);
  }
});

const canPunch = spawnSync("fallocate", ["--version"]).status === 0;
if (!canPunch) console.log("skipped: space given back to the host (util-linux's fallocate is not installed)");

test.skipIf(!canPunch)("what a volume no longer uses goes back to the host, and nothing else", async () => {
  const directory = mkdtempSync(join(tmpdir(), "ext4-punch-"));
  try {
    const path = join(directory, "disk.img");
    const disk = new FileDisk(path, { create: true, size: 64 << 20, discard: "punch" });
    format(disk);
    const volume = new Ext4FileSystem(disk);
    const fs = promises(volume);
    const kept = new Uint8Array(3 << 20).fill(5);
    await fs.writeFile("/kept", kept);
    await fs.writeFile("/gone", new Uint8Array(20 << 20).fill(6));
    await fs.sync();
    const before = statSync(path).blocks * 512;
    await fs.unlink("/gone");
    await fs.sync();
    expect(volume.trim()).toBeGreaterThanOrEqual(20 << 20);
    await fs.unmount();
    expect(before - statSync(path).blocks * 512).toBeGreaterThanOrEqual(19 << 20);
    expect(check(disk).problems).toEqual([]);
    const again = promises(new Ext4FileSystem(disk, { readOnly: true }));
    expect(Buffer.compare(await again.readFile("/kept"), kept)).toBe(0);
    disk.close();
  } finally {
    rmSync(directory, { recursive: true });
  }
});
