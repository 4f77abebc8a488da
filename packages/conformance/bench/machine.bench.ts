/// <reference types="node" />
/**
 * The whole machine's floors: how fast it starts, what a system call costs, how much memory a shell takes. One JSON line
 * a figure (see tools/bench.mjs). Uses the built command (bin/starry.cjs) when there is one, as users do.
 */
import { spawn, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { COMMAND } from "./command.ts";

const userland = (name: string): string => fileURLToPath(new URL(`../../userland/bin/${name}`, import.meta.url));

interface Limits {
  readonly min?: number;
  readonly max?: number;
}

function figure(name: string, value: number, unit: string, limits: Limits = {}): void {
  console.log(JSON.stringify({ name, value, unit, ...limits }));
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1];

function milliseconds(args: readonly string[]): number {
  const start = performance.now();
  const { status, stderr } = spawnSync(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
  if (status !== 0) throw new Error(`${args.join(" ")}: status ${status}\n${stderr}`);
  return performance.now() - start;
}

function starry(...words: string[]): { stdout: string; stderr: string } {
  const run = spawnSync(process.execPath, [...COMMAND, ...words], { encoding: "utf8", input: "" });
  if (run.status !== 0) throw new Error(`starry ${words.join(" ")}: status ${run.status}\n${run.stderr}`);
  return run;
}

// Start: alternating, so that a busy moment of the host hits both.
const bare: number[] = [];
const hello: number[] = [];
for (let i = 0; i < 7; i++) {
  bare.push(milliseconds(["-e", "0"]));
  hello.push(milliseconds([...COMMAND, "run", userland("hello")]));
}
figure("starry run hello, above node -e 0", median(hello) - median(bare), "ms", { max: 250 });

/** From the start of the process to the shell's prompt. */
function bootToPrompt(): Promise<number> {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const child = spawn(process.execPath, [...COMMAND, "boot"], { stdio: ["pipe", "pipe", "inherit"] });
    let output = "";
    const timer = setTimeout(() => child.kill("SIGKILL"), 60_000);
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      if (!/[#$] $/.test(output)) return;
      resolve(performance.now() - start);
      clearTimeout(timer);
      child.kill("SIGKILL");
    });
    child.on("close", () => reject(new Error(`no prompt:\n${output}`)));
  });
}
const boots: number[] = [];
for (let i = 0; i < 5; i++) boots.push(await bootToPrompt());
figure("boot to prompt", median(boots), "ms", { max: 700 });

/** The number before `unit` in what a benchmark program prints: the least of three runs. */
function best(program: string, pattern: RegExp): number {
  const values = [0, 1, 2].map(() => Number(pattern.exec(starry("run", userland(program)).stdout)?.[1]));
  return Math.min(...values);
}
figure("null system call", best("syscall-bench", /getppid: .* (\d+) ns each/) / 1000, "µs", { max: 1 });
figure("fork+exit+wait", best("fork-bench", /fork.* (\d+) ns each/) / 1000, "µs");
figure("pipe round trip between two processes", best("pipe-bench", /round trip: .* (\d+) ns each/) / 1000, "µs");

const { stderr } = starry(
  "run",
  "--mem",
  "512M",
  "--stats",
  "--",
  "sh",
  "-c",
  "ls -l / | wc -l; cat /proc/meminfo | head -1",
);
const { peakRssBytes } = JSON.parse(stderr.trim().split("\n").pop() ?? "{}") as { peakRssBytes: number };
figure("resident memory of a shell with --mem 512M", peakRssBytes / 2 ** 20, "MiB", { max: 250 });
