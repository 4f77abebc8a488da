/// <reference types="node" />
/**
 * Folding against e2fsprogs' own table: debugfs hashes each code point that Unicode has room for between letters and marks, and random names, as a
 * casefold directory does; the hash of what we fold must be the same.
 */
import { writeFileSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { foldName } from "../src/directory/casefold.ts";
import { DX_HASH_HALF_MD4, hashName } from "../src/directory/hash.ts";
import { hasE2fsprogs, run, Workspace } from "../test/e2fsprogs.ts";
import { Random } from "../test/model.ts";

const work = new Workspace();
afterAll(() => work.remove());
const encoder = new TextEncoder();
/** What debugfs's command line takes for itself. */
const COMMAND_CHARACTERS = "\0\t\n\v\f\r \"#'\\";

function differences(names: readonly string[]): string[] {
  const different: string[] = [];
  const seed = new Int32Array(4);
  const hash = { major: 0, minor: 0 };
  const commands = work.file("commands");
  for (let from = 0; from < names.length; from += 100_000) {
    const part = names.slice(from, from + 100_000);
    writeFileSync(commands, part.map((name) => `dx_hash -h half_md4 -c -e utf8 ${name}\n`).join(""));
    const lines = run("debugfs", ["-f", commands]).stdout.split("\n");
    const theirs = lines
      .filter((line) => line.startsWith("Hash of "))
      .map((line) => line.slice(line.lastIndexOf(" is ") + 4));
    expect(theirs.length).toBe(part.length);
    part.forEach((name, i) => {
      const bytes = encoder.encode(name);
      const folded = foldName(bytes, 0, bytes.length) ?? new Uint8Array(0);
      hashName(DX_HASH_HALF_MD4, seed, folded, 0, folded.length, hash);
      const ours = `0x${hash.major.toString(16)} (minor 0x${hash.minor.toString(16)})`;
      if (ours !== theirs[i]) different.push([...name].map((c) => c.codePointAt(0)?.toString(16)).join(" "));
    });
  }
  return different;
}

test.skipIf(!hasE2fsprogs)("every code point folds as in e2fsprogs, between a letter and marks out of order", () => {
  const names: string[] = [];
  for (let code = 1; code < 0x11_0000; code++) {
    const character = String.fromCodePoint(code);
    if ((code >= 0xd800 && code <= 0xdfff) || COMMAND_CHARACTERS.includes(character)) continue;
    names.push(`X${character}\u0327\u0301`);
  }
  expect(names.length).toBeGreaterThan(1_112_000);
  expect(differences(names)).toEqual([]);
});

/** Marks, letters with cases, what is ignored, what newer versions assigned. */
const POOLS = [
  [0x300, 0x370],
  [0x41, 0x5b],
  [0x61, 0x7b],
  [0xc0, 0x250],
  [0x370, 0x400],
  [0x400, 0x530],
  [0x591, 0x5c8],
  [0x8d3, 0x900],
  [0x1100, 0x1200],
  [0x13a0, 0x13fe],
  [0x1dc0, 0x1e00],
  [0x1e00, 0x2000],
  [0x200b, 0x2010],
  [0xa640, 0xa700],
  [0xab70, 0xabc0],
  [0xac00, 0xd7a4],
  [0xfb00, 0xfb07],
  [0x110b0, 0x110c0],
  [0x11930, 0x11940],
  [0x1d15e, 0x1d1c0],
  [0x1e900, 0x1e944],
  [0xe0100, 0xe0110],
] as const;

test.skipIf(!hasE2fsprogs)("random names fold as in e2fsprogs", () => {
  const random = new Random(12);
  const names = Array.from({ length: 300_000 }, () => {
    const codes = Array.from({ length: 1 + random.below(8) }, () => {
      const [from, end] = POOLS[random.below(POOLS.length)];
      return from + random.below(end - from);
    });
    return String.fromCodePoint(...codes);
  });
  expect(differences(names)).toEqual([]);
});
