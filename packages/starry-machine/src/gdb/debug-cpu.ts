/**
 * A hart that a debugger can get in front of: the kernel runs user code through `runner`, everything else is the hart's own.
 * Machines without a debugger do not use it, so they pay nothing.
 */
import type { UserCpu } from "starry-kernel";

export class DebugCpu implements UserCpu {
  readonly hart: UserCpu;
  readonly x: Int32Array;
  readonly f: Int32Array;
  /** Called for `run`. */
  runner: (maxInstructions: number) => number;

  constructor(hart: UserCpu) {
    this.hart = hart;
    this.x = hart.x;
    this.f = hart.f;
    this.runner = (maxInstructions) => hart.run(maxInstructions);
  }

  run(maxInstructions: number): number {
    return this.runner(maxInstructions);
  }

  get pc(): number {
    return this.hart.pc;
  }
  set pc(address: number) {
    this.hart.pc = address;
  }
  advancePc(byteLength: number): void {
    this.hart.advancePc(byteLength);
  }
  get fcsr(): number {
    return this.hart.fcsr;
  }
  set fcsr(value: number) {
    this.hart.fcsr = value;
  }
  get trapCause(): number {
    return this.hart.trapCause;
  }
  get trapValue(): number {
    return this.hart.trapValue;
  }
  get instret(): number {
    return this.hart.instret;
  }

  setAddressSpace(rootPpn: number, asid: number): void {
    this.hart.setAddressSpace(rootPpn, asid);
  }
  flushTlb(va?: number, asid?: number): void {
    this.hart.flushTlb(va, asid);
  }
  flushInstructions(): void {
    this.hart.flushInstructions();
  }
  invalidateCode(paddr: number, byteLength: number): void {
    this.hart.invalidateCode(paddr, byteLength);
  }
  requestStop(): void {
    this.hart.requestStop();
  }
}
