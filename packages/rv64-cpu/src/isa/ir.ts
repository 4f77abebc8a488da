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

/** A call of internal function `index` (FN_*) with a, b, c: wasm only, inside the `fast` part of ST_FP. */
export const OP_CALL = 0x10a;

// Internal functions of the wasm back ends (`wasm/float.ts`), for D (f64) and S (f32). They return NaN where the case
// is beyond their algorithm, the EXACT ones also where the result had to be rounded.
export const FN_FMA_D = 0;
export const FN_FMA_S = 1;
export const FN_FMA_EXACT_D = 2;
export const FN_FMA_EXACT_S = 3;
export const FN_ADD_EXACT_D = 4;
export const FN_ADD_EXACT_S = 5;
export const FN_MUL_EXACT_D = 6;
export const FN_MUL_EXACT_S = 7;
export const FN_DIV_EXACT_D = 8;
export const FN_DIV_EXACT_S = 9;
export const FN_SQRT_EXACT_D = 10;
export const FN_SQRT_EXACT_S = 11;

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
  constructor(
    op: number,
    type: Type,
    a: Expr | null,
    b: Expr | null,
    c: Expr | null,
    index: number,
    value: number | bigint,
  ) {
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
/** A floating-point operation: {@link Statement.fast} if its conditions hold, else helper `mode`. */
export const ST_FP = 8;
export const ST_IF = 9;
export const ST_SET_STATE = 10;
/** Leave the block for the host: a CSR or privileged instruction, done by the hart's JavaScript. */
export const ST_SYSTEM = 11;

export interface Statement {
  readonly kind: number;
  /** LET, LOAD, FP: the local that is written. SET_STATE: byte offset. TRAP: cause. SYSTEM: unused. */
  readonly index: number;
  readonly a: Expr | null;
  readonly b: Expr | null;
  readonly c: Expr | null;
  /** LOAD, STORE: see MEM_*. FP: id of the instruction, which names the helper. */
  readonly mode: number;
  readonly then: readonly Statement[];
  readonly otherwise: readonly Statement[];
  readonly fast: FastPath | null;
}

/**
 * When plain wasm arithmetic does the same as the helper, flags included. Back ends may ignore it.
 * The path is taken if `needs` and `guard` hold, and left again if the result fails `check`.
 */
export interface FastPath {
  readonly needs: number;
  readonly guard: Expr | null;
  readonly value: Expr;
  /** Instead of `value` while NX is clear (STATE_FP_FAST = FP_RNE_EXACT); null: the helper. */
  readonly exact: Expr | null;
  readonly check: number;
}
export const NEEDS_NOTHING = 0;
/** Dynamic rounding mode and frm = RNE; NX already set for `value`, clear for `exact`. */
export const NEEDS_RNE = 1;
/** The instruction's rounding mode is RTZ. */
export const NEEDS_RTZ = 2;
export const CHECK_NOTHING = 0;
/** The float result is normal, and above the smallest normal number, which may have been rounded up to. */
export const CHECK_NORMAL = 1;
/** Enough for sums: a tiny sum is always exact, and so is not an underflow. */
export const CHECK_FINITE = 2;

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
