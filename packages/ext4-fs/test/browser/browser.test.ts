/// <reference types="node" />
/**
 * blockdev-disk's backends and volumes on them in a browser: remote, in IndexedDB, in OPFS, compressed and in memory, in a Worker of headless
 * Chromium, on the sources as they are.
 */
import { existsSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import * as module from "node:module";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as zlib from "node:zlib";
import { MemoryDisk } from "blockdev-disk";
import { Ext4FileSystem, mkfs } from "ext4-fs";
import { promises } from "ext4-fs/promises";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const packages = fileURLToPath(new URL("../../../", import.meta.url));
const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
/** Root in a container has neither a sandbox nor a GPU; the rest keeps the browser from talking to anybody. */
const FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"];

const missing =
  executablePath === undefined
    ? "Chromium is not installed"
    : module.stripTypeScriptTypes === undefined
      ? "this Node cannot strip types for the page"
      : undefined;
if (missing !== undefined) console.log(`skipped: disks and ext4 in a browser (${missing})`);

/** "ext4-fs/check" → "/ext4-fs/src/check/index.ts": Workers have no import maps. */
function withPaths(code: string): string {
  return code.replace(
    /(from\s+|import\()"((?:blockdev-disk|ext4-fs|linux-abi|vfs-inode)(\/[\w-]+)?)"/g,
    (_all, before, name, sub) => {
      const owner = (name as string).split("/")[0];
      return `${before}"/${owner}/src${sub ?? ""}/index.ts"`;
    },
  );
}

const image = new MemoryDisk(64 << 20);
const pattern = Uint8Array.from({ length: 3_000_000 }, (_, i) => (i * 2654435761) >>> 24);
const hasZstd = zlib.zstdCompressSync !== undefined;
/** What the server has, by path. */
const files = new Map<string, Uint8Array>([
  ["/pattern", pattern],
  ["/pattern.gz", zlib.gzipSync(pattern)],
  ["/pattern.zst", hasZstd ? zlib.zstdCompressSync(pattern) : pattern],
]);

function serve(request: IncomingMessage, response: ServerResponse): void {
  const path = new URL(request.url ?? "/", "http://localhost").pathname;
  if (path === "/") return void response.writeHead(200, { "content-type": "text/html" }).end("<title>t</title>");
  if (/^\/[\w-]+\/(src|test)\/[\w/.-]+\.ts$/.test(path) && existsSync(join(packages, path))) {
    const code = withPaths(module.stripTypeScriptTypes(readFileSync(join(packages, path), "utf8")));
    return void response.writeHead(200, { "content-type": "text/javascript" }).end(code);
  }
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
  const bytes = files.get(path);
  if (bytes === undefined || first === undefined) return void response.writeHead(404).end();
  response.writeHead(206, { "content-range": `bytes ${first}-${last}/${bytes.length}`, etag: '"1"' });
  response.end(bytes.subarray(Number(first), Number(last) + 1));
}

describe.skipIf(missing !== undefined)("in Chromium", () => {
  let server: Server;
  let browser: Browser;
  let page: Page;
  let origin: string;

  beforeAll(async () => {
    mkfs(image, { uuid: "0d15ea5e-0000-4000-8000-000000000009", assumeStoragePrezeroed: true });
    const fs = promises(new Ext4FileSystem(image));
    await fs.mkdir("/docs");
    await fs.writeFile("/docs/readme", "read over the network");
    await fs.writeFile("/large", new Uint8Array(20 << 20).fill(1));
    await fs.unmount();
    files.set("/volume", image.toBytes());
    server = createServer(serve);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    browser = await chromium.launch({ executablePath: executablePath as string, args: FLAGS });
    page = await browser.newPage();
    await page.goto(origin);
  });
  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  /** Runs a scenario in a Worker of its own, on a file of the server. */
  async function scenario(worker: string, name: string, file: string): Promise<unknown> {
    const answer = (await page.evaluate(`new Promise((resolve) => {
      const worker = new Worker("/ext4-fs/test/browser/${worker}.ts", { type: "module" });
      worker.onmessage = (event) => { resolve(event.data); worker.terminate(); };
      worker.onerror = (event) => resolve({ error: event.message });
      worker.postMessage([${JSON.stringify(name)}, "${origin}/${file}"]);
    })`)) as { result?: unknown; error?: string };
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.result;
  }

  const onVolume = (name: string): Promise<unknown> => scenario("volumes-worker", name, "volume");
  const onBackend = (name: string): Promise<unknown> => scenario("backends-worker", name, "pattern");

  test("OPFS keeps what was flushed", async () => {
    expect(await onBackend("opfs")).toEqual({ same: true, size: 4 << 20 });
  });

  test("IndexedDB keeps what was flushed, drops what was not, and gives back what was discarded", async () => {
    expect(await onBackend("indexedDb")).toEqual({ same: true, size: 4 << 20, empty: 0 });
  });

  test("a remote disk is read synchronously in a Worker", async () => {
    const result = (await onBackend("xhr")) as { requests: number };
    expect(result).toMatchObject({ size: 3_000_320, missing: true });
    expect(result.requests).toBeLessThan(20);
  });

  test("a remote disk is read asynchronously, only what is touched", async () => {
    expect(await onBackend("http")).toEqual({ size: 3_000_320, requests: 1, fetched: 65536 });
  });

  test("a Blob is a disk", async () => {
    expect(await onBackend("blob")).toBe(7);
  });

  test("compressed disks are read without the platform's help", async () => {
    expect(await onBackend("compressed")).toBe(hasZstd ? "both" : "no zstd");
  });

  test("a remote image is listed and read, and little of it is fetched", async () => {
    const result = (await onVolume("remote")) as { fetched: number };
    expect(result).toMatchObject({
      names: ["docs", "docs/readme", "large", "lost+found"],
      text: "read over the network",
      size: 64 << 20,
    });
    expect(result.fetched).toBeLessThan(1 << 20);
  });

  test("in IndexedDB what was synced is there after the page has gone, and the volume is consistent", async () => {
    expect(await onVolume("indexedDb")).toEqual({ verdict: "clean", text: "text 2text 2", count: 201 });
  });

  test("in OPFS streams and copies work", async () => {
    expect(await onVolume("opfs")).toEqual({ verdict: "clean", length: 3 << 20 });
  });

  test("in memory, with the platform's random numbers", async () => {
    expect(await onVolume("memory")).toBe(true);
  });
});
