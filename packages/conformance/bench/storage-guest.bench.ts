/// <reference types="node" />
/**
 * Storage as programs see it: storage.c in our machine, and the same program natively on fuse2fs and on a loop mount of the host's
 * kernel, each on an image of its own, in the same run. Rounds alternate; the best of each counts.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { hasProgram, program, starry } from "../test/support/starry.ts";

const ROUNDS = 2;
const FILES = 10_000;
const MIB = 128;
const CROSS = "riscv64-linux-gnu-gcc";
/** Ours divided by fuse2fs's, at least. */
const LIMITS: Readonly<Record<string, number>> = { "create + write 4 KiB + close": 2 };
/** MiB a second in the guest, at least. */
const FLOORS: Readonly<Record<string, number>> = {
  "sequential read from the page cache": 1000,
  "sequential read after fadvise(DONTNEED)": 500,
};

for (const [name, packageName] of [
  [CROSS, "gcc-riscv64-linux-gnu"],
  ["gcc", "gcc"],
  ["mke2fs", "e2fsprogs"],
  ["fuse2fs", "fuse2fs"],
] as const)
  if (!hasProgram(name)) console.log(`${name} is missing (Debian: apt-get install ${packageName})`);
if (!hasProgram(CROSS) || !hasProgram("mke2fs")) process.exit(0);

const folder = mkdtempSync(join(process.env["STORAGE_TMP"] ?? tmpdir(), "storage-guest-"));
const source = fileURLToPath(new URL("storage.c", import.meta.url));

async function compile(compiler: string, output: string, ...more: string[]): Promise<string> {
  const built = await program(compiler, ["-O2", ...more, "-o", output, source]);
  if (built.status !== 0) throw new Error(built.stderr);
  return output;
}

/** An empty image of 1 GiB, or one with `root` in it. */
async function image(name: string, root?: string): Promise<string> {
  const path = join(folder, name);
  rmSync(path, { force: true });
  writeFileSync(path, "");
  truncateSync(path, 1 << 30);
  const made = await program("mke2fs", ["-q", "-F", "-t", "ext4", ...(root === undefined ? [] : ["-d", root]), path]);
  if (made.status !== 0) throw new Error(made.stderr);
  return path;
}

type Rates = Map<string, { value: number; unit: string }>;

function collect(into: Rates, output: string): void {
  for (const [, name, value, unit] of output.matchAll(/^(.*): ([\d.]+) (\S+\/s)$/gm)) {
    if (Number(value) > (into.get(name)?.value ?? 0)) into.set(name, { value: Number(value), unit });
  }
}

async function guest(rates: Rates, binary: string, jit: string): Promise<void> {
  const root = join(folder, "root");
  for (const dir of ["proc", "sys", "dev", "tmp", "work"]) mkdirSync(join(root, dir), { recursive: true });
  spawnSync("cp", [binary, join(root, "storage")]);
  const disk = await image("guest.img", root);
  const words = [
    "run",
    "--image",
    disk,
    "--persist",
    "--jit",
    jit,
    "--",
    "/storage",
    "/work",
    String(FILES),
    String(MIB),
  ];
  const run = await starry(words, { timeout: 600_000 });
  if (run.status !== 0) throw new Error(`status ${run.status}\n${run.stdout}${run.stderr}`);
  collect(rates, run.stdout);
  const fsck = spawnSync("e2fsck", ["-fn", disk], { encoding: "utf8" });
  if (fsck.status !== 0) throw new Error(`e2fsck of the guest's disk: ${fsck.stdout}`);
}

/** Mounts, runs, unmounts; the reason when mounting is not possible here. */
async function native(
  rates: Rates,
  binary: string,
  mount: (disk: string, at: string) => Promise<string>,
): Promise<string> {
  const disk = await image("native.img");
  const at = join(folder, "mnt");
  mkdirSync(at, { recursive: true });
  const reason = await mount(disk, at);
  if (reason !== "") return reason;
  try {
    const run = await program(binary, [at, String(FILES), String(MIB)], { timeout: 600_000 });
    if (run.status !== 0) throw new Error(`${run.stdout}${run.stderr}`);
    collect(rates, run.stdout);
  } finally {
    spawnSync("umount", [at]);
  }
  return "";
}

async function fuse(disk: string, at: string): Promise<string> {
  if (!existsSync("/dev/fuse")) return "no /dev/fuse";
  const device = statSync(at).dev;
  const child = spawn("fuse2fs", ["-f", "-o", "fakeroot", disk, at], { stdio: "ignore" });
  for (let i = 0; i < 100; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    if (statSync(at).dev !== device) return "";
    if (child.exitCode !== null) break;
  }
  child.kill();
  return "fuse2fs could not mount";
}

async function loop(disk: string, at: string): Promise<string> {
  const mounted = await program("mount", ["-o", "loop", disk, at]);
  return mounted.status === 0 ? "" : "loop mounts are not allowed here";
}

const ours: Rates = new Map();
const interpreted: Rates = new Map();
const fuse2fs: Rates = new Map();
const kernel: Rates = new Map();
try {
  const cross = await compile(CROSS, join(folder, "storage-riscv64"), "-static");
  const host = hasProgram("gcc") ? await compile("gcc", join(folder, "storage-host")) : "";
  const skipped = new Set<string>();
  for (let round = 0; round < ROUNDS; round++) {
    await guest(ours, cross, "on");
    if (round === 0) await guest(interpreted, cross, "off");
    if (host === "") continue;
    if (hasProgram("fuse2fs")) skipped.add(await native(fuse2fs, host, fuse));
    skipped.add(await native(kernel, host, loop));
  }
  for (const reason of skipped) if (reason !== "") console.log(`not compared: ${reason}`);
} finally {
  rmSync(folder, { recursive: true });
}

for (const [name, { value, unit }] of ours) {
  const min = FLOORS[name];
  console.log(JSON.stringify({ name: `guest: ${name}`, value, unit, ...(min === undefined ? {} : { min }) }));
  const slow = interpreted.get(name);
  if (slow !== undefined) console.log(JSON.stringify({ name: `guest, JIT off: ${name}`, value: slow.value, unit }));
  for (const [peer, rates] of [
    ["fuse2fs", fuse2fs],
    ["kernel, loop mount", kernel],
  ] as const) {
    const theirs = rates.get(name);
    if (theirs === undefined) continue;
    console.log(JSON.stringify({ name: `${peer}: ${name}`, value: theirs.value, unit }));
    const limit = peer === "fuse2fs" ? LIMITS[name] : undefined;
    const ratio = Number((value / theirs.value).toPrecision(3));
    console.log(
      JSON.stringify({
        name: `guest ÷ ${peer}: ${name}`,
        value: ratio,
        unit: "x",
        ...(limit === undefined ? {} : { min: limit }),
      }),
    );
  }
}
