import { expect, test } from "vitest";
import { defineEvent, EntryWriter } from "./index.ts";
import { formatValue, parseFormat } from "./printf.ts";

function body(print: string, fields: readonly string[], ...values: unknown[]): string {
  const event = defineEvent({ system: "t", name: "t", fields, print });
  event.setId(77);
  const writer = new EntryWriter();
  event.encode(writer, 0, 1, values[0], values[1], values[2], values[3], values[4], values[5], values[6], values[7]);
  return event.formatBody(writer.record());
}

test.each([
  ["%d|%i", [-5, 7], "-5|7"],
  ["%u", [-1], "4294967295"],
  ["%x %X %#x %o", [255, 255, 255, 8], "ff FF 0xff 10"],
  ["%5d|%-5d|%05d|%+d", [42, 42, 42, 42], "   42|42   |00042|+42"],
  ["%.3d|%3.2d", [7, 7], "007| 07"],
  ["%ld %lu", [-3n, -3n], "-3 18446744073709551613"],
  ["%llx", [-1n], "ffffffffffffffff"],
  ["%hhu %hd", [300, 0x18000], "44 -32768"],
  ["%s|%8s|%-8s|%.2s", ["ab", "ab", "ab", "abcd"], "ab|      ab|ab      |ab"],
  ["%c%%", [65], "A%"],
  ["%p", [0x1000], "0000000000001000"],
  ["%03d", [3], "003"],
] as const)("printf %s", (format, values, wanted) => {
  let next = 0;
  const text = parseFormat(format)
    .map((piece) =>
      "literal" in piece
        ? piece.literal
        : formatValue(piece.conversion, piece.flags, piece.width, piece.precision, piece.bits, values[next++]!),
    )
    .join("");
  expect(text).toBe(wanted);
});

test("fields of every size and sign print exactly", () => {
  expect(
    body(
      '"%d %u %d %ld %lu %s", REC->a, REC->b, REC->c, REC->d, REC->e, REC->f',
      ["signed char a", "u8 b", "short c", "long d", "u64 e", "char f[8]"],
      -1,
      200,
      -300,
      -(2n ** 63n),
      2n ** 64n - 1n,
      "too long text",
    ),
  ).toBe("-1 200 -300 -9223372036854775808 18446744073709551615 too lon");
});

test("sched_switch's prev_state expression prints R, S, D|..., and + for preemption", () => {
  const mask =
    "(((0x00000000 | 0x00000001 | 0x00000002 | 0x00000004 | 0x00000008 | 0x00000010 | 0x00000020 | 0x00000040) + 1) << 1)";
  const print = `"%s%s", (REC->s & (${mask} - 1)) ? __print_flags(REC->s & (${mask} - 1), "|", { 0x00000001, "S" }, { 0x00000002, "D" }, { 0x00000080, "I" }) : "R", REC->s & ${mask} ? "+" : ""`;
  const text = (state: number): string => body(print, ["long s"], state);
  expect([text(0), text(1), text(2), text(3), text(0x100), text(0x82), text(0x44)]).toEqual([
    "R",
    "S",
    "D",
    "S|D",
    "R+",
    "D|I",
    "0x44",
  ]);
});

test("symbolic names, flags left over, arrays, shifts, casts and dynamic data", () => {
  expect(
    body(
      '"%s %s", __print_symbolic(REC->a, { 1, "one" }, { 2, "two" }), __print_symbolic(REC->b, { 1, "one" })',
      ["int a", "int b"],
      2,
      77,
    ),
  ).toBe("two 0x4d");
  expect(body('"%s", __print_flags(REC->a, "|", { 0x1, "A" }, { 0x4, "C" })', ["int a"], 0x15)).toBe("A|C|0x10");
  expect(body('"%lx-%lx", REC->v[0], REC->v[1 + 1]', ["unsigned long v[3]"], [16, 17, 18])).toBe("10-12");
  expect(
    body(
      '"%d,%d", ((unsigned int) ((REC->dev) >> 20)), ((unsigned int) ((REC->dev) & ((1U << 20) - 1)))',
      ["dev_t dev"],
      (254 << 20) | 3,
    ),
  ).toBe("254,3");
  expect(
    body('"%s=%s", __get_str(k), __get_str(v)', ["__data_loc char[] k", "__data_loc char[] v"], "key", "välue"),
  ).toBe("key=välue");
  expect(
    body(
      '"%s", __print_hex(__get_dynamic_array(d), __get_dynamic_array_len(d))',
      ["__data_loc u8[] d"],
      Uint8Array.of(1, 0xab),
    ),
  ).toBe("01 ab");
  expect(body('"%llu %d", (unsigned long long)REC->n, (int)REC->n', ["long n"], -1)).toBe("18446744073709551615 -1");
  expect(body('"a\\"b" " c=%d", !REC->n ? 10 : 20', ["int n"], 0)).toBe('a"b c=10');
  expect(body('"%*d|%.*s", 4, REC->n, 2, REC->s', ["int n", "char s[8]"], 5, "abc")).toBe("   5|ab");
});

test("a broken record prints as invalid instead of throwing", () => {
  const event = defineEvent({
    system: "t",
    name: "t",
    fields: ["int a", "__data_loc char[] s"],
    print: '"%d %s", REC->a, __get_str(s)',
  });
  expect(event.formatBody(new Uint8Array(10))).toBe("<invalid trace record>");
  const record = new Uint8Array(16);
  new DataView(record.buffer).setUint32(12, (100 << 16) | 8, true);
  expect(event.formatBody(record)).toBe("<invalid trace record>");
  for (let seed = 1; seed < 2000; seed++)
    expect(typeof event.formatBody(record.map((_, i) => Math.imul(seed, 2654435761 + i) >>> 24))).toBe("string");
});

test("an author's mistake in print or fields is a TypeError", () => {
  expect(() => body('"%d", REC->nope', ["int a"], 1)).toThrow(TypeError);
  expect(() => body('"%d %d", REC->a', ["int a"], 1)).toThrow(TypeError);
  expect(() => body('"%y", REC->a', ["int a"], 1)).toThrow(TypeError);
  expect(() => body('"%d", REC->a', ["strange_t a"], 1)).toThrow(TypeError);
  expect(() => body('"%d", REC->a', ["int a", "int a"], 1)).toThrow(TypeError);
});
