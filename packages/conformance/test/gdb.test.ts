/// <reference types="node" />
/**
 * Debian's gdb-multiarch against `starry run --gdb`, driven by scripts: what it prints is what is checked. The programs are
 * compiled here; without gdb or a cross compiler the tests are skipped.
 */
import { spawn } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hasProgram, program, STARRY, scratch } from "./support/starry.ts";

const GDB = "gdb-multiarch";
const COMPILER = "riscv64-linux-gnu-gcc";
const missing = [GDB, COMPILER].filter((name) => !hasProgram(name));
const TIMEOUT = 60_000;

const folder = scratch("gdb");
const source = (name: string) => fileURLToPath(new URL(`programs/${name}.c`, import.meta.url));
const built = (name: string) => join(folder, name);

beforeAll(async () => {
  if (missing.length > 0) return;
  for (const name of ["gdb-sample", "gdb-threads", "gdb-loop"]) {
    const done = await program(COMPILER, ["-g", "-O0", "-static", "-pthread", "-o", built(name), source(name)]);
    if (done.status !== 0) throw new Error(done.stderr);
  }
}, TIMEOUT);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Debugged {
  /** What gdb printed. */
  readonly gdb: string;
  /** The command's exit status and output. */
  readonly status: number | null;
  readonly stdout: string;
}

/** Runs a program that waits for gdb, and gdb with a script. */
async function debug(
  words: readonly string[],
  script: string,
  options: readonly string[] = ["--gdb-wait"],
): Promise<Debugged> {
  const port = await freePort();
  const machine = spawn(process.execPath, [
    ...STARRY,
    "run",
    "--gdb",
    String(port),
    "--timeout",
    "50",
    ...options,
    "--",
    ...words,
  ]);
  let stdout = "";
  machine.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk;
  });
  const ended = new Promise<number | null>((resolve) => machine.on("close", resolve));
  await new Promise<void>((resolve) => {
    machine.stderr.on("data", (chunk: Buffer) => String(chunk).includes("target remote") && resolve());
    machine.on("close", () => resolve());
  });
  const file = join(folder, `${port}.gdb`);
  const preamble = `set pagination off\nset confirm off\nset width 0\nset debuginfod enabled off\ntarget remote :${port}\n`;
  writeFileSync(file, preamble + script.replaceAll("$port", String(port)));
  const gdb = await program(GDB, ["-q", "-nx", "-batch", "-x", file], { timeout: TIMEOUT });
  return { gdb: gdb.stdout + gdb.stderr, status: await ended, stdout };
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

/** A gdb command that sends ^C a moment later, while the next command runs. */
const interruptSoon = `python
import os, signal, threading
threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
end
`;

const title = missing.length === 0 ? "gdb" : `gdb (skipped: no ${missing.join(", ")})`;
describe.skipIf(missing.length > 0)(title, { timeout: TIMEOUT }, () => {
  test("finds the program by itself, breaks, steps, shows arguments, registers and memory, and sees the exit status", async () => {
    const { gdb, status, stdout } = await debug(
      [built("gdb-sample")],
      `break main
continue
print $pc == (long)&main || $pc > (long)&main
x/s message
break add
continue
backtrace
info args
step
next
finish
info registers pc sp fcsr
print ratio
p $fs0
set var counter = 40
delete
handle SIGUSR1 nostop noprint
continue
`,
    );
    expect(gdb).toMatch(/Reading symbols from target:\/run\/host-programs\/gdb-sample/);
    expect(gdb).toMatch(/Breakpoint 1, main \(argc=1, argv=0x[0-9a-f]+\)/);
    expect(gdb).toContain('"watch me"');
    expect(gdb).toMatch(/Breakpoint 2, add \(a=0, b=0\)/);
    expect(gdb).toMatch(/#0 {2}add \(a=0, b=0\).*\n#1 {2}0x[0-9a-f]+ in main/);
    expect(gdb).toContain("return sum;");
    expect(gdb).toMatch(/Value returned is \$\d+ = 0/);
    expect(gdb).toMatch(/^pc +0x[0-9a-f]+\t0x[0-9a-f]+ <main\+\d+>$/m);
    expect(gdb).toMatch(/^sp +0x3f[0-9a-f]+/m);
    expect(gdb).toMatch(/^fcsr +0x0/m);
    expect(gdb).toMatch(/\$\d+ = 0\.5$/m);
    expect(gdb).toContain("exited with code 07");
    expect({ status, stdout }).toEqual({ status: 7, stdout: "watch me 103 1\n" });
  });

  test("watchpoints stop after the store, the load, or either, with old and new value", async () => {
    const { gdb } = await debug(
      [built("gdb-sample")],
      `break main
continue
watch counter
continue
continue
delete
rwatch message[0]
handle SIGUSR1 nostop noprint
continue
info watchpoints
kill
`,
    );
    expect(gdb).toMatch(/Hardware watchpoint 2: counter\n\nOld value = 0\nNew value = 1\n/);
    expect(gdb).toMatch(/Hardware watchpoint 2: counter\n\nOld value = 1\nNew value = 3\n/);
    expect(gdb).toMatch(/Hardware read watchpoint 3: message\[0\]\n\nValue = 119 'w'\n/);
    expect(gdb).toContain("killed]");
  });

  test("signals stop the program; it gets them, or not, as the user says; $_siginfo tells more", async () => {
    const script = (command: string) => `continue
p $_siginfo.si_signo
backtrace 2
${command}
`;
    const passed = await debug([built("gdb-sample")], script("continue"));
    expect(passed.gdb).toContain("Program received signal SIGUSR1");
    expect(passed.gdb).toContain("$1 = 10");
    expect(passed.stdout).toBe("watch me 103 1\n");
    const dropped = await debug([built("gdb-sample")], script("signal 0"));
    expect(dropped.stdout).toBe("watch me 3 1\n");
  });

  test("the user calls functions of the program", async () => {
    const { gdb, stdout } = await debug(
      [built("gdb-sample")],
      "break main\ncontinue\nprint add(20, 22)\nset var message[0] = 'W'\nhandle SIGUSR1 nostop noprint\ncontinue\n",
    );
    expect(gdb).toContain("$1 = 42");
    expect(stdout).toBe("Watch me 103 1\n");
  });

  test("threads are tasks: listed, chosen, stepped through atomic loops, run alone; a child of fork is left alone", async () => {
    const { gdb, status, stdout } = await debug(
      [built("gdb-threads")],
      `break worker
continue
info threads
thread 1
backtrace -3
delete
break add_atomically
continue
delete
python
for n in range(8):
    gdb.execute("stepi", to_string=True)
end
next
set scheduler-locking on
finish
set scheduler-locking off
watch total
continue
delete
break _exit
monitor ps
continue
continue
`,
    );
    const listed = gdb.match(/^[* ] +\d+ +Thread 1\.\d+ "gdb-threads"/gm) ?? [];
    expect(listed).toHaveLength(4);
    expect(gdb).toMatch(/^#\d +0x[0-9a-f]+ in main \(\)/m);
    const steps = gdb.match(/^0x[0-9a-f]+\t12/gm) ?? [];
    expect(steps).toHaveLength(new Set(steps).size); // none of them went round the loop
    expect(gdb).toMatch(/Hardware watchpoint \d+: total\n\nOld value = \d+\nNew value = \d+/);
    expect(gdb).toMatch(/^\* +1 +0 +\d gdb-threads$/m);
    expect(gdb).toContain("exited normally");
    expect({ status, stdout }).toEqual({ status: 0, stdout: "total 600 status 89\n" });
  });

  test.each([
    ["an endless loop", []],
    ["a sleep", ["x"]],
  ])("^C stops %s; detached, the program goes on", async (_name, args) => {
    const { gdb, status } = await debug(
      [built("gdb-loop"), ...args],
      `${interruptSoon}continue
backtrace
${args.length === 0 ? "print spins > 1000\nset var quiet = 1\n" : "kill\n"}detach
`,
    );
    expect(gdb).toContain("Program received signal SIGINT");
    expect(gdb).toMatch(/main \(argc=[12]/);
    if (args.length > 0) expect(status).toBe(137);
    else {
      expect(gdb).toContain("$1 = 1");
      expect(status).toBe(9);
    }
  });

  test("gdb comes and goes while the program runs; --jit on changes nothing", async () => {
    const { gdb, status } = await debug(
      [built("gdb-loop")],
      `info threads
break *$pc
continue
print spins > 0
delete
set var quiet = 1
disconnect
`,
      ["--jit", "on"],
    );
    expect(gdb).toMatch(/\* 1 +Thread 1\.1 "gdb-loop"/);
    expect(gdb).toContain("$1 = 1");
    expect(status).toBe(9);
  });

  test("an execve is reported, and breakpoints are set in the new program", async () => {
    const { gdb, status } = await debug(
      ["/bin/sh", "-c", "exec /bin/echo done"],
      "catch exec\ncontinue\ninfo inferiors\ncontinue\n",
    );
    expect(gdb).toMatch(/Catchpoint 1 \(exec'd \/bin\/echo\)/);
    expect(gdb).toContain("exited normally");
    expect(status).toBe(0);
  });

  test("another process is attached to, and killed", async () => {
    const { gdb, status, stdout } = await debug(
      ["/bin/sh", "-c", "sleep 1000 & wait $!; echo ended $?; exit 4"],
      `disconnect
shell sleep 1
target extended-remote :$port
monitor ps
detach
attach 2
print $a7
kill
`,
      [],
    );
    expect(gdb).toMatch(/^ {4}2 +1 +1 sleep$/m);
    expect(gdb).toMatch(/\$1 = (101|115)$/m);
    expect({ status, stdout }).toEqual({ status: 4, stdout: "ended 137\n" });
  });

  test("the vDSO has symbols, and backtraces pass it and signal handlers", async () => {
    const { gdb } = await debug(
      [built("gdb-sample")],
      `break on_usr1
handle SIGUSR1 nostop noprint pass
continue
backtrace
info symbol __vdso_clock_gettime
info symbol $ra
kill
`,
    );
    expect(gdb).toMatch(/#0 +on_usr1 .*\n#1 +<signal handler called>\n(#\d+ .*\n)*#\d+ .*main \(/);
    expect(gdb).toContain("__vdso_clock_gettime in section .text of system-supplied DSO");
    expect(gdb).toMatch(/^__vdso_rt_sigreturn in section \.text/m);
  });

  test("monitor commands", async () => {
    const { gdb, status } = await debug(
      [built("gdb-loop")],
      "monitor help\nmonitor explain\nmonitor maps\nmonitor x\nmonitor exit\n",
    );
    expect(gdb).toMatch(/monitor ps +processes/);
    expect(gdb).toMatch(/^code:\n=> 0x/m);
    expect(gdb).toMatch(/r-xp \/run\/host-programs\/gdb-loop/);
    expect(gdb).toContain('unknown command "x"');
    expect(status).toBe(137);
  });
});
