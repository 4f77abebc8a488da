import { expect, test } from "vitest";
import { assemble } from "./asm/index.ts";
import { createGuestRam, Hart } from "./index.ts";
import { CAUSE_FETCH_ACCESS, CAUSE_LOAD_ACCESS, CAUSE_STORE_ACCESS } from "./isa/causes.ts";
import { ACCESS_FETCH, ACCESS_READ, ACCESS_WRITE } from "./mmu.ts";
import { legalConfig, PMP_ENTRIES, Pmp } from "./pmp.ts";

const [U, S, M] = [0, 1, 3];
const [R, W, X, TOR, NAPOT, L] = [1, 2, 4, 8, 24, 128];
const [A0, A1, A2, A3] = [20, 22, 24, 26];

function pmp(...entries: readonly (readonly [config: number, address: bigint])[]): Pmp {
  const config = new Uint8Array(PMP_ENTRIES);
  const address = new BigInt64Array(PMP_ENTRIES);
  entries.forEach(([bits, value], n) => {
    config[n] = bits;
    address[n] = value;
  });
  const result = new Pmp();
  result.configure(config, new Int32Array(address.buffer));
  return result;
}

/** Runs machine-mode code; every trap goes to label `handler`, which is appended. a0: mcause, a1: mtval, low words. */
function run(source: string): Hart {
  const ram = createGuestRam({ size: 1 << 20 });
  ram.bytes.set(
    assemble(`
      la t0, handler
      csrw mtvec, t0
      ${source}
  stay: j stay
      .align 3
  handler:
      csrr a0, mcause
      csrr a1, mtval
  end: j end
  `).bytes,
  );
  const hart = new Hart({ ram, mode: "architectural" });
  hart.run(300);
  return hart;
}

/** Enters S-mode at `supervisor`. */
const TO_SUPERVISOR = "la t0, supervisor\n csrw mepc, t0\n li t0, 0x800\n csrw mstatus, t0\n mret\n";
/** Entry 15: everything, everywhere. Entries before it take precedence. */
const REST_OPEN = "li t0, -1\n csrw pmpaddr15, t0\n li t0, 0x1f\n slli t0, t0, 56\n csrw pmpcfg2, t0\n";

test("without an entry machine mode may do everything and the others nothing", () => {
  const empty = pmp();
  expect(empty.allows(0x8000_0000, ACCESS_WRITE, M)).toBe(true);
  expect(empty.allows(0x8000_0000, ACCESS_READ, S)).toBe(false);
  expect(empty.allows(0x8000_0000, ACCESS_FETCH, U)).toBe(false);
});

test("NAPOT: trailing ones are the size, from a page to everything", () => {
  const page = pmp([NAPOT | R, 0x8000_1000n >> 2n]);
  expect(page.allows(0x8000_1ffc, ACCESS_READ, S)).toBe(true);
  expect(page.allows(0x8000_2000, ACCESS_READ, S)).toBe(false);
  expect(page.allows(0x8000_1000, ACCESS_WRITE, S)).toBe(false);
  const megabyte = pmp([NAPOT | R | W, (0x8010_0000n >> 2n) | 0x1_ffffn]);
  expect(megabyte.allows(0x801f_f000, ACCESS_WRITE, U)).toBe(true);
  expect(megabyte.allows(0x8020_0000, ACCESS_WRITE, U)).toBe(false);
  expect(megabyte.allows(0x800f_f000, ACCESS_WRITE, U)).toBe(false);
  const all = pmp([NAPOT | R | W | X, -1n]);
  for (const address of [0, 0x8000_0000, 2 ** 55]) expect(all.allows(address, ACCESS_FETCH, U)).toBe(true);
  expect(all.isOpen(0, 2 ** 56)).toBe(true);
});

test("TOR: from the address of the entry before to the own, the first match decides", () => {
  const two = pmp([TOR | R, 0x8000_4000n >> 2n], [TOR | R | W, 0x8000_8000n >> 2n]);
  expect(two.allows(0x8000_3000, ACCESS_READ, S)).toBe(true);
  expect(two.allows(0x8000_3000, ACCESS_WRITE, S)).toBe(false);
  expect(two.allows(0x8000_4000, ACCESS_WRITE, S)).toBe(true);
  expect(two.allows(0x8000_8000, ACCESS_READ, S)).toBe(false);
  expect(two.isOpen(0x8000_0000, 0x8000_4000)).toBe(false);
});

test("a locked entry binds machine mode", () => {
  const locked = pmp([NAPOT | R | L, 0x8000_1000n >> 2n]);
  expect(locked.allows(0x8000_1000, ACCESS_READ, M)).toBe(true);
  expect(locked.allows(0x8000_1000, ACCESS_WRITE, M)).toBe(false);
  expect(locked.allows(0x8000_2000, ACCESS_WRITE, M)).toBe(true);
});

test("configuration bytes are legalised: no W without R, no NA4, nothing after a lock", () => {
  expect(legalConfig(0, W | TOR)).toBe(TOR);
  expect(legalConfig(TOR, R | 16)).toBe(R | TOR);
  expect(legalConfig(R | L, R | W)).toBe(R | L);
  expect(legalConfig(0, 0xff)).toBe(0x9f);
});

test("software finds out the granularity: a page", () => {
  const hart = run(`
      csrw pmpcfg0, zero
      li t0, -1
      csrw pmpaddr0, t0
      csrr a2, pmpaddr0
      li t0, 0x18
      csrw pmpcfg0, t0
      csrw pmpaddr0, zero
      csrr a3, pmpaddr0
  `);
  expect([hart.x[A2], hart.x[A2 + 1]]).toEqual([~0x3ff, 0x3f_ffff]);
  expect(hart.x[A3]).toBe(0x1ff);
});

test("a locked entry keeps its address, and that of a TOR entry's lower bound", () => {
  const hart = run(`
      li t0, 0x20001000
      csrw pmpaddr0, t0
      li t0, 0x20002000
      csrw pmpaddr1, t0
      li t0, 0x8800
      csrw pmpcfg0, t0
      csrw pmpaddr0, zero
      csrw pmpaddr1, zero
      csrw pmpcfg0, zero
      csrr a2, pmpaddr0
      csrr a3, pmpaddr1
  `);
  expect(hart.x[A2]).toBe(0x2000_1000);
  expect(hart.x[A3]).toBe(0x2000_2000);
});

for (const [what, code, cause] of [
  ["load", "lw t1, 0(t0)", CAUSE_LOAD_ACCESS],
  ["store", "sw t1, 0(t0)", CAUSE_STORE_ACCESS],
  ["AMO", "amoadd.w t1, t1, (t0)", CAUSE_STORE_ACCESS],
  ["fetch", "jr t0", CAUSE_FETCH_ACCESS],
] as const) {
  test(`supervisor mode's ${what} in a closed page is an access fault with its address`, () => {
    const hart = run(`
      ${REST_OPEN}
      li t0, 0x20002000     # 0x80008000, one page, no rights
      csrw pmpaddr0, t0
      li t0, 0x18
      csrw pmpcfg0, t0
      li t0, 0x80008000
      lw a2, 0(t0)          # machine mode may
      ${TO_SUPERVISOR}
  supervisor:
      li t0, 0x80009000
      lw a3, 0(t0)
      li t0, 0x80008000
      ${code}
    `);
    expect(hart.privilege).toBe(M);
    expect(hart.x[A0]).toBe(cause);
    expect(hart.x[A1] >>> 0).toBe(0x8000_8000);
  });
}

test("MPRV: machine mode's loads are held to the rights of MPP", () => {
  const hart = run(`
      ${REST_OPEN}
      li t0, 0x20002000
      csrw pmpaddr0, t0
      li t0, 0x18
      csrw pmpcfg0, t0
      li t0, 0x20800        # MPRV, MPP = S
      csrs mstatus, t0
      li t0, 0x80008000
      lw a2, 0(t0)
  `);
  expect(hart.x[A0]).toBe(CAUSE_LOAD_ACCESS);
});

test("a page table in closed memory is an access fault of the access that needs it", () => {
  const hart = run(`
      ${REST_OPEN}
      li t0, 0x20002000     # the root table at 0x80008000
      csrw pmpaddr0, t0
      li t0, 0x18
      csrw pmpcfg0, t0
      li t1, 0x8000000000080008
      csrw satp, t1
      ${TO_SUPERVISOR}
  supervisor: nop
  `);
  expect(hart.x[A0]).toBe(CAUSE_FETCH_ACCESS);
});

test("rights that are taken away end cached translations", () => {
  const hart = run(`
      ${REST_OPEN}
      la t0, closed
      csrw mtvec, t0
      ${TO_SUPERVISOR}
  supervisor:
      li t2, 0x80008000
      lw a2, 0(t2)
      ecall
      lw a3, 0(t2)
  closed:
      li t0, 0x20002000
      csrw pmpaddr0, t0
      li t0, 0x18
      csrw pmpcfg0, t0
      la t0, handler
      csrw mtvec, t0
      csrr t0, mepc
      addi t0, t0, 4
      csrw mepc, t0
      mret
  `);
  expect(hart.x[A0]).toBe(CAUSE_LOAD_ACCESS);
});
