/** What a guest may write or a broken buffer may hold: answers, never exceptions. */
import { expect, test } from "vitest";
import { FakeHost } from "../test/fake-host.ts";
import {
  compileWithSchema,
  decodeUtf8,
  defineEvent,
  isFilterError,
  parseSwitch,
  TraceArray,
  TraceFilterFile,
} from "./index.ts";

let seed = 12345;
function random(n: number): number {
  seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
  return (seed >> 8) % n;
}

const event = defineEvent({
  system: "fuzz",
  name: "fuzz_me",
  fields: ["int a", "unsigned long b", "char c[16]", "__data_loc char[] d", "u8 e[4]"],
  print: '"%d %lx %s %s %d", REC->a, REC->b, REC->c, __get_str(d), REC->e[1]',
});

const WORDS = [
  "a",
  "b",
  "c",
  "d",
  "e",
  "comm",
  "cpu",
  "==",
  "!=",
  "<",
  ">=",
  "~",
  "&",
  "&&",
  "||",
  "!",
  "(",
  ")",
  "0x1f",
  "-1",
  "017",
  "99999999999999999999",
  '"x*"',
  "'y",
  "CPUS{0-1}",
  "CPUS{",
  "*",
  " ",
  ".ustring",
  "\\",
  "é",
  "\0",
  "nope",
];

const FIELDS = ["a", "b", "c", "d", "!a", "comm", "cpu"];
const OPERATORS = ["==", "!=", "<", ">=", "~", "&"];
const VALUES = ["1", "-1", "0x1f", '"x*"', "x"];
const pick = (list: readonly string[]): string => list[random(list.length)] as string;

test("any words make a filter or an error with a position inside the text", () => {
  const array = new TraceArray(new FakeHost(), [event]);
  array.selection.setEvent("fuzz_me");
  const file = new TraceFilterFile(array.registry.findExtTracepointByName("fuzz_me")!);
  let accepted = 0;
  for (let round = 0; round < 20_000; round++) {
    const words = Array.from({ length: 1 + random(9) }, () => WORDS[random(WORDS.length)]);
    const terms = Array.from({ length: 1 + random(3) }, () => `${pick(FIELDS)} ${pick(OPERATORS)} ${pick(VALUES)}`);
    const text = random(2) === 0 ? terms.join(random(2) === 0 ? " && " : "||") : words.join(random(3) === 0 ? "" : " ");
    const result = compileWithSchema(text, event.schema);
    if (isFilterError(result)) {
      expect(result.position).toBeGreaterThanOrEqual(0);
      expect(result.message).not.toBe("");
    } else {
      accepted++;
      file.write(text);
      event.trace(random(3) - 1, random(100), "xyz", "path", [1, 2, 3, 4]);
    }
    file.write(text);
    file.read();
  }
  expect(accepted).toBeGreaterThan(300);
});

test("any bytes are a switch, an option, a set of events, a pid list or refused", () => {
  const array = new TraceArray(new FakeHost(), [event]);
  for (let round = 0; round < 5_000; round++) {
    const text = decodeUtf8(Uint8Array.from({ length: random(20) }, () => random(256)));
    parseSwitch(text);
    array.writeOption(text);
    array.setClock(text);
    array.selection.setEvent(text);
    array.selection.writeEnable(text, "fuzz");
    array.selection.writeFilter(text, "fuzz");
    array.addEventPids(text, "trace");
    array.errorLog.read();
  }
});

test("records of any bytes print as one line", () => {
  const array = new TraceArray(new FakeHost(), [event]);
  for (let round = 0; round < 5_000; round++) {
    const record = Uint8Array.from({ length: 1 + random(80) }, () => random(256));
    if (random(2) === 0) record[0] = [event.id, 5, 18][random(3)]!;
    if (random(2) === 0 && record.length > 1) record[1] = 0;
    array.pipe.pushRecord(round, 0, record);
    expect(array.formatLine(array.pipe.pop()!).endsWith("\n")).toBe(true);
  }
});
