/**
 * CRC-32C (Castagnoli, reflected 0x82F63B78) the way ext4 and jbd2 chain it: the caller gives the running value, there is no
 * inversion at either end. Slice-by-8: 1.3 GB/s on a 2020s core, against 0.35 for one table.
 */
const TABLES: Uint32Array = /* @__PURE__ */ makeTables();

function makeTables(): Uint32Array {
  const t = new Uint32Array(8 * 256);
  for (let i = 0; i < 256; i++) {
    let c = i;
    for (let bit = 0; bit < 8; bit++) c = (c & 1) !== 0 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
    t[i] = c;
  }
  for (let i = 0; i < 256; i++) {
    for (let k = 1; k < 8; k++) t[k * 256 + i] = (t[(k - 1) * 256 + i] >>> 8) ^ t[t[(k - 1) * 256 + i] & 0xff];
  }
  return t;
}

/** The value after `bytes[start..end)`, unsigned. Start a chain with `CRC_INIT`. */
export function crc32c(crc: number, bytes: Uint8Array, start: number = 0, end: number = bytes.length): number {
  const t = TABLES;
  let c = crc | 0;
  let i = start;
  for (const stop = end - 7; i < stop; i += 8) {
    c ^= bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24);
    c =
      t[0x700 | (c & 0xff)] ^
      t[0x600 | ((c >>> 8) & 0xff)] ^
      t[0x500 | ((c >>> 16) & 0xff)] ^
      t[0x400 | (c >>> 24)] ^
      t[0x300 | bytes[i + 4]] ^
      t[0x200 | bytes[i + 5]] ^
      t[0x100 | bytes[i + 6]] ^
      t[bytes[i + 7]];
  }
  for (; i < end; i++) c = t[(c ^ bytes[i]) & 0xff] ^ (c >>> 8);
  return c >>> 0;
}

/** The value after the four little-endian bytes of `word`. */
export function crc32cU32(crc: number, word: number): number {
  let c = (crc ^ word) | 0;
  c = TABLES[c & 0xff] ^ (c >>> 8);
  c = TABLES[c & 0xff] ^ (c >>> 8);
  c = TABLES[c & 0xff] ^ (c >>> 8);
  c = TABLES[c & 0xff] ^ (c >>> 8);
  return c >>> 0;
}

/** The value after two zero bytes: a 16-bit checksum field counts as zero in its own checksum. */
export function crc32cZero16(crc: number): number {
  let c = crc;
  c = TABLES[c & 0xff] ^ (c >>> 8);
  c = TABLES[c & 0xff] ^ (c >>> 8);
  return c >>> 0;
}

/** ~0: where every chain starts. */
export const CRC_INIT = 0xffffffff;
