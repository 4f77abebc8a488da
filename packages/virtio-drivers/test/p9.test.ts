/** A folder shared over 9P: P9Client, the transport and the server of virt-devices. */
import fc from "fast-check";
import { MemoryFolder, P9Device } from "virt-devices";
import { describe, expect, test } from "vitest";
import { P9_ROOT, P9Client, type P9Stat, VirtIO9p } from "../src/index.ts";
import { createRig, firstDifference, ok, pattern } from "./rig.ts";

const [ENOENT, EBADF, EEXIST, ENOTDIR, EISDIR, EINVAL, EROFS, ENOTEMPTY] = [2, 9, 17, 20, 21, 22, 30, 39];
const O_RDWR = 2;
const O_TRUNC = 0o1000;
const text = (string: string): Uint8Array => new TextEncoder().encode(string);
const codec = {
  encode: (string: string): Uint8Array => new TextEncoder().encode(string),
  decode: (bytes: Uint8Array): string => new TextDecoder().decode(bytes),
};

function create(options: { readOnly?: boolean; packed?: boolean; files?: Record<string, Uint8Array> } = {}) {
  let seconds = 1000;
  const now = (): { seconds: number; nanoseconds: number } => ({ seconds: seconds++, nanoseconds: 7 });
  const folder = new MemoryFolder({ now, files: options.files ?? {} });
  const device = new P9Device({ folder, tag: "host", now, readOnly: options.readOnly ?? false });
  const rig = createRig(device, { mmio: { packed: options.packed ?? false } });
  const transport = ok(VirtIO9p.create(rig.hal, rig.transport));
  const client = P9Client.mount(transport, codec);
  if (typeof client === "number") throw new Error(`mount: ${client}`);
  return { folder, rig, transport, client };
}

/** A fid, which must come. */
function walk(client: P9Client, path: string): number {
  const fid = client.walk(P9_ROOT, path === "" ? [] : path.split("/"));
  if (fid < 0) throw new Error(`${path}: ${fid}`);
  return fid;
}

function readFile(client: P9Client, path: string): Uint8Array {
  const fid = walk(client, path);
  expect(client.open(fid, 0)).toBe(0);
  const size = (client.stat(fid) as P9Stat).size;
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; ) {
    const n = client.read(fid, bytes.subarray(at), at);
    if (n <= 0) throw new Error(`read: ${n}`);
    at += n;
  }
  expect(client.read(fid, new Uint8Array(10), size)).toBe(0);
  expect(client.clunk(fid)).toBe(0);
  return bytes;
}

describe.each([false, true])("packed: %s", (packed) => {
  test("files of the host are found, listed and read, of any size", () => {
    const big = pattern(300_000, 3);
    const { client, transport, rig } = create({
      packed,
      files: { "etc/motd": text("hello\n"), "data/big.bin": big, "data/ünïcödé 🙂": text("x") },
    });
    expect(transport.mountTag).toBe("host");
    expect(readFile(client, "etc/motd")).toEqual(text("hello\n"));
    expect(firstDifference(readFile(client, "data/big.bin"), big)).toBe(-1);
    expect(readFile(client, "data/ünïcödé 🙂")).toEqual(text("x"));
    const data = walk(client, "data");
    expect(client.open(data, 0)).toBe(0);
    const entries = client.readDirectory(data) as readonly { name: string; type: number }[];
    expect(entries.map(({ name, type }) => [name, type])).toEqual([
      [".", 4],
      ["..", 4],
      ["big.bin", 8],
      ["ünïcödé 🙂", 8],
    ]);
    const stat = client.stat(data) as P9Stat;
    expect([stat.mode, stat.nlink]).toEqual([0o040755, 2]);
    expect(rig.guestErrors).toEqual([]);
    transport.release();
    expect(rig.frames.usedCount).toBe(0);
  });
});

test("a large directory comes in several pieces", () => {
  const files = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`many/file-${i}`, new Uint8Array(0)]));
  const { client } = create({ files });
  const fid = walk(client, "many");
  client.open(fid, 0);
  const names = (client.readDirectory(fid) as readonly { name: string }[]).map(({ name }) => name);
  expect(new Set(names).size).toBe(5002);
});

test("the guest makes, writes, renames, links and removes", () => {
  const { client, folder } = create();
  expect(client.makeDirectory(P9_ROOT, "dir", 0o750)).toBe(0);
  expect(client.makeDirectory(P9_ROOT, "dir", 0o750)).toBe(-EEXIST);
  const file = walk(client, "dir");
  expect(client.create(file, "a.txt", O_RDWR, 0o640)).toBe(0);
  const bytes = pattern(100_000, 9);
  for (let at = 0; at < bytes.length; ) at += client.write(file, bytes.subarray(at), at);
  expect(client.sync(file)).toBe(0);
  expect(firstDifference(folder.get("dir/a.txt")!, bytes)).toBe(-1);
  expect((client.stat(file) as P9Stat).mode).toBe(0o100640);

  const dir = walk(client, "dir");
  expect(client.rename(dir, "a.txt", P9_ROOT, "b.txt")).toBe(0);
  expect([folder.get("dir/a.txt"), folder.get("b.txt")?.length]).toEqual([undefined, 100_000]);
  expect(client.write(file, text("new"), 0)).toBe(3); // the open fid follows its file
  expect(client.link(dir, walk(client, "b.txt"), "c.txt")).toBe(0);
  expect((client.stat(walk(client, "dir/c.txt")) as P9Stat).nlink).toBe(2);
  expect(client.makeSymlink(P9_ROOT, "link", "dir/c.txt")).toBe(0);
  expect(client.readLink(walk(client, "link"))).toBe("dir/c.txt");

  expect(client.rename(P9_ROOT, "dir", P9_ROOT, "folder")).toBe(0);
  expect((client.stat(dir) as P9Stat).mode & 0o170000).toBe(0o040000); // so does one of what lies below
  expect(client.unlink(P9_ROOT, "folder", true)).toBe(-ENOTEMPTY);
  expect(client.unlink(P9_ROOT, "folder")).toBe(-EISDIR);
  expect(client.unlink(dir, "c.txt")).toBe(0);
  expect(client.unlink(P9_ROOT, "folder", true)).toBe(0);
  expect(client.unlink(P9_ROOT, "b.txt")).toBe(0);
  expect(client.read(file, new Uint8Array(3), 0)).toBe(3); // still open
  expect([client.clunk(file), client.clunk(file)]).toEqual([0, -EBADF]);
});

test("attributes, times, truncation", () => {
  const { client, folder } = create({ files: { f: text("0123456789") } });
  const fid = walk(client, "f");
  expect(client.setAttributes(fid, { mode: 0o600, uid: 5, gid: 6, size: 4 })).toBe(0);
  expect(client.setAttributes(fid, { atime: [-5, 250], mtime: [5e9, 999_999_999] })).toBe(0);
  const stat = client.stat(fid) as P9Stat;
  expect([stat.mode, stat.uid, stat.gid, stat.size]).toEqual([0o100600, 5, 6, 4]);
  expect([stat.atime, stat.mtime]).toEqual([
    [-5, 250],
    [5e9, 999_999_999],
  ]);
  expect(client.setAttributes(fid, { mtime: "now" })).toBe(0);
  expect((client.stat(fid) as P9Stat).mtime[0]).toBeLessThan(2000);
  expect(client.open(fid, O_RDWR | O_TRUNC)).toBe(0);
  expect(folder.get("f")).toEqual(new Uint8Array(0));
  expect((client.space(fid) as number[])[0]).toBe(4096);
});

test("errors are Linux's, and a guest cannot leave the folder", () => {
  const { client } = create({ files: { "a/b": text("x") } });
  expect(client.walk(P9_ROOT, ["missing"])).toBe(-ENOENT);
  expect(client.walk(P9_ROOT, ["a", "missing"])).toBe(-ENOENT);
  expect(client.walk(P9_ROOT, ["a", "b", "c"])).toBe(-ENOENT); // two qids came: the walk ended early
  expect(client.walk(walk(client, "a/b"), ["c"])).toBe(-ENOTDIR);
  const inode = (fid: number): number => (client.stat(fid) as P9Stat).inode;
  expect(inode(walk(client, "../../.."))).toBe(inode(P9_ROOT));
  expect(inode(walk(client, "a/../.."))).toBe(inode(P9_ROOT));
  for (const name of ["", ".", "x/y", "x\0y"]) {
    expect(client.walk(P9_ROOT, [name])).toBe(-EINVAL);
    expect(client.makeDirectory(P9_ROOT, name, 0o755)).toBe(-EINVAL);
  }
  expect(client.unlink(P9_ROOT, "..", true)).toBe(-EINVAL);
  client.makeSymlink(P9_ROOT, "out", "/etc");
  expect(client.walk(walk(client, "out"), ["passwd"])).toBe(-ENOTDIR); // links are for the guest to follow
});

test("a read-only folder takes no change", () => {
  const { client, folder } = create({ readOnly: true, files: { f: text("abc") } });
  const fid = walk(client, "f");
  expect([
    client.open(fid, O_RDWR),
    client.create(walk(client, ""), "g", O_RDWR, 0o644),
    client.makeDirectory(P9_ROOT, "d", 0o755),
    client.unlink(P9_ROOT, "f"),
    client.setAttributes(fid, { size: 0 }),
    client.rename(P9_ROOT, "f", P9_ROOT, "g"),
  ]).toEqual(Array(6).fill(-EROFS));
  expect([client.open(fid, 0), folder.get("f")]).toEqual([0, text("abc")]);
});

test("any messages: the server answers each, keeps to the answer's room, and holds no more files than fids", () => {
  const type = fc.oneof(
    fc.constantFrom(8, 12, 14, 16, 20, 22, 24, 26, 40, 50, 52, 54, 70, 72, 74, 76, 104, 108, 110, 116, 118, 120, 122),
    fc.nat(255),
  );
  const word = fc.oneof(fc.nat(4), fc.constantFrom(0xffff, 0xffff_ffff), fc.nat(0xffff));
  const message = fc.record({ type, words: fc.array(word, { maxLength: 12 }), tail: fc.uint8Array({ maxLength: 40 }) });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 60 }), (messages) => {
      const { transport, rig } = create({ files: { "a/b": text("x"), c: text("yy") } });
      const response = new Uint8Array(65_536);
      for (const { type: number, words, tail } of messages) {
        const bytes = new Uint8Array(7 + 4 * words.length + tail.length);
        const view = new DataView(bytes.buffer);
        view.setUint32(0, bytes.length, true);
        bytes[4] = number;
        view.setUint16(5, 77, true);
        for (const [i, each] of words.entries()) view.setUint32(7 + 4 * i, each, true);
        bytes.set(tail, 7 + 4 * words.length);
        const length = transport.request(bytes, response);
        expect(length).toBeGreaterThanOrEqual(7);
        expect(new DataView(response.buffer).getUint32(0, true)).toBe(length);
        expect([number + 1, 7]).toContain(response[4]);
        expect(response[5]).toBe(77);
      }
      expect(rig.guestErrors).toEqual([]);
    }),
    { numRuns: 300 },
  );
});

test("any answers: the client returns an error or a value, and ends", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 80 }), { minLength: 1, maxLength: 8 }),
      fc.boolean(),
      (answers, isTyped) => {
        const { client, transport } = create();
        let next = 0;
        // The transport's answers are replaced, with a header that fits more often than chance would have it.
        Object.defineProperty(transport, "transact", {
          value: (_length: number): number => {
            const answer = answers[next++ % answers.length];
            transport.responseBytes.set(answer);
            if (isTyped && answer.length >= 7) {
              transport.responseBytes.set([answer.length, 0, 0, 0, transport.requestBytes[4] + 1]);
            }
            return answer.length;
          },
        });
        const target = new Uint8Array(16);
        const results = [
          client.walk(P9_ROOT, ["a"]),
          client.open(1, 0),
          client.read(1, target, 0),
          client.write(1, target, 0),
          client.clunk(1),
        ];
        for (const result of results) expect(Number.isInteger(result)).toBe(true);
        for (const result of [client.stat(1), client.readDirectory(1), client.readLink(1), client.space(1)])
          if (typeof result === "number") expect(result).toBeLessThan(0);
      },
    ),
    { numRuns: 500 },
  );
});
