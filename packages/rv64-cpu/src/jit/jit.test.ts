import { expect, test } from "vitest";
import { assemble } from "../asm/index.ts";
import { createGuestRam, Hart, STOP_FUEL, STOP_TRAP } from "../index.ts";
import { CAUSE_ECALL_U, CAUSE_LOAD_PAGE_FAULT, CAUSE_STORE_PAGE_FAULT } from "../isa/causes.ts";
import { createJit, type JitOptions } from "./index.ts";

const [A0, A1, A2, S0] = [20, 22, 24, 16];
const eager = { eager: true, hotCount: 16 };

function load(
  source: string,
  options: JitOptions = eager,
): { hart: Hart; jit: ReturnType<typeof createJit>; labels: ReadonlyMap<string, number> } {
  const ram = createGuestRam({ size: 1 << 20 });
  const { bytes, labels } = assemble(source);
  ram.bytes.set(bytes);
  const jit = createJit(options);
  return { hart: new Hart({ ram, compiler: jit }), jit, labels };
}
const pte = (frame: number, flags: number): bigint => (BigInt(frame) << 10n) | BigInt(flags);
const USER_RWX = 0xdf;
const USER_RX = 0x5b;

/** Maps virtual pages from 0x1_0000 on to RAM frames, by one leaf table at frame 0x80 of RAM. */
function map(hart: Hart, frames: readonly number[], flags = USER_RWX, asid = 1, tables = 0x80): void {
  const { view } = hart.ram;
  view.setBigUint64(tables * 4096, pte(0x8_0000 + tables + 1, 1), true);
  view.setBigUint64((tables + 1) * 4096, pte(0x8_0000 + tables + 2, 1), true);
  frames.forEach((frame, n) => {
    view.setBigUint64((tables + 2) * 4096 + (16 + n) * 8, frame < 0 ? 0n : pte(0x8_0000 + frame, flags), true);
  });
  hart.setAddressSpace(0x8_0000 + tables, asid);
}

test("a compiled loop retires exactly its instructions, and stops exactly at its fuel", () => {
  const { hart, jit } = load(
    "li a0, 0\n li a1, 100000\n loop: addi a0, a0, 1\n addi a2, a2, 3\n bne a0, a1, loop\n ecall",
  );
  expect(hart.run(12_345)).toBe(STOP_FUEL);
  expect(hart.instret).toBe(12_345);
  expect(hart.run(1e9)).toBe(STOP_TRAP);
  expect(hart.trapCause).toBe(CAUSE_ECALL_U);
  expect(hart.x[A0]).toBe(100_000);
  expect(hart.instret).toBe(300_003);
  expect(jit.statistics.retired).toBeGreaterThan(280_000);
});

test("a load fault in compiled code leaves pc, registers and retired instructions as the interpreter would", () => {
  const source = "li a0, 0x10f80\n loop: addi a1, a1, 1\n ld a2, 0(a0)\n addi a0, a0, 8\n addi a3, a3, 2\n j loop";
  const results = [true, false].map((compiled) => {
    const { hart } = load(source);
    const machine = compiled ? hart : new Hart({ ram: hart.ram });
    // Code at 0x10000, data page 0x11000..0x1ffff, then nothing.
    map(machine, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    machine.pc = 0x1_0000;
    expect(machine.run(1e6)).toBe(STOP_TRAP);
    return [machine.trapCause, machine.trapValue, machine.pc, machine.instret, Array.from(machine.x)];
  });
  expect(results[0]).toEqual(results[1]);
  expect(results[0][0]).toBe(CAUSE_LOAD_PAGE_FAULT);
  expect(results[0][1]).toBe(0x1_a000);
});

test("a store that crosses into a read-only page faults without writing anything", () => {
  const { hart } = load(`
      li a0, 0x11f00
      li a1, -1
  loop: sd a1, 0(a0)
      addi a0, a0, 6
      j loop
  `);
  map(hart, [0, 1, 2]);
  hart.ram.view.setBigUint64(0x82 * 4096 + 18 * 8, pte(0x8_0002, USER_RX), true);
  hart.pc = 0x1_0000;
  expect(hart.run(1e6)).toBe(STOP_TRAP);
  expect(hart.trapCause).toBe(CAUSE_STORE_PAGE_FAULT);
  expect(hart.trapValue).toBe(0x1_2000);
  const start = hart.x[A0];
  expect(start).toBe(0x1_1f00 + 6 * 42);
  // The last store that fitted ended at start + 2; nothing of the faulting one is there.
  expect(hart.ram.bytes[0x1000 + ((start + 2) & 0xfff)]).toBe(0);
  expect(hart.ram.bytes[0x2000]).toBe(0);
});

test("code that a guest store changes is not run in its old form, not even by the loop that changes it", () => {
  const { hart, jit } = load(`
      la  a3, patch
      li  a4, 0x00250513       # addi a0, a0, 2
      li  a2, 20000
  loop: addi a1, a1, 1
      li  a5, 10000
      bne a1, a5, patch
      sw  a4, 0(a3)
  patch: addi a0, a0, 1
      bne a1, a2, loop
      ecall
  `);
  expect(hart.run(1e7)).toBe(STOP_TRAP);
  // 9999 steps of 1, then 10001 steps of 2.
  expect(hart.x[A0]).toBe(9999 + 2 * 10_001);
  expect(jit.statistics.invalidated).toBeGreaterThan(0);
});

test("code that the host changes is not run in its old form after invalidateCode", () => {
  const { hart, labels } = load("loop: addi a0, a0, 1\n addi a1, a1, 1\n j loop");
  hart.run(90_000);
  const before = hart.x[A1];
  const at = (labels.get("loop") as number) - hart.ram.base;
  hart.ram.view.setUint32(at, 0x0650_0513, true); // li a0, 101
  hart.invalidateCode(hart.ram.base + at, 4);
  hart.run(90_000);
  expect(hart.x[A0]).toBe(101);
  expect(hart.x[A1]).toBeGreaterThan(before);
});

test("a region over two pages is not used where the second page is another one", () => {
  // The loop starts at the end of the first page and ends in the second, which comes in two versions.
  const { hart, jit } = load(`
      .zero 4080
  loop: addi a0, a0, 1
      addi a1, a1, 1
      addi a2, a2, 1
      nop
  second: addi a3, a3, 1
      li a4, 5000
      bne a0, a4, loop
      ecall
  `);
  const { bytes } = hart.ram;
  bytes.copyWithin(3 * 4096, 4096, 2 * 4096);
  hart.ram.view.setUint32(3 * 4096, 0x0646_8693, true); // the other version: addi a3, a3, 100
  const results: number[] = [];
  for (const [asid, second] of [
    [1, 1],
    [2, 3],
    [1, 1],
    [2, 3],
  ]) {
    map(hart, [0, second], USER_RWX, asid, 0x80 + asid * 4);
    hart.x.fill(0);
    hart.pc = 0x1_0ff0;
    expect(hart.run(1e6)).toBe(STOP_TRAP);
    results.push(hart.x[26]);
  }
  expect(results).toEqual([5000, 500_000, 5000, 500_000]);
  expect(jit.statistics.retired).toBeGreaterThan(10_000);
});

test("calls, indirect calls and deep recursion return through compiled code", () => {
  const { hart } = load(`
      li sp, 0x80080000
      li s0, 300
  again: li a0, 12
      call fib
      mv a2, a0
      la a3, double
      jalr a3
      li a0, 3000
      call deep
      addi s0, s0, -1
      bnez s0, again
      ecall
  double: slli a2, a2, 1
      ret
  deep: addi sp, sp, -16
      sd ra, 0(sp)
      beqz a0, bottom
      addi a0, a0, -1
      call deep
      addi a0, a0, 1
  bottom: ld ra, 0(sp)
      addi sp, sp, 16
      ret
  fib: li t0, 2
      blt a0, t0, leaf
      addi sp, sp, -32
      sd ra, 0(sp)
      sd s1, 8(sp)
      sd s2, 16(sp)
      mv s1, a0
      addi a0, a0, -1
      call fib
      mv s2, a0
      addi a0, s1, -2
      call fib
      add a0, a0, s2
      ld ra, 0(sp)
      ld s1, 8(sp)
      ld s2, 16(sp)
      addi sp, sp, 32
  leaf: ret
  `);
  expect(hart.run(1e8)).toBe(STOP_TRAP);
  expect([hart.x[A2], hart.x[A0], hart.x[S0], hart.x[4]]).toEqual([288, 3000, 0, 0x8008_0000 | 0]);
  const { instret } = hart;
  const interpreted = new Hart({ ram: hart.ram }); // takes the memory over
  interpreted.run(1e8);
  expect(instret).toBe(interpreted.instret);
  expect(interpreted.x[A2]).toBe(288);
});

test("a jump table learns its targets", () => {
  const { hart, jit } = load(`
      la s0, table
      li a4, 60000
  loop: andi a1, a0, 3
      slli a1, a1, 3
      add a1, a1, s0
      ld a1, 0(a1)
      jr a1
  zero: addi a2, a2, 1
      j next
  one: addi a2, a2, 10
      j next
  two: addi a2, a2, 100
      j next
  three: addi a2, a2, 1000
  next: addi a0, a0, 1
      bne a0, a4, loop
      ecall
      .align 3
  table: .dword zero, one, two, three
  `);
  expect(hart.run(1e7)).toBe(STOP_TRAP);
  expect(hart.x[A2]).toBe(15_000 * 1111);
  // Most passes stay inside one region.
  expect(jit.statistics.retired).toBeGreaterThan(hart.instret * 0.8);
});

test.each([1, 2, 4, 8])("a loop that calls %i functions by pointer does what it does interpreted", (functions) => {
  const source = `
      la s0, table
      li a4, 90000
  loop: andi a1, a0, ${functions - 1}
      slli a1, a1, 3
      add a1, a1, s0
      ld a1, 0(a1)
      jalr a1
      addi a0, a0, 1
      bne a0, a4, loop
      ecall
  ${Array.from({ length: functions }, (_, n) => `f${n}: addi a2, a2, ${n + 1}\n xor a3, a3, a2\n ret`).join("\n")}
      .align 3
  table: .dword ${Array.from({ length: functions }, (_, n) => `f${n}`).join(", ")}`;
  const { hart, jit } = load(source);
  const interpreted = new Hart({ ram: load(source).hart.ram });
  for (let n = 0; n < 100; n++) {
    expect(hart.run(10_007)).toBe(interpreted.run(10_007));
    expect([hart.pc, hart.instret, ...hart.x]).toEqual([interpreted.pc, interpreted.instret, ...interpreted.x]);
  }
  expect(hart.trapCause).toBe(CAUSE_ECALL_U);
  expect(jit.statistics.retired).toBeGreaterThan(hart.instret * 0.8);
});

test("compiled code that is left where it starts is not compiled again", () => {
  const { hart, jit } = load("li a4, 300000\n loop: addi a0, a0, 1\n add a2, a2, a0\n bne a0, a4, loop\n ecall");
  for (let n = 0; n < 400; n++) hart.run(1_500);
  const { regions } = jit.statistics;
  for (let n = 0; n < 400 && hart.x[A0] < 299_000; n++) hart.run(1_500);
  expect(hart.x[A0]).toBeGreaterThanOrEqual(299_000);
  expect(jit.statistics.regions).toBe(regions);
});

test("arithmetic that a branch skips now and then counts only when it is executed", () => {
  const source = `
      li a4, 60000
      li a3, 0x5deece66
  loop: mul a1, a1, a3
      addi a1, a1, 11
      srli t0, a1, 17
      andi t0, t0, 1
      beqz t0, even
      add a2, a2, a0
      slli t1, a2, 48
      srli t1, t1, 48
      xor a2, a2, t1
  even: addi a0, a0, 1
      bne a0, a4, loop
      ecall`;
  const { hart, jit } = load(source);
  expect(hart.run(123_457)).toBe(STOP_FUEL);
  expect(hart.run(1e7)).toBe(STOP_TRAP);
  const interpreted = new Hart({ ram: load(source).hart.ram });
  expect(interpreted.run(123_457)).toBe(STOP_FUEL);
  expect(interpreted.run(1e7)).toBe(STOP_TRAP);
  expect([Array.from(hart.x), hart.instret]).toEqual([Array.from(interpreted.x), interpreted.instret]);
  expect(jit.statistics.retired).toBeGreaterThan(hart.instret * 0.9);
});

test("a loop that takes each pointer from another page is compiled again, to look them up, if the frames are no neighbours", () => {
  // Nodes 0..7 of a ring.
  const source = `
      li a4, 5000000
      li a5, 0x11000
  loop: ld a6, 8(a5)
      add a2, a2, a6
      ld a5, 0(a5)
      addi a0, a0, 1
      bne a0, a4, loop
      ecall`;
  const run = (addresses: number[], frames: number[]): { x: number[]; instret: number; regions: number } => {
    const { hart, jit } = load(source, {});
    map(hart, frames);
    addresses.forEach((va, n) => {
      const at = frames[(va >>> 12) & 15] * 4096 + (va & 0xfff);
      hart.ram.view.setBigUint64(at, BigInt(addresses[(n + 1) % 8]), true);
      hart.ram.view.setBigUint64(at + 8, BigInt(n), true);
    });
    hart.pc = 0x1_0000;
    expect(hart.run(1e8)).toBe(STOP_TRAP);
    return { x: Array.from(hart.x.subarray(0, A2 + 2)), instret: hart.instret, regions: jit.statistics.regions };
  };
  const onPages = (...pages: number[]): number[] => pages.map((page, n) => 0x1_0000 + page * 4096 + n * 16);
  const onePage = run(onPages(1, 1, 1, 1, 1, 1, 1, 1), [0, 1]);
  const inOrder = run(onPages(1, 2, 3, 4, 5, 6, 7, 8), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
  const inDisorder = run(onPages(1, 5, 3, 8, 2, 6, 4, 7), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
  const apart = run(onPages(1, 5, 3, 8, 2, 6, 4, 7), [0, 8, 7, 6, 5, 4, 3, 2, 1]);
  expect(onePage.x[A2]).toBe(5_000_000 * 3.5);
  const { regions } = onePage;
  expect(inOrder).toEqual(onePage);
  expect(inDisorder).toEqual(onePage);
  expect(apart).toEqual({ ...onePage, regions: regions + 1 });
});

test("frames that get another use give their slots back", () => {
  const ram = createGuestRam({ size: 1 << 20 });
  const jit = createJit({ ...eager, tableSize: 4 });
  const hart = new Hart({ ram, compiler: jit });
  const { bytes } = assemble("loop: addi a0, a0, 1\n addi a1, a1, 1\n j loop");
  for (let frame = 0; frame < 40; frame++) {
    ram.bytes.set(bytes, frame * 4096);
    hart.pc = ram.base + frame * 4096;
    hart.run(250_000);
    ram.bytes.fill(0, frame * 4096, frame * 4096 + 4096);
    hart.invalidateCode(ram.base + frame * 4096, 4096);
  }
  expect(jit.statistics.regions).toBeGreaterThanOrEqual(40);
  expect(hart.instret).toBe(40 * 250_000);
});

test("a compiled loop reads the time that the interpreter would have read", () => {
  const source =
    "li a4, 40000\n loop: addi a0, a0, 1\n rdtime a1\n add a2, a2, a1\n rdtime x0\n bne a0, a4, loop\n ecall";
  const { hart, jit } = load(source);
  expect(hart.run(1e7)).toBe(STOP_TRAP);
  const interpreted = new Hart({ ram: load(source).hart.ram });
  expect(interpreted.run(1e7)).toBe(STOP_TRAP);
  expect([hart.x[A1], hart.x[A2], hart.instret]).toEqual([interpreted.x[A1], interpreted.x[A2], interpreted.instret]);
  expect(jit.statistics.retired).toBeGreaterThan(hart.instret * 0.9);
});

test("options out of range are refused", () => {
  expect(() => createJit({ hotCount: 100 })).toThrow('"hotCount" expected power of two');
  expect(() => createJit({ maxInstructions: 501 })).toThrow('"maxInstructions" expected 1..500');
  expect(() => createJit({ codeBytes: 1000 })).toThrow('"codeBytes" expected at least 65536');
});
