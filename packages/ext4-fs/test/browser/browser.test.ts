/// <reference types="node" />
/** Volumes in a browser: remote, in IndexedDB, in OPFS and in memory, in a Worker of headless Chromium, on the sources as they are. */
import { existsSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import * as module from "node:module";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
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
if (missing !== undefined) console.log(`skipped: ext4 in a browser (${missing})`);

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

function serve(request: IncomingMessage, response: ServerResponse): void {
  const path = new URL(request.url ?? "/", "http://localhost").pathname;
  if (path === "/") return void response.writeHead(200, { "content-type": "text/html" }).end("<title>t</title>");
  if (/^\/[\w-]+\/(src|test)\/[\w/.-]+\.ts$/.test(path) && existsSync(join(packages, path))) {
    const code = withPaths(module.stripTypeScriptTypes(readFileSync(join(packages, path), "utf8")));
    return void response.writeHead(200, { "content-type": "text/javascript" }).end(code);
  }
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
  if (path !== "/disk.img" || first === undefined) return void response.writeHead(404).end();
  const start = Math.floor(Number(first) / 512);
  const sectors = new Uint8Array(Math.ceil((Number(last) + 1) / 512) * 512 - start * 512);
  image.readBlock(start, sectors);
  response.writeHead(206, { "content-range": `bytes ${first}-${last}/${image.size}`, etag: '"1"' });
  response.end(sectors.subarray(Number(first) - start * 512, Number(last) + 1 - start * 512));
}

describe.skipIf(missing !== undefined)("ext4 in Chromium", () => {
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
      const worker = new Worker("/ext4-fs/test/browser/worker.ts", { type: "module" });
      worker.onmessage = (event) => { resolve(event.data); worker.terminate(); };
      worker.onerror = (event) => resolve({ error: event.message });
      worker.postMessage([${JSON.stringify(name)}, "${origin}/disk.img"]);
    })`)) as { result?: unknown; error?: string };
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.result;
  }

  test("a remote image is listed and read, and little of it is fetched", async () => {
    const result = (await scenario("remote")) as { fetched: number };
    expect(result).toMatchObject({
      names: ["docs", "docs/readme", "large", "lost+found"],
      text: "read over the network",
      size: 64 << 20,
    });
    expect(result.fetched).toBeLessThan(1 << 20);
  });

  test("in IndexedDB what was synced is there after the page has gone, and the volume is consistent", async () => {
    expect(await scenario("indexedDb")).toEqual({ verdict: "clean", text: "text 2text 2", count: 201 });
  });

  test("in OPFS streams and copies work", async () => {
    expect(await scenario("opfs")).toEqual({ verdict: "clean", length: 3 << 20 });
  });

  test("in memory, with the platform's random numbers", async () => {
    expect(await scenario("memory")).toBe(true);
  });
});
