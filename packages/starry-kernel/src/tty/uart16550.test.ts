import { O_RDWR, makedev } from "linux-abi";
import { beforeEach, describe, expect, test } from "vitest";
import type { OpenFile } from "../file.ts";
import { IoBuffer } from "../io-buffer.ts";
import { AT_POSITION, readFile, writeFile } from "../io-wait.ts";
import { Plic } from "../irq/plic.ts";
import type { MmioRegion } from "../platform.ts";
import type { Task } from "../task/task.ts";
import { MEMORY_BASE, TestKernel } from "../testing/test-kernel.ts";
import { addSerialConsole, installTerminals } from "./install.ts";

const BUF = MEMORY_BASE + 0x1000;

/** The device: a queue of received bytes, a record of sent ones, room for so many. */
class FakeUart implements MmioRegion {
  readonly received: number[] = [];
  sent = "";
  room = Number.POSITIVE_INFINITY;
  ier = 0;
  read8(offset: number): number {
    if (offset === 0) return this.received.shift() ?? 0;
    if (offset === 5) return (this.received.length > 0 ? 1 : 0) | (this.room > 0 ? 0x20 : 0);
    return 0;
  }
  write8(offset: number, value: number): void {
    if (offset === 1) this.ier = value;
    if (offset !== 0 || this.ier < 0) return;
    this.sent += String.fromCharCode(value);
    this.room--;
  }
  read16 = (): number => 0;
  read32 = (): number => 0;
  write16 = (): void => {};
  write32 = (): void => {};
}

/** The controller: pending sources, in order; completion writes. */
class FakePlic implements MmioRegion {
  readonly pending: number[] = [];
  readonly completed: number[] = [];
  enabled = 0;
  read32(offset: number): number {
    if (offset === 0x2080) return this.enabled;
    return offset === 0x20_1004 ? (this.pending.shift() ?? 0) : 0;
  }
  write32(offset: number, value: number): void {
    if (offset === 0x2080) this.enabled = value;
    if (offset === 0x20_1004) this.completed.push(value);
  }
  read8 = (): number => 0;
  read16 = (): number => 0;
  write8 = (): void => {};
  write16 = (): void => {};
}

let k: TestKernel;
let task: Task;
let uart: FakeUart;
let controller: FakePlic;
let plic: Plic;
let file: OpenFile;

beforeEach(() => {
  k = new TestKernel();
  uart = new FakeUart();
  controller = new FakePlic();
  (k.kernel.platform as { mmio: unknown }).mmio = () => uart;
  plic = new Plic(controller);
  installTerminals(k.kernel);
  addSerialConsole(k.kernel, plic);
  task = k.task();
  file = k.kernel.charDevices.find(5, 1)?.open(task, makedev(5, 1), O_RDWR) as OpenFile;
});

function interrupt(): void {
  controller.pending.push(10);
  plic.dispatch();
  k.settle();
}

describe("serial console", () => {
  test("enables its source at the controller and its receive interrupt", () => {
    expect([controller.enabled, uart.ier]).toEqual([1 << 10, 1]);
  });

  test("a typed line wakes the reader and is echoed", () => {
    const call = k.start(task, readFile(task, file, new IoBuffer().setUser(task.memory, BUF, 80), AT_POSITION, false));
    uart.received.push(...Buffer.from("ls\r"));
    interrupt();
    expect(call.result).toBe(3);
    expect(k.memory(task).text(BUF, 3)).toBe("ls\n");
    expect(uart.sent).toBe("ls\r\n");
    expect([controller.completed, plic.counts[10]]).toEqual([[10], 1]);
  });

  test("a busy transmitter is continued by its interrupt", () => {
    uart.room = 16;
    k.memory(task).setText(BUF, "a".repeat(20));
    const call = k.start(task, writeFile(task, file, new IoBuffer().setUser(task.memory, BUF, 20), AT_POSITION, false));
    expect([call.result, uart.sent.length, uart.ier]).toEqual([20, 16, 3]);
    uart.room = 16;
    interrupt();
    expect([uart.sent.length, uart.ier]).toEqual([20, 1]);
  });

  test("input beyond the line buffer stays in the device until it is read", () => {
    (file as never as { tty: { termios: { lflag: number } } }).tty.termios.lflag = 0;
    uart.received.push(...new Array(6000).fill(0x78));
    interrupt();
    expect(uart.ier).toBe(0);
    let total = 0;
    for (let i = 0; i < 3; i++) {
      total += k.start(task, readFile(task, file, new IoBuffer().setUser(task.memory, BUF, 2500), AT_POSITION, false))
        .result as number;
    }
    expect([total, uart.ier, uart.received.length]).toEqual([6000, 1, 0]);
  });

  test("opening the console does not make it the controlling terminal", () => {
    expect(task.process.session.terminal).toBe(null);
    k.kernel.charDevices.find(4, 64)?.open(task, makedev(4, 64), O_RDWR);
    expect(task.process.session.terminal).not.toBe(null);
  });
});
