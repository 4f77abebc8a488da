import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeName, encodeName, nameByteLength } from "./names.ts";

test("every byte string survives decoding and encoding", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      expect([...encodeName(decodeName(bytes))]).toEqual([...bytes]);
    }),
  );
});

test("valid UTF-8 decodes as ordinary text, astral characters included", () => {
  const text = "naïve-日本-😀";
  expect(decodeName(new TextEncoder().encode(text))).toBe(text);
  expect([...encodeName(text)]).toEqual([...new TextEncoder().encode(text)]);
});

test("an invalid byte becomes a lone low surrogate", () => {
  expect(decodeName(Uint8Array.of(0x61, 0xff, 0x62))).toBe("a\udcffb");
});

test("the byte length of a name counts bytes, not characters", () => {
  expect(nameByteLength("é")).toBe(2);
  expect(nameByteLength("a\udcff")).toBe(2);
  expect(nameByteLength("plain")).toBe(5);
});

test("long ASCII names decode whole", () => {
  const text = "x".repeat(10_000);
  expect(decodeName(new TextEncoder().encode(text))).toBe(text);
});
