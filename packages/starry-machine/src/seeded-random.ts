/**
 * Random bytes from a seed, for deterministic runs: xoshiro128** started by splitmix32 (Blackman and Vigna). Not for secrets.
 */

/** A function that fills buffers with the sequence of `seed` (any integer). */
export function seededRandom(seed: number): (target: Uint8Array) => void {
  let mix = seed | 0;
  const state = Int32Array.from({ length: 4 }, () => {
    mix = (mix + 0x9e3779b9) | 0;
    let z = mix ^ (mix >>> 16);
    z = Math.imul(z, 0x21f0aaad);
    z ^= z >>> 15;
    z = Math.imul(z, 0x735a2d97);
    return z ^ (z >>> 15);
  });
  const next = (): number => {
    const product = Math.imul(state[1], 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9);
    const t = state[1] << 9;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= t;
    state[3] = (state[3] << 11) | (state[3] >>> 21);
    return result;
  };
  return (target) => {
    for (let i = 0; i < target.length; i++) target[i] = next() >>> 24;
  };
}
