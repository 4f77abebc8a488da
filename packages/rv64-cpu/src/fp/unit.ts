/**
 * The floating-point unit behind the FP helper calls of `semantics.ts`: reads raw registers from the operand slots of
 * the hart's state, writes the result slot, accrues fflags.
 *
 * Order of the paths: native JavaScript arithmetic where it is provably exact in result and flags (round to nearest
 * even, finite normal result, and NX already set or the operation exact), else `softfloat.ts`.
 */
import { INSTRUCTIONS } from "../isa/instructions.ts";
import {
  FP_INFINITY_D,
  FP_INFINITY_S,
  FP_OFFSET_D,
  FP_OFFSET_S,
  FP_RNE_EXACT,
  FP_RNE_INEXACT,
  FP_SLOW,
  STATE_A,
  STATE_B,
  STATE_C,
  STATE_FFLAGS,
  STATE_FP_FAST,
  STATE_FP_FINITE_D,
  STATE_FP_FINITE_S,
  STATE_FP_NORMAL_D,
  STATE_FP_NORMAL_S,
  STATE_FRM,
  STATE_RESULT,
} from "../state.ts";
import * as soft from "./softfloat.ts";
import { DOUBLE, FLAG_NV, FLAG_NX, type Format, flags, RM_DYN, RM_RNE, SINGLE } from "./softfloat.ts";

const K_ADD = 0;
const K_SUB = 1;
const K_MUL = 2;
const K_DIV = 3;
const K_SQRT = 4;
const K_FMADD = 5;
const K_FMSUB = 6;
const K_FNMSUB = 7;
const K_FNMADD = 8;
const K_MIN = 9;
const K_MAX = 10;
const K_EQ = 11;
const K_LT = 12;
const K_LE = 13;
const K_CLASS = 14;
const K_TO_INT = 15;
const K_FROM_INT = 16;
const K_CONVERT = 17;
const KINDS: Readonly<Record<string, number>> = {
  fadd: K_ADD,
  fsub: K_SUB,
  fmul: K_MUL,
  fdiv: K_DIV,
  fsqrt: K_SQRT,
  fmadd: K_FMADD,
  fmsub: K_FMSUB,
  fnmsub: K_FNMSUB,
  fnmadd: K_FNMADD,
  fmin: K_MIN,
  fmax: K_MAX,
  feq: K_EQ,
  flt: K_LT,
  fle: K_LE,
  fclass: K_CLASS,
};
const INT_NAMES = ["w", "wu", "l", "lu"];

// Per instruction id: kind, 1 if the format is double, and the integer format (index into INT_NAMES).
const kindOf = new Int8Array(INSTRUCTIONS.length).fill(-1);
const isDouble = new Uint8Array(INSTRUCTIONS.length);
const integerOf = new Uint8Array(INSTRUCTIONS.length);
for (const { mnemonic, id, hasRm } of INSTRUCTIONS) {
  const parts = mnemonic.split(".");
  const kind = KINDS[parts[0]];
  if (kind !== undefined) {
    kindOf[id] = kind;
    isDouble[id] = parts[1] === "d" ? 1 : 0;
  } else if (parts[0] === "fcvt" && hasRm) {
    const [, to, from] = parts;
    const toInt = INT_NAMES.indexOf(to);
    const fromInt = INT_NAMES.indexOf(from);
    kindOf[id] = toInt >= 0 ? K_TO_INT : fromInt >= 0 ? K_FROM_INT : K_CONVERT;
    integerOf[id] = Math.max(toInt, fromInt, 0);
    // For a conversion the format is that of the floating-point side; between formats, of the result.
    isDouble[id] = (toInt >= 0 ? from : to) === "d" ? 1 : 0;
  }
}

const INT_MIN = [-(2n ** 31n), 0n, -(2n ** 63n), 0n];
const INT_MAX = [2n ** 31n - 1n, 2n ** 32n - 1n, 2n ** 63n - 1n, 2n ** 64n - 1n];

const A = STATE_A >> 2;
const B = STATE_B >> 2;
const C = STATE_C >> 2;
const RESULT = STATE_RESULT >> 2;

const $f32 = new Float32Array(1); // scratch: bits of a single
const $i32 = new Int32Array($f32.buffer);

export class FpUnit {
  readonly #i32: Int32Array;
  readonly #f64: Float64Array;
  readonly #i64: BigInt64Array;

  /** `buffer` is the hart's memory; only the state area at its front is touched. */
  constructor(buffer: ArrayBufferLike) {
    this.#i32 = new Int32Array(buffer, 0, 256);
    this.#f64 = new Float64Array(buffer, 0, 128);
    this.#i64 = new BigInt64Array(buffer, 0, 128);
    this.updateMode();
  }

  /** Recomputes the fast-path flag; call after every change of fflags or frm. */
  updateMode(): void {
    const i32 = this.#i32;
    const inexact = (i32[STATE_FFLAGS >> 2] & FLAG_NX) !== 0;
    const mode = i32[STATE_FRM >> 2] !== RM_RNE ? FP_SLOW : inexact ? FP_RNE_INEXACT : FP_RNE_EXACT;
    i32[STATE_FP_FAST >> 2] = mode;
    const plain = mode === FP_RNE_INEXACT;
    i32[STATE_FP_NORMAL_D >> 2] = plain ? FP_INFINITY_D - FP_OFFSET_D : 0;
    i32[STATE_FP_FINITE_D >> 2] = plain ? FP_INFINITY_D : 0;
    i32[STATE_FP_NORMAL_S >> 2] = plain ? FP_INFINITY_S - FP_OFFSET_S : 0;
    i32[STATE_FP_FINITE_S >> 2] = plain ? FP_INFINITY_S : 0;
  }

  #accrue(value: number): void {
    const i32 = this.#i32;
    const old = i32[STATE_FFLAGS >> 2];
    if ((old | value) === old) return;
    i32[STATE_FFLAGS >> 2] = old | value;
    this.updateMode();
  }

  /** Executes helper `id` for the instruction `bits`. Returns false if its rounding mode is reserved. */
  execute(id: number, bits: number): boolean {
    const row = INSTRUCTIONS[id];
    let rm = RM_RNE;
    if (row.hasRm) {
      rm = (bits >> 12) & 7;
      if (rm === RM_DYN) rm = this.#i32[STATE_FRM >> 2];
      if (rm > 4) return false;
    }
    const kind = kindOf[id];
    if (isDouble[id] === 1) this.#double(kind, rm, id);
    else this.#single(kind, rm, id);
    return true;
  }

  #double(kind: number, rm: number, id: number): void {
    const f64 = this.#f64;
    const a = f64[A >> 1];
    const b = f64[B >> 1];
    switch (kind) {
      case K_EQ:
      case K_LT:
      case K_LE:
        return this.#compare(kind, a, b, this.#signals(A) || this.#signals(B));
      case K_MIN:
      case K_MAX: {
        if (this.#signals(A) || this.#signals(B)) this.#accrue(FLAG_NV);
        if (Number.isNaN(a) && Number.isNaN(b)) return this.#result64(DOUBLE.nan);
        const takeA = Number.isNaN(b) || (!Number.isNaN(a) && (kind === K_MIN ? less(a, b) : less(b, a)));
        this.#copy(takeA ? A : B);
        return;
      }
      case K_CLASS:
        return this.#resultInt(classify(a, this.#signals(A), Math.abs(a) < 2.2250738585072014e-308));
      case K_TO_INT:
        return this.#toInteger(a, rm, integerOf[id], DOUBLE);
      case K_FROM_INT:
        return this.#fromInteger(rm, integerOf[id], DOUBLE);
      case K_CONVERT: {
        // fcvt.d.s: exact
        const single = this.#unbox(A);
        if (Number.isNaN(single)) {
          if (this.#signals32(A)) this.#accrue(FLAG_NV);
          return this.#result64(DOUBLE.nan);
        }
        f64[RESULT >> 1] = single;
        return;
      }
    }
    if (rm === RM_RNE && (this.#i32[STATE_FFLAGS >> 2] & FLAG_NX) !== 0 && kind <= K_SQRT) {
      const r =
        kind === K_ADD
          ? a + b
          : kind === K_SUB
            ? a - b
            : kind === K_MUL
              ? a * b
              : kind === K_DIV
                ? a / b
                : Math.sqrt(a);
      const magnitude = Math.abs(r);
      if (magnitude > 2.2250738585072014e-308 && magnitude < Infinity) {
        f64[RESULT >> 1] = r;
        return;
      }
    }
    // A zero factor: exact, and no flag if the other one is finite.
    if (kind === K_MUL && (a === 0 || b === 0) && a - a === 0 && b - b === 0) {
      f64[RESULT >> 1] = a * b;
      return;
    }
    this.#arithmetic(
      kind,
      rm,
      DOUBLE,
      BigInt.asUintN(64, this.#i64[A >> 1]),
      BigInt.asUintN(64, this.#i64[B >> 1]),
      BigInt.asUintN(64, this.#i64[C >> 1]),
    );
  }

  #single(kind: number, rm: number, id: number): void {
    switch (kind) {
      case K_TO_INT:
        return this.#toInteger(this.#unbox(A), rm, integerOf[id], SINGLE);
      case K_FROM_INT:
        return this.#fromInteger(rm, integerOf[id], SINGLE);
      case K_CLASS: {
        const value = this.#unbox(A);
        return this.#resultInt(classify(value, this.#signals32(A), Math.abs(value) < 1.1754943508222875e-38));
      }
      case K_CONVERT:
        return this.#narrow(rm);
    }
    const a = this.#unbox(A);
    const b = this.#unbox(B);
    switch (kind) {
      case K_EQ:
      case K_LT:
      case K_LE:
        return this.#compare(kind, a, b, this.#signals32(A) || this.#signals32(B));
      case K_MIN:
      case K_MAX: {
        if (this.#signals32(A) || this.#signals32(B)) this.#accrue(FLAG_NV);
        if (Number.isNaN(a) && Number.isNaN(b)) return this.#result32(Number(SINGLE.nan));
        const takeA = Number.isNaN(b) || (!Number.isNaN(a) && (kind === K_MIN ? less(a, b) : less(b, a)));
        return this.#result32(this.#unboxBits(takeA ? A : B));
      }
    }
    if (rm === RM_RNE && (this.#i32[STATE_FFLAGS >> 2] & FLAG_NX) !== 0 && kind <= K_SQRT) {
      // One operation in double, then rounded to single, is correctly rounded: 53 >= 2 * 24 + 2.
      const r = Math.fround(
        kind === K_ADD
          ? a + b
          : kind === K_SUB
            ? a - b
            : kind === K_MUL
              ? a * b
              : kind === K_DIV
                ? a / b
                : Math.sqrt(a),
      );
      const magnitude = Math.abs(r);
      if (magnitude > 1.1754943508222875e-38 && magnitude < Infinity) {
        $f32[0] = r;
        return this.#result32($i32[0]);
      }
    }
    this.#arithmetic(
      kind,
      rm,
      SINGLE,
      BigInt(this.#unboxBits(A) >>> 0),
      BigInt(this.#unboxBits(B) >>> 0),
      BigInt(this.#unboxBits(C) >>> 0),
    );
  }

  #narrow(rm: number): void {
    const value = this.#f64[A >> 1];
    if (rm === RM_RNE && (this.#i32[STATE_FFLAGS >> 2] & FLAG_NX) !== 0) {
      $f32[0] = value;
      const magnitude = Math.abs($f32[0]);
      if (magnitude > 1.1754943508222875e-38 && magnitude < Infinity) return this.#result32($i32[0]);
    }
    flags.value = 0;
    const result = soft.convert(DOUBLE, SINGLE, rm, BigInt.asUintN(64, this.#i64[A >> 1]));
    this.#accrue(flags.value);
    this.#result32(Number(result) | 0);
  }

  #arithmetic(kind: number, rm: number, format: Format, a: bigint, b: bigint, c: bigint): void {
    flags.value = 0;
    let result = 0n;
    switch (kind) {
      case K_ADD:
        result = soft.add(format, rm, a, b);
        break;
      case K_SUB:
        result = soft.add(format, rm, a, soft.negate(format, b));
        break;
      case K_MUL:
        result = soft.mul(format, rm, a, b);
        break;
      case K_DIV:
        result = soft.div(format, rm, a, b);
        break;
      case K_SQRT:
        result = soft.sqrt(format, rm, a);
        break;
      case K_FMADD:
        result = soft.fma(format, rm, a, b, c);
        break;
      case K_FMSUB:
        result = soft.fma(format, rm, a, b, soft.negate(format, c));
        break;
      case K_FNMSUB:
        result = soft.fma(format, rm, soft.negate(format, a), b, c);
        break;
      case K_FNMADD:
        result = soft.fma(format, rm, soft.negate(format, a), b, soft.negate(format, c));
        break;
    }
    this.#accrue(flags.value);
    if (format === DOUBLE) this.#result64(result);
    else this.#result32(Number(result) | 0);
  }

  #compare(kind: number, a: number, b: number, signals: boolean): void {
    if (Number.isNaN(a) || Number.isNaN(b)) {
      // feq is quiet: only a signalling NaN is invalid; flt and fle are signalling comparisons.
      if (kind !== K_EQ || signals) this.#accrue(FLAG_NV);
      return this.#resultInt(0);
    }
    this.#resultInt((kind === K_EQ ? a === b : kind === K_LT ? a < b : a <= b) ? 1 : 0);
  }

  #toInteger(value: number, rm: number, integer: number, format: Format): void {
    const truncated = Math.trunc(value);
    if (
      truncated === value &&
      Math.abs(value) < 0x8000_0000 &&
      (integer !== 1 || value >= 0) &&
      (integer !== 3 || value >= 0)
    ) {
      return this.#resultInt(value | 0);
    }
    if (rm === soft.RM_RTZ && (integer & 1) === 0 && Math.abs(value) < 0x7fff_ffff) {
      this.#accrue(FLAG_NX);
      return this.#resultInt(truncated | 0);
    }
    const bits = format === DOUBLE ? BigInt.asUintN(64, this.#i64[A >> 1]) : BigInt(this.#unboxBits(A) >>> 0);
    flags.value = 0;
    const result = soft.toInteger(format, rm, bits, INT_MIN[integer], INT_MAX[integer]);
    this.#accrue(flags.value);
    // W and WU results are sign-extended from 32 bits.
    this.#i64[RESULT >> 1] = integer < 2 ? BigInt.asIntN(32, result) : BigInt.asIntN(64, result);
  }

  #fromInteger(rm: number, integer: number, format: Format): void {
    const lo = this.#i32[A];
    const hi = this.#i32[A + 1];
    const value =
      integer === 0
        ? lo
        : integer === 1
          ? lo >>> 0
          : integer === 2
            ? hi * 0x1_0000_0000 + (lo >>> 0)
            : (hi >>> 0) * 0x1_0000_0000 + (lo >>> 0);
    // Exact in double (or in single) means no rounding and no flag.
    if (Math.abs(value) <= 0x20_0000_0000_0000) {
      if (format === DOUBLE) {
        this.#f64[RESULT >> 1] = value;
        return;
      }
      $f32[0] = value;
      if ($f32[0] === value) return this.#result32($i32[0]);
    }
    const wide = this.#i64[A >> 1];
    const exact =
      integer === 0 ? BigInt(lo) : integer === 1 ? BigInt(lo >>> 0) : integer === 2 ? wide : BigInt.asUintN(64, wide);
    flags.value = 0;
    const result = soft.fromInteger(format, rm, exact);
    this.#accrue(flags.value);
    if (format === DOUBLE) this.#result64(result);
    else this.#result32(Number(result) | 0);
  }

  /** The single in operand slot `slot`, NaN if it is not boxed. */
  #unbox(slot: number): number {
    $i32[0] = this.#unboxBits(slot);
    return $f32[0];
  }
  #unboxBits(slot: number): number {
    return this.#i32[slot + 1] === -1 ? this.#i32[slot] : 0x7fc0_0000;
  }
  /** True for a signalling NaN in a double slot. */
  #signals(slot: number): boolean {
    const hi = this.#i32[slot + 1];
    return (hi & 0x7ff8_0000) === 0x7ff0_0000 && ((hi & 0x7_ffff) | this.#i32[slot]) !== 0;
  }
  #signals32(slot: number): boolean {
    const bits = this.#unboxBits(slot);
    return (bits & 0x7fc0_0000) === 0x7f80_0000 && (bits & 0x3f_ffff) !== 0;
  }
  #copy(slot: number): void {
    this.#i32[RESULT] = this.#i32[slot];
    this.#i32[RESULT + 1] = this.#i32[slot + 1];
  }
  #result32(bits: number): void {
    this.#i32[RESULT] = bits;
    this.#i32[RESULT + 1] = -1;
  }
  #result64(bits: bigint): void {
    this.#i64[RESULT >> 1] = BigInt.asIntN(64, bits);
  }
  #resultInt(value: number): void {
    this.#i32[RESULT] = value;
    this.#i32[RESULT + 1] = value >> 31;
  }
}

/** a < b with -0 below +0 (fmin and fmax, Volume I 20.6). */
function less(a: number, b: number): boolean {
  return a < b || (a === b && Object.is(a, -0));
}

/** The fclass bit mask (Volume I, table 32). */
function classify(value: number, signalling: boolean, belowNormal: boolean): number {
  if (Number.isNaN(value)) return signalling ? 1 << 8 : 1 << 9;
  const negative = value < 0 || Object.is(value, -0);
  if (value === 0) return negative ? 1 << 3 : 1 << 4;
  if (Math.abs(value) === Infinity) return negative ? 1 << 0 : 1 << 7;
  if (belowNormal) return negative ? 1 << 2 : 1 << 5;
  return negative ? 1 << 1 : 1 << 6;
}
