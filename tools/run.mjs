/**
 * The one entry point that works on a fresh clone: `npm run boot`, `npm test`, and `npm run x -- COMMAND` for the rest.
 *
 *   node tools/run.mjs boot [ARG...]      install and build what is needed, then boot the example machine on this Node
 *   node tools/run.mjs test [ARG...]      install, build, run vitest; the last line says `N passed, N failed`
 *   node tools/run.mjs exec COMMAND...    run one of the workspace's tools (vitest, biome, turbo, tsc ...)
 *
 * The program runs on the Node that was called, with the terminal as its standard input, and its exit status is ours.
 */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { attached, ensureBuilt, ensureInstalled, OUR_ERROR, root, toolEnvironment } from "./toolchain.mjs";

const [command, ...args] = process.argv.slice(2);
const BOOT = "examples/boot/dist/boot.js";

/** Also builds the `starry` command, so that `npx starry` works from then on. */
async function boot() {
  const env = toolEnvironment();
  ensureInstalled(env);
  if (!ensureBuilt(env, "boot", ["./examples/boot...", "starry-machine..."], BOOT)) return OUR_ERROR;
  return await attached(process.execPath, [join(root, BOOT), ...args], process.env);
}

async function test() {
  const env = toolEnvironment();
  ensureInstalled(env);
  const isBuilt = ensureBuilt(env, "all"); // the tests of the other packages still say something when one does not build
  const summary = join(root, ".cache", "test-summary.json");
  rmSync(summary, { force: true });
  const status = await attached("pnpm", ["exec", "vitest", "run", ...args], { ...env, STARRY_TEST_SUMMARY: summary });
  const count = existsSync(summary) ? JSON.parse(readFileSync(summary, "utf8")) : { passed: 0, failed: 1, skipped: 0 };
  if (status !== 0 && count.failed === 0) count.failed = 1;
  if (!isBuilt) {
    console.log("the build failed: see above");
    count.failed++;
  }
  console.log(`${count.passed} passed, ${count.failed} failed${count.skipped > 0 ? `, ${count.skipped} skipped` : ""}`);
  return count.failed > 0 ? status || 1 : 0;
}

async function exec() {
  const env = toolEnvironment();
  ensureInstalled(env);
  return await attached("pnpm", ["exec", ...args], env);
}

const commands = { boot, test, exec };
if (!Object.hasOwn(commands, command ?? "")) {
  console.error("usage: node tools/run.mjs boot|test|exec [ARG...]");
  process.exit(OUR_ERROR);
}
process.exit(await commands[command]());
