import { expect, test } from "vitest";
import { assemble } from "../asm/index.ts";
import type { CompilerHost } from "../hart.ts";
import { createGuestRam, Hart, STOP_FUEL, STOP_TRAP } from "../index.ts";
import { EDGE_NOT_TAKEN, EDGE_TAKEN } from "./dispatch.ts";

const SOURCE = `
  li a0, 100
loop:
  andi a1, a0, 1
  beqz a1, even
  addi a2, a2, 1
even:
  addi a0, a0, -1
  bnez a0, loop
  ecall`;

test("branches count both of their ways, and those that close a loop report it", () => {
  const ram = createGuestRam({ size: 1 << 16 });
  const { bytes, labels } = assemble(SOURCE);
  ram.bytes.set(bytes);
  let host: CompilerHost | null = null;
  const reported: number[] = [];
  const compiler = {
    tableSize: 1,
    hotCount: 16,
    sampleInterval: 1e9,
    attach: (given: CompilerHost): void => {
      host = given;
    },
    hot: (pcLo: number): number => {
      reported.push(pcLo >>> 0);
      return 0;
    },
    sample: (): void => {},
    compilePending: (): void => {},
  };
  const hart = new Hart({ ram, compiler });
  expect(hart.run(1e6)).toBe(STOP_TRAP);
  const counts = (offset: number): number[] => {
    const record = (host as unknown as CompilerHost).code.recordAt(0, offset);
    const view = new DataView(ram.memory.buffer);
    return [view.getUint16(record + EDGE_TAKEN, true), view.getUint16(record + EDGE_NOT_TAKEN, true)];
  };
  expect(counts(8)).toEqual([50, 50]);
  expect(counts(20)).toEqual([99, 1]);
  expect(reported).toEqual(new Array(6).fill(labels.get("loop")));
});

test("with fuel for one instruction a branch stops at its target, taken or not", () => {
  const ram = createGuestRam({ size: 1 << 16 });
  ram.bytes.set(assemble(SOURCE).bytes);
  const stepped = new Hart({ ram });
  const pcs: number[] = [];
  for (let n = 0; n < 10; n++) {
    pcs.push(stepped.pc - ram.base);
    expect(stepped.run(1)).toBe(STOP_FUEL);
  }
  expect(pcs).toEqual([0, 4, 8, 16, 20, 4, 8, 12, 16, 20]);
  expect(stepped.instret).toBe(10);
});
