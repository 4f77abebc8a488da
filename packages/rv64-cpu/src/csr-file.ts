/**
 * Control and status registers, and the instructions that touch them.
 *
 * Source: RISC-V Volume I, chapters 7-8 (Zicsr, Zicntr) and 20.2 (fcsr).
 */
import type { FpUnit } from "./fp/unit.ts";
import { CSR_CYCLE, CSR_FCSR, CSR_FFLAGS, CSR_FRM, CSR_INSTRET, CSR_TIME } from "./isa/csrs.ts";
import { STATE_FFLAGS, STATE_FRM } from "./state.ts";

const OPCODE_SYSTEM = 0x73;

// Result of the last read: int32 halves.
const $value = new Int32Array(2);

export class CsrFile {
  readonly #i32: Int32Array;
  readonly #fp: FpUnit;
  readonly #time: () => number;
  readonly #retired: () => number;

  constructor(i32: Int32Array, fp: FpUnit, time: () => number, retired: () => number) {
    this.#i32 = i32;
    this.#fp = fp;
    this.#time = time;
    this.#retired = retired;
  }

  /** Executes a SYSTEM instruction other than ecall and ebreak. False: illegal. */
  execute(bits: number): boolean {
    const funct3 = (bits >> 12) & 7;
    if ((bits & 0x7f) !== OPCODE_SYSTEM || funct3 === 0 || funct3 === 4) return false;
    const csr = bits >>> 20;
    const rs1 = (bits >> 15) & 31;
    const rd = (bits >> 7) & 31;
    const lo = (funct3 & 4) !== 0 ? rs1 : this.#i32[rs1 * 2];
    const hi = (funct3 & 4) !== 0 ? 0 : this.#i32[rs1 * 2 + 1];
    // csrrs and csrrc do not write when rs1 is x0 (or the immediate 0).
    const writes = (funct3 & 3) === 1 || rs1 !== 0;
    if (!this.#read(csr)) return false;
    const oldLo = $value[0];
    const oldHi = $value[1];
    if (writes) {
      if (csr >>> 10 === 3) return false; // read-only
      const kind = funct3 & 3;
      const newLo = kind === 1 ? lo : kind === 2 ? oldLo | lo : oldLo & ~lo;
      const newHi = kind === 1 ? hi : kind === 2 ? oldHi | hi : oldHi & ~hi;
      if (!this.#write(csr, newLo, newHi)) return false;
    }
    if (rd !== 0) {
      this.#i32[rd * 2] = oldLo;
      this.#i32[rd * 2 + 1] = oldHi;
    }
    return true;
  }

  #set(value: number): boolean {
    $value[0] = value | 0;
    $value[1] = Math.floor(value / 0x1_0000_0000);
    return true;
  }

  #read(csr: number): boolean {
    const i32 = this.#i32;
    switch (csr) {
      case CSR_FFLAGS: return this.#set(i32[STATE_FFLAGS >> 2]);
      case CSR_FRM: return this.#set(i32[STATE_FRM >> 2]);
      case CSR_FCSR: return this.#set((i32[STATE_FRM >> 2] << 5) | i32[STATE_FFLAGS >> 2]);
      case CSR_CYCLE: case CSR_INSTRET: return this.#set(this.#retired() - 1); // before this instruction
      case CSR_TIME: return this.#set(this.#time());
      default: return false;
    }
  }

  #write(csr: number, lo: number, _hi: number): boolean {
    const i32 = this.#i32;
    switch (csr) {
      case CSR_FFLAGS: i32[STATE_FFLAGS >> 2] = lo & 31; break;
      case CSR_FRM: i32[STATE_FRM >> 2] = lo & 7; break;
      case CSR_FCSR:
        i32[STATE_FFLAGS >> 2] = lo & 31;
        i32[STATE_FRM >> 2] = (lo >> 5) & 7;
        break;
      default: return false;
    }
    this.#fp.updateMode();
    return true;
  }
}
