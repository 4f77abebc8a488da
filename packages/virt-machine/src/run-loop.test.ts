import { expect, test } from "vitest";
import { VirtualClock } from "./clock.ts";
import { type LoopHost, loopHost, runLoop } from "./run-loop.ts";

/** A host whose time stands still unless a step or a sleep lets it pass. */
class FakeHost implements LoopHost {
  time = 0;
  readonly deferred: (() => void)[] = [];
  timers: { at: number; callback: () => void }[] = [];

  nowMs(): number {
    return this.time;
  }

  defer(callback: () => void): void {
    this.deferred.push(callback);
  }

  delay(ms: number, callback: () => void): () => void {
    const timer = { at: this.time + ms, callback };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((each) => each !== timer);
    };
  }

  /** Runs deferred callbacks until none is left; returns how many there were. */
  turns(limit: number = 1000): number {
    let count = 0;
    while (this.deferred.length > 0 && count < limit) {
      count++;
      this.deferred.shift()!();
    }
    return count;
  }

  /** Lets the next timer expire. */
  expire(): void {
    const timer = this.timers.shift()!;
    this.time = timer.at;
    timer.callback();
  }
}

test("work goes on in turns of bounded length, host events in between", () => {
  const host = new FakeHost();
  let steps = 0;
  runLoop(
    () => {
      host.time += 3;
      return ++steps < 10 ? 1 : 0;
    },
    host,
    { turnMs: 10 },
  );
  expect(steps).toBe(0); // nothing runs before the host's turn ends
  host.turns(1);
  expect(steps).toBe(4);
  expect(host.turns()).toBe(2);
  expect(steps).toBe(10);
});

test("an idle machine costs nothing until it is woken", () => {
  const host = new FakeHost();
  let steps = 0;
  const loop = runLoop(() => -0 * ++steps, host);
  host.turns();
  expect(steps).toBe(1);
  expect(host.timers).toEqual([]);
  loop.wake();
  loop.wake();
  expect(host.turns()).toBe(1);
  expect(steps).toBe(2);
});

test("a timer ends the sleep, and so does a wake before it", () => {
  const host = new FakeHost();
  let steps = 0;
  const loop = runLoop(() => {
    steps++;
    return -2_500_000;
  }, host);
  host.turns();
  expect(host.timers.map((timer) => timer.at)).toEqual([3]);
  host.expire();
  expect(steps).toBe(2);
  loop.wake();
  expect(host.timers).toEqual([]);
  host.turns();
  expect(steps).toBe(3);
});

test("waits below a millisecond do not use the host's coarse timers", () => {
  const host = new FakeHost();
  runLoop(() => -200_000, host);
  host.turns(5);
  expect(host.timers).toEqual([]);
  expect(host.deferred.length).toBe(1);
});

test("a wake during a step is not lost", () => {
  const host = new FakeHost();
  let steps = 0;
  const loop = runLoop(() => {
    if (++steps === 1) loop.wake();
    return 0;
  }, host);
  host.turns();
  expect(steps).toBe(2);
});

test("a virtual clock passes idle time at once", () => {
  const host = new FakeHost();
  const clock = new VirtualClock();
  let steps = 0;
  runLoop(() => (++steps < 5 ? -1_000_000_000 : 0), host, { clock });
  host.turns();
  expect(steps).toBe(5);
  expect(clock.monotonicNs()).toBe(4_000_000_000);
  expect(host.timers).toEqual([]);
});

test("it ends when the machine has halted, when stopped, and with what a step throws", async () => {
  const host = new FakeHost();
  let steps = 0;
  const halted = runLoop(() => ++steps, host, { isHalted: () => steps === 3 });
  const stopped = runLoop(() => 0, host);
  const failed = runLoop(() => {
    throw new Error("bug");
  }, host);
  const outcome = failed.finished.catch((error: Error) => error.message);
  host.turns();
  stopped.stop();
  stopped.wake();
  await halted.finished;
  await stopped.finished;
  expect(await outcome).toBe("bug");
  expect(host.deferred).toEqual([]);
});

test("a real host: sleeps, wakes and lets its own events run", async () => {
  const host = loopHost(globalThis as never);
  let steps = 0;
  let events = 0;
  const timer = (globalThis as never as { setInterval(f: () => void, ms: number): unknown }).setInterval(
    () => events++,
    1,
  );
  const loop = runLoop(
    () => {
      const until = host.nowMs() + 2;
      while (host.nowMs() < until);
      return ++steps < 10 ? 1 : -1_500_000;
    },
    host,
    { turnMs: 1, isHalted: () => steps === 12 },
  );
  await loop.finished;
  (globalThis as never as { clearInterval(t: unknown): void }).clearInterval(timer);
  expect(steps).toBe(12);
  expect(events).toBeGreaterThan(0);
});

test("a browser host defers through one message channel, in order", () => {
  const posted: unknown[] = [];
  let deliver: () => void = () => {};
  class MessageChannel {
    readonly port1 = {
      set onmessage(handler: () => void) {
        deliver = handler;
      },
    };
    readonly port2 = { postMessage: (message: unknown) => posted.push(message) };
  }
  const host = loopHost({
    performance: { now: () => 0 },
    setTimeout: () => 0,
    clearTimeout: () => {},
    MessageChannel,
  } as never);
  const order: number[] = [];
  host.defer(() => order.push(1));
  host.defer(() => order.push(2));
  expect(posted.length).toBe(2);
  deliver();
  deliver();
  deliver();
  expect(order).toEqual([1, 2]);
});
