import { expect, test } from "vitest";
import { decodeUtf8, encodeUtf8, truncateUtf8 } from "./utf8.ts";

test("text and arbitrary bytes survive both ways", () => {
  for (const text of ["", "ascii", "é€𝄞", "a\0b"]) expect(decodeUtf8(encodeUtf8(text))).toBe(text);
  let seed = 3;
  for (let round = 0; round < 500; round++) {
    const bytes = new Uint8Array(12).map(() => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) >>> 24);
    expect([...encodeUtf8(decodeUtf8(bytes))]).toEqual([...bytes]);
  }
});

test("truncation never leaves half a character", () => {
  expect([
    truncateUtf8("aé€", 2),
    truncateUtf8("aé€", 3),
    truncateUtf8("𝄞x", 3),
    truncateUtf8("𝄞x", 4),
    truncateUtf8("ab\0c", 9),
  ]).toEqual(["a", "aé", "", "𝄞", "ab"]);
});
