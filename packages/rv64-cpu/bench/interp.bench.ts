/// <reference types="node" />
/**
 * Speed of the hart on C kernels, with the MMU on, beside qemu-riscv64 with the same binary where it is installed.
 *
 *   node -C source bench/interp.bench.ts [--backend jit|wasm|js] [--rounds N] [--scale N] [--plain] [--json FILE] [NAME...]
 *
 * A name with a minus is the binary without fused multiply-add. CPU time counts, not the clock, so that a loaded machine
 * disturbs little; a round runs each kernel once here and once under QEMU. V8 has the settings that the `starry` command
 * makes; `--plain` leaves them out.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { createGuestRam } from "../src/index.ts";
import { createJit } from "../src/jit/index.ts";
import { runLinux } from "../test/linux-user.ts";

/**
 * Kernels and what their scale is multiplied by, for about a second under QEMU: warming up should not count for much. The mix
 * runs for ten seconds, as CoreMark has to.
 */
const KERNELS: Readonly<Record<string, number>> = {
  intloop: 2,
  fib: 8,
  fibtree: 10,
  methods: 2,
  vm: 2,
  sieve: 8,
  sha256: 4,
  sort: 1,
  nbody: 2,
  "nbody-": 2,
  matmul: 2,
  "matmul-": 2,
  spectral: 2,
  "spectral-": 2,
  linpack: 1,
  "linpack-": 1,
  copy: 12,
  copy64: 1,
  copy4k: 3,
  copy1m: 3,
  set64: 2,
  set4k: 3,
  set1m: 3,
  stream: 2,
  chase: 5,
  strings: 20,
  atomics: 10,
  mixed: 24,
};
/** After CoreMark: what figures of other emulators can be held against. */
const MIXED = "mixed";
/** The best published CoreMark figure of an emulator for browsers: v86, as RISC-V instructions, on a machine like ours. */
const BEST_PUBLISHED_MIPS = 676;

const { values, positionals } = parseArgs({
  options: {
    json: { type: "string" },
    backend: { type: "string", default: "jit" },
    rounds: { type: "string", default: process.env["BENCH_ROUNDS"] ?? "3" },
    scale: { type: "string", default: "20" },
    plain: { type: "boolean", default: false },
  },
  allowPositionals: true,
});
if (!values.plain) setFlagsFromString("--experimental-wasm-branch-hinting");

const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};
function has(command: string, name: string): boolean {
  try {
    execFileSync(command, ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    say(`${command} is not installed: apt-get install ${name}`);
    return false;
  }
}

/** CPU seconds of this process, the engine's compiler threads included. */
function cpuSeconds(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}
/** Output and CPU seconds of a program. */
function timed(command: string): [string, number] {
  const { stdout, stderr } = spawnSync("bash", ["-c", `TIMEFORMAT="%U %S"; time ${command}`], { encoding: "utf8" });
  const [user, system] = stderr.trim().split(" ").map(Number);
  return [stdout, user + system];
}

/** One run of a kernel on our hart. */
function runKernel(path: string, args: readonly string[], backend: string): Omit<Row, "kernel"> & { output: string } {
  const elf = readFileSync(path);
  const ram = createGuestRam({ size: 64 * 2 ** 20 });
  let output = "";
  let instructions = 0;
  const seconds = cpuSeconds(() => {
    const run = runLinux(elf, ["kernels", ...args], {
      ram,
      ...(backend === "jit" ? { compiler: createJit() } : { backend: backend as "wasm" | "js" }),
    });
    output = run.stdout;
    instructions = run.instructions;
  });
  return { output, instructions, seconds: [seconds], qemuSeconds: [] };
}

interface Row {
  readonly kernel: string;
  readonly instructions: number;
  readonly seconds: number[];
  readonly qemuSeconds: number[];
}

function median(list: readonly number[]): number {
  return [...list].sort((a, b) => a - b)[list.length >> 1];
}

function main(): void {
  if (!has("riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu")) return;
  const withQemu = has("qemu-riscv64", "qemu-user");
  const folder = mkdtempSync(join(tmpdir(), "bench-"));
  const source = new URL("kernels.c", import.meta.url).pathname;
  const build = (name: string, flags: readonly string[]): string => {
    const path = join(folder, name);
    execFileSync("riscv64-linux-gnu-gcc", ["-O2", "-static", ...flags, source, "-o", path]);
    return path;
  };
  const fused = build("kernels", []);
  const unfused = build("kernels-unfused", ["-ffp-contract=off"]);
  const rows: Row[] = [];
  const names = positionals.length > 0 ? positionals : Object.keys(KERNELS);
  for (const kernel of names) rows.push({ kernel, instructions: 0, seconds: [], qemuSeconds: [] });
  for (let round = 0; round < Number(values.rounds); round++) {
    rows.forEach((row, n) => {
      const { kernel } = row;
      const binary = kernel.endsWith("-") ? unfused : fused;
      const args = [kernel.replace("-", ""), String(Number(values.scale) * (KERNELS[kernel] ?? 1))];
      const { output, instructions, seconds: ours } = runKernel(binary, args, values.backend);
      row.seconds.push(...ours);
      rows[n] = { ...row, instructions };
      if (!withQemu) return;
      const [expected, theirs] = timed(`qemu-riscv64 ${binary} ${args.join(" ")}`);
      if (expected !== output) throw new Error(`${kernel}: ${output} instead of ${expected}`);
      row.qemuSeconds.push(theirs);
    });
  }
  const mixed = rows.find(({ kernel }) => kernel === MIXED);
  if (mixed !== undefined) {
    const mips = mixed.instructions / median(mixed.seconds) / 1e6;
    const what = "mix of small programs, after CoreMark";
    say(JSON.stringify({ name: `${what}: instructions per second`, value: mips, unit: "MIPS" }));
    const best = `${what}: ÷ ${BEST_PUBLISHED_MIPS} MIPS, the best published of an emulator for browsers`;
    say(JSON.stringify({ name: best, value: mips / BEST_PUBLISHED_MIPS, unit: "x" }));
    const args = [MIXED, String(Math.ceil(Number(values.scale) / 4))];
    const runs = Array.from({ length: Number(values.rounds) }, () => runKernel(fused, args, "wasm"));
    const interpreted = runs[0].instructions / median(runs.map(({ seconds }) => seconds[0])) / 1e6;
    say(JSON.stringify({ name: `${what}: interpreted`, value: interpreted, unit: "MIPS" }));
  }
  rmSync(folder, { recursive: true });
  const medians: number[] = [];
  const speeds: number[] = [];
  for (const { kernel, instructions, seconds, qemuSeconds } of rows) {
    const ratios = seconds.map((time, n) => time / qemuSeconds[n]).sort((a, b) => a - b);
    const value = median(ratios);
    const mips = instructions / Math.min(...seconds) / 1e6;
    speeds.push(mips);
    let text = `${kernel.padEnd(10)} ${mips.toFixed(0).padStart(5)} MIPS  ${Math.min(...seconds).toFixed(3)} s`;
    if (withQemu) {
      medians.push(value);
      const [low, high] = [ratios[0], ratios[ratios.length - 1]];
      text += `  time / qemu's: ${low.toFixed(2)} / ${value.toFixed(2)} / ${high.toFixed(2)}`;
      say(JSON.stringify({ name: kernel, value, low, high, unit: "x", chart: "C kernels" }));
    }
    say(text);
  }
  const geomean = (list: readonly number[]): number =>
    Math.exp(list.reduce((sum, value) => sum + Math.log(value), 0) / list.length);
  say(
    JSON.stringify({
      name: "C kernels, geometric mean of instructions per second",
      value: geomean(speeds),
      unit: "MIPS",
    }),
  );
  if (withQemu)
    say(
      JSON.stringify({ name: "C kernels, geometric mean of time ÷ qemu-riscv64", value: geomean(medians), unit: "x" }),
    );
  if (values.json !== undefined)
    writeFileSync(values.json, `${JSON.stringify({ node: process.version, ...values, rows }, null, 2)}\n`);
}
main();
