/// <reference types="node" />
import { spawn } from "node:child_process";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { MemoryDisk, PartitionDevice, ReadCacheDisk, readPartitionTable } from "../index.ts";
import { BlockingHttpFile } from "../node/index.ts";
import { type ByteSource, blobSource, HttpError, LazyDisk, openHttp } from "./index.ts";

const content = new Uint8Array(5_000_000);
for (let i = 0; i < content.length; i++) content[i] = (i * 2654435761) >>> 24;

/** A source that counts, over `content`. */
function counted(): ByteSource & { reads: [number, number][] } {
  const reads: [number, number][] = [];
  return {
    reads,
    size: content.length,
    read: async (position, byteLength) => {
      reads.push([position, byteLength]);
      return content.slice(position, position + byteLength);
    },
  };
}

const isEqual = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

describe("LazyDisk", () => {
  test("fetches what a function touches and runs it again until all is there", async () => {
    const source = counted();
    const disk = new LazyDisk(source, { readAhead: 0 });
    let runs = 0;
    const two = await disk.run(() => {
      runs++;
      const buf = new Uint8Array(512);
      for (const block of [3, 2000]) if (disk.readBlock(block, buf) < 0) return -1; // the second needs the first
      return buf[7];
    });
    expect(two).toBe(content[2000 * 512 + 7]);
    expect([runs, source.reads]).toEqual([
      3,
      [
        [0, 65536],
        [983040, 65536],
      ],
    ]);
    expect(disk.bytesFetched).toBe(131072);
  });

  test("an exception counts only when nothing was missing", async () => {
    const disk = new LazyDisk(counted());
    const task = (): never => {
      if (disk.readBlock(0, new Uint8Array(512)) < 0) throw new Error("cannot open");
      throw new Error("of its own");
    };
    await expect(disk.run(task)).rejects.toThrow("of its own");
  });

  test("neighbours come in one request, and a sequential run reads ahead", async () => {
    const source = counted();
    const disk = new LazyDisk(source, { readAhead: 1 << 20 });
    const out = new Uint8Array(4_000_256);
    for (let at = 0; at + 131072 <= out.length; at += 131072)
      expect(await disk.run(() => disk.readBlock(at / 512, out.subarray(at, at + 131072)))).toBe(0);
    expect(source.reads.length).toBeLessThan(9); // 30 without reading ahead
    expect(isEqual(out.subarray(0, 30 * 131072), content.subarray(0, 30 * 131072))).toBe(true);
  });

  test("keeps within its memory, but never loses what a run still needs", async () => {
    const disk = new LazyDisk(counted(), { cacheBytes: 1 << 18, readAhead: 0, maxRequest: 1 << 16 });
    const all = new Uint8Array(Math.floor(content.length / 512) * 512);
    expect(await disk.run(() => disk.readBlock(0, all))).toBe(0);
    expect(isEqual(all, content.subarray(0, all.length))).toBe(true);
    expect(disk.cachedBytes).toBeLessThanOrEqual(1 << 18);
  });

  test("concurrent runs share requests", async () => {
    const source = counted();
    const disk = new LazyDisk(source);
    const read = (): Promise<number> => disk.run(() => disk.readBlock(100, new Uint8Array(512)));
    expect(await Promise.all([read(), read(), read()])).toEqual([0, 0, 0]);
    expect(source.reads.length).toBe(1);
  });

  test("one run's abort is not another's", async () => {
    let release: () => void = () => {};
    let calls = 0;
    const source: ByteSource = {
      size: 1 << 20,
      read: (_position, byteLength, options) =>
        new Promise((resolve, reject) => {
          calls++;
          release = () =>
            options?.signal?.aborted === true ? reject(options.signal.reason) : resolve(new Uint8Array(byteLength));
        }),
    };
    const disk = new LazyDisk(source);
    const controller = new AbortController();
    const task = (): number => disk.readBlock(0, new Uint8Array(512));
    const first = disk.run(task, { signal: controller.signal });
    const second = disk.run(task);
    controller.abort(new Error("enough"));
    release();
    await expect(first).rejects.toThrow("enough");
    await new Promise((resolve) => setTimeout(resolve));
    release();
    expect(await second).toBe(0);
    expect(calls).toBe(2);
  });

  test("reads zeros in the sector that the source ends in, from a Blob too", async () => {
    const disk = new LazyDisk(blobSource(new Blob([new Uint8Array(700).fill(5)])));
    expect(disk.size).toBe(1024);
    const buf = new Uint8Array(1024);
    await disk.run(() => disk.readBlock(0, buf));
    expect([buf[699], buf[700]]).toEqual([5, 0]);
  });

  test("layers above it work unchanged", async () => {
    const image = new MemoryDisk(4 << 20);
    const first = new Uint8Array(512);
    const view = new DataView(first.buffer);
    view.setUint8(0x1be + 4, 0x83);
    view.setUint32(0x1be + 8, 2048, true);
    view.setUint32(0x1be + 12, 1000, true);
    view.setUint16(0x1fe, 0xaa55, true);
    image.writeBlock(0, first);
    image.writeBlock(2048, new Uint8Array(512).fill(77));
    const bytes = image.toBytes();
    const disk = new LazyDisk({ size: bytes.length, read: async (at, n) => bytes.slice(at, at + n) });
    const table = await disk.run(() => readPartitionTable(disk));
    const { firstBlock, blockCount } = (typeof table === "number" ? [] : table.partitions)[0];
    const partition = new PartitionDevice(disk, firstBlock, blockCount);
    const buf = new Uint8Array(512);
    expect(await disk.run(() => partition.readBlock(0, buf))).toBe(0);
    expect(buf[0]).toBe(77);
  });
});

describe("openHttp", () => {
  let server: Server;
  let url: string;
  let answer: (request: IncomingMessage, response: ServerResponse) => void;
  let requests = 0;
  const waits: number[] = [];
  const options = { sleep: async (ms: number) => void waits.push(ms) };

  const serve = (request: IncomingMessage, response: ServerResponse, headers: Record<string, string> = {}): void => {
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
    const part = content.subarray(Number(first), Number(last) + 1);
    response.writeHead(206, {
      "content-range": `bytes ${first}-${last}/${content.length}`,
      etag: '"1"',
      ...headers,
    });
    response.end(part);
  };

  beforeAll(async () => {
    server = createServer((request, response) => {
      requests++;
      answer(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/disk.img`;
  });
  afterAll(() => void server.close());
  beforeEach(() => {
    answer = serve;
    requests = 0;
    waits.length = 0;
  });

  test("gives size and bytes", async () => {
    const source = await openHttp(url, options);
    expect(source.size).toBe(content.length);
    expect(isEqual(await source.read(12345, 70000), content.subarray(12345, 82345))).toBe(true);
    expect(requests).toBe(2);
  });

  test("repeats what may pass, with growing pauses, and what the server asks for", async () => {
    const source = await openHttp(url, options);
    let failures = 3;
    answer = (request, response) => {
      if (failures-- > 0) response.writeHead(503, failures === 0 ? { "retry-after": "7" } : {}).end();
      else serve(request, response);
    };
    expect((await source.read(0, 10)).length).toBe(10);
    expect(waits).toEqual([250, 500, 7000]);
  });

  test("a connection that breaks off is tried again", async () => {
    const source = await openHttp(url, options);
    let failures = 2;
    answer = (request, response) => {
      if (failures-- > 0) {
        response.writeHead(206, {
          "content-range": `bytes 0-99999/${content.length}`,
          etag: '"1"',
          "content-length": "100000",
        });
        response.write(content.subarray(0, 1000));
        setTimeout(() => response.destroy(), 5);
      } else serve(request, response);
    };
    expect(isEqual(await source.read(0, 100_000), content.subarray(0, 100_000))).toBe(true);
  });

  test.each([
    ["status", /answered 404/, (_: IncomingMessage, r: ServerResponse): unknown => r.writeHead(404).end()],
    ["no-ranges", /whole file/, (_: IncomingMessage, r: ServerResponse): unknown => r.writeHead(200).end("x")],
    ["no-ranges", /Content-Range/, (_: IncomingMessage, r: ServerResponse): unknown => r.writeHead(206).end("x")],
    [
      "status",
      /is empty/,
      (_: IncomingMessage, r: ServerResponse): unknown => r.writeHead(416, { "content-range": "bytes */0" }).end(),
    ],
    ["status", /answered 500/, (_: IncomingMessage, r: ServerResponse): unknown => r.writeHead(500).end()],
  ] as const)("opening fails clearly: %s %s", async (kind, message, how) => {
    answer = how;
    const failure = await openHttp(url, options).catch((reason: unknown) => reason);
    expect(failure).toBeInstanceOf(HttpError);
    expect((failure as HttpError).kind).toBe(kind);
    expect((failure as HttpError).message).toMatch(message);
    expect(requests).toBe(/500/.test(String(message)) ? 5 : 1);
  });

  test("a file that changes meanwhile is noticed", async () => {
    const source = await openHttp(url, options);
    answer = (request, response) => serve(request, response, { etag: '"2"' });
    await expect(source.read(0, 10)).rejects.toThrow(/has changed/);
  });

  test("nobody there", async () => {
    const failure = await openHttp("http://127.0.0.1:9/x", { ...options, retries: 1 }).catch(
      (reason: unknown) => reason,
    );
    expect(failure).toMatchObject({ kind: "network", message: "http://127.0.0.1:9/x: no answer" });
    expect(waits).toEqual([250]);
  });

  test("an aborted read rejects with the signal's reason", async () => {
    const source = await openHttp(url, options);
    answer = () => {}; // never
    const controller = new AbortController();
    const read = source.read(0, 10, { signal: controller.signal });
    setTimeout(() => controller.abort(new Error("no time")), 20);
    await expect(read).rejects.toThrow("no time");
  });
});

test("synchronous code in Node reads a remote file through BlockingHttpFile", async () => {
  // The server must live in another process: this one is blocked while it reads.
  const program = `
    const content = Buffer.alloc(3_000_000);
    for (let i = 0; i < content.length; i++) content[i] = i * 7 >> 8;
    let calls = 0;
    require("node:http").createServer((q, r) => {
      if (++calls % 5 === 3) return void r.writeHead(503).end();
      const [, a, b] = /bytes=(\\d+)-(\\d+)/.exec(q.headers.range);
      r.writeHead(206, { "content-range": "bytes " + a + "-" + b + "/" + content.length }).end(content.subarray(+a, +b + 1));
    }).listen(0, "127.0.0.1", function () { console.log(this.address().port); });`;
  const child = spawn(process.execPath, ["-e", program]);
  try {
    const port = await new Promise<string>((resolve) =>
      child.stdout.once("data", (line: Buffer) => resolve(String(line).trim())),
    );
    using file = new BlockingHttpFile(`http://127.0.0.1:${port}/`);
    const disk = new ReadCacheDisk(file, { cacheBytes: 1 << 20 });
    expect(disk.size).toBe(3_000_320);
    const out = new Uint8Array(disk.size);
    for (let at = 0; at < out.length; at += 50 * 512)
      expect(disk.readBlock(at / 512, out.subarray(at, Math.min(out.length, at + 50 * 512)))).toBe(0);
    expect(out.every((byte, i) => byte === (i < 3_000_000 ? ((i * 7) >> 8) & 255 : 0))).toBe(true);
    expect(disk.requests).toBeLessThan(16);
    expect(disk.cachedBytes).toBeLessThanOrEqual(1 << 20);
    expect(() => new BlockingHttpFile("http://127.0.0.1:9/", { retries: 0 })).toThrow(/no answer/);
  } finally {
    child.kill();
  }
});
