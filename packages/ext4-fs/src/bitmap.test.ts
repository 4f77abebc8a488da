import { expect, test } from "vitest";
import { allBits, clearBits, countZeros, nextOne, nextZero, setBits, testBit } from "./bitmap.ts";

test("ranges are set, cleared and found at every alignment", () => {
  for (let start = 0; start < 20; start++) {
    for (let count = 1; count < 30; count++) {
      const bits = new Uint8Array(8);
      setBits(bits, start, count);
      expect([nextOne(bits, undefined, 0, 64), nextZero(bits, undefined, start, 64)]).toEqual([start, start + count]);
      expect(allBits(bits, start, count, true)).toBe(true);
      expect(allBits(bits, start, count + 1, true)).toBe(false);
      expect(countZeros(bits, 64)).toBe(64 - count);
      clearBits(bits, start, count);
      expect(allBits(bits, 0, 64, false)).toBe(true);
    }
  }
});

test("bits of a second map count as taken", () => {
  const bits = Uint8Array.of(0b0000_0011);
  const held = Uint8Array.of(0b0000_1100);
  expect([nextZero(bits, held, 0, 8), nextOne(bits, held, 4, 8), nextOne(bits, held, 2, 8)]).toEqual([4, 8, 2]);
  expect([testBit(bits, 1), testBit(bits, 2)]).toEqual([true, false]);
});
