/// <reference types="node" />
/**
 * Programs on our machine against the same binaries under qemu-riscv64 (user mode), in the same run: CPU time of the whole
 * process, all its threads and the warm-up included, ÷ qemu's; smaller is better. Of ours the time that the machine needs
 * for `true` is taken off. The time on the clock is shorter, since the engine compiles beside the guest; it is shown too.
 * STARRY_JIT=off measures the interpreter alone.
 *
 *   node -C source bench/cpu-applications.bench.ts [--rounds N] [WORD of a program's name...]
 *
 * The C kernels of rv64-cpu/bench are measured there. Needs qemu-riscv64 and apt-get; says so otherwise.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { BASIC_PACKAGES, debianImage, exportedTree } from "../test/support/images.ts";
import { hasProgram, program } from "../test/support/starry.ts";
import { COMMAND } from "./command.ts";

const { values, positionals: wanted } = parseArgs({
  options: { rounds: { type: "string", default: process.env["BENCH_ROUNDS"] ?? "3" } },
  allowPositionals: true,
});
const ROUNDS = Number(values.rounds);
const PACKAGES = `${BASIC_PACKAGES},zstd`;
/** 2,000 lines of C: 200 functions of 10. */
const C_SOURCE = Array.from({ length: 200 }, (_, i) =>
  [
    `__attribute__((noinline)) int f${i}(int n, const int *p) {`,
    `  int s = ${i};`,
    "  for (int j = 0; j < n; j++) {",
    `    if (p[j] & ${i + 1}) s += p[j] * (j ^ ${i * 7});`,
    `    else s -= p[j] >> ${i % 13};`,
    "  }",
    `  if (s > ${i * 100}) return s / ${i + 3};`,
    `  return ${i === 0 ? "n" : `f${i - 1}(n - 1, p)`};`,
    "}",
    "",
  ].join("\n"),
).join("\n");
/** The scripts, which do their work `times` times. */
const PYTHON = (times: number): string => `
def fib(n):
    return n if n < 2 else fib(n-1) + fib(n-2)
for r in range(${times}):
    d = {}
    for i in range(60000):
        d[str(i)] = i * i + r
    print(fib(20), sum(d.values()), len(sorted(d)))
`;
const PERL = (times: number): string => `
for my $r (1..${times}) {
  my %h;
  for my $i (1..80000) { $h{"k$i"} = $i * 2 + $r; }
  my $s = 0;
  for (sort keys %h) { $s += $h{$_} if /7/; }
  print "$s\\n";
}
`;
const LUA = (times: number): string => `
local function fib(n) if n < 2 then return n end return fib(n-1) + fib(n-2) end
for r = 1, ${times} do
  local t = {}
  for i = 1, 200000 do t[i] = (i * 7919 + r) % 10007 end
  table.sort(t)
  print(fib(24), t[1], t[#t], #table.concat(t, ','))
end
`;
const SQL = (times: number): string =>
  Array.from(
    { length: times },
    (_, r) => `
create table t(a integer primary key, b text);
with recursive c(x) as (select 1 union all select x+1 from c where x<30000) insert into t select x, hex(x*x+${r}) from c;
create index i on t(b);
select count(*), sum(length(b)) from t where b like '3%';
select count(*) from t t1 join t t2 on t1.b = t2.b;
drop table t;
`,
  ).join("");
const SHELL = (count: number): string =>
  `i=0; s=0; while [ $i -lt ${count} ]; do i=$((i+1)); s=$(((s*31+i)%65521)); done; echo $s\n`;

/** The long runs are so many times as long. */
const LONG = 4;
const FILES: Readonly<Record<string, string>> = {
  "b.py": PYTHON(1),
  "long.py": PYTHON(LONG),
  "b.pl": PERL(1),
  "long.pl": PERL(LONG),
  "b.lua": LUA(1),
  "long.lua": LUA(LONG),
  "b.sql": SQL(1),
  "long.sql": SQL(LONG),
  "b.sh": SHELL(40_000),
  "long.sh": SHELL(40_000 * LONG),
  "short.sh": SHELL(10_000),
  "b.c": C_SOURCE,
};
/** Of which means are taken: runs of half a second under QEMU, and longer ones. */
const SHORT_SET = "half a second";
const LONG_SET = "seconds";
/** Name, program below the root, arguments, set; the files above are in the working directory. */
const PROGRAMS: readonly (readonly [name: string, path: string, args: string, set?: string])[] = [
  ["python3 script", "/usr/bin/python3", "-S b.py", SHORT_SET],
  ["python3 start: import json, re, argparse (cold)", "/usr/bin/python3", "-c 'import json,re,argparse'"],
  ["perl script", "/usr/bin/perl", "b.pl", SHORT_SET],
  ["lua script", "/usr/bin/lua5.4", "b.lua", SHORT_SET],
  ["sqlite3", "/usr/bin/sqlite3", "':memory:' '.read b.sql'", SHORT_SET],
  ["gzip -9 of 4 MB", "/usr/bin/busybox", "gzip -c -9 text"],
  ["zstd -3 of 4 MB", "/usr/bin/zstd", "-3 -q -c text", SHORT_SET],
  ["zstd -19 of 256 KB", "/usr/bin/zstd", "-19 -q -c piece", LONG_SET],
  ["sha256sum of 4 MB", "/usr/bin/sha256sum", "text"],
  ["busybox sh loop", "/usr/bin/busybox", "sh b.sh", SHORT_SET],
  ["bash loop", "/usr/bin/bash", "short.sh"],
  ["cc1 -O2 of 2,000 lines (cold)", "CC1", "-quiet -O2 b.c -o b.s"],
  ["python3 script, longer", "/usr/bin/python3", "-S long.py", LONG_SET],
  ["perl script, longer", "/usr/bin/perl", "long.pl", LONG_SET],
  ["lua script, longer", "/usr/bin/lua5.4", "long.lua", LONG_SET],
  ["sqlite3, longer", "/usr/bin/sqlite3", "':memory:' '.read long.sql'", LONG_SET],
  ["busybox sh loop, longer", "/usr/bin/busybox", "sh long.sh", LONG_SET],
];

const image = await debianImage(PACKAGES);
if ("missing" in image || !hasProgram("qemu-riscv64")) {
  console.log(`skipped: ${"missing" in image ? image.missing : "no qemu-riscv64"}`);
  process.exit(0);
}
const tree = await exportedTree(image.path);
const cc1 = (await program("sh", ["-c", `cd ${tree} && ls usr/libexec/gcc/riscv64-linux-gnu/*/cc1`])).stdout.trim();
const folder = mkdtempSync(join(tmpdir(), "starry-bench-"));
for (const [name, text] of Object.entries(FILES)) writeFileSync(join(folder, name), text);
const text = Array.from(
  { length: 60_000 },
  (_, i) => `${i} ${(i * 2654435761) >>> 0} the quick brown fox ${i % 97} jumps over the lazy dog\n`,
).join("");
writeFileSync(join(folder, "text"), text);
writeFileSync(join(folder, "piece"), text.slice(0, 2 ** 18));

const resolved = PROGRAMS.filter(([name]) => wanted.length === 0 || wanted.some((word) => name.includes(word))).map(
  ([name, path, args, set]) => ({ name, path: path === "CC1" ? `/${cc1}` : path, args, set }),
);

interface Run {
  /** CPU of all threads. */
  readonly seconds: number;
  /** On the clock, which a loaded machine disturbs. */
  readonly elapsed: number;
  readonly status: number | null;
  /** Of what it printed. */
  readonly sum: string;
}
/** Runs a shell command line. */
async function measured(command: string): Promise<Run> {
  const script = `TIMEFORMAT='@@ %U %S %R'; time { ${command} >out 2>err; }`;
  const run = await program("bash", ["-c", script], { cwd: folder, timeout: 600_000 });
  const [, user, system, elapsed] = /@@ ([\d.]+) ([\d.]+) ([\d.]+)/.exec(run.stderr) ?? [];
  const sum = (await program("sh", ["-c", "cksum <out"], { cwd: folder })).stdout.trim();
  return { seconds: Number(user) + Number(system), elapsed: Number(elapsed), status: run.status, sum };
}
const quoted = (words: readonly string[]): string =>
  words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
const jit = process.env["STARRY_JIT"] === undefined ? [] : ["--jit", process.env["STARRY_JIT"]];
const machine = quoted([
  process.execPath,
  ...COMMAND,
  "run",
  ...jit,
  "--image",
  image.path,
  "--copy-in",
  `${folder}:/bench`,
  "--cwd",
  "/bench",
  "--",
]);
const idles = [await measured(`${machine} true`), await measured(`${machine} true`)];
const idle = Math.min(...idles.map(({ seconds }) => seconds));
const idleElapsed = Math.min(...idles.map(({ elapsed }) => elapsed));

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1];
console.log(`${"program".padEnd(48)} ${"ours s".padStart(8)} ${"qemu s".padStart(8)}  ratio: min median max; elapsed`);
/** Logarithms of the ratios of CPU time and of time on the clock, by set. */
const logs = new Map<string, { cpu: number[]; elapsed: number[] }>();
for (const { name, path, args, set } of resolved) {
  const qemu: number[] = [];
  const seconds: number[] = [];
  const elapsed: number[] = [];
  let failure = "";
  for (let round = 0; round < ROUNDS; round++) {
    const theirs = await measured(`qemu-riscv64 -L ${tree} ${tree}${path} ${args}`);
    const ours = await measured(`${machine} ${path} ${args}`);
    qemu.push(theirs.seconds);
    seconds.push(ours.seconds - idle);
    elapsed.push((ours.elapsed - idleElapsed) / theirs.elapsed);
    if (ours.status !== 0 || ours.sum !== theirs.sum)
      failure = `status ${ours.status}, output ${ours.sum} against ${theirs.sum}`;
  }
  if (failure !== "") {
    console.log(`${name}: failed (${failure})`);
    process.exitCode = 1;
    continue;
  }
  const reference = median(qemu);
  const ratios = seconds.map((each) => each / reference).sort((a, b) => a - b);
  for (const key of set === undefined ? ["all"] : ["all", set]) {
    const list = logs.get(key) ?? { cpu: [], elapsed: [] };
    list.cpu.push(Math.log(median(ratios)));
    list.elapsed.push(Math.log(median(elapsed)));
    logs.set(key, list);
  }
  const shown = [ratios[0], median(ratios), ratios[ratios.length - 1], median(elapsed)].map((ratio) =>
    ratio.toFixed(2).padStart(6),
  );
  console.log(
    `${name.padEnd(48)} ${median(seconds).toFixed(3).padStart(8)} ${reference.toFixed(3).padStart(8)}  ${shown.join(" ")}`,
  );
  console.log(
    JSON.stringify({
      name,
      value: median(ratios),
      unit: "x",
      low: ratios[0],
      high: ratios[ratios.length - 1],
      chart: "applications",
    }),
  );
}
const mean = (list: readonly number[]): number => Math.exp(list.reduce((a, b) => a + b, 0) / list.length);
/** Limit of what the hart promises for python, perl, sqlite, lua, zstd and a shell loop. */
const LIMIT = 2;
for (const [set, { cpu, elapsed }] of logs) {
  const what = set === "all" ? "applications" : `applications that run for ${set}`;
  console.log(
    JSON.stringify({
      name: `${what}, geometric mean of time ÷ qemu-riscv64`,
      value: mean(cpu),
      unit: "x",
      ...(set === "all" || set === LONG_SET ? { max: LIMIT } : {}),
    }),
  );
  console.log(
    JSON.stringify({
      name: `${what}, geometric mean of elapsed time ÷ qemu-riscv64`,
      value: mean(elapsed),
      unit: "x",
    }),
  );
}
rmSync(folder, { recursive: true });
