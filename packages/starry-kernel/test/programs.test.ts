/// <reference types="node" />
/**
 * C programs that check themselves (test/programs/*.c), on the kernel with a real hart. They need Debian's
 * gcc-riscv64-linux-gnu (or the like in PATH); without it the tests are skipped.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { TestMachine } from "./test-machine.ts";

const COMPILER = "riscv64-linux-gnu-gcc";
const SOURCES = fileURLToPath(new URL("programs/", import.meta.url));
const hasCompiler = spawnSync(COMPILER, ["--version"]).status === 0;
const out = hasCompiler ? mkdtempSync(join(tmpdir(), "starry-programs-")) : "";

function compile(name: string): Uint8Array {
  const target = join(out, name);
  const flags = ["-O1", "-w", "-static", "-pthread", "-fasynchronous-unwind-tables"];
  execFileSync(COMPILER, [...flags, "-o", target, join(SOURCES, `${name}.c`)]);
  return readFileSync(target);
}

for (const [name, checks] of [
  ["memory", 47],
  ["process", 38],
  ["signals", 38],
  ["futexes", 14],
  ["identity", 16],
  ["tracing", 32],
  ["vdso", 16],
  ["randomize", 8],
] as const) {
  test.skipIf(!hasCompiler)(`${name}: all checks of the program hold`, { timeout: 60_000 }, () => {
    const machine = new TestMachine();
    machine.addFile("/bin/prog", compile(name), 0o755);
    const status = machine.run(["/bin/prog"]);
    const lines = machine.output.trimEnd().split("\n");
    expect(lines.filter((line) => !line.startsWith("ok "))).toEqual([]);
    expect(status).toBe(0);
    expect(lines.length).toBeGreaterThanOrEqual(checks);
  });
}

test.skipIf(!hasCompiler)("no frame is lost when a machine's programs have ended", () => {
  const machine = new TestMachine();
  machine.addFile("/bin/prog", compile("process"), 0o755);
  const before = machine.kernel.frames.free;
  machine.run(["/bin/prog"]);
  // What stays: the pages of the vDSO, and two files of one page in /tmp.
  expect(before - machine.kernel.frames.free).toBeLessThanOrEqual(8);
});
