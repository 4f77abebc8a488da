import { expect, test } from "vitest";
import { assemble } from "./asm/index.ts";
import {
  createGuestRam,
  type DeviceBus,
  Hart,
  type HartOptions,
  STOP_FUEL,
  STOP_TRAP_LOOP,
  STOP_WFI,
} from "./index.ts";
import { CAUSE_ILLEGAL_INSTRUCTION, IRQ_M_TIMER, IRQ_S_EXT } from "./isa/causes.ts";

const A0 = 20;
const A1 = 22;
const A2 = 24;
const S0 = 16;

/** What firmware does first: entry 0 of the PMP lets S and U use all addresses. */
const OPEN_PMP = "li t0, -1\n csrw pmpaddr0, t0\n li t0, 0x1f\n csrw pmpcfg0, t0\n";

function boot(source: string, options: Partial<HartOptions> = {}): { hart: Hart; labels: ReadonlyMap<string, number> } {
  const ram = options.ram ?? createGuestRam({ size: 1 << 20 });
  const { bytes, labels } = assemble(source);
  ram.bytes.set(bytes);
  return { hart: new Hart({ ...options, ram, mode: "architectural" }), labels };
}

test("an ecall from M-mode vectors to mtvec and mret comes back", () => {
  const { hart } = boot(`
      la t0, handler
      csrw mtvec, t0
      ecall
      li a1, 1
  end: j end
  handler:
      csrr a0, mcause
      csrr t1, mepc
      addi t1, t1, 4
      csrw mepc, t1
      mret
  `);
  expect(hart.run(100)).toBe(STOP_FUEL);
  expect(hart.x[A0]).toBe(11);
  expect(hart.x[A1]).toBe(1);
  expect(hart.privilege).toBe(3);
});

test("a delegated ecall from U-mode reaches S-mode, with SPP clear and the S stack of interrupt enables", () => {
  const { hart, labels } = boot(`${OPEN_PMP}
      la t0, mhandler
      csrw mtvec, t0
      la t0, shandler
      csrw stvec, t0
      li t0, 0x100
      csrw medeleg, t0
      la t0, user
      csrw mepc, t0
      csrw mstatus, zero
      mret
  user:
      ecall
  mhandler: j mhandler
  shandler:
      csrr a0, scause
      csrr a1, sepc
      csrr a2, sstatus
  end: j end
  `);
  hart.run(100);
  expect(hart.privilege).toBe(1);
  expect(hart.x[A0]).toBe(8);
  expect(hart.x[A1] >>> 0).toBe(labels.get("user"));
  expect(hart.x[A2] & 0x100).toBe(0);
});

test("S-mode may not touch machine CSRs", () => {
  const { hart } = boot(`${OPEN_PMP}
      la t0, handler
      csrw mtvec, t0
      la t0, supervisor
      csrw mepc, t0
      li t0, 0x800
      csrw mstatus, t0
      mret
  supervisor:
      csrr t0, mstatus
  handler:
      csrr a0, mcause
      csrr a1, mtval
  end: j end
  `);
  hart.run(100);
  expect(hart.x[A0]).toBe(CAUSE_ILLEGAL_INSTRUCTION);
  expect(hart.x[A1] >>> 0).toBe(0x3000_22f3);
});

test("WFI waits until an enabled interrupt is pending, and a vectored handler gets it", () => {
  const { hart } = boot(`
      la t0, table
      addi t0, t0, 1
      csrw mtvec, t0
      li t0, 0x80
      csrw mie, t0
      csrsi mstatus, 8
      wfi
      li a1, 7
  end: j end
      .align 6
  table: j wrong
      .zero 24
      j timer
  wrong: j wrong
  timer:
      csrr a0, mcause
      li t0, 0x80
      csrc mie, t0
      mret
  `);
  expect(hart.run(1000)).toBe(STOP_WFI);
  expect(hart.run(1000)).toBe(STOP_WFI);
  hart.setInterrupt(IRQ_M_TIMER, true);
  expect(hart.run(100)).toBe(STOP_FUEL);
  expect([hart.x[A0], hart.x[A0 + 1] >>> 0]).toEqual([7, 0x8000_0000]);
  expect(hart.x[A1]).toBe(7);
});

test("stimecmp raises the supervisor timer interrupt when Sstc is on", () => {
  let now = 0;
  const { hart } = boot(
    `${OPEN_PMP}
      li t0, 1
      slli t0, t0, 63
      csrw menvcfg, t0
      li t0, 2
      csrw mcounteren, t0
      li t0, 0x20
      csrw mideleg, t0
      la t0, supervisor
      csrw mepc, t0
      li t0, 0x800
      csrw mstatus, t0
      mret
  supervisor:
      la t0, handler
      csrw stvec, t0
      li t0, 1000
      csrw stimecmp, t0
      li t0, 0x20
      csrw sie, t0
      csrsi sstatus, 2
  loop: addi s0, s0, 1
      j loop
  handler:
      csrr a0, scause
      rdtime a1
  end: j end
  `,
    { timeSource: () => now },
  );
  hart.run(1000);
  expect(hart.x[S0]).toBeGreaterThan(100);
  expect(hart.x[A0]).toBe(0);
  now = 1234;
  hart.run(100);
  expect([hart.x[A0], hart.x[A0 + 1] >>> 0]).toEqual([5, 0x8000_0000]);
  expect(hart.x[A1]).toBe(1234);
});

test("a device load and store go to the bus, and an interrupt they raise is taken at once", () => {
  const log: string[] = [];
  let hart: Hart | null = null;
  const bus: DeviceBus = {
    read: (paddr, byteLength) => {
      log.push(`r${byteLength} ${paddr.toString(16)}`);
      return paddr === 0x1000_0000 ? 0xfedc_ba98 | 0 : undefined;
    },
    write: (paddr, byteLength, value) => {
      log.push(`w${byteLength} ${paddr.toString(16)} ${value}`);
      hart?.setInterrupt(IRQ_S_EXT, true);
      return true;
    },
  };
  const machine = boot(
    `
      la t0, handler
      csrw mtvec, t0
      li t0, 0x200
      csrw mie, t0
      csrsi mstatus, 8
      li t0, 0x10000000
      lbu a0, 0(t0)
      lwu a1, 0(t0)
      sh a1, 2(t0)
      li a2, 1
  handler:
      csrr s0, mcause
  end: j end
  `,
    { bus },
  );
  hart = machine.hart;
  hart.run(100);
  expect(log).toEqual(["r1 10000000", "r4 10000000", `w2 10000002 ${0xfedc_ba98 | 0}`]);
  expect(hart.x[A0]).toBe(0x98);
  expect([hart.x[A1], hart.x[A1 + 1]]).toEqual([0xfedc_ba98 | 0, 0]);
  expect(hart.x[A2]).toBe(0);
  expect(hart.x[S0]).toBe(9);
});

test("floating-point instructions and fcsr are illegal while mstatus.FS is Off", () => {
  const { hart } = boot(`
      la t0, handler
      csrw mtvec, t0
      fadd.d fa0, fa0, fa0
      csrr a2, fcsr
      li t0, 0x6000
      csrs mstatus, t0
      fadd.d fa0, fa0, fa0
      csrr a2, mstatus
  end: j end
      .align 2
  handler:
      addi a0, a0, 1
      csrr a1, mtval
      csrr t1, mepc
      addi t1, t1, 4
      csrw mepc, t1
      mret
  `);
  hart.run(100);
  expect(hart.x[A0]).toBe(2);
  expect(hart.x[A1] >>> 0).toBe(0x0030_2673);
  expect(hart.x[A2] & 0x6000).toBe(0x6000);
});

test("Sv39: supervisor pages are closed to U-mode, user pages to S-mode unless SUM is set", () => {
  const ram = createGuestRam({ size: 1 << 20 });
  // A 1 GiB identity leaf for code (supervisor), and a 4 KiB user page at 0x4000_0000.
  const pte = (frame: number, flags: number): bigint => (BigInt(frame) << 10n) | BigInt(flags);
  ram.view.setBigUint64(0x8000 + 2 * 8, pte(0x8_0000, 0xcf), true);
  ram.view.setBigUint64(0x8000 + 8, pte(0x8_0009, 1), true);
  ram.view.setBigUint64(0x9000, pte(0x8_000a, 1), true);
  ram.view.setBigUint64(0xa000, pte(0x8_000b, 0xd7), true);
  const { hart } = boot(
    `${OPEN_PMP}
      la t0, handler
      csrw mtvec, t0
      li t0, 0x80000008
      li t1, 0x8000000000080008
      csrw satp, t1
      la t0, supervisor
      csrw mepc, t0
      li t0, 0x800
      csrw mstatus, t0
      mret
  supervisor:
      li t0, 0x40000000
      li t1, 0x40000
      csrs sstatus, t1
      sw t0, 0(t0)
      lw a1, 0(t0)
      csrc sstatus, t1
      lw a2, 0(t0)
  handler:
      csrr a0, mcause
  end: j end
  `,
    { ram },
  );
  hart.run(100);
  expect(hart.x[A1]).toBe(0x4000_0000);
  expect(hart.x[A0]).toBe(13);
  expect(hart.x[A2]).toBe(0);
});

test("a trap handler that itself faults is reported instead of spinning", () => {
  const { hart } = boot("csrw mtvec, zero\n .word 0");
  expect(hart.run(1e9)).toBe(STOP_TRAP_LOOP);
});
