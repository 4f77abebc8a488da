/// <reference types="node" />
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EROFS, O_CREAT, O_RDONLY, O_WRONLY } from "linux-abi";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type File, Vfs } from "vfs-inode";
import { HostFileSystem } from "./host-fs.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hostfs-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function mounted(readOnly = false) {
  const vfs = new Vfs();
  return { vfs, context: vfs.mountRoot(new HostFileSystem(folder, { readOnly })) };
}

function opened(result: File | number): File {
  if (typeof result === "number") throw new Error(`errno ${result}`);
  return result;
}

test("what the host writes the guest reads, and the other way round", () => {
  const { vfs, context } = mounted();
  writeFileSync(join(folder, "a"), "from the host");
  const buf = new Uint8Array(100);
  const count = opened(vfs.open(context, null, "/a", O_RDONLY, 0)).read(buf);
  expect(new TextDecoder().decode(buf.subarray(0, count))).toBe("from the host");
  opened(vfs.open(context, null, "/b", O_WRONLY | O_CREAT, 0o600)).write(new TextEncoder().encode("from the guest"));
  expect(readFileSync(join(folder, "b"), "utf8")).toBe("from the guest");
});

test("an open file keeps working after it was renamed together with its folder", () => {
  const { vfs, context } = mounted();
  expect(vfs.mkdir(context, null, "/d", 0o755)).toBe(0);
  const file = opened(vfs.open(context, null, "/d/f", O_WRONLY | O_CREAT, 0o644));
  expect(vfs.rename(context, null, "/d", null, "/e", 0)).toBe(0);
  expect(file.write(new TextEncoder().encode("x"))).toBe(1);
  expect(readFileSync(join(folder, "e/f"), "utf8")).toBe("x");
});

test("a read-only mount refuses every change", () => {
  const { vfs, context } = mounted(true);
  expect(vfs.mkdir(context, null, "/d", 0o755)).toBe(-EROFS);
});

test("a host link out of the folder is resolved inside the guest", () => {
  symlinkSync("/etc/hostname", join(folder, "escape"));
  const { vfs, context } = mounted();
  expect(vfs.open(context, null, "/escape", O_RDONLY, 0)).toBeLessThan(0);
});
