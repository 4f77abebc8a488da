/** The programs in programs/ do what they say, as seen by qemu's user mode. */
import { expect, test } from "vitest";
import { statSync } from "node:fs";
import { binary, guest, missing } from "./guest.ts";

const guestTest = test.skipIf(missing !== undefined);

guestTest("hello greets and shows its arguments", () => {
  expect(guest("hello", ["a b"]).stdout).toBe("Hello from riscv64!\nargv[1] = a b\n");
});

guestTest("start-block finds argc, argv, the environment and the auxiliary vector at sp", () => {
  const { stdout, status } = guest("start-block", ["one", "two"]);
  expect(stdout).toMatch(/ one two\nOK\n$/);
  expect(status).toBe(0);
});

guestTest("signals passes all its checks", () => {
  const { stdout, status } = guest("signals", []);
  expect(stdout).not.toContain("FAILED");
  expect(status).toBe(0);
});

guestTest("threads counts right under contention", () => {
  expect(guest("threads", ["8"]).stdout).toMatch(/^8 threads, counter 16000 of 16000, \d+ ms: OK\n$/);
});

guestTest("stack-overflow dies, or handles it on an alternate stack", () => {
  expect(guest("stack-overflow", []).status).not.toBe(0);
  const handled = guest("stack-overflow", ["handled"]);
  expect(handled.stdout).toContain("stack overflow caught: signal 11");
  expect(handled.status).toBe(42);
});

for (const name of ["fork-bench", "pipe-bench", "syscall-bench", "mips", "touch-memory"]) {
  guestTest(`${name} reports a figure`, () => {
    const { stdout, status } = guest(name, ["4"]);
    expect(stdout).toMatch(/\d+ (ns each|MIPS|MiB\/s)/);
    expect(status).toBe(0);
  });
}

test("the binaries are small", () => {
  expect(statSync(binary("starrybox")).size).toBeLessThan(300_000);
  for (const name of ["hello", "start-block", "signals", "threads"])
    expect(statSync(binary(name)).size).toBeLessThan(20_000);
});
