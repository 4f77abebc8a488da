/**
 * The whole check, from a fresh clone on a machine with only Node (18 or newer) and npm: `.ci/run`, `npm run ci`.
 *
 *   node tools/ci.mjs             every stage, in order; a failed stage does not stop the later ones
 *   node tools/ci.mjs lint docs   only the stages named
 *
 * Each stage is timed and has a time limit after which its processes are ended and it counts as failed, so that the
 * last line, `N passed, N failed`, always comes. It counts the tests one by one and every other check as one.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ensureInstalled, root, toolEnvironment } from "./toolchain.mjs";

process.env.CI ??= "true";
const SUMMARY = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/;

/** What the tests use beyond Node, by Debian package: the test that needs a missing one skips itself and says so. */
const PREREQUISITES = {
  "qemu-user": "/usr/bin/qemu-riscv64",
  e2fsprogs: "/sbin/mke2fs",
  "gcc-riscv64-linux-gnu": "/usr/bin/riscv64-linux-gnu-gcc",
  "libc6-dev-riscv64-cross": "/usr/riscv64-linux-gnu/include/asm-generic/unistd.h",
  "trace-cmd": "/usr/bin/trace-cmd",
  chromium: "/usr/bin/chromium",
  "gdb-multiarch": "/usr/bin/gdb-multiarch",
  "device-tree-compiler": "/usr/bin/dtc",
  parted: "/sbin/parted",
  python3: "/usr/bin/python3",
  binutils: "/usr/bin/strings",
  bsdextrautils: "/usr/bin/hexdump",
  fdisk: "/sbin/sfdisk",
  gdisk: "/sbin/sgdisk",
  git: "/usr/bin/git",
  "qemu-utils": "/usr/bin/qemu-img",
  time: "/usr/bin/time",
  xxd: "/usr/bin/xxd",
  "xz-utils": "/usr/bin/xz",
  zstd: "/usr/bin/zstd",
  "debian-archive-keyring": "/usr/share/keyrings/debian-archive-keyring.gpg",
};

/** name, minutes allowed, what to run; a `null` command means that there is nothing to check yet. */
const stages = [
  ["test", 40, () => ["npm", ["test"], process.env]],
  ["lint", 3, () => tool("biome", "check", "--max-diagnostics=50", ".")],
  ["typecheck", 10, () => tool("turbo", "run", "typecheck", "--continue", "--output-logs=errors-only", "--ui=stream")],
  ["typecheck-tools", 3, () => tool("tsc", "-p", "tsconfig.json")],
  ["layers", 3, () => tool("node", "tools/check-layers.ts")],
  ["build", 10, () => tool("turbo", "run", "build", "--output-logs=errors-only", "--ui=stream")],
  ["generated", 5, () => tool("node", "tools/check-generated.mjs")],
  ["docs", 10, () => tool("node", "tools/check-docs.ts")],
  ["packages", 15, () => tool("node", "tools/check-pack.mjs", process.execPath)],
  ["userland", 10, () => ifExists("packages/userland/build.mjs", "--check")],
];

const ifExists = (script, ...args) => (existsSync(join(root, script)) ? tool("node", script, ...args) : null);
const tool = (program, ...args) => ["pnpm", ["exec", program, ...args], toolEnvironment()];

/** Runs a command with its output passed through; resolves to its status and the last line it printed. */
function run(program, args, env, minutes) {
  return new Promise((resolve) => {
    let line = "";
    let last = "";
    // Its own process group, so that the time limit ends what it started as well.
    const child = spawn(program, args, { cwd: root, env, stdio: ["ignore", "pipe", "inherit"], detached: true });
    const timer = setTimeout(() => {
      console.log(`stopped after ${minutes} minutes`);
      process.kill(-child.pid, "SIGKILL");
    }, minutes * 60_000);
    child.stdout.on("data", (chunk) => {
      process.stdout.write(chunk);
      const lines = (line + chunk).split("\n");
      line = lines.pop();
      last = lines.filter((text) => text.trim() !== "").pop() ?? last;
    });
    child.on("error", (error) => {
      console.log(`${program}: ${error.message}`);
      clearTimeout(timer);
      resolve({ status: 127, last });
    });
    child.on("close", (status) => {
      clearTimeout(timer);
      resolve({ status: status ?? 1, last: line.trim() === "" ? last : line });
    });
  });
}

function installPrerequisites() {
  const missing = Object.keys(PREREQUISITES).filter((name) => !existsSync(PREREQUISITES[name]));
  if (missing.length === 0) return;
  const list = missing.join(" ");
  if (!existsSync("/usr/bin/apt-get")) return console.log(`no apt-get here: tests that use ${list} will skip`);
  if (process.getuid?.() !== 0)
    return console.log(`not root: tests that use ${list} will skip (apt-get install ${list})`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const apt = (...args) =>
    spawnSync("apt-get", args, { env, encoding: "utf8", timeout: 15 * 60_000, maxBuffer: 1 << 26 });
  const install = (...names) => apt("install", "-y", "--no-install-recommends", ...names).status === 0;
  if (apt("update", "-q").status !== 0) console.log("apt-get update failed: the package lists may be old");
  if (!install(...missing))
    for (const name of missing)
      if (!install(name)) console.log(`could not install ${name}: tests that use it will skip`);
}

const seconds = (since) => `${((Date.now() - since) / 1000).toFixed(1)} s`;
const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !stages.some(([stage]) => stage === name));
if (unknown.length > 0) {
  console.error(`no such stage: ${unknown.join(", ")}; there are: ${stages.map(([name]) => name).join(", ")}`);
  process.exit(125);
}

const start = Date.now();
const report = [];
let passed = 0;
let failed = 0;
let skipped = 0;
if (wanted.length === 0) {
  console.log("== prerequisites");
  installPrerequisites();
  report.push(`prerequisites    ${seconds(start)}`);
}
ensureInstalled(toolEnvironment());
for (const [name, minutes, command] of stages) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const since = Date.now();
  console.log(`== ${name}`);
  const parts = command();
  if (parts === null) {
    report.push(`${name.padEnd(16)} nothing to check`);
    continue;
  }
  const { status, last } = await run(...parts, minutes);
  const counts = SUMMARY.exec(last);
  passed += counts ? Number(counts[1]) : Number(status === 0);
  skipped += counts ? Number(counts[3] ?? 0) : 0;
  failed += counts ? Math.max(Number(counts[2]), Number(status !== 0)) : Number(status !== 0);
  report.push(
    `${name.padEnd(16)} ${seconds(since)}  ${status === 0 ? (counts ? last : "ok") : `FAILED (status ${status})`}`,
  );
}
console.log(`\n${report.join("\n")}\ntotal            ${seconds(start)}\n`);
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exit(failed > 0 ? 1 : 0);
