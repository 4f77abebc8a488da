/**
 * The C printf conversions that print fmts use, over values that stay exact for 64 bits.
 *
 * A value is a `number` where it is a safe integer and a `bigint` otherwise, so the common case allocates no bigint.
 * Source: man 3 printf; Linux Documentation/core-api/printk-formats.rst for %p.
 */

export type PrintValue = number | bigint | string;

/** One piece of a parsed format: literal text, or a conversion. */
export type FormatPiece =
  | { readonly literal: string }
  | {
      readonly conversion: string;
      readonly flags: string;
      /** -1: none, -2: taken from the arguments (`*`). */
      readonly width: number;
      readonly precision: number;
      /** Bits of an integer conversion: 8, 16, 32 or 64. */
      readonly bits: number;
    };

const CONVERSION = /%([-+ 0#]*)(\d+|\*)?(?:\.(\d+|\*)?)?(hh|h|ll|l|z|t|j|L|q)?([diuxXocsp%])/y;

/** Splits a printf format. Throws TypeError for a conversion it does not know. */
export function parseFormat(format: string): FormatPiece[] {
  const pieces: FormatPiece[] = [];
  let at = 0;
  while (at < format.length) {
    const percent = format.indexOf("%", at);
    if (percent < 0) {
      pieces.push({ literal: format.slice(at) });
      break;
    }
    if (percent > at) pieces.push({ literal: format.slice(at, percent) });
    CONVERSION.lastIndex = percent;
    const match = CONVERSION.exec(format);
    if (match === null)
      throw new TypeError(`"print" expected a printf format, got ${JSON.stringify(format.slice(percent))}`);
    at = CONVERSION.lastIndex;
    const conversion = match[5]!;
    if (conversion === "%") {
      pieces.push({ literal: "%" });
      continue;
    }
    if (conversion === "p") {
      const suffix = /^(?:[sSfFBb][Rb]?|K|x)/.exec(format.slice(at));
      if (suffix !== null) at += suffix[0].length;
      pieces.push({
        conversion: suffix !== null && suffix[0] !== "K" && suffix[0] !== "x" ? "S" : "p",
        flags: match[1]!,
        width: size(match[2]),
        precision: -1,
        bits: 64,
      });
      continue;
    }
    const bits = bitsOf(match[4]);
    pieces.push({
      conversion,
      flags: match[1]!,
      width: size(match[2]),
      precision: match[0].includes(".") ? size(match[3] ?? "0") : -1,
      bits,
    });
  }
  return pieces;
}

function size(text: string | undefined): number {
  return text === undefined ? -1 : text === "*" ? -2 : Number(text);
}

function bitsOf(modifier: string | undefined): number {
  switch (modifier) {
    case "hh":
      return 8;
    case "h":
      return 16;
    case undefined:
      return 32;
    default:
      return 64;
  }
}

/** Number of arguments a piece consumes. */
export function argumentCount(piece: FormatPiece): number {
  if ("literal" in piece) return 0;
  return 1 + (piece.width === -2 ? 1 : 0) + (piece.precision === -2 ? 1 : 0);
}

/** Formats one conversion with resolved width and precision (−1: none). */
export function formatValue(
  conversion: string,
  flags: string,
  width: number,
  precision: number,
  bits: number,
  value: PrintValue,
): string {
  switch (conversion) {
    case "s": {
      const text = typeof value === "string" ? value : String(value);
      return pad(precision >= 0 ? text.slice(0, precision) : text, flags.replace("0", ""), width);
    }
    case "c":
      return pad(String.fromCharCode(Number(wrap(value, 8, false))), flags.replace("0", ""), width);
    case "p":
      return pad(wrap(value, 64, false).toString(16).padStart(16, "0"), flags, width);
    case "S": // a symbol where there is none to be found: Linux prints the address
      return pad(`0x${wrap(value, 64, false).toString(16)}`, flags, width);
    default:
      return formatInteger(conversion, flags, width, precision, bits, value);
  }
}

function formatInteger(
  conversion: string,
  flags: string,
  width: number,
  precision: number,
  bits: number,
  value: PrintValue,
): string {
  const isSigned = conversion === "d" || conversion === "i";
  const wrapped = wrap(value, bits, isSigned);
  const negative = wrapped < 0;
  const magnitude = negative ? -wrapped : wrapped;
  let digits = magnitude.toString(conversion === "o" ? 8 : conversion === "x" || conversion === "X" ? 16 : 10);
  if (conversion === "X") digits = digits.toUpperCase();
  let prefix = negative ? "-" : isSigned && flags.includes("+") ? "+" : isSigned && flags.includes(" ") ? " " : "";
  if (flags.includes("#") && magnitude !== 0 && magnitude !== 0n) {
    if (conversion === "x" || conversion === "X") prefix = `0${conversion}`;
    else if (conversion === "o") prefix = "0";
  }
  if (precision >= 0) {
    digits = precision === 0 && digits === "0" ? "" : digits.padStart(precision, "0");
    return pad(prefix + digits, flags.replace("0", ""), width);
  }
  if (flags.includes("0") && !flags.includes("-")) return prefix + digits.padStart(width - prefix.length, "0");
  return pad(prefix + digits, flags, width);
}

function pad(text: string, flags: string, width: number): string {
  if (text.length >= width) return text;
  if (flags.includes("-")) return text.padEnd(width);
  return text.padStart(width);
}

/** The value as a C integer of `bits` bits. */
export function wrap(value: PrintValue, bits: number, signed: boolean): number | bigint {
  if (typeof value === "string") return 0;
  if (typeof value === "number") {
    if (bits === 32) return signed ? value | 0 : value >>> 0; // exact for every safe integer
    if (bits === 64) {
      if (signed || value >= 0) return value;
      return BigInt.asUintN(64, BigInt(value));
    }
    const low = value & ((1 << bits) - 1);
    return signed && low >= 1 << (bits - 1) ? low - (1 << bits) : low;
  }
  return normalise(signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value));
}

/** A bigint as a number where that is exact. */
export function normalise(value: bigint): number | bigint {
  return value >= -0x1f_ffff_ffff_ffffn && value <= 0x1f_ffff_ffff_ffffn ? Number(value) : value;
}
