/** The README's example, run as it stands. */
/// <reference types="node" />
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import * as ktracepoint from "./index.ts";

test("the README's example prints the line it promises", () => {
  const readme = readFileSync(fileURLToPath(new URL("../README.md", import.meta.url)), "utf8");
  const code = /```ts\n([\s\S]*?)```/.exec(readme)![1]!;
  const promised = /\/\/ lines\[0\] === (".*")/.exec(code)![1]!;
  const body = code.replace(/^import .*$/m, "").replace(": string[]", "");
  const lines = new Function("defineEvent", "TraceArray", `${body}\nreturn lines;`)(
    ktracepoint.defineEvent,
    ktracepoint.TraceArray,
  ) as string[];
  expect(lines).toEqual([JSON.parse(promised)]);
});
