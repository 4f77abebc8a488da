/** tracefs through the VFS, over the kernel's real hooks; tasks that wait on trace_pipe are parked by the real scheduler. */
import { EAGAIN, EBUSY, EINVAL, O_APPEND, O_NONBLOCK, O_RDONLY, O_TRUNC, O_WRONLY, POLLIN, S_IFMT } from "linux-abi";
import { type File, type FsContext, Vfs } from "vfs-inode";
import { beforeEach, expect, test } from "vitest";
import type { TraceArray } from "ktracepoint";
import { IoBuffer } from "../../io-buffer.ts";
import { AT_POSITION, readFile } from "../../io-wait.ts";
import type { Kernel } from "../../kernel.ts";
import { NO_RESULT } from "../../syscall/result.ts";
import { full, row } from "../../syscall/row.ts";
import { SyscallTable } from "../../syscall/table.ts";
import { EXIT_ZOMBIE, type Task } from "../../task/task.ts";
import { MEMORY_BASE, TestKernel } from "../../testing/test-kernel.ts";
import { type KernelTracing, tracepointInit } from "../../trace/tracing.ts";
import { VfsFile } from "../vfs-file.ts";
import { createTracefs, installTracefs } from "./index.ts";
import type { SimpleFs } from "vfs-inode/pseudofs";

let machine: TestKernel;
let kernel: Kernel;
let tracing: KernelTracing;
let vfs: Vfs;
let context: FsContext;
let bash: Task;

const x = new Int32Array(64);

beforeEach(() => {
  machine = new TestKernel();
  kernel = machine.kernel;
  Object.assign(kernel, {
    cpu: { x, pc: 0x10000 },
    syscalls: new SyscallTable([
      row(56, "openat", "dirfd:dirfd filename:path flags:open_flags mode:mode", full, () => 0),
      row(64, "write", "fd:fd buf:in_buf count:size", full, () => 0),
    ]),
    fs: { nextDevice: () => 7, now: () => {} },
  });
  tracing = tracepointInit(kernel);
  vfs = new Vfs();
  context = vfs.mountRoot(createTracefs(kernel, tracing, "") as SimpleFs);
  bash = machine.task();
  bash.comm = "bash";
  machine.scheduler.current = bash;
  machine.nowNs = 12_345_678_000;
});

function open(path: string, flags: number = O_RDONLY): File {
  const file = vfs.open(context, null, path, flags, 0);
  if (typeof file === "number") throw new Error(`open ${path}: ${file}`);
  return file;
}

function cat(path: string, size = 65536): string {
  const file = open(path);
  let text = "";
  const buf = new Uint8Array(size);
  for (;;) {
    const n = file.read(buf);
    if (n < 0) throw new Error(`read ${path}: ${n}`);
    if (n === 0) break;
    text += new TextDecoder().decode(buf.subarray(0, n));
  }
  file.close();
  return text;
}

function echo(text: string, path: string, flags: number = O_WRONLY | O_TRUNC): number {
  const file = vfs.open(context, null, path, flags, 0);
  if (typeof file === "number") return file;
  const bytes = new TextEncoder().encode(text);
  const n = file.write(bytes);
  file.close();
  return n < 0 ? n : 0;
}

function modeOf(path: string): string {
  const found = vfs.lookup(context, null, path, 1);
  if (typeof found === "number") throw new Error(`${path}: ${found}`);
  return (found.inode.mode & ~S_IFMT).toString(8);
}

function ls(path: string): string[] {
  const file = open(path);
  const names: string[] = [];
  file.inode.readdir(0, (name) => names.push(name) > 0);
  file.close();
  return names.filter((name) => !name.startsWith("."));
}

/** A context switch as the run loop reports it. */
function switchTo(next: Task | null): void {
  if (kernel.trace.schedSwitchOn) kernel.trace.schedSwitch(machine.scheduler.current, next, 1);
  machine.scheduler.current = next;
}

test("the seed's files have the seed's modes, directories 0750", () => {
  const modes = Object.fromEntries(
    [
      "trace",
      "trace_pipe",
      "saved_cmdlines",
      "saved_cmdlines_size",
      "events/sched/sched_switch/enable",
      "events/sched/sched_switch/format",
      "events/sched/sched_switch/id",
      "events/sched/sched_switch/filter",
      "events",
      "trace_marker",
    ].map((path) => [path, modeOf(`/${path}`)]),
  );
  expect(modes).toEqual({
    trace: "640",
    trace_pipe: "440",
    saved_cmdlines: "440",
    saved_cmdlines_size: "640",
    "events/sched/sched_switch/enable": "640",
    "events/sched/sched_switch/format": "440",
    "events/sched/sched_switch/id": "440",
    "events/sched/sched_switch/filter": "640",
    events: "750",
    trace_marker: "220",
  });
});

test("an event is found by the number in its id file and by name", () => {
  const id = Number(cat("/events/sched/sched_switch/id"));
  expect(id).toBeGreaterThanOrEqual(20);
  expect(tracing.lookupExtTracepoint(id)).toBe(tracing.findExtTracepointByName("sched_switch"));
  expect(tracing.lookupExtTracepoint(1)).toBeUndefined();
  expect(tracing.findExtTracepointByName("sched_switch", "irq")).toBeUndefined();
});

test("a switch away from bash reads as on Linux; the idle task is swapper/0", () => {
  expect(kernel.trace.schedSwitchOn).toBe(false);
  expect(echo("1", "/events/sched/sched_switch/enable")).toBe(0);
  expect(kernel.trace.schedSwitchOn).toBe(true);
  switchTo(null);
  switchTo(bash);
  const lines = cat("/trace")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  const tid = String(bash.tid);
  expect(lines).toEqual([
    `            bash-${tid.padEnd(7)} [000] .....    12.345678: sched_switch: prev_comm=bash prev_pid=${tid} prev_prio=120 prev_state=S ==> next_comm=swapper/0 next_pid=0 next_prio=120`,
    `          <idle>-0       [000] .....    12.345678: sched_switch: prev_comm=swapper/0 prev_pid=0 prev_prio=120 prev_state=S ==> next_comm=bash next_pid=${tid} next_prio=120`,
  ]);
  expect(cat("/saved_cmdlines")).toBe(`${tid} bash\n`);
  echo("0", "/events/sched/enable");
  expect(kernel.trace.schedSwitchOn).toBe(false);
});

test("trace read in pieces of any size gives the same text; seeking back reads the same snapshot", () => {
  echo("sched:sched_switch", "/set_event");
  for (let i = 0; i < 20; i++) switchTo(i & 1 ? bash : null);
  const whole = cat("/trace");
  for (const size of [1, 7, 100, 1000]) expect(cat("/trace", size)).toBe(whole);
  const file = open("/trace");
  const buf = new Uint8Array(300);
  file.read(buf);
  switchTo(bash);
  const again = new Uint8Array(50);
  expect(file.readAt(100, again)).toBe(50);
  expect([...again]).toEqual([...buf.subarray(100, 150)]);
  expect(new TextEncoder().encode(whole).length).toBeGreaterThan(2000);
  const rest = new Uint8Array(70000);
  expect(file.readAt(2000, rest)).toBe(new TextEncoder().encode(whole).length - 2000);
  expect(file.readAt(1e6, rest)).toBe(0);
  file.close();
});

test("> trace and a write clear the buffer, appending does not", () => {
  echo("sched", "/set_event");
  const entries = (): string => /written: (\S+)/.exec(cat("/trace"))?.[1] ?? "";
  switchTo(null);
  expect(entries()).toBe("1/1");
  echo("", "/trace", O_WRONLY | O_APPEND);
  expect(echo("x", "/trace", O_WRONLY | O_APPEND)).toBe(0);
  expect(entries()).toBe("1/1");
  open("/trace", O_WRONLY | O_TRUNC).close();
  expect(entries()).toBe("0/0");
  switchTo(bash);
  expect(echo("x", "/trace", O_WRONLY)).toBe(0);
  expect(entries()).toBe("0/0");
});

test("a read of the empty trace_pipe parks the task until a record is queued; a second reader gets EBUSY", () => {
  echo("sched_switch", "/set_event");
  const reader = machine.task();
  const file = new VfsFile(open("/trace_pipe"), undefined as never);
  expect(vfs.open(context, null, "/trace_pipe", O_RDONLY, 0)).toBe(-EBUSY);
  expect(vfs.open(context, null, "/per_cpu/cpu0/trace_pipe", O_RDONLY, 0)).toBe(-EBUSY);
  expect(file.poll(reader) & POLLIN).toBe(0);
  expect(readFile(reader, file, bufferOf(reader, 1000), AT_POSITION, true)).toBe(-EAGAIN);
  const call = machine.start(reader, readFile(reader, file, bufferOf(reader, 1000), AT_POSITION, false));
  expect(call.result).toBeUndefined();
  switchTo(null);
  expect(call.result).toBeUndefined(); // the hit itself wakes nobody
  machine.advance(0);
  expect(call.result).toBeGreaterThan(100);
  expect(machine.memory(reader).text(MEMORY_BASE, call.result as number)).toMatch(/^ +bash-\d+ .*sched_switch: .*\n$/);
  expect(file.poll(reader) & POLLIN).toBe(0);
  switchTo(bash);
  expect(file.poll(reader) & POLLIN).not.toBe(0);
  file.put();
  open("/per_cpu/cpu0/trace_pipe").close();
  open("/trace_pipe").close();
});

function bufferOf(task: Task, byteLength: number): IoBuffer {
  return new IoBuffer().setUser(machine.memory(task), MEMORY_BASE, byteLength);
}

test("trace_pipe hands out every byte through small reads, consumes, and ends once tracing is off", () => {
  echo("sched_switch", "/set_event");
  for (let i = 0; i < 5; i++) switchTo(i & 1 ? bash : null);
  const whole = cat("/trace")
    .split("\n")
    .filter((line) => !line.startsWith("#"))
    .join("\n");
  const file = open("/trace_pipe", O_RDONLY | O_NONBLOCK);
  let text = "";
  const buf = new Uint8Array(13);
  for (let n = file.read(buf); n > 0; n = file.read(buf)) text += new TextDecoder().decode(buf.subarray(0, n));
  expect(text).toBe(whole);
  expect(file.read(buf)).toBe(-EAGAIN);
  echo("0", "/tracing_on");
  expect(file.read(buf)).toBe(0);
  file.close();
  expect(cat("/trace")).toContain("written: 0/0");
});

test("raw and named system call events from the registers", () => {
  x.set([-100, -1, 0x2000, 0x3f, 0x80000, 0, 0, 0, 7, 0, 8, 0], 20);
  echo("raw_syscalls syscalls:sys_enter_openat syscalls:sys_exit_openat", "/set_event");
  kernel.trace.sysEnter(bash, 56);
  kernel.trace.sysExit(bash, 56, 3);
  kernel.trace.sysEnter(bash, 64);
  kernel.trace.sysExit(bash, 64, -9);
  const texts = cat("/trace")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.slice(line.indexOf(".345678: ") + 9));
  expect(texts).toEqual([
    "sys_enter: NR 56 (ffffffffffffff9c, 3f00002000, 80000, 0, 7, 8)",
    "sys_openat(dirfd: ffffffffffffff9c, filename: 3f00002000, flags: 80000, mode: 0)",
    "sys_exit: NR 56 = 3",
    "sys_openat -> 0x3",
    "sys_enter: NR 64 (ffffffffffffff9c, 3f00002000, 80000, 0, 7, 8)",
    "sys_exit: NR 64 = -9",
  ]);
  expect(cat("/events/syscalls/sys_enter_openat/format")).toContain(
    "\tfield:const char * filename;\toffset:24;\tsize:8;\tsigned:0;\n",
  );
  echo("", "/set_event");
  expect([kernel.trace.sysEnterOn, kernel.trace.sysExitOn]).toEqual([false, false]);
});

test("execve and rt_sigreturn show the a0 they have set, exit shows no return", () => {
  echo("raw_syscalls:sys_exit", "/set_event");
  x.set([-1, -1], 20);
  kernel.trace.sysExit(bash, 139, NO_RESULT);
  bash.state = EXIT_ZOMBIE;
  kernel.trace.sysExit(bash, 93, NO_RESULT);
  expect(cat("/trace")).toContain("sys_exit: NR 139 = -1\n");
  expect(cat("/trace")).toContain("written: 1/1");
});

test("every hook reaches its event", () => {
  echo("1", "/events/enable");
  const { trace } = kernel;
  const child = machine.task({ parent: bash });
  child.comm = "child";
  trace.processFork(bash, child);
  trace.schedWakeup(child, true);
  trace.schedWakeup(child, false);
  trace.processExec(child, "/bin/ls", child.tid);
  trace.signalGenerate(15, 0, child, true, 0);
  trace.signalDeliver(15, 0, child, 0x10000, 0x4000000);
  trace.pageFault(child, 0x3fff_f000, 13);
  trace.processExit(child);
  trace.processFree(child);
  const [b, c] = [bash.tid, child.tid];
  const texts = cat("/trace")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.slice(line.indexOf(".345678: ") + 9));
  expect(texts).toEqual([
    `sched_process_fork: comm=bash pid=${b} child_comm=child child_pid=${c}`,
    `sched_wakeup_new: comm=child pid=${c} prio=120 target_cpu=000`,
    `sched_waking: comm=child pid=${c} prio=120 target_cpu=000`,
    `sched_wakeup: comm=child pid=${c} prio=120 target_cpu=000`,
    `sched_process_exec: filename=/bin/ls pid=${c} old_pid=${c}`,
    `signal_generate: sig=15 errno=0 code=0 comm=child pid=${c} grp=1 res=0`,
    "signal_deliver: sig=15 errno=0 code=0 sa_handler=10000 sa_flags=4000000",
    "page_fault_user: address=0x3ffff000 ip=0x10000 error_code=0xd",
    `sched_process_exit: comm=child pid=${c} prio=120`,
    `sched_process_free: comm=child pid=${c} prio=120`,
  ]);
});

test("filters, their errors and the error log", () => {
  const filter = "/events/sched/sched_switch/filter";
  expect(cat(filter)).toBe("none\n");
  expect(echo(`prev_pid == ${bash.tid}`, filter)).toBe(0);
  echo("1", "/events/sched/sched_switch/enable");
  switchTo(null);
  switchTo(bash);
  expect(cat("/trace")).toContain("written: 1/1");
  expect(echo("prev_pid = 1", filter)).toBe(-EINVAL);
  expect(cat(filter)).toBe("prev_pid = 1\n          ^\nparse_error: Invalid operator\n\n");
  expect(cat("/error_log")).toBe(
    "[   12.345678] event filter parse error: error: Invalid operator\n  Command: prev_pid = 1\n                     ^\n",
  );
  echo("", "/error_log");
  expect(cat("/error_log")).toBe("");
  expect(echo("prev_comm ~ 'ba*'", "/events/sched/filter")).toBe(0);
  expect([cat(filter), cat("/events/sched/filter")]).toEqual(["prev_comm ~ 'ba*'\n", "prev_comm ~ 'ba*'\n"]);
});

test("directory-level enable shows 0, 1 and X; set_event reads back and truncation disables all first", () => {
  expect([cat("/events/enable"), cat("/events/sched/enable")]).toEqual(["0\n", "0\n"]);
  echo("1", "/events/sched/sched_wakeup/enable");
  expect([cat("/events/enable"), cat("/events/sched/enable")]).toEqual(["X\n", "X\n"]);
  echo("signal:*", "/set_event", O_WRONLY | O_APPEND);
  expect(cat("/set_event")).toBe("sched:sched_wakeup\nsignal:signal_deliver\nsignal:signal_generate\n");
  echo("signal:*", "/set_event");
  expect(cat("/set_event")).toBe("signal:signal_deliver\nsignal:signal_generate\n");
  expect(echo("no:such", "/set_event", O_WRONLY | O_APPEND)).toBe(-EINVAL);
  expect(cat("/available_events").split("\n")).toContain("raw_syscalls:sys_enter");
});

test("control files answer and refuse like Linux's", () => {
  expect([
    cat("/current_tracer"),
    cat("/available_tracers"),
    cat("/tracing_on"),
    cat("/buffer_size_kb"),
    cat("/buffer_total_size_kb"),
  ]).toEqual(["nop\n", "nop\n", "1\n", "1408\n", "1408\n"]);
  expect([
    echo("function", "/current_tracer"),
    echo("nop", "/current_tracer"),
    echo("2", "/tracing_on"),
    echo("x", "/buffer_size_kb"),
  ]).toEqual([-EINVAL, 0, -EINVAL, -EINVAL]);
  expect([echo("64\n", "/buffer_size_kb"), cat("/buffer_size_kb"), cat("/per_cpu/cpu0/buffer_size_kb")]).toEqual([
    0,
    "64\n",
    "64\n",
  ]);
  expect([cat("/trace_clock"), echo("mono", "/trace_clock"), cat("/trace_clock"), echo("x", "/trace_clock")]).toEqual([
    "[local] global perf mono mono_raw boot counter\n",
    0,
    "local global perf [mono] mono_raw boot counter\n",
    -EINVAL,
  ]);
  expect([
    echo("noirq-info", "/trace_options"),
    cat("/options/irq-info"),
    echo("1", "/options/irq-info"),
    cat("/trace_options").includes("\nirq-info\n"),
  ]).toEqual([0, "0\n", 0, true]);
  expect([
    cat("/saved_cmdlines_size"),
    echo("128", "/saved_cmdlines_size"),
    cat("/saved_cmdlines_size"),
    echo("0", "/saved_cmdlines_size"),
  ]).toEqual(["4096\n", 0, "128\n", -EINVAL]);
  expect([cat("/tracing_cpumask"), echo("0", "/tracing_cpumask"), cat("/tracing_cpumask")]).toEqual(["1\n", 0, "0\n"]);
  expect([
    echo("1 2", "/set_event_pid"),
    echo("3", "/set_event_pid", O_WRONLY | O_APPEND),
    cat("/set_event_pid"),
    echo("", "/set_event_pid"),
    cat("/set_event_pid"),
  ]).toEqual([0, 0, "1\n2\n3\n", 0, ""]);
  expect(cat("/README")).toContain("trace_marker");
});

test("trace_marker lines, trace_pipe_raw sub-buffers and stats", () => {
  expect(echo("hello", "/trace_marker", O_WRONLY)).toBe(0);
  expect(cat("/trace")).toContain(": tracing_mark_write: hello\n");
  expect(cat("/per_cpu/cpu0/stats")).toContain("entries: 1\n");
  const raw = open("/per_cpu/cpu0/trace_pipe_raw");
  const page = new Uint8Array(4096);
  expect([raw.read(page.subarray(0, 1000)), raw.read(page.subarray(1000)), raw.read(page)]).toEqual([
    1000,
    3096,
    -EAGAIN,
  ]);
  expect(new TextDecoder().decode(page.subarray(16, 60))).toContain("hello\n");
  raw.close();
  expect(cat("/per_cpu/cpu0/stats")).toContain("read events: 1\n");
  expect(cat("/events/ftrace/print/format")).toContain("field:char buf[];\toffset:16;\tsize:0;");
  expect(cat("/events/header_page")).toContain("offset:16;\tsize:4080");
});

test("instances have buffers and events of their own and go away when nobody uses them", () => {
  expect(vfs.mkdir(context, null, "/instances/foo", 0o750)).toBe(0);
  expect(vfs.mkdir(context, null, "/instances/foo", 0o750)).toBe(-17);
  expect(ls("/instances")).toEqual(["foo"]);
  expect(ls("/instances/foo")).toContain("trace_pipe");
  expect(ls("/instances/foo")).not.toContain("instances");
  echo("sched_switch", "/instances/foo/set_event");
  switchTo(null);
  expect(cat("/instances/foo/trace")).toContain("written: 1/1");
  expect(cat("/trace")).toContain("written: 0/0");
  const file = open("/instances/foo/trace_pipe");
  expect(vfs.rmdir(context, null, "/instances/foo")).toBe(-EBUSY);
  file.close();
  expect(vfs.rmdir(context, null, "/instances/foo")).toBe(0);
  expect([ls("/instances"), kernel.trace.schedSwitchOn]).toEqual([[], false]);
});

test("a host session records beside the guest's tracing, with its own events and filter", () => {
  const session = tracing.openSession({ events: "raw_syscalls:sys_exit, sched", filter: "ret < 0" }) as TraceArray;
  kernel.trace.sysExit(bash, 64, 5);
  kernel.trace.sysExit(bash, 64, -5);
  switchTo(null);
  const lines: string[] = [];
  session.drainLines((line) => lines.push(line));
  expect(lines.map((line) => line.slice(line.indexOf(".345678: ") + 9, -1).split(":")[0])).toEqual([
    "sys_exit",
    "sched_switch",
  ]);
  expect(lines[0]).toContain(`(${String(bash.process.pid).padStart(7)}) [000]`);
  expect(cat("/set_event")).toBe("");
  session[Symbol.dispose]();
  expect(kernel.trace.sysExitOn).toBe(false);
  expect(tracing.openSession({ events: "nosuch" })).toEqual({ error: 'no trace event matches "nosuch"' });
  expect(tracing.openSession({ events: "sched", filter: "sig == 1" })).toEqual({
    error: "trace filter: Field not found at 4: sig == 1",
  });
});

test("the last records are there for an oops report", () => {
  echo("sched_switch", "/set_event");
  for (let i = 0; i < 100; i++) switchTo(i & 1 ? bash : null);
  expect(kernel.traceTail()).toHaveLength(32);
  expect(kernel.traceTail()[31]).toContain("sched_switch: prev_comm=swapper/0");
});

test("mount options set the owner of all files and the root's mode; unknown ones are refused; mounts share instances", () => {
  installTracefs(kernel, tracing);
  const type = kernel.fileSystemTypes.get("tracefs")!;
  const fs = type.mount(kernel, null, 0, "gid=7,mode=755") as SimpleFs;
  expect([fs.root().gid, (fs.root().mode & 0o7777).toString(8), fs.mountOptions()]).toEqual([
    7,
    "755",
    "gid=7,mode=755",
  ]);
  const other = new Vfs();
  const standing = other.mountRoot(fs);
  expect(vfs.mkdir(context, null, "/instances/shared", 0o750)).toBe(0);
  for (const path of ["/events/sched/sched_switch/enable", "/trace", "/instances/shared/trace_pipe", "/options"]) {
    const found = other.lookup(standing, null, path, 1);
    expect([path, typeof found === "number" ? found : found.inode.gid]).toEqual([path, 7]);
  }
  expect(type.mount(kernel, null, 0, "color=red")).toBe(-EINVAL);
});
