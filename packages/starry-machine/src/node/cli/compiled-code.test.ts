/// <reference types="node" />
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";

const home = mkdtempSync(join(tmpdir(), "starry-code-"));
afterAll(() => rmSync(home, { recursive: true, force: true }));

/** A command beside the real launcher: `short` does nothing, `long` takes a second and calls what a short run never does. */
const COMMAND = `
function rare(n) { ${Array.from({ length: 400 }, (_, n) => `n = (n * ${n + 3} + ${n}) | 0;`).join("\n")} return n; }
module.exports.main = async ([word]) => {
  for (let n = 0; word === "long" && process.cpuUsage().user < 1.05e6; ) n = rare(n);
  console.log("did " + word);
  return 7;
};`;

test("compiled code is kept after the first run, and added to by long runs that have more", { timeout: 60_000 }, () => {
  for (const folder of ["bin", "dist", "dist/node"]) mkdirSync(join(home, folder));
  copyFileSync(new URL("../../../bin/starry.cjs", import.meta.url), join(home, "bin/starry.cjs"));
  writeFileSync(join(home, "dist/node/engine.cjs"), "exports.tuneEngine = () => {};");
  writeFileSync(join(home, "dist/node/cli.cjs"), COMMAND);
  const folder = join(home, "starry", "compiled");
  /** Bytes of code, and how many long runs added to it. */
  const run = (word: string): [number, number] => {
    const done = spawnSync(process.execPath, [join(home, "bin/starry.cjs"), word], {
      encoding: "utf8",
      env: { ...process.env, XDG_CACHE_HOME: home },
    });
    expect([done.stdout, done.stderr, done.status]).toEqual([`did ${word}\n`, "", 7]);
    const kept = readFileSync(join(folder, readdirSync(folder)[0] as string));
    return [kept.length, kept.at(-1) as number];
  };
  const [short] = run("short");
  expect(run("short")).toEqual([short, 0]);
  const [long, additions] = run("long");
  expect(long).toBeGreaterThan(short + 1000);
  expect(additions).toBe(1);
  expect(run("long")).toEqual([long, 8]);
  expect(run("short")).toEqual([long, 8]);
  // What V8 refuses is replaced.
  writeFileSync(join(folder, readdirSync(folder)[0] as string), Buffer.alloc(long, 3));
  expect(run("short")).toEqual([short, 0]);
  expect(readdirSync(folder)).toHaveLength(1);
});
