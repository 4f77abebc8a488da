/** CLINT, real-time clock and test finisher. */
import { expect, test } from "vitest";
import { CLINT_MSIP, CLINT_MTIME, CLINT_MTIMECMP, Clint } from "./clint.ts";
import {
  GoldfishRtc,
  RTC_ALARM_HIGH,
  RTC_ALARM_LOW,
  RTC_ALARM_STATUS,
  RTC_CLEAR_INTERRUPT,
  RTC_IRQ_ENABLED,
  RTC_TIME_HIGH,
  RTC_TIME_LOW,
} from "./goldfish-rtc.ts";
import { type Finish, TestFinisher } from "./test-finisher.ts";

function wire() {
  return {
    high: false,
    raise(): void {
      this.high = true;
    },
    lower(): void {
      this.high = false;
    },
  };
}

function createClint() {
  const time = { now: 0 };
  const harts = [
    { software: wire(), timer: wire() },
    { software: wire(), timer: wire() },
  ];
  return { time, harts, clint: new Clint({ harts, nowTicks: () => time.now }) };
}

test("the timer line follows mtime >= mtimecmp", () => {
  const { time, harts, clint } = createClint();
  expect(clint.ticksUntilTimer()).toBe(Infinity);
  clint.write(CLINT_MTIMECMP + 8, 8, 1000);
  expect(clint.ticksUntilTimer()).toBe(1000);
  time.now = 999;
  clint.update();
  expect(harts[1].timer.high).toBe(false);
  time.now = 1000;
  clint.update();
  expect([harts[0].timer.high, harts[1].timer.high]).toEqual([false, true]);
  expect(clint.ticksUntilTimer()).toBe(0);
  clint.write(CLINT_MTIMECMP + 8, 4, 2000);
  expect(harts[1].timer.high).toBe(false);
});

test("64-bit registers work as words and as double words, up to all ones", () => {
  const { time, clint } = createClint();
  time.now = 0x12_3456_789a;
  expect(clint.read(CLINT_MTIME, 4)).toBe(0x3456_789a);
  expect(clint.read(CLINT_MTIME + 4, 4)).toBe(0x12);
  expect(clint.read(CLINT_MTIME, 8)).toBe(0x12_3456_789a);
  clint.write(CLINT_MTIMECMP, 8, 2 ** 64);
  expect(clint.read(CLINT_MTIMECMP, 4)).toBe(0xffff_ffff);
  expect(clint.read(CLINT_MTIMECMP + 4, 4)).toBe(0xffff_ffff);
  expect(clint.ticksUntilTimer()).toBe(Infinity);
  clint.write(CLINT_MTIME, 4, 5);
  expect(clint.read(CLINT_MTIME, 8)).toBe(0x12_0000_0005);
  clint.write(CLINT_MTIME + 4, 4, 0);
  expect(clint.mtime).toBe(5);
});

test("software interrupts, reserved offsets and a snapshot", () => {
  const { time, harts, clint } = createClint();
  clint.write(CLINT_MSIP + 4, 4, 0xff);
  expect(clint.read(CLINT_MSIP + 4, 4)).toBe(1);
  expect([harts[0].software.high, harts[1].software.high]).toEqual([false, true]);
  for (const offset of [8, 0x3ffc, CLINT_MTIMECMP + 16, CLINT_MTIME + 8, 1]) {
    clint.write(offset, 4, 1);
    expect(clint.read(offset, 4)).toBe(0);
  }
  time.now = 77;
  clint.write(CLINT_MTIMECMP, 8, 100);
  const other = createClint();
  other.time.now = 1_000_000;
  other.clint.restore(clint.save());
  expect(other.clint.mtime).toBe(77);
  expect(other.harts[1].software.high).toBe(true);
  expect(other.clint.ticksUntilTimer()).toBe(23);
});

test("the clock tells the host's time; its halves belong together", () => {
  let now = 0x1700_ffff_ff00;
  const rtc = new GoldfishRtc({ irq: wire(), realtimeNs: () => now });
  expect(rtc.read(RTC_TIME_LOW, 4)).toBe(0xffff_ff00);
  now += 0x200;
  expect(rtc.read(RTC_TIME_HIGH, 4)).toBe(0x1700);
  expect(rtc.read(RTC_TIME_LOW, 4)).toBe(0x100);
  expect(rtc.read(RTC_TIME_HIGH, 4)).toBe(0x1701);
});

test("the clock can be set, and goes on from there", () => {
  let now = 1000;
  const rtc = new GoldfishRtc({ irq: wire(), realtimeNs: () => now });
  rtc.write(RTC_TIME_HIGH, 4, 2);
  rtc.write(RTC_TIME_LOW, 4, 500);
  now += 25;
  expect(rtc.read(RTC_TIME_LOW, 4)).toBe(525);
  expect(rtc.read(RTC_TIME_HIGH, 4)).toBe(2);
});

test("the alarm interrupts once when it is due and its interrupt is on", () => {
  const time = { now: 0 };
  const irq = wire();
  const rtc = new GoldfishRtc({ irq, realtimeNs: () => time.now });
  rtc.write(RTC_IRQ_ENABLED, 4, 1);
  rtc.write(RTC_ALARM_HIGH, 4, 0);
  rtc.write(RTC_ALARM_LOW, 4, 5000);
  expect(rtc.read(RTC_ALARM_STATUS, 4)).toBe(1);
  expect(rtc.nsUntilAlarm()).toBe(5000);
  time.now = 5001;
  rtc.update();
  expect(irq.high).toBe(true);
  expect(rtc.nsUntilAlarm()).toBe(Infinity);
  rtc.write(RTC_CLEAR_INTERRUPT, 4, 1);
  expect(irq.high).toBe(false);
});

test("the finisher knows pass, fail with a code, and reset", () => {
  const finishes: Finish[] = [];
  const finisher = new TestFinisher((finish) => finishes.push(finish));
  finisher.write(0, 4, 0x5555);
  finisher.write(0, 4, (42 << 16) | 0x3333);
  finisher.write(0, 2, 0x7777);
  finisher.write(4, 4, 0x5555);
  finisher.write(0, 1, 0x55);
  finisher.write(0, 4, 0x1234);
  expect(finishes).toEqual([{ kind: "poweroff", code: 0 }, { kind: "poweroff", code: 42 }, { kind: "reboot" }]);
  expect(finisher.read()).toBe(0);
});
