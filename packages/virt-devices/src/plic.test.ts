import { expect, test } from "vitest";
import {
  PLIC_CLAIM_COMPLETE,
  PLIC_CONTEXT,
  PLIC_CONTEXT_STRIDE,
  PLIC_ENABLE,
  PLIC_ENABLE_STRIDE,
  PLIC_PENDING,
  PLIC_PRIORITY,
  PLIC_THRESHOLD,
  Plic,
} from "./plic.ts";

class Wire {
  high = false;
  raise(): void {
    this.high = true;
  }
  lower(): void {
    this.high = false;
  }
}

const claimAddress = (context: number): number => PLIC_CONTEXT + PLIC_CONTEXT_STRIDE * context + PLIC_CLAIM_COMPLETE;
const thresholdAddress = (context: number): number => PLIC_CONTEXT + PLIC_CONTEXT_STRIDE * context + PLIC_THRESHOLD;

function createPlic() {
  const wires = [new Wire(), new Wire()];
  const plic = new Plic(wires);
  const enable = (context: number, ...sources: number[]): void => {
    for (const source of sources) {
      const at = PLIC_ENABLE + PLIC_ENABLE_STRIDE * context + 4 * (source >> 5);
      plic.write(at, 4, plic.read(at, 4) | (1 << (source & 31)));
    }
  };
  const priority = (source: number, value: number): void => plic.write(PLIC_PRIORITY + 4 * source, 4, value);
  const claim = (context: number): number => plic.read(claimAddress(context), 4);
  const complete = (context: number, source: number): void => plic.write(claimAddress(context), 4, source);
  return { plic, wires, enable, priority, claim, complete };
}

test("a raised source interrupts the contexts that enabled it", () => {
  const { plic, wires, enable, priority, claim, complete } = createPlic();
  priority(10, 1);
  enable(1, 10);
  plic.line(10).raise();
  expect(wires.map((wire) => wire.high)).toEqual([false, true]);
  expect(plic.read(PLIC_PENDING, 4)).toBe(1 << 10);
  expect(claim(1)).toBe(10);
  expect(wires[1].high).toBe(false);
  expect(claim(1)).toBe(0);
  plic.line(10).lower();
  complete(1, 10);
  expect(wires[1].high).toBe(false);
});

test("a source that stays high is delivered again after completion", () => {
  const { plic, wires, enable, priority, claim, complete } = createPlic();
  priority(40, 3);
  enable(0, 40);
  plic.line(40).raise();
  expect(claim(0)).toBe(40);
  expect(wires[0].high).toBe(false);
  complete(0, 40);
  expect(wires[0].high).toBe(true);
  expect(claim(0)).toBe(40);
});

test("a request stays pending when its source drops before the claim", () => {
  const { plic, enable, priority, claim } = createPlic();
  priority(5, 1);
  enable(0, 5);
  plic.line(5).raise();
  plic.line(5).lower();
  expect(claim(0)).toBe(5);
});

test("the highest priority is claimed first, among equals the lowest number", () => {
  const { plic, enable, priority, claim } = createPlic();
  for (const [source, value] of [
    [9, 2],
    [33, 7],
    [34, 7],
    [70, 1],
  ]) {
    priority(source, value);
    enable(0, source);
    plic.line(source).raise();
  }
  expect([claim(0), claim(0), claim(0), claim(0), claim(0)]).toEqual([33, 34, 9, 70, 0]);
});

test("the threshold masks the wire but not the claim", () => {
  const { plic, wires, enable, priority, claim } = createPlic();
  priority(8, 3);
  enable(0, 8);
  plic.write(thresholdAddress(0), 4, 3);
  plic.line(8).raise();
  expect(wires[0].high).toBe(false);
  plic.write(thresholdAddress(0), 4, 2);
  expect(wires[0].high).toBe(true);
  plic.write(thresholdAddress(0), 4, 7);
  expect(claim(0)).toBe(8);
});

test("priority 0 never interrupts", () => {
  const { plic, wires, enable, claim } = createPlic();
  enable(0, 8);
  plic.line(8).raise();
  expect(wires[0].high).toBe(false);
  expect(claim(0)).toBe(0);
});

test("completion by a context that did not enable the source is ignored", () => {
  const { plic, enable, priority, claim, complete } = createPlic();
  priority(8, 1);
  enable(0, 8);
  plic.line(8).raise();
  expect(claim(0)).toBe(8);
  complete(1, 8);
  expect(claim(0)).toBe(0);
  complete(0, 8);
  expect(claim(0)).toBe(8);
});

test("source 0 cannot be enabled, and reserved offsets read as zero", () => {
  const { plic } = createPlic();
  plic.write(PLIC_ENABLE, 4, 0xffff_ffff);
  expect(plic.read(PLIC_ENABLE, 4)).toBe(0xffff_fffe);
  plic.write(PLIC_PRIORITY, 4, 7);
  expect(plic.read(PLIC_PRIORITY, 4)).toBe(0);
  for (const offset of [
    PLIC_PENDING + 12,
    PLIC_ENABLE + 12,
    PLIC_ENABLE + 0x100,
    PLIC_CONTEXT + 0x2000,
    PLIC_CONTEXT + 8,
    2,
    -4,
  ]) {
    plic.write(offset, 4, 0xffff_ffff);
    expect(plic.read(offset, 4)).toBe(0);
  }
  expect(() => plic.line(0)).toThrow(RangeError);
});

test("a snapshot keeps claimed and pending sources", () => {
  const { plic, enable, priority, claim } = createPlic();
  for (const source of [8, 9]) {
    priority(source, 1);
    enable(0, source);
    plic.line(source).raise();
  }
  expect(claim(0)).toBe(8);
  const other = createPlic();
  other.plic.restore(plic.save());
  expect(other.wires[0].high).toBe(true);
  expect([other.claim(0), other.claim(0)]).toEqual([9, 0]);
  other.complete(0, 8);
  expect(other.claim(0)).toBe(8);
});
