/// <reference types="node" />
/** Ten million random instructions against qemu-riscv64, and a tenth of that against the JavaScript back end. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createJit } from "../src/jit/index.ts";
import { runLinux } from "../test/linux-user.ts";
import { randomProgram } from "../test/random-program.ts";

const PER_PROGRAM = 5000;
const first = Number(process.env["SEED"] ?? 100_000);

test("ten million random instructions end as under qemu-riscv64", () => {
  const folder = mkdtempSync(join(tmpdir(), "diff-"));
  const path = join(folder, "program");
  for (let seed = first; seed < first + 10_000_000 / PER_PROGRAM; seed++) {
    const elf = randomProgram(seed, {
      instructions: PER_PROGRAM,
      ...(seed % 3 === 0 ? { only: (row) => row.extension === "F" || row.extension === "D" } : {}),
    });
    writeFileSync(path, elf);
    chmodSync(path, 0o755);
    expect(
      runLinux(elf, ["x"], { size: 1 << 20 }).stdout === execFileSync("qemu-riscv64", [path]).toString("latin1"),
      `seed ${seed}`,
    ).toBe(true);
  }
  rmSync(folder, { recursive: true });
});

test("a million random instructions end alike in both back ends", () => {
  for (let seed = first; seed < first + 1_000_000 / PER_PROGRAM; seed++) {
    const elf = randomProgram(seed, { instructions: PER_PROGRAM, forQemu: false });
    const wasm = runLinux(elf, ["x"], { size: 1 << 20, backend: "wasm" });
    expect(runLinux(elf, ["x"], { size: 1 << 20, backend: "js" }).stdout === wasm.stdout, `seed ${seed}`).toBe(true);
  }
});

test("loops of random instructions end compiled as under qemu-riscv64", () => {
  const folder = mkdtempSync(join(tmpdir(), "diff-"));
  const path = join(folder, "program");
  let retired = 0;
  const programs = Number(process.env["PROGRAMS"] ?? 500);
  for (let seed = first; seed < first + programs; seed++) {
    const elf = randomProgram(seed, {
      instructions: 200,
      repeat: 100,
      ...(seed % 3 === 0 ? { only: (row) => row.extension === "F" || row.extension === "D" } : {}),
    });
    writeFileSync(path, elf);
    chmodSync(path, 0o755);
    const compiler = createJit({ eager: true, hotCount: 16 });
    expect(
      runLinux(elf, ["x"], { size: 1 << 20, compiler }).stdout ===
        execFileSync("qemu-riscv64", [path]).toString("latin1"),
      `seed ${seed}`,
    ).toBe(true);
    retired += compiler.statistics.retired;
  }
  rmSync(folder, { recursive: true });
  expect(retired).toBeGreaterThan(programs * 1000);
});
