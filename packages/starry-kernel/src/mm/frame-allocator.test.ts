import { expect, test } from "vitest";
import type { GuestRam } from "../platform.ts";
import { FrameAllocator } from "./frame-allocator.ts";

function ram(pages: number): GuestRam {
  const bytes = new Uint8Array(pages * 4096);
  return { base: 0x8000_0000, size: bytes.length, bytes, view: new DataView(bytes.buffer) };
}

test("frames are named by physical page number and start with one reference, zeroed", () => {
  const guest = ram(4);
  guest.bytes.fill(0xff);
  const frames = new FrameAllocator({ ram: guest });
  const frame = frames.alloc();
  expect(frame).toBe(0x80000);
  expect(frames.refs(frame)).toBe(1);
  expect(frames.bytes(frame).every((b) => b === 0)).toBe(true);
});

test("the last reference frees a frame and tells about it", () => {
  const freed: number[] = [];
  const frames = new FrameAllocator({ ram: ram(4), onFree: (paddr) => freed.push(paddr) });
  const frame = frames.alloc();
  frames.get(frame);
  frames.put(frame);
  expect(freed).toEqual([]);
  frames.put(frame);
  expect(freed).toEqual([0x8000_0000]);
  expect(frames.free).toBe(4);
});

test("exhaustion is a value", () => {
  const frames = new FrameAllocator({ ram: ram(2) });
  frames.alloc();
  frames.alloc();
  expect(frames.alloc()).toBe(-1);
  expect(frames.allocContiguous(2)).toBe(-1);
});

test("a contiguous run is found among freed frames, and no frame is handed out twice", () => {
  const frames = new FrameAllocator({ ram: ram(8) });
  const all = Array.from({ length: 8 }, () => frames.alloc());
  for (const frame of all.slice(2, 6)) frames.put(frame);
  const run = frames.allocContiguous(3);
  expect(run).toBe(0x80003);
  const rest = frames.alloc();
  expect(rest).toBe(0x80002);
  expect(frames.alloc()).toBe(-1);
  for (let i = 0; i < 3; i++) frames.put(run + i);
  const again = new Set([frames.alloc(), frames.alloc(), frames.alloc()]);
  expect(again.size).toBe(3);
  expect(frames.alloc()).toBe(-1);
  expect(frames.free).toBe(0);
});

test("a wanted frame is handed out if it is free, used before or not", () => {
  const frames = new FrameAllocator({ ram: ram(6), reservedBytes: 4096 });
  const first = frames.alloc();
  expect(frames.alloc(true, first + 1)).toBe(first + 1);
  expect(frames.alloc(true, first + 1)).toBe(first + 2);
  expect(frames.alloc(true, first + 4)).toBe(first + 3);
  expect(frames.alloc(true, 0x80000)).toBe(first + 4);
  for (const frame of [first + 2, first + 1, first]) frames.put(frame);
  expect(frames.alloc(true, first + 1)).toBe(first + 1);
  expect([frames.alloc(true, first + 5), frames.alloc(), frames.alloc(true, -1)]).toEqual([first, first + 2, -1]);
  for (let n = 0; n < 5; n++) frames.put(first + n);
  expect(new Set(Array.from({ length: 5 }, () => frames.alloc())).size).toBe(5);
  expect(frames.free).toBe(0);
});

test("a reserved area is never handed out", () => {
  const frames = new FrameAllocator({ ram: ram(4), reservedBytes: 5000 });
  expect(frames.total).toBe(2);
  expect(frames.alloc()).toBe(0x80002);
});

test("freeing twice is reported as a bug", () => {
  const frames = new FrameAllocator({ ram: ram(2) });
  const frame = frames.alloc();
  frames.put(frame);
  expect(() => frames.put(frame)).toThrow(/freed twice/);
});
