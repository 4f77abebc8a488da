/// <reference types="node" />
/**
 * The hart's compiler of hot code in headless Chromium, on rv64-cpu as it was built: it compiles there, and where a
 * content security policy forbids to compile WebAssembly, the same program runs without it.
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const dist = fileURLToPath(new URL("../../rv64-cpu/dist/", import.meta.url));
const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
const PAGE = `
import { createGuestRam, Hart } from "/index.js";
import { assemble } from "/asm/index.js";
import { createJit } from "/jit/index.js";
const ram = createGuestRam({ size: 1 << 20 });
ram.bytes.set(assemble("li a0, 0\\nli a1, 3000000\\nloop: addi a0, a0, 1\\naddi a2, a2, 3\\nbne a0, a1, loop\\necall").bytes);
const compiler = createJit();
const hart = new Hart({ ram, compiler });
const stop = hart.run(1e9);
globalThis.result = { stop, a0: hart.x[20], instret: hart.instret, compiled: compiler.statistics.retired };
`;

const missing =
  executablePath === undefined
    ? "Chromium is not installed"
    : existsSync(join(dist, "jit/index.js"))
      ? undefined
      : "rv64-cpu is not built";
if (missing !== undefined) console.log(`skipped: the compiler of hot code in a browser (${missing})`);

describe.skipIf(missing !== undefined)("hot code in a page", () => {
  let server: Server;
  let browser: Browser;

  beforeAll(async () => {
    server = createServer((request, response) => {
      const path = new URL(request.url ?? "/", "http://localhost").pathname;
      if (path === "/" || path === "/strict") {
        const policy = path === "/strict" ? { "content-security-policy": "script-src 'self'" } : {};
        response.writeHead(200, { "content-type": "text/html", ...policy });
        response.end('<script type="module" src="/page.js"></script>');
        return;
      }
      const script = path === "/page.js" ? Promise.resolve(PAGE) : readFile(join(dist, path.slice(1)));
      script.then(
        (text) => response.writeHead(200, { "content-type": "text/javascript" }).end(text),
        () => response.writeHead(404).end(),
      );
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    browser = await chromium.launch({
      executablePath: executablePath as string,
      args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
    });
  });

  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  async function result(path: string): Promise<{ stop: number; a0: number; instret: number; compiled: number }> {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`);
    await page.waitForFunction("globalThis.result !== undefined", null, { timeout: 30_000 });
    return page.evaluate("globalThis.result");
  }

  test("a hot loop is compiled, and retires what it should", async () => {
    const { stop, a0, instret, compiled } = await result("/");
    expect([stop, a0, instret]).toEqual([1, 3_000_000, 9_000_003]);
    expect(compiled).toBeGreaterThan(5_000_000);
  });

  test("a policy that forbids WebAssembly leaves the JavaScript interpreter", async () => {
    const { stop, a0, instret, compiled } = await result("/strict");
    expect([stop, a0, instret, compiled]).toEqual([1, 3_000_000, 9_000_003, 0]);
  });
});
