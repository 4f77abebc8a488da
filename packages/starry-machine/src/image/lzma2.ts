/**
 * LZMA2 decoder: chunks of LZMA data or plain bytes, one dictionary.
 *
 * The output array is the dictionary: `lzma2Size` adds up the sizes in the chunk headers first, so the array has its
 * final size from the start and matches are copied within it.
 *
 * The range decoder works on 11-bit probabilities. All of a decoder's probabilities lie in one Uint16Array; the constants
 * below are the offsets of its groups.
 *
 * Spec: The .xz File Format 1.2.0, section 5.3.1; the LZMA specification of the LZMA SDK.
 */
import { XzError } from "./xz.ts";

const STATES = 12;
const POSITION_STATES = 16;

// Offsets into the probability array.
const IS_MATCH = 0;
const IS_REP = IS_MATCH + STATES * POSITION_STATES;
const IS_REP_G0 = IS_REP + STATES;
const IS_REP_G1 = IS_REP_G0 + STATES;
const IS_REP_G2 = IS_REP_G1 + STATES;
const IS_REP0_LONG = IS_REP_G2 + STATES;
const POSITION_SLOT = IS_REP0_LONG + STATES * POSITION_STATES; // 4 trees of 64
const POSITION_SPECIAL = POSITION_SLOT + 4 * 64;
const POSITION_ALIGN = POSITION_SPECIAL + 128;
const MATCH_LENGTH = POSITION_ALIGN + 16;
// A length coder: choice, choice 2, 16 low trees of 8, 16 middle trees of 8, one high tree of 256.
const LENGTH_LOW = 2;
const LENGTH_MIDDLE = LENGTH_LOW + POSITION_STATES * 8;
const LENGTH_HIGH = LENGTH_MIDDLE + POSITION_STATES * 8;
const LENGTH_CODER = LENGTH_HIGH + 256;
const REP_LENGTH = MATCH_LENGTH + LENGTH_CODER;
const LITERAL = REP_LENGTH + LENGTH_CODER; // 0x300 for each of 1 << (lc + lp) contexts, lc + lp ≤ 4
const PROBABILITIES = LITERAL + (0x300 << 4);

const HALF = 1024;
const TOP = 0x1000000;

/** Length of the chunks from `at` on, with their end marker, and of what they unpack to. */
export function lzma2Size(input: Uint8Array, at: number): { inputBytes: number; outputBytes: number } {
  const start = at;
  let outputBytes = 0;
  for (;;) {
    const control = input[at];
    if (control === undefined) throw new XzError("file is cut off");
    if (control === 0) return { inputBytes: at + 1 - start, outputBytes };
    const size = ((input[at + 1] << 8) | input[at + 2]) + 1;
    if (control >= 0x80) {
      outputBytes += size + ((control & 31) << 16);
      at += (control >= 0xc0 ? 6 : 5) + ((input[at + 3] << 8) | input[at + 4]) + 1;
    } else if (control <= 2) {
      outputBytes += size;
      at += 3 + size;
    } else {
      throw new XzError("bad LZMA2 chunk");
    }
  }
}

/** Unpacks the chunks from `at` on into `output`, which must have the size that {@link lzma2Size} gave. */
export function lzma2Decode(input: Uint8Array, at: number, output: Uint8Array): void {
  const decoder = new LzmaDecoder(input, output);
  for (;;) {
    const control = input[at];
    if (control === 0) return;
    const size = ((input[at + 1] << 8) | input[at + 2]) + 1;
    if (control < 0x80) {
      if (control > 2) throw new XzError("bad LZMA2 chunk");
      decoder.copyPlain(at + 3, size);
      at += 3 + size;
      continue;
    }
    const packed = ((input[at + 3] << 8) | input[at + 4]) + 1;
    let data = at + 5;
    if (control >= 0xc0) decoder.setProperties(input[data++]);
    if (control >= 0xa0) decoder.resetState();
    decoder.decode(data, data + packed, size + ((control & 31) << 16));
    at = data + packed;
  }
}

class LzmaDecoder {
  readonly #input: Uint8Array;
  readonly #output: Uint8Array;
  readonly #probs: Uint16Array = new Uint16Array(PROBABILITIES);
  #outputAt = 0;
  #literalContextBits = 0;
  #literalPositionMask = 0;
  #positionMask = 0;
  #state = 0;
  #rep0 = 0;
  #rep1 = 0;
  #rep2 = 0;
  #rep3 = 0;
  // Range decoder. `range` and `code` are unsigned 32-bit values held as int32.
  #at = 0;
  #range = 0;
  #code = 0;

  constructor(input: Uint8Array, output: Uint8Array) {
    this.#input = input;
    this.#output = output;
  }

  copyPlain(at: number, byteLength: number): void {
    this.#output.set(this.#input.subarray(at, at + byteLength), this.#outputAt);
    this.#outputAt += byteLength;
  }

  /** `properties` = (pb * 5 + lp) * 9 + lc. */
  setProperties(properties: number): void {
    const lc = properties % 9;
    const lp = ((properties / 9) | 0) % 5;
    const pb = (properties / 45) | 0;
    if (pb > 4 || lc + lp > 4) throw new XzError("bad LZMA properties");
    this.#literalContextBits = lc;
    this.#literalPositionMask = (1 << lp) - 1;
    this.#positionMask = (1 << pb) - 1;
  }

  resetState(): void {
    this.#probs.fill(HALF);
    this.#state = 0;
    this.#rep0 = this.#rep1 = this.#rep2 = this.#rep3 = 0;
  }

  decode(at: number, inputEnd: number, outputBytes: number): void {
    const input = this.#input;
    this.#code = (input[at + 1] << 24) | (input[at + 2] << 16) | (input[at + 3] << 8) | input[at + 4];
    this.#range = -1;
    this.#at = at + 5;
    const end = this.#outputAt + outputBytes;
    while (this.#outputAt < end) {
      if (this.#at > inputEnd) throw new XzError("LZMA chunk is damaged");
      const positionState = this.#outputAt & this.#positionMask;
      const state = this.#state;
      if (this.#bit(IS_MATCH + state * POSITION_STATES + positionState) === 0) this.#literal();
      else this.#match(positionState, end);
    }
    // The encoder ends a chunk so that the code is 0 and every byte has been used.
    if (this.#code !== 0 || this.#at !== inputEnd) throw new XzError("LZMA chunk is damaged");
  }

  #match(positionState: number, end: number): void {
    const state = this.#state;
    let length: number;
    if (this.#bit(IS_REP + state) === 0) {
      this.#rep3 = this.#rep2;
      this.#rep2 = this.#rep1;
      this.#rep1 = this.#rep0;
      length = this.#length(MATCH_LENGTH, positionState);
      this.#state = state < 7 ? 7 : 10;
      this.#rep0 = this.#distance(length);
    } else {
      if (this.#bit(IS_REP_G0 + state) === 0) {
        if (this.#bit(IS_REP0_LONG + state * POSITION_STATES + positionState) === 0) {
          this.#state = state < 7 ? 9 : 11;
          this.#copyMatch(1, end);
          return;
        }
      } else {
        this.#rotateRep(state);
      }
      length = this.#length(REP_LENGTH, positionState);
      this.#state = state < 7 ? 8 : 11;
    }
    this.#copyMatch(length + 2, end);
  }

  /** Brings the second, third or fourth last distance to the front. */
  #rotateRep(state: number): void {
    let distance: number;
    if (this.#bit(IS_REP_G1 + state) === 0) {
      distance = this.#rep1;
    } else {
      if (this.#bit(IS_REP_G2 + state) === 0) {
        distance = this.#rep2;
      } else {
        distance = this.#rep3;
        this.#rep3 = this.#rep2;
      }
      this.#rep2 = this.#rep1;
    }
    this.#rep1 = this.#rep0;
    this.#rep0 = distance;
  }

  #copyMatch(byteLength: number, end: number): void {
    const output = this.#output;
    let to = this.#outputAt;
    let from = to - this.#rep0 - 1;
    if (from < 0 || to + byteLength > end) throw new XzError("LZMA match is out of range");
    this.#outputAt = to + byteLength;
    while (byteLength-- > 0) output[to++] = output[from++];
  }

  #literal(): void {
    const output = this.#output;
    const at = this.#outputAt;
    const previous = at > 0 ? output[at - 1] : 0;
    const lc = this.#literalContextBits;
    const probs = LITERAL + 0x300 * (((at & this.#literalPositionMask) << lc) + (previous >> (8 - lc)));
    let symbol = 1;
    if (this.#state >= 7) {
      let matched = output[at - this.#rep0 - 1];
      do {
        const matchBit = (matched >> 7) & 1;
        matched <<= 1;
        const bit = this.#bit(probs + ((1 + matchBit) << 8) + symbol);
        symbol = (symbol << 1) | bit;
        if (matchBit !== bit) break;
      } while (symbol < 0x100);
    }
    while (symbol < 0x100) symbol = (symbol << 1) | this.#bit(probs + symbol);
    output[at] = symbol;
    this.#outputAt = at + 1;
    this.#state = this.#state < 4 ? 0 : this.#state < 10 ? this.#state - 3 : this.#state - 6;
  }

  #length(coder: number, positionState: number): number {
    if (this.#bit(coder) === 0) return this.#tree(coder + LENGTH_LOW + positionState * 8, 3);
    if (this.#bit(coder + 1) === 0) return 8 + this.#tree(coder + LENGTH_MIDDLE + positionState * 8, 3);
    return 16 + this.#tree(coder + LENGTH_HIGH, 8);
  }

  #distance(length: number): number {
    const slot = this.#tree(POSITION_SLOT + (length < 4 ? length : 3) * 64, 6);
    if (slot < 4) return slot;
    const bits = (slot >> 1) - 1;
    let distance = (2 | (slot & 1)) << bits;
    if (slot < 14) return distance + this.#reverseTree(POSITION_SPECIAL + distance - slot, bits);
    distance += this.#direct(bits - 4) << 4;
    return (distance + this.#reverseTree(POSITION_ALIGN, 4)) >>> 0;
  }

  #tree(probs: number, bits: number): number {
    let node = 1;
    for (let i = 0; i < bits; i++) node = (node << 1) | this.#bit(probs + node);
    return node - (1 << bits);
  }

  #reverseTree(probs: number, bits: number): number {
    let node = 1;
    let value = 0;
    for (let i = 0; i < bits; i++) {
      const bit = this.#bit(probs + node);
      node = (node << 1) | bit;
      value |= bit << i;
    }
    return value;
  }

  #direct(bits: number): number {
    let value = 0;
    while (bits-- > 0) {
      this.#range >>>= 1;
      const bit = this.#code >>> 0 >= this.#range ? 1 : 0;
      if (bit) this.#code = (this.#code - this.#range) | 0;
      value = (value << 1) | bit;
      this.#normalize();
    }
    return value;
  }

  #bit(index: number): number {
    const probs = this.#probs;
    const prob = probs[index];
    const bound = Math.imul(this.#range >>> 11, prob);
    let bit: number;
    if (this.#code >>> 0 < bound >>> 0) {
      this.#range = bound;
      probs[index] = prob + ((2048 - prob) >> 5);
      bit = 0;
    } else {
      this.#range = (this.#range - bound) | 0;
      this.#code = (this.#code - bound) | 0;
      probs[index] = prob - (prob >> 5);
      bit = 1;
    }
    this.#normalize();
    return bit;
  }

  #normalize(): void {
    if (this.#range >>> 0 < TOP) {
      this.#range <<= 8;
      this.#code = (this.#code << 8) | this.#input[this.#at++];
    }
  }
}
