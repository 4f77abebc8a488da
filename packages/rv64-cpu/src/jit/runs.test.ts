import { expect, test } from "vitest";
import { Random } from "../../test/random-program.ts";
import { assemble } from "../asm/index.ts";
import { createGuestRam, Hart, STOP_FUEL, STOP_TRAP } from "../index.ts";
import { CAUSE_ECALL_U } from "../isa/causes.ts";
import { createJit } from "./index.ts";
import type { CompilerHost } from "../hart.ts";
import { RUN_LIMIT } from "../state.ts";
import { lengthenRun } from "./runs.ts";

const [A0, A2, A4, A5] = [20, 24, 28, 30];
const CODE = 0x1_0000;
/** The nodes' pages lie on both sides of where one table of the lowest level ends and the next begins. */
const FIRST_PAGE = 512 - 12;
const PAGES = 24;
const NODES = 40;
const PTE_W = 0x04;
const PTE_A = 0x40;
const PTE_D = 0x80;
const USER_RWX = 0xdf;
const [ROOT, MIDDLE, LOW, HIGH] = [0x3c, 0x3d, 0x3f, 0x3e];

/**
 * Follows nodes { next, other next, value, sum } in all kinds of pages, which form a ring, and from some round on a larger
 * one; what happened, registers and memory.
 */
function follow(seed: number, compiled: boolean): { trace: string[]; retired: number } {
  const random = new Random(seed);
  const stores = random.below(2) === 0;
  const { bytes } = assemble(
    `
      li a4, ${2_600_000 + random.below(400_000)}
      li t1, ${2_400_000 + random.below(100_000)}
  loop: ld a6, 16(a5)
      add a2, a2, a6
      ${stores ? "sd a2, 24(a5)" : "xor a3, a3, a6"}
      slt t0, t1, a0
      slli t0, t0, 3
      add t0, t0, a5
      ld a5, 0(t0)
      addi a0, a0, 1
      bne a0, a4, loop
      ecall`,
    { origin: CODE },
  );
  const ram = createGuestRam({ size: 1 << 18 });
  const { view } = ram;
  ram.bytes.set(bytes);
  const frame = (n: number): bigint => BigInt(0x8_0000 + n) << 10n;
  const leaf = (page: number): number => (page < 512 ? LOW : HIGH) * 4096 + (page % 512) * 8;
  view.setBigUint64(ROOT * 4096, frame(MIDDLE) | 1n, true);
  view.setBigUint64(MIDDLE * 4096, frame(LOW) | 1n, true);
  view.setBigUint64(MIDDLE * 4096 + 8, frame(HIGH) | 1n, true);
  view.setBigUint64(leaf(CODE / 4096), frame(0) | BigInt(USER_RWX), true);
  // Neighbouring frames, but for some pages that change places.
  const frames = Array.from({ length: PAGES }, (_, n) => 2 + n);
  const isWhole = random.below(3) === 0;
  for (let n = isWhole ? 0 : 1 + random.below(3); n > 0; n--) {
    const [a, b] = [random.below(PAGES), random.below(PAGES)];
    [frames[a], frames[b]] = [frames[b], frames[a]];
  }
  frames.forEach((number, n) => {
    const rights = random.pick([USER_RWX, USER_RWX & ~PTE_D, USER_RWX & ~(PTE_A | PTE_D), isWhole ? USER_RWX : 0]);
    const may = !isWhole && random.below(8) === 0 ? rights & ~(PTE_W | PTE_D) : rights;
    view.setBigUint64(leaf(FIRST_PAGE + n), frame(number) | BigInt(may), true);
  });
  const nodes = Array.from({ length: NODES }, () => {
    const place = random.below(3) === 0 ? 509 : random.below(512);
    return Math.min(random.below(PAGES) * 512 + place, PAGES * 512 - 4) * 8;
  });
  const start = FIRST_PAGE * 4096;
  const write = (at: number, value: number): void => {
    const page = Math.floor(at / 4096);
    view.setBigUint64(frames[page] * 4096 + (at % 4096), BigInt(value), true);
  };
  nodes.forEach((at, n) => {
    // The first half; all.
    write(at, start + nodes[n < NODES / 2 ? (n + 1) % (NODES / 2) : 0]);
    write(at + 8, start + nodes[(n + 1) % NODES]);
    write(at + 16, random.below(1000));
  });
  const jit = createJit();
  const hart = new Hart(compiled ? { ram, compiler: jit } : { ram });
  hart.setAddressSpace(0x8_0000 + ROOT, 1);
  hart.pc = CODE;
  hart.x[30] = start + nodes[0];
  const trace: string[] = [];
  for (let n = 0; n < 700; n++) {
    const stop = hart.run(50_021);
    // A and D as well.
    const entries = frames.map((_, n) => view.getBigUint64(leaf(FIRST_PAGE + n), true).toString(16));
    trace.push([stop, hart.pc, hart.instret, hart.trapCause, hart.trapValue, ...hart.x, ...entries].join(" "));
    if (stop === STOP_FUEL) continue;
    if (hart.trapCause === CAUSE_ECALL_U || hart.trapValue < start) break;
    const at = leaf(Math.floor(hart.trapValue / 4096));
    view.setBigUint64(at, view.getBigUint64(at, true) | BigInt(USER_RWX & ~PTE_D), true);
    hart.flushTlb(hart.trapValue);
  }
  expect(trace.at(-1)?.startsWith(`${STOP_TRAP} `)).toBe(true);
  trace.push(Buffer.from(ram.bytes.subarray(0, (2 + PAGES) * 4096)).toString("base64"));
  return { trace, retired: jit.statistics.retired };
}

test("a run gets as long as its page has neighbours, and keeps what it had if that touches them", () => {
  const ram = createGuestRam({ size: 1 << 18 });
  const neighbours = (_lo: number, _hi: number, _writes: boolean, step: number): number => (step > 0 ? 2 : 1);
  const lengthen = lengthenRun({ ram, mmu: { neighbours } } as unknown as CompilerHost);
  const view = new DataView(ram.memory.buffer, ram.runsOffset);
  const lengthened = (start: bigint, bytes: bigint, va: number, span: number): bigint[] => {
    view.setBigInt64(0, start, true);
    view.setBigInt64(RUN_LIMIT, bytes - BigInt(span) + 1n, true);
    lengthen(ram.runsOffset, va | 0, Math.floor(va / 2 ** 32), span, 0);
    return [view.getBigInt64(0, true), view.getBigInt64(RUN_LIMIT, true)];
  };
  expect(lengthened(0x9000n, 4096n, 0x3_4567_8ff0, 16)).toEqual([0x3_4567_7000n, 4n * 4096n - 15n]);
  expect(lengthened(0x3_4567_5000n, 8192n, 0x3_4567_8ff0, 1)).toEqual([0x3_4567_5000n, 6n * 4096n]);
  expect(lengthened(0x3_4567_b000n, 4096n, 0x3_4567_8000, 8)).toEqual([0x3_4567_7000n, 5n * 4096n - 7n]);
  expect(lengthened(-0x4000n, 4096n, -0x2000, 1)).toEqual([-0x4000n, 5n * 4096n]);
});

test("a loop that jumps between pages of all kinds does what it does interpreted", { timeout: 60_000 }, () => {
  const first = Number(process.env["SEED"] ?? 1);
  let retired = 0;
  for (let seed = first; seed < first + 24; seed++) {
    const compiled = follow(seed, true);
    expect(compiled.trace, `seed ${seed}`).toEqual(follow(seed, false).trace);
    retired += compiled.retired;
  }
  expect(retired).toBeGreaterThan(100_000_000);
});

/** A hart whose page 0x10000 has `source`, which was run until it is compiled, and whose page 0x11000 is frame 1, with a ring of one node. */
function hotRing(source: string): {
  hart: Hart;
  map: (asid: number, frame: number) => void;
  enter: (asid: number) => void;
  again: () => void;
} {
  const { bytes } = assemble(source, { origin: CODE });
  const ram = createGuestRam({ size: 1 << 18 });
  const hart = new Hart({ ram, compiler: createJit({ eager: true, hotCount: 16 }) });
  ram.bytes.set(bytes);
  const entry = (at: number, frame: number, flags: number): void =>
    ram.view.setBigUint64(at, (BigInt(0x8_0000 + frame) << 10n) | BigInt(flags), true);
  const map = (asid: number, frame: number): void => {
    const root = 16 + asid * 4;
    entry(root * 4096, root + 1, 1);
    entry((root + 1) * 4096, root + 2, 1);
    entry((root + 2) * 4096 + 16 * 8, 0, USER_RWX);
    entry((root + 2) * 4096 + 17 * 8, frame, USER_RWX);
    ram.view.setBigUint64(frame * 4096, 0x1_1000n, true);
  };
  const enter = (asid: number): void => hart.setAddressSpace(0x8_0000 + 16 + asid * 4, asid);
  const again = (): void => {
    hart.x.fill(0, 20);
    hart.x[A4] = 50;
    hart.x[A5] = 0x1_1000;
    hart.pc = CODE;
    expect(hart.run(1e6)).toBe(STOP_TRAP);
    expect(hart.trapCause).toBe(CAUSE_ECALL_U);
  };
  map(1, 1);
  enter(1);
  for (let n = 0; n < 400; n++) again();
  return { hart, map, enter, again };
}

test("what a loop remembers of pages does not outlive their mapping", () => {
  const source = "loop: ld a6, 8(a5)\n add a2, a2, a6\n ld a5, 0(a5)\n addi a0, a0, 1\n bne a0, a4, loop\n ecall";
  const { hart, map, enter, again } = hotRing(source);
  for (const frame of [1, 2, 3]) hart.ram.view.setUint32(frame * 4096 + 8, 100 + frame, true);
  const sums: number[] = [];
  const sum = (): void => {
    again();
    sums.push(hart.x[A2]);
  };
  sum();
  map(2, 2);
  enter(2);
  sum();
  enter(1);
  sum();
  map(1, 3);
  hart.flushTlb(0x1_1000);
  sum();
  expect(sums).toEqual([5050, 5100, 5050, 5150]);
});

test("what a loop remembers of pages does not let it change code unseen", () => {
  const { hart, again } = hotRing(
    "loop: ld a6, 16(a5)\n sd a6, 8(a5)\n ld a5, 0(a5)\n addi a0, a0, 1\n bne a0, a4, loop\n ecall",
  );
  const results: number[] = [];
  for (const value of [1, 2, 3]) {
    const { bytes } = assemble(`li a0, ${value}\n ecall`);
    hart.ram.bytes.set(bytes, 4096 + 16);
    again();
    hart.pc = 0x1_1008;
    expect(hart.run(10)).toBe(STOP_TRAP);
    results.push(hart.x[A0]);
  }
  expect(results).toEqual([1, 2, 3]);
});
