/// <reference types="node" />
/**
 * The machine in a browser: examples/browser as it was built, in headless Chromium. What this proves is that no package
 * leans on Node; what the machine can do is tested elsewhere.
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const dist = fileURLToPath(new URL("../../../examples/browser/dist/", import.meta.url));
const screenshots = fileURLToPath(new URL("../../../.cache/browser/", import.meta.url));
const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
const TYPES: Record<string, string> = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };
/** Root in a container has neither a sandbox nor a GPU; the rest keeps the browser from talking to anybody. */
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const missing =
  executablePath === undefined
    ? "Chromium is not installed"
    : existsSync(join(dist, "index.html"))
      ? undefined
      : "examples/browser is not built";
if (missing !== undefined) console.log(`skipped: the machine in a browser (${missing})`);

describe.skipIf(missing !== undefined)("the machine in a page", () => {
  let server: Server;
  let browser: Browser;
  let page: Page;
  /** Everything that the page or the browser complained about. */
  const complaints: string[] = [];

  beforeAll(async () => {
    server = createServer((request, response) => {
      const path = new URL(request.url ?? "/", "http://localhost").pathname;
      const name = path === "/" ? "index.html" : path.slice(1);
      readFile(join(dist, name)).then(
        (bytes) =>
          response.writeHead(200, { "content-type": TYPES[extname(name)] ?? "application/octet-stream" }).end(bytes),
        () => response.writeHead(404).end(),
      );
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    browser = await chromium.launch({ executablePath: executablePath as string, args: FLAGS });
    const context = await browser.newContext({ viewport: { width: 900, height: 600 } });
    await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin });
    page = await context.newPage();
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("requestfailed", (request) => complaints.push(`${request.url()}: ${request.failure()?.errorText}`));
    await page.goto(origin);
    await page.waitForSelector(".xterm-helper-textarea", { state: "attached" });
  });

  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  const terminalText = () => page.evaluate("terminalText()") as Promise<string>;

  /** Waits until the terminal shows `pattern`; what it shows instead is the error. */
  async function shows(pattern: RegExp, timeoutMs = 10_000): Promise<void> {
    await expect.poll(terminalText, { timeout: timeoutMs, interval: 50 }).toMatch(pattern);
  }

  test("it boots to a shell", async () => {
    await shows(/^root@starry:\S*# *$/m, 20_000);
    expect(await page.textContent("#status")).toMatch(/^running, booted in \d+ ms$/);
  });

  test("what is typed reaches programs, and what they print comes back", async () => {
    await page.keyboard.type("echo $((6*7)); uname -m\n");
    await shows(/^42\nriscv64\n/m);
  });

  test("pasted text is typed", async () => {
    await page.evaluate(`navigator.clipboard.writeText("echo pas''ted | tr a-z A-Z")`);
    await page.keyboard.press("Control+V");
    await page.keyboard.press("Enter");
    await shows(/^PASTED\n/m);
  });

  test("a new window size reaches the terminal, and the program in front of it as SIGWINCH", async () => {
    await page.keyboard.type(`stty size; sh -c 'trap "echo changed" WINCH; sleep 1; stty size'\n`);
    await shows(/^\d+ \d+\n/m);
    await page.setViewportSize({ width: 600, height: 400 });
    await shows(/^\d+ \d+\n(.*\n)*changed\n\d+ \d+\n/m);
    const [before, after] = [...(await terminalText()).matchAll(/^(\d+) (\d+)$/gm)].map((found) =>
      found.slice(1).map(Number),
    );
    expect(after[0]).toBeLessThan(before[0]);
    expect(after[1]).toBeLessThan(before[1]);
  });

  test("Ctrl-C ends the program in front", async () => {
    await page.keyboard.type("sleep 1000\n");
    await page.keyboard.press("Control+C");
    await page.keyboard.type("echo status $?\n");
    await shows(/^status 130\n/m);
    await page.screenshot({ path: join(screenshots, "terminal.png") });
  });

  test("the end of the machine is shown, and nothing has complained", async () => {
    await page.keyboard.type("exit 3\n");
    await expect.poll(() => page.textContent("#status"), { timeout: 10_000 }).toMatch(/^stopped: /);
    expect(complaints).toEqual([]);
  });
});
