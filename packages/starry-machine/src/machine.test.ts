/// <reference types="node" />
import { OverlayDisk } from "blockdev-disk";
import { Ext4FileSystem } from "ext4-fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { rootDisk } from "../scripts/root-disk.ts";
import { type MachineHost, thisHost } from "./host.ts";
import { FileError, ImageFiles } from "./image/files.ts";
import { Machine, type MachineOptions } from "./machine.ts";

const root = rootDisk();
const create = (options: Partial<MachineOptions> = {}) =>
  Machine.create({
    memory: "64M",
    disks: [new OverlayDisk(root)],
    init: { path: "/bin/sleep", argv: ["sleep", "1000"] },
    ...options,
  });
const bytes = (text: string) => new TextEncoder().encode(text);

let machine: Machine;
beforeAll(async () => {
  machine = await create();
});
afterAll(async () => {
  machine.stop();
  await machine.exited;
});

test("exec gives exit status, output and errors apart", async () => {
  const result = await machine.exec("echo out; echo err >&2; exit 7");
  expect(result).toEqual({ exitCode: 7, stdout: "out\n", stderr: "err\n" });
});

test("exec takes words instead of a command line, input, environment and a directory", async () => {
  const result = await machine.exec(["/bin/sh", "-c", 'cat; echo "$A $PWD $#"', "sh", "a b"], {
    input: "typed\n",
    env: { A: "1", PATH: "/bin" },
    cwd: "/usr",
  });
  expect(result.stdout).toBe("typed\n1 /usr 1\n");
});

test("several programs run at the same time", async () => {
  const results = await Promise.all([1, 2, 3].map((n) => machine.exec(`sleep 0.05; echo ${n}`)));
  expect(results.map((r) => r.stdout)).toEqual(["1\n", "2\n", "3\n"]);
});

test("explain tells what every task waits for and where it stands", async () => {
  const report = await machine.explain();
  const [first] = report.tasks;
  expect(first).toMatchObject({ tid: 1, comm: "sleep", state: "sleeping", syscall: "nanosleep" });
  expect(first?.waitsFor?.remainingNs).toBeGreaterThan(900e9);
  expect(first?.instruction).toBe("ecall");
  expect(first?.stack[0]).toMatch(/\+0x[0-9a-f]+ \(\/usr\/bin\/.*\)$/);
  const text = String(report);
  expect(text).toContain("machine idle");
  expect(text).toMatch(/waits in nanosleep for \S+, at most \d+\.\d+ ms more/);
  expect(JSON.parse(JSON.stringify(report)).tasks[0].comm).toBe("sleep");
});

test("a profile names the program's functions", async () => {
  const profiled = await create({ profile: true });
  await profiled.exec("i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done");
  expect(profiled.profiler?.folded()).toMatch(/^sh \(\d+\);\S.* \d+$/m);
  profiled.stop();
  await profiled.exited;
});

test("a program that a signal ended reports 128 + signal", async () => {
  expect((await machine.exec("kill -9 $$")).exitCode).toBe(137);
});

test("a missing program is an error with Node's code", async () => {
  await expect(machine.exec(["/bin/nothing"])).rejects.toMatchObject({ code: "ENOENT" });
});

test("time limit and abort signal kill the program", async () => {
  await expect(machine.exec("sleep 100", { timeout: 50 })).rejects.toThrow("timed out after 50 ms");
  const controller = new AbortController();
  const running = machine.exec("sleep 100", { signal: controller.signal });
  controller.abort(new Error("enough"));
  await expect(running).rejects.toThrow("enough");
  expect((await machine.exec("ps | grep -c 'sleep 100$'")).stdout.trim()).toBe("0");
});

test("host and guest see each other's files", async () => {
  machine.fs.mkdir("/tmp/x/y", { recursive: true });
  machine.fs.writeFile("/tmp/x/y/file", bytes("from the host"));
  expect((await machine.exec("cat /tmp/x/y/file; echo guest > /root/g")).stdout).toBe("from the host");
  expect(new TextDecoder().decode(machine.fs.readFile("/root/g"))).toBe("guest\n");
  machine.fs.rm("/tmp/x", { recursive: true });
  expect(machine.fs.exists("/tmp/x")).toBe(false);
  expect(() => machine.fs.readFile("/nope")).toThrow(FileError);
  expect(new TextDecoder().decode(machine.fs.readFile("/proc/version"))).toMatch(/^Linux version/);
});

test("the console is a terminal: what is typed reaches the shell, what it prints comes back", async () => {
  const shell = await create({ init: { path: "/bin/sh", argv: ["sh", "-i"] } });
  const writer = shell.console.writable.getWriter();
  shell.console.resize(77, 33);
  await writer.write(bytes("stty size; tty\nexit 3\n"));
  let text = "";
  for await (const piece of shell.console.readable) text += new TextDecoder().decode(piece);
  expect(text).toContain("33 77");
  expect(text).toContain("/dev/ttyS0");
  expect(await shell.exited).toMatchObject({ reason: "exit", status: 3 });
});

test("stop ends the machine, programs in flight are told", async () => {
  const victim = await create();
  const running = victim.exec("sleep 100");
  victim.stop();
  await expect(running).rejects.toThrow("the machine has stopped");
  expect((await victim.exited).reason).toBe("stopped");
});

test("what a program wrote reaches the disk after a while, without sync and without an end", async () => {
  const disk = new OverlayDisk(root);
  const host = thisHost();
  const hurried: MachineHost = {
    performance: host.performance,
    crypto: host.crypto,
    clearTimeout: (timer) => host.clearTimeout(timer),
    setTimeout: (callback, ms) => host.setTimeout(callback, ms === 5000 ? 20 : ms),
  };
  const writing = await create({ disks: [disk], host: hurried });
  await writing.exec("echo kept > /root/kept");
  await new Promise((resolve) => setTimeout(resolve, 300));
  const copy = new ImageFiles(new Ext4FileSystem(disk, { readOnly: true })); // as after pulling the plug: from the journal
  expect(new TextDecoder().decode(copy.read("/root/kept"))).toBe("kept\n");
  writing.stop();
  await writing.exited;
});

test("the same seed gives the same run, instruction for instruction", async () => {
  const run = async () => {
    const seeded = await create({
      seed: 42,
      init: {
        path: "/bin/sh",
        argv: ["sh", "-c", "od -An -N8 -tx1 /dev/urandom; date +%s; sleep 3; date +%s; ls -l / | sort"],
      },
    });
    let text = "";
    for await (const piece of seeded.console.readable) text += new TextDecoder().decode(piece);
    return { text, instructions: seeded.stats().instructions };
  };
  const first = await run();
  expect(first.text.split("\n").length).toBeGreaterThan(10);
  expect(await run()).toEqual(first);
});

test("bad options are errors that say what is wrong", async () => {
  await expect(create({ memory: "lots" })).rejects.toThrow('"lots" is not a size');
  await expect(create({ disks: [] })).rejects.toThrow("no disk");
  await expect(create({ init: { path: "/sbin/nope" } })).rejects.toThrow("/sbin/nope: No such file or directory");
});
