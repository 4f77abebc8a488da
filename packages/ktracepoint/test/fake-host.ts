/** A traced system for tests: one that stands still unless told to move. */
import type { TraceHost } from "../src/trace-array.ts";

export class FakeHost implements TraceHost {
  pid = 1234;
  tgid = 1234;
  comm = "bash";
  cpu = 0;
  flags = 0;
  /** ns */
  time = 12_345_678_000;
  readonly cpuCount: number;
  readonly clocks: ReadonlyMap<string, () => number> = new Map([
    ["local", () => this.time],
    ["mono", () => this.time],
  ]);

  constructor(cpuCount: number = 1) {
    this.cpuCount = cpuCount;
  }
  currentPid(): number {
    return this.pid;
  }
  currentTgid(): number {
    return this.tgid;
  }
  currentComm(): string {
    return this.comm;
  }
  currentCpu(): number {
    return this.cpu;
  }
  currentFlags(): number {
    return this.flags;
  }
}
