/**
 * Runs our riscv64 programs under qemu-riscv64's user mode and the host's own tools beside them:
 * the host is the oracle. PATH points nowhere for the guest, so that every tool is ours.
 */
/// <reference types="node" />
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  /** Exit status, or null when a signal ended it. */
  readonly status: number | null;
}

export const packageRoot: string = fileURLToPath(new URL("..", import.meta.url));
export const binary = (name: string): string => join(packageRoot, "bin", name);

const present = (command: string, ...args: string[]): boolean =>
  spawnSync(command, args, { stdio: "ignore" }).error === undefined;

/** Why nothing can run here; undefined when all is there. */
const needed: readonly (readonly [string, ...string[]])[] = [
  ["qemu-riscv64", "--version"],
  ["dash", "-c", ":"],
  ["bash", "-c", ":"],
  ["awk", "BEGIN{}"],
];
const absent: readonly string[] = needed
  .filter(([command, ...args]) => !present(command, ...args))
  .map(([command]) => command);
export const missing: string | undefined = absent.length > 0 ? `not installed: ${absent.join(", ")}` : undefined;
if (missing !== undefined) console.log(`userland: tests that run the programs are skipped: ${missing}`);

const environment = { HOME: "/root", LC_ALL: "C", TZ: "UTC", TERM: "dumb", USER: "root", LOGNAME: "root" };

function run(command: string, args: readonly string[], cwd: string, path: string, input: string): Outcome {
  const done = spawnSync(command, args, {
    cwd,
    input,
    env: { ...environment, PATH: path },
    timeout: 30_000,
    encoding: "latin1",
    maxBuffer: 1 << 26,
  });
  if (done.error) throw done.error;
  return { stdout: done.stdout, stderr: done.stderr, status: done.status };
}

const qemu = (() => {
  const found = spawnSync("sh", ["-c", "command -v qemu-riscv64"], { encoding: "utf8" });
  return (found.stdout ?? "").trim();
})();

/** Runs a guest program with arguments in `cwd`. */
export function guest(
  program: string,
  args: readonly string[],
  options: { cwd?: string; input?: string } = {},
): Outcome {
  return run(qemu, [binary(program), ...args], options.cwd ?? packageRoot, "/nowhere", options.input ?? "");
}

/** Runs `work` in a fresh directory, which is removed afterwards. */
export function inTemporary<T>(work: (cwd: string) => T): T {
  const cwd = mkdtempSync(join(tmpdir(), "case-"));
  try {
    return work(cwd);
  } finally {
    rmSync(cwd, { recursive: true, force: true });
  }
}

/** Our shell on a script, in a fresh directory. */
export const guestShell = (script: string, input = ""): Outcome =>
  inTemporary((cwd) => guest("starrybox", ["sh", "-c", script], { cwd, input }));

/** The host's shell (dash, or bash where a case needs it) on the same script. */
export const hostShell = (script: string, shell = "dash", input = ""): Outcome =>
  inTemporary((cwd) => run(shell, ["-c", script], cwd, "/usr/bin:/bin", input));

/** Our tools of which the host has none of that name to compare with. */
const lacking: readonly string[] =
  missing === undefined
    ? guest("starrybox", ["--list"])
        .stdout.trim()
        .split(/\s+/)
        .filter((tool) => hostShell(`command -v ${tool} >/dev/null`).status !== 0)
    : [];
if (lacking.length > 0)
  console.log(`userland: cases with these are skipped, the host lacks them: ${lacking.join(" ")}`);

/** Why a case cannot run here: it uses a tool that the host lacks, or nothing can run. */
function whySkipped(script: string): string | undefined {
  const words = new Set(script.split(/[^\w[-]+/));
  const tools = lacking.filter((tool) => words.has(tool));
  return tools.length > 0 ? `the host has no ${tools.join(", ")}` : missing;
}

export interface Case {
  readonly file: string;
  readonly name: string;
  readonly shell: string;
  readonly script: string;
  /** Why it cannot be compared here; undefined when it can. */
  readonly skipped: string | undefined;
}

/** Cases of test/cases/*.sh: `### name` starts one, `### bash: name` is compared with bash. */
export function readCases(): Case[] {
  const folder = join(packageRoot, "test/cases");
  return readdirSync(folder)
    .filter((name) => name.endsWith(".sh"))
    .sort()
    .flatMap((file) =>
      readFileSync(join(folder, file), "utf8")
        .split(/^### /m)
        .slice(1)
        .map((text) => {
          const end = text.indexOf("\n");
          const title = text.slice(0, end).trim();
          const bash = title.startsWith("bash: ");
          const script = text.slice(end + 1);
          return {
            file,
            name: bash ? title.slice(6) : title,
            shell: bash ? "bash" : "dash",
            script,
            skipped: whySkipped(script),
          };
        }),
    );
}
