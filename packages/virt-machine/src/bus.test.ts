import { expect, test } from "vitest";
import { Bus } from "./bus.ts";

function createDevice() {
  const log: string[] = [];
  return {
    log,
    read(offset: number, byteLength: number): number {
      log.push(`r${byteLength}@${offset}`);
      return offset === 4 ? 0x8000_0001 | 0 : 0x1234_5678;
    },
    write(offset: number, byteLength: number, value: number): void {
      log.push(`w${byteLength}@${offset}=${value}`);
    },
  };
}

test("an access reaches the device at its address, with its own offset and size", () => {
  const bus = new Bus();
  const [a, b] = [createDevice(), createDevice()];
  bus.add("a", 0x1000, 0x100, a);
  bus.add("b", 0x2000, 0x100, b);
  bus.read(0x2004, 2);
  bus.write(0x1000, 4, 7);
  bus.write(0x20ff, 1, 9);
  expect(a.log).toEqual(["w4@0=7"]);
  expect(b.log).toEqual(["r2@4", "w1@255=9"]);
  expect(bus.nameAt(0x10ff)).toBe("a");
});

test("where nobody is, reads are undefined and writes false; so is an access that sticks out of a region", () => {
  const bus = new Bus();
  bus.add("a", 0x1000, 0x10, createDevice());
  expect(bus.read(0xfff, 4)).toBeUndefined();
  expect(bus.read(0x100e, 4)).toBeUndefined();
  expect(bus.write(0x1010, 1, 0)).toBe(false);
  expect(bus.nameAt(0)).toBeUndefined();
});

test("8 bytes are two words, the low one first", () => {
  const bus = new Bus();
  const device = createDevice();
  bus.add("a", 0, 0x10, device);
  expect(bus.read(0, 8)).toBe(0x8000_0001 * 0x1_0000_0000 + 0x1234_5678);
  bus.write(8, 8, 0x1_0000_0002);
  expect(device.log).toEqual(["r4@0", "r4@4", "w4@8=2", "w4@12=1"]);
});

test("a window is unsigned and relative; over nothing it reads zero", () => {
  const bus = new Bus();
  bus.add("a", 0x1000, 0x100, createDevice());
  const window = bus.window(0x1004, 4);
  expect(window.read32(0)).toBe(0x8000_0001);
  expect(window.read8(0)).toBe(1);
  const nothing = bus.window(0x5000, 0x100);
  nothing.write32(0, 1);
  expect([nothing.read8(0), nothing.read16(0), nothing.read32(0)]).toEqual([0, 0, 0]);
});

test("regions must not overlap", () => {
  const bus = new Bus();
  bus.add("a", 0x1000, 0x100, createDevice());
  expect(() => bus.add("b", 0x10ff, 1, createDevice())).toThrow('"b" overlaps "a"');
  expect(() => bus.add("c", 0x2000, 0, createDevice())).toThrow(RangeError);
});
