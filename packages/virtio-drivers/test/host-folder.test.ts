/// <reference types="node" />
/** A real folder of the host, served over 9P. */
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { P9Device } from "virt-devices";
import { HostFolder } from "virt-devices/node";
import { afterEach, expect, test } from "vitest";
import { P9_ROOT, P9Client, type P9Stat, VirtIO9p } from "../src/index.ts";
import { createRig, ok, pattern } from "./rig.ts";

const [ELOOP, ENOENT, EISDIR] = [40, 2, 21];
const O_RDWR = 2;
const codec = {
  encode: (string: string): Uint8Array => new TextEncoder().encode(string),
  decode: (bytes: Uint8Array): string => new TextDecoder().decode(bytes),
};
const made: string[] = [];
afterEach(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
});

function create(): { root: string; outside: string; client: P9Client } {
  const base = mkdtempSync(join(tmpdir(), "p9-"));
  made.push(base);
  const root = join(base, "shared");
  mkdirSync(root);
  writeFileSync(join(base, "secret"), "not for guests");
  const device = new P9Device({
    folder: new HostFolder({ path: root }),
    tag: "host",
    now: () => ({ seconds: 1000, nanoseconds: 0 }),
  });
  const rig = createRig(device);
  const client = P9Client.mount(ok(VirtIO9p.create(rig.hal, rig.transport)), codec);
  if (typeof client === "number") throw new Error(`mount: ${client}`);
  return { root, outside: base, client };
}

test("what the guest writes is in the host's folder, and the other way round", () => {
  const { root, client } = create();
  const bytes = pattern(200_000, 1);
  client.makeDirectory(P9_ROOT, "sub", 0o755);
  const file = client.walk(P9_ROOT, ["sub"]);
  expect(client.create(file, "data", O_RDWR, 0o644)).toBe(0);
  for (let at = 0; at < bytes.length; ) at += client.write(file, bytes.subarray(at), at);
  expect(client.clunk(file)).toBe(0);
  expect(Uint8Array.from(readFileSync(join(root, "sub/data")))).toEqual(bytes);
  expect(client.makeSymlink(P9_ROOT, "link", "sub/data")).toBe(0);
  expect(readlinkSync(join(root, "link"))).toBe("sub/data");
  const data = client.walk(P9_ROOT, ["sub", "data"]);
  expect(client.setAttributes(data, { mode: 0o600, size: 3, mtime: [86_400, 0] })).toBe(0);
  const stat = lstatSync(join(root, "sub/data"));
  expect([stat.mode & 0o777, stat.size, stat.mtimeMs]).toEqual([0o600, 3, 86_400_000]);
  expect((client.stat(data) as P9Stat).inode).toBe(stat.ino);
  expect(client.rename(client.walk(P9_ROOT, ["sub"]), "data", P9_ROOT, "moved")).toBe(0);
  expect(client.unlink(P9_ROOT, "sub", true)).toBe(0);
  expect(readdirSync(root).sort()).toEqual(["link", "moved"]);
  writeFileSync(join(root, "from-host"), "hello");
  const target = new Uint8Array(10);
  const found = client.walk(P9_ROOT, ["from-host"]);
  expect([client.open(found, 0), client.read(found, target, 0)]).toEqual([0, 5]);
  expect((client.space(P9_ROOT) as number[])[1]).toBeGreaterThan(0);
});

test("links out of the folder lead nowhere, whoever made them and whenever", () => {
  const { root, outside, client } = create();
  symlinkSync("../secret", join(root, "by-host"));
  expect(client.open(client.walk(P9_ROOT, ["by-host"]), 0)).toBe(0); // a link opens as nothing that can be read
  expect(client.read(client.walk(P9_ROOT, ["by-host"]), new Uint8Array(10), 0)).toBeLessThan(0);
  // A guest that swaps a directory, for which it holds a path below, against a link.
  client.makeDirectory(P9_ROOT, "d", 0o755);
  const file = client.walk(P9_ROOT, ["d"]);
  client.create(file, "secret", O_RDWR, 0o644);
  const held = client.walk(P9_ROOT, ["d", "secret"]);
  const directory = client.walk(P9_ROOT, ["d"]);
  expect([client.unlink(directory, "secret"), client.unlink(P9_ROOT, "d", true)]).toEqual([0, 0]);
  expect(client.makeSymlink(P9_ROOT, "d", "..")).toBe(0);
  expect(client.open(held, 0)).toBe(-ELOOP);
  expect(client.stat(held)).toBe(-ELOOP);
  expect(client.setAttributes(held, { size: 0 })).toBe(-ELOOP);
  expect(client.makeDirectory(directory, "made-outside", 0o755)).toBeLessThan(0);
  expect(client.open(directory, 0)).toBe(0);
  expect(client.readDirectory(directory)).toBeLessThan(0);
  expect(existsSync(join(outside, "made-outside"))).toBe(false);
  expect(readFileSync(join(outside, "secret"), "utf8")).toBe("not for guests");
});

test("the host's errors arrive as Linux's numbers", () => {
  const { root, client } = create();
  mkdirSync(join(root, "dir"));
  writeFileSync(join(root, "file"), "");
  linkSync(join(root, "file"), join(root, "second"));
  expect((client.stat(client.walk(P9_ROOT, ["second"])) as P9Stat).nlink).toBe(2);
  expect(client.unlink(P9_ROOT, "dir")).toBe(-EISDIR);
  expect(client.unlink(P9_ROOT, "missing")).toBe(-ENOENT);
  expect(() => new HostFolder({ path: join(root, "file") })).toThrow(TypeError);
  expect(() => new HostFolder({ path: join(root, "missing") })).toThrow("ENOENT");
});
