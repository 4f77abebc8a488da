import { expect, test } from "vitest";
import {
  defineEvent,
  type EntryWriter,
  exportChromeTrace,
  TRACE_FORMATS,
  traceFormatOf,
  TraceArray,
  TraceEventFunc,
  type TracePoint,
} from "./index.ts";
import { FakeHost } from "../test/fake-host.ts";
import { decodeUtf8, encodeUtf8 } from "./utf8.ts";

interface Task {
  readonly comm: string;
  readonly pid: number;
}

const newEvents = () => {
  const switchEvent: TracePoint<[prev: Task, next: Task]> = defineEvent({
    system: "sched",
    name: "sched_switch",
    fields: ["char prev_comm[16]", "pid_t prev_pid", "char next_comm[16]", "pid_t next_pid"],
    print:
      '"prev_comm=%s prev_pid=%d ==> next_comm=%s next_pid=%d", REC->prev_comm, REC->prev_pid, REC->next_comm, REC->next_pid',
    pidFields: ["prev_pid", "next_pid"],
    assign(entry: EntryWriter, prev: Task, next: Task) {
      entry.string(prev.comm);
      entry.number(prev.pid);
      entry.string(next.comm);
      entry.number(next.pid);
    },
  });
  const enter = defineEvent({
    system: "raw_syscalls",
    name: "sys_enter",
    fields: ["long id", "unsigned long args[6]"],
    print: '"NR %ld (%lx)", REC->id, REC->args[0]',
  });
  const exit = defineEvent({
    system: "raw_syscalls",
    name: "sys_exit",
    fields: ["long id", "long ret"],
    print: '"NR %ld = %ld", REC->id, REC->ret',
  });
  return { switchEvent, enter, exit };
};

const newForkEvents = () => {
  const fork = defineEvent({
    system: "sched",
    name: "sched_process_fork",
    fields: ["pid_t parent_pid", "pid_t child_pid"],
    print: '"child=%d", REC->child_pid',
  });
  const died = defineEvent({
    system: "sched",
    name: "sched_process_exit",
    fields: ["pid_t pid"],
    print: '"pid=%d", REC->pid',
  });
  return { fork, died };
};

function setUp(cpuCount = 1) {
  const host = new FakeHost(cpuCount);
  const events = newEvents();
  const points = [events.switchEvent, events.enter, events.exit];
  return { host, ...events, points, array: new TraceArray(host, points) };
}

test("the trace file is Linux's, header and lines", () => {
  const { host, array, exit } = setUp(2);
  array.selection.setEvent("raw_syscalls:sys_exit");
  exit.trace(64, -11);
  host.cpu = 1;
  host.flags = 0x0201 | 0x08; // irqs off, hardirq, preempt depth 2
  host.pid = 0;
  host.time += 123_456_500;
  exit.trace(63, 5);
  expect(array.readText()).toBe(
    `# tracer: nop
#
# entries-in-buffer/entries-written: 2/2   #P:2
#
#                                _-----=> irqs-off/BH-disabled
#                               / _----=> need-resched
#                              | / _---=> hardirq/softirq
#                              || / _--=> preempt-depth
#                              ||| / _-=> migrate-disable
#                              |||| /     delay
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
#              | |         |   |||||     |         |
            bash-1234    [000] .....    12.345678: sys_exit: NR 64 = -11
          <idle>-0       [001] d.h2.    12.469135: sys_exit: NR 63 = 5
`,
  );
});

test("options change the line: irq-info, record-tgid, context-info, fields", () => {
  const { host, array, exit } = setUp();
  array.selection.setEvent("sys_exit");
  array.setOption("record-tgid", true);
  host.tgid = 1000;
  exit.trace(64, -1);
  array.writeOption("noirq-info\n");
  expect(array.readText()).toBe(
    `# tracer: nop
#
# entries-in-buffer/entries-written: 1/1   #P:1
#
#           TASK-PID       TGID    CPU#     TIMESTAMP  FUNCTION
#              | |           |       |         |         |
            bash-1234    (   1000) [000]     12.345678: sys_exit: NR 64 = -1
`,
  );
  array.writeOption("nocontext-info");
  array.writeOption("fields");
  expect(array.formatLine(array.pipe.peek()!)).toBe("sys_exit: id=0x40 (64) ret=0xffffffffffffffff (-1)\n");
  expect([array.writeOption("nosuch"), array.writeOption("bogus"), array.option("irq-info")]).toEqual([
    -22,
    -22,
    false,
  ]);
});

test("set_event enables and disables by event, system and pattern", () => {
  const { array } = setUp();
  const { selection } = array;
  expect(selection.available()).toBe("raw_syscalls:sys_enter\nraw_syscalls:sys_exit\nsched:sched_switch\n");
  expect([selection.setEvent("raw_syscalls:"), selection.enabled()]).toEqual([
    0,
    "raw_syscalls:sys_enter\nraw_syscalls:sys_exit\n",
  ]);
  expect([selection.setEvent("!raw_syscalls:sys_enter sched_switch"), selection.enabled()]).toEqual([
    0,
    "raw_syscalls:sys_exit\nsched:sched_switch\n",
  ]);
  expect([
    selection.readEnable(),
    selection.readEnable("sched"),
    selection.readEnable("raw_syscalls"),
    selection.readEnable("none"),
  ]).toEqual(["X\n", "1\n", "X\n", "?\n"]);
  expect([selection.setEvent("nosuch:event"), selection.setEvent("*:*"), selection.readEnable()]).toEqual([
    -22,
    0,
    "1\n",
  ]);
  expect([selection.writeEnable("0", "sched"), selection.writeEnable("7"), selection.enabled()]).toEqual([
    0,
    -22,
    "raw_syscalls:sys_enter\nraw_syscalls:sys_exit\n",
  ]);
  selection.disableAll();
  expect(selection.enabled()).toBe("");
});

test("a system's filter goes to the events that have the fields", () => {
  const { array, enter, exit } = setUp();
  expect(array.selection.readFilter("raw_syscalls")).toContain("### global filter ###");
  expect(array.selection.writeFilter("ret < 0", "raw_syscalls")).toBe(0);
  expect(array.selection.readFilter("raw_syscalls")).toBe("ret < 0\n");
  array.selection.setEvent("raw_syscalls:");
  enter.trace(1, [0, 0, 0, 0, 0, 0]);
  exit.trace(1, 0);
  exit.trace(1, -1);
  expect(array.pipe.eventCount()).toBe(2);
  expect(array.selection.writeFilter("nope == 1", "raw_syscalls")).toBe(-22);
  expect(array.selection.readFilter("raw_syscalls")).toBe(
    "nope == 1\n^\nparse_error: Couldn't find or set field in one of a subsystem's events\n\n",
  );
  expect(array.errorLog.read()).toBe(
    "[   12.345678] event filter parse error: error: Couldn't find or set field in one of a subsystem's events\n  Command: nope == 1\n           ^\n",
  );
  expect(array.selection.writeFilter("0", "raw_syscalls")).toBe(0);
});

test("set_event_pid keeps only the tasks concerned, next_pid included", () => {
  const { host, array, switchEvent, exit } = setUp();
  array.selection.setEvent("*:*");
  expect([array.addEventPids("10 11", "trace"), array.addEventPids("x", "trace")]).toEqual([0, -22]);
  host.pid = 9;
  exit.trace(1, 1); // no
  switchEvent.trace({ comm: "a", pid: 9 }, { comm: "b", pid: 10 }); // next
  host.pid = 11;
  exit.trace(1, 2); // yes
  expect(array.pipe.eventCount()).toBe(2);
  array.clearEventPids("trace");
  array.addEventPids("11", "notrace");
  exit.trace(1, 3); // no
  switchEvent.trace({ comm: "a", pid: 11 }, { comm: "b", pid: 12 }); // 12 may
  expect(array.pipe.eventCount()).toBe(3);
});

test("event-fork follows children and forgets tasks that exit, whatever is enabled or filtered", () => {
  const { fork, died } = newForkEvents();
  const array = new TraceArray(new FakeHost(), [fork, died]);
  array.addEventPids("11", "trace");
  fork.trace(11, 12);
  expect([...array.eventPids!]).toEqual([11]);
  array.selection.applyFilter("child_pid == 0", array.selection.match("sched_process_fork"));
  array.setOption("event-fork", true);
  fork.trace(11, 13);
  fork.trace(99, 14);
  died.trace(11);
  expect([...array.eventPids!]).toEqual([13]);
  expect(array.pipe.isEmpty()).toBe(true);
  array.setOption("event-fork", false);
  expect([fork.enabled, died.enabled]).toEqual([false, false]);
});

test("tracing_cpumask leaves CPUs out", () => {
  const { host, array, exit } = setUp(2);
  array.selection.setEvent("sys_exit");
  array.cpuMask = 2;
  exit.trace(1, 1);
  host.cpu = 1;
  exit.trace(1, 2);
  expect(array.pipe.pop()!.cpuId).toBe(1);
  expect(array.pipe.isEmpty()).toBe(true);
});

test("marker writes print as tracing_mark_write, with Linux's conditions", () => {
  const { array } = setUp();
  expect(array.writeMarker(encodeUtf8("hello\n"))).toBe(6);
  expect(array.writeMarker(encodeUtf8("no newline"))).toBe(10);
  const long = encodeUtf8("x".repeat(5000));
  const taken = array.writeMarker(long);
  expect(taken).toBeGreaterThan(4000);
  expect(array.writeMarkerRaw(Uint8Array.of(0x2a, 0, 0, 0, 1, 2))).toBe(6);
  expect(array.writeMarkerRaw(Uint8Array.of(1, 2, 3))).toBe(-22);
  const lines: string[] = [];
  array.drainLines((line) => lines.push(line.slice(line.indexOf(": ") + 2)));
  expect([lines[0], lines[1], lines[3]]).toEqual([
    "tracing_mark_write: hello\n",
    "tracing_mark_write: no newline\n",
    "# 2a buf: 01 02 00 00\n",
  ]);
  array.tracingOn = false;
  expect(array.writeMarker(long)).toBe(-9);
  array.tracingOn = true;
  array.setOption("markers", false);
  expect(array.writeMarker(long)).toBe(-22);
});

test("tracing_on gates recording only; a clock change empties the buffer; the counter clock prints counts", () => {
  const { array, exit } = setUp();
  array.selection.setEvent("sys_exit");
  array.tracingOn = false;
  exit.trace(1, 1);
  expect(array.pipe.isEmpty()).toBe(true);
  array.tracingOn = true;
  exit.trace(1, 1);
  expect([array.setClock("counter"), array.pipe.isEmpty(), array.setClock("sundial")]).toEqual([0, true, -22]);
  exit.trace(1, 2);
  exit.trace(1, 3);
  expect(array.readText()).toContain("            bash-1234    [000] .....            2: sys_exit: NR 1 = 3\n");
});

test("two arrays over the same tracepoints do not disturb each other", () => {
  const { host, points, array, exit } = setUp();
  const other = new TraceArray(host, points);
  array.selection.setEvent("sys_exit");
  other.selection.setEvent("sys_exit");
  other.selection.applyFilter("ret < 0", other.selection.match("sys_exit"));
  exit.trace(1, 5);
  exit.trace(1, -5);
  expect([array.pipe.eventCount(), other.pipe.eventCount()]).toEqual([2, 1]);
  array.selection.disableAll();
  exit.trace(1, -6);
  expect([array.pipe.eventCount(), other.pipe.eventCount(), exit.enabled]).toEqual([2, 2, true]);
  other[Symbol.dispose]();
  expect(exit.enabled).toBe(false);
  expect(other.registry.findExtTracepointByName("sys_exit")!.id).toBe(exit.id);
});

test("a callback may unregister itself and hit other tracepoints; endless recursion is cut and counted", () => {
  const { array, enter, exit } = setUp();
  const state = array.registry.findExtTracepointByName("sys_exit")!;
  const seen: string[] = [];
  const once = state.registerTrace(() => {
    seen.push("once");
    state.unregister(once);
    state.unregister(never);
  }, 0);
  const never = state.registerTrace(() => void seen.push("never"), 0);
  array.selection.setEvent("sys_enter");
  state.registerTrace(() => enter.trace(7, [1]), 0);
  state.setEnabled(true);
  exit.trace(1, 42);
  exit.trace(1, 43);
  expect(seen).toEqual(["once"]);
  const lines: string[] = [];
  array.drainLines((line) => lines.push(line.slice(line.indexOf(". ") + 2).trim()));
  expect(lines).toEqual([
    "12.345678: sys_enter: NR 7 (1)",
    "12.345678: sys_exit: NR 1 = 42",
    "12.345678: sys_enter: NR 7 (1)",
    "12.345678: sys_exit: NR 1 = 43",
  ]);
  const cooked = new TraceEventFunc(() => exit.trace(2, 2), 0);
  cooked.setPerfEnable(true);
  state.register(cooked);
  exit.trace(1, 44);
  expect(exit.recursionLost).toBe(1);
});

test("a callback that throws leaves the tracepoints usable", () => {
  const { array, exit } = setUp();
  const state = array.registry.findExtTracepointByName("sys_exit")!;
  const bad = state.registerTrace(() => {
    throw new Error("mine");
  }, 0);
  for (let i = 0; i < 10; i++) expect(() => exit.trace(1, 1)).toThrow("mine");
  state.unregister(bad);
  state.setEnabled(true);
  exit.trace(1, 1);
  expect(array.pipe.eventCount()).toBe(1);
});

test("buffer size per CPU: resized, refused, shown in the statistics", () => {
  const { array, exit } = setUp(2);
  expect([array.byteBudget(0), array.setByteBudget(8192, 1), array.byteBudget(1), array.byteBudget(0)]).toEqual([
    1441792, 0, 8192, 1441792,
  ]);
  expect([array.setByteBudget(0), array.setByteBudget(2 ** 40)]).toEqual([-22, -22]);
  array.selection.setEvent("sys_exit");
  exit.trace(1, 1);
  expect(array.statsText(0)).toBe(
    "entries: 1\noverrun: 0\ncommit overrun: 0\nbytes: 28\noldest event ts:    12.345678\nnow ts:    12.345678\ndropped events: 0\nread events: 0\n",
  );
});

test("Chrome JSON: slices for system calls and for what runs on a CPU, instants for the rest", () => {
  const { host, array, switchEvent, enter, exit } = setUp();
  array.selection.setEvent("*:*");
  enter.trace(64, [1, 2, 3, 4, 5, 6]);
  host.time += 2000;
  exit.trace(64, 12);
  switchEvent.trace({ comm: "bash", pid: 1234 }, { comm: "ls", pid: 9 });
  host.time += 5000;
  switchEvent.trace({ comm: "ls", pid: 9 }, { comm: "swapper/0", pid: 0 });
  array.writeMarker(encodeUtf8("mark"));
  const { traceEvents } = JSON.parse(
    exportChromeTrace(array, { syscallName: (nr) => (nr === 64 ? "write" : "?") }),
  ) as { traceEvents: { name: string; ph: string; dur?: number }[] };
  expect(traceEvents.map((event) => `${event.ph}:${event.name}`)).toEqual([
    "M:thread_name",
    "M:process_name",
    "B:write",
    "E:write",
    "i:sched_switch",
    "X:ls-9",
    "i:sched_switch",
    "i:print",
  ]);
  expect(traceEvents.find((event) => event.ph === "X")!.dur).toBe(5);
});

test("a file's name chooses the format of an export", () => {
  const { array, exit } = setUp();
  array.selection.setEvent("sys_exit");
  exit.trace(1, 1);
  expect(["a.txt", "b.dat", "c.json", "d.png"].map((name) => traceFormatOf(name)?.name)).toEqual([
    "text",
    "dat",
    "chrome",
    undefined,
  ]);
  expect(decodeUtf8(traceFormatOf("a.txt")!.export(array, {}))).toBe(array.readText());
  for (const format of TRACE_FORMATS) expect(format.export(array, {}).length).toBeGreaterThan(100);
  expect(array.pipe.eventCount()).toBe(1);
});
