/// <reference types="node" />
// The oracle for the modules that C programs see through several headers: the kernel's own, one set for each module,
// because they cannot all be included at once. Only compiled, so no emulator is needed.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import * as elf from "./elf.ts";
import * as errno from "./errno.ts";
import * as ioctl from "./ioctl.ts";
import * as mount from "./mount.ts";
import * as signal from "./signal.ts";
import * as socket from "./socket.ts";
import * as syscalls from "./syscall-numbers.ts";
import * as termios from "./termios.ts";
import * as time from "./time.ts";

const COMPILER = "riscv64-linux-gnu-gcc";
const UNISTD = "/usr/riscv64-linux-gnu/include/asm-generic/unistd.h";
const hasCompiler = spawnSync(COMPILER, ["--version"]).error === undefined;
if (!hasCompiler) console.log(`skipped: comparison with the kernel's headers needs ${COMPILER}`);

type Constants = Readonly<Record<string, unknown>>;

/** Asserts every constant that the headers define as a macro; returns [how many were, the compiler's complaints]. */
function compare(constants: Constants, headers: readonly string[]): [number, string[]] {
  const ours = Object.entries(constants).filter(([, value]) => typeof value === "number");
  const include = headers.map((header) => `#include <${header}>\n`).join("");
  const count = ours.map(([name]) => `\n#ifdef ${name}\n+1\n#endif`).join("");
  // Bits of equal position are equal constants, whether C calls them signed or not.
  const asserts = ours.map(
    ([name, value]) =>
      `#ifdef ${name}\n_Static_assert((unsigned)(long long)(${name}) == (unsigned)(${value}ll), "${name} is not ${value}");\n#endif\n`,
  );
  const source = `#define _GNU_SOURCE\n${include}const int compared = 0 ${count}\n;\n${asserts.join("")}`;
  const preprocessed = spawnSync(COMPILER, ["-E", "-P", "-x", "c", "-"], { input: source, encoding: "utf8" });
  const compared = /compared = 0([\s+1]*);/.exec(preprocessed.stdout)?.[1]?.match(/1/g)?.length ?? 0;
  const compiled = spawnSync(COMPILER, ["-w", "-fsyntax-only", "-x", "c", "-"], { input: source, encoding: "utf8" });
  return [compared, compiled.stderr.split("\n").filter((line) => line.includes("error:"))];
}

const MODULES: readonly [string, Constants, number, readonly string[]][] = [
  ["errno", errno, 130, ["linux/errno.h"]],
  ["signal", signal, 60, ["asm/signal.h", "asm/siginfo.h"]],
  ["socket", socket, 200, ["sys/socket.h", "linux/in.h", "linux/in6.h", "linux/tcp.h"]],
  ["termios", termios, 100, ["asm/termbits.h"]],
  [
    "ioctl",
    ioctl,
    120,
    [
      "stddef.h",
      "asm/termbits.h",
      "asm/ioctls.h",
      "linux/fs.h",
      "linux/fiemap.h",
      "linux/sockios.h",
      "linux/kd.h",
      "linux/vt.h",
      "linux/rtc.h",
    ],
  ],
  ["mount", mount, 80, ["linux/mount.h", "linux/magic.h"]],
  ["time", time, 12, ["linux/time.h", "linux/timerfd.h"]],
  // EI_PAD: the C library counts EI_ABIVERSION, the kernel does not.
  ["elf", { ...elf, EI_PAD: undefined }, 60, ["linux/elf.h", "linux/auxvec.h", "asm/auxvec.h"]],
];

for (const [name, constants, atLeast, headers] of MODULES) {
  test.skipIf(!hasCompiler)(`${name}: constants equal the kernel's`, () => {
    const [compared, complaints] = compare(constants, headers);
    expect(complaints).toEqual([]);
    expect(compared).toBeGreaterThan(atLeast);
  });
}

/** Rows of the generic table for other machines: 64-bit times for 32-bit machines, old calls, and the end mark. */
const NOT_ON_RISCV64 = /64$|^(renameat|sync_file_range2|arch_specific_syscall|syscalls)$/;

test.skipIf(!existsSync(UNISTD))(
  "every system call of the kernel's table has its number, and no number is used twice",
  () => {
    const text = readFileSync(UNISTD, "utf8");
    const numbers = new Map<string, number>();
    for (const [, name, value] of text.matchAll(/^#define __NR(?:3264)?_(\w+) (\d+)$/gm))
      numbers.set(name!, Number(value));
    expect(numbers.size).toBeGreaterThan(280);
    // The 64-bit names at the end of the file: `#define __NR_fcntl __NR3264_fcntl`.
    const renamed = new Map(
      [...text.matchAll(/^#define __NR_(\w+) __NR3264_(\w+)$/gm)]
        .map(([, name, from]) => [from!, name!] as const)
        .reverse(),
    );
    const ours = new Map(
      Object.entries(syscalls).flatMap(([key, value]) =>
        key.startsWith("SYS_") ? [[key.slice(4), value as number]] : [],
      ),
    );
    const differing: string[] = [];
    for (const [name, number] of numbers) {
      const names = [renamed.get(name) ?? name, name];
      if (NOT_ON_RISCV64.test(name)) continue;
      if (!names.some((candidate) => ours.get(candidate) === number)) differing.push(`${names[0]} ${number}`);
    }
    expect(differing).toEqual([]);
    expect(new Set(ours.values()).size).toBe(ours.size);
  },
);
