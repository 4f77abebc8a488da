/// <reference types="node" />
/**
 * Speed of the hart on C kernels, with the MMU on, beside qemu-riscv64 with the same binary where it is installed.
 *
 *   node -C source bench/interp.bench.ts [--json FILE] [--backend js|wasm|jit] [NAME...]
 *
 * Each kernel runs three times in one process after a warm-up run; the best time counts (qemu: best of three processes).
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createGuestRam } from "../src/index.ts";
import { createJit } from "../src/jit/index.ts";
import { runLinux } from "../test/linux-user.ts";

const KERNELS = ["intloop", "fib", "sieve", "sha256", "sort", "vm", "nbody", "matmul", "copy", "chase", "strings"];
const SCALE = 10;

const { values, positionals } = parseArgs({
  options: { json: { type: "string" }, backend: { type: "string", default: "wasm" } },
  allowPositionals: true,
});

function has(command: string): boolean {
  try {
    execFileSync(command, ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    console.log(`${command} is not installed`);
    return false;
  }
}

const seconds = (run: () => void): number => {
  const start = performance.now();
  run();
  return (performance.now() - start) / 1000;
};

const folder = mkdtempSync(join(tmpdir(), "bench-"));
const binary = join(folder, "kernels");
if (!has("riscv64-linux-gnu-gcc")) process.exit(1);
execFileSync("riscv64-linux-gnu-gcc", ["-O2", "-static", new URL("kernels.c", import.meta.url).pathname, "-o", binary]);
const withQemu = has("qemu-riscv64");
const elf = readFileSync(binary);
const ram = { size: 64 * 2 ** 20 };
const rows: {
  kernel: string;
  instructions: number;
  mips: number;
  seconds: number;
  qemuSeconds: number;
  ratio: number;
}[] = [];
for (const kernel of positionals.length > 0 ? positionals : KERNELS) {
  const args = ["kernels", kernel, String(SCALE)];
  let best = Infinity;
  let instructions = 0;
  let output = "";
  for (let n = 0; n < 3; n++) {
    const memory = createGuestRam(ram);
    best = Math.min(
      best,
      seconds(() => {
        const run = runLinux(elf, args, {
          ram: memory,
          ...(values.backend === "jit" ? { compiler: createJit() } : { backend: values.backend as "wasm" | "js" }),
        });
        instructions = run.instructions;
        output = run.stdout;
      }),
    );
  }
  let qemuSeconds = Number.NaN;
  if (withQemu) {
    let expected = "";
    for (let n = 0; n < 3; n++) {
      const time = seconds(() => {
        expected = execFileSync("qemu-riscv64", [binary, ...args.slice(1)]).toString();
      });
      qemuSeconds = n === 0 ? time : Math.min(qemuSeconds, time);
    }
    if (expected !== output) throw new Error(`${kernel}: ${output} instead of ${expected}`);
  }
  const row = {
    kernel,
    instructions,
    mips: instructions / best / 1e6,
    seconds: best,
    qemuSeconds,
    ratio: best / qemuSeconds,
  };
  rows.push(row);
  console.log(
    `${kernel.padEnd(8)} ${row.mips.toFixed(0).padStart(5)} MIPS  ${best.toFixed(3)} s  qemu ${qemuSeconds.toFixed(3)} s  time ratio ${row.ratio.toFixed(2)}`,
  );
}
const geomean = (pick: (row: (typeof rows)[number]) => number): number =>
  Math.exp(rows.reduce((sum, row) => sum + Math.log(pick(row)), 0) / rows.length);
console.log(
  `geomean  ${geomean((row) => row.mips)
    .toFixed(0)
    .padStart(5)} MIPS  time ratio ${geomean((row) => row.ratio).toFixed(2)}`,
);
if (values.json !== undefined)
  writeFileSync(values.json, `${JSON.stringify({ node: process.version, backend: values.backend, rows }, null, 2)}\n`);
rmSync(folder, { recursive: true });
