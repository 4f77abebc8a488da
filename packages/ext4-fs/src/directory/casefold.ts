/**
 * Names in casefold directories (chattr +F): kept as they were written, compared and hashed in a folded form.
 *
 * The form is "NFDICF" of Unicode 12.1, which Linux (fs/unicode) and e2fsprogs take from one and the same table: every character gives
 * way to its full case folding (C and F of CaseFolding.txt) or its canonical decomposition, over and over; default-ignorable code
 * points give way to nothing; then combining marks are put in canonical order. Deviations from the Unicode algorithm, all Linux's:
 * - Folding is before ordering, and an ignorable code point stops marks from being ordered across it, though it vanishes.
 * - Code points that 12.1 does not assign stay what they are and stop ordering too, whatever they became later.
 * - What is not UTF-8 has no folded form. (Linux takes some such bytes for characters, by chance of how its table is laid out, and the rest
 *   as they are: nothing here may depend on it, so that such names are found by their bytes and never made.)
 *
 * Decomposition and order are the platform's String.prototype.normalize: for what 12.1 assigns they never change again
 * (Unicode Normalization Stability Policy). Cases are not: toLowerCase is not a case folding, so those are in a table.
 */
import { ASSIGNED, FOLD_FULL, FOLD_RUNS, IGNORABLE } from "./unicode-12.1.ts";

const encoder: TextEncoder = new TextEncoder();
const $character = { code: 0, length: 0 }; // what `decode` found

/** The form under which a casefold directory knows a name; undefined for bytes that have none. */
export function foldName(bytes: Uint8Array, start: number, length: number): Uint8Array | undefined {
  const folded = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    const byte = bytes[start + i];
    if (byte >= 0x80) return foldWide(bytes, start, start + length);
    if (byte === 0) return folded.subarray(0, i); // as the cursor of Linux; only damaged entries have one
    folded[i] = lower(byte);
  }
  return folded;
}

/** Whether a name has the folded form `folded`. */
export function foldsTo(bytes: Uint8Array, start: number, length: number, folded: Uint8Array): boolean {
  for (let i = 0; i < length; i++) {
    const byte = bytes[start + i];
    if (byte >= 0x80) return sameBytes(foldName(bytes, start, length), folded);
    if (i >= folded.length || lower(byte) !== folded[i]) return false; // what follows does not change ASCII in front
  }
  return length === folded.length;
}

function lower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
}

function sameBytes(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function foldWide(bytes: Uint8Array, start: number, end: number): Uint8Array | undefined {
  const out: number[] = [];
  let segment = ""; // folded characters among which marks are ordered
  const flush = (): void => {
    if (segment !== "") out.push(...encoder.encode(segment.normalize("NFD")));
    segment = "";
  };
  for (let at = start; at < end && bytes[at] !== 0; ) {
    if (!decode(bytes, at, end)) return undefined;
    const { code, length } = $character;
    if (ignorable().has(code)) flush();
    else if (assigned().has(code)) segment += foldCharacter(code);
    else {
      flush();
      out.push(...bytes.subarray(at, at + length));
    }
    at += length;
  }
  flush();
  return Uint8Array.from(out);
}

/** One character at `at` into `$character`; false where none is. */
function decode(bytes: Uint8Array, at: number, end: number): boolean {
  const lead = bytes[at];
  const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if ((lead >= 0x80 && lead < 0xc2) || lead > 0xf4 || at + length > end) return false;
  let code = length === 1 ? lead : lead & (0xff >> (length + 1));
  for (let i = 1; i < length; i++) {
    if ((bytes[at + i] & 0xc0) !== 0x80) return false;
    code = (code << 6) | (bytes[at + i] & 0x3f);
  }
  if (length === 3 && (code < 0x800 || (code >= 0xd800 && code <= 0xdfff))) return false;
  if (length === 4 && (code < 0x1_0000 || code > 0x10_ffff)) return false;
  $character.code = code;
  $character.length = length;
  return true;
}

const known = new Map<number, string>();

/** Folding and decomposition of one code point until nothing changes. */
function foldCharacter(code: number): string {
  let result = known.get(code);
  if (result === undefined) {
    const character = String.fromCodePoint(code);
    const step = foldings().get(code) ?? character.normalize("NFD");
    result = step === character ? step : [...step].map((part) => foldCharacter(part.codePointAt(0) as number)).join("");
    known.set(code, result);
  }
  return result;
}

// ---- tables, read when they are first needed ----

/** A set of code points, as the borders of its runs. */
class Ranges {
  readonly #borders: Uint32Array;

  constructor(text: string) {
    let at = 0;
    this.#borders = Uint32Array.from(text.split(" "), (word) => (at += Number.parseInt(word, 36)));
  }

  has(code: number): boolean {
    let low = 0;
    let high = this.#borders.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#borders[middle] <= code) low = middle + 1;
      else high = middle;
    }
    return (low & 1) === 1; // as many borders at or before `code`
  }
}

let assignedRanges: Ranges | undefined;
let ignorableRanges: Ranges | undefined;
let foldingTable: ReadonlyMap<number, string> | undefined;

function assigned(): Ranges {
  assignedRanges ??= new Ranges(ASSIGNED);
  return assignedRanges;
}

function ignorable(): Ranges {
  ignorableRanges ??= new Ranges(IGNORABLE);
  return ignorableRanges;
}

/** What CaseFolding.txt says, status C and F. */
function foldings(): ReadonlyMap<number, string> {
  if (foldingTable !== undefined) return foldingTable;
  const table = new Map<number, string>();
  const words = FOLD_RUNS.split(" ").map((word) => Number.parseInt(word, 36));
  let start = 0;
  for (let i = 0; i < words.length; i += 4) {
    start += words[i];
    for (let k = 0; k < words[i + 1]; k++) {
      const code = start + k * words[i + 2];
      table.set(code, String.fromCodePoint(code + words[i + 3]));
    }
  }
  for (const entry of FOLD_FULL.split(", ")) {
    const [code, ...parts] = entry.split(" ").map((word) => Number.parseInt(word, 36));
    table.set(code, String.fromCodePoint(...parts));
  }
  foldingTable = table;
  return table;
}
