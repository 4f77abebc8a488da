/** The committed binaries are what their sources compile to, where the compiler is installed. */
/// <reference types="node" />
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { packageRoot } from "./guest.ts";

test("bin/ is reproduced byte for byte, or the check says why it is skipped", () => {
  const done = spawnSync(process.execPath, [join(packageRoot, "build.mjs"), "--check"], { encoding: "utf8" });
  console.log(done.stdout.trim());
  expect(done.stderr).toBe("");
  expect(done.status).toBe(0);
}, 120_000);
