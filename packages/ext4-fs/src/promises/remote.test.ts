/// <reference types="node" />
/** Volumes on disks whose bytes come when they are asked for; what was fetched is counted. */
import { GzipDisk, MemoryDisk, MemoryFile, deviceFile } from "blockdev-disk";
import { type ByteSource, LazyDisk } from "blockdev-disk/promises";
import * as zlib from "node:zlib";
import { beforeAll, expect, test } from "vitest";
import { Ext4FileSystem, mkfs } from "../index.ts";
import { mount, promises } from "./index.ts";

const SIZE = 256 << 20;
const image = new MemoryDisk(SIZE);

/** The image behind a connection. */
function remote(): ByteSource & { fetched: number } {
  return {
    fetched: 0,
    size: SIZE,
    async read(position, byteLength) {
      await new Promise((resolve) => setTimeout(resolve));
      this.fetched += byteLength;
      const bytes = new Uint8Array(byteLength);
      image.readBlock(position / 512, bytes);
      return bytes;
    },
  };
}

beforeAll(async () => {
  mkfs(image, { uuid: "0d15ea5e-0000-4000-8000-000000000003", assumeStoragePrezeroed: true });
  await using fs = promises(new Ext4FileSystem(image, { now: () => ({ sec: 1_700_000_000, nsec: 0 }) }));
  for (let d = 0; d < 20; d++) {
    await fs.mkdir(`/usr/share/d${d}`, { recursive: true });
    for (let i = 0; i < 50; i++) await fs.writeFile(`/usr/share/d${d}/f${i}`, `file ${i} of ${d}`.repeat(100));
  }
  await fs.writeFile("/big", new Uint8Array(100 << 20).fill(7));
  await fs.writeFile("/etc-hostname", "remote\n");
  await fs.symlink("/usr/share/d7/f7", "/link");
});

test("only what is touched is fetched", async () => {
  const source = remote();
  await using fs = await mount(new LazyDisk(source));
  const mounted = source.fetched;
  expect(await fs.readFile("/etc-hostname", "utf8")).toBe("remote\n");
  expect(await fs.readFile("/link", "utf8")).toBe("file 7 of 7".repeat(100));
  expect(source.fetched).toBeLessThan(2 << 20);
  expect(mounted).toBeLessThan(1 << 20);
  await expect(fs.readFile("/none")).rejects.toMatchObject({ code: "ENOENT" });
  for (const change of [
    fs.writeFile("/new", ""),
    fs.mkdir("/usr/share/d1/x"),
    fs.mkdir("/usr/a/b", { recursive: true }),
    fs.mkdtemp("/t"),
    fs.unlink("/usr/share/d1/f1"),
    fs.rm("/usr", { recursive: true }),
    fs.rmdir("/usr/share"),
    fs.rename("/big", "/small"),
    fs.link("/big", "/same"),
    fs.symlink("a", "/usr/share/d2/l"),
    fs.cp("/usr", "/copy", { recursive: true }),
    fs.copyFile("/big", "/big2"),
    fs.truncate("/big"),
    fs.chmod("/usr/share/d3", 0o700),
    fs.utimes("/usr/share/d3", 1, 1),
    fs.setxattr("/big", "user.a", new Uint8Array(1)),
  ])
    await expect(change).rejects.toMatchObject({ code: "EROFS" });
});

test("part of a large file costs that part, and the whole of it no more memory than the cache", async () => {
  const source = remote();
  const disk = new LazyDisk(source, { cacheBytes: 8 << 20 });
  await using fs = await mount(disk);
  const before = source.fetched;
  await using handle = await fs.open("/big");
  const buffer = new Uint8Array(1000);
  expect((await handle.read(buffer, 0, 1000, 50 << 20)).bytesRead).toBe(1000);
  expect(source.fetched - before).toBeLessThan(1 << 20);
  let total = 0;
  let most = 0;
  for await (const piece of handle.readableWebStream({ start: 0, highWaterMark: 1 << 20 })) {
    total += piece.length;
    most = Math.max(most, disk.cachedBytes);
  }
  expect(total).toBe(100 << 20);
  expect(most).toBeLessThan(12 << 20);
  expect(source.fetched).toBeLessThan(110 << 20);
});

test("the whole tree is listed and read as on a local disk", async () => {
  const local = promises(new Ext4FileSystem(image, { readOnly: true }));
  await using fs = await mount(new LazyDisk(remote()));
  const names = await fs.readdir("/", { recursive: true });
  expect(names).toEqual(await local.readdir("/", { recursive: true }));
  expect(names.length).toBe(1026);
  for (let d = 0; d < 20; d++) {
    const path = `/usr/share/d${d}/f${d * 2}`;
    expect(await fs.readFile(path, "utf8")).toBe(await local.readFile(path, "utf8"));
  }
  expect(await Promise.all([fs.realpath("/link"), fs.stat("/big").then((st) => st.size)])).toEqual([
    "/usr/share/d7/f7",
    100 << 20,
  ]);
});

test("an abort ends waiting for bytes", async () => {
  const controller = new AbortController();
  const source: ByteSource = {
    size: SIZE,
    read: (_position, _byteLength, options) =>
      new Promise((_resolve, reject) => {
        const signal = options?.signal as AbortSignal;
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      }),
  };
  setTimeout(() => controller.abort(new Error("not today")));
  await expect(mount(new LazyDisk(source), { signal: controller.signal })).rejects.toThrow("not today");
});

test("what is broken is an error, not a request without end", async () => {
  const zeros: ByteSource = { size: SIZE, read: async (_position, byteLength) => new Uint8Array(byteLength) };
  await expect(mount(new LazyDisk(zeros))).rejects.toMatchObject({ kind: "invalid" });
  const failing: ByteSource = { size: SIZE, read: () => Promise.reject(new Error("gone")) };
  await expect(mount(new LazyDisk(failing))).rejects.toThrow("gone");
});

test("a dirty journal is replayed in memory", async () => {
  const dirty = new MemoryDisk(16 << 20);
  mkfs(dirty, { uuid: "0d15ea5e-0000-4000-8000-000000000004", assumeStoragePrezeroed: true });
  const volume = new Ext4FileSystem(dirty);
  await promises(volume).writeFile("/in-the-journal", "yes");
  expect(volume.root().sync(false)).toBe(0); // committed, not checkpointed
  const bytes = dirty.toBytes();
  const source: ByteSource = { size: bytes.length, read: async (at, n) => bytes.slice(at, at + n) };
  await using fs = await mount(new LazyDisk(source));
  expect(await fs.readFile("/in-the-journal", "utf8")).toBe("yes");
});

test("layers between the connection and the volume need the loader named", async () => {
  const small = new MemoryDisk(16 << 20);
  mkfs(small, { uuid: "0d15ea5e-0000-4000-8000-000000000005", assumeStoragePrezeroed: true });
  await promises(new Ext4FileSystem(small)).writeFile("/zipped", "inside");
  const packed = zlib.gzipSync(small.toBytes());
  const index = (GzipDisk.open(new MemoryFile(packed)) as GzipDisk).saveIndex();
  const source: ByteSource = { size: packed.length, read: async (at, n) => packed.subarray(at, at + n) };
  const loader = new LazyDisk(source);
  const disk = await loader.run(() => GzipDisk.open(deviceFile(loader, packed.length), { index }));
  if (typeof disk === "number") throw new Error(`error ${disk}`);
  await using fs = await mount(disk, { loader });
  expect(await fs.readdir("/")).toContain("lost+found");
});
