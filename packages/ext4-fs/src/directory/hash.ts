/**
 * Hash functions of htree directories: legacy, half MD4 and TEA, each with names taken as signed or unsigned bytes (a matter of
 * the machine that made the file system, recorded in s_flags). (Documentation/filesystems/ext4/directory.rst, fs/ext4/hash.c)
 */
export const DX_HASH_LEGACY = 0;
export const DX_HASH_HALF_MD4 = 1;
export const DX_HASH_TEA = 2;
export const DX_HASH_LEGACY_UNSIGNED = 3;
export const DX_HASH_HALF_MD4_UNSIGNED = 4;
export const DX_HASH_TEA_UNSIGNED = 5;

const EOF_32BIT = 0x7fffffff;

/** The two words of a name's hash; reused, read before the next call. */
export interface NameHash {
  /** Position in the directory; bit 0 is always clear. */
  major: number;
  minor: number;
}

const $words = new Int32Array(8); // one chunk of the name, padded
const $state = new Int32Array(4);

/** Whether `version` is one of the above. */
export function isKnownHash(version: number): boolean {
  return version >= DX_HASH_LEGACY && version <= DX_HASH_TEA_UNSIGNED;
}

/** Hashes `bytes[start..start + length)` into `out`. `seed` is s_hash_seed; all zeros means MD4's own start values. */
export function hashName(
  version: number,
  seed: Int32Array,
  bytes: Uint8Array,
  start: number,
  length: number,
  out: NameHash,
): void {
  const unsigned = version >= DX_HASH_LEGACY_UNSIGNED;
  const kind = unsigned ? version - DX_HASH_LEGACY_UNSIGNED : version;
  let major: number;
  let minor = 0;
  if (kind === DX_HASH_LEGACY) {
    major = legacyHash(bytes, start, length, unsigned);
  } else {
    if ((seed[0] | seed[1] | seed[2] | seed[3]) !== 0) {
      $state.set(seed);
    } else {
      $state[0] = 0x67452301;
      $state[1] = 0xefcdab89 | 0;
      $state[2] = 0x98badcfe | 0;
      $state[3] = 0x10325476;
    }
    const chunk = kind === DX_HASH_TEA ? 16 : 32;
    for (let at = 0; at < length; at += chunk) {
      fillWords(bytes, start + at, length - at, chunk / 4, unsigned);
      if (kind === DX_HASH_TEA) teaTransform();
      else halfMd4Transform();
    }
    major = kind === DX_HASH_TEA ? $state[0] : $state[1];
    minor = kind === DX_HASH_TEA ? $state[1] : $state[2];
  }
  major = (major & ~1) >>> 0;
  out.major = major === EOF_32BIT * 2 ? (EOF_32BIT - 1) * 2 : major;
  out.minor = minor >>> 0;
}

function legacyHash(bytes: Uint8Array, start: number, length: number, unsigned: boolean): number {
  let hash0 = 0x12a3fe2d;
  let hash1 = 0x37abe8f9;
  for (let i = 0; i < length; i++) {
    const byte = unsigned ? bytes[start + i] : (bytes[start + i] << 24) >> 24;
    let hash = (hash1 + (hash0 ^ Math.imul(byte, 7152373))) >>> 0;
    if ((hash & 0x80000000) !== 0) hash = (hash - 0x7fffffff) >>> 0;
    hash1 = hash0;
    hash0 = hash;
  }
  return hash0 << 1;
}

/** str2hashbuf: four characters a word, the rest filled with the length. */
function fillWords(bytes: Uint8Array, start: number, remaining: number, words: number, unsigned: boolean): void {
  let pad = remaining | (remaining << 8);
  pad |= pad << 16;
  const length = Math.min(remaining, words * 4);
  let value = pad;
  let word = 0;
  for (let i = 0; i < length; i++) {
    const byte = unsigned ? bytes[start + i] : (bytes[start + i] << 24) >> 24;
    value = (byte + (value << 8)) | 0;
    if ((i & 3) === 3) {
      $words[word++] = value;
      value = pad;
    }
  }
  if (word < words) $words[word++] = value;
  while (word < words) $words[word++] = pad;
}

function teaTransform(): void {
  let sum = 0;
  let b0 = $state[0];
  let b1 = $state[1];
  const a = $words[0];
  const b = $words[1];
  const c = $words[2];
  const d = $words[3];
  for (let n = 0; n < 16; n++) {
    sum = (sum + 0x9e3779b9) | 0;
    b0 = (b0 + ((((b1 << 4) + a) | 0) ^ ((b1 + sum) | 0) ^ (((b1 >>> 5) + b) | 0))) | 0;
    b1 = (b1 + ((((b0 << 4) + c) | 0) ^ ((b0 + sum) | 0) ^ (((b0 >>> 5) + d) | 0))) | 0;
  }
  $state[0] = ($state[0] + b0) | 0;
  $state[1] = ($state[1] + b1) | 0;
}

function rotate(x: number, by: number): number {
  return (x << by) | (x >>> (32 - by));
}

const MD4_ORDER: readonly (readonly number[])[] = [
  [0, 1, 2, 3, 4, 5, 6, 7],
  [1, 3, 5, 7, 0, 2, 4, 6],
  [3, 7, 2, 6, 1, 5, 0, 4],
];
const MD4_SHIFTS: readonly (readonly number[])[] = [
  [3, 7, 11, 19],
  [3, 5, 9, 13],
  [3, 9, 11, 15],
];
const MD4_CONSTANTS: readonly number[] = [0, 0x5a827999, 0x6ed9eba1];

/** MD4 cut down to 24 steps: rounds of 8 over 8 words. */
function halfMd4Transform(): void {
  let a = $state[0];
  let b = $state[1];
  let c = $state[2];
  let d = $state[3];
  for (let round = 0; round < 3; round++) {
    const order = MD4_ORDER[round];
    const shifts = MD4_SHIFTS[round];
    const k = MD4_CONSTANTS[round];
    for (let i = 0; i < 8; i++) {
      const f = round === 0 ? d ^ (b & (c ^ d)) : round === 1 ? ((b & c) + ((b ^ c) & d)) | 0 : b ^ c ^ d;
      const sum = (a + f + $words[order[i]] + k) | 0;
      a = d;
      d = c;
      c = b;
      b = rotate(sum, shifts[i & 3]);
    }
  }
  $state[0] = ($state[0] + a) | 0;
  $state[1] = ($state[1] + b) | 0;
  $state[2] = ($state[2] + c) | 0;
  $state[3] = ($state[3] + d) | 0;
}
