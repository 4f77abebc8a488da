/// <reference types="node" />
/**
 * Makes src/directory/unicode-12.1.ts, which stays as it is as long as ext4 names Unicode 12.1 in its superblock.
 *
 *   npm pack unicode-12.1.0 && tar xzf unicode-12.1.0-*.tgz
 *   node scripts/unicode-tables.ts package
 *
 * The npm package holds the Unicode Consortium's data files as arrays of code points. test-slow/casefold.test.ts compares the result with
 * the tables of e2fsprogs, code point by code point.
 */
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const folder = process.argv[2];
if (folder === undefined) throw new TypeError("usage: unicode-tables.ts FOLDER (of the npm package unicode-12.1.0)");
const load = createRequire(import.meta.url);
const read = (name: string): unknown => load(join(resolve(folder), name, "code-points.js"));

const common = [...(read("Case_Folding/C") as Map<number, number>)];
const full = [...(read("Case_Folding/F") as Map<number, number[]>)];

/** Code points at which membership begins or ends, each as the distance from the one before. */
function borders(codes: readonly number[]): string {
  const members = new Set(codes);
  const changes = codes.flatMap((code) => [
    ...(members.has(code - 1) ? [] : [code]),
    ...(members.has(code + 1) ? [] : [code + 1]),
  ]);
  return changes.map((at, i) => (at - (i === 0 ? 0 : changes[i - 1])).toString(36)).join(" ");
}

/** Runs of code points with the same distance to what they fold to: gap, count, stride, distance. */
function runs(pairs: readonly (readonly [number, number])[]): string {
  const words: number[] = [];
  let end = 0;
  for (let i = 0; i < pairs.length; ) {
    const [code, target] = pairs[i];
    const same = (k: number): boolean => pairs[k] !== undefined && pairs[k][1] - pairs[k][0] === target - code;
    const stride = same(i + 1) && pairs[i + 1][0] - code <= 2 ? pairs[i + 1][0] - code : 1;
    let count = 1;
    while (same(i + count) && pairs[i + count][0] === code + count * stride) count++;
    words.push(code - end, count, stride, target - code);
    end = code;
    i += count;
  }
  return words.map((word) => word.toString(36)).join(" ");
}

function lines(name: string, doc: string, text: string): string {
  const parts = text.match(/.{1,110}(?: |$)/g) ?? [];
  const quoted = parts.map((part) => `  ${JSON.stringify(part)}`).join(" +\n");
  return `/** ${doc} */\nexport const ${name}: string =\n${quoted};\n`;
}

const body = [
  `/**
 * What of Unicode 12.1's character database casefold directories need; made by scripts/unicode-tables.ts, which says from what.
 * casefold.ts reads it. Numbers are in base 36.
 *
 * Copyright © 1991-2019 Unicode, Inc. The data are used under the Unicode data files licence (unicode.org/copyright.html).
 */`,
  lines(
    "ASSIGNED",
    "Code points that 12.1 assigns: distances between the borders of its runs.",
    borders([...(read("Binary_Property/Assigned") as number[])]),
  ),
  lines(
    "IGNORABLE",
    "Default_Ignorable_Code_Point, in the same form.",
    borders([...(read("Binary_Property/Default_Ignorable_Code_Point") as number[])]),
  ),
  lines(
    "FOLD_RUNS",
    "CaseFolding.txt, status C: gap from the run before, count, stride, distance to the folded one.",
    runs(common),
  ),
  lines(
    "FOLD_FULL",
    "CaseFolding.txt, status F: the code point, then those it folds to; comma between entries.",
    full.map(([code, to]) => [code, ...to].map((c) => c.toString(36)).join(" ")).join(", "),
  ),
];
writeFileSync(new URL("../src/directory/unicode-12.1.ts", import.meta.url), body.join("\n"));
