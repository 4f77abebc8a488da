import { expect, test } from "vitest";
import { EscapeFilter } from "./terminal.ts";

function typed(...chunks: string[]) {
  const seen: string[] = [];
  const end = {
    input: (bytes: Uint8Array) => seen.push(new TextDecoder().decode(bytes)),
    leave: () => seen.push("<leave>"),
  };
  const filter = new EscapeFilter(end, () => seen.push("<help>"));
  for (const chunk of chunks) filter.feed(new TextEncoder().encode(chunk));
  return seen;
}

test("plain keys pass, Ctrl-A X leaves, in one chunk or two", () => {
  expect(typed("ls\r\u0001x")).toEqual(["ls\r", "<leave>"]);
  expect(typed("\u0001", "X")).toEqual(["<leave>"]);
});

test("Ctrl-A twice sends one Ctrl-A, Ctrl-A H prints help, other keys after it are dropped", () => {
  expect(typed("a\u0001\u0001b")).toEqual(["a", "\u0001", "b"]);
  expect(typed("\u0001h")).toEqual(["<help>"]);
  expect(typed("\u0001zq")).toEqual(["q"]);
});
