/// <reference types="node" />
/** What the storage benchmarks share: figures, commands with their CPU time, and a tree of files that is the same everywhere. */
import { spawnSync } from "node:child_process";
import { existsSync, linkSync, lstatSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ImageEntry } from "ext4-fs";
import { directoryEntries } from "ext4-fs/node";

export interface Limits {
  readonly min?: number;
  readonly max?: number;
}

/** A line for tools/bench.mjs, which fails the run when a limit is missed. */
export function figure(name: string, value: number, unit: string, limits: Limits = {}): void {
  console.log(JSON.stringify({ name, value: Number(value.toPrecision(4)), unit, ...limits }));
}

/** Seconds: on the clock, and of CPU (user and system). */
export interface Time {
  readonly wall: number;
  readonly cpu: number;
}

/** Runs a command and times it. @throws Error when it fails. */
export function timed(...words: readonly string[]): Time {
  const script = 'TIMEFORMAT="%R %U %S"; { time "$@" >/dev/null 2>&3; } 3>/dev/null';
  const run = spawnSync("bash", ["-c", script, "bash", ...words], { encoding: "utf8" });
  const found = /([\d.]+) ([\d.]+) ([\d.]+)\s*$/.exec(run.stderr);
  if (run.status !== 0 || found === null) throw new Error(`${words.join(" ")}: status ${run.status} ${run.stderr}`);
  return { wall: Number(found[1]), cpu: Number(found[2]) + Number(found[3]) };
}

/** Runs a function and times it. */
export function timeOf(run: () => void): Time {
  const cpu = process.cpuUsage();
  const start = performance.now();
  run();
  const wall = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { wall, cpu: (user + system) / 1e6 };
}

export function has(program: string, ...args: readonly string[]): boolean {
  return spawnSync(program, [...args], { stdio: "ignore" }).error === undefined;
}

/** Bytes that are in use on V8's heap and beside it, after a collection (needs --expose-gc). */
export function liveBytes(): number {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/**
 * About 34,000 files and 440 MB, with sizes as a Debian system has them (three quarters up to 4 KiB, a fifth up to 64 KiB), and some symbolic
 * and hard links: `small` has 24,000 of them in 1,600 directories, `large` the rest in one, as packages' databases have.
 * `STORAGE_TREE` names a directory to take instead.
 */
export function makeTree(path: string): string {
  const given = process.env["STORAGE_TREE"];
  if (given !== undefined) return given;
  if (existsSync(path)) return path;
  let seed = 42;
  const random = (limit: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * limit);
  };
  const noise = new Uint8Array(2 << 20);
  for (let i = 0; i < noise.length; i++) noise[i] = random(256);
  mkdirSync(path);
  for (let d = 0; d < 1200; d++) {
    const dir = join(path, "small", `top${d % 40}`, `dir${d}`, ...(d % 3 === 0 ? ["deep"] : []));
    mkdirSync(dir, { recursive: true });
    for (let i = 0; i < 20; i++) {
      const kind = random(100);
      const size = kind < 76 ? random(4096) : kind < 97 ? random(65536) : random(700_000);
      writeFileSync(join(dir, `file-${i}.dat`), noise.subarray(0, size));
      utimesSync(join(dir, `file-${i}.dat`), 1_600_000_000 + d, 1_600_000_000 + d);
    }
    symlinkSync("file-0.dat", join(dir, "link"));
    if (d % 10 === 0) linkSync(join(dir, "file-1.dat"), join(dir, "hard"));
  }
  mkdirSync(join(path, "large"));
  for (let i = 0; i < 10_000; i++)
    writeFileSync(join(path, "large", `package-${i}.list`), noise.subarray(0, random(4096)));
  return path;
}

export interface Walked {
  entries: number;
  files: number;
  bytes: number;
}

/** Counts the entries of a host directory as they are asked for. */
export function* hostEntries(root: string, walked: Walked): Generator<ImageEntry> {
  for (const entry of directoryEntries(root)) {
    walked.entries++;
    if (entry.type === "file") {
      walked.files++;
      walked.bytes += lstatSync(join(root, entry.path)).size;
    }
    yield entry;
  }
}
