/** Finite state entropy tables of Zstandard (RFC 8878 §4.1). */

/** A decoding table: state → symbol, bits to read for the next state, and what to add to them. */
export interface FseTable {
  readonly log: number;
  readonly symbols: Uint8Array;
  readonly bits: Uint8Array;
  readonly bases: Uint16Array;
}

/** The table that always gives one symbol. */
export function repeatTable(symbol: number): FseTable {
  return { log: 0, symbols: Uint8Array.of(symbol), bits: new Uint8Array(1), bases: new Uint16Array(1) };
}

/** Builds a table from normalised counts (-1 = less than one) that add up to 1 << log. */
export function buildFse(counts: ArrayLike<number>, log: number): FseTable {
  const size = 1 << log;
  const symbols = new Uint8Array(size);
  const bits = new Uint8Array(size);
  const bases = new Uint16Array(size);
  const next = new Uint16Array(counts.length);
  let high = size - 1;
  for (let symbol = 0; symbol < counts.length; symbol++) {
    if (counts[symbol] === -1) {
      symbols[high--] = symbol;
      next[symbol] = 1;
    } else {
      next[symbol] = counts[symbol];
    }
  }
  const step = (size >> 1) + (size >> 3) + 3;
  let position = 0;
  for (let symbol = 0; symbol < counts.length; symbol++) {
    for (let i = 0; i < counts[symbol]; i++) {
      symbols[position] = symbol;
      do position = (position + step) & (size - 1);
      while (position > high);
    }
  }
  for (let state = 0; state < size; state++) {
    const value = next[symbols[state]]++;
    const count = log - (31 - Math.clz32(value));
    bits[state] = count;
    bases[state] = (value << count) - size;
  }
  return { log, symbols, bits, bases };
}

/** Where `readFse` ended. */
export interface FseEnd {
  at: number;
}

/** Reads a table description at `end.at` and moves that behind it; undefined when it is damaged. */
export function readFse(
  input: Uint8Array,
  limit: number,
  maxLog: number,
  maxSymbol: number,
  end: FseEnd,
): FseTable | undefined {
  let bit = end.at * 8;
  const peek = (count: number): number => {
    const at = bit >> 3;
    const word = input[at] | (input[at + 1] << 8) | (input[at + 2] << 16);
    return (word >>> (bit & 7)) & ((1 << count) - 1);
  };
  const log = peek(4) + 5;
  bit += 4;
  if (log > maxLog) return undefined;
  const counts: number[] = [];
  let remaining = (1 << log) + 1;
  while (remaining > 1 && counts.length <= maxSymbol) {
    if (bit >= limit * 8) return undefined;
    const width = 32 - Math.clz32(remaining);
    // Values below `spare` take one bit less.
    const spare = (1 << width) - 1 - remaining;
    let value = peek(width);
    if ((value & ((1 << (width - 1)) - 1)) < spare) {
      value &= (1 << (width - 1)) - 1;
      bit += width - 1;
    } else {
      if (value >= 1 << (width - 1)) value -= spare;
      bit += width;
    }
    const count = value - 1;
    counts.push(count);
    remaining -= Math.abs(count);
    if (count !== 0) continue;
    for (let repeat = 3; repeat === 3; ) {
      repeat = peek(2);
      bit += 2;
      for (let i = 0; i < repeat; i++) counts.push(0);
    }
  }
  end.at = (bit + 7) >> 3;
  if (remaining !== 1 || counts.length > maxSymbol + 1 || end.at > limit) return undefined;
  return buildFse(counts, log);
}
