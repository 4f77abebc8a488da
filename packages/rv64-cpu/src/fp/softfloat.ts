/**
 * IEEE 754 arithmetic with exact flags, for every rounding mode: the slow and always right path.
 *
 * A finite value is (sign, significand, exponent) with an unbounded integer significand, so that each operation is
 * computed exactly (division and square root with a sticky bit) and rounded once, in `roundPack`. `unit.ts` puts
 * native fast paths in front of it.
 *
 * Source: IEEE 754-2019; RISC-V ISA Volume I, 20.2-20.9 (rounding modes, flags, NaN rules, tininess after rounding).
 */

// Rounding modes (frm) and accrued exception flags (fflags). Volume I, 20.2.
export const RM_RNE = 0;
export const RM_RTZ = 1;
export const RM_RDN = 2;
export const RM_RUP = 3;
export const RM_RMM = 4;
export const RM_DYN = 7;
export const FLAG_NX = 1;
export const FLAG_UF = 2;
export const FLAG_OF = 4;
export const FLAG_DZ = 8;
export const FLAG_NV = 16;

export interface Format {
  readonly exponentBits: number;
  /** Stored fraction bits. */
  readonly fractionBits: number;
  /** The canonical quiet NaN. */
  readonly nan: bigint;
}
export const SINGLE: Format = { exponentBits: 8, fractionBits: 23, nan: 0x7fc0_0000n };
export const DOUBLE: Format = { exponentBits: 11, fractionBits: 52, nan: 0x7ff8_0000_0000_0000n };

const CLASS_ZERO = 0;
const CLASS_FINITE = 1;
const CLASS_INFINITE = 2;
const CLASS_QUIET_NAN = 3;
const CLASS_SIGNALLING_NAN = 4;

interface Unpacked {
  readonly kind: number;
  /** 0 or 1. */
  readonly sign: number;
  /** Value is significand * 2^exponent. */
  readonly significand: bigint;
  readonly exponent: number;
}

function unpack(format: Format, bits: bigint): Unpacked {
  const { exponentBits, fractionBits } = format;
  const fraction = bits & ((1n << BigInt(fractionBits)) - 1n);
  const biased = Number((bits >> BigInt(fractionBits)) & ((1n << BigInt(exponentBits)) - 1n));
  const sign = Number((bits >> BigInt(exponentBits + fractionBits)) & 1n);
  const bias = 2 ** (exponentBits - 1) - 1;
  if (biased === 2 ** exponentBits - 1) {
    if (fraction === 0n) return { kind: CLASS_INFINITE, sign, significand: 0n, exponent: 0 };
    const quiet = (fraction >> BigInt(fractionBits - 1)) & 1n;
    return { kind: quiet === 1n ? CLASS_QUIET_NAN : CLASS_SIGNALLING_NAN, sign, significand: 0n, exponent: 0 };
  }
  if (biased === 0) {
    if (fraction === 0n) return { kind: CLASS_ZERO, sign, significand: 0n, exponent: 0 };
    return { kind: CLASS_FINITE, sign, significand: fraction, exponent: 1 - bias - fractionBits };
  }
  return {
    kind: CLASS_FINITE,
    sign,
    significand: fraction | (1n << BigInt(fractionBits)),
    exponent: biased - bias - fractionBits,
  };
}

const isNaNKind = (kind: number): boolean => kind >= CLASS_QUIET_NAN;

/** Number of bits of a positive bigint. */
function bitLength(value: bigint): number {
  return value.toString(16).length * 4 - (Math.clz32(parseInt(value.toString(16)[0], 16)) - 28);
}

/** True if a magnitude with the given last kept bit, round bit and sticky is to be incremented. */
function roundsUp(rm: number, sign: number, odd: boolean, half: boolean, sticky: boolean): boolean {
  switch (rm) {
    case RM_RNE:
      return half && (sticky || odd);
    case RM_RDN:
      return sign === 1 && (half || sticky);
    case RM_RUP:
      return sign === 0 && (half || sticky);
    case RM_RMM:
      return half;
    default:
      return false;
  }
}

/** The flags of the last operation; callers clear and read it. */
export const flags: { value: number } = { value: 0 };

/** Shifts right by `count` (may be negative), with what falls out as half and sticky. */
const $shift = { kept: 0n, half: false, sticky: false };
function shiftRight(value: bigint, count: number, sticky: boolean): void {
  if (count <= 0) {
    $shift.kept = value << BigInt(-count);
    $shift.half = false;
    $shift.sticky = sticky;
    return;
  }
  const n = BigInt(count);
  $shift.kept = value >> n;
  $shift.half = ((value >> (n - 1n)) & 1n) === 1n;
  $shift.sticky = sticky || (value & ((1n << (n - 1n)) - 1n)) !== 0n;
}

/** Rounds the positive value (significand + sticky·ε) * 2^exponent into `format`. */
function roundPack(
  format: Format,
  rm: number,
  sign: number,
  significand: bigint,
  exponent: number,
  sticky: boolean,
): bigint {
  const { exponentBits, fractionBits } = format;
  const bias = 2 ** (exponentBits - 1) - 1;
  const emin = 1 - bias;
  const signBit = BigInt(sign) << BigInt(exponentBits + fractionBits);
  const length = bitLength(significand);
  let e = exponent + length - 1; // exponent of the leading bit
  const precise = exponent + length - (fractionBits + 1); // exponent of the last bit at full precision
  const last = Math.max(precise, emin - fractionBits);
  shiftRight(significand, last - exponent, sticky);
  let kept = $shift.kept;
  const inexact = $shift.half || $shift.sticky;
  if (roundsUp(rm, sign, (kept & 1n) === 1n, $shift.half, $shift.sticky)) kept += 1n;
  if (inexact) {
    flags.value |= FLAG_NX;
    if (e < emin) {
      // Tiny after rounding: would the result, rounded with an unbounded exponent, still be below 2^emin?
      shiftRight(significand, precise - exponent, sticky);
      let unbounded = $shift.kept;
      if (roundsUp(rm, sign, (unbounded & 1n) === 1n, $shift.half, $shift.sticky)) unbounded += 1n;
      if (e < emin - 1 || unbounded < 1n << BigInt(fractionBits + 1)) flags.value |= FLAG_UF;
    }
  }
  if (kept === 0n) return signBit;
  e = last + bitLength(kept) - 1;
  if (e > bias) {
    flags.value |= FLAG_OF | FLAG_NX;
    const infinity = rm === RM_RNE || rm === RM_RMM || (rm === RM_RUP && sign === 0) || (rm === RM_RDN && sign === 1);
    const max = ((1n << BigInt(exponentBits)) - 1n) << BigInt(fractionBits);
    return signBit | (infinity ? max : max - 1n);
  }
  if (e < emin) return signBit | kept; // subnormal: last === emin - fractionBits
  // kept may have one bit too many after the carry of rounding; its low bits are then zero.
  const aligned = shiftTo(kept, fractionBits + 1);
  return signBit | (BigInt(e + bias) << BigInt(fractionBits)) | (aligned & ((1n << BigInt(fractionBits)) - 1n));
}

function shiftTo(value: bigint, bits: number): bigint {
  const extra = bitLength(value) - bits;
  return extra >= 0 ? value >> BigInt(extra) : value << BigInt(-extra);
}

function infinity(format: Format, sign: number): bigint {
  return (
    (BigInt(sign) << BigInt(format.exponentBits + format.fractionBits)) |
    (((1n << BigInt(format.exponentBits)) - 1n) << BigInt(format.fractionBits))
  );
}
function zero(format: Format, sign: number): bigint {
  return BigInt(sign) << BigInt(format.exponentBits + format.fractionBits);
}
function invalid(format: Format): bigint {
  flags.value |= FLAG_NV;
  return format.nan;
}

/** The canonical NaN, with NV if an operand signals. */
function propagate(format: Format, ...operands: Unpacked[]): bigint {
  for (const operand of operands) if (operand.kind === CLASS_SIGNALLING_NAN) flags.value |= FLAG_NV;
  return format.nan;
}

/** Exact sum of two finite values (kinds ZERO or FINITE), rounded. */
function addFinite(format: Format, rm: number, a: Unpacked, b: Unpacked): bigint {
  const exponent =
    a.kind === CLASS_ZERO ? b.exponent : b.kind === CLASS_ZERO ? a.exponent : Math.min(a.exponent, b.exponent);
  const align = (v: Unpacked): bigint => {
    if (v.kind === CLASS_ZERO) return 0n;
    const magnitude = v.significand << BigInt(v.exponent - exponent);
    return v.sign === 1 ? -magnitude : magnitude;
  };
  const sum = align(a) + align(b);
  if (sum === 0n) {
    // Volume I 20: an exact zero sum is +0, or -0 when rounding down; equal signs keep their sign.
    return zero(format, a.sign === b.sign ? a.sign : rm === RM_RDN ? 1 : 0);
  }
  const sign = sum < 0n ? 1 : 0;
  return roundPack(format, rm, sign, sign === 1 ? -sum : sum, exponent, false);
}

export function add(format: Format, rm: number, aBits: bigint, bBits: bigint): bigint {
  const a = unpack(format, aBits);
  const b = unpack(format, bBits);
  if (isNaNKind(a.kind) || isNaNKind(b.kind)) return propagate(format, a, b);
  if (a.kind === CLASS_INFINITE)
    return b.kind === CLASS_INFINITE && a.sign !== b.sign ? invalid(format) : infinity(format, a.sign);
  if (b.kind === CLASS_INFINITE) return infinity(format, b.sign);
  return addFinite(format, rm, a, b);
}

/** Flips the sign bit. */
export function negate(format: Format, bits: bigint): bigint {
  return bits ^ (1n << BigInt(format.exponentBits + format.fractionBits));
}

/** a * b + c, rounded once. */
export function fma(format: Format, rm: number, aBits: bigint, bBits: bigint, cBits: bigint): bigint {
  const a = unpack(format, aBits);
  const b = unpack(format, bBits);
  const c = unpack(format, cBits);
  // inf * 0 is invalid even when the addend is a quiet NaN (Volume I, 20.6).
  if ((a.kind === CLASS_INFINITE && b.kind === CLASS_ZERO) || (a.kind === CLASS_ZERO && b.kind === CLASS_INFINITE))
    return invalid(format);
  if (isNaNKind(a.kind) || isNaNKind(b.kind) || isNaNKind(c.kind)) return propagate(format, a, b, c);
  const sign = a.sign ^ b.sign;
  if (a.kind === CLASS_INFINITE || b.kind === CLASS_INFINITE) {
    return c.kind === CLASS_INFINITE && c.sign !== sign ? invalid(format) : infinity(format, sign);
  }
  if (c.kind === CLASS_INFINITE) return infinity(format, c.sign);
  return addFinite(format, rm, product(a, b), c);
}

function product(a: Unpacked, b: Unpacked): Unpacked {
  const sign = a.sign ^ b.sign;
  if (a.kind === CLASS_ZERO || b.kind === CLASS_ZERO) return { kind: CLASS_ZERO, sign, significand: 0n, exponent: 0 };
  return { kind: CLASS_FINITE, sign, significand: a.significand * b.significand, exponent: a.exponent + b.exponent };
}

export function mul(format: Format, rm: number, aBits: bigint, bBits: bigint): bigint {
  const a = unpack(format, aBits);
  const b = unpack(format, bBits);
  if (isNaNKind(a.kind) || isNaNKind(b.kind)) return propagate(format, a, b);
  const sign = a.sign ^ b.sign;
  if (a.kind === CLASS_INFINITE || b.kind === CLASS_INFINITE) {
    return a.kind === CLASS_ZERO || b.kind === CLASS_ZERO ? invalid(format) : infinity(format, sign);
  }
  const p = product(a, b);
  return p.kind === CLASS_ZERO ? zero(format, sign) : roundPack(format, rm, sign, p.significand, p.exponent, false);
}

export function div(format: Format, rm: number, aBits: bigint, bBits: bigint): bigint {
  const a = unpack(format, aBits);
  const b = unpack(format, bBits);
  if (isNaNKind(a.kind) || isNaNKind(b.kind)) return propagate(format, a, b);
  const sign = a.sign ^ b.sign;
  if (a.kind === CLASS_INFINITE) return b.kind === CLASS_INFINITE ? invalid(format) : infinity(format, sign);
  if (b.kind === CLASS_INFINITE) return zero(format, sign);
  if (b.kind === CLASS_ZERO) {
    if (a.kind === CLASS_ZERO) return invalid(format);
    flags.value |= FLAG_DZ;
    return infinity(format, sign);
  }
  if (a.kind === CLASS_ZERO) return zero(format, sign);
  // Enough quotient bits for full precision, a round bit and a sticky bit, whatever the operands' lengths.
  const shift = Math.max(0, format.fractionBits + 3 + bitLength(b.significand) - bitLength(a.significand));
  const dividend = a.significand << BigInt(shift);
  const quotient = dividend / b.significand;
  return roundPack(format, rm, sign, quotient, a.exponent - b.exponent - shift, quotient * b.significand !== dividend);
}

export function sqrt(format: Format, rm: number, aBits: bigint): bigint {
  const a = unpack(format, aBits);
  if (isNaNKind(a.kind)) return propagate(format, a);
  if (a.kind === CLASS_ZERO) return zero(format, a.sign);
  if (a.sign === 1) return invalid(format);
  if (a.kind === CLASS_INFINITE) return infinity(format, 0);
  let shift = Math.max(0, 2 * (format.fractionBits + 3) - bitLength(a.significand));
  if (((a.exponent - shift) & 1) !== 0) shift++;
  const radicand = a.significand << BigInt(shift);
  const root = integerSqrt(radicand);
  return roundPack(format, rm, 0, root, (a.exponent - shift) / 2, root * root !== radicand);
}

function integerSqrt(value: bigint): bigint {
  let x = 1n << BigInt((bitLength(value) + 1) >> 1);
  for (;;) {
    const next = (x + value / x) >> 1n;
    if (next >= x) return x;
    x = next;
  }
}

/** Between formats. */
export function convert(from: Format, to: Format, rm: number, bits: bigint): bigint {
  const a = unpack(from, bits);
  if (isNaNKind(a.kind)) return propagate(to, a);
  if (a.kind === CLASS_INFINITE) return infinity(to, a.sign);
  if (a.kind === CLASS_ZERO) return zero(to, a.sign);
  return roundPack(to, rm, a.sign, a.significand, a.exponent, false);
}

export function fromInteger(format: Format, rm: number, value: bigint): bigint {
  if (value === 0n) return 0n;
  const sign = value < 0n ? 1 : 0;
  return roundPack(format, rm, sign, sign === 1 ? -value : value, 0, false);
}

/** To an integer in [min, max]; out of range and NaN saturate with NV (Volume I, 20.7). */
export function toInteger(format: Format, rm: number, bits: bigint, min: bigint, max: bigint): bigint {
  const a = unpack(format, bits);
  if (isNaNKind(a.kind)) {
    flags.value |= FLAG_NV;
    return max;
  }
  if (a.kind === CLASS_ZERO) return 0n;
  if (a.kind === CLASS_INFINITE) {
    flags.value |= FLAG_NV;
    return a.sign === 1 ? min : max;
  }
  shiftRight(a.significand, -a.exponent, false);
  const inexact = $shift.half || $shift.sticky;
  let magnitude = $shift.kept;
  if (roundsUp(rm, a.sign, (magnitude & 1n) === 1n, $shift.half, $shift.sticky)) magnitude += 1n;
  const value = a.sign === 1 ? -magnitude : magnitude;
  if (value < min || value > max) {
    flags.value |= FLAG_NV;
    return value < min ? min : max;
  }
  if (inexact) flags.value |= FLAG_NX;
  return value;
}
