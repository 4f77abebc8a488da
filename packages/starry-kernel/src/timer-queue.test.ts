import { expect, test } from "vitest";
import { Timer, TimerQueue } from "./timer-queue.ts";

test("timers expire in order of their deadlines, once each", () => {
  const queue = new TimerQueue();
  const order: number[] = [];
  const deadlines = [50, 10, 40, 20, 30, 10];
  for (const deadline of deadlines) queue.arm(new Timer(() => order.push(deadline)), deadline);
  expect(queue.nextNs).toBe(10);
  queue.runDue(30);
  expect(order).toEqual([10, 10, 20, 30]);
  queue.runDue(100);
  expect(order).toEqual([10, 10, 20, 30, 40, 50]);
  expect(queue.nextNs).toBe(Number.POSITIVE_INFINITY);
});

test("a timer can be moved, disarmed and armed again", () => {
  const queue = new TimerQueue();
  let count = 0;
  const timer = new Timer(() => count++);
  queue.arm(timer, 10);
  queue.arm(timer, 50);
  queue.runDue(20);
  expect(count).toBe(0);
  queue.arm(timer, Number.POSITIVE_INFINITY);
  expect(timer.armed).toBe(false);
  queue.runDue(100);
  queue.arm(timer, 5);
  queue.runDue(5);
  expect(count).toBe(1);
});

test("a timer that re-arms itself in the past does not keep the kernel for ever", () => {
  const queue = new TimerQueue();
  let count = 0;
  const timer = new Timer(() => {
    count++;
    queue.arm(timer, 0);
  });
  queue.arm(timer, 0);
  queue.runDue(1);
  expect(count).toBeLessThanOrEqual(10_000);
});

test("random arming and disarming agrees with a sorted list", () => {
  const queue = new TimerQueue();
  let state = 7;
  const next = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state >>> 8) % below;
  };
  const fired: number[] = [];
  const timers = Array.from({ length: 50 }, (_, i) => new Timer(() => fired.push(i)));
  const deadlines = new Map<number, number>();
  for (let step = 0; step < 2000; step++) {
    const i = next(50);
    if (next(3) === 0) {
      queue.disarm(timers[i] as Timer);
      deadlines.delete(i);
    } else {
      const deadline = next(10_000);
      queue.arm(timers[i] as Timer, deadline);
      deadlines.set(i, deadline);
    }
    expect(queue.nextNs).toBe(Math.min(Number.POSITIVE_INFINITY, ...deadlines.values()));
  }
  queue.runDue(5000);
  const due = [...deadlines].filter(([, d]) => d <= 5000);
  expect(fired.slice().sort((a, b) => a - b)).toEqual(due.map(([i]) => i).sort((a, b) => a - b));
});
