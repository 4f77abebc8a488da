import { expect, test } from "vitest";
import { helpText, OPTIONS, parseOptions, parseSizeOption as parseSize, UsageError } from "./options.ts";

test("options end at -- or at the program, whose own options stay its own", () => {
  expect(parseOptions("run", ["--mem", "64M", "--", "ls", "-l"]).rest).toEqual(["ls", "-l"]);
  expect(parseOptions("run", ["--mem=64M", "ls", "--mem"]).rest).toEqual(["ls", "--mem"]);
});

test("qemu's spellings mean the same", () => {
  const { values } = parseOptions("boot", ["-m", "64M", "-drive", "file=a.img,if=none", "-append", "quiet"]);
  expect([...values]).toEqual([
    ["mem", "64M"],
    ["image", "a.img"],
    ["append", "quiet"],
  ]);
  expect([...parseOptions("run", ["-s", "-S"]).values]).toEqual([
    ["gdb", "1234"],
    ["gdb-wait", true],
  ]);
});

test("repeatable options collect, an optional value may be left out", () => {
  const { lists, values } = parseOptions("run", ["--env", "A=1", "-e", "B=2", "--strace", "--strace=%file"]);
  expect(lists.get("env")).toEqual(["A=1", "B=2"]);
  expect(values.get("strace")).toBe("%file");
});

test("mistakes are told apart", () => {
  expect(() => parseOptions("run", ["--nope"])).toThrow(UsageError);
  expect(() => parseOptions("run", ["--mem"])).toThrow("needs a value: SIZE");
  expect(() => parseOptions("run", ["--stats=1"])).toThrow("takes no value");
  expect(() => parseOptions("run", ["-c", "ls"])).toThrow("unknown option -c");
});

test("sizes take binary suffixes", () => {
  expect([parseSize("16M"), parseSize("1.5k"), parseSize("2GiB"), parseSize("4096")]).toEqual([
    2 ** 24,
    1536,
    2 ** 31,
    4096,
  ]);
  for (const bad of ["", "M", "-1M", "12Q", "0"]) expect(() => parseSize(bad)).toThrow(UsageError);
});

test("help names every option of the command", () => {
  const text = helpText("run", "starry run");
  for (const row of OPTIONS) expect(text.includes(`--${row.name}`)).toBe(row.commands.includes("run"));
});
