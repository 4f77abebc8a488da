/// <reference types="node" />
/**
 * System calls and processes: nanoseconds of each operation of border.c on our machine, and beside qemu-riscv64 (user mode) with
 * the same static binary in the same run. Each round is a process of its own on both sides, so warm-up counts.
 *
 * The limits are the project's own; `pnpm bench --no-limits` for a busy machine.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { hasProgram, program, starry } from "../test/support/starry.ts";

const ROUNDS = Number(process.env["BENCH_ROUNDS"] ?? "3");
const COMPILER = "riscv64-linux-gnu-gcc";
const QEMU = "qemu-riscv64";
/** Nanoseconds. */
const LIMITS: Readonly<Record<string, number>> = {
  "null system call": 250,
  clock_gettime: 150,
  "pipe round trip between processes": 6_000,
  "fork + wait": 800_000,
  "fork + exec + wait, static program": 3_000_000,
};

for (const [name, packageName] of [
  [COMPILER, "gcc-riscv64-linux-gnu"],
  [QEMU, "qemu-user"],
] as const) {
  if (!hasProgram(name)) console.log(`${name} is missing (Debian: apt-get install ${packageName})`);
}
if (!hasProgram(COMPILER)) process.exit(0);

const folder = mkdtempSync(join(tmpdir(), "starry-border-"));
const binary = join(folder, "border");
const source = fileURLToPath(new URL("border.c", import.meta.url));
const built = await program(COMPILER, ["-O2", "-static", "-pthread", "-o", binary, source]);
if (built.status !== 0) throw new Error(built.stderr);

const ours = new Map<string, number[]>();
const theirs = new Map<string, number[]>();

function collect(into: Map<string, number[]>, output: string): void {
  for (const [, name, value] of output.matchAll(/^(.*): ([\d.]+) ns$/gm))
    into.set(name, [...(into.get(name) ?? []), Number(value)]);
}

const which = hasProgram(QEMU) ? (await program("sh", ["-c", `command -v ${QEMU}`])).stdout.trim() : "";
for (let round = 0; round < ROUNDS; round++) {
  const run = await starry(["run", binary], { timeout: 300_000 });
  if (run.status !== 0) throw new Error(`status ${run.status}\n${run.stdout}${run.stderr}`);
  collect(ours, run.stdout);
  if (which === "") continue;
  const reference = await program(QEMU, [binary], { timeout: 300_000, env: { RUNNER: which } });
  if (reference.status !== 0) throw new Error(`${QEMU}: status ${reference.status}\n${reference.stderr}`);
  collect(theirs, reference.stdout);
}
rmSync(folder, { recursive: true });

const sorted = (values: readonly number[]): number[] => [...values].sort((a, b) => a - b);
const median = (values: readonly number[]): number => sorted(values)[values.length >> 1];
const logs: number[] = [];
for (const [name, values] of ours) {
  const max = LIMITS[name];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  console.log(JSON.stringify({ name, value: median(values), unit: "ns", low, high, ...(max && { max }) }));
  const reference = theirs.get(name);
  if (reference === undefined) continue;
  const ratios = sorted(values.map((value) => value / median(reference)));
  const chart = "system calls and processes";
  logs.push(Math.log(median(ratios)));
  const ratio = { value: median(ratios), low: ratios[0], high: ratios[ratios.length - 1] };
  console.log(JSON.stringify({ name: `${name}, time ÷ ${QEMU}`, unit: "x", chart, ...ratio }));
}
if (logs.length > 0) {
  const value = Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length);
  console.log(
    JSON.stringify({ name: `system calls and processes, geometric mean of time ÷ ${QEMU}`, value, unit: "x" }),
  );
}
