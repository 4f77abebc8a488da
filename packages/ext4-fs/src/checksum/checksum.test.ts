import { expect, test } from "vitest";
import { crc16 } from "./crc16.ts";
import { CRC_INIT, crc32c, crc32cU32, crc32cZero16 } from "./crc32c.ts";

const digits = new TextEncoder().encode("123456789");

test("CRC-32C of the standard test string is the published value", () => {
  expect((crc32c(CRC_INIT, digits) ^ CRC_INIT) >>> 0).toBe(0xe3069283);
  // RFC 3720 B.4: 32 bytes of zeros.
  expect((crc32c(CRC_INIT, new Uint8Array(32)) ^ CRC_INIT) >>> 0).toBe(0x8a9136aa);
});

test("a chain over pieces is the checksum of the whole", () => {
  const data = Uint8Array.from({ length: 1000 }, (_, i) => i * 7);
  const whole = crc32c(CRC_INIT, data);
  for (const cut of [0, 1, 7, 8, 9, 500, 999]) expect(crc32c(crc32c(CRC_INIT, data, 0, cut), data, cut)).toBe(whole);
  expect(crc32cU32(CRC_INIT, 0x04030201)).toBe(crc32c(CRC_INIT, Uint8Array.of(1, 2, 3, 4)));
  expect(crc32cZero16(CRC_INIT)).toBe(crc32c(CRC_INIT, new Uint8Array(2)));
});

test("CRC-16 of the standard test string is the published value", () => {
  expect(crc16(0, digits)).toBe(0xbb3d);
});
