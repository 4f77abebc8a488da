/** VirtIOConsole and VirtIORng against the device models. */
import { expect, test } from "vitest";
import { ConsoleDevice, EntropyDevice } from "virt-devices";
import { ERR_UNSUPPORTED, VirtIOBlk, VirtIOConsole, VirtIORng } from "../src/index.ts";
import { createRig, ok, pattern } from "./rig.ts";

const text = (bytes: Uint8Array): string => String.fromCharCode(...bytes);
const bytesOf = (string: string): Uint8Array => Uint8Array.from(string, (c) => c.charCodeAt(0));

function createConsoleRig(inputLimit?: number) {
  const output: number[] = [];
  const model = new ConsoleDevice({
    onOutput: (bytes) => output.push(...bytes),
    columns: 132,
    rows: 43,
    ...(inputLimit === undefined ? {} : { inputLimit }),
  });
  const rig = createRig(model);
  return { ...rig, model, output, driver: ok(VirtIOConsole.create(rig.hal, rig.transport)) };
}

test("what the guest writes arrives at the host in order, also when larger than a page", () => {
  const { driver, output } = createConsoleRig();
  expect(driver.write(bytesOf("hello\n"))).toBe(6);
  expect(text(Uint8Array.from(output))).toBe("hello\n");
  const big = pattern(10_000, 5);
  expect(driver.write(big)).toBe(10_000);
  expect(Uint8Array.from(output.slice(6))).toEqual(big);
});

test("typed bytes reach the guest with an interrupt, also those typed before it was ready", () => {
  const output: number[] = [];
  const model = new ConsoleDevice({ onOutput: (bytes) => output.push(...bytes) });
  const rig = createRig(model);
  expect(model.input(bytesOf("early "))).toBe(6);
  const driver = ok(VirtIOConsole.create(rig.hal, rig.transport));
  model.input(bytesOf("bird"));
  expect(rig.irq.high).toBe(true);
  expect(driver.handleInterrupt()).toBe(1);
  const target = new Uint8Array(64);
  expect(text(target.subarray(0, driver.read(target)))).toBe("early bird");
  expect(driver.read(target)).toBe(0);
});

test("input beyond the guest's buffers waits at the device, and beyond its limit it is refused", () => {
  const { model, driver } = createConsoleRig(8192);
  const typed = pattern(20_000, 1);
  // 8 buffers of 512 bytes take 4096; 8192 bytes stay at the device.
  expect(model.input(typed)).toBe(12_288);
  expect(model.input(typed.subarray(12_288))).toBe(0);
  const received: number[] = [];
  const target = new Uint8Array(100);
  for (let n = driver.read(target); n > 0; n = driver.read(target)) received.push(...target.subarray(0, n));
  expect(Uint8Array.from(received)).toEqual(typed.subarray(0, 12_288));
});

test("a resized terminal is announced and read consistently", () => {
  const { model, driver, irq } = createConsoleRig();
  expect(driver.size()).toEqual({ columns: 132, rows: 43 });
  model.resize(80, 65_535);
  expect(irq.high).toBe(true);
  expect(driver.handleInterrupt()).toBe(2);
  expect(driver.size()).toEqual({ columns: 80, rows: 65_535 });
  expect(() => model.resize(0, 24)).toThrow(RangeError);
});

test("the emergency write prints one byte", () => {
  const { driver, output } = createConsoleRig();
  expect(driver.emergencyWrite(0x141)).toBe(0);
  expect(output).toEqual([0x41]);
});

test("random bytes come from the injected source; the device's page keeps none of them", () => {
  let next = 0;
  const rig = createRig(
    new EntropyDevice({
      fillRandom: (target) => {
        for (let i = 0; i < target.length; i++) target[i] = 1 + (next++ % 255);
      },
    }),
  );
  const rng = ok(VirtIORng.create(rig.hal, rig.transport));
  const small = new Uint8Array(7);
  expect(rng.requestEntropy(small)).toBe(7);
  expect([...small]).toEqual([1, 2, 3, 4, 5, 6, 7]);
  const large = new Uint8Array(10_000);
  expect(rng.fill(large)).toBe(0);
  expect(large.every((byte) => byte !== 0)).toBe(true);
  expect(rig.ram.includes(200)).toBe(false); // rings and descriptors hold no such byte
});

test("a driver refuses a device of another kind and leaves it alone", () => {
  const rig = createRig(new EntropyDevice({ fillRandom: () => {} }));
  expect(VirtIOBlk.create(rig.hal, rig.transport)).toBe(ERR_UNSUPPORTED);
  expect(VirtIOConsole.create(rig.hal, rig.transport)).toBe(ERR_UNSUPPORTED);
  expect(rig.transport.getStatus()).toBe(0);
});

test("release gives every frame back", () => {
  const rng = createRig(new EntropyDevice({ fillRandom: () => {} }));
  ok(VirtIORng.create(rng.hal, rng.transport)).release();
  expect(rng.frames.usedCount).toBe(0);
  const { driver, frames } = createConsoleRig();
  driver.release();
  expect(frames.usedCount).toBe(0);
});

test("a sender that was refused hears when the guest has taken input", () => {
  const typed = pattern(40_000, 2);
  let sent = 0;
  const model = new ConsoleDevice({
    onOutput: () => {},
    inputLimit: 1024,
    onInputRoom: () => {
      sent += model.input(typed.subarray(sent));
    },
  });
  const rig = createRig(model);
  const driver = ok(VirtIOConsole.create(rig.hal, rig.transport));
  sent += model.input(typed.subarray(sent));
  sent += model.input(typed.subarray(sent));
  const received: number[] = [];
  const target = new Uint8Array(700);
  for (let n = driver.read(target); n > 0; n = driver.read(target)) received.push(...target.subarray(0, n));
  expect(sent).toBe(40_000);
  expect(Uint8Array.from(received)).toEqual(typed);
});
