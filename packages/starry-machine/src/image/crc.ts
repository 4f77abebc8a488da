/**
 * CRC32 (IEEE 802.3) and CRC64 (ECMA-182) of the .xz format, both reflected.
 */

const CRC32_POLYNOMIAL = 0xedb88320;
// ECMA-182's polynomial, reflected: 0xC96C5795D7870F42.
const CRC64_HIGH = 0xc96c5795;
const CRC64_LOW = 0xd7870f42;

const table32 = /* @__PURE__ */ buildTable32();
const table64 = /* @__PURE__ */ buildTable64();

export function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (let i = 0; i < bytes.length; i++) crc = table32[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** Two unsigned 32-bit halves of one CRC64. */
export class Crc64 {
  readonly low: number;
  readonly high: number;

  constructor(bytes: Uint8Array) {
    let low = -1;
    let high = -1;
    for (let i = 0; i < bytes.length; i++) {
      const row = ((low ^ bytes[i]) & 255) * 2;
      low = table64[row] ^ ((low >>> 8) | (high << 24));
      high = table64[row + 1] ^ (high >>> 8);
    }
    this.low = ~low >>> 0;
    this.high = ~high >>> 0;
  }
}

function buildTable32(): Int32Array {
  const table = new Int32Array(256);
  for (let n = 0; n < 256; n++) {
    let crc = n;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ CRC32_POLYNOMIAL : crc >>> 1;
    table[n] = crc;
  }
  return table;
}

/** Rows of low and high half. */
function buildTable64(): Int32Array {
  const table = new Int32Array(512);
  for (let n = 0; n < 256; n++) {
    let low = n;
    let high = 0;
    for (let bit = 0; bit < 8; bit++) {
      const carry = low & 1;
      low = (low >>> 1) | (high << 31);
      high >>>= 1;
      if (carry) {
        low ^= CRC64_LOW;
        high ^= CRC64_HIGH;
      }
    }
    table[2 * n] = low;
    table[2 * n + 1] = high;
  }
  return table;
}
