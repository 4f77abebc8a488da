import { expect, test } from "vitest";
import { MAX_PAYLOAD_SIZE, RingBuffer, SUB_BUFFER_DATA_SIZE, SUB_BUFFER_SIZE } from "./ring-buffer.ts";
import { TracePipeRaw } from "./trace-pipe.ts";

function recordOf(value: number, length = 12): Uint8Array {
  const record = new Uint8Array(length);
  new DataView(record.buffer).setUint32(0, value, true);
  return record;
}

function drain(ring: RingBuffer): [time: number, value: number][] {
  const all: [number, number][] = [];
  while (ring.peek()) {
    const record = ring.recordAt(ring.headCursor);
    all.push([ring.headCursor.recordTime, record[0]! | (record[1]! << 8) | (record[2]! << 16)]);
    ring.pop();
  }
  return all;
}

test("times survive deltas, extends and sub-buffer borders exactly", () => {
  const ring = new RingBuffer({ byteBudget: 64 * 1024 });
  const times = [0, 1, 2 ** 27 - 1, 2 ** 27, 2 ** 28, 1e10, 1e10, 1e10 + 2 ** 27 - 1, 2 ** 45, 2 ** 45 + 7, 2 ** 52];
  for (const [i, time] of times.entries()) expect(ring.push(time, recordOf(i, 4 + i * 50))).toBe(true);
  expect(drain(ring)).toEqual(times.map((time, i) => [time, i]));
});

test("a time that runs backwards is held at the last one", () => {
  const ring = new RingBuffer({ byteBudget: 8192 });
  ring.push(100, recordOf(1));
  ring.push(50, recordOf(2));
  expect(drain(ring)).toEqual([
    [100, 1],
    [100, 2],
  ]);
});

test("records of every length up to the largest come back with zero padding; a longer one is dropped and counted", () => {
  const ring = new RingBuffer({ byteBudget: 1 << 20 });
  for (let length = 1; length <= MAX_PAYLOAD_SIZE; length += length < 130 ? 1 : 97) {
    ring.push(length, new Uint8Array(200).fill(0xff)); // leftovers that must not show through
    ring.pop();
    expect(ring.push(length, new Uint8Array(length).fill(7))).toBe(true);
    ring.peek();
    const back = ring.recordAt(ring.headCursor);
    expect(back.length).toBe(Math.ceil(length / 4) * 4);
    expect(back.every((byte, i) => byte === (i < length ? 7 : 0))).toBe(true);
    ring.pop();
  }
  expect(ring.push(1, new Uint8Array(MAX_PAYLOAD_SIZE + 1))).toBe(false);
  expect(ring.droppedEvents).toBe(1);
});

test("a full ring overwrites its oldest sub-buffer and counts what was lost; order and the newest records hold", () => {
  const ring = new RingBuffer({ byteBudget: SUB_BUFFER_DATA_SIZE * 3 });
  const count = 5000;
  for (let i = 0; i < count; i++) ring.push(i * 10, recordOf(i));
  const kept = ring.entries;
  expect(ring.overrun + kept).toBe(count);
  expect(ring.lostEvents).toBe(ring.overrun);
  const values = drain(ring).map(([, value]) => value);
  expect(values).toEqual(Array.from({ length: kept }, (_, i) => count - kept + i));
  expect(kept).toBeGreaterThan(2 * 250);
});

test("without overwrite a full ring refuses, and takes records again once it is read", () => {
  const ring = new RingBuffer({ byteBudget: 8192, overwrite: false });
  let stored = 0;
  while (ring.push(stored, recordOf(stored))) stored++;
  expect([ring.droppedEvents, ring.overrun, ring.entries]).toEqual([1, 0, stored]);
  expect(drain(ring)).toHaveLength(stored);
  for (let i = 0; i < 10 * stored; i++) {
    expect(ring.push(1e6 + i, recordOf(i))).toBe(true);
    ring.pop();
  }
});

test("interleaved pushes and pops against a plain list", () => {
  const ring = new RingBuffer({ byteBudget: 4 * SUB_BUFFER_DATA_SIZE, overwrite: false });
  const list: [number, number][] = [];
  let seed = 1;
  const random = (n: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    return (seed >> 8) % n;
  };
  let time = 0;
  for (let i = 0; i < 20_000; i++) {
    if (random(5) < 3) {
      time += random(10) === 0 ? 2 ** 27 + random(1000) : random(1000);
      if (ring.push(time, recordOf(i, 4 + random(300)))) list.push([time, i]);
    } else if (list.length > 0) {
      expect(ring.peek()).toBe(true);
      const record = ring.recordAt(ring.headCursor);
      expect([ring.headCursor.recordTime, record[0]! | (record[1]! << 8) | (record[2]! << 16)]).toEqual(list.shift());
      ring.pop();
    }
    expect(ring.entries).toBe(list.length);
  }
});

test("a cursor walks without consuming, and starts over at the oldest when it was overtaken", () => {
  const ring = new RingBuffer({ byteBudget: 8192 });
  for (let i = 0; i < 10; i++) ring.push(i, recordOf(i));
  const cursor = ring.cursor();
  for (let i = 0; i < 10; i++) {
    expect(ring.decode(cursor)).toBe(true);
    expect(ring.recordAt(cursor)[0]).toBe(i);
    ring.skip(cursor);
  }
  expect(ring.decode(cursor)).toBe(false);
  expect(ring.entries).toBe(10);
  for (let i = 0; i < 5000; i++) ring.push(100 + i, recordOf(i));
  expect(ring.decode(cursor)).toBe(true);
  ring.peek();
  expect(cursor.recordTime).toBe(ring.headCursor.recordTime);
});

test("a sub-buffer read out whole holds the unread events, their start time and the number of lost ones", () => {
  const ring = new RingBuffer({ byteBudget: 8192 });
  const out = new Uint8Array(SUB_BUFFER_SIZE);
  expect(ring.readPage(out)).toBe(0);
  for (let i = 0; i < 4; i++) ring.push(1000 + i * 5, recordOf(i));
  ring.pop();
  expect(ring.readPage(out)).toBe(SUB_BUFFER_SIZE);
  const view = new DataView(out.buffer);
  expect(view.getBigUint64(0, true)).toBe(1000n); // the consumed event's time: the next delta counts from there
  expect(view.getBigUint64(8, true)).toBe(BigInt(3 * 16));
  expect(view.getUint32(16, true)).toBe((5 << 5) | 3);
  expect([ring.entries, ring.isEmpty]).toEqual([0, true]);
  ring.push(2000, recordOf(9));
  expect(drain(ring)).toEqual([[2000, 9]]);
  for (let i = 0; i < 2000; i++) ring.push(3000 + i, recordOf(i));
  const lost = ring.lostEvents;
  expect(lost).toBeGreaterThan(0);
  ring.readPage(out);
  const commit = view.getUint32(8, true);
  expect(commit & 0x8000_0000).not.toBe(0);
  if ((commit & 0x4000_0000) !== 0) expect(view.getBigUint64(16 + (commit & 0xfffff), true)).toBe(BigInt(lost));
});

test("a snapshot of a ring that has wrapped reads the same as the ring", () => {
  const ring = new RingBuffer({ byteBudget: 3 * SUB_BUFFER_DATA_SIZE });
  for (let i = 0; i < 3000; i++) ring.push(i, recordOf(i));
  for (let i = 0; i < 7; i++) ring.pop();
  const copy = ring.snapshot();
  expect(drain(copy)).toEqual(drain(ring));
});

test("clear empties and resets the counters", () => {
  const ring = new RingBuffer({ byteBudget: 8192 });
  for (let i = 0; i < 3000; i++) ring.push(1e9 + i, recordOf(i));
  ring.clear();
  expect([ring.entries, ring.overrun, ring.bytesUsed, ring.peek()]).toEqual([0, 0, 0, false]);
  ring.push(5, recordOf(1));
  expect(drain(ring)).toEqual([[5, 1]]);
});

test("the pipe merges CPUs by time", () => {
  const pipe = new TracePipeRaw({ cpuCount: 3, byteBudget: 8192 });
  pipe.pushRecord(30, 2, recordOf(3));
  pipe.pushRecord(10, 1, recordOf(1));
  pipe.pushRecord(20, 0, recordOf(2));
  pipe.pushRecord(20, 1, recordOf(4));
  const order: number[][] = [];
  for (let record = pipe.pop(); record !== undefined; record = pipe.pop()) order.push([record.cpuId, record.event[0]!]);
  expect(order).toEqual([
    [1, 1],
    [0, 2],
    [1, 4],
    [2, 3],
  ]);
  expect(() => pipe.pushRecord(1, 3, recordOf(1))).toThrow(RangeError);
});

test("resizing keeps the newest records that fit", () => {
  const pipe = new TracePipeRaw({ byteBudget: 1 << 16 });
  for (let i = 0; i < 2000; i++) pipe.pushRecord(i, 0, recordOf(i));
  pipe.resize(0, 8192);
  const first = pipe.peek()!;
  const left = pipe.eventCount();
  expect(left).toBeLessThan(800);
  expect(first.timestamp).toBe(2000 - left);
  pipe.resize(0, 1 << 16);
  expect(pipe.eventCount()).toBe(left);
});

test("the record after a loss tells how many were lost", () => {
  const pipe = new TracePipeRaw({ byteBudget: 8192 });
  for (let i = 0; i < 2000; i++) pipe.pushRecord(i, 0, recordOf(i));
  const record = pipe.pop()!;
  expect(record.lost).toBe(pipe.ring(0).overrun);
  expect(pipe.pop()!.lost).toBe(0);
});

test("memory grows with what is stored, up to the budget, and nothing is lost on the way", () => {
  const ring = new RingBuffer({ byteBudget: 1 << 20 });
  for (let i = 0; i < 40_000; i++) ring.push(i, recordOf(i));
  expect([ring.entries, ring.overrun]).toEqual([40_000, 0]);
  while (ring.overrun === 0) ring.push(1e6, recordOf(0));
  expect(ring.entries).toBeGreaterThan(65_000);
  expect(drain(ring)[0]![1]).toBe(ring.overrun);
});

test("a snapshot may be rewound and read again; a view copies nothing and consumes nothing", () => {
  const pipe = new TracePipeRaw({ cpuCount: 2, byteBudget: 1 << 16 });
  for (let i = 0; i < 50; i++) pipe.pushRecord(i, i & 1, recordOf(i));
  for (const walk of [pipe.snapshot(), pipe.view()]) {
    for (let round = 0; round < 2; round++) {
      const values: number[] = [];
      for (let record = walk.pop(); record !== undefined; record = walk.pop()) values.push(record.event[0]!);
      expect(values).toEqual(Array.from({ length: 50 }, (_, i) => i));
      expect(walk.isEmpty()).toBe(true);
      walk.rewind();
    }
  }
  expect(pipe.snapshot(1).entries).toBe(25);
  expect(pipe.eventCount()).toBe(50);
});
