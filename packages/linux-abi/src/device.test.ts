import { expect, test } from "vitest";
import { major, makedev, minor } from "./device.ts";

test("device numbers keep 12 bits of major and 20 of minor", () => {
  expect(makedev(8, 1)).toBe(0x801);
  for (const [a, b] of [
    [136, 5],
    [4095, 1048575],
    [259, 65536],
  ]) {
    expect([major(makedev(a, b)), minor(makedev(a, b))]).toEqual([a, b]);
  }
});
