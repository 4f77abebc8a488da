import { expect, test } from "vitest";
import { assemble } from "./asm/index.ts";
import { createGuestRam, explain, Hart, STOP_TRAP, STOP_TRAP_LOOP } from "./index.ts";

function load(source: string): Hart {
  const ram = createGuestRam({ size: 1 << 20 });
  ram.bytes.set(assemble(source).bytes);
  return new Hart({ ram });
}

test("the report shows cause, registers, code and the frame-pointer backtrace", () => {
  const hart = load(`
        li sp, 0x80010000
        addi s0, sp, 0
        call outer
  end:  j end
  outer:
        addi sp, sp, -16
        sd ra, 8(sp)
        sd s0, 0(sp)
        addi s0, sp, 16
        call inner
  inner:
        addi sp, sp, -16
        sd ra, 8(sp)
        sd s0, 0(sp)
        addi s0, sp, 16
        li a0, 0x1234
        ld a1, 0(a0)
  `);
  expect(hart.run(100)).toBe(STOP_TRAP);
  const report = explain(hart, { symbolOf: (address) => (address === hart.pc ? "inner+0x18" : "") });
  expect(report).toContain("last trap: 5 (load access fault), value 0x1234, pc 0x8000004c <inner+0x18>");
  expect(report).toContain("a0 0000000000001234");
  expect(report).toContain("=> 0x8000004c: 00053583  ld a1,0(a0)");
  expect(report).toMatch(/#0 0x8000004c .*\n {2}#1 0x80000034\n {2}#2 0x80000018/);
});

test("a trap that its handler never resolves ends in STOP_TRAP_LOOP", () => {
  const hart = load("ecall");
  let stop = STOP_TRAP;
  let calls = 0;
  while (stop === STOP_TRAP && calls < 100_000) {
    stop = hart.run(1000); // a kernel that forgets to step over the ecall
    calls++;
  }
  expect(stop).toBe(STOP_TRAP_LOOP);
  expect(explain(hart)).toContain("environment call from U-mode");
});

test("a saved state continues on another hart exactly where it was", () => {
  const source =
    "li a0, 0\n li a1, 1000\n loop: addi a0, a0, 1\n fcvt.d.w fa0, a0\n fdiv.d fa1, fa1, fa0\n fadd.d fa1, fa1, fa0\n bne a0, a1, loop\n ecall";
  const whole = load(source);
  whole.run(1e6);
  const first = load(source);
  first.run(1777);
  const second = load(source);
  second.restoreState(first.saveState());
  second.run(1e6);
  expect([second.pc, second.instret, second.fcsr]).toEqual([whole.pc, whole.instret, whole.fcsr]);
  expect(Array.from(second.x)).toEqual(Array.from(whole.x));
  expect(Array.from(second.f)).toEqual(Array.from(whole.f));
});
