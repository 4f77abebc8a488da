/// <reference types="node" />
/**
 * Shell snippets run twice: on our machine, and by the same riscv64 binaries under qemu-user on the host's kernel.
 *
 * Under qemu the shell's children are wrappers on the host (see qemuPath), so pipelines work there as well.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportedTree, qemuPath } from "./images.ts";
import { program, scratch, starry } from "./starry.ts";

export interface Case {
  readonly name: string;
  /** Runs in an empty folder that holds `data`. */
  readonly script: string;
  /** What it must print. Default: what it prints under qemu-riscv64. */
  readonly expect?: RegExp | string;
}

const DATA = "banana 3 yellow\napple 10 red\ncherry 7 red\ndate 1 brown\nelder 22 black\n";
const MARK = "@@case";
const ENVIRONMENT = { LANG: "C.UTF-8", LC_ALL: "C.UTF-8", TZ: "UTC", TERM: "dumb", HOME: "." };

/** Runs all cases in one machine. */
export async function runAll(image: string, cases: readonly Case[], name: string): Promise<Map<string, string>> {
  const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
  const script = [
    ...Object.entries(ENVIRONMENT).map(([key, value]) => `export ${key}=${value}`),
    ...cases.map(
      (each, i) =>
        `mkdir -p /tmp/c${i} && cd /tmp/c${i} && printf %s ${quote(DATA)} >data; echo "${MARK}"; ` +
        `timeout 120 bash -c ${quote(each.script)} </dev/null 2>&1; echo "status $?"`,
    ),
  ].join("\n");
  const path = join(scratch("programs"), `${name}.sh`);
  writeFileSync(path, `${script}\n`);
  const run = await starry(["run", "--image", image, "--copy-in", `${path}:/cases.sh`, "--", "bash", "/cases.sh"], {
    timeout: 1_500_000,
  });
  const parts = run.stdout.split(`${MARK}\n`).slice(1);
  return new Map(
    cases.map((each, i) => [each.name, parts[i] ?? `the machine ended before (status ${run.status})\n${run.stderr}`]),
  );
}

/** Runs one case under qemu-user. */
export async function runUnderQemu(image: string, each: Case): Promise<string> {
  const tree = await exportedTree(image);
  const wrappers = qemuPath(tree, "qemu-riscv64");
  const folder = mkdtempSync(join(tmpdir(), "starry-case-"));
  try {
    writeFileSync(join(folder, "data"), DATA);
    const run = await program("qemu-riscv64", ["-L", tree, `${tree}/usr/bin/bash`, "-c", `exec 2>&1; ${each.script}`], {
      cwd: folder,
      env: { ...ENVIRONMENT, PATH: `${wrappers}:${process.env.PATH ?? ""}` },
    });
    return `${run.stdout}${run.stderr}status ${run.status}\n`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
