/// <reference types="node" />
/** The table of features in the README is the one in the code. EXT4_UPDATE_README=1 writes it anew. */
import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { FEATURES } from "../src/index.ts";
import { NOT_FOR_MKFS } from "../src/mkfs/options.ts";

const README = new URL("../README.md", import.meta.url);
const BEGIN = "<!-- features: from src/features.ts, by test/feature-table.test.ts -->\n\n";
const END = "\n<!-- /features -->";
const SUPPORT = { full: "read and write", ro: "read only", no: "refused" } as const;
const SETS = { compat: "compat", incompat: "incompat", roCompat: "ro_compat" } as const;

function table(): string {
  const rows = [["feature", "kind", "support", "mkfs", "notes"]];
  const rank = { full: 0, ro: 1, no: 2 };
  for (const f of [...FEATURES].sort((a, b) => rank[a.support] - rank[b.support] || (a.name < b.name ? -1 : 1))) {
    const made = f.support === "full" && !NOT_FOR_MKFS.has(f.name) ? "yes" : "";
    rows.push([f.name, SETS[f.set], SUPPORT[f.support], made, f.note]);
  }
  const widths = rows[0]?.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0))) ?? [];
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(" | ")} |\n`;
  const [head = [], ...body] = rows.map(line);
  return `${head}| ${widths.map((width) => "-".repeat(width)).join(" | ")} |\n${body.join("")}`;
}

test("the README's table of features is that of the code", () => {
  const text = readFileSync(README, "utf8");
  const from = text.indexOf(BEGIN) + BEGIN.length;
  const to = text.indexOf(END, from);
  expect(from).toBeGreaterThan(BEGIN.length);
  if (process.env["EXT4_UPDATE_README"] !== undefined)
    writeFileSync(README, text.slice(0, from) + table() + text.slice(to));
  else expect(text.slice(from, to)).toBe(table());
});
