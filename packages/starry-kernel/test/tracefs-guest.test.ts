/**
 * Tracing as programs in the guest see it: a shell that uses /sys/kernel/tracing, on the real hart.
 */
/// <reference types="node" />
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportTraceDat, type TraceArray } from "ktracepoint";
import { expect, test } from "vitest";
import { installTracefs } from "../src/fs/tracefs/index.ts";
import { type KernelTracing, tracepointInit } from "../src/trace/tracing.ts";
import { Guest } from "./guest.ts";

const traceCmd = spawnSync("trace-cmd", ["--version"]).error === undefined;

function setUp(): { guest: Guest; tracing: KernelTracing } {
  const guest = new Guest();
  const tracing = tracepointInit(guest.kernel);
  installTracefs(guest.kernel, tracing);
  guest.addTree();
  return { guest, tracing };
}

function run(script: string): string[] {
  const { stdout, stderr, status } = setUp().guest.run(["/bin/sh", "-c", `cd /sys/kernel/tracing; ${script}`]);
  expect([stderr, status]).toEqual(["", 0]);
  return stdout.trimEnd().split("\n");
}

/** Lines without comm, CPU and time. */
function texts(lines: readonly string[]): string[] {
  return lines.filter((line) => !line.startsWith("#")).map((line) => line.replace(/^.*?\d: /, ""));
}

test("a shell traces a child from fork to its end", () => {
  const lines = run(`echo 'sched:* signal:signal_generate' > set_event; /bin/true; echo 0 > tracing_on; cat trace`);
  expect(lines[2]).toMatch(/^# entries-in-buffer\/entries-written: \d+\/\d+ {3}#P:1$/);
  const story = texts(lines).filter((text) => !text.startsWith("sched_wak") || text.startsWith("sched_wakeup_new"));
  expect(story).toEqual([
    "sched_process_fork: comm=sh pid=1 child_comm=sh child_pid=2",
    "sched_wakeup_new: comm=sh pid=2 prio=120 target_cpu=000",
    "sched_switch: prev_comm=sh prev_pid=1 prev_prio=120 prev_state=S ==> next_comm=sh next_pid=2 next_prio=120",
    "sched_process_exec: filename=/bin/true pid=2 old_pid=2",
    "sched_process_exit: comm=true pid=2 prio=120",
    "signal_generate: sig=17 errno=0 code=1 comm=sh pid=1 grp=1 res=1",
    "sched_switch: prev_comm=true prev_pid=2 prev_prio=120 prev_state=Z ==> next_comm=sh next_pid=1 next_prio=120",
    "sched_process_free: comm=true pid=2 prio=120",
  ]);
  const exit = lines.find((line) => line.includes("sched_process_exit"));
  expect(exit).toMatch(/^ {12}true-2 {7}\[000\] \.{5} {5}\d\.\d{6}: sched_process_exit: /);
});

test("both mount points and mounts by hand show the same tracing", () => {
  const lines = run(
    "mount | grep -cE 'tracefs on /sys/kernel/tracing|debugfs on /sys/kernel/debug'; echo 1 > events/sched/sched_switch/enable; " +
      "cat /sys/kernel/debug/tracing/set_event; mkdir /t; mount -t tracefs nodev /t; cat /t/set_event; grep tracefs /proc/filesystems",
  );
  expect(lines).toEqual(["2", "sched:sched_switch", "sched:sched_switch", "nodev\ttracefs"]);
});

test("cat trace_pipe waits, gets records as they come, and keeps a second reader out", () => {
  const { stdout, stderr } = setUp().guest.run([
    "/bin/sh",
    "-c",
    `cd /sys/kernel/tracing; cat trace_pipe > /out & sleep 0.01; wc -c < /out; echo one > trace_marker; sleep 0.01; wc -l < /out
     echo two > trace_marker; sleep 0.01; cat trace_pipe; kill %1; sleep 0.01; cat /out`,
  ]);
  expect(stderr).toMatch(/^cat: .*trace_pipe: Device or resource busy\n/);
  const lines = stdout.trimEnd().split("\n");
  expect(lines.slice(0, 2).map(Number)).toEqual([0, 1]);
  expect(texts(lines.slice(2))).toEqual(["tracing_mark_write: one", "tracing_mark_write: two"]);
});

test("filters are refused with EINVAL and a caret, and taken when right", () => {
  const { stdout, stderr } = setUp().guest.run([
    "/bin/sh",
    "-c",
    `cd /sys/kernel/tracing/events/raw_syscalls/sys_enter; echo 'id = 1' > filter; cat filter; echo 'id == 172 || id == 173' > filter; cat filter
     echo 1 > enable; ls / > /dev/null; cat /sys/kernel/tracing/trace | grep -c 'NR 56'; echo 0 > filter; cat filter; rmdir filter`,
  ]);
  expect(stdout.split("\n").slice(0, 4)).toEqual(["id = 1", "    ^", "parse_error: Invalid operator", ""]);
  expect(stdout.split("\n").slice(4, 7)).toEqual(["id == 172 || id == 173", "0", "none"]);
  expect(stderr).toContain("write error");
});

test("set_event_notrace_pid with event-fork hides a task and its children to their end, and nobody else", () => {
  const lines = run(
    "echo $$ > set_event_notrace_pid; echo 1 > options/event-fork; echo 1 > events/syscalls/enable; echo 1 > events/signal/enable; " +
      "(sleep 0.001; /bin/true); echo 0 > tracing_on; grep -vc '^#' trace; true",
  );
  expect(lines).toEqual(["0"]);
});

test("the same run gives the same trace, byte for byte", () => {
  const script = "echo '*:*' > set_event; ls / | sort | tail -2; echo 0 > tracing_on; cat trace";
  const first = run(script);
  expect(first.length).toBeGreaterThan(200);
  expect(run(script)).toEqual(first);
});

test("a host session sees what the guest does, and the guest does not see the session", () => {
  const { guest, tracing } = setUp();
  const session = tracing.openSession({
    events: "sched_process_exec,syscalls:sys_enter_openat",
    filter: "pid > 1",
  }) as TraceArray;
  const { stdout } = guest.run([
    "/bin/sh",
    "-c",
    "cat /sys/kernel/tracing/set_event; cat /etc/hostname > /dev/null; true",
  ]);
  expect(stdout).toBe("");
  const lines: string[] = [];
  session.drainLines((line) => lines.push(line.trimEnd()));
  expect(texts(lines).filter((text) => text.startsWith("sched"))).toEqual([
    "sched_process_exec: filename=/usr/bin/cat pid=2 old_pid=2",
    "sched_process_exec: filename=/usr/bin/cat pid=3 old_pid=3",
  ]);
  expect(lines.some((line) => /sys_openat\(\w+: ffffffffffffff9c, /.test(line))).toBe(true);
});

test.skipIf(!traceCmd)("trace-cmd on the host reads a session of a whole guest run (skipped without trace-cmd)", () => {
  const { guest, tracing } = setUp();
  const session = tracing.openSession({ events: "*:*", byteBudget: 64 << 20 }) as TraceArray;
  guest.run(["/bin/sh", "-c", "for i in 1 2 3 4 5; do ls /bin | sort | wc -l; done"]);
  const folder = mkdtempSync(join(tmpdir(), "guest-trace-"));
  const file = join(folder, "trace.dat");
  writeFileSync(file, exportTraceDat(session));
  const { stdout, stderr } = spawnSync("trace-cmd", ["report", "-N", file], { encoding: "utf8", maxBuffer: 1 << 28 });
  rmSync(folder, { recursive: true });
  expect(stderr).toBe("");
  const reported = stdout.split("\n").filter((line) => line.includes("[000]"));
  expect(reported.length).toBe(session.pipe.eventCount());
  const times = reported.map((line) => Number(/(\d+\.\d+):/.exec(line)?.[1]));
  expect(times).toEqual([...times].sort((a, b) => a - b));
  expect(reported.filter((line) => line.includes("sched_process_exit:")).length).toBe(16);
});
