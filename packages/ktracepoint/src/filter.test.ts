import { expect, test } from "vitest";
import { compileWithSchema, filterErrorText, isFilterError } from "./filter.ts";
import { globMatch } from "./filter-glob.ts";
import { defineEvent, EntryWriter, type KernelTraceOps } from "./index.ts";

const ops: KernelTraceOps = {
  currentPid: () => 9,
  currentComm: () => "bash",
  currentCpu: () => 3,
  currentFlags: () => 0,
  tracePipePushRawRecord: () => {},
  traceCmdlinePush: () => {},
};

const event = defineEvent({
  system: "test",
  name: "filter_me",
  fields: [
    "int sig",
    "unsigned int u",
    "long l",
    "unsigned long ul",
    "char name[16]",
    "__data_loc char[] path",
    "u8 b",
    "short s",
  ],
  print: '"%d", REC->sig',
});
event.setId(99);

function matches(
  expression: string,
  values: {
    sig?: number;
    u?: number;
    l?: number | bigint;
    ul?: number | bigint;
    name?: string;
    path?: string;
    b?: number;
    s?: number;
  } = {},
): boolean {
  const filter = compileWithSchema(expression, event.schema);
  if (isFilterError(filter)) throw new Error(`${filter.message} at ${filter.position}`);
  const writer = new EntryWriter();
  const v = { sig: 0, u: 0, l: 0, ul: 0, name: "", path: "", b: 0, s: 0, ...values };
  event.encode(writer, 0, 9, v.sig, v.u, v.l, v.ul, v.name, v.path, v.b, v.s);
  return filter.matches(writer.bytes, writer.byteLength, ops);
}

function refused(expression: string): string {
  const result = compileWithSchema(expression, event.schema);
  if (!isFilterError(result)) throw new Error(`accepted: ${expression}`);
  return filterErrorText(expression, result);
}

test("Linux's documented example: a && !(!b || (c && g)) || d || e && !f, over all inputs", () => {
  // The predicate's bit in `u` stands for each letter.
  const bit = (letter: string): string => `u & ${1 << (letter.charCodeAt(0) - 97)}`;
  const expression = "a && !(!b || (c && g)) || d || e && !f".replace(/[a-g]/g, bit);
  for (let u = 0; u < 128; u++) {
    const [a, b, c, d, e, f, g] = [1, 2, 4, 8, 16, 32, 64].map((m) => (u & m) !== 0) as boolean[];
    expect(matches(expression, { u })).toBe((a! && !(!b || (c! && g!))) || d! || (e! && !f!));
  }
});

test("random expressions agree with JavaScript's own && || ! and parentheses", () => {
  let seed = 7;
  const random = (n: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    return (seed >> 8) % n;
  };
  const make = (depth: number): [string, string] => {
    if (depth === 0 || random(4) === 0) {
      const mask = 1 << random(6);
      return [`u & ${mask}`, `(u & ${mask}) !== 0`];
    }
    const [l, jl] = make(depth - 1);
    if (random(4) === 0) return [`!(${l})`, `!(${jl})`];
    const [r, jr] = make(depth - 1);
    const op = random(2) === 0 ? "&&" : "||";
    return random(2) === 0
      ? [`(${l}) ${op} (${r})`, `(${jl}) ${op} (${jr})`]
      : [`${l} ${op} ${r}`, `${jl} ${op} ${jr}`];
  };
  for (let round = 0; round < 200; round++) {
    const [expression, js] = make(4);
    const oracle = new Function("u", `return ${js}`) as (u: number) => boolean;
    const filter = compileWithSchema(expression, event.schema);
    if (isFilterError(filter)) throw new Error(`${expression}: ${filter.message}`);
    for (let u = 0; u < 64; u += 1 + random(3))
      expect([expression, u, matches(expression, { u })]).toEqual([expression, u, oracle(u)]);
  }
});

test.each([
  ["sig >= 10 && sig < 15", { sig: 12 }, true],
  ["((sig >= 10 && sig < 15) || sig == 17) && comm != bash", { sig: 17 }, false],
  ['((sig >= 10 && sig < 15) || sig == 17) && comm != "sh"', { sig: 17 }, true],
  ["sig == -1", { sig: -1 }, true],
  ["sig < 0", { sig: -1 }, true],
  ["u > 0x7fffffff", { u: 0xffff_ffff }, true],
  ["u == 4294967295", { u: 0xffff_ffff }, true],
  ["sig == 010", { sig: 8 }, true],
  ["l == -9223372036854775808", { l: -(2n ** 63n) }, true],
  ["l < -9007199254740993", { l: -9007199254740994n }, true],
  ["l < -9007199254740993", { l: -9007199254740993n }, false],
  ["ul == 18446744073709551615", { ul: 2n ** 64n - 1n }, true],
  ["ul > 0x7fffffffffffffff", { ul: 2n ** 63n }, true],
  ["ul >= 0x100000000", { ul: 0xffff_ffff }, false],
  ["ul & 0x100000000", { ul: 0x1_0000_0000 }, true],
  ["ul & 0xf0 == 0x20", { ul: 0x12f }, true],
  ["ul & 0xf0 == 0x20", { ul: 0x13f }, false],
  ["u & 6 != 4", { u: 2 }, true],
  ["u&6!=4", { u: 5 }, false],
  ["b == 255 && s == -2", { b: 255, s: -2 }, true],
  ['name == "abc"', { name: "abc" }, true],
  ['name == "abc"', { name: "abcd" }, false],
  ['name != "abc"', { name: "ab" }, true],
  ['name == "a very long name beyond the field"', { name: "a very long nam" }, false],
  ["name ~ '*b?'", { name: "aabc" }, true],
  ["name ~ 'a[a-c]*'", { name: "abX" }, true],
  ["name ~ bash*", { name: "bashful" }, true],
  ['path == "/usr/bin/env"', { path: "/usr/bin/env" }, true],
  ['path ~ "/usr/*"', { path: "/bin/sh" }, false],
  ['path.ustring ~ "*sh"', { path: "/bin/sh" }, true],
  ["cpu == 3 && common_pid == 9", {}, true],
  ["CPU & CPUS{1,3-4}", {}, true],
  ["cpu != CPUS{3}", {}, false],
  ["!sig == 1", { sig: 2 }, true],
  ["!!sig == 1", { sig: 1 }, true],
  ["sig!=1", { sig: 1 }, false],
] as const)("%s on %o is %s", (expression, values, wanted) => {
  expect(matches(expression, values)).toBe(wanted);
});

test.each([
  ["((sig >= 10 && sig < 15) || dsig == 17) && comm != bash", "((sig >= 10 && sig < 15) || dsig ", "Field not found"],
  ["sig ** 1", "sig  ", "Invalid operator"],
  ["(sig == 1", "", "Too many '('"],
  ["sig == 1)", "sig == 1", "Too few '('"],
  ['name == "a', "name == ", "Missing matching quote"],
  ['sig == "a"', "sig ==  ", "Expecting numeric field"],
  ["name == 1", "name ==  ", "Expecting string field"],
  ['name > "a"', "name >  ", "Illegal operation for field type"],
  ["sig ~ 1", "sig ~  ", "Illegal operation for field type"],
  ["sig == 12z", "sig == 12z ", "Illegal integer value"],
  ["sig == bash", "sig ==  ", "Invalid value (did you forget quotes)?"],
  ["sig == 1 sig == 2", "sig == 1 ", "Too many terms in predicate expression"],
  ["sig == 1 && ", "sig == 1 &&", "Meaningless filter expression"],
  ["", "", "No filter found"],
  ["cpu == CPUS{a}", "cpu == CPUS ", "Invalid cpulist"],
  ["ul == -1", "ul == -1 ", "Illegal integer value"],
] as const)("%s is refused", (expression, before, message) => {
  const text = refused(expression);
  const position = Math.min(before.length, expression.length);
  if (message !== "Illegal integer value")
    expect(text).toBe(`${expression}\n${" ".repeat(position)}^\nparse_error: ${message}\n`);
  else expect(text).toContain(`parse_error: ${message}\n`);
});

test("a quoted text over 255 characters is refused", () => {
  expect(refused(`name == "${"x".repeat(256)}"`)).toContain("Operand too long");
});

test("4000 nested parentheses and negations are no problem", () => {
  expect(matches(`${"!(".repeat(1001)}sig == 1${")".repeat(1001)}`, { sig: 1 })).toBe(false);
  expect(matches(`${"(".repeat(1800)}sig == 1${")".repeat(1800)}`, { sig: 1 })).toBe(true);
});

test("a glob with many stars stays cheap", () => {
  expect(globMatch("*a*a*a*a*a*a*a*a*a*a*a*a*b", "a".repeat(4000))).toBe(false);
});

test.each([
  ["*", "", true],
  ["a*c", "abbbc", true],
  ["a*c", "abbbd", false],
  ["?", "", false],
  ["[!a]x", "bx", true],
  ["[^a]x", "ax", false],
  ["[]]", "]", true],
  ["[a", "[a", true],
  ["\\*", "*", true],
  ["\\*", "a", false],
  ["*sched*", "sys_sched_yield", true],
])("glob %s on %s", (pattern, text, wanted) => {
  expect(globMatch(pattern, text)).toBe(wanted);
});
