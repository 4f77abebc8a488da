/**
 * Floating-point pieces of the wasm back ends: the range check behind CHECK_NORMAL and the fused multiply-add, which
 * wasm does not have.
 *
 * FMA follows Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to
 * odd" (IEEE TC 57, 2008): with error-free transformations
 *   (uh, ul) = a * b;  (th, tl) = c + ul;  (vh, vl) = uh + th;  z = roundToOdd(tl + vl);  result = vh + z
 * which needs a product far from overflow and underflow. A single's product is exact in double, so that one
 * rounding to odd of the sum is enough. Functions return NaN where they decline; the caller's check sends that, like
 * every result that is not clearly normal, to the exact helper. The *_EXACT functions also decline when anything is
 * rounded: they serve while NX is still clear.
 */
import {
  CHECK_FINITE,
  F32,
  F64,
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
  I64,
} from "../isa/ir.ts";
import { DOUBLE, fma, RM_RNE } from "../fp/softfloat.ts";
import { Code, ModuleBuilder } from "./module.ts";
import * as w from "./opcodes.ts";

// Veltkamp's splitter for 53 bits.
const SPLITTER = 2 ** 27 + 1;

/**
 * Pushes whether the raw result in local `bits` fails `check` (CHECK_NORMAL or CHECK_FINITE) and needs the helper.
 * `double`: its format; a single is boxed.
 */
export function emitFailsCheck(code: Code, bits: number, check: number, double: boolean): void {
  const exponentMax = double ? 0x7ff : 0xff;
  code.get(bits);
  code.i64Const(double ? 52 : 23);
  code.byte(w.I64_SHR_U);
  code.byte(w.I32_WRAP_I64);
  code.i32Const(exponentMax);
  code.byte(w.I32_AND);
  if (check === CHECK_FINITE) {
    code.i32Const(exponentMax);
    code.byte(w.I32_EQ);
    return;
  }
  code.i32Const(2);
  code.byte(w.I32_SUB);
  code.i32Const(exponentMax - 2);
  code.byte(w.I32_GE_U);
}

/** A chained writer of straight-line stack code. */
class Script {
  readonly code: Code = new Code();
  get(...locals: number[]): this {
    for (const local of locals) this.code.get(local);
    return this;
  }
  op(...opcodes: number[]): this {
    for (const opcode of opcodes) this.code.byte(opcode);
    return this;
  }
  set(local: number): this {
    this.code.set(local);
    return this;
  }
  isZero(local: number): this {
    this.get(local);
    this.code.f64Const(0);
    return this.op(w.F64_EQ);
  }
  /** Pushes |local| < limit. */
  below(local: number, limit: number): this {
    this.get(local).op(w.F64_ABS);
    this.code.f64Const(limit);
    return this.op(w.F64_LT);
  }
  if(): this {
    return this.op(w.IF, w.VOID);
  }
  end(): this {
    return this.op(w.END);
  }
  /** Returns NaN unless the i32 on the stack is true. */
  declineUnless(): this {
    this.op(w.I32_EQZ).if();
    this.code.f64Const(Number.NaN);
    return this.op(w.RETURN).end();
  }
  declineSingleUnless(): this {
    this.op(w.I32_EQZ).if();
    this.code.f32Const(Number.NaN);
    return this.op(w.RETURN).end();
  }
  /**
   * Pushes whether the rest of a * b = p + rest is exact: 2^-900 < |p| < 2^1000 and |a|, |b| < 2^990, so that neither
   * splitting nor the partial products leave the range.
   */
  inRange(a: number, b: number, p: number): this {
    this.below(p, 2 ** 1000)
      .below(a, 2 ** 990)
      .op(w.I32_AND)
      .below(b, 2 ** 990)
      .op(w.I32_AND);
    this.get(p).op(w.F64_ABS);
    this.code.f64Const(2 ** -900);
    return this.op(w.F64_GT, w.I32_AND);
  }
  /** rest = a * b - p for p = round(a * b) (Dekker). */
  twoProductRest(a: number, b: number, p: number, rest: number, ah: number, al: number, bh: number, bl: number): this {
    this.split(a, ah, al).split(b, bh, bl);
    this.get(ah, bh).op(w.F64_MUL).get(p).op(w.F64_SUB);
    this.get(ah, bl).op(w.F64_MUL, w.F64_ADD);
    this.get(al, bh).op(w.F64_MUL, w.F64_ADD);
    return this.get(al, bl).op(w.F64_MUL, w.F64_ADD).set(rest);
  }
  /** Pushes a double as a single, or returns NaN if that rounds. */
  narrowExactly(wide: number): this {
    this.get(wide).op(w.F32_DEMOTE_F64, w.F64_PROMOTE_F32).get(wide).op(w.F64_EQ).declineSingleUnless();
    return this.get(wide).op(w.F32_DEMOTE_F64);
  }
  /** sum = a + b and error = the exact rest (Knuth's TwoSum); t is scratch. */
  twoSum(a: number, b: number, sum: number, error: number, t: number): this {
    this.get(a, b).op(w.F64_ADD).set(sum);
    this.get(sum, a).op(w.F64_SUB).set(t);
    return this.get(a, sum, t).op(w.F64_SUB, w.F64_SUB).get(b, t).op(w.F64_SUB, w.F64_ADD).set(error);
  }
  /** high + low = value, each of at most 26 bits (Veltkamp). */
  split(value: number, high: number, low: number): this {
    this.get(value);
    this.code.f64Const(SPLITTER);
    this.op(w.F64_MUL).set(high); // c = splitter * value
    this.get(high, high, value).op(w.F64_SUB, w.F64_SUB).set(high); // c - (c - value)
    return this.get(value, high).op(w.F64_SUB).set(low);
  }
  /**
   * Makes `sum` (with error term `error`) round-to-odd: if the error is not zero and the last bit of the sum is even,
   * one step towards the error. `bits` is an i64 local.
   */
  roundToOdd(sum: number, error: number, bits: number): this {
    const { code } = this;
    code.get(sum);
    code.byte(w.I64_REINTERPRET_F64);
    code.set(bits);
    code.get(error);
    code.f64Const(0);
    code.byte(w.F64_NE);
    code.get(bits);
    code.byte(w.I32_WRAP_I64);
    code.i32Const(1);
    code.byte(w.I32_AND);
    code.byte(w.I32_EQZ);
    code.byte(w.I32_AND);
    code.byte(w.IF);
    code.byte(w.VOID);
    // Away from zero if sum and error have the same sign: +1 on the magnitude, else -1.
    code.get(bits);
    code.i64Const(1);
    code.i64Const(-1);
    code.get(bits);
    code.get(error);
    code.byte(w.I64_REINTERPRET_F64);
    code.byte(w.I64_XOR);
    code.i64Const(0);
    code.byte(w.I64_GE_S);
    code.byte(w.SELECT);
    code.byte(w.I64_ADD);
    code.byte(w.F64_REINTERPRET_I64);
    code.set(sum);
    code.byte(w.END);
    return this;
  }
}

/** Pushes lane 0 of relaxed_madd of the three scalars in locals 0, 1, 2. */
export function emitRelaxedMadd(code: Code, push: (operand: 0 | 1 | 2) => void, double: boolean): void {
  for (const operand of [0, 1, 2] as const) {
    push(operand);
    code.byte(w.PREFIX_FD);
    code.u32(double ? w.F64X2_SPLAT : w.F32X4_SPLAT);
  }
  code.byte(w.PREFIX_FD);
  code.u32(double ? w.F64X2_RELAXED_MADD : w.F32X4_RELAXED_MADD);
  code.byte(w.PREFIX_FD);
  code.u32(double ? w.F64X2_EXTRACT_LANE : w.F32X4_EXTRACT_LANE);
  code.byte(0);
}

/** a, b, c with a fused result that differs from the one rounded twice. */
const FUSION_PROBES: readonly (readonly [number, number, number])[] = [
  [1 + 2 ** -30, 1 - 2 ** -30, -1],
  [3, 1 / 3, -1],
  [0.1, 10, -1],
  [1 + 2 ** -52, 1 + 2 ** -52, -(1 + 2 ** -51)],
];
let fused: boolean | undefined;

/**
 * True if this engine's relaxed_madd rounds once: then it is the fused multiply-add. The specification leaves the choice
 * to the engine, but one engine has to choose alike everywhere.
 */
export function hasFusedMadd(): boolean {
  fused ??= probeFusion();
  return fused;
}

function probeFusion(): boolean {
  const builder = new ModuleBuilder();
  const double = new Code();
  emitRelaxedMadd(double, (operand) => double.get(operand), true);
  builder.addFunction([F64, F64, F64], [F64], [], double, "double");
  const single = new Code();
  emitRelaxedMadd(single, (operand) => single.get(operand), false);
  builder.addFunction([F32, F32, F32], [F32], [], single, "single");
  builder.importMemory(1);
  const bytes = builder.build();
  if (!WebAssembly.validate(bytes)) return false;
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const exports = new WebAssembly.Instance(new WebAssembly.Module(bytes), { e: { memory } }).exports as Record<
    string,
    (a: number, b: number, c: number) => number
  >;
  const format = DOUBLE;
  const exact = (a: number, b: number, c: number): number => {
    $probe.setFloat64(0, a);
    const aBits = $probe.getBigUint64(0);
    $probe.setFloat64(0, b);
    const bBits = $probe.getBigUint64(0);
    $probe.setFloat64(0, c);
    $probe.setBigUint64(0, fma(format, RM_RNE, aBits, bBits, $probe.getBigUint64(0)));
    return $probe.getFloat64(0);
  };
  if (!FUSION_PROBES.every(([a, b, c]) => exports.double(a, b, c) === exact(a, b, c))) return false;
  // (1 + 2^-12)^2 - (1 + 2^-11) is 2^-24 exactly; the product alone rounds it away.
  return exports.single(1 + 2 ** -12, 1 + 2 ** -12, -(1 + 2 ** -11)) === 2 ** -24;
}
const $probe = new DataView(new ArrayBuffer(8)); // scratch of probeFusion

/** Parameter and result type of the internal functions, by FN_*: how many of which. */
export const FLOAT_SIGNATURES: readonly { readonly count: number; readonly type: number }[] = [
  { count: 3, type: F64 },
  { count: 3, type: F32 },
  { count: 3, type: F64 },
  { count: 3, type: F32 },
  { count: 2, type: F64 },
  { count: 2, type: F32 },
  { count: 2, type: F64 },
  { count: 2, type: F32 },
  { count: 2, type: F64 },
  { count: 2, type: F32 },
  { count: 1, type: F64 },
  { count: 1, type: F32 },
];

/** Adds every internal function to `builder`; the result is indexed by FN_*. With `exported`, as `fn0`, `fn1`, ... */
export function addFloatFunctions(builder: ModuleBuilder, exported: boolean): number[] {
  const index: number[] = [];
  index[FN_FMA_D] = fmaDouble(builder, false);
  index[FN_FMA_EXACT_D] = fmaDouble(builder, true);
  index[FN_FMA_S] = fmaSingle(builder, false);
  index[FN_FMA_EXACT_S] = fmaSingle(builder, true);
  index[FN_ADD_EXACT_D] = addExactDouble(builder);
  index[FN_MUL_EXACT_D] = mulExactDouble(builder);
  index[FN_DIV_EXACT_D] = divExactDouble(builder);
  index[FN_SQRT_EXACT_D] = sqrtExactDouble(builder);
  index[FN_ADD_EXACT_S] = addExactSingle(builder);
  index[FN_MUL_EXACT_S] = mulExactSingle(builder);
  index[FN_DIV_EXACT_S] = divExactSingle(builder);
  index[FN_SQRT_EXACT_S] = sqrtExactSingle(builder);
  if (exported) for (let n = 0; n < index.length; n++) builder.exportFunction(index[n], `fn${n}`);
  return index;
}

/** (a, b, c) -> a * b + c, rounded once; with `exact`, NaN unless nothing was rounded. */
function fmaDouble(builder: ModuleBuilder, exact: boolean): number {
  const s = new Script();
  const [a, b, c, uh, ul, th, tl, vh, vl, z, w1, ah, al, bh, bl, t] = Array.from({ length: 16 }, (_, n) => n);
  const bits = 16;
  s.get(a, b).op(w.F64_MUL).set(uh);
  // A zero factor makes the product exact: one rounding, of a sum with zero.
  s.isZero(uh).if();
  s.isZero(a).isZero(b).op(w.I32_OR).if();
  s.get(uh, c).op(w.F64_ADD, w.RETURN).end().end();
  s.below(c, 2 ** 990)
    .inRange(a, b, uh)
    .op(w.I32_AND)
    .declineUnless();
  s.twoProductRest(a, b, uh, ul, ah, al, bh, bl);
  s.twoSum(c, ul, th, tl, t);
  s.twoSum(uh, th, vh, vl, t);
  s.twoSum(tl, vl, z, w1, t);
  if (exact) {
    s.isZero(w1).declineUnless();
    s.twoSum(vh, z, uh, w1, t).isZero(w1).declineUnless().get(uh);
  } else {
    s.roundToOdd(z, w1, bits);
    s.get(vh, z).op(w.F64_ADD);
  }
  return builder.addFunction([F64, F64, F64], [F64], [...new Array<number>(13).fill(F64), I64], s.code);
}

function addExactDouble(builder: ModuleBuilder): number {
  const s = new Script();
  const [a, b, sum, error, t] = [0, 1, 2, 3, 4];
  s.twoSum(a, b, sum, error, t).isZero(error).declineUnless().get(sum);
  return builder.addFunction([F64, F64], [F64], [F64, F64, F64], s.code);
}

function mulExactDouble(builder: ModuleBuilder): number {
  const s = new Script();
  const [a, b, p, rest, ah, al, bh, bl] = [0, 1, 2, 3, 4, 5, 6, 7];
  s.get(a, b).op(w.F64_MUL).set(p).inRange(a, b, p).declineUnless();
  s.twoProductRest(a, b, p, rest, ah, al, bh, bl).isZero(rest).declineUnless().get(p);
  return builder.addFunction([F64, F64], [F64], new Array<number>(6).fill(F64), s.code);
}

/** A quotient is exact if it gives the dividend back. */
function divExactDouble(builder: ModuleBuilder): number {
  const s = new Script();
  const [a, b, q, p, rest, ah, al, bh, bl] = [0, 1, 2, 3, 4, 5, 6, 7, 8];
  s.get(a, b).op(w.F64_DIV).set(q).get(q, b).op(w.F64_MUL).set(p);
  s.inRange(q, b, p).get(p, a).op(w.F64_EQ, w.I32_AND).declineUnless();
  s.twoProductRest(q, b, p, rest, ah, al, bh, bl).isZero(rest).declineUnless().get(q);
  return builder.addFunction([F64, F64], [F64], new Array<number>(7).fill(F64), s.code);
}

function sqrtExactDouble(builder: ModuleBuilder): number {
  const s = new Script();
  const [a, r, p, rest, ah, al, bh, bl] = [0, 1, 2, 3, 4, 5, 6, 7];
  s.get(a).op(w.F64_SQRT).set(r).get(r, r).op(w.F64_MUL).set(p);
  s.inRange(r, r, p).get(p, a).op(w.F64_EQ, w.I32_AND).declineUnless();
  s.twoProductRest(r, r, p, rest, ah, al, bh, bl).isZero(rest).declineUnless().get(r);
  return builder.addFunction([F64], [F64], new Array<number>(7).fill(F64), s.code);
}

// Singles are computed in double, where a product is exact and a sum has at most one rounding.

function fmaSingle(builder: ModuleBuilder, exact: boolean): number {
  const s = new Script();
  const [a, b, c, p, wide, sum, error, t] = [0, 1, 2, 3, 4, 5, 6, 7];
  const bits = 8;
  s.get(a).op(w.F64_PROMOTE_F32).get(b).op(w.F64_PROMOTE_F32, w.F64_MUL).set(p);
  s.get(c).op(w.F64_PROMOTE_F32).set(wide);
  s.twoSum(p, wide, sum, error, t);
  if (exact) s.isZero(error).declineSingleUnless().narrowExactly(sum);
  else s.roundToOdd(sum, error, bits).get(sum).op(w.F32_DEMOTE_F64);
  return builder.addFunction([F32, F32, F32], [F32], [F64, F64, F64, F64, F64, I64], s.code);
}

function addExactSingle(builder: ModuleBuilder): number {
  const s = new Script();
  const [a, b, wa, wb, sum, error, t] = [0, 1, 2, 3, 4, 5, 6];
  s.get(a).op(w.F64_PROMOTE_F32).set(wa).get(b).op(w.F64_PROMOTE_F32).set(wb);
  s.twoSum(wa, wb, sum, error, t).isZero(error).declineSingleUnless().narrowExactly(sum);
  return builder.addFunction([F32, F32], [F32], new Array<number>(5).fill(F64), s.code);
}

function mulExactSingle(builder: ModuleBuilder): number {
  const s = new Script();
  const [a, b, p] = [0, 1, 2];
  s.get(a).op(w.F64_PROMOTE_F32).get(b).op(w.F64_PROMOTE_F32, w.F64_MUL).set(p).narrowExactly(p);
  return builder.addFunction([F32, F32], [F32], [F64], s.code);
}

function divExactSingle(builder: ModuleBuilder): number {
  const s = new Script();
  const [a, b, q] = [0, 1, 2];
  s.get(a, b).op(w.F32_DIV).set(q);
  s.get(q).op(w.F64_PROMOTE_F32).get(b).op(w.F64_PROMOTE_F32, w.F64_MUL).get(a).op(w.F64_PROMOTE_F32, w.F64_EQ);
  s.declineSingleUnless().get(q);
  return builder.addFunction([F32, F32], [F32], [F32], s.code);
}

function sqrtExactSingle(builder: ModuleBuilder): number {
  const s = new Script();
  const [a, r] = [0, 1];
  s.get(a).op(w.F32_SQRT).set(r);
  s.get(r).op(w.F64_PROMOTE_F32).get(r).op(w.F64_PROMOTE_F32, w.F64_MUL).get(a).op(w.F64_PROMOTE_F32, w.F64_EQ);
  s.declineSingleUnless().get(r);
  return builder.addFunction([F32], [F32], [F32], s.code);
}
