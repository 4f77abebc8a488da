/// <reference types="node" />
import { mkdtempSync, rmSync } from "node:fs";
import * as nodeFs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MemoryDisk, PartitionDevice } from "blockdev-disk";
import { afterAll, expect, test } from "vitest";
import { Ext4FileSystem, mkfs } from "../index.ts";
import { type Ext4Promises, mount, populateFrom, promises, type SourceEntry, withMounted } from "./index.ts";

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
  [
    "positions of a handle",
    async (fs, root) => {
      const handle = await fs.open(`${root}/h`, "w+");
      await handle.write("hello world");
      await handle.write(Buffer.from("HELLO"), 0, 5, 0);
      await handle.write("6869", null, "hex");
      const buffer = Buffer.alloc(20, "-");
      const one = await handle.read(buffer, 2, 5, 0);
      const two = await handle.read({ buffer, offset: 10, position: 6 });
      const three = await handle.readv([Buffer.alloc(3), Buffer.alloc(30)], 1);
      await handle.truncate(4);
      const size = (await handle.stat()).size;
      await handle.close();
      return [one.bytesRead, two.bytesRead, three.bytesRead, buffer.toString(), size];
    },
  ],
  [
    "a handle opened for writing only cannot be read",
    async (fs, root) => {
      const handle = await fs.open(`${root}/h`, "a");
      return handle.read(Buffer.alloc(1), 0, 1, 0).finally(() => handle.close());
    },
  ],
  [
    "encodings",
    async (fs, root) => {
      const out: unknown[] = [];
      for (const encoding of ["utf8", "utf16le", "latin1", "hex", "base64", "base64url", "ascii"] as const) {
        await fs.writeFile(`${root}/enc`, "fe7fÄ€ab", encoding === "ascii" ? "latin1" : encoding);
        out.push([...(await fs.readFile(`${root}/enc`))], await fs.readFile(`${root}/enc`, encoding));
      }
      return out;
    },
  ],
  [
    "append, and a file written from pieces",
    async (fs, root) => {
      await fs.writeFile(`${root}/pieces`, ["a", "b"]);
      await fs.appendFile(`${root}/pieces`, "c");
      return fs.readFile(`${root}/pieces`, "utf8");
    },
  ],
  [
    "lines",
    async (fs, root) => {
      await fs.writeFile(`${root}/lines`, "one\r\ntwo\n\nlast ä");
      const lines: string[] = [];
      const handle = await fs.open(`${root}/lines`);
      for await (const line of handle.readLines({ autoClose: false })) lines.push(line);
      await handle.close();
      return lines;
    },
  ],
  [
    "streams",
    async (fs, root) => {
      const handle = await fs.open(`${root}/lines`);
      const parts: number[] = [];
      for await (const part of handle.readableWebStream()) parts.push(...new Uint8Array(part as ArrayBuffer));
      await handle.close();
      return Buffer.from(parts).toString();
    },
  ],
  [
    "cp",
    async (fs, root) => {
      await fs.mkdir(`${root}/tree/a/b`, { recursive: true });
      await fs.writeFile(`${root}/tree/a/f`, "f");
      await fs.symlink("f", `${root}/tree/a/l`);
      await fs.cp(`${root}/tree`, `${root}/copy`, { recursive: true, filter: (from) => !from.endsWith("/b") });
      return [
        (await fs.readdir(`${root}/copy`, { recursive: true })).sort(),
        await fs.readFile(`${root}/copy/a/l`, "utf8"),
      ];
    },
  ],
  [
    "cp over what is there",
    async (fs, root) => {
      await fs.writeFile(`${root}/tree/a/f`, "new");
      await fs.cp(`${root}/tree`, `${root}/copy`, { recursive: true, force: false });
      const kept = await fs.readFile(`${root}/copy/a/f`, "utf8");
      await fs.cp(`${root}/tree/a/f`, `${root}/copy/a/f`);
      return [kept, await fs.readFile(`${root}/copy/a/f`, "utf8")];
    },
  ],
  ["copyFile onto itself", (fs, root) => fs.copyFile(`${root}/h`, `${root}/h`)],
  ["copyFile exclusively", (fs, root) => fs.copyFile(`${root}/h`, `${root}/w`, 1)],
  ["copyFile of nothing", (fs, root) => fs.copyFile(`${root}/none`, `${root}/w`)],
  [
    "opendir",
    async (fs, root) => {
      const names: string[] = [];
      for await (const entry of await fs.opendir(`${root}/tree/a`))
        names.push(`${entry.name} ${entry.isSymbolicLink()}`);
      return names.sort();
    },
  ],
  ["opendir of a file", (fs, root) => fs.opendir(`${root}/w`)],
  [
    "a directory listed with types, recursively",
    async (fs, root) =>
      (await fs.readdir(`${root}/tree`, { recursive: true, withFileTypes: true }))
        .map((entry) => [entry.name, entry.parentPath.slice(root.length), entry.isDirectory(), entry.isFile()])
        .sort(),
  ],
  [
    "bigint status",
    async (fs, root) => {
      await fs.utimes(`${root}/h`, 1.5, 2_000_000_000);
      const st = await fs.stat(`${root}/h`, { bigint: true });
      return [st.size, st.atimeNs, st.mtimeNs, st.mtimeMs, st.isFile()].map(String);
    },
  ],
  ["access of a file nobody may execute", (fs, root) => fs.access(`${root}/h`, 1)],
  ["access of nothing", (fs, root) => fs.access(`${root}/none`)],
  [
    "mkdtemp",
    async (fs, root) => {
      const path = await fs.mkdtemp(`${root}/tmp-`);
      const { mode } = await fs.stat(path);
      await fs.rmdir(path);
      return [path.length - root.length, mode & 0o777];
    },
  ],
  ["mkdtemp in nothing", (fs, root) => fs.mkdtemp(`${root}/none/x`)],
  ["rm of nothing", (fs, root) => fs.rm(`${root}/none`)],
  ["rm of nothing by force", (fs, root) => fs.rm(`${root}/none`, { force: true })],
  [
    "rm of a tree",
    async (fs, root) => [await fs.rm(`${root}/copy`, { recursive: true }), await fs.stat(`${root}/copy`)],
  ],
  ["truncate of nothing", (fs, root) => fs.truncate(`${root}/none`)],
  ["truncate longer", async (fs, root) => [await fs.truncate(`${root}/h`, 100), (await fs.stat(`${root}/h`)).size]],
  ["a Uint8Array as path", (fs, root) => fs.readFile(Buffer.from(`${root}/aim`), "utf8")],
  [
    "an aborted read",
    (fs, root) => fs.readFile(`${root}/h`, { signal: AbortSignal.abort() }).catch((reason: Error) => reason.name),
  ],
  ["an empty path", (fs) => fs.stat("")],
  ["list", async (fs, root) => (await fs.readdir(root)).filter((name) => name !== "lost+found").sort()],
];

test("errors and results agree with Node's fs/promises", async () => {
  const ours = fresh() as unknown as typeof nodeFs;
  await ours.mkdir("/top");
  for (const [name, step] of STEPS) {
    const outcome = async (fs: typeof nodeFs, root: string): Promise<unknown> => {
      try {
        const result = await step(fs, root);
        return JSON.stringify(result ?? null);
      } catch (reason) {
        return (reason as { code: string }).code ?? (reason as Error).name;
      }
    };
    expect([name, await outcome(ours, "/top")]).toEqual([name, await outcome(nodeFs, directory)]);
  }
});

test("errors have Node's words", async () => {
  const fs = fresh();
  await expect(fs.rename("/a", "/b")).rejects.toMatchObject({
    message: "ENOENT: no such file or directory, rename '/a' -> '/b'",
    errno: -2,
    code: "ENOENT",
    syscall: "rename",
    path: "/a",
    dest: "/b",
  });
});

test("patterns find paths", async () => {
  const fs = fresh();
  for (const path of ["/src/a.ts", "/src/a.test.ts", "/src/deep/b.ts", "/src/.hidden/c.ts", "/doc/x.md"]) {
    await fs.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    await fs.writeFile(path, "");
  }
  const found = async (pattern: string | string[], options = {}): Promise<string[]> => {
    const names: string[] = [];
    for await (const name of fs.glob(pattern, options)) names.push(name);
    return names.sort();
  };
  expect(await found("**/*.ts")).toEqual(["src/a.test.ts", "src/a.ts", "src/deep/b.ts"]);
  expect(await found("{src,doc}/[ax].*")).toEqual(["doc/x.md", "src/a.test.ts", "src/a.ts"]);
  expect(await found(["?.ts", "deep"], { cwd: "/src" })).toEqual(["a.ts", "deep"]);
  expect(await found("**/*.ts", { exclude: (path: string) => path.includes("test") })).toEqual([
    "src/a.ts",
    "src/deep/b.ts",
  ]);
});

test("changes are seen by those who watch", async () => {
  const fs = fresh();
  await fs.mkdir("/d/e", { recursive: true });
  const controller = new AbortController();
  const seen: string[] = [];
  const watching = (async () => {
    for await (const event of fs.watch("/d", { signal: controller.signal }))
      seen.push(`${event.eventType} ${event.filename}`);
  })();
  await fs.writeFile("/d/new", "x");
  await fs.writeFile("/d/e/below", "x");
  await fs.chmod("/d/new", 0o600);
  await fs.rename("/d/new", "/d/old");
  await new Promise((resolve) => setTimeout(resolve));
  controller.abort();
  await expect(watching).rejects.toMatchObject({ name: "AbortError" });
  expect(seen).toEqual(["rename new", "change new", "change new", "rename new", "rename old"]);
});

test("a long operation tells how far it is, and can be stopped", async () => {
  const fs = fresh();
  for (let i = 0; i < 600; i++) await fs.writeFile(`/many-${i}`, "x");
  await fs.mkdir("/d");
  const told: number[] = [];
  await fs
    .cp("/", "/d/copy", {
      recursive: true,
      filter: (from) => from === "/" || from.startsWith("/many"),
      onProgress: ({ entries }) => told.push(entries),
    })
    .catch((reason: unknown) => expect(reason).toMatchObject({ code: "EINVAL" })); // below itself
  await fs.mkdir("/m");
  for (let i = 0; i < 600; i++) await fs.rename(`/many-${i}`, `/m/${i}`);
  await fs.cp("/m", "/copy", { recursive: true, onProgress: ({ entries }) => told.push(entries) });
  expect(told.at(-1)).toBe(601);
  const controller = new AbortController();
  setTimeout(() => controller.abort(new Error("enough")));
  await expect(fs.rm("/copy", { recursive: true, signal: controller.signal })).rejects.toThrow("enough");
  const left = (await fs.readdir("/copy")).length;
  expect(left).toBeGreaterThan(0);
  expect(left).toBeLessThan(600);
});

test("a stream writes from where it is told, and closes what it was told to close", async () => {
  const fs = fresh();
  const handle = await fs.open("/s", "w+");
  const writer = handle.writableWebStream({ start: 3, autoClose: true }).getWriter();
  await writer.write(new Uint8Array([1, 2]));
  await writer.write(new Uint8Array([3]));
  await writer.close();
  expect([...(await fs.readFile("/s"))]).toEqual([0, 0, 0, 1, 2, 3]);
  await expect(handle.stat()).rejects.toMatchObject({ code: "EBADF" });
  const pieces: Uint8Array[] = [];
  await using reader = await fs.open("/s");
  for await (const piece of reader.readableWebStream({ start: 1, end: 4, highWaterMark: 3 })) pieces.push(piece);
  expect(pieces.map((piece) => [...piece])).toEqual([[0, 0, 1], [2]]);
});

test("holes stay holes when a file is copied", async () => {
  const fs = fresh();
  const handle = await fs.open("/sparse", "w");
  await handle.write(new Uint8Array(4096).fill(1), 0, 4096, 8 << 20);
  await handle.truncate(20 << 20);
  await handle.close();
  await fs.copyFile("/sparse", "/copy");
  const [a, b] = [await fs.stat("/sparse"), await fs.stat("/copy")];
  expect([b.size, b.blocks]).toEqual([a.size, a.blocks]);
  expect((await fs.readFile("/copy"))[8 << 20]).toBe(1);
});

test("withMounted mounts a partition and leaves it clean, also after an error", async () => {
  const disk = new MemoryDisk(20 << 20);
  const offset = 2 << 20;
  const part = new PartitionDevice(disk, offset / 512, (18 << 20) / 512);
  mkfs(part, { uuid: "0d15ea5e-0000-4000-8000-000000000002", assumeStoragePrezeroed: true });
  await expect(
    withMounted(disk, offset, async (fs) => {
      await fs.writeFile("/kept", "yes");
      throw new Error("mine");
    }),
  ).rejects.toThrow("mine");
  expect(await withMounted(disk, offset, (fs) => fs.readFile("/kept", "utf8"))).toBe("yes");
  await using fs = await mount(disk, { offset, readOnly: true });
  await expect(fs.writeFile("/new", "")).rejects.toMatchObject({ code: "EROFS" });
  await expect(fs.access("/kept", fs.constants.W_OK)).rejects.toMatchObject({ code: "EROFS" });
  await expect(mount(disk, { offset: 100 })).rejects.toThrow(RangeError);
  await expect(mount(disk)).rejects.toMatchObject({ kind: "invalid" });
});

test("a volume is filled from entries that come one by one, and the filling can be stopped", async () => {
  const fs = fresh();
  const mtime = { sec: 1_600_000_000, nsec: 0 };
  async function* entries(count: number): AsyncGenerator<SourceEntry> {
    yield { path: "/d", type: "directory", mode: 0o700, mtime };
    for (let i = 0; i < count; i++) yield { path: `/d/f${i}`, type: "file", data: new Uint8Array(10).fill(i), mtime };
    yield {
      path: "/d/streamed",
      type: "file",
      mtime,
      data: (async function* () {
        for (let i = 0; i < 3; i++) yield new Uint8Array(1000).fill(i);
      })(),
    };
    yield { path: "/l", type: "symlink", target: "d/f1" };
  }
  const told: { entries: number; bytes: number }[] = [];
  const result = await populateFrom(fs.volume, entries(5), { onProgress: (progress) => told.push(progress) });
  expect(result).toEqual({ files: 6, directories: 1, others: 1, bytes: 3050 });
  expect(told.at(-1)).toEqual({ entries: 8, bytes: 3050 });
  expect([...(await fs.readFile("/d/streamed")).subarray(998, 1002)]).toEqual([0, 0, 1, 1]);
  expect([(await fs.stat("/d")).mtimeMs, (await fs.stat("/d/streamed")).mtimeMs]).toEqual([1.6e12, 1.6e12]);
  expect((await fs.readFile("/l"))[0]).toBe(1);
  const controller = new AbortController();
  const filling = populateFrom(fs.volume, entries(5000), {
    signal: controller.signal,
    onProgress: ({ entries: done }) => done === 100 && controller.abort(new Error("stop")),
  });
  await expect(filling).rejects.toThrow("stop");
  expect((await fs.readdir("/d")).length).toBeLessThan(200);
});
