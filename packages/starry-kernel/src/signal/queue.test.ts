import { SIGCHLD, SIGSEGV, SIGTERM, SIGUSR1 } from "linux-abi";
import { expect, test } from "vitest";
import { SignalQueue } from "./queue.ts";
import { SI_QUEUE, SI_USER, signalInfo } from "./siginfo.ts";

test("a standard signal is queued once and keeps its first info", () => {
  const queue = new SignalQueue();
  expect(queue.push(signalInfo(SIGUSR1, SI_USER, { pid: 1 }))).toBe(true);
  expect(queue.push(signalInfo(SIGUSR1, SI_USER, { pid: 2 }))).toBe(false);
  expect(queue.take(SIGUSR1).pid).toBe(1);
  expect(queue.empty).toBe(true);
});

test("real-time signals are queued each time and taken in order", () => {
  const queue = new SignalQueue();
  for (const valueLo of [1, 2, 3]) queue.push(signalInfo(40, SI_QUEUE, { valueLo }));
  expect([queue.take(40).valueLo, queue.take(40).valueLo]).toEqual([1, 2]);
  expect(queue.has(40)).toBe(true);
  expect(queue.take(40).valueLo).toBe(3);
  expect(queue.has(40)).toBe(false);
});

test("the lowest unblocked signal comes first, faults before all others", () => {
  const queue = new SignalQueue();
  for (const signal of [64, 33, SIGTERM, SIGCHLD, 32, SIGSEGV]) queue.push(signalInfo(signal, SI_USER));
  const order: number[] = [];
  for (let signal = queue.next(0, 0); signal !== 0; signal = queue.next(0, 0)) {
    order.push(signal);
    queue.take(signal);
  }
  expect(order).toEqual([SIGSEGV, SIGTERM, SIGCHLD, 32, 33, 64]);
});

test("blocked signals stay, discarded ones go", () => {
  const queue = new SignalQueue();
  queue.push(signalInfo(SIGTERM, SI_USER));
  queue.push(signalInfo(50, SI_USER));
  expect(queue.next(1 << (SIGTERM - 1), 1 << (50 - 33))).toBe(0);
  queue.discard(SIGTERM);
  expect(queue.has(SIGTERM)).toBe(false);
  expect(queue.length).toBe(1);
});
