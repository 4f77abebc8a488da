/** Codes that stand for ranges of numbers, as deflate and Zstandard have them for lengths and distances. */
export interface CodeBases {
  /** The first number of each code's range. */
  readonly bases: Int32Array;
  /** How many more bits say which number of the range it is. */
  readonly bits: Uint8Array;
}

/** Ranges that follow one another from `first` on; `runs` are [codes, bits of each]. */
export function codeBases(first: number, runs: readonly (readonly [count: number, bits: number])[]): CodeBases {
  const bits = Uint8Array.from(runs.flatMap(([count, width]) => new Array<number>(count).fill(width)));
  const bases = new Int32Array(bits.length);
  let value = first;
  for (let code = 0; code < bits.length; code++) {
    bases[code] = value;
    value += 1 << bits[code];
  }
  return { bases, bits };
}
