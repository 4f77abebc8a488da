/// <reference types="node" />
/**
 * What happens when something is wrong: no memory, a bug in the kernel, programs that are none. Each ends in one clear line or the
 * right errno, never in a host exception or a hang. The programs are the committed ones of packages/userland.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  EACCES,
  EHDR_E_MACHINE,
  ELOOP,
  EM_X86_64,
  ENOENT,
  ENOEXEC,
  SYS_exit_group,
  SYS_getppid,
  SYS_write,
} from "linux-abi";
import { expect, test } from "vitest";
import { full, row } from "../src/syscall/row.ts";
import { TestMachine } from "./test-machine.ts";

function program(name: string): Uint8Array {
  return readFileSync(fileURLToPath(new URL(`../../userland/bin/${name}`, import.meta.url)));
}

function machineWith(name: string, ramBytes = 64 * 2 ** 20): TestMachine {
  const machine = new TestMachine({ ramBytes });
  machine.addFile("/bin/prog", program(name), 0o755);
  return machine;
}

test("the machine halts with the exit status of process 1", () => {
  const machine = machineWith("hello");
  expect(machine.run(["/bin/prog"])).toBe(0);
  expect(machine.kernel.halted).toEqual({ reason: "exit", status: 0, message: "init exited with status 0" });
});

test("a program that uses up its stack gets SIGSEGV", () => {
  const machine = machineWith("stack-overflow");
  expect(machine.run(["/bin/prog"])).toBe(139);
  expect(machine.log.join("\n")).toMatch(/unhandled signal 11 code 1 at 0x3f[0-9a-f]+/);
});

test("memory that runs out kills the program with Linux's message", () => {
  const machine = machineWith("touch-memory", 16 * 2 ** 20);
  machine.addFile("/tmp/large", new Uint8Array(8 * 2 ** 20)); // less is free than there is in all
  expect(machine.run(["/bin/prog", "15"])).toBe(137);
  expect(machine.log.join("\n")).toMatch(
    /error: Out of memory: Killed process 1 \(prog\) total-vm:\d+kB, anon-rss:\d+kB/,
  );
});

test("a request that memory could never meet fails in mmap", () => {
  const machine = machineWith("touch-memory", 16 * 2 ** 20);
  expect(machine.run(["/bin/prog", "64"])).not.toBe(0);
  expect(machine.output).toContain("Cannot allocate memory");
});

test("a host exception in a system call is an oops with task, call and registers", () => {
  const machine = machineWith("hello");
  machine.kernel.addSyscalls([
    row(SYS_write, "write", "fd:fd buf:in_buf count:size", full, () => {
      throw new TypeError("a bug of ours");
    }),
  ]);
  machine.run(["/bin/prog"]);
  const log = machine.log.join("\n");
  expect(machine.kernel.halted?.reason).toBe("oops");
  expect(log).toContain("error: Oops: TypeError: a bug of ours");
  expect(log).toContain("task prog[1] of process 1 (/bin/prog)");
  expect(log).toMatch(/in system call write\(0x1, 0x[0-9a-f]+, 0x14/);
  expect(log).toMatch(/ra 0x[0-9a-f]+ {2}sp 0x[0-9a-f]+/);
});

test("an oops of another process than init kills that process only", () => {
  const machine = machineWith("fork-bench");
  const exitGroup = machine.kernel.syscalls.handlers[SYS_exit_group];
  machine.kernel.addSyscalls([
    row(SYS_exit_group, "exit_group", "status:int", full, (task, ...args) => {
      if (task.process.pid !== 1) throw new Error("a bug of ours");
      return exitGroup(task, ...args);
    }),
  ]);
  machine.run(["/bin/prog", "3"]);
  expect(machine.kernel.halted?.reason).toBe("exit");
  expect(machine.log.filter((line) => line.includes("Oops: Error: a bug of ours"))).toHaveLength(1);
});

test("an unknown system call is ENOSYS and named in the log once", () => {
  const machine = machineWith("syscall-bench");
  machine.kernel.syscalls.rows[SYS_getppid] = undefined;
  machine.run(["/bin/prog", "1000"]);
  const lines = machine.log.filter((line) => line.includes("is not implemented"));
  expect(lines).toEqual(["info: prog[1]: system call 173 (getppid) is not implemented"]);
});

function startError(prepare: (machine: TestMachine) => void, path = "/bin/prog"): { error: number; log: string } {
  const machine = new TestMachine();
  prepare(machine);
  const error = machine.kernel.spawnInit({ path, argv: [path], envp: [] });
  expect([...machine.kernel.tasks.tasks()]).toEqual([]);
  return { error, log: machine.log.join("\n") };
}

test("a missing, non-executable or foreign program is refused with the right errno and the reason", () => {
  expect(startError(() => {}).error).toBe(-ENOENT);
  expect(startError((m) => m.addFile("/bin/prog", program("hello"), 0o644)).error).toBe(-EACCES);
  expect(startError((m) => m.mkdir("/bin/prog")).error).toBe(-EACCES);

  const foreign = Uint8Array.from(program("hello"));
  new DataView(foreign.buffer).setUint16(EHDR_E_MACHINE, EM_X86_64, true);
  const refused = startError((m) => m.addFile("/bin/prog", foreign, 0o755));
  expect(refused.error).toBe(-ENOEXEC);
  expect(refused.log).toContain("ELF file for x86-64, not riscv64");

  const half = startError((m) => m.addFile("/bin/prog", program("hello").subarray(0, 3000), 0o755));
  expect(half.error).toBe(-ENOEXEC);
  expect(half.log).toContain("truncated ELF file");

  expect(startError((m) => m.addFile("/bin/prog", "", 0o755)).error).toBe(-ENOEXEC);
  expect(startError((m) => m.addFile("/bin/prog", "#!/bin/prog\n", 0o755)).error).toBe(-ELOOP);
  expect(startError((m) => m.addFile("/bin/prog", "#!/bin/none\n", 0o755)).error).toBe(-ENOENT);
});

test("a program header with any field damaged is refused or runs, and never harms the kernel", () => {
  const good = program("hello");
  for (let at = 4; at < 64 + 56 * 2; at += 3) {
    for (const value of [0, 0xff]) {
      const machine = new TestMachine({ ramBytes: 4 * 2 ** 20 });
      const damaged = Uint8Array.from(good);
      damaged[at] = value;
      machine.addFile("/bin/prog", damaged, 0o755);
      const error = machine.kernel.spawnInit({ path: "/bin/prog", argv: ["/bin/prog"], envp: [] });
      if (error !== 0) continue;
      machine.finish(10_000_000);
      expect(machine.kernel.halted?.reason).toBe("exit");
    }
  }
}, 120_000);

test("a machine with 4 MiB still runs a program", () => {
  const machine = machineWith("hello", 4 * 2 ** 20);
  expect(machine.run(["/bin/prog"])).toBe(0);
});
