import { expect, test } from "vitest";
import { createGuestRam, Hart, STOP_FUEL, STOP_INTERRUPT, STOP_TRAP } from "./index.ts";
import { CAUSE_ECALL_U, CAUSE_ILLEGAL_INSTRUCTION, CAUSE_LOAD_PAGE_FAULT } from "./isa/causes.ts";

const load = (words: readonly number[]): Hart => {
  const ram = createGuestRam({ size: 1 << 20 });
  words.forEach((word, n) => {
    ram.view.setUint32(n * 4, word, true);
  });
  return new Hart({ ram });
};
const COUNT_TO_TEN = [0x0000_0513, 0x00a0_0593, 0x0015_0513, 0xfeb5_1ee3, 0x0000_0073];

test("a loop runs to its ecall and retires exactly its instructions", () => {
  const hart = load(COUNT_TO_TEN);
  expect(hart.run(1000)).toBe(STOP_TRAP);
  expect(hart.trapCause).toBe(CAUSE_ECALL_U);
  expect(hart.pc).toBe(0x8000_0010);
  expect(hart.x[20]).toBe(10);
  expect(hart.instret).toBe(22);
});

test("fuel is exact to one instruction", () => {
  const hart = load(COUNT_TO_TEN);
  for (let n = 1; n <= 22; n++) {
    expect(hart.run(1)).toBe(STOP_FUEL);
    expect(hart.instret).toBe(n);
  }
  expect(hart.run(1)).toBe(STOP_TRAP);
});

test("a requested stop is delivered once", () => {
  const hart = load(COUNT_TO_TEN);
  hart.requestStop();
  expect(hart.run(1000)).toBe(STOP_INTERRUPT);
  expect(hart.run(1000)).toBe(STOP_TRAP);
});

test("an illegal instruction reports its bits", () => {
  const hart = load([0xffff_ffff]);
  expect(hart.run(10)).toBe(STOP_TRAP);
  expect(hart.trapCause).toBe(CAUSE_ILLEGAL_INSTRUCTION);
  expect(hart.trapValue).toBe(0xffff_ffff);
});

test("a non-canonical address is a page fault and leaves rd alone", () => {
  // li a1,1; slli a1,a1,40; ld a0,0(a1)
  const hart = load([0x0010_0593, 0x0285_9593, 0x0005_b503]);
  const { ram } = hart;
  // One 1 GiB identity page for 0x8000_0000, user read-write-execute.
  ram.view.setBigUint64(0x1000 + 2 * 8, (0x8_0000n << 10n) | 0x1fn, true);
  hart.setAddressSpace(0x8_0001, 1);
  hart.x[20] = 77;
  expect(hart.run(10)).toBe(STOP_TRAP);
  expect(hart.trapCause).toBe(CAUSE_LOAD_PAGE_FAULT);
  expect(hart.trapValue).toBe(2 ** 40);
  expect(hart.pc).toBe(0x8000_0008);
  expect(hart.x[20]).toBe(77);
});
