/// <reference types="node" />
/** The backends that need a browser, and those that must work there too, in headless Chromium: in a dedicated Worker. */
import { existsSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import * as module from "node:module";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as zlib from "node:zlib";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));
const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
/** Root in a container has neither a sandbox nor a GPU; the rest keeps the browser from talking to anybody. */
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const missing =
  executablePath === undefined
    ? "Chromium is not installed"
    : module.stripTypeScriptTypes === undefined
      ? "this Node cannot strip types for the page"
      : undefined;
if (missing !== undefined) console.log(`skipped: backends in a browser (${missing})`);

const content = Uint8Array.from({ length: 3_000_000 }, (_, i) => (i * 2654435761) >>> 24);

/** Sources with their types taken away, and a disk image with ranges. */
function serve(request: IncomingMessage, response: ServerResponse): void {
  const path = new URL(request.url ?? "/", "http://localhost").pathname;
  if (path === "/") return void response.writeHead(200, { "content-type": "text/html" }).end("<title>t</title>");
  if (/^\/(src|test)\/[\w/.-]+\.ts$/.test(path) && existsSync(join(root, path))) {
    const code = module.stripTypeScriptTypes(readFileSync(join(root, path), "utf8"));
    return void response.writeHead(200, { "content-type": "text/javascript" }).end(code);
  }
  const zstd = zlib.zstdCompressSync;
  const bytes =
    path === "/disk.img"
      ? content
      : path === "/disk.img.gz"
        ? zlib.gzipSync(content)
        : path === "/disk.img.zst"
          ? (zstd?.(content) ?? content)
          : undefined;
  if (bytes === undefined) return void response.writeHead(404).end();
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
  response.writeHead(206, { "content-range": `bytes ${first}-${last}/${bytes.length}`, etag: '"1"' });
  response.end(bytes.subarray(Number(first), Number(last) + 1));
}

describe.skipIf(missing !== undefined)("in Chromium", () => {
  let server: Server;
  let browser: Browser;
  let page: Page;
  let origin: string;

  beforeAll(async () => {
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

  /** Runs a scenario of worker.ts in a Worker of its own. */
  async function scenario(name: string): Promise<unknown> {
    const answer = (await page.evaluate(`new Promise((resolve) => {
      const worker = new Worker("/test/browser/worker.ts", { type: "module" });
      worker.onmessage = (event) => { resolve(event.data); worker.terminate(); };
      worker.onerror = (event) => resolve({ error: event.message });
      worker.postMessage([${JSON.stringify(name)}, "${origin}/disk.img"]);
    })`)) as { result?: unknown; error?: string };
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.result;
  }

  test("OPFS keeps what was flushed", async () => {
    expect(await scenario("opfs")).toEqual({ same: true, size: 4 << 20 });
  });

  test("IndexedDB keeps what was flushed, drops what was not, and gives back what was discarded", async () => {
    expect(await scenario("indexedDb")).toEqual({ same: true, size: 4 << 20, empty: 0 });
  });

  test("a remote image is read synchronously in a Worker", async () => {
    const result = (await scenario("xhr")) as { requests: number };
    expect(result).toMatchObject({ size: 3_000_320, missing: true });
    expect(result.requests).toBeLessThan(20);
  });

  test("a remote image is read asynchronously, only what is touched", async () => {
    expect(await scenario("http")).toEqual({ size: 3_000_320, requests: 1, fetched: 65536 });
  });

  test("a Blob is a disk", async () => {
    expect(await scenario("blob")).toBe(7);
  });

  test("compressed images are read without the platform's help", async () => {
    expect(await scenario("compressed")).toBe(zlib.zstdCompressSync === undefined ? "no zstd" : "both");
  });
});
