/**
 * The disassembler: one instruction to one line, in GNU syntax without aliases (`objdump -M no-aliases`), except that a
 * compressed instruction is shown as the instruction it stands for.
 */
import { expandCompressed } from "./compressed.ts";
import { CSR_NAMES } from "./csrs.ts";
import { decodeImmediate, findInstruction, IMM_CSR } from "./instructions.ts";
import { F_NAMES, RM_NAMES, X_NAMES } from "./registers.ts";

const AQRL = ["", ".rl", ".aq", ".aqrl"];

/**
 * The text of the instruction `bits` at address `pc`. Only the low 16 bits count if they are a compressed instruction.
 * What is no instruction becomes `.2byte` or `.4byte`.
 */
export function disassemble(bits: number, pc: number): string {
  const compressed = (bits & 3) !== 3;
  const full = compressed ? expandCompressed(bits) : bits | 0;
  const row = findInstruction(full);
  if (row === undefined)
    return compressed ? `.2byte 0x${(bits & 0xffff).toString(16)}` : `.4byte 0x${(bits >>> 0).toString(16)}`;
  const imm = decodeImmediate(full, row.imm === IMM_CSR ? 0 : row.imm);
  const rd = (full >> 7) & 31;
  const rs1 = (full >> 15) & 31;
  const rs2 = (full >> 20) & 31;
  let mnemonic = row.mnemonic;
  let operands = "";
  for (const letter of row.syntax) {
    switch (letter) {
      case "d":
        operands += X_NAMES[rd];
        break;
      case "s":
        operands += X_NAMES[rs1];
        break;
      case "t":
        operands += X_NAMES[rs2];
        break;
      case "D":
        operands += F_NAMES[rd];
        break;
      case "S":
        operands += F_NAMES[rs1];
        break;
      case "T":
        operands += F_NAMES[rs2];
        break;
      case "U":
        operands += F_NAMES[full >>> 27];
        break;
      case "i":
        operands += imm;
        break;
      case "h":
        operands += `0x${(imm >>> 12).toString(16)}`;
        break;
      case "o":
        operands += address(pc + imm);
        break;
      case "c":
        operands += CSR_NAMES.get(full >>> 20) ?? `0x${(full >>> 20).toString(16)}`;
        break;
      case "z":
        operands += rs1;
        break;
      case "a":
        mnemonic += AQRL[(full >> 25) & 3];
        break;
      case "m": {
        const rm = (full >> 12) & 7;
        // GNU leaves the dynamic mode out.
        operands = rm === 7 ? operands.slice(0, -1) : operands + (RM_NAMES[rm] || "unknown");
        break;
      }
      case "e": {
        const rm = (full >> 12) & 7;
        operands = rm === 0 ? operands.slice(0, -1) : operands + (RM_NAMES[rm] || "unknown");
        break;
      }
      default:
        operands += letter;
    }
  }
  return operands === "" ? mnemonic : `${mnemonic} ${operands}`;
}

/** Hexadecimal; negative numbers are addresses of the upper half. */
function address(value: number): string {
  return `0x${(value < 0 ? BigInt.asUintN(64, BigInt(value)) : value).toString(16)}`;
}
