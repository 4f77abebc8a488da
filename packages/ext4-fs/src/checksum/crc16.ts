/** CRC-16 (ANSI, reflected 0xA001) of group descriptors on file systems with uninit_bg but without metadata_csum. */
const TABLE: Uint16Array = /* @__PURE__ */ makeTable();

function makeTable(): Uint16Array {
  const table = new Uint16Array(256);
  for (let i = 0; i < 256; i++) {
    let c = i;
    for (let bit = 0; bit < 8; bit++) c = (c & 1) !== 0 ? (c >>> 1) ^ 0xa001 : c >>> 1;
    table[i] = c;
  }
  return table;
}

/** The value after `bytes[start..end)`; chains start with 0xFFFF. */
export function crc16(crc: number, bytes: Uint8Array, start: number = 0, end: number = bytes.length): number {
  let c = crc;
  for (let i = start; i < end; i++) c = TABLE[(c ^ bytes[i]) & 0xff] ^ (c >>> 8);
  return c & 0xffff;
}
