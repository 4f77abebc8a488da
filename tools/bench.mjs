/**
 * Runs the benchmarks (`packages/*` and `examples/*`, `bench/*.bench.ts`), prints a table, and writes the figures with the machine's
 * particulars to bench-results/latest.json.
 *
 *   pnpm bench                every benchmark
 *   pnpm bench ext4 rv64      those whose path contains one of the words
 *   pnpm bench cpu            the hart against qemu-riscv64: C kernels, system calls and processes, programs
 *   pnpm bench cpu --rounds 5 each measurement of the cpu benchmarks five times; default 3
 *   pnpm bench --no-limits    report limits that are missed, but exit with 0 (for a busy machine)
 *
 * A benchmark is a program that prints one JSON object a line for each figure: {"name", "value", "unit", "min"?, "max"?}, with "low"
 * and "high" if it is the median of several rounds, and "chart" if it is a time ratio: those of the run are drawn together, as
 * bench-results/WORDS.svg, beside WORDS.json. Other lines are passed through. A figure below `min` or above `max` fails the run, as does an exit status that is not 0.
 * A file that imports vitest is run by vitest instead, and its assertions are the limits.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { ratioChart } from "./bench-chart.mjs";
import { root } from "./toolchain.mjs";

const { values: options, positionals: words } = parseArgs({
  options: { rounds: { type: "string" }, "no-limits": { type: "boolean", default: false } },
  allowPositionals: true,
});
const hasLimits = !options["no-limits"];
const env = options.rounds === undefined ? process.env : { ...process.env, BENCH_ROUNDS: options.rounds };
const figures = [];
const failures = [];

for (const file of benchmarks()) {
  if (words.length > 0 && !words.some((word) => file.includes(word))) continue;
  console.log(`== ${file}`);
  const isVitest = /from "vitest"/.test(readFileSync(join(root, file), "utf8"));
  const [program, args] = isVitest
    ? ["vitest", ["run", "--mode", "bench", file]]
    : [process.execPath, ["--expose-gc", "--no-warnings", "-C", "source", file]];
  const result = spawnSync(program, args, {
    cwd: root,
    env,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    timeout: 600_000 * Number(env["BENCH_ROUNDS"] ?? 3),
    maxBuffer: 1 << 26,
  });
  for (const line of (result.stdout ?? "").split("\n")) {
    const figure = parse(line);
    if (figure === undefined) {
      if (line.trim() !== "") console.log(line);
      continue;
    }
    const missed = figure.value < (figure.min ?? -Infinity) || figure.value > (figure.max ?? Infinity);
    if (missed)
      failures.push(`${figure.name}: ${show(figure.value)} ${figure.unit}, the limit is ${figure.min ?? figure.max}`);
    figures.push({ file, ...figure, ...chartOf(figure, file) });
    const range = figure.low === undefined ? "" : `${show(figure.low)}..${show(figure.high)}`;
    console.log(
      `${figure.name.padEnd(72)} ${show(figure.value).padStart(10)} ${figure.unit.padEnd(6)} ${range.padEnd(18)} ${limits(figure)}${missed ? "  MISSED" : ""}`,
    );
  }
  if (result.status !== 0)
    failures.push(`${file}: ${result.error?.message ?? `exit status ${result.status ?? result.signal}`}`);
}

mkdirSync(join(root, "bench-results"), { recursive: true });
const commit = spawnSync("git", ["rev-parse", "--short", "HEAD"], { cwd: root, encoding: "utf8" }).stdout.trim();
const machine = {
  node: process.version,
  cpu: cpus()[0]?.model,
  cores: cpus().length,
  memory: totalmem(),
  load: loadavg()[0],
};
const date = new Date().toISOString();
const report = `${JSON.stringify({ date, commit, machine, figures, failures }, null, 2)}\n`;
writeFileSync(join(root, "bench-results", "latest.json"), report);
const charted = figures.filter((figure) => figure.chart !== undefined);
if (charted.length > 0) {
  const name = words.length > 0 ? words.join("-") : "all";
  const title = "Time of our machine ÷ time of qemu-riscv64, same binaries, same run (smaller is better)";
  const subtitle = `${machine.cpu}, Node ${machine.node.slice(1)}, ${date.slice(0, 10)}, commit ${commit}; whiskers: lowest and highest round`;
  writeFileSync(join(root, "bench-results", `${name}.svg`), ratioChart(charted, { title, subtitle }));
  writeFileSync(join(root, "bench-results", `${name}.json`), report);
  console.log(`\nchart: bench-results/${name}.svg, figures: bench-results/${name}.json`);
}
console.log(
  `\n${figures.length} figures, ${failures.length} failures${failures.map((failure) => `\n  ${failure}`).join("")}`,
);
process.exit(hasLimits && failures.length > 0 ? 1 : 0);

function benchmarks() {
  return ["packages", "examples"].flatMap((group) =>
    readdirSync(join(root, group))
      .sort()
      .flatMap((name) => list(`${group}/${name}/bench`).filter((file) => /\.bench\.(ts|mjs)$/.test(file))),
  );
}

function list(folder) {
  try {
    return readdirSync(join(root, folder))
      .sort()
      .map((name) => `${folder}/${name}`);
  } catch {
    return []; // most have none
  }
}

function parse(line) {
  if (!line.startsWith("{")) return undefined;
  try {
    const figure = JSON.parse(line);
    return typeof figure.name === "string" && typeof figure.value === "number" ? { unit: "", ...figure } : undefined;
  } catch {
    return undefined;
  }
}

/** The group of a time ratio: what the benchmark says, else its own name. */
function chartOf(figure, file) {
  if (figure.chart !== undefined || figure.low === undefined || !figure.name.includes("time ÷")) return {};
  return {
    chart: basename(file)
      .replace(/\.bench\.\w+$/, "")
      .replace(/^cpu-/, ""),
  };
}

function show(value) {
  return value >= 100 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
}

function limits({ min, max }) {
  return [min === undefined ? "" : `≥ ${show(min)}`, max === undefined ? "" : `≤ ${show(max)}`]
    .filter((text) => text !== "")
    .join(", ");
}
