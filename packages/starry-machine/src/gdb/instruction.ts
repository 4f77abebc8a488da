/**
 * What single-stepping must know about the next instruction: where it loads or stores, and how long an atomic sequence is.
 */
import { expandCompressed } from "rv64-cpu/isa";
import type { Space } from "./memory.ts";

// Major opcodes, RISC-V Unpriv. "RV32/64G instruction set listings".
const LOAD = 0x03;
const LOAD_FP = 0x07;
const STORE = 0x23;
const STORE_FP = 0x27;
const AMO = 0x2f;
const FUNCT5_LR = 0x02;
const FUNCT5_SC = 0x03;

/** A constrained LR/SC loop has 16 instructions at most (Unpriv. "Eventual success of store-conditional instructions"). */
const MAX_SEQUENCE = 16;
export const MAX_SEQUENCE_BYTES: number = MAX_SEQUENCE * 4;

/** A data access. Reused: valid until the next call. */
export interface Access {
  address: number;
  byteLength: number;
  isLoad: boolean;
  isStore: boolean;
}

const $access: Access = { address: 0, byteLength: 0, isLoad: false, isStore: false };

/** The access that the instruction `bits` makes with the registers `x` (int32 pairs), or null. */
export function dataAccess(bits: number, x: Int32Array): Access | null {
  const opcode = bits & 0x7f;
  let offset = 0;
  $access.isLoad = opcode === LOAD || opcode === LOAD_FP;
  $access.isStore = opcode === STORE || opcode === STORE_FP;
  if ($access.isLoad) offset = bits >> 20;
  else if ($access.isStore) offset = ((bits >> 25) << 5) | ((bits >> 7) & 31);
  else if (opcode === AMO) {
    const funct5 = bits >>> 27;
    $access.isLoad = funct5 !== FUNCT5_SC;
    $access.isStore = funct5 !== FUNCT5_LR;
  } else return null;
  const base = (bits >> 15) & 31;
  $access.address = x[base * 2 + 1] * 2 ** 32 + (x[base * 2] >>> 0) + offset;
  $access.byteLength = 1 << ((bits >> 12) & 3);
  return $access;
}

/** Bits of the instruction at `pc`, compressed ones expanded; 0 if it cannot be read. */
export function instructionAt(space: Space, pc: number): number {
  const half = space.readU16(pc);
  if (half < 0) return 0;
  if ((half & 3) !== 3) return expandCompressed(half);
  const upper = space.readU16(pc + 2);
  return upper < 0 ? 0 : half | (upper << 16);
}

/**
 * Instructions that must be executed together from `pc` on: 1, or from a load-reserved to its store-conditional. A
 * reservation does not survive a stop, so a loop around them would never end.
 */
export function stepLength(space: Space, pc: number, bits: number): number {
  if ((bits & 0x7f) !== AMO || bits >>> 27 !== FUNCT5_LR) return 1;
  let at = pc + 4;
  for (let count = 2; count <= MAX_SEQUENCE; count++) {
    const half = space.readU16(at);
    if (half < 0) return 1;
    const next = instructionAt(space, at);
    if ((next & 0x7f) === AMO && next >>> 27 === FUNCT5_SC) return count;
    at += (half & 3) === 3 ? 4 : 2;
  }
  return 1;
}
