/** The kernel's events against the real trace-cmd: every format parses, every record reads as in `trace`. */
/// <reference types="node" />
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MemoryDisk } from "blockdev-disk";
import { exportTraceDat, type TraceArray } from "ktracepoint";
import { expect, test } from "vitest";
import { full, row } from "../syscall/row.ts";
import { SyscallTable } from "../syscall/table.ts";
import { TestKernel } from "../testing/test-kernel.ts";
import { TracedBlockDevice } from "./block-device.ts";
import { tracepointInit } from "./tracing.ts";

const traceCmd = spawnSync("trace-cmd", ["--version"]).error === undefined;

function setUp() {
  const machine = new TestKernel();
  const { kernel } = machine;
  const types = "dirfd:dirfd name:path flags:open_flags mode:mode off:off count:size";
  const x = new Int32Array(64);
  x.set([-100, -1, 0x2000, 0x3f, 0x80000, 0, 0x1b6, 0, -1, -1, 4096, 0], 20);
  Object.assign(kernel, {
    cpu: { x, pc: 0x1_0000_0000 },
    syscalls: new SyscallTable([row(56, "openat", types, full, () => 0), row(172, "getpid", "", full, () => 0)]),
  });
  const tracing = tracepointInit(kernel);
  machine.nowNs = 5_000_000_500;
  const bash = machine.task();
  bash.comm = "bash";
  machine.scheduler.current = bash;
  return { machine, kernel, tracing, bash };
}

/** Hits every event of the kernel, each at its own time. */
function hitAll({ machine, kernel, bash }: ReturnType<typeof setUp>): void {
  const { trace } = kernel;
  const child = machine.task({ parent: bash });
  child.comm = "a child";
  child.nice = 5;
  const steps: (() => void)[] = [
    ...[0, 1, 2, 4, 16, 32, 256].map((state) => () => trace.schedSwitch(bash, state === 0 ? null : child, state)),
    () => trace.processFork(bash, child),
    () => trace.schedWakeup(child, true),
    () => trace.schedWakeup(child, false),
    () => trace.processExec(child, "/usr/bin/python3.13", child.tid),
    () => trace.sysEnter(bash, 56),
    () => trace.sysExit(bash, 56, -2),
    () => trace.sysEnter(bash, 172),
    () => trace.sysExit(bash, 172, 77),
    () => trace.signalGenerate(11, 1, child, false, 0),
    () => trace.signalDeliver(11, 1, child, 0x1234_5678_9abc, 0x1400_0004),
    () => trace.pageFault(child, 0x3f_ffff_f000, 15),
    () => trace.processExit(child),
    () => trace.processFree(child),
  ];
  const disk = new TracedBlockDevice(kernel, new MemoryDisk(1 << 20), 254, 16);
  steps.push(
    () => void disk.readBlock(8, new Uint8Array(4096)),
    () => void disk.writeBlock(9, new Uint8Array(512)),
    () => void disk.flush(),
    () => void disk.readBlock(2047, new Uint8Array(1024)),
  );
  for (const step of steps) {
    machine.nowNs += 1_234_000;
    step();
  }
}

test("block requests show device, operation, size, sector and outcome", () => {
  const { kernel, tracing } = setUp();
  const session = tracing.openSession({ events: "block" }) as TraceArray;
  const disk = new TracedBlockDevice(kernel, new MemoryDisk(1 << 20), 254, 16);
  disk.readBlock(8, new Uint8Array(4096));
  disk.flush();
  expect(disk.readBlock(2047, new Uint8Array(1024))).toBe(-5);
  const lines: string[] = [];
  session.drainLines((line) => lines.push(line.slice(line.indexOf(": ") + 2).trim()));
  expect(lines).toEqual([
    "block_rq_issue: 254,16 R 4096 () 8 + 8 [bash]",
    "block_rq_complete: 254,16 R () 8 + 8 [0]",
    "block_rq_issue: 254,16 FF 0 () 0 + 0 [bash]",
    "block_rq_complete: 254,16 FF () 0 + 0 [0]",
    "block_rq_issue: 254,16 R 1024 () 2047 + 2 [bash]",
    "block_rq_complete: 254,16 R () 2047 + 2 [-5]",
  ]);
});

test.skipIf(!traceCmd)(
  "trace-cmd parses every format and prints every record as `trace` does (skipped without trace-cmd)",
  () => {
    const kit = setUp();
    const session = kit.tracing.openSession({ events: "*:*" }) as TraceArray;
    hitAll(kit);
    const wanted: string[] = [];
    const view = session.pipe.view();
    const squeeze = (line: string): string => line.trim().replace(/\s+/g, " ");
    for (let record = view.pop(); record !== undefined; record = view.pop()) {
      const point = session.registry.map.get(record.entry().commonType);
      if (point?.system === "syscalls") continue; // Linux's own two ways of printing these differ
      wanted.push(squeeze(`${point?.name}: ${point?.formatBody(record.event)}`));
    }
    const folder = mkdtempSync(join(tmpdir(), "kernel-events-"));
    const file = join(folder, "trace.dat");
    writeFileSync(file, exportTraceDat(session));
    const { stdout, stderr } = spawnSync("trace-cmd", ["report", "-N", file], { encoding: "utf8" });
    rmSync(folder, { recursive: true });
    expect(stderr).toBe("");
    const lines = stdout
      .trimEnd()
      .split("\n")
      .filter((line) => line.includes("[000]"));
    const texts = lines.map((line) => squeeze(line.slice(line.indexOf(": ") + 2)));
    // libtraceevent knows no symbol for a user address and prints %ps without 0x.
    const plain = (line: string): string => line.replace(/(address|ip)=0x/g, "$1=");
    expect(texts.filter((text) => !/^sys_(enter|exit)_/.test(text)).map(plain)).toEqual(wanted.map(plain));
    expect(texts.filter((text) => text.startsWith("sys_enter_openat"))).toEqual([
      "sys_enter_openat: dirfd: 0xffffffffffffff9c, name: 0x3f00002000, flags: 0x00080000, mode: 0x000001b6, off: 0xffffffffffffffff, count: 0x00001000",
    ]);
  },
);
