import { expect, test } from "vitest";
import { type PollListener, PollSet } from "./poll-set.ts";

function listener(log: string[], name: string, then: () => void = () => {}): PollListener {
  return {
    pollWake(events) {
      log.push(`${name}:${events}`);
      then();
    },
  };
}

test("everyone who listens is told, in order", () => {
  const set = new PollSet();
  const log: string[] = [];
  set.add(listener(log, "a"));
  set.add(listener(log, "b"));
  set.wake(4);
  expect(log).toEqual(["a:4", "b:4"]);
});

test("a set without listeners holds nothing", () => {
  const set = new PollSet();
  const a = listener([], "a");
  expect(set.active).toBe(false);
  set.add(a);
  expect(set.active).toBe(true);
  set.remove(a);
  expect(set.active).toBe(false);
  set.wake(1);
});

test("listeners may remove themselves and others, and add new ones, while being told", () => {
  const set = new PollSet();
  const log: string[] = [];
  const late = listener(log, "late");
  const b = listener(log, "b");
  const a = listener(log, "a", () => {
    set.remove(a);
    set.remove(b);
    set.add(late);
  });
  const c = listener(log, "c");
  for (const l of [a, b, c]) set.add(l);
  set.wake(1);
  expect(log).toEqual(["a:1", "c:1"]);
  set.wake(2);
  expect(log).toEqual(["a:1", "c:1", "c:2", "late:2"]);
});
