/**
 * Costs of a tracepoint, in ns per hit: disabled, filtered out, recorded, and formatted back.
 *
 * Run: node -C source --expose-gc packages/ktracepoint/bench/gate.bench.ts
 * Floor: disabled ≤ 2 ns (minus an empty loop of the same shape). Recording must not allocate: bytes per hit ≈ 0.
 */
/// <reference types="node" />
import { defineEvent, type EntryWriter, TraceArray, type TraceHost, type TracePoint } from "ktracepoint";

interface Task {
  readonly comm: string;
  readonly pid: number;
}

const prev: Task = { comm: "bash", pid: 1234 };
const next: Task = { comm: "kworker/0:1", pid: 17 };

const switchEvent: TracePoint<[prev: Task, next: Task, state: number]> = defineEvent({
  system: "sched",
  name: "sched_switch",
  fields: [
    "char prev_comm[16]",
    "pid_t prev_pid",
    "int prev_prio",
    "long prev_state",
    "char next_comm[16]",
    "pid_t next_pid",
    "int next_prio",
  ],
  print:
    '"prev_comm=%s prev_pid=%d ==> next_comm=%s next_pid=%d", REC->prev_comm, REC->prev_pid, REC->next_comm, REC->next_pid',
  assign(entry: EntryWriter, before: Task, after: Task, state: number) {
    entry.string(before.comm);
    entry.number(before.pid);
    entry.number(120);
    entry.number(state);
    entry.string(after.comm);
    entry.number(after.pid);
    entry.number(120);
  },
});
const exitEvent = defineEvent({
  system: "raw_syscalls",
  name: "sys_exit",
  fields: ["long id", "long ret"],
  print: '"NR %ld = %ld", REC->id, REC->ret',
});
const enterEvent = defineEvent({
  system: "raw_syscalls",
  name: "sys_enter",
  fields: ["long id"],
  print: '"NR %ld", REC->id',
});
const wakeEvent: TracePoint<[task: Task, cpu: number]> = defineEvent({
  system: "sched",
  name: "sched_wakeup",
  fields: ["pid_t pid", "int target_cpu"],
  print: '"pid=%d", REC->pid',
  assign(entry: EntryWriter, task: Task, cpu: number) {
    entry.number(task.pid);
    entry.number(cpu);
  },
});

let time = 0;
const host: TraceHost = {
  currentPid: () => 1234,
  currentTgid: () => 1234,
  currentComm: () => "bash",
  currentCpu: () => 0,
  currentFlags: () => 0,
  cpuCount: 1,
  clocks: new Map([["local", () => (time += 900)]]),
};
const tracing = new TraceArray(host, [switchEvent, exitEvent, enterEvent, wakeEvent]);

function measure(name: string, count: number, body: (count: number) => void): number {
  body(Math.min(count, 200_000)); // warm up
  body(Math.min(count, 200_000));
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 5; round++) {
    const start = process.hrtime.bigint();
    body(count);
    best = Math.min(best, Number(process.hrtime.bigint() - start) / count);
  }
  console.log(`${name.padEnd(34)} ${best.toFixed(2).padStart(9)} ns`);
  return best;
}

let sink = 0; // keeps the loops' sums alive
// Four hits per round, so that the loop itself (whose empty form the engine unrolls) does not count as the tracepoint's cost.
const empty = measure("empty loop, per step", 100_000_000, (count) => {
  let sum = 0;
  for (let i = 0; i < count; i += 4) {
    sum = (sum + i) & 0xffff;
    sum = (sum ^ 1) + i;
    sum = (sum + 3) & 0xffff;
    sum = (sum ^ 2) + i;
  }
  sink += sum;
});
const disabled = measure("disabled, per hit", 100_000_000, (count) => {
  let sum = 0;
  for (let i = 0; i < count; i += 4) {
    sum = (sum + i) & 0xffff;
    exitEvent.trace(i, sum);
    sum = (sum ^ 1) + i;
    switchEvent.trace(prev, next, sum);
    sum = (sum + 3) & 0xffff;
    enterEvent.trace(i);
    sum = (sum ^ 2) + i;
    wakeEvent.trace(next, sum);
  }
  sink += sum;
});
console.log(
  `${"disabled minus loop".padEnd(34)} ${disabled.toFixed(2)} - ${empty.toFixed(2)} = ${(disabled - empty).toFixed(2)} ns (sums ${sink})`,
);

tracing.selection.setEvent("sys_exit sched_switch sys_enter");
const hit = (count: number): void => {
  for (let i = 0; i < count; i++) exitEvent.trace(64, i);
};
measure("recorded, sys_exit", 1_000_000, hit);
measure("recorded, sched_switch", 1_000_000, (count) => {
  for (let i = 0; i < count; i++) switchEvent.trace(prev, next, 1);
});
const gc = (globalThis as { gc?: () => void }).gc;
if (gc !== undefined) {
  gc();
  const before = process.memoryUsage().heapUsed;
  hit(1_000_000);
  console.log(
    `${"bytes allocated per hit".padEnd(34)} ${((process.memoryUsage().heapUsed - before) / 1e6).toFixed(2)}`,
  );
}
const filter = tracing.selection.applyFilter("id == 63 && ret < 0", tracing.selection.match("sys_exit"));
if (filter !== undefined) throw new Error(filter.message);
measure("filtered out, sys_exit", 1_000_000, hit);
tracing.selection.applyFilter("id == 64", tracing.selection.match("sys_exit"));
tracing.pipe.clear();
hit(20_000);
let bytes = 0;
const start = process.hrtime.bigint();
const lines = tracing.drainLines((line) => {
  bytes += line.length;
});
console.log(
  `${"formatted, per line".padEnd(34)} ${(Number(process.hrtime.bigint() - start) / lines).toFixed(0).padStart(9)} ns   (${lines} lines, ${bytes} characters)`,
);
