/**
 * The interpreter's dispatch table: which `op` number of a record stands for which instruction.
 *
 * An instruction gets one op per length it can have (2 where a compressed form exists) and, for pc-relative jumps, a
 * second and third one for targets in the same page, whose record then holds the distance in records instead of bytes.
 */
import {
  decodeImmediate,
  findInstruction,
  IMM_B,
  IMM_CSR,
  IMM_I,
  IMM_J,
  INSTRUCTIONS,
  type Instruction,
} from "../isa/instructions.ts";
import { expandCompressed } from "../isa/compressed.ts";
import { SEMANTICS } from "../isa/semantics.ts";
import { ST_FP, ST_SYSTEM } from "../isa/ir.ts";
import {
  RECORD_BYTES,
  RECORD_IMM,
  RECORD_LENGTH,
  RECORD_OP,
  RECORD_RD,
  RECORD_RM,
  RECORD_RS1,
  RECORD_RS2,
  RECORD_RS3,
  STATE_F,
  STATE_SINK,
} from "../state.ts";

// Ops that are not instructions.
/** Not decoded yet; all zeros, so that a cleared page is valid. */
export const DISPATCH_DECODE = 0;
/** Past the last record of a page: fetch the next page. */
export const DISPATCH_PAGE_END = 1;
/** A 4-byte instruction whose second half is in the next page. */
export const DISPATCH_CROSS = 2;
/** No instruction: imm holds the bits. */
export const DISPATCH_ILLEGAL = 3;
/** Compiled code starts here: imm is the memory offset of its entry descriptor. */
export const DISPATCH_COMPILED = 4;
export const DISPATCH_FIRST = 5;

// Where a pc-relative jump goes.
/** To another page; imm is in bytes of code. */
export const REACH_FAR = 0;
/** Forward in its page; imm is in bytes of records. */
export const REACH_LOCAL = 1;
/** Backward in its page: the edge that closes a loop, counted when code is profiled. */
export const REACH_LOOP = 2;

export interface DispatchOp {
  readonly row: Instruction;
  /** 2 or 4 bytes. */
  readonly length: number;
  /** One of REACH_*. */
  readonly reach: number;
}

/**
 * Instructions that some compressed encoding expands to. What an encoding is depends on its upper four bits, its
 * quadrant, and a few values of the two register fields; expanding all 49,152 encodings here would cost every program
 * that imports this package 50 ms.
 */
const RD_SAMPLES = [0, 1, 2, 8, 16, 24];
const RS2_SAMPLES = [0, 1, 8, 16, 24];
const compressible = new Set<number>();
for (let top = 0; top < 16; top++) {
  for (const rd of RD_SAMPLES) {
    for (const rs2 of RS2_SAMPLES) {
      for (let quadrant = 0; quadrant < 3; quadrant++) {
        const row = findInstruction(expandCompressed((top << 12) | (rd << 7) | (rs2 << 2) | quadrant));
        if (row !== undefined) compressible.add(row.id);
      }
    }
  }
}

const ops: DispatchOp[] = [];
// Dispatch number by id * 8 + (length === 4 ? 4 : 0) + reach.
const opNumbers = new Uint16Array(INSTRUCTIONS.length * 8);
for (const row of INSTRUCTIONS) {
  for (const length of compressible.has(row.id) ? [2, 4] : [4]) {
    for (const reach of row.imm === IMM_B || row.imm === IMM_J ? [REACH_FAR, REACH_LOCAL, REACH_LOOP] : [REACH_FAR]) {
      opNumbers[row.id * 8 + (length === 4 ? 4 : 0) + reach] = DISPATCH_FIRST + ops.length;
      ops.push({ row, length, reach });
    }
  }
}
/** By dispatch number - DISPATCH_FIRST. */
export const DISPATCH_OPS: readonly DispatchOp[] = ops;

/** Instructions whose record keeps the raw bits in imm, because JavaScript executes them. */
const keepsBits = new Uint8Array(INSTRUCTIONS.length);
for (const row of INSTRUCTIONS) {
  if (SEMANTICS[row.id].body.some((s) => s.kind === ST_FP || s.kind === ST_SYSTEM)) keepsBits[row.id] = 1;
}
/** Which of rd rs1 rs2 are floating-point registers: bits 0 1 2. */
const floatFields = new Uint8Array(INSTRUCTIONS.length);
for (const { id, syntax } of INSTRUCTIONS) {
  floatFields[id] = (syntax.includes("D") ? 1 : 0) | (syntax.includes("S") ? 2 : 0) | (syntax.includes("T") ? 4 : 0);
}

/** Record fields of a conditional branch, which has no use for them: how often it went each way, modulo 65536. */
export const EDGE_TAKEN: number = RECORD_RD;
export const EDGE_NOT_TAKEN: number = RECORD_RS3;

/** The record field that a jump does not use and that counts how often it was taken: branch, jal, jalr. */
export function counterField(row: Instruction): number {
  return row.imm === IMM_B ? EDGE_TAKEN : row.imm === IMM_J ? RECORD_RS1 : RECORD_RS2;
}

/** Writes records into the hart's memory. */
export class RecordWriter {
  readonly #u8: Uint8Array;
  readonly #u16: Uint16Array;
  readonly #i32: Int32Array;

  constructor(buffer: ArrayBufferLike) {
    this.#u8 = new Uint8Array(buffer);
    this.#u16 = new Uint16Array(buffer);
    this.#i32 = new Int32Array(buffer);
  }

  /** A record without operands. */
  special(record: number, dispatch: number, imm: number): void {
    this.#u16[(record + RECORD_OP) >> 1] = dispatch;
    this.#i32[(record + RECORD_IMM) >> 2] = imm;
  }

  /**
   * Decodes `bits` (16 or 32 of them) into the record at memory offset `record`, which stands for byte `offset` of its
   * page. `offset` -1 means that the code does not lie in one page. Returns the row, or undefined if illegal.
   */
  write(record: number, bits: number, offset: number): Instruction | undefined {
    const length = (bits & 3) === 3 ? 4 : 2;
    const full = length === 4 ? bits | 0 : expandCompressed(bits);
    const row = findInstruction(full);
    if (row === undefined) {
      this.special(record, DISPATCH_ILLEGAL, length === 4 ? bits : bits & 0xffff);
      return undefined;
    }
    const u16 = this.#u16;
    const half = record >> 1;
    let imm = keepsBits[row.id] === 1 ? full : decodeImmediate(full, row.imm === IMM_CSR ? 0 : row.imm);
    let reach = REACH_FAR;
    if (offset >= 0 && (row.imm === IMM_B || row.imm === IMM_J)) {
      const target = offset + imm;
      if (target >= 0 && target < 4096) {
        reach = imm < 0 ? REACH_LOOP : REACH_LOCAL;
        imm *= RECORD_BYTES / 2;
      }
    }
    const float = floatFields[row.id];
    const rd = (full >> 7) & 31;
    const rs1 = (full >> 15) & 31;
    const rs2 = (full >> 20) & 31;
    // Fields that an instruction does not use count executions for the profile, from zero: see counterField.
    u16[half + (RECORD_RD >> 1)] =
      row.imm === IMM_B ? 0 : (float & 1) !== 0 ? STATE_F + rd * 8 : rd === 0 ? STATE_SINK : rd * 8;
    u16[half + (RECORD_RS1 >> 1)] = row.imm === IMM_J ? 0 : ((float & 2) !== 0 ? STATE_F : 0) + rs1 * 8;
    u16[half + (RECORD_RS2 >> 1)] = row.imm === IMM_I ? 0 : ((float & 4) !== 0 ? STATE_F : 0) + rs2 * 8;
    this.#i32[(record + RECORD_IMM) >> 2] = imm;
    u16[half + (RECORD_RS3 >> 1)] = row.imm === IMM_B ? 0 : STATE_F + (full >>> 27) * 8;
    this.#u8[record + RECORD_RM] = (full >> 12) & 7;
    this.#u8[record + RECORD_LENGTH] = length;
    u16[half] = opNumbers[row.id * 8 + (length === 4 ? 4 : 0) + reach];
    return row;
  }
}
