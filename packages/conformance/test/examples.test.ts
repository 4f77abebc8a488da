/// <reference types="node" />
/** Every example runs as its file says, from its sources, and prints what it should. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const programs = join(root, "packages/userland/bin");
const scratch = mkdtempSync(join(tmpdir(), "starry-examples-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

interface Run {
  readonly status: number | null;
  readonly output: string;
  readonly errors: string;
}

/** Runs examples/`source`. */
function run(source: string, args: readonly string[] = [], input = ""): Run {
  const command = ["--no-warnings", "-C", "source", join(root, "examples", source), ...args];
  const { status, stdout, stderr } = spawnSync(process.execPath, command, { input, encoding: "utf8", timeout: 30_000 });
  return { status, output: stdout, errors: stderr };
}

describe("run-elf", () => {
  const runElf = (args: readonly string[], input?: string) => run("run-elf/src/run-elf.ts", args, input);

  test("a static program gets its arguments and prints", () => {
    const { status, output } = runElf([join(programs, "hello"), "one", "two"]);
    expect(output).toBe("Hello from riscv64!\nargv[1] = one\nargv[2] = two\n");
    expect(status).toBe(0);
  });

  test("what a program finds at sp is complete", () => {
    const path = join(programs, "start-block");
    expect(runElf([path, "x"])).toEqual({ status: 0, output: `${path} x\nOK\n`, errors: "" });
  });

  test("input is read, memory is allocated, the exit status is passed on", () => {
    const box = join(programs, "starrybox");
    expect(runElf([box, "tr", "a-z", "A-Z"], "abc\n").output).toBe("ABC\n");
    const loop = runElf([box, "sh", "-c", "for i in 1 2 3; do echo $((i*i)); done; exit 4"]);
    expect(loop).toMatchObject({ status: 4, output: "1\n4\n9\n" });
  });

  test("a wild access ends with a report of the registers", () => {
    const { status, errors } = runElf([join(programs, "stack-overflow")]);
    expect(status).toBe(139);
    expect(errors).toMatch(/^last trap: 7 \(store\/AMO access fault\), value 0x[0-9a-f]+, pc 0x[0-9a-f]+\n/);
  });

  test("other files are refused in one line", () => {
    expect(runElf([process.execPath])).toMatchObject({ status: 125, errors: `${process.execPath}: not for RISC-V\n` });
    const text = join(root, "LICENSE");
    expect(runElf([text])).toMatchObject({ status: 125, errors: `${text}: not an ELF file\n` });
  });
});

describe("mount-ext4", () => {
  const E2FSCK = "/sbin/e2fsck";
  if (!existsSync(E2FSCK)) console.log("skipped: e2fsck of the example's image (e2fsprogs is not installed)");

  test("an image is made, and found as it was left", () => {
    const image = join(scratch, "example.ext4");
    const first = run("mount-ext4/src/mount-ext4.ts", [image]);
    expect(first.errors).toBe("");
    const lines = first.output.split("\n");
    expect(lines.slice(0, 4)).toEqual([
      "Hello from ext4",
      "ENOENT: no such file or directory, open '/nowhere'",
      "beginning [ 'example' ]",
      "Invalid argument",
    ]);
    expect(lines).toContain("100666       16 /etc/example/greeting");
    expect(lines).toContain("100666       35 /log");
    expect(first.output).not.toContain("/etc/example/note");

    const second = run("mount-ext4/src/mount-ext4.ts", [image]);
    expect(second.output).toContain("100666       70 /log");
    if (!existsSync(E2FSCK)) return;
    const check = spawnSync(E2FSCK, ["-fn", image], { encoding: "utf8" });
    expect(check.status, check.stdout).toBe(0);
  });

  test("a file that holds no file system is refused with the reason", () => {
    const { status, errors } = run("mount-ext4/src/mount-ext4.ts", [join(programs, "starrybox")]);
    expect(status).toBe(1);
    expect(errors).toMatch(/Ext4Error: .*not.* ext4/i);
  });
});

describe("custom-kernel", () => {
  const boot = (...commands: readonly string[]) => run("custom-kernel/src/custom-kernel.ts", commands);

  test("programs run, use the device, and find the new system call", () => {
    const { status, output, errors } = boot();
    expect(errors).toBe("");
    expect(output).toContain("This is process 1, and these are its files:\n");
    expect(output).toMatch(/^c-w--w--w- 1 0 0 240, 0 .* printer$/m);
    expect(output).toContain("Hello from riscv64!\nargv[1] = one\nargv[2] = two\nHello from a new system call\n");
    expect(output).toMatch(/\ninit exited with status 7; \d+ instructions\n$/);
    expect(status).toBe(7);
  });

  test("parts that were left out are absent, not broken", () => {
    const { output } = boot("echo a | ls; ls /proc; read x </dev/printer || echo cannot read; hello");
    expect(output).toContain("cannot make a pipe\n");
    expect(output).toMatch(/ls: .*\/proc.*No such file or directory\n/);
    expect(output).toContain("cannot read\n");
    expect(output).toContain("Hello from riscv64!\n");
  });

  test("two runs are the same to the instruction", () => {
    const first = boot("hello; secret");
    expect(first.errors).toBe("");
    expect(boot("hello; secret")).toEqual(first);
  });
});

describe("tracepoints", () => {
  test("the text is ftrace's, filtered", () => {
    const { status, output } = run("tracepoints/src/tracepoints.ts");
    expect(status).toBe(0);
    expect(output).toMatch(/^# tracer: nop\n/);
    const records = output.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    expect(records).toHaveLength(8);
    expect(records[0]).toMatch(/^ +job-queue-\d+ +\[000\] \.+ +\d+\.\d{6}: job_queued: job=8 name=fib\(16\)$/);
    expect(records[7]).toMatch(/: job_done: job=11 result=17711 micros=\d+$/);
  });

  const TRACE_CMD = "/usr/bin/trace-cmd";
  test.skipIf(!existsSync(TRACE_CMD))("trace-cmd reads the .dat file (skipped without trace-cmd)", () => {
    const file = join(scratch, "out.dat");
    expect(run("tracepoints/src/tracepoints.ts", [file]).status).toBe(0);
    const { stdout } = spawnSync(TRACE_CMD, ["report", file], { encoding: "utf8" });
    expect(stdout).toMatch(/job-queue-\d+ .*job_done: +job=11 result=17711 micros=\d+\n/);
  });

  test("the .json file is a Chrome trace", () => {
    const file = join(scratch, "out.json");
    expect(run("tracepoints/src/tracepoints.ts", [file]).status).toBe(0);
    const { traceEvents } = JSON.parse(readFileSync(file, "utf8")) as { traceEvents: { name: string }[] };
    expect(traceEvents.filter(({ name }) => name === "job_done")).toHaveLength(4);
  });
});

test("virtio-blk-loopback moves blocks both ways, in flight and with errors", () => {
  const { status, output, errors } = run("virtio-blk-loopback/src/loopback.ts");
  expect(errors).toBe("");
  expect(output.replace(/\d+ MB\/s/, "N MB/s")).toBe(
    [
      'device type 2, "loopback-1", 2048 sectors',
      "Through the rings and back again.",
      "8 reads: 0 0 0 0 0 0 0 0; interrupts seen: true",
      "256 KiB reads: N MB/s",
      "InvalidParam: an argument is out of range",
      "",
    ].join("\n"),
  );
  expect(status).toBe(0);
});

const hasRootImage = existsSync(join(root, "packages/starry-machine/dist/root.img"));
if (!hasRootImage) console.log("skipped: examples/boot (the root image is not built)");

describe.skipIf(!hasRootImage)("boot", () => {
  test("commands run in the guest, and their status is passed on", () => {
    const { status, output } = run("boot/src/boot.ts", [
      "-c",
      "uname -sm; echo $((6*7)) | cat; mount | head -1; exit 3",
    ]);
    expect(output.replaceAll("\r", "")).toBe("Linux riscv64\n42\n/dev/vda on / type ext4 (rw,relatime)\n");
    expect(status).toBe(3);
  });
});
