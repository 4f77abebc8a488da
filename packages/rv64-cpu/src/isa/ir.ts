/**
 * The small typed language in which `semantics.ts` says what instructions do.
 *
 * An expression is a tree of {@link Expr}; its operators are WebAssembly's own opcodes, so that the wasm back ends
 * copy them and the JavaScript back end has a closed set to translate. A few operators beyond 0xff stand for what only
 * a back end can supply: operands of the instruction, its pc, the hart's state. Statements are effects, in order.
 *
 * Rules: addresses before values, the write of rd last; a faulting statement (`load`, `store`, `trap`) comes before
 * any register write, so that a trap leaves the hart as it was.
 */

export const I32 = 0x7f;
export const I64 = 0x7e;
export const F32 = 0x7d;
export const F64 = 0x7c;
export type Type = typeof I32 | typeof I64 | typeof F32 | typeof F64;

// Operators that are not wasm opcodes.
export const OP_CONST = 0x100;
/** A local of this instruction, written once by LET, LOAD or HELPER. */
export const OP_LOCAL = 0x101;
/** An integer register operand; `index` is a FIELD_*. */
export const OP_X = 0x102;
/** A floating-point register operand, 64 raw bits. */
export const OP_F = 0x103;
/** The immediate, sign-extended to i64. */
export const OP_IMM = 0x104;
/** Address of this instruction, i64. */
export const OP_PC = 0x105;
/** Address of the next instruction, i64. */
export const OP_NEXT_PC = 0x106;
/** a ? b : c, evaluating only the arm that is taken. */
export const OP_IF = 0x107;
/** An i32 or i64 slot of the hart's state at byte offset `index`. */
export const OP_STATE = 0x108;
/** The bits of the instruction, i32. */
export const OP_BITS = 0x109;

export const FIELD_RD = 0;
export const FIELD_RS1 = 1;
export const FIELD_RS2 = 2;
export const FIELD_RS3 = 3;

export class Expr {
  readonly op: number;
  readonly type: Type;
  readonly a: Expr | null;
  readonly b: Expr | null;
  readonly c: Expr | null;
  /** Local number, FIELD_* or state offset. */
  readonly index: number;
  /** Value of an OP_CONST; a bigint only where a double would lose bits. */
  readonly value: number | bigint;
  constructor(op: number, type: Type, a: Expr | null, b: Expr | null, c: Expr | null, index: number, value: number | bigint) {
    this.op = op;
    this.type = type;
    this.a = a;
    this.b = b;
    this.c = c;
    this.index = index;
    this.value = value;
  }
}

// Statement kinds.
export const ST_LET = 0;
export const ST_SET_X = 1;
export const ST_SET_F = 2;
export const ST_LOAD = 3;
export const ST_STORE = 4;
export const ST_BRANCH = 5;
export const ST_JUMP = 6;
export const ST_TRAP = 7;
export const ST_HELPER = 8;
export const ST_IF = 9;
export const ST_SET_STATE = 10;
/** Leave the block for the host: a CSR or privileged instruction, done by the hart's JavaScript. */
export const ST_SYSTEM = 11;

export interface Statement {
  readonly kind: number;
  /** LET, LOAD, HELPER: the local that is written. SET_STATE: byte offset. TRAP: cause. SYSTEM: unused. */
  readonly index: number;
  readonly a: Expr | null;
  readonly b: Expr | null;
  readonly c: Expr | null;
  /** LOAD, STORE: see MEM_*. HELPER: helper number. */
  readonly mode: number;
  readonly then: readonly Statement[];
  readonly otherwise: readonly Statement[];
}

/** Memory access modes: log2 of the size in bits 1:0, then flags. */
export const MEM_SIZE = 3;
export const MEM_SIGNED = 4;
/** AMO or SC: must be naturally aligned, and a fault is a store/AMO fault even for the load. */
export const MEM_ATOMIC = 8;
/** LR: must be naturally aligned. */
export const MEM_RESERVE = 16;

/** The effects of one instruction. */
export interface Effects {
  readonly body: readonly Statement[];
  /** Types of the locals, by number. */
  readonly locals: readonly Type[];
}
