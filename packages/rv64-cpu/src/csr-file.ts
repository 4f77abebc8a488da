/**
 * Control and status registers, and the instructions of opcode SYSTEM except ecall and ebreak.
 *
 * Two personalities share the code. Hosted: the hart is in user mode for ever and only the fcsr and the counters exist.
 * Architectural: M, S and U mode with delegation and Sstc; `takeTrap` and `takeInterrupt` vector like hardware.
 *
 * Choices that the specification leaves open: 16 PMP entries of whole pages (pmp.ts); FS is Off or Dirty; the event counters and mcountinhibit are zero; envcfg's cache-block enables are one.
 *
 * Source: RISC-V Volume I, 7-8, 20.2; Volume II (20240411), 2-3, 10; Sstc 1.0.
 */
import type { FpUnit } from "./fp/unit.ts";
import { CAUSE_ECALL_U, IRQ_M_EXT, IRQ_M_SOFT, IRQ_M_TIMER, IRQ_S_EXT, IRQ_S_SOFT, IRQ_S_TIMER } from "./isa/causes.ts";
import * as csr from "./isa/csrs.ts";
import type { Mmu } from "./mmu.ts";
import { isAddressLocked, legalAddressHi, legalConfig, Pmp, PMP_ENTRIES, readAddress } from "./pmp.ts";
import { STATE_FFLAGS, STATE_FRM, STATE_FS, STATE_PC, STATE_TRAP_CAUSE, STATE_TRAP_VALUE } from "./state.ts";

export const PRIV_U = 0;
export const PRIV_S = 1;
export const PRIV_M = 3;

// mstatus, low word (Volume II, 3.1.6). The high word is SXL = UXL = 2 and SD.
export const MSTATUS_SIE: number = 1 << 1;
export const MSTATUS_MIE: number = 1 << 3;
export const MSTATUS_SPIE: number = 1 << 5;
export const MSTATUS_MPIE: number = 1 << 7;
export const MSTATUS_SPP: number = 1 << 8;
export const MSTATUS_MPP: number = 3 << 11;
export const MSTATUS_FS: number = 3 << 13;
export const MSTATUS_MPRV: number = 1 << 17;
export const MSTATUS_SUM: number = 1 << 18;
export const MSTATUS_MXR: number = 1 << 19;
export const MSTATUS_TVM: number = 1 << 20;
export const MSTATUS_TW: number = 1 << 21;
export const MSTATUS_TSR: number = 1 << 22;
const MPP_SHIFT = 11;
const SSTATUS_MASK = MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_FS | MSTATUS_SUM | MSTATUS_MXR;
const MSTATUS_MASK =
  SSTATUS_MASK | MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPP | MSTATUS_MPRV | MSTATUS_TVM | MSTATUS_TW | MSTATUS_TSR;
const SXL_UXL_64 = 0xa;
const UXL_64 = 0x2;

const S_INTERRUPTS = (1 << IRQ_S_SOFT) | (1 << IRQ_S_TIMER) | (1 << IRQ_S_EXT);
const ALL_INTERRUPTS = S_INTERRUPTS | (1 << IRQ_M_SOFT) | (1 << IRQ_M_TIMER) | (1 << IRQ_M_EXT);
/** Highest priority first (Volume II, 3.1.9). */
const PRIORITY = [IRQ_M_EXT, IRQ_M_SOFT, IRQ_M_TIMER, IRQ_S_EXT, IRQ_S_SOFT, IRQ_S_TIMER];
/** ecall from M (11) cannot be delegated. */
const MEDELEG_MASK = 0xb3ff;
const MISA_LO = (1 << 0) | (1 << 2) | (1 << 3) | (1 << 5) | (1 << 8) | (1 << 12) | (1 << 18) | (1 << 20); // A C D F I M S U
const MISA_HI = 0x8000_0000 | 0; // MXL = 2
/** FIOM, CBIE, CBCFE and CBZE read as one where they exist. */
const ENVCFG_FIXED = 0xf0;
const ENVCFG_STCE_HI = 1 << 31;
const ENVCFG_ADUE_HI = 1 << 29;
const SATP_BARE = 0;
const SATP_SV39 = 8;
const SATP_SV48 = 9;

// Registers that are plain storage: slot numbers in #regs, two words each.
const STORED = [
  csr.CSR_STVEC,
  csr.CSR_SCOUNTEREN,
  csr.CSR_SSCRATCH,
  csr.CSR_SEPC,
  csr.CSR_SCAUSE,
  csr.CSR_STVAL,
  csr.CSR_STIMECMP,
  csr.CSR_SATP,
  csr.CSR_MEDELEG,
  csr.CSR_MIDELEG,
  csr.CSR_MIE,
  csr.CSR_MTVEC,
  csr.CSR_MCOUNTEREN,
  csr.CSR_MENVCFG,
  csr.CSR_MSCRATCH,
  csr.CSR_MEPC,
  csr.CSR_MCAUSE,
  csr.CSR_MTVAL,
  csr.CSR_MIP,
  csr.CSR_MSTATUS,
  csr.CSR_PMPCFG0,
  csr.CSR_PMPCFG0 + 2,
  ...Array.from({ length: PMP_ENTRIES }, (_, n) => csr.CSR_PMPADDR0 + n),
];
const slotOf = new Int16Array(4096).fill(-1);
STORED.forEach((number, n) => {
  slotOf[number] = n * 2;
});
const [
  STVEC,
  SCOUNTEREN,
  ,
  SEPC,
  SCAUSE,
  STVAL,
  STIMECMP,
  SATP,
  MEDELEG,
  MIDELEG,
  MIE,
  MTVEC,
  MCOUNTEREN,
  MENVCFG,
  ,
  MEPC,
  MCAUSE,
  MTVAL,
  MIP,
  MSTATUS,
  PMPCFG,
  ,
  PMPADDR,
] = STORED.map((_, n) => n * 2);
/** The privilege follows the stored registers in a saved state. */
const PRIV = STORED.length * 2;
/** Words of {@link CsrFile.words}. */
export const CSR_WORDS: number = PRIV + 2;

/** csrrs rd, time, x0, without rd. */
const RDTIME = 0xc010_2073 | 0;
const RD_FIELD = 0xf80;

// Results of execute().
export const SYSTEM_DONE = 0;
export const SYSTEM_ILLEGAL = 1;
/** STATE_PC holds where to go on, and interrupts, privilege or translation may have changed. */
export const SYSTEM_LEAVE = 2;
/** The same, and the hart waits for an interrupt. */
export const SYSTEM_WAIT = 3;

const $value = new Int32Array(2); // the register value last read

export interface CsrFileOptions {
  readonly architectural: boolean;
  readonly hartId: number;
  /** 10 MHz ticks. */
  readonly time: () => number;
  /** Instructions for which a reading of `time` is used again. */
  readonly timeReuse: number;
  /** Retired instructions, the current one included. */
  readonly retired: () => number;
}

export class CsrFile {
  readonly #i32: Int32Array;
  readonly #fp: FpUnit;
  readonly #mmu: Mmu;
  readonly #options: CsrFileOptions;
  readonly #regs = new Int32Array(CSR_WORDS);
  /** The bytes of pmpcfg0 and pmpcfg2, which lie side by side. */
  readonly #pmpConfig = new Uint8Array(this.#regs.buffer, PMPCFG * 4, PMP_ENTRIES);
  readonly #pmpAddress: Int32Array = this.#regs.subarray(PMPADDR, PMPADDR + 2 * PMP_ENTRIES);
  readonly #pmp = new Pmp();
  /** minstret and mcycle are the hart's count plus these, since both are writable. */
  #instretOffset = 0;
  #cycleOffset = 0;
  #priv = PRIV_U;
  /** Up to this count of retired instructions the last reading of the time source is good enough. Reset by every run(). */
  timeKnownUntil = -1;
  #timeLo = 0;
  #timeHi = 0;

  constructor(i32: Int32Array, fp: FpUnit, mmu: Mmu, options: CsrFileOptions) {
    this.#i32 = i32;
    this.#fp = fp;
    this.#mmu = mmu;
    this.#options = options;
    i32[STATE_FS >> 2] = 1;
    if (options.architectural) {
      this.#priv = PRIV_M;
      this.#regs[MENVCFG] = ENVCFG_FIXED;
      mmu.pmp = this.#pmp;
      this.#changed();
    }
  }

  /** U, S or M: 0, 1 or 3. */
  get privilege(): number {
    return this.#priv;
  }

  /** The privileged state, for snapshots. Restore by writing the words and calling {@link restored}. */
  get words(): Int32Array {
    this.#regs[PRIV] = this.#priv;
    return this.#regs;
  }
  restored(): void {
    this.#priv = this.#regs[PRIV];
    if (!this.#options.architectural) return;
    this.#pmp.configure(this.#pmpConfig, this.#pmpAddress);
    this.#changed();
  }

  /** Drives bit `irq` of mip. */
  setPending(irq: number, high: boolean): void {
    if (high) this.#regs[MIP] |= 1 << irq;
    else this.#regs[MIP] &= ~(1 << irq);
  }

  /** mip as it reads: Sstc drives STIP from stimecmp. */
  #pending(): number {
    const regs = this.#regs;
    if ((regs[MENVCFG + 1] & ENVCFG_STCE_HI) === 0) return regs[MIP];
    const due = this.#options.time() >= (regs[STIMECMP + 1] >>> 0) * 0x1_0000_0000 + (regs[STIMECMP] >>> 0);
    return (regs[MIP] & ~(1 << IRQ_S_TIMER)) | (due ? 1 << IRQ_S_TIMER : 0);
  }

  /** True if an interrupt that mie enables is pending, whatever the global enables say (what ends a WFI). */
  hasWakeup(): boolean {
    return (this.#pending() & this.#regs[MIE]) !== 0;
  }

  /** The interrupt to take now, or -1. */
  deliverable(): number {
    const regs = this.#regs;
    const ready = this.#pending() & regs[MIE];
    if (ready === 0) return -1;
    const machine = this.#priv < PRIV_M || (regs[MSTATUS] & MSTATUS_MIE) !== 0 ? ready & ~regs[MIDELEG] : 0;
    const supervisor =
      this.#priv < PRIV_S || (this.#priv === PRIV_S && (regs[MSTATUS] & MSTATUS_SIE) !== 0) ? ready & regs[MIDELEG] : 0;
    const chosen = machine !== 0 ? machine : supervisor;
    for (const irq of PRIORITY) if ((chosen & (1 << irq)) !== 0) return irq;
    return -1;
  }

  /** Enters the handler of the exception in the trap slots, with STATE_PC as its epc. */
  takeTrap(): void {
    const i32 = this.#i32;
    let cause = i32[STATE_TRAP_CAUSE >> 2];
    if (cause === CAUSE_ECALL_U) i32[STATE_TRAP_CAUSE >> 2] = cause = CAUSE_ECALL_U + this.#priv;
    this.#enter(
      cause,
      0,
      (this.#regs[MEDELEG] >> cause) & 1,
      i32[STATE_TRAP_VALUE >> 2],
      i32[(STATE_TRAP_VALUE >> 2) + 1],
    );
  }

  takeInterrupt(irq: number): void {
    this.#enter(irq, 0x8000_0000 | 0, (this.#regs[MIDELEG] >> irq) & 1, 0, 0);
  }

  /** Volume II, 3.1.6.1 and 10.1.1.1: the trap stack of mstatus, and the vector. */
  #enter(cause: number, causeHi: number, delegated: number, valueLo: number, valueHi: number): void {
    const regs = this.#regs;
    const toS = delegated === 1 && this.#priv <= PRIV_S;
    const [epc, causeSlot, value, vector] = toS ? [SEPC, SCAUSE, STVAL, STVEC] : [MEPC, MCAUSE, MTVAL, MTVEC];
    const pc = STATE_PC >> 2;
    regs[epc] = this.#i32[pc];
    regs[epc + 1] = this.#i32[pc + 1];
    regs[causeSlot] = cause;
    regs[causeSlot + 1] = causeHi;
    regs[value] = valueLo;
    regs[value + 1] = valueHi;
    let status = regs[MSTATUS];
    if (toS) {
      status =
        (status & ~(MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_SIE)) |
        ((status & MSTATUS_SIE) !== 0 ? MSTATUS_SPIE : 0) |
        (this.#priv === PRIV_S ? MSTATUS_SPP : 0);
      this.#priv = PRIV_S;
    } else {
      status =
        (status & ~(MSTATUS_MPIE | MSTATUS_MPP | MSTATUS_MIE)) |
        ((status & MSTATUS_MIE) !== 0 ? MSTATUS_MPIE : 0) |
        (this.#priv << MPP_SHIFT);
      this.#priv = PRIV_M;
    }
    regs[MSTATUS] = status;
    const offset = (regs[vector] & 3) === 1 && causeHi !== 0 ? cause * 4 : 0;
    this.#setPc(regs[vector] & ~3, regs[vector + 1], offset);
    this.#changed();
  }

  #setPc(lo: number, hi: number, offset: number): void {
    const sum = (lo >>> 0) + offset;
    this.#i32[STATE_PC >> 2] = sum | 0;
    this.#i32[(STATE_PC >> 2) + 1] = sum > 0xffff_ffff ? (hi + 1) | 0 : hi;
  }

  /** Brings translation in line with privilege, satp and mstatus. */
  #changed(): void {
    const regs = this.#regs;
    const status = regs[MSTATUS];
    this.#i32[STATE_FS >> 2] = status & MSTATUS_FS;
    this.#mmu.hardwareAd = (regs[MENVCFG + 1] & ENVCFG_ADUE_HI) !== 0;
    const mode = regs[SATP + 1] >>> 28;
    const root = mode === SATP_BARE ? -1 : (regs[SATP] >>> 0) + (regs[SATP + 1] & 0xfff) * 0x1_0000_0000;
    this.#mmu.levels = mode === SATP_SV48 ? 4 : 3;
    const sum = (status & MSTATUS_SUM) !== 0;
    const mxr = (status & MSTATUS_MXR) !== 0;
    const rights = (sum ? 1 : 0) | (mxr ? 2 : 0);
    const key = (regs[SATP + 1] & 0x0fff_ffff) * 0x1_0000_0000 + (regs[SATP] >>> 0);
    this.#mmu.dataPrivilege = this.#mmu.fetchPrivilege = this.#priv;
    if (this.#priv === PRIV_M) {
      const effective = (status & MSTATUS_MPP) >> MPP_SHIFT;
      if ((status & MSTATUS_MPRV) !== 0 && effective !== PRIV_M) {
        // Data as MPP would see it, code untranslated. Always a fresh bank: this is rare and short.
        this.#mmu.dataPrivilege = effective;
        this.#mmu.select(3, Number.NaN, root, effective === PRIV_U, sum, mxr);
        this.#mmu.fetchBare();
      } else this.#mmu.select(2, -1, -1, false, true, true);
    } else if (this.#priv === PRIV_S) this.#mmu.select(1, key * 4 + rights, root, false, sum, mxr);
    else this.#mmu.select(0, key * 4 + rights, root, true, sum, mxr);
  }

  /** Executes the instruction `bits`, whose address is in STATE_PC. Returns one of SYSTEM_*. */
  execute(bits: number): number {
    // Every clock_gettime of a hosted program is one of these.
    if ((bits & ~RD_FIELD) === RDTIME && !this.#options.architectural) {
      const retired = this.#options.retired();
      if (retired > this.timeKnownUntil) this.#readTime(retired);
      const rd = (bits >> 7) & 31;
      if (rd !== 0) {
        this.#i32[rd * 2] = this.#timeLo;
        this.#i32[rd * 2 + 1] = this.#timeHi;
      }
      return SYSTEM_DONE;
    }
    const funct3 = (bits >> 12) & 7;
    if (funct3 !== 0) return this.#csrInstruction(bits, funct3);
    if (!this.#options.architectural) return SYSTEM_ILLEGAL;
    const status = this.#regs[MSTATUS];
    switch (bits) {
      case 0x3020_0073:
        return this.#priv === PRIV_M ? this.#mret() : SYSTEM_ILLEGAL;
      case 0x1020_0073:
        if (this.#priv === PRIV_U || (this.#priv === PRIV_S && (status & MSTATUS_TSR) !== 0)) return SYSTEM_ILLEGAL;
        return this.#sret();
      case 0x1050_0073: // wfi
        if (this.#priv === PRIV_U || (this.#priv === PRIV_S && (status & MSTATUS_TW) !== 0)) return SYSTEM_ILLEGAL;
        this.#skip();
        return this.hasWakeup() ? SYSTEM_LEAVE : SYSTEM_WAIT;
      default: {
        // sfence.vma
        if (this.#priv === PRIV_U || (this.#priv === PRIV_S && (status & MSTATUS_TVM) !== 0)) return SYSTEM_ILLEGAL;
        const rs1 = (bits >> 15) & 31;
        if (rs1 === 0) this.#mmu.flushAll();
        else this.#mmu.flushPage(this.#i32[rs1 * 2]);
        return SYSTEM_DONE;
      }
    }
  }

  #readTime(retired: number): void {
    const ticks = this.#options.time();
    this.#timeLo = ticks | 0;
    this.#timeHi = Math.floor(ticks / 0x1_0000_0000);
    this.timeKnownUntil = retired + this.#options.timeReuse;
  }

  /** Steps STATE_PC over a 4-byte instruction. */
  #skip(): void {
    const pc = STATE_PC >> 2;
    this.#setPc(this.#i32[pc], this.#i32[pc + 1], 4);
  }

  #mret(): number {
    const regs = this.#regs;
    const status = regs[MSTATUS];
    this.#priv = (status & MSTATUS_MPP) >> MPP_SHIFT;
    regs[MSTATUS] =
      (status & ~(MSTATUS_MIE | MSTATUS_MPP | (this.#priv === PRIV_M ? 0 : MSTATUS_MPRV))) |
      ((status & MSTATUS_MPIE) !== 0 ? MSTATUS_MIE : 0) |
      MSTATUS_MPIE;
    this.#setPc(regs[MEPC], regs[MEPC + 1], 0);
    this.#changed();
    return SYSTEM_LEAVE;
  }

  #sret(): number {
    const regs = this.#regs;
    const status = regs[MSTATUS];
    this.#priv = (status & MSTATUS_SPP) !== 0 ? PRIV_S : PRIV_U;
    regs[MSTATUS] =
      (status & ~(MSTATUS_SIE | MSTATUS_SPP | MSTATUS_MPRV)) |
      ((status & MSTATUS_SPIE) !== 0 ? MSTATUS_SIE : 0) |
      MSTATUS_SPIE;
    this.#setPc(regs[SEPC], regs[SEPC + 1], 0);
    this.#changed();
    return SYSTEM_LEAVE;
  }

  #csrInstruction(bits: number, funct3: number): number {
    const number = bits >>> 20;
    const rs1 = (bits >> 15) & 31;
    const rd = (bits >> 7) & 31;
    const immediate = (funct3 & 4) !== 0;
    const lo = immediate ? rs1 : this.#i32[rs1 * 2];
    const hi = immediate ? 0 : this.#i32[rs1 * 2 + 1];
    // csrrs and csrrc do not write when rs1 is x0 (or the immediate 0).
    const writes = (funct3 & 3) === 1 || rs1 !== 0;
    if (((number >> 8) & 3) > this.#priv || (writes && number >>> 10 === 3) || !this.#read(number))
      return SYSTEM_ILLEGAL;
    const oldLo = $value[0];
    const oldHi = $value[1];
    let result = SYSTEM_DONE;
    if (writes) {
      const kind = funct3 & 3;
      const newLo = kind === 1 ? lo : kind === 2 ? oldLo | lo : oldLo & ~lo;
      const newHi = kind === 1 ? hi : kind === 2 ? oldHi | hi : oldHi & ~hi;
      result = this.#write(number, newLo, newHi);
      if (result === SYSTEM_ILLEGAL) return result;
    }
    if (rd !== 0) {
      this.#i32[rd * 2] = oldLo;
      this.#i32[rd * 2 + 1] = oldHi;
    }
    if (result === SYSTEM_LEAVE) this.#skip();
    return result;
  }

  #set(lo: number, hi: number): boolean {
    $value[0] = lo;
    $value[1] = hi;
    return true;
  }
  #setNumber(value: number): boolean {
    return this.#set(value | 0, Math.floor(value / 0x1_0000_0000));
  }

  /** True if mcounteren and scounteren let the current mode read counter `n` of 0..31. */
  #counterEnabled(n: number): boolean {
    if (!this.#options.architectural || this.#priv === PRIV_M) return true;
    if (((this.#regs[MCOUNTEREN] >> n) & 1) === 0) return false;
    return this.#priv === PRIV_S || ((this.#regs[SCOUNTEREN] >> n) & 1) === 1;
  }

  /** The value of a CSR into $value; false if it does not exist or is not accessible. Privilege is checked before. */
  #read(number: number): boolean {
    const i32 = this.#i32;
    if (number <= csr.CSR_FCSR && i32[STATE_FS >> 2] === 0) return false;
    switch (number) {
      case csr.CSR_FFLAGS:
        return this.#set(i32[STATE_FFLAGS >> 2], 0);
      case csr.CSR_FRM:
        return this.#set(i32[STATE_FRM >> 2], 0);
      case csr.CSR_FCSR:
        return this.#set((i32[STATE_FRM >> 2] << 5) | i32[STATE_FFLAGS >> 2], 0);
      case csr.CSR_CYCLE:
        return this.#counterEnabled(0) && this.#setNumber(this.#options.retired() - 1 + this.#cycleOffset);
      case csr.CSR_TIME:
        return this.#counterEnabled(1) && this.#setNumber(this.#options.time());
      case csr.CSR_INSTRET:
        return this.#counterEnabled(2) && this.#setNumber(this.#options.retired() - 1 + this.#instretOffset);
    }
    if (!this.#options.architectural) return false;
    const regs = this.#regs;
    const status = regs[MSTATUS];
    const dirty = (status & MSTATUS_FS) !== 0 ? 0x8000_0000 | 0 : 0; // SD
    switch (number) {
      case csr.CSR_SSTATUS:
        return this.#set(status & SSTATUS_MASK, UXL_64 | dirty);
      case csr.CSR_MSTATUS:
        return this.#set(status, SXL_UXL_64 | dirty);
      case csr.CSR_SIE:
        return this.#set(regs[MIE] & regs[MIDELEG], 0);
      case csr.CSR_SIP:
        return this.#set(this.#pending() & regs[MIDELEG], 0);
      case csr.CSR_MIP:
        return this.#set(this.#pending(), 0);
      case csr.CSR_MISA:
        return this.#set(MISA_LO, MISA_HI);
      case csr.CSR_MHARTID:
        return this.#set(this.#options.hartId, 0);
      case csr.CSR_SENVCFG:
        return this.#set(ENVCFG_FIXED, 0);
      case csr.CSR_SATP:
        if (this.#priv === PRIV_S && (status & MSTATUS_TVM) !== 0) return false;
        break;
      case csr.CSR_STIMECMP:
        if (this.#priv !== PRIV_M && ((regs[MENVCFG + 1] & ENVCFG_STCE_HI) === 0 || (regs[MCOUNTEREN] & 2) === 0))
          return false;
        break;
      case csr.CSR_MCYCLE:
        return this.#setNumber(this.#options.retired() - 1 + this.#cycleOffset);
      case csr.CSR_MINSTRET:
        return this.#setNumber(this.#options.retired() - 1 + this.#instretOffset);
    }
    const slot = slotOf[number];
    if (slot >= PMPADDR)
      return this.#set(readAddress(regs[slot], this.#pmpConfig[(slot - PMPADDR) >> 1]), regs[slot + 1]);
    if (slot >= 0) return this.#set(regs[slot], regs[slot + 1]);
    return (
      readsZero(number) && (number >> 5 !== csr.CSR_CYCLE >> 5 || this.#counterEnabled(number & 31)) && this.#set(0, 0)
    );
  }

  #write(number: number, lo: number, hi: number): number {
    const i32 = this.#i32;
    switch (number) {
      case csr.CSR_FFLAGS:
        i32[STATE_FFLAGS >> 2] = lo & 31;
        break;
      case csr.CSR_FRM:
        i32[STATE_FRM >> 2] = lo & 7;
        break;
      case csr.CSR_FCSR:
        i32[STATE_FFLAGS >> 2] = lo & 31;
        i32[STATE_FRM >> 2] = (lo >> 5) & 7;
        break;
      default:
        return this.#writePrivileged(number, lo, hi);
    }
    this.#fp.updateMode();
    return SYSTEM_DONE;
  }

  #writePrivileged(number: number, lo: number, hi: number): number {
    const regs = this.#regs;
    switch (number) {
      case csr.CSR_SSTATUS:
        return this.#writeStatus((regs[MSTATUS] & ~SSTATUS_MASK) | (lo & SSTATUS_MASK));
      case csr.CSR_MSTATUS:
        return this.#writeStatus(lo & MSTATUS_MASK);
      case csr.CSR_SIE:
        regs[MIE] = (regs[MIE] & ~regs[MIDELEG]) | (lo & regs[MIDELEG]);
        return SYSTEM_LEAVE;
      case csr.CSR_MIE:
        regs[MIE] = lo & ALL_INTERRUPTS;
        return SYSTEM_LEAVE;
      case csr.CSR_SIP: {
        // only SSIP is writable from S (Volume II, 10.1.3)
        const mask = regs[MIDELEG] & (1 << IRQ_S_SOFT);
        regs[MIP] = (regs[MIP] & ~mask) | (lo & mask);
        return SYSTEM_LEAVE;
      }
      case csr.CSR_MIP:
        regs[MIP] = (regs[MIP] & ~S_INTERRUPTS) | (lo & S_INTERRUPTS);
        return SYSTEM_LEAVE;
      case csr.CSR_MIDELEG:
        regs[MIDELEG] = lo & S_INTERRUPTS;
        return SYSTEM_LEAVE;
      case csr.CSR_MEDELEG:
        regs[MEDELEG] = lo & MEDELEG_MASK;
        return SYSTEM_DONE;
      case csr.CSR_STVEC:
      case csr.CSR_MTVEC:
        return this.#store(number, lo & ~2, hi);
      case csr.CSR_SEPC:
      case csr.CSR_MEPC:
        return this.#store(number, lo & ~1, hi);
      case csr.CSR_SCOUNTEREN:
      case csr.CSR_MCOUNTEREN:
        return this.#store(number, lo, 0);
      case csr.CSR_MENVCFG:
        this.#store(number, ENVCFG_FIXED, hi & (ENVCFG_STCE_HI | ENVCFG_ADUE_HI));
        this.#changed();
        this.#mmu.flushAll();
        return SYSTEM_LEAVE;
      case csr.CSR_SATP: {
        const mode = hi >>> 28;
        // An unsupported mode leaves satp as it was (Volume II, 10.1.11).
        if (mode !== SATP_BARE && mode !== SATP_SV39 && mode !== SATP_SV48) return SYSTEM_DONE;
        this.#store(number, lo, hi);
        this.#changed();
        return SYSTEM_LEAVE;
      }
      case csr.CSR_STIMECMP:
        this.#store(number, lo, hi);
        return SYSTEM_LEAVE;
      case csr.CSR_MCYCLE:
        this.#cycleOffset = hi * 0x1_0000_0000 + (lo >>> 0) - this.#options.retired();
        return SYSTEM_DONE;
      case csr.CSR_MINSTRET:
        this.#instretOffset = hi * 0x1_0000_0000 + (lo >>> 0) - this.#options.retired();
        return SYSTEM_DONE;
      case csr.CSR_MISA:
      case csr.CSR_SENVCFG:
        return SYSTEM_DONE;
    }
    if (slotOf[number] >= PMPCFG) return this.#writePmp(slotOf[number], lo, hi);
    return slotOf[number] >= 0 ? this.#store(number, lo, hi) : SYSTEM_DONE;
  }

  #writePmp(slot: number, lo: number, hi: number): number {
    const config = this.#pmpConfig;
    if (slot >= PMPADDR) {
      if (isAddressLocked(config, (slot - PMPADDR) >> 1)) return SYSTEM_DONE;
      this.#regs[slot] = lo;
      this.#regs[slot + 1] = legalAddressHi(hi);
    } else {
      const first = (slot - PMPCFG) * 4;
      for (let n = 0; n < 8; n++) {
        const value = ((n < 4 ? lo : hi) >>> (8 * (n & 3))) & 255;
        config[first + n] = legalConfig(config[first + n], value);
      }
    }
    this.#pmp.configure(config, this.#pmpAddress);
    this.#mmu.flushAll();
    this.#changed();
    return SYSTEM_LEAVE;
  }

  #store(number: number, lo: number, hi: number): number {
    this.#regs[slotOf[number]] = lo;
    this.#regs[slotOf[number] + 1] = hi;
    return SYSTEM_DONE;
  }

  #writeStatus(value: number): number {
    let status = value;
    if ((status & MSTATUS_FS) !== 0) status |= MSTATUS_FS; // Off or Dirty
    if ((status & MSTATUS_MPP) === 2 << MPP_SHIFT)
      status = (status & ~MSTATUS_MPP) | (this.#regs[MSTATUS] & MSTATUS_MPP);
    const changed = status ^ this.#regs[MSTATUS];
    this.#regs[MSTATUS] = status;
    if ((changed & (MSTATUS_FS | MSTATUS_SUM | MSTATUS_MXR | MSTATUS_MPRV | MSTATUS_MPP)) !== 0) {
      this.#changed();
      return SYSTEM_LEAVE;
    }
    return (changed & status & (MSTATUS_MIE | MSTATUS_SIE)) !== 0 ? SYSTEM_LEAVE : SYSTEM_DONE;
  }
}

/** CSRs that exist and are always zero: ids, counters without events, PMP entries beyond ours, triggers. */
function readsZero(number: number): boolean {
  if (number >= csr.CSR_MVENDORID && number <= csr.CSR_MCONFIGPTR) return true;
  if (number >= csr.CSR_PMPCFG0 && number < csr.CSR_PMPCFG0 + 16) return (number & 1) === 0;
  if (number >= csr.CSR_PMPADDR0 && number < csr.CSR_PMPADDR0 + 64) return true;
  if (number === csr.CSR_MCOUNTINHIBIT || (number >= csr.CSR_MHPMEVENT3 && number < csr.CSR_MHPMEVENT3 + 29))
    return true;
  if (number >= csr.CSR_MHPMCOUNTER3 && number < csr.CSR_MHPMCOUNTER3 + 29) return true;
  return number >= csr.CSR_HPMCOUNTER3 && number < csr.CSR_HPMCOUNTER3 + 29;
}
