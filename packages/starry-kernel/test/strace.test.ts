/// <reference types="node" />
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { TestMachine } from "./test-machine.ts";
import { attachStrace } from "../src/strace/strace.ts";

function program(name: string): Uint8Array {
  return readFileSync(fileURLToPath(new URL(`../../userland/bin/${name}`, import.meta.url)));
}

function trace(name: string, filter?: string): string[] {
  const lines: string[] = [];
  const machine = new TestMachine();
  machine.addFile("/bin/prog", program(name), 0o755);
  attachStrace(machine.kernel, { write: (line) => lines.push(line), ...(filter === undefined ? {} : { filter }) });
  machine.run(["/bin/prog"]);
  return lines;
}

test("calls are printed with decoded arguments, results and the end of the program", () => {
  const lines = trace("hello");
  expect(lines.some((line) => /write\(1, "Hello from riscv64!\\n", 20\) += 20$/.test(line))).toBe(true);
  expect(lines.at(-2)).toBe("[pid     1] exit_group(0)                           = ?");
  expect(lines.at(-1)).toBe("[pid     1] +++ exited with 0 +++");
});

test("signals, failed calls and children that die of a signal are shown", () => {
  const lines = trace("signals", "kill,wait4,rt_sigaction,clone,%process");
  const text = lines.join("\n");
  expect(text).toMatch(/rt_sigaction\(SIG\w+, \{sa_handler=0x[0-9a-f]+, sa_mask=\[.*\], sa_flags=/);
  expect(text).toMatch(/clone\(.*SIGCHLD.*\) += \d+/);
  expect(text).toContain("--- SIGSEGV {si_signo=SIGSEGV, si_code=1, si_addr=0x8} ---");
  expect(text).toContain("+++ killed by SIGSEGV (core dumped) +++");
  expect(text).toMatch(/WIFSIGNALED\(s\) && WTERMSIG\(s\) == SIGSEGV/);
});

test("a filter takes names and classes, and ! turns it round", () => {
  const only = trace("hello", "%desc");
  expect(only.filter((line) => line.includes("exit_group("))).toEqual([]);
  expect(only.some((line) => line.includes("write("))).toBe(true);
  expect(trace("hello", "!write").some((line) => line.includes("write("))).toBe(false);
});
