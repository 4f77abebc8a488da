/// <reference types="node" />
import { mkdtempSync, rmSync } from "node:fs";
import * as nodeFs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MemoryDisk } from "blockdev-disk";
import { afterAll, expect, test } from "vitest";
import { Ext4FileSystem, mkfs } from "../index.ts";
import { type Ext4Promises, promises } from "./index.ts";

function fresh(): Ext4Promises {
  const disk = new MemoryDisk(16 << 20);
  mkfs(disk, { uuid: "0d15ea5e-0000-4000-8000-000000000001", assumeStoragePrezeroed: true });
  return promises(new Ext4FileSystem(disk, { now: () => ({ sec: 1_700_000_000, nsec: 500_000_000 }) }));
}

test("a file is written, read, extended, copied and truncated", async () => {
  const fs = fresh();
  await fs.writeFile("/a.txt", "hello");
  await fs.appendFile("/a.txt", new Uint8Array([33]));
  expect(await fs.readFile("/a.txt", "utf8")).toBe("hello!");
  expect(await fs.readFile("/a.txt")).toEqual(new TextEncoder().encode("hello!"));
  await fs.copyFile("/a.txt", "/b.txt");
  await fs.truncate("/a.txt", 2);
  expect([await fs.readFile("/a.txt", "utf8"), await fs.readFile("/b.txt", "utf8")]).toEqual(["he", "hello!"]);
});

test("stat has types, sizes and times to the nanosecond's millisecond part", async () => {
  const fs = fresh();
  await fs.writeFile("/f", new Uint8Array(5000), { mode: 0o600 });
  await fs.symlink("f", "/l");
  const st = await fs.stat("/l");
  expect([st.isFile(), st.size, st.mode & 0o777, st.mtimeMs, st.nlink]).toEqual([
    true,
    5000,
    0o600,
    1_700_000_000_500,
    1,
  ]);
  expect((await fs.lstat("/l")).isSymbolicLink()).toBe(true);
  await fs.utimes("/f", 5, new Date(7250));
  expect([(await fs.stat("/f")).atimeMs, (await fs.stat("/f")).mtime.getTime()]).toEqual([5000, 7250]);
  await fs.chmod("/f", 0o640);
  await fs.chown("/f", 70000, 5);
  expect([(await fs.stat("/f")).mode & 0o777, (await fs.stat("/f")).uid]).toEqual([0o640, 70000]);
});

test("directories are made, listed with types and recursively, and removed", async () => {
  const fs = fresh();
  expect(await fs.mkdir("/a/b/c", { recursive: true })).toBe("/a");
  expect(await fs.mkdir("/a/b", { recursive: true })).toBeUndefined();
  await fs.writeFile("/a/b/f", "x");
  expect((await fs.readdir("/a", { recursive: true })).sort()).toEqual(["b", "b/c", "b/f"]);
  const entries = await fs.readdir("/a/b", { withFileTypes: true });
  expect(entries.map((e) => [e.name, e.isDirectory(), e.parentPath]).sort()).toEqual([
    ["c", true, "/a/b"],
    ["f", false, "/a/b"],
  ]);
  await expect(fs.rmdir("/a")).rejects.toMatchObject({ code: "ENOTEMPTY" });
  await fs.rm("/a", { recursive: true });
  await expect(fs.stat("/a")).rejects.toMatchObject({ code: "ENOENT", errno: -2, syscall: "stat", path: "/a" });
  await fs.rm("/a", { force: true });
});

test("an open file outlives its name", async () => {
  const fs = fresh();
  const handle = await fs.open("/f", "w+");
  await handle.writeFile("data");
  await fs.unlink("/f");
  const { bytesRead, buffer } = await handle.read(new Uint8Array(10), 0, 10, 0);
  expect(new TextDecoder().decode(buffer.subarray(0, bytesRead))).toBe("data");
  const before = (await fs.statfs()).bfree;
  await handle.close();
  await handle.close();
  expect((await fs.statfs()).bfree).toBeGreaterThan(before);
  await expect(handle.stat()).rejects.toMatchObject({ code: "EBADF" });
});

test("reading never touches the buffer behind the end of the file", async () => {
  const fs = fresh();
  await fs.writeFile("/f", "abc");
  const handle = await fs.open("/f");
  const buffer = new Uint8Array(4096).fill(9);
  expect((await handle.read(buffer)).bytesRead).toBe(3);
  expect([...buffer.subarray(0, 5)]).toEqual([97, 98, 99, 9, 9]);
  await handle.close();
});

test("realpath resolves links, rename refuses to move a directory below itself", async () => {
  const fs = fresh();
  await fs.mkdir("/d/e", { recursive: true });
  await fs.symlink("/d", "/l");
  await fs.symlink("../d/e", "/d/m");
  expect(await fs.realpath("/l/m/..")).toBe("/d");
  expect(await fs.readlink("/l")).toBe("/d");
  await expect(fs.rename("/d", "/d/e/f")).rejects.toMatchObject({ code: "EINVAL" });
  await fs.link("/l", "/l2");
  expect((await fs.lstat("/l2")).nlink).toBe(2);
});

// The same calls on Node's own module must succeed or fail alike.
const directory = mkdtempSync(join(tmpdir(), "ext4-promises-"));
afterAll(() => rmSync(directory, { recursive: true }));

type Step = readonly [name: string, run: (fs: typeof nodeFs, root: string) => Promise<unknown>];
const STEPS: readonly Step[] = [
  ["open missing", (fs, root) => fs.open(`${root}/none`, "r")],
  ["mkdir twice", async (fs, root) => [await fs.mkdir(`${root}/d`), await fs.mkdir(`${root}/d`)]],
  ["read a directory", (fs, root) => fs.readFile(`${root}/d`)],
  ["write into nothing", (fs, root) => fs.writeFile(`${root}/x/y`, "")],
  [
    "exclusive",
    async (fs, root) => [
      await fs.writeFile(`${root}/w`, "1", { flag: "wx" }),
      await fs.writeFile(`${root}/w`, "2", { flag: "wx" }),
    ],
  ],
  ["file as directory", (fs, root) => fs.readdir(`${root}/w`)],
  ["below a file", (fs, root) => fs.stat(`${root}/w/z`)],
  ["rmdir a file", (fs, root) => fs.rmdir(`${root}/w`)],
  ["rename over a directory", (fs, root) => fs.rename(`${root}/w`, `${root}/d`)],
  ["readlink of a file", (fs, root) => fs.readlink(`${root}/w`)],
  ["name too long", (fs, root) => fs.writeFile(`${root}/${"n".repeat(256)}`, "")],
  ["a loop of links", async (fs, root) => [await fs.symlink("loop", `${root}/loop`), await fs.stat(`${root}/loop`)]],
  [
    "dangling link is written through",
    async (fs, root) => [
      await fs.symlink("aim", `${root}/dangling`),
      await fs.writeFile(`${root}/dangling`, "x"),
      await fs.readFile(`${root}/aim`, "utf8"),
    ],
  ],
  ["list", async (fs, root) => (await fs.readdir(root)).filter((name) => name !== "lost+found").sort()],
];

test("errors and results agree with Node's fs/promises", async () => {
  const ours = fresh() as unknown as typeof nodeFs;
  for (const [name, step] of STEPS) {
    const outcome = async (fs: typeof nodeFs, root: string): Promise<unknown> => {
      try {
        const result = await step(fs, root);
        return JSON.stringify(result ?? null);
      } catch (reason) {
        return (reason as { code: string }).code;
      }
    };
    expect([name, await outcome(ours, "")]).toEqual([name, await outcome(nodeFs, directory)]);
  }
});
