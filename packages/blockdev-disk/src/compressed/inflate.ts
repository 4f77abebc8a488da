/**
 * Deflate (RFC 1951) for random access: it stops at block boundaries, where its whole state is a bit position and the last
 * 32 KiB of output, and it can be started again from there. Synchronous, since browsers only have an asynchronous one.
 *
 * The caller owns both buffers. A typical sequence:
 *   inflate.setInput(bytes, byteLength)        at least INPUT_PADDING zero bytes behind byteLength
 *   inflate.setOutput(buffer, at)              buffer[at - 32768..at) is what came before
 *   inflate.run(limit)                         RUN_* tells why it stopped; outputAt how far it came
 */
import { type CodeBases, codeBases } from "./code-bases.ts";

/** The block is over: `bitPosition` and the last 32 KiB of output are all that is needed to go on. */
export const RUN_BLOCK_END = 0;
/** As RUN_BLOCK_END, and it was the last block of the stream. */
export const RUN_STREAM_END = 1;
/** Fewer than INPUT_PADDING bytes of input are left. */
export const RUN_NEEDS_INPUT = 2;
/** The output has reached the limit, or is beyond it by at most MAX_MATCH - 1 bytes. */
export const RUN_OUTPUT_FULL = 3;
/** The stream is damaged. */
export const RUN_BAD = -1;

/** A match may run this far over the limit given to `run`, so the output buffer must be that much longer. */
export const MAX_MATCH = 258;
/** Input that `run` wants to see ahead, in bytes; the longest block header has about 320. */
export const INPUT_PADDING = 512;
/** How far back a match can reach. */
export const WINDOW_SIZE = 32768;

const BETWEEN_BLOCKS = 0;
const IN_STORED = 1;
const IN_CODED = 2;

// RFC 1951 §3.2.5. A distance code over 29 is an error, as is a length code over 285.
const LENGTHS = /* @__PURE__ */ lengthCodes();
const DISTANCES = /* @__PURE__ */ distanceCodes();

/** The last length has a code of its own, though the range before it would reach it. */
function lengthCodes(): CodeBases {
  const codes = codeBases(3, [
    [8, 0],
    [4, 1],
    [4, 2],
    [4, 3],
    [4, 4],
    [4, 5],
    [1, 0],
  ]);
  codes.bases[28] = MAX_MATCH;
  return codes;
}

function distanceCodes(): CodeBases {
  return codeBases(1, [[4, 0], ...Array.from({ length: 13 }, (_, k) => [2, k + 1] as const)]);
}

/** The order in which the lengths of the code-length code are stored (RFC 1951 §3.2.7). */
const CODE_LENGTH_ORDER: readonly number[] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/** A decoding table indexed by the next `bits` bits: symbol << 4 | length of its code; 0 = no such code. */
class CodeTable {
  readonly entries: Uint16Array = new Uint16Array(1 << 15);
  bits = 0;

  /** Builds the table of a canonical code; false when the lengths are over-subscribed. */
  build(lengths: Uint8Array, from: number, to: number): boolean {
    const counts = new Uint16Array(16);
    for (let i = from; i < to; i++) counts[lengths[i]]++;
    counts[0] = 0;
    let bits = 15;
    while (bits > 1 && counts[bits] === 0) bits--;
    this.bits = bits;
    const next = new Uint16Array(17);
    let code = 0;
    let left = 1;
    for (let n = 1; n <= 15; n++) {
      left = left * 2 - counts[n];
      if (left < 0) return false;
      code = (code + counts[n - 1]) << 1;
      next[n] = code;
    }
    const entries = this.entries;
    if (left > 0) entries.fill(0, 0, 1 << bits);
    for (let symbol = from; symbol < to; symbol++) {
      const length = lengths[symbol];
      if (length === 0) continue;
      let reversed = 0;
      for (let bit = 0, c = next[length]++; bit < length; bit++, c >>= 1) reversed = (reversed << 1) | (c & 1);
      const entry = ((symbol - from) << 4) | length;
      for (let at = reversed, step = 1 << length; at < 1 << bits; at += step) entries[at] = entry;
    }
    return true;
  }
}

export class Inflate {
  #input: Uint8Array = new Uint8Array(0);
  #inputEnd = 0;
  #at = 0; // next byte of input
  #hold = 0; // bits taken from the input, not yet used
  #bits = 0; // how many of them
  #output: Uint8Array = new Uint8Array(0);
  #outputAt = 0;
  #outputStart = 0; // no match may reach before this
  #state = BETWEEN_BLOCKS;
  #isLast = false;
  #storedLeft = 0;
  readonly #literals = new CodeTable();
  readonly #distances = new CodeTable();
  readonly #lengths = new Uint8Array(320);

  /** Position in the output buffer behind the last byte written. */
  get outputAt(): number {
    return this.#outputAt;
  }

  /** Bits of the input that have been used, counted from its first byte. */
  get bitPosition(): number {
    return this.#at * 8 - this.#bits;
  }

  /** Starts between two blocks: at bit `bitOffset` (0..7) of the first byte. `input` must be INPUT_PADDING bytes longer than `byteLength`. */
  start(input: Uint8Array, byteLength: number, bitOffset: number): void {
    this.#state = BETWEEN_BLOCKS;
    this.#input = input;
    this.#inputEnd = byteLength;
    this.#at = 0;
    this.#hold = 0;
    this.#bits = 0;
    if (bitOffset > 0) {
      this.#hold = input[0] >>> bitOffset;
      this.#bits = 8 - bitOffset;
      this.#at = 1;
    }
  }

  /** Replaces the input by a later piece of it: `input[0]` is the byte at `consumed` of the old one. */
  continueWith(input: Uint8Array, byteLength: number, consumed: number): void {
    this.#input = input;
    this.#inputEnd = byteLength;
    this.#at -= consumed;
  }

  /** Whole bytes of input that are used up. */
  get consumed(): number {
    return this.#at;
  }

  /** Output goes to `buffer` from `at` on; matches may reach back to `start`. */
  setOutput(buffer: Uint8Array, at: number, start: number): void {
    this.#output = buffer;
    this.#outputAt = at;
    this.#outputStart = start;
  }

  /** Goes on until a block ends, the output reaches `limit` or the input runs low (`isFinal`: there is no more). RUN_*. */
  run(limit: number, isFinal: boolean): number {
    for (;;) {
      if (this.#at > this.#inputEnd + 8) return RUN_BAD; // it ran into the padding
      if (!isFinal && this.#inputEnd - this.#at < INPUT_PADDING) return RUN_NEEDS_INPUT;
      if (this.#state === BETWEEN_BLOCKS) {
        if (!this.#readHeader()) return RUN_BAD;
        continue;
      }
      const stopped = this.#state === IN_STORED ? this.#copyStored(limit) : this.#decode(limit, isFinal);
      if (stopped !== RUN_BLOCK_END) {
        if (stopped === RUN_NEEDS_INPUT && isFinal) continue;
        return stopped;
      }
      this.#state = BETWEEN_BLOCKS;
      if (this.#at - (this.#bits >> 3) > this.#inputEnd) return RUN_BAD;
      return this.#isLast ? RUN_STREAM_END : RUN_BLOCK_END;
    }
  }

  #take(count: number): number {
    while (this.#bits < count) {
      this.#hold |= this.#input[this.#at++] << this.#bits;
      this.#bits += 8;
    }
    const value = this.#hold & ((1 << count) - 1);
    this.#hold >>>= count;
    this.#bits -= count;
    return value;
  }

  #readHeader(): boolean {
    this.#isLast = this.#take(1) === 1;
    const type = this.#take(2);
    if (type === 0) {
      this.#at -= this.#bits >> 3; // back to the byte behind the header
      this.#bits = 0;
      this.#hold = 0;
      const length = this.#take(16);
      if ((length ^ this.#take(16)) !== 0xffff) return false;
      this.#storedLeft = length;
      this.#state = IN_STORED;
      return true;
    }
    this.#state = IN_CODED;
    if (type === 1) return this.#fixedCode();
    return type === 2 && this.#dynamicCode();
  }

  #fixedCode(): boolean {
    const lengths = this.#lengths;
    lengths.fill(8, 0, 144).fill(9, 144, 256).fill(7, 256, 280).fill(8, 280, 288).fill(5, 288, 320);
    return this.#literals.build(lengths, 0, 288) && this.#distances.build(lengths, 288, 320);
  }

  #dynamicCode(): boolean {
    const lengths = this.#lengths;
    const literalCount = this.#take(5) + 257;
    const distanceCount = this.#take(5) + 1;
    const codeCount = this.#take(4) + 4;
    if (literalCount > 286 || distanceCount > 30) return false;
    lengths.fill(0, 0, 19);
    for (let i = 0; i < codeCount; i++) lengths[CODE_LENGTH_ORDER[i]] = this.#take(3);
    const table = this.#literals; // borrowed until the real one is built
    if (!table.build(lengths, 0, 19)) return false;
    const total = literalCount + distanceCount;
    for (let i = 0; i < total; ) {
      const symbol = this.#symbol(table);
      if (symbol < 0) return false;
      if (symbol < 16) {
        lengths[i++] = symbol;
        continue;
      }
      let repeat: number;
      let value = 0;
      if (symbol === 16) {
        if (i === 0) return false;
        value = lengths[i - 1];
        repeat = this.#take(2) + 3;
      } else {
        repeat = symbol === 17 ? this.#take(3) + 3 : this.#take(7) + 11;
      }
      if (i + repeat > total) return false;
      lengths.fill(value, i, i + repeat);
      i += repeat;
    }
    return (
      lengths[256] !== 0 &&
      this.#literals.build(lengths, 0, literalCount) &&
      this.#distances.build(lengths, literalCount, total)
    );
  }

  #symbol(table: CodeTable): number {
    while (this.#bits < 15) {
      this.#hold |= this.#input[this.#at++] << this.#bits;
      this.#bits += 8;
    }
    const entry = table.entries[this.#hold & ((1 << table.bits) - 1)];
    const length = entry & 15;
    if (length === 0) return -1;
    this.#hold >>>= length;
    this.#bits -= length;
    return entry >> 4;
  }

  #copyStored(limit: number): number {
    const room = limit - this.#outputAt;
    const there = this.#inputEnd - this.#at;
    const count = Math.min(this.#storedLeft, room, there);
    if (count > 0) {
      this.#output.set(this.#input.subarray(this.#at, this.#at + count), this.#outputAt);
      this.#outputAt += count;
      this.#at += count;
      this.#storedLeft -= count;
    }
    if (this.#storedLeft === 0) return RUN_BLOCK_END;
    if (this.#outputAt >= limit) return RUN_OUTPUT_FULL;
    return there <= 0 ? RUN_BAD : RUN_NEEDS_INPUT;
  }

  /** The inner loop: everything in locals. */
  #decode(limit: number, isFinal: boolean): number {
    const input = this.#input;
    const output = this.#output;
    const inputStop = isFinal ? this.#inputEnd + 8 : this.#inputEnd - 16;
    const start = this.#outputStart;
    const literals = this.#literals.entries;
    const literalMask = (1 << this.#literals.bits) - 1;
    const distances = this.#distances.entries;
    const distanceMask = (1 << this.#distances.bits) - 1;
    const { bases: lengthBases, bits: lengthBits } = LENGTHS;
    const { bases: distanceBases, bits: distanceBits } = DISTANCES;
    let at = this.#at;
    let hold = this.#hold;
    let bits = this.#bits;
    let out = this.#outputAt;
    let result = RUN_BAD;
    for (;;) {
      if (out >= limit) {
        result = RUN_OUTPUT_FULL;
        break;
      }
      if (at > inputStop) {
        if (!isFinal) result = RUN_NEEDS_INPUT;
        break;
      }
      if (bits < 15) {
        hold |= (input[at] | (input[at + 1] << 8)) << bits;
        at += 2;
        bits += 16;
      }
      let entry = literals[hold & literalMask];
      let length = entry & 15;
      if (length === 0) break;
      hold >>>= length;
      bits -= length;
      const symbol = entry >> 4;
      if (symbol < 256) {
        output[out++] = symbol;
        continue;
      }
      if (symbol === 256) {
        result = RUN_BLOCK_END;
        break;
      }
      if (bits < 15) {
        hold |= (input[at] | (input[at + 1] << 8)) << bits;
        at += 2;
        bits += 16;
      }
      if (symbol > 285) break;
      let extra = lengthBits[symbol - 257];
      let copy = lengthBases[symbol - 257] + (hold & ((1 << extra) - 1));
      hold >>>= extra;
      bits -= extra;
      if (bits < 15) {
        hold |= (input[at] | (input[at + 1] << 8)) << bits;
        at += 2;
        bits += 16;
      }
      entry = distances[hold & distanceMask];
      length = entry & 15;
      if (length === 0) break;
      hold >>>= length;
      bits -= length;
      if (bits < 15) {
        hold |= (input[at] | (input[at + 1] << 8)) << bits;
        at += 2;
        bits += 16;
      }
      if (entry >> 4 > 29) break;
      extra = distanceBits[entry >> 4];
      const distance = distanceBases[entry >> 4] + (hold & ((1 << extra) - 1));
      hold >>>= extra;
      bits -= extra;
      let from = out - distance;
      if (from < start) break;
      if (distance === 1) {
        output.fill(output[from], out, out + copy);
        out += copy;
      } else if (copy > 48 && distance >= copy) {
        output.copyWithin(out, from, from + copy);
        out += copy;
      } else {
        while (copy-- > 0) output[out++] = output[from++];
      }
    }
    // Whole bytes that were taken ahead go back, so that the position is exact.
    const spare = bits >> 3;
    at -= spare;
    bits -= spare * 8;
    this.#at = at;
    this.#bits = bits;
    this.#hold = hold & ((1 << bits) - 1);
    this.#outputAt = out;
    return result;
  }
}

/** Decompresses one raw deflate stream into `out`: bytes written, or -1 when it is damaged. Trailing input is ignored. */
export function inflateRaw(input: Uint8Array, out: Uint8Array): number {
  const padded = new Uint8Array(input.length + INPUT_PADDING);
  padded.set(input);
  const buffer = new Uint8Array(out.length + MAX_MATCH);
  const inflate = new Inflate();
  inflate.start(padded, input.length, 0);
  inflate.setOutput(buffer, 0, 0);
  for (;;) {
    const stopped = inflate.run(out.length, true);
    if (stopped === RUN_BLOCK_END) continue;
    if (stopped < 0) return -1;
    const count = Math.min(inflate.outputAt, out.length);
    out.set(buffer.subarray(0, count));
    return count;
  }
}
