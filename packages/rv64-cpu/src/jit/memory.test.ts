/// <reference types="node" />
import { expect, test } from "vitest";
import { Random } from "../../test/random-program.ts";
import { assemble } from "../asm/index.ts";
import { createGuestRam, Hart, STOP_FUEL, STOP_TRAP } from "../index.ts";
import { CAUSE_LOAD_PAGE_FAULT, CAUSE_STORE_PAGE_FAULT } from "../isa/causes.ts";
import { createJit, type JitStatistics } from "./index.ts";

const CODE = 0x1_0000;
const DATA_PAGES = 12;
const USER_RWX = 0xdf;
const PTE_A = 0x40;
const PTE_D = 0x80;
const USER_R = 0x53;
const LOADS = ["lb", "lbu", "lh", "lhu", "lw", "lwu", "ld"];
const STORES = ["sb", "sh", "sw", "sd"];
const POINTERS = ["a0", "a1", "a2", "a3"];
const VALUES = ["t0", "t1", "t2", "s2", "s3"];

/** A loop that walks pointers over pages, in steps of all kinds, with branches, loops and calls inside. */
function program(random: Random): string {
  const lines: string[] = [];
  for (const pointer of POINTERS)
    lines.push(`li ${pointer}, ${0x1_2000 + random.below(3) * 4096 + random.below(4096) - 64}`);
  lines.push("li s0, 0", `li s1, ${200 + random.below(400)}`, "loop: addi s0, s0, 1");
  lines.unshift(`li sp, ${0x1_6000 + random.below(4096)}`);
  let labels = 0;
  /** Functions that may be called where the code is being written. */
  let callees = 0;
  const access = (): string => {
    const base = random.pick([...POINTERS, "s4"]);
    const offset = random.below(3) === 0 ? random.below(400) - 200 : random.below(8) * 8;
    return random.below(2) === 0
      ? `${random.pick(LOADS)} ${random.pick(VALUES)}, ${offset}(${base})`
      : `${random.pick(STORES)} ${random.pick(VALUES)}, ${offset}(${base})`;
  };
  const step = (): string => {
    const pointer = random.pick(POINTERS);
    return random.pick([
      `addi ${pointer}, ${pointer}, ${random.pick([1, 2, 4, 8, 8, 8, 16, 24, 64])}`,
      `addi ${pointer}, ${pointer}, ${random.below(64) - 24}`,
      `addi s4, ${pointer}, ${random.below(64)}`,
      `mv s4, ${pointer}`,
      `andi t4, ${random.pick(VALUES)}, ${random.below(2048) & -8}\nadd s4, ${pointer}, t4`,
      `add ${random.pick(VALUES)}, ${random.pick(VALUES)}, ${random.pick(VALUES)}`,
      `xori ${random.pick(VALUES)}, ${random.pick(VALUES)}, ${random.below(2000)}`,
    ]);
  };
  const arithmetic = (): string => {
    const [to, from, other] = [random.pick(VALUES), random.pick(VALUES), random.pick(VALUES)];
    return random.pick([
      `slli ${to}, ${from}, ${random.below(64)}`,
      `srliw ${to}, ${from}, ${random.below(32)}`,
      `addiw ${to}, ${from}, ${random.below(4096) - 2048}`,
      `sltu ${to}, ${from}, ${other}`,
      `sub ${to}, ${from}, ${other}`,
      `mulw ${to}, ${from}, ${other}`,
      `lui ${to}, ${random.below(0x10_0000)}`,
    ]);
  };
  const body = (count: number): void => {
    for (let n = 0; n < count; n++) {
      const kind = random.below(callees > 0 ? 14 : 12);
      if (kind < 6) lines.push(access());
      else if (kind < 10) lines.push(step());
      else if (kind === 10) {
        const label = `f${labels++}`;
        lines.push(`andi t3, ${random.pick(["s0", ...VALUES])}, ${1 + random.below(7)}`, `beqz t3, ${label}`);
        if (random.below(2) === 0) body(1 + random.below(4));
        else for (let k = 1 + random.below(4); k > 0; k--) lines.push(arithmetic());
        lines.push(`${label}:`);
      } else if (kind >= 12) lines.push(`call g${random.below(callees)}`, "nop");
      else if (labels < 20) {
        const label = `l${labels++}`;
        const counter = `s${5 + (labels % 6)}`;
        const rounds = random.pick([1 + random.below(5), random.below(60), random.below(300)]);
        lines.push(`li ${counter}, ${rounds}`, `${label}: addi ${counter}, ${counter}, -1`);
        for (let k = 1 + random.below(3); k > 0; k--) lines.push(access(), random.pick([step, arithmetic, access])());
        if (random.below(3) === 0) lines.push(`addi ${random.pick(POINTERS)}, ${random.pick(POINTERS)}, 0`);
        const skips = random.below(3) === 0;
        if (skips) lines.push(`andi t3, ${random.pick(VALUES)}, 1`, `beqz t3, s${label}`, access(), step());
        if (skips) lines.push(`s${label}:`);
        lines.push(`bgtz ${counter}, ${label}`);
      }
    }
  };
  lines.push(`mv s4, ${random.pick(POINTERS)}`);
  callees = random.below(4);
  body(4 + random.below(16));
  lines.push("bne s0, s1, loop", "ecall");
  const functions = callees;
  for (let n = 0; n < functions; n++) {
    lines.push(`g${n}:`);
    if (n === 2) {
      // Recursion, with its stack on the pages that the pointers walk over.
      lines.push("addi sp, sp, -24", "sd ra, 8(sp)", "addi a7, a7, -1", "andi a6, a7, 3", "beqz a6, bottom");
      callees = random.below(3);
      body(1 + random.below(3));
      lines.push("call g2", "bottom: ld ra, 8(sp)", "addi sp, sp, 24", "ret");
      continue;
    }
    callees = 0;
    body(1 + random.below(5));
    // Now and then back to behind the nop.
    if (random.below(3) === 0) lines.push("andi t3, s0, 1", "slli t3, t3, 2", "add ra, ra, t3");
    lines.push("ret");
  }
  return lines.join("\n");
}

/** Everything that happened: each trap with pc, value, count and registers; then the data. */
function play(seed: number, compiled: boolean): { trace: string[]; statistics: JitStatistics | undefined } {
  const random = new Random(seed);
  const { bytes } = assemble(program(random), { origin: CODE });
  const ram = createGuestRam({ size: 1 << 18 });
  ram.bytes.set(bytes);
  for (let n = 0; n < DATA_PAGES * 1024; n++) ram.view.setUint32(0x2000 + n * 4, random.u32(), true);
  const table = (at: number, value: bigint): void => ram.view.setBigUint64(at, value, true);
  const frame = (n: number): bigint => BigInt(0x8_0000 + n) << 10n;
  const [root, middle, leaves] = [0x3d, 0x3e, 0x3f];
  table(root * 4096, frame(middle) | 1n);
  table(middle * 4096, frame(leaves) | 1n);
  const leaf = (page: number): number => leaves * 4096 + page * 8;
  table(leaf(16), frame(0) | BigInt(USER_RWX));
  // Frames in the order of the pages, also in part, or in another, so that running over the end of a page shows.
  const order = random.pick([
    [3, 7, 1, 9, 0, 5, 11, 2, 8, 4, 10, 6],
    [4, 5, 6, 7, 11, 10, 9, 0, 1, 2, 3, 8],
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
  ]);
  const rights = order.map(() =>
    random.pick([USER_RWX, USER_RWX, USER_RWX & ~PTE_D, USER_RWX & ~(PTE_A | PTE_D), USER_R, 0]),
  );
  for (const [page, n] of order.entries()) table(leaf(17 + page), frame(2 + n) | BigInt(rights[page]));
  const compiler = compiled ? createJit({ eager: true, hotCount: 4 }) : undefined;
  const hart = new Hart({ ram, ...(compiler === undefined ? {} : { compiler }) });
  hart.setAddressSpace(0x8_0000 + root, 1);
  hart.pc = CODE;
  const trace: string[] = [];
  for (let n = 0; n < 60; n++) {
    const stop = hart.run(7_001);
    trace.push(
      [stop, hart.pc, hart.instret, stop === STOP_TRAP ? [hart.trapCause, hart.trapValue] : "", hart.x].join(" "),
    );
    if (stop === STOP_FUEL) continue;
    const page = Math.floor(hart.trapValue / 4096) - 17;
    if (hart.trapCause !== CAUSE_LOAD_PAGE_FAULT && hart.trapCause !== CAUSE_STORE_PAGE_FAULT) break;
    if (page < 0 || page >= DATA_PAGES) break;
    table(leaf(17 + page), frame(2 + order[page]) | BigInt(USER_RWX));
    hart.flushTlb(hart.trapValue);
  }
  trace.push(Buffer.from(ram.bytes.subarray(0, 14 * 4096)).toString("base64"));
  return { trace, statistics: compiler?.statistics };
}

test("pointers that walk over pages, misaligned and into faults, also in callees, do the same compiled and interpreted", {
  timeout: 60_000,
}, () => {
  const first = Number(process.env["SEED"] ?? 1);
  let retired = 0;
  let traps = 0;
  for (let seed = first; seed < first + 80; seed++) {
    const compiled = play(seed, true);
    expect(compiled.trace, `seed ${seed}`).toEqual(play(seed, false).trace);
    retired += compiled.statistics?.retired ?? 0;
    traps += compiled.trace.filter((line) => line.startsWith(`${STOP_TRAP} `)).length;
  }
  expect(retired).toBeGreaterThan(500_000);
  expect(traps).toBeGreaterThan(100);
});
