/**
 * Zstandard (RFC 8878) for random access: frames are decoded block by block (at most 128 KiB of output each), and between blocks
 * the state is the decoder's tables and last offsets (`save`) plus the window of output before it. Synchronous, no
 * dictionaries; the optional checksum of a frame is not verified.
 */
import { type CodeBases, codeBases } from "./code-bases.ts";
import { buildFse, type FseEnd, type FseTable, readFse, repeatTable } from "./fse.ts";

export const ZSTD_MAGIC = 0xfd2fb528;
/** Skippable frames have this in the upper 28 bits. */
const SKIPPABLE_MAGIC = 0x184d2a50;
/** Output of one block, in bytes. */
export const MAX_BLOCK: number = 128 << 10;
/** The largest window that is accepted, in bytes: what `zstd` itself takes without --long or --memory. */
const MAX_WINDOW = 128 << 20;

export interface ZstdFrame {
  /** Of the header, in bytes; for a skippable frame of the whole frame. */
  readonly headerSize: number;
  readonly skippable: boolean;
  readonly windowSize: number;
  readonly hasChecksum: boolean;
  /** Bytes of content, -1 when the frame does not say. */
  readonly contentSize: number;
}

/** Reads a frame header at `at`; undefined when there is none that can be decoded. */
export function readFrameHeader(input: Uint8Array, at: number): ZstdFrame | undefined {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  if (at + 8 > input.length) return undefined;
  const magic = view.getUint32(at, true);
  if ((magic & 0xfffffff0) === SKIPPABLE_MAGIC) {
    const headerSize = 8 + view.getUint32(at + 4, true);
    return { headerSize, skippable: true, windowSize: 0, hasChecksum: false, contentSize: 0 };
  }
  if (magic !== ZSTD_MAGIC) return undefined;
  const descriptor = input[at + 4];
  const isSingle = (descriptor & 0x20) !== 0;
  const sizeFlag = descriptor >> 6;
  if ((descriptor & 0x08) !== 0) return undefined; // reserved
  let next = at + 5;
  let windowSize = 0;
  if (!isSingle) {
    const base = 2 ** (10 + (input[next] >> 3));
    windowSize = base + (base / 8) * (input[next] & 7);
    next++;
  }
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3];
  for (let i = 0; i < dictionaryBytes; i++) if (input[next + i] !== 0) return undefined;
  next += dictionaryBytes;
  const sizeBytes = sizeFlag === 0 ? (isSingle ? 1 : 0) : 1 << sizeFlag;
  let contentSize = -1;
  if (next + sizeBytes > input.length) return undefined;
  if (sizeBytes === 1) contentSize = input[next];
  else if (sizeBytes === 2) contentSize = view.getUint16(next, true) + 256;
  else if (sizeBytes === 4) contentSize = view.getUint32(next, true);
  else if (sizeBytes === 8) contentSize = Number(view.getBigUint64(next, true));
  if (isSingle) windowSize = contentSize;
  if (windowSize > MAX_WINDOW && !isSingle) return undefined;
  const hasChecksum = (descriptor & 4) !== 0;
  return { headerSize: next + sizeBytes - at, skippable: false, windowSize, hasChecksum, contentSize };
}

/** What a decoder carries from block to block, apart from the output. Tables are never changed once built. */
export interface ZstdState {
  readonly offsets: readonly [number, number, number];
  readonly huffman: HuffmanTable | undefined;
  readonly tables: readonly [FseTable | undefined, FseTable | undefined, FseTable | undefined];
}

interface HuffmanTable {
  readonly log: number;
  readonly symbols: Uint8Array;
  readonly bits: Uint8Array;
}

// Codes for literal lengths and match lengths (RFC 8878 §3.1.1.3.2.1.1).
const LL_CODES = /* @__PURE__ */ literalLengthCodes();
const ML_CODES = /* @__PURE__ */ matchLengthCodes();
const DEFAULTS = /* @__PURE__ */ defaultTables();
const MAX_LOGS = [9, 8, 9];
const MAX_SYMBOLS = [35, 31, 52];

/** Of literal lengths, offsets and match lengths (RFC 8878 §3.1.1.3.2.2). */
function defaultTables(): FseTable[] {
  return [
    buildFse(
      [4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1],
      6,
    ),
    buildFse([1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1], 5),
    buildFse(
      [
        1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
      ],
      6,
    ),
  ];
}

function literalLengthCodes(): CodeBases {
  return codeBases(0, [[16, 0], [4, 1], [2, 2], [2, 3], [1, 4], ...powers(6, 16)]);
}

function matchLengthCodes(): CodeBases {
  return codeBases(3, [[32, 0], [4, 1], [2, 2], [2, 3], [2, 4], [1, 5], ...powers(7, 16)]);
}

/** One code each of `from` to `to` bits. */
function powers(from: number, to: number): [number, number][] {
  return Array.from({ length: to - from + 1 }, (_, k) => [1, from + k]);
}

export class ZstdDecoder {
  #offset1 = 1;
  #offset2 = 4;
  #offset3 = 8;
  #huffman: HuffmanTable | undefined;
  #tables: [FseTable | undefined, FseTable | undefined, FseTable | undefined] = [undefined, undefined, undefined];
  readonly #literals = new Uint8Array(MAX_BLOCK + 32);
  #literalCount = 0;

  /** Starts a frame. */
  reset(): void {
    this.restore({ offsets: [1, 4, 8], huffman: undefined, tables: [undefined, undefined, undefined] });
  }

  save(): ZstdState {
    return {
      offsets: [this.#offset1, this.#offset2, this.#offset3],
      huffman: this.#huffman,
      tables: [...this.#tables],
    };
  }

  restore(state: ZstdState): void {
    [this.#offset1, this.#offset2, this.#offset3] = state.offsets;
    this.#huffman = state.huffman;
    this.#tables = [...state.tables];
  }

  /**
   * Decodes a compressed block: input[at..end) → output from `out` on, matches reaching back to output[0]. The position behind
   * the last byte written, or -1 when the block is damaged or `output` too short.
   */
  block(input: Uint8Array, at: number, end: number, output: Uint8Array, out: number): number {
    const sequencesAt = this.#readLiterals(input, at, end);
    if (sequencesAt < 0) return -1;
    return this.#sequences(input, sequencesAt, end, output, out);
  }

  // ---- literals (§3.1.1.3.1) ----

  #readLiterals(input: Uint8Array, at: number, end: number): number {
    if (at + 3 > end) return at + 1 > end ? -1 : this.#shortLiterals(input, at, end);
    const type = input[at] & 3;
    return type < 2 ? this.#shortLiterals(input, at, end) : this.#codedLiterals(input, at, end, type === 3);
  }

  /** Raw, or one byte repeated. */
  #shortLiterals(input: Uint8Array, at: number, end: number): number {
    const format = (input[at] >> 2) & 3;
    let size: number;
    let next: number;
    if ((format & 1) === 0) {
      size = input[at] >> 3;
      next = at + 1;
    } else if (format === 1) {
      size = (input[at] >> 4) | (input[at + 1] << 4);
      next = at + 2;
    } else {
      size = (input[at] >> 4) | (input[at + 1] << 4) | (input[at + 2] << 12);
      next = at + 3;
    }
    const isRaw = (input[at] & 3) === 0;
    if ((input[at] & 3) > 1 || size > MAX_BLOCK || next + (isRaw ? size : 1) > end) return -1;
    this.#literalCount = size;
    if (isRaw) this.#literals.set(input.subarray(next, next + size));
    else this.#literals.fill(input[next], 0, size);
    return next + (isRaw ? size : 1);
  }

  #codedLiterals(input: Uint8Array, at: number, end: number, treeless: boolean): number {
    const format = (input[at] >> 2) & 3;
    if (at + 5 > end) return -1;
    const low = (input[at] | (input[at + 1] << 8) | (input[at + 2] << 16) | (input[at + 3] << 24)) >>> 4;
    const widths = format < 2 ? 10 : format === 2 ? 14 : 18;
    const size = low & ((1 << widths) - 1);
    const packed = widths === 18 ? (low >>> 18) | (input[at + 4] << 10) : (low >>> widths) & ((1 << widths) - 1);
    let next = at + (widths === 10 ? 3 : widths === 14 ? 4 : 5);
    const stop = next + packed;
    if (size > MAX_BLOCK || stop > end) return -1;
    if (!treeless) {
      next = this.#readHuffman(input, next, stop);
      if (next < 0) return -1;
    }
    const table = this.#huffman;
    if (table === undefined) return -1;
    this.#literalCount = size;
    if (format === 0) return decodeHuffman(table, input, next, stop, this.#literals, 0, size) ? stop : -1;
    if (next + 6 > stop) return -1;
    const part = (size + 3) >> 2;
    let from = next + 6;
    for (let i = 0; i < 4; i++) {
      const to = i < 3 ? from + (input[next + i * 2] | (input[next + i * 2 + 1] << 8)) : stop;
      const first = i * part;
      const last = i < 3 ? first + part : size;
      if (to > stop || last < first || !decodeHuffman(table, input, from, to, this.#literals, first, last)) return -1;
      from = to;
    }
    return stop;
  }

  /** Huffman tree description (§4.2.1): the position behind it, or -1. */
  #readHuffman(input: Uint8Array, at: number, end: number): number {
    const weights = new Uint8Array(256);
    let count = 0;
    const header = input[at];
    let next = at + 1;
    if (header >= 128) {
      count = header - 127;
      next += (count + 1) >> 1;
      if (next > end) return -1;
      for (let i = 0; i < count; i++) {
        const byte = input[at + 1 + (i >> 1)];
        weights[i] = (i & 1) === 0 ? byte >> 4 : byte & 15;
      }
    } else {
      next += header;
      if (next > end) return -1;
      count = readWeights(input, at + 1, next, weights);
      if (count < 0) return -1;
    }
    const table = buildHuffman(weights, count);
    if (table === undefined) return -1;
    this.#huffman = table;
    return next;
  }

  // ---- sequences (§3.1.1.3.2) ----

  #sequences(input: Uint8Array, start: number, end: number, output: Uint8Array, outStart: number): number {
    let at = start;
    if (at >= end) return -1;
    let count = input[at++];
    if (count >= 128) {
      if (count === 255) {
        count = (input[at] | (input[at + 1] << 8)) + 0x7f00;
        at += 2;
      } else {
        count = ((count - 128) << 8) | input[at++];
      }
    }
    const literals = this.#literals;
    const literalCount = this.#literalCount;
    if (count === 0) {
      if (at !== end || outStart + literalCount > output.length) return -1;
      output.set(literals.subarray(0, literalCount), outStart);
      return outStart + literalCount;
    }
    at = this.#readTables(input, at, end);
    if (at < 0 || at >= end || input[end - 1] === 0) return -1;
    const [ll, of, ml] = this.#tables as [FseTable, FseTable, FseTable];
    // Bits are read backwards from the highest set bit of the last byte; `bit` counts those that are left.
    let bit = (end - 1 - at) * 8 + 31 - Math.clz32(input[end - 1]);
    const base = at;
    bit -= ll.log;
    let llState = bitsAt(input, base, bit, ll.log);
    bit -= of.log;
    let ofState = bitsAt(input, base, bit, of.log);
    bit -= ml.log;
    let mlState = bitsAt(input, base, bit, ml.log);
    const { symbols: llSymbols, bits: llWidths, bases: llNext } = ll;
    const { symbols: ofSymbols, bits: ofWidths, bases: ofNext } = of;
    const { symbols: mlSymbols, bits: mlWidths, bases: mlNext } = ml;
    const { bases: llBases, bits: llBits } = LL_CODES;
    const { bases: mlBases, bits: mlBits } = ML_CODES;
    let out = outStart;
    let literalAt = 0;
    for (let i = 0; i < count; i++) {
      const llCode = llSymbols[llState];
      const mlCode = mlSymbols[mlState];
      const ofCode = ofSymbols[ofState];
      // In locals, without a closure: 1.5 times as fast.
      let ofValue: number;
      if (ofCode > 24) {
        bit -= ofCode - 16;
        ofValue = 2 ** ofCode + bitsAt(input, base, bit, ofCode - 16) * 65536;
        bit -= 16;
        ofValue += bitsAt(input, base, bit, 16);
      } else {
        bit -= ofCode;
        ofValue = (1 << ofCode) + bitsAt(input, base, bit, ofCode);
      }
      bit -= mlBits[mlCode];
      let matchLength = mlBases[mlCode] + bitsAt(input, base, bit, mlBits[mlCode]);
      bit -= llBits[llCode];
      const literalLength = llBases[llCode] + bitsAt(input, base, bit, llBits[llCode]);
      if (i + 1 < count) {
        let width = llWidths[llState];
        bit -= width;
        llState = llNext[llState] + bitsAt(input, base, bit, width);
        width = mlWidths[mlState];
        bit -= width;
        mlState = mlNext[mlState] + bitsAt(input, base, bit, width);
        width = ofWidths[ofState];
        bit -= width;
        ofState = ofNext[ofState] + bitsAt(input, base, bit, width);
      }
      if (bit < 0) return -1;
      const offset = this.#offset(ofValue, literalLength);
      if (
        literalAt + literalLength > literalCount ||
        out + literalLength + matchLength > output.length ||
        offset > out + literalLength ||
        offset < 1
      )
        return -1;
      if (literalLength > 32) {
        output.set(literals.subarray(literalAt, literalAt + literalLength), out);
        out += literalLength;
        literalAt += literalLength;
      } else {
        for (let n = literalLength; n > 0; n--) output[out++] = literals[literalAt++];
      }
      let from = out - offset;
      if (matchLength > 48 && offset >= matchLength) {
        output.copyWithin(out, from, from + matchLength);
        out += matchLength;
      } else if (offset === 1) {
        output.fill(output[from], out, out + matchLength);
        out += matchLength;
      } else {
        while (matchLength-- > 0) output[out++] = output[from++];
      }
    }
    if (bit !== 0) return -1;
    const rest = literalCount - literalAt;
    if (out + rest > output.length) return -1;
    output.set(literals.subarray(literalAt, literalCount), out);
    return out + rest;
  }

  /** Repeated offsets (§3.1.1.5). */
  #offset(value: number, literalLength: number): number {
    if (value > 3) {
      this.#offset3 = this.#offset2;
      this.#offset2 = this.#offset1;
      this.#offset1 = value - 3;
      return this.#offset1;
    }
    const which = literalLength === 0 ? value + 1 : value;
    if (which === 1) return this.#offset1;
    const offset = which === 2 ? this.#offset2 : which === 3 ? this.#offset3 : this.#offset1 - 1;
    if (which !== 2) this.#offset3 = this.#offset2;
    this.#offset2 = this.#offset1;
    this.#offset1 = offset;
    return offset;
  }

  #readTables(input: Uint8Array, at: number, end: number): number {
    const modes = input[at];
    const place: FseEnd = { at: at + 1 };
    for (let i = 0; i < 3; i++) {
      const mode = (modes >> (6 - i * 2)) & 3;
      if (mode === 0) this.#tables[i] = DEFAULTS[i];
      else if (mode === 1) {
        const symbol = input[place.at++];
        if (symbol > MAX_SYMBOLS[i]) return -1;
        this.#tables[i] = repeatTable(symbol);
      } else if (mode === 2) {
        this.#tables[i] = readFse(input, end, MAX_LOGS[i], MAX_SYMBOLS[i], place);
      }
      if (this.#tables[i] === undefined) return -1;
    }
    return place.at;
  }
}

/** `width` (0..25) bits of a backward stream that begins at input[base], at bit `bit` of it; 0 before its beginning. */
function bitsAt(input: Uint8Array, base: number, bit: number, width: number): number {
  if (bit < 0) return 0;
  const byte = base + (bit >> 3);
  const word = input[byte] | (input[byte + 1] << 8) | (input[byte + 2] << 16) | (input[byte + 3] << 24);
  return (word >>> (bit & 7)) & ((1 << width) - 1);
}

/** Weights compressed with two interleaved FSE states (§4.2.1.2): how many, or -1. */
function readWeights(input: Uint8Array, at: number, end: number, weights: Uint8Array): number {
  const place: FseEnd = { at };
  const table = readFse(input, end, 6, 12, place);
  if (table === undefined || place.at >= end || input[end - 1] === 0) return -1;
  const base = place.at;
  let bit = (end - 1 - base) * 8 + 31 - Math.clz32(input[end - 1]);
  const read = (width: number): number => {
    bit -= width;
    // Bits before the beginning count as zeros.
    const shift = bit < 0 ? -bit : 0;
    const from = Math.max(0, bit);
    const byte = base + (from >> 3);
    const word = (input[byte] | (input[byte + 1] << 8)) >>> (from & 7);
    return (word & ((1 << Math.max(0, width - shift)) - 1)) << shift;
  };
  let one = read(table.log);
  let two = read(table.log);
  let count = 0;
  for (;;) {
    if (count > 253) return -1;
    weights[count++] = table.symbols[one];
    one = table.bases[one] + read(table.bits[one]);
    if (bit < 0) {
      weights[count++] = table.symbols[two];
      return count;
    }
    weights[count++] = table.symbols[two];
    two = table.bases[two] + read(table.bits[two]);
    if (bit < 0) {
      weights[count++] = table.symbols[one];
      return count;
    }
  }
}

/** The last weight is not stored: it makes the sum a power of two. */
function buildHuffman(weights: Uint8Array, count: number): HuffmanTable | undefined {
  let sum = 0;
  for (let i = 0; i < count; i++) {
    if (weights[i] > 11) return undefined;
    sum += weights[i] > 0 ? 1 << (weights[i] - 1) : 0;
  }
  if (sum === 0 || count > 255) return undefined;
  const log = 32 - Math.clz32(sum);
  const rest = (1 << log) - sum;
  if (log > 11 || (rest & (rest - 1)) !== 0) return undefined;
  weights[count] = 32 - Math.clz32(rest);
  const symbols = new Uint8Array(1 << log);
  const bits = new Uint8Array(1 << log);
  let at = 0;
  for (let weight = 1; weight <= log; weight++) {
    for (let symbol = 0; symbol <= count; symbol++) {
      if (weights[symbol] !== weight) continue;
      const size = 1 << (weight - 1);
      symbols.fill(symbol, at, at + size);
      bits.fill(log + 1 - weight, at, at + size);
      at += size;
    }
  }
  return at === 1 << log ? { log, symbols, bits } : undefined;
}

function decodeHuffman(
  table: HuffmanTable,
  input: Uint8Array,
  at: number,
  end: number,
  out: Uint8Array,
  from: number,
  to: number,
): boolean {
  if (at >= end || input[end - 1] === 0) return false;
  const { log, symbols, bits } = table;
  const mask = (1 << log) - 1;
  let bit = (end - 1 - at) * 8 + 31 - Math.clz32(input[end - 1]);
  for (let i = from; i < to; i++) {
    const low = bit - log;
    let index: number;
    if (low >= 0) {
      const byte = at + (low >> 3);
      index = ((input[byte] | (input[byte + 1] << 8) | (input[byte + 2] << 16)) >>> (low & 7)) & mask;
    } else {
      index = ((input[at] | (input[at + 1] << 8)) << -low) & mask; // zeros before the beginning
    }
    out[i] = symbols[index];
    bit -= bits[index];
  }
  return bit === 0;
}

/** Decompresses the first frame of `input` into `out`: bytes written, or -1 when it is damaged or `out` too short. What follows is ignored. */
export function decompressZstd(input: Uint8Array, out: Uint8Array): number {
  const frame = readFrameHeader(input, 0);
  if (frame === undefined || frame.skippable) return -1;
  const decoder = new ZstdDecoder();
  let at = frame.headerSize;
  let done = 0;
  for (;;) {
    if (at + 3 > input.length) return -1;
    const header = input[at] | (input[at + 1] << 8) | (input[at + 2] << 16);
    done = decodeBlock(decoder, input, at, out, done);
    if (done < 0) return -1;
    at += 3 + (((header >> 1) & 3) === 1 ? 1 : header >> 3);
    if ((header & 1) !== 0) return done;
  }
}

/** Decodes the block whose 3-byte header is at input[at], whatever its type; the position behind its output, or -1. */
export function decodeBlock(
  decoder: ZstdDecoder,
  input: Uint8Array,
  at: number,
  output: Uint8Array,
  out: number,
): number {
  const header = input[at] | (input[at + 1] << 8) | (input[at + 2] << 16);
  const type = (header >> 1) & 3;
  const size = header >> 3;
  if (size > MAX_BLOCK || at + 3 + (type === 1 ? 1 : size) > input.length) return -1;
  if (type === 2) return decoder.block(input, at + 3, at + 3 + size, output, out);
  if (type === 3 || out + size > output.length) return -1;
  if (type === 0) output.set(input.subarray(at + 3, at + 3 + size), out);
  else output.fill(input[at + 3], out, out + size);
  return out + size;
}
