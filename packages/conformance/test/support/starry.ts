/// <reference types="node" />
/**
 * The `starry` command as users run it, in a process of its own, on the sources (so that no build is needed).
 *
 *     const run = await starry(["run", "--", "/bin/sh", "-c", "exit 3"]);
 *     run.status; // 3
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's own folder for downloads and images made by tests; not committed. */
export const CACHE: string = fileURLToPath(new URL("../../../../.cache/conformance/", import.meta.url));

const CLI = new URL("../../../starry-machine/src/node/cli/main.ts", import.meta.url).href;
/** What bin/starry.cjs does, on the source file. */
const LAUNCH = `import(${JSON.stringify(CLI)}).then(async (cli) => { process.exitCode = await cli.main(process.argv.slice(1)); })`;

/** Arguments for `node` that make it the starry command; the command's own words follow. */
export const STARRY: readonly string[] = ["--no-warnings", "-C", "source", "-e", LAUNCH, "--"];

export interface Run {
  /** Exit status, or null when a signal ended the process. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly milliseconds: number;
}

export interface RunOptions {
  readonly stdin?: string;
  /** Milliseconds after which the process is killed; default 120,000. */
  readonly timeout?: number;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs the command to its end. */
export function starry(words: readonly string[], options: RunOptions = {}): Promise<Run> {
  return program(process.execPath, [...STARRY, ...words], options);
}

/** The command running, for tests that interfere with it. */
export function startStarry(words: readonly string[]): ChildProcess {
  return spawn(process.execPath, [...STARRY, ...words], { stdio: ["ignore", "pipe", "pipe"] });
}

/** Runs any program to its end; status 127 when it does not exist. */
export function program(path: string, args: readonly string[], options: RunOptions = {}): Promise<Run> {
  return new Promise((resolve) => {
    const start = performance.now();
    const child = spawn(path, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: "pipe",
      timeout: options.timeout ?? 120_000,
      killSignal: "SIGKILL",
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
    child.stdin.on("error", () => {}); // it may end without reading all
    child.stdin.end(options.stdin ?? "");
    const end = (status: number | null, message = ""): void =>
      resolve({
        status,
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString() + message,
        milliseconds: performance.now() - start,
      });
    child.on("error", (error) => end(127, String(error)));
    child.on("close", (status) => end(status));
  });
}

/** Whether the host has a program of this name. */
export function hasProgram(name: string): boolean {
  return spawnSync("/bin/sh", ["-c", 'command -v "$1"', "sh", name]).status === 0;
}

const PATH = `${process.env.PATH ?? ""}:/usr/sbin:/sbin`;

/** e2fsck -fn: its status (0 is clean) and what it said. */
export function e2fsck(image: string): Promise<Run> {
  return program("e2fsck", ["-fn", image], { env: { PATH } });
}

export const hasE2fsck: boolean = spawnSync("e2fsck", ["-V"], { env: { ...process.env, PATH } }).error === undefined;

/** An empty folder below the cache for one test file's images (a tmpfs may be too small for them). */
export function scratch(name: string): string {
  const folder = join(CACHE, "scratch", name);
  mkdirSync(folder, { recursive: true });
  return folder;
}
