/// <reference types="node" />
// The oracle: the same names, compiled against the C library's and the kernel's headers for riscv64.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import * as fcntl from "./fcntl.ts";
import * as mman from "./mman.ts";
import * as poll from "./poll.ts";
import * as sched from "./sched.ts";
import * as syscalls from "./syscall-numbers.ts";

const COMPILER = "riscv64-linux-gnu-gcc";
const missing = (
  [
    [COMPILER, "--version"],
    ["qemu-riscv64", "--version"],
  ] as const
)
  .filter(([program, flag]) => spawnSync(program, [flag]).error !== undefined)
  .map(([program]) => program);
if (missing.length > 0) console.log(`skipped: header comparison needs ${missing.join(", ")}`);

const HEADERS = [
  "errno.h",
  "fcntl.h",
  "linux/fs.h",
  "linux/falloc.h",
  "linux/stat.h",
  "linux/mman.h",
  "poll.h",
  "sys/epoll.h",
  "linux/sched.h",
  "linux/futex.h",
  "linux/prctl.h",
  "sys/syscall.h",
];

test.skipIf(missing.length > 0)("constants equal those of the riscv64 headers", () => {
  // The C library says 0 for O_LARGEFILE on 64-bit machines; fcntl(F_GETFL) shows the kernel's bit.
  const { O_LARGEFILE: _, ...flags } = fcntl;
  const ours = new Map(
    Object.entries({ ...flags, ...mman, ...poll, ...sched, ...syscalls }).filter(
      ([, value]) => typeof value === "number",
    ),
  );
  const folder = mkdtempSync(join(tmpdir(), "abi-"));
  try {
    const lines = [...ours.keys()].map(
      (name) => `#ifdef ${name}\nprintf("${name} %lld\\n", (long long)(${name}));\n#endif`,
    );
    const source = `#define _GNU_SOURCE\n#include <stdio.h>\n${HEADERS.map((h) => `#include <${h}>`).join("\n")}\nint main(void){\n${lines.join("\n")}\nreturn 0;}\n`;
    writeFileSync(join(folder, "c.c"), source);
    const compiled = spawnSync(COMPILER, ["-w", "-static", "c.c", "-o", "c"], { cwd: folder, encoding: "utf8" });
    expect(compiled.stderr).toBe("");
    const out = spawnSync("qemu-riscv64", ["./c"], { cwd: folder, encoding: "utf8" }).stdout.trim().split("\n");
    expect(out.length).toBeGreaterThan(600);
    const different = out.map((line) => line.split(" ")).filter(([name, value]) => ours.get(name) !== Number(value));
    expect(different).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
