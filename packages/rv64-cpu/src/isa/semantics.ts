/**
 * What every instruction does, written once, as a recipe over `ir.ts`.
 *
 * The generated wasm interpreter, the plain JavaScript back end and the JIT all lower these same recipes, so they can
 * only disagree in the lowering, which the differential tests cover. Rounded floating-point arithmetic is a helper
 * call (`fp/`): the recipe says which registers go in and out; back ends may open-code the common case.
 *
 * Source: RISC-V ISA Volume I (20240411); chapter numbers as in `instructions.ts`.
 */
import * as w from "../wasm/opcodes.ts";
import { CAUSE_BREAKPOINT, CAUSE_ECALL_U } from "./causes.ts";
import { INSTRUCTIONS, type Instruction } from "./instructions.ts";
import {
  CHECK_FINITE,
  CHECK_NORMAL,
  CHECK_NOTHING,
  type Effects,
  Expr,
  F32,
  F64,
  type FastPath,
  FIELD_RS1,
  FIELD_RS2,
  FIELD_RS3,
  FN_ADD_EXACT_D,
  FN_ADD_EXACT_S,
  FN_DIV_EXACT_D,
  FN_DIV_EXACT_S,
  FN_FMA_D,
  FN_FMA_EXACT_D,
  FN_FMA_EXACT_S,
  FN_FMA_S,
  FN_MUL_EXACT_D,
  FN_MUL_EXACT_S,
  FN_SQRT_EXACT_D,
  FN_SQRT_EXACT_S,
  I32,
  I64,
  MEM_ATOMIC,
  MEM_RESERVE,
  MEM_SIGNED,
  NEEDS_NOTHING,
  NEEDS_RNE,
  NEEDS_RTZ,
  OP_CALL,
  OP_CONST,
  OP_F,
  OP_IF,
  OP_IMM,
  OP_LOCAL,
  OP_NEXT_PC,
  OP_PC,
  OP_STATE,
  OP_X,
  ST_BRANCH,
  ST_FP,
  ST_IF,
  ST_JUMP,
  ST_LET,
  ST_LOAD,
  ST_SET_F,
  ST_SET_STATE,
  ST_SET_X,
  ST_STORE,
  ST_SYSTEM,
  ST_TRAP,
  type Statement,
  type Type,
} from "./ir.ts";
import { STATE_FFLAGS, STATE_RESERVATION, STATE_RESERVED_VALUE } from "../state.ts";

type Binary = (a: Expr, b: Expr) => Expr;
type Unary = (a: Expr) => Expr;

const binary =
  (op: number, type: Type): Binary =>
  (a, b) =>
    new Expr(op, type, a, b, null, 0, 0);
const unary =
  (op: number, type: Type): Unary =>
  (a) =>
    new Expr(op, type, a, null, null, 0, 0);
const leaf = (op: number, type: Type, index = 0): Expr => new Expr(op, type, null, null, null, index, 0);
const c64 = (value: number | bigint): Expr => new Expr(OP_CONST, I64, null, null, null, 0, value);
const c32 = (value: number): Expr => new Expr(OP_CONST, I32, null, null, null, 0, value);

const add = binary(w.I64_ADD, I64);
const sub = binary(w.I64_SUB, I64);
const mul = binary(w.I64_MUL, I64);
const and = binary(w.I64_AND, I64);
const or = binary(w.I64_OR, I64);
const xor = binary(w.I64_XOR, I64);
const shl = binary(w.I64_SHL, I64);
const shrU = binary(w.I64_SHR_U, I64);
const shrS = binary(w.I64_SHR_S, I64);
const rotl = binary(w.I64_ROTL, I64);
const rotr = binary(w.I64_ROTR, I64);
const divS = binary(w.I64_DIV_S, I64);
const divU = binary(w.I64_DIV_U, I64);
const remS = binary(w.I64_REM_S, I64);
const remU = binary(w.I64_REM_U, I64);
const eq = binary(w.I64_EQ, I32);
const ne = binary(w.I64_NE, I32);
const ltS = binary(w.I64_LT_S, I32);
const ltU = binary(w.I64_LT_U, I32);
const geS = binary(w.I64_GE_S, I32);
const geU = binary(w.I64_GE_U, I32);
const eqz = unary(w.I64_EQZ, I32);
const clz = unary(w.I64_CLZ, I64);
const ctz = unary(w.I64_CTZ, I64);
const popcnt = unary(w.I64_POPCNT, I64);
const sext8 = unary(w.I64_EXTEND8_S, I64);
const sext16 = unary(w.I64_EXTEND16_S, I64);
const wrap = unary(w.I32_WRAP_I64, I32);
/** i32 -> i64. */
const sext = unary(w.I64_EXTEND_I32_S, I64);
const zext = unary(w.I64_EXTEND_I32_U, I64);

const add32 = binary(w.I32_ADD, I32);
const sub32 = binary(w.I32_SUB, I32);
const mul32 = binary(w.I32_MUL, I32);
const shl32 = binary(w.I32_SHL, I32);
const shrU32 = binary(w.I32_SHR_U, I32);
const shrS32 = binary(w.I32_SHR_S, I32);
const rotl32 = binary(w.I32_ROTL, I32);
const rotr32 = binary(w.I32_ROTR, I32);
const divS32 = binary(w.I32_DIV_S, I32);
const divU32 = binary(w.I32_DIV_U, I32);
const remS32 = binary(w.I32_REM_S, I32);
const remU32 = binary(w.I32_REM_U, I32);
const and32 = binary(w.I32_AND, I32);
const xor32 = binary(w.I32_XOR, I32);
const eq32 = binary(w.I32_EQ, I32);
const eqz32 = unary(w.I32_EQZ, I32);
const clz32 = unary(w.I32_CLZ, I32);
const ctz32 = unary(w.I32_CTZ, I32);
const popcnt32 = unary(w.I32_POPCNT, I32);

/** `cond ? yes : no`, both evaluated. */
const select = (cond: Expr, yes: Expr, no: Expr): Expr => new Expr(w.SELECT, yes.type, yes, no, cond, 0, 0);
/** `cond ? yes : no`, only the chosen arm evaluated (for division, which would trap in wasm). */
const choose = (cond: Expr, yes: Expr, no: Expr): Expr => new Expr(OP_IF, yes.type, cond, yes, no, 0, 0);

const x1 = leaf(OP_X, I64, FIELD_RS1);
const x2 = leaf(OP_X, I64, FIELD_RS2);
const f1 = leaf(OP_F, I64, FIELD_RS1);
const f2 = leaf(OP_F, I64, FIELD_RS2);
const f3 = leaf(OP_F, I64, FIELD_RS3);
const imm = leaf(OP_IMM, I64);
const pc = leaf(OP_PC, I64);
const nextPc = leaf(OP_NEXT_PC, I64);
const w1 = wrap(x1);
const w2 = wrap(x2);
const immW = wrap(imm);

/** Collects the statements of one instruction. */
class Recipe implements Effects {
  body: Statement[] = [];
  readonly locals: Type[] = [];

  #push(
    kind: number,
    index: number,
    a: Expr | null,
    b: Expr | null,
    c: Expr | null,
    mode: number,
    then: Statement[] = [],
    otherwise: Statement[] = [],
    fast: FastPath | null = null,
  ): void {
    this.body.push({ kind, index, a, b, c, mode, then, otherwise, fast });
  }

  #local(type: Type): number {
    return this.locals.push(type) - 1;
  }

  /** Evaluates once; the result can be used many times. */
  let(value: Expr): Expr {
    const index = this.#local(value.type);
    this.#push(ST_LET, index, value, null, null, 0);
    return leaf(OP_LOCAL, value.type, index);
  }
  setX(value: Expr): void {
    this.#push(ST_SET_X, 0, value, null, null, 0);
  }
  setF(value: Expr): void {
    this.#push(ST_SET_F, 0, value, null, null, 0);
  }
  /** Loads 2^(mode & 3) bytes, extended to i64. */
  load(address: Expr, mode: number): Expr {
    const index = this.#local(I64);
    this.#push(ST_LOAD, index, address, null, null, mode);
    return leaf(OP_LOCAL, I64, index);
  }
  store(address: Expr, value: Expr, mode: number): void {
    this.#push(ST_STORE, 0, address, value, null, mode);
  }
  /** To pc + imm if `cond`. */
  branch(cond: Expr): void {
    this.#push(ST_BRANCH, 0, cond, null, null, 0);
  }
  /** To `target`, or to pc + imm if null. */
  jump(target: Expr | null): void {
    this.#push(ST_JUMP, 0, target, null, null, 0);
  }
  trap(cause: number, value: Expr): void {
    this.#push(ST_TRAP, cause, value, null, null, 0);
  }
  /** The floating-point operation of row `id` on up to three raw operands. */
  fp(id: number, operands: readonly Expr[], fast: FastPath | null): Expr {
    const index = this.#local(I64);
    this.#push(ST_FP, index, operands[0], operands[1] ?? null, operands[2] ?? null, id, [], [], fast);
    return leaf(OP_LOCAL, I64, index);
  }
  setState(offset: number, value: Expr): void {
    this.#push(ST_SET_STATE, offset, value, null, null, 0);
  }
  system(): void {
    this.#push(ST_SYSTEM, 0, null, null, null, 0);
  }
  if(cond: Expr, then: () => void, otherwise: () => void): void {
    const outer = this.body;
    const arms: Statement[][] = [];
    for (const arm of [then, otherwise]) {
      this.body = [];
      arm();
      arms.push(this.body);
    }
    this.body = outer;
    this.#push(ST_IF, 0, cond, null, null, 0, arms[0], arms[1]);
  }
}

type Definition = (s: Recipe, row: Instruction) => void;
const DEFINITIONS = new Map<string, Definition>();
const define = (mnemonic: string, definition: Definition): void => {
  DEFINITIONS.set(mnemonic, definition);
};
/** An instruction that only computes rd. */
const compute = (mnemonic: string, value: Expr): void => define(mnemonic, (s) => s.setX(value));

// --- RV64I ----------------------------------------------------------------------------------------------------------
compute("lui", imm);
compute("auipc", add(pc, imm));
define("jal", (s) => {
  s.setX(nextPc);
  s.jump(null);
});
define("jalr", (s) => {
  const target = s.let(and(add(x1, imm), c64(-2)));
  s.setX(nextPc);
  s.jump(target);
});
for (const [name, cond] of [
  ["beq", eq],
  ["bne", ne],
  ["blt", ltS],
  ["bge", geS],
  ["bltu", ltU],
  ["bgeu", geU],
] as const)
  define(name, (s) => s.branch(cond(x1, x2)));
for (const [name, mode] of [
  ["lb", 0 | MEM_SIGNED],
  ["lh", 1 | MEM_SIGNED],
  ["lw", 2 | MEM_SIGNED],
  ["ld", 3],
  ["lbu", 0],
  ["lhu", 1],
  ["lwu", 2],
] as const)
  define(name, (s) => s.setX(s.load(add(x1, imm), mode)));
for (const [name, mode] of [
  ["sb", 0],
  ["sh", 1],
  ["sw", 2],
  ["sd", 3],
] as const)
  define(name, (s) => s.store(add(x1, imm), x2, mode));

for (const [name, immediate, op] of [
  ["add", "addi", add],
  ["xor", "xori", xor],
  ["or", "ori", or],
  ["and", "andi", and],
] as const) {
  compute(name, op(x1, x2));
  compute(immediate, op(x1, imm));
}
compute("sub", sub(x1, x2));
compute("slt", zext(ltS(x1, x2)));
compute("slti", zext(ltS(x1, imm)));
compute("sltu", zext(ltU(x1, x2)));
compute("sltiu", zext(ltU(x1, imm)));
// wasm shifts take the amount modulo the width, as RISC-V does.
for (const [name, op, op32] of [
  ["sll", shl, shl32],
  ["srl", shrU, shrU32],
  ["sra", shrS, shrS32],
] as const) {
  compute(name, op(x1, x2));
  compute(`${name}i`, op(x1, imm));
  compute(`${name}w`, sext(op32(w1, w2)));
  compute(`${name}iw`, sext(op32(w1, immW)));
}
compute("addw", sext(add32(w1, w2)));
compute("addiw", sext(add32(w1, immW)));
compute("subw", sext(sub32(w1, w2)));
// One hart whose memory accesses are in program order, and a predecoder that sees every store: fences order nothing.
define("pause", () => {});
define("fence", () => {});
define("fence.i", () => {});
define("ecall", (s) => s.trap(CAUSE_ECALL_U, c64(0)));
define("ebreak", (s) => s.trap(CAUSE_BREAKPOINT, pc));

// --- M --------------------------------------------------------------------------------------------------------------
compute("mul", mul(x1, x2));
compute("mulw", sext(mul32(w1, w2)));

/** High 64 bits of the unsigned product, from four 32-bit partial products. */
function mulhu(s: Recipe, a: Expr, b: Expr): Expr {
  const low = c64(0xffff_ffff);
  const c32x = c64(32);
  const a0 = s.let(and(a, low));
  const a1 = s.let(shrU(a, c32x));
  const b0 = s.let(and(b, low));
  const b1 = s.let(shrU(b, c32x));
  const middle = s.let(add(mul(a1, b0), shrU(mul(a0, b0), c32x)));
  return s.let(add(add(mul(a1, b1), shrU(middle, c32x)), shrU(add(mul(a0, b1), and(middle, low)), c32x)));
}
define("mulhu", (s) => s.setX(mulhu(s, s.let(x1), s.let(x2))));
define("mulh", (s) => {
  const [a, b] = [s.let(x1), s.let(x2)];
  const high = mulhu(s, a, b);
  s.setX(sub(sub(high, and(shrS(a, c64(63)), b)), and(shrS(b, c64(63)), a)));
});
define("mulhsu", (s) => {
  const [a, b] = [s.let(x1), s.let(x2)];
  s.setX(sub(mulhu(s, a, b), and(shrS(a, c64(63)), b)));
});
const minus1 = c64(-1);
compute("div", choose(eqz(x2), minus1, choose(eq(x2, minus1), sub(c64(0), x1), divS(x1, x2))));
compute("divu", choose(eqz(x2), minus1, divU(x1, x2)));
compute("rem", choose(eqz(x2), x1, choose(eq(x2, minus1), c64(0), remS(x1, x2))));
compute("remu", choose(eqz(x2), x1, remU(x1, x2)));
compute("divw", sext(choose(eqz32(w2), c32(-1), choose(eq32(w2, c32(-1)), sub32(c32(0), w1), divS32(w1, w2)))));
compute("divuw", sext(choose(eqz32(w2), c32(-1), divU32(w1, w2))));
compute("remw", sext(choose(eqz32(w2), w1, choose(eq32(w2, c32(-1)), c32(0), remS32(w1, w2)))));
compute("remuw", sext(choose(eqz32(w2), w1, remU32(w1, w2))));

// --- A: one hart, so plain loads and stores ---------------------------------------------------------------------------
for (const [suffix, size] of [
  [".w", 2 | MEM_SIGNED],
  [".d", 3],
] as const) {
  define(`lr${suffix}`, (s) => {
    const address = s.let(x1);
    const value = s.load(address, size | MEM_RESERVE);
    s.setState(STATE_RESERVATION, address);
    s.setState(STATE_RESERVED_VALUE, value);
    s.setX(value);
  });
  define(`sc${suffix}`, (s) => {
    const address = s.let(x1);
    const current = s.load(address, size | MEM_ATOMIC);
    const reserved = leaf(OP_STATE, I64, STATE_RESERVATION);
    const expected = leaf(OP_STATE, I64, STATE_RESERVED_VALUE);
    // Host code may have written in between, so the value counts as well as the address.
    const succeeds = s.let(and32(eq(reserved, address), eq(expected, current)));
    s.setState(STATE_RESERVATION, minus1);
    s.if(
      succeeds,
      () => s.store(address, x2, size | MEM_ATOMIC),
      () => {},
    );
    s.setX(zext(eqz32(succeeds)));
  });
  const operand = suffix === ".w" ? sext(w2) : x2;
  const amo = (name: string, combine: (old: Expr, operand: Expr) => Expr): void =>
    define(`${name}${suffix}`, (s) => {
      const address = s.let(x1);
      const old = s.load(address, size | MEM_ATOMIC);
      s.store(address, combine(old, operand), size | MEM_ATOMIC);
      s.setX(old);
    });
  const unsigned = (value: Expr): Expr => (suffix === ".w" ? and(value, c64(0xffff_ffff)) : value);
  amo("amoswap", (_old, b) => b);
  amo("amoadd", add);
  amo("amoxor", xor);
  amo("amoand", and);
  amo("amoor", or);
  amo("amomin", (a, b) => select(ltS(a, b), a, b));
  amo("amomax", (a, b) => select(ltS(a, b), b, a));
  amo("amominu", (a, b) => select(ltU(unsigned(a), unsigned(b)), a, b));
  amo("amomaxu", (a, b) => select(ltU(unsigned(a), unsigned(b)), b, a));
}

// --- F and D ----------------------------------------------------------------------------------------------------------
const BOX = c64(-0x1_0000_0000); // NaN boxing: the upper half all ones
const CANONICAL_NAN_S = c32(0x7fc0_0000);
/** The single in a register: the low half if properly boxed, else the canonical NaN (Volume I, 21.2). */
const unbox = (f: Expr): Expr => select(geU(f, BOX), wrap(f), CANONICAL_NAN_S);
const box = (value: Expr): Expr => or(zext(value), BOX);

define("flw", (s) => s.setF(or(s.load(add(x1, imm), 2), BOX)));
define("fld", (s) => s.setF(s.load(add(x1, imm), 3)));
define("fsw", (s) => s.store(add(x1, imm), f2, 2));
define("fsd", (s) => s.store(add(x1, imm), f2, 3));
compute("fmv.x.w", sext(wrap(f1)));
compute("fmv.x.d", f1);
define("fmv.w.x", (s) => s.setF(box(w1)));
define("fmv.d.x", (s) => s.setF(x1));
const SIGN_D = c64(-0x8000_0000_0000_0000n);
const MAGNITUDE_D = c64(0x7fff_ffff_ffff_ffffn);
const SIGN_S = c32(0x8000_0000 | 0);
const MAGNITUDE_S = c32(0x7fff_ffff);
for (const [name, sign] of [
  ["fsgnj", 0],
  ["fsgnjn", 1],
  ["fsgnjx", 2],
] as const) {
  define(`${name}.d`, (s) => {
    const other = sign === 1 ? xor(f2, SIGN_D) : f2;
    s.setF(sign === 2 ? xor(f1, and(f2, SIGN_D)) : or(and(f1, MAGNITUDE_D), and(other, SIGN_D)));
  });
  define(`${name}.s`, (s) => {
    const [a, b] = [unbox(f1), unbox(f2)];
    const or32 = binary(w.I32_OR, I32);
    const other = sign === 1 ? xor32(b, SIGN_S) : b;
    s.setF(box(sign === 2 ? xor32(a, and32(b, SIGN_S)) : or32(and32(a, MAGNITUDE_S), and32(other, SIGN_S))));
  });
}

// Rounded operations are helpers named by their row; a helper gets raw registers and unboxes singles itself. The fast
// paths say when wasm's own arithmetic, which rounds to nearest even and raises no flags, is just as exact.
const f64 = unary(w.F64_REINTERPRET_I64, F64);
const f32 = unary(w.F32_REINTERPRET_I32, F32);
const bits64 = unary(w.I64_REINTERPRET_F64, I64);
const bits32 = unary(w.I32_REINTERPRET_F32, I32);
const float64 = (value: number): Expr => new Expr(OP_CONST, F64, null, null, null, 0, value);

/** What differs between the two formats. */
const FORMATS = [
  {
    suffix: ".s",
    type: F32 as Type,
    fns: {
      add: FN_ADD_EXACT_S,
      mul: FN_MUL_EXACT_S,
      div: FN_DIV_EXACT_S,
      sqrt: FN_SQRT_EXACT_S,
      fmaExact: FN_FMA_EXACT_S,
    },
    in1: f32(unbox(f1)),
    in2: f32(unbox(f2)),
    in3: f32(unbox(f3)),
    out: (v: Expr): Expr => box(bits32(v)),
    fma: FN_FMA_S,
    neg: unary(w.F32_NEG, F32),
    wide: (v: Expr): Expr => unary(w.F64_PROMOTE_F32, F64)(v),
    ops: { fadd: w.F32_ADD, fsub: w.F32_SUB, fmul: w.F32_MUL, fdiv: w.F32_DIV, fmin: w.F32_MIN, fmax: w.F32_MAX },
    sqrt: w.F32_SQRT,
    compare: { feq: w.F32_EQ, flt: w.F32_LT, fle: w.F32_LE },
    from: { w: w.F32_CONVERT_I32_S, wu: w.F32_CONVERT_I32_U, l: w.F32_CONVERT_I64_S, lu: w.F32_CONVERT_I64_U },
  },
  {
    suffix: ".d",
    type: F64 as Type,
    fns: {
      add: FN_ADD_EXACT_D,
      mul: FN_MUL_EXACT_D,
      div: FN_DIV_EXACT_D,
      sqrt: FN_SQRT_EXACT_D,
      fmaExact: FN_FMA_EXACT_D,
    },
    in1: f64(f1),
    in2: f64(f2),
    in3: f64(f3),
    out: bits64,
    fma: FN_FMA_D,
    neg: unary(w.F64_NEG, F64),
    wide: (v: Expr): Expr => v,
    ops: { fadd: w.F64_ADD, fsub: w.F64_SUB, fmul: w.F64_MUL, fdiv: w.F64_DIV, fmin: w.F64_MIN, fmax: w.F64_MAX },
    sqrt: w.F64_SQRT,
    compare: { feq: w.F64_EQ, flt: w.F64_LT, fle: w.F64_LE },
    from: { w: w.F64_CONVERT_I32_S, wu: w.F64_CONVERT_I32_U, l: w.F64_CONVERT_I64_S, lu: w.F64_CONVERT_I64_U },
  },
] as const;

for (const { suffix, type, fns, in1, in2, in3, out, fma, neg, wide, ops, sqrt, compare, from } of FORMATS) {
  const equal = binary(compare.feq, I32);
  const fp = (name: string, operands: readonly Expr[], fast: FastPath | null, integer = false): void =>
    define(name, (s, row) => {
      const result = s.fp(row.id, operands, fast);
      if (integer) s.setX(result);
      else s.setF(result);
    });
  const rounded = (value: Expr, exact: Expr, check = CHECK_NORMAL): FastPath => ({
    needs: NEEDS_RNE,
    guard: null,
    value: out(value),
    exact: out(exact),
    check,
  });
  const arithmetic = (name: "fadd" | "fsub" | "fmul" | "fdiv"): Expr => binary(ops[name], type)(in1, in2);
  const call = (fn: number, a: Expr, b: Expr | null = null, c: Expr | null = null): Expr =>
    new Expr(OP_CALL, type, a, b, c, fn, 0);
  const ordered = and32(equal(in1, in1), equal(in2, in2));
  fp(`fadd${suffix}`, [f1, f2], rounded(arithmetic("fadd"), call(fns.add, in1, in2), CHECK_FINITE));
  fp(`fsub${suffix}`, [f1, f2], rounded(arithmetic("fsub"), call(fns.add, in1, neg(in2)), CHECK_FINITE));
  fp(`fmul${suffix}`, [f1, f2], rounded(arithmetic("fmul"), call(fns.mul, in1, in2)));
  fp(`fdiv${suffix}`, [f1, f2], rounded(arithmetic("fdiv"), call(fns.div, in1, in2)));
  for (const name of ["fmin", "fmax"] as const)
    fp(name + suffix, [f1, f2], {
      needs: NEEDS_NOTHING,
      guard: ordered,
      value: out(binary(ops[name], type)(in1, in2)),
      exact: null,
      check: CHECK_NOTHING,
    });
  fp(`fsqrt${suffix}`, [f1], rounded(unary(sqrt, type)(in1), call(fns.sqrt, in1)));
  for (const [name, a, c] of [
    ["fmadd", in1, in3],
    ["fmsub", in1, neg(in3)],
    ["fnmsub", neg(in1), in3],
    ["fnmadd", neg(in1), neg(in3)],
  ] as const)
    fp(name + suffix, [f1, f2, f3], rounded(call(fma, a, in2, c), call(fns.fmaExact, a, in2, c)));
  for (const name of ["feq", "flt", "fle"] as const)
    fp(
      name + suffix,
      [f1, f2],
      {
        needs: NEEDS_NOTHING,
        guard: ordered,
        value: zext(binary(compare[name], I32)(in1, in2)),
        exact: null,
        check: CHECK_NOTHING,
      },
      true,
    );
  fp(`fclass${suffix}`, [f1], null, true);

  // To integer, truncating (a C cast): in range, and either exact or NX already set.
  const wideIn = wide(in1);
  const lt = binary(w.F64_LT, I32);
  const gt = binary(w.F64_GT, I32);
  const or32 = binary(w.I32_OR, I32);
  const nx = and32(leaf(OP_STATE, I32, STATE_FFLAGS), c32(1));
  const quiet = or32(nx, binary(w.F64_EQ, I32)(unary(w.F64_TRUNC, F64)(wideIn), wideIn));
  const toInteger = (name: string, low: number, high: number, value: Expr): void =>
    fp(
      `fcvt.${name}${suffix}`,
      [f1],
      {
        needs: NEEDS_RTZ,
        guard: and32(and32(gt(wideIn, float64(low)), lt(wideIn, float64(high))), quiet),
        value,
        exact: null,
        check: CHECK_NOTHING,
      },
      true,
    );
  toInteger("w", -(2 ** 31) - 1, 2 ** 31, sext(unary(w.I32_TRUNC_F64_S, I32)(wideIn)));
  toInteger("wu", -1, 2 ** 32, sext(wrap(unary(w.I64_TRUNC_F64_S, I64)(wideIn))));
  // -2^63 itself is in range but has no neighbour below; the helper takes it.
  toInteger("l", -(2 ** 63), 2 ** 63, unary(w.I64_TRUNC_F64_S, I64)(wideIn));
  toInteger("lu", -1, 2 ** 64, unary(w.I64_TRUNC_F64_U, I64)(wideIn));

  for (const name of ["w", "wu", "l", "lu"] as const) {
    const value = unary(from[name], type)(name === "w" || name === "wu" ? w1 : x1);
    fp(`fcvt${suffix}.${name}`, [x1], {
      needs: NEEDS_RNE,
      guard: null,
      value: out(value),
      exact: null,
      check: CHECK_NOTHING,
    });
  }
}
define("fcvt.d.s", (s, row) => {
  const single = f32(unbox(f1));
  const value = bits64(unary(w.F64_PROMOTE_F32, F64)(single));
  s.setF(
    s.fp(row.id, [f1], {
      needs: NEEDS_NOTHING,
      guard: binary(w.F32_EQ, I32)(single, single),
      value,
      exact: null,
      check: CHECK_NOTHING,
    }),
  );
});
define("fcvt.s.d", (s, row) => {
  const value = box(bits32(unary(w.F32_DEMOTE_F64, F32)(f64(f1))));
  s.setF(s.fp(row.id, [f1], { needs: NEEDS_RNE, guard: null, value, exact: null, check: CHECK_NORMAL }));
});

// --- Zicsr and privileged: the hart's JavaScript ------------------------------------------------------------------------
for (const name of ["csrrw", "csrrs", "csrrc", "csrrwi", "csrrsi", "csrrci", "mret", "sret", "wfi", "sfence.vma"])
  define(name, (s) => s.system());

// --- Zba, Zbb, Zbs, Zicond ----------------------------------------------------------------------------------------------
for (const n of [1, 2, 3]) {
  compute(`sh${n}add`, add(shl(x1, c64(n)), x2));
  compute(`sh${n}add.uw`, add(shl(zext(w1), c64(n)), x2));
}
compute("add.uw", add(zext(w1), x2));
compute("slli.uw", shl(zext(w1), imm));
compute("andn", and(x1, xor(x2, minus1)));
compute("orn", or(x1, xor(x2, minus1)));
compute("xnor", xor(xor(x1, x2), minus1));
compute("min", select(ltS(x1, x2), x1, x2));
compute("minu", select(ltU(x1, x2), x1, x2));
compute("max", select(ltS(x1, x2), x2, x1));
compute("maxu", select(ltU(x1, x2), x2, x1));
compute("rol", rotl(x1, x2));
compute("ror", rotr(x1, x2));
compute("rori", rotr(x1, imm));
compute("rolw", sext(rotl32(w1, w2)));
compute("rorw", sext(rotr32(w1, w2)));
compute("roriw", sext(rotr32(w1, immW)));
compute("clz", clz(x1));
compute("ctz", ctz(x1));
compute("cpop", popcnt(x1));
compute("clzw", zext(clz32(w1)));
compute("ctzw", zext(ctz32(w1)));
compute("cpopw", zext(popcnt32(w1)));
compute("sext.b", sext8(x1));
compute("sext.h", sext16(x1));
compute("zext.h", and(x1, c64(0xffff)));
define("orc.b", (s) => {
  const low7 = c64(0x7f7f_7f7f_7f7f_7f7fn);
  // Bit 7 of each byte of `nonzero` tells whether that byte of x1 has any bit set.
  const nonzero = s.let(shrU(and(or(add(and(x1, low7), low7), x1), c64(0x8080_8080_8080_8080n)), c64(7)));
  s.setX(mul(nonzero, c64(255)));
});
define("rev8", (s) => {
  const swap = (value: Expr, shift: number, mask: bigint): Expr =>
    s.let(or(and(shrU(value, c64(shift)), c64(mask)), shl(and(value, c64(mask)), c64(shift))));
  const bytes = swap(s.let(x1), 8, 0x00ff_00ff_00ff_00ffn);
  s.setX(rotl(swap(bytes, 16, 0x0000_ffff_0000_ffffn), c64(32)));
});
for (const [suffix, amount] of [
  ["", x2],
  ["i", imm],
] as const) {
  const mask = shl(c64(1), amount);
  compute(`bclr${suffix}`, and(x1, xor(mask, minus1)));
  compute(`bext${suffix}`, and(shrU(x1, amount), c64(1)));
  compute(`binv${suffix}`, xor(x1, mask));
  compute(`bset${suffix}`, or(x1, mask));
}
compute("czero.eqz", select(eqz(x2), c64(0), x1));
compute("czero.nez", select(eqz(x2), x1, c64(0)));

// --- Zicbom, Zicboz: there is no cache; the access still has to be allowed -----------------------------------------------
for (const name of ["cbo.inval", "cbo.clean", "cbo.flush"])
  define(name, (s) => {
    s.load(x1, 0);
  });
define("cbo.zero", (s) => {
  const block = s.let(and(x1, c64(-64)));
  for (let offset = 0; offset < 64; offset += 8) s.store(add(block, c64(offset)), c64(0), 3);
});

/** The effects of each instruction, by {@link Instruction.id}. */
export const SEMANTICS: readonly Effects[] = INSTRUCTIONS.map((row) => {
  const definition = DEFINITIONS.get(row.mnemonic);
  if (definition === undefined) throw new Error(`no semantics for ${row.mnemonic}`);
  const recipe = new Recipe();
  definition(recipe, row);
  return recipe;
});
