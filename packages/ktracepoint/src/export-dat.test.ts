/** The real trace-cmd reads what we write. */
/// <reference types="node" />
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { defineEvent, exportTraceDat, TraceArray } from "./index.ts";
import { FakeHost } from "../test/fake-host.ts";
import { encodeUtf8 } from "./utf8.ts";

const traceCmd = spawnSync("trace-cmd", ["--version"]).error === undefined;
let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "trace-dat-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const kitchenSink = defineEvent({
  system: "demo",
  name: "kitchen_sink",
  fields: [
    "int a",
    "unsigned long b",
    "char c[16]",
    "__data_loc char[] d",
    "unsigned long e[2]",
    "long f",
    "u8 g",
    "short h",
  ],
  print:
    '"a=%d b=%lx c=%s d=%s e=%lu,%lu f=%ld g=%s h=%s", REC->a, REC->b, REC->c, __get_str(d), REC->e[0], REC->e[1], REC->f, ' +
    '__print_symbolic(REC->g, { 1, "one" }, { 2, "two" }), REC->h & 4 ? __print_flags(REC->h, "|", { 0x1, "X" }, { 0x4, "Z" }) : "none"',
});

function report(array: TraceArray, ...args: string[]): string[] {
  const file = join(folder, "trace.dat");
  writeFileSync(file, exportTraceDat(array, { uname: "Linux test 6.6.0 riscv64" }));
  return execFileSync("trace-cmd", ["report", ...args, file], { encoding: "utf8" })
    .trimEnd()
    .split("\n");
}

test.skipIf(!traceCmd)("trace-cmd report prints each event's text as we do (skipped without trace-cmd)", () => {
  const host = new FakeHost(2);
  const array = new TraceArray(host, [kitchenSink]);
  array.selection.setEvent("demo:");
  for (let i = 0; i < 400; i++) {
    host.cpu = i & 1;
    host.pid = 100 + (i % 7);
    host.comm = `task-${host.pid}`;
    host.time += i % 50 === 0 ? 3_000_000_000 : 1500 * i;
    kitchenSink.trace(
      i - 200,
      2 ** 40 + i,
      `name ${i}`,
      `/some/path/${"x".repeat(i % 130)}`,
      [i, -i],
      -i,
      i % 3,
      i % 8,
    );
  }
  array.writeMarker(encodeUtf8("a marker"));
  const wanted: string[] = [];
  const squeeze = (line: string): string => line.trim().replace(/\s+/g, " ");
  for (const snapshot = array.pipe.snapshot(); ; ) {
    const record = snapshot.pop();
    if (record === undefined) break;
    wanted.push(
      squeeze(array.formatLine(record))
        .replace(" .....", "")
        .replace("tracing_mark_write: a", "print: tracing_mark_write: a"),
    );
  }
  const lines = report(array).filter((line) => !/^cpus=|^\s*CPU \d+ is empty|^version/.test(line));
  expect(lines.map(squeeze)).toEqual(wanted);
});

test.skipIf(!traceCmd)("trace-cmd reports how many events were overwritten (skipped without trace-cmd)", () => {
  const host = new FakeHost();
  const array = new TraceArray(host, [kitchenSink], { byteBudget: 16384 });
  array.selection.setEvent("demo:");
  for (let i = 0; i < 1000; i++) {
    host.time += 1000;
    kitchenSink.trace(i, i, "c", "d", [0, 0], 0, 0, 0);
  }
  const lost = array.pipe.ring(0).overrun;
  expect(report(array).join("\n")).toContain(`[${lost} EVENTS DROPPED]`);
});

test("the file starts with the magic, version 6, little endian, 8-byte longs and the page size", () => {
  const bytes = exportTraceDat(new TraceArray(new FakeHost(), [kitchenSink]));
  expect([...bytes.subarray(0, 18)]).toEqual([0x17, 0x08, 0x44, ...encodeUtf8("tracing6\0"), 0, 8, 0, 0x10, 0, 0]);
  expect(bytes.length % 4096).toBe(0);
});
