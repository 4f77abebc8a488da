/// <reference types="node" />
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { type BlockDevice, createQcow2, MemoryDisk, Qcow2Disk } from "blockdev-disk";
import { HostFile } from "blockdev-disk/node";
import { Ext4FileSystem, mkfs, populate } from "ext4-fs";
import { afterAll, expect, test } from "vitest";
import { FileTree } from "../image/tree.ts";
import { withImage } from "./image-file.ts";
import { openImage } from "./open-image.ts";

const SIZE = 4 << 20;
const folder = mkdtempSync(join(tmpdir(), "open-image-"));
afterAll(() => rmSync(folder, { recursive: true }));
const path = (name: string): string => join(folder, name);

/** A small volume with /etc/motd, as bytes. */
function volume(): Uint8Array {
  const disk = new MemoryDisk(SIZE);
  mkfs(disk, { uuid: "00000000-0000-0000-0000-000000000001" });
  const tree = new FileTree();
  tree.addFile("/etc/motd", "welcome\n");
  const fs = new Ext4FileSystem(disk);
  populate(fs, tree.imageEntries());
  fs.unmount();
  return contentOf(disk);
}

function contentOf(disk: BlockDevice): Uint8Array {
  const bytes = new Uint8Array(SIZE);
  expect(disk.readBlock(0, bytes)).toBe(0);
  return bytes;
}

const motd = (image: string): string =>
  withImage(image, { write: false }, (files) => new TextDecoder().decode(files.read("/etc/motd")));

const RAW = volume();
writeFileSync(path("raw.img"), RAW);

test("raw and gzip images show the same files", () => {
  writeFileSync(path("image.gz"), gzipSync(RAW));
  expect(motd(path("raw.img"))).toBe("welcome\n");
  expect(motd(path("image.gz"))).toBe("welcome\n");
});

test("a qcow2 image over a raw one is written, the one below stays as it is", () => {
  {
    using file = new HostFile(path("top.qcow2"), { create: true });
    expect(createQcow2(file, { size: SIZE, backing: { file: "raw.img", format: "raw" } })).toBe(0);
  }
  expect(motd(path("top.qcow2"))).toBe("welcome\n");
  withImage(path("top.qcow2"), { write: true }, (files) =>
    files.write("/etc/motd", new TextEncoder().encode("changed\n")),
  );
  expect(motd(path("top.qcow2"))).toBe("changed\n");
  expect(Buffer.compare(readFileSync(path("raw.img")), RAW)).toBe(0);
  using image = openImage(path("top.qcow2"), { readOnly: true });
  expect(image.disk).toBeInstanceOf(Qcow2Disk);
});

test("what cannot be written or opened is said in one line that names the image", () => {
  writeFileSync(path("image.gz"), gzipSync(RAW));
  expect(() => openImage(path("image.gz"), { readOnly: false })).toThrow(/image\.gz: this gzip image can only be read/);
  writeFileSync(path("short.gz"), gzipSync(RAW).subarray(0, 2000));
  expect(() => openImage(path("short.gz"), { readOnly: true })).toThrow(/short\.gz: Input\/output error/);
  expect(() => openImage(folder, { readOnly: true })).toThrow(/is a directory/);
  expect(() => openImage("http://127.0.0.1:9/disk.img", { readOnly: true })).toThrow(/no answer/);
});
