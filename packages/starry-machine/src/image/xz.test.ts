/// <reference types="node" />
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { unxz, XzError } from "./xz.ts";

const missing = spawnSync("xz", ["--version"]).error !== undefined;
if (missing) console.log("skipped: comparison with xz needs the program xz");

function xz(data: Uint8Array, ...flags: string[]): Uint8Array {
  return spawnSync("xz", ["-c", ...flags], { input: data, maxBuffer: 1 << 28 }).stdout;
}

const text = new TextEncoder().encode(
  Array.from({ length: 20_000 }, (_, i) => `line ${i} of ${(i * 7919) % 1000}, and again ${i % 13}\n`).join(""),
);

test
  .skipIf(missing)
  .each([["-1"], ["-6"], ["-9e"], ["-6", "--check=crc32"], ["-6", "--check=none"], ["-6", "--check=sha256"]])(
  "what xz %s packs, unxz unpacks",
  (...flags) => {
    for (const data of [text, new Uint8Array(0), Uint8Array.of(65), new Uint8Array(randomBytes(300_000))]) {
      expect(Buffer.compare(unxz(xz(data, ...flags)), data)).toBe(0);
    }
  },
);

test.skipIf(missing)("several blocks, unusual literal settings and concatenated streams unpack", () => {
  const packed = xz(text, "--block-size=100000", "--lzma2=preset=6,lc=1,lp=3,pb=0");
  const twice = Buffer.concat([packed, packed]);
  expect(Buffer.compare(unxz(twice), Buffer.concat([text, text]))).toBe(0);
});

test.skipIf(missing)("a damaged or cut file is an XzError, whatever byte is hit", () => {
  const packed = xz(text.subarray(0, 5000));
  for (let at = 0; at < packed.length; at += 7) {
    const damaged = Uint8Array.from(packed);
    damaged[at] ^= 0x55;
    expect(() => unxz(damaged)).toThrow(XzError);
    expect(() => unxz(packed.subarray(0, at))).toThrow(XzError);
  }
});

test("text that is no .xz file is refused", () => {
  expect(() => unxz(new TextEncoder().encode("hello, world, hello"))).toThrow("not an .xz file");
});
