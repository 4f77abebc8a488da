/**
 * The contract of ktracepoint 0.6 as starry-kernel's tracepoint module uses it, walked through by name: registry look-ups, the trace pipe, the task
 * name cache, the line parser, TextDrain and the read loop with their short reads, and the four control files.
 */
import { expect, test } from "vitest";
import {
  commonTracePipeRead,
  defineEvent,
  ExtTracePoint,
  globalInitEvents,
  type KernelTraceOps,
  RawTraceEventFunc,
  TextDrain,
  TraceArray,
  TraceCmdLineCache,
  TraceDefaultFunc,
  TraceEntryParser,
  TraceEventFunc,
  TraceFilterFile,
  TracePipeRaw,
  TracePipeRecord,
  TracePointEnableFile,
  TracePointFormatFile,
  TracePointIdFile,
  TracePointMap,
} from "./index.ts";
import { FakeHost } from "../test/fake-host.ts";
import { decodeUtf8, encodeUtf8 } from "./utf8.ts";

const newEvents = () => ({
  fork: defineEvent({
    system: "sched",
    name: "sched_process_fork",
    fields: ["pid_t parent_pid", "pid_t child_pid"],
    print: '"pid=%d child_pid=%d", REC->parent_pid, REC->child_pid',
  }),
  exit: defineEvent({
    system: "sched",
    name: "sched_process_exit",
    fields: ["char comm[16]", "pid_t pid"],
    print: '"comm=%s pid=%d", REC->comm, REC->pid',
  }),
});

function newTracing() {
  const host = new FakeHost();
  const events = newEvents();
  return { host, ...events, array: new TraceArray(host, [events.fork, events.exit]) };
}

const text = (bytes: Uint8Array): string => decodeUtf8(bytes);

test("globalInitEvents gives ids by name and hands back the map and the runtime states", () => {
  const { fork, exit } = newEvents();
  const pushed: Uint8Array[] = [];
  const ops: KernelTraceOps = {
    currentPid: () => 7,
    currentComm: () => "x",
    currentCpu: () => 0,
    currentFlags: () => 0,
    tracePipePushRawRecord: (record) => void pushed.push(record.slice()),
    traceCmdlinePush: () => {},
  };
  const [map, states] = globalInitEvents(ops, [fork, exit]);
  expect(map).toBeInstanceOf(TracePointMap);
  expect([...map.values()].map((point) => point.name)).toEqual(["sched_process_exit", "sched_process_fork"]);
  expect(states.every((state) => state instanceof ExtTracePoint && state.id >= 20)).toBe(true);
  states[1]!.register(states[1]!.defaultCallback());
  expect(fork.keyIsEnabled()).toBe(true);
  fork.trace(7, 8);
  expect([...new Int32Array(pushed[0]!.buffer)]).toEqual([states[1]!.id, 7, 7, 8]);
});

test("an event is found by its id and by its name; an unknown one is not", () => {
  const { array, fork } = newTracing();
  expect(array.registry.lookupExtTracepoint(fork.id)?.tracePoint()).toBe(fork);
  expect(array.registry.findExtTracepointByName("sched_process_fork")?.tracePoint()).toBe(fork);
  expect(array.registry.findExtTracepointByName("sched_process_fork", "irq")).toBeUndefined();
  expect(array.registry.lookupExtTracepoint(9999)).toBeUndefined();
  expect(array.registry.findExtTracepointByName("nope")).toBeUndefined();
  expect(array.registry.readTracepointState(fork.id, (state) => state.id)).toBe(fork.id);
  expect(array.registry.writeTracepointState(9999, () => 1)).toBeUndefined();
});

test("the three kinds of callback get arguments, record and raw arguments; the gate follows the list", () => {
  const { array, fork } = newTracing();
  const state = array.registry.findExtTracepointByName("sched_process_fork")!;
  const seen: unknown[] = [];
  const probe = state.registerTrace(
    (data: string, parent: number, child: number) => void seen.push([data, parent, child]),
    "probe",
  );
  const cooked = new TraceEventFunc((record, data: string) => void seen.push([data, record.length]), "cooked");
  const raw = new RawTraceEventFunc((args, data: string) => void seen.push([data, ...args]), "raw");
  state.register(cooked);
  state.register(raw);
  state.register(raw); // no duplicate
  expect(state.callbackList()).toHaveLength(3);
  fork.trace(1, 2);
  expect(seen).toEqual([
    ["probe", 1, 2],
    ["raw", 1, 2],
  ]); // the cooked one waits for setPerfEnable
  cooked.setPerfEnable(true);
  fork.trace(3, 4);
  expect(seen.slice(2)).toEqual([
    ["probe", 3, 4],
    ["cooked", 16],
    ["raw", 3, 4],
  ]);
  for (const callback of [probe, cooked, raw]) state.unregister(callback);
  expect(fork.enabled).toBe(false);
  expect(probe).toBeInstanceOf(TraceDefaultFunc);
});

test("the trace pipe drops the oldest record beyond its bound and counts it", () => {
  const pipe = new TracePipeRaw(3);
  for (let i = 1; i <= 5; i++) pipe.pushRecord(i * 100, 0, Uint8Array.of(i, 0, 0, 0, 0, 0, 0, 0));
  expect(pipe.eventCount()).toBe(3);
  expect(pipe.maxRecord()).toBe(3);
  expect(pipe.writtenCount()).toBe(5);
  expect([pipe.pop(), pipe.pop(), pipe.pop(), pipe.pop()].map((record) => record?.event[0])).toEqual([
    3,
    4,
    5,
    undefined,
  ]);
  pipe.pushEvent(new TracePipeRecord(600, 0, new Uint8Array(8)));
  pipe.setMaxRecord(0);
  expect(pipe.isEmpty()).toBe(true);
  expect(pipe.pushRecord(700, 0, new Uint8Array(8))).toBe(false);
  pipe.setMaxRecord(2);
  pipe.pushRecord(800, 0, new Uint8Array(8));
  pipe.clear();
  expect(pipe.peek()).toBeUndefined();
});

test("peek does not consume, pop returns the same record", () => {
  const pipe = new TracePipeRaw(8);
  pipe.pushRecord(5, 0, Uint8Array.of(1, 0, 0, 0));
  const peeked = pipe.peek()!;
  expect([peeked.timestamp, peeked.cpuId, [...peeked.event]]).toEqual([5, 0, [1, 0, 0, 0]]);
  expect(pipe.eventCount()).toBe(1);
  expect(pipe.pop()).toEqual(peeked);
  expect(pipe.isEmpty()).toBe(true);
});

test("a snapshot keeps what was there when it was taken and consumes nothing of the live pipe", () => {
  const pipe = new TracePipeRaw(100);
  for (let i = 0; i < 3; i++) pipe.pushRecord(i, 0, Uint8Array.of(i, 0, 0, 0));
  const snapshot = pipe.snapshot();
  pipe.pushRecord(9, 0, Uint8Array.of(9, 0, 0, 0));
  expect([snapshot.pop()!.event[0], snapshot.pop()!.event[0]]).toEqual([0, 1]);
  pipe.clear();
  expect(snapshot.pop()!.event[0]).toBe(2);
  expect(snapshot.pop()).toBeUndefined();
  expect([snapshot.entries, snapshot.written]).toEqual([3, 3]);
});

test("the task name cache forgets the least recently used task and cuts names at 15 bytes between characters", () => {
  const cache = new TraceCmdLineCache(2);
  cache.insert(1, "init");
  cache.insert(2, "sixteen-bytes-ab");
  cache.insert(1, "init");
  cache.insert(3, "ééééééééé");
  expect(cache.get(2)).toBeUndefined();
  expect(cache.get(1)).toBe("init");
  expect(cache.get(3)).toBe("ééééééé"); // 14 bytes: the eighth would be cut in two
  const snapshot = cache.snapshot();
  expect([snapshot.peek(), snapshot.pop(), snapshot.pop(), snapshot.pop()]).toEqual([
    "3 ééééééé\n",
    "3 ééééééé\n",
    "1 init\n",
    undefined,
  ]);
  cache.setMaxRecord(1);
  expect([cache.maxRecord(), cache.get(1), cache.get(3)]).toEqual([1, undefined, "ééééééé"]);
  expect(() => cache.setMaxRecord(0)).toThrow(RangeError);
});

test("TraceEntryParser prints Linux's line", () => {
  const { array, fork } = newTracing();
  array.registry.findExtTracepointByName("sched_process_fork")!.setEnabled(true);
  fork.trace(1234, 1235);
  const record = array.pipe.peek()!;
  expect(TraceEntryParser.parse(array.registry.map, array.cmdlines, record)).toBe(
    "            bash-1234    [000] .....    12.345678: sched_process_fork: pid=1234 child_pid=1235\n",
  );
  expect(TraceEntryParser.parse(array.registry.map, new TraceCmdLineCache(1), record)).toContain(
    "           <...>-1234    [000]",
  );
  expect(TraceEntryParser.parse(new TracePointMap(), array.cmdlines, record)).toContain("Unknown type ");
});

test("TextDrain returns pending bytes in portions and is empty after the last", () => {
  const drain = new TextDrain();
  const buf = new Uint8Array(4);
  const copied = { value: 0 };
  expect(drain.copyRecord(encodeUtf8("abcdefghij"), buf, copied)).toBe(true);
  expect([text(buf), copied.value, drain.pendingLength]).toEqual(["abcd", 4, 6]);
  expect([drain.drainPending(buf), text(buf)]).toEqual([4, "efgh"]);
  expect([drain.drainPending(buf), text(buf.subarray(0, 2))]).toEqual([2, "ij"]);
  expect(drain.drainPending(buf)).toBe(0);
});

test("TextDrain refuses a record when there is no room, and takes an empty one always", () => {
  const drain = new TextDrain();
  const buf = new Uint8Array(4);
  expect(drain.copyRecord(encodeUtf8("x"), buf, { value: 4 })).toBe(false);
  expect(drain.pendingLength).toBe(0);
  expect(drain.copyRecord(new Uint8Array(0), buf, { value: 4 })).toBe(true);
  expect(drain.drainPending(new Uint8Array(0))).toBe(0);
});

test("TextDrain.reset discards what is pending", () => {
  const drain = new TextDrain();
  drain.copyRecord(encodeUtf8("abcdef"), new Uint8Array(2), { value: 0 });
  drain.reset();
  expect(drain.drainPending(new Uint8Array(8))).toBe(0);
});

/** Reads in portions of `size` until a read returns 0. */
function readAll(pipe: TracePipeRaw, size: number): { text: string; reads: number[] } {
  const drain = new TextDrain();
  let all = "";
  const reads: number[] = [];
  for (;;) {
    const buf = new Uint8Array(size);
    const n = commonTracePipeRead(pipe, drain, buf, (record: TracePipeRecord) => `record ${record.event[0]}\n`);
    reads.push(n);
    if (n === 0) return { text: all, reads };
    all += text(buf.subarray(0, n));
  }
}

test.each([1, 2, 8, 9, 10, 13, 18, 64])(
  "records come through whole, once and in order with a read buffer of %i bytes",
  (size) => {
    const pipe = new TracePipeRaw(100);
    for (let i = 1; i <= 5; i++) pipe.pushRecord(i, 0, Uint8Array.of(i, 0, 0, 0));
    const { text: all, reads } = readAll(pipe, size);
    expect(all).toBe("record 1\nrecord 2\nrecord 3\nrecord 4\nrecord 5\n");
    expect(reads.slice(0, -2).every((n) => n === size)).toBe(true); // only the last may be short
  },
);

test("a record leaves the pipe only when its bytes have a home", () => {
  const pipe = new TracePipeRaw(100);
  const format = (record: TracePipeRecord): string => `record ${record.event[0]}\n`;
  pipe.pushRecord(1, 0, Uint8Array.of(1, 0, 0, 0));
  pipe.pushRecord(2, 0, Uint8Array.of(2, 0, 0, 0));
  const drain = new TextDrain();
  expect(commonTracePipeRead(pipe, drain, new Uint8Array(0), format)).toBe(0);
  expect(pipe.eventCount()).toBe(2); // no room: nothing consumed
  expect(commonTracePipeRead(pipe, drain, new Uint8Array(9), format)).toBe(9);
  expect([pipe.eventCount(), drain.pendingLength]).toEqual([1, 0]); // exactly full: the next is untouched
  expect(commonTracePipeRead(pipe, drain, new Uint8Array(3), format)).toBe(3);
  expect([pipe.eventCount(), drain.pendingLength]).toEqual([0, 6]); // begun: its rest is in the drain
  expect(commonTracePipeRead(pipe, drain, new Uint8Array(6), format)).toBe(6);
});

test("the id, enable and format files read as Linux's", () => {
  const { array, exit } = newTracing();
  const state = array.registry.findExtTracepointByName("sched_process_exit")!;
  expect(new TracePointIdFile(exit).read()).toBe(`${exit.id}\n`);
  const enable = new TracePointEnableFile(state);
  expect([enable.read(), enable.write("1\n"), enable.read(), enable.write("0"), enable.read()]).toEqual([
    "0\n",
    0,
    "1\n",
    0,
    "0\n",
  ]);
  expect([enable.write("2"), enable.write(""), enable.write("x")]).toEqual([-22, -22, -22]);
  expect(new TracePointFormatFile(exit).read()).toBe(
    `name: sched_process_exit\nID: ${exit.id}\nformat:\n` +
      "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n" +
      "\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n" +
      "\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n" +
      "\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n" +
      "\tfield:char comm[16];\toffset:8;\tsize:16;\tsigned:0;\n" +
      "\tfield:pid_t pid;\toffset:24;\tsize:4;\tsigned:1;\n\n" +
      'print fmt: "comm=%s pid=%d", REC->comm, REC->pid\n',
  );
});

test("a program that only attaches a callback does not show in the enable file", () => {
  const { array } = newTracing();
  const state = array.registry.findExtTracepointByName("sched_process_exit")!;
  state.register(new TraceEventFunc(() => {}, 0));
  expect(new TracePointEnableFile(state).read()).toBe("0\n");
});

test("a refused filter reads back with caret and reason, and the good one stays in force", () => {
  const { array, exit } = newTracing();
  const state = array.registry.findExtTracepointByName("sched_process_exit")!;
  const file = new TraceFilterFile(state);
  expect(file.read()).toBe("none\n");
  expect([file.write("pid == 5\n"), file.read()]).toEqual([0, "pid == 5\n"]);
  expect(file.write("pid == 5 && nope == 1")).toBe(-22);
  expect(file.read()).toBe("pid == 5 && nope == 1\n                 ^\nparse_error: Field not found\n\n");
  expect(file.write("")).toBe(-22);
  expect(file.write("0x10 == pid")).toBe(-22); // does not clear
  state.setEnabled(true);
  exit.trace("a", 4);
  exit.trace("b", 5);
  expect(array.pipe.eventCount()).toBe(1);
  expect([file.write("0"), file.read()]).toEqual([0, "none\n"]);
  exit.trace("a", 4);
  expect(array.pipe.eventCount()).toBe(2);
});
