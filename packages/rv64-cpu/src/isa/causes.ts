/** Trap causes: the exception codes of mcause/scause. Source: RISC-V Volume II (20240411), table 14. */
export const CAUSE_FETCH_MISALIGNED = 0;
export const CAUSE_FETCH_ACCESS = 1;
export const CAUSE_ILLEGAL_INSTRUCTION = 2;
export const CAUSE_BREAKPOINT = 3;
export const CAUSE_LOAD_MISALIGNED = 4;
export const CAUSE_LOAD_ACCESS = 5;
export const CAUSE_STORE_MISALIGNED = 6;
export const CAUSE_STORE_ACCESS = 7;
export const CAUSE_ECALL_U = 8;
export const CAUSE_ECALL_S = 9;
export const CAUSE_ECALL_M = 11;
export const CAUSE_FETCH_PAGE_FAULT = 12;
export const CAUSE_LOAD_PAGE_FAULT = 13;
export const CAUSE_STORE_PAGE_FAULT = 15;

/** Names as gdb and Linux print them, by code. */
export const CAUSE_NAMES: Readonly<Record<number, string>> = {
  [CAUSE_FETCH_MISALIGNED]: "instruction address misaligned",
  [CAUSE_FETCH_ACCESS]: "instruction access fault",
  [CAUSE_ILLEGAL_INSTRUCTION]: "illegal instruction",
  [CAUSE_BREAKPOINT]: "breakpoint",
  [CAUSE_LOAD_MISALIGNED]: "load address misaligned",
  [CAUSE_LOAD_ACCESS]: "load access fault",
  [CAUSE_STORE_MISALIGNED]: "store/AMO address misaligned",
  [CAUSE_STORE_ACCESS]: "store/AMO access fault",
  [CAUSE_ECALL_U]: "environment call from U-mode",
  [CAUSE_ECALL_S]: "environment call from S-mode",
  [CAUSE_ECALL_M]: "environment call from M-mode",
  [CAUSE_FETCH_PAGE_FAULT]: "instruction page fault",
  [CAUSE_LOAD_PAGE_FAULT]: "load page fault",
  [CAUSE_STORE_PAGE_FAULT]: "store/AMO page fault",
};

// Interrupt numbers: bits of mip/mie and, with the top bit set, mcause.
export const IRQ_S_SOFT = 1;
export const IRQ_M_SOFT = 3;
export const IRQ_S_TIMER = 5;
export const IRQ_M_TIMER = 7;
export const IRQ_S_EXT = 9;
export const IRQ_M_EXT = 11;
