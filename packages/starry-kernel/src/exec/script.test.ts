import { encodeName } from "linux-abi";
import { expect, test } from "vitest";
import { HEAD_BYTES, isScript, parseScript } from "./script.ts";

function parse(text: string): { interpreter: string; argument: string | null } | undefined {
  const line = parseScript(encodeName(text).subarray(0, HEAD_BYTES));
  if (line === undefined) return undefined;
  const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  return { interpreter: decode(line.interpreter), argument: line.argument === null ? null : decode(line.argument) };
}

test("the interpreter and the rest of the line as one argument", () => {
  expect(parse("#!/bin/sh\necho")).toEqual({ interpreter: "/bin/sh", argument: null });
  expect(parse("#! /usr/bin/env  python3 -u \nx")).toEqual({ interpreter: "/usr/bin/env", argument: "python3 -u" });
  expect(parse("#!\t/bin/awk\t-f\n")).toEqual({ interpreter: "/bin/awk", argument: "-f" });
});

test("a line without an end counts if the interpreter's name is complete", () => {
  expect(parse("#!/bin/sh")).toEqual({ interpreter: "/bin/sh", argument: null });
  expect(parse(`#!/bin/sh ${"x".repeat(400)}`)?.interpreter).toBe("/bin/sh");
  expect(parse(`#!/${"x".repeat(400)}`)).toBeUndefined();
});

test("nothing but blanks names no interpreter", () => {
  expect(parse("#!\n")).toBeUndefined();
  expect(parse("#!   \t \n")).toBeUndefined();
  expect(isScript(encodeName("#!x"))).toBe(true);
  expect(isScript(encodeName("# x"))).toBe(false);
});
