/**
 * Bit arrays as ext4's block and inode bitmaps use them: bit n is byte n >> 3, mask 1 << (n & 7).
 */

export function testBit(bits: Uint8Array, n: number): boolean {
  return (bits[n >> 3] & (1 << (n & 7))) !== 0;
}

/** Sets `count` bits from `start` on. */
export function setBits(bits: Uint8Array, start: number, count: number): void {
  let n = start;
  const end = start + count;
  for (; n < end && (n & 7) !== 0; n++) bits[n >> 3] |= 1 << (n & 7);
  const bytes = (end - n) >> 3;
  if (bytes > 0) {
    bits.fill(0xff, n >> 3, (n >> 3) + bytes);
    n += bytes * 8;
  }
  for (; n < end; n++) bits[n >> 3] |= 1 << (n & 7);
}

/** Clears `count` bits from `start` on. */
export function clearBits(bits: Uint8Array, start: number, count: number): void {
  let n = start;
  const end = start + count;
  for (; n < end && (n & 7) !== 0; n++) bits[n >> 3] &= ~(1 << (n & 7));
  const bytes = (end - n) >> 3;
  if (bytes > 0) {
    bits.fill(0, n >> 3, (n >> 3) + bytes);
    n += bytes * 8;
  }
  for (; n < end; n++) bits[n >> 3] &= ~(1 << (n & 7));
}

/** True when all of the `count` bits from `start` on are `value`. */
export function allBits(bits: Uint8Array, start: number, count: number, value: boolean): boolean {
  const whole = value ? 0xff : 0;
  let n = start;
  const end = start + count;
  while (n < end) {
    if ((n & 7) === 0 && end - n >= 8) {
      if (bits[n >> 3] !== whole) return false;
      n += 8;
    } else {
      if (testBit(bits, n) !== value) return false;
      n++;
    }
  }
  return true;
}

/** First zero bit in [from, limit), where a bit that is set in `also` counts as taken too; `limit` if there is none. */
export function nextZero(bits: Uint8Array, also: Uint8Array | undefined, from: number, limit: number): number {
  let n = from;
  while (n < limit) {
    const byte = also === undefined ? bits[n >> 3] : bits[n >> 3] | also[n >> 3];
    if (byte === 0xff) {
      n = (n | 7) + 1;
      continue;
    }
    if ((byte & (1 << (n & 7))) === 0) return n;
    n++;
  }
  return limit;
}

/** First taken bit in [from, limit), taken as in `nextZero`; `limit` if there is none. */
export function nextOne(bits: Uint8Array, also: Uint8Array | undefined, from: number, limit: number): number {
  let n = from;
  while (n < limit) {
    const byte = also === undefined ? bits[n >> 3] : bits[n >> 3] | also[n >> 3];
    if (byte === 0) {
      n = (n | 7) + 1;
      continue;
    }
    if ((byte & (1 << (n & 7))) !== 0) return n;
    n++;
  }
  return limit;
}

/** Number of zero bits in [0, limit). */
export function countZeros(bits: Uint8Array, limit: number): number {
  let count = 0;
  for (let n = 0; n < limit; ) {
    if ((n & 7) === 0 && limit - n >= 8) {
      let byte = ~bits[n >> 3] & 0xff;
      while (byte !== 0) {
        byte &= byte - 1;
        count++;
      }
      n += 8;
    } else {
      if (!testBit(bits, n)) count++;
      n++;
    }
  }
  return count;
}
