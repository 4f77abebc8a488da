/** What the operands of an instruction are, and its memory access, by instruction id: looked up per instruction compiled. */
import { INSTRUCTIONS, instructionByName } from "../isa/instructions.ts";

export const READS_X1 = 1;
export const READS_X2 = 2;
export const WRITES_X = 4;
export const READS_F1 = 8;
export const READS_F2 = 16;
export const READS_F3 = 32;
export const WRITES_F = 64;
/** Can leave the region in the middle: loads, stores, floating-point helpers. */
export const MAY_LEAVE = 128;
export const IS_STORE = 256;
/** Operands (the bits above) by instruction id. */
export const OPERANDS: Uint16Array = new Uint16Array(INSTRUCTIONS.length);
/** Bytes that a plain load or store accesses, by instruction id; 0 for all others. */
export const ACCESS_BYTES: Uint8Array = new Uint8Array(INSTRUCTIONS.length);
const LETTERS: Readonly<Record<string, number>> = {
  s: READS_X1,
  t: READS_X2,
  d: WRITES_X,
  S: READS_F1,
  T: READS_F2,
  U: READS_F3,
  D: WRITES_F,
};
const SIZES: Readonly<Record<string, number>> = { b: 1, h: 2, w: 4, d: 8 };
for (const { id, syntax, mnemonic, extension } of INSTRUCTIONS) {
  for (const letter of syntax) OPERANDS[id] |= LETTERS[letter] ?? 0;
  if (syntax.includes("(s)") || extension === "F" || extension === "D") OPERANDS[id] |= MAY_LEAVE;
  const plain = /^(f?[ls])([bhwd])u?$/.exec(mnemonic);
  if (plain !== null && syntax.includes("(s)")) {
    ACCESS_BYTES[id] = SIZES[plain[2]];
    if (plain[1].endsWith("s")) OPERANDS[id] |= IS_STORE;
  }
}
OPERANDS[instructionByName("csrrs").id] |= MAY_LEAVE;
