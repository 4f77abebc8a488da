/**
 * CSR numbers and names. The address says who may access it: bits 9:8 are the lowest privilege, bits 11:10 == 3 means
 * read-only. Source: RISC-V Volume II (20240411), tables 3-8; Sstc for stimecmp.
 */
export const CSR_FFLAGS = 0x001;
export const CSR_FRM = 0x002;
export const CSR_FCSR = 0x003;
export const CSR_CYCLE = 0xc00;
export const CSR_TIME = 0xc01;
export const CSR_INSTRET = 0xc02;
export const CSR_SSTATUS = 0x100;
export const CSR_SIE = 0x104;
export const CSR_STVEC = 0x105;
export const CSR_SCOUNTEREN = 0x106;
export const CSR_SENVCFG = 0x10a;
export const CSR_SSCRATCH = 0x140;
export const CSR_SEPC = 0x141;
export const CSR_SCAUSE = 0x142;
export const CSR_STVAL = 0x143;
export const CSR_SIP = 0x144;
export const CSR_STIMECMP = 0x14d;
export const CSR_SATP = 0x180;
export const CSR_MVENDORID = 0xf11;
export const CSR_MARCHID = 0xf12;
export const CSR_MIMPID = 0xf13;
export const CSR_MHARTID = 0xf14;
export const CSR_MCONFIGPTR = 0xf15;
export const CSR_MSTATUS = 0x300;
export const CSR_MISA = 0x301;
export const CSR_MEDELEG = 0x302;
export const CSR_MIDELEG = 0x303;
export const CSR_MIE = 0x304;
export const CSR_MTVEC = 0x305;
export const CSR_MCOUNTEREN = 0x306;
export const CSR_MENVCFG = 0x30a;
export const CSR_MCOUNTINHIBIT = 0x320;
export const CSR_MSCRATCH = 0x340;
export const CSR_MEPC = 0x341;
export const CSR_MCAUSE = 0x342;
export const CSR_MTVAL = 0x343;
export const CSR_MIP = 0x344;
export const CSR_MCYCLE = 0xb00;
export const CSR_MINSTRET = 0xb02;
export const CSR_TSELECT = 0x7a0;
export const CSR_TDATA1 = 0x7a1;
/** First of the PMP registers: 16 of pmpcfg, then 64 of pmpaddr. */
export const CSR_PMPCFG0 = 0x3a0;
export const CSR_PMPADDR0 = 0x3b0;
/** First of hpmcounter3..31, its machine twin, and the event selectors. */
export const CSR_HPMCOUNTER3 = 0xc03;
export const CSR_MHPMCOUNTER3 = 0xb03;
export const CSR_MHPMEVENT3 = 0x323;

/** Assembler names by number. */
export const CSR_NAMES: ReadonlyMap<number, string> = new Map([
  [CSR_FFLAGS, "fflags"],
  [CSR_FRM, "frm"],
  [CSR_FCSR, "fcsr"],
  [CSR_CYCLE, "cycle"],
  [CSR_TIME, "time"],
  [CSR_INSTRET, "instret"],
  [CSR_SSTATUS, "sstatus"],
  [CSR_SIE, "sie"],
  [CSR_STVEC, "stvec"],
  [CSR_SCOUNTEREN, "scounteren"],
  [CSR_SENVCFG, "senvcfg"],
  [CSR_SSCRATCH, "sscratch"],
  [CSR_SEPC, "sepc"],
  [CSR_SCAUSE, "scause"],
  [CSR_STVAL, "stval"],
  [CSR_SIP, "sip"],
  [CSR_STIMECMP, "stimecmp"],
  [CSR_SATP, "satp"],
  [CSR_MVENDORID, "mvendorid"],
  [CSR_MARCHID, "marchid"],
  [CSR_MIMPID, "mimpid"],
  [CSR_MHARTID, "mhartid"],
  [CSR_MCONFIGPTR, "mconfigptr"],
  [CSR_MSTATUS, "mstatus"],
  [CSR_MISA, "misa"],
  [CSR_MEDELEG, "medeleg"],
  [CSR_MIDELEG, "mideleg"],
  [CSR_MIE, "mie"],
  [CSR_MTVEC, "mtvec"],
  [CSR_MCOUNTEREN, "mcounteren"],
  [CSR_MENVCFG, "menvcfg"],
  [CSR_MCOUNTINHIBIT, "mcountinhibit"],
  [CSR_MSCRATCH, "mscratch"],
  [CSR_MEPC, "mepc"],
  [CSR_MCAUSE, "mcause"],
  [CSR_MTVAL, "mtval"],
  [CSR_MIP, "mip"],
  [CSR_MCYCLE, "mcycle"],
  [CSR_MINSTRET, "minstret"],
  [CSR_TSELECT, "tselect"],
  [CSR_TDATA1, "tdata1"],
  ...Array.from({ length: 16 }, (_, n): [number, string] => [CSR_PMPCFG0 + n, `pmpcfg${n}`]),
  ...Array.from({ length: 64 }, (_, n): [number, string] => [CSR_PMPADDR0 + n, `pmpaddr${n}`]),
  ...Array.from({ length: 29 }, (_, n): [number, string] => [CSR_HPMCOUNTER3 + n, `hpmcounter${n + 3}`]),
  ...Array.from({ length: 29 }, (_, n): [number, string] => [CSR_MHPMCOUNTER3 + n, `mhpmcounter${n + 3}`]),
  ...Array.from({ length: 29 }, (_, n): [number, string] => [CSR_MHPMEVENT3 + n, `mhpmevent${n + 3}`]),
]);
