/// <reference types="node" />
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileDisk } from "blockdev-disk/node";
import { mkfs } from "ext4-fs";
import { afterAll, expect, test } from "vitest";
import { imageCommand } from "./image.ts";

const folder = mkdtempSync(join(tmpdir(), "starry-image-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** An image file of 8 MiB. */
function image(name: string): string {
  const path = join(folder, name);
  const fd = openSync(path, "w");
  ftruncateSync(fd, 8 << 20);
  closeSync(fd);
  const disk = new FileDisk(path);
  mkfs(disk, { uuid: "0d15ea5e-0000-4000-8000-000000000000", now: { sec: 1_700_000_000, nsec: 0 } });
  disk.close();
  return path;
}

async function starry(...words: string[]): Promise<{ status: number; output: string }> {
  let output = "";
  const status = await imageCommand(words, (text) => {
    output += String(text);
  });
  return { status, output };
}

test("image check exits like e2fsck: 0 clean, 4 problems left, 1 repaired, 8 nothing to be done", async () => {
  const path = image("check.ext4");
  expect(await starry("check", path)).toMatchObject({ status: 0, output: expect.stringContaining("clean") });
  const fd = openSync(path, "r+");
  writeSync(fd, new Uint8Array(1024), 0, 1024, 5 * 1024); // in the reserved descriptor blocks
  writeSync(fd, new Uint8Array(64), 0, 64, 2 * 1024); // the first descriptors
  closeSync(fd);
  expect((await starry("check", path)).status).toBe(4);
  const repaired = await starry("check", "--repair", path);
  expect(repaired).toMatchObject({ status: 1, output: expect.stringContaining(": repaired") });
  expect((await starry("check", path)).status).toBe(0);
  const none = openSync(path, "r+");
  writeSync(none, new Uint8Array(8192), 0, 8192, 0);
  closeSync(none);
  expect(await starry("check", path)).toMatchObject({ status: 8, output: expect.stringContaining("no magic number") });
});

test("image resize enlarges the file and the file system in it", async () => {
  const path = image("resize.ext4");
  expect((await starry("resize", path, "64M")).output).toContain("grown from 8192 to 65536 blocks");
  expect(statSync(path).size).toBe(64 << 20);
  expect((await starry("check", path)).status).toBe(0);
  await expect(starry("resize", path, "1M")).rejects.toThrow(/shrinking/);
});

test("image tune takes tune2fs's letters", async () => {
  const path = image("tune.ext4");
  expect((await starry("tune", path, "-L", "a label", "-O", "orphan_file,^resize_inode", "-U", "random")).status).toBe(
    0,
  );
  const { output } = await starry("info", path);
  expect(output).toContain("a label");
  expect(output).toContain("orphan_file");
  expect(output).not.toContain("resize_inode");
  expect((await starry("check", path)).status).toBe(0);
  await expect(starry("tune", image("other.ext4"), "-O", "^has_journal,orphan_file")).rejects.toThrow(
    /needs the feature has_journal/,
  );
  await expect(starry("tune", path)).rejects.toThrow(/usage/);
  await expect(starry("tune", path, "-m", "x")).rejects.toThrow(/expects a number/);
});
