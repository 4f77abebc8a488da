import { expect, test } from "vitest";
import { assemble } from "../asm/index.ts";
import { createGuestRam, Hart, STOP_TRAP } from "../index.ts";
import { createJit, type JitOptions } from "./index.ts";

/** Passes of each copy's loop. */
const PASSES = 3000;

/**
 * Copies a loop to ever new addresses, changes a constant in it, and runs it: new code for ever. Over the buffer of
 * `copies` it goes `rounds` times, so that old code is written over.
 */
const generator = (copies: number, rounds: number): string => `
      li   s0, ${copies * rounds}
      la   s1, buffer
      li   s2, 0
  next: la   a0, template
      la   a1, end
      mv   a2, s1
  copy: ld   a3, 0(a0)
      sd   a3, 0(a2)
      addi a0, a0, 8
      addi a2, a2, 8
      bltu a0, a1, copy
      andi a3, s0, 1023        # addi a5, a5, s0 % 1024
      slli a3, a3, 20
      li   a4, 0x00078793
      or   a3, a3, a4
      sw   a3, 0(s1)
      li   a4, ${PASSES}
      jalr s1
      addi s2, s2, 1
      li   a3, ${copies}
      addi s1, s1, 512
      bne  s2, a3, same
      li   s2, 0
      la   s1, buffer
  same: addi s0, s0, -1
      bnez s0, next
      ecall
      .align 3
  template: addi a5, a5, 0
      addi a4, a4, -1
      xori a6, a6, 5
      slli a7, a6, 3
      add  a7, a7, a6
      bnez a4, template
      ret
      .align 3
  end:
      .align 12
  buffer: nop
`;

function run(copies: number, rounds: number, options: JitOptions): ReturnType<typeof createJit>["statistics"] {
  const ram = createGuestRam({ size: 2 ** 21 });
  ram.bytes.set(assemble(generator(copies, rounds)).bytes);
  const jit = createJit({ hotCount: 16, eager: true, ...options });
  const hart = new Hart({ ram, compiler: jit });
  expect(hart.run(1e9)).toBe(STOP_TRAP);
  let sum = 0;
  for (let n = copies * rounds; n > 0; n--) sum += (n & 1023) * PASSES;
  expect(hart.x[15 * 2] + hart.x[15 * 2 + 1] * 2 ** 32).toBe(sum);
  return jit.statistics;
}

test("endless new code stays within the bytes and the slots that it may have", () => {
  const limit = 65_536;
  const statistics = run(1500, 1, { codeBytes: limit, tableSize: 64 });
  expect(statistics.regions).toBeGreaterThan(1500);
  expect(statistics.evicted).toBeGreaterThan(1000);
  expect(statistics.codeBytes).toBeLessThanOrEqual(limit);
  expect(statistics.retired).toBeGreaterThan(1500 * PASSES * 4);
});
