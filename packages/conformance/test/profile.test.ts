/// <reference types="node" />
/**
 * `starry run --profile` on a program whose proportions are known. Compiled here; skipped without a cross compiler.
 */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hasProgram, program, scratch, starry } from "./support/starry.ts";

const COMPILER = "riscv64-linux-gnu-gcc";
const hasCompiler = hasProgram(COMPILER);
const folder = scratch("profile");
const source = fileURLToPath(new URL("programs/profile-sample.c", import.meta.url));
const BUILDS = {
  /** As Debian's own packages: call frame information, no frame pointers. */
  tables: ["-fasynchronous-unwind-tables"],
  /** The other way round. */
  pointers: ["-fno-asynchronous-unwind-tables", "-fno-omit-frame-pointer", "-mno-omit-leaf-frame-pointer"],
};

beforeAll(async () => {
  if (!hasCompiler) return;
  for (const [name, flags] of Object.entries(BUILDS)) {
    const out = ["-o", join(folder, name), source];
    let done = await program(COMPILER, ["-O1", "-static", ...flags, ...out]);
    // Older compilers do not know -mno-omit-leaf-frame-pointer.
    if (done.status !== 0) done = await program(COMPILER, ["-O1", "-static", ...flags.slice(0, 2), ...out]);
    if (done.status !== 0) throw new Error(done.stderr);
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function profile(words: readonly string[], file = "out.folded"): Promise<string> {
  const path = join(folder, file);
  const run = await starry(["run", "--profile", path, ...words]);
  expect(run.stderr).toBe("");
  expect(run.status).toBe(0);
  return readFileSync(path, "utf8");
}

interface Stack {
  readonly frames: readonly string[];
  readonly weight: number;
}

function parse(folded: string): Stack[] {
  return folded
    .trimEnd()
    .split("\n")
    .map((line) => {
      const space = line.lastIndexOf(" ");
      return { frames: line.slice(0, space).split(";"), weight: Number(line.slice(space + 1)) };
    });
}

const weightOf = (stacks: readonly Stack[], test: (frames: readonly string[]) => boolean): number =>
  stacks.filter(({ frames }) => test(frames)).reduce((sum, { weight }) => sum + weight, 0);

describe.skipIf(!hasCompiler)("starry run --profile", () => {
  for (const build of Object.keys(BUILDS)) {
    test(`finds functions, callers and proportions (${build})`, async () => {
      const stacks = parse(await profile(["--seed", "1", join(folder, build)]));
      const heavy = weightOf(stacks, (frames) => frames.includes("heavy"));
      const light = weightOf(stacks, (frames) => frames.includes("light"));
      expect(heavy / light).toBeGreaterThan(2.4);
      expect(heavy / light).toBeLessThan(3.6);
      const deep = ["main", "work", "work", "work", "work", "heavy"].join(";");
      expect(weightOf(stacks, (frames) => frames.join(";").includes(deep))).toBeGreaterThan(heavy * 0.95);
    });
  }

  test("sees through a signal frame to what was interrupted", async () => {
    const stacks = parse(await profile(["--seed", "1", join(folder, "tables")]));
    const inHandler = stacks.filter(({ frames }) => frames.includes("handler"));
    expect(inHandler.length).toBeGreaterThan(0);
    for (const { frames } of inHandler) {
      expect(frames).toContain("__vdso_rt_sigreturn");
      expect(frames).toContain("interrupted");
    }
  });

  test("shows kernel time above the call that it is spent for", async () => {
    const stacks = parse(await profile([join(folder, "tables"), "300000"]));
    const kernel = stacks.filter(({ frames }) => frames.at(-1) === "[k] write");
    expect(weightOf(kernel, () => true)).toBeGreaterThan(1000);
    expect(kernel.some(({ frames }) => frames.includes("calls"))).toBe(true);
  });

  test("writes speedscope's JSON, the same for the same seed", async () => {
    const words = ["--seed", "7", join(folder, "tables")];
    const first = await profile(words, "first.json");
    const { profiles, shared } = JSON.parse(first);
    expect(profiles[0].type).toBe("sampled");
    expect(profiles[0].samples.length).toBe(profiles[0].weights.length);
    expect(shared.frames.map(({ name }: { name: string }) => name)).toContain("heavy");
    expect(await profile(words, "second.json")).toBe(first);
  });
});
