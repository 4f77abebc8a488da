/// <reference types="node" />
/** What the storage benchmarks share: figures, commands with their CPU time, and a tree of files that is the same everywhere. */
import { spawnSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { ImageEntry } from "ext4-fs";

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
 * 24,000 files (about 330 MB) in 1,200 directories, with sizes as a Debian system has them (three quarters up to 4 KiB, a fifth up to 64 KiB), and
 * some symbolic and hard links. `STORAGE_TREE` names a directory to take instead.
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
    const dir = join(path, `top${d % 40}`, `dir${d}`, ...(d % 3 === 0 ? ["deep"] : []));
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
  return path;
}

export interface Walked {
  entries: number;
  files: number;
  bytes: number;
}

/** The entries of a host directory, for `populate`; `walked` counts them. Large files come in pieces of 4 MiB. */
export function* hostEntries(
  root: string,
  walked: Walked,
  path = "",
  links: Map<number, string> = new Map(),
): Generator<ImageEntry> {
  for (const { name } of readdirSync(join(root, path), { withFileTypes: true })) {
    const inner = `${path}/${name}`;
    const full = join(root, inner);
    const st = lstatSync(full);
    const common = {
      path: inner,
      mode: st.mode & 0o7777,
      uid: st.uid,
      gid: st.gid,
      mtime: { sec: Math.floor(st.mtimeMs / 1000), nsec: 0 },
    };
    walked.entries++;
    if (st.isDirectory()) {
      yield { ...common, type: "directory" };
      yield* hostEntries(root, walked, inner, links);
    } else if (st.isSymbolicLink()) {
      yield { ...common, type: "symlink", target: readlinkSync(full) };
    } else if (st.isFile()) {
      const target = st.nlink > 1 ? links.get(st.ino) : undefined;
      if (target !== undefined) {
        yield { ...common, type: "hardlink", target };
        continue;
      }
      if (st.nlink > 1) links.set(st.ino, inner);
      walked.files++;
      walked.bytes += st.size;
      yield { ...common, type: "file", data: st.size > 4 << 20 ? filePieces(full) : readFileSync(full) };
    }
  }
}

function* filePieces(path: string): Generator<Uint8Array> {
  const fd = openSync(path, "r");
  try {
    const piece = new Uint8Array(4 << 20);
    for (let count = readSync(fd, piece); count > 0; count = readSync(fd, piece)) yield piece.subarray(0, count);
  } finally {
    closeSync(fd);
  }
}
