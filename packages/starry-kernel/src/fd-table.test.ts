import { EBADF, EMFILE, O_PATH, O_RDWR } from "linux-abi";
import { expect, test } from "vitest";
import { FdTable } from "./fd-table.ts";
import { OpenFile } from "./file.ts";
import type { Task } from "./task/task.ts";

class Probe extends OpenFile {
  released = 0;
  override release(): void {
    this.released++;
  }
}

const task = {} as Task; // files here do not look at it

test("the lowest free number is used, from a given one on, below the limit", () => {
  const table = new FdTable();
  for (const expected of [0, 1, 2, 3]) expect(table.install(new Probe(O_RDWR), false, 10)).toBe(expected);
  table.close(task, 1);
  expect(table.install(new Probe(O_RDWR), false, 10)).toBe(1);
  expect(table.install(new Probe(O_RDWR), false, 10, 7)).toBe(7);
  expect(table.install(new Probe(O_RDWR), false, 10)).toBe(4);
  expect(table.install(new Probe(O_RDWR), false, 5)).toBe(-EMFILE);
  expect(table.install(new Probe(O_RDWR), false, 10)).toBe(5);
});

test("a file is released when its last descriptor goes", () => {
  const table = new FdTable();
  const file = new Probe(O_RDWR);
  const a = table.install(file, false, 10);
  const b = table.install(file.get(), false, 10);
  table.close(task, a);
  expect(file.released).toBe(0);
  table.close(task, b);
  expect(file.released).toBe(1);
  expect(table.close(task, b)).toBe(-EBADF);
});

test("a forked table holds its own references; execve closes what is marked", () => {
  const table = new FdTable();
  const kept = new Probe(O_RDWR);
  const marked = new Probe(O_RDWR);
  table.install(kept, false, 10);
  table.install(marked, true, 10);
  const child = table.clone();
  child.closeForExec(task);
  expect(child.peek(1)).toBeUndefined();
  expect(marked.released).toBe(0);
  table.put(task);
  expect([kept.released, marked.released]).toEqual([0, 1]);
  child.put(task);
  expect(kept.released).toBe(1);
});

test("an O_PATH descriptor does no I/O", () => {
  const table = new FdTable();
  const fd = table.install(new Probe(O_PATH), false, 10);
  expect(table.get(fd)).toBeUndefined();
  expect(table.peek(fd)).toBeDefined();
});
